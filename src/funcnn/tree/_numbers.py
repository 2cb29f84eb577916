"""Comparing and measuring trees of numbers and arrays."""

from __future__ import annotations

from typing import Any

import attrs

from .. import _core
from ._basic import absent, leaves, matched, structure
from ._paths import join_path


def allclose(a: Any, b: Any, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Say whether all leaves of two trees have equal shapes and are close, as ``numpy.allclose`` defines it.

    Raises:
        ValueError: The trees have different structures; the message names the path where they differ.
        TypeError: Leaves are no numbers (``tree.equal`` compares any).

    >>> from funcnn import tree
    >>> tree.allclose({"a": (1.0, 2.0)}, {"a": (1.0, 2.0 + 1e-9)})
    True
    """
    import numpy as np

    treedef = structure(a)
    for i, (x, y) in enumerate(zip(leaves(a), matched("tree.allclose", treedef, b), strict=True)):
        try:
            if np.shape(x) != np.shape(y) or not np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan):
                return False
        except TypeError:
            where = treedef.paths()[i] or "the root"
            raise TypeError(
                f"tree.allclose: at {where} there are a {type(x).__name__} and a {type(y).__name__}, which are no numbers; "
                "tree.equal compares any leaves"
            ) from None
    return True


def nbytes(tree: Any) -> int:
    """Add up the bytes of the arrays in a tree; leaves that are no arrays have none.

    >>> import numpy as np
    >>> from funcnn import tree
    >>> tree.nbytes({"weight": np.zeros((3, 4), np.float32), "steps": 5})
    48
    """
    return sum(int(getattr(leaf, "nbytes", 0)) for leaf in leaves(tree))


def count(tree: Any) -> int:
    """Count the elements of the arrays in a tree; leaves that are no arrays count as one.

    >>> import numpy as np
    >>> from funcnn import tree
    >>> tree.count({"weight": np.zeros((3, 4)), "bias": np.zeros(4)})
    16
    """
    return sum(int(getattr(leaf, "size", 1)) for leaf in leaves(tree))


@attrs.frozen
class Difference:
    """One place where two trees differ; ``absent`` stands for the side that has nothing there."""

    path: str
    left: Any
    right: Any

    def __str__(self) -> str:
        left, right = _brief(self.left), _brief(self.right)
        what = f"{left} != {right}" if left != right else f"{left} with other elements"
        if left == right and _is_array(self.left):
            what += f", at {_unequal(self.left, self.right).sum()} of {self.left.size} places"
        return f"{self.path or 'the root'}: {what}"


def diff(a: Any, b: Any) -> list[Difference]:
    """List the places where two trees differ, outermost first.

    Containers of different classes differ as wholes; dicts and sequences of one class are compared child by child.
    Arrays are equal if their shapes, dtypes and elements are, NaNs included; other leaves if ``==`` says so.

    >>> from funcnn import tree
    >>> for difference in tree.diff({"a": (1, 2), "b": 3}, {"a": (1, 5), "c": 3}):
    ...     print(difference)
    a.1: 2 != 5
    b: 3 != absent
    c: absent != 3
    """
    found: list[Difference] = []
    _diff(a, b, (), found)
    return found


def _diff(a: Any, b: Any, path: tuple[Any, ...], found: list[Difference]) -> None:
    if a is b:
        return
    ours, theirs = _core.tree_children(a), _core.tree_children(b)
    if ours is None or theirs is None or type(a) is not type(b):
        if ours is not None or theirs is not None or not _equal(a, b):
            found.append(Difference(join_path(path), a, b))
        return
    left, right = dict(zip(*ours, strict=True)), dict(zip(*theirs, strict=True))
    before = len(found)
    for key in [*left, *(key for key in right if key not in left)]:
        _diff(left.get(key, absent), right.get(key, absent), (*path, key), found)
    if len(found) == before and structure(a) != structure(b) and not _differ_below(left, right):
        found.append(Difference(join_path(path), a, b))


def _differ_below(left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    return any(structure(left.get(key, absent)) != structure(right.get(key, absent)) for key in {**left, **right})


def _equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if _is_array(a):
        return a.shape == b.shape and a.dtype == b.dtype and not _unequal(a, b).any()
    return bool(a == b)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _unequal(a: Any, b: Any) -> Any:
    """Where two arrays differ; NaNs are equal to each other."""
    import numpy as np

    x, y = np.asarray(a), np.asarray(b)
    return (x != y) & ((x == x) | (y == y))


def _brief(value: Any) -> str:
    if _is_array(value):
        return f"{value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
