"""The report as text: the verdict in the first line, and no more than 25 lines whatever the size."""

from __future__ import annotations

import textwrap

from fdcore.check import GradientCheck
from fdcore.report import fields
from fdcore.report.fields import Table

__all__ = ["render"]

LINES = 25
WIDTH = 118
CELL = 40  # characters of a name
SPOKEN = 8  # lines of diagnoses and notes


def render(check: GradientCheck) -> str:
    """Lay a check out: verdict, diagnoses and notes, arrays, entries, and what was done; at most 25 lines."""
    spoken = _spoken(check)
    told = [_short(f"{label}: {text}", WIDTH) for label, text in fields.facts(check)]
    room = LINES - 1 - len(spoken) - len(told)
    entries, parameters = fields.entries(check, LINES), fields.parameters(check, LINES)
    # The entries get what the arrays leave, and three rows at least.
    wanted = min(len(entries.rows), max(3, room - parameters.total - 3)) + 2 if entries.rows else 0
    tables = _table(parameters, room - wanted)
    if entries.rows:
        tables += _table(entries, room - len(tables))
    return "\n".join([_short(fields.headline(check), WIDTH), *spoken, *tables, *told])


def _spoken(check: GradientCheck) -> list[str]:
    """Diagnoses and notes, two lines each at most."""
    remarks = fields.remarks(check)
    lines: list[str] = []
    for number, remark in enumerate(remarks):
        text = remark.message + (f" ({remark.suggestion})" if remark.suggestion else "")
        label = f" [{remark.label}]" if remark.label else ""
        text = _short(text, 2 * WIDTH - len(remark.kind) - len(label) - 12) + label
        wrapped = textwrap.wrap(f"{remark.kind}: {text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)[:2]
        more = len(remarks) - number
        if len(lines) + len(wrapped) + (more > 1) > SPOKEN:
            return [*lines, f"... and {more} more diagnoses or notes"]
        lines += wrapped
    return lines


def _table(table: Table, lines: int) -> list[str]:
    """Lay out a table in at most `lines` lines, its header among them; says how many rows it left out."""
    shown = list(table.rows[: max(lines - 1, 0)])
    if table.total > len(shown):
        shown = shown[: max(lines - 2, 0)]
    titles = [column.title.replace("±", "+-") for column in table.columns]
    last = len(titles) - 1 if titles[-1] == "reason" else -1
    cells = [[_middle(row[0], CELL), *(_short(cell, CELL) for cell in row[1:])] for row in [titles, *shown]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    text = [
        "  ".join(
            c.ljust(w) if i in (0, last) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return [*text, left] if (left := table._replace(rows=tuple(shown)).left_out) else text


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _middle(name: str, width: int) -> str:
    """A name that is too long loses its middle: its end holds the index."""
    end = width // 2
    return name if len(name) <= width else f"{name[: width - end - 3]}...{name[-end:]}"
