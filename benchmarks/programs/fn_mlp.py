"""`mlx_mlp.py` with funcnn's layers."""

import itertools

import funcnn as fn
from funcnn import nn, optim

from . import draws, fn_training


class MLP(nn.Layer):
    layers: tuple[nn.Layer, ...]

    def __call__(self, params, x):
        *hidden, last = zip(self.layers, params["layers"], strict=True)
        for layer, p in hidden:
            x = fn.maximum(layer(p, x), 0.0)
        return last[0](last[1], x)


def perceptron(sizes, batch):
    """Everything that a training loop takes."""
    model = MLP(tuple(nn.Linear(i, o) for i, o in itertools.pairwise(sizes)))

    def loss_fn(params, x, y):
        return fn.mean(nn.losses.cross_entropy(model(params, x), y))

    opt = optim.adam(1e-3, bias_correction=False)
    return fn_training.drawn(model), opt, loss_fn, *draws.examples(batch, sizes[:1], sizes[-1])


def program():
    return perceptron([784, 512, 512, 10], 128)
