"""Trees of arrays as a whole: one vector, a stack of trees, zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import _core
from .._arguments import integer
from ._basic import flatten, leaves, matched, structure
from ._numbers import _equal


def ravel(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Put all elements of a tree into one vector, and make the function that takes them back.

    Args:
        tree: A tree of arrays and numbers.

    Returns:
        The elements, leaf by leaf in order and row-major, of the dtype that the leaves promote to (``float32`` of shape
        ``(0,)`` if there are none); and a function from a vector of this length to a tree like `tree`, with the shapes and
        dtypes of its leaves.

    Raises:
        TypeError: A leaf is not an array.
        ValueError: The function is given another shape, or complex numbers for real leaves.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> vector, unravel = tree.ravel({"a": fn.array([1.0, 2.0]), "b": fn.array(3.0)})
    >>> vector
    array([1., 2., 3.], dtype=float32)
    >>> unravel(vector * 2)["b"]
    array(6., dtype=float32)
    """
    arrays = _arrays("tree.ravel", tree)
    treedef = structure(tree)
    dtype = _core.result_type(*arrays) if arrays else _core.float32
    parts = [x.astype(dtype).flatten() for x in arrays]
    vector = _core.concatenate(parts) if parts else _core.zeros(0, dtype)
    avals = [(x.shape, x.dtype, x.size) for x in arrays]
    length = vector.shape[0]

    def unravel(vector: Any) -> Any:
        given = _array("unravel", vector)
        if given.shape != (length,):
            raise ValueError(f"unravel: expected a vector of shape {(length,)}, got {given.shape}")
        if _core.isdtype(given.dtype, "complex floating") and not _core.isdtype(dtype, "complex floating"):
            raise ValueError(f"unravel: expected real numbers for leaves of {dtype}, got {given.dtype}")
        found, start = [], 0
        for shape, kind, size in avals:
            found.append(given[start : start + size].reshape(shape).astype(kind))
            start += size
        return treedef.unflatten(found)

    return vector, unravel


def stack(trees: Iterable[Any], axis: int = 0) -> Any:
    """Stack trees of one structure: each leaf along a new axis.

    What :func:`unstack` takes apart, and what a scan over layers or ``vmap`` over models takes.

    Args:
        trees: Trees of the same structure whose leaves have the same shapes.
        axis: Where the new axis stands.

    Returns:
        A tree like the first one.

    Raises:
        ValueError: There are no trees, or their structures or shapes differ; the message names the path.
        AxisError: The stacks lack the axis.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.stack([{"a": fn.array(1)}, {"a": fn.array(2)}])
    {'a': array([1, 2], dtype=int32)}
    """
    if not isinstance(trees, Iterable):
        raise TypeError(f"tree.stack: trees must be a list of trees, got a {type(trees).__name__}")
    given, place = list(trees), integer(axis, "tree.stack: axis")
    if not given:
        raise ValueError("tree.stack: expected at least one tree")
    found, treedef = flatten(given[0])
    others = [matched(f"tree.stack: tree {i}", treedef, t) for i, t in enumerate(given[1:], 1)]

    def stacked(path: str, *xs: Any) -> Any:
        arrays = [_array("tree.stack", x, path) for x in xs]
        shapes = [x.shape for x in arrays]
        if any(shape != shapes[0] for shape in shapes):
            other = next(shape for shape in shapes if shape != shapes[0])
            raise ValueError(f"tree.stack: the leaves at {path or 'the root'} have shapes {shapes[0]} and {other}")
        if not -len(shapes[0]) - 1 <= place <= len(shapes[0]):
            raise _core.AxisError(
                f"tree.stack: a stack of leaves of shape {shapes[0]}, as at {path or 'the root'}, has no axis {place}"
            )
        return _core.stack(arrays, place)

    return treedef.unflatten([stacked(*row) for row in zip(treedef.paths(), found, *others, strict=True)])


