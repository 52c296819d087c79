"""What an adaptive plan remembers from x to x: it costs less nearby, and proves nothing."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fdcore as fd

X = np.array([0.7, -1.3, 2.2, 1e-3, 5.0])
NEAR = X * (1 + 1e-3)


class Counted:
    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, x):
        self.calls += 1
        return self.f(x)


def smooth(x):
    return np.sum(np.exp(0.3 * x)) + np.sin(x[0]) * x[1]


def smooth_gradient(x):
    g = 0.3 * np.exp(0.3 * x)
    g[0] += np.cos(x[0]) * x[1]
    g[1] += np.sin(x[0])
    return g


def test_the_second_call_nearby_takes_seven_evaluations_a_component():
    f = Counted(smooth)
    plan = fd.Gradient(f, method="adaptive")
    first = plan.full(X)
    assert f.calls == first.nfev == 1 + 8 * X.size
    f.calls = 0
    second = plan.full(NEAR)
    assert f.calls == second.nfev == 1 + 7 * X.size
    assert (abs(second.value - smooth_gradient(NEAR)) <= second.error + 1e-16).all()
    assert (second.error < 1e-9).all()


@pytest.mark.parametrize(
    ("f", "slope", "x", "first"),
    [
        (lambda x: np.sin(1000 * x[0]), lambda x: 1000 * math.cos(1000 * x), 1.0, 17),
        (lambda x: np.exp(1e8 * x[0]), lambda x: 1e8 * math.exp(1e8 * x), 1e-8, 9),
        (lambda x: np.sin(x[0]), math.cos, 1e6, 25),
        (lambda x: math.sqrt(x[0] - 1) if x[0] >= 1 else math.nan, lambda x: 0.5 / math.sqrt(x - 1), 1.0001, 17),
    ],
)
def test_scales_that_were_searched_for_are_remembered(f, slope, x, first):
    plan = fd.Gradient(f, method="adaptive")
    assert plan.full([x]).nfev >= first
    near = x + 1e-5 * (x - 1 if x == 1.0001 else x)
    second = plan.full([near])
    assert second.nfev <= 9
    assert abs(second.value[0] - slope(near)) <= second.error[0]
    assert second.error[0] <= 1e-7 * abs(slope(near))


def test_forgetting_makes_a_plan_like_new():
    plan = fd.Gradient(smooth, method="adaptive")
    fresh = plan(NEAR)
    plan(X)
    plan.forget()
    assert plan(NEAR).tobytes() == fresh.tobytes()
    plan.forget()
    assert plan.full(X).nfev == 1 + 8 * X.size


def test_the_same_history_gives_the_same_bits():
    def run():
        plan = fd.Jacobian(lambda x: np.array([smooth(x), np.sin(40 * x[1])]), method="adaptive")
        return b"".join(plan(x).tobytes() for x in (X, NEAR, 1.01 * X))

    assert run() == run()


def test_far_away_the_scale_is_looked_for_again():
    f = Counted(lambda x: np.sin(1000 * x[0]))
    plan = fd.Gradient(f, method="adaptive")
    plan([1.0])
    f.calls = 0
    assert plan.full([40.0]).nfev == fd.gradient(f, [40.0], method="adaptive", full_output=True).nfev


def test_what_is_remembered_is_no_evidence():
    """f changes its character: what comes out is right, or says that it is not."""
    kinds = [
        (lambda x: math.exp(x), lambda x: math.exp(x)),
        (lambda x: math.sin(3e4 * x), lambda x: 3e4 * math.cos(3e4 * x)),
        (lambda x: 1e6 + x * x, lambda x: 2 * x),
        (lambda x: x + 1e-4 * math.sin(1e5 * x), lambda x: 1 + 10 * math.cos(1e5 * x)),
        (lambda x: 1e-200 * x, lambda x: 1e-200),
        (lambda x: float(np.float32(math.cos(x))), lambda x: -math.sin(x)),
    ]
    for before, _ in kinds:
        for after, slope in kinds:
            now = [before]
            plan = fd.Gradient(lambda x, now=now: now[0](x[0]), method="adaptive")
            plan.full([1.3])
            now[0] = after
            result = plan.full([1.3001])
            assert abs(result.value[0] - slope(1.3001)) <= 2 * result.error[0]


def test_a_kink_is_found_again():
    plan = fd.Gradient(lambda x: abs(x[0] - 1) + x[1], method="adaptive")
    plan.full([1.001, 2.0])
    result = plan.full([1.0, 2.0])
    assert fd.Finding.KINK in fd.Finding(int(result.status[0]))
    assert result.error[0] >= 0.99


def test_another_shape_begins_anew():
    plan = fd.Gradient(lambda x: float(np.sum(x**3)), method="adaptive")
    plan(X)
    assert plan.full(X[:2]).nfev == 17
    np.testing.assert_allclose(plan(X), 3 * X**2, rtol=1e-7)


def test_any_number_of_workers_gives_the_same_bits():
    rng = np.random.default_rng(3)
    model = fd.models.MLP(rng.normal(size=(16, 5)), rng.integers(0, 3, size=16), hidden=(4,))
    params = model.initial(seed=0)
    results = []
    for workers in (1, 2, 3, 7):
        plan = fd.Gradient(model, method="adaptive", workers=workers)
        plan(params)
        results.append(plan(params * (1 + 1e-4)).tobytes())
    assert len(set(results)) == 1


def test_threads_may_share_a_plan():
    plan = fd.Gradient(smooth, method="adaptive")
    plan(X)
    points = [X * (1 + 1e-4 * k) for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for x, value in zip(points, pool.map(plan, points), strict=True):
            np.testing.assert_allclose(value, smooth_gradient(x), rtol=1e-9)
