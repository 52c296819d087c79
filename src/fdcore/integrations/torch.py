"""PyTorch: numeric gradients of modules and functions, and checks of their backward passes, by parameter name.

A module is checked as it is, in place: its tensors are lent to the check and put back afterwards, the very same memory,
whatever happens in between. So a loss may reach for ``module.parameters()`` itself, as weight decay does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import GradientCheck, Note, check_gradient, check_vjp
from fdcore.differentiate import gradient
from fdcore.errors import ArgumentError, ArgumentTypeError, ShapeError

__all__ = ["check_function", "check_module", "numeric_gradient"]

_DOUBLE = "double"


def numeric_gradient(
    target: Any,
    loss: Callable[..., Any] | None = None,
    inputs: Any = (),
    targets: Any = (),
    *,
    dtype: Any = _DOUBLE,
    seed: int = 0,
    **options: Any,
) -> Any:
    """Numeric gradient of a loss with respect to each tensor, by name: what autograd should say.

    Parameters
    ----------
    target : torch.nn.Module or callable
        A module: the gradient is with respect to its parameters that require one. A function of tensors: with respect
        to its inputs that require one, or all floating-point ones where none does.
    loss : callable, optional
        ``loss(output, *targets)`` makes one number of what `target` returns; without it, `target` returns that number.
    inputs, targets : tensor or sequence
        What `target` is called with, and what `loss` gets after its output. Never changed.
    dtype : torch.dtype or None, default torch.float64
        The precision to evaluate in: parameters, buffers, inputs and targets are converted for the time being. With
        None they keep theirs, and differences of float32 numbers have three to four right digits.
    seed : int
        Set before each evaluation, so that dropout and other random layers draw the same numbers each time. The
        generators' states are put back.
    **options
        As for `fdcore.gradient`: `method`, `accuracy`, `step`, `full_output`, `progress` and so on.

    Returns
    -------
    dict of str to tensor
        float64 tensors of the parameters' shapes, on their devices. With ``full_output=True`` a `Result` whose parts
        are dicts of arrays.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        Nothing requires a gradient, a tensor is complex, or the result is not one number.

    Notes
    -----
    Cost: two forward passes for each number; the module must be small, or use `check_module`.

    Examples
    --------
    >>> import torch
    >>> from fdcore.integrations.torch import numeric_gradient
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> numeric_gradient(lambda w: (w**3).sum(), inputs=w)["w"].round(decimals=6)
    tensor([ 3., 12.], dtype=torch.float64)
    """
    torch = _torch()
    with _lent(torch, target, loss, inputs, targets, dtype, seed) as lent:
        found = gradient(lent.value, lent.point, **options)
        if options.get("full_output"):
            return found
        return {name: torch.from_numpy(found[name]).to(lent.tensors[name].device) for name in lent.point}


def check_module(
    module: Any,
    loss: Callable[..., Any] | None = None,
    inputs: Any = (),
    targets: Any = (),
    *,
    dtype: Any = None,
    seed: int = 0,
    **options: Any,
) -> GradientCheck:
    """Check autograd's gradient of a loss with respect to a module's parameters.

    Parameters
    ----------
    module : torch.nn.Module
        In the mode it is in: call ``module.eval()`` first to check it as used for inference.
    loss : callable, optional
        ``loss(module(*inputs), *targets)`` is one number; without it the module returns that number.
    inputs, targets : tensor or sequence
        Never changed.
    dtype : torch.dtype, optional
        Evaluate in this precision instead, ``torch.float64`` as a rule: parameters, buffers, inputs and targets are
        converted for the time being.
    seed : int
        Set before each evaluation, so that random layers (dropout) draw the same numbers each time, and of the check.
    **options
        As for `fdcore.check_gradient`: `mode`, `budget`, `only`, `exclude`, `sample`, `progress` and so on.

    Returns
    -------
    GradientCheck
        Its entries have names such as ``layer1.weight[3, 7]``. Parameters that do not require a gradient are left out;
        a parameter used in several places appears once. Three notes are this function's own: ``"random"`` (random
        numbers are drawn), ``"buffers"`` (the forward pass changes buffers, as batch norm does in training) and
        ``"input-mutated"``; and ``"dtype"`` says what to do.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        Nothing requires a gradient, a tensor cannot be used, or the loss is not one number. Whatever the module raises
        comes through. Parameters, buffers, gradients and the generators' states are as before in each case.

    Notes
    -----
    Cost: some ten forward passes for each number of a small module (up to 1000 numbers), and 40 to 600 in all beyond;
    five backward passes. Another thread must not use the module meanwhile.

    Examples
    --------
    >>> import torch
    >>> from fdcore.integrations.torch import check_module
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> x, y = torch.randn(8, 3), torch.tensor([0, 1] * 4)
    >>> check = check_module(net, torch.nn.CrossEntropyLoss(), x, y, dtype=torch.float64)
    >>> check.verdict, [row.name for row in check.parameters]
    ('agrees', ['0.weight', '0.bias', '2.weight', '2.bias'])
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise ArgumentTypeError(f"module must be a torch.nn.Module, not {type(module).__name__}; use check_function")
    with _lent(torch, module, loss, inputs, targets, dtype, seed) as lent:
        check = check_gradient(lent.value, lent.backward, lent.point, seed=seed, **options)
        return _noted(check, lent)


