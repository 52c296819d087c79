"""Native callbacks near the edge of their domain, at bounds, and where they fail."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_double, c_int, c_ssize_t, c_void_p
from typing import Any

import numpy as np
import pytest

import fdcore as fd

SOURCE = r"""
#include <math.h>
#include <stddef.h>

/* Defined where no component is below the limit, data = {limit, what it gives outside}. */
double edge(int n, const double *x, void *data)
{
    const double *settings = data;
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        if (x[i] < settings[0]) return settings[1];
        sum += exp(x[i]) * (i + 1);
    }
    return sum;
}
/* The same as values of which only one is not defined there; status 7 in place of NaN where data[1] is 7. */
int edges(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    const double *settings = data;
    for (ptrdiff_t i = 0; i < m; i++) {
        y[i] = exp(x[i % n]) * (double)(i + 1);
        if (x[i % n] < settings[0]) {
            if (settings[1] == 7.0) return 7;
            y[i] = settings[1];
        }
    }
    return 0;
}
/* Notes down the smallest and the largest component it ever sees, data = {lowest, highest}. */
double watched(int n, const double *x, void *data)
{
    double *seen = data, sum = 0.0;
    for (int i = 0; i < n; i++) {
        seen[0] = fmin(seen[0], x[i]);
        seen[1] = fmax(seen[1], x[i]);
        sum += sqrt(x[i]) * x[i];
    }
    return sum;
}
"""

EDGE = 1e-8
N = 19  # more than two blocks of eight components, and not a multiple
X = np.where(np.arange(N) % 3 == 1, EDGE, np.linspace(0.5, 1.5, N))
METHODS = ["forward", "backward", "central", "five-point", "adaptive"]


@pytest.fixture(scope="module")
def library(compile_c: Callable[[str], str]) -> ctypes.CDLL:
    loaded = ctypes.CDLL(compile_c(SOURCE))
    doubles = POINTER(c_double)
    for name in ("edge", "watched"):
        getattr(loaded, name).restype, getattr(loaded, name).argtypes = c_double, (c_int, doubles, c_void_p)
    loaded.edges.restype = c_int
    loaded.edges.argtypes = (c_ssize_t, doubles, c_ssize_t, doubles, c_void_p)
    return loaded


def python_edge(outside: float) -> Callable[[Any], float]:
    def f(x: Any) -> float:
        return outside if (x < 0.0).any() else float(np.exp(x) @ np.arange(1, x.size + 1))

    return f


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("outside", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_the_edge_of_the_domain(library: ctypes.CDLL, method: str, outside: float, workers: int) -> None:
    f = fd.native(library.edge, user_data=np.array([0.0, outside]))
    exact = np.exp(X) * np.arange(1, N + 1)
    result = fd.gradient(f, X, method=method, workers=workers, full_output=True)
    rtol = {"forward": 1e-6, "backward": 1e-5, "adaptive": 1e-4}.get(method, 1e-7)
    np.testing.assert_allclose(result.value, exact, rtol=rtol)
    assert np.all(np.abs(result.value - exact) <= result.error)
    plain = fd.gradient(python_edge(outside), X, method=method, full_output=True)
    at_edge = X == EDGE
    if method == "adaptive":
        shrunk = fd.Finding.SHRUNK | fd.Finding.ONE_SIDED
        assert np.all((result.findings[at_edge] & shrunk) != 0)
        assert not np.any(result.findings[~at_edge] & shrunk)
    elif method != "forward":
        assert np.all(result.status[at_edge] != fd.Status.RULE)
        assert np.all(result.status[~at_edge] == fd.Status.RULE)
    np.testing.assert_array_equal(result.status, plain.status)


@pytest.mark.parametrize("method", METHODS)
def test_only_one_of_the_values_is_not_defined(library: ctypes.CDLL, method: str) -> None:
    f = fd.native(library.edges, m=N, user_data=np.array([0.0, np.nan]))
    result = fd.jacobian(f, X, method=method, full_output=True)
    exact = np.diag(np.exp(X) * np.arange(1, N + 1))
    np.testing.assert_allclose(result.value, exact, rtol=1e-4, atol=1e-9)
    assert np.all(np.abs(result.value - exact) <= result.error)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", ["backward", "central", "five-point", "adaptive"])
def test_a_status_is_an_error_and_no_edge(library: ctypes.CDLL, method: str, workers: int) -> None:
    f = fd.native(library.edges, m=N, user_data=np.array([0.0, 7.0]))
    with pytest.raises(fd.CallbackError, match=r"status 7.*x\[1\]|x\[1\].*status 7") as caught:
        fd.jacobian(f, X, method=method, workers=workers)
    assert caught.value.status == 7
    inside = fd.jacobian(f, X + 1.0, method=method, workers=workers)
    np.testing.assert_allclose(inside, np.diag(np.exp(X + 1.0) * np.arange(1, N + 1)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_bounds_are_kept(library: ctypes.CDLL, method: str) -> None:
    x = np.array([1.0, 1.0 + 1e-12, 1.5, 2.0 - 1e-9, 2.0, 1.2, 1.7, 1.0, 2.0, 1.4, 1.6])
    seen = np.array([np.inf, -np.inf])
    f = fd.native(library.watched, user_data=seen)
    result = fd.gradient(f, x, method=method, bounds=(1.0, 2.0), full_output=True)
    assert 1.0 <= seen[0] < seen[1] <= 2.0
    exact = 1.5 * np.sqrt(x)
    np.testing.assert_allclose(result.value, exact, rtol=1e-6)
    assert np.all(np.abs(result.value - exact) <= result.error)


def test_no_point_inside_is_an_error(library: ctypes.CDLL) -> None:
    f = fd.native(library.edge, user_data=np.array([1.0, np.nan]))
    for method in METHODS:
        with pytest.raises(fd.NonFiniteError):
            fd.gradient(f, X, method=method)


@pytest.mark.threads
@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 301])
def test_adaptive_results_do_not_depend_on_workers(library: ctypes.CDLL, n: int) -> None:
    x = np.where(np.arange(n) % 7 == 3, EDGE, np.linspace(0.5, 1.5, n))
    f = fd.native(library.edge, user_data=np.array([0.0, np.nan]))
    one, *others = (
        fd.gradient(f, x, method="adaptive", workers=workers, full_output=True) for workers in (1, 2, 3, 7, None)
    )
    for other in others:
        for part in ("value", "error", "step", "findings"):
            assert getattr(other, part).tobytes() == getattr(one, part).tobytes(), part
        assert other.nfev == one.nfev
