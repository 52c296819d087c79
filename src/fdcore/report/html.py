"""The report as a page: the same rows as the text, and figures. Everything that comes from outside is escaped."""

from __future__ import annotations

import html
from importlib import resources
from typing import Any

from fdcore import _extras
from fdcore.check import GradientCheck
from fdcore.report import fields

__all__ = ["fragment", "page"]

ENTRIES = 50


def page(check: GradientCheck) -> str:
    """A whole page, with its style and figures inside; nothing is loaded from anywhere."""
    return _render(check, whole=True)


def fragment(check: GradientCheck) -> str:
    """The body alone, without figures, for notebooks; the text in a box where Jinja2 is not installed."""
    try:
        return _render(check, whole=False)
    except ImportError:
        return f"<pre>{html.escape(str(check))}</pre>"


def _render(check: GradientCheck, *, whole: bool) -> str:
    jinja2 = _extras.require("jinja2", extra="html", feature="HTML reports")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(resources.files(__package__).joinpath("check.html").read_text(encoding="utf-8"))
    figures: list[tuple[str, Any]] = []
    if whole:
        try:
            from fdcore.report import plots

            # Drawn by matplotlib, which escapes what it writes into the SVG itself.
            figures = [(caption, jinja2.utils.markupsafe.Markup(svg)) for caption, svg in plots.figures(check)]
        except ImportError:
            figures = []
    total = len(check.wrong or check.unclear)
    return str(
        template.render(
            whole=whole,
            check=check,
            headline=fields.headline(check),
            summary=fields.summary(check),
            parameter_columns=fields.PARAMETER_COLUMNS,
            parameters=fields.parameter_rows(check)[: None if whole else 25],
            entry_columns=fields.ENTRY_COLUMNS,
            entries=fields.entry_rows(check, ENTRIES if whole else 10),
            total=total,
            figures=figures,
        )
    )
