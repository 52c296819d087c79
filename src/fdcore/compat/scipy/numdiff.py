"""`scipy.optimize._numdiff`: SciPy's steps and signatures, fdcore's plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fdcore import callbacks
from fdcore._extras import require
from fdcore.errors import ArgumentError, BoundsError, NonFiniteError, ShapeError
from fdcore.fdcore import Native
from fdcore.plan import Jacobian
from fdcore.sparsity import Pattern
from fdcore.steps import sides

__all__ = ["approx_derivative", "approx_fprime", "check_derivative", "group_columns"]

Array = NDArray[np.float64]

_POWER = {"2-point": 1 / 2, "3-point": 1 / 3, "cs": 1 / 2}
_METHODS = (*_POWER, "adaptive")


class ManyDimensionsError(ShapeError, RuntimeError):
    """What SciPy raises of a function that returns a matrix is a RuntimeError; so is this."""


class _Function:
    """The function with its arguments, for x of its own dtype; picklable where it is."""

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], dtype: Any) -> None:
        self.fun, self.args, self.kwargs, self.dtype = fun, tuple(args), dict(kwargs), dtype

    def own(self, x: Any) -> Any:
        """Evaluate it, whatever type its values have."""
        # Complex steps are taken in double precision, as in SciPy.
        point = x if x.dtype.kind == "c" else x.astype(self.dtype, copy=False)
        return self.fun(point, *self.args, **self.kwargs)

    def __call__(self, x: Any) -> Any:
        values = self.own(x)
        dtype = getattr(values, "dtype", None)
        # The step allows for low precision already; the plan need not find out.
        return values.astype(np.float64) if dtype is not None and dtype.kind == "f" and dtype.itemsize < 8 else values


class _Mapper:
    """A map as SciPy calls it, ``workers(fun, points)``, as what fdcore's plans call."""

    def __init__(self, workers: Callable[..., Iterable[Any]]) -> None:
        self.workers = workers

    def __call__(self, evaluate: Any, points: list[tuple[Any, ...]]) -> list[tuple[int, Any]]:
        # SciPy's maps keep the order; fdcore's plans take numbered results in any.
        return list(enumerate(self.workers(evaluate.f, [x for *_, x in points])))


