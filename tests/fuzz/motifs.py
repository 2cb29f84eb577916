"""Steps that a recipe may take: each function adds one, or a few that belong together."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .builder import Builder, Rejected, is_float
from .loops import call, cond, mapped, scan, while_loop
from .motifs_elementwise import any_binary, any_unary, cast, constant, masked, partner, round_trip, where
from .motifs_matrices import linalg, quantized
from .motifs_places import (
    broadcast,
    concatenate,
    expand,
    flip,
    index,
    pad,
    repeat,
    reshape,
    scatter,
    source,
    split,
    squeeze,
    stack,
    strided,
    take,
    take_along,
    transpose,
    triangle,
)
from .numpy_values import FLOATS, INEXACT, INTEGERS, Values
from .recipe import Const

# ---- reductions


def some_axes(b: Builder, shape: tuple[int, ...]) -> tuple[int, ...]:
    c = b.choices
    kind = c.integer(0, 4)
    if kind == 0 or len(shape) == 1:
        return (len(shape) - 1,)
    if kind == 1:
        return (0,)
    if kind == 2:
        return tuple(range(len(shape)))
    return tuple(c.some(range(len(shape)), len(shape)) or [len(shape) // 2])


def reduce(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0)
    names = ["sum", "sum", "max", "min", "prod"]
    if b.dtype(v) == "complex64":
        names = ["sum", "prod"]
    if not b.smooth:
        names += ["all", "any"]
    return b.one(c.pick(names), v, axis=some_axes(b, b.shape(v)), keepdims=c.chance(0.5))


def argreduce(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and v.x.size > 0 and v.dtype != "complex64")
    axis = None if c.chance(0.2) else c.integer(0, len(b.shape(v)) - 1)
    return b.one(c.pick(("argmax", "argmin")), v, axis=axis, keepdims=c.chance(0.3))


def order(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and v.dtype != "complex64")
    axis = c.integer(0, len(b.shape(v)) - 1)
    length = b.shape(v)[axis]
    kind = c.integer(0, 2)
    if kind == 0 or (kind == 1 and b.smooth):
        return b.one("sort", v, axis=axis)
    if kind == 1:
        return b.one("argsort", v, axis=axis)
    return b.one("topk", v, k=c.integer(min(1, length), length), axis=axis)


def running(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and (v.dtype in INEXACT or v.dtype in INTEGERS))
    names = ["cumsum", "cumprod"]
    if b.dtype(v) != "complex64":
        names += ["cummax", "cummin"]
        if b.dtype(v) in FLOATS:
            names.append("logcumsumexp")
    axis = c.integer(0, len(b.shape(v)) - 1)
    name = c.pick(names)
    inclusive = name in ("cummax", "cummin", "logcumsumexp") or not c.chance(0.25)
    return b.one(name, v, axis=axis, reverse=c.chance(0.4), inclusive=inclusive)


def searchsorted(b: Builder) -> int:
    line = b.pick(lambda v: len(v.shape) == 1 and v.dtype in (*FLOATS, *INTEGERS))
    ordered = b.one("sort", line, axis=0)
    values = b.pick(lambda v: v.dtype == b.dtype(line))
    return b.one("searchsorted", ordered, values, side=b.choices.pick(("left", "right")))


# ---- products


def matmul(b: Builder) -> int:
    c = b.choices
    a = b.pick(lambda v: len(v.shape) > 1 and v.dtype in INEXACT)
    dtype = b.dtype(a)
    k = b.shape(a)[-1]

    def fits(v: Values) -> bool:
        return v.dtype == dtype and len(v.shape) > 1 and v.shape[-2] == k

    if c.chance(0.3):

        def turned(v: Values) -> bool:
            return v.dtype == dtype and len(v.shape) == 2 and v.shape[1] == k

        if len(b.shape(a)) == 2 and b.candidates(turned):
            other = b.pick(turned)
            moderate(b, b.shape(a)[0], k, b.shape(other)[0])
            return b.one("einsum", a, other, spec="ij,kj->ik")
    if c.chance(0.2) and len(b.shape(a)) == 2:
        rows = b.shape(a)[0]
        other = b.pick(lambda v: v.dtype == dtype and len(v.shape) == 2 and v.shape[0] == rows)
        moderate(b, k, rows, b.shape(other)[1])
        return b.one("einsum", a, other, spec="ij,ik->jk")
    if b.candidates(fits) and c.chance(0.7):
        other = b.pick(fits)
    else:
        lead = b.shape(a)[:-2] if c.chance(0.3) else ()
        other = b.new_input((*lead, k, b.dim()), dtype)
    try:
        batch = np.broadcast_shapes(b.shape(a)[:-2], b.shape(other)[:-2])
    except ValueError as e:
        raise Rejected("batches") from e
    if math.prod(batch) > b.scale.limit:  # NumPy visits empty products as well
        raise Rejected("too many batches")
    moderate(b, math.prod(batch) * b.shape(a)[-2], k, b.shape(other)[-1])
    return b.one("matmul", a, other)


def moderate(b: Builder, rows: int, length: int, columns: int) -> None:
    if rows * columns > b.scale.limit or rows * columns * length > 100 * b.scale.limit:
        raise Rejected("too much work")


def conv(b: Builder) -> int:
    c = b.choices
    x = b.pick(lambda v: len(v.shape) == 3 and v.dtype in FLOATS and min(v.shape) > 0)
    n, length, ins = b.shape(x)
    kernel, outs = c.integer(1, min(length, 3)), b.dim()
    moderate(b, n * length, kernel * ins, outs)
    weight = b.new_input((outs, kernel, ins), b.dtype(x))
    return b.one("conv1d", x, weight, stride=c.integer(1, 3), padding=c.integer(0, 2))


def attention(b: Builder) -> int:
    c = b.choices
    x = b.pick(lambda v: len(v.shape) == 3 and v.dtype in FLOATS and min(v.shape) > 0)
    n, queries, width = b.shape(x)
    keys = c.integer(queries, 2 * queries)
    moderate(b, n * queries, width, keys)
    k = b.new_input((n, keys, width), b.dtype(x))
    v = k if c.chance(0.3) else b.new_input((n, keys, b.dim()), b.dtype(x))
    return b.one("attention", x, k, v, causal=c.chance(0.5))


def chosen(b: Builder) -> int:
    """Products of matrices with some of others."""
    c = b.choices
    x = b.pick(lambda v: len(v.shape) == 3 and v.dtype in FLOATS and min(v.shape) > 0)
    n, rows, inner = b.shape(x)
    count, columns = c.integer(1, 3), b.dim()
    moderate(b, n * rows, inner, columns)
    numbers = tuple(c.integer(-count, count - 1) for _ in range(n))
    return b.one("gather_mm", x, b.new_input((count, inner, columns), b.dtype(x)), rhs_indices=numbers)


def hadamard(b: Builder) -> int:
    x = b.pick(lambda v: len(v.shape) > 1 and v.dtype in FLOATS and v.shape[-1] & (v.shape[-1] - 1) == 0 < v.shape[-1])
    moderate(b, math.prod(b.shape(x)[:-1]), b.shape(x)[-1], b.shape(x)[-1])
    return b.one("hadamard_transform", x, scale=1.0)


def fourier(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and min(v.shape) > 0 and v.dtype in INEXACT)
    axis, real = c.integer(0, len(b.shape(v)) - 1), b.dtype(v) != "complex64"
    name = c.pick(("fft", "ifft", "rfft") if real else ("fft", "ifft", "irfft"))
    if name == "irfft" and b.shape(v)[axis] < 2:
        raise Rejected("no even length")
    return b.one("fourier", v, name=name, axis=axis)


def dense(b: Builder) -> int:
    """A product, with a bias and an activation: an epilogue."""
    c = b.choices
    y = conv(b) if c.chance(0.3) else matmul(b)
    columns = b.shape(y)[-1]
    if c.chance(0.7):
        y = b.one("add", y, partner(b, (columns,), lambda v: v.dtype == b.dtype(y) and v.shape in ((columns,), (1,))))
    if b.dtype(y) != "complex64":
        for _ in range(c.integer(1, 3)):
            y = (
                b.one(c.pick(("tanh", "sigmoid", "square", "exp", "abs")), y)
                if c.chance(0.6)
                else b.one("maximum", y, Const(0))
            )
    if c.chance(0.3):
        y = b.one("sum", y, axis=some_axes(b, b.shape(y)), keepdims=c.chance(0.5))
    return y


def crossed(b: Builder) -> int:
    """Two products, each of which meets a part of the other: both readers want both products."""
    c = b.choices
    a = b.pick(lambda v: len(v.shape) == 2 and v.dtype in FLOATS)
    rows, length = b.shape(a)
    products = []
    for columns in (rows, c.pick((rows, 2 * rows, rows + 1))):
        moderate(b, rows, length, columns)
        products.append(b.one("matmul", a, b.new_input((length, columns), b.dtype(a), "real")))
    made = []
    for mine, other in (products, products[::-1]):
        part = b.one("index", other, at=((None, None, None), (0, c.pick((1, rows)), None)))
        if b.shape(part) == (rows, rows) and c.chance(0.5):
            part = b.one("transpose", part, axes=(1, 0))
        if b.shape(part)[1] not in (1, b.shape(mine)[1]):
            part = b.one("index", part, at=((None, None, None), (0, 1, None)))
        made.append(b.one(c.pick(("add", "multiply", "subtract")), mine, part))
    return b.one("concatenate", *made, axis=1)


# ---- random bits


def draw(b: Builder) -> int:
    c = b.choices
    keys = b.candidates(lambda v: v.dtype == "uint32" and v.shape == (2,) and v.e is None)
    key = c.pick(keys) if keys and c.chance(0.5) else b.new_input((2,), "uint32", "key")
    if c.chance(0.5):
        return b.one("random_uniform", key, shape=b.new_shape())
    return b.one("random_bits", key, shape=b.new_shape(), width=c.pick((4, 1, 2)))


# ---- patterns


def softmax(b: Builder) -> int:
    v = b.pick(lambda v: v.dtype in FLOATS and len(v.shape) > 0 and v.x.size > 0)
    axis = some_axes(b, b.shape(v))
    shifted = b.one("subtract", v, b.one("max", v, axis=axis, keepdims=True))
    e = b.one("exp", shifted)
    total = b.one("sum", e, axis=axis, keepdims=True)
    if b.choices.chance(0.3):
        return b.one("subtract", shifted, b.one("log", total))
    return b.one("divide", e, total)


def normalise(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: v.dtype in ("float32", "float64", "bfloat16") and len(v.shape) > 0 and v.x.size > 0)
    axis = some_axes(b, b.shape(v))
    n = math.prod([b.shape(v)[a] for a in axis])
    mean = b.one("multiply", b.one("sum", v, axis=axis, keepdims=True), Const(1.0 / n))
    centred = b.one("subtract", v, mean)
    squares = b.one("sum", b.one("square", centred), axis=axis, keepdims=True)
    scale = b.one("rsqrt", b.one("add", b.one("multiply", squares, Const(1.0 / n)), Const(0.125)))
    y = b.one("multiply", centred, scale)
    if c.chance(0.5):
        y = b.one("multiply", y, partner(b, b.shape(v)[-1:], is_float))
    if c.chance(0.4):  # sums over rows, as for the gain's gradient
        b.one("sum", b.one("multiply", y, v), axis=(0,), keepdims=False)
    return y


def back_to_elements(b: Builder) -> int:
    """A reduction whose result meets the elements again."""
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and v.dtype in FLOATS)
    r = b.one(c.pick(("sum", "max", "min")), v, axis=some_axes(b, b.shape(v)), keepdims=True)
    for _ in range(c.integer(0, 2)):
        r = b.one(c.pick(("add", "multiply", "maximum")), r, constant(b, b.dtype(v)))
    return b.one(c.pick(("subtract", "multiply", "add", "minimum")), v, r)


def optimiser(b: Builder) -> int:
    """A step of momentum or Adam on a parameter."""
    p = b.pick(is_float)
    g = b.pick(lambda v: v.shape == b.shape(p) and v.dtype in FLOATS)
    m = b.pick(lambda v: v.shape == b.shape(p) and v.dtype in FLOATS)
    m = b.one("add", b.one("multiply", m, Const(0.9)), b.one("multiply", g, Const(0.1)))
    step_size = m
    if b.choices.chance(0.5):
        n = b.one("add", b.one("multiply", b.one("square", g), Const(0.01)), Const(0.25))
        step_size = b.one("divide", m, b.one("sqrt", n))
    return b.one("subtract", p, b.one("multiply", step_size, Const(0.1)))


def chain(b: Builder) -> int:
    """A run of elementwise steps that read the same few arrays."""
    c = b.choices
    v = b.pick(is_float)
    w = v
    for _ in range(c.integer(2, 6)):
        kind = c.integer(0, 3)
        if kind == 0:
            w = b.one(c.pick(("tanh", "abs", "sin", "negative", "square", "sigmoid")), w)
        elif kind == 1:
            w = b.one(c.pick(("add", "multiply", "subtract", "maximum")), w, v)
        elif kind == 2:
            w = b.one(c.pick(("add", "multiply")), w, constant(b, b.dtype(w)))
        else:
            w = b.one(
                c.pick(("add", "multiply", "minimum")), w, partner(b, b.shape(w), lambda x: x.dtype == b.dtype(v))
            )
    return w


def complex_numbers(b: Builder) -> int:
    c = b.choices
    found = b.candidates(lambda v: v.dtype == "complex64")
    if found and c.chance(0.6):
        v = c.pick(found)
    elif b.open and c.chance(0.5):
        v = b.new_input(b.new_shape(), "complex64")
    else:
        v = b.one("astype", b.pick(lambda v: v.dtype in FLOATS), dtype="complex64")
    v = b.one(c.pick(("conjugate", "real", "imag", "abs", "square", "exp", "negative")), v)
    return b.one("multiply", v, c.pick(b.candidates(lambda w: w.shape == b.shape(v)))) if c.chance(0.5) else v


def stop(b: Builder) -> int:
    return b.one("stop_gradient", b.pick())


SMOOTH: tuple[Callable[[Builder], int], ...] = (
    any_unary, any_unary, any_binary, any_binary, any_binary, masked, where,
    transpose, reshape, broadcast, strided, flip, expand, squeeze, index, concatenate, stack, pad, split, repeat, triangle,
    reduce, reduce, order, running, matmul, matmul, conv, attention, chosen, hadamard, dense, crossed, take, take_along,
    scatter, scatter,
    softmax, normalise, back_to_elements, chain, scan, scan, cond, call, call, mapped,
)  # fmt: skip
ALL: tuple[Callable[[Builder], int], ...] = (
    *SMOOTH, any_binary, cast, cast, round_trip, argreduce, searchsorted, draw, source, optimiser, complex_numbers, fourier, stop, linalg,
    quantized,
    while_loop, scan, scatter, reduce, chain,
)  # fmt: skip
