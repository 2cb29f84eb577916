"""Normalisation and dropout."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec

STATISTICS = ("running_mean", "running_var")


def scaled(params, y):
    return y * params.get("weight", 1.0) + params.get("bias", 0.0)


def layer_norm(params, x):
    return scaled(params, (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5))


def rms_norm(params, x):
    return scaled(params, x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5))


def batch_norm(params, x):
    return scaled(params, (x - params["running_mean"]) / np.sqrt(params["running_var"] + 1e-5))


def batch_norm_of_batch(params, x):
    axes = tuple(range(x.ndim - 1))
    return scaled(params, (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5))


ROWS = [
    LayerSpec(name="LayerNorm", layer=nn.LayerNorm(6), inputs=((6,),), oracle=layer_norm, mlx=lambda m: m.LayerNorm(6)),
    LayerSpec(
        name="LayerNorm-no-bias",
        layer=nn.LayerNorm(6, bias=False),
        inputs=((2, 6),),
        oracle=layer_norm,
        mlx=lambda m: m.LayerNorm(6, bias=False),
    ),
    LayerSpec(
        name="LayerNorm-plain",
        layer=nn.LayerNorm(6, affine=False),
        inputs=((6,),),
        oracle=layer_norm,
        mlx=lambda m: m.LayerNorm(6, affine=False),
    ),
    LayerSpec(name="RMSNorm", layer=nn.RMSNorm(6), inputs=((6,),), oracle=rms_norm, mlx=lambda m: m.RMSNorm(6)),
    LayerSpec(
        name="BatchNorm",
        layer=nn.BatchNorm(3),
        inputs=((2, 3),),
        oracle=batch_norm,
        mlx=lambda m: m.BatchNorm(3),
        updates=STATISTICS,
    ),
    LayerSpec(
        name="BatchNorm-plain",
        layer=nn.BatchNorm(3, affine=False, momentum=0.3),
        inputs=((3,),),
        oracle=batch_norm,
        mlx=lambda m: m.BatchNorm(3, affine=False, momentum=0.3),
        updates=STATISTICS,
        least_batch=2,
    ),
    LayerSpec(
        name="BatchNorm-of-batch",
        layer=nn.BatchNorm(3, track_running_stats=False),
        inputs=((2, 3),),
        oracle=batch_norm_of_batch,
        mlx=lambda m: m.BatchNorm(3, track_running_stats=False),
        batched=False,
    ),
    LayerSpec(
        name="Dropout",
        layer=nn.Dropout(0.25),
        inputs=((8,),),
        oracle=lambda params, x: x,
        mlx=lambda m: m.Dropout(0.25),
        needs_key=True,
    ),
    LayerSpec(
        name="Dropout2d",
        layer=nn.Dropout2d(0.25),
        inputs=((2, 2, 8),),
        oracle=lambda params, x: x,
        mlx=lambda m: m.Dropout2d(0.25),
        needs_key=True,
    ),
    LayerSpec(
        name="Dropout3d",
        layer=nn.Dropout3d(0.25),
        inputs=((2, 1, 2, 8),),
        oracle=lambda params, x: x,
        mlx=lambda m: m.Dropout3d(0.25),
        needs_key=True,
    ),
]
