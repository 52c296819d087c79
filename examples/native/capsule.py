"""A Cython function by its capsule, as any module with `__pyx_capi__` offers; the capsule's name is the signature."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _build import extension

import fdcore as fd

X = np.array([1.2, 0.9, -0.4, 0.1])


def make(folder: Path) -> Any:
    module = extension("rosenbrock_cython.pyx", folder)
    return fd.native(module.__pyx_capi__["rosenbrock"], user_data=np.array([100.0]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(fd.gradient(make(Path(folder)), X))
