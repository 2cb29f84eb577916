"""argmax and argmin of long lines: the first of equal elements and the first NaN, wherever lines are cut."""

from __future__ import annotations

import numpy as np
import pytest

import funcnn as fn
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
