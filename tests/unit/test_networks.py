"""Softmax regression and the MLP against the textbook's loops, and every gradient against numeric ones."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fdcore as fd
from fdcore.errors import ArgumentError, ArgumentTypeError, ShapeError
from fdcore.models import MLP, SoftmaxRegression

EPS = np.finfo(np.float64).eps
SCALAR: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "gelu": lambda z: 0.5 * z * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3))),
}


def slow_loss(model: Any, params: np.ndarray, X: np.ndarray, Y: np.ndarray, activation: str, squared: bool) -> float:
    """The loss, one number after another; layers as the model names them."""
    named = model.unflatten(params)
    if "coef" in named:
        layers = [(named["coef"], named.get("intercept", np.zeros(len(named["coef"]))))]
    else:
        layers = [(layer["W"], layer["b"]) for layer in named.values()]
    losses = []
    for x, target in zip(X, Y, strict=True):
        a = [float(v) for v in x]
        for k, (W, b) in enumerate(layers):
            z = [math.fsum([float(b[i]), *(float(w) * v for w, v in zip(W[i], a, strict=True))]) for i in range(len(W))]
            a = [SCALAR[activation](v) for v in z] if k + 1 < len(layers) else z
        if squared:
            losses.append(math.fsum((v - t) ** 2 for v, t in zip(a, target, strict=True)) / len(a))
        else:
            total = math.fsum(math.exp(v) for v in a)
            losses.append(-math.fsum(t * math.log(math.exp(v) / total) for v, t in zip(a, target, strict=True)))
    penalty = math.fsum(float(w) ** 2 for W, _ in layers for w in W.ravel())
    return math.fsum(losses) / len(losses) + 0.5 * model._l2 * penalty


def make(activation: str, loss: str, hidden: tuple[int, ...], rows: int = 11, l2: float = 0.05) -> Any:
    """An MLP, its data in the form of the slow loss, and parameters."""
    rng = np.random.default_rng(rows)
    X = rng.normal(size=(rows, 3))
    if loss == "squared":
        Y = rng.normal(size=(rows, 2))
    else:
        Y = rng.random((rows, 4))
        Y /= Y.sum(axis=1, keepdims=True)
    model = MLP(X, Y, hidden, activation=activation, loss=loss, l2=l2)
    return model, X, Y, model.initial(5) + 0.1 * rng.normal(size=model.n)


@pytest.mark.parametrize("hidden", [(), (1,), (5,), (9, 4), (2, 3, 4)])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
@pytest.mark.parametrize("activation", list(SCALAR))
def test_loss_gradient_and_kernel(activation: str, loss: str, hidden: tuple[int, ...]) -> None:
    model, X, Y, params = make(activation, loss, hidden)
    kept = params.copy()
    expected = slow_loss(model, params, X, Y, activation, loss == "squared")
    assert model(params) == pytest.approx(expected, rel=30 * EPS)
    assert model.__fdcore_native__()(params) == pytest.approx(expected, rel=30 * EPS)
    numeric = fd.gradient(model, params, full_output=True)
    assert np.all(np.abs(numeric.value - model.gradient(params)) <= np.maximum(numeric.error, 1e-9))
    np.testing.assert_array_equal(params, kept)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 23])
def test_any_number_of_rows(rows: int) -> None:
    model, X, Y, params = make("tanh", "cross-entropy", (4,), rows)
    assert model.__fdcore_native__()(params) == pytest.approx(slow_loss(model, params, X, Y, "tanh", False), rel=1e-14)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
def test_gradient_by_the_complex_step(activation: str, loss: str) -> None:
    model, _, _, params = make(activation, loss, (5, 3))
    exact = fd.gradient(model.__call__, params, method="complex")
    np.testing.assert_allclose(model.gradient(params), exact, rtol=1e-12, atol=1e-15)


def test_gradient_of_relu_where_it_is_smooth() -> None:
    model, _, _, params = make("relu", "squared", (6, 5), l2=0.0)
    assert fd.check_gradient(model, model.gradient, params).verdict == "agrees"


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("classes", [None, 5])
def test_softmax(intercept: bool, classes: int | None) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(12, 2))
    y = np.arange(12) % 3
    model = SoftmaxRegression(X, y, intercept, classes=classes, l2=0.1)
    k = classes or 3
    assert model.layout == ((("intercept", (k,)), ("coef", (k, 2))) if intercept else (("coef", (k, 2)),))
    params = rng.normal(size=model.n)
    expected = slow_loss(model, params, X, np.eye(k)[y], "tanh", False)
    assert model(params) == pytest.approx(expected, rel=20 * EPS)
    assert model.__fdcore_native__()(params) == pytest.approx(expected, rel=20 * EPS)
    assert SoftmaxRegression(X, np.eye(k)[y], intercept, l2=0.1)(params) == model(params)
    exact = fd.gradient(model.__call__, params, method="complex")
    np.testing.assert_allclose(model.gradient(params), exact, rtol=1e-12, atol=1e-15)
    probability = model.probability(params)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(model.predict(params, X[:4]), probability[:4].argmax(axis=1))


def test_two_classes_of_softmax_are_logistic_regression() -> None:
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(20, 3)), (rng.random(20) < 0.5).astype(float)
    one = rng.normal(size=4)
    two = np.concatenate([[0.0, one[0]], np.zeros(3), one[1:]])
    assert SoftmaxRegression(X, y)(two) == pytest.approx(fd.models.LogisticRegression(X, y)(one), rel=1e-14)


@pytest.mark.parametrize("z", [1.0, 40.0, 800.0, 1e4, 1e300])
def test_softmax_at_any_size_of_z(z: float) -> None:
    # Warnings are errors here. A right answer that is nearly certain still has its loss to full precision.
    model = SoftmaxRegression([[1.0]], [0], intercept=False, classes=3)
    params = np.array([z, 0.0, -z])
    tail = math.exp(-z) + math.exp(-2.0 * z) if z < 700 else 0.0
    for loss in (model, model.__fdcore_native__()):
        assert loss(params) == pytest.approx(math.log1p(tail), rel=4 * EPS, abs=0.0)
        assert loss(-params) == pytest.approx(2.0 * z + math.log1p(tail), rel=4 * EPS)
    assert np.all(np.isfinite(model.gradient(params)))


@pytest.mark.parametrize("activation", list(SCALAR))
def test_kernel_at_extreme_parameters(activation: str) -> None:
    model, _, _, params = make(activation, "cross-entropy", (5,))
    for scale in (0.0, 1e-300, 1e4):
        value = model(scale * params)
        assert math.isfinite(value)
        assert model.__fdcore_native__()(scale * params) == pytest.approx(value, rel=1e-13)
        assert np.all(np.isfinite(model.gradient(scale * params)))
    params[0] = math.nan
    assert math.isnan(model.__fdcore_native__()(params)[0])


def test_named_parameters() -> None:
    model, _, _, params = make("tanh", "squared", (4,))
    assert model.layout == (("layer1.W", (4, 3)), ("layer1.b", (4,)), ("layer2.W", (2, 4)), ("layer2.b", (2,)))
    tree = model.unflatten(params)
    assert tree["layer2"]["W"].base is params
    dotted = {name: tree[name[:6]][name[7:]] for name in reversed(model.names)}
    assert model(tree) == model(dotted) == model(params)
    assert list(model.gradient(tree)) == ["layer1", "layer2"]
    assert list(model.gradient(dotted)) == list(dotted)
    np.testing.assert_array_equal(model.flatten(model.gradient(dotted)), model.gradient(params))
    check = fd.check_gradient(model, model.gradient, tree)
    assert check.verdict == "agrees"
    assert [row.name for row in check.parameters] == list(model.names)


def test_numeric_gradient_of_a_tree_in_any_order() -> None:
    # A native kernel knows one order of the parameters, a dict has its own.
    for model, params in (
        (
            fd.models.LinearRegression([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]], [1.0, 2.0, 3.0]),
            np.array([1.0, 20.0, 300.0]),
        ),
        (make("tanh", "squared", (4,))[0], make("tanh", "squared", (4,))[3]),
    ):
        tree = model.unflatten(params)
        for given in (tree, dict(reversed(tree.items()))):
            numeric, analytic = fd.gradient(model, given), model.gradient(given)
            assert list(numeric) == list(given)
            np.testing.assert_allclose(model.flatten(numeric), model.flatten(analytic), rtol=1e-6, atol=1e-7)


def test_models_travel() -> None:
    model, _, _, params = make("gelu", "cross-entropy", (4,))
    native = model.__fdcore_native__()(params)
    other = pickle.loads(pickle.dumps(model))
    assert other(params) == model(params)
    assert other.__fdcore_native__()(params) == native


def test_predictions() -> None:
    model, X, _, params = make("sigmoid", "squared", (4,))
    np.testing.assert_allclose(model.predict(params, X[2:4]), model.outputs(params)[2:4], rtol=1e-14)
    with pytest.raises(ArgumentError, match="no probabilities"):
        model.probability(params)
    model, X, _, params = make("sigmoid", "cross-entropy", (4,))
    np.testing.assert_allclose(model.probability(params, X[:1]).sum(), 1.0)
    assert model.predict(params).shape == (11,)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: MLP([[1.0]], [0], activation="swish"), ArgumentError, "tanh, relu, sigmoid, gelu"),
        (lambda: MLP([[1.0]], [0], loss="hinge"), ArgumentError, "'squared'"),
        (lambda: MLP([[1.0]], [0], hidden=(0,)), ArgumentError, "at least one unit"),
        (lambda: MLP([[1.0]], [0], l2=-1.0), ArgumentError, "l2"),
        (lambda: MLP([[1.0]], [0.5]), ArgumentError, r"labels 0, \.\.\., 0, but y\[0\] is 0.5"),
        (lambda: MLP([[1.0], [2.0]], [0, -1]), ArgumentError, r"y\[1\] is -1"),
        (lambda: MLP([[1.0], [2.0]], [0, 3], classes=2), ArgumentError, r"y\[1\] is 3"),
        (lambda: MLP([[1.0]], [0, 1]), ShapeError, r"\(1,\) or \(1, classes\)"),
        (lambda: MLP([[1.0]], [[0.5, 0.6]]), ArgumentError, "row 0"),
        (lambda: MLP([[1.0]], [[1.0]], classes=2), ShapeError, r"\(1, 2\)"),
        (lambda: MLP([[1.0]], [[1.0], [2.0]], loss="squared"), ShapeError, r"\(1, outputs\)"),
        (lambda: MLP(np.ones((2, 0)), [0, 1]), ShapeError, "at least one column"),
        (lambda: SoftmaxRegression([[1.0]], ["a"]), ArgumentTypeError, "real numbers"),
        (lambda: SoftmaxRegression([[1.0]], [math.nan]), ArgumentError, "finite"),
        (lambda: SoftmaxRegression([[1.0]], [0])(np.ones(3)), ShapeError, r"\(2,\)"),
        (lambda: MLP([[1.0]], [0])({"layer1": {"W": [[1.0]]}}), ArgumentError, "layer2.b"),
    ],
)
def test_bad_input(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
