"""Checks of Jacobians, of their products with vectors, and of Hessians.

What needs no step comes first: <v, J u> = <J' v, u> for products, the symmetry of a Hessian. Then the numbers: every
entry of a Jacobian that is small enough, otherwise the gradient of v . f for random v, which is v' J.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.collate import Comparison, collate
from fdcore.check.elementwise import Prober
from fdcore.check.evaluate import DOUBLE, Gradient, Objective, precision
from fdcore.check.gradient import check_gradient
from fdcore.check.judge import Scales, rms
from fdcore.check.preflight import Findings
from fdcore.check.rounding import Rounding
from fdcore.check.verdict import GradientCheck, Note, worst
from fdcore.errors import ArgumentError, ArgumentTypeError, ShapeError
from fdcore.tree import Tree, as_numbers, flatten

__all__ = ["check_hessian", "check_jacobian", "check_jvp", "check_vjp"]

Vector = NDArray[np.float64]

ENTRIES = 40_000  # of a Jacobian that is compared entry by entry
ELEMENTWISE = 10_000  # evaluations that may be spent on that


class _Outputs:
    """f as a function of the flat vector that returns a flat vector, and counts."""

    def __init__(self, f: Callable[..., Any], tree: Tree, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.objective = Objective(f, tree, args, kwargs)
        self.shape: tuple[int, ...] = ()
        self.unit = DOUBLE

    def begin(self, x: Vector) -> Vector:
        value = self.objective.first(x.copy())
        array = _real(value, "f")
        self.shape, self.unit = array.shape, precision(value)
        return array.astype(np.float64).reshape(-1)

    def __call__(self, x: Vector) -> Vector:
        try:
            with np.errstate(all="ignore"):
                return _real(self.objective.raw(x), "f").astype(np.float64).reshape(-1)
        except (ArithmeticError, ValueError) as error:
            if isinstance(error, ShapeError):
                raise
            return np.full(max(1, math.prod(self.shape)), math.nan)


def check_jacobian(
    f: Callable[..., Any],
    jac: Any,
    x: Any,
    *,
    mode: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Compare an analytic Jacobian with numeric derivatives; three verdicts as in `check_gradient`.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns an array of any shape.
    jac : callable, array, sparse matrix, or tree of arrays
        ``jac(x, *args, **kwargs)``, or its value at `x`. For an array `x`: of shape (m, n), or
        ``f(x).shape + x.shape``. For a tree: one array per array of `x`, of shape ``f(x).shape + array.shape``.
    x : array, number or tree of arrays
        The point.
    mode : {"auto", "elementwise", "projected"}
        Every entry, or the gradient of ``v @ f`` along random directions for two random v.
    budget, seed, args, kwargs
        As in `check_gradient`.

    Returns
    -------
    GradientCheck
        Entries are called ``J[i, j]``, or ``J.W[i, 3, 7]`` for a tree.

    Notes
    -----
    Elementwise, about ``8 n`` evaluations of f, whatever m is, and two of `jac`; projected, 40 to 80.

    Examples
    --------
    >>> import numpy as np
    >>> check = check_jacobian(lambda x: np.array([x[0] * x[1], x[0]]), lambda x: [[x[1], x[1]], [1, 0]], [2.0, 3.0])
    >>> check.verdict, [entry.name for entry in check.wrong]
    ('wrong', ['J[0, 1]'])
    """
    if mode not in ("auto", "elementwise", "projected"):
        raise ArgumentError(f"mode must be 'auto', 'elementwise' or 'projected', not {mode!r}")
    vector, tree = flatten(x)
    outputs = _Outputs(f, tree, args, kwargs or {})
    f0 = outputs.begin(vector)
    if mode == "auto":
        small = f0.size * tree.size <= ENTRIES and 10 * tree.size <= (budget or ELEMENTWISE)
        mode = "elementwise" if small else "projected"
    if mode == "projected":
        return _combined(f, jac, x, tree, outputs, f0, budget, seed, args, kwargs or {})
    gradient = Gradient(jac, tree, args, kwargs or {})
    raw = gradient.first(vector.copy())
    rows = _Rows(tree, outputs.shape, f0.size)
    analytic, problems = rows.tree.collect(rows.parts(raw))
    gradient.tree = rows.tree
    found = Findings(0.0, analytic, Rounding(gradient, rows.parts(raw), analytic), problems=problems)
    for problem in problems:
        label = {"none": "missing"}.get(problem.kind, problem.kind)
        found.note(label, f"the Jacobian has {problem.message}", problem.name)
    if not np.array_equal(outputs(vector.copy()), f0, equal_nan=True):
        found.note("f-not-repeatable", "f gives different values at the same point")
    comparison = Comparison("elementwise")
    _columns(outputs, vector, f0, rows, found, budget or 2**62, comparison)
    wide = np.empty(rows.tree.size)
    for leaf, part in zip(tree.leaves, rows.tree.leaves, strict=True):
        wide[part.start : part.stop] = np.tile(vector[leaf.start : leaf.stop], f0.size)
    return collate(rows.tree, wide, outputs.objective, gradient, found, comparison, seed)


