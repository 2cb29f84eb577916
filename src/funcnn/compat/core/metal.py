"""The names of ``mlx.core.metal``. There is no Metal back end yet: they answer as MLX does where there is none."""

from __future__ import annotations

from . import _memory

__all__ = [
    "clear_cache",
    "device_info",
    "get_active_memory",
    "get_cache_memory",
    "get_peak_memory",
    "is_available",
    "reset_peak_memory",
    "set_cache_limit",
    "set_memory_limit",
    "set_wired_limit",
    "start_capture",
    "stop_capture",
]


def is_available() -> bool:
    """Say whether there is a Metal back end: False."""
    return False


def device_info() -> dict[str, str | int]:
    """Describe the GPU: there is none, so nothing."""
    return {}


def start_capture(path: str) -> None:
    """Record what the GPU does: nothing, so nothing is written."""


def stop_capture() -> None:
    """End what `start_capture` began."""


def clear_cache() -> None:
    """Former name of ``mx.clear_cache``."""
    _memory.clear_cache()


def get_active_memory() -> int:
    """Former name of ``mx.get_active_memory``."""
    return _memory.get_active_memory()


def get_cache_memory() -> int:
    """Former name of ``mx.get_cache_memory``."""
    return _memory.get_cache_memory()


def get_peak_memory() -> int:
    """Former name of ``mx.get_peak_memory``."""
    return _memory.get_peak_memory()


def reset_peak_memory() -> None:
    """Former name of ``mx.reset_peak_memory``."""
    _memory.reset_peak_memory()


def set_cache_limit(limit: int) -> int:
    """Former name of ``mx.set_cache_limit``."""
    return _memory.set_cache_limit(limit)


def set_memory_limit(limit: int) -> int:
    """Former name of ``mx.set_memory_limit``."""
    return _memory.set_memory_limit(limit)


def set_wired_limit(limit: int) -> int:
    """Former name of ``mx.set_wired_limit``."""
    return _memory.set_wired_limit(limit)
