"""Results as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np


class Status(IntEnum):
    """What became of one component of x."""

    RULE = 0  #: evaluated at the method's own points
    SHRUNK = 1  #: with a smaller step: bounds, or NaN/inf at the first points
    FORWARD = 2  #: one-sided, at x and above, same order
    BACKWARD = 3  #: one-sided, at x and below, same order


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative and how it was obtained; what ``full_output=True`` returns.

    Attributes
    ----------
    value : ndarray, float or tree
        The derivative, as the call returns it without `full_output`.
    error : ndarray, float or tree
        Error bar of each entry of `value`, in its units: truncation, from how much the derivative changes with the
        step, plus the rounding floor of f's own precision. It costs as many evaluations again, plus f(x).
    step : ndarray, float or tree
        Step of each component of x, in its units.
    nfev : int
        Evaluations of f, all included.
    status : ndarray of int, or tree
        A `Status` for each component of x.
    method : str
        Method and order of accuracy.
    """

    value: Any
    error: Any
    step: Any
    nfev: int
    status: Any
    method: str

    def __repr__(self) -> str:
        with np.printoptions(threshold=10, precision=8):
            rows = (
                f"{name:>8}: {getattr(self, name)}" for name in ("value", "error", "step", "nfev", "status", "method")
            )
            return "\n".join(rows)
