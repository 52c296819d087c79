"""Vector functions: the residuals and objectives of More, Garbow & Hillstrom (1981) and the models of NIST's StRD.

Written over a namespace (see `exact`), so that their Jacobians are exact without a line of differentiation by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import exact
from .scalar import Problem
from .strd import STRD, Model

Vector = Callable[[Any, Any], list[Any]]


def _rosenbrock(ns: Any, x: Any) -> list[Any]:
    return [10 * (x[1] - x[0] * x[0]), 1 - x[0]]


def _freudenstein(ns: Any, x: Any) -> list[Any]:
    return [-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]]


def _powell_bad(ns: Any, x: Any) -> list[Any]:
    return [1e4 * x[0] * x[1] - 1, ns.exp(-x[0]) + ns.exp(-x[1]) - 1.0001]


def _brown_bad(ns: Any, x: Any) -> list[Any]:
    return [x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2]


def _beale(ns: Any, x: Any) -> list[Any]:
    return [y - x[0] * (1 - x[1] ** (i + 1)) for i, y in enumerate((1.5, 2.25, 2.625))]


def _jennrich(ns: Any, x: Any) -> list[Any]:
    return [2 + 2 * i - (ns.exp(i * x[0]) + ns.exp(i * x[1])) for i in range(1, 11)]


def _helical(ns: Any, x: Any) -> list[Any]:
    theta = ns.atan(x[1] / x[0]) / (2 * math.pi) + (0.5 if x[0] < 0 else 0.0)
    return [10 * (x[2] - 10 * theta), 10 * (ns.sqrt(x[0] * x[0] + x[1] * x[1]) - 1), x[2] * 1]


_BARD = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)


def _bard(ns: Any, x: Any) -> list[Any]:
    out = []
    for i, y in enumerate(_BARD, start=1):
        v, w = 16 - i, min(i, 16 - i)
        out.append(y - (x[0] + i / (v * x[1] + w * x[2])))
    return out


_GAUSS = (0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989)


def _gaussian(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(15):
        t = (7 - i) / 2
        out.append(x[0] * ns.exp(-x[1] * (t - x[2]) ** 2 / 2) - _GAUSS[min(i, 14 - i)])
    return out


def _meyer(ns: Any, x: Any) -> list[Any]:
    return [x[0] * ns.exp(x[1] / (45 + 5 * i + x[2])) - 10000.0 for i in range(1, 17)]


def _gulf(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(1, 11):
        t = i / 100
        y = 25 + (-50 * math.log(t)) ** (2 / 3)
        out.append(ns.exp(-(abs(y - x[1]) ** x[2]) / x[0]) - t)
    return out


def _box3(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(1, 11):
        t = 0.1 * i
        out.append(ns.exp(-t * x[0]) - ns.exp(-t * x[1]) - x[2] * (math.exp(-t) - math.exp(-10 * t)))
    return out


def _powell_singular(ns: Any, x: Any) -> list[Any]:
    return [
        x[0] + 10 * x[1],
        math.sqrt(5) * (x[2] - x[3]),
        (x[1] - 2 * x[2]) ** 2,
        math.sqrt(10) * (x[0] - x[3]) ** 2,
    ]


def _wood(ns: Any, x: Any) -> list[Any]:
    return [
        10 * (x[1] - x[0] * x[0]),
        1 - x[0],
        math.sqrt(90) * (x[3] - x[2] * x[2]),
        1 - x[2],
        math.sqrt(10) * (x[1] + x[3] - 2),
        (x[1] - x[3]) / math.sqrt(10),
    ]


_KOWALIK_Y = (0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
_KOWALIK_U = (4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)


def _kowalik(ns: Any, x: Any) -> list[Any]:
    return [
        y - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3]) for y, u in zip(_KOWALIK_Y, _KOWALIK_U, strict=True)
    ]


def _brown_dennis(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(1, 21):
        t = i / 5
        a, b = x[0] + t * x[1] - math.exp(t), x[2] + x[3] * math.sin(t) - math.cos(t)
        out.append(a * a + b * b)
    return out


def _osborne1(ns: Any, x: Any) -> list[Any]:
    return [x[0] + x[1] * ns.exp(-10 * i * x[3]) + x[2] * ns.exp(-10 * i * x[4]) - 0.8 for i in range(0, 33, 4)]


def _exp6(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(1, 14):
        t = 0.1 * i
        y = math.exp(-t) - 5 * math.exp(-10 * t) + 3 * math.exp(-4 * t)
        out.append(x[2] * ns.exp(-t * x[0]) - x[3] * ns.exp(-t * x[1]) + x[5] * ns.exp(-t * x[4]) - y)
    return out


def _osborne2(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(0, 65, 6):
        t = i / 10
        out.append(
            1.0
            - x[0] * ns.exp(-t * x[4])
            - x[1] * ns.exp(-((t - x[8]) ** 2) * x[5])
            - x[2] * ns.exp(-((t - x[9]) ** 2) * x[6])
            - x[3] * ns.exp(-((t - x[10]) ** 2) * x[7])
        )
    return out


def _watson(ns: Any, x: Any) -> list[Any]:
    out = []
    for i in range(1, 30, 4):
        t = i / 29
        a = sum(j * x[j] * t ** (j - 1) for j in range(1, len(x)))
        b = sum(x[j] * t**j for j in range(len(x)))
        out.append(a - b * b - 1)
    return [*out, x[0] * 1, x[1] - x[0] * x[0] - 1]


def _penalty1(ns: Any, x: Any) -> list[Any]:
    return [math.sqrt(1e-5) * (v - 1) for v in x] + [sum(v * v for v in x) - 0.25]


def _penalty2(ns: Any, x: Any) -> list[Any]:
    n, a = len(x), math.sqrt(1e-5)
    out = [x[0] - 0.2]
    for i in range(1, n):
        y = math.exp((i + 1) / 10) + math.exp(i / 10)
        out.append(a * (ns.exp(x[i] / 10) + ns.exp(x[i - 1] / 10) - y))
    for i in range(1, n):
        out.append(a * (ns.exp(x[i] / 10) - math.exp(-0.1)))
    return [*out, sum((n - j) * x[j] * x[j] for j in range(n)) - 1]


def _variably(ns: Any, x: Any) -> list[Any]:
    s = sum((j + 1) * (v - 1) for j, v in enumerate(x))
    return [v - 1 for v in x] + [s, s * s]


def _trigonometric(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    total = sum(ns.cos(v) for v in x)
    return [n - total + (i + 1) * (1 - ns.cos(x[i])) - ns.sin(x[i]) for i in range(n)]


def _brown_linear(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    total, product = sum(x), 1
    for v in x:
        product = product * v
    return [x[i] + total - (n + 1) for i in range(n - 1)] + [product - 1]


def _boundary(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    h = 1 / (n + 1)
    out = []
    for i in range(n):
        left, right = (x[i - 1] if i else 0), (x[i + 1] if i < n - 1 else 0)
        out.append(2 * x[i] - left - right + h * h * (x[i] + (i + 1) * h + 1) ** 3 / 2)
    return out


def _integral(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    h = 1 / (n + 1)
    cube = [(x[j] + (j + 1) * h + 1) ** 3 for j in range(n)]
    out = []
    for i in range(n):
        t = (i + 1) * h
        low = sum((j + 1) * h * cube[j] for j in range(i + 1))
        high = sum((1 - (j + 1) * h) * cube[j] for j in range(i + 1, n))
        out.append(x[i] + h * ((1 - t) * low + t * high) / 2)
    return out


def _broyden3(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    return [(3 - 2 * x[i]) * x[i] - (x[i - 1] if i else 0) - 2 * (x[i + 1] if i < n - 1 else 0) + 1 for i in range(n)]


def _broyden_band(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    out = []
    for i in range(n):
        s = sum(x[j] * (1 + x[j]) for j in range(max(0, i - 5), min(n, i + 2)) if j != i)
        out.append(x[i] * (2 + 5 * x[i] * x[i]) + 1 - s)
    return out


def _linear(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    total = sum(x)
    return [x[i] - 0.4 * total - 1 for i in range(n)] + [-0.4 * total - 1]


def _rank1(ns: Any, x: Any) -> list[Any]:
    s = sum((j + 1) * v for j, v in enumerate(x))
    return [(i + 1) * s - 1 for i in range(4)]


def _chebyquad(ns: Any, x: Any) -> list[Any]:
    n = len(x)
    out = []
    for i in range(1, n + 1):
        total = 0
        for v in x:
            a, b = 1, 2 * v - 1
            for _ in range(i - 1):
                a, b = b, 2 * (2 * v - 1) * b - a
            total = total + b
        out.append(total / n - (0 if i % 2 else -1 / (i * i - 1)))
    return out


_TENTH = 1 / 11
MGH: list[tuple[str, Vector, list[float]]] = [
    ("Rosenbrock", _rosenbrock, [-1.2, 1.0]),
    ("Freudenstein-Roth", _freudenstein, [0.5, -2.0]),
    ("Powell badly scaled", _powell_bad, [0.0, 1.0]),
    ("Powell badly scaled, solved", _powell_bad, [1.098e-5, 9.106]),
    ("Brown badly scaled", _brown_bad, [1.0, 1.0]),
    ("Brown badly scaled, solved", _brown_bad, [1e6, 2e-6]),
    ("Beale", _beale, [1.0, 1.0]),
    ("Jennrich-Sampson", _jennrich, [0.3, 0.4]),
    ("Helical valley", _helical, [-1.0, 0.0, 0.0]),
    ("Bard", _bard, [1.0, 1.0, 1.0]),
    ("Gaussian", _gaussian, [0.4, 1.0, 0.0]),
    ("Meyer", _meyer, [0.02, 4000.0, 250.0]),
    ("Gulf", _gulf, [5.0, 2.5, 0.15]),
    ("Box 3D", _box3, [0.0, 10.0, 20.0]),
    ("Powell singular", _powell_singular, [3.0, -1.0, 0.0, 1.0]),
    ("Wood", _wood, [-3.0, -1.0, -3.0, -1.0]),
    ("Kowalik-Osborne", _kowalik, [0.25, 0.39, 0.415, 0.39]),
    ("Brown-Dennis", _brown_dennis, [25.0, 5.0, -5.0, -1.0]),
    ("Osborne 1", _osborne1, [0.5, 1.5, -1.0, 0.01, 0.02]),
    ("Biggs EXP6", _exp6, [1.0, 2.0, 1.0, 1.0, 1.0, 1.0]),
    ("Osborne 2", _osborne2, [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5]),
    ("Watson", _watson, [0.0] * 6),
    ("Penalty I", _penalty1, [1.0, 2.0, 3.0, 4.0]),
    ("Penalty II", _penalty2, [0.5] * 4),
    ("Variably dimensioned", _variably, [1 - (j + 1) / 5 for j in range(5)]),
    ("Trigonometric", _trigonometric, [0.2] * 5),
    ("Brown almost linear", _brown_linear, [0.5] * 5),
    ("Discrete boundary value", _boundary, [t * _TENTH * (t * _TENTH - 1) for t in range(1, 11)]),
    ("Discrete integral", _integral, [t * _TENTH * (t * _TENTH - 1) for t in range(1, 11)]),
    ("Broyden tridiagonal", _broyden3, [-1.0] * 6),
    ("Broyden banded", _broyden_band, [-1.0] * 8),
    ("Linear full rank", _linear, [1.0] * 5),
    ("Linear rank 1", _rank1, [1.0] * 4),
    ("Chebyquad", _chebyquad, [j / 9 for j in range(1, 9)]),
]


def _power_problem(name: str, group: str, f: Vector, x: list[float]) -> Problem:
    def evaluate(v: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.array([float(y) for y in f(exact.FLOAT, list(np.float64(v)))])

    truth = exact.jacobian(f, x)
    return Problem(name, group, evaluate, np.array(x, dtype=float), truth.astype(float))


def mgh_problems() -> list[Problem]:
    """Each residual vector's Jacobian, and the gradient of its sum of squares."""
    out = []
    for name, f, x in MGH:
        out.append(_power_problem(name, "MGH Jacobian", f, x))

        def objective(ns: Any, v: Any, f: Vector = f) -> list[Any]:
            total: Any = 0.0
            for y in f(ns, v):
                total = y * y + total
            return [total]

        out.append(_power_problem(name, "MGH gradient", objective, x))
    return out


