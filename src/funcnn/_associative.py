"""Running combinations of an associative operator, in logarithmically many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _core, tree
from ._arguments import integer

Arrays = list[Any]


def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Combine each element with all before it, by an associative operator.

    Along the axis the result is ``x[0], fn(x[0], x[1]), fn(fn(x[0], x[1]), x[2]), ...``, as of a :func:`scan`, but in about
    2 log2(n) calls of `fn` on whole arrays instead of n steps. The operator need not be commutative: what comes earlier
    along the axis is the left operand (with `reverse`, what comes later). Being made of calls of `fn`, it is transformed as
    `fn` is.

    Args:
        fn: ``(a, b) -> c`` on trees like `elems`, whose arrays hold many elements along the axis: it works on each of
            them as on one. It must be associative, and keep structure, shapes and dtypes.
        elems: A pytree of arrays, of one length along the axis.
        reverse: Start from the end: ``x[n - 1]`` stays, ``x[0]`` combines with all.
        axis: The axis, of every array; negative ones count from the back.

    Returns:
        A tree like `elems`.

    Raises:
        TypeError: If `fn` is not a function, or returns another structure, shape or dtype.
        ValueError: If lengths differ or `elems` holds no arrays.
        AxisError: If an array lacks the axis.

    References:
        G. E. Blelloch, Prefix sums and their applications, CMU-CS-90-190, 1990.

    Example:
        >>> import funcnn as fn
        >>> fn.associative_scan(fn.add, fn.array([1, 2, 3, 4]))
        array([ 1,  3,  6, 10], dtype=int32)
    """
    if not callable(fn):
        raise TypeError(f"associative_scan: expected a function first, got {type(fn).__name__}")
    axis = integer(axis, "associative_scan: axis")
    leaves, treedef = tree.flatten(elems)
    arrays = [_core.asarray(x) for x in leaves]
    if not arrays:
        raise ValueError("associative_scan: there are no arrays to scan")
    for path, x in zip(treedef.paths(), arrays, strict=True):
        if not -x.ndim <= axis < x.ndim:
            where = f" at {path}" if path else ""
            raise _core.AxisError(f"associative_scan: the array{where}, of shape {x.shape}, has no axis {axis}")
    lengths = [x.shape[axis] for x in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"associative_scan: the arrays differ in length along axis {axis}: {lengths}")

    def combine(a: Arrays, b: Arrays) -> Arrays:
        output = fn(treedef.unflatten(a), treedef.unflatten(b))
        combined, structure = tree.flatten(output)
        if structure != treedef:
            raise TypeError(
                f"associative_scan: the function returned {structure}, expected {treedef}, the structure of elems"
            )
        for path, x, y in zip(treedef.paths(), a, combined, strict=True):
            if (x.shape, x.dtype) != (getattr(y, "shape", None), getattr(y, "dtype", None)):
                where = f" at {path}" if path else ""
                got = f"{y.dtype}{y.shape}" if isinstance(y, _core.array) else type(y).__name__
                raise TypeError(f"associative_scan: the function returned {got}{where}, expected {x.dtype}{x.shape}")
        return combined

    def part(xs: Arrays, start: int | None, stop: int | None, step: int = 1) -> Arrays:
        return [x[(slice(None),) * (axis % x.ndim) + (slice(start, stop, step),)] for x in xs]

    def running(xs: Arrays, length: int) -> Arrays:
        """Combine neighbours, scan the half as many pairs, and fill in what lies between."""
        if length < 2:
            return xs
        even, odd = part(xs, 0, None, 2), part(xs, 1, None, 2)
        pairs = length // 2
        odd = running(combine(part(even, 0, pairs), odd), pairs)
        if length > 2:
            between = combine(part(odd, 0, (length - 1) // 2), part(even, 1, None))
            even = [
                _core.concatenate(both, axis % both[0].ndim) for both in zip(part(even, 0, 1), between, strict=True)
            ]
        return [_interleave(x, y, axis % x.ndim) for x, y in zip(even, odd, strict=True)]

    if reverse:
        arrays = [_core.flip(x, axis) for x in arrays]
    done = running(arrays, lengths[0])
    if reverse:
        done = [_core.flip(x, axis) for x in done]
    return treedef.unflatten(done)


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """Put elements of two arrays in turns; the first has as many as the second or one more."""
    pairs = odd.shape[axis]
    lead, trail = even.shape[:axis], even.shape[axis + 1 :]
    first = even[(slice(None),) * axis + (slice(0, pairs),)]
    woven = _core.stack([first, odd], axis + 1).reshape(*lead, 2 * pairs, *trail)
    if even.shape[axis] == pairs:
        return woven
    return _core.concatenate([woven, even[(slice(None),) * axis + (slice(pairs, None),)]], axis)
