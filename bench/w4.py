"""W4: sparse Jacobians by colouring, forward differences. The floor is a planned pass in row order in C, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench import build
from bench.functions import bratu, bratu_sparse, broyden, broyden_sparse, start, vector_cffi
from bench.runner import Call, Case, Contender, Target
from bench.w2 import fdcore_native

TITLE = "W4 sparse Jacobian by colouring, forward (floor: planned pass in row order in C, 1 thread)"
SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (10_000, 100_000)
LIMIT, SPEEDUP, FIRST_LIMIT, NUMPY_LIMIT, COLOUR_LIMIT = 1.15, 1.5, 3.0, 1.5, 1.3
BY_HAND = ("C + OpenMP, 2 threads", "C, 1 thread")
SQRT_EPS = np.finfo(float).eps ** 0.5
SMALL_COUNTS = {"broyden": 3, "bratu": 7}  # colours of the greedy pass in natural order

# Profiles (perf, one core free) of what misses its target.
WHY = """\
Where a target is missed, the profile says why, of an earlier and quieter run than the table's. Most of it is the
tridiagonal system, whose f takes 0.6 ns a component, less than anything that has to be done with its values.

* *NumPy f, tridiagonal*: of what fdcore adds to the 68 us of bare calls at n = 1e4, the pass over the entries takes
  34 us, moving and restoring x 16, taking over NumPy's results 9, steps 6, looking for NaN in x 6. The C floor's own
  pass and steps take 45 us; 1.5 would leave 34. On the grid, whose f costs something, it is 1.1 to 1.3.
* *First call, tridiagonal*: of 270 us at n = 1e4 the plan's run is 75; finding out that the pattern is symmetric, which
  saves its transpose, 39; colouring 46, half of the C greedy's time; groups and the entries' colours 34; checking the
  pattern 20; the rest is Python's, SciPy's and memory touched for the first time. On the grid it is 1.9 to 2.4.
