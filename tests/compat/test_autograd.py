"""`fdcore.compat.autograd` beside autograd's own check."""

from __future__ import annotations

import numpy as np
import pytest

import fdcore as fd
from fdcore.compat.autograd import check_grads

anp = pytest.importorskip("autograd.numpy")
pytestmark = pytest.mark.frameworks

X = np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0])
def test_small_objectives_are_no_way_out(factor):  # A4
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads as theirs

    square = primitive(lambda x: 1e-8 * x**2)
    defvjp(square, lambda ans, x: lambda g: factor * g * 2e-8 * x)
    theirs(square, modes=["rev"], order=1)(X)  # passes
    with pytest.raises(AssertionError, match=r"^wrong"):
        check_grads(square, modes=["rev"], order=1)(X)


@pytest.mark.parametrize(
    ("f", "args", "argnum", "count"),
    [
        (lambda x, y: anp.sin(x) * y, (X, np.ones(3)), 0, 6),
        (lambda x, y: anp.sin(x) * y, (X, np.ones(3)), (0, 1), 6),
        (lambda x, n: x**n, (0.3, 3), 0, 6),
        (lambda x, *, k: anp.dot(x, x) * k, (X,), 0, 6),
        (lambda z: anp.abs(z) ** 2 * z + anp.sin(z), (X + 1j,), 0, 6),
        (lambda x: anp.real(anp.exp(1j * x)), (X,), 0, 6),
    ],
    ids=["first", "both", "number", "keyword", "complex", "real part"],
)
def test_correct(f, args, argnum, count):
    options = {"k": 2.0} if len(args) == 1 and "k" in f.__code__.co_varnames else {}
    checks = check_grads(f, argnum)(*args, **options)
    assert len(checks) == count
    assert {check.verdict for check in checks} == {"agrees"}


def test_the_second_argument_counts_when_it_is_named():
    from autograd.extend import defvjp, primitive

    product = primitive(lambda x, y: x * y)
    defvjp(product, lambda ans, x, y: lambda g: g * y, lambda ans, x, y: lambda g: g * y)
    assert check_grads(product, 0, modes=["rev"], order=1)(X, X + 1)
    with pytest.raises(AssertionError) as caught:
        check_grads(product, (0, 1), modes=["rev"], order=1)(X, X + 1)
    assert {entry.parameter for entry in caught.value.check.wrong} == {"args[1]"}
    assert caught.value.__notes__ == ["in the VJP of the function"]


def test_second_order():
    from autograd.extend import defvjp, primitive

    @primitive
    def lossy(x):
        return x * 1.0

    defvjp(lossy, lambda ans, x: lambda g: g * 0.0)

    cube = primitive(lambda x: x**3)
    defvjp(cube, lambda ans, x: lambda g: 3 * g * x * lossy(x))
    assert check_grads(cube, modes=["rev"], order=1)(X)
    with pytest.raises(AssertionError) as caught:
        check_grads(cube, modes=["rev"], order=2)(X)
    assert caught.value.__notes__ == ["in the VJP of the VJP of the function"]


def test_misuse():
    with pytest.raises(fd.ArgumentError):
        check_grads(anp.sin, order=0)
    with pytest.raises(fd.ArgumentError):
        check_grads(anp.sin, modes=["up"])
