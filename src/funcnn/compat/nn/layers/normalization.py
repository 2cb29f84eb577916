"""Normalisation layers."""

from __future__ import annotations

import math
from typing import Any

from ... import core as mx
from .._functional import fast as _fast
from .._functional import group_norm as _group_norm
from .._functional import norm as _norm
from .base import Module


def _check_eps(layer: Module, eps: float) -> None:
    if eps <= 0.0:
        raise ValueError(f"[{type(layer).__name__}] 'eps' must be positive but got {eps}.")


_HALF = (mx.float16, mx.bfloat16)


def _computed(x: mx.array) -> tuple[mx.array, mx.Dtype]:
    """The input in the dtype to compute with, float32 for all that is narrower or integer; the dtype of the output."""
    if x.dtype == mx.float32:
        return x, mx.float32
    floats = mx.issubdtype(x.dtype, mx.inexact)
    return x.astype(mx.float32) if x.dtype in _HALF or not floats else x, x.dtype if floats else mx.float32


def _check_floats(layer: Module, x: mx.array) -> None:
    if not mx.issubdtype(x.dtype, mx.floating):
        raise ValueError(f"[{type(layer).__name__}] Received unsupported type {x.dtype}.")


def _scaled(layer: Module, x: mx.array) -> mx.array:
    return layer["weight"] * x + layer["bias"] if "weight" in layer else x


class InstanceNorm(Module):
    """Normalise each feature of each sample over the spatial axes of ``(N, ..., dims)``.

    With `affine` there are a ``weight`` of ones and a ``bias`` of zeros.
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = False):
        super().__init__()
        _check_eps(self, eps)
        if affine:
            self.weight = mx.ones((dims,))
            self.bias = mx.zeros((dims,))
        self.dims = dims
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 3:
            raise ValueError(
                f"InstanceNorm expects inputs with at least 3 dimensions (N, ..., C) but the input has {x.ndim} dimensions."
            )
        _check_floats(self, x)
        y, dtype = _computed(x)
        return _scaled(self, _group_norm.instance_normalised(y, self.eps).astype(dtype))


class LayerNorm(Module):
    """Normalise the last axis to mean 0 and variance 1, then multiply by ``weight`` and add ``bias``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.LayerNorm(2)(mx.array([1.0, 3.0])).round(3).tolist()
    [-1.0, 1.0]
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True):
        super().__init__()
        _check_eps(self, eps)
        if affine:
            self.weight = mx.ones((dims,))
            if bias:
                self.bias = mx.zeros((dims,))
        self.eps = eps
        self.dims = dims

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        return _fast.layer_norm(x, self.get("weight"), self.get("bias"), self.eps)


class RMSNorm(Module):
    """Divide by the root of the mean square of the last axis, then multiply by ``weight``."""

    weight: mx.array

    def __init__(self, dims: int, eps: float = 1e-5):
        super().__init__()
        _check_eps(self, eps)
        self.weight = mx.ones((dims,))
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"

    def __call__(self, x: mx.array) -> mx.array:
        return _fast.rms_norm(x, self["weight"], self.eps)


class GroupNorm(Module):
    """Normalise groups of features over all axes but the first.

    Features of a group are neighbours if `pytorch_compatible`, else those `num_groups` apart.
    """

    def __init__(
        self,
        num_groups: int,
        dims: int,
        eps: float = 1e-5,
        affine: bool = True,
        pytorch_compatible: bool = False,
    ):
        super().__init__()
        _check_eps(self, eps)
        for what, number in (("groups", num_groups), ("features", dims)):
            if number <= 0:
                raise ValueError(f"The number of {what} ({number}) must be a positive integer.")
        if dims % num_groups:
            raise ValueError(
                f"The number of features ({dims}) must be evenly divisible by the number of groups ({num_groups})."
            )
        if affine:
            self.bias = mx.zeros((dims,))
            self.weight = mx.ones((dims,))
        self.num_groups = num_groups
        self.dims = dims
        self.eps = eps
        self.pytorch_compatible = pytorch_compatible

    def _extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.dims}, eps={self.eps}, affine={'weight' in self}, "
            f"pytorch_compatible={self.pytorch_compatible}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 2:
            raise ValueError(f"GroupNorm expects inputs (N, ..., C) but the input has {x.ndim} dimensions.")
        if self.pytorch_compatible:
            _check_floats(self, x)
        y, dtype = _computed(x)
        y = _group_norm.group_normalised(y, self.num_groups, self.eps, neighbours=self.pytorch_compatible)
        return _scaled(self, y.astype(dtype))


class BatchNorm(Module):
    """Normalise each feature over the batch and all axes but the last, 2 to 4 in all.

    In training the statistics are those of the batch, and ``running_mean`` and ``running_var``, which are never trained,
    change: ``(1 - momentum) * running + momentum * batch``. Otherwise these are used.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> layer = nn.BatchNorm(1)
    >>> y = layer(mx.array([[1.0], [3.0]]))
    >>> round(layer.running_mean.item(), 3), sorted(layer.trainable_parameters())
    (0.2, ['bias', 'weight'])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        _check_eps(self, eps)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = mx.ones((num_features,))
            self.bias = mx.zeros((num_features,))
        if self.track_running_stats:
            self.running_mean = mx.zeros((num_features,))
            self.running_var = mx.ones((num_features,))
            self._freeze_statistics()

    def _freeze_statistics(self) -> None:
        self.freeze(keys=["running_mean", "running_var"], recurse=False)

    def unfreeze(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Unfreeze all but the running statistics."""
        super().unfreeze(*args, **kwargs)
        self._freeze_statistics()

    def _extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={'weight' in self}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        if not 2 <= x.ndim <= 4:
            raise ValueError(f"Expected input tensor to have 2, 3 or 4 dimensions, but got {x.ndim}")
        count = math.prod(x.shape[:-1])
        if self.training and count == 1:
            raise ValueError("BatchNorm training requires more than one value per channel.")
        y, dtype = _computed(x)
        if self.training or not self.track_running_stats:
            statistics = _norm.batch_statistics(y)
            if self.training and self.track_running_stats:
                self._update(statistics, count, dtype)
        else:
            statistics = (self["running_mean"], self["running_var"])
            if not dtype == statistics[0].dtype == statistics[1].dtype:
                dtype = mx.result_type(dtype, *(x.dtype for x in statistics))
        return _scaled(self, _norm.normalised(y, *statistics, self.eps).astype(dtype))

    def _update(self, statistics: tuple[mx.array, mx.array], count: int, dtype: mx.Dtype) -> None:
        running = (self["running_mean"], self["running_var"])
        new = _norm.next_statistics(running, statistics, self.momentum, count)
        self.running_mean, self.running_var = (
            y.astype(mx.result_type(dtype, old.dtype)) for y, old in zip(new, running, strict=True)
        )
