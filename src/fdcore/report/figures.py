"""Figures as inline SVG: their look in a page, light or dark, and what a check has to show."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdcore import _extras
from fdcore.check import GradientCheck, Parameter

__all__ = ["BLUE", "GREY", "INK", "ORANGE", "RED", "Figure", "draw", "of_check"]

Vector = NDArray[np.float64]

# Stands for the colour of the page's own text, and becomes `currentColor` in the SVG.
INK = "#010203"
# From Okabe and Ito's palette, for all eyes; readable on white and on black.
BLUE, ORANGE, RED, GREY = "#2a8bc9", "#c98400", "#d55e00", "#888888"

POINTS = 3000  # of a scatter plot: it does not get clearer by more
MAP = 250_000  # entries of a map


class Figure(NamedTuple):
    """A picture with what it shows in words."""

    caption: str
    svg: str


def draw(caption: str, painter: Callable[[Any], None], number: int, size: tuple[float, float] = (5.2, 4.0)) -> Figure:
    """Let `painter` draw on a fresh matplotlib figure.

    Parameters
    ----------
    caption : str
        Also what a screen reader says; must be free of markup.
    painter : callable
        Gets the axes.
    number : int
        Keeps the ids of several figures of a page apart.
    size : (width, height) in inches

    Returns
    -------
    Figure
        Its SVG has text as text, no size of its own, and is the same each time.
    """
    matplotlib = _extras.require("matplotlib", extra="plot", feature="figures")
    figure = _extras.require("matplotlib.figure", extra="plot", feature="figures")
    style = {
        "svg.hashsalt": "fdcore",
        "svg.fonttype": "none",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
        "font.size": 10.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "image.interpolation": "nearest",
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style would not fit the page
        matplotlib.rcParams.update(style)
        canvas = figure.Figure(figsize=size, layout="constrained")
        painter(canvas.add_subplot())
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return Figure(caption, _inline(buffer.getvalue(), caption, f"figure{number}"))


def _inline(svg: str, caption: str, name: str) -> str:
    """Make a file's SVG one of several in a page: own ids, the page's colour, a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', lambda match: f"{match[0]}{name}-", svg)
    svg = svg.replace(INK, "currentColor")
    # Matplotlib writes a full list of fonts with each text, which the page has once.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    head, rest = svg[: svg.index(">")], svg[svg.index(">") :]
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    title = f'<title id="{name}-title">{_escape(caption)}</title>'
    return f'{head} role="img" aria-labelledby="{name}-title">{title}{rest[1:]}'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def of_check(check: GradientCheck) -> list[Figure]:
    """Analytic against numeric, and the map of errors of the worst array of which every entry is known.

    Returns
    -------
    list of Figure
        Empty where nothing was compared entry by entry.
    """
    drawn: list[Figure] = []
    for make in (_scatter, _map):
        found = make(check, len(drawn) + 1)
        if found is not None:
            drawn.append(found)
    return drawn


