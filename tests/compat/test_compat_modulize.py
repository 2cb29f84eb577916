"""From the functional API to modules."""

import copy
import pickle

import pytest
from tests.compat.compat_models import Affine, plain
from tests.compat.library import REAL, mx
from tests.compat.library import nn as mnn
from tests.compat.test_compat_functionalize import data, same

import funcnn as fn
from funcnn import compat, nn, random, tree

pytestmark = pytest.mark.skipif(REAL, reason="of funcnn alone")

LAYER = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
X = random.normal(random.key(5), (6, 3))


@pytest.fixture
def params():
    return LAYER.init(random.key(0))


def call(module, x=X):
    return module(compat._arrays.mutable(x))


def test_it_holds_the_parameters(params):
    module = compat.modulize(LAYER, params)
    assert isinstance(module, mnn.Module)
    assert plain(module.parameters()) == {
        "layers": [{name: plain(x.tolist()) for name, x in part.items()} for part in params["layers"]]
    }
    assert data(module.layers[0].weight) == data(params["layers"][0]["weight"])
    assert type(module.layers[0].weight) is mx.array
    assert [name for name, _ in module.named_modules()] == ["", *(f"layers.{i}" for i in range(4, -1, -1))]
    trainable = [path for path, _ in compat.utils.tree_flatten(module.trainable_parameters())]
    assert sorted(trainable) == sorted(tree.paths(tree.filter(params, nn.trainable(LAYER))))
    module.layers[0].weight[0] = 7.0
    assert 7.0 not in params["layers"][0]["weight"].tolist()[0]


def test_printing(params):
    assert repr(compat.modulize(LAYER, params)) == (
        "Sequential(\n"
        "  (layers.0): Linear(3, 4)\n"
        "  (layers.1): BatchNorm(4)\n"
        "  (layers.2): ReLU()\n"
        "  (layers.3): Dropout()\n"
        "  (layers.4): Linear(4, 2)\n"
        ")"
    )


def test_inference(params):
    module = compat.modulize(LAYER, params).eval()
    y = call(module)
    assert type(y) is mx.array
    assert same(y, LAYER(params, X))


def test_training_updates_statistics_and_draws_from_the_global_stream(params):
    module = compat.modulize(LAYER, params)
    mx.random.seed(7)
    key = mx.random.split(mx.random.state[0])[1]
    y = call(module)
    expected, updates = LAYER.apply(params, X, training=True, key=key)
    assert same(y, expected)
    assert same(module.layers[1].running_mean, updates["layers"][1]["running_mean"])
    assert not same(call(module), expected)
    mx.random.seed(7)
    assert same(call(compat.modulize(LAYER, params)), expected)


def test_without_draws_the_global_stream_stays_where_it_is(params):
    module = compat.modulize(LAYER, params)
    state = mx.random.state[0].tolist()
    call(module.eval())
    call(compat.modulize(nn.Linear(3, 2), nn.Linear(3, 2).init(random.key(0))))
    assert mx.random.state[0].tolist() == state


def test_each_module_has_a_mode(params):
    module = compat.modulize(LAYER, params)
    module.layers[3].eval()
    module.layers[1].eval()
    assert same(call(module), LAYER(params, X))
    module.eval()
    module.layers[1].train()
    batch = nn.Sequential(*LAYER.layers[:3], *LAYER.layers[4:])
    without_dropout = {"layers": params["layers"][:3] + params["layers"][4:]}
    expected, updates = batch.apply(without_dropout, X, training=True)
    assert same(call(module), expected)
    assert same(module.layers[1].running_var, updates["layers"][1]["running_var"])


def test_gradients(params):
    module = compat.modulize(LAYER, params)
    module.layers[3].eval()
    loss, grads = mnn.value_and_grad(module, lambda x: (module(x) ** 2).sum())(compat._arrays.mutable(X))
    part = nn.Sequential(*LAYER.layers[:3], nn.Dropout(0.0), LAYER.layers[4])
    expected = fn.grad(lambda p: fn.sum(part.apply(p, X, training=True)[0] ** 2), where=nn.trainable(part))(params)
    flat = dict(compat.utils.tree_flatten(grads))
    assert sorted(flat) == sorted(tree.paths(expected))
    assert all(fn.allclose(tree.get(expected, path), leaf, rtol=1e-5, atol=1e-6).item() for path, leaf in flat.items())
    assert loss.item() > 0
    assert all(type(x) is mx.array for x in flat.values())


def test_there_and_back(params):
    module = compat.modulize(LAYER, params)
    layer, again = compat.functionalize(module)
    assert layer is LAYER
    assert tree.structure(again) == tree.structure(params)
    assert all(data(a) == data(b) for a, b in zip(tree.leaves(again), tree.leaves(params), strict=True))
    as_dicts = {"layers": [dict(part) for part in params["layers"]]}
    _, again = compat.functionalize(compat.modulize(LAYER, as_dicts))
    assert tree.structure(again) == tree.structure(as_dicts)
    call(module)
    _, again = compat.functionalize(module)
    assert not same(again["layers"][1]["running_mean"], params["layers"][1]["running_mean"])


