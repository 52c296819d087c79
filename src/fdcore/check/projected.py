"""Many parameters at once: derivatives along random directions, and halving of whatever fails down to the entries.

A direction moves every entry by a random sign, a random size between 1/2 and 11/8 (so that two wrong entries do not
cancel) and the scale of its array (so that no array is swamped). If the analytic gradient is right, it predicts the
derivative along the direction. If it is not, one half of the entries is measured along the same direction; the other
half then is known by subtraction, and so on. Costs 8 evaluations a measurement and memory for four vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fdcore.check.elementwise import Prober
from fdcore.check.evaluate import DOUBLE, precision
from fdcore.check.judge import LIMIT
from fdcore.check.rounding import Rounding
from fdcore.check.slope import COST, Line, Slope, combine, measure, slope

__all__ = ["Probe", "Projector", "Search"]

Vector = NDArray[np.float64]

PIECE = 1 << 16  # entries handled at a time, so that no temporary array is as long as x
SMALLEST = 0.5  # of the random sizes


@dataclass(frozen=True, slots=True)
class Probe:
    """A derivative along a direction, restricted to the entries from `start` to `stop`."""

    number: int
    start: int
    stop: int
    analytic: float
    numeric: float
    error: float
    typical: float  # size that `analytic` has where signs are random
    step: float
    reason: str = ""
    rtol: float = 0.0

    @property
    def z(self) -> float:
        """How many bars analytic and numeric are apart."""
        apart = abs(self.analytic - self.numeric)
        return apart / self.error if self.error else (0.0 if apart == 0.0 else math.inf)

    @property
    def wrong(self) -> bool:
        """Whether they are too far apart; False where nothing can be said."""
        apart = abs(self.analytic - self.numeric)
        return math.isfinite(self.error) and self.z > LIMIT and apart > self.rtol * self.typical

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.stop - self.start


class Projector:
    """Measures derivatives along directions.

    Parameters
    ----------
    prober : Prober
        Knows f, the point and the scales.
    analytic : (n,) array
    rounding : Rounding
    use : (n,) array of bool, or None
        The entries to move; entries of `analytic` that are not finite are never moved.
    seed : int
    rtol : float
        Relative differences up to here are none.
    """

    def __init__(
        self,
        prober: Prober,
        analytic: Vector,
        rounding: Rounding,
        use: NDArray[np.bool_] | None,
        seed: int,
        rtol: float = 0.0,
    ) -> None:
        self.prober = prober
        self.analytic = analytic
        self.rounding = rounding
        self.use = use
        self.seed = seed
        self.rtol = rtol
        self.tree = prober.f.tree
        self._number = -1
        self._pattern = np.empty(0, dtype=np.int8)
        # Random rather than coherent changes of many parameters: smaller steps do as well, and stay further from kinks.
        self.start = 2.0**-8

    def pattern(self, number: int) -> NDArray[np.int8]:
        """Signs and sizes of direction `number`, in eighths of the scale of the array."""
        if number != self._number:
            self._pattern = np.empty(0, dtype=np.int8)
            rng = np.random.default_rng([self.seed, number])
            pattern = rng.integers(0, 16, size=self.tree.size, dtype=np.int8)
            # 0..15 -> -11..-4, 4..11
            pattern += 4
            pattern[pattern > 11] -= 23
            self._pattern = pattern
            self._number = number
            for start, stop in _pieces(0, self.tree.size):
                still = ~np.isfinite(self.analytic[start:stop])
                if self.use is not None:
                    still |= ~self.use[start:stop]
                pattern[start:stop][still] = 0
        return self._pattern

    def moves(self, number: int, start: int, stop: int) -> Iterator[tuple[int, int, Vector, int]]:
        """Pieces of the direction between two entries: (start, stop, displacement for t = 1, leaf)."""
        pattern = self.pattern(number)
        for k, leaf in enumerate(self.tree.leaves):
            for a, b in _pieces(max(start, leaf.start), min(stop, leaf.stop)):
                yield a, b, np.multiply(pattern[a:b], self.prober.scales.x[k] / 8.0, dtype=np.float64), k

    def line(self, number: int, start: int, stop: int) -> Line:
        """F along the direction, corrected for the rounding of the points of narrow parameters."""
        f, x = self.prober.f, self.prober.x

        def value(t: float) -> tuple[float, float]:
            point = x.copy()
            stray = 0.0
            for a, b, move, k in self.moves(number, start, stop):
                move *= t
                dtype = self.tree.leaves[k].dtype
                if dtype == np.float64:
                    point[a:b] += move
                    continue
                moved = (x[a:b] + move).astype(dtype).astype(np.float64)
                moved[move == 0.0] = x[a:b][move == 0.0]
                point[a:b] = moved
                known = np.where(np.isfinite(self.analytic[a:b]), self.analytic[a:b], 0.0)
                stray += float(np.dot(moved - x[a:b] - move, known))
            return f(point) - stray, 0.0

        return value

    def measure(self, number: int, start: int, stop: int, step: float | None = None) -> Probe:
        """Differentiate along a direction, restricted to some entries; 8 evaluations, more if `step` is not given."""
        unit = self.prober.f.unit
        probe = self._measure(number, start, stop, step)
        return probe if self.prober.f.unit <= unit else self._measure(number, start, stop, step)

    def _measure(self, number: int, start: int, stop: int, step: float | None) -> Probe:
        total = typical = noise = stray = 0.0
        for a, b, move, k in self.moves(number, start, stop):
            known = self.analytic[a:b]
            if not np.all(np.isfinite(known)):
                known = np.where(move == 0.0, 0.0, known)
            product = move * known
            total += math.fsum(product) if product.size < 1000 else float(np.sum(product))
            # Norms of norms: squares of numbers near 1e300 are infinite.
            typical = math.hypot(typical, _norm(product))
            noise = math.hypot(noise, _norm(move) * self.rounding.typical(k))
            stray = math.hypot(stray, _norm(self.prober.x[a:b] * known))
        line = self.line(number, start, stop)
        prober = self.prober
        f = prober.f
        # Points of narrow parameters are rounded, which moves f by its second derivatives.
        relative = max(1e-8, 300.0 * f.unit, *(100.0 * precision(leaf.dtype) for leaf in self.tree.leaves))
        if step is None:
            found = slope(
                line,
                prober.f0,
                self.start,
                unit=f.unit,
                noise=prober.noise,
                smallest=2.0**-18 if any(leaf.dtype != np.float64 for leaf in self.tree.leaves) else 0.0,
                largest=0.25,
                target=lambda value: relative * max(typical, abs(value)),
                levels=4,
            )
        else:
            level = measure(line, prober.f0, step, unit=f.unit, noise=prober.noise)
            found = Slope(level.value, level.error, level.step, COST)
        # Rounding of the points, of the analytic gradient and of the sums over it.
        extra = 3.0 * noise + 4.0 * DOUBLE * (stray / found.step + typical)
        if step is None and abs(total - found.value) > LIMIT * (found.error + extra):
            # Never call anyone wrong on one step size: the bar may have been lucky.
            found = combine(found, measure(line, prober.f0, 0.75 * found.step, unit=f.unit, noise=prober.noise))
        return Probe(
            number, start, stop, total, found.value, found.error + extra, typical, found.step, found.reason, self.rtol
        )


@dataclass
class Search:
    """Finds the wrong entries behind a probe that is wrong.

    Attributes
    ----------
    entries : dict of int to Slope
        Single entries that were differentiated.
    clean, wrong : list of Probe
        Ranges found right; ranges found wrong and not taken apart any further.
    dense : list of Probe
        Ranges in which many entries are wrong, so that only some of them were looked at.
    measured : list of Probe
        All that were taken apart, and all halves.
    """

    projector: Projector
    budget: int
    entries: dict[int, Slope] = field(default_factory=dict)
    clean: list[Probe] = field(default_factory=list)
    wrong: list[Probe] = field(default_factory=list)
    dense: list[Probe] = field(default_factory=list)
    measured: list[Probe] = field(default_factory=list)
    most: int = 24
    first: int = 4

    def left(self) -> int:
        """Evaluations that may still be spent."""
        return self.budget - self.projector.prober.f.calls

    def run(self, root: Probe) -> None:
        """Take `root` apart until the budget, or the number of entries to find, is used up."""
        queue = [root]
        found = 0
        self.measured.append(root)
        while queue:
            # Straight down to some entries: where many are wrong, the budget would not last for all ranges side by
            # side. The clearest ranges afterwards.
            probe = min(queue, key=(lambda p: (p.size, -p.z)) if found < self.first else (lambda p: (-p.z, p.start)))
            queue.remove(probe)
            if found >= self.most or self.left() < 4 * COST:
                self.wrong.append(probe)
                continue
            if probe.size == 1:
                found += self.look(probe.start)
                continue
            leaf = self.projector.tree.leaves[self.projector.tree.leaf_of(probe.start)]
            if (probe.start, probe.stop) == (leaf.start, leaf.stop) and self.sample(probe, 5) >= 2:
                self.dense.append(probe)
                continue
            halves = self.split(probe)
            self.measured.extend(halves)
            failing = [half for half in halves if half.wrong]
            self.clean.extend(half for half in halves if not half.wrong)
            if not failing:
                self.wrong.append(probe)
            elif len(failing) == 2 and probe.size > 16 and probe.stop <= leaf.stop and self.sample(probe, 3) >= 2:
                self.dense.append(probe)
                continue
            queue.extend(failing)

    def look(self, j: int) -> bool:
        """Differentiate with respect to entry j; whether it is wrong."""
        projector = self.projector
        if j not in self.entries:
            analytic = float(projector.analytic[j])
            self.entries[j] = projector.prober.entry(j, analytic, projector.rounding.entry(j))
        found = self.entries[j]
        error = found.error + projector.rounding.entry(j)
        return found.reason != "kink" and abs(float(projector.analytic[j]) - found.value) > LIMIT * error

    def sample(self, probe: Probe, count: int) -> int:
        """Look at some entries of a range, never the same ones for two ranges; how many of them are wrong."""
        allowed = np.flatnonzero(self.projector.pattern(probe.number)[probe.start : probe.stop])
        if allowed.size == 0:
            return 0
        rng = np.random.default_rng([self.projector.seed, probe.start, probe.stop])
        chosen = rng.choice(allowed, size=min(count, allowed.size), replace=False)
        wrong = 0
        for j in sorted(int(k) + probe.start for k in chosen):
            if self.left() < 3 * COST:
                break
            wrong += self.look(j)
        return wrong

    def more(self, start: int, stop: int, count: int) -> bool:
        """Look at up to `count` entries of a range, spread over all of it; whether any of them was new."""
        rng = np.random.default_rng([self.projector.seed, start, stop, 1])
        size = stop - start
        if count >= size:
            chosen = np.arange(size)
        else:
            chosen = np.unique(np.floor((np.arange(count) + rng.random(count)) * (size / count)).astype(np.intp))
        before = len(self.entries)
        use = self.projector.use
        for j in (start + int(k) for k in chosen):
            if self.left() < 3 * COST:
                break
            if np.isfinite(self.projector.analytic[j]) and (use is None or use[j]):
                self.look(j)
        return len(self.entries) > before

    def split(self, probe: Probe) -> tuple[Probe, Probe]:
        """Measure one half of a range, and know the other one by subtraction unless its bar is then too wide."""
        middle = self.middle(probe)
        projector = self.projector
        left = projector.measure(probe.number, probe.start, middle, probe.step)
        right = Probe(
            probe.number,
            middle,
            probe.stop,
            probe.analytic - left.analytic,
            probe.numeric - left.numeric,
            probe.error + left.error,
            math.sqrt(max(probe.typical - left.typical, 0.0)) * math.sqrt(probe.typical + left.typical),
            probe.step,
            rtol=self.projector.rtol,
        )
        doubtful = not left.wrong and not right.wrong
        if (doubtful or (right.wrong and right.error > 4.0 * left.error)) and self.left() > 3 * COST:
            right = projector.measure(probe.number, middle, probe.stop, probe.step)
        return left, right

    def middle(self, probe: Probe) -> int:
        """Where to cut: between arrays, else between rows, else in the middle."""
        leaves = self.projector.tree.leaves
        cuts = [leaf.start for leaf in leaves if probe.start < leaf.start < probe.stop]
        if cuts:
            return cuts[len(cuts) // 2]
        leaf = leaves[self.projector.tree.leaf_of(probe.start)]
        half = (probe.start + probe.stop) // 2
        for axis in range(1, len(leaf.shape)):
            block = math.prod(leaf.shape[axis:])
            if probe.size > block:
                cut = leaf.start + round((half - leaf.start) / block) * block
                if probe.start < cut < probe.stop:
                    return cut
        return half


def _norm(values: Vector) -> float:
    top = max(float(values.max()), -float(values.min())) if values.size else 0.0
    if 1e-140 < top < 1e140:
        return math.sqrt(float(np.dot(values, values)))
    return top * math.sqrt(float(np.dot(values / top, values / top))) if 0.0 < top < math.inf else top


def _pieces(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for a in range(start, stop, PIECE):
        yield a, min(a + PIECE, stop)
