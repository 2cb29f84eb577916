"""A normalising flow of affine couplings fitted to two moons."""

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_map


class Coupling(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self._mask = mask
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, x):
        shift, scale = mx.split(self.net(x * self._mask), 2, axis=-1)
        scale = mx.tanh(scale) * (1 - self._mask)
        return x * mx.exp(scale) + shift * (1 - self._mask), scale.sum(axis=-1)

    def inverse(self, y):
        shift, scale = mx.split(self.net(y * self._mask), 2, axis=-1)
        scale = mx.tanh(scale) * (1 - self._mask)
        return (y - shift * (1 - self._mask)) * mx.exp(-scale), -scale.sum(axis=-1)


class Flow(nn.Module):
    def __init__(self, depth):
        super().__init__()
        masks = [mx.array([float(i % 2), float((i + 1) % 2)]) for i in range(depth)]
        self.couplings = [Coupling(mask) for mask in masks]

    def log_prob(self, x):
        total = mx.zeros(x.shape[:-1])
        for coupling in reversed(self.couplings):
            x, ldj = coupling.inverse(x)
            total += ldj
        return total - 0.5 * (x**2 + np.log(2 * np.pi)).sum(axis=-1)

    def sample(self, shape, key):
        x = mx.random.normal((*shape, 2), key=key)
        for coupling in self.couplings:
            x, _ = coupling.forward(x)
        return x


def main():
    rng = np.random.default_rng(0)
    angle = rng.random(200) * np.pi
    moons = np.concatenate(
        [np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)]
    )
    x = mx.array((moons + 0.05 * rng.standard_normal(moons.shape)).astype(np.float32))
    mx.random.seed(6)
    model = Flow(4)
    mx.eval(model.parameters())
    assert "_mask" not in model.couplings[0].parameters()
    optimizer = optim.Adam(learning_rate=1e-2)
    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        loss, grads = nn.value_and_grad(model, lambda x: -model.log_prob(x).mean())(x)
        optimizer.update(model, grads)
        return loss

    losses = []
    for _ in range(40):
        losses.append(step(x).item())
        mx.eval(state)
    assert losses[-1] < losses[0] - 0.5, losses
    sample = model.sample((5,), mx.random.key(0))
    back = sample
    for coupling in reversed(model.couplings):
        back, _ = coupling.inverse(back)
    assert mx.allclose(back, mx.random.normal((5, 2), key=mx.random.key(0)), atol=1e-4)
    averaged = tree_map(lambda p: p * 0.5, model.parameters())
    model.update(averaged)
    return losses[-1]
