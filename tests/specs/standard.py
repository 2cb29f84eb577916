"""Further names of the array API standard and of MLX."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import funcnn as fn
from specs.rows import ALL, CUBE, FLOATS, INTEGERS, MATRIX, REAL, ROW, In, Op, binary, op, reduction, unary


def _strided(x: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> np.ndarray:
    places = np.full(shape, offset)
    for axis, stride in enumerate(strides):
        along = [1] * len(shape)
        along[axis] = shape[axis]
        places = places + stride * np.arange(shape[axis]).reshape(along)
    return x.ravel()[places]


def _signbit(x: np.ndarray) -> np.ndarray:
    return np.signbit(x) if x.dtype.kind == "f" else x < 0


def _sorter() -> fn.array:
    return fn.array([1, 0, 2])


POINT = In((), 0, 2, dtype="int32")

ELEMENTWISE = [
    unary("signbit", _signbit, dtypes=REAL, result="bool", differentiable=False),
    binary("hypot", np.hypot, a=(0.2, 2.0), b=(0.2, 2.0), dtypes=REAL, result="float"),
    binary("copysign", np.copysign, a=(0.2, 2.0), dtypes=FLOATS),
    Op(
        "nextafter",
        fn.nextafter,
        lambda a, b: a + 0 * b,  # a step of less than the tolerance
        [(In((3, 1)), In((4,))), (In(()), In((2,))), (In((0, 2)), In((2,)))],
        FLOATS,
        errors=(
            (lambda: fn.nextafter(fn.array(1j), 1.0), ValueError, "nextafter: is not defined for complex64"),
            (lambda: fn.nextafter(fn.ones(2), fn.ones(3)), ValueError, r"\(2,\)"),
        ),
    ),
]

CHOICES = [
    op("clip[min, max]", lambda x: fn.clip(x, min=-1, max=1), lambda x: np.clip(x, -1, 1), MATRIX),
    op("clip[none]", fn.clip, lambda x: x, MATRIX, dtypes=REAL),
    op(
        "sort[descending]",
        lambda x: fn.sort(x, descending=True),
        lambda x: np.sort(x)[..., ::-1],
        ROW,
        CUBE,
        dtypes=ALL,
    ),
    op(
        "argsort[descending]",
        lambda x: fn.argsort(x, axis=0, descending=True),
        lambda x: len(x) - 1 - np.argsort(x[::-1], axis=0, kind="stable")[::-1],
        MATRIX,
        In((6, 2), 0, 2),
        dtypes=REAL,
        result="uint32",
        differentiable=False,
    ),
    op(
        "repeat[each]",
        lambda x: fn.repeat(x, fn.array([2, 0, 1]), axis=0),
        lambda x: np.repeat(x, [2, 0, 1], axis=0),
        MATRIX,
        errors=(
            (lambda: fn.repeat(fn.ones(3), [1, 2]), ValueError, "for each of 3 places along axis 0, got 2"),
            (lambda: fn.repeat(fn.ones(2), [1, -2]), ValueError, "must not be negative, got -2"),
            (lambda: fn.repeat(fn.ones(2), [2**62, 2**62]), ValueError, "more elements than an array can have"),
            (lambda: fn.repeat(fn.ones(2), [0.5, 1.0]), TypeError, "must be an integer or a vector of integers"),
            (
                lambda: fn.compile(lambda n: fn.repeat(fn.ones(2), n))(fn.array([1, 2])),
                fn.TracedValueError,
                "repeat: the numbers of repetitions decide the shape",
            ),
        ),
    ),
    op(
        "searchsorted[sorter]",
        lambda v: fn.searchsorted(fn.array([2.0, -1.0, 3.0]), v, side="right", sorter=_sorter()),
        lambda v: np.searchsorted([-1.0, 2.0, 3.0], v, side="right"),
        MATRIX,
        dtypes=("float32", "float64"),
        result="uint32",
        differentiable=False,
        errors=(
            (
                lambda: fn.searchsorted(fn.ones(3), fn.ones(1), sorter=fn.array([0])),
                ValueError,
                r"the sorter must have the shape of what it sorts, got shapes \(1,\) and \(3,\)",
            ),
        ),
    ),
]

PLACES = [
    op(
        "as_strided[windows]",
        lambda x: fn.as_strided(x, (3, 2, 2), (2, 1, 3), 1),
        lambda x: _strided(x, (3, 2, 2), (2, 1, 3), 1),
        MATRIX,
        In((2, 3, 4)),
        dtypes=ALL,
        errors=(
            (
                lambda: fn.as_strided(fn.ones((2, 3)), (3, 3), (2, 1)),
                ValueError,
                r"leave the 6 elements .* shape \(2, 3\)",
            ),
            (lambda: fn.as_strided(fn.ones(6), (3,), (1, 1)), ValueError, "expected a stride for each axis"),
            (lambda: fn.as_strided(fn.ones(6), (2,), (-1,)), ValueError, "leave the 6 elements"),
            (lambda: fn.as_strided(fn.ones(6), (2**62, 2**62), (2**62, 2**62)), ValueError, "leave the 6 elements"),
            (lambda: fn.as_strided(fn.ones(6), (1,), (1,), 6), ValueError, "leave the 6 elements"),
        ),
    ),
    op(
        "as_strided[repeated, backwards]",
        lambda x: fn.as_strided(x, (2, 3, 4), (0, -2, 1), 4),
        lambda x: _strided(x, (2, 3, 4), (0, -2, 1), 4),
        MATRIX,
        CUBE,
    ),
    op(
        "as_strided[of a transpose]",
        lambda x: fn.as_strided(x.T, (5,), (2,)) * 2,
        lambda x: _strided(x.T, (5,), (2,)) * 2,
        MATRIX,
    ),
    op("as_strided[nothing]", lambda x: fn.as_strided(x, (0, 3), (9, 9), 5), lambda x: np.zeros((0, 3)), ROW, In((0,))),
    op("contiguous", fn.contiguous, lambda x: x, MATRIX, dtypes=ALL),
    op("depends", lambda x, y: fn.depends(x, y), lambda x, y: x, (MATRIX, ROW)),
    op(
        "moveaxis[several]",
        lambda x: fn.moveaxis(x, (0, 1), (-1, 0)),
        lambda x: np.moveaxis(x, (0, 1), (-1, 0)),
        MATRIX,
        CUBE,
        errors=(
            (lambda: fn.moveaxis(fn.ones((2, 3)), (0, 0), (0, 1)), ValueError, "an axis is named twice"),
            (lambda: fn.moveaxis(fn.ones((2, 3)), (0, 1), 0), ValueError, "2 axes cannot go to 1 positions"),
            (lambda: fn.moveaxis(fn.ones((2, 3)), 0, 2), fn.AxisError, "axis 2"),
        ),
    ),
    op("reshape[copy]", lambda x: fn.reshape(x, (-1,), copy=True), np.ravel, MATRIX, CUBE),
    op(
        "slice",
        lambda x, i: fn.slice(x, i, (-1,), (2, 3)),
        lambda x, i: x[:2, int(i) : int(i) + 3],
        (MATRIX, In((), 0, 1, dtype="int32")),
        errors=(
            (
                lambda: fn.slice(fn.ones((2, 3)), fn.array([1, 2]), (0,), (1, 1)),
                ValueError,
                "a start for each of the axes",
            ),
            (lambda: fn.slice(fn.ones((2, 3)), fn.array(1), (2,), (1, 1)), fn.AxisError, "has no axis 2"),
        ),
    ),
    op(
        "slice_update",
        lambda x, v, i: fn.slice_update(x, v, i, (0,)),
        lambda x, v, i: np.concatenate([x[: int(i)], v[None], x[int(i) + 1 :]]),
        (MATRIX, ROW, POINT),
        errors=(
            (
                lambda: fn.slice_update(fn.ones((2, 3)), fn.ones((3, 3)), fn.array(0), (0,)),
                ValueError,
                "slice_update|dynamic_update_slice",
            ),
        ),
    ),
]


def _converted(name: str) -> Any:
    return lambda x: getattr(fn, name)(x, axis=0, dtype=fn.float32)


SUMS = [
    op(
        "sum[dtype]",
        _converted("sum"),
        lambda x: x.sum(0),
        MATRIX,
        dtypes=INTEGERS,
        result="float32",
        differentiable=False,
    ),
    op(
        "prod[dtype]",
        _converted("prod"),
        lambda x: x.prod(0),
        MATRIX,
        dtypes=INTEGERS,
        result="float32",
        differentiable=False,
    ),
    *(
        row
        for name, reference in (("var", np.var), ("std", np.std))
        for row in reduction(
            name,
            functools.partial(reference, ddof=1.5),
            ("float32", "float64"),
            function=functools.partial(getattr(fn, name), correction=1.5),
            tolerance=64,
        )
    ),
]

ROWS: list[Op] = [*ELEMENTWISE, *CHOICES, *PLACES, *SUMS]
