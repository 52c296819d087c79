"""Checks of Jacobians: every entry of one that is small enough; otherwise the gradient of v . f for random v."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.collate import Comparison, collate
from fdcore.check.elementwise import Prober
from fdcore.check.evaluate import DOUBLE, Gradient
from fdcore.check.gradient import check_gradient
from fdcore.check.judge import LIMIT, Scales, judge_entry, rms
from fdcore.check.outputs import Component, Outputs, as_pairs, weights
from fdcore.check.preflight import Findings
from fdcore.check.rounding import Rounding
from fdcore.check.verdict import WRONG, Diagnosis, Entry, GradientCheck, Parameter, worst
from fdcore.errors import ArgumentError
from fdcore.tree import Tree, flatten

__all__ = ["by_entries", "check_jacobian", "scalars"]

Vector = NDArray[np.float64]

ENTRIES = 40_000  # of a Jacobian that is compared entry by entry
ELEMENTWISE = 10_000  # evaluations that may be spent on that
COLUMNS = 8  # wrong columns of a large one that are looked into, and entries of each that are named
MODES = ("auto", "elementwise", "projected")


def check_jacobian(
    f: Callable[..., Any],
    jac: Any,
    x: Any,
    *,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Compare an analytic Jacobian with numeric derivatives; three verdicts as in `check_gradient`.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns an array of any shape, real or complex.
    jac : callable, array, sparse matrix, or tree of arrays
        ``jac(x, *args, **kwargs)``, or its value at `x`. For an array `x`: of shape (m, n), or
        ``f(x).shape + x.shape``. For a tree: one array per array of `x`, of shape ``f(x).shape + array.shape``. Of
        complex values it is complex; where x is complex too, it is the derivative of a holomorphic f.
    x : array, number or tree of arrays
        The point.
    mode : {"auto", "elementwise", "projected"}
        Every entry, or the gradient of ``v @ f`` along random directions for two random v; of the columns that are
        wrong then, the clearest entries are named. A sparse matrix is never made dense for that.
    budget, seed, args, kwargs
        As in `check_gradient`.

    Returns
    -------
    GradientCheck
        Entries are called ``J[i, j]``, or ``J.W[i, 3, 7]`` for a tree; complex numbers have one more index, 0 for the
        real and 1 for the imaginary part.

    Notes
    -----
    Elementwise, about ``8 n`` evaluations of f, whatever m is, and two of `jac`; projected, 40 to 80.

    Examples
    --------
    >>> import numpy as np
    >>> check = check_jacobian(lambda x: np.array([x[0] * x[1], x[0]]), lambda x: [[x[1], x[1]], [1, 0]], [2.0, 3.0])
    >>> check.verdict, [entry.name for entry in check.wrong]
    ('wrong', ['J[0, 1]'])
    """
    if mode not in MODES:
        raise ArgumentError(f"mode must be 'auto', 'elementwise' or 'projected', not {mode!r}")
    vector, tree = flatten(x, complex_leaves=True)
    outputs = Outputs(f, tree, args, kwargs or {})
    f0 = outputs.begin(vector)
    if mode == "auto":
        small = f0.size * tree.size <= ENTRIES and 10 * tree.size <= (budget or ELEMENTWISE)
        mode = "elementwise" if small else "projected"
    if mode == "projected":
        return _combined(f, jac, x, vector, outputs, f0, budget, seed, args, kwargs or {})
    rows = _Rows(tree, outputs)
    gradient = Gradient(jac, tree, args, kwargs or {})
    parts = rows.parts(gradient.first(vector.copy()))
    return by_entries(outputs, vector, f0, gradient, parts, budget, seed)


def by_entries(
    outputs: Outputs,
    x: Vector,
    f0: Vector,
    gradient: Gradient,
    parts: Mapping[str, Any],
    budget: int | None,
    seed: int,
) -> GradientCheck:
    """Compare every entry of a Jacobian that is given by parts; see `_Rows`."""
    tree = gradient.tree
    rows = _Rows(tree, outputs)
    analytic, problems = rows.tree.collect(parts)
    gradient.tree = rows.tree
    found = Findings(0.0, analytic, Rounding(gradient, parts, analytic), problems=problems)
    for problem in problems:
        label = {"none": "missing"}.get(problem.kind, problem.kind)
        found.note(label, f"the Jacobian has {problem.message}", problem.name)
    if not np.array_equal(outputs(x.copy()), f0, equal_nan=True):
        found.note("f-not-repeatable", "f gives different values at the same point")
    comparison = Comparison("elementwise")
    _columns(outputs, x, f0, rows, found, budget or 2**62, comparison)
    wide = np.empty(rows.tree.size)
    for leaf, part in zip(tree.leaves, rows.tree.leaves, strict=True):
        wide[part.start : part.stop] = np.tile(x[leaf.start : leaf.stop], f0.size)
    return collate(rows.tree, wide, outputs.objective, gradient, found, comparison, seed)


