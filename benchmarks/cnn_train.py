"""A training step of a convolutional network: batch 32 of 32 x 32 x 3; three 3 x 3 convolutions with 32, 64 and 128
channels, the last two pooled; a linear layer; cross entropy, SGD with momentum."""

from __future__ import annotations

import itertools

import numpy as np

from . import training
from .case import ARRAYS, Case, losses
from .place import to_funcnn, to_jax, to_torch

ROWS = {"cnn_train": "ms"}
PEAK_MEMORY = True
FRAMEWORKS = ("funcnn.nn", *ARRAYS)
BATCH, SIDE = 32, 32
CHANNELS = (3, 32, 64, 128)
RATE, MOMENTUM = 0.01, 0.9


def data():
    rng = np.random.default_rng(0)
    weights = [
        rng.normal(0, (2 / (9 * i)) ** 0.5, (o, 3, 3, i)).astype(np.float32) for i, o in itertools.pairwise(CHANNELS)
    ]
    features = (SIDE // 4) ** 2 * CHANNELS[-1]
    weights.append(rng.normal(0, features**-0.5, (10, features)).astype(np.float32))
    x = rng.normal(size=(BATCH, SIDE, SIDE, 3)).astype(np.float32)
    y = rng.integers(0, 10, BATCH).astype(np.int32)
    return weights, x, y


def build(row: str, framework: str) -> Case:
    make = {
        "funcnn": _funcnn,
        "funcnn.nn": _funcnn_nn,
        "jax": _jax,
        "mlx": _mlx,
        "torch": _torch,
        "torch.compile": _torch_compile,
    }
    step = make[framework]()
    return Case(step, losses(step))


def _funcnn():
    import funcnn as fn
    from funcnn import nn, optim

    weights, x, y = data()
    x, y = to_funcnn(x), to_funcnn(y)
    params = tuple({"weight": to_funcnn(w), "bias": fn.zeros(w.shape[0])} for w in weights)
    opt = optim.sgd(RATE, momentum=MOMENTUM)

    def loss_fn(params, x, y):
        for i, layer in enumerate(params[:-1]):
            x = nn.relu(fn.conv2d(x, layer["weight"], padding=1) + layer["bias"])
            if i > 0:
                x = nn.max_pool2d(x, 2)
        logits = x.reshape(x.shape[0], -1) @ params[-1]["weight"].T + params[-1]["bias"]
        return nn.losses.cross_entropy(logits, y).mean()

    return training.funcnn(loss_fn, params, opt, x, y)


def _funcnn_nn():
    import funcnn as fn
    from funcnn import nn, optim

    weights, x, y = data()
    x, y = to_funcnn(x), to_funcnn(y)
    first, second, third = (nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(CHANNELS))
    model = nn.Sequential(
        *(first, nn.ReLU()),
        *(second, nn.ReLU(), nn.MaxPool2d(2)),
        *(third, nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear((SIDE // 4) ** 2 * CHANNELS[-1], 10)),
    )
    given = iter({"weight": to_funcnn(w), "bias": fn.zeros(w.shape[0])} for w in weights)
    params = {"layers": tuple(next(given) if isinstance(m, (nn.Conv2d, nn.Linear)) else {} for m in model.layers)}
    opt = optim.sgd(RATE, momentum=MOMENTUM)

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    return training.funcnn(loss_fn, params, opt, x, y)


def _jax():
    import jax
    import jax.numpy as jnp
    import optax

    weights, x, y = data()
    x, y = to_jax(x), to_jax(y)
    kernels = [w.transpose(1, 2, 3, 0) if w.ndim == 4 else w.T for w in weights]
    params = [(to_jax(w), jnp.zeros(w.shape[-1])) for w in kernels]
    opt = optax.sgd(RATE, MOMENTUM)

    def loss_fn(params, x, y):
        for i, (weight, bias) in enumerate(params[:-1]):
            x = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x + bias)
            if i > 0:
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        weight, bias = params[-1]
        logits = x.reshape(x.shape[0], -1) @ weight + bias
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    return training.jax(loss_fn, params, opt, x, y)


def _mlx():
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    class Network(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.convs = [nn.Conv2d(w.shape[-1], w.shape[0], 3, padding=1) for w in weights[:-1]]
            self.head = nn.Linear(weights[-1].shape[1], 10)
            for layer, weight in zip([*self.convs, self.head], weights, strict=True):
                layer.weight, layer.bias = mx.array(weight), mx.zeros(weight.shape[0])
            self.pool = nn.MaxPool2d(2)

        def __call__(self, x):
            for i, conv in enumerate(self.convs):
                x = nn.relu(conv(x))
                if i > 0:
                    x = self.pool(x)
            return self.head(x.reshape(x.shape[0], -1))

    weights, x, y = data()
    x, y = mx.array(x), mx.array(y)
    model = Network(weights)
    opt = optim.SGD(RATE, MOMENTUM)

    def loss_fn(model, x, y):
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    return training.mlx(model, loss_fn, opt, x, y)


def _torch(compiled=False):
    import torch
    from torch import nn

    class Rows(nn.Module):
        """Channels last, as the weights of the linear layer are ordered."""

        def forward(self, x):
            return x.permute(0, 2, 3, 1).flatten(1)

    weights, x, y = data()
    x, y = to_torch(x).permute(0, 3, 1, 2), to_torch(y).long()
    convs = [nn.Conv2d(w.shape[-1], w.shape[0], 3, padding=1) for w in weights[:-1]]
    head = nn.Linear(weights[-1].shape[1], 10)
    with torch.no_grad():
        for layer, weight in zip([*convs, head], weights, strict=True):
            weight = to_torch(weight)
            layer.weight.copy_(weight.permute(0, 3, 1, 2) if weight.ndim == 4 else weight)
            layer.bias.zero_()
    layers = [convs[0], nn.ReLU()]
    for conv in convs[1:]:
        layers += [conv, nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, Rows(), head).to(memory_format=torch.channels_last)
    opt = torch.optim.SGD(model.parameters(), RATE, MOMENTUM, fused=True)

    def loss_fn(x, y):
        return nn.functional.cross_entropy(model(x), y)

    return training.torch(loss_fn, opt, x, y, compiled=compiled)


def _torch_compile():
    return _torch(compiled=True)
