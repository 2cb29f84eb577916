"""Weights of modules in files, printing, copies and comparison. Every test holds on MLX too."""

import copy
import pickle

import pytest
from tests.compat.compat_models import Affine, Everything, Nothing, plain
from tests.compat.library import mx, nn, utils


def pairs(**weights):
    return list(weights.items())


def test_load_weights_from_pairs():
    layer, weight = Affine(), mx.zeros((2, 2))
    assert layer.load_weights([("weight", weight), ("bias", mx.ones((2,)))]) is layer
    assert layer.weight is weight
    layer.load_weights({"weight": mx.ones((2, 2)), "bias": mx.ones((2,))})
    layer.load_weights((("weight", weight), ("bias", mx.ones((2,)))))
    assert layer.weight is weight


@pytest.mark.parametrize(
    "weights, words",
    [
        ({}, ["Missing 2 parameters", "bias", "weight"]),
        ({"bias": (2,)}, ["Missing 1 parameters", "weight"]),
        ({"bias": (2,), "weight": (2, 2), "b": (1,), "a": (1,)}, ["Received 2 parameters not in model", "a", "b"]),
        ({"bias": (2,), "weight": (2, 3)}, ["weight", "2, 2", "2, 3"]),
        ({"bias": (1,), "weight": (2, 2)}, ["bias", "2,", "1,"]),
    ],
)
def test_strict_load_weights_names_what_is_wrong_and_changes_nothing(weights, words):
    layer = Affine()
    with pytest.raises(ValueError) as error:
        layer.load_weights([(name, mx.full(shape, 9.0)) for name, shape in weights.items()])
    assert all(word in str(error.value) for word in words)
    assert plain(dict(layer)) == plain(dict(Affine()))


def test_strict_load_weights_wants_arrays():
    with pytest.raises(ValueError, match="bias"):
        Affine().load_weights(pairs(weight=mx.ones((2, 2)), bias=3))
    with pytest.raises(TypeError):
        Affine().load_weights(3)


def test_load_weights_that_is_not_strict_takes_what_fits():
    layer = Affine().load_weights(pairs(weight=mx.ones((7,)), other=mx.ones((1,))), strict=False)
    assert layer.weight.shape == (7,)
    assert "other" not in layer
    assert plain(layer.load_weights([], strict=False).bias) == [0, 0]
    assert layer.load_weights(pairs(bias=3), strict=False).bias == 3


@pytest.mark.parametrize("name", ["weights.npz", "weights.safetensors"])
def test_files(tmp_path, name):
    file = str(tmp_path / name)
    model = Everything().apply(lambda x: x + 3)
    assert model.save_weights(file) is None
    assert set(mx.load(file)) == {name for name, _ in utils.tree_flatten(model.parameters())}
    loaded = Everything()
    loaded.load_weights(file)
    assert plain(loaded.parameters()) == plain(model.parameters())
    with pytest.raises(ValueError, match="inner.bias"):
        Affine().load_weights(file)


def test_names_of_files_say_the_format(tmp_path):
    for name in ("weights", "weights.NPZ", "weights.npy"):
        with pytest.raises(ValueError, match=r"\.safetensors"):
            Affine().save_weights(str(tmp_path / name))
    with pytest.raises(ValueError):
        Affine().load_weights(str(tmp_path / "weights"))
    assert not list(tmp_path.iterdir())


def test_printing():
    assert repr(Nothing()) == "Nothing()"
    assert str(Affine()) == "Affine(2, 2)"
    outer = Nothing()
    outer.model, outer.last = Everything(), Affine()
    assert repr(outer) == (
        "Nothing(\n"
        "  (model): Everything(\n"
        "    (parts.3): Affine(2, 2)\n"
        "    (parts.4.q): Nothing()\n"
        "    (inner): Affine(2, 2)\n"
        "    (_hidden): Affine(2, 2)\n"
        "  )\n"
        "  (last): Affine(2, 2)\n"
        ")"
    )


def test_comparison_is_that_of_dicts():
    layer = Affine()
    assert layer == layer
    assert Nothing() == Nothing() == nn.Module() == {}
    assert layer == {"weight": layer.weight, "bias": layer.bias}
    assert layer != {}
    with pytest.raises(TypeError, match="unhashable"):
        hash(layer)
    with pytest.raises((ValueError, TypeError)):
        assert Affine() == Affine()  # more than one element has no truth


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_deep_copies_share_nothing(copied):
    model = Everything().freeze(keys="bias").eval()
    twin = copied(model)
    assert type(twin) is Everything
    assert list(twin) == list(model)
    assert plain(twin.parameters()) == plain(model.parameters())
    assert (twin._no_grad, twin.inner._no_grad, twin.training, twin.number) == ({"bias"}, {"bias"}, False, 4)
    twin.inner.weight[0] = 7
    twin.inner.unfreeze()
    twin.parts.append(1)
    assert plain(model.inner.weight) == [[1, 1], [1, 1]]
    assert (model.inner._no_grad, len(model.parts)) == ({"bias"}, 5)


def test_shallow_copies_share_everything():
    model = Everything()
    twin = copy.copy(model)
    assert type(twin) is Everything
    assert all(twin[key] is value for key, value in model.items())
    twin.w = mx.ones((1,))
    assert plain(model.w) == [0, 0]
    assert twin._no_grad is model._no_grad


def test_deep_copies_keep_what_is_shared():
    model, shared = Nothing(), Affine()
    model.a, model.b = shared, [shared]
    twin = copy.deepcopy(model)
    assert twin.a is twin.b[0]
    assert twin.a is not shared
