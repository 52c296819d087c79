"""Compile the examples' sources. In a project of your own, its build system does this."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
LINK = (sysconfig.get_config_var("LDSHARED") or "cc -shared").split()


def library(source: str, folder: Path, *include: str) -> str:
    """Make a shared library of a C or Fortran file: ``gcc -O2 -shared -fPIC -o rosenbrock.so rosenbrock.c -lm``."""
    made = folder / f"{Path(source).stem}.so"
    command = ["gfortran", "-shared", f"-J{folder}"] if source.endswith(".f90") else LINK
    headers = [f"-I{path}" for path in include]
    subprocess.run([*command, "-O2", "-fPIC", *headers, "-o", made, HERE / source, "-lm"], check=True)
    return str(made)


def extension(source: str, folder: Path, *include: str) -> ModuleType:
    """Compile a Cython or C file to an extension module, and import it."""
    name = Path(source).stem
    code = HERE / source
    if source.endswith(".pyx"):
        made = folder / f"{name}.c"
        subprocess.run([sys.executable, "-m", "cython", "-3", code, "-o", made], check=True)
        code = made
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    headers = [f"-I{path}" for path in (sysconfig.get_path("include"), *include)]
    subprocess.run([*LINK, "-O2", "-fPIC", *headers, "-o", target, code, "-lm"], check=True)
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
