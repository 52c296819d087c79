"""Poisson regression: log likelihood of counts, its gradient and its minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fdcore.errors import ArgumentError
from fdcore.models._base import Array, Params, Regression, as_matrix


class PoissonRegression(Regression):
    r"""Minus the log likelihood of Poisson counts whose mean is the exponential of a linear model.

    The loss is the mean over the rows, *without* the term log(y!), which no parameter changes:

    .. math:: L = \frac{1}{N} \sum_i \left[ e^{z_i} - y_i z_i \right]
              + \frac{l2}{2} \lVert \mathrm{coef} \rVert^2, \qquad z = \mathrm{intercept} + X\,\mathrm{coef}.

    Its derivative with respect to ``z_i`` is ``(exp(z_i) - y_i) / N``.

    Parameters
    ----------
    X : array_like of shape (rows, cols) or (rows,)
        Features. Kept without a copy if it is a C-ordered float64 array: do not change it later.
    y : array_like of shape (rows,)
        Targets: counts, or any numbers >= 0.
    intercept : bool, default True
        Whether there is a free constant term.
    l2 : float, default 0.0
        Weight of the penalty ``l2 / 2 * sum(coef**2)``; the intercept is not penalised.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        Shapes that do not fit, or values that are not finite real numbers, or a target below 0.

    Notes
    -----
    Layout of the flat parameter vector: ``[intercept, coef[0], coef[1], ...]``, without the first entry if `intercept`
    is False. As a dict the parameters are ``{"intercept": float, "coef": (cols,)}``.

    Examples
    --------
    >>> from fdcore.models import PoissonRegression
    >>> model = PoissonRegression([0.0, 1.0, 2.0], [1, 3, 7])
    >>> model([0.0, 0.0])
    1.0
    >>> model.gradient([0.0, 0.0])
    array([-2.66666667, -4.66666667])
    >>> params = model.fit()
    >>> bool(abs(model.gradient(params)).max() < 1e-14)
    True
    >>> model.predict(params).round(2)
    array([1.1, 2.8, 7.1])
    """

    _kernel = "poisson"

    def __init__(self, X: npt.ArrayLike, y: npt.ArrayLike, intercept: bool = True, *, l2: float = 0.0) -> None:
        super().__init__(X, y, intercept=intercept, l2=l2)
        if (self._y < 0.0).any():
            i = int(np.argmax(self._y < 0.0))
            raise ArgumentError(f"y must not be negative, but y[{i}] is {self._y[i]}")

    def predict(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted mean of the counts.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols) or (k,), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k,)
        """
        return _exp(self._z(self.flatten(params), self._X if X is None else as_matrix(X, "X")))

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
            There is no minimum: the loss falls for ever in some direction, as where all counts of a group are zero. An
            ``l2 > 0`` gives one.
        ArgumentError
            The columns are linearly dependent, so that the minimum is not unique.
        """
        return self._newton(
            _exp, max_iterations, "the loss falls for ever in some direction (are all counts of a group zero?)"
        )

    def _loss(self, vector: Array) -> Any:
        z = self._z(vector, self._X)
        return np.mean(_exp(z) - self._y * z) + self._penalty(vector)

    def _gradient(self, vector: Array) -> Array:
        z = self._z(vector, self._X)
        return self._pull_back((_exp(z) - self._y) / len(z), vector)


def _exp(z: Array) -> Array:
    """Exponential that goes to infinity in silence: a loss of inf says it."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(z))
