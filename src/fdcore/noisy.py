"""Fixed rules for noisy functions: steps, and the order, for the error of f's values and a number of evaluations.

A step that balances truncation against the noise is long, so that nobody should trust it blindly: the values of a rule
contain those of the rule two orders lower, and where the two disagree by more than the noise explains, the step was too
long for f, and is made shorter as long as the budget lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import NonFiniteError
from fdcore.results import Finding, Status
from fdcore.stencils import Stencil, central, one_sided, stencil

Array = NDArray[np.float64]

_TRIES = 6
USUAL_BUDGET = 6  # evaluations of one component where the caller says neither an order nor a budget


@dataclass
class Attempt:
    """What one step came to, for all values of f: (m,) each."""

    value: Array
    error: Array
    step: float
    status: Status
    found: NDArray[np.uint8]
    truncated: Array  # how far the lower order is off by more than noise explains; <= 1 where noise explains it


@dataclass
class Noisy:
    """How to differentiate along one component.

    Attributes
    ----------
    method : str
        "central", "forward" or "backward"; the latter two stay on their side.
    order : int
        Of the derivative.
    accuracy : int or None
        Order of the truncation error; None: the best that the budget allows.
    budget : int
        Evaluations for each component, f(x) aside.
    strict : bool
        Never more; else as many again, a few times, where the first step turns out far too long.
    """

    method: str
    order: int
    accuracy: int | None
    budget: int
    strict: bool

    def rule(self, side: int, noise: float) -> Stencil:
        """Give the rule with the smallest error to expect at values of size one, off by `noise`, within the budget."""
        if self.accuracy is not None:
            accuracies = [self.accuracy]
        else:
            accuracies = list(range(1, 9)) if side else [2, 4, 6, 8]
        rules = [one_sided(self.order, p, side) if side else central(self.order, p) for p in accuracies]
        affordable = [one for one in rules if _evaluations(one) <= self.budget] or rules[:1]
        return min(affordable, key=lambda one: _expected(one, noise))


def _evaluations(rule: Stencil) -> int:
    """Evaluations besides f(x)."""
    return sum(1 for k in rule.offsets if k)


def _expected(rule: Stencil, noise: float) -> float:
    h = step_for(rule, noise)
    return rule.norm * noise / h**rule.order + abs(rule.truncation) * h**rule.accuracy


def step_for(rule: Stencil, noise: float) -> float:
    """Step for values of size one, off by `noise`: ``(K noise) ** (1 / (d + p))``.

    It stays below where derivatives of size one stop to say how far the Taylor series reaches.
    """
    reach = max(abs(float(k)) for k in rule.offsets)
    return min(rule.step(noise), 1.5 / reach)


def _room(x: float, lower: float, upper: float) -> tuple[float, float]:
    return x - lower, upper - x


def differentiate(
    how: Noisy,
    line: Callable[[Array], Array],
    x: float,
    f0: Array,
    noise: Array,
    lower: float = -np.inf,
    upper: float = np.inf,
    step: float | None = None,
    sure: bool = False,
) -> tuple[Attempt, int]:
    """Differentiate along one component.

    Parameters
    ----------
    line : callable
        Places t (k,) of the component to values (k, m); NaN where f has none.
    x, f0, noise
        The component, f there (m,), and the absolute error of each value (m,).
    lower, upper, step
        Bounds, and the step where the caller says it.
    sure
        Look at two more places, off the grid of the rule, for an error bar that no oscillation deceives.

    Returns
    -------
    Attempt, evaluations
    """
    below, above = x - lower, upper - x
    asked = side = {"forward": 1, "backward": -1}.get(how.method, 0)
    scale, share = max(1.0, abs(x)), relative(f0, noise)
    rule = how.rule(side, share)
    h = step if step is not None else scale * step_for(rule, share)
    best: Attempt | None = None
    spent = retreats = tries = 0
    moved = False
    while True:
        side, h, fitted = _fit(rule, side, h, below, above)
        moved |= fitted
        if fitted:
            rule = how.rule(side, share)
        places = np.array([float(k) for k in rule.offsets if k]) * h + x
        places = np.append(places, _probes(rule, side) * h + x) if sure else places
        values = line(np.clip(places, lower, upper))
        spent += len(places)
        bad: NDArray[np.bool_] = ~np.asarray(np.isfinite(values).all(axis=1))
        if bad.any():
            if best is not None:
                break
            retreats += 1
            if retreats > 6:
                raise NonFiniteError(
                    f"f is NaN or inf near x = {x!r}, however small the steps tried (the last {h:.3g}); "
                    "is x at the edge of a domain? Give `bounds`"
                )
            up, down = np.any(bad & (places > x)), np.any(bad & (places < x))
            if retreats == 1 and not (up and down):
                side = -1 if up else 1
                rule = how.rule(side, share)
                h = h if step is not None else scale * step_for(rule, share)
            else:
                h /= 16.0
            continue
        attempt = _combine(rule, f0, values, h, noise, side, retreats > 0 or moved, scale)
        best = attempt if best is None else _better(best, attempt)
        worst = float(np.max(attempt.truncated, initial=0.0))
        tries += 1
        most = how.budget if how.strict else len(places) * (_TRIES if worst > 10.0 else 1)
        if worst <= 1.0 or step is not None or spent + len(places) > most:
            break
        # A power of h more than noise explains.
        power = rule.accuracy + how.order - (0 if sure else 1 if side else 2)
        # Far off says nothing of powers: the step is longer than what f does.
        h *= max(1.0 / 16.0, min(0.6, float(worst ** (-1.0 / max(power, 1)))) / (1.0 if tries == 1 else 2.0))
    if side != asked:
        best.status = Status.FORWARD if side > 0 else Status.BACKWARD
    return best, spent


def relative(f0: Array, noise: Array) -> float:
    """Noise relative to f, the median over its values; f counts as of size one where it is lost in noise."""
    size = np.abs(f0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(size > 100.0 * noise, noise / size, noise)
    told = ratio[noise > 0.0]
    return float(np.median(told)) if told.size else 2.0**-53


def _fit(rule: Stencil, side: int, h: float, below: float, above: float) -> tuple[int, float, bool]:
    """Keep within the bounds: shorter, or on the side with more room."""
    up = max(0.0, *(float(k) for k in rule.offsets))
    down = max(0.0, *(-float(k) for k in rule.offsets))
    if up * h <= above and down * h <= below:
        return side, h, False
    if side == 0:
        room = min(below, above)
        if room * 8.0 >= up * h:
            return 0, room / up, True
        side = 1 if above >= below else -1
        return side, min(h, max(below, above) / (up + down)), True
    room = above if side > 0 else below
    if room * 8.0 < (up + down) * h and max(above, below) > room:
        side, room = -side, max(above, below)
    return side, min(h, room / (up + down)), True


def _combine(
    rule: Stencil, f0: Array, values: Array, h: float, noise: Array, side: int, shrunk: bool, scale: float
) -> Attempt:
    offsets = [k for k in rule.offsets if k]
    values, probed = values[: len(offsets)], values[len(offsets) :]
    with_centre = dict(zip(offsets, values, strict=True))
    with_centre[type(rule.offsets[0])(0)] = f0

    def apply(one: Stencil) -> Array:
        total = np.zeros_like(f0)
        # Differences from f(x) lose nothing, and weights add up to zero.
        for k, w in zip(one.offsets, one.weights, strict=True):
            total = total + float(w) * (with_centre[k] - f0)
        return total / h**one.order

    value = apply(rule)
    floor = rule.norm * noise / h**rule.order
    smaller = _smaller(rule, side) if not len(probed) else None
    found = np.zeros(f0.shape, dtype=np.uint8)
    if len(probed):
        truncation, truncated, rough = _off_grid(rule, with_centre, f0, probed, _probes(rule, side), noise)
        # One side is mostly looked at where the other is not there: singularities are near.
        caution = 12.0 if side else 2.0
        error = np.where(rough, np.inf, caution * truncation / h**rule.order + floor)
        found[rough] |= np.uint8(Finding.UNRESOLVED)
    elif smaller is None:
        # Balanced: truncation is this share of the rounding where f's derivatives are of its own size.
        error = (2.0 + 2.0 * rule.order / rule.accuracy) * floor
        truncated = np.zeros_like(f0)
    else:
        apart = np.abs(value - apply(smaller))
        # The lower rule has more truncation error by nature: this much where f's derivatives are of its own size.
        size = np.where(np.abs(f0) > 100.0 * noise, np.abs(f0), 1.0)
        natural = 10.0 * abs(smaller.truncation) * (h / scale) ** smaller.accuracy * size / scale**rule.order
        allowed = 2.0 * (rule.norm + smaller.norm) * noise / h**rule.order + natural
        error = apart + floor
        with np.errstate(divide="ignore", invalid="ignore"):
            truncated = np.where(apart > allowed, apart / allowed, 0.0)
    if side == 0 and rule.order == 1:
        gap = _kink(with_centre, f0, offsets, noise) / h
        found[gap > 0.0] |= np.uint8(Finding.KINK)
        error = np.maximum(error, gap)
    status = Status.SHRUNK if shrunk else Status.RULE
    return Attempt(value, error, h, status, found, truncated)


def _probes(rule: Stencil, side: int) -> Array:
    """Two places between the nodes, in steps, at no rational distance from them."""
    reach = max(abs(float(k)) for k in rule.offsets)
    sides = (side or 1, side or -1)
    return np.array([sides[0] * (reach - 0.5857864376269049), sides[1] * (reach - 0.3819660112501051)])


def _off_grid(
    rule: Stencil, values: dict[Any, Array], f0: Array, probed: Array, probes: Array, noise: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Error of a derivative, times ``h**order``, by how badly the polynomial through all nodes predicts the probes.

    Both are the next term of one expansion: q(v) times the product of v's distances from the nodes, q being smooth.
    Second, how much worse the prediction is than noise explains; third, whether it fails: f is no polynomial there.
    """
    nodes = np.array(sorted({0.0, *(float(k) for k in rule.offsets)}))
    table = np.array([f0 if k == 0.0 else next(values[o] for o in values if float(o) == k) for k in nodes]) - f0
    whole = np.poly(nodes)
    moment = abs(np.polyval(np.polyder(whole, rule.order), 0.0))
    if moment < 1e-9 * np.max(np.abs(whole)):  # by symmetry; the term after it, then
        moment = abs(np.polyval(np.polyder(np.polymul(whole, [1.0, 0.0]), rule.order), 0.0))
    truncation, truncated = np.zeros_like(f0), np.zeros_like(f0)
    rough = np.zeros(f0.shape, dtype=bool)
    extent = np.max(table, axis=0) - np.min(table, axis=0)
    for v, seen in zip(probes, probed, strict=True):
        basis = np.array([np.prod([(v - a) / (k - a) for a in nodes if a != k]) for k in nodes])
        miss = np.abs(basis @ table - (seen - f0))
        share = moment / abs(np.prod(v - nodes))
        truncation = np.maximum(truncation, share * miss)
        with np.errstate(divide="ignore", invalid="ignore"):
            allowed = 2.0 * (1.0 + np.sum(np.abs(basis))) * noise
            truncated = np.maximum(truncated, np.where(miss > allowed, miss / allowed, 0.0))
        rough |= (miss > allowed) & (miss > (0.05 if probes[0] * probes[1] < 0.0 else 0.005) * extent)
    return truncation, truncated, rough


