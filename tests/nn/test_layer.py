"""Layers are values: construction, equality, printing, hashing, parameters."""

import pickle
from typing import ClassVar

import attrs
import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

MODELS = [
    nn.Linear(3, 4),
    nn.Linear(3, 4, bias=False),
    nn.Dropout(0.25),
    nn.GELU("fast"),
    nn.Sequential(),
    nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.LeakyReLU(0.2))),
    nn.tie(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5)), {"layers.1.weight": "layers.0.weight"}),
    nn.Sequential(*[nn.Linear(64, 64) for _ in range(10)]),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_layer_prints_as_what_builds_it(model):
    again = eval(repr(model), {name: getattr(nn, name) for name in nn.__all__})
    assert again == model and hash(again) == hash(model) and repr(again) == repr(model)
    assert pickle.loads(pickle.dumps(model)) == model


def test_layers_compare_by_value():
    assert nn.Linear(3, 4) == nn.Linear(3, 4) != nn.Linear(3, 5)
    assert nn.ReLU() == nn.ReLU() != nn.Tanh()
    assert len({nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 4)}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        nn.Linear(3, 4).bias = False
    assert attrs.evolve(nn.Linear(3, 4), bias=False) == nn.Linear(3, 4, bias=False)


class Model(nn.Layer):
    """Layers alone, in lists, in dicts, in nests; and what is no layer."""

    first: nn.Layer
    blocks: list
    named: dict
    nested: dict
    act: object = nn.relu
    width: int = 3

    def __call__(self, params, x):
        x = self.first(params["first"], x)
        for block, view in zip(self.blocks, params["blocks"], strict=True):
            x = block(view, x)
        for name, layer in self.named.items():
            x = layer(params["named"][name], x)
        return self.act(self.nested["a"][1](params["nested"]["a"][1], x))


def make_model(**others):
    fields = {
        "first": nn.Linear(3, 3),
        "blocks": [nn.Linear(3, 3), nn.ReLU()],
        "named": {"x": nn.Linear(3, 3)},
        "nested": {"a": [nn.relu, nn.Linear(3, 2)]},
    }
    return Model(**{**fields, **others})


def test_fields_become_immutable_and_init_walks_them():
    model = make_model()
    assert isinstance(model.blocks, tuple) and isinstance(model.named, fn.frozendict)
    assert hash(model) == hash(make_model())
    params = model.init(random.key(0))
    assert isinstance(params, fn.frozendict)
    assert tree.paths(params) == [
        "blocks.0.bias",
        "blocks.0.weight",
        "first.bias",
        "first.weight",
        "named.x.bias",
        "named.x.weight",
        "nested.a.1.bias",
        "nested.a.1.weight",
    ]
    assert params["blocks"][1] == {} and params["nested"]["a"][0] == {}
    assert model(params, fn.ones((5, 3))).shape == (5, 2)
    plain = {
        "first": dict(params["first"]),
        "blocks": list(params["blocks"]),
        **{k: params[k] for k in ("named", "nested")},
    }
    assert tree.allclose(model(plain, fn.ones((5, 3))), model(params, fn.ones((5, 3))))


def test_parameters_follow_from_key_and_path():
    params = make_model().init(random.key(0))
    assert tree.allclose(params, make_model().init(random.key(0)))
    paths = ["first.weight", "blocks.0.weight", "named.x.weight"]
    weights = [tuple(tree.get(params, path).flatten().tolist()) for path in paths]
    assert len(set(weights)) == 3
    changed = make_model(blocks=[nn.Linear(3, 3), nn.Linear(3, 3)], named={}).init(random.key(0))
    assert tree.allclose(changed["first"], params["first"])
    assert tree.allclose(changed["blocks"][0], params["blocks"][0])
    assert not tree.allclose(make_model().init(random.key(1))["first"], params["first"])
    with pytest.raises(TypeError, match="expected a key"):
        make_model().init(0)


