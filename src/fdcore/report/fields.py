"""What a report of a check shows: one list of rows, shared by all its forms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from fdcore.check import GradientCheck, error_band

__all__ = ["entry_rows", "headline", "number", "parameter_rows", "plain", "summary"]

PARAMETER_COLUMNS = ("parameter", "shape", "verdict", "wrong", "worst z", "relative error", "would have caught")
ENTRY_COLUMNS = ("entry", "analytic", "numeric", "+- error", "analytic / numeric", "z")


def headline(check: GradientCheck) -> str:
    """Verdict and reason."""
    return f"{check.verdict}: {check.reason}"


def summary(check: GradientCheck) -> list[str]:
    """What was done, and the tutorials' numbers."""
    lines = [
        f"{check.mode}, {check.size} parameters, {check.nfev} evaluations of f, {check.ngev} of the gradient, "
        f"seed {check.seed}"
    ]
    if check.relative_errors:
        norm, largest, form = (check.relative_errors[kind] for kind in ("norm", "elementwise", "sum"))
        lines.append(
            f"relative errors as tutorials have them: norm {norm:.2g} ({error_band(norm)}), "
            f"largest elementwise {largest:.2g}, sum form {form:.2g}"
        )
    return lines


def parameter_rows(check: GradientCheck) -> list[tuple[str, ...]]:
    """One row for each array, the worst first."""
    order = {"wrong": 0, "cannot tell": 1, "agrees": 2}
    rows = sorted(check.parameters, key=lambda p: (order[p.verdict], -p.z if not math.isnan(p.z) else 0.0))
    return [
        (
            p.name,
            str(p.shape),
            p.verdict,
            f"{p.wrong}/{p.checked}" if p.checked else "-",
            number(p.z),
            number(p.relative_error),
            number(p.detection_limit) if p.verdict != "cannot tell" else "-",
        )
        for p in rows
    ]


def entry_rows(check: GradientCheck, count: int | None = None) -> list[tuple[str, ...]]:
    """One row for each wrong entry, or unclear one if none is wrong; the worst first."""
    return [
        (e.name, f"{e.analytic:.9g}", f"{e.numeric:.9g}", f"{e.error:.1e}", f"{e.ratio:.6g}", number(e.z))
        for e in (check.wrong or check.unclear)[:count]
    ]


def number(value: float) -> str:
    """A number short enough for a table."""
    return "-" if math.isnan(value) else f"{value:.2g}"


def plain(value: Any) -> Any:
    """Dataclasses, tuples and NumPy numbers as dicts, lists and numbers that JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if f.name != "columns"]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(child) for child in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
