"""fdcore.compat.jacobi: the package's conventions, calibrated bars."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdcore.compat.jacobi import jacobi, propagate

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("f", "x", "truth"),
    [
        (np.exp, 0, 1.0),
        (lambda x: 1.0, [1.0, 2.0], [0.0, 0.0]),
        (lambda x: np.mean(x**2), [1.0, 2.0, 3.0], np.array([2.0, 4.0, 6.0]) / 3),
        (lambda x: 1 / x, [1.0, 2.0], np.diag([-1.0, -0.25])),
        (lambda x: A * x**2, 2, 4 * A),
        (lambda x: A @ x, [0, 1, 2], A),
        (lambda x: [x[0], x[1] ** 3], (1, 2), [[1.0, 0.0], [0.0, 12.0]]),
        (lambda x: x[0] * x[1], [[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [1.0, 2.0]]),
    ],
)
@pytest.mark.parametrize("method", [None, -1, 0, 1])
def test_shapes_and_values(f, x, truth, method):
    value, error = jacobi(f, x, method=method)
    if np.shape(x) == (2, 2):  # values first, then the entries of x
        truth = [[[3, 0], [1, 0]], [[0, 4], [0, 2]]]
    assert np.shape(value) == np.shape(error) == np.shape(truth)
    assert_allclose(value, truth, atol=1e-9)
    assert np.all(np.abs(value - truth) <= error)
    assert np.all(error < 1e-8)


@pytest.mark.parametrize(("edge", "side"), [(lambda x: x >= 0, 1), (lambda x: x <= 0, -1)])
@pytest.mark.parametrize("raises", [False, True])
def test_one_sided_domains(edge, side, raises):
    def f(x):
        if not edge(x):
            if raises:
                raise ValueError("outside")
            return np.nan
        return np.exp(x)

    told = {}
    value, error = jacobi(f, 0.0, diagnostic=told)
    assert_allclose(value, 1.0, atol=1e-8)
    assert abs(value - 1.0) <= error
    assert list(told["method"]) == [side]
    assert told["call"][0] > 5
    assert_allclose(jacobi(f, 0.0, method=side)[0], 1.0, atol=1e-8)
    for other in (0, -side):
        value, error = jacobi(f, 0.0, method=other)
        assert np.isnan(value)
        assert error == np.inf


def test_a_kink_is_no_smooth_derivative():
    value, error = jacobi(np.abs, 0.0)
    assert error >= 1.0
    assert abs(value) <= error


def test_mask_and_nan():
    x = np.array([1.0, 2.0, 3.0])
    value, error = jacobi(lambda x, p: x**p, x, 3, mask=np.array([True, False, True]))
    assert_allclose(value, np.diag([3.0, 0.0, 27.0]), atol=1e-8)
    assert error[1, 1] == 0.0
    told = {}
    value, error = jacobi(np.square, [2.0, np.nan, 3.0], diagnostic=told)
    assert_allclose(value, [[4.0, np.nan, 0.0], [np.nan, np.nan, np.nan], [0.0, np.nan, 6.0]])
    assert_array_equal(np.isinf(error), np.isnan(value))
    assert_array_equal(told["iteration"], [1, 1, 1])
    with pytest.raises(ValueError, match="mask"):
        jacobi(np.square, x, mask=[1, 0, 1])


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.log, lambda x: 1 / x),
        (lambda x: np.exp(-x), lambda x: -np.exp(-x)),
        (lambda x: np.sin(1 / x), lambda x: -np.cos(1 / x) / x**2),
    ],
)
def test_diagonal_over_six_orders_of_magnitude(f, slope):
    x = np.geomspace(1e-3, 1e3, 7)
    calls = []

    def counted(x):
        calls.append(1)
        return f(x)

    with np.errstate(all="ignore"):
        value, error = jacobi(counted, x, diagonal=True)
    assert_allclose(value, slope(x), rtol=1e-9, atol=1e-300)
    assert np.all(np.abs(value - slope(x)) <= error)
    assert len(calls) < 80
    assert jacobi(np.square, 3.0, diagonal=True)[0] == pytest.approx(6.0)
    with pytest.raises(ValueError, match="diagonal"):
        jacobi(np.sum, x, diagonal=True)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"maxiter": 0}, "maxiter"),
        ({"maxgrad": -1}, "maxgrad"),
        ({"method": 2}, "method"),
        ({"step": (0.5, 0.5)}, r"step\[0\]"),
        ({"step": (0.25, 1.0)}, r"step\[1\]"),
        ({"fn": lambda x: "word"}, "cannot be converted"),
        ({"fn": lambda x: [1, [1, 2]]}, "cannot be converted"),
    ],
)
def test_misuse(options, error):
    with pytest.raises(ValueError, match=error):
        jacobi(**{"fn": np.square, "x": 1.0, **options})


class TestPropagate:
    cov = np.array([[3.0, 1.0], [1.0, 4.0]])

    def test_linear(self):
        M = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        y, ycov = propagate(lambda x: M @ x, [1.0, 2.0], self.cov)
        assert_allclose(y, M @ [1.0, 2.0])
        assert_allclose(ycov, M @ self.cov @ M.T)
        assert_allclose(propagate(lambda x: M @ x, [1.0, 2.0], [3.0, 4.0])[1], M @ np.diag([3.0, 4.0]) @ M.T)

    def test_numbers(self):
        y, ycov = propagate(np.sum, [1.0, 2.0], self.cov)
        assert y == 3.0
        assert ycov == pytest.approx(9.0)
        assert propagate(lambda x: x**2, 2.0, 3.0)[1] == pytest.approx(48.0)
        assert_allclose(propagate(lambda x: np.array([x, 2 * x]), 1.0, 3.0)[1], [[3.0, 6.0], [6.0, 12.0]])

    @pytest.mark.parametrize("diagonal", [False, True])
    def test_elementwise(self, diagonal):
        x = np.array([1.0, np.nan, 2.0])
        y, variances = propagate(np.square, x, [1.0, 1.0, 2.0], diagonal=diagonal)
        assert_allclose(y, [1.0, np.nan, 4.0])
        assert_allclose(variances, [4.0, np.nan, 32.0])
        _, full = propagate(np.square, [1.0, 2.0], self.cov, diagonal=diagonal)
        assert_allclose(full, [[12.0, 8.0], [8.0, 64.0]])

    def test_independent_arguments(self):
        y, ycov = propagate(lambda x, y: x / y, 1.0, 0.1, 2.0, 0.2)
        assert y == 0.5
        assert ycov == pytest.approx(0.1 / 4 + 0.2 / 16)
        _, ycov = propagate(lambda x, y: np.append(x, y), [1.0, 2.0], [2.0, 3.0], 3.0, 4.0)
        assert_allclose(ycov, np.diag([2.0, 3.0, 4.0]), atol=1e-9)
        # Variances of one, a covariance of the other.
        _, ycov = propagate(np.add, [1.0, 2.0], [2.0, 3.0], [1.0, 2.0], self.cov)
        assert_allclose(ycov, np.diag([2.0, 3.0]) + self.cov)

    def test_masks(self):
        a, b = [1.0, 2.0], [3.0, 4.0]
        _, one = propagate(np.multiply, a, [0.1, 0.1], b, [0.2, 0.2], mask=[False, True])
        assert_allclose(one, [0.0, 1.6 + 0.8])
        _, each = propagate(np.multiply, a, [0.1, 0.1], b, [0.2, 0.2], mask=[[True, False], [False, True]])
        assert_allclose(each, [0.9, 0.8])

    @pytest.mark.parametrize(
        "arguments", [(1.0, [1.0, 2.0]), (1.0, np.ones((2, 2))), ([[1.0]], 1.0), (1.0, [[[1.0]]]), (1.0, 2.0, 3.0)]
    )
    def test_misuse(self, arguments):
        with pytest.raises(ValueError, match=r"covariance|number of extra"):
            propagate(np.square, *arguments)