def test_layers_hold_no_arrays():
    class Holder(nn.Layer):
        value: object

    for value in (fn.ones(2), np.ones(2), [fn.ones(2)], {"a": fn.ones(2)}):
        with pytest.raises(TypeError, match="holds no arrays"):
            Holder(value)


def test_subclasses_inherit_fields_and_extend_parameters():
    class Scaled(nn.Linear):
        scale: float = 2.0

        def init(self, key):
            return super().init(key) | {"gain": fn.ones(self.output_dims)}

        def __call__(self, params, x):
            return super().__call__(params, x) * self.scale * params["gain"]

    layer = Scaled(3, 2, scale=3.0)
    assert repr(layer) == "Scaled(3, 2, scale=3.0)"
    params = layer.init(random.key(0))
    base = nn.Linear(3, 2)(params, fn.ones((1, 3)))
    assert tree.allclose(layer(params, fn.ones((1, 3))), base * 3.0)
    with pytest.raises(ValueError, match=r"^in Scaled: expected"):
        layer(params, fn.ones((1, 4)))


def test_layers_are_static_arguments():
    @fn.compile(static_argnames="model")
    def call(model, params, x):
        return model(params, x)

    model = nn.Linear(3, 2)
    params = model.init(random.key(0))
    x = fn.ones((4, 3))
    assert tree.allclose(call(model, params, x), model(params, x))
    call(nn.Linear(3, 2), params, x)
    assert call.cache_info()["misses"] == 1


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"Dropout: p must be a number of at least 0 and below 1, got 1.0"):
        nn.Dropout(1.0)
    with pytest.raises(TypeError, match=r"functions, got the class ReLU: call it, as in ReLU\(\)"):
        nn.Sequential(nn.ReLU)
    with pytest.raises(TypeError, match=r"nonlinearity must be .* got the class Tanh: call it, as in Tanh\(\)"):
        nn.RNN(2, 3, nonlinearity=nn.Tanh)
    with pytest.raises(TypeError, match="Sequential: expected layers and functions, got 3"):
        nn.Sequential(nn.Linear(2, 2), 3)
    with pytest.raises(ValueError):
        nn.GELU("slow")
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(ValueError, match="expected the parameters of 2 layers, got those of 1"):
        model({"layers": ({},)}, fn.ones((1, 2)))
    with pytest.raises(KeyError, match=r"in layers.0 \(Linear\): no parameter 'weight'; there are none"):
        model({"layers": ({}, {})}, fn.ones((1, 2)))


# ---- tying and freezing


def test_tied_parameters_are_one():
    plain = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4))
    tied = nn.tie(plain, {"layers.2.weight": "layers.0.weight"})
    params = tied.init(random.key(0))
    assert sorted(params["layers"][2]) == ["bias"]
    assert tree.count(params) == 16 + 4
    x = random.normal(random.key(1), (3, 4))
    full = tree.merge(params, {"layers": {2: {"weight": params["layers"][0]["weight"]}}})
    assert tree.allclose(tied(params, x), plain(full, x))
    g = fn.grad(lambda p: fn.sum(tied(p, x) ** 2))(params)
    h = fn.grad(lambda p: fn.sum(plain(p, x) ** 2))(full)
    together = h["layers"][0]["weight"] + h["layers"][2]["weight"]
    assert tree.allclose(g["layers"][0]["weight"], together, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"in layers.2 \(Linear\): expected"):
        nn.tie(nn.Sequential(nn.Identity(), nn.Identity(), nn.Linear(3, 3)), {})({"layers": ({}, {}, {})}, x)


