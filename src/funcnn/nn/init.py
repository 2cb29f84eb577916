"""Initialisers: functions of a key, a shape and a dtype that draw an array.

All are called as ``init(key, shape, dtype)``; what else they take is given by name (``functools.partial`` makes an initialiser of
the three of one with options). The dtype is float32 by default.

Those named after Glorot, He and LeCun scale with the *fans* of a weight: ``fan_in`` is the number of inputs that an output
depends on, ``fan_out`` the number of outputs that an input goes to. A weight has shape ``(out, ..., in)``, as in ``nn.Linear``
and the convolutions; the axes between count for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import funcnn as fn
from funcnn import _hints, random
from funcnn._arguments import integers
from funcnn._hyper import checked
from funcnn._types import DtypeLike

__all__ = [
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "truncated_normal",
    "uniform",
    "zeros",
]

Shape = Sequence[int]


def zeros(key: fn.array | None, shape: Shape, dtype: DtypeLike = fn.float32) -> fn.array:
    """Return zeros; the key is not used.

    >>> from funcnn import nn
    >>> nn.init.zeros(None, (2,)).tolist()
    [0.0, 0.0]
    """
    return fn.zeros(shape, dtype=dtype)


def ones(key: fn.array | None, shape: Shape, dtype: DtypeLike = fn.float32) -> fn.array:
    """Return ones; the key is not used.

    >>> from funcnn import nn
    >>> nn.init.ones(None, (2,)).tolist()
    [1.0, 1.0]
    """
    return fn.ones(shape, dtype=dtype)


def constant(key: fn.array | None, shape: Shape, dtype: DtypeLike = fn.float32, *, value: float = 0.0) -> fn.array:
    """Return an array filled with `value`; the key is not used.

    >>> from funcnn import nn
    >>> nn.init.constant(None, (2,), value=0.5).tolist()
    [0.5, 0.5]
    """
    return fn.full(shape, value, dtype=dtype)


def identity(key: fn.array | None, shape: Shape, dtype: DtypeLike = fn.float32) -> fn.array:
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
    key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32, *, mean: float = 0.0, std: float = 1.0
) -> fn.array:
    """Draw from the normal distribution with this mean and standard deviation.

    >>> from funcnn import nn, random
    >>> nn.init.normal(random.key(0), (2, 3), std=0.02).shape
    (2, 3)
    """
    return random.normal(key, shape, dtype, loc=mean, scale=std)


def _wide(name: str, dtype: DtypeLike) -> fn.Dtype:
    """The dtype to compute numbers of a floating dtype in: float32 for halves."""
    if not fn.isdtype(dtype, "real floating"):
        raise ValueError(f"{name}: dtype must be a floating point type, got {dtype}")
    return fn.promote_types(dtype, fn.float32)


def truncated_normal(
    key: fn.array,
    shape: Shape,
    dtype: DtypeLike = fn.float32,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    lower: float = -2.0,
    upper: float = 2.0,
) -> fn.array:
    """Draw from the normal distribution without what lies outside ``[mean + lower * std, mean + upper * std]``.

    `std` is the standard deviation before the tails are cut off; between -2 and 2 it is 0.8796 times that afterwards. (In
    PyTorch's ``trunc_normal_`` the bounds are numbers instead of multiples of `std`.)

    Raises:
        ValueError: `lower` is not below `upper`.

    >>> from funcnn import nn, random
    >>> x = nn.init.truncated_normal(random.key(0), (1000,), std=0.02)
    >>> bool((abs(x) <= 0.04).all())
    True
    """
    low, high = checked("truncated_normal", "lower", lower), checked("truncated_normal", "upper", upper)
    if not low < high:
        raise ValueError(f"truncated_normal: lower must be below upper, got {lower} and {upper}")
    drawn = random.truncated_normal(key, low, high, shape, _wide("truncated_normal", dtype))
    return (drawn * std + mean).astype(dtype)


def uniform(
    key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32, *, low: float = 0.0, high: float = 1.0
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


def glorot_normal(key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32, *, gain: float = 1.0) -> fn.array:
    """Draw from the normal distribution with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> from funcnn import nn, random
    >>> nn.init.glorot_normal(random.key(0), (10, 784)).shape
    (10, 784)
    """
    return normal(key, shape, dtype, std=gain * math.sqrt(2.0 / max(sum(_fans("glorot_normal", shape)), 1)))


def glorot_uniform(key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32, *, gain: float = 1.0) -> fn.array:
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
    dtype: DtypeLike = fn.float32,
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
    dtype: DtypeLike = fn.float32,
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


def lecun_normal(key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32) -> fn.array:
    """Draw from the normal distribution with standard deviation ``sqrt(1 / fan_in)``, as SELU wants it.

    Reference: Y. LeCun et al., "Efficient BackProp", 1998.

    >>> from funcnn import nn, random
    >>> nn.init.lecun_normal(random.key(0), (10, 784)).shape
    (10, 784)
    """
    return normal(key, shape, dtype, std=1.0 / math.sqrt(max(_fans("lecun_normal", shape)[0], 1)))


def lecun_uniform(key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32) -> fn.array:
    """Draw uniformly from ``±sqrt(3 / fan_in)``.

    Reference: Y. LeCun et al., "Efficient BackProp", 1998.

    >>> from funcnn import nn, random
    >>> nn.init.lecun_uniform(random.key(0), (10, 784)).shape
    (10, 784)
    """
    bound = math.sqrt(3.0 / max(_fans("lecun_uniform", shape)[0], 1))
    return uniform(key, shape, dtype, low=-bound, high=bound)


def sparse(
    key: fn.array,
    shape: Shape,
    dtype: DtypeLike = fn.float32,
    *,
    sparsity: float,
    mean: float = 0.0,
    std: float = 1.0,
) -> fn.array:
    """Draw a matrix from a normal distribution and set some elements of each row to zero.

    Args:
        key: A key.
        shape: That of a matrix ``(out, in)``.
        dtype: A floating dtype.
        sparsity: Which part of each row is zero, from 0 to 1: ``ceil(sparsity * in)`` elements, chosen independently in every
            row.
        mean: The mean of the others.
        std: Their standard deviation.

    Raises:
        ValueError: `shape` is not that of a matrix, or `sparsity` not in ``[0, 1]``.

    Reference: J. Martens, "Deep learning via Hessian-free optimization", 2010.

    >>> from funcnn import nn, random
    >>> import funcnn as fn
    >>> fn.sum(nn.init.sparse(random.key(0), (3, 10), sparsity=0.7) == 0, axis=1).tolist()
    [7, 7, 7]
    """
    shape = integers(shape, "sparse: shape")
    if len(shape) != 2:
        raise ValueError(f"sparse: expected the shape of a matrix, got {shape}")
    part = checked("sparse", "sparsity", sparsity, 0.0)
    if part > 1:
        raise ValueError(f"sparse: sparsity must be a number from 0 to 1, got {sparsity}")
    # 0.07 * 100 is a little more than 7.
    zeros = math.ceil(round(part * shape[1], 6))
    for_values, for_places = random.split(key)
    return _thinned(normal(for_values, shape, dtype, mean=mean, std=std), random.uniform(for_places, shape), zeros)


def _thinned(values: fn.array, draws: fn.array, zeros: int) -> fn.array:
    """Set to zero, in each row, the elements with the least draws."""
    places = fn.argsort(fn.argsort(draws, axis=1), axis=1)
    return fn.where(places < zeros, 0.0, values).astype(values.dtype)


def _orthonormal(draws: fn.array) -> fn.array:
    """The columns of a matrix, of normal draws, made orthonormal."""
    q, r = fn.linalg.qr(draws)
    # The signs of a QR decomposition are arbitrary; these make the distribution uniform.
    found: fn.array = q * fn.where(fn.diagonal(r) < 0, -1.0, 1.0)
    return found


def orthogonal(key: fn.array, shape: Shape, dtype: DtypeLike = fn.float32, *, gain: float = 1.0) -> fn.array:
    """Draw a matrix with orthonormal rows or columns, whichever are fewer, all such with equal probability.

    Args:
        key: A key.
        shape: That of a weight ``(out, ..., in)``; the axes after the first count as one.
        dtype: A floating dtype.
        gain: What the matrix is multiplied by.

    Raises:
        ValueError: `shape` has less than two axes.

    Reference: A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", 2013.

    >>> from funcnn import nn, random
    >>> import funcnn as fn
    >>> w = nn.init.orthogonal(random.key(0), (2, 5))
    >>> bool(fn.allclose(w @ w.T, fn.eye(2), atol=1e-6))
    True
    """
    shape = integers(shape, "orthogonal: shape")
    if len(shape) < 2:
        raise ValueError(
            f"orthogonal: expected the shape of a weight of at least two axes, (out, ..., in), got {shape}"
        )
    rows, columns = shape[0], math.prod(shape[1:])
    wide = _wide("orthogonal", dtype)
    if rows * columns == 0:
        return fn.zeros(shape, dtype=dtype)
    q = _orthonormal(random.normal(key, (max(rows, columns), min(rows, columns)), wide))
    return fn.reshape((q if rows >= columns else q.T) * gain, shape).astype(dtype)


_hints.close(globals())
