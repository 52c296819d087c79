"""Selectors on the examples of their literature: published formulas and guarantees, and what another package finds.

The functions are those of Gill, Murray, Saunders & Wright (1983), Shi, Xie, Xuan & Nocedal (2022) and Oliver (1980),
with elementary ones beside: the sixteen that the package numericalderivative collects. Its version 0.3 gave the steps
and the numbers of distinct points in the columns below, called with a precision of 2**-52 and, where it wants one,
with the interval in which ours looks. None: it stops with an error, or finds a step a million times too long.

Where f has elementary functions in it, whose last digits differ between C libraries, a search may take one more turn.
"""

import math

import pytest

from fdcore import selectors

EPS = 2.0**-52


# name: (f, x, f'', f''', then (step, points) of Dumontet-Vignes, Stepleman-Winarsky, Gill et al., Shi et al.)
PROBLEMS = {
    "square": (lambda x: x**2, 1.0, 2.0, 0.0, None, (7.906e-05, 11), (2.109e-08, 11), (1.721e-08, 3)),
    "inverse": (lambda x: 1 / x, 1.0, 2.0, -6.0, (5.097e-06, 32), None, (2.107e-08, 11), (1.721e-08, 3)),
    "exp": (math.exp, 1.0, math.e, math.e, (8.792e-06, 12), (1.235e-06, 17), (2.977e-08, 11), (2.837e-08, 3)),
    "log": (math.log, 1.0, -1.0, 2.0, None, None, (2.98e-08, 11), (3.441e-08, 6)),
    "sqrt": (math.sqrt, 1.0, -0.25, 0.375, None, (1.235e-06, 17), (5.96e-08, 13), (6.883e-08, 4)),
    "atan": (math.atan, 0.5, -0.64, -0.256, (1.14e-05, 36), (1.235e-06, 17), (2.539e-08, 12), (2.343e-08, 6)),
    "sin": (
        math.sin, 1.0, -math.sin(1.0), -math.cos(1.0),
        (1.024e-05, 36), None, (2.978e-08, 11), (3.157e-08, 6),
    ),
    "gentle exp": (
        lambda x: math.exp(-x / 1e6), 1.0, 9.99999e-13, -9.99999e-19,
        (8.058, 32), None, (0.02982, 13), (0.03608, 16),
    ),
    "gill": (
        lambda x: (math.exp(x) - 1) ** 2 + (1 / math.sqrt(1 + x * x) - 1) ** 2, 1.0, 24.266107, 53.145555,
        (3.779e-06, 40), (1.235e-06, 17), (1.055e-08, 11), (7.498e-09, 4),
    ),
    "shi 1": (
        lambda x: (math.exp(x) - 1) ** 2, -8.0, -6.7047512e-4, -6.7002497e-4,
        None, (2.746e-05, 25), (1.15e-06, 13), (1.101e-06, 6),
    ),
    "shi 2": (
        lambda x: math.exp(100 * x), 0.01, 1e4 * math.e, 1e6 * math.e,
        None, None, (2.978e-10, 9), (2.216e-10, 9),
    ),
    "shi 3": (
        lambda x: x**4 + 3 * x**2 - 10 * x, 0.99999, 17.99976, 23.99976,
        (4.988e-06, 32), (8.581e-07, 27), (1.722e-08, 11), (2.107e-08, 6),
    ),
    "shi 4": (
        lambda x: 10000 * x**3 + 0.01 * x**2 + 5 * x, 1e-9, 0.02006, 6e4,
        (4.006e-10, 36), None, (1.485e-11, 11), (1.947e-11, 5),
    ),
    "oliver 1": (
        lambda x: math.exp(4 * x), 1.0, 16 * math.exp(4), 64 * math.exp(4),
        None, (3.088e-07, 19), (7.449e-09, 11), (7.946e-09, 5),
    ),
    "oliver 2": (
        lambda x: math.exp(x * x), 1.0, 6 * math.e, 20 * math.e,
        None, (1.235e-06, 17), (1.216e-08, 11), (1.418e-08, 6),
    ),
    "oliver 3": (lambda x: x * x * math.log(x), 1.0, 3.0, 2.0, None, None, (1.721e-08, 11), (1.721e-08, 3)),
}  # fmt: skip
EXACT = ("square", "inverse", "sqrt")  # of arithmetic alone: the same everywhere
AT_A_ZERO = ("log", "oliver 3")  # f(x) = 0


