"""Every entry by itself: about eight evaluations of f an entry."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import Objective
from fdcore.check.judge import LIMIT, Scales
from fdcore.check.slope import Line, Slope, combine, measure, slope
from fdcore.differentiate import derivative
from fdcore.errors import FdcoreError

__all__ = ["Prober"]

Vector = NDArray[np.float64]


class Prober:
    """Differentiates f with respect to single entries, learning from each the step that suits the next.

    Parameters
    ----------
    f : Objective
    x : (n,) array
    f0 : float
        f(x).
    scales : Scales
    noise : float
        Absolute noise of f where it is known; 0 otherwise.
    """

    def __init__(self, f: Objective, x: Vector, f0: float, scales: Scales, noise: float) -> None:
        self.f = f
        self.x = x
        self.f0 = f0
        self.scales = scales
        self.noise = noise
        self._recent: dict[int, deque[float]] = {}

    def line(self, j: int) -> Line:
        """F along entry `j`, at points that the parameter's own dtype can hold."""
        x, dtype = self.x, self.f.tree.leaves[self.f.tree.leaf_of(j)].dtype
        start = float(x[j])

        def value(t: float) -> tuple[float, float]:
            point = x.copy()
            point[j] = moved = float(dtype.type(start + t))
            return self.f(point), (moved - start) - t

        return value

    def entry(self, j: int, analytic: float, rounding: float) -> Slope:
        """Derivative with respect to entry `j`; measured twice, at different steps, if it is not `analytic`."""
        unit = self.f.unit
        found = self._entry(j, analytic, rounding)
        return found if self.f.unit <= unit else self._entry(j, analytic, rounding)

    def _entry(self, j: int, analytic: float, rounding: float) -> Slope:
        position = self.f.tree.leaf_of(j)
        base = 0.01 * max(abs(float(self.x[j])), 1e-3 * self.scales.x[position])
        if self.x[j] == 0.0:
            base = 0.01 * self.scales.x[position]
        # Narrow parameters: steps that x can be moved by without much rounding.
        dtype = self.f.tree.leaves[position].dtype
        ulp = 0.0 if dtype == np.float64 else float(np.spacing(np.abs(dtype.type(self.x[j]))))
        base = max(base, 64.0 * ulp)
        recent = self._recent.setdefault(position, deque(maxlen=9))
        start = base * statistics.median(recent) if recent else base
        relative = max(1e-7, 1e3 * self.f.unit)
        floor = 1e-2 * self.scales.gradient[position]
        line = self.line(j)
        found = slope(
            line,
            self.f0,
            start,
            unit=self.f.unit,
            noise=self.noise,
            smallest=8.0 * ulp,
            largest=max(0.5 * max(abs(float(self.x[j])), self.scales.x[position]), base),
            target=lambda value: relative * max(abs(value), floor),
        )
        if found.reason in ("", "noise", "rounding") and np.isfinite(found.value):
            recent.append(found.step / base)
        if abs(analytic - found.value) > LIMIT * (found.error + rounding) and found.reason != "kink":
            # Never call anyone wrong on one step size: the bar may have been lucky.
            second = measure(line, self.f0, 0.75 * found.step, unit=self.f.unit, noise=self.noise)
            found = combine(found, second)
            if abs(analytic - found.value) > LIMIT * (found.error + rounding) and dtype == np.float64:
                found = self._second_opinion(j, found)
        elif found.error == np.inf and np.isfinite(found.value) and dtype == np.float64:
            found = self._second_opinion(j, found)
        return found._replace(error=np.inf, reason="hidden") if self._hidden(j, analytic, found) else found

    def _hidden(self, j: int, analytic: float, found: Slope) -> bool:
        """Whether f may be singular at the scale of x without a value of it showing that: a root at 1e-300."""
        size = abs(float(self.x[j]))
        invisible = abs(analytic) * size < 15.0 * max(self.f.unit * abs(self.f0), self.noise)
        apart = abs(analytic) > 1e3 * (abs(found.value) + found.error)
        return 0.0 < 1e3 * size < found.step and invisible and apart

    def _second_opinion(self, j: int, found: Slope) -> Slope:
        """Where the bar is wide, ask the adaptive derivative too; the narrower bar counts.

        At the edge of a domain no step taken here may have been small enough.
        """
        if found.error <= 1e-6 * abs(found.value):
            return found

        def value(t: float) -> float:
            point = self.x.copy()
            point[j] = t
            return self.f(point)

        try:
            other = derivative(value, float(self.x[j]), method="adaptive", full_output=True)
        except FdcoreError:
            return found
        if not other.error < found.error:
            return found
        # Next to a singularity that no step resolves, only a narrow value that holds on both sides counts.
        ends = [value(float(self.x[j]) + sign * 2.0 * float(other.step)) for sign in (1.0, -1.0)]
        if not np.all(np.isfinite(ends)) and other.error > 1e-3 * abs(other.value):
            return found
        return Slope(other.value, other.error, other.step, found.nfev + other.nfev)

    def entries(self, indices: Iterable[int], analytic: Vector, rounding: Vector) -> list[Slope]:
        """Derivatives with respect to several entries, in order."""
        return [self.entry(j, float(analytic[j]), float(rounding[j])) for j in indices]
