"""Plans: a callable with stencil, steps, bounds and workers, built once and then called for one x after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore import bars, callbacks
from fdcore.analytic import check_analytic
from fdcore.bidirectional import bidirectional_groups
from fdcore.chosen import Chooser, method_for
from fdcore.coerce import Bound, as_vector, bind, fill
from fdcore.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    ComplexValuesError,
    NonFiniteError,
    ShapeError,
)
from fdcore.fdcore import Engine, Groups, Native
from fdcore.noise import along, check_noise, measure
from fdcore.noisy import USUAL_BUDGET, Noisy, differentiate, relative, step_for
from fdcore.parts import Parts, whole_result, whole_value
from fdcore.results import Finding, Result
from fdcore.rules import (
    ALL_IF_WORTH_IT,
    affordable,
    check_budget,
    floats_of,
    native_workers,
    own_accuracy,
    python_workers,
    rule_of,
    stencil_rule,
)
from fdcore.selectors import StepPolicy
from fdcore.sparsity import Symmetric, detect, groups_of
from fdcore.stencils import central, one_sided
from fdcore.steps import settings
from fdcore.values import Values, along_axis

Array = NDArray[np.float64]

_SIDES = ("lower", "upper")
_ENDS = (("lower", -np.inf), ("upper", np.inf))
_PARTS = ("value", "error", "step", "status", "findings")


class _Plan(Engine):
    """What Gradient and Jacobian share."""

    __slots__ = ()
    _jac: ClassVar[bool] = False
    _mode: ClassVar[str] = "vector"
    is_pointwise: ClassVar[bool] = False

    def __init__(
        self,
        f: Any,
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
    ) -> None:
        if not isinstance(args, (tuple, list)):
            raise ArgumentTypeError(f"args must be a tuple, what f gets after x, not {args!r}; for one, write (value,)")
        if kwargs is not None and not isinstance(kwargs, Mapping):
            raise ArgumentTypeError(f"kwargs must be a dict, what f gets after x, not {kwargs!r}")
        options = {
            "method": method, "accuracy": accuracy, "step": step, "rel_step": rel_step, "abs_step": abs_step,
            "bounds": bounds, "workers": workers, "vectorized": vectorized, "noise": noise, "budget": budget,
        }  # fmt: skip
        policy: StepPolicy | None = None
        if isinstance(step, StepPolicy):
            policy = step
            method = method_for(policy, accuracy=accuracy, noise=noise, budget=budget, method=method)
            settings(1.0, rel_step, abs_step)  # one of them only
            step = None
        name, number, order = stencil_rule(method, accuracy)
        noise = check_noise(noise)
        if name != "adaptive" and accuracy is None and noise is None and check_budget(budget, 1):
            number, order = affordable(name, number, order, int(budget or 0))
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
            threads = native_workers(workers) if workers is not None else ALL_IF_WORTH_IT
            mode, target = "vector", native
        else:
            if not callable(f):
                raise ArgumentTypeError(f"f must be callable or a native callback, not {type(f).__name__}")
            # f is called by one thread; the others take part in what is between evaluations, if anything.
            threads = 1 if workers is not None else ALL_IF_WORTH_IT
            target = Bound(f, args, kwargs) if args or kwargs else f
            if workers is not None:
                mapper = python_workers(workers)
            mode = "block" if vectorized else self._mode if mapper is None else "mapped"
        self._configure(
            target, name, number, order, self._jac, mode, mapper, threads, 0.0, name == "complex", given,
            given is not None and "lower" in given, callbacks.probe,
        )  # fmt: skip
        self.memo = {
            "options": options, "mapper": mapper, "mode": mode, "workers": workers, "noise": noise,
            "made": {**options, "args": args, "kwargs": kwargs}, "f": f,
        }  # fmt: skip
        if policy is not None:
            self.memo["chooser"] = chooser = Chooser(self, policy)
            if policy.gives_value:
                self.instead, self.memo["full"] = chooser.values, chooser.full
            else:
                self.before = chooser.steps
        elif name == "adaptive":
            self._use_adaptive(0.0, check_budget(budget, 9))
            if isinstance(noise, str):
                self.before = self._measure
            elif noise is not None:
                self.before = self._note_noise
        elif noise is not None:
            if name == "complex":
                raise ArgumentError("noise: the complex step takes no differences, so noise does not grow in it")
            least = check_budget(budget, order if name == "central" or accuracy is not None else 1)
            kind = name.replace("five-point", "central")
            self.memo["how"] = Noisy(kind, 1, accuracy or own_accuracy(name), least or USUAL_BUDGET, least > 0)
            self.instead = self._run_noisy
            self.memo["full"] = self._full_noisy

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

        Costs as many evaluations again as a call, f(x), and two for each component (one for accuracy 1): the derivative
        is taken with a second step, and from one side; more where they disagree.
        """
        return full_output(self, as_vector(x), ((args, {}) if args else ()), out)

    def forget(self) -> None:
        """Forget what earlier calls left for the next: scales of adaptive runs, steps that a selector chose."""
        super().forget()
        for part in (self._notes.get("chooser"), self._notes.get("whole")):
            if part is not None:
                part.forget()

    def use_order(self, order: int) -> None:
        """Take the derivative of this order, with the same method and accuracy."""
        rules = [rule_of(self.name, order, self.accuracy)]
        if self.name != "complex":
            rules += [one_sided(order, self.accuracy, sign) for sign in (1, -1)]
        self._use_stencils([floats_of(rule) for rule in rules])
        self._notes["order"] = order

    @property
    def _notes(self) -> dict[str, Any]:
        """How the plan was made, and what it has found out."""
        if self.memo is None:
            self.memo = {}
        return self.memo

    def __reduce__(self) -> Any:
        """A copy, or what is pickled, is a new plan made in the same way; it has learnt nothing yet."""
        return _made_again, (type(self), self._notes["f"], self._notes["made"])

    # ---- siblings, and values at points of one's own choosing

    def sibling(self, method: str, accuracy: int, order: int = 1) -> _Plan:
        """Make a plan of the same function by another rule, with rule steps unless bounds are given."""
        memo = self._notes
        given = self.given or {}
        bounds = (given["lower"], given["upper"]) if self.bounded else None
        f = self.native if self.native is not None else self.f
        other = type(self)._bare(
            f, method, accuracy, bounds, {"workers": memo["workers"], "vectorized": self.vectorized}
        )
        if order > 1:
            other.use_order(order)
        other.adopt(self)
        return other

    @classmethod
    def _bare(cls, f: Any, method: str, accuracy: int, bounds: Any, options: dict[str, Any]) -> _Plan:
        return cls(f, method=method, accuracy=accuracy, bounds=bounds, **options)

    def values(self, args: tuple[Any, ...] = ()) -> Values:
        """Give f as a function of points (k, n) to values (k, m) that counts."""
        memo = self._notes
        f = self.native if self.native is not None else bind(self.f, args) if args else self.f
        values = Values(f, memo["mode"], memo["mapper"])
        values.m, values.is_real = self.m, self.is_real
        return values

    # ---- noise

    def noise_used(self) -> Any:
        """Absolute error of a value of f that steps are chosen for; None: rounding."""
        noise = self._notes.get("absolute")
        return None if noise is None else noise if self.is_jacobian else float(np.ravel(noise)[0])

    def loud(self) -> NDArray[np.uint8]:
        """`Finding.NOISY` for each value of f whose known noise is far above its rounding."""
        found: NDArray[np.uint8] = self._notes.get("loud", np.zeros(1, dtype=np.uint8))
        return found

    def box(self, n: int) -> tuple[Array, Array]:
        """Bounds of n components."""
        given = self.given or {}
        lower, upper = (np.broadcast_to(given.get(name, end), (n,)) for name, end in _ENDS)
        return lower, upper

    def _noise_at(self, x: Array, args: tuple[Any, ...], f0: Array) -> tuple[Array, int]:
        """Absolute error of each value of f: given, measured now, or measured before."""
        memo = self._notes
        known = memo.get("absolute")
        if known is not None and known.shape == f0.shape:
            return known, 0
        noise, spent = memo["noise"], 0
        if isinstance(noise, str):
            values = self.values(args)
            sided = self.bounded
            level = measure(lambda t: values(along(x, t, *self.box(x.size))), f0, self.precision, one_sided=sided)
            memo["level"] = level
            noise, spent = np.maximum(level.absolute, level.rounding), level.nfev
        elif noise.ndim and noise.shape != f0.shape:
            raise ShapeError(f"noise has {noise.size} values, and f {f0.size}; give one number, or one for each value")
        known = np.broadcast_to(noise, f0.shape).copy()
        memo["absolute"] = known
        memo["loud"] = np.where(known > 100.0 * 2.0**-53 * np.abs(f0), Finding.NOISY, 0).astype(np.uint8)
        return known, spent

    def _measure(self, x: Array, args: tuple[Any, ...], f0: Array | None) -> tuple[int, Array]:
        """Before the first run of an adaptive plan."""
        f0, first = (self.base(x, args), 1) if f0 is None else (np.array(f0, dtype=np.float64, ndmin=1), 0)
        noise, spent = self._noise_at(x, args, f0)
        level = self._notes.get("level")
        # What is no more than rounding, or unclear, the method finds out by itself.
        told = noise if level is None else np.where(level.trusted, noise, 0.0)
        self._use_noise(told, step_for(central(1, 6), relative(f0, told)) if told.any() else 0.0)
        self.before = None
        return first + spent, f0

    _note_noise = _measure

    def _run_noisy(self, x: Any, args: tuple[Any, ...], f0: Any) -> tuple[Array, int]:
        result = self._full_noisy(as_vector(x), args, f0, sure=False)
        return result.value, result.nfev

    def _full_noisy(self, x: Array, args: tuple[Any, ...], f0: Any = None, sure: bool = True) -> Result:
        """Differentiate by a fixed rule with steps, and an order, for noise."""
        how: Noisy = self._notes["how"]
        nfev = 0
        if f0 is None:
            f0, nfev = self.base(x, args), 1
        f0 = np.array(f0, dtype=np.float64, ndmin=1)
        if not np.isfinite(f0).all():
            raise NonFiniteError("f(x) is NaN or inf, so there is no derivative at x; check x, or what f does there")
        noise, spent = self._noise_at(x, args, f0)
        noise = np.maximum(noise, max(self.precision, 2.0**-53) * np.abs(f0))
        nfev += spent
        values = self.values(args)
        lower, upper = self.box(x.size)
        value, error = np.empty((f0.size, x.size)), np.empty((f0.size, x.size))
        found, steps = np.zeros(value.shape, dtype=np.uint8), np.empty(x.size)
        status = np.zeros(x.size, dtype=np.uint8)
        for j in range(x.size):
            if not lower[j] <= x[j] <= upper[j]:
                raise BoundsError(f"x[{j}] = {x[j]!r} is outside its bounds, {lower[j]} to {upper[j]}")
            best, spent = differentiate(
                how,
                along_axis(values, x, j, forgiving=True),
                float(x[j]),
                f0,
                noise,
                lower[j],
                upper[j],
                self._step_at(x, j),
                sure,
            )
            value[:, j], error[:, j], found[:, j] = best.value, best.error, best.found
            steps[j], status[j] = best.step, best.status
            nfev += spent
        found |= self.loud()[:, None]
        if not self.is_jacobian:
            value, error, found = value[0], error[0], found[0]
        rule = f"{how.method}, for noise"
        return Result(value, error, steps, nfev, status, rule, found, self.noise_used())

    def _step_at(self, x: Array, j: int) -> float | None:
        given = self.given or {}
        for name, size in (("abs_step", 1.0), ("rel_step", abs(float(x[j])))):
            if name in given:
                return float(np.broadcast_to(given[name], x.shape)[j]) * size or None
        return None

    # ---- complex values

    def use_complex(self, x: Any = None) -> None:
        """From now on f has complex values: differentiate real and imaginary parts together."""
        memo = self._notes
        if self.native is not None or self.groups is not None or self.detect is not None:
            raise ComplexValuesError(
                "f returned complex values; for a sparse Jacobian differentiate its real and imaginary parts apart"
            )
        memo["whole"] = whole = Jacobian(Parts(self.f, self.vectorized), **memo["options"])
        self.instead = lambda x, args, f0: whole_value(self, whole, x, args)
        memo["full"] = lambda x, args, f0=None: whole_result(self, whole.full(x, *(args[0] if args else ())), 0)

    def sees_real(self, x: Any, args: tuple[Any, ...] = ()) -> bool:
        """Whether f is real at x, seen now for the first time: from now on it has no value where it is complex."""
        if self.is_real:
            return False
        try:
            self.base(as_vector(x), args)
        except ComplexValuesError:
            return False
        return True

    def complex_valued(self, x: Any, args: tuple[Any, ...], out: Any) -> Any:
        """Start over where f turned out to have complex values, at x itself or near it."""
        if self.sees_real(x, args):
            return self.evaluate(x, args=args, out=out)[0]
        self.use_complex(x)
        if out is not None and not np.iscomplexobj(out):
            raise ArgumentTypeError(f"f has complex values; out must be complex128, not {out.dtype}")
        value, _ = self.instead(x, args, None)  # type: ignore[misc]
        return fill(out, value)

    def _check_analytic(self, f: Callable[[Any], Any], x: Array, jac: Array, scalar: bool) -> int:
        """See that the complex step means something: once for each plan. Returns evaluations."""
        lower, upper = self.box(x.size) if self.bounded else (-np.inf, np.inf)
        return check_analytic(f, x, jac, scalar, self.vectorized, lower, upper)


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
    the digits that the error bar leaves open; ``plan.forget()`` makes the plan like new. A policy as `step` chooses its
    steps at the first x and keeps them, until x has another length or ``plan.forget()``; one that gives the derivative
    itself (Ridders) works at each x anew.

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
        self._notes["made"] |= {"sparsity": sparsity, "symmetric": symmetric, "order": order, "vjp": vjp}
        if vjp is not None and (sparsity is None or symmetric):
            raise ArgumentError(
                "vjp shows dense rows of a sparse Jacobian: it needs sparsity; a symmetric one does without"
            )
        if sparsity is None:
            return
        if "chooser" in self._notes:
            raise ArgumentError(
                f"step={options['step']!r} looks at f along one column at a time, and sparse columns share them; "
                "give numbers: step= takes the .step of a dense jacobian(f, x, step=..., full_output=True)"
            )
        if self.name == "adaptive":
            raise ArgumentError(
                "method='adaptive' moves one component at a time; for a sparse Jacobian use another method"
            )

        def groups(pattern: Any) -> Groups:
            if vjp is not None:
                return bidirectional_groups(pattern, vjp, order, options.get("args", ()), options.get("kwargs"))
            return Symmetric(pattern).direct(order) if symmetric else groups_of(pattern, order)

        if "how" in self._notes:
            self.instead = None  # as if f were that much less precise: columns share evaluations
            self._notes.pop("full")
            self.before = self._less_precise
        if isinstance(sparsity, str) and sparsity == "detect":
            self.detect_with(lambda x, args: self._detected(x, args, groups, options.get("bounds")))
        else:
            self.use_groups(groups(sparsity))

    def _less_precise(self, x: Array, args: tuple[Any, ...], f0: Array | None) -> tuple[int, Array]:
        f0, first = (self.base(x, args), 1) if f0 is None else (np.array(f0, dtype=np.float64, ndmin=1), 0)
        noise, spent = self._noise_at(x, args, f0)
        self.learn(relative(f0, noise))
        self.before = None
        return first + spent, f0

    def _detected(
        self, x: Array, args: tuple[Any, ...], groups: Callable[[Any], Groups], bounds: Any
    ) -> tuple[Groups, int]:
        pattern, nfev = detect(lambda point: self.base(point, args), x, bounds=bounds)
        return groups(pattern), nfev


