"""Steps that a recipe may take: elements elsewhere."""

from __future__ import annotations

import math

import numpy as np

from .builder import Builder, Rejected
from .motifs_elementwise import constant, partner
from .numpy_values import INTEGERS, Values
from .recipe import Const

# ---- views and joins


def transpose(b: Builder) -> int:
    v = b.pick(lambda v: len(v.shape) > 1)
    axes = b.choices.shuffled(range(len(b.shape(v))))
    if axes == sorted(axes):
        axes = axes[::-1]
    return b.one("transpose", v, axes=tuple(axes))


def reshape(b: Builder) -> int:
    c = b.choices
    v = b.pick()
    shape = list(b.shape(v))
    for _ in range(c.integer(1, 2)):
        kind = c.integer(0, 3)
        if kind == 0 and len(shape) > 1:  # merge
            i = c.integer(0, len(shape) - 2)
            shape[i : i + 2] = [shape[i] * shape[i + 1]]
        elif kind == 1 and shape:  # split
            i = c.integer(0, len(shape) - 1)
            factors = [f for f in (2, 3, 4, 5, 8, 16, 32, 64) if shape[i] and shape[i] % f == 0]
            if factors:
                f = c.pick(factors)
                shape[i : i + 1] = [f, shape[i] // f] if c.chance(0.5) else [shape[i] // f, f]
        elif kind == 2:
            shape = [math.prod(shape)]
        elif len(shape) < 5:
            shape.insert(c.integer(0, len(shape)), 1)
    return b.one("reshape", v, shape=tuple(shape))


def broadcast(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: v.x.size * 2 <= b.scale.limit)
    shape = [b.dim() if d == 1 and c.chance(0.7) else d for d in b.shape(v)]
    if len(shape) < 4 and c.chance(0.6):
        shape.insert(0, b.dim())
    if math.prod(shape) > b.scale.limit:
        raise Rejected("too large")
    return b.one("broadcast_to", v, shape=tuple(shape))


def flip(b: Builder) -> int:
    v = b.pick(lambda v: len(v.shape) > 0)
    axes = b.choices.some(range(len(b.shape(v))), 2) or [0]
    return b.one("flip", v, axis=tuple(axes))


def strided(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: v.x.size > 0)
    size = math.prod(b.shape(v))
    shape: list[int] = []
    strides: list[int] = []
    low = high = 0
    for _ in range(c.integer(1, 3)):
        length, stride = b.dim(), c.integer(-4, 4)
        reach = max(length - 1, 0) * stride
        if high - low + abs(reach) >= size or math.prod([*shape, length]) > b.scale.limit:
            length, stride, reach = 1, 1, 0
        shape.append(length)
        strides.append(stride)
        low, high = low + min(reach, 0), high + max(reach, 0)
    offset = c.integer(-low, size - 1 - high)
    return b.one("as_strided", v, shape=tuple(shape), strides=tuple(strides), offset=offset)


def expand(b: Builder) -> int:
    v = b.pick(lambda v: len(v.shape) < 4)
    return b.one("expand_dims", v, axis=b.choices.integer(0, len(b.shape(v))))


def squeeze(b: Builder) -> int:
    v = b.pick(lambda v: 1 in v.shape)
    return b.one("squeeze", v, axis=b.choices.pick([i for i, d in enumerate(b.shape(v)) if d == 1]))


def some_slices(b: Builder, shape: tuple[int, ...], whole: float = 0.4, integers: bool = True) -> tuple:
    c = b.choices
    items: list = []
    for d in shape:
        if c.chance(whole):
            items.append((None, None, None))
        elif integers and d and c.chance(0.25):
            items.append(c.integer(-d, d - 1))
        elif c.chance(0.3):
            items.append((None, None, c.pick((2, -1, 3, -2))))
        else:
            low = c.integer(0, d)
            items.append((low, c.integer(low, d), c.pick((None, None, 2))))
    if integers and c.chance(0.15):
        items.insert(c.integer(0, len(items)), None)
    return tuple(items)


def index(b: Builder) -> int:
    v = b.pick(lambda v: len(v.shape) > 0)
    return b.one("index", v, at=some_slices(b, b.shape(v)))


def concatenate(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0)
    shape = b.shape(v)
    axis = c.integer(0, len(shape) - 1)

    def agrees(w: Values) -> bool:
        return len(w.shape) == len(shape) and all(w.shape[i] == d for i, d in enumerate(shape) if i != axis)

    parts = [v] + [b.pick(agrees) for _ in range(c.integer(1, 2))]
    return b.one("concatenate", *parts, axis=axis)


def stack(b: Builder) -> int:
    v = b.pick(lambda v: len(v.shape) < 4)
    parts = [v] + [b.pick(lambda w: w.shape == b.shape(v)) for _ in range(b.choices.integer(1, 2))]
    return b.one("stack", *parts, axis=b.choices.integer(0, len(b.shape(v))))


def pad(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0)
    within = c.chance(0.4) and 0 not in b.shape(v)
    mode = c.pick(("edge", "reflect", "symmetric", "wrap")) if within else "constant"
    widths = tuple((c.integer(0, 2), c.integer(0, 2)) for _ in b.shape(v))
    value = 0 if b.dtype(v) == "bool_" else constant(b, b.dtype(v)).value
    return b.one("pad", v, widths=widths, mode=mode, value=value)


def split(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0)
    axis = c.integer(0, len(b.shape(v)) - 1)
    at = sorted(c.integer(0, b.shape(v)[axis]) for _ in range(c.integer(1, 2)))
    return b.add("split", v, at=tuple(at), axis=axis)[0]


def repeat(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and v.x.size * 3 <= b.scale.limit)
    axis = c.integer(0, len(b.shape(v)) - 1)
    kind = c.integer(0, 2)
    if kind == 0:
        return b.one("repeat", v, repeats=c.integer(1, 3), axis=axis)
    if kind == 1:
        return b.one("tile", v, reps=tuple(c.integer(1, 2) for _ in b.shape(v)))
    return b.one("roll", v, shift=c.integer(-3, 4), axis=axis)


def triangle(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 1)
    if c.chance(0.2):
        if len(b.shape(v)) != 2:
            raise Rejected("diagonals of matrices")
        return b.one("diagonal", v, offset=c.integer(-1, 1))
    return b.one(c.pick(("tril", "triu")), v, k=c.integer(-1, 2))


def source(b: Builder) -> int:
    """Values from nothing."""
    c = b.choices
    if c.chance(0.5):
        return b.one("arange", stop=b.dim(), dtype=c.pick(("int32", "float32", "uint32", "float64")))
    dtype = b.new_dtype()
    value = True if dtype == "bool_" else constant(b, dtype).value
    return b.one("full", shape=b.new_shape(), value=value, dtype=dtype)


# ---- computed positions


def an_index(b: Builder, length: int, shape: tuple[int, ...] | None = None) -> int:
    """An array of positions."""
    c = b.choices

    def fits(v: Values) -> bool:
        return v.dtype in INTEGERS and v.x.size <= 64 and len(v.shape) < 3 and (shape is None or v.shape == shape)

    if not b.open or (b.candidates(fits) and c.chance(0.3)):
        return b.pick(fits)
    if shape is None:
        shape = c.pick(((3,), (2,), (5,), (2, 2), (1,), (0,), (b.dim(),), ()))
    style = "count" if c.chance(0.5) else "index"
    return b.new_input(
        shape, c.pick(("int32", "int32", "uint32", "int64", "uint8")) if length < 250 else "int32", style, length
    )


def within(b: Builder, shape: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(shape) > b.scale.limit:
        raise Rejected("too large")
    return shape


def take(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0)
    axis = c.integer(0, len(b.shape(v)) - 1)
    at = an_index(b, b.shape(v)[axis])
    within(b, b.shape(v)[:axis] + b.shape(at) + b.shape(v)[axis + 1 :])
    return b.one("take", v, at, axis=axis)


def take_along(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0 and v.x.size <= 1000 and 0 not in v.shape)
    axis = c.integer(0, len(b.shape(v)) - 1)
    shape = list(b.shape(v))
    shape[axis] = c.integer(1, 3)
    where_at = an_index(b, b.shape(v)[axis], tuple(shape))
    if c.chance(0.5):
        return b.one("take_along_axis", v, where_at, axis=axis)
    values = partner(b, tuple(shape), lambda w: w.dtype == b.dtype(v))
    if np.broadcast_shapes(b.shape(values), tuple(shape)) != tuple(shape):
        raise Rejected("values")
    return b.one("put_along_axis", v, where_at, values, axis=axis)


def modes(dtype: str) -> tuple[str, ...]:
    if dtype == "bool_":
        return ("set",)
    if dtype == "complex64":
        return ("set", "add", "multiply")
    return ("set", "add", "multiply", "maximum", "minimum", "subtract")


def scatter(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: len(v.shape) > 0)
    shape, mode = b.shape(v), c.pick(modes(b.dtype(v)))
    kind = c.integer(0, 3)
    if b.smooth and mode == "multiply":
        mode = "add"  # its derivative is undefined at zeros of what is multiplied
    if kind == 0:
        axis = c.integer(0, len(shape) - 1)
        at = an_index(b, shape[axis])
        part = within(b, shape[:axis] + b.shape(at) + shape[axis + 1 :])
        return b.one("at_index", v, at, update(b, v, part), mode=mode, axis=axis)
    if kind == 1 and len(shape) > 1:
        i = an_index(b, shape[0])
        j = an_index(b, shape[1], b.shape(i))
        return b.one("at_pair", v, i, j, update(b, v, within(b, b.shape(i) + shape[2:])), mode=mode)
    if kind == 2 and not b.smooth:
        mask = partner(b, shape, lambda w: w.dtype == "bool_" and w.shape == shape[: len(w.shape)] and len(w.shape) > 0)
        if b.shape(mask) != shape[: len(b.shape(mask))] or not b.shape(mask):
            raise Rejected("mask")
        if b.dtype(mask) != "bool_" or mode in ("subtract",):
            raise Rejected("mask")
        return b.one("at_mask", v, mask, number(b, v), mode=mode)
    at = some_slices(b, shape, integers=c.chance(0.5))
    part = np.zeros(shape, bool)[tuple(slice(*s) if isinstance(s, tuple) else s for s in at)].shape
    return b.one("at_slice", v, update(b, v, part), mode=mode, at=at)


def number(b: Builder, v: int) -> Const:
    return Const(True) if b.dtype(v) == "bool_" else constant(b, b.dtype(v))


def update(b: Builder, v: int, part: tuple[int, ...]) -> int | Const:
    """Values for an update of a part of this shape."""
    if b.choices.chance(0.25) and not b.smooth:
        return number(b, v)
    values = partner(b, part, lambda w: w.dtype == b.dtype(v))
    try:
        if np.broadcast_shapes(b.shape(values), part) != part:
            raise Rejected("values")
    except ValueError as e:
        raise Rejected("values") from e
    return values
