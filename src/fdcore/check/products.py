"""Checks of products of the Jacobian with vectors.

What needs no step comes first: linearity, and <v, J u> = <J' v, u>. Where the latter fails, the derivative of v . f
along u says which of the two is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import DOUBLE, Gradient, precision
from fdcore.check.jacobian import ENTRIES, by_entries, scalars
from fdcore.check.judge import LIMIT, Scales, rms
from fdcore.check.outputs import Outputs, weights
from fdcore.check.slope import measure, slope
from fdcore.check.verdict import GradientCheck, Note, worst
from fdcore.errors import ArgumentError
from fdcore.tree import Tree, flatten

__all__ = ["check_jvp", "check_vjp"]

Vector = NDArray[np.float64]

COLUMNS = 200  # entries of x up to which each is a column of its own


def check_vjp(
    f: Callable[..., Any],
    vjp: Callable[..., Any],
    x: Any,
    *,
    jvp: Callable[..., Any] | None = None,
    samples: int = 2,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    convention: str = "torch",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Check a vector-Jacobian product (reverse mode): ``vjp(x, v)`` must be the gradient of ``v @ f`` at x.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns an array, real or complex.
    vjp : callable
        ``vjp(x, v)`` for a v of f's shape returns J' v in the structure of `x`.
    x : array, number or tree of arrays
    jvp : callable, optional
        ``jvp(x, u)`` returns J u. <v, J u> = <J' v, u> then is tested first, which needs no step; where it fails, the
        note says which of the two is wrong.
    samples : int
        How many random v.
    mode, budget, seed, args, kwargs
        As in `check_gradient`; the budget is for each v.
    convention : {"torch", "jax"}
        Of complex numbers: ``vjp(x, v)`` is df/da + i df/db of the real part of ``conj(v) @ f``, or df/da - i df/db of
        the real part of ``v @ f``.

    Returns
    -------
    GradientCheck
        The worst one of all v, with notes ``"dot-product"`` and ``"not-linear"`` where these tests fail.

    Notes
    -----
    Costs what `samples` gradient checks cost.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> check_vjp(lambda x: A @ x, lambda x, v: A.T @ v, [1.0, -1.0], jvp=lambda x, u: A @ u).verdict
    'agrees'
    """
    if convention not in ("torch", "jax"):
        raise ArgumentError(f"convention must be 'torch' or 'jax', not {convention!r}")
    kwargs = kwargs or {}
    vector, tree = flatten(x, complex_leaves=True)
    outputs = Outputs(f, tree, args, kwargs)
    outputs.begin(vector)
    backward = _Backward(vjp, tree, outputs, convention)
    notes = _linear(lambda v: backward(vector, v), math.prod(outputs.shape), seed, lambda: backward.unit)
    if jvp is not None:
        notes += _adjoint(_Forward(jvp, tree, outputs), backward, vector, seed)

    def gradient_of(v: Vector) -> Any:
        return lambda point: vjp(point, outputs.cotangent(v, convention))

    checks = scalars(f, gradient_of, x, outputs, samples, mode, budget, seed, args, kwargs, convention)
    return worst(checks, notes)


