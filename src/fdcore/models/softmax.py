"""Softmax (multinomial logistic) regression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fdcore.models._base import Array, Params, as_matrix
from fdcore.models._network import BIAS_FIRST, NO_BIAS, Network, as_probabilities, softmax


class SoftmaxRegression(Network):
    r"""Cross-entropy of a softmax of a linear model.

    The loss is the mean over the rows,

    .. math:: L = \frac{1}{N} \sum_i \Big[ \log \sum_k e^{z_{ik}} - \sum_k Y_{ik} z_{ik} \Big]
              + \frac{l2}{2} \lVert \mathrm{coef} \rVert^2, \qquad z_i = \mathrm{intercept} + \mathrm{coef}\, x_i,

    computed without overflow for any ``z``. Its derivative with respect to ``z`` is ``(softmax(z) - Y) / N``. Every
    class has its own coefficients, so that without `l2` a constant may be added to all of them.

    Parameters
    ----------
    X : array_like of shape (rows, cols) or (rows,)
        Features. Kept without a copy if it is a C-ordered float64 array: do not change it later.
    y : array_like of shape (rows,) or (rows, classes)
        Labels 0, 1, ..., or the probability of each class.
    intercept : bool, default True
        Whether each class has a constant term.
    classes : int, optional
        How many there are, if not the highest label and one.
    l2 : float, default 0.0
        Weight of the penalty ``l2 / 2 * sum(coef**2)``; intercepts are not penalised.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        Shapes that do not fit, or values that are not finite real numbers, labels or probabilities.

    Notes
    -----
    Layout of the flat parameter vector: the `classes` intercepts (unless `intercept` is False), then ``coef``, one row
    after another. As a dict the parameters are ``{"intercept": (classes,), "coef": (classes, cols)}``.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.models import SoftmaxRegression
    >>> model = SoftmaxRegression([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 2])
    >>> model.n, model.layout
    (9, (('intercept', (3,)), ('coef', (3, 2))))
    >>> model(np.zeros(9))  # log 3
    1.09861228866810...
    >>> model.gradient(model.unflatten(np.zeros(9)))["coef"].round(3)
    array([[ 0.222, -0.111],
           [-0.111,  0.222],
           [-0.111, -0.111]])
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        intercept: bool = True,
        *,
        classes: int | None = None,
        l2: float = 0.0,
    ) -> None:
        matrix = as_matrix(X, "X")
        super().__init__(
            matrix,
            as_probabilities(y, len(matrix), classes),
            hidden=(),
            activation="tanh",  # there is no hidden layer to use it
            squared=False,
            bias=BIAS_FIRST if intercept else NO_BIAS,
            names=(("coef", "intercept"),),
            l2=l2,
        )

    def probability(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted probability of each class.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k, classes)
        """
        return softmax(self.outputs(params, X))

    def predict(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted class: the most probable one.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols), optional
            Rows to predict for; by default those of the model.

        Returns
        -------
        ndarray of shape (k,), of int
        """
        return np.asarray(np.argmax(self.outputs(params, X), axis=1))
