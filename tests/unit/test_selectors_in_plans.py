"""Step selectors as ``step=`` of jacobian and of plans: a step for each column, counted, kept, within bounds."""

import ctypes
import math

import numpy as np
import pytest

import fdcore as fd
from fdcore import selectors

EPS = 2.0**-52
SEARCHING = [
    selectors.GillMurraySaundersWright(),
    selectors.ShiXieXuanNocedal(),
    selectors.ShiXieXuanNocedal(method="central"),
    selectors.DumontetVignes(),
    selectors.SteplemanWinarsky(),
    selectors.CurtisReid(),
]
STEPS = [selectors.Fixed(1e-5), selectors.Relative(2e-8, "forward"), *SEARCHING]
ALL = [*STEPS, selectors.Ridders()]
X = np.array([0.7, -1.3, 2.0])


def name_of(policy):
    return type(policy).__name__ + ("" if policy.method == "central" else " forward")


class Counted:
    """A vector function that keeps the points it saw."""

    def __init__(self, f):
        self.f, self.points = f, []

    def __call__(self, x):
        self.points.append(np.array(x))
        return self.f(x)

    def times_at(self, x):
        return sum(np.array_equal(point, x) for point in self.points)


def vector(x):
    return np.array([np.exp(x[0]) * np.cos(x[1]), x[0] * x[2] ** 3, np.sin(x[1]) + x[2] ** 2 + 3.0])


def exact(x):
    return np.array(
        [
            [np.exp(x[0]) * np.cos(x[1]), -np.exp(x[0]) * np.sin(x[1]), 0.0],
            [x[2] ** 3, 0.0, 3 * x[0] * x[2] ** 2],
            [0.0, np.cos(x[1]), 2 * x[2]],
        ]
    )


def scalar(x):
    return float(np.exp(x[0]) * np.cos(x[1]) + x[2] ** 3)


def slopes(x):
    return np.array([np.exp(x[0]) * np.cos(x[1]), -np.exp(x[0]) * np.sin(x[1]), 3 * x[2] ** 2])


@pytest.mark.parametrize("policy", ALL, ids=name_of)
def test_jacobians_are_right_counted_and_never_evaluate_x_twice(policy):
    tolerance = 2e-7 if policy.method == "forward" else 1e-8
    f = Counted(vector)
    result = fd.jacobian(f, X, step=policy, full_output=True)
    assert np.max(np.abs(result.value - exact(X))) <= tolerance * np.max(np.abs(exact(X)))
    assert result.nfev == len(f.points)
    assert f.times_at(X) == 1
    assert result.step.shape == (3,)
    assert (result.step > 0).all()

    f = Counted(vector)
    value = fd.jacobian(f, X, step=policy)
    assert np.array_equal(value, result.value)
    assert f.times_at(X) == 1

    f = Counted(scalar)
    result = fd.gradient(f, X, step=policy, full_output=True)
    assert np.max(np.abs(result.value - slopes(X))) <= tolerance * np.max(np.abs(slopes(X)))
    assert result.nfev == len(f.points)
    assert f.times_at(X) == 1


@pytest.mark.parametrize("policy", SEARCHING, ids=name_of)
@pytest.mark.parametrize(("kind", "function"), [(fd.Gradient, scalar), (fd.Jacobian, vector)])
def test_plans_choose_at_the_first_x_keep_the_steps_and_forget_them(policy, kind, function):
    f = Counted(function)
    plan = kind(f, step=policy)
    first, nfev = plan.evaluate(X)
    assert nfev == len(f.points)
    plain = kind(function, method=policy.method)
    usual = plain.evaluate(X)[1]
    searched = len(f.points)
    assert searched > usual + 3  # it looked at each column

    f.points.clear()
    steps = np.empty(3)
    again, nfev = plan.evaluate(X * 1.5, step=steps)
    cost = len(f.points)
    assert nfev == cost
    assert cost <= 6 + 1  # no search: two evaluations a column, or one and f(x)
    chosen = plan.full(X)
    assert np.allclose(chosen.step, steps, rtol=1e-3)  # those of the first x, at another
    assert np.array_equal(plan(X), first)

    f.points.clear()
    plan.forget()
    assert np.array_equal(plan(X), first)
    assert len(f.points) == searched

    fresh = kind(function, step=policy)
    f.points.clear()
    plan.forget()
    assert np.array_equal(plan(X * 1.5), fresh(X * 1.5))
    assert len(f.points) > cost
    assert again.shape == first.shape


