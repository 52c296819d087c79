"""Linear and logistic regression against formulas written out slowly, exact arithmetic and published fits."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fdcore.errors import ArgumentError, ArgumentTypeError, FdcoreError, ShapeError
from fdcore.models import LinearRegression, LogisticRegression, PoissonRegression
from fdcore.models.datasets import load_norris, load_oring

EPS = np.finfo(np.float64).eps


def exact_mse(X: np.ndarray, y: np.ndarray, params: np.ndarray, l2: float, intercept: bool) -> Fraction:
    """The loss in rational arithmetic."""
    w = [Fraction(v) for v in params.tolist()]
    b, coef = (w[0], w[1:]) if intercept else (Fraction(0), w)
    total = Fraction(0)
    for row, target in zip(X.tolist(), y.tolist(), strict=True):
        z = b + sum((Fraction(v) * c for v, c in zip(row, coef, strict=True)), Fraction(0))
        total += (z - Fraction(target)) ** 2
    return total / len(y) + Fraction(l2) / 2 * sum((c * c for c in coef), Fraction(0))


def slow_cross_entropy(X: np.ndarray, y: np.ndarray, params: np.ndarray, l2: float, intercept: bool) -> float:
    """The loss as the textbooks write it, in extended precision; for moderate z only."""
    w = params.astype(np.longdouble)
    b, coef = (w[0], w[1:]) if intercept else (np.longdouble(0), w)
    z = X.astype(np.longdouble) @ coef + b
    a = 1 / (1 + np.exp(-z))
    return float(-np.mean(y * np.log(a) + (1 - y) * np.log(1 - a)) + np.longdouble(l2) / 2 * np.sum(coef * coef))


def slow_counts(X: np.ndarray, y: np.ndarray, params: np.ndarray, l2: float, intercept: bool) -> float:
    """Minus the log likelihood of Poisson counts in extended precision, from the density's definition."""
    w = params.astype(np.longdouble)
    b, coef = (w[0], w[1:]) if intercept else (np.longdouble(0), w)
    mean = np.exp(X.astype(np.longdouble) @ coef + b)
    return float(np.mean(mean - y * np.log(mean)) + np.longdouble(l2) / 2 * np.sum(coef * coef))


def data(kind: type, rows: int, cols: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, cols))
    if kind is PoissonRegression:
        return X, rng.poisson(3.0, rows).astype(float)
    y = rng.normal(size=rows) if kind is LinearRegression else (rng.random(rows) < 0.5).astype(float)
    return X, y


