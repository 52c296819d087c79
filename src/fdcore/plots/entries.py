"""Pictures of many entries: analytic against numeric ones, and the pattern of a sparse matrix with its colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdcore.check import GradientCheck
from fdcore.errors import ArgumentError, ShapeError
from fdcore.plots._style import COLORS, GREY, MARKERS, axes, symmetric_log
from fdcore.sparsity import Pattern, conflict

_SHOWN = 4000
_MARKED = 20_000


def agreement(check: GradientCheck, *, ax: Any = None) -> Any:
    """Draw the analytic against the numeric entries of a gradient check; correct ones lie on the line.

    Parameters
    ----------
    check : GradientCheck
        What `check_gradient` and its like return.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Logarithmic on both sides of zero where the entries span more than a factor of 1000.

    Raises
    ------
    ArgumentError
        Nothing was compared entry by entry, as when a projected check agrees.

    Notes
    -----
    Bars are the error bars of the numeric values; most are too short to be seen. Of more than 4000 entries that agree,
    every k-th is drawn, of those that are wrong the 1000 worst.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> check = fd.check_gradient(lambda x: x @ x, lambda x: x * [2, 2, 1], np.array([1.0, -2.0, 3.0]))
    >>> ax = fd.plots.agreement(check)
    >>> {line.get_label(): line.get_ydata().tolist() for line in ax.lines if line.get_label()[0] != "_"}
    {'agree (2)': [2.0, -4.0], 'wrong (1)': [3.0]}
    """
    analytic, numeric, error = (
        np.asarray(check.columns.get(key, ()), dtype=np.float64) for key in ("analytic", "numeric", "error")
    )
    keep = np.isfinite(analytic) & np.isfinite(numeric)
    if not keep.any():
        raise ArgumentError(
            'the check compared no entries one by one, so there is nothing to draw; run it with mode="elementwise"'
        )
    analytic, numeric, error = analytic[keep], numeric[keep], error[keep]
    known = {
        verdict: {(entry.analytic, entry.numeric) for entry in entries}
        for verdict, entries in (("wrong", check.wrong), ("cannot tell", check.unclear))
    }
    pairs = list(zip(analytic.tolist(), numeric.tolist(), strict=True))
    label = np.array([next((name for name in known if pair in known[name]), "agree") for pair in pairs])
    ax = axes(ax, (5.6, 5.0))
    ax.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=1.0, zorder=0)
    size = float(np.max(np.abs(np.concatenate([analytic, numeric])))) or 1.0
    small = float(np.min(np.abs(numeric), initial=size, where=numeric != 0.0))
    if size > 1e3 * small:
        threshold = max(small, 1e-6 * size)
        symmetric_log(ax.xaxis, threshold, size)
        symmetric_log(ax.yaxis, threshold, size)
    looks = {"agree": ("o", COLORS[0], "none"), "wrong": ("X", COLORS[2], "full"), "cannot tell": ("s", GREY, "none")}
    for name, (marker, color, fill) in looks.items():
        (mine,) = np.nonzero(label == name)
        count = mine.size
        if not count:
            continue
        mine = mine[:: -(-count // _SHOWN)] if name != "wrong" else mine[:1000]
        bars = error[mine]
        ax.errorbar(
            numeric[mine],
            analytic[mine],
            xerr=np.where(np.isfinite(bars), bars, 0.0),
            fmt="none",
            ecolor=color,
            alpha=0.5,
        )
        text = f"{name} ({count})"
        ax.plot(numeric[mine], analytic[mine], marker, color=color, fillstyle=fill, markersize=6, label=text)
    ax.set_xlabel("numeric entry")
    ax.set_ylabel("analytic entry")
    ax.set_title(f"the gradient check says: {check.verdict}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def sparsity(pattern: Any, colors: Any = None, *, order: str = "best", ax: Any = None) -> Any:
    """Draw the pattern of a sparse matrix; columns of one colour share their evaluations.

    Parameters
    ----------
    pattern : scipy.sparse matrix or array, (m, n) array_like, or (rows, columns, (m, n))
        As for `color_columns`; what `detect_sparsity` returns.
    colors : (n,) array_like of int, optional
        The colour of each column, from 0 on; by default those of `color_columns`.
    order : str, default "best"
        As for `color_columns`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Each colour has a marker of its own too; after ten the markers, after seven the colours begin again. No evaluations.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> ax = fd.plots.sparsity(np.tri(6, 6, 1) * np.tri(6, 6, 1).T)
    >>> [sorted(set(line.get_xdata().tolist())) for line in ax.lines]
    [[0, 3], [1, 4], [2, 5]]
    """
    read = Pattern.of(pattern)
    m, n = read.shape
    if colors is None:
        color, _ = read.color(order)
    else:
        color = np.asarray(colors)
        if color.shape != (n,) or color.dtype.kind not in "iu" or (color.size and color.min() < 0):
            raise ShapeError(f"colors must be one number from 0 on for each of the {n} columns")
        if (row := conflict(read, color)) is not None:
            raise ArgumentError(f"the colours do not fit the pattern: two columns of one colour meet in row {row}")
    start, rows = read.columns
    column = np.repeat(np.arange(n), np.diff(start))
    count = int(color.max(initial=-1)) + 1
    ax = axes(ax, (5.6, 5.2))
    size = float(np.clip(220.0 / max(m, n, 1), 1.0, 9.0))
    marked = rows.size <= _MARKED
    for k in range(count):
        (mine,) = np.nonzero(color[column] == k)
        if mine.size == 0:
            continue
        look = MARKERS[k % len(MARKERS)] if marked else "."
        ax.plot(column[mine], rows[mine], look, color=COLORS[k % len(COLORS)], markersize=size, label=f"colour {k}")
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylim(m - 0.5, -0.5)
    ax.set_aspect("equal" if 0.2 < (m / max(n, 1)) < 5 else "auto")
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("column: component of x")
    ax.set_ylabel("row: component of f")
    ax.set_title(f"{rows.size} entries; {count} colours for {n} columns", fontsize="medium")
    if 0 < count <= 10:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")
    return ax
