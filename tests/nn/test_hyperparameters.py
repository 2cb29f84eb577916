"""Hyperparameters of layers: NumPy scalars are numbers, sizes of zero work, and what makes no sense is refused by name."""

import math

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random

KEY = random.key(0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(-1, 4), ValueError, "Linear: input_dims must be an integer of at least 0, got -1"),
        (lambda: nn.Linear(4, -1), ValueError, "Linear: output_dims must be an integer of at least 0, got -1"),
        (lambda: nn.Linear(4.0, 4), TypeError, "Linear: input_dims must be an integer of at least 0, got 4.0"),
        (
            lambda: nn.Linear(np.float64(4), 4),
            TypeError,
            "Linear: input_dims must be an integer of at least 0, got 4.0",
        ),
        (lambda: nn.Linear(True, 4), TypeError, "Linear: input_dims"),
        (lambda: nn.Linear("4", 4), TypeError, "Linear: input_dims"),
        (lambda: nn.Linear((4, 4), 4), TypeError, r"Linear: input_dims .* got \(4, 4\)"),
        (lambda: nn.Embedding(-3, 4), ValueError, "Embedding: num_embeddings"),
        (lambda: nn.Embedding(3, None), TypeError, "Embedding: dims"),
        (lambda: nn.LayerNorm(-1), ValueError, "LayerNorm: dims"),
        (lambda: nn.LayerNorm(4, eps=-1e-5), ValueError, "LayerNorm: eps must be a number of at least 0, got -1e-05"),
        (lambda: nn.RMSNorm(4, eps="small"), TypeError, "RMSNorm: eps"),
        (lambda: nn.BatchNorm(-2), ValueError, "BatchNorm: num_features"),
        (lambda: nn.BatchNorm(2, momentum=-0.1), ValueError, "BatchNorm: momentum"),
        (lambda: nn.BatchNorm(2, momentum=math.nan), ValueError, "BatchNorm: momentum"),
        (lambda: nn.Dropout(1.0), ValueError, "Dropout: p must be a number of at least 0 and below 1, got 1.0"),
        (lambda: nn.Dropout(math.nan), ValueError, "Dropout: p"),
        (lambda: nn.PReLU(0), ValueError, "PReLU: num_parameters must be an integer of at least 1"),
        (lambda: nn.PReLU(1, init=None), TypeError, "PReLU: initial"),
        (lambda: nn.LeakyReLU("0.1"), TypeError, "LeakyReLU: negative_slope"),
        (lambda: nn.ELU([1.0]), TypeError, "ELU: alpha"),
        (lambda: nn.Softshrink(-1.0), ValueError, "Softshrink: lambd"),
        (lambda: nn.GLU(0.5), TypeError, "GLU: axis must be an integer, got 0.5"),
        (lambda: nn.Linear(np.array([3]), 4), TypeError, "a layer holds no arrays"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("integer", [np.int8, np.uint16, np.int32, np.int64])
def test_numpy_scalars_are_numbers(integer):
    layer = nn.Linear(integer(3), integer(4), bias=np.bool_(True))
    assert layer == nn.Linear(3, 4) and hash(layer) == hash(nn.Linear(3, 4)) and repr(layer) == "Linear(3, 4)"
    assert type(layer.input_dims) is int and type(layer.bias) is bool
    norm = nn.BatchNorm(integer(3), eps=np.float32(0.5), momentum=np.float64(0.25))
    assert norm == nn.BatchNorm(3, 0.5, 0.25) and type(norm.eps) is float
    assert nn.Dropout(np.float32(0.5)) == nn.Dropout(0.5)

    class Own(nn.Layer):
        sizes: list
        options: dict

    own = Own([integer(3)], {"scale": np.float64(2.0)})
    assert own == Own([3], {"scale": 2.0}) and repr(own) == "Own((3,), {'scale': 2.0})"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(0, 3), (2, 0)),
        (nn.Linear(3, 0), (2, 3)),
        (nn.Linear(0, 0), (2, 0)),
        (nn.LayerNorm(0), (2, 0)),
        (nn.RMSNorm(0), (2, 0)),
        (nn.BatchNorm(0), (2, 0)),
        (nn.Linear(3, 4), (0, 3)),
        (nn.LayerNorm(3), (0, 3)),
        (nn.BatchNorm(3), (0, 3)),
    ],
)
def test_sizes_of_zero(layer, shape):
    y = layer(layer.init(KEY), fn.ones(shape))
    assert y.shape[0] == shape[0] and not np.isnan(np.asarray(y)).any()


def test_a_linear_map_of_nothing_is_its_bias():
    layer = nn.Linear(0, 3)
    params = layer.init(KEY)
    assert layer(params, fn.zeros((2, 0))).tolist() == [params["bias"].tolist()] * 2


@pytest.mark.parametrize("shape", [(4, 1), (4,), (), (3, 4)])
def test_slopes_are_not_broadcast(shape):
    layer = nn.PReLU(3)
    with pytest.raises(ValueError, match=r"in PReLU: expected \(\.\.\., 3\), got"):
        layer(layer.init(KEY), fn.ones(shape))
    assert layer(layer.init(KEY), fn.ones((4, 3))).shape == (4, 3)


def test_embeddings_of_nothing():
    assert nn.Embedding(5, 0)(nn.Embedding(5, 0).init(KEY), fn.array([1, 2])).shape == (2, 0)


@pytest.mark.parametrize("name", ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_initialisers_of_nothing(name, shape):
    assert getattr(nn.init, name)(KEY, shape).shape == shape


NORMS = [nn.LayerNorm(4), nn.RMSNorm(4), nn.BatchNorm(4), nn.LayerNorm(4, affine=False)]


@pytest.mark.parametrize("layer", NORMS, ids=repr)
class TestNormsOf:
    VALUES = np.array([[1, 2, 3, 250], [7, 0, 9, 4], [5, 5, 200, 6]])

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "uint32"])
    @pytest.mark.parametrize("training", [False, True])
    def test_integers(self, layer, dtype, training):
        params = layer.init(KEY)
        got, updates = layer.apply(params, fn.array(self.VALUES, dtype=getattr(fn, dtype)), training=training)
        expected, wanted = layer.apply(params, fn.array(self.VALUES, dtype=fn.float32), training=training)
        assert got.dtype == fn.float32
        np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))
        assert fn.tree.allclose(updates, wanted)

    def test_bools(self, layer):
        y = layer(layer.init(KEY), fn.array(self.VALUES > 4))
        assert y.dtype == fn.float32 and len(set(np.asarray(y).ravel().tolist())) > 1

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
    def test_floats_keep_their_dtype(self, layer, dtype):
        y = layer(layer.init(KEY), fn.array(self.VALUES, dtype=getattr(fn, dtype)))
        assert y.dtype == getattr(fn, dtype)

    def test_complex_numbers(self, layer):
        with pytest.raises(TypeError, match="expected real numbers, got complex64"):
            layer(layer.init(KEY), fn.array(self.VALUES, dtype=fn.complex64))
