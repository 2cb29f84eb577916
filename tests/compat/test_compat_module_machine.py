"""Random sequences of operations on modules, on MLX and on the shim; after each, all that can be seen must be the same."""

import copy
import types

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import funcnn.compat.core
import funcnn.compat.nn
import funcnn.compat.utils

pytest.importorskip("mlx.core")

import mlx.core
import mlx.nn
import mlx.utils

NAMES = ["a", "b", "layers", "_private", "weight", "bias", "keys"]


def library(core, nn, utils):
    class Leaf(nn.Module):
        def __init__(self, value=1.0):
            super().__init__()
            self.weight = core.full((2,), value)
            self.bias = core.zeros((1,))

        def _extra_repr(self):
            return "leaf"

    class Branch(nn.Module):
        shared = "of the class"

        def __init__(self):
            super().__init__()
            self.a = Leaf(3.0)
            self.layers = [Leaf(), {"x": core.ones((1,)), "y": Leaf(2.0)}]

    return types.SimpleNamespace(core=core, nn=nn, utils=utils, classes=(Leaf, Branch), Branch=Branch)


OURS = library(funcnn.compat.core, funcnn.compat.nn, funcnn.compat.utils)
THEIRS = library(mlx.core, mlx.nn, mlx.utils)

fills = st.integers(-3, 3).map(float)
arrays = st.tuples(st.just("array"), st.sampled_from([(2,), (1,)]), fills)
leaves = st.one_of(
    arrays,
    arrays,
    st.tuples(st.just("module"), st.integers(0, 1)),
    st.tuples(st.just("alias"), st.integers(0, 9)),
    st.sampled_from([("plain", 3), ("plain", None), ("plain", "s"), ("plain", True)]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("list"), st.lists(inner, max_size=3)),
        st.tuples(st.just("tuple"), st.lists(inner, max_size=2)),
        st.tuples(st.just("dict"), st.dictionaries(st.sampled_from(["x", "y", "weight"]), inner, max_size=2)),
    ),
    max_leaves=5,
)
updates = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(
        st.one_of(arrays, st.sampled_from([("plain", 3), ("plain", None)])),
        lambda inner: st.one_of(
            st.tuples(st.just("list"), st.lists(inner, max_size=3)),
            st.tuples(st.just("dict"), st.dictionaries(st.sampled_from(["x", "y", "weight", "bias"]), inner)),
        ),
        max_leaves=4,
    ),
    max_size=3,
)
keys = st.one_of(
    st.none(), st.sampled_from(["a", "weight", "bias", "x", "layers.1.x"]), st.lists(st.sampled_from(NAMES))
)