def test_a_module_that_has_been_changed_is_not_its_layer_any_more(params):
    for change in (
        lambda module: module.layers[0].freeze(),
        lambda module: module.layers[1].unfreeze(),
        lambda module: module.update_modules({"layers": [compat.modulize(nn.Linear(3, 4), params["layers"][0])]}),
        lambda module: setattr(module, "more", mx.zeros((1,))),
    ):
        module = compat.modulize(LAYER, params)
        change(module)
        layer, again = compat.functionalize(module)
        assert layer is not LAYER
        expected, updates = LAYER.apply(params, X, training=True, key=random.key(3))
        found, more = layer.apply(again, X, training=True, key=random.key(3))
        assert found.shape == expected.shape
        assert sorted(tree.paths(more)) == sorted(tree.paths(updates))
        assert all(same(tree.get(more, path), tree.get(updates, path)) for path in tree.paths(updates))
        assert same(layer.apply(again, X)[0], LAYER(params, X))
        frozen = tree.paths(tree.partition(again, nn.trainable(layer))[1])
        given = dict(compat.utils.tree_flatten(module.trainable_parameters()))
        assert not set(frozen) & set(given)


def test_parts_cannot_be_replaced(params):
    for change in (
        lambda module: module.update_modules({"layers": [{}, {}, mnn.GELU()]}),
        lambda module: module.update_modules({"layers": [{}, {}, compat.modulize(nn.GELU(), {})]}),
        lambda module: module.update_modules({"layers": [compat.modulize(nn.Linear(3, 4, bias=False), {})]}),
        lambda module: setattr(module, "more", mnn.ReLU()),
        lambda module: module.layers.pop(),
        lambda module: module.layers.append({"deep": [mnn.ReLU()]}),
    ):
        module = compat.modulize(LAYER, params)
        change(module)
        with pytest.raises(ValueError, match="below Sequential was added, removed or replaced"):
            call(module)
        f, arrays = compat.functionalize(module)
        with pytest.raises(ValueError, match="replaced"):
            f(arrays, X)


def test_copies(params):
    module = compat.modulize(LAYER, params)
    twin = copy.deepcopy(module)
    twin.layers[0].weight[0] = 0
    assert plain(module.layers[0].weight) == plain(params["layers"][0]["weight"].tolist())
    assert same(call(copy.deepcopy(module).eval()), LAYER(params, X))
    assert pickle.loads(pickle.dumps(module.layers[0]._layer)) == LAYER.layers[0]


def test_weights_keep_their_names(params, tmp_path):
    file = str(tmp_path / "weights.safetensors")
    compat.modulize(LAYER, params).save_weights(file)
    assert sorted(mx.load(file)) == tree.paths(params)
    other = compat.modulize(LAYER, LAYER.init(random.key(9)))
    other.load_weights(file)
    assert same(call(other.eval()), LAYER(params, X))


def test_modules_of_both_kinds_go_together(params):
    class Both(mnn.Module):
        def __init__(self):
            super().__init__()
            self.first = Affine()
            self.second = compat.modulize(nn.Linear(2, 3), nn.Linear(2, 3).init(random.key(1)))

        def __call__(self, x):
            return self.second(self.first(x))

    model = Both()
    x = mx.ones((4, 2))
    _, grads = mnn.value_and_grad(model, lambda x: model(x).sum())(x)
    assert sorted(path for path, _ in compat.utils.tree_flatten(grads)) == [
        *("first.bias", "first.weight"),
        *("second.bias", "second.weight"),
    ]
    f, arrays = compat.functionalize(model)
    assert same(f(arrays, fn.ones((4, 2))), model(x))


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv2d(2, 3, 3, padding=1), (1, 5, 5, 2)),
        (nn.GRU(3, 4), (2, 5, 3)),
        (nn.MultiHeadAttention(8, 2), None),
        (nn.tie(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), {"layers.1.weight": "layers.0.weight"}), (2, 3)),
        (nn.QuantizedLinear(64, 8), (2, 64)),
        (nn.mixed_precision(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3)), "bfloat16"), (2, 3)),
        (nn.scan_layers(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3)), 2), (2, 3)),
        (nn.TransformerEncoder(2, 8, 2), (1, 4, 8)),
    ],
)
def test_layers_of_all_kinds(layer, shape):
    params = layer.init(random.key(0))
    inputs = [random.normal(random.key(1), shape or (1, 4, 8))] * (1 if shape else 3)
    module = compat.modulize(layer, params).eval()
    expected, found = layer(params, *inputs), module(*map(compat._arrays.mutable, inputs))
    assert same(found, expected)
    frozen = set(tree.paths(params)) - {path for path, _ in compat.utils.tree_flatten(module.trainable_parameters())}
    assert frozen == set(tree.paths(tree.partition(params, nn.trainable(layer))[1]))
    back, again = compat.functionalize(module)
    assert back is layer
    assert same(again, params)


def test_adapters(params):
    layer, with_adapters = nn.lora(LAYER, params, "layers.0", rank=1, key=random.key(4))
    module = compat.modulize(layer, with_adapters)
    trainable = [path for path, _ in compat.utils.tree_flatten(module.trainable_parameters())]
    assert sorted(trainable) == sorted(tree.paths(tree.filter(with_adapters, nn.trainable(layer))))
    assert all("lora" in path for path in trainable)
    assert same(call(module.eval()), layer(with_adapters, X))
    assert compat.functionalize(module)[0] is layer


def test_what_it_refuses(params):
    for wrong in (3, Affine(), lambda p, x: x):
        with pytest.raises(TypeError, match="modulize"):
            compat.modulize(wrong, params)
    with pytest.raises(TypeError, match="modulize"):
        compat.modulize(LAYER, [1])
    f, arrays = compat.functionalize(Affine())
    with pytest.raises(ValueError, match="bias"):
        compat.modulize(f, {"weight": arrays["weight"]})