class _Rows:
    """The arrays of a Jacobian: one for each array of x, with the axes of f in front."""

    def __init__(self, tree: Tree, shape: tuple[int, ...], m: int) -> None:
        self.of = tree
        self.m = m
        shapes: dict[str, tuple[int, ...]] = {"J": (m, tree.size)}
        if not tree.is_array:
            shapes = {f"J.{leaf.name}": (*shape, *leaf.shape) for leaf in tree.leaves}
        self.tree = flatten({name: np.zeros(size) for name, size in shapes.items()})[1]

    def parts(self, raw: Any) -> dict[str, Any]:
        """What the user's Jacobian has for each of them."""
        if self.of.is_array:
            array = raw.toarray() if hasattr(raw, "toarray") else raw
            array = np.asarray(array)
            if array.shape != (self.m, self.of.size) and array.size == self.m * self.of.size:
                full = array.shape[: array.ndim - len(self.of.leaves[0].shape)]
                if math.prod(full) == self.m and array.shape[len(full) :] == self.of.leaves[0].shape:
                    array = array.reshape(self.m, self.of.size)
            return {"J": array}
        parts = self.of.pick(raw)
        return {f"J.{leaf.name}": part for leaf, part in zip(self.of.leaves, parts, strict=True) if part is not None}


def _columns(
    outputs: _Outputs, x: Vector, f0: Vector, rows: _Rows, found: Findings, budget: int, comparison: Comparison
) -> None:
    """Differentiate every component with respect to every entry; one evaluation serves all components."""
    tree = rows.of
    scales = Scales.of(tree, x, np.zeros(x.size))
    typical = [rms(found.analytic[part.start : part.stop]) for part in rows.tree.leaves]
    for k, leaf in enumerate(tree.leaves):
        part = rows.tree.leaves[k]
        # One prober for each component learns the steps that suit it.
        probers = [
            Prober(_Component(outputs), x, float(f0[i]), Scales(scales.x, [typical[k]] * len(tree.leaves)), 0.0)
            for i in range(f0.size)
        ]
        for j in range(leaf.start, leaf.stop):
            if outputs.objective.calls + 8 >= budget:
                comparison.left_over = True
                return
            seen: dict[float, Vector] = {}
            for i, prober in enumerate(probers):
                at = part.start + i * leaf.size + (j - leaf.start)
                component = prober.f
                assert isinstance(component, _Component)
                component.seen, component.row, component.column = seen, i, j
                comparison.slopes[at] = prober.entry(j, float(found.analytic[at]), found.rounding.entry(at))


class _Component(Objective):
    """One component of f along one entry of x; points that another component asked for are not evaluated again."""

    def __init__(self, outputs: _Outputs) -> None:
        self.outputs = outputs
        self.tree = outputs.objective.tree
        self.unit = outputs.unit
        self.seen: dict[float, Vector] = {}
        self.row = self.column = 0

    def __call__(self, vector: Vector) -> float:
        key = float(vector[self.column])
        if key not in self.seen:
            self.seen[key] = self.outputs(vector)
        return float(self.seen[key][self.row])


