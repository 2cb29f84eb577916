"""Trees of mutable and immutable handles on the same values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _core


def _mapped(tree: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(tree, _core.array):
        return convert(tree)
    if isinstance(tree, (list, tuple)):
        items = [_mapped(item, convert) for item in tree]
        if all(new is old for new, old in zip(items, tree, strict=True)):
            return tree
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if type(tree) is dict:
        return {key: _mapped(item, convert) for key, item in tree.items()}
    return tree


def mutable(tree: Any) -> Any:
    """New mutable handles on the arrays in dicts, lists and tuples; all else as it is."""
    return _mapped(tree, _core._mutable)


def immutable(tree: Any) -> Any:
    """Immutable handles on the arrays in dicts, lists and tuples; all else as it is."""
    return _mapped(tree, _core._immutable)
