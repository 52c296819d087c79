"""The address of a function from anywhere (a JIT, another language, a plug-in), and the signature in words."""

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
    loaded = ctypes.CDLL(library("rosenbrock.c", folder))
    address = ctypes.c_void_p.from_buffer(loaded.rosenbrock).value
    scale = ctypes.c_double(100.0)
    # fdcore keeps `scale` alive; nobody but you can keep alive what a bare address belongs to.
    return fd.native(address, signature="double (int, const double *, void *)", user_data=scale)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.gradient(make(Path(folder)), X))
