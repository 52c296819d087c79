"""Logistic regression: binary cross-entropy, its gradient and its minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fdcore.errors import ArgumentError
from fdcore.models._base import Array, Params, Regression, as_matrix


class LogisticRegression(Regression):
    r"""Binary cross-entropy of a sigmoid of a linear model.

    The loss is the mean over the rows,

    .. math:: L = \frac{1}{N} \sum_i \left[ \log(1 + e^{z_i}) - y_i z_i \right]
              + \frac{l2}{2} \lVert \mathrm{coef} \rVert^2, \qquad z = \mathrm{intercept} + X\,\mathrm{coef},

    which is ``-mean(y * log(a) + (1 - y) * log(1 - a))`` for ``a = sigmoid(z)``, written so that no ``z``, however
    large, overflows or loses digits. Its derivative with respect to ``z_i`` is ``(a_i - y_i) / N``.

    Parameters
    ----------
    X : array_like of shape (rows, cols) or (rows,)
        Features. Kept without a copy if it is a C-ordered float64 array: do not change it later.
    y : array_like of shape (rows,)
        Targets: 0 or 1, or a probability in between.
    intercept : bool, default True
        Whether there is a free constant term.
    l2 : float, default 0.0
        Weight of the penalty ``l2 / 2 * sum(coef**2)``; the intercept is not penalised.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        Shapes that do not fit, or values that are not finite real numbers, or a target outside [0, 1].

    Notes
    -----
    Layout of the flat parameter vector: ``[intercept, coef[0], coef[1], ...]``, without the first entry if `intercept`
    is False. As a dict the parameters are ``{"intercept": float, "coef": (cols,)}``.

    Examples
    --------
    >>> from fdcore.models import LogisticRegression
    >>> model = LogisticRegression([-1.0, 0.0, 1.0, 2.0], [0, 1, 0, 1])
    >>> model([0.0, 0.0])  # log 2
    0.693147180559945...
    >>> model.gradient([0.0, 0.0])
    array([ 0.  , -0.25])
    >>> params = model.fit()
    >>> bool(abs(model.gradient(params)).max() < 1e-15)
    True
    >>> model.probability([0.0, 1e4]).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """

    _kernel = "logistic"

    def __init__(self, X: npt.ArrayLike, y: npt.ArrayLike, intercept: bool = True, *, l2: float = 0.0) -> None:
        super().__init__(X, y, intercept=intercept, l2=l2)
        outside = (self._y < 0.0) | (self._y > 1.0)
        if outside.any():
            i = int(np.argmax(outside))
            raise ArgumentError(f"y must lie in [0, 1], but y[{i}] is {self._y[i]}")

    def probability(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted probability that the target is 1.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols) or (k,), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k,)
        """
        return sigmoid(self._z(self.flatten(params), self._X if X is None else as_matrix(X, "X")))

    def predict(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted class, 0 or 1: the more probable one.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols) or (k,), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k,), of int
        """
        return (self.probability(params, X) > 0.5).astype(np.intp)

    def fit(self, *, max_iterations: int = 50) -> Array:
        """Parameters at the minimum of the loss, by Newton's method (iteratively reweighted least squares).

        Parameters
        ----------
        max_iterations : int, default 50
            The loss is convex and Newton's method quadratic: about ten suffice where there is a minimum.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        FdcoreError
            There is no minimum: some combination of the columns separates the classes, and the loss falls for ever as
            `coef` grows. An ``l2 > 0`` gives one.
        ArgumentError
            The columns are linearly dependent, so that the minimum is not unique.
        """
        return self._newton(
            lambda z: sigmoid(z) * sigmoid(-z),
            max_iterations,
            "the classes are separable (or nearly), and the loss falls for ever as coef grows",
        )

    def _loss(self, vector: Array) -> Any:
        z = self._z(vector, self._X)
        positive = z.real > 0.0
        # log(1 + e^z) - y z, without overflow; the linear terms first, as they cancel exactly where y is 0 or 1.
        linear = np.where(positive, z, 0.0) - self._y * z
        return np.mean(linear + np.log1p(np.exp(np.where(positive, -z, z)))) + self._penalty(vector)

    def _gradient(self, vector: Array) -> Array:
        z = self._z(vector, self._X)
        # sigmoid(z) - y, without the cancellation that this would have for y = 1 and large z.
        dz = (1.0 - self._y) * sigmoid(z) - self._y * sigmoid(-z)
        return self._pull_back(dz / len(z), vector)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), elementwise, without overflow; real or complex."""
    positive = z.real > 0.0
    e = np.exp(np.where(positive, -z, z))
    return np.asarray(np.where(positive, 1.0, e) / (1.0 + e))
