"""Each kind of HTML report in a real browser: no complaint, no request, and everything to be seen where it belongs."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import fdcore as fd

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
from chromium import Chromium, find
from golden import CHECKS, stored

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

EXECUTABLE = find()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium; the environment variable CHROMIUM may name it"),
    pytest.mark.skipif(sys.platform == "win32", reason="speaks to Chromium over a pipe"),
]


@pytest.fixture(scope="module")
def browser():
    with Chromium(EXECUTABLE) as browser:
        yield browser


def large() -> fd.GradientCheck:
    """240 entries, all wrong, of 60 arrays."""
    x = {f"layer{k}.weight": np.linspace(1, 2, 4) for k in range(60)}
    return fd.check_gradient(
        lambda p: float(sum(v @ v for v in p.values())),
        lambda p: {k: 2.001 * v for k, v in p.items()},
        x,
        mode="elementwise",
    )


def wide() -> fd.GradientCheck:
    """Values of both signs over many decades."""
    x = np.linspace(-14, 14, 40)
    return fd.check_gradient(
        lambda x: float(np.sum(np.cosh(x))), lambda x: np.sinh(x) * (1 + (np.arange(40) % 7 == 0)), x
    )


def taylor(factor: float) -> fd.TaylorTest:
    """A Taylor test of exp."""
    return fd.taylor_test(lambda x: float(np.sum(np.exp(x))), lambda x: factor * np.exp(x), np.array([1.0, -2.0]))


BARE = "<!DOCTYPE html><meta charset=utf-8><meta name=viewport content='width=device-width'><link rel=icon href=data:,>"

KINDS = {
    **{name: (lambda name=name: stored(name).to_html()) for name in CHECKS},
    "large": lambda: large().to_html(),
    "wide": lambda: wide().to_html(),
    "taylor": lambda: taylor(1.0).to_html(),
    "taylor-wrong": lambda: taylor(1.001).to_html(),
    "fragment": lambda: BARE + stored("factor")._repr_html_(),
}

LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")
FIGURES = {"nested": 1, "hostile": 2, "taylor": 1, "taylor-wrong": 1, "fragment": 0}


@lru_cache
def written(kind: str) -> str:
    """The page of that kind, drawn once."""
    return KINDS[kind]()


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")], ids=["desktop-light", "phone-dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_page(browser, tmp_path, kind, width, scheme):
    page = tmp_path / "report.html"
    page.write_text(written(kind), encoding="utf-8")
    browser.open(page, width, 900, scheme)
    seen = browser.run(LOOK)
    assert browser.complaints == []
    assert browser.requests == []
    assert seen["empty"] == []
    assert seen["overlaps"] == []
    assert seen["width"] <= width
    assert seen["tables"] >= 1
    assert seen["figures"] == FIGURES.get(kind, 2)
    assert seen["texts"] >= 8 * seen["figures"]
    assert seen["named"]
    if kind != "fragment":
        assert seen["faint"] == []
        dark = browser.run("getComputedStyle(document.body).backgroundColor")
        assert dark == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(255, 255, 255)")
    if kind == "hostile":
        assert "<script>alert('$x$')</script>" in browser.run("document.body.innerText")
        assert browser.run("document.scripts.length") == 0


def test_what_would_be_found(browser, tmp_path):
    """The canary: a page that does everything that is forbidden."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><title>bad</title><script>console.error('no'); undefined_name()</script>"
        "<img src='http://localhost:9/x.png'><table></table>"
        "<figure><svg width=200 height=50><text x=10 y=20>one text</text><text x=12 y=20>another</text></svg></figure>",
        encoding="utf-8",
    )
    browser.open(page, 400)
    seen = browser.run(LOOK)
    assert any("console.error" in text for text in browser.complaints)
    assert any("undefined_name" in text for text in browser.complaints)
    assert browser.requests == ["http://localhost:9/x.png"]
    assert seen["empty"]
    assert seen["overlaps"] == [["one text", "another"]]


def test_the_policy_of_a_page_forbids_what_gets_into_it(browser, tmp_path):
    check = stored("factor")
    text = replace(check, reason="MARK").to_html()
    page = tmp_path / "report.html"
    page.write_text(text.replace("MARK", "<img src=http://localhost:9/x.png><script>alert(1)</script>"), "utf-8")
    browser.open(page)
    assert browser.requests == []
    assert any("Content Security Policy" in text for text in browser.complaints)
