"""Recurrent layers, attention, transformers, positions and quantised layers against MLX, where it is installed."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

mx = pytest.importorskip("mlx.core")
mlx_nn = pytest.importorskip("mlx.nn")

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def thaw(params):
    """Dicts and lists, which MLX expects."""
    if isinstance(params, (dict, fn.frozendict)):
        return {key: thaw(value) for key, value in params.items()}
    if isinstance(params, tuple):
        return [thaw(value) for value in params]
    return mx.array(np.asarray(params))


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def weighted(y, total):
    """A number that depends on every element of what a layer returns."""
    return sum(total(part * (i + 1.5) * part) for i, part in enumerate(outputs(y)))


def compare(ours, theirs, *args):
    """Values and gradients by parameters and arguments, with the same weights; None and text are passed as they are."""
    params = ours.init(random.key(0))
    from mlx.utils import tree_flatten

    assert sorted(k for k, _ in tree_flatten(theirs.parameters())) == sorted(tree.paths(params))
    theirs.update(thaw(params))
    numeric = [i for i, x in enumerate(args) if isinstance(x, np.ndarray) and x.dtype == np.float32]

    def given(make, some):
        found = [make(x) if isinstance(x, np.ndarray) else x for x in args]
        for i, x in zip(numeric, some, strict=True):
            found[i] = x
        return found

    def our_loss(params, *some):
        return weighted(ours(params, *given(fn.array, some)), fn.sum)

    def their_loss(params, *some):
        theirs.update(params)
        return weighted(theirs(*given(mx.array, some)), mx.sum)

    xs = [args[i] for i in numeric]
    for a, b in zip(
        outputs(ours(params, *given(fn.array, map(fn.array, xs)))),
        outputs(theirs(*given(mx.array, map(mx.array, xs)))),
        strict=True,
    ):
        close(a, b)
    which = tuple(range(len(xs) + 1))
    g = fn.grad(our_loss, argnums=which)(params, *map(fn.array, xs))
    h = mx.grad(their_loss, argnums=which)(thaw(params), *map(mx.array, xs))
    for path, value in tree_flatten(h[0]):
        scale = max(1.0, float(np.abs(np.asarray(value)).max(initial=0)))
        close(np.asarray(tree.get(g[0], path)) / scale, np.asarray(value) / scale)
    for a, b in zip(g[1:], h[1:], strict=True):
        scale = max(1.0, float(np.abs(np.asarray(b)).max(initial=0)))
        close(np.asarray(a) / scale, np.asarray(b) / scale)


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)], ids=str)
@pytest.mark.parametrize("given", [0, 1, 2])
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_recurrent(name, given, shape):
    if given > 1 and name != "LSTM":
        return
    states = [normal(*shape[:-2], 4) for _ in range(given)]
    for bias in (True, False):
        compare(getattr(nn, name)(3, 4, bias), getattr(mlx_nn, name)(3, 4, bias), normal(*shape), *states)


def test_recurrent_options():
    compare(nn.RNN(3, 4, nonlinearity=nn.relu), mlx_nn.RNN(3, 4, nonlinearity=mlx_nn.relu), normal(2, 5, 3))
    compare(nn.LSTM(3, 4), mlx_nn.LSTM(3, 4), normal(2, 5, 3), None, normal(2, 4))


# ---- attention and transformers

CAUSAL = np.triu(np.full((5, 5), -1e9, np.float32), 1)


@pytest.mark.parametrize("options", [{}, {"bias": True}], ids=str)
def test_attention(options):
    ours, theirs = nn.MultiHeadAttention(8, 2, **options), mlx_nn.MultiHeadAttention(8, 2, **options)
    for mask in (None, CAUSAL, normal(2, 2, 5, 5)):
        compare(ours, theirs, *(normal(2, 5, 8) for _ in range(3)), mask)
    sizes = (8, 2, 3, 5, 7, 4, 6)
    inputs = normal(2, 4, 3), normal(2, 5, 5), normal(2, 5, 7)
    compare(nn.MultiHeadAttention(*sizes), mlx_nn.MultiHeadAttention(*sizes), *inputs)
    for dtype in ("float32", "float16", "bfloat16"):
        mask = theirs.create_additive_causal_mask(4, getattr(mx, dtype)).astype(mx.float32)
        close(ours.create_additive_causal_mask(4, getattr(fn, dtype)).astype(fn.float32), mask)


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformers(norm_first):
    x, memory = normal(2, 5, 8), normal(2, 3, 8)
    options = {"mlp_dims": 6, "norm_first": norm_first}
    for name, count, args in [
        ("TransformerEncoderLayer", (), (x, CAUSAL)),
        ("TransformerDecoderLayer", (), (x, memory, CAUSAL, None)),
        ("TransformerEncoder", (2,), (x, CAUSAL)),
        ("TransformerDecoder", (2,), (x, memory, CAUSAL, None)),
    ]:
        ours, theirs = (getattr(m, name)(*count, 8, 2, **options, activation=m.gelu) for m in (nn, mlx_nn))
        compare(ours, theirs, *args)


@pytest.mark.parametrize("options", [{}, {"norm_first": False}, {"checkpoint": True}], ids=str)
def test_transformer(options):
    ours, theirs = (m.Transformer(8, 2, 1, 2, **options) for m in (nn, mlx_nn))
    compare(ours, theirs, normal(2, 3, 8), normal(2, 5, 8), None, CAUSAL, None)


# ---- positions


def test_rope():
    x = normal(2, 3, 5, 8)
    for options in ({}, {"traditional": True, "base": 100, "scale": 0.5}):
        for offset in (0, 7):
            compare(nn.RoPE(6, **options), mlx_nn.RoPE(6, **options), x, offset)


def test_sinusoidal():
    x = np.arange(20, dtype=np.float32) / 4
    for options in ({}, {"cos_first": True, "scale": 1.0}, {"full_turns": True, "min_freq": 0.01, "max_freq": 3.0}):
        for dims in (2, 4, 10):
            ours, theirs = (m.SinusoidalPositionalEncoding(dims, **options) for m in (nn, mlx_nn))
            close(ours({}, fn.array(x)), theirs(mx.array(x)), 2e-5)
    close(ours({}, fn.array([1, 2])), theirs(mx.array([1, 2])), 2e-5)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 20])
def test_alibi(heads):
    ours, theirs = nn.ALiBi(), mlx_nn.ALiBi()
    compare(ours, theirs, normal(2, heads, 3, 7), 4, normal(3, 7))
    close(ours.create_alibi_slope(heads), theirs.create_alibi_slope(heads))
    close(ours.create_alibi_matrix(5, 4, heads, 2), theirs.create_alibi_matrix(5, 4, heads, 2))
