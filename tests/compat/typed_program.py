"""A program of an MLX user with types, for type checkers: `mypy --strict tests/compat/typed_program.py`, `pyright` likewise."""

import funcnn.compat.core as mx
import funcnn.compat.nn as nn
import funcnn.compat.optimizers as optim
from funcnn.compat.utils import tree_flatten


class MLP(nn.Module):
    def __init__(self, dims: int) -> None:
        super().__init__()
        self.first = nn.Linear(dims, 8)
        self.last = nn.Linear(8, 1)

    def __call__(self, x: mx.array) -> mx.array:
        return self.last(nn.relu(self.first(x)))


def loss_fn(model: MLP, x: mx.array, y: mx.array) -> mx.array:
    return nn.losses.mse_loss(model(x), y, reduction="mean")


def main(dtype: mx.Dtype = mx.float32) -> float:
    model = MLP(4)
    optimizer = optim.AdamW(learning_rate=1e-3)
    x: mx.array = mx.random.normal((8, 4)).astype(dtype)
    y = mx.zeros((8, 1), dtype=mx.float32, stream=mx.cpu)
    x[0] = 0.0
    x += 1
    loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
    y = (2 * x.T @ x + mx.exp(x[0])).at[0].add(1.0)
    halves: list[mx.array] = mx.split(y, 2)
    count = sum(v.size for _, v in tree_flatten(model.parameters()))
    print(count, halves[0].shape, x.shape[0] + 1, mx.add(x, 1, stream=mx.cpu).dtype)
    return float(loss.item())


if __name__ == "__main__":
    main()
