"""Sphinx configuration: `python -m sphinx -W -b html docs docs/_build/html`.

Lessons and gallery are run as the site is built, and an error in one fails the build. The pages make no network
request (docs/_ext/offline.py).
"""

import os
import sys
import tomllib
from pathlib import Path

_here = Path(__file__).parent
sys.path.insert(0, str(_here / "_ext"))

_project = tomllib.loads((_here.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _project["name"]
version = release = _project["version"]
author = "The fdcore developers"
copyright = f"2026, {author}"

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "offline", "tables"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "_templates", "**/.ipynb_checkpoints"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section states the types, with shapes
numpydoc_show_class_members = False

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
os.environ.setdefault("MATPLOTLIBRC", str(_here / "_static" / "matplotlibrc"))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a lesson's arrays are small

html_theme = "pydata_sphinx_theme"
html_title = f"fdcore {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {page: [] for page in ("index", "start", "gallery", "theory", "compare", "capi", "reference")}
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
}
