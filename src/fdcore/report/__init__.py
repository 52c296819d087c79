"""Reports of results that were computed elsewhere: text, JSON, HTML, figures."""

from fdcore.check import GradientCheck
from fdcore.report import data, fields, figures, html, text
from fdcore.report.data import from_data

__all__ = ["data", "fields", "figures", "from_data", "html", "text"]

GradientCheck.forms.update(text=text.render, plain=data.as_data, html=html.page, fragment=html.fragment)
