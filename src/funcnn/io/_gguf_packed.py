"""Packed types of GGUF files.

A block of Q4_0, Q4_1 or Q8_0 has 32 elements, scale * q + bias, in groups of which affine quantisation packs as well:
element i of a row in bits (i * width) and up of its words.
"""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ._gguf_format import AFFINE_BLOCKS, Q4_1, Q8_0


def packed_parts(data: memoryview, kind: int, shape: tuple[int, ...]) -> dict[str, fn.array]:
    """The weight, scales and biases of a tensor; the weight alone, in float32, where a bias is too large for float16."""
    import numpy as np

    elements, size = AFFINE_BLOCKS[kind]
    blocks = np.frombuffer(data, np.uint8).reshape(-1, size)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2")[:, 0]
    codes = blocks[:, size - (32 if kind == Q8_0 else 16) :]
    if kind == Q8_0:
        packed = codes ^ np.uint8(0x80)  # from -128 ... 127 to 0 ... 255
        wide = scales.astype(np.float32) * np.float32(-128)
    else:
        # Elements 0 to 15 are in the low halves of the bytes, 16 to 31 in the high ones.
        halves = np.concatenate([codes & np.uint8(15), codes >> np.uint8(4)], axis=1)
        packed = halves[:, ::2] | halves[:, 1::2] << np.uint8(4)
        if kind == Q4_1:
            wide = np.ascontiguousarray(blocks[:, 2:4]).view("<f2")[:, 0].astype(np.float32)
        else:
            wide = scales.astype(np.float32) * np.float32(-8)
    with np.errstate(over="ignore"):
        biases = wide.astype(np.float16)
    if (np.isinf(biases) & np.isfinite(wide)).any():
        numbers = packed if kind == Q8_0 else np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1)
        whole = scales.astype(np.float32)[:, None] * numbers.reshape(-1, 32) + wide[:, None]
        return {"weight": fn.array(whole.reshape(shape), fn.float32)}
    rows, groups = shape[:-1], shape[-1] // elements
    words = np.ascontiguousarray(packed).view("<u4").astype(np.uint32, copy=False)
    return {
        "weight": fn.asarray(words.reshape(*rows, groups * words.shape[1])),
        "scales": fn.asarray(scales.astype(np.float16, copy=False).reshape(*rows, groups)),
        "biases": fn.asarray(biases.reshape(*rows, groups)),
    }


def dense(data: memoryview, kind: int, shape: tuple[int, ...]) -> fn.array:
    """The elements of a type that the package gguf knows, in float16."""
    import numpy as np
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    name = GGMLQuantizationType(kind).name
    try:
        rows: Any = np.frombuffer(data, np.uint8).reshape(*shape[:-1], -1) if shape[-1] else np.zeros(shape, np.uint8)
        wide = dequantize(rows, GGMLQuantizationType(kind)) if rows.size else np.zeros(shape, np.float32)
    except NotImplementedError:
        raise ValueError(f"the package gguf does not unpack the type {name}") from None
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = wide.astype(np.float16)
    if (np.isinf(narrow) & np.isfinite(wide)).any():
        raise ValueError(f"a number of the type {name} is beyond the range of float16")
    return fn.array(narrow.reshape(shape), fn.float16)
