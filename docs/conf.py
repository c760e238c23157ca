"""How Sphinx builds the pages:  pip install -e '.[docs]' && sphinx-build -W docs docs/_build"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from b2luigi import __version__

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

project = "b2luigi"
author = "The b2luigi founders"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
smartquotes = False  # a flag has two hyphens, and quotes can be copied
nitpicky = True  # each name that looks like a link is one, but for names of Python and luigi, and names of types
nitpick_ignore_regex = [
    ("py:.*", r"(collections|pathlib|os|logging|luigi)\..*|.*\b(Run|TaskClass)|ResultQueue|LuigiRunResult"),
]
linkcheck_ignore = [r"http://localhost"]
"""To check the links to other sites, too:  sphinx-build -b linkcheck docs docs/_build/links"""

myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_typehints = "description"  # a list of arguments with their types
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
default_role = "code"  # docstrings are written for people: `this` is code

html_theme = "furo"
html_title = f"b2luigi {version}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_js_files = ["own.js"]
html_show_copyright = False
html_show_sphinx = False


def with_fields(lines: list[str], names: Collection[str]) -> list[str]:
    """A docstring with each line "`name`: text" about an argument as a field, which Sphinx shows in a list.

    `names`: of the arguments. Lines that follow belong to the same text, up to an empty one.
    """
    found: list[str] = []
    is_in_field = False
    for line in lines:
        argument = re.match(r"`(\w+)`: (.*)", line)
        if argument and argument[1] in names:
            if found and not is_in_field and found[-1].strip():
                found.append("")
            is_in_field = True
            found.append(f":param {argument[1]}: {argument[2]}")
        else:
            is_in_field = is_in_field and bool(line.strip())
            found.append(f"    {line}" if is_in_field else line)
    return found


def _use_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("function", "method", "class") and callable(obj):
        try:
            names = inspect.signature(obj).parameters
        except ValueError:
            return
        lines[:] = with_fields(lines, names)


def _tidy_fields(app: Sphinx, tree: nodes.document, page: str) -> None:
    """A colon after each argument, and no return type that says nothing."""
    from docutils import nodes  # with Sphinx only

    for text in list(tree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(": "))
    for field in list(tree.findall(nodes.field)):
        if _is_empty(field):
            fields = field.parent
            fields.remove(field)
            if not fields.children:
                fields.parent.remove(fields)


def _is_empty(field: nodes.field) -> bool:
    """A return type that says nothing; arguments of a class that are explained below, as attributes."""
    name, body = (part.astext().strip() for part in field.children)
    is_of_class = field.parent.parent.parent.get("objtype") == "class"
    return (name == "Return type" and body in ("Any", "None")) or (
        name == "Parameters" and is_of_class and ": " not in body
    )


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _use_fields)
    app.connect("doctree-resolved", _tidy_fields)
