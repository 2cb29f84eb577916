"""Matrix products: square, thin, deep, transposed, batched, and of other dtypes.

A row is called after batches, M, K and N of (M, K) @ (K, N), or after N alone where the matrices are square; nt, tn and tt say
which operand lies transposed in memory (t).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from .case import Case, outputs
from .place import PLACE, jax_waits, to_funcnn, to_jax, to_torch
from .place import dtype as place_dtype

ROWS = {
    f"matmul_{name}": "ms"
    for name in (
        *("64", "128", "256", "512", "1024", "2048", "4096"),
        *("nt_256", "tn_256", "tt_256", "nt_1024", "tn_1024", "tt_1024"),
        # One and a few rows, as a model generates text; x @ w.T of a layer whose weight is (out, in).
        *("1x4096x4096", "nt_1x4096x4096", "4x4096x4096", "nt_4x4096x4096", "4096x4096x1", "4096x4096x4"),
        # Tall, wide and deep: many rows by a small matrix, its transpose, the gradient of a small weight.
        *("65536x64x64", "64x64x65536", "tn_64x65536x64", "8192x1024x16", "16x1024x8192"),
        # Batches: small matrices, and the scores and values of attention.
        *("128of32x32x32", "4096of8x8x8", "nt_512of64x64x64", "512of64x64x64", "nt_64of128x64x128"),
        *("float64_256", "float64_1024", "bfloat16_256", "bfloat16_1024", "bfloat16_nt_1x4096x4096"),
    )
}


@dataclass(frozen=True)
class _Product:
    dtype: str
    exact: bool  # operands of small integers: sums that 16-bit numbers hold, so that results agree however they are rounded
    transposed: tuple[bool, bool]
    a: tuple[int, ...]  # as they are multiplied
    b: tuple[int, ...]

    @staticmethod
    def of(row: str) -> _Product:
        found = re.fullmatch(r"matmul_(?:([a-z]+\d+)_)?(?:([nt])([nt])_)?(?:(\d+)of)?(\d+)(?:x(\d+)x(\d+))?", row)
        assert found
        dtype, left, right, batch, m, k, n = found.groups()
        lead = (int(batch),) if batch else ()
        return _Product(
            dtype or PLACE.dtype,
            "16" in (dtype or ""),
            (left == "t", right == "t"),
            (*lead, int(m), int(k or m)),
            (*lead, int(k or m), int(n or m)),
        )

    def operands(self) -> list[np.ndarray]:
        """As they lie in memory."""
        rng = np.random.default_rng(0)
        found = []
        for shape, swap in zip((self.a, self.b), self.transposed, strict=True):
            lies = (*shape[:-2], shape[-1], shape[-2]) if swap else shape
            x = rng.integers(-1, 2, lies) if self.exact else rng.normal(size=lies)
            found.append(x.astype(np.float64 if self.dtype == "float64" else np.float32))
        return found

    @property
    def nbytes(self) -> int:
        """Of the operands and the result, where moving them is what takes the time."""
        item = 2 if "16" in self.dtype else 8 if self.dtype == "float64" else 4
        elements = sum(int(np.prod(shape)) for shape in (self.a, self.b, (*self.a[:-1], self.b[-1])))
        return item * elements if int(np.prod(self.a)) * self.b[-1] < 32 * elements else 0


def build(row: str, framework: str) -> Case | None:
    build = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch}.get(framework)
    if build is None:
        return None
    product = _Product.of(row)
    with place_dtype(product.dtype):
        step = build(*product.operands(), *product.transposed, product.dtype)
    return step and Case(step, outputs(step), nbytes=product.nbytes)


def _funcnn(a, b, swap_a, swap_b, dtype):
    import funcnn as fn

    a, b = to_funcnn(a), to_funcnn(b)
    fn.eval(a, b)

    def step():
        c = (fn.swapaxes(a, -1, -2) if swap_a else a) @ (fn.swapaxes(b, -1, -2) if swap_b else b)
        fn.eval(c)
        return c

    return step


def _jax(a, b, swap_a, swap_b, dtype):
    import jax
    import jax.numpy as jnp

    if dtype == "float64":
        return None  # a switch of the whole process, which other rows run in

    def product(a, b):
        return (jnp.swapaxes(a, -1, -2) if swap_a else a) @ (jnp.swapaxes(b, -1, -2) if swap_b else b)

    a, b = to_jax(a), to_jax(b)
    f = jax.jit(product)
    return lambda: jax_waits(f(a, b))


def _mlx(a, b, swap_a, swap_b, dtype):
    import mlx.core as mx

    a, b = (mx.array(x, getattr(mx, dtype)) for x in (a, b))
    mx.eval(a, b)
    stream = mx.cpu if dtype == "float64" else None

    def step():
        x = mx.swapaxes(a, -1, -2, stream=stream) if swap_a else a
        y = mx.swapaxes(b, -1, -2, stream=stream) if swap_b else b
        c = mx.matmul(x, y, stream=stream)
        mx.eval(c)
        return c

    return step


def _torch(a, b, swap_a, swap_b, dtype):
    import torch

    a, b = to_torch(a), to_torch(b)

    @torch.inference_mode()
    def step():
        return (a.mT if swap_a else a) @ (b.mT if swap_b else b)

    return step
