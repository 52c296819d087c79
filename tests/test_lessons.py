"""The lessons run, and the table of what they teach is true: each row's call exists, runs, and is in its lesson."""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdcore as fd

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "docs" / "lessons"
PAGES = [path for path in sorted([*LESSONS.glob("*.md"), ROOT / "docs" / "gallery.md"]) if path.name != "index.md"]
ROWS: list[dict[str, Any]] = []
if LESSONS.is_dir():
    ROWS = tomllib.loads((LESSONS / "rows.toml").read_text(encoding="utf-8"))["row"]

pytestmark = pytest.mark.skipif(not LESSONS.is_dir(), reason="the docs are not beside the tests")

# Every row of the four tutorials; see the table in docs/lessons/index.md.
WANTED = {"A": 7, "B": 5, "C": 11, "D": 6}


def cells(page: Path) -> list[str]:
    """The code of a page, cell by cell, each line where it stands in the page."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return ["\n" * text.count("\n", 0, match.start(2)) + match[2] for match in found]


def code_of(lesson: str) -> str:
    return "\n".join(cells(LESSONS / f"{lesson}.md"))


@pytest.fixture(autouse=True)
def pictures():
    """Draw on nothing, and leave nothing open."""
    try:
        import matplotlib
        import matplotlib.pyplot as plt
    except ImportError:
        yield
        return
    matplotlib.use("Agg")
    yield
    plt.close("all")


def require(packages: set[str]) -> None:
    missing = sorted(name for name in packages if importlib.util.find_spec(name) is None)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def imports(code: str) -> set[str]:
    """Packages that code imports, itself or through fdcore."""
    names = set(re.findall(r"\bfd\.integrations\.(torch|jax|sympy|numba)\b", code))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
            if node.module == "fdcore.integrations":
                names |= {alias.name for alias in node.names}
            elif (node.module or "").startswith("fdcore.integrations."):
                names.add(str(node.module).rpartition(".")[2])
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_lesson_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = cells(page)
    assert len(code) >= 5
    require(set().union(*map(imports, code)) | {"matplotlib"})
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "lesson"}
    for cell in code:
        exec(compile(cell, str(page), "exec"), namespace)
    assert not list(tmp_path.iterdir())


def test_every_row_is_there_once() -> None:
    ids = [row["id"] for row in ROWS]
    assert ids == [f"{letter}{k}" for letter, count in WANTED.items() for k in range(1, count + 1)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_row_is_true(row: dict[str, Any]) -> None:
    require(imports(row["run"]) | set(row.get("needs", ())))
    assert "assert" in row["run"]
    exec(compile(row["run"], f"rows.toml, {row['id']}", "exec"), {"np": np, "math": math, "fd": fd})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_call_of_the_row_exists_and_is_in_its_lesson(row: dict[str, Any]) -> None:
    for call in row["calls"]:
        for path in re.findall(r"\bfd\.([A-Za-z_.]+)", call):
            thing: Any = fd
            for name in path.split("."):
                thing = getattr(thing, name, None) or importlib.import_module(f"{thing.__name__}.{name}")
        shown = code_of(row["lesson"])
        head = call.partition("(")[0] + ("(" if "(" in call else "")
        if head.startswith(("fd.integrations.", "fd.compat.")):
            head = head.rpartition(".")[2]
        assert head in shown
        assert row.get("shown", "") in shown
        # An argument that makes the row what it is has to be there too.
        for argument in re.findall(r"\b(\w+)=", call):
            assert re.search(rf"\b{argument}=", shown)
    for lesson, call in row.get("also", {}).items():
        assert call.partition("(")[0] + "(" in code_of(lesson)


def test_every_lesson_is_in_the_table_and_in_the_contents() -> None:
    taught = {row["lesson"] for row in ROWS}
    contents = (LESSONS / "index.md").read_text(encoding="utf-8")
    for path in LESSONS.glob("*.md"):
        if path.name != "index.md":
            assert path.stem in taught
            assert re.search(rf"^{path.stem}$", contents, re.MULTILINE)
