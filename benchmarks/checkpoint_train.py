"""A training step of 12 residual blocks x + gelu(LN(x) W1) W2, each checkpointed or none: width 1024, batch 256, SGD."""

from __future__ import annotations

import numpy as np

from . import training
from .case import Case, losses

ROWS = {"checkpoint_train": "ms", "no_checkpoint_train": "ms"}
PEAK_MEMORY = True
WIDTH, BATCH, BLOCKS = 1024, 256, 12
RATE = 0.1


def data():
    rng = np.random.default_rng(0)
    weights = rng.normal(0, WIDTH**-0.5, (BLOCKS, 2, WIDTH, WIDTH)).astype(np.float32)
    x, y = rng.normal(size=(2, BATCH, WIDTH)).astype(np.float32)
    return weights, x, y


def build(row: str, framework: str) -> Case:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step = make(row == "checkpoint_train")
    return Case(step, losses(step, 3))


def _funcnn(checkpointed):
    import funcnn as fn
    from funcnn import tree

    weights, x, y = data()
    x, y = fn.array(x), fn.array(y)
    params = tuple((fn.array(w1), fn.array(w2), fn.ones(WIDTH), fn.zeros(WIDTH)) for w1, w2 in weights)

    def block(params, x):
        w1, w2, gain, bias = params
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        h = (centred * fn.rsqrt(variance + 1e-5) * gain + bias) @ w1
        return x + (h * (1 + fn.erf(h * 2**-0.5)) / 2) @ w2

    block = fn.checkpoint(block) if checkpointed else block

    def loss_fn(params, x, y):
        for p in params:
            x = block(p, x)
        return fn.square(x - y).mean()

    @fn.compile(donate=("params",))
    def train(params, x, y):
        loss, grads = fn.value_and_grad(loss_fn)(params, x, y)
        return tree.map(lambda p, g: p - RATE * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = train(params, x, y)
        fn.eval(params, loss)
        return loss

    return step


def _jax(checkpointed):
    import functools

    import jax
    import jax.numpy as jnp

    weights, x, y = data()
    x, y = jnp.asarray(x), jnp.asarray(y)
    params = tuple((jnp.asarray(w1), jnp.asarray(w2), jnp.ones(WIDTH), jnp.zeros(WIDTH)) for w1, w2 in weights)

    def block(params, x):
        w1, w2, gain, bias = params
        normed = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
        return x + jax.nn.gelu((normed * gain + bias) @ w1, approximate=False) @ w2

    block = jax.checkpoint(block) if checkpointed else block

    def loss_fn(params, x, y):
        for p in params:
            x = block(p, x)
        return jnp.square(x - y).mean()

    @functools.partial(jax.jit, donate_argnums=(0,))
    def train(params, x, y):
        loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
        return jax.tree.map(lambda p, g: p - RATE * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = jax.block_until_ready(train(params, x, y))
        return loss

    return step


def _mlx(checkpointed):
    import functools

    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_map

    weights, x, y = data()
    x, y = mx.array(x), mx.array(y)
    params = [[mx.array(w1), mx.array(w2), mx.ones(WIDTH), mx.zeros(WIDTH)] for w1, w2 in weights]
    state = [params]

    def block(x, w1, w2, gain, bias):
        return x + nn.gelu(mx.fast.layer_norm(x, gain, bias, 1e-5) @ w1) @ w2

    block = mx.checkpoint(block) if checkpointed else block

    def loss_fn(params, x, y):
        for p in params:
            x = block(x, *p)
        return mx.square(x - y).mean()

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def train(x, y):
        loss, grads = mx.value_and_grad(loss_fn)(state[0], x, y)
        state[0] = tree_map(lambda p, g: p - RATE * g, state[0], grads)
        return loss

    def step():
        loss = train(x, y)
        mx.eval(state, loss)
        return loss.item()

    return step


def _torch(checkpointed, compiled=False):
    import torch
    from torch.utils.checkpoint import checkpoint

    weights, x, y = data()
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    parameter = torch.nn.Parameter
    params = [
        (
            parameter(torch.from_numpy(w1.copy())),
            parameter(torch.from_numpy(w2.copy())),
            parameter(torch.ones(WIDTH)),
            parameter(torch.zeros(WIDTH)),
        )
        for w1, w2 in weights
    ]
    opt = torch.optim.SGD([p for block in params for p in block], RATE, fused=True)

    def block(x, w1, w2, gain, bias):
        normed = torch.nn.functional.layer_norm(x, (WIDTH,), gain, bias, 1e-5)
        return x + torch.nn.functional.gelu(normed @ w1) @ w2

    def loss_fn(x, y):
        for p in params:
            x = checkpoint(block, x, *p, use_reentrant=False) if checkpointed else block(x, *p)
        return torch.square(x - y).mean()

    return training.torch(loss_fn, opt, x, y, compiled=compiled)


def _torch_compile(checkpointed):
    return _torch(checkpointed, compiled=True)
