"""Bad input gives an error that names the argument, shows its value and says what to do; x stays bit for bit."""

from __future__ import annotations

import re
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fdcore as fd

X = np.array([0.5, -1.25, 2.0, 0.125])


def f(x: Any) -> float:
    return float(x @ x)


def gradient(f: Any, x: Any, **arguments: Any) -> Any:
    return fd.gradient(f, x, **arguments)


def jacobian(f: Any, x: Any, **arguments: Any) -> Any:
    return fd.jacobian(f, x, **arguments)


def full(f: Any, x: Any, **arguments: Any) -> Any:
    return fd.gradient(f, x, full_output=True, **arguments)


def plan(f: Any, x: Any, **arguments: Any) -> Any:
    out = arguments.pop("out", None)
    return fd.Gradient(f, **arguments)(x, out=out)


ENTRIES = [gradient, jacobian, full, plan]

# What is passed, the error, and words that its message must have: the argument, its value, the remedy.
ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "zero step": ({"step": 0.0}, fd.StepError, ("step is 0.0", "positive and finite")),
    "negative step": ({"step": -1e-3}, fd.StepError, ("step is -0.001", "method='backward'")),
    "nan step": ({"abs_step": np.nan}, fd.StepError, ("abs_step is nan", "positive and finite")),
    "infinite step": ({"rel_step": np.inf}, fd.StepError, ("rel_step is inf", "positive and finite")),
    "one zero step": ({"step": [1.0, 0.0, 1.0, 1.0]}, fd.StepError, ("step[1] is 0.0", "positive")),
    "text step": ({"step": "small"}, fd.ArgumentTypeError, ("step", "'small'", "number")),
    "step of another shape": ({"step": [1e-3] * 3}, fd.ShapeError, ("step", "(3,)", "4 components")),
    "matrix step": ({"rel_step": np.ones((2, 2))}, fd.ShapeError, ("rel_step", "(2, 2)", "a vector")),
    "two steps": ({"step": 1e-3, "rel_step": 1e-3}, fd.ArgumentError, ("step and rel_step", "give one")),
    "vanishing step": ({"step": 1e-30}, fd.StepError, ("1e-30", "x[0] = 0.5", "larger `step`")),
    "crossed bounds": ({"bounds": (X + 1.0, X - 1.0)}, fd.BoundsError, ("x[0]", "1.5", "-0.5", "swap")),
    "x outside": ({"bounds": (1.0, 2.0)}, fd.BoundsError, ("x[0] = 0.5", "outside", "widen `bounds`")),
    "no room": ({"bounds": (X, X)}, fd.BoundsError, ("x[0] = 0.5", "room", "leave a fixed component out")),
    "nan bounds": ({"bounds": (np.nan, 1.0)}, fd.BoundsError, ("bounds", "NaN", "-inf and inf")),
    "one bound": ({"bounds": 3.0}, fd.ArgumentError, ("bounds", "3.0", "(lower, upper)")),
    "three bounds": ({"bounds": (0, 1, 2)}, fd.ArgumentError, ("bounds", "(0, 1, 2)", "pair")),
    "short bounds": ({"bounds": ([-9.0], [9.0, 9.0])}, fd.ShapeError, ("lower", "(1,)", "(2,)")),
    "bounds for another x": ({"bounds": ([-9.0] * 2, [9.0] * 2)}, fd.ShapeError, ("bound", "(2,)", "4 components")),
    "unknown method": ({"method": "newton"}, fd.ArgumentError, ("method", "'newton'", "'central'")),
    "no method": ({"method": None}, fd.ArgumentError, ("method", "None", "'central'")),
    "odd accuracy": ({"accuracy": 3}, fd.ArgumentError, ("accuracy", "3", "(2, 4, 6, 8)")),
    "too accurate": ({"method": "forward", "accuracy": 9}, fd.ArgumentError, ("accuracy", "9", "forward")),
    "complex accuracy": ({"method": "complex", "accuracy": 4}, fd.ArgumentError, ("accuracy=4", "complex")),
    "no workers": ({"workers": 0}, fd.ArgumentError, ("workers", "0", ">= 1")),
    "half a worker": ({"workers": 1.5}, fd.ArgumentTypeError, ("workers", "1.5", "int")),
    "named workers": ({"workers": "all"}, fd.ArgumentTypeError, ("workers", "'all'", "int")),
    "args": ({"args": 3}, fd.ArgumentTypeError, ("args", "3", "tuple")),
    "kwargs": ({"kwargs": [3]}, fd.ArgumentTypeError, ("kwargs", "[3]", "dict")),
    "f is no function": ({"f": None}, fd.ArgumentTypeError, ("f must be callable", "None")),
    "f is a number": ({"f": 140000000}, fd.ArgumentTypeError, ("140000000", "fdcore.native(address")),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(entry: Any, name: str) -> None:
    arguments, error, words = ARGUMENTS[name]
    x, given = X.copy(), {"f": f, **arguments}
    with pytest.raises(error) as caught:
        entry(given.pop("f"), x, **given)
    assert isinstance(caught.value, fd.FdcoreError)
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert x.tobytes() == X.tobytes()


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("method", ["central", "forward", "complex"])
def test_x_that_is_not_finite(entry: Any, bad: float, at: int, method: str) -> None:
    x = X.copy()
    x[at] = bad
    before = x.tobytes()
    with pytest.raises(fd.ArgumentError) as caught:
        entry(lambda x: pytest.fail("f was called"), x, method=method)
    assert f"x[{at}] = {bad} is not finite" in str(caught.value)
    assert x.tobytes() == before


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("x", "words"),
    [
        ("text", ("array|real numbers",)),
        (None, ("array|real numbers",)),
        (1j * X, ("complex128", "real and imaginary parts")),
        (np.array([1.0, None], dtype=object), ("object",)),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), ("datetime64", "real numbers")),
        (np.array(["a"]), ("<U1",)),
    ],
)
def test_x_of_a_type_that_cannot_be_used(entry: Any, x: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(fd.ArgumentTypeError) as caught:
        entry(f, x)
    message = str(caught.value)
    assert [word for word in words if re.search(word, message) is None] == []


@pytest.mark.parametrize("entry", [jacobian, plan])
def test_x_of_a_shape_that_cannot_be_used(entry: Any) -> None:
    with pytest.raises(fd.ShapeError, match=r"x must be .*\(2, 2\).*ravel"):
        entry(f, X.reshape(2, 2))


@pytest.mark.parametrize(
    "x",
    [
        X.tolist(),
        X.astype(np.float32),
        X.astype(">f8"),
        np.repeat(X, 2)[::2],
        X[::-1][::-1],
        np.frombuffer(X.tobytes()),  # read-only
        (X * 8).astype(np.int64) / 8,
    ],
    ids=["list", "float32", "big-endian", "strided", "reversed", "read-only", "float64"],
)
@pytest.mark.parametrize("entry", ENTRIES)
def test_x_in_other_forms_is_taken_and_left_alone(entry: Any, x: Any) -> None:
    before = np.asarray(x).tobytes()
    value = entry(f if entry is not gradient else lambda x: float(np.square(x).sum()), np.asarray(x), step=2.0**-10)
    np.testing.assert_allclose(np.ravel(getattr(value, "value", value)), 2 * X, atol=1e-11)
    assert np.asarray(x).tobytes() == before


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, np.bool_])
def test_integer_x_is_taken_as_numbers(kind: Any) -> None:
    x = np.array([1, 0, 1], dtype=kind)
    np.testing.assert_allclose(fd.gradient(f, x), [2.0, 0.0, 2.0], atol=1e-9)
    assert x.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (np.empty(3), fd.ShapeError, ("out", "(4,)", "(3,)")),
        (np.empty(4, dtype=np.float32), fd.ShapeError, ("out", "float64", "float32")),
        ([0.0] * 4, fd.ShapeError, ("out", "list")),
        (np.broadcast_to(0.0, 4), fd.ArgumentError, ("out", "read-only")),
    ],
)
def test_out_that_cannot_be_used(out: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    for entry in (gradient, plan):
        with pytest.raises(error) as caught:
            entry(f, X, out=out)
        assert [word for word in words if word not in str(caught.value)] == []


def test_bounds_in_the_shape_of_x() -> None:
    x = X.reshape(2, 2)
    seen: list[Any] = []

    def squares(x: Any) -> float:
        seen.append(x.copy())
        return float((x * x).sum())

    np.testing.assert_allclose(fd.gradient(squares, x, bounds=(x, x + 1.0)), 2 * x, atol=1e-6)
    assert all((point >= x).all() for point in seen)
    parameters = {"a": X[:2], "b": X[2:]}
    value = fd.gradient(lambda p: p["a"] @ p["b"], parameters, bounds=({"a": X[:2], "b": X[2:]}, None))
    np.testing.assert_allclose(value["a"], X[2:], atol=1e-6)
    with pytest.raises(fd.BoundsError, match=r"x\[1\]"):
        fd.gradient(squares, x, bounds=(x - 1.0, x - [[-1.0, 0.5], [-1.0, -1.0]]))


def test_lists_of_arrays_of_different_shapes() -> None:
    weights, bias = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0])
    value = fd.gradient(lambda p: float(p[0].sum() + p[1] @ p[1]), [weights, bias])
    np.testing.assert_allclose(value[0], np.ones((2, 3)), atol=1e-9)
    np.testing.assert_allclose(value[1], 2 * bias, atol=1e-9)
    with pytest.raises(fd.ArgumentError, match="out needs x to be one array"):
        fd.gradient(lambda p: 0.0, [weights, bias], out=np.empty(8))


