"""Derivatives of what is defined by an equation: the implicit function theorem."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.coerce import as_vector
from fdcore.differentiate import jacobian
from fdcore.errors import ArgumentError, ShapeError

Array = NDArray[np.float64]


def implicit_jacobian(F: Any, y: ArrayLike, theta: ArrayLike, **options: Any) -> Array:
    """Jacobian of the y that solves ``F(y, theta) = 0`` with respect to theta.

    By the implicit function theorem ``dy/dtheta = -(dF/dy)^-1 dF/dtheta``: no derivative of the solver that found y is
    taken, and F need not be solved again.

    Parameters
    ----------
    F : callable
        ``F(y, theta)`` returns (m,) residuals, or one number where m = 1.
    y : (m,) array_like or float
        A solution at `theta`. Never changed.
    theta : (k,) array_like or float
        The parameters. Never changed.
    **options
        As for `jacobian`: method, accuracy, and so on, for both derivatives of F.

    Returns
    -------
    (m, k) ndarray

    Raises
    ------
    ShapeError
        F does not return as many residuals as y has components.
    ArgumentError
        dF/dy is singular: y is not an isolated solution, and the theorem does not hold.

    Notes
    -----
    Cost: 2 (m + k) + 2 evaluations of F with central differences. The result is as good as y: residuals that are not
    small are not looked at.

    Examples
    --------
    The square root is the y with ``y**2 - theta = 0``; its derivative at 4 is 1/4:

    >>> import numpy as np, fdcore as fd
    >>> fd.implicit_jacobian(lambda y, theta: y**2 - theta, 2.0, 4.0).round(9)
    array([[0.25]])
    """
    solution, parameters = (
        as_vector(np.atleast_1d(np.asarray(value)), name) for value, name in ((y, "y"), (theta, "theta"))
    )
    by_y = jacobian(lambda z: F(z, parameters.copy()), solution, **options)
    if by_y.shape[0] != solution.size:
        raise ShapeError(
            f"F returned {by_y.shape[0]} residuals for the {solution.size} components of y; they must match"
        )
    by_theta = jacobian(lambda t: F(solution.copy(), t), parameters, **options)
    condition = np.linalg.cond(by_y) if solution.size else 1.0
    if not condition < 1.0 / np.finfo(np.float64).eps:
        raise ArgumentError(
            f"dF/dy is singular (condition number {condition:.2g}), so y is no isolated solution of F(y, theta) = 0 "
            "and has no derivative there"
        )
    result: Array = -np.linalg.solve(by_y, by_theta)
    return result
