"""W6: gradient check of a network. Floors: coordinate updates in C; two calls of f and one of its gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import build
from bench.peers import loop_gradient
from bench.runner import Call, Case, Contender, NotRunError, Target

TITLE = "W6 gradient of an MLP 64-128-10, batch 32, 9,610 parameters (floor: coordinate updates in C, 1 thread)"
ROWS, INPUTS, HIDDEN, CLASSES = 32, 64, 128, 10
LIMIT, SPEEDUP, EVALUATIONS = 1.3, 1.6, 20
WHY = """\
Two workers: of the 20.5 million instructions of a call one thread does 0.9 alone (placing the moves, adding
up the shares of 16 parts), and waking the second takes some 50 us of 1.3 ms; on one worker the whole is a
third of the floor. Run by run it comes out between 1.5 and 1.8, C by hand between 1.7 and 1.9."""
BY_HAND = ("C, coordinate updates, 2 threads", "C, coordinate updates, 1 thread")


def cases(quick: bool) -> Iterator[Case]:
    """Take the whole numeric gradient, then the check along random directions."""
    import fdcore as fd

    rng = np.random.default_rng(6)
    X, labels = rng.normal(size=(ROWS, INPUTS)), rng.integers(0, CLASSES, ROWS)
    model = fd.models.MLP(X, labels, hidden=(HIDDEN,), classes=CLASSES)
    p = model.initial(1)
    yield _whole(model, X, labels, p, quick)
    yield _projected(model, p)


def _whole(model: Any, X: np.ndarray, labels: np.ndarray, p: np.ndarray, quick: bool) -> Case:
    c = build.extension("network", build.FAST_MATH)
    out, y = np.empty(model.n), labels.astype(float)

    def in_c(name: str, threads: int = 1) -> Call:
        names = {"c": getattr(c, name), "X": X, "y": y, "p": p, "out": out, "t": threads}
        return Call("c(X, y, p, out, t)", names)

    def fdcore(workers: int) -> Call:
        import fdcore as fd

        return Call("d(f, p, workers=w)", {"d": fd.gradient, "f": model, "p": p, "w": workers})

    def slow(call: Call) -> Call:
        if quick:
            raise NotRunError("not run with --quick: takes a second a call")
        return call

    def scipy_3_point() -> Call:
        from scipy.optimize._numdiff import approx_derivative

        return slow(Call("d(f, p, method='3-point')", {"d": approx_derivative, "f": model, "p": p}))

    one, two = (f"fdcore gradient of a model, {n} worker{'s' * (n > 1)}" for n in (1, 2))
    return Case(
        "whole numeric gradient",
        Contender("C, coordinate updates, 1 thread", lambda: in_c("updates")),
        [
            Contender(one, lambda: fdcore(1)),
            Contender(two, lambda: fdcore(2)),
            Contender("C, coordinate updates, 2 threads", lambda: in_c("updates", 2)),
            Contender("C, full evaluations", lambda: slow(in_c("full"))),
            Contender("NumPy loop, in place", lambda: slow(Call("d(f, p)", {"d": loop_gradient, "f": model, "p": p}))),
            Contender("scipy approx_derivative 3-point", scipy_3_point),
        ],
        model.gradient(p),
        2 * model.n,
        [Target(one, LIMIT), Target(two, SPEEDUP, "speedup", one, BY_HAND)],
    )


def _projected(model: Any, p: np.ndarray) -> Case:
    import fdcore as fd

    def least() -> Call:
        return Call("f(p), f(p), g(p)", {"f": model.__call__, "g": model.gradient, "p": p})

    def fdcore() -> Call:
        names = {"check": fd.check_gradient, "f": model, "g": model.gradient, "p": p}
        return Call("check(f, g, p, mode='projected')", names)

    def scipy_random() -> Call:
        from scipy.optimize import check_grad

        names = {"check": check_grad, "f": model, "g": model.gradient, "p": p}
        return Call("check(f, g, p, direction='random')", names)

    name = "fdcore check along random directions"
    return Case(
        "check of a right gradient (floor: 2 calls and 1 gradient in NumPy)",
        Contender("2 calls and 1 gradient", least, answers=False),
        [
            Contender(name, fdcore, answers=False, count=lambda check: check.nfev, unit="evaluations"),
            Contender("scipy check_grad, one random direction", scipy_random, answers=False),
        ],
        None,
        EVALUATIONS,
        [Target(name, EVALUATIONS, "count")],
    )
