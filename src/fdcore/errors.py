"""The exception tree: every error of fdcore is an `FdcoreError` and also the builtin a caller would expect."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray


class FdcoreError(Exception):
    """Base class of every error that fdcore raises itself.

    A user's exception from inside a callable is never wrapped: it comes back as the same object, with a note that says
    which component was being perturbed.
    """

    nfev: int = 0  #: evaluations spent before the failure, where that is known


class ArgumentError(FdcoreError, ValueError):
    """An argument has a value that cannot be used; the message names it, its value and the remedy."""


class ArgumentTypeError(FdcoreError, TypeError):
    """An argument has a type that cannot be used."""


class ComplexValuesError(ArgumentTypeError):
    """The callable returned complex values where real ones were expected; `derivative` and its kind then start over."""


class ShapeError(FdcoreError, ValueError):
    """An array, or what the callable returned, has a shape that cannot be used."""


class SignatureError(FdcoreError, TypeError):
    """A native callback has a signature that is not accepted, or none that can be read."""


class StepError(FdcoreError, ValueError):
    """A step is not positive and finite, or so small that ``x + h == x``."""


class BoundsError(FdcoreError, ValueError):
    """`x` lies outside its bounds, or they leave no room to move."""


class InputMutatedError(FdcoreError, ValueError):
    """The callable wrote into its input."""


class NonFiniteError(FdcoreError, ArithmeticError):
    """The callable gave NaN or inf for every step and side that was tried."""


class AnalyticityError(FdcoreError, ValueError):
    """The complex step was taken of a function that is not analytic: its result would be wrong."""


class CallbackError(FdcoreError, RuntimeError):
    """A native callback returned a nonzero status."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class EvaluationError(FdcoreError, ArithmeticError):
    """For callables to raise where they have no value (outside their domain); treated like a NaN at that point."""


class FdcoreMemoryError(FdcoreError, MemoryError):
    """A work array could not be allocated."""


class MissingExtraError(FdcoreError, ImportError):
    """A feature needs a package that is not installed; the message names the extra to install."""


class FdcoreWarning(UserWarning):
    """Category of every warning of fdcore."""


# Findings (results.Finding) that say there is no derivative, in words.
_NO_DERIVATIVE = (
    (1, "f has a kink there: its one-sided slopes disagree"),
    (2, "f jumps there, or its slope is infinite"),
    (128, "f is not smooth on any scale looked at"),
)


def warn_of_findings(found: NDArray[np.uint8]) -> None:
    """Warn where an adaptive derivative is none; `found` (n, m) has the findings, components of x first."""
    if not (found & 131).any():
        return
    for flag, words in _NO_DERIVATIVE:
        where = np.argwhere(found & flag)
        if len(where):
            component = int(where[0][0])
            warnings.warn(
                f"no derivative along x[{component}]: {words} ({len(where)} of {found.size} entries); "
                "full_output=True gives error bars and findings",
                FdcoreWarning,
                stacklevel=3,
            )


# One entry a status of the C kernel (enum fdc_status in fdcore.h), by number; None where there is nothing to raise.
STATUS_ERRORS: tuple[type[FdcoreError] | None, ...] = (
    None,
    ArgumentError,
    FdcoreMemoryError,
    CallbackError,
    NonFiniteError,
    StepError,
    BoundsError,
    InputMutatedError,
    FdcoreError,  # cancelled: the exception that asked for it is raised instead
)


def status_error(
    status: int, message: str, column: int, displacement: float, callback_status: int, value: float
) -> FdcoreError:
    """Make the exception for a kernel status.

    Parameters
    ----------
    status : int
        A nonzero `fdc_status`.
    message : str
        What the kernel says of it.
    column : int
        The component it belongs to, or -1.
    displacement : float
        What had been added to ``x[column]``, the step, or the value found, as the status has it.
    callback_status : int
        What a native callback returned.
    value : float
        ``x[column]``.
    """
    error = STATUS_ERRORS[status] or FdcoreError
    where = f"x[{column}] = {value!r}" if column >= 0 else "x"
    if error is ArgumentError and column >= 0:
        return error(f"{where} is not finite; derivatives are taken at finite points only")
    if error is CallbackError:
        place = f"with {where} moved by {displacement:.6g}" if column >= 0 else "at x"
        return CallbackError(
            f"the native callback returned status {callback_status} (0 is success) {place}", callback_status
        )
    if error is NonFiniteError:
        if column < 0:
            return error("f(x) is NaN or inf, so there is no derivative at x; check x, or what f does there")
        return error(
            f"f is NaN or inf on both sides of {where}, for steps from {displacement:.3g} down to 4096 times less; "
            "is x at the edge of a domain? Give `bounds`, or a smaller `step`"
        )
    if error is StepError:
        return error(f"the step {displacement!r} does not move {where}; give a larger `step`, positive and finite")
    if error is BoundsError:
        return error(f"the bounds leave no room to move {where}; widen `bounds`, or leave a fixed component out of x")
    if error is InputMutatedError:
        return error(f"f wrote into its argument: {where} had become {displacement!r}; have f work on a copy, x.copy()")
    return error(message)
