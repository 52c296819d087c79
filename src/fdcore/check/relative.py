"""The relative errors that tutorials and papers use, by name. fdcore shows them; it does not decide by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdcore.errors import ArgumentError, ShapeError
from fdcore.tree import flatten

__all__ = ["error_band", "relative_error"]

_BANDS = ((1e-7, "correct"), (1e-5, "probably correct"), (1e-3, "suspicious"))


def relative_error(a: Any, b: Any, kind: str = "norm") -> Any:
    """Relative difference of two gradients, in one of the forms in use.

    Parameters
    ----------
    a, b : array or tree of arrays
        Analytic and numeric gradient; all forms are symmetric. Trees need the same structure.
    kind : {"norm", "elementwise", "sum"}
        ``"norm"``: ``norm(a - b) / (norm(a) + norm(b))``, one number; see `error_band`.
        ``"elementwise"``: ``abs(a - b) / max(abs(a), abs(b), 1e-12)``, for each entry.
        ``"sum"``: ``abs(a - b) / max(1e-8, abs(a) + abs(b))``, for each entry.

    Returns
    -------
    float, array or tree
        A number for ``"norm"``, otherwise one number per entry in the shape (or tree) of `a`. 0 where both are
        exactly 0; NaN where one is NaN, and where both are infinite.

    Raises
    ------
    ArgumentError
        `kind` is none of the three.
    ShapeError
        `a` and `b` differ in structure or shape.

    Notes
    -----
    None of them can tell a wrong gradient from an imprecise difference, and each has an absolute constant or a norm
    that hides something: ``"norm"`` hides small entries behind large ones, the other two call any pair of numbers far
    below 1e-12 (1e-8) equal. `fdcore.check_gradient` decides by an error bar instead. No evaluations.

    Examples
    --------
    >>> relative_error([1.0, 2.0], [1.0, 2.0])
    0.0
    >>> relative_error([1.0, 2.0], [1.0, -2.0], kind="elementwise")
    array([0., 2.])
    """
    u, tree = flatten(a)
    v, problems = tree.collect(b)
    if problems:
        raise ShapeError(f"the gradients differ: {problems[0].message}")
    if kind == "norm":
        # Scaled first: squares of numbers near 1e-200 or 1e200 are 0 or inf.
        scale = max(np.max(np.abs(u), initial=0.0), np.max(np.abs(v), initial=0.0))
        if scale == 0.0:
            return 0.0
        u, v = u / scale, v / scale
        return float(np.linalg.norm(u - v) / (np.linalg.norm(u) + np.linalg.norm(v)))
    if kind == "elementwise":
        bottom = np.maximum(np.maximum(np.abs(u), np.abs(v)), 1e-12)
    elif kind == "sum":
        bottom = np.maximum(np.abs(u) + np.abs(v), 1e-8)
    else:
        raise ArgumentError(f"kind must be 'norm', 'elementwise' or 'sum', not {kind!r}")
    with np.errstate(invalid="ignore"):
        return tree.unflatten(np.abs(u - v) / bottom)


def error_band(error: float) -> str:
    """Name the band that tutorials put a relative error of kind ``"norm"`` in.

    Below 1e-7 "correct", below 1e-5 "probably correct", below 1e-3 "suspicious", from there on (and for NaN) "bug".

    Examples
    --------
    >>> error_band(3e-6)
    'probably correct'
    """
    return next((name for limit, name in _BANDS if error < limit), "bug")
