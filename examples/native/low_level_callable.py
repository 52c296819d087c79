"""scipy.LowLevelCallable made by ctypes, cffi, Cython and numba: what scipy.integrate.quad takes, fdcore takes too."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import cffi
import numba_cfunc
import numpy as np
from _build import extension, library
from scipy import LowLevelCallable

import fdcore as fd

X = np.array([1.2, 0.9, -0.4, 0.1])
SCALE = ctypes.c_double(100.0)
USER_DATA = ctypes.cast(ctypes.pointer(SCALE), ctypes.c_void_p)


def from_ctypes(folder: Path) -> Any:
    function = ctypes.CDLL(library("rosenbrock.c", folder)).rosenbrock
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_void_p]
    return LowLevelCallable(function, USER_DATA)


def from_cffi(folder: Path) -> Any:
    ffi = cffi.FFI()
    ffi.cdef("double rosenbrock(int n, double *x, void *user_data);")
    lib = ffi.dlopen(library("rosenbrock.c", folder))
    return LowLevelCallable(lib.rosenbrock, ffi.cast("void *", ctypes.addressof(SCALE)))


def from_cython(folder: Path) -> Any:
    return LowLevelCallable.from_cython(extension("rosenbrock_cython.pyx", folder), "rosenbrock", USER_DATA)


def from_numba(folder: Path) -> Any:
    return LowLevelCallable(numba_cfunc.rosenbrock.ctypes, USER_DATA)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for make in (from_ctypes, from_cffi, from_cython, from_numba):
            print(f"{make.__name__:12}", fd.gradient(make(Path(name)), X))
