"""The names of ``mlx.core.random``: draws that take a key, or the next one of this thread's state.

A draw without a key splits the state: the first part becomes the state, the second is used. At first the state comes from the
time, on each thread; ``seed`` sets that of the thread that calls it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ... import _core
from ... import random as _random
from ..._core import Dtype, array, float32, int32
from ._wrap import mutable as _mutable
from ._wrap import shim as _shim


class _RandomState(threading.local):
    """The state of each thread: a sequence of one key."""

    def __init__(self) -> None:
        self._keys = [_mutable(_random.key(time.time_ns() // 1_000_000))]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[array]:
        return iter(self._keys)

    def __getitem__(self, index: int) -> array:
        return self._keys[index]

    __hash__ = object.__hash__


_state = _RandomState()


def _next_key() -> array:
    keys = _core.random_split(_state._keys[0], 2)
    _state._keys[0] = _mutable(keys[0])
    return keys[1]


def seed(seed: int) -> None:
    """Set the state of this thread from a number below 2**64."""
    _state._keys[0] = key(seed)


def key(seed: int) -> array:
    """Make a key from a number below 2**64."""
    if not isinstance(seed, int) and not hasattr(seed, "__index__"):
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
    return _random.uniform(_next_key() if key is None else key, shape, dtype or float32, low, high)


def _normal(
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    loc: Any = None,
    scale: Any = None,
    key: array | None = None,
) -> array:
    return _random.normal(_next_key() if key is None else key, shape, dtype or float32, loc, scale)


def _multivariate_normal(
    mean: array,
    cov: array,
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    key: array | None = None,
) -> array:
    return _random.multivariate_normal(_next_key() if key is None else key, mean, cov, shape, dtype or float32)


def _randint(
    low: Any,
    high: Any,
    shape: Sequence[int] = (),
    dtype: Dtype | None = int32,
    key: array | None = None,
) -> array:
    return _random.randint(_next_key() if key is None else key, low, high, shape, dtype or int32)


def _bernoulli(p: Any = 0.5, shape: Sequence[int] | None = None, key: array | None = None) -> array:
    return _random.bernoulli(_next_key() if key is None else key, p, shape)


def _truncated_normal(
    lower: Any,
    upper: Any,
    shape: Sequence[int] | None = None,
    dtype: Dtype | None = float32,
    key: array | None = None,
) -> array:
    return _random.truncated_normal(_next_key() if key is None else key, lower, upper, shape, dtype or float32)


def _gumbel(shape: Sequence[int] = (), dtype: Dtype | None = float32, key: array | None = None) -> array:
    return _random.gumbel(_next_key() if key is None else key, shape, dtype or float32)


def _laplace(
    shape: Sequence[int] = (),
    dtype: Dtype | None = float32,
    loc: float = 0.0,
    scale: float = 1.0,
    key: array | None = None,
) -> array:
    return _random.laplace(_next_key() if key is None else key, shape, dtype or float32, loc, scale)


def _categorical(
    logits: array,
    axis: int = -1,
    shape: Sequence[int] | None = None,
    num_samples: int | None = None,
    key: array | None = None,
) -> array:
    return _random.categorical(_next_key() if key is None else key, logits, axis, shape, num_samples)


def _permutation(x: int | array, axis: int = 0, key: array | None = None) -> array:
    return _random.permutation(_next_key() if key is None else key, x, axis)


split = _shim(_split, "split", "random")
uniform = _shim(_uniform, "uniform", "random")
normal = _shim(_normal, "normal", "random")
multivariate_normal = _shim(_multivariate_normal, "multivariate_normal", "random")
randint = _shim(_randint, "randint", "random")
bernoulli = _shim(_bernoulli, "bernoulli", "random")
truncated_normal = _shim(_truncated_normal, "truncated_normal", "random")
gumbel = _shim(_gumbel, "gumbel", "random")
laplace = _shim(_laplace, "laplace", "random")
categorical = _shim(_categorical, "categorical", "random")
permutation = _shim(_permutation, "permutation", "random")


def __getattr__(name: str) -> Any:
    if name == "state":
        return _state
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
