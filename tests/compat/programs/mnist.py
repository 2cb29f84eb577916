"""A multi-layer perceptron on synthetic digits: batches drawn with NumPy, a compiled evaluation."""

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np


class MLP(nn.Module):
    def __init__(self, num_layers: int, input_dim: int, hidden_dim: int, output_dim: int):
        super().__init__()
        layer_sizes = [input_dim] + [hidden_dim] * num_layers + [output_dim]
        self.layers = [nn.Linear(idim, odim) for idim, odim in zip(layer_sizes[:-1], layer_sizes[1:])]  # noqa: B905, RUF007

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
        return self.layers[-1](x)


def loss_fn(model, X, y):
    return nn.losses.cross_entropy(model(X), y, reduction="mean")


def batch_iterate(batch_size, X, y):
    perm = mx.array(np.random.permutation(y.size))
    for s in range(0, y.size, batch_size):
        ids = perm[s : s + batch_size]
        yield X[ids], y[ids]


def main():
    np.random.seed(0)
    mx.random.seed(0)
    prototypes = np.random.randn(4, 36)
    labels = np.random.randint(0, 4, 256)
    images = (prototypes[labels] + np.random.randn(256, 36)).astype(np.float32)
    train_images, train_labels = map(mx.array, (images, labels.astype(np.uint32)))
    model = MLP(2, 36, 16, 4)
    mx.eval(model.parameters())
    optimizer = optim.SGD(learning_rate=0.1)
    loss_and_grad_fn = nn.value_and_grad(model, loss_fn)

    @partial(mx.compile, inputs=model.state, outputs=model.state)
    def step(X, y):
        loss, grads = loss_and_grad_fn(model, X, y)
        optimizer.update(model, grads)
        return loss

    @partial(mx.compile, inputs=model.state)
    def eval_fn(X, y):
        return mx.mean(mx.argmax(model(X), axis=1) == y)

    for _ in range(8):
        for X, y in batch_iterate(64, train_images, train_labels):
            loss = step(X, y)
            mx.eval(model.state)
    accuracy = eval_fn(train_images, train_labels).item()
    assert accuracy > 0.9, accuracy
    return loss.item()
