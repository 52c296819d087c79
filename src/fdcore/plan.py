"""Plans: a callable with stencil, steps, bounds and workers, built once and then called for one x after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore import callbacks
from fdcore.bidirectional import bidirectional_groups
from fdcore.coerce import as_vector, bind
from fdcore.errors import AnalyticityError, ArgumentError, ArgumentTypeError
from fdcore.fdcore import Engine, Groups, Native, cpu_count
from fdcore.results import Result
from fdcore.sparsity import Symmetric, detect, groups_of
from fdcore.stencils import Stencil, central, one_sided
from fdcore.steps import settings

Array = NDArray[np.float64]

_FORWARD, _BACKWARD, _CENTRAL = range(3)
_SIDES = ("lower", "upper")

# Name: (kernel method, accuracy by default, the accuracies it has).
_METHODS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "forward": (_FORWARD, 1, (1, 2, 3, 4, 5, 6, 7, 8)),
    "backward": (_BACKWARD, 1, (1, 2, 3, 4, 5, 6, 7, 8)),
    "central": (_CENTRAL, 2, (2, 4, 6, 8)),
    "five-point": (_CENTRAL, 4, (4,)),
    "adaptive": (_CENTRAL, 6, (6,)),
}
_ALIASES = {"2-point": "forward", "3-point": "central", "cs": "complex"}


def stencil_rule(method: str, accuracy: int | None) -> tuple[str, int, int]:
    """Canonical name, kernel method and accuracy."""
    name = _ALIASES.get(method, method) if type(method) is str else str(method)
    if name == "complex":
        if accuracy not in (None, 2):
            raise ArgumentError(
                f"accuracy={accuracy!r}: the complex step has no truncation error to choose an order for"
            )
        return name, _CENTRAL, 2
    if name not in _METHODS:
        known = ", ".join(repr(known) for known in (*_METHODS, "complex", *_ALIASES))
        raise ArgumentError(f"method must be one of {known}; not {method!r}")
    number, default, accuracies = _METHODS[name]
    if accuracy is None:
        accuracy = default
    elif accuracy not in accuracies:
        raise ArgumentError(f"accuracy must be one of {accuracies} for method {name!r}, not {accuracy!r}")
    return name, number, int(accuracy)


def _adaptive_settings(noise: Any, budget: Any) -> tuple[float, int]:
    if noise is not None and not (isinstance(noise, (int, float, np.number)) and 0 < noise < np.inf):
        raise ArgumentError(f"noise must be the absolute error of one value of f, a number > 0, not {noise!r}")
    if budget is not None and not (isinstance(budget, (int, np.integer)) and 9 <= budget <= 10**6):
        raise ArgumentError(f"budget must be a number of evaluations for each component, 9 or more, not {budget!r}")
    return float(noise or 0.0), int(budget or 0)


# Where the caller does not say: every processor, if the kernel finds the work worth it.
_ALL_IF_WORTH_IT = -cpu_count()


def _threads(workers: Any) -> int | None:
    """Read an int number of workers; None for anything else."""
    if not isinstance(workers, (int, np.integer)) or isinstance(workers, bool):
        return None
    if workers == -1:
        return cpu_count()
    if workers < 1:
        raise ArgumentError(
            f"workers must be a number of threads >= 1, -1 for all processors, or have a map; not {workers!r}"
        )
    return int(workers)


def _native_workers(workers: Any) -> int:
    threads = _threads(workers)
    if threads is None:
        raise ArgumentError(
            f"workers must be an int for a native callable, which runs on fdcore's threads; not {workers!r}"
        )
    return threads


def _python_workers(workers: Any) -> Callable[..., Any] | None:
    """Find the map that evaluates a Python callable at many points; None: one point after another.

    With a GIL, threads would only take turns, so an int number of workers is for free-threaded Python.
    """
    threads = _threads(workers)
    if threads is None:
        mapper = getattr(workers, "map", workers)
        if not callable(mapper):
            raise ArgumentTypeError(f"workers must be an int, an executor, or a function like map; not {workers!r}")
        return cast("Callable[..., Any]", mapper)
    if threads == 1 or getattr(sys, "_is_gil_enabled", lambda: True)():
        return None

    def run(f: Callable[[Any], Any], points: list[tuple[Any, ...]]) -> list[Any]:
        # Each thread makes its own x: threads that share objects slow each other down.
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda point: f((*point[:-1], point[-1].copy())), points))

    return run


class _Plan(Engine):
    """What Gradient and Jacobian share."""

    __slots__ = ()
    _jac: ClassVar[bool] = False
    _mode: ClassVar[str] = "vector"

    def __init__(
        self,
        f: Any,
        *,
        method: str = "central",
        accuracy: int | None = None,
        step: ArrayLike | None = None,
        rel_step: ArrayLike | None = None,
        abs_step: ArrayLike | None = None,
        bounds: Any = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        workers: Any = None,
        vectorized: bool = False,
        noise: float | None = None,
        budget: int | None = None,
    ) -> None:
        if not isinstance(args, (tuple, list)):
            raise ArgumentTypeError(f"args must be a tuple, what f gets after x, not {args!r}; for one, write (value,)")
        if kwargs is not None and not isinstance(kwargs, Mapping):
            raise ArgumentTypeError(f"kwargs must be a dict, what f gets after x, not {kwargs!r}")
        name, number, order = stencil_rule(method, accuracy)
        given = settings(step, rel_step, abs_step, bounds)
        native = f if type(f) is Native else callbacks.recognise(f)
        mapper: Callable[..., Any] | None = None
        target: Any
        if native is not None:
            if args or kwargs:
                raise ArgumentError("args and kwargs are for Python callables; give a native one user_data")
            if vectorized:
                raise ArgumentError("vectorized is for Python callables; a native one is called point by point")
            if name == "complex":
                raise ArgumentError("method='complex' needs a Python callable; a native one takes real numbers only")
            threads = _native_workers(workers) if workers is not None else _ALL_IF_WORTH_IT
            mode, target = "vector", native
        else:
            if not callable(f):
                raise ArgumentTypeError(f"f must be callable or a native callback, not {type(f).__name__}")
            # f is called by one thread; the others take part in what is between evaluations, if anything.
            threads = 1 if workers is not None else _ALL_IF_WORTH_IT
            target = _Bound(f, args, kwargs) if args or kwargs else f
            if workers is not None:
                mapper = _python_workers(workers)
            mode = "block" if vectorized else self._mode if mapper is None else "mapped"
        self._configure(
            target, name, number, order, self._jac, mode, mapper, threads, 0.0, name == "complex", given,
            given is not None and "lower" in given, callbacks.probe,
        )  # fmt: skip
        if name == "adaptive":
            self._use_adaptive(*_adaptive_settings(noise, budget))
        elif noise is not None or budget is not None:
            raise ArgumentError(f"noise and budget are for method='adaptive', not {method!r}")

    def __repr__(self) -> str:
        f = self.native if self.native is not None else self.f
        return f"{type(self).__name__}({f!r}, method={self.name!r}, accuracy={self.accuracy})"

    @property
    def method(self) -> str:
        """Method and order of accuracy, in words."""
        if self.name in ("complex", "adaptive"):
            return {"complex": "complex step"}.get(self.name, self.name)
        return f"{self.name}, accuracy {self.accuracy}"

    def full(self, x: ArrayLike, *args: Any, out: Array | None = None) -> Result:
        """Differentiate at x and say how well: the `Result` of ``full_output=True``.

        Costs as many evaluations again as a call, and f(x): the derivative is taken with a second step for the error
        bar; with a third one for accuracies above 2.
        """
        return full_output(self, as_vector(x), ((args, {}) if args else ()), out)

    def _check_analytic(self, f: Callable[[Any], Any], x: Array, jac: Array, scalar: bool) -> int:
        """See that the complex step means something: once for each plan, along one direction, in real arithmetic.

        `jac` is (n,) or (m, n). Raises AnalyticityError where real differences agree with each other and not with the
        complex step; where they do not agree (a function too rough for them), nothing is known. Costs 4 evaluations.
        """
        v = np.cos(np.arange(x.size) + 0.5)
        t = 6e-6 * max(1.0, float(np.max(np.abs(x), initial=0.0)))
        if self.bounded:
            sides = (np.asarray((self.given or {})[name]) for name in _SIDES)
            lower, upper = (np.broadcast_to(side, side.shape or x.shape) for side in sides)
            v[np.minimum(x - lower[: x.size], upper[: x.size] - x) < t * np.abs(v)] = 0.0
            if not v.any():
                return 0  # no room to look
        # Not all functions take integers or lists to a power; and each call gets an array of its own.
        values = np.zeros((4, 1 if jac.ndim == 1 else jac.shape[0]))
        for k, scale in enumerate((1.0, -1.0, 0.25, -0.25)):
            point = x + scale * t * v
            at: Any = float(point[0]) if scalar else point[None] if self.vectorized else point
            values[k] = np.reshape(np.real(f(at)), -1)
        wide, narrow = (values[0] - values[1]) / (2 * t), (values[2] - values[3]) / (0.5 * t)
        claimed = jac @ v
        size = np.abs(jac) @ np.abs(v)
        trust = 1e-3 * np.abs(narrow) + 1e3 * np.finfo(float).eps * np.max(np.abs(values), axis=0) / t
        with np.errstate(invalid="ignore"):
            wrong = (np.abs(wide - narrow) < trust) & (np.abs(claimed - narrow) > 10 * trust + 1e-3 * size)
        if np.any(wrong):
            i = int(np.argmax(wrong))
            raise AnalyticityError(
                f"f is not analytic, so the complex step is wrong: along one direction it gives "
                f"{np.reshape(claimed, -1)[i]:.6g} where real differences give {narrow[i]:.6g}. abs, .real, .imag "
                "and conj break analyticity; use method='central'"
            )
        return 4


class Gradient(_Plan):
    """Plan of the gradient of f: R^n -> R; call it with x.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float`` for x of shape (n,); or, with `vectorized`, ``f(x) -> (k,)`` for x of shape (k, n).
    method, accuracy, step, rel_step, abs_step, bounds, args, kwargs, workers, vectorized, noise, budget
        As for `gradient`.

    Notes
    -----
    ``plan(x, *args, out=None, f0=None)`` returns the (n,) gradient, in `out` if given; `args` are passed on to f after
    x, and `f0` is f(x) where it is known (one-sided rules need it). A plan may be used by several threads at once.
    Cost: n * accuracy evaluations, and one more for one-sided rules. With ``method="adaptive"``, 8 a component and f(x)
    at least; the plan keeps n scales, one for each entry, and begins with them where the next x is nearby, which then
    mostly takes 7 a component. Scales are where to begin and prove nothing, but results may depend on earlier calls in
    the digits that the error bar leaves open; ``plan.forget()`` makes the plan like new.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> from scipy.optimize import minimize, rosen
    >>> bool(minimize(rosen, [-1.2, 1.0], jac=fd.Gradient(rosen)).success)
    True
    """

    __slots__ = ()


class Jacobian(_Plan):
    """Plan of the Jacobian of f: R^n -> R^m; call it with x.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> (m,)`` for x of shape (n,); or, with `vectorized`, ``f(x) -> (k, m)`` for x of shape (k, n).
    sparsity : "detect", pattern or (pattern, colours), optional
        As for `jacobian`; "detect" finds the pattern at the x of the first call.
    symmetric : bool, default False
        With `sparsity`: f is a gradient, so that the Jacobian, its Hessian, is symmetric. One evaluation for each of
        the colours of a star colouring, which are fewer, then does, and the result is exactly symmetric.
    order : str, default "best"
        How to colour the columns; see `color_columns`.
    vjp : callable, optional
        As for `jacobian`.
    method, accuracy, step, rel_step, abs_step, bounds, args, kwargs, workers, vectorized, noise, budget
        As for `jacobian`.

    Notes
    -----
    ``plan(x, *args, out=None, f0=None)`` returns the (m, n) Jacobian, in `out` if given; `args` are passed on to f
    after x, and `f0` is f(x) where it is known. A plan may be used by several threads at once. Cost: n * accuracy
    evaluations, one more for one-sided rules, and one more in the first call, which learns m. ``method="adaptive"``
    keeps m * n scales, as `Gradient` does.

    With `sparsity`, n is replaced by the number of colours, and results share the plan's index arrays, which are
    read-only (``result.copy()`` is not). Give an earlier result as `out` to have its values overwritten. Memory beside
    the result: colours * accuracy * m + 3 * n numbers, kept from call to call.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> plan = fd.Jacobian(lambda x: np.array([x[0] * x[1], x[0] ** 2]))
    >>> plan(np.array([2.0, 3.0])).round(8)
    array([[3., 2.],
           [4., 0.]])
    """

    __slots__ = ()
    _jac = True

    def __init__(
        self,
        f: Any,
        *,
        sparsity: Any = None,
        symmetric: bool = False,
        order: str = "best",
        vjp: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(f, **options)
        if vjp is not None and (sparsity is None or symmetric):
            raise ArgumentError(
                "vjp shows dense rows of a sparse Jacobian: it needs sparsity; a symmetric one does without"
            )
        if sparsity is None:
            return
        if self.name == "adaptive":
            raise ArgumentError(
                "method='adaptive' moves one component at a time; for a sparse Jacobian use another method"
            )

        def groups(pattern: Any) -> Groups:
            if vjp is not None:
                return bidirectional_groups(pattern, vjp, order, options.get("args", ()), options.get("kwargs"))
            return Symmetric(pattern).direct(order) if symmetric else groups_of(pattern, order)

        if isinstance(sparsity, str) and sparsity == "detect":
            self.detect_with(lambda x, args: self._detected(x, args, groups, options.get("bounds")))
        else:
            self.use_groups(groups(sparsity))

    def _detected(
        self, x: Array, args: tuple[Any, ...], groups: Callable[[Any], Groups], bounds: Any
    ) -> tuple[Groups, int]:
        pattern, nfev = detect(lambda point: self.base(point, args), x, bounds=bounds)
        return groups(pattern), nfev


class Pointwise(_Plan):
    """Plan of a derivative of f: R -> R, taken at one point after another; what `derivative` uses."""

    __slots__ = ()
    _mode = "scalar"

    def use_order(self, order: int) -> None:
        """Take the derivative of this order, with the same method and accuracy."""
        rules = [_rule_of(self.name, order, self.accuracy)]
        if self.name != "complex":
            rules += [one_sided(order, self.accuracy, sign) for sign in (1, -1)]
        self._use_stencils([floats_of(rule) for rule in rules])

    def full_at(self, points: Array, args: tuple[Any, ...], order: int) -> Result:
        """Differentiate at each of the points and say how well."""
        if self.name == "adaptive":
            value, error, step = (np.empty(points.size) for _ in range(3))
            found = np.zeros(points.size, dtype=np.uint8)
            nfev = self.pointwise(points, args=args, out=value, step=step, error=error, found=found)
            return Result(value, error, step, nfev, found, self.method)
        evaluate = self.native if self.native is not None else bind(self.f, args or ((), {}))
        f0 = np.array([evaluate(float(x)) for x in points], dtype=np.float64)

        def run(scale: float, step: Array, status: NDArray[np.uint8]) -> tuple[Array, int]:
            value = np.empty(points.size)
            return value, self.pointwise(points, args=args, out=value, scale=scale, step=step, component=status)

        return _with_bars(self, points, run, f0, points.size, order)


def floats_of(rule: Stencil) -> tuple[tuple[float, ...], tuple[float, ...], int, int, float]:
    """Give a stencil as the kernel takes it: offsets, weights, order, accuracy and rule step."""
    offsets, weights = (tuple(map(float, numbers)) for numbers in (rule.offsets, rule.weights))
    return offsets, weights, rule.order, rule.accuracy, rule.step()


class _Bound:
    """f with the arguments that follow x; picklable where f is, for workers in other processes."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> None:
        self.f, self.args, self.kwargs = f, tuple(args), dict(kwargs or {})

    def __call__(self, x: Any) -> Any:
        return self.f(x, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        return repr(self.f)


def _rule_of(name: str, order: int, accuracy: int) -> Stencil:
    if name in ("forward", "backward"):
        return one_sided(order, accuracy, 1 if name == "forward" else -1)
    return central(order, accuracy)


def full_output(plan: _Plan, x: Array, args: tuple[Any, ...] = (), out: Array | None = None) -> Result:
    """Run a plan at x with two steps and put together its `Result`."""
    if out is not None:
        x = np.array(x)  # out may be x itself, and x is needed after it has been written
    f0 = plan.base(x, args)
    if plan.name == "adaptive":
        error, steps = np.empty((x.size, f0.size)), np.empty(x.size)
        found = np.zeros((x.size, f0.size), dtype=np.uint8)
        value, nfev = plan.evaluate(x, args=args, f0=f0, out=out, step=steps, error=error, found=found)
        shaped = [array.T if plan.is_jacobian else array[:, 0] for array in (error, found)]
        return Result(value, shaped[0], steps, nfev + 1, shaped[1], plan.method)

    def run(scale: float, step: Array, status: NDArray[np.uint8]) -> tuple[Array, int]:
        target = out if scale == 1.0 else None
        return plan.evaluate(x, args=args, f0=f0, out=target, scale=scale, step=step, component=status)

    return _with_bars(plan, x, run, f0, 1, 1)


def _with_bars(
    plan: _Plan,
    x: Array,
    run: Callable[[float, Array, NDArray[np.uint8]], tuple[Array, int]],
    f0: Array,
    nfev: int,
    order: int,
) -> Result:
    """Differentiate with two steps; the second tells the error of the first.

    Truncation is proportional to ``step**accuracy``, so the disagreement tells it; doubled, since the next term is
    neglected, or trebled for one-sided rules of many points, whose next term is larger. The rounding floor is what
    errors of f's values can do: one unit in their last place, and what f makes of such errors of x, which is more where
    large terms cancel. Where bounds leave room for one step only, the bar is infinite: nothing is known.

    The long steps of accuracies above 2 may both jump over what f does (their rule supposes that f varies on the scale
    of x), and agree. So a third run takes steps as short as those of accuracy 2; a bar that does not explain what it
    finds is replaced.
    """
    step, other_step = np.empty(x.size), np.empty(x.size)
    status, other_status = np.zeros(x.size, dtype=np.uint8), np.zeros(x.size, dtype=np.uint8)
    value, first = run(1.0, step, status)
    other, second = run(0.5 if plan.bounded else 2.0, other_step, other_status)
    eps = 2.0 * max(plan.precision, 2.0**-53)
    steps, other_steps, groups = step, other_step, plan.groups
    if groups is not None:
        row, column = groups.entries()
        steps, other_steps = step[column], other_step[column]
    if plan.name == "complex":
        error = 4.0 * eps * np.abs(value) + np.abs(value - other)
    else:
        noise = np.abs(f0)
        if groups is not None:
            noise = (noise + np.sqrt(np.bincount(row, (value * x[column]) ** 2, minlength=noise.size)))[row]
        elif order == 1 and isinstance(plan, (Gradient, Jacobian)):
            noise = noise + np.linalg.norm(np.atleast_2d(value) * x, axis=1)
            noise = noise[:, None] if plan.is_jacobian else noise[0]
        elif order == 1:
            noise = noise + np.abs(value * x)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.abs(1.0 - (other_steps / steps) ** plan.accuracy)
            margin = 3.0 if plan.accuracy > 2 and plan.name in ("forward", "backward") else 2.0
            truncation = np.where(share > 0.0, margin * np.abs(value - other) / share, np.inf)
        rule = _rule_of(plan.name, order, plan.accuracy)
        floor = rule.norm * eps * noise / steps**order
        error = truncation + floor
        if plan.accuracy > 2:
            scale = central(order, 2).step() / rule.step()
            near, third = run(scale, other_step, other_status)
            second += third
            gap, near_floor = np.abs(value - near), floor / scale**order
            error = np.where(gap > error + near_floor, 2.0 * gap + near_floor, error)
    if groups is not None and groups.reverse is not None:
        error = np.where(groups.reverse.exact, 2.0 * eps * np.abs(value), error)  # no difference was taken
    if groups is not None:
        value, error = groups.wrap(value), groups.wrap(error)
    return Result(value, error, step, nfev + first + second, status, plan.method)
