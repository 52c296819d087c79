"""Checks of Hessians and of their products with vectors: symmetry first, which needs no step, then the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.gradient import check_gradient
from fdcore.check.jacobian import ELEMENTWISE, MODES, check_jacobian
from fdcore.check.judge import Scales, rms
from fdcore.check.outputs import weights
from fdcore.check.products import check_vjp
from fdcore.check.verdict import GradientCheck, Note, worst
from fdcore.differentiate import gradient as numeric_gradient
from fdcore.errors import ArgumentError, ArgumentTypeError
from fdcore.tree import Tree, flatten

__all__ = ["check_hessian", "check_hvp"]

Vector = NDArray[np.float64]


def check_hessian(
    f: Callable[..., Any],
    hess: Any,
    x: Any,
    *,
    grad: Callable[..., Any] | None = None,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Check a Hessian: its symmetry first, then as the Jacobian of the gradient.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns one number; used where there is no `grad`.
    hess : callable, array or sparse matrix
        ``hess(x, *args, **kwargs)``, or its value: an (n, n) array, or of shape ``x.shape + x.shape``. For one that is
        only known by its products with vectors there is `check_hvp`.
    x : array
        The point.
    grad : callable, optional
        The gradient, checked elsewhere. Without it, the numeric one of f is differentiated, which costs 6 n times as
        many evaluations and four digits.
    mode, budget, seed, args, kwargs
        As in `check_gradient`. ``"projected"`` looks at products of the Hessian with random vectors.

    Returns
    -------
    GradientCheck
        With a note ``"not-symmetric"`` where it is not.

    Examples
    --------
    >>> import numpy as np
    >>> check = check_hessian(lambda x: x[0] ** 2 * x[1], lambda x: [[2 * x[1], 2 * x[0]], [0.0, 0.0]], [1.0, 2.0])
    >>> check.verdict, [entry.name for entry in check.wrong], [note.label for note in check.notes]
    ('wrong', ['J[1, 0]'], ['not-symmetric'])
    """
    if mode not in MODES:
        raise ArgumentError(f"mode must be 'auto', 'elementwise' or 'projected', not {mode!r}")
    kwargs = dict(kwargs or {})
    vector, tree = flatten(x)
    if not tree.is_array:
        raise ArgumentTypeError("check_hessian takes an array x; give a tree as one flat vector")
    value = hess(tree.unflatten(vector.copy()), *args, **kwargs) if callable(hess) else hess
    notes = _symmetric(value, tree.size)
    if grad is None and (mode == "projected" or (mode == "auto" and 10 * tree.size > (budget or ELEMENTWISE))):

        def product(point: Any, v: Any) -> Any:
            matrix = hess(point, *args, **kwargs) if callable(hess) else hess
            if not hasattr(matrix, "tocsr"):
                matrix = np.asarray(matrix, dtype=float).reshape(tree.size, tree.size)
            return np.asarray(matrix @ np.asarray(v).reshape(-1)).reshape(tree.leaves[0].shape)

        check = check_hvp(f, product, x, budget=budget, seed=seed, args=args, kwargs=kwargs)
        return replace(check, notes=(*notes, *(n for n in check.notes if not notes or n.label != "not-symmetric")))

    def by_numbers(point: Any, *args: Any, **kwargs: Any) -> Any:
        return numeric_gradient(f, point, accuracy=6, args=tuple(args), kwargs=kwargs)

    check = check_jacobian(grad or by_numbers, hess, x, mode=mode, budget=budget, seed=seed, args=args, kwargs=kwargs)
    return worst([check], notes)