class Twins(RuleBasedStateMachine):
    """A model of either library, and arrays of it that the test holds on to."""

    @initialize()
    def make(self):
        self.sides = [types.SimpleNamespace(lib=lib, model=lib.Branch(), held=[]) for lib in (OURS, THEIRS)]

    def both(self, operation):
        """Do the same on both sides, with the same error or none, and return its name."""
        outcomes = []
        for side in self.sides:
            try:
                outcomes.append((None, seen(operation(side), side.lib)))
            except Exception as error:
                outcomes.append((type(error).__name__, None))
        assert outcomes[0] == outcomes[1]
        return outcomes[0][0]

    @rule(where=st.integers(0, 9), name=st.sampled_from(NAMES), value=values)
    def set_attribute(self, where, name, value):
        self.both(lambda side: setattr(module_of(side, where), name, built(side, value)))

    @rule(where=st.integers(0, 9), name=st.sampled_from(NAMES))
    def delete_attribute(self, where, name):
        self.both(lambda side: delattr(module_of(side, where), name))

    @rule(where=st.integers(0, 9), name=st.sampled_from(NAMES))
    def read_attribute(self, where, name):
        if name != "keys":
            self.both(lambda side: getattr(module_of(side, where), name))

    @rule(where=st.integers(0, 9), name=st.sampled_from(NAMES), value=values)
    def set_item(self, where, name, value):
        self.both(lambda side: module_of(side, where).state.__setitem__(name, built(side, value)))

    @rule(where=st.integers(0, 9), name=st.sampled_from(NAMES))
    def pop_item(self, where, name):
        self.both(lambda side: module_of(side, where).pop(name, None))

    @rule(where=st.integers(0, 9), value=values)
    def append(self, where, value):
        self.both(lambda side: module_of(side, where).layers.append(built(side, value)))

    @rule(where=st.integers(0, 9), name=st.sampled_from(["freeze", "unfreeze"]), keys=keys, flags=st.integers(0, 3))
    def freeze(self, where, name, keys, flags):
        options = {"recurse": bool(flags & 1), "strict": flags == 3}
        self.both(lambda side: getattr(module_of(side, where), name)(keys=copy.copy(keys), **options))

    @rule(where=st.integers(0, 9), mode=st.booleans())
    def train(self, where, mode):
        self.both(lambda side: module_of(side, where).train(mode))

    @rule(where=st.integers(0, 9), tree=updates, strict=st.booleans())
    def update(self, where, tree, strict):
        self.both(lambda side: module_of(side, where).update(built(side, ("dict", tree)), strict=strict))

    @rule(strict=st.booleans(), start=st.integers(0, 5), fill=fills)
    def update_a_part(self, strict, start, fill):
        def operation(side):
            flat = side.lib.utils.tree_flatten(side.model.parameters())[start : start + 3]
            new = [(path, side.lib.core.full(x.shape, fill) if hasattr(x, "shape") else x) for path, x in flat]
            return side.model.update(side.lib.utils.tree_unflatten(new), strict=strict)

        self.both(operation)

    @rule(where=st.integers(0, 9), trainable=st.booleans())
    def apply(self, where, trainable):
        def operation(side):
            filter_fn = side.lib.nn.Module.trainable_parameter_filter if trainable else None
            return module_of(side, where).apply(lambda x: x * 2 - 1, filter_fn)

        self.both(operation)

    @rule(where=st.integers(0, 9), value=st.one_of(st.just(("module", 0)), values), strict=st.booleans())
    def update_modules(self, where, value, strict):
        def operation(side):
            new = side.lib.utils.tree_map(
                lambda _: built(side, value), side.model.leaf_modules(), is_leaf=side.lib.nn.Module.is_module
            )
            return module_of(side, where).update_modules(new, strict=strict)

        self.both(operation)

    @rule(drop=st.integers(0, 3), extra=st.booleans(), shape=st.sampled_from([None, (2,)]), strict=st.booleans())
    def load_weights(self, drop, extra, shape, strict):
        def operation(side):
            flat = side.lib.utils.tree_flatten(side.model.parameters())
            weights = [(path, side.lib.core.full(shape or x.shape, 4.0)) for path, x in flat]
            weights = [pair for i, pair in enumerate(weights) if not drop or i % drop]
            if extra:
                weights.append(("extra", side.lib.core.zeros((1,))))
            return side.model.load_weights(weights, strict=strict)

        self.both(operation)

    @rule(dtype=st.sampled_from(["float16", "float32", "int32"]), all_of_them=st.booleans())
    def set_dtype(self, dtype, all_of_them):
        def operation(side):
            options = (None,) if all_of_them else ()
            return side.model.set_dtype(getattr(side.lib.core, dtype), *options)

        self.both(operation)

    @rule(which=st.integers(0, 9))
    def hold(self, which):
        self.both(lambda side: side.held.append(array_of(side, which)))

    @rule(which=st.integers(0, 9), fill=fills, item=st.booleans())
    def change_in_place(self, which, fill, item):
        def operation(side):
            x = array_of(side, which)
            if item:
                x[0] = fill
            else:
                x += fill

        self.both(operation)

    @precondition(lambda self: self.sides[0].held)
    @rule(which=st.integers(0, 9), fill=fills)
    def change_what_is_held(self, which, fill):
        def operation(side):
            x = side.held[which % len(side.held)]
            x *= fill

        self.both(operation)

    @rule(fails=st.booleans(), moves=st.booleans())
    def value_and_grad(self, fails, moves):
        def operation(side):
            core = side.lib.core

            def loss(scale):
                flat = [x for _, x in side.lib.utils.tree_flatten(side.model.parameters())]
                total = sum((core.square(x.astype(core.float32)).sum() for x in flat), core.array(0.0)) * scale
                if moves and not fails:
                    side.model.moved = total * 2
                if fails:
                    raise KeyError("inside")
                return total

            value, grads = side.lib.nn.value_and_grad(side.model, loss)(core.array(2.0))
            return value, grads

        if self.both(operation):
            # The shim puts back the very arrays, MLX others of the same values.
            self.both(lambda side: side.model.apply(lambda x: x + 0))

    @rule(moves=st.booleans())
    def compiled(self, moves):
        def operation(side):
            def step(x):
                if moves:
                    side.model.apply(lambda p: p * 2)
                flat = [p for _, p in side.lib.utils.tree_flatten(side.model.parameters())]
                return sum((p.astype(side.lib.core.float32).sum() for p in flat), x)

            state = side.model.state
            return side.lib.core.compile(step, inputs=state, outputs=state)(side.lib.core.array(1.0))

        self.both(operation)

    @rule(deep=st.booleans())
    def copy(self, deep):
        def operation(side):
            side.model = copy.deepcopy(side.model) if deep else copy.copy(side.model)

        self.both(operation)

    @invariant()
    def all_that_can_be_seen_is_the_same(self):
        ours, theirs = (observed(side) for side in self.sides)
        assert ours == theirs


def module_of(side, where):
    modules = side.model.modules()
    return modules[where % len(modules)]


def array_of(side, which):
    flat = [x for _, x in side.lib.utils.tree_flatten(side.model.parameters())]
    return flat[which % len(flat)]


def built(side, value):
    kind, *content = value
    if kind == "array":
        return side.lib.core.full(*content)
    if kind == "module":
        return side.lib.classes[content[0]]()
    if kind == "alias":
        return array_of(side, content[0])
    if kind == "plain":
        return content[0]
    if kind == "dict":
        return {key: built(side, item) for key, item in content[0].items()}
    return {"list": list, "tuple": tuple}[kind](built(side, item) for item in content[0])


def seen(value, lib):
    """A value without the library that it is of."""
    if isinstance(value, lib.core.array):
        return str(value.dtype).rpartition(".")[2], value.shape, value.tolist()
    if isinstance(value, lib.nn.Module):
        return type(value).__name__, value.__dict__.keys(), {key: seen(item, lib) for key, item in value.items()}
    if isinstance(value, dict):
        return [(key, seen(item, lib)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value)(seen(item, lib) for item in value)
    return value


def observed(side):
    model, lib = side.model, side.lib
    modules = model.named_modules()
    return {
        "entries": seen(dict(model), lib),
        "attributes": [(path, vars(module)) for path, module in modules],
        "parameters": seen(model.parameters(), lib),
        "trainable": seen(model.trainable_parameters(), lib),
        "children": seen(model.children(), lib),
        "leaf modules": seen(model.leaf_modules(), lib),
        "shared": [[a is b for _, a in modules] for _, b in modules],
        "aliases": [
            [a is b for _, a in flat] for flat in [lib.utils.tree_flatten(model.parameters())] for _, b in flat
        ],
        "printed": repr(model),
        "names": [name for name in dir(model) if name not in dir(lib.nn.Module)],
        "held": seen(side.held, lib),
    }


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=40, stateful_step_count=25)
