"""Classical step selectors, as policies: each looks at a function of one variable and says which step to take.

For those who want one of them by name; pass it as ``step=``. fdcore's own rule step needs no evaluations to be chosen.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from fdcore.errors import ArgumentError, BoundsError, NonFiniteError
from fdcore.stencils import central, one_sided

__all__ = [
    "Choice",
    "CurtisReid",
    "DumontetVignes",
    "Fixed",
    "GillMurraySaundersWright",
    "Relative",
    "Ridders",
    "ShiXieXuanNocedal",
    "StepPolicy",
    "SteplemanWinarsky",
]

Line = Callable[[float], float]

_EPS = 2.0**-52


@dataclass(frozen=True)
class Choice:
    """What a policy found.

    Attributes
    ----------
    step : float
        The step to take, positive, in the units of x.
    nfev : int
        Evaluations it took to find.
    method : str
        The difference that the step is for: "forward" or "central".
    value : float or None
        The derivative itself, where the policy makes it on the way (Ridders, Richardson).
    error : float or None
        What the policy estimates its error to be.
    converged : bool
        Whether the policy met its own test.
    outcome : str
        What it ended with: "satisfactory", or what stood in the way, in the words of the policy's notes.
    """

    step: float
    nfev: int
    method: str
    value: float | None = None
    error: float | None = None
    converged: bool = True
    outcome: str = "satisfactory"


class _Count:
    """A function that counts its evaluations, remembers them, and insists on finite values."""

    def __init__(self, f: Line, room: float = math.inf) -> None:
        self.f, self.seen = f, dict[float, float]()
        self.room = room  #: how far from x the policy may go

    def __call__(self, x: float) -> float:
        if x not in self.seen:
            value = float(self.f(x))
            if not math.isfinite(value):
                raise NonFiniteError(f"f({x!r}) is {value!r}: this step selector needs finite values around x")
            self.seen[x] = value
        return self.seen[x]


class StepPolicy(ABC):
    """Something that chooses a step for a function of one variable; pass it as ``step=``."""

    gives_value: ClassVar[bool] = False  #: the derivative comes with the choice, better than a plain difference
    searches: ClassVar[bool] = True  #: it evaluates f
    method: str = "central"  #: the difference that its steps are for

    @abstractmethod
    def _find(self, f: _Count, x: float) -> Choice:
        raise NotImplementedError

    def _room(self, x: float, lower: float, upper: float) -> float:
        """How far from x, on all sides that it evaluates on, the policy may go."""
        return min(x - lower, upper - x)

    def rule_step(self, x: float) -> float:
        """Step of the policy's method for a function of the scale of x, from no look at it."""
        return (central(1, 2) if self.method == "central" else one_sided(1, 1, 1)).step() * _scale(x)

    def find(self, f: Line, x: float, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Choice:
        """Choose the step for f at x.

        Parameters
        ----------
        f : callable
            ``f(x) -> float``.
        x : float
            Where.
        bounds : (float, float), optional
            f is evaluated between these only. Where they leave too little room around x to look for a step, the choice
            is the rule step, without a search: ``outcome == "no room"``.

        Returns
        -------
        Choice

        Raises
        ------
        NonFiniteError
            f is NaN or inf at a point that the policy needs.
        BoundsError
            x is outside the bounds; or so close to one that a policy that gives the derivative itself has no room.
        """
        x = float(x)
        lower, upper = bounds
        if not lower <= x <= upper:
            raise BoundsError(f"x = {x!r} is outside its bounds, {lower!r} to {upper!r}")
        room = self._room(x, lower, upper)
        rule = self.rule_step(x)
        if self.searches and room < _LEAST_ROOM * rule:
            if self.gives_value:
                raise BoundsError(
                    f"{type(self).__name__} needs points on both sides of x, and bounds leave {room:.3g} beside "
                    f"x = {x!r}; use method='adaptive', which works from one side"
                )
            return Choice(rule, 0, self.method, converged=False, outcome="no room")
        return self._find(_Count(f, room), x)


_LEAST_ROOM = 64.0  # rule steps


def _scale(x: float) -> float:
    return max(1.0, abs(x))


def _representable(x: float, h: float) -> float:
    return (x + h) - x or h


def _slope(f: _Count, x: float, h: float) -> float:
    """Central difference, divided by the displacement really made."""
    up, down = x + h, x - h
    return (f(up) - f(down)) / (up - down or 2.0 * h)


@dataclass(frozen=True)
class Fixed(StepPolicy):
    """Always the same step."""

    searches: ClassVar[bool] = False

    step: float
    method: str = "central"

    def _find(self, f: _Count, x: float) -> Choice:
        return Choice(self.step, 0, self.method)


@dataclass(frozen=True)
class Relative(StepPolicy):
    """A fraction of abs(x), and of 1 where x is 0."""

    searches: ClassVar[bool] = False

    step: float
    method: str = "central"

    def _find(self, f: _Count, x: float) -> Choice:
        return Choice(self.step * (abs(x) or 1.0), 0, self.method)


@dataclass(frozen=True)
class GillMurraySaundersWright(StepPolicy):
    """Step of a forward difference, from a second difference that is neither noise nor too coarse.

    Looks for an interval whose relative condition error of the second difference lies between 0.001 and 0.1, growing or
    shrinking it tenfold, and takes ``2 sqrt(error of f / |f''|)``.

    Notes
    -----
    Cost: f(x), two evaluations for each interval tried (seven at most), and one at the step; 4 where the first interval
    will do. `Choice.outcome` has the algorithm's five ends:

    - "satisfactory";
    - "constant": f hardly changes at any interval; the value is 0, the step the one for a well-scaled f;
    - "linear or odd": f changes and the second difference does not rise above its rounding; the step is the first at
      which one-sided differences could be trusted;
    - "second derivative too large": it still grows when the interval is the smallest one tried, which is the step;
    - "derivative too small": a second derivative was found, beside which the first is too small for a forward
      difference: the estimated error, or the distance from the central difference, is over half of it.

    All but the first have ``converged == False``.

    References
    ----------
    P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, "Computing forward-difference intervals for numerical
    optimization", SIAM J. Sci. Stat. Comput. 4 (1983) 310-321, Algorithm FD.
    """

    method = "forward"

    precision: float = _EPS
    iterations: int = 6

    def _find(self, f: _Count, x: float) -> Choice:
        f0 = f(x)
        absolute = self.precision * (abs(f0) or 1.0)
        usual = 2.0 * (1.0 + abs(x)) * math.sqrt(absolute / (1.0 + abs(f0)))
        h = min(10.0 * usual, f.room)
        trusted = 0.0  # the first interval whose one-sided differences can be trusted
        kept: tuple[float, float] | None = None  # an interval for the second difference, and that
        before: tuple[float, float] | None = None  # the same, one interval earlier
        grows: bool | None = None  # which way the search goes, once that is known
        for left in range(self.iterations, -1, -1):
            up, down = f(x + h), f(x - h)
            second = (up - 2.0 * f0 + down) / h / h
            if not trusted and 2.0 * absolute <= 0.1 * min(abs(up - f0), abs(f0 - down)):
                trusted = h
            condition = _ratio(4.0 * absolute, h * h * abs(second))
            if grows is None:
                grows = condition > 0.1
            if condition > 0.1 and not grows:  # one too small; the one before is the best there is
                kept = before
                break
            if condition <= 0.1 and (grows or condition >= 1e-3):
                kept = (h, second)
                break
            before = (h, second)
            if left == 0 or (grows and h >= f.room):
                break
            h = min(10.0 * h, f.room) if grows else h / 10.0
        if kept is None:
            return self._unsatisfactory(f, x, absolute, usual, trusted, second, h, bool(grows))
        h, second = kept
        step = _representable(x, min(2.0 * math.sqrt(absolute / abs(second)), f.room))
        value = (f(x + step) - f0) / step
        bound = step * abs(second) / 2.0 + 2.0 * absolute / step
        middle = (f(x + h) - f(x - h)) / (2.0 * h)
        good = max(bound, abs(value - middle)) <= 0.5 * abs(value)
        outcome = "satisfactory" if good else "derivative too small"
        return Choice(step, len(f.seen), self.method, value, bound, good, outcome)

    def _unsatisfactory(
        self,
        f: _Count,
        x: float,
        absolute: float,
        usual: float,
        trusted: float,
        second: float,
        last: float,
        grows: bool,
    ) -> Choice:
        """No interval for the second difference was found."""
        if not trusted:
            step = _representable(x, min(usual, f.room))
            return Choice(step, len(f.seen), self.method, 0.0, None, False, "constant")
        step = _representable(x, trusted if grows else last)
        value = (f(x + step) - f(x)) / step
        bound = 2.0 * absolute / step + (0.0 if grows else step * abs(second) / 2.0)
        outcome = "linear or odd" if grows else "second derivative too large"
        return Choice(step, len(f.seen), self.method, value, bound, False, outcome)


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.inf


@dataclass(frozen=True)
class ShiXieXuanNocedal(StepPolicy):
    """Step that makes a difference of f stand out of its noise by a set factor; the cheapest of the good ones.

    Forward: ``|f(x + 4h) - 4 f(x + h) + 3 f(x)| / (8 noise)`` in [1.5, 6]; central:
    ``|f(x + 3h) - 3 f(x + h) + 3 f(x - h) - f(x - 3h)| / (8 noise)`` likewise. Quadruples or quarters the step, then
    bisects in its logarithm. The step is within a factor of about 2 of the best one.

    Notes
    -----
    Cost: forward 3 to 9 evaluations, f(x) included, central 5 to 13; more where f varies on a scale far from 1. `noise`
    is a bound on the absolute error of f; 2**-52 of abs(f(x)) by default. ``outcome``: "linear" or "quadratic" where no
    step makes the difference stand out, "end of the room" where none within the bounds does.

    References
    ----------
    H.-J. M. Shi, Y. Xie, M. Q. Xuan, J. Nocedal, "Adaptive finite-difference interval estimation for noisy
    derivative-free optimization", SIAM J. Sci. Comput. 44 (2022) A2302-A2321.
    """

    noise: float | None = None
    method: str = "forward"
    low: float = 1.5
    high: float = 6.0
    iterations: int = 40

    def __post_init__(self) -> None:
        if self.method not in ("forward", "central"):
            raise ArgumentError(f"method must be 'forward' or 'central', not {self.method!r}")

    def _find(self, f: _Count, x: float) -> Choice:
        f0 = f(x)
        noise = self.noise if self.noise is not None else _EPS * (abs(f0) or 1.0)
        forward = self.method == "forward"
        h = 2.0 / math.sqrt(3.0) * math.sqrt(noise) if forward else (3.0 * noise) ** (1.0 / 3.0)
        low, high = 0.0, math.inf
        longest = f.room / (4.0 if forward else 3.0)
        h = min(h, longest)
        for _ in range(self.iterations):
            if forward:
                ratio = abs(f(x + 4 * h) - 4 * f(x + h) + 3 * f0) / (8 * noise)
            else:
                ratio = abs(f(x + 3 * h) - 3 * f(x + h) + 3 * f(x - h) - f(x - 3 * h)) / (8 * noise)
            if ratio < self.low:
                low = h
            elif ratio > self.high:
                high = h
            else:
                return Choice(h, len(f.seen), self.method)
            factor = 4.0 if forward else 3.0
            if low >= longest:
                return Choice(h, len(f.seen), self.method, converged=False, outcome="end of the room")
            h = h * factor if math.isinf(high) else h / factor if low == 0.0 else math.sqrt(low * high)
            h = min(h, longest)
            if h > 1e8 * _scale(x):  # any large step will do
                ended = "linear" if forward else "quadratic"
                return Choice(_scale(x), len(f.seen), self.method, converged=False, outcome=ended)
        return Choice(min(h, _scale(x)), len(f.seen), self.method, converged=False, outcome="no step")

    def _room(self, x: float, lower: float, upper: float) -> float:
        return upper - x if self.method == "forward" else super()._room(x, lower, upper)


@dataclass(frozen=True)
class DumontetVignes(StepPolicy):
    """Step of a central difference, from a third derivative whose interval is chosen by its own rounding error.

    Bisects the logarithm of the interval k over fourteen decades until the bounds that rounding sets to the third
    difference have a ratio in [2, 15] or [1/15, 1/2], and takes the cube root of 1.67 times the error of f over the
    third derivative.

    Notes
    -----
    Cost: f(x) and 4 evaluations for each k, mostly 6 or 7 of them (25 or 29 evaluations), fewer by luck. The ends of
    the fourteen decades are not looked at, on which other implementations spend 8 evaluations; a secant would need
    fewer still, but bisection is what was published. So is the constant 1.67; 3 would be best for a sure bound on the
    error of f. Where no k will do (f(x) = 0, no third derivative), the step is the rule step, and `outcome`
    "no step" or "no third derivative".

    References
    ----------
    J. Dumontet, J. Vignes, "Détermination du pas optimal dans le calcul des dérivées sur ordinateur", RAIRO Analyse
    numérique 11 (1977) 13-25.
    """

    precision: float = _EPS
    iterations: int = 60

    def _find(self, f: _Count, x: float) -> Choice:
        f0 = f(x)
        eps = self.precision
        low, high = 1e-12 * _scale(x), min(1e2 * _scale(x), f.room / 2.0)
        best: tuple[float, float] | None = None
        converged = False
        for _ in range(self.iterations):
            k = math.sqrt(low * high)
            terms = (f(x + 2 * k), -f(x - 2 * k), -2 * f(x + k), 2 * f(x - k))
            positive = sum(t for t in terms if t > 0)
            negative = sum(t for t in terms if t < 0)
            cube = 2 * k**3
            inferior = (positive / (1 + eps) + negative / (1 - eps)) / cube
            superior = (positive / (1 - eps) + negative / (1 + eps)) / cube
            best = (k, (positive + negative) / cube)
            ratio = superior / inferior if inferior else math.inf
            if 2 <= ratio <= 15 or 1 / 15 <= ratio <= 1 / 2:
                converged = True
                break
            if 1 / 2 < ratio < 2:  # both bounds agree: k may be smaller
                high = k
            else:
                low = k
            if high / low < 1.01:
                break
        if best is None or not converged or best[1] == 0.0:
            outcome = "no third derivative" if best is None or best[1] == 0.0 else "no step"
            return Choice(self.rule_step(x), len(f.seen), self.method, converged=False, outcome=outcome)
        step = min((1.67 * eps * (abs(f0) or 1.0) / abs(best[1])) ** (1 / 3), f.room)
        return Choice(_representable(x, step), len(f.seen), self.method)


@dataclass(frozen=True)
class SteplemanWinarsky(StepPolicy):
    """Step of a central difference: shrink it fourfold for as long as successive differences still come closer.

    Notes
    -----
    Cost: f(x), two evaluations for each first step tried and for each shorter one: 13 to 23 mostly. The first step, in
    the middle of nine decades, must lose some digits of f to the subtraction and less than a third of them; the ends of
    the decades are not tried: at the long one a sine passes for a function that loses nothing. Differences are divided
    by the displacement really made.

    References
    ----------
    R. S. Stepleman, N. D. Winarsky, "Adaptive numerical differentiation", Math. Comp. 33 (1979) 1257-1264.
    """

    precision: float = _EPS
    beta: float = 4.0
    start: float | None = None
    iterations: int = 40

    def _find(self, f: _Count, x: float) -> Choice:
        h = min(self.start, f.room) if self.start is not None else self._first(f, x)
        difference = _slope(f, x, h)
        change = math.inf
        for _ in range(self.iterations):
            smaller = h / self.beta
            following = _slope(f, x, smaller)
            now = abs(following - difference)
            if now >= change or now == 0.0:
                return Choice(h, len(f.seen), "central", difference, change, True)
            h, difference, change = smaller, following, now
        return Choice(h, len(f.seen), "central", difference, change, False, "no step")

    def _first(self, f: _Count, x: float) -> float:
        """Find a step that loses some digits of f to the subtraction, but fewer than a third of them."""
        f0 = f(x)
        most = math.log10(self.precision ** (-1 / 3) / self.beta)
        low, high = 1e-8 * _scale(x), min(10.0 * _scale(x), f.room)
        for _ in range(20):
            h = math.sqrt(low * high)
            gap = abs(f(x + h) - f(x - h))
            lost = -math.log10(gap / abs(f0)) if gap and f0 else 0.5
            if 0 < lost < most:
                return h
            if lost <= 0:
                high = h
            else:
                low = h
        return h


@dataclass(frozen=True)
class CurtisReid(StepPolicy):
    """Step of a central difference that keeps truncation at a hundred times the rounding error.

    Truncation is taken to be the gap between central and forward differences.

    Notes
    -----
    Cost: f(x) and two evaluations for each step, mostly two of them: 5. The gap is the truncation of a forward
    difference, so that central ones with this step have little truncation and more rounding than they had to: relative
    errors of 1e-10 where the best step gives 1e-11. Rounding counts that of x, too, without which the step would go to
    nothing near a zero of f. ``outcome``: "linear or odd" where no step has so much truncation, "end of the room" where
    none within the bounds has.

    References
    ----------
    A. R. Curtis, J. K. Reid, "The choice of step lengths when using differences to approximate Jacobian matrices",
    IMA J. Appl. Math. 13 (1974) 121-126.
    """

    precision: float = _EPS
    aim: float = 100.0
    low: float = 10.0
    high: float = 1000.0
    iterations: int = 20

    def _find(self, f: _Count, x: float) -> Choice:
        f0 = f(x)
        h = min(self.precision ** (1 / 3) * _scale(x), f.room)
        outcome = "no step"
        for _ in range(self.iterations):
            up, down = f(x + h), f(x - h)
            gap = abs((up - down) / (2 * h) - (up - f0) / h)
            # x is rounded, too: all there is where f is near a zero.
            size = max(abs(up), abs(f0), abs(down), abs(x * (up - down) / (2 * h)))
            rounding = size * self.precision / h
            ratio = gap / rounding if rounding else math.inf
            if self.low <= ratio <= self.high:
                return Choice(_representable(x, h), len(f.seen), "central")
            grown = min(h * math.sqrt(self.aim / max(ratio, 1.0)), f.room)
            if grown > 1e3 * _scale(x) or grown == h:
                outcome = "linear or odd" if grown > h else "end of the room"
                break
            h = grown
        return Choice(_representable(x, h), len(f.seen), "central", converged=False, outcome=outcome)


@dataclass(frozen=True)
class Ridders(StepPolicy):
    """Richardson extrapolation of central differences over shrinking steps, stopped when it gets worse.

    Notes
    -----
    Cost: two evaluations a level, four to six levels for a smooth function. Where none is stopped early,
    ``Ridders(levels=k, worse=math.inf)``, this is Richardson's table of k rows, 2 k evaluations exactly.

    References
    ----------
    C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Adv. Eng. Software 4 (1982) 75-76.
    """

    gives_value: ClassVar[bool] = True

    start: float | None = None
    shrink: float = 2.0
    levels: int = 10
    worse: float = 2.0

    def _find(self, f: _Count, x: float) -> Choice:
        h = min(self.start if self.start is not None else 0.1 * _scale(x), f.room)
        row = [_slope(f, x, h)]
        best, error, step = row[0], math.inf, h
        for _ in range(1, self.levels):
            h /= self.shrink
            new = [_slope(f, x, h)]
            factor = 1.0
            for previous in row:
                factor *= self.shrink**2
                new.append((factor * new[-1] - previous) / (factor - 1.0))
                off = max(abs(new[-1] - new[-2]), abs(new[-1] - previous))
                if off <= error:
                    best, error, step = new[-1], off, h
            if abs(new[-1] - row[-1]) >= self.worse * error:
                break
            row = new
        return Choice(step, len(f.seen), "central", best, error, math.isfinite(error))
