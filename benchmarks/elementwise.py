"""Work bounded by memory: an elementwise chain, softmax, layer norm, activations, sums, on 4096 x 1024 float32."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, outputs, torch_step
from .place import PLACE, to_funcnn, to_jax, to_torch

SHAPE = (4096, 1024)

# How often the bytes of an array have to move.
PASSES = {
    "tanh(a*b+1)*a-b": 3,
    "softmax": 2,
    "layer_norm": 2,
    "gelu": 2,
    "gelu_approx": 2,
    "silu": 2,
    "silu_grad": 2,
    "sum_axis0": 1,
    "sum_axis1": 1,
}
ROWS = dict.fromkeys(PASSES, "ms")


def data():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, *SHAPE), np.float32)
    gain, bias = rng.normal(size=(2, SHAPE[1])).astype(np.float32)
    return a, b, gain, bias


def build(row: str, framework: str) -> Case:
    step = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework](
        row
    )
    item = 2 if PLACE.dtype == "bfloat16" else 4
    return Case(step, outputs(step), nbytes=PASSES[row] * item * SHAPE[0] * SHAPE[1])


def _funcnn(row):
    import funcnn as fn
    from funcnn import nn

    a, b, gain, bias = map(to_funcnn, data())

    def layer_norm(x, gain, bias):
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred * fn.rsqrt(variance + 1e-5) * gain + bias

    f, args = {
        "tanh(a*b+1)*a-b": (lambda a, b: fn.tanh(a * b + 1) * a - b, (a, b)),
        "softmax": (lambda a: fn.softmax(a, axis=-1), (a,)),
        "layer_norm": (layer_norm, (a, gain, bias)),
        "gelu": (nn.gelu, (a,)),
        "gelu_approx": (nn.gelu_approx, (a,)),
        "silu": (nn.silu, (a,)),
        "silu_grad": (fn.grad(lambda a: nn.silu(a).sum()), (a,)),
        "sum_axis0": (lambda a: a.sum(0), (a,)),
        "sum_axis1": (lambda a: a.sum(1), (a,)),
    }[row]
    return funcnn_step(f, args)


def _jax(row):
    import jax
    import jax.numpy as jnp

    a, b, gain, bias = map(to_jax, data())

    def layer_norm(x, gain, bias):
        mean = x.mean(-1, keepdims=True)
        variance = x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * gain + bias

    f, args = {
        "tanh(a*b+1)*a-b": (lambda a, b: jnp.tanh(a * b + 1) * a - b, (a, b)),
        "softmax": (lambda a: jax.nn.softmax(a, axis=-1), (a,)),
        "layer_norm": (layer_norm, (a, gain, bias)),
        "gelu": (lambda a: jax.nn.gelu(a, approximate=False), (a,)),
        "gelu_approx": (lambda a: jax.nn.gelu(a, approximate=True), (a,)),
        "silu": (jax.nn.silu, (a,)),
        "silu_grad": (jax.grad(lambda a: jax.nn.silu(a).sum()), (a,)),
        "sum_axis0": (lambda a: a.sum(0), (a,)),
        "sum_axis1": (lambda a: a.sum(1), (a,)),
    }[row]
    return jax_step(f, args)


def _mlx(row):
    import mlx.core as mx
    import mlx.nn as nn

    a, b, gain, bias = map(mx.array, data())
    f, args = {
        "tanh(a*b+1)*a-b": (lambda a, b: mx.tanh(a * b + 1) * a - b, (a, b)),
        "softmax": (lambda a: mx.softmax(a, axis=-1), (a,)),
        "layer_norm": (lambda a, gain, bias: mx.fast.layer_norm(a, gain, bias, 1e-5), (a, gain, bias)),
        "gelu": (nn.gelu, (a,)),
        "gelu_approx": (nn.gelu_approx, (a,)),
        "silu": (nn.silu, (a,)),
        "silu_grad": (mx.grad(lambda a: nn.silu(a).sum()), (a,)),
        "sum_axis0": (lambda a: a.sum(0), (a,)),
        "sum_axis1": (lambda a: a.sum(1), (a,)),
    }[row]
    return mlx_step(f, args)


def _torch(row, compiled=False):
    import torch

    a, b, gain, bias = map(to_torch, data())
    functional = torch.nn.functional
    f, args = {
        "tanh(a*b+1)*a-b": (lambda a, b: torch.tanh(a * b + 1) * a - b, (a, b)),
        "softmax": (lambda a: torch.softmax(a, -1), (a,)),
        "layer_norm": (lambda a, gain, bias: functional.layer_norm(a, SHAPE[1:], gain, bias, 1e-5), (a, gain, bias)),
        "gelu": (functional.gelu, (a,)),
        "gelu_approx": (lambda a: functional.gelu(a, approximate="tanh"), (a,)),
        "silu": (functional.silu, (a,)),
        "silu_grad": (torch.func.grad(lambda a: functional.silu(a).sum()), (a,)),
        "sum_axis0": (lambda a: a.sum(0), (a,)),
        "sum_axis1": (lambda a: a.sum(1), (a,)),
    }[row]
    return torch_step(f, args, compiled)


def _torch_compile(row):
    return _torch(row, compiled=True)
