"""Pictures, drawn by matplotlib (``pip install 'fdcore[plot]'``).

Each function returns the `matplotlib.axes.Axes` it drew on: a new figure's, or the one passed as ``ax=``. Lines differ
in style and marker as well as in colour, so that they can be told apart in print and by everybody; the colours are
those of Okabe and Ito. The error of a difference against its step is drawn by `fdcore.StepSizeCurve.plot`.
"""

from __future__ import annotations

from fdcore.plots.entries import agreement, sparsity
from fdcore.plots.lines import along, convergence, secants
from fdcore.plots.planes import descent, gradient_arrows

__all__ = ["agreement", "along", "convergence", "descent", "gradient_arrows", "secants", "sparsity"]
