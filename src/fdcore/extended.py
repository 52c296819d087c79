"""Derivatives in long double, where x is: in Python, point by point, for functions that keep its precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fdcore.errors import AnalyticityError, ArgumentError, BoundsError, EvaluationError, NonFiniteError, ShapeError
from fdcore.results import Result, Status
from fdcore.rules import rule_of, stencil_rule
from fdcore.selectors import StepPolicy
from fdcore.stencils import Stencil, one_sided
from fdcore.steps import settings

_RETREAT = (1.0, 1.0 / 16, 1.0 / 256, 1.0 / 4096)


def is_extended(x: Any) -> bool:
    """Whether x is in a floating-point type wider than float64."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and getattr(dtype, "kind", "") == "f" and dtype.itemsize > 8


class _Line:
    """f along the components of x, in x's precision; counts."""

    def __init__(self, f: Callable[..., Any], x: Any, scalar: bool) -> None:
        self.f, self.x, self.scalar, self.nfev = f, x, scalar, 0

    def __call__(self, j: int, move: Any) -> Any:
        self.nfev += 1
        point = self.x.astype(np.result_type(self.x, move))
        point[j] += move
        try:
            value = np.asarray(self.f(point[0] if self.scalar else point))
        except EvaluationError:
            return np.asarray(np.nan)
        if value.dtype.kind not in "fiubc":
            raise ShapeError(f"f must return numbers, not {value.dtype}")
        if value.ndim > 1:
            raise ShapeError(f"f returned shape {value.shape}; it must return a scalar or a vector")
        return value


def extended(
    f: Callable[..., Any],
    x: Any,
    *,
    scalar: bool,
    order: int,
    method: str,
    accuracy: int | None,
    step: Any,
    rel_step: Any,
    abs_step: Any,
    bounds: Any,
    full_output: bool,
    others: dict[str, Any],
) -> Result:
    """Differentiate at the vector x: value (m, n), error (m, n), both in long double.

    Raises
    ------
    ArgumentError
        An option has no long double version: `others` must all be None or False.
    """
    for name, given in others.items():
        if given is not None and given is not False:
            raise ArgumentError(f"{name} is for float64; x is {x.dtype}: leave {name} out, or pass x.astype(float)")
    name, _, order_of_error = stencil_rule(method, accuracy)
    if name == "adaptive":
        raise ArgumentError(f"method='adaptive' works in float64 and x is {x.dtype}; pass x.astype(float)")
    if not np.isfinite(x).all():
        raise ArgumentError("x is not finite; derivatives are taken at finite points only")
    line = _Line(f, x, scalar)
    if name == "complex":
        return _imaginary(line, full_output)
    given = settings(step, rel_step, abs_step, bounds) or {}
    lower, upper = (np.broadcast_to(given.get(side, end), x.shape) for side, end in _ENDS)
    if np.any((x < lower) | (x > upper)):
        raise BoundsError("x is outside its bounds; move x into the box, or widen `bounds`")
    f0 = line(0, x.dtype.type(0)) if x.size else np.zeros(0)
    if not np.isfinite(f0).all():
        raise NonFiniteError("f(x) is NaN or inf, so there is no derivative at x; check x, or what f does there")
    # What f computes in says how long steps must be, whatever x is.
    unit = float(np.finfo(f0.dtype).eps) / 2 if f0.dtype.kind in "fc" else float(np.finfo(x.dtype).eps) / 2
    rule = rule_of(name, order, order_of_error)
    columns, bars, steps = [], [], np.zeros(x.size)
    status = np.zeros(x.size, dtype=np.uint8)
    for j in range(x.size):
        size = float(abs(x[j]))
        wanted = rule.step(unit) * max(1.0, size)
        for key, scale in (("abs_step", 1.0), ("rel_step", size)):
            if key in given:
                wanted = float(np.broadcast_to(given[key], x.shape)[j]) * scale or wanted
        used, h, state, column = _difference(line, rule, j, f0, wanted, float(lower[j]), float(upper[j]))
        columns.append(column)
        steps[j], status[j] = h, state
        if full_output:
            bars.append(_bar(line, used, j, f0, h, column, unit))
    shape = (f0.size, x.size)
    wide = np.result_type(f0.dtype, x.dtype)
    value = np.array(columns, dtype=wide).reshape(shape[::-1]).T
    error = np.array(bars).reshape(shape[::-1]).T if full_output else np.full(shape, np.inf)
    return Result(value, error, steps, line.nfev, status, f"{name}, accuracy {order_of_error}, {x.dtype}")


_ENDS = (("lower", -np.inf), ("upper", np.inf))