def check_hvp(
    f: Callable[..., Any],
    hvp: Callable[..., Any],
    x: Any,
    *,
    grad: Callable[..., Any] | None = None,
    samples: int = 2,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Check a product of the Hessian with a vector: ``hvp(x, v)`` must be the gradient of the slope of f along v.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns one number; used where there is no `grad`.
    hvp : callable
        ``hvp(x, v)`` for a v in the structure of `x` returns H v in the same structure.
    x : array, number or tree of arrays
        The point.
    grad : callable, optional
        The gradient, checked elsewhere. Without it the slope along v is a difference of values of f, which costs six
        times as many evaluations and some digits.
    samples : int
        How many random v.
    mode, budget, seed, args, kwargs
        As in `check_gradient`; the budget is for each v, and counts slopes along v.

    Returns
    -------
    GradientCheck
        The worst one of all v; its entries are those of H v. Notes: ``"not-symmetric"`` where <u, H v> is not
        <H u, v>, ``"not-linear"``; both need no step.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[2.0, 1.0], [1.0, 4.0]])
    >>> f = lambda x: 0.5 * x @ A @ x
    >>> check_hvp(f, lambda x, v: A @ v, [1.0, -1.0]).verdict
    'agrees'
    >>> check_hvp(f, lambda x, v: np.triu(A) @ v, [1.0, -1.0]).notes[0].label
    'not-symmetric'
    """
    kwargs = dict(kwargs or {})
    vector, tree = flatten(x)
    notes = _symmetric_products(hvp, vector, tree, seed)
    if grad is not None:
        known = grad

        def flat_gradient(point: Any, *args: Any, **kwargs: Any) -> Any:
            return tree.collect(known(point, *args, **kwargs))[0]

        def along(point: Any, v: Any) -> Any:
            return hvp(point, tree.unflatten(np.array(v, dtype=float)))

        check = check_vjp(
            flat_gradient, along, x, samples=samples, mode=mode, budget=budget, seed=seed, args=args, kwargs=kwargs
        )
        return worst([check], notes)
    checks = []
    scales = Scales.of(tree, vector, np.zeros(vector.size)).x
    for number in range(samples):
        v = weights(vector.size, seed, number)
        for leaf, size in zip(tree.leaves, scales, strict=True):
            v[leaf.start : leaf.stop] *= size
        slope_of = _Along(f, tree, v, args, kwargs)

        def gradient(point: Any, v: Vector = v) -> Any:
            return hvp(point, tree.unflatten(v.copy()))

        checks.append(check_gradient(slope_of, gradient, x, mode=mode, budget=budget, seed=seed + number))
    return worst(checks, notes)


class _Along:
    """The slope of f along v as a function of the point, from six values of f (weights of order six; Fornberg 1988)."""

    def __init__(
        self, f: Callable[..., Any], tree: Tree, v: Vector, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self.f, self.tree, self.v, self.args, self.kwargs = f, tree, v, args, kwargs

    def __call__(self, point: Any) -> float:
        at = self.tree.collect(point)[0]
        h, total = 2.0**-7, 0.0
        for k, weight in ((1, 0.75), (2, -0.15), (3, 1.0 / 60.0)):
            for sign in (1.0, -1.0):
                moved = self.tree.unflatten(at + sign * k * h * self.v)
                total += sign * weight * float(self.f(moved, *self.args, **self.kwargs))
        return total / h


def _symmetric(value: Any, n: int) -> list[Note]:
    """Whether a matrix is symmetric; a sparse one stays sparse."""
    if hasattr(value, "tocoo"):
        if value.shape != (n, n):
            return []
        apart, filled = (value - value.T).tocoo(), value.tocoo()
        sizes = np.abs(apart.data)
        if not np.any(sizes > 1e-10 * rms(np.asarray(filled.data, dtype=float))):
            return []
        k = int(np.argmax(sizes))
        i, j = sorted((int(apart.row[k]), int(apart.col[k])))
        matrix = value.tocsr()
        upper, lower = float(matrix[i, j]), float(matrix[j, i])
        half = not np.any(filled.row < filled.col) or not np.any(filled.row > filled.col)
    else:
        matrix = np.asarray(value, dtype=float)
        if matrix.size != n**2:
            return []
        matrix = matrix.reshape(n, n)
        dense = np.abs(matrix - matrix.T)
        if not np.any(dense > 1e-10 * rms(matrix.reshape(-1))):
            return []
        i, j = (int(k) for k in np.unravel_index(int(np.argmax(np.triu(dense))), dense.shape))
        upper, lower = float(matrix[i, j]), float(matrix[j, i])
        half = not np.triu(matrix, 1).any() or not np.tril(matrix, -1).any()
    message = f"the Hessian is not symmetric: [{i}, {j}] is {upper:.9g} and [{j}, {i}] is {lower:.9g}"
    return [Note("not-symmetric", message + ("; only one triangle is filled" if half else ""))]


def _symmetric_products(hvp: Callable[..., Any], x: Vector, tree: Tree, seed: int) -> list[Note]:
    """<u, H v> = <H u, v>, and linearity: exact up to rounding, without any step."""
    scales = Scales.of(tree, x, np.zeros(x.size)).x

    def vector(number: int) -> Vector:
        v = weights(x.size, seed, number)
        for leaf, size in zip(tree.leaves, scales, strict=True):
            v[leaf.start : leaf.stop] *= size
        return v

    def product(v: Vector) -> Vector:
        return tree.collect(hvp(tree.unflatten(x.copy()), tree.unflatten(v.copy())))[0]

    u, v = vector(4), vector(5)
    hu, hv, both = product(u), product(v), product(2.0 * u - 3.0 * v)
    notes = []
    left, right = float(np.dot(u, hv)), float(np.dot(hu, v))
    size = float(np.linalg.norm(u * hv) + np.linalg.norm(hu * v))
    if abs(left - right) > 1e-9 * size:
        notes.append(
            Note("not-symmetric", f"the Hessian is not symmetric: <u, H v> is {left:.9g} and <H u, v> is {right:.9g}")
        )
    if np.any(np.abs(both - (2.0 * hu - 3.0 * hv)) > 1e-4 * (rms(hu) + rms(hv) + rms(both))):
        message = "the product is not linear in the vector: it must not depend on it in any other way"
        notes.append(Note("not-linear", message))
    return notes
