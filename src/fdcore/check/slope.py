"""The derivative of a function of one variable, with an error bar that can be trusted.

A gradient check stands or falls with this bar, so it is made to fail towards "too wide". The derivative is that of the
polynomial of degree 6 through f at t = -3h..3h. Two more points off that grid are predicted by the polynomial; how far
they are off says how well the polynomial describes f, so an oscillation that happens to vanish on the grid, a kink, a
jump or noise all widen the bar. To it comes the rounding floor: the error of one value of f, over h. The step is
f's own business: it shrinks until the polynomial fits and grows while rounding is the larger part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Level", "Line", "Slope", "combine", "measure", "slope"]

# t -> (f at the displacement really made, what that displacement has too much). The first is nan where f has no value.
Line = Callable[[float], tuple[float, float]]


class _Rule(NamedTuple):
    """A degree-6 polynomial through seven nodes, 0 among them, and what it says at 0 and off the grid."""

    points: tuple[float, ...]  # where f is evaluated, in units of h: six nodes and two points off the grid
    slope: tuple[float, ...]  # weights of the derivative at 0, for the six nodes, then for f(0)
    predict: tuple[tuple[float, ...], ...]  # weights of the prediction at the points off the grid
    truncation: tuple[float, ...]  # error of the derivative times h over the error of the prediction
    rounding: float  # sum of the absolute weights


def _rule(nodes: tuple[float, ...], off: tuple[float, ...]) -> _Rule:
    every = (*nodes, 0.0)

    def basis(k: int, t: float) -> float:
        return math.prod((t - u) / (every[k] - u) for i, u in enumerate(every) if i != k)

    def basis_slope(k: int) -> float:
        others = [u for i, u in enumerate(every) if i != k]
        bottom = math.prod(every[k] - u for u in others)
        return sum(math.prod(-u for j, u in enumerate(others) if j != i) for i in range(len(others))) / bottom

    weights = tuple(basis_slope(k) for k in range(7))
    here = abs(math.prod(nodes))
    return _Rule(
        (*nodes, *off),
        weights,
        tuple(tuple(basis(k, v) for k in range(7)) for v in off),
        tuple(here / abs(math.prod(v - u for u in every)) for v in off),
        sum(map(abs, weights)),
    )


# The points off the grid are dyadic too: x + t is then exact for a step that is a power of two.
CENTRED = _rule((-3.0, -2.0, -1.0, 1.0, 2.0, 3.0), (2.40625, -1.625))
ONE_SIDED = _rule((1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (2.40625, 0.375))

COST = 8  # evaluations of one level

# Below these, values of f are rounded to a fixed grid, whatever their size.
_TINY = 2.0**-1074
_TINY_SINGLE = 2.0**-149


class Level(NamedTuple):
    """What one step size said."""

    step: float
    value: float
    error: float
    residual: float  # worst error of the prediction off the grid
    noise: float  # the absolute error of one value of f that was assumed
    spread: float  # largest minus smallest value of f
    left: float  # one-sided slopes, and how far each can be trusted
    right: float
    doubt: float

    @property
    def finite(self) -> bool:
        """Whether f had a value at all points."""
        return math.isfinite(self.value)

    @property
    def smooth(self) -> bool:
        """Whether the polynomial describes f at all."""
        return self.finite and (self.residual < 0.05 * self.spread or self.residual <= 50.0 * self.noise)


class Slope(NamedTuple):
    """A derivative, its bar, and why the bar is as wide as it is."""

    value: float
    error: float
    step: float
    nfev: int
    reason: str = ""  # "", "kink", "noise", "rounding", "rough", "one-sided", "non-finite", "constant"
    left: float = math.nan  # one-sided slopes at a kink
    right: float = math.nan


def measure(line: Line, f0: float, h: float, *, unit: float, noise: float = 0.0, rule: _Rule = CENTRED) -> Level:
    """Evaluate one level; 8 evaluations of `line`.

    Parameters
    ----------
    line : callable
        See `Line`.
    f0 : float
        f where t = 0.
    h : float
        Step; negative turns a one-sided rule round.
    unit, noise : float
        Relative rounding error of one value of f, and its absolute noise where that is known.
    """
    values, excess = [], []
    for point in rule.points:
        value, extra = line(point * h)
        values.append(value)
        excess.append(extra)
    nodes = [*values[:6], f0]
    top = max(map(abs, [*values, f0]))
    if not math.isfinite(top) or any(map(math.isnan, values)):
        return Level(h, math.nan, math.inf, math.inf, noise, math.inf, math.nan, math.nan, math.inf)
    noise = max(noise, 1.5 * unit * top, _TINY if unit < 1e-12 else _TINY_SINGLE)
    stray = max(map(abs, excess)) / abs(h)
    if stray > 1e-11:  # points of single precision: the polynomial goes through where f really was evaluated
        moved = [p + e / h for p, e in zip(rule.points, excess, strict=True)]
        if len({*moved, 0.0}) <= len(moved):
            return Level(h, math.nan, math.inf, math.inf, noise, math.inf, math.nan, math.nan, math.inf)
        stray = 0.0
        rule = _rule(tuple(moved[:6]), tuple(moved[6:]))
    # Differences from f0 first: they are exact where f hardly changes, and the weights then cannot add rounding.
    change = [v - f0 for v in nodes]
    value = sum(w * c for w, c in zip(rule.slope, change, strict=True)) / h
    residual = truncation = 0.0
    for k, weights in enumerate(rule.predict):
        miss = abs(sum(w * c for w, c in zip(weights, change, strict=True)) - (values[6 + k] - f0))
        residual = max(residual, miss)
        truncation = max(truncation, rule.truncation[k] * miss)
    size = abs(h)
    error = (2.0 * truncation + rule.rounding * noise) / size
    # The displacement itself is rounded, and so is the sum: nothing is known to better than a few units of the value.
    error += (4.0 * 2.0**-53 + stray) * abs(value)
    left = right = math.nan
    doubt = math.inf
    if min(rule.points) < 0.0:
        a3, a2, a1, b1, b2, b3 = change[:6]
        right = (18.0 * b1 - 9.0 * b2 + 2.0 * b3) / (6.0 * h)
        left = -(18.0 * a1 - 9.0 * a2 + 2.0 * a3) / (6.0 * h)
        coarse = abs((4.0 * b1 - b2) / (2.0 * h) - right) + abs(-(4.0 * a1 - a2) / (2.0 * h) - left)
        doubt = coarse + 8.0 * noise / size
    spread = max(*values, f0) - min(*values, f0)
    return Level(h, value, error, residual, noise, spread, left, right, doubt)


def slope(
    line: Line,
    f0: float,
    h: float,
    *,
    unit: float,
    noise: float = 0.0,
    target: Callable[[float], float],
    smallest: float = 0.0,
    largest: float = math.inf,
    levels: int = 6,
) -> Slope:
    """Differentiate `line` at 0, choosing the step by what f does.

    Parameters
    ----------
    line, f0, unit, noise
        As in `measure`.
    h : float
        First step; rounded to a power of two.
    target : callable
        The bar that is good enough for a derivative of that value.
    smallest, largest : float
        No step is smaller, or larger. Without the latter, noise would drive the step past everything that f does, where
        any bounded function looks flat.
    levels : int
        Step sizes to try at the most, of 8 evaluations each; one is usually enough.
    """
    h = 2.0 ** math.floor(math.log2(h))
    # A few digits more than single precision has, so that round numbers do not pass for it; x + h is exact still.
    detail = 1.0 if smallest else 1.0 + 2.0**-20
    tried: list[Level] = []
    best: Level | None = None
    too_wide = math.inf  # smallest step at which f is not smooth
    while len(tried) < levels:
        level = measure(line, f0, h * detail, unit=unit, noise=noise)
        tried.append(level)
        best = _best(tried, noise)
        if best is not None and best.error <= target(best.value):
            break
        if len(tried) == 3 and all(t.spread == 0.0 for t in tried):
            break  # f does not depend on t, as far as anyone can see
        found = _noise_of(tried)
        if found > max(noise, 2.0 * level.noise):
            noise = found
            h = min(16.0 * max(t.step for t in tried if t.finite), _power(largest))
            if h >= too_wide or any(t.step == h for t in tried):
                break
            continue
        step = _next(level, min(too_wide, 2.0 * largest), [t.step for t in tried], first=len(tried) == 1)
        if not level.smooth:
            too_wide = min(too_wide, level.step)
        if step is None or step < smallest:
            break
        h = step
    nfev = COST * len(tried)
    if best is None:
        return _one_sided(line, f0, tried[-1].step, unit, noise, nfev)
    kink = _kink(tried)
    if kink is not None:
        return Slope(best.value, best.error, best.step, nfev, "kink", kink.left, kink.right)
    reason = "constant" if all(t.spread == 0.0 for t in tried) else ""
    if not reason and best.error > target(best.value):
        reason = "noise" if best.noise > 3.0 * unit * abs(f0) and noise > 0 else "rounding" if best.smooth else "rough"
    # Where no polynomial describes f at any step, what it gets wrong bounds nothing: the slope may be infinite.
    return Slope(best.value, math.inf if reason == "rough" else best.error, best.step, nfev, reason)


def combine(first: Slope, level: Level) -> Slope:
    """Put a second measurement at another step beside the first; the bar then covers both."""
    if not level.finite:
        return first
    value, error = (first.value, first.error) if first.error <= level.error else (level.value, level.error)
    apart = abs(first.value - level.value)
    return first._replace(value=value, error=max(error, apart), nfev=first.nfev + COST)


def _best(tried: list[Level], noise: float) -> Level | None:
    """The level with the smallest bar among those that all finer ones allow.

    A kink between the nodes of a coarse level can look like a smooth function of less slope; a finer level, wide as its
    bar may be, then disagrees. Noise that was found out later widens the bars of earlier levels.
    """
    allowed: list[tuple[float, Level]] = []
    for level in sorted((t for t in tried if t.finite), key=lambda t: abs(t.step)):
        error = level.error + CENTRED.rounding * max(0.0, noise - level.noise) / abs(level.step)
        if all(abs(level.value - finer.value) <= 3.0 * (error + wide) for wide, finer in allowed):
            allowed.append((error, level))
    return min(allowed, key=lambda pair: pair[0], default=(0.0, None))[1]


def _next(level: Level, too_wide: float, steps: list[float], *, first: bool) -> float | None:
    """The step to try after `level`, or None if no other one can be expected to be better."""
    h = level.step
    if not level.finite:
        return h / 16.0
    if not level.smooth:
        below = [s for s in steps if s < h]
        return (
            math.sqrt(h * max(below))
            if below and h > 8 * max(below)
            else None
            if below
            else h / (256.0 if first else 64.0)
        )
    if level.residual > 20.0 * level.noise:
        shrink = max((3.0 * level.noise / level.residual) ** (1.0 / 7.0), 1e-3)
        candidate = _power(h * shrink)
    else:
        candidate = 16.0 * h
        if candidate >= too_wide:
            candidate = _power(math.sqrt(h * too_wide))
    if any(0.5 < candidate / s < 2.0 for s in steps):
        return None
    return candidate


def _power(h: float) -> float:
    return 2.0 ** round(math.log2(h)) if math.isfinite(h) else h


def _noise_of(tried: list[Level]) -> float:
    """The noise of f, if the last step was far smaller than another one and described no better by a polynomial."""
    last = tried[-1]
    if not last.finite:
        return 0.0
    for other in tried[:-1]:
        if other.finite and other.step > 8.0 * last.step and last.residual > 0.2 * other.residual > 0.0:
            return last.residual
    return 0.0


def _kink(tried: list[Level]) -> Level | None:
    """The finest level at which the one-sided slopes differ, if a coarser one saw the same jump."""
    seen = [t for t in tried if t.finite and abs(t.right - t.left) > 10.0 * t.doubt]
    if len(seen) < 2:
        return None
    seen.sort(key=lambda t: t.step)
    fine, other = seen[0], seen[-1]
    jump = fine.right - fine.left
    same = abs(jump - (other.right - other.left)) <= 0.2 * abs(jump)
    return (
        fine if same and other.step > 4.0 * fine.step and min(t.step for t in tried if t.finite) == fine.step else None
    )


def _one_sided(line: Line, f0: float, h: float, unit: float, noise: float, nfev: int) -> Slope:
    """F has no value on at least one side, however near: take the other side, and say so."""
    best: Level | None = None
    for step in (h * 256.0, h * 4096.0, h):
        for signed in (step, -step):
            level = measure(line, f0, signed, unit=unit, noise=noise, rule=ONE_SIDED)
            nfev += COST
            if level.finite and (best is None or level.error < best.error):
                best = level
    if best is None:
        return Slope(math.nan, math.inf, h, nfev, "non-finite")
    # A root looks nearly like a polynomial from one side; its slope at 0 has no bound.
    fits = best.residual <= max(1e-3 * best.spread, 50.0 * best.noise)
    return Slope(best.value, best.error if fits else math.inf, best.step, nfev, "one-sided")
