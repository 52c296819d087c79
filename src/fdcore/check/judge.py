"""From numbers to verdicts: the one place that says what "agrees" means."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdcore.check.slope import Slope
from fdcore.check.verdict import AGREES, CANNOT_TELL, WRONG, Verdict
from fdcore.tree import Tree

__all__ = ["FEW_DIGITS", "LIMIT", "REASONS", "ZERO", "Scales", "judge_entry", "rms"]

Vector = NDArray[np.float64]

# Bars are meant to cover the error; a difference of ten of them is none that an honest bar lets happen.
LIMIT = 10.0

ZERO = "the gradient is zero here as far as can be seen"
FEW_DIGITS = "f has too few digits"


@dataclass(frozen=True)
class Scales:
    """How large things are: what a bar has to be small against.

    Attributes
    ----------
    x : list of float
        Typical size of a parameter of each leaf; 1 where all are zero.
    gradient : list of float
        Typical size of an entry of the gradient of each leaf: its root mean square, but no less than what would
        change f, at that leaf's scale of x, by a thousandth of what the most important leaf does.
    """

    x: list[float]
    gradient: list[float]

    @classmethod
    def of(cls, tree: Tree, x: Vector, gradient: Vector) -> Scales:
        """Measure them; entries of `gradient` that are not finite do not count."""
        sizes, roots = [], []
        for leaf in tree.leaves:
            # A typical size does not need all of ten million numbers.
            part = np.abs(x[leaf.start : leaf.stop : max(1, leaf.size // 10007)])
            part = part[part > 0]
            # A power of two: x plus a step that has few digits then is exact, even in float32.
            sizes.append(2.0 ** round(float(np.median(np.log2(part)))) if part.size else 1.0)
            roots.append(rms(gradient[leaf.start : leaf.stop]))
        most = max(s * r for s, r in zip(sizes, roots, strict=True))
        return cls(sizes, [max(r, 1e-3 * most / s) for s, r in zip(sizes, roots, strict=True)])


def judge_entry(
    analytic: float, slope: Slope, rounding: float, scale: float, rtol: float = 0.0
) -> tuple[float, float, Verdict, str]:
    """Judge one entry.

    Returns
    -------
    error, z, verdict, reason
    """
    error = slope.error + (rounding if math.isfinite(rounding) else 0.0)
    if not math.isfinite(slope.value):
        return math.inf, math.nan, CANNOT_TELL, "f is not finite nearby"
    if not math.isfinite(error):
        return math.inf, math.nan, CANNOT_TELL, REASONS.get(slope.reason, "f is not smooth here")
    if not math.isfinite(analytic):
        return error, math.inf, WRONG, "not finite"
    if slope.reason == "constant" and analytic == 0.0:
        return error, 0.0, AGREES, ""
    if slope.reason == "kink":
        # A derivative does not exist; anything between the two slopes is a subgradient.
        low, high = sorted((slope.left, slope.right))
        error = 0.005 * (high - low) + rounding
        z = max(low - analytic, analytic - high, 0.0) / error
        return error, z, WRONG if z > LIMIT else AGREES, "kink"
    difference = abs(analytic - slope.value)
    z = difference / error if error else (0.0 if difference == 0.0 else math.inf)
    size = max(abs(analytic), abs(slope.value))
    if z > LIMIT:
        return (error, z, AGREES, "within rtol") if difference <= rtol * size else (error, z, WRONG, slope.reason)
    if LIMIT * error <= max(0.5 * size, 0.05 * scale):
        return error, z, AGREES, ""
    reason = REASONS.get(slope.reason, ZERO)
    if reason == ZERO and rounding > 0.5 * error:
        reason = "the gradient changes by as much as that when x moves by one rounding, or between calls"
    elif reason == ZERO and size > 2.0 * error:
        reason = FEW_DIGITS
    return error, z, CANNOT_TELL, reason


REASONS = {
    "noise": "f is noisy",
    "rough": "f is not smooth here",
    "hidden": "f has too few digits to be seen at the scale of x",
    "one-sided": "f has no value on one side",
    "non-finite": "f is not finite nearby",
}


def rms(values: Vector) -> float:
    """Root mean square of the entries that are finite, safe from overflow; piece by piece."""
    top, squares, count = 0.0, 0.0, 0
    for start in range(0, values.size, 1 << 16):
        part = values[start : start + (1 << 16)]
        part = part[np.isfinite(part)]
        if not part.size:
            continue
        count += part.size
        here = max(float(part.max()), -float(part.min()))
        if here > top:
            squares *= (top / here) ** 2
            top = here
        if top > 0.0:
            part = part / top
            squares += float(np.dot(part, part))
    return top * math.sqrt(squares / count) if count else 0.0
