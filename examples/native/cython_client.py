"""Cython code that calls fdcore's Jacobian itself: see decay_cython.pyx."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
from _build import extension

import fdcore as fd

X = np.array([2.0, 0.7, 0.3])
TIME = np.linspace(0.0, 4.0, 9)
VALUE = 1.9 * np.exp(-0.6 * TIME) + 0.25


def make(folder: Path) -> ModuleType:
    return extension("decay_cython.pyx", folder, fd.get_include())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        jacobian, evaluations = make(Path(folder)).decay_jacobian(X, TIME, VALUE)
        print(f"{jacobian}\n{evaluations} evaluations")
