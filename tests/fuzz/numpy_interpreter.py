"""Runs a recipe in plain NumPy, one step after another: the oracle of the planner."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import numpy_elementwise as el
from . import numpy_matrices as matrices
from . import numpy_reduce as red
from .numpy_values import (
    HALVES,
    INEXACT,
    ROUNDOFF,
    Values,
    combine,
    convert,
    made,
    promote,
    round_to,
    simplify,
    storage,
)
from .recipe import Body, Const, Input, Recipe, Step

Operand = Any  # Values, or Const


# ---- inputs


def elements(given: Input) -> np.ndarray:
    """The elements of an input, in the type that holds its dtype; the same for the same input."""
    rng = np.random.default_rng(given.seed)
    shape, dtype, style = given.shape, given.dtype, given.style
    kind = storage(dtype)
    if dtype == "bool_":
        return rng.integers(0, 2, shape).astype(bool)
    if style == "key":
        return rng.integers(0, 2**32, shape, dtype=np.uint32)
    if style == "index":
        low = 0 if dtype.startswith("u") else -given.bound - 1
        return rng.integers(low, given.bound + 2, shape).astype(kind)
    if style == "count":
        return rng.integers(0, max(1, given.bound), shape).astype(kind)
    if dtype not in INEXACT:
        if style == "special":
            info = np.iinfo(kind)
            return rng.choice(np.array([0, 1, info.min, info.max, 2, info.max - 1], kind), shape)
        return rng.integers(0 if dtype.startswith("u") else -4, 5, shape).astype(kind)
    if style == "whole":
        x = rng.integers(-3, 4, shape).astype(kind)
        return x + 1j * rng.integers(-3, 4, shape) if dtype == "complex64" else x
    if style == "special":
        return rng.choice(np.array([0.0, 1.0, -2.0, np.inf, -np.inf, np.nan, 0.5, 3.0]), shape).astype(kind)
    x = rng.uniform(-2, 2, shape)
    if style == "positive":
        x = np.abs(x) + 0.25
    if dtype == "complex64":
        x = x + 1j * rng.uniform(-2, 2, shape)
    return round_to(np.asarray(x, kind), dtype)


def input_values(given: Input) -> Values:
    return Values(np.asarray(elements(given)), given.dtype)


# ---- elements elsewhere


def slices(spec: Sequence[Any]) -> tuple[Any, ...]:
    """An index from data: (start, stop, step) for a slice, a whole number, None or ... as they are."""
    return tuple(slice(*s) if isinstance(s, tuple) else s for s in spec)


def join(f: Callable[[list[np.ndarray]], np.ndarray], *vs: Values) -> Values:
    dtype = vs[0].dtype
    for v in vs[1:]:
        dtype = promote(dtype, v.dtype)
    vs = tuple(convert(v, dtype) for v in vs)
    e = None if all(v.exact for v in vs) else simplify(f([v.bound for v in vs]))
    return Values(f([v.x for v in vs]), dtype, e)


def strided(a: np.ndarray, shape: Sequence[int], strides: Sequence[int], offset: int) -> np.ndarray:
    places = np.full(shape, offset)
    for axis, stride in enumerate(strides):
        along = [1] * len(shape)
        along[axis] = shape[axis]
        places += stride * np.arange(shape[axis]).reshape(along)
    if places.size and (places.min() < 0 or places.max() >= a.size):
        raise ValueError("outside the array")
    return a.ravel()[places] if places.size else np.zeros(shape, a.dtype)


def pad(v: Values, widths: Sequence[tuple[int, int]], mode: str, value: Any = 0) -> Values:
    if mode != "constant":
        return v.move(lambda a: np.pad(a, widths, mode))
    fill = el.constant(value, v.dtype).x
    e = None if v.e is None else np.pad(v.e, widths)
    return Values(np.pad(v.x, widths, constant_values=fill), v.dtype, e)


def triangle(v: Values, k: int, upper: bool) -> Values:
    return v.move(lambda a: (np.triu if upper else np.tril)(a, k))


# ---- computed positions


def positions(index: Values, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions counted from the front, and whether they are in range."""
    at = index.x.astype(np.int64) if index.dtype != "uint64" else np.minimum(index.x, 2**40).astype(np.int64)
    at = np.where(at < 0, at + length, at)
    inside = (at >= 0) & (at < length)
    return np.where(inside, at, 0), inside


