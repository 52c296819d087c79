"""Near an edge of the domain of f every derivative takes other points, says so, and is still right."""

import numpy as np
import pytest

import fdcore as fd

EDGE = 1e-8  # from the edge of the domain, below every rule step
X = np.array([EDGE, 1.0, 2.0])


def outside(kind):
    if kind == "raise":
        raise fd.EvaluationError("outside the domain")
    return {"nan": np.nan, "inf": np.inf}[kind]


def rows(kind, z):
    """Three functions, each of one component, defined where the first component is not negative."""
    if z[0] < 0.0:
        return np.full(3, outside(kind))
    return np.array([np.exp(z[0]), z[1] ** 2, np.sin(z[2])])


EXACT = np.array([np.exp(EDGE), 2.0, np.cos(2.0)])


@pytest.mark.parametrize("kind", ["nan", "inf", "raise"])
@pytest.mark.parametrize("method", ["backward", "central", "five-point", "adaptive"])
def test_first_derivatives(kind, method):
    # The adaptive method shrinks its steps below 1e-8 here, and its bar says what that costs.
    rtol = {"backward": 1e-5, "adaptive": 1e-5}.get(method, 1e-7)
    gradient = fd.gradient(lambda z: float(rows(kind, z).sum()), X, method=method, full_output=True)
    dense = fd.jacobian(lambda z: rows(kind, z), X, method=method, full_output=True)
    np.testing.assert_allclose(gradient.value, EXACT, rtol=rtol)
    np.testing.assert_allclose(dense.value, np.diag(EXACT), rtol=rtol, atol=1e-9)
    for result in (gradient, dense):
        status = np.atleast_1d(result.status)
        assert status[..., 0].ravel()[0] != fd.Status.RULE
        assert np.all(np.abs(result.value - (EXACT if result is gradient else np.diag(EXACT))) <= result.error)


@pytest.mark.parametrize("kind", ["nan", "inf", "raise"])
def test_sparse_jacobians(kind):
    result = fd.jacobian(lambda z: rows(kind, z), X, sparsity=np.eye(3), full_output=True)
    value = result.value.toarray() if hasattr(result.value, "toarray") else np.asarray(result.value)
    np.testing.assert_allclose(value, np.diag(EXACT), rtol=1e-7, atol=1e-9)
    assert np.any(result.status != fd.Status.RULE)


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_vectorised_functions(kind):
    def many(z):
        return np.where(z[:, 0] < 0.0, outside(kind), np.exp(z[:, 0]) + z[:, 1] ** 2 + np.sin(z[:, 2]))

    result = fd.gradient(many, X, vectorized=True, full_output=True)
    np.testing.assert_allclose(result.value, EXACT, rtol=1e-7)
    assert result.status[0] != fd.Status.RULE


@pytest.mark.parametrize("kind", ["nan", "inf", "raise"])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_hessians(kind, accuracy):
    x = np.array([1e-4, 1.0, 2.0])
    result = fd.hessian(lambda z: float(rows(kind, z).sum()), x, accuracy=accuracy, full_output=True)
    want = np.diag([np.exp(1e-4), 2.0, -np.sin(2.0)])
    assert np.all(result.status == fd.Status.SHRUNK)
    assert np.all(np.abs(result.value - want) <= result.error)


@pytest.mark.parametrize("method", ["forward", "backward", "central", "five-point", "adaptive"])
def test_bounds_are_kept(method):
    seen = []

    def f(z):
        seen.append(z.copy())
        return float(rows("raise", z).sum())

    x = np.array([0.0, 1.0, 2.0])
    value = fd.gradient(f, x, method=method, bounds=(x, np.inf))
    assert np.min(seen - x) >= 0.0
    np.testing.assert_allclose(value, [1.0, 2.0, np.cos(2.0)], rtol=1e-6)
