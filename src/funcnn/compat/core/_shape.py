"""Functions that move elements."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ._pad import pad as _pad
from ._wrap import refuse_numbers, shim


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


def _take(error: Exception, a: Any, indices: Any, axis: Any = None) -> Any:
    """MLX takes a bool for the integer that it is, and no other number that is not one."""
    if isinstance(error, ValueError) and isinstance(indices, bool):
        return fn.take(a, int(indices), axis)
    refuse_numbers(error, *() if isinstance(indices, int) else (indices,))


as_strided = shim(fn.as_strided, "as_strided")
atleast_1d = shim(fn.atleast_1d, "atleast_1d")
atleast_2d = shim(fn.atleast_2d, "atleast_2d")
atleast_3d = shim(fn.atleast_3d, "atleast_3d")
broadcast_arrays = shim(fn.broadcast_arrays, "broadcast_arrays")
broadcast_to = shim(fn.broadcast_to, "broadcast_to")
concatenate = shim(fn.concatenate, "concatenate", otherwise=_concatenate)
contiguous = shim(fn.contiguous, "contiguous")
depends = shim(fn.depends, "depends")
diag = shim(fn.diag, "diag")
diagonal = shim(_diagonal, "diagonal", stream_at=4)
expand_dims = shim(fn.expand_dims, "expand_dims")
flatten = shim(fn.flatten, "flatten", otherwise=_flatten)
flip = shim(fn.flip, "flip", otherwise=_flip)
matrix_transpose = shim(fn.matrix_transpose, "matrix_transpose")
meshgrid = shim(fn.meshgrid, "meshgrid")
moveaxis = shim(fn.moveaxis, "moveaxis")
pad = shim(fn.pad, "pad", otherwise=_pad)
permute_dims = shim(fn.permute_dims, "permute_dims")
put_along_axis = shim(fn.put_along_axis, "put_along_axis")
repeat = shim(fn.repeat, "repeat")
reshape = shim(fn.reshape, "reshape")
roll = shim(fn.roll, "roll")
slice = shim(fn.slice, "slice")
slice_update = shim(fn.slice_update, "slice_update")
split = shim(fn.split, "split")
squeeze = shim(fn.squeeze, "squeeze")
stack = shim(fn.stack, "stack", otherwise=_stack)
swapaxes = shim(fn.swapaxes, "swapaxes")
take = shim(fn.take, "take", otherwise=_take)
take_along_axis = shim(fn.take_along_axis, "take_along_axis")
tile = shim(fn.tile, "tile")
transpose = shim(fn.transpose, "transpose")
tril = shim(fn.tril, "tril")
triu = shim(fn.triu, "triu")
unflatten = shim(fn.unflatten, "unflatten")
unstack = shim(fn.unstack, "unstack")
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