def strd_problems() -> list[Problem]:
    out = []
    for name, model, predictors, start, certified in STRD:
        for label, b in (("start", start), ("certified", certified)):

            def values(ns: Any, v: Any, model: Model = model, predictors: list[float] = predictors) -> list[Any]:
                return [model(ns, v, t) for t in predictors]

            out.append(_power_problem(f"{name} at its {label}", "NIST", values, [float(c) for c in b]))
    return out


def mixed_problems() -> list[Problem]:
    """Outputs of different scale and character in one function, and inputs of different magnitudes."""

    def outputs(ns: Any, x: Any) -> list[Any]:
        t = x[0]
        return [ns.exp(t), 1e-200 * ns.sin(t), ns.sin(300 * t), 1e12 + t * t, 0 * t + 3, 1e150 * t, ns.exp(-1e4 * t)]

    def scales(ns: Any, x: Any) -> list[Any]:
        return [x[0] * 1e-6 + ns.sin(1e6 * x[1]), x[0] * x[1], ns.log(x[0]) + 1e3 * x[1]]

    def sum_scales(ns: Any, x: Any) -> list[Any]:
        return [(x[0] / 1e6) ** 2 + ns.exp(1e6 * x[1])]

    def oscillators(ns: Any, x: Any) -> list[Any]:
        return [ns.sin((4**k) * x[0]) for k in range(8)]

    return [
        _power_problem("seven kinds of output", "mixed", outputs, [1.0]),
        _power_problem("scales 1e6 and 1e-6", "mixed", scales, [1e6, 1e-6]),
        _power_problem("objective with scales 1e6 and 1e-6", "mixed", sum_scales, [1e6, 1e-6]),
        _power_problem("sin(4^k x)", "mixed", oscillators, [1.0]),
    ]


def vector_problems() -> list[Problem]:
    return [*mgh_problems(), *strd_problems(), *mixed_problems()]
