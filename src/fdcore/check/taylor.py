"""The Taylor remainder test, judged by an error model and not by the look of a slope.

The remainder R(h) = f(x + h d) - f(x) - h <g, d> is c1 h + c2 h^2 + c3 h^3 + ..., and c1 is what the gradient lacks
along d. For large h more terms matter, for small h nothing is left but the rounding of f. Between the two, c1 and its
error bar follow from a least-squares fit in which each remainder weighs by the rounding it may contain; the widest
range of steps is taken that the polynomial fits. A slope alone would not do: a gradient that is off by 1e-4 of itself
has slope 2 wherever h is well above 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import DOUBLE, precision
from fdcore.check.judge import LIMIT
from fdcore.errors import ArgumentError
from fdcore.tree import flatten

__all__ = ["TaylorTest", "taylor_test"]

Vector = NDArray[np.float64]

EXACT = "the Taylor polynomial is exact up to rounding at every step"
VISIBLE = 20.0  # times the rounding: where the remainder can be seen


@dataclass(frozen=True)
class TaylorTest:
    """Outcome of `taylor_test`. True in a condition if, and only if, the derivative agrees.

    Attributes
    ----------
    h, remainder, floor : (k,) array
        Steps, largest first; absolute remainders; what rounding of f alone can make of them.
    used : (k,) array of bool
        The steps that a polynomial fits, from which the derivative along the direction was found.
    rate : float
        Slope of log remainder against log h at the smallest steps where the remainder can be seen; NaN if that is
        nowhere. Infinite where the remainder is rounding throughout.
    expected : int
        The rate of a correct derivative: 2 with the gradient, 3 with the Hessian too, 1 without either.
    verdict : {"agrees", "wrong", "cannot tell"}
    message : str
    analytic, numeric, error : float
        Derivative along the direction by the gradient, by the remainders, and the error bar of the latter.
    detection_limit : float
        Smallest relative error of that derivative that would have been called wrong.
    """

    h: Vector
    remainder: Vector
    floor: Vector
    used: NDArray[np.bool_]
    rate: float
    expected: int
    verdict: str
    message: str
    analytic: float = math.nan
    numeric: float = math.nan
    error: float = math.nan
    detection_limit: float = math.inf

    # The reports are made by the room above, which enters them here when it is imported.
    forms: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __bool__(self) -> bool:
        return self.verdict == "agrees"

    def __str__(self) -> str:
        return str(self.forms["text"](self))

    def plot(self, ax: Any = None) -> Any:
        """Draw remainder against step, with the slope it should have and both of its ends explained.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingExtraError
            matplotlib is not installed: ``pip install 'fdcore[plot]'``.
        """
        return self.forms["plot"](self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python data; NaN and infinity are the strings "nan", "inf" and "-inf"."""
        return dict(self.forms["plain"](self))

    def to_html(self) -> str:
        """A page that stands by itself, with the figure where matplotlib is installed. Needs Jinja2.

        Raises
        ------
        MissingExtraError
            Jinja2 is not installed: ``pip install 'fdcore[html]'``.
        """
        return str(self.forms["html"](self))

    def _repr_html_(self) -> str:
        return str(self.forms["fragment"](self))