def _made_again(kind: type[_Plan], f: Any, options: dict[str, Any]) -> _Plan:
    return kind(f, **options)


def full_output(plan: _Plan, x: Array, args: tuple[Any, ...] = (), out: Array | None = None) -> Result:
    """Run a plan at x and put together its `Result`."""
    memo = plan._notes
    if "full" in memo:
        try:
            return _into(memo["full"](x, args), out)
        except ComplexValuesError:
            return _into(_complex_full(plan, x, args), out)
    if out is not None:
        x = np.array(x)  # out may be x itself, and x is needed after it has been written
    try:
        f0 = plan.base(x, args)
    except ComplexValuesError:
        return _into(_complex_full(plan, x, args), out)
    if plan.name == "adaptive":
        error, steps = np.empty((x.size, f0.size)), np.zeros(x.size)  # no steps where f has no values
        found = np.zeros((x.size, f0.size), dtype=np.uint8)
        value, nfev = plan.evaluate(x, args=args, f0=f0, out=out, step=steps, error=error, found=found)
        found |= plan.loud()
        shaped = [array.T if plan.is_jacobian else array[:, 0] for array in (error, found)]
        return Result(value, shaped[0], steps, nfev + 1, shaped[1], plan.method, shaped[1], plan.noise_used())

    def run(scale: float, step: Array, status: NDArray[np.uint8], other: _Plan = plan) -> tuple[Array, int]:
        target = out if scale == 1.0 and other is plan else None
        return other.evaluate(x, args=args, f0=f0, out=target, scale=scale, step=step, component=status)

    return bars.with_bars(plan, x, run, f0, 1, memo.get("order", 1), args, Jacobian)


def _complex_full(plan: _Plan, x: Array, args: tuple[Any, ...]) -> Result:
    """Start over after one evaluation, which told that f has complex values."""
    plan.use_complex(x)
    result: Result = plan._notes["full"](x, args)
    return replace(result, nfev=result.nfev + 1)


def _into(result: Result, out: Array | None) -> Result:
    return result if out is None else replace(result, value=fill(out, result.value))
