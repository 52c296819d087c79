"""The Taylor test: no false alarm over scales, dtypes and noise; no slope that only looks right."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fdcore as fd


def cases(n, seed):
    """Functions with their gradients, at scales from 1e-12 to 1e12."""
    rng = np.random.default_rng(seed)
    A, b, s = rng.normal(size=(n, n)), rng.normal(size=n), 10.0 ** rng.uniform(-12, 12)
    W, v = rng.normal(size=(8, n)) / np.sqrt(n), rng.normal(size=8)
    return {
        "exp": (lambda x: s * np.sum(np.exp(x)), lambda x: s * np.exp(x)),
        "quadratic": (lambda x: s * (x @ A @ x + b @ x), lambda x: s * ((A + A.T) @ x + b)),
        "fast": (lambda x: s * np.sum(np.sin(30 * x)), lambda x: s * 30 * np.cos(30 * x)),
        "network": (lambda x: s * v @ np.tanh(W @ x), lambda x: s * W.T @ (v * (1 - np.tanh(W @ x) ** 2))),
        "relu": (lambda x: s * v @ np.maximum(W @ x, 0), lambda x: s * W.T @ (v * (W @ x > 0))),
        "offset": (lambda x: s * (1e6 + np.sum(np.cos(x))), lambda x: -s * np.sin(x)),
        "peaks": (lambda x: s * np.sum(1 / (1e-3 + x * x)), lambda x: -s * 2 * x / (1e-3 + x * x) ** 2),
        "noise": (lambda x: s * np.sum(np.exp(x)) * (1 + 1e-8 * rng.normal()), lambda x: s * np.exp(x)),
        "float32": (lambda x: float(np.sum(np.exp(x.astype(np.float32)), dtype=np.float32)), np.exp),
    }


@pytest.mark.parametrize("seed", range(6))
def test_right_and_wrong_gradients(seed):
    n = (2, 30, 300)[seed % 3]
    x = np.random.default_rng(100 + seed).normal(size=n) * 10.0 ** (seed % 3 - 1)
    for name, (f, grad) in cases(n, seed).items():
        with np.errstate(over="ignore"):
            right = fd.taylor_test(f, grad, x, seed=seed)
            assert right.verdict == "agrees", (name, right.message)
            assert fd.taylor_test(f, lambda x, g=grad: -g(x), x, seed=seed).verdict == "wrong", name
            limit = (10.0 if name == "noise" else 3.0) * right.detection_limit
            if limit < 0.3:
                off = fd.taylor_test(f, lambda x, g=grad, e=limit: (1 + e) * g(x), x, seed=seed)
                assert off.verdict == "wrong", (name, limit, off.message)
                assert abs(off.numeric - right.analytic) <= 10 * off.error, name


def cube(x):
    return float(np.sum(x**3))


def cube_gradient(x):
    return 3 * x**2


X = np.array([1.0, -2.0, 0.5])


def test_an_error_that_no_slope_shows():
    test = fd.taylor_test(cube, lambda x: (1 + 1e-9) * cube_gradient(x), X)
    assert test.verdict == "wrong"
    assert test.rate == pytest.approx(2.0, abs=0.01)
    assert test.analytic / test.numeric - 1 == pytest.approx(1e-9, rel=1e-3)
    assert "ratio 1+1e-09" in test.message


def test_a_wrong_hessian_is_told_from_a_wrong_gradient():
    hessian = fd.taylor_test(cube, cube_gradient, X, hessian_product=lambda x, d: 1.01 * 6 * x * d)
    assert hessian.verdict == "wrong"
    assert hessian.message.startswith("the second derivative")
    gradient = fd.taylor_test(cube, lambda x: 1.01 * cube_gradient(x), X, hessian_product=lambda x, d: 6 * x * d)
    assert gradient.message.startswith("the derivative")


def test_few_steps_say_how_little_they_see():
    h = [0.01, 0.005, 0.0025, 0.00125]
    test = fd.taylor_test(cube, lambda x: 1.0001 * cube_gradient(x), X, h=h)
    assert test.verdict == "agrees"
    assert test.detection_limit > 1e-4
    assert "could not be seen" in test.message
    assert fd.taylor_test(cube, lambda x: 1.1 * cube_gradient(x), X, h=h).verdict == "wrong"


@pytest.mark.parametrize(
    ("f", "grad", "verdict"),
    [
        (lambda x: 1e20 + x.sum(), np.ones(3), "cannot tell"),
        (lambda x: math.nan, np.ones(3), "cannot tell"),
        (cube, lambda x: math.nan * x, "wrong"),
        (lambda x: float(x.sum()), np.ones(3), "agrees"),
        (lambda x: float(x.sum()), 1.0001 * np.ones(3), "wrong"),
        (lambda x: float(x @ x), lambda x: -2 * x, "wrong"),
        (lambda x: 3.0, np.zeros(3), "cannot tell"),
        (lambda x: float(x[0] != 1.0), None, "wrong"),
    ],
)
def test_ends(f, grad, verdict):
    test = fd.taylor_test(f, grad, X)
    assert test.verdict == verdict
    assert bool(test) == (verdict == "agrees")
    json.dumps(test.to_dict(), allow_nan=False)
    assert len(str(test).splitlines()) <= 25


def test_where_f_has_no_value_far_away():
    with np.errstate(invalid="ignore"):
        test = fd.taylor_test(lambda x: float(np.sum(np.log(x))), lambda x: 1 / x, np.array([0.5, 1.0]), [-10.0, 1.0])
    assert test.verdict == "agrees"
    assert not np.isfinite(test.remainder[0])
    assert "not finite" in str(test)
