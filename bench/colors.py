"""Colour counts of published families, against the bound, ColPack's orders and SciPy: a table, no times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

TITLE = "Colours: groups of columns of a Jacobian, and of the symmetric pattern as a Hessian (counts, no times)"
ORDERS = ("natural", "largest-first", "smallest-last", "incidence-degree")
HEADER = (
    "pattern",
    "longest row",
    "natural",
    "best",
    "columns + rows",
    "ColPack's natural",
    "LF",
    "SL",
    "ID",
    "SciPy",
    "Hessian, distance 2",
    "star",
    "acyclic",
    "met",
)


def banded(n: int, width: int) -> Any:
    import scipy.sparse as sp

    return sp.diags_array([np.ones(n)] * (2 * width + 1), offsets=range(-width, width + 1), shape=(n, n), format="csr")


def grid(side: int, dimensions: int, corners: bool) -> Any:
    """Give the stencil of nearest neighbours on a grid, with or without those across corners."""
    import scipy.sparse as sp

    line, one = banded(side, 1), sp.eye_array(side)
    made = sp.csr_array(sp.eye_array(1) if corners else sp.csr_array((side**dimensions, side**dimensions)))
    for axis in range(dimensions):
        if corners:
            made = sp.kron(made, line)
            continue
        term = sp.eye_array(1)
        for other in range(dimensions):
            term = sp.kron(term, line if other == axis else one)
        made = made + term
    return sp.csr_array(made)


def arrow(n: int) -> Any:
    import scipy.sparse as sp

    made = sp.lil_array(np.eye(n))
    made[0, :] = made[:, 0] = 1.0
    return made.tocsr()


def random_rows(n: int, each: int, seed: int = 0) -> Any:
    """Give `each` entries a row, anywhere, and the diagonal."""
    import scipy.sparse as sp

    column = np.random.default_rng(seed).integers(0, n, (n, each)).ravel()
    made = sp.coo_array((np.ones(n * each), (np.repeat(np.arange(n), each), column)), shape=(n, n))
    return sp.csr_array(made + sp.eye_array(n))


def blocks(count: int, size: int) -> Any:
    """Give dense blocks on the diagonal, each coupled to the next by one entry."""
    import scipy.sparse as sp

    made = sp.lil_array(sp.block_diag([np.ones((size, size))] * count))
    for k in range(1, count):
        made[k * size, k * size - 1] = 1.0
    return made.tocsr()


def symmetric(pattern: Any) -> Any:
    import scipy.sparse as sp

    return sp.csr_array(pattern + pattern.T)


FAMILIES: dict[str, Callable[[], Any]] = {
    "tridiagonal, n = 1000": lambda: banded(1000, 1),
    "band of 11, n = 1000": lambda: banded(1000, 5),
    "grid 60 x 60, 5 points": lambda: grid(60, 2, False),
    "grid 60 x 60, 9 points": lambda: grid(60, 2, True),
    "grid 16 x 16 x 16, 7 points": lambda: grid(16, 3, False),
    "grid 12 x 12 x 12, 27 points": lambda: grid(12, 3, True),
    "arrow, n = 500": lambda: arrow(500),
    "random, n = 2000, 3 a row": lambda: random_rows(2000, 3),
    "random, n = 2000, 8 a row": lambda: random_rows(2000, 8),
    "blocks of 12, n = 600": lambda: blocks(50, 12),
}


def neighbours(pattern: Any) -> list[list[int]]:
    """Columns that share a row with each column."""
    together = (pattern.astype(bool).astype(int).T @ pattern.astype(bool).astype(int)).tocsr()
    return [
        [int(u) for u in together.indices[together.indptr[v] : together.indptr[v + 1]] if u != v]
        for v in range(together.shape[0])
    ]


def visits(graph: list[list[int]], order: str) -> Iterator[int]:
    """Vertices in an order of Gebremedhin, Nguyen, Patwary & Pothen, "ColPack", ACM TOMS 40 (2013)."""
    n = len(graph)
    if order == "natural":
        yield from range(n)
    elif order == "largest-first":
        yield from sorted(range(n), key=lambda v: -len(graph[v]))
    elif order == "smallest-last":
        degree, left, last = [len(around) for around in graph], set(range(n)), []
        while left:
            v = min(left, key=lambda u: (degree[u], u))
            left.remove(v)
            last.append(v)
            for u in graph[v]:
                degree[u] -= 1
        yield from reversed(last)
    else:
        coloured, left = [0] * n, set(range(n))
        while left:
            v = max(left, key=lambda u: (coloured[u], len(graph[u]), -u))
            left.remove(v)
            yield v
            for u in graph[v]:
                coloured[u] += 1


def greedy(graph: list[list[int]], order: str) -> int:
    """Colours that the greedy pass takes in this order."""
    color = [-1] * len(graph)
    for v in visits(graph, order):
        taken = {color[u] for u in graph[v]}
        color[v] = next(c for c in range(len(graph)) if c not in taken)
    return max(color) + 1


def table(quick: bool) -> list[tuple[str, ...]]:
    """Count groups of columns of each family as a Jacobian, and the same made symmetric as a Hessian."""
    from scipy.optimize._numdiff import group_columns

    import fdcore as fd
    from fdcore.fdcore import ORDERS as KERNEL_ORDERS
    from fdcore.fdcore import pattern_color_acyclic
    from fdcore.sparsity import Symmetric

    rows: list[tuple[str, ...]] = [HEADER]
    for name, make in FAMILIES.items():
        if quick and "27" in name:
            continue
        pattern, both = make(), symmetric(make())
        graph = neighbours(pattern)
        peers = [greedy(graph, order) for order in ORDERS]
        natural, best = (int(fd.color_columns(pattern, order).max()) + 1 for order in ("natural", "best"))
        columns, left = (int(colors.max()) + 1 for colors in fd.color_bidirectional(pattern))
        hessian = int(fd.color_columns(both).max()) + 1
        star = Symmetric(both).star()[1]
        acyclic = pattern_color_acyclic(*Symmetric(both).pattern.rows, KERNEL_ORDERS.index("best"))[1]
        met = best <= min(peers) and columns + left <= best and star <= hessian
        counts = (int(np.diff(pattern.indptr).max()), natural, best, f"{columns} + {left}", *peers)
        scipy = int(group_columns(pattern).max()) + 1
        rows.append((name, *map(str, (*counts, scipy, hessian, star, acyclic)), "yes" if met else "NO"))
    return rows
