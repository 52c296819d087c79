"""Jitted functions as native callbacks: of each form, with data, with errors that are seen."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import fdcore as fd

numba = pytest.importorskip("numba", reason="needs numba")
from fdcore.integrations.numba import native  # noqa: E402


@numba.njit
def rosen(x):
    total = 0.0
    for i in range(x.size - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def rosen_gradient(x):
    g = np.zeros_like(x)
    g[:-1] = -400.0 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * (x[1:] - x[:-1] ** 2)
    return g


@numba.njit
def tridiagonal(x, out):
    for i in range(x.size):
        out[i] = x[i] ** 2 + (x[i - 1] if i else 0.0)


@numba.njit
def squares(x):
    return x**2


X = np.linspace(-1.0, 2.0, 7)


def test_a_number():
    f = native(rosen)
    assert (f.m, f.n) == (1, -1)
    np.testing.assert_allclose(fd.gradient(f, X), rosen_gradient(X), rtol=1e-7, atol=1e-6)
    # The same bits as the cfunc that one would write by hand, for any number of workers.
    signature = numba.float64(numba.intc, numba.types.CPointer(numba.float64))
    by_hand = numba.cfunc(signature)(lambda n, x: rosen(numba.carray(x, (n,))))
    for workers in (1, 2, 3):
        assert np.array_equal(fd.gradient(f, X, workers=workers), fd.gradient(by_hand, X, workers=1))


def test_arrays_returned_and_filled():
    exact = np.diag(2.0 * X) + np.diag(np.ones(6), -1)
    np.testing.assert_allclose(fd.jacobian(native(tridiagonal, m=7), X), exact, atol=1e-9)
    np.testing.assert_allclose(fd.jacobian(native(squares, n=7, m=7), X), np.diag(2.0 * X), atol=1e-9)
    with pytest.raises(fd.ShapeError):
        fd.jacobian(native(squares, n=7, m=7), X[:3])


def test_a_plain_function_is_compiled():
    assert fd.derivative(native(lambda x: x[0] ** 3), 2.0) == pytest.approx(12.0)


def test_data_is_seen_as_it_is_at_each_call():
    def loss(w, X, y, scale, power):
        total = 0.0
        for i in range(len(y)):
            r = -y[i]
            for j in range(len(w)):
                r += X[i, j] * w[j]
            total += r**power
        return scale * total

    rng = np.random.default_rng(0)
    data, y, w = rng.normal(size=(20, 3)), rng.normal(size=20), rng.normal(size=3)
    f = native(loss, args=(data, y, 0.5, 2))
    np.testing.assert_allclose(fd.gradient(f, w), data.T @ (data @ w - y), rtol=1e-7)
    y[:] = 0.0
    np.testing.assert_allclose(fd.gradient(f, w), data.T @ (data @ w), rtol=1e-7)
    # Gaps and other types are for native to see to.
    f = native(loss, args=(np.asfortranarray(data), np.arange(20), 0.5, 2))
    np.testing.assert_allclose(fd.gradient(f, w), data.T @ (data @ w - np.arange(20)), rtol=1e-7)


def test_it_keeps_its_data_and_no_longer():
    class Array(np.ndarray):
        pass

    y = np.ones(3).view(Array)
    seen = weakref.ref(y)
    f = native(lambda x, y: x[0] * y[0] + x[1] * y[2], args=(y,))
    del y
    gc.collect()
    np.testing.assert_allclose(fd.gradient(f, np.zeros(2)), 1.0)
    del f
    gc.collect()
    assert seen() is None


@numba.njit
def raises(x):
    if x[0] > 1.0:
        raise ValueError("not here")
    return x[0]


def test_exceptions_and_wrong_lengths_are_seen():
    assert fd.gradient(native(raises), [0.5]) == pytest.approx(1.0)
    with pytest.raises(fd.CallbackError) as caught:
        fd.gradient(native(raises), [1.0])
    assert caught.value.status == 1
    with pytest.raises(fd.CallbackError) as caught:
        fd.jacobian(native(squares, m=3), X)
    assert caught.value.status == 2


@numba.jit(forceobj=True)
def slow(x):
    return x[0]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: native(lambda x: x[0].nothing), fd.ArgumentError, "without Python objects.*GIL"),
        (lambda: native(slow), fd.ArgumentError, "forceobj"),
        (lambda: native(squares), fd.ArgumentError, r"native\(f, m=\.\.\.\)"),
        (lambda: native(rosen, m=2), fd.ArgumentError, "returns one number"),
        (lambda: native(lambda x, a, b: 1.0), fd.ArgumentError, r"takes \(x, a, b\), and args has 0"),
        (lambda: native(lambda x: "text"), fd.ArgumentError, "must return a real number"),
        (lambda: native(lambda x: 1j), fd.ArgumentError, "must return a real number"),
        (lambda: native(lambda x, out: 1.0, m=1), fd.ArgumentError, "must return nothing"),
        (lambda: native(rosen, args=("a",)), fd.ArgumentTypeError, r"args\[0\] is a str"),
        (lambda: native(3), fd.ArgumentTypeError, "not int"),
        (lambda: native(numba.cfunc("float64(float64)")(lambda x: x)), fd.ArgumentTypeError, "cfunc already"),
    ],
)
def test_errors_say_what_to_do(make, error, words):
    with pytest.raises(error, match=words):
        make()
