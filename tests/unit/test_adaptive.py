"""method="adaptive": the derivative and an error bar that is right or says that it is not."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import fdcore as fd
from fdcore import Finding

HARD = [
    ("sin at 1e6", math.sin, 1e6, math.cos(1e6)),
    ("log at 1e-3", math.log, 1e-3, 1e3),
    ("log at 1e-300", math.log, 1e-300, 1e300),
    ("x**4 at 1e-6", lambda x: x**4, 1e-6, 4e-18),
    ("sin(1000 x)", lambda x: math.sin(1000 * x), 1.0, 1000 * math.cos(1000)),
    ("sin(30 x)", lambda x: math.sin(30 * x), 1.0, 30 * math.cos(30)),
    ("1e10 + sin", lambda x: 1e10 + math.sin(x), 1.0, math.cos(1.0)),
    ("exp(1e8 x)", lambda x: math.exp(1e8 * x), 1e-8, 1e8 * math.e),
    ("sqrt at 1e-8", math.sqrt, 1e-8, 5e3),
    ("exp(1e6 (x - 1))", lambda x: math.exp(1e6 * (x - 1)), 1.0, 1e6),
    ("1/x at 1e-8", lambda x: 1 / x, 1e-8, -1e16),
    ("x + 1e-6 sin(1e6 x)", lambda x: x + 1e-6 * math.sin(1e6 * x), 1.0, 1 + math.cos(1e6)),
    ("sin(1e300 x) at 0", lambda x: math.sin(x * 1e300), 0.0, 1e300),
    ("aliases on powers of two", lambda x: math.sin(2 * math.pi * 2.0**14 * x) + x, 1.0, 1 + 2 * math.pi * 2.0**14),
]


@pytest.mark.parametrize(("f", "x", "exact"), [row[1:] for row in HARD], ids=[row[0] for row in HARD])
def test_hard_functions_come_out_right_with_default_arguments(f, x, exact):
    result = fd.derivative(f, x, method="adaptive", full_output=True)
    limit = 1e-6 if "1e10" not in f.__name__ and f(x) < 1e9 else 1e-4  # 1e10 + sin: eps * 1e10
    assert abs(result.value - exact) <= limit * abs(exact)
    assert abs(result.value - exact) <= result.error + 4e-16 * abs(exact)


@pytest.mark.parametrize("f", [math.exp, math.sin, math.atan, lambda x: x**3, lambda x: 1 / (1 + x * x)])
def test_smooth_functions_within_eleven_evaluations(f):
    exact = {math.exp: math.e, math.sin: math.cos(1.0), math.atan: 0.5}.get(f)
    result = fd.derivative(f, 1.0, method="adaptive", full_output=True)
    assert result.nfev <= 11
    assert result.error < 1e-11
    if exact is not None:
        assert abs(result.value - exact) <= 1e-13


@pytest.mark.parametrize(
    ("f", "x", "finding", "error"),
    [
        (abs, 0.0, Finding.KINK, 1.0),
        (lambda x: max(x, 0.0), 0.0, Finding.KINK, 0.5),
        (lambda x: math.sin(x) + abs(x - 2), 2.0, Finding.KINK, 1.0),
        (lambda x: 0.7 * x if x < 1 else 0.7 + 0.3 * (x - 1), 1.0, Finding.KINK, 0.2),
        (lambda x: max(x, 0.0) + math.sin(x), 0.0, Finding.KINK, 0.5),
        (lambda x: max(x - 1, 0.0) + math.sin(x), 1.0, Finding.KINK, 0.5),
        (lambda x: 0.01 * max(x, 0.0) + math.exp(x), 0.0, Finding.KINK, 0.005),
        (lambda x: 1e-6 * max(x - 1, 0.0) + math.exp(x), 1.0, Finding.KINK, 5e-7),
        (lambda x: abs(x - 3) + 100 * x**3, 3.0, Finding.KINK, 1.0),
        (lambda x: x * x if x < 1 else 3 * x - 2, 1.0, Finding.KINK, 0.5),
        (lambda x: float(np.interp(x, [0.0, 1.0, 2.0, 3.5], [0.0, 2.0, 1.0, 4.0])), 1.0, Finding.KINK, 1.5),
        (lambda x: float(np.interp(x, [0.0, 1.0, 2.0, 3.5], [0.0, 2.0, 1.0, 4.0])), 2.0, Finding.KINK, 1.5),
        (lambda x: float(x > 1), 1.0, Finding.JUMP, math.inf),
        (lambda x: 1e-3 * (x > 1) + math.sin(x), 1.0, Finding.JUMP, math.inf),
        (math.cbrt, 0.0, Finding.JUMP, math.inf),
        (lambda x: math.copysign(math.sqrt(abs(x)), x), 0.0, Finding.JUMP, math.inf),
        (lambda x: math.copysign(math.sqrt(abs(x)), x) + math.sin(x), 0.0, Finding.JUMP, math.inf),
        (lambda x: math.sqrt(abs(x)) + x, 0.0, Finding.JUMP, math.inf),
    ],
)
def test_no_derivative_is_never_passed_off_as_one(f, x, finding, error):
    result = fd.derivative(f, x, method="adaptive", full_output=True)
    assert result.status & finding
    assert result.error >= error
    assert result.error <= 1.1 * error
    with pytest.warns(fd.FdcoreWarning, match=r"x\[0\]"):
        fd.derivative(f, x, method="adaptive")


def test_beside_a_kink_the_derivative_is_that_of_its_side():
    result = fd.derivative(lambda x: abs(x - 1), 1.0 + 1e-7, method="adaptive", full_output=True)
    assert result.value == pytest.approx(1.0, abs=1e-8)
    assert not result.status & Finding.KINK


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: x * abs(x), 0.0),
        (lambda x: abs(x) ** 1.5, 0.0),
        (lambda x: abs(x - 1) ** 1.2, 1.0),
        (lambda x: math.sqrt(x * x + 1e-12), 0.0),
        (lambda x: math.log(2 * math.cosh(1e6 * x)) * 1e-6, 0.0),
    ],
)
def test_what_only_looks_like_a_kink_is_none(f, x):
    result = fd.derivative(f, x, method="adaptive", full_output=True)
    assert not result.status & (Finding.KINK | Finding.JUMP)
    assert abs(result.value) <= result.error <= 0.1


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-6])
def test_a_kink_in_noise_is_found(size, x):
    rng = np.random.default_rng(2)
    for _ in range(20):
        result = fd.derivative(lambda t: abs(t - x) + size * rng.normal(), x, method="adaptive", full_output=True)
        assert result.status & Finding.KINK
        assert 1 <= result.error <= 1.2
        assert abs(result.value) <= 0.1


@pytest.mark.parametrize("x", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("size", [1e-5, 1e-3])
def test_more_noise_than_kink_gives_no_absurd_value(size, x):
    for seed in range(400):  # values of 1e8 came out of one in a hundred, and an exception
        rng = np.random.default_rng(seed)
        result = fd.derivative(
            lambda t, r=rng: abs(t - x) + size * r.standard_normal(), x, method="adaptive", full_output=True
        )
        assert abs(result.value) <= 3.0, seed
        assert result.error >= 0.05, seed


@pytest.mark.parametrize(
    ("f", "x", "exact"),
    [
        (lambda x: (1 - math.cos(x)) / x**2, 1e-3, -1e-3 / 12),
        (lambda x: (1 - math.cos(x)) / x**2, 3e-4, -3e-4 / 12),
        (lambda x: (x - math.sin(x)) / x**3, 1e-3, -1e-3 / 60),
        (lambda x: math.log(1 + x) / x, 1e-6, -0.5),
    ],
)
def test_teeth_of_rounding_are_no_slope(f, x, exact):
    result = fd.derivative(f, x, method="adaptive", full_output=True)
    assert result.status & Finding.NOISY
    assert abs(result.value - exact) <= max(1e-8, 1e-5 * abs(exact))
    assert abs(result.value - exact) <= 10 * result.error <= 1e-4


def test_fast_waves_are_still_resolved():
    for rate in (1e3, 1e5, 1e7):
        result = fd.derivative(lambda x, k=rate: math.sin(k * x) + 2 * x, 1.0, method="adaptive", full_output=True)
        assert abs(result.value - rate * math.cos(rate) - 2) <= min(result.error, 1e-6 * rate)


@pytest.mark.parametrize("size", [1e-10, 1e-8, 1e-6, 1e-4])
def test_noise_is_recognised_and_in_the_bar(size):
    rng = np.random.default_rng(3)
    errors, bars = [], []
    for _ in range(20):
        result = fd.derivative(
            lambda x: math.exp(x) + size * rng.uniform(-1, 1), 1.0, method="adaptive", full_output=True
        )
        errors.append(abs(result.value - math.e))
        bars.append(result.error)
    assert np.mean(np.array(errors) <= bars) >= 0.95
    assert np.median(errors) <= 300 * size
    assert np.median(np.array(bars) / errors) <= 50


def test_noise_given_by_the_caller_is_used():
    rng = np.random.default_rng(4)
    result = fd.derivative(
        lambda x: math.sin(x) + 1e-7 * rng.normal(), 1.0, method="adaptive", noise=1e-6, full_output=True
    )
    assert abs(result.value - math.cos(1.0)) <= result.error <= 1e-3


def test_float32_inside_is_recognised():
    result = fd.derivative(lambda x: float(np.sin(np.float32(x))), 1.0, method="adaptive", full_output=True)
    assert result.status & Finding.NOISY
    assert abs(result.value - math.cos(1.0)) <= result.error < 1e-3


def test_the_edge_of_the_domain():
    result = fd.derivative(lambda x: x**2.5 + 3 * x if x >= 0 else math.nan, 0.0, method="adaptive", full_output=True)
    assert result.status & Finding.ONE_SIDED
    assert abs(result.value - 3) <= result.error
    assert abs(result.value - 3) <= 1e-6
    # Exceptions of f away from x end the domain, too.
    assert fd.derivative(lambda x: math.log(x - 1), 1 + 1e-6, method="adaptive") == pytest.approx(1e6, rel=1e-6)


def test_bounds_are_kept():
    seen = []

    def f(x):
        seen.append(x[0])
        return math.exp(x[0])

    for lower, upper in [(1.0, 2.0), (0.0, 1.0), (1 - 1e-4, 1 + 1e-4), (-math.inf, 1.001)]:
        seen.clear()
        result = fd.gradient(f, [1.0], method="adaptive", bounds=(lower, upper), full_output=True)
        assert lower <= min(seen) <= max(seen) <= upper
        assert abs(result.value[0] - math.e) <= result.error[0] <= 1e-6
    with pytest.raises(fd.BoundsError):
        fd.gradient(f, [1.0], method="adaptive", bounds=(2.0, 3.0))


def test_a_removable_singularity():
    def f(x):
        return math.expm1(x) / x if x else math.nan

    result = fd.derivative(f, 0.0, method="adaptive", full_output=True)
    assert result.status & Finding.NO_CENTRE
    assert abs(result.value - 0.5) <= result.error < 1e-10


def test_exceptions_at_x_itself_and_other_exceptions_come_through():
    with pytest.raises(ZeroDivisionError):
        fd.derivative(lambda x: 1 / (x - 1), 1.0, method="adaptive")

    def broken(x):
        if x != 1.0:
            raise RuntimeError("away")
        return x

    with pytest.raises(RuntimeError, match="away") as caught:
        fd.derivative(broken, 1.0, method="adaptive")
    assert any("perturbing x[0]" in note for note in caught.value.__notes__)


def test_nothing_finite_beside_x_is_an_error():
    with pytest.raises(fd.NonFiniteError, match=r"x\[0\]"):
        fd.derivative(lambda x: 1.0 if x == 2.0 else math.nan, 2.0, method="adaptive")


def test_evaluations_are_counted_and_f_at_x_is_evaluated_once():
    calls = []

    def f(x):
        calls.append(tuple(x))
        return np.array([math.exp(x[0]) * x[1], x[1] ** 2])

    result = fd.jacobian(f, [1.0, 2.0], method="adaptive", full_output=True)
    assert result.nfev == len(calls) == 17
    assert len(set(calls)) == 17
    assert result.value.shape == result.error.shape == result.status.shape == (2, 2)
    np.testing.assert_allclose(result.value, [[2 * math.e, math.e], [0, 4]], rtol=1e-12, atol=1e-12)


def test_outputs_of_different_scales():
    def f(x):
        t = x[0]
        return np.array([math.exp(t), 1e-200 * math.sin(t), math.sin(300 * t), 1e12 + t * t, 3.0, 1e150 * t])

    exact = [math.e, 1e-200 * math.cos(1), 300 * math.cos(300), 2.0, 0.0, 1e150]
    result = fd.jacobian(f, [1.0], method="adaptive", full_output=True)
    for i, truth in enumerate(exact):
        assert abs(result.value[i, 0] - truth) <= result.error[i, 0] + 4e-16 * abs(truth), i
        assert result.error[i, 0] <= (1e-3 if i == 3 else 1e-8) * max(abs(truth), 1e-3 if i == 4 else 0.0), i


def test_mixed_scales_and_trees():
    def f(p):
        return (p["a"][0] / 1e6) ** 2 + math.exp(1e6 * p["b"])

    result = fd.gradient(f, {"a": np.array([1e6]), "b": 1e-6}, method="adaptive", full_output=True)
    assert result.value["a"][0] == pytest.approx(2e-6, rel=1e-8)
    assert result.value["b"] == pytest.approx(1e6 * math.e, rel=1e-8)
    assert result.error["b"] < 1


def test_native_and_python_callables_and_any_number_of_workers_agree_to_the_bit():
    rng = np.random.default_rng(0)
    design, target = rng.normal(size=(50, 8)), rng.normal(size=50)
    model = fd.models.LinearRegression(design, target)
    params = rng.normal(size=9)
    native = [fd.gradient(model, params, method="adaptive", workers=k, full_output=True) for k in (1, 2, 3, 7)]
    for other in native[1:]:
        np.testing.assert_array_equal(other.value, native[0].value)
        np.testing.assert_array_equal(other.error, native[0].error)
    exact = model.gradient(params)
    assert np.all(np.abs(native[0].value - exact) <= native[0].error + 1e-15 * np.abs(exact))


def test_the_budget_is_kept_and_told():
    rng = np.random.default_rng(1)
    calls = []

    def f(x):
        calls.append(x)
        return math.sin(x) + 1e-3 * rng.normal()

    result = fd.derivative(f, 1.0, method="adaptive", budget=20, full_output=True)
    assert len(calls) == result.nfev <= 20
    assert result.status & Finding.BUDGET


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(fd.ArgumentError, match="noise"):
        fd.gradient(sum, [1.0], noise="loud")
    with pytest.raises(fd.ArgumentError, match="noise"):
        fd.gradient(sum, [1.0], noise=1e-6, method="complex")
    with pytest.raises(fd.ShapeError, match="noise has 3"):
        fd.gradient(sum, [1.0], noise=[1e-6, 1e-6, 1e-6])
    with pytest.raises(fd.ArgumentError, match="noise"):
        fd.gradient(sum, [1.0], method="adaptive", noise=-1.0)
    with pytest.raises(fd.ArgumentError, match="budget"):
        fd.gradient(sum, [1.0], method="adaptive", budget=3)
    with pytest.raises(fd.ArgumentError, match="accuracy"):
        fd.gradient(sum, [1.0], method="adaptive", accuracy=2)
    with pytest.raises(fd.ArgumentError, match="adaptive"):
        fd.derivative(math.exp, 1.0, method="adaptive", order=2)


def test_plans_vectorised_callables_out_and_empty_x():
    plan = fd.Gradient(lambda x: float(np.exp(x).sum()), method="adaptive")
    x = np.array([0.5, 1.0, 2.0])
    out = np.empty(3)
    assert plan(x, out=out) is out
    np.testing.assert_allclose(out, np.exp(x), rtol=1e-12)
    block = fd.gradient(lambda x: np.exp(x).sum(axis=1), x, method="adaptive", vectorized=True)
    np.testing.assert_allclose(block, np.exp(x), rtol=1e-12)
    assert fd.gradient(lambda x: 1.0, np.empty(0), method="adaptive").shape == (0,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(fd.gradient(lambda x: 4.0, x, method="adaptive"), np.zeros(3))
