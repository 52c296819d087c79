"""assert_gradient, its fixture, and the functions with known derivatives."""

from __future__ import annotations

import re
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


BAD = """
import numpy as np, pytest
import fdcore as fd

x = np.ones(2)

def f(x):
    return float(x @ x)

def wrong(x):
    return 4 * x

def test_good(assert_gradient):
    assert_gradient(f, lambda x: 2 * x, x)

def test_fixture(assert_gradient):
    assert_gradient(f, wrong, x)

@pytest.mark.parametrize("name", ["a/b: ../../<c>", "a_b", "\\ud800\\0" + 300 * "long"])
def test_function(name):
    fd.testing.assert_gradient(f, wrong, x)

def test_own(gradient_check):
    assert gradient_check(f, lambda x: 2 * x, x)
    check = gradient_check(f, wrong, x)
    assert check.verdict == "agrees"

def test_bare():
    assert fd.check_gradient(f, wrong, x)

def test_raise_if_wrong():
    fd.check_gradient(f, wrong, x).raise_if_wrong()

def test_expected():
    with pytest.raises(AssertionError):
        fd.testing.assert_gradient(f, wrong, x)

@pytest.mark.xfail(strict=True)
def test_xfail():
    fd.testing.assert_gradient(f, wrong, x)

@pytest.fixture
def broken():
    fd.testing.assert_gradient(f, wrong, x)

def test_setup(broken):
    pass
"""


def run(pytester, *options):
    # From a source tree there is no entry point that would load the plugin.
    installed = any(entry.name == "fdcore" for entry in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "fdcore.pytest_plugin"]
    return pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", *options)


def test_the_failure_is_the_report(pytester):
    pytester.makepyfile(BAD)
    result = run(pytester, "-k", "fixture or own or bare")
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    fixture = text[text.index("_ test_fixture _") : text.index("_ test_own _")]
    lines = [line for line in fixture.splitlines() if line.startswith("E  ")]
    assert "WrongGradientError: wrong: 2 of 2 entries" in lines[0]
    assert len(lines) <= 25
    assert any("likely: the analytic gradient is 2 times" in line for line in lines)
    assert "testing.py" not in fixture  # nothing of fdcore's own source
    assert "verdict.py" not in fixture
    own = text[text.index("_ test_own _") : text.index("_ test_bare _")]
    assert own.count("wrong: 2 of 2 entries") == 1
    assert "-- gradient check --" in own
    bare = text[text.index("_ test_bare _") :]
    assert "<GradientCheck wrong: 2 of 2 entries" in bare


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_pages_of_failing_checks(pytester, options):
    if options:
        pytest.importorskip("xdist")
    pytest.importorskip("jinja2")
    pytester.makepyfile(BAD)
    result = run(pytester, "--fdcore-reports=pages/here", *options)
    result.assert_outcomes(passed=2, failed=7, xfailed=1, errors=1)
    result.stdout.fnmatch_lines(["*HTML report: *test_fixture-*.html", "fdcore: 7 pages of failing*in pages/here*"])
    pages = sorted((pytester.path / "pages" / "here").iterdir())
    assert len(pages) == 7
    assert all(re.fullmatch(r"[\w.=-]{1,130}\.html", page.name, re.ASCII) for page in pages)
    assert {re.search(r"test_[a-z]+(?=[-_])", page.name[page.name.index(".py_") + 4 :])[0] for page in pages} == {
        "test_fixture", "test_function", "test_own", "test_raise", "test_setup"
    }  # fmt: skip
    assert all(page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>") for page in pages)


def test_a_folder_that_cannot_be_written_hides_nothing(pytester):
    pytester.makepyfile(BAD)
    (pytester.path / "pages").write_text("a file", encoding="utf-8")
    result = run(pytester, "--fdcore-reports=pages", "-k", "fixture")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*wrong: 2 of 2 entries*", "*no HTML report: *"])
