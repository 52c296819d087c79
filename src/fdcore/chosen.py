"""Step selectors in plans: a step for each column of x, from looking at f along that column alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore import callbacks
from fdcore.coerce import as_vector, where_note
from fdcore.errors import ArgumentError, BoundsError, ComplexValuesError, FdcoreError, NonFiniteError, ShapeError
from fdcore.results import Finding, Result, Status
from fdcore.rules import stencil_rule
from fdcore.selectors import Choice, ShiXieXuanNocedal, StepPolicy
from fdcore.steps import settings
from fdcore.values import Values

Array = NDArray[np.float64]

_ENDS = (("lower", -np.inf), ("upper", np.inf))
_GOLDEN = 0.6180339887498949
_LOOK = 2.0**-13  # how far, relative to abs(x) or 1, to see which values of f a column moves


def method_for(policy: StepPolicy, method: str, accuracy: Any, noise: Any, budget: Any) -> str:
    """Say which method a policy's steps are for, and that nothing else was asked for."""
    name = type(policy).__name__
    if stencil_rule(method, None)[0] not in ("central", policy.method):
        raise ArgumentError(
            f"step={name}() chooses steps for {policy.method} differences, not for method={method!r}; leave out method"
        )
    for option, value in (("accuracy", accuracy), ("noise", noise), ("budget", budget)):
        if value is not None:
            raise ArgumentError(
                f"{option}={value!r}: step={name}() chooses steps for a plain {policy.method} difference; leave out "
                f"{option}, or the selector"
            )
    return policy.method


class Chooser:
    """What a plan does with a policy: steps at its first x, kept for the next; or, at each x, the derivative itself."""

    def __init__(self, plan: Any, policy: StepPolicy) -> None:
        self.plan, self.policy = plan, policy
        self.size = -1  # of the x that steps were chosen for

    def steps(self, x: Array, args: tuple[Any, ...], f0: Array | None) -> tuple[int, Array | None]:
        """Choose, before a run, unless that was done: evaluations, and f(x) where it is known now."""
        if self.size == x.size:
            return 0, f0
        line = _Lines(self.plan, x, args, f0)
        if self.policy.searches:
            line.centre()  # what is the matter with f is told better at x itself
        steps = np.array([_of_column(j, partial(self._choose, line, j)).step for j in range(x.size)])
        self.plan.use_steps(steps)
        self.size = x.size
        return line.nfev, line.f0

    def _choose(self, line: _Lines, j: int) -> Choice:
        """Choose for column j: of f itself, or of the mean of the values that the column moves."""
        lower, upper = float(line.lower[j]), float(line.upper[j])
        at = float(line.x[j])
        policy = self.policy
        if not policy.searches:
            return policy.find(lambda t: 0.0, at)
        if not self.plan.is_jacobian:
            return _for_precision(policy, self.plan, line, 1.0).find(partial(line.value, 0, j), at, (lower, upper))
        f0 = line.centre()
        if not f0.size:
            return Choice(policy.rule_step(at), 0, policy.method)
        weight = _weights(f0, line.moved(j))
        if not weight.size:
            return Choice(policy.rule_step(at), 0, policy.method)
        share = _for_precision(policy, self.plan, line, float(np.sum(np.abs(weight))))
        return share.find(lambda t: float(weight @ line(j, t)), at, (lower, upper))

    def values(self, x: Any, args: tuple[Any, ...], f0: Any = None) -> tuple[Array, int]:
        """Give the derivative that comes with the choice, and evaluations."""
        result = self.full(as_vector(x), args, f0)
        return result.value, result.nfev

    def full(self, x: Array, args: tuple[Any, ...], f0: Any = None) -> Result:
        """The same with the policy's own estimates of its errors."""
        plan = self.plan
        line = _Lines(plan, x, args, None if f0 is None else np.array(f0, dtype=np.float64, ndmin=1))
        m = line.centre().size
        value, error, steps = np.empty((m, x.size)), np.empty((m, x.size)), np.empty(x.size)
        for j in range(x.size):
            box = (float(line.lower[j]), float(line.upper[j]))
            chosen = [
                _of_column(j, partial(self.policy.find, partial(line.value, i, j), float(x[j]), box)) for i in range(m)
            ]
            value[:, j] = [np.nan if one.value is None else one.value for one in chosen]
            error[:, j] = [np.inf if one.error is None else one.error for one in chosen]
            steps[j] = min((one.step for one in chosen), default=self.policy.rule_step(float(x[j])))
        if not plan.is_jacobian:
            value, error = value[0], error[0]
        status = np.full(x.size, Status.RULE, dtype=np.uint8)
        found = np.full(value.shape, Finding.SMOOTH, dtype=np.uint8)
        return Result(value, error, steps, line.nfev, status, type(self.policy).__name__, found)

    def forget(self) -> None:
        """Choose anew at the next x."""
        self.size = -1


def _of_column(j: int, choose: Callable[[], Choice]) -> Choice:
    try:
        return choose()
    except FdcoreError as error:
        error.add_note(f"while choosing the step of x[{j}]")
        raise


