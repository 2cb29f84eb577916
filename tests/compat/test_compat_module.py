"""What a Module holds and how it is replaced, as in mlx.nn. Every test holds on MLX too, see tests/compat/library.py."""

import numpy as np
import pytest
from tests.compat.compat_models import Affine, Everything, Nothing, plain
from tests.compat.library import mx, nn, utils

AFFINE = {"weight": [[1, 1], [1, 1]], "bias": [0, 0]}


def one():
    return mx.ones((1,))


# What it holds


def test_entries_and_attributes():
    model = Everything()
    assert list(model) == ["w", "pair", "parts", "table", "_private", "inner", "_hidden"]
    assert vars(model) == {"_no_grad": set(), "_training": True, "none": None, "number": 4}
    assert model.state is model
    assert model["w"] is model.w
    assert set(dir(model)) - set(dir(nn.Module)) == {"_no_grad", "_training", "none", "number"}
    assert not Nothing()


def test_parameters_are_the_arrays_in_modules_lists_and_dicts():
    assert plain(Everything().parameters()) == {
        "w": [0, 0],
        "parts": [[0], {}, {}, AFFINE, {"q": {}, "r": [1], "s": {}}],
        "table": {},
        "inner": AFFINE,
    }
    assert list(Everything().parameters()) == ["w", "parts", "table", "inner"]


def test_children_are_modules_private_ones_too():
    parts = [{}, {}, {}, "Affine", {"q": "Nothing", "r": {}, "s": {}}]
    expected = {"parts": parts, "table": {}, "inner": "Affine", "_hidden": "Affine"}
    assert plain(Everything().children()) == expected
    assert plain(Everything().leaf_modules()) == expected
    outer = Nothing()
    outer.model = Everything()
    assert plain(outer.children()) == {"model": "Everything"}
    assert plain(outer.leaf_modules()) == {"model": expected}


def test_named_modules_start_from_what_was_set_last():
    model = Everything()
    assert [name for name, _ in model.named_modules()] == ["", "_hidden", "inner", "parts.4.q", "parts.3"]
    assert [id(module) for module in model.modules()] == [id(module) for _, module in model.named_modules()]
    outer = Nothing()
    outer.first, outer.second = Everything(), [Everything()]
    assert [name for name, _ in outer.named_modules()][:3] == ["", "second.0", "second.0._hidden"]


def test_a_module_that_is_shared_is_visited_as_often_as_it_occurs():
    model, shared = Nothing(), Affine()
    model.a, model.b = shared, [shared]
    assert [name for name, _ in model.named_modules()] == ["", "b.0", "a"]
    model.update({"a": {"bias": one()}})
    assert model.b[0].bias.tolist() == [1]


def test_apply_to_modules_looks_for_children_after_the_call():
    model, seen = Everything(), []

    def visit(name, module):
        seen.append(name)
        if name == "inner":
            module.more = Nothing()
        if name == "":
            module.parts = []

    assert model.apply_to_modules(visit) is model
    assert seen == ["", "_hidden", "inner", "inner.more"]


def test_filters_see_the_innermost_module_and_the_path_from_it():
    seen = []

    def keep(module, key, value):
        seen.append((type(module).__name__, key))
        return isinstance(value, (dict, list, mx.array))

    Everything().filter_and_map(keep)
    parts = [f"parts.{i}" for i in range(4)]
    assert seen == [
        *[("Everything", key) for key in ("w", "pair", *["parts"], *parts)],
        *[("Affine", key) for key in ("weight", "bias")],
        *[("Everything", key) for key in ("parts.4", "parts.4.q", "parts.4.r", "parts.4.s", "table", "_private")],
        *[("Everything", "inner"), ("Affine", "weight"), ("Affine", "bias")],
        *[("Everything", "_hidden"), ("Affine", "weight"), ("Affine", "bias")],
    ]


def test_filter_and_map():
    model = Everything()
    assert model.filter_and_map(lambda m, k, v: k == "w", map_fn=lambda x: x.shape) == {"w": (2,)}
    everything = model.filter_and_map(lambda m, k, v: True)
    assert everything["pair"] is model.pair
    assert everything["parts"][1:3] == [3, None]
    with pytest.raises(RuntimeError, match="leaf"):
        model.filter_and_map(lambda m, k, v: True, is_leaf_fn=lambda m, k, v: False)
    with pytest.raises(TypeError):
        model.filter_and_map(None)


def test_subclasses_may_replace_filters_and_walks():
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.kept, self.left, self.inner = one(), one(), Affine()

        @staticmethod
        def valid_parameter_filter(module, key, value):
            return nn.Module.valid_parameter_filter(module, key, value) and key not in ("left", "bias")

        @staticmethod
        def valid_child_filter(module, key, value):
            return False

    model = Picky()
    assert plain(model.parameters()) == {"kept": [1], "inner": {"weight": AFFINE["weight"]}}
    assert set(model.trainable_parameters()) == {"kept", "left", "inner"}
    assert model.children() == {}
    assert model.modules() == [model]
    model.freeze()
    assert vars(model)["_no_grad"] == {"kept"}


