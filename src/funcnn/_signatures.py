"""The signatures of the native core's functions, read from the texts that they were defined with."""

from __future__ import annotations

import ast
import inspect
from typing import Any

_EMPTY = inspect.Parameter.empty


class Text(str):
    """Source text, which prints as it is in a signature."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(function: Any) -> inspect.Signature | None:
    """The ``__signature__`` of a function or method; of several the one with most parameters. None if it is not ours."""
    unbound = getattr(function, "__func__", function)
    if not str(getattr(unbound, "__module__", "")).startswith("funcnn"):
        return None
    found = max(overloads(unbound), key=lambda s: len(s.parameters), default=None)
    if found is None or unbound is function:
        return found
    return found.replace(parameters=list(found.parameters.values())[1:])


def overloads(function: Any) -> list[inspect.Signature]:
    """All signatures that a function can be called with; annotations are texts, and so are defaults that are no literals."""
    texts = getattr(function, "__nb_signature__", None) or ()
    return [found for text, *_ in texts if (found := _parsed(text)) is not None]


def _parsed(text: str) -> inspect.Signature | None:
    try:
        definition = ast.parse(f"{text}: ...").body[0]
    except (SyntaxError, TypeError):
        return None
    if not isinstance(definition, ast.FunctionDef):
        return None
    given, made = definition.args, []

    def add(argument: ast.arg | None, kind: Any, default: ast.expr | None = None) -> None:
        if argument is not None:
            made.append(
                inspect.Parameter(argument.arg, kind, default=_value(default), annotation=_text(argument.annotation))
            )

    positional: list[tuple[ast.arg, Any]] = [(a, inspect.Parameter.POSITIONAL_ONLY) for a in given.posonlyargs]
    positional += [(a, inspect.Parameter.POSITIONAL_OR_KEYWORD) for a in given.args]
    defaults: list[Any] = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    for (argument, kind), default in zip(positional, defaults, strict=True):
        add(argument, kind, default)
    add(given.vararg, inspect.Parameter.VAR_POSITIONAL)
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        add(argument, inspect.Parameter.KEYWORD_ONLY, default)
    add(given.kwarg, inspect.Parameter.VAR_KEYWORD)
    return inspect.Signature(made, return_annotation=_text(definition.returns))


def _text(annotation: ast.expr | None) -> Any:
    return _EMPTY if annotation is None else Text(ast.unparse(annotation))


def _value(default: ast.expr | None) -> Any:
    if default is None:
        return _EMPTY
    try:
        return ast.literal_eval(default)
    except ValueError:
        return Text(ast.unparse(default))
