"""The functions that the bench differentiates, as Python sees them, with their exact derivatives."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import build

Vector = NDArray[np.float64]

LORENZ_N, LORENZ_STEPS, LORENZ_DT = 40, 560, 0.002  # as in native/functions.c
BODIES, BODY_STEPS, BODY_DT, BODY_SOFTENING = 10, 310, 0.002, 0.01


def rosenbrock(x: Vector) -> np.float64:
    """Rosenbrock's function as one writes it in NumPy."""
    x, right = x[:-1], x[1:]
    a, b = right - x * x, 1.0 - x
    return 100.0 * a.dot(a) + b.dot(b)


def rosenbrock_gradient(x: Vector) -> Vector:
    """Its exact gradient."""
    a = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[:-1] = -400.0 * x[:-1] * a - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * a
    return g


def waves(x: Vector) -> np.float64:
    """Waves that each modulate the next, in a ring."""
    return np.exp(np.sin(x)) @ np.cos(np.roll(x, -1))


def waves_gradient(x: Vector) -> Vector:
    """Its exact gradient."""
    size = np.exp(np.sin(x))
    return np.cos(x) * size * np.cos(np.roll(x, -1)) - np.roll(size, 1) * np.sin(x)


def empty(x: Vector) -> float:
    """Nothing: what is left is the cost of the differentiation itself."""
    return 1.0


def broyden_jacobian(x: Vector) -> Vector:
    """Exact Jacobian of Broyden's tridiagonal system."""
    n = x.size
    return np.diag(3.0 - 4.0 * x) - np.eye(n, k=-1) - 2.0 * np.eye(n, k=1)


def broyden(x: Vector) -> Vector:
    """Broyden's tridiagonal system in NumPy."""
    y = (3.0 - 2.0 * x) * x + 1.0
    y[1:] -= x[:-1]
    y[:-1] -= 2.0 * x[1:]
    return y


def bratu(x: Vector) -> Vector:
    """Bratu's problem on a square grid in NumPy."""
    side = math.isqrt(x.size)
    u = x.reshape(side, side)
    y = np.exp(u) / (side + 1) ** 2 - 4.0 * u
    y[1:] += u[:-1]
    y[:-1] += u[1:]
    y[:, 1:] += u[:, :-1]
    y[:, :-1] += u[:, 1:]
    return y.reshape(-1)


def broyden_sparse(x: Vector) -> Any:
    """Exact Jacobian of Broyden's system as a SciPy CSR array."""
    import scipy.sparse as sp

    off = np.ones(x.size - 1)
    return sp.diags_array([-off, 3.0 - 4.0 * x, -2.0 * off], offsets=[-1, 0, 1]).tocsr()


def bratu_sparse(x: Vector) -> Any:
    """Exact Jacobian of Bratu's problem as a SciPy CSR array."""
    import scipy.sparse as sp

    side = math.isqrt(x.size)
    near = np.ones(x.size - 1)
    near[side - 1 :: side] = 0.0
    far = np.ones(x.size - side)
    diagonals = [far, near, np.exp(x) / (side + 1) ** 2 - 4.0, near, far]
    jacobian = sp.diags_array(diagonals, offsets=[-side, -1, 0, 1, side]).tocsr()
    jacobian.eliminate_zeros()
    return jacobian


def _lorenz(s: NDArray[np.complex128]) -> NDArray[np.complex128]:
    def rate(x: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.roll(x, 1, -1) * (np.roll(x, -1, -1) - np.roll(x, 2, -1)) - x + 8.0

    for _ in range(LORENZ_STEPS):
        k1 = rate(s)
        k2 = rate(s + 0.5 * LORENZ_DT * k1)
        k3 = rate(s + 0.5 * LORENZ_DT * k2)
        k4 = rate(s + LORENZ_DT * k3)
        s = s + LORENZ_DT / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return s


def _nbody(s: NDArray[np.complex128]) -> NDArray[np.complex128]:
    p = s[:, : 3 * BODIES].reshape(-1, BODIES, 3)
    v = s[:, 3 * BODIES :].reshape(-1, BODIES, 3)

    def kick(dt: float) -> NDArray[np.complex128]:
        d = p[:, None, :, :] - p[:, :, None, :]
        r2 = (d * d).sum(-1) + BODY_SOFTENING
        return v + dt / BODIES * (d / (r2 * np.sqrt(r2))[..., None]).sum(2)

    v = kick(0.5 * BODY_DT)
    for step in range(BODY_STEPS):
        p = p + BODY_DT * v
        v = kick(BODY_DT if step + 1 < BODY_STEPS else 0.5 * BODY_DT)
    return np.concatenate([p.reshape(len(s), -1), v.reshape(len(s), -1)], axis=1)


def complex_step_jacobian(f: Callable[[NDArray[np.complex128]], NDArray[np.complex128]], x: Vector) -> Vector:
    """Exact to rounding: f takes a batch of complex points, one perturbed by i * 1e-30 in each component."""
    points = x.astype(complex) + 1e-30j * np.eye(x.size)
    return np.ascontiguousarray((f(points).imag / 1e-30).T)


def lorenz_jacobian(x: Vector) -> Vector:
    """Exact Jacobian of the Lorenz-96 map."""
    return complex_step_jacobian(_lorenz, x)


def nbody_jacobian(x: Vector) -> Vector:
    """Exact Jacobian of the ten-body map."""
    return complex_step_jacobian(_nbody, x)


def start(name: str, n: int) -> Vector:
    """Where the derivative is taken."""
    rng = np.random.default_rng(n)
    if name == "rosenbrock":
        return rng.uniform(0.5, 1.5, n)
    if name == "lorenz":
        return 8.0 + rng.normal(size=n)
    return rng.normal(size=n)


def scalar_cffi(name: str, n: int) -> Callable[[Vector], float]:
    """Wrap a C function of the library as a Python callable, by the cheapest wrapper (cffi, from_buffer)."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(f"double {name}(int n, double *x, void *ctx);")
    library = ffi.dlopen(str(build.functions_path()))
    function, view, null = getattr(library, name), ffi.from_buffer, ffi.NULL

    def f(x: Vector) -> float:
        return function(n, view("double[]", x), null)  # type: ignore[no-any-return]

    return f


def vector_cffi(name: str, n: int) -> Callable[[Vector], Vector]:
    """Do the same for a vector function."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(f"int {name}(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);")
    library = ffi.dlopen(str(build.functions_path()))
    function, view, null, new = getattr(library, name), ffi.from_buffer, ffi.NULL, np.empty

    def f(x: Vector) -> Vector:
        y = new(n)
        function(n, view("double[]", x), n, view("double[]", y), null)
        return y

    return f


def scalar_ctypes(name: str, n: int) -> Callable[[Vector], float]:
    """Wrap a scalar C function with ctypes, as most people do."""
    function = getattr(ctypes.CDLL(str(build.functions_path())), name)
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_double
    return lambda x: function(n, x.ctypes.data, None)
