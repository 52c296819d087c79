"""Known bugs of gradients, each as a hypothesis that can be tested.

What would be the right gradient, if this were the bug?

A suspect looks at one array (`Block`) and returns a `Claim` when it explains *all* that was measured there within the
error bars, and with fewer free numbers than data; otherwise None. The order of `SUSPECTS` is from the simplest
explanation to the most special one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.block import Block, Claim
from fdcore.check.evaluate import precision
from fdcore.check.judge import LIMIT

__all__ = ["SUSPECTS", "complex_factor", "describe_factor", "factor_of", "snapped"]

Vector = NDArray[np.float64]


Suspect = Callable[[Block], Claim | None]

_NAMED = {
    2.0: "2",
    0.5: "1/2",
    4.0: "4",
    0.25: "1/4",
    3.0: "3",
    1 / 3: "1/3",
    10.0: "10",
    0.1: "1/10",
    100.0: "100",
    0.01: "1/100",
    1000.0: "1000",
    0.001: "1/1000",
    math.pi: "pi",
    1 / math.pi: "1/pi",
    2 * math.pi: "2 pi",
    0.5 / math.pi: "1/(2 pi)",
    math.log(10): "ln 10",
    1 / math.log(10): "1/ln 10",
    math.log(2): "ln 2",
    1 / math.log(2): "1/ln 2",
    180 / math.pi: "180/pi",
    math.pi / 180: "pi/180",
    math.sqrt(2): "sqrt 2",
    math.sqrt(0.5): "1/sqrt 2",
}


def factor_of(blocks: Iterable[Block]) -> tuple[float, float]:
    """The factor that best turns the numeric gradient of some blocks into the analytic one, and its uncertainty."""
    top = bottom = 0.0
    for block in blocks:
        keep = np.isfinite(block.a) & (block.error > 0)
        if not keep.any():
            continue
        ratio = block.numeric[keep] / block.error[keep]
        top += float(np.dot(ratio, block.a[keep] / block.error[keep]))
        bottom += float(np.dot(ratio, ratio))
    return (top / bottom, 1.0 / math.sqrt(bottom)) if bottom > 0 else (math.nan, math.inf)


def snapped(factor: float, doubt: float, blocks: Iterable[Block]) -> tuple[float, float]:
    """A factor as good that has a name: the rounding of a whole gradient may have one sign and shift all alike."""
    for value in (1.0, *_NAMED):
        exact = math.copysign(value, factor)
        near = exact != 1.0 and LIMIT * doubt < abs(exact - factor) <= 1e-3 * value
        if near and all(b.explains(b.analytic / exact, 1e-12, None, 1.0 / value) for b in blocks):
            return exact, max(doubt, abs(exact - factor) / LIMIT)
    return factor, doubt


def describe_factor(factor: float, doubt: float, sizes: Mapping[int, str], data: int) -> Claim | None:
    """Name a factor, if it is one that happens or is carried by enough data."""
    slack = max(LIMIT * doubt, 1e-9 * abs(factor))
    evidence: dict[str, Any] = {"factor": factor, "uncertainty": doubt, "data": data}
    size = abs(factor)
    if not math.isfinite(factor) or abs(factor - 1.0) <= slack or slack > 0.05 * size:
        return None
    sign = "-" if factor < 0 else ""
    if abs(factor + 1.0) <= slack:
        message = "the analytic gradient is minus the numeric one"
        return Claim("sign", message, "flip the sign", evidence, ("sign",), 1.0)
    of_size = [
        (
            (float(number), f"{number}", "a sum where f has a mean?"),
            (1.0 / number, f"1/{number}", "a mean where f has a sum, or averaged twice?"),
        )
        for number in sizes
    ]
    with_two = [
        (
            (2.0 * number, f"2 x {number}", "a sum where f has a mean, and a 2 too much?"),
            (number / 2.0, f"{number}/2", "a sum where f has a mean, and the 2 of a square forgotten?"),
            (2.0 / number, f"2/{number}", "a mean where f has a sum, and a 2 too much?"),
            (0.5 / number, f"1/(2 x {number})", "averaged twice, and the 2 of a square forgotten?"),
        )
        for number in sizes
    ]

    def named_after(table: list[Any]) -> Claim | None:
        for (number, what), row in zip(sizes.items(), table, strict=True):
            for value, how, hint in row:
                if number > 2 and abs(size - value) <= slack:
                    message = f"the analytic gradient is {sign}{how} times the numeric one, and {number} is {what}"
                    found = evidence | {"size": number}
                    return Claim("factor-size", message, hint, found, ("size", factor > 0, value))
        return None

    claim = named_after(of_size)
    if claim is not None:
        return claim
    for value, how in _NAMED.items():
        if abs(size - value) <= slack:
            message = f"the analytic gradient is {sign}{how} times the numeric one"
            hint = (
                "a forgotten or doubled derivative of a square?"
                if how in ("2", "1/2")
                else "a constant lost on the way?"
            )
            if int(value) == value and int(value) in sizes:
                hint += f" ({int(value)} is also {sizes[int(value)]})"
            return Claim("factor", message, hint, evidence, ("factor", factor > 0, value))
    # Two times a size, or half of one, happens by chance too where the factor is hardly known.
    claim = named_after(with_two) if slack <= 1e-3 * size else None
    if claim is not None:
        return claim
    if data < 3 and not (data == 2 and doubt <= 1e-6 * size):
        return None
    message = f"the analytic gradient is {factor:.9g} times the numeric one"
    return Claim("factor", message, "a constant lost on the way?", evidence, ("factor", round(factor, 6)), 0.9)


def nothing_there(block: Block) -> Claim | None:
    """NaN and infinity explain themselves."""
    bad = ~np.isfinite(block.a)
    if block.value is None and bad.any() and not np.any(block.wrong & ~bad):
        count = int((~np.isfinite(block.analytic)).sum())
        return Claim(
            "non-finite",
            f"{count} {'entry is' if count == 1 else 'entries are'} NaN or infinite, all others agree",
            "0/0 or log 0?",
            {"count": count},
        )
    return None


def shape_of_another(block: Block) -> Claim | None:
    """An array of the wrong shape that would be right transposed, reshaped or summed."""
    if block.value is None:
        return None
    unit = precision(block.value)
    value = np.asarray(block.value, dtype=float)
    last = 1 if block.paired else 0  # an axis that is not the user's
    own = value.ndim - last
    shape, right = value.shape[:own], block.shape[: len(block.shape) - last]
    for axes in itertools.permutations(range(own)) if own < 5 else ():
        turned = value.transpose((*axes, *range(own, value.ndim)))
        if turned.shape == block.shape and block.explains(turned.ravel()):
            message = f"it has shape {shape} and is right with its axes in the order {axes}"
            return Claim("transpose", message, "transpose it", {"axes": list(axes)})
    if value.size == block.x.size and block.explains(value.ravel()):
        return Claim("transpose", f"it has shape {shape} and is right reshaped to {right}", "reshape it", {})
    for count in range(1, own + 1):
        for axis in itertools.combinations(range(own), count):
            sums = np.abs(value).sum(axis)  # what was rounded, before it cancelled
            for how, reduced, of in (
                ("summed", value.sum(axis), sums),
                ("averaged", value.mean(axis), np.abs(value).mean(axis)),
            ):
                if reduced.size == block.x.size and block.explains(reduced.ravel(), 2.0 * unit, of.ravel()):
                    named = axis[0] if count == 1 else axis
                    message = f"it has shape {shape} and is right when {how} over axis {named}"
                    hint = "sum over what was broadcast"
                    return Claim("not-reduced", message, hint, {"axis": list(axis), "how": how})
    return None


def zero(block: Block) -> Claim | None:
    """Nothing arrives at this array."""
    if block.value is None and not block.analytic.any() and block.wrong.any():
        return Claim("zero", "the analytic gradient is zero throughout", "is it used, or detached?", {}, ("zero",))
    return None


def constant_factor(block: Block) -> Claim | None:
    """A constant lost on the way."""
    factor, doubt = factor_of([block])
    if not math.isfinite(factor) or factor == 0.0:
        return None
    factor, doubt = snapped(factor, doubt, [block])
    if block.explains(block.analytic / factor, 1e-12 + doubt / abs(factor), None, 1.0 / abs(factor)):
        return complex_factor(describe_factor(factor, doubt, block.sizes, block.data), [block])
    return None


def complex_factor(claim: Claim | None, blocks: Iterable[Block]) -> Claim | None:
    """Half or twice the gradient of complex parameters is a convention before it is anything else."""
    if (
        claim is None
        or not all(block.paired for block in blocks)
        or claim.key
        not in (
            ("factor", True, 0.5),
            ("factor", True, 2.0),
        )
    ):
        return claim
    half = claim.key[-1] == 0.5
    claim.label, claim.key = "wirtinger", ("wirtinger", half)
    claim.suggestion = (
        "this is the derivative by conj(z); df/dre + i df/dim is twice that: pass convention='wirtinger' if it is meant"
        if half
        else "df/dre + i df/dim is already twice the derivative by conj(z)"
    )
    return claim


def conjugated(block: Block) -> Claim | None:
    """The complex conjugate, by itself or as the derivative by z."""
    if not block.paired:
        return None
    other = block.analytic.copy()
    other[1::2] *= -1.0
    if block.explains(other):
        hint = "conjugate it, or pass convention='jax' if that is meant"
        return Claim("conjugate", "it is the complex conjugate of the right one", hint, {}, ("conjugate",))
    for factor, words in ((0.5, "half of the complex conjugate: the derivative by z"), (2.0, "twice the conjugate")):
        if block.explains(other / factor):
            hint = "df/dre + i df/dim is twice the derivative by conj(z)"
            return Claim("wirtinger", f"it is {words}", hint, {"factor": factor}, ("wirtinger", "conjugate", factor))
    return None


def regularization(block: Block) -> Claim | None:
    """A penalty in f that the gradient has not, or the other way round."""
    difference = block.a - block.numeric
    for kind, shape in (("L2", block.x), ("L1", np.sign(block.x))):
        s = shape[block.index]
        keep = (block.error > 0) & np.isfinite(difference)
        if block.data < 3 or np.unique(block.x[block.index]).size < 3 or np.unique(s).size < 2 or not keep.any():
            continue
        weight = s[keep] / block.error[keep]
        bottom = float(np.dot(weight, weight))
        if not bottom > 0 or not math.isfinite(bottom):
            continue
        slope = float(np.dot(weight, difference[keep] / block.error[keep])) / bottom
        doubt = 1.0 / math.sqrt(bottom) / abs(slope) if slope else math.inf
        if doubt > 0.01 or not block.explains(block.analytic - slope * shape, 1e-12 + doubt, slope * shape):
            continue
        what = "the parameter" if kind == "L2" else "the sign of the parameter"
        evidence = {"kind": kind, "coefficient": slope, "data": block.data}
        weighs = f"{abs(slope):.6g} times {what}"
        if slope < 0:
            message = f"the gradient of an {kind} penalty is missing: {weighs}"
            return Claim("missing-regularization", message, f"add {weighs}", evidence, (kind, round(slope, 9)))
        message = f"there is {weighs} too much, as from an {kind} penalty that f has not here, or twice"
        return Claim("extra-regularization", message, f"take off {weighs}", evidence, (kind, round(slope, 9)))
    return None


def transpose(block: Block) -> Claim | None:
    """A square matrix transposed, or an array filled in the other order."""
    shape = block.shape[:-1] if block.paired else block.shape
    if len(shape) < 2 or block.data < 2:
        return None
    numbers = block.analytic.reshape(-1, 2 if block.paired else 1)
    places = np.arange(numbers.shape[0]).reshape(shape)
    if len(shape) == 2 and shape[0] == shape[1] and block.explains(numbers[places.T.ravel()].ravel()):
        return Claim("transpose", "it is right transposed", "transpose it", {})
    if block.explains(numbers[places.ravel().reshape(shape[::-1]).T.ravel()].ravel()) or block.explains(
        numbers[places.T.ravel()].ravel()
    ):
        return Claim(
            "transpose", "it is right reshaped in the other order (C for Fortran)", "reshape it", {"order": "F"}
        )
    return None


def permutation(block: Block) -> Claim | None:
    """The right numbers in the wrong places: shifted, backwards, or exchanged."""
    if block.data < 2 or block.x.size < 2:
        return None
    array = block.analytic.reshape(block.shape)
    size = block.x.size
    for axis in range(len(block.shape)) if len(block.shape) > 1 else ():
        if block.explains(np.flip(array, axis).ravel()):
            return Claim("permutation", f"it is right backwards along axis {axis}", "reverse it", {"axis": axis})
        for shift in _shifts(block.shape[axis]):
            if block.explains(np.roll(array, -shift, axis).ravel()):
                message = f"it is shifted by {shift} along axis {axis}"
                return Claim("permutation", message, "an index off by one?", {"shift": shift, "axis": axis})
    if block.explains(block.analytic[::-1]):
        return Claim("permutation", "it is right backwards", "reverse it", {})
    for shift in _shifts(size):
        if block.explains(np.roll(block.analytic, -shift)):
            return Claim("permutation", f"it is shifted by {shift}", "an index off by one?", {"shift": shift})
    return _matching(block)


def _shifts(size: int) -> list[int]:
    near = range(1, min(size, 5 if size > 400 else size))
    return [s for k in near for s in ((k, -k) if 2 * k <= size else ()) if s % size]


def _matching(block: Block) -> Claim | None:
    """Wrong entries that have each other's values."""
    where = np.flatnonzero(block.wrong)
    if not block.settled or not 2 <= where.size <= 5000 or np.unique(block.a[where]).size < where.size:
        return None
    by_analytic, by_numeric = where[np.argsort(block.a[where])], where[np.argsort(block.numeric[where])]
    apart = np.abs(block.a[by_analytic] - block.numeric[by_numeric])
    if not np.all(apart <= LIMIT * block.error[by_numeric]):
        return None
    gaps = np.diff(np.sort(block.numeric[where]))
    if where.size > 2 and np.min(gaps, initial=math.inf) <= 4 * float(np.median(block.error[where])):
        return None
    message = f"{where.size} entries have each other's values"
    pairs = {int(block.index[i]): int(block.index[j]) for i, j in zip(by_analytic, by_numeric, strict=True)}
    evidence = {"entries": int(where.size), "from": dict(itertools.islice(pairs.items(), 8))}
    return Claim("permutation", message, "which index goes where?", evidence)


