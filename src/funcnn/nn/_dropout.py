"""Random masking in training."""

from __future__ import annotations

import attrs

import funcnn as fn
from funcnn import random
from funcnn._hyper import number

from ._layer import Layer, Params, as_input


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
        keep = random.bernoulli(params.next_key(), 1.0 - self.p, x.shape)
        return fn.where(keep, x * (1.0 / (1.0 - self.p)), 0.0)
