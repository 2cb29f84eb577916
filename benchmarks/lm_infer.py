"""The logits of one sequence of 128 tokens under the language model of lm.py."""

from __future__ import annotations

from . import lm
from .case import Case, funcnn_step, jax_step, mlx_step, outputs, torch_step
from .place import to_funcnn, to_jax, to_torch

ROWS = {"lm_infer": "ms"}


def build(row: str, framework: str) -> Case:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step = make()
    return Case(step, outputs(step))


def tokens():
    return lm.batch(1)[:, :-1]


def _funcnn():
    import funcnn as fn

    def attend(i, q, k, v):
        return fn.fast.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, mask="causal")

    params = lm.convert(lm.parameters(), to_funcnn)
    return funcnn_step(
        lambda params, x: lm.funcnn_model(params, x, attend, params["places"]), [params, to_funcnn(tokens())]
    )


def _jax():
    import jax.numpy as jnp

    def infer(params, x):
        mask = jnp.tri(x.shape[1], dtype=bool)
        return lm.jax_model(params, x, lambda i, q, k, v: lm.jax_attend(q, k, v, mask), params["places"])

    return jax_step(infer, [lm.convert(lm.parameters(), to_jax), to_jax(tokens())])


def _mlx():
    import mlx.core as mx

    def attend(i, q, k, v):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, mask="causal")

    params = lm.convert(lm.parameters(), mx.array)
    return mlx_step(lambda params, x: lm.mlx_model(params, x, attend, params["places"]), [params, mx.array(tokens())])


def _torch(compiled=False):
    import torch.nn.functional as F

    def attend(i, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    params = lm.convert(lm.parameters(), to_torch)
    x = to_torch(tokens()).long()
    return torch_step(lambda params, x: lm.torch_model(params, x, attend, params["places"]), [params, x], compiled)


def _torch_compile():
    return _torch(compiled=True)