def test_a_plan_chooses_anew_for_an_x_of_another_length():
    f = Counted(lambda x: np.exp(0.5 * x))
    plan = fd.Jacobian(f, step=selectors.CurtisReid())
    assert np.diag(plan(np.zeros(2))) == pytest.approx([0.5, 0.5], rel=1e-8)
    f.points.clear()
    assert np.diag(plan(np.zeros(4))) == pytest.approx([0.5] * 4, rel=1e-8)
    assert len(f.points) > 9


@pytest.mark.parametrize("policy", ALL, ids=name_of)
@pytest.mark.parametrize("room", [10.0, 1e-3, 1e-7, 0.0])
def test_no_point_leaves_the_bounds(policy, room):
    lower, upper = X - room, X + np.array([0.0 if room < 1e-3 else room, 5.0, 5.0])
    f = Counted(vector)
    if policy.gives_value and room < 1e-3:
        with pytest.raises(fd.BoundsError, match="adaptive"):
            fd.jacobian(f, X, step=policy, bounds=(lower - 1.0 * (X == X[1]), upper))
        return
    if room == 0.0:
        lower = X - np.array([1.0, 0.0, 0.0])
    result = fd.jacobian(f, X, step=policy, bounds=(lower, upper), full_output=True)
    points = np.array(f.points)
    assert (points >= lower).all()
    assert (points <= upper).all()
    assert result.nfev == len(points)
    assert np.max(np.abs(result.value - exact(X))) <= 1e-6 * np.max(np.abs(exact(X)))
    g = Counted(lambda x: float(vector(x)[0] + x[2] ** 2))
    fd.gradient(g, X, step=policy, bounds=(lower, upper))
    assert (np.array(g.points) >= lower).all()
    assert (np.array(g.points) <= upper).all()
    t = Counted(math.exp)
    assert fd.derivative(t, 1.0, step=policy, bounds=(0.5, 1.5)) == pytest.approx(math.e, rel=1e-6)
    assert 0.5 <= min(t.points) <= max(t.points) <= 1.5


@pytest.mark.parametrize("policy", SEARCHING, ids=name_of)
def test_gradients_choose_as_find_does_within_the_bounds(policy):
    def f(x):
        return float(np.exp(x[0] / 1e6) + 1e-6 * x[1] ** 3)  # wants steps longer than the bounds allow

    x, box = np.array([1.0, 2.0]), (np.array([0.9, 1.9]), np.array([1.1, 2.1]))
    result = fd.gradient(f, x, step=policy, bounds=box, full_output=True)
    for j in range(2):
        along = lambda t, j=j: f(np.where(np.arange(2) == j, t, x))  # noqa: E731
        expected = policy.find(along, float(x[j]), (float(box[0][j]), float(box[1][j])))
        assert result.step[j] == pytest.approx(expected.step, rel=1e-6)


@pytest.mark.parametrize("policy", SEARCHING, ids=name_of)
def test_values_that_a_column_does_not_move_have_no_say(policy):
    few = fd.jacobian(lambda x: np.exp(x[:1]), [1.0], step=policy, full_output=True)
    constant = np.arange(1.0, 1001.0) * 1e3
    many = fd.jacobian(lambda x: np.append(np.exp(x[:1]), constant), [1.0], step=policy, full_output=True)
    assert 0.7 <= many.step[0] / few.step[0] <= 1.4
    assert (many.value[1:] == 0).all()


@pytest.mark.parametrize("policy", SEARCHING, ids=name_of)
def test_the_step_does_not_depend_on_the_units_or_signs_of_the_values(policy):
    one = fd.jacobian(lambda x: np.exp(x) * np.ones(4), [1.0], step=policy, full_output=True)
    units = np.array([1e8, -1.0, 1e-8, -1e-3])
    other = fd.jacobian(lambda x: np.exp(x) * units, [1.0], step=policy, full_output=True)
    alone = policy.find(math.exp, 1.0)
    # Stepleman & Winarsky's steps are powers of 4 apart, and where they stop is up to rounding.
    apart = 4.1 if isinstance(policy, selectors.SteplemanWinarsky) else 2.0
    assert 1 / apart <= other.step[0] / one.step[0] <= apart
    assert 1 / apart <= one.step[0] / alone.step <= apart


