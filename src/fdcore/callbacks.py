"""Native callables of every producer, recognised by what they look like; no producer is ever imported.

`recognise` runs at the start of every derivative: it tells an ordinary Python callable (``None``) from a native one,
and turns the latter into a `Native` that the kernel calls without the GIL. `native` does the same on request, with what
the object itself cannot say: its sizes, its signature, its user data. `probe` finds Python code behind an address.
"""

from __future__ import annotations

import contextlib
import ctypes
import operator
import os
import re
import struct
import sys
from collections.abc import Callable
from ctypes import POINTER, c_void_p
from functools import lru_cache, partial
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import ArgumentError, ArgumentTypeError, SignatureError
from fdcore.fdcore import KINDS, Native, capsule_info

__all__ = ["KINDS", "native", "probe", "recognise"]

# (address, kind or None where the object carries no signature, user data)
_Reading = tuple[int, str | None, int]


# ---------------------------------------------------------------------------------------------------------------------
# Signatures: text of any producer -> one of KINDS


def _integers() -> dict[str, str]:
    """Every spelling of a signed integer, by its size on this platform: long is ptrdiff_t here and int elsewhere."""
    sizes = {
        "i": ("int", "signed", "signed int", "npy_int", "intc"),
        "l": ("long", "long int", "signed long", "npy_long"),
        "q": ("long long", "long long int", "signed long long", "npy_longlong"),
        "n": ("ptrdiff_t", "Py_ssize_t", "ssize_t"),
        "P": ("intptr_t", "npy_intp", "intp_t", "intp"),
        "=i": ("int32_t", "npy_int32", "int32"),
        "=q": ("int64_t", "npy_int64", "int64"),
    }
    return {name: f"int{8 * struct.calcsize(code)}" for code, names in sizes.items() for name in names}


_TYPES = {**_integers(), "void": "void"} | dict.fromkeys(("double", "float64", "float64_t", "npy_double"), "double")
_SAME_AS_PTRDIFF = ("int64_t", "intptr_t", "long", "long long", "Py_ssize_t", "npy_intp")
_QUALIFIERS = frozenset(("const", "volatile", "restrict", "__restrict", "__restrict__", "struct"))
_KEYWORDS = frozenset("char short int long float double signed unsigned complex _Complex _Bool bool".split())
_SHAPE = re.compile(r"(?P<result>[^()]+?)\s*(?:\(\s*\*\s*\w*\s*\))?\s*\((?P<arguments>[^()]*)\)[\s;]*")
_SUFFIX = re.compile(r"\s+(noexcept|nogil)\b")
_CYTHON_NUMPY = re.compile(r"\b__pyx_t_5numpy_(\w+)")


def _normal_type(text: str) -> str:
    """One argument or result without qualifiers, spacing and parameter name: ``const double x[]`` -> ``double*``."""
    tokens = [token for token in re.findall(r"\w+|\S", text) if token not in _QUALIFIERS]
    words = [token for token in tokens if token.isidentifier()]
    pointers = "*" * (tokens.count("*") + tokens.count("["))
    if words and words[-1] not in _KEYWORDS and " ".join(words) not in _TYPES:
        words.pop()  # the parameter's name
    name = _TYPES.get(" ".join(words))
    return " ".join(tokens) if name is None else name + pointers


def _normal_signature(text: str) -> str:
    match = _SHAPE.fullmatch(_CYTHON_NUMPY.sub(r"\1", _SUFFIX.sub("", text.strip())))
    if match is None:
        return text
    arguments = map(_normal_type, match["arguments"].split(","))
    return f"{_normal_type(match['result'])}({','.join(arguments)})"


_ACCEPTED = {_normal_signature(kind): kind for kind in KINDS}


@lru_cache(maxsize=256)
def _kind_of_text(text: str) -> str:
    """Find the kind that a signature in words stands for."""
    kind = _ACCEPTED.get(_normal_signature(text))
    if kind is not None:
        return kind
    hint = ""
    if "__pyx_skip_dispatch" in text:
        hint = "\nIt is a cpdef function, which takes a hidden argument: export a plain cdef function instead."
    elif text.startswith("int (") and _normal_signature("double" + text[3:]) in _ACCEPTED:
        hint = "\nIf it returns double, say so: ctypes assumes int until restype is set to ctypes.c_double."
    same = [name for name in _SAME_AS_PTRDIFF if _TYPES[name] == _TYPES["ptrdiff_t"]]
    accepted = "\n    ".join(KINDS)
    raise SignatureError(
        f"the callback's signature is {text!r}, which is none of those that fdcore calls:\n    {accepted}\n"
        f"(const does not matter; ptrdiff_t may be written {', '.join(same)}){hint}"
    )


