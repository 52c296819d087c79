"""Linear regression: mean squared error, its gradient and its exact minimum."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from fdcore.errors import ArgumentError
from fdcore.models._base import Array, Params, Regression, as_matrix


class LinearRegression(Regression):
    r"""Mean squared error of a linear (or polynomial) model.

    The loss is the mean of the squared residuals, *without* a factor 1/2:

    .. math:: L = \frac{1}{N} \sum_i (z_i - y_i)^2 + \frac{l2}{2} \lVert \mathrm{coef} \rVert^2,
              \qquad z = \mathrm{intercept} + X\,\mathrm{coef}

    so its gradient is ``2 / N * X.T @ (z - y) + l2 * coef`` with respect to ``coef`` and ``2 / N * sum(z - y)`` with
    respect to the intercept.

    Parameters
    ----------
    X : array_like of shape (rows, cols) or (rows,)
        Features. Kept without a copy if it is a C-ordered float64 array (and `degree` is 1): do not change it later.
    y : array_like of shape (rows,)
        Targets.
    intercept : bool, default True
        Whether there is a free constant term.
    degree : int, default 1
        Features are the powers 1 to `degree` of each column (no cross products): all columns, then all their squares,
        and so on.
    l2 : float, default 0.0
        Weight of the penalty ``l2 / 2 * sum(coef**2)``; the intercept is not penalised.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        Shapes that do not fit, or values that are not finite real numbers.

    Notes
    -----
    Layout of the flat parameter vector: ``[intercept, coef[0], coef[1], ...]``, without the first entry if `intercept`
    is False. As a dict the parameters are ``{"intercept": float, "coef": (cols * degree,)}``.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore.models import LinearRegression
    >>> model = LinearRegression([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    >>> model([1.0, 1.0])
    1.66666666666666...
    >>> model.gradient([1.0, 1.0])
    array([-2.        , -3.33333333])
    >>> model.fit()
    array([1., 2.])
    >>> model.gradient({"intercept": 1.0, "coef": [1.0]})
    {'intercept': array(-2.), 'coef': array([-3.33333333])}

    A parabola:

    >>> x = np.linspace(-1.0, 1.0, 9)
    >>> LinearRegression(x, 3.0 - x + 2.0 * x**2, degree=2).fit().round(12)
    array([ 3., -1.,  2.])
    """

    _kernel = "linear"

    def __init__(
        self, X: npt.ArrayLike, y: npt.ArrayLike, intercept: bool = True, degree: int = 1, *, l2: float = 0.0
    ) -> None:
        self._degree = operator.index(degree)
        if self._degree < 1:
            raise ArgumentError(f"degree must be >= 1, got {degree}")
        super().__init__(_powers(as_matrix(X, "X"), self._degree), y, intercept=intercept, l2=l2)

    def predict(self, params: Params, X: npt.ArrayLike | None = None) -> Array:
        """Predicted targets.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
        X : array_like of shape (k, cols) or (k,), optional
            Rows to predict for (before powers are taken); by default those of the model.

        Returns
        -------
        ndarray of shape (k,)
        """
        features = self._X if X is None else _powers(as_matrix(X, "X"), self._degree)
        return self._z(self.flatten(params), features)

    def fit(self) -> Array:
        """Parameters at the minimum of the loss.

        Orthogonal factorisation of the scaled design, followed by iterative refinement with residuals in extended
        precision: accurate to the last digits where the normal equations lose half of them.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ArgumentError
            The columns are linearly dependent to working precision, so that the minimum is not unique.
        """
        A = self._design()
        b = self._y
        if self._l2 > 0.0:
            # The penalty as rows of data: sqrt(N l2 / 2) * coef should be zero.
            ridge = np.sqrt(0.5 * len(b) * self._l2) * np.eye(self.n)[self._first :]
            A, b = np.vstack([A, ridge]), np.concatenate([b, np.zeros(len(ridge))])
        return least_squares(A, b)

    def _loss(self, vector: Array) -> Any:
        residual = self._z(vector, self._X) - self._y
        return np.mean(residual * residual) + self._penalty(vector)

    def _gradient(self, vector: Array) -> Array:
        residual = self._z(vector, self._X) - self._y
        return self._pull_back(residual * (2.0 / len(residual)), vector)


def _powers(X: Array, degree: int) -> Array:
    return X if degree == 1 else np.hstack([X**power for power in range(1, degree + 1)])


def least_squares(A: Array, b: Array) -> Array:
    """Minimise ``norm(A @ x - b)``; see `LinearRegression.fit`.

    The refinement is Bjorck's: it improves the residual and the solution together, which is what keeps it converging
    when the residual is not small.
    """
    scale = np.sqrt(np.sum(A * A, axis=0))
    if not scale.all():
        raise ArgumentError(f"column {int(np.argmin(scale))} of the design is zero: drop it or set l2 > 0")
    scale = np.exp2(np.round(np.log2(scale)))  # powers of two: scaling is exact
    S = A / scale
    Q, R = np.linalg.qr(S)
    if len(S) < S.shape[1] or np.linalg.cond(R) > 0.01 / np.finfo(np.float64).eps:
        raise ArgumentError("the columns of the design are linearly dependent: drop some or set l2 > 0")
    x = np.zeros(S.shape[1], np.longdouble)
    r = b.astype(np.longdouble)
    long = S.astype(np.longdouble)
    for _ in range(4):
        f = (b - r - long @ x).astype(np.float64)
        g = (-(r @ long)).astype(np.float64)
        h = np.linalg.solve(R.T, g)
        d = Q.T @ f
        x += np.linalg.solve(R, d - h)
        r += f - Q @ (d - h)
    return np.asarray(x / scale, np.float64)