class _Lines:
    """f along each column of x through one x, every point once."""

    def __init__(self, plan: Any, x: Array, args: tuple[Any, ...], f0: Array | None) -> None:
        self.plan, self.x, self.args, self.f0 = plan, x, args, f0
        self.lower, self.upper = plan.box(x.size)
        bad = np.flatnonzero((x < self.lower) | (x > self.upper))
        if bad.size:
            j = bad[0]
            raise BoundsError(f"x[{j}] = {x[j]!r} is outside its bounds, {self.lower[j]} to {self.upper[j]}")
        self.first = 0
        self.evaluate: Values | None = None
        self.column, self.seen = -1, dict[float, Array]()

    @property
    def nfev(self) -> int:
        return self.first + (0 if self.evaluate is None else self.evaluate.nfev)

    def centre(self) -> Array:
        """f(x)."""
        if self.f0 is None:
            self.f0, self.first = self.plan.base(self.x, self.args), 1
        f0: Array = self.f0
        if not np.isfinite(f0).all():
            raise NonFiniteError("f(x) is NaN or inf, so there is no derivative at x; check x, or what f does there")
        return f0

    def __call__(self, j: int, t: float) -> Array:
        """Evaluate with t for x[j]."""
        if t == self.x[j]:
            return self.centre()
        if self.column != j:
            self.column, self.seen = j, {}
        if t not in self.seen:
            if self.evaluate is None:
                self.evaluate = self.plan.values(self.args)
            point = self.x.copy()
            point[j] = min(max(t, self.lower[j]), self.upper[j])
            try:
                self.seen[t] = self.evaluate(point[None])[0]
            except Exception as error:
                if not isinstance(error, FdcoreError):
                    error.add_note(f"raised by f {where_note(j, t - self.x[j], 0)}")
                raise
            if self.seen[t].shape != self.centre().shape:
                raise ShapeError(f"f0 has shape {self.centre().shape}; it must be f(x), {self.seen[t].shape}")
        return self.seen[t]

    def value(self, i: int, j: int, t: float) -> float:
        """Value i of f with t for x[j]."""
        return float(self(j, t)[i])

    def moved(self, j: int) -> NDArray[np.bool_]:
        """Which values of f change with x[j]: one evaluation, on the side that has more room."""
        if self.centre().size == 1:
            return np.ones(1, dtype=bool)
        at = float(self.x[j])
        far = _LOOK * max(1.0, abs(at))
        up = self.upper[j] - at >= min(far, at - self.lower[j])
        there = self(j, min(at + far, float(self.upper[j])) if up else max(at - far, float(self.lower[j])))
        return np.asarray(there != self.centre())


def _weights(f0: Array, moved: NDArray[np.bool_]) -> Array:
    """Weights of the mean of the values that move, each divided by its size at x, so that the mean there is 1.

    They are signed like f(x) and differ from one another, so that values that are each other's mirror images do not
    cancel. A value that vanishes beside the others, as residuals do at a solution, counts as 1e-8 of the largest.
    """
    if not moved.any():
        return np.empty(0)
    size = np.maximum(np.abs(f0), 1e-8 * np.max(np.abs(f0[moved])))
    size[size == 0.0] = 1.0
    uneven = 0.75 + 0.5 * (np.arange(1, f0.size + 1) * _GOLDEN % 1.0)
    weight: Array = np.where(moved, uneven * np.where(f0 < 0.0, -1.0, 1.0) / size, 0.0) / np.sum(uneven[moved])
    return weight


def _for_precision(policy: StepPolicy, plan: Any, line: _Lines, weight: float) -> StepPolicy:
    """Give the policy for what f's values are worth: float32 inside; or absolute noise, of a weighted mean."""
    if isinstance(policy, ShiXieXuanNocedal) and policy.noise is not None:
        return replace(policy, noise=policy.noise * weight)
    line.centre()
    unit = 2.0 * plan.precision
    if isinstance(policy, ShiXieXuanNocedal):
        if unit <= 2.0**-52:
            return policy
        size = float(np.max(np.abs(line.centre()))) if weight == 1.0 else 1.0
        return replace(policy, noise=unit * (size or 1.0))
    if is_dataclass(policy) and getattr(policy, "precision", unit) < unit:
        return replace(policy, precision=unit)
    return policy


class Once:
    """A function of one number that is evaluated once at each; counts."""

    def __init__(self, f: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> None:
        native = callbacks.recognise(f)
        self.f = f if native is None else native
        self.args, self.kwargs, self.seen = args, dict(kwargs or {}), dict[float, Any]()

    def __call__(self, x: float) -> Any:
        """Evaluate, unless that was done."""
        if x not in self.seen:
            self.seen[x] = self.f(x, *self.args, **self.kwargs)
        return self.seen[x]

    @property
    def nfev(self) -> int:
        """Evaluations so far."""
        return len(self.seen)


def choose_each(policy: StepPolicy, f: Once, points: Array, bounds: Any) -> list[Choice]:
    """Choose a step at each of the points."""
    given = settings(bounds=bounds) or {}
    lower, upper = (np.broadcast_to(given.get(name, end), points.shape) for name, end in _ENDS)

    def line(t: float) -> float:
        value = np.asarray(f(t))  # a number, or an array of one
        if value.dtype.kind == "c":
            raise ComplexValuesError(
                "f returned complex values, and a step selector looks at real ones; differentiate real and imaginary "
                "parts apart, or give numbers"
            )
        return float(value.item())

    return [
        policy.find(line, float(x), (float(low), float(high)))
        for x, low, high in zip(points, lower, upper, strict=True)
    ]
