"""argmax and argmin: the first of equal elements and the first NaN, wherever lines are cut."""

from __future__ import annotations

import numpy as np
import pytest

import funcnn as fn
import instruction_sets
from thread_counts import assert_the_same

PART = 1 << 16


@pytest.mark.on_cpu
@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "complex64", "bool"])
@pytest.mark.parametrize("shape", [(4 * PART + 3,), (3, 2 * PART), (5, 3 * PART - 1)], ids=str)
def test_long_lines(shape: tuple[int, ...], dtype: str, name: str) -> None:
    numbers = np.random.default_rng(0).integers(0, 50, shape)  # every one many times
    x = (numbers % 2 if dtype == "bool" else numbers).astype(dtype)
    a = fn.array(x)
    np.testing.assert_array_equal(np.asarray(getattr(fn, name)(a, axis=-1)), getattr(np, name)(x, axis=-1))
    assert_the_same(lambda: [getattr(fn, name)(a, axis=-1)], (1, 2, 16))


@pytest.mark.on_cpu
@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("places", [(0,), (PART - 1, PART), (PART, 3 * PART), (4 * PART,)], ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_long_lines_with_special_values(value: float, places: tuple[int, ...], name: str) -> None:
    x = np.random.default_rng(1).normal(size=4 * PART + 1).astype(np.float32)
    x[list(places)] = value
    a = fn.array(x)
    assert_the_same(lambda: [getattr(fn, name)(a)], (1, 2, 16))
    assert getattr(fn, name)(a).item() == getattr(np, name)(x)


DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "uint16", "int32", "uint64", "bool"]


@pytest.mark.on_cpu
@pytest.mark.parametrize("which", instruction_sets.SUPPORTED)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lines_of_every_length(dtype: str, name: str, which: str) -> None:
    """Along lines and of lines side by side, at lengths around those of vectors and blocks."""
    rng = np.random.default_rng(2)
    with instruction_sets.using(which):
        for n in (1, 15, 16, 33, 64, 100, 129, 513, 1023, 1025, 2100):
            numbers = rng.integers(0, 40, (n, 7)) - (20 if dtype[0] in "bfi" else 0)
            if dtype == "bool":
                numbers = numbers > (30 if name == "argmax" else -30)
            a = fn.array(numbers.astype(np.float32)).astype(getattr(fn, dtype if dtype != "bool" else "bool_"))
            find = getattr(fn, name)
            for axis in (0, 1):
                want = getattr(np, name)(numbers, axis=axis)
                np.testing.assert_array_equal(np.asarray(find(a, axis=axis)), want)
                dense = fn.array(np.ascontiguousarray(numbers.T).astype(np.float32)).astype(a.dtype)
                np.testing.assert_array_equal(np.asarray(find(dense, axis=1 - axis)), want)


@pytest.mark.on_cpu
@pytest.mark.parametrize("which", instruction_sets.SUPPORTED)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_special_values_in_rows_and_columns(dtype: str, name: str, which: str) -> None:
    """NaN of either sign comes first, zeros are equal, infinities are numbers."""
    rows = [[0.0, -0.0], [-0.0, 0.0], [1, np.inf], [-np.inf, -1], [3, np.nan, np.inf, np.nan], [-np.inf, -np.nan, 9]]
    x = np.zeros((len(rows), 70), np.float32)
    for row, values in zip(x, rows, strict=True):
        row[:] = values[0]
        row[30 : 30 + len(values)] = values
    with instruction_sets.using(which):
        for numbers, axis in ((x, 1), (np.ascontiguousarray(x.T), 0)):
            found = getattr(fn, name)(fn.array(numbers).astype(getattr(fn, dtype)), axis=axis)
            np.testing.assert_array_equal(np.asarray(found), getattr(np, name)(x, axis=1))


@pytest.mark.parametrize(
    "positions",
    [
        fn.argmax,
        lambda x: fn.argmin(x[None], axis=1),
        fn.argsort,
        lambda x: fn.argpartition(x, 3),
        lambda x: fn.searchsorted(x, fn.array(1, dtype=fn.int8)),
    ],
)
def test_positions_that_uint32_does_not_hold_are_refused(positions):
    ones = fn.broadcast_to(fn.array(1, dtype=fn.int8), (2**32,))
    with pytest.raises(ValueError, match="uint32, which does not count the 4294967296 elements"):
        positions(ones)
    assert positions(ones[1:]).dtype == fn.uint32


def test_counts_that_int32_does_not_hold():
    ones = fn.broadcast_to(fn.array(1, dtype=fn.int8), (2**16, 2**15))
    assert fn.count_nonzero(ones).dtype == fn.int64
    assert fn.count_nonzero(ones, axis=1).dtype == fn.int32
