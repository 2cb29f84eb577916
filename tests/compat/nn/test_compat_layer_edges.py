"""Layers of ``nn`` where they refuse, where they are changed after they were made, and where values are extreme, on either library."""

import copy
import importlib
import math
import pickle

import numpy as np
import pytest
from tests.compat.library import REAL, mx, nn, utils

PACKAGE = "mlx.nn" if REAL else "funcnn.compat.nn"
distributed = importlib.import_module(f"{PACKAGE}.layers.distributed")
upsample = importlib.import_module(f"{PACKAGE}.layers.upsample")

if REAL:
    # It would call a C++ compiler for each activation.
    mx.disable_compile()


class Group:
    """A group of processes for what asks for its size and rank only."""

    def __init__(self, size, rank=0):
        self._size, self._rank = size, rank

    def size(self):
        return self._size

    def rank(self):
        return self._rank


def ones(*shape):
    return mx.ones(shape)


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(np.array(a), np.array(b), rtol=tolerance, atol=tolerance)


def values(x):
    return np.array(x).tolist()


SIZES = {
    "linear": (ValueError, lambda: nn.Linear(3, 2)(ones(4, 5))),
    "linear of a number": (ValueError, lambda: nn.Linear(3, 2)(mx.array(1.0))),
    "linear from nothing": (ZeroDivisionError, lambda: nn.Linear(0, 2)),
    "embedding of floats": (ValueError, lambda: nn.Embedding(4, 3)(mx.array([0.5]))),
    "embedding as linear": (ValueError, lambda: nn.Embedding(4, 3).as_linear(ones(2, 5))),
    "embedding with quantised input": (ValueError, lambda: nn.Embedding(4, 3).to_quantized(quantize_input=True)),
    "linear quantised by a size": (ValueError, lambda: nn.Linear(3, 2).to_quantized()),
    "linear with quantised input": (ValueError, lambda: nn.Linear(64, 64).to_quantized(quantize_input=True)),
    "conv1d": (ValueError, lambda: nn.Conv1d(4, 2, 3)(ones(2, 9, 3))),
    "conv1d too short": (ValueError, lambda: nn.Conv1d(4, 2, 3)(ones(2, 2, 4))),
    "conv1d groups": (ValueError, lambda: nn.Conv1d(5, 2, 3, groups=2)),
    "conv2d axes": (ValueError, lambda: nn.Conv2d(4, 2, 3)(ones(2, 9, 4))),
    "conv2d stride": (ValueError, lambda: nn.Conv2d(4, 2, 3, stride=0)(ones(2, 9, 9, 4))),
    "conv_transpose": (ValueError, lambda: nn.ConvTranspose2d(4, 2, 3)(ones(2, 9, 9, 3))),
    "dropout of all": (ValueError, lambda: nn.Dropout(1.0)),
    "dropout below nothing": (ValueError, lambda: nn.Dropout2d(-0.1)),
    "dropout2d in training": (ValueError, lambda: nn.Dropout2d()(ones(3, 3))),
    "dropout2d": (ValueError, lambda: nn.Dropout2d().eval()(ones(3, 3))),
    "dropout3d": (ValueError, lambda: nn.Dropout3d()(ones(3, 3, 3))),
    "instance norm": (ValueError, lambda: nn.InstanceNorm(3)(ones(2, 3))),
    "instance norm of integers": (ValueError, lambda: nn.InstanceNorm(3)(mx.array([[[1, 2, 3], [4, 5, 6]]]))),
    "instance norm eps": (ValueError, lambda: nn.InstanceNorm(3, eps=0)),
    "layer norm": (ValueError, lambda: nn.LayerNorm(3)(ones(2, 4))),
    "layer norm eps": (ValueError, lambda: nn.LayerNorm(3, eps=-1)),
    "rms norm": (ValueError, lambda: nn.RMSNorm(3)(ones(2, 4))),
    "rms norm eps": (ValueError, lambda: nn.RMSNorm(3, 0.0)),
    "group norm groups": (ValueError, lambda: nn.GroupNorm(2, 5)),
    "group norm of no groups": (ValueError, lambda: nn.GroupNorm(0, 4)),
    "group norm of no features": (ValueError, lambda: nn.GroupNorm(2, 0)),
    "group norm eps": (ValueError, lambda: nn.GroupNorm(2, 4, eps=0)),
    "group norm of a vector": (ValueError, lambda: nn.GroupNorm(2, 4)(ones(4))),
    "batch norm of a vector": (ValueError, lambda: nn.BatchNorm(4)(ones(4))),
    "batch norm of volumes": (ValueError, lambda: nn.BatchNorm(4)(ones(1, 2, 2, 2, 4))),
    "batch norm of one": (ValueError, lambda: nn.BatchNorm(4)(ones(1, 4))),
    "batch norm of one, untracked": (ValueError, lambda: nn.BatchNorm(4, track_running_stats=False)(ones(1, 4))),
    "batch norm features": (ValueError, lambda: nn.BatchNorm(4)(ones(2, 3))),
    "pool of nothing": (ValueError, lambda: nn.MaxPool1d(0)),
    "pool stride": (ValueError, lambda: nn.MaxPool2d(2, stride=0)),
    "pool padding": (ValueError, lambda: nn.AvgPool1d(2, padding=-1)),
    "pool pair": (ValueError, lambda: nn.MaxPool1d((1, 2))),
    "pool of a fraction": (ValueError, lambda: nn.MaxPool2d(1.5)),
    "pool of text": (ValueError, lambda: nn.MaxPool2d("2")),
    "pool stride of one": (ValueError, lambda: nn.MaxPool2d((1, 2), stride=(3,))),
    "pool axes": (ValueError, lambda: nn.MaxPool1d(2)(ones(2, 3, 3, 3))),
    "pool far too wide": (ValueError, lambda: nn.MaxPool1d(6, stride=1)(ones(2, 3, 1))),
    "sinusoidal odd": (ValueError, lambda: nn.SinusoidalPositionalEncoding(3)),
    "sinusoidal of none": (ValueError, lambda: nn.SinusoidalPositionalEncoding(0)),
    "rope axes": (ValueError, lambda: nn.RoPE(4)(ones(2, 4))),
    "rope features": (ValueError, lambda: nn.RoPE(8)(ones(1, 2, 4))),
    "rnn of nothing": (ValueError, lambda: nn.RNN(3, 4)(ones(0, 3))),
    "rnn of a vector": (IndexError, lambda: nn.RNN(3, 4)(ones(3))),
    "rnn features": (ValueError, lambda: nn.RNN(3, 4)(ones(2, 4))),
    "rnn state": (ValueError, lambda: nn.RNN(3, 4)(ones(2, 3), ones(5))),
    "rnn nonlinearity": (ValueError, lambda: nn.RNN(3, 4, nonlinearity=3)),
    "lstm of nothing": (ValueError, lambda: nn.LSTM(3, 4)(ones(2, 0, 3))),
    "attention heads": (ValueError, lambda: nn.MultiHeadAttention(7, 2)),
    "attention axes": (ValueError, lambda: nn.MultiHeadAttention(8, 2)(ones(3, 8), ones(3, 8), ones(3, 8))),
    "attention values": (ValueError, lambda: nn.MultiHeadAttention(8, 2)(ones(1, 3, 8), ones(1, 3, 8), ones(1, 4, 8))),
    "attention mask": (ValueError, lambda: nn.MultiHeadAttention(8, 2)(*(ones(1, 3, 8),) * 3, mask="some")),
    "attention mask's shape": (ValueError, lambda: nn.MultiHeadAttention(8, 2)(*(ones(1, 3, 8),) * 3, mask=ones(2, 2))),
    "encoder without a mask": (TypeError, lambda: nn.TransformerEncoder(1, 8, 2)(ones(1, 3, 8))),
    "transformer without a mask": (TypeError, lambda: nn.Transformer(8, 2, 1, 1)(ones(1, 3, 8), ones(1, 3, 8), None)),
    "upsample mode": (ValueError, lambda: nn.Upsample(2, mode="some")),
    "upsample antialias": (ValueError, lambda: nn.Upsample(2, antialias=True)),
    "upsample corners": (ValueError, lambda: nn.Upsample(2, "linear", True, True)),
    "upsample without space": (ValueError, lambda: nn.Upsample(2)(ones(1, 3))),
    "upsample scales": (ValueError, lambda: nn.Upsample((2,))(ones(1, 3, 3, 1))),
    "upsample below nothing": (ValueError, lambda: nn.Upsample(-1)(ones(1, 3, 1))),
    "upsample_nearest": (ValueError, lambda: upsample.upsample_nearest(ones(1, 3, 1), (2, 2))),
    "prelu": (ValueError, lambda: nn.PReLU(3)(ones(2, 4))),
    "gelu": (ValueError, lambda: nn.GELU("some")),
    "relu with an argument": (TypeError, lambda: nn.ReLU(3)),
    "glu": (ValueError, lambda: nn.glu(ones(3))),
    "softmax axis": (IndexError, lambda: nn.softmax(ones(2, 3), axis=5)),
    "cross entropy shapes": (ValueError, lambda: nn.losses.cross_entropy(ones(2, 3), mx.array([0]))),
    "cross entropy probabilities": (ValueError, lambda: nn.losses.cross_entropy(ones(2, 3), ones(2, 4))),
    "cross entropy axis": (IndexError, lambda: nn.losses.cross_entropy(ones(2, 3), mx.array([0, 1]), axis=3)),
    "cross entropy smoothing": (
        ValueError, lambda: nn.losses.cross_entropy(ones(2, 3), mx.array([0, 1]), label_smoothing=1.0)
    ),
    "cross entropy weights": (
        ValueError, lambda: nn.losses.cross_entropy(ones(2, 3), mx.array([0, 1]), weights=ones(3))
    ),
    "cross entropy reduction": (
        ValueError, lambda: nn.losses.cross_entropy(ones(2, 3), mx.array([0, 1]), reduction="some")
    ),
    "no reduction": (ValueError, lambda: nn.losses.mse_loss(ones(2), ones(2), reduction=None)),
    "binary cross entropy": (ValueError, lambda: nn.losses.binary_cross_entropy(ones(2), ones(1, 2))),
    "mse": (ValueError, lambda: nn.losses.mse_loss(ones(2), ones(2, 1))),
    "l1": (ValueError, lambda: nn.losses.l1_loss(ones(2), ones(1))),
    "smooth l1": (ValueError, lambda: nn.losses.smooth_l1_loss(ones(2), ones(1))),
    "gaussian nll": (ValueError, lambda: nn.losses.gaussian_nll_loss(ones(2), ones(2), ones(1))),
    "margin ranking": (ValueError, lambda: nn.losses.margin_ranking_loss(ones(2), ones(2), ones(1))),
    "hinge": (ValueError, lambda: nn.losses.hinge_loss(ones(2, 3), ones(4))),
    "kl div axis": (IndexError, lambda: nn.losses.kl_div_loss(ones(2, 3), ones(2, 3), axis=2)),
    "cosine axis": (IndexError, lambda: nn.losses.cosine_similarity_loss(ones(3), ones(3))),
    "init identity": (ValueError, lambda: nn.init.identity()(ones(2, 3))),
    "init fans": (ValueError, lambda: nn.init.glorot_normal()(ones(3))),
    "init mode": (ValueError, lambda: nn.init.he_normal()(ones(3, 3), mode="some")),
    "init sparse": (ValueError, lambda: nn.init.sparse(0.5)(ones(3))),
    "init orthogonal": (ValueError, lambda: nn.init.orthogonal()(ones(2, 2, 2))),
    "init of integers": (ValueError, lambda: nn.init.normal(dtype=mx.int32)(ones(2))),
    "sharded outputs": (ValueError, lambda: nn.AllToShardedLinear(6, 10, group=Group(3))),
    "sharded inputs": (ValueError, lambda: nn.ShardedToAllLinear(10, 6, group=Group(3))),
    "quantised sharded outputs": (ValueError, lambda: nn.QuantizedAllToShardedLinear(64, 10, group=Group(3))),
    "quantised sharded inputs": (ValueError, lambda: nn.QuantizedShardedToAllLinear(100, 6, group=Group(3))),
    "sharding": (ValueError, lambda: distributed.shard_linear(nn.Linear(6, 9), "some")),
    "sharding in place": (ValueError, lambda: distributed.shard_inplace(nn.Linear(6, 9), "some")),
    "sharding by a text": (ValueError, lambda: distributed.shard_inplace(nn.Linear(6, 9), lambda p, w: "0", group=Group(3))),
    "sharding by a size": (
        ValueError, lambda: distributed.shard_linear(nn.Linear(6, 10), "all-to-sharded", group=Group(3, 1))
    ),
    "full sharding by a size": (ValueError, lambda: nn.FullyShardedModule(nn.Linear(4, 10), group=Group(3))),
}  # fmt: skip


