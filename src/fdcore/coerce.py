"""What comes in from users, as float64 arrays; or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import ArgumentError, ArgumentTypeError, ComplexValuesError, EvaluationError, ShapeError


def as_vector(value: Any, name: str = "x") -> NDArray[np.float64]:
    """Give `value` as a contiguous float64 vector, or say what is wrong with it."""
    if np.ma.is_masked(value):
        raise ArgumentTypeError(f"{name} has masked entries; fill them, or leave them out: {name}.compressed()")
    array = np.asarray(value)
    if array.dtype.kind == "c":
        raise ArgumentTypeError(
            f"{name} is complex ({array.dtype}); derivatives are with respect to real parameters: "
            "pass real and imaginary parts as separate components"
        )
    if array.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name} must hold real numbers, not {array.dtype}")
    if array.ndim != 1:
        raise ShapeError(f"{name} must be one-dimensional, not of shape {array.shape}; pass {name}.ravel()")
    return np.require(array, np.float64, ["C_CONTIGUOUS", "ALIGNED"])


def values_of(result: Any, count: int, m: int, is_complex: bool, is_real: bool = False) -> tuple[NDArray[Any], float]:
    """Read what f returned.

    Parameters
    ----------
    result : object
        For one point, m numbers; for a block of `count` points, (count, m) or (count,).
    count : int
        Points in the block; -1 if f was given one point.
    m : int
        Values a point; -1 if not known yet.
    is_complex : bool
        f was given complex numbers, so it must return such.
    is_real : bool
        f has been seen to be real at x: where it is complex, it has left its domain, as Python's ``x**0.5`` does for a
        negative x, and has no value (NaN).

    Returns
    -------
    values : contiguous ndarray
        float64, or complex128.
    precision : float
        Unit roundoff of the type that f returned, 0 if that is at least float64.
    """
    if result is None:
        raise ArgumentTypeError("f returned None; does it lack a return statement?")
    if np.ma.is_masked(result):
        raise ArgumentTypeError("f returned masked values, which are no numbers; return NaN where f has no value")
    try:
        array = np.asarray(result)
    except ValueError as error:
        raise ShapeError(f"f returned a ragged sequence: {error}") from None
    kind = array.dtype.kind
    if kind not in "fiubc":
        raise ArgumentTypeError(f"f must return real numbers, not {type(result).__name__} ({array.dtype})")
    if kind == "c" and is_real:
        array = np.where(array.imag == 0, array.real, np.nan)
    elif kind == "c" and not is_complex:
        raise ComplexValuesError("f returned complex values; differentiate its real and imaginary parts apart")
    if is_complex and kind != "c":
        raise ArgumentTypeError(
            f"f returned real values ({array.dtype}) for a complex argument, so the complex step sees nothing; "
            "use method='central', or make f keep the imaginary part"
        )
    if m < 0:
        if array.ndim > (1 if count < 0 else 2) or (count >= 0 and array.shape[:1] != (count,)):
            hint = "(k,) or (k, m) for x of shape (k, n)" if count >= 0 else "a scalar or a vector; ravel it"
            raise ShapeError(f"f returned shape {array.shape}; it must return {hint}")
        m = array.size if count < 0 else array.size // max(count, 1)
    expected = (m,) if count < 0 else (count, m)
    if array.shape != expected and not (m == 1 and (array.size == 1 if count < 0 else array.shape == (count,))):
        hint = " (a scalar or one value); for a vector function use jacobian" if m == 1 and count < 0 else ""
        raise ShapeError(f"f returned shape {array.shape} where {expected} was expected{hint}")
    single = array.dtype.itemsize < (16 if kind == "c" else 8)
    precision = float(np.finfo(array.dtype).eps) / 2 if kind in "fc" and single else 0.0
    return np.array(array, dtype=np.complex128 if is_complex else np.float64, order="C"), precision


def where_note(j: int, moved: float, others: int) -> str:
    """Say which component of x was perturbed when something went wrong."""
    if j < 0:
        return "at x itself"
    return f"while perturbing x[{j}] by {moved:.6g}" + (f" and {others} more" if others else "")


class OnWorker:
    """f for somebody's workers: of a perturbed point, and of what was perturbed. Picklable where f is.

    What it returns is beside the number of the point, since not every map keeps the order. An exception gets its note
    where it is raised, since nobody can tell later which point it belongs to. An `EvaluationError` is returned, to be
    counted as NaN; if `forgiving`, so is one for what else ends a domain. No note where the component is None.
    """

    def __init__(self, f: Callable[..., Any], forgiving: bool) -> None:
        self.f, self.forgiving = f, forgiving

    def __call__(self, point: tuple[int, int | None, float, int, NDArray[Any]]) -> tuple[int, Any]:
        """Evaluate f at one point."""
        number, j, moved, others, x = point
        try:
            return number, self.f(x)
        except EvaluationError as error:
            return number, error
        except StopIteration as error:  # to a map, the end of the points: `in_order` raises it
            if j is not None:
                error.add_note(f"raised by f {where_note(j, moved, others)}")
            return number, error
        except Exception as error:
            if self.forgiving and isinstance(error, (ArithmeticError, ValueError)):
                return number, EvaluationError(str(error))
            if j is not None:
                error.add_note(f"raised by f {where_note(j, moved, others)}")
            raise


def in_order(results: Iterable[tuple[int, Any]], count: int) -> list[Any]:
    """Take what a map made of `OnWorker` and `count` points, in whatever order, and give the values in that of points.

    Raises
    ------
    ShapeError
        There is not one result for each point.
    """
    pairs = list(results)
    if len(pairs) != count:
        raise ShapeError(f"workers gave {len(pairs)} results for {count} points; its map must keep all")
    try:
        by_number = dict(pairs)
        values = [by_number[number] for number in range(count)]
    except (KeyError, TypeError, ValueError):
        raise ArgumentTypeError("the map of workers must give back what the function it is given returns") from None
    for value in values:
        if isinstance(value, StopIteration):
            raise value
    return values


class Bound:
    """f with the arguments that follow x; picklable where f is, for workers in other processes."""

    def __init__(self, f: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any] | None) -> None:
        self.f, self.args, self.kwargs = f, tuple(args), dict(kwargs or {})

    def __call__(self, x: Any) -> Any:
        """Evaluate."""
        return self.f(x, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        return repr(self.f)


def bind(f: Callable[..., Any], args: tuple[tuple[Any, ...], Mapping[str, Any]]) -> Callable[[Any], Any]:
    """Fix the positional and keyword arguments that f gets after x."""
    return Bound(f, *args)


def check_out(out: Any, shape: tuple[int, ...], dtype: Any = np.float64) -> None:
    """See that `out` can take a result of this shape and type as it is: NumPy would round it, or repeat it."""
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        raise ShapeError(
            f"out must be a {np.dtype(dtype)} array of shape {shape}, not "
            f"{getattr(out, 'dtype', type(out).__name__)} of shape {getattr(out, 'shape', None)}"
        )
    if not out.flags.writeable:
        raise ArgumentError("out is read-only; give an array that can be written to")


def fill(out: Any, value: NDArray[Any]) -> Any:
    """Put a result into the caller's array; the result itself where there is none."""
    if out is None:
        return value
    check_out(out, value.shape, value.dtype)
    out[...] = value
    return out
