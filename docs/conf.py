"""Sphinx's settings; `make docs` builds into docs/_build, with every warning an error and no network."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "heatlift"
author = "the heatlift developers"
project_copyright = author
version = release = installed("heatlift")
language = "en_GB"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings put names in single backticks

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"heatlift {release}"
