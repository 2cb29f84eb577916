"""No call changes its arguments, and equal arguments give equal results: layers, optimisers, trees, losses, transformations.

What a call is given is compared with a snapshot to the last bit, leaves by identity too; it is called a second time with
copies, whose arrays are others.
"""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcnn as fn
from funcnn import nn, optim, random, testing, tree

KEY = random.key(3)
FEW = settings(max_examples=25)


def copied(t):
    """An equal tree whose arrays are others."""
    return tree.map(lambda x: fn.array(np.asarray(x)) if isinstance(x, fn.array) and plain(x) else copy.copy(x), t)


def plain(x):
    return x.dtype not in (fn.bfloat16, fn.float64)


def snapshot(t):
    """What a tree is made of now, of containers that nobody else holds."""
    leaves, treedef = tree.flatten(t)
    return treedef, leaves, copied(tree.unflatten(treedef, leaves))


def assert_pure(call, *args):
    """Call twice, with the arguments and with copies, and compare."""
    treedef, leaves, before = snapshot(args)
    again = copied(args)
    first = evaluated(call(*args))
    assert tree.structure(args) == treedef
    assert all(x is y for x, y in zip(tree.leaves(args), leaves, strict=True))
    testing.assert_trees_equal(args, before)
    testing.assert_trees_equal(evaluated(call(*again)), first)
    return first


def evaluated(t):
    """The tree, computed at once: what is computed together is fused, which decides the last bit."""
    fn.eval([x for x in tree.leaves(t) if isinstance(x, fn.array)])
    return t


# ---- layers


@FEW
@given(st.data(), testing.layers(3), st.booleans(), st.booleans())
def test_layers(data, layer, training, as_dicts):
    params = data.draw(testing.params_for(layer))
    x = data.draw(testing.arrays(fn.float32, (4, 3), min_value=-3, max_value=3))
    if as_dicts:  # which anybody might change
        params = thawed(params)

    def apply(layer, params, x):
        return layer.apply(params, x, training=training, key=KEY)

    hash_before, text = hash(layer), repr(layer)
    first = assert_pure(lambda params, x: apply(layer, params, x), params, x)
    testing.assert_trees_equal(apply(copy.deepcopy(layer), params, x), first)
    assert (hash(layer), repr(layer)) == (hash_before, text)
    testing.assert_trees_equal(layer.init(random.key(5)), layer.init(random.key(5)))
    if not training:
        testing.assert_trees_equal(layer(params, x), first[0])


def thawed(t):
    if isinstance(t, fn.frozendict):
        return {key: thawed(value) for key, value in t.items()}
    return [thawed(value) for value in t] if isinstance(t, tuple) else t


# ---- optimisers


@FEW
@given(st.data(), testing.optimizers())
def test_optimizers(data, opt):
    floats = testing.arrays(fn.float32, testing.shapes(max_dims=2, max_side=2), min_value=-2, max_value=2)
    names = st.sampled_from(["weight", "bias", "a.b", ""])
    params = data.draw(testing.trees(floats, min_leaves=1, max_leaves=3, keys=names, containers=[dict, tuple, None]))
    of = {"leaves": lambda leaf: testing.arrays(leaf.dtype, leaf.shape, min_value=-2, max_value=2)}
    grads, others = (data.draw(testing.trees_like(params, **of)) for _ in range(2))
    state = assert_pure(opt.init, params)
    delta, state = assert_pure(opt.update, grads, state, params)
    params = assert_pure(optim.apply_updates, params, delta)
    assert_pure(opt.update, others, state, params)


# ---- trees


def masked(t):
    return tree.map(lambda x: x.ndim == 0, t)


FUNCTIONS_OF_TREES = {
    "flatten": tree.flatten,
    "flatten_with_path": tree.flatten_with_path,
    "leaves_with_path": tree.leaves_with_path,
    "paths": tree.paths,
    "map": lambda t: tree.map(lambda x: x.astype(fn.float32) if fn.isdtype(x.dtype, "integral") else x, t),
    "map_with_path": lambda t: tree.map_with_path(lambda path, x: (path, x.shape), t),
    "partition": lambda t: tree.partition(t, masked(t)),
    "merge": lambda t: tree.merge(*tree.partition(t, masked(t))),
    "filter": lambda t: tree.filter(t, lambda path, x: path.endswith("b")),
    "set": lambda t: [tree.set(t, path, 1) for path in tree.paths(t)],
    "get": lambda t: [tree.get(t, path) for path in tree.paths(t)],
    "stack": lambda t: tree.stack([t, t]),
    "unstack": lambda t: tree.unstack(tree.stack([t, t])) if tree.leaves(t) else (),
    "ravel": lambda t: tree.ravel(t)[0],
    "zeros_like": tree.zeros_like,
    "ones_like": tree.ones_like,
    "diff": lambda t: [str(d) for d in tree.diff(t, masked(t))],
    "count": tree.count,
    "nbytes": tree.nbytes,
    "equal": lambda t: tree.equal(t, t),
    "reduce": lambda t: tree.reduce(lambda n, x: n + x.size, t, 0),
    "broadcast_prefix": lambda t: tree.broadcast_prefix(0, t),
    "unravel": lambda t: tree.ravel(t)[1](tree.ravel(t)[0]),
}


