"""The error of a finite difference against its step: what too large and too small steps do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore._extras import require
from fdcore.coerce import as_vector
from fdcore.errors import ArgumentError, StepError
from fdcore.plan import Gradient
from fdcore.pointwise import Pointwise

Array = NDArray[np.float64]

_METHODS = ("forward", "central", "five-point")


@dataclass(frozen=True, eq=False)
class StepSizeCurve:
    """Error of finite differences against the step; what `step_size_curve` returns. Printing it gives a table.

    Attributes
    ----------
    steps : (k,) ndarray
        The steps tried, in the units of x, from the smallest to the largest.
    errors : dict of str to (k,) ndarray
        For each method, the error relative to the exact derivative or, where none was given, the relative change
        between one step and the next smaller one. NaN where the step vanishes against x or f is not finite.
    best : dict of str to float
        The step with the smallest error.
    predicted : dict of str to float
        The step that theory gives where f and its derivatives are of one size: proportional to eps^(1/2), eps^(1/3),
        eps^(1/5) for forward, central and five-point differences; as small as one likes for the complex step.
    exact : bool
        Whether errors are against the exact derivative.
    nfev : int
        Evaluations of f.
    """

    steps: Array
    errors: dict[str, Array]
    best: dict[str, float]
    predicted: dict[str, float]
    exact: bool
    nfev: int

    def __str__(self) -> str:
        what = "relative error" if self.exact else "relative change to the next smaller step"
        width = max(12, *(len(name) for name in self.errors))
        lines = [
            f"{what} of each method, against the step",
            "step".rjust(9) + "".join(n.rjust(width + 2) for n in self.errors),
        ]
        for k in range(0, self.steps.size, -(-self.steps.size // 17)):
            cells = (f"{values[k]:.1e}".rjust(width + 2) for values in self.errors.values())
            lines.append(f"{self.steps[k]:9.1e}" + "".join(cells))
        for label, steps in (("best", self.best), ("predicted", self.predicted)):
            lines.append(label.rjust(9) + "".join(f"{steps[name]:.1e}".rjust(width + 2) for name in self.errors))
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Draw the errors against the step, both axes logarithmic, with the predicted steps.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        if ax is None:
            pyplot = require("matplotlib.pyplot", extra="plot", feature="pictures")
            _, ax = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
        floor = np.finfo(float).eps / 4
        for (name, errors), style, marker in zip(self.errors.items(), _STYLES * 4, _MARKERS * 4, strict=False):
            seen = np.isfinite(errors)
            # An error of exactly zero has no place on a logarithmic axis: it is drawn at the bottom.
            (line,) = ax.loglog(
                self.steps[seen],
                np.maximum(errors[seen], floor),
                linestyle=style,
                marker=marker,
                markevery=4,
                markersize=4,
                label=name,
            )
            if not self.steps[0] <= self.predicted[name] <= self.steps[-1]:
                continue  # the complex step's, far to the left, would squeeze all others
            ax.axvline(self.predicted[name], color=line.get_color(), linestyle=":", linewidth=1)
        ax.plot([], [], color="0.4", linestyle=":", linewidth=1, label="predicted best step")
        ax.set_xlabel("step h")
        ax.set_ylabel("relative error" if self.exact else "relative change to the next smaller step")
        ax.set_title("rounding rules on the left, truncation on the right", fontsize="medium")
        ax.grid(visible=True, which="major", alpha=0.3)
        ax.legend(frameon=False)
        return ax


_STYLES: tuple[Any, ...] = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D")


def step_size_curve(
    f: Any,
    x: ArrayLike,
    exact: Any = None,
    *,
    methods: Sequence[str] = _METHODS,
    steps: ArrayLike | None = None,
) -> StepSizeCurve:
    """Error of finite differences for steps from 1e-16 to 1: truncation falls with the step, rounding grows.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float``, for a float x (its derivative) or for x of shape (n,) (its gradient, whose error is that of
        its worst entry against its largest).
    x : float or (n,) array_like
        Where. Never changed.
    exact : float, (n,) array_like or callable, optional
        The exact derivative or gradient, or a function of x that gives it. Without it, each estimate is compared with
        that of the next smaller step, which shows the same V wherever it is the larger step that is off.
    methods : sequence of str, default ("forward", "central", "five-point")
        As for `gradient`.
    steps : array_like, optional
        The steps to try; by default four a decade from 1e-16 to 1.

    Returns
    -------
    StepSizeCurve
        Print it, or call its ``plot()``.

    Notes
    -----
    Cost: 65 steps times the evaluations of a gradient with each method.

    Examples
    --------
    >>> import math, fdcore as fd
    >>> curve = fd.step_size_curve(math.exp, 1.0, math.e)
    >>> 1e-10 < curve.best["forward"] < 1e-6, 1e-7 < curve.best["central"] < 1e-4
    (True, True)
    """
    scalar = np.ndim(x) == 0
    point = as_vector(np.reshape(np.asarray(x), -1))
    tried = np.unique(10.0 ** np.linspace(-16, 0, 65) if steps is None else np.asarray(steps, dtype=np.float64))
    if not methods:
        raise ArgumentError("methods is empty; name at least one, such as 'central'")
    if tried.size < 2 or not np.all(tried > 0.0):
        raise ArgumentError("steps must be at least two different positive numbers")
    known = exact(x) if callable(exact) else exact
    target = None if known is None else np.reshape(np.asarray(known, dtype=np.float64), -1)
    if target is not None and target.shape != point.shape:
        raise ArgumentError(f"exact has {target.size} values for {point.size} components of x")
    errors, best, predicted, nfev = {}, {}, {}, 0
    for method in methods:
        rule = np.empty(point.size)
        if scalar:
            Pointwise(f, method=method).pointwise(point, out=np.empty(point.size), step=rule)
        else:
            Gradient(f, method=method).evaluate(point, step=rule)
        values = np.full((tried.size, point.size), np.nan)
        for k, h in enumerate(tried):
            try:
                plan = (Pointwise if scalar else Gradient)(f, method=method, step=float(h))
                plan.seen_analytic = True  # f has passed with the rule step; a large one is wrong by its truncation
                if scalar:
                    nfev += plan.pointwise(point, out=values[k])
                else:
                    values[k], spent = plan.evaluate(point)
                    nfev += spent
            except StepError:
                continue
        # The largest entry, not a sum of squares, which might overflow.
        if target is not None:
            off, size = np.max(np.abs(values - target), axis=1), float(np.max(np.abs(target)))
        else:
            off = np.full(tried.size, np.nan)
            off[1:] = np.max(np.abs(values[1:] - values[:-1]), axis=1)
            size = float(np.nanmedian(np.max(np.abs(values), axis=1)))
        errors[method] = off / size if size > 0.0 else off
        best[method] = float(tried[_lowest(errors[method], smooth=target is None)])
        predicted[method] = float(np.median(rule))
    return StepSizeCurve(tried, errors, best, predicted, target is not None, nfev)


def _lowest(errors: Array, smooth: bool) -> int:
    """Position of the smallest error; with `smooth`, of the smallest beside small ones: two may agree by luck."""
    padded = np.where(np.isfinite(errors), errors, np.inf)
    if smooth:
        padded[1:-1] = np.maximum(padded[1:-1], np.maximum(padded[:-2], padded[2:]))
    return int(np.argmin(padded))
