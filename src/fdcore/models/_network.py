"""Fully connected networks: the mathematics and the kernel behind softmax regression and the MLP."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fdcore.errors import ArgumentError, ShapeError
from fdcore.models._base import Array, Block, Model, Params, as_matrix, native_loss, real_array
from fdcore.models.logistic import sigmoid

if TYPE_CHECKING:
    from fdcore.fdcore import Native

# The same struct as fdc_network in kernel/models.h.
_NETWORK = np.dtype(
    [
        ("rows", np.intp),
        ("layers", np.intp),
        ("width", np.uintp),
        ("X", np.uintp),
        ("Y", np.uintp),
        ("l2", np.float64),
        ("activation", np.int64),
        ("squared", np.int64),
        ("bias", np.int64),
    ],
    align=True,
)
NO_BIAS, BIAS_FIRST, BIAS_LAST = range(3)

_GELU = math.sqrt(2.0 / math.pi)
_CUBE = 0.044715


def _relu(z: Array) -> Array:
    return np.where(z.real > 0.0, z, 0.0)


def _gelu(z: Array) -> Array:
    return 0.5 * z * (1.0 + np.tanh(_GELU * (z + _CUBE * z**3)))


def _gelu_slope(z: Array, a: Array) -> Array:
    t = np.tanh(_GELU * (z + _CUBE * z**3))
    return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * _GELU * (1.0 + 3.0 * _CUBE * z * z)


# Name: number in the kernel, a(z), a'(z) given z and a.
ACTIVATIONS: dict[str, tuple[int, Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "tanh": (0, np.tanh, lambda z, a: 1.0 - a * a),
    "relu": (1, _relu, lambda z, a: np.where(z.real > 0.0, 1.0, 0.0)),
    "sigmoid": (2, sigmoid, lambda z, a: a * (1.0 - a)),
    "gelu": (3, _gelu, _gelu_slope),
}


class Network(Model):
    """Loss of a fully connected network; a subclass says what its parameters are called.

    Parameters
    ----------
    X : array_like of shape (rows, cols)
    Y : ndarray of shape (rows, outputs)
        Targets: values, or probabilities.
    hidden : tuple of int
        Units of each hidden layer.
    activation : str
    squared : bool
        Mean squared error instead of the cross-entropy of a softmax.
    bias : int
        No biases, before the weights, or after them.
    names : tuple of (str, str)
        Names of weights and biases, one pair a layer.
    l2 : float
    """

    _by_row = ("_X", "_Y")

    def __init__(
        self,
        X: Array,
        Y: Array,
        *,
        hidden: tuple[int, ...],
        activation: str,
        squared: bool,
        bias: int,
        names: tuple[tuple[str, str], ...],
        l2: float,
    ) -> None:
        if not (np.isfinite(l2) and l2 >= 0.0):
            raise ArgumentError(f"l2 must be finite and >= 0, got {l2!r}")
        if X.shape[1] == 0:
            raise ShapeError(f"X must have at least one column, got shape {X.shape}")
        self._X, self._Y, self._l2 = X, Y, float(l2)
        self._activation, self._squared, self._bias = activation, squared, bias
        self._width = (X.shape[1], *hidden, Y.shape[1])
        blocks: list[Block] = []
        start = 0
        for (weights, biases), inputs, outputs in zip(names, self._width, self._width[1:], strict=False):
            shapes: list[tuple[str, tuple[int, ...]]] = [(weights, (outputs, inputs))]
            if bias != NO_BIAS:
                shapes.insert(0 if bias == BIAS_FIRST else 1, (biases, (outputs,)))
            for name, shape in shapes:
                stop = start + math.prod(shape)
                blocks.append(Block(name, shape, start, stop))
                start = stop
        self._blocks = tuple(blocks)

    def outputs(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Outputs of the last layer, before any softmax.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols), optional
            Rows to evaluate; by default those of the model.

        Returns
        -------
        ndarray of shape (k, outputs)
        """
        rows = self._X if X is None else as_matrix(X, "X")
        return self._forward(self._layers(self.flatten(params)), rows)[0][-1]

    def _layers(self, vector: Array) -> list[tuple[Array, Array | None]]:
        """Weights and biases of each layer, as views."""
        views = [vector[block.start : block.stop].reshape(block.shape) for block in self._blocks]
        if self._bias == NO_BIAS:
            return [(W, None) for W in views]
        pairs = list(zip(views[::2], views[1::2], strict=True))
        return [(W, b) for b, W in pairs] if self._bias == BIAS_FIRST else [(W, b) for W, b in pairs]

    def _forward(self, layers: list[tuple[Array, Array | None]], X: Array) -> tuple[list[Array], list[Array]]:
        """Each layer's z, and what went into it."""
        activate = ACTIVATIONS[self._activation][1]
        zs: list[Array] = []
        inputs = [X]
        for W, b in layers:
            z = inputs[-1] @ W.T
            zs.append(z if b is None else z + b)
            if len(zs) < len(layers):
                inputs.append(activate(zs[-1]))
        return zs, inputs

    def _loss(self, vector: Array) -> Any:
        layers = self._layers(vector)
        z = self._forward(layers, self._X)[0][-1]
        if self._squared:
            value = np.mean((z - self._Y) ** 2)
        else:
            highest = np.argmax(z.real, axis=1)[:, np.newaxis]
            below = z - np.take_along_axis(z, highest, axis=1)
            e = np.exp(below)
            np.put_along_axis(e, highest, 0.0, axis=1)  # where the others are tiny, they are the loss
            value = np.mean(np.log1p(e.sum(axis=1)) - (self._Y * below).sum(axis=1))
        if self._l2 > 0.0:
            value = value + 0.5 * self._l2 * sum((W * W).sum() for W, _ in layers)
        return value

    def _gradient(self, vector: Array) -> Array:
        layers = self._layers(vector)
        zs, inputs = self._forward(layers, self._X)
        slope = ACTIVATIONS[self._activation][2]
        if self._squared:
            dz = (zs[-1] - self._Y) * (2.0 / self._Y.size)
        else:
            dz = (softmax(zs[-1]) - self._Y) / len(self._Y)
        out = np.empty(self.n, dz.dtype)
        grads = self._layers(out)
        for k in range(len(layers) - 1, -1, -1):
            W = layers[k][0]
            dW, db = grads[k]
            dW[...] = dz.T @ inputs[k] + self._l2 * W
            if db is not None:
                db[...] = dz.sum(axis=0)
            if k:
                dz = (dz @ W) * slope(zs[k - 1], inputs[k])
        return out

    def _make_native(self) -> Native:
        width = np.array(self._width, np.intp)
        number = ACTIVATIONS[self._activation][0]
        pointers = (width.ctypes.data, self._X.ctypes.data, self._Y.ctypes.data)
        fields = (len(self._X), len(width) - 1, *pointers, self._l2, number, self._squared, self._bias)
        return native_loss("network", self.n, np.array([fields], _NETWORK), (width, self._X, self._Y))


