"""pytest's part: two fixtures, and the option ``--fdcore-reports`` that keeps a page of each failing check."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fdcore.check import GradientCheck

# fdcore itself is imported inside functions: the plugin is loaded in every session of pytest, used or not.

OPTION = "--fdcore-reports"
TITLE = "gradient check"
PAGE = "HTML report: "

_checks = pytest.StashKey[list[Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("fdcore", "gradient checks")
    group.addoption(
        OPTION, metavar="FOLDER", default=None, help="write the HTML report of each failing gradient check there"
    )


@pytest.fixture
def assert_gradient() -> Callable[..., GradientCheck]:
    """`fdcore.testing.assert_gradient`: its failure is the report."""
    from fdcore.testing import assert_gradient

    return assert_gradient


@pytest.fixture
def gradient_check(request: pytest.FixtureRequest) -> Callable[..., GradientCheck]:
    """`fdcore.check_gradient`, for assertions of one's own; if the test fails, what does not agree is reported."""
    from fdcore.check import check_gradient

    checks: list[Any] = request.node.stash.setdefault(_checks, [])

    def run(f: Any, grad: Any, x: Any, **options: Any) -> GradientCheck:
        __tracebackhide__ = True
        checks.append(check_gradient(f, grad, x, **options))
        return checks[-1]  # type: ignore[no-any-return]

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what a failing test's checks found, and keep their pages where the option says so."""
    report = yield
    if not report.failed or call.excinfo is None:
        return report
    failed = [check for check in item.stash.get(_checks, []) if not check]
    report.sections += [(TITLE, str(check)) for check in failed]
    verdicts = sys.modules.get("fdcore.check.verdict")
    error = call.excinfo.value
    # Whoever raised it: the assertion, `raise_if_wrong`, or a drop-in. Its message is the report already.
    if verdicts is not None and isinstance(error, verdicts.GradientCheckError):
        failed.append(error.check)
    folder = item.config.getoption(OPTION)
    if folder is not None:
        where = item.config.invocation_params.dir / folder
        for number, check in enumerate(failed, start=1):
            report.sections.append((TITLE, _keep(check, where, item.nodeid, number)))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the pages are."""
    if config.getoption(OPTION) is None:
        return
    failures = terminalreporter.stats.get("failed", []) + terminalreporter.stats.get("error", [])
    kept = sum(text.startswith(PAGE) for report in failures for title, text in report.sections if title == TITLE)
    if kept:
        pages = "page" if kept == 1 else "pages"
        terminalreporter.write_line(f"fdcore: {kept} {pages} of failing gradient checks in {config.getoption(OPTION)}")


def _keep(check: GradientCheck, folder: Path, nodeid: str, number: int) -> str:
    """Write one page; returns what to say about it."""
    path = folder / _file_name(nodeid, number)
    try:
        text = check.to_html()
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (ImportError, OSError) as error:  # a report that cannot be written must not hide the failure
        return f"no HTML report: {error}"
    return f"{PAGE}{path}"


def _file_name(nodeid: str, number: int) -> str:
    """A name that every file system takes, the same in each run and different for different tests."""
    file, _, test = nodeid.partition("::")
    readable = re.sub(r"[^A-Za-z0-9.=-]+", "_", f"{file.rpartition('/')[2]}_{test}").strip("_.")[:100]
    again = f"-{number}" if number > 1 else ""
    return f"{readable}-{zlib.crc32(nodeid.encode('utf-8', 'surrogatepass')):08x}{again}.html"
