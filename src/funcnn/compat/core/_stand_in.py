"""The class of arrays."""

from ... import _core

array = _core.mutable_array
ArrayAt = _core.ArrayAt

__all__ = ["ArrayAt", "array"]
