"""Small trainings as MLX's users write them, in either library.

``FUNCNN_COMPAT_LIBRARY=mlx python -m tests.compat.training_jobs`` prints the losses below, those of MLX 0.32.4.
"""

from functools import partial

import numpy as np
from tests.compat.library import mx, nn, optim

LOSSES = {
    "images": [1.59701, 1.37651, 1.10878, 0.8421, 0.6357, 0.47519],
    "sequences": [2.15541, 2.15541, 2.03063, 1.74452, 1.5049, 1.19275],
    "tokens": [2.28464, 2.13702, 2.10707, 2.02186, 2.04138, 1.98337],
    "adapters": [1.46676, 1.45127, 1.43169, 1.40683, 1.3755, 1.3504],
}


class Adapted(nn.Module):
    def __init__(self, layer, rank):
        super().__init__()
        outputs, inputs = layer.weight.shape
        self.layer = layer
        self.down = mx.random.normal((inputs, rank)) * 0.3
        self.up = mx.zeros((rank, outputs))

    def __call__(self, x):
        return self.layer(x) + 2.0 * ((x @ self.down) @ self.up)


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm(6)
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(6 * 2 * 2, 4)

    def __call__(self, x):
        y = self.pool(nn.relu(self.norm(self.conv(x))))
        return self.out(y.reshape(y.shape[0], -1))


class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 6)
        self.cell = nn.GRU(6, 8)
        self.out = nn.Linear(8, 9)

    def __call__(self, x):
        return self.out(self.cell(self.embed(x)))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.body = nn.TransformerEncoder(2, 8, 2, mlp_dims=16, dropout=0.1)
        self.out = nn.Linear(8, 9, bias=False)

    def __call__(self, x):
        mask = nn.MultiHeadAttention.create_additive_causal_mask(x.shape[1])
        return self.out(self.body(self.embed(x), mask))


def adapters():
    model = nn.Sequential(nn.Linear(5, 7), nn.SiLU(), nn.Linear(7, 4))
    model.freeze()
    model.update_modules({"layers": [Adapted(model.layers[0], 2), {}, Adapted(model.layers[2], 2)]})
    return model


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def chosen(shape, count, seed=1):
    return np.random.default_rng(seed).integers(0, count, shape).astype(np.int32)


# The model, its optimiser, and a batch.
JOBS = {
    "images": (Images, lambda: optim.SGD(0.1, momentum=0.9, nesterov=True), (drawn((6, 8, 8, 3)), chosen(6, 4))),
    "sequences": (
        Sequences,
        lambda: optim.Adam(
            optim.join_schedules([optim.linear_schedule(0.0, 0.05, 3), lambda step: mx.array(0.02)], [3])
        ),
        (chosen((3, 5), 9), chosen((3, 5), 9, 2)),
    ),
    "tokens": (
        Tokens,
        lambda: optim.MultiOptimizer(
            [optim.Muon(0.02), optim.AdamW(0.01, bias_correction=True)],
            [lambda path, weight: weight.ndim == 2 and path.startswith("body")],
        ),
        (chosen((3, 5), 9), chosen((3, 5), 9, 2)),
    ),
    "adapters": (
        adapters,
        lambda: optim.Adafactor(0.02, relative_step=False, scale_parameter=False),
        (drawn((6, 5)), chosen(6, 4)),
    ),
}


def loss_fn(model, x, y):
    return nn.losses.cross_entropy(model(x), y, reduction="mean")


def train(job, way, steps=6):
    """The losses; in the last step the batch is smaller."""
    mx.random.seed(5)
    make, make_optimizer, batch = JOBS[job]
    model, optimizer = make(), make_optimizer()
    mx.eval(model.parameters())
    state = [model.state, optimizer.state, mx.random.state]

    def step(x, y):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
        grads, _ = optim.clip_grad_norm(grads, 0.5)
        optimizer.update(model, grads)
        return loss

    if way == "compiled":
        step = partial(mx.compile, inputs=state, outputs=state)(step)
    losses = []
    for i in range(steps):
        loss = step(*(mx.array(x if i < steps - 1 else x[:-1]) for x in batch))
        mx.eval(model.state, optimizer.state)
        losses.append(round(loss.item(), 5))
    return losses


if __name__ == "__main__":
    print("LOSSES = {")
    for job in JOBS:
        print(f'    "{job}": {train(job, "eager")},')
    print("}")