def size(name):
    f, x, *_ = PROBLEMS[name]
    return abs(f(x)) or 1.0


@pytest.mark.parametrize("name", PROBLEMS)
def test_gill_et_al_find_their_step_in_few_intervals(name):
    f, x, second, _, _, _, (step, points), _ = PROBLEMS[name]
    choice = selectors.GillMurraySaundersWright().find(f, x)
    if name == "shi 3":  # f' = -1.8e-4, beside f'' = 18 and f = -6: nothing a forward difference is good for
        assert abs(choice.value + 1.8e-4) < 1e-5
    assert choice.outcome == "satisfactory"
    assert choice.step == pytest.approx(2 * math.sqrt(EPS * size(name) / abs(second)), rel=0.05)
    assert choice.step == pytest.approx(step, rel=0.05)
    # Theirs bisects; the algorithm as published grows and shrinks tenfold from a first guess, which mostly is enough.
    assert choice.nfev in (4, 6, 8) if name != "gentle exp" else choice.nfev == 16
    assert choice.nfev <= points + 3  # which count no evaluation at its own step


@pytest.mark.parametrize("name", PROBLEMS)
def test_shi_et_al_find_the_same_step_at_the_same_points(name):
    f, x, second, *_, (step, points) = PROBLEMS[name]
    choice = selectors.ShiXieXuanNocedal().find(f, x)
    assert choice.converged
    turn = 0 if name in EXACT else 1
    assert 0.999 / 2.0**turn <= choice.step / step <= 1.001 * 2.0**turn
    assert abs(choice.nfev - points) <= 2 * turn
    if name not in AT_A_ZERO:  # what the paper proves, with the second derivative at x
        best = 2 * math.sqrt(EPS * size(name) / abs(second))
        assert 0.41 <= choice.step / best <= 1.5


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name not in ("square", *AT_A_ZERO)])
def test_dumontet_and_vignes_find_the_step_of_their_formula(name):
    f, x, _, third, other, *_ = PROBLEMS[name]
    choice = selectors.DumontetVignes().find(f, x)
    assert choice.converged
    assert choice.step == pytest.approx((1.67 * EPS * size(name) / abs(third)) ** (1 / 3), rel=0.2)
    assert choice.nfev % 4 == 1  # f(x), and four for each interval
    if other is None:
        return
    step, points = other
    # Their constant is 3, which is best where 1.67 is published.
    assert choice.step == pytest.approx(step * (1.67 / 3) ** (1 / 3), rel=0.25)
    if name != "shi 4":
        # They look at both ends of the interval first, and leave f(x) out.
        assert choice.nfev <= points - 8 + 1 + (0 if name in EXACT else 4)
        assert choice.nfev == points - 8 + 1 or name not in EXACT  # rounding may end a search earlier
    assert choice.nfev < points


def test_dumontet_and_vignes_give_up_where_there_is_no_third_derivative():
    for name in ("square", *AT_A_ZERO):
        f, x, *_ = PROBLEMS[name]
        choice = selectors.DumontetVignes().find(f, x)
        assert not choice.converged
        assert choice.outcome == ("no third derivative" if name == "square" else "no step")
        assert choice.step == selectors.DumontetVignes().rule_step(x)


