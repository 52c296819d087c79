"""Hessians, Hessian-vector and Jacobian-vector products against closed forms; costs counted."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fdcore as fd

A = np.random.default_rng(3).normal(size=(5, 5))
X = np.array([0.3, -1.7, 0.9, 0.2, 2.0])


def rosen(x):
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def rosen_hess(x):
    h = np.diag(-400 * x[:-1], 1) - np.diag(400 * x[:-1], -1)
    d = np.zeros_like(x)
    d[0] = 1200 * x[0] ** 2 - 400 * x[1] + 2
    d[-1] = 200
    d[1:-1] = 202 + 1200 * x[1:-1] ** 2 - 400 * x[2:]
    return h + np.diag(d)


def trigonometric_hess(x):
    s, c, z = np.sin(x[0] * x[1]), np.cos(x[0] * x[1]), x[2]
    mixed = z * (c - x[0] * x[1] * s)
    return np.array(
        [[-(x[1] ** 2) * z * s, mixed, x[1] * c], [mixed, -(x[0] ** 2) * z * s, x[0] * c], [x[1] * c, x[0] * c, 0]]
    )


CASES = {
    "quadratic": (lambda x: x @ A @ x, lambda x: A + A.T, X),
    "rosenbrock": (rosen, rosen_hess, np.linspace(0.5, 1.5, 10)),
    "exponential": (
        lambda x: np.exp(0.3 * x.sum()) + x[0] * x[1],
        lambda x: 0.09 * np.exp(0.3 * x.sum()) + np.eye(5)[[1, 0, 2, 3, 4]] * (np.arange(5) < 2),
        X,
    ),
    "separable": (lambda x: np.sum(np.log(x)), lambda x: np.diag(-1 / x**2), np.array([0.5, 1.0, 3.0])),
    "trigonometric": (lambda x: np.sin(x[0] * x[1]) * x[2], trigonometric_hess, np.array([0.7, 1.3, -0.4])),
    "one component": (lambda x: x[0] ** 4, lambda x: np.array([[12 * x[0] ** 2]]), np.array([1.5])),
    "two components": (lambda x: x[0] ** 2 * x[1] ** 3, lambda x: np.array(
        [[2 * x[1] ** 3, 6 * x[0] * x[1] ** 2], [6 * x[0] * x[1] ** 2, 6 * x[0] ** 2 * x[1]]]), np.array([1.5, -0.5])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_hessian_from_values(name):
    f, exact, x = CASES[name]
    want = exact(x)
    calls = []

    def counted(z):
        calls.append(1)
        return f(z)

    result = fd.hessian(counted, x, full_output=True)
    n = x.size
    assert result.nfev == len(calls) == n * n + n + 1
    assert_array_equal(result.value, result.value.T)
    assert np.max(np.abs(result.value - want)) <= 2e-7 * np.max(np.abs(want))
    assert np.all(np.abs(result.value - want) <= result.error)
    assert np.max(result.error) <= 1e-4 * np.max(np.abs(want))
    assert_array_equal(fd.hessian(f, x), result.value)


def test_rosenbrock_takes_111_evaluations_at_1e_7():
    x = np.linspace(0.5, 1.5, 10)
    result = fd.hessian(rosen, x, full_output=True)
    assert result.nfev == 111
    assert np.max(np.abs(result.value - rosen_hess(x))) <= 1e-7 * np.max(np.abs(rosen_hess(x)))


@pytest.mark.parametrize("name", CASES)
def test_hessian_from_a_gradient(name):
    f, exact, x = CASES[name]
    grad = fd.Gradient(f, accuracy=8)
    want = exact(x)
    assert_allclose(fd.hessian(None, x, grad=grad), want, atol=1e-5 * np.max(np.abs(want)))


def test_hessian_of_an_exact_gradient():
    calls = []
    result = fd.hessian(None, X, grad=lambda x: calls.append(1) or (A + A.T) @ x, full_output=True)
    assert len(calls) == result.nfev == 6 * 5 + 1
    assert np.all(np.abs(result.value - (A + A.T)) <= result.error)
    assert_allclose(result.value, A + A.T, rtol=1e-9, atol=1e-9)


def test_workers_give_the_same_bits():
    want = fd.hessian(rosen, X)
    with ThreadPoolExecutor(2) as executor:
        assert_array_equal(fd.hessian(rosen, X, workers=executor), want)
        assert_array_equal(fd.hessian(rosen, X, workers=executor.map), want)


def test_nan_nearby_shrinks_the_steps():
    def f(x):
        return float(np.sum(x**2)) if np.all(np.abs(x - 1.0) < 1e-4) else np.nan

    result = fd.hessian(f, np.ones(3), full_output=True)
    assert np.all(result.status == fd.Status.SHRUNK)
    assert np.all(np.abs(result.value - 2 * np.eye(3)) <= result.error)
    with pytest.raises(fd.NonFiniteError):
        fd.hessian(lambda x: np.nan, np.ones(2))


def test_a_callable_that_writes_is_found_out():
    def f(x):
        x[0] = 0.0
        return float(x.sum())

    with pytest.raises(fd.InputMutatedError):
        fd.hessian(f, np.ones(3))


def test_the_plan_takes_arguments():
    plan = fd.Hessian(lambda x, a: a * x[0] ** 2)
    assert_allclose(plan([1.0], 3.0), [[6.0]], rtol=1e-7)
    assert "Hessian" in repr(plan)


# ---- products --------------------------------------------------------------------------------------------------------


def curve(x):
    return np.array([x[0] * x[1], np.exp(x[2]), x[3] * x[4] ** 2])


def curve_jacobian(x):
    return np.array(
        [[x[1], x[0], 0, 0, 0], [0, 0, np.exp(x[2]), 0, 0], [0, 0, 0, x[4] ** 2, 2 * x[3] * x[4]]]
    )  # fmt: skip


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_jvp_does_not_depend_on_the_length_of_v(scale):
    v = np.array([1.0, -2.0, 0.5, 3.0, 1.0])
    assert_allclose(fd.jvp(curve, X, scale * v), scale * curve_jacobian(X) @ v, rtol=1e-8)
    assert_allclose(fd.jvp(curve, X, 0 * v), np.zeros(3))


def test_jvp_scales_with_x():
    # A step that ignores abs(x) would vanish in the rounding of x.
    assert fd.jvp(lambda x: np.exp(x / 1e8), [1e8], [1.0])[0] == pytest.approx(np.e / 1e8, rel=1e-8)


def test_linear_operator_is_the_jacobian():
    pytest.importorskip("scipy")
    operator = fd.linear_operator(curve, X)
    assert operator.shape == (3, 5)
    assert_allclose(operator @ np.eye(5), curve_jacobian(X), atol=1e-8)


@pytest.mark.parametrize("name", ["quadratic", "rosenbrock", "trigonometric"])
def test_hvp(name):
    f, exact, x = CASES[name]
    v = np.cos(np.arange(x.size))
    want = exact(x) @ v
    assert_allclose(fd.hvp(f, x, v), want, atol=3e-5 * np.max(np.abs(exact(x))))
    if name == "quadratic":
        assert_allclose(fd.hvp(None, x, v, grad=lambda z: (A + A.T) @ z), want, rtol=1e-8)


def test_shapes_are_checked():
    with pytest.raises(fd.ShapeError, match="v has shape"):
        fd.jvp(curve, X, [1.0])
    with pytest.raises(fd.ShapeError, match="grad returned"):
        fd.hessian(None, X, grad=lambda x: x[:2])


@pytest.mark.parametrize("options", [{"method": "adaptive"}, {"accuracy": 4}, {"noise": "measure"}], ids=str)
def test_hessians_of_a_gradient_by_other_methods(options):
    grad = lambda x: np.array([np.exp(x[0]) * x[1], np.exp(x[0]) + np.cos(1e3 * x[1]) / 1e3])  # noqa: E731
    x = np.array([0.3, 0.7])
    exact = np.array([[np.exp(0.3) * 0.7, np.exp(0.3)], [np.exp(0.3), -np.sin(700.0)]])
    result = fd.hessian(None, x, grad=grad, full_output=True, **options)
    assert np.all(np.abs(result.value - exact) <= result.error)
    if "accuracy" not in options:
        with pytest.raises(fd.ArgumentError, match="need grad"):
            fd.hessian(lambda x: float(x @ x), x, **options)
    with pytest.raises(fd.ArgumentError, match="sparsity"):
        fd.hessian(None, x, grad=grad, sparsity=np.ones((2, 2)), **options)


@pytest.mark.parametrize("x", [np.ones(10), np.linspace(0.5, 1.5, 10), np.full(10, 0.5)], ids=["ones", "ramp", "half"])
@pytest.mark.parametrize(("accuracy", "count", "good"), [(2, 111, 1e-7), (4, 221, 1e-9)])
def test_rosenbrock_of_ten_by_the_order(x, accuracy, count, good):
    calls = []

    def counted(z):
        calls.append(z.copy())
        return rosen(z)

    want = rosen_hess(x)
    result = fd.hessian(counted, x, accuracy=accuracy, full_output=True)
    assert len(calls) == result.nfev == count
    assert len({z.tobytes() for z in calls}) == count
    assert_array_equal(result.value, result.value.T)
    assert_array_equal(result.error, result.error.T)
    off = np.abs(result.value - want)
    assert off.max() <= good * np.abs(want).max()
    assert np.all(off <= result.error)
    assert_array_equal(fd.Hessian(rosen, accuracy=accuracy)(x), result.value)


@pytest.mark.parametrize("name", CASES)
def test_fourth_order_is_covered_and_no_worse(name):
    f, exact, x = CASES[name]
    result = fd.hessian(f, x, accuracy=4, full_output=True)
    off = np.abs(result.value - exact(x))
    assert np.all(off <= result.error)
    assert off.max() <= 1e-7 * np.abs(exact(x)).max()
    assert result.error.max() <= 1e-4 * np.abs(exact(x)).max()


def test_fourth_order_through_a_map_and_for_native_functions():
    asked = []

    def mapper(g, points):
        asked.extend(points)
        return map(g, points)

    plain = fd.Hessian(rosen, accuracy=4).full(X)
    mapped = fd.Hessian(rosen, accuracy=4, workers=mapper).full(X)
    assert_array_equal(mapped.value, plain.value)
    assert_array_equal(mapped.error, plain.error)
    assert len(asked) == mapped.nfev == plain.nfev == 61

    model = fd.models.LinearRegression(np.vander(np.linspace(-1, 1, 8), 3), np.arange(8.0), intercept=False)
    at = np.array([0.5, -1.0, 2.0])
    native, python = (fd.hessian(g, at, accuracy=4, full_output=True) for g in (model, lambda z: model(z)))
    assert native.nfev == python.nfev == 25
    assert_allclose(native.value, python.value, rtol=1e-8, atol=1e-8)


def test_the_order_converges_as_it_says():
    f, exact, x = CASES["trigonometric"]
    off = [np.abs(fd.hessian(f, x, accuracy=4, step=h) - exact(x)).max() for h in (0.04, 0.02)]
    assert abs(np.log2(off[0] / off[1]) - 4.0) <= 0.2


def test_orders_that_do_not_exist_and_values_that_are_not_finite():
    with pytest.raises(fd.ArgumentError, match="2 or 4"):
        fd.hessian(rosen, X, accuracy=6)
    with pytest.raises(fd.NonFiniteError):
        fd.hessian(lambda z: float("nan"), X, accuracy=4)
    edge = fd.hessian(lambda z: float(np.sqrt(z[0]) if z[0] > 0 else np.nan), [1e-3], accuracy=4, full_output=True)
    assert edge.status[0] == fd.Status.SHRUNK
    assert abs(edge.value[0, 0] + 0.25 * 1e-3**-1.5) <= edge.error[0, 0]


def test_products_at_large_and_at_mixed_scales():
    far, one = np.array([1e8]), np.array([1.0])
    grows = lambda z: np.exp(z / 1e8)  # noqa: E731
    # SciPy's operator, whose step ignores abs(x), gives 5.96e-8 here
    assert_allclose(fd.jvp(grows, far, one), [np.e / 1e8], rtol=1e-8)
    assert_allclose(fd.linear_operator(grows, far) @ one, [np.e / 1e8], rtol=1e-8)
    assert_allclose(fd.hvp(lambda z: float(grows(z)[0]), far, one), [np.e / 1e16], rtol=1e-5)
    assert_allclose(fd.hvp(None, far, one, grad=lambda z: grows(z) / 1e8), [np.e / 1e16], rtol=1e-8)

    x = np.array([1e6, 1e-6])
    mixed = lambda z: np.array([np.sin(z[0] / 1e6) * np.exp(z[1]), z[0] ** 2 * z[1]])  # noqa: E731
    s, c, e = np.sin(1.0), np.cos(1.0), np.exp(1e-6)
    jacobian = np.array([[c * e / 1e6, s * e], [2.0, 1e12]])
    for v in np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1e6, 1e-6]]):
        assert_allclose(fd.jvp(mixed, x, v), jacobian @ v, rtol=1e-7)
        assert_allclose(fd.linear_operator(mixed, x) @ v, jacobian @ v, rtol=1e-7)
    second = np.array([[-s * e / 1e12, c * e / 1e6], [c * e / 1e6, s * e]])
    slope = lambda z: np.array([np.cos(z[0] / 1e6) * np.exp(z[1]) / 1e6, np.sin(z[0] / 1e6) * np.exp(z[1])])  # noqa: E731
    for v in np.eye(2):
        assert_allclose(fd.hvp(None, x, v, grad=slope), second @ v, rtol=1e-6)
        assert_allclose(fd.hvp(lambda z: float(mixed(z)[0]), x, v), second @ v, rtol=1e-4)


def scaled(x, c):
    return float(np.sum(x**3) * c)


@pytest.mark.parametrize("accuracy", [2, 4])
def test_workers_and_what_may_go_wrong_with_them(accuracy):
    x = np.array([1.0, 2.0, 3.0])

    def edge(x):
        if x[0] > 1.0001:
            raise fd.EvaluationError("outside the domain")
        return np.sum(x**3)

    def single(x):
        return np.float32(np.sum(x**3))

    def backwards(f, points):
        return list(map(f, points))[::-1]

    for f in (edge, single, lambda x: np.sum(x**3)):
        serial = fd.Hessian(f, accuracy=accuracy).full(x)
        for workers in (map, backwards):
            mapped = fd.Hessian(f, accuracy=accuracy, workers=workers).full(x)
            assert_array_equal(mapped.value, serial.value)
            assert_array_equal(mapped.step, serial.step)
    with pytest.raises(fd.ShapeError, match="workers gave"):
        fd.hessian(edge, x, accuracy=accuracy, workers=lambda f, points: list(map(f, points))[1:])
    with pytest.raises(fd.NonFiniteError, match="check x"):
        fd.hessian(lambda x: np.nan, x, accuracy=accuracy, workers=map)
    with pytest.raises(TypeError, match="workers must be"):
        fd.hessian(edge, x, workers="two")


def test_exceptions_from_the_workers_of_a_hessian_say_where():
    def f(x):
        if x[1] > 2.0:
            raise KeyError("mine")
        return 1.0

    for workers in (None, map):
        with pytest.raises(KeyError) as caught:
            fd.hessian(f, [1.0, 2.0, 3.0], workers=workers)
        assert "while perturbing x[1] by" in caught.value.__notes__[0]


def test_fourth_order_in_single_precision():
    # Both of its runs have the steps that float32 calls for.
    found = fd.hessian(lambda x: np.float32(np.sum(x**3)), [1.0, 2.0, 3.0], accuracy=4)
    assert_allclose(found, np.diag([6.0, 12.0, 18.0]), atol=1e-3)


def test_arguments_that_follow_x_reach_other_processes():
    def elsewhere(f, points):
        return list(map(pickle.loads(pickle.dumps(f)), points))

    for plan in (fd.Gradient, fd.Jacobian, fd.Hessian):
        x = np.array([1.0, 2.0])
        assert_array_equal(plan(scaled, workers=elsewhere)(x, 2.0), plan(scaled)(x, 2.0))


def test_a_hessian_plan_used_by_its_own_function_at_another_x():
    """The run outside keeps its steps, though the one inside has made the plan's anew, of another length."""
    inside = False

    def f(x):
        nonlocal inside
        if not inside:
            inside = True
            plan(np.ones(7))
            inside = False
        junk = [np.full(3, 0.25) for _ in range(20)]  # takes the memory of what has been let go
        return np.sum(x**3) + 0.0 * len(junk)

    plan = fd.Hessian(f, abs_step=1e-3)
    x = np.array([1.0, 2.0, 3.0])
    assert_array_equal(plan(x), fd.Hessian(lambda x: np.sum(x**3), abs_step=1e-3)(x))


def test_hvp_says_what_is_wrong():
    x = np.array([1.0, 2.0, 3.0])
    assert_allclose(fd.hvp(lambda x: np.array([np.sum(x**3)]), x, [1.0, 0.0, 0.0]), [6.0, 0.0, 0.0], atol=1e-5)
    with pytest.raises(fd.ShapeError, match=r"v has shape \(1,\) and x has \(3,\)"):
        fd.hvp(scaled, x, [1.0], args=(2.0,))
    with pytest.raises(fd.ShapeError, match="for a vector function use jacobian"):
        fd.hvp(lambda x: x, x, x)
    with pytest.raises(TypeError, match="lack a return"):
        fd.hvp(lambda x: None, x, x)
