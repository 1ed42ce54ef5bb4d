"""How Sphinx makes a site of these pages."""

project = "ORAC"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["grafana"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "ORAC"
html_copy_source = False
html_show_sphinx = False
autodoc_typehints_format = "short"
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
napoleon_use_ivar = True
