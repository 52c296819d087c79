"""`jax.test_util.check_grads`, with error bars instead of tolerances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import GradientCheck, check_jvp, check_vjp
from fdcore.check.verdict import GradientCheckError
from fdcore.errors import ArgumentError

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> list[GradientCheck]:
    """Check the forward and reverse derivatives that JAX has of a function.

    Parameters
    ----------
    f : callable
        ``f(*args)`` returns an array or a pytree of arrays.
    args : sequence of arrays or trees of arrays
    order : int
        Derivatives of derivatives too, up to this order.
    modes : sequence of {"fwd", "rev"}
    atol, rtol, eps
        Not used: the bars decide.

    Returns
    -------
    list of GradientCheck
        One for each mode and order. JAX returns nothing.

    Raises
    ------
    GradientCheckError
        An AssertionError: something is wrong; the message is the report. "cannot tell", which float32 gives where
        little is left of its digits, does not raise.
    """
    jax = _extras.require("jax", extra="jax", feature="checks of JAX derivatives")
    if order < 1 or not set(modes) <= {"fwd", "rev"}:
        raise ArgumentError(f"order must be at least 1 and modes of 'fwd' and 'rev', not {order} and {modes!r}")
    point = [jax.tree_util.tree_map(np.asarray, argument) for argument in args]
    return _checks(jax, f, point, order, tuple(modes), "")


def _checks(jax: Any, f: Any, point: list[Any], order: int, modes: tuple[str, ...], path: str) -> list[GradientCheck]:
    dtypes = jax.tree_util.tree_map(lambda leaf: leaf.dtype, point)

    def own(tree: Any) -> list[Any]:
        return list(jax.tree_util.tree_map(lambda leaf, dtype: jax.numpy.asarray(leaf, dtype), tree, dtypes))

    shapes = jax.eval_shape(lambda *a: f(*a), *own(point))
    leaves, structure = jax.tree_util.tree_flatten(shapes)
    sizes = np.cumsum([0, *(int(np.prod(leaf.shape)) for leaf in leaves)])

    def join(tree: Any) -> Any:
        parts = [np.asarray(leaf).reshape(-1) for leaf in jax.tree_util.tree_leaves(tree)]
        return np.concatenate(parts) if parts else np.empty(0)

    def split(v: Any) -> Any:
        parts = [
            jax.numpy.asarray(np.asarray(v)[a:b].reshape(leaf.shape), leaf.dtype)
            for a, b, leaf in zip(sizes[:-1], sizes[1:], leaves, strict=True)
        ]
        return jax.tree_util.tree_unflatten(structure, parts)

    def plain(tree: Any) -> Any:
        return jax.tree_util.tree_map(np.asarray, tree)

    def value(x: Any) -> Any:
        return join(f(*own(x)))

    def jvp(x: Any, u: Any) -> Any:
        return join(jax.jvp(f, tuple(own(x)), tuple(own(u)))[1])

    def vjp(x: Any, v: Any) -> Any:
        return plain(list(jax.vjp(f, *own(x))[1](split(v))))

    checks = []
    for mode in modes:
        check = check_jvp(value, jvp, point) if mode == "fwd" else check_vjp(value, vjp, point)
        if check.verdict == "wrong":
            error = GradientCheckError(check)
            error.add_note(f"in {path}{'JVP' if mode == 'fwd' else 'VJP'} of the function")
            raise error
        checks.append(check)
        if order > 1:
            rng = np.random.default_rng(order)

            def like(tree: Any, rng: np.random.Generator = rng) -> Any:
                return jax.tree_util.tree_map(
                    lambda leaf: jax.numpy.asarray(rng.uniform(0.5, 1.5, leaf.shape), leaf.dtype), tree
                )

            tangents, cotangents = like(own(point)), like(shapes)
            derived = (
                (lambda *a, u=tangents: jax.jvp(f, a, tuple(u))[1])
                if mode == "fwd"
                else (lambda *a, v=cotangents: jax.vjp(f, *a)[1](v))
            )
            name = "JVP" if mode == "fwd" else "VJP"
            checks += _checks(jax, derived, point, order - 1, modes, f"{path}{name} of the ")
    return checks