def _imaginary(line: _Line, full_output: bool) -> Result:
    x = line.x
    h = x.dtype.type(1e-30)
    columns = []
    for j in range(x.size):
        value = line(j, 1j * h)
        if value.dtype.kind != "c":
            raise AnalyticityError(
                f"f returned real values ({value.dtype}) for a complex argument, so the complex step sees nothing; "
                "use method='central'"
            )
        columns.append(np.ravel(value.imag) / h)
    value = np.array(columns).T
    error = 8.0 * float(np.finfo(x.dtype).eps) * np.abs(value)
    return Result(
        value, error, np.full(x.size, float(h)), line.nfev, np.zeros(x.size, np.uint8), f"complex step, {x.dtype}"
    )


def _difference(
    line: _Line, rule: Stencil, j: int, f0: Any, wanted: float, lower: float, upper: float
) -> tuple[Stencil, float, Status, Any]:
    """Value by the rule, or by what it has to retreat to: other sides first, then shorter steps."""
    sides = [rule, one_sided(rule.order, rule.accuracy, 1), one_sided(rule.order, rule.accuracy, -1)]
    for scale in _RETREAT:
        for k, one in enumerate(sides):
            # A power of two: x + k h is then exact, and no displacement has to be measured.
            h = 2.0 ** round(math.log2(wanted * scale))
            x = line.x[j]
            if x + h == x:
                raise ArgumentError(f"the step {h!r} does not move x[{j}] = {x!r}; give a larger `step`")
            reach = [float(o) * h for o in one.offsets]
            if x + min(0.0, *reach) < lower or x + max(0.0, *reach) > upper:
                continue
            column = _apply(line, one, j, f0, h)
            if np.isfinite(column).all():
                state = Status(k + 1) if k else Status.RULE if scale == 1.0 else Status.SHRUNK
                return one, h, state, column
    raise NonFiniteError(f"f is NaN or inf, or bounds leave no room, on both sides of x[{j}] = {line.x[j]!r}")


def _apply(line: _Line, rule: Stencil, j: int, f0: Any, h: float) -> Any:
    real = line.x.dtype.type
    total: Any = 0
    for k, w in zip(rule.offsets, rule.weights, strict=True):
        if k:
            weight = real(w.numerator) / real(w.denominator)
            total = total + weight * (line(j, real(float(k) * h)) - f0)
    return np.ravel(total / real(h) ** rule.order)


def _bar(line: _Line, rule: Stencil, j: int, f0: Any, h: float, value: Any, unit: float) -> Any:
    """Disagreement with half the step, which tells the truncation, and what rounding does."""
    narrow = _apply(line, rule, j, f0, h / 2)
    floor = 4.0 * rule.norm * unit * np.abs(np.ravel(f0)).astype(float) / h**rule.order
    apart = np.abs(value - narrow).astype(float)
    return np.where(np.isfinite(apart), 2.0 * apart, np.inf) + floor


class Shaped:
    """A function of an array of some shape, as one of a vector."""

    def __init__(self, f: Callable[..., Any], shape: tuple[int, ...]) -> None:
        self.f, self.shape = f, shape

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate at the vector x."""
        return self.f(x.reshape(self.shape), *args, **kwargs)


_FOUR = ("value", "error", "step", "status")
_IN_FLOAT64 = ("workers", "vectorized", "noise", "budget", "sparsity", "vjp", "progress", "out")


def at_extended(f: Any, x: Any, scalar: bool, order: int, given: dict[str, Any]) -> Result:
    """Differentiate in long double, with the options of the public function."""
    step = given["step"]
    if isinstance(step, StepPolicy):
        raise ArgumentError(f"step selectors work in float64; x is {x.dtype}: give a number, or pass x.astype(float)")
    args, kwargs = given["args"], dict(given["kwargs"] or {})
    names = ("method", "accuracy", "step", "rel_step", "abs_step", "bounds", "full_output")
    options: dict[str, Any] = {name: given.get(name) for name in names}
    return extended(
        (lambda z: f(z, *args, **kwargs)) if args or kwargs else f,
        x,
        scalar=scalar,
        order=order,
        others={name: given.get(name) for name in _IN_FLOAT64},
        **options,
    )


def one_row(result: Result, shape: tuple[int, ...], full_output: bool) -> Any:
    """Give a gradient in long double in the shape of x."""
    if len(result.value) != 1:
        raise ShapeError(f"f returned {len(result.value)} values; for a vector function use jacobian")
    parts: dict[str, Any] = {name: np.asarray(getattr(result, name)).reshape(shape) for name in _FOUR}
    parts = {name: array if shape else array[()] for name, array in parts.items()}
    return replace(result, **parts) if full_output else parts["value"]


def each_extended(results: list[Result], shape: tuple[int, ...], full_output: bool) -> Any:
    """Put together derivatives at one point each."""
    values = {name: np.array([np.ravel(getattr(r, name))[0] for r in results]) for name in _FOUR}
    whole = Result(
        values["value"][None], values["error"], values["step"], sum(r.nfev for r in results), values["status"],
        results[0].method if results else "",
    )  # fmt: skip
    return one_row(whole, shape, full_output)
