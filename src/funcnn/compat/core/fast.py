"""The names of ``mlx.core.fast``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import fast as _fast
from ..._core import Dtype, array
from ..._streams import gpu as _gpu
from . import cuda as _cuda
from . import metal as _metal
from ._wrap import mutable as _mutable
from ._wrap import of_arrays as _of_arrays

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

rms_norm = _of_arrays(_fast.rms_norm, "rms_norm", "fast")


def _layer_norm(x: array, weight: array | None, bias: array | None, eps: float) -> array:
    made = _fast.layer_norm(x, weight, bias, eps)
    # MLX takes no dtype from a bias that comes without a weight.
    return made.astype(x.dtype) if weight is None and isinstance(x, array) else made


_layer_norm.__doc__ = _fast.layer_norm.__doc__
layer_norm = _of_arrays(_layer_norm, "layer_norm", "fast")
rope = _of_arrays(_fast.rope, "rope", "fast")
scaled_dot_product_attention = _of_arrays(
    _fast.scaled_dot_product_attention, "scaled_dot_product_attention", "fast", count=3
)
cross_entropy = _of_arrays(_fast.cross_entropy, "cross_entropy", "fast", count=2)


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


gated_delta_update = _of_arrays(_gated_delta_update, "gated_delta_update", "fast", stream_at=7, count=3)


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
    """Make a kernel from source text in Metal's language: see `funcnn.fast.metal_kernel`.

    It can be made anywhere; calling it raises RuntimeError where there is no Metal, as in MLX. Inputs are moved to the GPU."""
    made = _fast.metal_kernel(
        name, input_names, output_names, source, header, ensure_row_contiguous, atomic_outputs, compile_options
    )
    return _on_gpu(made, "metal_kernel", "Metal", _metal.is_available)


def cuda_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    shared_memory: int = 0,
) -> Any:
    """Make a kernel from source text in CUDA's language: see `funcnn.fast.cuda_kernel`.

    It raises RuntimeError where there is no CUDA, as in MLX. Inputs are moved to the GPU."""
    if not _cuda.is_available():
        raise RuntimeError("cuda_kernel: there is no CUDA back end")
    made = _fast.cuda_kernel(name, input_names, output_names, source, header, ensure_row_contiguous, shared_memory)
    return _on_gpu(made, "cuda_kernel", "CUDA", _cuda.is_available)


def _on_gpu(made: _fast.CustomKernel, name: str, backend: str, available: Callable[[], bool]) -> Any:
    """The kernel as MLX has it: arrays come from anywhere, results can be changed in place."""

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
        if not available():
            raise RuntimeError(f"{name}: there is no {backend} back end")
        results = made(
            inputs=inputs,
            output_shapes=output_shapes,
            output_dtypes=output_dtypes,
            grid=grid,
            threadgroup=threadgroup,
            template=template,
            init_value=init_value,
            verbose=verbose,
            stream=_gpu if stream is None else stream,
        )
        return [_mutable(x) for x in results]

    return kernel


def precompiled_cuda_kernel(**kwargs: Any) -> list[array]:
    """Run a compiled CUDA kernel: raises RuntimeError, as MLX does without CUDA."""
    raise RuntimeError("precompiled_cuda_kernel: there is no CUDA back end")
