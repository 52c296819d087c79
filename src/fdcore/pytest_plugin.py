"""pytest's part: the fixture ``assert_gradient`` and the option ``--fdcore-html``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fdcore.check import GradientCheck


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("fdcore", "gradient checks")
    group.addoption(
        "--fdcore-html",
        metavar="FOLDER",
        default=None,
        help="write the HTML report of each failing gradient check there",
    )


@pytest.fixture
def assert_gradient(request: pytest.FixtureRequest) -> Callable[..., GradientCheck]:
    """`fdcore.testing.assert_gradient`; a failing check leaves its HTML report where ``--fdcore-html`` says."""
    # Imported here: the plugin is loaded in every session of pytest, used or not.
    from fdcore.check import GradientCheckError
    from fdcore.testing import assert_gradient as plain

    folder = request.config.getoption("--fdcore-html")
    count = 0

    def assert_it(f: Any, grad: Any, x: Any, **options: Any) -> GradientCheck:
        __tracebackhide__ = True
        nonlocal count
        count += 1
        try:
            return plain(f, grad, x, **options)
        except GradientCheckError as error:
            if folder is not None:
                name = re.sub(r"[^\w.-]+", "_", request.node.nodeid)
                path = Path(folder) / f"{name}-{count}.html"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(error.check.to_html(), encoding="utf-8")
            raise

    return assert_it
