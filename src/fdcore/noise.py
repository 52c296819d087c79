"""The absolute error of one value of f: what rounding, float32 inside, a solver's tolerance or chance do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.callbacks import recognise
from fdcore.coerce import as_vector, values_of
from fdcore.errors import ArgumentError, EvaluationError, NonFiniteError

Array = NDArray[np.float64]

POINTS = 7
_SPACINGS = 4  # tried before giving up

#: What `NoiseLevel.status` may say.
MEASURED, CONSTANT, UNCLEAR = "measured", "constant", "unclear"


@dataclass(frozen=True, eq=False)
class NoiseLevel:
    """How far one value of f is off: what `noise_level` returns.

    Attributes
    ----------
    level : float or (m,) ndarray
        Standard deviation of the error of one value of f, in its units; one for each value of a vector function.
    status : str or tuple of str
        "measured"; "constant": f did not change at any spacing tried, and `level` is the rounding error of its
        type; "unclear": no
        spacing showed f as smooth plus noise (it varies too fast, or jumps), and `level` is the least that was seen.
    spacing : float
        Distance of the points along the line, relative to ``max(1, abs(x_i))`` of the component that moves most.
    nfev : int
        Evaluations of f.
    rounding : float or (m,) ndarray
        What rounding to float64 alone would do: half a unit in the last place of f(x).

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> noise = fd.noise_level(lambda x: np.sin(x[0]) + 1e-6 * np.cos(1e9 * x[0]), [1.0])
    >>> 2e-7 < noise.level < 3e-6, noise.status, noise.noisy
    (True, 'measured', True)
    """

    level: Any
    status: Any
    spacing: float
    nfev: int
    rounding: Any

    @property
    def absolute(self) -> Any:
        """Three standard deviations: what ``noise=`` takes."""
        return 3.0 * self.level

    @property
    def noisy(self) -> Any:
        """Whether f is off by far more than a rounding error, for each value."""
        loud = np.asarray(self.level) > 100.0 * np.asarray(self.rounding)
        return bool(loud) if loud.ndim == 0 else loud

    @property
    def trusted(self) -> Any:
        """Whether a noise was measured, for each value."""
        status = np.array(self.status, dtype=object)
        return (status == MEASURED) & np.asarray(self.noisy)

    def __str__(self) -> str:
        if np.ndim(self.level) == 0:
            return f"noise {self.level:.2g} ({self.status}; rounding {self.rounding:.2g}; {self.nfev} evaluations)"
        loudest = int(np.argmax(self.level)) if np.size(self.level) else 0
        return (
            f"noise of {np.size(self.level)} values, the largest {np.max(self.level, initial=0.0):.2g} of f[{loudest}] "
            f"({self.nfev} evaluations)"
        )


def difference_levels(values: Array) -> tuple[Array, Array]:
    """Noise of equally spaced values by the differences of each order, and whether those change sign.

    Returns
    -------
    levels, signs : (k - 1, m) ndarray
        For values (k, m): a noise of standard deviation s gives s at every order; a smooth function falls with it.

    References
    ----------
    R. W. Hamming, Introduction to Applied Numerical Analysis (1971), chapter 6; J. J. Moré, S. M. Wild, "Estimating
    computational noise", SIAM J. Sci. Comput. 33 (2011) 1292-1314.
    """
    table, factor = np.asarray(values, dtype=np.float64), 1.0
    levels, signs = [], []
    for k in range(1, len(values)):
        table = np.diff(table, axis=0)
        factor *= 0.5 * k / (2 * k - 1)
        levels.append(np.sqrt(factor * np.mean(table**2, axis=0)))
        signs.append((table.min(axis=0) < 0) & (table.max(axis=0) > 0))
    return np.array(levels), np.array(signs)


def ecnoise(values: Array) -> tuple[Array, NDArray[np.int_]]:
    """Noise of each column of equally spaced values (k, m), k >= 4.

    Returns
    -------
    level : (m,) ndarray
        Standard deviation of the noise, where `inform` is 1.
    inform : (m,) ndarray of int
        1 noise found; 2 the spacing is too small (half the values are equal); 3 it is too large, f is not smooth on it.

    References
    ----------
    J. J. Moré, S. M. Wild (2011), section 5: the first order whose level agrees with the next two within a factor of 4,
    and whose differences change sign.
    """
    count, m = values.shape
    level, inform = np.zeros(m), np.full(m, 3)
    high, low = values.max(axis=0), values.min(axis=0)
    largest = np.maximum(np.abs(high), np.abs(low))
    equal = np.sum(np.diff(values, axis=0) == 0.0, axis=0) >= count / 2
    levels, signs = difference_levels(values)
    for k in range(count - 3):
        three = levels[k : k + 3]
        found = (inform == 3) & (three.max(axis=0) <= 4.0 * three.min(axis=0)) & signs[k]
        level[found], inform[found] = levels[k][found], 1
    # Where f is nearly 0 noise may be all there is: a range that is not noise is what counts.
    inform[((high - low) > 0.1 * largest) & ~((inform == 1) & (high - low <= 10.0 * level))] = 3
    inform[equal] = 2
    return level, inform


def measure(line: Callable[[Array], Array], f0: Array, precision: float = 0.0, one_sided: bool = False) -> NoiseLevel:
    """Measure the noise of f along a line: ``line(t)`` (k,) gives values (k, m) at the places t, t = 0 being x.

    Takes 6 evaluations besides f(x) where the first spacing is right for all values, and 6 for each other spacing.
    """
    f0 = np.asarray(f0, dtype=np.float64)
    m, spacing, nfev = f0.size, 1e-8, 0
    unit = max(precision, 2.0**-53)
    size = np.maximum(np.abs(f0), np.finfo(float).tiny)
    rounding = 2.0**-53 * size
    level, status = np.zeros(m), np.full(m, UNCLEAR, dtype=object)
    least = np.full(m, np.inf)
    open_, used, tried = np.ones(m, dtype=bool), spacing, 0
    if precision > 2.0**-50:
        spacing = 1e-5  # values of float32: smaller spacings would see its steps
    ways = [(0, 1.0)] if one_sided else [(POINTS // 2, 1.0), (0, 1.0), (0, -1.0)]
    way = 0
    factor = 100.0
    direction = 0
    while open_.any() and tried < _SPACINGS:
        middle, sign = ways[way]
        offsets = np.delete(np.arange(POINTS) - middle, middle) * sign
        others = line(offsets.astype(np.float64) * spacing)
        nfev += len(offsets)
        tried += 1
        values = np.insert(others, middle, f0, axis=0)
        usable = np.isfinite(values).all(axis=0)
        if not usable.all() and way + 1 < len(ways):  # the domain ends here: look to one side
            way += 1
            continue
        found, inform = ecnoise(np.where(usable, values, 0.0))
        inform[~usable] = 3
        done = open_ & (inform == 1)
        level[done], status[done] = found[done], MEASURED
        used = spacing if done.any() or tried == 1 else used
        with np.errstate(invalid="ignore"):
            last = difference_levels(values)[0][-1]
        least = np.where(usable & (last > 0.0), np.fmin(least, last), least)
        same = open_ & (inform == 2)
        status[same] = CONSTANT
        status[open_ & (inform == 3)] = UNCLEAR
        open_ &= ~done
        if not open_.any():
            break
        wanted = 1 if np.any(same) else -1
        if direction and wanted != direction:
            factor **= 0.5  # between two spacings, one too large and one too small
        direction = wanted
        spacing *= factor**wanted
    flat = status == CONSTANT
    level[flat] = unit * size[flat]
    unclear = status == UNCLEAR
    level[unclear] = np.where(np.isfinite(least[unclear]), least[unclear], rounding[unclear])
    return NoiseLevel(level, tuple(status), used, nfev, rounding)


def noise_level(
    f: Any,
    x: ArrayLike,
    *,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> NoiseLevel:
    """Measure the error of one value of f from equally spaced values: random noise, float32 inside, a solver's mesh.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs)`` returns a scalar or (m,) values, for x of shape (n,), or a float where x is a number.
    x : float or (n,) array_like
        Where. Never changed.
    args, kwargs
        What f gets after x.

    Returns
    -------
    NoiseLevel

    Raises
    ------
    NonFiniteError
        f(x) is NaN or inf.

    Notes
    -----
    Cost: 7 evaluations along one line through x that moves every component, 6 more for each other spacing (tried are
    1e-8 of ``max(1, abs(x_i))``, then 100 times more or less, four at most). Pass what it returns as ``noise=``, or
    ``noise="measure"`` to have it measured.

    References
    ----------
    J. J. Moré, S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011) 1292-1314.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> noise = fd.noise_level(lambda x: np.float32(np.sin(x)), 1.0)
    >>> 1e-9 < noise.level < 1e-7, noise.noisy
    (True, True)
    """
    scalar = np.ndim(x) == 0
    point = as_vector(np.reshape(np.asarray(x), -1))
    native = recognise(f)
    function = native if native is not None else f

    precision = 0.0

    def one(z: Array) -> Array:
        nonlocal precision
        try:
            result = function(float(z[0]) if scalar else z, *args, **(kwargs or {}))
        except EvaluationError:
            return np.full(width, np.nan)
        values, unit = values_of(result, -1, -1, False)
        precision = max(precision, unit)
        return values.reshape(-1).astype(np.float64)

    width = 1
    f0 = one(point.copy())
    width = f0.size
    if not np.isfinite(f0).all():
        raise NonFiniteError("f(x) is NaN or inf; noise is measured where f is finite")
    found = measure(lambda t: np.array([one(z) for z in along(point, t)]), f0, precision)
    level, status, rounding = found.level, found.status, found.rounding
    if width == 1:
        level, status, rounding = float(level[0]), status[0], float(rounding[0])
    return NoiseLevel(level, status, found.spacing, found.nfev + 1, rounding)


def along(x: Array, t: Array, lower: ArrayLike = -np.inf, upper: ArrayLike = np.inf) -> Array:
    """Points (k, n) on a line through x that moves every component, the most by t of its own scale.

    With bounds, t >= 0 moves towards the side with more room, and components without any stay.
    """
    direction = np.cos(np.arange(x.size) + 0.25) * np.maximum(1.0, np.abs(x))
    direction /= np.max(np.abs(direction / np.maximum(1.0, np.abs(x))), initial=1e-300)
    below, above = x - np.asarray(lower), np.asarray(upper) - x
    if np.isfinite(below).any() or np.isfinite(above).any():
        direction = np.abs(direction) * np.where(above >= below, 1.0, -1.0)
        room = np.maximum(below, above)
        direction[room < np.max(t) * np.abs(direction)] = 0.0
    points: Array = x + t[:, None] * direction
    return points


def check_noise(noise: Any) -> Any:
    """Read ``noise=``: None, "measure", or absolute errors as a float or an (m,) array."""
    if noise is None or (isinstance(noise, str) and noise == "measure"):
        return noise
    if isinstance(noise, NoiseLevel):
        return np.array(noise.absolute, dtype=np.float64)
    try:
        array = np.array(noise, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if isinstance(noise, (str, bytes)) or array.ndim > 1 or not (np.all(array > 0.0) and np.isfinite(array).all()):
        raise ArgumentError(
            "noise must be the absolute error of one value of f, a number > 0, or one for each value (or a NoiseLevel, "
            f'or "measure"); not {noise!r}'
        )
    return array
