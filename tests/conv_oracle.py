"""Convolutions as loops over NumPy arrays: what the tests hold the kernels against."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def dilated(x: np.ndarray, dilation: Sequence[int]) -> np.ndarray:
    """Zeros between the elements of the spatial axes."""
    shape = [(n - 1) * d + 1 if n else 0 for n, d in zip(x.shape[1:-1], dilation, strict=True)]
    out = np.zeros((x.shape[0], *shape, x.shape[-1]), x.dtype)
    out[(slice(None), *(slice(None, None, d) for d in dilation))] = x
    return out


def padded(x: np.ndarray, low: Sequence[int], high: Sequence[int]) -> np.ndarray:
    """Zeros at the ends of the spatial axes, or elements cut off."""
    for axis, (a, b) in enumerate(zip(low, high, strict=True), 1):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(a, 0), max(b, 0))
        x = np.pad(x, widths)
        cut = [slice(None)] * x.ndim
        cut[axis] = slice(max(-a, 0), x.shape[axis] - max(-b, 0))
        x = x[tuple(cut)]
    return x


def conv(
    x: np.ndarray,
    weight: np.ndarray,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    kernel_dilation: Sequence[int],
    input_dilation: Sequence[int],
    groups: int = 1,
    flip: bool = False,
) -> np.ndarray:
    """What `fn.conv_general` computes, a tap of the kernel at a time."""
    x = padded(dilated(x, input_dilation), low, high)
    kernel = weight.shape[1:-1]
    if flip:
        weight = np.flip(weight, tuple(range(1, weight.ndim - 1)))
    lengths = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, d, s in zip(x.shape[1:-1], kernel, kernel_dilation, stride, strict=True)
    ]
    out = np.zeros((x.shape[0], *lengths, weight.shape[0]), np.result_type(x, weight))
    ins, outs = x.shape[-1] // groups, weight.shape[0] // groups
    for tap in itertools.product(*map(range, kernel)):
        seen = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, kernel_dilation, lengths, stride, strict=True)
        )
        for g in range(groups):
            window = x[(slice(None), *seen, slice(g * ins, (g + 1) * ins))]
            out[..., g * outs : (g + 1) * outs] += window @ weight[(slice(g * outs, (g + 1) * outs), *tap)].T
    return out


def conv_transpose(
    x: np.ndarray,
    weight: np.ndarray,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    output_padding: Sequence[int],
    groups: int = 1,
) -> np.ndarray:
    """What `fn.conv_transpose*` computes: each element adds its multiple of the kernel."""
    kernel = weight.shape[1:-1]
    full = [(n - 1) * s + d * (k - 1) + 1 for n, k, d, s in zip(x.shape[1:-1], kernel, dilation, stride, strict=True)]
    room = [n + o + max(0, -p) for n, o, p in zip(full, output_padding, padding, strict=True)]
    out = np.zeros((x.shape[0], *room, weight.shape[0]), np.result_type(x, weight))
    ins, outs = x.shape[-1] // groups, weight.shape[0] // groups
    for tap in itertools.product(*map(range, kernel)):
        seen = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, x.shape[1:-1], stride, strict=True)
        )
        for g in range(groups):
            part = x[..., g * ins : (g + 1) * ins] @ weight[(slice(g * outs, (g + 1) * outs), *tap)].T
            out[(slice(None), *seen, slice(g * outs, (g + 1) * outs))] += part
    low = [-p for p in padding]
    high = [n + o - p - r for n, o, p, r in zip(full, output_padding, padding, room, strict=True)]
    return padded(out, low, high)
