"""The slow oracle: derivatives by the definition, in plain NumPy and exact rationals, one component at a time.

Shares nothing with the package: the weights come from solving for them in fractions here.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import numpy as np


def weights(offsets, order):
    """Exact weights by Gaussian elimination on the moment conditions."""
    k = len(offsets)
    rows = [[Fraction(o) ** i for o in offsets] + [Fraction(factorial(order) if i == order else 0)] for i in range(k)]
    for i in range(k):
        pivot = next(r for r in range(i, k) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(k):
            if r != i and rows[r][i]:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def offsets_of(method, accuracy, order=1):
    """Offsets of a rule, in units of the step."""
    if method == "forward":
        return list(range(order + accuracy))
    if method == "backward":
        return [-k for k in range(order + accuracy)]
    reach = (order + 1) // 2 + accuracy // 2 - 1
    return [k for k in range(-reach, reach + 1) if k or order % 2 == 0]


def rule_step(method, accuracy, order=1, precision=2.0**-53):
    """The step that balances truncation and rounding where everything is of size one."""
    offsets = offsets_of(method, accuracy, order)
    w = weights(offsets, order)
    norm = float(sum(map(abs, w)))
    moment = abs(float(sum(a * Fraction(o) ** (order + accuracy) for a, o in zip(w, offsets, strict=True))))
    constant = order / accuracy * factorial(order + accuracy) * norm / moment
    return (constant * precision) ** (1 / (order + accuracy))


def jacobian(f, x, method="central", accuracy=2, h=None):
    """(m, n) Jacobian of f: R^n -> R^m, with the step `h` (n,) or the rule step."""
    x = np.asarray(x, dtype=float)
    if h is None:
        h = rule_step(method, accuracy) * np.maximum(1.0, np.abs(x))
    h = np.broadcast_to(np.asarray(h, dtype=float), x.shape)
    offsets = offsets_of(method, accuracy)
    w = weights(offsets, 1)
    columns = []
    for j in range(x.size):
        column = 0.0
        for offset, weight in zip(offsets, w, strict=True):
            point = x.copy()
            point[j] += offset * h[j]
            column = column + float(weight) * np.atleast_1d(np.asarray(f(point), dtype=float))
        columns.append(column / h[j])
    return np.array(columns).T


def floor(method, accuracy, x, scale, precision=2.0**-52):
    """How far two computations of the same difference may lie apart, given |f| <= scale: the rounding floor."""
    h = rule_step(method, accuracy) * np.maximum(1.0, np.abs(np.asarray(x, dtype=float)))
    norm = float(sum(map(abs, weights(offsets_of(method, accuracy), 1))))
    return 4 * norm * precision * scale / h