def _smaller(rule: Stencil, side: int) -> Stencil | None:
    """Make the rule of the same derivative on the inner points, which needs nothing more; None where there is none."""
    inner = [k for k in rule.offsets if abs(k) < max(abs(o) for o in rule.offsets)]
    if len(inner) <= rule.order:
        return None
    return stencil(inner, rule.order)


def _kink(values: dict[Any, Array], f0: Array, offsets: list[Any], noise: Array) -> Array:
    """Half the gap between one-sided slopes, times the step, where even parts grow linearly; else 0."""
    reach = int(max(offsets))
    if reach < 2:
        return np.zeros_like(f0)
    even = np.array([values[k] + values[-k] - 2.0 * f0 for k in sorted(o for o in offsets if o > 0)])
    lines = even / np.arange(1, reach + 1)[:, None]
    straight = np.abs(lines - lines[0]).max(axis=0) <= 0.05 * np.abs(lines[0]) + 4.0 * noise
    gap: Array = np.where(straight & (np.abs(lines[0]) > 40.0 * noise), np.abs(lines[0]) / 2.0, 0.0)
    return gap


def _better(one: Attempt, other: Attempt) -> Attempt:
    """Keep, for each value, what has the smaller bar."""
    take = other.error < one.error
    return Attempt(
        np.where(take, other.value, one.value),
        np.where(take, other.error, one.error),
        other.step if take.any() else one.step,
        other.status if take.any() else one.status,
        np.where(take, other.found, one.found),
        np.minimum(one.truncated, other.truncated),
    )
