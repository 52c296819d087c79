"""The Taylor remainder test as text, data, figure and page."""

from __future__ import annotations

import html as markup
import math
from typing import Any

import numpy as np

from fdcore import _extras
from fdcore.check import TaylorTest
from fdcore.check.judge import LIMIT
from fdcore.check.taylor import VISIBLE
from fdcore.report import figures
from fdcore.report.data import plain
from fdcore.report.html import render

__all__ = ["as_data", "fragment", "page", "paint", "text"]

LINES = 25
WIDTH = 40  # columns of the plot beside the table

COLUMNS = ("h", "remainder", "rounding", "slope", "")


def rows(test: TaylorTest) -> list[tuple[str, ...]]:
    """Step, remainder, what rounding can make, slope from the step before, and what governs there."""
    found: list[tuple[str, ...]] = []
    for k, (h, remainder, floor) in enumerate(zip(test.h, test.remainder, test.floor, strict=True)):
        slope = math.nan
        if k and remainder > 0.0 and test.remainder[k - 1] > 0.0 and math.isfinite(remainder / test.remainder[k - 1]):
            slope = math.log(remainder / test.remainder[k - 1]) / math.log(h / test.h[k - 1])
        found.append(
            (
                f"{h:.2e}",
                f"{remainder:.2e}",
                f"{floor:.1e}",
                "" if math.isnan(slope) else f"{slope:.2f}",
                _region(test, k),
            )
        )
    return found


def _region(test: TaylorTest, k: int) -> str:
    """What the remainder is made of at a step."""
    if not math.isfinite(test.remainder[k]):
        return "not finite"
    if test.remainder[k] <= test.floor[k]:
        return "rounding only"
    if test.remainder[k] <= VISIBLE * test.floor[k]:
        return "mostly rounding"
    # Above the steps that were used there is more than a polynomial of the degree that was fitted.
    if test.used.any() and not test.used[k] and k < int(np.argmax(test.used)):
        return "higher terms"
    return ""


def text(test: TaylorTest) -> str:
    """Verdict, then a line for each step with its place in a plot: o remainder, : slope as it should be, . rounding."""
    table = rows(test)
    keep = table[: LINES - 2] if len(table) <= LINES - 2 else [*table[: LINES - 3]]
    left = len(table) - len(keep)
    marks = _marks(test)
    lines = [
        f"{test.verdict}: {test.message}",
        f"{'h':>10s}{'remainder':>12s}{'rounding':>11s}{'slope':>8s}  o remainder  : slope {test.expected}  . rounding",
    ]
    for row, plot in zip(keep, marks, strict=False):
        lines.append(f"{row[0]:>10s}{row[1]:>12s}{row[2]:>11s}{row[3]:>8s}  |{plot}|  {row[4]}".rstrip())
    return "\n".join([*lines, *([f"... and {left} smaller steps"] if left else [])])


def _marks(test: TaylorTest) -> list[str]:
    """One line of the plot for each step, on a logarithmic scale."""
    line = _line(test)
    tops = [v for v in (*test.remainder, *test.floor) if math.isfinite(v) and v > 1e-290]
    if not tops:
        return [" " * WIDTH for _ in test.h]
    low, high = math.log10(min(tops)), math.log10(max(tops))

    def place(value: float) -> int | None:
        if not math.isfinite(value) or value <= 0.0:
            return None
        at = round((math.log10(value) - low) / max(high - low, 1e-9) * (WIDTH - 1))
        return at if 0 <= at < WIDTH else None

    drawn = []
    for k in range(test.h.size):
        cells = [" "] * WIDTH
        for mark, value in ((".", test.floor[k]), (":", line[k]), ("o", test.remainder[k])):
            at = place(value)
            if at is not None:
                cells[at] = mark
        drawn.append("".join(cells))
    return drawn


def _line(test: TaylorTest) -> np.ndarray[Any, Any]:
    """Remainders of slope `expected`, through the largest step where one can be seen and was used."""
    seen = np.isfinite(test.remainder) & (test.remainder > VISIBLE * test.floor)
    if not seen.any():
        return np.full(test.h.size, math.nan)
    both = seen & test.used
    anchor = int(np.argmax(both if both.any() else seen))
    return np.asarray(test.remainder[anchor] * (test.h / test.h[anchor]) ** test.expected)


