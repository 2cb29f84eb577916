"""Splitting a tree into the leaves that are meant and the rest."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from .. import _core
from .._core import PyTreeDef
from ._basic import absent, broadcast_prefix, leaves

# A glob, a predicate on path and leaf, or a tree of bools.
Where = str | Callable[[str, Any], bool] | Any

_NEAR, _SHOWN = 3, 20  # paths in messages


def partition(tree: Any, where: Where) -> tuple[Any, Any]:
    """Split a tree in two: the leaves that are meant, and the others.

    Both parts keep every container. In the place of a leaf that belongs to the other part stands ``absent``, a node
    without leaves, so that ``map``, ``grad`` and an optimiser over a part see only its own leaves. ``merge`` puts the parts
    together again.

    Args:
        tree: Any tree.
        where: Which leaves are meant: a glob over paths, where ``*`` stands for anything within one key, ``?`` for one
            character and ``**`` for any number of keys, none included (write ``\\*`` and ``\\?`` for the characters
            themselves); or a function of path and leaf; or a tree of bools with the structure of ``tree`` or of its upper
            levels.

    Returns:
        ``(selected, rest)``.

    Raises:
        ValueError: The tree of bools does not fit; or the glob is malformed, or matches no path of a tree that has any, as it
            would by a slip of the pen (paths of ``absent`` count). A function and a tree of bools may mean nothing.
        TypeError: It holds something else than bools.

    >>> from funcnn import tree
    >>> params = {"dense": {"weight": 1, "lora_a": 2}, "lora_b": 3}
    >>> lora, rest = tree.partition(params, "**.lora_*")
    >>> lora
    {'dense': {'lora_a': 2, 'weight': absent}, 'lora_b': 3}
    >>> tree.leaves(rest), tree.merge(lora, rest) == params
    ([1], True)
    """
    if isinstance(where, str):
        check_glob("partition", tree, where)
    return divided(tree, where)


def divided(tree: Any, where: Where) -> tuple[Any, Any]:
    """``partition`` by a glob that may match nothing."""
    found, treedef = _core.tree_flatten(tree, None)
    chosen = _select(tree, treedef, found, where)
    selected = [leaf if yes else absent for leaf, yes in zip(found, chosen, strict=True)]
    rest = [absent if yes else leaf for leaf, yes in zip(found, chosen, strict=True)]
    return treedef.unflatten(selected), treedef.unflatten(rest)


def check_glob(name: str, tree: Any, glob: str) -> None:
    """Raise where a tree has paths and a glob matches none of them."""
    if any(_core.tree_match_glob(_core.tree_flatten(tree, None)[1], glob)):
        return
    treedef = _core.tree_flatten_with_absent(tree)[1]
    paths = treedef.paths()
    if not paths or any(_core.tree_match_glob(treedef, glob)):
        return
    near = " or ".join(map(repr, difflib.get_close_matches(glob, paths, _NEAR)))
    meant = f"did you mean {near}? There are" if near else "there are"
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    raise ValueError(f"{name}: {glob!r} matches no path; {meant} {', '.join(map(repr, paths[:_SHOWN]))}{more}")


def filter(tree: Any, where: Where) -> Any:
    """Keep the leaves that are meant and leave ``absent`` for the others: the first part of ``partition``.

    >>> from funcnn import tree
    >>> tree.leaves(tree.filter({"weight": 1, "bias": 2}, lambda path, leaf: path.endswith("bias")))
    [2]
    """
    return partition(tree, where)[0]


def _select(tree: Any, treedef: PyTreeDef, found: list[Any], where: Where) -> list[bool]:
    if isinstance(where, str):
        return _core.tree_match_glob(treedef, where)
    if callable(where):
        return [bool(where(path, leaf)) for path, leaf in zip(treedef.paths(), found, strict=True)]
    mask: list[bool] = leaves(broadcast_prefix(where, tree))
    if any(type(yes) is not bool for yes in mask):
        path, yes = next(pair for pair in zip(treedef.paths(), mask, strict=True) if type(pair[1]) is not bool)
        raise TypeError(f"partition: the mask must hold bools, got {type(yes).__name__} for {path or 'the root'}")
    return mask
