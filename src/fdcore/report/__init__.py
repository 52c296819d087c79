"""Reports of results that were computed elsewhere: text, JSON, HTML, figures."""

from fdcore.check import GradientCheck, TaylorTest
from fdcore.report import data, fields, figures, html, taylor, text
from fdcore.report.data import from_data

__all__ = ["data", "fields", "figures", "from_data", "html", "taylor", "text"]

GradientCheck.forms.update(text=text.render, plain=data.as_data, html=html.page, fragment=html.fragment)
TaylorTest.forms.update(
    text=taylor.text, plain=taylor.as_data, plot=taylor.paint, html=taylor.page, fragment=taylor.fragment
)
