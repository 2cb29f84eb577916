"""Layers made of layers."""

import numpy as np

import funcnn as fn
from funcnn import nn

from .rows import LayerSpec


def affine(params, x):
    return x @ params["weight"].T + params["bias"]


ROWS = [
    LayerSpec(
        name="Sequential",
        layer=nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.LeakyReLU(0.2)), nn.Linear(4, 2)),
        inputs=((3,),),
        kinks=True,
        oracle=lambda params, x: (
            np.maximum(x @ params["layers"][0]["weight"].T + params["layers"][0]["bias"], 0.0)
            @ params["layers"][3]["weight"].T
            + params["layers"][3]["bias"]
        ),
        mlx=lambda m: m.Sequential(m.Linear(3, 4), m.ReLU(), m.Sequential(m.LeakyReLU(0.2)), m.Linear(4, 2)),
    ),
    LayerSpec(
        name="Sequential-with-state",
        layer=nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.SiLU(), nn.Dropout(0.25), nn.Linear(4, 2)),
        inputs=((3,),),
        needs_key=True,
        updates=("layers.1.running_mean", "layers.1.running_var"),
        least_batch=2,
        mlx=lambda m: m.Sequential(m.Linear(3, 4), m.BatchNorm(4), m.SiLU(), m.Dropout(0.25), m.Linear(4, 2)),
    ),
    LayerSpec(name="Sequential-empty", layer=nn.Sequential(), inputs=((3,),), oracle=lambda params, x: x),
    LayerSpec(
        name="Residual",
        layer=nn.Residual(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))),
        inputs=((3,),),
        oracle=lambda params, x: (
            x + affine(params["body"]["layers"][2], np.tanh(affine(params["body"]["layers"][0], x)))
        ),
    ),
    LayerSpec(
        name="Residual-with-state",
        layer=nn.Residual(nn.Sequential(nn.BatchNorm(3), nn.Dropout(0.25))),
        inputs=((3,),),
        needs_key=True,
        updates=("body.layers.0.running_mean", "body.layers.0.running_var"),
        least_batch=2,
    ),
    LayerSpec(
        name="Lambda",
        layer=nn.Lambda(fn.square),
        inputs=((3,),),
        oracle=lambda params, x: x * x,
        names={"square": fn.square},
    ),
    LayerSpec(name="Flatten", layer=nn.Flatten(), inputs=((2, 3),), oracle=lambda params, x: x.reshape(x.shape[0], 6)),
    LayerSpec(
        name="Flatten-middle",
        layer=nn.Flatten(1, -2),
        inputs=((2, 3, 4),),
        oracle=lambda params, x: x.reshape(x.shape[0], 6, 4),
    ),
]
