"""SciPy's solvers with fdcore's plans as jac=, against the same solvers left to themselves. There is no floor here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import build
from bench.functions import broyden, scalar_cffi, start
from bench.runner import Call, Case, Contender

TITLE = "SciPy's solvers with jac=plan (base: the same solver with its own finite differences; whole solve)"


def cases(quick: bool) -> Iterator[Case]:
    """Take an optimiser, a least-squares solver and a root finder."""
    yield _minimize(50)
    yield _least_squares(200)
    yield _root(100)


def _minimize(n: int) -> Case:
    x: np.ndarray = np.full(n, -1.0)
    f = scalar_cffi("rosenbrock", n)
    names = {"x": x, "f": f, "d": _solver("minimize"), "options": {"maxiter": 40}}
    code = "d(f, x, method='L-BFGS-B', options=options{})"

    def plan() -> dict[str, Any]:
        import fdcore as fd

        native = fd.native(build.address("rosenbrock"), signature="double (int, double *, void *)")
        return {**names, "python": fd.Gradient(f), "native": fd.Gradient(native)}

    return Case(
        f"minimize L-BFGS-B, Rosenbrock, n = {n}, 40 iterations",
        Contender("scipy, its own differences", lambda: Call(code.format(""), names), answers=False),
        [
            Contender("scipy, 3-point", lambda: Call(code.format(", jac='3-point'"), names), answers=False),
            Contender(
                "jac=fd.Gradient of the Python f", lambda: Call(code.format(", jac=python"), plan()), answers=False
            ),
            Contender(
                "jac=fd.Gradient of the native f", lambda: Call(code.format(", jac=native"), plan()), answers=False
            ),
        ],
        None,
        0,
    )


def _least_squares(m: int) -> Case:
    t = np.linspace(0.0, 3.0, m)
    data = 2.0 * np.exp(-0.7 * t) + 0.3

    def residuals(p: np.ndarray) -> np.ndarray:
        return p[0] * np.exp(-p[1] * t) + p[2] - data  # type: ignore[no-any-return]

    names = {"x": np.array([1.0, 1.0, 0.0]), "f": residuals, "d": _solver("least_squares")}

    def plan() -> dict[str, Any]:
        import fdcore as fd

        return {**names, "plan": fd.Jacobian(residuals)}

    return Case(
        f"least_squares, exponential fit, m = {m}, n = 3",
        Contender("scipy, its own differences", lambda: Call("d(f, x)", names), answers=False),
        [
            Contender("scipy, 3-point", lambda: Call("d(f, x, jac='3-point')", names), answers=False),
            Contender("jac=fd.Jacobian", lambda: Call("d(f, x, jac=plan)", plan()), answers=False),
        ],
        None,
        0,
    )


def _root(n: int) -> Case:
    names = {"x": start("broyden", n), "f": broyden, "d": _solver("root")}

    def plan() -> dict[str, Any]:
        import fdcore as fd

        return {**names, "plan": fd.Jacobian(broyden, method="forward")}

    return Case(
        f"root hybr, Broyden tridiagonal, n = {n}",
        Contender("scipy, its own differences (Fortran's)", lambda: Call("d(f, x)", names), answers=False),
        [Contender("jac=fd.Jacobian", lambda: Call("d(f, x, jac=plan)", plan()), answers=False)],
        None,
        0,
    )


def _solver(name: str) -> Any:
    from scipy import optimize

    return getattr(optimize, name)
