"""The gradient of the mean cross entropy of 2048 samples and 1000 classes, by the logits."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, outputs

SHAPE = (2048, 1000)
ROWS = {"cross_entropy_grad": "ms"}


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=SHAPE).astype(np.float32), rng.integers(0, SHAPE[1], SHAPE[0]).astype(np.int32)


def build(row: str, framework: str) -> Case:
    step = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]()
    return Case(step, outputs(step), nbytes=2 * 4 * SHAPE[0] * SHAPE[1])


def _funcnn():
    import funcnn as fn
    from funcnn import nn

    loss = fn.grad(lambda x, y: nn.losses.cross_entropy(x, y, reduction="mean"))
    return funcnn_step(loss, [fn.array(x) for x in data()])


def _jax():
    import jax
    import jax.numpy as jnp

    def loss(x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1).mean()

    return jax_step(jax.grad(loss), [jnp.asarray(x) for x in data()])


def _mlx():
    import mlx.core as mx
    import mlx.nn as nn

    loss = mx.grad(lambda x, y: nn.losses.cross_entropy(x, y, reduction="mean"))
    return mlx_step(loss, [mx.array(x) for x in data()])


def _torch(compiled=False):
    import torch

    x, y = data()
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    f = torch.func.grad(torch.nn.functional.cross_entropy)
    f = torch.compile(f) if compiled else f
    return lambda: f(x, y)


def _torch_compile():
    return _torch(compiled=True)
