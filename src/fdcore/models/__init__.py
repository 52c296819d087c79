"""Models with a loss, its analytic gradient and the same loss as a native kernel.

A model is a callable: ``model(params)`` is the loss, ``model.gradient(params)`` its analytic gradient. fdcore's own
functions find the native kernel by themselves, so ``fd.gradient(model, params)`` and ``fd.check_gradient(model,
model.gradient, params)`` evaluate the loss without Python and without the GIL.
"""

from __future__ import annotations

from fdcore.models._descend import Descent, descend
from fdcore.models.linear import LinearRegression
from fdcore.models.logistic import LogisticRegression
from fdcore.models.mlp import MLP
from fdcore.models.poisson import PoissonRegression
from fdcore.models.softmax import SoftmaxRegression

__all__ = [
    "MLP",
    "Descent",
    "LinearRegression",
    "LogisticRegression",
    "PoissonRegression",
    "SoftmaxRegression",
    "descend",
]
