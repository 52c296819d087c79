"""The short way that `gradient` takes with default settings: an engine is handed on from one call to the next."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import fdcore as fd

X = np.array([0.3, -1.2, 2.0])


def longer(f, x, **options):
    """The same by a plan."""
    return fd.Gradient(f, **options)(x)


def test_it_gives_what_a_plan_gives():
    def f(x):
        return np.sin(x[0]) * x[1] + x[2] ** 3

    assert fd.gradient(f, X).tobytes() == longer(f, X).tobytes()
    out = np.empty(3)
    assert fd.gradient(f, X, out=out) is out
    assert out.tobytes() == longer(f, X).tobytes()


def test_nothing_is_learnt_from_one_function_for_the_next():
    def single(x):
        return np.float32(x[0] ** 2)

    def double(x):
        return x[0] ** 2 + x[1]

    before = fd.gradient(double, X)
    assert fd.gradient(single, X).tobytes() == longer(single, X).tobytes()
    assert fd.gradient(double, X).tobytes() == before.tobytes()
    assert fd.gradient(lambda x: x @ x, np.ones(5)) == pytest.approx(np.full(5, 2.0), abs=1e-8)
    assert fd.gradient(double, X).tobytes() == before.tobytes()


def test_f_may_call_gradient_itself():
    def inner(y):
        return y @ y

    def outer(x):
        return fd.gradient(inner, x).sum()

    assert fd.gradient(outer, X) == pytest.approx(np.full(3, 2.0), abs=1e-4)


def test_a_failure_leaves_no_trace():
    def bad(x):
        raise ZeroDivisionError("of f's own")

    with pytest.raises(ZeroDivisionError) as caught:
        fd.gradient(bad, X)
    assert any("while perturbing x[0]" in note for note in caught.value.__notes__)
    with pytest.raises(fd.ShapeError):
        fd.gradient(lambda x: x, X)
    with pytest.raises(fd.NonFiniteError):
        fd.gradient(lambda x: np.nan, X)
    with pytest.raises(fd.FdcoreError, match="not finite"):
        fd.gradient(lambda x: 0.0, np.array([1.0, np.inf]))
    assert fd.gradient(lambda x: x.sum(), X) == pytest.approx(np.ones(3), abs=1e-9)


def test_f_is_let_go_of():
    def f(x):
        return x[0]

    reference = weakref.ref(f)
    fd.gradient(f, X)
    del f
    gc.collect()
    assert reference() is None


def test_an_argument_that_f_keeps_is_f_s():
    kept = []

    def f(x):
        kept.append(x)
        return x[0] * x[1]

    fd.gradient(f, X[:2].copy())
    values = [x.copy() for x in kept]
    fd.gradient(lambda x: x[0], np.ones(2))
    assert len({id(x) for x in kept}) == len(kept)
    for now, then in zip(kept, values, strict=True):
        assert now.tobytes() == then.tobytes()


def test_calls_from_several_threads_do_not_meet():
    wrong = []

    def run(k):
        def f(x):
            return k * x[0] + x[1]

        for _ in range(200):
            value = fd.gradient(f, np.ones(2))
            if abs(value[0] - k) > 1e-6:
                wrong.append((k, value))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
