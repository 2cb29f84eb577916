"""Normalisation of each sample by itself, over its spatial axes."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn._hyper import flag, number, whole
from funcnn.tree import frozendict

from ._layer import Layer, Params, as_input
from ._norm import _computed


def _divides_dims(instance: Any, attribute: attrs.Attribute[Any], dims: Any) -> None:
    whole(0)(instance, attribute, dims)
    if dims % instance.num_groups:
        raise ValueError(
            f"{type(instance).__name__}: dims must be divisible by num_groups, got {dims} and {instance.num_groups}"
        )


def _gain_and_bias(dims: int) -> frozendict[str, fn.array]:
    return frozendict(weight=fn.ones((dims,)), bias=fn.zeros((dims,)))


def _scaled(params: Params, y: fn.array, affine: bool, dtype: fn.Dtype) -> fn.array:
    return (y * params["weight"] + params["bias"] if affine else y).astype(dtype)


def group_normalised(x: fn.array, groups: int, eps: Any, *, neighbours: bool) -> fn.array:
    """Normalise groups of features, neighbours or those `groups` apart."""
    size = x.shape[-1] // groups
    parts, axis = ((groups, size), -1) if neighbours else ((size, groups), -2)

    def of_group(means: fn.array) -> fn.array:
        """The mean of its group for every feature."""
        split = fn.reshape(means, (*means.shape[:-1], *parts))
        return fn.reshape(fn.broadcast_to(fn.mean(split, axis=axis, keepdims=True), split.shape), means.shape)

    axes = tuple(range(1, x.ndim - 1))
    # Features first, with the channels as they lie, then the few numbers of each group.
    y = x - of_group(fn.mean(x, axis=axes, keepdims=True))
    return y * fn.rsqrt(of_group(fn.mean(fn.square(y), axis=axes, keepdims=True)) + eps)


def instance_normalised(x: fn.array, eps: Any) -> fn.array:
    """Normalise each feature of each sample."""
    axes = tuple(range(1, x.ndim - 1))
    y = x - fn.mean(x, axis=axes, keepdims=True)
    return y * fn.rsqrt(fn.mean(fn.square(y), axis=axes, keepdims=True) + eps)


class GroupNorm(Layer):
    """Normalise groups of features over all axes but the first: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    The input is ``(N, ..., dims)``; mean and (biased) variance are those of each sample's groups. Half-precision and integer
    inputs are normalised in float32; the output has the dtype of the input, float32 for integers. Nothing depends on the
    batch, and training and inference are the same.

    Args:
        num_groups: How many groups the features are in.
        dims: Size of the last axis, divisible by `num_groups`.
        eps: Added to the variance, so that constant inputs do not divide by zero.
        affine: Whether to multiply by ``weight`` (initially 1) and add ``bias`` (initially 0), both of shape ``(dims,)``.
        pytorch_compatible: Which features form a group. True: neighbours, as in PyTorch and the paper, feature ``c`` is in
            group ``c // (dims // num_groups)``. False, MLX's default: those `num_groups` apart, feature ``c`` is in group
            ``c % num_groups``. Weights trained with one give wrong results with the other.

    Raises:
        ValueError: The input is not of shape ``(N, ..., dims)``, or `dims` not divisible by `num_groups`.

    Reference: Y. Wu, K. He, "Group normalization", 2018.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.GroupNorm(2, 4, pytorch_compatible=True)
    >>> y = layer(layer.init(random.key(0)), fn.array([[1.0, 3.0, 5.0, 5.0]]))
    >>> [round(v, 3) for v in y[0].tolist()]
    [-1.0, 1.0, 0.0, 0.0]
    """

    num_groups: int = attrs.field(validator=whole(1))
    dims: int = attrs.field(validator=_divides_dims)
    eps: float = attrs.field(default=1e-5, validator=number(0.0))
    affine: bool = attrs.field(default=True, validator=flag)
    pytorch_compatible: bool = attrs.field(default=False, validator=flag)

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Make ``weight`` of ones and ``bias`` of zeros."""
        return _gain_and_bias(self.dims) if self.affine else frozendict()

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if x.ndim < 2 or x.shape[-1] != self.dims:
            raise ValueError(f"expected (N, ..., {self.dims}), got {x.shape}")
        y, dtype = _computed(x)
        y = group_normalised(y, self.num_groups, self.eps, neighbours=self.pytorch_compatible)
        return _scaled(params, y, self.affine, dtype)


class InstanceNorm(Layer):
    """Normalise each feature of each sample over the spatial axes: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    The input is ``(N, ..., dims)`` with at least one spatial axis; mean and (biased) variance are those of one feature of one
    sample. Half-precision and integer inputs are normalised in float32; the output has the dtype of the input, float32 for
    integers. A feature with a single element becomes 0 (and then ``bias``). Training and inference are the same.

    Args:
        dims: Size of the last axis.
        eps: Added to the variance, so that constant inputs do not divide by zero.
        affine: Whether to multiply by ``weight`` (initially 1) and add ``bias`` (initially 0), both of shape ``(dims,)``.

    Raises:
        ValueError: The input is not of shape ``(N, ..., dims)`` with three axes or more.

    Reference: D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization: the missing ingredient for fast stylization",
    2016.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.InstanceNorm(1)
    >>> y = layer(layer.init(random.key(0)), fn.array([[[1.0], [3.0]]]))
    >>> [round(v, 3) for v in fn.flatten(y).tolist()]
    [-1.0, 1.0]
    """

    dims: int = attrs.field(validator=whole(0))
    eps: float = attrs.field(default=1e-5, validator=number(0.0))
    affine: bool = attrs.field(default=False, validator=flag)

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Make ``weight`` of ones and ``bias`` of zeros, if `affine`."""
        return _gain_and_bias(self.dims) if self.affine else frozendict()

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if x.ndim < 3 or x.shape[-1] != self.dims:
            raise ValueError(f"expected (N, ..., {self.dims}) with at least 3 axes, got {x.shape}")
        y, dtype = _computed(x)
        return _scaled(params, instance_normalised(y, self.eps), self.affine, dtype)
