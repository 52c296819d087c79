"""Native callbacks on several threads: the same bits and the same errors as on one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import fdcore as fd

pytestmark = pytest.mark.threads

N, M = 60, 17
WORKERS = (1, 2, 3, 7, -1, None)
RULES = (
    [("forward", p) for p in range(1, 9)] + [("backward", p) for p in (1, 4)] + [("central", p) for p in (2, 4, 6, 8)]
)
CPUS = fd.build_config()["cpus"]
TWO_CPUS = pytest.mark.skipif(CPUS < 2, reason="needs two processors")


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(5).uniform(-2.0, 2.0, N)


def bits(result: Any) -> tuple[bytes, ...]:
    if isinstance(result, fd.Result):
        return tuple(np.asarray(part).tobytes() for part in (result.value, result.error, result.step, result.status))
    return (result.tobytes(),)


@pytest.mark.parametrize(("method", "accuracy"), RULES)
def test_gradient_has_the_same_bits(native, x, method, accuracy):
    f = native("smooth", m=1)
    serial = fd.gradient(f, x, method=method, accuracy=accuracy, workers=1)
    for workers in WORKERS:
        for _ in range(5):
            result = fd.gradient(f, x, method=method, accuracy=accuracy, workers=workers)
            assert bits(result) == bits(serial), workers


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("method", "accuracy"), RULES[::3])
def test_jacobian_has_the_same_bits_in_any_order_of_memory(native, x, method, accuracy, order):
    f = native("smooth", m=M)
    serial = fd.jacobian(f, x, method=method, accuracy=accuracy, workers=1)
    for workers in WORKERS:
        out = np.full((M, N), np.nan, order=order)
        assert fd.jacobian(f, x, method=method, accuracy=accuracy, workers=workers, out=out) is out
        assert out.tobytes("C") == serial.tobytes("C"), workers


def test_error_bars_steps_and_bounds_too(native, x):
    f = native("smooth", m=M)
    bounds = (x - np.where(np.arange(N) % 3, 1.0, 0.0), x + np.where(np.arange(N) % 4, 1e-7, 1.0))
    serial = fd.jacobian(f, x, bounds=bounds, full_output=True, workers=1)
    assert len(set(serial.status)) > 1
    for workers in WORKERS:
        result = fd.jacobian(f, x, bounds=bounds, full_output=True, workers=workers)
        assert bits(result) == bits(serial), workers
        assert result.nfev == serial.nfev


@TWO_CPUS
@pytest.mark.parametrize(("workers", "most"), [(1, 1), (2, 2), (3, 3), (None, CPUS)])
def test_threads_run_at_once(native, x, workers, most):
    state = np.array([2000, 0, 0], dtype=np.int64)
    fd.gradient(native("slow", m=1, user_data=state), x, workers=workers)
    assert state[2] == most


@TWO_CPUS
def test_one_at_a_time_where_the_callback_is_not_reentrant(native, x):
    state = np.array([500, 0, 0], dtype=np.int64)
    fd.gradient(native("slow", m=1, user_data=state, reentrant=False), x, workers=7)
    assert state[2] == 1


@pytest.mark.parametrize("workers", WORKERS)
def test_the_lowest_failing_column_counts(native, x, workers):
    rng = np.random.default_rng(0)
    for _ in range(30):
        data = np.concatenate([x, np.zeros(N)])
        failing = np.sort(rng.choice(N, 5, replace=False))
        data[N + failing] = 100 + failing
        with pytest.raises(fd.CallbackError) as caught:
            fd.jacobian(native("refuse", m=M, user_data=data), x, workers=workers)
        assert caught.value.status == 100 + failing[0]
        assert f"x[{failing[0]}]" in str(caught.value)


@pytest.mark.parametrize("shared", [True, False])
def test_several_python_threads_at_once(native, x, shared):
    """Whoever finds the pool in use works alone; all get the same bits."""
    f = native("smooth", m=M)
    plan = fd.Jacobian(f, workers=2)
    expected = plan(x).tobytes()
    barrier = threading.Barrier(6)
    wrong: list[object] = []

    def call() -> None:
        mine = plan if shared else fd.Jacobian(f, workers=2)
        barrier.wait()
        try:
            for _ in range(30):
                if mine(x).tobytes() != expected:
                    wrong.append("other bits")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_several_python_threads_with_python_callables():
    """One plan, points of several lengths, settings that are expanded to each length."""
    import sys

    def f(x):
        return float(np.sum(np.sin(x) * x[::-1]))

    plan = fd.Gradient(f, bounds=(-3.0, 3.0), rel_step=1e-5)
    points = [np.linspace(-2.0, 2.5, n) for n in (3, 20, 7, 50, 11, 5)]
    expected = [fd.gradient(f, x, bounds=(-3.0, 3.0), rel_step=1e-5).tobytes() for x in points]
    wrong: list[object] = []

    def call(k: int) -> None:
        try:
            for _ in range(40):
                if plan(points[k]).tobytes() != expected[k]:
                    wrong.append(k)
        except Exception as error:
            wrong.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=call, args=(k,)) for k in range(len(points))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []


def test_a_plan_called_by_its_own_function_with_another_length():
    """The outer run's steps and bounds must outlive the inner run."""
    inner_calls = []

    def f(x):
        if len(x) == 6:
            inner_calls.append(plan(x[:2]))
            garbage = [np.full(6, np.nan) for _ in range(50)]
            del garbage
        return float(x @ x)

    plan = fd.Gradient(f, bounds=(-10.0, 10.0), abs_step=2.0**-10)
    x = np.arange(1.0, 7.0)
    np.testing.assert_allclose(plan(x), 2 * x, rtol=1e-12)
    np.testing.assert_allclose(inner_calls[0], 2 * x[:2], rtol=1e-2)
