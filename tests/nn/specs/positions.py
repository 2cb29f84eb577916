"""Encodings of positions, in NumPy."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec


def rope(_, x, offset=0, dims=4, base=10000.0, scale=1.0, traditional=False):
    """Pairs as complex numbers."""
    half = dims // 2
    order = np.r_[0:dims:2, 1:dims:2] if traditional else np.r_[0:dims]
    pairs = x[..., :dims][..., order]
    angles = scale * (offset + np.arange(x.shape[-2]))[:, None] * base ** (-np.arange(half) / half)
    turned = (pairs[..., :half] + 1j * pairs[..., half:]) * np.exp(1j * angles)
    y = x.copy()
    y[..., order] = np.concatenate([turned.real, turned.imag], -1)
    return y


def alibi(_, scores, mask=0.0, offset=0):
    slopes = np.array([2.0**-4, 2.0**-8, 2.0**-2])[: scores.shape[1], None, None]
    distances = np.abs(offset + np.arange(scores.shape[2])[:, None] - np.arange(scores.shape[3]))
    return scores - slopes * distances + mask


def sinusoidal(_, x, dims=6):
    angles = x[..., None] * np.geomspace(2.0, 0.01, dims // 2)
    return np.sqrt(2 / dims) * np.concatenate([np.sin(angles), np.cos(angles)], -1)


ROWS = [
    LayerSpec(
        name="RoPE",
        layer=nn.RoPE(4),
        inputs=((2, 3, 6),),
        keywords={"offset": 3},
        oracle=rope,
        mlx=lambda m: m.RoPE(4),
    ),
    LayerSpec(
        name="RoPE-traditional",
        layer=nn.RoPE(4, True, 100.0, 0.5),
        inputs=((3, 4),),
        oracle=lambda p, x: rope(p, x, 0, 4, 100.0, 0.5, True),
        mlx=lambda m: m.RoPE(4, True, 100.0, 0.5),
    ),
    LayerSpec(
        name="SinusoidalPositionalEncoding",
        layer=nn.SinusoidalPositionalEncoding(6, min_freq=0.01, max_freq=2.0),
        inputs=((3,),),
        oracle=sinusoidal,
        mlx=lambda m: m.SinusoidalPositionalEncoding(6, 0.01, 2.0),
        halves=False,  # half precision does not hold places; the encoding is float32
    ),
    LayerSpec(
        name="SinusoidalPositionalEncoding-options",
        layer=nn.SinusoidalPositionalEncoding(2, scale=0.5, cos_first=True, full_turns=True),
        inputs=((3,),),
        oracle=lambda _, x: 0.5 * np.stack([np.cos(2 * np.pi * x), np.sin(2 * np.pi * x)], -1),
        mlx=lambda m: m.SinusoidalPositionalEncoding(2, scale=0.5, cos_first=True, full_turns=True),
        halves=False,
    ),
    LayerSpec(
        name="ALiBi",
        layer=nn.ALiBi(),
        inputs=((3, 2, 4),),
        oracle=alibi,
        mlx=lambda m: m.ALiBi(),
    ),
    LayerSpec(
        name="ALiBi-mask",
        layer=nn.ALiBi(),
        inputs=((3, 2, 4),),
        keywords={"offset": 2, "mask": lambda rng, batch: rng.normal(size=(2, 4)).astype(np.float32)},
        oracle=alibi,
        mlx=lambda m: m.ALiBi(),
    ),
]
