"""Derivatives along a direction: the product of the Jacobian with a vector, and the operator that gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore._extras import require
from fdcore.callbacks import recognise
from fdcore.coerce import as_vector, bind
from fdcore.errors import ShapeError
from fdcore.plan import Jacobian

Array = NDArray[np.float64]


def reach(x: Array, v: Array) -> float:
    """How far x moves along v, each component against its own scale: the largest of abs(v_i) / max(1, abs(x_i))."""
    return float(np.max(np.abs(v) / np.maximum(1.0, np.abs(x)), initial=0.0))


def jvp(
    f: Any,
    x: ArrayLike,
    v: ArrayLike,
    *,
    method: str = "central",
    accuracy: int | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    f0: ArrayLike | None = None,
) -> Any:
    """Product of the Jacobian of f with a vector: the derivative of f along v, without the Jacobian.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs)`` returns a scalar or (m,) values, for x of shape (n,).
    x, v : (n,) array_like
        Where, and the direction; of any length.
    method, accuracy
        As for `gradient`.
    args, kwargs
        What f gets after x.
    f0 : float or (m,) array_like, optional
        f(x), where it is known: forward and backward differences need it.

    Returns
    -------
    (m,) ndarray
        ``J @ v``.

    Notes
    -----
    Cost: `accuracy` evaluations for central rules, whatever n is, and f(x) unless `f0` is given. The step along v moves
    the component that moves most, against its own scale ``max(1, abs(x_i))``, by the rule step.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> fd.jvp(lambda x: np.array([x[0] * x[1], x[1] ** 2]), [2.0, 3.0], [1.0, 1.0]).round(8)
    array([5., 6.])
    """
    point, direction = as_vector(x), as_vector(v, "v")
    if point.shape != direction.shape:
        raise ShapeError(f"v has shape {direction.shape} and x has {point.shape}")
    native = recognise(f)
    function = native if native is not None else bind(f, (args, kwargs or {})) if args or kwargs else f
    size = reach(point, direction)
    if size == 0.0:
        return np.zeros_like(np.atleast_1d(np.asarray(function(point.copy()), dtype=np.float64)))

    def along(t: Array) -> Any:
        return function(point + (t[0] / size) * direction)

    plan = Jacobian(along, method=method, accuracy=accuracy)
    return plan(np.zeros(1), f0=f0)[:, 0] * size


def linear_operator(f: Any, x: ArrayLike, **options: Any) -> Any:
    """Jacobian of f at x as an operator: gives ``J @ v`` for any v and never holds J.

    Parameters
    ----------
    f, x, **options
        As for `jvp`.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of shape (m, n), with `matvec`. Needs the extra ``sparse``.

    Notes
    -----
    Cost: one evaluation here, then `accuracy` (2 by default) for each product.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> J = fd.linear_operator(lambda x: np.array([x[0] * x[1], x[1] ** 2]), [2.0, 3.0])
    >>> J.shape, (J @ [1.0, 0.0]).round(8)
    ((2, 2), array([3., 0.]))
    """
    linalg = require("scipy.sparse.linalg", extra="sparse", feature="linear_operator")
    point = as_vector(x).copy()
    native = recognise(f)
    function = native if native is not None else f
    keywords = dict(options.get("kwargs") or {})
    f0 = np.atleast_1d(np.asarray(function(point.copy(), *options.get("args", ()), **keywords), dtype=np.float64))

    def matvec(v: Array) -> Array:
        product: Array = jvp(f, point, np.ravel(v), f0=f0, **options)
        return product

    return linalg.LinearOperator((f0.size, point.size), matvec=matvec, dtype=np.float64)
