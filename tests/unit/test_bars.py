"""Error bars of fixed rules where the rule step is wrong for f: right, or they say that nothing is known."""

import math

import numpy as np
import pytest

import fdcore as fd
from fdcore.results import Finding

# f, x, f'(x)
HARD = {
    "log at 1e-9": (math.log, 1e-9, 1e9),
    "log at 1e-300": (math.log, 1e-300, 1e300),
    "sqrt at 1e-8": (math.sqrt, 1e-8, 5e3),
    "sin(1000 x)": (lambda x: math.sin(1000 * x), 1.0, 1000 * math.cos(1000)),
    "sin(1e7 x)": (lambda x: math.sin(1e7 * x), 0.3, 1e7 * math.cos(0.3e7)),
    "exp(1e8 x)": (lambda x: math.exp(1e8 * x), 0.0, 1e8),
    "x^4 at 1e-6": (lambda x: x**4, 1e-6, 4e-18),
    "x^2 at 1e-150": (lambda x: x * x, 1e-150, 2e-150),
    "1e10 + sin": (lambda x: 1e10 + math.sin(x), 1.0, math.cos(1.0)),
    "1/x at 1e-8": (lambda x: 1 / x, 1e-8, -1e16),
    "float32 inside": (lambda x: float(np.sin(np.float32(x))), 1.0, math.cos(1.0)),
    "rounded": (lambda x: round(math.sin(x), 9), 1.0, math.cos(1.0)),
    "tanh(1e5 (x - 1))": (lambda x: math.tanh(1e5 * (x - 1)), 1.0, 1e5),
    "smooth": (math.exp, 1.0, math.e),
    "zero": (lambda x: x**2, 0.0, 0.0),
}
METHODS = [{"method": "central"}, {"method": "forward"}, {"method": "backward"}, {"method": "five-point"}]
METHODS += [{"accuracy": 6}, {"accuracy": 8}, {"method": "forward", "accuracy": 2}]


def of_log(f):
    def g(x):
        try:
            return f(x)
        except (ValueError, OverflowError):
            return math.nan

    return g


@pytest.mark.parametrize("options", METHODS, ids=str)
@pytest.mark.parametrize("name", HARD)
def test_bars_hold_where_the_step_is_wrong(name, options):
    f, x, exact = HARD[name]
    calls = []
    result = fd.derivative(lambda t: calls.append(t) or of_log(f)(t), x, full_output=True, **options)
    assert result.nfev == len(calls)
    assert abs(result.value - exact) <= result.error


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_a_smooth_function_has_a_narrow_bar_at_a_stated_cost(options):
    result = fd.gradient(lambda x: float(np.exp(x).sum()), np.array([0.5, 1.0]), full_output=True, **options)
    accuracy = fd.Gradient(sum, **options).accuracy
    assert result.nfev == 1 + 2 * (2 * accuracy + min(accuracy, 2))
    error = np.abs(result.value - np.exp([0.5, 1.0]))
    assert np.all(error <= result.error)
    assert np.all(result.error < (1e-6 if options.get("method") in ("forward", "backward") else 1e-9))
    assert not result.findings.any()


@pytest.mark.parametrize(
    ("f", "finding"),
    [
        (abs, Finding.KINK),
        (lambda x: max(x, 0.0) + math.sin(x), Finding.KINK),
        (lambda x: 1.0 if x > 0 else 0.0, Finding.JUMP),
        (lambda x: float(np.sign(x)) * math.sqrt(abs(x)), None),
    ],
)
def test_what_has_no_derivative_is_reported(f, finding):
    for options in METHODS[:4]:
        result = fd.derivative(f, 0.0, full_output=True, **options)
        assert result.error >= 0.4
        assert finding is None or finding in Finding(result.findings)


def test_findings_are_for_each_entry():
    f = lambda x: np.array([abs(x[0]) + x[1], x[0] * x[1]])  # noqa: E731
    x = np.array([0.0, 2.0])
    kink = [[int(Finding.KINK), 0], [0, 0]]
    assert fd.jacobian(f, x, full_output=True).findings.tolist() == kink
    assert (
        fd.jacobian(lambda z: np.array([f(p) for p in z]), x, vectorized=True, full_output=True).findings.tolist()
        == kink
    )
    assert fd.jacobian(f, x, full_output=True, workers=map).findings.tolist() == kink
    sparse = fd.jacobian(f, x, full_output=True, sparsity=np.ones((2, 2)))
    assert sparse.findings.reshape(2, 2).tolist() == kink
    assert sparse.error.toarray()[0, 0] >= 1.0
    tree = fd.gradient(lambda p: abs(p["a"]) + p["b"] ** 2, {"a": 0.0, "b": 3.0}, full_output=True)
    assert Finding(int(tree.findings["a"])) == Finding.KINK
    assert not tree.findings["b"]


def test_plans_and_native_callables():
    plan = fd.Gradient(lambda x: abs(x[0]) + x[1] ** 2)
    result = plan.full([0.0, 1.0])
    assert result.findings.tolist() == [int(Finding.KINK), 0]
    model = fd.models.LinearRegression(np.random.default_rng(0).normal(size=(20, 3)), np.ones(20))
    params = np.array([0.1, 0.2, -0.3, 0.4])
    result = fd.gradient(fd.native(model), params, full_output=True)
    assert np.all(np.abs(result.value - model.gradient(params)) <= result.error)
    assert not result.findings.any()


def test_bounds_are_kept_while_looking():
    seen = []

    def f(x):
        seen.append(float(x[0]))
        return math.log(x[0])

    result = fd.gradient(f, [1e-9], bounds=(1e-10, 1e-7), full_output=True)
    assert min(seen) >= 1e-10
    assert max(seen) <= 1e-7
    assert abs(result.value[0] - 1e9) <= result.error[0]


def test_higher_derivatives_say_when_nothing_is_known():
    result = fd.derivative(lambda x: math.sin(1000 * x), 1.0, order=2, full_output=True)
    assert abs(result.value + 1e6 * math.sin(1000)) <= result.error
    result = fd.derivative(abs, 0.0, order=2, full_output=True)
    assert math.isinf(result.error)