@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if problem[5] is not None])
def test_stepleman_and_winarsky_shrink_to_the_same_step(name):
    f, x, *_, other, _, _ = PROBLEMS[name]
    step, points = other
    choice = selectors.SteplemanWinarsky().find(f, x)
    assert choice.converged
    turn = 0 if name in EXACT else 1
    assert 0.999 / 4.0**turn <= choice.step / step <= 1.001 * 4.0**turn
    assert abs(choice.nfev - (points - 4)) <= 2 * turn  # they look at both ends of the interval first


@pytest.mark.parametrize("name", ["inverse", "sin", "shi 2", "gentle exp", "shi 4"])
def test_stepleman_and_winarsky_find_a_step_where_the_first_guess_is_hard(name):
    f, x, _, third, *_ = PROBLEMS[name]
    choice = selectors.SteplemanWinarsky().find(f, x)
    best = (3 * EPS * size(name) / abs(third)) ** (1 / 3)
    assert 0.02 <= choice.step / best <= 1.0


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name not in AT_A_ZERO])
def test_curtis_and_reid_reach_the_ratio_they_aim_at(name):
    f, x, second, *_ = PROBLEMS[name]
    choice = selectors.CurtisReid().find(f, x)
    assert choice.converged
    slope = (f(x + choice.step) - f(x - choice.step)) / (2 * choice.step)
    scale = max(size(name), abs(x * slope))
    # Truncation h |f''| / 2 over rounding EPS |f| / h, by the analytic f''; their own estimate of it has noise.
    ratio = choice.step**2 * abs(second) / (2 * EPS * scale)
    assert 9.0 <= ratio <= 1100.0
    assert choice.nfev == {"gentle exp": 13, "shi 4": 7}.get(name, 5)  # f(x) and two for each step tried


def test_curtis_and_reid_count_the_rounding_of_x_where_f_vanishes():
    for name in AT_A_ZERO:  # by the size of f alone, the step would be 1e-13
        f, x, *_ = PROBLEMS[name]
        choice = selectors.CurtisReid().find(f, x)
        assert 3e-8 < choice.step < 1e-6
        assert (f(x + choice.step) - f(x - choice.step)) / (2 * choice.step) == pytest.approx(1.0, rel=1e-8)


def outcome_of(f, x, **options):
    choice = selectors.GillMurraySaundersWright(**options).find(f, x)
    return choice, choice.outcome


def test_gill_et_al_say_satisfactory():
    choice, outcome = outcome_of(math.exp, 1.0)
    assert outcome == "satisfactory"
    assert choice.converged
    assert abs(choice.value - math.e) <= choice.error


@pytest.mark.parametrize("f", [lambda x: 3.0, lambda x: 3.0 + 1e-18 * x], ids=["constant", "lost in rounding"])
def test_gill_et_al_say_constant(f):
    choice, outcome = outcome_of(f, 1.0)
    assert outcome == "constant"
    assert not choice.converged
    assert choice.value == 0.0
    assert choice.step == pytest.approx(4 * math.sqrt(EPS * 3.0 / 4.0), rel=1e-6)  # that of a well-scaled f
    assert choice.nfev == 1 + 2 * 7


@pytest.mark.parametrize(
    ("f", "x", "slope"), [(lambda x: 3.0 * x + 1.0, 1.0, 3.0), (math.sin, 0.0, 1.0)], ids=["linear", "odd"]
)
def test_gill_et_al_say_linear_or_odd(f, x, slope):
    choice, outcome = outcome_of(f, x)
    assert outcome == "linear or odd"
    assert not choice.converged
    assert choice.value == pytest.approx(slope, rel=0.1)
    assert choice.error == pytest.approx(2 * EPS * (abs(f(x)) or 1.0) / choice.step)


def test_gill_et_al_say_that_the_second_derivative_is_too_large():
    choice, outcome = outcome_of(lambda x: math.exp(1e12 * x) if x < 1e-11 else 1e5, 0.0, iterations=1)
    assert outcome == "second derivative too large"
    assert not choice.converged
    usual = 2 * math.sqrt(EPS / 2)
    assert choice.step == pytest.approx(usual)  # 10 times that, and one interval shorter
    # More intervals find it.
    assert outcome_of(lambda x: math.exp(1e12 * x) if x < 1e-11 else 1e5, 0.0, iterations=12)[1] == "satisfactory"


