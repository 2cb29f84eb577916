"""Limits on the size of gradients."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ...optim._transforms import norm_and_scale
from .. import core as mx
from ..utils import tree_flatten, tree_map


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, Any]:
    """Scale gradients down where their norm, that of all arrays together, exceeds a limit.

    The norm is right also where squares leave the range of the dtype.

    Args:
        grads: A tree of arrays.
        max_norm: The limit.

    Returns:
        The gradients times ``min(1, max_norm / (norm + 1e-6))``, in their dtypes, and the norm before.

    Raises:
        ValueError: `max_norm` is below 0.

    >>> import funcnn.compat.core as mx
    >>> import funcnn.compat.optimizers as optim
    >>> grads, norm = optim.clip_grad_norm({"w": mx.array([3.0, 4.0])}, max_norm=1.0)
    >>> [round(x, 4) for x in grads["w"].tolist()], norm.item()
    ([0.6, 0.8], 5.0)
    """
    if max_norm < 0:
        raise ValueError(f"clip_grad_norm: max_norm must not be negative, got {max_norm}")
    flat: Any = tree_flatten(grads)
    arrays = [leaf for _, leaf in flat]
    narrow = bool(arrays) and all(g.dtype == mx.bfloat16 for g in arrays)
    parts = norm_and_scale("clip_grad_norm", arrays, tiny=False)
    if parts is None:
        return tree_map(lambda g: g, grads), mx.array(0.0)
    total = parts[0] / parts[1]
    factor = fn.minimum(max_norm / (total + 1e-6), 1.0)

    def scaled(g: Any) -> Any:
        wide = g * factor
        return wide.astype(g.dtype) if mx.issubdtype(g.dtype, mx.floating) else wide

    return tree_map(scaled, grads), total.astype(mx.bfloat16) if narrow else total
