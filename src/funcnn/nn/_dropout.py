"""Random masking in training."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import random
from funcnn._hyper import number

from ._layer import Layer, Params, as_input


def dropped(x: fn.array, kept: float, key: fn.array, shape: tuple[int, ...]) -> fn.array:
    """Keep elements with probability `kept`, and scale them; the draws, of `shape`, are broadcast."""
    keep = random.bernoulli(key, kept, shape)
    return fn.where(keep, x * (1.0 / kept), 0.0)


def channel_shape(x: fn.array, spatial: int) -> tuple[int, ...]:
    """The shape of one draw for each channel of each sample."""
    return (*x.shape[: -spatial - 1], *(1,) * spatial, x.shape[-1])


class Dropout(Layer):
    """Set elements to zero with probability `p` in training, and scale the others by ``1 / (1 - p)``.

    The key for the mask comes from that given to ``apply``; every dropout layer of a model, and every call of it, has a mask
    of its own. In inference the input is returned.

    Args:
        p: Probability of an element to become zero, in ``[0, 1)``.

    Raises:
        ValueError: In training, if ``apply`` got no key.

    Reference: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> y, _ = nn.Dropout(0.5).apply({}, fn.ones(1000), training=True, key=random.key(0))
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    """

    p: float = attrs.field(default=0.5, validator=number(0.0, 1.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        if self.p == 0.0 or not params.training:
            return x
        x = as_input(x)
        return dropped(x, 1.0 - self.p, params.next_key(), x.shape)


def _drop_channels(p: float, params: Params, given: Any, axes: str) -> fn.array:
    spatial = axes.count(",") + 1
    x = as_input(given)
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ValueError(f"expected (N, {axes}, C) or ({axes}, C), got {x.shape}")
    if p == 0.0 or not params.training:
        return x
    return dropped(x, 1.0 - p, params.next_key(), channel_shape(x, spatial))


class Dropout2d(Layer):
    """Set whole channels of images to zero with probability `p` in training, and scale the others by ``1 / (1 - p)``.

    The input is ``(N, H, W, C)`` or ``(H, W, C)``; the channels of each sample are drawn independently. Keys and inference are
    as in ``Dropout``. Neighbouring elements of a channel tell nearly the same, so dropping some of them hides little.

    Args:
        p: Probability of a channel to become zero, in ``[0, 1)``.

    Raises:
        ValueError: The input has other axes; or in training, if ``apply`` got no key.

    Reference: J. Tompson et al., "Efficient object localization using convolutional networks", 2015.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> y, _ = nn.Dropout2d(0.5).apply({}, fn.ones((2, 8, 8, 100)), training=True, key=random.key(0))
    >>> sorted(set(fn.sum(y, axis=(1, 2)).flatten().tolist()))
    [0.0, 128.0]
    """

    p: float = attrs.field(default=0.5, validator=number(0.0, 1.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return _drop_channels(self.p, params, x, "H, W")


class Dropout3d(Layer):
    """Set whole channels of volumes to zero with probability `p` in training, and scale the others by ``1 / (1 - p)``.

    The input is ``(N, D, H, W, C)`` or ``(D, H, W, C)``; the channels of each sample are drawn independently. Keys and
    inference are as in ``Dropout``.

    Args:
        p: Probability of a channel to become zero, in ``[0, 1)``.

    Raises:
        ValueError: The input has other axes; or in training, if ``apply`` got no key.

    Reference: J. Tompson et al., "Efficient object localization using convolutional networks", 2015.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> y, _ = nn.Dropout3d(0.5).apply({}, fn.ones((2, 4, 4, 4, 100)), training=True, key=random.key(0))
    >>> sorted(set(fn.sum(y, axis=(1, 2, 3)).flatten().tolist()))
    [0.0, 128.0]
    """

    p: float = attrs.field(default=0.5, validator=number(0.0, 1.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return _drop_channels(self.p, params, x, "D, H, W")
