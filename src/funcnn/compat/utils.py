"""The names of ``mlx.utils``: trees of dicts, lists and tuples, walked in the order in which they hold their items.

Everything that is no dict, list or tuple is a leaf, ``None`` too. A `funcnn.compat.nn.Module` is a dict, and so, here, is a
frozendict of the functional API, in whose place a dict comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

from .. import _core
from ..tree import frozendict

__all__ = ["tree_flatten", "tree_map", "tree_map_with_path", "tree_merge", "tree_reduce", "tree_unflatten"]

# A path may ask for any index of a list; what lies between is filled, so a typing error must not fill the memory.
LARGEST_GAP = 1 << 24

_TABLES = (dict, frozendict)


def tree_map(fn: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Return ``tree`` with ``fn(leaf, *leaves of rest)`` in the place of every leaf.

    ``rest`` are trees that hold at least what ``tree`` holds; what they hold at a leaf of ``tree`` is passed whole. What
    ``is_leaf`` says is a leaf is not looked into. Lists, tuples and named tuples keep their class, dicts become plain
    dicts. Raises what indexing raises where a tree of ``rest`` lacks an item.

    >>> from funcnn.compat.utils import tree_map
    >>> tree_map(lambda a, b: a + b, {"w": [1, 2], "b": 3}, {"w": [10, 20], "b": 30, "more": 0})
    {'w': [11, 22], 'b': 33}
    """
    return _core._tree_map(fn, is_leaf, tree, *rest)


def tree_map_with_path(
    fn: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[[Any], bool] | None = None,
    path: Any | None = None,
) -> Any:
    """Return what `tree_map` returns, where ``fn`` takes the path of a leaf, such as ``"layers.0.weight"``, before it.

    ``path`` is put in front of all paths. The path of a tree that is itself a leaf is ``path``, thus None by default.

    >>> from funcnn.compat.utils import tree_map_with_path
    >>> tree_map_with_path(lambda path, leaf: f"{path}={leaf}", {"a": [1, 2]})
    {'a': ['a.0=1', 'a.1=2']}
    """
    return _core._tree_map_with_path(path, fn, is_leaf, tree, *rest)


@overload
def tree_flatten(
    tree: Any, prefix: str = "", is_leaf: Callable[[Any], bool] | None = None, destination: None = None
) -> list[tuple[str, Any]]: ...


@overload
def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: Callable[[Any], bool] | None = None,
    *,
    destination: dict[str, Any],
) -> dict[str, Any]: ...


@overload
def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: Callable[[Any], bool] | None = None,
    *,
    destination: list[tuple[str, Any]],
) -> list[tuple[str, Any]]: ...


def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: Callable[[Any], bool] | None = None,
    destination: list[tuple[str, Any]] | dict[str, Any] | None = None,
) -> list[tuple[str, Any]] | dict[str, Any]:
    """Return the leaves of ``tree`` as a list of pairs of path and leaf.

    ``prefix`` stands in front of all paths, without its first character, which should be a dot. What ``is_leaf`` says is
    a leaf is not looked into. With a list or dict as ``destination`` the leaves are added to it, and it is returned;
    another destination raises ValueError. Empty containers leave no trace.

    >>> from funcnn.compat.utils import tree_flatten
    >>> tree_flatten({"layers": [{"w": 1}, {}, {"w": 2}]})
    [('layers.0.w', 1), ('layers.2.w', 2)]
    >>> tree_flatten([1, 2], prefix=".x", destination={})
    {'x.0': 1, 'x.1': 2}
    """
    if destination is None:
        destination = []
    elif not isinstance(destination, (list, dict)):
        raise ValueError(f"tree_flatten: destination must be a list, a dict or None, got {type(destination).__name__}")
    _core._tree_flatten_into(destination, tree, f"{prefix}", is_leaf)
    return destination


