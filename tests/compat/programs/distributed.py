"""Data-parallel training, here on a group of one."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.nn.layers.distributed import shard_inplace, shard_linear
from mlx.utils import tree_map


def main():
    world = mx.distributed.init()
    assert isinstance(mx.distributed.is_available(), bool)
    mx.random.seed(8)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    x = mx.random.normal((12, 6))
    y = x.sum(axis=1, keepdims=True)
    local = slice(world.rank(), None, world.size())
    optimizer = optim.SGD(learning_rate=0.05)

    def all_reduce_grads(grads):
        if world.size() == 1:
            return grads
        return tree_map(lambda g: mx.distributed.all_sum(g) / world.size(), grads)

    loss_fn = nn.value_and_grad(model, lambda model, x, y: nn.losses.mse_loss(model(x), y))
    for _ in range(20):
        loss, grads = loss_fn(model, x[local], y[local])
        optimizer.update(model, nn.average_gradients(all_reduce_grads(grads)))
        mx.eval(loss, model.parameters())
    expected = model(x)
    sharded = nn.Sequential(
        shard_linear(model.layers[0], "all-to-sharded"), nn.ReLU(), shard_linear(model.layers[2], "sharded-to-all")
    )
    assert mx.allclose(sharded(x), expected, atol=1e-6)
    shard_inplace(model.layers[0], "all-to-sharded")
    assert mx.allclose(model(x), expected, atol=1e-6)
    total = mx.distributed.all_sum(loss) / world.size()
    assert total.item() < 2, total
    return total.item()
