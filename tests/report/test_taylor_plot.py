"""The Taylor plot: as text, as a figure on anybody's axes, as a page."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from test_html import Page

import fdcore as fd

X = np.array([1.0, -2.0, 0.5])


def result(factor=1.0, **options):
    return fd.taylor_test(lambda x: float(np.sum(np.exp(x))), lambda x: factor * np.exp(x), X, **options)


def test_text_has_the_plot_beside_the_numbers():
    for test in (result(), result(1.01), result(h=0.5 ** np.arange(60.0))):
        lines = str(test).splitlines()
        assert len(lines) <= 25
        assert lines[0].startswith(f"{test.verdict}: ")
        rows = [line.split("|")[1] for line in lines[2:] if "|" in line]
        assert all(len(row) == 40 for row in rows)
        places = [row.index("o") for row in rows if "o" in row]
        assert places[0] == 39
        assert places[8] < places[0]
    assert "rounding only" in str(result())
    assert "smaller steps" in str(result(h=0.5 ** np.arange(60.0)))


def test_figure():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    axes = pyplot.figure().add_subplot()
    good = result()
    assert good.plot(ax=axes) is axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["slope 2, as it should be", "remainder", "remainder, used"]
    line = next(line for line in axes.lines if "slope 2" in line.get_label())
    x, y = line.get_xdata(), line.get_ydata()
    assert np.polyfit(np.log(x), np.log(y), 1)[0] == pytest.approx(2.0)
    assert [t.get_text() for t in axes.texts] == ["rounding of f", "higher\nterms"]
    bad = result(1.001)
    axes = bad.plot()
    assert any("what the gradient lacks (0.001 of it)" in t.get_text() for t in axes.get_legend().get_texts())
    lacks = next(line for line in axes.lines if "lacks" in str(line.get_label()))
    assert lacks.get_ydata()[0] == pytest.approx(abs(bad.numeric - bad.analytic) * lacks.get_xdata()[0])
    pyplot.close("all")


@pytest.mark.parametrize("h", [None, [0.1, 0.01, 0.001]])
def test_page(h):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    test = result(1.01, h=h)
    text = test.to_html()
    page = Page(text)
    assert page.tags.count("svg") == 1
    assert page.links == []
    assert text == test.to_html()
    assert "figure" not in Page(test._repr_html_()).tags
    shown = "".join(page.data)
    assert all(f"{step:.2e}" in shown for step in test.h)


def test_without_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(fd.MissingExtraError, match="matplotlib"):
        result().plot()
    assert "fdcore[plot]" in result().to_html()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert result()._repr_html_().startswith("<pre>agrees")
