"""The documentation is true: its examples run, its lists are complete."""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path

import pytest
from test_architecture import LEVEL_OF, PACKAGE, PYTHON_FILES, room_of

import fdcore
from fdcore.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the docs are not beside the tests")


def sessions(page: Path) -> str:
    """The page with everything but its ```pycon blocks blanked, so that line numbers stay."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line.strip() == "```pycon"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_run(page: Path) -> None:
    test = doctest.DocTestParser().get_doctest(sessions(page), {}, page.name, str(page), 0)
    needed = set(re.findall(r"fdcore\.integrations import (\w+)", test.docstring or ""))
    if missing := [name for name in sorted(needed) if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
    assert not report, "".join(report)


def test_there_are_examples() -> None:
    assert sum(sessions(page).count(">>> ") for page in PAGES) > 20


def test_reference_lists_every_public_name() -> None:
    listed = re.findall(r"^ {4}(\w[\w.]*)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = {name for name in fdcore.__all__ if not name.startswith("__")}
    # A module is there through what it offers: `models.LinearRegression`.
    assert names <= {*listed, *(name.partition(".")[0] for name in listed)}
    assert {f"models.{name}" for name in fdcore.models.__all__} <= set(listed)
    assert len(listed) == len(set(listed))


def test_links_between_pages_resolve() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_architecture_page_names_each_room_and_no_other() -> None:
    page = (ROOT / "docs" / "dev" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"^### `src/fdcore/([\w.]+)/?`", page, re.MULTILINE)
    package = ROOT / "src" / "fdcore"
    rooms = {
        path.name
        for path in package.iterdir()
        if (path.is_dir() and any(path.iterdir())) or path.suffix in {".py", ".pyx"}
    }
    rooms -= {"__pycache__"}
    assert set(named) == rooms
    assert len(named) == len(set(named))


def test_architecture_drawing_shows_the_levels_that_are_enforced() -> None:
    page = (ROOT / "docs" / "dev" / "architecture.md").read_text(encoding="utf-8")
    drawn = {}
    for line in page.splitlines():
        if match := re.match(r"^ +(\d+)    (\w+(?:  ?\w+)*)(?:   |$)", line):
            drawn.update(dict.fromkeys(match[2].split(), int(match[1])))
    existing = {room_of(path) for path in [*PYTHON_FILES, *PACKAGE.glob("*.pyx")]}
    assert drawn == {room: level for room, level in LEVEL_OF.items() if room in existing}


def test_readme_shows_the_report_of_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(
        r"^```text\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert main(["demo"]) == 0

    def shape(text: str) -> str:
        """Numbers differ in their last digits from machine to machine, and columns with them."""
        return re.sub(r"[ ]+", " ", re.sub(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", "#", text))

    assert shape(blocks[0]) in shape(capsys.readouterr().out)
