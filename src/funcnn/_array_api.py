"""The library as a namespace of the Python array API standard (https://data-apis.org/array-api/2024.12)."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from . import _core, _streams
from ._core import Device, Dtype

__array_api_version__ = "2024.12"
_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")

# float16 and bfloat16 are no dtypes of the standard; complex128 the library does not have.
_DTYPES: dict[str, Dtype] = {
    "bool": _core.bool_,
    "int8": _core.int8,
    "int16": _core.int16,
    "int32": _core.int32,
    "int64": _core.int64,
    "uint8": _core.uint8,
    "uint16": _core.uint16,
    "uint32": _core.uint32,
    "uint64": _core.uint64,
    "float32": _core.float32,
    "float64": _core.float64,
    "complex64": _core.complex64,
}


def namespace(api_version: str | None = None) -> ModuleType:
    """The module that has the functions of a version of the standard."""
    if api_version is not None and api_version not in _VERSIONS:
        raise ValueError(
            f"__array_namespace__: version {api_version!r} of the array API is not known; {', '.join(_VERSIONS)} are"
        )
    return sys.modules["funcnn"]


class __array_namespace_info__:
    """What the array API standard asks of a library: its devices, dtypes and capabilities.

    Example:
        >>> import funcnn as fn
        >>> fn.__array_namespace_info__().default_dtypes()["real floating"]
        float32
    """

    def capabilities(self) -> dict[str, Any]:
        """Say what the library can do: index by masks, and give results whose shapes depend on values.

        Under transformations without values, `fn.compile` and `fn.vmap`, the latter raise ``TracedValueError``.
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self) -> Device:
        """Return the device that new arrays go to."""
        return _core.get_default_device()

    def default_dtypes(self, *, device: Device | str | None = None) -> dict[str, Dtype]:
        """Return the dtypes of arrays of Python numbers, and of positions.

        Args:
            device: Makes no difference.
        """
        self._checked(device, "default_dtypes")
        return {
            "real floating": _core.float32,
            "complex floating": _core.complex64,
            "integral": _core.int32,
            "indexing": _core.int32,
        }

    def devices(self) -> list[Device]:
        """List the devices of this machine."""
        return [Device(kind, index) for kind in _streams.DeviceType for index in range(_streams.device_count(kind))]

    def dtypes(
        self, *, device: Device | str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, Dtype]:
        """Return the dtypes of the standard that the library has, by name.

        Args:
            device: Makes no difference.
            kind: Those of a kind, such as ``"integral"``, or of several; default: all.
        """
        self._checked(device, "dtypes")
        return {name: dtype for name, dtype in _DTYPES.items() if kind is None or _core.isdtype(dtype, kind)}

    def _checked(self, device: Any, name: str) -> None:
        if device is not None:
            _streams._found(device, name)


__all__ = ["__array_api_version__", "__array_namespace_info__"]
