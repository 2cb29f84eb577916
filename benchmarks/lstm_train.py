"""A training step of an LSTM over sequences: 128 inputs, 256 units, batch 32, 64 steps, a linear layer of 10, Adam."""

from __future__ import annotations

import numpy as np

from . import training
from .case import ARRAYS, Case, losses

ROWS = {"lstm_train": "ms"}
PEAK_MEMORY = True
FRAMEWORKS = ("funcnn.nn", *ARRAYS)
INPUTS, UNITS, CLASSES, BATCH, STEPS = 128, 256, 10, 32, 64
RATE = 1e-3


def data():
    rng = np.random.default_rng(0)
    bound = UNITS**-0.5
    shapes = {"Wx": (4 * UNITS, INPUTS), "Wh": (4 * UNITS, UNITS), "bias": (4 * UNITS,), "head": (CLASSES, UNITS)}
    params = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    x = rng.normal(size=(BATCH, STEPS, INPUTS)).astype(np.float32)
    y = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    return params, x, y


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

    params, x, y = data()
    params = {name: fn.array(value) for name, value in params.items()}
    x, y = fn.array(x), fn.array(y)
    opt = optim.adam(RATE)

    def loss_fn(params, x, y):
        def step(carry, gates):
            h, c = carry
            i, f, g, o = fn.split(gates + h @ params["Wh"].T, 4, axis=-1)
            c = fn.sigmoid(f) * c + fn.sigmoid(i) * fn.tanh(g)
            return (fn.sigmoid(o) * fn.tanh(c), c), None

        zero = fn.zeros((BATCH, UNITS))
        gates = fn.swapaxes(x, 0, 1) @ params["Wx"].T + params["bias"]
        (h, _), _ = fn.scan(step, (zero, zero), gates)
        return nn.losses.cross_entropy(h @ params["head"].T, y).mean()

    return training.funcnn(loss_fn, params, opt, x, y)


def _funcnn_nn():
    import funcnn as fn
    from funcnn import nn, optim

    class Model(nn.Layer):
        lstm: nn.Layer = nn.LSTM(INPUTS, UNITS)
        head: nn.Layer = nn.Linear(UNITS, CLASSES, bias=False)

        def __call__(self, params, x):
            hidden, _ = self.lstm(params["lstm"], x)
            return self.head(params["head"], hidden[:, -1])

    given, x, y = data()
    given = {name: fn.array(value) for name, value in given.items()}
    params = {"head": {"weight": given.pop("head")}, "lstm": given}
    x, y = fn.array(x), fn.array(y)
    model, opt = Model(), optim.adam(RATE)

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    return training.funcnn(loss_fn, params, opt, x, y)


def _jax():
    import jax
    import jax.numpy as jnp
    import optax

    params, x, y = data()
    params = {name: jnp.asarray(value) for name, value in params.items()}
    x, y = jnp.asarray(x), jnp.asarray(y)
    opt = optax.adam(RATE)

    def loss_fn(params, x, y):
        def step(carry, gates):
            h, c = carry
            i, f, g, o = jnp.split(gates + h @ params["Wh"].T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((BATCH, UNITS))
        gates = jnp.swapaxes(x, 0, 1) @ params["Wx"].T + params["bias"]
        (h, _), _ = jax.lax.scan(step, (zero, zero), gates)
        return optax.softmax_cross_entropy_with_integer_labels(h @ params["head"].T, y).mean()

    return training.jax(loss_fn, params, opt, x, y)


def _mlx():
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    params, x, y = data()
    x, y = mx.array(x), mx.array(y)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(INPUTS, UNITS)
            self.head = nn.Linear(UNITS, CLASSES, bias=False)

        def __call__(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    model = Model()
    model.lstm.Wx, model.lstm.Wh, model.lstm.bias = (mx.array(params[name]) for name in ("Wx", "Wh", "bias"))
    model.head.weight = mx.array(params["head"])
    opt = optim.Adam(RATE, bias_correction=True)

    def loss_fn(model, x, y):
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    return training.mlx(model, loss_fn, opt, x, y)


def _torch(compiled=False):
    import torch

    params, x, y = data()
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    lstm = torch.nn.LSTM(INPUTS, UNITS, batch_first=True)
    head = torch.nn.Linear(UNITS, CLASSES, bias=False)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.from_numpy(params["Wx"]))
        lstm.weight_hh_l0.copy_(torch.from_numpy(params["Wh"]))
        lstm.bias_ih_l0.copy_(torch.from_numpy(params["bias"]))
        lstm.bias_hh_l0.zero_().requires_grad_(False)
        head.weight.copy_(torch.from_numpy(params["head"]))
    trained = [p for p in [*lstm.parameters(), *head.parameters()] if p.requires_grad]
    opt = torch.optim.Adam(trained, RATE, fused=True)

    def loss_fn(x, y):
        return torch.nn.functional.cross_entropy(head(lstm(x)[0][:, -1]), y)

    return training.torch(loss_fn, opt, x, y, compiled=compiled)


def _torch_compile():
    return _torch(compiled=True)
