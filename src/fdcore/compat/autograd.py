"""`autograd.test_util.check_grads` of HIPS autograd, with error bars instead of tolerances."""

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
    fun: Callable[..., Any],
    argnum: int | Sequence[int] = 0,
    modes: Sequence[str] = ("fwd", "rev"),
    order: int = 2,
) -> Callable[..., list[GradientCheck]]:
    """Return a function of the arguments of `fun` that checks the derivatives which autograd has of it.

    Parameters
    ----------
    fun : callable
        Written with ``autograd.numpy``; returns an array.
    argnum : int or sequence of int
        The arguments to check; the first one by default, as in autograd itself. Each is an array of real or complex
        numbers.
    modes : sequence of {"fwd", "rev"}
    order : int
        Derivatives of derivatives too, up to this order: by the argument and by the vector that is multiplied with.

    Returns
    -------
    callable
        ``check(*args, **kwargs)`` raises GradientCheckError (an AssertionError) if something is wrong, else returns the
        checks; autograd's returns nothing.

    Raises
    ------
    ArgumentError
        `order` or `modes` cannot be used.

    Notes
    -----
    Autograd compares one random number, with an absolute tolerance of 1e-6 or a relative one, whichever is laxer; here
    error bars decide.
    """
    core = _extras.require("autograd.core", extra="autograd", feature="checks of autograd functions")
    modes = tuple(modes)
    if order < 1 or not modes or not set(modes) <= {"fwd", "rev"}:
        raise ArgumentError(f"order must be at least 1 and modes of 'fwd' and 'rev', not {order} and {modes!r}")

    def check(*args: Any, **kwargs: Any) -> list[GradientCheck]:
        __tracebackhide__ = True
        numbers = [argnum] if isinstance(argnum, int) else list(argnum)

        def chosen(*values: Any) -> Any:
            given = list(args)
            for k, value in zip(numbers, values, strict=True):
                given[k] = value
            return fun(*given, **kwargs)

        return _checks(core, chosen, [_array(args[k]) for k in numbers], modes, order, "")

    return check


def _array(value: Any) -> Any:
    array = np.asarray(value)
    return array if array.dtype.kind in "fc" else array.astype(float)


def _checks(
    core: Any, f: Callable[..., Any], args: list[Any], modes: tuple[str, ...], order: int, path: str
) -> list[GradientCheck]:
    __tracebackhide__ = True
    function = _Function(core, f, args)
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
            derived, more = function.derived(mode, order)
            checks += _checks(core, derived, more, modes, order - 1, f"the {name} of {path}")
    return checks


class _Function:
    """A function of arrays as one of a dict of arrays of real numbers, with the products that autograd has of it."""

    def __init__(self, core: Any, f: Callable[..., Any], args: list[Any]) -> None:
        self.core, self.f, self.args = core, f, args
        self.point = {f"args[{k}]": to_parts(value) for k, value in enumerate(args)}
        self.like = np.asarray(f(*args))

    def _packed(self, x: Any) -> Any:
        return self.f(*x)

    def _own(self, x: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(from_parts(part, value) for part, value in zip(x.values(), self.args, strict=True))

    def value(self, x: dict[str, Any]) -> Any:
        """The output as an array of real numbers."""
        return to_parts(self.f(*self._own(x)))

    def jvp(self, x: dict[str, Any], u: dict[str, Any]) -> Any:
        """J u."""
        product = self.core.make_jvp(self._packed, self._own(x))(self._own(u))[1]
        return to_parts(np.asarray(product, dtype=self.like.dtype))

    def vjp(self, x: dict[str, Any], v: Any) -> dict[str, Any]:
        """J' v."""
        pullback = self.core.make_vjp(self._packed, self._own(x))[0]
        found = pullback(conjugated(from_parts(v, self.like)))
        return {
            name: to_parts(conjugated(np.asarray(g, dtype=value.dtype)))
            for name, value, g in zip(self.point, self.args, found, strict=True)
        }

    def derived(self, mode: str, order: int) -> tuple[Callable[..., Any], list[Any]]:
        """The JVP or VJP as a function of the arguments and of the vector, and a point for it."""
        count = len(self.args)
        rng = np.random.default_rng(order)

        def like(value: Any) -> Any:
            parts = rng.uniform(0.5, 1.5, (*np.shape(value), 2))
            return from_parts(parts if value.dtype.kind == "c" else parts[..., 0], value)

        if mode == "fwd":
            return (
                lambda *all: self.core.make_jvp(self._packed, tuple(all[:count]))(tuple(all[count:]))[1],
                [*self.args, *(like(value) for value in self.args)],
            )

        def backward(*all: Any) -> Any:
            found = self.core.make_vjp(self._packed, tuple(all[:count]))[0](all[count])
            if count == 1:
                return found[0]
            np_ = _extras.require("autograd.numpy", extra="autograd", feature="checks of autograd functions")
            return np_.concatenate([np_.reshape(g, -1) for g in found])

        return backward, [*self.args, like(self.like)]
