"""What all tests share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


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
