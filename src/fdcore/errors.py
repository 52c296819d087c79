"""The exception tree: every error of fdcore is an `FdcoreError` and also the builtin a caller would expect."""

from __future__ import annotations


class FdcoreError(Exception):
    """Base class of every error that fdcore raises itself.

    A user's exception from inside a callable is never wrapped: it comes back as the same object, with a note that says
    which component was being perturbed.
    """


class ArgumentError(FdcoreError, ValueError):
    """An argument has a value that cannot be used; the message names it, its value and the remedy."""


class ArgumentTypeError(FdcoreError, TypeError):
    """An argument has a type that cannot be used."""


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
