"""fdcore.compat.scipy's derivative, jacobian and hessian: SciPy's iteration, and error estimates with a floor."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdcore.compat.scipy import derivative, hessian, jacobian


def test_the_same_iteration_as_scipys():
    theirs = pytest.importorskip("scipy.differentiate").derivative
    rng = np.random.default_rng(0)
    functions = (np.exp, lambda x: np.log(np.abs(x) + 1.0), lambda x: np.tanh(3 * x), lambda x: 1 / (x * x + 1.0))
    same = total = 0
    for f in functions:
        for order in (1, 2, 5, 8):
            for options in ({}, {"step_factor": 3.0}, {"initial_step": 0.1}, {"tolerances": {"rtol": 1e-4}}):
                x, direction = rng.uniform(-2, 3, 30), rng.integers(-1, 2, 30)
                own = derivative(f, x, order=order, step_direction=direction, **options)
                reference = theirs(f, x, order=order, step_direction=direction, **options)
                alike = (own.nit == reference.nit) & (own.status == reference.status)
                assert_array_equal(own.nfev, 1 + 2 * ((order + 1) // 2) + 2 * (own.nit - 1))
                last = reference.status != -1  # where the error grew, fdcore gives the best estimate, not the last
                assert_allclose(own.df[last], reference.df[last], rtol=1e-4, atol=1e-4)
                both = alike & (own.status == 0)
                assert_allclose(own.df[both], reference.df[both], rtol=1e-7, atol=1e-9)
                same, total = same + alike.sum(), total + x.size
    # Where an estimate is at the rounding of f, either may take one iteration more.
    assert same > 0.97 * total


@pytest.mark.parametrize(("f", "slope"), [(np.exp, np.exp), (np.sin, np.cos), (np.sqrt, lambda x: 0.5 / np.sqrt(x))])
def test_the_error_has_the_floor_that_rounding_sets(f, slope):
    x = np.random.default_rng(1).uniform(5.0, 9.0, 1000)
    result = derivative(f, x, tolerances={"rtol": 1e-15})
    assert np.mean(np.abs(result.df - slope(x)) <= result.error) == 1.0
    assert np.median(result.error / np.abs(slope(x))) < 1e-11
    assert np.max(np.abs(result.df / slope(x) - 1)) < 1e-11


def test_half_precision_stops_before_rounding_takes_over():
    x = np.linspace(0.3, 2.0, 8).astype("float16")
    for direction in (-1, 0, 1):
        result = derivative(np.exp, x, order=4, step_direction=direction)
        assert result.df.dtype == "float16"
        assert_allclose(result.df, np.exp(x), rtol=0.1)
        assert np.all(np.abs(result.df - np.exp(x)) <= result.error)


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("direction", [-1, 0, 1])
def test_observed_order(order, direction):
    steps = np.array([0.4, 0.2])
    result = derivative(np.exp, 0.3, initial_step=steps, order=order, maxiter=1, step_direction=direction)
    wide, narrow = np.abs(result.df - math.exp(0.3))
    assert abs(np.log2(wide / narrow) - order) < 0.2
    assert np.isnan(result.error).all()
    assert_array_equal(result.status, -2)


def test_every_status():
    noise = np.random.default_rng(5651219684984213)

    def f(x):
        return np.stack([x - 2.5, np.exp(x) * noise.random(), np.exp(x), np.full_like(x, np.nan)])

    result = derivative(f, 1.0, order=2, tolerances={"rtol": 1e-14}, preserve_shape=True)
    assert_array_equal(result.status, [0, -1, -2, -3])
    assert_array_equal(result.success, [True, False, False, False])
    seen = []

    def stop(result):
        seen.append(result.df)
        assert result.status == 1
        if result.nit == 2:
            raise StopIteration

    stopped = derivative(np.exp, 1.0, callback=stop, tolerances={"rtol": 1e-16})
    assert stopped.status == -4
    assert stopped.nit == 2
    assert len(seen) == 3
    assert np.isnan(seen[0])
    assert seen[-1] == stopped.df


def test_only_what_has_not_converged_is_evaluated_again():
    shapes = []

    def f(x, c):
        shapes.append(np.broadcast_shapes(x.shape, c.shape))
        return np.sin(c * x)

    result = derivative(f, 0.0, args=([1.0, 5.0, 10.0, 20.0],))
    assert_allclose(result.df, [1.0, 5.0, 10.0, 20.0], rtol=1e-8)
    assert shapes[:3] == [(4,), (4, 8), (4, 2)]  # as in SciPy's documentation
    assert [rows for rows, _ in shapes[1:]] == sorted((rows for rows, _ in shapes[1:]), reverse=True)
    assert shapes[-1][0] < 4
    assert result.nfev.max() == 1 + sum(columns for _, columns in shapes[1:])
    assert list(result.nfev) == sorted(result.nfev)


def test_large_x_divides_by_the_displacement_that_was_made():
    x = 1e15 + 3.0  # doubles are 1/8 apart, and steps are rounded to that
    result = derivative(lambda x: x / 7.0, x, initial_step=0.9, order=2, maxiter=1)
    assert result.df == pytest.approx(1 / 7, rel=0.04)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jacobian_of_many_points(dtype):
    x = np.random.default_rng(3).uniform(0.5, 1.5, (3, 2, 4)).astype(dtype)

    def f(x):
        assert x.dtype == dtype
        return np.stack([x[0] * x[1], np.sin(x[2])])

    result = jacobian(f, x)
    zero = np.zeros((2, 4))
    truth = np.array([[x[1], x[0], zero], [zero, zero, np.cos(x[2])]])
    assert result.df.shape == (2, 3, 2, 4)
    assert result.df.dtype == dtype
    assert_allclose(result.df, truth, atol=1e-10 if dtype == "float64" else 1e-3)
    assert "x" not in result


def test_steps_of_each_component_keep_to_the_domain():
    def f(x):
        assert np.all(x[0] >= 1.0)
        assert np.all(x[1] <= 2.0)
        return x[0] ** 2 * x[1]

    result = jacobian(f, [1.0, 2.0], step_direction=[1, -1], initial_step=[0.5, 0.1])
    assert_allclose(result.df, [4.0, 1.0], rtol=1e-9)


def test_hessian_counts_the_evaluations_of_each_entry():
    result = hessian(lambda x: x[0] ** 2 * np.sin(x[1]), [0.5, 0.25])
    s, c = math.sin(0.25), math.cos(0.25)
    assert_allclose(result.ddf, [[2 * s, c], [c, -0.25 * s]], atol=1e-9)
    # Nine points and more, each differentiated with nine points and more.
    assert result.nfev.min() >= 9 * 9 + 2 * 9
    assert result.nfev.max() < 600
    assert result.success.all()
    with pytest.warns(RuntimeWarning, match="rtol"):
        hessian(np.sin, [1.0], tolerances={"rtol": 1e-15})


def test_results_are_attributes_and_items():
    result = derivative(np.exp, 0.0)
    assert result.df is result["df"]
    assert "df" in dir(result)
    assert "nfev: 11" in repr(result)
    with pytest.raises(AttributeError):
        _ = result.nothing


def test_f_may_not_change_what_it_is_given():
    x = np.linspace(0.0, 1.0, 4)
    before = x.copy()
    c = np.array([2.0])

    def f(x, c):
        x *= 1.0
        c *= 1.0
        return c * x

    assert_allclose(derivative(f, x, args=(c,)).df, 2.0)
    assert_array_equal(x, before)
    assert c[0] == 2.0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"f": 3}, "`f` must be callable"),
        ({"x": 1j}, "must be real"),
        ({"f": lambda x: x + 1j}, "must be real"),
        ({"f": lambda x: np.zeros(3)}, "preserve_shape=False"),
        ({"f": lambda x: 1.0, "preserve_shape": True, "x": [1.0, 2.0]}, "for an argument of shape"),
        ({"f": lambda x: np.zeros(x.shape[:1]), "x": [1.0, 2.0]}, "was expected"),
        ({"tolerances": {"atol": -1}}, "non-negative"),
        ({"tolerances": {"tol": 1}}, "keys 'atol' and 'rtol'"),
        ({"step_factor": None}, "non-negative"),
        ({"maxiter": 0}, "`maxiter` must be a positive"),
        ({"order": "8"}, "`order` must be a positive"),
        ({"preserve_shape": 1}, "`preserve_shape` must be"),
        ({"callback": 1}, "`callback` must be"),
    ],
)
def test_misuse(options, error):
    with pytest.raises(ValueError, match=error):
        derivative(**{"f": np.exp, "x": 0.0, **options})
    with pytest.raises(ValueError, match="at least 1-D"):
        jacobian(np.sin, 1.0)
