"""Coordinate updates: the same derivatives as full evaluations, more accurate, and the same bits on any thread."""

from __future__ import annotations

import ctypes
import math
import shutil
import signal
import subprocess
import time
from typing import Any

import numpy as np
import pytest

import fdcore as fd
from fdcore.models import MLP, LinearRegression, LogisticRegression, PoissonRegression, SoftmaxRegression

EPS = np.finfo(np.float64).eps


def regression(kind: type, rows: int, cols: int, intercept: bool = True, l2: float = 0.0) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(rows + cols)
    X = rng.normal(size=(rows, cols))
    y = rng.normal(size=rows) if kind is LinearRegression else rng.choice([0.0, 1.0, 0.3], size=rows)
    y = rng.poisson(2.0, rows) if kind is PoissonRegression else y
    model = kind(X, y, intercept, l2=l2)
    return model, rng.normal(size=model.n) / math.sqrt(model.n)


def network(activation: str, loss: str, hidden: tuple[int, ...], rows: int = 19) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(rows)
    X = rng.normal(size=(rows, 3))
    y = rng.normal(size=(rows, 2)) if loss == "squared" else rng.integers(0, 4, rows)
    model = MLP(X, y, hidden, activation=activation, loss=loss, classes=None if loss == "squared" else 4, l2=0.1)
    return model, model.initial(2) + 0.2 * rng.normal(size=model.n)


def softmax(rows: int = 19) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(rows)
    Y = rng.random((rows, 3))
    model = SoftmaxRegression(rng.normal(size=(rows, 4)), Y / Y.sum(axis=1, keepdims=True), l2=0.1)
    return model, rng.normal(size=model.n)


ACTIVATIONS = ["tanh", "relu", "sigmoid", "gelu"]
KINDS = [LinearRegression, LogisticRegression, PoissonRegression]
SHAPES = [(1, 1), (3, 2), (15, 4), (16, 1), (17, 30), (200, 7), (1000, 3)]


@pytest.mark.parametrize("settings", [{}, {"method": "forward"}, {"method": "five-point"}, {"accuracy": 8}])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradient(kind: type, shape: tuple[int, int], settings: dict[str, Any]) -> None:
    for intercept, l2 in ((True, 0.0), (False, 0.7), (True, 0.7)):
        model, params = regression(kind, *shape, intercept, l2)
        exact = model.gradient(params)
        full = fd.gradient(model.__call__, params, full_output=True, **settings)
        error = np.abs(fd.gradient(model, params, **settings) - exact)
        assert np.all(error <= np.maximum(full.error, 20 * EPS * (1.0 + np.abs(exact).max())))
        if kind is LinearRegression and settings != {"method": "forward"}:
            # Quadratic: no truncation error, and no difference of large numbers.
            assert error.max() <= 50 * EPS * (1.0 + np.abs(exact).max())


@pytest.mark.parametrize("hidden", [(), (1,), (5,), (4, 6), (3, 4, 2)])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_a_network(activation: str, loss: str, hidden: tuple[int, ...]) -> None:
    model, params = network(activation, loss, hidden)
    exact = model.gradient(params)
    assert np.abs(fd.gradient(model, params) - exact).max() <= 3e-9
    if len(hidden) <= 1:
        # With this step truncation is nothing, and full evaluations would be off by 1e-12: differences are taken before
        # anything is added up.
        assert np.abs(fd.gradient(model, params, method="five-point", step=1e-4) - exact).max() <= 2e-14


def test_gradient_of_softmax_regression() -> None:
    model, params = softmax()
    error = np.abs(fd.gradient(model, params, method="five-point", step=1e-4) - model.gradient(params))
    assert error.max() <= 4e-15


STEPS = [1e-12, 1e-9, 1e-6, 1e-3, 0.1, 3.0, 300.0]


def compare_with_full_evaluations(model: Any, params: np.ndarray, step: float) -> None:
    """What the update says is f(x + h) - f(x - h), whatever h."""
    native = model.__fdcore_native__()
    numeric = fd.gradient(model, params, step=step)
    for j in range(model.n):
        above, below = params.copy(), params.copy()
        above[j] += step
        below[j] -= step
        values = native(above)[0], native(below)[0]
        floor = 16 * EPS * (abs(values[0]) + abs(values[1]) + abs(native(params)[0])) / step
        slope = (values[0] - values[1]) / (above[j] - below[j])
        assert abs(numeric[j] - slope) <= floor + 1e-12 * abs(slope)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_any_step(kind: type, step: float) -> None:
    compare_with_full_evaluations(*regression(kind, 37, 5, l2=0.2), step)