def tree_unflatten(tree: list[tuple[str, Any]] | dict[str, Any]) -> Any:
    """Return the tree whose leaves ``tree`` lists, as pairs of path and leaf or as a dict: the inverse of `tree_flatten`.

    Parts of a path that are all different whole numbers make a list, whose gaps are filled with ``{}``; all others make
    a dict. Raises ValueError where a path is given twice, where `tree_flatten` could not have made it.

    >>> from funcnn.compat.utils import tree_unflatten
    >>> tree_unflatten([("layers.0.w", 1), ("layers.2.w", 2)])
    {'layers': [{'w': 1}, {}, {'w': 2}]}
    """
    pairs: Any = tree.items() if isinstance(tree, _TABLES) else tree
    if len(pairs) == 1:
        ((path, leaf),) = pairs
        if path == "":
            return leaf
    branches: dict[str, list[tuple[str, Any]]] = {}
    for path, leaf in pairs:
        head, _, tail = path.partition(".")
        branch = branches.get(head)
        if branch is None:
            branches[head] = [(tail, leaf)]
        else:
            branch.append((tail, leaf))
    if len(branches) == 1 and len(pairs) > 1 and "" in branches and all(path == "" for path, _ in pairs):
        raise ValueError(f"tree_unflatten: a path occurs {len(pairs)} times")
    positions = _positions(branches)
    if positions is None:
        return {head: _branch(branch) for head, branch in branches.items()}
    items: list[Any] = []
    for position, head in positions:
        if position - len(items) > LARGEST_GAP:
            raise ValueError(f"tree_unflatten: index {position} leaves a gap of more than {LARGEST_GAP}")
        items.extend({} for _ in range(position - len(items)))
        items.append(_branch(branches[head]))
    return items


def _branch(pairs: list[tuple[str, Any]]) -> Any:
    path, leaf = pairs[0]
    return leaf if path == "" and len(pairs) == 1 else tree_unflatten(pairs)


def tree_reduce(
    fn: Callable[[Any, Any], Any], tree: Any, initializer: Any = None, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """Return ``fn(... fn(fn(initializer, first leaf), second leaf) ..., last leaf)``.

    Without an initializer, or while what is accumulated is None, the next leaf is taken as it is.

    >>> from funcnn.compat.utils import tree_reduce
    >>> tree_reduce(lambda total, leaf: total + leaf, {"a": [1, 2, 3], "b": [4, 5]}, 0)
    15
    """
    return _core._tree_reduce(fn, tree, initializer, is_leaf)


def tree_merge(tree_a: Any, tree_b: Any, merge_fn: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return a tree with the leaves of both.

    None and empty containers give way to whatever the other tree holds there. Where both hold a leaf (or containers of
    different kinds) ``merge_fn(a, b)`` says what to take; without it that raises ValueError, as two empty containers of
    different classes do. Keys of ``tree_a`` come first.

    >>> from funcnn.compat.utils import tree_merge
    >>> tree_merge({"a": [1, {}]}, {"a": [{}, 2], "b": 3})
    {'a': [1, 2], 'b': 3}
    """
    a_is_empty, b_is_empty = _is_empty(tree_a), _is_empty(tree_b)
    if a_is_empty and b_is_empty:
        if type(tree_a) is not type(tree_b):
            raise ValueError(f"tree_merge: cannot merge {type(tree_a).__name__} with {type(tree_b).__name__}")
        return tree_a
    a = None if a_is_empty else tree_a
    b = None if b_is_empty else tree_b
    if a is None and b is not None:
        return b
    if b is None and a is not None:
        return a
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        common = min(len(a), len(b))
        items = [tree_merge(x, y, merge_fn) for x, y in zip(a, b, strict=False)]
        items += [tree_merge(x, None, merge_fn) for x in a[common:]]
        items += [tree_merge(None, y, merge_fn) for y in b[common:]]
        return _like(a, items)
    if isinstance(a, _TABLES) and isinstance(b, _TABLES):
        return {key: tree_merge(a.get(key), b.get(key), merge_fn) for key in {**a, **b}}
    if merge_fn is None:
        raise ValueError(
            "tree_merge: both trees hold a leaf in the same place, and no merge_fn was given to merge them"
        )
    return merge_fn(a, b)


def _like(sequence: list[Any] | tuple[Any, ...], items: list[Any]) -> Any:
    """``items`` in the class of ``sequence``; named tuples take them one by one."""
    kind: Any = type(sequence)
    return kind(*items) if hasattr(sequence, "_fields") else kind(items)


def _positions(heads: Iterable[str]) -> list[tuple[int, str]] | None:
    """The heads in the order of a list, or None where they are not different whole numbers."""
    if next(iter(heads), "0").isidentifier():
        return None
    try:
        positions = sorted((int(head), head) for head in heads)
    except ValueError:
        return None
    different = len({position for position, _ in positions}) == len(positions)
    return positions if different else None


def _is_empty(tree: Any) -> bool:
    return isinstance(tree, (*_TABLES, list, tuple)) and not tree
