"""SymPy expressions as native code: C through a compiler, or Python through numba."""

from __future__ import annotations

import ctypes
import math
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fdcore import _extras, callbacks
from fdcore.errors import ArgumentError
from fdcore.fdcore import Native
from fdcore.integrations._parse import require_sympy, shortened
from fdcore.integrations.numba import native as native_of_numba

__all__ = ["native_code"]

_SIGNATURE = "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)"
# gnu11 rather than c11 for M_PI.
_FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-ffp-contract=off")


def native_code(entries: Sequence[Any], symbols: Sequence[Any], backend: str | None) -> Native:
    """A native callback of these expressions of these symbols; see `fdcore.integrations.sympy.native`."""
    if backend not in (None, "c", "numba"):
        raise ArgumentError(f"backend must be 'c' or 'numba', not {backend!r}")
    compiler = _compiler()
    if backend == "c" and compiler is None:
        raise ArgumentError("there is no C compiler called cc, gcc or clang, and CC is not set; use backend='numba'")
    use_c = compiler is not None and backend != "numba"
    lines = _statements(entries, symbols, use_c)
    if use_c:
        body = "".join(f"    {line};\n" for line in lines)
        source = (
            "#include <math.h>\n#include <stddef.h>\n"
            "int fdcore_expression(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)\n"
            f"{{\n    (void)n, (void)m, (void)ctx, (void)x;\n{body}    return 0;\n}}\n"
        )
        function = _built(source, compiler or "")
        return callbacks.native(function, n=len(symbols), m=len(entries), signature=_SIGNATURE)
    body = "".join(f"    {line}\n" for line in lines)
    return _jitted(f"def expression(x, y):\n{body}", len(symbols), len(entries))


def _compiler() -> str | None:
    if os.name == "nt":
        return None  # what a compiler is called there, and how, differs too much
    named = shlex.split(os.environ.get("CC", ""))
    return next((found for name in (*named[:1], "cc", "gcc", "clang") if (found := shutil.which(name))), None)


def _statements(entries: Sequence[Any], symbols: Sequence[Any], use_c: bool) -> list[str]:
    """Assignments that compute y[0], y[1], ... from x[0], x[1], ..."""
    sympy = require_sympy()
    rewriting = _extras.require("sympy.codegen.rewriting", extra="sympy", feature="exact derivatives")
    components = {symbol: sympy.Symbol(f"x[{k}]", real=True) for k, symbol in enumerate(symbols)}
    # Not one after another: a component may be called like another one's symbol.
    plain = [sympy.sympify(entry).xreplace(components) for entry in entries]
    shared, outputs = sympy.cse(plain, symbols=sympy.numbered_symbols("t"), optimizations=[])
    multiply = rewriting.create_expand_pow_optimization(6)
    lines = []
    for target, entry in [*shared, *((f"y[{k}]", entry) for k, entry in enumerate(outputs))]:
        large = {n: sympy.Float(n, 20) for n in entry.atoms(sympy.Integer) if abs(n) >= 2**31}
        written = _printed(sympy, multiply(entry.xreplace(large)), use_c)
        declared = "const double " if use_c and not str(target).startswith("y[") else ""
        lines.append(f"{declared}{target} = {written}")
    return lines


def _printed(sympy: Any, entry: Any, use_c: bool) -> str:
    try:
        text = sympy.ccode(entry) if use_c else sympy.pycode(entry)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ArgumentError(f"{shortened(str(entry))} has no native form: {str(error).splitlines()[0]}") from error
    if "Not supported" in text or "not supported" in text:
        names = [line.lstrip("/# ") for line in text.splitlines() if line.startswith(("//", "#"))][1:]
        raise ArgumentError(
            f"{shortened(str(entry))} has no native form: {', '.join(names) or 'a function'} cannot be written in "
            f"{'C' if use_c else 'numba'}; evaluate it in Python, by sympy.lambdify"
        )
    return " ".join(text.split())


@lru_cache(maxsize=256)
def _built(source: str, compiler: str) -> Any:
    """Compile and load; the function keeps its library."""
    # What is loaded stays there without its file.
    with tempfile.TemporaryDirectory(prefix="fdcore-", ignore_cleanup_errors=True) as folder:
        code, made = Path(folder, "expression.c"), Path(folder, "expression.so")
        code.write_text(source, encoding="utf-8")
        command = [compiler, *_FLAGS, "-o", str(made), str(code), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            first = done.stderr.strip().splitlines()[:3]
            raise ArgumentError(f"the expression could not be compiled: {' '.join(first)}")
        function = ctypes.CDLL(str(made)).fdcore_expression
    function.restype = ctypes.c_int
    double_p = ctypes.POINTER(ctypes.c_double)
    function.argtypes = [ctypes.c_ssize_t, double_p, ctypes.c_ssize_t, double_p, ctypes.c_void_p]
    return function


@lru_cache(maxsize=256)
def _jitted(source: str, n: int, m: int) -> Native:
    # The text is what SymPy printed of its own expressions: of the caller's names, none is left in it.
    namespace: dict[str, Any] = {"math": math}
    exec(compile(source, "<expression of fdcore.integrations.sympy>", "exec"), namespace)
    return native_of_numba(namespace["expression"], n=n, m=m)
