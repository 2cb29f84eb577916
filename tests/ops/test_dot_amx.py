"""Products of bfloat16 by tiles: packing, blocks and edges by the emulated instruction, which any machine has."""

import os
import subprocess
import sys

import numpy as np
import pytest

import funcnn as fn
import instruction_sets
import thread_counts

pytestmark = pytest.mark.on_cpu
rng = np.random.default_rng(3)
amx = instruction_sets.amx_fixture()


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def bfloat16(x, turned=False):
    if turned:
        return fn.swapaxes(bfloat16(np.ascontiguousarray(np.swapaxes(x, -1, -2))), -1, -2)
    return fn.array(np.asarray(x, np.float32)).astype(fn.bfloat16)


def wide(x):
    return np.asarray(x.astype(fn.float32)).astype(np.float64)


def assert_near(product, x, y):
    """Rounded once from sums in float32."""
    exact, scale = wide(x) @ wide(y), np.abs(wide(x)) @ np.abs(wide(y))
    assert np.all(np.abs(wide(product) - exact) <= 2.0**-8 * np.abs(exact) + 2.0**-19 * scale)


def multiply_as_the_manual(a, b):
    """float32 sums of a b: step by step of 32 along K, even and odd places apart, subnormal numbers as zeros."""

    def flushed(x):
        x = x.astype(np.float32).astype(np.float64)
        return np.where(np.abs(x) < 2.0**-126, np.copysign(0.0, x), x)

    a, b = flushed(a), flushed(b)
    total = np.zeros((a.shape[0], b.shape[1]))
    for k in range(0, a.shape[1], 32):
        halves = [np.zeros_like(total), np.zeros_like(total)]
        for p in range(k, min(k + 32, a.shape[1])):
            halves[p % 2] = flushed(halves[p % 2] + np.outer(a[:, p], b[p]))
        total = flushed(total + flushed(halves[0] + halves[1]))
    return total


# Just below and above tiles, squares of four, blocks of rows, columns and K; parts of long sums; packed once for all.
EDGES = [
    *(
        (9, 32, 228),
        (16, 128, 32),
        (17, 33, 131),
        (31, 64, 33),
        (32, 96, 32),
        (33, 95, 65),
        (15, 513, 47),
        (48, 521, 131),
    ),
    *((255, 64, 40), (257, 64, 40), (60, 1025, 70), (40, 70, 511), (40, 70, 545), (700, 33, 20), (64, 4097, 48)),
    # Rows of A that are read where they lie, up to a last tile of few.
    *((200, 1024, 300), (131, 640, 390), (48, 256, 64), (47, 256, 64)),
    *((97, 700, 460), (130, 520, 513), (100, 1, 20000), (131, 600, 390), (520, 70, 900)),
]


@pytest.mark.parametrize(("m", "k", "n"), EDGES)
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.usefixtures("amx")
def test_products_of_every_layout(m, k, n, layout):
    x, y = bfloat16(normal(m, k), layout[0] == "t"), bfloat16(normal(k, n), layout[1] == "t")
    assert_near(x @ y, x, y)
    thread_counts.assert_the_same(lambda: [(x @ y).astype(fn.float32)])


@pytest.mark.parametrize(("m", "k", "n"), [(16, 128, 32), (31, 77, 45), (33, 500, 17), (70, 509, 35)])
def test_sums_are_those_of_the_manual(amx, m, k, n):
    # What the rounded result leaves of the sum is seen when that is subtracted.
    a, b = wide(bfloat16(normal(m, k))), wide(bfloat16(normal(k, n)))
    expected = multiply_as_the_manual(a, b)
    rounded = wide(bfloat16(a) @ bfloat16(b))
    np.testing.assert_array_equal(rounded, wide(bfloat16(expected)))
    a = np.concatenate([a, np.zeros((m, -k % 32)), np.eye(m)], 1)
    b = np.concatenate([b, np.zeros((-k % 32, n)), -rounded], 0)
    np.testing.assert_array_equal(wide(bfloat16(a) @ bfloat16(b)), wide(bfloat16(expected - rounded)))


