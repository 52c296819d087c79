"""Error bars for fixed rules: a second step off the first one's grid, a look from one side, doubt where they differ.

A rule step that is far too large for f, or a corner of f, can give the same wrong slope at two steps. So the derivative
is taken three times: with the rule; with a step that is longer by an irrational factor; and one-sided, with the short
step of a rule of order 2 or less. Where the three
agree to many digits, their disagreement is the error bar. Where they do not, the adaptive method looks at that
component and says what the derivative is and what is wrong with f there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import FdcoreError
from fdcore.results import Finding, Result, Status
from fdcore.rules import rule_of
from fdcore.stencils import Stencil
from fdcore.values import along_axis

Array = NDArray[np.float64]

_ENDS = (("lower", -np.inf), ("upper", np.inf))
_LOOK = 80  # evaluations at most for a component that three derivatives leave in doubt

_AGREE = 1e-4  # relative disagreement that is put down to truncation
_AGREE_HIGHER = 0.1  # the same for higher derivatives, which nothing else can settle


def factor(accuracy: int) -> float:
    """Ratio of the second step to the first: irrational, and truncation grows about sixfold."""
    return float(6.0 ** (1.0 / max(accuracy, 2)))


def floors(rule: Stencil, noise: Array, step: Array) -> Array:
    """What errors of f's values do to a difference."""
    with np.errstate(divide="ignore", invalid="ignore"):
        floor: Array = rule.norm * noise / step**rule.order
    return floor


