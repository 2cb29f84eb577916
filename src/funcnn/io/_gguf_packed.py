"""Packed types of GGUF files.

A block of Q4_0, Q4_1 or Q8_0 has 32 elements, scale * q + bias, in groups of which affine quantisation packs as well:
element i of a row in bits (i * width) and up of its words. The types of 5 bits, and those with blocks of 256 elements whose
parts have scales of their own, become float16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcnn as fn

from ._gguf_format import AFFINE_BLOCKS, DENSE_BLOCKS, Q4_1, Q8_0
from ._trees import restore


def packed_parts(data: memoryview, kind: int, shape: tuple[int, ...]) -> dict[str, fn.array]:
    """The weight, scales and biases of a tensor; the weight alone, in float32, where a bias is too large for float16."""
    elements, size = AFFINE_BLOCKS[kind]
    blocks = _blocks(data, size)
    scales = _halves(blocks[:, :2])
    codes = blocks[:, size - (32 if kind == Q8_0 else 16) :]
    if kind == Q8_0:
        packed = codes ^ 0x80  # from -128 ... 127 to 0 ... 255
        wide = scales.astype(fn.float32) * -128
    else:
        nibbles = _nibbles(codes)
        packed = nibbles[:, ::2] | nibbles[:, 1::2] << 4
        wide = _halves(blocks[:, 2:4]).astype(fn.float32) if kind == Q4_1 else scales.astype(fn.float32) * -8
    biases = wide.astype(fn.float16)
    if (fn.isinf(biases) & fn.isfinite(wide)).any():
        numbers = packed if kind == Q8_0 else nibbles
        whole = scales.astype(fn.float32)[:, None] * numbers.astype(fn.float32) + wide[:, None]
        return {"weight": _computed(whole.reshape(shape))[0]}
    rows, groups = shape[:-1], shape[-1] // elements
    words = packed.view(fn.uint32)
    parts = _computed(
        words.reshape(*rows, groups * words.shape[1]), scales.reshape(*rows, groups), biases.reshape(*rows, groups)
    )
    return dict(zip(("weight", "scales", "biases"), parts, strict=True))


def dense(data: memoryview, kind: int, shape: tuple[int, ...]) -> fn.array:
    """The elements of another type, in float16: of those that are not in `DENSE_BLOCKS`, by the package gguf."""
    if not data:
        return fn.zeros(shape, fn.float16)
    if kind in DENSE_BLOCKS:
        name, _, size = DENSE_BLOCKS[kind]
        wide = _UNPACK[name](_blocks(data, size)).reshape(shape)
    else:
        name, wide = _by_the_package(data, kind, shape)
    narrow, beyond = _computed(*_narrowed(wide))
    if beyond:
        raise ValueError(f"a number of the type {name} is beyond the range of float16")
    return narrow


def _narrowed(wide: fn.array) -> tuple[fn.array, fn.array]:
    narrow = wide.astype(fn.float16)
    return narrow, (fn.isinf(narrow) & fn.isfinite(wide)).any()


def _computed(*arrays: fn.array) -> tuple[fn.array, ...]:
    fn.eval(*arrays)
    return arrays


def _by_the_package(data: memoryview, kind: int, shape: tuple[int, ...]) -> tuple[str, fn.array]:
    import numpy as np
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    name = GGMLQuantizationType(kind).name
    try:
        rows: Any = np.frombuffer(data, np.uint8).reshape(*shape[:-1], -1) if shape[-1] else np.zeros(shape, np.uint8)
        return name, fn.array(
            dequantize(rows, GGMLQuantizationType(kind)) if rows.size else np.zeros(shape), fn.float32
        )
    except NotImplementedError:
        raise ValueError(f"the package gguf does not unpack the type {name}") from None


# Of blocks of bytes, (blocks, bytes)


def _blocks(data: memoryview, size: int) -> fn.array:
    return restore(data, (len(data) // size, size), fn.uint8)


def _halves(pairs: fn.array) -> fn.array:
    """The floats of 16 bits that pairs of bytes are."""
    return fn.contiguous(pairs).view(fn.float16)[:, 0]


def _scale(blocks: fn.array, at: int) -> fn.array:
    """The float16 at a byte, beside parts and elements."""
    return _halves(blocks[:, at : at + 2]).astype(fn.float32)[:, None, None]


def _nibbles(codes: fn.array) -> fn.array:
    """The low halves of all bytes, then the high ones."""
    return fn.concatenate([codes & 15, codes >> 4], axis=1)


def _fields(codes: fn.array, width: int, run: int) -> fn.array:
    """Numbers of `width` bits: of each run of bytes the lowest ones, then the next."""
    shifts = fn.arange(0, 8, width, dtype=fn.uint8)[:, None]
    found: fn.array = ((codes.reshape(len(codes), -1, 1, run) >> shifts) & (2**width - 1)).reshape(len(codes), -1)
    return found


def _parts(numbers: fn.array, size: int) -> fn.array:
    return numbers.astype(fn.float32).reshape(len(numbers), -1, size)


def _fives(blocks: fn.array, at: int) -> fn.array:
    """The 32 numbers of five bits whose highest are the bits of four bytes."""
    high = (blocks[:, at : at + 4, None] >> fn.arange(8, dtype=fn.uint8)).reshape(-1, 32) & 1
    return _parts(_nibbles(blocks[:, at + 4 :]) | high << 4, 32)


def _q5_0(blocks: fn.array) -> fn.array:
    return _scale(blocks, 0) * (_fives(blocks, 2) - 16)


def _q5_1(blocks: fn.array) -> fn.array:
    return _scale(blocks, 0) * _fives(blocks, 4) + _scale(blocks, 2)


def _q2_k(blocks: fn.array) -> fn.array:
    scales = _parts(blocks[:, :16] & 15, 1) * _scale(blocks, 80)
    steps = _parts(blocks[:, :16] >> 4, 1) * _scale(blocks, 82)
    return scales * _parts(_fields(blocks[:, 16:80], 2, 32), 16) - steps


def _q3_k(blocks: fn.array) -> fn.array:
    low, high = _nibbles(blocks[:, 96:104]), _fields(blocks[:, 104:108], 2, 4)
    scales = (_parts(low | high << 4, 1) - 32) * _scale(blocks, 108)
    numbers = _parts(_fields(blocks[:, 32:96], 2, 32) | _fields(blocks[:, :32], 1, 32) << 2, 16) - 4
    return scales * numbers


def _of_six_bits(blocks: fn.array) -> tuple[fn.array, fn.array]:
    """The eight scales of the parts of Q4_K and Q5_K, and what is subtracted from them."""
    first, second, rest = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = fn.concatenate([first & 63, (rest & 15) | (first >> 6) << 4], axis=1)
    steps = fn.concatenate([second & 63, rest >> 4 | (second >> 6) << 4], axis=1)
    return _parts(scales, 1) * _scale(blocks, 0), _parts(steps, 1) * _scale(blocks, 2)


def _q4_k(blocks: fn.array) -> fn.array:
    scales, steps = _of_six_bits(blocks)
    return scales * _parts(_fields(blocks[:, 16:], 4, 32), 32) - steps


def _q5_k(blocks: fn.array) -> fn.array:
    scales, steps = _of_six_bits(blocks)
    high = _fields(blocks[:, 16:48], 1, 32)
    return scales * _parts(_fields(blocks[:, 48:], 4, 32) | high << 4, 32) - steps


def _q6_k(blocks: fn.array) -> fn.array:
    scales = _parts(blocks[:, 192:208].view(fn.int8), 1) * _scale(blocks, 208)
    numbers = _fields(blocks[:, :128], 4, 64) | _fields(blocks[:, 128:192], 2, 32) << 4
    return scales * (_parts(numbers, 16) - 32)


_UNPACK: dict[str, Callable[[fn.array], fn.array]] = {
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
