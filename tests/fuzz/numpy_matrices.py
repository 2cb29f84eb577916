"""Factorisations and products with packed weights, in NumPy: the oracle's part of `motifs_matrices`."""

from __future__ import annotations

import numpy as np

from .numpy_reduce import einsum
from .numpy_values import ROUNDOFF, Values, made

# What the codes of four bits stand for in "mxfp4".
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E2M1 = np.concatenate([E2M1, -E2M1])


def packed(seed: int, rows: int, columns: int, mode: str, bits: int) -> tuple[np.ndarray, ...]:
    """Words, scales and biases (affine) in groups of 32 of a random matrix."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, (rows, columns * bits // 32), dtype=np.uint32)
    if mode == "mxfp4":
        return words, rng.integers(124, 130, (rows, columns // 32)).astype(np.uint8)
    return words, *(rng.integers(-8, 9, (rows, columns // 32)) / 2.0**bits for _ in range(2))


def unpacked(seed: int, rows: int, columns: int, mode: str, bits: int) -> np.ndarray:
    words, scales, *biases = packed(seed, rows, columns, mode, bits)
    digits = words.view(np.uint8)[..., None] >> np.arange(8, dtype=np.uint8) & 1
    codes = digits.reshape(rows, columns, bits) @ (1 << np.arange(bits))
    of_columns = [np.repeat(a, 32, axis=-1) for a in (scales, *biases)]
    if mode == "mxfp4":
        return E2M1[codes] * 2.0 ** (of_columns[0] - 127.0)
    return codes * of_columns[0] + of_columns[1]


def quantized_matmul(x: Values, seed: int, rows: int, mode: str, bits: int, transpose: bool) -> Values:
    """Weights may be rounded to the dtype before they are multiplied."""
    length = x.shape[-1]
    w = unpacked(seed, rows if transpose else length, length if transpose else rows, mode, bits)
    w = w.T if transpose else w
    return einsum("...ij,...jk->...ik", x, Values(w, x.dtype, 2 * ROUNDOFF[x.dtype] * np.abs(w)))


def linalg(name: str, x: Values, *others: Values) -> Values:
    """A function of matrices in which the diagonal weighs twice as much as all else: tanh(x) + 2 n I, made symmetric for
    some. No change of them is magnified by more than 1 / n then.
    """
    n, eps = x.shape[-1], 8 * x.shape[-1] * ROUNDOFF[x.dtype]
    sure = np.isfinite(x.x) & np.isfinite(x.bound)
    a = np.where(sure, np.tanh(np.where(sure, x.x, 0)), 0.0)
    e = np.where(sure, x.bound, 2.0) + 4 * ROUNDOFF[x.dtype]
    if name in ("cholesky", "eigvalsh"):
        a, e = ((m + m.swapaxes(-1, -2)) / 2 for m in (a, e))
    a = a + 2 * n * np.eye(n)
    change = e.max(axis=(-1, -2), keepdims=True) * n + eps * 3 * n  # a bound on its norms
    unsure = np.where(change > n / 8, np.inf, 0.0)
    inverse = np.linalg.inv(a)
    if name == "solve":
        (b,) = others
        known = np.isfinite(b.x)
        out = np.linalg.solve(a, np.where(known, b.x, 0))
        size = np.abs(out).max(axis=-2, keepdims=True)
        moved = np.where(known, b.bound, np.inf).max(axis=-2, keepdims=True)
        error = 2 * (change * size + moved) / n
    elif name == "inv":
        out, error = inverse, 2 * change / n**2
    elif name == "cholesky":
        out, error = np.linalg.cholesky(a), 8 * change / np.sqrt(n)
    elif name == "slogdet":
        out, unsure = np.linalg.slogdet(a)[1], unsure[..., 0, 0]
        error = 2 * change[..., 0, 0] + eps * np.abs(out)
    else:
        out = {"eigvalsh": np.linalg.eigvalsh, "svdvals": lambda m: np.linalg.svd(m, compute_uv=False)}[name](a)
        error, unsure = 2 * change[..., 0], unsure[..., 0]
    return made(out, x.dtype, np.broadcast_to(error + unsure, out.shape), correct=False)
