"""Functions that move elements."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ._pad import pad as _pad
from ._wrap import of_arrays, shim


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return fn.diagonal(a, offset, axis1, axis2)


def _stack(error: Exception, arrays: Any, axis: Any = 0) -> Any:
    if axis is None:
        return fn.stack(arrays, 0)
    raise error


def _concatenate(error: Exception, arrays: Any, axis: Any = 0) -> Any:
    """MLX gives a single array back, whatever the axis is."""
    if isinstance(error, ValueError) and isinstance(arrays, (list, tuple)) and len(arrays) == 1:
        return fn.reshape(arrays[0], arrays[0].shape)
    raise error


def _flatten(error: Exception, a: Any, /, start_axis: int = 0, end_axis: int = -1) -> Any:
    """MLX moves axes beyond the ends to the ends."""
    if not isinstance(error, ValueError) or not isinstance(a, fn.array):
        raise error
    first, last = (axis + a.ndim if axis < 0 else axis for axis in (start_axis, end_axis))
    first, last = max(first, 0), min(last, a.ndim - 1)
    if (first, last) == (start_axis, end_axis):
        raise error
    return fn.flatten(a, first, last)


def _flip(error: Exception, a: Any, /, axis: Any = None) -> Any:
    """MLX flips an axis that is given twice once."""
    if isinstance(error, ValueError) and isinstance(a, fn.array) and isinstance(axis, (list, tuple)):
        axes = [n + a.ndim if n < 0 else n for n in axis]
        if all(0 <= n < a.ndim for n in axes):
            return fn.flip(a, sorted({*axes}))
    raise error


def _take(a: Any, /, indices: Any, axis: int | None = None) -> Any:
    """MLX takes a bool for the integer that it is, and looks at the range of a number, though not of an array."""
    if isinstance(indices, (float, complex)):
        raise TypeError(f"take: indices must be integers, got {indices!r}")
    if isinstance(indices, int) and isinstance(a, fn.array):
        size = a.size if axis is None else a.shape[axis]
        if not -size <= indices < size:
            raise ValueError(f"take: index {indices} is out of range for {size} elements")
        indices = int(indices)
    return fn.take(a, indices, axis)


as_strided = of_arrays(fn.as_strided, "as_strided")
atleast_1d = shim(fn.atleast_1d, "atleast_1d")
atleast_2d = shim(fn.atleast_2d, "atleast_2d")
atleast_3d = shim(fn.atleast_3d, "atleast_3d")
broadcast_arrays = shim(fn.broadcast_arrays, "broadcast_arrays")
broadcast_to = of_arrays(fn.broadcast_to, "broadcast_to")
concatenate = shim(fn.concatenate, "concatenate", otherwise=_concatenate)
contiguous = of_arrays(fn.contiguous, "contiguous")
depends = shim(fn.depends, "depends")
diag = of_arrays(fn.diag, "diag")
diagonal = of_arrays(_diagonal, "diagonal", stream_at=4)
expand_dims = of_arrays(fn.expand_dims, "expand_dims")
flatten = of_arrays(fn.flatten, "flatten", otherwise=_flatten)
flip = of_arrays(fn.flip, "flip", otherwise=_flip)
matrix_transpose = of_arrays(fn.matrix_transpose, "matrix_transpose")
meshgrid = shim(fn.meshgrid, "meshgrid")
moveaxis = of_arrays(fn.moveaxis, "moveaxis")
pad = of_arrays(fn.pad, "pad", otherwise=_pad)
permute_dims = of_arrays(fn.permute_dims, "permute_dims")
put_along_axis = of_arrays(fn.put_along_axis, "put_along_axis", count=3)
repeat = of_arrays(fn.repeat, "repeat")
reshape = of_arrays(fn.reshape, "reshape")
roll = of_arrays(fn.roll, "roll")
slice = of_arrays(fn.slice, "slice")
slice_update = of_arrays(fn.slice_update, "slice_update", count=2)
split = of_arrays(fn.split, "split")
squeeze = of_arrays(fn.squeeze, "squeeze")
stack = shim(fn.stack, "stack", otherwise=_stack)
swapaxes = of_arrays(fn.swapaxes, "swapaxes")
take = of_arrays(_take, "take")
take_along_axis = of_arrays(fn.take_along_axis, "take_along_axis", count=2)
tile = of_arrays(fn.tile, "tile")
transpose = of_arrays(fn.transpose, "transpose")
tril = of_arrays(fn.tril, "tril")
triu = of_arrays(fn.triu, "triu")
unflatten = of_arrays(fn.unflatten, "unflatten")
unstack = of_arrays(fn.unstack, "unstack")
concat = shim(fn.concatenate, "concat", otherwise=_concatenate)

__all__ = [
    "as_strided",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "concatenate",
    "contiguous",
    "depends",
    "diag",
    "diagonal",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "meshgrid",
    "moveaxis",
    "pad",
    "permute_dims",
    "put_along_axis",
    "repeat",
    "reshape",
    "roll",
    "slice",
    "slice_update",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "take",
    "take_along_axis",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unflatten",
    "unstack",
]
