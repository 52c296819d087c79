"""The rules of docs/dev/architecture.md that a machine can check: who may import whom, and what each room may hold."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdcore.fdcore import status_text
from fdcore.results import Status

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "fdcore"

# From the ground up. A room may import the rooms of lower levels, and its neighbours as long as no circle comes of it.
LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(level.split())
    for level in (
        "coerce errors",
        "_extras fdcore",
        "stencils tree",
        "selectors steps noise rules analytic sparsity bidirectional callbacks values",
        "plan pointwise progress results bars noisy parts chosen",
        "curve extended differentiate directional implicit second",
        "check",
        "report",
        "models integrations compat plots testing",
        "cli",
        "__init__ __main__ pytest_plugin",
    )
)
LEVEL_OF = {room: number for number, level in enumerate(LEVELS) for room in level}

OPTIONAL = {
    "cffi",
    "dask",
    "hypothesis",
    "jax",
    "matplotlib",
    "numba",
    "pytest",
    "rich",
    "scipy",
    "sympy",
    "torch",
    "tqdm",
}
MAY_IMPORT_AT_THE_TOP = {"pytest_plugin": {"pytest"}}  # loaded by pytest alone

C_FILES = sorted([*PACKAGE.glob("kernel/*.[ch]"), *PACKAGE.glob("include/fdcore/*.h")])
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room a file belongs to: its folder inside the package, or its own name."""
    first, *rest = path.relative_to(PACKAGE).parts
    return first if rest else path.stem


def module_of(path: Path) -> str:
    parts = ["fdcore", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def modules() -> set[str]:
    named = {module_of(path) for path in PYTHON_FILES}
    packages = {name.rpartition(".")[0] for name in named if name.count(".") > 1}
    return named | packages | {"fdcore.fdcore"}


def imported(path: Path) -> Iterator[str]:
    """Names of the modules of fdcore that a file imports, at any depth, functions and type checking included.

    `from fdcore import f` counts as an import of the package itself (`fdcore.__init__`) unless `f` is a module.
    """
    known = modules()
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "fdcore":
                    yield alias.name if alias.name != "fdcore" else "fdcore.__init__"
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*parts[: len(parts) - node.level], *([base] if base else [])])
            if base.partition(".")[0] == "fdcore":
                for alias in node.names:
                    name = f"{base}.{alias.name}"
                    yield name if name in known else base if base != "fdcore" else "fdcore.__init__"


def edges() -> set[tuple[str, str]]:
    """(importer, imported) between rooms."""
    found = set()
    for path in PYTHON_FILES:
        for name in imported(path):
            target = name.split(".")[1]
            if target != room_of(path):
                found.add((room_of(path), target))
    return found


def test_every_room_has_a_level() -> None:
    rooms = {room_of(path) for path in [*PYTHON_FILES, *PACKAGE.glob("*.pyx")]}
    assert rooms <= LEVEL_OF.keys(), "a new room needs a level here and a paragraph in docs/dev/architecture.md"
    assert "errors" in rooms


def test_no_room_imports_upward() -> None:
    upward = sorted((a, b) for a, b in edges() if LEVEL_OF[b] > LEVEL_OF[a])
    assert not upward


def test_no_circle_among_neighbours() -> None:
    below: dict[str, set[str]] = {}
    for importer, target in edges():
        below.setdefault(importer, set()).add(target)

    def reach(room: str) -> set[str]:
        seen: set[str] = set()
        todo = [room]
        while todo:
            for target in below.get(todo.pop(), set()) - seen:
                seen.add(target)
                todo.append(target)
        return seen

    assert not [room for room in below if room in reach(room)]


