"""Every layer of the shim as a function: the values and gradients of the module."""

import numpy as np
import pytest
from tests.compat.library import REAL, mx, utils
from tests.compat.library import nn as mnn
from tests.compat.nn.layer_calls import LAYERS, drawn

import funcnn as fn
from funcnn import compat, nn, random, tree

pytestmark = pytest.mark.skipif(REAL, reason="of funcnn alone")


def close(a, b):
    a, b = tree.leaves(a), tree.leaves(b)
    return len(a) == len(b) and all(fn.allclose(x, y, rtol=1e-5, atol=1e-5).item() for x, y in zip(a, b, strict=True))


def squares(tree_of_arrays):
    return sum(((x * x).astype(fn.float32).sum() for x in tree.leaves(tree_of_arrays)), fn.array(0.0))


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_and_its_function(name):
    call = LAYERS[name]
    given = [fn.array(x) if isinstance(x, np.ndarray) else x for x in call.arrays(name)]
    options = {
        key: fn.array(drawn(f"{name} {key}", x[1:], x[0])) if isinstance(x, tuple) and isinstance(x[0], str) else x
        for key, x in call.options.items()
    }
    mutable = compat._arrays.mutable
    layer = call.build(mnn, mx).eval()
    f, params = compat.functionalize(layer)
    assert close(f(params, *given, **options), layer(*mutable(given), **mutable(options)))
    trained = tree.filter(params, nn.trainable(f))
    if tree.leaves(trained):
        grads = fn.grad(lambda p: squares(f(p, *given, **options)), where=nn.trainable(f))(params)
        loss = mnn.value_and_grad(layer, lambda x, options: squares(layer(*x, **options)))
        expected = dict(utils.tree_flatten(loss(mutable(given), mutable(options))[1]))
        assert set(tree.paths(grads)) == set(expected)
        assert all(close(tree.get(grads, path), x) for path, x in expected.items())
    again = compat.modulize(f, params)
    assert repr(again) == repr(layer)
    assert close(again(*mutable(given), **mutable(options)), layer(*mutable(given), **mutable(options)))
    if call.trains:
        f, params = compat.functionalize(layer.train())
        first, updates = f.apply(params, *given, training=True, key=random.key(1), **options)
        second, _ = f.apply(params, *given, training=True, key=random.key(1), **options)
        assert close(first, second)
        layer(*mutable(given), **mutable(options))
        assert all(
            close(tree.get(updates, path), dict(utils.tree_flatten(layer))[path]) for path in tree.paths(updates)
        )
