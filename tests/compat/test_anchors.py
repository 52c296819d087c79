"""Measured defects of other checkers that need none of them here: their probes, and what fdcore says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fdcore as fd
from fdcore.compat import pyadjoint, scipy


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.5, 1.0001])
def test_one_entry_of_ten_thousand(factor):  # torch's fast mode misses all of them
    n, wrong = 10_000, 4321
    x = 0.5 + np.random.default_rng(0).random(n)
    check = fd.check_gradient(lambda x: float(x @ x), lambda x: 2 * x * np.where(np.arange(n) == wrong, factor, 1), x)
    assert [entry.index for entry in check.wrong] == [(wrong,)]
    assert check.nfev < 600


def test_neighbours_exchanged_and_everything_rolled():
    x = 0.5 + np.random.default_rng(0).random(10_000)

    def exchanged(x):
        g = 2 * x
        g[[70, 71]] = g[[71, 70]]
        return g

    check = fd.check_gradient(lambda x: float(x @ x), exchanged, x)
    assert {entry.index for entry in check.wrong} == {(70,), (71,)}
    rolled = fd.check_gradient(lambda x: float(x @ x), lambda x: np.roll(2 * x, 1), x)
    assert rolled.diagnoses[0].label == "permutation"


@pytest.mark.parametrize("scale", [1e-13, 1e-7, 1.0, 1e8])
@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0])
def test_scaled_objectives(scale, factor):  # autograd's absolute tolerance, SciPy's number, pymanopt's 1e-12
    x = np.array([1.0, -2.0, 3.0])
    assert fd.check_gradient(lambda x: scale * np.sum(x**2), lambda x: scale * 2 * x, x)
    wrong = fd.check_gradient(lambda x: scale * np.sum(x**2), lambda x: factor * scale * 2 * x, x)
    assert wrong.verdict == "wrong"
    assert len(wrong.wrong) == 3
    taylor = fd.taylor_test(lambda x: scale * np.sum(x**2), lambda x: factor * scale * 2 * x, x)
    assert taylor.verdict == "wrong"


def test_a_correct_gradient_at_a_large_point():  # SciPy's number is 1.5e8
    x = np.array([1e8, 1.0])
    found = scipy.check_grad(lambda x: float(np.sum(x**2)), lambda x: 2 * x, x)
    assert found.check.verdict != "wrong"
    assert found < 1e3
    assert (
        fd.check_gradient(lambda x: float(np.sum(x**2)), lambda x: 2 * x, x, only="x").parameters[0].verdict != "wrong"
    )


def test_nan_in_the_gradient_is_wrong():  # OpenMDAO's table, Ipopt's `>=`
    x = np.array([1.0, 2.0])
    check = fd.check_gradient(lambda x: float(x @ x), lambda x: np.array([2.0, math.nan]), x)
    assert check.verdict == "wrong"
    assert [entry.index for entry in check.wrong] == [(1,)]
    assert "NaN" in str(check)


def test_nan_on_both_sides_is_no_agreement():  # jax: numpy calls NaN equal to NaN
    check = fd.check_gradient(lambda x: math.nan, lambda x: np.full(2, math.nan), np.ones(2))
    assert check.verdict != "agrees"
    assert not check


def test_a_numeric_zero_is_no_excuse():  # nloptr takes the analytic value, with its sign, for the relative error
    check = fd.check_gradient(lambda x: float(x[0] ** 2), lambda x: np.array([2 * x[0], -5.0]), np.array([1.0, 1.0]))
    assert [(entry.index, entry.numeric) for entry in check.wrong] == [((1,), 0.0)]


def test_zero_against_rounding_is_no_error():  # OpenMDAO: 0 against 1.9e-17 is a relative error of 1
    check = fd.check_gradient(lambda x: float(x[0] ** 2), lambda x: np.array([2 * x[0], 1.9e-17]), np.array([1.0, 1.0]))
    assert check.verdict != "wrong"


def test_what_differs_is_what_is_shown():  # torch prints two corners of matrices that are identical there
    n = 1000
    x = 0.5 + np.random.default_rng(0).random(n)
    text = str(
        fd.check_jacobian(lambda x: x[:30] ** 2, lambda x: np.eye(30, n) * np.where(np.arange(n) == 7, 3, 2) * x, x)
    )
    assert len(text.splitlines()) <= 25
    assert "x[7]" in text or "J[7, 7]" in text


def test_pyadjoints_rate_of_a_linear_functional():
    assert pyadjoint.taylor_test(lambda m: float(np.sum(m)), np.ones(3), np.ones(3), dJdm=np.ones(3)) == math.inf
    rate = pyadjoint.taylor_test(lambda m: float(np.sum(m)), np.ones(3), np.ones(3), dJdm=1.01 * np.ones(3))
    assert rate == pytest.approx(1.0, abs=0.05)
