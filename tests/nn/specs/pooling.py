"""Pooling."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec

SPATIAL = {1: (8,), 2: (4, 6), 3: (4, 3, 2)}


def pooled(layer):
    largest = type(layer).__name__.startswith("Max")

    def oracle(params, x):
        n = x.ndim - 2
        window, stride, padding = (
            (v,) * n if isinstance(v, int) else v for v in (layer.kernel_size, layer.stride, layer.padding)
        )
        fill = -np.inf if largest else 0.0
        x = np.pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)], constant_values=fill)
        windows = np.lib.stride_tricks.sliding_window_view(x, window, tuple(range(1, n + 1)))
        windows = windows[(slice(None), *(slice(None, None, s) for s in stride or window))]
        return (np.max if largest else np.mean)(windows, tuple(range(-n, 0)))

    return oracle


def distinct(*shape):
    """An input without ties, where the maximum has no derivative."""

    def draw(rng, batch):
        size = batch * int(np.prod(shape))
        return (rng.permutation(size).reshape(batch, *shape) / 8).astype(np.float32)

    return draw


def row(kind, arguments, **more):
    layer = eval(f"{kind}({arguments})", vars(nn))
    return LayerSpec(
        name=f"{kind}({arguments})".replace(" ", ""),
        layer=layer,
        inputs=(distinct(*SPATIAL[int(kind[-2])], 2),),
        oracle=pooled(layer),
        mlx=lambda m: eval(f"{kind}({arguments})", vars(m)),
        **more,
    )


ROWS = [
    row("MaxPool1d", "2"),
    row("MaxPool1d", "3, stride=2, padding=1"),
    row("MaxPool2d", "2, stride=1"),
    row("MaxPool2d", "(2, 3), stride=(2, 1), padding=(1, 0)"),
    row("MaxPool3d", "(2, 3, 1)"),
    row("AvgPool1d", "2"),
    row("AvgPool1d", "3, stride=2, padding=1"),
    row("AvgPool2d", "(2, 3), stride=(2, 1), padding=(1, 0)"),
    row("AvgPool3d", "2"),
]
