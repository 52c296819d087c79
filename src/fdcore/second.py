"""Second derivatives: the Hessian, from values or from a gradient, and its product with a vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.callbacks import recognise
from fdcore.coerce import OnWorker, as_vector, bind, fill, in_order, values_of
from fdcore.differentiate import gradient
from fdcore.directional import jvp, reach
from fdcore.errors import ArgumentError, EvaluationError, NonFiniteError, ShapeError
from fdcore.plan import Jacobian, _Plan
from fdcore.progress import with_progress
from fdcore.results import Result, Status
from fdcore.rules import floats_of, python_workers
from fdcore.selectors import StepPolicy
from fdcore.sparsity import Symmetric, detect_sparsity
from fdcore.stencils import central
from fdcore.steps import settings
from fdcore.values import Values

Array = NDArray[np.float64]

_STEPS = {accuracy: [floats_of(central(2, accuracy))] for accuracy in (2, 4)}
_RETREAT = (1.0, 1.0 / 16, 1.0 / 256, 1.0 / 4096)


class Hessian(_Plan):
    """Plan of the Hessian of f: R^n -> R; call it with x.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float`` for x of shape (n,).
    accuracy : 2 or 4, default 2
        Order of the truncation error, as for `hessian`.
    step, rel_step, abs_step, args, kwargs, workers
        As for `hessian`.

    Notes
    -----
    ``plan(x, *args)`` returns the (n, n) Hessian, exactly symmetric; ``plan.full(x, *args)`` a `Result` with an error
    bar for each entry, from the same values. Cost: n^2 + n + 1 evaluations, or 2 (n^2 + n) + 1 with ``accuracy=4``.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> plan = fd.Hessian(lambda x: x[0] ** 2 * x[1])
    >>> plan(np.array([1.0, 2.0])).round(6)
    array([[4., 2.],
           [2., 0.]])
    """

    def __init__(
        self,
        f: Any,
        *,
        accuracy: int = 2,
        step: ArrayLike | None = None,
        rel_step: ArrayLike | None = None,
        abs_step: ArrayLike | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        workers: Any = None,
    ) -> None:
        if accuracy not in _STEPS:
            raise ArgumentError(f"accuracy of a Hessian from values must be 2 or 4, not {accuracy!r}")
        if isinstance(step, StepPolicy):
            raise ArgumentError(
                "step selectors are for first derivatives; give a Hessian from values a number, or its grad as well"
            )
        self._accuracy = accuracy
        mapper = None
        if workers is not None and not isinstance(workers, (int, np.integer)):
            mapper, workers = python_workers(workers), None
        self._map: Callable[..., Any] | None = mapper
        super().__init__(f, step=step, rel_step=rel_step, abs_step=abs_step, args=args, kwargs=kwargs, workers=workers)
        self._notes["made"] = {
            "accuracy": accuracy, "step": step, "rel_step": rel_step, "abs_step": abs_step, "args": args,
            "kwargs": kwargs, "workers": workers if mapper is None else mapper,
        }  # fmt: skip
        if mapper is not None and self.native is not None:
            raise ArgumentError("workers must be an int for a native callable, which runs on fdcore's threads")
        self._use_stencils(_STEPS[accuracy])

    @property
    def method(self) -> str:
        """Method and order of accuracy, in words."""
        return f"central, order 2, accuracy {self._accuracy}"

    def __call__(self, x: ArrayLike, *args: Any) -> Array:  # type: ignore[override]
        """Differentiate twice at the vector x."""
        return self._run(as_vector(x), args, bars=False)[0]

    def full(self, x: ArrayLike, *args: Any, out: Array | None = None) -> Result:
        """Differentiate twice at the vector x and say how well, at no further cost."""
        vector = as_vector(x)
        value, error, step, status, nfev = self._run(vector, args, bars=True)
        return Result(fill(out, value), error, step, nfev, status, self.method)

    def _run(
        self, x: Array, args: tuple[Any, ...], bars: bool
    ) -> tuple[Array, Array | None, Array, NDArray[np.uint8], int]:
        step = np.empty(x.size)
        spent = 0
        first = np.full(1, np.nan)
        if self._map is not None:
            # Before workers evaluate: what is the matter with f, and how precise it is, decides about their points.
            first[:], precision = _evaluated(self._map, bind(self.f, (args, {})) if args else self.f, x, [x.copy()])
            self.learn(precision)
            spent = 1
            if not np.isfinite(first[0]):
                raise NonFiniteError(
                    "f(x) is NaN or inf, so there is no derivative at x; check x, or what f does there"
                )
        for scale in _RETREAT:
            try:
                hessian, error, nfev = self._once(x, args, scale, step, bars, first)
            except NonFiniteError as failure:
                # Smaller steps all around: one-sided second differences would be of lower order.
                if scale == _RETREAT[-1]:
                    raise
                spent += failure.nfev
                continue
            status = np.full(x.size, Status.RULE if scale == 1.0 else Status.SHRUNK, dtype=np.uint8)
            return hessian, error, step, status, spent + nfev
        raise AssertionError("unreachable")

    def _once(
        self, x: Array, args: tuple[Any, ...], scale: float, step: Array, bars: bool, first: Array
    ) -> tuple[Array, Array | None, int]:
        after_x: Any = (args, {}) if args else ()
        scales = (scale,) if self._accuracy == 2 else (scale, 2.0 * scale)
        runs: list[tuple[Array, Array | None]] = []
        spent = 0
        if self._map is None:
            first[:] = np.nan
            for each in scales:
                taken = step if each == scale else None
                value, bar, nfev = self.second(
                    x,
                    args=after_x,
                    scale=each,
                    step=taken,
                    bars=bars or len(scales) > 1,
                    first=first if len(scales) > 1 else None,
                )
                runs.append((value, bar))
                spent += nfev
        else:
            # The order of evaluations is fixed: note down the points, have them evaluated, and play the values back.
            points: list[Array] = []

            def note(point: Array) -> float:
                points.append(point)
                return 0.0

            for each in scales:
                self.second(x, f=note, scale=each, first=first)
            values = iter(_evaluated(self._map, bind(self.f, after_x) if after_x else self.f, x, points)[0])
            spent = len(points)
            for each in scales:
                taken = step if each == scale else None
                value, bar, _ = self.second(x, f=lambda _: next(values), scale=each, step=taken, bars=True, first=first)
                runs.append((value, bar))
        if len(runs) == 1:
            bar = runs[0][1]
            return runs[0][0], None if bar is None or not bars else bar[: x.size**2].reshape(x.size, x.size), spent
        return *_extrapolated(runs, x, step), spent


def _evaluated(
    mapper: Callable[..., Any], f: Callable[..., Any], x: Array, points: list[Array]
) -> tuple[list[float], float]:
    """Have f evaluated at points near x by somebody's workers; NaN where f raises `EvaluationError`.

    Returns the values, and the unit roundoff of the least precise type among them, 0 for float64.
    """
    told = []
    for i, point in enumerate(points):
        moved = np.flatnonzero(point != x)
        j = int(moved[0]) if moved.size else -1
        told.append((i, j, float(point[j] - x[j]) if moved.size else 0.0, moved.size - 1, point))
    results = in_order(mapper(OnWorker(f, False), told), len(points))
    at_x = len(points) == 1 and not np.any(points[0] != x)  # f has to be real there; elsewhere it may end
    values, worst = [], 0.0
    for result in results:
        if isinstance(result, EvaluationError):
            values.append(np.nan)
            continue
        value, precision = values_of(result, -1, 1, False, not at_x)
        values.append(value.item())
        worst = max(worst, precision)
    return values, worst


def _extrapolated(runs: list[tuple[Array, Array | None]], x: Array, step: Array) -> tuple[Array, Array]:
    """Fourth order from two runs of second order with steps h and 2 h, and the bar of that (Richardson).

    Truncation of second order is what the two disagree about; what is left of it after extrapolation is smaller by as
    much as derivatives of even order grow from one to the next. For each component there are two measures of that
    growth: what third differences say of it, and the disagreement itself against the second derivative. The constants
    are calibrated on Hessians known exactly, as `tests/accuracy/test_hessians.py` has them.
    """
    (fine, measures), (coarse, _) = runs
    assert measures is not None
    n = len(fine)
    noise, growth = measures[n * n], measures[n * n + 1 :]
    rounding = noise * _amplification(step)
    size = np.maximum(np.abs(fine), np.abs(coarse))
    off = np.maximum(np.abs(coarse - fine) - 0.5 * rounding, 0.0)
    ratio = 4.0 * off.diagonal() / np.maximum(size.diagonal(), np.finfo(float).tiny)
    ratio = np.minimum(np.maximum(ratio, growth**2), 1.0)
    ratio = np.maximum.outer(ratio, ratio)
    left = 2.0 * ratio * (off + 0.02 * ratio * size)  # the latter where fourth derivatives cancel
    # Displacements are rounded to the ulp of x, and values to theirs: a share of each difference.
    moved = 1.0 + np.abs(x) / step
    differences = size.diagonal() * step**2
    share = np.add.outer(differences, differences) / np.multiply.outer(step, step) + size
    return (4.0 * fine - coarse) / 3.0, rounding + left + np.finfo(float).eps * np.maximum.outer(moved, moved) * share


def _amplification(step: Array) -> Array:
    """Error of each entry of second order for values of f that are off by one; as in `hessian.c`."""
    n = step.size
    a = np.ones((n, n))
    for i in range(n if n > 2 else n - 1):
        a[i, (i + 1) % n] = 1.5  # how far component i moves in its pair with this one, in steps
    area = 2.0 * a * a.T * np.multiply.outer(step, step)
    np.fill_diagonal(area, step**2)
    return 4.0 * (1.0 + a**2 + a.T**2) / 3.0 / area


def hessian(
    f: Any,
    x: ArrayLike,
    *,
    grad: Callable[..., Any] | None = None,
    method: str = "central",
    accuracy: int | None = None,
    step: ArrayLike | None = None,
    rel_step: ArrayLike | None = None,
    abs_step: ArrayLike | None = None,
    noise: Any = None,
    budget: int | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    workers: Any = None,
    sparsity: Any = None,
    recovery: str = "direct",
    full_output: bool = False,
    progress: Any = None,
) -> Any:
    """Hessian of a scalar function, from its values or from its gradient.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs) -> float`` for x of shape (n,). Not called if `grad` is given; it may then be None.
    x : (n,) array_like
        Where. Never changed.
    grad : callable, optional
        ``grad(x, *args, **kwargs) -> (n,)``, the gradient: the Hessian is then its Jacobian, made symmetric, which is
        both cheaper and more accurate.
    accuracy : int, optional
        From values 2 (the default) or 4, which takes every difference with two steps, f(x) once. With `grad` as for
        `jacobian`.
    method, noise, budget
        As for `jacobian`, of the gradient; only with `grad` and without `sparsity`.
    step, abs_step : float or (n,) array_like, optional
        Absolute step. By default ``c * max(1, abs(x))``, c = 2.7e-4 from values and 6.9e-6 from a gradient.
    rel_step : float or (n,) array_like, optional
        Step relative to abs(x).
    args, kwargs
        What f and grad get after x.
    workers : int, executor or map, optional
        As for `gradient`.
    sparsity : "detect" or pattern, optional
        Which entries may be different from zero, as for `jacobian`; needs `grad`. One triangle is enough.
    recovery : "direct" or "substitution", default "direct"
        With `sparsity`: how entries follow from differences of the gradient. "direct" reads each off one difference
        (star colouring); "substitution" takes fewer evaluations (acyclic colouring, 6 instead of 11 for a band of 11),
        but entries follow one from another, and errors add up along the way.
    full_output : bool, default False
        Return a `Result` with error bars; not with "substitution".
    progress : True or callable, optional
        As for `gradient`.

    Returns
    -------
    (n, n) ndarray, scipy.sparse matrix or Result
        Exactly symmetric.

    Raises
    ------
    NonFiniteError
        f is NaN or inf at x, or near it however small the steps.

    Notes
    -----
    Cost: n^2 + n + 1 evaluations of f, error bars included, 2 (n^2 + n) + 1 with ``accuracy=4``; or 2n of the gradient,
    and 2n + 1 more for error bars; with `sparsity`, 2 of the gradient for each colour. To differentiate at many x, use
    the plan ``Jacobian(grad, sparsity=..., symmetric=True)``. The
    bars from values rest on third differences, which those values contain too: how fast derivatives grow with their
    order. They miss a function whose fourth derivatives are large where its third ones vanish, by symmetry.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> fd.hessian(lambda x: x[0] ** 2 * x[1], [1.0, 2.0]).round(6)
    array([[4., 2.],
           [2., 0.]])
    >>> fd.hessian(None, [1.0, 2.0], grad=lambda x: np.array([2 * x[0] * x[1], x[0] ** 2])).round(8)
    array([[4., 2.],
           [2., 0.]])
    """
    if progress is not None:
        return with_progress(hessian, locals())
    own = {"accuracy": accuracy, "noise": noise, "budget": budget}
    foreign = {k: v for k, v in own.items() if k != "accuracy" or sparsity is not None}
    if (grad is None or sparsity is not None) and (method != "central" or any(v is not None for v in foreign.values())):
        raise ArgumentError(
            "method, noise and budget of a Hessian need grad, and neither they nor accuracy go with sparsity"
        )
    if sparsity is not None:
        options = {"step": step, "rel_step": rel_step, "abs_step": abs_step}
        return _sparse(grad, as_vector(x), sparsity, recovery, full_output, options, (args, kwargs or {}), workers)
    if grad is None:
        plan = Hessian(
            f, accuracy=2 if accuracy is None else accuracy, step=step, rel_step=rel_step, abs_step=abs_step, args=args,
            kwargs=kwargs, workers=workers,
        )  # fmt: skip
        return plan.full(x) if full_output else plan(x)
    vector = as_vector(x)
    jacobian = Jacobian(
        grad, method=method, step=step, rel_step=rel_step, abs_step=abs_step, args=args, kwargs=kwargs,
        workers=workers, **own,
    )  # fmt: skip
    shape = (vector.size, vector.size)
    if not full_output:
        value = jacobian(vector)
        _check_square(value, shape)
        return (value + value.T) / 2
    result = jacobian.full(vector)
    _check_square(result.value, shape)
    # What is not symmetric is error too.
    error = np.maximum(result.error, result.error.T) + np.abs(result.value - result.value.T) / 2
    found = None if result.findings is None else result.findings | result.findings.T
    return replace(result, value=(result.value + result.value.T) / 2, error=error, findings=found)


def _sparse(
    grad: Any,
    x: Array,
    sparsity: Any,
    recovery: str,
    full_output: bool,
    options: dict[str, Any],
    after_x: tuple[tuple[Any, ...], Mapping[str, Any]],
    workers: Any,
) -> Any:
    if grad is None:
        raise ArgumentError("a sparse Hessian is made of differences of the gradient: give grad")
    if recovery not in ("direct", "substitution"):
        raise ArgumentError(f"recovery must be 'direct' or 'substitution', not {recovery!r}")
    shared = {"args": after_x[0], "kwargs": after_x[1], "workers": workers}
    if recovery == "direct":
        plan = Jacobian(grad, sparsity=sparsity, symmetric=True, order="best", **shared, **options)
        return plan.full(x) if full_output else plan(x)
    if full_output:
        raise ArgumentError("recovery='substitution' has no error bars; use recovery='direct'")
    if isinstance(sparsity, str) and sparsity == "detect":
        sparsity = detect_sparsity(grad, x, args=after_x[0], kwargs=dict(after_x[1]))
    groups, recover = Symmetric(sparsity).substituted()
    given = settings(**options) or {}
    size = np.maximum(1.0, np.abs(x))
    h = given.get("abs_step", given["rel_step"] * np.abs(x) if "rel_step" in given else central(1, 2).step() * size)
    # Powers of two, so that displacements are exact and the same wherever they are reckoned with.
    h = np.broadcast_to(2.0 ** np.round(np.log2(np.where(h > 0, h, central(1, 2).step()))), x.shape).copy()
    plan = Jacobian(grad, sparsity=groups, abs_step=h, **shared)
    status = np.zeros(x.size, dtype=np.uint8)
    values, _ = plan.evaluate(x, component=status)
    if status.any():  # NaN nearby: displacements are not those
        return _sparse(grad, x, sparsity, "direct", False, options, after_x, workers)
    return recover(values, (x + h) - (x - h))


def _check_square(value: Array, shape: tuple[int, int]) -> None:
    if value.shape != shape:
        raise ShapeError(f"grad returned {value.shape[0]} values for the {shape[1]} components of x")


def hvp(
    f: Any,
    x: ArrayLike,
    v: ArrayLike,
    *,
    grad: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Array:
    """Product of the Hessian of a scalar function with a vector.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs) -> float`` for x of shape (n,). Not called if `grad` is given; it may then be None.
    x, v : (n,) array_like
        Where, and the vector.
    grad : callable, optional
        ``grad(x, *args, **kwargs) -> (n,)``.
    args, kwargs
        What f and grad get after x.

    Returns
    -------
    (n,) ndarray

    Notes
    -----
    Cost: 2 gradients (and one more that learns their shape), or 4n values. The step along v is scaled so that no
    component moves farther than its own rule step.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> fd.hvp(lambda x: x[0] ** 2 * x[1], [1.0, 2.0], [1.0, 0.0]).round(5)
    array([4., 2.])
    """
    if grad is not None:
        along: Array = jvp(grad, x, v, args=args, kwargs=kwargs)
        return along
    point, direction = as_vector(x), as_vector(v, "v")
    if point.shape != direction.shape:
        raise ShapeError(f"v has shape {direction.shape} and x has {point.shape}")
    size = reach(point, direction)
    if size == 0.0:
        return np.zeros(point.size)
    t = central(2, 2).step() / size
    native = recognise(f)
    values = Values(bind(f, (args, kwargs or {})) if args or kwargs else f if native is None else native)
    values.m = 1

    def slope(z: Array) -> float:
        """Derivative of f along v, at z."""
        ahead, behind = values(np.array([z + t * direction, z - t * direction]))[:, 0]
        return float((ahead - behind) / (2 * t))

    # The slope carries the rounding of f over 2 t: as if f were that much less precise.
    product: Array = gradient(slope, point, step=central(2, 2).step() * np.maximum(1.0, np.abs(point)))
    return product
