"""Values of f at points of one's own choosing, one call like another: what needs no engine evaluates f by this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.coerce import OnWorker, in_order, values_of
from fdcore.errors import EvaluationError
from fdcore.fdcore import Native

Array = NDArray[np.float64]


class Values:
    """A callable of any kind, as a function of points (k, n) that gives (k, m) values and counts them.

    Attributes
    ----------
    nfev : int
        Evaluations so far.
    precision : float
        Unit roundoff of the type that f returned; 0 for float64.
    """

    def __init__(self, f: Any, kind: str = "vector", mapper: Callable[..., Any] | None = None) -> None:
        self.f, self.kind, self.mapper = f, kind, mapper
        self.m, self.nfev, self.precision = -1, 0, 0.0
        self.is_real = False

    def __call__(self, points: Array, forgiving: bool = False) -> Array:
        """Evaluate at each point; NaN where f raises `EvaluationError` (if `forgiving`, any end of a domain)."""
        self.nfev += len(points)
        if self.kind == "block" and not isinstance(self.f, Native):
            try:
                return self._read(self.f(points.copy()), len(points))
            except EvaluationError:
                return np.full((len(points), self._width()), np.nan)
        if self.mapper is not None:
            told = [(i, None, 0.0, 0, point.copy()) for i, point in enumerate(points)]
            results = in_order(self.mapper(OnWorker(self.f, forgiving), told), len(points))
        else:
            results = [self._one(point, forgiving) for point in points]
        rows = [None if isinstance(result, EvaluationError) else self._read(result, -1) for result in results]
        width = self._width()
        table: Array = np.array([np.full(width, np.nan) if row is None else row for row in rows]).reshape(
            len(points), width
        )
        return table

    def _width(self) -> int:
        return 1 if self.m < 0 else self.m

    def _one(self, point: Array, forgiving: bool) -> Any:
        try:
            return self.f(float(point[0]) if self.kind == "scalar" else point.copy())
        except EvaluationError as error:
            return error
        except (ArithmeticError, ValueError) as error:
            if forgiving:
                return EvaluationError(str(error))
            raise

    def _read(self, result: Any, count: int) -> Array:
        values, precision = values_of(result, count, self.m, False, self.is_real)
        self.is_real = True
        self.precision = max(self.precision, precision)
        if self.m < 0:
            self.m = values.size if count < 0 else values.size // max(count, 1)
        shaped: Array = values.reshape((-1,) if count < 0 else (count, -1))
        return shaped


def along_axis(values: Values, x: Array, j: int, forgiving: bool = False) -> Callable[[Array], Array]:
    """Restrict to component j: places (k,) to values (k, m)."""

    def line(t: Array) -> Array:
        points = np.repeat(x[None], len(t), axis=0)
        points[:, j] = t
        return values(points, forgiving)

    return line
