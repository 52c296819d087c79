"""W2: dense derivatives of a cheap native callable. The floor is a central loop in C on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import build, native_peers
from bench.functions import broyden_jacobian, rosenbrock_gradient, scalar_cffi, scalar_ctypes, start, vector_cffi
from bench.peers import gradient_peers, jacobian_peers
from bench.runner import Call, Case, Contender, Target

TITLE = "W2 cheap native callable, dense (floor: central loop in C, 1 thread)"
LIMITS = {10: 2.0, 100: 1.10, 1000: 1.03}
FRESH_SECONDS = 8e-6
SCALAR = "double (int, double *, void *)"
VECTOR = "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)"


def cases(quick: bool) -> Iterator[Case]:
    """Rosenbrock's gradient and Broyden's tridiagonal Jacobian as a dense black box."""
    for n in LIMITS:
        yield _gradient(n)
    for n in LIMITS:
        yield _jacobian(n)


def fdcore_native(name: str, n: int, vector: bool) -> Any:
    """Wrap the function as fdcore takes it."""
    import fdcore as fd

    if vector:
        return fd.native(build.address(name), signature=VECTOR, n=n, m=n)
    return fd.native(build.address(name), signature=SCALAR, n=n)


def _gradient(n: int) -> Case:
    x, out = start("rosenbrock", n), np.empty(n)
    floor, address = build.extension("floor"), build.address("rosenbrock")

    def fdcore(code: str, **options: Any) -> Call:
        import fdcore as fd

        f = fdcore_native("rosenbrock", n, vector=False)
        return Call(code, {"plan": fd.Gradient(f, **options), "d": fd.gradient, "f": f, "x": x, "out": np.empty(n)})

    targets = [Target("fdcore Gradient plan, out=", LIMITS[n])]
    if n == 10:
        targets.append(Target("fdcore gradient", FRESH_SECONDS, "seconds"))
    return Case(
        f"Rosenbrock gradient, n = {n}",
        Contender("C, 1 thread", lambda: Call("d(a, x, out)", {"d": floor.gradient, "a": address, "x": x, "out": out})),
        [
            Contender("fdcore Gradient plan, out=", lambda: fdcore("plan(x, out=out)")),
            Contender("fdcore Gradient plan", lambda: fdcore("plan(x)")),
            Contender("fdcore Gradient plan, out=, 1 worker", lambda: fdcore("plan(x, out=out)", workers=1)),
            Contender("fdcore Gradient plan, out=, 2 workers", lambda: fdcore("plan(x, out=out)", workers=2)),
            Contender("fdcore gradient", lambda: fdcore("d(f, x)")),
            Contender(
                "C, bare calls",
                lambda: Call("d(a, x, y)", {"d": floor.native_calls, "a": address, "x": x, "y": np.empty(1)}),
                answers=False,
            ),
            Contender("numba loop by hand", lambda: native_peers.numba_gradient(x)),
            Contender("CasADi external, enable_fd", lambda: native_peers.casadi_jacobian("rosenbrock", 1, x)),
            *gradient_peers(lambda: scalar_cffi("rosenbrock", n), x),
            Contender(
                "scipy approx_derivative 3-point, ctypes f",
                lambda: native_peers.scipy_3_point(scalar_ctypes("rosenbrock", n), x),
            ),
        ],
        rosenbrock_gradient(x),
        2 * n,
        targets,
    )


def _jacobian(n: int) -> Case:
    x, out = start("broyden", n), np.empty((n, n))
    floor, address = build.extension("floor"), build.address("broyden")

    def fdcore(code: str, order: str = "F", **options: Any) -> Call:
        import fdcore as fd

        f = fdcore_native("broyden", n, vector=True)
        out = np.empty((n, n), order=order)  # type: ignore[call-overload]
        return Call(code, {"plan": fd.Jacobian(f, **options), "d": fd.jacobian, "f": f, "x": x, "out": out})

    targets = [Target("fdcore Jacobian plan, out= by columns", LIMITS[n])]
    if n == 10:
        targets.append(Target("fdcore jacobian", FRESH_SECONDS, "seconds"))
    return Case(
        f"Broyden Jacobian, n = {n}",
        Contender(
            "C, 1 thread", lambda: Call("d(a, x, out).T", {"d": floor.jacobian, "a": address, "x": x, "out": out})
        ),
        [
            Contender("fdcore Jacobian plan, out= by columns", lambda: fdcore("plan(x, out=out)")),
            Contender("fdcore Jacobian plan, out= by rows", lambda: fdcore("plan(x, out=out)", order="C")),
            Contender("fdcore Jacobian plan", lambda: fdcore("plan(x)")),
            Contender("fdcore Jacobian plan, out=, 1 worker", lambda: fdcore("plan(x, out=out)", workers=1)),
            Contender("fdcore Jacobian plan, out=, 2 workers", lambda: fdcore("plan(x, out=out)", workers=2)),
            Contender("fdcore jacobian", lambda: fdcore("d(f, x)")),
            Contender(
                "C, bare calls",
                lambda: Call("d(a, x, y)", {"d": floor.native_calls, "a": address, "x": x, "y": np.empty(n)}),
                answers=False,
            ),
            Contender("numba loop by hand", lambda: native_peers.numba_broyden(x)),
            Contender("CasADi external, enable_fd", lambda: native_peers.casadi_jacobian("broyden", n, x)),
            *jacobian_peers(lambda: vector_cffi("broyden", n), x),
        ],
        broyden_jacobian(x),
        2 * n,
        targets,
    )
