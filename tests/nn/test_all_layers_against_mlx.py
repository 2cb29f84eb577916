"""Every layer that MLX has, with the same weights and inputs: forward, in training too, and gradients."""

import numpy as np
import pytest
from layer_specs import SPECS
from test_all_layers import close, floats_first, is_float, scalar

import funcnn as fn
from funcnn import tree
from nn.specs.rows import plain

mx = pytest.importorskip("mlx.core")
mlx_nn = pytest.importorskip("mlx.nn")

THEIRS = [spec for spec in SPECS if spec.mlx]


def theirs(nest):
    """The same tree with arrays of MLX."""
    return tree.map(lambda x: mx.array(np.asarray(x)) if isinstance(x, (np.ndarray, fn.array)) else x, nest)


def back(nest):
    """The same tree with arrays of NumPy."""
    return plain(nest, lambda x: np.asarray(x) if isinstance(x, mx.array) else x)


def call_of(spec):
    return spec.mlx_call or (lambda layer, *args, **keywords: layer(*args, **keywords))


def weights(spec, params):
    nest = plain(params, lambda x: x)
    return theirs(spec.mlx_params(nest) if spec.mlx_params else nest)


@pytest.mark.parametrize("spec", THEIRS, ids=lambda spec: spec.name)
def test_values(spec):
    params, layer = spec.params(), spec.mlx(mlx_nn)
    from mlx.utils import tree_flatten

    mine, given = spec.numpy_inputs(), spec.numpy_keywords()
    args, keywords = spec.arguments()
    expected = weights(spec, params)
    # No parameter of theirs is left as they drew it.
    assert sorted(k for k, _ in tree_flatten(layer.parameters())) == sorted(k for k, _ in tree_flatten(expected))
    layer.update(expected)
    layer.eval()
    wanted = back(call_of(spec)(layer, *theirs(mine), **theirs(given)))
    close(plain(spec.layer(params, *args, **keywords)), wanted, spec.tolerance)
    if not spec.needs_key:
        layer.train()
        y, updates = spec.layer.apply(params, *args, training=True, **keywords)
        close(plain(y), back(call_of(spec)(layer, *theirs(mine), **theirs(given))), spec.tolerance)
        after = weights(spec, tree.merge(params, updates))
        close(back(dict(tree_flatten(layer.parameters()))), back(dict(tree_flatten(after))), spec.tolerance)


@pytest.mark.parametrize("spec", [spec for spec in THEIRS if spec.differentiable], ids=lambda spec: spec.name)
def test_gradients(spec):
    params, layer = spec.params(), spec.mlx(mlx_nn)
    args, keywords = spec.arguments()
    values, put = floats_first((params, args))
    given = theirs(spec.numpy_keywords())
    layer.eval()

    def their_scalar(y):
        total = mx.array(0.0)
        for i, leaf in enumerate(tree.leaves(plain(y, lambda x: x))):
            if mx.issubdtype(leaf.dtype, mx.floating):
                total = total + mx.sum(leaf * mx.cos(mx.arange(leaf.size).reshape(leaf.shape) + float(i)))
        return total

    def their_loss(leaves):
        nest, inputs = tree.unflatten(treedef, leaves)
        layer.update(spec.mlx_params(nest) if spec.mlx_params else nest)
        return their_scalar(call_of(spec)(layer, *inputs, **given))

    leaves, treedef = tree.flatten((plain(params, lambda x: x), args))
    places = [i for i, x in enumerate(leaves) if is_float(x)]
    leaves = theirs(leaves)

    def of_floats(values):
        changed = list(leaves)
        for i, value in zip(places, values, strict=True):
            changed[i] = value
        return their_loss(changed)

    grads = fn.grad(lambda v: scalar(spec.layer(put(v)[0], *put(v)[1], **keywords)))(values)
    wanted = mx.grad(of_floats)([leaves[i] for i in places])
    close(list(grads), back(wanted), spec.tolerance)
