"""What a caller may say about steps and bounds, checked and put into the form that the kernel takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fdcore.errors import ArgumentError, ArgumentTypeError, BoundsError, ShapeError, StepError

Settings = Mapping[str, Any]


def _numbers(value: Any, name: str) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)  # a copy: a plan must not change with the caller's arrays
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name} must be a number or one for each component of x, not {value!r}") from None
    if array.ndim > 1:
        raise ShapeError(f"{name} must be a number or a vector, not of shape {array.shape}")
    return array


def _positive(value: Any, name: str) -> np.ndarray:
    array = _numbers(value, name)
    bad = np.flatnonzero(~(np.atleast_1d(array) > 0) | ~np.isfinite(np.atleast_1d(array)))
    if bad.size:
        where = f"{name}[{bad[0]}]" if array.ndim else name
        raise StepError(
            f"{where} is {float(np.atleast_1d(array)[bad[0]])}; a step must be positive and finite "
            "(for the other direction use method='backward')"
        )
    return array


def settings(
    step: ArrayLike | None = None,
    rel_step: ArrayLike | None = None,
    abs_step: ArrayLike | None = None,
    bounds: Any = None,
) -> dict[str, np.ndarray] | None:
    """Check steps and bounds.

    Parameters
    ----------
    step, abs_step : float or (n,) array_like, optional
        Absolute step; two names for the same thing.
    rel_step : float or (n,) array_like, optional
        Step relative to abs(x); where x is 0, or so small that the step vanishes, the rule step is used.
    bounds : (lower, upper) or object with .lb and .ub, optional
        Each a number or (n,) array_like.

    Returns
    -------
    dict or None
        Arrays under the kernel's names (rel_step, abs_step, lower, upper); None if nothing was given.
    """
    if step is None and rel_step is None and abs_step is None and bounds is None:
        return None
    given = {"step": step, "rel_step": rel_step, "abs_step": abs_step}
    stated = [name for name, value in given.items() if value is not None]
    if len(stated) > 1:
        raise ArgumentError(f"give one of step, rel_step and abs_step, not {' and '.join(stated)}")
    result: dict[str, np.ndarray] = {}
    if stated:
        (name,) = stated
        result["rel_step" if name == "rel_step" else "abs_step"] = _positive(given[name], name)
    if bounds is not None:
        lower, upper = _bounds(bounds)
        result["lower"], result["upper"] = lower, upper
    return result


def sides(bounds: Any) -> Any:
    """Take lower and upper bounds out of a scipy.optimize.Bounds, which has made arrays of one from numbers."""
    if not (hasattr(bounds, "lb") and hasattr(bounds, "ub")):
        return bounds
    return tuple(side[0] if np.shape(side) == (1,) else side for side in (bounds.lb, bounds.ub))


def _bounds(bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    pair = sides(bounds)
    if pair is bounds:
        try:
            pair = tuple(bounds)
        except TypeError:
            pair = ()
        if len(pair) != 2:
            raise ArgumentError(
                f"bounds must be a pair (lower, upper) or have .lb and .ub, not {bounds!r}; "
                "from pairs for each component make (lower, upper) by zip(*bounds)"
            )
    lower, upper = (
        _numbers(default if side is None else side, "bounds")
        for side, default in zip(pair, (-np.inf, np.inf), strict=True)
    )
    if np.isnan(lower).any() or np.isnan(upper).any():
        raise BoundsError("bounds contain NaN; use -inf and inf where a component has none")
    if lower.ndim and upper.ndim and lower.shape != upper.shape:
        raise ShapeError(f"the lower bounds have shape {lower.shape} and the upper ones {upper.shape}")
    low, high = np.broadcast_arrays(np.atleast_1d(lower), np.atleast_1d(upper))
    bad = np.flatnonzero(low > high)
    if bad.size:
        j = bad[0]
        raise BoundsError(f"the lower bound of x[{j}], {low[j]}, is above its upper bound, {high[j]}; swap them?")
    return lower, upper
