"""The report as a page: the same rows as the text, and figures. Everything that comes from outside is escaped."""

from __future__ import annotations

import html
from importlib import resources
from typing import Any

from fdcore import _extras
from fdcore.check import GradientCheck
from fdcore.errors import MissingExtraError
from fdcore.report import fields, figures

__all__ = ["fragment", "page", "render"]

TEMPLATES = ("check.html", "fragment.html", "page.html", "style.html", "taylor.html")
PARAMETERS, ENTRIES = 500, 100  # rows of a page
FEW_PARAMETERS, FEW_ENTRIES = 15, 10  # and of a notebook's cell


def page(check: GradientCheck) -> str:
    """A whole page, with its style and figures inside; nothing is loaded from anywhere."""
    return render("check.html", whole=True, drawn=lambda: figures.of_check(check), **_content(check, True))


def fragment(check: GradientCheck) -> str:
    """The body alone, without figures, for notebooks; the text in a box where Jinja2 is not installed.

    Never raises: a cell must show something whatever happens.
    """
    try:
        return render("check.html", whole=False, **_content(check, False))
    except Exception:
        return f"<pre>{html.escape(str(check))}</pre>"


def render(template: str, *, whole: bool, drawn: Any = None, **content: Any) -> str:
    """Fill in one of the templates.

    Parameters
    ----------
    template : str
        File name, in this folder.
    whole : bool
        A page that stands by itself, or a fragment of one.
    drawn : callable, optional
        Returns a list of `figures.Figure`; where matplotlib is not installed, the page says so instead.
    **content
        What the template names.

    Raises
    ------
    MissingExtraError
        Jinja2 is not installed.
    """
    jinja2 = _extras.require("jinja2", extra="html", feature="HTML reports")
    folder = resources.files(__package__)
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: folder.joinpath(name).read_text(encoding="utf-8") for name in TEMPLATES}),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    pictures, missing = [], ""
    if drawn is not None:
        try:
            # Drawn by matplotlib, which escapes what it writes into the SVG itself.
            pictures = [(f.caption, jinja2.utils.markupsafe.Markup(f.svg)) for f in drawn()]
        except MissingExtraError as error:
            missing = str(error)
    text = environment.get_template(template).render(whole=whole, figures=pictures, missing=missing, **content)
    return str(text).strip() + "\n"


def _content(check: GradientCheck, whole: bool) -> dict[str, Any]:
    return {
        "title": f"Gradient check: {check.verdict}",
        "verdict": check.verdict,
        "reason": fields.clean(check.reason),
        "facts": fields.facts(check),
        "remarks": fields.remarks(check),
        "parameters": fields.parameters(check, PARAMETERS if whole else FEW_PARAMETERS),
        "entries": fields.entries(check, ENTRIES if whole else FEW_ENTRIES),
    }