def test_any_strides(amx):
    x, y = bfloat16(normal(66, 240))[::2, ::3], bfloat16(normal(160, 78))[::2, ::2]
    assert_near(x @ y, x, y)
    x, y = bfloat16(normal(3, 1, 40, 72)), bfloat16(normal(2, 72, 50))
    assert_near(x @ y, x, y)


@pytest.mark.parametrize("shape", [(45, 90, 70), (140, 610, 370)])
@pytest.mark.usefixtures("amx")
def test_epilogues(shape):
    m, k, n = shape
    x, y, row = bfloat16(normal(m, k)), bfloat16(normal(k, n)), bfloat16(normal(1, n))
    product, result = wide(x @ y), wide(fn.maximum(x @ y + row, 0))
    np.testing.assert_allclose(result, np.maximum(product + wide(row), 0), rtol=2**-7, atol=2**-6)


@pytest.mark.usefixtures("amx")
def test_what_is_not_finite_stays_where_it_is():
    a, b = np.ones((45, 65), np.float32), np.ones((65, 40), np.float32)
    a[44, 64], a[1, 3], a[2, 0], a[2, 1], b[64, 39] = np.inf, np.nan, np.inf, -np.inf, np.inf
    product = wide(bfloat16(a) @ bfloat16(b))
    assert np.all(np.isposinf(product[44])) and np.all(np.isnan(product[1:3]))
    rest = np.delete(product, [1, 2, 44], axis=0)
    assert np.all(np.isposinf(rest[:, 39])) and np.all(rest[:, :39] == 65)


@pytest.mark.usefixtures("amx")
def test_subnormal_numbers_are_zeros_and_large_ones_overflow():
    a, b = np.ones((32, 64), np.float32), np.ones((64, 32), np.float32)
    a[0], a[1], a[2], a[3] = 2.0**-127, 2.0**-126, 2.0**127, -(2.0**127)
    product = wide(bfloat16(a) @ bfloat16(b))
    assert np.all(product[0] == 0) and np.all(product[1] == 2.0**-120)
    assert np.all(np.isposinf(product[2])) and np.all(np.isneginf(product[3])) and np.all(product[4:] == 64)


@pytest.mark.skipif(not instruction_sets.has_amx(), reason="a processor with AMX")
@pytest.mark.parametrize(("m", "k", "n"), EDGES)
def test_the_processor_does_what_is_emulated(m, k, n):
    x, y = bfloat16(normal(m, k)), bfloat16(normal(k, n))
    results = []
    for use in ("on", "emulated"):
        with instruction_sets.using_amx(use):
            results.append(wide(x @ y))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", instruction_sets.SUPPORTED)
def test_emulated_by_every_instruction_set(name):
    x, y = bfloat16(normal(50, 600)), bfloat16(normal(600, 70), turned=True)
    with instruction_sets.using_amx("emulated"):
        expected = wide(x @ y)
        with instruction_sets.using(name):
            np.testing.assert_array_equal(wide(x @ y), expected)


def test_the_switch():
    with pytest.raises(ValueError, match="expected off, on or emulated, got fast"), instruction_sets.using_amx("fast"):
        pass
    script = "import funcnn as fn; from funcnn import _core; print(_core._amx(), (fn.ones((64, 64), fn.bfloat16) @ fn.ones((64, 64), fn.bfloat16))[0, 0].item())"
    run = lambda value: subprocess.run(  # noqa: E731
        [sys.executable, "-c", script], env={**os.environ, "FUNCNN_AMX": value}, capture_output=True, text=True
    )
    assert run("0").stdout.split() == ["off", "64.0"]
    assert run("emulated").stdout.split() == ["emulated", "64.0"]
    assert "FUNCNN_AMX: expected 0, 1 or emulated" in run("maybe").stderr
