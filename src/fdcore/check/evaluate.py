"""The user's two functions, as functions of one flat vector that count their calls and know their precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import ArgumentTypeError, ShapeError
from fdcore.progress import Meter
from fdcore.tree import Problem, Tree, as_numbers

__all__ = ["DOUBLE", "Gradient", "Objective", "precision"]

Vector = NDArray[np.float64]

DOUBLE = 2.0**-53
_UNIT = {"float64": DOUBLE, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "complex64": 2.0**-24}


def precision(value: Any) -> float:
    """Relative error of one rounding in the dtype of `value`; Python numbers and integers count as float64."""
    dtype = getattr(value, "dtype", value if isinstance(value, np.dtype) else None)
    return _UNIT.get(str(dtype).rpartition(".")[2], DOUBLE)


class _Callable:
    """What both have in common: arguments, and a dtype that is given up only when the function insists."""

    def __init__(
        self, function: Callable[..., Any], tree: Tree, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self.function = function
        self.tree = tree
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.calls = 0
        self.meter: Meter | None = None
        self.own_dtype = False

    def raw(self, vector: Vector) -> Any:
        """Call the function at `vector`, which it may keep: nobody else uses it afterwards."""
        self.calls += 1
        if self.meter is not None:
            self.meter.add()
        return self.function(self.tree.unflatten(vector, own_dtype=self.own_dtype), *self.args, **self.kwargs)

    def first(self, vector: Vector) -> Any:
        """Call it for the first time, and find out whether it takes float64 where the parameters are float32."""
        if all(leaf.dtype == np.float64 for leaf in self.tree.leaves):
            return self.raw(vector)
        kept = vector.copy()
        try:
            return self.raw(vector)
        except Exception:
            vector[:] = kept
            self.own_dtype = True
        return self.raw(vector)


class Objective(_Callable):
    """f of a flat vector.

    Attributes
    ----------
    calls : int
        Evaluations so far.
    unit : float
        Relative error of one rounding in the dtype that f returns, or in which its values are seen to be.
    """

    unit = DOUBLE

    def __init__(self, function: Any, tree: Tree, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__(function, tree, args, kwargs)
        self._single: set[float] | None = set()
        self._half = True

    def _watch(self, value: float) -> None:
        """Recognise single precision by the values, where f turns them into Python floats: it would look like steps."""
        if self._single is None or not math.isfinite(value):
            return
        with np.errstate(over="ignore"):
            self._half = self._half and float(np.float16(value)) == value
            if float(np.float32(value)) != value:
                self._single = None
                self.unit = self._declared
                return
        self._single.add(value)
        if len(self._single) > 5:
            self.unit = max(self._declared, 2.0**-11 if self._half else 2.0**-24)

    def begin(self, vector: Vector) -> float:
        """F at the point of the check; whatever it raises is the caller's."""
        value = self.first(vector)
        result = _number(value)
        self._declared = self.unit = precision(value)
        self._watch(result)
        return result

    def __call__(self, vector: Vector) -> float:
        """F at another point; NaN where it has no value there."""
        try:
            with np.errstate(all="ignore"):
                value = _number(self.raw(vector))
            self._watch(value)
            return value
        except (ArithmeticError, ValueError) as error:
            if isinstance(error, ShapeError):
                raise
            return float("nan")


class Gradient(_Callable):
    """The analytic gradient as a flat vector: a function, or the numbers themselves.

    Attributes
    ----------
    given : bool
        The gradient is an array (or tree), not a function.
    convention : {"torch", "jax", "wirtinger"}
        What it is for complex parameters z = a + i b: df/da + i df/db, its conjugate, or half of it.
    """

    def __init__(
        self,
        function: Any,
        tree: Tree,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        convention: str = "torch",
    ) -> None:
        super().__init__(function, tree, args, kwargs)
        self.given = not callable(function)
        self.convention = convention

    def first(self, vector: Vector) -> Any:
        """The gradient at the point of the check, as it was returned."""
        return self.function if self.given else super().first(vector)

    def read(self, value: Any) -> tuple[Vector, list[Problem]]:
        """Read what the gradient returned into a flat vector of its own."""
        if value is None and not self.given:
            raise ArgumentTypeError("grad returned None; does it end in a return statement?")
        vector, problems = self.tree.collect(value)
        for leaf in self.tree.leaves:
            if leaf.paired and self.convention == "jax":
                vector[leaf.start + 1 : leaf.stop : 2] *= -1.0
            elif leaf.paired and self.convention == "wirtinger":
                vector[leaf.start : leaf.stop] *= 2.0
        return vector, problems

    def __call__(self, vector: Vector) -> Vector:
        """The gradient at another point."""
        with np.errstate(all="ignore"):
            return self.read(self.raw(vector))[0]


def _number(value: Any) -> float:
    if isinstance(value, float):
        return float(value)
    if value is None:
        raise ArgumentTypeError("f returned None; does it end in a return statement?")
    try:
        array = as_numbers(value)
    except ValueError:
        array = None
    if array is None:
        if isinstance(value, complex) or np.iscomplexobj(value):
            raise ArgumentTypeError("f returned a complex number; a gradient check needs a real one")
        if isinstance(value, (bool, np.bool_)):
            return float(value)
        raise ArgumentTypeError(f"f returned {type(value).__name__}; a gradient check needs one real number")
    if array.size != 1:
        raise ShapeError(
            f"f returned an array of shape {array.shape}; a gradient check needs one number. "
            "Sum or average it, or use fdcore.check_jacobian"
        )
    return float(array.reshape(())[()])