def where_to(x: Values, index: Values, axis: int) -> tuple[Any, np.ndarray]:
    """The NumPy index of x[:, ..., index], and whether each place is in range."""
    at, inside = positions(index, x.shape[axis])
    return (slice(None),) * axis + (at,), inside.reshape(inside.shape + (1,) * (len(x.shape) - axis - 1))


def take(x: Values, index: Values, axis: int) -> Values:
    if x.shape[axis] == 0:
        shape = x.shape[:axis] + index.shape + x.shape[axis + 1 :]
        return Values(np.zeros(shape, x.x.dtype), x.dtype)
    key, inside = where_to(x, index, axis)
    e = None
    if not (x.exact and index.exact):
        unsure = np.where(index.bound > 0, np.inf, 0.0).reshape(inside.shape)
        e = simplify(np.where(inside, x.bound[key], 0.0) + unsure)
    return Values(np.where(inside, x.x[key], np.zeros((), x.x.dtype)), x.dtype, e)


def take_along(x: Values, index: Values, axis: int) -> Values:
    at, inside = positions(index, x.shape[axis])
    if x.shape[axis] == 0:
        shape = tuple(np.broadcast_shapes((*x.shape[:axis], 1, *x.shape[axis + 1 :]), index.shape))
        return Values(np.zeros(shape, x.x.dtype), x.dtype)
    out = np.where(inside, np.take_along_axis(x.x, at, axis), np.zeros((), x.x.dtype))
    e = None
    if not (x.exact and index.exact):
        e = np.where(inside, np.take_along_axis(x.bound, at, axis), 0.0) + np.where(index.bound > 0, np.inf, 0.0)
    return Values(out, x.dtype, simplify(e))


def update(
    x: Values, mode: str, key: Any, values: Operand, inside: np.ndarray | None = None, unsure: bool = False
) -> Values:
    """x with x[key] combined with values, one after another in row-major order."""
    v = el.constant(values.value, x.dtype) if isinstance(values, Const) else convert(values, x.dtype)
    part = x.x[key].shape
    value, bound = np.broadcast_to(v.x, part), np.broadcast_to(v.bound, part)
    # Places out of range: updates that change nothing of what is at position 0.
    order = np.arange(x.x.size).reshape(x.shape)[key].ravel()
    value, bound = value.ravel(), bound.ravel()
    if inside is not None:
        keep = np.broadcast_to(inside, part).ravel()
        order, value, bound = order[keep], value[keep], bound[keep]
    out, e = x.x.ravel().copy(), x.bound.ravel().copy()
    exact = x.exact and v.exact
    if mode == "set":
        out[order] = value
        e[order] = bound
    elif mode in ("add", "subtract"):
        np.add.at(out, order, value if mode == "add" else -value)
        np.add.at(e, order, bound)
        size = np.abs(x.x).ravel().astype(np.float64)
        np.add.at(size, order, np.abs(value).astype(np.float64))
        count = np.bincount(order, minlength=size.size)
        if x.dtype in INEXACT:
            u = ROUNDOFF[x.dtype]
            grid = np.all(np.rint(x.x * 64) == x.x * 64) and np.all(np.rint(value * 64) == value * 64)
            e = e + np.where((grid & (size * 128 < 0.5 / u)) | (count == 0), 0.0, (count + 1) * u * size)
            exact = False
    elif mode == "multiply":
        np.multiply.at(out, order, value)
        size, wide = np.maximum(np.abs(x.x).ravel(), 1).astype(np.float64), np.abs(x.x).ravel() + e
        np.multiply.at(size, order, np.maximum(np.abs(value), 1).astype(np.float64))
        np.multiply.at(wide, order, np.abs(value) + bound)
        count = np.bincount(order, minlength=size.size)
        if x.dtype in INEXACT:
            u = ROUNDOFF[x.dtype] * (4 if x.dtype == "complex64" else 1)
            whole = np.all(np.rint(x.x * 2) == x.x * 2) and np.all(np.rint(value) == value)
            e = np.where(
                count == 0, e, wide - np.abs(out) + 2 * (count + 1) * u * wide * ~(whole & (size * 4 < 0.5 / u))
            )
            e = np.where((size > 1e30) & (count > 0), np.inf, e)
            if whole and x.exact and v.exact:
                e = np.where(size * 4 < 0.5 / u, 0.0, e)
            exact = False
        else:
            np.add.at(e, order, bound)
    else:
        f = np.maximum if mode == "maximum" else np.minimum
        f.at(out, order, value)
        np.maximum.at(e, order, bound)
    if unsure:
        e = np.full(out.shape, np.inf)
    elif exact:
        e = None
    return made(
        out.reshape(x.shape),
        x.dtype,
        None if e is None else e.reshape(x.shape),
        0.0 if mode in ("set", "maximum", "minimum") else 1.0,
    )


