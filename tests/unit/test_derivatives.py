"""Every rule, way of calling and option against the oracle."""

import math
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import fdcore as fd

RULES = [("forward", p) for p in range(1, 9)] + [("backward", p) for p in range(1, 9)]
RULES += [("central", p) for p in (2, 4, 6, 8)]
X = np.array([0.3, -1.7, 2.5, 0.0])


def vector(x):
    return np.array([np.sin(x).sum(), x[0] * x[1] - x[2] ** 2, np.exp(0.3 * x[3]), x @ x, 7.0])


def scalar(x):
    return float(np.sin(x).sum() + x[0] * x[1])


def blockwise(function):
    return lambda block: np.array([function(x) for x in block])


@pytest.mark.parametrize(("method", "accuracy"), RULES)
@pytest.mark.parametrize("vectorized", [False, True])
def test_jacobian_equals_the_oracle(method, accuracy, vectorized):
    f = blockwise(vector) if vectorized else vector
    got = fd.jacobian(f, X, method=method, accuracy=accuracy, vectorized=vectorized)
    want = reference.jacobian(vector, X, method, accuracy)
    assert np.all(np.abs(got - want) <= reference.floor(method, accuracy, X, 20.0))


@pytest.mark.parametrize(("method", "accuracy"), RULES)
@pytest.mark.parametrize("vectorized", [False, True])
def test_gradient_equals_the_oracle(method, accuracy, vectorized):
    f = blockwise(scalar) if vectorized else scalar
    got = fd.gradient(f, X, method=method, accuracy=accuracy, vectorized=vectorized)
    want = reference.jacobian(scalar, X, method, accuracy)[0]
    assert np.all(np.abs(got - want) <= reference.floor(method, accuracy, X, 5.0))


@pytest.mark.parametrize(
    ("alias", "name"), [("2-point", "forward"), ("3-point", "central"), ("cs", "complex"), ("central", "central")]
)
def test_aliases_are_the_same_rule(alias, name):
    f = lambda x: (x**3).sum()  # noqa: E731
    assert_array_equal(fd.gradient(f, X, method=alias), fd.gradient(f, X, method=name))


def test_five_point_is_central_of_order_four():
    assert_array_equal(fd.gradient(scalar, X, method="five-point"), fd.gradient(scalar, X, accuracy=4))


@pytest.mark.parametrize(("method", "accuracy"), RULES)
def test_observed_order_of_convergence(method, accuracy):
    # Steps large enough for truncation to rule, halved once: the error must fall by 2**accuracy.
    f, exact = (lambda x: math.exp(x[0])), math.e
    steps = {1: 1e-3, 2: 1e-2, 3: 0.03, 4: 0.06, 5: 0.1, 6: 0.12, 7: 0.15, 8: 0.2}[accuracy]
    errors = [
        abs(fd.gradient(f, [1.0], method=method, accuracy=accuracy, step=h)[0] - exact) for h in (steps, steps / 2)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.2 if method == "central" else 0.75)


@pytest.mark.parametrize("method", ["forward", "backward"])
@pytest.mark.parametrize("accuracy", range(1, 9))
def test_one_sided_order_of_convergence_near_its_limit(method, accuracy):
    # One-sided rules have all powers in their error series; at smaller steps the next one fades.
    steps = {1: 1e-3, 2: 2e-3, 3: 5e-3, 4: 0.01, 5: 0.02, 6: 0.03, 7: 0.05, 8: 0.08}[accuracy]
    errors = []
    for h in (steps, steps / 2):
        errors.append(
            abs(fd.gradient(lambda x: math.exp(x[0]), [1.0], method=method, accuracy=accuracy, step=h)[0] - math.e)
        )
    assert math.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.35)


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_higher_derivatives_lie_within_their_bars(order, method):
    exact = {0: math.sin(0.7), 1: math.cos(0.7), 2: -math.sin(0.7), 3: -math.cos(0.7)}[order % 4]
    result = fd.derivative(math.sin, 0.7, order=order, method=method, accuracy=4, full_output=True)
    assert abs(result.value - exact) <= result.error
    assert result.error < 0.05


