"""Functions with complex values: their real and imaginary parts, differentiated together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import ShapeError
from fdcore.results import Result

Array = NDArray[np.float64]


class Parts:
    """A complex-valued f as one with twice as many real values; picklable where f is."""

    def __init__(self, f: Callable[..., Any], vectorized: bool) -> None:
        self.f, self.vectorized = f, vectorized

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate: real parts, then imaginary parts."""
        value = np.asarray(self.f(x, *args, **kwargs))
        value = value.reshape((len(x), -1) if self.vectorized else (-1,))
        return np.concatenate([value.real, value.imag], axis=-1)


def whole_value(plan: Any, whole: Any, x: Any, args: tuple[Any, ...]) -> tuple[Array, int]:
    """Differentiate the parts, and put them together."""
    value, nfev = whole.evaluate(x, args=args)
    return _joined(value, plan.is_jacobian), nfev


def whole_result(plan: Any, result: Result, spent: int = 1) -> Result:
    """Give the `Result` of the parts for the complex function: bars and findings are of the whole.

    `spent` evaluations went before, which told that f has complex values.
    """
    m = len(result.value) // 2
    error = np.hypot(result.error[:m], result.error[m:])
    found = None if result.findings is None else result.findings[:m] | result.findings[m:]
    status: Any = result.status if result.status.ndim == 1 else found
    if not plan.is_jacobian:
        error, found = error[0], None if found is None else found[0]
        status = status if status.ndim == 1 else status[0]
    value = _joined(result.value, plan.is_jacobian)
    return replace(result, value=value, error=error, findings=found, status=status, nfev=result.nfev + spent)


def _joined(value: Array, many: bool) -> Any:
    m = len(value) // 2
    if not many and m != 1:
        raise ShapeError(f"f returned {m} values; for a vector function use jacobian")
    whole = value[:m] + 1j * value[m:]
    return whole if many else whole[0]