def taylor_test(
    f: Callable[[Any], float],
    grad: Any,
    x: Any,
    direction: Any = None,
    *,
    hessian_product: Callable[..., Any] | None = None,
    h: Sequence[float] | None = None,
    seed: int = 0,
) -> TaylorTest:
    """Watch the remainder of a Taylor polynomial shrink with the step.

    Parameters
    ----------
    f : callable
        Returns one number.
    grad : callable, array, tree or None
        The gradient; None tests f alone, which should give rate 1.
    x : array, number or tree of arrays
    direction : like `x`, optional
        Random by default, of the size of `x`.
    hessian_product : callable, optional
        ``hessian_product(x, direction)``; the remainder then includes the second-order term.
    h : sequence of float, optional
        Steps; by default 24 from 1/4 on, each a third of the one before.
    seed : int
        Of the random direction.

    Returns
    -------
    TaylorTest
        True in a condition when the derivative agrees; printing it shows the remainders.

    Raises
    ------
    ArgumentError
        Fewer than three steps, or a direction that does not fit `x`.

    Notes
    -----
    Costs one evaluation for each step and one more. One direction is looked at: `check_gradient` looks at every entry.

    Examples
    --------
    >>> import numpy as np
    >>> test = taylor_test(lambda x: np.sum(np.exp(x)), lambda x: np.exp(x), np.array([0.1, 0.2]))
    >>> test.verdict, round(test.rate, 1)
    ('agrees', 2.0)
    """
    vector, tree = flatten(x)
    if direction is None:
        rng = np.random.default_rng(seed)
        scale = np.where(vector == 0.0, 1.0, np.abs(vector))
        along = scale * (0.5 + rng.random(vector.size)) * np.where(rng.random(vector.size) < 0.5, -1.0, 1.0)
    else:
        along, problems = tree.collect(direction)
        if problems:
            raise ArgumentError(f"the direction does not fit x: {problems[0].message}")
    steps = 0.25 * 3.0 ** -np.arange(24.0) if h is None else np.sort(np.asarray(h, dtype=float))[::-1]
    if steps.size < 3 or not np.all(np.isfinite(steps)) or steps[-1] <= 0.0:
        raise ArgumentError("h needs at least three positive steps")
    start = f(tree.unflatten(vector.copy()))
    f0 = float(start)
    linear = curved = spread = 0.0
    if grad is not None:
        value = grad(tree.unflatten(vector.copy())) if callable(grad) else grad
        slopes = tree.collect(value)[0]
        linear = float(np.dot(slopes, along))
        spread = float(np.linalg.norm(slopes * vector))
    if hessian_product is not None:
        product = hessian_product(tree.unflatten(vector.copy()), tree.unflatten(along.copy()))
        curved = float(np.dot(tree.collect(product)[0], along))
    expected = 1 if grad is None else 2 if hessian_product is None else 3
    values = np.empty(steps.size)
    for k, t in enumerate(steps):
        with np.errstate(all="ignore"):
            values[k] = float(f(tree.unflatten(vector + t * along)))
    remainder = values - f0 - steps * linear - 0.5 * steps**2 * curved
    # Rounding of f and of the polynomial; of x as f sees it, which moves f by its slopes.
    unit = _unit(start, values)
    size = np.maximum.reduce([np.abs(values), np.full(steps.size, abs(f0)), steps * abs(linear)])
    floor = 8.0 * unit * np.where(np.isfinite(size), size, 0.0) + 4.0 * unit * spread + 1e-300
    return _judge(steps, remainder, floor, expected, linear, curved)


def _unit(start: Any, values: Vector) -> float:
    """Relative error of a rounding of f: by its dtype, or by its values where it makes Python floats of float32."""
    finite = values[np.isfinite(values)]
    unit = max(precision(start), DOUBLE)
    with np.errstate(over="ignore"):
        if finite.size > 5 and np.array_equal(finite.astype(np.float32), finite):
            half = np.array_equal(finite.astype(np.float16), finite)
            unit = max(unit, 2.0**-11 if half else 2.0**-24)
    return unit


