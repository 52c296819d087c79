"""A C function from a shared library, through ctypes: say its types, and pass it as it is."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _build import library

import fdcore as fd

X = np.array([1.2, 0.9, -0.4, 0.1])


def make(folder: Path) -> Any:
    function = ctypes.CDLL(library("rosenbrock.c", folder)).rosenbrock
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_void_p]
    # Without user data, `function` itself would do: fd.gradient(function, x).
    return fd.native(function, user_data=np.array([100.0]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.gradient(make(Path(folder)), X))
