"""`scipy.optimize.check_grad`, with a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdcore.check import GradientCheck, check_gradient
from fdcore.errors import ArgumentError

__all__ = ["CheckedError", "check_grad"]


class CheckedError(float):
    """The number that SciPy returns, which also knows what to make of it.

    Attributes
    ----------
    check : GradientCheck
        True in a condition when the gradient agrees; printing it gives the report.
    """

    check: GradientCheck


def check_grad(
    func: Callable[..., Any],
    grad: Callable[..., Any],
    x0: Any,
    *args: Any,
    epsilon: float | None = None,
    direction: str = "all",
    rng: Any = None,
    seed: Any = None,
) -> CheckedError:
    """Check a gradient with the signature of `scipy.optimize.check_grad`.

    Parameters
    ----------
    func, grad : callable
        ``func(x0, *args)`` and ``grad(x0, *args)``.
    x0 : (n,) array
    *args
        Further arguments of both.
    epsilon : float, optional
        Not used: the step follows the function.
    direction : {"all", "random"}
        Every entry, or random directions.
    rng, seed : int, optional
        Seed of the random directions, if it is a number.

    Returns
    -------
    CheckedError
        The 2-norm of the differences, as in SciPy, with the verdict in ``.check``. With ``direction="random"``, of
        those of the entries that were looked at one by one; 0 if that was not necessary.

    Examples
    --------
    >>> error = check_grad(lambda x: x[0] ** 2 - 0.5 * x[1] ** 3, lambda x: [2 * x[0], -1.5 * x[1] ** 2], [1.5, -1.5])
    >>> error < 1e-10, error.check.verdict
    (True, 'agrees')
    """
    if direction not in ("all", "random"):
        raise ArgumentError(f"direction must be 'all' or 'random', not {direction!r}")
    number = next((s for s in (rng, seed) if isinstance(s, (int, np.integer))), 0)
    mode = "elementwise" if direction == "all" else "projected"
    check = check_gradient(func, grad, x0, mode=mode, seed=int(number), args=args)
    difference = check.columns["analytic"] - check.columns["numeric"]
    error = CheckedError(np.linalg.norm(difference))
    error.check = check
    return error
