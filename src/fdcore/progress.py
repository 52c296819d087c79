"""How far a long run has come: a bar, or a callback of the user's own. Nothing is counted unless it is asked for."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdcore import _extras, callbacks
from fdcore.errors import ArgumentTypeError, FdcoreError
from fdcore.rules import stencil_rule
from fdcore.selectors import StepPolicy
from fdcore.sparsity import color_columns
from fdcore.tree import flatten

__all__ = ["Meter", "Progress", "showing", "with_progress"]

EVERY = 0.1  # seconds between two calls of the callback
PATIENCE = 0.5  # seconds before a bar appears
LINES = 10.0  # seconds between two lines where the stream is no terminal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; the third argument of a progress callback.

    Attributes
    ----------
    what : str
        "gradient", "jacobian", "hessian" or "check".
    done : int
        Evaluations of f so far.
    total : int or None
        Evaluations expected in all; None where that is not known. An estimate for adaptive steps and for checks.
    elapsed : float
        Seconds since the beginning.
    unit : str
        What is counted, if not evaluations.

    Examples
    --------
    >>> from fdcore.progress import Progress
    >>> print(Progress("gradient", done=500, total=2000, elapsed=10.0))
    gradient: 500 of 2000 evaluations (25 %), 50/s, 30 s left
    """

    what: str
    done: int
    total: int | None
    elapsed: float
    unit: str = "evaluations"

    @property
    def rate(self) -> float:
        """Evaluations per second; 0 at the very beginning."""
        return self.done / self.elapsed if self.elapsed > 0.0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds left at this rate; None where the total or the rate is not known."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate

    def __str__(self) -> str:
        text = f"{self.what}: {self.done} {self.unit}"
        if self.total:
            text = f"{self.what}: {self.done} of {self.total} {self.unit} ({100 * self.done // self.total} %)"
        text += f", {self.rate:.3g}/s"
        return text if self.remaining is None else f"{text}, {_duration(self.remaining)} left"


