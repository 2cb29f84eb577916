"""From modules to the functional API."""

import copy
import functools
import pickle

import numpy as np
import pytest
from tests.compat.compat_models import Affine, Everything, Nothing, plain
from tests.compat.library import REAL, mx
from tests.compat.library import nn as mnn

if not REAL:
    from funcnn.compat.nn.utils import checkpoint

import funcnn as fn
from funcnn import compat, nn, random, tree

pytestmark = pytest.mark.skipif(REAL, reason="of funcnn alone")

X = fn.array([[1.0, 2.0], [3.0, 5.0], [-1.0, 0.5]])


class Net(mnn.Module):
    """Everything that a call may do to a module."""

    def __init__(self):
        super().__init__()
        self.layers = [Affine(0.5), Affine(-0.25)]
        self.heads = {"a": Affine(2.0)}
        self.mean = mx.zeros((2,))
        self.count = mx.array(0)
        self._offset = mx.array([0.5, -0.5])
        self.freeze(keys=["mean", "count"], recurse=False)

    def __call__(self, x, scale=1.0):
        if self.training:
            self.mean = self.mean * 0.5 + x.mean(axis=0)
            self.count += 1
        for layer in self.layers:
            x = mx.tanh(layer(x))
        return {"y": self.heads["a"](x - self.mean) * scale + self._offset, "x": [x]}


class Noisy(mnn.Module):
    def __init__(self):
        super().__init__()
        self.scale = mx.ones((2,))

    def __call__(self, x):
        return x * self.scale + (mx.random.normal(x.shape) if self.training else 0)


def data(x):
    # NumPy gets memory of its own from a mutable array, since it may write there.
    return np.asarray(fn._core._immutable(x)).__array_interface__["data"][0]


def same(a, b):
    a, b = tree.leaves(a), tree.leaves(b)
    return len(a) == len(b) and all(fn.array_equal(x, y).item() for x, y in zip(a, b, strict=True))


def test_it_computes_what_the_module_does():
    net = Net().eval()
    f, params = compat.functionalize(net)
    assert isinstance(f, nn.Layer)
    y = f(params, X, scale=3.0)
    assert same(y, net(compat._arrays.mutable(X), scale=3.0))
    assert [type(leaf) for leaf in tree.leaves(y)] == [fn.array, fn.array]


def test_parameters_have_the_paths_of_the_module_and_share_its_memory():
    model = Everything()
    _, params = compat.functionalize(model)
    paths = [path for path, _ in compat.utils.tree_flatten(model.parameters())]
    assert sorted(tree.paths(params)) == sorted(paths)
    assert all(type(leaf) is fn.array for leaf in tree.leaves(params))
    assert data(params["inner"]["weight"]) == data(model.inner.weight)
    assert type(params) is tree.frozendict
    assert type(params["parts"]) is tuple
    assert params["table"] == {}


def test_the_function_does_not_follow_the_module_nor_the_module_the_function():
    net = Net()
    f, params = compat.functionalize(net)
    before, y = plain(net.parameters()), f(params, X)
    net.layers[0].weight[0] = 100.0
    net._offset += 1
    net.heads.clear()
    net.eval()
    assert same(f(params, X), y)
    net = Net()
    f, params = compat.functionalize(net)
    f.apply(params, X, training=True)
    assert plain(net.parameters()) == before


def test_modes():
    net = Net()
    f, params = compat.functionalize(net)
    trained, updates = f.apply(params, X, training=True)
    assert same(f(params, X), trained)
    assert tree.paths(updates) == ["count", "mean"]
    assert updates["mean"].tolist() == pytest.approx([1.0, 2.5])
    assert type(updates["mean"]) is fn.array
    inferred, updates = f.apply(params, X)
    assert updates == {}
    assert same(inferred, compat.functionalize(net.eval())[0](params, X))
    assert not same(inferred["y"], trained["y"])


def test_updates_of_two_steps_are_those_of_the_module():
    net = Net()
    f, params = compat.functionalize(net)
    for _ in range(2):
        net(compat._arrays.mutable(X))
        _, updates = f.apply(params, X, training=True)
        params = tree.merge(params, updates)
    assert same(params["mean"], net.mean)
    assert params["count"].item() == net.count.item() == 2


def test_frozen_arrays_are_no_trainable_ones():
    net = Net()
    net.heads["a"].freeze(keys="bias")
    net.freeze(keys="layers", recurse=False)
    f, params = compat.functionalize(net)
    trained, kept = tree.partition(params, nn.trainable(f))
    assert tree.paths(trained) == ["heads.a.weight"]
    assert len(tree.paths(kept)) == 7
    assert nn.count(params, nn.trainable(f)) == 4


def test_integers_are_no_trainable_ones():
    layer = mnn.QQLinear(64, 8).eval()
    f, params = compat.functionalize(layer)
    assert tree.paths(tree.filter(params, nn.trainable(f))) == []
    assert compat.modulize(f, params)._no_grad == set()


