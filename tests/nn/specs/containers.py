"""Layers made of layers."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec

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
]
