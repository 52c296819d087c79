"""W1: gradient of a Python callable. The floor is 2n bare calls made from C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from bench import build
from bench.functions import empty, rosenbrock, rosenbrock_gradient, start
from bench.peers import gradient_peers
from bench.runner import Call, Case, Contender, Target

TITLE = "W1 gradient of a Python callable (floor: 2n bare calls from C)"
LIMITS = {10: 1.25, 100: 1.05, 1000: 1.03}
OVERHEAD = 0.15e-6


def cases(quick: bool) -> Iterator[Case]:
    """Take the Rosenbrock function and an empty one."""
    for n in LIMITS:
        yield _case("NumPy Rosenbrock", rosenbrock, n)
    for n in LIMITS:
        yield _case("empty f", empty, n)


def _fdcore_gradient(f: Callable[..., Any], x: np.ndarray) -> Call:
    import fdcore as fd

    return Call("d(f, x)", {"d": fd.gradient, "f": f, "x": x})


def _fdcore_plan(f: Callable[..., Any], x: np.ndarray, out: np.ndarray | None) -> Call:
    import fdcore as fd

    plan = fd.Gradient(f)
    if out is None:
        return Call("plan(x)", {"plan": plan, "x": x})
    return Call("plan(x, out=out)", {"plan": plan, "x": x, "out": out})


def _case(name: str, f: Callable[..., Any], n: int) -> Case:
    x = start("rosenbrock", n)
    exact = rosenbrock_gradient(x) if f is rosenbrock else None
    floor = build.extension("floor")
    out = np.empty(n)
    targets = [
        Target("fdcore Gradient plan", LIMITS[n]),
        Target("fdcore gradient", LIMITS[n]),
    ]
    if f is empty:
        targets = [Target(name, OVERHEAD, "overhead") for name in ("fdcore Gradient plan", "fdcore gradient")]
    return Case(
        f"{name}, n = {n}",
        Contender(
            "C, bare calls",
            lambda: Call("d(f, x, k)", {"d": floor.calls, "f": f, "x": x.copy(), "k": 2 * n}),
            answers=False,
        ),
        [
            Contender("fdcore Gradient plan", partial(_fdcore_plan, f, x, None)),
            Contender("fdcore Gradient plan, out=", partial(_fdcore_plan, f, x, np.empty(n))),
            Contender("fdcore gradient", partial(_fdcore_gradient, f, x)),
            Contender(
                "C by hand, in place",
                lambda: Call("d(f, x, out)", {"d": floor.python_gradient, "f": f, "x": x.copy(), "out": out}),
            ),
            *gradient_peers(lambda: f, x),
        ],
        exact,
        2 * n,
        targets,
    )
