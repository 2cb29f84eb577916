"""Streams and devices. A device does the work of all its streams in one order, so streams say only where work is done."""

from __future__ import annotations

import enum
import itertools
import threading
from typing import Any, final

from ... import _core
from ... import _streams as _functional

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


class DeviceType(enum.Enum):
    """A kind of device, `mx.cpu` or `mx.gpu`, which stands for the first device of its kind."""

    cpu = 0
    gpu = 1

    def __repr__(self) -> str:
        return f"DeviceType.{self.name}"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return other == self if isinstance(other, Device) else self is other

    __hash__ = enum.Enum.__hash__


cpu, gpu = DeviceType.cpu, DeviceType.gpu
_CPU = _core.Device("cpu")


@final
class Device:
    """A device: a kind and an index among those of the kind. Whether the machine has it shows when it is used."""

    __slots__ = ("_index", "_type")

    def __init__(self, type: DeviceType, index: int = 0) -> None:
        if not isinstance(type, DeviceType):
            if isinstance(type, bool) or not isinstance(type, int) or type not in (0, 1):
                raise TypeError(f"Device: expected mx.cpu or mx.gpu, got {type!r}")
            type = DeviceType(type)
        if not isinstance(index, int):
            raise TypeError(f"Device: the index must be an integer, got {index!r}")
        self._type, self._index = type, int(index)

    @property
    def type(self) -> DeviceType:
        """The kind of the device."""
        return self._type

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DeviceType):
            other = Device(other)
        return isinstance(other, Device) and (self._type, self._index) == (other._type, other._index)

    def __hash__(self) -> int:
        return hash((self._type, self._index))

    def __repr__(self) -> str:
        return f"Device({self._type.name}, {self._index})"


@final
class Stream:
    """A stream of work on a device. `new_stream` and `default_stream` make streams."""

    __slots__ = ("_index", "_place", "device")
    device: Device
    _index: int
    _place: _core.Device

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("Stream: there is no constructor; use mx.new_stream or mx.default_stream")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device, self._index) == (other.device, other._index)

    def __hash__(self) -> int:
        return hash((self.device, self._index))

    def __repr__(self) -> str:
        return f"Stream({self.device!r}, {self._index})"


@final
class ThreadLocalStream:
    """A stream that is another one on each thread. `new_thread_local_stream` makes it."""

    __slots__ = ("_index", "device")
    device: Device
    _index: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("ThreadLocalStream: there is no constructor; use mx.new_thread_local_stream")

    def __repr__(self) -> str:
        return f"ThreadLocalStream({self.device!r}, {self._index})"


def _functional_device(device: Device) -> _core.Device:
    return _core.Device(device.type.name, device._index)


class _Thread(threading.local):
    """What belongs to a thread: its default streams, and its streams for the thread-local ones."""

    defaults: dict[Device, Stream]
    of: dict[ThreadLocalStream, Stream]

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        self.defaults = {Device(cpu): _made(Device(cpu), 0)} if main else {}
        self.of = {}


def _made(device: Device, index: int) -> Stream:
    made = Stream.__new__(Stream)
    made.device, made._index, made._place = device, index, _functional_device(device)
    return made


_indices = itertools.count(1)
_local_indices = itertools.count()
_thread = _Thread()


def _device(device: Any, name: str) -> Device:
    if isinstance(device, DeviceType):
        return Device(device)
    if isinstance(device, Device):
        return device
    raise TypeError(f"{name}: expected mx.cpu, mx.gpu or a Device, got {type(device).__name__}")


def _there(device: Any, name: str) -> Device:
    found = _device(device, name)
    if not is_available(found):
        raise ValueError(f"{name}: there is no {found!r} on this machine")
    return found


def default_device() -> Device:
    """Return the device of this thread that new arrays go to."""
    found = _core.get_default_device()
    return Device(DeviceType[found.kind] if found.kind in DeviceType.__members__ else cpu, found.index)


def set_default_device(device: Device | DeviceType) -> None:
    """Let new arrays go to another device."""
    _core.set_default_device(_functional_device(_there(device, "set_default_device")))


def is_available(device: Device | DeviceType) -> bool:
    """Say whether the machine has a device."""
    found = _device(device, "is_available")
    return found._index >= 0 and _functional.is_available(_functional_device(found))


