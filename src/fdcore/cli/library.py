"""Functions of native libraries, named as ``libfoo.so:symbol``."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fdcore.callbacks import native
from fdcore.cli.target import UsageError
from fdcore.errors import FdcoreError
from fdcore.fdcore import KINDS, Native

__all__ = ["GRADIENTS", "LOSS", "load_native", "load_native_gradient", "names_library"]

LOSS = "double (int, double *)"
_VECTOR = KINDS[4]
GRADIENTS = ("void (int, double *, double *)", "void (int, double *, double *, void *)", _VECTOR)

_LIBRARY = re.compile(r"\.(so(\.\d+)*|dylib|dll)$", re.IGNORECASE)


def names_library(name: str) -> bool:
    """Whether this names a function of a native library: what is before the last colon looks like one's file."""
    return _LIBRARY.search(name.rpartition(":")[0]) is not None


def load_native(name: str, signature: str | None, n: int | None = None) -> Native:
    """The function, with the signature it is said to have.

    Raises
    ------
    UsageError
        There is no such library or function, or fdcore does not call functions of this signature.
    """
    try:
        function = _symbol(name)
        form = signature or LOSS
        values = None if form.lstrip().startswith("double") else 1  # the vector forms do not say how many there are
        return native(function, signature=form, n=n, m=values)
    except FdcoreError as error:
        raise UsageError(f"{name}: {error}") from None


def load_native_gradient(name: str, signature: str | None) -> Callable[[Any], Any]:
    """A gradient: it fills an array of as many numbers as x has.

    Raises
    ------
    UsageError
        There is no such library or function, or the signature is none of `GRADIENTS`.
    """
    function = _symbol(name)
    form = " ".join((signature or GRADIENTS[0]).replace("const ", "").replace("*", " * ").split())
    known = {" ".join(kind.replace("*", " * ").split()): kind for kind in GRADIENTS}
    if form not in known:
        raise UsageError(f"--grad-signature {signature!r} is none of: {'; '.join(GRADIENTS)} (const does not matter)")
    kind = known[form]
    double_p = ctypes.POINTER(ctypes.c_double)
    if kind == _VECTOR:
        function.restype = ctypes.c_int
        function.argtypes = [ctypes.c_ssize_t, double_p, ctypes.c_ssize_t, double_p, ctypes.c_void_p]
    else:
        function.restype = None
        function.argtypes = [ctypes.c_int, double_p, double_p, ctypes.c_void_p][: 4 if "void *" in kind else 3]

    def gradient(x: Any) -> Any:
        point = np.ascontiguousarray(x, dtype=np.float64).reshape(-1)
        result = np.full(point.size, np.nan)  # what it forgets to fill shows
        pointers = point.ctypes.data_as(double_p), result.ctypes.data_as(double_p)
        if kind == _VECTOR:
            status = function(point.size, pointers[0], point.size, pointers[1], None)
            if status:
                raise UsageError(f"{name} returned status {status} (0 is success)")
        else:
            function(point.size, *pointers, *([None] if "void *" in kind else []))
        return result.reshape(np.shape(x))

    return gradient


def _symbol(name: str) -> Any:
    file, _, symbol = name.rpartition(":")
    if not symbol:
        raise UsageError(f"{name!r}: write LIBRARY:FUNCTION, for example libfoo.so:loss")
    # A file here is meant rather than one of the system's; a bare name goes through the loader's own search.
    path = os.path.abspath(file) if os.path.exists(file) else file
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise UsageError(f"{file}: {error}") from None
    try:
        return library[symbol]
    except AttributeError:
        raise UsageError(f'{file} has no function {symbol!r}; is it exported, and extern "C" if it is C++?') from None
