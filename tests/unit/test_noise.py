"""Noise of f: measured where it is known, and steps, orders and bars that follow it."""

import math

import numpy as np
import pytest

import fdcore as fd
from fdcore.noise import difference_levels, ecnoise
from fdcore.results import Finding


class Counted:
    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, *args):
        self.calls += 1
        return self.f(*args)


def noisy(f, size, seed=0):
    rng = np.random.default_rng(seed)
    return Counted(lambda x: f(x) + size * rng.normal(size=np.shape(f(x)) or None))


# ---- the estimate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-14, 1e-8, 1e-3])
def test_the_level_of_random_noise_is_found(size):
    ratios = [fd.noise_level(noisy(math.exp, size, seed), 1.0).level / size for seed in range(60)]
    assert 0.7 < np.median(ratios) < 1.3  # the standard deviation itself
    assert 0.1 < min(ratios)
    assert max(ratios) < 4.0


def test_difference_levels_are_unbiased_at_every_order():
    values = np.random.default_rng(1).normal(size=(7, 20000))
    levels, signs = difference_levels(values)
    assert np.sqrt(np.mean(levels**2, axis=1)) == pytest.approx(np.ones(6), rel=0.03)
    assert signs[:3].all(axis=0).mean() > 0.5


def test_what_is_no_noise_is_not_taken_for_it():
    t = np.linspace(1.0, 1.3, 7)
    assert ecnoise(np.exp(t)[:, None])[1] == 3  # smooth, and the spacing wide
    assert ecnoise(np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0])[:, None])[1] == 2  # steps: wider
    exact = fd.noise_level(math.exp, 1.0)
    assert not exact.noisy
    assert exact.level < 4 * exact.rounding


@pytest.mark.parametrize(
    ("f", "low", "high"),
    [
        (lambda x: math.exp(x) + 1e-6 * math.cos(1e9 * x), 2e-7, 3e-6),  # deterministic
        (lambda x: float(np.sin(np.float32(x))), 5e-9, 1e-7),  # float32 inside, a float64 comes out
        (lambda x: np.float32(math.sin(x)), 5e-9, 1e-7),
        (lambda x: round(math.sin(x), 6), 1e-7, 1e-6),
        (lambda x: 0.0 * x + abs(x) + 1e-9 * math.cos(1e12 * x), 1e-10, 1e-8),  # f(x) is 0 there, noise aside
    ],
)
def test_deterministic_noise(f, low, high):
    counted = Counted(f)
    noise = fd.noise_level(counted, 0.7 if f(0.0) != 1e-9 else 0.0)
    assert low < noise.level < high
    assert noise.noisy
    assert noise.status == "measured"
    assert counted.calls == noise.nfev <= 25


def test_a_solver_is_recognised():
    integrate = pytest.importorskip("scipy.integrate")

    def f(x):
        return float(integrate.solve_ivp(lambda t, y: y * (1 - y / x), (0, 2), [0.5], rtol=1e-6, atol=1e-9).y[0, -1])

    noise = fd.noise_level(f, 2.0)
    assert noise.status in ("measured", "constant", "unclear")
    assert noise.nfev <= 25


def test_vector_functions_have_a_level_each():
    sizes = np.array([1e-10, 1e-4, 0.0])
    f = noisy(lambda x: np.array([np.sin(x[0]), np.exp(x[1]), x[0] * x[1]]), sizes)
    noise = fd.noise_level(f, [1.0, 0.5])
    assert noise.level[:2] == pytest.approx(sizes[:2], rel=4.0)
    assert noise.noisy.tolist() == [True, True, False]
    assert noise.absolute == pytest.approx(3 * noise.level)
    assert "f[1]" in str(noise)
    assert "measured" in str(fd.noise_level(math.exp, 1.0))


def test_a_constant_function_and_no_value():
    assert fd.noise_level(lambda x: 3.0, 1.0).status == "constant"
    with pytest.raises(fd.NonFiniteError, match="noise"):
        fd.noise_level(lambda x: math.nan, 1.0)


# ---- derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "error"), [(2, 1.2e-5), (4, 1.2e-6), (6, 2.5e-7), (8, 2e-7)])
def test_a_budget_buys_accuracy(budget, error):
    # Six evaluations at noise 1e-8: 6e-8 at the median, what takes numdifftools 31.
    errors = []
    for seed in range(20):
        f = noisy(math.sin, 1e-8, seed)
        errors.append(abs(fd.derivative(f, 1.0, noise=1e-8, budget=budget) - math.cos(1.0)))
        assert f.calls == budget + 1
    assert max(errors) < error
    assert np.median(errors) < error / 2


FUNCTIONS = {
    "sin": (math.sin, 1.0, math.cos(1.0)),
    "large": (lambda x: 1e6 * math.sin(x), 1.0, 1e6 * math.cos(1.0)),
    "offset": (lambda x: 1e6 + math.sin(x), 1.0, math.cos(1.0)),
    "fast": (lambda x: math.sin(30 * x), 1.0, 30 * math.cos(30)),
    "log": (math.log, 0.01, 100.0),
    "far": (lambda x: math.exp(x / 1e4), 2e4, math.e**2 / 1e4),
}


