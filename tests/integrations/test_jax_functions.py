"""JAX functions of pytrees: gradients and custom rules, right and wrong ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import fdcore as fd

jax = pytest.importorskip("jax", reason="needs jax")
import jax.numpy as jnp  # noqa: E402

from fdcore.integrations.jax import check, numeric_gradient  # noqa: E402


def params():
    rng = np.random.default_rng(0)
    layers = [{"W": jnp.asarray(rng.normal(size=s)), "b": jnp.zeros(s[0]) + 0.1} for s in ((3, 2), (1, 3))]
    return {"layers": layers, "scale": 0.5, "steps": 3}


def loss(p, x):
    for layer in p["layers"]:
        x = jnp.tanh(layer["W"] @ x + layer["b"])
    return p["scale"] * jnp.sum(x**2) * p["steps"]


X = np.array([0.3, -0.7])


def test_a_pytree_agrees_by_path():
    result = check(loss, params(), X, x64=True)
    assert result.verdict == "agrees"
    assert [row.name for row in result.parameters] == [
        "layers[0].W",
        "layers[0].b",
        "layers[1].W",
        "layers[1].b",
        "scale",
    ]
    assert result.detection_limit < 1e-8
    assert not result.notes


def test_the_numeric_gradient_is_jax_s_in_double_precision():
    with jax.enable_x64(True):
        exact = jax.grad(lambda p: loss({**p, "steps": 3}, X))({k: v for k, v in params().items() if k != "steps"})
    for vectorized in (False, True):
        found = numeric_gradient(loss, params(), X, vectorized=vectorized)
        assert found["steps"] is None
        np.testing.assert_allclose(found["scale"], exact["scale"], rtol=1e-8)
        for mine, theirs in zip(found["layers"], exact["layers"], strict=True):
            np.testing.assert_allclose(mine["W"], theirs["W"], rtol=1e-6, atol=1e-9)
    assert not jax.config.jax_enable_x64


def test_single_precision_is_noted_with_what_to_do():
    result = check(loss, params(), X)
    assert result.verdict != "wrong"
    (note,) = [note for note in result.notes if note.label == "dtype"]
    assert "x64=True" in note.message


def test_a_gradient_of_one_s_own():
    right = jax.grad(loss, allow_int=True)
    assert check(loss, params(), X, grad=right, x64=True).verdict == "agrees"

    def wrong(p, x):
        g = right(p, x)
        g["layers"][0]["W"] = g["layers"][0]["W"].at[1, 1].multiply(1.001)
        return g

    result = check(loss, params(), X, grad=wrong, x64=True)
    assert [entry.name for entry in result.wrong] == ["layers[0].W[1, 1]"]


def reverse_rule(factor):
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x) * x

    f.defvjp(lambda x: (f(x), x), lambda x, c: (c * (jnp.sin(x) + factor * x * jnp.cos(x)),))
    return f


def forward_rule(factor):
    @jax.custom_jvp
    def f(x):
        return jnp.exp(x)

    f.defjvp(lambda primals, tangents: (f(primals[0]), factor * jnp.exp(primals[0]) * tangents[0]))
    return f


def test_custom_vjp():
    x = np.array([0.3, 1.2, -0.4])
    assert check(reverse_rule(1.0), x, x64=True).verdict == "agrees"
    wrong = check(reverse_rule(2.0), x, x64=True)
    assert wrong.verdict == "wrong"
    assert {entry.parameter for entry in wrong.wrong} == {"x"}
    inside = check(lambda p: jnp.sum(reverse_rule(0.0)(p["a"])) + p["b"] ** 2, {"a": x, "b": 2.0}, x64=True)
    assert [row.name for row in inside.parameters if row.verdict == "wrong"] == ["a"]


@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("rev", "fwd")])
def test_custom_jvp(modes):
    x = np.array([0.3, 1.2])
    assert check(forward_rule(1.0), x, modes=modes, x64=True).verdict == "agrees"
    wrong = check(forward_rule(0.5), x, modes=modes, x64=True)
    assert wrong.verdict == "wrong"
    assert wrong.diagnoses[0].label == "factor"
    assert all(entry.ratio == pytest.approx(0.5) for entry in wrong.wrong)


def test_other_containers_and_outputs():
    class Point(NamedTuple):
        x: jax.Array
        y: jax.Array

    result = check(lambda p: {"a": p.x * p.y, "b": p.x}, Point(jnp.ones(2), 2.0 * jnp.ones(2)), x64=True)
    assert result.verdict == "agrees"
    assert [row.name for row in result.parameters] == ["x", "y"]
    assert check(lambda x: jnp.sum(x) ** 2, jnp.ones(2), modes=("rev", "fwd"), x64=True).verdict == "agrees"
    untraceable = check(lambda x: x**2 if float(x) > 0 else -x, 1.5, jit=False, x64=True, grad=lambda x: 2 * x)
    assert untraceable.verdict == "agrees"


def test_what_cannot_be_used_is_refused_by_name():
    with pytest.raises(fd.ArgumentError, match="no floating-point leaf"):
        check(lambda p: p["k"], {"k": 3})
    with pytest.raises(fd.ArgumentTypeError, match="z is complex"):
        check(lambda p: jnp.abs(p["z"]), {"z": 1j})
    with pytest.raises(fd.ShapeError, match="2 values"):
        check(lambda x: x, np.ones(2), grad=lambda x: x)
    with pytest.raises(fd.ShapeError, match="2 values"):
        numeric_gradient(lambda x: x, np.ones(2))
    with pytest.raises(fd.ArgumentError, match="modes"):
        check(lambda x: x, 1.0, modes=("both",))
    with pytest.raises(fd.ArgumentTypeError, match="must be a function"):
        check(3, 1.0)
    with pytest.raises(fd.ArgumentTypeError, match="bfloat16"):
        check(lambda x: x, jnp.ones((), dtype=jnp.bfloat16))
    with pytest.raises(fd.ArgumentError, match="full_output"):
        numeric_gradient(lambda x: x, 1.0, full_output=True)
