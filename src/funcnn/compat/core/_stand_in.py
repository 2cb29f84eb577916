"""The class of arrays, until it has a file of its own."""

from ... import _core

array = getattr(_core, "mutable_array", _core.array)
ArrayAt = _core.ArrayAt