@pytest.mark.parametrize("method", ["central", "forward", "backward", "adaptive"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bars_hold_where_noise_is_measured(name, method):
    f, x, exact = FUNCTIONS[name]
    covered = 0
    for seed in range(12):
        counted = noisy(f, 1e-8 * abs(f(x)), seed)
        result = fd.derivative(counted, x, method=method, noise="measure", full_output=True)
        assert counted.calls == result.nfev
        assert Finding.NOISY in Finding(result.findings)
        assert 1e-9 < result.noise / abs(f(x)) < 2e-7
        covered += abs(result.value - exact) <= result.error
        assert math.isinf(result.error) or result.error < 0.5 * abs(exact) or name == "offset"
    assert covered >= 11


def test_a_strict_budget_that_does_not_do_says_so():
    result = fd.derivative(noisy(FUNCTIONS["fast"][0], 1e-8), 1.0, noise=1e-8, budget=8, full_output=True)
    assert Finding.UNRESOLVED in Finding(result.findings)
    assert math.isinf(result.error)


def test_kinks_in_noise():
    result = fd.derivative(noisy(abs, 1e-8), 0.0, noise=1e-8, full_output=True)
    assert Finding.KINK in Finding(result.findings)
    assert result.error >= 1.0


def test_the_edge_of_a_domain_and_bounds():
    f = noisy(lambda x: x**2.5 + x if x >= 0 else math.nan, 1e-9)
    result = fd.derivative(f, 0.0, noise=1e-9, full_output=True)
    assert result.status == fd.Status.FORWARD
    assert abs(result.value - 1.0) <= result.error < 0.1
    seen = []

    def boxed(x):
        seen.append(x.copy())
        return float(np.exp(x).sum()) + 1e-9 * math.cos(1e10 * x[0])

    x = np.array([1.0, 2.0, 0.0])
    lower, upper = np.array([1.0, 1.99, -0.02]), np.array([5.0, 3.0, 0.0])
    result = fd.gradient(boxed, x, noise="measure", bounds=(lower, upper), full_output=True)
    assert np.all((lower <= seen) & (seen <= upper))
    assert np.all(abs(result.value - np.exp(x)) <= result.error)
    assert result.error.max() < 1e-4


def test_a_plan_measures_once():
    f = noisy(lambda x: float(np.sin(x).sum()), 1e-7)
    x = np.array([0.3, 1.0, 2.0])
    for method, each in (("central", 6), ("adaptive", None)):
        f.calls = 0
        plan = fd.Gradient(f, noise="measure", method=method)
        plan(x)
        first = f.calls
        plan(x)
        if each:
            assert first == 1 + 6 + each * 3
            assert f.calls - first == 1 + each * 3
        assert plan.full(x).noise == plan.full(x).noise


def test_jacobians_have_noise_for_each_value():
    f = noisy(lambda x: np.array([np.sin(x[0] * x[1]), 1e3 * x[2] ** 2]), np.array([1e-9, 1e-2]))
    x = np.array([1.0, 2.0, -0.5])
    exact = np.array([[2 * math.cos(2.0), math.cos(2.0), 0.0], [0.0, 0.0, -1e3]])
    for method in ("central", "adaptive"):
        result = fd.jacobian(f, x, noise="measure", method=method, full_output=True)
        assert np.all(np.abs(result.value - exact) <= result.error)
        assert result.error[0].max() < 1e-4
        assert result.error[1, 2] > 1e-6
        assert (result.findings & Finding.NOISY).all()
    given = fd.jacobian(f, x, noise=[1e-9, 1e-2], full_output=True)
    assert given.noise.tolist() == [1e-9, 1e-2]


def test_every_kind_of_callable():
    x = np.array([0.5, 1.5])
    wobble = lambda x: 1e-8 * np.cos(1e10 * x.sum(axis=-1))  # noqa: E731
    f = lambda x: np.sin(x).sum(axis=-1) + wobble(x)  # noqa: E731
    for options in ({"vectorized": True}, {"workers": map}, {"method": "five-point"}, {"accuracy": 8}):
        assert fd.gradient(f, x, noise=1e-8, **options) == pytest.approx(np.cos(x), abs=2e-6)
    tree = fd.gradient(lambda p: f(p["a"]), {"a": x}, noise="measure")
    assert tree["a"] == pytest.approx(np.cos(x), abs=1e-6)
    model = fd.models.LinearRegression(np.random.default_rng(0).normal(size=(20, 3)), np.ones(20))
    params = np.array([0.1, 0.2, -0.3, 0.4])
    assert fd.gradient(fd.native(model), params, noise=1e-9) == pytest.approx(model.gradient(params), abs=1e-6)
    band = np.eye(2)
    sparse = fd.jacobian(lambda x: np.sin(x) + 1e-8 * np.cos(1e10 * x), x, sparsity=band, noise=1e-8)
    assert sparse.toarray() == pytest.approx(np.diag(np.cos(x)), abs=1e-5)
    assert fd.derivative(noisy(math.exp, 1e-8), [0.0, 1.0], order=2, noise=1e-8, budget=8) == pytest.approx(
        [1.0, math.e], abs=1e-4
    )


def test_a_budget_without_noise_chooses_the_order():
    f = Counted(math.exp)
    assert abs(fd.derivative(f, 1.0, budget=8) - math.e) < 1e-13
    assert f.calls == 8
    assert fd.Gradient(sum, method="forward", budget=3).accuracy == 3
    with pytest.raises(fd.ArgumentError, match="budget"):
        fd.Gradient(sum, budget=1)
