"""A Fortran function: bind(C), sizes by `value`, and then it is loaded like C."""

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
    function = ctypes.CDLL(library("decay.f90", folder)).decay
    # The types can be said to fdcore instead of to ctypes.
    return fd.native(
        function,
        signature="int (ptrdiff_t n, const double *p, ptrdiff_t m, double *y, void *user_data)",
        m=TIME.size,
        user_data=Observations(TIME.ctypes.data, VALUE.ctypes.data),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.jacobian(make(Path(folder)), X))
