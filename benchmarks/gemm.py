"""Square float32 matrix products."""

from __future__ import annotations

import numpy as np

from .case import Case, outputs
from .place import jax_waits, to_funcnn, to_jax, to_torch

SIZES = (64, 256, 1024, 2048)
ROWS = {f"matmul_{n}": "ms" for n in SIZES}


def build(row: str, framework: str) -> Case | None:
    build = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch}.get(framework)
    if build is None:
        return None
    n = int(row.split("_")[1])
    a, b = np.random.default_rng(0).normal(size=(2, n, n)).astype(np.float32)
    step = build(a, b)
    return Case(step, outputs(step))


def _funcnn(a, b):
    import funcnn as fn

    a, b = to_funcnn(a), to_funcnn(b)

    def step():
        c = a @ b
        fn.eval(c)
        return c

    return step


def _jax(a, b):
    import jax
    import jax.numpy as jnp

    a, b = to_jax(a), to_jax(b)
    f = jax.jit(jnp.matmul)
    return lambda: jax_waits(f(a, b))


def _mlx(a, b):
    import mlx.core as mx

    a, b = mx.array(a), mx.array(b)

    def step():
        c = a @ b
        mx.eval(c)
        return c

    return step


def _torch(a, b):
    import torch

    a, b = to_torch(a), to_torch(b)

    @torch.inference_mode()
    def step():
        return a @ b

    return step
