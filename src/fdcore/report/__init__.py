"""Reports of results that were computed elsewhere: text, JSON, HTML, plots."""

from fdcore.check import GradientCheck
from fdcore.report import fields, html, text

__all__ = ["fields", "html", "text"]

GradientCheck.forms.update(text=text.render, plain=fields.plain, html=html.page, fragment=html.fragment)
