"""What a method's numbers are worth: the figures for one method over a list of problems."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .scalar import Problem

_EPS = np.finfo(float).eps
_RULES = [  # offsets, weights of f'
    ((-3, -2, -1, 1, 2, 3), (-1 / 60, 3 / 20, -3 / 4, 3 / 4, -3 / 20, 1 / 60)),
    ((-2, -1, 1, 2), (1 / 12, -2 / 3, 2 / 3, -1 / 12)),
    ((-1, 1), (-0.5, 0.5)),
    ((0, 1, 2, 3, 4, 5, 6), (-2.45, 6, -7.5, 20 / 3, -3.75, 1.2, -1 / 6)),
    ((0, 1, 2), (-1.5, 2, -0.5)),
    ((0, -1, -2, -3, -4, -5, -6), (2.45, -6, 7.5, -20 / 3, 3.75, -1.2, 1 / 6)),
    ((0, -1, -2), (1.5, -2, 0.5)),
]


def attainable(problem: Problem, j: int) -> np.ndarray:
    """The error (m,) that textbook rules of order 2 to 6 reach along x[j] with the best step, had one known it.

    The step is looked for on a grid of powers of two, and has to be good together with both its neighbours, so that a
    lucky cancellation does not count.
    """
    x = problem.x
    exponents = [*range(-12, 60)] if x[j] else [*range(-12, 60), *range(60, 1060, 4)]
    scale = 2.0 ** round(math.log2(abs(x[j]))) if x[j] else 1.0
    cache: dict[float, np.ndarray] = {}

    def value(t: float) -> np.ndarray:
        if t not in cache:
            point = x.copy()
            point[j] += t
            cache[t] = np.asarray(problem.f(point), dtype=float)
        return cache[t]

    m = problem.exact.shape[0]
    errors = np.full((len(exponents), len(_RULES), m), np.inf)
    with np.errstate(all="ignore"):
        for k, exponent in enumerate(exponents):
            h = scale * 2.0**-exponent
            if h == 0 or x[j] + h == x[j] or not math.isfinite(x[j] + 6 * h):
                continue
            for r, (offsets, weights) in enumerate(_RULES):
                y = sum(w * value(o * h) for o, w in zip(offsets, weights, strict=True)) / h
                error = np.abs(y - problem.exact[:, j])
                errors[k, r] = np.where(np.isfinite(error), error, np.inf)
    three = np.maximum(np.maximum(errors[:-2], errors[1:-1]), errors[2:])
    return three.min(axis=(0, 1))


def rounding(problem: Problem) -> np.ndarray:
    """100 rounding errors over an eighth of |x| (or of 1), (m, n): what a derivative that vanishes is compared with."""
    out = np.zeros(problem.exact.shape)
    for j, x in enumerate(problem.x):
        step = abs(x) / 8 or 0.125
        for sign in (-1, 0, 1):
            point = problem.x.copy()
            point[j] += sign * step
            size = np.abs(np.asarray(problem.f(point), dtype=float))
            out[:, j] = np.fmax(out[:, j], 100 * _EPS * np.where(np.isfinite(size), size, 0) / step)
    return np.where(np.abs(problem.exact) < out, out, 0)


_limits: dict[int, tuple[Problem, np.ndarray]] = {}  # by id; the problem is held, so that no other gets its id


def limits(problem: Problem) -> np.ndarray:
    """Largest error that counts as right, (m, n): 1e-6 of the derivative, or 10 times the attainable error."""
    if id(problem) not in _limits:
        if problem.group == "solver":  # slow, and its error is known
            found = np.full(problem.exact.shape, 10 * problem.noise)
        else:
            found = np.column_stack([attainable(problem, j) for j in range(problem.x.size)])
        with np.errstate(invalid="ignore"):
            limit = np.maximum(1e-6 * np.abs(problem.exact), np.maximum(10 * found, rounding(problem)))
        _limits[id(problem)] = problem, limit
    return _limits[id(problem)][1]


@dataclass
class Component:
    problem: Problem
    i: int
    j: int
    value: float
    bar: float
    evaluations: float
    right: bool
    covered: bool
    confident: bool
    ratio: float
    error: float

    def __str__(self) -> str:
        p = self.problem
        return (
            f"{p.group:13s} {p.name[:52]:52s} [{self.i},{self.j}] exact {p.exact[self.i, self.j]: .3e}"
            f"  error {self.error:.1e}  bar {self.bar:.1e}  limit {limits(p)[self.i, self.j]:.1e}"
            f"  {self.evaluations:.0f} evaluations"
        )


Method = Callable[[Problem], tuple[np.ndarray, np.ndarray | None, np.ndarray]]


def run(method: Method, problems: Iterable[Problem]) -> list[Component]:
    """`method(problem)` returns value (m, n), error bar (m, n) or None, and evaluations per column (n,)."""
    out = []
    for problem in problems:
        m, n = problem.exact.shape
        try:
            value, bar, evaluations = method(problem)
        except (ArithmeticError, ValueError, IndexError, TypeError, RuntimeError) as failure:
            if isinstance(failure, TypeError) and "fdcore" in str(method):
                raise
            value, bar, evaluations = np.full((m, n), np.nan), np.full((m, n), np.inf), np.full(n, np.nan)
        limit = limits(problem)
        for i in range(m):
            for j in range(n):
                v, e = float(value[i, j]), math.nan if bar is None else float(bar[i, j])
                truth = problem.exact[i, j]
                if math.isnan(truth):  # there is no derivative: right is to say so
                    silent = not e > 1e-6 * max(1.0, abs(v)) and math.isfinite(v)
                    out.append(
                        Component(problem, i, j, v, e, evaluations[j], not silent, True, silent, math.nan, math.nan)
                    )
                    continue
                error = max(abs(v - truth) - problem.bias, 0.0)
                tiny = error <= 2 * _EPS * abs(truth)
                right = math.isfinite(v) and error <= limit[i, j]
                covered = math.isfinite(v) and (error <= e or tiny)
                confident = not tiny and error > 10 * e and error > 1e-6 * abs(truth)
                ratio = e / error if error > 0 else math.inf
                out.append(Component(problem, i, j, v, e, evaluations[j], right, covered, confident, ratio, error))
    return out


def figures(components: list[Component]) -> dict[str, float]:
    """Issue figures, in per cent where they are shares."""
    smooth = [c for c in components if not math.isnan(c.problem.exact[c.i, c.j])]
    bars = [c for c in smooth if not math.isnan(c.bar)]
    finite = [c.ratio for c in bars if c.error > 0]
    return {
        "components": len(components),
        "right": 100 * sum(c.right for c in components) / len(components),
        "covered": 100 * sum(c.covered for c in bars) / len(bars) if bars else math.nan,
        "bar/error": float(np.median(finite)) if finite else math.nan,
        "confidently wrong": sum(c.confident for c in components),
        "evaluations": float(np.nanmedian([c.evaluations for c in components])),
        "mean evaluations": float(np.nanmean([c.evaluations for c in components])),
    }


def by_group(components: list[Component]) -> dict[str, list[Component]]:
    groups: dict[str, list[Component]] = defaultdict(list)
    for c in components:
        groups[c.problem.group].append(c)
    return dict(groups)
