"""The CPU interpreter against NumPy: every (opcode, dtype), layouts, random programs, thread counts."""

import operator
import os
import sys
import timeit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, os.path.dirname(__file__))
import itertools

from program import Builder, binary, run, unary

import instruction_sets
from funcnn import _core

isa = instruction_sets.fixture(instruction_sets.SUPPORTED)


INTS = [f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)]
FLOATS = ["float32", "float64"]
REALS = INTS + FLOATS


def samples(dtype, n=4099, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, n).astype(bool)
    if dtype == "complex64":
        return (rng.normal(size=n) + 1j * rng.normal(size=n)).astype(dtype)
    if dtype in FLOATS:
        x = (rng.normal(size=n) * 10).astype(dtype)
        edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-30, -1e30]
        x[: len(edges)] = edges
        return x
    info = np.iinfo(dtype)
    x = rng.integers(-20, 20, n) if info.min else rng.integers(0, 20, n)
    x = x.astype(dtype)
    x[:6] = [0, 1, 2, info.max, info.min, info.max - 1]
    x[6 : n // 2] = rng.integers(info.min, info.max, n // 2 - 6, dtype=dtype, endpoint=True)
    return x


def check(got, want, rtol=0):
    assert got.dtype == want.dtype
    if rtol:
        np.testing.assert_allclose(got, want, rtol=rtol)
    else:
        np.testing.assert_array_equal(got, want)


UNARY_EXACT = {
    "negative": (np.negative, REALS),
    "abs": (np.abs, REALS),
    "sign": (np.sign, REALS),
    "floor": (np.floor, FLOATS),
    "ceil": (np.ceil, FLOATS),
    "trunc": (np.trunc, FLOATS),
    "round": (np.rint, FLOATS),
    "sqrt": (np.sqrt, FLOATS),
    "square": (np.square, REALS),
    "bitwise_invert": (np.invert, [*INTS, "bool"]),
    "reciprocal": (lambda x: x.dtype.type(1) / x, FLOATS),
    "logical_not": (np.logical_not, [*REALS, "bool", "complex64"]),
    "isnan": (np.isnan, [*REALS, "bool", "complex64"]),
    "isinf": (np.isinf, [*REALS, "bool", "complex64"]),
    "isfinite": (np.isfinite, [*REALS, "bool", "complex64"]),
    "real": (np.real, ["complex64"]),
    "imag": (np.imag, ["complex64"]),
    "conjugate": (np.conj, ["complex64"]),
}


@pytest.mark.parametrize("name,dtype", [(n, d) for n, (_, ds) in UNARY_EXACT.items() for d in ds])
def test_unary(isa, name, dtype):
    x = samples(dtype)
    with np.errstate(all="ignore"):
        want = UNARY_EXACT[name][0](x)
    check(unary(name, x, want.dtype.name), want)


def shift(op):
    def f(x, y):
        bits = x.dtype.itemsize * 8
        wide = (y < 0) | (y.astype(np.float64) >= bits)
        safe = np.where(wide, 0, y).astype(x.dtype)
        beyond = np.where(x < 0, ~np.zeros_like(x), np.zeros_like(x)) if op is np.right_shift else np.zeros_like(x)
        return np.where(wide, beyond, op(x, safe)).astype(x.dtype)

    return f


BINARY_EXACT = {
    "add": (np.add, REALS),
    "subtract": (np.subtract, REALS),
    "multiply": (np.multiply, REALS),
    "divide": (np.divide, FLOATS),
    "maximum": (np.maximum, [*REALS, "bool"]),
    "minimum": (np.minimum, [*REALS, "bool"]),
    "floor_divide": (np.floor_divide, INTS),
    "remainder": (np.remainder, REALS),
    "bitwise_and": (np.bitwise_and, [*INTS, "bool"]),
    "bitwise_or": (np.bitwise_or, [*INTS, "bool"]),
    "bitwise_xor": (np.bitwise_xor, [*INTS, "bool"]),
    "left_shift": (shift(np.left_shift), INTS),
    "right_shift": (shift(np.right_shift), INTS),
    "equal": (np.equal, [*REALS, "bool", "complex64"]),
    "not_equal": (np.not_equal, [*REALS, "bool", "complex64"]),
    "less": (np.less, [*REALS, "bool"]),
    "less_equal": (np.less_equal, [*REALS, "bool"]),
    "greater": (np.greater, [*REALS, "bool"]),
    "greater_equal": (np.greater_equal, [*REALS, "bool"]),
    "logical_and": (np.logical_and, [*REALS, "bool", "complex64"]),
    "logical_or": (np.logical_or, [*REALS, "bool", "complex64"]),
}


@pytest.mark.parametrize("name,dtype", [(n, d) for n, (_, ds) in BINARY_EXACT.items() for d in ds])
def test_binary(isa, name, dtype):
    f = BINARY_EXACT[name][0]
    x, y = samples(dtype), np.random.default_rng(1).permutation(samples(dtype, seed=2))
    y[10:500] = x[10:500]
    with np.errstate(all="ignore"):
        want = f(x, y)
        check(binary(name, x, y, want.dtype.name), want)
        check(binary(name, x[7:8], y, want.dtype.name, repeat="x"), f(np.full_like(y, x[7]), y))
        check(binary(name, x, y[9:10], want.dtype.name, repeat="y"), f(x, np.full_like(x, y[9])))


@pytest.mark.parametrize("dtype", INTS)
def test_integer_power(isa, dtype):
    x = samples(dtype)
    y = (np.arange(x.size) % 12).astype(dtype)
    check(binary("power", x, y), np.power(x, y))
    if np.iinfo(dtype).min:
        assert not binary("power", x, -np.ones_like(x)).any()


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_integer_division_never_traps(isa, dtype):
    least = np.iinfo(dtype).min
    x, y = np.array([least, least, 7, -7], dtype), np.array([-1, 0, 0, 2], dtype)
    check(binary("floor_divide", x, y), np.array([least, 0, 0, -4], dtype))
    check(binary("remainder", x, y), np.array([0, 0, 0, 1], dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_floor_divide(isa, dtype):
    x, y = samples(dtype), samples(dtype, seed=5)[::-1].copy()
    with np.errstate(all="ignore"):
        # Of infinities the floor of the quotient, as the array API standard has it.
        infinite = np.isinf(x) | np.isinf(y)
        check(binary("floor_divide", x, y), np.where(infinite, x / y, np.floor_divide(x, y)))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("spaces", ["eee", "ees", "ese", "see", "ess", "ses", "sse", "sss"])
def test_select(isa, dtype, spaces):
    n = 1001
    c, x, y = samples("bool", n), samples(dtype, n), samples(dtype, n, seed=3)
    b = Builder(1, n)
    names = {"e": "element", "s": "scalar"}
    i = b.load("bool", names[spaces[0]])
    j, k = b.load(dtype, names[spaces[1]]), b.load(dtype, names[spaces[2]])
    b.store(b.compute("where", i, j, k, dtype=dtype, space="element"))
    out = np.empty(n, dtype)
    run(b.build(), c, x, y, out)
    full = [np.broadcast_to(v[0], n) if s == "s" else v for v, s in zip((c, x, y), spaces, strict=True)]
    check(out, np.where(*full))


CASTS = ["bool", *INTS, "float16", "float32", "float64", "complex64"]


@pytest.mark.parametrize("source", CASTS)
@pytest.mark.parametrize("target", CASTS)
def test_casts(isa, source, target):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, 1037).astype(source)  # in range everywhere
    if source.startswith(("float", "complex")) and target.startswith(("float", "complex")):
        x = rng.normal(size=1037).astype(source)
    b = Builder(1, x.size)
    v = b.load(source)
    register = "float32" if target == "float16" else target
    if b.info[v][1] != register:
        v = b.compute("copy", v, dtype=register)
    b.store(v, dtype=target)
    out = np.empty(x.size, target)
    run(b.build(), x, out)
    with np.errstate(all="ignore"):
        want = (
            x.real.astype(target) if source == "complex64" and target not in ("bool", "complex64") else x.astype(target)
        )
    check(out, want)


def to_integers(x, target):
    """Towards zero, then to the nearest integer that the type has; of NaN, 0."""
    bounds = np.iinfo(target)
    whole = [0 if np.isnan(v) else v if np.isinf(v) else int(v) for v in x.real.tolist()]
    return np.array([int(min(max(v, bounds.min), bounds.max)) for v in whole], target)


@pytest.mark.parametrize("source", ["float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("target", INTS)
def test_casts_out_of_range(isa, source, target):
    powers = [2.0**n for n in (7, 8, 15, 16, 31, 32, 63, 64)]
    near = [
        p * (1 + e) + d for p in powers for e in (0, 2.0**-52, -(2.0**-53), 2.0**-23, -(2.0**-24)) for d in (0, -1, 0.5)
    ]
    x = np.array([*near, 0.0, 0.9, 1e9, 1e20, 1e38, np.inf, np.nan])
    with np.errstate(all="ignore"):
        x = np.concatenate([x, -x] * 3).astype(source)  # more than a vector of any instruction set
    b = Builder(1, x.size)
    b.store(b.compute("copy", b.load(source), dtype=target))
    out = np.empty(x.size, target)
    run(b.build(), x, out)
    np.testing.assert_array_equal(out, to_integers(x, target))


def test_half_precision_is_exact(isa):
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    b = Builder(1, every.size)
    b.store(b.load("float16"))
    wide = np.empty(every.size, np.float32)
    run(b.build(), every, wide)
    np.testing.assert_array_equal(wide, every.astype(np.float32))
    x = np.random.default_rng(0).integers(0, 2**32, 300_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    b = Builder(1, x.size)
    b.store(b.load("float32"), dtype="float16")
    narrow = np.empty(x.size, np.float16)
    run(b.build(), x, narrow)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(narrow, x.astype(np.float16))


# ---- shapes of loops


def softmax_program(rows, cols):
    b = Builder(rows, cols)
    x = b.load("float32")
    e = b.compute("exp", b.compute("subtract", x, b.reduce_row("max", x)))
    b.store(b.compute("divide", e, b.reduce_row("sum", e)))
    return b.build()


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 31), (100, 100), (3, 5000), (2, 100_000), (1, 300_000)])
def test_softmax(isa, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 5
    out = np.empty_like(x)
    run(softmax_program(*shape), x, out)
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(out, e / e.sum(axis=1, keepdims=True), rtol=3e-6)


LAYOUTS = [
    ("contiguous", (6, 70, 11), None),
    ("transposed", (6, 70, 11), (2, 1, 0)),
    ("inner swapped", (6, 70, 11), (0, 2, 1)),
    ("large transposed", (300, 257), (1, 0)),
]


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=operator.itemgetter(0))
def test_strided_loads_and_stores(dtype, layout):
    _, shape, axes = layout
    x = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    view = x.transpose(axes) if axes else x
    strides = [s // x.itemsize for s in view.strides]
    b = Builder(1, x.size)
    v = b.load(dtype, shape=view.shape, strides=strides)
    b.store(v, dtype=dtype)
    b.store(v, dtype=dtype, shape=view.shape, strides=strides)
    out, back = np.empty(view.shape, dtype), np.empty_like(x)
    run(b.build(), x, out, back)
    check(out, view)
    check(back, x)


@pytest.mark.parametrize("shape", [(3, 5), (50, 64), (17, 300), (2, 20_000)])
def test_broadcast_operands(shape):
    rows, cols = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    bias, gain = rng.normal(size=cols).astype(np.float32), rng.normal(size=rows).astype(np.float32)
    b = Builder(1, rows * cols)  # no rows of its own
    v, w = b.load("float32"), b.load("float32", shape=shape, strides=(0, 1))
    g = b.load("float32", shape=shape, strides=(1, 0))
    b.store(b.compute("subtract", b.compute("add", v, w), g))
    b.store(b.compute("add", w, g))
    b.store(w)
    program = b.build()
    a, c, d = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    run(program, x, bias, gain, a, c, d)
    check(a, (x + bias) - gain[:, None])
    check(c, bias + gain[:, None])
    check(d, np.broadcast_to(bias, shape))
    a[:] = 0
    pieces = [0, 1, cols // 2, cols, rows * cols - 1, rows * cols]
    for begin, end in itertools.pairwise(pieces):
        program.run_range((x, bias, gain, a, c, d), begin, end)
    check(a, (x + bias) - gain[:, None])


def test_row_and_column_reductions_together():
    rows, cols = 900, 77
    x = np.random.default_rng(0).normal(size=(rows, cols)).astype(np.float32)
    b = Builder(rows, cols)
    v = b.load("float32")
    centred = b.compute("subtract", v, b.reduce_row("max", v))
    b.store(centred)
    b.reduce_col("sum", centred)
    out, sums = np.empty_like(x), np.empty(cols, np.float32)
    run(b.build(), x, out, sums)
    want = x - x.max(axis=1, keepdims=True)
    check(out, want)
    np.testing.assert_allclose(sums, want.sum(axis=0, dtype=np.float64), rtol=1e-5)


def test_in_place():
    x = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    x[77] = 1e20
    want = np.sin(x.astype(np.float64)).astype(np.float32)
    b = Builder(1, x.size)
    b.store(b.compute("sin", b.load("float32")))
    run(b.build(), x, x)
    np.testing.assert_allclose(x, want, atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 500_000), (2, 200_000), (3000, 100), (100_000, 4)])
def test_thread_counts_do_not_change_a_bit(shape):
    rows, cols = shape
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    b = Builder(rows, cols)
    v = b.load("float32")
    s = b.reduce_row("sum", b.compute("tanh", v))
    b.store(s)
    b.store(b.compute("multiply", v, s))
    program = b.build()
    b = Builder(rows, cols)
    b.reduce_col("sum", b.load("float32"))
    columns = b.build()
    results = []
    for threads in (1, 2, 3, 4):
        _core.set_num_threads(threads)
        sums, out, cs = np.empty(rows, np.float32), np.empty_like(x), np.empty(cols, np.float32)
        run(program, x, sums, out)
        run(columns, x, cs)
        results.append((sums.tobytes(), out.tobytes(), cs.tobytes()))
    assert len(set(results)) == 1


# ---- random programs against one NumPy operation after the other

STEPS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "negative": np.negative,
    "abs": np.abs,
    "square": np.square,
}


@st.composite
def programs(draw):
    rows = draw(st.sampled_from([1, 2, 5, 40, 700]))
    cols = draw(st.sampled_from([1, 2, 5, 33, 64, 300, 9001]))
    loads = draw(st.lists(st.sampled_from(["element", "row", "scalar", "bias"]), min_size=1, max_size=4))
    steps = []
    count = len(loads)
    for _ in range(draw(st.integers(1, 14))):
        name = draw(st.sampled_from([*STEPS, "row_max", "row_sum"]))
        steps.append((name, draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))))
        count += 1
    stores = draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
    column = draw(st.none() | st.integers(0, count - 1))
    return rows, cols, loads, steps, sorted(stores), column


