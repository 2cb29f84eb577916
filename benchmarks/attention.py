"""Attention in float32: batch 8, 8 heads of 64 features, 128 to 1024 places, forward and with gradients; one query over a cache."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, outputs, torch_step

BATCH, HEADS, WIDTH = 8, 8, 64
SCALE = WIDTH**-0.5
ROWS = {}
for _length in (128, 512, 1024):
    for _causal in ("", "_causal"):
        ROWS[f"attention{_causal}_{_length}"] = "ms"
        ROWS[f"attention{_causal}_grad_{_length}"] = "ms"
# One query for each of 32 heads: keys and values of 32 heads, or of 8 that 4 queries each share.
ROWS |= {"attention_decode_1024": "ms", "attention_decode_4096": "ms", "attention_decode_grouped_4096": "ms"}
CACHE = 4608  # what is allocated; the keys in use are its first part
PEAK_MEMORY = False


def data(row):
    rng = np.random.default_rng(0)
    length = int(row.rsplit("_", 1)[1])
    if "decode" in row:
        heads = 8 if "grouped" in row else 32
        q = rng.normal(size=(1, 32, 1, 128)).astype(np.float32)
        k, v = rng.normal(size=(2, 1, heads, CACHE, 128)).astype(np.float32)
        return [q, k, v], length
    return list(rng.normal(size=(3, BATCH, HEADS, length, WIDTH)).astype(np.float32)), length


def build(row: str, framework: str) -> Case | None:
    arrays, length = data(row)
    gradients, causal, decode = "grad" in row, "causal" in row, "decode" in row
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step = make(arrays, length, causal, gradients, decode)
    nbytes = 2 * 4 * arrays[1].size * length // arrays[1].shape[2] if decode else 0
    return Case(step, outputs(step), nbytes=nbytes)


def _funcnn(arrays, length, causal, gradients, decode):
    import funcnn as fn

    def attend(q, k, v):
        if decode:
            k, v = k[:, :, :length], v[:, :, :length]
        return fn.fast.scaled_dot_product_attention(
            q, k, v, scale=q.shape[-1] ** -0.5, mask="causal" if causal else None
        )

    def loss(q, k, v):
        y = attend(q, k, v)
        return (y * y).sum()

    return funcnn_step(fn.grad(loss, (0, 1, 2)) if gradients else attend, [fn.array(x) for x in arrays])


def _jax(arrays, length, causal, gradients, decode):
    import jax
    import jax.numpy as jnp

    def attend(q, k, v):
        if decode:
            k, v = k[:, :, :length], v[:, :, :length]
        q = q.reshape(*k.shape[:2], -1, *q.shape[2:])
        s = jnp.einsum("bkgid,bkjd->bkgij", q, k) * q.shape[-1] ** -0.5
        if causal:
            s = jnp.where(jnp.tri(length, dtype=bool), s, -jnp.inf)
        y = jnp.einsum("bkgij,bkjd->bkgid", jax.nn.softmax(s), v)
        return y.reshape(y.shape[0], -1, *y.shape[3:])

    def loss(q, k, v):
        y = attend(q, k, v)
        return (y * y).sum()

    return jax_step(jax.grad(loss, (0, 1, 2)) if gradients else attend, [jnp.asarray(x) for x in arrays])


def _mlx(arrays, length, causal, gradients, decode):
    import mlx.core as mx

    def attend(q, k, v):
        if decode:
            k, v = k[:, :, :length], v[:, :, :length]
        return mx.fast.scaled_dot_product_attention(
            q, k, v, scale=q.shape[-1] ** -0.5, mask="causal" if causal else None
        )

    def loss(q, k, v):
        y = attend(q, k, v)
        return (y * y).sum()

    return mlx_step(mx.grad(loss, (0, 1, 2)) if gradients else attend, [mx.array(x) for x in arrays])


def _torch(arrays, length, causal, gradients, decode, compiled=False):
    import torch
    import torch.nn.functional as F

    q, k, v = (torch.from_numpy(x) for x in arrays)

    def attend(q, k, v):
        if decode:
            k, v = k[:, :, :length], v[:, :, :length]
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])

    if not gradients:
        return torch_step(attend, [q, k, v], compiled)
    for x in (q, k, v):
        x.requires_grad_()

    def loss(q, k, v):
        y = attend(q, k, v)
        return (y * y).sum()

    loss = torch.compile(loss) if compiled else loss
    return lambda: torch.autograd.grad(loss(q, k, v), (q, k, v))


def _torch_compile(*args):
    return _torch(*args, compiled=True)