def _scatter(check: GradientCheck, number: int) -> Figure | None:
    analytic, numeric, error = _columns(check)
    kinds = _kinds(check, analytic, numeric)
    keep = np.isfinite(analytic) & np.isfinite(numeric)
    if not keep.any():
        return None
    chosen = np.flatnonzero(keep)
    if chosen.size > POINTS:  # the wrong ones stay, as far as that goes
        first = chosen[kinds[chosen] > 0][: POINTS // 2]
        rest = chosen[kinds[chosen] == 0]
        chosen = np.concatenate([first, rest[:: max(1, rest.size // (POINTS // 2))]])
    analytic, numeric, error, kinds = analytic[chosen], numeric[chosen], error[chosen], kinds[chosen]
    both = np.abs(np.concatenate([analytic, numeric]))
    size = float(both.max()) or 1.0
    small = float(np.min(both, initial=size, where=both > 0.0))

    def paint(axes: Any) -> None:
        axes.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=1.0, zorder=0)
        marks = ((0, "agrees", "o", BLUE), (1, "cannot tell", "D", ORANGE), (2, "wrong", "X", RED))
        for kind, label, marker, colour in marks:
            own = kinds == kind
            if own.any():
                bars = np.where(np.isfinite(error[own]), np.minimum(error[own], 2.0 * size), 0.0)
                axes.errorbar(
                    numeric[own], analytic[own], xerr=bars if kind else None, fmt=marker, color=colour, markersize=5,
                    markeredgewidth=0.0, elinewidth=1.0, label=f"{label} ({int(own.sum())})", zorder=2 + kind,
                )  # fmt: skip
        if size > 1e3 * small:
            threshold = 10.0 ** math.ceil(math.log10(max(small, 1e-4 * size)))
            for set_scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
                set_scale("symlog", linthresh=threshold)
                _decades(axis, threshold, size)
        else:
            axes.locator_params(nbins=6)
            axes.ticklabel_format(useOffset=False, scilimits=(-3, 4))
        axes.set_xlabel("numeric, ± error bar")
        axes.set_ylabel("analytic")
        canvas = axes.figure
        canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=9)

    return draw("Analytic against numeric: entries on the line agree.", paint, number)


def _decades(axis: Any, threshold: float, size: float) -> None:
    """Label zero and every decade, or every second or third: as many as have room beside each other."""
    ticker = _extras.require("matplotlib.ticker", extra="plot", feature="figures")
    decades = math.ceil(math.log10(size / threshold)) + 1
    positive = [threshold * 10.0**k for k in range(0, decades + 1, math.ceil(decades / 3))]
    axis.set_major_locator(ticker.FixedLocator([-t for t in reversed(positive)] + [0.0, *positive]))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.0e}" if value else "0"))


def _columns(check: GradientCheck) -> tuple[Vector, Vector, Vector]:
    analytic, numeric, error = (np.asarray(check.columns[key], dtype=float) for key in ("analytic", "numeric", "error"))
    return analytic, numeric, error


def _kinds(check: GradientCheck, analytic: Vector, numeric: Vector) -> NDArray[np.intp]:
    """0 for what agrees, 1 for what is unclear, 2 for what is wrong, recognised by the two values."""
    kinds = np.zeros(analytic.size, dtype=int)
    for kind, entries in ((1, check.unclear), (2, check.wrong)):
        pairs = {(entry.analytic, entry.numeric) for entry in entries}
        if pairs:
            kinds[[pair in pairs for pair in zip(analytic.tolist(), numeric.tolist(), strict=True)]] = kind
    return kinds


def _worst_array(check: GradientCheck) -> tuple[Parameter, tuple[int, ...], int] | None:
    """The array with the largest z of which every entry was compared; its shape, with pairs if complex, and start."""
    index = np.sort(np.asarray(check.columns["index"]))
    # A complex entry is two numbers: where that is so more of them were compared than the shape has.
    shapes = [(*p.shape, 2) if p.checked > math.prod(p.shape) else p.shape for p in check.parameters]
    if sum(map(math.prod, shapes)) != check.size:
        return None
    best, start = None, 0
    for parameter, shape in zip(check.parameters, shapes, strict=True):
        size = math.prod(shape)
        inside = int(np.searchsorted(index, start + size) - np.searchsorted(index, start))
        if size > 1 and inside == size <= MAP and (best is None or parameter.z > best[0].z):
            best = (parameter, shape, start)
        start += size
    return best


def _map(check: GradientCheck, number: int) -> Figure | None:
    best = _worst_array(check)
    if best is None:
        return None
    parameter, shape, start = best
    size = math.prod(shape)
    index = np.asarray(check.columns["index"])
    own = np.flatnonzero((index >= start) & (index < start + size))
    own = own[np.argsort(index[own])]
    analytic, numeric, error = (column[own] for column in _columns(check))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(analytic - numeric) / error
    z[np.isnan(z) & (analytic == numeric)] = 0.0
    # Of what is unclear nothing shall seem to agree.
    z[np.isnan(z) | (_kinds(check, analytic, numeric) == 1)] = -1.0
    if len(shape) > 1:
        last = "real and imaginary part" if len(shape) > len(parameter.shape) else "last axis"
        grid, words = z.reshape(-1, shape[-1]), (last, "the other axes")
    else:  # a vector is folded, so that its entries can be seen
        width = size if size <= 40 else 2 ** math.ceil(math.log2(math.sqrt(2.0 * size)))
        grid = np.full((math.ceil(size / width), width), np.nan)
        grid.reshape(-1)[:size] = z
        words = ("entry" if grid.shape[0] == 1 else f"entry modulo {width}", f"entry / {width}")

    def paint(axes: Any) -> None:
        colors = _extras.require("matplotlib.colors", extra="plot", feature="figures")
        steps = [0.0, 1.0, 3.0, 10.0, 100.0, 1e4, 1e8]
        palette = colors.ListedColormap(["#bcd9ea", "#7fb6d6", "#2a8bc9", "#f5b041", "#e36414", "#9a031e"])
        palette = palette.with_extremes(over="#5f0f40", under=GREY, bad="none")
        image = axes.imshow(grid, aspect="auto", cmap=palette, norm=colors.BoundaryNorm(steps, 6))
        axes.locator_params(nbins=6, integer=True)
        axes.set_xlabel(words[0])
        axes.set_ylabel(words[1] if grid.shape[0] > 1 else "")
        if grid.shape[0] == 1:
            axes.set_yticks([])
        bar = axes.figure.colorbar(image, ax=axes, extend="max", ticks=steps, spacing="uniform")
        bar.ax.set_yticklabels([f"{step:g}" for step in steps])
        bar.set_label("z = |analytic - numeric| / error bar")

    name = "" if parameter.name == "x" else f" of {_printable(parameter.name)}"
    return draw(f"Error map{name}: blue entries agree, beyond z = 10 they are wrong; grey: cannot tell.", paint, number)


def _printable(name: str) -> str:
    from fdcore.report.fields import clean

    return clean(name)
