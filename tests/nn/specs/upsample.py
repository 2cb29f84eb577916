"""Resampling."""

import math

import numpy as np

from funcnn import nn

from .rows import LayerSpec


def weight(layer, distance):
    if layer.mode == "linear":
        return max(0.0, 1.0 - distance)
    a = -0.5 if layer.antialias else -0.75
    if distance <= 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    return a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a if distance < 2 else 0.0


def matrix(layer, size, scale):
    """How much of each element of an axis goes into each of the result."""
    count = int(size * scale)
    m = np.zeros((count, size))
    for i in range(count):
        if layer.mode == "nearest":
            place = round((i + 0.5) * size / count - 0.5) if count > size else math.floor(i * size / count)
            m[i, place] = 1.0
            continue
        if layer.align_corners:
            place = i * (size - 1) / max(count - 1, 1)
        else:  # the middle of one axis lies on that of the other
            place = (i - (count - 1) / 2) / scale + (size - 1) / 2
        wide = 1 / min(scale, 1) if layer.antialias else 1
        reach = range(math.floor(place - 2 * wide) - 1, math.ceil(place + 2 * wide) + 2)
        for k in reach:
            if not layer.antialias or 0 <= k < size:
                m[i, min(max(k, 0), size - 1)] += weight(layer, abs(place - k) / wide)
        m[i] /= m[i].sum()
    return m


def resampled(layer):
    def oracle(params, x):
        n = x.ndim - 2
        scales = layer.scale_factor if isinstance(layer.scale_factor, tuple) else (layer.scale_factor,) * n
        for axis, scale in enumerate(scales, 1):
            x = np.moveaxis(np.tensordot(matrix(layer, x.shape[axis], scale), x, (1, axis)), 0, axis)
        return x

    return oracle


def row(shape, arguments):
    layer = eval(f"Upsample({arguments})", vars(nn))
    return LayerSpec(
        name=f"Upsample({arguments})".replace(" ", ""),
        layer=layer,
        inputs=((*shape, 2),),
        oracle=resampled(layer),
        mlx=lambda m: eval(f"Upsample({arguments})", vars(m)),
    )


ROWS = [
    row((3,), "2"),
    row((3, 5), "(2, 1.7)"),
    row((4,), "2, 'linear'"),
    row((3, 4), "1.5, 'linear', align_corners=True"),
    row((2, 3, 2), "(2, 0.7, 1), 'linear'"),
    row((4,), "2.5, 'cubic'"),
    row((3, 4), "(2, 3), 'cubic', align_corners=True"),
    row((8,), "0.4, 'linear', antialias=True"),
    row((4, 7), "(2, 0.5), 'cubic', antialias=True"),
]
