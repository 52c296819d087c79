"""A Newton loop in Cython that calls fdcore at every iteration and never takes the GIL: see newton_cython.pyx."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
from _build import extension

import fdcore as fd


def make(folder: Path) -> ModuleType:
    return extension("newton_cython.pyx", folder, fd.get_include())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        root, iterations, evaluations = make(Path(folder)).newton(np.full(100, -1.0))
        print(f"{root[:3]} ... after {iterations} iterations, {evaluations} evaluations for the Jacobians")
