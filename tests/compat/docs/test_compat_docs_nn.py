"""What MLX's guides say of modules, layers, losses and initialisers."""

import copy
import pickle

import numpy as np
import pytest
from tests.compat.library import mx, nn, optim, utils


class MLP(nn.Module):
    def __init__(self, in_dims, out_dims, hidden=8):
        super().__init__()
        self.layers = [nn.Linear(in_dims, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, out_dims)]

    def __call__(self, x):
        for i, layer in enumerate(self.layers):
            x = mx.maximum(x, 0) if i > 0 else x
            x = layer(x)
        return x


def test_a_first_network():
    mx.random.seed(0)
    mlp = MLP(2, 10)
    params = mlp.parameters()
    assert params["layers"][0]["weight"].shape == (8, 2) and set(params) == {"layers"}
    mx.eval(mlp.parameters())
    x, y = mx.random.uniform(shape=(4, 2)), mx.zeros((4, 10))

    def l2_loss(x, y):
        return (mlp(x) - y).square().mean()

    loss, grads = nn.value_and_grad(mlp, l2_loss)(x, y)
    assert loss.item() > 0 and grads["layers"][2]["bias"].shape == (10,)
    before = loss.item()
    mlp.update(utils.tree_map(lambda p, g: p - 0.1 * g, mlp.parameters(), grads))
    assert l2_loss(x, y).item() < before


def test_looking_at_a_module():
    mlp = MLP(2, 10, 128)
    assert repr(mlp) == (
        "MLP(\n"
        "  (layers.0): Linear(input_dims=2, output_dims=128, bias=True)\n"
        "  (layers.1): Linear(input_dims=128, output_dims=128, bias=True)\n"
        "  (layers.2): Linear(input_dims=128, output_dims=10, bias=True)\n"
        ")"
    )
    shapes = utils.tree_map(lambda p: p.shape, mlp.parameters())
    assert shapes["layers"][0] == {"weight": (128, 2), "bias": (128,)}
    assert sum(v.size for _, v in utils.tree_flatten(mlp.parameters())) == 2 * 128 + 128 + 128 * 128 + 128 + 1280 + 10
    assert [name for name, _ in utils.tree_flatten(mlp.parameters())][:2] == ["layers.0.weight", "layers.0.bias"]


def test_as_a_pure_function():
    mlp = MLP(2, 3)

    def f(params, x):
        mlp.update(params)
        return mlp(x).sum()

    x = mx.ones((2, 2))
    value, grads = mx.value_and_grad(f)(mlp.trainable_parameters(), x)
    assert grads["layers"][2]["bias"].tolist() == [2.0, 2.0, 2.0]
    assert np.allclose(value.item(), mlp(x).sum().item(), atol=1e-6)


def test_what_a_parameter_is():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = mx.ones(3)
            self.table = {"a": mx.zeros(2), "deep": [mx.zeros(1), nn.Linear(1, 1)]}
            self.pair = (mx.zeros(4), nn.Linear(2, 2))
            self._hidden = mx.zeros(5)
            self.size = 3
            self.name = "block"

        def __call__(self, x):
            return self.scale * x

    block = Block()
    names = {name for name, _ in utils.tree_flatten(block.parameters())}
    assert names == {"scale", "table.a", "table.deep.0", "table.deep.1.weight", "table.deep.1.bias"}
    assert block["scale"] is block.scale and isinstance(block, dict) and block.size == 3
    assert "scale" in block.state and "name" not in block.state
    block.state["scale"] = mx.zeros(3)
    assert block.scale.tolist() == [0.0, 0.0, 0.0]
    del block.size
    with pytest.raises(AttributeError):
        block.size  # noqa: B018


def test_without_super_init():
    class Careless(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(2, 2)]

        def __call__(self, x):
            return self.layers[0](x)

    careless = Careless()
    assert careless(mx.ones((1, 2))).shape == (1, 2)
    assert len(utils.tree_flatten(careless.parameters())) == 2 and len(careless.modules()) == 2


