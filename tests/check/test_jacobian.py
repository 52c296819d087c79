"""Jacobians, their products with vectors, and Hessians."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import fdcore as fd

A = np.random.default_rng(0).standard_normal((4, 3))


def f(x):
    return np.tanh(A @ x) * 10.0 ** np.arange(4)


def jac(x):
    return (1 - np.tanh(A @ x) ** 2)[:, None] * A * 10.0 ** np.arange(4)[:, None]


X = np.array([0.3, -0.7, 0.2])


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
def test_correct(mode):
    check = fd.check_jacobian(f, jac, X, mode=mode)
    assert check.verdict == "agrees"
    assert check.nfev < 80
    assert check.detection_limit < 1e-6


def test_given_sparse_and_shaped():
    assert fd.check_jacobian(f, jac(X), X)
    assert fd.check_jacobian(f, scipy.sparse.csr_array(jac(X)), X)
    assert fd.check_jacobian(f, scipy.sparse.csr_array(jac(X)), X, mode="projected")
    square = X.reshape(3, 1)
    assert fd.check_jacobian(lambda x: f(x.ravel()).reshape(2, 2), lambda x: jac(x.ravel()).reshape(2, 2, 3, 1), square)


@pytest.mark.parametrize("row", range(4))
def test_one_wrong_entry_is_found_in_rows_of_any_size(row):
    def wrong(x):
        result = jac(x)
        result[row, 1] *= 1.001
        return result

    check = fd.check_jacobian(f, wrong, X)
    assert [e.name for e in check.wrong] == [f"J[{row}, 1]"]
    assert check.diagnoses[0].label == "single-entry"
    assert fd.check_jacobian(f, wrong, X, mode="projected").verdict == "wrong"


@pytest.mark.parametrize(
    ("change", "label"),
    [
        (lambda j: -j, "sign"),
        (lambda j: 2 * j, "factor"),
        (lambda j: j.T, "transpose"),
        (lambda j: j * np.array([1, 1, 3, 1])[:, None], "single-row"),
        (lambda j: j * [1, -1, 1], "single-column"),
    ],
)
def test_bugs_are_named(change, label):
    check = fd.check_jacobian(f, lambda x: change(jac(x)), X)
    assert check.verdict == "wrong"
    assert [d.label for d in check.diagnoses] == [label]


def test_trees():
    def g(p):
        return p["W"] @ X + p["b"]

    def good(p):
        return {"W": np.einsum("ij,k->ijk", np.eye(4), X), "b": np.eye(4)}

    point = {"W": A.copy(), "b": np.arange(4.0)}
    for mode in ("elementwise", "projected"):
        assert fd.check_jacobian(g, good, point, mode=mode)
    check = fd.check_jacobian(g, lambda p: good(p) | {"b": np.eye(4)[::-1]}, point)
    assert {e.parameter for e in check.wrong} == {"J.b"}
    assert fd.check_jacobian(g, lambda p: {"W": good(p)["W"]}, point).verdict == "wrong"


@pytest.mark.parametrize("size", [3, 400])
def test_products(size):
    x = np.random.default_rng(1).standard_normal(size)
    w = np.linspace(1, 2, size)

    def g(x):
        return np.sin(w * x) + x.mean()

    def jvp(x, u):
        return w * np.cos(w * x) * u + u.mean()

    def vjp(x, v):
        return w * np.cos(w * x) * v + v.sum() / size

    assert fd.check_jvp(g, jvp, x, vjp=vjp)
    assert fd.check_vjp(g, vjp, x, jvp=jvp)
    wrong = fd.check_jvp(g, lambda x, u: 2 * jvp(x, u), x, vjp=vjp)
    assert wrong.verdict == "wrong"
    assert "dot-product" in [n.label for n in wrong.notes]
    right = fd.check_vjp(g, vjp, x, jvp=lambda x, u: 2 * jvp(x, u))
    assert right.verdict == "agrees"
    assert "dot-product" in [n.label for n in right.notes]
    assert fd.check_vjp(g, lambda x, v: v * 0 + 1, x).verdict == "wrong"
    assert "not-linear" in [n.label for n in fd.check_vjp(g, lambda x, v: vjp(x, v * v), x).notes]


def test_vjp_of_a_tree():
    point = {"W": A.copy(), "b": np.zeros(4)}

    def vjp(p, v):
        return {"W": np.outer(v, X), "b": v}

    assert fd.check_vjp(lambda p: p["W"] @ X + p["b"], vjp, point)


def hess(x):
    return np.array([[2 * x[1] + np.exp(x[0]), 2 * x[0]], [2 * x[0], -np.cos(x[1])]])


def grad(x):
    return np.array([2 * x[0] * x[1] + np.exp(x[0]), x[0] ** 2 - np.sin(x[1])])


def scalar(x):
    return x[0] ** 2 * x[1] + np.exp(x[0]) + np.cos(x[1])


@pytest.mark.parametrize("known", [None, grad])
def test_hessian(known):
    x = np.array([1.0, 2.0])
    assert fd.check_hessian(scalar, hess, x, grad=known)
    check = fd.check_hessian(scalar, lambda x: np.tril(hess(x)), x, grad=known)
    assert check.verdict == "wrong"
    assert "only one triangle" in check.notes[0].message
    check = fd.check_hessian(scalar, lambda x: hess(x) * 1.01, x, grad=known)
    assert [d.label for d in check.diagnoses] == ["factor"]


def test_misuse():
    with pytest.raises(fd.ArgumentError):
        fd.check_jacobian(f, jac, X, mode="all")
    with pytest.raises(fd.ArgumentTypeError):
        fd.check_jacobian(lambda x: "y", jac, X)
    with pytest.raises(fd.ArgumentTypeError):
        fd.check_hessian(scalar, hess, {"a": X})
