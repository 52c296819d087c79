"""The Taylor remainder test, with its two plateaus told apart.

|f(x + h d) - f(x) - h <g, d>| falls like h^2 if g is right and like h if it is not. For large h higher terms matter,
for small h there is nothing left but the rounding of f; only what lies between can be a slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import DOUBLE, precision
from fdcore.errors import ArgumentError
from fdcore.tree import flatten

__all__ = ["TaylorTest", "taylor_test"]


@dataclass(frozen=True)
class TaylorTest:
    """Outcome of `taylor_test`.

    Attributes
    ----------
    h, remainder, floor : (k,) array
        Steps, largest first; remainders; what rounding of f alone can make of them.
    rate : float
        Slope of log remainder against log h where the remainder is above the floor; NaN if that is nowhere. Infinite
        where the remainder is at the floor throughout.
    expected : int
        The rate of a correct derivative: 2 with the gradient, 3 with the Hessian too, 1 without either.
    verdict : {"agrees", "wrong", "cannot tell"}
    message : str
    """

    h: NDArray[np.float64]
    remainder: NDArray[np.float64]
    floor: NDArray[np.float64]
    rate: float
    expected: int
    verdict: str
    message: str

    def __bool__(self) -> bool:
        return self.verdict == "agrees"

    def __str__(self) -> str:
        rows = [f"{self.verdict}: {self.message}", f"{'h':>10s}{'remainder':>12s}{'rounding':>12s}{'slope':>8s}"]
        for k, (h, r, e) in enumerate(zip(self.h, self.remainder, self.floor, strict=True)):
            slope = _slope(self.h[k - 1 : k + 1], self.remainder[k - 1 : k + 1]) if k else math.nan
            shown = "" if math.isnan(slope) else f"{slope:8.2f}"
            rows.append(f"{h:10.2e}{r:12.2e}{e:12.1e}{shown}" + ("  rounding only" if r <= e else ""))
        return "\n".join(rows[:25])


def taylor_test(
    f: Callable[[Any], float],
    grad: Any,
    x: Any,
    direction: Any = None,
    *,
    hessian_product: Callable[..., Any] | None = None,
    h: Sequence[float] | None = None,
    seed: int = 0,
) -> TaylorTest:
    """Watch the remainder of a Taylor polynomial shrink with the step.

    Parameters
    ----------
    f : callable
        Returns one number.
    grad : callable, array, tree or None
        The gradient; None tests f alone, which should give rate 1.
    x : array, number or tree of arrays
    direction : like `x`, optional
        Random by default, of the size of `x`.
    hessian_product : callable, optional
        ``hessian_product(x, direction)``; the remainder then includes the second-order term.
    h : sequence of float, optional
        Steps; by default 24 from 1/4 on, each a third of the one before.
    seed : int
        Of the random direction.

    Returns
    -------
    TaylorTest

    Notes
    -----
    Costs one evaluation for each step and one more.

    Examples
    --------
    >>> import numpy as np
    >>> test = taylor_test(lambda x: np.sum(np.exp(x)), lambda x: np.exp(x), np.array([0.1, 0.2]))
    >>> test.verdict, round(test.rate, 1)
    ('agrees', 2.0)
    """
    vector, tree = flatten(x)
    if direction is None:
        rng = np.random.default_rng(seed)
        scale = np.where(vector == 0.0, 1.0, np.abs(vector))
        along = scale * (0.5 + rng.random(vector.size)) * np.where(rng.random(vector.size) < 0.5, -1.0, 1.0)
    else:
        along, problems = tree.collect(direction)
        if problems:
            raise ArgumentError(f"the direction does not fit x: {problems[0].message}")
    steps = 0.25 * 3.0 ** -np.arange(24.0) if h is None else np.sort(np.asarray(h, dtype=float))[::-1]
    if steps.size < 3 or not np.all(np.isfinite(steps)) or steps[-1] <= 0.0:
        raise ArgumentError("h needs at least three positive steps")
    start = f(tree.unflatten(vector.copy()))
    unit = max(precision(start), DOUBLE)
    f0 = float(start)
    linear = curved = 0.0
    if grad is not None:
        value = grad(tree.unflatten(vector.copy())) if callable(grad) else grad
        linear = float(np.dot(tree.collect(value)[0], along))
    if hessian_product is not None:
        product = hessian_product(tree.unflatten(vector.copy()), tree.unflatten(along.copy()))
        curved = float(np.dot(tree.collect(product)[0], along))
    expected = 1 if grad is None else 2 if hessian_product is None else 3
    remainder, floor = np.empty(steps.size), np.empty(steps.size)
    for k, t in enumerate(steps):
        with np.errstate(all="ignore"):
            value = float(f(tree.unflatten(vector + t * along)))
        remainder[k] = abs(value - f0 - t * linear - 0.5 * t * t * curved)
        size = max(abs(value), abs(f0), abs(t * linear), abs(t * t * curved))
        floor[k] = 8.0 * unit * size + 4.0 * DOUBLE * abs(linear) + 1e-300
    return _judge(steps, remainder, floor, expected, linear)


def _judge(
    h: NDArray[np.float64], remainder: NDArray[np.float64], floor: NDArray[np.float64], expected: int, linear: float
) -> TaylorTest:
    def outcome(rate: float, verdict: str, message: str) -> TaylorTest:
        return TaylorTest(h, remainder, floor, rate, expected, verdict, message)

    seen = np.isfinite(remainder) & (remainder > 20.0 * floor)
    if np.isfinite(remainder).all() and not seen.any():
        return outcome(math.inf, "agrees", "the Taylor polynomial is exact up to rounding at every step")
    where = np.flatnonzero(seen)
    # The asymptotic end: the smallest steps that still stand out of the rounding, as far as the slope stays the same.
    last = where[-4:] if where.size >= 4 else where
    if last.size < 3:
        return outcome(math.nan, "cannot tell", "the remainder stands out of the rounding of f at too few steps")
    rate = _slope(h[last], remainder[last])
    if rate >= expected - 0.25:
        more = "" if rate <= expected + 0.25 else " (higher terms vanish along this direction)"
        return outcome(rate, "agrees", f"the remainder falls like h^{rate:.2f}, as it should (h^{expected}){more}")
    if expected > 1 and abs(rate - (expected - 1)) < 0.25:
        off = remainder[last[-1]] / (h[last[-1]] * abs(linear)) if linear and expected == 2 else math.nan
        part = f": the directional derivative is off by {off:.2g} of itself" if math.isfinite(off) else ""
        return outcome(rate, "wrong", f"the remainder falls like h^{rate:.2f} and not like h^{expected}{part}")
    return outcome(
        rate, "cannot tell", f"the remainder falls like h^{rate:.2f}, which is neither right nor one order less"
    )


def _slope(h: NDArray[np.float64], remainder: NDArray[np.float64]) -> float:
    if np.any(remainder <= 0.0) or not np.all(np.isfinite(remainder)):
        return math.nan
    return float(np.polyfit(np.log(h), np.log(remainder), 1)[0])
