"""Peers that run native code themselves: numba loops written by hand, and CasADi's finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import build
from bench.functions import BODIES, BODY_DT, BODY_SOFTENING, BODY_STEPS, LORENZ_DT, LORENZ_N, LORENZ_STEPS
from bench.peers import STEP
from bench.runner import Call

Vector = NDArray[np.float64]


def scipy_3_point(f: Callable[..., Any], x: Vector) -> Call:
    """SciPy over an already wrapped f."""
    from scipy.optimize._numdiff import approx_derivative

    return Call("d(f, x, method='3-point')", {"d": approx_derivative, "f": f, "x": x})


def casadi_jacobian(name: str, outputs: int, x: Vector) -> Call:
    """CasADi differencing the same C function through its own interface, by the buffer call; J comes by columns."""
    import casadi

    library = build.compiled(
        f"casadi_{name}",
        "casadi_wrapper.c",
        "functions.c",
        flags=(build.FAST_MATH, f"-DNAME={name}", f"-DSIZE={x.size}", f"-DOUTPUTS={outputs}"),
    )
    box = casadi.external("casadi_box", str(library), {"enable_fd": True, "fd_method": "central"})
    buffer, evaluate = box.jacobian().buffer()
    out, value = np.empty((x.size, outputs)), np.zeros(outputs)
    buffer.set_arg(0, memoryview(x))
    buffer.set_arg(1, memoryview(value))
    buffer.set_res(0, memoryview(out.reshape(-1)))

    # The functions must outlive the call: the buffer does not hold them.
    return Call("(evaluate(), out.T)[1]", {"evaluate": evaluate, "out": out, "keep": (box, buffer)})


def numba_gradient(x: Vector) -> Call:
    """Rosenbrock and its central loop in numba."""
    from numba import njit

    @njit
    def rosenbrock(x):  # type: ignore[no-untyped-def]
        total = 0.0
        for i in range(x.size - 1):
            a = x[i + 1] - x[i] * x[i]
            b = 1.0 - x[i]
            total += 100.0 * a * a + b * b
        return total

    @njit
    def gradient(x, out):  # type: ignore[no-untyped-def]
        p = x.copy()
        for j in range(x.size):
            h = STEP * max(1.0, abs(x[j]))
            above, below = x[j] + h, x[j] - h
            p[j] = above
            fa = rosenbrock(p)
            p[j] = below
            out[j] = (fa - rosenbrock(p)) / (above - below)
            p[j] = x[j]
        return out

    return Call("d(x, out)", {"d": gradient, "x": x, "out": np.empty_like(x)})


def _numba_jacobian(f: Any, x: Vector, parallel: bool = False) -> Call:
    from numba import njit, prange, set_num_threads

    @njit(parallel=parallel)
    def jacobian(x, out):  # type: ignore[no-untyped-def]
        n = x.size
        blocks = 2 if parallel else 1
        for b in prange(blocks):
            p = x.copy()
            fb = np.empty(n)
            for j in range(n * b // blocks, n * (b + 1) // blocks):
                h = STEP * max(1.0, abs(x[j]))
                above, below = x[j] + h, x[j] - h
                row = out[j]
                p[j] = above
                f(p, row)
                p[j] = below
                f(p, fb)
                p[j] = x[j]
                scale = above - below
                for i in range(n):
                    row[i] = (row[i] - fb[i]) / scale
        return out

    if parallel:
        set_num_threads(2)
    return Call("d(x, out).T", {"d": jacobian, "x": x, "out": np.empty((x.size, x.size))})


def numba_broyden(x: Vector) -> Call:
    """Broyden's system and its central loop in numba."""
    from numba import njit

    @njit
    def broyden(x, y):  # type: ignore[no-untyped-def]
        n = x.size
        for i in range(n):
            left = x[i - 1] if i > 0 else 0.0
            right = x[i + 1] if i + 1 < n else 0.0
            y[i] = (3.0 - 2.0 * x[i]) * x[i] - left - 2.0 * right + 1.0

    return _numba_jacobian(broyden, x)


def numba_w3(name: str, x: Vector, parallel: bool) -> Call:
    """Lorenz-96 or ten bodies and the central loop in numba."""
    return _numba_jacobian(_numba_lorenz() if name == "lorenz" else _numba_nbody(), x, parallel)


def _numba_lorenz() -> Any:
    from numba import njit

    n = LORENZ_N

    @njit
    def rate(x, k):  # type: ignore[no-untyped-def]
        k[0] = x[n - 1] * (x[1] - x[n - 2]) - x[0] + 8.0
        k[1] = x[0] * (x[2] - x[n - 1]) - x[1] + 8.0
        for i in range(2, n - 1):
            k[i] = x[i - 1] * (x[i + 1] - x[i - 2]) - x[i] + 8.0
        k[n - 1] = x[n - 2] * (x[0] - x[n - 3]) - x[n - 1] + 8.0

    @njit
    def lorenz(x, y):  # type: ignore[no-untyped-def]
        dt = LORENZ_DT
        t, k1, k2, k3, k4 = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
        y[:] = x
        for _ in range(LORENZ_STEPS):
            rate(y, k1)
            for i in range(n):
                t[i] = y[i] + 0.5 * dt * k1[i]
            rate(t, k2)
            for i in range(n):
                t[i] = y[i] + 0.5 * dt * k2[i]
            rate(t, k3)
            for i in range(n):
                t[i] = y[i] + dt * k3[i]
            rate(t, k4)
            for i in range(n):
                y[i] += dt / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i])

    return lorenz


def _numba_nbody() -> Any:
    from numba import njit

    half = 3 * BODIES

    @njit
    def kick(p, v, dt):  # type: ignore[no-untyped-def]
        for i in range(0, half, 3):
            for j in range(i + 3, half, 3):
                dx, dy, dz = p[j] - p[i], p[j + 1] - p[i + 1], p[j + 2] - p[i + 2]
                r2 = dx * dx + dy * dy + dz * dz + BODY_SOFTENING
                pull = dt / (BODIES * r2 * math.sqrt(r2))
                v[i] += pull * dx
                v[i + 1] += pull * dy
                v[i + 2] += pull * dz
                v[j] -= pull * dx
                v[j + 1] -= pull * dy
                v[j + 2] -= pull * dz

    @njit
    def nbody(x, y):  # type: ignore[no-untyped-def]
        y[:] = x
        p, v = y[:half], y[half:]
        kick(p, v, 0.5 * BODY_DT)
        for step in range(BODY_STEPS):
            for i in range(half):
                p[i] += BODY_DT * v[i]
            kick(p, v, BODY_DT if step + 1 < BODY_STEPS else 0.5 * BODY_DT)

    return nbody
