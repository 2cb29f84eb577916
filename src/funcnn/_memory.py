"""Memory of arrays, under MLX's names."""

from __future__ import annotations

from typing import Any

from . import _core, tree
from ._arguments import integer

_wired_limit = 0


def get_array_buffer_size(*args: Any) -> int:
    """Count the bytes of memory behind arrays.

    Args:
        *args: Arrays and pytrees of arrays, computed; other leaves are ignored.

    Returns:
        The size of the blocks that hold them, which may be larger than the arrays. Arrays that share one count once;
        constants without a block count nothing.

    Raises:
        ValueError: An array is not computed.

    Example:
        >>> import funcnn as fn
        >>> x = fn.array([1.0, 2.0, 3.0])
        >>> fn.get_array_buffer_size({"w": x, "again": x}) >= x.nbytes
        True
    """
    found = (_core._buffer_of(x) for x in tree.leaves(args) if isinstance(x, _core.array))
    return sum(dict(block for block in found if block is not None).values())


def set_wired_limit(limit: int) -> int:
    """Set how much memory of a GPU the system keeps resident.

    It matters to Metal on macOS 15 or later. Other devices have nothing to wire: there the limit is only remembered.

    Args:
        limit: A number of bytes.

    Returns:
        The limit before, at first 0.

    Raises:
        ValueError: `limit` is negative.

    Example:
        >>> import funcnn as fn
        >>> fn.set_wired_limit(0)
        0
    """
    global _wired_limit
    wanted = integer(limit, "set_wired_limit: limit")
    if wanted < 0:
        raise ValueError(f"set_wired_limit: limit must not be negative, got {wanted}")
    before, _wired_limit = _wired_limit, wanted
    return before


__all__ = ["get_array_buffer_size", "set_wired_limit"]
