"""The report as text: the verdict in the first line, and no more than 25 lines whatever the size."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from fdcore.check import GradientCheck
from fdcore.report.fields import ENTRY_COLUMNS, PARAMETER_COLUMNS, entry_rows, headline, parameter_rows, summary

__all__ = ["render"]

LINES = 25
WIDTH = 118


def render(check: GradientCheck) -> str:
    """Render a check; at most 25 lines."""
    head = [_short(headline(check), WIDTH), *(_short("  " + line, WIDTH) for line in summary(check))]
    told = [
        _short(f"likely: {d.message}" + (f" ({d.suggestion})" if d.suggestion else ""), 2 * WIDTH)
        for d in check.diagnoses
    ]
    told += [_short(f"note: {n.message} [{n.label}]", 2 * WIDTH) for n in check.notes]
    spoken = [line for text in told[:5] for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ")[:2]][:8]
    if len(told) > 5:
        spoken.append(f"... and {len(told) - 5} more notes")
    room = LINES - len(head) - len(spoken)
    parameters = parameter_rows(check)
    some = entry_rows(check, LINES)
    total = len(check.wrong or check.unclear)
    entries = min(len(some), max(3, room - len(parameters) - 3)) if some else 0
    tables = _table(
        PARAMETER_COLUMNS, parameters, room - (entries + 2 if entries else 0), len(parameters), "parameters"
    )
    if entries:
        tables += _table(ENTRY_COLUMNS, some, room - len(tables), total, "entries")
    return "\n".join([*head, *tables, *spoken])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], lines: int, total: int, what: str) -> list[str]:
    """Lay out a table in at most `lines` lines, the header among them; says how many rows it left out."""
    shown = list(rows[: lines - 1])
    if total > len(shown):
        shown = shown[: max(lines - 2, 0)]
    cells = [[_short(cell, 40) for cell in row] for row in [list(columns), *shown]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    text = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    if total > len(shown):
        text.append(f"... and {total - len(shown)} more {what}")
    return [line.rstrip() for line in text]


def _short(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."
