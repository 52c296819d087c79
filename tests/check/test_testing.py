"""assert_gradient, its fixture, and the functions with known derivatives."""

from __future__ import annotations

from importlib.metadata import entry_points

import numpy as np
import pytest

import fdcore as fd
from fdcore.testing import PROBLEMS, assert_gradient

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_known_derivatives_are_right(name):
    problem = PROBLEMS[name]
    assert assert_gradient(problem.f, problem.gradient, problem.x)
    with pytest.raises(fd.WrongGradientError, match=r"^wrong"):
        assert_gradient(problem.f, lambda x: 1.001 * problem.gradient(x), problem.x)


def test_unclear_fails_unless_allowed():
    f, grad, x = (lambda x: float(x @ x)), (lambda x: 2 * x), np.zeros(2)
    with pytest.raises(AssertionError, match=r"^cannot tell") as caught:
        assert_gradient(f, grad, x)
    assert caught.value.check.verdict == "cannot tell"
    assert assert_gradient(f, grad, x, allow_unclear=True).verdict == "cannot tell"


def test_fixture_and_html_folder(pytester):
    pytester.makepyfile(
        """
        import numpy as np

        def test_good(assert_gradient):
            assert_gradient(lambda x: float(x @ x), lambda x: 2 * x, np.ones(2))

        def test_bad(assert_gradient):
            assert_gradient(lambda x: float(x @ x), lambda x: 4 * x, np.ones(2))
        """
    )
    # From a source tree there is no entry point that would load the plugin.
    installed = any(entry.name == "fdcore" for entry in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "fdcore.pytest_plugin"]
    result = pytester.runpytest_subprocess(*plugin, "--fdcore-html=reports", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*wrong: 2 of 2 entries*", "*likely: the analytic gradient is 2 times*"])
    (page,) = (pytester.path / "reports").iterdir()
    assert "test_bad" in page.name
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