* *Two workers*: a helper that sleeps takes 35 to 50 us to be woken, and finds x, f(x) and the pattern in the other
  core's cache. Called back to back, two workers are 1.6 times as fast as one on the tridiagonal n = 1e5 and 1.85 times
  on the grid; here, after a millisecond of the floor on one core, less. 75 us of work, n = 1e4, are not worth it, and
  where `workers` is not given fdcore takes one. At
  n = 1e6 C by hand gains as little on the tridiagonal system. The grid of 1e6 gained 1.56 in another whole run of the
  same day; what was in the way here is not known."""


class Problem:
    """One function at one size, and the plan that the floor works by."""

    def __init__(self, name: str, n: int) -> None:
        self.name, self.n = name, int(np.sqrt(n)) ** 2 if name == "bratu" else n
        self.f: Callable[..., Any] = {"broyden": broyden, "bratu": bratu}[name]
        self.x = start(name, self.n)
        self.exact = {"broyden": broyden_sparse, "bratu": bratu_sparse}[name](self.x)
        self.pattern = self.exact.astype(bool)
        self.csc = self.exact.tocsc()
        self.c = build.extension("sparse")
        self.colour_out, self.seen = np.empty(self.n, np.int32), np.empty(self.n, np.int32)
        self.colours = self.colouring().answer()
        self.colour = self.colour_out.astype(np.uint8)

    def colouring(self) -> Call:
        names = {
            "c": self.c.colour,
            "rs": self.exact.indptr,
            "ri": self.exact.indices,
            "cs": self.csc.indptr,
            "ci": self.csc.indices,
            "out": self.colour_out,
            "seen": self.seen,
        }
        return Call("c(rs, ri, cs, ci, out, seen)", names)

    def forward(self, threads: int) -> Call:
        from scipy.sparse import csr_array

        names = {
            "c": self.c.forward,
            "a": build.address(self.name),
            "x": self.x,
            "colour": self.colour,
            "colours": self.colours,
            "start": self.exact.indptr,
            "column": self.exact.indices,
            "entry": self.colour[self.exact.indices],
            "values": np.empty(self.exact.nnz),
            "work": np.empty((self.colours + 3 + threads, self.n)),
            "csr": csr_array,
            "threads": threads,
        }
        code = "c(a, x, colour, colours, start, column, entry, values, work, threads)"
        return Call(code, names, then="csr((values, column, start))")

    def bare_calls(self) -> Call:
        names = {"c": self.c.calls, "f": self.f, "x": self.x, "k": self.colours + 1, "v": np.empty(self.exact.nnz)}
        return Call("c(f, x, k, v)", names)

    def numpy_by_hand(self, f: Callable[..., Any]) -> Call:
        from scipy.sparse import csr_array

        rows = np.repeat(np.arange(self.n), np.diff(self.exact.indptr))
        columns = self.exact.indices
        masks = [self.colour == c for c in range(self.colours)]
        entry_colour = self.colour[columns]

        def jacobian(x: np.ndarray) -> Any:
            h = (x + SQRT_EPS * np.maximum(1.0, np.abs(x))) - x
            f0 = f(x)
            moved = np.stack([f(np.where(mask, x + h, x)) - f0 for mask in masks])
            return csr_array((moved[entry_colour, rows] / h[columns], columns, self.exact.indptr))

        return Call("d(x)", {"d": jacobian, "x": self.x})

    def scipy_2_point(self, f: Callable[..., Any], groups: bool) -> Call:
        from scipy.optimize._numdiff import approx_derivative, group_columns

        sparsity = (self.csc, group_columns(self.csc)) if groups else self.csc
        names = {"d": approx_derivative, "f": f, "x": self.x, "s": sparsity}
        return Call("d(f, x, method='2-point', sparsity=s)", names)

    def fdcore(self, f: Any, code: str, workers: int | None = None) -> Call:
        import fdcore as fd

        options = {"sparsity": self.pattern, "method": "forward"}
        names = {"d": fd.jacobian, "f": f, "x": self.x, **options}
        if "plan" in code:
            names["plan"] = fd.Jacobian(f, workers=workers, **options)
        return Call(code, names)


def cases(quick: bool) -> Iterator[Case]:
    """Take a tridiagonal system and a grid; native and NumPy f; then the colouring alone."""
    for name in ("broyden", "bratu"):
        for n in QUICK_SIZES if quick else SIZES:
            problem = Problem(name, n)
            yield _native(problem)
            yield _numpy(problem)
            yield _colouring(problem)


def _title(problem: Problem, what: str) -> str:
    return f"{'tridiagonal' if problem.name == 'broyden' else 'Bratu grid'}, N = {problem.n}, {what}"


def _native(problem: Problem) -> Case:
    def native() -> Any:
        return fdcore_native(problem.name, problem.n, vector=True)

    def wrapped() -> Callable[..., Any]:
        return vector_cffi(problem.name, problem.n)

    first = "d(f, x, sparsity=sparsity, method=method)"
    return Case(
        _title(problem, "native f"),
        Contender("C, 1 thread", lambda: problem.forward(1)),
        [
            Contender("fdcore Jacobian plan, 1 worker", lambda: problem.fdcore(native(), "plan(x)", 1)),
            Contender("fdcore Jacobian plan, 2 workers", lambda: problem.fdcore(native(), "plan(x)", 2)),
            Contender("fdcore jacobian, colouring included", lambda: problem.fdcore(native(), first)),
            Contender("C + OpenMP, 2 threads", lambda: problem.forward(2)),
            Contender("NumPy by hand", lambda: problem.numpy_by_hand(wrapped())),
            Contender("scipy 2-point, groups given", lambda: problem.scipy_2_point(wrapped(), groups=True)),
            Contender("scipy 2-point, pattern only", lambda: problem.scipy_2_point(wrapped(), groups=False)),
        ],
        problem.exact,
        problem.colours + 1,
        [
            Target("fdcore Jacobian plan, 1 worker", LIMIT),
            Target("fdcore Jacobian plan, 2 workers", SPEEDUP, "speedup", "fdcore Jacobian plan, 1 worker", BY_HAND),
            Target("fdcore jacobian, colouring included", FIRST_LIMIT),
        ],
    )


def _numpy(problem: Problem) -> Case:
    return Case(
        _title(problem, "NumPy f"),
        Contender("colours + 1 bare calls, nnz written", problem.bare_calls, answers=False),
        [
            Contender("fdcore Jacobian plan", lambda: problem.fdcore(problem.f, "plan(x)")),
            Contender("NumPy by hand", lambda: problem.numpy_by_hand(problem.f)),
            Contender("scipy 2-point, groups given", lambda: problem.scipy_2_point(problem.f, groups=True)),
            Contender("scipy 2-point, pattern only", lambda: problem.scipy_2_point(problem.f, groups=False)),
        ],
        problem.exact,
        problem.colours + 1,
        [Target("fdcore Jacobian plan", NUMPY_LIMIT)],
    )


def _colouring(problem: Problem) -> Case:
    def fdcore(order: str) -> Call:
        import fdcore as fd

        return Call("c(p, order)", {"c": fd.color_columns, "p": problem.csc, "order": order})

    def scipy() -> Call:
        from scipy.optimize._numdiff import group_columns

        return Call("c(p)", {"c": group_columns, "p": problem.csc})

    def used(colour: Any) -> int:
        return int(np.max(colour)) + 1

    return Case(
        _title(problem, "colouring"),
        Contender("C greedy, natural order", problem.colouring, answers=False, count=int),
        [
            Contender("fdcore color_columns, natural order", lambda: fdcore("natural"), answers=False, count=used),
            Contender("fdcore color_columns, best of all orders", lambda: fdcore("best"), answers=False, count=used),
            Contender("scipy group_columns", scipy, answers=False, count=used),
        ],
        None,
        1,
        [
            Target("fdcore color_columns, natural order", COLOUR_LIMIT),
            Target("fdcore color_columns, natural order", SMALL_COUNTS[problem.name], "count"),
            Target("fdcore color_columns, best of all orders", SMALL_COUNTS[problem.name], "count"),
        ],
    )
