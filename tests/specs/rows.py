"""What a row of the table of operations is, and short ways to write one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import funcnn as fn

FLOATS = ("float16", "bfloat16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
REAL = FLOATS + INTEGERS
NUMERIC = (*REAL, "complex64")
ALL = (*NUMERIC, "bool_")
INEXACT = (*FLOATS, "complex64")


@dataclass(frozen=True)
class In:
    """One input: a shape, and the range its elements are drawn from.

    `dtype` fixes the dtype, whatever dtype the operation is tested for (index arrays, conditions); such an input is not
    differentiated. `distinct` draws elements that differ by more than the step of the numerical derivative.
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    distinct: bool = False


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        name: What the test is called.
        call: The operation on arrays.
        reference: The same on NumPy arrays of float64, complex128, int64 or bool.
        samples: Inputs to try.
        dtypes: The dtypes to try.
        result: The dtype of the result: "same", "float" (float32 for integers), "bool", "sum" (integers widen to 32
            bits), or a name.
        differentiable: Whether derivatives are checked.
        twice: Whether second derivatives are.
        tolerance: How many times the rounding error of the dtype the result may be off.
        edges: Further inputs in float32 with values such as inf and NaN.
        batched: Whether vmap is checked.
        errors: Calls that raise: a function without arguments, the exception, and a part of its message.
    """

    name: str
    call: Callable[..., Any]
    reference: Callable[..., Any]
    samples: Sequence[tuple[In, ...]]
    dtypes: Sequence[str] = FLOATS
    result: str = "same"
    differentiable: bool = True
    twice: bool = True
    tolerance: float = 8.0
    edges: Sequence[tuple[Any, ...]] = ()
    batched: bool = True
    errors: Sequence[tuple[Callable[[], Any], type[BaseException], str]] = ()


def result_dtype(op: Op, dtype: str) -> fn.Dtype:
    """The dtype of the result of `op` for inputs of `dtype`."""
    if op.result == "same":
        return getattr(fn, dtype)
    if op.result == "float":
        return getattr(fn, dtype) if dtype in (*FLOATS, "complex64") else fn.float32
    if op.result == "real":
        return fn.float32 if dtype == "complex64" else getattr(fn, dtype)
    if op.result == "sum":
        return {"bool_": fn.int32, "int8": fn.int32, "int16": fn.int32, "uint8": fn.uint32, "uint16": fn.uint32}.get(
            dtype, getattr(fn, dtype)
        )
    return fn.bool_ if op.result == "bool" else getattr(fn, op.result)


EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 88.0, -88.0, 1e4, -1e4, 1e-6, np.inf, -np.inf, np.nan]


def unary(
    name: str,
    reference: Callable[..., Any],
    low: float = -2.0,
    high: float = 2.0,
    dtypes: Sequence[str] = FLOATS,
    edges: Sequence[float] = EDGES,
    call: Callable[..., Any] | None = None,
    **options: Any,
) -> Op:
    """A row for an elementwise function of one argument."""
    samples = [(In(shape, low, high),) for shape in [(), (5,), (3, 4), (0, 2)]]
    return Op(
        name,
        call or getattr(fn, name),
        reference,
        samples,
        dtypes,
        edges=[(np.array(edges),)] if edges else (),
        **options,
    )


PAIRS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), ()), ((4,), (4,)), ((3, 1), (4,)), ((2, 1, 3), (4, 1))]
EDGE_PAIRS = np.array(list(itertools.product([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan], repeat=2))).T


def binary(
    name: str,
    reference: Callable[..., Any],
    a: tuple[float, float] = (-2.0, 2.0),
    b: tuple[float, float] = (-2.0, 2.0),
    dtypes: Sequence[str] = FLOATS,
    edges: bool = True,
    **options: Any,
) -> Op:
    """A row for an elementwise function of two arguments."""
    samples = [(In(s, *a, distinct=True), In(t, *b, distinct=True)) for s, t in PAIRS]
    mismatch = (
        lambda: getattr(fn, name)(
            fn.zeros((2, 3)).astype(getattr(fn, dtypes[0])), fn.zeros((4,)).astype(getattr(fn, dtypes[0]))
        ),
        ValueError,
        r"\(2, 3\)",
    )
    return Op(
        name,
        getattr(fn, name),
        reference,
        samples,
        dtypes,
        edges=[tuple(EDGE_PAIRS)] if edges else (),
        errors=(mismatch,),
        **options,
    )


AXES: list[Any] = [None, 0, -1, (0, 2)]


def reduction(
    name: str,
    reference: Callable[..., Any],
    dtypes: Sequence[str] = REAL,
    function: Callable[..., Any] | None = None,
    around: tuple[float, float] = (-1.0, 1.0),
    **options: Any,
) -> list[Op]:
    """Rows for a reduction: over all axes, one, several, keeping them or not, and of a large array with elements `around`."""
    function = function or getattr(fn, name)

    def row(label: str, samples: Sequence[tuple[In, ...]], **arguments: Any) -> Op:
        return Op(
            f"{name}[{label}]",
            lambda x: function(x, **arguments),
            lambda x: reference(x, **arguments),
            samples,
            dtypes,
            errors=((lambda: function(fn.zeros((2, 3)), axis=2), fn.AxisError, "axis 2"),),
            **options,
        )

    cube = [(In((2, 3, 4), distinct=True),)]
    rows = [row(f"axis={axis}", cube, axis=axis) for axis in AXES]
    rows.append(row("axis=1, keepdims", cube, axis=1, keepdims=True))
    rows.append(row("large", [(In((70, 301), *around, distinct=True),)], axis=-1))
    rows.append(row("large, axis=0", [(In((301, 70), *around, distinct=True),)], axis=0))
    return rows


def special_function(name: str) -> Callable[..., np.ndarray]:
    def call(*x: Any) -> np.ndarray:
        from scipy import special

        return getattr(special, name)(*x)

    return call


MATRIX = In((3, 4), distinct=True)
CUBE = In((2, 3, 4), distinct=True)
ROW = In((4,), distinct=True)


def op(name: str, call: Callable[..., Any], reference: Callable[..., Any], *samples: Any, **options: Any) -> Op:
    """A row with its samples as arguments: an `In`, or a tuple of them for several inputs."""
    return Op(name, call, reference, [s if isinstance(s, tuple) else (s,) for s in samples], **options)
