"""Quantised layers: the products of what the codes stand for."""

import numpy as np

import funcnn as fn
from funcnn import nn

from .rows import LayerSpec, integers


def matrix(p, **layout):
    """What the codes stand for: scales and biases are those of the test, which may be of any size."""
    parts = [None if part is None else fn.array(part) for part in (p["weight"], p["scales"], p.get("biases"))]
    floats = [part if part is None or part.dtype != fn.float64 else part.astype(fn.float32) for part in parts]
    return np.asarray(fn.dequantize(*floats, **layout, dtype=fn.float32), np.float64)


def linear(**layout):
    return lambda p, x: x @ matrix(p, **layout).T + p.get("bias", 0.0)


ROWS = [
    LayerSpec(
        name=f"QuantizedLinear-{mode}",
        layer=nn.QuantizedLinear(64, 3, bias, group, mode=mode),
        inputs=((64,),),
        oracle=linear(group_size=group, mode=mode),
        tolerance=2e-5,
        mlx=lambda m, bias=bias, group=group, mode=mode: m.QuantizedLinear(64, 3, bias, group, mode=mode),
    )
    for mode, group, bias in [("affine", 32, True), ("mxfp4", 32, True), ("mxfp8", 32, False), ("nvfp4", 16, True)]
] + [
    LayerSpec(
        name="QuantizedEmbedding",
        layer=nn.QuantizedEmbedding(5, 32, 32, 8),
        inputs=(integers(0, 5, 2),),
        oracle=lambda p, x: matrix(p, group_size=32, bits=8)[x],
        mlx=lambda m: m.QuantizedEmbedding(5, 32, 32, 8),
    ),
    LayerSpec(
        name="QuantizedEmbedding-mxfp8",
        layer=nn.QuantizedEmbedding(5, 32, mode="mxfp8", dtype=fn.float32),
        inputs=(integers(0, 5, 2),),
        oracle=lambda p, x: matrix(p, mode="mxfp8")[x],
        differentiable=False,
        halves=False,  # the dtype is the layer's
        names={"float32": fn.float32},
    ),
    LayerSpec(
        name="QQLinear",
        layer=nn.QQLinear(32, 3, mode="mxfp8"),
        inputs=((32,),),
        oracle=lambda p, x: rounded(x) @ rounded(p["weight"]).T,
        differentiable=False,  # gradients pass through the rounding; see test_quantized.py
        half_tolerance=0.4,  # an input may be rounded to the next code
    ),
    LayerSpec(
        name="QQLinear-quantized",
        layer=nn.QQLinear(32, 3, mode="nvfp4", quantized=True),
        inputs=((32,),),
        oracle=lambda p, x: rounded(x, mode="nvfp4") @ matrix(p, mode="nvfp4").T,
        differentiable=False,
        half_tolerance=0.4,
    ),
]


def rounded(x, mode="mxfp8"):
    codes = fn.quantize(fn.array(x, fn.float32), mode=mode)
    return np.asarray(fn.dequantize(*codes, mode=mode, dtype=fn.float32), np.float64)
