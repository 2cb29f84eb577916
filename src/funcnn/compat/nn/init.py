"""Initialisers: each makes a function that draws an array like the one it is given, or of the shape it is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from .. import core as mx
from ..core._wrap import mutable
from ..core.random import _next_key
from ._functional import nn as _nn

_init = _nn.init

Like: TypeAlias = mx.array | tuple[int, ...] | list[int]


def _shape(like: Like) -> tuple[int, ...]:
    return tuple(like) if isinstance(like, (tuple, list)) else like.shape


def _matrix(name: str, like: Like) -> tuple[int, int]:
    shape = _shape(like)
    if len(shape) != 2:
        raise ValueError(f"{name}: expected a matrix, or the shape of one, got shape {shape}")
    return shape[0], shape[1]


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
    """Make an initialiser of square matrices that gives the identity; ValueError for other shapes."""
    return lambda a: mutable(_init.identity(None, _shape(a), dtype))


# Shapes and modes are looked at before a key is taken from the global stream: an error leaves it where it is.
def _glorot(name: str, dtype: mx.Dtype) -> Callable[..., mx.array]:
    def initializer(a: Like, gain: float = 1.0) -> mx.array:
        shape = _shape(a)
        _init._fans(name, shape)
        drawn: mx.array = getattr(_init, name)(_next_key(), shape, dtype, gain=gain)
        return drawn

    return initializer


def glorot_normal(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, gain=1.0)`` with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``."""
    return _glorot("glorot_normal", dtype)


def glorot_uniform(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, gain=1.0)`` that draws uniformly from ``±gain * sqrt(6 / (fan_in + fan_out))``."""
    return _glorot("glorot_uniform", dtype)


def _he(name: str, dtype: mx.Dtype) -> Callable[..., mx.array]:
    def initializer(a: Like, mode: Literal["fan_in", "fan_out"] = "fan_in", gain: float = 1.0) -> mx.array:
        shape = _shape(a)
        _init._fan(name, shape, mode)
        drawn: mx.array = getattr(_init, name)(_next_key(), shape, dtype, mode=mode, gain=gain)
        return drawn

    return initializer


def he_normal(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, mode="fan_in", gain=1.0)`` with standard deviation ``gain / sqrt(fan)``."""
    return _he("he_normal", dtype)


def he_uniform(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Make an initialiser ``(a, mode="fan_in", gain=1.0)`` that draws uniformly from ``±gain * sqrt(3 / fan)``."""
    return _he("he_uniform", dtype)


def sparse(
    sparsity: float, mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32
) -> Callable[[Like], mx.array]:
    """Make an initialiser of matrices that draws from a normal distribution and sets a part of each row to zero.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> mx.sum(nn.init.sparse(sparsity=0.5)(mx.zeros((3, 4))) == 0, axis=1).tolist()
    [2, 2, 2]
    """

    def initializer(a: Like) -> mx.array:
        shape = _matrix("sparse", a)
        draws = mx.random.uniform(shape=shape)
        values = _init.normal(_next_key(), shape, dtype, mean=mean, std=std)
        return _init._thinned(values, draws, math.ceil(sparsity * shape[1]))

    return initializer


def orthogonal(gain: float = 1.0, dtype: mx.Dtype = mx.float32) -> Callable[[Like], mx.array]:
    """Make an initialiser of matrices with orthonormal rows or columns, times `gain`."""

    def initializer(a: Like) -> mx.array:
        rows, columns = _matrix("orthogonal", a)
        size = max(rows, columns)
        q = _init._orthonormal(_init.normal(_next_key(), (size, size)))
        return (q[:rows, :columns] * gain).astype(dtype)

    return initializer