# Attributes


def test_an_attribute_moves_between_the_entries_and_the_rest():
    model = Nothing()
    for value in (one(), 3, [1], "s", {"a": 1}, None, (1,), Nothing(), False):
        model.x = value
        assert model.x is value
        is_entry = isinstance(value, (mx.array, list, dict, tuple))
        assert ("x" in model, "x" in vars(model)) == (is_entry, not is_entry)
    model.x = one()
    del model.x
    assert not model
    with pytest.raises(AttributeError, match="'Nothing' object has no attribute 'x'"):
        model.x  # noqa: B018
    with pytest.raises(AttributeError, match="x"):
        del model.x


def test_an_entry_that_is_none_is_no_attribute():
    model = Nothing()
    model["k"] = None
    assert not hasattr(model, "k")
    with pytest.raises(AttributeError):
        del model.k
    assert model == {"k": None}


def test_an_ordinary_attribute_hides_an_entry():
    model = Nothing()
    model.z = 4
    model["z"] = one()
    assert model.z == 4
    del model.z
    assert (model.z, "z" in model) == (4, False)


def test_names_of_the_class_cannot_become_entries():
    class Taken(nn.Module):
        constant = 3
        array = mx.zeros((2,))

        @property
        def fixed(self):
            return 5

        @property
        def free(self):
            return self._free

        @free.setter
        def free(self, value):
            self._free = value

    model = Taken()
    for name in ("constant", "array", "fixed", "free", "keys", "items", "update", "state", "parameters"):
        if name == "free":
            model.free = 1
        with pytest.raises(AttributeError):
            setattr(model, name, one())
    model.constant = model.array = 7
    assert (model.constant, model.array, model.free, model.fixed) == (7, 7, 1, 5)
    with pytest.raises(AttributeError):
        model.fixed = 3
    with pytest.raises(AttributeError):
        model.training = False
    assert not model
    with pytest.raises(TypeError):
        setattr(model, 3, one())


def test_the_class_takes_no_names_that_modules_may_want():
    # Python itself gives classes some names between underscores, more with every release.
    own = {name for name in vars(nn.Module) if not name.endswith("__") or name == "__getattr__"} - set(dir(dict))
    public = {
        *("training", "state", "load_weights", "save_weights", "is_module", "valid_child_filter", "update", "apply"),
        *("valid_parameter_filter", "trainable_parameter_filter", "filter_and_map", "parameters", "children", "freeze"),
        *("trainable_parameters", "leaf_modules", "update_modules", "apply_to_modules", "modules", "named_modules"),
        *("unfreeze", "train", "eval", "set_dtype"),
    }
    private = {"_extra_repr", "_validate_keys", "_validate_keys_recursive", "_set_training_mode", "__getattr__"}
    assert own == (public | private) - {"update"}
    layer = nn.QuantizedLinear(64, 8)
    assert set(dir(layer)) == {*dir(nn.Module), *vars(layer), "from_linear", "__call__"}


def test_the_error_of_a_property_is_kept():
    class Broken(nn.Module):
        @property
        def bad(self):
            return self.missing

    with pytest.raises(AttributeError, match="missing"):
        Broken().bad  # noqa: B018


def test_the_methods_of_dicts():
    model = Nothing()
    model["a"] = one()
    model.setdefault("b", [one()])
    assert model.get("c", 3) == 3
    assert model.pop("a").item() == 1
    assert (list(model), len(model), next(iter(model.values())) is model.b) == (["b"], 1, True)
    model.state["w"] = one()
    assert plain(model.parameters()) == {"b": [[1]], "w": [1]}
    model.clear()
    assert not model


def test_without_init():
    class Bare(nn.Module):
        def __init__(self):
            self.w = one()

        def __call__(self, x):
            return x * self.w

    model = Bare()
    assert plain(model.parameters()) == {"w": [1]}
    assert vars(model) == {}
    assert model.update({"w": one() * 3})(2).item() == 6
    assert model.eval() is model
    assert model.training is False
    assert repr(model) == "Bare()"


# update


def test_update_replaces_what_it_is_given():
    model, w = Everything(), one()
    assert model.update({"w": w, "parts": [w, {}, {}][:1], "inner": {"bias": w}, "_private": w, "table": {}}) is model
    assert model.w is w and model.parts[0] is w and model.inner.bias is w and model._private is w
    assert model.update({}) is model
    assert model.update([]) is model


