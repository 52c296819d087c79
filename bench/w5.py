"""W5: numeric gradients of regression losses. The floor updates the predictor by one coordinate at a time, in C."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import build
from bench.peers import STEP, loop_gradient
from bench.runner import Call, Case, Contender, NotRunError, Target

TITLE = "W5 numeric gradient of a regression loss (floor: coordinate updates in C, O(N d), 1 thread)"
SIZES = ((1_000, 10), (10_000, 100), (10_000, 1_000))
LIMIT, SPEEDUP, LARGE = 1.2, 1.6, 1_000_000
BY_HAND = ("C, coordinate updates, 2 threads", "C, coordinate updates, 1 thread")
FULL_EVALUATIONS_LIMIT = 10_000 * 100  # above this 2d passes over X take seconds

WHY = """\
Where two workers gain less than 1.6, so did C by hand in the same rounds, or the host gave less than two
processors: run by run the same two rows come out between 1.5 and 1.9.

1000 x 10 takes 7 us. A call of `fd.gradient` makes its plan first, 4 us more; the target is the plan's."""


def cases(quick: bool) -> Iterator[Case]:
    """Take mean squared error and logistic loss."""
    for rows, cols in SIZES:
        for logistic in (False, True):
            yield _case(rows, cols, logistic, quick)


def _softplus(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))  # type: ignore[no-any-return]


def _case(rows: int, cols: int, logistic: bool, quick: bool) -> Case:
    rng = np.random.default_rng(cols)
    X, p, out = rng.normal(size=(rows, cols)), rng.normal(size=cols) / np.sqrt(cols), np.empty(cols)
    z = X @ p
    y = (rng.uniform(size=rows) < 0.5).astype(float) if logistic else z + rng.normal(size=rows)
    exact = X.T @ ((1.0 / (1.0 + np.exp(-z)) - y) if logistic else 2.0 * (z - y)) / rows
    c = build.extension("regression", build.FAST_MATH)

    def f(p: np.ndarray) -> Any:
        z = X @ p
        return np.mean(_softplus(z) - y * z) if logistic else np.mean((z - y) ** 2)

    def by_updates(p: np.ndarray) -> np.ndarray:
        z, g = X @ p, np.empty_like(p)
        for j in range(cols):
            h = STEP * max(1.0, abs(p[j]))
            above, below = z + h * X[:, j], z - h * X[:, j]
            if logistic:
                total = np.mean(_softplus(above) - _softplus(below) - y * (above - below))
            else:
                total = np.mean((above - y) ** 2 - (below - y) ** 2)
            g[j] = total / (2.0 * h)
        return g

    def in_c(name: str, threads: int = 1) -> Call:
        names = {"c": getattr(c, name), "X": X, "y": y, "p": p, "out": out, "logistic": int(logistic), "t": threads}
        return Call("c(X, y, p, out, logistic, t)", names)

    def full(call: Call) -> Call:
        if quick and rows * cols > FULL_EVALUATIONS_LIMIT:
            raise NotRunError("not run with --quick: takes seconds a call")
        return call

    def fdcore(workers: int) -> Call:
        import fdcore as fd

        kind = fd.models.LogisticRegression if logistic else fd.models.LinearRegression
        names = {"d": fd.gradient, "f": kind(X, y, intercept=False), "p": p, "w": workers}
        return Call("d(f, p, workers=w)", names)

    def fdcore_plan(workers: int) -> Call:
        import fdcore as fd

        kind = fd.models.LogisticRegression if logistic else fd.models.LinearRegression
        return Call("plan(p)", {"plan": fd.Gradient(kind(X, y, intercept=False), workers=workers), "p": p})

    def scipy_3_point() -> Call:
        from scipy.optimize._numdiff import approx_derivative

        return full(Call("d(f, p, method='3-point')", {"d": approx_derivative, "f": f, "p": p}))

    one, two = (f"fdcore Gradient plan of a model, {n} worker{'s' * (n > 1)}" for n in (1, 2))
    targets = [Target(one, LIMIT)]
    if rows * cols >= LARGE:
        targets.append(Target(two, SPEEDUP, "speedup", one, BY_HAND))
    return Case(
        f"{'logistic loss' if logistic else 'mean squared error'}, {rows} x {cols}",
        Contender("C, coordinate updates, 1 thread", lambda: in_c("updates")),
        [
            Contender(one, lambda: fdcore_plan(1)),
            Contender(two, lambda: fdcore_plan(2)),
            Contender("fdcore gradient of a model, 1 worker", lambda: fdcore(1)),
            Contender("C, coordinate updates, 2 threads", lambda: in_c("updates", 2)),
            Contender("C, full evaluations", lambda: full(in_c("full"))),
            Contender("NumPy, coordinate updates", lambda: Call("d(p)", {"d": by_updates, "p": p})),
            Contender("NumPy loop, in place", lambda: full(Call("d(f, p)", {"d": loop_gradient, "f": f, "p": p}))),
            Contender("scipy approx_derivative 3-point", scipy_3_point),
        ],
        exact,
        2 * cols,
        targets,
    )
