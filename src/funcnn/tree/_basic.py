"""Taking trees apart and putting them together: the functions of ``jax.tree``."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterable
from typing import Any

from .. import _core
from .._arguments import function
from .._core import PyTreeDef

absent: Any = _core.tree_absent()
IsLeaf = Callable[[Any], bool]
_unset: Any = object()


def _flatten(name: str, tree: Any, is_leaf: IsLeaf | None) -> tuple[list[Any], PyTreeDef]:
    if is_leaf is not None:
        function(is_leaf, f"{name}: is_leaf")
    return _core.tree_flatten(tree, is_leaf)


def _treedef(treedef: Any, what: str) -> PyTreeDef:
    if not isinstance(treedef, PyTreeDef):
        raise TypeError(f"{what} must be a PyTreeDef, as tree.structure makes it, got a {type(treedef).__name__}")
    return treedef


def flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], PyTreeDef]:
    """Take a tree apart into the list of its leaves and its structure.

    Args:
        tree: Any tree; a leaf is a tree too.
        is_leaf: Called with every node, containers included; what it returns true for is a leaf.

    Returns:
        The leaves in order, and the ``PyTreeDef`` that ``unflatten`` wants.

    Raises:
        TypeError: The keys of a dict cannot be sorted.
        RecursionError: The tree is deeper than Python's recursion limit.

    >>> from funcnn import tree
    >>> tree.flatten({"b": 1, "a": (2, None)})
    ([2, 1], PyTreeDef({'a': (*, None), 'b': *}))
    """
    return _flatten("tree.flatten", tree, is_leaf)


def matched(name: str, treedef: PyTreeDef, tree: Any) -> list[Any]:
    """What stands in a tree where a structure has leaves; `name` starts the error."""
    try:
        return treedef.flatten_up_to(tree)
    except ValueError as error:
        raise ValueError(str(error).replace("flatten_up_to", name, 1)) from None


def unflatten(treedef: PyTreeDef, leaves: Iterable[Any]) -> Any:
    """Build the tree of a structure from leaves: the inverse of ``flatten``.

    Raises:
        ValueError: There are more or fewer leaves than the structure has.
        TypeError: `treedef` is no structure, or the leaves cannot be iterated over.

    >>> from funcnn import tree
    >>> tree.unflatten(tree.structure({"a": (0, 0), "b": 0}), [1, 2, 3])
    {'a': (1, 2), 'b': 3}
    """
    if not isinstance(leaves, Iterable):
        raise TypeError(f"tree.unflatten: leaves must be a list of leaves, got a {type(leaves).__name__}")
    return _treedef(treedef, "tree.unflatten: treedef").unflatten(leaves)


def leaves(tree: Any, is_leaf: IsLeaf | None = None) -> list[Any]:
    """List the leaves of a tree in order.

    >>> from funcnn import tree
    >>> tree.leaves({"b": 1, "a": (2, None)})
    [2, 1]
    """
    if is_leaf is not None:
        function(is_leaf, "tree.leaves: is_leaf")
    return _core.tree_leaves(tree, is_leaf)


def structure(tree: Any, is_leaf: IsLeaf | None = None) -> PyTreeDef:
    """Return the structure of a tree: all but its leaves, hashable and comparable.

    >>> from funcnn import tree
    >>> tree.structure([1, (2, 3)]) == tree.structure(["x", ("y", "z")])
    True
    """
    if is_leaf is not None:
        function(is_leaf, "tree.structure: is_leaf")
    return _core.tree_structure(tree, is_leaf)


def restore_structure(state: tuple[Any, ...]) -> PyTreeDef:
    """What a pickle of a structure calls."""
    return _core.tree_restore(state)


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Apply a function to every leaf and keep the structure.

    Args:
        f: Called with a leaf of ``tree`` and what stands in its place in each tree of ``rest``.
        tree: The tree that gives the structure.
        rest: Trees with at least this structure. All kinds of dict with the same keys match each other, as do lists and
            tuples; where ``tree`` has ``absent`` they may have anything.
        is_leaf: As in ``flatten``, for ``tree``.

    Raises:
        ValueError: A tree of ``rest`` has another structure; the message names the path where they differ.
        TypeError: `f` or `is_leaf` is not a function.

    >>> from funcnn import tree
    >>> tree.map(lambda x, y: x + y, {"a": 1, "b": (2, 3)}, {"a": 10, "b": (20, 30)})
    {'a': 11, 'b': (22, 33)}
    """
    if not callable(f) or is_leaf is not None:
        _check_functions("tree.map", f, is_leaf)
    return _core.tree_map(f, tree, *rest, is_leaf=is_leaf)


def _check_functions(name: str, f: Any, is_leaf: Any) -> None:
    function(f, f"{name}: f")
    if is_leaf is not None:
        function(is_leaf, f"{name}: is_leaf")


