"""What users do without thinking: outputs over inputs, bounds as SciPy has them, workers that fail, plans at any x."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fdcore as fd
from fdcore.cli import main

X = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def cubes(x: Any) -> Any:
    return np.sum(x**3)


def squares(x: Any) -> Any:
    return np.asarray(x) ** 2


def fails_at_three(x: Any) -> float:
    if x[3] != X[3]:
        raise KeyError("mine")
    return float(np.sum(x))


@pytest.mark.parametrize("where", [slice(0, 5), slice(3, 8)], ids=["same", "overlapping"])
def test_out_over_x_with_error_bars(where: slice) -> None:
    memory = np.concatenate([X, np.zeros(5)])
    out = memory[where]
    result = fd.gradient(cubes, memory[:5], out=out, full_output=True)
    expected = fd.gradient(cubes, X, full_output=True)
    assert result.value is out
    assert np.array_equal(out, expected.value)
    assert np.array_equal(result.error, expected.error)


@pytest.mark.parametrize(
    "call",
    [
        lambda out: fd.derivative(np.sin, X, out=out),
        lambda out: fd.gradient(cubes, X.reshape(5, 1), out=out.reshape(5, 1)),
    ],
    ids=["derivative", "gradient of a matrix"],
)
def test_out_that_is_read_only(call: Callable[..., Any]) -> None:
    out = np.zeros(5)
    out.flags.writeable = False
    with pytest.raises(fd.ArgumentError, match="out is read-only"):
        call(out)


@pytest.mark.parametrize("bounds", [(1.0, 5.0), (X, X + 1.0), (1.0, None), (X, X)])
def test_the_complex_step_is_checked_inside_the_bounds(bounds: Any) -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(np.real(x).copy())
        return np.sum(x**3)

    assert np.allclose(fd.gradient(f, X, method="complex", bounds=bounds), 3 * X**2, rtol=1e-14)
    assert np.min(np.array(seen) - bounds[0]) >= 0.0
    if bounds[1] is not None:
        assert np.max(np.array(seen) - bounds[1]) <= 0.0


def test_the_complex_step_is_checked_where_bounds_leave_room() -> None:
    with pytest.raises(fd.AnalyticityError):
        fd.gradient(lambda x: np.sum(x * np.conj(x)) + 0j, X, method="complex", bounds=(1.0, 9.0))


@pytest.mark.parametrize("x", [X, X.tolist(), X.reshape(5, 1)], ids=["vector", "list", "column"])
def test_scipy_bounds_of_numbers(x: Any) -> None:
    bounds = SimpleNamespace(lb=np.array([1]), ub=np.array([5]))  # what scipy.optimize.Bounds(1, 5) holds
    found = fd.gradient(lambda x: cubes(np.asarray(x)), x, bounds=bounds)
    assert np.allclose(np.ravel(found), 3 * X**2)


def test_f_is_not_called_outside_its_bounds() -> None:
    def f(x: Any) -> Any:
        raise AssertionError

    for call in (fd.gradient, fd.jacobian):
        for full in (False, True):
            with pytest.raises(fd.BoundsError, match=r"x\[1\] = 2\.0 is outside its bounds, 0\.0 to 1\.0"):
                call(f, X, bounds=(0.0, 1.0), full_output=full)


@pytest.mark.parametrize("kind", ["threads", "processes", "map"])
def test_exceptions_from_workers_say_where(kind: str) -> None:
    if kind == "map":
        workers: Any = map
    elif kind == "threads":
        workers = ThreadPoolExecutor(2)
    else:
        workers = get_context("spawn").Pool(1)
    try:
        with pytest.raises(KeyError, match="mine") as caught:
            fd.gradient(fails_at_three, X, workers=workers)
    finally:
        getattr(workers, "shutdown", getattr(workers, "terminate", lambda: None))()
    assert [note for note in caught.value.__notes__ if "x[3]" in note] == caught.value.__notes__


def test_the_same_exception_comes_out_of_a_worker() -> None:
    error = KeyError("mine")

    def f(x: Any) -> float:
        if x[2] != X[2]:
            raise error
        return float(np.sum(x))

    with ThreadPoolExecutor(2) as workers, pytest.raises(KeyError) as caught:
        fd.gradient(f, X, workers=workers)
    assert caught.value is error


@pytest.mark.parametrize("workers", [None, map])
def test_evaluation_errors_count_as_nan(workers: Any) -> None:
    def f(x: Any) -> Any:
        if x[2] > X[2]:
            raise fd.EvaluationError("outside the domain")
        return squares(x)

    result = fd.jacobian(f, X, workers=workers, full_output=True)
    assert np.allclose(result.value, np.diag(2 * X))
    assert result.status.tolist() == [0, 0, fd.Status.BACKWARD, 0, 0]


@pytest.mark.parametrize("workers", [None, map])
def test_no_value_at_x(workers: Any) -> None:
    def f(x: Any) -> Any:
        raise fd.EvaluationError("outside the domain")

    with pytest.raises(fd.NonFiniteError, match="check x"):
        fd.jacobian(f, X, workers=workers)


def test_the_point_of_an_array_is_named() -> None:
    def f(t: float) -> float:
        if t > 3.0:
            raise KeyError("mine")
        return t

    with pytest.raises(KeyError) as caught:
        fd.derivative(f, X)
    assert "x[2]" in caught.value.__notes__[0]
    with pytest.raises(fd.ArgumentError, match=r"x\[1\] = nan"):
        fd.derivative(np.sin, [1.0, np.nan])


def test_a_jacobian_plan_at_x_of_another_length() -> None:
    plan = fd.Jacobian(squares)
    for n in (5, 3, 5, 0, 2):
        assert np.allclose(plan(X[:n]), np.diag(2 * X[:n]))
        assert plan.full(X[:n]).value.shape == (n, n)


def test_a_plan_keeps_its_steps() -> None:
    step = np.full(5, 1e-3)
    plan = fd.Gradient(cubes, step=step)
    before = plan(X)
    step[:] = 0.5
    assert np.array_equal(plan(X[:5]), before)
    assert np.array_equal(fd.Gradient(cubes, step=np.full(5, 1e-3))(X), before)


@pytest.mark.parametrize("x", [[], ()])
def test_nothing_to_differentiate(x: Any) -> None:
    assert fd.gradient(lambda x: 1.0, x).shape == (0,)


def test_fd_testing_needs_no_import_of_its_own() -> None:
    code = "import fdcore as fd; fd.testing.assert_gradient(lambda x: x @ x, lambda x: 2 * x, [1.0, 2.0])"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_a_page_without_its_extra_is_status_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "careless.py").write_text("def loss(x): return float(x @ x)\ndef grad(x): return 2 * x\n")
    np.save(tmp_path / "at.npy", X)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    arguments = ["check", "careless:loss", "--grad", "careless:grad", "--at", "at.npy", "--html", "page.html"]
    assert main(arguments) == 3
    assert "fdcore[html]" in capsys.readouterr().err


def test_a_map_that_does_not_keep_the_order_does_no_harm():
    def shuffled(f, points):
        return list(map(f, points))[::-1]

    x = np.array([0.5, -1.0, 2.0])
    assert fd.gradient(lambda x: x[0] * x[1] + x[2] ** 2, x, workers=shuffled).tobytes() == (
        fd.gradient(lambda x: x[0] * x[1] + x[2] ** 2, x).tobytes()
    )
    with pytest.raises(TypeError, match="map of workers"):
        fd.gradient(lambda x: x[0], x, workers=lambda f, points: [1.0 for _ in points])


def test_masked_entries_are_refused():
    with pytest.raises(TypeError, match="masked entries"):
        fd.gradient(lambda x: x.sum(), np.ma.masked_array([1.0, 2.0], mask=[False, True]))


def test_errors_name_the_entries_of_a_tree():
    def f(p):
        if p["b"][1] != 4.0:
            raise KeyError("mine")
        return p["W"].sum()

    with pytest.raises(KeyError) as caught:
        fd.gradient(f, {"W": np.ones((2, 2)), "b": np.array([3.0, 4.0])})
    assert caught.value.__notes__[-1] == "of x as one vector, x[5] is b[1]"


def test_vectorized_takes_a_list_for_x() -> None:
    assert fd.gradient(lambda z: (z**2).sum(axis=1), [1.0, 2.0], vectorized=True) == pytest.approx([2.0, 4.0])
    with pytest.raises(fd.ArgumentError, match="vectorized needs x to be a vector"):
        fd.gradient(lambda z: z.sum(), [[1.0], [2.0, 3.0]], vectorized=True)


def test_masked_values_are_no_numbers() -> None:
    for masked in (np.ma.masked, np.ma.array([1.0], mask=[True])):
        with pytest.raises(fd.ArgumentTypeError, match="masked"):
            fd.gradient(lambda x, masked=masked: masked, [1.0])
    assert fd.gradient(lambda x: np.ma.array(x[0] * 3.0), [1.0]) == pytest.approx([3.0])


def test_stop_iteration_does_not_end_a_map() -> None:
    def f(x: Any) -> Any:
        if x[1] != 2.0:
            raise StopIteration("mine")
        return np.sum(x)

    with pytest.raises(StopIteration, match="mine") as caught:
        fd.gradient(f, X, workers=map)
    assert "x[1]" in caught.value.__notes__[0]


def test_more_workers_than_a_machine_has() -> None:
    model = fd.models.LinearRegression(np.eye(5), X, intercept=False)
    assert np.array_equal(fd.gradient(model, X + 1.0, workers=10**30), fd.gradient(model, X + 1.0, workers=1))


@pytest.mark.parametrize("options", [{"method": "adaptive"}, {"noise": 1e-6}, {"method": "forward"}])
def test_no_values_to_differentiate(options: dict[str, Any]) -> None:
    result = fd.jacobian(lambda x: np.empty(0), X, full_output=True, **options)
    assert result.value.shape == (0, 5)
    if options.get("method") == "adaptive":
        assert np.array_equal(result.step, np.zeros(5))  # none was taken
