"""What `recognise` and `native` make of each producer's objects, without a compiler (that is test_native_examples)."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, POINTER, PYFUNCTYPE, c_double, c_int, c_int64, c_long, c_ssize_t, c_void_p
from typing import Any

import numpy as np
import pytest

from fdcore.callbacks import KINDS, native, probe, recognise
from fdcore.errors import ArgumentError, ArgumentTypeError, ShapeError, SignatureError
from fdcore.fdcore import Native, capsule_info

SCALAR, SCALAR_DATA, POINT, POINT_DATA, VECTOR, FULL = KINDS
DOUBLES = POINTER(c_double)
ADDRESS = c_void_p.from_buffer(ctypes.pythonapi.Py_IncRef).value  # a true function's; nobody calls it

SumPrototype = CFUNCTYPE(c_double, c_int, DOUBLES, c_void_p)


def address_of(function: Any) -> int:
    value = c_void_p.from_buffer(function).value
    assert value is not None
    return value


def typed(result: Any, *arguments: Any) -> Any:
    """A ctypes function that wraps no Python code, with the given types."""
    return CFUNCTYPE(result, *arguments)(ADDRESS)


@SumPrototype
def weighted_sum(n: int, x: Any, data: int | None) -> float:
    """A Python callback; its address alone gives no way to tell, so that `native` can be tried without a compiler."""
    weight = 1.0 if data is None else c_double.from_address(data).value
    return float(weight * sum(x[i] for i in range(n)))


# ---------------------------------------------------------------------------------------------------------------------
# Signatures


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *[(kind, kind) for kind in KINDS],
        ("double(double)", SCALAR),
        ("double (*)(double)", SCALAR),
        ("  double   cos( double x ) ;", SCALAR),
        ("double (double, void *) noexcept nogil", SCALAR_DATA),
        ("float64 (float64, void*)", SCALAR_DATA),
        ("double(int,double*)", POINT),
        ("double (int n, const double x[])", POINT),
        ("double (int32_t, double const *)", POINT),
        ("double (*)(int, const double *, void *)", POINT_DATA),
        ("double (int, double const *, void *)", POINT_DATA),
        ("double(*)(int, double *, void *)", POINT_DATA),
        ("double f(int n, const double *restrict x, const void *user)", POINT_DATA),
        ("double (*f)(int n, double * const x, void *)", POINT_DATA),
        ("int (Py_ssize_t, double const *, Py_ssize_t, double *, void *)", VECTOR),
        ("int (npy_intp n, const double *x, npy_intp m, double *y, void *ctx)", VECTOR),
        ("int (__pyx_t_5numpy_intp_t, double *, ptrdiff_t, double *, void *)", VECTOR),
        ("int(*)(intptr_t, double *, intptr_t, double *, void *)", VECTOR),
        ("int (ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)", FULL),
        ("int32_t (ssize_t, ssize_t, double *, ssize_t, double *, void *)", FULL),
    ],
)
def test_spellings_of_accepted_signatures(text: str, kind: str) -> None:
    assert native(ADDRESS, signature=text, m=1).kind == kind


@pytest.mark.parametrize(
    ("name", "ctype"),
    [("long", c_long), ("long long", ctypes.c_longlong), ("int64_t", c_int64), ("long int", c_long)],
)
def test_integers_are_told_by_their_size(name: str, ctype: Any) -> None:
    text = f"int ({name}, double *, {name} m, double *, void *)"
    if ctypes.sizeof(ctype) == ctypes.sizeof(c_ssize_t):
        assert native(ADDRESS, signature=text, m=2).kind == VECTOR
    else:
        with pytest.raises(SignatureError):
            native(ADDRESS, signature=text, m=2)


@pytest.mark.parametrize(
    "text",
    [
        "float (int, float *, void *)",
        "double (int, double *, double *)",  # could be f(n, x, gradient): never guess that it is user data
        "double (double *, int)",
        "double (long, double *)" if ctypes.sizeof(c_long) == 8 else "double (short, double *)",
        "double (unsigned int, double *)",
        "double (size_t, double *)",
        "void (int, double *, void *)",
        "int (int, double *, int, double *, void *)",
        "int (size_t, double *, size_t, double *, void *)",
        "double (int, double **)",
        "double *(int, double *)",
        "double complex (double complex)",
        "long double (long double)",
        "double (long double)",
        "double ()",
        "double",
        "",
        "double (double)(double)",
        "doubledouble (double)",
        "double (doubl e)",
    ],
)
def test_other_signatures_are_refused_with_the_list(text: str) -> None:
    with pytest.raises(SignatureError) as caught:
        native(ADDRESS, signature=text, m=1)
    message = str(caught.value)
    assert repr(text) in message
    assert all(kind in message for kind in KINDS)


def test_ctypes_prototypes_as_signature() -> None:
    assert native(ADDRESS, signature=SumPrototype).kind == POINT_DATA
    with pytest.raises(ArgumentTypeError, match="signature must be text"):
        native(ADDRESS, signature=3)


def test_forgotten_restype_and_cpdef_have_their_own_remedy() -> None:
    with pytest.raises(SignatureError, match=r"restype is set to ctypes\.c_double"):
        recognise(typed(c_int, c_int, DOUBLES, c_void_p))
    with pytest.raises(SignatureError, match="plain cdef function"):
        native(ADDRESS, signature="double (double, int __pyx_skip_dispatch)")


# ---------------------------------------------------------------------------------------------------------------------
# ctypes


@pytest.mark.parametrize(
    ("result", "arguments", "kind"),
    [
        (c_double, (c_double,), SCALAR),
        (c_double, (c_double, c_void_p), SCALAR_DATA),
        (c_double, (c_int, DOUBLES), POINT),
        (c_double, (ctypes.c_int32, np.ctypeslib.ndpointer(np.float64, flags="C")), POINT),
        (c_double, (c_int, DOUBLES, c_void_p), POINT_DATA),
        (c_int, (c_ssize_t, DOUBLES, c_ssize_t, DOUBLES, c_void_p), VECTOR),
        (c_int, (c_int64, DOUBLES, c_int64, DOUBLES, c_void_p), VECTOR),
        (c_int, (c_ssize_t, c_ssize_t, DOUBLES, c_ssize_t, DOUBLES, c_void_p), FULL),
    ],
)
def test_ctypes_types(result: Any, arguments: tuple[Any, ...], kind: str) -> None:
    function = typed(result, *arguments)
    found = recognise(function)
    assert found is not None
    assert (found.kind, found.address) == (kind, ADDRESS)
    assert found.n == (1 if kind in (SCALAR, SCALAR_DATA) else -1)
    assert found.m == (-1 if kind in (VECTOR, FULL) else 1)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((c_int, POINTER(ctypes.c_float)), "double (int, float *)"),
        ((c_int, np.ctypeslib.ndpointer(np.float32)), "double (int, float32 *)"),
        ((ctypes.c_size_t, DOUBLES), "double (c_u"),
        ((c_int, c_void_p, c_void_p), "double (int, void *, void *)"),
        ((c_int, POINTER(POINTER(c_double))), "double (int, double * *)"),
        ((), "double ()"),
    ],
)
def test_ctypes_types_that_do_not_fit_are_shown(arguments: tuple[Any, ...], shown: str) -> None:
    with pytest.raises(SignatureError) as caught:
        recognise(typed(c_double, *arguments))
    assert shown in str(caught.value)


def test_untyped_symbol_is_refused_with_both_remedies() -> None:
    symbol = ctypes.CDLL(None).getpid if sys.platform != "win32" else ctypes.CDLL("msvcrt")._getpid
    with pytest.raises(SignatureError, match=r"restype and argtypes, or pass fdcore\.native\(f, signature="):
        recognise(symbol)
    assert native(symbol, signature=SCALAR).address == address_of(symbol)


def test_functions_that_need_the_gil_are_refused() -> None:
    held = PYFUNCTYPE(c_double, c_double)(ADDRESS)
    for attempt in (recognise, native):
        with pytest.raises(ArgumentTypeError, match="CFUNCTYPE"):
            attempt(held)
    ctypes.pythonapi.PyFloat_AsDouble.restype = c_double
    with pytest.raises(ArgumentTypeError, match=r"load the library with ctypes\.CDLL"):
        recognise(ctypes.pythonapi.PyFloat_AsDouble)


def test_python_code_in_a_ctypes_callback_is_refused() -> None:
    for callback in (weighted_sum, ctypes.cast(weighted_sum, SumPrototype)):
        for attempt in (recognise, native):
            with pytest.raises(ArgumentTypeError, match="pass the Python function itself"):
                attempt(callback)


# ---------------------------------------------------------------------------------------------------------------------
# cffi, numba, SciPy, capsules


@pytest.fixture
def ffi() -> Any:
    return pytest.importorskip("cffi").FFI()


def test_cffi_functions(ffi: Any) -> None:
    for kind in KINDS:
        function = ffi.cast(kind.replace("(", "(*)(", 1), ADDRESS)
        found = recognise(function)
        assert found is not None
        assert (found.kind, found.address) == (kind, ADDRESS)
    ffi.cdef("typedef double real; typedef real (*loss)(int n, const real x[], void *);")
    assert native(ffi.cast("loss", ADDRESS), n=3).kind == POINT_DATA


def test_cffi_data_that_are_no_function(ffi: Any) -> None:
    with pytest.raises(SignatureError, match=r"'double \*' is not a function"):
        recognise(ffi.new("double *"))
    with pytest.raises(SignatureError, match="does not carry its signature"):
        recognise(ffi.cast("void *", ADDRESS))
    assert native(ffi.cast("void *", ADDRESS), signature=SCALAR).address == ADDRESS


def test_python_code_in_a_cffi_callback_is_refused(ffi: Any) -> None:
    callback = ffi.callback("double (int, double *, void *)", lambda n, x, data: 0.0)
    with pytest.raises(ArgumentTypeError, match="pass the Python function itself"):
        recognise(callback)


@pytest.mark.slow
def test_numba_cfunc() -> None:
    numba = pytest.importorskip("numba")
    types = numba.types
    signature = types.double(types.intc, types.CPointer(types.double), types.voidptr)

    @numba.cfunc(signature)
    def total(n, x, data):  # type: ignore[no-untyped-def]
        result = 0.0
        for i in range(n):
            result += x[i]
        return result

    found = recognise(total)
    assert found is not None
    assert (found.kind, found.address) == (POINT_DATA, total.address)
    assert found(np.array([1.0, 2.0, 4.0])) == 7.0
    assert native(total.address, signature=signature).kind == POINT_DATA
    assert native(total.ctypes, m=1).address == total.address


@pytest.fixture
def low_level() -> Callable[..., Any]:
    return pytest.importorskip("scipy").LowLevelCallable  # type: ignore[no-any-return]


def test_low_level_callable(low_level: Callable[..., Any]) -> None:
    data = np.array([2.0])
    wrapped = low_level(typed(c_double, c_int, DOUBLES, c_void_p), data.ctypes.data_as(c_void_p))
    found = recognise(wrapped)
    assert found is not None
    assert (found.kind, found.address) == (POINT_DATA, ADDRESS)
    with pytest.raises(ArgumentError, match="already carries its own"):
        native(wrapped, user_data=data)
    capsule = tuple.__getitem__(wrapped, 0)
    assert capsule_info(capsule) == (ADDRESS, POINT_DATA, data.ctypes.data)
    again = recognise(capsule)
    assert again is not None
    assert (again.kind, again.address) == (POINT_DATA, ADDRESS)


def test_low_level_callable_around_python_code(low_level: Callable[..., Any]) -> None:
    with pytest.raises(ArgumentTypeError, match="pass the Python function itself"):
        recognise(low_level(weighted_sum))


def make_capsule(name: bytes | None, address: int = ADDRESS or 0) -> Any:
    new = PYFUNCTYPE(ctypes.py_object, c_void_p, ctypes.c_char_p, c_void_p)(("PyCapsule_New", ctypes.pythonapi))
    capsule = new(address, name, None)
    kept.append(name)  # a capsule borrows its name
    return capsule


kept: list[bytes | None] = []


def test_capsules() -> None:
    found = recognise(make_capsule(b"double (int, double const *, void *)"))
    assert found is not None
    assert (found.kind, found.address) == (POINT_DATA, ADDRESS)
    unnamed = make_capsule(None)
    with pytest.raises(SignatureError, match="does not carry its signature"):
        recognise(unnamed)
    assert native(unnamed, signature=SCALAR).kind == SCALAR
    with pytest.raises(SignatureError, match="some_module"):
        recognise(make_capsule(b"some_module._C_API"))


# ---------------------------------------------------------------------------------------------------------------------
# Ordinary callables, and none


class Callable_:
    def __call__(self, x: Any) -> float:
        return 0.0

    def method(self, x: Any) -> float:
        return 0.0

    @classmethod
    def of_class(cls, x: Any) -> float:
        return 0.0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 0.0,
        Callable_(),
        Callable_().method,
        Callable_.of_class,
        Callable_,
        functools.partial(lambda a, x: 0.0, 1),
        len,
        np.sum,
        np.sin,
        [].count,
        np.linalg.norm,
    ],
    ids=str,
)
def test_python_callables_are_not_native(function: Any) -> None:
    assert recognise(function) is None
    with pytest.raises(ArgumentTypeError, match="is not native"):
        native(function)


@pytest.mark.parametrize("thing", [None, "f", 1.5, True, np.zeros(3)])
def test_what_cannot_be_called(thing: Any) -> None:
    for attempt in (recognise, native):
        with pytest.raises(ArgumentTypeError, match="f must be callable, not"):
            attempt(thing)


def test_an_address_alone() -> None:
    with pytest.raises(ArgumentTypeError, match=r"fdcore\.native\(address, signature="):
        recognise(ADDRESS)
    with pytest.raises(SignatureError, match="signature="):
        native(ADDRESS)
    for wrong in (0, -1, 1 << 64):
        with pytest.raises(ArgumentError, match=f"{wrong:#x}"):
            native(wrong, signature=SCALAR)
    assert native(np.intp(ADDRESS), signature=SCALAR).address == ADDRESS


def test_objects_that_bring_their_own_native() -> None:
    class Model:
        def __fdcore_native__(self) -> Native:
            return native(address_of(weighted_sum), signature=SumPrototype, n=2)

        def __call__(self, x: Any) -> float:
            return 0.0

    model = Model()
    found = recognise(model)
    assert found is not None
    assert found(np.array([1.0, 2.0])) == 3.0
    assert recognise(found) is found
    assert native(found) is found
    assert native(model).address == found.address
    with pytest.raises(ArgumentError, match="pass it alone"):
        native(found, user_data=np.zeros(3))
    # Looked up on the type, as Python does for its own protocols.
    plain = Callable_()
    plain.__fdcore_native__ = model.__fdcore_native__  # type: ignore[attr-defined]
    assert recognise(plain) is None


def test_no_producer_is_imported() -> None:
    code = (
        "import sys; from fdcore.callbacks import recognise; recognise(lambda x: 0.0);"
        "print([name for name in ('scipy', 'numba', 'cffi', '_cffi_backend') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------------------------------------------------------------
# Sizes and user data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signature": POINT, "m": 2}, "m=2 was passed, but a callback 'double (int, double *)' has m=1"),
        ({"signature": SCALAR, "n": 3}, "n=3 was passed, but a callback 'double (double)' has n=1"),
        ({"signature": POINT, "n": 0}, "n=0 was passed; it must be at least 1"),
        ({"signature": VECTOR, "m": -2}, "m=-2 was passed; it must be at least 1"),
        ({"signature": POINT, "user_data": 1}, "no void * argument"),
        ({"signature": POINT_DATA, "user_data": np.ones(4)[::2]}, "numpy.ascontiguousarray"),
        ({"signature": POINT_DATA, "user_data": -1}, "user_data=-1 is no address"),
    ],
)
def test_values_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        native(ADDRESS, **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 2.0}, "n must be an int, not 2.0"),
        ({"n": True}, "n must be an int, not True"),
        ({"user_data": "text"}, "not str"),
        ({"user_data": True}, "not bool"),
        ({"user_data": np.array([None])}, "Python objects"),
        ({"user_data": ctypes.byref(c_double())}, "not byref"),
    ],
)
def test_types_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        native(ADDRESS, signature=POINT_DATA, **arguments)
    assert message in str(caught.value)


def test_stated_signature_must_be_the_carried_one() -> None:
    function = typed(c_double, c_int, DOUBLES)
    assert native(function, signature="double (int n, const double *x)").kind == POINT
    with pytest.raises(SignatureError, match="is declared as"):
        native(function, signature=POINT_DATA)


def test_sizes_are_kept() -> None:
    found = native(ADDRESS, signature=VECTOR, n=np.int64(3), m=2)
    assert (found.n, found.m) == (3, 2)
    assert native(ADDRESS, signature=SCALAR).n == 1


class Settings(ctypes.Structure):
    _fields_ = (("weight", c_double), ("other", c_int))


def user_data_kinds() -> Iterator[tuple[str, Any]]:
    array = np.array([2.5, 7.0])
    yield "array", array
    yield "fortran", np.asfortranarray([[2.5, 1.0], [3.0, 4.0]])
    yield "0-d", np.array(2.5)
    yield "structure", Settings(2.5, 1)
    yield "ctypes array", (c_double * 2)(2.5, 1.0)
    yield "ctypes scalar", c_double(2.5)
    yield "ctypes pointer", ctypes.pointer(Settings(2.5, 1))
    yield "void pointer", array.ctypes.data_as(c_void_p)
    yield "capsule", make_capsule(b"weight", array.ctypes.data)
    yield "address", array.ctypes.data
    yield "NumPy integer", np.uintp(array.ctypes.data)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in user_data_kinds()])
def test_user_data_reach_the_callback(data: Any) -> None:
    kept.append(data)
    function = native(address_of(weighted_sum), signature=POINT_DATA, user_data=data)
    assert function(np.array([1.0, 3.0])) == 10.0


def test_cffi_user_data_reach_the_callback(ffi: Any) -> None:
    ffi.cdef("struct settings { double weight; int other; };")
    structure = ffi.new("struct settings *", {"weight": 2.5})
    for data in (structure, structure[0], ffi.new("double[2]", [2.5, 1.0]), ffi.cast("void *", structure)):
        function = native(address_of(weighted_sum), signature=POINT_DATA, user_data=data)
        assert function(np.array([1.0, 3.0])) == 10.0
    with pytest.raises(ArgumentTypeError, match="user_data must be an address"):
        native(ADDRESS, signature=POINT_DATA, user_data=ffi.cast("double", 1.0))


def test_no_user_data_is_null() -> None:
    assert native(address_of(weighted_sum), signature=POINT_DATA)(np.array([1.0, 3.0])) == 4.0


def test_owners_live_as_long_as_the_native_and_no_longer() -> None:
    gc.disable()  # so that a reference cycle would show
    try:
        function, data = typed(c_double, c_int, DOUBLES, c_void_p), Settings(1.0, 1)
        owners = [weakref.ref(function), weakref.ref(data)]
        wrapped = native(function, user_data=data)
        del function, data
        assert all(owner() is not None for owner in owners)
        del wrapped
        assert all(owner() is None for owner in owners)

        function = typed(c_double, c_int, DOUBLES)
        owner = weakref.ref(function)
        found = recognise(function)
        del function
        assert owner() is not None
        del found
        assert owner() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------------------------------------------------------------
# Python in disguise


def libm_cos() -> Native:
    library = ctypes.CDLL(ctypes.util.find_library("m") or "msvcrt")
    return native(library.cos, signature=SCALAR)


def test_probe_returns_the_value_of_native_code() -> None:
    assert probe(libm_cos(), np.array([0.5])) == pytest.approx(np.cos(0.5), rel=1e-15)


def test_probe_names_python_code_behind_an_address() -> None:
    laundered = native(address_of(weighted_sum), signature=POINT_DATA)
    with pytest.raises(ArgumentTypeError, match=r"'weighted_sum' .*pass the Python function itself"):
        probe(laundered, np.ones(2))


def test_probe_puts_the_profiler_back() -> None:
    events = []

    def hook(frame: Any, event: str, argument: Any) -> None:
        events.append(event)

    laundered = native(address_of(weighted_sum), signature=POINT_DATA)
    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        probe(libm_cos(), np.array([0.5]))
        after_success = sys.getprofile()
        with pytest.raises(ArgumentTypeError):
            probe(laundered, np.ones(2))
        after_failure = sys.getprofile()
    finally:
        sys.setprofile(before)
    assert after_success is hook
    assert after_failure is hook


def test_probe_under_a_profiler_written_in_c() -> None:
    import cProfile

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        value = probe(libm_cos(), np.array([0.0]))
        assert sys.getprofile() in (profiler, None)  # None where the profiler uses sys.monitoring
    finally:
        profiler.disable()
    assert value == 1.0


def test_probe_is_not_fooled_by_python_code_that_happens_to_run() -> None:
    # A signal handler or a finaliser may run during the evaluation, but not each time; the cache stands for that.
    calls = []

    @functools.cache
    def happens_once(x: float) -> float:
        calls.append(x)
        return x

    evaluate: Any = functools.partial(max, key=happens_once)
    assert probe(evaluate, np.array([0.5])) == 0.5
    assert calls == [0.5]


def test_probe_lets_errors_through() -> None:
    before = sys.getprofile()
    with pytest.raises(ShapeError):
        probe(libm_cos(), np.ones(3))
    assert sys.getprofile() is before


def test_a_coordinate_update_goes_with_the_full_form_alone() -> None:
    assert Native(ADDRESS, FULL, m=1, update=ADDRESS).kind == FULL
    with pytest.raises(SignatureError, match="coordinate update") as caught:
        Native(ADDRESS, VECTOR, m=1, update=ADDRESS)
    assert repr(FULL) in str(caught.value)
