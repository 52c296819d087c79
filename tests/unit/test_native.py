"""Native callbacks from end to end: every form and every method against the oracle, errors, threads, owners."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import shutil
import sys
import weakref
from collections.abc import Callable
from ctypes import POINTER, c_double, c_int, c_ssize_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference

import fdcore as fd

SOURCE = r"""
#include <math.h>
#include <stddef.h>
#include <unistd.h>

double wave(double x) { return sin(x) + x * x; }
double scaled_wave(double x, void *data) { return *(const double *)data * wave(x); }
double chain(int n, const double *x)
{
    double sum = 0.0;
    for (int i = 0; i + 1 < n; i++) sum += sin(x[i]) * x[i + 1];
    return sum;
}
double scaled_chain(int n, const double *x, void *data) { return *(const double *)data * chain(n, x); }
int residuals(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    const double *t = data;
    for (ptrdiff_t i = 0; i < m; i++) y[i] = chain((int)n, x) + cos(x[i % n] * t[i]);
    return 0;
}
int full(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    if (count != 1) return -7;
    return residuals(n, x, m, y, data);
}

/* Misbehaves while x[at] is displaced, data = {at, home, what it then does}. */
int moody(ptrdiff_t n, double *x, ptrdiff_t m, double *y, void *data)
{
    const double *settings = data;
    const ptrdiff_t at = (ptrdiff_t)settings[0];
    for (ptrdiff_t i = 0; i < m; i++) y[i] = x[0] + i;
    if (x[at] != settings[1]) {
        if (settings[2] == 1.0) return 42;
        if (settings[2] == 2.0) y[m - 1] = NAN;
        if (settings[2] == 3.0) x[(at + 1) % n] += 1.0;
        if (settings[2] == 4.0 && x[at] > settings[1]) y[0] = INFINITY;
    }
    return 0;
}
int always_nan(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    for (ptrdiff_t i = 0; i < m; i++) y[i] = NAN;
    return 0;
}
double busy(int n, const double *x, void *data)
{
    int *inside = data;
    if (__atomic_add_fetch(inside, 1, __ATOMIC_SEQ_CST) > 1) inside[1] = 1; /* two at once */
    usleep(200);
    __atomic_sub_fetch(inside, 1, __ATOMIC_SEQ_CST);
    return x[0] * x[n - 1];
}
"""

DOUBLES = POINTER(c_double)
SIZES = (c_ssize_t, DOUBLES, c_ssize_t, DOUBLES, c_void_p)
TYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "wave": (c_double, (c_double,)),
    "scaled_wave": (c_double, (c_double, c_void_p)),
    "chain": (c_double, (c_int, DOUBLES)),
    "scaled_chain": (c_double, (c_int, DOUBLES, c_void_p)),
    "residuals": (c_int, SIZES),
    "full": (c_int, (c_ssize_t, *SIZES)),
    "moody": (c_int, SIZES),
    "always_nan": (c_int, SIZES),
    "busy": (c_double, (c_int, DOUBLES, c_void_p)),
}

M = 7
TIME = np.linspace(0.5, 2.0, M)
SCALE = np.array([2.5])
X = np.array([0.5, -1.25, 2.0, 0.0, -0.125])
STEP = 2.0**-9  # with X, points and displacements are exact


@pytest.fixture(scope="session")
def library(compile_c: Callable[[str], str]) -> ctypes.CDLL:
    loaded = ctypes.CDLL(compile_c(SOURCE))
    for name, (result, arguments) in TYPES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def wave(x: Any) -> Any:
    return np.sin(x[0]) + x[0] ** 2


def chain(x: Any) -> Any:
    return sum(np.sin(x[i]) * x[i + 1] for i in range(len(x) - 1))


def residuals(x: Any) -> Any:
    return np.array([chain(x) + np.cos(x[i % len(x)] * t) for i, t in enumerate(TIME)])


ORACLES: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "wave": (wave, {}),
    "scaled_wave": (lambda x: 2.5 * wave(x), {"user_data": SCALE}),
    "chain": (chain, {}),
    "scaled_chain": (lambda x: 2.5 * chain(x), {"user_data": SCALE}),
    "residuals": (residuals, {"user_data": TIME, "m": M}),
    "full": (residuals, {"user_data": TIME, "m": M}),
}
RULES = [("central", 2), ("central", 8), ("forward", 1), ("backward", 3), ("five-point", 4)]


@pytest.mark.parametrize(("method", "accuracy"), RULES)
@pytest.mark.parametrize("name", ORACLES)
def test_every_form_equals_the_oracle(library: ctypes.CDLL, name: str, method: str, accuracy: int) -> None:
    oracle, arguments = ORACLES[name]
    x = X[:1] if "wave" in name else X
    before = x.tobytes()
    f = fd.native(getattr(library, name), **arguments)
    expected = reference.jacobian(oracle, x, method.replace("five-point", "central"), accuracy, STEP)
    # sin and cos of the C library and of NumPy may differ in the last bit.
    tolerance = 64 * 2.0**-52 * 10.0 / STEP
    actual = fd.jacobian(f, x, method=method, accuracy=accuracy, step=STEP)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=tolerance)
    if f.m == 1:
        gradient = fd.gradient(f, x, method=method, accuracy=accuracy, step=STEP)
        assert gradient.tobytes() == actual[0].tobytes()
    assert x.tobytes() == before


@pytest.mark.parametrize("name", ORACLES)
def test_the_default_step_and_its_error_bar(library: ctypes.CDLL, name: str) -> None:
    oracle, arguments = ORACLES[name]
    x = X[:1] if "wave" in name else X
    exact = reference.jacobian(oracle, x, "central", 8, 2.0**-6)
    result = fd.jacobian(fd.native(getattr(library, name), **arguments), x, full_output=True)
    assert np.all(np.abs(result.value - exact) <= result.error + 1e-13)
    assert np.all(result.error < 1e-8)


def test_raw_ctypes_functions_are_taken_as_they_are(library: ctypes.CDLL) -> None:
    np.testing.assert_array_equal(fd.gradient(library.chain, X), fd.gradient(fd.native(library.chain), X))
    np.testing.assert_allclose(fd.gradient(library.chain, X), fd.gradient(chain, X), atol=1e-9)
    with pytest.raises(fd.ArgumentError, match=r"fdcore\.native\(.*m="):
        fd.jacobian(library.residuals, X)
    with pytest.raises(fd.ShapeError, match="use jacobian"):
        fd.gradient(fd.native(library.residuals, m=M, user_data=TIME), X)


@pytest.mark.parametrize("x_shape", [(), (1,), (2, 3)])
def test_x_of_any_shape(library: ctypes.CDLL, x_shape: tuple[int, ...]) -> None:
    x = np.linspace(0.3, 1.7, int(np.prod(x_shape))).reshape(x_shape)
    expected = np.reshape(fd.gradient(chain, x.ravel()), x_shape)
    actual = fd.gradient(library.chain, x)
    assert np.shape(actual) == x_shape
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_a_native_gets_a_tree_as_one_vector(library: ctypes.CDLL) -> None:
    gradient = fd.gradient(library.chain, {"a": np.array([0.5, -1.25]), "b": [np.array([2.0]), 0.25]})
    flat = fd.gradient(library.chain, np.array([0.5, -1.25, 2.0, 0.25]))
    np.testing.assert_array_equal(gradient["a"], flat[:2])
    np.testing.assert_array_equal(np.ravel(gradient["b"][0]), flat[2:3])
    assert gradient["b"][1] == flat[3]


def test_empty_x(library: ctypes.CDLL) -> None:
    assert fd.gradient(library.chain, np.empty(0)).shape == (0,)


@pytest.mark.threads
@pytest.mark.parametrize("name", ["scaled_chain", "residuals"])
def test_bitwise_equal_for_any_number_of_workers(library: ctypes.CDLL, name: str) -> None:
    arguments = ORACLES[name][1]
    x = np.linspace(-2.0, 2.0, 301)
    f = fd.native(getattr(library, name), **arguments)
    alone = fd.jacobian(f, x, workers=1)
    for workers in (2, 3, 7, None):
        assert fd.jacobian(f, x, workers=workers).tobytes() == alone.tobytes()


@pytest.mark.threads
def test_a_callback_that_is_not_reentrant_runs_alone(library: ctypes.CDLL) -> None:
    inside = np.zeros(2, dtype=np.intc)
    x = np.linspace(1.0, 2.0, 64)
    alone = fd.native(library.busy, user_data=inside, reentrant=False)
    fd.gradient(alone, x, workers=4)
    assert inside.tolist() == [0, 0]
    if fd.build_config()["cpus"] > 1:  # it can tell
        fd.gradient(fd.native(library.busy, user_data=inside), x, workers=4)
        assert inside.tolist() == [0, 1]


# ---------------------------------------------------------------------------------------------------------------------
# Errors


def moody(library: ctypes.CDLL, at: int, what: int) -> Any:
    return fd.native(library.moody, m=3, user_data=np.array([at, X[at], what], dtype=float))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_status_of_the_lowest_failing_column_is_raised(library: ctypes.CDLL, workers: int, at: int) -> None:
    x = X.copy()
    with pytest.raises(fd.CallbackError) as caught:
        fd.jacobian(moody(library, at, 1), x, workers=workers)
    assert caught.value.status == 42
    message = str(caught.value)
    assert "status 42" in message
    assert f"x[{at}]" in message
    assert x.tobytes() == X.tobytes()


def test_nan_on_both_sides_is_an_error(library: ctypes.CDLL) -> None:
    x = X.copy()
    with pytest.raises(fd.NonFiniteError, match=r"x\[2\]"):
        fd.jacobian(moody(library, 2, 2), x)
    assert x.tobytes() == X.tobytes()


def test_infinity_on_one_side_is_a_recorded_status(library: ctypes.CDLL) -> None:
    result = fd.jacobian(moody(library, 2, 4), X, full_output=True)
    assert result.status.tolist() == [fd.Status.RULE] * 2 + [fd.Status.BACKWARD] + [fd.Status.RULE] * 2
    np.testing.assert_allclose(result.value[:, 0], 1.0, atol=1e-9)
    np.testing.assert_allclose(result.value[:, 1:], 0.0, atol=1e-9)


def test_nan_at_x_itself(library: ctypes.CDLL) -> None:
    with pytest.raises(fd.NonFiniteError, match=r"f\(x\) is NaN or inf"):
        fd.jacobian(fd.native(library.always_nan, m=2), X)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_callback_that_writes_to_its_input_is_found_out(library: ctypes.CDLL, workers: int) -> None:
    x = X.copy()
    with pytest.raises(fd.InputMutatedError, match="wrote into its argument"):
        fd.jacobian(moody(library, 1, 3), x, workers=workers)
    assert x.tobytes() == X.tobytes()


def test_sizes_are_checked(library: ctypes.CDLL) -> None:
    with pytest.raises(fd.ShapeError, match="5 components"):
        fd.gradient(library.wave, X)
    with pytest.raises(fd.ShapeError, match="takes 3"):
        fd.gradient(fd.native(library.chain, n=3), X)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"args": (1.0,)}, fd.ArgumentError, "user_data"),
        ({"kwargs": {"a": 1.0}}, fd.ArgumentError, "user_data"),
        ({"vectorized": True}, fd.ArgumentError, "vectorized"),
        ({"method": "complex"}, fd.ArgumentError, "complex"),
        ({"workers": map}, fd.ArgumentError, "int"),
        ({"workers": 0}, fd.ArgumentError, "workers"),
    ],
)
def test_what_native_callbacks_do_not_take(
    library: ctypes.CDLL, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fd.gradient(library.chain, X, **arguments)


def test_a_wrong_signature_never_runs(library: ctypes.CDLL) -> None:
    single = ctypes.CFUNCTYPE(c_double, c_int, POINTER(ctypes.c_float))(("chain", library))
    with pytest.raises(fd.SignatureError) as caught:
        fd.gradient(single, X)
    assert "double (int, float *)" in str(caught.value)
    assert "double (int, double *, void *)" in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# Python in disguise, profilers, owners


def test_python_code_behind_an_address_is_refused() -> None:
    prototype = ctypes.CFUNCTYPE(c_double, c_int, DOUBLES)

    @prototype
    def hidden(n: int, x: Any) -> float:
        return float(x[0])

    f = fd.native(c_void_p.from_buffer(hidden).value, signature=prototype)
    plan = fd.Gradient(f)
    for attempt in (fd.gradient, fd.jacobian, lambda f, x: plan(x), lambda f, x: plan.full(x)):
        with pytest.raises(fd.ArgumentTypeError, match=r"'hidden' .*pass the Python function itself"):
            attempt(f, X)


@pytest.mark.build
@pytest.mark.slow
def test_extern_python_of_cffi_is_refused(tmp_path: Path) -> None:
    cffi = pytest.importorskip("cffi")
    pytest.importorskip("setuptools")
    if sys.platform == "win32" or shutil.which("cc") is None:
        pytest.skip("needs a C compiler called cc")
    builder = cffi.FFI()
    builder.cdef('extern "Python" double hidden(int n, double *x, void *data);')
    builder.set_source("_hidden", "")
    spec = importlib.util.spec_from_file_location("_hidden", builder.compile(str(tmp_path)))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    @module.ffi.def_extern()  # type: ignore[untyped-decorator]
    def hidden(n: int, x: Any, data: Any) -> float:
        return float(x[0])

    for function in (module.lib.hidden, module.ffi.addressof(module.lib, "hidden")):
        with pytest.raises(fd.ArgumentTypeError, match=r"'hidden' .*pass the Python function itself"):
            fd.gradient(function, X)


def test_the_probe_costs_one_evaluation_once(library: ctypes.CDLL) -> None:
    f = fd.native(library.chain)
    first = fd.gradient(f, X, full_output=True).nfev
    assert fd.gradient(f, X, full_output=True).nfev <= first
    # f(x), then two central differences
    assert fd.gradient(f, X, full_output=True).nfev == 1 + 3 * 2 * X.size + 1  # the last derivative is 0: is f a stair?


class Settings(ctypes.Structure):
    _fields_ = (("scale", c_double),)


def test_plans_keep_function_and_user_data_alive(library: ctypes.CDLL) -> None:
    data = Settings(2.5)
    function = ctypes.CFUNCTYPE(c_double, c_int, DOUBLES, c_void_p)(("scaled_chain", library))
    owners = [weakref.ref(data), weakref.ref(function)]
    expected = 2.5 * fd.gradient(library.chain, X)
    plan = fd.Gradient(fd.native(function, user_data=data))
    del data, function
    gc.collect()
    assert all(owner() is not None for owner in owners)
    np.testing.assert_allclose(plan(X), expected, rtol=1e-9, atol=1e-9)
    del plan
    gc.collect()
    assert all(owner() is None for owner in owners)


def test_the_library_of_a_cffi_function_stays_loaded(compile_c: Callable[[str], str]) -> None:
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef("double chain(int n, const double *x);")
    path = compile_c(SOURCE)  # a copy of its own: nobody else has it loaded
    lib = ffi.dlopen(path)
    plan = fd.Gradient(lib.chain)
    expected = plan(X)
    library_of = weakref.ref(lib)
    del lib, ffi
    gc.collect()
    assert library_of() is None
    if os.path.exists("/proc/self/maps"):
        with open("/proc/self/maps", encoding="utf-8") as maps:
            assert path in maps.read()
    np.testing.assert_array_equal(plan(X), expected)


def test_reference_counts_are_stable(library: ctypes.CDLL) -> None:
    function, data = library.scaled_chain, SCALE
    f = fd.native(function, user_data=data)
    fd.gradient(f, X)
    before = sys.getrefcount(function), sys.getrefcount(data), sys.getrefcount(f), sys.getrefcount(X)
    for _ in range(100):
        fd.gradient(f, X)
        fd.native(function, user_data=data)
        with pytest.raises(fd.ShapeError):
            fd.gradient(library.wave, X)
    assert (sys.getrefcount(function), sys.getrefcount(data), sys.getrefcount(f), sys.getrefcount(X)) == before
