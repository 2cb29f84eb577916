"""Initialisers: each makes a function that draws an array like the one it is given, or of the shape it is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from .. import core as mx
from ..core.random import _next_key
from ._functional import nn as _nn

_init = _nn.init

Like: TypeAlias = mx.array | tuple[int, ...] | list[int]


def _shape(like: Like) -> tuple[int, ...]:
    return tuple(like) if isinstance(like, (tuple, list)) else like.shape


def _check_fans(shape: tuple[int, ...]) -> None:
    if len(shape) < 2:
        raise ValueError(
            f"Glorot / He initialization requires at least 2 dimensional input but input with {len(shape)} dimensions."
        )


def constant(value: float, dtype: mx.Dtype = mx.float32) -> Callable[[Like], mx.array]:
    """Make an initialiser that fills arrays with a number."""
    return lambda a: mx.full(_shape(a), value, dtype=dtype)


def normal(mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32) -> Callable[[Like], mx.array]:
    """Make an initialiser that draws from a normal distribution.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.init.normal(std=0.02)(mx.zeros((2, 3))).shape
    (2, 3)
    """
    return lambda a: _init.normal(_next_key(), _shape(a), dtype, mean=mean, std=std)


def uniform(low: float = 0.0, high: float = 1.0, dtype: mx.Dtype = mx.float32) -> Callable[[Like], mx.array]:
    """Make an initialiser that draws uniformly from ``[low, high)``."""
    return lambda a: _init.uniform(_next_key(), _shape(a), dtype, low=low, high=high)


def identity(dtype: mx.Dtype = mx.float32) -> Callable[[Like], mx.array]:
    """Make an initialiser of square matrices that gives the identity."""

    def initializer(a: Like) -> mx.array:
        shape = _shape(a)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"The input array must be a square matrix but got shape {shape}.")
        return mx.eye(shape[0], dtype=dtype)

    return initializer


def _glorot(draw: Callable[..., mx.array], dtype: mx.Dtype) -> Callable[..., mx.array]:
    def initializer(a: Like, gain: float = 1.0) -> mx.array:
        shape = _shape(a)
        _check_fans(shape)
        return draw(_next_key(), shape, dtype, gain=gain)

    return initializer


def glorot_normal(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, gain=1.0)`` with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``."""
    return _glorot(_init.glorot_normal, dtype)


def glorot_uniform(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, gain=1.0)`` that draws uniformly from ``±gain * sqrt(6 / (fan_in + fan_out))``."""
    return _glorot(_init.glorot_uniform, dtype)


def _he(draw: Callable[..., mx.array], dtype: mx.Dtype) -> Callable[..., mx.array]:
    def initializer(a: Like, mode: Literal["fan_in", "fan_out"] = "fan_in", gain: float = 1.0) -> mx.array:
        shape = _shape(a)
        _check_fans(shape)
        if mode not in ("fan_in", "fan_out"):
            raise ValueError(f"Invalid mode: {mode}. Valid modes are: fan_in, fan_out")
        return draw(_next_key(), shape, dtype, mode=mode, gain=gain)

    return initializer


def he_normal(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, mode="fan_in", gain=1.0)`` with standard deviation ``gain / sqrt(fan)``."""
    return _he(_init.he_normal, dtype)


def he_uniform(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, mode="fan_in", gain=1.0)`` that draws uniformly from ``±gain * sqrt(3 / fan)``."""
    return _he(_init.he_uniform, dtype)


def sparse(
    sparsity: float, mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32
) -> Callable[[Like], mx.array]:
    """Make an initialiser of matrices that draws from a normal distribution and sets a part of each row to zero."""

    def initializer(a: Like) -> mx.array:
        shape = _shape(a)
        if len(shape) != 2:
            raise ValueError("Only tensors with 2 dimensions are supported")
        draws = mx.random.uniform(shape=shape)
        values = _init.normal(_next_key(), shape, dtype, mean=mean, std=std)
        return _init._thinned(values, draws, math.ceil(sparsity * shape[1]))

    return initializer


def orthogonal(gain: float = 1.0, dtype: mx.Dtype = mx.float32) -> Callable[[Like], mx.array]:
    """Make an initialiser of matrices with orthonormal rows or columns, times `gain`."""

    def initializer(a: Like) -> mx.array:
        shape = _shape(a)
        if len(shape) != 2:
            raise ValueError(f"Orthogonal initialization requires a 2D array but got a {len(shape)}D array.")
        size = max(shape)
        q = _init._orthonormal(_init.normal(_next_key(), (size, size)))
        return (q[: shape[0], : shape[1]] * gain).astype(dtype)

    return initializer
