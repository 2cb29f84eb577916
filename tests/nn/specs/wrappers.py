"""Layers around a layer."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec

BLOCK = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.Tanh(), nn.Dropout(0.25))
UPDATES = ("layers.1.running_mean", "layers.1.running_var")


def block(params, x):
    linear, norm = params["layers"][:2]
    x = x @ linear["weight"].T + linear["bias"]
    return np.tanh((x - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"])


def part(params, i):
    """The i-th of stacked parameters."""
    if isinstance(params, dict):
        return {key: part(value, i) for key, value in params.items()}
    return [part(value, i) for value in params] if isinstance(params, list) else params[i]


def repeated(params, x):
    for i in range(3):
        x = block(part(params, i), x)
    return x


def row(name, layer, oracle, **options):
    return LayerSpec(
        name=name,
        layer=layer,
        inputs=((3,),),
        oracle=oracle,
        needs_key=True,
        updates=UPDATES,
        least_batch=2,
        **options,
    )


ROWS = [
    row("checkpoint", nn.checkpoint(BLOCK), block),
    row("scan_layers", nn.scan_layers(BLOCK, 3), repeated),
    row(
        "vmap",
        nn.vmap(BLOCK, 2, out_axes=1),
        lambda params, x: np.stack([block(part(params, i), x) for i in range(2)], axis=1),
    ),
    row("checkpoint-scan_layers", nn.scan_layers(nn.checkpoint(BLOCK), 3), repeated),
    # Casts to wider dtypes keep the digits that the tests compare.
    row(
        "mixed_precision",
        nn.mixed_precision(BLOCK, "float64", None, overrides={nn.BatchNorm: nn.Precision("float64", "float64")}),
        block,
        halves=False,
    ),
    row(
        "mixed_precision-scan_layers",
        nn.mixed_precision(nn.scan_layers(BLOCK, 3), "float64", None, overrides={"layers.0.bias": None}),
        repeated,
        halves=False,
    ),
]
