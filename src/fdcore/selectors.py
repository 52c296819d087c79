"""Classical step selectors, as policies: each looks at a function of one variable and says which step to take.

For those who want one of them by name; pass it as ``step=``. fdcore's own rule step needs no evaluations to be chosen.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from fdcore.errors import ArgumentError, NonFiniteError

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
    """

    step: float
    nfev: int
    method: str
    value: float | None = None
    error: float | None = None
    converged: bool = True


class _Count:
    """A function that counts its evaluations, remembers them, and insists on finite values."""

    def __init__(self, f: Line) -> None:
        self.f, self.seen = f, dict[float, float]()

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

    @abstractmethod
    def _find(self, f: _Count, x: float) -> Choice:
        raise NotImplementedError

    def find(self, f: Line, x: float) -> Choice:
        """Choose the step for f at x.

        Parameters
        ----------
        f : callable
            ``f(x) -> float``.
        x : float
            Where.

        Returns
        -------
        Choice

        Raises
        ------
        NonFiniteError
            f is NaN or inf at a point that the policy needs.
        """
        return self._find(_Count(f), float(x))


def _scale(x: float) -> float:
    return max(1.0, abs(x))


def _representable(x: float, h: float) -> float:
    return (x + h) - x or h


@dataclass(frozen=True)
class Fixed(StepPolicy):
    """Always the same step."""

    step: float
    method: str = "central"

    def _find(self, f: _Count, x: float) -> Choice:
        return Choice(self.step, 0, self.method)


@dataclass(frozen=True)
class Relative(StepPolicy):
    """A fraction of abs(x), and of 1 where x is 0."""

    step: float
    method: str = "central"

    def _find(self, f: _Count, x: float) -> Choice:
        return Choice(self.step * (abs(x) or 1.0), 0, self.method)


@dataclass(frozen=True)
class GillMurraySaundersWright(StepPolicy):
    """Step of a forward difference, from a second difference that is neither noise nor too coarse.

    Looks for an interval whose relative condition error of the second difference lies between 0.001 and 0.1, growing or
    shrinking it tenfold, and takes ``2 sqrt(error of f / |f''|)``.

    References
    ----------
    P. E. Gill, W. Murray, M. A. Saunders, M. H. Wright, "Computing forward-difference intervals for numerical
    optimization", SIAM J. Sci. Stat. Comput. 4 (1983) 310-321, Algorithm FD.
    """

    precision: float = _EPS
    iterations: int = 6

    def _find(self, f: _Count, x: float) -> Choice:
        f0 = f(x)
        absolute = self.precision * (abs(f0) or 1.0)
        usual = 2.0 * (1.0 + abs(x)) * math.sqrt(absolute / (1.0 + abs(f0)))
        h = 10.0 * usual
        first = None  # the first step whose one-sided differences can be trusted
        kept = None
        last = math.nan
        for _ in range(self.iterations + 1):
            up, down = f(x + h), f(x - h)
            forward, backward, second = (up - f0) / h, (f0 - down) / h, (up - 2.0 * f0 + down) / (h * h)
            one_sided = max(_ratio(2.0 * absolute, h * abs(forward)), _ratio(2.0 * absolute, h * abs(backward)))
            both = _ratio(4.0 * absolute, h * h * abs(second))
            if first is None and one_sided <= 0.1:
                first = h
            if 1e-3 <= both <= 0.1:
                kept = (h, second)
                break
            if both < 1e-3:
                if last > 0.1:  # jumped over the interval: the smaller condition error is good enough
                    kept = (h, second)
                    break
                kept = (h, second)
                h /= 10.0
            else:
                if last < 1e-3 and kept is not None:
                    break
                h *= 10.0
            last = both
        n = len(f.seen)
        if kept is None or kept[1] == 0.0:
            # f is constant, or linear, or odd around x: no curvature to balance
            return Choice(_representable(x, first or usual), n, "forward", converged=False)
        step = _representable(x, 2.0 * math.sqrt(absolute / abs(kept[1])))
        value = (f(x + step) - f0) / step
        bound = step * abs(kept[1]) / 2.0 + 2.0 * absolute / step
        h = kept[0]
        middle = (f(x + h) - f(x - h)) / (2.0 * h)
        good = max(bound, abs(value - middle)) <= 0.5 * abs(value)
        return Choice(step, len(f.seen), "forward", value, bound, good)


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.inf


