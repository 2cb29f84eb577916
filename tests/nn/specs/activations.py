"""Activations."""

import math

import numpy as np

from funcnn import nn

from .rows import LayerSpec

ALPHA, SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def row(layer, oracle, name=None, **options):
    """A row of a layer that MLX has under the same name with the same arguments."""
    arguments = tuple(layer._arguments())
    positional = [value for key, value in arguments if key is None]
    named = {key: value for key, value in arguments if key is not None}
    kind = type(layer).__name__
    options.setdefault("mlx", lambda m: getattr(m, kind)(*positional, **named))
    return LayerSpec(
        name=name or kind, layer=layer, inputs=((6,),), oracle=lambda params, x: oracle(x, *params.values()), **options
    )


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def glu(x):
    a, b = np.split(x, 2, axis=-1)
    return a * sigmoid(b)


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ROWS = [
    row(nn.Sigmoid(), sigmoid),
    row(nn.ReLU(), lambda x: np.maximum(x, 0), kinks=True),
    row(nn.ReLU2(), lambda x: np.maximum(x, 0) ** 2, kinks=True),
    row(nn.ReLU6(), lambda x: np.clip(x, 0, 6), kinks=True),
    row(nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x), kinks=True),
    row(nn.PReLU(), lambda x, a: np.where(x > 0, x, a * x), kinks=True),
    row(
        nn.PReLU(6, init=0.5),
        lambda x, a: np.where(x > 0, x, a * x),
        "PReLU-each",
        kinks=True,
    ),
    row(nn.ELU(0.5), lambda x: elu(x, 0.5), kinks=True),
    row(nn.CELU(0.5), lambda x: elu(x / 0.5) * 0.5, kinks=True),
    row(nn.SELU(), lambda x: SCALE * elu(x, ALPHA), kinks=True),
    row(nn.SiLU(), lambda x: x * sigmoid(x)),
    row(nn.GELU(), lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
    row(nn.GELU("precise"), tanh_gelu, "GELU-precise"),
    row(nn.GELU("tanh"), tanh_gelu, "GELU-tanh"),
    row(nn.GELU("fast"), lambda x: x * sigmoid(1.702 * x), "GELU-fast"),
    row(nn.GLU(), glu),
    row(nn.Tanh(), np.tanh),
    row(nn.Softplus(), lambda x: np.log1p(np.exp(x))),
    row(nn.Softsign(), lambda x: x / (1 + np.abs(x)), kinks=True),
    row(nn.Softshrink(0.3), lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.3, 0), kinks=True),
    row(nn.HardShrink(), lambda x: np.where(np.abs(x) > 0.5, x, 0), kinks=True),
    row(nn.HardTanh(), lambda x: np.clip(x, -1, 1), kinks=True),
    row(nn.Hardswish(), lambda x: x * np.clip(x + 3, 0, 6) / 6, kinks=True),
    row(nn.Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    row(nn.Step(0.5), lambda x: (x >= 0.5).astype(np.int32), differentiable=False, halves=False),
    row(nn.LogSigmoid(), lambda x: -np.log1p(np.exp(-x))),
    row(nn.Softmax(), softmax),
    row(nn.Softmin(), lambda x: softmax(-x)),
    row(nn.LogSoftmax(), lambda x: np.log(softmax(x))),
]
