"""`autograd.test_util.check_grads` of HIPS autograd, with error bars instead of tolerances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import check_jvp, check_vjp
from fdcore.check.verdict import GradientCheck, GradientCheckError

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any], modes: Sequence[str] = ("rev",), order: int = 2
) -> Callable[..., list[GradientCheck]]:
    """Return a function of the arguments of `f` that checks the derivatives which autograd has of it.

    Parameters
    ----------
    f : callable
        Written with ``autograd.numpy``; returns an array.
    modes : sequence of {"fwd", "rev"}
    order : int
        Derivatives of derivatives too, up to this order.

    Returns
    -------
    callable
        ``check(*args)`` raises GradientCheckError (an AssertionError) if something is wrong, else returns the checks.
    """
    core = _extras.require("autograd", extra="autograd", feature="checks of autograd functions")

    def check(*args: Any) -> list[GradientCheck]:
        point = [np.asarray(a, dtype=float) for a in args]
        return _checks(core, f, point, tuple(modes), order)

    return check


def _checks(core: Any, f: Any, point: list[Any], modes: tuple[str, ...], order: int) -> list[GradientCheck]:
    def packed(x: Any) -> Any:
        return f(*x)

    checks = []
    for mode in modes:
        if mode == "fwd":
            check = check_jvp(packed, lambda x, u: core.make_jvp(packed)(list(x))(list(u))[1], point)
        else:
            check = check_vjp(packed, lambda x, v: core.make_vjp(packed)(list(x))[0](v), point)
        if check.verdict == "wrong":
            raise GradientCheckError(check)
        checks.append(check)
        if order > 1 and mode == "rev":
            shape = np.shape(packed(point))
            v = np.random.default_rng(order).uniform(0.5, 1.5, shape)
            for k in range(len(point)):

                def derived(*x: Any, k: int = k, v: Any = v) -> Any:
                    return core.make_vjp(f, k)(*x)[0](v)

                checks += _checks(core, derived, point, modes, order - 1)
    return checks