def reduce(f: Callable[[Any, Any], Any], tree: Any, initializer: Any = _unset, is_leaf: IsLeaf | None = None) -> Any:
    """Combine the leaves from left to right with a function of two arguments, as ``functools.reduce`` does.

    Raises:
        TypeError: The tree has no leaves, and there is no `initializer` to return; or `f` is not a function.

    >>> from funcnn import tree
    >>> tree.reduce(lambda x, y: x + y, {"a": 1, "b": (2, 3)}, 10)
    16
    """
    _check_functions("tree.reduce", f, is_leaf)
    found = _core.tree_leaves(tree, is_leaf)
    if initializer is not _unset:
        return functools.reduce(f, found, initializer)
    if not found:
        raise TypeError("tree.reduce: the tree has no leaves; an initializer would be returned")
    return functools.reduce(f, found)


def all(tree: Any, is_leaf: IsLeaf | None = None) -> bool:
    """Say whether every leaf is true.

    >>> from funcnn import tree
    >>> tree.all({"a": True, "b": (1, 0)})
    False
    """
    return builtins.all(_flatten("tree.all", tree, is_leaf)[0])


def transpose(outer: PyTreeDef, inner: PyTreeDef | None, tree: Any) -> Any:
    """Turn a tree of trees inside out.

    Args:
        outer: The structure of the outer tree.
        inner: The structure that every leaf of the outer tree holds; ``None`` takes it from the first one.
        tree: A tree of structure ``outer`` whose leaves are trees of structure ``inner``.

    Returns:
        A tree of structure ``inner`` whose leaves are trees of structure ``outer``.

    Raises:
        ValueError: ``tree`` has another structure.

    >>> from funcnn import tree
    >>> tree.transpose(tree.structure({"a": 0, "b": 0}), None, {"a": (1, 2), "b": (3, 4)})
    ({'a': 1, 'b': 3}, {'a': 2, 'b': 4})
    """
    parts = matched("tree.transpose", _treedef(outer, "tree.transpose: outer"), tree)
    if inner is None:
        if not parts:
            raise ValueError("tree.transpose: the outer structure has no leaves, so the inner one must be given")
        inner = structure(parts[0])
    _treedef(inner, "tree.transpose: inner")
    columns = zip(*(matched("tree.transpose", inner, part) for part in parts), strict=True)
    trees = [outer.unflatten(column) for column in columns] if parts else [outer.unflatten([])] * inner.num_leaves
    return inner.unflatten(trees)


def broadcast_prefix(prefix: Any, tree: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Spread a tree that covers only the upper levels of another over all of its leaves.

    Args:
        prefix: A tree that is like ``tree`` down to its own leaves.
        tree: The tree that gives the structure.
        is_leaf: As in ``flatten``, for ``prefix``.

    Returns:
        A tree with the structure of ``tree`` in which each leaf of ``prefix`` stands for every leaf of its subtree.

    Raises:
        ValueError: ``prefix`` is no prefix of ``tree``; the message names the path where they differ.

    >>> from funcnn import tree
    >>> tree.broadcast_prefix({"a": 0, "b": 1}, {"a": (5, 6), "b": {"c": 7}})
    {'a': (0, 0), 'b': {'c': 1}}
    """
    if is_leaf is not None:
        function(is_leaf, "tree.broadcast_prefix: is_leaf")
    return _core.tree_broadcast_prefix(prefix, tree, is_leaf)


def paths(tree: Any, is_leaf: IsLeaf | None = None) -> list[str]:
    """List the path of every leaf.

    >>> from funcnn import tree
    >>> tree.paths({"layers": ({"weight": 1, "bias": 2}, {})})
    ['layers.0.bias', 'layers.0.weight']
    """
    return _flatten("tree.paths", tree, is_leaf)[1].paths()


def flatten_with_path(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[tuple[str, Any]], PyTreeDef]:
    """Take a tree apart into ``(path, leaf)`` pairs and its structure.

    >>> from funcnn import tree
    >>> tree.flatten_with_path({"a": (5, 6)})
    ([('a.0', 5), ('a.1', 6)], PyTreeDef({'a': (*, *)}))
    """
    return _with_path("tree.flatten_with_path", tree, is_leaf)


def _with_path(name: str, tree: Any, is_leaf: IsLeaf | None) -> tuple[list[tuple[str, Any]], PyTreeDef]:
    found, treedef = _flatten(name, tree, is_leaf)
    return list(zip(treedef.paths(), found, strict=True)), treedef


def leaves_with_path(tree: Any, is_leaf: IsLeaf | None = None) -> list[tuple[str, Any]]:
    """List the ``(path, leaf)`` pairs of a tree.

    >>> from funcnn import tree
    >>> dict(tree.leaves_with_path({"a": (5, 6)}))
    {'a.0': 5, 'a.1': 6}
    """
    return _with_path("tree.leaves_with_path", tree, is_leaf)[0]


def map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Apply a function to the path and the value of every leaf; otherwise as ``map``.

    >>> from funcnn import tree
    >>> tree.map_with_path(lambda path, x: f"{path}={x}", {"a": (5, 6)})
    {'a': ('a.0=5', 'a.1=6')}
    """
    _check_functions("tree.map_with_path", f, is_leaf)
    names = iter(structure(tree, is_leaf).paths())
    return _core.tree_map(lambda *args: f(next(names), *args), tree, *rest, is_leaf=is_leaf)
