"""Comparing trees, with a report by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import funcnn as fn
from funcnn import tree
from funcnn._hyper import checked as number

_SHOWN = 20


def assert_trees_close(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Assert that two trees have one structure, and arrays of the same shapes and dtypes and nearly the same elements.

    Elements are close if ``abs(a - b) <= atol + rtol * abs(b)``; a NaN is close to NaNs, an infinity to itself. Integers
    and bools must be equal. Leaves that are no numbers must be equal by ``==``.

    Args:
        a, b: Trees; `b` is what was expected.
        rtol, atol: Tolerances, relative and absolute.

    Raises:
        AssertionError: They differ; the message has a line for every path where they do, with the structure, the shape, the
            dtype, or how many elements differ and the largest error with its index.

    >>> import funcnn as fn
    >>> from funcnn import testing
    >>> testing.assert_trees_close({"w": fn.array([1.0, 2.0])}, {"w": fn.array([1.0, 2.00001])})
    >>> testing.assert_trees_close({"w": fn.array([1.0, 2.0]), "b": 1.0}, {"w": fn.array([1.0, 2.5]), "b": 1.0})
    Traceback (most recent call last):
        ...
    AssertionError: the trees differ at 1 of 2 leaves:
      w: 1 of 2 elements differ; the largest error is 0.5 at [1], where 2.0 should be 2.5
    """
    for what, value in (("rtol", rtol), ("atol", atol)):
        number("assert_trees_close", what, value, 0.0)
    _report(a, b, lambda x, y: _distance(x, y, rtol, atol))


def assert_trees_equal(a: Any, b: Any) -> None:
    """Assert that two trees are the same to the last bit.

    That is, of one structure, with arrays of the same shapes and dtypes, in which NaNs have the same bits and -0.0 is not
    0.0; other leaves have the same type and are equal, and so are their signs and NaNs.

    Args:
        a, b: Trees; `b` is what was expected.

    Raises:
        AssertionError: They differ; the message has a line for every path where they do.

    >>> import funcnn as fn
    >>> from funcnn import testing
    >>> testing.assert_trees_equal({"w": fn.array([float("nan")])}, {"w": fn.array([float("nan")])})
    >>> testing.assert_trees_equal((0.0, None), (-0.0, None))
    Traceback (most recent call last):
        ...
    AssertionError: the trees differ at 1 of 1 leaves:
      0: 0.0 should be -0.0
    """
    _report(a, b, _unlike)


def _report(a: Any, b: Any, compare: Any) -> None:
    if tree.structure(a) != tree.structure(b):
        lines = list(_structures(a, b, ()))
        raise AssertionError("\n  ".join(["the trees have different structures:", *_few(lines)]))
    lines = []
    paths = None
    ours, theirs = tree.leaves(a), tree.leaves(b)
    for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        what = compare(x, y)
        if what is not None:
            paths = tree.paths(b) if paths is None else paths
            lines.append(f"{paths[i] or 'the root'}: {what}")
    if lines:
        title = f"the trees differ at {len(lines)} of {len(ours)} leaves:"
        raise AssertionError("\n  ".join([title, *_few(lines)]))


def _few(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more"]


def _structures(a: Any, b: Any, path: tuple[Any, ...]) -> Iterator[str]:
    """Say where structures differ, at the outermost places."""
    if tree.structure(a) == tree.structure(b):
        return
    where = tree.join_path(path) or "the root"
    ours, theirs = fn._core.tree_children(a), fn._core.tree_children(b)
    if ours is None or theirs is None or type(a) is not type(b):
        yield f"{where}: {_container(a)} should be {_container(b)}"
        return
    # Keys that are equal but of other types, such as 1 and True, are others.
    left = {(type(k), k): x for k, x in zip(*ours, strict=True)}
    right = {(type(k), k): x for k, x in zip(*theirs, strict=True)}
    before = 0
    for at, child in left.items():
        here = tree.join_path((*path, at[1]))
        if at not in right:
            yield f"{here}: {_container(child)} should not be there"
            before += 1
        else:
            for line in _structures(child, right[at], (*path, at[1])):
                yield line
                before += 1
    for at, child in right.items():
        if at not in left:
            yield f"{tree.join_path((*path, at[1]))}: {_container(child)} is missing"
            before += 1
    if not before:
        order = " in another order" if list(left) != list(right) else " with other metadata"
        yield f"{where}: {_container(a)}{order}: {tree.structure(a)} should be {tree.structure(b)}"


def _container(value: Any) -> str:
    opened = fn._core.tree_children(value)
    if opened is None:
        return f"a leaf ({_what(value)})"
    if value is None or value is tree.absent:
        return str(value)
    return f"a {type(value).__name__} of {len(opened[0])}"


def _what(leaf: Any) -> str:
    if isinstance(leaf, fn.array) or _is_array(leaf):
        return f"{leaf.dtype}{list(leaf.shape)}"
    text = repr(leaf)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, complex)) or _is_array(leaf)


