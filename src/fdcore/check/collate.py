"""From measurements to a `GradientCheck`: verdicts of entries, parameters and the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fdcore.check.block import Block
from fdcore.check.diagnose import diagnose, known_sizes
from fdcore.check.evaluate import Gradient, Objective
from fdcore.check.judge import FEW_DIGITS, LIMIT, REASONS, ZERO, Scales, judge_entry, rms
from fdcore.check.preflight import Findings
from fdcore.check.projected import SMALLEST, Probe, Projector, Search
from fdcore.check.relative import relative_error
from fdcore.check.slope import Slope
from fdcore.check.verdict import AGREES, CANNOT_TELL, WRONG, Diagnosis, Entry, GradientCheck, Parameter, Verdict
from fdcore.tree import Leaf, Tree

__all__ = ["Comparison", "collate"]

Vector = NDArray[np.float64]


@dataclass
class Comparison:
    """All that was measured.

    Attributes
    ----------
    mode : {"elementwise", "projected"}
    rtol : float
        Relative differences up to here are none.
    chosen : (n,) array of bool, or None
        The entries to check, where not all are.
    slopes : dict of int to Slope
        Entries that were differentiated by themselves.
    probes : list of Probe
        Derivatives along directions that agree.
    search : Search or None
        What was taken apart.
    left_over : bool
        The budget was used up.
    explained : set of str
        Names of the arrays whose fault a formula explains; set by `collate`.
    """

    mode: str
    rtol: float = 0.0
    chosen: NDArray[np.bool_] | None = None
    slopes: dict[int, Slope] = field(default_factory=dict)
    probes: list[Probe] = field(default_factory=list)
    search: Search | None = None
    left_over: bool = False
    explained: frozenset[str] = frozenset()

    def seen(self, leaf: Leaf) -> list[Probe]:
        """The directions that cover a leaf and agree: one for all of it, or pieces."""
        clean = [*self.probes, *(self.search.clean if self.search else [])]
        whole = [p for p in clean if p.start <= leaf.start and leaf.stop <= p.stop]
        if whole:
            return [min(whole, key=lambda p: p.error)]
        return [p for p in clean if p.start < leaf.stop and leaf.start < p.stop]

    def power(self, projector: Projector, position: int) -> float:
        """Ten bars against the whole of a leaf: what share of it, if wrong throughout, would have been seen."""
        leaf = projector.tree.leaves[position]
        probes = self.seen(leaf)
        if not probes:
            return math.inf
        whole = projector.prober.scales.x[position] * rms(projector.analytic[leaf.start : leaf.stop]) * leaf.size**0.5
        return LIMIT * max(p.error for p in probes) / whole if whole else math.inf

    def blamed(self, leaf: Leaf) -> bool:
        """Whether something wrong was found in a leaf."""
        if self.search is None:
            return False
        wrong = [*self.search.wrong, *self.search.dense]
        return any(leaf.start <= p.start and p.stop <= leaf.stop for p in wrong)

    def settled(self, leaf: Leaf) -> bool:
        """Whether all entries of a leaf that were not looked at are known to agree."""
        if self.search is None or self.chosen is not None:
            return False
        open_ = [*self.search.wrong, *self.search.dense]
        return not any(p.start < leaf.stop and leaf.start < p.stop for p in open_)


def collate(
    tree: Tree, x: Vector, objective: Objective, gradient: Gradient, found: Findings, comparison: Comparison, seed: int
) -> GradientCheck:
    """Conclude; may be called again when more was measured."""
    with np.errstate(all="ignore"):
        return _collate(tree, x, objective, gradient, found, comparison, seed)


def _collate(
    tree: Tree, x: Vector, objective: Objective, gradient: Gradient, found: Findings, comparison: Comparison, seed: int
) -> GradientCheck:
    found = replace(found, notes=list(found.notes), diagnoses=list(found.diagnoses))
    owners = (objective.args, objective.kwargs, objective.function, gradient.function)
    sizes = known_sizes(tree, *owners)
    index = np.array(sorted(comparison.slopes), dtype=np.intp)
    numeric = np.array([comparison.slopes[j].value for j in index.tolist()])
    scales = _scales(tree, x, found, comparison, index, numeric)
    entries = _entries(tree, found, comparison, index, scales)
    error = np.array([entry.error for entry in entries])
    unusable = {k: problem for problem in found.problems for k in problem.leaves}
    of_leaf: dict[str, list[Entry]] = {}
    for entry in entries:
        of_leaf.setdefault(entry.parameter, []).append(entry)
    parameters = []
    for k, leaf in enumerate(tree.leaves):
        own = of_leaf.get(leaf.name, [])
        if k in unusable:
            row = Parameter(leaf.name, leaf.own_shape, WRONG, math.inf, math.inf, unusable[k].kind)
        elif not math.isfinite(found.f0):
            row = Parameter(leaf.name, leaf.own_shape, CANNOT_TELL, math.nan, math.inf, "f is not finite")
        elif comparison.mode == "elementwise":
            row = _elementwise(leaf, own, comparison)
        else:
            row = _projected(leaf, own, comparison, scales, k, found)
        parameters.append(row)
    names = {tree.leaves[k].name for k in unusable}
    wrong = sorted((e for e in entries if e.verdict == WRONG and e.parameter not in names), key=lambda e: -e.z)
    unclear = [e for e in entries if e.verdict == CANNOT_TELL and e.parameter not in names]
    if any(row.verdict == WRONG for row in parameters):
        # Wrong here already: that it is wrong elsewhere too says nothing about a cache.
        found.diagnoses = [d for d in found.diagnoses if d.label != "stale-cache"]
        found.notes = [n for n in found.notes if n.label != "stale-cache"]
    verdict, reason = _overall(tree, parameters, wrong, found, comparison)
    if reason.startswith(ZERO):
        found.note("uninformative", f"{ZERO}, which says nothing about its formula; check at a displaced point")
    _note_kinks(entries, found)
    _note_rtol(entries, found, comparison)
    _note_rest(tree, found, comparison, bool(wrong))
    blocks = _blocks(tree, x, found, comparison, index, numeric, error, sizes)
    right = [row.name for row in parameters if row.verdict == AGREES and math.isfinite(row.detection_limit)]
    diagnoses: list[Diagnosis] = []
    if verdict == WRONG:
        diagnoses, comparison.explained = diagnose(blocks, right, found.problems)
    keep = np.isfinite(numeric) & np.isfinite(found.analytic[index])
    limits = [row.detection_limit for row in parameters if math.prod(row.shape) and row.reason != UNCHECKED]
    return GradientCheck(
        verdict=verdict,
        reason=reason,
        parameters=tuple(parameters),
        wrong=tuple(wrong),
        unclear=tuple(unclear),
        diagnoses=tuple([*diagnoses, *found.diagnoses]),
        notes=tuple(found.notes),
        detection_limit=max(limits, default=math.inf),
        nfev=objective.calls,
        ngev=gradient.calls,
        mode=comparison.mode,
        seed=seed,
        size=tree.size,
        relative_errors=_relative(found.analytic[index][keep], numeric[keep]),
        columns={"index": index, "analytic": found.analytic[index], "numeric": numeric, "error": error},
    )


UNCHECKED = "not checked"

ALONG = 1_000_000  # directions of longer arrays are not kept for the diagnosis


def _blocks(
    tree: Tree,
    x: Vector,
    found: Findings,
    comparison: Comparison,
    index: NDArray[np.intp],
    numeric: Vector,
    error: Vector,
    sizes: dict[int, str],
) -> list[Block]:
    """What was measured of each array, for the diagnosis; entries without a derivative are left out."""
    values = {k: p.value for p in found.problems for k in p.leaves if p.kind == "shape"}
    lost = {k for p in found.problems for k in p.leaves} - values.keys()
    kink = np.array([comparison.slopes[j].reason == "kink" for j in index.tolist()], dtype=bool)
    usable = np.isfinite(numeric) & np.isfinite(error) & ~kink
    parts = {leaf.name: found.analytic[leaf.start : leaf.stop] for leaf in tree.leaves}
    blocks = []
    for k, leaf in enumerate(tree.leaves):
        own = usable & (index >= leaf.start) & (index < leaf.stop)
        if not own.any() or k in lost:
            continue
        # Of a gradient that is far too large, its rounding counts as that of the right one would.
        a, n = np.abs(found.analytic[index[own]]), np.abs(numeric[own])
        rounding = np.array([found.rounding.entry(j) for j in index[own].tolist()])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            spare = np.nan_to_num(rounding * (1.0 - np.minimum(1.0, np.where(a > 0.0, n / a, 1.0))), posinf=0.0)
        along = []
        if comparison.search is not None and leaf.size <= ALONG:
            inside = [p for p in comparison.search.measured if leaf.start <= p.start and p.stop <= leaf.stop]
            inside.sort(key=lambda p: -p.size)
            for probe in [p for p in inside if math.isfinite(p.error)][:3]:
                along.append((_direction(comparison.search.projector, probe, leaf), probe.numeric, probe.error))
        blocks.append(
            Block(
                leaf.name,
                leaf.shape,
                x[leaf.start : leaf.stop],
                parts[leaf.name],
                index[own] - leaf.start,
                numeric[own],
                np.maximum(error[own] - spare, 1e-3 * error[own]),
                along,
                sizes,
                values.get(k),
                {name: part for name, part in parts.items() if name != leaf.name and part.size == leaf.size},
                comparison.settled(leaf),
                leaf.paired,
                rounding,
            )
        )
    return blocks


def _direction(projector: Projector, probe: Probe, leaf: Leaf) -> Vector:
    direction = np.zeros(leaf.size)
    for a, b, move, _ in projector.moves(probe.number, probe.start, probe.stop):
        direction[a - leaf.start : b - leaf.start] = move
    return direction


def _scales(
    tree: Tree, x: Vector, found: Findings, comparison: Comparison, index: NDArray[np.intp], numeric: Vector
) -> Scales:
    """Sizes by the numeric gradient where every entry of it is known, else by the analytic one."""
    if comparison.mode == "elementwise" and comparison.chosen is None and index.size == tree.size:
        return Scales.of(tree, x, numeric)
    return Scales.of(tree, x, found.analytic)


def _entries(
    tree: Tree, found: Findings, comparison: Comparison, index: NDArray[np.intp], scales: Scales
) -> list[Entry]:
    entries = []
    for j in index.tolist():
        position = tree.leaf_of(j)
        leaf = tree.leaves[position]
        analytic, slope = float(found.analytic[j]), comparison.slopes[j]
        judged = judge_entry(analytic, slope, found.rounding.entry(j), scales.gradient[position], comparison.rtol)
        index_, part = tree.place(j)
        entries.append(Entry(leaf.name, index_, analytic, slope.value, *judged, part=part))
    return entries


def _elementwise(leaf: Leaf, entries: list[Entry], comparison: Comparison) -> Parameter:
    wrong = [e for e in entries if e.verdict == WRONG]
    unclear = [e for e in entries if e.verdict == CANNOT_TELL]
    part = slice(leaf.start, leaf.stop)
    wanted = leaf.size if comparison.chosen is None else int(comparison.chosen[part].sum())
    if not entries and not wanted:
        verdict, reason = (AGREES, "" if leaf.size == 0 else UNCHECKED)
        return Parameter(leaf.name, leaf.own_shape, verdict, 0.0, 0.0 if leaf.size == 0 else math.inf, reason)
    size = rms(np.array([e.numeric for e in entries]))
    # A kink has no derivative to be found: what it says is about one-sided slopes.
    bars = [e.error for e in entries if e.reason != "kink"]
    limit = LIMIT * max(bars) / size if bars and size else math.inf
    verdict, reason = AGREES, ""
    if wrong:
        verdict = WRONG
    elif unclear:
        verdict, reason = CANNOT_TELL, unclear[0].reason
    elif len(entries) < wanted:
        verdict, reason, limit = CANNOT_TELL, "the budget was used up", math.inf
    return Parameter(
        leaf.name, leaf.own_shape, verdict, _worst(entries), limit, reason, len(entries), len(wrong), _norm(entries)
    )


def _projected(
    leaf: Leaf, entries: list[Entry], comparison: Comparison, scales: Scales, position: int, found: Findings
) -> Parameter:
    part = found.analytic[leaf.start : leaf.stop]
    wrong = [e for e in entries if e.verdict == WRONG]
    if leaf.size == 0 or (comparison.chosen is not None and not comparison.chosen[leaf.start : leaf.stop].any()):
        return Parameter(
            leaf.name, leaf.own_shape, AGREES, 0.0, 0.0 if leaf.size == 0 else math.inf, UNCHECKED if leaf.size else ""
        )
    if len(entries) == leaf.size and comparison.chosen is None:
        return _elementwise(leaf, entries, comparison)
    probes = comparison.seen(leaf)
    error = max((p.error for p in probes), default=math.inf)
    size, step = rms(part), scales.x[position]
    limit = LIMIT * error / (SMALLEST * step * size) if size else math.inf
    z = max(_worst(entries), *(p.z for p in probes)) if probes else _worst(entries)
    verdict: Verdict = AGREES
    reason = ""
    if wrong or comparison.blamed(leaf) or not np.all(np.isfinite(part)):
        verdict = WRONG
        search = comparison.search
        inside = [p for p in (search.wrong + search.dense if search else []) if leaf.start <= p.start < leaf.stop]
        z = max([z, *(p.z for p in inside), math.inf if not np.all(np.isfinite(part)) else 0.0])
    elif not probes:
        verdict, reason = CANNOT_TELL, "the budget was used up" if comparison.left_over else "other entries hide it"
    elif LIMIT * error > 0.1 * step * scales.gradient[position] * math.sqrt(leaf.size):
        verdict = CANNOT_TELL
        reason = next((_WORDS[p.reason] for p in probes if p.reason in _WORDS), ZERO)
        if reason == ZERO and not math.isfinite(error):
            reason = "f is not finite nearby"
        elif reason == ZERO and step * size * math.sqrt(leaf.size) > 2.0 * error:
            reason = FEW_DIGITS
    return Parameter(leaf.name, leaf.own_shape, verdict, z, limit, reason, len(entries), len(wrong), _norm(entries))


_WORDS = REASONS | {"kink": "f has a kink here"}


def _overall(
    tree: Tree, parameters: list[Parameter], wrong: list[Entry], found: Findings, comparison: Comparison
) -> tuple[Verdict, str]:
    blamed = [row for row in parameters if row.verdict == WRONG]
    unclear = [row for row in parameters if row.verdict == CANNOT_TELL]
    checked = len(comparison.slopes)
    if not blamed and found.diagnoses:
        return WRONG, found.diagnoses[0].message
    if blamed:
        bad = next((problem.message for problem in found.problems if problem.leaves), "")
        search = comparison.search
        dense = search is not None and bool(search.dense)
        if not wrong:
            return WRONG, bad or f"{', '.join(row.name for row in blamed[:4])} cannot be the gradient of f"
        where = f"{len(wrong)} of {checked} entries" if comparison.mode == "elementwise" else f"{len(wrong)} entries"
        if dense:
            where = f"many entries of {', '.join(row.name for row in blamed[:4])}"
        elif where == "1 entries":
            return WRONG, "1 entry differs by more than its error bar allows" + ("; " + bad if bad else "")
        return WRONG, f"{where} differ by more than their error bars allow" + ("; " + bad if bad else "")
    if not unclear:
        if comparison.search is not None and comparison.search.wrong:
            return CANNOT_TELL, (
                "a derivative along a random direction differs by more than its error bar, but those along its halves "
                "do not; mode='elementwise', or double precision, tells"
            )
        if comparison.mode == "projected":
            return AGREES, f"all {tree.size} parameters agree along random directions within their error bars"
        if checked < tree.size:
            return AGREES, f"all {checked} entries that were compared agree within their error bars"
        return AGREES, f"all {checked} entries agree within their error bars"
    if not math.isfinite(found.f0):
        return CANNOT_TELL, f"f is {found.f0} at this point"
    reasons = [row.reason for row in unclear]
    most = FEW_DIGITS if FEW_DIGITS in reasons else max(reasons, key=lambda r: (reasons.count(r), r))
    if most == ZERO and len(unclear) == len([p for p in parameters if math.prod(p.shape)]):
        return CANNOT_TELL, f"{ZERO}, which says nothing about its formula"
    names = ", ".join(row.name for row in unclear[:4]) + (" and others" if len(unclear) > 4 else "")
    return CANNOT_TELL, f"nothing can be said about {names}: {most}"


def _worst(entries: list[Entry]) -> float:
    return max((e.z for e in entries if not math.isnan(e.z)), default=0.0)


def _norm(entries: list[Entry]) -> float:
    pairs = np.array(
        [(e.analytic, e.numeric) for e in entries if math.isfinite(e.analytic) and math.isfinite(e.numeric)]
    )
    return float(relative_error(pairs[:, 0], pairs[:, 1])) if pairs.size else math.nan


def _relative(analytic: Vector, numeric: Vector) -> dict[str, float]:
    if not analytic.size:
        return {}
    return {
        "norm": float(relative_error(analytic, numeric)),
        "elementwise": float(np.max(relative_error(analytic, numeric, kind="elementwise"))),
        "sum": float(np.max(relative_error(analytic, numeric, kind="sum"))),
    }


def _note_rest(tree: Tree, found: Findings, comparison: Comparison, some: bool) -> None:
    if comparison.search is None or not comparison.search.wrong:
        return
    rest = sorted(comparison.search.wrong, key=lambda p: -p.z)
    places = ", ".join(f"between {tree.name(p.start)} and {tree.name(p.stop - 1)}" for p in rest[:2])
    there = "there are more wrong entries" if some else "something may be wrong"
    found.note("not-located", f"{there}, {places}; a larger budget, or mode='elementwise', finds it out")


def _note_rtol(entries: list[Entry], found: Findings, comparison: Comparison) -> None:
    rtol = comparison.rtol
    probes = [*comparison.probes, *(comparison.search.clean if comparison.search else [])]
    loose = [p for p in probes if p.z > LIMIT and not p.wrong and math.isfinite(p.error)]
    if loose and rtol:
        probe = max(loose, key=lambda p: p.z)
        apart = abs(probe.analytic - probe.numeric) / probe.typical
        message = f"along random directions the gradient is wrong by {apart:.2g} of it, less than rtol = {rtol:g}"
        found.note("within-rtol", message)
    close = [e for e in entries if e.reason == "within rtol"]
    if close:
        worst = max(close, key=lambda e: e.z)
        found.note(
            "within-rtol",
            f"{len(close)} {'entry is' if len(close) == 1 else 'entries are'} wrong by more than the error bars, but "
            f"by less than rtol = {rtol:g}; "
            f"the clearest one is {worst.name} with a ratio of {worst.ratio:.9g}",
        )


def _note_kinks(entries: list[Entry], found: Findings) -> None:
    kinks = [e for e in entries if e.reason == "kink" and e.verdict == AGREES]
    if kinks:
        names = ", ".join(e.name for e in kinks[:3]) + (" and others" if len(kinks) > 3 else "")
        many = "entry" if len(kinks) == 1 else "entries"
        found.note(
            "kink",
            f"f has a kink here in {len(kinks)} {many} ({names}); "
            "the gradient lies between the slopes of the two sides, so it is a valid subgradient",
        )