def softmax(z: Array) -> Array:
    """Softmax of each row, without overflow."""
    e = np.exp(z - z.real.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def as_probabilities(y: npt.ArrayLike, rows: int, classes: int | None) -> Array:
    """Targets of a cross-entropy, (rows, classes): from labels 0, 1, ..., or rows that add up to one."""
    targets = real_array(y, "y")
    if targets.ndim == 2:
        if len(targets) != rows or (classes is not None and targets.shape[1] != classes) or targets.shape[1] == 0:
            wanted = "classes" if classes is None else classes
            raise ShapeError(f"y must have shape ({rows},) or ({rows}, {wanted}), got {targets.shape}")
        bad = (targets < 0.0).any(axis=1) | (np.abs(targets.sum(axis=1) - 1.0) > 1e-9)
        if bad.any():
            raise ArgumentError(f"rows of y must be probabilities that add up to 1; row {int(np.argmax(bad))} is not")
        return targets
    if targets.shape != (rows,):
        raise ShapeError(f"y must have shape ({rows},) or ({rows}, classes), got {targets.shape}")
    labels = targets.astype(np.intp)
    classes = int(labels.max()) + 1 if classes is None else classes
    bad = (labels != targets) | (labels < 0) | (labels >= classes)
    if bad.any():
        i = int(np.argmax(bad))
        raise ArgumentError(f"y must hold labels 0, ..., {classes - 1}, but y[{i}] is {targets[i]:g}")
    one_hot = np.zeros((rows, classes))
    one_hot[np.arange(rows), labels] = 1.0
    return one_hot