def test_extension_imports_only_from_below() -> None:
    for path in PACKAGE.glob("*.px[ix]"):
        names = re.findall(r"^\s*(?:from|import)\s+(fdcore[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        # A bare `fdcore` would be the package root.
        rooms = {name.partition(".")[2].partition(".")[0] or "__init__" for name in names}
        assert not {room for room in rooms if LEVEL_OF[room] >= LEVEL_OF["fdcore"] and room != "fdcore"}


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Packages imported when the module is: everything outside functions and `if TYPE_CHECKING:`."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        todo.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module_of)
def test_optional_packages_are_imported_lazily(path: Path) -> None:
    found = set(top_level_imports(ast.parse(path.read_text(encoding="utf-8")))) & OPTIONAL
    assert not found - MAY_IMPORT_AT_THE_TOP.get(room_of(path), set())


def without_comments(path: Path) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_kernel_knows_no_python_and_prints_nothing(path: Path) -> None:
    code = without_comments(path)
    assert not re.search(r"Python\.h|\bPy[A-Z_]\w*", code)
    assert not re.search(r"\b(?:f|v|vf)?printf\s*\(|\bputs\s*\(|\bperror\s*\(|\b(?:abort|exit)\s*\(", code)


@pytest.mark.parametrize("path", [path for path in C_FILES if path.suffix == ".c"], ids=lambda path: path.name)
def test_kernel_has_no_writable_globals(path: Path, tmp_path: Path) -> None:
    compiler, nm = shutil.which("gcc"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("needs gcc and nm")
    made = tmp_path / "unit.o"
    # Position-independent code would put constant tables of pointers among the data, for the loader to fill in.
    flags = ["-std=c11", "-O1", "-fno-pic", f"-I{PACKAGE / 'include'}", f"-I{PACKAGE / 'kernel'}"]
    subprocess.run([compiler, *flags, "-c", path, "-o", made], check=True, capture_output=True)
    symbols = subprocess.run([nm, made], check=True, capture_output=True, text=True).stdout.splitlines()
    assert not [line for line in symbols if re.search(r" [BbDdCGgSs] ", line)]


def test_only_the_boundary_touches_the_gil() -> None:
    boundary = PACKAGE / "fdcore.pyx"
    parts = re.findall(r'^include "([^"]+)"', boundary.read_text(encoding="utf-8"), re.MULTILINE)
    assert [path.name for path in PACKAGE.rglob("*.pyx")] == ["fdcore.pyx"]
    assert sorted(path.name for path in PACKAGE.rglob("*.pxi")) == sorted(parts)
    # A declaration may say that a function can be called without the GIL; only the boundary takes or gives it up.
    others = [*PACKAGE.rglob("*.pxd"), *PYTHON_FILES]
    assert not [path.name for path in others if re.search(r"\bwith\s+(?:no)?gil\b", path.read_text(encoding="utf-8"))]


def test_files_stay_small_enough_to_hold_in_mind() -> None:
    files = [*PYTHON_FILES, *C_FILES, *PACKAGE.glob("*.pyx"), *PACKAGE.glob("*.px[di]")]
    assert {path.suffix for path in files} == {".py", ".c", ".h", ".pyx", ".pxd", ".pxi"}
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {name: length for name, length in lengths.items() if length > 600}


def enums() -> dict[str, list[str]]:
    """Names of each enum of the public header, in order, the sentinel included."""
    header = without_comments(PACKAGE / "include" / "fdcore" / "fdcore.h")
    bodies = re.findall(r"typedef enum (\w+) \{(.*?)\}", header, re.DOTALL)
    return {name: re.findall(r"\bFDC_\w+", body) for name, body in bodies}


def test_status_enum_is_walked_to_its_sentinel() -> None:
    names = enums()["fdc_status"]
    assert names[0] == "FDC_OK"
    assert names[-1] == "FDC_STATUS_COUNT"
    messages = [status_text(status) for status in range(len(names) - 1)]
    unknown = status_text(len(names) - 1)
    assert all(messages)
    assert len({*messages, unknown}) == len(names)
    assert status_text(-1) == unknown


def test_component_enum_is_the_status_of_results() -> None:
    assert [name.removeprefix("FDC_AT_") for name in enums()["fdc_component"][:-1]] == [
        status.name for status in Status
    ]
    assert [int(status) for status in Status] == list(range(len(Status)))


def test_cython_sees_every_name_of_the_header() -> None:
    declared = set(re.findall(r"\b\w+\b", (PACKAGE / "__init__.pxd").read_text(encoding="utf-8")))
    values = {name for names in enums().values() for name in names if not name.endswith("_COUNT")}
    assert values <= declared
    assert enums().keys() <= declared


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
