"""Hessians and their products with vectors, small and large, dense and sparse."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fdcore as fd


def f(x):
    return float(np.sum(np.sin(x)) + np.sum(x[1:] * x[:-1] ** 2))


def grad(x):
    g = np.cos(x)
    g[1:] += x[:-1] ** 2
    g[:-1] += 2.0 * x[1:] * x[:-1]
    return g


def hess(x):
    d = -np.sin(x)
    d[:-1] += 2.0 * x[1:]
    return sp.csr_array(sp.diags_array([2.0 * x[:-1], d, 2.0 * x[:-1]], offsets=[-1, 0, 1]))


def point(n):
    return np.random.default_rng(3).standard_normal(n)


def pair_off(x):
    h = hess(x).tolil()
    h[5, 6] += 0.1
    h[6, 5] += 0.1
    return h.tocsr()


BUGS = {
    "triangle": (lambda x: sp.csr_array(sp.tril(hess(x))), "triangle", ["not-symmetric"]),
    "diagonal alone": (lambda x: sp.csr_array(sp.diags_array(hess(x).diagonal())), "off-diagonal", []),
    "twice": (lambda x: 2.0 * hess(x), "factor", []),
    "one pair": (pair_off, None, []),
}


@pytest.mark.parametrize("known", [None, grad], ids=["f", "grad"])
@pytest.mark.parametrize("n", [12, 3000])
def test_correct(n, known):
    check = fd.check_hessian(f, hess, point(n), grad=known)
    assert check.verdict == "agrees"
    assert check.detection_limit < 1e-4
    assert check.notes == ()
    check = fd.check_hvp(f, lambda x, v: hess(x) @ v, point(n), grad=known)
    assert check.verdict == "agrees"
    assert check.detection_limit < 1e-4
    assert check.notes == ()


@pytest.mark.parametrize("known", [None, grad], ids=["f", "grad"])
@pytest.mark.parametrize("name", BUGS)
def test_bugs_are_named(name, known):
    wrong, label, notes = BUGS[name]
    check = fd.check_hessian(f, wrong, point(12), grad=known)
    assert check.verdict == "wrong"
    assert [n.label for n in check.notes] == notes
    if label:
        assert [d.label for d in check.diagnoses] == [label]
    else:
        assert {e.name for e in check.wrong} == {"J[5, 6]", "J[6, 5]"}


@pytest.mark.parametrize("name", BUGS)
def test_bugs_of_a_large_one_are_found_without_a_dense_matrix(name):
    wrong, label, notes = BUGS[name]
    check = fd.check_hessian(f, wrong, point(3000), grad=grad)
    assert check.verdict == "wrong"
    assert [n.label for n in check.notes] == notes
    assert check.nfev < 1500
    assert all(entry.parameter == "J" for entry in check.wrong)
    if label is None:
        assert {e.name for e in check.wrong} == {"J[5, 6]", "J[6, 5]"}
    if label == "factor":
        assert [d.label for d in check.diagnoses] == [label]
    products = fd.check_hvp(f, lambda x, v: wrong(x) @ v, point(3000))
    assert products.verdict == "wrong"
    assert [n.label for n in products.notes] == notes


def test_products_of_a_tree():
    at = {"a": point(4), "b": 0.5}

    def flat(p):
        return np.append(p["a"], p["b"])

    def product(p, v):
        hv = hess(flat(p)) @ flat(v)
        return {"a": hv[:4], "b": hv[4]}

    assert fd.check_hvp(lambda p: f(flat(p)), product, at)
    check = fd.check_hvp(lambda p: f(flat(p)), lambda p, v: product(p, v) | {"b": 0.0}, at)
    assert [e.name for e in check.wrong] == ["b"]
    assert fd.check_hvp(f, lambda x, v: hess(x) @ v**3, point(5)).notes[-1].label == "not-linear"
    with pytest.raises(fd.ArgumentError, match="mode"):
        fd.check_hessian(f, hess, point(5), mode="all")


def test_a_large_sparse_jacobian_names_its_entries():
    n = 3000
    x = point(n)

    def g(x):
        return np.sin(x) + np.roll(x, 1) ** 2

    def jac(x):
        k = np.arange(n)
        return sp.csr_array(sp.diags_array(np.cos(x))) + sp.csr_array((2 * np.roll(x, 1), (k, (k - 1) % n)))

    def wrong(x):
        j = jac(x).tolil()
        j[777, 776] *= 1.01
        return j.tocsr()

    assert fd.check_jacobian(g, jac, x).nfev <= 80
    check = fd.check_jacobian(g, wrong, x)
    assert [e.name for e in check.wrong] == ["J[777, 776]"]
    assert check.wrong[0].ratio == pytest.approx(1.01)
    assert [d.label for d in fd.check_jacobian(g, lambda x: jac(x).T, x).diagnoses] == ["transpose"]
    assert [d.label for d in fd.check_jacobian(g, lambda x: 2 * jac(x), x).diagnoses] == ["factor"]


@pytest.mark.parametrize(
    ("forward", "reverse", "side"),
    [(2.0, 1.0, "the forward mode (J u) is wrong"), (1.0, 2.0, "the reverse mode (J' v) is wrong"), (3.0, 2.0, "both")],
)
def test_the_dot_product_says_which_side_is_wrong(forward, reverse, side):
    x = point(300)
    check = fd.check_vjp(
        lambda x: np.sin(x) * x[0],
        lambda x, v: reverse * (np.cos(x) * x[0] * v + np.eye(300)[0] * (np.sin(x) @ v)),
        x,
        jvp=lambda x, u: forward * (np.cos(x) * x[0] * u + np.sin(x) * u[0]),
    )
    assert side in check.notes[0].message
