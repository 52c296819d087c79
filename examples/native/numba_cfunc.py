"""A function that numba compiles: C speed without C. Use the signature that fdcore takes, and `carray` for views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, cfunc, types

import fdcore as fd

X = np.array([1.2, 0.9, -0.4, 0.1])


@cfunc(types.double(types.intc, types.CPointer(types.double), types.voidptr))
def rosenbrock(n, address, user_data):  # type: ignore[no-untyped-def]
    x = carray(address, n)
    scale = carray(user_data, 1, np.float64)[0]
    total = 0.0
    for i in range(n - 1):
        total += scale * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def make(folder: Path) -> Any:
    return fd.native(rosenbrock, user_data=np.array([100.0]))


if __name__ == "__main__":
    print(fd.gradient(make(Path()), X))
