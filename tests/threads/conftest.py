"""C callbacks for the tests of threads, and how to wrap them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

import fdcore as fd

SOURCE = r"""
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* Smooth, and every value depends on every component. */
int smooth(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    for (ptrdiff_t i = 0; i < m; i++) {
        double sum = 0.0;
        for (ptrdiff_t j = 0; j < n; j++) sum += sin(x[j] * (1.0 + 0.1 * ((i + j) % 7))) * cos(0.1 * x[(i + j) % n]);
        y[i] = sum;
    }
    return 0;
}

/* Takes data[0] microseconds; data[1] counts the threads inside, data[2] is the most there were. */
int slow(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    long *state = data;
    struct timespec pause = {0, state[0] * 1000};
    const long inside = __atomic_add_fetch(&state[1], 1, __ATOMIC_SEQ_CST);
    long most = __atomic_load_n(&state[2], __ATOMIC_SEQ_CST);
    while (inside > most && !__atomic_compare_exchange_n(&state[2], &most, inside, 0, 5, 5)) {
    }
    nanosleep(&pause, NULL);
    __atomic_sub_fetch(&state[1], 1, __ATOMIC_SEQ_CST);
    return smooth(n, x, m, y, NULL);
}

/* data = {x[0], ..., x[n - 1], code[0], ..., code[n - 1]}: returns code[j] where x[j] is displaced. */
int refuse(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *data)
{
    const double *home = data;
    for (ptrdiff_t j = 0; j < n; j++) {
        if (x[j] != home[j] && home[n + j] != 0.0) return (int)home[n + j];
    }
    return smooth(n, x, m, y, NULL);
}
"""

SIGNATURE = "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)"


@pytest.fixture(scope="session")
def library(compile_c: Callable[[str], str]) -> ctypes.CDLL:
    return ctypes.CDLL(compile_c(SOURCE))


@pytest.fixture(scope="session")
def native(library: ctypes.CDLL) -> Callable[..., fd.callbacks.Native]:
    """``native(name, m=..., user_data=...)``: one of the callbacks above, wrapped."""

    def wrap(name: str, **options: Any) -> fd.callbacks.Native:
        return fd.native(getattr(library, name), signature=SIGNATURE, **options)

    return wrap
