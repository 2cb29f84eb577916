"""The names of ``mlx.core.metal``."""

from __future__ import annotations

from ... import metal as _metal
from ..._streams import device_info as _device_info
from ..._streams import gpu as _gpu
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
    """Say whether there is a Metal back end."""
    return _metal.is_available()


def device_info() -> dict[str, str | int]:
    """Describe the GPU; nothing where there is no Metal."""
    return _device_info(_gpu) if is_available() else {}


def start_capture(path: str) -> None:
    """Record what the GPU does into a document; without Metal nothing is written."""
    if is_available():
        _metal.start_capture(path)


def stop_capture() -> None:
    """End what `start_capture` began."""
    _metal.stop_capture()


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
