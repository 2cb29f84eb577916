"""Memory of arrays."""

from __future__ import annotations

import os
from typing import Any

from ... import _core, _memory

__all__ = [
    "clear_cache",
    "get_active_memory",
    "get_array_buffer_size",
    "get_cache_memory",
    "get_memory_limit",
    "get_peak_memory",
    "reset_peak_memory",
    "set_cache_limit",
    "set_memory_limit",
    "set_wired_limit",
]

get_array_buffer_size = _memory.get_array_buffer_size


def _limit(limit: Any, name: str) -> int:
    if not hasattr(type(limit), "__index__") or not 0 <= limit < 2**64:
        raise TypeError(f"{name}: the limit must be a number of bytes, got {limit!r}")
    return int(limit)


def get_active_memory() -> int:
    """Count the bytes that arrays use now."""
    return _core.get_active_memory()


def get_peak_memory() -> int:
    """Count the most bytes that arrays have used at once since `reset_peak_memory`."""
    return _core.get_peak_memory()


def reset_peak_memory() -> None:
    """Start measuring the peak again, from what is in use now."""
    _core.reset_peak_memory()


def get_cache_memory() -> int:
    """Count the freed bytes that are kept for reuse."""
    return _core.get_cache_memory()


def clear_cache() -> None:
    """Return the memory that is kept for reuse to the system."""
    _core.clear_cache()


def set_cache_limit(limit: int) -> int:
    """Set how many freed bytes to keep for reuse at most; return the limit before."""
    return _core.set_cache_limit(_limit(limit, "set_cache_limit"))


def _physical_memory() -> int:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 1 << 33


_memory_limit = _physical_memory() // 5 * 4


def get_memory_limit() -> int:
    """Return the limit set by `set_memory_limit`, at first four fifths of the machine's memory."""
    return _memory_limit


def set_memory_limit(limit: int) -> int:
    """Set a guideline for memory, and return the one before.

    It refuses nothing, as MLX's does not: the limit is remembered. `funcnn.set_memory_limit` sets one that is kept.
    """
    global _memory_limit
    before, _memory_limit = _memory_limit, _limit(limit, "set_memory_limit")
    return before


def set_wired_limit(limit: int) -> int:
    """Set how much memory of a GPU the system keeps resident: nothing, where there is none, so 0 is returned."""
    _limit(limit, "set_wired_limit")
    return 0
