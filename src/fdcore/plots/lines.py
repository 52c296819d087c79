"""Pictures of curves: secants at a point, a loss along one weight, losses on the way down."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fdcore.differentiate import derivative, gradient
from fdcore.errors import ArgumentError
from fdcore.plots._style import COLORS, GREY, MARKERS, STYLES, Array, axes, limits, number
from fdcore.tree import flatten

_SECANTS = {"forward": (0, 1), "backward": (-1, 0), "central": (-1, 1)}


def secants(
    f: Any,
    x: float,
    h: float,
    *,
    methods: Sequence[str] = ("forward", "backward", "central"),
    exact: float | None = None,
    ax: Any = None,
) -> Any:
    """Draw a function at a point, its tangent, and the lines whose slopes finite differences are.

    Parameters
    ----------
    f : callable
        ``f(x) -> float`` for a float x.
    x : float
        The point.
    h : float
        The step, in the units of x; large enough to be seen, such as 0.5.
    methods : sequence of {"forward", "backward", "central"}
        The secants to draw.
    exact : float, optional
        The derivative at x; by default ``derivative(f, x)``, which at this size of picture is the same.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Cost: 205 evaluations of f. The legend has each slope and how far it is from the derivative.

    Examples
    --------
    >>> import math, fdcore as fd
    >>> ax = fd.plots.secants(math.sin, 0.8, 0.6)
    >>> [text.get_text().split(":")[0] for text in ax.get_legend().get_texts()]
    ['f', 'tangent', 'forward', 'backward', 'central']
    """
    unknown = [name for name in methods if name not in _SECANTS]
    if unknown or not methods:
        raise ArgumentError(f"methods must be some of {', '.join(map(repr, _SECANTS))}; not {list(methods)}")
    if not (np.isfinite(h) and h > 0.0):
        raise ArgumentError(f"h must be a positive number, not {h!r}")
    x = float(x)
    value, ahead, behind = (float(f(at)) for at in (x, x + h, x - h))
    at = {-1: (x - h, behind), 0: (x, value), 1: (x + h, ahead)}
    slope = float(derivative(f, x) if exact is None else exact)
    ax = axes(ax, (6.4, 4.6))
    grid = np.linspace(x - 1.6 * h, x + 1.6 * h, 201)
    curve = np.array([float(f(float(g))) for g in grid])
    ax.plot(grid, curve, color="black", linewidth=2.0, label="f")
    ends = np.array([grid[0], grid[-1]])
    ax.plot(ends, value + slope * (ends - x), color=GREY, linewidth=1.2, label=f"tangent: slope {number(slope)}")
    for k, name in enumerate(methods):
        (a, fa), (b, fb) = (at[end] for end in _SECANTS[name])
        rise = (fb - fa) / (b - a)
        label = f"{name}: slope {number(rise)}, off by {abs(rise - slope):.1e}"
        style = STYLES[1 + k % 3]
        ax.plot(ends, fa + rise * (ends - a), style, color=COLORS[k], linewidth=1.7, label=label)
        ax.plot([a, b], [fa, fb], MARKERS[k], color=COLORS[k], markersize=11 - 2.5 * k, fillstyle="none")
    ax.plot([x], [value], "o", color="black", markersize=4)
    seen = curve[np.isfinite(curve)]
    room = 0.3 * (float(np.ptp(seen)) or 1.0) if seen.size else 1.0
    if seen.size:
        ax.set_ylim(float(seen.min()) - room, float(seen.max()) + room)
    ax.set_xlim(grid[0], grid[-1])
    ax.set_xticks([x - h, x, x + h], [f"x - h\n{number(x - h)}", f"x\n{number(x)}", f"x + h\n{number(x + h)}"])
    ax.set_xlabel(f"x, step h = {number(h)}")
    ax.set_ylabel("f(x)")
    ax.legend(fontsize="small", framealpha=0.85, edgecolor="none")
    return ax


def along(
    f: Any,
    x: Any,
    entry: int | str = 0,
    *,
    span: tuple[float, float] | None = None,
    points: int = 201,
    slope: float | None = None,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw a loss as a function of one parameter, the others fixed.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float``.
    x : array_like or tree
        The parameters; a dict, list, tuple or dataclass of arrays as for `gradient`.
    entry : int or str, default 0
        Which one to vary: its place in the flat vector, or its name, such as ``"layer1.W[3, 7]"``.
    span : (float, float), optional
        Range of values; by default around the present one by as much as it is large, at least 1.
    points : int, default 201
        How many values.
    slope : float, optional
        Derivative to draw as the tangent at the present value, such as an analytic gradient's; by default the numeric
        one.
    label : str, optional
        For the legend, if several curves go into one picture.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Cost: `points` evaluations of f and a numeric gradient of one variable.

    Examples
    --------
    >>> import fdcore as fd
    >>> ax = fd.plots.along(lambda p: p["w"] ** 2 + p["b"], {"w": 3.0, "b": 1.0}, "w", span=(-4, 4))
    >>> ax.get_xlabel(), ax.lines[0].get_ydata()[0].item()
    ('w', 17.0)
    """
    vector, tree = flatten(x)
    place = _place(tree, entry)
    present = float(vector[place])
    name = tree.name(place) or "x"
    if points < 2:
        raise ArgumentError(f"points must be at least 2, not {points!r}")
    if span is None:
        reach = max(1.0, abs(present))
        low, high = present - reach, present + reach
    else:
        low, high = limits("span", span)

    def at(value: float) -> float:
        moved = vector.copy()
        moved[place] = value
        return float(f(moved if tree.is_array and moved.ndim == np.ndim(x) else tree.unflatten(moved)))

    grid = np.linspace(low, high, points)
    height = np.array([at(value) for value in grid])
    here = at(present)
    steep = float(gradient(lambda one: at(float(one[0])), [present])[0]) if slope is None else float(slope)
    ax = axes(ax, (6.4, 4.0))
    style = len(ax.lines) // 3
    (line,) = ax.plot(
        grid, height, STYLES[style % 4], color=COLORS[style % len(COLORS)], linewidth=1.8, label=label or "loss"
    )
    color = line.get_color()
    reach = 0.18 * (high - low)
    ends = np.array([present - reach, present + reach])
    ax.plot(ends, here + steep * (ends - present), color=GREY, linewidth=1.2, label=f"tangent: slope {number(steep)}")
    ax.plot(
        [present], [here], MARKERS[style % len(MARKERS)], color=color, markersize=7, label=f"now: {number(present)}"
    )
    ax.set_xlabel(name)
    ax.set_ylabel("loss, the other parameters fixed")
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False)
    return ax