def judge(
    three: tuple[Array, Array, Array],
    rules: tuple[Stencil, Stencil],
    steps: tuple[Array, Array, Array],
    noise: Array,
    one_sided: NDArray[np.bool_],
    tiny: NDArray[np.bool_],
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Error bars from three derivatives, which entries are in doubt, and by how much f seems to bend at x, if it does.

    Parameters
    ----------
    three
        The derivative by the rule, with the longer step, and from one side.
    rules
        The rule and the one-sided one.
    steps, noise
        For each entry: the steps of the three, and the error of f's value.
    one_sided, tiny
        For each entry: the rule had to become one-sided (the domain ends there, where f is seldom smooth); x is not 0
        but smaller than the step.
    """
    value, wider, side = three
    rule, other = rules
    floor = floors(rule, noise, steps[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        both = 2.0 * (floor + floors(rule, noise, steps[1]))
        across = 2.0 * (floor + floors(other, noise, steps[2]))
        apart, aside = np.abs(value - wider), np.abs(value - side)
        size = np.maximum(np.abs(value), np.abs(wider))
        agree = size * (_AGREE if rule.order == 1 else _AGREE_HIGHER)
        doubt = ~((apart <= agree + both) & (aside <= agree + across))
        # A step much longer than x sees nothing of what f does on the scale of x.
        doubt |= tiny & (np.abs(value) <= 4.0 * floor)
        doubt |= (steps[0] == steps[1]) & (rule.norm > 0.0)  # bounds left no room for another step
        # Rules of high order are better than the one-sided one, whose step is shorter: what that says counts where it
        # says more than rounding.
        seen = aside if rule.accuracy <= 2 and rule.order == 1 else np.where(aside > 3.0 * across, aside, 0.0)
        error = (np.maximum(apart, seen) + floor) * np.where(one_sided, 3.0, 1.0)
        # Two steps agree and one side does not: half the gap between the slopes, at any step.
        kink = (apart <= 0.01 * aside) & (aside > 0.01 * size + 5.0 * across) & ~one_sided & (rule.order == 1)
    return error, doubt, np.where(kink, aside, 0.0)


def settle(
    entries: list[tuple[int, int]],
    slope: Callable[[int], tuple[Array, Array, NDArray[np.uint8], int]],
    value: Array,
    error: Array,
    found: NDArray[np.uint8],
) -> int:
    """Have the adaptive method settle doubtful entries, (row of f, component of x); fills the flat `error` and `found`.

    ``slope(j)`` differentiates along component j: value, bar and findings (m,), and evaluations. Entries come in the
    order of `value`, `error` and `found`, which have one number each.
    """
    spent = 0
    told: dict[int, Any] = {}
    for k, (i, j) in enumerate(entries):
        if j not in told:
            try:
                told[j] = slope(j)
                spent += told[j][3]
            except FdcoreError as failure:
                told[j] = None
                spent += failure.nfev
        if told[j] is None:
            error[k], found[k] = np.inf, Finding.UNRESOLVED
            continue
        better, bar, findings, _ = told[j]
        # f may err with x, which that bar comes close to and cannot know.
        off = abs(value[k] - better[i]) + 1.5 * bar[i]
        error[k], found[k] = (off if np.isfinite(off) else np.inf), findings[i]
    return spent


def with_bars(
    plan: Any,
    x: Array,
    run: Callable[..., tuple[Array, int]],
    f0: Array,
    nfev: int,
    order: int,
    args: tuple[Any, ...],
    jacobian: Callable[..., Any],
) -> Result:
    """Differentiate three times, by ``run(scale, step, status, plan)``, and judge the first; see above.

    `jacobian` makes the plans that settle doubts.

    The rounding floor is what errors of f's values can do: one unit in their last place, and what f makes of such
    errors of x, which is more where large terms cancel.
    """
    steps = [np.empty(x.size) for _ in range(3)]
    states = [np.zeros(x.size, dtype=np.uint8) for _ in range(3)]
    value, first = run(1.0, steps[0], states[0])
    scale = factor(plan.accuracy)
    wider, second = run(1.0 / scale if plan.bounded else scale, steps[1], states[1])
    nfev += first + second
    eps = 2.0 * max(plan.precision, 2.0**-53)
    groups = plan.groups
    if plan.name == "complex":
        error = 4.0 * eps * np.abs(value) + np.abs(value - wider)
        if groups is not None:
            value, error = groups.wrap(value), groups.wrap(error)
        return Result(value, error, steps[0], nfev, states[0], plan.method)
    side = plan.sibling("backward" if plan.name == "forward" else "forward", min(plan.accuracy, 2), order)
    third, more = run(1.0, steps[2], states[2], side)
    nfev += more
    noise = np.abs(f0)
    row: NDArray[Any]
    column: NDArray[Any]
    if groups is not None:
        row, column = groups.entries()
        noise = (noise + np.sqrt(np.bincount(row, (value * x[column]) ** 2, minlength=noise.size)))[row]
    elif plan.is_jacobian:
        row, column = np.indices(value.shape)[0], np.indices(value.shape)[1]
        noise = (noise + np.linalg.norm(value * x, axis=1))[:, None]
    else:
        row, column = np.zeros(x.size, dtype=np.intp), np.arange(x.size)  # of one value, f's only one
        pointwise = plan.is_pointwise
        if order == 1:
            noise = noise + (np.abs(value * x) if pointwise else np.linalg.norm(value * x))
    rules = (rule_of(plan.name, order, plan.accuracy), rule_of(side.name, order, side.accuracy))
    sided = np.isin(states[0], (Status.FORWARD, Status.BACKWARD))
    tiny = (x != 0.0) & (np.abs(x) < steps[0])
    error, doubt, bend = judge(
        (value, wider, third),
        rules,
        (steps[0][column], steps[1][column], steps[2][column]),
        eps * noise,
        (sided & (plan.name == "central"))[column],
        tiny[column],
    )
    found = np.zeros(value.shape, dtype=np.uint8)
    if groups is not None and groups.reverse is not None:
        doubt &= ~groups.reverse.exact
    flat = (value == 0.0) & (wider == 0.0) & (third == 0.0) & ~doubt
    if order == 1 and flat.any():
        doubt[flat], more = _moves(plan, x, args, f0, row[flat], column[flat])
        nfev += more
    if order == 1 and doubt.any():
        error[doubt], found[doubt], more = _settled(
            plan, x, args, f0, row[doubt], column[doubt], value[doubt], jacobian
        )
        nfev += more
        kink = (bend > 0.0) & doubt
        error[kink] = np.maximum(error[kink], bend[kink])
        found[kink & (found == 0)] = Finding.KINK
    elif doubt.any():
        # Nothing looks closer at higher derivatives.
        error[doubt], found[doubt] = np.inf, Finding.UNRESOLVED
    if groups is not None and groups.reverse is not None:
        error = np.where(groups.reverse.exact, 2.0 * eps * np.abs(value), error)  # no difference was taken
    if groups is not None:
        value, error = groups.wrap(value), groups.wrap(error)
    return Result(value, error, steps[0], nfev, states[0], plan.method, found)


def _moves(
    plan: Any, x: Array, args: tuple[Any, ...], f0: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], int]:
    """Whether values of f that do not change by a rule step change by a far longer one: f is a stair there.

    One evaluation for each component that has such values.
    """
    values = plan.values(args)
    lower, upper = plan.box(x.size)
    moved = np.zeros(rows.size, dtype=bool)
    for j in np.unique(columns):
        far = 1e-3 * max(1.0, abs(x[j]))
        t = min(x[j] + far, upper[j]) if upper[j] - x[j] >= x[j] - lower[j] else max(x[j] - far, lower[j])
        at = x[j : j + 1] if plan.is_pointwise else x
        seen = along_axis(values, at, 0 if plan.is_pointwise else j, forgiving=True)(np.array([t]))[0]
        here = columns == j
        before, after = (f0[j : j + 1], seen) if plan.is_pointwise else (f0, seen)
        moved[here] = (before != after)[rows[here]]
    return moved, values.nfev


def _settled(
    plan: Any,
    x: Array,
    args: tuple[Any, ...],
    f0: Array,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    value: Array,
    jacobian: Callable[..., Any],
) -> tuple[Array, NDArray[np.uint8], int]:
    """Have the adaptive method look at the components in doubt, one after another."""
    values = plan.values(args)
    given = plan.given or {}

    def slope(j: int) -> tuple[Array, Array, NDArray[np.uint8], int]:
        pointwise = plan.is_pointwise
        line = along_axis(values, x[j : j + 1] if pointwise else x, 0 if pointwise else j)
        at = x[j : j + 1]
        limits = [np.broadcast_to(given.get(name, end), x.shape)[j : j + 1] for name, end in _ENDS]
        one = jacobian(lambda t: line(t)[0], method="adaptive", budget=_LOOK, bounds=limits if plan.bounded else None)
        centre = f0[j : j + 1] if pointwise else f0
        one.learn(plan.precision)
        error, found = np.empty((1, centre.size)), np.zeros((1, centre.size), dtype=np.uint8)
        better, spent = one.evaluate(at, f0=centre, error=error, found=found)
        return better[:, 0], error[0], found[0], spent

    error, found = np.empty(value.size), np.zeros(value.size, dtype=np.uint8)
    inner = np.zeros_like(rows) if plan.is_pointwise else rows
    spent = settle(list(zip(inner.tolist(), columns.tolist(), strict=True)), slope, value, error, found)
    return error, found, spent