@pytest.mark.parametrize("policy", SEARCHING, ids=name_of)
def test_the_cost_does_not_grow_with_the_number_of_values(policy):
    few, many = Counted(lambda x: np.exp(x) * np.arange(1.0, 3.0)), Counted(lambda x: np.exp(x) * np.arange(1.0, 301.0))
    fd.jacobian(few, [1.0], step=policy)
    fd.jacobian(many, [1.0], step=policy)
    # f(x), one look at what moves, two for the derivative, and the search, 29 at most by Dumontet & Vignes' bisection
    assert len(few.points) <= 40
    assert len(many.points) <= 40


def test_mirror_images_do_not_cancel():
    result = fd.jacobian(
        lambda x: np.array([np.sin(x[0]), -np.sin(x[0])]), [1.0], step=selectors.DumontetVignes(), full_output=True
    )
    best = (3 * EPS * math.sin(1.0) / math.cos(1.0)) ** (1 / 3)
    assert 0.5 <= result.step[0] / best <= 1.5


def test_a_column_that_moves_nothing_has_a_rule_step_and_a_zero_derivative():
    f = Counted(lambda x: np.array([x[0] ** 2, 3.0]))
    result = fd.jacobian(f, [1.0, 5.0], step=selectors.CurtisReid(), full_output=True)
    assert (result.value[:, 1] == 0).all()
    assert result.step[1] == pytest.approx(selectors.CurtisReid().rule_step(5.0), rel=1e-6)


def test_native_callbacks_have_their_steps_chosen_too():
    libm = ctypes.CDLL(None)
    libm.exp.restype, libm.exp.argtypes = ctypes.c_double, [ctypes.c_double]
    f = fd.native(libm.exp)
    result = fd.derivative(f, 1.0, step=selectors.GillMurraySaundersWright(), full_output=True)
    assert result.value == pytest.approx(math.e, rel=1e-7)
    assert result.step == pytest.approx(2 * math.sqrt(EPS), rel=0.1)

    rng = np.random.default_rng(0)
    model = fd.models.LogisticRegression(rng.standard_normal((20, 3)), rng.integers(0, 2, 20))
    point = 0.1 * np.arange(1.0, 5.0)
    for policy in SEARCHING:
        plan = fd.Gradient(model, step=policy)
        assert np.allclose(plan(point), model.gradient(point), rtol=2e-6, atol=1e-8)
        assert plan.evaluate(point)[1] <= 9


def test_other_ways_to_call_f():
    policy = selectors.ShiXieXuanNocedal(method="central")
    plain = fd.jacobian(vector, X, step=policy)
    block = fd.jacobian(lambda x: np.array([vector(row) for row in x]), X, step=policy, vectorized=True)
    mapped = fd.jacobian(vector, X, step=policy, workers=map)
    scaled = fd.jacobian(lambda x, a, b=1.0: a * b * vector(x), X, step=policy, args=(2.0,), kwargs={"b": 4.0})
    assert np.array_equal(plain, block)
    assert np.array_equal(plain, mapped)
    assert np.array_equal(8.0 * plain, scaled)
    plan = fd.Jacobian(lambda x, a: a * vector(x), step=policy)
    assert np.array_equal(plan(X, 2.0), 2.0 * plain)
    out = np.empty((3, 3))
    assert fd.jacobian(vector, X, step=policy, out=out) is out
    assert np.array_equal(out, plain)


def test_complex_values_have_steps_chosen_for_both_parts_and_forgotten():
    points = []

    def f(x):
        points.append(1)
        return np.exp(1j * x)

    plan = fd.Jacobian(f, step=selectors.CurtisReid())
    assert np.allclose(plan(np.array([0.4])), [[1j * np.exp(0.4j)]], rtol=1e-8)
    points.clear()
    plan(np.array([0.4]))
    kept = len(points)
    points.clear()
    plan.forget()
    plan(np.array([0.4]))
    assert len(points) > kept


def test_float32_inside_f_makes_steps_longer():
    for policy in SEARCHING:
        steps = fd.jacobian(lambda x: np.exp(x.astype(np.float32)), [1.0], step=policy, full_output=True).step
        assert steps[0] > 1e-4


