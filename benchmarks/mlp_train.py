"""A training step of a 784-512-512-10 ReLU network: batch 128, cross entropy, Adam."""

from __future__ import annotations

import itertools

import numpy as np

from .case import Case, losses

ROWS = {"mlp_train": "ms"}
SIZES = (784, 512, 512, 10)
RATE = 1e-3


def data():
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, i**-0.5, (o, i)).astype(np.float32) for i, o in itertools.pairwise(SIZES)]
    x = rng.normal(size=(128, SIZES[0])).astype(np.float32)
    y = rng.integers(0, SIZES[-1], 128).astype(np.int32)
    return weights, x, y


def build(row: str, framework: str) -> Case:
    step = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]()
    return Case(step, losses(step))


def _funcnn():
    import funcnn as fn
    from funcnn import nn, optim

    weights, x, y = data()
    x, y = fn.array(x), fn.array(y)
    layers = []
    params = []
    for weight in weights:
        layers += [nn.Linear(weight.shape[1], weight.shape[0]), nn.ReLU()]
        params += [{"weight": fn.array(weight), "bias": fn.zeros(weight.shape[0])}, {}]
    model = nn.Sequential(*layers[:-1])
    params = {"layers": tuple(params[:-1])}
    opt = optim.adam(RATE)
    state = opt.init(params)

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    @fn.compile(donate=("params", "state"))
    def train(params, state, x, y):
        loss, grads = fn.value_and_grad(loss_fn)(params, x, y)
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state, loss

    def step():
        nonlocal params, state
        params, state, loss = train(params, state, x, y)
        fn.eval(params, state, loss)
        return loss

    return step


def _jax():
    import functools

    import jax
    import jax.numpy as jnp
    import optax

    weights, x, y = data()
    x, y = jnp.asarray(x), jnp.asarray(y)
    params = [(jnp.asarray(w), jnp.zeros(w.shape[0])) for w in weights]
    opt = optax.adam(RATE)
    state = opt.init(params)

    def loss_fn(params, x, y):
        for weight, bias in params[:-1]:
            x = jax.nn.relu(x @ weight.T + bias)
        weight, bias = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ weight.T + bias, y).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(params, state, x, y):
        loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
        delta, state = opt.update(grads, state, params)
        return optax.apply_updates(params, delta), state, loss

    def step():
        nonlocal params, state
        params, state, loss = jax.block_until_ready(train(params, state, x, y))
        return loss

    return step


def _mlx():
    import functools

    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    weights, x, y = data()
    x, y = mx.array(x), mx.array(y)
    layers = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight, layer.bias = mx.array(weight), mx.zeros(weight.shape[0])
        layers += [layer, nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    opt = optim.Adam(RATE, bias_correction=True)
    opt.init(model.trainable_parameters())
    state = [model.state, opt.state]

    def loss_fn(model, x, y):
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def train(x, y):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
        opt.update(model, grads)
        return loss

    def step():
        loss = train(x, y)
        mx.eval(state, loss)
        return loss.item()

    return step


def _torch(compiled=False):
    import torch

    weights, x, y = data()
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    layers = []
    for weight in weights:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.zero_()
        layers += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    opt = torch.optim.Adam(model.parameters(), RATE, fused=True)

    def loss_fn(x, y):
        return torch.nn.functional.cross_entropy(model(x), y)

    if compiled:
        loss_fn = torch.compile(loss_fn)

    def step():
        opt.zero_grad()
        loss = loss_fn(x, y)
        loss.backward()
        opt.step()
        return loss.detach()

    return step


def _torch_compile():
    return _torch(compiled=True)
