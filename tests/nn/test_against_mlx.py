"""Layers, activations, losses and initialisers against MLX, where it is installed."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

mx = pytest.importorskip("mlx.core")
mlx_nn = pytest.importorskip("mlx.nn")

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32) * 2


def thaw(params):
    """Dicts and lists, which MLX expects."""
    if isinstance(params, (dict, fn.frozendict)):
        return {key: thaw(value) for key, value in params.items()}
    if isinstance(params, tuple):
        return [thaw(value) for value in params]
    return mx.array(np.asarray(params))


def close(a, b, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


LAYERS = [
    (nn.Linear(6, 3), lambda: mlx_nn.Linear(6, 3)),
    (nn.Linear(6, 3, bias=False), lambda: mlx_nn.Linear(6, 3, bias=False)),
    (nn.LayerNorm(6), lambda: mlx_nn.LayerNorm(6)),
    (nn.LayerNorm(6, affine=False), lambda: mlx_nn.LayerNorm(6, affine=False)),
    (nn.LayerNorm(6, bias=False), lambda: mlx_nn.LayerNorm(6, bias=False)),
    (nn.RMSNorm(6), lambda: mlx_nn.RMSNorm(6)),
    (nn.PReLU(), lambda: mlx_nn.PReLU()),
    (nn.LeakyReLU(0.2), lambda: mlx_nn.LeakyReLU(0.2)),
    (nn.ELU(0.5), lambda: mlx_nn.ELU(0.5)),
    (nn.CELU(0.5), lambda: mlx_nn.CELU(0.5)),
    (nn.Softshrink(0.3), lambda: mlx_nn.Softshrink(0.3)),
    (nn.HardShrink(0.3), lambda: mlx_nn.HardShrink()),
    (nn.Step(0.5), lambda: mlx_nn.Step(0.5)),
    (nn.GLU(), lambda: mlx_nn.GLU()),
    (nn.GELU(), lambda: mlx_nn.GELU()),
    (nn.GELU("precise"), lambda: mlx_nn.GELU("precise")),
    (nn.GELU("fast"), lambda: mlx_nn.GELU("fast")),
    *(
        (getattr(nn, name)(), lambda name=name: getattr(mlx_nn, name)())
        for name in [
            "Sigmoid",
            "ReLU",
            "ReLU2",
            "ReLU6",
            "SELU",
            "SiLU",
            "Tanh",
            "Softplus",
            "Softsign",
            "HardTanh",
            "Hardswish",
            "Mish",
            "LogSigmoid",
            "Softmax",
            "Softmin",
            "LogSoftmax",
        ]
    ),
]


@pytest.mark.parametrize("ours, theirs", LAYERS, ids=lambda x: repr(x) if isinstance(x, nn.Layer) else "")
def test_layers(ours, theirs):
    theirs = theirs()
    params = tree.map(lambda p: p + 0.1 * random.normal(random.key(1), p.shape), ours.init(random.key(0)))
    names = sorted(k for k, v in theirs.parameters().items() if isinstance(v, mx.array))
    assert names == sorted(params)
    theirs.update(thaw(params))
    tolerance = 1e-3 if "HardShrink" in repr(ours) else 2e-5
    if isinstance(ours, nn.HardShrink):
        theirs.lambd = ours.lambd
    close(ours(params, fn.array(X)), theirs(mx.array(X)), tolerance)

    def our_loss(params, x):
        return fn.sum(fn.square(ours(params, x)).astype(fn.float32))

    def their_loss(params, x):
        theirs.update(params)
        return mx.sum(mx.square(theirs(x)))

    if isinstance(ours, nn.Step):
        return
    g, gx = fn.grad(our_loss, argnums=(0, 1))(params, fn.array(X))
    h, hx = mx.grad(their_loss, argnums=(0, 1))(thaw(params), mx.array(X))
    close(gx, hx, 2e-4)
    for name in params:
        close(g[name], h[name], 2e-4)


@pytest.mark.parametrize("shape", [(8, 3), (2, 4, 3), (2, 3, 2, 3)], ids=str)
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.3}], ids=str)
def test_batch_norm(shape, options):
    ours, theirs = nn.BatchNorm(3, **options), mlx_nn.BatchNorm(3, **options)
    params = ours.init(random.key(0))
    for i in range(3):
        x = np.random.default_rng(i).normal(size=shape).astype(np.float32) + i
        y, updates = ours.apply(params, fn.array(x), training=True)
        theirs.train()
        close(y, theirs(mx.array(x)))
        params = tree.merge(params, updates)
        for name, value in params.items():
            close(value, theirs[name])
        theirs.eval()
        close(ours(params, fn.array(x)), theirs(mx.array(x)))


def test_batch_norm_refuses_what_has_no_variance():
    layer = nn.BatchNorm(3)
    params = layer.init(random.key(0))
    with pytest.raises(ValueError, match="more than one value"):
        layer.apply(params, fn.ones((1, 3)), training=True)
    with pytest.raises(ValueError, match=r"expected \(N, ..., 3\)"):
        layer(params, fn.ones((3,)))


def test_embedding():
    layer = nn.Embedding(7, 4)
    params = layer.init(random.key(0))
    theirs = mlx_nn.Embedding(7, 4)
    theirs.update(thaw(params))
    x = np.array([[1, 2], [6, 0]])
    close(layer(params, fn.array(x)), theirs(mx.array(x)))
    y = fn.ones((3, 4))
    close(layer.as_linear(params, y), theirs.as_linear(mx.array(np.ones((3, 4), np.float32))))
    with pytest.raises(TypeError, match="expected integers, got float32"):
        layer(params, y)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("layer", [nn.LayerNorm(6), nn.RMSNorm(6), nn.GELU(), nn.Softmax()], ids=repr)
def test_half_precision_stays(layer, dtype):
    dtype = getattr(fn, dtype)
    params = tree.map(lambda p: p.astype(dtype), layer.init(random.key(0)))
    y = layer(params, fn.array(X).astype(dtype))
    assert y.dtype == dtype
    close(y.astype(fn.float32), layer(layer.init(random.key(0)), fn.array(X)), 4e-2)


# ---- losses

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(size=(5, 7)).astype(np.float32) * 3
CLASSES = RNG.integers(0, 7, 5).astype(np.int32)
PROBABILITIES = (lambda p: p / p.sum(1, keepdims=True))(RNG.uniform(size=(5, 7)).astype(np.float32))
WEIGHTS = RNG.uniform(size=5).astype(np.float32)
A, B, C = (RNG.normal(size=(5, 7)).astype(np.float32) for _ in range(3))
POSITIVE = RNG.uniform(0.1, 0.9, size=(5, 7)).astype(np.float32)
SIGNS = np.sign(A)

LOSSES = [
    ("cross_entropy", (LOGITS, CLASSES), {}),
    ("cross_entropy", (LOGITS, PROBABILITIES), {}),
    ("cross_entropy", (LOGITS, CLASSES), {"label_smoothing": 0.3}),
    ("cross_entropy", (LOGITS, PROBABILITIES), {"label_smoothing": 0.3}),
    ("cross_entropy", (LOGITS, CLASSES, WEIGHTS), {}),
    ("cross_entropy", (LOGITS.T.copy(), CLASSES), {"axis": 0}),
    ("cross_entropy", (LOGITS * 1e4, CLASSES), {}),
    ("binary_cross_entropy", (A, POSITIVE), {}),
    ("binary_cross_entropy", (POSITIVE, PROBABILITIES), {"with_logits": False}),
    ("binary_cross_entropy", (np.round(POSITIVE), np.round(POSITIVE.T.reshape(5, 7))), {"with_logits": False}),
    ("binary_cross_entropy", (A, POSITIVE, POSITIVE), {}),
    ("l1_loss", (A, B), {}),
    ("mse_loss", (A, B), {}),
    ("nll_loss", (A, CLASSES), {}),
    ("gaussian_nll_loss", (A, B, POSITIVE), {}),
    ("gaussian_nll_loss", (A, B, POSITIVE), {"full": True}),
    ("kl_div_loss", (A, B), {}),
    ("smooth_l1_loss", (A, B), {}),
    ("smooth_l1_loss", (A, B), {"beta": 0.3}),
    ("triplet_loss", (A, B, C), {}),
    ("hinge_loss", (A, SIGNS), {}),
    ("huber_loss", (A, B), {"delta": 0.7}),
    ("log_cosh_loss", (A, B), {}),
    ("cosine_similarity_loss", (A, B), {}),
    ("margin_ranking_loss", (A, B, SIGNS), {"margin": 0.2}),
]


@pytest.mark.parametrize("reduction", ["default", "none", "mean", "sum"])
@pytest.mark.parametrize("name, args, options", LOSSES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(LOSSES)])
def test_losses(name, args, options, reduction):
    if reduction != "default":
        options = {**options, "reduction": reduction}
    ours, theirs = getattr(nn.losses, name), getattr(mlx_nn.losses, name)
    close(ours(*map(fn.array, args), **options), theirs(*map(mx.array, args), **options), 1e-4)
    if reduction == "sum":
        rest = args[1:]
        got = fn.grad(lambda x: ours(x, *map(fn.array, rest), **options))(fn.array(args[0]))
        wanted = mx.grad(lambda x: theirs(x, *map(mx.array, rest), **options))(mx.array(args[0]))
        if np.all(np.isfinite(np.asarray(wanted))):
            close(got, wanted, 5e-4)


def test_losses_refuse_what_does_not_fit():
    logits, classes = fn.array(LOGITS), fn.array(CLASSES)
    with pytest.raises(ValueError, match=r"logits of shape \(5, 7\) take class indices of shape \(5,\)"):
        nn.losses.cross_entropy(logits, fn.zeros(4, dtype=fn.int32))
    with pytest.raises(ValueError, match="label_smoothing"):
        nn.losses.cross_entropy(logits, classes, label_smoothing=1.0)
    with pytest.raises(ValueError, match="weights must have the shape of the loss"):
        nn.losses.cross_entropy(logits, classes, weights=fn.ones(7))
    with pytest.raises(ValueError, match="reduction must be"):
        nn.losses.cross_entropy(logits, classes, reduction="median")
    with pytest.raises(TypeError, match="class indices must be integers, got float32"):
        nn.losses.cross_entropy(logits, fn.ones(5))
    with pytest.raises(fn.AxisError):
        nn.losses.cross_entropy(logits, classes, axis=2)
    with pytest.raises(ValueError, match=r"predictions \(5, 7\), targets \(5,\)"):
        nn.losses.mse_loss(logits, fn.ones(5))


# ---- initialisers


@pytest.mark.parametrize("shape", [(400, 300), (40, 3, 3, 50)], ids=str)
@pytest.mark.parametrize(
    "name, options",
    [
        ("normal", {}),
        ("uniform", {}),
        ("glorot_normal", {}),
        ("glorot_uniform", {}),
        ("he_normal", {}),
        ("he_uniform", {}),
        ("he_normal", {"mode": "fan_out", "gain": 2.0}),
    ],
)
def test_initialisers_have_the_same_spread(name, options, shape):
    x = np.asarray(getattr(nn.init, name)(random.key(0), shape, **options))
    y = np.asarray(getattr(mlx_nn.init, name)()(mx.zeros(shape), **options))
    assert x.shape == shape and x.dtype == np.float32
    close(x.std(), y.std(), 2e-2)
    close(x.mean(), y.mean(), 2e-2)
    if "normal" not in name:
        close(np.abs(x).max(), np.abs(y).max(), 1e-2)


# Names of types that MLX does not have.
OURS = {
    "Bidirectional",
    "Checkpointed",
    "DoRAEmbedding",
    "DoRALinear",
    "DynamicLossScale",
    "Flatten",
    "KVCache",
    "Lambda",
    "Layer",
    "LoRAEmbedding",
    "LoRALinear",
    "LossScale",
    "Mapped",
    "MixedPrecision",
    "Params",
    "Precision",
    "Residual",
    "RotatingKVCache",
    "Scanned",
    "StaticLossScale",
    "Tied",
    "Trainable",
    "View",
}


def test_names_are_those_of_mlx():
    assert {name for name in nn.__all__ if name[0].isupper() and not hasattr(mlx_nn, name)} == OURS
