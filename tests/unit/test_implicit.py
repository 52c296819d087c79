"""Implicit derivatives against closed forms."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fdcore as fd


def test_a_linear_system():
    # A y = b(theta): dy/dtheta = A^-1 db/dtheta
    A = np.array([[3.0, 1.0], [1.0, 2.0]])
    B = np.array([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]])
    theta = np.array([0.3, -1.0, 2.0])
    y = np.linalg.solve(A, B @ theta)
    got = fd.implicit_jacobian(lambda y, t: A @ y - B @ t, y, theta)
    assert_allclose(got, np.linalg.solve(A, B), rtol=1e-9, atol=1e-10)


def test_kepler():
    # E - e sin E = M: dE/dM = 1 / (1 - e cos E), dE/de = sin E / (1 - e cos E)
    E, e = 1.2, 0.4
    M = E - e * np.sin(E)
    got = fd.implicit_jacobian(lambda y, t: y[0] - t[1] * np.sin(y[0]) - t[0], E, [M, e])
    assert_allclose(got, np.array([[1.0, np.sin(E)]]) / (1 - e * np.cos(E)), rtol=1e-9)


def test_nothing_is_changed_and_options_are_passed_on():
    y, theta = np.array([2.0]), np.array([4.0])
    got = fd.implicit_jacobian(lambda y, t: y**2 - t, y, theta, method="complex")
    assert got[0, 0] == pytest.approx(0.25, rel=1e-15)
    assert (y[0], theta[0]) == (2.0, 4.0)


def test_errors():
    with pytest.raises(fd.ArgumentError, match="singular"):
        fd.implicit_jacobian(lambda y, t: y**2 - t, 0.0, 0.0)
    with pytest.raises(fd.ShapeError, match="residuals"):
        fd.implicit_jacobian(lambda y, t: y[0] - t, [1.0, 2.0], [1.0])


def test_units_do_not_make_a_system_singular():
    # y0 in metres and y1 in picometres, residuals in other units again: condition number 1e36 as it stands.
    def F(y, t):
        return np.array([1e12 * (y[0] ** 2 - t[0]), 1e-12 * (1e12 * y[1] - t[0])])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = fd.implicit_jacobian(F, [2.0, 4e-12], 4.0, method="adaptive")
    assert_allclose(got, [[0.25], [1e-12]], rtol=1e-7)


def test_a_point_that_is_no_solution_is_warned_about():
    with pytest.warns(fd.FdcoreWarning, match=r"move y\[0\] from 3 to 2.16667"):
        fd.implicit_jacobian(lambda y, t: y**2 - t, 3.0, 4.0)


def test_nothing_to_solve_for_and_nothing_to_vary():
    assert fd.implicit_jacobian(lambda y, t: y, np.empty(0), [1.0]).shape == (0, 1)
    assert fd.implicit_jacobian(lambda y, t: y - 1.0, [1.0], np.empty(0)).shape == (1, 0)


def test_arguments_after_theta():
    got = fd.implicit_jacobian(lambda y, t, a, b=1.0: y - a * b * t, 6.0, 1.0, args=(2.0,), kwargs={"b": 3.0})
    assert got[0, 0] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"full_output": True}, "full_output"),
        ({"out": np.empty((1, 1))}, "out"),
        ({"bounds": (0.0, 9.0)}, "bounds"),
        ({"vectorized": True}, "vectorized"),
        ({"step": [1e-6]}, "step must be one number"),
    ],
)
def test_options_for_one_shape_only(options, words):
    with pytest.raises(fd.ArgumentError, match=words):
        fd.implicit_jacobian(lambda y, t: y**2 - t, 2.0, 4.0, **options)


def test_wrong_kinds():
    with pytest.raises(fd.ArgumentTypeError, match="must be a function"):
        fd.implicit_jacobian("F", 1.0, 1.0)
    with pytest.raises(fd.ArgumentTypeError, match="theta must hold real numbers"):
        fd.implicit_jacobian(lambda y, t: y, 1.0, {"a": 1.0})
    with pytest.raises(fd.ArgumentError, match="singular"):
        fd.implicit_jacobian(lambda y, t: np.array([y[0] - t[0], y[0] - t[0]]), [1.0, 1.0], 1.0)