def approx_derivative(
    fun: Any,
    x0: ArrayLike,
    method: str = "3-point",
    rel_step: ArrayLike | None = None,
    abs_step: ArrayLike | None = None,
    f0: ArrayLike | None = None,
    bounds: Any = (-np.inf, np.inf),
    sparsity: Any = None,
    as_linear_operator: bool = False,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    full_output: bool = False,
    workers: Any = None,
) -> Any:
    """Finite-difference Jacobian with the signature and the steps of `scipy.optimize`'s ``approx_derivative``.

    Parameters
    ----------
    fun : callable or native callback
        ``fun(x, *args, **kwargs)`` returns a number or (m,) values, for x of shape (n,) and of x0's dtype if that is a
        floating one.
    x0 : (n,) array_like or float
    method : {"3-point", "2-point", "cs", "adaptive"}, default "3-point"
        Central differences, one-sided ones, the complex step; or, which SciPy does not have, steps from the function
        itself with error bars, for dense results.
    rel_step, abs_step : float or (n,) array_like, optional
        Step relative to abs(x0), or absolute. For "2-point", the sign says which side. By default
        ``s * sign(x0) * max(1, abs(x0))``, s being a root of the precision of x0 or of the values of `fun`, whichever
        is less precise: the second for "2-point", the third for "3-point". The complex step defaults to fdcore's.
    f0 : float or (m,) array_like, optional
        ``fun(x0)``, which is then not evaluated.
    bounds : (lower, upper) or scipy.optimize.Bounds
        No evaluation is outside: steps turn around, shrink, or become one-sided.
    sparsity : (m, n) array_like or sparse matrix, or (structure, groups), optional
        Where the Jacobian may be different from zero; and a group for each column, as from `group_columns`.
    as_linear_operator : bool, default False
        Return a `scipy.sparse.linalg.LinearOperator`.
    args, kwargs
        What `fun` gets after x.
    full_output : bool, default False
        Return a dict as well.
    workers : map or int, optional
        ``workers(fun, points)`` evaluates at many points; an int means so many processes, or, for a native callback and
        on free-threaded Python, threads.

    Returns
    -------
    J : (m, n) ndarray, csr_array, csr_matrix or LinearOperator
        (n,) if dense and m is 1. Of the type that x0 and the values of `fun` promote to, float64 for integers.
    info : dict
        With `full_output`: ``nfev``, how often `fun` was evaluated here; with "adaptive" also ``error`` and ``status``
        (a `Finding` for each entry), of J's shape.

    Raises
    ------
    ValueError
        x0 outside the bounds or with more than one dimension, unknown method, groups that do not fit the structure, a
        complex step of a function that is not analytic.
    RuntimeError
        `fun` returns an array of more than one dimension.

    Notes
    -----
    Cost: n evaluations for "2-point" and "cs", 2 n for "3-point", 8 n for "adaptive" on smooth functions, and f0. With
    `sparsity`, the number of groups instead of n. "cs" takes 4 more to see that `fun` is analytic. Where `fun` is NaN
    or infinite at the points of a component, other points are tried; what is not finite then is NaN in the result, as
    in SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.compat.scipy import approx_derivative
    >>> approx_derivative(lambda x, c: np.array([c * x[0], x[0] * x[1]]), [1.0, 2.0], args=(3.0,)).round(9)
    array([[3., 0.],
           [2., 1.]])
    """
    if method not in _METHODS:
        raise ArgumentError(f"method must be one of {', '.join(map(repr, _METHODS))}; not {method!r}")
    x = np.atleast_1d(np.asarray(x0))
    if x.ndim > 1:
        raise ShapeError(f"x0 must have at most one dimension, not shape {x.shape}")
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    lb, ub = _prepare_bounds(bounds, x)
    if as_linear_operator and not np.all(np.isinf(lb) & np.isinf(ub)):
        raise ArgumentError("bounds are not supported with as_linear_operator=True; leave one of the two out")
    outside = np.flatnonzero((x < lb) | (x > ub))
    if outside.size:
        j = outside[0]
        raise BoundsError(f"x0[{j}] = {x[j]} is outside its bounds, {lb[j]} to {ub[j]}")

    native = callbacks.recognise(fun)
    f: Any = native
    if native is None:
        f = fun if x.dtype == np.float64 and not args and not kwargs else _Function(fun, args, kwargs or {}, x.dtype)
    given = f0 is not None
    value = np.atleast_1d(np.asarray(f0 if given else _value(f, x)))
    if value.ndim > 1:
        kind = ShapeError if given else ManyDimensionsError
        raise kind(f"{'f0' if given else 'the value of fun'} has shape {value.shape}; give a number or a vector")
    if native is None and value.dtype.kind == "f" and value.dtype.itemsize < 8 and not isinstance(f, _Function):
        f = _Function(fun, (), {}, x.dtype)
    if as_linear_operator:
        operator = _operator(f, x, value, method, rel_step)
        return (operator, {"nfev": 0 if given else 1}) if full_output else operator

    # What the values are in double precision; of these dtypes the default steps know.
    point, values = x.astype(np.float64), np.array(value, dtype=np.float64)
    info: dict[str, Any] = {}
    with _mapped(workers, native is not None) as mapper:
        if method == "adaptive":
            if sparsity is not None or rel_step is not None or abs_step is not None:
                raise ArgumentError("method='adaptive' chooses its steps, and is for dense Jacobians")
            plan = Jacobian(f, method="adaptive", bounds=(lb, ub), workers=mapper)
            error, found = np.empty((x.size, values.size)), np.zeros((x.size, values.size), dtype=np.uint8)
            jac, nfev = plan.evaluate(point, f0=values, error=error, found=found)
            info = {"error": _squeezed(error.T), "status": _squeezed(found.T)}
        else:
            jac, nfev = _differences(
                f, method, x, value, values, _steps(method, x, value, rel_step, abs_step, lb, ub), sparsity,
                (lb, ub), mapper, rel_step is None and abs_step is None,
            )  # fmt: skip
    info["nfev"] = nfev + (not given)
    jac = (jac if sparsity is not None else _squeezed(jac)).astype(_precision(x, value), copy=False)
    return (jac, info) if full_output else jac


