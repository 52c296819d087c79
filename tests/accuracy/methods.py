"""fdcore and its peers behind one signature: problem -> value (m, n), error bar (m, n) or None, evaluations (n,)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fdcore as fd

from .scalar import Problem
from .score import Method


class _Counted:
    """f, counting its evaluations; n outputs in a vector."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.calls = problem, 0

    def __call__(self, x: Any) -> np.ndarray:
        self.calls += 1
        return np.asarray(self.problem.f(np.array(x, dtype=float).reshape(-1)), dtype=float)

    def per_component(self) -> np.ndarray:
        n = self.problem.x.size
        return np.full(n, self.calls / n)


def fdcore_adaptive(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    f = _Counted(problem)
    result = fd.jacobian(f, problem.x, method="adaptive", full_output=True)
    n = problem.x.size
    if f.calls != result.nfev:
        raise AssertionError(f"{problem.name}: {f.calls} evaluations, reported {result.nfev}")
    # f(x) is shared by all components; each counts it, as if it were alone.
    return result.value, result.error, np.full(n, (f.calls - 1) / n + 1)


def fdcore_central(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    f = _Counted(problem)
    result = fd.jacobian(f, problem.x, full_output=True)
    return result.value, result.error, f.per_component()


def _scipy_differentiate(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    from scipy.differentiate import jacobian

    f = _Counted(problem)
    m = problem.exact.shape[0]

    def many(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(x.shape[0], -1)
        return np.stack([f(column) for column in flat.T], axis=-1).reshape(m, *x.shape[1:])

    result = jacobian(many, problem.x)
    return result.df, result.error, f.per_component()


def _scipy_optimize(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    from scipy.optimize._numdiff import approx_derivative

    f = _Counted(problem)
    value = approx_derivative(f, problem.x, method="3-point")
    return np.reshape(value, problem.exact.shape), None, f.per_component()


def _numdifftools(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Entry by entry, since its Jacobian has no error estimates; values at a point are shared by the entries."""
    import numdifftools

    m, n = problem.exact.shape
    value, error, evaluations = np.empty((m, n)), np.empty((m, n)), np.empty(n)
    for j in range(n):
        cache: dict[float, np.ndarray] = {}

        def along(t: Any, i: int, j: int = j, cache: dict[float, np.ndarray] = cache) -> float:
            t = float(np.asarray(t).reshape(-1)[0])
            if t not in cache:
                x = problem.x.copy()
                x[j] = t
                cache[t] = np.asarray(problem.f(x), dtype=float)
            return float(cache[t][i])

        for i in range(m):
            estimate = numdifftools.Derivative(lambda t, i=i: along(t, i), full_output=True)(problem.x[j])
            value[i, j] = np.reshape(estimate.estimate, ())
            error[i, j] = np.reshape(estimate.error_estimate, ())
        evaluations[j] = len(cache)
    return value, error, evaluations


def _jacobi(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    from jacobi import jacobi

    f = _Counted(problem)
    value, error = jacobi(f, problem.x)
    shape = problem.exact.shape
    return np.reshape(value, shape), np.reshape(error, shape), f.per_component()


def _statsmodels(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    from statsmodels.tools.numdiff import approx_fprime

    f = _Counted(problem)
    value = approx_fprime(problem.x, f, centered=True)
    return np.reshape(value, problem.exact.shape), None, f.per_component()


def _quiet(method: Method) -> Method:
    def run(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return method(problem)

    return run


PEERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "scipy.differentiate": ("scipy.differentiate", _scipy_differentiate),
    "scipy 3-point": ("scipy.optimize", _scipy_optimize),
    "numdifftools": ("numdifftools", _numdifftools),
    "jacobi": ("jacobi", _jacobi),
    "statsmodels": ("statsmodels", _statsmodels),
}


def available() -> dict[str, Method]:
    """fdcore's methods, and those of the peers that are installed."""
    from importlib.util import find_spec

    out: dict[str, Method] = {"fdcore adaptive": fdcore_adaptive, "fdcore central": _quiet(fdcore_central)}
    for name, (module, method) in PEERS.items():
        if find_spec(module.split(".")[0]) is not None:
            out[name] = _quiet(method)
    return out
