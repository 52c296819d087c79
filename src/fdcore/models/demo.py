"""The demo: real data, certified answers, checked gradients and a planted bug, as data for `fdcore demo` to print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdcore.check import check_gradient
from fdcore.models.datasets import load_norris, load_oring
from fdcore.models.linear import LinearRegression
from fdcore.models.logistic import LogisticRegression

DIGITS_REQUIRED = 10


@dataclass(frozen=True)
class Section:
    """One step of the demo and whether it went as it must."""

    title: str
    ok: bool
    verdict: str
    header: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    report: Any = None


def demo() -> Iterator[Section]:
    """Run the demo, one section after the other.

    Yields
    ------
    Section
    """
    norris = load_norris()
    linear = LinearRegression(norris.x, norris.y)
    yield _certified(linear)

    oring = load_oring()
    logistic = LogisticRegression(oring.temperature, oring.distress)
    yield _published(logistic)

    # Away from the minimum: where the gradient is nearly zero, a check has little to compare.
    start = {"intercept": np.array(1.0), "coef": np.array([0.9])}
    yield _checked("Gradient of the mean squared error", linear, linear.gradient, start)
    start = {"intercept": np.array(10.0), "coef": np.array([-0.15])}
    yield _checked("Gradient of the cross-entropy", logistic, logistic.gradient, start)
    yield _planted(logistic, start)


def _certified(model: LinearRegression) -> Section:
    norris = load_norris()
    params = model.fit()
    freedom = len(norris.y) - model.n
    deviation = math.sqrt(model(params) * len(norris.y) / freedom)
    pairs = [
        ("intercept", params[0], norris.certified[0]),
        ("slope", params[1], norris.certified[1]),
        ("residual deviation", deviation, norris.certified_deviation),
    ]
    digits = [_digits(got, certified) for _, got, certified in pairs]
    rows = [
        (name, f"{got:.15g}", f"{certified:.15g}", f"{agreeing:.1f}")
        for (name, got, certified), agreeing in zip(pairs, digits, strict=True)
    ]
    return Section(
        "Linear regression: NIST's Norris data, 36 observations",
        min(digits) >= DIGITS_REQUIRED,
        f"at least {math.floor(min(digits))} digits agree",
        ("", "fdcore", "certified, NIST", "digits agreeing"),
        rows,
    )


def _digits(got: float, certified: float) -> float:
    """Decimal digits that agree; NIST prints 15."""
    error = abs(got - certified) / abs(certified)
    return 15.0 if error == 0.0 else min(15.0, -math.log10(error))


def _published(model: LogisticRegression) -> Section:
    params = model.fit()
    oring = load_oring()
    published = {"intercept": "15.0429", "temperature (F)": "-0.2322", "log-likelihood": "-10.158"}
    got = [*params, -len(oring.distress) * model(params)]
    rows = []
    for (name, printed), value in zip(published.items(), got, strict=True):
        decimals = len(printed.partition(".")[2])
        agrees = f"{value:.{decimals}f}" == printed
        rows.append((name, f"{value:.10f}", printed, "all" if agrees else "NOT ALL"))
    risk = model.probability(params, [31.0])[0]
    rows.append(("risk at 31 F", f"{risk:.4f}", "", ""))
    ok = all(row[3] != "NOT ALL" for row in rows)
    return Section(
        "Logistic regression: O-rings of 23 Space Shuttle flights",
        ok,
        "all printed digits agree" if ok else "the printed digits do not all agree",
        ("", "fdcore", "Dalal et al. 1989", "digits agreeing"),
        rows,
    )


def _checked(title: str, loss: Any, gradient: Callable[[Any], Any], params: Any) -> Section:
    report = check_gradient(loss, gradient, params)
    ok = report.verdict == "agrees"
    return Section(title, ok, "as it must be" if ok else "it must agree", report=report)


def _planted(model: LogisticRegression, params: Any) -> Section:
    def doubled(params: Any) -> Any:
        return {name: 2.0 * block for name, block in model.gradient(params).items()}

    report = check_gradient(model, doubled, params)
    caught = report.verdict == "wrong" and len(report.wrong) == model.n
    ratios = [entry.ratio for entry in report.wrong]
    measured = caught and all(abs(ratio - 2.0) < 1e-6 for ratio in ratios)
    verdict = "caught: analytic / numeric is 2 in every entry" if measured else "NOT CAUGHT"
    return Section("A planted bug: the same gradient, times 2", measured, verdict, report=report)
