"""`torch.autograd.gradcheck` and `gradgradcheck`, with error bars instead of tolerances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import GradientCheck, check_vjp
from fdcore.check.verdict import GradientCheckError
from fdcore.errors import ArgumentError

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(GradientCheckError, RuntimeError):
    """What PyTorch's own check raises is a RuntimeError; so is this."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    **others: Any,
) -> bool:
    """Check the backward pass of a function of tensors.

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor or a tuple of them.
    inputs : tensor or sequence
        Those that require a gradient are checked.
    raise_exception : bool
        Raise if something is wrong; else return False.
    fast_mode : bool
        Random directions even where every entry could be taken.
    eps, atol, rtol, nondet_tol, **others
        Not used: the bars decide.

    Returns
    -------
    bool
        True when nothing is wrong. "cannot tell" (float32, mostly) is no failure, but is warned about.

    Raises
    ------
    GradcheckError
        A RuntimeError and an AssertionError; the message is the report and ``.check`` the check. Inputs are called
        ``x[0]``, ``x[1]``, ... in the order of those that require a gradient.
    """
    check = _check(func, inputs, fast_mode)
    if check.verdict == "wrong":
        if raise_exception:
            raise GradcheckError(check)
        return False
    if check.verdict == "cannot tell":
        import warnings

        from fdcore.errors import FdcoreWarning

        warnings.warn(f"gradcheck {check.verdict}: {check.reason}", FdcoreWarning, stacklevel=2)
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    raise_exception: bool = True,
    **others: Any,
) -> bool:
    """Check the derivative of the backward pass: `gradcheck` of the gradient, by `inputs` and `grad_outputs`.

    Parameters
    ----------
    func, inputs, raise_exception
        As in `gradcheck`.
    grad_outputs : tensor or sequence of tensors, optional
        Random by default.
    **others
        As in `gradcheck`.

    Returns
    -------
    bool
    """
    torch = _torch()
    inputs = _sequence(torch, inputs)
    outputs = _sequence(torch, func(*inputs))
    wanted = [k for k, t in enumerate(inputs) if isinstance(t, torch.Tensor) and t.requires_grad]
    if grad_outputs is None:
        generator = torch.Generator().manual_seed(0)
        grad_outputs = [
            torch.rand(out.shape, dtype=out.dtype, generator=generator).add(0.5).requires_grad_() for out in outputs
        ]
    weights = _sequence(torch, grad_outputs)

    def backward(*everything: Any) -> Any:
        given, v = everything[: len(inputs)], everything[len(inputs) :]
        results = _sequence(torch, func(*given))
        found = torch.autograd.grad(
            results, [given[k] for k in wanted], v, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return tuple(found)

    return gradcheck(backward, (*inputs, *weights), raise_exception=raise_exception, **others)


def _torch() -> Any:
    return _extras.require("torch", extra="torch", feature="checks of PyTorch functions")


def _sequence(torch: Any, value: Any) -> list[Any]:
    return [value] if isinstance(value, torch.Tensor) else list(value)


def _check(func: Callable[..., Any], inputs: Any, fast_mode: bool) -> GradientCheck:
    torch = _torch()
    inputs = _sequence(torch, inputs)
    wanted: list[int] = [k for k, t in enumerate(inputs) if isinstance(t, torch.Tensor) and t.requires_grad]
    if not wanted:
        raise ArgumentError("gradcheck needs at least one tensor input with requires_grad=True")
    for k in wanted:
        if inputs[k].is_complex():
            raise ArgumentError(f"input {k} is complex; check its real and imaginary part as two tensors")

    def tensors(x: Sequence[Any], grad: bool) -> list[Any]:
        given = list(inputs)
        for k, array in zip(wanted, x, strict=True):
            like = inputs[k]
            tensor = torch.from_numpy(np.array(array, dtype=np.float64)).reshape(like.shape)
            given[k] = tensor.to(dtype=like.dtype, device=like.device).requires_grad_(grad)
        return given

    def outputs(x: Sequence[Any], grad: bool) -> tuple[list[Any], list[Any]]:
        given = tensors(x, grad)
        results = _sequence(torch, func(*given))
        return given, [r for r in results if isinstance(r, torch.Tensor) and r.is_floating_point()]

    def value(x: Sequence[Any]) -> Any:
        # Not under no_grad: a function may use autograd itself, as a backward pass does.
        results = outputs(x, True)[1]
        return np.concatenate([r.detach().cpu().numpy().reshape(-1) for r in results])

    def vjp(x: Sequence[Any], v: Any) -> list[Any]:
        given, results = outputs(x, True)
        sizes = np.cumsum([0, *(r.numel() for r in results)])
        pairs = [
            (r, torch.from_numpy(np.array(v[a:b])).reshape(r.shape).to(dtype=r.dtype, device=r.device))
            for a, b, r in zip(sizes[:-1], sizes[1:], results, strict=True)
            if r.requires_grad
        ]
        leaves = [given[k] for k in wanted]
        if not pairs:
            return [np.zeros(tuple(t.shape)) for t in leaves]
        found = torch.autograd.grad([r for r, _ in pairs], leaves, [w for _, w in pairs], allow_unused=True)
        return [
            np.zeros(tuple(t.shape), dtype=np.float64) if g is None else g.detach().cpu().numpy()
            for t, g in zip(leaves, found, strict=True)
        ]

    point = [inputs[k].detach().cpu().numpy() for k in wanted]
    # A list of one plain list of numbers would be read as one array.
    return check_vjp(value, vjp, point, mode="projected" if fast_mode else "auto")
