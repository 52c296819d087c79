"""`jax.test_util.check_grads`, with error bars instead of tolerances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import GradientCheck, check_jvp, check_vjp
from fdcore.check.verdict import GradientCheckError
from fdcore.compat._parts import conjugated, from_parts, to_parts
from fdcore.compat._settle import settle
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
    """Check the forward and reverse derivatives that JAX has of a function: the signature of JAX's own check.

    Parameters
    ----------
    f : callable
        ``f(*args)`` returns an array or a pytree of arrays.
    args : sequence of arrays or pytrees of arrays
        Of real or complex numbers, in single or double precision.
    order : int
        Derivatives of derivatives too, up to this order.
    modes : sequence of {"fwd", "rev"}
        Which modes to check; with both, ``<v, J u> = <J' v, u>`` is tested too, which needs no step.
    atol, rtol, eps
        Not used: steps come from the function, and error bars decide.

    Returns
    -------
    list of GradientCheck
        One for each mode and order; JAX returns nothing. "cannot tell" is among them, and a `FdcoreWarning` given,
        where float32 has too few digits left.

    Raises
    ------
    GradientCheckError
        An AssertionError: something is wrong, or the function is NaN here or different at each call; the message is
        the report, and a note says of which derivative. The
        arguments are called ``args[0]``, ``args[1]`` ... and their leaves by their paths; the last index of a complex
        one is 0 for its real part, 1 for its imaginary one.
    ArgumentError
        `order` or `modes` cannot be used, or a leaf holds no real or complex numbers.

    Notes
    -----
    Costs two gradient checks for each mode, and for each of the ``len(modes)`` derivatives the same again for each
    further order. The function is run as it is, without ``jit``.
    """
    jax = _extras.require("jax", extra="jax", feature="checks of JAX derivatives")
    modes = tuple(modes)
    if order < 1 or not modes or not set(modes) <= {"fwd", "rev"}:
        raise ArgumentError(f"order must be at least 1 and modes of 'fwd' and 'rev', not {order} and {modes!r}")
    __tracebackhide__ = True
    return _checks(jax, f, tuple(args), order, modes, "")


def _checks(
    jax: Any, f: Any, args: tuple[Any, ...], order: int, modes: tuple[str, ...], path: str
) -> list[GradientCheck]:
    __tracebackhide__ = True
    function = _Function(jax, f, args)
    checks = []
    for mode in modes:
        name = "JVP" if mode == "fwd" else "VJP"
        if mode == "fwd":
            check = check_jvp(function.value, function.jvp, function.point)
        else:
            other = function.jvp if "fwd" in modes else None
            check = check_vjp(function.value, function.vjp, function.point, jvp=other)
        settle(check, GradientCheckError, f"the {name} of {path}the function")
        checks.append(check)
        if order > 1:
            derived = function.derived(mode, order)
            checks += _checks(jax, derived, args, order - 1, modes, f"the {name} of {path}")
    return checks


class _Function:
    """A function of pytrees as one of a dict of arrays of real numbers, with the products that JAX has of it."""

    def __init__(self, jax: Any, f: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.jax, self.f = jax, f
        with_paths, self.structure = jax.tree_util.tree_flatten_with_path(args)
        self.inputs: dict[str, Any] = {}
        for keys, leaf in with_paths:
            array = np.asarray(leaf) if isinstance(leaf, (bool, int, float, complex)) else leaf
            name = "args" + jax.tree_util.keystr(keys)
            if getattr(array, "dtype", None) is None or np.dtype(array.dtype).kind not in "fc":
                raise ArgumentError(f"{name} is {getattr(array, 'dtype', type(leaf).__name__)}: it has no derivative")
            self.inputs[name] = jax.numpy.asarray(array)
        outputs = jax.eval_shape(f, *self._join(self.inputs))
        self.outputs, self.result = jax.tree_util.tree_flatten(outputs)
        self.point = {name: to_parts(leaf) for name, leaf in self.inputs.items()}

    def _join(self, leaves: dict[str, Any]) -> Any:
        return self.jax.tree_util.tree_unflatten(self.structure, list(leaves.values()))

    def _own(self, x: dict[str, Any]) -> Any:
        """Arguments of f from arrays of parts, in their own dtypes."""
        leaves = {name: self.jax.numpy.asarray(from_parts(x[name], leaf)) for name, leaf in self.inputs.items()}
        return self._join(leaves)

    def _vector(self, tree: Any) -> Any:
        """All outputs as one vector, of the least precise one's dtype."""
        parts = [to_parts(leaf).reshape(-1) for leaf in self.jax.tree_util.tree_leaves(tree)]
        least = min((p.dtype for p in parts), key=lambda dtype: dtype.itemsize, default=np.dtype(float))
        return np.concatenate([p.astype(least) for p in parts]) if parts else np.empty(0)

    def value(self, x: dict[str, Any]) -> Any:
        """All outputs as one vector."""
        return self._vector(self.f(*self._own(x)))

    def jvp(self, x: dict[str, Any], u: dict[str, Any]) -> Any:
        """J u."""
        return self._vector(self.jax.jvp(self.f, self._own(x), self._own(u))[1])

    def vjp(self, x: dict[str, Any], v: Any) -> dict[str, Any]:
        """J' v."""
        cotangents, start = [], 0
        for leaf in self.outputs:
            size = int(np.prod(leaf.shape)) * (2 if np.dtype(leaf.dtype).kind == "c" else 1)
            part = conjugated(from_parts(np.asarray(v)[start : start + size], leaf))
            cotangents.append(self.jax.numpy.asarray(part))
            start += size
        pullback = self.jax.vjp(self.f, *self._own(x))[1]
        found = self.jax.tree_util.tree_leaves(pullback(self.jax.tree_util.tree_unflatten(self.result, cotangents)))
        return {name: to_parts(conjugated(np.asarray(g))) for name, g in zip(self.inputs, found, strict=True)}

    def derived(self, mode: str, order: int) -> Callable[..., Any]:
        """The JVP or VJP with fixed random vectors, as a function of the same arguments."""
        rng = np.random.default_rng(order)

        def like(leaf: Any) -> Any:
            parts = rng.uniform(0.5, 1.5, (*leaf.shape, 2))
            return self.jax.numpy.asarray(
                from_parts(parts if np.dtype(leaf.dtype).kind == "c" else parts[..., 0], leaf)
            )

        if mode == "fwd":
            tangents = self._join({name: like(leaf) for name, leaf in self.inputs.items()})
            return lambda *args: self.jax.jvp(self.f, args, tuple(tangents))[1]
        cotangents = self.jax.tree_util.tree_unflatten(self.result, [like(leaf) for leaf in self.outputs])
        return lambda *args: self.jax.vjp(self.f, *args)[1](cotangents)