def _duration(seconds: float) -> str:
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class _Stopped(BaseException):
    """An exception of the callback's, on its way out: no part of the run may take it for one of f's."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Meter:
    """Counts evaluations, and tells of them from time to time.

    Parameters
    ----------
    progress : True or callable
    what : str
    total : int or None
    unit : str
    """

    def __init__(self, progress: Any, what: str, total: int | None, unit: str = "evaluations") -> None:
        if progress is not True and not callable(progress):
            raise ArgumentTypeError(
                f"progress must be True or a function progress(done, total, info), not {progress!r}"
            )
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self._bar = _bar() if progress is True else None
        self._callback: Any = self._bar or progress
        self._start = time.monotonic()
        self._next = self._start + (PATIENCE if self._bar else EVERY)
        self._told = False

    def add(self, count: int = 1) -> None:
        """So many evaluations more."""
        self.done += count
        now = time.monotonic()
        if now >= self._next:
            self._tell(now)

    def reached(self, done: int) -> None:
        """So many evaluations in all."""
        self.done = done
        self.add(0)

    def _tell(self, now: float) -> None:
        self._next = now + EVERY
        self._told = True
        total = None if self.total is None else max(self.total, self.done)
        try:
            self._callback(self.done, total, Progress(self.what, self.done, total, now - self._start, self.unit))
        except BaseException as error:
            raise _Stopped(error) from error

    def close(self, finished: bool) -> None:
        """Tell of the end: that all is done, if it is."""
        if finished:
            self.total = self.done
            if self._told or not self._bar:
                self._tell(time.monotonic())
        if self._bar:
            self._bar.close()


def _bar() -> Any:
    if importlib.util.find_spec("tqdm") is not None:
        return _Tqdm()
    return _Lines()


class _Tqdm:
    """Tqdm's bar."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, total: int | None, info: Progress) -> None:
        if self._bar is None:
            make = _extras.require("tqdm", extra="progress", feature="progress bars").tqdm
            self._bar = make(
                desc=info.what, unit=" " + info.unit, total=total, file=sys.stderr, mininterval=0.0, smoothing=0.0
            )
            self._bar.start_t -= info.elapsed  # it began before it was shown
            self._bar.last_print_t = self._bar.start_t
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    """A line of text that is written over; lines one below the other where that cannot be done."""

    def __init__(self) -> None:
        self._over = sys.stderr.isatty()
        self._next, self._width = 0.0, 0

    def __call__(self, done: int, total: int | None, info: Progress) -> None:
        if self._over:
            text = str(info)
            sys.stderr.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif info.elapsed >= self._next or done == total:
            self._next = info.elapsed + LINES
            sys.stderr.write(f"{info}\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self._over and self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()


@contextmanager
def showing(progress: Any, what: str, total: int | None = None, unit: str = "evaluations") -> Iterator[Meter | None]:
    """A meter for the time being; None where no progress is asked for."""
    if progress is None or progress is False:
        yield None
        return
    meter = Meter(progress, what, total, unit)
    finished = False
    try:
        yield meter
        finished = True
    except _Stopped as stopped:
        raise stopped.error from None
    finally:
        try:
            meter.close(finished)
        except _Stopped as stopped:
            raise stopped.error from None


class _Counted:
    """A Python callable that counts its calls; of a vectorised one, the points."""

    def __init__(self, f: Callable[..., Any], meter: Meter, rows: bool) -> None:
        self.f, self.meter, self.rows = f, meter, rows

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        value = self.f(x, *args, **kwargs)
        self.meter.add(len(x) if self.rows else 1)
        return value

    def __repr__(self) -> str:
        return repr(self.f)


def _counted_map(workers: Any, meter: Meter) -> Callable[..., Iterator[Any]]:
    """Somebody's map, whose results are counted as they come."""
    mapper = getattr(workers, "map", workers)

    def run(f: Callable[..., Any], points: Iterable[Any]) -> Iterator[Any]:
        for value in mapper(f, points):
            meter.add()
            yield value

    return run


def with_progress(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a derivative (`gradient`, `jacobian`, `hessian`) with its arguments, and show how far it has come.

    f is counted where it is called: a Python callable by a wrapper, a native one by a counter in the kernel that is
    looked at every 50 ms, somebody's workers by their results.

    Parameters
    ----------
    function : callable
        Called without `progress`.
    given : mapping
        All its arguments by name.

    Returns
    -------
    object
        What the function returns.
    """
    options = dict(given)
    progress, f, x = options.pop("progress"), options.pop("f"), options.pop("x")
    with showing(progress, function.__name__, None) as meter:
        if meter is None:
            return function(f, x, **options)
        meter.total = _expected(function.__name__, x, options)
        workers = options.get("workers")
        name = "grad" if options.get("grad") is not None else "f"
        target = f if name == "f" else options["grad"]
        native = callbacks.recognise(target)
        if native is not None and _same_layout(target, x):
            counted: Any = native.watched(meter.reached)
        elif native is None and workers is not None and not isinstance(workers, (int, np.integer)):
            options["workers"], counted = _counted_map(workers, meter), target
        else:
            counted = _Counted(target, meter, bool(options.get("vectorized")))
        if name == "grad":
            options["grad"] = counted
        else:
            f = counted
        value = function(f, x, **options)
        if native is not None and not isinstance(counted, _Counted):
            meter.done = counted.counted
        return value


def _same_layout(f: Any, x: Any) -> bool:
    """Whether a native callback takes x as it is: a model's kernel knows its parameters in one order."""
    layout = getattr(f, "layout", None)
    if layout is None or np.ndim(x) == 1:
        return True
    tree = flatten(x)[1]
    return tree.is_array or layout == tuple((leaf.name, leaf.shape) for leaf in tree.leaves)


def _expected(what: str, x: Any, options: dict[str, Any]) -> int | None:
    """How many evaluations it will take, as far as that can be known; whatever is wrong will be said later."""
    try:
        n = flatten(x)[1].size if not isinstance(x, np.ndarray) else x.size
        runs = 3 if options.get("full_output") else 1
        if what == "hessian":
            if options.get("grad") is None:
                return int((n * n + n) * (2 if options.get("accuracy") == 4 else 1) + 1)
            if options.get("sparsity") is not None:
                return None
            return int(runs * 2 * n + 1)
        if isinstance(options.get("step"), StepPolicy):
            return None
        name, _, accuracy = stencil_rule(options.get("method", "central"), options.get("accuracy"))
        columns = n
        if options.get("sparsity") is not None:
            pattern = options["sparsity"]
            if isinstance(pattern, str) or options.get("vjp") is not None:
                return None
            if not (isinstance(pattern, tuple) and len(pattern) == 2):
                # The colours that jacobian would give, so that they are found once.
                pattern = options["sparsity"] = (pattern, color_columns(pattern, "natural"))
            columns = int(np.max(pattern[1], initial=-1)) + 1
        if name == "adaptive":
            return int(8 * n + 1)
        if options.get("noise") is not None:
            return None
        points = 1 if name == "complex" else accuracy
        runs = min(runs, 2) if name == "complex" else runs
        if runs == 3:
            return int(columns * (2 * points + min(points, 2)) + 1)
        return int(runs * columns * points + (1 if what == "jacobian" or runs > 1 else 0))
    except (FdcoreError, TypeError, ValueError):
        return None