def exchanged(block: Block) -> Claim | None:
    """The gradient of another array."""
    precise = bool(np.all(block.error <= 1e-6 * np.abs(block.numeric)))
    if block.data < 2 and not (block.x.size == 1 and precise):
        return None
    for name, other in block.others.items():
        if other.size == block.x.size and np.any(other) and block.explains(other):
            return Claim(
                "arrays-exchanged", f"it would be right with the gradient of {name}", "exchanged?", {"with": name}
            )
    return None


def overwritten(block: Block) -> Claim | None:
    """Contributions of repeated indices that overwrite each other instead of adding up."""
    if block.data < 3 or not np.all(np.isfinite(block.a)):
        return None
    big = (np.abs(block.numeric) > 1e4 * block.error) & (block.a != 0)
    if big.sum() < 3 or np.any(block.wrong & ~big):
        return None
    ratio = block.numeric[big] / block.a[big]
    count = np.rint(ratio)
    slack = LIMIT * block.error[big] / np.abs(block.a[big]) + 1e-9
    if (
        np.any(count < 1)
        or np.any(count > 10_000)
        or np.any(slack > 0.1)
        or np.any(np.abs(ratio - count) > slack)
        or np.unique(count).size < 2
    ):
        return None
    rows = block.index[big] // max(1, math.prod(block.shape[1:]))
    if len(block.shape) > 1 and any(np.unique(count[rows == row]).size > 1 for row in np.unique(rows)):
        return None
    times = {int(row): int(c) for row, c in zip(rows, count, strict=True) if c > 1}
    message = f"the numeric gradient is 2 to {int(count.max())} whole times the analytic one in {len(times)} rows"
    hint = "repeated indices: add up (np.add.at) instead of assigning"
    return Claim("overwritten", message, hint, {"times": dict(itertools.islice(times.items(), 8))})