# ---------------------------------------------------------------------------------------------------------------------
# What goes wrong while it runs


class Trouble(Exception):
    pass


@pytest.fixture(params=["none", "map", "threads", "vectorized"])
def how(request: pytest.FixtureRequest) -> Any:
    pool: Executor
    if request.param == "threads":
        with ThreadPoolExecutor(2) as pool:
            yield {"workers": pool}
    else:
        yield {"none": {}, "map": {"workers": map}, "vectorized": {"vectorized": True}}[request.param]


def rows(value: Any, how: dict[str, Any]) -> Any:
    """The callable for one point, or for a block of them."""
    return (lambda block: np.array([value(x) for x in block])) if "vectorized" in how else value


@pytest.mark.parametrize("at", [0, 2, 3])
def test_exceptions_from_any_worker_leave_parameters_alone(how: dict[str, Any], at: int) -> None:
    def raising(x: Any) -> float:
        if x[at] != X[at]:
            raise Trouble("on purpose")
        return f(x)

    x = X.copy()
    for entry in ENTRIES:
        with pytest.raises(Trouble, match="on purpose"):
            entry(rows(raising, how), x, **how)
        assert x.tobytes() == X.tobytes()


def test_nan_from_a_callback_is_an_error_or_recorded(how: dict[str, Any]) -> None:
    def nan_above(x: Any) -> float:
        return np.nan if x[1] > X[1] else f(x)

    def nan_around(x: Any) -> float:
        return np.nan if x[1] != X[1] else f(x)

    x = X.copy()
    result = full(rows(nan_above, how), x, **how)
    assert result.status.tolist() == [0, fd.Status.BACKWARD, 0, 0]
    np.testing.assert_allclose(result.value, 2 * X, atol=1e-6)
    for entry in ENTRIES:
        with pytest.raises(fd.NonFiniteError, match=r"x\[1\] = -1\.25.*`bounds`, or a smaller `step`"):
            entry(rows(nan_around, how), x, **how)
        with pytest.raises(fd.NonFiniteError, match=r"NaN or inf"):
            entry(rows(lambda x: np.inf, how), x, **how)
    assert x.tobytes() == X.tobytes()


def test_a_tree_is_left_alone_by_every_failure() -> None:
    def raising(p: Any) -> float:
        if p["w"][1, 0] != 3.0:
            raise Trouble
        return float(p["w"].sum() * p["b"])

    def meddling(p: Any) -> float:
        p["w"] *= 2.0
        return float(p["w"].sum())

    parameters = {"w": np.arange(1.0, 5.0).reshape(2, 2), "b": 0.5, "name": "layer", "list": [np.array([1.0, 2.0])]}
    before = parameters["w"].tobytes(), parameters["b"], parameters["list"][0].tobytes()  # type: ignore[attr-defined,index]
    for broken, error in ((raising, Trouble), (meddling, fd.InputMutatedError), (lambda p: np.nan, fd.NonFiniteError)):
        with pytest.raises(error):
            fd.gradient(broken, parameters)
        with pytest.raises(error):
            fd.gradient(broken, parameters, full_output=True)
    after = parameters["w"].tobytes(), parameters["b"], parameters["list"][0].tobytes()  # type: ignore[attr-defined,index]
    assert after == before
    assert parameters["name"] == "layer"
