"""The training loops of MLX's users."""

from functools import partial

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map_with_path

from . import draws


def draw(model, rename=lambda name: name):
    """Give the model the weights that its counterparts have."""
    model.update(tree_map_with_path(lambda name, p: mx.array(draws.weight(rename(name), p.shape)), model.parameters()))
    mx.eval(model.parameters())


def eager(model, optimizer, loss_fn, inputs, targets):
    x, y = mx.array(inputs), mx.array(targets)
    loss_and_grad_fn = nn.value_and_grad(model, loss_fn)

    def step():
        loss, grads = loss_and_grad_fn(model, x, y)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
        return loss.item()

    return step


def compiled(model, optimizer, loss_fn, inputs, targets):
    x, y = mx.array(inputs), mx.array(targets)
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def train(x, y):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
        optimizer.update(model, grads)
        return loss

    def step():
        loss = train(x, y)
        mx.eval(state)
        return loss.item()

    return step
