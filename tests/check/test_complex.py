"""Complex parameters and values: pairs of real numbers, in each convention that is in use."""

from __future__ import annotations

import numpy as np
import pytest

import fdcore as fd
from fdcore.tree import flatten

RNG = np.random.default_rng(0)
B = RNG.standard_normal(4) + 1j * RNG.standard_normal(4)
POINT = {
    "A": RNG.standard_normal((4, 4)) + 1j * RNG.standard_normal((4, 4)),
    "b": RNG.standard_normal(4),
    "c": 0.3 + 0.2j,
}


def f(p):
    y = p["A"] @ B + p["b"] * p["c"]
    return float(np.sum(np.abs(y) ** 2) + np.sum((p["A"] ** 2).real) + np.sin(p["c"].imag))


def gradient(p):
    g = 2.0 * (p["A"] @ B + p["b"] * p["c"])
    return {
        "A": g[:, None] * B.conj() + 2.0 * p["A"].conj(),
        "b": (g.conj() * p["c"]).real,
        "c": (g * p["b"]).sum() + 1j * np.cos(p["c"].imag),
    }


def changed(change):
    return lambda p: {k: change(v) if np.iscomplexobj(v) else v for k, v in gradient(p).items()}


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
@pytest.mark.parametrize(
    ("convention", "change"),
    [("torch", lambda v: v), ("jax", np.conj), ("wirtinger", lambda v: v / 2)],
)
def test_each_convention_is_right_by_itself_and_wrong_by_another(mode, convention, change):
    check = fd.check_gradient(f, changed(change), POINT, mode=mode, convention=convention)
    assert check.verdict == "agrees"
    assert check.detection_limit < 1e-6
    for other in {"torch", "jax", "wirtinger"} - {convention}:
        assert fd.check_gradient(f, changed(change), POINT, mode=mode, convention=other).verdict == "wrong"


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
@pytest.mark.parametrize(
    ("change", "label"),
    [
        (np.conj, "conjugate"),
        (lambda v: v / 2, "wirtinger"),
        (lambda v: v.conj() / 2, "wirtinger"),
        (lambda v: -v, "sign"),
        (lambda v: 3 * v, "factor"),
    ],
)
def test_bugs_are_named(mode, change, label):
    check = fd.check_gradient(f, changed(change), POINT, mode=mode)
    assert check.verdict == "wrong"
    assert [d.label for d in check.diagnoses] == [label]
    assert {p.name for p in check.parameters if p.verdict == "wrong"} == {"A", "c"}


def test_places_are_named():
    def only(p):
        g = gradient(p)
        g["A"][1, 2] += 0.1j
        return g

    for mode in ("elementwise", "projected"):
        check = fd.check_gradient(f, only, POINT, mode=mode)
        assert [(e.name, e.index, e.part) for e in check.wrong] == [("A[1, 2].im", (1, 2), "im")]
        assert [d.label for d in check.diagnoses] == ["single-entry"]
    check = fd.check_gradient(f, lambda p: gradient(p) | {"A": gradient(p)["A"].T}, POINT)
    assert [d.label for d in check.diagnoses] == ["transpose"]
    check = fd.check_gradient(f, lambda p: gradient(p) | {"A": gradient(p)["A"].real}, POINT)
    assert "imaginary parts are wrong" in check.diagnoses[0].message


def test_single_precision():
    point = {k: np.asarray(v, np.complex64 if np.iscomplexobj(v) else np.float32) for k, v in POINT.items()}
    check = fd.check_gradient(f, gradient, point)
    assert check.verdict == "agrees"
    assert [n.label for n in check.notes] == ["dtype"]


def test_trees_of_pairs():
    z = np.array([[1 + 2j, 3 - 4j]])
    with pytest.raises(fd.ArgumentTypeError, match="complex"):
        flatten(z)
    vector, tree = flatten({"z": z, "x": 5.0}, complex_leaves=True)
    assert vector.tolist() == [1, 2, 3, -4, 5]
    assert (tree.name(1), tree.name(3), tree.name(4)) == ("z[0, 0].im", "z[0, 1].im", "x")
    back = tree.unflatten(vector)
    assert np.array_equal(back["z"], z)
    back["z"][0, 0] = 7j
    assert vector[:2].tolist() == [0, 7]  # a view
    assert tree.collect({"z": np.ones((1, 2)), "x": 1.0})[0].tolist() == [1, 0, 1, 0, 1]
    problem = tree.collect({"z": np.ones((2, 2)), "x": 1.0})[1][0]
    assert problem.message == "z: shape (2, 2), but the parameter has (1, 2)"


A = RNG.standard_normal((4, 3)) + 1j * RNG.standard_normal((4, 3))
Z = RNG.standard_normal(3) + 1j * RNG.standard_normal(3)


def g(z):
    return np.exp(0.3 * A @ z)


def jac(z):
    return 0.3 * g(z)[:, None] * A


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
def test_jacobians(mode):
    assert fd.check_jacobian(g, jac, Z, mode=mode)
    assert fd.check_jacobian(g, jac, Z.real, mode=mode)
    assert fd.check_jacobian(lambda z: np.abs(A @ z) ** 2, lambda z: 2 * (A @ z)[:, None] * A.conj(), Z, mode=mode)
    assert fd.check_jacobian(lambda p: g(p["z"]), lambda p: {"z": jac(p["z"])}, {"z": Z}, mode=mode)
    assert fd.check_jacobian(g, lambda z: jac(z).conj(), Z, mode=mode).verdict == "wrong"

    def one(x):
        found = jac(x)
        found[2, 1] *= 1.01
        return found

    check = fd.check_jacobian(g, one, Z.real, mode=mode)
    assert {e.index[0] for e in check.wrong} == {2}
    assert {e.index[-1] for e in check.wrong} == {1}


def test_products():
    def jvp(z, u):
        return jac(z) @ u

    def vjp(z, v):
        return jac(z).conj().T @ v

    def jax_vjp(z, v):
        return jac(z).T @ v

    assert fd.check_vjp(g, vjp, Z, jvp=jvp).notes == ()
    assert fd.check_vjp(g, vjp, Z, jvp=jvp)
    assert fd.check_jvp(g, jvp, Z, vjp=vjp)
    assert fd.check_vjp(g, jax_vjp, Z, jvp=jvp, convention="jax")
    wrong = fd.check_vjp(g, jax_vjp, Z, jvp=jvp)
    assert wrong.verdict == "wrong"
    assert "the reverse mode (J' v) is wrong" in wrong.notes[0].message
    assert fd.check_jvp(g, lambda z, u: jvp(z, u).conj(), Z).verdict == "wrong"
    with pytest.raises(fd.ArgumentError, match="convention"):
        fd.check_vjp(g, vjp, Z, convention="wirtinger")