def _sigmoid(x: Vector) -> Vector:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


_OPERATIONS: dict[str, tuple[str, Callable[[Vector, Vector], Vector]]] = {
    "x": ("times the parameter", lambda n, x: n * x),
    "1/x": ("divided by the parameter", lambda n, x: n / x),
    "exp(x)": ("times exp of the parameter", lambda n, x: n * np.exp(x)),
    "exp(-x)": ("times exp of minus the parameter", lambda n, x: n * np.exp(-x)),
    "x**2": ("times the square of the parameter", lambda n, x: n * x * x),
    "1/x**2": ("divided by the square of the parameter", lambda n, x: n / (x * x)),
    "2x": ("times twice the parameter", lambda n, x: 2.0 * n * x),
    "1/(2x)": ("divided by twice the parameter", lambda n, x: 0.5 * n / x),
    "s(1-s)": ("times s (1 - s), with s the sigmoid of the parameter", lambda n, x: n * _sigmoid(x) * _sigmoid(-x)),
    "1/s(1-s)": ("divided by s (1 - s), s the sigmoid of the parameter", lambda n, x: n / (_sigmoid(x) * _sigmoid(-x))),
    "x(1-x)": ("times x (1 - x), with x the parameter", lambda n, x: n * x * (1.0 - x)),
    "1-tanh**2": ("times 1 - tanh^2 of the parameter", lambda n, x: n / np.cosh(x) ** 2),
    "cosh**2": ("divided by 1 - tanh^2 of the parameter", lambda n, x: n * np.cosh(x) ** 2),
    "n**2": ("squared", lambda n, x: n * n),
    "1/n": ("inverted", lambda n, x: 1.0 / n),
    "abs": ("without its sign", lambda n, x: np.abs(n)),
    "n|n|": ("times its own size", lambda n, x: n * np.abs(n)),
    "sqrt": ("the root of its size, with its sign", lambda n, x: np.sign(n) * np.sqrt(np.abs(n))),
    "n**3": ("cubed", lambda n, x: n**3),
}


