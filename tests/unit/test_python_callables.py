"""Python callables that behave in every way that Python callables do: the right answer, or an error that says why."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference

import fdcore as fd

X = np.array([0.5, -1.25, 2.0, 0.125])
STEP = 2.0**-10
ROUNDING = 1e-11  # a few ulps of f over STEP


def quadratic(x: Any) -> Any:
    return float(x @ x + x[0] * x[1])


def pair(x: Any) -> Any:
    return np.array([x[0] * x[1], np.sin(x[2]) - x[3]])


EXACT = 2 * X + np.array([X[1], X[0], 0.0, 0.0])


@pytest.fixture(params=["vector", "plan", "map", "vectorized"])
def differentiate(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """The same gradient by each way that a Python callable is called."""

    def vector(f: Callable[[Any], Any], x: Any) -> Any:
        return fd.gradient(f, x, step=STEP)

    def plan(f: Callable[[Any], Any], x: Any) -> Any:
        made = fd.Gradient(f, step=STEP)
        made(x)
        return made(x)

    def mapped(f: Callable[[Any], Any], x: Any) -> Any:
        return fd.gradient(f, x, step=STEP, workers=map)

    def vectorized(f: Callable[[Any], Any], x: Any) -> Any:
        return fd.gradient(lambda rows: [f(row) for row in rows], x, step=STEP, vectorized=True)

    return {"vector": vector, "plan": plan, "map": mapped, "vectorized": vectorized}[request.param]  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------------------------------
# What f does with its argument


def test_keeping_the_argument(differentiate: Callable[..., Any]) -> None:
    kept: list[Any] = []
    values: list[float] = []

    def f(x: Any) -> float:
        kept.append(x)
        values.append(quadratic(x))
        return values[-1]

    np.testing.assert_allclose(differentiate(f, X), EXACT, atol=ROUNDING)
    # What was kept is still what f had been given, point by point.
    assert [quadratic(x) for x in kept] == values
    assert len({x.tobytes() for x in kept if x.tobytes() != X.tobytes()}) == 2 * X.size


@pytest.mark.parametrize(
    "view", [lambda x: x[:], lambda x: x[::2], memoryview, lambda x: x.reshape(2, 2), lambda x: x.T]
)
def test_keeping_a_view_of_the_argument(differentiate: Callable[..., Any], view: Callable[[Any], Any]) -> None:
    kept: list[tuple[Any, bytes]] = []

    def f(x: Any) -> float:
        part = view(x)
        kept.append((part, bytes(np.asarray(part).tobytes())))
        return float(quadratic(x))

    np.testing.assert_allclose(differentiate(f, X), EXACT, atol=ROUNDING)
    assert all(np.asarray(part).tobytes() == seen for part, seen in kept)


def test_keeping_the_last_argument_alone() -> None:
    last: list[Any] = [None]

    def f(x: Any) -> float:
        last[0] = x
        return float(quadratic(x))

    np.testing.assert_allclose(fd.gradient(f, X, step=STEP), EXACT, atol=ROUNDING)
    first = last[0].copy()
    fd.gradient(quadratic, X)
    np.testing.assert_array_equal(last[0], first)


def test_keeping_the_argument_in_a_closure_and_a_generator() -> None:
    later: list[Callable[[], float]] = []

    def f(x: Any) -> float:
        later.append(lambda: float(quadratic(x)))
        return later[-1]()

    gradient = fd.gradient(f, X, step=STEP)
    np.testing.assert_allclose(gradient, EXACT, atol=ROUNDING)
    assert later[0]() != later[1]()


def test_the_same_array_is_used_again_while_nobody_keeps_it() -> None:
    seen = []

    def f(x: Any) -> float:
        seen.append((id(x), x.ctypes.data))
        return 0.0

    fd.gradient(f, X)
    assert len(set(seen)) == 1


def test_returning_the_argument() -> None:
    np.testing.assert_array_equal(fd.jacobian(lambda x: x, X), np.eye(4))
    np.testing.assert_array_equal(fd.jacobian(lambda x: x[:], X), np.eye(4))
    np.testing.assert_array_equal(fd.jacobian(lambda x: x[::-1], X), np.eye(4)[::-1])
    np.testing.assert_array_equal(fd.jacobian(lambda x: x, X, workers=map), np.eye(4))
    np.testing.assert_array_equal(fd.jacobian(lambda x: x, X, vectorized=True), np.eye(4))
    np.testing.assert_array_equal(fd.jacobian(lambda x: x[2:3], X), np.eye(4)[2:3])


def test_returning_a_buffer_of_its_own_again_and_again() -> None:
    buffer = np.empty(2)

    def f(x: Any) -> Any:
        buffer[:] = pair(x)
        return buffer

    np.testing.assert_array_equal(fd.jacobian(f, X, step=STEP), fd.jacobian(pair, X, step=STEP))


def add_one(x: Any) -> float:
    x += 1.0
    return float(x.sum())


def set_last(x: Any) -> float:
    x[-1] = 7.0
    return float(x.sum())


def sort(x: Any) -> float:
    x.sort()
    return float(x[0])


def clip_in_place(x: Any) -> float:
    np.clip(x, 0.0, 1.0, out=x)
    return float(x.sum())


def only_once() -> Callable[[Any], float]:
    calls = []

    def f(x: Any) -> float:
        calls.append(None)
        if len(calls) == 3:
            x[1] = 0.0
        return float(x.sum())

    return f


def the_perturbed_entry(x: Any) -> float:
    x[np.flatnonzero(x != X)] = 0.0
    return float(x.sum())


@pytest.mark.parametrize("make", [add_one, set_last, sort, clip_in_place, only_once, the_perturbed_entry])
@pytest.mark.parametrize("keep", [False, True])
def test_writing_into_the_argument_is_found_out(make: Callable[..., Any], keep: bool) -> None:
    f = make() if make is only_once else make
    kept = []

    def meddling(x: Any) -> float:
        if keep:
            kept.append(x)
        return f(x)

    x = X.copy()
    with pytest.raises(fd.InputMutatedError, match=r"wrote into its argument: x\[\d\] = .*x\.copy\(\)"):
        fd.gradient(meddling, x)
    assert x.tobytes() == X.tobytes()


def test_writing_into_the_block_is_found_out() -> None:
    def f(rows: Any) -> Any:
        rows *= 2.0
        return rows.sum(axis=1)

    x = X.copy()
    with pytest.raises(fd.InputMutatedError):
        fd.gradient(f, x, vectorized=True)
    assert x.tobytes() == X.tobytes()


def test_writing_and_putting_back_is_harmless() -> None:
    def f(x: Any) -> float:
        saved = x.copy()
        x[:] = 0.0
        x[:] = saved
        return float(quadratic(x))

    np.testing.assert_allclose(fd.gradient(f, X, step=STEP), EXACT, atol=ROUNDING)


def test_writing_into_the_kept_argument_of_an_earlier_call() -> None:
    kept: list[Any] = []

    def f(x: Any) -> float:
        for old in kept:
            old[:] = np.nan  # theirs now
        kept[:] = [x]
        return float(quadratic(x))

    np.testing.assert_allclose(fd.gradient(f, X, step=STEP), EXACT, atol=ROUNDING)


def test_freezing_the_argument() -> None:
    def freeze(x: Any) -> float:
        x.flags.writeable = False
        return float(quadratic(x))

    np.testing.assert_allclose(fd.gradient(freeze, X, step=STEP), EXACT, atol=ROUNDING)


def reshape_in_place(x: Any) -> None:
    x.shape = (*x.shape[:-1], 2, 2)


def retype_in_place(x: Any) -> None:
    x.dtype = np.int64


def resize_in_place(x: Any) -> None:
    x.resize(1000, refcheck=False)


@pytest.mark.parametrize("change", [reshape_in_place, retype_in_place, resize_in_place])
@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of such assignments
def test_changing_the_array_in_place_is_found_out(change: Callable[[Any], None], vectorized: bool) -> None:
    def f(x: Any) -> Any:
        value = np.square(x).sum(axis=-1)
        change(x)
        return value

    plan = fd.Gradient(f, vectorized=vectorized)
    for _ in range(2):
        with pytest.raises(fd.InputMutatedError, match=r"the shape, the type or the memory of its argument.*x\.copy"):
            plan(X)


# ---------------------------------------------------------------------------------------------------------------------
# What f returns


class Floaty:
    def __init__(self, value: float) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.value, dtype=dtype)


RETURNS: dict[str, Callable[[float], Any]] = {
    "float": float,
    "np.float64": np.float64,
    "0-d": np.array,
    "(1,)": lambda value: np.array([value]),
    "(1, 1)": lambda value: np.array([[value]]),
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "strided": lambda value: np.array([value, 9.0])[::2],
    "big-endian": lambda value: np.array(value, dtype=">f8"),
    "longdouble": np.longdouble,
    "__array__": Floaty,
    "read-only": lambda value: np.broadcast_to(value, (1,)),
}


@pytest.mark.parametrize("name", RETURNS)
def test_every_kind_of_number(differentiate: Callable[..., Any], name: str) -> None:
    if differentiate.__name__ == "vectorized" and name in ("(1, 1)", "__array__"):
        return  # a list of these is not (k,) or (k, 1)
    np.testing.assert_allclose(differentiate(lambda x: RETURNS[name](quadratic(x)), X), EXACT, atol=ROUNDING)


@pytest.mark.parametrize("integer", [int, np.int64, np.uint8, bool, np.bool_])
def test_integers(differentiate: Callable[..., Any], integer: Any) -> None:
    np.testing.assert_array_equal(differentiate(lambda x: integer(x[0] > 0.0), X), np.zeros(4))


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_low_precision_gets_larger_steps(kind: Any) -> None:
    result = fd.gradient(lambda x: kind(quadratic(x)), X, full_output=True)
    eps = float(np.finfo(kind).eps)
    np.testing.assert_allclose(
        result.step, reference.rule_step("central", 2, precision=eps / 2) * np.maximum(1.0, abs(X))
    )
    assert np.all(np.abs(result.value - EXACT) <= result.error)
    assert np.all(result.error < 400 * eps ** (2 / 3))


def test_precision_that_changes_along_the_way() -> None:
    def f(x: Any) -> Any:
        value = quadratic(x)
        return value if (x == X).all() else np.float32(value)

    result = fd.gradient(f, X, full_output=True)
    assert np.all(np.abs(result.value - EXACT) <= result.error)
    np.testing.assert_allclose(fd.gradient(f, X), EXACT, atol=1e-2)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (None, fd.ArgumentTypeError, "None"),
        ("text", fd.ArgumentTypeError, "str"),
        (object(), fd.ArgumentTypeError, "real numbers"),
        ({"a": 1.0}, fd.ArgumentTypeError, "dict"),
        (np.zeros(2), fd.ShapeError, r"\(2,\).*jacobian"),
        (np.zeros(0), fd.ShapeError, r"\(0,\)"),
        ([[1.0], [1.0, 2.0]], fd.ShapeError, "ragged"),
        (np.datetime64("2020-01-01"), fd.ArgumentTypeError, "real numbers"),
        (np.array(["2020-01-01"], dtype="M8[D]"), fd.ArgumentTypeError, "real numbers"),
        (np.array([None]), fd.ArgumentTypeError, "real numbers"),
    ],
)
def test_what_is_no_number(
    differentiate: Callable[..., Any], returned: Any, error: type[Exception], message: str
) -> None:
    if differentiate.__name__ == "vectorized":
        message = "f returned|f must return"  # a list of them
    x = X.copy()
    with pytest.raises(error, match=message):
        differentiate(lambda x: returned, x)
    assert x.tobytes() == X.tobytes()


@pytest.mark.parametrize("workers", [None, map])
def test_a_shape_that_changes_along_the_way(workers: Any) -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(None)
        return np.zeros(2 if len(calls) < 5 else 3)

    with pytest.raises(fd.ShapeError, match=r"\(3,\).*\(2,\)") as caught:
        fd.jacobian(f, X, workers=workers)
    if workers is None:
        assert caught.value.__notes__[0].startswith("while perturbing x[1] by ")


@pytest.mark.parametrize("shape", [(2, 2), (2, 1), (1, 2)])
def test_matrices_must_be_ravelled(shape: tuple[int, ...]) -> None:
    with pytest.raises(fd.ShapeError, match="ravel"):
        fd.jacobian(lambda x: np.zeros(shape), X)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("kind", [np.float64, np.float32, ">f8", np.int64])
def test_vectors_of_every_kind(m: int, kind: Any) -> None:
    matrix = np.arange(1.0, 1.0 + 4 * m).reshape(m, 4)

    def f(x: Any) -> Any:
        return (matrix @ x * 1024).astype(kind)

    expected = 1024 * matrix
    step = 2.0**-4
    for order in ("contiguous", "strided", "list"):
        shaped: Callable[[Any], Any] = {
            "contiguous": f,
            "strided": lambda x: np.repeat(f(x), 2)[::2],
            "list": lambda x: list(f(x)),
        }[order]
        np.testing.assert_allclose(fd.jacobian(shaped, X, step=step), expected, rtol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# NaN, inf and exceptions


def test_nan_everywhere(differentiate: Callable[..., Any]) -> None:
    x = X.copy()
    with pytest.raises(fd.NonFiniteError):
        differentiate(lambda x: np.nan, x)
    assert x.tobytes() == X.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_or_infinity_beyond_a_point_is_recorded(bad: float) -> None:
    result = fd.gradient(lambda x: bad if x[1] > X[1] else quadratic(x), X, full_output=True)
    assert result.status.tolist() == [fd.Status.RULE, fd.Status.BACKWARD, fd.Status.RULE, fd.Status.RULE]
    np.testing.assert_allclose(result.value, EXACT, atol=1e-5)


class Trouble(Exception):
    pass


@pytest.mark.parametrize("kind", [Trouble, ValueError, ZeroDivisionError, MemoryError, StopIteration, RecursionError])
@pytest.mark.parametrize("call", [1, 2, 5])
def test_the_same_exception_comes_back_with_a_note(differentiate: Callable[..., Any], kind: Any, call: int) -> None:
    if kind is StopIteration and differentiate.__name__ == "mapped":
        return  # map() itself takes it for the end of its input; fdcore misses the results and says so
    calls = []
    trouble = kind("on purpose")

    def f(x: Any) -> float:
        calls.append(None)
        if len(calls) == call:
            raise trouble
        return float(quadratic(x))

    x = X.copy()
    with pytest.raises(kind) as caught:
        differentiate(f, x)
    assert caught.value is trouble
    assert x.tobytes() == X.tobytes()
    if differentiate.__name__ == "vector":
        component, sign = divmod(call - 1, 2)
        displacement = -STEP if sign else STEP
        assert trouble.__notes__ == [f"raised by f while perturbing x[{component}] by {displacement:.6g}"]
        frames = [frame.name for frame in caught.traceback]
        assert frames[-1] == "f"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exits_pass_through(differentiate: Callable[..., Any], kind: Any) -> None:
    def f(x: Any) -> float:
        raise kind

    with pytest.raises(kind):
        differentiate(f, X)


def test_no_exception_is_left_behind() -> None:
    def f(x: Any) -> float:
        if x[0] != X[0]:
            raise Trouble
        return 0.0

    for _ in range(3):
        with pytest.raises(Trouble) as caught:
            fd.gradient(f, X)
        assert caught.value.__context__ is None
        assert sys.exc_info() == (None, None, None)
    np.testing.assert_allclose(fd.gradient(quadratic, X, step=STEP), EXACT, atol=ROUNDING)


def test_exceptions_in_an_except_block_keep_their_context() -> None:
    before = Trouble("before")

    def clean_up() -> None:
        try:
            raise before
        except Trouble:
            fd.gradient(lambda x: 1 / 0, X)

    with pytest.raises(ZeroDivisionError) as caught:
        clean_up()
    assert caught.value.__context__ is before


# ---------------------------------------------------------------------------------------------------------------------
# What kind of callable f is


class Model:
    def __call__(self, x: Any) -> float:
        return float(quadratic(x))

    def loss(self, x: Any) -> float:
        return float(quadratic(x))

    @staticmethod
    def static(x: Any) -> float:
        return float(quadratic(x))


def with_offset(offset: float, x: Any) -> float:
    return float(quadratic(x) + offset)


@pytest.mark.parametrize(
    "f",
    [
        quadratic,
        lambda x: quadratic(x),
        Model(),
        Model().loss,
        Model.static,
        functools.partial(with_offset, 3.0),
        functools.wraps(quadratic)(lambda x: quadratic(x)),
        np.vectorize(lambda x: quadratic(x), signature="(n)->()"),
    ],
)
def test_every_kind_of_callable(differentiate: Callable[..., Any], f: Any) -> None:
    np.testing.assert_allclose(differentiate(f, X), EXACT, atol=ROUNDING)


def test_builtins_and_ufuncs() -> None:
    np.testing.assert_allclose(fd.gradient(sum, X, step=STEP), np.ones(4), atol=ROUNDING)
    np.testing.assert_allclose(fd.gradient(np.linalg.norm, X), X / np.linalg.norm(X), atol=1e-9)
    np.testing.assert_allclose(fd.jacobian(np.sin, X), np.diag(np.cos(X)), atol=1e-9)


def test_f_may_call_fdcore() -> None:
    def f(x: Any) -> float:
        return float(fd.gradient(quadratic, x, step=STEP)[0])

    np.testing.assert_allclose(fd.gradient(f, X, step=STEP), [2.0, 1.0, 0.0, 0.0], atol=1e-7)


def test_a_plan_may_call_itself() -> None:
    depth = []

    def f(x: Any) -> float:
        if depth:
            return float(quadratic(x))
        depth.append(None)
        try:
            plan(x)
        finally:
            depth.pop()
        return float(quadratic(x))

    plan = fd.Gradient(f, step=STEP)
    np.testing.assert_allclose(plan(X), EXACT, atol=ROUNDING)


@pytest.mark.threads
def test_one_plan_in_several_threads() -> None:
    plan = fd.Gradient(quadratic, step=STEP)
    points = [X + k for k in range(8)]
    expected = [plan(x) for x in points]
    wrong = []

    def run(k: int) -> None:
        for _ in range(50):
            if plan(points[k]).tobytes() != expected[k].tobytes():
                wrong.append(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_reference_counts_are_stable() -> None:
    def f(x: Any) -> float:
        return float(quadratic(x))

    def raises(x: Any) -> float:
        raise Trouble

    gc.collect()
    none = sys.getrefcount(None)
    counts = [sys.getrefcount(thing) for thing in (f, raises, X)]
    for _ in range(200):
        fd.gradient(f, X)
        fd.jacobian(f, X)
        with pytest.raises(Trouble):
            fd.gradient(raises, X)
    gc.collect()
    assert [sys.getrefcount(thing) for thing in (f, raises, X)] == counts
    if sys.version_info < (3, 12):  # None is immortal since
        assert abs(sys.getrefcount(None) - none) < 100


def test_a_plan_lets_go_of_f() -> None:
    class F:
        def __call__(self, x: Any) -> float:
            return 0.0

    f = F()
    gone = weakref.ref(f)
    plan = fd.Gradient(f)
    plan(X)
    del f
    assert gone() is not None
    del plan
    assert gone() is None