def test_complex_step_is_exact():
    exact = math.exp(1.0) * (math.sin(1.0) + math.cos(1.0))
    assert fd.derivative(lambda z: np.exp(z) * np.sin(z), 1.0, method="complex") == pytest.approx(exact, rel=1e-15)
    jac = fd.jacobian(lambda z: np.array([z[0] * z[1], np.sin(z[2])]), X[:3], method="complex")
    assert_allclose(jac, [[X[1], X[0], 0.0], [0.0, 0.0, math.cos(X[2])]], rtol=1e-15)


@pytest.mark.parametrize(
    "f",
    [
        lambda z: np.sum(np.abs(z) ** 2 + 0j),
        lambda z: np.sum(z.real * z),
        lambda z: np.sum(z * np.conj(z)),
        lambda z: np.sum(np.where(np.abs(z) > 0, np.real(z) ** 2, z) + 0j),
    ],
)
def test_the_complex_step_of_what_is_not_analytic_is_an_error(f):
    with pytest.raises(fd.AnalyticityError, match="not analytic"):
        fd.gradient(f, X[:3], method="complex")
    with pytest.raises(fd.AnalyticityError, match="not analytic"):
        fd.derivative(f, 0.7, method="complex")
    with pytest.raises(fd.AnalyticityError, match="not analytic"):
        fd.jacobian(lambda z: np.array([f(z), z[0]]), X[:3], method="complex")


@pytest.mark.parametrize("rate", [1.0, 1e3, 1e6, 1e9])
def test_the_complex_step_is_not_blamed_for_what_differences_cannot_see(rate):
    got = fd.derivative(lambda z: np.sin(rate * z), 0.3, method="complex")
    assert got == pytest.approx(rate * math.cos(rate * 0.3), rel=1e-14)


def test_a_plan_compares_the_complex_step_once():
    calls = []
    plan = fd.Gradient(lambda z: calls.append(1) or (z**2).sum(), method="complex")
    plan(X)
    assert len(calls) == 4 + 4
    plan(X)
    assert len(calls) == 4 + 4 + 4


def test_a_linear_function_comes_out_exact():
    assert fd.derivative(lambda t: 3.0 * t, 0.1) == pytest.approx(3.0, rel=1e-10)
    assert_array_equal(fd.gradient(lambda x: x[0] - 2.0 * x[1], [0.0, 0.0], step=0.5), [1.0, -2.0])


# ---- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step", "abs_step"])
def test_absolute_steps(name):
    h = np.array([1e-3, 1e-4, 1e-5, 1e-6])
    seen = []
    fd.gradient(lambda x: seen.append(x) or 0.0, X, method="forward", **{name: h})
    assert_allclose(np.diag(np.array(seen[1:]) - X), h, rtol=1e-9)


def test_relative_steps_fall_back_where_they_vanish():
    result = fd.gradient(scalar, X, rel_step=1e-4, full_output=True)
    assert_allclose(result.step[:3], 1e-4 * np.abs(X[:3]))
    assert result.step[3] == pytest.approx(reference.rule_step("central", 2))


def test_rule_steps_grow_with_x():
    result = fd.gradient(lambda x: float(x.sum()), [1e-3, 1.0, -1e6], full_output=True)
    assert_allclose(result.step / result.step[0], [1.0, 1.0, 1e6])


def test_float32_functions_get_float32_steps():
    result = fd.gradient(lambda x: np.float32(np.sin(x).sum()), X[:3], full_output=True)
    assert result.step[0] == pytest.approx(reference.rule_step("central", 2, precision=2.0**-24))
    assert np.all(np.abs(result.value - np.cos(X[:3])) <= result.error)
    assert_allclose(fd.gradient(lambda x: np.float32(np.sin(x).sum()), X[:3]), np.cos(X[:3]), atol=1e-4)


# ---- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "accuracy"), RULES)
@pytest.mark.parametrize("where", [0.0, 1e-7, 0.3, 1.0 - 1e-9, 1.0])
def test_points_stay_in_the_box(method, accuracy, where):
    seen = []

    def f(x):
        seen.append(x[0])
        return math.exp(x[0])

    got = fd.gradient(f, [where], method=method, accuracy=accuracy, bounds=(0.0, 1.0))[0]
    assert min(seen) >= 0.0
    assert max(seen) <= 1.0
    assert got == pytest.approx(math.exp(where), rel=1e-6)


