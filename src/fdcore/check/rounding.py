"""How far the arithmetic of an analytic gradient can be trusted: no bar of a comparison is narrower than that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import Gradient, precision

__all__ = ["Rounding"]

Vector = NDArray[np.float64]

SMALL = 100_000  # up to here an array more does not matter


class Rounding:
    """Rounding error of each entry of an analytic gradient.

    A few units of the entry and of the largest one of its array, because entries are sums of terms that may cancel;
    and what was seen when the point moved by one rounding, or when the gradient was called again.

    Parameters
    ----------
    gradient : Gradient
    raw : tree
        What the gradient returned.
    flat : (n,) array
        The same as a vector.
    """

    def __init__(self, gradient: Gradient, raw: Any, flat: Vector) -> None:
        self.tree = gradient.tree
        self.flat = flat
        self.units: list[float] = []
        self.tops: list[float] = []
        self.levels = [0.0] * len(self.tree.leaves)
        self.roamed = False
        self.seen: Vector | None = np.zeros(flat.size) if flat.size <= SMALL else None
        dtypes = gradient.tree.dtypes(raw)
        # Whole numbers do not move with the point, or jump: neither is rounding.
        self.whole = any(dtype is not None and dtype.kind in "iu" for dtype in dtypes)
        for leaf, dtype in zip(self.tree.leaves, dtypes, strict=True):
            part = flat[leaf.start : leaf.stop]
            self.units.append(max(precision(dtype), 2.0**-24 if _single(part) else 0.0))
            self.tops.append(_top(part))

    def entry(self, j: int) -> float:
        """The error of entry j."""
        k = self.tree.leaf_of(j)
        value = abs(float(self.flat[j]))
        own = float(self.seen[j]) if self.seen is not None else 0.0
        return self.units[k] * (8.0 * value + 4.0 * self.tops[k]) + max(self.levels[k], own)

    def typical(self, position: int) -> float:
        """The error of a typical entry of a leaf."""
        return 12.0 * self.units[position] * self.tops[position] + self.levels[position]

    def watch(self, gradient: Gradient, x: Vector) -> None:
        """Move the point by one rounding, twice, and see how far the gradient moves; 2 evaluations of it."""
        if self.whole:
            return
        for sign in (1.0, -1.0):
            point = x.copy()
            for leaf, unit in zip(self.tree.leaves, self.units, strict=True):
                part = point[leaf.start : leaf.stop]
                part[0::3] *= 1.0 + 2.0 * sign * unit
                part[1::3] *= 1.0 - 2.0 * sign * unit
            self.differs(gradient(point), 3.0)

    def differs(self, other: Vector, factor: float, *, worst: bool = False) -> None:
        """Take the difference to `other`, which is overwritten, for error: its root mean square, or the worst one."""
        with np.errstate(invalid="ignore", over="ignore"):
            other -= self.flat
        np.abs(other, out=other)
        np.nan_to_num(other, copy=False, nan=0.0, posinf=0.0)
        for k, leaf in enumerate(self.tree.leaves):
            part = other[leaf.start : leaf.stop]
            top = _top(part)
            level = top if worst else top * math.sqrt(float(np.dot(part / top, part / top)) / part.size) if top else 0.0
            self.levels[k] = max(self.levels[k], factor * level)
        if self.seen is not None:
            np.maximum(self.seen, other, out=self.seen)

    def roam(self, gradient: Gradient, x: Vector) -> bool:
        """Move the point further, there and back, and see how far the gradient is from its own line; 6 evaluations.

        One rounding of the point may vanish in the next sum (1 + exp(-20)), and all that is computed from that sum is
        then wrong in the same way at every point `watch` tries. Of what moves along, second differences are left: less
        than a rounding. The middle one of three counts, because one may have crossed a kink. Never more than 1e-4 of
        the largest entry: beyond that, no one would call it rounding.

        Returns
        -------
        bool
            Whether that could be done: only once, and where arrays more do not matter.
        """
        if self.whole or gradient.given or self.roamed or self.seen is None:
            return False
        self.roamed = True
        bends = []
        for part, shrink in ((0, 2.0), (1, 3.0), (0, 4.0)):
            bend = -2.0 * self.flat
            for sign in (1.0, -1.0):
                point = x.copy()
                for leaf, unit in zip(self.tree.leaves, self.units, strict=True):
                    move = sign * math.sqrt(unit) / shrink
                    point[leaf.start : leaf.stop] *= 1.0 + move
                    point[leaf.start + part : leaf.stop : 2] *= 1.0 - 1.5 * move
                bend += gradient(point)
            bends.append(np.nan_to_num(np.abs(bend), nan=0.0, posinf=0.0))
        usual = np.median(bends, axis=0)
        for k, leaf in enumerate(self.tree.leaves):
            # Few entries may have a singularity close by, which is no rounding of the others.
            bend = np.minimum(usual[leaf.start : leaf.stop], 1e-4 * self.tops[k])
            if bend.size:
                self.levels[k] = max(self.levels[k], 3.0 * float(np.median(bend)))
                np.maximum(self.seen[leaf.start : leaf.stop], bend, out=self.seen[leaf.start : leaf.stop])
        return True


def _single(part: Vector) -> bool:
    """Whether these are float32 numbers in an array of float64."""
    if part.size <= 3 or not np.any(part):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return all(bool(np.all(p.astype(np.float32) == p)) for p in (part[:1000], part))


def _top(part: Vector) -> float:
    if not part.size:
        return 0.0
    top = max(float(part.max()), -float(part.min()))
    return top if math.isfinite(top) else float(np.max(np.abs(part), initial=0.0, where=np.isfinite(part)))
