"""Plans: a callable with stencil, steps, bounds and workers, built once and then called for one x after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore import callbacks
from fdcore.errors import ArgumentError, ArgumentTypeError
from fdcore.fdcore import Engine, Native, cpu_count
from fdcore.results import Result
from fdcore.steps import settings
from fdcore.stencils import Stencil, central, one_sided

Array = NDArray[np.float64]

_FORWARD, _BACKWARD, _CENTRAL = range(3)

# Name: (kernel method, accuracy by default, the accuracies it has).
_METHODS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "forward": (_FORWARD, 1, (1, 2, 3, 4, 5, 6, 7, 8)),
    "backward": (_BACKWARD, 1, (1, 2, 3, 4, 5, 6, 7, 8)),
    "central": (_CENTRAL, 2, (2, 4, 6, 8)),
    "five-point": (_CENTRAL, 4, (4,)),
}
_ALIASES = {"2-point": "forward", "3-point": "central", "cs": "complex"}


def _rule(method: str, accuracy: int | None) -> tuple[str, int, int]:
    """Canonical name, kernel method and accuracy."""
    name = _ALIASES.get(method, method) if isinstance(method, str) else method
    if name == "complex":
        if accuracy not in (None, 2):
            raise ArgumentError(f"accuracy={accuracy!r}: the complex step has no truncation error to choose an order for")
        return name, _CENTRAL, 2
    if name not in _METHODS:
        known = ", ".join(repr(known) for known in (*_METHODS, "complex", *_ALIASES))
        raise ArgumentError(f"method must be one of {known}; not {method!r}")
    number, default, accuracies = _METHODS[name]
    if accuracy is None:
        accuracy = default
    elif accuracy not in accuracies:
        raise ArgumentError(f"accuracy must be one of {accuracies} for method {name!r}, not {accuracy!r}")
    return name, number, int(accuracy)


def _workers(workers: Any, native: bool) -> tuple[int, Callable[..., Any] | None]:
    """Threads for the kernel, and somebody's map for a Python callable."""
    if workers is None:
        return (-cpu_count() if native else 1), None
    if isinstance(workers, (int, np.integer)) and not isinstance(workers, bool):
        if workers == -1:
            return cpu_count(), None
        if workers < 1:
            raise ArgumentError(f"workers must be a number of threads >= 1, -1 for all processors, or have a map; not {workers!r}")
        return int(workers), None
    mapper = getattr(workers, "map", workers)
    if not callable(mapper):
        raise ArgumentTypeError(f"workers must be an int, an executor, or a function like map; not {workers!r}")
    if native:
        raise ArgumentError("workers must be an int for a native callable: it runs on fdcore's own threads")
    return 1, mapper


def _threaded(workers: int) -> tuple[int, Callable[..., Any] | None]:
    """Threads for a Python callable: none while there is a GIL, where they would only take turns."""
    import sys

    if workers == 1 or getattr(sys, "_is_gil_enabled", lambda: True)():
        return 1, None
    from concurrent.futures import ThreadPoolExecutor

    def run(f: Callable[[Array], Any], points: list[Array]) -> list[Any]:
        # Each thread makes its own x: threads that share objects slow each other down.
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda x: f(x.copy()), points))

    return 1, run


class _Plan(Engine):
    """What Gradient and Jacobian share."""

    _jac: bool

    def __init__(
        self,
        f: Any,
        *,
        method: str = "central",
        accuracy: int | None = None,
        step: ArrayLike | None = None,
        rel_step: ArrayLike | None = None,
        abs_step: ArrayLike | None = None,
        bounds: Any = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        workers: Any = None,
        vectorized: bool = False,
    ) -> None:
        name, number, order = _rule(method, accuracy)
        given = settings(step, rel_step, abs_step, bounds)
        native = f if isinstance(f, Native) else callbacks.recognise(f)
        if native is None and not callable(f):
            raise ArgumentTypeError(f"f must be callable or a native callback, not {type(f).__name__}")
        threads, mapper = _workers(workers, native is not None) if workers is not None or native is not None else (1, None)
        mode = "vector"
        if native is not None:
            if args or kwargs:
                raise ArgumentError("args and kwargs are for Python callables; give a native one user_data")
            if vectorized:
                raise ArgumentError("vectorized is for Python callables; a native one is called point by point")
            if name == "complex":
                raise ArgumentError("method='complex' needs a Python callable; a native one takes real numbers only")
            f = native
        else:
            if args or kwargs:
                f = _Bound(f, args, kwargs)
            if mapper is None and threads > 1:
                threads, mapper = _threaded(threads)
            mode = "block" if vectorized else "mapped" if mapper is not None else "vector"
        self._name, self._accuracy, self._bounded = name, order, given is not None and "lower" in given
        self._configure(
            f,
            method=number,
            accuracy=order,
            jac=self._jac,
            mode=mode,
            map=mapper,
            workers=threads,
            is_complex=name == "complex",
            settings=given,
        )

    def __repr__(self) -> str:
        f = self.native if self.native is not None else self.f
        return f"{type(self).__name__}({f!r}, method={self._name!r}, accuracy={self._accuracy})"

    @property
    def method(self) -> str:
        """Method and order of accuracy, in words."""
        return "complex step" if self._name == "complex" else f"{self._name}, accuracy {self._accuracy}"

    def full(self, x: ArrayLike, *args: Any, out: Array | None = None) -> Result:
        """Differentiate at x and say how well: the `Result` of ``full_output=True``.

        Costs as many evaluations again as a call, and f(x): the derivative is taken with a second step for the error
        bar.
        """
        vector = np.array(x, dtype=np.float64)
        return full_output(self, vector, ((args, {}) if args else ()), out)