def test_freezing():
    mlp = MLP(2, 3)
    mlp.freeze()
    assert utils.tree_flatten(mlp.trainable_parameters()) == []
    mlp.layers[1].unfreeze(keys="bias")
    assert [n for n, _ in utils.tree_flatten(mlp.trainable_parameters())] == ["layers.1.bias"]
    _, grads = nn.value_and_grad(mlp, lambda x: mlp(x).sum())(mx.ones((1, 2)))
    assert [n for n, _ in utils.tree_flatten(grads)] == ["layers.1.bias"]
    mlp.unfreeze()
    mlp.apply_to_modules(lambda k, m: m.freeze() if k.endswith("0") else None)
    assert "layers.0.weight" not in dict(utils.tree_flatten(mlp.trainable_parameters()))
    norm = nn.BatchNorm(4)
    norm.unfreeze()
    assert set(norm.trainable_parameters()) == {"weight", "bias"} and "running_mean" in norm.parameters()
    with pytest.raises(KeyError):
        mlp.layers[0].freeze(keys="nothing", strict=True)


def test_walks():
    mlp = MLP(2, 3)
    assert [name for name, _ in mlp.named_modules()] == ["", "layers.2", "layers.1", "layers.0"]
    assert len(mlp.modules()) == 4 and len(mlp.children()["layers"]) == 3
    assert len(utils.tree_flatten(mlp.leaf_modules(), is_leaf=nn.Module.is_module)) == 3
    mlp.apply(lambda p: p.astype(mx.float16))
    assert mlp.layers[0].weight.dtype == mx.float16
    mlp.set_dtype(mx.float32)
    assert mlp.layers[0].weight.dtype == mx.float32
    mlp.apply(lambda p: p * 0, filter_fn=lambda m, k, v: k.startswith(("layers", "bias")))
    biases = mlp.filter_and_map(lambda m, k, v: k.startswith(("layers", "bias")))
    assert all(layer["bias"].abs().max().item() == 0 for layer in biases["layers"])
    assert mlp.layers[0].weight.abs().max().item() > 0
    assert "weight" not in biases["layers"][0]


def test_modes():
    dropout = nn.Dropout(0.5)
    x = mx.ones(1000)
    assert dropout.training and 300 < (dropout(x) == 0).sum().item() < 700
    dropout.eval()
    assert not dropout.training and mx.array_equal(dropout(x), x)
    model = nn.Sequential(nn.Dropout(0.1), nn.Linear(2, 2)).eval()
    assert not model.layers[0].training and model.train().layers[0].training
    norm = nn.BatchNorm(2)
    mean = norm.running_mean
    norm(mx.array([[1.0, 2.0], [3.0, 6.0]]))
    assert np.allclose(np.array(norm.running_mean), [0.2, 0.4]) and norm.running_mean is not mean


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_weights_in_files(tmp_path, ending):
    file = str(tmp_path / f"weights.{ending}")
    model, other = MLP(2, 3), MLP(2, 3)
    model.save_weights(file)
    assert other.load_weights(file) is other
    x = mx.ones((1, 2))
    assert mx.array_equal(model(x), other(x))
    # The file is the one of a flattened tree, as everything is.
    assert set(mx.load(file)) == {name for name, _ in utils.tree_flatten(model.parameters())}
    with pytest.raises(ValueError):
        model.save_weights(str(tmp_path / "weights.txt"))


def test_weights_in_lists():
    model = nn.Linear(10, 10)
    model.load_weights([("weight", mx.random.uniform(shape=(10, 10))), ("bias", mx.zeros((10,)))])
    only = [("weight", mx.ones((10, 10)))]
    with pytest.raises(ValueError, match="bias"):
        model.load_weights(only)
    model.load_weights(only, strict=False)
    assert model.weight.sum().item() == 100.0 and model.bias.sum().item() == 0.0
    with pytest.raises(ValueError, match="other"):
        model.load_weights([*only, ("bias", mx.zeros(10)), ("other", mx.zeros(1))])
    with pytest.raises(ValueError, match="shape"):
        model.load_weights([*only, ("bias", mx.zeros(11))])


