"""Where an array is wrong, when no single formula explains all of it: an entry, a row, a side of a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.block import Block, Claim
from fdcore.check.judge import LIMIT

__all__ = ["place", "single_precision"]

Finder = Callable[[Block, NDArray[np.intp]], Claim | None]


def place(block: Block) -> Claim | None:
    """Describe the set of wrong entries, if it has a simple shape; every entry outside of it agrees."""
    where = block.index[block.wrong]
    if block.value is not None or not where.size or not np.all(np.isfinite(block.a)):
        return None
    how, same = _what(block)
    settled: list[Finder] = [_single, _lines, _diagonal, _triangle]
    unsettled: list[Finder] = [_same_along, _partly]
    for find in [*(settled if block.settled else unsettled), _threshold, _signs]:
        claim = find(block, where)
        if claim is not None:
            if same is not None and claim.label not in ("threshold", "sign-entries"):
                claim.message += f"; there the analytic gradient is {how} the numeric one"
                claim.evidence["factor"] = same
            return claim
    if same is not None and where.size >= 3:
        others = ", the others agree" if where.size < block.index.size else ""
        message = f"{where.size} of {_all(block)} are {how} the numeric ones{others}"
        return Claim(
            "factor-entries", message, "a constant in one branch?", {"factor": same, "entries": int(where.size)}
        )
    return None


def _what(block: Block) -> tuple[str, float | None]:
    """The common factor of the wrong entries."""
    n, a, e = block.numeric[block.wrong], block.a[block.wrong], block.error[block.wrong]
    best = int(np.argmax(np.abs(n) / np.maximum(e, np.finfo(float).tiny)))
    if n[best] == 0.0:
        return "", None
    factor = float(a[best] / n[best])
    doubt = float(e[best] / abs(n[best])) * max(1.0, abs(factor))
    if np.any(np.abs(a - factor * n) > LIMIT * (e * max(1.0, abs(factor)) + doubt * np.abs(n))):
        return "", None
    words = {0.0: "zero instead of", -1.0: "minus"}
    near = next((k for k in words if abs(factor - k) <= LIMIT * doubt + 1e-9), None)
    return (words[near], near) if near is not None else (f"{factor:.6g} times", factor)


def _all(block: Block) -> str:
    count = block.x.size if block.settled else block.index.size
    return f"{count} entries" if block.settled else f"the {count} entries looked at"


def _single(block: Block, where: NDArray[np.intp]) -> Claim | None:
    numbers = 2 if block.paired else 1
    if np.unique(where // numbers).size != 1 or block.x.size == numbers:
        return None
    index = [int(k) for k in np.unravel_index(int(where[0]), block.shape)][: len(block.shape) - numbers + 1]
    return Claim(
        "single-entry",
        f"only entry {index} is wrong, all others agree",
        "look at what is special there",
        {"index": index},
    )


def _lines(block: Block, where: NDArray[np.intp]) -> Claim | None:
    if len(block.shape) < 2 or where.size < 2:
        return None
    places = np.unravel_index(where, block.shape)
    for axis, at in enumerate(places):
        if np.unique(at).size != 1 or block.shape[axis] < 2:
            continue
        others = [p for k, p in enumerate(places) if k != axis]
        if max(np.unique(p).size for p in others) < 2:
            continue
        row = int(at[0])
        inside = np.unravel_index(block.index, block.shape)[axis] == row
        most = 2 * where.size >= int(inside.sum())
        if not most:
            continue
        label = "single-row" if axis == 0 else "single-column" if axis == len(block.shape) - 1 else "single-slice"
        if block.paired and axis == len(block.shape) - 1:
            part = ("real", "imaginary")[row]
            message = f"only the {part} parts are wrong ({where.size}), all others agree"
            return Claim("single-slice", message, "conjugated or dropped somewhere?", {"part": part})
        what = {"single-row": "row", "single-column": "column"}.get(label, f"slice of axis {axis},")
        message = f"only {what} {row} is wrong ({where.size} entries), all others agree"
        return Claim(
            label,
            message,
            f"look at index {row} of axis {axis}",
            {"axis": axis, "index": row, "entries": int(where.size)},
        )
    return None


def _diagonal(block: Block, where: NDArray[np.intp]) -> Claim | None:
    if len(block.shape) != 2 or min(block.shape) < 2:
        return None
    wrong = np.zeros(block.x.size, dtype=bool)
    wrong[where] = True
    wrong = wrong.reshape(block.shape)
    on = np.eye(*block.shape, dtype=bool)
    negligible = _negligible(block)
    if where.size >= 2 and not np.any(wrong & ~on) and np.all(wrong | ~on | negligible):
        return Claim(
            "diagonal", "the diagonal is wrong, everything else agrees", "is it counted twice, or left out?", {}
        )
    if not np.any(wrong & on) and np.all(wrong | on | negligible) and np.any(~negligible & on):
        return Claim("off-diagonal", "all but the diagonal is wrong", "symmetric pairs counted once?", {})
    return None


def _triangle(block: Block, where: NDArray[np.intp]) -> Claim | None:
    """One triangle of a square matrix, without the diagonal or with it."""
    if len(block.shape) != 2 or block.shape[0] != block.shape[1] or block.shape[0] < 3:
        return None
    wrong = np.zeros(block.x.size, dtype=bool)
    wrong[where] = True
    wrong = wrong.reshape(block.shape)
    negligible = _negligible(block)
    for side, cut in (("upper", np.triu), ("lower", np.tril)):
        part = cut(np.ones(block.shape, dtype=bool), 1 if side == "upper" else -1)
        if not np.any(wrong & ~part) and np.all(wrong | ~part | negligible) and np.sum(wrong) >= 2:
            message = f"the {side} triangle is wrong ({where.size} entries), the rest agrees"
            return Claim("triangle", message, "is only one half of a symmetric matrix filled?", {"side": side})
    return None


def _same_along(block: Block, where: NDArray[np.intp]) -> Claim | None:
    """An array that is the same all along an axis where what was seen of the right one is not."""
    a = block.analytic.reshape(block.shape)
    if where.size < 3 or not a.any():
        return None
    spread = np.ptp(block.numeric)
    for axis in range(len(block.shape)):
        if (
            block.shape[axis] < 3
            or np.any(np.ptp(a, axis) > 1e-6 * np.abs(a).max())
            or spread <= LIMIT * block.error.max()
        ):
            continue
        rest = tuple(k for k in range(len(block.shape)) if k != axis)
        if not rest or np.any(np.ptp(a, rest) > 1e-6 * np.abs(a).max()):
            message = f"it is the same all along axis {axis}, which the numeric one is not"
        else:
            message = "it is the same everywhere, which the numeric one is not"
        hint = "reduced over that axis instead of over the batch?"
        return Claim("wrong-axis", message, hint, {"axis": [axis]}, None, 0.8)
    return None


def _partly(block: Block, where: NDArray[np.intp]) -> Claim | None:
    """A row, a column, a diagonal or a triangle, of an array of which only some entries were looked at.

    It has to be all of those inside that are wrong, and none outside, and too many for chance.
    """
    if len(block.shape) < 2 or where.size < 2 or block.paired:
        return None
    wrong = block.wrong
    known = wrong | (np.abs(block.numeric) > 2 * LIMIT * block.error)
    places = np.unravel_index(block.index, block.shape)
    rest = "; the others that were looked at agree" if np.any(known & ~wrong) else ""

    def fits(inside: NDArray[np.bool_], share: float) -> bool:
        """Whether wrong entries are where `inside` is, which holds of this share of all entries."""
        outside = int(np.sum(known & ~inside))
        likely = math.log(share) * int(wrong.sum()) + math.log1p(-share) * outside
        return bool(np.all(inside[wrong]) and np.all(wrong[inside & known]) and likely < -6.0)

    for axis, at in enumerate(places):
        row, size = int(at[np.argmax(wrong)]), block.shape[axis]
        if size > 1 and fits(at == row, 1.0 / size):
            label = "single-row" if axis == 0 else "single-column" if axis == len(places) - 1 else "single-slice"
            what = {"single-row": "row", "single-column": "column"}.get(label, f"slice of axis {axis},")
            message = f"{where.size} entries that were looked at are wrong, all in {what} {row}{rest}"
            evidence: dict[str, Any] = {"axis": axis, "index": row, "entries": int(where.size)}
            return Claim(label, message, f"look at index {row} of axis {axis}", evidence, None, 0.8)
    if len(places) != 2:
        return None
    rows, columns = places
    if block.shape[0] == block.shape[1]:
        a = block.analytic.reshape(block.shape)
        if (
            where.size >= 3
            and not np.any(rows[wrong] == columns[wrong])
            and np.count_nonzero(a) == np.count_nonzero(np.diagonal(a)) > 1
        ):
            message = "it is zero everywhere but on the diagonal, which the numeric one is not"
            return Claim("off-diagonal", message, "is it a diagonal where a matrix should be?", {}, None, 0.8)
        half = 0.5 - 0.5 / block.shape[0]
        for side, inside in (("upper", rows < columns), ("lower", rows > columns)):
            if fits(inside, half):
                message = f"{where.size} entries that were looked at are wrong, all in the {side} triangle{rest}"
                hint = "is only one half of a symmetric matrix filled?"
                return Claim("triangle", message, hint, {"side": side}, None, 0.8)
        if fits(rows != columns, 1.0 - 1.0 / block.shape[0]):
            message = f"all entries that were looked at are wrong but those of the diagonal ({where.size})"
            return Claim("off-diagonal", message, "symmetric pairs counted once?", {}, None, 0.8)
    if fits(rows == columns, 1.0 / max(block.shape)):
        message = f"{where.size} entries that were looked at are wrong, all on the diagonal{rest}"
        return Claim("diagonal", message, "is it counted twice, or left out?", {}, None, 0.8)
    return None


def _negligible(block: Block) -> NDArray[np.bool_]:
    """Entries too small for a fault to show in them."""
    small = np.zeros(block.x.size, dtype=bool)
    small[block.index] = np.abs(block.numeric) <= 2 * LIMIT * block.error
    return small.reshape(block.shape)


def _threshold(block: Block, where: NDArray[np.intp]) -> Claim | None:
    if where.size < 2 or block.index.size < 6:
        return None
    wrong = block.wrong
    a, n, x = block.a, block.numeric, block.x[block.index]
    top = float(np.max(np.abs(a)))
    # Clipped: everything wrong sits at the limit, everything right is below it.
    clipped = np.abs(np.abs(a) - top) <= 1e-6 * top
    beyond = np.abs(n) >= top - LIMIT * block.error
    if np.all(clipped[wrong]) and np.all(beyond[clipped]) and np.all(np.sign(a[wrong]) == np.sign(n[wrong])):
        message = f"the analytic gradient is clipped at {top:.6g}; below that it agrees"
        return Claim("threshold", message, "check before clipping", {"limit": top, "of": "gradient"})
    informative = wrong | (np.abs(n) > 2 * LIMIT * block.error)
    for what, values in (("the parameter", x), ("the size of the parameter", np.abs(x)), ("the numeric gradient", n)):
        bad, good = values[wrong], values[informative & ~wrong]
        if good.size < 3 or bad.size < 3:
            continue
        for sign, side in ((1.0, "above"), (-1.0, "below")):
            low, high = float((sign * good).max()), float((sign * bad).min())
            if low < high and math.comb(bad.size + good.size, bad.size) > 50:
                at = 0.0 if low <= 0.0 <= high else 0.5 * sign * (low + high)
                others = "all others" if block.settled else "the others that were looked at"
                message = f"the entries where {what} is {side} {at:.4g} are wrong ({bad.size}), {others} agree"
                evidence: dict[str, Any] = {"of": what, "side": side, "threshold": at, "entries": int(bad.size)}
                return Claim("threshold", message, "a branch, a mask or a clip?", evidence)
    return None


def _signs(block: Block, where: NDArray[np.intp]) -> Claim | None:
    bad = block.wrong
    if where.size < 2 or np.any(np.abs(block.a[bad] + block.numeric[bad]) > LIMIT * block.error[bad]):
        return None
    message = f"{where.size} of {_all(block)} have the opposite sign, the others agree"
    return Claim("sign-entries", message, "a sign in one branch?", {"entries": int(where.size)})


def single_precision(blocks: Sequence[Block]) -> Claim | None:
    """Several entries, of one array or more, that are off by no more than single precision."""
    if sum(int(block.wrong.sum()) for block in blocks) < 3:
        return None
    worst = 0.0
    for block in blocks:
        if block.value is not None or not np.all(np.isfinite(block.a)):
            return None
        size = float(np.max(np.abs(block.numeric)))
        apart = float(np.max(np.abs(block.a - block.numeric)))
        if apart > 2e-6 * size:
            return None
        worst = max(worst, apart / size if size else 0.0)
    message = f"the differences are at most {worst:.1g} of the largest entry, as from float32 on the way"
    hint = "is something computed in single precision?"
    return Claim("float32", message, hint, {"relative": worst}, ("float32",), 0.6)