class Gradient(_Plan):
    """Plan of the gradient of f: R^n -> R; call it with x.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> float`` for x of shape (n,); or, with `vectorized`, ``f(x) -> (k,)`` for x of shape (k, n).
    method, accuracy, step, rel_step, abs_step, bounds, args, kwargs, workers, vectorized
        As for `gradient`.

    Notes
    -----
    ``plan(x, *args, out=None, f0=None)`` returns the (n,) gradient, in `out` if given; `args` are passed on to f after
    x, and `f0` is f(x) where it is known (one-sided rules need it). A plan may be used by several threads at once.
    Cost: n * accuracy evaluations, and one more for one-sided rules.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> from scipy.optimize import minimize, rosen
    >>> bool(minimize(rosen, [-1.2, 1.0], jac=fd.Gradient(rosen)).success)
    True
    """

    _jac = False


class Jacobian(_Plan):
    """Plan of the Jacobian of f: R^n -> R^m; call it with x.

    Parameters
    ----------
    f : callable or native callback
        ``f(x) -> (m,)`` for x of shape (n,); or, with `vectorized`, ``f(x) -> (k, m)`` for x of shape (k, n).
    method, accuracy, step, rel_step, abs_step, bounds, args, kwargs, workers, vectorized
        As for `jacobian`.

    Notes
    -----
    ``plan(x, *args, out=None, f0=None)`` returns the (m, n) Jacobian, in `out` if given; `args` are passed on to f
    after x, and `f0` is f(x) where it is known. A plan may be used by several threads at once. Cost: n * accuracy
    evaluations, one more for one-sided rules, and one more in the first call, which learns m.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> plan = fd.Jacobian(lambda x: np.array([x[0] * x[1], x[0] ** 2]))
    >>> plan(np.array([2.0, 3.0])).round(8)
    array([[3., 2.],
           [4., 0.]])
    """

    _jac = True


class _Bound:
    """f with the arguments that follow x; picklable where f is, for workers in other processes."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> None:
        self.f, self.args, self.kwargs = f, tuple(args), dict(kwargs or {})

    def __call__(self, x: Any) -> Any:
        return self.f(x, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        return repr(self.f)


def _norm(name: str, accuracy: int) -> float:
    """Sum of the absolute weights of a first-derivative rule."""
    if name == "complex":
        return 1.0
    rule: Stencil = (
        one_sided(1, accuracy, -1 if name == "backward" else 1) if name in ("forward", "backward") else central(1, accuracy)
    )
    return rule.norm


def error_bar(
    value: Array, other: Array, step: Array, other_step: Array, accuracy: int, norm: float, f_error: Array
) -> Array:
    """Error bar of `value` from the same derivative with another step.

    Truncation is proportional to ``step**accuracy``, so the disagreement tells it; doubled, since the next term is
    neglected. The rounding floor is what errors of f's values, `f_error`, can do at most.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.abs(1.0 - (other_step / step) ** accuracy)
        truncation = np.where(value == other, 0.0, 2.0 * np.abs(value - other) / share)
        return truncation + norm * f_error / step


def full_output(plan: _Plan, x: Array, args: tuple[Any, ...] = (), out: Array | None = None) -> Result:
    """Run a plan at x with two steps and put together its `Result`."""
    n = x.size
    f0 = plan.base(x, args)
    step, other_step = np.empty(n), np.empty(n)
    status, other_status = np.zeros(n, dtype=np.uint8), np.zeros(n, dtype=np.uint8)
    value, nfev = plan.evaluate(x, args=args, f0=f0, out=out, step=step, component=status)
    eps = 2.0 * max(plan.precision, 2.0**-53)
    scale = 0.5 if plan._bounded else 2.0
    other, more = plan.evaluate(x, args=args, f0=f0, scale=scale, step=other_step, component=other_status)
    if plan._name == "complex":
        error = 4.0 * eps * np.abs(value) + np.abs(value - other)
    else:
        f_error = eps * np.abs(f0)
        f_error = f_error[:, None] if value.ndim == 2 else f_error[0]
        error = error_bar(value, other, step, other_step, plan._accuracy, _norm(plan._name, plan._accuracy), f_error)
    return Result(value, error, step, 1 + nfev + more, status, plan.method)
