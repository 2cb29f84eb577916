"""Products of matrices."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import hadamard

import funcnn as fn
from specs.rows import In, Op, op

FLOATS = ("float32", "float16", "bfloat16", "float64")


def _gather(a: np.ndarray, b: np.ndarray, lhs: Any = None, rhs: Any = None) -> np.ndarray:
    """Numbers out of range, or before the first counted from the end, give zeros."""

    def chosen(x: np.ndarray, numbers: Any) -> tuple[np.ndarray, np.ndarray]:
        flat = x.reshape(int(np.prod(x.shape[:-2])), *x.shape[-2:])
        n = np.arange(len(flat)).reshape(x.shape[:-2]) if numbers is None else np.asarray(numbers)
        n = np.where(n < 0, n + len(flat), n)
        there = (n >= 0) & (n < len(flat))
        return flat[np.where(there, n, 0)], there

    (x, here), (y, there) = chosen(a, lhs), chosen(b, rhs)
    out = x @ y
    return np.where(np.broadcast_to(here & there, out.shape[:-2])[..., None, None], out, 0)


def _indexed(name: str, lhs: Any, rhs: Any, *samples: Any) -> Op:
    return op(
        f"gather_mm[{name}]",
        lambda a, b: fn.gather_mm(a, b, lhs_indices=lhs, rhs_indices=rhs),
        partial(_gather, lhs=lhs, rhs=rhs),
        *samples,
        dtypes=FLOATS,
        tolerance=32.0,
    )


def _segments(a: np.ndarray, b: np.ndarray, bounds: Any) -> np.ndarray:
    k = a.shape[1]

    def one(start: int, stop: int) -> np.ndarray:
        start, stop = max(int(start), 0), min(int(stop), k)
        return a[:, start:stop] @ b[start:stop] if start < stop else np.zeros((a.shape[0], b.shape[1]))

    flat = np.asarray(bounds).reshape(-1, 2)
    shape = (*np.asarray(bounds).shape[:-1], a.shape[0], b.shape[1])
    return np.array([one(*s) for s in flat]).reshape(shape)


def _blocks(x: np.ndarray, mask: np.ndarray | None, size: int) -> np.ndarray:
    if mask is None:
        return x
    full = np.repeat(np.repeat(mask, size, -1), size, -2)[..., : x.shape[-2], : x.shape[-1]]
    return np.where(full, x, 0) if mask.dtype == bool else x * full


def _masked(size: int, out: Any, a: np.ndarray, b: np.ndarray, lhs: Any = None, rhs: Any = None) -> np.ndarray:
    return _blocks(_blocks(a, lhs, size) @ _blocks(b, rhs, size), out, size)


_OUT = np.array([[True, False], [True, True]])


def _hadamard(x: np.ndarray) -> np.ndarray:
    n = x.shape[-1]
    return x @ hadamard(n).T / np.sqrt(n)


def _of_order(m: int) -> np.ndarray:
    """The matrix of the transform, whose entries and rows the tests of hadamard_transform check."""
    return np.asarray(fn.hadamard_transform(fn.eye(m, dtype=fn.float64), scale=1.0)).T


def _with_odd_order(m: int, x: np.ndarray) -> np.ndarray:
    n = x.shape[-1]
    return x @ np.kron(_of_order(m), hadamard(n // m)).T / np.sqrt(n)


def _addmm(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 0.5 * (a @ b) - 2 * c


ROWS: list[Op] = [
    _indexed("in order", None, None, (In((2, 3, 4)), In((2, 4, 5))), (In((3, 4)), In((2, 4, 5)))),
    _indexed("right", None, [2, 0, 2, 1], (In((4, 1, 6)), In((3, 6, 5))), (In((1, 9, 6)), In((3, 6, 2)))),
    _indexed("left", [1, 1, 0], None, (In((2, 3, 4)), In((3, 4, 5)))),
    _indexed(
        "both, out of range",
        [[0], [-1], [5]],
        [1, -4, 2, 0],
        (In((2, 2, 4)), In((3, 4, 5))),
        (In((2, 40, 4)), In((3, 4, 5))),
    ),
    op(
        "gather_mm[indices]",
        lambda a, b, i: fn.gather_mm(a, b, rhs_indices=i),
        lambda a, b, i: _gather(a, b, rhs=i),
        (In((6, 1, 4)), In((3, 4, 5)), In((6,), 0, 2, "int32")),
        (In((1, 0, 4)), In((3, 4, 5)), In((2,), 0, 2, "uint32")),
        (In((1, 2, 0)), In((3, 0, 5)), In((2,), 0, 2, "int64")),
        dtypes=FLOATS,
        tolerance=32.0,
        errors=(
            (lambda: fn.gather_mm(fn.ones((2, 3, 4)), fn.ones((2, 5, 6))), ValueError, r"gather_mm: .*\(2, 5, 6\)"),
            (lambda: fn.gather_mm(fn.ones((2, 2), fn.int32), fn.ones((2, 2), fn.int32)), ValueError, "int32"),
            (
                lambda: fn.gather_mm(fn.ones((2, 2)), fn.ones((2, 2), fn.complex64)),
                ValueError,
                "gather_mm: .*complex64",
            ),
            (
                lambda: fn.gather_mm(fn.ones((1, 2, 2)), fn.ones((1, 2, 2)), fn.ones((1,))),
                ValueError,
                "must be integers",
            ),
            (
                lambda: fn.gather_mm(fn.ones((2, 2, 2)), fn.ones((3, 2, 2))),
                ValueError,
                r"gather_mm: .*\(2,\) and \(3,\)",
            ),
        ),
    ),
    op(
        "segmented_mm",
        lambda a, b, s: fn.segmented_mm(a, b, s),
        _segments,
        (In((3, 8)), In((8, 4)), In((5, 2), -2, 10, "int32")),
        (In((2, 5)), In((5, 1)), In((2, 3, 2), 0, 5, "uint32")),
        (In((70, 6)), In((6, 3)), In((2,), 0, 6, "int64")),
        (In((2, 4)), In((4, 3)), In((0, 2), 0, 4, "int32")),
        dtypes=FLOATS,
        tolerance=32.0,
        errors=(
            (
                lambda: fn.segmented_mm(fn.ones((2, 3)), fn.ones((4, 2)), [[0, 1]]),
                ValueError,
                r"segmented_mm: .*\(2, 3\)",
            ),
            (lambda: fn.segmented_mm(fn.ones((1, 2, 3)), fn.ones((3, 2)), [[0, 1]]), ValueError, "expected matrices"),
            (lambda: fn.segmented_mm(fn.ones((2, 3)), fn.ones((3, 2)), [[0, 1, 2]]), ValueError, r"\(\.\.\., 2\)"),
            (lambda: fn.segmented_mm(fn.ones((2, 3)), fn.ones((3, 2)), [[0.0, 1.0]]), ValueError, "must be integers"),
            (lambda: fn.segmented_mm(fn.ones((2, 3), fn.int8), fn.ones((3, 2), fn.int8), [[0, 1]]), ValueError, "int8"),
        ),
    ),
    op(
        "block_masked_mm[out]",
        lambda a, b: fn.block_masked_mm(a, b, 2, mask_out=fn.array(_OUT)),
        lambda a, b: _masked(2, _OUT, a, b),
        (In((4, 6)), In((6, 4))),
        (In((2, 3, 5)), In((5, 4))),
        dtypes=FLOATS,
        tolerance=32.0,
    ),
    op(
        "block_masked_mm[operands]",
        lambda a, b, lhs, rhs: fn.block_masked_mm(a, b, 2, mask_lhs=lhs, mask_rhs=rhs),
        lambda a, b, lhs, rhs: _masked(2, None, a, b, lhs, rhs),
        (In((4, 6)), In((6, 4)), In((2, 3)), In((3, 2), dtype="bool_")),
        (In((3, 5)), In((5, 4)), In((2, 3), dtype="bool_"), In((3, 2))),
        dtypes=FLOATS,
        tolerance=32.0,
        errors=(
            (
                lambda: fn.block_masked_mm(fn.ones((4, 4)), fn.ones((4, 4)), 2, mask_lhs=fn.ones((3, 2))),
                ValueError,
                r"block_masked_mm: mask_lhs of shape \(3, 2\) does not fit the blocks of shape \(2, 2\)",
            ),
            (
                lambda: fn.block_masked_mm(fn.ones((4, 4)), fn.ones((4, 4)), 0),
                ValueError,
                "block_size must be positive",
            ),
            (lambda: fn.block_masked_mm(fn.ones((4, 4)), fn.ones((5, 4))), ValueError, r"block_masked_mm: .*\(5, 4\)"),
            (lambda: fn.block_masked_mm(fn.ones((4, 4), fn.int32), fn.ones((4, 4), fn.int32)), ValueError, "int32"),
        ),
    ),
    op(
        "hadamard_transform",
        fn.hadamard_transform,
        _hadamard,
        In((8,)),
        In((3, 32)),
        In((2, 2, 1)),
        In((0, 4)),
        dtypes=FLOATS,
        tolerance=32.0,
        errors=(
            (lambda: fn.hadamard_transform(fn.ones((2, 6))), ValueError, r"hadamard_transform: .*\(2, 6\)"),
            (lambda: fn.hadamard_transform(fn.ones((2, 36))), ValueError, r"hadamard_transform: .*\(2, 36\)"),
            (lambda: fn.hadamard_transform(fn.ones((2, 0))), ValueError, r"hadamard_transform: .*\(2, 0\)"),
            (lambda: fn.hadamard_transform(fn.ones(4, fn.complex64)), ValueError, "hadamard_transform: .*complex64"),
        ),
    ),
    *(
        op(
            f"hadamard_transform[{m}]",
            fn.hadamard_transform,
            partial(_with_odd_order, m),
            In((2, m)),
            In((4 * m,)),
            dtypes=FLOATS,
            tolerance=32.0,
        )
        for m in (12, 20, 28)
    ),
    op(
        "addmm[alpha, beta]",
        lambda c, a, b: fn.addmm(c, a, b, alpha=0.5, beta=-2.0),
        _addmm,
        (In((4,)), In((3, 5)), In((5, 4))),
        (In(()), In((2, 3, 5)), In((5, 4))),
        dtypes=FLOATS,
        tolerance=32.0,
        errors=(
            (
                lambda: fn.addmm(fn.ones((7, 3, 4)), fn.ones((3, 5)), fn.ones((5, 4))),
                ValueError,
                r"addmm: .*\(7, 3, 4\)",
            ),
            (
                lambda: fn.addmm(fn.ones(4, fn.int32), fn.ones((3, 5), fn.int32), fn.ones((5, 4), fn.int32)),
                ValueError,
                "addmm: is defined for floating-point",
            ),
            (
                lambda: fn.addmm(fn.array(1.0), fn.array(1.0), fn.ones((5, 4))),
                ValueError,
                r"addmm: .*\(\) and \(5, 4\)",
            ),
        ),
    ),
]