def check_jvp(
    f: Callable[..., Any],
    jvp: Callable[..., Any],
    x: Any,
    *,
    vjp: Callable[..., Any] | None = None,
    samples: int = 2,
    budget: int | None = None,
    seed: int = 0,
    convention: str = "torch",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Check a Jacobian-vector product (forward mode): ``jvp(x, u)`` must be the derivative of f along u.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns an array, real or complex.
    jvp : callable
        ``jvp(x, u)`` for a u in the structure of `x` returns J u, of f's shape.
    x : array, number or tree of arrays
    vjp : callable, optional
        As in `check_vjp`, and `convention` with it.
    samples : int
        How many random u, where x has too many entries to take each by itself.
    budget, seed, args, kwargs
        As in `check_gradient`.

    Returns
    -------
    GradientCheck
        Up to 200 entries of x, of the Jacobian that the products with unit vectors make; beyond, of the products with
        random vectors, whose parameters are called ``u0``, ``u1`` and so on.

    Examples
    --------
    >>> import numpy as np
    >>> check = check_jvp(np.sin, lambda x, u: np.cos(x) * u * [1, 1, 2], np.array([0.1, 0.2, 0.3]))
    >>> [entry.name for entry in check.wrong]
    ['J[2, 2]']
    """
    kwargs = kwargs or {}
    vector, tree = flatten(x, complex_leaves=True)
    outputs = Outputs(f, tree, args, kwargs)
    f0 = outputs.begin(vector)
    forward = _Forward(jvp, tree, outputs)
    notes = _linear(lambda u: forward(vector, u), vector.size, seed, lambda: forward.unit)
    if vjp is not None:
        notes += _adjoint(forward, _Backward(vjp, tree, outputs, convention), vector, seed)
    if tree.size <= COLUMNS and f0.size * tree.size <= ENTRIES:
        columns = np.empty((f0.size, tree.size))
        for j in range(tree.size):
            unit = np.zeros(tree.size)
            unit[j] = 1.0
            columns[:, j] = forward(vector, unit)
        parts = _whole(columns, tree, outputs)
        return worst([by_entries(outputs, vector, f0, Gradient(None, tree, (), {}), parts, budget, seed)], notes)
    scales = Scales.of(tree, vector, np.zeros(tree.size)).x
    directions = {}
    for number in range(samples):
        u = weights(tree.size, seed, number)
        for leaf, size in zip(tree.leaves, scales, strict=True):
            u[leaf.start : leaf.stop] *= size
        directions[f"u{number}"] = u

    def moved(t: dict[str, Any]) -> Any:
        point = vector.copy()
        for name, u in directions.items():
            point += float(t[name]) * u
        return f(tree.unflatten(point), *args, **kwargs)

    # Around t = 0 steps are absolute: a hundredth of the parameters' own scale.
    start, line = flatten(dict.fromkeys(directions, 0.0))
    along = Outputs(moved, line, (), {})
    f0 = along.begin(start)
    products = {f"J.{name}": forward(vector, u).reshape(outputs.shape) for name, u in directions.items()}
    return worst([by_entries(along, start, f0, Gradient(None, line, (), {}), products, budget, seed)], notes)


def _whole(columns: Vector, tree: Tree, outputs: Outputs) -> dict[str, Any]:
    """A whole Jacobian as the arrays that `by_entries` takes."""
    if tree.is_array:
        leaf = tree.leaves[0]
        two = (2,) if outputs.paired else ()
        last = (leaf.size // 2, 2) if leaf.paired else (leaf.size,)
        return {"J": columns.reshape(math.prod(outputs.shape[: outputs.ndim]), *two, *last)}
    return {
        f"J.{leaf.name}": columns[:, leaf.start : leaf.stop].reshape(*outputs.shape, *leaf.shape)
        for leaf in tree.leaves
    }


class _Forward:
    """The user's jvp between flat vectors."""

    def __init__(self, jvp: Callable[..., Any], tree: Tree, outputs: Outputs) -> None:
        self.jvp, self.tree, self.outputs = jvp, tree, outputs
        self.unit = DOUBLE

    def __call__(self, x: Vector, u: Vector) -> Vector:
        value = self.jvp(self.tree.unflatten(x.copy()), self.tree.unflatten(u.copy()))
        self.unit = max(self.unit, precision(value))
        return self.outputs.flat(value, "jvp")


class _Backward:
    """The user's vjp between flat vectors."""

    def __init__(self, vjp: Callable[..., Any], tree: Tree, outputs: Outputs, convention: str) -> None:
        self.vjp, self.tree, self.outputs, self.convention = vjp, tree, outputs, convention
        self.reader = Gradient(vjp, tree, (), {}, convention)
        self.problem = ""
        self.unit = DOUBLE

    def __call__(self, x: Vector, v: Vector) -> Vector:
        value = self.vjp(self.tree.unflatten(x.copy()), self.outputs.cotangent(v, self.convention))
        self.unit = max([self.unit, *(precision(part) for part in self.tree.pick(value))])
        vector, problems = self.reader.read(value)
        self.problem = problems[0].message if problems else ""
        return vector


def _adjoint(forward: _Forward, backward: _Backward, x: Vector, seed: int) -> list[Note]:
    """<v, J u> = <J' v, u>: exact up to rounding, without any step."""
    outputs, tree = forward.outputs, forward.tree
    u, v = weights(x.size, seed, 0), weights(math.prod(outputs.shape), seed, 1)
    scales = Scales.of(tree, x, np.zeros(x.size)).x
    for leaf, size in zip(tree.leaves, scales, strict=True):
        u[leaf.start : leaf.stop] *= size
    ju, jv = forward(x, u), backward(x, v)
    if backward.problem:
        return [Note("dot-product", f"the product J' v does not fit: {backward.problem}")]
    left, right = float(np.dot(v, ju)), float(np.dot(jv, u))
    size = float(np.linalg.norm(v) * np.linalg.norm(ju) + np.linalg.norm(jv * u) * math.sqrt(u.size))
    unit = max(outputs.unit, forward.unit, backward.unit)
    if abs(left - right) <= 100.0 * unit * size:
        return []
    message = f"<v, J u> is {left:.9g} and <J' v, u> is {right:.9g}: forward and reverse mode cannot both be right"
    f0 = float(np.dot(v, outputs(x.copy())))

    def line(t: float) -> tuple[float, float]:
        return float(np.dot(v, outputs(x + t * u))), 0.0

    found = slope(line, f0, 2.0**-7, unit=unit, target=lambda value: 1e-8 * abs(value), largest=0.25, levels=4)
    again = measure(line, f0, 0.75 * found.step, unit=unit)
    bar = max(found.error, abs(again.value - found.value)) + 100.0 * unit * size
    if math.isfinite(bar) and bar < abs(left - right) / LIMIT:
        forward_off, reverse_off = (abs(value - found.value) > LIMIT * bar for value in (left, right))
        side = "the forward mode (J u) is" if forward_off else "the reverse mode (J' v) is"
        side = "both are" if forward_off and reverse_off else side
        message += f"; numerically it is {found.value:.9g} +- {bar:.1g}: {side} wrong"
    return [Note("dot-product", message)]


def _linear(
    product: Callable[[Vector], Vector], size: int, seed: int, unit: Callable[[], float] = lambda: DOUBLE
) -> list[Note]:
    """A product with a vector must be linear in it, as far as it is the same each time and has digits."""
    a, b = weights(size, seed, 2), weights(size, seed, 3)
    one, again, two, both = product(a), product(a), product(b), product(2.0 * a - 3.0 * b)
    varies = float(np.max(np.abs(one - again), initial=0.0))
    apart = np.abs(both - (2.0 * one - 3.0 * two))
    scale = rms(one) + rms(two) + rms(both)
    if not np.any(apart > max(1e-4, 100.0 * unit()) * scale + 20.0 * varies):
        return []
    return [Note("not-linear", "the product is not linear in the vector: it must not depend on it in any other way")]
