"""What every operation should do: one table that drives test_ops.py.

To test a new operation, add a row here or in the file of its family in specs/. A row says how to call the operation, what NumPy computes for the same
inputs, and which inputs to try; test_ops.py does the rest: values for every dtype, edge values, derivatives against
central differences, forward mode against reverse mode, vmap against a loop, compiled and unfused runs against eager
ones, and errors.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcnn as fn
from specs import conv, fast, fft, linalg, products, quantized, standard
from specs.rows import (
    ALL,
    CUBE,
    FLOATS,
    INEXACT,
    INTEGERS,
    MATRIX,
    NUMERIC,
    REAL,
    ROW,
    SIGNED,
    In,
    Op,
    binary,
    op,
    reduction,
    special_function,
    unary,
)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def logsumexp(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    top = x.max(axis=axis, keepdims=True)
    total = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    if keepdims:
        return total
    return total.reshape(()) if axis is None else np.squeeze(total, axis=axis)


def _norm(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


def _erf(x: np.ndarray) -> np.ndarray:
    from scipy import special

    return special.erf(x)


def _logaddexp(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.logaddexp(a, b)


UNARY = [
    unary("abs", np.abs, 0.1, 2.0, NUMERIC, result="real"),
    unary("negative", np.negative, dtypes=NUMERIC),
    unary("sign", np.sign, 0.1, 2.0, REAL),
    unary("floor", np.floor, 0.1, 0.9, REAL),
    unary("ceil", np.ceil, 0.1, 0.9, REAL),
    unary("trunc", np.trunc, 0.1, 0.9, REAL),
    unary("round", np.round, 0.1, 0.4, REAL, edges=[0.5, 1.5, 2.5, -0.5, -1.5, 1e4, np.inf, np.nan]),
    unary("sqrt", np.sqrt, 0.1, 4.0, NUMERIC, result="float"),
    unary("rsqrt", lambda x: 1 / np.sqrt(x), 0.1, 4.0, FLOATS, result="float"),
    unary("square", np.square, dtypes=NUMERIC),
    unary("reciprocal", lambda x: 1 / x, 0.2, 4.0, FLOATS, result="float"),
    unary("exp", np.exp, dtypes=NUMERIC, result="float"),
    unary("expm1", np.expm1, dtypes=REAL, result="float"),
    unary("exp2", np.exp2, dtypes=REAL, result="float"),
    unary("log", np.log, 0.1, 4.0, FLOATS, result="float"),
    unary("log1p", np.log1p, -0.5, 4.0, FLOATS, result="float"),
    unary("log2", np.log2, 0.1, 4.0, FLOATS, result="float"),
    unary("log10", np.log10, 0.1, 4.0, FLOATS, result="float"),
    unary("sin", np.sin, dtypes=NUMERIC, result="float"),
    unary("cos", np.cos, dtypes=NUMERIC, result="float"),
    unary("tan", np.tan, -1.2, 1.2, REAL, result="float", tolerance=32),
    unary("arcsin", np.arcsin, -0.9, 0.9, FLOATS, result="float"),
    unary("arccos", np.arccos, -0.9, 0.9, FLOATS, result="float"),
    unary("arctan", np.arctan, dtypes=REAL, result="float"),
    unary("sinh", np.sinh, dtypes=REAL, result="float"),
    unary("cosh", np.cosh, dtypes=REAL, result="float"),
    unary("tanh", np.tanh, dtypes=REAL, result="float"),
    unary("arcsinh", np.arcsinh, dtypes=REAL, result="float"),
    unary("arccosh", np.arccosh, 1.2, 4.0, FLOATS, result="float"),
    unary("arctanh", np.arctanh, -0.8, 0.8, FLOATS, result="float"),
    unary("sigmoid", lambda x: 1 / (1 + np.exp(-x)), dtypes=REAL, result="float"),
    unary("erf", _erf, dtypes=REAL, result="float"),
    unary("erfc", special_function("erfc"), dtypes=REAL, result="float"),
    unary(
        "erfinv", special_function("erfinv"), -0.9, 0.9, FLOATS, edges=[0.0, 1.0, -1.0, 0.5, 2.0, np.nan], tolerance=32
    ),
    unary(
        "lgamma",
        special_function("gammaln"),
        0.5,
        4.0,
        FLOATS,
        edges=[0.5, 1.0, 2.0, 10.0, np.inf, np.nan],
        tolerance=64,
    ),
    unary("digamma", special_function("digamma"), 0.5, 4.0, FLOATS, edges=[0.5, 1.0, 10.0, np.nan], tolerance=64),
    *(
        unary(
            "polygamma",
            functools.partial(special_function("polygamma"), order),
            0.5,
            4.0,
            FLOATS,
            edges=[0.5, 1.0, 10.0, -0.5, -3.25, np.nan],
            tolerance=64,
            call=functools.partial(fn.polygamma, order),
            errors=((lambda: fn.grad(fn.polygamma)(fn.array(1.0), 2.0), ValueError, "polygamma: has no derivative"),),
        )
        for order in (1, 2, 3)
    ),
    unary("isnan", np.isnan, dtypes=ALL, result="bool", differentiable=False),
    unary("isinf", np.isinf, dtypes=ALL, result="bool", differentiable=False),
    unary("isfinite", np.isfinite, dtypes=ALL, result="bool", differentiable=False),
    unary("logical_not", np.logical_not, dtypes=ALL, result="bool", differentiable=False),
    unary("bitwise_invert", np.invert, dtypes=(*INTEGERS, "bool_"), edges=(), differentiable=False),
    unary("real", np.real, dtypes=NUMERIC, result="real"),
    unary("imag", np.imag, dtypes=NUMERIC, result="real"),
    unary("conjugate", np.conjugate, dtypes=NUMERIC),
    unary("degrees", np.degrees, dtypes=REAL, result="float"),
    unary("radians", np.radians, dtypes=REAL, result="float"),
    unary(
        "nan_to_num", lambda x: np.nan_to_num(x.astype(np.float32) if x.dtype == np.float64 else x), dtypes=("float32",)
    ),
]

COMPARISONS = {"dtypes": REAL, "result": "bool", "differentiable": False}
BITS: dict[str, Any] = {"dtypes": INTEGERS, "differentiable": False, "edges": False}

BINARY = [
    binary("add", np.add, dtypes=NUMERIC),
    binary("subtract", np.subtract, dtypes=NUMERIC),
    binary("multiply", np.multiply, dtypes=NUMERIC),
    binary("divide", np.true_divide, b=(0.5, 3.0), dtypes=NUMERIC, result="float", edges=False),
    binary("floor_divide", np.floor_divide, a=(0.1, 9.0), b=(1.0, 3.0), dtypes=REAL, edges=False, differentiable=False),
    binary(
        "remainder",
        np.remainder,
        a=(-9.0, 9.0),
        b=(1.0, 3.0),
        dtypes=("float32", "float64", *INTEGERS),
        edges=False,
        differentiable=False,
        tolerance=64,
    ),
    binary("power", np.power, a=(0.5, 2.0), b=(0.0, 3.0), dtypes=(*FLOATS, "int32", "uint8"), edges=False),
    binary("maximum", np.maximum, dtypes=REAL),
    binary("minimum", np.minimum, dtypes=REAL),
    binary("arctan2", np.arctan2, a=(0.2, 2.0), b=(0.2, 2.0), dtypes=FLOATS),
    binary("logaddexp", _logaddexp, dtypes=FLOATS),
    binary("equal", np.equal, **COMPARISONS),
    binary("not_equal", np.not_equal, **COMPARISONS),
    binary("less", np.less, **COMPARISONS),
    binary("less_equal", np.less_equal, **COMPARISONS),
    binary("greater", np.greater, **COMPARISONS),
    binary("greater_equal", np.greater_equal, **COMPARISONS),
    binary("logical_and", np.logical_and, dtypes=ALL, result="bool", differentiable=False),
    binary("logical_or", np.logical_or, dtypes=ALL, result="bool", differentiable=False),
    binary("logical_xor", np.logical_xor, dtypes=ALL, result="bool", differentiable=False),
    binary("bitwise_and", np.bitwise_and, **BITS),
    binary("bitwise_or", np.bitwise_or, **BITS),
    binary("bitwise_xor", np.bitwise_xor, **BITS),
    binary("left_shift", np.left_shift, a=(0, 9), b=(0, 3), **BITS),
    binary("right_shift", np.right_shift, a=(0, 99), b=(0, 3), **BITS),
]

REDUCTIONS = [
    *reduction("sum", np.sum, result="sum", tolerance=64),
    *reduction("mean", np.mean, result="float", tolerance=16),
    *reduction("max", np.max),
    *reduction("min", np.min),
    *reduction("prod", np.prod, FLOATS, around=(0.99, 1.01), tolerance=512),
    *reduction("var", np.var, result="float", tolerance=64),
    *reduction("std", np.std, FLOATS, tolerance=64),
    *reduction("all", np.all, ALL, result="bool", differentiable=False),
    *reduction("any", np.any, ALL, result="bool", differentiable=False),
    *reduction("logsumexp", logsumexp, FLOATS, tolerance=32),
    *reduction("count_nonzero", np.count_nonzero, ALL, result="int32", differentiable=False),
    *reduction("norm", _norm, FLOATS, function=fn.linalg.norm, tolerance=32),
]

SELECTED = np.array([[True], [False], [True]])


def selection(name: str, dtypes: Sequence[str] = REAL, result: str = "same", **options: Any) -> Op:
    """A row for a reduction of the rows that a mask selects."""
    return Op(
        f"{name}[where]",
        lambda x: getattr(fn, name)(x, axis=1, where=SELECTED, **options),
        lambda x: getattr(np, name)(x, axis=1, where=SELECTED, **options),
        [(In((2, 3, 4), distinct=True),)],
        dtypes,
        result,
        differentiable=result != "bool",
        tolerance=64,
    )


REDUCTIONS += [
    selection("sum", result="sum", initial=2),
    selection("prod", FLOATS, initial=2),
    selection("max", initial=1),
    selection("min", initial=1),
    selection("mean", result="float"),
    selection("var", FLOATS),
    selection("std", FLOATS),
    selection("all", ALL, result="bool"),
    selection("any", ALL, result="bool"),
]

SHAPES = [
    op("reshape", lambda x: fn.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), MATRIX, CUBE, dtypes=ALL),
    op("transpose", fn.transpose, np.transpose, ROW, MATRIX, CUBE, dtypes=ALL),
    op("transpose[axes]", lambda x: x.transpose(1, 2, 0), lambda x: x.transpose(1, 2, 0), CUBE),
    op("swapaxes", lambda x: fn.swapaxes(x, 0, -1), lambda x: x.swapaxes(0, -1), MATRIX, CUBE),
    op("moveaxis", lambda x: fn.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), MATRIX, CUBE),
    op("expand_dims", lambda x: fn.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1)), ROW, MATRIX),
    op("squeeze", lambda x: fn.squeeze(x, 1), lambda x: np.squeeze(x, 1), In((3, 1, 4))),
    op("flatten", fn.flatten, np.ravel, MATRIX, CUBE),
    op("unflatten", lambda x: fn.unflatten(x, -1, (2, -1)), lambda x: x.reshape(*x.shape[:-1], 2, -1), ROW, MATRIX),
    op("flip", lambda x: fn.flip(x, 0), lambda x: np.flip(x, 0), ROW, MATRIX),
    op("flip[all]", fn.flip, np.flip, MATRIX),
    op("broadcast_to", lambda x: fn.broadcast_to(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)), ROW, MATRIX),
    op(
        "concatenate",
        lambda a, b: fn.concatenate([a, b], axis=-1),
        lambda a, b: np.concatenate([a, b], -1),
        (MATRIX, In((3, 2))),
        dtypes=ALL,
    ),
    op("stack", lambda a, b: fn.stack([a, b], axis=1), lambda a, b: np.stack([a, b], 1), (MATRIX, MATRIX), dtypes=ALL),
    op("split", lambda x: fn.split(x, 2, axis=-1), lambda x: np.split(x, 2, axis=-1), MATRIX, CUBE),
    op("split[at]", lambda x: fn.split(x, [1, 3], axis=-1), lambda x: np.split(x, [1, 3], axis=-1), MATRIX),
    op("pad", lambda x: fn.pad(x, ((1, 2), (0, 1))), lambda x: np.pad(x, ((1, 2), (0, 1))), MATRIX, dtypes=ALL),
    op("pad[edge]", lambda x: fn.pad(x, (1, 2), "edge"), lambda x: np.pad(x, (1, 2), "edge"), ROW, MATRIX),
    op("repeat", lambda x: fn.repeat(x, 3, axis=0), lambda x: np.repeat(x, 3, axis=0), ROW, MATRIX),
    op("tile", lambda x: fn.tile(x, (2, 1, 2)), lambda x: np.tile(x, (2, 1, 2)), ROW, MATRIX),
    op("roll", lambda x: fn.roll(x, 2, -1), lambda x: np.roll(x, 2, -1), ROW, MATRIX),
    op("tril", fn.tril, np.tril, MATRIX, CUBE),
    op("triu", lambda x: fn.triu(x, 1), lambda x: np.triu(x, 1), MATRIX, CUBE),
    op("diag", fn.diag, np.diag, ROW, MATRIX),
    op("diagonal", lambda x: fn.diagonal(x, 1), lambda x: np.diagonal(x, 1), MATRIX, In((4, 5, 2))),
    op("trace", fn.trace, np.trace, MATRIX, tolerance=16),
    op("slice", lambda x: x[1:, ::-2], lambda x: x[1:, ::-2], MATRIX, CUBE, dtypes=ALL),
    op("index", lambda x: x[0, ..., None, 1], lambda x: x[0, ..., None, 1], MATRIX, CUBE),
    op("index[list]", lambda x: x[:, [2, 0, 2]], lambda x: x[:, [2, 0, 2]], MATRIX, CUBE),
    op(
        "at[slice].set",
        lambda x, v: x.at[1:, ::2].set(v),
        lambda x, v: _put(x, v, np.s_[1:, ::2], None),
        (MATRIX, In((2, 2))),
        dtypes=NUMERIC,
    ),
    op(
        "at[list].add",
        lambda x, v: x.at[:, [2, 0, 2]].add(v),
        lambda x, v: _put(x, v, np.s_[:, [2, 0, 2]], np.add),
        (MATRIX, In((3, 3))),
    ),
    op(
        "at[list].multiply",
        lambda x, v: x.at[:, [2, 0, 2]].multiply(v),
        lambda x, v: _put(x, v, np.s_[:, [2, 0, 2]], np.multiply),
        (MATRIX, In((3, 3))),
    ),
]


def _put(x: np.ndarray, v: np.ndarray, where: Any, combine: Any) -> np.ndarray:
    out = np.array(x)
    if combine is None:
        out[where] = v
    else:
        combine.at(out, where, v)
    return out


def _clip(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -1, 1)


CONDITION = In((3, 1), 0, 1, dtype="bool_")
POSITIONS = In((2, 3), -4, 3, dtype="int32")

CHOICES = [
    op("where", fn.where, np.where, (CONDITION, MATRIX, ROW), dtypes=ALL),
    op("clip", lambda x: fn.clip(x, -1, 1), _clip, MATRIX, dtypes=(*FLOATS, *SIGNED)),
    op("clip[arrays]", fn.clip, np.clip, (MATRIX, In((4,), -2, -0.5), In((3, 1), 0.5, 2))),
    op(
        "take",
        lambda x, i: fn.take(x, i, axis=-1),
        lambda x, i: np.take(x, i, axis=-1, mode="wrap"),
        (MATRIX, POSITIONS),
        dtypes=ALL,
    ),
    op(
        "take_along_axis",
        lambda x, i: fn.take_along_axis(x, i, axis=1),
        lambda x, i: np.take_along_axis(x, i, axis=1),
        (MATRIX, In((3, 2), -4, 3, dtype="int32")),
    ),
    op("sort", fn.sort, np.sort, ROW, CUBE, dtypes=ALL),
    op("sort[axis=0]", lambda x: fn.sort(x, axis=0), lambda x: np.sort(x, axis=0), MATRIX),
    op(
        "argsort",
        fn.argsort,
        lambda x: np.argsort(x, kind="stable"),
        MATRIX,
        dtypes=REAL,
        result="uint32",
        differentiable=False,
    ),
    op(
        "argmax",
        lambda x: fn.argmax(x, axis=1),
        lambda x: np.argmax(x, axis=1),
        MATRIX,
        dtypes=REAL,
        result="uint32",
        differentiable=False,
    ),
    op("argmin[all]", fn.argmin, np.argmin, MATRIX, dtypes=REAL, result="uint32", differentiable=False),
    op("topk", lambda x: fn.topk(x, 2), lambda x: np.sort(x)[..., -2:], MATRIX),
    op("partition", lambda x: fn.partition(x, 1)[..., 1], lambda x: np.sort(x)[..., 1], MATRIX),
    op(
        "argpartition",
        lambda x: fn.argpartition(x, -2)[..., -2],
        lambda x: np.argsort(x, kind="stable")[..., -2],
        MATRIX,
        dtypes=REAL,
        result="uint32",
        differentiable=False,
    ),
    op(
        "cumsum",
        lambda x: fn.cumsum(x, axis=1),
        lambda x: np.cumsum(x, axis=1),
        MATRIX,
        CUBE,
        dtypes=NUMERIC,
        tolerance=32,
    ),
    op(
        "cumsum[reverse]",
        lambda x: fn.cumsum(x, axis=0, reverse=True),
        lambda x: np.cumsum(x[::-1], axis=0)[::-1],
        MATRIX,
        tolerance=32,
    ),
    op("cumprod", lambda x: fn.cumprod(x, axis=-1), lambda x: np.cumprod(x, axis=-1), MATRIX, tolerance=32),
    op("cummax", lambda x: fn.cummax(x, axis=-1), lambda x: np.maximum.accumulate(x, axis=-1), MATRIX, dtypes=REAL),
    op("cummin", lambda x: fn.cummin(x, axis=-1), lambda x: np.minimum.accumulate(x, axis=-1), MATRIX, dtypes=REAL),
    op(
        "logcumsumexp",
        lambda x: fn.logcumsumexp(x, axis=-1),
        lambda x: np.logaddexp.accumulate(x, axis=-1),
        MATRIX,
        tolerance=32,
    ),
    op("softmax", lambda x: fn.softmax(x, axis=-1), lambda x: softmax(x, -1), MATRIX, CUBE, tolerance=16),
    op("log_softmax", lambda x: fn.log_softmax(x, axis=0), lambda x: np.log(softmax(x, 0)), MATRIX, tolerance=32),
    op("isclose", fn.isclose, lambda a, b: np.isclose(a, b), (MATRIX, ROW), result="bool", differentiable=False),
    op(
        "array_equal",
        fn.array_equal,
        lambda a, b: np.array(np.array_equal(a, b)),
        (MATRIX, MATRIX),
        result="bool",
        differentiable=False,
    ),
    op("minmax", lambda x: fn.minmax(x, axis=0), lambda x: (x.min(0), x.max(0)), MATRIX),
]

PRODUCTS = [
    op(
        "matmul",
        fn.matmul,
        np.matmul,
        (MATRIX, In((4, 5))),
        (ROW, ROW),
        (MATRIX, ROW),
        (ROW, In((4, 2))),
        (CUBE, In((4, 3))),
        (In((2, 1, 3, 4)), In((5, 4, 2))),
        (In((33, 65)), In((65, 17))),
        dtypes=INEXACT,
        tolerance=128,
        errors=(
            (lambda: fn.zeros((2, 3)) @ fn.zeros((4, 5)), ValueError, "matmul"),
            (lambda: fn.zeros((2, 2), fn.int32) @ fn.zeros((2, 2), fn.int32), ValueError, "astype"),
        ),
    ),
    op("inner", fn.inner, np.inner, (ROW, ROW), (MATRIX, MATRIX), tolerance=64),
    op("outer", fn.outer, np.outer, (ROW, In((3,))), tolerance=8),
    op("kron", fn.kron, np.kron, (In((2, 2)), In((2, 3)))),
    op("vecdot", fn.vecdot, lambda a, b: (a * b).sum(-1), (MATRIX, MATRIX), tolerance=64),
    op(
        "tensordot",
        lambda a, b: fn.tensordot(a, b, 1),
        lambda a, b: np.tensordot(a, b, 1),
        (CUBE, In((4, 2))),
        tolerance=64,
    ),
    op(
        "tensordot[axes]",
        lambda a, b: fn.tensordot(a, b, [[1, 2], [1, 0]]),
        lambda a, b: np.tensordot(a, b, [[1, 2], [1, 0]]),
        (CUBE, In((4, 3, 2))),
        tolerance=64,
    ),
    op(
        "addmm",
        lambda c, a, b: fn.addmm(c, a, b, 2.0, 0.5),
        lambda c, a, b: 2 * (a @ b) + 0.5 * c,
        (In((5,)), MATRIX, In((4, 5))),
        tolerance=128,
    ),
]
PRODUCTS += [
    op(f"einsum[{s}]", lambda *x, s=s: fn.einsum(s, *x), lambda *x, s=s: np.einsum(s, *x), inputs, tolerance=128)
    for s, inputs in [
        ("ij,jk->ik", (MATRIX, In((4, 5)))),
        ("ij->ji", (MATRIX,)),
        ("ii->i", (In((3, 3)),)),
        ("bij,bkj->bik", (CUBE, In((2, 5, 4)))),
        ("ij,ij->", (MATRIX, MATRIX)),
        ("...i,i", (CUBE, ROW)),
    ]
]

# Functions written in Python over these; their edges have tests of their own.
AT = (In((5, 3)), In((2,), 0, 5, dtype="int32"))
COMPOSED = [
    op("dot", fn.dot, np.dot, (MATRIX, ROW), (CUBE, In((5, 4, 2))), dtypes=INEXACT, tolerance=128),
    op("ravel", fn.ravel, np.ravel, ROW, CUBE, dtypes=ALL),
    op("median", lambda x: fn.median(x, axis=1), lambda x: np.median(x, axis=1), MATRIX, CUBE, In((3, 5), distinct=True)),
    op("quantile", lambda x: fn.quantile(x, [0.2, 0.7]), lambda x: np.quantile(x, [0.2, 0.7]), ROW, MATRIX),
    op("unique", lambda x: fn.unique(x, x.size), np.unique, ROW, twice=False),
    op("one_hot", lambda x: fn.one_hot(x, 3), lambda x: np.eye(3)[x], In((4,), 0, 2), dtypes=INTEGERS, result="float32"),
    op("bincount", lambda i, w: fn.bincount(i, w, length=4), lambda i, w: np.bincount(i, w, 4),
       (In((6,), 0, 3, dtype="int32"), In((6,)))),
    op("associative_scan", lambda x: fn.associative_scan(fn.multiply, x, axis=-1), lambda x: np.cumprod(x, -1), ROW, CUBE,
       tolerance=32),
    op("associative_scan[reverse]", lambda x: fn.associative_scan(fn.add, x, reverse=True),
       lambda x: np.cumsum(x[::-1], 0)[::-1], ROW, CUBE, dtypes=NUMERIC, tolerance=32),
    op("dynamic_slice", lambda x, i: fn.dynamic_slice(x, i, (2, 2)),
       lambda x, i: x[min(i[0], 3) : min(i[0], 3) + 2, min(i[1], 1) : min(i[1], 1) + 2], AT, dtypes=ALL),
    op("at.get", lambda x, i: x.at[i].get(fill_value=2), lambda x, i: np.where((i < 5)[:, None], x[np.minimum(i, 4)], 2), AT),
    op("at.power", lambda x: x.at[1:].power(3), lambda x: np.concatenate([x[:1], x[1:] ** 3]), ROW, MATRIX),
    op("at.apply", lambda x: x.at[1:].apply(fn.sin), lambda x: np.concatenate([x[:1], np.sin(x[1:])]), ROW, MATRIX),
]  # fmt: skip

OPS: list[Op] = [*UNARY, *BINARY, *REDUCTIONS, *SHAPES, *CHOICES, *PRODUCTS, *COMPOSED]
OPS += [*conv.ROWS, *fast.ROWS, *fft.ROWS, *linalg.ROWS, *products.ROWS, *quantized.ROWS, *standard.ROWS]
