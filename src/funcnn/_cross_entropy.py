"""The cross entropy of class indices, as exact as the logits allow and without their softmax in memory."""

from __future__ import annotations

from typing import NamedTuple

from . import _core
from ._core import array


class Terms(NamedTuple):
    """What the loss consists of; the axis of the classes has size 1 in all but the first two."""

    shifted: array  # the logits less their maximum
    chosen: array  # where the class is the target
    normaliser: array  # the logarithm of the sum of exp(shifted)
    loss: array


def of_indices(logits: array, targets: array, axis: int) -> Terms:
    """Return the terms for `targets` of the rank of `logits`, with size 1 along the `axis` of the classes."""
    along = [1] * logits.ndim
    along[axis] = logits.shape[axis]
    shifted = logits - _core.stop_gradient(_core.max(logits, axis=axis, keepdims=True))
    chosen = _core.reshape(_core.arange(along[axis], dtype=targets.dtype), along) == targets
    # The loss is log(1 + rest / exp(score)), which stays exact where all other classes together have next to nothing.
    rest = _core.sum(_core.where(chosen, 0.0, _core.exp(shifted)), axis=axis, keepdims=True)
    score = _core.sum(_core.where(chosen, shifted, 0.0), axis=axis, keepdims=True)
    normaliser = _core.log(rest + _core.exp(score))
    near = score > -10.0
    loss = _core.where(near, _core.log1p(rest * _core.exp(-_core.where(near, score, 0.0))), normaliser - score)
    return Terms(shifted, chosen, normaliser, loss)
