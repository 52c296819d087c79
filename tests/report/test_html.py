"""The HTML report: stands by itself, escapes everything, shows what the text shows."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import fdcore as fd

pytest.importorskip("jinja2")

NASTY = "<script>alert('$x$')</script>&\"W"


class Page(HTMLParser):
    VOID = frozenset({"meta", "link", "path", "use", "image", "rect", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.data = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [
            v for k, v in attributes if k in ("src", "href", "xlink:href") and v and not v.startswith(("#", "data:"))
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append(data)


def check(factor=2.0, name=NASTY):
    params = {name: np.arange(1.0, 7.0).reshape(2, 3), "b": np.ones(2)}

    def grad(p):
        g = {k: 3 * v**2 for k, v in p.items()}
        g[name][1, 2] *= factor
        return g

    return fd.check_gradient(lambda p: float(sum(np.sum(v**3) for v in p.values())), grad, params)


def test_page_stands_by_itself_and_is_well_formed():
    text = check().to_html()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.links == []
    assert "script" not in page.tags
    assert page.tags.count("figure") == 2
    assert page.tags.count("svg") == 2


def test_names_and_values_are_escaped_and_shown():
    page = Page(check().to_html())
    text = "".join(page.data)
    assert f"{NASTY}[1, 2]" in text
    assert "only entry [1, 2] is wrong" in text


def test_same_rows_as_the_text():
    for factor in (1.0, 2.0, np.nan):
        result = check(factor, "W")
        shown = "".join(Page(result.to_html()).data)
        for line in str(result).splitlines():
            if line.startswith(("W", "b ")):
                assert all(cell in shown for cell in line.split())


def test_page_is_the_same_each_time():
    result = check()
    assert result.to_html() == result.to_html()


def test_notebooks_get_a_fragment():
    text = check()._repr_html_()
    page = Page(text)
    assert "html" not in page.tags
    assert "svg" not in page.tags
    assert "table" in page.tags


def test_without_jinja2(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError):
        check().to_html()
    text = check()._repr_html_()
    assert text.startswith("<pre>wrong: ")
    assert "<script>" not in text


def test_large_reports_stay_small():
    x = np.linspace(1, 2, 900)
    result = fd.check_gradient(lambda x: float(np.sum(x**2)), lambda x: 3 * x, x)
    assert len(result.to_html()) < 600_000
    assert "800 more" in result.to_html()


def test_projected_and_empty_figures():
    x = np.linspace(1, 2, 5000)
    result = fd.check_gradient(lambda x: float(np.sum(x**2)), lambda x: 2 * x, x)
    assert "svg" not in Page(result.to_html()).tags


def test_without_matplotlib_the_page_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(check().to_html())
    assert "svg" not in page.tags
    assert "fdcore[plot]" in "".join(page.data)


def test_a_users_style_does_not_reach_the_figures():
    matplotlib = pytest.importorskip("matplotlib")
    result = check()
    expected = result.to_html()
    with matplotlib.rc_context({"axes.facecolor": "pink", "svg.fonttype": "path", "font.size": 30}):
        assert result.to_html() == expected
        assert matplotlib.rcParams["axes.facecolor"] == "pink"


def test_a_notebook_gets_something_whatever_happens(monkeypatch):
    from fdcore.report import fields

    result = check()
    kept = fields.parameters
    calls = []

    def fail_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("broken")
        return kept(*arguments)

    monkeypatch.setattr(fields, "parameters", fail_once)
    assert result._repr_html_().startswith("<pre>wrong: ")


def test_ids_are_unique_and_tables_have_scopes():
    text = check().to_html()
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids)) > 10
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', text)) <= set(ids)
    assert text.count('<th scope="col"') == 7 + 6
    assert text.count('<th scope="row"') == 2 + 1
    assert text.count('role="img"') == 2


def test_figures_of_complex_parameters():
    pytest.importorskip("matplotlib")
    from fdcore.report import figures

    at = {"z": np.array([1 + 2j, -0.5 + 0.3j]), "x": np.array([1.0, 2.0, 3.0])}

    def f(p):
        return float(np.sum(np.abs(p["z"]) ** 2) + p["x"] @ p["x"])

    for name, factor in (("x", np.array([2.0, 2.0, 3.0])), ("z", np.array([2.0, 2.0 + 1.0j]))):
        result = fd.check_gradient(
            f, lambda p, n=name, k=factor: {"z": 2 * p["z"], "x": 2 * p["x"]} | {n: k * p[n]}, at
        )
        assert {entry.parameter for entry in result.wrong} == {name}
        drawn = figures.of_check(result)
        assert [f"wrong ({len(result.wrong)})" in drawn[0].svg, len(drawn)] == [True, 2]
        assert f"Error map of {name}:" in drawn[1].caption or name == "x"
        assert ("real and imaginary part" in drawn[1].svg) == (name == "z")
