"""fork() after, and during, runs on several threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable

import numpy as np
import pytest

import fdcore as fd

pytestmark = [
    pytest.mark.threads,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*fork.*JAX:RuntimeWarning"),  # where JAX was imported by another test
]


def in_child(work: Callable[[], bool]) -> bool:
    """Whether work() says yes in a forked child; a child that hangs is ended by its alarm."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has a handler in Python
        signal.alarm(20)
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def slow(native):
    """A callback of 300 us, its state, and a point with its gradient: worth several threads."""
    state = np.array([300, 0, 0], dtype=np.int64)
    x = np.linspace(-1.0, 1.0, 40)
    f = native("slow", m=1, user_data=state)
    return f, state, x, fd.gradient(f, x, workers=1).tobytes()


def test_a_child_works_on_several_threads_again(slow):
    f, state, x, expected = slow
    assert fd.gradient(f, x, workers=3).tobytes() == expected

    def work() -> bool:
        state[2] = 0
        same = fd.gradient(f, x, workers=3).tobytes() == expected
        return same and (state[2] == 3 or fd.build_config()["cpus"] < 2) and in_child(grandchild)

    def grandchild() -> bool:
        return fd.gradient(f, x, workers=2).tobytes() == expected

    assert in_child(work)
    assert fd.gradient(f, x, workers=3).tobytes() == expected


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="ASan's malloc does not survive such a fork")
def test_fork_while_another_thread_is_at_it(slow):
    f, _, x, expected = slow
    stop = threading.Event()
    wrong = []

    def keep_busy() -> None:
        while not stop.is_set():
            if fd.gradient(f, x, workers=2).tobytes() != expected:
                wrong.append(1)

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        results = [in_child(lambda: fd.gradient(f, x, workers=2).tobytes() == expected) for _ in range(10)]
    finally:
        stop.set()
        thread.join()
    assert all(results)
    assert wrong == []


def _sum_of_gradient(n: int) -> float:
    return float(np.sum(fd.gradient(lambda x: float(x @ x), np.ones(n))))


def test_multiprocessing_after_use(slow):
    f, _, x, _ = slow
    fd.gradient(f, x, workers=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            sums = pool.map_async(_sum_of_gradient, [1, 2, 3, 4]).get(timeout=60)
    np.testing.assert_allclose(sums, [2, 4, 6, 8], rtol=1e-9)


def test_a_map_of_processes_for_python_callables():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            gradient = fd.gradient(_cubes, np.array([1.0, 2.0, 3.0]), workers=pool)
    np.testing.assert_allclose(gradient, [3.0, 12.0, 27.0], rtol=1e-8)


def _cubes(x: np.ndarray) -> float:
    return float(np.sum(x**3))