def central(f: Any, x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Five-point differences: an oracle that shares no code with the package."""
    out = np.empty_like(x)
    for j in range(x.size):
        e = np.zeros_like(x)
        e[j] = h
        out[j] = (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h)
    return out


KINDS = [LinearRegression, LogisticRegression, PoissonRegression]
SHAPES = [(1, 1), (2, 3), (7, 8), (33, 17), (200, 5)]


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_loss_gradient_and_kernel(kind: type, shape: tuple[int, int], intercept: bool, l2: float) -> None:
    X, y = data(kind, *shape)
    model = kind(X, y, intercept, l2=l2)
    params = np.random.default_rng(1).normal(size=model.n)
    kept = params.copy()
    slow = {LinearRegression: exact_mse, LogisticRegression: slow_cross_entropy, PoissonRegression: slow_counts}[kind]
    expected = float(slow(X, y, params, l2, intercept))
    assert model.n == shape[1] + intercept
    # Counts: two terms of either sign, and errors of z that the exponential magnifies.
    size = np.mean((np.exp(z := model.predictor(params)) + y * abs(z)) * (1 + abs(z))) if slow is slow_counts else 0.0
    assert model(params) == pytest.approx(expected, rel=20 * EPS, abs=20 * EPS * size)
    assert model.__fdcore_native__()(params) == pytest.approx(expected, rel=20 * EPS, abs=20 * EPS * size)
    np.testing.assert_allclose(model.gradient(params), central(model, params, 1e-3), rtol=1e-9, atol=1e-10 * (1 + size))
    np.testing.assert_array_equal(params, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_error_of_the_kernel_does_not_grow_with_the_rows(kind: type) -> None:
    # z = 0.1 in every row: the exact mean is one term. A plain running sum of 1e6 terms is off by 1e3 ulps or more.
    rows = 10**6
    model = kind(np.ones((rows, 1)), np.full(rows, 0.0), False)
    of_kind = {LinearRegression: 0.1 * 0.1, LogisticRegression: math.log1p(math.exp(0.1))}
    term = of_kind.get(kind, math.exp(0.1))
    assert abs(model.__fdcore_native__()(np.array([0.1])) - term) <= 4 * EPS * term


@pytest.mark.parametrize("kind", KINDS)
def test_complex_step_is_exact(kind: type) -> None:
    model = kind(*data(kind, 12, 3), l2=0.1)
    params = np.array([0.3, -2.0, 1.0, 0.5])
    imaginary = [model(params + 1e-30j * e).imag / 1e-30 for e in np.eye(4)]
    np.testing.assert_allclose(imaginary, model.gradient(params), rtol=1e-13)


def test_poisson_fit_of_published_counts() -> None:
    # A. J. Dobson, An Introduction to Generalized Linear Models (1990): outcome and treatment, three levels each, of
    # nine counts. The estimates in closed form are logarithms of ratios of the totals, 63, 40, 47.
    counts = np.array([18.0, 17, 15, 20, 10, 20, 25, 13, 12])
    outcome, treatment = np.arange(9) % 3, np.arange(9) // 3
    X = np.stack([outcome == 1, outcome == 2, treatment == 1, treatment == 2], axis=1).astype(float)
    model = PoissonRegression(X, counts)
    wanted = [math.log(21), math.log(40 / 63), math.log(47 / 63), 0.0, 0.0]
    np.testing.assert_allclose(model.fit(), wanted, atol=1e-14)
    np.testing.assert_allclose(wanted[:3], [3.044522, -0.454255, -0.292987], atol=5e-7)  # as printed
    np.testing.assert_allclose(model.predict(wanted)[:3], [21.0, 40 / 3, 47 / 3])


def test_poisson_without_a_minimum_or_with_an_infinite_mean() -> None:
    never = PoissonRegression([0.0, 0.0, 1.0, 1.0], [3, 4, 0, 0])
    with pytest.raises(FdcoreError, match="falls for ever"):
        never.fit()
    fitted = PoissonRegression([0.0, 0.0, 1.0, 1.0], [3, 4, 0, 0], l2=1e-3)
    assert np.abs(fitted.gradient(fitted.fit())).max() < 1e-14
    assert never([800.0, 0.0]) == math.inf
    assert never.__fdcore_native__()(np.array([800.0, 0.0])) == math.inf


@pytest.mark.parametrize("z", [-1e300, -1e4, -800.0, -40.0, 0.0, 40.0, 800.0, 1e4, 1e300])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_logistic_at_any_z(z: float, target: float) -> None:
    # One row with X = 1: the parameter is z itself. Warnings are errors here, so an overflow would fail too.
    model = LogisticRegression([1.0], [target], intercept=False)
    tail = math.exp(-abs(z)) if abs(z) < 700 else 0.0  # what log1p and the sigmoid make of it to first order
    if target == 0.25:
        expected = max(z, 0.0) - 0.25 * z + (math.log1p(tail))
        slope = (1.0 if z > 0 else tail) / (1.0 + tail) - 0.25
    else:
        wrong_side = z if target == 0.0 else -z  # the loss is softplus of this
        expected = max(wrong_side, 0.0) + math.log1p(tail)
        slope = (1.0 if wrong_side > 0 else tail) / (1.0 + tail) * (1.0 if target == 0.0 else -1.0)
    params = np.array([z])
    assert model(params) == pytest.approx(expected, rel=4 * EPS, abs=0.0)
    assert model.__fdcore_native__()(params) == pytest.approx(expected, rel=4 * EPS, abs=0.0)
    assert model.gradient(params)[0] == pytest.approx(slope, rel=8 * EPS, abs=0.0)


def test_polynomial_features_are_powers_of_each_column() -> None:
    X = np.array([[1.0, 2.0], [3.0, 5.0], [-1.0, 0.5]])
    y = np.array([1.0, 2.0, 3.0])
    params = np.arange(1.0, 8.0)
    model = LinearRegression(X, y, degree=3)
    z = params[0] + X @ params[1:3] + X**2 @ params[3:5] + X**3 @ params[5:7]
    assert model(params) == pytest.approx(np.mean((z - y) ** 2), rel=1e-14)
    np.testing.assert_allclose(model.predict(params), z, rtol=1e-14)
    np.testing.assert_allclose(model.predict(params, X[:1]), z[:1], rtol=1e-14)


def test_norris_agrees_with_the_certified_values() -> None:
    norris = load_norris()
    model = LinearRegression(norris.x, norris.y)
    params = model.fit()
    np.testing.assert_allclose(params, norris.certified, rtol=2e-14)
    deviation = math.sqrt(model(params) * len(norris.y) / (len(norris.y) - model.n))
    assert deviation == pytest.approx(norris.certified_deviation, rel=1e-13)


def test_oring_agrees_with_the_published_fit() -> None:
    oring = load_oring()
    model = LogisticRegression(oring.temperature, oring.distress)
    params = model.fit()
    assert [f"{value:.4f}" for value in params] == ["15.0429", "-0.2322"]
    assert f"{-len(oring.distress) * model(params):.3f}" == "-10.158"
    assert np.abs(model.gradient(params) * [1.0, 1 / 70.0]).max() < 1e-15
    # Launch day was at 31 degrees.
    assert model.probability(params, [31.0])[0] > 0.999
    assert model.predict(params, [31.0, 80.0]).tolist() == [1, 0]


def test_fit_survives_an_ill_conditioned_polynomial() -> None:
    # Integer data, an exact answer: y = 1 + x + ... + x^8 on 0..20 (the design of NIST's Wampler problems, whose
    # condition number defeats the normal equations completely).
    x = np.arange(21.0)
    y = sum(x**k for k in range(9))
    fitted = LinearRegression(x, y, degree=8).fit()
    np.testing.assert_allclose(fitted, np.ones(9), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_with_penalty_is_where_the_gradient_vanishes(kind: type) -> None:
    model = kind(*data(kind, 30, 4), l2=0.5)
    params = model.fit()
    assert np.abs(model.gradient(params)).max() < 1e-15
    rng = np.random.default_rng(3)
    assert all(model(params + 0.01 * rng.normal(size=model.n)) > model(params) for _ in range(20))


def test_fit_says_when_there_is_no_unique_minimum() -> None:
    with pytest.raises(ArgumentError, match="linearly dependent"):
        LinearRegression([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], [1, 2, 3]).fit()
    with pytest.raises(ArgumentError, match="linearly dependent"):
        LinearRegression([[1.0, 2.0]], [1.0]).fit()
    with pytest.raises(ArgumentError, match="column 1 of the design is zero"):
        LinearRegression([[0.0], [0.0]], [1.0, 2.0]).fit()
    with pytest.raises(ArgumentError, match="linearly dependent"):
        LogisticRegression([1.0, 1.0, 1.0], [0, 1, 0]).fit()
    with pytest.raises(FdcoreError, match="separable"):
        LogisticRegression([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1]).fit()
    # With a penalty each of them has a minimum.
    for model in (
        LinearRegression([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], [1, 2, 3], l2=0.1),
        LogisticRegression([1.0, 1.0, 1.0], [0, 1, 0], l2=0.1),
        LogisticRegression([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], l2=1e-4),
    ):
        assert np.abs(model.gradient(model.fit())).max() < 1e-13


def test_parameters_as_a_dict() -> None:
    model = LinearRegression(*data(LinearRegression, 9, 3))
    flat = np.array([1.0, 2.0, 3.0, 4.0])
    named = model.unflatten(flat)
    assert list(named) == ["intercept", "coef"]
    assert named["coef"].base is flat
    assert model(named) == model(flat)
    np.testing.assert_array_equal(model.flatten(dict(reversed(named.items()))), flat)
    gradient = model.gradient(named)
    assert isinstance(gradient, dict)
    np.testing.assert_array_equal(model.flatten(gradient), model.gradient(flat))
    assert LinearRegression([1.0], [1.0], intercept=False).names == ("coef",)


def test_data_is_kept_without_a_copy_where_possible_and_never_changed() -> None:
    X, y = data(LinearRegression, 5, 2)
    model = LinearRegression(X, y)
    assert np.shares_memory(model._X, X)
    assert X.flags.writeable
    transposed = np.asfortranarray(X)
    assert LinearRegression(transposed, y)(np.ones(3)) == model(np.ones(3))
    assert LinearRegression(X.astype(np.float32), y).__fdcore_native__()(np.ones(3)) == pytest.approx(model(np.ones(3)))


@pytest.mark.parametrize("kind", KINDS)
def test_models_travel(kind: type) -> None:
    model = kind(*data(kind, 6, 2))
    params = np.array([0.5, 1.0, -1.0])
    native = model.__fdcore_native__()
    assert model.__fdcore_native__() is native
    for other in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert other(params) == model(params)
        assert other.__fdcore_native__()(params) == native(params)


def test_kernel_outlives_its_model() -> None:
    X, y = data(LinearRegression, 50, 3)
    params = np.ones(4)
    expected = LinearRegression(X, y)(params)
    native = LinearRegression(X.tolist(), y.tolist()).__fdcore_native__()
    junk = [np.random.default_rng(0).random((50, 3)) for _ in range(100)]  # something to fill freed memory
    assert native(params) == pytest.approx(expected, rel=1e-14)
    assert len(junk) == 100


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LinearRegression(np.ones((2, 2, 2)), [1, 2]), ShapeError, r"\(rows, cols\)"),
        (lambda: LinearRegression(np.ones((0, 2)), []), ShapeError, "at least one row"),
        (lambda: LinearRegression([1.0, 2.0], [1.0]), ShapeError, r"y must have shape \(2,\)"),
        (lambda: LinearRegression([[1.0, math.nan]], [1.0]), ArgumentError, r"X\[0, 1\] is nan"),
        (lambda: LinearRegression([1.0], [math.inf]), ArgumentError, r"y\[0\] is inf"),
        (lambda: LinearRegression([1j], [1.0]), ArgumentTypeError, "complex128"),
        (lambda: LinearRegression(["a"], [1.0]), ArgumentTypeError, "numbers"),
        (lambda: LinearRegression(np.ones((2, 0)), [1, 2], False), ArgumentError, "column of X or an intercept"),
        (lambda: LinearRegression([1.0], [1.0], degree=0), ArgumentError, "degree"),
        (lambda: LinearRegression([1.0], [1.0], l2=-1.0), ArgumentError, "l2"),
        (lambda: LogisticRegression([1.0], [1.0], l2=math.nan), ArgumentError, "l2"),
        (lambda: LogisticRegression([1.0, 2.0], [0, 2]), ArgumentError, r"y\[1\] is 2.0"),
        (lambda: PoissonRegression([1.0, 2.0], [0, -2]), ArgumentError, r"y\[1\] is -2.0"),
        (lambda: LinearRegression([1.0], [1.0])([1.0]), ShapeError, r"shape \(2,\)"),
        (lambda: LinearRegression([1.0], [1.0]).gradient({"coef": [1.0]}), ArgumentError, "intercept"),
        (lambda: LinearRegression([1.0], [1.0])({"intercept": 0.0, "coef": [1.0, 2.0]}), ShapeError, "'coef'"),
        (lambda: LinearRegression([1.0], [1.0])(["a", "b"]), ArgumentTypeError, "numbers"),
    ],
)
def test_bad_input(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
