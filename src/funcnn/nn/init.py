"""Initialisers: functions of a key, a shape and a dtype that draw an array.

Those named after Glorot and He scale with the *fans* of a weight: ``fan_in`` is the number of inputs that an output depends
on, ``fan_out`` the number of outputs that an input goes to. A weight has shape ``(out, ..., in)``, as in ``nn.Linear`` and the
convolutions; the axes between count for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import funcnn as fn
from funcnn import random
from funcnn._arguments import integers

__all__ = [
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "normal",
    "ones",
    "uniform",
    "zeros",
]

Shape = Sequence[int]


def zeros(key: fn.array | None, shape: Shape, dtype: fn.Dtype = fn.float32) -> fn.array:
    """Return zeros; the key is not used.

    >>> from funcnn import nn
    >>> nn.init.zeros(None, (2,)).tolist()
    [0.0, 0.0]
    """
    return fn.zeros(shape, dtype=dtype)


def ones(key: fn.array | None, shape: Shape, dtype: fn.Dtype = fn.float32) -> fn.array:
    """Return ones; the key is not used.

    >>> from funcnn import nn
    >>> nn.init.ones(None, (2,)).tolist()
    [1.0, 1.0]
    """
    return fn.ones(shape, dtype=dtype)


def constant(key: fn.array | None, shape: Shape, dtype: fn.Dtype = fn.float32, *, value: float = 0.0) -> fn.array:
    """Return an array filled with `value`; the key is not used.

    >>> from funcnn import nn
    >>> nn.init.constant(None, (2,), value=0.5).tolist()
    [0.5, 0.5]
    """
    return fn.full(shape, value, dtype=dtype)


def identity(key: fn.array | None, shape: Shape, dtype: fn.Dtype = fn.float32) -> fn.array:
    """Return an identity matrix; the key is not used.

    Raises:
        ValueError: `shape` is not that of a square matrix.

    >>> from funcnn import nn
    >>> nn.init.identity(None, (2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    shape = integers(shape, "identity: shape")
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"identity: expected the shape of a square matrix, got {tuple(shape)}")
    return fn.eye(shape[0], dtype=dtype)


def normal(
    key: fn.array, shape: Shape, dtype: fn.Dtype = fn.float32, *, mean: float = 0.0, std: float = 1.0
) -> fn.array:
    """Draw from the normal distribution with this mean and standard deviation.

    >>> from funcnn import nn, random
    >>> nn.init.normal(random.key(0), (2, 3), std=0.02).shape
    (2, 3)
    """
    return random.normal(key, shape, dtype, loc=mean, scale=std)


def uniform(
    key: fn.array, shape: Shape, dtype: fn.Dtype = fn.float32, *, low: float = 0.0, high: float = 1.0
) -> fn.array:
    """Draw uniformly from ``[low, high)``.

    >>> from funcnn import nn, random
    >>> nn.init.uniform(random.key(0), (2, 3), low=-1.0).shape
    (2, 3)
    """
    return random.uniform(key, shape, dtype, low, high)


def _fans(name: str, shape: Shape) -> tuple[int, int]:
    shape = integers(shape, f"{name}: shape")
    if len(shape) < 2:
        raise ValueError(
            f"{name}: fans are defined for weights of at least two axes, (out, ..., in), got shape {tuple(shape)}"
        )
    between = math.prod(shape[1:-1])
    return shape[-1] * between, shape[0] * between


def glorot_normal(key: fn.array, shape: Shape, dtype: fn.Dtype = fn.float32, *, gain: float = 1.0) -> fn.array:
    """Draw from the normal distribution with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> from funcnn import nn, random
    >>> nn.init.glorot_normal(random.key(0), (10, 784)).shape
    (10, 784)
    """
    return normal(key, shape, dtype, std=gain * math.sqrt(2.0 / max(sum(_fans("glorot_normal", shape)), 1)))


def glorot_uniform(key: fn.array, shape: Shape, dtype: fn.Dtype = fn.float32, *, gain: float = 1.0) -> fn.array:
    """Draw uniformly from ``±gain * sqrt(6 / (fan_in + fan_out))``.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> from funcnn import nn, random
    >>> nn.init.glorot_uniform(random.key(0), (10, 784)).shape
    (10, 784)
    """
    bound = gain * math.sqrt(6.0 / max(sum(_fans("glorot_uniform", shape)), 1))
    return uniform(key, shape, dtype, low=-bound, high=bound)


def _fan(name: str, shape: Shape, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _fans(name, shape)[mode == "fan_out"]


def he_normal(
    key: fn.array,
    shape: Shape,
    dtype: fn.Dtype = fn.float32,
    *,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    gain: float = 1.0,
) -> fn.array:
    """Draw from the normal distribution with standard deviation ``gain / sqrt(fan)``; ``gain = sqrt(2)`` suits ReLU.

    Reference: K. He et al., "Delving deep into rectifiers", 2015.

    >>> from funcnn import nn, random
    >>> nn.init.he_normal(random.key(0), (10, 784), gain=2**0.5).shape
    (10, 784)
    """
    return normal(key, shape, dtype, std=gain / math.sqrt(max(_fan("he_normal", shape, mode), 1)))


def he_uniform(
    key: fn.array,
    shape: Shape,
    dtype: fn.Dtype = fn.float32,
    *,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    gain: float = 1.0,
) -> fn.array:
    """Draw uniformly from ``±gain * sqrt(3 / fan)``; ``gain = sqrt(2)`` suits ReLU.

    Reference: K. He et al., "Delving deep into rectifiers", 2015.

    >>> from funcnn import nn, random
    >>> nn.init.he_uniform(random.key(0), (10, 784), gain=2**0.5).shape
    (10, 784)
    """
    bound = gain * math.sqrt(3.0 / max(_fan("he_uniform", shape, mode), 1))
    return uniform(key, shape, dtype, low=-bound, high=bound)
