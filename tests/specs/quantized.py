"""Quantised products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import funcnn as fn
import quantized_oracle as oracle
from specs.rows import In, Op, op

NARROW = ("float32", "float16", "bfloat16")
FLOATS = (*NARROW, "float64")
WORD = 2**32 - 1


def _codes(rows: tuple[int, ...], columns: int, bits: int) -> In:
    return In((*rows, columns * bits // 32), 0, WORD, "uint32")


def _matrix(form: tuple[str, int, int], rows: tuple[int, ...], columns: int) -> tuple[In, ...]:
    """Codes, scales and biases as samples."""
    mode, bits, group = form
    codes, groups = _codes(rows, columns, bits), (*rows, columns // group)
    if mode == "affine":
        return codes, In(groups, 0.1, 0.5), In(groups, -1.0, 1.0)
    return codes, In(groups, *((40, 60) if mode == "nvfp4" else (125, 129)), "uint8")


def _arrays(form: tuple[str, int, int], *quantised: Any) -> Any:
    """Codes without NaN, which float8 has."""
    if form[0] != "mxfp8":
        return quantised
    words, scales = quantised
    mask = 0xBFBFBFBF
    return (words & (fn.array(mask, fn.uint32) if isinstance(words, fn.array) else mask), scales)


def _dense(form: tuple[str, int, int], quantised: Any) -> np.ndarray:
    words, scales, *biases = _arrays(form, *quantised)
    return oracle.dequantize(np.asarray(words), scales, biases[0] if biases else None, form)


def _product(form: tuple[str, int, int], transpose: bool, x: Any, *quantised: Any) -> Any:
    return fn.quantized_matmul(x, *_arrays(form, *quantised), transpose=transpose, **oracle.arguments(form))


def _product_in_numpy(form: tuple[str, int, int], transpose: bool, x: np.ndarray, *quantised: Any) -> np.ndarray:
    w = _dense(form, quantised)
    return x @ (np.swapaxes(w, -1, -2) if transpose else w)


def _gathered(form: tuple[str, int, int], transpose: bool, lhs: Any, rhs: Any, x: Any, *quantised: Any) -> Any:
    return fn.gather_qmm(
        x,
        *_arrays(form, *quantised),
        lhs_indices=lhs,
        rhs_indices=rhs,
        transpose=transpose,
        **oracle.arguments(form),
    )


def _gathered_in_numpy(
    form: tuple[str, int, int], transpose: bool, lhs: Any, rhs: Any, x: np.ndarray, *quantised: Any
) -> np.ndarray:
    w = _dense(form, quantised)
    w = np.swapaxes(w, -1, -2) if transpose else w
    return x[np.asarray(lhs)] @ w[np.asarray(rhs)]


def _products(form: tuple[str, int, int]) -> list[Op]:
    mode, bits, group = form
    k = 2 * group
    name = f"{mode}, {bits} bits, groups of {group}"
    samples = [
        (In((2, k)), *_matrix(form, (3,), k)),
        (In((k,)), *_matrix(form, (5,), k)),
        (In((2, 1, 7, k)), *_matrix(form, (3, 2), k)),
        (In((0, k)), *_matrix(form, (3,), k)),
    ]
    across = [
        (In((2, 3)), *_matrix(form, (3,), k)),
        (In((2, 6, 5)), *_matrix(form, (5,), group)),
        (In((2, 0)), *_matrix(form, (0,), k)),
    ]
    chosen = [(In((4, 2, k)), *_matrix(form, (3, 5), k))]
    rows = [
        op(
            f"quantized_matmul[{name}]", partial(_product, form, True), partial(_product_in_numpy, form, True), *samples
        ),
        op(
            f"quantized_matmul[{name}, transpose=False]",
            partial(_product, form, False),
            partial(_product_in_numpy, form, False),
            *across,
        ),
        op(
            f"gather_qmm[{name}]",
            partial(_gathered, form, True, [0, 3, 3, 1, 2], [2, 2, 0, 2, 1]),
            partial(_gathered_in_numpy, form, True, [0, 3, 3, 1, 2], [2, 2, 0, 2, 1]),
            *chosen,
        ),
    ]
    return [Op(**{**row.__dict__, "tolerance": 4.0 * k}) for row in rows]


def _dequantized(form: tuple[str, int, int]) -> Op:
    mode, bits, group = form
    dtype = None if mode == "affine" else fn.float32

    def call(*quantised: Any) -> Any:
        return fn.dequantize(*_arrays(form, *quantised), **oracle.arguments(form), dtype=dtype)

    return op(
        f"dequantize[{mode}, {bits} bits, groups of {group}]",
        call,
        lambda *quantised: _dense(form, quantised),
        _matrix(form, (3,), 2 * group),
        _matrix(form, (2, 1), group),
        _matrix(form, (0,), group),
        dtypes=FLOATS if mode == "affine" else ("float32",),
        tolerance=64.0,
        differentiable=mode == "affine",
    )


def _quantized(form: tuple[str, int, int], which: int) -> Op:
    mode, bits, group = form
    affine = mode == "affine"
    return op(
        f"quantize[{mode}, {bits} bits, groups of {group}, result {which}]",
        lambda w: fn.quantize(w, **oracle.arguments(form))[which],
        lambda w: oracle.quantize(w, form)[which],
        In((3, 2 * group), distinct=True),
        In((2, 2, group)),
        In((0, group)),
        dtypes=NARROW if affine else ("float32",),
        result="uint32" if which == 0 else "same" if affine else "uint8",
        differentiable=False,
        errors=(
            (lambda: fn.quantize(fn.ones((2, 33)), **oracle.arguments(form)), ValueError, r"quantize: .*\(2, 33\)"),
            (
                lambda: fn.grad(lambda w: fn.quantize(w, **oracle.arguments(form))[1].sum())(fn.ones((2, group))),
                ValueError,
                "quantize: has no derivative",
            ),
        )
        if affine
        else (),
    )


_q = fn.quantize


def _refusals() -> tuple[tuple[Any, type[BaseException], str], ...]:
    w, x = fn.ones((4, 64)), fn.ones((2, 64))
    q, m = fn.quantize(w), fn.quantize(w, mode="mxfp4")
    words = fn.zeros((4, 8), fn.uint32)
    return (
        (lambda: fn.quantize(w, bits=7), ValueError, "quantize: bits must be 1, 2, 3, 4, 5, 6 or 8, got 7"),
        (lambda: fn.quantize(w, group_size=16), ValueError, "quantize: group_size must be 32, 64 or 128, got 16"),
        (lambda: fn.quantize(w, mode="mxfp4", bits=8), ValueError, "quantize: mode mxfp4 has 4 bits, got bits=8"),
        (lambda: fn.quantize(w, mode="nvfp4", group_size=32), ValueError, "mode nvfp4 has groups of 16"),
        (lambda: fn.quantize(w, mode="int4"), ValueError, "quantize: mode must be 'affine', .*, got 'int4'"),
        (lambda: fn.quantize(fn.ones(64)), ValueError, r"quantize: expected at least 2 dimensions, got shape \(64,\)"),
        (lambda: fn.quantize(fn.ones((2, 64), fn.int32)), ValueError, "quantize: expected float32.*got int32"),
        (lambda: fn.quantize(w, global_scale=fn.array(1.0)), ValueError, "quantize: only mode nvfp4"),
        (
            lambda: fn.quantize(w, mode="nvfp4", global_scale=fn.ones((2,))),
            ValueError,
            r"quantize: a global scale must be a float32 scalar, got float32 of shape \(2,\)",
        ),
        (lambda: fn.dequantize(words, q[1]), ValueError, "dequantize: mode affine needs biases"),
        (lambda: fn.dequantize(*m, q[2], mode="mxfp4"), ValueError, "dequantize: mode mxfp4 has no biases"),
        (lambda: fn.dequantize(words.astype(fn.int32), *q[1:]), ValueError, "dequantize: w must hold packed codes"),
        (lambda: fn.dequantize(words, q[1][:3], q[2]), ValueError, r"dequantize: scales of shape \(3, 1\)"),
        (lambda: fn.dequantize(words, q[1], q[2][:3]), ValueError, r"dequantize: biases of shape \(3, 1\)"),
        (lambda: fn.dequantize(*q, dtype=fn.int32), ValueError, "dequantize: dtype must be a floating-point type"),
        (
            lambda: fn.quantized_matmul(x[:, :32], *q),
            ValueError,
            r"quantized_matmul: the last axis of the first argument \(size 32\) must match the columns .* \(4, 64\)",
        ),
        (lambda: fn.quantized_matmul(x, *q, transpose=False), ValueError, r"must match the rows .* \(4, 64\)"),
        (lambda: fn.quantized_matmul(x.astype(fn.complex64), *q), ValueError, "quantized_matmul: expected a real"),
        (lambda: fn.quantized_matmul(x.astype(fn.int32), *m, mode="mxfp4"), ValueError, "got int32"),
        (lambda: fn.quantized_matmul(x, m[0], q[1], mode="mxfp4"), ValueError, "must be uint8, got float32|do not fit"),
        (lambda: fn.gather_qmm(x, *q, rhs_indices=fn.zeros((1,))), ValueError, "gather_qmm: indices must be integers"),
        (lambda: fn.gather_qmm(x, *q, global_scale=fn.array(1.0)), ValueError, "gather_qmm: only mode nvfp4"),
        (lambda: fn.gather_qmm(x[0], *q), ValueError, r"gather_qmm: x must have at least 2 dimensions"),
        (lambda: fn.qqmm(x, w, mode="affine"), ValueError, "qqmm: mode must be .*use quantized_matmul"),
        (lambda: fn.qqmm(x, m[0], mode="mxfp4"), ValueError, "qqmm: w holds packed codes .* scales must be given"),
        (lambda: fn.qqmm(x, w, m[1], mode="mxfp4"), ValueError, "qqmm: scales are given, so w must hold packed codes"),
        (lambda: fn.qqmm(x, w, global_scale_x=fn.array(1.0)), ValueError, "both global_scale_x and global_scale_w"),
        (lambda: fn.qqmm(x, w[None]), ValueError, r"qqmm: w must be a matrix, got shape \(1, 4, 64\)"),
        (lambda: fn.qqmm(x[:, :24], w[:, :24]), ValueError, r"qqmm: the last axis must be a multiple of .* 16"),
        (lambda: fn.gather_qqmm(x, w, mode="affine"), ValueError, "gather_qqmm: mode must be"),
        (lambda: fn.to_fp8(fn.array([1])), ValueError, "to_fp8: expected a floating-point array, got int32"),
        (lambda: fn.from_fp8(fn.array([1])), ValueError, "from_fp8: expected a uint8 array, got int32"),
        (lambda: fn.from_fp8(fn.array([1], fn.uint8), fn.int32), ValueError, "from_fp8: dtype must be"),
    )


def _rounded(form: tuple[str, int, int], x: np.ndarray) -> np.ndarray:
    """What the codes of x stand for."""
    return oracle.dequantize(*oracle.quantize(x.astype(np.float32), form), None, form)


def _both_rounded(form: tuple[str, int, int]) -> list[Op]:
    """Their derivatives pass through the rounding, so no differences agree with them: test_quantized.py has them."""
    options, k = oracle.arguments(form), 2 * form[2]
    return [
        op(
            f"qqmm[{form[0]}]",
            lambda x, w: fn.qqmm(x, w, **options),
            lambda x, w: _rounded(form, x) @ _rounded(form, w).T,
            (In((2, 3, k)), In((5, k))),
            (In((k,)), In((1, k))),
            (In((0, k)), In((4, k))),
            dtypes=("float32",),
            differentiable=False,
            tolerance=4.0 * k,
        ),
        op(
            f"gather_qqmm[{form[0]}]",
            lambda x, w: fn.gather_qqmm(x, w, rhs_indices=[1, 0, 1], **options),
            lambda x, w: _rounded(form, x) @ np.swapaxes(_rounded(form, w), -1, -2)[[1, 0, 1]],
            (In((3, 2, k)), In((2, 5, k))),
            dtypes=("float32",),
            differentiable=False,
            tolerance=4.0 * k,
        ),
    ]


_FEW = [("affine", 4, 64), ("affine", 3, 32), ("affine", 8, 128), ("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]

ROWS: list[Op] = [
    *(row for form in _FEW for row in _products(form)),
    *(row for form in oracle.FORMATS if form[0] != "affine" for row in _both_rounded(form)),
    *(_dequantized(form) for form in oracle.FORMATS),
    *(_quantized(form, which) for form in oracle.FORMATS for which in range(3 if form[0] == "affine" else 2)),
    op(
        "to_fp8",
        fn.to_fp8,
        oracle.to_fp8,
        In((), -500, 500),
        In((3, 40), -3, 3),
        In((2, 0)),
        dtypes=FLOATS,
        result="uint8",
        differentiable=False,
        errors=_refusals(),
    ),
    op(
        "from_fp8",
        lambda x: fn.from_fp8(x, fn.float32),
        lambda x: oracle.E4M3[x],
        In((4, 30), 0, 126),
        In((), 128, 254),
        In((0,), 0, 9),
        dtypes=("uint8",),
        result="float32",
        differentiable=False,
    ),
]
