"""Paths: the keys from the root of a tree to a node of it, as one text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import _core


def join_path(keys: Iterable[Any]) -> str:
    r"""Make the path of these keys.

    The texts of the keys are joined by dots. A dot or backslash inside a key gets a backslash before it, and an empty key
    is written ``\e``, so that different keys have different paths. The path of the root, which no key leads to, is empty.

    Args:
        keys: Strings, integers (for items of sequences) or whatever a dict is keyed with. The text of a key is its
            ``str()``, and for subclasses of ``str`` and ``int``, enumerations among them, their value.

    >>> from funcnn import tree
    >>> tree.join_path(["layers", 0, "weight"])
    'layers.0.weight'
    >>> print(tree.join_path(["a.b", ""]), tree.join_path(["a", "b"]))
    a\.b.\e a.b
    """
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise TypeError(f"tree.join_path: keys must be a list of keys, got {keys!r} ({type(keys).__name__})")
    return _core.tree_join_path(keys)


def split_path(path: str) -> tuple[str, ...]:
    r"""Return the texts of the keys that a path is made of: the inverse of ``join_path`` for strings.

    Raises:
        ValueError: The path has an empty key or a backslash that stands before none of ``.``, ``\`` and ``e``.

    >>> from funcnn import tree
    >>> tree.split_path("layers.0.weight")
    ('layers', '0', 'weight')
    >>> tree.split_path(r"a\.b"), tree.split_path("")
    (('a.b',), ())
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a string, got {path!r} ({type(path).__name__}); tree.join_path makes one of keys")
    return tuple(_core.tree_split_path(path))