def test_narrow_boxes_shrink_the_step():
    result = fd.gradient(lambda x: x[0] ** 2, [1.0], bounds=(1.0 - 1e-8, 1.0 + 1e-9), full_output=True)
    assert abs(result.value[0] - 2.0) < 1e-6
    assert abs(result.value[0] - 2.0) <= result.error[0]


def test_bounds_per_component_and_of_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    lower, upper = np.array([0.3, -np.inf, -9.0, 0.0]), np.full(4, np.inf)
    one = fd.gradient(scalar, X, bounds=(lower, upper), full_output=True)
    two = fd.gradient(scalar, X, bounds=optimize.Bounds(lower, upper))
    assert_array_equal(one.value, two)
    assert one.status.tolist() == [fd.Status.FORWARD, fd.Status.RULE, fd.Status.RULE, fd.Status.FORWARD]


# ---- retreat ---------------------------------------------------------------------------------------------------------


def test_nan_on_one_side_makes_the_rule_one_sided():
    with np.errstate(invalid="ignore"):
        result = fd.gradient(lambda x: float(np.sum(x**1.5)), [0.0, 4.0], full_output=True)
    assert result.status.tolist() == [fd.Status.FORWARD, fd.Status.RULE]
    assert result.value[1] == pytest.approx(3.0, abs=1e-8)


def test_evaluation_error_counts_as_nan():
    def f(x):
        if x[0] < 1.0:
            raise fd.EvaluationError("outside")
        return x[0] ** 2

    result = fd.gradient(f, [1.0], full_output=True)
    assert result.status[0] == fd.Status.FORWARD
    assert result.value[0] == pytest.approx(2.0, abs=1e-8)


def test_nan_on_both_sides_shrinks_the_step():
    with np.errstate(invalid="ignore"):
        result = fd.gradient(lambda x: np.sqrt(1e-12 - (x[0] - 1.0) ** 2), [1.0], full_output=True)
    assert result.status[0] == fd.Status.SHRUNK
    assert abs(result.value[0]) < 1.0


def test_nan_everywhere_is_an_error():
    with pytest.raises(fd.NonFiniteError, match=r"f\(x\) is NaN"):
        fd.gradient(lambda x: math.nan, [1.0, 2.0])
    with pytest.raises(fd.NonFiniteError, match=r"x\[1\] = 2\.0"):
        fd.gradient(lambda x: 1.0 if x[1] == 2.0 else math.nan, [1.0, 2.0])


# ---- arguments, outputs, shapes --------------------------------------------------------------------------------------


def test_args_and_kwargs_follow_x():
    f = lambda x, a, *, b: a * x[0] + b * x[1]  # noqa: E731
    assert_allclose(fd.gradient(f, [1.0, 2.0], args=(3.0,), kwargs={"b": 5.0}), [3.0, 5.0])
    assert_allclose(fd.Gradient(lambda x, a: a * x[0])([1.0], 3.0), [3.0])


@pytest.mark.parametrize("order", ["C", "F"])
def test_out_gets_the_result_in_any_memory_order(order):
    out = np.full((5, 4), np.nan, order=order)
    got = fd.jacobian(vector, X, out=out)
    assert got is out
    assert_array_equal(out, fd.jacobian(vector, X))
    parent = np.full((10, 12), -1.0)
    fd.jacobian(vector, X, out=parent[::2, 1::3])
    assert_array_equal(parent[::2, 1::3], out)
    assert np.all(parent[1::2] == -1.0)


def test_out_may_be_x_itself():
    x = X.copy()
    plan = fd.Gradient(lambda x: float(x @ x))
    plan(x, out=x)
    assert_allclose(x, 2 * X, atol=1e-9)


def test_gradient_has_the_shape_of_x():
    f = lambda x: float(np.sum(np.square(x)))  # noqa: E731
    assert fd.gradient(f, np.ones((2, 3))).shape == (2, 3)
    assert fd.gradient(f, np.ones((2, 3)), out=np.empty((2, 3))).shape == (2, 3)
    assert fd.gradient(f, 3.0) == pytest.approx(6.0)
    assert isinstance(fd.gradient(f, 3.0), float)
    assert fd.gradient(f, np.ones((0,))).shape == (0,)
    assert fd.gradient(f, [[1.0], [2.0]]).shape == (2, 1)


