"""Observed orders of convergence within 0.2 of theory: every method, accuracy and order of the derivative."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

import fdcore as fd


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize(
    ("method", "accuracy"),
    [*((m, p) for m in ("forward", "backward") for p in range(1, 9)), *(("central", p) for p in (2, 4, 6, 8))],
)
def test_every_stencil(method, accuracy, order):
    if method == "central":
        half = (order + 1) // 2 + accuracy // 2 - 1
        stencil = fd.stencil(range(-half, half + 1), order)
    else:
        sign = 1 if method == "forward" else -1
        stencil = fd.stencil([sign * k for k in range(order + accuracy)], order)
    assert stencil.accuracy == accuracy
    with mpmath.workdps(120):  # rounding must not hide the order
        x = mpmath.mpf("0.3")

        def error(h):
            total = mpmath.fsum(
                mpmath.mpf(w.numerator) / w.denominator * mpmath.exp(x + int(o) * h)
                for o, w in zip(stencil.offsets, stencil.weights, strict=True)
            )
            return abs(total / h**order - mpmath.exp(x))

        h = mpmath.mpf(2) ** -10
        assert float(mpmath.log(error(h) / error(h / 2), 2)) == pytest.approx(accuracy, abs=0.2)


def test_hessians_from_values_and_from_gradients():
    def f(x):
        return math.exp(x[0] + 0.5 * x[1]) + math.sin(x[0] * x[1])

    def gradient(x):
        e, c = math.exp(x[0] + 0.5 * x[1]), math.cos(x[0] * x[1])
        return np.array([e + x[1] * c, 0.5 * e + x[0] * c])

    x = np.array([0.4, 0.7])
    e, s, c = math.exp(0.75), math.sin(0.28), math.cos(0.28)
    exact = np.array([[e - 0.49 * s, 0.5 * e + c - 0.28 * s], [0.5 * e + c - 0.28 * s, 0.25 * e - 0.16 * s]])
    for how in ({}, {"grad": gradient}):
        errors = [np.linalg.norm(fd.hessian(f, x, step=h, **how) - exact) for h in (0.02, 0.01)]
        assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2), how


SMOOTH = {
    "exp": (math.exp, math.e),
    "sin": (math.sin, math.cos(1)),
    "cos": (math.cos, -math.sin(1)),
    "log": (math.log, 1.0),
    "atan": (math.atan, 0.5),
    "sqrt": (math.sqrt, 0.5),
    "1/x": (lambda x: 1 / x, -1.0),
    "tanh": (math.tanh, 1 / math.cosh(1) ** 2),
    "gamma": (math.gamma, -0.5772156649015329),
    "sinh": (math.sinh, math.cosh(1)),
    "erf": (math.erf, 2 / math.sqrt(math.pi) / math.e),
    "x**5": (lambda x: x**5, 5.0),
    "logistic": (lambda x: 1 / (1 + math.exp(-x)), 0.19661193324148185),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_at_one(name):
    f, exact = SMOOTH[name]
    result = fd.derivative(f, 1.0, method="adaptive", full_output=True)
    assert result.nfev <= 11
    assert abs(result.value - exact) <= min(1e-13, result.error)