def test_updating():
    model = MLP(2, 3)
    model.update({"layers": [{}, {"bias": mx.ones(8)}]})
    assert model.layers[1].bias.tolist() == [1.0] * 8
    model.update_modules({"layers": [{}, nn.Linear(8, 8, bias=False)]})
    assert "bias" not in model.layers[1]
    with pytest.raises(ValueError):
        model.update({"nothing": mx.zeros(1)})
    model.update({"nothing": mx.zeros(1)}, strict=False)


def test_aliases_of_parameters():
    layer = nn.Linear(2, 2)
    w = layer.weight
    layer.weight += 1
    assert w is layer.weight
    kept = layer.weight * 1
    layer.weight[0] = 0
    assert w[0].tolist() == [0.0, 0.0] and kept[0].tolist() != [0.0, 0.0]


def test_copies():
    model = MLP(2, 3)
    x = mx.ones((1, 2))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(nn.Sequential(*model.layers[:1])))):
        assert other is not model
        first = (other.layers[0] if hasattr(other, "layers") else other).weight
        assert mx.array_equal(first, model.layers[0].weight) and first is not model.layers[0].weight
    other = copy.deepcopy(model)
    other.layers[0].weight[:] = 0
    assert not mx.array_equal(model(x), other(x)) and model.layers[0].weight.abs().sum().item() > 0


def test_losses_of_the_guide():
    logits = mx.array([[2.0, -1.0], [-1.0, 2.0]])
    targets = mx.array([0, 1])
    each = nn.losses.cross_entropy(logits, targets)
    assert np.allclose(np.array(each), [0.0485873, 0.0485873], atol=1e-6)
    assert np.allclose(nn.losses.cross_entropy(logits, targets, reduction="mean").item(), 0.0485873, atol=1e-6)
    same = nn.losses.cross_entropy(logits, mx.array([[0.9, 0.1], [0.1, 0.9]]))
    assert np.allclose(np.array(same), [0.348587, 0.348587], atol=1e-5)
    bce = nn.losses.binary_cross_entropy
    inputs = mx.array([0.105361, 0.223144, 1.20397, 0.916291])
    assert np.allclose(bce(inputs, mx.array([0, 0, 1, 1])).item(), 0.539245, atol=1e-5)
    probs = mx.array([0.1, 0.1, 0.4, 0.4])
    assert np.allclose(bce(probs, mx.array([0, 0, 1, 1]), with_logits=False).item(), 0.510826, atol=1e-5)
    assert nn.losses.mse_loss(mx.array([1.0, 3.0]), mx.array([0.0, 0.0])).item() == 5.0
    assert nn.losses.hinge_loss(mx.array([0.5]), mx.array([1.0])).tolist() == [0.5]


def test_initialisers_of_the_guide():
    mx.random.seed(0)
    model = MLP(4, 4)
    init_fn = nn.init.uniform(low=-0.1, high=0.1)
    model.apply(init_fn)
    assert all(p.abs().max().item() <= 0.1 for _, p in utils.tree_flatten(model.parameters()))

    def init_weights(key, module):
        if isinstance(module, nn.Linear):
            module.weight = nn.init.he_normal()(mx.zeros(module.weight.shape))

    model.apply_to_modules(init_weights)
    assert model.layers[1].weight.abs().max().item() > 0.1
    assert nn.init.identity()(mx.zeros((2, 2))).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert nn.init.constant(0.5)(mx.zeros((2, 2))).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    q = nn.init.orthogonal()(mx.zeros((3, 3)))
    assert np.allclose(np.array(q @ q.T), np.eye(3), atol=1e-5)