def test_gradient_of_a_tree():
    tree = {"W": np.ones((2, 2)), "layers": [np.zeros(3), 2.0]}
    grad = fd.gradient(lambda p: float((p["W"] ** 2).sum() + p["layers"][0].sum() * p["layers"][1]), tree)
    assert_allclose(grad["W"], 2.0, atol=1e-8)
    assert_allclose(grad["layers"][0], 2.0, atol=1e-8)
    assert grad["layers"][1] == pytest.approx(0.0)
    full = fd.gradient(lambda p: float((p["W"] ** 2).sum()), tree, full_output=True)
    assert full.error["W"].shape == (2, 2)
    assert full.status["layers"][0].shape == (3,)


def test_the_jacobian_of_a_scalar_function_is_a_row():
    assert fd.jacobian(scalar, X).shape == (1, 4)
    assert fd.jacobian(lambda x: x[:0], X).shape == (0, 4)


def test_plans_learn_m_once():
    calls = []
    plan = fd.Jacobian(lambda x: calls.append(1) or x * x)
    plan(X)
    assert len(calls) == 9
    plan(X)
    assert len(calls) == 17
    assert "central" in repr(plan)


@pytest.mark.parametrize(
    ("method", "accuracy", "count"), [("central", 2, 8), ("central", 6, 24), ("forward", 1, 5), ("backward", 3, 13)]
)
def test_evaluations_are_counted_exactly(method, accuracy, count):
    calls = []
    fd.gradient(lambda x: calls.append(1) or 0.0, X, method=method, accuracy=accuracy)
    assert len(calls) == count
    calls.clear()
    result = fd.gradient(lambda x: calls.append(1) or 0.0, X, method=method, accuracy=accuracy, full_output=True)
    assert result.nfev == len(calls)


def test_f0_saves_its_evaluation():
    calls = []

    def f(x):
        calls.append(1)
        return scalar(x)

    got = fd.Gradient(f, method="forward")(X, f0=scalar(X))
    assert len(calls) == 4
    assert_array_equal(got, fd.gradient(scalar, X, method="forward"))


# ---- workers ---------------------------------------------------------------------------------------------------------


def test_maps_and_executors_give_the_same_bits():
    want = fd.jacobian(vector, X)
    with ThreadPoolExecutor(2) as executor:
        assert_array_equal(fd.jacobian(vector, X, workers=executor), want)
        assert_array_equal(fd.jacobian(vector, X, workers=executor.map), want)
    assert_array_equal(fd.jacobian(vector, X, workers=map), want)
    assert_array_equal(fd.jacobian(vector, X, workers=2), want)
    assert_array_equal(fd.gradient(scalar, X, workers=map), fd.gradient(scalar, X))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_processes_can_be_workers():
    with get_context("spawn").Pool(2) as pool:
        assert_array_equal(fd.gradient(np.linalg.norm, X, workers=pool), fd.gradient(np.linalg.norm, X))
        assert_array_equal(
            fd.gradient(np.linalg.norm, X, workers=pool, kwargs={"ord": 2}), fd.gradient(np.linalg.norm, X)
        )


def test_a_map_that_loses_points_is_found_out():
    with pytest.raises(fd.ShapeError, match="results for"):
        fd.gradient(scalar, X, workers=lambda f, points: [])


# ---- bars ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "accuracy"), RULES)
def test_error_bars_cover_smooth_functions(method, accuracy):
    result = fd.jacobian(vector, X, method=method, accuracy=accuracy, full_output=True)
    exact = fd.jacobian(
        lambda z: np.array([np.sin(z).sum(), z[0] * z[1] - z[2] ** 2, np.exp(0.3 * z[3]), z @ z, 7.0 + 0 * z[0]]),
        X, method="complex",
    )  # fmt: skip
    assert np.all(np.abs(result.value - exact) <= result.error)
    assert np.median(result.error) < {1: 1e-6}.get(accuracy, 1e-8)