class _Rows:
    """The arrays of a Jacobian: one for each array of x, with the axes of f in front."""

    def __init__(self, tree: Tree, outputs: Outputs) -> None:
        self.of = tree
        self.outputs = outputs
        self.m = math.prod(outputs.shape[: outputs.ndim])
        self.two = (2,) if outputs.paired else ()
        if tree.is_array:
            leaf = tree.leaves[0]
            shape = (leaf.size // 2, 2) if leaf.paired else (leaf.size,)
            shapes = {"J": (self.m, *self.two, *shape)}
        else:
            shapes = {f"J.{leaf.name}": (*outputs.shape, *leaf.shape) for leaf in tree.leaves}
        self.tree = flatten({name: np.zeros(size) for name, size in shapes.items()})[1]

    def parts(self, raw: Any) -> dict[str, Any]:
        """What the user's Jacobian has for each of them."""
        if self.of.is_array:
            leaf = self.of.leaves[0]
            array = np.asarray(raw.toarray() if hasattr(raw, "toarray") else raw)
            columns = math.prod(leaf.own_shape)
            if array.shape != (self.m, columns) and array.size == self.m * columns:
                full = array.shape[: array.ndim - len(leaf.own_shape)]
                if math.prod(full) == self.m and array.shape[len(full) :] == leaf.own_shape:
                    array = array.reshape(self.m, columns)
            return {"J": self.expand(array, leaf.paired, 1)}
        parts = zip(self.of.leaves, self.of.pick(raw), strict=True)
        return {
            f"J.{leaf.name}": self.expand(np.asarray(part), leaf.paired, self.outputs.ndim)
            for leaf, part in parts
            if part is not None
        }

    def expand(self, array: NDArray[Any], columns: bool, ndim: int) -> NDArray[Any]:
        """Complex entries as real ones: pairs of rows where f is complex, pairs of columns where x is."""
        rows = self.outputs.paired
        if not rows and not columns:
            return array
        if not columns:
            return np.stack([array.real, array.imag], axis=min(ndim, array.ndim))
        gradient = np.stack([array.real, array.imag], axis=-1)
        if not rows:
            return gradient
        # Of a holomorphic function: moving x by i moves f by i times the derivative.
        pairs = [np.stack([array.real, -array.imag], axis=-1), np.stack([array.imag, array.real], axis=-1)]
        return np.stack(pairs, axis=min(ndim, array.ndim))


def _columns(
    outputs: Outputs, x: Vector, f0: Vector, rows: _Rows, found: Findings, budget: int, comparison: Comparison
) -> None:
    """Differentiate every component with respect to every entry; one evaluation serves all components."""
    tree = rows.of
    scales = Scales.of(tree, x, np.zeros(x.size))
    typical = [rms(found.analytic[part.start : part.stop]) for part in rows.tree.leaves]
    for k, leaf in enumerate(tree.leaves):
        part = rows.tree.leaves[k]
        # One prober for each component learns the steps that suit it.
        probers = [
            Prober(Component(outputs), x, float(f0[i]), Scales(scales.x, [typical[k]] * len(tree.leaves)), 0.0)
            for i in range(f0.size)
        ]
        for j in range(leaf.start, leaf.stop):
            if outputs.objective.calls + 8 >= budget:
                comparison.left_over = True
                return
            seen: dict[float, Vector] = {}
            for i, prober in enumerate(probers):
                at = part.start + i * leaf.size + (j - leaf.start)
                component = prober.f
                assert isinstance(component, Component)
                component.seen, component.row, component.column = seen, i, j
                comparison.slopes[at] = prober.entry(j, float(found.analytic[at]), found.rounding.entry(at))


def _combined(
    f: Callable[..., Any],
    jac: Any,
    x: Any,
    vector: Vector,
    outputs: Outputs,
    f0: Vector,
    budget: int | None,
    seed: int,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> GradientCheck:
    """Check v' J as the gradient of v . f, then look into the columns that are wrong."""
    tree = outputs.objective.tree
    rows = _Rows(tree, outputs)
    plain = tree.is_array and not outputs.paired and not tree.leaves[0].paired

    def product(raw: Any, v: Vector) -> Any:
        if plain:
            matrix = raw if hasattr(raw, "tocsr") else np.asarray(raw).reshape(f0.size, -1)
            return np.asarray(matrix.T @ v).reshape(tree.leaves[0].shape)
        parts = rows.parts(raw)
        products = [v @ np.asarray(parts[part.name], dtype=float).reshape(f0.size, -1) for part in rows.tree.leaves]
        return tree.unflatten(np.concatenate(products))

    def gradient_of(v: Vector) -> Any:
        if not callable(jac):
            return product(jac, v)
        return lambda point: product(jac(point, *args, **kwargs), v)

    check = worst(scalars(f, gradient_of, x, outputs, 2, "auto", budget, seed, args, kwargs), [])
    if check.verdict != WRONG or not check.wrong:
        return check

    raw = jac(tree.unflatten(vector.copy()), *args, **kwargs) if callable(jac) else jac

    def column(j: int) -> Vector:
        if plain:
            matrix = raw.tocsc() if hasattr(raw, "tocsc") else np.asarray(raw, dtype=float).reshape(f0.size, -1)
            part = matrix[:, [j]]
            return np.asarray(part.toarray() if hasattr(part, "toarray") else part, dtype=float).reshape(-1)
        k = tree.leaf_of(j)
        part = rows.tree.leaves[k].name
        at = j - tree.leaves[k].start
        return np.asarray(rows.parts(raw)[part], dtype=float).reshape(f0.size, -1)[:, at]

    named = _name_entries(check, outputs, vector, f0, rows, column)
    if plain and f0.size == tree.size:
        v = weights(f0.size, seed, check.seed - seed)
        matrix = raw if hasattr(raw, "tocsr") else np.asarray(raw, dtype=float).reshape(f0.size, -1)
        seen, other = check.columns, np.asarray(matrix @ v).reshape(-1)
        near = np.abs(other[seen["index"]] - seen["numeric"]) <= LIMIT * seen["error"]
        if near.size > 1 and near.all():
            claim = Diagnosis("transpose", "it is right transposed, as far as was looked", suggestion="transpose it")
            named = replace(named, diagnoses=(claim,))
    return named


def _name_entries(
    check: GradientCheck, outputs: Outputs, x: Vector, f0: Vector, rows: _Rows, column: Callable[[int], Vector]
) -> GradientCheck:
    """Replace wrong entries of v' J by the entries of J that they come from; about 10 evaluations a column."""
    tree = rows.of
    scales = Scales.of(tree, x, np.zeros(x.size))
    starts = {leaf.name: leaf for leaf in tree.leaves}
    before = outputs.objective.calls
    entries: list[Entry] = []
    for wrong in check.wrong[:COLUMNS]:
        leaf = starts[wrong.parameter]
        place = (*wrong.index, ("re", "im").index(wrong.part)) if wrong.part else wrong.index
        k = tree.leaves.index(leaf)
        j = leaf.start + (int(np.ravel_multi_index(place, leaf.shape)) if place else 0)
        analytic = column(j)
        step = 2.0**-8 * max(abs(float(x[j])), scales.x[k])
        ends = []
        for sign in (1.0, -1.0):
            point = x.copy()
            point[j] += sign * step
            ends.append(outputs(point))
        with np.errstate(invalid="ignore"):
            apart = np.nan_to_num(np.abs((ends[0] - ends[1]) / (2.0 * step) - analytic), nan=0.0, posinf=0.0)
        seen: dict[float, Vector] = {}
        for i in np.argsort(-apart, kind="stable")[:COLUMNS].tolist():
            component = Component(outputs)
            component.seen, component.row, component.column = seen, i, j
            size = rms(analytic)
            prober = Prober(component, x, float(f0[i]), Scales(scales.x, [size] * len(tree.leaves)), 0.0)
            rounding = 12.0 * outputs.unit * max(abs(float(analytic[i])), size)
            slope = prober.entry(j, float(analytic[i]), rounding)
            judged = judge_entry(float(analytic[i]), slope, rounding, size)
            if judged[2] == WRONG:
                part = rows.tree.leaves[k]
                index = rows.tree.index(part.start + i * leaf.size + (j - leaf.start))
                entries.append(Entry(part.name, index, float(analytic[i]), slope.value, *judged))
    if not entries:
        return check
    rowed = [
        Parameter(
            part.name, part.shape, p.verdict, p.z, p.detection_limit, p.reason, p.checked,
            sum(e.parameter == part.name for e in entries),
        )
        for p, part in zip(check.parameters, rows.tree.leaves, strict=True)
    ]  # fmt: skip
    clearest = "the clearest " if max(len(entries), len(check.wrong)) >= COLUMNS else ""
    return replace(
        check,
        reason=f"{clearest}{len(entries)} wrong entries of the Jacobian are named; found by v' J for random v",
        parameters=tuple(rowed),
        wrong=tuple(sorted(entries, key=lambda e: -e.z)),
        diagnoses=tuple(replace(d, message=f"of v' J: {d.message}", parameter="") for d in check.diagnoses),
        nfev=check.nfev + outputs.objective.calls - before,
    )


def scalars(
    f: Callable[..., Any],
    gradient_of: Callable[[Vector], Any],
    x: Any,
    outputs: Outputs,
    samples: int,
    mode: str,
    budget: int | None,
    seed: int,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    convention: str = "torch",
) -> list[GradientCheck]:
    """Gradient checks of v . f for random v."""
    checks = []
    for number in range(samples):
        v = weights(math.prod(outputs.shape), seed, number)

        def scalar(point: Any, v: Vector = v) -> Any:
            value = np.dot(v, as_pairs(f(point, *args, **kwargs), "f", outputs.paired).reshape(-1))
            # The sum is no better than its terms.
            return value if outputs.unit <= DOUBLE else np.float32(value)

        checks.append(
            check_gradient(
                scalar, gradient_of(v), x, mode=mode, budget=budget, seed=seed + number, convention=convention
            )
        )
    return checks
