"""`torch.autograd.gradcheck` and `gradgradcheck`, with error bars instead of tolerances."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import Note, check_jvp, check_vjp
from fdcore.check.verdict import GradientCheckError, worst
from fdcore.compat._settle import fails, settle
from fdcore.errors import ArgumentError

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(GradientCheckError, RuntimeError):
    """What PyTorch's own check raises is a RuntimeError; so is this. ``.check`` is the check."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the derivatives that PyTorch has of a function of tensors: the signature of PyTorch's own check.

    Parameters
    ----------
    func : callable
        Takes tensors, returns a tensor or a tuple of them; what it returns besides tensors of numbers is left out.
    inputs : tensor or sequence
        Tensors that require a gradient are checked, complex ones too; anything else is passed on as it is.
    raise_exception : bool
        Raise if something is wrong; else return False.
    check_undefined_grad : bool
        The backward pass must take undefined gradients of outputs for zeros.
    check_grad_dtypes : bool
        Gradients must have the dtypes of their inputs.
    check_batched_grad, check_batched_forward_grad : bool
        Products under ``vmap`` must be those one by one.
    check_forward_ad, check_backward_ad : bool
        Which modes to check. With both, ``<v, J u> = <J' v, u>`` is tested first, which needs no step.
    fast_mode : bool
        Random directions even where every entry could be taken. Unlike PyTorch's, it finds single wrong entries.
    eps, atol, rtol
        Not used: steps come from the function, and error bars decide.
    nondet_tol
        Not used: what differs from call to call is measured, widens the bars and is in the notes.
    masked
        Not used: sparse tensors are refused.

    Returns
    -------
    bool
        True when nothing is wrong. "cannot tell" is no failure where digits are missing (float32), but a
        `FdcoreWarning` says so; it is one where the function is NaN here or gives different values at each call.

    Raises
    ------
    GradcheckError
        A RuntimeError and an AssertionError; the message is the report and ``.check`` the check. Parameters are called
        ``inputs[0]``, ``inputs[1]`` ...; the last index of a complex one is 0 for its real part, 1 for its imaginary
        one.
    ArgumentError
        No input requires a gradient, or one is sparse or has fewer than eleven bits.

    Notes
    -----
    Costs two gradient checks: about ``16 n`` evaluations for n numbers, or 80 along random directions where n is large.
    """
    function = _Function(func, inputs)
    if not check_forward_ad and not check_backward_ad:
        raise ArgumentError("check_forward_ad and check_backward_ad are both False: there is nothing to check")
    checks = []
    mode = "projected" if fast_mode else "auto"
    if check_backward_ad:
        forward = function.jvp if check_forward_ad else None
        checks.append(check_vjp(function.value, function.vjp, function.point, jvp=forward, mode=mode))
    if check_forward_ad:
        checks.append(check_jvp(function.value, function.jvp, function.point))
    notes: list[Note] = []
    if check_backward_ad:
        if check_undefined_grad:
            notes += function.undefined()
        if check_grad_dtypes:
            notes += function.dtypes()
        if check_batched_grad:
            notes += function.batched_backward()
    if check_forward_ad and check_batched_forward_grad:
        notes += function.batched_forward()
    check = worst(checks, notes)
    if fails(check) and not raise_exception:
        return False
    __tracebackhide__ = True
    settle(check, GradcheckError)
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the derivative of the backward pass: `gradcheck` of the gradient, by `inputs` and by `grad_outputs`.

    Parameters
    ----------
    func, inputs, raise_exception, check_undefined_grad, check_grad_dtypes, check_batched_grad, fast_mode
        As in `gradcheck`.
    grad_outputs : tensor or sequence of tensors, optional
        Gradients of the outputs; random by default.
    gen_non_contig_grad_outputs : bool
        Make the random ones non-contiguous.
    check_fwd_over_rev, check_rev_over_rev : bool
        Forward and reverse mode of the backward pass.
    eps, atol, rtol, nondet_tol, masked
        Not used, as in `gradcheck`.

    Returns
    -------
    bool

    Raises
    ------
    GradcheckError, ArgumentError
        As in `gradcheck`; the gradients of outputs follow the inputs, ``inputs[len(inputs)]`` being the first.
    """
    __tracebackhide__ = True
    torch = _torch()
    inputs = _sequence(torch, inputs)
    outputs = [out for out in _sequence(torch, func(*inputs)) if _differentiable(torch, out) and out.requires_grad]
    wanted = [k for k, t in enumerate(inputs) if isinstance(t, torch.Tensor) and t.requires_grad]
    if grad_outputs is None:
        generator = torch.Generator().manual_seed(0)
        weights = [_weight(torch, out, generator, gen_non_contig_grad_outputs) for out in outputs]
    else:
        weights = [w.detach().requires_grad_() for w in _sequence(torch, grad_outputs)]

    def backward(*everything: Any) -> Any:
        given, v = everything[: len(inputs)], everything[len(inputs) :]
        results = [out for out in _sequence(torch, func(*given)) if _differentiable(torch, out) and out.requires_grad]
        return torch.autograd.grad(
            results, [given[k] for k in wanted], v, create_graph=True, allow_unused=True, materialize_grads=True
        )

    return gradcheck(
        backward,
        (*inputs, *weights),
        raise_exception=raise_exception,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
    )


