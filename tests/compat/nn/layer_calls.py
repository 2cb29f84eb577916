"""One table of what is called in ``nn``: layers, activations, losses and initialisers.

A call is made with either library and told as figures: dtypes, shapes and numbers of everything it gives, the gradients and the
parameters before and after it. What MLX gives lies in ``layer_figures.json``, written by

    FUNCNN_COMPAT_LIBRARY=mlx python -m tests.compat.nn.layer_calls

with an environment that has it.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

FIGURES = pathlib.Path(__file__).with_name("layer_figures.json")
Library = Any  # with attributes mx, nn and utils


def drawn(name: str, shape: tuple[int, ...], kind: str = "f") -> np.ndarray:
    """Numbers that depend on the name only: floats, positive ones, integers from 0 to 3, bools, signs."""
    draws = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if kind == "f":
        return draws
    if kind == "p":
        return (0.05 + 0.9 / (1 + np.exp(-draws))).astype(np.float32)
    if kind == "i":
        return (np.abs(draws * 10).astype(np.int32) % 4).astype(np.int32)
    if kind == "s":
        return np.where(draws < 0, -1, 1).astype(np.float32)
    return draws < 0.7


@dataclasses.dataclass(frozen=True)
class Call:
    """How a layer is built and called: inputs are shapes with a letter for their kind."""

    build: Callable[[Any, Any], Any]
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    trains: bool  # whether training differs
    half: bool  # whether it takes half precision

    def arrays(self, name: str) -> list[Any]:
        return [
            drawn(f"{name} {i}", given[1:], given[0]) if isinstance(given, tuple) else given
            for i, given in enumerate(self.inputs)
        ]


def _c(build: Callable[[Any, Any], Any], *inputs: Any, trains: bool = False, half: bool = True, **options: Any) -> Call:
    return Call(
        build,
        tuple(("f", *x) if isinstance(x, tuple) and not isinstance(x[0], str) else x for x in inputs),
        options,
        trains,
        half,
    )


def _heads(nn: Any, **options: Any) -> Any:
    return nn.MultiHeadAttention(8, 2, **options)


LAYERS: dict[str, Call] = {
    "Identity": _c(lambda nn, mx: nn.Identity(3, key=4), (2, 3)),
    "Linear": _c(lambda nn, mx: nn.Linear(5, 3), (4, 5)),
    "Linear of a vector": _c(lambda nn, mx: nn.Linear(5, 3), (5,)),
    "Linear without bias": _c(lambda nn, mx: nn.Linear(5, 3, bias=False), (2, 2, 5)),
    "Bilinear": _c(lambda nn, mx: nn.Bilinear(3, 4, 2), (2, 5, 3), (2, 5, 4)),
    "Bilinear without bias": _c(lambda nn, mx: nn.Bilinear(3, 4, 2, bias=False), (5, 3), (5, 4)),
    "Embedding": _c(lambda nn, mx: nn.Embedding(4, 6), ("i", 2, 3)),
    "Sequential": _c(lambda nn, mx: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), mx.abs, nn.Linear(4, 2)), (5, 3)),
    "Conv1d": _c(lambda nn, mx: nn.Conv1d(4, 6, 3), (2, 9, 4)),
    "Conv1d with options": _c(
        lambda nn, mx: nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False), (2, 9, 4)
    ),
    "Conv2d": _c(lambda nn, mx: nn.Conv2d(3, 4, 3), (2, 6, 5, 3)),
    "Conv2d with pairs": _c(
        lambda nn, mx: nn.Conv2d(4, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), (2, 6, 5, 4)
    ),
    "Conv3d": _c(lambda nn, mx: nn.Conv3d(2, 3, 2, stride=2, padding=1), (1, 4, 5, 3, 2)),
    "ConvTranspose1d": _c(
        lambda nn, mx: nn.ConvTranspose1d(4, 3, 3, stride=2, padding=1, output_padding=1), (2, 5, 4)
    ),
    "ConvTranspose2d": _c(
        lambda nn, mx: nn.ConvTranspose2d(3, 2, (3, 2), stride=2, padding=(1, 0), dilation=1, bias=False), (2, 4, 3, 3)
    ),
    "ConvTranspose3d": _c(lambda nn, mx: nn.ConvTranspose3d(2, 2, 2, stride=2), (1, 2, 3, 2, 2)),
    "Dropout": _c(lambda nn, mx: nn.Dropout(0.3), (4, 5), trains=True),
    "Dropout of nothing": _c(lambda nn, mx: nn.Dropout(0), (4, 5), trains=True),
    "Dropout2d": _c(lambda nn, mx: nn.Dropout2d(0.4), (3, 4, 2, 5), trains=True),
    "Dropout2d of one": _c(lambda nn, mx: nn.Dropout2d(), (4, 2, 5), trains=True),
    "Dropout3d": _c(lambda nn, mx: nn.Dropout3d(0.4), (2, 2, 3, 2, 4), trains=True),
    "InstanceNorm": _c(lambda nn, mx: nn.InstanceNorm(3), (2, 4, 3)),
    "InstanceNorm with gains": _c(lambda nn, mx: nn.InstanceNorm(3, eps=1e-3, affine=True), (2, 3, 4, 3)),
    "LayerNorm": _c(lambda nn, mx: nn.LayerNorm(6), (2, 3, 6)),
    "LayerNorm without bias": _c(lambda nn, mx: nn.LayerNorm(6, eps=0.1, bias=False), (4, 6)),
    "LayerNorm without gains": _c(lambda nn, mx: nn.LayerNorm(6, affine=False), (6,)),
    "RMSNorm": _c(lambda nn, mx: nn.RMSNorm(6, eps=1e-4), (2, 3, 6)),
    "GroupNorm": _c(lambda nn, mx: nn.GroupNorm(2, 6), (2, 3, 2, 6)),
    "GroupNorm of neighbours": _c(
        lambda nn, mx: nn.GroupNorm(3, 6, affine=False, pytorch_compatible=True), (2, 4, 6)
    ),
    "BatchNorm": _c(lambda nn, mx: nn.BatchNorm(5), (4, 5), trains=True),
    "BatchNorm of images": _c(lambda nn, mx: nn.BatchNorm(3, momentum=0.4, eps=1e-2), (2, 3, 4, 3), trains=True),
    "BatchNorm without statistics": _c(
        lambda nn, mx: nn.BatchNorm(3, affine=False, track_running_stats=False), (4, 2, 3), trains=True
    ),
    "MaxPool1d": _c(lambda nn, mx: nn.MaxPool1d(2), (2, 7, 3)),
    "MaxPool2d": _c(lambda nn, mx: nn.MaxPool2d((3, 2), stride=(2, 1), padding=1), (2, 6, 5, 3)),
    "MaxPool3d": _c(lambda nn, mx: nn.MaxPool3d(2, padding=[1, 0, 1]), (1, 4, 4, 4, 2)),
    "AvgPool1d": _c(lambda nn, mx: nn.AvgPool1d((3,), stride=1, padding=1), (2, 7, 3)),
    "AvgPool2d": _c(lambda nn, mx: nn.AvgPool2d(2), (2, 6, 4, 3)),
    "AvgPool3d": _c(lambda nn, mx: nn.AvgPool3d(2, stride=1), (1, 3, 4, 3, 2)),
    "RoPE": _c(lambda nn, mx: nn.RoPE(4), (2, 3, 5, 4)),
    "RoPE with options": _c(
        lambda nn, mx: nn.RoPE(4, traditional=True, base=100, scale=0.5), (1, 3, 5, 6), offset=2
    ),
    "SinusoidalPositionalEncoding": _c(lambda nn, mx: nn.SinusoidalPositionalEncoding(8), (3,)),
    "SinusoidalPositionalEncoding with options": _c(
        lambda nn, mx: nn.SinusoidalPositionalEncoding(2, 0.01, 2, scale=3.0, cos_first=True, full_turns=True), ("i", 2, 3)
    ),
    "ALiBi": _c(lambda nn, mx: nn.ALiBi(), (1, 6, 3, 5), half=False),
    "ALiBi with options": _c(lambda nn, mx: nn.ALiBi(), (1, 4, 3, 5), 2, (3, 5), half=False),
    "RNN": _c(lambda nn, mx: nn.RNN(3, 4), (2, 5, 3)),
    "RNN from a state": _c(lambda nn, mx: nn.RNN(3, 4, bias=False, nonlinearity=nn.relu), (5, 3), (4,)),
    "RNN with a function": _c(lambda nn, mx: nn.RNN(3, 4, nonlinearity=lambda x: mx.sin(x)), (2, 2, 5, 3), (2, 2, 4)),
    "RNN with a layer": _c(lambda nn, mx: nn.RNN(3, 4, nonlinearity=nn.PReLU()), (2, 5, 3)),
    "GRU": _c(lambda nn, mx: nn.GRU(3, 4), (2, 5, 3)),
    "GRU from a state": _c(lambda nn, mx: nn.GRU(3, 4), (2, 5, 3), (2, 4)),
    "GRU without bias": _c(lambda nn, mx: nn.GRU(3, 4, bias=False), (5, 3), (4,)),
    "LSTM": _c(lambda nn, mx: nn.LSTM(3, 4), (2, 5, 3)),
    "LSTM from states": _c(lambda nn, mx: nn.LSTM(3, 4, bias=False), (5, 3), hidden=("f", 4), cell=("f", 4)),
    "LSTM from states of a batch": _c(lambda nn, mx: nn.LSTM(3, 4), (1, 3), (2, 4)),
    "MultiHeadAttention": _c(lambda nn, mx: _heads(nn), (2, 3, 8), (2, 5, 8), (2, 5, 8)),
    "MultiHeadAttention with sizes": _c(
        lambda nn, mx: _heads(
            nn, query_input_dims=3, key_input_dims=4, value_input_dims=5, value_dims=6, value_output_dims=7, bias=True
        ),
        (2, 3, 3), (2, 5, 4), (2, 5, 5),
    ),
    "MultiHeadAttention causal": _c(lambda nn, mx: _heads(nn), (2, 4, 8), (2, 4, 8), (2, 4, 8), "causal"),
    "MultiHeadAttention masked": _c(
        lambda nn, mx: _heads(nn), (2, 4, 8), (2, 4, 8), (2, 4, 8), ("f", 2, 1, 4, 4), half=False
    ),
    "MultiHeadAttention masked by bools": _c(
        lambda nn, mx: _heads(nn), (2, 4, 8), (2, 4, 8), (2, 4, 8), ("b", 2, 1, 4, 4)
    ),
    "TransformerEncoderLayer": _c(
        lambda nn, mx: nn.TransformerEncoderLayer(8, 2, mlp_dims=6, dropout=0.2), (2, 3, 8), None, trains=True
    ),
    "TransformerEncoder": _c(lambda nn, mx: nn.TransformerEncoder(2, 8, 2, activation=nn.gelu), (2, 3, 8), "causal"),
    "TransformerEncoder afterwards": _c(
        lambda nn, mx: nn.TransformerEncoder(2, 8, 2, 5, norm_first=False), (2, 3, 8), ("f", 3, 3), half=False
    ),
    "TransformerEncoder with checkpoints": _c(
        lambda nn, mx: nn.TransformerEncoder(2, 8, 2, checkpoint=True), (2, 3, 8), None
    ),
    "TransformerDecoderLayer": _c(
        lambda nn, mx: nn.TransformerDecoderLayer(8, 2, dropout=0.3, norm_first=False), (2, 3, 8), (2, 4, 8), "causal", None,
        trains=True,
    ),
    "TransformerDecoder": _c(
        lambda nn, mx: nn.TransformerDecoder(2, 8, 2, checkpoint=True), (2, 3, 8), (2, 4, 8), None, None
    ),
    "Transformer": _c(
        lambda nn, mx: nn.Transformer(8, 2, 1, 1, 6), (2, 3, 8), (2, 4, 8), None, "causal", None
    ),
    "Upsample": _c(lambda nn, mx: nn.Upsample(2), (2, 3, 2, 3)),
    "Upsample nearest down": _c(lambda nn, mx: nn.Upsample((0.5, 1.5)), (2, 4, 4, 3)),
    "Upsample linear": _c(lambda nn, mx: nn.Upsample(2.5, mode="linear"), (2, 4, 3)),
    "Upsample linear corners": _c(lambda nn, mx: nn.Upsample(2, "linear", align_corners=True), (1, 3, 4, 2)),
    "Upsample cubic": _c(lambda nn, mx: nn.Upsample((2, 3), mode="cubic"), (1, 3, 4, 2)),
    "Upsample cubic corners": _c(lambda nn, mx: nn.Upsample(2, "cubic", align_corners=True), (1, 5, 2)),
    "Upsample antialias": _c(lambda nn, mx: nn.Upsample(0.5, "cubic", antialias=True), (1, 8, 6, 2)),
    "Upsample linear antialias": _c(lambda nn, mx: nn.Upsample(0.5, "linear", antialias=True), (1, 8, 2)),
    "AllToShardedLinear": _c(lambda nn, mx: nn.AllToShardedLinear(5, 3), (4, 5)),
    "ShardedToAllLinear": _c(lambda nn, mx: nn.ShardedToAllLinear(5, 3), (4, 5)),
    "QuantizedAllToShardedLinear": _c(lambda nn, mx: nn.QuantizedAllToShardedLinear(64, 32), (2, 64), half=False),
    "QuantizedShardedToAllLinear": _c(
        lambda nn, mx: nn.QuantizedShardedToAllLinear(64, 32, bias=False, bits=8, group_size=32), (2, 64), half=False
    ),
    "FullyShardedModule": _c(lambda nn, mx: nn.FullyShardedModule(nn.Linear(5, 3)), (4, 5)),
    "FullyShardedModule in bfloat16": _c(
        lambda nn, mx: nn.FullyShardedModule(nn.Linear(5, 3), compute_dtype=mx.bfloat16), (4, 5), half=False
    ),
    "PReLU": _c(lambda nn, mx: nn.PReLU(3, init=0.1), (2, 3)),
    **{
        name: _c(lambda nn, mx, name=name, options=options: getattr(nn, name)(**options), (2, 3, 4))
        for name, options in {
            "GLU": {"axis": 2}, "Sigmoid": {}, "Mish": {}, "ReLU": {}, "ReLU2": {}, "ReLU6": {},
            "LeakyReLU": {"negative_slope": 0.2}, "ELU": {"alpha": 0.7}, "Softmax": {}, "Softplus": {}, "Softsign": {},
            "Softshrink": {"lambd": 0.3}, "CELU": {"alpha": 1.5}, "SiLU": {}, "LogSoftmax": {}, "LogSigmoid": {},
            "GELU": {}, "Tanh": {}, "Hardswish": {}, "Step": {"threshold": 0.1}, "SELU": {}, "HardTanh": {},
            "HardShrink": {"lambd": 0.3}, "Softmin": {},
        }.items()
    },
    "GELU precise": _c(lambda nn, mx: nn.GELU("precise"), (2, 3)),
    "GELU tanh": _c(lambda nn, mx: nn.GELU(approx="tanh"), (2, 3)),
    "GELU fast": _c(lambda nn, mx: nn.GELU("fast"), (2, 3)),
}  # fmt: skip

ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "sigmoid": (), "relu": (), "relu2": (), "relu6": (), "leaky_relu": (0.3,), "log_softmax": (0,), "elu": (0.5,),
    "softmax": (0,), "softplus": (), "softsign": (), "softshrink": (0.25,), "celu": (0.5,), "silu": (),
    "log_sigmoid": (), "gelu": (), "gelu_approx": (), "gelu_fast_approx": (), "glu": (-2,), "step": (0.2,), "selu": (),
    "mish": (), "hardswish": (), "hard_tanh": (-0.5, 0.7), "hard_shrink": (0.25,), "softmin": (0,), "tanh": (),
}  # fmt: skip

# Inputs, then options.
LOSSES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "cross_entropy": ("cross_entropy", (("f", 3, 4), ("i", 3)), {}),
    "cross_entropy along an axis": ("cross_entropy", (("f", 3, 4, 2), ("i", 3, 2)), {"axis": 1, "label_smoothing": 0.1}),
    "cross_entropy of probabilities": ("cross_entropy", (("f", 3, 4), ("p", 3, 4)), {}),
    "cross_entropy of probabilities, smoothed": ("cross_entropy", (("f", 3, 4), ("p", 3, 4)), {"label_smoothing": 0.2}),
    "cross_entropy weighted": ("cross_entropy", (("f", 3, 4), ("i", 3), ("p", 3)), {}),
    "binary_cross_entropy": ("binary_cross_entropy", (("f", 3, 4), ("p", 3, 4)), {}),
    "binary_cross_entropy of probabilities": (
        "binary_cross_entropy", (("p", 3, 4), ("p", 3, 4), ("p", 3, 4)), {"with_logits": False}
    ),
    "l1_loss": ("l1_loss", (("f", 3, 4), ("f", 3, 4)), {}),
    "mse_loss": ("mse_loss", (("f", 3, 4), ("f", 3, 4)), {}),
    "nll_loss": ("nll_loss", (("f", 3, 4), ("i", 3)), {}),
    "nll_loss along an axis": ("nll_loss", (("f", 4, 3), ("i", 3)), {"axis": 0}),
    "gaussian_nll_loss": ("gaussian_nll_loss", (("f", 3, 4), ("f", 3, 4), ("p", 3, 4)), {"full": True}),
    "gaussian_nll_loss without eps": ("gaussian_nll_loss", (("f", 3, 4), ("f", 3, 4), ("p", 3, 4)), {"eps": 0.0}),
    "kl_div_loss": ("kl_div_loss", (("f", 3, 4), ("f", 3, 4)), {}),
    "kl_div_loss broadcast": ("kl_div_loss", (("f", 3, 4), ("f", 4)), {"axis": 0}),
    "smooth_l1_loss": ("smooth_l1_loss", (("f", 3, 4), ("f", 3, 4)), {"beta": 0.5}),
    "triplet_loss": ("triplet_loss", (("f", 3, 4), ("f", 3, 4), ("f", 3, 4)), {}),
    "triplet_loss with options": (
        "triplet_loss", (("f", 3, 4), ("f", 4), ("f", 3, 4)), {"axis": 0, "p": 3, "margin": 0.3, "eps": 1e-3}
    ),
    "hinge_loss": ("hinge_loss", (("f", 3, 4), ("s", 3, 4)), {}),
    "huber_loss": ("huber_loss", (("f", 3, 4), ("f", 3, 4)), {"delta": 0.5}),
    "log_cosh_loss": ("log_cosh_loss", (("f", 3, 4), ("f", 3, 1)), {}),
    "cosine_similarity_loss": ("cosine_similarity_loss", (("f", 3, 4), ("f", 3, 4)), {}),
    "cosine_similarity_loss along an axis": ("cosine_similarity_loss", (("f", 3, 4), ("f", 3, 4)), {"axis": -2}),
    "margin_ranking_loss": ("margin_ranking_loss", (("f", 3), ("f", 3), ("s", 3)), {"margin": 0.1}),
}  # fmt: skip

INITIALISERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], dict[str, Any]]] = {
    "constant": ("constant", {"value": 0.5}, (2, 3), {}),
    "normal": ("normal", {"mean": 1.0, "std": 2.0}, (3, 5), {}),
    "uniform": ("uniform", {"low": -1.0, "high": 2.0}, (3, 5), {}),
    "identity": ("identity", {}, (3, 3), {}),
    "glorot_normal": ("glorot_normal", {}, (4, 3), {"gain": 0.5}),
    "glorot_uniform": ("glorot_uniform", {}, (4, 2, 3), {}),
    "he_normal": ("he_normal", {}, (4, 3), {"mode": "fan_out", "gain": 2.0}),
    "he_uniform": ("he_uniform", {}, (4, 2, 3), {}),
    "sparse": ("sparse", {"sparsity": 0.3}, (4, 5), {}),
    "orthogonal": ("orthogonal", {"gain": 2.0}, (3, 5), {}),
    "orthogonal, tall": ("orthogonal", {}, (5, 3), {}),
}  # fmt: skip

KINDS = {"float32": 0, "float16": 1, "bfloat16": 2}


def numbers(x: Any, lib: Library) -> np.ndarray:
    """The values of an array as NumPy has them."""
    if x.dtype == lib.mx.bfloat16:
        x = x.astype(lib.mx.float32)
    return np.array(x)


def dtype_of(x: Any) -> str:
    return str(x.dtype).rpartition(".")[2]


def weights_like(x: Any, lib: Library) -> Any:
    size = int(np.prod(x.shape))
    return lib.mx.array(np.cos(np.arange(size)).astype(np.float32).reshape(x.shape))


def floats(lib: Library, dtype: str) -> Any:
    return getattr(lib.mx, dtype)


def layer_results(
    lib: Library, name: str, *, training: bool = False, dtype: str = "float32", cast: bool = True
) -> dict[str, Any]:
    """Build and call a layer; arrays by what they are, and the text of the layer."""
    mx, call = lib.mx, LAYERS[name]
    mx.random.seed(7)
    layer = call.build(lib.nn, mx)
    found: dict[str, Any] = {"repr": repr(layer)}
    for path, x in lib.utils.tree_flatten(layer.parameters()):
        found[f"parameter {path}"] = x
    kind = floats(lib, dtype)
    if cast and dtype != "float32":
        layer.set_dtype(kind)
    layer.train(training)
    arrays = call.arrays(name)
    options = {
        key: mx.array(drawn(f"{name} {key}", x[1:], x[0])) if isinstance(x, tuple) else x
        for key, x in call.options.items()
    }
    inputs = [mx.array(x) if isinstance(x, np.ndarray) else x for x in arrays]
    places = [i for i, x in enumerate(arrays) if isinstance(x, np.ndarray) and x.dtype == np.float32]
    for i in places:
        inputs[i] = inputs[i].astype(kind)
    options = {key: x.astype(kind) if isinstance(x, mx.array) else x for key, x in options.items()}

    def run(parameters: Any, given: list[Any]) -> list[Any]:
        layer.update(parameters)
        full = list(inputs)
        for i, x in zip(places, given, strict=True):
            full[i] = x
        mx.random.seed(11)
        y = layer(*full, **options)
        return list(y) if isinstance(y, tuple) else [y]

    given = [inputs[i] for i in places]
    trainable = layer.trainable_parameters()
    for i, y in enumerate(run(trainable, given)):
        found[f"result {i}"] = y
    for path, x in lib.utils.tree_flatten(layer.parameters()):
        if "running" in path:
            found[f"after {path}"] = x
    argnums = [i for i, x in enumerate((trainable, given)) if lib.utils.tree_flatten(x)]
    gradients = mx.grad(lambda *xs: scalar(run(*xs), lib), argnums=argnums)(trainable, given) if argnums else ()
    for i, gradient in zip(argnums, gradients if len(argnums) > 1 else [gradients], strict=False):
        gradient = gradient[0] if isinstance(gradient, tuple) else gradient
        for path, x in sorted(lib.utils.tree_flatten(gradient), key=lambda item: item[0]):
            found[f"gradient {'by the input' if i else 'by'} {path}"] = x
    return found


def scalar(ys: Any, lib: Library) -> Any:
    """A sum of all elements, none with the same factor."""
    return sum((y.astype(lib.mx.float32) * weights_like(y, lib)).sum() for y in ys)


def activation_results(lib: Library, name: str, dtype: str) -> dict[str, Any]:
    mx = lib.mx
    x = mx.array(drawn(name, (4, 6)) * 2).astype(floats(lib, dtype))
    function = getattr(lib.nn, name)

    def run(x: Any) -> Any:
        return function(x, *ACTIVATIONS[name])

    return {"result": run(x), "gradient": mx.grad(lambda x: scalar([run(x)], lib))(x)}


def loss_results(lib: Library, name: str, dtype: str, reduction: str | None) -> dict[str, Any]:
    mx = lib.mx
    kind, inputs, options = LOSSES[name]
    function = getattr(lib.nn.losses, kind)
    arrays = [mx.array(drawn(f"{name} {i}", x[1:], x[0])) for i, x in enumerate(inputs)]
    arrays = [x.astype(floats(lib, dtype)) if x.dtype == mx.float32 else x for x in arrays]
    places = [i for i, x in enumerate(arrays) if mx.issubdtype(x.dtype, mx.floating)]
    if reduction is not None:
        options = {**options, "reduction": reduction}

    def run(*given: Any) -> Any:
        full = list(arrays)
        for i, x in zip(places, given, strict=True):
            full[i] = x
        return function(*full, **options)

    given = [arrays[i] for i in places]
    gradients = mx.grad(lambda *xs: scalar([run(*xs)], lib), argnums=list(range(len(places))))(*given)
    gradients = gradients if isinstance(gradients, (tuple, list)) else (gradients,)
    return {"result": run(*given), **{f"gradient {i}": x for i, x in enumerate(gradients)}}


def initialiser_results(lib: Library, name: str, dtype: str) -> dict[str, Any]:
    lib.mx.random.seed(3)
    kind, options, shape, called = INITIALISERS[name]
    made = getattr(lib.nn.init, kind)(**options, dtype=floats(lib, dtype))
    first = made(lib.mx.zeros(shape), **called)
    return {"first": first, "next": made(lib.mx.zeros(shape), **called)}


def cases() -> dict[str, Callable[[Library], dict[str, Any]]]:
    """Every call whose figures are kept, by name."""
    found: dict[str, Callable[[Library], dict[str, Any]]] = {}
    for name, call in LAYERS.items():
        for training in (False, True) if call.trains else (False,):
            mode = " in training" if training else ""
            found[f"layer {name}{mode}"] = lambda lib, n=name, t=training: layer_results(lib, n, training=t)
            if call.half:
                for dtype in ("float16", "bfloat16"):
                    found[f"layer {name}{mode}, {dtype}"] = lambda lib, n=name, t=training, d=dtype: layer_results(
                        lib, n, training=t, dtype=d
                    )
                found[f"layer {name}{mode}, input in float16"] = lambda lib, n=name, t=training: layer_results(
                    lib, n, training=t, dtype="float16", cast=False
                )
    for dtype in KINDS:
        for name in ACTIVATIONS:
            found[f"function {name}, {dtype}"] = lambda lib, n=name, d=dtype: activation_results(lib, n, d)
        for name in INITIALISERS:
            found[f"initialiser {name}, {dtype}"] = lambda lib, n=name, d=dtype: initialiser_results(lib, n, d)
        for name in LOSSES:
            found[f"loss {name}, {dtype}"] = lambda lib, n=name, d=dtype: loss_results(lib, n, d, None)
    for name in LOSSES:
        for reduction in ("none", "mean", "sum"):
            found[f"loss {name}, {reduction}"] = lambda lib, n=name, r=reduction: loss_results(lib, n, "float32", r)
    return found


def figures(name: str, results: dict[str, Any], lib: Library) -> dict[str, Any]:
    """What is kept of results: of arrays dtype, shape and weighted sums, only one in half precision."""
    half = "float16" in name
    found: dict[str, Any] = {}
    for what, x in results.items():
        if half and (isinstance(x, str) or what.startswith("parameter")):  # as in float32
            continue
        if isinstance(x, str):
            found[what] = re.sub(r"<.* at 0x\w+>", "<function>", x)
            continue
        values = numbers(x, lib).astype(np.float64).reshape(-1)
        steps = np.arange(values.size)
        sums = [np.abs(values).sum(), (values * np.cos(steps)).sum(), (values * np.sin(3 * steps + 1)).sum()]
        sums = [float(f"{s:.5g}") for s in sums[:1]] if half else [float(f"{s:.8g}") for s in sums]
        found[what] = [dtype_of(x), list(x.shape), *sums]
    return found


def main() -> None:
    from tests.compat.library import REAL, mx, nn, utils

    if not REAL:
        raise SystemExit("the figures are those of MLX: FUNCNN_COMPAT_LIBRARY=mlx")
    mx.disable_compile()
    lib = SimpleNamespace(mx=mx, nn=nn, utils=utils)
    kept = {name: figures(name, case(lib), lib) for name, case in cases().items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
    FIGURES.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