def operation(block: Block) -> Claim | None:
    """A function of the gradient or of the parameter where none should be: a Jacobian missing or twice.

    By itself first, then times a constant, which takes more data.
    """
    if int(block.wrong.sum()) < 3 or not np.all(np.isfinite(block.a)):
        return None
    x, n = block.x[block.index], block.numeric
    scaled: Claim | None = None
    with np.errstate(all="ignore"):
        for name, (words, apply) in _OPERATIONS.items():
            predicted = apply(n, x)
            spread = np.maximum(
                np.abs(apply(n + block.error, x) - predicted), np.abs(apply(n - block.error, x) - predicted)
            )
            if not np.all(np.isfinite(predicted)):
                continue
            lost = "the derivative of a transformation missing, or twice?"
            hint = lost if "parameter" in words else "check the algebra"
            if block.predicts(predicted, np.maximum(spread, block.error)):
                message = f"the analytic gradient is the numeric one {words}"
                return Claim("operation", message, hint, {"operation": name, "data": block.data}, ("operation", name))
            spread += 1e-12 * np.abs(predicted)
            factor, doubt = _ratio(block.a, predicted, spread)
            known = int(block.wrong.sum()) >= 4 and doubt <= 1e-3 * abs(factor) and np.any(predicted != predicted[0])
            if scaled is not None or not known:
                continue
            if block.predicts(factor * predicted, abs(factor) * spread + doubt * np.abs(predicted)):
                size = next((w for v, w in _NAMED.items() if abs(abs(factor) - v) <= LIMIT * doubt + 1e-9 * v), "")
                size = size or ("" if abs(abs(factor) - 1.0) <= LIMIT * doubt + 1e-9 else f"{abs(factor):.9g}")
                before = ("minus " if factor < 0.0 else "") + (f"{size} times " if size else "")
                message = f"the analytic gradient is {before}the numeric one {words}"
                evidence = {"operation": name, "factor": factor, "data": block.data}
                scaled = Claim("operation", message, hint, evidence, ("operation", name, round(factor, 6)), 0.9)
    return scaled