@pytest.mark.parametrize("step", STEPS)
def test_any_step_of_softmax_regression(step: float) -> None:
    compare_with_full_evaluations(*softmax(), step)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("hidden", [(5,), (4, 3)])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_any_step_of_a_network(activation: str, loss: str, hidden: tuple[int, ...], step: float) -> None:
    compare_with_full_evaluations(*network(activation, loss, hidden), step)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_with_large_weights(activation: str) -> None:
    # Saturated units and certain answers, and steps that are not small any more.
    model, params = network(activation, "cross-entropy", (5,))
    for scale in (10.0, 100.0, 1e4):
        compare_with_full_evaluations(model, scale * params, 1e-5 * scale)


def test_relu_at_its_kink() -> None:
    # A unit that is exactly zero: half of the slope, as from full evaluations.
    model = MLP([[1.0, -1.0]], [[0.3]], (2,), activation="relu", loss="squared")
    params = np.array([1.0, 1.0, 0.5, 0.25, 0.0, 0.0, 2.0, 1.0, 0.1])
    full = fd.gradient(model.__call__, params, step=1e-4)
    np.testing.assert_allclose(fd.gradient(model, params, step=1e-4), full, rtol=1e-9, atol=1e-9)


def test_network_in_blocks_of_columns() -> None:
    # More parameters than go into one call, and blocks that end inside a layer and inside a unit's weights.
    rng = np.random.default_rng(4)
    model = MLP(rng.normal(size=(9, 30)), rng.integers(0, 3, 9), (170,))
    assert model.n > 4096
    params = model.initial(1)
    one = fd.gradient(model, params, workers=1)
    np.testing.assert_allclose(one, model.gradient(params), atol=1e-10)
    for workers in (2, 3, 7, None):
        assert fd.gradient(model, params, workers=workers).tobytes() == one.tobytes()


def test_steps_of_all_sizes_in_one_call() -> None:
    model, params = regression(LogisticRegression, 50, 6)
    steps = np.array([1e-6, 30.0, 1e-6, 0.5, 1e-8, 1e-3, 2.0])
    together = fd.gradient(model, params, step=steps)
    for j in range(model.n):
        assert together[j] == fd.gradient(model, params, step=steps[j])[j]


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_for_any_number_of_workers(kind: type) -> None:
    model, params = regression(kind, 501, 23, l2=0.1)
    one = fd.gradient(model, params, workers=1)
    for workers in (2, 3, 7, None):
        assert fd.gradient(model, params, workers=workers).tobytes() == one.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_bounds(kind: type) -> None:
    model, params = regression(kind, 40, 4)
    lower, upper = params - 1.0, params + 1.0
    lower[1], upper[2], upper[3] = params[1], params[2] + 1e-9, params[3]
    # Components that a bound sends to one side are evaluated in full, the others by updates.
    result = fd.gradient(model, params, bounds=(lower, upper), full_output=True)
    assert result.status[[0, 1, 3]].tolist() == [0, 2, 3]
    np.testing.assert_allclose(result.value, model.gradient(params), rtol=1e-5, atol=1e-6)


def test_values_far_out() -> None:
    model, params = regression(LogisticRegression, 30, 3)
    for scale in (1e4, 1e8):
        gradient = model.gradient(scale * params)
        np.testing.assert_allclose(fd.gradient(model, scale * params), gradient, rtol=1e-6, atol=1e-8)


def test_not_finite() -> None:
    model, params = regression(LinearRegression, 30, 3)
    with pytest.raises(fd.NonFiniteError):
        fd.gradient(model, params * 1e200)


def test_counts_and_leaves_x_alone() -> None:
    model, params = regression(LogisticRegression, 30, 3)
    kept = params.copy()
    plan = fd.Gradient(model)
    out = np.empty(4)
    assert plan(params, out=out) is out
    np.testing.assert_array_equal(out, fd.gradient(model, params))
    assert fd.gradient(model, params, full_output=True).nfev >= 16
    np.testing.assert_array_equal(params, kept)


