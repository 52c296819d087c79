"""Figures as inline SVG, drawn by matplotlib. Nothing is computed here that was not measured before."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import GradientCheck

__all__ = ["figures"]


def figures(check: GradientCheck) -> list[tuple[str, str]]:
    """Draw what a check has to show.

    Returns
    -------
    list of (caption, svg)
    """
    matplotlib = _extras.require("matplotlib", extra="plot", feature="figures")
    figure = _extras.require("matplotlib.figure", extra="plot", feature="figures")
    drawn = []
    # The salt makes the ids of the SVG, and with them the whole page, the same each time.
    with matplotlib.rc_context({"svg.hashsalt": "fdcore", "svg.fonttype": "none"}):
        for caption, draw in (("Analytic against numeric; correct entries lie on the line.", _scatter), ("", _map)):
            canvas = figure.Figure(figsize=(5.2, 4.0), layout="constrained")
            caption = draw(check, canvas) or caption
            if canvas.axes:
                drawn.append((caption, _svg(canvas)))
    return drawn


def _scatter(check: GradientCheck, canvas: Any) -> str:
    analytic, numeric, error = (np.asarray(check.columns[key]) for key in ("analytic", "numeric", "error"))
    keep = np.isfinite(analytic) & np.isfinite(numeric) & np.isfinite(error)
    if not keep.any():
        return ""
    analytic, numeric, error = analytic[keep], numeric[keep], error[keep]
    wrong = np.abs(analytic - numeric) > 10.0 * error
    if analytic.size > 4000:  # a picture does not get clearer by more points; the wrong ones stay
        some = np.zeros(analytic.size, dtype=bool)
        some[:: analytic.size // 3000] = True
        some |= wrong & (np.cumsum(wrong) <= 1000)
        analytic, numeric, wrong = analytic[some], numeric[some], wrong[some]
    size = float(np.max(np.abs(np.concatenate([analytic, numeric])))) or 1.0
    small = float(np.min(np.abs(numeric), initial=size, where=numeric != 0.0))
    axes = canvas.add_subplot()
    axes.axline((0.0, 0.0), slope=1.0, color="0.7", linewidth=1.0, zorder=0)
    axes.plot(numeric[~wrong], analytic[~wrong], ".", color="#1a7f37", label="agree")
    if wrong.any():
        axes.plot(numeric[wrong], analytic[wrong], "x", color="#cf222e", label="wrong")
        axes.legend(frameon=False)
    if size > 1e3 * small:
        threshold = max(small, 1e-6 * size)
        axes.set_xscale("symlog", linthresh=threshold)
        axes.set_yscale("symlog", linthresh=threshold)
    axes.set_xlabel("numeric")
    axes.set_ylabel("analytic")
    return ""


def _map(check: GradientCheck, canvas: Any) -> str:
    """The worst array that has a shape to show and of which every entry is known."""
    index = np.asarray(check.columns["index"])
    start = 0
    best: tuple[float, Any, int] | None = None
    for parameter in check.parameters:
        size = math.prod(parameter.shape)
        inside = int(np.count_nonzero((index >= start) & (index < start + size)))
        if size > 1 and inside == size <= 250_000 and (best is None or parameter.z > best[0]):
            best = (parameter.z, parameter, start)
        start += size
    if best is None:
        return ""
    _, parameter, start = best
    size = math.prod(parameter.shape)
    own = (index >= start) & (index < start + size)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(np.asarray(check.columns["analytic"]) - np.asarray(check.columns["numeric"]))
        z = np.log10(np.maximum((apart / np.asarray(check.columns["error"]))[own], 1e-3))
    grid = z.reshape(parameter.shape if len(parameter.shape) > 1 else (1, -1))
    grid = grid.reshape(-1, grid.shape[-1])
    axes = canvas.add_subplot()
    image = axes.imshow(grid, aspect="auto", cmap="RdYlGn_r", vmin=-1.0, vmax=3.0, interpolation="nearest")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("last axis")
    axes.set_ylabel("the other axes")
    canvas.colorbar(image, label="log10 of z", extend="both")
    return f"{parameter.name}: how many error bars analytic and numeric are apart; above 1 (ten bars) is wrong."


def _svg(canvas: Any) -> str:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
