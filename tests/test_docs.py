"""The documentation is true: its examples run, its lists are complete."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import types
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


def test_the_five_minute_page_works_word_for_word(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    files = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["model.py", "try_it.py"]
    for name, code in files:
        (tmp_path / name).write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ran = 0
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        command, _, shown = block.removeprefix("$ ").partition("\n")
        if command.startswith("pip "):
            continue
        done = subprocess.run(
            command.split(), cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == int(shown.startswith("wrong:")), done.stderr
        assert done.stdout.startswith(shown)
        ran += 1
    assert ran == 3


def public_modules() -> list[str]:
    """Modules, other than the package itself, that users import."""
    found = ["models", "models.datasets", "plots", "selectors", "testing"]
    for room in ("compat", "integrations"):
        package = importlib.import_module(f"fdcore.{room}")
        found += [f"{room}.{module.name}" for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_"]
    return found


def test_reference_lists_every_public_name_and_no_other() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = re.findall(r"^ {4}(\w[\w.]*)$", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    wanted = set()
    for name in fdcore.__all__:
        # A module is there through what it offers: `models.LinearRegression`.
        if not name.startswith("__") and not isinstance(getattr(fdcore, name), types.ModuleType):
            wanted.add(name)
    for module in public_modules():
        wanted |= {f"{module}.{name}" for name in importlib.import_module(f"fdcore.{module}").__all__}
    assert wanted == set(listed) - {"report.from_data"}


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