def put(x: Values, index: Values, mode: str, values: Operand, axis: int) -> Values:
    key, inside = where_to(x, index, axis)
    if x.shape[axis] == 0:
        return x
    return update(x, mode, key, values, inside, unsure=not index.exact)


def put_pair(x: Values, i: Values, j: Values, mode: str, values: Operand) -> Values:
    """x[i, j] with two arrays of positions on the first axes."""
    (a, p), (b, q) = positions(i, x.shape[0]), positions(j, x.shape[1])
    if 0 in x.shape:
        return x
    inside = (p & q).reshape(np.broadcast_shapes(p.shape, q.shape) + (1,) * (len(x.shape) - 2))
    return update(x, mode, (a, b), values, inside, unsure=not (i.exact and j.exact))


def put_along(x: Values, index: Values, values: Operand, axis: int) -> Values:
    at, inside = positions(index, x.shape[axis])
    grid = list(np.indices(at.shape, sparse=True))
    grid[axis] = at
    if 0 in x.shape:
        return x
    return update(x, "set", tuple(grid), values, inside, unsure=not index.exact)


def put_mask(x: Values, mask: Values, mode: str, values: Const) -> Values:
    out = update(x, mode, mask.x, values)
    if mask.e is None:
        return out
    e = out.bound + np.where(mask.e > 0, np.inf, 0.0).reshape(mask.shape + (1,) * (len(x.shape) - len(mask.shape)))
    return Values(out.x, out.dtype, simplify(np.broadcast_to(e, x.shape)))


# ---- random bits


