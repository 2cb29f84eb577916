"""The site: `make docs` renders these pages and the docstrings to build/docs/index.html."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

project = "funcnn"
author = copyright = "the funcnn authors"
html_title = "funcnn"

extensions = ["myst_parser", "sphinx_copybutton", "guides", "public_names"]
exclude_patterns = ["_ext"]
templates_path = []
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

default_role = "code"  # `axis` in a docstring is an argument
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.xref_ambiguous"]

add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# Types of arguments are texts of signatures; what a docstring or a page refers to has to be there.
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*"), ("py:exc", ".*")]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