def test_gradients_are_those_of_nn_value_and_grad():
    net = Net()
    f, params = compat.functionalize(net)
    value, grads = fn.value_and_grad(lambda p: fn.sum(f(p, X)["y"] ** 2), where=nn.trainable(f))(params)
    expected_value, expected = mnn.value_and_grad(net, lambda x: (net(x)["y"] ** 2).sum())(compat._arrays.mutable(X))
    assert value.item() == expected_value.item()
    flat = dict(compat.utils.tree_flatten(expected))
    assert flat.keys() == set(tree.paths(grads))
    for path, leaf in flat.items():
        assert fn.allclose(tree.get(grads, path), leaf, rtol=1e-6).item()


def test_compile_and_vmap():
    f, params = compat.functionalize(Net())
    eager = f.apply(params, X, training=True)
    compiled = fn.compile(lambda p, x: f.apply(p, x, training=True))
    for _ in range(2):
        leaves = zip(tree.leaves(eager), tree.leaves(compiled(params, X)), strict=True)
        assert all(fn.allclose(a, b, rtol=1e-6).item() for a, b in leaves)
    f, params = compat.functionalize(Net().eval())
    mapped = fn.vmap(lambda x: f(params, x)["y"])(X)
    assert fn.allclose(mapped, f(params, X)["y"], rtol=1e-6).item()
    stacked = tree.map(lambda p: fn.stack([p, 2 * p]), params)
    both = fn.vmap(lambda p: f(p, X)["y"])(stacked)
    assert fn.allclose(both[1], f(tree.map(lambda p: 2 * p, params), X)["y"], rtol=1e-6).item()


def test_draws_come_from_the_key():
    f, params = compat.functionalize(Noisy())
    mx.random.seed(3)
    expected = mx.random.uniform().item()
    mx.random.seed(3)
    first, second, third = (f.apply(params, X, training=True, key=random.key(k))[0] for k in (0, 0, 1))
    assert same(first, second)
    assert not same(first, third)
    assert mx.random.uniform().item() == expected
    compiled = fn.compile(lambda key: f.apply(params, X, training=True, key=key)[0])
    assert fn.allclose(compiled(random.key(0)), first, rtol=1e-6).item()
    assert not fn.allclose(compiled(random.key(1)), first, rtol=1e-6).item()
    with pytest.raises(ValueError, match="key=random.key"):
        f(params, X)
    assert mx.random.uniform().item() != expected  # the stream goes on after the error
    assert same(f.apply(params, X)[0], X)


def test_draws_of_compiled_functions_come_from_the_key_too():
    @functools.partial(mx.compile, inputs=mx.random.state, outputs=mx.random.state)
    def noisy(x):
        return x + mx.random.normal(x.shape)

    class Compiled(Noisy):
        def __call__(self, x):
            return noisy(x * self.scale) + noisy(x) if self.training else x

    f, params = compat.functionalize(Compiled())
    before = mx.random.state[0].tolist()
    for _ in range(2):
        first, second, third = (f.apply(params, X, training=True, key=random.key(k))[0] for k in (0, 0, 1))
        assert same(first, second)
        assert not same(first, third)
        with pytest.raises(ValueError, match="key=random.key"):
            f(params, X)
    assert mx.random.state[0].tolist() == before


def test_a_module_may_set_the_key_itself():
    class Seeded(Noisy):
        def __call__(self, x):
            mx.random.seed(7)
            return super().__call__(x)

    f, params = compat.functionalize(Seeded())
    before = mx.random.state[0].tolist()
    assert same(f(params, X), f.apply(params, X, training=True, key=random.key(1))[0])
    assert mx.random.state[0].tolist() == before


def test_arguments_stay_as_they_are():
    class Changing(mnn.Module):
        def __init__(self):
            super().__init__()
            self.w = mx.zeros((2,))

        def __call__(self, x, more):
            x[0] = 0
            more["y"] += 1
            self.w[1] = 5
            return x, more["y"] + self.w

    f, params = compat.functionalize(Changing())
    x, y = fn.ones((2,)), fn.ones((2,))
    (first, second), updates = f.apply(params, x, {"y": y}, training=True)
    assert (first.tolist(), second.tolist(), updates["w"].tolist()) == ([0, 1], [2, 7], [0, 5])
    assert (x.tolist(), y.tolist(), params["w"].tolist()) == ([1, 1], [1, 1], [0, 0])


def test_a_shared_module_has_its_arrays_once():
    model, shared = Nothing(), Affine(3.0)
    model.a, model.b = shared, [shared]
    type(model).__call__ = lambda self, x: self.a(x) + self.b[0](x)
    try:
        f, params = compat.functionalize(model)
        assert tree.paths(params) == ["a.bias", "a.weight"]
        grads = fn.grad(lambda p: fn.sum(f(p, X)))(params)
        assert grads["a"]["bias"].tolist() == [6, 6]
        again = compat.modulize(f, params)
        assert again.a is again.b[0]
    finally:
        del type(model).__call__


def test_arrays_that_are_no_parameters_are_constants():
    model = Everything()
    f, params = compat.functionalize(model)
    again = compat.modulize(f, params)
    assert plain(again._private) == [0, 0, 0]
    assert plain(dict(again.pair[1])) == plain(dict(model.pair[1]))
    assert again.pair[1] is not model.pair[1]
    assert again._hidden is not model._hidden


