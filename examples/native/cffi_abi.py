"""A C function through cffi in ABI mode: the declaration says the types."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cffi
import numpy as np
from _build import library

import fdcore as fd

X = np.array([1.2, 0.9, -0.4, 0.1])


def make(folder: Path) -> Any:
    ffi = cffi.FFI()
    ffi.cdef("double rosenbrock(int n, const double *x, void *user_data);")
    lib = ffi.dlopen(library("rosenbrock.c", folder))
    return fd.native(lib.rosenbrock, user_data=ffi.new("double *", 100.0))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.gradient(make(Path(folder)), X))
