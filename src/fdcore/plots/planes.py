"""Pictures of a function of two parameters: its gradient over its contours, and the way down its surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fdcore.differentiate import gradient
from fdcore.errors import ArgumentError, ShapeError
from fdcore.plots._style import COLORS, SHADES, Array, axes, limits, outlined, shaded


def gradient_arrows(
    f: Any,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    grad: Callable[..., Any] | None = None,
    arrows: int = 13,
    levels: int = 12,
    points: int = 81,
    labels: tuple[str, str] = ("x[0]", "x[1]"),
    ax: Any = None,
) -> Any:
    """Draw the gradient of a function of two variables as arrows over its contours.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float`` for x of shape (2,).
    xlim, ylim : (float, float)
        The range of x[0] and x[1].
    grad : callable, optional
        ``grad(x) -> (2,)``; by default the numeric gradient.
    arrows, levels, points : int
        Arrows along each axis, contours, and values of f along each axis that the contours are drawn from.
    labels : (str, str)
        What the axes show.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Arrows point uphill. Their lengths grow with the logarithm of the gradient's, as its own would leave all but the
    longest invisible. Cost: ``points**2`` evaluations of f and ``arrows**2`` of its gradient.

    Examples
    --------
    >>> import fdcore as fd
    >>> ax = fd.plots.gradient_arrows(lambda x: x[0] ** 2 + 3 * x[1] ** 2, (-2, 2), (-1, 1), arrows=5, points=21)
    >>> arrows = ax.collections[-1]
    >>> arrows.U[0].item() < 0 < arrows.U[-1].item()  # uphill is away from the middle
    True
    """
    x, y = _grid(xlim, points, "xlim"), _grid(ylim, points, "ylim")
    u, v = _grid(xlim, arrows, "xlim", inside=True), _grid(ylim, arrows, "ylim", inside=True)
    height = _heights(lambda a, b: f(np.array([a, b])), x, y)
    slopes = np.array([[_pair(grad, f, a, b) for a in u] for b in v])
    size = np.hypot(slopes[..., 0], slopes[..., 1])
    # One length a cell for the longest; the direction is exact, the length logarithmic.
    typical = float(np.median(size[size > 0.0])) if np.any(size > 0.0) else 1.0
    length = np.log1p(size / typical)
    length *= 0.9 * min((u[-1] - u[0]) / (arrows - 1), (v[-1] - v[0]) / (arrows - 1)) / (float(length.max()) or 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        arrow = np.where(size[..., None] > 0.0, slopes / size[..., None] * length[..., None], 0.0)
    ax = axes(ax, (6.4, 5.0))
    shaded(ax, x, y, height, levels, "f")
    ax.quiver(
        *np.meshgrid(u, v),
        arrow[..., 0],
        arrow[..., 1],
        color="black",
        angles="xy",
        scale_units="xy",
        scale=1.0,
        pivot="mid",
        width=0.004,
        path_effects=outlined(2.0),
    )
    _frame(ax, xlim, ylim, labels)
    ax.set_title("arrows: the gradient of f, uphill", fontsize="medium")
    return ax


def _pair(grad: Callable[..., Any] | None, f: Any, a: float, b: float) -> Array:
    at = np.array([a, b])
    slope: Array = np.asarray(gradient(f, at) if grad is None else grad(at), dtype=np.float64)
    if slope.shape != (2,):
        raise ShapeError(f"grad must return shape (2,), not {slope.shape}")
    return slope


def descent(
    f: Any,
    path: ArrayLike | Any,
    *,
    vary: tuple[int, int] = (0, 1),
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    surface: bool = False,
    levels: int = 16,
    points: int = 81,
    labels: tuple[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw a loss over two of its parameters, and the path of an optimiser on it.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float`` for x of shape (n,), such as a model of `fdcore.models`.
    path : (k, n) array_like or Descent
        The points visited, in order; or what `fdcore.models.descend` returns.
    vary : (int, int), default (0, 1)
        The parameters of the axes. All others have the values of the last point.
    xlim, ylim : (float, float), optional
        The range; by default that of the path and a third more on each side.
    surface : bool, default False
        A surface in three dimensions instead of contours; an `ax` of your own then has ``projection="3d"``.
    levels, points : int
        Contours, and values of f along each axis that they are drawn from.
    labels : (str, str), optional
        What the axes show; by default the places in the vector.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Cost: ``points**2`` evaluations of f, and k for a surface. A surface whose loss is positive and, at its highest,
    more than 1000 times its median is drawn by its logarithm, and says so.

    Examples
    --------
    >>> import fdcore as fd
    >>> ax = fd.plots.descent(lambda x: x[0] ** 2 + 5 * x[1] ** 2, [[2.0, 1.0], [1.6, 0.0], [1.2, 0.0]], points=21)
    >>> ax.lines[0].get_xdata().tolist()
    [2.0, 1.6, 1.2]
    """
    way = np.array(getattr(path, "path", path), dtype=np.float64)
    if way.ndim != 2 or way.shape[0] < 1 or way.shape[1] < 2:
        raise ShapeError(f"path must have shape (k, n), a point a row, with n at least 2; not {way.shape}")
    i, j = (int(place) for place in vary)
    if i == j or not (0 <= i < way.shape[1] and 0 <= j < way.shape[1]):
        raise ArgumentError(f"vary must be two different places among {way.shape[1]} parameters, not {vary}")
    xlim, ylim = xlim or _around(way[:, i]), ylim or _around(way[:, j])
    x, y = _grid(xlim, points, "xlim"), _grid(ylim, points, "ylim")

    def at(a: float, b: float) -> Any:
        point = way[-1].copy()
        point[[i, j]] = a, b
        return f(point)

    height = _heights(at, x, y)
    labels = labels or (f"x[{i}]", f"x[{j}]")
    if surface:
        ax = axes(ax, (6.4, 5.4), "3d")
        _surface(ax, x, y, height, way[:, i], way[:, j], np.array([float(at(a, b)) for a, b in way[:, [i, j]]]))
    else:
        ax = axes(ax, (6.4, 5.0))
        shaded(ax, x, y, height, levels, "loss")
        ax.plot(way[:, i], way[:, j], "-", color="white", linewidth=3.2)  # so that a dark line shows on dark ground
        ax.plot(way[:, i], way[:, j], "-o", label="path", **_line(way))
        _ends(ax, way[:, [i, j]].T)
        _frame(ax, xlim, ylim, labels, equal=False)
        ax.legend(loc="best", framealpha=0.85)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    return ax


