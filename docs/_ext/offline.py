"""Pages that need no network: formulas as MathML, which browsers draw themselves; a build that fails on requests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What a browser fetches by itself when a page is opened; links that a reader may follow are not among it.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|embed)\b[^>]*?\ssrc=["'](?:https?:)?//[^"']*"""
    r"""|<link\b(?=[^>]*\brel=["'](?:stylesheet|preload|icon|modulepreload|dns-prefetch|preconnect)["'])"""
    r"""[^>]*?\shref=["'](?:https?:)?//[^"']*"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//[^"')]*"""
    r"""|url\(\s*["']?(?:https?:)?//[^"')]*""",
    re.IGNORECASE,
)


def _tidy(latex: str) -> str:
    """Spell what latex2mathml does not know in the way that it does."""
    return re.sub(
        r"\\(?:Big|big|Bigg|bigg)[lr]?(?![a-z])", "", latex.replace(r"\lVert", r"\|").replace(r"\rVert", r"\|")
    )


def _converted(latex: str, display: str) -> str:
    """MathML, with primes of full size: as superscripts of glyphs that are raised already they would be tiny."""
    made = convert(_tidy(latex), display=display)
    return re.sub(r"<msup>(<mi>\w</mi>)<mi>(&#x0203[234];)</mi></msup>", r"<mrow>\1<mo>\2</mo></mrow>", made)


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula in the text."""
    translator.body.append(_converted(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    translator.body.append(f'<div class="math">{_converted(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def find_requests(app: Sphinx, exception: Exception | None) -> None:
    """Fail the build if a page would fetch anything from elsewhere."""
    if exception is not None or app.builder.format != "html":
        return
    found = []
    for path in sorted(Path(app.outdir).rglob("*")):
        if path.suffix in {".html", ".css"}:
            for match in FETCHED.finditer(path.read_text(encoding="utf-8", errors="replace")):
                found.append(f"{path.relative_to(app.outdir)}: {match[0][-120:]}")
    if found:
        raise ExtensionError("these pages cannot be read offline:\n" + "\n".join(found[:20]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None))
    app.connect("build-finished", find_requests)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
