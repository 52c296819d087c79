"""numba: a jitted function as a native callback, with the signature, the data and the errors taken care of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fdcore import _extras, callbacks
from fdcore.errors import ArgumentError, ArgumentTypeError
from fdcore.fdcore import Native

__all__ = ["native"]

_SIGNATURE = "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)"
_RAISED, _LENGTH = 1, 2


def native(f: Any, *, n: int | None = None, m: int | None = None, args: tuple[Any, ...] = ()) -> Native:
    """Make a native callback of a jitted function: no GIL, all cores, as fast as a hand-written ``@cfunc``.

    Parameters
    ----------
    f : numba function or plain function
        One of three forms, told apart by the arguments it has and what it returns:

        - ``f(x, *args) -> float``
        - ``f(x, *args) -> array of m numbers``
        - ``f(x, out, *args)``, which fills `out`, of m numbers; its second argument must be called ``out``, ``y``,
          ``res`` or ``result``

        where x is a float64 array of n numbers. A plain function is compiled by ``numba.njit`` first.
    n, m : int, optional
        Number of inputs, where fixed, and of outputs: needed by the second and third form.
    args : tuple
        What f gets after x (and out): numbers, which are compiled in, and numeric arrays, whose memory f sees as it is
        at each call; arrays that are not C-contiguous are copied.

    Returns
    -------
    Native
        Accepted wherever fdcore takes a function. It keeps f and the arrays alive.

    Raises
    ------
    ArgumentError
        f cannot be compiled without Python objects, its result is of no use, or `m` is missing.
    ArgumentTypeError
        f is no function, or an argument is neither a number nor a numeric array.
    CallbackError
        When differentiated: f raised (status 1) or returned an array of another length than m (status 2).

    Notes
    -----
    Compiled at each call of `native`, in a second or so; keep the result. Changing a number in `args` takes a new one,
    changing an array's values does not.

    Examples
    --------
    >>> import numba, numpy as np, fdcore as fd
    >>> from fdcore.integrations.numba import native
    >>> @numba.njit
    ... def loss(w, X, y):
    ...     r = X @ w - y
    ...     return r @ r
    >>> X, y = np.arange(6.0).reshape(3, 2), np.ones(3)
    >>> fd.gradient(native(loss, args=(X, y)), np.array([1.0, 2.0])).round(6)
    array([132., 174.])
    """
    numba = _extras.require("numba", extra="numba", feature="native callbacks of numba functions")
    dispatcher = _dispatcher(numba, f)
    fills = _fills_out(dispatcher, len(args))
    types, bodies = [], []
    for k, arg in enumerate(args):
        kind, body = _argument(numba, k, arg)
        types.append(kind)
        bodies.append(body)
    vector = numba.types.Array(numba.float64, 1, "C")
    given = (vector, vector, *types) if fills else (vector, *types)
    result = _compiled(numba, dispatcher, given)
    scalar = not fills and _is_number(numba, result)
    if not fills and not scalar and not (isinstance(result, numba.types.Array) and result.ndim == 1):
        raise ArgumentError(
            f"{_title(f)} returns {result}; it must return a real number or an array of one axis, or fill its second "
            "argument, called out"
        )
    if fills and result is not numba.types.none:
        raise ArgumentError(f"{_title(f)} fills `out` and must return nothing, not {result}")
    if scalar and m not in (None, 1):
        raise ArgumentError(f"m={m} was passed, but {_title(f)} returns one number")
    if not scalar and m is None:
        raise ArgumentError(f"{_title(f)} has more than one value; say how many: native(f, m=...)")
    callback = _callback(numba, dispatcher, bodies, "number" if scalar else "filled" if fills else "array")
    held = (callback, dispatcher, [body.array for body in bodies if body.array is not None])
    made = callbacks.native(callback.address, signature=_SIGNATURE, n=n, m=1 if scalar else m)
    return Native(made.address, made.kind, owner=held, n=made.n, m=made.m)


def _title(f: Any) -> str:
    return f"f ({getattr(f, '__name__', type(f).__name__)})"


def _dispatcher(numba: Any, f: Any) -> Any:
    if type(f).__name__ == "CFunc":
        raise ArgumentTypeError("f is a numba cfunc already; pass it to fdcore as it is, or to fdcore.native with m=")
    if inspect.isfunction(f):
        return numba.njit(f)
    if not hasattr(f, "py_func") or not hasattr(f, "targetoptions"):
        raise ArgumentTypeError(f"f must be a numba function or a plain one, not {type(f).__name__}")
    if f.targetoptions.get("forceobj"):
        raise ArgumentError(f"{_title(f)} is compiled with forceobj=True, so it needs the GIL; compile it with njit")
    return f


_OUT = frozenset(("out", "y", "res", "result"))


def _fills_out(dispatcher: Any, extra: int) -> bool:
    """Whether f has the form f(x, out, *args)."""
    names = [p.name for p in inspect.signature(dispatcher.py_func).parameters.values() if p.default is p.empty]
    if len(names) <= extra + 1:
        return False
    if len(names) == extra + 2 and names[1] in _OUT:
        return True
    raise ArgumentError(
        f"{_title(dispatcher)} takes ({', '.join(names)}), and args has {extra} of them; it must be f(x, *args) or "
        "f(x, out, *args)"
    )


class _Body:
    """How the callback gets one of `args`."""

    def __init__(self, value: Any, array: Any = None) -> None:
        self.value, self.array = value, array


def _argument(numba: Any, k: int, arg: Any) -> tuple[Any, _Body]:
    if isinstance(arg, (bool, int, float, complex, np.number, np.bool_)):
        return numba.typeof(arg), _Body(arg)
    if not isinstance(arg, np.ndarray) or arg.dtype.kind not in "fiubc":
        raise ArgumentTypeError(f"args[{k}] is a {type(arg).__name__}; it must be a number or an array of numbers")
    array = np.ascontiguousarray(arg).reshape(arg.shape)
    return numba.types.Array(numba.from_dtype(array.dtype), array.ndim, "C"), _Body(None, array)


def _is_number(numba: Any, kind: Any) -> bool:
    return isinstance(kind, (numba.types.Float, numba.types.Integer, numba.types.Boolean))


def _compiled(numba: Any, dispatcher: Any, given: tuple[Any, ...]) -> Any:
    """Compile f for these types, and give the type of its result."""
    try:
        dispatcher.compile(given)
        return dispatcher.overloads[given].signature.return_type
    except numba.core.errors.NumbaError as error:
        lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
        raise ArgumentError(
            f"{_title(dispatcher)} cannot be compiled without Python objects, so it needs the GIL: pass it to fdcore "
            f"as a Python function, or change it. numba says: {' '.join(lines[:3])}"
        ) from error


def _callback(numba: Any, dispatcher: Any, bodies: list[_Body], form: str) -> Any:
    """A cfunc that calls f with x as an array and with its constants, and tells of exceptions by its status.

    numba prints an exception that leaves a cfunc, and goes on with zero: a derivative that is silently wrong.
    """
    pointer = _pointer_from_address(numba)
    namespace: dict[str, Any] = {"f": dispatcher, "carray": numba.carray, "pointer": pointer}
    lines, names = [], []
    for k, body in enumerate(bodies):
        names.append(f"arg{k}")
        if body.array is None:
            namespace[f"arg{k}"] = body.value
            continue
        namespace |= {f"address{k}": body.array.ctypes.data, f"shape{k}": body.array.shape}
        namespace[f"kind{k}"] = numba.types.CPointer(numba.from_dtype(body.array.dtype))
        lines.append(f"arg{k} = carray(pointer(address{k}, kind{k}), shape{k})")
    tail = "".join(f", {name}" for name in names)
    calls = {
        "number": [f"y[0] = f(carray(x, (n,)){tail})"],
        "filled": [f"f(carray(x, (n,)), carray(y, (m,)){tail})"],
        "array": [
            f"values = f(carray(x, (n,)){tail})",
            "if values.size != m:",
            f"    return {_LENGTH}",
            "for i in range(m):",
            "    y[i] = values[i]",
        ],
    }[form]
    body_text = "\n".join(f"        {line}" for line in (*lines, *calls))
    source = (
        "def callback(n, x, m, y, user_data):\n"
        f"    try:\n{body_text}\n        return 0\n"
        f"    except Exception:\n        return {_RAISED}\n"
    )
    exec(compile(source, "<callback of fdcore.integrations.numba>", "exec"), namespace)
    types = numba.types
    doubles = types.CPointer(types.float64)
    signature = types.intc(types.intp, doubles, types.intp, doubles, types.voidptr)
    return numba.cfunc(signature)(namespace["callback"])


def _pointer_from_address(numba: Any) -> Callable[..., Any]:
    """An address as a typed pointer, which numba has no word for."""
    extending = _extras.require("numba.extending", extra="numba", feature="native callbacks of numba functions")

    def pointer(context: Any, address: Any, kind: Any) -> Any:
        target = kind.instance_type if hasattr(kind, "instance_type") else kind.dtype

        def generate(cg: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.inttoptr(values[0], cg.get_value_type(target))

        return target(address, kind), generate

    return extending.intrinsic(pointer)  # type: ignore[no-any-return]
