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

# Instruction counts (callgrind) and times (one core free) of what misses its target.
WHY = """\
The target is for one core, as the floor is; the row with default workers has two. An evaluation of *Rosenbrock*,
n = 100, takes some 20 ns in the floor's loop, so that a tenth of all evaluations is less than 2 us: the call from
Python, which makes a plan and runs it, takes 7 to 8 us alone, whatever f is. The kernel spends some 165 instructions on
an evaluation beside the 323 in f: 68 on moving x, calling, counting and looking whether x is still as it was, 51 on
looking out for Ctrl-C (most of them under callgrind only, where the clock is read each time), 39 on the windows, eight
components at a time (`fdc_first_place`, `fdc_first_look`: ten divisions and a square root for each). That is 7 ns. The
second call of a plan looks at one component after another."""


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
