"""The mathematics of the optimisers, for one array: what the functional optimisers and those of the shim of MLX share.

Rules compute in the dtypes that they are given. The functional optimisers give them float32 for narrower parameters; the shim
gives them what MLX would. Hyperparameters are numbers or scalar arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

import funcnn as fn

# Chosen by K. Jordan so that small singular values grow fast; they end between 0.7 and 1.2, not at 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def off(value: Any) -> bool:
    """Whether a hyperparameter is the number 0; an array is not known to be."""
    return not isinstance(value, fn.array) and value == 0


def squared_size(x: fn.array) -> fn.array:
    """``|x|**2``, which is real for complex numbers too."""
    return fn.square(x.real) + fn.square(x.imag) if x.dtype == fn.complex64 else fn.square(x)


def decayed(g: fn.array, weight_decay: Any, p: fn.array) -> fn.array:
    """A gradient with weight decay."""
    sum_: fn.array = g + weight_decay * p
    return sum_


@attrs.frozen
class SplitDecay:
    """A decay as a number of float32 below it and what is missing, both factors of the average; and 1 less the decay."""

    high: float
    low: float
    rest: float


def averaged(average: fn.array, x: fn.array, decay: Any) -> fn.array:
    """A running average and what comes next."""
    mixed: fn.array
    if isinstance(decay, SplitDecay):
        mixed = decay.high * average + (decay.low * average + decay.rest * x)
    else:
        mixed = decay * average + (1.0 - decay) * x
    return mixed


def traced(g: fn.array, trace: fn.array, momentum: Any, dampening: Any) -> fn.array:
    """The momentum that is kept, and what enters it of the gradient."""
    kept: fn.array = momentum * trace + (g if off(dampening) else (1.0 - dampening) * g)
    return kept


def over_root(x: fn.array, square: fn.array, eps: Any, eps_root: Any = 0.0) -> fn.array:
    """A direction over the root of an average of squares."""
    quotient: fn.array = x / (fn.sqrt(square if off(eps_root) else square + eps_root) + eps)
    return quotient


def correction(decay: Any, steps: fn.array) -> fn.array:
    """``1 / (1 - decay**steps)``, without the cancellation."""
    if isinstance(decay, fn.array):
        logarithm: Any = fn.log(decay.astype(steps.dtype))
    else:
        logarithm = math.log(decay) if decay else -math.inf
    return -1.0 / fn.expm1(steps * logarithm)


def adamax(
    g: fn.array, first: fn.array, largest: fn.array, b1: Any, b2: Any, eps: Any
) -> tuple[fn.array, fn.array, fn.array]:
    """The direction, the average of gradients and the largest of them, slowly forgotten."""
    first, largest = averaged(first, g, b1), fn.maximum(b2 * largest, fn.abs(g))
    return first / (largest + eps), first, largest


def adadelta(g: fn.array, square: fn.array, size: fn.array, rho: Any, eps: Any) -> tuple[fn.array, fn.array, fn.array]:
    """The direction, the averages of squared gradients and of squared directions."""
    square = averaged(square, squared_size(g), rho)
    direction = fn.sqrt(size + eps) / fn.sqrt(square + eps) * g
    return direction, square, averaged(size, squared_size(direction), rho)


def lion(g: fn.array, momentum: fn.array, b1: Any, b2: Any) -> tuple[fn.array, fn.array]:
    """The direction, and the next momentum."""
    return fn.sign(averaged(momentum, g, b1)), averaged(momentum, g, b2)


def rms(x: fn.array) -> fn.array:
    """The root of the mean of squares."""
    return fn.sqrt(fn.mean(fn.square(x)))


def relative_rate(steps: fn.array, warmup: bool) -> fn.array:
    """The learning rate that Adafactor makes for itself, of steps in the dtype of updates."""
    return fn.minimum(1e-6 * steps if warmup else 1e-2, fn.rsqrt(steps))


def forgetting(average: fn.array, square: fn.array, forget: Any, axis: int | None = None) -> fn.array:
    """A running average of squares, or of their means along an axis, of which a part is forgotten."""
    if square.size == 0:  # which has no mean
        return average
    mixed: fn.array = (1.0 - forget) * average + forget * (square if axis is None else fn.mean(square, axis=axis))
    return mixed


def over_factors(g: fn.array, row: fn.array, col: fn.array) -> fn.array:
    """A gradient over the root of its second moment, whose row and column are known."""
    if g.size == 0:
        return g
    rows = fn.rsqrt(row / fn.mean(row, axis=-1, keepdims=True))
    direction: fn.array = fn.expand_dims(rows, -1) * fn.expand_dims(fn.rsqrt(col), -2) * g
    return direction


def over_full(g: fn.array, square: fn.array) -> fn.array:
    """A gradient over the root of its second moment."""
    return fn.rsqrt(square) * g if g.size else g


def limited(direction: fn.array, threshold: Any) -> fn.array:
    """A direction, scaled down where its root mean square exceeds a limit."""
    if direction.size == 0:
        return direction
    scaled: fn.array = direction / fn.maximum(rms(direction) / threshold, 1.0)
    return scaled


def sized(rate: Any, p: fn.array, least: Any) -> fn.array:
    """A learning rate in proportion to a parameter, which counts as no smaller than `least`."""
    size: fn.array = fn.maximum(rms(p), least) * rate
    return size


def orthogonal(x: fn.array, norm: Callable[[fn.array], fn.array], steps: int) -> fn.array:
    """A matrix with the singular vectors of another, and singular values near 1, by Newton-Schulz iterations."""
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (norm(x) + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = _A * x + (_B * square + _C * (square @ square)) @ x
    return x.T if tall else x


def orthogonal_step(x: fn.array, norm: Callable[[fn.array], fn.array], steps: int) -> fn.array:
    """``orthogonal`` of an array whose rows belong to the first axis, larger where the last two axes are tall."""
    if x.ndim < 2 or x.size == 0:
        return x
    matrix = orthogonal(x if x.ndim == 2 else fn.reshape(x, (x.shape[0], -1)), norm, steps)
    result: fn.array = fn.reshape(matrix, x.shape) * max(1.0, x.shape[-2] / x.shape[-1]) ** 0.5
    return result
