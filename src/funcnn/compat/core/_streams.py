"""Streams and devices."""

from __future__ import annotations

import funcnn as fn
from funcnn import Device, DeviceType, Stream, cpu, gpu

clear_streams = fn.clear_streams
default_device = fn.get_default_device
default_stream = fn.default_stream
device_count = fn.device_count
device_info = fn.device_info
is_available = fn.is_available
new_stream = fn.new_stream
new_thread_local_stream = fn.new_stream
new_thread_unsafe_stream = fn.new_stream
set_default_device = fn.set_default_device
set_default_stream = fn.set_default_stream
stream = fn.stream
synchronize = fn.synchronize
StreamContext = fn.stream
ThreadLocalStream = fn.Stream

__all__ = [
    "Device",
    "DeviceType",
    "Stream",
    "StreamContext",
    "ThreadLocalStream",
    "clear_streams",
    "cpu",
    "default_device",
    "default_stream",
    "device_count",
    "device_info",
    "gpu",
    "is_available",
    "new_stream",
    "new_thread_local_stream",
    "new_thread_unsafe_stream",
    "set_default_device",
    "set_default_stream",
    "stream",
    "synchronize",
]
