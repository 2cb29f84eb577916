"""Loops and branches, with bodies that are small recipes: carries pass through, change places, come out twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .builder import Builder, Rejected
from .numpy_values import INEXACT, Values
from .recipe import Body, Const


def body_of(b: Builder, arguments: Sequence[Values], closed: Sequence[Values], more: int) -> Body:
    """A function of arguments that returns values like `closed`, and up to `more` others."""
    from . import recipes

    c = b.choices
    inner = Builder(c, b.scale, arguments, b.depth + 1, b.smooth)
    for _ in range(c.integer(0, 3)):
        recipes.step(inner)
    outputs = [close(inner, like) for like in closed]
    for _ in range(c.integer(0 if closed else 1, max(more, 0 if closed else 1))):
        outputs.append(inner.pick(lambda v: not b.smooth or v.dtype == "float64"))
    return inner.body(outputs, len(arguments))


def close(inner: Builder, like: Values) -> int:
    """A value of the shape and dtype of another: one that is there (an argument, perhaps), or a new one."""
    c = inner.choices
    same = inner.candidates(lambda v: v.shape == like.shape and v.dtype == like.dtype)
    if same and c.chance(0.45):
        return same[-1 - c.integer(0, len(same) - 1)]

    def meets(v: Values) -> bool:
        try:
            return np.broadcast_shapes(v.shape, like.shape) == like.shape
        except ValueError:
            return False

    first, second = inner.pick(meets), inner.pick(meets)
    name = c.pick(("add", "subtract", "maximum", "minimum"))
    if "complex64" in (inner.dtype(first), inner.dtype(second)):
        name = "add"
    elif "bool_" in (inner.dtype(first), inner.dtype(second)):
        name = "logical_or"
    made = inner.one(name, first, second)
    if inner.dtype(made) in INEXACT and c.chance(0.6):
        made = inner.one("multiply", made, Const(0.5))
    if inner.dtype(made) != like.dtype:
        made = inner.one("astype", made, dtype=like.dtype)
    if inner.shape(made) != like.shape:
        made = inner.one("broadcast_to", made, shape=like.shape)
    return made


def small(b: Builder, limit: int = 2000) -> Any:
    return lambda v: v.x.size <= limit and (not b.smooth or v.dtype == "float64")


def unless_deep(b: Builder) -> None:
    if b.depth > 1:
        raise Rejected("too deep")


def scan(b: Builder) -> int:
    unless_deep(b)
    c = b.choices
    carries = [b.pick(small(b)) for _ in range(c.integer(0, 3))]
    sequences: list[int] = []
    length = c.integer(1, 4) if not c.chance(0.1) else 0
    lines = b.candidates(lambda v: len(v.shape) > 0 and v.shape[0] <= 8 and small(b, 4000)(v))
    if lines and (c.chance(0.7) or not carries):
        sequences.append(c.pick(lines))
        length = b.shape(sequences[0])[0]
        sequences += c.some([i for i in lines if b.shape(i)[0] == length], 2)
    if not carries and not sequences:
        raise Rejected("nothing to loop over")
    constants = [b.pick(small(b)) for _ in range(c.integer(0, 2))]
    v = b.values
    elements = [
        v[i].move(lambda a: a[0]) if length else Values(np.zeros(v[i].shape[1:], v[i].x.dtype), v[i].dtype)
        for i in sequences
    ]
    closed = [v[i] for i in carries]
    body = body_of(b, [*closed, *[as_array(e) for e in elements], *[v[i] for i in constants]], closed, 3)
    return b.add(
        "scan", *carries, *sequences, *constants,
        body=body, carries=len(carries), sequences=len(sequences), length=length, reverse=c.chance(0.35),
    )[0]  # fmt: skip


def as_array(v: Values) -> Values:
    return Values(np.asarray(v.x), v.dtype, None if v.e is None else np.asarray(v.e))


def cond(b: Builder) -> int:
    unless_deep(b)
    c = b.choices
    flags = b.candidates(lambda v: v.shape == () and v.dtype == "bool_")
    if flags and c.chance(0.5):
        pred = c.pick(flags)
    else:
        v = b.pick(lambda v: v.dtype not in ("bool_", "complex64"))
        whole = b.one("sum", v, axis=tuple(range(len(b.shape(v)))), keepdims=False) if b.shape(v) else v
        pred = b.one(c.pick(("greater", "less")), whole, Const(c.pick((0, 1, -1)) if b.dtype(whole)[0] != "u" else 1))
    operands = [b.pick(small(b)) for _ in range(c.integer(1, 3))]
    values = [b.values[i] for i in operands]
    closed = [b.choices.pick(values) for _ in range(c.integer(1, 3))]
    first, second = body_of(b, values, closed, 0), body_of(b, values, closed, 0)
    return b.add("cond", pred, *operands, first=first, second=second)[0]


def while_loop(b: Builder) -> int:
    unless_deep(b)
    c = b.choices
    start = b.one("full", shape=(), value=0, dtype="int32")
    carries = [b.pick(small(b)) for _ in range(c.integer(1, 3))]
    constants = [b.pick(small(b)) for _ in range(c.integer(0, 2))]
    closed = [b.values[i] for i in carries]
    body = body_of(b, [b.values[start], *closed, *[b.values[i] for i in constants]], closed, 0)
    return b.add("while_loop", start, *carries, *constants, body=body, carries=1 + len(carries), limit=c.integer(0, 4))[
        0
    ]


def call(b: Builder) -> int:
    """Part of the program as a checkpoint, or a compiled function."""
    unless_deep(b)
    operands = [b.pick() for _ in range(b.choices.integer(1, 3))]
    body = body_of(b, [b.values[i] for i in operands], [], 2)
    return b.add("call", *operands, body=body, how=b.choices.pick(("checkpoint", "compile")))[0]


def mapped(b: Builder) -> int:
    """A function of one element along axis 0, applied to all."""
    unless_deep(b)
    c = b.choices
    lines = b.candidates(lambda v: len(v.shape) > 0 and 0 < v.shape[0] <= 5 and small(b)(v))
    if not lines:
        raise Rejected("nothing to map over")
    first = c.pick(lines)
    length = b.shape(first)[0]
    operands = [first, *c.some([i for i in lines if b.shape(i)[0] == length], 2)]
    constants = [b.pick(small(b)) for _ in range(c.integer(0, 2))]
    elements = [as_array(b.values[i].move(lambda a: a[0])) for i in operands]
    body = body_of(b, [*elements, *[b.values[i] for i in constants]], [], 2)
    return b.add("vmap", *operands, *constants, body=body, mapped=len(operands))[0]
