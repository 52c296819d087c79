"""Progress: what is counted, when it is told, and that nothing happens where nobody asks."""

from __future__ import annotations

import builtins
import ctypes
import importlib.util
import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fdcore as fd
from fdcore.progress import Progress
from fdcore.tree import flatten


class Seen(list):
    """Collects what a callback is told."""

    def __call__(self, done, total, info):
        assert (done, total) == (info.done, info.total)
        self.append(info)

    @property
    def done(self):
        return [info.done for info in self]


def slow_sum(x):
    time.sleep(0.004)
    return float(np.sum(x**2))


X = np.arange(1.0, 41.0)


def test_a_long_run_is_told_of_ten_times_a_second():
    seen = Seen()
    value = fd.gradient(slow_sum, X, progress=seen)
    np.testing.assert_allclose(value, 2 * X, rtol=1e-7)
    assert 2 <= len(seen) <= 1 + seen[-1].elapsed / 0.1
    assert seen.done == sorted(seen.done)
    assert seen.done[-1] == 80
    assert all(info.total == 80 for info in seen)
    assert all(info.what == "gradient" for info in seen)
    assert seen[0].remaining == pytest.approx((80 - seen[0].done) / seen[0].rate)


def test_a_short_run_is_told_of_once():
    seen = Seen()
    assert fd.gradient(lambda x: x @ x, [1.0, 2.0], progress=seen).round(6).tolist() == [2.0, 4.0]
    assert seen.done == [4]


@pytest.mark.parametrize(
    ("run", "evaluations", "what"),
    [
        (lambda p: fd.gradient(lambda x: x @ x, X, method="forward", progress=p), 41, "gradient"),
        (lambda p: fd.gradient(lambda x: x @ x, X, method="five-point", progress=p), 160, "gradient"),
        (lambda p: fd.gradient(lambda x: x @ x, X, full_output=True, progress=p), 241, "gradient"),
        (lambda p: fd.gradient(lambda x: np.sum(x**2, -1), X, vectorized=True, progress=p), 80, "gradient"),
        (lambda p: fd.gradient(lambda x: x @ x, X, workers=map, progress=p), 80, "gradient"),
        (lambda p: fd.gradient(lambda p: p["w"] @ p["w"], {"w": X}, progress=p), 80, "gradient"),
        (lambda p: fd.jacobian(lambda x: x**2, X, progress=p), 81, "jacobian"),
        (lambda p: fd.jacobian(lambda x: x**2, X, sparsity=np.eye(40), progress=p), 2, "jacobian"),
        (lambda p: fd.hessian(lambda x: x @ x, X[:10], progress=p), 111, "hessian"),
        (lambda p: fd.hessian(lambda x: x @ x, X[:10], workers=map, progress=p), 111, "hessian"),
        (lambda p: fd.hessian(lambda x: x @ x, X[:10], accuracy=4, progress=p), 221, "hessian"),
        (lambda p: fd.hessian(None, X, grad=lambda x: 2 * x, progress=p), 81, "hessian"),
    ],
)
def test_what_is_counted(run, evaluations, what):
    seen = Seen()
    run(seen)
    assert seen[-1].what == what
    assert seen[-1].done == evaluations
    assert seen[-1].total == evaluations


def test_results_are_the_same_bits():
    f = fd.models.MLP(np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2, hidden=(4,))
    x = f.initial(seed=1)
    for function, args in ((fd.gradient, (f, x)), (fd.jacobian, (np.cos, X)), (fd.hessian, (slow_free, X[:5]))):
        assert np.array_equal(function(*args), function(*args, progress=Seen()))
    named = f.unflatten(x)
    seen = Seen()
    result = fd.gradient(f, named, progress=seen)
    assert np.array_equal(flatten(result)[0], flatten(fd.gradient(f, named))[0])
    assert seen[-1].done > 0


def slow_free(x):
    return float(np.sum(np.cos(x)))


@pytest.fixture(scope="module")
def native_slow(compile_c):
    """A native function that takes a millisecond."""
    path = compile_c(
        """
        #include <time.h>
        double slow(int n, double *x, void *ctx) {
            struct timespec t = {0, 1000000};
            nanosleep(&t, 0);
            double s = 0;
            for (int i = 0; i < n; i++) s += x[i] * x[i];
            return s;
        }""".replace("#include <time.h>", "#define _POSIX_C_SOURCE 199309L\n#include <time.h>")
    )
    return fd.native(ctypes.CDLL(path).slow, signature="double (int, double *, void *)")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", ["central", "adaptive"])
def test_native_callables_are_counted_in_the_kernel(native_slow, workers, method):
    seen = Seen()
    x = np.arange(1.0, 151.0)
    value = fd.gradient(native_slow, x, workers=workers, method=method, progress=seen)
    np.testing.assert_allclose(value, 2 * x, rtol=1e-5)
    assert len(seen) >= 2
    assert 0 < seen[0].done < seen[-1].done
    assert seen.done == sorted(seen.done)
    if method == "central":
        assert seen[-1].done in (300, 301)  # and the probe for Python code
    # Nobody watches any more.
    fd.gradient(native_slow, x[:5])
    assert seen.done[-1] == seen[-1].done


