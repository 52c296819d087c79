"""Tables that are made of data when the site is built, so that they cannot fall behind."""

from __future__ import annotations

import tomllib
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).resolve().parents[1]


def rows_as_markdown(path: Path = DOCS / "lessons" / "rows.toml") -> str:
    """Give the table of docs/lessons/rows.toml: what is taught, the call, the lesson that runs it."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["row"]
    lines = ["| row | what | call | lesson |", "|---|---|---|---|"]
    for row in rows:
        what = row["what"].replace("|", r"\|")
        calls = [*row["calls"], *row.get("also", {}).values()]
        lessons = [f"[{_title(name)}]({name}.md)" for name in (row["lesson"], *row.get("also", {}))]
        code = "<br>".join(f"`{call}`" for call in calls)
        lines.append(f"| {row['id']} | {what} | {code} | {'<br>'.join(lessons)} |")
    return "\n".join(lines)


def _title(lesson: str) -> str:
    return (DOCS / "lessons" / f"{lesson}.md").read_text(encoding="utf-8").split("\n# ", 1)[1].split("\n")[0]


def rules_as_markdown() -> str:
    """Give the constants of the common difference rules, from their exact weights."""
    from fdcore.stencils import Stencil, central, one_sided

    def row(name: str, rule: Stencil) -> str:
        step = rule.step()
        error = rule.norm * 2.0**-53 / step**rule.order + abs(rule.truncation) * step**rule.accuracy
        power = rule.order + rule.accuracy
        values = sum(1 for weight in rule.weights if weight)
        return (
            f"| {name} | {rule.order} | {rule.accuracy} | {values} | {rule.norm:.4g} | {abs(rule.truncation):.3g} "
            f"| {step:.1e} | {power} | {error:.0e} |"
        )

    rules = [("forward", one_sided(1, p, 1)) for p in (1, 2, 3, 4)]
    rules += [("central", central(d, p)) for d in (1, 2, 3, 4) for p in (2, 4, 6, 8)]
    head = "| rule | d | p | values of f | W | T | rule step at \\|x\\| <= 1 | root taken | error at the best |"
    return "\n".join([head, "|" + "---|" * 9, *(row(*rule) for rule in rules)])


class DifferenceRules(SphinxDirective):
    """The constants of the difference rules."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        return self.parse_text_to_nodes(rules_as_markdown())


class LessonRows(SphinxDirective):
    """The table of rows."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        self.env.note_dependency(str(DOCS / "lessons" / "rows.toml"))
        return self.parse_text_to_nodes(rows_as_markdown())


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("lesson-rows", LessonRows)
    app.add_directive("difference-rules", DifferenceRules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
