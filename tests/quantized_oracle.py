"""Quantisation written down in NumPy: packing bit by bit, codes by search among all values."""

from __future__ import annotations

import numpy as np

import funcnn as fn

# (mode, bits, group_size) of everything there is.
FORMATS = [("affine", bits, group) for bits in (1, 2, 3, 4, 5, 6, 8) for group in (32, 64, 128)] + [
    ("mxfp4", 4, 32),
    ("mxfp8", 8, 32),
    ("nvfp4", 4, 16),
]


def arguments(form: tuple[str, int, int]) -> dict[str, object]:
    return {"mode": form[0], "bits": form[1], "group_size": form[2]}


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes along the last axis as little-endian words of 32 bits."""
    digits = (codes.astype(np.uint8)[..., None] >> np.arange(bits, dtype=np.uint8)) & 1
    flat = digits.reshape(*codes.shape[:-1], codes.shape[-1] * bits)
    return np.packbits(flat, axis=-1, bitorder="little").view("<u4")


def unpack(words: np.ndarray, bits: int) -> np.ndarray:
    data = np.ascontiguousarray(words).astype("<u4").view(np.uint8)
    digits = np.unpackbits(data, axis=-1, bitorder="little")
    count = words.shape[-1] * 32 // bits
    return digits.reshape(*words.shape[:-1], count, bits).astype(np.int64) @ (1 << np.arange(bits))


def float_values(exponent_bits: int, fraction_bits: int, bias: int) -> np.ndarray:
    """What the codes of a small floating-point format with a sign stand for, as if all were finite."""
    codes = np.arange(1 << (1 + exponent_bits + fraction_bits))
    fraction = codes & ((1 << fraction_bits) - 1)
    exponent = codes >> fraction_bits & ((1 << exponent_bits) - 1)
    size = np.where(
        exponent > 0,
        (1 + fraction / 2.0**fraction_bits) * 2.0 ** (exponent - bias),
        fraction / 2.0**fraction_bits * 2.0 ** (1 - bias),
    )
    return np.where(codes >> (exponent_bits + fraction_bits), -size, size)


E2M1 = float_values(2, 1, 1)
E4M3 = float_values(4, 3, 7)
E4M3[[127, 255]] = np.nan


def nearest(x: np.ndarray, values: np.ndarray, ties_to_even: bool) -> np.ndarray:
    """The code of the nearest of `values`, which ascend from 0, to |x|; beyond the last the last."""
    middle = (values[1:] + values[:-1]) / 2
    size = np.abs(x).astype(np.float64)
    code = np.searchsorted(middle, size, side="left")
    if ties_to_even:
        tie = (code < len(middle)) & (middle[np.minimum(code, len(middle) - 1)] == size)
        code = np.where(tie & (code % 2 == 1), code + 1, code)
    return code


def to_fp8(x: np.ndarray) -> np.ndarray:
    code = np.where(np.isnan(x), 126, nearest(x, E4M3[:127], True))
    return (code | np.where(np.signbit(x), 128, 0)).astype(np.uint8)


def to_fp4(x: np.ndarray) -> np.ndarray:
    code = np.where(np.isnan(x), 0, nearest(x, E2M1[:8], False))
    return np.where((code > 0) & (x < 0), code | 8, code).astype(np.uint8)


def e8m0(codes: np.ndarray) -> np.ndarray:
    return np.where(codes == 255, np.nan, 2.0 ** (codes.astype(np.float64) - 127))


def rounding(dtype: fn.Dtype):
    """A float32 array rounded to a dtype, as float32."""
    return lambda x: np.asarray(fn.array(np.asarray(x, np.float32)).astype(dtype).astype(fn.float32))


def quantize(x: np.ndarray, form: tuple[str, int, int], dtype: fn.Dtype = fn.float32, scale: float | None = None):
    """Codes (packed), scales and, of affine, biases (as float32) of finite float32 numbers that `dtype` holds."""
    mode, bits, group = form
    rounded, f = rounding(dtype), np.float32
    g = np.asarray(x, f).reshape(*x.shape[:-1], x.shape[-1] // group, group)
    with np.errstate(all="ignore"):
        if mode == "affine":
            most, least = f((1 << bits) - 1), f(1e-7)
            high, low = g.max(-1, keepdims=True), g.min(-1, keepdims=True)
            if bits == 1:
                s, b = np.maximum(high - low, least), low
            else:
                below = np.abs(low) > np.abs(high)
                s = np.maximum((high - low) / most, least) * np.where(below, f(1), f(-1))
                edge = np.where(below, low, high)
                steps = np.rint(edge / s)
                b = np.where(steps != 0, edge, f(0))
                s = np.where(steps != 0, edge / steps, s)
            codes = np.clip(np.rint((g - b) / s), 0, most).astype(np.uint8)
            return pack(codes.reshape(x.shape), bits), rounded(s[..., 0]), rounded(b[..., 0])
        top = rounded(np.abs(g).max(-1, keepdims=True) / f(448 if bits == 8 else 6))
        if mode == "nvfp4":
            factor = f(1) if scale is None else f(2688) / f(scale)
            stored = to_fp8(top * factor)
            y = rounded(g / rounded(E4M3[stored])) * factor
            codes = np.where(stored == 0, 0, to_fp4(y))
        else:
            exponent = np.where(top == 0, 0, np.ceil(np.log2(top.astype(np.float64)).astype(f)))
            stored = (np.clip(exponent, -127, 127) + 127).astype(np.uint8)
            y = rounded(g / rounded(e8m0(stored)))
            codes = to_fp8(y) if bits == 8 else to_fp4(y)
    return pack(codes.reshape(x.shape).astype(np.uint8), bits), stored[..., 0]


def dequantize(words: np.ndarray, scales: np.ndarray, biases: np.ndarray | None, form: tuple[str, int, int]):
    """What codes stand for, in float64."""
    mode, bits, group = form
    codes = unpack(np.asarray(words, np.uint32), bits)
    s = np.asarray(scales)
    if mode == "affine":
        assert biases is not None
        return codes * np.repeat(s, group, -1) + np.repeat(np.asarray(biases), group, -1)
    size = E4M3[s.astype(np.uint8)] if mode == "nvfp4" else e8m0(s.astype(np.uint8))
    return (E4M3 if bits == 8 else E2M1)[codes] * np.repeat(size, group, -1)
