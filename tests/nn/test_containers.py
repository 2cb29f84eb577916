"""Residual, Lambda and Flatten, and Bilinear and the embedding as a linear map: composition, arguments, refusals."""

import pickle

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random

KEY = random.key(0)


def call(layer, *args, **options):
    return layer(layer.init(KEY), *args, **options)


class Masked(nn.Layer):
    """A layer that takes more than one argument."""

    def __call__(self, params, x, mask, *, scale=1.0):
        return fn.where(mask, x, 0.0) * scale


def test_residual_passes_arguments_on():
    x, mask = fn.array([1.0, 2.0]), fn.array([True, False])
    assert call(nn.Residual(Masked()), x, mask, scale=3.0).tolist() == [4.0, 2.0]


def test_residual_in_a_model_names_the_path():
    model = nn.Sequential(nn.Residual(nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 3))))
    with pytest.raises(ValueError, match=r"in layers.0.body.layers.1 \(Linear\): expected \(..., 3\), got \(2, 4\)"):
        call(model, fn.ones((2, 3)))


def test_lambda():
    layer = nn.Lambda(fn.maximum)
    assert layer({}, fn.array([1.0, -1.0]), 0.0).tolist() == [1.0, 0.0] and layer.init(KEY) == {}
    assert layer == nn.Lambda(fn.maximum) != nn.Lambda(fn.minimum) and pickle.loads(pickle.dumps(layer)) == layer
    model = nn.Residual(nn.Sequential(nn.Linear(2, 2), nn.Lambda(lambda x: -x)))
    assert call(model, fn.ones(2)).shape == (2,)


def test_flatten():
    x = fn.arange(24).reshape(2, 3, 4)
    assert nn.Flatten()({}, x).tolist() == x.reshape(2, 12).tolist()
    assert nn.Flatten(0)({}, x).shape == (24,) and nn.Flatten(-2, -1)({}, x).shape == (2, 12)
    assert nn.Flatten(0, 1)({}, x).shape == (6, 4) and nn.Flatten()({}, fn.ones((0, 4, 5))).shape == (0, 20)


def test_bilinear_is_one_product_for_each_output():
    layer = nn.Bilinear(3, 4, 2)
    params = layer.init(KEY)
    for shape in [(), (0,), (5,), (2, 5)]:
        a, b = random.normal(KEY, (*shape, 3)), random.normal(random.key(1), (*shape, 4))
        y = layer(params, a, b)
        wanted = np.einsum("...i,oji,...j->...o", *(np.asarray(v, np.float64) for v in (a, params["weight"], b)))
        np.testing.assert_allclose(np.asarray(y), wanted + np.asarray(params["bias"]), atol=1e-5)
    big = nn.Bilinear(16, 30, 20).init(KEY)
    for name in ("weight", "bias"):
        assert 0.9 * 0.25 < np.abs(np.asarray(big[name])).max() <= 0.25
    assert call(nn.Bilinear(0, 4, 2), fn.ones((5, 0)), fn.ones((5, 4))).shape == (5, 2)


def test_integers_beyond_the_table():
    layer = nn.Embedding(5, 3)
    params = layer.init(KEY)
    x = fn.array([4, -1, 5, -6])
    assert layer(params, x).tolist() == [params["weight"].tolist()[4]] * 2 + [[0.0] * 3] * 2
    grads = fn.grad(lambda p: fn.sum(layer(p, x)))(params)
    assert grads["weight"].tolist() == [[0.0] * 3] * 4 + [[2.0] * 3]

    for n in (5, -6, np.int64(5)):
        with pytest.raises(IndexError, match=rf"^in layers.0 \(Embedding\): {n} is out of range for 5 embeddings"):
            call(nn.Sequential(layer), n)
    assert layer(params, -1).tolist() == params["weight"].tolist()[4]


class Tokens(nn.Layer):
    """The same table in and out."""

    embed: nn.Embedding

    def __call__(self, params, x):
        view = params["embed"]
        return self.embed.as_linear(view, self.embed(view, x)[..., :3])


def test_an_embedding_as_a_linear_map_names_the_path():
    with pytest.raises(ValueError, match=r"in embed \(Embedding\): expected \(..., 4\), got \(2, 3\)"):
        call(Tokens(nn.Embedding(5, 4)), fn.array([1, 2]))
    params = nn.Embedding(5, 4).init(KEY)
    x = random.normal(KEY, (2, 4))
    scores = nn.Embedding(5, 4).as_linear(params, x)
    np.testing.assert_allclose(np.asarray(scores), np.asarray(x) @ np.asarray(params["weight"]).T, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Residual(fn.square), TypeError, "Residual: body must be a layer, .* nn.Lambda makes one"),
        (
            lambda: call(nn.Residual(nn.Linear(3, 1)), fn.ones((2, 3))),
            ValueError,
            r"in Residual: the body must keep the shape \(2, 3\) of its input, its output has \(2, 1\)",
        ),
        (lambda: nn.Lambda(nn.ReLU()), TypeError, r"Lambda: function must be a function, got the layer ReLU\(\)"),
        (lambda: nn.Lambda(3), TypeError, "Lambda: function must be a function, got 3"),
        (lambda: nn.Flatten(1.0), TypeError, "Flatten: start_axis must be an integer, got 1.0"),
        (lambda: nn.Flatten()({}, fn.ones(3)), IndexError, "in Flatten: flatten: axis 1 is out of range"),
        (lambda: nn.Flatten(2, 1)({}, fn.ones((3, 4, 5))), ValueError, "start axis 2 comes after the end axis 1"),
        (
            lambda: call(nn.Bilinear(3, 4, 2), fn.ones((5, 3)), fn.ones((6, 4))),
            ValueError,
            r"in Bilinear: expected \(..., 3\) and \(..., 4\) with the same leading axes, got \(5, 3\) and \(6, 4\)",
        ),
        (lambda: call(nn.Bilinear(3, 4, 2), fn.ones((5, 4)), fn.ones((5, 3))), ValueError, "in Bilinear: expected"),
        (lambda: nn.Bilinear(3, -1, 2), ValueError, "Bilinear: input2_dims must be an integer of at least 0"),
        (lambda: nn.Linear(3, 2, bias="no"), TypeError, "Linear: bias must be True or False, got 'no'"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