def check_function(
    function: Callable[..., Any], inputs: Any, *, dtype: Any = None, seed: int = 0, **options: Any
) -> GradientCheck:
    """Check the backward pass of a function of tensors, such as ``apply`` of a `torch.autograd.Function`.

    Parameters
    ----------
    function : callable
        Takes `inputs`, returns a tensor of any shape or a tuple of them.
    inputs : tensor or sequence
        Those that require a gradient are checked; all floating-point ones where none does. Never changed.
    dtype : torch.dtype, optional
        Convert floating-point inputs to this precision, ``torch.float64`` as a rule.
    seed : int
        Set before each evaluation, and of the check.
    **options
        As for `fdcore.check_vjp`: `samples`, `mode`, `budget`.

    Returns
    -------
    GradientCheck
        The gradient of ``v @ output`` for random v. Entries are called by the names of the arguments of the function,
        or of `forward`.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        There is nothing to check, or a tensor is complex.

    Examples
    --------
    >>> import torch
    >>> from fdcore.integrations.torch import check_function
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x**2 * grad  # should be 3
    >>> check = check_function(Cube.apply, torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    >>> check.verdict, check.diagnoses[0].label, round(check.wrong[0].ratio, 6)
    ('wrong', 'factor', 0.666667)
    """
    torch = _torch()
    with _lent(torch, function, None, inputs, (), dtype, seed) as lent:
        check = check_vjp(lent.values, lent.vjp, lent.point, seed=seed, **options)
        return _noted(check, lent)


def _torch() -> Any:
    return _extras.require("torch", extra="torch", feature="derivatives of PyTorch functions")


def _noted(check: GradientCheck, lent: _Lent) -> GradientCheck:
    """Add what was seen of the module, and what to do where single precision is the reason."""
    torch, notes = lent.torch, []
    for note in check.notes:
        if note.label == "dtype" and lent.dtype is None:
            note = replace(note, message=f"{note.message}. Pass dtype=torch.float64: all is put back afterwards")
        notes.append(note)
    if lent.drew:
        layers = [f"{type(part).__name__} {name}".rstrip() for name, part in lent.parts if _is_random(torch, part)]
        who = f"random numbers are drawn ({', '.join(layers[:3])}{', ...' if len(layers) > 3 else ''})" if layers else (
            "random numbers are drawn"
        )  # fmt: skip
        advice = "; module.eval() switches dropout off" if layers else ""
        notes.append(
            Note("random", f"{who}: each evaluation got the same ones, so this is the gradient for them{advice}")
        )
    if lent.changed:
        names = ", ".join(lent.changed[:3]) + (", ..." if len(lent.changed) > 3 else "")
        message = (
            f"the forward pass changes buffers ({names}), which were put back each time: in training mode, batch norm "
            "uses the statistics of the batch; module.eval() checks it as used for inference"
        )
        notes.append(Note("buffers", message))
    if lent.mutated:
        notes.append(Note("input-mutated", "an input is written to in place; each evaluation got a fresh copy"))
    return replace(check, notes=tuple(notes))


