"""Plain gradient descent that notes its way down: for pictures and lessons, not for optimising."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdcore.errors import ArgumentError, ArgumentTypeError
from fdcore.models._base import Array, Model
from fdcore.plan import Gradient
from fdcore.progress import showing
from fdcore.tree import flatten


@dataclass(frozen=True, eq=False)
class Descent:
    """The way down that `descend` took.

    Attributes
    ----------
    path : (k + 1, n) ndarray
        The parameters before the first step and after each, as flat vectors.
    losses : (k + 1,) ndarray
        The whole loss at each of them, whatever the batches.
    epochs : (k + 1,) ndarray
        How often all rows have been looked at until then; without batches, the number of the step.
    diverged : bool
        The loss was no longer finite, or a million times the first one, and the walk ended there.
    final : ndarray or tree
        The last parameters, in the form of the first.
    """

    path: Array
    losses: Array
    epochs: Array
    diverged: bool
    final: Any

    def __str__(self) -> str:
        end = "diverged" if self.diverged else f"{self.losses[-1]:.6g}"
        return f"descent: {len(self.path) - 1} steps, {self.epochs[-1]:.4g} epochs, loss {self.losses[0]:.6g} -> {end}"


def descend(
    f: Any,
    x: Any,
    *,
    grad: Callable[..., Any] | None = None,
    rate: float = 0.1,
    steps: int = 100,
    batch: int | None = None,
    seed: int = 0,
    progress: Any = None,
) -> Descent:
    """Gradient descent, full batch or by mini-batches, noting each step: for pictures of a way down.

    To find a minimum, give a real optimiser the gradient instead: ``scipy.optimize.minimize(f, x, jac=...)``.

    Parameters
    ----------
    f : callable or model
        ``f(x) -> float``.
    x : array_like or tree
        Where to start; for a model also its named parameters. Never changed.
    grad : callable, optional
        ``grad(x)``; by default the model's own gradient, and the numeric one for any other f.
    rate : float, default 0.1
        Each step is ``-rate * gradient``.
    steps : int, default 100
    batch : int, optional
        Rows of the model's data that each step looks at: the rows are shuffled, dealt out in batches, and shuffled anew
        when they are used up. The last batch of a shuffle may be smaller. The loss of a batch is `f.batch(rows)`. For
        models, without `grad`.
    seed : int, default 0
        Of the shuffling.
    progress : True or callable, optional
        As for `fdcore.gradient`; what is counted is steps.

    Returns
    -------
    Descent

    Raises
    ------
    ArgumentError, ArgumentTypeError
        An argument that cannot be used.

    Notes
    -----
    Cost: a gradient and a whole loss for each step. Memory: all the parameters visited.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> model = fd.models.LinearRegression([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0])
    >>> full = fd.models.descend(model, np.zeros(2), rate=0.1, steps=400)
    >>> full.final.round(3), bool(full.losses[-1] < 1e-9)
    (array([1., 2.]), True)
    >>> mini = fd.models.descend(model, np.zeros(2), rate=0.05, steps=400, batch=2, seed=1)
    >>> float(mini.epochs[-1]), mini.final.round(2)
    (200.0, array([1., 2.]))
    """
    if not 0.0 < rate < np.inf:
        raise ArgumentError(f"rate must be a number > 0, not {rate!r}")
    if operator.index(steps) < 0:
        raise ArgumentError(f"steps must be 0 or more, not {steps}")
    if not callable(f):
        raise ArgumentTypeError(f"f must be callable, not {type(f).__name__}")
    model = f if isinstance(f, Model) else None
    if model is None:
        start, tree = flatten(x)
        is_vector = tree.is_array and np.ndim(x) == 1

        shaped: Callable[[Array], Any] = (lambda v: v) if is_vector else tree.unflatten
    else:
        start = np.array(model.flatten(x), dtype=np.float64)
        shaped = (lambda v: v) if np.ndim(x) == 1 else model.unflatten

    def whole(v: Array) -> float:
        return float(f(v if model is not None else shaped(v)))

    if batch is not None:
        if model is None or grad is not None:
            raise ArgumentError("batch needs one of fdcore's models and its own gradient, as only it has rows to deal")
        if not 1 <= operator.index(batch) <= model.rows:
            raise ArgumentError(f"batch must be from 1 to the {model.rows} rows of the model, not {batch}")
        deals = _deals(model.rows, batch, seed)
    slope: Callable[[Array], Any]
    if grad is not None:
        own = grad
        slope = lambda v: flatten(own(shaped(v.copy())))[0]  # noqa: E731
    elif model is not None:
        slope = model.gradient
    else:
        slope = Gradient(whole)
    path, losses, epochs, seen = [start], [float(whole(start))], [0.0], 0
    diverged = not np.isfinite(losses[0])
    with showing(progress, "descent", steps, "steps") as meter:
        for step in range(steps):
            if diverged:
                break
            if batch is None or model is None:
                direction = slope(path[-1])
                epochs.append(step + 1.0)
            else:
                rows = next(deals)
                direction = model.batch(rows).gradient(path[-1])
                seen += rows.size
                epochs.append(seen / model.rows)
            with np.errstate(over="ignore", invalid="ignore"):
                path.append(path[-1] - rate * direction)
                losses.append(float(whole(path[-1])))
            diverged = not abs(losses[-1]) <= 1e6 * max(abs(losses[0]), 1.0)
            if meter is not None:
                meter.add()
    return Descent(np.array(path), np.array(losses), np.array(epochs), diverged, shaped(path[-1].copy()))


def _deals(rows: int, batch: int, seed: int) -> Iterator[Any]:
    """Batches of a shuffle, and of another when they are used up."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(rows)
        for first in range(0, rows, batch):
            yield order[first : first + batch]
