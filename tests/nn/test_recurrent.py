"""RNN, GRU, LSTM and Bidirectional beside what the table of layers tests."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

D, H = 3, 4


LAYERS = [(nn.RNN, 1), (nn.GRU, 1), (nn.LSTM, 2)]


def as_tuple(y):
    return y if isinstance(y, tuple) else (y,)


def close(a, b, tolerance=1e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind, count", LAYERS)
def test_parts_of_a_sequence_continue_each_other(kind, count):
    layer = kind(D, H)
    params = layer.init(random.key(0))
    x = random.normal(random.key(1), (2, 6, D))
    whole = as_tuple(layer(params, x))
    first = as_tuple(layer(params, x[:, :2]))
    nothing = layer(params, x[:, 2:2], *(s[:, -1] for s in first))
    assert all(s.shape == (2, 0, H) for s in as_tuple(nothing))
    rest = as_tuple(layer(params, x[:, 2:], *(s[:, -1] for s in first)))
    for a, b, c in zip(whole, first, rest, strict=True):
        close(a, fn.concatenate([b, c], axis=1))


@pytest.mark.parametrize("kind, count", LAYERS)
def test_without_bias(kind, count):
    layer = kind(D, H, bias=False)
    params = layer.init(random.key(0))
    assert all(name.startswith("W") for name in params)
    full = kind(D, H).init(random.key(0))
    zero = {name: params[name] if name in params else fn.zeros_like(value) for name, value in full.items()}
    x = random.normal(random.key(1), (5, D))
    for a, b in zip(as_tuple(layer(params, x)), as_tuple(kind(D, H)(zero, x)), strict=True):
        close(a, b)


@pytest.mark.parametrize("kind, count", LAYERS)
def test_states_keep_their_precision(kind, count):
    """A state wider than the rest decides the dtype, and no step rounds it."""
    layer = kind(D, H)
    params = tree.map(lambda p: p.astype(fn.bfloat16), layer.init(random.key(0)))
    x = random.normal(random.key(1), (2, 5, D), fn.bfloat16)
    assert all(y.dtype == fn.bfloat16 for y in as_tuple(layer(params, x)))
    wide = as_tuple(layer(params, x, *[fn.zeros((2, H))] * count))
    assert all(y.dtype == fn.float32 for y in wide)
    again = as_tuple(layer(tree.map(lambda p: p.astype(fn.float32), params), x))
    for a, b in zip(wide, again, strict=True):
        close(a, b, 2e-2)  # the gates of the input are rounded
    assert as_tuple(layer(params, fn.ones((2, 5, D), fn.int32)))[0].dtype == fn.bfloat16


def test_weights_wider_than_the_input():
    layer = nn.GRU(D, H)
    params = layer.init(random.key(0))
    mixed = params | {"Wh": params["Wh"].astype(fn.float64)}
    assert layer(mixed, fn.ones((5, D))).dtype == fn.float64


def test_nonlinearity():
    layer, x = nn.RNN(D, H, nonlinearity=nn.relu), random.normal(random.key(1), (5, D))
    assert repr(layer) == f"RNN({D}, {H}, nonlinearity=relu)" and repr(nn.RNN(D, H)) == f"RNN({D}, {H})"
    assert nn.RNN(D, H, nonlinearity=None) == nn.RNN(D, H)

    trained = nn.RNN(D, H, nonlinearity=nn.PReLU())
    params = trained.init(random.key(0))
    grads = fn.grad(lambda p: fn.sum(trained(p, x)))(params)
    assert grads["nonlinearity"]["weight"].item() != 0
    with pytest.raises(TypeError, match="RNN: nonlinearity must be a function or a layer, got 'tanh'"):
        nn.RNN(D, H, nonlinearity="tanh")


def test_bidirectional_layers_have_parameters_of_their_own():
    layer = nn.Bidirectional(nn.LSTM(D, H))
    assert layer == nn.Bidirectional(nn.LSTM(D, H), nn.LSTM(D, H)) and repr(layer) == f"Bidirectional(LSTM({D}, {H}))"
    params = layer.init(random.key(0))
    assert not fn.array_equal(params["forward"]["Wx"], params["backward"]["Wx"])
    _, c = layer(params, fn.ones((2, 5, D)), cell=fn.ones((2, 2 * H)))
    assert not fn.array_equal(c, layer(params, fn.ones((2, 5, D)))[1])


def test_bidirectional_over_layers_of_ones_own():
    class Sums(nn.Layer):
        def __call__(self, params, x):
            return fn.cumsum(x, axis=-2)

    y = nn.Bidirectional(Sums())({"forward": {}, "backward": {}}, fn.array([[1.0], [2.0], [4.0]]))
    assert y.tolist() == [[1.0, 7.0], [3.0, 6.0], [7.0, 4.0]]
    with pytest.raises(ValueError, match=r"initial states need layers with a hidden_size, got .*Sums"):
        nn.Bidirectional(Sums())({"forward": {}, "backward": {}}, fn.ones((3, 1)), fn.ones(2))


def test_initial_distribution():
    params = nn.LSTM(50, 64).init(random.key(0))
    for value in params.values():
        values = np.asarray(value)
        assert np.abs(values).max() <= 1 / 8 and abs(values.std() * 8 - 3**-0.5) < 0.05
    assert not np.array_equal(np.asarray(params["Wx"])[:, :50], np.asarray(params["Wh"])[:, :50])


def test_derivative_of_a_long_sequence_stays_in_range():
    """Saturated gates and large states give zeros, not NaN."""
    layer = nn.LSTM(D, H)
    params = tree.map(lambda p: p * 1e4, layer.init(random.key(0)))
    x = random.normal(random.key(1), (50, D)) * 1e4
    grads = fn.grad(lambda p: fn.sum(layer(p, x, cell=fn.full(H, 1e30))[0]))(params)
    assert all(fn.all(fn.isfinite(g)).item() for g in tree.leaves(grads))


def test_refusals():
    layer = nn.GRU(D, H)
    params = layer.init(random.key(0))
    with pytest.raises(ValueError, match=r"in GRU: expected a sequence \(..., L, 3\), got \(2, 5, 4\)"):
        layer(params, fn.ones((2, 5, 4)))
    with pytest.raises(ValueError, match="expected a sequence"):
        layer(params, fn.ones(D))
    with pytest.raises(
        ValueError, match=r"hidden: a sequence of shape \(2, 5, 3\) starts from a state \(2, 4\), got \(4,\)"
    ):
        layer(params, fn.ones((2, 5, D)), fn.ones(H))
    with pytest.raises(TypeError, match="hidden: expected real floating-point numbers, got int32"):
        layer(params, fn.ones((5, D)), fn.ones(H, fn.int32))
    with pytest.raises(TypeError, match="expected real numbers, got complex64"):
        layer(params, fn.ones((5, D), fn.complex64))
    with pytest.raises(ValueError, match=r"GRU: hidden_size must be an integer of at least 0, got -1"):
        nn.GRU(D, -1)
    with pytest.raises(ValueError, match=r"cell: a sequence .* starts from a state \(4,\), got \(5,\)"):
        nn.LSTM(D, H)(nn.LSTM(D, H).init(random.key(0)), fn.ones((5, D)), cell=fn.ones(5))
    both = nn.Bidirectional(nn.GRU(D, H))
    with pytest.raises(ValueError, match=r"expected \(..., 4 \+ 4\), the states of both layers, got \(4,\)"):
        both(both.init(random.key(0)), fn.ones((5, D)), fn.ones(H))
    with pytest.raises(ValueError, match=r"in forward \(GRU\): expected a sequence"):
        both(both.init(random.key(0)), fn.ones((5, 2)))
    with pytest.raises(TypeError, match="Bidirectional: forward must be a layer, got 3"):
        nn.Bidirectional(3)
