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


def fdcore_second_call(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """The same by a plan that was called before, at a point a thousandth of x away."""
    f = _Counted(problem)
    plan = fd.Jacobian(f, method="adaptive")
    n = problem.x.size
    try:
        plan.full(problem.x * (1 + 1e-3 * np.cos(np.arange(n) + 0.5)))
    except ArithmeticError:  # outside the domain
        pass
    f.calls = 0
    result = plan.full(problem.x)
    if f.calls != result.nfev:
        raise AssertionError(f"{problem.name}: {f.calls} evaluations, reported {result.nfev}")
    return result.value, result.error, np.full(n, (f.calls - 1) / n + 1)


_NODES = np.arange(-3.0, 4.0)
_PROBES = (2.4142, -1.6180)


def _prediction(v: float) -> np.ndarray:
    """Weights of the degree-6 interpolant at v."""
    return np.array([np.prod([(v - k) / (j - k) for k in _NODES if k != j]) for j in _NODES])


def _polynomial(line: Callable[[float], float], x: float, budget: int = 160) -> tuple[float, float]:
    """The plain rule: the polynomial through seven nodes, two points off the grid, a step from level to level."""
    eps = np.finfo(float).eps
    slope = np.array([-1 / 60, 3 / 20, -0.75, 0, 0.75, -3 / 20, 1 / 60])
    h = 2.0 ** np.round(np.log2(0.01 * abs(x))) if x else 2.0**-7
    best, noise, good, bad = (np.nan, np.inf), 0.0, 0.0, 0.0
    last: tuple[float, float, float] | None = None
    for _ in range(budget // 8):
        if not 1e-300 < h < 1e300:
            break
        nodes = np.array([line(t * h) for t in _NODES])
        probes = np.array([line(v * h) for v in _PROBES])
        if not (np.isfinite(nodes).all() and np.isfinite(probes).all()):
            bad, h = h, (np.sqrt(good * h) if good else h / 256)
            continue
        size, spread = np.abs(nodes).max(), np.ptp(nodes)
        error_f = max(0.75 * eps * size, noise)
        misses = [abs(_prediction(v) @ nodes - y) for v, y in zip(_PROBES, probes, strict=True)]
        miss = max(misses)
        products = [abs(np.prod(v - _NODES)) for v in _PROBES]
        truncation = max(36 / product * m / h for product, m in zip(products, misses, strict=True))
        value, bar = slope @ nodes / h, 2 * truncation + 1.84 * error_f / h
        if miss < 0.05 * spread or miss <= 50 * error_f:
            if bar < best[1]:
                best = (value, bar)
            if bar <= 1e-9 * abs(value):
                break
            good = h
            if last and last[1] < 2 * miss and last[2] > 4 * spread and last[0] > h and not noise:
                noise = miss  # what is missed does not fall with the range: noise
                h *= 16
            elif miss > 50 * error_f:
                last = (h, miss, spread)
                h *= max((3 * error_f / miss) ** (1 / 7), 1 / 256)
            else:
                h = min(16 * h, np.sqrt(h * bad)) if bad else 16 * h
            if bad and bad < 4 * good:
                break
        else:
            if last and last[1] < 2 * miss and last[2] > 4 * spread and last[0] > h:
                noise, h = miss, 16 * h
                continue
            last = (h, miss, spread)
            bad, h = h, (np.sqrt(good * h) if good else h / 256)
            if good and bad < 4 * good:
                break
    return best


def _reference(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """The plain rule, entry by entry; values at a point are shared by the entries."""
    m, n = problem.exact.shape
    value, error, evaluations = np.empty((m, n)), np.empty((m, n)), np.empty(n)
    for j in range(n):
        cache: dict[float, np.ndarray] = {}

        def along(t: float, i: int, j: int = j, cache: dict[float, np.ndarray] = cache) -> float:
            point = problem.x.copy()
            point[j] += t
            if point[j] not in cache:
                cache[point[j]] = np.asarray(problem.f(point), dtype=float)
            return float(cache[point[j]][i])

        for i in range(m):
            value[i, j], error[i, j] = _polynomial(lambda t, i=i: along(t, i), float(problem.x[j]))
        evaluations[j] = len(cache)
    return value, error, evaluations


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


def _numericalderivative(problem: Problem) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Stepleman and Winarsky's step, the best of its selectors over this corpus; entry by entry, values are shared.

    Its first step is searched between 1e-10 and 10 times max(1, abs(x)); where that fails, 0.1 times it is taken.
    """
    import numericalderivative as nd

    m, n = problem.exact.shape
    value, evaluations = np.full((m, n), np.nan), np.empty(n)
    for j in range(n):
        cache: dict[float, np.ndarray] = {}

        def along(t: float, i: int, j: int = j, cache: dict[float, np.ndarray] = cache) -> float:
            if t not in cache:
                x = problem.x.copy()
                x[j] = t
                cache[t] = np.asarray(problem.f(x), dtype=float)
            return float(cache[t][i])

        scale = max(1.0, abs(float(problem.x[j])))
        for i in range(m):
            algorithm = nd.SteplemanWinarsky(lambda t, i=i: along(t, i), float(problem.x[j]))
            try:
                first, _ = nd.SteplemanWinarskyInitialize(algorithm).find_initial_step(1e-10 * scale, 10.0 * scale)
            except (ValueError, RuntimeError, ArithmeticError):
                first = 0.1 * scale
            try:
                step, _ = algorithm.find_step(first)
                value[i, j] = algorithm.compute_first_derivative(step)
            except (ValueError, RuntimeError, ArithmeticError):
                pass  # it gives up
        evaluations[j] = len(cache)
    return value, None, evaluations


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
    "numericalderivative": ("numericalderivative", _numericalderivative),
    "statsmodels": ("statsmodels", _statsmodels),
}


def available() -> dict[str, Method]:
    """fdcore's methods, and those of the peers that are installed."""
    from importlib.util import find_spec

    out: dict[str, Method] = {
        "fdcore adaptive": fdcore_adaptive,
        "fdcore, second call": fdcore_second_call,
        "fdcore central": _quiet(fdcore_central),
        "local polynomial": _quiet(_reference),
    }
    for name, (module, method) in PEERS.items():
        if find_spec(module.split(".")[0]) is not None:
            out[name] = _quiet(method)
    return out
