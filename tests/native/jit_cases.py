"""Programs for every part of the generator of machine code; run by test_jit.py with FUNCNN_JIT=always,verify, which
raises where the bits of compiled steps are not those of interpreted ones."""

import os
import sys
import threading

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from program import Builder, run

import funcnn as fn
import instruction_sets

LENGTHS = [1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 500, 4096, 4099, 9001]
COLS = [16, 17, 31, 32, 48, 63, 64, 65, 72, 100, 127, 128, 1000, 2047, 2048, 2049, 2112, 4100, 5000]


isa = instruction_sets.fixture(instruction_sets.MACHINE_CODE, autouse=True)


def samples(dtype, *shape, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    x = (rng.normal(size=shape) * 3).astype(dtype)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 65504.0, 1e-7, -2.5]
    flat = x.reshape(-1)
    flat[: len(edges)] = edges[: flat.size]
    rng.shuffle(flat)
    return x


@pytest.mark.parametrize("n", LENGTHS)
def test_elements(n):
    b = Builder(1, n)
    x, y = b.load("float32"), b.load("float32")
    s = b.load("float32", "scalar")
    p = b.compute("fma", x, y, s)
    t = b.compute(
        "where", b.compute("less", p, y, dtype="bool"), b.compute("tanh", p), b.compute("exp", y), dtype="float32"
    )
    b.store(b.compute("add", t, b.compute("divide", x, b.compute("sqrt", b.compute("abs", y)))))
    b.store(b.compute("logical_and", b.compute("isfinite", p, dtype="bool"), b.compute("greater", x, s, dtype="bool")))
    out, mask = np.empty(n, "float32"), np.empty(n, "bool")
    x, y, s = samples("float32", n), samples("float32", n, seed=1), np.float32([0.5])
    run(b.build(), x, y, s, out, mask)
    with np.errstate(all="ignore"):
        p = np.where(np.isinf(x * y), x * y, x.astype("float64") * y + 0.5).astype("float32")
        want = np.where(p < y, np.tanh(p), np.exp(y)) + x / np.sqrt(np.abs(y))
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(mask, np.isfinite(p) & (x > s))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("n", [5, 64, 1003, 5000])  # where elements are narrow, long tiles stay interpreted
def test_integers(dtype, n):
    b = Builder(1, n)
    x, y = b.load(dtype), b.load(dtype)
    z = b.compute("maximum", b.compute("multiply", b.compute("add", x, y), y), b.compute("bitwise_xor", x, y))
    b.store(b.compute("where", b.compute("less", z, x, dtype="bool"), z, b.compute("subtract", x, z), dtype=dtype))
    x, y, out = samples(dtype, n), samples(dtype, n, seed=1), np.empty(n, dtype)
    run(b.build(), x, y, out)
    z = np.maximum((x + y) * y, x ^ y)
    np.testing.assert_array_equal(out, np.where(z < x, z, x - z))


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
@pytest.mark.parametrize("divisor", [1, 7, -1, -3, 0, 65536, "largest", "least"])
def test_division_by_one_number(dtype, divisor):
    """A number beside the elements, and one that is known; multiples of it, and their neighbours."""
    info, n = np.iinfo(dtype), 1003
    d = {"largest": info.max, "least": info.min}.get(divisor, divisor)
    if d < info.min:
        return
    b = Builder(1, n)
    x, y = b.load(dtype), b.load(dtype, "scalar")
    b.store(b.compute("floor_divide", x, y))
    b.store(b.compute("remainder", x, y))
    x = samples(dtype, n)
    x[:4] = info.min, info.max, 0, info.max - 1
    x[4:500] = (x[4:500].astype("int64") // (d or 1) * d + np.arange(496) % 3 - 1).astype(dtype)
    quotient, rest = np.empty(n, dtype), np.empty(n, dtype)
    run(b.build(), x, np.array([d], dtype), quotient, rest)
    whole = x.astype("int64")
    np.testing.assert_array_equal(quotient, (whole // d).astype(dtype) if d else np.zeros(n, dtype))
    np.testing.assert_array_equal(rest, (whole % d).astype(dtype) if d else np.zeros(n, dtype))


@pytest.mark.parametrize("memory", ["float16", "float64"])
@pytest.mark.parametrize("n", [3, 64, 1003])
def test_memory_of_other_floats(memory, n):
    b = Builder(1, n)
    x = b.load(memory)
    value = "float32" if memory == "float16" else memory
    b.store(b.compute("divide", b.compute("multiply", x, x), b.compute("subtract", x, b.load(value, "scalar"))), memory)
    x, out = samples(memory, n), np.empty(n, memory)
    run(b.build(), x, np.asarray([0.3], value), out)
    with np.errstate(all="ignore"):
        wide = x.astype(value)
        np.testing.assert_array_equal(out, (wide * wide / (wide - np.asarray(0.3, value))).astype(memory))


@pytest.mark.parametrize("cols", COLS)
@pytest.mark.parametrize("rows", [1, 5])
def test_normalised_rows(rows, cols):
    b = Builder(rows, cols)
    x = b.load("float32")
    w = b.load("float32", shape=(rows, cols), strides=(0, 1))
    n = b.load("float32", "scalar")
    mean = b.compute("multiply", b.reduce_row("sum", x), n)
    d = b.compute("subtract", x, mean)
    variance = b.compute("multiply", b.reduce_row("sum", b.compute("square", d)), n)
    b.store(b.compute("multiply", b.compute("multiply", d, b.compute("rsqrt", variance)), w))
    b.store(mean)
    x = np.random.default_rng(0).normal(size=(rows, cols)).astype("float32")
    w, out, m = samples("float32", cols), np.empty_like(x), np.empty(rows, "float32")
    w[~np.isfinite(w)] = 2
    run(b.build(), x, w, np.float32([1 / cols]), out, m)
    np.testing.assert_allclose(m, x.mean(1), atol=1e-5)
    np.testing.assert_allclose(out, (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True) * w, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("cols", COLS)
def test_softmax(cols):
    """Also of rows whose sum is too small or large to be divided by through its reciprocal."""
    b = Builder(6, cols)
    x = b.load("float32")
    e = b.compute("exp", b.compute("subtract", x, b.reduce_row("max", x)))
    k = b.load("float32", "row")
    b.store(b.compute("divide", e, b.compute("multiply", b.reduce_row("sum", e), k)))
    x = np.random.default_rng(0).normal(size=(6, cols)).astype("float32") * 5
    k, out = np.float32([1, 1e-35, 1e35, -1e-33, 0, np.nan]), np.empty_like(x)
    run(b.build(), x, k, out)
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(1, keepdims=True))
        np.testing.assert_allclose(out, e / (e.sum(1, keepdims=True) * k[:, None]), rtol=1e-5, atol=1e-42)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64"])
@pytest.mark.parametrize("cols", [20, 64, 100, 2049, 4100])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_reductions_of_rows(name, cols, dtype):
    b = Builder(4, cols)
    x = b.load(dtype)
    b.store(b.reduce_row(name, b.compute("negative", x) if dtype != "uint32" else x))
    b.store(b.reduce_row("sum", b.compute("multiply", x, x)))
    x = samples(dtype, 4, cols)
    x[0] = x[0, 0] = 0  # ties of both signs of zero
    if "float" in dtype:
        x[1, :] = -0.0
        x[2:, :] = np.where(np.isfinite(x[2:]), x[2:] / 8 + 1, 1)
        x[3, cols // 2] = np.nan
    out, squares = np.empty(4, dtype), np.empty(4, dtype)
    run(b.build(), x, out, squares)
    y = -x if dtype != "uint32" else x
    with np.errstate(all="ignore"):
        want = getattr(np, name)(y, axis=1, **({"dtype": dtype} if name in ("sum", "prod") else {}))
        if "float" in dtype and name == "prod":
            np.testing.assert_allclose(out, want, rtol=1e-3)
        else:
            np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("narrow", ["int8", "uint8", "int16", "uint16", "bool"])
@pytest.mark.parametrize("wide", ["float32", "int32"])
@pytest.mark.parametrize(("rows", "cols"), [(1, 64), (5, 130)])
def test_results_of_rows_as_narrow_numbers(rows, cols, wide, narrow):
    """Stored as they are, and read by elements of the same row."""
    b = Builder(rows, cols)
    x = b.load(narrow)
    total = b.reduce_row("sum", b.compute("copy", x, dtype=wide))
    row = b.compute("copy", total, dtype=narrow)
    b.store(row)
    b.store(b.compute("maximum", x, row))
    x = np.random.default_rng(0).integers(0, 2, (rows, cols)).astype(narrow)
    out, most = np.empty(rows, narrow), np.empty((rows, cols), narrow)
    run(b.build(), x, out, most)
    want = x.sum(1, keepdims=True, dtype=wide).astype(narrow)
    np.testing.assert_array_equal(out, want[:, 0])
    np.testing.assert_array_equal(most, np.maximum(x, want))


def test_results_in_the_memory_of_operands():
    n = 3000
    b = Builder(1, n)
    x, y = b.load("float32", operand=0), b.load("float32", operand=1)
    b.operands = 2
    d, s = b.compute("subtract", x, y), b.compute("add", x, y)  # the last that read x and y
    b.store(s)
    b.store(b.compute("multiply", d, d))
    x, y = samples("float32", n), samples("float32", n, seed=1)
    want = x + y, (x - y) * (x - y)
    program = b.build()
    run(program, x, y, x, y)
    np.testing.assert_array_equal(x, want[0])
    np.testing.assert_array_equal(y, want[1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_registers_are_reused_for_wider_values(dtype):
    """Booleans that come in registers of the tile, of which the interpreter gives one to a result."""
    x = np.random.default_rng(0).uniform(-2, 2, (37, 1)).astype("float32")
    y = np.random.default_rng(1).uniform(-2, 2, 40).astype("float32")
    x, y = (fn.array(a).astype(getattr(fn, dtype)) for a in (x, y))
    out = fn.nextafter(x, y)
    step = np.asarray((out - x).astype(fn.float32))
    np.testing.assert_array_equal(
        np.sign(step), np.sign(np.asarray(y.astype(fn.float32)) - np.asarray(x.astype(fn.float32)))
    )


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_registers_of_masks_are_reused_by_later_stages(dtype):
    """A mask that waits for a sum of the row leaves its register to values that wait for another one."""
    rows, cols = 24, 72
    b = Builder(rows, cols)
    x, y = b.load(dtype), b.load(dtype)
    mask = b.compute("less", x, y, dtype="bool")
    total = b.reduce_row("sum", b.compute("add", x, y))
    chosen = b.compute("where", mask, b.compute("subtract", x, total), b.compute("add", y, total), dtype=dtype)
    more = b.compute("multiply", chosen, chosen)
    other = b.reduce_row("max", more)
    b.store(b.compute("where", b.compute("less", more, other, dtype="bool"), chosen, x, dtype=dtype))
    b.store(b.compute("add", more, other))
    x = np.random.default_rng(0).integers(-9, 9, (rows, cols)).astype(dtype)
    y = np.random.default_rng(1).integers(-9, 9, (rows, cols)).astype(dtype)
    first, second = np.empty((rows, cols), dtype), np.empty((rows, cols), dtype)
    run(b.build(), x, y, first, second)
    total = (x + y).sum(1, keepdims=True, dtype=dtype)
    chosen = np.where(x < y, x - total, y + total)
    more = chosen * chosen
    np.testing.assert_array_equal(first, np.where(more < more.max(1, keepdims=True), chosen, x))
    np.testing.assert_array_equal(second, more + more.max(1, keepdims=True))


def test_more_operands_than_registers():
    n, count = 1001, 24
    b = Builder(1, n)
    loads = [b.load("float32") for _ in range(count)]
    total = loads[0]
    for x in loads[1:]:
        total = b.compute("add", b.compute("multiply", total, x), loads[0])
    for x in loads[::3]:
        total = b.compute("maximum", total, x)
    b.store(total)
    arrays, out = [samples("float32", n, seed=i) for i in range(count)], np.empty(n, "float32")
    run(b.build(), *arrays, out)


def test_more_operands_by_row_than_registers():
    rows, cols, count = 3, 80, 5
    b = Builder(rows, cols)
    x = b.load("float32")
    scales = [b.load("float32", "row") for _ in range(count)]
    top = b.reduce_row("max", x)
    for s in scales:
        b.store(b.compute("multiply", top, s))
        x = b.compute("fma", x, s, top, space="element")
    b.store(b.reduce_row("sum", x))
    arrays = [samples("float32", rows, cols), *(samples("float32", rows, seed=i) for i in range(count))]
    outs = [np.empty(rows, "float32") for _ in range(count + 1)]
    run(b.build(), *arrays, *outs)
    for s, out in zip(arrays[1:], outs, strict=False):
        np.testing.assert_array_equal(out, arrays[0].max(1) * s)


def test_more_values_than_registers():
    n, count = 513, 48
    b = Builder(1, n)
    x = b.load("float32")
    values = [b.compute("multiply", x, x)]
    for _ in range(count):
        values.append(b.compute("add", b.compute("sqrt", b.compute("abs", values[-1])), x))
    masks = [b.compute("less", v, x, dtype="bool") for v in values[:5]]
    total = values[0]
    for v in values:
        total = b.compute("subtract", v, total)
    for m in masks:
        total = b.compute("where", m, total, x, dtype="float32")
    b.store(total)
    run(b.build(), samples("float32", n), np.empty(n, "float32"))


def test_threads_meet_one_routine():
    b = Builder(64, 256)
    x = b.load("float32")
    b.store(b.compute("subtract", x, b.reduce_row("max", x)))
    program = b.build()
    x = np.random.default_rng(0).normal(size=(64, 256)).astype("float32")
    results = [np.empty_like(x) for _ in range(4)]
    threads = [threading.Thread(target=run, args=(program, x, out)) for out in results]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for out in results:
        np.testing.assert_array_equal(out, x - x.max(1, keepdims=True))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint32", "int64", "float32"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9001), (37, 65), (9, 1000), (300, 3)])
def test_numbers_of_elements(dtype, shape):
    rows, cols = shape
    b = Builder(rows, cols)
    n = b.index(dtype)
    b.store(b.compute("multiply", n, b.load(dtype)))
    x, out = samples(dtype, rows, cols), np.empty(shape, dtype)
    if dtype == "float32":
        x = np.where(np.isfinite(x), x, 1).astype(dtype)
    run(b.build(), x, out)
    np.testing.assert_array_equal(out, np.arange(rows * cols).astype(dtype).reshape(shape) * x)


@pytest.mark.parametrize("cols", [64, 100, 2050])
def test_numbers_of_elements_beside_sums_of_rows(cols):
    rows = 11
    b = Builder(rows, cols)
    n, x = b.index("int32"), b.load("int32")
    mine = b.compute("equal", n, b.load("int32", "row"), dtype="bool")
    b.store(b.reduce_row("sum", b.compute("where", mine, x, b.compute("subtract", n, x), dtype="int32")))
    x, wanted = samples("int32", rows, cols), np.arange(rows, dtype="int32") * (cols + 1)
    out, n = np.empty(rows, "int32"), np.arange(rows * cols, dtype="int32").reshape(rows, cols)
    run(b.build(), x, wanted, out)
    with np.errstate(over="ignore"):
        want = np.where(n == wanted[:, None], x, n - x).sum(1, dtype="int32")
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("memory", ["float32", "bfloat16", "int16"])
@pytest.mark.parametrize("cols", [64, 100, 256])
def test_rows_that_lie_anywhere(memory, cols):
    """Slices, exchanged axes, repetitions, and results between others."""
    outer, inner = 6, 5
    rows, value = outer * inner, "float32" if memory == "bfloat16" else memory
    b = Builder(1, rows * cols)
    shape = (outer, inner, cols)
    x = b.load(memory, shape=shape, strides=(inner * 2 * cols, 2 * cols, 1), offset=cols)
    y = b.load(memory, shape=shape, strides=(cols, outer * cols, 1))
    z = b.load(memory, shape=shape, strides=(0, cols, 1))
    total = b.compute("add", b.compute("multiply", x, y), z)
    b.store(total, memory, shape=shape, strides=(3 * inner * cols, 3 * cols, 1), offset=cols)
    b.store(b.compute("subtract", total, y), memory)
    wide, turned, repeated = (
        samples(value, *s, seed=i) for i, s in enumerate([(rows, 2 * cols), (rows, cols), (inner, cols)])
    )
    between, dense = np.zeros((rows, 3 * cols), value), np.empty((rows, cols), value)
    if memory == "bfloat16":
        brain = [(a.view(np.uint32) >> 16).astype(np.uint16) for a in (wide, turned, repeated)]
        out = [np.zeros(a.shape, np.uint16) for a in (between, dense)]
        run(b.build(), *brain, *out)
        wide, turned, repeated, between, dense = ((a.astype(np.uint32) << 16).view(np.float32) for a in (*brain, *out))
    else:
        run(b.build(), wide, turned, repeated, between, dense)
    y = turned.reshape(inner, outer, cols).swapaxes(0, 1).reshape(rows, cols)
    with np.errstate(all="ignore"):
        total = wide[:, cols:] * y + np.tile(repeated, (outer, 1))
        tolerance = {"float32": 1e-5, "bfloat16": 2e-2, "int16": 0}[memory]
        np.testing.assert_allclose(between[:, cols : 2 * cols], total, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(dense, total - y, rtol=tolerance, atol=20 * tolerance)
    assert not between[:, :cols].any() and not between[:, 2 * cols :].any()


def test_values_of_rows_that_lie_anywhere():
    rows, cols = 24, 130
    b = Builder(rows, cols)
    x = b.load("float32", shape=(4, 6, cols), strides=(cols, 4 * cols, 1))
    scale = b.load("float32", "row", shape=(4, 6), strides=(1, 4))
    total = b.reduce_row("sum", b.compute("multiply", x, scale))
    b.store(b.compute("subtract", x, total))
    b.store(total, shape=(rows,), strides=(3,))
    x = np.random.default_rng(0).normal(size=(6, 4, cols)).astype("float32")
    scale, out, totals = (
        samples("int32", 6, 4).astype("float32") / 2**31,
        np.empty((rows, cols), "float32"),
        np.zeros(72),
    )
    totals = totals.astype("float32")
    run(b.build(), x, scale, out, totals)
    y = x.swapaxes(0, 1).reshape(rows, cols)
    want = (y * scale.T.reshape(rows, 1)).sum(1)
    np.testing.assert_allclose(totals[::3], want, atol=1e-4)
    np.testing.assert_allclose(out, y - want[:, None], atol=1e-4)
    assert not totals[1::3].any() and not totals[2::3].any()


def test_operands_that_are_read_before_code_runs():
    n = 48
    b = Builder(n, n)
    x = b.load("float32")
    s = b.compute("exp", b.compute("multiply", x, x))
    turned = b.load("float32", shape=(n, n), strides=(1, n))
    every = b.load("float32", shape=(n * n,), strides=(2,))
    b.store(b.compute("add", b.compute("multiply", s, turned), every))
    x, t, e = (np.random.default_rng(i).normal(size=(n, n * (1 + i // 2))).astype("float32") for i in range(3))
    out = np.empty((n, n), "float32")
    run(b.build(), x, t, e, out)
    np.testing.assert_allclose(out, np.exp(x * x) * t.T + e.reshape(-1)[::2].reshape(n, n), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(3, 64, 1), (40, 100, 1), (8, 300, 4), (1000, 128, 1), (64, 70, 16), (40, 9, 2)])
def test_columns_are_reduced_between_other_steps(dtype, shape):
    rows, cols, bands = shape
    b = Builder(rows, cols, bands)
    x, y = b.load(dtype), b.load(dtype)
    p = b.compute("multiply", x, y)
    b.reduce_col("sum", p)
    largest = b.reduce_row("max", p)
    d = b.compute("subtract", x, largest)
    b.reduce_col("max", d)
    b.reduce_col("sum", y)
    b.store(b.compute("add", d, y))
    x, y = (np.random.default_rng(i).integers(-9, 9, (rows, cols)).astype(dtype) for i in range(2))
    sums, most, plain = (np.empty((bands, cols), dtype) for _ in range(3))
    out = np.empty((rows, cols), dtype)
    program = b.build()
    for _ in range(2):
        run(program, x, y, sums, most, plain, out)
        d = x - (x * y).max(1, keepdims=True)
        by_band = (bands, rows // bands, cols)
        np.testing.assert_array_equal(sums, (x * y).reshape(by_band).sum(1, dtype=dtype))
        np.testing.assert_array_equal(most, d.reshape(by_band).max(1))
        np.testing.assert_array_equal(plain, y.reshape(by_band).sum(1, dtype=dtype))
        np.testing.assert_array_equal(out, d + y)


@pytest.mark.parametrize("shape", [(1, 40000), (3, 50001), (2, 32768), (40, 33000)])
def test_parts_of_long_rows(shape):
    rows, cols = shape
    b = Builder(rows, cols)
    x, s = b.load("float32"), b.load("float32", "scalar")
    b.store(b.reduce_row("sum", b.compute("multiply", x, s)))
    b.store(b.reduce_row("max", b.compute("add", b.index("float32"), x)))
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    total, most = np.empty(rows, "float32"), np.empty(rows, "float32")
    run(b.build(), x, np.float32([3]), total, most, repeat=2)
    np.testing.assert_allclose(total, 3 * x.sum(1, dtype="float64"), rtol=1e-4, atol=1e-2)
    number = np.arange(rows * cols).reshape(shape).astype("float32")
    np.testing.assert_array_equal(most, (number + x).max(1))


@pytest.mark.parametrize("n", [1, 40])
def test_one_number_rounded_to_bfloat16_is_stored_at_every_element(n):
    b = Builder(1, n)
    x = b.load("float32", "scalar")
    b.store(b.compute("round_bfloat16", b.compute("multiply", x, x)), dtype="bfloat16", space="element")
    out = np.empty(n, "uint16")
    run(b.build(), np.float32([1.5]), out, repeat=2)
    np.testing.assert_array_equal(out, 0x4010)  # 2.25
