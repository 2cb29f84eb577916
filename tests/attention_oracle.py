"""Attention in plain NumPy, in float64: what the kernels are compared with."""

from __future__ import annotations

import numpy as np


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    scale: float,
    mask: np.ndarray | str | None = None,
    sinks: np.ndarray | None = None,
) -> np.ndarray:
    """Return softmax(scale q k^T + mask) v, and 0 where a query sees no key."""
    group = q.shape[1] // max(k.shape[1], 1)
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    queries, keys = q.shape[2], k.shape[2]
    if keys == 0:
        return np.zeros((*q.shape[:3], v.shape[3]))
    s = scale * np.einsum("bhid,bhjd->bhij", q, k)
    if isinstance(mask, str):
        s = np.where(np.arange(keys) <= np.arange(queries)[:, None] + keys - queries, s, -np.inf)
    elif mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    most = s.max(-1, keepdims=True)
    if sinks is not None:
        most = np.maximum(most, sinks[:, None, None])
    shift = np.where(most == -np.inf, 0.0, most)
    e = np.exp(s - shift)
    total = e.sum(-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks[:, None, None] - shift)
    with np.errstate(invalid="ignore"):
        return np.einsum("bhij,bhjd->bhid", np.where(total == 0, 0.0, e / total), v)