def _ctypes_name(kind: Any) -> str:
    """C spelling of a ctypes type, or of a `numpy.ctypeslib.ndpointer`."""
    if kind is None:
        return "void"
    if hasattr(kind, "_dtype_"):
        return f"{kind._dtype_} *"
    content = getattr(kind, "_type_", None)
    if isinstance(content, str):
        codes = {"d": "double", "f": "float", "i": "int", "l": "long", "q": "long long", "P": "void *"}
        return codes.get(content) or str(kind.__name__)
    if content is not None and not hasattr(kind, "_length_"):
        return f"{_ctypes_name(content)} *"
    return str(getattr(kind, "__name__", kind))


@lru_cache(maxsize=256)
def _kind_of_ctypes(result: Any, arguments: tuple[Any, ...]) -> str:
    return _kind_of_text(f"{_ctypes_name(result)} ({', '.join(map(_ctypes_name, arguments))})")


def _kind_of_signature(signature: Any) -> str:
    """Find the kind for what was given as ``signature=``: text, a ctypes prototype or a numba signature."""
    if isinstance(signature, str):
        return _kind_of_text(signature)
    if hasattr(signature, "_argtypes_"):
        return _kind_of_ctypes(signature._restype_, tuple(signature._argtypes_))
    if hasattr(signature, "return_type") and hasattr(signature, "args"):
        return _kind_of_text(f"{signature.return_type} ({', '.join(map(str, signature.args))})")
    raise ArgumentTypeError(
        f"signature must be text such as 'double (int, double *, void *)', a ctypes prototype or a numba signature, "
        f"not {signature!r}"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Readers: one for each producer


def _python_inside(what: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"{what} runs Python code: it would take the GIL at every evaluation and its exceptions would be lost; "
        "pass the Python function itself"
    )


def _read_ctypes(function: Any) -> _Reading:
    if function._flags_ & 4:  # FUNCFLAG_PYTHONAPI
        raise ArgumentTypeError(
            "this ctypes function comes from PyDLL or PYFUNCTYPE and expects the GIL, which fdcore releases; "
            "load the library with ctypes.CDLL, or make the prototype with ctypes.CFUNCTYPE"
        )
    kept = function._objects
    if kept is not None:
        for value in kept.values():
            if type(value).__name__ == "CThunkObject":
                raise _python_inside("this ctypes callback")
    # Read from its buffer; ctypes.cast would make a reference cycle.
    (address,) = _POINTER.unpack_from(function)
    arguments = function.argtypes
    return address, None if arguments is None else _kind_of_ctypes(function.restype, tuple(arguments)), 0


@lru_cache(maxsize=1)
def _cffi() -> tuple[Any, Any]:
    """Return cffi's own module, which is loaded wherever there is CData, and its uintptr_t."""
    backend = sys.modules["_cffi_backend"]
    return backend, backend.new_primitive_type("uintptr_t")


def _cffi_address(data: Any) -> int:
    backend, uintptr = _cffi()
    return int(backend.cast(uintptr, data))


class _SymbolInfo(ctypes.Structure):  # Dl_info
    _fields_ = (("file", ctypes.c_char_p), ("base", c_void_p), ("name", ctypes.c_char_p), ("symbol", c_void_p))


@lru_cache(maxsize=256)
def _keep_loaded(address: int) -> None:
    """Keep the library that a function belongs to loaded, as ctypes does with every library of its own.

    cffi unloads a library when `lib` and `ffi` are gone, whoever still holds ``lib.f``, and there is no way from the
    function to `lib`.
    """
    if sys.platform == "win32":
        from_address, pin = 4, 1
        ctypes.windll.kernel32.GetModuleHandleExW(from_address | pin, c_void_p(address), ctypes.byref(c_void_p()))
        return
    info = _SymbolInfo()
    dladdr = ctypes.CDLL(None).dladdr
    dladdr.argtypes = [c_void_p, POINTER(_SymbolInfo)]
    if dladdr(address, info) and info.file:
        with contextlib.suppress(OSError):  # the program itself, which nothing unloads
            ctypes.CDLL(os.fsdecode(info.file), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)


def _read_cffi(data: Any) -> _Reading:
    kind = _cffi()[0].typeof(data)
    if kind.kind == "function":
        if type(data).__name__ == "__CDataOwnGC":
            raise _python_inside("this cffi callback")
        address = _cffi_address(data)
        _keep_loaded(address)
        return address, _kind_of_text(kind.cname), 0
    if kind.cname == "void *":
        return _cffi_address(data), None, 0
    raise SignatureError(f"cffi data of type {kind.cname!r} is not a function; pass lib.f or ffi.addressof(lib, 'f')")


def _read_numba(function: Any) -> _Reading:
    signature = function.ctypes
    return function.address, _kind_of_ctypes(signature.restype, tuple(signature.argtypes)), 0


def _read_capsule(capsule: Any) -> _Reading:
    address, name, context = capsule_info(capsule)
    return address, None if name is None else _kind_of_text(name), context


def _read_low_level(callable_: Any) -> _Reading:
    function = tuple.__getitem__(callable_, 1)  # LowLevelCallable blocks [] itself
    kind: Any = type(function)
    reader = _reader(kind)
    if reader is not None:
        reader(function)  # for its refusals: SciPy wraps Python callbacks without a word
    return _read_capsule(tuple.__getitem__(callable_, 0))


_POINTER = struct.Struct("P")
_READERS: dict[tuple[str, str], Callable[[Any], _Reading]] = {
    ("builtins", "PyCapsule"): _read_capsule,
    ("scipy", "LowLevelCallable"): _read_low_level,
    ("numba", "CFunc"): _read_numba,
}


@lru_cache(maxsize=256)
def _reader(kind: Any) -> Callable[[Any], _Reading] | None:
    """Find the reader for objects of a type, or None. Types are told by name, so that no producer is imported."""
    if type(kind).__name__ == "PyCFuncPtrType":  # each library makes its own function type
        return _read_ctypes
    module = kind.__module__
    if module == "_cffi_backend" and "CData" in kind.__name__:
        return _read_cffi
    if isinstance(module, str):
        return _READERS.get((module.partition(".")[0], kind.__name__))
    return None


# ---------------------------------------------------------------------------------------------------------------------
# User data


def _user_data_address(data: Any) -> int:
    """Return the address to pass as the last argument of the callback."""
    if data is None:
        return 0
    kind = type(data)
    if isinstance(data, np.ndarray):
        if data.dtype.hasobject:
            raise ArgumentTypeError("user_data is an array of Python objects, which native code cannot read")
        if not data.flags.forc:
            raise ArgumentError(
                "user_data is an array with gaps between its entries, of which native code sees only the address; "
                "pass numpy.ascontiguousarray(...)"
            )
        return data.ctypes.data
    metaclass = type(kind).__name__
    if metaclass in ("PyCPointerType", "PyCFuncPtrType") or (
        metaclass == "PyCSimpleType" and getattr(kind, "_type_", "") in ("P", "z", "Z")
    ):
        return int(_POINTER.unpack_from(data)[0])  # what it points to
    if metaclass in ("PyCStructType", "PyCArrayType", "UnionType", "PyCSimpleType"):
        return ctypes.addressof(data)
    if kind.__module__ == "_cffi_backend" and "CData" in kind.__name__:
        ctype = _cffi()[0].typeof(data)
        if ctype.kind in ("pointer", "array", "function"):
            return _cffi_address(data)
        if ctype.kind in ("struct", "union"):
            backend = _cffi()[0]
            return _cffi_address(backend.rawaddressof(backend.new_pointer_type(ctype), data, 0))
    if kind.__module__ == "builtins" and kind.__name__ == "PyCapsule":
        return int(capsule_info(data)[0])
    if _is_integer(data):
        address = operator.index(data)
        if 0 <= address < 1 << 8 * _POINTER.size:
            return address
        raise ArgumentError(f"user_data={address} is no address")
    hint = "; pass the object itself, not byref(...)" if kind.__name__ == "CArgObject" else ""
    raise ArgumentTypeError(
        f"user_data must be an address, a NumPy array, a ctypes or cffi pointer, structure or array, or a capsule, "
        f"not {kind.__name__}{hint}"
    )


# ---------------------------------------------------------------------------------------------------------------------
# The two ways in


# Types that need no look inside.
PYTHON = frozenset((FunctionType, MethodType))
_UNTYPED = "double (int, double *, void *)"


def recognise(obj: Any) -> Native | None:
    """Tell a native callable from an ordinary Python one.

    Parameters
    ----------
    obj : object
        What the user passed as the function.

    Returns
    -------
    Native or None
        None for an ordinary Python callable. The `Native` keeps `obj` alive. Its `m` is -1 where the object cannot say.

    Raises
    ------
    SignatureError
        The callable is native, and its signature is not accepted or cannot be read.
    ArgumentTypeError
        `obj` is not callable, or it is a native callback that runs Python code.
    """
    kind: Any = type(obj)
    if kind in PYTHON:
        return None
    if isinstance(obj, Native):
        return obj
    make = _maker(kind)
    return None if make is None else make(obj)


@lru_cache(maxsize=256)
def _maker(kind: Any) -> Callable[[Any], Native | None] | None:
    """Find what makes a `Native` of objects of a type (or refuses them); None for ordinary Python callables."""
    reader = _reader(kind)
    if reader is not None:
        return partial(_from_reading, reader)
    own: Callable[[Any], Native | None] | None = getattr(kind, "__fdcore_native__", None)
    if own is not None:
        return own
    if kind is BuiltinFunctionType:
        return _refuse_functions_of_cffi
    can_be_called = any("__call__" in vars(base) for base in kind.__mro__)
    return None if can_be_called else _refuse


def _from_reading(reader: Callable[[Any], _Reading], obj: Any) -> Native:
    address, form, user_data = reader(obj)
    if form is None:
        raise SignatureError(
            f"{_describe(obj)} does not carry its signature; "
            + ("set its restype and argtypes, or " if reader is _read_ctypes else "")
            + f"pass fdcore.native(f, signature={_UNTYPED!r}) with the signature that it has"
        )
    return Native(_address(address), form, user_data=user_data, owner=obj)


def _refuse_functions_of_cffi(obj: Any) -> None:
    if type(obj.__self__).__module__ == "_cffi_backend":
        raise SignatureError(
            f"{obj.__name__!r} is a function of a compiled cffi library, which hides its address; "
            f"pass ffi.addressof(lib, {obj.__name__!r})"
        )


def _refuse(obj: Any) -> None:
    hint = "; for the address of a native function, pass fdcore.native(address, signature=...)"
    raise ArgumentTypeError(f"f must be callable, not {_describe(obj)}{hint if _is_integer(obj) else ''}")


def native(
    obj: Any,
    *,
    n: int | None = None,
    m: int | None = None,
    signature: Any = None,
    user_data: Any = None,
    reentrant: bool = True,
    batched: bool | str = False,
    update: Any = None,
) -> Native:
    """Wrap a native callback, saying what it cannot say itself.

    Parameters
    ----------
    obj : object
        A ctypes function, a cffi function, a numba ``@cfunc``, a `scipy.LowLevelCallable`, a PyCapsule whose name is a
        signature (``module.__pyx_capi__["f"]``), or the address of a function as an int.
    n, m : int, optional
        Number of inputs and of outputs, where they are fixed. The vector forms need `m`; every other form has ``m=1``.
    signature : str, ctypes prototype or numba signature, optional
        For an object that carries none: an address, a ctypes function without argtypes, an unnamed capsule. Where the
        object has one as well, both must say the same.
    user_data : object, optional
        What the callback gets as its last argument: an address, a C-contiguous NumPy array (its data), a ctypes or cffi
        pointer, a ctypes or cffi structure or array (its address), or a capsule (its pointer).
    reentrant : bool, default True
        Whether several threads may run the callback at once. With False, it runs on the calling thread alone.
    batched : bool or "side by side", default False
        Whether the callback, of the last of the signatures, takes any number of points in one call: x is (count, n) and
        y (count, m), or with "side by side" (n, count) and (m, count), so that a loop over the points can be
        vectorised. Batches are sized to fit the second-level cache.
    update : int, ctypes or cffi function, optional
        The callback's coordinate update, an ``fdc_update_fn`` (see ``fdcore.h``) that gets the same `user_data`: what
        moving single coordinates changes, so that a derivative costs a few evaluations instead of 2n. The callback
        itself must have the last of the signatures, with six arguments.

    Returns
    -------
    Native
        Accepted wherever fdcore takes a function. It keeps `obj` and `user_data` alive. Where `obj` is a bare address,
        whoever made the function must keep it alive.

    Raises
    ------
    SignatureError
        The signature is not accepted, not known, or not the one that `obj` itself carries.
    ArgumentError, ArgumentTypeError
        `n`, `m` or `user_data` cannot be used, or `obj` is no native callback.

    Examples
    --------
    >>> import ctypes, ctypes.util
    >>> import fdcore as fd
    >>> libm = ctypes.CDLL(ctypes.util.find_library("m") or "msvcrt")
    >>> sine = fd.native(libm.sin, signature="double (double)")
    >>> fd.derivative(sine, 0.0)
    1.0
    """
    if _is_integer(obj):
        reading: _Reading = operator.index(obj), None, 0
    else:
        kind: Any = type(obj)
        reader = _reader(kind)
        if reader is None:
            made = recognise(obj)
            if made is None:
                raise ArgumentTypeError(f"{_describe(obj)} is not native; pass a Python function to fdcore as it is")
            if not reentrant or any(value is not None for value in (n, m, signature, user_data)):
                raise ArgumentError(f"{_describe(obj)} has its sizes, signature and user data already; pass it alone")
            return made
        reading = reader(obj)
    address, form, context = reading
    stated = None if signature is None else _kind_of_signature(signature)
    if form is None and stated is None:
        raise SignatureError(f"{_describe(obj)} does not carry its signature; pass it, like signature={_UNTYPED!r}")
    if form is not None and stated is not None and form != stated:
        raise SignatureError(f"signature={signature!r} was passed, but {_describe(obj)} is declared as {form!r}")
    form = form or stated or ""
    if user_data is not None:
        if not form.endswith("void *)"):
            raise ArgumentError(f"user_data was passed, but a callback {form!r} has no void * argument to take it")
        if context:
            raise ArgumentError(f"user_data was passed, but {_describe(obj)} already carries its own")
        context = _user_data_address(user_data)
    fixed_n, fixed_m = (1 if form in KINDS[:2] else -1), (1 if form in KINDS[:4] else -1)
    return Native(
        _address(address),
        form,
        user_data=context,
        owner=obj if user_data is None and update is None else (obj, user_data, update),
        n=_size("n", n, fixed_n, form),
        m=_size("m", m, fixed_m, form),
        reentrant=bool(reentrant),
        batched=batched,
        update=0 if update is None else _address(_function_address(update)),
    )


def _function_address(function: Any) -> int:
    """Address of a function whose signature is taken on trust."""
    if _is_integer(function):
        return operator.index(function)
    kind: Any = type(function)
    reader = _reader(kind)
    if reader is _read_ctypes:
        return int(_POINTER.unpack_from(function)[0])
    if reader is _read_cffi:
        return _cffi_address(function)
    raise ArgumentTypeError(f"update must be an address, a ctypes or a cffi function, not {_describe(function)}")


def _is_integer(obj: Any) -> bool:
    return isinstance(obj, (int, np.integer)) and not isinstance(obj, bool)


def _describe(obj: Any) -> str:
    text = repr(obj)
    return text if len(text) <= 80 else f"an object of type {type(obj).__name__}"


def _address(address: int) -> int:
    if 0 < address < 1 << 8 * _POINTER.size:
        return address
    raise ArgumentError(f"the native callback's address is {address:#x}, which is no address of a function")


def _size(name: str, value: Any, fixed: int, form: str) -> int:
    if value is None:
        return fixed
    if not _is_integer(value):
        raise ArgumentTypeError(f"{name} must be an int, not {value!r}")
    size = operator.index(value)
    if size < 1:
        raise ArgumentError(f"{name}={size} was passed; it must be at least 1")
    if fixed not in (-1, size):
        raise ArgumentError(f"{name}={size} was passed, but a callback {form!r} has {name}={fixed}")
    return size


# ---------------------------------------------------------------------------------------------------------------------
# Python in disguise


def probe(function: Native, x: NDArray[np.float64]) -> Any:
    """Evaluate a native callback once, and refuse it if Python code runs inside.

    A Python callback that was handed over by its address and a cffi ``extern "Python"`` function look native and are
    not: each evaluation takes the GIL, and their exceptions are lost.

    Parameters
    ----------
    function : Native
        The callback.
    x : ndarray, shape (n,)
        Where to evaluate it.

    Returns
    -------
    float or ndarray, shape (m,)
        The value. Costs one evaluation (two where Python code is found).

    Raises
    ------
    ArgumentTypeError
        Python code ran inside.
    """
    found: list[CodeType] = []

    def hook(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found.append(frame.f_code)

    before: Any = sys.getprofile()
    if before is not None and not callable(before):
        return function(x)  # a profiler written in C, which cannot be put back from here
    # Whatever else runs Python code meanwhile (a signal, a finaliser) will not do so twice.
    for _ in range(2):
        found.clear()
        sys.setprofile(hook)
        try:
            value = function(x)
        finally:
            sys.setprofile(before)
        if not found:
            return value
    code = found[0]
    raise _python_inside(f"this callback looks native but {code.co_name!r} ({code.co_filename}:{code.co_firstlineno})")
