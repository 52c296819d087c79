"""Memory of a sparse plan: in proportion to the entries, whatever n is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import fdcore as fd

sparse = pytest.importorskip("scipy.sparse")


def system(x):
    y = (3.0 - 2.0 * x) * x + 1.0
    y[1:] -= x[:-1]
    y[:-1] -= 2.0 * x[1:]
    return y


def bytes_an_entry(n):
    pattern = sparse.diags_array([np.ones(n)] * 3, offsets=(-1, 0, 1), shape=(n, n), format="csr")
    x = -np.ones(n)
    tracemalloc.start()
    try:
        plan = fd.Jacobian(system, sparsity=pattern, method="forward")
        jac = plan(x)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return held / jac.nnz, peak / jac.nnz


def test_memory_is_linear_in_the_entries():
    bytes_an_entry(1000)  # what is made once
    held, peak = bytes_an_entry(10_000)
    held_by_more, peak_of_more = bytes_an_entry(200_000)
    assert held_by_more == pytest.approx(held, rel=0.1)
    assert peak_of_more == pytest.approx(peak, rel=0.1)
    assert peak_of_more < 60.0  # the result itself has 13.3 bytes an entry
