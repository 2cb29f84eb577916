"""Random draws as functions of an explicit key.

Every function takes the key first and returns the same numbers whenever it is given the same key. There is no hidden
state. A key is a ``uint32`` array of shape ``(2,)``: make one from a seed with ``key``, and many from one with ``split`` or
``fold_in``.

**Use a key once.** Two draws from one key are not independent, they are the same numbers:

    >>> from funcnn import random
    >>> k = random.key(0)
    >>> bool((random.uniform(k, (3,)) == random.uniform(k, (3,))).all())   # a mistake: one key, two draws
    True
    >>> k1, k2 = random.split(k)
    >>> bool((random.uniform(k1, (3,)) == random.uniform(k2, (3,))).all())
    False

The same holds for a draw from a key that is also split: split first, and leave the parent alone. In a loop, derive the key
of a step from its number with ``fold_in(key, step)``, or carry a key along: ``key, sub = random.split(key)``.

The bits come from threefry2x32 and equal those of MLX for the same key. They do not depend on the number of threads; drawing
n numbers need not give the first n of n + 1. Parameters such as ``low`` or ``loc`` may be arrays; where ``shape`` is left
out, it is their common shape, which is ``()`` for numbers. To draw for many keys at once, map over them with ``fn.vmap``.
"""

from __future__ import annotations

from . import _core, _hints, _truncated_normal
from ._arguments import integer, is_integer
from ._calls import explained
from ._core import array, float32, int32
from ._distributions import beta, choice, exponential, gamma, poisson
from ._gaussian import multivariate_normal
from ._types import ArrayLike, DtypeLike, ShapeLike

__all__ = [
    "bernoulli",
    "beta",
    "bits",
    "categorical",
    "choice",
    "exponential",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "laplace",
    "multivariate_normal",
    "normal",
    "permutation",
    "poisson",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]


def key(seed: int) -> array:
    """Make a key from a seed.

    Args:
        seed: A whole number below 2**64.

    Returns:
        The seed's upper and lower half, ``uint32`` of shape ``(2,)``.

    Raises:
        ValueError: The seed is negative or too large.

    Example:
        >>> random.key(7)
        array([0, 7], dtype=uint32)
    """
    if isinstance(seed, array):
        raise TypeError("random.key: the seed must be an integer, got an array; fold_in(key, x) makes a key of one")
    seed = integer(seed, "random.key: the seed")
    if not 0 <= seed < 2**64:
        raise ValueError(f"random.key: the seed must be between 0 and 2**64 - 1, got {seed}")
    return _core.random_key(seed)


def split(key: array, num: int = 2) -> array:
    """Derive keys of independent streams; the parent must not be used again.

    Args:
        key: The parent.
        num: How many keys.

    Returns:
        The keys, ``uint32`` of shape ``(num, 2)``; they unpack as ``k1, k2 = random.split(key)``.

    Example:
        >>> random.split(random.key(0), 3).shape
        (3, 2)
    """
    return _core.random_split(key, num)


def fold_in(key: array, data: ArrayLike) -> array:
    """Derive a key from a key and a number: of a step, a layer, a device.

    Different numbers give independent keys, which also differ from those of ``split``.

    Args:
        key: The parent, which may serve for any number of different ``data``.
        data: A whole number below 2**32 or an integer array of shape ``()``, which may be traced.

    Raises:
        ValueError: ``data`` is no integer or out of range.

    Example:
        >>> step_key = random.fold_in(random.key(0), 12)
    """
    if is_integer(data) and not 0 <= integer(data, "random.fold_in: data") < 2**32:
        raise ValueError(f"random.fold_in: data must be between 0 and 2**32 - 1, got {data}")
    return _core.random_fold_in(key, data)


def bits(key: array, shape: ShapeLike = (), width: int = 4) -> array:
    """Draw unsigned integers, every value equally likely.

    Args:
        key: The key.
        shape: The shape to draw.
        width: Bytes of a number: 1, 2 or 4, for ``uint8``, ``uint16`` or ``uint32``.

    Example:
        >>> random.bits(random.key(0), (2,), width=1).dtype
        uint8
    """
    return _core.random_bits(key, shape, width)


@explained
def uniform(
    key: array,
    shape: ShapeLike | None = None,
    dtype: DtypeLike = float32,
    low: ArrayLike = 0,
    high: ArrayLike = 1,
) -> array:
    """Draw numbers evenly spread over ``[low, high)``.

    Args:
        key: The key.
        shape: The shape to draw, to which the bounds broadcast. Default: the common shape of the bounds.
        dtype: ``float32`` (default), ``float16``, ``bfloat16`` or ``float64``.
        low, high: The bounds; rounding may return ``high`` where they lie far from zero.

    Raises:
        ValueError: ``dtype`` is not a floating point type, or the bounds do not broadcast to the shape.

    Example:
        >>> x = random.uniform(random.key(0), (2, 3), low=-1, high=1)
        >>> x.shape, bool((abs(x) <= 1).all())
        ((2, 3), True)
    """
    return _core.random_uniform(key, shape, dtype, low, high)


@explained
def normal(
    key: array,
    shape: ShapeLike | None = None,
    dtype: DtypeLike = float32,
    loc: ArrayLike | None = None,
    scale: ArrayLike | None = None,
) -> array:
    """Draw normally distributed numbers.

    Args:
        key: The key.
        shape: The shape to draw, to which the parameters broadcast. Default: their common shape.
        dtype: A floating point type; ``float32`` by default.
        loc: The mean; 0 by default.
        scale: The standard deviation; 1 by default.

    Example:
        >>> random.normal(random.key(0), (4,)).shape
        (4,)
    """
    return _core.random_normal(key, shape, dtype, loc, scale)


