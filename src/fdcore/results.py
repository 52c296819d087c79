"""Results as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np


class Status(IntEnum):
    """What became of one component of x."""

    RULE = 0  #: evaluated at the method's own points
    SHRUNK = 1  #: with a smaller step: bounds, or NaN/inf at the first points
    FORWARD = 2  #: one-sided, at x and above, same order
    BACKWARD = 3  #: one-sided, at x and below, same order


class Finding(IntFlag):
    """What was found out about f at one entry of its derivative; they combine.

    Attributes
    ----------
    KINK
        One-sided slopes disagree however small the step. There is no derivative; `error` is half the gap.
    JUMP
        Difference quotients grow without limit. There is no derivative; `error` is infinite.
    NOISY
        f scatters by more than its rounding: random noise, float32 inside, a solver's tolerance. `error` accounts for
        it.
    ONE_SIDED
        The domain or the bounds end at x; f was evaluated on one side only.
    SHRUNK
        The domain or the bounds made the step smaller.
    BUDGET
        Stopped by the budget; `error` is what had been reached.
    NO_CENTRE
        f(x) itself is not finite: the derivative is that of f continued to x.
    UNRESOLVED
        f is not smooth, nor smooth up to noise, on any scale looked at; `error` says how little is known.
    """

    SMOOTH = 0
    KINK = 1
    JUMP = 2
    NOISY = 4
    ONE_SIDED = 8
    SHRUNK = 16
    BUDGET = 32
    NO_CENTRE = 64
    UNRESOLVED = 128


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative and how it was obtained; what ``full_output=True`` returns.

    Attributes
    ----------
    value : ndarray, float or tree
        The derivative, as the call returns it without `full_output`.
    error : ndarray, float or tree
        Error bar of each entry of `value`, in its units: truncation, from how much the derivative changes with the
        step, plus the floor of rounding or noise. Costs as many evaluations as `value` again, f(x), and two more for
        each component (one for accuracy 1); more for components where f is unlike what the method supposes. Infinite
        where nothing can be said.
    step : ndarray, float or tree
        Step of each component of x, in its units.
    nfev : int
        Evaluations of f, all included.
    status : ndarray of int, or tree
        A `Status` for each component of x; with ``method="adaptive"``, a `Finding` for each entry of `value`.
    method : str
        Method and order of accuracy.
    findings : ndarray of int, tree or None
        A `Finding` for each entry of `value`: kinks, jumps, noise. For a sparse Jacobian one for each stored entry,
        ``value.data``. None where nothing looked (Hessians, complex step).
    noise : float, (m,) ndarray or None
        The absolute error of a value of f that steps were chosen for, as given or measured; None: rounding.
    """

    value: Any
    error: Any
    step: Any
    nfev: int
    status: Any
    method: str
    findings: Any = None
    noise: Any = None

    def __repr__(self) -> str:
        with np.printoptions(threshold=10, precision=8):
            names = ["value", "error", "step", "nfev", "status", "method"]
            names += [name for name in ("findings", "noise") if np.any(getattr(self, name, None) is not None)]
            return "\n".join(f"{name:>8}: {getattr(self, name)}" for name in names)
