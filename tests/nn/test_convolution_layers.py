"""Convolution and pooling layers beyond the table of layers: initial values, shapes, refusals."""

import math

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random

KEY = random.key(0)
INVERSE = {
    nn.Conv1d: nn.ConvTranspose1d,
    nn.Conv2d: nn.ConvTranspose2d,
    nn.Conv3d: nn.ConvTranspose3d,
}


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(6, 32, 5, groups=2), (32, 5, 3)),
        (nn.Conv2d(3, 64, (3, 5)), (64, 3, 5, 3)),
        (nn.Conv3d(4, 16, 2, groups=2), (16, 2, 2, 2, 2)),
        (nn.ConvTranspose1d(8, 64, 3), (64, 3, 8)),
        (nn.ConvTranspose2d(4, 16, 3, groups=2), (16, 3, 3, 2)),
        (nn.ConvTranspose3d(2, 16, (1, 2, 3)), (16, 1, 2, 3, 2)),
    ],
)
def test_initial_weights_are_uniform_within_the_root_of_the_fan(layer, shape):
    params = layer.init(KEY)
    assert sorted(params) == ["bias", "weight"] and params["weight"].shape == shape
    assert params["bias"].tolist() == [0.0] * shape[0]
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    w = np.asarray(params["weight"])
    assert np.abs(w).max() <= bound and np.abs(w).max() > 0.9 * bound
    assert abs(w.std() - bound / math.sqrt(3)) < 0.1 * bound and abs(w.mean()) < 0.1 * bound
    assert "bias" not in type(layer)(4, 4, 1, bias=False).init(KEY)


@pytest.mark.parametrize("kind", INVERSE)
@pytest.mark.parametrize("length", range(9, 13))
def test_transposition_is_what_convolution_does_to_gradients(kind, length):
    n, stride, padding, dilation = kind._spatial, 3, 1, 2
    layer = kind(2, 3, 3, stride=stride, padding=padding, dilation=dilation, bias=False)
    x = fn.ones((1, *(length,) * n, 2))
    params = layer.init(KEY)
    y, back = fn.vjp(lambda x: layer(params, x), x)
    # `stride` lengths are mapped to one; the output padding says which it was.
    more = (length + 2 * padding - dilation * 2 - 1) % stride
    inverse = INVERSE[kind](3, 2, 3, stride=stride, padding=padding, dilation=dilation, output_padding=more, bias=False)
    g = random.normal(random.key(1), y.shape)
    weight = fn.swapaxes(params["weight"], 0, -1)
    np.testing.assert_allclose(np.asarray(inverse({"weight": weight}, g)), np.asarray(back(g)[0]), rtol=1e-4, atol=1e-5)


def test_depthwise_channels_do_not_mix():
    layer = nn.Conv2d(4, 8, 3, padding=1, groups=4)
    params = layer.init(KEY)
    x = random.normal(random.key(1), (1, 5, 5, 4))
    moved = np.asarray(layer(params, x.at[..., 2].add(1.0)) - layer(params, x))
    assert np.all(moved[..., [0, 1, 2, 3, 6, 7]] == 0) and np.all(moved[..., 4:6].any((0, 1, 2)))


def test_empty_batches_channels_and_results():
    for shape, layer in [((0, 5, 5, 3), nn.Conv2d(3, 4, 3)), ((2, 5, 5, 0), nn.Conv2d(0, 4, 3))]:
        y = layer(layer.init(KEY), fn.ones(shape))
        assert y.shape == (shape[0], 3, 3, 4) and not np.any(np.asarray(y))
    layer = nn.Conv2d(3, 0, 3)
    assert layer(layer.init(KEY), fn.ones((2, 5, 5, 3))).shape == (2, 3, 3, 0)


def test_lists_numbers_of_numpy_and_pairs():
    layer = nn.Conv2d(np.int64(3), 4, [3, np.int32(3)], stride=(np.int64(2), 1))
    assert layer == nn.Conv2d(3, 4, (3, 3), stride=(2, 1)) and repr(layer) == "Conv2d(3, 4, (3, 3), stride=(2, 1))"
    assert hash(nn.MaxPool2d([2, 3])) == hash(nn.MaxPool2d((2, 3)))
    assert nn.Conv3d(3, 4, 3, 1, 0, 1, False).bias is False  # MLX's order


@pytest.mark.parametrize("options", ["(1, 3), (3, 1), (0, 1)", "(2, 5), (3, 4)", "(2, 3), (5, 7)"])
@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_windows_that_are_alone_on_an_axis(kind, options):
    """Behind the only window of an axis there may be elements: a step of another length would find one more."""
    pool = eval(f"kind({options})", {"kind": kind})
    x = fn.array(np.random.default_rng(0).permutation(2 * 3 * 6 * 2).reshape(2, 1, 3, 6, 2).astype(np.float32))

    def derivative(x):
        return fn.grad(lambda y: (pool({}, y) ** 2).sum())(x)

    def curvature(x):
        return fn.jvp(derivative, (x,), (fn.cos(x),))[1]

    for f in (derivative, curvature, lambda x: fn.grad(lambda y: (derivative(y) ** 2).sum())(x)):
        mapped = fn.vmap(f)(x)
        for i in range(2):
            np.testing.assert_allclose(mapped[i], f(x[i]), rtol=1e-5)
    # Of a square, the gradient of the squared gradient is linear in x while the largest elements stay the same.
    scaled = fn.grad(lambda y: (derivative(y) ** 2).sum())
    np.testing.assert_allclose(scaled(2 * x[0]), 2 * scaled(x[0]), rtol=1e-5)


