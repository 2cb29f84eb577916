"""A perceptron of 29 layers of 8 units, batch 4, Adam: what a step costs beside its arithmetic."""

import mlx.optimizers as optim

from . import draws, mlx_training
from .mlx_mlp import Perceptron, loss_fn


def program():
    model = Perceptron(*[8] * 30)
    mlx_training.draw(model)
    return model, optim.Adam(learning_rate=1e-3), loss_fn, *draws.examples(4, (8,), 8)