def _judge(h: Vector, remainder: Vector, floor: Vector, expected: int, linear: float, curved: float) -> TaylorTest:
    finite = np.isfinite(remainder)
    nothing = np.zeros(h.size, dtype=bool)
    plain = np.abs(remainder)

    def outcome(
        verdict: str, message: str, rate: float, used: NDArray[np.bool_] = nothing, **more: float
    ) -> TaylorTest:
        return TaylorTest(h, plain, floor, used, rate, expected, verdict, message, analytic=linear, **more)

    if not math.isfinite(linear) or not math.isfinite(curved):
        return outcome(
            "wrong", f"the derivative along the direction is {linear if curved == curved else curved}", math.nan
        )
    if finite.sum() < 3:
        return outcome("cannot tell", "f is finite at too few steps", math.nan)
    if expected > 1:
        floor = floor * (1.0 + _noise(h, remainder, floor))
    seen = finite & (plain > VISIBLE * floor)
    rate = _rate(h, plain, floor, seen)
    exact = bool(finite.all()) and not seen.any()
    if exact and expected > 1 and h[0] * abs(linear) <= VISIBLE * floor[0]:
        return outcome("cannot tell", "f does not change along the direction by more than its rounding", math.inf)
    if expected == 1:
        if exact:
            return outcome("agrees", "f does not change by more than its rounding", math.inf)
        if math.isnan(rate):
            return outcome("cannot tell", "the remainder stands out of the rounding of f at too few steps", rate)
        if rate >= 0.75:
            return outcome("agrees", f"f changes like h^{rate:.2f}: it is continuous here", rate, seen)
        return outcome("wrong", f"f changes like h^{rate:.2f}: it has a jump or a pole here", rate, seen)
    fit = _fit(h, remainder, floor, finite, expected + 1)
    if fit is None and exact:
        limit = VISIBLE * float(floor[0] / (h[0] * abs(linear)))
        return outcome("agrees", EXACT, math.inf, finite, detection_limit=limit)
    if fit is None:
        return _by_rate(outcome, rate, expected, linear, h, plain, seen)
    used, terms, bars = fit
    # What the polynomial lacks, term by term, in the units of a derivative along the direction.
    numeric, error = linear + terms[0], bars[0]
    limit = LIMIT * error / abs(linear) if linear else math.inf
    known = {"numeric": numeric, "error": error, "detection_limit": limit}
    look = f"falls like h^{rate:.2f}" if rate < expected - 0.25 else "still looks right at these steps"
    if abs(terms[0]) > LIMIT * error:
        return outcome(
            "wrong",
            f"the derivative along the direction is {_against(linear, numeric, error)}; the remainder "
            f"should fall like h^{expected} and {look}",
            rate, used, **known,
        )  # fmt: skip
    if expected == 3 and abs(terms[1]) > LIMIT * bars[1]:
        second = curved + 2.0 * terms[1]
        return outcome(
            "wrong",
            f"the second derivative along the direction is {_against(curved, second, 2.0 * bars[1], 'Hessian')}; "
            f"the first one agrees; the remainder should fall like h^{expected} and {look}",
            rate, used, **known,
        )  # fmt: skip
    if exact:
        return outcome("agrees", EXACT, math.inf, used, **known)
    # The bar must be small against the derivative or, where that is zero, against the change of f.
    against = max(abs(linear), float(plain[finite][0] / h[finite][0]))
    if LIMIT * error > 0.5 * against:
        return outcome("cannot tell", "the error bar of the derivative is as large as itself", rate, used, **known)
    falls = f"the remainder falls like h^{rate:.2f}" if math.isfinite(rate) else "the remainder is hardly seen"
    should = f", as it should (h^{expected})" if abs(rate - expected) <= 0.25 else ""
    power = f"; an error of {limit:.1e} of the derivative along the direction would have been seen" if linear else ""
    return outcome("agrees", falls + should + power, rate, used, **known)


def _by_rate(
    outcome: Callable[..., TaylorTest],
    rate: float,
    expected: int,
    linear: float,
    h: Vector,
    remainder: Vector,
    seen: NDArray[np.bool_],
) -> TaylorTest:
    """Too few steps for a fit, or none that fits: the slope has to do, and says how little it can see."""
    if math.isnan(rate):
        return outcome("cannot tell", "the remainder stands out of the rounding of f at too few steps", rate)
    last = int(np.flatnonzero(seen)[-1])
    limit = float(remainder[last] / (h[last] * abs(linear))) if linear else math.inf
    if rate >= expected - 0.25:
        power = f"; an error of less than {limit:.1e} of the derivative could not be seen at these steps"
        message = f"the remainder falls like h^{rate:.2f}, as it should (h^{expected})"
        return outcome("agrees", message + power, rate, seen, detection_limit=limit)
    if abs(rate - round(rate)) < 0.25 and round(rate) >= 1:
        off = (
            f": the derivative along the direction is off by {limit:.2g} of itself" if linear and expected == 2 else ""
        )
        return outcome("wrong", f"the remainder falls like h^{rate:.2f} and not like h^{expected}{off}", rate, seen)
    return outcome(
        "cannot tell", f"the remainder falls like h^{rate:.2f}, which is neither right nor one order less", rate, seen
    )


