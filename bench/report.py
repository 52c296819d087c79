"""Outcomes as a table for the terminal, as Markdown, and as JSON; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.runner import Outcome, Timing, Verdict

BUSY = 0.10  # others' share of the cores above which the timings are suspect
INTERRUPTED = 0.2  # share of the blocks
HEADER = ("contender", "time", "x floor", "quartiles", "error", "required", "met")


def duration(seconds: float) -> str:
    """Three digits with the unit that suits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1.0:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _target_cells(verdicts: list[Verdict]) -> tuple[str, str]:
    words = {True: "yes", False: "NO", None: "-"}
    required, met = [], []
    for verdict in verdicts:
        target = verdict.target
        required.append(target.text() + (f" of {target.base}" if target.base else ""))
        plain = target.kind == "ratio" and target.base is None
        got = "" if plain or verdict.value is None else f" ({_measured(verdict)})"
        met.append(words[verdict.met] + got)
    return "; ".join(required), "; ".join(met)


def _measured(verdict: Verdict) -> str:
    value, by_hand = verdict.target.text(verdict.value), verdict.by_hand
    return value if by_hand is None else f"{value}, C by hand {verdict.target.text(by_hand)}"


def _row(timing: Timing, verdicts: list[Verdict]) -> tuple[str, ...]:
    required, met = _target_cells(verdicts)
    if timing.missing:
        return timing.name, "not run", "", "", "", required, met
    low, high = timing.spread
    error = "" if timing.error is None else f"{timing.error:.1e}"
    return timing.name, duration(timing.time), f"{timing.ratio:.3g}", f"{low:.3g}-{high:.3g}", error, required, met


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """One row a contender, the floor first."""
    verdicts = list(outcome.verdicts())
    return [_row(t, [v for v in verdicts if v.target.contender == t.name]) for t in outcome.timings.values()]


def notes(outcome: Outcome) -> list[str]:
    """List what did not run and why, and whether the machine was busy."""
    found = [f"{t.name}: {t.missing}" for t in outcome.timings.values() if t.missing]
    counted = [t for t in outcome.timings.values() if t.count is not None and not t.remark]
    found += [f"{t.name}: {t.count} {t.unit}" for t in counted]
    found += [f"{t.name}: {t.remark}" for t in outcome.timings.values() if t.remark]
    found += [
        f"{t.name}: other processes interrupted {t.interrupted} blocks for good"
        for t in outcome.timings.values()
        if t.interrupted > INTERRUPTED * max(1, len(t.seconds))
    ]
    if outcome.busy > BUSY:
        found.append(f"other processes took {outcome.busy:.0%} of the cores during this case")
    return found


def aligned(table: Sequence[tuple[str, ...]]) -> str:
    """Lay out rows in columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def text(outcome: Outcome) -> str:
    """For the terminal."""
    head = f"{outcome.case.name}   ({outcome.rounds} rounds, others busy {outcome.busy:.0%})"
    return "\n".join([head, aligned([HEADER, *rows(outcome)]), *(f"  . {note}" for note in notes(outcome))])


def markdown(outcome: Outcome) -> str:
    """For RESULTS.md."""
    lines = [f"### {outcome.case.name}", "", f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER)]
    lines += [f"| {' | '.join(row)} |" for row in rows(outcome)]
    lines += ["", *(f"* {note}" for note in notes(outcome))]
    return "\n".join(lines).rstrip() + "\n"


def summary(outcomes: list[Outcome]) -> list[tuple[str, str, str, str, str]]:
    """Every target: case, contender, measured, required, met."""
    table = []
    for outcome in outcomes:
        for verdict in outcome.verdicts():
            target = verdict.target
            value = "not available" if verdict.value is None else _measured(verdict)
            required = target.text() + (f" of {target.base}" if target.base else "")
            met = {True: "yes", False: "NO", None: "-"}[verdict.met]
            table.append((outcome.case.name, target.contender, value, required, met))
    return table


def as_data(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    return {
        "case": outcome.case.name,
        "busy": outcome.busy,
        "contenders": [
            {"name": t.name, "missing": t.missing}
            if t.missing
            else {
                "name": t.name,
                "seconds": t.time,
                "ratio": t.ratio,
                "quartiles": t.spread,
                "rounds": len(t.seconds),
                "error": t.error,
                "count": t.count,
                "remark": t.remark,
            }
            for t in outcome.timings.values()
        ],
        "targets": [
            {
                "contender": v.target.contender,
                "kind": v.target.kind,
                "limit": v.target.limit,
                "base": v.target.base,
                "value": v.value,
                "by_hand": v.by_hand,
                "met": v.met,
            }
            for v in outcome.verdicts()
        ],
    }