@pytest.mark.parametrize("name", FUNCTIONS_OF_TREES)
@settings(max_examples=20)
@given(t=testing.trees(max_leaves=4))
def test_functions_of_trees(name, t):
    assert_pure(FUNCTIONS_OF_TREES[name], t)


# ---- losses

LOGITS = testing.arrays(fn.float32, (3, 4), min_value=-5, max_value=5)
POSITIVE = testing.arrays(fn.float32, (3, 4), min_value=0.125, max_value=0.875)
CLASSES = testing.arrays(fn.int32, 3, min_value=0, max_value=3)
SIGNS = testing.arrays(fn.float32, (3, 4), min_value=-1, max_value=1).map(lambda x: fn.where(x < 0, -1.0, 1.0))
LOSSES = {
    "cross_entropy": (LOGITS, CLASSES),
    "binary_cross_entropy": (LOGITS, POSITIVE),
    "l1_loss": (LOGITS, LOGITS),
    "mse_loss": (LOGITS, LOGITS),
    "nll_loss": (LOGITS, CLASSES),
    "gaussian_nll_loss": (LOGITS, LOGITS, POSITIVE),
    "kl_div_loss": (LOGITS, LOGITS),
    "smooth_l1_loss": (LOGITS, LOGITS),
    "triplet_loss": (LOGITS, LOGITS, LOGITS),
    "hinge_loss": (LOGITS, SIGNS),
    "huber_loss": (LOGITS, LOGITS),
    "log_cosh_loss": (LOGITS, LOGITS),
    "cosine_similarity_loss": (LOGITS, LOGITS),
    "margin_ranking_loss": (LOGITS, LOGITS, SIGNS),
}


def test_every_loss_is_among_them():
    public = {name for name in dir(nn.losses) if name.endswith(("_loss", "_entropy")) and name[0] != "_"}
    assert public == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["none", "sum"])
@settings(max_examples=5)
@given(data=st.data())
def test_losses(name, reduction, data):
    loss = getattr(nn.losses, name)
    args = [data.draw(strategy) for strategy in LOSSES[name]]
    assert_pure(lambda *args: loss(*args, reduction=reduction), *args)
    if reduction == "sum":
        assert_pure(lambda *args: fn.value_and_grad(lambda x: loss(x, *args[1:], reduction="sum"))(args[0]), *args)


# ---- transformations


def model(params, x):
    return fn.tanh(sum((fn.sum(leaf * leaf) for leaf in tree.leaves(params)), start=fn.array(0.0)) * 0.01 + x)


TRANSFORMATIONS = {
    "grad": lambda p, x: fn.grad(lambda p: model(p, x).sum())(p),
    "value_and_grad": lambda p, x: fn.value_and_grad(lambda p: model(p, x).sum())(p),
    "vjp": lambda p, x: fn.vjp(lambda p: model(p, x), p)[1](fn.ones_like(x)),
    "jvp": lambda p, x: fn.jvp(lambda p: model(p, x), (p,), (p,)),
    "vmap": lambda p, x: fn.vmap(model, in_axes=(None, 0))(p, x),
    "checkpoint": lambda p, x: fn.grad(lambda p: fn.checkpoint(model)(p, x).sum())(p),
    "compile": lambda p, x: fn.compile(model)(p, x),
    "scan": lambda p, x: fn.scan(lambda c, row: (c + model(p, row).sum(), c), fn.array(0.0), x),
    "cond": lambda p, x: fn.cond(x.sum() > 0, model, lambda p, x: x, p, x),
    "while_loop": lambda p, x: fn.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, model(p, c[1])), (0, x)),
    "twice": lambda p, x: fn.grad(
        lambda p: sum(fn.sum(g) for g in tree.leaves(fn.grad(lambda p: model(p, x).sum())(p)))
    )(p),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@settings(max_examples=8)
@given(data=st.data())
def test_transformations(name, data):
    floats = testing.arrays(fn.float32, testing.shapes(max_dims=2, max_side=2), min_value=-2, max_value=2)
    params = data.draw(testing.trees(floats, min_leaves=1, max_leaves=3))
    x = data.draw(testing.arrays(fn.float32, (2, 3), min_value=-2, max_value=2))
    assert_pure(TRANSFORMATIONS[name], params, x)


def test_changes_and_chance_are_caught():
    calls = []

    def replaces(t):
        t["a"] = fn.ones(2)

    def adds(t):
        t["b"] = 1

    def counts(t):
        calls.append(t)
        return t["a"] + len(calls)

    for impure in (replaces, adds, counts):
        with pytest.raises(AssertionError):
            assert_pure(impure, {"a": fn.zeros(2)})
    with pytest.raises(AssertionError):
        assert_pure(lambda t: t["n"].__setitem__(0, 7), {"n": np.zeros(2)})
