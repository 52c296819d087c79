"""For test suites: an assertion whose failure is the report, and functions whose derivatives are known.

With pytest, the fixture ``assert_gradient`` is the same function, and ``--fdcore-reports=FOLDER`` keeps the HTML report
of each failing check, whoever raised it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fdcore.check import GradientCheck, GradientCheckError, check_gradient

__all__ = ["PROBLEMS", "Problem", "assert_gradient"]


def assert_gradient(
    f: Callable[..., Any], grad: Any, x: Any, *, allow_unclear: bool = False, **options: Any
) -> GradientCheck:
    """Assert that `grad` is the gradient of `f` at `x`.

    Parameters
    ----------
    f, grad, x
        As in `fdcore.check_gradient`.
    allow_unclear : bool
        Pass on "cannot tell" too. By default that fails: a check that sees nothing is no test.
    **options
        Further arguments of `fdcore.check_gradient`.

    Returns
    -------
    GradientCheck
        The check, which agrees.

    Raises
    ------
    AssertionError
        The message is the report.

    Examples
    --------
    >>> import numpy as np
    >>> assert_gradient(lambda x: np.sum(x**2), lambda x: 2 * x, np.array([1.0, 2.0])).verdict
    'agrees'
    """
    __tracebackhide__ = True
    check = check_gradient(f, grad, x, **options)
    check.raise_if_wrong()
    if check.verdict == "cannot tell" and not allow_unclear:
        raise GradientCheckError(check)
    return check


class Problem(NamedTuple):
    """A function of an array with its gradient, and a point where both are defined."""

    f: Callable[[Any], float]
    gradient: Callable[[Any], Any]
    x: Any


def _rosenbrock(x: Any) -> float:
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def _rosenbrock_gradient(x: Any) -> Any:
    gradient = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    gradient[:-1] = -400.0 * x[:-1] * inner - 2.0 * (1.0 - x[:-1])
    gradient[1:] += 200.0 * inner
    return gradient


PROBLEMS: dict[str, Problem] = {
    "sum of squares": Problem(lambda x: float(x @ x), lambda x: 2.0 * x, np.array([1.0, -2.0, 3.0])),
    "rosenbrock": Problem(_rosenbrock, _rosenbrock_gradient, np.array([-1.2, 1.0, 0.5])),
    "log-sum-exp": Problem(
        lambda x: float(np.log(np.sum(np.exp(x - x.max()))) + x.max()),
        lambda x: np.exp(x - x.max()) / np.sum(np.exp(x - x.max())),
        np.array([0.5, 2.0, -1.0]),
    ),
    "product of cosines": Problem(
        lambda x: float(np.prod(np.cos(x))), lambda x: -np.prod(np.cos(x)) * np.tan(x), np.array([0.3, -0.4, 1.0])
    ),
    "wide scales": Problem(
        lambda x: float(np.exp(x[0] / 1e6) + np.sin(1e6 * x[1])),
        lambda x: np.array([np.exp(x[0] / 1e6) / 1e6, 1e6 * np.cos(1e6 * x[1])]),
        np.array([2e6, 3e-7]),
    ),
}
"""Functions with known gradients, to try a checker on."""