@explained
def bernoulli(key: array, p: ArrayLike = 0.5, shape: ShapeLike | None = None) -> array:
    """Draw bools that are True with probability ``p``.

    Args:
        key: The key.
        p: The probability; 0 and 1 are exact.
        shape: The shape to draw, to which ``p`` broadcasts. Default: the shape of ``p``.

    Example:
        >>> random.bernoulli(random.key(0), 1.0, (2,))
        array([ True,  True], dtype=bool)
    """
    return _core.random_bernoulli(key, p, shape)


@explained
def randint(
    key: array,
    low: ArrayLike,
    high: ArrayLike,
    shape: ShapeLike | None = None,
    dtype: DtypeLike = int32,
) -> array:
    """Draw integers from ``low`` to ``high - 1``.

    They come from 32-bit floating point numbers (as in MLX, bit for bit, but for narrower ranges beyond 2**24, whose integers
    those numbers do not hold): of a range wider than 2**24 not every integer is drawn. None leaves the range; of an empty one
    ``low`` comes out.

    Args:
        key: The key.
        low, high: Integers or integer arrays.
        shape: The shape to draw, to which the bounds broadcast. Default: their common shape.
        dtype: An integer type; ``int32`` by default.

    Raises:
        ValueError: ``dtype`` or a bound is not an integer, or a bound does not fit ``dtype``.
        TypeError: A bound is a tuple, as in the order ``(key, shape, low, high)`` of other libraries.

    Example:
        >>> dice = random.randint(random.key(0), 1, 7, (100,))
        >>> int(dice.min()), int(dice.max())
        (1, 6)
    """
    for name, bound in (("low", low), ("high", high)):
        if isinstance(bound, tuple):
            raise TypeError(
                f"random.randint: {name} is the tuple {bound}; the order is randint(key, low, high, shape), with shape last"
            )
    return _core.random_randint(key, low, high, shape, dtype)


@explained
def permutation(key: array, x: int | ArrayLike, axis: int = 0) -> array:
    """Shuffle the numbers below ``x``, or the elements of an array along an axis.

    Args:
        key: The key.
        x: How many numbers, or the array. Slices along the axis are moved as a whole.
        axis: The axis of an array.

    Returns:
        ``uint32`` of shape ``(x,)``, or an array like ``x``.

    Example:
        >>> sorted(random.permutation(random.key(0), 4).tolist())
        [0, 1, 2, 3]
    """
    return _core.random_permutation(key, x, axis)


@explained
def truncated_normal(
    key: array,
    lower: ArrayLike,
    upper: ArrayLike,
    shape: ShapeLike | None = None,
    dtype: DtypeLike = float32,
) -> array:
    """Draw standard normal numbers, those outside ``[lower, upper]`` excluded.

    Args:
        key: The key.
        lower, upper: The bounds, in standard deviations.
        shape: The shape to draw, to which the bounds broadcast. Default: their common shape.
        dtype: A floating point type; ``float32`` by default.

    Example:
        >>> x = random.truncated_normal(random.key(0), -2, 2, (1000,))
        >>> bool((abs(x) <= 2).all())
        True
    """
    return _truncated_normal.truncated_normal(key, lower, upper, shape, dtype)


@explained
def gumbel(key: array, shape: ShapeLike = (), dtype: DtypeLike = float32) -> array:
    """Draw from the standard Gumbel distribution, ``-log(-log(u))`` of a uniform ``u``.

    Args:
        key: The key.
        shape: The shape to draw.
        dtype: A floating point type; ``float32`` by default.

    Example:
        >>> random.gumbel(random.key(0), (3,)).shape
        (3,)
    """
    return _core.random_gumbel(key, shape, dtype)


@explained
def laplace(
    key: array,
    shape: ShapeLike | None = None,
    dtype: DtypeLike = float32,
    loc: ArrayLike | None = None,
    scale: ArrayLike | None = None,
) -> array:
    """Draw from the Laplace distribution, of density ``exp(-|x - loc| / scale) / (2 scale)``.

    Args:
        key: The key.
        shape: The shape to draw, to which the parameters broadcast. Default: their common shape.
        dtype: A floating point type; ``float32`` by default.
        loc: The mean; 0 by default.
        scale: 1 by default.

    Example:
        >>> random.laplace(random.key(0), (3,)).shape
        (3,)
    """
    return _core.random_laplace(key, shape, dtype, loc, scale)


@explained
def categorical(
    key: array,
    logits: ArrayLike,
    axis: int = -1,
    shape: ShapeLike | None = None,
    num_samples: int | None = None,
) -> array:
    """Draw positions along an axis with probability ``softmax(logits)``.

    Args:
        key: The key.
        logits: Logarithms of the probabilities, up to a constant; ``-inf`` is never drawn.
        axis: The axis of the categories.
        shape: The shape of the result; the shape of ``logits`` without the axis must broadcast to it.
        num_samples: Draw so many for each distribution, along a new last axis. Not together with ``shape``.

    Returns:
        ``uint32``; without ``shape`` and ``num_samples``, of the shape of ``logits`` without the axis.

    Raises:
        ValueError: Both ``shape`` and ``num_samples`` are given, or the shape does not fit.

    Example:
        >>> random.categorical(random.key(0), fn.array([0.0, float("-inf")]), num_samples=3)
        array([0, 0, 0], dtype=uint32)
    """
    return _core.random_categorical(key, logits, axis, shape, num_samples)


_hints.close(globals())