@settings(max_examples=300, deadline=None)
@given(programs())
def test_random_programs(case):
    rows, cols, loads, steps, stores, column = case
    rng = np.random.default_rng(0)
    b = Builder(rows, cols)
    # Small integers in int64: every order of operations gives the same result.
    arrays, ids, values = [], [], []
    for space in loads:
        shape = {"element": (rows, cols), "row": (rows, 1), "scalar": (1, 1), "bias": (1, cols)}[space]
        a = rng.integers(-5, 6, shape)
        arrays.append(a)
        values.append(a)
        if space == "bias":
            ids.append(b.load("int64", shape=(rows, cols), strides=(0, 1)))
        else:
            ids.append(b.load("int64", space))
    for name, i, j in steps:
        if name.startswith("row_"):
            ids.append(b.reduce_row(name[4:], ids[i]))
            full = np.broadcast_to(values[i], (rows, cols))
            values.append((full.sum if name == "row_sum" else full.max)(axis=1, keepdims=True))
        elif name in ("negative", "abs", "square"):
            ids.append(b.compute(name, ids[i]))
            values.append(STEPS[name](values[i]))
        else:
            ids.append(b.compute(name, ids[i], ids[j]))
            values.append(STEPS[name](values[i], values[j]))
    outs, wants = [], []
    for s in stores:
        b.store(ids[s])
        space = b.info[ids[s]][0]
        shape = {"element": (rows, cols), "row": (rows, 1), "scalar": (1, 1)}[space]
        outs.append(np.empty(shape, np.int64))
        wants.append(np.broadcast_to(values[s], shape))
    if column is not None:
        b.reduce_col("sum", ids[column])
        outs.append(np.empty(cols, np.int64))
        wants.append(np.broadcast_to(values[column], (rows, cols)).sum(axis=0))
    run(b.build(), *arrays, *outs)
    for got, want in zip(outs, wants, strict=True):
        np.testing.assert_array_equal(got, want)


