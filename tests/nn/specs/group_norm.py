"""Normalisation of each sample by itself."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec


def normalised(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def scaled(params, y):
    return y * params.get("weight", 1.0) + params.get("bias", 0.0)


def of_neighbours(groups):
    """Groups of neighbouring features."""

    def oracle(params, x):
        parts = np.split(x, groups, axis=-1)
        return scaled(params, np.concatenate([normalised(p, tuple(range(1, x.ndim))) for p in parts], axis=-1))

    return oracle


def of_strided(groups):
    """Groups of features that are so many apart."""

    def oracle(params, x):
        y = np.empty_like(x)
        for g in range(groups):
            y[..., g::groups] = normalised(x[..., g::groups], tuple(range(1, x.ndim)))
        return scaled(params, y)

    return oracle


def instance_norm(params, x):
    return scaled(params, normalised(x, tuple(range(1, x.ndim - 1))))


ROWS = [
    LayerSpec(
        name="GroupNorm",
        layer=nn.GroupNorm(2, 6),
        inputs=((2, 3, 6),),
        oracle=of_strided(2),
        mlx=lambda m: m.GroupNorm(2, 6),
    ),
    LayerSpec(
        name="GroupNorm-pytorch",
        layer=nn.GroupNorm(2, 6, pytorch_compatible=True),
        inputs=((2, 3, 6),),
        oracle=of_neighbours(2),
        mlx=lambda m: m.GroupNorm(2, 6, pytorch_compatible=True),
    ),
    LayerSpec(
        name="GroupNorm-plain",
        layer=nn.GroupNorm(3, 6, affine=False, pytorch_compatible=True),
        inputs=((4, 6),),
        oracle=of_neighbours(3),
        mlx=lambda m: m.GroupNorm(3, 6, affine=False, pytorch_compatible=True),
    ),
    LayerSpec(
        name="InstanceNorm",
        layer=nn.InstanceNorm(3),
        inputs=((4, 3),),
        oracle=instance_norm,
        mlx=lambda m: m.InstanceNorm(3),
    ),
    LayerSpec(
        name="InstanceNorm-affine",
        layer=nn.InstanceNorm(3, affine=True),
        inputs=((2, 3, 3),),
        oracle=instance_norm,
        mlx=lambda m: m.InstanceNorm(3, affine=True),
    ),
]
