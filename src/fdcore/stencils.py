"""Stencils as values: offsets, exact rational weights, derivative order, accuracy order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import factorial

from fdcore.errors import ArgumentError

Number = int | float | Fraction


@dataclass(frozen=True)
class Stencil:
    """A finite difference rule: the derivative is about ``sum(w * f(x + k * h)) / h**order``.

    Attributes
    ----------
    offsets : tuple of Fraction
        Where f is evaluated, in units of the step.
    weights : tuple of Fraction
        What its values are multiplied by; exact.
    order : int
        Order of the derivative.
    accuracy : int
        Order of the truncation error: halving h divides it by ``2**accuracy``.
    """

    offsets: tuple[Fraction, ...]
    weights: tuple[Fraction, ...]
    order: int
    accuracy: int

    @cached_property
    def norm(self) -> float:
        """Sum of the absolute weights: by how much a rule multiplies the error of f's values, over ``h**order``."""
        return float(sum(map(abs, self.weights)))

    @cached_property
    def truncation(self) -> float:
        """Factor of ``f^(order + accuracy)(x) * h**accuracy`` in the truncation error."""
        power = self.order + self.accuracy
        moment = sum(w * k**power for k, w in zip(self.offsets, self.weights, strict=True))
        return float(moment / factorial(power))

    def step(self, precision: float = 2.0**-53) -> float:
        """Step that balances truncation and rounding where f and its derivatives are of size one.

        ``(order / accuracy * norm * precision / abs(truncation)) ** (1 / (order + accuracy))``, which minimises
        ``norm * precision / h**order + abs(truncation) * h**accuracy``.
        """
        power = self.order + self.accuracy
        ratio: float = self.order / self.accuracy * self.norm * precision / abs(self.truncation)
        return float(ratio ** (1 / power))

    def __str__(self) -> str:
        def term(k: Fraction, w: Fraction) -> str:
            place = "x" if k == 0 else f"x {'-' if k < 0 else '+'} {'' if abs(k) == 1 else abs(k)}h"
            return f"{'-' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w)} '}f({place})"

        terms = " ".join(term(k, w) for k, w in zip(self.offsets, self.weights, strict=True) if w)
        terms = terms[2:] if terms[0] == "+" else "-" + terms[2:]
        return f"({terms}) / h{'' if self.order == 1 else f'^{self.order}'}"


def weights(offsets: Sequence[Number], order: int = 1) -> tuple[Fraction, ...]:
    """Exact weights of the finite difference rule on given offsets.

    Parameters
    ----------
    offsets : sequence of int, float or Fraction
        Where f is evaluated, in units of the step; distinct, more than `order` of them. Floats are taken at their
        exact binary value.
    order : int, default 1
        Order of the derivative.

    Returns
    -------
    tuple of Fraction
        One weight an offset; the rule is exact for polynomials of degree ``len(offsets) - 1``.

    References
    ----------
    B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Math. Comp. 51 (1988).

    Examples
    --------
    >>> import fdcore as fd
    >>> [str(w) for w in fd.weights([-2, -1, 0, 1, 2])]
    ['1/12', '-2/3', '0', '2/3', '-1/12']
    """
    points = tuple(Fraction(k) for k in offsets)
    if order < 0 or int(order) != order:
        raise ArgumentError(f"order must be a whole number >= 0, not {order!r}")
    if len(set(points)) != len(points):
        raise ArgumentError(f"offsets must be distinct, and {[str(k) for k in points]} repeats one")
    if len(points) <= order:
        raise ArgumentError(f"a derivative of order {order} needs at least {order + 1} offsets, not {len(points)}")
    return _weights(points, int(order))


@lru_cache(maxsize=256)
def _weights(points: tuple[Fraction, ...], order: int) -> tuple[Fraction, ...]:
    # table[v][k]: weight of point v for derivative k, on the points seen so far.
    table = [[Fraction(0)] * (order + 1) for _ in points]
    table[0][0] = Fraction(1)
    product = Fraction(1)
    for i in range(1, len(points)):
        spread = Fraction(1)
        for v in range(i):
            spread *= points[i] - points[v]
        for k in range(order, -1, -1):
            lower = k * table[i - 1][k - 1] if k else Fraction(0)
            table[i][k] = product / spread * (lower - points[i - 1] * table[i - 1][k])
        for v in range(i):
            distance = points[i] - points[v]
            for k in range(order, -1, -1):
                lower = k * table[v][k - 1] if k else Fraction(0)
                table[v][k] = (points[i] * table[v][k] - lower) / distance
        product = spread
    return tuple(row[order] for row in table)


def stencil(offsets: Sequence[Number], order: int = 1) -> Stencil:
    """Make the finite difference rule on given offsets, with exact weights.

    Parameters
    ----------
    offsets : sequence of int, float or Fraction
        Where f is evaluated, in units of the step.
    order : int, default 1
        Order of the derivative.

    Returns
    -------
    Stencil

    Examples
    --------
    >>> import fdcore as fd
    >>> print(fd.stencil([-1, 0, 1], order=2))
    (f(x - h) - 2 f(x) + f(x + h)) / h^2
    >>> fd.stencil([0, 1, 2]).accuracy
    2
    """
    exact = weights(offsets, order)
    points = tuple(Fraction(k) for k in offsets)
    accuracy = len(points) - order
    while not sum(w * k ** (order + accuracy) for k, w in zip(points, exact, strict=True)):
        accuracy += 1
    return Stencil(points, exact, int(order), accuracy)


def central(order: int, accuracy: int) -> Stencil:
    """Give the central rule of a derivative order and an even accuracy order."""
    reach = (order + 1) // 2 + accuracy // 2 - 1
    points = [k for k in range(-reach, reach + 1) if k or order % 2 == 0]
    return stencil(points, order)


def one_sided(order: int, accuracy: int, sign: int) -> Stencil:
    """Give the forward (`sign` 1) or backward (-1) rule of a derivative order and an accuracy order."""
    return stencil([sign * k for k in range(order + accuracy)], order)