def test_gill_et_al_say_that_the_derivative_is_too_small():
    choice, outcome = outcome_of(lambda x: 1.0 + x * x, 0.0)  # a minimum
    assert outcome == "derivative too small"
    assert not choice.converged
    assert choice.error > 0.5 * abs(choice.value)
    assert choice.step == pytest.approx(2 * math.sqrt(EPS / 2.0), rel=0.01)


def test_richardson_is_ridders_without_an_early_end():
    for levels in (3, 5):
        choice = selectors.Ridders(levels=levels, worse=math.inf, start=0.1).find(math.exp, 1.0)
        assert choice.nfev == 2 * levels
    # Three rows, by hand.
    d = [(math.exp(1 + h) - math.exp(1 - h)) / (2 * h) for h in (0.1, 0.05, 0.025)]
    first = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    table = selectors.Ridders(levels=3, worse=math.inf, start=0.1).find(math.exp, 1.0)
    assert table.value == pytest.approx((16 * first[1] - first[0]) / 15, rel=1e-13)


def test_what_no_search_finds_is_named():
    assert selectors.ShiXieXuanNocedal().find(lambda x: 3.0 * x, 1.0).outcome == "linear"
    assert selectors.ShiXieXuanNocedal(method="central").find(lambda x: 3.0, 1.0).outcome == "quadratic"
    assert selectors.CurtisReid().find(lambda x: 3.0 * x, 1.0).outcome == "linear or odd"
    near = selectors.CurtisReid().find(math.exp, 1.0, (1 - 1e-5, 2.0))
    assert (near.outcome, near.nfev, near.converged) == ("no room", 0, False)
    ends = selectors.CurtisReid().find(lambda x: 1.0 + 1e-12 * x * x, 1.0, (0.99, 1.01))
    assert ends.outcome == "end of the room"
    assert 0.009 < ends.step <= 0.0100001


def test_gill_et_al_take_the_interval_before_where_the_next_one_is_too_short():
    first = 20 * math.sqrt(EPS / 2)  # the first interval at x = 0 where f(0) = 1
    choice = selectors.GillMurraySaundersWright().find(lambda x: 1.0 + max(abs(x) - first / 2, 0.0), 0.0)
    assert choice.step == pytest.approx(2 * math.sqrt(EPS * first), rel=1e-6)  # f'' is 1 / first there
    assert choice.nfev == 1 + 2 * 2 + 1


@pytest.mark.parametrize("room", [1e-2, 1.0])
@pytest.mark.parametrize("f", [lambda x: 1.0 + 1e-12 * x**3, lambda x: 3.0 + x, math.exp], ids=["flat", "line", "exp"])
@pytest.mark.parametrize(
    "policy",
    [
        selectors.GillMurraySaundersWright(),
        selectors.ShiXieXuanNocedal(),
        selectors.ShiXieXuanNocedal(method="central"),
        selectors.DumontetVignes(),
        selectors.SteplemanWinarsky(),
        selectors.SteplemanWinarsky(start=5.0),
        selectors.CurtisReid(),
        selectors.Ridders(),
        selectors.Ridders(start=5.0),
    ],
    ids=lambda policy: f"{type(policy).__name__} {policy.method}",
)
def test_searches_stay_within_bounds_by_themselves(policy, f, room):
    seen = []

    def watched(x):
        seen.append(x)
        return f(x)

    choice = policy.find(watched, 1.0, (1.0 - room, 1.0 + room))
    assert 1.0 - room <= min(seen)
    assert max(seen) <= 1.0 + room
    assert 0 < choice.step <= room * (1 + 1e-9)
    assert choice.nfev == len(seen)
