"""What all pictures share: where they are drawn, and how lines are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore._extras import require
from fdcore.errors import ArgumentError

Array = NDArray[np.float64]

# M. Okabe, K. Ito, "Color Universal Design", 2008; the order alternates dark and light for greyscale.
COLORS = ("#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#000000")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
GREY = "0.45"
SHADES = "cividis_r"  # light is low; its lightness rises evenly, so it reads the same in greyscale


def axes(ax: Any, size: tuple[float, float], projection: str | None = None) -> Any:
    """Give the axes to draw on: those passed, or those of a new figure."""
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", extra="plot", feature="pictures")
    _, ax = pyplot.subplots(figsize=size, layout="constrained", subplot_kw={"projection": projection})
    return ax


def number(value: float) -> str:
    """Four digits, without an exponent where that is as short."""
    return f"{value:.4g}"


def limits(name: str, pair: Any) -> tuple[float, float]:
    """Two finite numbers, the smaller first."""
    try:
        low, high = (float(value) for value in pair)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} must be (low, high), two numbers; not {pair!r}") from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ArgumentError(f"{name} must be (low, high) with low < high, both finite; not {pair!r}")
    return low, high


def shaded(ax: Any, x: Array, y: Array, values: Array, levels: int, label: str) -> None:
    """Fill the bands between contours, each with a shade of its own, and say in a bar which is which."""
    edges = above(values, levels)
    if edges.size > 1:
        colors = require("matplotlib.colors", extra="plot", feature="pictures")
        look = {"cmap": SHADES, "norm": colors.BoundaryNorm(edges, 256, extend="both"), "extend": "both"}
        filled = ax.contourf(x, y, values, levels=edges, alpha=0.75, **look)
        ax.contour(x, y, values, levels=edges, colors="black", linewidths=0.4, alpha=0.5)
        ax.figure.colorbar(filled, ax=ax, label=label, format=lambda value, _: f"{value:.3g}")


def outlined(width: float) -> list[Any]:
    """A white edge, so that dark arrows show on dark ground."""
    effects = require("matplotlib.patheffects", extra="plot", feature="pictures")
    return [effects.withStroke(linewidth=width, foreground="white")]


def symmetric_log(axis: Any, threshold: float, size: float) -> None:
    """Logarithmic on both sides of zero, with few enough ticks to keep their labels apart."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("symlog", linthresh=threshold)
    first, last = int(np.ceil(np.log10(threshold))) + 1, int(np.floor(np.log10(size)))
    powers = np.arange(last, first - 1, -max(1, -(-(last - first + 1) // 2)))
    ticks = 10.0 ** powers.astype(float)
    axis.set_ticks([*(-ticks), 0.0, *ticks])
    axis.set_minor_locator(require("matplotlib.ticker", extra="plot", feature="pictures").NullLocator())


def above(values: Array, levels: int) -> Array:
    """Levels for contours: even where values are of one size, closer and closer to the minimum where they are not."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ArgumentError("f is nowhere finite in this range; move it")
    low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.array([low])
    height = np.sort(finite - low)
    typical = height[int(0.02 * height.size)]
    if typical > 0.05 * (high - low) or typical <= 0.0:
        return np.linspace(low, high, levels + 2)[1:-1]
    return low + np.geomspace(typical, high - low, levels + 1)[:-1]
