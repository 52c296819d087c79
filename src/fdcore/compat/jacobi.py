"""`jacobi` and `propagate` with the signatures of the package jacobi, on fdcore's adaptive derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.errors import ArgumentError, NonFiniteError, ShapeError
from fdcore.plan import Jacobian
from fdcore.results import Finding

__all__ = ["jacobi", "propagate"]

Array = NDArray[np.float64]


def jacobi(
    fn: Callable[..., Any],
    x: ArrayLike,
    *args: Any,
    diagonal: bool = False,
    method: int | None = None,
    mask: ArrayLike | None = None,
    rtol: float = 0.0,
    maxiter: int = 10,
    maxgrad: int = 3,
    step: tuple[float, float] | None = None,
    diagnostic: dict[str, Any] | None = None,
) -> tuple[Any, Any]:
    """First derivatives and their error bars with the signature of `jacobi.jacobi`.

    Parameters
    ----------
    fn : callable
        ``fn(x, *args)`` returns a number or a regular array or sequence, for x as an array of floats of its own shape.
    x : float or array_like
    *args
        What `fn` gets after x.
    diagonal : bool, default False
        Each value depends on the entry of x in its own place alone, so all are moved at once.
    method : {None, -1, 0, 1}
        Backward, central or forward differences; by default whichever f allows.
    mask : array_like of bool, optional
        Of x's shape: where False, derivatives are not computed, but 0.
    rtol, maxiter, maxgrad, step
        Checked and not used: the steps follow the function.
    diagnostic : dict, optional
        Gets ``method``, ``iteration`` and ``call`` (evaluations) for each entry of x.

    Returns
    -------
    derivative, error : float or ndarray
        Of the shape of fn(x) followed by that of x; with `diagonal`, of the shape of x alone. NaN, with an infinite
        error, where f is NaN at x or at every point that `method` allows.

    Notes
    -----
    Cost: some 8 evaluations for each entry of x, or twice that for all with `diagonal`. An error bar is calibrated, as
    with ``fdcore.jacobian(..., method="adaptive")``: at a kink it is half the gap between the slopes.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.compat.jacobi import jacobi
    >>> value, error = jacobi(lambda x, c: c * x**2, [1.0, 2.0], 3.0)
    >>> value.round(9), bool(np.all(error < 1e-10))
    (array([[ 6.,  0.],
           [ 0., 12.]]), True)
    """
    _check(method, maxiter, maxgrad, step)
    point = np.array(x, dtype=np.float64)
    chosen = np.ones(point.shape, dtype=bool) if mask is None else np.asarray(mask)
    if chosen.dtype != bool or chosen.shape != point.shape:
        raise ShapeError(
            f"mask must be a boolean array of x's shape, {point.shape}; it is {chosen.dtype} of {chosen.shape}"
        )

    def f(moved: Array) -> Array:
        return _floats(fn(moved.reshape(point.shape)[()], *args))

    f0 = f(point.copy())
    flat, known = point.reshape(-1), np.isfinite(f0).reshape(-1)
    if diagonal and f0.shape != (point.shape or f0.shape):
        raise ShapeError(f"diagonal=True needs f(x) to have x's shape, {point.shape}, not {f0.shape}")
    run = _Columns(lambda z: f(z).reshape(-1), flat, f0.reshape(-1), known, method)
    if diagonal:
        wanted = chosen.reshape(-1)
        value, error = run.along_all(wanted, np.isfinite(flat))
        shape = f0.shape
    else:
        value, error = (np.zeros((f0.size, flat.size)) for _ in range(2))
        wanted = chosen.reshape(-1)
        value[:, wanted], error[:, wanted] = np.nan, np.inf
        run.each(np.flatnonzero(wanted & np.isfinite(flat)), value, error)
        shape = f0.shape + point.shape
    if diagnostic is not None:
        diagnostic.update(method=run.sides, iteration=wanted.astype(np.uint8), call=run.calls)
    return value.reshape(shape)[()], error.reshape(shape)[()]


def _check(method: Any, maxiter: Any, maxgrad: Any, step: Any) -> None:
    if method not in (None, -1, 0, 1):
        raise ArgumentError(f"method must be -1, 0, 1 or None, not {method!r}")
    if maxiter <= 0:
        raise ArgumentError(f"maxiter must be > 0, not {maxiter!r}")
    if maxgrad < 0:
        raise ArgumentError(f"maxgrad must be >= 0, not {maxgrad!r}")
    for number, most in enumerate((0.5, 1.0)):
        if step is not None and not 0 < step[number] < most:
            raise ArgumentError(f"step[{number}] must be between 0 and {most}, not {step[number]!r}")


def _floats(values: Any) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"function return value cannot be converted into an array of floats: {error}") from None


class _Columns:
    """Derivatives of the values of f that are finite at x, along some entries of x."""

    def __init__(
        self, f: Callable[[Array], Array], x: Array, f0: Array, known: NDArray[np.bool_], method: int | None
    ) -> None:
        self.f, self.x, self.f0, self.known, self.method = f, x, f0, known, method
        self.sides = np.full(x.size, method or 0, dtype=np.int8)
        self.calls = np.zeros(x.size, dtype=np.int64)

    def each(self, columns: NDArray[np.intp], value: Array, error: Array) -> None:
        """Fill these columns; where f is finite nowhere near, leave them as they are."""
        for j in columns:
            self.calls[j], found = self._along(partial(self._moved, j), float(self.x[j]))
            if found is not None:
                value[self.known, j], error[self.known, j], self.sides[j] = found

    def _moved(self, j: int, t: float) -> Array:
        point = self.x.copy()
        point[j] = t
        return point

    def _shifted(self, unit: Array, t: float) -> Array:
        return self.x + t * unit

    def along_all(self, wanted: NDArray[np.bool_], finite: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Differentiate each value by its own entry of x, all of them moving at once.

        In units of x and of max(1, abs(x)): which is better depends on the function, so the smaller bar is taken.
        """
        value, error = np.zeros(self.f0.size), np.zeros(self.f0.size)
        here = np.broadcast_to(wanted, self.f0.shape)
        value[here], error[here] = np.nan, np.inf
        size = np.abs(self.x)
        first, second = np.maximum(1.0, size), np.where(size > 0, size, 1.0)
        for scale in [first] if np.array_equal(first, second, equal_nan=True) else [first, second]:
            unit = np.where(wanted & finite, scale, 0.0)
            spent, found = self._along(partial(self._shifted, unit), 0.0)
            self.calls += spent
            if found is not None:
                own = np.broadcast_to(scale, self.f0.shape)[self.known]
                new, bar = found[0] / own, found[1] / own
                better = here[self.known] & (bar < error[self.known])
                at = np.flatnonzero(self.known)[better]
                value[at], error[at] = new[better], bar[better]
                self.sides[:] = found[2]
        return value, error

    def _along(self, place: Callable[[float], Array], t0: float) -> tuple[int, tuple[Array, Array, int] | None]:
        """Evaluations; and the derivative along a line, its bar and side, or None where f is finite nowhere near."""
        if not self.known.any():
            return 0, None
        bounds = {1: (t0, np.inf), -1: (-np.inf, t0)}.get(self.method or 0)
        plan = Jacobian(lambda t: self.f(place(float(t[0])))[self.known], method="adaptive", bounds=bounds)
        count = int(self.known.sum())
        error, step, found = np.empty((1, count)), np.empty(1), np.zeros((1, count), dtype=np.uint8)
        start = np.array([t0])
        try:
            jac, nfev = plan.evaluate(start, f0=self.f0[self.known], error=error, step=step, found=found)
        except NonFiniteError as failure:
            return failure.nfev, None
        value, bar, side = jac[:, 0], error[0], self.method or 0
        single = (found[0] & Finding.ONE_SIDED) != 0
        if self.method is None and single.any():
            side, nfev = 1 if self._has(place(t0 + step[0])) else -1, nfev + 1
        elif self.method == 0:
            # Central differences were asked for, and one side is not there.
            value, bar = np.where(single, np.nan, value), np.where(single, np.inf, bar)
        return nfev, (value, bar, side)

    def _has(self, point: Array) -> bool:
        """Whether f has values there."""
        try:
            return bool(np.isfinite(self.f(point)[self.known]).all())
        except (ArithmeticError, ValueError):  # the end of its domain, as for the plan
            return False


