"""Kinds of devices, streams of work on them, and what a machine has, under MLX's names."""

from __future__ import annotations

import enum
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import attrs

from . import _core
from ._core import Device


class DeviceType(str, enum.Enum):
    """A kind of device: ``fn.cpu`` or ``fn.gpu``. It stands for the first device of its kind, as its name does.

    Example:
        >>> import funcnn as fn
        >>> fn.Device(fn.cpu), fn.Device("cpu") == fn.cpu
        (Device('cpu'), True)
    """

    cpu = "cpu"
    gpu = "gpu"

    def __repr__(self) -> str:
        return f"DeviceType.{self.name}"

    __str__ = __repr__
    __hash__ = str.__hash__


cpu, gpu = DeviceType.cpu, DeviceType.gpu


@attrs.frozen
class Stream:
    """An order of work on a device.

    A device does the work of all its streams in one order, so streams tell only where work is done: two of one device
    never run at the same time.

    Attributes:
        device: The device.
        index: Which of its streams: 0 is the one that it has from the start.
    """

    device: Device
    index: int


DeviceLike: TypeAlias = Device | DeviceType | str

_counts: dict[str, Iterator[int]] = {}
_scopes = threading.local()
_defaults: dict[str, Stream] = {}


def type_of(name: str) -> DeviceType | str:
    """The kind of device called so; of devices that MLX does not have, the name."""
    return DeviceType(name) if name in DeviceType.__members__ else name


def _found(device: Any, name: str) -> Device:
    """The device, which this machine has."""
    if not isinstance(device, (Device, str)):
        raise TypeError(f"{name}: expected a device, such as fn.cpu, got {type(device).__name__}")
    found = Device(device)
    try:
        _core.get_active_memory(found)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return found


def _available(device: Device) -> bool:
    try:
        _core.get_active_memory(device)
    except ValueError:
        return False
    return True


def is_available(device: DeviceLike) -> bool:
    """Say whether this machine has a device.

    Args:
        device: A device, its kind or its name.

    Returns:
        Whether it has.

    Example:
        >>> import funcnn as fn
        >>> fn.is_available(fn.cpu)
        True
    """
    if not isinstance(device, (Device, str)):
        raise TypeError(f"is_available: expected a device, such as fn.cpu, got {type(device).__name__}")
    return _available(Device(device))


def device_count(device_type: DeviceType | str) -> int:
    """Count the devices of a kind.

    Args:
        device_type: ``fn.cpu``, ``fn.gpu``, or the name of a kind.

    Returns:
        How many this machine has.

    Example:
        >>> import funcnn as fn
        >>> fn.device_count(fn.cpu)
        1
    """
    kind = Device(device_type).kind
    return sum(1 for _ in itertools.takewhile(lambda i: _available(Device(kind, i)), range(16)))


def device_info(d: DeviceLike | None = None) -> dict[str, str | int]:
    """Describe a device.

    Args:
        d: A device, its kind or its name; default: the default device.

    Returns:
        ``device_name``, ``architecture`` and, where the system tells, ``memory_size`` in bytes. Of a GPU also
        ``max_buffer_length``, the bytes of the largest array, and ``max_recommended_working_set_size``, the bytes
        beyond which memory becomes slow or short.

    Raises:
        ValueError: This machine has no such device.

    Example:
        >>> import funcnn as fn
        >>> "architecture" in fn.device_info()
        True
    """
    import platform

    device = _core.get_default_device() if d is None else _found(d, "device_info")
    if device.kind == "gpu":
        return _core._gpu_info(device)
    machine = platform.machine()
    name = _processor() or platform.processor() or machine if device.kind == "cpu" else str(device)
    info: dict[str, str | int] = {"device_name": name, "architecture": machine}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        info["memory_size"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return info


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def default_stream(device: DeviceLike) -> Stream:
    """Return the stream that a device works on by default.

    Args:
        device: A device, its kind or its name.

    Returns:
        The stream of the innermost :func:`stream` of this thread, else the one set, else the device's own.

    Raises:
        ValueError: This machine has no such device.

    Example:
        >>> import funcnn as fn
        >>> fn.default_stream(fn.cpu)
        Stream(device=Device('cpu'), index=0)
    """
    found = _found(device, "default_stream")
    for scope in reversed(getattr(_scopes, "streams", ())):
        if scope.device == found:
            return scope  # type: ignore[no-any-return]
    return _defaults.get(str(found), Stream(found, 0))


def set_default_stream(stream: Stream) -> None:
    """Make a stream its device's default, for all threads.

    Args:
        stream: The stream.

    Raises:
        TypeError: It is none.

    Example:
        >>> import funcnn as fn
        >>> fn.set_default_stream(fn.default_stream(fn.cpu))
    """
    if not isinstance(stream, Stream):
        raise TypeError(f"set_default_stream: expected a Stream, got {type(stream).__name__}")
    _defaults[str(stream.device)] = stream


def new_stream(device: DeviceLike) -> Stream:
    """Make a stream of work on a device.

    Args:
        device: A device, its kind or its name.

    Returns:
        A stream unequal to all others.

    Raises:
        ValueError: This machine has no such device.

    Example:
        >>> import funcnn as fn
        >>> fn.new_stream(fn.cpu).device
        Device('cpu')
    """
    found = _found(device, "new_stream")
    return Stream(found, next(_counts.setdefault(str(found), itertools.count(1))))


def clear_streams() -> None:
    """Make the streams that devices have from the start the default ones again.

    Example:
        >>> import funcnn as fn
        >>> fn.clear_streams()
    """
    _defaults.clear()


@contextmanager
def stream(s: Stream | DeviceLike) -> Iterator[None]:
    """Work on a stream or device within a `with` block, on this thread: new arrays go to its device.

    Args:
        s: A stream, or a device, its kind or its name.

    Raises:
        ValueError: This machine has no such device.

    Example:
        >>> import funcnn as fn
        >>> with fn.stream(fn.cpu):
        ...     x = fn.ones(2)
        >>> x.device
        Device('cpu')
    """
    chosen = s if isinstance(s, Stream) else default_stream(_found(s, "stream"))
    scopes = _scopes.__dict__.setdefault("streams", [])
    before = _core._set_thread_device(chosen.device)
    scopes.append(chosen)
    try:
        yield
    finally:
        scopes.pop()
        _core._set_thread_device(before)


def synchronize(stream: Stream | DeviceLike | None = None) -> None:
    """Wait for everything that :func:`async_eval` has started, and for devices.

    Args:
        stream: A stream or a device to wait for. All devices are waited for, so it matters only that there is one.

    Raises:
        ValueError: This machine has no such device.

    Example:
        >>> import funcnn as fn
        >>> x = fn.ones(2)
        >>> fn.async_eval(x)
        >>> fn.synchronize(fn.cpu)
    """
    if stream is not None and not isinstance(stream, Stream):
        _found(stream, "synchronize")
    _core.synchronize()


def _set_from_environment() -> None:
    name = os.environ.get("FUNCNN_DEVICE")
    if not name:
        return
    try:
        _core.set_default_device(name)
    except ValueError as error:
        raise ValueError(f"FUNCNN_DEVICE={name}: {error}") from None


_set_from_environment()

__all__ = [
    "DeviceType",
    "Stream",
    "clear_streams",
    "cpu",
    "default_stream",
    "device_count",
    "device_info",
    "gpu",
    "is_available",
    "new_stream",
    "set_default_stream",
    "stream",
    "synchronize",
]