def _ratio(a: Vector, predicted: Vector, error: Vector) -> tuple[float, float]:
    """Factor between two vectors by least squares, and its uncertainty."""
    weight = predicted / error
    top = float(np.max(np.abs(weight), initial=0.0))
    if not 0.0 < top < math.inf:
        return math.nan, math.inf
    bottom = float(np.dot(weight / top, weight / top))
    return float(np.dot(weight / top, a / error / top)) / bottom, 1.0 / math.sqrt(bottom) / top


def wrong_axis(block: Block) -> Claim | None:
    """Averaged or summed over an axis that should have stayed, or over all of them."""
    if not block.complete or not block.shape or not np.all(np.isfinite(block.a)) or block.x.size < 3:
        return None
    n, a, e = (v[np.argsort(block.index)].reshape(block.shape) for v in (block.numeric, block.a, block.error))
    ndim = len(block.shape)
    for axes in (*((k,) for k in range(ndim)), *((tuple(range(ndim)),) if ndim > 1 else ())):
        count = math.prod(block.shape[k] for k in axes)
        if count < 2 or np.ptp(a, axes).max() > LIMIT * e.max() or np.all(np.ptp(n, axes) <= LIMIT * e.max()):
            continue
        slack = LIMIT * e.sum(axes, keepdims=True)
        for how, reduced in (("mean", n.mean(axes, keepdims=True)), ("sum", n.sum(axes, keepdims=True))):
            if np.all(np.abs(a - reduced) <= slack):
                where = f"axis {axes[0]}" if len(axes) == 1 and ndim > 1 else "all entries"
                message = f"it is the {how} of the numeric one over {where}, repeated"
                hint = "reduce over the batch, not over this axis"
                return Claim("wrong-axis", message, hint, {"axis": list(axes), "how": how})
    return None


