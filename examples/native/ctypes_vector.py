"""A vector function from C, with a structure as its user data. `m` is how many values it gives."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _build import library

import fdcore as fd

X = np.array([2.0, 0.7, 0.3])
TIME = np.linspace(0.0, 4.0, 9)
VALUE = 1.9 * np.exp(-0.6 * TIME) + 0.25


class Observations(ctypes.Structure):
    _fields_ = (("time", ctypes.c_void_p), ("value", ctypes.c_void_p))


def make(folder: Path) -> Any:
    function = ctypes.CDLL(library("decay.c", folder)).decay
    doubles, size = ctypes.POINTER(ctypes.c_double), ctypes.c_ssize_t
    function.restype = ctypes.c_int
    function.argtypes = [size, doubles, size, doubles, ctypes.c_void_p]
    # The structure is kept alive by the native; the arrays that it points to are ours to keep.
    observed = Observations(TIME.ctypes.data, VALUE.ctypes.data)
    return fd.native(function, m=TIME.size, user_data=observed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.jacobian(make(Path(folder)), X))
