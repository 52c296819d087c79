"""What becomes of three verdicts where the original knows two."""

from __future__ import annotations

import warnings

from fdcore.check import GradientCheck
from fdcore.errors import FdcoreWarning

__all__ = ["fails", "settle"]

# Of a function that is another one at each call, or has no value, nothing can be tested: no test must pass on that.
HOPELESS = frozenset({"f-not-repeatable", "gradient-not-repeatable", "non-finite"})


def fails(check: GradientCheck) -> bool:
    """Whether a check must not pass: it is wrong, or nothing can be said for a reason that no precision cures."""
    if check.verdict == "wrong":
        return True
    hopeless = any(note.label in HOPELESS for note in check.notes) or check.reason.startswith(("f is nan", "f is inf"))
    return check.verdict == "cannot tell" and hopeless


def settle(check: GradientCheck, error: type[Exception], where: str = "") -> None:
    """Raise `error` with the report if the check fails; warn where nothing can be said for want of digits."""
    __tracebackhide__ = True
    if fails(check):
        raised = error(check)
        if where:
            raised.add_note(f"in {where}")
        raise raised
    if check.verdict == "cannot tell":
        warnings.warn(f"gradient check cannot tell: {check.reason}", FdcoreWarning, stacklevel=4)