def device_count(device_type: DeviceType) -> int:
    """Count the devices of a kind."""
    if not isinstance(device_type, DeviceType):
        raise TypeError(f"device_count: expected mx.cpu or mx.gpu, got {type(device_type).__name__}")
    return _functional.device_count(device_type.name)


def device_info(d: Device | DeviceType | None = None) -> dict[str, str | int]:
    """Describe a device, by default the default one; of a kind that the machine does not have, nothing."""
    found = default_device() if d is None else _device(d, "device_info")
    if not is_available(found):
        return {}
    info = _functional.device_info(_functional_device(found))
    return {name: info[name] for name in ("architecture", "device_name")}


def default_stream(device: Device | DeviceType) -> Stream:
    """Return the stream of this thread that a device works on by default."""
    found = _device(device, "default_stream")
    if found not in _thread.defaults:
        _thread.defaults[found] = _made(_there(found, "default_stream"), next(_indices))
    return _thread.defaults[found]


def set_default_stream(stream: Stream) -> None:
    """Make a stream its device's default on this thread."""
    if not isinstance(stream, Stream):
        raise TypeError(f"set_default_stream: expected a Stream, got {type(stream).__name__}")
    _thread.defaults[stream.device] = stream


def new_stream(device: Device | DeviceType) -> Stream:
    """Make a stream of work on a device."""
    return _made(_there(device, "new_stream"), next(_indices))


def new_thread_unsafe_stream(device: Device | DeviceType) -> Stream:
    """Make a stream that may be used on any thread, as all streams here may."""
    return _made(_there(device, "new_thread_unsafe_stream"), next(_indices))


def new_thread_local_stream(device: Device | DeviceType) -> ThreadLocalStream:
    """Make a stream that is another one on each thread."""
    made = ThreadLocalStream.__new__(ThreadLocalStream)
    made.device, made._index = _device(device, "new_thread_local_stream"), next(_local_indices)
    return made


def clear_streams() -> None:
    """Forget the streams of this thread, and the state of its random numbers, which starts again where it first did."""
    from . import random

    _thread.__init__()  # type: ignore[misc]
    random._forget_state()


def _stream(s: Any, name: str) -> Stream:
    """The stream that something stands for on this thread."""
    if isinstance(s, Stream):
        return s
    if isinstance(s, ThreadLocalStream):
        if s not in _thread.of:
            _thread.of[s] = _made(_there(s.device, name), next(_indices))
        return _thread.of[s]
    if isinstance(s, (Device, DeviceType)):
        return default_stream(s)
    raise TypeError(f"{name}: expected a Stream, a Device, mx.cpu or mx.gpu, got {type(s).__name__}")


@final
class StreamContext:
    """A `with` block on a stream or device: what `stream` returns."""

    __slots__ = ("_entered", "_of")

    def __init__(self, s: Stream | ThreadLocalStream | Device | DeviceType) -> None:
        if not isinstance(s, (Stream, ThreadLocalStream, Device, DeviceType)):
            raise TypeError(f"stream: expected a Stream, a Device, mx.cpu or mx.gpu, got {type(s).__name__}")
        self._of = s
        self._entered: list[tuple[Any, Stream | None]] = []

    def __enter__(self) -> None:
        chosen = _stream(self._of, "stream")
        before = _core._set_thread_device(chosen._place), _thread.defaults.get(chosen.device)
        _thread.defaults[chosen.device] = chosen
        self._entered.append(before)

    def __exit__(self, *error: object) -> None:
        if not self._entered:
            return
        device, default = self._entered.pop()
        chosen = _stream(self._of, "stream")
        if default is None:
            _thread.defaults.pop(chosen.device, None)
        else:
            _thread.defaults[chosen.device] = default
        _core._set_thread_device(device)


def stream(s: Stream | ThreadLocalStream | Device | DeviceType) -> StreamContext:
    """Work on a stream or device within a `with` block, on this thread."""
    return StreamContext(s)


def device_of(s: Any) -> _core.Device:
    """Where an operation with ``stream=s`` runs: what the functions of the shim ask."""
    return _CPU if s is cpu else _stream(s, "stream")._place


def synchronize(stream: Stream | ThreadLocalStream | Device | DeviceType | None = None) -> None:
    """Wait for the work of a stream or device; by default that of the default device. All of it is waited for."""
    if stream is not None:
        _stream(stream, "synchronize")
    _core.synchronize()
