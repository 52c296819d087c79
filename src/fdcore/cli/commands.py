"""What the commands do, once their arguments are read."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.cli.library import load_native, load_native_gradient, names_library
from fdcore.cli.target import UsageError, UserCodeError, load_object, load_params, parse_point, write_text
from fdcore.cli.terminal import Terminal

__all__ = ["check", "curve", "demo"]

AGREES, WRONG, CANNOT_TELL = range(3)


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 if all of it went as it must."""
    from fdcore.models.demo import demo as sections

    ok, found = True, []
    with _reader_may_leave():
        terminal = Terminal(sys.stdout, plain=arguments.plain)
        for section in sections():
            found.append(section)
            ok &= section.ok
            if not arguments.json:
                terminal.section(section)
        if arguments.json:
            keys = ("title", "ok", "verdict", "header", "rows")
            data = [
                {key: getattr(section, key) for key in keys}
                | {"report": None if section.report is None else section.report.to_dict()}
                for section in found
            ]
            _print_json({"ok": ok, "sections": data})
        else:
            terminal.verdict(ok, "everything is as it must be" if ok else "something is not as it must be")
    if arguments.html is not None:
        # The last one is the planted bug, which is what a report is for.
        write_text(arguments.html, [s.report for s in found if s.report is not None][-1].to_html())
    return 0 if ok else 1


def check(arguments: argparse.Namespace) -> int:
    """Check a gradient; the verdict as exit status."""
    # What the user's code prints must not get between the lines of the result.
    with redirect_stdout(sys.stderr):
        result = _checked(arguments)
    if arguments.html is not None:
        write_text(arguments.html, result.to_html())
    with _reader_may_leave():
        if arguments.json:
            print(result.to_json())
        else:
            Terminal(sys.stdout, plain=arguments.plain).report(result)
    return {"agrees": AGREES, "wrong": WRONG}.get(result.verdict, CANNOT_TELL)


def _checked(arguments: argparse.Namespace) -> Any:
    from fdcore.check import check_gradient

    options = {key: getattr(arguments, key) for key in ("mode", "budget", "seed", "only", "exclude", "sample")}
    options["progress"] = True if arguments.progress else None
    target, factory = arguments.target, arguments.torch
    if (target is None) == (factory is None):
        raise UsageError("name one thing to check: MODULE:LOSS, LIBRARY:LOSS, or --torch MODULE:FACTORY")
    if factory is not None:
        made: Any = load_object(factory)
        if not _is_module(made):  # which can be called too, but is meant itself
            with UserCodeError.around(factory):
                made = made()
        return _torch_check(factory, made, arguments, options)
    if names_library(target):
        loss: Any = load_native(target, arguments.signature)
    else:
        _refuse(arguments, "--signature goes with a function of a native library", "signature")
        loss = load_object(target)
        if _is_module(loss):
            return _torch_check(target, loss, arguments, options)
    if arguments.grad is None or arguments.at is None:
        lacking = [f"--{name}" for name in ("grad", "at") if getattr(arguments, name) is None]
        raise UsageError(f"the following arguments are required: {', '.join(lacking)}")
    _refuse(arguments, "--double goes with --torch", "double")
    if names_library(arguments.grad):
        gradient: Any = load_native_gradient(arguments.grad, arguments.grad_signature)
    else:
        _refuse(arguments, "--grad-signature goes with a gradient in a native library", "grad_signature")
        gradient = load_object(arguments.grad)
    params = _params(arguments.at)
    if names_library(target) and not isinstance(params, np.ndarray | float):
        raise UsageError(f"{target} takes one vector; --at {arguments.at} holds named arrays")
    if names_library(target):
        params = np.atleast_1d(params)
    with UserCodeError.around("the check"):
        return check_gradient(loss, gradient, params, **options)


def _refuse(arguments: argparse.Namespace, why: str, *names: str) -> None:
    if any(getattr(arguments, name) for name in names):
        raise UsageError(why)


def _is_module(value: Any) -> bool:
    """Whether it is a torch.nn.Module; without importing PyTorch, which is there if it is one."""
    return any(
        kind.__module__ == "torch.nn.modules.module" and kind.__name__ == "Module" for kind in type(value).__mro__
    )


def _torch_check(name: str, made: Any, arguments: argparse.Namespace, options: dict[str, Any]) -> Any:
    from fdcore.integrations.torch import check_module

    _refuse(arguments, "--grad, --at and signatures are not for a torch module: autograd gives its gradient",
            "grad", "at", "signature", "grad_signature")  # fmt: skip
    parts = made if isinstance(made, tuple) else (made,)
    if not 1 <= len(parts) <= 4 or not _is_module(parts[0]):
        raise UsageError(
            f"{name} must return a torch.nn.Module, or (module, loss, inputs), or (module, loss, inputs, targets); "
            f"it returned {type(made).__name__}"
        )
    double = _extras.require("torch", extra="torch", feature="checks of modules").float64 if arguments.double else None
    with UserCodeError.around("the check"):
        return check_module(*parts, dtype=double, **options)


def _params(text: str) -> Any:
    """Parameters from a file, or written out."""
    point = parse_point(text)
    return load_params(text) if point is None else point


def curve(arguments: argparse.Namespace) -> int:
    """Error against step: a table, JSON, a picture."""
    from fdcore.curve import step_size_curve

    with redirect_stdout(sys.stderr):
        if names_library(arguments.target):
            f: Any = load_native(arguments.target, arguments.signature)
        else:
            _refuse(arguments, "--signature goes with a function of a native library", "signature")
            f = load_object(arguments.target)
        at = _params(arguments.at)
        if not isinstance(at, np.ndarray | float) or np.ndim(at) > 1:
            raise UsageError(f"--at {arguments.at}: the curve is drawn at a number or a vector")
        exact: Any = None if arguments.exact is None else parse_point(arguments.exact)
        if exact is None and arguments.exact is not None:
            exact = load_object(arguments.exact)
        methods = arguments.methods.split(",") if arguments.methods else ("forward", "central", "five-point")
        with UserCodeError.around("the curve"):
            found = step_size_curve(f, at, exact, methods=methods)
    if arguments.plot is not None:
        _save_figure(found, arguments.plot)
    with _reader_may_leave():
        if arguments.json:
            data = {
                "steps": found.steps.tolist(),
                "errors": {name: values.tolist() for name, values in found.errors.items()},
                "best": found.best,
                "predicted": found.predicted,
                "exact": found.exact,
                "nfev": found.nfev,
            }
            _print_json(data)
        else:
            print(found)
    return 0


def _save_figure(found: Any, file: str) -> None:
    figure = _extras.require("matplotlib.figure", extra="plot", feature="pictures").Figure(
        figsize=(7, 4.5), layout="constrained"
    )
    found.plot(figure.subplots())
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def _print_json(data: Any) -> None:
    print(json.dumps(_plain(data), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """NaN and infinity as text, as in the reports' JSON."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Print as far as anybody, such as head, wants to read."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # or the interpreter complains at its end
