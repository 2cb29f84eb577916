"""What the Python array API standard asks of a library, as MLX answers it."""

from __future__ import annotations

from typing import Any

from ... import _core
from ._streams import Device, cpu, default_device, gpu, is_available

__all__ = ["__array_namespace_info__"]

_NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "complex64")
_KINDS = (
    "bool",
    "signed integer",
    "unsigned integer",
    "integral",
    "real floating",
    "complex floating",
    "numeric",
)


class ArrayNamespaceInfo:
    """Devices, dtypes and capabilities."""

    def capabilities(self) -> dict[str, Any]:
        """What the library can do."""
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 10}

    def default_device(self) -> Device:
        """The device that new arrays go to."""
        return default_device()

    def default_dtypes(self, *, device: Device | None = None) -> dict[str, _core.Dtype]:
        """The dtypes of arrays of Python numbers, and of positions."""
        _checked(device)
        return {
            "real floating": _core.float32,
            "complex floating": _core.complex64,
            "integral": _core.int32,
            "indexing": _core.int32,
        }

    def devices(self) -> tuple[Device, ...]:
        """The devices of this machine."""
        return tuple(Device(kind) for kind in (cpu, gpu) if is_available(kind))

    def dtypes(
        self, *, device: Device | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, _core.Dtype]:
        """The dtypes of a kind, or of all kinds, by name; float64 on the CPU only."""
        _checked(device)
        kinds = kind if isinstance(kind, tuple) else _KINDS if kind is None else (kind,)
        if not {*kinds} <= {*_KINDS}:
            raise ValueError(f"dtypes: the kind must be among {', '.join(_KINDS)}, got {kind!r}")
        names = [*_NAMES, "float64"] if (device or default_device()) == cpu else [*_NAMES]
        dtypes = {name: getattr(_core, "bool_" if name == "bool" else name) for name in names}
        return {name: dtype for name, dtype in dtypes.items() if _core.isdtype(dtype, kinds)}


def _checked(device: Any) -> None:
    if device is not None and not isinstance(device, Device):
        raise TypeError(f"expected a Device, got {type(device).__name__}")


def __array_namespace_info__() -> ArrayNamespaceInfo:
    """Describe this namespace, as the Python array API standard says."""
    return ArrayNamespaceInfo()
