"""A perceptron: 784-512-512-10, batch 128, Adam."""

from itertools import pairwise

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from . import draws, mlx_training


class MLP(nn.Module):
    def __init__(self, num_layers: int, input_dim: int, hidden_dim: int, output_dim: int):
        super().__init__()
        layer_sizes = [input_dim] + [hidden_dim] * num_layers + [output_dim]
        self.layers = [nn.Linear(idim, odim) for idim, odim in pairwise(layer_sizes)]

    def __call__(self, x):
        for l in self.layers[:-1]:
            x = mx.maximum(l(x), 0.0)
        return self.layers[-1](x)


def loss_fn(model, X, y):
    return mx.mean(nn.losses.cross_entropy(model(X), y))


def program():
    model = MLP(2, 784, 512, 10)
    mlx_training.draw(model)
    return model, optim.Adam(learning_rate=1e-3), loss_fn, *draws.examples(128, (784,), 10)