def propagate(fn: Callable[..., Any], x: ArrayLike, cov: ArrayLike, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Propagate a covariance through a function with the signature of `jacobi.propagate`: C' = J C J^T.

    Parameters
    ----------
    fn : callable
        ``fn(x, ...)`` returns a number or (m,) values.
    x : float or (n,) array_like
    cov : float, (n,) or (n, n) array_like
        Covariance of x; one-dimensional: variances of independent components.
    *args
        Further arguments of `fn`, independent of x and of one another, each followed by its covariance.
    **kwargs
        For `jacobi`. A `mask` may be one for all arguments, or a list of one for each.

    Returns
    -------
    y, ycov : float or ndarray
        fn(x, ...), and its covariance: (m, m), or a number for a number. Where each value depends on its own entry of x
        alone, variances give variances, (m,), and a NaN stays where it is.

    Examples
    --------
    >>> from fdcore.compat.jacobi import propagate
    >>> y, ycov = propagate(lambda x, c: c * x[0] * x[1], [2.0, 3.0], [0.1, 0.2], 2.0, 0.0)
    >>> float(y), round(float(ycov), 9)
    (12.0, 6.8)
    """
    if len(args) % 2:
        raise ArgumentError(f"number of extra arguments must be even, each with its covariance; there are {len(args)}")
    points = [np.array(a, dtype=np.float64) for a in (x, *args[::2])]
    spreads = [np.array(c, dtype=np.float64) for c in (cov, *args[1::2])]
    for point, spread in zip(points, spreads, strict=True):
        if point.ndim > 1 or spread.shape not in ((point.shape), 2 * point.shape):
            raise ShapeError(f"an argument of shape {point.shape} cannot have a covariance of shape {spread.shape}")
    y = _floats(fn(*(point.copy()[()] for point in points)))
    if y.ndim > 1:
        raise ShapeError(f"the function must return a number or a vector, not shape {y.shape}")
    masks = kwargs.pop("mask", None)
    apart = masks is not None and len(masks) == len(points) and all(np.ndim(mask) == 1 for mask in masks)
    total: Array = np.zeros(())
    for k, (point, spread) in enumerate(zip(points, spreads, strict=True)):

        def alone(moved: Any, k: int = k) -> Any:
            return fn(*(moved if i == k else other.copy()[()] for i, other in enumerate(points)))

        mask = masks[k] if apart else masks
        jac, _ = jacobi(alone, point, mask=None if mask is None else np.asarray(mask, dtype=bool), **kwargs)
        own = _spread(np.asarray(jac), spread, y, point, bool(kwargs.get("diagonal")))
        # Variances beside a covariance are its diagonal.
        if own.ndim == 1 and total.ndim == 2:
            own = np.diag(own)
        elif own.ndim == 2 and total.ndim == 1:
            total = np.diag(total)
        total = total + own
    return y[()], total[()]


def _spread(jac: Array, cov: Array, y: Array, x: Array, diagonal: bool) -> Array:
    """J C J^T for what shapes there are."""
    if x.ndim == 0:
        return np.multiply.outer(jac, jac) * cov
    if y.shape == x.shape and not diagonal:
        off = jac[~np.eye(x.size, dtype=bool)]
        if np.all((off == 0) | np.isnan(off)):
            jac, diagonal = np.diag(jac), True
    if diagonal:
        return jac**2 * cov if cov.ndim == 1 else np.multiply.outer(jac, jac) * cov
    full = np.diag(cov) if cov.ndim == 1 else cov
    return np.asarray(jac @ full @ jac.T)