class Enough(Exception):
    pass


@pytest.mark.parametrize("error", [Enough(), KeyboardInterrupt(), ValueError("no"), fd.EvaluationError("no")])
def test_what_the_callback_raises_comes_through(native_slow, error):
    def callback(done, total, info):
        raise error

    x = np.arange(1.0, 501.0)
    for run in (
        lambda: fd.gradient(slow_sum, x, progress=callback),
        lambda: fd.gradient(slow_sum, x, method="adaptive", progress=callback),
        lambda: fd.gradient(slow_sum, x, workers=map, progress=callback),
        lambda: fd.gradient(native_slow, x, progress=callback),
        lambda: fd.hessian(slow_sum, x, progress=callback),
        lambda: fd.check_gradient(slow_sum, lambda x: 2 * x, x, progress=callback),
    ):
        start = time.monotonic()
        with pytest.raises(type(error)) as caught:
            run()
        assert caught.value is error
        assert not getattr(error, "__notes__", [])  # it is not one of f's
        assert time.monotonic() - start < 3.0


def test_an_error_of_f_is_not_told_as_the_end():
    seen = Seen()

    def f(x):
        if x[2] != X[2]:
            raise Enough
        return float(x @ x)

    with pytest.raises(Enough) as caught:
        fd.gradient(f, X, progress=seen)
    assert "while perturbing x[2]" in caught.value.__notes__[0]
    assert not seen


def test_an_executor_is_counted_by_its_results():
    seen = Seen()
    with ThreadPoolExecutor(2) as pool:
        value = fd.gradient(slow_sum, X, workers=pool, progress=seen)
    np.testing.assert_allclose(value, 2 * X, rtol=1e-7)
    assert len(seen) >= 2
    assert seen.done[-1] == 80


def test_a_check_is_counted():
    seen = Seen()
    check = fd.check_gradient(slow_sum, lambda x: 2 * x, X, progress=seen)
    assert check.verdict == "agrees"
    assert seen[-1].done == check.nfev
    assert seen[-1].what == "check"
    # Half-way, the estimate is not far off.
    middle = seen[len(seen) // 2]
    assert 0.5 * check.nfev < middle.total < 2.0 * check.nfev
    seen = Seen()
    check = fd.check_gradient(slow_free, lambda x: -np.sin(x), X, mode="projected", points=2, progress=seen)
    assert [info.done for info in seen if info.done == info.total] == seen.done


def test_a_bar_where_tqdm_is_there(capsys):
    pytest.importorskip("tqdm", reason="needs tqdm")
    fd.gradient(slow_sum, np.arange(1.0, 101.0), progress=True)
    shown = capsys.readouterr()
    assert not shown.out
    assert "gradient" in shown.err
    assert "200/200" in shown.err
    fd.gradient(slow_free, X, progress=True)
    assert not capsys.readouterr().err  # too short to be worth a bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_plain_lines_without_tqdm(monkeypatch, stream):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    out = stream()
    monkeypatch.setattr(sys, "stderr", out)
    fd.gradient(slow_sum, np.arange(1.0, 101.0), progress=True)
    text = out.getvalue()
    assert text.endswith("\n")
    assert "200 of 200 evaluations (100 %)" in text
    assert ("\r" in text) == (stream is Terminal)
    assert len(text.splitlines()) < 12


def test_silent_by_default(capsys, monkeypatch):
    real = builtins.__import__

    def watch(name, *args, **kwargs):
        assert name != "tqdm"
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watch)
    for off in (None, False):
        fd.gradient(slow_sum, X, progress=off)
    shown = capsys.readouterr()
    assert not shown.out
    assert not shown.err


def test_without_progress_f_itself_is_called():
    """No wrapper, no counter: there is nothing that could cost."""
    frames = []

    def f(x):
        frames.append(sys._getframe(1).f_code.co_filename)
        return float(x @ x)

    fd.gradient(f, X[:2])
    assert not [name for name in frames if "progress" in name]
    fd.gradient(f, X[:2], progress=Seen())
    assert frames[-1].endswith("progress.py")


def test_wrong_arguments_are_what_they_always_were():
    with pytest.raises(fd.ArgumentTypeError, match="progress must be True or a function"):
        fd.gradient(slow_free, X, progress="yes")
    with pytest.raises(fd.ArgumentError, match="method must be"):
        fd.gradient(slow_free, X, method="sideways", progress=Seen())
    with pytest.raises(fd.ArgumentTypeError, match="callable"):
        fd.gradient(3, X, progress=Seen())
    with pytest.raises(fd.ArgumentTypeError):
        fd.gradient(slow_free, "x", progress=Seen())


def test_the_info_in_words():
    assert str(Progress("check", 10, None, 0.0)) == "check: 10 evaluations, 0/s"
    assert str(Progress("gradient", 100, 100_000, 1.0)).endswith("100/s, 16 min 39 s left")
    assert str(Progress("gradient", 100, 10_000_000, 1.0)).endswith("27 h 46 min left")
    assert Progress("gradient", 0, 10, 0.0).remaining is None
