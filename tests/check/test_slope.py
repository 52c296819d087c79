"""The error bar: it covers the error where a derivative exists, and is wide where none does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fdcore.check.slope import CENTRED, ONE_SIDED, slope


def differentiate(f, x, *, h=None, unit=2.0**-53, levels=7):
    def line(t):
        y = x + t
        try:
            return float(f(y)), (y - x) - t
        except (ValueError, ArithmeticError):
            return math.nan, 0.0

    start = h or 0.01 * (abs(x) or 1.0)
    return slope(line, float(f(x)), start, unit=unit, target=lambda v: 1e-9 * abs(v), levels=levels)


SMOOTH = {
    "exp at 1": (math.exp, 1.0, math.e, 1e-12),
    "log at 1e-3": (math.log, 1e-3, 1e3, 1e-11),
    "sqrt at 1e-8": (math.sqrt, 1e-8, 5e3, 1e-11),
    "sin at 1e6": (math.sin, 1e6, math.cos(1e6), 1e-11),
    "sin 30x": (lambda x: math.sin(30 * x), 1.0, 30 * math.cos(30), 1e-11),
    "sin 1000x": (lambda x: math.sin(1000 * x), 1.0, 1000 * math.cos(1000), 1e-10),
    "1/x at 1e-8": (lambda x: 1 / x, 1e-8, -1e16, 1e-11),
    "x**4 at 1e-6": (lambda x: x**4, 1e-6, 4e-18, 1e-12),
    "exp(1e6(x-1))": (lambda x: math.exp(1e6 * (x - 1)), 1.0, 1e6, 1e-11),
    "1e10 + sin": (lambda x: 1e10 + math.sin(x), 1.0, math.cos(1), 1e-3),
    "abs beside its kink": (abs, 1e-9, 1.0, 1e-11),
    "x log x at 1e-30": (lambda x: x * math.log(x), 1e-30, 1 + math.log(1e-30), 1e-11),
    "x**2 at 1e-300": (lambda x: x * x, 1e-300, 2e-300, math.inf),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_bar_covers_the_error_and_is_narrow(name):
    f, x, exact, width = SMOOTH[name]
    found = differentiate(f, x)
    assert abs(found.value - exact) <= found.error
    assert found.error <= width * abs(exact)


def test_single_precision_is_recognised_by_its_noise():
    for unit in (2.0**-24, 2.0**-53):
        found = differentiate(lambda x: np.sin(np.float32(x)), 1.0, unit=unit)
        assert abs(found.value - math.cos(1)) <= found.error <= 2e-5


def test_noise_widens_the_bar():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(40):
        found = differentiate(lambda x: math.sin(x) + 1e-6 * rng.standard_normal(), 1.0)
        inside.append(abs(found.value - math.cos(1)) <= found.error)
        assert 1e-7 < found.error < 1e-2
    assert np.mean(inside) >= 0.9


def test_kink_is_found_with_both_slopes():
    found = differentiate(lambda x: 3.0 * abs(x) + x + x * x, 0.0)
    assert found.reason == "kink"
    assert (found.left, found.right) == (pytest.approx(-2.0, abs=1e-6), pytest.approx(4.0, abs=1e-6))


def test_jump_gives_a_bar_as_large_as_the_value():
    found = differentiate(lambda x: x + (x >= 1.0), 1.0)
    assert found.error > 0.5 * abs(found.value - 1.0)


STEP = 2.0**-7 * (1 + 2.0**-20)


def test_aliasing_on_the_grid_does_not_fool_it():
    # Period h exactly, for the first step: on the grid this is a constant
    found = differentiate(lambda x: math.sin(2 * math.pi * x / STEP), 1.0, h=2.0**-7)
    w = 2 * math.pi / STEP
    assert found.value == pytest.approx(w * math.cos(w), rel=1e-9)


def test_one_side_only():
    found = differentiate(lambda x: math.sqrt(x - 1.0) ** 5 + 2.0 * x if x >= 1 else math.nan, 1.0)
    assert found.reason == "one-sided"
    assert found.value == pytest.approx(2.0, rel=1e-4)


def test_nowhere_finite():
    found = slope(lambda t: (math.nan, 0.0), 1.0, 0.01, unit=2.0**-53, target=lambda v: 0.0)
    assert found.reason == "non-finite"
    assert found.error == math.inf


@pytest.mark.parametrize("rule", [CENTRED, ONE_SIDED])
def test_weights_are_exact_for_polynomials_of_degree_6(rule):
    for power in range(7):
        values = [u**power for u in (*rule.points[:6], 0.0)]
        assert sum(w * v for w, v in zip(rule.slope, values, strict=True)) == pytest.approx(float(power == 1), abs=1e-9)
        for weights, point in zip(rule.predict, rule.points[6:], strict=True):
            assert sum(w * v for w, v in zip(weights, values, strict=True)) == pytest.approx(point**power, rel=1e-9)