def _surface(ax: Any, x: Array, y: Array, height: Array, *way: Array) -> None:
    if ax.name != "3d":
        raise ArgumentError('surface=True needs an ax with three dimensions: subplot_kw={"projection": "3d"}')
    seen = height[np.isfinite(height)]
    label = "loss"
    a, b, z = way
    if seen.min() > 0.0 and seen.max() > 1e3 * np.median(seen):
        height, z, label = np.log10(height), np.log10(z), "log10 of the loss"
    ax.plot_surface(*np.meshgrid(x, y), height, cmap=SHADES, alpha=0.7, linewidth=0, rstride=2, cstride=2)
    ax.plot(a, b, z, "-o", label="path", zorder=10, **_line(a))
    _ends(ax, np.array([a, b, z]))
    ax.set_zlabel(label, labelpad=9.0)
    ax.view_init(elev=35.0, azim=-60.0)
    ax.legend(loc="upper left", framealpha=0.85)


def _line(way: Array) -> dict[str, Any]:
    """A path, with a mark at each point unless there are too many."""
    return {"color": "black", "linewidth": 1.3, "markersize": 3.0, "markevery": max(1, len(way) // 60)}


def _ends(ax: Any, way: Array) -> None:
    """Mark the first and the last point of a path."""
    look = {"linestyle": "none", "markeredgecolor": "black", "zorder": 11}
    ax.plot(*way[:, :1], marker="s", color="white", markersize=8, label="start", **look)
    ax.plot(*way[:, -1:], marker="*", color=COLORS[1], markersize=14, label="end", **look)


def _around(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = (high - low) / 3.0 or max(1.0, abs(low)) / 3.0
    return low - room, high + room


def _grid(pair: Any, points: int, name: str, *, inside: bool = False) -> Array:
    low, high = limits(name, pair)
    if points < 2:
        raise ArgumentError(f"points and arrows must be at least 2, not {points!r}")
    room = 0.5 * (high - low) / points if inside else 0.0
    return np.linspace(low + room, high - room, points)


def _heights(f: Callable[[float, float], Any], x: Array, y: Array) -> Array:
    return np.array([[float(f(float(a), float(b))) for a in x] for b in y])


def _frame(
    ax: Any, xlim: tuple[float, float], ylim: tuple[float, float], labels: tuple[str, str], *, equal: bool = True
) -> None:
    """Set range and names; one scale for both axes, at which gradients stand upright on contours, if that fits."""
    ax.set_xlim(*xlim)
    ax.set_ylim(*ylim)
    ratio = (xlim[1] - xlim[0]) / (ylim[1] - ylim[0])
    if equal and 1 / 3 < ratio < 3:
        ax.set_aspect("equal")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
