"""Layers of ``nn`` whose parameters several processes share, on either library."""

import copy

import pytest
from tests.compat.library import mx, nn, utils
from tests.compat.nn.test_compat_layer_edges import Group, close, distributed, ones, values


def test_sharding_with_segments():
    layer = nn.Linear(2, 6)
    layer.weight, layer.bias = mx.arange(12).reshape(6, 2), mx.arange(6)
    part = distributed.shard_linear(layer, "all-to-sharded", segments=2, group=Group(3, 1))
    assert values(part.bias) == [1, 4] and values(part.weight) == [[2, 3], [8, 9]]
    assert repr(part) == "AllToShardedLinear(input_dims=2, output_dims=6, bias=True)"
    part = distributed.shard_linear(layer, "sharded-to-all", group=Group(2, 1))
    assert values(part.weight) == [[1], [3], [5], [7], [9], [11]] and values(part.bias) == [0, 1, 2, 3, 4, 5]
    assert repr(part) == "ShardedToAllLinear(input_dims=2, output_dims=6, bias=True)"
    distributed.shard_inplace(layer, lambda path, weight: (0, [2]), group=Group(2, 0))
    assert values(layer.bias) == [0, 2, 3]
    distributed.shard_inplace(layer, "all-to-sharded", segments=[1 / 3], group=Group(1))
    assert values(layer.bias) == [0, 2, 3]


def test_sharding_on_a_group_of_one():
    x = mx.random.normal((2, 64))
    layer = nn.Linear(64, 32)
    for plain in (layer, layer.to_quantized()):
        for sharding in ("all-to-sharded", "sharded-to-all"):
            made = distributed.shard_linear(plain, sharding)
            close(made(x), plain(x), 1e-4)
            assert bool(made.trainable_parameters()) == (plain is layer)
            made.unfreeze()
            assert bool(made.trainable_parameters()) == (plain is layer)
    assert nn.fully_shard(layer) is layer
    wrapped = nn.FullyShardedModule(layer)
    assert repr(wrapped).startswith("FullyShardedModule(num_sharded_params=2\n  (module): Linear(")
    assert [path for path, _ in utils.tree_flatten(wrapped.parameters())] == ["module.weight", "module.bias"]
    close(wrapped(x), layer(x))
    assert nn.FullyShardedModule(nn.Embedding(4, 3)).as_linear(ones(2, 3)).shape == (2, 4)
    # A module in it that is sharded by itself keeps its parameters.
    model = nn.Sequential(nn.Linear(4, 4), nn.FullyShardedModule(nn.Linear(4, 4)))
    outer = nn.FullyShardedModule(model)
    assert repr(outer).startswith("FullyShardedModule(num_sharded_params=2\n")
    close(outer(ones(2, 4)), model(ones(2, 4)))


def test_full_sharding_over_two(monkeypatch):
    x, whole = mx.random.normal((3, 4)), nn.Linear(4, 6)
    parts = [nn.FullyShardedModule(copy.deepcopy(whole), group=Group(2, rank)) for rank in (0, 1)]
    flat = [
        mx.concatenate([p.reshape(1, -1) for _, p in utils.tree_flatten(part.module.parameters())], 1) for part in parts
    ]
    monkeypatch.setattr(mx.distributed, "all_gather", lambda x, group: mx.concatenate([x, flat[1]]))
    # The same gradient comes from both.
    monkeypatch.setattr(mx.distributed, "sum_scatter", lambda x, group: 2 * x[:1])

    def loss(model):
        return lambda x: (model(x) ** 2).sum()

    value, gradients = nn.value_and_grad(parts[0], loss(parts[0]))(x)
    wanted, all_gradients = nn.value_and_grad(whole, loss(whole))(x)
    close(value, wanted, 1e-4)
    close(gradients["module"]["weight"], all_gradients["weight"][:3], 1e-4)
    close(gradients["module"]["bias"], all_gradients["bias"][:3], 1e-4)
    assert parts[0].module.weight.shape == (3, 4)
    # An error leaves the parts where they were.
    with pytest.raises(ValueError):
        parts[0](ones(3, 5))
    assert parts[0].module.weight.shape == (3, 4)
    assert nn.fully_shard(nn.ReLU(), group=Group(2)).parameters() == {}
    assert nn.fully_shard(parts[0], group=Group(2)) is parts[0]
    assert type(nn.fully_shard(nn.Linear(4, 6), group=Group(2))) is nn.FullyShardedModule


def test_sharding_over_two(monkeypatch):
    x, whole = mx.random.normal((3, 4)), nn.Linear(4, 6)
    parts = [distributed.shard_linear(whole, "all-to-sharded", group=Group(2, rank)) for rank in (0, 1)]
    close(mx.concatenate([part(x) for part in parts], axis=-1), whole(x))
    monkeypatch.setattr(mx.distributed, "all_sum", lambda x, group: 2 * x)
    gradients = [mx.grad(lambda x, part=part: part(x).sum())(x) for part in parts]
    close(gradients[0] / 2 + gradients[1] / 2, mx.grad(lambda x: whole(x).sum())(x))
    parts = [distributed.shard_linear(whole, "sharded-to-all", group=Group(2, rank)) for rank in (0, 1)]
    monkeypatch.setattr(mx.distributed, "all_sum", lambda x, group: x + x[..., :0].sum())
    close(parts[0](x[:, :2]) + parts[1](x[:, 2:]) - whole.bias, whole(x))
