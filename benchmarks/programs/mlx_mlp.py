"""A perceptron: 784-512-512-10, batch 128, Adam."""

from itertools import pairwise

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from . import draws, mlx_training


class Perceptron(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.layers = [nn.Linear(*pair) for pair in pairwise(sizes)]

    def __call__(self, x):
        *hidden, last = self.layers
        for layer in hidden:
            x = mx.maximum(layer(x), 0.0)
        return last(x)


def loss_fn(model, x, y):
    return mx.mean(nn.losses.cross_entropy(model(x), y))


def program():
    model = Perceptron(784, 512, 512, 10)
    mlx_training.draw(model)
    return model, optim.Adam(learning_rate=1e-3), loss_fn, *draws.examples(128, (784,), 10)
