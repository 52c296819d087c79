"""Sphinx configuration: `python -m sphinx -W -b html docs docs/_build/html`."""

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _project["name"]
version = release = _project["version"]
author = "The fdcore developers"
copyright = f"2026, {author}"

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section states the types, with shapes
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"fdcore {version}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
