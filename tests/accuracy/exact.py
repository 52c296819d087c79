"""Exact derivatives: dual numbers over mpmath, 400 digits, and the same names for floats and for arrays of either.

A corpus function is written once, over a namespace of elementary functions. With FLOAT it is what a user would write;
with DUAL it gives value and first derivative far beyond double precision, so that no derivative is written by hand.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import mpmath
import numpy as np

mpmath.mp.dps = 400  # 1e10 + x at x = 1e-300 loses 310 digits


class Dual:
    """A value and its derivative along one direction."""

    __array_priority__ = 1000
    __slots__ = ("d", "v")

    def __init__(self, v, d=0):
        self.v = mpmath.mpf(v)
        self.d = mpmath.mpf(d)

    def __add__(self, other):
        other = lift(other)
        return Dual(self.v + other.v, self.d + other.d)

    __radd__ = __add__

    def __neg__(self):
        return Dual(-self.v, -self.d)

    def __pos__(self):
        return self

    def __sub__(self, other):
        other = lift(other)
        return Dual(self.v - other.v, self.d - other.d)

    def __rsub__(self, other):
        return lift(other) - self

    def __mul__(self, other):
        other = lift(other)
        return Dual(self.v * other.v, self.d * other.v + self.v * other.d)

    __rmul__ = __mul__

    def __truediv__(self, other):
        other = lift(other)
        quotient = self.v / other.v
        return Dual(quotient, (self.d - quotient * other.d) / other.v)

    def __rtruediv__(self, other):
        return lift(other) / self

    def __pow__(self, power):
        if isinstance(power, Dual):
            return exp(power * log(self))
        power = mpmath.mpf(power)
        if power == 0:
            return Dual(1)
        slope = power * self.v ** (power - 1) if self.v or power >= 1 else mpmath.mpf("inf")
        return Dual(self.v**power, slope * self.d)

    def __rpow__(self, base):
        return exp(self * mpmath.log(base))

    def __abs__(self):
        return Dual(abs(self.v), mpmath.sign(self.v) * self.d)

    def __lt__(self, other):
        return self.v < lift(other).v

    def __le__(self, other):
        return self.v <= lift(other).v

    def __gt__(self, other):
        return self.v > lift(other).v

    def __ge__(self, other):
        return self.v >= lift(other).v

    def __eq__(self, other):
        return self.v == lift(other).v

    __hash__ = None

    def __float__(self):
        return float(self.v)


def lift(x):
    return x if isinstance(x, Dual) else Dual(x if isinstance(x, int | mpmath.mpf) else float(x))


def _rule(value, slope):
    def function(x):
        x = lift(x)
        return Dual(value(x.v), slope(x.v) * x.d if x.d else 0)

    return function


exp = _rule(mpmath.exp, mpmath.exp)
log = _rule(mpmath.log, lambda x: 1 / x)


def _bessel(order):
    def slope(x):
        return (mpmath.besselj(order - 1, x) - mpmath.besselj(order + 1, x)) / 2

    def value(x):
        return mpmath.besselj(order, x)

    def function(x):
        x = lift(x)
        with mpmath.workdps(40):
            return Dual(value(x.v), slope(x.v) * x.d)

    return function


def _low(value, slope):
    """Like `_rule`, for functions that are slow at 400 digits."""

    def function(x):
        x = lift(x)
        with mpmath.workdps(50):
            return Dual(value(x.v), slope(x.v) * x.d)

    return function


def _atan2(y, x):
    y, x = lift(y), lift(x)
    return Dual(mpmath.atan2(y.v, x.v), (x.v * y.d - y.v * x.d) / (x.v**2 + y.v**2))


def _sinc(x):
    x = lift(x)
    if x.v == 0:
        return Dual(1, 0)
    return DUAL.sin(x) / x


DUAL = SimpleNamespace(
    exp=exp,
    log=log,
    expm1=_rule(mpmath.expm1, mpmath.exp),
    log1p=_rule(lambda x: mpmath.log(1 + x), lambda x: 1 / (1 + x)),
    sqrt=_rule(mpmath.sqrt, lambda x: 1 / (2 * mpmath.sqrt(x))),
    cbrt=_rule(
        lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
        lambda x: 1 / (3 * mpmath.cbrt(abs(x)) ** 2),
    ),
    sin=_rule(mpmath.sin, mpmath.cos),
    cos=_rule(mpmath.cos, lambda x: -mpmath.sin(x)),
    tan=_rule(mpmath.tan, lambda x: 1 / mpmath.cos(x) ** 2),
    asin=_rule(mpmath.asin, lambda x: 1 / mpmath.sqrt(1 - x * x)),
    acos=_rule(mpmath.acos, lambda x: -1 / mpmath.sqrt(1 - x * x)),
    atan=_rule(mpmath.atan, lambda x: 1 / (1 + x * x)),
    sinh=_rule(mpmath.sinh, mpmath.cosh),
    cosh=_rule(mpmath.cosh, mpmath.sinh),
    tanh=_rule(mpmath.tanh, lambda x: 1 / mpmath.cosh(x) ** 2),
    asinh=_rule(mpmath.asinh, lambda x: 1 / mpmath.sqrt(1 + x * x)),
    erf=_rule(mpmath.erf, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
    erfc=_rule(mpmath.erfc, lambda x: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
    gamma=_low(mpmath.gamma, lambda x: mpmath.gamma(x) * mpmath.digamma(x)),
    lgamma=_low(mpmath.loggamma, mpmath.digamma),
    j0=_bessel(0),
    j1=_bessel(1),
    sinc=_sinc,
    atan2=_atan2,
    pi=math.pi,
    e=math.e,
)


def _either(name):
    """Overflow and domain errors become inf and nan, as in NumPy."""
    plain = getattr(math, name)

    def function(x):
        try:
            return plain(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    function.__name__ = name
    return function


def _float_sinc(x):
    return math.sin(x) / x if x else 1.0


def _special(name):
    def function(x):
        import scipy.special

        return float(getattr(scipy.special, name)(x))

    return function


_NAMES = "exp expm1 log log1p sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh erf erfc gamma lgamma"
FLOAT = SimpleNamespace(
    **{name: _either(name) for name in _NAMES.split()},
    j0=_special("j0"),
    j1=_special("j1"),
    sinc=_float_sinc,
    atan2=math.atan2,
    pi=math.pi,
    e=math.e,
)


def derivative(f, x):
    """f'(x) as an mpf, for f written over a namespace: f(ns, x)."""
    return lift(f(DUAL, Dual(float(x), 1))).d


def jacobian(f, x):
    """The Jacobian at x (m, n) as an object array of mpf, for f(ns, x) -> sequence of m."""
    x = np.asarray(x, dtype=float)
    columns = []
    for j in range(x.size):
        point = np.array([Dual(float(v), int(i == j)) for i, v in enumerate(x)], dtype=object)
        columns.append([lift(y).d for y in f(DUAL, point)])
    return np.array(columns, dtype=object).T
