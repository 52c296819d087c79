"""From numbers to verdicts: the one place that says what "agrees" means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import Gradient, precision
from fdcore.check.relative import relative_error
from fdcore.check.slope import Slope
from fdcore.check.verdict import AGREES, CANNOT_TELL, WRONG, Entry, Parameter, Verdict
from fdcore.tree import Tree

__all__ = ["LIMIT", "Scales", "judge_entry", "rounding_of", "summarise", "units_of"]

Vector = NDArray[np.float64]

# Bars are meant to cover the error; a difference of ten of them is none that an honest bar lets happen.
LIMIT = 10.0


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
        sizes, rms = [], []
        for leaf in tree.leaves:
            part = np.abs(x[leaf.start : leaf.stop])
            part = part[(part > 0) & np.isfinite(part)]
            sizes.append(float(np.exp(np.median(np.log(part)))) if part.size else 1.0)
            rms.append(_rms(gradient[leaf.start : leaf.stop]))
        most = max(s * r for s, r in zip(sizes, rms, strict=True))
        return cls(sizes, [max(r, 1e-3 * most / s) for s, r in zip(sizes, rms, strict=True)])


def units_of(gradient: Gradient, raw: Any, flat: Vector) -> list[float]:
    """Relative error of one rounding in each leaf of an analytic gradient: float32 shows in the numbers too."""
    units = []
    for leaf, dtype in zip(gradient.tree.leaves, gradient.tree.dtypes(raw), strict=True):
        part = flat[leaf.start : leaf.stop]
        with np.errstate(over="ignore", invalid="ignore"):
            single = part.size > 3 and bool(np.all(part.astype(np.float32) == part))
        units.append(max(precision(dtype), 2.0**-24 if single else 0.0))
    return units


def rounding_of(tree: Tree, units: list[float], flat: Vector) -> Vector:
    """Rounding error to be expected in each entry of an analytic gradient, from its dtype alone.

    A few units of the entry, and of the largest one of its array: entries are sums of terms that may cancel.
    """
    bound = np.empty(flat.size)
    for leaf, unit in zip(tree.leaves, units, strict=True):
        part = np.abs(flat[leaf.start : leaf.stop])
        top = float(np.max(part, initial=0.0, where=np.isfinite(part)))
        bound[leaf.start : leaf.stop] = unit * (8.0 * part + 4.0 * top)
    return bound


def judge_entry(analytic: float, slope: Slope, rounding: float, scale: float) -> tuple[float, float, Verdict, str]:
    """Judge one entry.

    Returns
    -------
    error, z, verdict, reason
    """
    error = slope.error + (rounding if math.isfinite(rounding) else 0.0)
    if not math.isfinite(slope.value) or not math.isfinite(error):
        return math.inf, math.nan, CANNOT_TELL, "f is not finite nearby"
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
    if z > LIMIT:
        return error, z, WRONG, slope.reason
    size = max(abs(analytic), abs(slope.value))
    if LIMIT * error <= max(0.1 * size, 0.01 * scale):
        return error, z, AGREES, ""
    reason = _REASONS.get(slope.reason, "the gradient is zero as far as can be seen" if z <= LIMIT else "")
    if slope.reason == "rounding" and size > LIMIT * error:
        reason = "rounding"
    return error, z, CANNOT_TELL, reason


_REASONS = {
    "noise": "f is noisy",
    "rough": "f is not smooth here",
    "one-sided": "f has no value on one side",
    "non-finite": "f is not finite nearby",
}


def summarise(
    name: str, shape: tuple[int, ...], entries: Sequence[Entry], analytic: Vector, numeric: Vector, error: Vector
) -> Parameter:
    """Sum up one leaf from the entries that were not plainly in agreement and from all numbers."""
    wrong = sum(entry.verdict == WRONG for entry in entries)
    unclear = [entry for entry in entries if entry.verdict == CANNOT_TELL]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        difference = np.abs(analytic - numeric)
        z = np.where(difference == 0.0, 0.0, difference / error)
    worst = max([float(np.max(z, initial=0.0, where=np.isfinite(z))), *(e.z for e in entries if e.z == math.inf)])
    size = _rms(numeric)
    top = float(np.max(error, initial=0.0))
    limit = LIMIT * top / size if size > 0.0 else (0.0 if analytic.size == 0 else math.inf)
    verdict: Verdict = WRONG if wrong else CANNOT_TELL if unclear else AGREES
    reason = unclear[0].reason if verdict == CANNOT_TELL else ""
    both = np.isfinite(analytic) & np.isfinite(numeric)
    relative = relative_error(analytic[both], numeric[both]) if both.any() else math.nan
    return Parameter(name, shape, verdict, worst, limit, reason, analytic.size, wrong, relative)


def _rms(values: Vector) -> float:
    values = values[np.isfinite(values)]
    top = float(np.max(np.abs(values), initial=0.0))
    return top * float(np.sqrt(np.mean((values / top) ** 2))) if top > 0.0 else 0.0