@pytest.mark.parametrize("kind", [nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d])
def test_pooling_layers_are_the_functions(kind):
    n = kind._spatial
    name = kind.__name__
    function = getattr(nn, f"{name[:3].lower()}_pool{name[-2:]}")
    x = random.normal(KEY, (2, *range(5, 5 + n), 3))
    for options in ({"kernel_size": 2}, {"kernel_size": (3,) * n, "stride": 1, "padding": 1}):
        assert kind(**options)({}, x).tolist() == function(x, **options).tolist()
    assert kind(2).init(KEY) == {}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 0), ValueError, "Conv2d: kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, "Conv2d: expected kernel_size for 2 spatial axes, got 3 numb"),
        (lambda: nn.Conv1d(3, 4, (3, 3)), ValueError, "Conv1d: expected kernel_size for 1 spatial axis, got 2 numbers"),
        (lambda: nn.Conv2d(3, 4, 3.0), TypeError, "Conv2d: kernel_size must be an integer or a sequence of integers"),
        (lambda: nn.Conv2d(3, 4, True), TypeError, "Conv2d: kernel_size must be an integer"),
        (lambda: nn.Conv2d(3, 4, 3, padding=None), TypeError, "Conv2d: padding must be an integer"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), ValueError, "Conv2d: padding must be at least 0, got -1"),
        (lambda: nn.Conv2d(3, 4, 3, stride=(1, 0)), ValueError, "Conv2d: stride must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=0), ValueError, "Conv2d: groups must be an integer of at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible .* groups, got 3 and 2"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible .* groups, got 3 and 2"),
        (lambda: nn.Conv2d(4, 4, 3, bias=1), TypeError, "Conv2d: bias must be True or False, got 1"),
        (lambda: nn.Conv2d(4, 4, 3, 1, 0, 1, True), TypeError, "Conv2d: groups must be an integer"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=-1), ValueError, "output_padding must be at least 0"),
        (lambda: nn.MaxPool2d(2, stride=0), ValueError, "MaxPool2d: stride must be at least 1, got 0"),
        (lambda: nn.AvgPool1d(2, padding=None), TypeError, "AvgPool1d: padding must be an integer"),
    ],
)
def test_hyperparameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Conv1d(3, 4, 3), (5, 3), r"in Conv1d: expected \(N, L, 3\), got \(5, 3\)"),
        (nn.Conv2d(3, 4, 3), (1, 3, 5, 5), r"in Conv2d: expected \(N, H, W, 3\), got \(1, 3, 5, 5\)"),
        (nn.Conv3d(3, 4, 3), (1, 5, 5, 3), r"in Conv3d: expected \(N, D, H, W, 3\), got \(1, 5, 5, 3\)"),
        (nn.ConvTranspose2d(3, 4, 3), (1, 5, 5, 4), r"in ConvTranspose2d: expected \(N, H, W, 3\)"),
        (nn.Conv2d(3, 4, 3), (1, 2, 5, 3), "in Conv2d: conv2d: the kernel reaches over 3 elements of axis 1"),
        (nn.ConvTranspose1d(1, 1, 1, padding=3), (1, 2, 1), "in ConvTranspose1d: .* nothing is left of axis 1"),
        (nn.MaxPool2d(2), (1, 4, 4), r"in MaxPool2d: .* expected \(N, spatial..., C\) with 2 spatial axes"),
        (nn.AvgPool2d(5), (1, 4, 4, 1), "in AvgPool2d: .* window reaches over 5 elements of axis 1, which has 4"),
    ],
)
def test_inputs_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(layer.init(KEY), fn.ones(shape))
    with pytest.raises(ValueError, match=message.replace("in ", r"in layers.0 \(", 1).replace(":", r"\):", 1)):
        model = nn.Sequential(layer)
        model(model.init(KEY), fn.ones(shape))


@pytest.mark.parametrize("word", ["same", "VALID"])
def test_words_for_padding(word):
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=word)
    assert repr(layer) == f"Conv2d(2, 3, 3, stride=2, padding={word.lower()!r})"
    assert layer == nn.Conv2d(2, 3, 3, stride=2, padding=word.lower())
    params = layer.init(random.key(0))
    x = random.normal(random.key(1), (1, 6, 7, 2))
    assert layer(params, x).shape == ((1, 3, 4, 3) if word == "same" else (1, 2, 3, 3))


def test_words_that_say_nothing():
    with pytest.raises(ValueError, match="Conv1d: padding must be integers, 'same' or 'valid', got 'Causal'"):
        nn.Conv1d(1, 1, 3, padding="Causal")
    with pytest.raises(TypeError, match="ConvTranspose1d: padding must be an integer"):
        nn.ConvTranspose1d(1, 1, 3, padding="same")