@pytest.mark.parametrize(
    "parameters, word",
    [
        ({"w": 3}, "int"),
        ({"w": {}}, "dict"),
        ({"w": None}, "NoneType"),
        ({"w": np.ones(2)}, "ndarray"),
        ({"zz": 3}, r"\bzz\b"),
        ({"none": 3}, r"\bnone\b"),
        ({"number": 3}, r"\bnumber\b"),
        ({"parts": {"0": 1}}, r"\b0\b"),
        ({"parts": None}, "NoneType"),
        ({"parts": (1,)}, "tuple"),
        ({"parts": [{}]}, "dict"),
        ({"pair": (1,)}, "tuple"),
        ({"inner": 3}, "int"),
        ({"table": {"x": 3}}, r"\bx\b"),
        ({"table": [3]}, "index 0"),
        (None, "NoneType"),
        ((), "tuple"),
        ("w", "str"),
    ],
)
def test_update_refuses_what_does_not_fit(parameters, word):
    with pytest.raises(ValueError, match=word):
        Everything().update(parameters)


def test_update_refuses_longer_lists_and_lets_shorter_ones_pass():
    model = Nothing()
    model.some = [one(), one()]
    with pytest.raises(ValueError, match="index 2"):
        model.update({"some": [one() * 2] * 3})
    assert plain(model.some) == [[2], [2]]
    model.update({"some": [one() * 5]})
    assert plain(model.some) == [[5], [2]]
    model.update({"some": [one() * 7] * 3}, strict=False)
    assert plain(model.some) == [[7], [7]]


def test_update_that_fails_has_replaced_what_stands_before():
    model = Everything()
    with pytest.raises(ValueError, match="zz"):
        model.update({"w": one(), "zz": one(), "_private": one()})
    assert (plain(model.w), plain(model._private)) == ([1], [0, 0, 0])


def test_update_of_other_classes():
    with pytest.raises(KeyError):
        Everything().update({"inner": [one()]})
    with pytest.raises(KeyError):
        Everything().update([one()])
    with pytest.raises(TypeError):
        Everything().update({"pair": [one()]})


@pytest.mark.parametrize(
    "parameters, check",
    [
        ({"w": 3}, lambda m: m.w == 3 and "w" in m),
        ({"w": {}}, lambda m: m.w == {}),
        ({"w": None}, lambda m: not hasattr(m, "w")),
        ({"zz": 3, "inner": 4, "pair": (5,)}, lambda m: "zz" not in m and isinstance(m.inner, Affine)),
        (None, lambda m: True),
        ({"parts": [1] * 9}, lambda m: m.parts[:2] == [1, 3] and len(m.parts) == 5),
    ],
)
def test_update_that_is_not_strict_takes_what_fits_whatever_it_is(parameters, check):
    assert check(Everything().update(parameters, strict=False))


def test_apply():
    model = Everything()
    assert model.apply(lambda x: x + 1) is model
    assert plain((model.w, model.parts[0], model.inner.bias)) == ([1, 1], [1], [1, 1])
    assert plain((model._private, model._hidden.bias, model.pair[0])) == ([0, 0, 0], [0, 0], [0])
    model.freeze(keys="bias")
    model.apply(lambda x: x * 0, filter_fn=nn.Module.trainable_parameter_filter)
    assert plain((model.w, model.inner.bias)) == ([0, 0], [1, 1])
    with pytest.raises(ValueError, match="int"):
        model.apply(lambda x: 3)


def test_set_dtype_casts_floats():
    model = Everything()
    model.counts = mx.array([1, 2])
    assert model.set_dtype(mx.float16) is None
    assert (model.w.dtype, model.inner.bias.dtype, model.counts.dtype) == (mx.float16, mx.float16, mx.int32)
    assert model._private.dtype == mx.float32
    model.set_dtype(mx.bfloat16, predicate=lambda dtype: dtype == mx.int32)
    assert (model.w.dtype, model.counts.dtype) == (mx.float16, mx.bfloat16)
    model.set_dtype(mx.float32, None)
    assert model.counts.dtype == mx.float32


# update_modules


def test_update_modules():
    model, other = Everything(), Nothing()
    model.update_modules({"inner": other, "_hidden": other, "parts": [{}, {}, {}, other, {"q": other}]})
    assert model.inner is other and model._hidden is other and model.parts[3] is other and model.parts[4]["q"] is other
    before = dict(model)
    assert model.update_modules(model.children()) is model
    model.update_modules(model.leaf_modules())
    assert all(model[key] is value for key, value in before.items())


