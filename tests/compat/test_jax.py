"""`fdcore.compat.jax` beside JAX's own check."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import fdcore as fd
from fdcore.compat.jax import check_grads

jax = pytest.importorskip("jax")
jnp = jax.numpy
pytestmark = pytest.mark.frameworks


def test_signature():
    from jax.test_util import check_grads as theirs

    def shape(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    assert shape(check_grads) == shape(theirs)


@pytest.mark.parametrize("n", [100, 10_000])
def test_correct_in_float32_where_theirs_fails(n):  # A3
    x = jnp.linspace(0.5, 1.5, n)
    checks = check_grads(lambda x: jnp.sum(x**2), (x,), 1, modes=["rev"])
    assert [check.verdict for check in checks] == ["agrees"]


@pytest.mark.parametrize("factor", [-1.0, 1.5, 0.0])
def test_wrong_forward_mode_in_float32(factor):  # A2
    @jax.custom_jvp
    def sin(x):
        return jnp.sin(x)

    sin.defjvp(lambda primals, tangents: (sin(*primals), factor * jnp.cos(primals[0]) * tangents[0]))
    with pytest.raises(AssertionError, match=r"^wrong") as caught:
        check_grads(sin, (jnp.linspace(0.1, 1.0, 1000),), order=1, modes=["fwd"])
    assert caught.value.__notes__ == ["in the JVP of the function"]


def test_one_zeroed_entry_of_many():  # A3
    n = 10_000

    @jax.custom_vjp
    def f(x):
        return jnp.sum(x**2)

    f.defvjp(lambda x: (f(x), x), lambda x, g: ((2 * x * g).at[n // 3].set(0.0),))
    with pytest.raises(AssertionError) as caught:
        check_grads(f, (jnp.linspace(0.5, 1.5, n),), 1, modes=["rev"])
    assert [entry.index for entry in caught.value.check.wrong] == [(n // 3,)]


def test_no_value_is_no_pass():  # A7
    with pytest.raises(AssertionError, match="cannot tell"):
        check_grads(lambda x: jnp.sum(jnp.sqrt(x)), (jnp.array([-1.0, 2.0]),), 1, modes=["rev"])


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision(dtype):
    x = jnp.array([0.5, 1.0, 1.5], dtype)
    if dtype == jnp.bfloat16:
        with pytest.raises(fd.ArgumentError, match="bfloat16"):
            check_grads(lambda x: jnp.sum(x**2), (x,), 1)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fd.FdcoreWarning)  # "cannot tell" is allowed, "wrong" is not
            check_grads(lambda x: jnp.sum(x**2), (x,), 1)


def test_trees_and_order_two():
    def f(p, x):
        return {"out": jnp.sin(p["W"] * x + p["b"])}

    point = {"W": jnp.ones((1, 1)) * 0.3, "b": jnp.zeros(1)}
    assert len(check_grads(f, (point, jnp.float32(0.7)), 2)) == 6
    with pytest.raises(AssertionError) as caught:
        check_grads(bad_square, (point,), 1, modes=["rev"])
    assert {entry.parameter for entry in caught.value.check.wrong} == {"args[0]['b']"}


@jax.custom_vjp
def bad_square(p):
    return jnp.sum(p["W"] ** 2) + jnp.sum((p["b"] + 1.0) ** 2)


bad_square.defvjp(lambda p: (bad_square(p), p), lambda p, g: ({"W": 2 * p["W"] * g, "b": p["b"] + 1.0},))


def test_second_order_is_named():
    @jax.custom_jvp
    def f(x):
        return x**3

    # Right, but its own derivative is half of what it should be.
    f.defjvp(lambda p, t: (f(*p), 3 * p[0] * jax.lax.stop_gradient(p[0]) * t[0]))
    with pytest.raises(AssertionError, match="1/2 times") as caught:
        check_grads(f, (jnp.array([0.5, 1.5]),), 2, modes=["fwd"])
    assert caught.value.__notes__ == ["in the JVP of the JVP of the function"]


@pytest.mark.parametrize(
    "f", [lambda z: z * jnp.conj(z) * z + jnp.sin(z), jnp.abs, lambda z: jnp.exp(1j * z.real)], ids=["cc", "cr", "rc"]
)
def test_complex(f):
    z = jnp.array([1 + 2j, -0.5 + 0.3j])
    assert len(check_grads(f, (z,), 1)) == 2


@pytest.mark.parametrize(
    ("args", "order", "modes"),
    [((1.0,), 0, ["fwd"]), ((1.0,), 1, ["up"]), ((1.0,), 1, []), ((np.arange(3),), 1, ["fwd"])],
)
def test_misuse(args, order, modes):
    with pytest.raises(fd.ArgumentError):
        check_grads(lambda x: x, args, order, modes)
