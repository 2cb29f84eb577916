"""Modules of any structure become functions and modules again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compat.library import REAL, mx
from tests.compat.library import nn as mnn

import funcnn as fn
from funcnn import compat, nn, tree

pytestmark = pytest.mark.skipif(REAL, reason="of funcnn alone")

names = st.sampled_from(["a", "b", "c", "_d", "weight"])
arrays = st.tuples(st.just("array"), st.integers(1, 3), st.integers(-4, 4))
others = st.tuples(st.just("plain"), st.sampled_from([None, 3, "text"]))
shared = st.tuples(st.just("shared"), st.integers(0, 5))
values = st.recursive(
    st.one_of(arrays, arrays, others, shared),
    lambda inner: st.one_of(
        st.tuples(st.just("module"), st.dictionaries(names, inner, max_size=3), st.booleans(), st.sets(names)),
        st.tuples(st.just("list"), st.lists(inner, max_size=3)),
        st.tuples(st.just("tuple"), st.lists(inner, max_size=2)),
        st.tuples(st.just("dict"), st.dictionaries(names, inner, max_size=2)),
    ),
    max_leaves=8,
)
models = st.tuples(st.just("module"), st.dictionaries(names, values, min_size=1), st.booleans(), st.sets(names))


class Any(mnn.Module):
    """The sum of the squares of all parameters, and a count of its calls in one of them."""

    def __call__(self, scale):
        if "count" in self:
            self.count = self.count + 1
        leaves = [x for _, x in compat.utils.tree_flatten(self.parameters())]
        return sum((mx.square(x.astype(mx.float32)).sum() for x in leaves), mx.array(0.0)) * scale


def built(value, modules):
    kind, *content = value
    if kind == "array":
        return mx.arange(content[0]).astype(mx.float32) + content[1]
    if kind == "plain":
        return content[0]
    if kind == "shared":
        return modules[content[0] % len(modules)] if modules else None
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](built(item, modules) for item in content[0])
    if kind == "dict":
        return {name: built(item, modules) for name, item in content[0].items()}
    made = Any()
    for name, item in content[0].items():
        setattr(made, name, built(item, modules))
    made.train(content[1])
    made.freeze(recurse=False, keys=sorted(content[2]))
    modules.append(made)
    return made


def seen(value, order):
    """What a module is, with what is shared in it."""
    if isinstance(value, fn.array):
        return type(value), value.tolist()
    if isinstance(value, mnn.Module):
        if id(value) in order:
            return "shared", order[id(value)]
        order[id(value)] = len(order)
        return type(value), vars(value), [(key, seen(item, order)) for key, item in value.items()]
    if isinstance(value, dict):
        return [(key, seen(item, order)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value)(seen(item, order) for item in value)
    return value


@given(models)
@settings(max_examples=60)
def test_there_and_back(spec):
    model = built(spec, [])
    before = seen(model, {})
    f, params = compat.functionalize(model)
    again = compat.modulize(f, params)
    assert seen(again, {}) == before
    assert seen(model, {}) == before
    paths = [path for path, _ in compat.utils.tree_flatten(model.parameters())]
    assert set(tree.paths(params)) <= set(paths)
    same, arrays = compat.functionalize(again)
    assert tree.structure(arrays) == tree.structure(params)
    assert set(tree.paths(tree.filter(arrays, nn.trainable(same)))) == set(
        tree.paths(tree.filter(params, nn.trainable(f)))
    )


@given(models)
@settings(max_examples=30)
def test_values_updates_and_gradients(spec):
    model = built(spec, [])
    model.count = mx.array(0)
    model.freeze(recurse=False, keys="count")
    before = seen(model, {})
    f, params = compat.functionalize(model)
    expected = model(3.0)
    assert f(params, 3.0).item() == expected.item()
    y, updates = f.apply(params, 3.0, training=True)
    assert (y.item(), updates["count"].item(), len(tree.leaves(updates))) == (expected.item(), 1, 1)
    model.count = mx.array(0)
    assert seen(model, {}) == before
    trained = tree.filter(params, nn.trainable(f))
    if tree.leaves(trained):
        grads = fn.grad(lambda p: f(p, 3.0), where=nn.trainable(f))(params)
        occurrences = [id(x) for _, x in compat.utils.tree_flatten(model.parameters())]
        for path in tree.paths(trained):
            times = occurrences.count(id(at(model, path)))
            assert fn.allclose(tree.get(grads, path), 6 * times * tree.get(params, path)).item()


def at(model, path):
    return dict(compat.utils.tree_flatten(model.parameters()))[path]
