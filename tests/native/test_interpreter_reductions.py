"""Reductions of the CPU interpreter against NumPy, by rows and by columns."""

import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from program import Builder, run
from test_interpreter import FLOATS, check

import instruction_sets

isa = instruction_sets.fixture(instruction_sets.SUPPORTED)

REDUCTIONS = {
    "sum": np.add.reduce,
    "prod": np.multiply.reduce,
    "max": np.maximum.reduce,
    "min": np.minimum.reduce,
}
SHAPES = [
    (1, 1),
    (3, 1),
    (1, 7),
    (5, 2),
    (1000, 3),
    (7, 40),
    (300, 130),
    (2, 9000),
    (1, 100_003),
    (40, 33_000),
    (5000, 8),
]


def reduction_data(dtype, shape):
    rng = np.random.default_rng(0)
    if dtype in FLOATS:
        return (1 + rng.normal(size=shape) * 1e-3).astype(dtype)
    return rng.integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
def test_reductions(name, dtype, shape):
    x = reduction_data(dtype, shape)
    rows, cols = shape
    b = Builder(rows, cols)
    v = b.load(dtype)
    b.reduce_col(name, v)
    by_col = np.empty(cols, dtype)
    run(b.build(), x, by_col)
    b = Builder(rows, cols)
    b.store(b.reduce_row(name, b.load(dtype)))
    by_row = np.empty(rows, dtype)
    run(b.build(), x, by_row)
    wide = x.astype(np.float64) if dtype in FLOATS else x
    f = REDUCTIONS[name]
    rtol = 0
    if dtype in FLOATS and name in ("sum", "prod"):
        rtol = np.finfo(dtype).eps * (64 if name == "sum" else 16 + 4 * np.sqrt(x.size))
    check(by_col, f(wide, axis=0, dtype=wide.dtype).astype(dtype), rtol)
    check(by_row, f(wide, axis=1, dtype=wide.dtype).astype(dtype), rtol)


@instruction_sets.needs_two_widths
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_have_the_same_bits_in_all_instruction_sets(shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    results = []
    for which in instruction_sets.MACHINE_CODE:
        b = Builder(*shape)
        v = b.load(dtype)
        b.store(b.reduce_row("sum", v))
        b.store(b.reduce_row("sum", b.compute("square", v)))
        b.reduce_col("sum", v)
        outs = [np.empty(n, dtype) for n in (shape[0], shape[0], shape[1])]
        with instruction_sets.using(which):
            run(b.build(), x, *outs)
        results.append([out.tobytes() for out in outs])
    assert results[0] == results[1]


@pytest.mark.parametrize("shape", [(1, 5), (4, 3), (30, 100), (2, 20_000)])
def test_reductions_of_booleans(shape):
    x = np.random.default_rng(0).random(shape) < 0.9
    for name, f in (("all", np.all), ("any", np.any)):
        for data in (x, ~x, np.ones_like(x)):
            b = Builder(*shape)
            b.store(b.reduce_row(name, b.load("bool")))
            out = np.empty(shape[0], bool)
            run(b.build(), data, out)
            check(out, f(data, axis=1))


@pytest.mark.parametrize("shape", [(3, 5, 4), (256, 64, 64), (2, 70_000, 3), (40, 2, 9000), (17, 33, 1), (1, 8, 8)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_column_reductions_of_bands(isa, name, shape):
    for dtype in ("uint8", "float32", "float64"):
        x = reduction_data(dtype, shape)
        bands, rows, cols = shape
        b = Builder(bands * rows, cols, bands)
        v = b.load(dtype)
        b.reduce_col(name, b.compute("add", v, v))
        b.reduce_col(name, v)
        doubled, out = (np.empty((bands, cols), dtype) for _ in range(2))
        run(b.build(), x, doubled, out)
        wide = x.astype(np.float64) if dtype in FLOATS else x
        rtol = np.finfo(dtype).eps * (64 + rows**0.5 * 4) if dtype in FLOATS and name in ("sum", "prod") else 0
        check(out, REDUCTIONS[name](wide, axis=1, dtype=wide.dtype).astype(dtype), rtol)
        if name != "prod":
            check(doubled, REDUCTIONS[name](wide + wide, axis=1, dtype=wide.dtype).astype(dtype), rtol)


@pytest.mark.parametrize("where", [0, 5, 37, 999])
@pytest.mark.parametrize("name", ["max", "min", "sum"])
def test_reductions_propagate_nan(isa, name, where):
    x = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    x[1, where] = np.nan
    b = Builder(3, 1000)
    v = b.load("float32")
    b.store(b.reduce_row(name, v))
    b.reduce_col(name, v)
    by_row, by_col = np.empty(3, np.float32), np.empty(1000, np.float32)
    run(b.build(), x, by_row, by_col)
    np.testing.assert_array_equal(np.isnan(by_row), [False, True, False])
    assert np.isnan(by_col).nonzero()[0].tolist() == [where]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "float32", "float64"])
def test_short_rows_are_reduced_element_by_element(isa, dtype):
    rng = np.random.default_rng(0)
    for rows in (1, 15, 37, 131):
        for cols in range(2, 16):
            x = rng.integers(0, 100, (rows, cols)).astype(dtype)
            if dtype in FLOATS:
                x = rng.choice(
                    [0.0, -0.0, 1.5, -2.25, 0.3, np.inf, np.nan], (rows, cols), p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.05, 0.05]
                )
                x = x.astype(dtype)
            b = Builder(rows, cols)
            v = b.load(dtype)
            for name in REDUCTIONS:
                b.store(b.reduce_row(name, v))
            got = dict(zip(REDUCTIONS, np.empty((len(REDUCTIONS), rows), dtype), strict=True))
            with np.errstate(all="ignore"):
                run(b.build(), x, *got.values())
                want = {name: x[:, 0] for name in REDUCTIONS}
                for y in x.T[1:]:
                    nan = np.isnan(want["max"]) if dtype in FLOATS else False
                    want["max"] = np.where((want["max"] > y) | nan, want["max"], y)  # of equal ones the last
                    want["min"] = np.where((want["min"] < y) | nan, want["min"], y)
                    want["sum"], want["prod"] = want["sum"] + y, want["prod"] * y
            for name in REDUCTIONS:
                np.testing.assert_array_equal(got[name], want[name], err_msg=f"{name} of {cols}")
                if dtype in FLOATS and name != "sum":
                    signs = np.signbit(got[name]) == np.signbit(want[name])
                    assert (signs | np.isnan(want[name])).all(), (name, cols)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_domains(shape):
    rows, cols = shape
    x = np.zeros(shape, np.float32)
    b = Builder(rows, cols)
    v = b.load("float32")
    b.store(b.reduce_row("sum", v))
    b.store(b.compute("exp", v))
    b.reduce_col("prod", v)
    by_row, out, by_col = np.full(rows, 9.0, np.float32), x.copy(), np.full(cols, 9.0, np.float32)
    run(b.build(), x, by_row, out, by_col)
    assert not by_row.any() and (by_col == 1).all()


def test_long_sum_is_accurate(isa):
    x = np.random.default_rng(0).random(2**24, dtype=np.float32)
    b = Builder(1, x.size)
    b.store(b.reduce_row("sum", b.load("float32")))
    out = np.empty(1, np.float32)
    run(b.build(), x, out)
    want = x.sum(dtype=np.float64)
    assert abs(out[0] - want) <= 1e-6 * want
