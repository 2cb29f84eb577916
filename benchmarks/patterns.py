"""How memory is gone over where that is not in order: axes between others, short rows, updates at positions."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, outputs, torch_step

ROWS = {
    "sum_middle": "us",  # (256, 64, 64) over its second axis
    "softmax_middle": "us",
    "distances": "us",  # of 5,000 points to 64 others in 8 dimensions
    "scale_channels": "us",  # (1,000,000, 3) by 3 numbers
    "matmul_thin": "us",  # 1024 x 1024 by 1024 x 4
    "scatter_add": "us",  # 50,000 rows of 64 into 5,000
    "scatter_max": "us",
}


def data(row):
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return {
        "sum_middle": lambda: (normal(256, 64, 64),),
        "softmax_middle": lambda: (normal(256, 64, 64),),
        "distances": lambda: (normal(5000, 8), normal(64, 8)),
        "scale_channels": lambda: (normal(1_000_000, 3), normal(3)),
        "matmul_thin": lambda: (normal(1024, 1024), normal(1024, 4)),
        "scatter_add": lambda: (normal(5000, 64), rng.integers(0, 5000, 50_000).astype(np.int32), normal(50_000, 64)),
        "scatter_max": lambda: (normal(5000, 64), rng.integers(0, 5000, 50_000).astype(np.int32), normal(50_000, 64)),
    }[row]()


def build(row: str, framework: str) -> Case:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step = make(row)
    return Case(step, outputs(step))


# What most write alike.
COMMON = {
    "sum_middle": lambda x: x.sum(1),
    "distances": lambda x, y: ((x[:, None] - y) ** 2).sum(-1),
    "scale_channels": lambda x, y: x * y,
    "matmul_thin": lambda x, y: x @ y,
    "scatter_add": lambda x, i, v: x.at[i].add(v),
    "scatter_max": lambda x, i, v: x.at[i].maximum(v),
}


def _funcnn(row):
    import funcnn as fn

    f = {
        **COMMON,
        "softmax_middle": lambda x: fn.softmax(x, axis=1),
    }[row]
    return funcnn_step(f, [fn.array(x) for x in data(row)])


def _jax(row):
    import jax
    import jax.numpy as jnp

    f = {
        **COMMON,
        "softmax_middle": lambda x: jax.nn.softmax(x, axis=1),
        "scatter_max": lambda x, i, v: x.at[i].max(v),
    }[row]
    return jax_step(f, [jnp.asarray(x) for x in data(row)])


def _mlx(row):
    import mlx.core as mx

    f = {
        **COMMON,
        "softmax_middle": lambda x: mx.softmax(x, axis=1),
    }[row]
    return mlx_step(f, [mx.array(x) for x in data(row)])


def _torch(row, compiled=False):
    import torch

    f = {
        **COMMON,
        "softmax_middle": lambda x: torch.softmax(x, 1),
        "scatter_add": lambda x, i, v: x.index_add(0, i, v),
        "scatter_max": lambda x, i, v: x.index_reduce(0, i, v, "amax"),
    }[row]
    return torch_step(f, [torch.from_numpy(x) for x in data(row)], compiled)


def _torch_compile(row):
    return _torch(row, compiled=True)
