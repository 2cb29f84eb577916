"""A training step of a 784-512-512-10 ReLU network: batch 128, cross entropy, Adam."""

from __future__ import annotations

import itertools

import numpy as np

from . import training
from .case import Case, losses
from .place import to_funcnn, to_jax, to_torch

ROWS = {"mlp_train": "ms"}
PEAK_MEMORY = True
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
    x, y = to_funcnn(x), to_funcnn(y)
    layers = []
    params = []
    for weight in weights:
        layers += [nn.Linear(weight.shape[1], weight.shape[0]), nn.ReLU()]
        params += [{"weight": to_funcnn(weight), "bias": fn.zeros(weight.shape[0])}, {}]
    model = nn.Sequential(*layers[:-1])
    params = {"layers": tuple(params[:-1])}
    opt = optim.adam(RATE)

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    return training.funcnn(loss_fn, params, opt, x, y)


def _jax():
    import jax
    import jax.numpy as jnp
    import optax

    weights, x, y = data()
    x, y = to_jax(x), to_jax(y)
    params = [(to_jax(w), jnp.zeros(w.shape[0])) for w in weights]
    opt = optax.adam(RATE)

    def loss_fn(params, x, y):
        for weight, bias in params[:-1]:
            x = jax.nn.relu(x @ weight.T + bias)
        weight, bias = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ weight.T + bias, y).mean()

    return training.jax(loss_fn, params, opt, x, y)


def _mlx():
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

    def loss_fn(model, x, y):
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    return training.mlx(model, loss_fn, opt, x, y)


def _torch(compiled=False):
    import torch

    weights, x, y = data()
    x, y = to_torch(x), to_torch(y).long()
    layers = []
    for weight in weights:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(to_torch(weight))
            layer.bias.zero_()
        layers += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    opt = torch.optim.Adam(model.parameters(), RATE, fused=True)

    def loss_fn(x, y):
        return torch.nn.functional.cross_entropy(model(x), y)

    return training.torch(loss_fn, opt, x, y, compiled=compiled)


def _torch_compile():
    return _torch(compiled=True)