def _torch() -> Any:
    return _extras.require("torch", extra="torch", feature="checks of PyTorch functions")


def _sequence(torch: Any, value: Any) -> list[Any]:
    return [value] if isinstance(value, torch.Tensor) else list(value)


def _differentiable(torch: Any, value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def _vmap(torch: Any) -> Any:
    """The vmap that gradcheck itself uses, which takes dual tensors; the public one where it is gone."""
    try:
        return importlib.import_module("torch._vmap_internals")._vmap
    except (ImportError, AttributeError):
        return torch.func.vmap


def _weight(torch: Any, like: Any, generator: Any, scattered: bool) -> Any:
    """A random gradient of an output, away from zero."""
    shape = (*like.shape, 2) if scattered else like.shape
    weight = torch.rand(shape, dtype=like.dtype, generator=generator) + 0.5
    return (weight[..., 0] if scattered else weight).to(like.device).requires_grad_()


class _Function:
    """A function of tensors as one of arrays of real numbers, with the products that autograd has of it.

    Complex tensors are seen through their real and imaginary parts. PyTorch's gradient by z is d/dRe z + i d/dIm z,
    whose parts are the gradient by the parts; so is the gradient of an output, and nothing has to be conjugated.
    """

    def __init__(self, func: Callable[..., Any], inputs: Any) -> None:
        self.torch = torch = _torch()
        self.func = func
        self.inputs = _sequence(torch, inputs)
        self.wanted = {
            f"inputs[{k}]": k for k, t in enumerate(self.inputs) if isinstance(t, torch.Tensor) and t.requires_grad
        }
        if not self.wanted:
            raise ArgumentError("gradcheck needs at least one tensor in inputs with requires_grad=True; there is none")
        for name, k in self.wanted.items():
            tensor = self.inputs[k]
            if tensor.layout != torch.strided:
                raise ArgumentError(f"{name} is sparse ({tensor.layout}); check a function of its values() instead")
            if tensor.dtype == torch.bfloat16 or not _differentiable(torch, tensor):
                raise ArgumentError(
                    f"{name} is {tensor.dtype}; convert it to float64, of which a check needs the digits"
                )
        self.point = {name: self._array(self.inputs[k]).copy() for name, k in self.wanted.items()}

    def _array(self, tensor: Any) -> Any:
        tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
        if tensor.dtype == self.torch.bfloat16:
            tensor = tensor.float()
        return (self.torch.view_as_real(tensor) if tensor.is_complex() else tensor).numpy()

    def _tensor(self, array: Any, like: Any) -> Any:
        """A fresh tensor with these numbers, of the dtype and on the device of `like`, and its own array."""
        dtype = like.dtype.to_real() if like.is_complex() else like.dtype
        tensor = self.torch.from_numpy(np.array(array, dtype=np.float64)).to(dtype)
        tensor = tensor.reshape((*like.shape, 2) if like.is_complex() else like.shape)
        return (self.torch.view_as_complex(tensor) if like.is_complex() else tensor).to(like.device)

    def tensors(self, x: Mapping[str, Any]) -> list[Any]:
        """All inputs, those that are checked being fresh leaves."""
        given = list(self.inputs)
        for name, k in self.wanted.items():
            given[k] = self._tensor(x[name], self.inputs[k]).requires_grad_()
        return given

    def outputs(self, given: list[Any]) -> list[Any]:
        """What of the outputs is differentiable."""
        return [out for out in _sequence(self.torch, self.func(*given)) if _differentiable(self.torch, out)]

    def value(self, x: Mapping[str, Any]) -> Any:
        """All outputs as one vector, of the least precise one's dtype."""
        # Not under no_grad: a function may use autograd itself, as a backward pass does.
        given = self.tensors(x)
        results = [self._array(out).reshape(-1) for out in self.outputs(given)]
        for name, k in self.wanted.items():
            after = self._array(given[k])
            if not np.array_equal(after, x[name].astype(after.dtype), equal_nan=True):
                x[name][...] = after  # so that the check sees what the function did to its input
        if not results:
            raise ArgumentError("func returned no tensor of real or complex numbers")
        least = min((r.dtype for r in results), key=lambda dtype: dtype.itemsize)
        return np.concatenate([r.astype(least) for r in results])

    def _split(self, v: Any, results: list[Any]) -> Iterator[Any]:
        """The part of a vector that belongs to each output, as a tensor like it."""
        start = 0
        for result in results:
            size = result.numel() * (2 if result.is_complex() else 1)
            yield self._tensor(np.asarray(v)[start : start + size], result)
            start += size

    def _backward(self, results: list[Any], leaves: list[Any], weights: Sequence[Any], **options: Any) -> list[Any]:
        pairs = [(r, w) for r, w in zip(results, weights, strict=True) if r.requires_grad]
        if not pairs:
            return [None] * len(leaves)
        outputs, weights = zip(*pairs, strict=True)
        return list(self.torch.autograd.grad(outputs, leaves, weights, allow_unused=True, **options))

    def _graph(self) -> tuple[list[Any], list[Any]]:
        """Outputs at the point of the check, and the leaves that they depend on."""
        given = self.tensors(self.point)
        return self.outputs(given), [given[k] for k in self.wanted.values()]

    def vjp(self, x: Mapping[str, Any], v: Any) -> dict[str, Any]:
        """J' v."""
        given = self.tensors(x)
        results = self.outputs(given)
        leaves = [given[k] for k in self.wanted.values()]
        found = self._backward(results, leaves, list(self._split(v, results)))
        return {
            name: np.zeros_like(self.point[name], dtype=np.float64) if g is None else self._parts(g, leaf)
            for (name, leaf), g in zip(zip(self.wanted, leaves, strict=True), found, strict=True)
        }

    def _parts(self, gradient: Any, leaf: Any) -> Any:
        """Real numbers of a gradient, which may be real where its input is complex or the other way round."""
        if leaf.is_complex() and not gradient.is_complex():
            gradient = gradient.to(gradient.dtype.to_complex())
        return self._array(gradient if leaf.is_complex() or not gradient.is_complex() else gradient.real)

    def jvp(self, x: Mapping[str, Any], u: Mapping[str, Any]) -> Any:
        """J u, by forward mode."""
        forward = self.torch.autograd.forward_ad
        given = self.tensors(x)
        with forward.dual_level():
            for name, k in self.wanted.items():
                given[k] = forward.make_dual(given[k], self._tensor(u[name], given[k]))
            results = self.outputs(given)
            parts = []
            for out in results:
                primal, tangent = forward.unpack_dual(out)
                parts.append(self._array(self.torch.zeros_like(primal) if tangent is None else tangent).reshape(-1))
        return np.concatenate(parts)

    def undefined(self) -> list[Note]:
        """Undefined gradients of all outputs, and of each one, must do what zeros do."""
        results, leaves = self._graph()
        results = [r for r in results if r.requires_grad]
        undefined = self.torch._C._functions.UndefinedGrad
        cases = [list(range(len(results)))] + ([[k] for k in range(len(results))] if len(results) > 1 else [])
        for case in cases:
            ones = [self.torch.ones_like(r) for r in results]
            zeros = [self.torch.zeros_like(w) if k in case else w for k, w in enumerate(ones)]
            marked = [undefined()(r) if k in case else r for k, r in enumerate(results)]
            which = "all outputs" if len(case) == len(results) else f"output {case[0]}"
            try:
                found = self._backward(marked, leaves, ones, retain_graph=True)
                expected = self._backward(results, leaves, zeros, retain_graph=True)
            except Exception as error:
                message = f"the backward pass fails where the gradient of {which} is undefined: {error}"
                return [Note("undefined-grad", message)]
            for name, one, other in zip(self.wanted, found, expected, strict=True):
                if not self._same(one, other):
                    message = f"an undefined gradient of {which} does not do what zeros do, for {name}"
                    return [Note("undefined-grad", message, name)]
        return []

    def _same(self, one: Any, other: Any) -> bool:
        if one is None or other is None:
            rest = other if one is None else one
            return rest is None or not bool(rest.detach().abs().max() if rest.numel() else 0)
        return bool(self.torch.allclose(one.detach(), other.detach(), rtol=1e-4, atol=0.0, equal_nan=True))

    def dtypes(self) -> list[Note]:
        """Gradients have the dtypes of their inputs."""
        results, leaves = self._graph()
        found = self._backward(results, leaves, [self.torch.ones_like(r) for r in results])
        return [
            Note("dtype", f"the gradient by {name} is {g.dtype}, the input {leaf.dtype}", name)
            for name, leaf, g in zip(self.wanted, leaves, found, strict=True)
            if g is not None and g.dtype != leaf.dtype
        ]

    def batched_backward(self) -> list[Note]:
        """J' V for two v at once is J' v for each."""
        results, leaves = self._graph()
        results = [r for r in results if r.requires_grad]
        batch = [self.torch.stack([self.torch.rand_like(r) + k for k in (0.5, -1.5)]) for r in results]
        single = [self._backward(results, leaves, [b[k] for b in batch], retain_graph=True) for k in (0, 1)]
        try:
            both = self._backward(results, leaves, batch, is_grads_batched=True, retain_graph=True)
        except RuntimeError as error:
            return [Note("batched-grad", f"the backward pass does not run under vmap: {error}")]
        for j, name in enumerate(self.wanted):
            for k in (0, 1):
                if not self._same(None if both[j] is None else both[j][k], single[k][j]):
                    return [Note("batched-grad", f"products under vmap are not those one by one, for {name}", name)]
        return []

    def batched_forward(self) -> list[Note]:
        """J U for two u at once is J u for each."""
        forward = self.torch.autograd.forward_ad
        given = self.tensors(self.point)
        leaves = [given[k].detach() for k in self.wanted.values()]
        batch = [self.torch.stack([self.torch.rand_like(t) + k for k in (0.5, -1.5)]) for t in leaves]

        def product(*tangents: Any) -> Any:
            moved = list(given)
            with forward.dual_level():
                for k, leaf, tangent in zip(self.wanted.values(), leaves, tangents, strict=True):
                    moved[k] = forward.make_dual(leaf, tangent)
                pairs = [forward.unpack_dual(out) for out in self.outputs(moved)]
                return tuple(self.torch.zeros_like(p) if t is None else t for p, t in pairs)

        single = [product(*(b[k] for b in batch)) for k in (0, 1)]
        try:
            both = _vmap(self.torch)(product)(*batch)
        except RuntimeError as error:
            return [Note("batched-grad", f"forward mode does not run under vmap: {error}")]
        same = all(self._same(out[k], single[k][j]) for j, out in enumerate(both) for k in (0, 1))
        return [] if same else [Note("batched-grad", "products of forward mode under vmap are not those one by one")]