def _against(analytic: float, numeric: float, error: float, by: str = "gradient") -> str:
    """Both values, with digits enough to see the difference, and their ratio."""
    apart, size = abs(analytic - numeric), max(abs(analytic), abs(numeric))
    digits = min(17, max(6, math.ceil(math.log10(size / apart)) + 3)) if apart else 9
    ratio = analytic / numeric if numeric else math.nan
    near = 0.0 < abs(ratio - 1.0) < 1e-4
    shown = "" if math.isnan(ratio) else f" (ratio 1{ratio - 1.0:+.2g})" if near else f" (ratio {ratio:.6g})"
    return f"{analytic:.{digits}g} by the {by} and {numeric:.{digits}g} +- {error:.1e} by the remainders{shown}"


def _noise(h: Vector, remainder: Vector, floor: Vector) -> float:
    """Noise of f, in units of its rounding, by the smallest steps: a straight line is in them too, hardly a curve."""
    finite = np.flatnonzero(np.isfinite(remainder))
    first = finite[0]
    small = finite[h[finite] <= 1e-5 * h[first]]
    if small.size < 6:
        return 0.0
    t = h[small] / h[small[0]]
    matrix = np.column_stack([t, t * t])
    rest = remainder[small] - matrix @ np.linalg.lstsq(matrix, remainder[small], rcond=None)[0]
    level = 4.0 * float(np.sqrt(np.mean((rest / floor[small]) ** 2)))
    return level if level > 1.0 else 0.0


def _fit(
    h: Vector, remainder: Vector, floor: Vector, finite: NDArray[np.bool_], degree: int
) -> tuple[NDArray[np.bool_], Vector, Vector] | None:
    """Coefficients of h, h^2, ... of the remainder, with bars, from the widest range of small steps that fits.

    A narrower range gives the coefficients again: how far they move is part of their bars, for what higher terms leave
    in a fit is not seen in its residuals.
    """
    order = np.flatnonzero(finite)[::-1]  # smallest step first
    for end in range(order.size, degree + 1, -1):
        wide = _least_squares(h[order[:end]], remainder[order[:end]], floor[order[:end]], degree)
        if wide is None:
            continue
        terms, bars = wide
        used = np.zeros(h.size, dtype=bool)
        used[order[:end]] = True
        less = int(np.count_nonzero(h[order[:end]] <= h[order[end - 1]] / 8.0))
        if less >= degree + 2:
            narrow = _least_squares(h[order[:less]], remainder[order[:less]], floor[order[:less]], degree)
            if narrow is not None:
                apart = np.abs(narrow[0] - terms)
                if np.any(apart[: degree - 1] > 3.0 * (bars + narrow[1])[: degree - 1]):
                    continue  # what a wider range adds is not in the polynomial
                bars = np.hypot(bars, np.minimum(apart, narrow[1]))
        return used, terms, bars
    return None


def _least_squares(h: Vector, remainder: Vector, floor: Vector, degree: int) -> tuple[Vector, Vector] | None:
    """Fit a polynomial without constant; None where it does not fit within the rounding."""
    powers = np.arange(1, degree + 1)
    top = float(h.max())
    matrix = (h[:, None] / top) ** powers / floor[:, None]
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    keep = s > 1e-14 * s[0]
    inverse = np.where(keep, 1.0 / np.where(keep, s, 1.0), 0.0)
    target = remainder / floor
    terms = vt.T @ (inverse * (u.T @ target))
    if np.max(np.abs(matrix @ terms - target)) > 1.0:
        return None
    bars = np.sqrt(np.sum((vt.T * inverse) ** 2, axis=1))
    return terms / top**powers, bars / top**powers


def _rate(h: Vector, remainder: Vector, floor: Vector, seen: NDArray[np.bool_]) -> float:
    """Slope at the small end of what can be seen; each point weighs by how well its logarithm is known."""
    last = np.flatnonzero(seen)[-4:]
    if last.size < 3:
        return math.nan
    weights = np.minimum(remainder[last] / floor[last], 1e4)
    return float(np.polyfit(np.log(h[last]), np.log(remainder[last]), 1, w=weights)[0])
