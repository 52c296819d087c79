"""A C function through cffi in API mode: pass its address, since `lib.f` itself is a Python function around it."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import cffi
import numpy as np
from _build import HERE

import fdcore as fd

X = np.array([1.2, 0.9, -0.4, 0.1])


def make(folder: Path) -> Any:
    builder = cffi.FFI()
    builder.cdef("double rosenbrock(int n, const double *x, void *user_data);")
    builder.set_source("_rosenbrock", (HERE / "rosenbrock.c").read_text())
    spec = importlib.util.spec_from_file_location("_rosenbrock", builder.compile(str(folder)))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ffi, lib = module.ffi, module.lib
    return fd.native(ffi.addressof(lib, "rosenbrock"), user_data=ffi.new("double *", 100.0))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.gradient(make(Path(folder)), X))
