"""GroupNorm and InstanceNorm beyond the table of layers: numbers that are hard to normalise, and refusals."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random
from widest import float64_of

KEY = random.key(0)
LAYERS = [nn.InstanceNorm(2), nn.GroupNorm(2, 2), nn.GroupNorm(2, 2, pytorch_compatible=True)]


def normalise(layer, x):
    return float64_of(layer(layer.init(KEY), fn.array(x)))


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
class TestHardNumbers:
    def test_squares_that_overflow_float16(self, layer):
        x = np.where(np.indices((4, 4, 4)).sum(0) % 2, -512, 512)[None, ..., None].repeat(2, -1)
        y = normalise(layer, x.astype(np.float16))
        np.testing.assert_allclose(y, x / 512, rtol=1e-3)

    def test_a_mean_much_larger_than_the_spread(self, layer):
        rng = np.random.default_rng(0)
        x = (1e4 + rng.integers(-4, 5, (2, 50, 2)) / 64).astype(np.float32)
        wide = x.astype(np.float64)
        wanted = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
        # The mean is good to units in its last place, of 0.001; the spread is 0.04.
        np.testing.assert_allclose(normalise(layer, x), wanted, atol=0.05)

    def test_constants_have_finite_gradients(self, layer):
        params = layer.init(KEY)
        for shape in [(3, 5, 2), (3, 1, 2), (1, 1, 2)]:
            x = fn.full(shape, 7.0)
            assert not np.any(normalise(layer, np.asarray(x)))
            grads = fn.grad(lambda x: fn.sum(layer(params, x) * fn.arange(2.0)))(x)
            assert np.all(np.isfinite(np.asarray(grads)))

    def test_samples_and_groups_are_apart(self, layer):
        x = np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32)
        broken = x.copy()
        broken[0, 0, 0] = np.nan
        y = normalise(layer, broken)
        assert np.all(np.isnan(y[0, :, 0])) and np.all(np.isfinite(y[1])) and np.all(np.isfinite(y[0, :, 1]))

    def test_nothing_and_integers(self, layer):
        params = layer.init(KEY)
        for shape in [(0, 5, 2), (3, 0, 2)]:
            x = fn.ones(shape)
            assert layer(params, x).shape == shape
            assert fn.grad(lambda x: fn.sum(layer(params, x)))(x).shape == shape
        y = layer(params, fn.array([[[1, 5], [3, 9]]]))
        assert y.dtype == fn.float32 and np.allclose(np.asarray(y), [[[-1, -1], [1, 1]]], atol=1e-5)


def test_groups_of_either_kind():
    x = fn.arange(8.0).reshape(1, 2, 4) ** 2
    neighbours = normalise(nn.GroupNorm(2, 4, pytorch_compatible=True), x)
    apart = normalise(nn.GroupNorm(2, 4), x)
    np.testing.assert_allclose(neighbours[..., :2], normalise(nn.GroupNorm(1, 2), x[..., :2]), rtol=1e-5)
    np.testing.assert_allclose(apart[..., ::2], normalise(nn.GroupNorm(1, 2), x[..., ::2]), rtol=1e-5)
    for compatible in (False, True):  # one group is layer norm over everything, as many as features instance norm
        one, all_ = (nn.GroupNorm(n, 4, pytorch_compatible=compatible) for n in (1, 4))
        np.testing.assert_allclose(
            normalise(one, x), normalise(nn.LayerNorm(8), x.reshape(1, 8)).reshape(1, 2, 4), 1e-5
        )
        np.testing.assert_allclose(normalise(all_, x), normalise(nn.InstanceNorm(4), x), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.GroupNorm(3, 4), ValueError, "GroupNorm: dims must be divisible by num_groups, got 4 and 3"),
        (lambda: nn.GroupNorm(0, 4), ValueError, "GroupNorm: num_groups must be an integer of at least 1, got 0"),
        (lambda: nn.GroupNorm(2, 4, -1.0), ValueError, "GroupNorm: eps"),
        (lambda: nn.GroupNorm(2, 4, pytorch_compatible="yes"), TypeError, "pytorch_compatible must be True or False"),
        (lambda: nn.InstanceNorm(4, True), TypeError, "InstanceNorm: eps must be a number of at least 0, got True"),
        (lambda: normalise(nn.GroupNorm(2, 4), np.ones(4)), ValueError, r"in GroupNorm: expected \(N, ..., 4\), got"),
        (lambda: normalise(nn.GroupNorm(2, 4), np.ones((3, 2))), ValueError, r"expected \(N, ..., 4\), got \(3, 2\)"),
        (
            lambda: normalise(nn.InstanceNorm(4), np.ones((3, 4))),
            ValueError,
            r"in InstanceNorm: expected \(N, ..., 4\) with at least 3 axes, got \(3, 4\)",
        ),
        (
            lambda: normalise(nn.GroupNorm(1, 2), np.ones((3, 2)) * 1j),
            TypeError,
            "expected real numbers, got complex64",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
