"""Steps that a recipe may take: each function adds one, or a few that belong together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .builder import Builder, Rejected, is_float
from .loops import call, cond, mapped, scan, while_loop
from .numpy_elementwise import COMPARISONS, COMPLEX_SMOOTH, PREDICATES, STEPS
from .numpy_elementwise import SMOOTH as SMOOTH_UNARY
from .numpy_values import DTYPES, FLOATS, HALVES, INEXACT, INTEGERS, UNSIGNED, Values
from .recipe import Const

# ---- elementwise


def unary_names(b: Builder, dtype: str) -> list[str]:
    if b.smooth:
        return [n for n in SMOOTH_UNARY if n != "digamma"] + ["negative", "abs", "square"]
    if dtype == "bool_":
        return ["logical_not", "bitwise_invert"]
    if dtype == "complex64":
        return ["negative", "square", *COMPLEX_SMOOTH, "abs", "real", "imag", "conjugate", "isnan"]
    if dtype in INTEGERS:
        names = [
            "negative",
            "abs",
            "sign",
            "square",
            "bitwise_invert",
            "logical_not",
            "floor",
            "exp",
            "sin",
            "isfinite",
        ]
        return [n for n in names if n != "negative" or dtype not in UNSIGNED]
    return ["negative", "abs", "sign", "square", *SMOOTH_UNARY, *STEPS, *PREDICATES, "logical_not"]


def any_unary(b: Builder) -> int:
    v = b.pick()
    return b.one(b.choices.pick(unary_names(b, b.dtype(v))), v)


def constant(b: Builder, dtype: str) -> Const:
    c = b.choices
    if dtype in INEXACT and c.chance(0.7):
        return Const(c.pick((0.5, 2.0, 1.0, -1.5, 0.25, 3.0, 0.1, 0.0)))
    return Const(c.pick((1, 2, 0, 3)) if dtype in UNSIGNED else c.pick((1, 2, 0, -1, 3)))


def binary_names(b: Builder, dtype: str) -> list[str]:
    plain = ["add", "subtract", "multiply", "add", "multiply"]
    if b.smooth:
        return [*plain, "divide", "maximum", "minimum", "logaddexp", "arctan2"]
    if dtype == "bool_":
        return ["logical_and", "logical_or", "logical_xor", "equal", "not_equal", "maximum", "bitwise_and"]
    if dtype == "complex64":
        return [*plain, "divide", "equal"]
    both = [*plain, "divide", "floor_divide", "remainder", "maximum", "minimum", *COMPARISONS, "logical_and"]
    if dtype in INTEGERS:
        return [*both, "bitwise_and", "bitwise_or", "bitwise_xor", "logaddexp"]
    return [*both, "arctan2", "logaddexp", "power"]


def partner(b: Builder, shape: tuple[int, ...], fits: Callable[[Values], bool] = lambda v: True) -> int:
    """A value that broadcasts with a shape."""

    def meets(v: Values) -> bool:
        try:
            return fits(v) and int(np.prod(np.broadcast_shapes(v.shape, shape))) <= b.scale.limit
        except ValueError:
            return False

    if (b.open and b.choices.chance(0.15)) or not b.candidates(meets):
        return b.new_input(b.broadcastable(shape), b.new_dtype())
    return b.pick(meets)


def any_binary(b: Builder) -> int:
    c = b.choices
    first = b.pick()
    if c.chance(0.25):
        name = c.pick(binary_names(b, b.dtype(first)))
        k = constant(b, b.dtype(first))
        if b.dtype(first) in INTEGERS and c.chance(0.3):
            return b.one(c.pick(("left_shift", "right_shift", "power")), first, Const(c.integer(0, 3)))
        if b.dtype(first) == "bool_" and not isinstance(k.value, bool):
            k = Const(True)
        return b.one(name, k, first) if c.chance(0.4) else b.one(name, first, k)
    second = partner(b, b.shape(first))
    if c.chance(0.5):
        first, second = second, first
    from .numpy_values import promote

    return b.one(c.pick(binary_names(b, promote(b.dtype(first), b.dtype(second)))), first, second)


def where(b: Builder) -> int:
    c = b.choices
    first = b.pick()
    mask = partner(b, b.shape(first), lambda v: v.dtype == "bool_") if not b.smooth else threshold(b, first)
    shape = np.broadcast_shapes(b.shape(mask), b.shape(first))
    second = constant(b, b.dtype(first)) if c.chance(0.3) else partner(b, shape)
    return b.one("where", mask, *((first, second) if c.chance(0.5) else (second, first)))


def threshold(b: Builder, v: int) -> int:
    return b.one(b.choices.pick(("less", "greater")), v, Const(b.choices.pick((0.1, -0.3, 0.7))))


def masked(b: Builder) -> int:
    v = b.pick(is_float)
    return b.one("where", threshold(b, v), v, Const(b.choices.pick((0.0, 1.0, -2.0))))


def cast(b: Builder) -> int:
    return b.one("astype", b.pick(), dtype=b.choices.pick(DTYPES if b.choices.chance(0.5) else FLOATS))


def round_trip(b: Builder) -> int:
    """Through half precision and back."""
    v = b.pick(is_float)
    half = b.one("astype", v, dtype=b.choices.pick(HALVES))
    return b.one("astype", any_binary(b) if b.choices.chance(0.3) else half, dtype=b.dtype(v))


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
            shape = [int(np.prod(shape))]
        elif len(shape) < 5:
            shape.insert(c.integer(0, len(shape)), 1)
    return b.one("reshape", v, shape=tuple(shape))


def broadcast(b: Builder) -> int:
    c = b.choices
    v = b.pick(lambda v: v.x.size * 2 <= b.scale.limit)
    shape = [b.dim() if d == 1 and c.chance(0.7) else d for d in b.shape(v)]
    if len(shape) < 4 and c.chance(0.6):
        shape.insert(0, b.dim())
    if int(np.prod(shape)) > b.scale.limit:
        raise Rejected("too large")
    return b.one("broadcast_to", v, shape=tuple(shape))


def flip(b: Builder) -> int:
    v = b.pick(lambda v: len(v.shape) > 0)
    axes = b.choices.some(range(len(b.shape(v))), 2) or [0]
    return b.one("flip", v, axis=tuple(axes))


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
    edge = c.chance(0.3) and 0 not in b.shape(v)
    widths = tuple((c.integer(0, 2), c.integer(0, 2)) for _ in b.shape(v))
    value = 0 if b.dtype(v) == "bool_" else constant(b, b.dtype(v)).value
    return b.one("pad", v, widths=widths, mode="edge" if edge else "constant", value=value)


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
    moderate(b, int(np.prod(batch)) * b.shape(a)[-2], k, b.shape(other)[-1])
    return b.one("matmul", a, other)


def moderate(b: Builder, rows: int, length: int, columns: int) -> None:
    if rows * columns > b.scale.limit or rows * columns * length > 100 * b.scale.limit:
        raise Rejected("too much work")


def dense(b: Builder) -> int:
    """A product, with a bias and an activation: an epilogue."""
    c = b.choices
    y = matmul(b)
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
    if int(np.prod(shape)) > b.scale.limit:
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
    n = int(np.prod([b.shape(v)[a] for a in axis]))
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
    transpose, reshape, broadcast, flip, expand, squeeze, index, concatenate, stack, pad, split, repeat, triangle,
    reduce, reduce, order, running, matmul, matmul, dense, take, take_along, scatter, scatter,
    softmax, normalise, back_to_elements, chain, scan, scan, cond, call, call, mapped,
)  # fmt: skip
ALL: tuple[Callable[[Builder], int], ...] = (
    *SMOOTH, any_binary, cast, cast, round_trip, argreduce, searchsorted, draw, source, optimiser, complex_numbers, stop,
    while_loop, scan, scatter, reduce, chain,
)  # fmt: skip