@dataclass(frozen=True)
class ShiXieXuanNocedal(StepPolicy):
    """Step that makes a difference of f stand out of its noise by a set factor; the cheapest of the good ones.

    Forward: ``|f(x + 4h) - 4 f(x + h) + 3 f(x)| / (8 noise)`` in [1.5, 6]; central:
    ``|f(x + 3h) - 3 f(x + h) + 3 f(x - h) - f(x - 3h)| / (8 noise)`` likewise. Quadruples or quarters the step, then
    bisects in its logarithm. The step is within a factor of about 2 of the best one.

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
        h = (2.0 / math.sqrt(3.0) * math.sqrt(noise) if forward else (3.0 * noise) ** (1.0 / 3.0)) * _scale(x)
        low, high = 0.0, math.inf
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
            h = h * factor if math.isinf(high) else h / factor if low == 0.0 else math.sqrt(low * high)
            if h > 1e8 * _scale(x):
                break  # linear (or quadratic, for central differences): any large step will do
        return Choice(min(h, _scale(x)), len(f.seen), self.method, converged=False)


@dataclass(frozen=True)
class DumontetVignes(StepPolicy):
    """Step of a central difference, from a third derivative whose interval is chosen by its own rounding error.

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
        low, high = 1e-12 * _scale(x), 1e2 * _scale(x)
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
        third = abs(best[1]) if best is not None else 0.0
        if third == 0.0:
            return Choice(self.precision ** (1 / 3) * _scale(x), len(f.seen), "central", converged=False)
        step = (1.67 * eps * (abs(f0) or 1.0) / third) ** (1 / 3)
        return Choice(_representable(x, step), len(f.seen), "central", converged=converged)


@dataclass(frozen=True)
class SteplemanWinarsky(StepPolicy):
    """Step of a central difference: shrink it fourfold for as long as successive differences still come closer.

    References
    ----------
    R. S. Stepleman, N. D. Winarsky, "Adaptive numerical differentiation", Math. Comp. 33 (1979) 1257-1264.
    """

    precision: float = _EPS
    beta: float = 4.0
    start: float | None = None
    iterations: int = 40

    def _find(self, f: _Count, x: float) -> Choice:
        h = self.start if self.start is not None else self._first(f, x)
        difference = (f(x + h) - f(x - h)) / (2 * h)
        change = math.inf
        for _ in range(self.iterations):
            smaller = h / self.beta
            following = (f(x + smaller) - f(x - smaller)) / (2 * smaller)
            now = abs(following - difference)
            if now >= change or now == 0.0:
                return Choice(h if now else smaller, len(f.seen), "central", difference, change, True)
            h, difference, change = smaller, following, now
        return Choice(h, len(f.seen), "central", difference, change, False)

    def _first(self, f: _Count, x: float) -> float:
        """Find a step that loses some digits of f to the subtraction, but fewer than a third of them."""
        f0 = f(x)
        most = math.log10(self.precision ** (-1 / 3) / self.beta)
        low, high = 1e-8 * _scale(x), 10.0 * _scale(x)
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
        h = self.precision ** (1 / 3) * _scale(x)
        for _ in range(self.iterations):
            up, down = f(x + h), f(x - h)
            gap = abs((up - down) / (2 * h) - (up - f0) / h)
            rounding = max(abs(up), abs(f0), abs(down)) * self.precision / h
            ratio = gap / rounding if rounding else math.inf
            if self.low <= ratio <= self.high:
                return Choice(_representable(x, h), len(f.seen), "central")
            grown = h * math.sqrt(self.aim / max(ratio, 1.0))
            if grown > 1e3 * _scale(x):
                break
            h = grown
        return Choice(_representable(x, h), len(f.seen), "central", converged=False)


@dataclass(frozen=True)
class Ridders(StepPolicy):
    """Richardson extrapolation of central differences over shrinking steps, stopped when it gets worse.

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
        h = self.start if self.start is not None else 0.1 * _scale(x)
        row = [(f(x + h) - f(x - h)) / (2 * h)]
        best, error, step = row[0], math.inf, h
        for _ in range(1, self.levels):
            h /= self.shrink
            new = [(f(x + h) - f(x - h)) / (2 * h)]
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
