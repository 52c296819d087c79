"""What methods there are, by name: their rules, and what budgets and workers mean for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np

from fdcore.errors import ArgumentError, ArgumentTypeError
from fdcore.fdcore import cpu_count
from fdcore.stencils import Stencil, central, one_sided

_FORWARD, _BACKWARD, _CENTRAL = range(3)
_SIDES = ("lower", "upper")
_ENDS = (("lower", -np.inf), ("upper", np.inf))

# Name: (kernel method, accuracy by default, the accuracies it has).
_METHODS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "forward": (_FORWARD, 1, (1, 2, 3, 4, 5, 6, 7, 8)),
    "backward": (_BACKWARD, 1, (1, 2, 3, 4, 5, 6, 7, 8)),
    "central": (_CENTRAL, 2, (2, 4, 6, 8)),
    "five-point": (_CENTRAL, 4, (4,)),
    "adaptive": (_CENTRAL, 6, (6,)),
}
_ALIASES = {"2-point": "forward", "3-point": "central", "cs": "complex"}


def stencil_rule(method: str, accuracy: int | None) -> tuple[str, int, int]:
    """Canonical name, kernel method and accuracy."""
    name = _ALIASES.get(method, method) if type(method) is str else str(method)
    if name == "complex":
        if accuracy not in (None, 2):
            raise ArgumentError(
                f"accuracy={accuracy!r}: the complex step has no truncation error to choose an order for"
            )
        return name, _CENTRAL, 2
    if name not in _METHODS:
        known = ", ".join(repr(known) for known in (*_METHODS, "complex", *_ALIASES))
        raise ArgumentError(f"method must be one of {known}; not {method!r}")
    number, default, accuracies = _METHODS[name]
    if accuracy is None:
        accuracy = default
    elif accuracy not in accuracies:
        raise ArgumentError(f"accuracy must be one of {accuracies} for method {name!r}, not {accuracy!r}")
    return name, number, int(accuracy)


def affordable(name: str, number: int, order: int, budget: int) -> tuple[int, int]:
    """Kernel method and accuracy of the best rule of this method that so many evaluations allow."""
    if name == "central":
        if budget < 2:
            raise ArgumentError("budget=1: a central difference takes 2 evaluations for each component")
        return number, min(8, budget // 2 * 2)
    if name in ("forward", "backward"):
        return number, min(8, budget)
    return number, order


def own_accuracy(name: str) -> int | None:
    """Accuracy of a method that has but one."""
    return 4 if name == "five-point" else None


def check_budget(budget: Any, least: int) -> int:
    """Read ``budget=``; 0 for None."""
    if budget is not None and not (isinstance(budget, (int, np.integer)) and least <= budget <= 10**6):
        raise ArgumentError(
            f"budget must be a number of evaluations for each component, {least} or more, not {budget!r}"
        )
    return int(budget or 0)


# Where the caller does not say: every processor, if the kernel finds the work worth it.
ALL_IF_WORTH_IT = -cpu_count()
_MOST_THREADS = 2**15  # far more than any machine has, and a C int


def _threads(workers: Any) -> int | None:
    """Read an int number of workers; None for anything else."""
    if not isinstance(workers, (int, np.integer)) or isinstance(workers, bool):
        return None
    if workers == -1:
        return cpu_count()
    if workers < 1:
        raise ArgumentError(
            f"workers must be a number of threads >= 1, -1 for all processors, or have a map; not {workers!r}"
        )
    return min(int(workers), _MOST_THREADS)


def native_workers(workers: Any) -> int:
    """Read ``workers=`` for a native callable."""
    threads = _threads(workers)
    if threads is None:
        raise ArgumentError(
            f"workers must be an int for a native callable, which runs on fdcore's threads; not {workers!r}"
        )
    return threads


def python_workers(workers: Any) -> Callable[..., Any] | None:
    """Find the map that evaluates a Python callable at many points; None: one point after another.

    With a GIL, threads would only take turns, so an int number of workers is for free-threaded Python.
    """
    threads = _threads(workers)
    if threads is None:
        mapper = getattr(workers, "map", workers)
        if not callable(mapper):
            raise ArgumentTypeError(f"workers must be an int, an executor, or a function like map; not {workers!r}")
        return cast("Callable[..., Any]", mapper)
    if threads == 1 or getattr(sys, "_is_gil_enabled", lambda: True)():
        return None

    def run(f: Callable[[Any], Any], points: list[tuple[Any, ...]]) -> list[Any]:
        # Each thread makes its own x: threads that share objects slow each other down.
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda point: f((*point[:-1], point[-1].copy())), points))

    return run


def floats_of(rule: Stencil) -> tuple[tuple[float, ...], tuple[float, ...], int, int, float]:
    """Give a stencil as the kernel takes it: offsets, weights, order, accuracy and rule step."""
    offsets, weights = (tuple(map(float, numbers)) for numbers in (rule.offsets, rule.weights))
    return offsets, weights, rule.order, rule.accuracy, rule.step()


def rule_of(name: str, order: int, accuracy: int) -> Stencil:
    """Give the rule of a method by name."""
    if name in ("forward", "backward"):
        return one_sided(order, accuracy, 1 if name == "forward" else -1)
    return central(order, accuracy)
