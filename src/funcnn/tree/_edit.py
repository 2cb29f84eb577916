"""Reading and replacing parts of a tree by path, and merging trees."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from .. import _core
from ._basic import absent
from ._frozendict import frozendict
from ._paths import join_path, split_path

# Where a key can be looked up, for all have one type; other classes with these methods are leaves.
_DICTS = (dict, frozendict, collections.defaultdict)


def _find(node: Any, name: str, above: Sequence[str]) -> tuple[Any, Any]:
    """Return the key and the child that the text of a key names."""
    if type(node) in _DICTS and name in node:
        return name, node[name]
    opened = _core.tree_children(node)
    keys, children = opened if opened is not None else ([], [])
    found = [(key, child) for key, child in zip(keys, children, strict=True) if _core.tree_key_text(key) == name]
    where = f"at {join_path(above)}" if above else "at the root"
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"{name!r} {where} of the tree stands for two keys: {', '.join(repr(key) for key, _ in found)}"
        )
    what = (
        f"there are {keys}"
        if keys
        else f"it is a leaf ({type(node).__name__})"
        if opened is None
        else f"it is {node!r}"
    )
    raise KeyError(f"no {name!r} {where} of the tree: {what}")


def _replace(node: Any, key: Any, value: Any) -> Any:
    """Return the container ``node`` with another child; the others are shared."""
    if type(node) is dict:
        return {**node, key: value}
    if type(node) is frozendict:
        return node | {key: value}
    keys, children = _core.tree_children(node) or ([], [])
    return _core.tree_with_children(
        node, [value if k == key else child for k, child in zip(keys, children, strict=True)]
    )


def get(tree: Any, path: str) -> Any:
    """Return the subtree or leaf at a path.

    Raises:
        KeyError: There is nothing at this path; the message says how far it leads and what is there.
        ValueError: The path is malformed (see ``split_path``), or stands for two keys, as 1 and "1" of an OrderedDict.

    >>> from funcnn import tree
    >>> tree.get({"layers": ({"weight": 1}, {})}, "layers.0.weight")
    1
    """
    names = split_path(path)
    for depth, name in enumerate(names):
        tree = _find(tree, name, names[:depth])[1]
    return tree


def set(tree: Any, path: str, value: Any) -> Any:
    """Return a tree with another subtree or leaf at a path, sharing everything else.

    Args:
        tree: Any tree; it is not changed.
        path: A path that exists: to add keys use ``merge``.
        value: What to put there; it need not have the structure of what it replaces.

    Raises:
        KeyError: There is nothing at this path.
        ValueError: The path is malformed (see ``split_path``), or stands for two keys, as 1 and "1" of an OrderedDict.

    >>> from funcnn import tree
    >>> tree.set({"layers": ({"weight": 1}, {})}, "layers.0.weight", 2)
    {'layers': ({'weight': 2}, {})}
    """
    steps = []
    names = split_path(path)
    for depth, name in enumerate(names):
        key, child = _find(tree, name, names[:depth])
        steps.append((tree, key))
        tree = child
    for node, key in reversed(steps):
        value = _replace(node, key, value)
    return value


def merge(a: Any, b: Any) -> Any:
    """Put what ``b`` holds into ``a``: deep, and sharing what does not change.

    A leaf of ``b`` replaces the leaf in its place. ``absent``, ``None`` and empty containers in either tree stand for
    "nothing here". Dicts merge key by key, keys that only one has are kept, and the result has the class of ``a``'s.
    Sequences and registered classes merge item by item with one of the same length, or with a dict from some of their
    indices (or field names) to updates.

    So ``merge`` puts back together what ``partition`` took apart, and applies the sparse updates of ``Layer.apply``.

    Raises:
        ValueError: A leaf meets a container, lengths differ, or a dict names a child that a sequence has not; the message
            names the path.

    >>> from funcnn import tree
    >>> tree.merge({"layers": ({"mean": 0, "gain": 1}, {})}, {"layers": {0: {"mean": 5}}})
    {'layers': ({'mean': 5, 'gain': 1}, {})}
    """
    ours, treedef = _core.tree_flatten_with_absent(a)
    theirs, other = _core.tree_flatten_with_absent(b)
    if treedef == other:
        return treedef.unflatten([x if y is absent else y for x, y in zip(ours, theirs, strict=True)])
    return _merge(a, b, ())


def _merge(a: Any, b: Any, path: tuple[Any, ...]) -> Any:
    if b is absent or b is None or b is a:
        return a
    if a is absent or a is None:
        return b
    a_is_dict, b_is_dict = isinstance(a, (dict, frozendict)), isinstance(b, (dict, frozendict))
    ours, theirs = _core.tree_children(a), _core.tree_children(b)
    if theirs is not None and not theirs[0]:
        return a
    if ours is not None and theirs is not None and a_is_dict and b_is_dict:
        return _merge_dicts(a, b, path)
    if ours is not None and not ours[0]:
        return b
    if ours is None and theirs is None:
        return b
    if ours is None or theirs is None:
        raise ValueError(
            f"merge: at {join_path(path) or 'the root'} the first tree has {_kind(a)}, the second {_kind(b)}"
        )
    keys, children = ours
    if b_is_dict:
        updates = {_core.tree_key_text(key): value for key, value in b.items()}
        names = [_core.tree_key_text(key) for key in keys]
        unknown = [key for key in b if _core.tree_key_text(key) not in names]
        if unknown:
            raise ValueError(
                f"merge: at {join_path(path) or 'the root'} the second tree has the keys {unknown}, which {_kind(a)} has not"
            )
        updated = [updates.get(name) for name in names]
    else:
        updated = theirs[1]
        plain = isinstance(a, (tuple, list)) and isinstance(b, (tuple, list))
        if len(updated) != len(children) or not (plain or type(a) is type(b)):
            raise ValueError(
                f"merge: at {join_path(path) or 'the root'} the first tree has {_kind(a)}, the second {_kind(b)}"
            )
    merged = [_merge(child, update, (*path, key)) for key, child, update in zip(keys, children, updated, strict=True)]
    if all(new is old for new, old in zip(merged, children, strict=True)):
        return a
    return _core.tree_with_children(a, merged)


def _merge_dicts(a: Any, b: Mapping[Any, Any], path: tuple[Any, ...]) -> Any:
    changes = {}
    for key, value in b.items():
        if key not in a:
            changes[key] = value
        elif (merged := _merge(a[key], value, (*path, key))) is not a[key]:
            changes[key] = merged
    if not changes:
        return a
    if type(a) is dict:
        return {**a, **changes}
    return a | changes


def _kind(tree: Any) -> str:
    opened = _core.tree_children(tree)
    name = type(tree).__name__
    if opened is None:
        return f"a leaf ({name})"
    return f"a {name} with the keys {opened[0]}"
