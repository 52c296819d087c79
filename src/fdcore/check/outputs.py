"""f with many values as a function of one flat vector, for checks of Jacobians and products."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.evaluate import DOUBLE, Objective, precision
from fdcore.errors import ArgumentTypeError, ShapeError
from fdcore.tree import Tree, paired, unpaired

__all__ = ["Component", "Outputs", "as_pairs", "weights"]

Vector = NDArray[np.float64]


class Outputs:
    """f as a function of the flat vector that returns a flat vector, and counts.

    Attributes
    ----------
    shape : tuple of int
        Shape of the values; complex ones have one more axis, of length 2, for real and imaginary part.
    paired : bool
        The values are complex.
    unit : float
        Relative error of one rounding in their dtype.
    """

    def __init__(self, f: Callable[..., Any], tree: Tree, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.objective = Objective(f, tree, args, kwargs)
        self.shape: tuple[int, ...] = ()
        self.paired = False
        self.unit = DOUBLE

    @property
    def ndim(self) -> int:
        """Number of axes of what f returns."""
        return len(self.shape) - self.paired

    def begin(self, x: Vector) -> Vector:
        """F at the point of the check; whatever it raises is the caller's."""
        value = self.objective.first(x.copy())
        dtype = str(getattr(value, "dtype", "")).rpartition(".")[2]
        self.paired = dtype.startswith("complex") or bool(np.iscomplexobj(value))
        array = as_pairs(value, "f", self.paired)
        self.shape, self.unit = array.shape, precision(value)
        return array.astype(np.float64).reshape(-1)

    def __call__(self, x: Vector) -> Vector:
        """F at another point; NaN where it has no value there."""
        try:
            with np.errstate(all="ignore"):
                return self.flat(self.objective.raw(x), "f")
        except (ArithmeticError, ValueError) as error:
            if isinstance(error, ShapeError):
                raise
            return np.full(max(1, math.prod(self.shape)), math.nan)

    def flat(self, value: Any, who: str) -> Vector:
        """A flat vector of its own out of something of the shape of f's values."""
        array = as_pairs(value, who, self.paired)
        if array.size != math.prod(self.shape):
            got = array.shape[:-1] if self.paired else array.shape
            raise ShapeError(f"{who} returned an array of shape {got}; f returned {self.shape[: self.ndim]}")
        return array.astype(np.float64).reshape(-1)

    def cotangent(self, v: Vector, convention: str) -> NDArray[Any]:
        """The array in the shape of f's values that a flat vector stands for, for the user's vjp."""
        array = v.reshape(self.shape).copy()
        if self.paired and convention == "jax":
            array[..., 1] *= -1.0
        return unpaired(array) if self.paired else array


class Component(Objective):
    """One component of f along one entry of x; points that another component asked for are not evaluated again."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self.tree = outputs.objective.tree
        self.unit = outputs.unit
        self.seen: dict[float, Vector] = {}
        self.row = self.column = 0

    def __call__(self, vector: Vector) -> float:
        """The component; NaN where f has no value."""
        key = float(vector[self.column])
        if key not in self.seen:
            self.seen[key] = self.outputs(vector)
        return float(self.seen[key][self.row])


def as_pairs(value: Any, who: str, pairs: bool) -> NDArray[Any]:
    """The array of real numbers, or of pairs of them, that `value` is."""
    try:
        array = paired(value)
    except ValueError:
        array = None
    if array is None:
        raise ArgumentTypeError(f"{who} returned {type(value).__name__}; a check needs an array of numbers")
    if pairs:
        return array
    if np.any(array[..., 1]):
        raise ArgumentTypeError(f"{who} returned complex numbers; a check needs real ones where f is real")
    return np.ascontiguousarray(array[..., 0])


def weights(size: int, seed: int, number: int) -> Vector:
    """Random signs and sizes between 1/2 and 3/2."""
    rng = np.random.default_rng([seed, 77, number])
    return (0.5 + rng.random(size)) * np.where(rng.random(size) < 0.5, -1.0, 1.0)