@pytest.mark.parametrize("what", SIZES)
def test_refuses(what):
    error, call = SIZES[what]
    with pytest.raises(error):
        mx.eval(call())


def test_full_sharding_refuses_scalars():
    layer = nn.Linear(2, 2)
    layer.temperature = mx.array(1.0)
    with pytest.raises(ValueError, match="temperature"):
        nn.FullyShardedModule(layer)


CHANGES = {
    "LayerNorm.eps": (nn.LayerNorm(4), "eps", 0.5, nn.LayerNorm(4, eps=0.5), (2, 4)),
    "RMSNorm.eps": (nn.RMSNorm(4), "eps", 0.5, nn.RMSNorm(4, eps=0.5), (2, 4)),
    "InstanceNorm.eps": (nn.InstanceNorm(4), "eps", 0.5, nn.InstanceNorm(4, eps=0.5), (2, 3, 4)),
    "GroupNorm.num_groups": (nn.GroupNorm(2, 4), "num_groups", 4, nn.GroupNorm(4, 4), (2, 3, 4)),
    "GroupNorm.pytorch_compatible": (
        nn.GroupNorm(2, 4), "pytorch_compatible", True, nn.GroupNorm(2, 4, pytorch_compatible=True), (2, 3, 4)
    ),
    "BatchNorm.eps": (nn.BatchNorm(4), "eps", 0.5, nn.BatchNorm(4, eps=0.5), (3, 4)),
    "Conv1d.stride": (nn.Conv1d(4, 3, 2), "stride", 2, nn.Conv1d(4, 3, 2, stride=2), (1, 5, 4)),
    "Conv2d.padding": (nn.Conv2d(4, 3, 2), "padding", (1, 0), nn.Conv2d(4, 3, 2, padding=(1, 0)), (1, 3, 3, 4)),
    "Conv2d.dilation": (nn.Conv2d(4, 3, 2), "dilation", 2, nn.Conv2d(4, 3, 2, dilation=2), (1, 3, 3, 4)),
    "ConvTranspose1d.stride": (
        nn.ConvTranspose1d(4, 3, 2), "stride", 2, nn.ConvTranspose1d(4, 3, 2, stride=2), (1, 3, 4)
    ),
    "ConvTranspose2d.output_padding": (
        nn.ConvTranspose2d(4, 3, 2), "output_padding", (1, 0), nn.ConvTranspose2d(4, 3, 2, output_padding=(1, 0)),
        (1, 3, 3, 4),
    ),
    "MaxPool1d._stride": (nn.MaxPool1d(2), "_stride", [1], nn.MaxPool1d(2, 1), (1, 5, 2)),
    "AvgPool2d._kernel_size": (nn.AvgPool2d(2), "_kernel_size", [1, 2], nn.AvgPool2d((1, 2), 2), (1, 4, 4, 2)),
    "AvgPool1d._padding": (nn.AvgPool1d(2), "_padding", [(1, 1)], nn.AvgPool1d(2, padding=1), (1, 4, 2)),
    "RoPE.base": (nn.RoPE(4), "base", 10, nn.RoPE(4, base=10), (1, 3, 4)),
    "RoPE.traditional": (nn.RoPE(4), "traditional", True, nn.RoPE(4, traditional=True), (1, 3, 4)),
    "SinusoidalPositionalEncoding.scale": (
        nn.SinusoidalPositionalEncoding(4), "scale", 3.0, nn.SinusoidalPositionalEncoding(4, scale=3.0), (3,)
    ),
    "SinusoidalPositionalEncoding._sigmas": (
        nn.SinusoidalPositionalEncoding(4), "_sigmas", nn.SinusoidalPositionalEncoding(4, min_freq=0.1)._sigmas,
        nn.SinusoidalPositionalEncoding(4, min_freq=0.1), (3,),
    ),
    "RNN.nonlinearity": (nn.RNN(4, 3), "nonlinearity", nn.relu, nn.RNN(4, 3, nonlinearity=nn.relu), (2, 4)),
    "Upsample.mode": (nn.Upsample(2), "mode", "linear", nn.Upsample(2, "linear"), (1, 3, 2)),
    "Upsample.scale_factor": (nn.Upsample(2), "scale_factor", 3.0, nn.Upsample(3), (1, 3, 2)),
    "LeakyReLU._negative_slope": (nn.LeakyReLU(), "_negative_slope", 0.5, nn.LeakyReLU(0.5), (4,)),
    "ELU._alpha": (nn.ELU(), "_alpha", 0.5, nn.ELU(0.5), (4,)),
    "GELU._approx": (nn.GELU(), "_approx", "fast", nn.GELU("fast"), (4,)),
    "HardShrink.lambd": (nn.HardShrink(), "lambd", 1.7, nn.HardShrink(1.7), (4,)),
    "GLU.axis": (nn.GLU(), "axis", 0, nn.GLU(0), (4, 2)),
    "Step.threshold": (nn.Step(), "threshold", -0.2, nn.Step(-0.2), (4,)),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_after_construction_counts(what):
    layer, name, value, wanted, shape = CHANGES[what]
    wanted.update(layer.parameters())
    x = mx.array(np.random.RandomState(2).standard_normal(shape).astype(np.float32))
    before = layer(x)
    setattr(layer, name, value)
    found = layer(x)
    close(found, wanted(x))
    assert found.shape != before.shape or not np.allclose(np.array(found), np.array(before), atol=1e-3)
    assert repr(layer) == repr(wanted)


def test_parameters_of_other_shapes_count():
    layer = nn.Linear(3, 2)
    layer.weight = ones(5, 4)
    layer.bias = ones(5)
    assert repr(layer) == "Linear(input_dims=4, output_dims=5, bias=True)"
    assert values(layer(ones(4))) == [5.0] * 5
    del layer.bias
    assert repr(layer) == "Linear(input_dims=4, output_dims=5, bias=False)"
    assert values(layer(ones(4))) == [4.0] * 5
    norm = nn.LayerNorm(3)
    norm.weight = norm.bias = None
    assert "weight" not in norm and norm(ones(2, 5)).shape == (2, 5)
    table = nn.Embedding(3, 2)
    table.weight = mx.arange(8).reshape(4, 2)
    assert values(table(mx.array([3, -1]))) == [[6, 7], [6, 7]]
    assert repr(table) == "Embedding(4, 2)"
    conv = nn.Conv2d(4, 6, 3)
    conv.weight = ones(2, 1, 2, 4)
    del conv.bias
    assert conv(ones(1, 3, 3, 4)).shape == (1, 3, 2, 2)


def test_dropout_takes_its_probability_at_the_call():
    layer = nn.Dropout(0.0)
    assert values(layer(ones(4))) == [1.0] * 4
    layer._p_1 = 0.25
    assert set(values(layer(ones(200)))) == {0.0, 4.0}
    assert repr(layer) == "Dropout(p=0.75)"
    assert repr(nn.Dropout(0.1)) == "Dropout(p=0.09999999999999998)"
    layer.train(False)
    assert values(layer(ones(4))) == [1.0] * 4


def test_dropout_of_integers():
    assert nn.Dropout(0.5)(mx.array([1, 2, 3])).dtype == mx.float32
    assert nn.Dropout(0.5).eval()(mx.array([1, 2, 3])).dtype == mx.int32


def test_attention_takes_its_heads_and_projections_at_the_call():
    x = mx.random.normal((1, 3, 8))
    attend, other = nn.MultiHeadAttention(8, 2), nn.MultiHeadAttention(8, 4)
    other.update(attend.parameters())
    attend.num_heads = 4
    close(attend(x, x, x), other(x, x, x))
    attend.out_proj = lambda y: y[..., :1]
    assert attend(x, x, x).shape == (1, 3, 1)
    attend.num_heads = 3
    with pytest.raises(ValueError):
        mx.eval(attend(x, x, x))


def test_encoders_take_their_parts_at_the_call():
    x = mx.random.normal((1, 3, 8))
    layer = nn.TransformerEncoderLayer(8, 2)
    other = nn.TransformerEncoderLayer(8, 2, activation=mx.abs, norm_first=False)
    other.update(layer.parameters())
    layer.activation, layer.norm_first = mx.abs, False
    close(layer(x, None), other(x, None))
    encoder = nn.TransformerEncoder(2, 8, 2)
    before = encoder(x, None)
    encoder.checkpoint = True
    close(encoder(x, None), before)
    encoder.layers = encoder.layers[:1]
    assert not np.allclose(np.array(encoder(x, None)), np.array(before))
    custom = nn.Transformer(8, 2, 1, 1, custom_encoder=lambda s, m: s, custom_decoder=lambda a, b, c, d: a + 2 * b)
    close(custom(x, x, None, None, None), 3 * x)


@pytest.mark.skipif(REAL, reason="MLX draws other numbers when it computes a layer again")
def test_checkpoints_repeat_their_draws():
    x, weights = mx.random.normal((2, 3, 8)), mx.random.normal((2, 3, 8))
    encoder, found = nn.TransformerEncoder(2, 8, 2, dropout=0.5), []
    for encoder.checkpoint in (False, True):
        mx.random.seed(9)
        loss, gradients = nn.value_and_grad(encoder, lambda x: (encoder(x, None) * weights).sum())(x)
        found.append([loss, *(g for _, g in utils.tree_flatten(gradients)), mx.random.uniform()])
    for plain, again in zip(*found, strict=True):
        close(plain, again, 1e-4)


def test_batch_norm_statistics():
    layer = nn.BatchNorm(2, momentum=0.5)
    assert sorted(layer.trainable_parameters()) == ["bias", "weight"]
    x = mx.array([[0.0, 1.0], [2.0, 5.0]])
    layer(x)
    assert values(layer.running_mean) == [0.5, 1.5] and values(layer.running_var) == [1.5, 4.5]
    layer.momentum = 1.0
    layer(x)
    assert values(layer.running_mean) == [1.0, 3.0] and values(layer.running_var) == [2.0, 8.0]
    layer.freeze()
    layer.unfreeze()
    assert sorted(layer.trainable_parameters()) == ["bias", "weight"]
    layer.eval()
    layer(x + 1)
    assert values(layer.running_mean) == [1.0, 3.0]
    # What stands in the place of the statistics is used, and its dtype counts.
    layer.running_mean = mx.zeros((2,), dtype=mx.float16)
    layer.running_var = ones(2)
    close(layer(x), x, 1e-4)
    layer.train()
    layer(x.astype(mx.float16))
    assert layer.running_mean.dtype == mx.float16 and layer.running_var.dtype == mx.float32
    layer(x)
    assert layer.running_mean.dtype == mx.float32


def test_batch_norm_of_integers_and_untracked():
    close(nn.BatchNorm(1, eps=1e-12)(mx.array([[1], [3]])), [[-1.0], [1.0]])
    layer = nn.BatchNorm(1, track_running_stats=False, eps=1e-12).eval()
    close(layer(mx.array([[1.0], [3.0]])), [[-1.0], [1.0]])
    assert "running_mean" not in layer


def test_group_norm_of_integers():
    close(nn.GroupNorm(2, 4, eps=1e-12)(mx.array([[1, 2, 3, 4]])), [[-1.0, -1.0, 1.0, 1.0]])


LAYERS = {
    "activation": (lambda: nn.ReLU(), (2, 3)),
    "convolution": (lambda: nn.Conv1d(3, 4, 2), (2, 5, 3)),
    "transposed": (lambda: nn.ConvTranspose1d(3, 4, 2), (2, 5, 3)),
    "dropout": (lambda: nn.Dropout2d(), (2, 3, 3, 1)),
    "norm": (lambda: nn.BatchNorm(3), (2, 3)),
    "pool": (lambda: nn.MaxPool1d(2), (2, 4, 3)),
    "recurrent": (lambda: nn.GRU(3, 4), (2, 3)),
    "sharded": (lambda: nn.AllToShardedLinear(3, 4), (2, 3)),
    "quantised": (lambda: nn.QuantizedAllToShardedLinear(64, 32), (2, 64)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_names_of_the_users_own(name):
    make, shape = LAYERS[name]
    layer = make()
    own = [
        "function",
        "each",
        "describe",
        "described",
        "biased",
        "channels",
        "dropped",
        "draw",
        "given",
        "pooled",
        "update",
        "affine",
        "product",
        "whole",
    ]
    for word in own:
        setattr(layer, f"_{word}", mx.array(1.0))
    assert layer(ones(*shape)).shape == make()(ones(*shape)).shape
    assert f"{type(layer).__name__}(" in repr(layer)
    assert set(layer) >= {f"_{word}" for word in own}


def test_pools_without_windows():
    assert nn.MaxPool1d(4)(ones(2, 3, 1)).shape == (2, 0, 1)
    assert nn.AvgPool2d(4, stride=1)(ones(2, 3, 5, 1)).shape == (2, 0, 2, 1)


def test_pools_by_other_functions():
    pooling = importlib.import_module(f"{PACKAGE}.layers.pooling")
    x = mx.random.normal((2, 5, 4, 3))
    total = pooling._Pool2d(mx.sum, 0, (2, 3), (2, 1), (1, 0))
    close(total(x), nn.AvgPool2d((2, 3), (2, 1), (1, 0))(x) * 6)
    least = pooling._Pool1d(mx.min, float("inf"), 3, padding=1)
    close(least(x[0]), -nn.MaxPool1d(3, padding=1)(-x[0]))
    close(mx.grad(lambda x: total(x).sum())(x), mx.grad(lambda x: 6 * nn.AvgPool2d((2, 3), (2, 1), (1, 0))(x).sum())(x))
    # What a layer has is used: the function, the number to pad with, and different margins.
    layer = nn.MaxPool1d(2)
    layer._pooling_function = mx.sum
    layer._padding, layer._padding_value = [(1, 0)], 10.0
    assert values(layer(mx.array([[[1.0], [2.0], [4.0]]]))) == [[[11.0], [6.0]]]
    layer = nn.MaxPool1d(2)
    layer._padding_value, layer._padding = 5.0, [(1, 1)]
    assert values(layer(mx.array([[[1.0], [2.0], [4.0]]]))) == [[[5.0], [4.0]]]
    assert pooling._sliding_windows(x, (2, 2), (3, 1)).shape == (2, 2, 3, 2, 2, 3)
    for shape, window in (((2, 3), (2,)), ((2, 3, 4), (2, 2))):
        with pytest.raises(ValueError):
            pooling._sliding_windows(ones(*shape), window, window)


def test_pools_of_integers():
    x = mx.array([[[1], [2], [4]]])
    assert values(nn.MaxPool1d(2)(x)) == [[[2]]] and nn.MaxPool1d(2)(x).dtype == mx.int32
    assert values(nn.AvgPool1d(2, padding=1)(x)) == [[[0.5], [3.0]]]


def test_embedding_takes_any_index():
    table = nn.Embedding(4, 3)
    assert table(mx.array(2)).shape == table(2).shape == (3,)
    assert table([1, 2]).shape == table(slice(0, 2)).shape == (2, 3)
    assert table(mx.zeros((0,), dtype=mx.int32)).shape == (0, 3)
    assert table(mx.zeros((2, 1), dtype=mx.uint8)).shape == (2, 1, 3)
    assert mx.array_equal(table(mx.array([-1])), table(mx.array([3])))


def test_leading_axes_of_states():
    x, h = mx.random.normal((5, 3)), mx.random.normal((2, 4))
    layer = nn.GRU(3, 4)
    both = layer(x, h)
    assert both.shape == (2, 5, 4)
    close(both[1], layer(x, h[1]))
    assert nn.GRU(3, 4)(mx.random.normal((2, 5, 3)), h[0]).shape == (2, 5, 4)


def test_recurrent_parts_of_a_sequence():
    x = mx.random.normal((2, 7, 3))
    for layer in (nn.RNN(3, 4), nn.GRU(3, 4), nn.RNN(3, 4, nonlinearity=lambda y: mx.tanh(y))):
        whole = layer(x)
        close(layer(x[:, 3:], layer(x[:, :3])[:, -1]), whole[:, 3:])
    layer = nn.LSTM(3, 4)
    c = layer(x)[1]
    first = layer(x[:, :3])
    close(layer(x[:, 3:], hidden=first[0][:, -1], cell=first[1][:, -1])[1], c[:, 3:])


def test_a_nonlinearity_may_look_at_values_and_draw():
    seen = []

    def look(y):
        seen.append(y.max().item())
        return mx.where(mx.random.uniform(shape=y.shape) < 0.5, y, 0.0)

    mx.random.seed(0)
    y = nn.RNN(3, 64, nonlinearity=look)(ones(4, 3))
    assert len(seen) == 4
    assert len({tuple(row) for row in np.array(y == 0).tolist()}) == 4


def test_activations_of_numbers():
    for found, wanted in ((nn.relu(3.0), 3.0), (nn.tanh(0), 0.0), (nn.relu(x=mx.array(-1)), 0)):
        assert isinstance(found, mx.array) and found.item() == wanted


def test_activations_beyond_their_usual_parameters():
    x = mx.array([-2.0, 0.0, 0.5])
    assert values(nn.leaky_relu(x, 2.0)) == [-2.0, 0.0, 1.0]
    assert values(nn.leaky_relu(x, mx.array(0.5))) == [-1.0, 0.0, 0.5]
    assert values(nn.softshrink(x, -1.0)) == [-3.0, 0.0, 1.5]
    assert values(nn.hard_shrink(x, -1.0)) == [-2.0, 0.0, 0.5]
    assert values(nn.hard_tanh(x, 2.0, -1.0)) == [-1.0, -1.0, -1.0]
    assert values(nn.elu(x, -1.0)) == pytest.approx([1 - math.exp(-2.0), 0.0, 0.5])
    assert nn.step(mx.array([1, 2]), 2).dtype == mx.int32
    assert nn.relu6(mx.array([7])).dtype == mx.float32 and nn.relu2(mx.array([-3, 2])).dtype == mx.int32
    assert math.isnan(nn.relu(mx.array(float("nan"))).item())
    assert values(nn.softplus(mx.array([float("inf"), -float("inf"), 1000.0]))) == [float("inf"), 0.0, 1000.0]


def test_losses_of_integers():
    a, b = mx.array([1, 2]), mx.array([3, 5])
    assert nn.losses.l1_loss(a, b, reduction="none").dtype == mx.int32
    assert nn.losses.mse_loss(a, b, reduction="sum").item() == 13
    assert nn.losses.mse_loss(a, b).item() == 6.5
    assert nn.losses.hinge_loss(a, mx.array([1, -1])).dtype == mx.int32
    assert nn.losses.huber_loss(a, b, delta=0.0).tolist() == [0.0, 0.0]
    assert nn.losses.cross_entropy(mx.array([[1, 2, 3]]), mx.array([1])).dtype == mx.float32


def test_dtypes_of_losses():
    half, single = mx.ones((2, 3), dtype=mx.float16), mx.ones((2, 3))
    index = mx.array([0, 1])
    assert nn.losses.cross_entropy(half, index).dtype == mx.float16
    assert nn.losses.cross_entropy(half, index, weights=ones(2)).dtype == mx.float32
    assert nn.losses.cross_entropy(half, single).dtype == nn.losses.cross_entropy(single, half).dtype == mx.float32
    assert nn.losses.mse_loss(half, single).dtype == mx.float32
    assert nn.losses.binary_cross_entropy(half, half, weights=single).dtype == mx.float32
    assert nn.losses.binary_cross_entropy(ones(2), mx.array([True, False])).dtype == mx.float32


def test_class_indices():
    logits = mx.array([[1.0, 2.0, 3.0]])
    last = nn.losses.cross_entropy(logits, mx.array([2]))
    close(nn.losses.cross_entropy(logits, mx.array([-1])), last)
    close(nn.losses.cross_entropy(logits, mx.array([2], dtype=mx.uint8)), last)
    close(nn.losses.cross_entropy(logits[0], mx.array(2)), last[0])
    assert values(nn.losses.nll_loss(logits, mx.array([-1]))) == [-3.0]
    # Targets that do not sum to 1: the logits less their maximum count, as in MLX.
    close(nn.losses.cross_entropy(logits, mx.array([[0, 1, 1]])), last + 1)


def test_a_logit_of_minus_infinity():
    logits = mx.array([[-float("inf"), 0.0]])
    assert values(nn.losses.cross_entropy(logits, mx.array([1]))) == [0.0]
    assert values(nn.losses.cross_entropy(logits, mx.array([0]))) == [float("inf")]


@pytest.mark.skipif(REAL, reason="MLX reads what lies beyond its arrays")
def test_indices_of_no_class_can_be_masked():
    logits = mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    def loss(logits, targets):
        return (nn.losses.cross_entropy(logits, targets) * (targets >= 0)).sum()

    targets = mx.array([2, -100])
    close(loss(logits, targets), nn.losses.cross_entropy(logits[:1], mx.array([2])).sum())
    assert np.isfinite(np.array(mx.grad(loss)(logits, targets))).all()
    assert np.isfinite(np.array(nn.losses.nll_loss(logits, mx.array([0, 7])))).all()


def test_upsampling_to_nothing():
    assert nn.Upsample(0.1, "linear")(ones(1, 3, 1)).shape == (1, 0, 1)
    assert nn.Upsample(0)(ones(1, 3, 1)).shape == (1, 0, 1)
    assert nn.Upsample(2)(ones(1, 0, 1)).shape == (1, 0, 1)


def test_alibi():
    slopes = [0.25, 0.0625, 0.015625, 0.00390625, 0.5]
    close(nn.ALiBi.create_alibi_slope(5).reshape(-1), slopes)
    mask = mx.array([[True, False], [True, True]])
    # A mask of bools is a number added to the scores.
    close(nn.ALiBi()(mx.zeros((1, 1, 2, 2)), mask=mask)[0, 0], [[1.0, -1 / 256], [1 - 1 / 256, 1.0]])
    assert nn.ALiBi.create_alibi_matrix(5, 4, 2, offset=3).shape == (1, 2, 2, 4)
    assert nn.ALiBi()(mx.ones((1, 2, 3, 3), dtype=mx.float16)).dtype == mx.float16


def test_additive_causal_mask():
    mask = nn.MultiHeadAttention.create_additive_causal_mask(2, mx.float16)
    assert values(mask) == [[0.0, -65504.0], [0.0, 0.0]] and mask.dtype == mx.float16
    assert nn.MultiHeadAttention.create_additive_causal_mask(0).shape == (0, 0)


def test_layers_copy_and_pickle():
    layer = nn.Sequential(nn.Linear(3, 4), nn.GELU("fast"), nn.BatchNorm(4), nn.Dropout(0.0))
    layer(mx.random.normal((5, 3)))
    layer.eval()
    x = ones(2, 3)
    close(copy.deepcopy(layer)(x), layer(x))
    close(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_names_lie_where_mlx_has_them():
    for name, files in {
        "Linear": "linear", "Conv2d": "convolution", "ConvTranspose1d": "convolution_transpose", "Dropout": "dropout",
        "Embedding": "embedding", "LayerNorm": "normalization", "MaxPool2d": "pooling", "RoPE": "positional_encoding",
        "LSTM": "recurrent", "MultiHeadAttention": "transformer", "Upsample": "upsample", "Sequential": "containers",
        "relu": "activations", "fully_shard": "distributed", "Module": "base", "QuantizedLinear": "quantized",
    }.items():  # fmt: skip
        module = importlib.import_module(f"{PACKAGE}.layers.{files}")
        assert getattr(module, name) is getattr(nn, name) is getattr(nn.layers, name)
        assert getattr(nn, files) is module


def test_parameters_in_order():
    for layer, names in (
        (nn.GroupNorm(2, 4), ["bias", "weight"]),
        (nn.BatchNorm(2), ["weight", "bias", "running_mean", "running_var"]),
        (nn.GRU(3, 2), ["Wx", "Wh", "b", "bhn"]),
        (nn.SinusoidalPositionalEncoding(4), ["_sigmas"]),
        (nn.MaxPool2d(3), ["_kernel_size", "_stride", "_padding", "_axes"]),
    ):
        assert list(layer) == names


@pytest.mark.skipif(REAL, reason="spellings of other documents")
class TestOtherSpellings:
    def test_names_of_pytorch(self):
        x = mx.array([-3.0, -0.25, 0.5, 3.0])
        close(nn.Hardshrink(lambd=0.3)(x), [-3.0, 0.0, 0.5, 3.0])
        close(nn.Hardtanh(min_val=-1, max_val=1)(x), [-1.0, -0.25, 0.5, 1.0])
        close(nn.HardTanh(-2, 0.25)(x), [-2.0, -0.25, 0.25, 0.25])
        close(nn.Softplus(beta=1, threshold=20)(x), nn.softplus(x))
        close(
            nn.Softplus(beta=2.0, threshold=1.0)(x), [*values(nn.softplus(2 * x[:2]) / 2), math.log1p(math.e) / 2, 3.0]
        )
        close(nn.Softplus()(mx.array(30.0)), 30.0)
        with pytest.raises(ValueError):
            nn.Softplus(beta=0)

    def test_nonlinearity_by_name(self):
        x = mx.random.normal((2, 3))
        layer, other = nn.RNN(3, 4, nonlinearity="relu"), nn.RNN(3, 4, nonlinearity=nn.relu)
        other.update(layer.parameters())
        close(layer(x), other(x))
        assert nn.RNN(3, 4, nonlinearity="tanh").nonlinearity is nn.tanh
        with pytest.raises(ValueError):
            nn.RNN(3, 4, nonlinearity="some")

    def test_initialisers_of_shapes(self):
        layer = nn.Linear(3, 4)
        layer.weight = nn.init.he_normal()(layer.weight.shape)
        assert layer(ones(3)).shape == (4,)
        mx.random.seed(0)
        drawn = nn.init.uniform()([2, 3])
        mx.random.seed(0)
        assert mx.array_equal(nn.init.uniform()(mx.zeros((2, 3))), drawn)