def approx_fprime(
    xk: ArrayLike, f: Callable[..., Any], epsilon: ArrayLike = 2.0**-26, *args: Any
) -> NDArray[np.float64]:
    """Forward differences with the signature of `scipy.optimize.approx_fprime`.

    Parameters
    ----------
    xk : (n,) array_like or float
    f : callable
        ``f(xk, *args)`` returns a number or (m,) values.
    epsilon : float or (n,) array_like
        Absolute step; where negative, to the other side.
    *args
        What `f` gets after `xk`.

    Returns
    -------
    (n,) or (m, n) ndarray

    Notes
    -----
    Cost: n + 1 evaluations. `fdcore.gradient` is far more accurate for 2 n.

    Examples
    --------
    >>> from fdcore.compat.scipy import approx_fprime
    >>> approx_fprime([1.0, 2.0], lambda x, c: c * x[0] * x[1], 1e-8, 3.0).round(6)
    array([6., 3.])
    """
    point = np.asarray(xk, dtype=float)
    jac: Array = approx_derivative(f, point, method="2-point", abs_step=epsilon, args=args)
    return jac


def check_derivative(
    fun: Callable[..., Any],
    jac: Callable[..., Any],
    x0: ArrayLike,
    bounds: Any = (-np.inf, np.inf),
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> float:
    """Compare a Jacobian with finite differences, with the signature of `scipy.optimize`'s ``check_derivative``.

    Parameters
    ----------
    fun, jac : callable
        ``fun(x, *args, **kwargs)`` and ``jac(x, *args, **kwargs)``, which may return a sparse matrix.
    x0 : (n,) array_like
    bounds : (lower, upper)
    args, kwargs
        What both get after x.

    Returns
    -------
    float
        The largest of the differences, relative to the entry where that is above 1. `fdcore.check_jacobian` says what
        to make of it.

    Examples
    --------
    >>> from fdcore.compat.scipy import check_derivative
    >>> check_derivative(lambda x: x**2, lambda x: [2 * x], [3.0]) < 1e-8
    True
    """
    given = jac(np.array(np.atleast_1d(x0), dtype=float), *args, **(kwargs or {}))
    options: dict[str, Any] = {"bounds": bounds, "args": args, "kwargs": kwargs}
    if hasattr(given, "tocsr"):
        entries = given.tocsr().tocoo()
        numeric = approx_derivative(fun, x0, sparsity=given, **options).tocsr()
        # One by one: both may store what the other does not.
        apart = abs(given.tocsr() - numeric).tocoo()
        size = np.maximum(1.0, abs(numeric).toarray()[apart.row, apart.col])
        return float(np.max(apart.data / size, initial=0.0)) if entries.nnz or apart.nnz else 0.0
    numeric = approx_derivative(fun, x0, **options)
    apart = np.abs(np.asarray(given, dtype=float).reshape(numeric.shape) - numeric)
    return float(np.max(apart / np.maximum(1.0, np.abs(numeric)), initial=0.0))


def group_columns(A: Any, order: Any = 0) -> NDArray[np.intp]:
    """Group columns that have no row in common, with the signature of `scipy.optimize`'s ``group_columns``.

    Parameters
    ----------
    A : (m, n) array_like or sparse matrix
        The pattern.
    order : int or (n,) array_like of int
        The order in which columns are taken. Any number, which is a seed in SciPy, means fdcore's best ordering: fewer
        groups than a random one.

    Returns
    -------
    (n,) ndarray of int
        The group of each column, from 0 on.

    Examples
    --------
    >>> from fdcore.compat.scipy import group_columns
    >>> group_columns([[1, 1, 0], [0, 1, 1]])
    array([0, 1, 0])
    """
    pattern = _structure(A)
    n = pattern.shape[1]
    if np.ndim(order) == 0:
        return pattern.color()[0].astype(np.intp)
    taken = np.asarray(order)
    if taken.shape != (n,) or not np.array_equal(np.sort(taken), np.arange(n)):
        raise ArgumentError(f"order must hold each of the {n} columns once")
    start, index = pattern.columns
    moved = [index[start[j] : start[j + 1]] for j in taken]
    rows = np.concatenate([np.empty(0, dtype=np.int64), *moved]).astype(np.int64)
    columns = np.repeat(np.arange(n), [len(rows) for rows in moved])
    groups = np.empty(n, dtype=np.intp)
    groups[taken] = Pattern.of((rows, columns, pattern.shape)).color("natural")[0]
    return groups


def _structure(A: Any) -> Pattern:
    """Read a pattern as SciPy does: by rows, and without the zeros that are stored."""
    if hasattr(A, "tocsr") and hasattr(A, "nnz"):
        A = A.tocsr(copy=True)
        A.eliminate_zeros()
    elif not isinstance(A, Pattern):
        A = np.atleast_2d(np.asarray(A))
    return Pattern.of(A)


def _value(f: Any, x: NDArray[Any]) -> Any:
    """Evaluate f at x, with a copy of it, since f may keep what it gets."""
    if not isinstance(f, Native):
        return f.own(x.copy()) if isinstance(f, _Function) else f(x.copy())
    if f.probed:
        return f(x.astype(np.float64))
    value = callbacks.probe(f, x.astype(np.float64))
    f.probed = True
    return value


def _precision(*arrays: NDArray[Any]) -> np.dtype[Any]:
    return np.result_type(*(a.dtype if a.dtype.kind == "f" else np.float64 for a in arrays))


def _squeezed(jac: NDArray[Any]) -> NDArray[Any]:
    return jac[0] if jac.shape[0] == 1 else jac


def _mapped(workers: Any, native: bool) -> Any:
    """Give a context with what fdcore's plans take for workers."""
    if workers is None or native:
        return nullcontext(workers)
    if callable(workers):
        return nullcontext(None if workers is map else _Mapper(workers))
    if workers == 1:
        return nullcontext(None)
    count = None if workers == -1 else int(workers)
    return _Pool(count)


class _Pool(ProcessPoolExecutor):
    """Processes, as a context that gives a map."""

    def __enter__(self) -> Any:
        super().__enter__()
        return _Mapper(self.map)


def _steps(
    method: str, x: NDArray[Any], value: NDArray[Any], rel_step: Any, abs_step: Any, lb: Array, ub: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Give SciPy's signed steps, and which components are one-sided."""
    if abs_step is None:
        h = _compute_absolute_step(rel_step, x, value, method)
    else:
        sign = np.where(x >= 0, 1.0, -1.0)
        h = np.broadcast_to(np.asarray(abs_step, dtype=np.float64), x.shape)
        default = _eps_for_method(x.dtype, value.dtype, method) * sign * np.maximum(1.0, np.abs(x))
        h = np.where((x + h.astype(x.dtype)) - x == 0, default, h)
    if method == "cs":
        return np.abs(np.asarray(h, dtype=np.float64)), np.zeros(x.shape, dtype=bool)
    h, one_sided = _adjust_scheme_to_bounds(x, h, 1, "1-sided" if method == "2-point" else "2-sided", lb, ub)
    # The displacement that x makes in its own precision, so that a point is the same number in double precision.
    moved = (x + h.astype(x.dtype)) - x if x.dtype.itemsize < 8 else h
    return np.asarray(moved, dtype=np.float64), one_sided


def _differences(
    f: Any, method: str, x: NDArray[Any], value: NDArray[Any], f0: Array, steps: tuple[Array, NDArray[np.bool_]],
    sparsity: Any, bounds: tuple[Array, Array], workers: Any, by_default: bool,
) -> tuple[Any, int]:  # fmt: skip
    """Run a plan whose steps and sides are SciPy's; bounds at x itself make a component one-sided."""
    h, one_sided = steps
    groups = None
    if sparsity is not None:
        pair = isinstance(sparsity, tuple) and len(sparsity) == 2
        groups = _structure(sparsity[0] if pair else sparsity).groups(np.asarray(sparsity[1]) if pair else None)
    if not np.isfinite(x).all():
        jac, nfev = _with_gaps(f, method, x.astype(np.float64), f0, h, one_sided)
        return (jac if groups is None else groups.wrap(jac[groups.entries()]).copy()), nfev
    options: dict[str, Any] = {"workers": workers}
    point, mirror = x.astype(np.float64), None
    lower, upper = (np.array(side, dtype=np.float64) for side in bounds)
    if not (method == "cs" and by_default):
        options["abs_step"] = np.abs(h)
    if method == "2-point":
        options["method"] = "forward"
        back = h < 0
        if sparsity is not None and back.any() and callbacks.recognise(f) is None:
            # A group whose columns all go up takes one evaluation: differentiate in -x where x is to go down.
            mirror = np.where(back, -1.0, 1.0)
            f, point = _Mirrored(f, mirror), point * mirror
            lower, upper = np.where(back, -upper, lower), np.where(back, -lower, upper)
            back = np.zeros_like(back)
        lower, upper = np.where(back, lower, point), np.where(back, point, upper)
        options["bounds"] = (lower, upper)
    elif method == "3-point":
        options["method"] = "central"
        options["bounds"] = (np.where(one_sided & (h > 0), point, lower), np.where(one_sided & (h < 0), point, upper))
        if not one_sided.any() and np.isinf(lower).all() and np.isinf(upper).all():
            del options["bounds"]
    else:
        options["method"] = "complex"
    plan = Jacobian(f, **options)
    if groups is not None:
        plan.use_groups(groups)
    try:
        jac, nfev = plan.evaluate(point, f0=f0)
    except NonFiniteError as failure:
        jac, spent = _with_gaps(f, method, point, f0, np.abs(h) if mirror is not None else h, one_sided)
        jac, nfev = jac if groups is None else jac[groups.entries()], failure.nfev + spent
    if groups is None:
        return jac, nfev
    if mirror is not None:
        jac = jac * mirror[groups.entries()[1]]
    # A copy: index arrays that may be written to, as a caller of SciPy's expects.
    return groups.wrap(jac).copy(), nfev


class _Mirrored:
    """A function of s * x for signs s; picklable where the function is."""

    def __init__(self, f: Callable[[Any], Any], sign: Array) -> None:
        self.f, self.sign = f, sign

    def __call__(self, x: Array) -> Any:
        return self.f(x * self.sign)


def _with_gaps(f: Any, method: str, x: Array, f0: Array, h: Array, one_sided: NDArray[np.bool_]) -> tuple[Array, int]:
    """Differences where some are NaN, each entry by itself: what a plan refuses to give, and SciPy gives."""
    jac, nfev = np.full((f0.size, x.size), np.nan), 0

    def at(j: int, step: complex) -> NDArray[Any]:
        nonlocal nfev
        moved = x.astype(complex) if method == "cs" else x.copy()
        moved[j] += step
        nfev += 1
        return np.atleast_1d(np.asarray(f(moved)))

    for j in range(x.size):
        up, down = (x[j] + h[j]) - x[j], (x[j] - h[j]) - x[j]
        with np.errstate(all="ignore"):
            if method == "cs":
                jac[:, j] = at(j, 1j * h[j]).imag / h[j]
            elif method == "2-point":
                jac[:, j] = (at(j, up) - f0) / up
            elif one_sided[j]:
                jac[:, j] = (4 * at(j, up) - 3 * f0 - at(j, 2 * up)) / (2 * up)
            else:
                jac[:, j] = (at(j, up) - at(j, down)) / (up - down)
    return jac, nfev


def _operator(f: Any, x: NDArray[Any], value: NDArray[Any], method: str, rel_step: Any) -> Any:
    """Give the Jacobian as an operator, which moves x by `rel_step` along p."""
    if method == "adaptive":
        raise ArgumentError("as_linear_operator goes with the methods '2-point', '3-point' and 'cs'")
    linalg = require("scipy.sparse.linalg", extra="sparse", feature="as_linear_operator")
    step: float | None = None if rel_step is None else float(rel_step)
    if step is None and method != "cs":
        step = _eps_for_method(x.dtype, value.dtype, method)
    point, f0 = x.astype(np.float64), np.array(value, dtype=np.float64)

    def matvec(p: Array) -> Array:
        direction = np.ravel(p).astype(np.float64)
        # SciPy's step along p, unless x is so large that little of it would be left.
        size = float(np.linalg.norm(direction / np.maximum(1.0, np.abs(point) / 8.0)))
        if size == 0.0:
            return np.zeros(f0.size)
        plan = Jacobian(lambda t: f(point + (t[0] / size) * direction), method=method, abs_step=step)
        product: Array = plan(np.zeros(1), f0=f0)[:, 0] * size
        return product

    return linalg.LinearOperator((f0.size, x.size), matvec=matvec, dtype=np.float64)


# What SciPy's own tests, and some programs, import from scipy.optimize._numdiff.


def _eps_for_method(x0_dtype: DTypeLike, f0_dtype: DTypeLike, method: str) -> float:
    """Relative step: a root of the precision of the less precise of x and f(x)."""
    if method not in _POWER:
        raise ManyDimensionsError(f"method must be one of {', '.join(map(repr, _POWER))}; not {method!r}")
    eps = (np.finfo(d).eps for d in (x0_dtype, f0_dtype) if np.dtype(d).kind == "f")
    step: float = max([np.finfo(float).eps, *eps]) ** _POWER[method]
    return step


def _compute_absolute_step(rel_step: Any, x0: Any, f0: Any, method: str) -> Any:
    """Give signed steps ``rel_step * x0``, or the default ones where those vanish or are not given, of x0's type."""
    x0 = np.asarray(x0)
    dtype = x0.dtype if x0.dtype.kind == "f" else np.dtype(np.float64)
    sign = np.where(x0 >= 0, 1.0, -1.0)
    default = _eps_for_method(x0.dtype, np.asarray(f0).dtype, method) * sign * np.maximum(1.0, np.abs(x0))
    if rel_step is None:
        return default.astype(dtype)
    step = (np.asarray(rel_step) * sign * np.abs(x0)).astype(dtype)
    return np.where((x0 + step) - x0 == 0, default, step).astype(dtype)


def _prepare_bounds(bounds: Any, x0: NDArray[Any]) -> tuple[Array, Array]:
    """Lower and upper bounds as arrays of x0's shape."""
    lower, upper = (np.asarray(side, dtype=np.float64) for side in sides(bounds))
    for side in (lower, upper):
        if side.ndim and side.shape != x0.shape:
            raise ShapeError(f"inconsistent shapes: a bound has shape {side.shape} and x0 has {x0.shape}")
    return tuple(np.array(np.broadcast_to(side, x0.shape)) for side in (lower, upper))  # type: ignore[return-value]


def _adjust_scheme_to_bounds(
    x0: NDArray[Any], h: ArrayLike, num_steps: int, scheme: str, lb: Array, ub: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Steps that `num_steps` times over stay inside the bounds, and which components then are one-sided."""
    step = np.array(h, dtype=np.float64)
    above, below = ub - x0, x0 - lb
    room = np.maximum(above, below)
    if scheme == "1-sided":
        total = step * num_steps
        inside = (x0 + total >= lb) & (x0 + total <= ub)
        longest = np.where(above >= below, above, -below) / num_steps
        return np.where(inside, step, np.where(np.abs(total) <= room, -step, longest)), np.ones(step.shape, dtype=bool)
    if scheme != "2-sided":
        raise ArgumentError(f"scheme must be '1-sided' or '2-sided', not {scheme!r}")
    step = np.abs(step)
    both = np.minimum(above, below)
    central = both >= step * num_steps
    # Two points on the side with more room; unless a shorter step to both sides is no shorter than that.
    side = np.minimum(step, 0.5 * room / num_steps)
    shrunk = ~central & (side <= both / num_steps)
    one_sided = ~central & ~shrunk
    step = np.where(central, step, np.where(shrunk, both / num_steps, np.where(above >= below, side, -side)))
    return step, one_sided
