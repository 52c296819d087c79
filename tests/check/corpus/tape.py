"""Reverse-mode differentiation of NumPy expressions, as small as the corpus needs it.

Gradients of the corpus come from here and not from fdcore: what is checked and what checks must not share a mistake.
Everything is computed in the dtype of the arrays that come in.
"""

from __future__ import annotations

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[float])


class Var:
    """A value on the tape."""

    __array_priority__ = 1000
    __array_ufunc__ = None

    def __init__(self, value, parents=()):
        self.v = np.asarray(value)
        self.parents = parents  # (Var, function from the gradient of this to that of the parent)
        self.g = None

    @property
    def shape(self):
        return self.v.shape

    @property
    def T(self):
        return Var(self.v.T, [(self, lambda g: g.T)])

    def __add__(self, other):
        other = var(other)
        return Var(self.v + other.v, [(self, lambda g: fit(g, self)), (other, lambda g: fit(g, other))])

    def __mul__(self, other):
        other = var(other)
        parents = [(self, lambda g: fit(g * other.v, self)), (other, lambda g: fit(g * self.v, other))]
        return Var(self.v * other.v, parents)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return Var(-self.v, [(self, lambda g: -g)])

    def __sub__(self, other):
        return self + (-var(other))

    def __rsub__(self, other):
        return var(other) + (-self)

    def __truediv__(self, other):
        return self * var(other) ** -1.0

    def __rtruediv__(self, other):
        return var(other) * self**-1.0

    def __pow__(self, p):
        return Var(self.v**p, [(self, lambda g: g * p * self.v ** (p - 1))])

    def __matmul__(self, other):
        other = var(other)
        a, b = self.v, other.v

        def left(g):
            if b.ndim == 1:
                return np.multiply.outer(g, b) if a.ndim > 1 else g * b
            return fit(g @ np.swapaxes(b, -1, -2), self) if a.ndim > 1 else g @ b.T

        def right(g):
            if a.ndim == 1:
                return np.multiply.outer(a, g) if b.ndim > 1 else g * a
            if b.ndim == 1:
                return np.tensordot(a, g, (tuple(range(a.ndim - 1)), tuple(range(g.ndim))))
            return fit(np.swapaxes(a, -1, -2) @ g, other)

        return Var(a @ b, [(self, left), (other, right)])

    def __rmatmul__(self, other):
        return var(other) @ self

    def __getitem__(self, key):
        def back(g):
            full = np.zeros_like(self.v)
            np.add.at(full, key, g)
            return full

        return Var(self.v[key], [(self, back)])

    def reshape(self, *shape):
        return Var(self.v.reshape(*shape), [(self, lambda g: g.reshape(self.v.shape))])

    def sum(self, axis=None, keepdims=False):
        def back(g):
            if axis is not None and not keepdims:
                g = np.expand_dims(g, axis)
            return np.broadcast_to(g, self.v.shape)

        return Var(self.v.sum(axis=axis, keepdims=keepdims), [(self, back)])

    def mean(self, axis=None, keepdims=False):
        count = self.v.size if axis is None else self.v.shape[axis]
        return self.sum(axis, keepdims) * self.v.dtype.type(1.0 / count)


def var(value):
    return value if isinstance(value, Var) else Var(value)


def fit(g, like):
    """Sum a gradient over the axes that were broadcast."""
    g = np.asarray(g)
    while g.ndim > like.v.ndim:
        g = g.sum(0)
    for axis, size in enumerate(like.v.shape):
        if size == 1 and g.shape[axis] != 1:
            g = g.sum(axis, keepdims=True)
    return g


def unary(value, slope):
    def apply(a):
        a = var(a)
        out = value(a.v)
        return Var(out, [(a, lambda g: g * slope(a.v, out))])

    return apply


exp = unary(np.exp, lambda x, y: y)
log = unary(np.log, lambda x, y: 1 / x)
tanh = unary(np.tanh, lambda x, y: 1 - y * y)
sin = unary(np.sin, lambda x, y: np.cos(x))
cos = unary(np.cos, lambda x, y: -np.sin(x))
sqrt = unary(np.sqrt, lambda x, y: 0.5 / y)
absolute = unary(np.abs, lambda x, y: np.sign(x))
relu = unary(lambda x: np.maximum(x, 0), lambda x, y: (x > 0).astype(x.dtype))
sigmoid = unary(lambda x: 0.5 * (1 + np.tanh(0.5 * x)), lambda x, y: y * (1 - y))
softplus = unary(lambda x: np.logaddexp(0, x).astype(x.dtype), lambda x, y: 0.5 * (1 + np.tanh(0.5 * x)))
erf = unary(lambda x: _erf(x).astype(x.dtype), lambda x, y: (2 / math.sqrt(math.pi) * np.exp(-x * x)).astype(x.dtype))
lgamma = unary(
    lambda x: np.vectorize(math.lgamma, otypes=[float])(x).astype(x.dtype),
    lambda x, y: np.vectorize(digamma, otypes=[float])(x).astype(x.dtype),
)


def digamma(x):
    shift = 0.0
    while x < 10.0:
        shift -= 1.0 / x
        x += 1.0
    u = 1.0 / (x * x)
    return shift + math.log(x) - 0.5 / x - u * (1 / 12 - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u / 132))))


def amax(a, axis):
    out = a.v.max(axis=axis, keepdims=True)
    mask = (a.v == out).astype(a.v.dtype)
    mask /= mask.sum(axis=axis, keepdims=True)
    return Var(out, [(a, lambda g: g * mask)])


def logsumexp(a, axis=-1):
    top = a.v.max(axis=axis, keepdims=True)
    return log(exp(a - top).sum(axis=axis, keepdims=True)) + top


def concatenate(parts, axis=0):
    parts = [var(p) for p in parts]
    edges = np.cumsum([0, *(p.v.shape[axis] for p in parts)])

    def back(k):
        key = [slice(None)] * parts[k].v.ndim
        key[axis] = slice(edges[k], edges[k + 1])
        return lambda g: g[tuple(key)]

    return Var(np.concatenate([p.v for p in parts], axis), [(p, back(k)) for k, p in enumerate(parts)])


def gradient(f, params):
    """Value and gradient of f at a dict of arrays."""
    leaves = {name: Var(value) for name, value in params.items()}
    out = f(leaves)
    order, seen = [], set()
    stack = [(out, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.parents)
    out.g = np.ones_like(out.v)
    for node in reversed(order):
        for parent, back in node.parents:
            part = np.asarray(back(node.g), dtype=parent.v.dtype)
            parent.g = part if parent.g is None else parent.g + part
    return {k: np.zeros_like(v.v) if v.g is None else np.array(v.g, v.v.dtype) for k, v in leaves.items()}
