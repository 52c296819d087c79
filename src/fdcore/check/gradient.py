"""`check_gradient`: puts preflight, measurement and judgement together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fdcore.check.elementwise import Prober
from fdcore.check.evaluate import Gradient, Objective
from fdcore.check.judge import Scales, judge_entry, summarise
from fdcore.check.preflight import Findings, aftermath, preflight
from fdcore.check.relative import relative_error
from fdcore.check.verdict import AGREES, CANNOT_TELL, WRONG, Entry, GradientCheck, Note, Parameter, Verdict
from fdcore.errors import ArgumentError
from fdcore.tree import Tree, flatten

__all__ = ["check_gradient"]


def check_gradient(
    f: Callable[..., Any],
    grad: Any,
    x: Any,
    *,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Compare an analytic gradient with numeric derivatives of its function, and say which entries are wrong.

    Each entry of the gradient is differentiated numerically with an error bar. An entry is *wrong* when the two values
    differ by more than ten bars, and *agrees* when they do not and the bar is small against the entry; where the bar is
    too wide for that (noise, single precision, a kink, f not finite nearby) nothing is claimed: *cannot tell*. There is
    no tolerance to choose.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns one number.
    grad : callable, array or tree of arrays
        ``grad(x, *args, **kwargs)``, or its value at `x`: one array per array of `x`, of the same shape. Lists may
        stand for arrays and tuples.
    x : array, number, or nested dict / list / tuple / namedtuple / dataclass of them
        The point. Both functions get arrays of float64 in the same structure, fresh ones for each call; nothing of
        `x` is ever changed.
    mode : {"auto", "elementwise"}
        ``"elementwise"`` compares every entry by itself.
    budget : int, optional
        Evaluations of f that may be spent; entries that are left over when it is used up are "cannot tell".
    seed : int
        Of whatever is random in the check; the outcome is a function of it.
    args, kwargs
        Further arguments of both functions.

    Returns
    -------
    GradientCheck
        True in a condition when the gradient agrees; printing it gives the report.

    Raises
    ------
    ArgumentError
        An argument has a value that cannot be used.
    ArgumentTypeError, ShapeError
        `x` holds no real numbers, or f does not return one.

    Notes
    -----
    Costs about ``8 n`` evaluations of f, more where f is not smooth, and five of `grad`.

    Both functions agree when they are wrong in the same way: a check finds no error in f.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> check = check_gradient(lambda x: x @ A @ x, lambda x: A @ x, np.array([1.0, 2.0]))
    >>> check.verdict
    'wrong'
    >>> [(entry.name, round(entry.ratio, 6)) for entry in check.wrong]
    [('x[1]', 0.5), ('x[0]', 0.5)]
    """
    if mode not in ("auto", "elementwise"):
        raise ArgumentError(f"mode must be 'auto' or 'elementwise', not {mode!r}")
    if budget is not None and budget < 1:
        raise ArgumentError(f"budget must be at least 1 evaluation, not {budget}")
    vector, tree = flatten(x)
    if not np.all(np.isfinite(vector)):
        bad = int(np.argmin(np.isfinite(vector)))
        raise ArgumentError(f"x must be finite: {tree.name(bad)} is {vector[bad]}")
    objective = Objective(f, tree, args, kwargs or {})
    gradient = Gradient(grad, tree, args, kwargs or {})
    found = preflight(objective, gradient, vector)
    numeric = np.full(tree.size, math.nan)
    error = np.full(tree.size, math.inf)
    entries: list[Entry] = []
    if math.isfinite(found.f0):
        prober = Prober(objective, vector, found.f0, Scales.of(tree, vector, found.analytic), found.noise)
        slopes = []
        for j in range(tree.size):
            if budget is not None and objective.calls >= budget:
                break
            slopes.append(prober.entry(j, float(found.analytic[j]), float(found.rounding[j])))
        numeric[: len(slopes)] = [s.value for s in slopes]
        scales = Scales.of(tree, vector, numeric)
        for j, slope in enumerate(slopes):
            position = tree.leaf_of(j)
            analytic = float(found.analytic[j])
            bar, z, verdict, reason = judge_entry(analytic, slope, float(found.rounding[j]), scales.gradient[position])
            error[j] = bar
            if verdict != AGREES or reason:
                name = tree.leaves[position].name
                entries.append(Entry(name, tree.index(j), analytic, slope.value, bar, z, verdict, reason))
        aftermath(objective, gradient, vector, found)
        for j in range(len(slopes), tree.size):
            name = tree.leaves[tree.leaf_of(j)].name
            reason = "the budget was used up"
            entries.append(
                Entry(name, tree.index(j), float(found.analytic[j]), math.nan, math.inf, math.nan, CANNOT_TELL, reason)
            )
    return _conclude(tree, objective, gradient, found, entries, numeric, error, seed)