def test_layers_together():
    class Block(nn.Module):
        def __init__(self, dims):
            super().__init__()
            self.attention = nn.MultiHeadAttention(dims, 2)
            self.norms = [nn.LayerNorm(dims), nn.RMSNorm(dims)]
            self.up, self.down = nn.Linear(dims, 4 * dims), nn.Linear(4 * dims, dims, bias=False)

        def __call__(self, x, mask):
            y = self.norms[0](x)
            x = x + self.attention(y, y, y, mask)
            return x + self.down(nn.gelu(self.up(self.norms[1](x))))

    mx.random.seed(0)
    model = nn.Sequential(nn.Embedding(7, 8), lambda x: x * 2)
    block = Block(8)
    x = model(mx.array([[1, 2, 3]]))
    mask = nn.MultiHeadAttention.create_additive_causal_mask(3)
    y = block(x, mask)
    assert y.shape == (1, 3, 8)
    changed = mx.concatenate([x[:, :2], x[:, 2:] + 1], axis=1)
    assert np.allclose(np.array(block(changed, mask)[:, :2]), np.array(y[:, :2]), atol=1e-6)
    rope = nn.RoPE(8)
    assert np.allclose(np.array(rope(x)[:, 1:]), np.array(rope(x[:, 1:], offset=1)), atol=1e-5)
    images = mx.random.normal((2, 8, 8, 3))
    convolution = nn.Sequential(
        nn.Conv2d(3, 4, kernel_size=3, padding=1), nn.BatchNorm(4), nn.ReLU(), nn.MaxPool2d(2, stride=2)
    )
    assert convolution(images).shape == (2, 4, 4, 4) and convolution.layers[0].weight.shape == (4, 3, 3, 3)
    hidden, cell = nn.LSTM(3, 5)(mx.zeros((2, 6, 3)))
    assert hidden.shape == cell.shape == (2, 6, 5) and nn.GRU(3, 5)(mx.zeros((6, 3))).shape == (6, 5)


def test_quantised_network():
    mx.random.seed(0)
    model = MLP(64, 3, hidden=64)
    x = mx.random.normal((2, 64))
    plain = model(x)
    nn.quantize(model, group_size=64, bits=8, class_predicate=lambda path, m: path != "layers.2")
    assert isinstance(model.layers[0], nn.QuantizedLinear) and isinstance(model.layers[2], nn.Linear)
    assert model.layers[0].weight.dtype == mx.uint32 and model.layers[0].scales.shape == (64, 1)
    assert np.allclose(np.array(model(x)), np.array(plain), atol=0.02)
    assert not [n for n, _ in utils.tree_flatten(model.trainable_parameters()) if n.startswith("layers.0.weight")]


def test_checkpointing_layers():
    mx.random.seed(0)
    model = MLP(2, 3)
    x = mx.ones((1, 2))
    expected, plain = nn.value_and_grad(model, lambda x: model(x).sum())(x)
    calls = [nn.utils.checkpoint(layer) for layer in model.layers]

    def forward(x):
        for i, call in enumerate(calls):
            x = call(mx.maximum(x, 0) if i else x)
        return x.sum()

    value, grads = nn.value_and_grad(model, forward)(x)
    assert np.allclose(value.item(), expected.item(), atol=1e-6)
    for (name, g), (_, h) in zip(utils.tree_flatten(grads), utils.tree_flatten(plain), strict=True):
        assert np.allclose(np.array(g), np.array(h), atol=1e-6), name


def test_one_process_of_many():
    group = mx.distributed.init()
    assert group.size() == 1 and group.rank() == 0
    grads = {"w": mx.ones(3), "deep": [mx.zeros(2)]}
    assert mx.array_equal(nn.average_gradients(grads)["w"], grads["w"])
    assert mx.distributed.all_sum(mx.ones(2)).tolist() == [1.0, 1.0]
    assert mx.distributed.all_gather(mx.ones((1, 2))).shape == (1, 2)
    layer = nn.Linear(4, 6)
    sharded = nn.layers.distributed.shard_linear(layer, "all-to-sharded", group=group)
    x = mx.ones((1, 4))
    assert np.allclose(np.array(sharded(x)), np.array(layer(x)), atol=1e-6)


def test_an_optimiser_with_a_module():
    mx.random.seed(0)
    model = MLP(2, 1)
    optimizer = optim.AdamW(learning_rate=1e-2, weight_decay=0.01)
    x = mx.random.uniform(shape=(16, 2))
    y = x.sum(axis=1, keepdims=True)
    step = nn.value_and_grad(model, lambda model, x, y: nn.losses.mse_loss(model(x), y))
    losses = []
    for _ in range(30):
        loss, grads = step(model, x, y)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5
