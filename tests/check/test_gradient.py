"""check_gradient entry by entry: verdicts, what users get wrong, what the check must leave alone."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from fdcore.check import WrongGradientError, check_gradient
from fdcore.errors import ArgumentError, ArgumentTypeError, EvaluationError, ShapeError

X = np.random.default_rng(1).standard_normal((40, 4))
Y = (X @ [1.0, -2.0, 0.5, 0.0] > 0.1).astype(float)


def loss(p):
    z = np.tanh(X @ p["W"] + p["b"]) @ p["v"]
    return np.mean(np.logaddexp(0.0, z) - Y * z)


def gradient(p):
    h = np.tanh(X @ p["W"] + p["b"])
    d = (1.0 / (1.0 + np.exp(-h @ p["v"])) - Y) / len(Y)
    dh = d[:, None] * p["v"] * (1.0 - h * h)
    return {"W": X.T @ dh, "b": dh.sum(0), "v": h.T @ d}


@pytest.fixture
def params():
    rng = np.random.default_rng(2)
    return {"W": rng.standard_normal((4, 3)), "b": np.zeros(3), "v": rng.standard_normal(3)}


def planted(name, change):
    def grad(p):
        result = gradient(p)
        result[name] = change(result[name])
        return result

    return grad


def square(x):
    return float(np.sum(np.asarray(x, dtype=float) ** 2))


def test_a_correct_gradient_agrees_and_states_its_power(params):
    check = check_gradient(loss, gradient, params)
    assert check
    assert check.verdict == "agrees"
    assert check.wrong == check.unclear == check.notes == ()
    assert [p.name for p in check.parameters] == ["W", "b", "v"]
    assert all(p.verdict == "agrees" and 0 < p.detection_limit < 1e-6 for p in check.parameters)
    assert check.nfev < 10 * check.size
    assert check.relative_errors["norm"] < 1e-9


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.5, 2.0, 1.0 + 1e-6, 1e12, math.nan, math.inf])
@pytest.mark.parametrize("name", ["W", "b", "v"])
def test_one_wrong_entry_is_found_and_no_other_is_blamed(params, name, factor):
    def change(g):
        g.flat[1] *= factor
        return g

    check = check_gradient(loss, planted(name, change), params)
    assert check.verdict == "wrong"
    assert not check
    assert [(e.parameter, e.index) for e in check.wrong] == [(name, (0, 1) if name == "W" else (1,))]
    assert {p.name: p.verdict for p in check.parameters} == {"W": "agrees", "b": "agrees", "v": "agrees"} | {
        name: "wrong"
    }
    entry = check.wrong[0]
    if math.isfinite(factor):
        assert entry.ratio == pytest.approx(factor, rel=1e-6, abs=1e-9)
        assert entry.z == pytest.approx(abs(entry.analytic - entry.numeric) / entry.error)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_scales_of_f_and_x_change_nothing(scale, size):
    x = size * np.array([0.3, -1.2, 2.0])

    def f(x):
        return scale * np.sum(np.sin(x / size) + (x / size) ** 3)

    def grad(x):
        return scale / size * (np.cos(x / size) + 3 * (x / size) ** 2)

    assert check_gradient(f, grad, x).verdict == "agrees"
    check = check_gradient(f, lambda x: grad(x) * [1, 1, 1.001], x)
    assert [e.name for e in check.wrong] == ["x[2]"]


def test_mixed_scales_in_one_array():
    x = np.array([1e6, 1e-6])
    check = check_gradient(
        lambda x: np.sin(x[0] / 1e6) + np.exp(1e6 * x[1]), lambda x: [np.cos(1.0) / 1e6, np.e * 1e6], x
    )
    assert check.verdict == "agrees"


Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Box:
    a: Any
    b: Any


@pytest.mark.parametrize(
    "point",
    [
        3.0,
        np.float64(3.0),
        np.array(3.0),
        [1.0, 2.0],
        np.arange(1, 4),
        np.asfortranarray(np.arange(1.0, 7.0).reshape(2, 3)),
        np.arange(1.0, 13.0)[::3],
        [np.ones(2), np.ones((2, 2))],
        (np.ones(2), 5.0, np.ones(0)),
        {"a": [np.ones(1), {"c": 2.0}]},
        Pair(np.ones(2), 1.5),
        Box(np.ones(2), Pair(2.0, [1.0, 2.0])),
    ],
    ids=lambda p: type(p).__name__,
)
def test_every_kind_of_point(point):
    def leaves(t):
        if isinstance(t, np.ndarray):
            return [t]
        children = t.values() if isinstance(t, dict) else vars(t).values() if isinstance(t, Box) else t
        return [leaf for child in children for leaf in leaves(child)]

    def double(t):
        if isinstance(t, np.ndarray):
            return 3 * t**2
        if isinstance(t, dict):
            return {k: double(v) for k, v in t.items()}
        if isinstance(t, Pair):
            return Pair(*map(double, t))
        if isinstance(t, Box):
            return Box(double(t.a), double(t.b))
        return type(t)(map(double, t))

    check = check_gradient(lambda t: sum(float(np.sum(leaf**3)) for leaf in leaves(t)), double, point)
    assert check.verdict == "agrees"


def test_a_given_gradient_is_as_good_as_a_function(params):
    assert check_gradient(loss, gradient(params), params).verdict == "agrees"
    assert check_gradient(square, [2, 4], [1, 2]).verdict == "agrees"
    assert check_gradient(square, np.array([2.0, 4.1]), [1, 2]).verdict == "wrong"


def test_nothing_of_the_caller_is_changed(params):
    before = {k: v.copy() for k, v in params.items()}
    for v in params.values():
        v.setflags(write=False)
    given = gradient(params)
    kept = {k: v.copy() for k, v in given.items()}

    def rude(p):
        value = loss(p)
        for v in p.values():
            v[...] = 0.0
        return value

    check = check_gradient(rude, given, params)
    assert check.verdict == "agrees"
    assert [n.label for n in check.notes] == ["input-mutated"]
    assert all(np.array_equal(params[k], before[k]) for k in before)
    assert all(np.array_equal(given[k], kept[k]) for k in kept)


@pytest.mark.parametrize(
    ("change", "label", "verdict"),
    [
        (lambda g: {k: v for k, v in g.items() if k != "b"}, "missing", "wrong"),
        (lambda g: g | {"b": None}, "missing", "wrong"),
        (lambda g: g | {"W": g["W"].T}, "shape", "wrong"),
        (lambda g: g | {"b": g["b"][:, None]}, "shape", "agrees"),
        (lambda g: g | {"c": 1.0}, "extra", "agrees"),
        (lambda g: g | {"b": "b"}, "type", "wrong"),
        (lambda g: g | {"b": g["b"] + 0j}, "type", "wrong"),
        (lambda g: None, None, None),
        (lambda g: list(g.values()), "type", "wrong"),
        (lambda g: {k: v.tolist() for k, v in g.items()}, None, "agrees"),
    ],
)
def test_gradients_that_do_not_fit(params, change, label, verdict):
    if verdict is None:
        with pytest.raises(ArgumentTypeError, match="return"):
            check_gradient(loss, lambda p: change(gradient(p)), params)
        return
    check = check_gradient(loss, lambda p: change(gradient(p)), params)
    assert check.verdict == verdict
    assert [n.label for n in check.notes] == ([label] if label else [])
    assert str(check).startswith(verdict)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_parameters(dtype):
    x = np.array([0.1, -2.0, 300.0], dtype=dtype)
    check = check_gradient(square, lambda x: 2 * x, x)
    assert check.verdict == "agrees"
    assert [n.label for n in check.notes] == ["dtype"]
    assert check_gradient(square, lambda x: 2 * x * [1, 1.2, 1], x).wrong[0].name == "x[1]"


@pytest.mark.parametrize("wrap", [lambda v: v, float])
def test_single_precision_inside(params, wrap):
    def narrow(p):
        return {k: np.asarray(v, np.float32) for k, v in p.items()}

    def f(p):
        return wrap(np.float32(loss(narrow(p))))

    assert check_gradient(f, lambda p: gradient(narrow(p)), params).verdict == "agrees"
    check = check_gradient(f, lambda p: planted("v", lambda g: g * [1, 1.5, 1])(narrow(p)), params)
    assert [e.name for e in check.wrong] == ["v[1]"]


def test_a_function_that_insists_on_float32_gets_it():
    def f(x):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return np.sum(x**2)

    assert check_gradient(f, lambda x: 2 * x, np.array([1.0, 2.0], np.float32)).verdict == "agrees"
    with pytest.raises(TypeError, match="float32 only"):
        check_gradient(f, lambda x: 2 * x, np.array([1.0, 2.0]))


def test_kink_accepts_a_subgradient_and_nothing_else():
    x = np.array([0.0, 1.0])

    def f(x):
        return np.abs(x).sum()

    for value, verdict in [
        (-1.0, "agrees"),
        (0.0, "agrees"),
        (0.3, "agrees"),
        (1.0, "agrees"),
        (1.2, "wrong"),
        (-2.0, "wrong"),
    ]:
        check = check_gradient(f, np.array([value, 1.0]), x)
        assert check.verdict == verdict
        assert ("kink" in [n.label for n in check.notes]) == (verdict == "agrees")


@pytest.mark.parametrize(
    ("f", "grad", "x", "label"),
    [
        (lambda x: square(x), lambda x: 2 * x, np.zeros(3), "uninformative"),
        (lambda x: math.nan, lambda x: 2 * x, np.ones(3), "non-finite"),
    ],
)
def test_cannot_tell_says_why(f, grad, x, label):
    check = check_gradient(f, grad, x)
    assert check.verdict == "cannot tell"
    assert label in [n.label for n in check.notes]


def test_a_constant_function_has_the_gradient_zero():
    assert check_gradient(lambda x: 1.0, lambda x: 0 * x, np.ones(2)).verdict == "agrees"
    assert check_gradient(lambda x: 1.0, lambda x: x, np.ones(2)).verdict == "wrong"


def test_a_jump_is_nobodys_fault():
    assert check_gradient(lambda x: np.sum(x + (x >= 1.0)), np.ones(2), np.ones(2)).verdict == "cannot tell"


def test_noise_is_measured_and_named():
    rng = np.random.default_rng(3)

    def noisy(level):
        return lambda x: square(x) + level * rng.standard_normal()

    x = np.array([1.0, -2.0])
    for level, verdict in [(1e-3, "agrees"), (1e6, "cannot tell")]:
        check = check_gradient(noisy(level), lambda x: 2 * x, x)
        assert check.verdict == verdict
        assert [n.label for n in check.notes] == ["f-not-repeatable"]
    assert check_gradient(noisy(1e-3), lambda x: -2 * x, x).verdict == "wrong"


def test_gradient_that_accumulates_is_random_or_reuses_its_memory():
    x = np.array([1.0, 2.0])
    store = np.zeros(2)

    def adds(x):
        nonlocal store
        store = store + 2 * x
        return store

    def reuses(x):
        store[:] = 2 * x
        return store

    rng = np.random.default_rng(4)
    cases = {
        "gradient-accumulates": adds,
        "output-reused": reuses,
        "gradient-not-repeatable": lambda x: 2 * x + rng.standard_normal(2) * 1e-3,
    }
    for label, grad in cases.items():
        store = np.zeros(2)
        assert label in [n.label for n in check_gradient(square, grad, x).notes]


def test_gradient_that_uses_what_f_left_behind():
    cache = {}

    def f(x):
        cache["x"] = x.copy()
        return square(x)

    check = check_gradient(f, lambda x: 2 * cache["x"], np.array([1.0, 2.0]))
    assert "gradient-order" in [n.label for n in check.notes]


def test_gradient_that_returns_its_input():
    def grad(x):
        x *= 2
        return x

    check = check_gradient(square, grad, np.array([1.0, 2.0]))
    assert check.verdict == "agrees"
    assert {n.label for n in check.notes} == {"input-mutated", "output-aliased"}


def test_domain_errors_are_no_value_and_errors_at_the_point_are_the_users():
    def f(x):
        if x[0] > 1.0:
            raise EvaluationError("outside")
        return math.sqrt(x[0]) + x[1]

    assert check_gradient(f, lambda x: [0.5 / math.sqrt(x[0]), 1.0], np.array([1.0 - 1e-4, 2.0])).verdict == "agrees"
    with pytest.raises(EvaluationError, match="outside"):
        check_gradient(f, lambda x: x, np.array([2.0, 1.0]))


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: x, ShapeError),
        (lambda x: None, ArgumentTypeError),
        (lambda x: "1.0", ArgumentTypeError),
        (lambda x: 1j, ArgumentTypeError),
    ],
)
def test_functions_that_return_no_number(f, error):
    with pytest.raises(error):
        check_gradient(f, lambda x: x, np.ones(2))


@pytest.mark.parametrize(
    "f", [lambda x: np.array([np.sum(x)]), lambda x: np.sum(x, keepdims=True), lambda x: int(x.sum())]
)
def test_functions_that_return_nearly_a_number(f):
    x = np.array([[1.0, 2.0]])
    assert (
        check_gradient(f, np.ones, x) if False else check_gradient(f, lambda x: np.ones_like(x), x).verdict != "error"
    )


@pytest.mark.parametrize("keywords", [{"mode": "all"}, {"budget": 0}])
def test_bad_arguments(keywords):
    with pytest.raises(ArgumentError):
        check_gradient(square, lambda x: 2 * x, np.ones(2), **keywords)


def test_a_point_that_is_not_finite_is_refused():
    with pytest.raises(ArgumentError, match=r"x\[1\] is nan"):
        check_gradient(square, lambda x: 2 * x, np.array([1.0, math.nan]))


def test_budget_is_kept_and_what_is_left_over_is_unclear():
    check = check_gradient(square, lambda x: 2 * x, np.ones(100), mode="elementwise", budget=200)
    assert check.nfev <= 210
    assert check.verdict == "cannot tell"
    assert check.parameters[0].reason == "the budget was used up"
    assert len(check.columns["index"]) < 100


def test_args_and_kwargs_reach_both():
    check = check_gradient(
        lambda x, a, b=0.0: a * square(x) + b, lambda x, a, b=0.0: 2 * a * x, np.ones(2), args=(3.0,), kwargs={"b": 1.0}
    )
    assert check.verdict == "agrees"


def test_raise_if_wrong(params):
    good = check_gradient(loss, gradient, params)
    assert good.raise_if_wrong() is good
    bad = check_gradient(loss, planted("b", lambda g: -g), params)
    with pytest.raises(WrongGradientError, match=r"b\[0\]") as caught:
        bad.raise_if_wrong()
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value) == str(bad)


def test_json_holds_what_the_report_shows(params):
    check = check_gradient(loss, planted("b", lambda g: g * math.nan), params)
    data = json.loads(check.to_json())
    assert data["verdict"] == "wrong"
    assert data["wrong"][0]["parameter"] == "b"
    assert data["wrong"][0]["analytic"] == "nan"
    assert [p["name"] for p in data["parameters"]] == ["W", "b", "v"]


def test_repeating_a_check_gives_the_same_report(params):
    assert str(check_gradient(loss, gradient, params)) == str(check_gradient(loss, gradient, params))


class Cached:
    kept = None

    def gradient(self, x):
        if self.kept is None:
            self.kept = 2 * x
        return self.kept.copy()


def test_gradient_that_does_not_notice_that_the_point_moved():
    x = np.array([1.0, 2.0])
    check = check_gradient(square, Cached().gradient, x)
    assert check.verdict == "wrong"
    assert [d.label for d in check.diagnoses] == ["stale-cache"]
    given = 2 * x
    check = check_gradient(square, lambda x: given, x)
    assert check.verdict == "agrees"
    linear = check_gradient(lambda x: float(x @ [1.0, 2.0]), lambda x: np.array([1.0, 2.0]) + 0 * x, x)
    assert linear.notes == ()


def test_cached_gradient_of_a_loss_that_is_linear_nearby():
    """Near x a cached gradient of such a loss is right; beyond a kink it shows that it is not renewed."""
    quantile = np.array([2.0, -1.0])

    class Kept:
        kept = None

        def gradient(self, x):
            if self.kept is None:
                self.kept = np.where(x > quantile, 0.9, -0.1)
            return self.kept.copy()

        def fresh(self, x):
            return np.where(x > quantile, 0.9, -0.1)

    def pinball(x):
        r = x - quantile
        return float(np.sum(np.maximum(0.9 * r, -0.1 * r)))

    x = np.array([1.75, -0.4])  # the first move, to (1.81, -0.45), crosses no kink
    cached = check_gradient(pinball, Kept().gradient, x)
    assert [d.label for d in cached.diagnoses] == ["stale-cache"]
    fresh = check_gradient(pinball, Kept().fresh, x)
    assert fresh.verdict == "agrees"
    assert fresh.notes == ()
    assert fresh.diagnoses == ()
    assert cached.nfev <= 60


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
def test_rtol_is_in_addition_and_said(mode):
    x = np.array([1.0, 2.0, 3.0])

    def grad(x):
        return 2 * x * [1, 1 + 1e-4, 1]

    assert check_gradient(square, grad, x, mode=mode).verdict == "wrong"
    check = check_gradient(square, grad, x, rtol=1e-3, mode=mode)
    assert check.verdict == "agrees"
    if mode == "elementwise":
        assert [n.label for n in check.notes] == ["within-rtol"]
    assert check_gradient(square, lambda x: 2.1 * x, x, rtol=1e-3, mode=mode).verdict == "wrong"
    with pytest.raises(ArgumentError, match="rtol"):
        check_gradient(square, grad, x, rtol=-1.0)


def test_several_points_see_what_one_does_not():
    def grad(x):
        return np.where(x > 0, 2 * x, 3 * x)

    x = np.array([0.1, 0.2, 0.3, 0.05] * 5)
    assert check_gradient(square, grad, x).verdict == "agrees"
    check = check_gradient(square, grad, x, points=8)
    assert check.verdict == "wrong"
    assert check.nfev > 1000
    origin = check_gradient(square, lambda x: 2 * x, np.zeros(3), points=2)
    assert origin.verdict == "cannot tell"
    with pytest.raises(ArgumentError, match="points"):
        check_gradient(square, 2 * x, x, points=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("mode", ["elementwise", "projected"])
def test_precision_that_hides_in_a_python_float(dtype, mode):
    """Below one step of x such a function is flat, which must not be taken for a derivative of zero."""

    def f(x):
        return float(np.sum(x.astype(dtype) ** 2))

    x = np.array([1.0, 0.3, 2.0, -0.7])
    assert check_gradient(f, lambda x: 2 * x, x, mode=mode).verdict != "wrong"
    assert check_gradient(f, lambda x: -2 * x, x, mode=mode).verdict == "wrong"


@pytest.mark.parametrize("level", [1e-12, 1e-6, 1e-3, 1e-1, 10.0])
def test_noise_does_not_drive_the_step_out_of_sight(level):
    rng = np.random.default_rng(5)
    x = np.array([0.3, 0.5, 2.0])
    for _ in range(5):
        check = check_gradient(lambda x: float(np.sum(np.sin(x)) + level * rng.standard_normal()), np.cos, x)
        assert check.verdict != "wrong"


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
def test_a_solver_inside(tolerance):
    def f(x):
        low, high = 0.0, 10.0
        while high - low > tolerance:
            middle = (low + high) / 2
            low, high = (middle, high) if middle**2 < x[0] else (low, middle)
        return (low + high) / 2

    assert check_gradient(f, lambda x: 0.5 / np.sqrt(x), [4.0]).verdict != "wrong"
    assert check_gradient(f, lambda x: 1.0 / np.sqrt(x), [4.0]).verdict != "agrees"


def test_a_correct_gradient_at_the_edge_of_a_domain_is_not_called_wrong():
    with np.errstate(invalid="ignore"):
        check = check_gradient(
            lambda x: np.sqrt(x - 1.0).sum(), lambda x: 0.5 / np.sqrt(x - 1.0), np.array([1.0 + 1e-9, 2.0, 3.0])
        )
        planted = check_gradient(
            lambda x: np.sqrt(x - 1.0).sum(), lambda x: 0.6 / np.sqrt(x - 1.0), np.array([1.0 + 1e-9, 2.0, 3.0])
        )
    assert check.verdict == "agrees"
    assert planted.verdict == "wrong"
    assert len(planted.wrong) == 3


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
@pytest.mark.parametrize("seed", range(5))
def test_rounding_that_one_rounding_of_the_point_does_not_move_is_not_called_wrong(mode, seed):
    x = np.random.default_rng(seed).uniform(0.5, 1.0, 12)
    large = np.float32(512.0)

    def gradient(x, factor=1.0):
        return np.float32(factor) * ((large + x.astype(np.float32)) - large)  # steps of 6e-5

    assert check_gradient(lambda x: 0.5 * np.dot(x, x), gradient, x, mode=mode).verdict != "wrong"
    planted = check_gradient(lambda x: 0.5 * np.dot(x, x), lambda x: gradient(x, 1.02), x, mode=mode)
    assert planted.verdict == "wrong"


SQUARE = 40


@pytest.mark.parametrize(
    ("fault", "label"),
    [
        (lambda g: g * np.where(np.arange(SQUARE) == 39, -1.0, 1.0), "single-column"),
        (lambda g: g * np.where(np.arange(SQUARE) == 7, 1.01, 1.0)[:, None], "single-row"),
        (lambda g: g + 0.5 * np.diag(np.diag(g)), "diagonal"),
        (np.tril, "triangle"),
        (lambda g: np.diag(np.diag(g)), "off-diagonal"),
        (lambda g: np.broadcast_to(g.mean(0), g.shape), "wrong-axis"),
    ],
)
def test_shapes_of_wrong_entries_along_directions(fault, label):
    rng = np.random.default_rng(3)
    right = rng.normal(size=(SQUARE, SQUARE))
    x = rng.normal(size=(SQUARE, SQUARE))
    check = check_gradient(
        lambda x: 0.5 * float(np.sum((x - right) ** 2)), lambda x: fault(x - right), x, mode="projected"
    )
    assert check.verdict == "wrong"
    assert check.nfev <= 600
    assert check.wrong
    assert [d.label for d in check.diagnoses] == [label]


def test_an_axis_too_many_in_single_precision_is_named():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=7).astype(np.float32)
    check = check_gradient(
        lambda w: np.sum((X @ w - y) ** 2), lambda w: (2.0 * (X @ w - y)[:, None] * X).astype(np.float32), np.ones(5)
    )
    assert [d.label for d in check.diagnoses] == ["not-reduced"]


def test_half_precision_along_directions_is_said_to_have_too_few_digits():
    rng = np.random.default_rng(1)
    at = {"w": rng.normal(size=30).astype("f4"), "b": rng.normal(size=30).astype("f4")}

    def half(p):
        return np.float16(np.sum(p["w"] ** 2) + 0.1 * np.sum(np.sin(p["b"])))

    check = check_gradient(half, lambda p: {"w": 2 * p["w"], "b": 0.1 * np.cos(p["b"])}, at, mode="projected")
    assert check.verdict == "cannot tell"
    assert check.reason == "nothing can be said about w, b: f has too few digits"
    assert "dtype" in [note.label for note in check.notes]


def test_one_entry_that_is_not_finite():
    check = check_gradient(square, lambda x: np.array([np.nan, 2 * x[1]]), np.array([1.0, 2.0]))
    assert check.verdict == "wrong"
    assert any(note.message == "NaN or infinite: x[0]" for note in check.notes)
