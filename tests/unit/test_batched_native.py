"""Native callbacks that take many points in one call: same results, fewer calls, both layouts, errors as ever."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fdcore as fd

SOURCE = """
#include <stddef.h>
#include <math.h>
static long calls, points;
long count_calls(void) { return calls; }
long count_points(void) { return points; }
void reset(void) { calls = points = 0; }
/* m values: y_i = sin(x_i) * x_{i+1}; NaN for negative x_0 */
int rows(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)ctx; calls++; points += count;
    for (ptrdiff_t k = 0; k < count; k++)
        for (ptrdiff_t i = 0; i < m; i++)
            y[k * m + i] = x[k * n] < 0 ? NAN : sin(x[k * n + i]) * x[k * n + (i + 1) % n];
    return 0;
}
int side(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)ctx; calls++; points += count;
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t k = 0; k < count; k++)
            y[i * count + k] = x[k] < 0 ? NAN : sin(x[i * count + k]) * x[(i + 1) % n * count + k];
    return 0;
}
int writes(ptrdiff_t count, ptrdiff_t n, double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)ctx; for (ptrdiff_t k = 0; k < count * m; k++) y[k] = x[0];
    x[n * count - 1] = 7; return 0;
}
int fails(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)ctx; (void)n; for (ptrdiff_t k = 0; k < count * m; k++) y[k] = x[0];
    return 3;
}
"""
FULL = "int (ptrdiff_t, ptrdiff_t, double *, ptrdiff_t, double *, void *)"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if shutil.which("cc") is None:
        pytest.skip("needs cc")
    folder = tmp_path_factory.mktemp("batched")
    (folder / "f.c").write_text(SOURCE)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", folder / "f.so", folder / "f.c", "-lm"], check=True)
    return ctypes.CDLL(str(folder / "f.so"))


def wrap(library, name, batched, m):
    address = ctypes.c_void_p.from_buffer(getattr(library, name)).value
    return fd.native(address, signature=FULL, m=m, batched=batched)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("m", [1, 5])
@pytest.mark.parametrize("method", ["central", "forward", "five-point"])
@pytest.mark.parametrize("workers", [1, 3])
def test_both_layouts_equal_one_point_at_a_time(library, n, m, method, workers):
    m = min(n, m)
    x = np.linspace(0.5, 2.0, n)
    want = fd.jacobian(wrap(library, "rows", False, m), x, method=method)
    for name, batched in (("rows", True), ("side", "side by side")):
        got = fd.jacobian(wrap(library, name, batched, m), x, method=method, workers=workers)
        assert_array_equal(got, want)
    if m == 1:
        assert_array_equal(fd.gradient(wrap(library, "side", "side by side", 1), x, method=method), want[0])


def test_batches_fit_the_cache(library):
    plan = fd.Gradient(wrap(library, "side", "side by side", 1), workers=1)
    x = np.linspace(0.5, 2.0, 1000)
    plan(x)  # and one evaluation that looks for Python code
    library.reset()
    plan(x)
    assert library.count_points() == 2000
    assert 2000 * 8000 / (256 << 10) <= library.count_calls() <= 2 * 2000 * 8000 / (256 << 10)


@pytest.mark.parametrize(("name", "batched"), [("rows", True), ("side", "side by side")])
def test_bounds_and_retreat_in_batches(library, name, batched):
    x = np.array([0.0, 1.0, 2.0])
    native = wrap(library, name, batched, 3)
    bounded = fd.Jacobian(native, bounds=(0.0, 2.0)).full(x)
    free = fd.Jacobian(native).full(x)  # NaN below 0: one-sided
    assert free.status.tolist() == [fd.Status.FORWARD, fd.Status.RULE, fd.Status.RULE]
    exact = np.array([[1.0, 0.0, 0.0], [0.0, 2 * np.cos(1.0), np.sin(1.0)], [np.sin(2.0), 0.0, 0.0]])
    for result in (bounded, free):
        assert np.all(np.abs(result.value - exact) <= result.error)
        assert np.max(result.error) < 1e-8


@pytest.mark.parametrize("batched", [True, "side by side"])
def test_errors_in_batches(library, batched):
    x = np.array([0.5, 1.0, 2.0])
    with pytest.raises(fd.InputMutatedError):
        fd.Jacobian(wrap(library, "writes", batched, 3))(x)
    with pytest.raises(fd.CallbackError, match="status 3"):
        fd.Jacobian(wrap(library, "fails", batched, 3))(x)
    assert_array_equal(x, [0.5, 1.0, 2.0])


def test_only_the_full_form_takes_batches(library):
    address = ctypes.c_void_p.from_buffer(library.rows).value
    with pytest.raises(fd.SignatureError, match="batches"):
        fd.native(address, signature="double (int, double *, void *)", batched=True)
    with pytest.raises(fd.ArgumentError, match="side by side"):
        fd.native(address, signature=FULL, m=1, batched="columns")
