"""Products, convolutions, and quantised weights."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ._wrap import refuse_numbers, shim


def _quantize(*args: Any, **kwargs: Any) -> list[Any]:
    return list(fn.quantize(*args, **kwargs))


addmm = shim(fn.addmm, "addmm", otherwise=refuse_numbers)
block_masked_mm = shim(fn.block_masked_mm, "block_masked_mm")
conv1d = shim(fn.conv1d, "conv1d")
conv2d = shim(fn.conv2d, "conv2d")
conv3d = shim(fn.conv3d, "conv3d")
conv_general = shim(fn.conv_general, "conv_general")
conv_transpose1d = shim(fn.conv_transpose1d, "conv_transpose1d")
conv_transpose2d = shim(fn.conv_transpose2d, "conv_transpose2d")
conv_transpose3d = shim(fn.conv_transpose3d, "conv_transpose3d")
convolve = shim(fn.convolve, "convolve")
dequantize = shim(fn.dequantize, "dequantize")
einsum = shim(fn.einsum, "einsum")
gather_mm = shim(fn.gather_mm, "gather_mm")
gather_qmm = shim(fn.gather_qmm, "gather_qmm")
gather_qqmm = shim(fn.gather_qqmm, "gather_qqmm")
hadamard_transform = shim(fn.hadamard_transform, "hadamard_transform")
inner = shim(fn.inner, "inner")
kron = shim(fn.kron, "kron")
matmul = shim(fn.matmul, "matmul", otherwise=refuse_numbers)
outer = shim(fn.outer, "outer")
qqmm = shim(fn.qqmm, "qqmm")
quantize = shim(_quantize, "quantize")
quantized_matmul = shim(fn.quantized_matmul, "quantized_matmul")
segmented_mm = shim(fn.segmented_mm, "segmented_mm")
tensordot = shim(fn.tensordot, "tensordot", otherwise=refuse_numbers)
trace = shim(fn.trace, "trace")
vecdot = shim(fn.vecdot, "vecdot")

__all__ = [
    "addmm",
    "block_masked_mm",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_general",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve",
    "dequantize",
    "einsum",
    "gather_mm",
    "gather_qmm",
    "gather_qqmm",
    "hadamard_transform",
    "inner",
    "kron",
    "matmul",
    "outer",
    "qqmm",
    "quantize",
    "quantized_matmul",
    "segmented_mm",
    "tensordot",
    "trace",
    "vecdot",
]
