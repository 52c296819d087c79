"""Random compositions of elementary functions at random scales: a corpus nobody has tuned for."""

from __future__ import annotations

import math
import random

import mpmath

from . import exact
from .scalar import Problem, compile_expression, float_function, scalar_problem

_UNARY = "exp sin cos tan atan tanh log sqrt erf sinh cosh asinh expm1 log1p cbrt".split()


def _constant(rng: random.Random, decades: float) -> str:
    return f"{rng.choice((1, 1, 1, -1)) * rng.uniform(0.5, 5) * 10 ** rng.gauss(0, decades):.3g}"


def _expression(rng: random.Random, depth: int, decades: float) -> str:
    if depth == 0:
        return rng.choice(["x", "x", "x", f"{_constant(rng, decades)}*x", f"(x-{_constant(rng, decades)})"])
    kind = rng.random()
    if kind < 0.4:
        name = rng.choice(_UNARY)
        return f"{name}({_expression(rng, depth - 1, decades)})"
    if kind < 0.55:
        return f"({_constant(rng, decades)}*{_expression(rng, depth - 1, decades)}+{_constant(rng, decades)})"
    if kind < 0.8:
        operator = rng.choice("++-**/")
        left, right = (_expression(rng, rng.randrange(depth), decades) for _ in range(2))
        return f"({left}{operator}{right})"
    if kind < 0.9:
        return f"({_expression(rng, depth - 1, decades)})**{rng.choice((2, 3, 4, -1, -2))}"
    return f"({_expression(rng, depth - 1, decades)}+{_constant(rng, 2 * decades)})"


def random_problems(count: int, seed: int = 0, decades: float = 1.0) -> list[Problem]:
    """`count` functions with finite value and nonzero finite derivative at a random point."""
    rng = random.Random(seed)
    out: list[Problem] = []
    while len(out) < count:
        expression = _expression(rng, rng.randint(1, 4), decades)
        x = rng.choice((1, 1, -1)) * rng.uniform(0.3, 3) * 10 ** rng.gauss(0, 2 * decades)
        if rng.random() < 0.05:
            x = 0.0
        value = float_function(expression)(x)
        if not math.isfinite(value) or not 1e-290 < abs(value) < 1e290:
            continue
        try:
            truth = exact.derivative(compile_expression(expression), x)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError, mpmath.libmp.NoConvergence):
            continue
        if not isinstance(truth, mpmath.mpf) or not 1e-290 < abs(truth) < 1e290:
            continue
        out.append(scalar_problem("random", expression, x, truth))
    return out