def paint(test: TaylorTest, ax: Any = None) -> Any:
    """Draw it; returns the axes."""
    if ax is None:
        pyplot = _extras.require("matplotlib.pyplot", extra="plot", feature="Taylor plots")
        ax = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")[1]
    _paint(test, ax, ink="0.25")
    return ax


def _paint(test: TaylorTest, ax: Any, ink: str) -> None:
    finite = np.isfinite(test.remainder) & (test.remainder > 0.0)
    h, remainder, floor = test.h, test.remainder, test.floor
    line = _line(test)
    shown = finite & (floor > 1e-290)
    low = 0.03 * float(np.min(floor[shown])) if shown.any() else 1e-20
    seen = finite & (remainder > VISIBLE * floor)
    ax.fill_between(h, np.maximum(floor, low), low, color=figures.GREY, alpha=0.25, linewidth=0.0)
    ax.loglog(h, line, "--", color=figures.GREY, label=f"slope {test.expected}, as it should be")
    ax.loglog(h[finite], remainder[finite], "o", ms=5, color=figures.BLUE, mfc="none", label="remainder")
    used = finite & test.used
    ax.loglog(h[used], remainder[used], "o", ms=5, color=figures.BLUE, label="remainder, used")
    lacking = abs(test.numeric - test.analytic)
    if test.verdict == "wrong" and LIMIT * test.error < lacking < math.inf:
        share = f" ({lacking / abs(test.analytic):.1g} of it)" if test.analytic else ""
        ax.loglog(h, h * lacking, "-", color=figures.RED, label=f"slope 1: what the gradient lacks{share}")
    ax.set_ylim(bottom=low)
    top = float(np.max(remainder[finite])) if finite.any() else 1.0
    ax.set_ylim(top=10.0 * max(top, 10.0 * low))
    note = {"color": ink, "fontsize": 9}
    middle = h[len(h) * 3 // 4]
    ax.annotate(
        "rounding of f", (middle, math.sqrt(max(float(np.interp(-math.log(middle), -np.log(h), floor)), low) * low)),
        ha="center", va="center", **note,
    )  # fmt: skip
    above = seen & ~test.used & (h > (h[test.used].max() if test.used.any() else math.inf))
    if above.any():
        first = float(h[above].min())
        ax.axvspan(first / math.sqrt(3.0), float(h.max()) * 1.5, color=figures.ORANGE, alpha=0.15, linewidth=0.0)
        ax.annotate(
            "higher\nterms", (math.sqrt(first * float(h.max())), 0.04), xycoords=("data", "axes fraction"),
            ha="center", va="bottom", **note,
        )  # fmt: skip
    ax.set_xlim(float(h.min()) / 2.0, float(h.max()) * 1.5)
    ax.set_xlabel("step h")
    ax.set_ylabel("|f(x + h d) - polynomial|")
    ax.legend(loc="upper left", frameon=False, fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    _plain_ticks(ax)


def _plain_ticks(ax: Any) -> None:
    """Powers of ten as text, and few of them, so that no label meets another."""
    ticker = _extras.require("matplotlib.ticker", extra="plot", feature="Taylor plots")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(ticker.LogLocator(numticks=7))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.0e}"))


def as_data(test: TaylorTest) -> dict[str, Any]:
    """Everything as dicts, lists, strings and finite numbers."""
    return {"format": "fdcore.taylor", "version": 1, **plain(test)}


def page(test: TaylorTest) -> str:
    """A whole page."""
    return _render(test, whole=True)


def fragment(test: TaylorTest) -> str:
    """The body alone, without the figure; the text in a box where that does not work. Never raises."""
    try:
        return _render(test, whole=False)
    except Exception:
        return f"<pre>{markup.escape(text(test))}</pre>"


def _render(test: TaylorTest, *, whole: bool) -> str:
    caption = (
        f"Remainder against step. A right derivative follows the line of slope {test.expected}; "
        "at small steps only rounding is left, at large ones higher terms govern."
    )
    return render(
        "taylor.html",
        whole=whole,
        drawn=(lambda: [figures.draw(caption, lambda ax: _paint(test, ax, figures.INK), 1)]) if whole else None,
        title=f"Taylor test: {test.verdict}",
        verdict=test.verdict,
        reason=test.message,
        columns=COLUMNS,
        rows=rows(test),
    )
