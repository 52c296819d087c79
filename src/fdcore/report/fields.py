"""What a report of a check shows: one list of facts, remarks and tables, shared by all its forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fdcore.check import Diagnosis, Entry, GradientCheck, error_band

__all__ = ["Column", "Remark", "Table", "clean", "entries", "facts", "headline", "number", "parameters", "remarks"]


class Column(NamedTuple):
    """A column of a table: its title, and what it means in a sentence."""

    title: str
    help: str


class Table(NamedTuple):
    """Rows of text; `total` counts those that were left out too, and `what` is what a row is."""

    what: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int

    @property
    def left_out(self) -> str:
        """How many rows are not shown, in words; empty where all are."""
        more = self.total - len(self.rows)
        return f"... and {more} more {self.what}" if more else ""


class Remark(NamedTuple):
    """A diagnosis (`kind` "likely") or something found out about the functions ("note")."""

    kind: str
    label: str
    message: str
    suggestion: str
    evidence: tuple[tuple[str, str], ...]
    confidence: float


PARAMETER_COLUMNS = (
    Column("parameter", "Name of the array, as in the tree of parameters."),
    Column("shape", "Its shape."),
    Column("verdict", "Agrees, wrong, or cannot tell: the error bar is too wide to say."),
    Column("wrong / compared", "Entries that are wrong, of those that were compared one by one."),
    Column("worst z", "Largest |analytic - numeric| / error bar; wrong beyond 10."),
    Column("relative error", "|analytic - numeric| / (|analytic| + |numeric|) in norms, as in tutorials."),
    Column(
        "would have caught",
        "Smallest error of one entry that would have been called wrong, relative to an entry of typical size.",
    ),
    Column("reason", "Why nothing can be said, or what is special."),
)
ENTRY_COLUMNS = (
    Column("entry", "Name and index of the entry."),
    Column("analytic", "The value under test."),
    Column("numeric", "The derivative of f found by differences."),
    Column("± error bar", "How far the numeric value, and the rounding of the analytic one, can be off."),
    Column("analytic / numeric", "Their ratio: 1 where they agree."),
    Column("z", "|analytic - numeric| / error bar; wrong beyond 10."),
    Column("reason", "Why nothing can be said, or what is special."),
)


def clean(text: object) -> str:
    r"""One line of printable characters, whatever a name or a message holds.

    Control characters (those that colour a terminal or turn the direction of writing) come out as escapes.

    Examples
    --------
    >>> clean("two\n  lines, \x1b[31mred")
    'two lines, \\x1b[31mred'
    """
    words = " ".join(str(text).split())
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in words)


def number(value: float, missing: str = "-") -> str:
    """Two digits; `missing` for NaN."""
    return missing if math.isnan(value) else f"{value:.2g}"


def headline(check: GradientCheck) -> str:
    """Verdict and reason."""
    return f"{check.verdict}: {clean(check.reason)}"


def facts(check: GradientCheck) -> list[tuple[str, str]]:
    """What was done, what it could have seen, and the tutorials' numbers: pairs of a label and a sentence."""
    many = "parameter" if check.size == 1 else "parameters"
    told = [
        (
            "checked",
            f"{check.size} {many} {'entry by entry' if check.mode == 'elementwise' else 'along random directions'}, "
            f"{check.nfev} evaluations of f, {check.ngev} of the gradient, seed {check.seed}",
        )
    ]
    if check.verdict == "agrees" and math.isfinite(check.detection_limit):
        told.append(
            (
                "power",
                f"one entry off by {number(check.detection_limit)} of a typical one would have been called wrong"
                + (" in any array" if len(check.parameters) > 1 else ""),
            )
        )
    errors = check.relative_errors
    if errors:
        told.append(
            (
                "as in tutorials",
                f"relative error in norm {errors['norm']:.2g} ({error_band(errors['norm'])}), largest of an entry "
                f"{errors['elementwise']:.2g}, sum form {errors['sum']:.2g}",
            )
        )
    return told


def remarks(check: GradientCheck) -> list[Remark]:
    """Diagnoses, the most probable first, then notes."""
    return [
        Remark("likely", clean(d.label), _where(d), clean(d.suggestion), _evidence(d.evidence), d.confidence)
        for d in check.diagnoses
    ] + [Remark("note", clean(n.label), clean(n.message), "", (), math.nan) for n in check.notes]


def parameters(check: GradientCheck, count: int | None = None) -> Table:
    """One row for each array, the worst first."""
    order = {"wrong": 0, "cannot tell": 1, "agrees": 2}
    rows = sorted(check.parameters, key=lambda p: (order[p.verdict], -p.z if not math.isnan(p.z) else 0.0))
    cells: list[tuple[str, ...]] = [
        (
            clean(p.name),
            str(p.shape),
            p.verdict,
            f"{p.wrong} / {p.checked}" if p.checked else "-",
            number(p.z),
            number(p.relative_error),
            number(p.detection_limit) if p.verdict != "cannot tell" and math.isfinite(p.detection_limit) else "-",
            clean(p.reason),
        )
        for p in rows[:count]
    ]
    return _table("arrays", PARAMETER_COLUMNS, cells, len(rows))


def entries(check: GradientCheck, count: int | None = None) -> Table:
    """One row for each wrong entry, or unclear one if none is wrong; the worst first."""
    chosen = check.wrong or check.unclear
    cells: list[tuple[str, ...]] = [
        (clean(e.name), *_values(e), number(e.error), _ratio(e.ratio), number(e.z), clean(e.reason))
        for e in chosen[:count]
    ]
    return _table("wrong entries" if check.wrong else "unclear entries", ENTRY_COLUMNS, cells, len(chosen))


def _table(what: str, columns: tuple[Column, ...], cells: list[tuple[str, ...]], total: int) -> Table:
    """Leave the last column out where it is empty throughout."""
    if not any(row[-1] for row in cells):
        columns, cells = columns[:-1], [row[:-1] for row in cells]
    return Table(what, columns, tuple(cells), total)


def _values(entry: Entry) -> tuple[str, str]:
    """Both values with as many digits as it takes to see the difference; none that the error bar makes noise of."""
    a, n = entry.analytic, entry.numeric
    size, apart = max(abs(a), abs(n)), max(abs(a - n), entry.error)
    digits = 9
    if math.isfinite(size) and 0.0 < apart < size:
        digits = min(17, max(6, math.ceil(math.log10(size / apart)) + 3))
    return f"{a:.{digits}g}", f"{n:.{digits}g}"


def _ratio(ratio: float) -> str:
    """A ratio next to 1 as its distance from 1."""
    if math.isnan(ratio):
        return "-"
    return f"1{ratio - 1.0:+.2g}" if 0.0 < abs(ratio - 1.0) < 1e-4 else f"{ratio:.6g}"


def _where(diagnosis: Diagnosis) -> str:
    """The message, with the name of the array where it does not say so itself."""
    message, name = clean(diagnosis.message), clean(diagnosis.parameter)
    return message if name in message else f"{message}, in {name}"


def _evidence(evidence: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (clean(key), f"{value:.9g}" if isinstance(value, float) else clean(value)) for key, value in evidence.items()
    )
