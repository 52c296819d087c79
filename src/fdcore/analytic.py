"""Whether a function is analytic, so that the complex step means something: real differences tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import AnalyticityError

Array = NDArray[np.float64]


def check_analytic(
    f: Callable[[Any], Any],
    x: Array,
    jac: Array,
    scalar: bool,
    vectorized: bool,
    lower: Any,
    upper: Any,
) -> int:
    """Compare a derivative by the complex step with real differences along one direction.

    `jac` is (n,) or (m, n). Raises AnalyticityError where real differences agree with each other and not with the
    complex step; where they do not agree (a function too rough for them), nothing is known. Costs 4 evaluations, which
    are returned.
    """
    v = np.cos(np.arange(x.size) + 0.5)
    t = 6e-6 * max(1.0, float(np.max(np.abs(x), initial=0.0)))
    v[np.minimum(x - lower, upper - x) < t * np.abs(v)] = 0.0
    if not v.any():
        return 0  # no room to look
    # Not all functions take integers or lists to a power; and each call gets an array of its own.
    values = np.zeros((4, 1 if jac.ndim == 1 else jac.shape[0]))
    for k, scale in enumerate((1.0, -1.0, 0.25, -0.25)):
        point = x + scale * t * v
        at: Any = float(point[0]) if scalar else point[None] if vectorized else point
        value = np.reshape(f(at), -1)
        if np.iscomplexobj(value) and np.any(np.abs(value.imag) > 1e-12 * np.abs(value)):
            raise AnalyticityError(
                f"f has complex values at real x, {value[0]:.6g} for one; method='complex' reads the derivative off "
                "the imaginary part, which must be 0 there: use method='central' or 'adaptive'"
            )
        values[k] = np.real(value)
    wide, narrow = (values[0] - values[1]) / (2 * t), (values[2] - values[3]) / (0.5 * t)
    claimed = jac @ v
    size = np.abs(jac) @ np.abs(v)
    trust = 1e-3 * np.abs(narrow) + 1e3 * np.finfo(float).eps * np.max(np.abs(values), axis=0) / t
    with np.errstate(invalid="ignore"):
        wrong = (np.abs(wide - narrow) < trust) & (np.abs(claimed - narrow) > 10 * trust + 1e-3 * size)
    if np.any(wrong):
        i = int(np.argmax(wrong))
        raise AnalyticityError(
            f"f is not analytic, so the complex step is wrong: along one direction it gives "
            f"{np.reshape(claimed, -1)[i]:.6g} where real differences give {narrow[i]:.6g}. abs, .real, .imag "
            "and conj break analyticity; use method='central'"
        )
    return 4