def test_wrong_ties():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))

    def init(ties):
        return nn.tie(model, ties).init(random.key(0))

    with pytest.raises(ValueError, match="no parameter 'layers.7.weight'"):
        init({"layers.0.weight": "layers.7.weight"})
    with pytest.raises(
        ValueError, match=r"'layers\.0\.weight' has shape \(3, 2\), but 'layers\.1\.weight' has \(2, 3\)"
    ):
        init({"layers.0.weight": "layers.1.weight"})
    with pytest.raises(ValueError, match="holds some"):
        init({"layers.0": "layers.1"})
    with pytest.raises(ValueError, match="is itself read from"):
        init({"a": "b", "b": "c"})


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(2, 2),
        nn.LayerNorm(2),
        nn.RMSNorm(2),
        nn.BatchNorm(2),
        nn.PReLU(2),
        nn.Dropout(0.5),
        nn.Embedding(2, 2),
    ],
    ids=repr,
)
def test_inputs_are_arrays_or_stand_for_one(layer):
    params, key = layer.init(random.key(0)), random.key(1)
    given = [[0, 1], [1, 1]]
    wanted = layer.apply(params, fn.array(given), training=True, key=key)[0]
    for x in (given, np.array(given, np.int32)):
        np.testing.assert_array_equal(layer.apply(params, x, training=True, key=key)[0], wanted)
    if not isinstance(layer, nn.Embedding):
        y = layer.apply(params, np.array(given, np.float64), training=True, key=key)[0]
        np.testing.assert_allclose(y, wanted, rtol=1e-6)
        assert y.dtype == fn.float32
    for wrong, kind in ((None, "NoneType"), ("text", "str"), ({}, "dict")):
        with pytest.raises(TypeError, match=f"in {type(layer).__name__}: expected an array, got a {kind}"):
            layer.apply(params, wrong, training=True, key=key)


def test_parameters_are_containers():
    model = nn.Sequential(nn.Linear(2, 2))
    for wrong, kind in ((None, "a NoneType"), (3, "a int"), (fn.ones(2), "an array")):
        with pytest.raises(KeyError, match=f"in Sequential: expected parameters with 'layers', got {kind}"):
            model(wrong, fn.ones(2))
    with pytest.raises(KeyError, match=r"in layers\.0 \(Linear\): no parameter 'weight'; there are none"):
        model({"layers": ({},)}, fn.ones(2))


def test_only_layers_are_tied_and_trained():
    with pytest.raises(TypeError, match="tie: layer must be a layer, got 3"):
        nn.tie(3, {})
    with pytest.raises(TypeError, match="tie: ties must be a dict from paths to paths, got 'a'"):
        nn.tie(nn.Linear(1, 1), "a")
    with pytest.raises(TypeError, match="trainable: layer must be a layer, got None"):
        nn.trainable(None)


def test_trainable_excludes_buffers():
    model = nn.tie(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2), nn.Sequential(nn.BatchNorm(2))), {})
    params = model.init(random.key(0))
    trained, buffers = tree.partition(params, nn.trainable(model))
    assert tree.paths(buffers) == [f"layers.{i}.running_{s}" for i in ("1", "2.layers.0") for s in ("mean", "var")]
    x = random.normal(random.key(1), (5, 2))
    grads = fn.grad(lambda p: fn.sum(model.apply(p, x, training=True)[0] ** 2), where=nn.trainable(model))(params)
    assert tree.paths(grads) == tree.paths(trained)


@pytest.mark.parametrize("value", [nn.Linear(2, 2), (nn.ReLU(), nn.Linear(2, 2))])
def test_layers_in_a_class_are_fields(value):
    with pytest.raises(TypeError, match="Bare: body is no field without an annotation, as in `body: nn.Layer = ...`"):
        type("Bare", (nn.Layer,), {"body": value})
    made = type("Shared", (nn.Layer,), {"body": value, "__annotations__": {"body": ClassVar[object]}})
    assert made().init(random.key(0)) == {} and made.body is value


def test_a_class_without_call_says_so():
    class Forward(nn.Layer):
        def forward(self, params, x):
            return x

    class Nothing(nn.Layer):
        pass

    with pytest.raises(
        TypeError, match=r"Forward defines no __call__\(self, params, x\), .*; forward has to have that name"
    ):
        Forward()({}, fn.ones(2))
    with pytest.raises(TypeError, match="what a layer computes$"):
        Nothing().apply({}, fn.ones(2))
