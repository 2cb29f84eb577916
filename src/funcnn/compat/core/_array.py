"""``mx.array``: what of its behaviour is easier said in Python.

Indices, assignment, operators and memory shared with other libraries are in ``native/bindings/mutable*.cpp``.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, runtime_checkable

from ... import _core
from ..._array import to_numpy
from . import _reduce as _reductions
from . import _shape
from ._array_printing import describe
from ._wrap import shim

__all__ = ["ArrayAt", "ArrayIterator", "ArrayLike", "array"]

array = _core.mutable_array
ArrayAt = _core.mutable_array_at
ArrayIterator = type(iter(array([0])))


@runtime_checkable
class ArrayLike(Protocol):
    """An object that functions take in place of an array: its ``__mlx_array__`` method returns one."""

    def __mlx_array__(self) -> array: ...


def _format(self: array, spec: str, /) -> str:
    """Format the number that an array of no axes holds; other arrays take no format."""
    if self.ndim == 0:
        return format(self.item(), spec)
    if spec:
        raise TypeError(f"format: {spec!r} applies to arrays of no axes only, got shape {self.shape}")
    return repr(self)


def _to_numpy(self: array, dtype: Any = None, copy: bool | None = None) -> Any:
    """Make a NumPy array that shares the memory where possible; bfloat16 becomes float32."""
    import numpy as np

    if self.dtype == _core.bfloat16:
        return to_numpy(self, dtype, copy)
    made = np.asarray(memoryview(self))
    if dtype is not None and made.dtype != dtype:
        if copy is False:
            raise ValueError(f"__array__: converting to {dtype} needs a copy, which copy=False forbids")
        return made.astype(dtype)
    return made.copy() if copy else made


def _bytes(self: array) -> bytes:
    """Return the elements as they lie in memory, in row-major order."""
    return memoryview(self).tobytes()


def _array_namespace(self: array, api_version: str | None = None) -> Any:
    """Return the module whose functions are those of the array API standard: this one."""
    if api_version is not None:
        raise ValueError("__array_namespace__: no version can be asked for, api_version must be None")
    return sys.modules[__package__]


def _restore(*parts: Any) -> array:
    return _core._mutable(_core._restore(*parts))


def _reduce(self: array, protocol: Any, /) -> Any:
    return _restore, _core.array.__reduce_ex__(self, protocol)[1]


# The dtypes by their numbers in what MLX pickles.
_CODES = [
    *(_core.bool_, _core.uint8, _core.uint16, _core.uint32, _core.uint64),
    *(_core.int8, _core.int16, _core.int32, _core.int64),
    *(_core.float16, _core.float32, _core.float64, _core.bfloat16, _core.complex64),
]


def _set_state(self: array, state: tuple[Any, int], /) -> None:
    """Take what MLX pickles: a NumPy array, whose elements are the bits of bfloat16 ones, and the number of the dtype."""
    values, code = state
    dtype = _CODES[code]
    bits = _core.asarray(values)
    self.__init__(bits.view(dtype) if dtype == _core.bfloat16 else bits)  # type: ignore[misc]


def _astype(error: Exception, self: array, *args: Any) -> Any:
    # MLX's stream has a place of its own here.
    if len(args) != 2:
        raise error
    return self.astype(args[0], stream=args[1])  # type: ignore[call-arg]


def _method(name: str) -> Any:
    return shim(getattr(_core.array, name), name)


_METHODS = [
    "abs",
    "all",
    "any",
    "argmax",
    "argmin",
    "conj",
    "cos",
    "cumprod",
    "cumsum",
    "diag",
    "diagonal",
    "exp",
    "log",
    "log10",
    "log1p",
    "log2",
    "logsumexp",
    "mean",
    "moveaxis",
    "prod",
    "reciprocal",
    "reshape",
    "round",
    "rsqrt",
    "sin",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "transpose",
    "var",
    "view",
]

_CLASS: dict[str, Any] = {
    "__name__": "array",
    "__qualname__": "array",
    "__module__": "funcnn.compat.core",
    "__repr__": describe,
    "__str__": describe,
    "__format__": _format,
    "__array__": _to_numpy,
    # NumPy's operators take arrays as their own and give NumPy arrays, as beside MLX's.
    "__array_priority__": -1_000_001.0,
    "__bytes__": _bytes,
    # What Python 2 called true division; MLX still has it.
    "__div__": array.__truediv__,
    "__rdiv__": array.__rtruediv__,
    "__array_namespace__": _array_namespace,
    "__reduce_ex__": _reduce,
    "__setstate__": _set_state,
    **{name: _method(name) for name in _METHODS},
    # These take what funcnn's methods refuse: complex numbers in an order, axes beyond the ends.
    **{name: getattr(_reductions, name) for name in ("cummax", "cummin", "logcumsumexp", "max", "min")},
    "flatten": _shape.flatten,
    "astype": shim(_core.array.astype, "astype", otherwise=_astype),
}
for _name, _value in _CLASS.items():
    setattr(array, _name, _value)
