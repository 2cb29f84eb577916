"""Layers: frozen descriptions of functions over trees of parameters.

See ``Layer`` for how they work, ``losses`` for what to minimise and ``init`` for initialisers.
"""

from .. import _hints
from . import init, losses
from ._activation_layers import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    HardShrink,
    Hardswish,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU2,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Step,
    Tanh,
)
from ._activations import (
    celu,
    elu,
    gelu,
    gelu_approx,
    gelu_fast_approx,
    glu,
    hard_shrink,
    hard_tanh,
    hardswish,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    prelu,
    relu,
    relu2,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    step,
    tanh,
)
from ._adapt import dora, lora, merge_lora
from ._attention import MultiHeadAttention
from ._cache import KVCache
from ._capture import capture
from ._containers import Flatten, Lambda, Residual, Sequential
from ._convolution import Conv1d, Conv2d, Conv3d
from ._convolution_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ._dropout import Dropout, Dropout2d, Dropout3d
from ._embedding import Embedding
from ._group_norm import GroupNorm, InstanceNorm
from ._layer import Layer, Params
from ._linear import Bilinear, Identity, Linear
from ._lora import DoRAEmbedding, DoRALinear, LoRAEmbedding, LoRALinear
from ._loss_scale import DynamicLossScale, LossScale, StaticLossScale
from ._norm import BatchNorm, LayerNorm, RMSNorm
from ._parameters import cast, count
from ._pooling import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from ._pooling_layers import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from ._positions import ALiBi, RoPE, SinusoidalPositionalEncoding
from ._precision import MixedPrecision, Precision, mixed_precision
from ._quantize import quantize
from ._quantized import QQLinear, QuantizedEmbedding, QuantizedLinear
from ._recurrent import GRU, LSTM, RNN, Bidirectional
from ._replace import replace
from ._rotating_cache import RotatingKVCache
from ._stacking import stack, unstack
from ._tabulate import tabulate
from ._tie import Tied, Trainable, tie, trainable
from ._transformer import (
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from ._upsample import Upsample
from ._view import View
from ._wrappers import Checkpointed, Mapped, Scanned, checkpoint, scan_layers, vmap

__all__ = [
    "tabulate",
    "dora",
    "lora",
    "merge_lora",
    "DoRAEmbedding",
    "DoRALinear",
    "LoRAEmbedding",
    "LoRALinear",
    "cast",
    "count",
    "ALiBi",
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm",
    "Bidirectional",
    "Bilinear",
    "Checkpointed",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Dropout2d",
    "Dropout3d",
    "DynamicLossScale",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "HardShrink",
    "HardTanh",
    "Hardswish",
    "Identity",
    "InstanceNorm",
    "KVCache",
    "Lambda",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "LossScale",
    "Mapped",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Mish",
    "MixedPrecision",
    "MultiHeadAttention",
    "PReLU",
    "Params",
    "Precision",
    "QQLinear",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "RMSNorm",
    "ReLU",
    "ReLU2",
    "ReLU6",
    "Residual",
    "RoPE",
    "RotatingKVCache",
    "Scanned",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositionalEncoding",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "StaticLossScale",
    "Step",
    "Tanh",
    "Tied",
    "Trainable",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Upsample",
    "View",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "capture",
    "celu",
    "checkpoint",
    "elu",
    "gelu",
    "gelu_approx",
    "gelu_fast_approx",
    "glu",
    "hard_shrink",
    "hard_tanh",
    "hardswish",
    "init",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "losses",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mixed_precision",
    "prelu",
    "quantize",
    "relu",
    "relu2",
    "relu6",
    "replace",
    "scan_layers",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "stack",
    "step",
    "tanh",
    "tie",
    "trainable",
    "unstack",
    "vmap",
]


_hints.close(globals())
