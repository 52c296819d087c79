"""`check_gradient`: puts preflight, measurement and judgement together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.collate import Comparison, collate
from fdcore.check.elementwise import Prober
from fdcore.check.evaluate import DOUBLE, Gradient, Objective
from fdcore.check.judge import Scales
from fdcore.check.preflight import Findings, aftermath, preflight
from fdcore.check.projected import Probe, Projector, Search
from fdcore.check.rounding import Rounding
from fdcore.check.slope import COST
from fdcore.check.verdict import CANNOT_TELL, WRONG, GradientCheck, worst
from fdcore.errors import ArgumentError
from fdcore.progress import showing
from fdcore.tree import Tree, flatten

__all__ = ["check_gradient"]

Vector = NDArray[np.float64]

ELEMENTWISE = 10_000  # evaluations up to which every entry is compared where nothing is said
PROJECTED = 600


def check_gradient(
    f: Callable[..., Any],
    grad: Any,
    x: Any,
    *,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    only: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    sample: int | None = None,
    rtol: float = 0.0,
    points: int = 1,
    convention: str = "torch",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    progress: Any = None,
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
        `x` is ever changed. Complex arrays are taken as pairs of real numbers, called ``z[3].re`` and ``z[3].im``.
    mode : {"auto", "elementwise", "projected"}
        ``"elementwise"`` compares every entry by itself. ``"projected"`` compares derivatives along random directions,
        and halves what fails down to single entries. ``"auto"`` is elementwise where the budget allows ten evaluations
        an entry.
    budget : int, optional
        Evaluations of f that may be spent; what is left over when it is used up is "cannot tell". Default: 600
        projected, as many as it takes elementwise.
    seed : int
        Of whatever is random in the check; the outcome is a function of it.
    only, exclude : str or sequence of str
        Names of the arrays to check, or not to check, as the report has them; ``*`` and ``?`` stand for any text.
    sample : int, optional
        Check no more than this number of entries of each array, chosen at random (elementwise).
    rtol : float
        Relative differences that shall not count as wrong; a note says where there are such. The default is none.
    points : int
        Check at this number of points: at `x`, and at random ones nearby. The outcome is the worst of all; each note
        on its point says which one it was.
    convention : {"torch", "jax", "wirtinger"}
        What `grad` returns for complex parameters z = a + i b: df/da + i df/db (twice the derivative by conj(z), the
        direction of steepest ascent), its conjugate, or half of it (the derivative by conj(z)).
    args, kwargs
        Further arguments of both functions.
    progress : True or callable, optional
        Show how far it has come, as in `gradient`. The total is an estimate entry by entry, and the budget along
        directions, where few checks use all of it.

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
    Elementwise, about ``8 n`` evaluations of f, more where f is not smooth. Projected, 20 to 40 where the gradient is
    right, whatever n is, and about ``8 log2(n)`` more for each wrong entry; memory for four vectors beside those that
    the two functions make. The gradient is called five times, eleven
    where it is in single precision and wrong, or wrong by so little that it may be rounding.

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
    if mode not in ("auto", "elementwise", "projected"):
        raise ArgumentError(f"mode must be 'auto', 'elementwise' or 'projected', not {mode!r}")
    if budget is not None and budget < 1:
        raise ArgumentError(f"budget must be at least 1 evaluation, not {budget}")
    if not 0.0 <= rtol < 1.0:
        raise ArgumentError(f"rtol must be between 0 and 1, not {rtol}")
    if convention not in ("torch", "jax", "wirtinger"):
        raise ArgumentError(f"convention must be 'torch', 'jax' or 'wirtinger', not {convention!r}")
    vector, tree = flatten(x, complex_leaves=True)
    if points != 1:
        return _several(
            f,
            grad,
            vector,
            tree,
            points,
            seed,
            {
                "mode": mode,
                "budget": budget,
                "seed": seed,
                "only": only,
                "exclude": exclude,
                "sample": sample,
                "rtol": rtol,
                "convention": convention,
                "args": args,
                "kwargs": kwargs,
                "progress": progress,
            },
        )
    if not np.all(np.isfinite(vector)):
        bad = int(np.argmin(np.isfinite(vector)))
        raise ArgumentError(f"x must be finite: {tree.name(bad)} is {vector[bad]}")
    chosen = _chosen(tree, only, exclude, sample, seed)
    count = tree.size if chosen is None else int(chosen.sum())
    if mode == "auto":
        affordable = 10 * count <= (budget or ELEMENTWISE)
        mode = "elementwise" if affordable or sample is not None else "projected"
    objective = Objective(f, tree, args, kwargs or {})
    gradient = Gradient(grad, tree, args, kwargs or {}, convention)
    comparison = Comparison(mode, rtol, chosen)
    with showing(progress, "check", 8 * count if mode == "elementwise" else budget or PROJECTED) as meter:
        objective.meter = meter
        found = preflight(objective, gradient, vector)
        if math.isfinite(found.f0):
            scales = Scales.of(tree, vector, found.analytic)
            found.sizes = scales.x
            prober = Prober(objective, vector, found.f0, scales, found.noise)
            if mode == "elementwise":
                _every_entry(prober, found, chosen, budget or 2**62, comparison)
            else:
                projector = Projector(prober, found.analytic, found.rounding, chosen, seed, rtol)
                with np.errstate(all="ignore"):
                    _directions(projector, budget or PROJECTED, comparison, gradient)
            aftermath(objective, gradient, vector, found)
        check = collate(tree, vector, objective, gradient, found, comparison, seed)
        if mode == "elementwise" and _by_a_hair(check, found.rounding) and found.rounding.roam(gradient, vector):
            check = collate(tree, vector, objective, gradient, found, comparison, seed)
        if comparison.search is not None and _look_closer(tree, comparison, comparison.search, check):
            check = collate(tree, vector, objective, gradient, found, comparison, seed)
    return check


def _several(
    f: Callable[..., Any], grad: Any, x: Vector, tree: Tree, points: int, seed: int, options: dict[str, Any]
) -> GradientCheck:
    """Check at x and at random points around it."""
    if points < 1 or not callable(grad):
        raise ArgumentError("points must be at least 1, and more than one needs a gradient that is a function")
    rng = np.random.default_rng([seed, 11])
    scales = Scales.of(tree, x, np.zeros(x.size)).x
    checks = []
    for number in range(points):
        point = x.copy()
        if number:
            for leaf, scale in zip(tree.leaves, scales, strict=True):
                point[leaf.start : leaf.stop] += 0.2 * scale * rng.standard_normal(leaf.size)
        check = check_gradient(f, grad, tree.unflatten(point, own_dtype=True), **options)
        if number:
            check = replace(
                check, notes=tuple(replace(n, message=f"at point {number}: {n.message}") for n in check.notes)
            )
        checks.append(check)
    return worst(checks)


def _chosen(
    tree: Tree, only: str | Sequence[str], exclude: str | Sequence[str], sample: int | None, seed: int
) -> NDArray[np.bool_] | None:
    """Which entries to check, or None for all."""
    only = [only] if isinstance(only, str) else list(only)
    exclude = [exclude] if isinstance(exclude, str) else list(exclude)
    if sample is not None and sample < 1:
        raise ArgumentError(f"sample must be at least 1 entry, not {sample}")
    names = [leaf.name for leaf in tree.leaves]
    for pattern in (*only, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ArgumentError(f"no parameter is called {pattern!r}; there are {', '.join(names[:12])}")
    if not only and not exclude and sample is None:
        return None
    chosen = np.zeros(tree.size, dtype=bool)
    rng = np.random.default_rng(seed)
    for leaf in tree.leaves:
        if (only and not any(fnmatchcase(leaf.name, p) for p in only)) or any(
            fnmatchcase(leaf.name, p) for p in exclude
        ):
            continue
        if sample is None or sample >= leaf.size:
            chosen[leaf.start : leaf.stop] = True
        else:
            chosen[leaf.start + rng.choice(leaf.size, size=sample, replace=False)] = True
    return chosen


def _every_entry(
    prober: Prober, found: Findings, chosen: NDArray[np.bool_] | None, budget: int, comparison: Comparison
) -> None:
    indices = range(found.analytic.size) if chosen is None else np.flatnonzero(chosen).tolist()
    for j in indices:
        if prober.f.calls + COST >= budget:
            comparison.left_over = True
            break
        comparison.slopes[j] = prober.entry(j, float(found.analytic[j]), found.rounding.entry(j))
        if prober.f.meter is not None:
            prober.f.meter.total = prober.f.calls * len(indices) // len(comparison.slopes)


def _look_closer(tree: Tree, comparison: Comparison, search: Search, check: GradientCheck) -> bool:
    """Spend what is left of the budget where much is wrong and no formula explains it, and on unclear arrays.

    Of the latter it has to be every entry: those at a kink then do not hide the others.
    """
    more = False
    for leaf, row in zip(tree.leaves, check.parameters, strict=True):
        affordable = search.left() // (COST + 2)
        if row.verdict == CANNOT_TELL:
            count = leaf.size if leaf.size <= affordable else 0
        elif leaf.name in comparison.explained or not any(leaf.start <= p.start < leaf.stop for p in search.dense):
            count = 0
        else:
            count = leaf.size if leaf.size <= affordable else min(32, affordable)
        if count:
            more |= search.more(leaf.start, leaf.stop, count)
    return more


HAIR = 1e-3  # relative differences that may be the rounding of an unlucky gradient


def _by_a_hair(check: GradientCheck, rounding: Rounding) -> bool:
    """Whether something wrong may be rounding, or so imprecise that rounding hides what it is."""
    if check.verdict != WRONG or not check.wrong:
        return False
    tops: dict[str, float] = {}
    for entry in check.wrong:
        tops[entry.parameter] = max(tops.get(entry.parameter, 0.0), abs(entry.numeric))
    small = any(abs(e.analytic - e.numeric) <= HAIR * tops[e.parameter] for e in check.wrong)
    return small or max(rounding.units) > DOUBLE


def _directions(projector: Projector, budget: int, comparison: Comparison, gradient: Gradient) -> None:
    """Everything along two directions; what fails is taken apart, and what was hardly seen measured by itself."""

    def measure(number: int, start: int, stop: int) -> Probe:
        probe = projector.measure(number, start, stop)
        if not probe.wrong or abs(probe.analytic - probe.numeric) > HAIR * probe.typical:
            return probe
        roamed = projector.rounding.roam(gradient, projector.prober.x)
        return projector.measure(number, start, stop, probe.step) if roamed else probe

    size = projector.tree.size
    search = Search(projector, budget, entries=comparison.slopes)
    comparison.search = search
    for number in (0, 1):
        if search.left() < 2 * COST:
            comparison.left_over = True
            return
        probe = measure(number, 0, size)
        if probe.wrong:
            search.run(probe)
            break
        comparison.probes.append(probe)
    for k, leaf in enumerate(projector.tree.leaves):
        if leaf.size and comparison.power(projector, k) > 0.02 and not comparison.blamed(leaf):
            if search.left() < 6 * COST:
                comparison.left_over = True
                break
            probe = measure(2, leaf.start, leaf.stop)
            if probe.wrong:
                search.run(probe)
            else:
                comparison.probes.append(probe)
    # Entries that cannot be moved along with others: NaN, and arrays that the gradient has not.
    bad = [
        leaf.start + np.flatnonzero(~np.isfinite(projector.analytic[leaf.start : leaf.stop]))
        for leaf in projector.tree.leaves
    ]
    for j in (int(j) for part in bad for j in part[:: max(1, part.size // 4)][:4]):
        if search.left() > 4 * COST and (projector.use is None or projector.use[j]):
            search.look(j)
