"""The names of ``mlx.core.random``: draws that take a key, or the next one of this thread's state.

A draw without a key splits the state: the first part becomes the state, the second is used. At first the state comes from the
time, on each thread; ``seed`` sets that of the thread that calls it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ... import _core
from ... import random as _random
from ..._core import Dtype, array, bool_, complex64, float32, float64, int32, uint32
from ._wrap import mutable as _mutable
from ._wrap import shim as _shim

__all__ = [
    "bernoulli",
    "categorical",
    "gumbel",
    "key",
    "laplace",
    "multivariate_normal",
    "normal",
    "permutation",
    "randint",
    "seed",
    "split",
    "truncated_normal",
    "uniform",
]

_first_seed = time.time_ns() // 1_000_000


class _RandomState(threading.local):
    """The state of each thread: a sequence of one key. All threads start with the same."""

    def __init__(self) -> None:
        self._keys: list[array] = [_mutable(_random.key(_first_seed))]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[array]:
        return iter(self._keys)

    def __getitem__(self, index: int) -> array:
        if not isinstance(index, int):
            raise TypeError(f"random.state: the index must be an integer, got {type(index).__name__}")
        return self._keys[index]

    __hash__ = object.__hash__


_state = _RandomState()


def _next_key() -> array:
    keys = _core.random_split(_state._keys[0], 2)
    _state._keys[0] = _mutable(keys[0])
    return keys[1]


def _key_of(given: array | None) -> array:
    return _next_key() if given is None else given


def _forget_state() -> None:
    """Let the state of this thread start again where it first did."""
    _state._keys[0] = _mutable(_random.key(_first_seed))


def seed(seed: int) -> None:
    """Set the state of this thread from a number below 2**64."""
    _state._keys[0] = key(seed)


def key(seed: int) -> array:
    """Make a key from a number below 2**64."""
    if isinstance(seed, array) and not _core.isdtype(seed.dtype, "real floating") and not seed.ndim:
        seed = seed.item()
    if not hasattr(type(seed), "__index__"):
        raise TypeError(f"key: the seed must be an integer, got {type(seed).__name__}")
    if not 0 <= seed < 2**64:
        raise TypeError(f"key: the seed must be between 0 and 2**64 - 1, got {seed}")
    return _mutable(_random.key(seed))


def _split(key: array, num: int = 2) -> array:
    return _random.split(key, num)


def _uniform(
    low: Any = 0,
    high: Any = 1,
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    key: array | None = None,
) -> array:
    return _random.uniform(_key_of(key), shape, dtype or float32, low, high)


def _normal(
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    loc: Any = None,
    scale: Any = None,
    key: array | None = None,
) -> array:
    key = _key_of(key)
    if dtype == complex64:
        parts = _random.normal(key, (*shape, 2)) * math.sqrt(0.5)
        drawn = _core.view(parts, complex64)[..., 0]
    elif dtype == float64:  # MLX draws in float32 and converts
        drawn = _random.normal(key, shape).astype(float64)
    elif _exceed(shape, loc, scale):
        drawn = _random.normal(key, shape, dtype or float32)
        loc, scale = (x if x is None else _core.asarray(x).astype(drawn.dtype) for x in (loc, scale))
    else:
        return _random.normal(key, shape, dtype or float32, loc, scale)
    drawn = drawn if scale is None else drawn * scale
    return drawn if loc is None else drawn + loc


def _exceed(shape: Sequence[int], *parameters: Any) -> bool:
    """Whether the result is of more axes or lengths than are drawn: MLX draws the shape alone, and then broadcasts."""
    shapes = [tuple(x.shape) for x in parameters if getattr(x, "ndim", 0)]
    return bool(shapes) and _core.broadcast_shapes(shape, *shapes) != tuple(shape)


def _multivariate_normal(
    mean: array,
    cov: array,
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    key: array | None = None,
) -> array:
    key = _key_of(key)
    if getattr(mean, "ndim", 0) > 0 and getattr(cov, "ndim", 0) > 1:
        shape = _core.broadcast_shapes(shape, tuple(mean.shape[:-1]), tuple(cov.shape[:-2]))
    return _random.multivariate_normal(key, mean, cov, shape, dtype or float32)


def _randint(
    low: Any,
    high: Any,
    shape: Sequence[int] = (),
    dtype: Dtype | None = int32,
    key: array | None = None,
) -> array:
    key = _key_of(key)
    dtype = dtype or int32
    if dtype == bool_:
        return _core.floor(_random.uniform(key, shape, float32, low, high)).astype(bool_)
    low, high = (x if isinstance(x, (array, int, float, str)) else _core.asarray(x) for x in (low, high))
    if not (_is_fractional(low) or _is_fractional(high)):
        return _random.randint(key, low, high, shape, dtype)
    if not _core.isdtype(dtype, "integral"):
        raise ValueError(f"randint: the dtype must be one of integers, got {dtype}")
    drawn = _core.floor(_random.uniform(key, shape, float32, low, high)).astype(dtype)
    drawn = _core.minimum(drawn, _core.array(high).astype(dtype) - 1)
    return _core.maximum(drawn, _core.array(low).astype(dtype))


def _is_fractional(x: Any) -> bool:
    """Whether a bound is a number, or an array of numbers, with a point."""
    return isinstance(x, float) or (isinstance(x, array) and _core.isdtype(x.dtype, "real floating"))


def _bernoulli(p: Any = 0.5, shape: Sequence[int] | None = None, key: array | None = None) -> array:
    return _random.bernoulli(_key_of(key), p, shape)


def _truncated_normal(
    lower: Any,
    upper: Any,
    shape: Sequence[int] | None = None,
    dtype: Dtype | None = float32,
    key: array | None = None,
) -> array:
    return _random.truncated_normal(_key_of(key), lower, upper, shape, dtype or float32)


def _gumbel(shape: Sequence[int] = (), dtype: Dtype | None = float32, key: array | None = None) -> array:
    return _random.gumbel(_key_of(key), shape, dtype or float32)


def _laplace(
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    loc: float = 0.0,
    scale: float = 1.0,
    key: array | None = None,
) -> array:
    return _random.laplace(_key_of(key), shape, dtype or float32, loc, scale)


def _categorical(
    logits: array,
    axis: int = -1,
    shape: Sequence[int] | None = None,
    num_samples: int | None = None,
    key: array | None = None,
) -> array:
    key = _key_of(key)
    drawn = _random.categorical(key, logits, axis, shape, num_samples)
    logits = _core.asarray(logits)
    if drawn.ndim == 0 or logits.size != logits.shape[axis]:
        return drawn
    # Of a single distribution MLX finds the place of uniform numbers among the sums of the probabilities.
    flat = logits.reshape(-1).astype(float32)
    sums = _core.cumsum(_core.exp(flat - _core.max(flat)))
    place = _core.searchsorted(sums, _random.uniform(key, drawn.shape) * sums[-1], side="right")
    return _core.minimum(place, flat.size - 1).astype(uint32)


def _permutation(x: int | array, axis: int = 0, key: array | None = None) -> array:
    return _random.permutation(_key_of(key), x, axis)


split = _shim(_split, "split", "random", stream_at=2)
uniform = _shim(_uniform, "uniform", "random", stream_at=5)
normal = _shim(_normal, "normal", "random", stream_at=5)
multivariate_normal = _shim(_multivariate_normal, "multivariate_normal", "random", stream_at=5)
randint = _shim(_randint, "randint", "random", stream_at=5)
bernoulli = _shim(_bernoulli, "bernoulli", "random", stream_at=3)
truncated_normal = _shim(_truncated_normal, "truncated_normal", "random", stream_at=5)
gumbel = _shim(_gumbel, "gumbel", "random", stream_at=3)
laplace = _shim(_laplace, "laplace", "random", stream_at=5)
categorical = _shim(_categorical, "categorical", "random", stream_at=5)
permutation = _shim(_permutation, "permutation", "random", stream_at=3)


def __getattr__(name: str) -> Any:
    if name == "state":
        return _state
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