def _kinds(x: Any, y: Any) -> str | None:
    """How two leaves differ before their elements are looked at."""
    if _is_array(x) != _is_array(y):
        return f"{_what(x)} should be {_what(y)}"
    if _is_array(x):
        for what in ("shape", "dtype"):
            ours, theirs = getattr(x, what), getattr(y, what)
            if ours != theirs:
                return f"the {what} {ours} should be {theirs}"
    return None


def _distance(x: Any, y: Any, rtol: float, atol: float) -> str | None:
    """How two leaves differ by more than tolerances."""
    import numpy as np

    found = _kinds(x, y)
    if found is not None or not (_is_number(x) and _is_number(y)):
        return found if found is not None else None if _equal(x, y) else f"{_what(x)} should be {_what(y)}"
    ours, theirs = _elements(x), _elements(y)
    if ours.dtype.kind in "fc" or theirs.dtype.kind in "fc":
        wide = np.complex128 if "c" in (ours.dtype.kind, theirs.dtype.kind) else np.float64
        p, q = ours.astype(wide), theirs.astype(wide)
        with np.errstate(all="ignore"):
            error = np.abs(p - q)
            good = (error <= atol + rtol * np.abs(q)) & np.isfinite(p) & np.isfinite(q)
        good |= (p == q) | (np.isnan(p) & np.isnan(q))
    else:
        good = np.asarray(ours == theirs)
        error = np.array([abs(int(p) - int(q)) for p, q in zip(ours.flat, theirs.flat, strict=True)], object)
        error = error.reshape(ours.shape)
    if good.all():
        return None
    # A difference that is no number is the worst.
    size = np.where(good, -1.0, np.where(error != error, np.inf, error).astype(np.float64))
    worst = np.unravel_index(int(np.argmax(size)), size.shape)
    pair = f"{ours.tolist() if ours.ndim == 0 else ours[worst].item()} should be {theirs.tolist() if ours.ndim == 0 else theirs[worst].item()}"
    if ours.ndim == 0:
        return f"{pair}; the error is {_short(error[worst])}"
    where = [int(i) for i in worst]
    count = int(good.size - good.sum())
    return (
        f"{count} of {good.size} elements differ; the largest error is {_short(error[worst])} at {where}, where {pair}"
    )


def _short(error: Any) -> str:
    return f"{float(error):.3g}"


def _elements(leaf: Any) -> Any:
    """The elements as NumPy's array; what NumPy has no dtype for is widened."""
    import numpy as np

    if isinstance(leaf, fn.array) and leaf.dtype == fn.bfloat16:
        leaf = leaf.astype(fn.float32)
    if isinstance(leaf, int) and not isinstance(leaf, bool):
        return np.array(leaf, object)
    return np.asarray(leaf)


def _equal(x: Any, y: Any) -> bool:
    return x is y or (type(x) is type(y) and bool(x == y))


def _unlike(x: Any, y: Any) -> str | None:
    """How two leaves differ in any bit."""
    import numpy as np

    found = _kinds(x, y)
    if found is not None:
        return found
    if _is_array(x):
        if bytes_of(x) == bytes_of(y):
            return None
        size = x.dtype.size if isinstance(x, fn.array) else x.dtype.itemsize
        rows = [np.frombuffer(bytes_of(v), np.uint8).reshape(-1, size) for v in (x, y)]
        places = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
        index = [int(i) for i in np.unravel_index(places[0], x.shape)]
        ours, theirs = ("0x" + row[places[0]][::-1].tobytes().hex() for row in rows)
        values = [_elements(v)[tuple(index)].item() for v in (x, y)]
        bits = f" (bits {ours} and {theirs})" if values[0] == values[1] or values[0] != values[0] else ""
        return f"{len(places)} of {max(x.size, 1)} elements differ, first at {index}, where {values[0]} should be {values[1]}{bits}"
    if type(x) is type(y) and isinstance(x, (float, complex)):
        same = np.array(x).tobytes() == np.array(y).tobytes()
    else:
        same = _equal(x, y)
    return None if same else f"{_what(x)} should be {_what(y)}"


def bytes_of(x: Any) -> bytes:
    """The elements of an array as they are in memory, row-major."""
    import numpy as np

    if isinstance(x, fn.array) and x.dtype == fn.bfloat16:
        x = x.view(fn.uint16)
    return bytes(np.ascontiguousarray(x).tobytes())
