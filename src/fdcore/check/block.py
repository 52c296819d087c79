"""What the diagnosis looks at, one array of the gradient and all that was measured of it, and what it claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.check.judge import LIMIT

__all__ = ["Block", "Claim"]

Vector = NDArray[np.float64]


@dataclass
class Block:
    """One array of the gradient and all that was measured of it.

    Attributes
    ----------
    name, shape
        Of the array.
    x, analytic : (size,) array
        Parameter and analytic gradient.
    index : (k,) array of int
        Entries whose derivative is known, with `numeric` and `error` of the same length.
    along : list of (direction, derivative, error)
        Derivatives along directions in this array, as (size,) arrays.
    sizes : mapping
        Numbers that a forgotten or doubled mean would multiply by, and what they are the size of.
    value : array or None
        What the gradient has in place of an array of the right shape.
    others : mapping
        Analytic gradients of the other arrays.
    rest : bool
        All entries that are not in `index` are known to agree.
    paired : bool
        The last axis holds real and imaginary parts.
    rounding : (k,) array or None
        Rounding error of the analytic gradient, where known.
    """

    name: str
    shape: tuple[int, ...]
    x: Vector
    analytic: Vector
    index: NDArray[np.intp]
    numeric: Vector
    error: Vector
    along: list[tuple[Vector, float, float]] = field(default_factory=list)
    sizes: Mapping[int, str] = field(default_factory=dict)
    value: NDArray[Any] | None = None
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    rest: bool = False
    paired: bool = False
    rounding: Vector | None = None

    def __post_init__(self) -> None:
        self.a = self.analytic[self.index]
        with np.errstate(invalid="ignore"):
            self.wrong = ~(np.abs(self.a - self.numeric) <= LIMIT * self.error)
        # Directions say nothing new about an array all of whose entries are known.
        self.data = min(int(self.wrong.sum()) + len(self.along), self.x.size)

    @property
    def complete(self) -> bool:
        """Whether every entry is known."""
        return self.index.size == self.x.size

    @property
    def settled(self) -> bool:
        """Whether it is known of every entry whether it is wrong."""
        return self.complete or self.rest

    def explains(self, fixed: Vector, doubt: float = 1e-12, of: Vector | None = None, times: float = 1.0) -> bool:
        """Whether `fixed` would have been the right gradient, itself known to `doubt` times itself (or times `of`).

        It is `times` the analytic gradient, with the rounding of that.
        """
        if fixed.shape != self.x.shape:
            return False
        more: Any = 0.0
        if self.rounding is not None and times > 1.0:
            more = (times - 1.0) * self.rounding
        with np.errstate(invalid="ignore", over="ignore"):
            slack = doubt * np.abs(fixed if of is None else of)
            if not np.all(np.abs(fixed[self.index] - self.numeric) <= LIMIT * (self.error + more + slack[self.index])):
                return False
            for direction, numeric, error in self.along:
                bar = error + float(np.linalg.norm(direction * slack)) + float(np.linalg.norm(direction) * np.max(more))
                if not abs(float(np.dot(direction, fixed)) - numeric) <= LIMIT * bar:
                    return False
        return True

    def predicts(self, predicted: Vector, error: Vector) -> bool:
        """Whether the analytic gradient is what a bug would make of the numeric one, at the entries known."""
        with np.errstate(invalid="ignore"):
            return bool(np.all(np.abs(self.a - predicted) <= LIMIT * (error + 1e-12 * np.abs(predicted))))


@dataclass
class Claim:
    """A bug that explains a block; `key` is equal for blocks that have the very same bug."""

    label: str
    message: str
    suggestion: str
    evidence: dict[str, Any]
    key: Any = None
    confidence: float = 1.0
