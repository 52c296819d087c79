"""What all tests share."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Their helpers are modules too, which --doctest-modules would import.
collect_ignore = [] if all(map(importlib.util.find_spec, ("mpmath", "scipy"))) else ["accuracy"]
sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, by name, the doctests of an optional package where it is not installed."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            code = "".join(example.source for example in item.dtest.examples)
            packages = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
            packages |= set(re.findall(r"fdcore\.integrations\.(\w+)", code))
            missing = sorted(package for package in packages if importlib.util.find_spec(package) is None)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Compile C source text to a shared library; skips where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

    def build(source: str) -> str:
        if compiler is None or sys.platform == "win32":
            pytest.skip("needs a C compiler called cc, gcc or clang")
        folder = tmp_path_factory.mktemp("c")
        (folder / "code.c").write_text(source, encoding="utf-8")
        made = str(folder / "code.so")
        command = [compiler, "-std=c11", "-O1", "-shared", "-fPIC", "-o", made, str(folder / "code.c"), "-lm"]
        subprocess.run(command, check=True)
        return made

    return build
