"""A function that knows what moving one coordinate changes: its numeric gradient costs a pass or two over the data."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _build import library

import fdcore as fd

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(2000, 40)) / 8.0
X = RNG.normal(size=40)
COUNTS = RNG.poisson(np.exp(DATA @ X)).astype(float)


class Data(ctypes.Structure):
    _fields_ = (("rows", ctypes.c_ssize_t), ("X", ctypes.c_void_p), ("y", ctypes.c_void_p))


def make(folder: Path) -> tuple[Any, Any]:
    """The same function with its coordinate update, and without."""
    made = ctypes.CDLL(library("poisson.c", folder, fd.get_include()))
    data = Data(len(DATA), DATA.ctypes.data, COUNTS.ctypes.data)
    signature = "int (ptrdiff_t, ptrdiff_t, const double *, ptrdiff_t, double *, void *)"
    settings: dict[str, Any] = {"signature": signature, "n": X.size, "m": 1, "user_data": data}
    return fd.native(made.poisson, update=made.poisson_update, **settings), fd.native(made.poisson, **settings)


if __name__ == "__main__":
    exact = DATA.T @ (np.exp(DATA @ X) - COUNTS) / len(DATA)
    with tempfile.TemporaryDirectory() as folder:
        for f in make(Path(folder)):
            print(f"largest error {np.abs(fd.gradient(f, X) - exact).max():.1e}")
