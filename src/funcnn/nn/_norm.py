"""Normalisation layers."""

from __future__ import annotations

import math
from typing import Any

import attrs

import funcnn as fn
from funcnn._hyper import number, whole
from funcnn.tree import frozendict

from ._layer import Layer, Params, as_input


def _check_last(x: fn.array, dims: int) -> None:
    if x.ndim == 0 or x.shape[-1] != dims:
        raise ValueError(f"expected (..., {dims}), got {x.shape}")


def _computed(x: fn.array) -> tuple[fn.array, fn.Dtype]:
    """The input in the dtype to compute with, float32 for all that is narrower or integer; the dtype of the output."""
    if fn.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"expected real numbers, got {x.dtype}")
    if fn.isdtype(x.dtype, "real floating"):
        return x.astype(fn.promote_types(x.dtype, fn.float32)), x.dtype
    return x.astype(fn.float32), fn.float32


def batch_statistics(x: fn.array) -> tuple[fn.array, fn.array]:
    """The mean and the (biased) variance of each feature."""
    axes = tuple(range(x.ndim - 1))
    mean = fn.mean(x, axis=axes)
    return mean, fn.mean(fn.square(x - mean), axis=axes)


def normalised(x: fn.array, mean: fn.array, var: fn.array, eps: Any) -> fn.array:
    """What the statistics make of the input."""
    return (x - mean) * fn.rsqrt(var + eps)


def next_statistics(
    running: tuple[fn.array, fn.array], batch: tuple[fn.array, fn.array], momentum: Any, count: int
) -> tuple[fn.array, fn.array]:
    """The running mean and variance after a batch of `count` values a feature, whose variance is made unbiased."""
    unbiased = (batch[0], batch[1] * (count / (count - 1)))
    # Of a small momentum float32 keeps more digits than of what it lacks to 1.
    mean, var = (
        old - momentum * old + momentum * fn.stop_gradient(new) for old, new in zip(running, unbiased, strict=True)
    )
    return mean, var


class LayerNorm(Layer):
    """Normalise the last axis to mean 0 and variance 1: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Half-precision and integer inputs are normalised in float32; the output has the dtype of the input, float32 for integers.

    Args:
        dims: Size of the last axis.
        eps: Added to the variance, so that constant inputs do not divide by zero.
        affine: Whether to multiply by ``weight`` (initially 1) and add ``bias`` (initially 0), both of shape ``(dims,)``.
        bias: Whether there is a ``bias``, if ``affine``.

    Reference: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.LayerNorm(2)
    >>> [round(v, 3) for v in layer(layer.init(random.key(0)), fn.array([1.0, 3.0])).tolist()]
    [-1.0, 1.0]
    """

    dims: int = attrs.field(validator=whole(0))
    eps: float = attrs.field(default=1e-5, validator=number(0.0))
    affine: bool = True
    bias: bool = True

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Make ``weight`` of ones and ``bias`` of zeros."""
        if not self.affine:
            return frozendict()
        weight = fn.ones((self.dims,))
        return frozendict(weight=weight, bias=fn.zeros((self.dims,))) if self.bias else frozendict(weight=weight)

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        _check_last(x, self.dims)
        y, dtype = _computed(x)
        weight = params["weight"] if self.affine else None
        bias = params["bias"] if self.affine and self.bias else None
        return fn.fast.layer_norm(y, weight, bias, self.eps).astype(dtype)


class RMSNorm(Layer):
    """Divide by the root of the mean square of the last axis: ``x / sqrt(mean(x**2) + eps) * weight``.

    Half-precision and integer inputs are normalised in float32; the output has the dtype of the input, float32 for integers.

    Args:
        dims: Size of the last axis, and of ``weight``, which is 1 at first.
        eps: Added to the mean square.

    Reference: B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.RMSNorm(2)
    >>> [round(v, 3) for v in layer(layer.init(random.key(0)), fn.array([3.0, 3.0])).tolist()]
    [1.0, 1.0]
    """

    dims: int = attrs.field(validator=whole(0))
    eps: float = attrs.field(default=1e-5, validator=number(0.0))

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Make ``weight`` of ones."""
        return frozendict(weight=fn.ones((self.dims,)))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        _check_last(x, self.dims)
        y, dtype = _computed(x)
        return fn.fast.rms_norm(y, params["weight"], self.eps).astype(dtype)


class BatchNorm(Layer):
    """Normalise each feature over the batch and all axes but the last.

    In training the statistics are those of the batch, and the running ones are updated, ``running = (1 - momentum) *
    running + momentum * batch`` (with the unbiased variance): ``apply`` returns them among its updates. In inference the
    running statistics are used. Half-precision and integer inputs are normalised in float32; the output has the dtype of the
    input, float32 for integers.

    Args:
        num_features: Size of the last axis.
        eps: Added to the variance.
        momentum: Weight of the batch in the running statistics.
        affine: Whether to multiply by ``weight`` (initially 1) and add ``bias`` (initially 0).
        track_running_stats: Whether to keep ``running_mean`` and ``running_var``; without them the statistics are those of
            the batch in inference too.

    Raises:
        ValueError: The input is not of shape ``(N, ..., num_features)`` with 2 to 5 axes, or in training has a single
            value a feature.

    Reference: S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training", 2015.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.BatchNorm(1)
    >>> y, updates = layer.apply(layer.init(random.key(0)), fn.array([[1.0], [3.0]]), training=True)
    >>> sorted(updates)
    ['running_mean', 'running_var']
    """

    buffers = ("running_mean", "running_var")

    num_features: int = attrs.field(validator=whole(0))
    eps: float = attrs.field(default=1e-5, validator=number(0.0))
    momentum: float = attrs.field(default=0.1, validator=number(0.0))
    affine: bool = True
    track_running_stats: bool = True

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Make ``weight`` and ``running_var`` of ones, ``bias`` and ``running_mean`` of zeros."""
        params: dict[str, fn.array] = {}
        shape = (self.num_features,)
        if self.affine:
            params |= {"weight": fn.ones(shape), "bias": fn.zeros(shape)}
        if self.track_running_stats:
            params |= {"running_mean": fn.zeros(shape), "running_var": fn.ones(shape)}
        return frozendict(params)

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if not 2 <= x.ndim <= 5 or x.shape[-1] != self.num_features:
            raise ValueError(f"expected (N, ..., {self.num_features}) with 2 to 5 axes, got {x.shape}")
        y, dtype = _computed(x)
        if params.training or not self.track_running_stats:
            mean, var = batch_statistics(y)
            if params.training and self.track_running_stats:
                self._update(params, mean, var, math.prod(x.shape[:-1]))
        else:
            mean, var = params["running_mean"], params["running_var"]
        y = normalised(y, mean, var, self.eps)
        if self.affine:
            y = y * params["weight"] + params["bias"]
        return y.astype(dtype)

    def _update(self, params: Params, mean: fn.array, var: fn.array, count: int) -> None:
        if count < 2:
            raise ValueError("training needs more than one value a feature: the variance of one value is undefined")
        running = (params["running_mean"], params["running_var"])
        new = next_statistics(running, (mean, var), self.momentum, count)
        for name, old, statistic in zip(("running_mean", "running_var"), running, new, strict=True):
            params.update(name, statistic.astype(old.dtype))
