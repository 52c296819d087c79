"""Plans of derivatives with respect to one number, taken at one point after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore import bars
from fdcore.errors import ComplexValuesError
from fdcore.parts import Parts, whole_result, whole_value
from fdcore.plan import Jacobian, _Plan
from fdcore.results import Result
from fdcore.steps import sides

Array = NDArray[np.float64]


class Pointwise(_Plan):
    """Plan of a derivative of f: R -> R, taken at one point after another; what `derivative` uses."""

    __slots__ = ()
    _mode = "scalar"
    is_pointwise = True

    def full_at(self, points: Array, args: tuple[Any, ...], order: int) -> Result:
        """Differentiate at each of the points and say how well."""
        try:
            return self._real_at(points, args, order)
        except ComplexValuesError:
            return self.each_complex(points, order, full=True)

    def _real_at(self, points: Array, args: tuple[Any, ...], order: int) -> Result:
        if "how" in self._notes:
            return self.each_noisy(points, order, full=True)
        if self.name == "adaptive":
            value, error, step = (np.empty(points.size) for _ in range(3))
            found = np.zeros(points.size, dtype=np.uint8)
            nfev = self.pointwise(points, args=args, out=value, step=step, error=error, found=found)
            found |= self.loud()
            return Result(value, error, step, nfev, found, self.method, found, self.noise_used())
        f0 = np.array([self.base(points[i : i + 1], args)[0] for i in range(points.size)], dtype=np.float64)

        def run(scale: float, step: Array, status: NDArray[np.uint8], other: _Plan = self) -> tuple[Array, int]:
            value = np.empty(points.size)
            return value, other.pointwise(points, args=args, out=value, scale=scale, step=step, component=status)

        return bars.with_bars(self, points, run, f0, points.size, order, args, Jacobian)

    def each_complex(self, points: Array, order: int, full: bool) -> Result:
        """Differentiate at each of the points where f turned out to have complex values."""
        if self.native is not None or self.name == "complex":
            raise ComplexValuesError("f returned complex values, where real ones were expected")
        f, options = self.f, self._notes["options"]
        results = []
        for i in range(points.size):
            here = _at(options, i, points.size)
            self.is_real = False
            if self.sees_real(points[i : i + 1]):
                real = Pointwise(f, **here)
                if order > 1:
                    real.use_order(order)
                results.append(real.full_at(points[i : i + 1], (), order))
                continue
            whole = Jacobian(Parts(lambda z: f(float(z[0])), False), **here)
            if order > 1:
                whole.use_order(order)
            if full:
                results.append(whole_result(self, whole.full(points[i : i + 1])))
            else:
                value, nfev = whole_value(self, whole, points[i : i + 1], ())
                results.append(Result(value, np.full(1, np.inf), np.zeros(1), nfev + 1, np.zeros(1), self.method))
        return _gathered(results, self.method, None)

    def each_noisy(self, points: Array, order: int, full: bool) -> Result:
        """Differentiate at each of the points with steps for noise."""
        memo = self._notes
        memo["how"] = replace(memo["how"], order=order)
        results = []
        for i in range(points.size):
            one = Pointwise(self.f if self.native is None else self.native, **_at(memo["options"], i, points.size))
            one._notes["how"] = memo["how"]
            if "absolute" in memo:
                one._notes.update(absolute=memo["absolute"], loud=memo["loud"])
            results.append(one._full_noisy(points[i : i + 1], (), sure=full))
            memo.update({name: one._notes[name] for name in ("absolute", "loud")})
        return _gathered(results, self.method, self.noise_used())


def _gathered(results: list[Result], method: str, noise: Any) -> Result:
    """Put together results at one point each."""

    def gather(name: str) -> Any:
        parts = [np.atleast_1d(getattr(result, name)) for result in results if getattr(result, name) is not None]
        return np.concatenate(parts) if parts else np.empty(0)

    nfev = sum(result.nfev for result in results)
    return Result(
        gather("value"), gather("error"), gather("step"), nfev, gather("status"), method, gather("findings"), noise
    )


def _at(options: dict[str, Any], i: int, count: int) -> dict[str, Any]:
    """Options of a plan for many points, for one of them."""

    def one(value: Any) -> Any:
        array = np.asarray(value) if value is not None else None
        return value if array is None or array.shape != (count,) else array[i]

    chosen = dict(options)
    for name in ("step", "rel_step", "abs_step"):
        chosen[name] = one(options[name])
    if options["bounds"] is not None:
        chosen["bounds"] = tuple(one(side) for side in sides(options["bounds"]))
    return chosen
