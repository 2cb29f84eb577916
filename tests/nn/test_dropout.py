"""Dropout and its relatives in training: how many are dropped, what together, and what is left of the others."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random

KEY = random.key(0)


def dropped(layer, x, key=KEY):
    return np.asarray(layer.apply({}, x, training=True, key=key)[0])


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_the_mean_stays(p):
    for layer, shape in [
        (nn.Dropout(p), (200, 250)),
        (nn.Dropout2d(p), (200, 2, 1, 250)),
        (nn.Dropout3d(p), (200, 1, 1, 2, 250)),
    ]:
        values = dropped(layer, fn.ones(shape))
        assert abs((values == 0).mean() - p) < 0.01
        np.testing.assert_allclose(values[values != 0], 1 / (1 - p), rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout2d(0.5), (20, 3, 4, 50)),
        (nn.Dropout2d(0.5), (3, 4, 500)),
        (nn.Dropout3d(0.5), (20, 2, 3, 2, 50)),
        (nn.Dropout3d(0.5), (2, 3, 2, 500)),
    ],
)
def test_channels_are_dropped_whole_and_independently(layer, shape):
    spatial = 3 if isinstance(layer, nn.Dropout3d) else 2
    kept = dropped(layer, fn.ones(shape)) != 0
    batched = kept.reshape(-1, int(np.prod(shape[-spatial - 1 : -1])), shape[-1])
    assert np.all(batched == batched[:, :1])
    channels = batched[:, 0]
    assert 0.4 < channels.mean() < 0.6
    if len(channels) > 1:
        assert 0.4 < (channels[0] == channels[1]).mean() < 0.8 and np.any(channels[0] != channels[1])


def test_the_gradient_passes_where_the_value_did():
    x = random.normal(KEY, (4, 2, 2, 6))
    layer = nn.Dropout2d(0.5)
    y, g = fn.value_and_grad(lambda x: fn.sum(layer.apply({}, x, training=True, key=KEY)[0] ** 2))(x)
    kept = dropped(layer, x) != 0
    np.testing.assert_allclose(np.asarray(g), np.where(kept, 8 * np.asarray(x), 0), rtol=1e-6)
    # What is dropped may be infinite.
    values = dropped(nn.Dropout(0.5), fn.full((100,), float("inf")))
    assert set(values.tolist()) == {0.0, float("inf")} and np.isfinite(y.item())


def test_inference_and_a_probability_of_zero():
    x = fn.ones((2, 3, 3, 4))
    for layer in (nn.Dropout(), nn.Dropout2d()):
        assert layer({}, x).tolist() == x.tolist()
        assert type(layer)(0.0).apply({}, x, training=True)[0].tolist() == x.tolist()
        with pytest.raises(ValueError, match=f"in {type(layer).__name__}: random numbers are needed here"):
            layer.apply({}, x, training=True)


@pytest.mark.parametrize("training", [False, True])
def test_other_axes_are_refused(training):
    for layer, shape, message in [
        (nn.Dropout2d(), (3, 4), r"in Dropout2d: expected \(N, H, W, C\) or \(H, W, C\), got \(3, 4\)"),
        (nn.Dropout2d(0.0), (1, 1, 1, 3, 4), r"expected \(N, H, W, C\)"),
        (nn.Dropout3d(), (3, 4, 2), r"in Dropout3d: expected \(N, D, H, W, C\) or \(D, H, W, C\), got \(3, 4, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer.apply({}, fn.ones(shape), training=training, key=KEY)
