"""Random masking in training."""

from __future__ import annotations

from ... import core as mx
from ...core.random import _next_key
from .._functional import dropout as _dropout
from .base import Module


class _Dropout(Module):
    """What the layers share: the probability to keep an element, and drawing in training."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        if p < 0 or p >= 1:
            raise ValueError(f"{type(self).__name__}: p must be at least 0 and below 1, got {p}")
        self._p_1 = 1 - p

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"


def _without_channels(layer: _Dropout, x: mx.array, spatial: int) -> mx.array:
    axes = (spatial + 1, spatial + 2)
    if x.ndim not in axes:
        raise ValueError(f"{type(layer).__name__}: expected an array of {axes[0]} or {axes[1]} axes, got {x.shape}")
    return _dropped(layer, x, _dropout.channel_shape(x, spatial))


def _dropped(layer: _Dropout, x: mx.array, shape: tuple[int, ...]) -> mx.array:
    return _dropout.dropped(x, layer._p_1, _next_key(), shape) if layer.training and layer._p_1 != 1 else x


class Dropout(_Dropout):
    """Set elements to zero with probability `p` in training, and scale the others by ``1 / (1 - p)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> layer = nn.Dropout(0.5)
    >>> sorted(set(layer(mx.ones(1000)).tolist())), sorted(set(layer.eval()(mx.ones(1000)).tolist()))
    ([0.0, 2.0], [1.0])
    """

    def __call__(self, x: mx.array) -> mx.array:
        return _dropped(self, x, x.shape)


class Dropout2d(_Dropout):
    """Set whole channels of images, ``(N, H, W, C)`` or ``(H, W, C)``, to zero with probability `p` in training.

    The other channels are scaled by ``1 / (1 - p)``; the same draw holds for all places of a channel.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> y = nn.Dropout2d(0.5)(mx.ones((2, 8, 8, 3)))
    >>> mx.all(y == y[:, :1, :1, :]).item()
    True
    """

    def __call__(self, x: mx.array) -> mx.array:
        return _without_channels(self, x, 2)


class Dropout3d(_Dropout):
    """Set whole channels of volumes, ``(N, D, H, W, C)`` or ``(D, H, W, C)``, as `Dropout2d` does those of images."""

    def __call__(self, x: mx.array) -> mx.array:
        return _without_channels(self, x, 3)
