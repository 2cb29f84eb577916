"""The calls of the table with arguments given by the names that MLX has for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from tests.compat.core.table import TABLE


def keyword_calls(mx: Any) -> Iterator[str]:
    """From what MLX says of its functions, every call with its last positional arguments by name."""
    for name, calls in TABLE.items():
        function = mx
        for part in name.split("."):
            function = getattr(function, part)
        for signature in getattr(function, "__nb_signature__", ()):
            first, names = _positional(signature[0])
            for call in calls:
                yield from _by_name(name, call, first, names)


def _positional(signature: str) -> tuple[int, list[str]]:
    """How many parameters have a place only, and the names of all that may be given by place."""
    parts, depth = [""], 0
    for letter in signature[signature.index("(") + 1 : signature.rindex(")")]:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    names = [part.split(":")[0].split("=")[0].strip() for part in parts]
    first = names.index("/") if "/" in names else 0
    names = [name for name in names if name not in ("", "/")]
    last = next((i for i, name in enumerate(names) if name.startswith("*")), len(names))
    return first, names[:last]


def _by_name(name: str, call: str, first: int, names: list[str]) -> Iterator[str]:
    try:
        node = ast.parse(f"f{call}", mode="eval").body
    except SyntaxError:
        return
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    if any(isinstance(x, ast.Starred) for x in node.args):
        return
    given = [ast.unparse(x) for x in node.args]
    others = [f"{x.arg}={ast.unparse(x.value)}" for x in node.keywords]
    if len(given) > len(names) or {x.arg for x in node.keywords} & {*names[first : len(given)]}:
        return
    for places in range(first, len(given)):
        named = [f"{key}={x}" for key, x in zip(names[places:], given[places:], strict=False)]
        yield f"mx.{name}({', '.join([*given[:places], *named, *others])})"
