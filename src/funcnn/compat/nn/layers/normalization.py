"""Normalisation layers."""

from __future__ import annotations

import math
from typing import Any

from ... import core as mx
from .._functional import fast as _fast
from .._functional import group_norm as _group_norm
from .._functional import norm as _norm
from .base import Module

_HALF = (mx.float16, mx.bfloat16)
_STATISTICS = ["running_mean", "running_var"]


def _computed(x: mx.array) -> tuple[mx.array, mx.Dtype]:
    """The input in the dtype to compute with, float32 for all that is narrower or integer; the dtype of the output."""
    if x.dtype == mx.float32:
        return x, mx.float32
    floats = mx.issubdtype(x.dtype, mx.inexact)
    return x.astype(mx.float32) if x.dtype in _HALF or not floats else x, x.dtype if floats else mx.float32


def _check_floats(layer: Module, x: mx.array) -> None:
    if not mx.issubdtype(x.dtype, mx.floating):
        raise ValueError(
            f"{type(layer).__name__}: expected real floating-point numbers, got {x.dtype}; cast with astype"
        )


def _scaled(layer: Module, x: mx.array) -> mx.array:
    return layer["weight"] * x + layer["bias"] if "weight" in layer else x


class _Normalisation(Module):
    """What the layers share: a number added to variances, and arrays with an element for each feature."""

    def __init__(self, eps: float, features: int, *names: str):
        super().__init__()
        if eps <= 0:
            raise ValueError(f"{type(self).__name__}: eps must be above 0, got {eps}")
        self.eps = eps
        for name in names:
            setattr(self, name, (mx.ones if name in ("weight", "running_var") else mx.zeros)((features,)))


def _described(layer: _Normalisation, *features: int) -> str:
    return f"{', '.join(map(str, features))}, eps={layer.eps}"


def _affine(layer: Module) -> str:
    return f"affine={'weight' in layer}"


class InstanceNorm(_Normalisation):
    """Normalise each feature of each sample over the spatial axes of ``(N, ..., dims)``.

    With `affine` there are a ``weight`` of ones and a ``bias`` of zeros.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.InstanceNorm(1)(mx.array([[[1.0], [3.0]]])).round(3).flatten().tolist()
    [-1.0, 1.0]
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = False):
        super().__init__(eps, dims, *(("weight", "bias") if affine else ()))
        self.dims = dims

    def _extra_repr(self) -> str:
        return f"{_described(self, self.dims)}, {_affine(self)}"

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 3:
            raise ValueError(f"InstanceNorm: expected (N, ..., {self.dims}) with at least 3 axes, got {x.shape}")
        _check_floats(self, x)
        y, dtype = _computed(x)
        return _scaled(self, _group_norm.instance_normalised(y, self.eps).astype(dtype))


class LayerNorm(_Normalisation):
    """Normalise the last axis to mean 0 and variance 1, then multiply by ``weight`` and add ``bias``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.LayerNorm(2)(mx.array([1.0, 3.0])).round(3).tolist()
    [-1.0, 1.0]
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True):
        super().__init__(eps, dims, *(("weight", "bias")[: 1 + bool(bias)] if affine else ()))
        self.dims = dims

    def _extra_repr(self) -> str:
        return f"{_described(self, self.dims)}, {_affine(self)}"

    def __call__(self, x: mx.array) -> mx.array:
        return _fast.layer_norm(x, self.get("weight"), self.get("bias"), self.eps)


class RMSNorm(_Normalisation):
    """Divide by the root of the mean square of the last axis, ``(..., dims)``, then multiply by ``weight``, ones at first.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.RMSNorm(2)(mx.array([3.0, -3.0])).round(3).tolist()
    [1.0, -1.0]
    """

    weight: mx.array

    def __init__(self, dims: int, eps: float = 1e-5):
        super().__init__(eps, dims, "weight")

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[0])

    def __call__(self, x: mx.array) -> mx.array:
        return _fast.rms_norm(x, self["weight"], self.eps)


class GroupNorm(_Normalisation):
    """Normalise groups of features over all axes of ``(N, ..., dims)`` but the first.

    Features of a group are neighbours if `pytorch_compatible`, else those `num_groups` apart. With `affine` there are a
    ``weight`` of ones and a ``bias`` of zeros for the features.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> x = mx.array([[1.0, 3.0, 10.0, 20.0]])
    >>> nn.GroupNorm(2, 4, pytorch_compatible=True)(x).round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        num_groups: int,
        dims: int,
        eps: float = 1e-5,
        affine: bool = True,
        pytorch_compatible: bool = False,
    ):
        if min(num_groups, dims) <= 0 or dims % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must be a positive divisor of dims, which are positive, got {num_groups} and {dims}"
            )
        super().__init__(eps, dims, *(("bias", "weight") if affine else ()))
        self.pytorch_compatible = pytorch_compatible
        self.num_groups, self.dims = num_groups, dims

    def _extra_repr(self) -> str:
        described = _described(self, self.num_groups, self.dims)
        return f"{described}, {_affine(self)}, pytorch_compatible={self.pytorch_compatible}"

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 2:
            raise ValueError(f"GroupNorm: expected (N, ..., {self.dims}), got {x.shape}")
        if self.pytorch_compatible:
            _check_floats(self, x)
        y, dtype = _computed(x)
        y = _group_norm.group_normalised(y, self.num_groups, self.eps, neighbours=self.pytorch_compatible)
        return _scaled(self, y.astype(dtype))


class BatchNorm(_Normalisation):
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
        names = ("weight", "bias") if affine else ()
        super().__init__(eps, num_features, *names, *(_STATISTICS if track_running_stats else ()))
        self.num_features, self.momentum = num_features, momentum
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.freeze(recurse=False, keys=_STATISTICS)

    def unfreeze(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Unfreeze all but the running statistics."""
        super().unfreeze(*args, **kwargs)
        self.freeze(recurse=False, keys=_STATISTICS)

    def _extra_repr(self) -> str:
        described = f"{_described(self, self.num_features)}, momentum={self.momentum}, {_affine(self)}"
        return f"{described}, track_running_stats={self.track_running_stats}"

    def __call__(self, x: mx.array) -> mx.array:
        if not 2 <= x.ndim <= 4:
            raise ValueError(f"BatchNorm: expected (N, ..., {self.num_features}) with 2 to 4 axes, got {x.shape}")
        count = math.prod(x.shape[:-1])
        if self.training and count == 1:
            raise ValueError(
                f"BatchNorm: one value a feature, as in {x.shape}, has no variance; use a larger batch, or layer.eval()"
            )
        y, dtype = _computed(x)
        if self.training or not self.track_running_stats:
            statistics = _norm.batch_statistics(y)
            if self.track_running_stats and self.training:
                _update(self, statistics, count, dtype)
        else:
            statistics = (self["running_mean"], self["running_var"])
            if not dtype == statistics[0].dtype == statistics[1].dtype:
                dtype = mx.result_type(dtype, *(x.dtype for x in statistics))
        return _scaled(self, _norm.normalised(y, *statistics, self.eps).astype(dtype))


def _update(layer: BatchNorm, statistics: tuple[mx.array, mx.array], count: int, dtype: mx.Dtype) -> None:
    running = (layer["running_mean"], layer["running_var"])
    new = _norm.next_statistics(running, statistics, layer.momentum, count)
    layer.running_mean, layer.running_var = (
        y.astype(mx.result_type(dtype, old.dtype)) for y, old in zip(new, running, strict=True)
    )
