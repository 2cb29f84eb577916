"""What makes guides that read well as plain Markdown into a site.

The index lists its pages under headings, in the reading order: that is the navigation. Links to files of the repository outside of
docs/ lead to the pages that show them, or to nothing but their name. `fn.vmap` in a text leads to its reference.
"""

import pathlib
import pkgutil
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"^- \[[^\]]*\]\(([\w./]+)\.(?:md|rst)\)", re.MULTILINE)
SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
# Files of the repository that are pages of the site, by the names of the pages.
INCLUDED = {
    "project/contributing": "CONTRIBUTING.md",
    "project/changelog": "CHANGELOG.md",
    "project/examples": "examples/README.md",
}
TARGET = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
NAME = re.compile(r"(?:fn|funcnn|nn|optim|tree|random|fast|linalg|fft|io|losses|schedules)(?:\.[A-Za-z]\w*)+")
# Pages on which `nn` and `optim` are MLX's.
OF_MLX = {"compat", "mlx", "mlx_lm", "mlx_training"}
SHORT = {"fn": "", "losses": "nn.losses.", "schedules": "optim.schedules."}


def navigation(text):
    """A hidden table of contents for each heading of an index, from the links below it."""
    parts = SECTION.split(text)
    for title, body in zip(["", *parts[1::2]], parts[::2], strict=True):
        if pages := LINK.findall(body):
            caption = [f":caption: {title.replace('`', '')}"] if title else []
            text += "\n".join(["", "```{toctree}", ":hidden:", *caption, "", *pages, "```", ""])
    return text


def relink(text, file, app, docname):
    """Point links at pages of the site."""
    pages = {ROOT / target: page for page, target in INCLUDED.items()}

    def replace(match):
        image, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = (file.parent / target).resolve()
        if path in pages:
            return f"[{label}](/{pages[path]}.md{anchor})"
        if path.is_relative_to(ROOT / "docs"):
            return f"{image}[{label}](/{path.relative_to(ROOT / 'docs')}{anchor})"
        if not path.exists():
            logger.warning("%s does not exist", target, location=docname)
        return label

    return TARGET.sub(replace, text)


def read(app, docname, source):
    if pathlib.Path(app.env.doc2path(docname)).suffix != ".md":
        return
    file = ROOT / INCLUDED.get(docname, f"docs/{docname}.md")
    text = file.read_text(encoding="utf-8")
    text = relink(text, file, app, docname)
    text = text.replace("\n\n```\n", "\n```\n")  # doctest wants the empty line
    source[0] = navigation(text) if docname in ("index", "reference/index") else text


class Names(SphinxPostTransform):
    """Make `fn.vmap` in a text a link to its reference; a name that the library does not have is a warning."""

    default_priority = 5

    def run(self, **kwargs):
        objects = self.env.domains["py"].objects
        for literal in list(self.document.findall(nodes.literal)):
            match = NAME.match(literal.astext())
            if not match or isinstance(literal.parent, (nodes.reference, addnodes.pending_xref)):
                continue
            first, _, rest = match[0].partition(".")
            if self.env.docname in OF_MLX and first not in ("fn", "funcnn"):
                continue
            full = "funcnn." + (SHORT.get(first, f"{first}.") + rest if first != "funcnn" else rest)
            if not exists(full):
                logger.warning("there is no %s", full, location=literal)
            elif full in objects and literal.astext().split("(")[0] == match[0]:
                page, anchor = objects[full].docname, objects[full].node_id
                uri = self.app.builder.get_relative_uri(self.env.docname, page) + "#" + anchor
                link = nodes.reference("", "", internal=True, refuri=uri)
                literal.replace_self(link)
                link += literal


def exists(name):
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError, ValueError):
        return False
    return True


def setup(app):
    app.connect("source-read", read)
    app.add_post_transform(Names)
    return {"version": "1", "parallel_read_safe": True}
