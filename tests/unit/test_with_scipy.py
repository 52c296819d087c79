"""Plans as `jac=` of SciPy's solvers: they converge to the same place, and save evaluations and Python calls."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fdcore as fd

integrate = pytest.importorskip("scipy.integrate")
optimize = pytest.importorskip("scipy.optimize")

TIME = np.linspace(0.0, 3.0, 30)
DATA = 2.0 * np.exp(-0.7 * TIME) + 0.3


def residuals(p):
    return p[0] * np.exp(-p[1] * TIME) + p[2] - DATA


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method):
    plan = fd.Jacobian(residuals)
    found = optimize.least_squares(residuals, [1.0, 1.0, 0.0], jac=plan, method=method)
    assert_allclose(found.x, [2.0, 0.7, 0.3], rtol=1e-8)


@pytest.mark.parametrize("bounded", [False, True])
def test_least_squares_within_bounds_and_with_arguments(bounded):
    bounds = ([0.0, 0.0, 0.0], [5.0, 0.7, 1.0])

    def scaled(p, scale):
        return scale * residuals(p)

    plan = fd.Jacobian(scaled, bounds=bounds if bounded else None)
    found = optimize.least_squares(scaled, [1.0, 0.5, 0.1], jac=plan, bounds=bounds, args=(10.0,))
    assert_allclose(found.x, [2.0, 0.7, 0.3], rtol=1e-5)


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root(method):
    def f(x):
        return np.array([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]])

    found = optimize.root(f, [0.0, 0.0], jac=fd.Jacobian(f), method=method)
    assert found.success
    assert_allclose(f(found.x), 0.0, atol=1e-9)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "SLSQP", "CG", "Newton-CG", "trust-constr"])
def test_minimize(method):
    found = optimize.minimize(optimize.rosen, [-1.2, 1.0, 0.8], jac=fd.Gradient(optimize.rosen), method=method)
    assert_allclose(found.x, 1.0, atol=2e-3)


@pytest.mark.parametrize("method", ["trust-exact", "dogleg", "trust-ncg"])
def test_minimize_with_a_hessian(method):
    f = optimize.rosen
    start = [1.2, 1.2] if method == "dogleg" else [-1.2, 1.0]  # dogleg wants a positive definite Hessian all the way
    found = optimize.minimize(f, start, jac=fd.Gradient(f, accuracy=4), hess=fd.Hessian(f), method=method)
    assert_allclose(found.x, 1.0, atol=1e-4)


def test_a_better_gradient_takes_fewer_iterations_than_scipys_own():
    start = np.full(10, -1.0)
    own = optimize.minimize(optimize.rosen, start, method="BFGS")
    ours = optimize.minimize(optimize.rosen, start, jac=fd.Gradient(optimize.rosen), method="BFGS")
    assert ours.success
    assert np.linalg.norm(ours.x - 1.0) <= np.linalg.norm(own.x - 1.0) + 1e-6


@pytest.mark.parametrize("method", ["Radau", "BDF"])
def test_solve_ivp(method):
    def robertson(t, y):
        return np.array(
            [-0.04 * y[0] + 1e4 * y[1] * y[2], 0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2, 3e7 * y[1] ** 2]
        )

    plan = fd.Jacobian(lambda y: robertson(0.0, y))
    span, start, options = (0.0, 100.0), [1.0, 0.0, 0.0], {"method": method, "rtol": 1e-8, "atol": 1e-10}
    ours = integrate.solve_ivp(robertson, span, start, jac=lambda t, y: plan(y), **options)
    own = integrate.solve_ivp(robertson, span, start, **options)
    assert ours.success
    assert_allclose(ours.y[:, -1], own.y[:, -1], rtol=1e-5)
    assert ours.nfev <= own.nfev


def test_a_native_objective_calls_no_python_for_its_gradient(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("needs cc")
    source = tmp_path / "rosen.c"
    source.write_text(
        "double rosen(int n, const double *x, void *u) { double s = 0; (void)u; for (int i = 0; i < n - 1; i++) {"
        "double a = x[i + 1] - x[i] * x[i], b = 1 - x[i]; s += 100 * a * a + b * b; } return s; }"
    )
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", tmp_path / "rosen.so", source], check=True)
    function = ctypes.CDLL(str(tmp_path / "rosen.so")).rosen
    function.restype, function.argtypes = (
        ctypes.c_double,
        [ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_void_p],
    )
    native = fd.native(function)
    calls = []

    def objective(x):
        calls.append(1)
        return native(x)

    found = optimize.minimize(objective, np.full(20, -1.0), jac=fd.Gradient(native), method="L-BFGS-B")
    assert_allclose(found.x, 1.0, atol=1e-3)
    assert len(calls) == found.nfev  # and none of the 2n for each gradient
