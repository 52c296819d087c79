"""Hessians from values against exact ones: how many bars hold, and how tight they are."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

pytest.importorskip("scipy", reason="the corpus has Bessel functions from SciPy")

import fdcore as fd

from . import vector
from .exact import DUAL, FLOAT, Dual

Function = Callable[[Any, Any], Any]

# Residuals of Moré, Garbow and Hillstrom, and how many variables.
RESIDUALS = {
    "rosenbrock": 10, "freudenstein": 2, "powell_bad": 2, "brown_bad": 2, "beale": 2, "helical": 3, "bard": 3,
    "gaussian": 3, "box3": 3, "powell_singular": 4, "wood": 4, "kowalik": 4, "brown_dennis": 4, "osborne1": 5,
    "exp6": 6, "variably": 6, "trigonometric": 5, "broyden3": 6, "broyden_band": 6, "penalty1": 4, "chebyquad": 5,
    "integral": 5, "boundary": 5,
}  # fmt: skip
ELEMENTARY = "exp sin cos tan atan tanh log sqrt erf sinh cosh asinh expm1 log1p".split()


def _exact(f: Function, x: list[float]) -> np.ndarray:
    """Second derivatives as central differences of exact first ones, in 120 digits with a step of 1e-40."""
    n, h = len(x), mpmath.mpf(10) ** -40
    out = np.empty((n, n))
    with mpmath.workdps(120):
        for j in range(n):
            for i in range(j, n):
                up, down = (
                    f(DUAL, [Dual(mpmath.mpf(v) + s * h * (k == j), int(k == i)) for k, v in enumerate(x)]).d
                    for s in (1, -1)
                )
                out[i, j] = out[j, i] = float((up - down) / (2 * h))
    return out


def _sum_of_squares(residuals: Callable[[Any, Any], list[Any]]) -> Function:
    def f(ns: Any, x: Any) -> Any:
        total: Any = 0.0
        for r in residuals(ns, x):
            total = r * r + total
        return total

    return f


def _random(rng: random.Random, n: int) -> Function:
    """A sum of elementary functions of sums and products of a few of the variables."""

    def term() -> tuple[float, list[int], list[float], str, str]:
        factors = [rng.choice((1, 1, -1)) * rng.uniform(0.3, 3) for _ in range(3)]
        return rng.random(), [rng.randrange(n) for _ in range(3)], factors, *rng.choices(ELEMENTARY, k=2)

    terms = [term() for _ in range(rng.randint(2, 2 * n))]

    def f(ns: Any, x: Any) -> Any:
        total: Any = 0.0
        for kind, at, c, one, other in terms:
            u, v, w = (x[k] for k in at)
            g, h = getattr(ns, one), getattr(ns, other)
            if kind < 0.3:
                term = c[2] * g(c[0] * u + c[1] * v)
            elif kind < 0.5:
                term = c[2] * g(u) * h(c[1] * v)
            elif kind < 0.7:
                term = c[2] * g(u * v)
            elif kind < 0.85:
                term = c[2] * u * v * w
            else:
                term = g(c[0] * u + c[1] * v) / (1 + w * w)
            total = total + term
        return total

    return f


@functools.cache
def _corpus(seed: int) -> list[tuple[Function, list[float], np.ndarray]]:
    rng = random.Random(seed)
    problems: list[tuple[Function, list[float]]] = []
    for name, n in RESIDUALS.items():
        f = _sum_of_squares(getattr(vector, f"_{name}"))
        problems += [(f, [rng.uniform(0.4, 1.6) for _ in range(n)]) for _ in range(2)]
    while len(problems) < 150:
        n = rng.randint(1, 6)
        f, x = _random(rng, n), [rng.choice((1, 1, -1)) * rng.uniform(0.3, 2.5) for _ in range(n)]
        value = f(FLOAT, x)
        if math.isfinite(value) and abs(value) < 1e8:
            problems.append((f, x))
    out = [(f, x, _exact(f, x)) for f, x in problems]
    return [problem for problem in out if np.isfinite(problem[2]).all()]


def _figures(seed: int, accuracy: int) -> tuple[float, float, float]:
    """Percent of entries right to 1e-6 of the largest, percent within their bar, and the median of bar / error."""
    right, held, ratios = [], [], []
    for f, x, exact in _corpus(seed):
        result = fd.hessian(lambda p, f=f: f(FLOAT, list(p)), x, accuracy=accuracy, full_output=True)
        entries = np.tril_indices(len(x))
        off, bar = np.abs(result.value - exact)[entries], result.error[entries]
        right += list(off <= 1e-6 * np.abs(exact).max())
        held += list(off <= bar)
        ratios += list(bar[off > 0] / off[off > 0])
    return 100 * np.mean(right), 100 * np.mean(held), float(np.median(ratios))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("accuracy", "width"), [(2, 80), (4, 65)])
def test_bars_of_hessians_hold_and_are_tight(seed, accuracy, width):
    right, held, ratio = _figures(seed, accuracy)
    assert right >= 94
    assert held >= 98.5
    assert ratio <= width
