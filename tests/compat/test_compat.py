"""Drop-ins: the peers' signatures, tried on the peers themselves where they are installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fdcore as fd
from fdcore.check.taylor import taylor_test
from fdcore.compat import pyadjoint, scipy


def rosen(x):
    return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)


def rosen_grad(x):
    return np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])


@pytest.mark.parametrize("direction", ["all", "random"])
def test_scipy_check_grad(direction):
    x = np.array([-1.2, 1.0])
    error = scipy.check_grad(rosen, rosen_grad, x, direction=direction, seed=3)
    assert error < 1e-6
    assert error.check.verdict == "agrees"
    wrong = scipy.check_grad(rosen, lambda x: 2 * rosen_grad(x), x, direction=direction)
    assert wrong.check.verdict == "wrong"
    assert wrong == pytest.approx(np.linalg.norm(rosen_grad(x)), rel=1e-6)
    assert scipy.check_grad(lambda x, a: a * rosen(x), lambda x, a: a * rosen_grad(x), x, 1e-9).check
    with pytest.raises(fd.ArgumentError):
        scipy.check_grad(rosen, rosen_grad, x, direction="some")


def test_scipy_calls_a_correct_gradient_at_1e8_wrong_and_this_does_not():
    x = np.array([1e8, 1.0])
    assert scipy.check_grad(lambda x: float(np.sum((x / 1e4) ** 2)), lambda x: 2 * x / 1e8, x).check


def cube(x):
    return float(np.sum(x**3))


def test_taylor_rates():
    x = np.array([1.0, -2.0, 0.5])
    assert taylor_test(cube, lambda x: 3 * x**2, x).rate == pytest.approx(2.0, abs=0.05)
    assert taylor_test(cube, None, x).rate == pytest.approx(1.0, abs=0.05)
    with_hessian = taylor_test(cube, lambda x: 3 * x**2, x, hessian_product=lambda x, d: 6 * x * d)
    assert with_hessian.rate == pytest.approx(3.0, abs=0.05)
    assert with_hessian.expected == 3


@pytest.mark.parametrize("scale", [1e-13, 1.0, 1e13])
@pytest.mark.parametrize("factor", [-1.0, 1.0001, 2.0])
def test_taylor_does_not_choose_the_wrong_window(scale, factor):
    x = np.array([1.0, -2.0, 0.5])
    good = taylor_test(lambda x: scale * cube(x), lambda x: scale * 3 * x**2, x)
    assert good.verdict == "agrees"
    bad = taylor_test(lambda x: scale * cube(x), lambda x: factor * scale * 3 * x**2, x)
    assert bad.verdict == "wrong"
    assert bad.rate == pytest.approx(1.0, abs=0.25)


def test_taylor_at_the_ends():
    x = np.array([1.0, 2.0])
    linear = taylor_test(lambda x: float(x @ [2.0, 3.0]), [2.0, 3.0], x)
    assert (linear.verdict, linear.rate) == ("agrees", math.inf)
    assert taylor_test(lambda x: math.nan, [1.0, 1.0], x).verdict == "cannot tell"
    text = str(taylor_test(cube, lambda x: 3 * x**2, x))
    assert text.startswith("agrees")
    assert "rounding only" in text
    with pytest.raises(fd.ArgumentError):
        taylor_test(cube, None, x, h=[0.1])
    with pytest.raises(fd.ArgumentError):
        taylor_test(cube, None, x, np.ones(3))


def test_pyadjoint_signature():
    m, h = np.array([1.0, 2.0]), np.array([0.3, -0.4])
    assert pyadjoint.taylor_test(cube, m, h, dJdm=3 * m**2) == pytest.approx(2.0, abs=0.05)
    assert pyadjoint.taylor_test(cube, m, h, dJdm=float(3 * m**2 @ h)) == pytest.approx(2.0, abs=0.05)
    assert pyadjoint.taylor_test(cube, m, h, dJdm=0) == pytest.approx(1.0, abs=0.05)
    assert pyadjoint.taylor_test(cube, m, h, dJdm=3 * m**2, Hm=float(h @ (6 * m * h))) == pytest.approx(3.0, abs=0.05)

    class Functional:
        def __call__(self, m):
            self.m = m
            return cube(m)

        def derivative(self):
            return 3 * np.asarray(self.m) ** 2

    assert pyadjoint.taylor_test(Functional(), m, h) == pytest.approx(2.0, abs=0.05)
