"""Derivatives of what is defined by an equation: the implicit function theorem."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.coerce import as_vector
from fdcore.differentiate import jacobian
from fdcore.errors import ArgumentError, ArgumentTypeError, FdcoreWarning, ShapeError

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
        As for `jacobian`, for both derivatives of F: `method`, `accuracy`, steps that are one number, `workers`,
        `progress`.

    Returns
    -------
    (m, k) ndarray

    Raises
    ------
    ShapeError
        F does not return as many residuals as y has components.
    ArgumentError
        dF/dy is singular, whatever the units of y and F: y is not an isolated solution, and the theorem does not hold.
        Or an option cannot be shared by two Jacobians of different shapes.

    Warns
    -----
    FdcoreWarning
        y is no solution: a Newton step would move it by more than a thousandth of its size. The result is that of the
        equation ``F(y, theta) = F(y0, theta0)`` then.

    Notes
    -----
    Cost: 2 (m + k) + 3 evaluations of F with central differences. The result is as good as y.

    Examples
    --------
    The square root is the y with ``y**2 - theta = 0``; its derivative at 4 is 1/4:

    >>> import numpy as np, fdcore as fd
    >>> fd.implicit_jacobian(lambda y, theta: y**2 - theta, 2.0, 4.0).round(9)
    array([[0.25]])
    """
    if not callable(F):
        raise ArgumentTypeError(f"F must be a function of y and theta, not {type(F).__name__}")
    for name in ("full_output", "out", "sparsity", "vectorized", "bounds", "vjp"):
        if options.get(name) is not None and options[name] is not False:
            raise ArgumentError(f"{name} cannot be shared by the two Jacobians here, which have different shapes")
    for name in ("step", "abs_step", "rel_step"):
        if np.ndim(options.get(name, 0.0)) > 0:
            raise ArgumentError(f"{name} must be one number here: it is for the components of y and of theta alike")
    solution, parameters = (
        as_vector(np.atleast_1d(np.asarray(value)), name) for value, name in ((y, "y"), (theta, "theta"))
    )
    by_y = jacobian(lambda z, *args, **kwargs: F(z, parameters.copy(), *args, **kwargs), solution, **options)
    if by_y.shape[0] != solution.size:
        raise ShapeError(
            f"F returned {by_y.shape[0]} residuals for the {solution.size} components of y; they must match"
        )
    by_theta = jacobian(lambda t, *args, **kwargs: F(solution.copy(), t, *args, **kwargs), parameters, **options)
    condition = _condition(by_y)
    if not condition < 1.0 / np.finfo(np.float64).eps:
        raise ArgumentError(
            f"dF/dy is singular (condition number {condition:.2g}), so y is no isolated solution of F(y, theta) = 0 "
            "and has no derivative there"
        )
    after = options.get("args", ()), options.get("kwargs") or {}
    residual = np.reshape(F(solution.copy(), parameters.copy(), *after[0], **after[1]), -1)
    newton = np.linalg.solve(by_y, residual)
    size = np.max(np.abs(solution), initial=0.0)
    if np.max(np.abs(newton), initial=0.0) > 1e-3 * (size or 1.0):
        j = int(np.argmax(np.abs(newton)))
        warnings.warn(
            f"F(y, theta) is not 0: a Newton step would move y[{j}] from {solution[j]:.6g} to "
            f"{solution[j] - newton[j]:.6g}; solve for y first",
            FdcoreWarning,
            stacklevel=2,
        )
    result: Array = -np.linalg.solve(by_y, by_theta)
    return result


def _condition(matrix: Array) -> float:
    """Condition number with rows and columns of one size: units of y and F say nothing about solutions."""
    if not matrix.size:
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = matrix / np.max(np.abs(matrix), axis=0)
        scaled = scaled / np.max(np.abs(scaled), axis=1, keepdims=True)
    return float(np.linalg.cond(scaled)) if np.all(np.isfinite(scaled)) else float("inf")
