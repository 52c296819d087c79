"""What can be wrong before a single derivative is compared: each finding is a sentence of its own.

Labels of the notes, in the order in which they are looked for:

``"input-mutated"``    one of the two functions wrote into its input
``"f-not-repeatable"`` f gives different values at the same point; the level is measured
``"non-finite"``       f or its gradient is NaN or infinite at the point
``"shape"``            an array of the gradient has another shape than its parameter
``"missing"``          an array of the gradient is missing, or None
``"extra"``            the gradient has arrays that the parameters have not
``"type"``             something in the gradient is no array of numbers
``"output-aliased"``   the gradient returns (part of) its own input
``"gradient-accumulates"``, ``"gradient-not-repeatable"``
                       the gradient adds to what an earlier call left; differs between calls at the same point
``"output-reused"``    the gradient returns the same memory every time
``"dtype"``            f, its gradient or the parameters are float32 or narrower
``"gradient-order"``   the gradient at the point changes after f was called elsewhere
``"stale-cache"``      the gradient does not change although the point does, and is wrong there
``"f-order"``          f at the point changes after it was called elsewhere

More come from the comparison itself:

``"kink"``             the gradient is a valid subgradient where no derivative exists
``"not-located"``      something is wrong between two entries, and the budget was used up before it was found
``"within-rtol"``      something differs by more than its bar, but by less than the `rtol` that was stated
``"uninformative"``    the gradient is zero as far as can be seen, which says nothing about its formula

and from what needs no step, of Jacobians, products and Hessians:

``"dot-product"``      <v, J u> and <J' v, u> differ: forward and reverse mode not both are right, and which is not
``"not-linear"``       a product with a vector is not linear in the vector
``"not-symmetric"``    a Hessian is not symmetric
"""

from __future__ import annotations

