"""What can be wrong before a single derivative is compared: each finding is a sentence of its own.

Labels of the notes, in the order in which they are looked for:

``"dtype"``            f, its gradient or the parameters are float32 or narrower
``"non-finite"``       f or its gradient is NaN or infinite at the point
``"f-not-repeatable"`` f gives different values at the same point; the level is measured
``"f-order"``          f at the point changes after f or the gradient was called elsewhere
``"input-mutated"``    one of the two wrote into its input
``"shape"``            an array of the gradient has another shape than its parameter
``"missing"``          an array of the gradient is missing, or None
``"extra"``            the gradient has arrays that the parameters have not
``"type"``             something in the gradient is no array of numbers
``"gradient-not-repeatable"``, ``"gradient-accumulates"``, ``"gradient-order"``
                       the gradient at the point changes when it is called again; adds up; changes after other calls
``"output-reused"``    the gradient returns the same memory every time
``"output-aliased"``   the gradient returns (part of) its own input
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import DOUBLE, Gradient, Objective, precision
from fdcore.check.judge import rounding_of, units_of
from fdcore.check.verdict import Note
from fdcore.tree import Problem, Tree, as_numbers

__all__ = ["Findings", "aftermath", "preflight"]

Vector = NDArray[np.float64]


@dataclass
class Findings:
    """What is known before the comparison.

    Attributes
    ----------
    f0 : float
        f at the point.
    noise : float
        Absolute noise of f, 0 where it repeats itself exactly.
    analytic, rounding : (n,) array
        The gradient, and the error that its own arithmetic may have.
    problems : list of Problem
        Arrays of the gradient that do not fit.
    notes : list of Note
    random : bool
        The gradient does not repeat itself.
    """

    f0: float
    noise: float = 0.0
    analytic: Vector = field(default_factory=lambda: np.empty(0))
    rounding: Vector = field(default_factory=lambda: np.empty(0))
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    random: bool = False

    def note(self, label: str, message: str, parameter: str = "") -> None:
        """Add a note."""
        self.notes.append(Note(label, message, parameter))


def preflight(f: Objective, gradient: Gradient, x: Vector) -> Findings:
    """Call both functions at the point, twice; f at least 2, at most 8 times, the gradient 2 to 4 times."""
    found = Findings(f0=0.0)
    _function(f, x, found)
    raw = _gradient(f, gradient, x, found)
    _dtypes(f, gradient, raw, found)
    return found


def aftermath(f: Objective, gradient: Gradient, x: Vector, found: Findings) -> None:
    """Call both once more at the point, after f has been elsewhere: a stale cache shows now."""
    if not gradient.given and not found.random:
        # Before f is called at the point again, which would put the gradient right.
        with np.errstate(invalid="ignore"):
            apart = np.abs(gradient(x.copy()) - found.analytic)
        size = float(np.max(apart, initial=0.0, where=np.isfinite(apart)))
        if size > 0.0 and "gradient-accumulates" not in [note.label for note in found.notes]:
            found.note(
                "gradient-order",
                f"the gradient at the same point changed by up to {size:.3g} after f had been called elsewhere: "
                "it depends on what f computed last (a cached forward pass?)",
            )
    again = f(x.copy())
    if found.noise == 0.0 and again != found.f0:
        found.note(
            "f-order",
            f"f at the same point gave {found.f0!r} first and {again!r} after it had been called elsewhere: "
            "it remembers something",
        )


def _function(f: Objective, x: Vector, found: Findings) -> None:
    point = x.copy()
    found.f0 = f.begin(point) if not _narrow(f.tree) else f.begin(x)
    mutated = not np.array_equal(point, x, equal_nan=True)
    if not mutated and not f.own_dtype:
        probe = x.copy()
        again = f(probe)
        mutated = not np.array_equal(probe, x, equal_nan=True)
    else:
        again = f(x.copy())
    if mutated:
        found.note("input-mutated", "f writes into its input; the check gives it a fresh copy each time")
    if not math.isfinite(found.f0):
        found.note("non-finite", f"f is {found.f0} at this point; choose another one")
        return
    if again != found.f0:
        values = [found.f0, again, *(f(x.copy()) for _ in range(6))]
        found.noise = max(values) - min(values)
        level = found.noise / max(map(abs, values))
        found.note(
            "f-not-repeatable",
            f"f gave {found.f0!r}, then {again!r} at the same point; it varies by {found.noise:.3g} "
            f"(relative {level:.1g}) over {len(values)} calls. Fix its random seed, or switch dropout off",
        )


def _gradient(f: Objective, gradient: Gradient, x: Vector, found: Findings) -> Any:
    point = x.copy()
    raw = gradient.first(x) if gradient.given else _first(gradient, point, x)
    flat, problems = gradient.read(raw)
    found.analytic, found.problems = flat, problems
    for problem in problems:
        label = {"none": "missing"}.get(problem.kind, problem.kind)
        found.note(label, f"the gradient of {problem.message}", problem.name)
    units = units_of(gradient, raw, flat)
    found.rounding = rounding_of(gradient.tree, units, flat)
    bad = ~np.isfinite(flat)
    for position in (position for problem in problems for position in problem.leaves):
        leaf = gradient.tree.leaves[position]
        bad[leaf.start : leaf.stop] = False
    if bad.any():
        first = gradient.tree.name(int(np.argmax(bad)))
        found.note("non-finite", f"{int(bad.sum())} entries of the gradient are NaN or infinite, the first is {first}")
    if gradient.given:
        return raw
    if not np.array_equal(point, x, equal_nan=True):
        found.note("input-mutated", "the gradient writes into its input; the check gives it a fresh copy each time")
    if _arrays_share(gradient.tree, raw, point):
        found.note("output-aliased", "the gradient returns its own input, or a view of it, not an array of its own")
    second_point = x.copy()
    second_raw = gradient.raw(second_point)
    second = gradient.read(second_raw)[0]
    if np.array_equal(second, flat, equal_nan=True):
        _conditioning(gradient, x, units, found)
    elif _close(second, 2.0 * flat):
        found.note(
            "gradient-accumulates",
            "the gradient doubles when it is called twice: it adds to what an earlier call left (zero it first)",
        )
    else:
        found.random = True
        apart = np.abs(second - flat)
        more = [gradient(x.copy()) for _ in range(2)]
        apart = np.maximum.reduce([apart, *(np.abs(other - flat) for other in more)])
        for leaf in gradient.tree.leaves:
            part = apart[leaf.start : leaf.stop]
            top = float(np.max(part, initial=0.0, where=np.isfinite(part)))
            found.rounding[leaf.start : leaf.stop] += top
        worst = int(np.argmax(np.where(np.isfinite(apart), apart, -1.0)))
        found.note(
            "gradient-not-repeatable",
            f"the gradient differs between calls at the same point, by up to {apart[worst]:.3g} at "
            f"{gradient.tree.name(worst)}. Fix its random seed, or switch dropout off",
        )
    if not np.array_equal(gradient.read(raw)[0], flat, equal_nan=True):
        found.note(
            "output-reused",
            "the gradient returns the same memory every time: the next call overwrites an array you may still hold",
        )
    return raw


def _first(gradient: Gradient, point: Vector, x: Vector) -> Any:
    if _narrow(gradient.tree):
        return gradient.first(x)
    return gradient.raw(point)


def _conditioning(gradient: Gradient, x: Vector, units: list[float], found: Findings) -> None:
    """Add how far the gradient moves when x moves by one rounding: no gradient is known better than that."""
    signs = np.where(np.arange(x.size) * 2654435761 % 4294967296 < 2147483648, 1.0, -1.0)
    for direction in (signs, -signs):
        point = x.copy()
        for leaf, unit in zip(gradient.tree.leaves, units, strict=True):
            part = point[leaf.start : leaf.stop]
            part += 2.0 * unit * np.abs(part) * direction[leaf.start : leaf.stop]
        with np.errstate(invalid="ignore"):
            apart = np.nan_to_num(np.abs(gradient(point) - found.analytic), nan=0.0, posinf=0.0)
        for leaf in gradient.tree.leaves:
            part = apart[leaf.start : leaf.stop]
            if part.size:
                level = 3.0 * float(np.sqrt(np.mean(part * part)))
                found.rounding[leaf.start : leaf.stop] += np.maximum(level, apart[leaf.start : leaf.stop])


def _dtypes(f: Objective, gradient: Gradient, raw: Any, found: Findings) -> None:
    narrow = []
    if f.unit > DOUBLE:
        narrow.append("the values of f")
    if any(precision(dtype) > DOUBLE for dtype in gradient.tree.dtypes(raw)):
        narrow.append("the gradient")
    if _narrow(f.tree):
        narrow.append("the parameters")
    if narrow:
        text = " and ".join([", ".join(narrow[:-1]), narrow[-1]] if len(narrow) > 1 else narrow)
        found.note(
            "dtype",
            f"{text} {'is' if narrow == ['the gradient'] else 'are'} in single precision or less: "
            "bars are wider; check in float64 to see more",
        )


def _narrow(tree: Tree) -> bool:
    return any(leaf.dtype != np.float64 for leaf in tree.leaves)


def _arrays_share(tree: Tree, value: Any, memory: Vector) -> bool:
    if isinstance(value, dict):
        return any(_arrays_share(tree, child, memory) for child in value.values())
    if isinstance(value, (list, tuple)):
        return any(_arrays_share(tree, child, memory) for child in value)
    array = as_numbers(value) if isinstance(value, np.ndarray) else None
    return array is not None and np.may_share_memory(array, memory)


def _close(a: Vector, b: Vector) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all((np.abs(a - b) <= 1e-6 * np.abs(b)) | ((a == 0) & (b == 0)))) and bool(np.any(b != 0))