def _place(tree: Any, entry: int | str) -> int:
    """Place of an entry in the flat vector, by number or name."""
    if isinstance(entry, str):
        for place in range(tree.size):
            if tree.name(place) == entry:
                return place
        some = ", ".join(tree.name(place) for place in range(min(tree.size, 6)))
        raise ArgumentError(f"entry {entry!r} is not among the parameters, which are called {some}, ...")
    if not -tree.size <= entry < tree.size:
        raise ArgumentError(f"entry must be a place among {tree.size} parameters, not {entry}")
    return int(entry) % int(tree.size)


def convergence(
    runs: Mapping[str, Any],
    *,
    best: float | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
    ax: Any = None,
) -> Any:
    """Draw losses against steps, such as those of full-batch and mini-batch gradient descent.

    Parameters
    ----------
    runs : mapping of str to (k,) array_like, (steps, losses) or Descent
        The losses of each run under its name; or what `fdcore.models.descend` returns. Give steps too where they are
        not 0, 1, 2, ...: mini-batches and full batches compare by epochs (passes over the data), not by updates.
    best : float, optional
        The lowest loss there is, if known: a line.
    xlabel, ylabel : str
        What the axes show.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Its y axis is logarithmic if all losses are positive and differ by more than a factor of 10.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> ax = fd.plots.convergence({"full": 0.5 ** np.arange(9), "mini": ([0, 0.5, 1.0], [1.0, 0.4, 0.2])})
    >>> [len(line.get_xdata()) for line in ax.lines], ax.get_yscale()
    ([9, 3], 'log')
    """
    if not runs:
        raise ArgumentError("runs is empty; give losses under a name")
    curves = {name: _run(name, run) for name, run in runs.items()}
    ax = axes(ax, (6.4, 4.0))
    looks = itertools.cycle(zip(COLORS, STYLES * 2, MARKERS, strict=False))
    for (name, (steps, losses)), (color, style, marker) in zip(curves.items(), looks, strict=False):
        every = max(1, steps.size // 12)
        dense = steps.size > 150
        ax.plot(
            steps,
            losses,
            "-" if dense else style,
            color=color,
            linewidth=0.9 if dense else 1.6,
            marker=marker,
            markersize=5,
            markevery=every,
            label=name,
        )
    if best is not None:
        ax.axhline(best, color="black", linestyle=":", linewidth=1.2, label=f"lowest: {number(best)}")
    seen = np.concatenate([losses[np.isfinite(losses)] for _, losses in curves.values()])
    if seen.size and seen.min() > 0.0 and seen.max() > 10.0 * seen.min():
        ax.set_yscale("log")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(visible=True, which="major", alpha=0.3)
    ax.legend(frameon=False)
    return ax


def _run(name: str, run: Any) -> tuple[Array, Array]:
    """Steps and losses of one run."""
    if hasattr(run, "epochs") and hasattr(run, "losses"):
        run = (run.epochs, run.losses)
    if isinstance(run, tuple) and len(run) == 2 and np.ndim(run[0]) == np.ndim(run[1]) == 1:
        steps, losses = (np.asarray(part, dtype=np.float64) for part in run)
    else:
        losses = np.asarray(run, dtype=np.float64)
        steps = np.arange(losses.size, dtype=np.float64)
    if losses.ndim != 1 or losses.size == 0 or steps.shape != losses.shape:
        raise ArgumentError(
            f"run {name!r} must be losses of shape (k,), or (steps, losses) of one length; "
            f"it has shapes {steps.shape} and {losses.shape}"
        )
    return steps, losses
