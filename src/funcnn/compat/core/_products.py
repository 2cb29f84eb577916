"""Products, convolutions, and quantised weights."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ._wrap import of_arrays, shim


def _quantize(*args: Any, **kwargs: Any) -> list[Any]:
    return list(fn.quantize(*args, **kwargs))


addmm = of_arrays(fn.addmm, "addmm", count=3)
block_masked_mm = of_arrays(fn.block_masked_mm, "block_masked_mm", count=2)
conv1d = of_arrays(fn.conv1d, "conv1d", count=2)
conv2d = of_arrays(fn.conv2d, "conv2d", count=2)
conv3d = of_arrays(fn.conv3d, "conv3d", count=2)
conv_general = of_arrays(fn.conv_general, "conv_general", count=2)
conv_transpose1d = of_arrays(fn.conv_transpose1d, "conv_transpose1d", count=2)
conv_transpose2d = of_arrays(fn.conv_transpose2d, "conv_transpose2d", count=2)
conv_transpose3d = of_arrays(fn.conv_transpose3d, "conv_transpose3d", count=2)
convolve = of_arrays(fn.convolve, "convolve", count=2)
dequantize = of_arrays(fn.dequantize, "dequantize", count=2)
einsum = shim(fn.einsum, "einsum")
gather_mm = of_arrays(fn.gather_mm, "gather_mm", count=2)
gather_qmm = of_arrays(fn.gather_qmm, "gather_qmm", count=3)
gather_qqmm = of_arrays(fn.gather_qqmm, "gather_qqmm", count=2)
hadamard_transform = of_arrays(fn.hadamard_transform, "hadamard_transform")
inner = of_arrays(fn.inner, "inner", count=2)
kron = of_arrays(fn.kron, "kron", count=2)
matmul = of_arrays(fn.matmul, "matmul", count=2)
outer = of_arrays(fn.outer, "outer", count=2)
qqmm = of_arrays(fn.qqmm, "qqmm", count=2)
quantize = of_arrays(_quantize, "quantize")
quantized_matmul = of_arrays(fn.quantized_matmul, "quantized_matmul", count=3)
segmented_mm = of_arrays(fn.segmented_mm, "segmented_mm", count=3)
tensordot = of_arrays(fn.tensordot, "tensordot", count=2)
trace = of_arrays(fn.trace, "trace")
vecdot = of_arrays(fn.vecdot, "vecdot", count=2)

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