def test_unsupported_operations_are_refused():
    with pytest.raises(TypeError, match="exp"):
        unary("exp", np.arange(4))
    with pytest.raises(ValueError, match="baseline|neon"):
        _core._set_instruction_set("sse9")


def layer_norm_program(rows, cols):
    b = Builder(rows, cols)
    x, inverse, epsilon = b.load("float32"), b.load("float32", "scalar"), b.load("float32", "scalar")
    gain, bias = (b.load("float32", shape=(rows, cols), strides=(0, 1)) for _ in range(2))
    d = b.compute("subtract", x, b.compute("multiply", b.reduce_row("sum", x), inverse))
    variance = b.compute("multiply", b.reduce_row("sum", b.compute("square", d)), inverse)
    scale = b.compute("rsqrt", b.compute("add", variance, epsilon))
    b.store(b.compute("add", b.compute("multiply", b.compute("multiply", d, scale), gain), bias))
    return b.build()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (50, 3), (64, 31), (100, 100), (7, 5000), (2, 100_000)])
def test_layer_norm(isa, shape, in_place):
    rows, cols = shape
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) + 10).astype(np.float32)
    gain, bias = rng.normal(size=cols).astype(np.float32), rng.normal(size=cols).astype(np.float32)
    w = x.astype(np.float64)
    d = w - w.mean(axis=1, keepdims=True)
    want = d / np.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5) * gain + bias
    out = x if in_place else np.empty_like(x)
    scalars = np.full(1, 1 / cols, np.float32), np.full(1, 1e-5, np.float32)
    run(layer_norm_program(rows, cols), x, *scalars, gain, bias, out)
    np.testing.assert_allclose(out, want, atol=3e-5)


def test_small_programs_have_little_overhead():
    """Far above what an idle machine takes (30 ns), far below what a lock or an allocation a step would cost."""
    x, out = np.ones(8, np.float32), np.empty(8, np.float32)
    b = Builder(1, 8)
    v, w = b.load("float32"), b.load("float32")
    for _ in range(1000):
        v = b.compute("add", v, w)
    b.store(v)
    program = b.build()
    best = min(timeit.repeat(lambda: run(program, x, x, out, repeat=100), number=1, repeat=5)) / 100
    assert out[0] == 1001
    assert best / 1000 < 200e-9
