"""`scipy.differentiate`: derivatives of elementwise functions by shrinking steps, in whole arrays at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.errors import ArgumentError, FdcoreWarning, ShapeError

__all__ = ["RichResult", "derivative", "hessian", "jacobian"]

_CONVERGED, _INCREASED, _UNFINISHED, _NONFINITE, _STOPPED, _RUNNING = 0, -1, -2, -3, -4, 1

# An error that is so many times the one before it, or the least, says that rounding has taken over.
_WORSE = 10.0


class ToleranceWarning(FdcoreWarning, RuntimeWarning):
    """A tolerance is below what rounding leaves."""


class RichResult(dict[str, Any]):
    """A result whose entries are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return "\n".join(f"{name:>10}: {value}" for name, value in self.items())


@dataclass(frozen=True)
class _Rules:
    """Everything but the function and its argument, checked."""

    atol: float | None
    rtol: float | None
    maxiter: int
    pairs: int  # of points; twice as many is the order
    factor: float

    @classmethod
    def of(cls, tolerances: Mapping[str, Any] | None, maxiter: Any, order: Any, step_factor: Any) -> _Rules:
        given = dict(tolerances or {})
        atol, rtol = given.pop("atol", None), given.pop("rtol", None)
        if given:
            raise ArgumentError(f"`tolerances` has the keys 'atol' and 'rtol', not {next(iter(given))!r}.")
        tolerance = {"atol": 0.0 if atol is None else atol, "rtol": 0.0 if rtol is None else rtol}
        for name, value in {**tolerance, "step_factor": step_factor}.items():
            number = np.asarray(value)
            if number.ndim or number.dtype.kind not in "fiub" or not number >= 0:
                raise ArgumentError(
                    f"Tolerances and step parameters must be non-negative scalars. `{name}` is {value!r}."
                )
        for name, value in (("maxiter", maxiter), ("order", order)):
            if not isinstance(value, (int, float, np.number)) or value != int(value) or value < 1:
                raise ArgumentError(f"`{name}` must be a positive integer. It is {value!r}.")
        return cls(atol, rtol, int(maxiter), (int(order) + 1) // 2, float(step_factor))

    def weights(self, central: NDArray[np.bool_], dtype: np.dtype[Any]) -> NDArray[Any]:
        """What the quotients of each row, (pairs, 2) of them, weigh in its derivative.

        The quotients are a polynomial in h (in h^2 if central) up to the order; the weights are those of its value at
        0, by Lagrange. A central pair gives one quotient, which is there twice.
        """
        k = np.arange(self.pairs)
        with np.errstate(all="ignore"):
            both = _at_zero(self.factor ** (-2.0 * k))
            side = _at_zero(self.factor ** (-np.arange(2 * self.pairs) / 2.0)).reshape(-1, 2)
        return np.where(central[..., None, None], np.repeat(both[:, None], 2, axis=1) / 2.0, side).astype(dtype)


def _at_zero(nodes: NDArray[Any]) -> Any:
    """Weights of the values at the nodes in that of the interpolating polynomial at 0."""
    apart = nodes[:, None] - nodes
    np.fill_diagonal(apart, 1.0)
    factors = nodes[:, None] / apart
    np.fill_diagonal(factors, 1.0)
    return np.prod(factors, axis=0)


def derivative(
    f: Callable[..., Any],
    x: ArrayLike,
    *,
    args: Any = (),
    kwargs: Mapping[str, ArrayLike] | None = None,
    tolerances: Mapping[str, float] | None = None,
    maxiter: int = 10,
    order: int = 8,
    initial_step: ArrayLike = 0.5,
    step_factor: float = 2.0,
    step_direction: ArrayLike = 0,
    preserve_shape: bool = False,
    callback: Callable[[RichResult], Any] | None = None,
) -> RichResult:
    """Derivative of an elementwise function with the signature and the iteration of `scipy.differentiate.derivative`.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` for arrays of any shape, elementwise.
    x, step_direction, initial_step, *args, **kwargs : array_like
        Broadcast against one another. Steps are absolute; the direction is 0 for central differences, negative or
        positive for points on one side. A single array may be given for `args`.
    tolerances : dict of float, optional
        ``atol`` and ``rtol``: an element is done when two estimates in a row differ by less than
        ``atol + rtol * abs(df)``. By default the smallest normal number and the root of the precision of x.
    maxiter : int
        Most iterations; each after the first makes the steps smaller by `step_factor`.
    order : int
        Order of the differences; odd ones are rounded up.
    preserve_shape : bool
        f is vector-valued: it gets arrays of x's shape, or with one more dimension at the end, always complete.
    callback : callable, optional
        Called with the current result before the first iteration and after each; StopIteration ends the computation.

    Returns
    -------
    RichResult
        Arrays, or numbers, ``df``, ``error``, ``status`` (0 converged, -1 error grew, -2 `maxiter`, -3 not finite,
        -4 stopped by `callback`), ``success``, ``nit``, ``nfev`` and ``x``. ``error`` is the difference of the last two
        estimates and what the rounding of f's values can do. Where it grew, both are the best there were.

    Notes
    -----
    Cost for each element: 1 + order evaluations in the first iteration and 2 in each further one, in one call of f. The
    quotients of differences are extrapolated to step 0. `fdcore.derivative` with ``method="adaptive"`` needs no
    initial step and has error bars that are calibrated.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.compat.scipy import derivative
    >>> result = derivative(np.exp, [0.0, 1.0])
    >>> result.df.round(10), result.nfev
    (array([1.        , 2.71828183]), array([11, 11], dtype=int32))
    """
    if not callable(f):
        raise ArgumentError("`f` must be callable.")
    if callback is not None and not callable(callback):
        raise ArgumentError("`callback` must be callable.")
    if not isinstance(preserve_shape, (bool, np.bool_)):
        raise ArgumentError("`preserve_shape` must be True or False.")
    rules = _Rules.of(tolerances, maxiter, order, step_factor)
    point = np.asarray(x)
    if point.dtype.kind not in "fiub":
        raise ArgumentError("Abscissae and function output must be real numbers.")
    dtype = point.dtype if point.dtype.kind == "f" else np.dtype(np.float64)
    given = args if isinstance(args, (tuple, list)) else (args,)
    names = tuple(kwargs or {})
    call = f if not names else _named(f, names)
    others = [np.asarray(a) for a in (*given, *(kwargs or {}).values())]
    settings = [np.asarray(a, dtype=np.float64) for a in (initial_step, step_direction)]
    point, step, direction, *others = (
        np.array(a) for a in np.broadcast_arrays(point.astype(dtype), *settings, *others)
    )
    first = np.asarray(call(point.copy(), *(a.copy() for a in others)))
    if first.dtype.kind not in "fiub":
        raise ArgumentError("Abscissae and function output must be real numbers.")
    if not preserve_shape and first.shape != point.shape:
        raise ShapeError(
            "When `preserve_shape=False`, the shape of the array returned by `f` must be that of its argument: "
            f"{point.shape}, not {first.shape}."
        )
    if first.dtype.kind == "f":
        dtype = np.promote_types(dtype, first.dtype)
    run = _Run(call, rules, point.astype(dtype), first.astype(dtype), step, direction, others, bool(preserve_shape))
    return run.finish(callback)


def _named(f: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """F with its last arguments by name."""

    def call(*values: Any) -> Any:
        return f(*values[: -len(names)], **dict(zip(names, values[-len(names) :], strict=True)))

    return call


class _Run:
    """Where an iteration stands. Elements are rows, all of them or, where f may be given any, those still running."""

    def __init__(
        self, f: Callable[..., Any], rules: _Rules, x: NDArray[Any], f0: NDArray[Any], step: NDArray[Any],
        direction: NDArray[Any], args: list[NDArray[Any]], whole: bool,
    ) -> None:  # fmt: skip
        self.f, self.rules, self.whole, self.shape = f, rules, whole, f0.shape
        # Points are of x's type; what is made of the values is not rounded to that before the end.
        self.dtype, work = x.dtype, np.promote_types(x.dtype, np.float64)
        # What f returns beyond the dimensions of x are components; it gets their one x.
        self.extra = f0.ndim - x.ndim if whole else 0
        if self.extra < 0:
            raise ShapeError(f"`f` returned an array of shape {f0.shape} for an argument of shape {x.shape}.")

        def rows(a: NDArray[Any]) -> NDArray[Any]:
            full = np.broadcast_to(a, self.shape)
            return np.array(full if whole else full.reshape(-1))

        self.x, self.f0, self.args = rows(x), rows(f0).astype(work), args if whole else [rows(a) for a in args]
        h, side = rows(step), rows(direction)
        central = side == 0
        with np.errstate(invalid="ignore"):
            self.h = np.where(h >= 0, h, np.nan) * np.where(central, 1.0, np.sign(side))
        # The second point of a pair is on the other side, or between this one and the next.
        self.second = np.where(central, -1.0, rules.factor**-0.5 if rules.factor else np.nan)
        self.central, self.weights = central, rules.weights(central, work)
        self.quotients = np.zeros((*self.x.shape, rules.pairs, 2), work)
        self.rounding = self.quotients.copy()  # what the rounding of f's values makes of each
        self.df, self.error = np.full_like(self.f0, np.nan), np.full_like(self.f0, np.nan)
        self.apart = self.error.copy()
        self.best, self.least = self.df.copy(), np.full_like(self.f0, np.inf)
        self.status = np.full(self.x.shape, _RUNNING, dtype=np.int32)
        self.nit, self.nfev = np.zeros_like(self.status), np.ones_like(self.status)
        eps = np.finfo(self.dtype)
        self.atol = float(eps.smallest_normal) if rules.atol is None else rules.atol
        self.rtol = float(eps.eps) ** 0.5 if rules.rtol is None else rules.rtol
        self.eps = float(eps.eps)

    def finish(self, callback: Callable[[RichResult], Any] | None) -> RichResult:
        """Iterate until every element is done."""
        stopped = _told(callback, self)
        for number in range(self.rules.maxiter):
            running = self.status == _RUNNING
            if stopped or not running.any():
                break
            self.improve(number, running)
            stopped = _told(callback, self)
        self.status[self.status == _RUNNING] = _STOPPED if stopped else _UNFINISHED
        return self.result()

    def improve(self, number: int, running: NDArray[np.bool_]) -> None:
        """Evaluate f at new points, one call for all, and judge what comes of it."""
        rules = self.rules
        rows: Any = Ellipsis if self.whole else running
        k = np.arange(rules.pairs) if number == 0 else np.array([rules.pairs + number - 1])
        with np.errstate(all="ignore"):
            reach = self.h[rows][..., None] * rules.factor ** (-1.0 * k)
            reach = np.stack([reach, reach * self.second[rows][..., None]], axis=-1)
            points = self.x[rows][..., None, None] + reach.astype(self.dtype)
        values = self.evaluate(points, rows)  # whose warnings are the caller's business
        with np.errstate(all="ignore"):
            moved = (points - self.x[rows][..., None, None]).astype(values.dtype)
            f0 = self.f0[rows][..., None, None]
            central = self.central[rows][..., None, None]
            # A central pair gives one quotient.
            other = np.where(central, values[..., ::-1], f0)
            span = np.where(central, moved - moved[..., ::-1], moved)
            quotient = (values - other) / span
            # A unit in the last place of each value, and what f makes of one of x.
            rounded = (np.abs(values) + np.abs(other)) / 2.0 + np.abs(self.x[rows][..., None, None] * quotient)
            floor = self.eps * (rounded / np.abs(span) + np.abs(quotient))
            new = quotient, floor
            for kept, added in zip((self.quotients, self.rounding), new, strict=True):
                kept[rows] = np.concatenate([kept[rows][..., k.size :, :], added], axis=-2)
            weights, last, before = self.weights[rows], self.df[rows], self.apart[rows]
            df = np.sum(weights * self.quotients[rows], axis=(-1, -2))
            apart = np.abs(df - last)
            noise = np.sum(np.abs(weights) * self.rounding[rows], axis=(-1, -2))
            error, least = apart + noise, self.least[rows]
            status = np.full(df.shape, _RUNNING, dtype=np.int32)
            status[(apart > _WORSE * before) | (noise > _WORSE * least)] = _INCREASED
            status[~np.isfinite(df)] = _NONFINITE
            status[apart < self.atol + self.rtol * np.abs(df)] = _CONVERGED
            best = np.where(error < least, df, self.best[rows])
            least = np.fmin(error, least)
        # Where the error grew, the best there was is better than the last.
        grew = status == _INCREASED
        # Elements that are done keep what they have.
        now = running[rows]
        for array, fresh in (
            (self.df, np.where(grew, best, df)), (self.error, np.where(grew, least, error)), (self.apart, apart),
            (self.best, best), (self.least, least), (self.status, status), (self.nit, self.nit[rows] + 1),
            (self.nfev, self.nfev[rows] + 2 * k.size),
        ):  # fmt: skip
            array[running] = fresh[now]

    def evaluate(self, points: NDArray[Any], rows: Any) -> NDArray[Any]:
        """F at (..., pairs, 2) points for these rows."""
        flat = points.reshape(*points.shape[:-2], -1)
        given = flat[(0,) * self.extra].copy() if self.whole else flat.copy()
        values = np.asarray(self.f(given, *(a[rows][..., None] for a in self.args)))
        if values.shape != flat.shape:
            raise ShapeError(f"`f` returned an array of shape {values.shape} where {flat.shape} was expected.")
        return values.astype(self.f0.dtype, copy=False).reshape(points.shape)

    def result(self) -> RichResult:
        """What has been reached, in the shape of f(x)."""
        fields = {
            "success": self.status == _CONVERGED, "status": self.status, "df": self.df.astype(self.dtype),
            "error": self.error.astype(self.dtype), "nit": self.nit, "nfev": self.nfev, "x": self.x,
        }  # fmt: skip
        return RichResult({name: array.reshape(self.shape).copy()[()] for name, array in fields.items()})


def _told(callback: Callable[[RichResult], Any] | None, run: _Run) -> bool:
    """Tell the callback; whether it wants to stop."""
    if callback is None:
        return False
    try:
        callback(run.result())
    except StopIteration:
        return True
    return False


def _components(f: Any, x: ArrayLike) -> NDArray[Any]:
    point = np.asarray(x)
    if point.ndim < 1:
        raise ArgumentError("Argument `x` must be at least 1-D.")
    if not callable(f):
        raise ArgumentError("`f` must be callable.")
    if point.dtype.kind not in "fiub":
        raise ArgumentError("Abscissae and function output must be real numbers.")
    return point if point.dtype.kind == "f" else point.astype(np.float64)


def jacobian(
    f: Callable[..., Any],
    x: ArrayLike,
    *,
    tolerances: Mapping[str, float] | None = None,
    maxiter: int = 10,
    order: int = 8,
    initial_step: ArrayLike = 0.5,
    step_factor: float = 2.0,
    step_direction: ArrayLike = 0,
) -> RichResult:
    """Jacobian with the signature and the iteration of `scipy.differentiate.jacobian`.

    Parameters
    ----------
    f : callable
        ``f(x)`` for x of shape (m, ...) returns (n, ...) or (...), for any further dimensions.
    x : (m, ...) array_like
    tolerances, maxiter, order, initial_step, step_factor, step_direction
        As for `derivative`; steps and directions are broadcast against x.

    Returns
    -------
    RichResult
        As of `derivative`, each array of shape (n, m, ...) or (m, ...); without ``x``.

    Notes
    -----
    Cost: m times the evaluations of `derivative`, all components in one call of f. `fdcore.jacobian` takes functions
    that are not vectorised.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.compat.scipy import jacobian
    >>> jacobian(lambda x: np.stack([x[0] * x[1], x[0] ** 2]), [2.0, 3.0]).df.round(10)
    array([[3., 2.],
           [4., 0.]])
    """
    point = _components(f, x)
    diagonal = np.arange(len(point))

    def along(moved: NDArray[Any]) -> Any:
        """F where the components are moved one at a time: the second dimension says which."""
        still = point[:, None].reshape(len(point), 1, *point.shape[1:], *[1] * (moved.ndim - point.ndim))
        points = np.array(np.broadcast_to(still, (len(point), *moved.shape)), dtype=moved.dtype)
        points[diagonal, diagonal] = moved
        return f(points)

    result = derivative(
        along, point, tolerances=tolerances, maxiter=maxiter, order=order, initial_step=initial_step,
        step_factor=step_factor, step_direction=step_direction, preserve_shape=True,
    )  # fmt: skip
    del result["x"]
    return result


def hessian(
    f: Callable[..., Any],
    x: ArrayLike,
    *,
    tolerances: Mapping[str, float] | None = None,
    maxiter: int = 10,
    order: int = 8,
    initial_step: ArrayLike = 0.5,
    step_factor: float = 2.0,
) -> RichResult:
    """Hessian with the signature and the iteration of `scipy.differentiate.hessian`.

    Parameters
    ----------
    f : callable
        ``f(x)`` for x of shape (m, ...) returns (...), for any further dimensions.
    x : (m, ...) array_like
    tolerances, maxiter, order, initial_step, step_factor
        As for `derivative`, for both derivatives; the tolerance ``rtol`` of the inner one is 100 times as small.

    Returns
    -------
    RichResult
        As of `derivative`, each array of shape (m, m, ...); the Hessian is called ``ddf``, and there is no ``nit``.

    Notes
    -----
    Cost: the Jacobian of the Jacobian, some (11 m)^2 evaluations. `fdcore.hessian` takes m^2 + m + 1.

    Examples
    --------
    >>> from fdcore.compat.scipy import hessian
    >>> hessian(lambda x: x[0] ** 2 * x[1], [2.0, 3.0]).ddf.round(8)
    array([[6., 4.],
           [4., 0.]])
    """
    point = _components(f, x)
    options: dict[str, Any] = {
        "maxiter": maxiter, "order": order, "initial_step": initial_step, "step_factor": step_factor
    }  # fmt: skip
    _Rules.of(tolerances, maxiter, order, step_factor)
    eps = float(np.finfo(point.dtype).eps)
    outer = {"rtol": eps**0.5, **(tolerances or {})}
    if outer["rtol"] < 100 * eps:
        warnings.warn(
            f"The specified `rtol={outer['rtol']}`, but the inner derivatives are never better than {100 * eps:.2g}; "
            "leave it out, or give a larger one.",
            ToleranceWarning,
            stacklevel=2,
        )
    spent: list[NDArray[Any]] = []

    def slope(points: NDArray[Any]) -> Any:
        inner = jacobian(f, points, tolerances={**outer, "rtol": outer["rtol"] / 100}, **options)
        # After the first call there is one more dimension, the points of an iteration.
        spent.append(inner.nfev if not spent else np.sum(inner.nfev, axis=-1))
        return inner.df

    result = jacobian(slope, point, tolerances=outer, **options)
    upto = np.cumsum(spent, axis=0)
    result["nfev"] = np.take_along_axis(upto, np.asarray(result.pop("nit"))[None], axis=0)[0].astype(np.int32)
    result["ddf"] = result.pop("df")
    return result
