"""Poisson variates."""

from __future__ import annotations

import math
from typing import Any

from . import _core
from ._control import while_loop
from ._core import Dtype, array

_FEW = 10  # the rate from which on rejection is used
_MOST = 9e18


def poisson_counts(key: array, rate: array, shape: tuple[int, ...]) -> array:
    """Draw ``int64`` counts for rates of float32 or float64, which broadcast to the shape; -1 if negative or NaN."""
    few, many = _core.random_split(key, 2)
    small = rate < _FEW
    waited = _exponential_waits(few, _core.where(small, rate, 0), shape)
    rejected = _transformed_rejection(
        many, _core.where(small | ~(rate >= 0), _FEW, _core.minimum(rate, _MOST)), rate >= _FEW, shape
    )
    return _core.where(rate >= 0, _core.where(small, waited, rejected), -1)


def _exponential_waits(key: array, rate: array, shape: tuple[int, ...]) -> array:
    """Count the events before the time `rate` where the waits between them are exponential.

    D. E. Knuth, The art of computer programming 2, 3.4.1, in logarithms.
    """

    def wait(state: tuple[array, array, array, array]) -> tuple[array, array, array, array]:
        turn, time, count, pending = state
        uniform = _core.random_uniform(_core.random_fold_in(key, turn), shape, rate.dtype, 0, 1)
        time = time - _core.log1p(-uniform)
        pending = pending & (time < rate)
        return turn + 1, time, count + pending, pending

    start, nothing = _core.zeros(shape, rate.dtype), _core.zeros(shape, _core.int64)
    state = (_core.array(0, _core.uint32), start, nothing, _core.broadcast_to(rate > 0, shape))
    counts: array = while_loop(lambda state: state[3].any(), wait, state)[2]
    return counts


def _transformed_rejection(key: array, rate: array, wanted: array, shape: tuple[int, ...]) -> array:
    """Draw for rates of at least 10.

    W. Hörmann, The transformed rejection method for generating Poisson random variables, Insurance: Mathematics and
    Economics 12, 1993 (PTRS). Counts are kept as whole part of the rate and distance, which is small enough to be exact,
    and the logarithm of the probability is written without the large terms that cancel in it.
    """
    whole = _core.floor(rate)
    part = rate - whole
    root = _core.sqrt(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2)

    def draw(state: tuple[array, array, array]) -> tuple[array, array, array]:
        turn, drawn, pending = state
        keys = _core.random_split(_core.random_fold_in(key, turn), 2)
        u = _core.random_uniform(keys[0], shape, rate.dtype, 0, 1) - 0.5
        v = _core.random_uniform(keys[1], shape, rate.dtype, 0, 1)
        inner = 0.5 - abs(u)
        distance = _core.floor((2 * a / inner + b) * u + part + 0.43)
        at_once = (inner >= 0.07) & (v <= squeeze)
        possible = (distance >= -whole) & ((inner >= 0.013) | (v <= inner))
        log_accept = _core.log(v * inverse_alpha / (a / (inner * inner) + b))
        accepted = at_once | (possible & (log_accept <= _log_probability(distance, rate, part)))
        return turn + 1, _core.where(pending & accepted, distance, drawn), pending & ~accepted

    state = (_core.array(0, _core.uint32), _core.zeros(shape, rate.dtype), _core.broadcast_to(wanted, shape))
    distance: array = while_loop(lambda state: state[2].any(), draw, state)[1]
    return whole.astype(_core.int64) + distance.astype(_core.int64)


def _log_probability(distance: array, rate: array, part: array) -> array:
    """The logarithm of the probability of the count floor(rate) + distance.

    C. Loader, Fast and accurate computation of binomial probabilities, 2000: with Stirling's series, and
    k log(k / rate) + rate - k = rate ((1 + t) log(1 + t) - t) for t = (k - rate) / rate.
    """
    gap = distance - part
    count = _core.maximum(rate + gap, 0)
    t = _core.maximum(gap / rate, -1)
    tail: Any = 0.0
    for k in range(15, 1, -1):
        tail = (-1 if k % 2 else 1) / (k * (k - 1)) + t * tail
    direct = _core.where(t > -1, (1 + t) * _core.log1p(_core.maximum(t, -1 + 1e-7)), 0) - t
    deviance = rate * _core.where(abs(t) < 0.1, t * t * tail, direct)
    several = _core.maximum(count, 1)
    stirling = 1 / (12 * several) - 1 / (360 * several * several * several) + 1 / (1260 * several**5)
    logarithm = -deviance - 0.5 * _core.log(2 * math.pi * several) - stirling
    return _core.where(count < 0.5, -rate, logarithm)


def in_dtype(counts: array, dtype: Dtype) -> array:
    """The counts in an integer dtype, the largest it has where they do not fit, or come of rates that were cut."""
    most = _core.iinfo(dtype).max
    return _core.where(counts < min(most, int(_MOST)), counts.astype(dtype), _core.array(most, dtype))