def softmax_sum(block: Block) -> Claim | None:
    """A backward pass of softmax without what its denominator contributes: off by a multiple of softmax in each row."""
    if not block.complete or not np.all(np.isfinite(block.a)):
        return None
    for axis in range(len(block.shape)):
        rows = block.x.size // max(1, block.shape[axis])
        if block.shape[axis] < 2 or block.data - rows < 3:
            continue
        x, a = block.x.reshape(block.shape), block.analytic.reshape(block.shape)
        n, e = (v[np.argsort(block.index)].reshape(block.shape) for v in (block.numeric, block.error))
        softmax = np.exp(x - x.max(axis, keepdims=True))
        softmax /= softmax.sum(axis, keepdims=True)
        with np.errstate(all="ignore"):
            weight = softmax / e
            times = (weight * ((a - n) / e)).sum(axis, keepdims=True) / (weight**2).sum(axis, keepdims=True)
        if np.all(np.isfinite(times)) and block.explains((a - times * softmax).ravel()):
            message = f"it is right but for a multiple of softmax, along axis {axis}, of the parameter"
            hint = "the sum over the other outputs: s * (g - sum(g * s)), or g - s * sum(g) for log-softmax"
            return Claim("softmax-sum", message, hint, {"axis": axis, "rows": rows}, ("softmax-sum", axis))
    return None


def offset(block: Block) -> Claim | None:
    """The same number too much everywhere."""
    if int(block.wrong.sum()) < 3:
        return None
    difference = block.a - block.numeric
    weight = 1.0 / np.maximum(block.error, np.finfo(float).tiny) ** 2
    value = (
        float(np.average(difference, weights=weight)) if np.all(np.isfinite(weight)) else float(np.median(difference))
    )
    if block.explains(block.analytic - value, 1e-12):
        return Claim(
            "offset", f"there is {value:.9g} too much in every entry", "a term added throughout?", {"offset": value}
        )
    return None


SUSPECTS: list[Suspect] = [
    shape_of_another,
    nothing_there,
    zero,
    constant_factor,
    conjugated,
    regularization,
    transpose,
    permutation,
    exchanged,
    overwritten,
    operation,
    wrong_axis,
    softmax_sum,
    offset,
]
