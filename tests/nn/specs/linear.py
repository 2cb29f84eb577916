"""Affine maps and tables."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec, integers


def affine(params, x):
    return x @ params["weight"].T + params.get("bias", 0.0)


def mirrored(params, x):
    rows = params["layers"][0]["weight"]
    return rows[x] @ rows.T + params["layers"][1]["bias"]


def bilinear(params, x1, x2):
    return np.einsum("...i,oji,...j->...o", x1, params["weight"], x2) + params.get("bias", 0.0)


ROWS = [
    LayerSpec(name="Identity", layer=nn.Identity(), inputs=((4,),), oracle=lambda _, x: x, mlx=lambda m: m.Identity()),
    LayerSpec(name="Linear", layer=nn.Linear(4, 3), inputs=((4,),), oracle=affine, mlx=lambda m: m.Linear(4, 3)),
    LayerSpec(
        name="Linear-no-bias",
        layer=nn.Linear(4, 3, bias=False),
        inputs=((2, 4),),
        oracle=affine,
        mlx=lambda m: m.Linear(4, 3, bias=False),
    ),
    LayerSpec(
        name="Embedding",
        layer=nn.Embedding(5, 3),
        inputs=(integers(0, 5, 2),),
        oracle=lambda params, x: params["weight"][x],
        mlx=lambda m: m.Embedding(5, 3),
    ),
    LayerSpec(
        name="Bilinear",
        layer=nn.Bilinear(3, 4, 2),
        inputs=((3,), (4,)),
        oracle=bilinear,
        mlx=lambda m: m.Bilinear(3, 4, 2),
    ),
    LayerSpec(
        name="Bilinear-no-bias",
        layer=nn.Bilinear(3, 4, 2, bias=False),
        inputs=((2, 3), (2, 4)),
        oracle=bilinear,
        mlx=lambda m: m.Bilinear(3, 4, 2, bias=False),
    ),
    LayerSpec(
        name="Tied",
        layer=nn.tie(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5)), {"layers.1.weight": "layers.0.weight"}),
        inputs=(integers(0, 5, 2),),
        oracle=mirrored,
    ),
]
