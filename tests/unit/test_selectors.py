"""Each selector on functions whose best step is known: within its published guarantee, at its published cost."""

import math

import numpy as np
import pytest

import fdcore as fd
from fdcore import selectors

EPS = 2.0**-52

# f, x, f', f'', f'''
FUNCTIONS = {
    "exp": (math.exp, 1.0, math.e, math.e, math.e),
    "sin": (math.sin, 1.0, math.cos(1.0), -math.sin(1.0), -math.cos(1.0)),
    "log": (math.log, 2.0, 0.5, -0.25, 0.25),
    "sqrt": (math.sqrt, 1.0, 0.5, -0.25, 0.375),
    "quartic at 0.01": (lambda x: x**4, 0.01, 4e-6, 12e-4, 0.24),
    "cubic": (lambda x: x**3, 1.0, 3.0, 6.0, 6.0),
    "large": (lambda x: math.exp(x / 1e6), 1e6, math.e / 1e6, math.e / 1e12, math.e / 1e18),
}


def best(name, method):
    f, x, _, second, third = FUNCTIONS[name]
    if method == "forward":
        return 2.0 * math.sqrt(EPS * abs(f(x)) / abs(second))
    return (3.0 * EPS * abs(f(x)) / abs(third)) ** (1 / 3)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("policy", "low", "high", "cost"),
    [
        (selectors.GillMurraySaundersWright(), 0.8, 1.25, 16),
        (selectors.ShiXieXuanNocedal(), 0.4, 2.0, 30),  # the paper's guarantee, [0.41, 1.5], and the curvature over 4h
        (selectors.ShiXieXuanNocedal(method="central"), 0.4, 2.0, 45),
        (selectors.DumontetVignes(), 0.5, 1.5, 80),
        (selectors.SteplemanWinarsky(), 0.03, 3.0, 60),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, selectors.StepPolicy) else "",
)
def test_steps_are_near_the_best_one(name, policy, low, high, cost):
    f, x, *_ = FUNCTIONS[name]
    choice = policy.find(f, x)
    assert choice.converged
    assert low <= choice.step / best(name, choice.method) <= high
    assert choice.nfev <= cost


@pytest.mark.parametrize("name", FUNCTIONS)
def test_curtis_reid_meets_its_own_aim(name):
    f, x, *_ = FUNCTIONS[name]
    choice = selectors.CurtisReid().find(f, x)
    h = choice.step
    gap = abs((f(x + h) - f(x - h)) / (2 * h) - (f(x + h) - f(x)) / h)
    assert choice.converged
    assert 5.0 <= gap / (abs(f(x)) * EPS / h) <= 2000.0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ridders_is_far_better_than_a_plain_difference(name):
    f, x, exact, *_ = FUNCTIONS[name]
    choice = selectors.Ridders().find(f, x)
    assert abs(choice.value - exact) <= 1e-11 * abs(exact)
    assert choice.nfev <= 20


@pytest.mark.parametrize(
    "policy",
    [
        selectors.Fixed(1e-5),
        selectors.Relative(1e-5),
        selectors.GillMurraySaundersWright(),
        selectors.ShiXieXuanNocedal(),
        selectors.DumontetVignes(),
        selectors.SteplemanWinarsky(),
        selectors.CurtisReid(),
        selectors.Ridders(),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_policies_are_steps_for_derivative_and_gradient(policy):
    calls = []

    def f(x):
        calls.append(1)
        return math.exp(0.5 * x)

    result = fd.derivative(f, [0.5, 1.0], step=policy, full_output=True)
    assert result.nfev == len(calls)
    assert result.value == pytest.approx(0.5 * np.exp([0.25, 0.5]), rel=1e-6)
    assert fd.derivative(f, 1.0, step=policy) == pytest.approx(0.5 * math.exp(0.5), rel=1e-6)

    x = np.array([0.3, -1.2])
    gradient = fd.gradient(lambda z: float(np.exp(z[0]) * np.cos(z[1])), x, step=policy)
    exact = [math.exp(0.3) * math.cos(1.2), math.exp(0.3) * math.sin(1.2)]
    assert gradient == pytest.approx(exact, rel=1e-6)
    tree = fd.gradient(lambda p: float(np.sum(p["a"] ** 3)), {"a": np.array([1.0, 2.0])}, step=policy)
    assert tree["a"] == pytest.approx([3.0, 12.0], rel=1e-6)


def test_noise_makes_the_step_of_shi_et_al_grow():
    rng = np.random.default_rng(0)
    noisy = lambda x: math.exp(x) + 1e-6 * (rng.random() - 0.5)  # noqa: E731
    choice = selectors.ShiXieXuanNocedal(noise=5e-7).find(noisy, 1.0)
    assert 3e-4 < choice.step < 3e-3


def test_a_linear_function_has_no_best_step():
    for policy in (selectors.ShiXieXuanNocedal(), selectors.DumontetVignes(), selectors.CurtisReid()):
        choice = policy.find(lambda x: 3.0 * x, 1.0)
        assert math.isfinite(choice.step)
        assert choice.step > 0
    assert not selectors.ShiXieXuanNocedal().find(lambda x: 3.0, 1.0).converged


def test_what_selectors_cannot_do_they_say():
    with pytest.raises(fd.NonFiniteError):
        selectors.DumontetVignes().find(lambda x: math.nan, 1.0)
    with pytest.raises(fd.ArgumentError, match="first derivatives"):
        fd.derivative(math.exp, 1.0, step=selectors.CurtisReid(), order=2)
    with pytest.raises(fd.ArgumentError, match="method"):
        selectors.ShiXieXuanNocedal(method="backward")


@pytest.mark.parametrize("name", ["exp", "sin", "log", "sqrt"])
def test_shi_et_al_take_six_evaluations_and_keep_their_guarantee(name):
    f, x, *_ = FUNCTIONS[name]
    choice = selectors.ShiXieXuanNocedal().find(f, x)
    assert choice.nfev <= 6
    assert 0.41 <= choice.step / best(name, "forward") <= 1.5