def test_there_and_back():
    model = Everything().freeze(keys="bias")
    model.inner.eval()
    f, params = compat.functionalize(model)
    again = compat.modulize(f, params)
    assert type(again) is Everything
    assert repr(again) == repr(model)
    assert list(again) == list(model)
    assert plain(dict(again)) == plain(dict(model))
    assert [m._no_grad for m in again.modules()] == [m._no_grad for m in model.modules()]
    assert [m.training for m in again.modules()] == [m.training for m in model.modules()]
    assert {k: v for k, v in vars(again).items() if k != "_no_grad"} == {
        k: v for k, v in vars(model).items() if k != "_no_grad"
    }
    assert data(again.inner.weight) == data(model.inner.weight)
    again.inner.weight[0] = 9.0
    again.unfreeze()
    assert plain(params["inner"]["weight"].tolist()) == plain(model.inner.weight) == [[1, 1], [1, 1]]
    assert model.inner._no_grad == {"bias"}
    doubled = compat.modulize(f, tree.map(lambda p: 2 * p, params))
    assert plain(doubled.parts[4]["r"]) == [2]


class Bound(mnn.Module):
    """Attributes that are made of the module itself."""

    def __init__(self, **attributes):
        super().__init__()
        self.inner = Affine()
        for name, make in attributes.items():
            setattr(self, name, make(self))

    def twice(self, factor, x):
        return self.inner(x) * factor

    def __call__(self, x):
        return self.call(x)


def test_methods_in_attributes_become_those_of_the_copy():
    for make in (
        lambda self: self.inner.__call__,
        lambda self: functools.partial(self.twice, 1.0),
        lambda self: functools.partial(functools.partial(Bound.twice, self), 1.0),
    ):
        f, params = compat.functionalize(Bound(call=make))
        assert same(f(params, X), Affine()(compat._arrays.mutable(X)))
        assert same(f(tree.map(lambda p: 0 * p, params), X), fn.zeros((3, 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda self: mx.compile(self.inner.__call__),
        lambda self: mx.compile(lambda x: self.inner(x)),
        lambda self: checkpoint(self.inner),
        lambda self: lambda x: self.inner(x),
        lambda self: functools.partial(lambda x, of: of[0](x), of=[self.inner]),
        lambda self: mx.vmap(self.inner),
    ],
)
def test_functions_of_the_module_in_attributes_are_refused(make):
    with pytest.raises(ValueError, match="'call'"):
        compat.functionalize(Bound(call=make))
    outer = Nothing()
    outer.below = [Bound(call=make)]
    with pytest.raises(ValueError, match=r"'below\.0\.call'"):
        compat.functionalize(outer)


def test_functions_of_nothing_in_particular_are_kept():
    f, params = compat.functionalize(Bound(call=lambda self: mx.compile(lambda x: x * 2)))
    assert same(f(params, X), 2 * X)


def test_it_is_a_layer_among_layers():
    f, params = compat.functionalize(Noisy())
    model = nn.Sequential(f, nn.Linear(2, 3))
    all_params = {"layers": (params, nn.Linear(2, 3).init(random.key(0)))}
    assert model(all_params, X).shape == (3, 3)  # inference, as all of the model
    y, _ = model.apply(all_params, X, training=True, key=random.key(0))
    assert not same(y, model(all_params, X))
    with pytest.raises(TypeError, match="functionalize"):
        model.init(random.key(0))


def test_it_computes_in_the_dtypes_that_are_asked_for():
    class Told(Noisy):
        def __call__(self, x):
            dtypes.append((self.scale.dtype, x.dtype))
            self.scale = self.scale * 2
            return x * self.scale

    dtypes = []
    f, params = compat.functionalize(Told())
    y, updates = nn.mixed_precision(f, "bfloat16").apply(params, X, training=True)
    assert dtypes == [(fn.bfloat16, fn.bfloat16)]
    assert (y.dtype, updates["scale"].dtype) == (fn.float32, fn.float32)


def test_copies_of_the_function():
    f, params = compat.functionalize(Net().eval())
    assert same(copy.deepcopy(f)(params, X), f(params, X))
    g, params = compat.functionalize(mnn.Sequential(mnn.Linear(2, 3), mnn.BatchNorm(3)))
    again = pickle.loads(pickle.dumps(g))
    assert same(again(params, X), g(params, X))
    assert nn.trainable(again) == nn.trainable(g)


def test_errors_tell_the_array_and_the_module():
    f, params = compat.functionalize(Net().eval())
    with pytest.raises(ValueError, match=r"layers\.1\.(weight|bias)"):
        f(tree.map_with_path(lambda path, p: p, {**params, "layers": (params["layers"][0],)}), X)
    with pytest.raises(ValueError, match="Functional"):
        f(params, fn.ones((3, 7)))
    for wrong in (3, nn.Linear(2, 2), {}):
        with pytest.raises(TypeError, match="functionalize"):
            compat.functionalize(wrong)
    assert "Affine(2, 2)" in repr(f)
