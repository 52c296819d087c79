"""The outcome of a check as data: three verdicts, per entry, per parameter and over all."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from fdcore.errors import FdcoreError
from fdcore.tree import entry_name

__all__ = [
    "AGREES",
    "CANNOT_TELL",
    "WRONG",
    "Diagnosis",
    "Entry",
    "GradientCheck",
    "GradientCheckError",
    "Note",
    "Parameter",
    "Verdict",
    "WrongGradientError",
    "worst",
]

Verdict = Literal["agrees", "wrong", "cannot tell"]
AGREES: Verdict = "agrees"
WRONG: Verdict = "wrong"
CANNOT_TELL: Verdict = "cannot tell"


class GradientCheckError(FdcoreError, AssertionError):
    """A gradient check does not agree; the message is the report, `check` the check."""

    def __init__(self, check: GradientCheck) -> None:
        super().__init__(str(check))
        self.check = check


class WrongGradientError(GradientCheckError):
    """A checked gradient is not the derivative of its function."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the gradient that was compared.

    Attributes
    ----------
    parameter : str
        Name of the array it belongs to.
    index : tuple of int
        Its place there.
    analytic, numeric : float
        The two values.
    error : float
        Error bar of the comparison: that of the numeric value, and the rounding of the analytic one.
    z : float
        ``abs(analytic - numeric) / error``.
    verdict : {"agrees", "wrong", "cannot tell"}
    reason : str
        Why the bar is too wide, or what is special here ("kink").
    part : {"", "re", "im"}
        Which part of a complex parameter it is.
    """

    parameter: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float
    z: float
    verdict: Verdict
    reason: str = ""
    part: str = ""

    @property
    def name(self) -> str:
        """Name of the entry, such as ``"layer1.W[3, 7]"``."""
        return entry_name(self.parameter, self.index, self.part)

    @property
    def ratio(self) -> float:
        """``analytic / numeric``; NaN where the numeric value is 0."""
        return self.analytic / self.numeric if self.numeric else math.nan


@dataclass(frozen=True, slots=True)
class Parameter:
    """What was found for one array of parameters.

    Attributes
    ----------
    name : str
    shape : tuple of int
    verdict : {"agrees", "wrong", "cannot tell"}
    z : float
        The worst one.
    detection_limit : float
        Smallest error of one entry that would have been called wrong, relative to an entry of the array's
        root-mean-square size; infinite where nothing can be said.
    reason : str
        Why the verdict is "cannot tell".
    checked, wrong : int
        Entries compared one by one, and how many of them are wrong.
    relative_error : float
        The tutorials' ``norm(a - n) / (norm(a) + norm(n))`` over the entries compared; NaN if there are none.
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    z: float
    detection_limit: float
    reason: str = ""
    checked: int = 0
    wrong: int = 0
    relative_error: float = math.nan


@dataclass(frozen=True, slots=True)
class Note:
    """Something a user should know before blaming the gradient; `label` is from a fixed vocabulary."""

    label: str
    message: str
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A probable bug that explains all the data; `label` is from a fixed vocabulary.

    Attributes
    ----------
    label : str
    message : str
        What the numbers say, in a sentence.
    parameter : str
        The array concerned; empty for all of them.
    evidence : mapping
        The numbers behind it.
    suggestion : str
        What to look at.
    confidence : float
        Between 0 and 1: how much of the data speaks for it rather than for something simpler.
    """

    label: str
    message: str
    parameter: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    suggestion: str = ""
    confidence: float = 1.0


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """Outcome of a gradient check. True in a condition if, and only if, the gradient agrees.

    Attributes
    ----------
    verdict : {"agrees", "wrong", "cannot tell"}
    reason : str
        One clause that says why.
    parameters : tuple of Parameter
        A row for each array.
    wrong : tuple of Entry
        The entries that are wrong, worst first.
    unclear : tuple of Entry
        The entries about which nothing can be said.
    diagnoses : tuple of Diagnosis
        Probable bugs, the most probable first; empty where nothing explains all the data.
    notes : tuple of Note
        What was found out about the two functions and the point.
    detection_limit : float
        The largest one of the parameters'.
    nfev, ngev : int
        Evaluations of the function, and of its gradient.
    mode : {"elementwise", "projected"}
    seed : int
    size : int
        Number of parameters.
    relative_errors : mapping
        The tutorials' numbers, by the name of their kind (see `fdcore.relative_error`), over the entries compared.
    columns : mapping
        Arrays over the entries compared: ``"index"`` (in the flat vector), ``"analytic"``, ``"numeric"``, ``"error"``.
    """

    verdict: Verdict
    reason: str
    parameters: tuple[Parameter, ...]
    wrong: tuple[Entry, ...]
    unclear: tuple[Entry, ...]
    diagnoses: tuple[Diagnosis, ...]
    notes: tuple[Note, ...]
    detection_limit: float
    nfev: int
    ngev: int
    mode: str
    seed: int
    size: int
    relative_errors: Mapping[str, float]
    columns: Mapping[str, Any] = field(compare=False)

    # The reports are made by the room above, which enters them here when it is imported.
    forms: ClassVar[dict[str, Callable[[GradientCheck], Any]]] = {}

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def __repr__(self) -> str:
        # One line, for the many places that show it unasked, such as a failing `assert check`.
        return f"<GradientCheck {self.verdict}: {self.reason}>"

    def __str__(self) -> str:
        return str(self.forms["text"](self))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the columns, as plain Python data."""
        return dict(self.forms["plain"](self))

    def to_json(self, *, indent: int | None = 2) -> str:
        """The same as JSON; NaN and infinity become the strings "nan", "inf" and "-inf"."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """A page that stands by itself: tables, and figures where matplotlib is installed. Needs Jinja2.

        Raises
        ------
        MissingExtraError
            Jinja2 is not installed: ``pip install 'fdcore[html]'``.
        """
        return str(self.forms["html"](self))

    def _repr_html_(self) -> str:
        return str(self.forms["fragment"](self))

    def raise_if_wrong(self) -> GradientCheck:
        """Raise `WrongGradientError` (an AssertionError) with the report if the verdict is "wrong".

        Returns
        -------
        GradientCheck
            Itself otherwise; "cannot tell" does not raise.
        """
        __tracebackhide__ = True
        if self.verdict == WRONG:
            raise WrongGradientError(self)
        return self


def worst(checks: Sequence[GradientCheck], notes: Sequence[Note] = ()) -> GradientCheck:
    """Pick the most alarming of several checks, and add up evaluations and notes.

    Parameters
    ----------
    checks : sequence of GradientCheck
        At least one.
    notes : sequence of Note
        More findings; any but "dot-product", which does not say which of two is wrong, makes it "wrong".
    """
    order = {WRONG: 0, CANNOT_TELL: 1, AGREES: 2}
    pick = min(checks, key=lambda c: order[c.verdict])
    verdict, reason = pick.verdict, pick.reason
    if verdict != WRONG and any(note.label != "dot-product" for note in notes):
        verdict, reason = WRONG, next(note.message for note in notes if note.label != "dot-product")
    every = dict.fromkeys([*notes, *(note for check in checks for note in check.notes)])
    return replace(
        pick,
        verdict=verdict,
        reason=reason,
        notes=tuple(every),
        nfev=sum(c.nfev for c in checks),
        ngev=sum(c.ngev for c in checks),
        detection_limit=max(c.detection_limit for c in checks),
    )
