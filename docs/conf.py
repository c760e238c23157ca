"""How Sphinx builds the pages:  pip install -e '.[docs]' && sphinx-build -W docs docs/_build"""

from b2luigi import __version__

project = "b2luigi"
author = "The b2luigi founders"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
smartquotes = False  # a flag has two hyphens, and quotes can be copied
nitpicky = False  # otherwise all types of luigi and of Python would have to be resolvable

myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
default_role = "code"  # docstrings are written for people: `this` is code

html_theme = "furo"
html_title = f"b2luigi {version}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_show_copyright = False
html_show_sphinx = False
