"""Output: with colours where the `cli` extra (rich) is installed and the stream is a terminal, plain text otherwise."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from fdcore.models.demo import Section

_STYLES = {True: "bold green", False: "bold red"}
_VERDICT_STYLES = {"agrees": "bold green", "wrong": "bold red"}


class Terminal:
    """Where the commands print.

    Parameters
    ----------
    stream : text stream
    plain : bool
        Plain text even in a terminal with rich installed.
    """

    def __init__(self, stream: TextIO, *, plain: bool = False) -> None:
        self._stream = stream
        self._console: Any = None
        if not plain and stream.isatty() and importlib.util.find_spec("rich") is not None:
            from rich.console import Console

            self._console = Console(file=stream, highlight=False)

    def section(self, section: Section) -> None:
        """Print one section of the demo."""
        if self._console is None:
            print(section.title, file=self._stream)
            print("-" * len(section.title), file=self._stream)
        else:
            self._console.rule(f"[bold]{section.title}", align="left", style="dim")
        if section.rows:
            self.table(section.header, section.rows)
        if section.report is not None:
            self.report(section.report)
        self.verdict(section.ok, section.verdict)
        print(file=self._stream)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under a header; all columns but the first are aligned to the right."""
        if self._console is None:
            widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
            for row in (header, *rows):
                cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
                print("  ".join(cells).rstrip(), file=self._stream)
            return
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def report(self, report: Any) -> None:
        """Print the report of a check, its first line (the verdict) in colour."""
        text = str(report)
        if self._console is None:
            print(text, file=self._stream)
            return
        from rich.text import Text

        first, _, rest = text.partition("\n")
        self._console.print(Text(first, _VERDICT_STYLES.get(report.verdict, "bold yellow")))
        if rest:
            self._console.print(Text(rest))

    def verdict(self, ok: bool, text: str) -> None:
        """Print a line that says whether something went as it must."""
        line = f"{'ok' if ok else 'FAILED'}: {text}"
        if self._console is None:
            print(line, file=self._stream)
        else:
            self._console.print(line, style=_STYLES[ok], markup=False)
