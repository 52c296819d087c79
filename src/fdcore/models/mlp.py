"""Multi-layer perceptron: a fully connected network with hidden layers."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fdcore.errors import ArgumentError, ShapeError
from fdcore.models._base import Array, Params, as_matrix, real_array
from fdcore.models._network import ACTIVATIONS, BIAS_LAST, Network, as_probabilities, softmax


class MLP(Network):
    r"""Loss of a multi-layer perceptron.

    Layer k computes ``W @ a + b`` of the previous layer's values ``a``, and all layers but the last apply the
    activation. The loss is the mean over the rows of the cross-entropy of the outputs' softmax, or the mean squared
    error over all outputs of all rows (*without* a factor 1/2), plus ``l2 / 2`` times the sum of all squared weights.

    Parameters
    ----------
    X : array_like of shape (rows, cols) or (rows,)
        Features. Kept without a copy if it is a C-ordered float64 array: do not change it later.
    y : array_like of shape (rows,) or (rows, outputs)
        For the cross-entropy labels 0, 1, ..., or the probability of each class; for the squared error the targets.
    hidden : sequence of int, default (16,)
        Units of each hidden layer.
    activation : {"tanh", "relu", "sigmoid", "gelu"}
        "gelu" is its usual approximation by tanh. "relu" has the derivative 0 at 0.
    loss : {"cross-entropy", "squared"}
    classes : int, optional
        For the cross-entropy: how many there are, if not the highest label and one.
    l2 : float, default 0.0
        Weight of the penalty on the weights; biases are not penalised.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        Shapes that do not fit, or values that are not finite real numbers, labels or probabilities.

    Notes
    -----
    Layout of the flat parameter vector: ``layer1.W`` (one row per unit, as in PyTorch), ``layer1.b``, ``layer2.W``, and
    so on. As a tree the parameters are ``{"layer1": {"W": (units, cols), "b": (units,)}, ...}``.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.models import MLP
    >>> model = MLP([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0], hidden=(3,))
    >>> model.names, model.n
    (('layer1.W', 'layer1.b', 'layer2.W', 'layer2.b'), 17)
    >>> params = model.initial(seed=1)
    >>> model.gradient(model.unflatten(params))["layer2"]["b"].shape
    (2,)

    Trained by SciPy, with the analytic gradient:

    >>> from scipy.optimize import minimize
    >>> model.predict(minimize(model, params, jac=model.gradient).x)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        hidden: Sequence[int] = (16,),
        *,
        activation: str = "tanh",
        loss: str = "cross-entropy",
        classes: int | None = None,
        l2: float = 0.0,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ArgumentError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {activation!r}")
        if loss not in ("cross-entropy", "squared"):
            raise ArgumentError(f"loss must be 'cross-entropy' or 'squared', got {loss!r}")
        units = tuple(operator.index(size) for size in hidden)
        if any(size < 1 for size in units):
            raise ArgumentError(f"hidden layers need at least one unit each, got {units}")
        matrix = as_matrix(X, "X")
        if loss == "squared":
            targets = real_array(y, "y")
            targets = targets[:, np.newaxis] if targets.ndim == 1 else targets
            if targets.ndim != 2 or len(targets) != len(matrix) or targets.shape[1] == 0:
                raise ShapeError(f"y must have shape ({len(matrix)},) or ({len(matrix)}, outputs), got {np.shape(y)}")
        else:
            targets = as_probabilities(y, len(matrix), classes)
        super().__init__(
            matrix,
            targets,
            hidden=units,
            activation=activation,
            squared=loss == "squared",
            bias=BIAS_LAST,
            names=tuple((f"layer{k}.W", f"layer{k}.b") for k in range(1, len(units) + 2)),
            l2=l2,
        )

    def initial(self, seed: int = 0) -> Array:
        """Random parameters to start from: weights uniform within Glorot's limits, biases zero.

        Parameters
        ----------
        seed : int, default 0

        Returns
        -------
        ndarray of shape (n,)
        """
        rng = np.random.default_rng(seed)
        params = np.zeros(self.n)
        for W, _ in self._layers(params):
            limit = math.sqrt(6.0 / sum(W.shape))
            W[...] = rng.uniform(-limit, limit, W.shape)
        return params

    def predict(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted targets, or the most probable class where the loss is the cross-entropy.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k, outputs) or, of int, (k,)
        """
        outputs = self.outputs(params, X)
        return outputs if self._squared else np.argmax(outputs, axis=1)

    def probability(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted probability of each class, where the loss is the cross-entropy.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k, classes)

        Raises
        ------
        ArgumentError
            The loss is the squared error.
        """
        if self._squared:
            raise ArgumentError("a model with loss='squared' predicts no probabilities")
        return softmax(self.outputs(params, X))
