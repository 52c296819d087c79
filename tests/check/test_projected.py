"""Many parameters: few evaluations, wrong entries found one by one, nothing larger than a few vectors."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import fdcore as fd


def f(x):
    return float(np.sum(np.sin(x)) + x @ x)


def gradient(wrong=(), factor=1.001):
    def grad(x):
        g = np.cos(x)
        g += 2 * x
        for j in wrong:
            g[j] *= factor
        return g

    return grad


def point(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("n", [1, 2, 1000, 100_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_correct_gradient_takes_few_evaluations(n, dtype):
    check = fd.check_gradient(f, gradient(), point(n).astype(dtype), mode="projected")
    assert check.verdict == "agrees"
    assert check.nfev <= 40
    assert 0 < check.detection_limit < 1e-3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 3, 1000, 20_000])
@pytest.mark.parametrize("factor", [0.0, -1.0, 1.001])
def test_one_wrong_entry_is_located(n, factor, seed):
    j = int(np.random.default_rng(seed).integers(n))
    check = fd.check_gradient(f, gradient([j], factor), point(n), mode="projected", seed=seed)
    assert check.verdict == "wrong"
    assert [e.index for e in check.wrong] == [(j,)]
    assert check.wrong[0].ratio == pytest.approx(factor, rel=1e-5, abs=1e-12)
    assert check.nfev <= 600


def test_several_wrong_entries_are_located_or_said_to_be_there():
    wrong = [3, 700, 701, 4000]
    check = fd.check_gradient(f, gradient(wrong), point(5000), mode="projected", budget=2000)
    assert sorted(e.index[0] for e in check.wrong) == wrong
    less = fd.check_gradient(f, gradient(wrong), point(5000), mode="projected", budget=200)
    assert less.verdict == "wrong"
    assert less.nfev <= 200
    assert "not-located" in [n.label for n in less.notes]


def test_two_entries_exchanged_do_not_cancel():
    x = point(2000)

    def grad(x):
        g = gradient()(x)
        g[[7, 8]] = g[[8, 7]]
        return g

    for seed in range(5):
        check = fd.check_gradient(f, grad, x, mode="projected", seed=seed)
        assert sorted(e.index[0] for e in check.wrong) == [7, 8]


def test_everything_wrong_is_not_taken_apart():
    check = fd.check_gradient(f, lambda x: 2 * gradient()(x), point(10_000), mode="projected")
    assert check.verdict == "wrong"
    assert check.nfev < 150
    assert all(e.ratio == pytest.approx(2.0) for e in check.wrong)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_small_arrays_are_not_swamped(scale):
    params = {"big": point(3000) * scale, "small": point(5) / scale, "zero": np.zeros(4)}

    def loss(p):
        return float(
            np.sum(np.cosh(p["big"] / scale))
            + np.sum(np.sin(p["small"] * scale))
            + np.sum(np.exp(p["zero"]) - 2 * p["zero"])
        )

    def grad(p, wrong=None):
        g = {
            "big": np.sinh(p["big"] / scale) / scale,
            "small": np.cos(p["small"] * scale) * scale,
            "zero": np.exp(p["zero"]) - 2,
        }
        if wrong:
            g[wrong][1] *= 1.01
        return g

    assert fd.check_gradient(loss, grad, params, mode="projected").verdict == "agrees"
    for name in params:
        check = fd.check_gradient(loss, lambda p, name=name: grad(p, name), params, mode="projected")
        assert [e.name for e in check.wrong] == [f"{name}[1]"]
        assert {p.name for p in check.parameters if p.verdict == "wrong"} == {name}


def test_nan_is_located_without_searching():
    check = fd.check_gradient(f, gradient([17], np.nan), point(3000), mode="projected")
    assert check.verdict == "wrong"
    assert [e.index for e in check.wrong] == [(17,)]
    assert np.isfinite(check.wrong[0].numeric)


def test_same_seed_same_outcome():
    run = [fd.check_gradient(f, gradient([5]), point(500), mode="projected", seed=s).to_dict() for s in (1, 1, 2)]
    assert run[0] == run[1]
    assert run[0] != run[2]


def test_auto_follows_the_budget():
    assert fd.check_gradient(f, gradient(), point(50)).mode == "elementwise"
    assert fd.check_gradient(f, gradient(), point(50), budget=100).mode == "projected"
    assert fd.check_gradient(f, gradient(), point(5000)).mode == "projected"
    assert fd.check_gradient(f, gradient(), point(5000), sample=3).mode == "elementwise"


def test_only_exclude_and_sample():
    params = {"enc.W": point(30).reshape(5, 6), "enc.b": np.zeros(6), "dec.W": point(6)}

    def loss(p):
        return sum(f(v.ravel()) for v in p.values())

    def grad(p):
        g = {k: gradient()(v) for k, v in p.items()}
        g["enc.W"][2, 3] += 1.0
        g["dec.W"] *= 3
        return g

    check = fd.check_gradient(loss, grad, params, only="enc.*")
    assert [e.name for e in check.wrong] == ["enc.W[2, 3]"]
    assert {p.name: p.reason for p in check.parameters}["dec.W"] == "not checked"
    check = fd.check_gradient(loss, grad, params, exclude=["dec.W", "enc.W"])
    assert check.verdict == "agrees"
    assert "compared" in check.reason
    for mode in ("elementwise", "projected"):
        check = fd.check_gradient(loss, grad, params, only="dec.W", mode=mode)
        assert {e.parameter for e in check.wrong} == {"dec.W"}
    check = fd.check_gradient(loss, grad, params, sample=2)
    assert len(check.columns["index"]) == 6
    with pytest.raises(fd.ArgumentError, match=r"'encoder'.*enc\.W"):
        fd.check_gradient(loss, grad, params, only="encoder")
    with pytest.raises(fd.ArgumentError, match="sample"):
        fd.check_gradient(loss, grad, params, sample=0)


@pytest.mark.slow
def test_memory_of_a_large_check():
    x = point(1_000_000)
    tracemalloc.start()
    check = fd.check_gradient(lambda x: float(x @ x), lambda x: 2 * x, x, mode="projected")
    peak = tracemalloc.get_traced_memory()[1] / x.nbytes
    tracemalloc.stop()
    assert check.verdict == "agrees"
    assert peak <= 6.0


def test_a_global_fault_is_named_without_looking_for_it():
    x = point(300_000)
    for change, label in ((2.0, "factor"), (-1.0, "sign"), (1.0 / x.size, "factor-size")):
        check = fd.check_gradient(lambda x: float(x @ x), lambda x, c=change: 2.0 * c * x, x, mode="projected")
        assert [d.label for d in check.diagnoses] == [label]
        assert check.nfev < 150


@pytest.mark.slow
def test_one_entry_in_two_million():
    x = point(2_000_000)
    j = 1_654_321

    def grad(x):
        g = 2.0 * x
        g[j] *= 1.001
        return g

    tracemalloc.start()
    check = fd.check_gradient(lambda x: float(x @ x), grad, x)
    peak = tracemalloc.get_traced_memory()[1] / x.nbytes
    tracemalloc.stop()
    assert [e.index for e in check.wrong] == [(j,)]
    assert check.nfev <= 600
    assert peak <= 6.0
