"""How often f is called, method by method: the expectations of FiniteDiff.jl's tests, and SciPy's, as our own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fdcore as fd
from fdcore.compat.scipy import approx_derivative

N = 30


class Counted:
    """f, and how often it was called."""

    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, x):
        self.calls += 1
        return self.f(x)

    def spent(self):
        calls, self.calls = self.calls, 0
        return calls


def laplacian(x):
    """Second differences of x squared: a tridiagonal Jacobian, which takes three colours."""
    padded = np.concatenate([[0.0], x**2, [0.0]])
    return padded[:-2] - 2 * padded[1:-1] + padded[2:]


TRIDIAGONAL = np.abs(np.subtract.outer(np.arange(N), np.arange(N))) <= 1
X = np.linspace(0.5, 2.0, N)


@pytest.mark.parametrize(("method", "count"), [("forward", 4), ("central", 6), ("complex", 3)])
def test_a_tridiagonal_jacobian_takes_three_colours(method, count):
    f = Counted(laplacian)
    plan = fd.Jacobian(f, method=method, sparsity=TRIDIAGONAL)
    first = plan(X).toarray()
    once = 4 if method == "complex" else 0  # to see that f is analytic
    assert f.spent() == count + once
    assert_allclose(plan(X, f0=laplacian(X)).toarray(), first)
    assert f.spent() == (3 if method == "forward" else count)
    assert_allclose(first, 2 * X * (-2 * np.eye(N) + np.eye(N, k=1) + np.eye(N, k=-1)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("method", "count"), [("forward", N + 1), ("backward", N + 1), ("central", 2 * N)])
def test_dense_derivatives(method, count):
    f = Counted(laplacian)
    plan = fd.Jacobian(f, method=method)
    plan(X)
    # A central Jacobian evaluates f(x) once, to learn how many values it has.
    assert f.spent() == count + (method == "central")
    plan(X)
    assert f.spent() == count
    total = Counted(lambda x: float(np.sum(laplacian(x))))
    fd.gradient(total, X, method=method)
    assert total.spent() == count


@pytest.mark.parametrize(("method", "count"), [("forward", 2), ("central", 2)])
def test_products_with_a_vector_cost_the_same_for_any_n(method, count):
    for n in (1, N):
        f = Counted(np.square)
        fd.jvp(f, X[:n], np.ones(n), method=method, f0=np.square(X[:n]))
        assert f.spent() == count - (method == "forward")


@pytest.mark.parametrize(("method", "count"), [("2-point", N + 1), ("3-point", 2 * N + 1), ("cs", N + 1 + 4)])
def test_scipys_signature(method, count):
    f = Counted(laplacian)
    _, info = approx_derivative(f, X, method=method, full_output=True)
    assert f.spent() == info["nfev"] == count
    _, info = approx_derivative(f, X, method=method, f0=laplacian(X), full_output=True)
    assert f.spent() == info["nfev"] == count - 1
