"""Times contenders against a floor on a machine that is not quiet.

Contenders are interleaved: every block of calls of a contender stands between two blocks of the floor, and what counts
is the median over many rounds of the ratio to the mean of those two, so that a slow minute of the machine slows both.
Blocks are a millisecond or one call long. The contender's answer is compared with the exact derivative.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Literal

import numpy as np

from bench.machine import Load

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

BLOCK_SECONDS = 1e-3
WARM_BELOW_SECONDS = 2e-2  # an untimed call goes before each block unless one call takes longer than this
SLOW_SECONDS = 1.0  # a contender that takes longer is timed once, by the call that its answer comes from
MIN_ROUNDS, MAX_ROUNDS = 3, 400
RETRIES = 4  # of a block that another process interrupted


def _interruptions() -> int:
    """Times that the system took a processor from a thread of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0


class NotRunError(Exception):
    """Raised by a contender that cannot or should not run here; its message says why and is reported."""


@dataclass(frozen=True)
class Call:
    """An expression to time and the names in it; its value, or that of `then` (not timed), is the answer."""

    code: str
    names: dict[str, Any]
    then: str = ""

    def timer(self) -> Callable[[int], float]:
        """``timer(k)`` is the time of k evaluations; the names are locals, as in a user's function."""
        source = (
            f"def timed(_repetitions, _clock, {', '.join(self.names)}):\n"
            "    _start = _clock()\n"
            "    for _ in _repetitions:\n"
            f"        {self.code}\n"
            "    return _clock() - _start\n"
        )
        space: dict[str, Any] = {}
        exec(source, space)  # our own source, as in timeit
        timed, names = space["timed"], tuple(self.names.values())
        return lambda count: timed(repeat(None, count), time.perf_counter, *names)

    def answer(self) -> Any:
        """Evaluate the expression once."""
        value = eval(self.code, {}, self.names)
        return eval(self.then, {}, self.names) if self.then else value


@dataclass(frozen=True)
class Contender:
    """Somebody's way to the derivative; `build` may raise ImportError or NotRunError."""

    name: str
    build: Callable[[], Call]
    answers: bool = True  # False: it computes no derivative (bare calls)
    count: Callable[[Any], int] | None = None  # something of the answer to be counted
    unit: str = "colours"  # and what that is
    remark: Callable[[], str] | None = None  # what else is to be said of it, found out once and not timed


@dataclass(frozen=True)
class Target:
    """What PERFORMANCE asks of `contender`, against `base` (the floor unless named)."""

    contender: str
    limit: float
    kind: Literal["ratio", "speedup", "seconds", "overhead", "count"] = "ratio"
    base: str | None = None
    by_hand: tuple[str, str] | None = None  # of a speedup: C on as many threads, and on one; what the machine gave

    def text(self, value: float | None = None) -> str:
        """Put the requirement in words, or a measured value in its unit."""
        sign, value = ("", value) if value is not None else (">= " if self.kind == "speedup" else "<= ", self.limit)
        unit = {"ratio": "", "speedup": "x", "seconds": " us", "overhead": " us/eval", "count": ""}[self.kind]
        scaled = value * 1e6 if self.kind in ("seconds", "overhead") else value
        return f"{sign}{scaled:.3g}{unit}" if not sign else f"{sign}{scaled:g}{unit}"


@dataclass(frozen=True)
class Case:
    """One function at one size."""

    name: str
    floor: Contender
    contenders: list[Contender]
    exact: Any  # array, scipy.sparse, or None
    evaluations: int
    targets: list[Target] = field(default_factory=list)


