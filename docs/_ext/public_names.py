"""The API reference: the directive ``public`` documents the public names of a module from their docstrings.

    .. public:: funcnn.fft

documents everything in ``funcnn.fft.__all__``, layers and other classes apart from functions. With names as content it documents
those, and other pages have to show the rest: a public name that no page shows, or that two show, is a warning.
"""

import enum
import importlib
import inspect
import re
import types
import typing

import attrs
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import logging

import funcnn as fn

logger = logging.getLogger(__name__)
NAPOLEON = Config(napoleon_use_param=True, napoleon_use_rtype=False, napoleon_use_ivar=True)
ABSOLUTE_VALUE = re.compile(r"(?<![`|\w])\|(\w[^|`\n]*)\|(?![`|])")  # no substitution of reStructuredText
ELSEWHERE = {"funcnn.frozendict"}  # shown as funcnn.tree.frozendict
CONSTANTS = (int, float, str, bool, tuple, type(None), enum.Enum, fn.Dtype, type(fn.floating), fn.array)


def public_names(module):
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__ and n[0] != "_"
        ]
    return [n for n in names if not n.startswith("__") and not isinstance(getattr(module, n), types.ModuleType)]


def kind_of(value):
    if isinstance(value, CONSTANTS) or typing.get_origin(value) is not None:
        return "data"
    return "class" if inspect.isclass(value) else "function"


def heading_of(value):
    kind = kind_of(value)
    if kind == "class":
        from funcnn import nn

        if is_optimizer(value):
            return "Optimisers"
        return "Layers" if issubclass(value, nn.Layer) and value is not nn.Layer else "Classes"
    return {"data": "Constants", "function": "Functions"}[kind]


def is_optimizer(cls):
    return cls.__module__.startswith("funcnn.optim.") and attrs.has(cls) and hasattr(cls, "update")


def shortened(annotation):
    """An annotation as the sources would write it, without the names of modules."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b[a-z_]\w*(\.\w+)*\.(?=\w)", "", text.strip("'\""))


def text_of(signature, types_of=None):
    """A signature with short annotations and defaults that read like the call."""
    parameters = []
    for p in signature.parameters.values():
        annotation = (types_of or {}).get(p.name, p.annotation)
        if annotation is not p.empty:
            p = p.replace(annotation=Raw(shortened(annotation)))
        if p.default is not p.empty:
            p = p.replace(default=Raw(default_text(p.default)))
        parameters.append(p)
    returns = signature.return_annotation
    returns = returns if returns is signature.empty else Raw(shortened(returns))
    return str(inspect.Signature(parameters, return_annotation=returns))


class Raw:
    """What prints as its text, among quotes that Python would put around it."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def default_text(value):
    if inspect.isclass(value) or (callable(value) and hasattr(value, "__name__")):
        return value.__name__
    return re.sub(r"<.*? at 0x[0-9a-f]+>", "...", repr(value))


def signatures(name, value):
    """The signatures to show, and the docstring without them."""
    doc = inspect.getdoc(value) or ""
    if hasattr(value, "__nb_signature__"):  # a function of nanobind: each overload and its docstring
        shown, docs = [], []
        for signature, text, *_ in value.__nb_signature__:
            arguments = signature.removeprefix("def ")[signature.removeprefix("def ").index("(") :]
            shown.append(name + shortened_arguments(arguments))
            docs += [text] if text and text not in docs else []
        return shown, inspect.cleandoc("\n\n".join(docs))
    if kind_of(value) == "data":
        return [name], doc if isinstance(value, fn.Dtype.__class__) else ""
    if inspect.isclass(value):
        return [name + constructor(value)], doc
    try:
        return [name + text_of(inspect.signature(value))], doc
    except (TypeError, ValueError):
        return [name], doc


def shortened_arguments(text):
    return re.sub(r"\b[a-z_]\w*(\.\w+)*\.(?=[A-Za-z]\w*)", "", text)


def constructor(cls):
    if hasattr(cls.__init__, "__nb_signature__"):
        text = cls.__init__.__nb_signature__[0][0]
        return shortened_arguments(re.sub(r"^def __init__\(self(, )?", "(", text).removesuffix(" -> None"))
    try:
        signature = inspect.signature(cls).replace(return_annotation=inspect.Signature.empty)
    except (TypeError, ValueError):
        return ""
    types_of = {}
    if attrs.has(cls):
        types_of = {f.alias: f.type if f.type is not None else inspect.Parameter.empty for f in attrs.fields(cls)}
    return text_of(signature, types_of)


