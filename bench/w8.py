"""W8: adaptive gradients of native functions. The floor is as many bare calls from C."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import build
from bench.functions import rosenbrock, rosenbrock_gradient, start, waves, waves_gradient
from bench.runner import Call, Case, Contender, Target
from bench.w2 import fdcore_native

TITLE = "W8 adaptive gradient of a native callable (floor: its 8 n evaluations as bare calls from C)"
LIMIT = 1.1

# Profiles (perf, one core free) of what misses its target.
WHY = """\
The target is for one core, as the floor is; the row with default workers has two. An evaluation of *Rosenbrock*,
n = 100, takes some 20 ns in the floor's loop. For each component the method looks at nine values, fits a polynomial to
seven, predicts the other two, and decides, which adds some 45 ns for each evaluation: a sixth of all samples is in
evaluating and bookkeeping (`fdc_line_derivative`), a tenth in the fit (`fdc_look`), a third in f itself. That
is within a tenth of the evaluations on one core only where one takes half a microsecond or more."""


def cases(quick: bool) -> Iterator[Case]:
    """One function that costs next to nothing, and one of a microsecond."""
    for n in (10, 100, 1000):
        yield _case("rosenbrock", "Rosenbrock", rosenbrock, rosenbrock_gradient, n)
        yield _case("waves", "ring of waves", waves, waves_gradient, n)


def _case(name: str, title: str, f: Any, exact: Any, n: int) -> Case:
    x, out = start("rosenbrock", n), np.empty(1)
    floor, address = build.extension("floor"), build.address(name)

    def bare() -> Call:  # four times 2 n calls
        names = {"d": floor.native_calls, "a": address, "x": x, "y": out}
        return Call("(d(a, x, y), d(a, x, y), d(a, x, y), d(a, x, y))", names)

    def fdcore(code: str) -> Call:
        import fdcore as fd

        native = fdcore_native(name, n, vector=False)
        plan = fd.Gradient(native, method="adaptive", workers=1)
        return Call(code, {"d": fd.gradient, "plan": plan, "f": native, "x": x, "out": np.empty(n)})

    return Case(
        f"{title}, n = {n}",
        Contender("C, bare calls", bare, answers=False),
        [
            Contender("fdcore gradient, adaptive", lambda: fdcore("d(f, x, method='adaptive', workers=1)")),
            Contender("fdcore gradient, adaptive, default workers", lambda: fdcore("d(f, x, method='adaptive')")),
            Contender("fdcore Gradient plan, adaptive, second call", lambda: fdcore("plan(x, out=out)")),
            Contender("fdcore gradient, central", lambda: fdcore("d(f, x, workers=1)")),
        ],
        exact(x),
        8 * n + 1,
        [Target("fdcore gradient, adaptive", LIMIT)] if n == 100 else [],
    )