def _is_random(torch: Any, part: Any) -> bool:
    probability = getattr(part, "dropout", 0.0)  # attention and recurrent layers
    if isinstance(part, torch.nn.modules.dropout._DropoutNd):
        probability = part.p
    return bool(part.training and isinstance(probability, float) and probability > 0.0)


class _Lent:
    """A module (or function) with its inputs, as functions of named arrays."""

    def __init__(
        self,
        torch: Any,
        target: Any,
        loss: Callable[..., Any] | None,
        inputs: Sequence[Any],
        targets: Sequence[Any],
        dtype: Any,
        seed: int,
    ) -> None:
        self.torch, self.target, self.loss = torch, target, loss
        self.dtype, self.seed = dtype, seed
        self.module = target if isinstance(target, torch.nn.Module) else None
        self.parts: list[tuple[str, Any]] = [] if self.module is None else list(self.module.named_modules())
        self.inputs, self.targets = self._converted(inputs), self._converted(targets)
        self.drew = self.mutated = False
        self.changed: list[str] = []
        self.looked = False
        self.buffers: list[tuple[dict[str, Any], str, str, Any]] = []
        self.generators: list[Any] = []
        self.tensors: dict[str, Any] = {}  # what is differentiated
        self.places: dict[str, int] = {}  # of a function: which input each is
        if self.module is not None:
            self.tensors = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
            if not self.tensors:
                raise ArgumentError("no parameter of the module requires a gradient; nothing to differentiate")
        else:
            self._choose(inputs)
        for name, tensor in self.tensors.items():
            self._require_usable(name, tensor)
        self.point = {name: _array(self._like(tensor)) for name, tensor in self.tensors.items()}

    def _choose(self, inputs: Sequence[Any]) -> None:
        torch = self.torch
        real = [
            k for k, t in enumerate(inputs) if isinstance(t, torch.Tensor) and (t.is_floating_point() or t.is_complex())
        ]
        wanted = [k for k in real if inputs[k].requires_grad] or real
        if not wanted:
            raise ArgumentError("inputs holds no floating-point tensor; nothing to differentiate")
        names = _argument_names(self.target, len(inputs))
        self.places = {names[k]: k for k in wanted}
        self.tensors = {name: inputs[k] for name, k in self.places.items()}

    def _require_usable(self, name: str, tensor: Any) -> None:
        if tensor.is_complex():
            raise ArgumentTypeError(f"{name} is complex; differentiate with respect to its real and imaginary part")
        if type(tensor).__name__ == "UninitializedParameter":
            raise ArgumentError(f"{name} has no shape yet; run the module once before")
        if tensor.layout != self.torch.strided or tensor.device.type == "meta":
            raise ArgumentTypeError(f"{name} is a {tensor.layout} tensor on {tensor.device}; it must be a dense one")
        if tensor.dtype == self.torch.bfloat16 and self.dtype is None:
            raise ArgumentTypeError(f"{name} is bfloat16, which has 3 digits; pass dtype=torch.float64")

    def _like(self, tensor: Any) -> Any:
        """A copy of a tensor in the precision of the check."""
        wanted = self.dtype if self.dtype is not None and tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(dtype=wanted, copy=True)

    def _converted(self, value: Any) -> Any:
        return _map(self.torch, self._like, value)

    # ---- lending and putting back

    @contextmanager
    def borrow(self) -> Iterator[None]:
        """Work on copies of the module's tensors; the originals come back on every path."""
        parameters = [] if self.module is None else list(self.module.parameters())
        kept = [(p, p.data) for p in parameters]
        attributes = [(part, dict(part.__dict__)) for _, part in self.parts]
        for prefix, part in self.parts:
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    full = f"{prefix}.{name}" if prefix else name
                    self.buffers.append((part._buffers, name, full, buffer))
        devices = {t.device.index for t in (*parameters, *self.tensors.values()) if t.device.type == "cuda"}
        self.generators = [self.torch.default_generator]
        self.generators += [self.torch.cuda.default_generators[k] for k in sorted(devices)]
        with self.torch.random.fork_rng(devices=sorted(devices)), self.torch.enable_grad():
            try:
                for p in parameters:
                    p.data = self._like(p)
                yield
            finally:
                for p, data in kept:
                    p.data = data
                for holder, name, _, buffer in self.buffers:
                    holder[name] = buffer
                for part, before in attributes:
                    for name in part.__dict__.keys() - before.keys():
                        del part.__dict__[name]
                    part.__dict__.update(before)

    def _run(self, arrays: Mapping[str, Any]) -> tuple[list[Any], Any]:
        """Evaluate at these arrays: the tensors that stand for them, and what the target (or its loss) returned."""
        torch = self.torch
        fresh = [self._like(buffer) for *_, buffer in self.buffers]
        for (holder, name, _, _), copy in zip(self.buffers, fresh, strict=True):
            holder[name] = copy
        given = list(_map(torch, lambda t: t.clone(), self.inputs))
        targets = _map(torch, lambda t: t.clone(), self.targets)
        leaves = []
        for name, tensor in self.tensors.items():
            values = torch.from_numpy(np.array(arrays[name])).reshape(tensor.shape)
            if self.module is not None:
                tensor.data.copy_(values)
                leaves.append(tensor)
            else:
                leaf = given[self.places[name]].copy_(values).requires_grad_()
                # A view, so that a function that writes to its input is not stopped for being given a leaf.
                given[self.places[name]] = leaf.view_as(leaf)
                leaves.append(leaf)
        # Not torch.manual_seed: where CUDA has not started, each call of it leaves a traceback in a queue.
        for generator in self.generators:
            generator.manual_seed(self.seed)
        state = None if self.looked else torch.get_rng_state()
        try:
            output = self.target(*given)
            if self.loss is not None:
                output = self.loss(output, *targets)
        except RuntimeError as error:
            if self.dtype is not None and "dtype" in str(error):
                error.add_note(
                    f"dtype={self.dtype} converts the module, its inputs and targets; tensors that the loss or the "
                    "module hold elsewhere keep their own. Pass them as targets, or register them as buffers"
                )
            raise
        if state is not None:
            self.looked = True
            self.drew = not torch.equal(state, torch.get_rng_state())
            self.changed = [
                full
                for holder, name, full, buffer in self.buffers
                if not torch.equal(holder[name], self._like(buffer)) and holder[name].is_floating_point()
            ]
            if self.module is not None:
                self.mutated = not _same(torch, given, self.inputs)
        return leaves, output

    # ---- functions of arrays

    def value(self, arrays: Mapping[str, Any]) -> Any:
        """The loss."""
        return _array(self._scalar(self._run(arrays)[1])).reshape(())

    def _scalar(self, output: Any) -> Any:
        if not isinstance(output, self.torch.Tensor):
            if isinstance(output, (int, float)):
                return self.torch.tensor(output, dtype=self.torch.float64)
            raise ArgumentTypeError(f"the loss is a {type(output).__name__}; it must be a tensor with one number")
        if output.numel() != 1:
            raise ShapeError(
                f"the loss has shape {tuple(output.shape)}; it must be one number: pass loss=, or use check_function"
            )
        return output

    def backward(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """What autograd says of the loss."""
        leaves, output = self._run(arrays)
        return self._gradients(leaves, [self._scalar(output)], None)

    def _gradients(self, leaves: list[Any], outputs: list[Any], weights: list[Any] | None) -> dict[str, Any]:
        found: Sequence[Any] = [None] * len(leaves)
        if outputs and any(out.requires_grad for out in outputs):
            found = self.torch.autograd.grad(outputs, leaves, weights, allow_unused=True)
        pairs = zip(self.tensors, leaves, found, strict=True)
        return {name: _array(self.torch.zeros_like(leaf) if g is None else g) for name, leaf, g in pairs}

    def _outputs(self, output: Any) -> list[Any]:
        results = [output] if isinstance(output, self.torch.Tensor) else list(output)
        return [r for r in results if isinstance(r, self.torch.Tensor) and r.is_floating_point()]

    def values(self, arrays: Mapping[str, Any]) -> Any:
        """All outputs, one after another."""
        return np.concatenate([_array(out).reshape(-1) for out in self._outputs(self._run(arrays)[1])])

    def vjp(self, arrays: Mapping[str, Any], v: Any) -> dict[str, Any]:
        """The product of `v`, a value for each output, with the Jacobian."""
        leaves, output = self._run(arrays)
        outputs, weights, start = [], [], 0
        for out in self._outputs(output):
            part = self.torch.from_numpy(np.array(v[start : start + out.numel()])).reshape(out.shape)
            start += out.numel()
            if out.requires_grad:
                outputs.append(out)
                weights.append(part.to(dtype=out.dtype, device=out.device))
        return self._gradients(leaves, outputs, weights)


@contextmanager
def _lent(torch: Any, target: Any, loss: Any, inputs: Any, targets: Any, dtype: Any, seed: int) -> Iterator[_Lent]:
    if not callable(target):
        raise ArgumentTypeError(f"a module or a function is needed, not {type(target).__name__}")
    if loss is not None and not callable(loss):
        raise ArgumentTypeError(f"loss must be a function of the output and the targets, not {type(loss).__name__}")
    if dtype == _DOUBLE:
        dtype = torch.float64
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ArgumentTypeError(f"dtype must be a floating-point torch.dtype, such as torch.float64, not {dtype!r}")
    lent = _Lent(torch, target, loss, _sequence(torch, inputs), _sequence(torch, targets), dtype, seed)
    with lent.borrow():
        yield lent


def _sequence(torch: Any, value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _map(torch: Any, change: Callable[[Any], Any], value: Any) -> Any:
    """Nested lists, tuples and dicts with each tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(torch, change, child) for key, child in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_map(torch, change, child) for child in value)
    return value


def _same(torch: Any, a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return bool(torch.equal(a, b) or torch.isnan(b).any())
    if isinstance(a, (list, tuple)):
        return all(_same(torch, x, y) for x, y in zip(a, b, strict=True))
    return not isinstance(a, dict) or all(_same(torch, a[key], b[key]) for key in a)


def _array(tensor: Any) -> Any:
    """A tensor's numbers as an array of its own, from whatever device."""
    if str(tensor.dtype) == "torch.bfloat16":
        raise ArgumentTypeError("a bfloat16 tensor has 3 digits, too few to difference; pass dtype=torch.float64")
    return np.array(tensor.detach().cpu().numpy())


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Names of the positional arguments; of `forward`, without its context, for a torch.autograd.Function."""
    owner = getattr(function, "__self__", None)
    plain = getattr(owner, "forward", function) if isinstance(owner, type) else function
    try:
        parameters = inspect.signature(plain).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if plain is not function and len(names) > count:
        names = names[1:]
    return names[:count] if len(names) >= count else [f"x[{k}]" for k in range(count)]
