"""Steps of recipes that take matrices apart, or multiply by packed ones."""

from __future__ import annotations

import math

from .builder import Builder, Rejected, is_float
from .numpy_values import Values


def linalg(b: Builder) -> int:
    c = b.choices

    def square(v: Values) -> bool:
        return v.dtype in ("float32", "float64") and len(v.shape) > 1 and 0 < v.shape[-1] == v.shape[-2] <= 12

    if b.candidates(square) and c.chance(0.5):
        x = b.pick(square)
    else:
        n = c.integer(1, 8)
        x = b.new_input((*((b.dim(),) if c.chance(0.4) else ()), n, n), c.pick(("float32", "float32", "float64")))
    if math.prod(b.shape(x)) * b.shape(x)[-1] > 20 * b.scale.limit:
        raise Rejected("too much work")
    name = c.pick(("solve", "inv", "cholesky", "slogdet", "eigvalsh", "svdvals"))
    if name != "solve":
        return b.one("linalg", x, name=name)
    right = b.new_input((*b.shape(x)[:-1], c.integer(1, 4)), b.dtype(x))
    if c.chance(0.5):
        right = b.one("sin", right)
    return b.one("linalg", x, right, name=name)


def quantized(b: Builder) -> int:
    c = b.choices
    mode, bits = c.pick((("affine", 2), ("affine", 4), ("affine", 8), ("mxfp4", 4)))

    def fits(v: Values) -> bool:
        return is_float(v) and v.dtype != "float64" and len(v.shape) > 1 and v.shape[-1] % 32 == 0 < v.shape[-1]

    if b.candidates(fits) and c.chance(0.5):
        x = b.pick(fits)
    else:
        x = b.new_input((b.dim(), c.pick((32, 64))), c.pick(("float32", "float32", "bfloat16", "float16")))
        if c.chance(0.3):
            x = b.one("tanh", x)
    transpose = c.chance(0.6)
    rows = c.integer(1, 40) if transpose else 32 * c.integer(1, 2)
    work = math.prod(b.shape(x)) * rows
    if work > 100 * b.scale.limit or math.prod(b.shape(x)[:-1]) * rows > b.scale.limit:
        raise Rejected("too much work")
    how = {"mode": mode, "bits": bits, "transpose": transpose}
    return b.one("quantized_matmul", x, seed=c.integer(0, 999), rows=rows, **how)
