"""Sphinx's settings; `make docs` builds into docs/_build, with every warning an error and no network."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

project = "heatlift"
author = "the heatlift developers"
project_copyright = author
version = release = installed("heatlift")
language = "en_GB"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings put names in single backticks

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Notebooks have no outputs in the repository: each build runs them, and an error in one ends it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress
# Notebooks find the command that is installed beside this Sphinx. One thread: several, on cores that are
# busy with something else, wait for one another.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.setdefault("OMP_NUM_THREADS", "1")

html_theme = "furo"
html_title = f"heatlift {release}"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["formulas.css"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Formulas as MathML, which browsers draw themselves: MathJax would come from the network."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.connect("builder-inited", _within_the_build, priority=900)
    return {"parallel_read_safe": True}


def _within_the_build(app: Sphinx) -> None:
    # Beside the build's folder otherwise, which is among the sources here.
    app.env.mystnb_config = app.env.mystnb_config.copy(output_folder=str(Path(app.outdir, "jupyter_execute")))


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode
