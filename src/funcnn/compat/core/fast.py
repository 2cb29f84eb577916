"""The names of ``mlx.core.fast``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import fast as _fast
from ..._core import Dtype, array
from ._wrap import shim as _shim

__all__ = [
    "cross_entropy",
    "cuda_kernel",
    "gated_delta_update",
    "layer_norm",
    "metal_kernel",
    "precompiled_cuda_kernel",
    "rms_norm",
    "rope",
    "scaled_dot_product_attention",
]

rms_norm = _shim(_fast.rms_norm, "rms_norm", "fast")
layer_norm = _shim(_fast.layer_norm, "layer_norm", "fast")
rope = _shim(_fast.rope, "rope", "fast")
scaled_dot_product_attention = _shim(_fast.scaled_dot_product_attention, "scaled_dot_product_attention", "fast")
cross_entropy = _shim(_fast.cross_entropy, "cross_entropy", "fast")


def _gated_delta_update(
    q: array,
    k: array,
    v: array,
    gamma: array,
    beta: array,
    initial_state: array | None = None,
    mask: array | None = None,
) -> list[array]:
    return list(_fast.gated_delta_update(q, k, v, gamma, beta, initial_state, mask))


gated_delta_update = _shim(_gated_delta_update, "gated_delta_update", "fast", stream_at=7)


def metal_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    atomic_outputs: bool = False,
    compile_options: Any = None,
) -> Any:
    """Make a kernel from source text in Metal's language. It can be made anywhere; calling it raises RuntimeError, as in MLX
    where there is no Metal."""
    for what, text in (("name", name), ("source", source), ("header", header)):
        if not isinstance(text, str):
            raise TypeError(f"metal_kernel: {what} must be a text, got {type(text).__name__}")

    def kernel(
        *,
        inputs: Sequence[Any],
        output_shapes: Sequence[Sequence[int]],
        output_dtypes: Sequence[Dtype],
        grid: tuple[int, int, int],
        threadgroup: tuple[int, int, int],
        template: Sequence[tuple[str, Any]] | None = None,
        init_value: float | None = None,
        verbose: bool = False,
        stream: Any = None,
    ) -> list[array]:
        raise RuntimeError("metal_kernel: there is no Metal back end")

    return kernel


def cuda_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    shared_memory: int = 0,
) -> Any:
    """Make a kernel from source text in CUDA's language: raises RuntimeError, as MLX does without CUDA."""
    raise RuntimeError("cuda_kernel: there is no CUDA back end")


def precompiled_cuda_kernel(**kwargs: Any) -> list[array]:
    """Run a compiled CUDA kernel: raises RuntimeError, as MLX does without CUDA."""
    raise RuntimeError("precompiled_cuda_kernel: there is no CUDA back end")
