"""W7: gradient of a Python callable that takes a batch of points. The floor fills batches of 256 KiB in C."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import build
from bench.functions import rosenbrock_gradient, start
from bench.peers import STEP, loop_gradient
from bench.runner import Call, Case, Contender, NotRunError, Target

TITLE = "W7 gradient of a batched Python callable (floor: batches of 256 KiB filled and called from C)"
SIZES, LIMIT, LARGE, BATCH_BYTES, ORDER_8_N = (10, 100, 1000), 1.1, 1000, 256 * 1024, 100


def cases(quick: bool) -> Iterator[Case]:
    """Take the Rosenbrock function of a batch."""
    for n in SIZES:
        yield _case(n)


def batched_rosenbrock(x: np.ndarray) -> np.ndarray:
    """Evaluate Rosenbrock's function along the last axis."""
    x, right = x[..., :-1], x[..., 1:]
    a, b = right - x * x, 1.0 - x
    return (100.0 * a * a + b * b).sum(axis=-1)  # type: ignore[no-any-return]


def one_batch(f: Any, x: np.ndarray) -> np.ndarray:
    """Differentiate with all 2n points in one call, as one writes it in NumPy."""
    h = STEP * np.maximum(1.0, np.abs(x))
    points = np.concatenate([x + np.diag(h), x - np.diag(h)])
    values = f(points)
    return (values[: x.size] - values[x.size :]) / (2.0 * h)


def _case(n: int) -> Case:
    x, f = start("rosenbrock", n), batched_rosenbrock
    floor = build.extension("floor")
    rows = min(2 * n, BATCH_BYTES // (8 * n) // 2 * 2)

    def by_hand() -> Call:
        names = {"d": floor.batched_gradient, "f": f, "x": x, "batch": np.empty((rows, n)), "out": np.empty(n)}
        return Call("d(f, x, batch, out)", names)

    def fdcore(code: str) -> Call:
        import fdcore as fd

        plan = fd.Gradient(f, vectorized=True)
        return Call(code, {"plan": plan, "d": fd.gradient, "f": f, "x": x})

    def scipy_workers() -> Call:
        from scipy.optimize._numdiff import approx_derivative

        def workers(_: Any, points: Any) -> np.ndarray:
            return f(np.stack(list(points)))[:, None]

        names = {"d": approx_derivative, "f": f, "x": x, "w": workers}
        return Call("d(f, x, method='3-point', workers=w)", names)

    def scipy_differentiate() -> Call:
        if n > ORDER_8_N:
            raise NotRunError(f"not run above n = {ORDER_8_N}: its points do not fit memory")
        from scipy.differentiate import jacobian

        return Call("d(f, x).df", {"d": jacobian, "f": lambda z: f(np.moveaxis(z, 0, -1)), "x": x})

    return Case(
        f"batched Rosenbrock, n = {n}",
        Contender("C, batches of 256 KiB", by_hand),
        [
            Contender("fdcore Gradient plan, vectorized", lambda: fdcore("plan(x)")),
            Contender("fdcore gradient, vectorized", lambda: fdcore("d(f, x, vectorized=True)")),
            Contender("NumPy by hand, one batch", lambda: Call("d(f, x)", {"d": one_batch, "f": f, "x": x})),
            Contender("NumPy loop, in place", lambda: Call("d(f, x)", {"d": loop_gradient, "f": f, "x": x})),
            Contender("scipy 3-point, workers = one batch", scipy_workers),
            Contender("scipy.differentiate.jacobian", scipy_differentiate),
        ],
        rosenbrock_gradient(x),
        2 * n,
        [Target("fdcore Gradient plan, vectorized", LIMIT)] if n >= LARGE else [],
    )