@dataclass
class Timing:
    """What came out for one contender: seconds per call and the floor's, one per round; or why it did not run."""

    name: str
    seconds: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    error: float | None = None
    count: int | None = None
    unit: str = ""
    remark: str = ""
    missing: str | None = None
    interrupted: int = 0  # blocks that were taken as they came

    @property
    def ratios(self) -> list[float]:
        """Time over the floor's, per round."""
        return [t / f for t, f in zip(self.seconds, self.floors, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Quartiles of the ratios."""
        q = np.quantile(self.ratios, [0.25, 0.75])
        return float(q[0]), float(q[1])

    @property
    def time(self) -> float:
        """Median seconds per call."""
        return statistics.median(self.seconds)


@dataclass
class Verdict:
    """A target and what was measured for it (None: not available)."""

    target: Target
    value: float | None
    by_hand: float | None = None  # the same for the target's `by_hand`

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None if it could not be measured."""
        if self.value is None:
            return None
        return self.value >= self.target.limit if self.target.kind == "speedup" else self.value <= self.target.limit


@dataclass
class Outcome:
    """A measured case."""

    case: Case
    timings: dict[str, Timing]
    busy: float  # share of all cores taken by other processes meanwhile
    rounds: int

    def verdicts(self) -> Iterator[Verdict]:
        """One per target."""
        for target in self.case.targets:
            by_hand = target.by_hand and Target(target.by_hand[0], target.limit, target.kind, target.by_hand[1])
            yield Verdict(target, self._value(target), self._value(by_hand) if by_hand else None)

    def _value(self, target: Target) -> float | None:
        timing = self.timings.get(target.contender)
        if timing is None or timing.missing:
            return None
        if target.kind == "count":
            return timing.count
        if target.kind == "seconds":
            return timing.time
        if target.kind == "overhead":
            differences = [t - f for t, f in zip(timing.seconds, timing.floors, strict=True)]
            return statistics.median(differences) / self.case.evaluations
        if target.base is None:
            return timing.ratio if target.kind == "ratio" else 1.0 / timing.ratio
        base = self.timings.get(target.base)
        if base is None or base.missing:
            return None
        relative = timing.ratio / base.ratio
        return relative if target.kind == "ratio" else 1.0 / relative


@dataclass
class _Runner:
    contender: Contender
    timing: Timing
    timer: Callable[[int], float]
    once: float  # seconds, roughly
    rounds: int = 0

    def __post_init__(self) -> None:
        self.block = max(1, round(BLOCK_SECONDS / self.once))
        self.warm = self.once < WARM_BELOW_SECONDS
        self.cost = self.once * (self.block + self.warm)

    def run(self) -> float:
        """Seconds a call of one block, repeated if another process interrupted it."""
        for _ in range(RETRIES):
            if self.warm:
                self.timer(1)
            before = _interruptions()
            taken = self.timer(self.block) / self.block
            if _interruptions() == before:
                return taken
        self.timing.interrupted += 1
        return taken


def relative_error(answer: Any, exact: Any) -> float:
    """Largest absolute error over the largest entry of the exact derivative."""
    if hasattr(exact, "tocsr"):
        return float(abs(exact - answer).max() / abs(exact).max())
    answer = np.asarray(answer, dtype=float).reshape(exact.shape)
    return float(np.max(np.abs(answer - exact)) / np.max(np.abs(exact)))


def _prepare(contender: Contender, exact: Any) -> tuple[Timing, _Runner | None]:
    timing = Timing(contender.name, unit=contender.unit)
    try:
        call = contender.build()
        began = time.perf_counter()
        answer = call.answer()
        once = time.perf_counter() - began
        if contender.answers and exact is not None:
            timing.error = relative_error(answer, exact)
        if contender.count is not None:
            timing.count = contender.count(answer)
        if contender.remark is not None:
            timing.remark = contender.remark()
        timer = call.timer()
        if once < SLOW_SECONDS:
            once = timer(1)
        if once < BLOCK_SECONDS:
            once = min(timer(3) / 3 for _ in range(3))
    except (ImportError, NotRunError) as reason:
        timing.missing = str(reason)
        return timing, None
    except Exception as failure:  # a peer that fails is a result, and must not end the run
        timing.missing = f"failed: {type(failure).__name__}: {failure}"
        return timing, None
    return timing, _Runner(contender, timing, timer, once)


def measure(case: Case, seconds: float) -> Outcome:
    """Time all contenders of a case for about `seconds`."""
    floor_timing, floor = _prepare(case.floor, case.exact)
    if floor is None:
        raise RuntimeError(f"the floor of {case.name} does not run: {floor_timing.missing}")
    timings, runners = {case.floor.name: floor_timing}, []
    for contender in case.contenders:
        timing, runner = _prepare(contender, case.exact)
        timings[contender.name] = timing
        if runner is not None and runner.once > SLOW_SECONDS:
            timing.seconds.append(runner.once)
            timing.floors.append(floor.run())
        elif runner is not None:
            runners.append(runner)

    targeted = {t.contender for t in case.targets} | {t.base for t in case.targets}
    shares = [3.0 if r.contender.name in targeted else 1.0 for r in runners]
    for runner, share in zip(runners, shares, strict=True):
        fitting = seconds * share / sum(shares) / (floor.cost + runner.cost)
        runner.rounds = int(np.clip(fitting, MIN_ROUNDS, MAX_ROUNDS))
    rounds = max((r.rounds for r in runners), default=0)
    if not runners:
        floor_timing.seconds, floor_timing.floors = [floor.run()], [floor.run()]

    shuffle = random.Random(1).shuffle
    load = Load()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            due = [r for r in runners if (turn + 1) * r.rounds // rounds > turn * r.rounds // rounds]
            shuffle(due)
            before = floor.run()
            for runner in due:
                taken = runner.run()
                after = floor.run()
                runner.timing.seconds.append(taken)
                runner.timing.floors.append((before + after) / 2)
                floor_timing.seconds.append(before)
                floor_timing.floors.append(after)  # the floor against itself: the noise
                before = after
    finally:
        if collecting:
            gc.enable()
    return Outcome(case, timings, load.by_others(), rounds)
