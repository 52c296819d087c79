"""JAX: numeric gradients of functions of pytrees, and checks of `jax.grad` and of custom rules, by paths of leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import GradientCheck, check_gradient, check_jvp, check_vjp
from fdcore.check.verdict import worst
from fdcore.differentiate import gradient
from fdcore.errors import ArgumentError, ArgumentTypeError, ShapeError

__all__ = ["check", "numeric_gradient"]

_MODES = ("rev", "fwd")


def check(
    f: Callable[..., Any],
    x: Any,
    *args: Any,
    grad: Callable[..., Any] | None = None,
    modes: Sequence[str] = ("rev",),
    x64: bool | None = None,
    jit: bool = True,
    seed: int = 0,
    **options: Any,
) -> GradientCheck:
    """Check the derivative that JAX has of a function: `jax.grad`, and so each custom rule inside.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` returns a number, an array, or a pytree of arrays.
    x : array or pytree of arrays
        The floating-point leaves are checked; the others are passed on as they are.
    *args : object
        What f gets after x; not differentiated.
    grad : callable, optional
        Check ``grad(x, *args)``, a pytree like x, instead of ``jax.grad(f)``; for an f with one number.
    modes : sequence of {"rev", "fwd"}, default ("rev",)
        Reverse mode (`jax.grad`, ``custom_vjp``), forward mode (`jax.jvp`), or both. A ``custom_jvp`` rule feeds both.
    x64 : bool, optional
        Evaluate in double precision (``jax.enable_x64``), whatever the program's setting; by default as it is set.
    jit : bool, default True
        Compile f; False for a function that cannot be traced.
    seed : int
        Of the check.
    **options
        As for `fdcore.check_gradient` where f returns a number, else for `fdcore.check_vjp` and `fdcore.check_jvp`.

    Returns
    -------
    GradientCheck
        Entries are called by their paths: ``layers[0].W[3, 7]``. With both modes, the more alarming of the two. Where
        single precision, JAX's default, is the reason for wide bars, a note says what to do.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        x has no floating-point leaf, a leaf is complex, or `grad` is given for an f with more values than one.

    Notes
    -----
    Cost: as `fdcore.check_gradient`, and compiling f and its gradient once.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from fdcore.integrations.jax import check
    >>> def loss(p):
    ...     return jnp.sum(jnp.tanh(p["W"] @ jnp.arange(3.0)) ** 2) + p["b"] ** 2
    >>> result = check(loss, {"W": jnp.ones((2, 3)), "b": 0.5}, x64=True)
    >>> result.verdict, [row.name for row in result.parameters]
    ('agrees', ['W', 'b'])
    """
    jax = _jax()
    if not modes or not set(modes) <= set(_MODES):
        raise ArgumentError(f"modes must be some of {_MODES}, not {modes!r}")
    with _precision(jax, x64):
        function = _Function(jax, f, x, args, jit)
        if function.is_scalar and not callable(grad):
            grad = jax.grad(function.of_leaves)
            backward: Callable[..., Any] = function.named(grad)
        elif callable(grad):
            own = grad
            backward = function.named(lambda leaves: function.leaves_of(own(function.tree(leaves), *args)))
        if grad is not None and not function.is_scalar:
            raise ShapeError(f"f returns {function.outputs} values; grad= is for one, leave it out to check a VJP")
        checks = []
        if "rev" in modes and function.is_scalar:
            checks.append(check_gradient(function.number, backward, function.point, seed=seed, **options))
        elif "rev" in modes:
            checks.append(check_vjp(function.values, function.vjp, function.point, seed=seed, **options))
        if "fwd" in modes:
            known = {key: value for key, value in options.items() if key in ("samples", "budget")}
            checks.append(check_jvp(function.values, function.jvp, function.point, seed=seed, **known))
    found = worst(checks)
    if x64 or jax.config.jax_enable_x64:
        return found
    advice = ". Pass x64=True, or set jax.config.update('jax_enable_x64', True)"
    return replace(
        found, notes=tuple(replace(n, message=n.message + advice) if n.label == "dtype" else n for n in found.notes)
    )


def numeric_gradient(
    f: Callable[..., Any],
    x: Any,
    *args: Any,
    x64: bool = True,
    jit: bool = True,
    vectorized: bool = False,
    **options: Any,
) -> Any:
    """Numeric gradient of a function of a pytree, as a pytree: what `jax.grad` should say.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` returns one number.
    x : array or pytree of arrays
        The gradient is with respect to its floating-point leaves.
    *args : object
        What f gets after x.
    x64 : bool, default True
        Evaluate in double precision, whatever the program's setting.
    jit : bool, default True
        Compile f.
    vectorized : bool, default False
        Evaluate many points at once, by `jax.vmap`.
    **options
        As for `fdcore.gradient`: `method`, `accuracy`, `step`, `progress` and so on.

    Returns
    -------
    pytree
        Of NumPy arrays of float64; None in the place of leaves that are no floating-point arrays.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        x has no floating-point leaf, a leaf is complex, or f returns more than one number.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fdcore.integrations.jax import numeric_gradient
    >>> numeric_gradient(lambda p: jnp.sum(p["w"] ** 3), {"w": jnp.array([1.0, 2.0])})["w"].round(6)
    array([ 3., 12.])
    """
    jax = _jax()
    if options.get("full_output"):
        raise ArgumentError("full_output is not for pytrees; use fdcore.gradient with f of a NumPy array")
    with _precision(jax, x64 or None):
        function = _Function(jax, f, x, args, jit)
        if not function.is_scalar:
            raise ShapeError(f"f returns {function.outputs} values; a gradient needs one number")
        flat = np.concatenate([leaf.reshape(-1) for leaf in function.point.values()]).astype(np.float64)
        value = function.of_vector
        value = jax.vmap(value) if vectorized else value
        value = jax.jit(value) if jit else value
        found = gradient(lambda v: np.asarray(value(v)), flat, vectorized=vectorized, **options)
    parts = np.split(found, np.cumsum([leaf.size for leaf in function.point.values()])[:-1])
    arrays = [part.reshape(leaf.shape) for part, leaf in zip(parts, function.point.values(), strict=True)]
    return function.rebuild(arrays, [None] * len(function.others))


def _jax() -> Any:
    jax = _extras.require("jax", extra="jax", feature="derivatives of JAX functions")
    _extras.require("jax.numpy", extra="jax", feature="derivatives of JAX functions")
    return jax


def _precision(jax: Any, x64: bool | None) -> AbstractContextManager[Any]:
    """Double precision (or single) for the time being."""
    if x64 is None:
        return nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(x64)  # type: ignore[no-any-return]
    experimental = _extras.require("jax.experimental", extra="jax", feature="derivatives of JAX functions")
    return experimental.enable_x64(x64)  # type: ignore[no-any-return]


class _Function:
    """f of a pytree, as functions of a dict of NumPy arrays, one for each floating-point leaf."""

    def __init__(self, jax: Any, f: Callable[..., Any], x: Any, args: tuple[Any, ...], jit: bool) -> None:
        if not callable(f):
            raise ArgumentTypeError(f"f must be a function, not {type(f).__name__}")
        self.jax, self.f, self.args = jax, f, args
        paths, self.structure = jax.tree_util.tree_flatten_with_path(x)
        names = [_name(jax, path) for path, _ in paths]
        self.point: dict[str, Any] = {}
        self.places: list[int] = []
        self.others: list[tuple[int, Any]] = []
        double = jax.config.jax_enable_x64
        for k, (name, (_, leaf)) in enumerate(zip(names, paths, strict=True)):
            dtype = np.asarray(leaf).dtype if not hasattr(leaf, "dtype") else leaf.dtype
            if dtype.kind == "c":
                raise ArgumentTypeError(f"{name} is complex; differentiate with respect to its real and imaginary part")
            if dtype.kind == "f" or jax.numpy.issubdtype(dtype, np.floating):
                if dtype.kind != "f" and not double:
                    raise ArgumentTypeError(f"{name} is {dtype}, which NumPy has not; pass x64=True")
                self.places.append(k)
                narrow = np.float64 if double else dtype if dtype != np.float64 else np.dtype(np.float32)
                self.point[name] = np.asarray(leaf, dtype=narrow)
            else:
                self.others.append((k, leaf))
        if not self.places:
            raise ArgumentError("x has no floating-point leaf; nothing to differentiate")
        self.dtypes = [leaf.dtype for leaf in self.point.values()]
        if jit:
            shapes = jax.eval_shape(self.of_leaves, self.own(self.point))
        else:
            shapes = jax.tree_util.tree_map(jax.numpy.asarray, self.of_leaves(self.own(self.point)))
        self.shapes, self.output = jax.tree_util.tree_flatten(shapes)
        self.outputs = sum(int(np.prod(s.shape)) for s in self.shapes)
        self.is_scalar = len(self.shapes) == 1 and self.shapes[0].shape == ()
        self.compiled = jax.jit(self.of_leaves) if jit else self.of_leaves
        self.jit = jit

    def rebuild(self, leaves: Sequence[Any], others: Sequence[Any]) -> Any:
        """The pytree of these leaves."""
        every: list[Any] = [None] * (len(self.places) + len(self.others))
        for k, leaf in zip(self.places, leaves, strict=True):
            every[k] = leaf
        for (k, _), other in zip(self.others, others, strict=True):
            every[k] = other
        return self.jax.tree_util.tree_unflatten(self.structure, every)

    def tree(self, leaves: Sequence[Any]) -> Any:
        """X with other floating-point leaves."""
        return self.rebuild(leaves, [other for _, other in self.others])

    def leaves_of(self, tree: Any) -> list[Any]:
        """The floating-point leaves of a pytree like x."""
        leaves = self.jax.tree_util.tree_leaves(tree)
        if len(leaves) != len(self.places) + len(self.others):
            # Whoever left the other leaves out has as many as there are floating-point ones.
            if len(leaves) == len(self.places):
                return list(leaves)
            raise ShapeError(f"grad returned {len(leaves)} leaves for the {len(self.places)} of x")
        return [leaves[k] for k in self.places]

    def own(self, arrays: Mapping[str, Any]) -> list[Any]:
        """The arrays, in x's own dtypes."""
        pairs = zip(arrays.values(), self.dtypes, strict=True)
        return [self.jax.numpy.asarray(np.array(array), dtype=dtype) for array, dtype in pairs]

    def of_leaves(self, leaves: Sequence[Any]) -> Any:
        """Evaluate f; traced."""
        return self.f(self.tree(leaves), *self.args)

    def of_vector(self, vector: Any) -> Any:
        """Evaluate f at all floating-point leaves in one vector; traced."""
        leaves, start = [], 0
        for array, dtype in zip(self.point.values(), self.dtypes, strict=True):
            leaves.append(vector[start : start + array.size].reshape(array.shape).astype(dtype))
            start += array.size
        return self.of_leaves(leaves)

    def number(self, arrays: Mapping[str, Any]) -> Any:
        """The one value of f."""
        return np.asarray(self.compiled(self.own(arrays)))

    def values(self, arrays: Mapping[str, Any]) -> Any:
        """All values of f, one after another."""
        return self._join(self.compiled(self.own(arrays)))

    def named(self, grad: Callable[[Any], Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """A gradient by name."""
        compiled = self.jax.jit(grad) if self.jit else grad
        return lambda arrays: self._named(compiled(self.own(arrays)))

    def _named(self, leaves: Sequence[Any]) -> dict[str, Any]:
        return {name: np.asarray(leaf) for name, leaf in zip(self.point, leaves, strict=True)}

    def _join(self, tree: Any) -> Any:
        parts = [np.asarray(leaf).reshape(-1) for leaf in self.jax.tree_util.tree_leaves(tree)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _split(self, v: Any) -> Any:
        sizes = np.cumsum([int(np.prod(s.shape)) for s in self.shapes])[:-1]
        pairs = zip(np.split(np.asarray(v), sizes), self.shapes, strict=True)
        parts = [self.jax.numpy.asarray(part.reshape(s.shape), dtype=s.dtype) for part, s in pairs]
        return self.jax.tree_util.tree_unflatten(self.output, parts)

    def vjp(self, arrays: Mapping[str, Any], v: Any) -> dict[str, Any]:
        """Reverse mode."""
        return self._named(self.jax.vjp(self.of_leaves, self.own(arrays))[1](self._split(v))[0])

    def jvp(self, arrays: Mapping[str, Any], u: Mapping[str, Any]) -> Any:
        """Forward mode."""
        return self._join(self.jax.jvp(self.of_leaves, (self.own(arrays),), (self.own(u),))[1])


def _name(jax: Any, path: Sequence[Any]) -> str:
    """``layers[0].W`` for the path of a leaf; ``x`` for an array by itself."""
    name = ""
    for key in path:
        part = getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))
        if isinstance(part, str):
            name = f"{name}.{part}" if name else part
        else:
            name = f"{name or 'x'}[{part!r}]"
    return name or "x"
