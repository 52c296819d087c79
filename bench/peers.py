"""How each peer differentiates a Python callable; a workload adds them to its contenders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.runner import Call, Contender, NotRunError

STEP = np.finfo(float).eps ** (1 / 3)
Function = Callable[[NDArray[np.float64]], Any]
SLOW_N = 100  # numdifftools and jacobi take tens of evaluations a component


def loop_gradient(f: Function, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Central differences in pure NumPy, one work array perturbed in place: the best that a loop in Python does."""
    x = x.copy()
    g = np.empty_like(x)
    for j, value in enumerate(x.tolist()):
        h = STEP * max(1.0, abs(value))
        above, below = value + h, value - h
        x[j] = above
        fa = f(x)
        x[j] = below
        g[j] = (fa - f(x)) / (above - below)
        x[j] = value
    return g


def tutorial_gradient(f: Function, x: NDArray[np.float64], h: float = 1e-5) -> NDArray[np.float64]:
    """Differentiate as tutorials teach: two copies of x a component."""
    g = np.empty_like(x)
    for j in range(x.size):
        above = x.copy()
        above[j] += h
        below = x.copy()
        below[j] -= h
        g[j] = (f(above) - f(below)) / (2 * h)
    return g


def loop_jacobian(f: Function, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """`loop_gradient` for a vector function; rows of the transposed Jacobian."""
    x = x.copy()
    jt = np.empty((x.size, x.size))
    for j, value in enumerate(x.tolist()):
        h = STEP * max(1.0, abs(value))
        above, below = value + h, value - h
        x[j] = above
        fa = f(x)
        x[j] = below
        np.subtract(fa, f(x), out=jt[j])
        jt[j] /= above - below
        x[j] = value
    return jt.T


def gradient_peers(f: Callable[[], Function], x: NDArray[np.float64]) -> list[Contender]:
    """Peers for a scalar function; `f()` makes the callable, and may raise ImportError."""

    def scipy_numdiff(method: str) -> Callable[[], Call]:
        def make() -> Call:
            from scipy.optimize._numdiff import approx_derivative

            return Call(f"d(f, x, method={method!r})", {"d": approx_derivative, "f": f(), "x": x})

        return make

    def approx_fprime() -> Call:
        from scipy.optimize import approx_fprime

        return Call("d(x, f)", {"d": approx_fprime, "f": f(), "x": x})

    def numdifftools() -> Call:
        if x.size > SLOW_N:
            raise NotRunError(f"not run above n = {SLOW_N}: 30 evaluations a component and n^2 memory")
        import numdifftools

        return Call("d(x)", {"d": numdifftools.Gradient(f()), "x": x})

    return [
        Contender("NumPy loop, in place", lambda: Call("d(f, x)", {"d": loop_gradient, "f": f(), "x": x})),
        Contender("NumPy loop, two copies", lambda: Call("d(f, x)", {"d": tutorial_gradient, "f": f(), "x": x})),
        Contender("scipy approx_derivative 3-point", scipy_numdiff("3-point")),
        Contender("scipy approx_derivative 2-point", scipy_numdiff("2-point")),
        Contender("scipy approx_fprime", approx_fprime),
        Contender("statsmodels approx_fprime centered", lambda: _statsmodels(f(), x)),
        Contender("jacobi", lambda: _jacobi(f(), x)),
        Contender("numdifftools Gradient", numdifftools),
    ]


def jacobian_peers(f: Callable[[], Function], x: NDArray[np.float64]) -> list[Contender]:
    """Peers for a vector function."""

    def scipy_numdiff() -> Call:
        from scipy.optimize._numdiff import approx_derivative

        return Call("d(f, x, method='3-point')", {"d": approx_derivative, "f": f(), "x": x})

    def scipy_workers() -> Call:
        from concurrent.futures import ThreadPoolExecutor

        from scipy.optimize._numdiff import approx_derivative

        pool = ThreadPoolExecutor(2)
        return Call(
            "d(f, x, method='3-point', workers=pool.map)", {"d": approx_derivative, "f": f(), "x": x, "pool": pool}
        )

    def numdifftools() -> Call:
        if x.size > SLOW_N:
            raise NotRunError(f"not run above n = {SLOW_N}: 30 evaluations a component and n^2 memory")
        import numdifftools

        return Call("d(x)", {"d": numdifftools.Jacobian(f()), "x": x})

    return [
        Contender("NumPy loop, in place", lambda: Call("d(f, x)", {"d": loop_jacobian, "f": f(), "x": x})),
        Contender("scipy approx_derivative 3-point", scipy_numdiff),
        Contender("scipy approx_derivative 3-point, 2 threads", scipy_workers),
        Contender("statsmodels approx_fprime centered", lambda: _statsmodels(f(), x)),
        Contender("jacobi", lambda: _jacobi(f(), x)),
        Contender("numdifftools Jacobian", numdifftools),
    ]


def _statsmodels(f: Function, x: NDArray[np.float64]) -> Call:
    from statsmodels.tools.numdiff import approx_fprime

    return Call("d(x, f, centered=True)", {"d": approx_fprime, "f": f, "x": x})


def _jacobi(f: Function, x: NDArray[np.float64]) -> Call:
    if x.size > 10 * SLOW_N or (x.size > SLOW_N and np.ndim(f(x)) > 0):
        raise NotRunError("not run at this size: tens of evaluations and a least-squares fit an entry")
    import jacobi

    return Call("d(f, x)[0]", {"d": jacobi.jacobi, "f": f, "x": x})
