"""Derivatives by one call: adapt the callable, make a plan, run it, give back what the caller's x looked like."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore import callbacks
from fdcore.chosen import Once, choose_each, method_for
from fdcore.coerce import as_vector, check_out
from fdcore.errors import ArgumentError, ComplexValuesError, ShapeError
from fdcore.extended import Shaped, at_extended, each_extended, is_extended, one_row
from fdcore.fdcore import plain_gradient
from fdcore.plan import Gradient, Jacobian
from fdcore.plan import full_output as _full
from fdcore.pointwise import Pointwise
from fdcore.progress import with_progress
from fdcore.results import Result, Status
from fdcore.selectors import Choice, StepPolicy
from fdcore.steps import sides
from fdcore.tree import Tree, flatten

Array = NDArray[np.float64]

_NONE: tuple[Any, ...] = ()


class _OfTree:
    """A function of a tree, as a function of the flat vector; picklable where f and the tree are."""

    def __init__(self, f: Callable[..., Any], tree: Tree) -> None:
        self.f, self.tree = f, tree

    def __call__(self, x: Array, *args: Any, **kwargs: Any) -> Any:
        return self.f(self.tree.unflatten(x), *args, **kwargs)


def derivative(
    f: Any,
    x: ArrayLike,
    *,
    order: int = 1,
    method: str = "central",
    accuracy: int | None = None,
    step: ArrayLike | StepPolicy | None = None,
    rel_step: ArrayLike | None = None,
    abs_step: ArrayLike | None = None,
    bounds: Any = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    noise: Any = None,
    budget: int | None = None,
    full_output: bool = False,
    out: Array | None = None,
) -> Any:
    """Derivative of a scalar function of one variable, by finite differences.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs) -> float`` for a float x.
    x : float or array_like
        Where; each entry by itself. Never changed.
    order : int, default 1
        Order of the derivative, 1 to 8.
    method, accuracy
        As for `gradient`; "complex" and "adaptive" have order 1 only.
    step, rel_step, abs_step, bounds
        As for `gradient`; a number, or one for each entry of x.
    args, kwargs
        What f gets after x.
    noise, budget
        As for `gradient`.
    full_output : bool, default False
        Return a `Result` with error bars; see `gradient` for what it costs.
    out : ndarray, optional
        float64 array of x's shape that gets the result.

    Returns
    -------
    float, ndarray or Result
        A float for a scalar x, else of x's shape.

    Notes
    -----
    Cost for each entry of x: central of order d and accuracy p ``2 * ((d + 1) // 2) + p - 2`` evaluations, and f(x)
    where d is even; forward and backward ``d + p``. Weights are exact rationals (see `weights`); the step balances
    truncation and rounding: see `Stencil.step`. Errors are those of `gradient`.

    Examples
    --------
    >>> import math, fdcore as fd
    >>> round(fd.derivative(math.sin, 0.0), 9)
    1.0
    >>> fd.derivative(math.exp, [0.0, 1.0], order=2, accuracy=4).round(7)
    array([1.       , 2.7182818])
    """
    points = np.asarray(x)
    shape = points.shape
    if is_extended(points) and callbacks.recognise(f) is None:
        given = dict(locals())
        results = [at_extended(f, points.reshape(-1)[i : i + 1], True, order, given) for i in range(points.size)]
        return each_extended(results, shape, full_output)
    once: Once | None = None
    if isinstance(step, StepPolicy):
        if order != 1:
            raise ArgumentError(
                "step selectors are for first derivatives; for a higher order give a number, or nothing"
            )
        method = method_for(step, method, accuracy, noise, budget)
        f = once = Once(f, args, kwargs)
        args, kwargs = (), None
        chosen = choose_each(step, once, points.reshape(-1), bounds)
        if step.gives_value:
            return _chosen(chosen, once.nfev, step, shape, full_output, out)
        step = np.array([choice.step for choice in chosen])
    settings: dict[str, Any] = {"step": step, "rel_step": rel_step, "abs_step": abs_step}
    for name, value in settings.items():
        settings[name] = np.ravel(value) if np.ndim(value) > 1 else value
    plan = Pointwise(
        f, method=method, accuracy=accuracy, bounds=bounds, args=args, kwargs=kwargs, noise=noise, budget=budget,
        **settings,
    )  # fmt: skip
    if order != 1:
        if order not in range(2, 9):
            raise ArgumentError(f"order must be 1 to 8, not {order!r}")
        if plan.name in ("complex", "adaptive"):
            raise ArgumentError(
                f"method={plan.name!r} gives first derivatives only; use a central rule for higher ones"
            )
        plan.use_order(int(order))
    if out is not None:
        check_out(out, shape)
    vector = np.array(as_vector(points.reshape(-1)))

    def shaped(values: Any) -> Any:
        return values.reshape(shape) if shape else values[0].item()

    noisy = plan.memo is not None and "how" in plan.memo
    value = np.empty(vector.size)
    if not full_output:
        try:
            if noisy:
                value = plan.each_noisy(vector, order, full=False).value
            else:
                plan.pointwise(vector, out=value)
        except ComplexValuesError:
            _check_real(out)
            return shaped(plan.each_complex(vector, order, full=False).value)
    if full_output:
        result = plan.full_at(vector, (), order)
        if once is not None:
            result = replace(result, nfev=once.nfev)
        value = result.value
        result = replace(result, **{name: shaped(getattr(result, name)) for name in _SHAPED if _has(result, name)})
    if out is not None:
        out[...] = value.reshape(shape)
        if not full_output:
            return out
    return result if full_output else shaped(value)


def gradient(
    f: Any,
    x: Any,
    *,
    method: str = "central",
    accuracy: int | None = None,
    step: ArrayLike | StepPolicy | None = None,
    rel_step: ArrayLike | None = None,
    abs_step: ArrayLike | None = None,
    bounds: Any = None,
    args: tuple[Any, ...] = _NONE,
    kwargs: Mapping[str, Any] | None = None,
    workers: Any = None,
    vectorized: bool = False,
    noise: Any = None,
    budget: int | None = None,
    full_output: bool = False,
    out: Array | None = None,
    progress: Any = None,
) -> Any:
    """Gradient of a scalar function, by finite differences.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs) -> float``. It gets float64 arrays of x's shape (or a tree like x) and must not write to
        them. Native callbacks (see `native`) run without the GIL, on all cores.
    x : array_like or tree
        Where; of any shape, or a dict, list, tuple or dataclass of arrays, nested as you like. Never changed.
    method : {"central", "forward", "backward", "five-point", "complex", "adaptive"}, default "central"
        SciPy's "2-point", "3-point" and "cs" mean forward, central and complex. The complex step needs an f that is
        analytic and takes complex arrays. "adaptive" finds the step from f itself, whatever its scale, noise or domain,
        and gives trustworthy error bars (`full_output`); a ValueError or ArithmeticError of f away from x counts as the
        end of its domain. It warns (`FdcoreWarning`) where f has no derivative.
    accuracy : int, optional
        Order of the truncation error: 2, 4, 6 or 8 for central (2 by default), 1 to 8 for forward and backward (1).
    step, abs_step : float or (n,) array_like, optional
        Absolute step, in the units of x. `step` may also be a policy from `fdcore.selectors`, which looks at f along
        each component first, within the bounds, and says which method its step is for; `accuracy`, `noise` and `budget`
        are not for it. It costs what its notes say for each component; the plan `Gradient` chooses once for many x.
    rel_step : float or (n,) array_like, optional
        Step relative to abs(x). By default the step is ``c * max(1, abs(x))`` with the c that balances truncation and
        rounding when f and its derivatives are of size one: 6.9e-6 for central, 2.1e-8 for forward.
    bounds : (lower, upper) or scipy.optimize.Bounds, optional
        No evaluation point leaves the box: the stencil shrinks or becomes one-sided, at the same order.
    args, kwargs
        What f gets after x.
    workers : int, executor or map, optional
        Native f: threads, all cores by default where the work is worth it. Python f: an Executor, a Pool, or a function
        like map; an int runs threads on free-threaded Python only.
    vectorized : bool, default False
        f takes x of shape (k, n) and returns (k,).
    noise : float, array_like, NoiseLevel or "measure", optional
        Absolute error of one value of f (or of each of its m values), random or not: float32 inside, a solver's
        tolerance. Steps are then chosen for it and, where `accuracy` is not given, the order, within `budget` (6 by
        default; more where f turns out to vary faster than the first step supposes). "measure" measures it first, in 6
        evaluations or a few times as many, once for a plan; see `noise_level`. By default values are taken to be off by
        their rounding; "adaptive" finds noise out by itself, at more evaluations.
    budget : int, optional
        Most evaluations for one component of x, f(x) aside: for "adaptive" 9 or more, 160 by default; for other methods
        it chooses the accuracy.
    full_output : bool, default False
        Return a `Result` with error bars; costs as many evaluations again, f(x), and two more for each component, and
        up to 80 for those where these disagree; nothing more with "adaptive"; with `noise`, two for each step tried.
    out : ndarray, optional
        Array of x's shape, float64, that gets the result.
    progress : True or callable, optional
        Show how far it has come: a bar (tqdm's where that is installed) on stderr from half a second on, or
        ``progress(done, total, info)`` ten times a second and at the end, with the evaluations done, those expected in
        all (or None) and a `Progress`, which knows the rate and the time left. What the callback raises comes through.

    Returns
    -------
    ndarray, float, tree or Result
        Of x's shape or structure.

    Raises
    ------
    NonFiniteError
        f is NaN or inf at x, or on both sides of it for all steps tried. Where one side is finite, that side is used
        (see `Result`, `status`).
    InputMutatedError
        f writes to its argument.
    Exception
        Whatever f raises, as the same object with a note; `EvaluationError` counts as NaN.

    Notes
    -----
    Cost: n * accuracy evaluations, one more for forward and backward. The divisor is the displacement really made.
    f may have complex values: so has the result, and bars are of its modulus. Results are float64, also for x in
    float32, at whose double values f is evaluated. For an array x in long double a Python f is evaluated, and the
    result given, in that type, by a slower path that has no workers, noise or adaptive steps; `derivative` and
    `jacobian` do the same, everything else converts to float64.
    Method "adaptive" costs 8 n + 1 where f is smooth on the scale of x, and more where it has to look for one.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> fd.gradient(lambda x: np.sum(x**2), [1.0, 2.0]).round(9)
    array([2., 4.])
    >>> fd.gradient(lambda p: p["w"] @ p["w"] + 3 * p["b"], {"w": np.array([1.0, 2.0]), "b": 0.5})["w"].round(9)
    array([2., 4.])
    """
    if progress is not None:
        return with_progress(gradient, locals())
    if (
        type(f) in callbacks.PYTHON and method == "central" and accuracy is None and step is None and rel_step is None
        and abs_step is None and bounds is None and args is _NONE and kwargs is None and workers is None
        and not vectorized and noise is None and budget is None and not full_output
    ):  # fmt: skip
        try:
            value = plain_gradient(f, x, out)
        except ComplexValuesError:
            value = None  # the long way looks after it
        if value is not None:
            return value
    if is_extended(x) and callbacks.recognise(f) is None:
        flat, shape = x.reshape(-1), x.shape
        return one_row(at_extended(Shaped(f, shape), flat, False, 1, locals()), shape, full_output)
    flat, tree = _flat(x)
    plan = Gradient(
        f if tree is None else _on_tree(f, tree, vectorized),
        method=method,
        accuracy=accuracy,
        step=_flat_setting(step, tree),
        rel_step=_flat_setting(rel_step, tree),
        abs_step=_flat_setting(abs_step, tree),
        bounds=_flat_bounds(bounds, tree),
        args=args,
        kwargs=kwargs,
        workers=workers,
        vectorized=vectorized,
        noise=noise,
        budget=budget,
    )
    if tree is None:
        if not full_output:
            return plan(flat, out=out)
        return _full(plan, as_vector(flat), (), out)
    if out is not None:
        if not tree.is_array:
            raise ArgumentError("out needs x to be one array; for a tree, leave it out")
        check_out(out, np.shape(x))
    try:
        derived: Any = _full(plan, flat) if full_output else plan(flat)
    except Exception as error:
        _name_entries(error, tree)
        raise
    if full_output:
        result: Result = derived
        parts = {name: _unflat(getattr(result, name), tree) for name in _SHAPED if _has(result, name)}
        if out is not None:
            out[...] = parts["value"]
        return replace(result, **parts)
    value = _unflat(derived, tree)
    if out is not None:
        out[...] = value
        return out
    return value


def jacobian(
    f: Any,
    x: ArrayLike,
    *,
    method: str = "central",
    accuracy: int | None = None,
    step: ArrayLike | StepPolicy | None = None,
    rel_step: ArrayLike | None = None,
    abs_step: ArrayLike | None = None,
    bounds: Any = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    workers: Any = None,
    vectorized: bool = False,
    noise: Any = None,
    budget: int | None = None,
    sparsity: Any = None,
    vjp: Callable[..., Any] | None = None,
    full_output: bool = False,
    out: Array | None = None,
    progress: Any = None,
) -> Any:
    """Jacobian of a vector function, by finite differences.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs) -> (m,)`` for x of shape (n,); a scalar counts as m = 1. A native vector callback needs
        ``native(f, m=...)``.
    x : (n,) array_like
        Where. Never changed.
    method, accuracy, step, rel_step, abs_step, bounds, args, kwargs, workers, noise, budget, full_output
        As for `gradient`. A policy as `step` chooses for the mean of the values that a column moves, each relative to
        its size at x, which one more evaluation a column tells; not with `sparsity`.
    vectorized : bool, default False
        f takes x of shape (k, n) and returns (k, m).
    sparsity : "detect", pattern or (pattern, colours), optional
        Which entries may be different from zero: a scipy.sparse matrix (all stored entries count, whatever their
        value), a dense (m, n) mask, or ``(rows, columns, (m, n))``; columns that have no row in common are then
        perturbed by the same evaluations. `colours` is a colour for each column, as `color_columns` gives; by default
        columns are coloured in natural order, while the plan `Jacobian` takes the time for the best. "detect" finds the
        pattern by `detect_sparsity` at x.
    vjp : callable, optional
        With `sparsity`: ``vjp(x, v, *args, **kwargs) -> (n,)`` returns ``v @ J``, exactly (reverse mode). Where that
        takes fewer products in all, rows that are dense are taken from it, a group of them by one call with 0 and 1 in
        v, and columns need colours for the others only; see `color_bidirectional`, whose result can be passed as
        ``sparsity=(pattern, (columns, rows))``. An arrow-shaped matrix then takes 2 groups of columns and one of rows
        instead of n. Error bars of entries from `vjp` are those of exact values.
    out : (m, n) ndarray, optional
        float64 array that gets the result, in any memory order.
    progress : True or callable, optional
        As for `gradient`.

    Returns
    -------
    (m, n) ndarray, scipy.sparse matrix or Result
        ``J[i, j]`` is the derivative of f_i with respect to x_j. In column-major memory order unless `out` is given.
        With `sparsity`: in CSC form if the pattern is, else in CSR form; a csr_matrix or csc_matrix for patterns of
        that kind, else a csr_array or csc_array.

    Notes
    -----
    Cost: n * accuracy + 1 evaluations; with `sparsity`, the number of colours instead of n, and with `vjp` one of its
    calls for each colour of rows, counted as an evaluation. Errors are those of
    `gradient`. A pattern that lacks an entry gives wrong values in its row, which `detect_sparsity` can guard against.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> fd.jacobian(lambda x: np.array([x[0] * x[1], x[0] ** 2]), [2.0, 3.0]).round(8)
    array([[3., 2.],
           [4., 0.]])
    """
    if progress is not None:
        return with_progress(jacobian, locals())
    if is_extended(x) and callbacks.recognise(f) is None:
        if np.ndim(x) != 1:
            raise ShapeError(f"x must be one-dimensional, not of shape {np.shape(x)}; pass x.ravel()")
        result = at_extended(f, x, False, 1, locals())
        return result if full_output else result.value
    plan = Jacobian(
        f,
        method=method,
        accuracy=accuracy,
        step=step,
        rel_step=rel_step,
        abs_step=abs_step,
        bounds=bounds,
        args=args,
        kwargs=kwargs,
        workers=workers,
        vectorized=vectorized,
        noise=noise,
        budget=budget,
        sparsity=sparsity,
        vjp=vjp,
        order="natural",
    )
    if full_output:
        return plan.full(x, out=out)
    return plan(x, out=out)


def _chosen(chosen: list[Choice], nfev: int, policy: StepPolicy, shape: Any, full_output: bool, out: Any) -> Any:
    """Give derivatives at points that came with the choice of a step, in the shape of x."""

    def shaped(values: list[float]) -> Any:
        array = np.array(values, dtype=np.float64)
        return array.reshape(shape) if shape else array.item()

    value = shaped([math.nan if choice.value is None else choice.value for choice in chosen])
    if out is not None:
        check_out(out, shape)
        out[...] = value
        value = out
    if not full_output:
        return value
    error = shaped([math.inf if choice.error is None else choice.error for choice in chosen])
    step, status = shaped([choice.step for choice in chosen]), shaped([Status.RULE for _ in chosen])
    return Result(value, error, step, nfev, status, type(policy).__name__)


def _flat(x: Any) -> tuple[Array, Tree | None]:
    """X as a vector, and its structure where it is not a plain one."""
    if isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype != object:
        return x, None
    if isinstance(x, (list, tuple)) and not x:
        return np.empty(0), None
    vector, tree = flatten(x)
    return (vector, None) if tree.is_array and tree.leaves[0].shape == vector.shape else (vector, tree)


_SHAPED = ("value", "error", "step", "status", "findings")


def _check_real(out: Array | None) -> None:
    if out is not None:
        raise ArgumentError("f has complex values, which do not fit a float64 `out`; leave it out")


def _has(result: Result, name: str) -> bool:
    return getattr(result, name) is not None


def _flat_bounds(bounds: Any, tree: Tree | None) -> Any:
    """Give bounds in the shape of x as vectors."""
    pair = sides(bounds)
    if tree is None or not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return bounds
    return tuple(_flat_setting(side, tree) for side in pair)


def _on_tree(f: Any, tree: Tree, vectorized: bool) -> Any:
    if vectorized:
        raise ArgumentError("vectorized needs x to be a vector of shape (n,)")
    native = callbacks.recognise(f)
    # A model's kernel knows its parameters in one order; the tree may have them in another.
    layout = getattr(f, "layout", None) if native is not None and not tree.is_array else None
    if native is None or (layout is not None and layout != tuple((leaf.name, leaf.shape) for leaf in tree.leaves)):
        return _OfTree(f, tree)
    return native


def _flat_setting(value: Any, tree: Tree | None) -> Any:
    """Give a step per component, in the shape of x, as a vector."""
    if tree is None or value is None or (np.ndim(value) == 0 and not isinstance(value, dict)):
        return value
    return flatten(value)[0]


def _name_entries(error: BaseException, tree: Tree) -> None:
    """Say what the components of the vector that an error speaks of are called in the caller's x."""
    if tree.is_array and len(tree.leaves[0].shape) == 1:
        return
    text = " ".join((str(error), *getattr(error, "__notes__", ())))
    numbers = sorted({int(number) for number in re.findall(r"\bx\[(\d+)\]", text)})
    names = [f"x[{j}] is {tree.name(j)}" for j in numbers if j < tree.size]
    if names:
        error.add_note("of x as one vector, " + ", ".join(names))


def _unflat(value: Array, tree: Tree) -> Any:
    """Turn a vector into the structure of x; an array where x was a list of numbers, a float where it was a number."""
    built = tree.unflatten(value)
    return built.item() if tree.is_array and built.ndim == 0 else built