def unstack(tree: Any, axis: int = 0) -> tuple[Any, ...]:
    """Take a tree apart along an axis of its leaves, which disappears: the inverse of :func:`stack`.

    Args:
        tree: A tree of arrays of one length along the axis.
        axis: The axis.

    Returns:
        As many trees as the axis is long.

    Raises:
        ValueError: There are no leaves, or their lengths differ; the message names paths.
        AxisError: A leaf lacks the axis.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.unstack({"a": fn.array([1, 2])})
    ({'a': array(1, dtype=int32)}, {'a': array(2, dtype=int32)})
    """
    treedef, place = structure(tree), integer(axis, "tree.unstack: axis")
    columns = []
    for x, path in zip(_arrays("tree.unstack", tree), treedef.paths(), strict=True):
        if not -x.ndim <= place < x.ndim:
            raise _core.AxisError(
                f"tree.unstack: the leaf at {path or 'the root'}, of shape {x.shape}, has no axis {place}"
            )
        columns.append(_core.unstack(x, axis=place))
    if not columns:
        raise ValueError("tree.unstack: the tree has no leaves, so it does not say into how many to take it apart")
    for path, column in zip(treedef.paths(), columns, strict=True):
        if len(column) != len(columns[0]):
            raise ValueError(
                f"tree.unstack: the leaf at {treedef.paths()[0]} has length {len(columns[0])} along axis {axis}, "
                f"the leaf at {path} has length {len(column)}"
            )
    return tuple(treedef.unflatten(row) for row in zip(*columns, strict=True))


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Make a tree of zeros with the shapes and dtypes of another.

    Args:
        tree: A tree of arrays and numbers.
        dtype: The dtype of all leaves; by default, each keeps its own.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.zeros_like({"a": fn.array([1.0, 2.0]), "b": fn.array(3)})
    {'a': array([0., 0.], dtype=float32), 'b': array(0, dtype=int32)}
    """
    return _filled("tree.zeros_like", _core.zeros, tree, dtype)


def ones_like(tree: Any, dtype: Any = None) -> Any:
    """Make a tree of ones with the shapes and dtypes of another; see :func:`zeros_like`.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.ones_like({"a": fn.array([7.0, 8.0])})
    {'a': array([1., 1.], dtype=float32)}
    """
    return _filled("tree.ones_like", _core.ones, tree, dtype)


def equal(a: Any, b: Any) -> bool:
    """Say whether two trees are equal: in structure, and leaf by leaf in shape, dtype and elements.

    Trees are equal where :func:`diff` finds no difference; NaNs equal each other, in arrays.

    Args:
        a, b: Trees of any leaves. The values of arrays must be known.

    Raises:
        TracedValueError: An array is traced.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.equal({"a": fn.array([1.0])}, {"a": fn.array([1.0])}), tree.equal({"a": 1}, {"a": 1.0})
    (True, False)
    """
    if structure(a) != structure(b):
        return False
    for x in (*leaves(a), *leaves(b)):
        if isinstance(x, _core.array):
            _core._require_values(x, "tree.equal", "compare with fn.array_equal, which returns an array")
    return all(x is y or _equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def where(condition: Any, a: Any, b: Any) -> Any:
    """Choose between two trees by a condition that may be traced: each leaf is that of `a` where it holds, else that of `b`.

    Args:
        condition: A 0-d array or a bool.
        a, b: Trees of arrays and numbers with the same structure, shapes and dtypes.

    Raises:
        ValueError: The condition is not 0-d, or structures or shapes differ; the message names the path.
        TypeError: Dtypes differ, or a leaf is not an array.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.where(fn.array(False), {"w": fn.array([1.0])}, {"w": fn.array([2.0])})
    {'w': array([2.], dtype=float32)}
    """
    chosen = _array("tree.where", condition)
    if chosen.shape != ():
        raise ValueError(f"tree.where: the condition must be 0-d, got shape {chosen.shape}; use fn.where for arrays")
    left, treedef = flatten(a)
    right = matched("tree.where: b", treedef, b)

    def pick(path: str, x: Any, y: Any) -> Any:
        x, y = _array("tree.where", x, path), _array("tree.where", y, path)
        if x.shape != y.shape or x.dtype != y.dtype:
            kind = ValueError if x.shape != y.shape else TypeError
            raise kind(
                f"tree.where: the leaves at {path or 'the root'} are {x.dtype} of shape {x.shape} and {y.dtype} of shape "
                f"{y.shape}, and must be alike"
            )
        return _core.where(chosen, x, y)

    return treedef.unflatten([pick(*row) for row in zip(treedef.paths(), left, right, strict=True)])


def all_finite(tree: Any) -> Any:
    """Say whether a tree of arrays holds no NaN and no infinity.

    Args:
        tree: A tree of arrays and numbers; they may be traced.

    Returns:
        A 0-d bool array, true for a tree without leaves.

    Raises:
        TypeError: A leaf is not an array.

    >>> import funcnn as fn
    >>> from funcnn import tree
    >>> tree.all_finite({"w": fn.array([1.0, float("inf")]), "b": fn.array(0)}).item()
    False
    """
    found = _core.array(True)
    for x in _arrays("tree.all_finite", tree):
        if _core.isdtype(x.dtype, ("real floating", "complex floating")):
            found = _core.logical_and(found, _core.all(_core.isfinite(x)))
    return found


def _filled(name: str, make: Any, tree: Any, dtype: Any) -> Any:
    like = _arrays(name, tree)
    return structure(tree).unflatten([make(x.shape, x.dtype if dtype is None else dtype) for x in like])


def _arrays(name: str, tree: Any) -> list[Any]:
    """The leaves as arrays."""
    found, treedef = leaves(tree), structure(tree)
    if all(isinstance(leaf, _core.array) for leaf in found):
        return found
    return [_array(name, leaf, path) for path, leaf in zip(treedef.paths(), found, strict=True)]


def _array(name: str, leaf: Any, path: str = "") -> Any:
    try:
        return _core.asarray(leaf)
    except TypeError:
        where = path and f" at {path}"
        raise TypeError(f"{name}: expected arrays and numbers, got a {type(leaf).__name__}{where}") from None
