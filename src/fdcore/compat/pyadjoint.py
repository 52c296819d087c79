"""`taylor_test` as in pyadjoint and dolfin-adjoint, for anything that flattens to numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdcore.check.taylor import taylor_test as _taylor_test
from fdcore.tree import flatten

__all__ = ["taylor_test"]


def taylor_test(J: Callable[[Any], float], m: Any, h: Any, dJdm: Any = None, Hm: Any = None, v: Any = None) -> float:
    """Rate at which the Taylor remainder of a functional falls: 2 if its derivative is right.

    Parameters
    ----------
    J : callable
        The functional; its ``derivative()`` is used where `dJdm` is None and it has one.
    m, h : array, number or tree of arrays
        The point and the direction.
    dJdm : number or like `m`, optional
        The derivative along `h`, or the gradient. 0 leaves it out: the rate then should be 1.
    Hm : number or like `m`, optional
        The second derivative along `h` twice, or the Hessian times `h`; the rate then should be 3.
    v : optional
        Not used.

    Returns
    -------
    float
        The rate where it can be seen: where remainders are above the rounding of J, and steps small. Infinite where
        the polynomial is exact.

    Examples
    --------
    >>> round(taylor_test(lambda m: m**3, 2.0, 1.0, dJdm=12.0), 1)
    2.0
    >>> round(taylor_test(lambda m: m**3, 2.0, 1.0, dJdm=11.0), 1)
    1.0
    """
    vector, tree = flatten(m)
    along = tree.collect(h)[0]
    if dJdm is None and hasattr(J, "derivative"):
        J(m)
        dJdm = J.derivative()

    def whole(value: Any) -> Any:
        """A derivative along h as a gradient that has it."""
        if np.ndim(value) == 0 and not isinstance(value, (dict, list, tuple)) and vector.size >= 1:
            return tree.unflatten(float(value) * along / float(np.dot(along, along)))
        return value

    gradient = None if dJdm is None else whole(dJdm)
    second = None if Hm is None else (lambda point, direction: whole(Hm))
    return _taylor_test(J, gradient, m, h, hessian_product=second).rate