def threefry(key: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k = [np.uint32(key[0]), np.uint32(key[1])]
    k.append(k[0] ^ k[1] ^ np.uint32(0x1BD11BDA))
    with np.errstate(over="ignore"):
        x, y = low + k[0], high + k[1]
        for i in range(5):
            for r in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
                x = x + y
                y = ((y << np.uint32(r)) | (y >> np.uint32(32 - r))) ^ x
            x = x + k[(i + 1) % 3]
            y = y + k[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


def words(key: np.ndarray, count: int) -> np.ndarray:
    if key.shape != (2,):
        raise ValueError("no key")
    half = (count + 1) // 2
    first = np.arange(half, dtype=np.uint32)
    second = np.arange(half, 2 * half, dtype=np.uint32)
    if count % 2:
        second[-1] = 0
    return np.concatenate(threefry(key, first, second))[:count]


def random_bits(key: Values, shape: tuple[int, ...], width: int) -> Values:
    count = math.prod(shape)
    dtype = {1: "uint8", 2: "uint16", 4: "uint32"}[width]
    w = words(key.x, -(-count * width // 4)).view(getattr(np, dtype))[:count]
    return Values(w.reshape(shape), dtype)


def random_uniform(key: Values, shape: tuple[int, ...]) -> Values:
    w = words(key.x, math.prod(shape)).astype(np.float64) * 2.0**-32
    return made(w.reshape(shape), "float32", 1e-7)


# ---- loops and branches


def uncertain(v: Values) -> Values:
    return Values(v.x, v.dtype, np.full(v.x.shape, np.inf))


def scan(body: Body, carries: int, sequences: int, length: int, reverse: bool, args: list[Values]) -> list[Values]:
    carry, xs, constants = args[:carries], args[carries : carries + sequences], args[carries + sequences :]
    lines: list[list[Values]] = []
    order = range(length - 1, -1, -1) if reverse else range(length)
    for i in order:
        out = run_body(body, [*carry, *[x.move(lambda a, i=i: a[i]) for x in xs], *constants])
        carry = out[:carries]
        lines.append(out[carries:])
    if reverse:
        lines.reverse()
    if not length:
        like = run_body(body, [*carry, *[Values(np.zeros(x.shape[1:], x.x.dtype), x.dtype) for x in xs], *constants])
        return [*carry, *[Values(np.zeros((0, *v.shape), v.x.dtype), v.dtype) for v in like[carries:]]]
    return [*carry, *[stacked(column) for column in zip(*lines, strict=True)]]


def vmap(body: Body, mapped: int, args: list[Values]) -> list[Values]:
    length = args[0].shape[0]
    rows = [
        run_body(body, [*[v.move(lambda a, i=i: np.asarray(a[i])) for v in args[:mapped]], *args[mapped:]])
        for i in range(length)
    ]
    return [stacked(column) for column in zip(*rows, strict=True)]


def stacked(column: Sequence[Values]) -> Values:
    e = None if all(v.exact for v in column) else np.stack([v.bound for v in column])
    return Values(np.stack([v.x for v in column]), column[0].dtype, e)


def cond(first: Body, second: Body, args: list[Values]) -> list[Values]:
    truth, operands = convert(args[0], "bool_"), args[1:]
    out = run_body(first if truth.x else second, operands)
    return [uncertain(v) for v in out] if truth.e is not None else out


def while_loop(body: Body, carries: int, limit: int, args: list[Values]) -> list[Values]:
    """Carries are counted by the first, an int32, up to the limit."""
    carry, constants = args[:carries], args[carries:]
    while carry[0].x < limit:
        out = run_body(body, [*carry, *constants])
        carry = [Values(np.asarray(carry[0].x + np.int32(1)), "int32"), *out]
    return carry


# ---- steps


Op = Callable[..., Any]


def attention(q: Values, k: Values, v: Values, causal: bool) -> Values:
    """One head of attention: arrays of shape (n, places, features)."""
    dtype = q.dtype
    q, k, v = (convert(a, "float32") if dtype in HALVES else a for a in (q, k, v))
    s = red.einsum(
        "...ij,...jk->...ik",
        el.arithmetic("multiply", q, el.constant(0.5, q.dtype)),
        k.move(lambda a: a.swapaxes(1, 2)),
    )
    hidden = (
        np.arange(k.shape[1]) > np.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1]
        if causal
        else np.zeros((), bool)
    )
    # What is hidden is far below the rest, and at least one key of each row is not.
    s = Values(np.where(hidden, -1e5, s.x), s.dtype, None if s.e is None else np.where(hidden, 0.0, s.e))
    s = Values(s.x - np.max(s.x, axis=-1, keepdims=True), s.dtype, s.bound + np.max(s.bound, axis=-1, keepdims=True))
    e = el.unary("exp", s)
    e = Values(
        np.where(hidden, 0.0, e.x),
        e.dtype,
        # Weights that no sum of them would notice may be missing.
        np.where(hidden, 0.0, e.bound + 4 * ROUNDOFF[e.dtype] * (1 + np.abs(s.x)) * e.x + 1e-36),
    )
    y = el.arithmetic("divide", red.einsum("...ij,...jk->...ik", e, v), red.reduce("sum", e, (-1,), True))
    return convert(Values(y.x, y.dtype, 4 * y.bound), dtype)


OPS: dict[str, Op] = {
    **{name: (lambda v, name=name: el.unary(name, v)) for name in el.UNARY},
    **{name: (lambda a, b, name=name: el.binary(name, a, b)) for name in el.BINARY},
    "where": el.select,
    "astype": lambda v, dtype: convert(v, dtype),
    "transpose": lambda v, axes: v.move(lambda a: np.transpose(a, axes)),
    "reshape": lambda v, shape: v.move(lambda a: np.reshape(a, shape)),
    "broadcast_to": lambda v, shape: v.move(lambda a: np.broadcast_to(a, shape)),
    "as_strided": lambda v, shape, strides, offset: v.move(lambda a: strided(a, shape, strides, offset)),
    "flip": lambda v, axis: v.move(lambda a: np.flip(a, axis)),
    "expand_dims": lambda v, axis: v.move(lambda a: np.expand_dims(a, axis)),
    "squeeze": lambda v, axis: v.move(lambda a: np.squeeze(a, axis)),
    "index": lambda v, at: v.move(lambda a: np.asarray(a[slices(at)])),
    "roll": lambda v, shift, axis: v.move(lambda a: np.roll(a, shift, axis)),
    "repeat": lambda v, repeats, axis: v.move(lambda a: np.repeat(a, repeats, axis)),
    "tile": lambda v, reps: v.move(lambda a: np.tile(a, reps)),
    "tril": lambda v, k: triangle(v, k, False),
    "triu": lambda v, k: triangle(v, k, True),
    "diagonal": lambda v, offset: v.move(lambda a: np.diagonal(a, offset)),
    "pad": pad,
    "concatenate": lambda *vs, axis: join(lambda parts: np.concatenate(parts, axis), *vs),
    "stack": lambda *vs, axis: join(lambda parts: np.stack(parts, axis), *vs),
    "split": lambda v, at, axis: [v.move(lambda a, i=i: np.split(a, at, axis)[i]) for i in range(len(at) + 1)],
    "arange": lambda stop, dtype: convert(Values(np.arange(stop), "int64"), dtype),
    "full": lambda shape, value, dtype: Values(np.broadcast_to(el.constant(value, dtype).x, shape).copy(), dtype),
    "sum": lambda v, axis, keepdims: red.reduce("sum", v, axis, keepdims),
    "prod": lambda v, axis, keepdims: red.reduce("prod", v, axis, keepdims),
    "max": lambda v, axis, keepdims: red.reduce("max", v, axis, keepdims),
    "min": lambda v, axis, keepdims: red.reduce("min", v, axis, keepdims),
    "all": lambda v, axis, keepdims: red.reduce("all", v, axis, keepdims),
    "any": lambda v, axis, keepdims: red.reduce("any", v, axis, keepdims),
    "argmax": lambda v, axis, keepdims: red.argreduce("argmax", v, axis, keepdims),
    "argmin": lambda v, axis, keepdims: red.argreduce("argmin", v, axis, keepdims),
    "sort": red.sort,
    "argsort": red.argsort,
    "topk": red.topk,
    "searchsorted": red.searchsorted,
    **{
        name: (lambda v, axis, reverse, inclusive, name=name: red.running(name, v, axis, reverse, inclusive))
        for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
    },
    "einsum": lambda a, b, spec: red.einsum(spec, a, b),
    "matmul": lambda a, b: red.einsum("...ij,...jk->...ik", a, b),
    "conv1d": red.conv1d,
    "attention": attention,
    "gather_mm": red.gather_mm,
    "hadamard_transform": red.hadamard_transform,
    "fourier": red.fourier,
    "linalg": lambda *args, name: matrices.linalg(name, *args),
    "quantized_matmul": matrices.quantized_matmul,
    "take": take,
    "take_along_axis": take_along,
    "at_index": lambda x, i, v, mode, axis: put(x, i, mode, v, axis),
    "at_pair": lambda x, i, j, v, mode: put_pair(x, i, j, mode, v),
    "at_slice": lambda x, v, mode, at: update(x, mode, slices(at), v),
    "at_mask": lambda x, m, v, mode: put_mask(x, m, mode, v),
    "put_along_axis": put_along,
    "random_bits": random_bits,
    "random_uniform": random_uniform,
    "stop_gradient": lambda v: v,
    "scan": lambda *args, body, carries, sequences, length, reverse: scan(
        body, carries, sequences, length, reverse, list(args)
    ),
    "cond": lambda *args, first, second: cond(first, second, list(args)),
    "while_loop": lambda *args, body, carries, limit: while_loop(body, carries, limit, list(args)),
    "vmap": lambda *args, body, mapped: vmap(body, mapped, list(args)),
    "call": lambda *args, body, how: run_body(body, list(args)),
}


class TooLong(ValueError):
    """More work than anyone waits for."""


_left = [math.inf]  # small steps, by the innermost `at_most`


@contextlib.contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Raise TooLong where more small steps are run within, those of every turn of a loop counted."""
    _left.append(steps)
    try:
        yield
    finally:
        _left.pop()


def run_step(step: Step, values: Sequence[Values]) -> list[Values]:
    args = [a if isinstance(a, Const) else values[a] for a in step.args]
    with np.errstate(all="ignore"):
        out = OPS[step.op](*args, **step.params)
    out = out if isinstance(out, list) else [out]
    _left[-1] -= 1 + sum(v.x.size for v in out) / 500
    if _left[-1] < 0:
        raise TooLong("too much work")
    return out


def run_body(body: Body, args: list[Values]) -> list[Values]:
    values = list(args)
    for step in body.steps:
        values += run_step(step, values)
    return [values[i] for i in body.outputs]


def run(recipe: Recipe) -> list[Values]:
    """All values of a recipe."""
    values = [input_values(i) for i in recipe.inputs]
    for step in recipe.steps:
        values += run_step(step, values)
    return values


__all__ = ["HALVES", "OPS", "TooLong", "Values", "at_most", "combine", "run", "run_body", "run_step"]