@pytest.mark.parametrize(
    "modules, word",
    [
        ({"zz": 1}, r"\bzz\b"),
        ({"none": 1}, r"\bnone\b"),
        ({"w": [1]}, "list"),
        ({"w": Affine}, "type"),
        ({"inner": 3}, "int"),
        ({"inner": None}, "NoneType"),
        ({"pair": [{}]}, "list"),
        ({"table": {"x": 1}}, r"\bx\b"),
        ({"parts": [{}] * 6}, "index 5"),
        ({"parts": (1,)}, "tuple"),
        (None, "NoneType"),
    ],
)
def test_update_modules_refuses_what_does_not_fit(modules, word):
    model = Everything()
    with pytest.raises(ValueError, match=word):
        model.update_modules(modules)
    before = plain(dict(model))
    model.update_modules(modules, strict=False)
    assert plain(dict(model)) == before


def test_update_modules_passes_over_empty_dicts_also_in_the_place_of_arrays():
    model = Everything()
    model.update_modules({"w": Nothing(), "inner": {}, "parts": [{}], "table": nn.Module()})
    assert isinstance(model.w, mx.array) and isinstance(model.inner, Affine)
    with pytest.raises(KeyError):
        model.update_modules({"inner": [Nothing()]})


# Freezing


def test_freeze_names_what_is_frozen_in_each_module():
    model = Everything()
    assert model.freeze() is model
    assert vars(model)["_no_grad"] == {"w", "parts.0", "parts.4.r"}
    assert model.inner._no_grad == model.parts[3]._no_grad == model._hidden._no_grad == {"weight", "bias"}
    assert model.pair[1]._no_grad == set()
    empty_parts = [{}, {}, {}, {}, {"q": {}, "r": {}, "s": {}}]
    assert model.trainable_parameters() == {"parts": empty_parts, "table": {}, "inner": {}}
    assert len(utils.tree_flatten(model.parameters())) == 7
    model.unfreeze(keys="bias")
    assert utils.tree_flatten(model.trainable_parameters())[0][0] == "parts.3.bias"
    model.unfreeze(recurse=False)
    assert (model._no_grad, model.inner._no_grad) == (set(), {"weight"})
    model.unfreeze()
    assert model.inner._no_grad == set()


def test_freeze_keys():
    model = Everything().freeze(keys=["w", "weight", "none such"])
    assert model._no_grad == model.inner._no_grad == {"w", "weight", "none such"}
    assert Everything().freeze(keys="inner", recurse=False).inner._no_grad == set()
    assert "inner" not in Everything().freeze(keys="inner", recurse=False).trainable_parameters()
    assert Everything().freeze(recurse=False).inner._no_grad == set()
    assert Everything().freeze(keys=[])._no_grad == set()
    assert Everything().freeze(keys=("w",))._no_grad == {("w",)}
    assert plain(Everything().freeze(keys="parts.0").trainable_parameters()["parts"][0]) == {}


@pytest.mark.parametrize("name", ["freeze", "unfreeze"])
def test_strict_keys(name):
    model = Everything()
    getattr(model, name)(keys=["w", "weight"], strict=True)
    for options in (
        {"keys": "zz"},
        {"keys": ["w", "zz"]},
        {"keys": "weight", "recurse": False},
        {"keys": "parts.0"},
        {"keys": "q"},
    ):
        with pytest.raises(KeyError, match="zz|weight|parts.0|q"):
            getattr(model, name)(strict=True, **options)
    with pytest.raises(TypeError):
        getattr(model, name)(True)


def test_strict_freeze_of_everything_wants_entries():
    with pytest.raises(KeyError, match="parts.0"):
        Everything().freeze(strict=True)
    assert Affine().freeze(strict=True)._no_grad == {"weight", "bias"}


def test_freezing_goes_by_name_so_it_outlives_the_array():
    model = Affine().freeze(keys="bias")
    model.bias = mx.ones((2,))
    assert list(model.trainable_parameters()) == ["weight"]


# Modes


def test_train_and_eval_reach_all_modules_but_those_in_tuples():
    model = Everything()
    assert model.training
    assert model.eval() is model
    assert not (model.training or model.inner.training or model.parts[3].training or model._hidden.training)
    assert model.pair[1].training
    assert model.train().inner.training
    assert model.train("mode").inner.training == "mode"


def test_modes_are_set_by_a_method_of_each_module():
    class Counting(Affine):
        def _set_training_mode(self, mode):
            super()._set_training_mode(mode)
            self.calls = getattr(self, "calls", 0) + 1

        def train(self, mode=True):
            raise AssertionError("the recursion does not go through train")

    model = Nothing()
    model.a = Counting()
    model.eval().train()
    assert model.a.calls == 2


def test_a_property_that_takes_the_entry_out():
    class Renamed(nn.Module):
        @property
        def old(self):
            return self.new

        @old.setter
        def old(self, value):
            self.pop("old", None)
            self.new = value

    model = Renamed()
    model["old"] = one()
    model.old = 3
    assert model.new == 3
    assert not model
