"""Functions that make arrays."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ... import _core
from ._wrap import refuse_values, shim

# The dtypes that hold a number of Python's, whatever was asked for.
_KINDS = {bool: "bool", int: "integral", float: "real floating", complex: "complex floating"}
_ORDER = ["bool", "integral", "real floating", "complex floating"]


def _full(shape: Any, vals: Any, dtype: Any = None) -> Any:
    # MLX's dtype is a wish: arrays keep theirs, and a number that it cannot hold has a dtype of its own.
    if isinstance(vals, fn.array):
        return fn.full(shape, vals)
    if dtype is not None and type(vals) in _KINDS:
        held = next(kind for kind in _ORDER if fn.isdtype(dtype, kind))
        if _ORDER.index(held) < _ORDER.index(_KINDS[type(vals)]):
            dtype = None
    return fn.full(shape, vals, dtype)


def _refuse_fill(error: Exception, shape: Any, vals: Any, dtype: Any = None) -> Any:
    return refuse_values(error, vals)


def _arange(error: Exception, *args: Any, **kwargs: Any) -> Any:
    # A dtype in the third place is that of arange(stop, step, dtype).
    if len(args) == 3 and isinstance(args[2], _core.Dtype):
        return fn.arange(0, args[0], 1 if args[1] is None else args[1], args[2])
    if not args and "stop" in kwargs and "start" not in kwargs:
        return fn.arange(0, **kwargs)
    raise error


def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = fn.float32) -> Any:
    start, stop = (float(x) if isinstance(x, fn.array) else x for x in (start, stop))
    # Whole numbers are those of float32 without their fractions; fn.linspace rounds down.
    made = fn.float32 if dtype is not None and fn.isdtype(dtype, "integral") else dtype
    drawn = fn.linspace(start, stop, num, endpoint, made)
    return drawn if made == dtype else drawn.astype(dtype)


_linspace.__doc__ = fn.linspace.__doc__


def _asarray(a: Any, dtype: Any = None, *, copy: bool | None = None) -> Any:
    # Memory is shared where that is asked for only.
    return fn.asarray(a, dtype, copy=False) if copy is False else _core.mutable_array(a, dtype)


def _from_dlpack(x: Any, /, *, copy: bool | None = None) -> Any:
    return fn.from_dlpack(x, copy=True if copy is None else copy)


arange = shim(fn.arange, "arange", otherwise=_arange)
bartlett = shim(fn.bartlett, "bartlett")
blackman = shim(fn.blackman, "blackman")
eye = shim(fn.eye, "eye")
full = shim(_full, "full", otherwise=_refuse_fill)
full_like = shim(fn.full_like, "full_like")
hamming = shim(fn.hamming, "hamming")
hanning = shim(fn.hanning, "hanning")
identity = shim(fn.identity, "identity")
linspace = shim(_linspace, "linspace", stream_at=5)
ones = shim(fn.ones, "ones")
ones_like = shim(fn.ones_like, "ones_like")
tri = shim(fn.tri, "tri")
zeros = shim(fn.zeros, "zeros")
zeros_like = shim(fn.zeros_like, "zeros_like")
from_dlpack = shim(_from_dlpack, "from_dlpack")
asarray = shim(_asarray, "asarray")

empty = zeros
empty_like = zeros_like

__all__ = [
    "arange",
    "asarray",
    "bartlett",
    "blackman",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "hamming",
    "hanning",
    "identity",
    "linspace",
    "ones",
    "ones_like",
    "tri",
    "zeros",
    "zeros_like",
]
