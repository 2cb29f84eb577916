"""The gradient of every example: vmap of grad of a 784-256-10 network, batch 128, all gradients materialised."""

from __future__ import annotations

import numpy as np

from .case import Case

ROWS = {"per_example_grad": "ms"}
PEAK_MEMORY = True
SIZES = (784, 256, 10)
BATCH = 128


def data():
    rng = np.random.default_rng(0)
    w1 = rng.normal(0, SIZES[0] ** -0.5, (SIZES[1], SIZES[0])).astype(np.float32)
    w2 = rng.normal(0, SIZES[1] ** -0.5, (SIZES[2], SIZES[1])).astype(np.float32)
    b1, b2 = np.zeros(SIZES[1], np.float32), np.zeros(SIZES[2], np.float32)
    x = rng.normal(size=(BATCH, SIZES[0])).astype(np.float32)
    y = np.eye(SIZES[2], dtype=np.float32)[rng.integers(0, SIZES[2], BATCH)]
    return (w1, b1, w2, b2), x, y


def build(row: str, framework: str) -> Case:
    step = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]()

    def result():
        return [np.asarray(g) for g in step()]

    return Case(step, result)


def _funcnn():
    import funcnn as fn

    params, x, y = data()
    params, x, y = tuple(map(fn.array, params)), fn.array(x), fn.array(y)

    def loss(params, x, y):
        w1, b1, w2, b2 = params
        logits = w2 @ fn.maximum(w1 @ x + b1, 0) + b2
        return fn.logsumexp(logits) - (logits * y).sum()

    f = fn.compile(fn.vmap(fn.grad(loss), in_axes=(None, 0, 0)))

    def step():
        grads = f(params, x, y)
        fn.eval(grads)
        return grads

    return step


def _jax():
    import jax
    import jax.numpy as jnp

    params, x, y = data()
    params, x, y = tuple(map(jnp.asarray, params)), jnp.asarray(x), jnp.asarray(y)

    def loss(params, x, y):
        w1, b1, w2, b2 = params
        logits = w2 @ jnp.maximum(w1 @ x + b1, 0) + b2
        return jax.nn.logsumexp(logits) - (logits * y).sum()

    f = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))
    return lambda: jax.block_until_ready(f(params, x, y))


def _mlx():
    import mlx.core as mx

    params, x, y = data()
    params, x, y = list(map(mx.array, params)), mx.array(x), mx.array(y)

    def loss(w1, b1, w2, b2, x, y):
        logits = w2 @ mx.maximum(w1 @ x + b1, 0) + b2
        return mx.logsumexp(logits) - (logits * y).sum()

    f = mx.compile(mx.vmap(mx.grad(loss, argnums=(0, 1, 2, 3)), in_axes=(None, None, None, None, 0, 0)))

    def step():
        grads = f(*params, x, y)
        mx.eval(grads)
        return grads

    return step


def _torch(compiled=False):
    import torch

    params, x, y = data()
    params, x, y = tuple(map(torch.from_numpy, params)), torch.from_numpy(x), torch.from_numpy(y)

    def loss(params, x, y):
        w1, b1, w2, b2 = params
        logits = w2 @ torch.relu(w1 @ x + b1) + b2
        return torch.logsumexp(logits, 0) - (logits * y).sum()

    f = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    f = torch.compile(f) if compiled else f

    return lambda: f(params, x, y)


def _torch_compile():
    return _torch(compiled=True)
