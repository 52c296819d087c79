"""Plain descent: the steps it says, the rows it says, and an end where it diverges."""

from __future__ import annotations

import numpy as np
import pytest

import fdcore as fd
from fdcore.models import MLP, LinearRegression, LogisticRegression, SoftmaxRegression, descend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
MODELS = [
    LinearRegression(X, RNG.normal(size=12), l2=0.1),
    LinearRegression(X[:, 0], RNG.normal(size=12), degree=3),
    LogisticRegression(X, np.arange(12) % 2, l2=0.1),
    SoftmaxRegression(X, np.arange(12) % 3),
    MLP(X, np.arange(12) % 2, hidden=(3,), l2=0.1),
    MLP(X, X[:, :2], hidden=(3,), loss="squared"),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_batches_of_all_rows_average_to_the_whole(model):
    x = 0.3 * np.random.default_rng(1).normal(size=model.n)
    assert model.rows == 12
    parts = [model.batch(rows) for rows in np.arange(12).reshape(3, 4)]
    assert np.mean([part(x) for part in parts]) == pytest.approx(model(x), rel=1e-13)
    np.testing.assert_allclose(np.mean([part.gradient(x) for part in parts], 0), model.gradient(x), atol=1e-13)
    # A batch has a kernel of its own, which keeps its rows alive.
    np.testing.assert_allclose(fd.gradient(parts[1], x), parts[1].gradient(x), atol=1e-8)
    np.testing.assert_allclose(fd.gradient(model, x), model.gradient(x), atol=1e-8)
    with pytest.raises(fd.ArgumentError, match="rows must be"):
        model.batch([])


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_each_step_is_minus_rate_times_the_gradient(model):
    x = 0.3 * np.random.default_rng(1).normal(size=model.n)
    kept = x.copy()
    way = descend(model, x, rate=0.05, steps=7)
    assert way.path.shape == (8, model.n)
    assert np.array_equal(x, kept)
    for k in range(7):
        np.testing.assert_array_equal(way.path[k + 1], way.path[k] - 0.05 * model.gradient(way.path[k]))
    assert way.losses.tolist() == [model(p) for p in way.path]
    assert way.epochs.tolist() == list(range(8))
    assert np.array_equal(way.final, way.path[-1])
    assert way.losses[-1] < way.losses[0]
    named = descend(model, model.unflatten(x), rate=0.05, steps=7)
    assert np.array_equal(named.path, way.path)
    assert np.array_equal(model.flatten(named.final), way.final)


def test_mini_batches_see_every_row_once_an_epoch():
    model, x = MODELS[0], np.zeros(4)
    way = descend(model, x, rate=0.05, steps=6, batch=5, seed=3)
    assert way.epochs.tolist() == pytest.approx([0, 5 / 12, 10 / 12, 1, 17 / 12, 22 / 12, 2])
    order = np.random.default_rng(3).permutation(12)
    step = (way.path[1] - way.path[0]) / -0.05
    np.testing.assert_allclose(step, model.batch(order[:5]).gradient(x), atol=1e-14)
    again, other = (descend(model, x, rate=0.05, steps=6, batch=5, seed=seed) for seed in (3, 4))
    assert np.array_equal(way.path, again.path)
    assert not np.array_equal(way.path, other.path)
    whole = descend(model, x, rate=0.05, steps=6, batch=12)
    np.testing.assert_allclose(whole.path, descend(model, x, rate=0.05, steps=6).path, rtol=1e-12)


def test_any_function_by_its_numeric_gradient():
    way = descend(lambda x: float((x[0] - 1) ** 2 + 4 * (x[1] + 2) ** 2), [0.0, 0.0], rate=0.1, steps=200)
    np.testing.assert_allclose(way.final, [1.0, -2.0], atol=1e-8)
    tree = descend(lambda p: float(p["a"] ** 2 + p["b"] @ p["b"]), {"a": 1.0, "b": np.ones(2)}, rate=0.25, steps=40)
    assert abs(tree.final["a"]) < 1e-9
    assert tree.final["b"].shape == (2,)
    exact = descend(lambda x: float(x**2), 1.0, grad=lambda x: 2 * x, rate=0.25, steps=3)
    assert exact.path.ravel().tolist() == [1.0, 0.5, 0.25, 0.125]


def test_it_ends_where_it_diverges():
    way = descend(lambda x: float(x @ x), np.ones(2), grad=lambda x: 2 * x, rate=10.0, steps=100)
    assert way.diverged
    assert len(way.path) == len(way.losses) == len(way.epochs) < 10
    assert "diverged" in str(way)
    good = descend(lambda x: float(x @ x), np.ones(2), grad=lambda x: 2 * x, rate=0.1, steps=5)
    assert not good.diverged
    assert "5 steps" in str(good)


def test_progress_counts_steps():
    seen = []
    descend(MODELS[0], np.zeros(4), rate=0.05, steps=6, progress=lambda done, total, info: seen.append(info))
    assert (seen[-1].done, seen[-1].total) == (6, 6)
    assert "6 of 6 steps" in str(seen[-1])


def test_what_cannot_be_used():
    for options, words in (
        ({"rate": 0.0}, "rate"),
        ({"rate": np.nan}, "rate"),
        ({"steps": -1}, "steps"),
        ({"batch": 0}, "batch must be"),
        ({"batch": 13}, "batch must be"),
        ({"batch": 4, "grad": MODELS[0].gradient}, "batch needs"),
    ):
        with pytest.raises(fd.ArgumentError, match=words):
            descend(MODELS[0], np.zeros(4), **options)
    with pytest.raises(fd.ArgumentError, match="batch needs"):
        descend(lambda x: float(x @ x), np.zeros(4), batch=2)