def test_given_noise_is_that_of_each_value_whatever_their_number():
    rng = np.random.default_rng(1)

    def noisy(m):
        return lambda x: np.exp(x[0]) * np.ones(m) + 1e-6 * (rng.random(m) - 0.5)

    policy = selectors.ShiXieXuanNocedal(noise=5e-7)
    for m in (1, 3):
        assert 2e-4 < fd.jacobian(noisy(m), [1.0], step=policy, full_output=True).step[0] < 6e-3
        large = fd.jacobian(
            lambda x, m=m: 1e6 * noisy(m)(x), [1.0], step=selectors.ShiXieXuanNocedal(noise=0.5), full_output=True
        )
        assert 2e-4 < large.step[0] < 6e-3


def test_ridders_gives_each_entry_its_own_extrapolation():
    f = Counted(vector)
    result = fd.jacobian(f, X, step=selectors.Ridders(), full_output=True)
    assert np.abs(result.value - exact(X)).max() <= 1e-11
    assert (np.abs(result.value - exact(X)) <= result.error + 1e-13).all()
    assert result.method == "Ridders"
    assert result.nfev == len(f.points) <= 1 + 3 * 20  # values share their points
    plan = fd.Jacobian(vector, step=selectors.Ridders())
    assert np.array_equal(plan(X), result.value)
    assert np.abs(plan(2 * X) - exact(2 * X)).max() <= 1e-9


def test_what_cannot_be_is_said():
    policy = selectors.DumontetVignes()
    with pytest.raises(fd.ArgumentError, match=r"\.step of a dense jacobian"):
        fd.jacobian(lambda x: x**2, [1.0, 2.0], step=policy, sparsity=np.eye(2))
    with pytest.raises(fd.ArgumentError, match="central differences, not for method='forward'"):
        fd.Jacobian(vector, step=policy, method="forward")
    with pytest.raises(fd.ArgumentError, match="not for method='adaptive'"):
        fd.Gradient(scalar, step=policy, method="adaptive")
    for option in ({"accuracy": 4}, {"noise": 1e-3}, {"budget": 8}):
        with pytest.raises(fd.ArgumentError, match=next(iter(option))):
            fd.jacobian(vector, X, step=policy, **option)
        with pytest.raises(fd.ArgumentError, match=next(iter(option))):
            fd.derivative(math.exp, 1.0, step=policy, **option)
    with pytest.raises(fd.ArgumentError, match="one of step"):
        fd.jacobian(vector, X, step=policy, rel_step=1e-3)
    with pytest.raises(fd.BoundsError, match=r"x\[1\]"):
        fd.jacobian(vector, X, step=policy, bounds=(-1.0, 5.0))
    with pytest.raises(fd.NonFiniteError) as caught:
        fd.jacobian(lambda x: np.array([x[0], x[1] if x[1] > 0 else math.nan]), [1.0, 1e-9], step=policy)
    assert any("step of x[1]" in note for note in caught.value.__notes__)

    with pytest.raises(fd.ArgumentError, match=r"x\[0\] = nan"):
        fd.gradient(scalar, [math.nan, 1.0, 2.0], step=policy)
    with pytest.raises(fd.ArgumentError, match="first derivatives"):
        fd.hessian(scalar, X, step=policy)
    assert np.allclose(fd.hessian(scalar, X, grad=slopes, step=policy)[2, 2], 6 * X[2])
    with pytest.raises(fd.ComplexValuesError, match="imaginary parts apart"):
        fd.derivative(lambda t: np.exp(1j * t), 1.0, step=policy)
    with pytest.raises(fd.ShapeError, match="f0 has shape"):
        fd.Jacobian(vector, step=policy)(X, f0=np.ones(2))
    assert fd.jacobian(lambda x: np.empty(0), X, step=policy).shape == (0, 3)
    assert fd.jacobian(lambda x: np.ones(2), [], step=policy).shape == (2, 0)

    def fails(x):
        if x[1] != 2.0:
            raise KeyError("mine")
        return x

    with pytest.raises(KeyError) as raised:
        fd.jacobian(fails, [1.0, 2.0], step=policy)
    assert any("x[1]" in note for note in raised.value.__notes__)


def test_derivative_counts_with_selectors_and_evaluates_nothing_twice():
    for policy in ALL:
        f = Counted(math.exp)
        result = fd.derivative(f, [0.5, 1.0], step=policy, full_output=True)
        assert result.nfev == len(f.points) == len({float(point) for point in f.points})
        assert result.value == pytest.approx(np.exp([0.5, 1.0]), rel=1e-6)
