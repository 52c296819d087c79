"""Implicit derivatives against closed forms."""

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