def _conclude(
    tree: Tree,
    objective: Objective,
    gradient: Gradient,
    found: Findings,
    entries: list[Entry],
    numeric: np.ndarray[Any, np.dtype[np.float64]],
    error: np.ndarray[Any, np.dtype[np.float64]],
    seed: int,
) -> GradientCheck:
    unusable = {tree.leaves[k].name: problem for problem in found.problems for k in problem.leaves}
    parameters: list[Parameter] = []
    for leaf in tree.leaves:
        own = [entry for entry in entries if entry.parameter == leaf.name]
        part = slice(leaf.start, leaf.stop)
        row = summarise(leaf.name, leaf.shape, own, found.analytic[part], numeric[part], error[part])
        if leaf.name in unusable:
            row = Parameter(leaf.name, leaf.shape, WRONG, math.inf, row.detection_limit, unusable[leaf.name].kind, 0, 0)
        elif not math.isfinite(found.f0):
            row = Parameter(leaf.name, leaf.shape, CANNOT_TELL, math.nan, math.inf, "f is not finite", 0, 0)
        parameters.append(row)
    _note_kinks(entries, found)
    wrong = sorted((e for e in entries if e.verdict == WRONG and e.parameter not in unusable), key=lambda e: -e.z)
    unclear = [e for e in entries if e.verdict == CANNOT_TELL and e.parameter not in unusable]
    checked = int(np.isfinite(numeric).sum())
    verdict: Verdict
    if wrong or unusable:
        verdict = WRONG
        reason = f"{len(wrong)} of {tree.size} entries differ by more than their error bars allow"
        if not wrong:
            reason = next(problem.message for problem in found.problems if problem.leaves)
        if found.random:
            reason += ", though the gradient is random"
    elif unclear or checked < tree.size:
        verdict = CANNOT_TELL
        reason = f"nothing can be said about {len(unclear)} of {tree.size} entries: {_common(unclear)}"
        if not math.isfinite(found.f0):
            reason = f"f is {found.f0} at this point"
        elif len(unclear) == tree.size and all(e.reason.startswith("the gradient is zero") for e in unclear):
            reason = "the gradient is zero here as far as can be seen, which says nothing about its formula"
            found.notes.append(Note("uninformative", f"{reason}; check at a displaced point"))
    else:
        verdict = AGREES
        reason = f"all {tree.size} entries agree within their error bars"
    keep = np.isfinite(numeric) & np.isfinite(found.analytic)
    pair = (found.analytic[keep], numeric[keep])
    relative = {}
    if keep.any():
        relative = {
            "norm": float(relative_error(*pair)),
            "elementwise": float(np.max(relative_error(*pair, kind="elementwise"))),
            "sum": float(np.max(relative_error(*pair, kind="sum"))),
        }
    limits = [row.detection_limit for row in parameters if row.shape != () or tree.size]
    index = np.flatnonzero(~np.isnan(numeric))
    return GradientCheck(
        verdict=verdict,
        reason=reason,
        parameters=tuple(parameters),
        wrong=tuple(wrong),
        unclear=tuple(unclear),
        diagnoses=(),
        notes=tuple(found.notes),
        detection_limit=max(limits, default=math.inf),
        nfev=objective.calls,
        ngev=gradient.calls,
        mode="elementwise",
        seed=seed,
        size=tree.size,
        relative_errors=relative,
        columns={"index": index, "analytic": found.analytic[index], "numeric": numeric[index], "error": error[index]},
    )


def _common(entries: list[Entry]) -> str:
    reasons = [entry.reason for entry in entries]
    return max(set(reasons), key=lambda r: (reasons.count(r), r)) if reasons else ""


def _note_kinks(entries: list[Entry], found: Findings) -> None:
    kinks = [e for e in entries if e.reason == "kink" and e.verdict == AGREES]
    if kinks:
        names = ", ".join(e.name for e in kinks[:3]) + (" and others" if len(kinks) > 3 else "")
        found.note(
            "kink",
            f"f has a kink here in {len(kinks)} {'entry' if len(kinks) == 1 else 'entries'} ({names}); "
            "the gradient lies between the slopes of the two sides, so it is a valid subgradient",
        )
