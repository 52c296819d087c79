"""Compiles the bench's own C (black-box functions, floors) and keeps the results in ``build/bench``."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

SOURCES = Path(__file__).parent / "native"
CACHE = Path(__file__).parents[1] / "build" / "bench"
COMPILER = os.environ.get("CC", "gcc")
FLAGS = ["-O3", "-march=native", "-std=gnu11", "-fPIC", "-Wall", "-Wextra"]
FAST_MATH = "-ffast-math"


@functools.cache
def compiler_version() -> str:
    """First line of the compiler's ``--version``."""
    return subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def compiled(name: str, *sources: str, flags: tuple[str, ...] = (), libraries: tuple[str, ...] = ("-lm",)) -> Path:
    """Path of the shared library made from `sources`, compiled only if they, the flags or the compiler changed."""
    command = [COMPILER, *FLAGS, *flags]
    key = hashlib.sha256("\n".join([*command, *libraries, compiler_version()]).encode())
    for source in sources:
        key.update((SOURCES / source).read_bytes())
    library = CACHE / key.hexdigest()[:16] / f"{name}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as work:
            objects = [f"{work}/{Path(source).stem}.o" for source in sources]
            for source, made in zip(sources, objects, strict=True):
                subprocess.run([*command, "-c", str(SOURCES / source), "-o", made], check=True)
            # A link with -ffast-math would switch the whole process to flush subnormals to zero.
            linking = [COMPILER, "-shared", "-fopenmp", *objects, *libraries, "-o", f"{work}/linked"]
            subprocess.run(linking, check=True)
            Path(f"{work}/linked").replace(library)
    return library


@functools.cache
def functions_path() -> Path:
    """Compile the library of black-box functions."""
    return compiled("functions", "functions.c", flags=(FAST_MATH,))


@functools.cache
def address(name: str) -> int:
    """Address of a black-box function."""
    value = ctypes.cast(getattr(ctypes.CDLL(str(functions_path())), name), ctypes.c_void_p).value
    assert value is not None
    return value


@functools.cache
def extension(name: str, *flags: str) -> ModuleType:
    """Compile and import ``native/<name>.c``, an extension module of floors."""
    include = sysconfig.get_paths()["include"]
    path = compiled(name, f"{name}.c", flags=(f"-I{include}", "-fopenmp", *flags))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
