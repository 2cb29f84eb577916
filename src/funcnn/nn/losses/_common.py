"""What loss functions share: their arguments and reductions."""

from __future__ import annotations

import math
from typing import Any, Literal

import funcnn as fn
from funcnn._arguments import integer
from funcnn._hyper import checked

from .._arrays import as_array

Reduction = Literal["none", "mean", "sum"]


def reduce(name: str, loss: fn.array, reduction: Reduction, dtype: fn.Dtype, total: fn.array | None = None) -> fn.array:
    """Combine losses, which are rounded to the dtype of the inputs last; `total` replaces their number in a mean."""
    if reduction == "none":
        return loss.astype(dtype)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{name}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    if reduction == "sum":
        return fn.sum(loss).astype(dtype)
    if total is None:
        return fn.mean(loss).astype(dtype)
    none = total == 0
    return fn.where(none, 0.0, fn.sum(loss) / fn.where(none, 1.0, total)).astype(dtype)


def floats(name: str, **arguments: Any) -> tuple[fn.Dtype, list[fn.array]]:
    """The dtype of the loss, and the arrays in the dtype to compute with: float32 for halves, integers and bools."""
    arrays = {what: as_array(name, x, what) for what, x in arguments.items()}
    dtype = None
    for what, x in arrays.items():
        _check_real(name, what, x)
        if fn.isdtype(x.dtype, "real floating"):
            dtype = x.dtype if dtype is None else fn.promote_types(dtype, x.dtype)
    dtype = dtype or fn.float32
    wide = fn.promote_types(dtype, fn.float32)
    return dtype, [x.astype(wide) for x in arrays.values()]


def same_shapes(name: str, **arguments: Any) -> None:
    """Raise unless all arguments have one shape."""
    shapes = {what: as_array(name, x, what).shape for what, x in arguments.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{what} {shape}" for what, shape in shapes.items())
        raise ValueError(f"{name}: the arguments must have one shape, got {listed}")


def weighted(name: str, loss: fn.array, weights: Any) -> fn.array:
    """The losses times their weights."""
    if weights is None:
        return loss
    weights = as_array(name, weights, "weights")
    _check_real(name, "weights", weights)
    if weights.shape != loss.shape:
        raise ValueError(f"{name}: the weights must have the shape of the loss, {loss.shape}, got {weights.shape}")
    result: fn.array = loss * weights.astype(loss.dtype)
    return result


def class_weight(name: str, weights: Any, count: int, dtype: fn.Dtype) -> fn.array:
    """Factors for the classes."""
    weights = as_array(name, weights, "class_weights")
    if weights.shape != (count,):
        raise ValueError(f"{name}: class_weights must have the shape ({count},), got {weights.shape}")
    _check_real(name, "class_weights", weights)
    factors: fn.array = weights.astype(dtype)
    return factors


def _check_real(name: str, what: str, x: fn.array) -> None:
    if fn.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"{name}: {what} must be real, got {x.dtype}")


def position(name: str, axis: Any, ndim: int) -> int:
    """An axis counted from the front."""
    place = integer(axis, f"{name}: axis")
    if not -ndim <= place < ndim:
        raise fn.AxisError(f"{name}: axis {axis} of an array of {ndim} {'axis' if ndim == 1 else 'axes'}")
    return place % ndim


def number(name: str, what: str, value: Any, low: float = -math.inf, *, above: bool = False) -> float:
    """A number of at least `low`, or above it; it decides what is computed, so an array must be a known one."""
    if isinstance(value, fn.array):
        try:
            value = value.item()
        except (ValueError, fn.TracedValueError):
            raise TypeError(f"{name}: {what} must be a number, got {value!r}") from None
    found: float = checked(name, what, value, low, above=above)
    return found
