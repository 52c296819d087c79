"""Other packages' functions: PyTorch modules, JAX functions, SymPy expressions, numba functions.

Nothing is imported until it is used: ``fdcore.integrations.torch`` needs no PyTorch, its functions do.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["jax", "numba", "sympy", "torch"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