OWN = r"""
#include <fdcore/fdcore.h>
#include <math.h>

/* f_0 = sum of scale * cos(x_j), f_1 = sum of j x_j^2 */
int own(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    (void)count, (void)m;
    y[0] = y[1] = 0.0;
    for (ptrdiff_t j = 0; j < n; j++) {
        y[0] += *(const double *)ctx * cos(x[j]);
        y[1] += (double)j * x[j] * x[j];
    }
    return 0;
}

int own_update(const fdc_update *u, double *change, void *ctx) {
    if (*(const double *)ctx < 0.0) return 7;
    for (ptrdiff_t k = 0; k < u->points; k++) {
        for (ptrdiff_t c = 0; c < u->cols; c++) {
            const ptrdiff_t j = u->first + c;
            const double d = u->delta[k * u->cols + c], share = 1.0 / (double)u->parts;
            double *y = change + (k * u->cols + c) * u->m;
            y[0] = share * *(const double *)ctx * -2.0 * sin(u->x[j] + d / 2.0) * sin(d / 2.0);
            y[1] = u->part == 0 ? (double)j * d * (2.0 * u->x[j] + d) : 0.0;
        }
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.c").write_text(OWN)
    made = folder / "own.so"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{fd.get_include()}"]
    subprocess.run([compiler, *flags, str(folder / "own.c"), "-o", str(made), "-lm"], check=True)
    return ctypes.CDLL(str(made))


FULL_FORM = "int (ptrdiff_t, ptrdiff_t, const double *, ptrdiff_t, double *, void *)"


@pytest.mark.build
@pytest.mark.parametrize("method", ["central", "forward", "five-point"])
@pytest.mark.parametrize("n", [1, 5, 4095, 9001])
def test_an_update_of_ones_own(library: Any, n: int, method: str) -> None:
    scale = np.array([2.0])
    own = fd.native(library.own, signature=FULL_FORM, m=2, user_data=scale, update=library.own_update)
    x = np.linspace(-2.0, 2.0, n)
    exact = np.array([-2.0 * np.sin(x), 2.0 * np.arange(n) * x])
    for workers in (1, 2):
        jacobian = fd.jacobian(own, x, method=method, workers=workers)
        np.testing.assert_allclose(jacobian[0], exact[0], atol=1e-7 if method == "forward" else 1e-9)
        np.testing.assert_allclose(jacobian[1], exact[1], atol=1e-6 * n, rtol=1e-6)
    out = np.empty((2, n))
    fd.jacobian(own, x, method=method, out=out)
    np.testing.assert_array_equal(out, jacobian)


@pytest.mark.build
def test_an_update_that_fails(library: Any) -> None:
    scale = np.array([-1.0])
    own = fd.native(library.own, signature=FULL_FORM, m=2, user_data=scale, update=library.own_update)
    for workers in (1, 2):
        with pytest.raises(fd.CallbackError, match="7") as caught:
            fd.jacobian(own, np.ones(5), workers=workers)
        assert caught.value.status == 7


@pytest.mark.build
def test_what_an_update_needs(library: Any) -> None:
    with pytest.raises(fd.SignatureError, match="coordinate update"):
        fd.native(library.own, signature="double (int, double *, void *)", update=library.own_update)
    with pytest.raises(fd.ArgumentTypeError, match="update must be"):
        fd.native(library.own, signature=FULL_FORM, m=2, update=lambda: 0)


@pytest.mark.build
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signal.setitimer")
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c(library: Any, workers: int) -> None:
    # Many short calls; and a network whose earlier layers are slow, so that each call is short of columns.
    scale = np.array([1.0])
    own = fd.native(library.own, signature=FULL_FORM, m=2, user_data=scale, update=library.own_update)
    rng = np.random.default_rng(0)
    deep = MLP(rng.normal(size=(600, 40)), rng.integers(0, 5, 600), (60, 60, 60))
    runs = [
        lambda: fd.jacobian(own, np.ones(3_000_000), workers=workers),
        lambda: fd.gradient(deep, deep.initial(), workers=workers),
    ]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for run in runs:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            start = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):
                run()
            assert time.perf_counter() - start < 1.5  # 0.3 s on a machine with nothing else to do
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
