"""Train a convolutional network on handwritten digits: a program that knows nothing of funcnn.

    .venv/bin/python -m funcnn.compat examples/mlx/digits.py
    python examples/mlx/digits.py                             # the same program on MLX itself, where that is installed

It prints the library it runs on, the accuracy after each epoch, and images per second.
"""

import argparse
import time
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

BATCH = 64


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.norms = [nn.BatchNorm(32), nn.BatchNorm(32)]
        self.pool = nn.MaxPool2d(2, stride=2)
        self.dropout = nn.Dropout(0.4)
        self.last = nn.Linear(4 * 4 * 32, 10)

    def __call__(self, x):
        x = nn.relu(self.norms[0](self.conv1(x)))
        x = self.pool(nn.relu(self.norms[1](self.conv2(x))))
        return self.last(self.dropout(x.flatten(1)))


def loss_fn(model, x, y):
    return nn.losses.cross_entropy(model(x), y, label_smoothing=0.1, reduction="mean")


def main(epochs):
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    split = train_test_split(
        images, digits.target.astype(np.int32), test_size=450, random_state=0, stratify=digits.target
    )
    train_x, test_x, train_y, test_y = map(mx.array, split)

    mx.random.seed(0)
    model = Network()
    mx.eval(model.parameters())
    steps = epochs * (len(train_y) // BATCH)
    optimizer = optim.AdamW(learning_rate=optim.cosine_decay(3e-3, steps))
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x, y):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
        optimizer.update(model, grads)
        return loss

    print("running on", mx.__name__)
    for epoch in range(epochs):
        start = time.perf_counter()
        model.train()
        order = mx.random.permutation(len(train_y))
        for i in range(len(train_y) // BATCH):
            chosen = order[i * BATCH : (i + 1) * BATCH]
            loss = step(train_x[chosen], train_y[chosen])
            mx.eval(loss, state)
        speed = len(train_y) / (time.perf_counter() - start)
        model.eval()
        accuracy = mx.mean(mx.argmax(model(test_x), axis=1) == test_y).item()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, {accuracy:.1%} right, {speed:.0f} images a second")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    main(parser.parse_args().epochs)
