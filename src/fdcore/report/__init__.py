"""Reports of results that were computed elsewhere: text, JSON, HTML, plots."""

from fdcore.check import GradientCheck
from fdcore.report import fields, text

__all__ = ["fields", "text"]

GradientCheck.forms.update(text=text.render, plain=fields.plain)