def _combined(
    f: Callable[..., Any],
    jac: Any,
    x: Any,
    tree: Tree,
    outputs: _Outputs,
    f0: Vector,
    budget: int | None,
    seed: int,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> GradientCheck:
    """Check v' J as the gradient of v . f."""

    def product(raw: Any, v: Any) -> Any:
        weights = np.asarray(v).reshape(-1)
        if tree.is_array:
            matrix = raw if hasattr(raw, "tocsr") else np.asarray(raw).reshape(f0.size, -1)
            return np.asarray(matrix.T @ weights).reshape(tree.leaves[0].shape)
        parts = [np.asarray(part, dtype=float).reshape(f0.size, -1) for part in tree.pick(raw)]
        return tree.unflatten(np.concatenate([weights @ part for part in parts]))

    def gradient_of(v: NDArray[np.float64]) -> Any:
        if not callable(jac):
            return product(jac, v)
        return lambda point: product(jac(point, *args, **kwargs), v)

    return worst(_scalars(f, gradient_of, x, outputs.shape, 2, "auto", budget, seed, args, kwargs), [])


def _scalars(
    f: Callable[..., Any],
    gradient_of: Callable[[NDArray[np.float64]], Any],
    x: Any,
    shape: tuple[int, ...],
    samples: int,
    mode: str,
    budget: int | None,
    seed: int,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> list[GradientCheck]:
    """Gradient checks of v . f for random v."""
    checks = []
    for number in range(samples):
        v = _weights(math.prod(shape), seed, number).reshape(shape)

        def scalar(point: Any, v: NDArray[np.float64] = v) -> float:
            return float(np.vdot(v, _real(f(point, *args, **kwargs), "f")))

        checks.append(check_gradient(scalar, gradient_of(v), x, mode=mode, budget=budget, seed=seed + number))
    return checks


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
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Check a vector-Jacobian product (reverse mode): ``vjp(x, v)`` must be the gradient of ``v @ f`` at x.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns an array.
    vjp : callable
        ``vjp(x, v)`` for a v of f's shape returns J' v in the structure of `x`.
    x : array, number or tree of arrays
    jvp : callable, optional
        ``jvp(x, u)`` returns J u. <v, J u> = <J' v, u> then is tested first, which needs no step: a difference says
        that the two cannot both be right.
    samples : int
        How many random v.
    mode, budget, seed, args, kwargs
        As in `check_gradient`; the budget is for each v.

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
    kwargs = kwargs or {}
    vector, tree = flatten(x)
    outputs = _Outputs(f, tree, args, kwargs)
    outputs.begin(vector)
    notes = _linear(vjp, vector, tree, outputs.shape, seed)
    if jvp is not None:
        notes += _adjoint(jvp, vjp, vector, tree, outputs.shape, seed)

    def gradient_of(v: NDArray[np.float64]) -> Any:
        return lambda point: vjp(point, v.copy())

    checks = _scalars(f, gradient_of, x, outputs.shape, samples, mode, budget, seed, args, kwargs)
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
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> GradientCheck:
    """Check a Jacobian-vector product (forward mode): ``jvp(x, u)`` must be the derivative of f along u.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` returns an array.
    jvp : callable
        ``jvp(x, u)`` for a u in the structure of `x` returns J u, of f's shape.
    x : array, number or tree of arrays
    vjp : callable, optional
        As in `check_vjp`.
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
    vector, tree = flatten(x)
    outputs = _Outputs(f, tree, args, kwargs)
    f0 = outputs.begin(vector)
    notes = _linear(jvp, vector, tree, None, seed)
    if vjp is not None:
        notes += _adjoint(jvp, vjp, vector, tree, outputs.shape, seed)
    if tree.size <= 200 and f0.size * tree.size <= ENTRIES:
        columns = np.empty((f0.size, tree.size))
        for j in range(tree.size):
            unit = np.zeros(tree.size)
            unit[j] = 1.0
            columns[:, j] = _real(jvp(tree.unflatten(vector.copy()), tree.unflatten(unit)), "jvp").reshape(-1)
        parts = [columns[:, leaf.start : leaf.stop].reshape((*outputs.shape, *leaf.shape)) for leaf in tree.leaves]
        given: Any = columns if tree.is_array else tree.assemble(parts)
        return worst(
            [check_jacobian(f, given, x, mode="elementwise", budget=budget, seed=seed, args=args, kwargs=kwargs)], notes
        )
    scales = Scales.of(tree, vector, np.zeros(tree.size)).x
    directions = {}
    for number in range(samples):
        u = _weights(tree.size, seed, number)
        for leaf, size in zip(tree.leaves, scales, strict=True):
            u[leaf.start : leaf.stop] *= size
        directions[f"u{number}"] = u

    def moved(t: dict[str, Any]) -> Any:
        point = vector.copy()
        for name, u in directions.items():
            point += float(t[name]) * u
        return f(tree.unflatten(point), *args, **kwargs)

    products = {
        name: _real(jvp(tree.unflatten(vector.copy()), tree.unflatten(u.copy())), "jvp").reshape(outputs.shape)
        for name, u in directions.items()
    }
    # Around t = 0 steps are absolute: a hundredth of the parameters' own scale.
    check = check_jacobian(
        moved, products, dict.fromkeys(directions, 0.0), mode="elementwise", budget=budget, seed=seed
    )
    return worst([check], notes)


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
    hess : callable or array
        ``hess(x, *args, **kwargs)``, or its value: an (n, n) array, or of shape ``x.shape + x.shape``.
    x : array
        The point.
    grad : callable, optional
        The gradient, checked elsewhere. Without it, the numeric one of f is differentiated, which costs 6 n times as
        many evaluations and four digits.
    mode, budget, seed, args, kwargs
        As in `check_gradient`.

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
    from fdcore.differentiate import gradient as numeric_gradient

    kwargs = dict(kwargs or {})
    vector, tree = flatten(x)
    if not tree.is_array:
        raise ArgumentTypeError("check_hessian takes an array x; give a tree as one flat vector")
    value = hess(tree.unflatten(vector.copy()), *args, **kwargs) if callable(hess) else hess
    matrix = np.asarray(value.toarray() if hasattr(value, "toarray") else value, dtype=float)
    notes = []
    if matrix.size == tree.size**2:
        matrix = matrix.reshape(tree.size, tree.size)
        apart = np.abs(matrix - matrix.T)
        size = rms(matrix.reshape(-1))
        if np.any(apart > 1e-10 * size):
            i, j = np.unravel_index(int(np.argmax(np.triu(apart))), apart.shape)
            message = (
                f"the Hessian is not symmetric: [{i}, {j}] is {matrix[i, j]:.9g} and [{j}, {i}] is {matrix[j, i]:.9g}"
            )
            if not np.triu(matrix, 1).any() or not np.tril(matrix, -1).any():
                message += "; only one triangle is filled"
            notes.append(Note("not-symmetric", message))

    def by_numbers(point: Any, *args: Any, **kwargs: Any) -> Any:
        return numeric_gradient(f, point, accuracy=6, args=tuple(args), kwargs=kwargs)

    check = check_jacobian(grad or by_numbers, hess, x, mode=mode, budget=budget, seed=seed, args=args, kwargs=kwargs)
    return worst([check], notes)


def _real(value: Any, who: str) -> NDArray[Any]:
    try:
        array = as_numbers(value)
    except ValueError:
        array = None
    if array is None:
        raise ArgumentTypeError(f"{who} returned {type(value).__name__}; a check needs an array of real numbers")
    return array


def _weights(size: int, seed: int, number: int) -> Vector:
    """Random signs and sizes between 1/2 and 3/2."""
    rng = np.random.default_rng([seed, 77, number])
    return (0.5 + rng.random(size)) * np.where(rng.random(size) < 0.5, -1.0, 1.0)


def _adjoint(
    jvp: Callable[..., Any],
    vjp: Callable[..., Any],
    x: Vector,
    tree: Tree,
    shape: tuple[int, ...],
    seed: int,
) -> list[Note]:
    """<v, J u> = <J' v, u>: exact up to rounding, without any step."""
    u, v = _weights(x.size, seed, 0), _weights(math.prod(shape), seed, 1).reshape(shape)
    forward = _real(jvp(tree.unflatten(x.copy()), tree.unflatten(u.copy())), "jvp").reshape(-1)
    backward, problems = tree.collect(vjp(tree.unflatten(x.copy()), v.copy()))
    if problems:
        return [Note("dot-product", f"the product J' v does not fit: {problems[0].message}")]
    left, right = float(np.dot(v.reshape(-1), forward)), float(np.dot(backward, u))
    size = float(np.linalg.norm(v) * np.linalg.norm(forward) + np.linalg.norm(backward) * np.linalg.norm(u))
    unit = max(precision(forward), DOUBLE)
    if abs(left - right) <= 100.0 * unit * size:
        return []
    message = f"<v, J u> is {left:.9g} and <J' v, u> is {right:.9g}: forward and reverse mode cannot both be right"
    return [Note("dot-product", message)]


def _linear(product: Callable[..., Any], x: Vector, tree: Tree, shape: tuple[int, ...] | None, seed: int) -> list[Note]:
    """A product with a vector must be linear in it, as far as it is the same each time and has digits."""
    unit = DOUBLE

    def apply(v: Vector) -> Vector:
        nonlocal unit
        if shape is None:
            raw = product(tree.unflatten(x.copy()), tree.unflatten(v.copy()))
            unit = max(unit, precision(raw))
            return _real(raw, "jvp").reshape(-1) * 1.0
        raw = product(tree.unflatten(x.copy()), v.reshape(shape).copy())
        unit = max([unit, *(precision(part) for part in tree.pick(raw))])
        return tree.collect(raw)[0]

    size = x.size if shape is None else math.prod(shape)
    a, b = _weights(size, seed, 2), _weights(size, seed, 3)
    one, again, two, both = apply(a), apply(a), apply(b), apply(2.0 * a - 3.0 * b)
    apart = np.abs(both - (2.0 * one - 3.0 * two))
    varies = float(np.max(np.abs(one - again), initial=0.0))
    scale = rms(one) + rms(two) + rms(both)
    if not np.any(apart > max(1e-4, 100.0 * unit) * scale + 20.0 * varies):
        return []
    return [Note("not-linear", "the product is not linear in the vector: it must not depend on it in any other way")]