import dis
import inspect
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import DOUBLE, Gradient, Objective, precision
from fdcore.check.judge import LIMIT
from fdcore.check.rounding import SMALL, Rounding
from fdcore.check.slope import measure, slope
from fdcore.check.verdict import Diagnosis, Note
from fdcore.tree import Problem, as_numbers

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
    analytic : (n,) array
        The gradient; NaN where there is none.
    rounding : Rounding
        The error that its own arithmetic may have.
    sizes : list of float
        Typical size of the parameters of each array.
    problems : list of Problem
        Arrays of the gradient that do not fit.
    notes : list of Note
    diagnoses : list of Diagnosis
        Bugs that show in the calls, whatever the numbers.
    random : bool
        The gradient does not repeat itself.
    accumulates : bool
        It adds to what an earlier call left.
    """

    f0: float
    analytic: Vector
    rounding: Rounding
    noise: float = 0.0
    sizes: list[float] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    random: bool = False
    accumulates: bool = False

    def note(self, label: str, message: str, parameter: str = "") -> None:
        """Add a note."""
        self.notes.append(Note(label, message, parameter))


def preflight(f: Objective, gradient: Gradient, x: Vector) -> Findings:
    """Call both functions at the point, twice; f at least 2, at most 8 times, the gradient up to 4 times."""
    notes: list[Note] = []
    f0, noise = _function(f, x, notes)
    point = x.copy()
    raw = gradient.first(point)
    analytic, problems = gradient.read(raw)
    found = Findings(f0, analytic, Rounding(gradient, raw, analytic), noise, problems=problems, notes=notes)
    for problem in problems:
        label = {"none": "missing"}.get(problem.kind, problem.kind)
        found.note(label, f"the gradient of {problem.message}", problem.name)
    _finite(gradient, found)
    if not gradient.given:
        if not _same(point, x):
            found.note("input-mutated", "the gradient writes into its input; the check gives it a fresh copy each time")
        if _share(raw, point):
            found.note("output-aliased", "the gradient returns its own input, or a view of it, not an array of its own")
        _dtypes(f, gradient, raw, found)
        del point
        small = x.size <= SMALL
        kept = raw if small else None
        del raw
        _again(gradient, x, found)
        if small and not found.accumulates and not _same(gradient.read(kept)[0], analytic):
            found.note(
                "output-reused",
                "the gradient returns the same memory every time: the next call overwrites an array you may still hold",
            )
    else:
        _dtypes(f, gradient, raw, found)
    return found


def aftermath(f: Objective, gradient: Gradient, x: Vector, found: Findings) -> None:
    """Call both once more at the point, after f has been elsewhere: a cache that is out of date shows now."""
    if not gradient.given and not found.random and not found.accumulates:
        # Before f is called at the point again, which would put the gradient right.
        later = gradient(x.copy())
        with np.errstate(invalid="ignore"):
            later -= found.analytic
        np.abs(later, out=later)
        size = float(np.max(later, initial=0.0, where=np.isfinite(later)))
        del later
        if size > 0.0:
            found.note(
                "gradient-order",
                f"the gradient at the same point changed by up to {size:.3g} after f had been called elsewhere: "
                "it depends on what f computed last (a cached forward pass?)",
            )
    if not gradient.given and not found.random and not found.accumulates:
        _elsewhere(f, gradient, x, found)
    if f.unit > DOUBLE and not any(note.label == "dtype" for note in found.notes):
        found.note(
            "dtype",
            "all values of f are those of single precision or less: bars are wider; compute in float64 to see more",
        )
    again = f(x.copy())
    if found.noise == 0.0 and again != found.f0:
        found.note(
            "f-order",
            f"f at the same point gave {found.f0!r} first and {again!r} after it had been called elsewhere: "
            "it remembers something",
        )


def _elsewhere(f: Objective, gradient: Gradient, x: Vector, found: Findings) -> None:
    """See whether the gradient notices that the point has moved.

    One evaluation of f and the gradient. If the gradient did not change: 16 to 40 of f; and where it is right there all
    the same (a piecewise linear f), one evaluation of f further on, which goes on only if f has left that line.
    """

    def moved(t: float) -> Vector:
        point = x.copy()
        for leaf, size in zip(f.tree.leaves, found.sizes, strict=True):
            point[leaf.start : leaf.stop : 2] += t * size
            point[leaf.start + 1 : leaf.stop : 2] -= 0.75 * t * size
        return point

    near, far = 0.0625, 0.5
    f_near = f(moved(near))
    if not math.isfinite(f_near) or not np.all(np.isfinite(found.analytic)) or not np.any(found.analytic):
        return
    if not _same(gradient(moved(near)), found.analytic):
        return
    predicted = slack = 0.0
    for k, (leaf, size) in enumerate(zip(f.tree.leaves, found.sizes, strict=True)):
        part = found.analytic[leaf.start : leaf.stop]
        predicted += size * (float(part[::2].sum()) - 0.75 * float(part[1::2].sum()))
        slack += 3.0 * size * leaf.size * found.rounding.typical(k)

    def wrong_at(start: float, f_start: float) -> bool:
        def line(t: float) -> tuple[float, float]:
            return f(moved(start + t)), 0.0

        def target(value: float) -> float:
            return 1e-6 * max(abs(value), abs(predicted))

        first = slope(line, f_start, 2.0**-7, unit=f.unit, noise=found.noise, target=target, levels=4)
        again = measure(line, f_start, 0.75 * first.step, unit=f.unit, noise=found.noise)
        return all(abs(m.value - predicted) > LIMIT * (m.error + slack) for m in (first, again))

    wrong = wrong_at(near, f_near)
    if not wrong:
        f_far = f(moved(far))
        reach = far - near
        floor = reach * slack + 4 * f.unit * max(abs(f_near), abs(f_far)) + found.noise
        if not math.isfinite(f_far) or abs(f_far - f_near - reach * predicted) <= LIMIT * floor:
            return
        wrong = _same(gradient(moved(far)), found.analytic) and wrong_at(far, f_far)
    if wrong:
        message = (
            "the gradient is the same at another point, where it is wrong: it does not notice that the point moved"
        )
        found.note("stale-cache", message)
        if _reads_its_argument(gradient.function):
            found.diagnoses.append(Diagnosis("stale-cache", message, suggestion="what is cached, and when renewed?"))


def _reads_its_argument(function: Any) -> bool:
    """Whether a Python function looks at the point at all: ``lambda x: g`` is no cache, but numbers for this point."""
    bound = inspect.ismethod(function)
    plain = function.__func__ if inspect.ismethod(function) else function
    if not inspect.isfunction(plain):
        return False
    own = plain.__code__.co_varnames[1 if bound else 0 :][:1]
    return bool(own) and any(
        own[0] in (i.argval if isinstance(i.argval, tuple) else (i.argval,)) and i.opname.startswith("LOAD")
        for i in dis.get_instructions(plain)
    )


def _function(f: Objective, x: Vector, notes: list[Note]) -> tuple[float, float]:
    point = x.copy()
    f0 = f.begin(point)
    if not _same(point, x):
        notes.append(Note("input-mutated", "f writes into its input; the check gives it a fresh copy each time"))
    del point
    if not math.isfinite(f0):
        notes.append(Note("non-finite", f"f is {f0} at this point; choose another one"))
        return f0, 0.0
    again = f(x.copy())
    if again == f0:
        return f0, 0.0
    values = [f0, again, *(f(x.copy()) for _ in range(6))]
    noise = max(values) - min(values)
    message = (
        f"f gave {f0!r}, then {again!r} at the same point; it varies by {noise:.3g} (relative "
        f"{noise / max(map(abs, values)):.1g}) over {len(values)} calls. Fix its random seed, or switch dropout off"
    )
    notes.append(Note("f-not-repeatable", message))
    return f0, noise


def _finite(gradient: Gradient, found: Findings) -> None:
    bad = ~np.isfinite(found.analytic)
    for position in (position for problem in found.problems for position in problem.leaves):
        leaf = gradient.tree.leaves[position]
        bad[leaf.start : leaf.stop] = False
    if bad.any():
        first = gradient.tree.name(int(np.argmax(bad)))
        many = int(bad.sum())
        which = f"{many} entries of the gradient are NaN or infinite, the first is" if many > 1 else "NaN or infinite:"
        found.note("non-finite", f"{which} {first}")


def _again(gradient: Gradient, x: Vector, found: Findings) -> None:
    second = gradient(x.copy())
    if _same(second, found.analytic):
        del second
        if x.size <= SMALL or max(found.rounding.units) > DOUBLE:
            found.rounding.watch(gradient, x)
        return
    with np.errstate(invalid="ignore"):
        doubled = np.abs(second - 2.0 * found.analytic) <= 1e-6 * np.abs(second)
    if doubled.all() and np.any(second):
        found.accumulates = True
        message = "the gradient doubles when it is called twice: it adds to what an earlier call left"
        found.note("gradient-accumulates", message)
        found.diagnoses.append(Diagnosis("accumulates", message, suggestion="zero it first"))
        return
    found.random = True
    found.rounding.differs(second, 1.0, worst=True)
    for _ in range(2):
        found.rounding.differs(gradient(x.copy()), 1.0, worst=True)
    level = max(found.rounding.levels)
    found.note(
        "gradient-not-repeatable",
        f"the gradient differs between calls at the same point, by up to {level:.3g} in "
        f"{gradient.tree.leaves[found.rounding.levels.index(level)].name}. "
        "Fix its random seed, or switch dropout off",
    )


def _dtypes(f: Objective, gradient: Gradient, raw: Any, found: Findings) -> None:
    if found.rounding.whole and not gradient.given:
        found.note("dtype", "the gradient returns whole numbers; where the right one is none, it is cut off")
    narrow = []
    if f.unit > DOUBLE:
        narrow.append("the values of f")
    if any(precision(dtype) > DOUBLE for dtype in gradient.tree.dtypes(raw)):
        narrow.append("the gradient")
    if any(leaf.dtype != np.float64 for leaf in f.tree.leaves):
        narrow.append("the parameters")
    if narrow:
        text = " and ".join([", ".join(narrow[:-1]), narrow[-1]] if len(narrow) > 1 else narrow)
        verb = "is" if narrow == ["the gradient"] else "are"
        found.note("dtype", f"{text} {verb} in single precision or less: bars are wider; check in float64 to see more")


def _same(a: Vector, b: Vector) -> bool:
    """Equality with NaN equal to NaN, in pieces: a comparison of 10^7 numbers shall not need five arrays of them."""
    step = 1 << 16
    return all(np.array_equal(a[k : k + step], b[k : k + step], equal_nan=True) for k in range(0, a.size, step))


def _share(value: Any, memory: Vector) -> bool:
    if isinstance(value, dict):
        return any(_share(child, memory) for child in value.values())
    if isinstance(value, (list, tuple)):
        return any(_share(child, memory) for child in value)
    array = as_numbers(value) if isinstance(value, np.ndarray) else None
    return array is not None and np.may_share_memory(array, memory)