def members(cls):
    """The methods and properties to document: public, with a docstring, and not those that every layer or optimiser has."""
    from funcnn import nn

    inherited = set()
    if issubclass(cls, nn.Layer) and cls is not nn.Layer:
        inherited = {"init", "apply"}
    elif is_optimizer(cls):
        inherited = {"init", "update"}
    for name, value in sorted(vars(cls).items()):
        if name.startswith("_") or name in inherited or issubclass(cls, enum.Enum):
            continue
        raw = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        is_property = isinstance(value, property)
        if (callable(raw) or is_property) and inspect.getdoc(raw):
            yield name, raw, "property" if is_property else "method"


def described(name, value, kind, indent=""):
    """The lines of reStructuredText that describe one object."""
    shown, doc = signatures(name.rsplit(".", 1)[-1], value) if kind != "property" else ([""], inspect.getdoc(value))
    prefix = name.rsplit(".", 1)[0] + "." if "." in name else ""
    shown = [re.sub(r"\(self(, )?/?(, )?", "(", text, count=1) for text in shown] if kind == "method" else shown
    lead = f"{indent}.. py:{kind}:: "
    if kind == "property":
        lines = [lead + name]
    else:
        lines = [(lead if i == 0 else " " * len(lead)) + prefix + text for i, text in enumerate(shown)]
    if kind == "data":
        lines.append(f"{indent}   :value: {shortened(repr(value)) if typing.get_origin(value) else repr(value)}")
    lines.append("")
    doc = ABSOLUTE_VALUE.sub(r"\\|\1\\|", doc)
    body = str(GoogleDocstring(doc, NAPOLEON, what=kind)).splitlines()
    lines += [f"{indent}   {line}".rstrip() for line in body]
    lines.append("")
    if kind == "class":
        for member, child, member_kind in members(value):
            lines += described(member, child, member_kind, indent + "   ")
    return lines


class Public(Directive):
    required_arguments = 1
    has_content = True

    def run(self):
        env = self.state.document.settings.env
        module = importlib.import_module(self.arguments[0])
        everything = public_names(module)
        names = " ".join(self.content).split() or everything
        shown = env.shown_names.setdefault(module.__name__, {})
        lines = [f".. py:currentmodule:: {module.__name__}", ""]
        if not self.content:
            lines += [*str(GoogleDocstring(inspect.getdoc(module) or "", NAPOLEON)).splitlines(), ""]
        groups = {}
        for name in sorted(names, key=lambda n: (n.lower(), n)):
            if name not in everything:
                logger.warning("%s has no public name %s", module.__name__, name, location=env.docname)
                continue
            if name in shown:
                logger.warning("%s.%s is shown twice", module.__name__, name, location=env.docname)
            shown[name] = env.docname
            groups.setdefault(heading_of(getattr(module, name)) if not self.content else "", []).append(name)
        for heading in sorted(groups, key=["", "Layers", "Optimisers", "Functions", "Classes", "Constants"].index):
            if len(groups) > 1:
                lines += [heading, "-" * len(heading), ""]
            for name in groups[heading]:
                value = getattr(module, name)
                lines += described(name, value, kind_of(value))
        section = nodes.Element()
        content = StringList(lines, source=f"{module.__name__}")
        self.state.nested_parse(content, 0, section, match_titles=True)
        return section.children


def forget(app, env, docname):
    for shown in env.shown_names.values():
        for name in [n for n, where in shown.items() if where == docname]:
            del shown[name]


def check_complete(app, env):
    for module, shown in env.shown_names.items():
        for name in public_names(importlib.import_module(module)):
            if name not in shown and f"{module}.{name}" not in ELSEWHERE:
                logger.warning("no page of docs/reference shows %s.%s", module, name)


def start(app, env, docnames):
    if not hasattr(env, "shown_names"):
        env.shown_names = {}


def setup(app):
    app.add_directive("public", Public)
    app.connect("env-before-read-docs", start)
    app.connect(
        "env-purge-doc", lambda app, env, docname: forget(app, env, docname) if hasattr(env, "shown_names") else None
    )
    app.connect("env-check-consistency", check_complete)
    return {"version": "1", "parallel_read_safe": False}
