"""Numbers of float64 become the nearest of float16 and bfloat16, ties to even: they are rounded once."""

from __future__ import annotations

import numpy as np
import pytest

import funcnn as fn
import instruction_sets
from half_oracle import WIDTHS, bits, conversions, hard_numbers, nearest

pytestmark = [pytest.mark.on_cpu, pytest.mark.usefixtures("either_fusion")]  # float64
every_set = instruction_sets.fixture(instruction_sets.SUPPORTED, autouse=True)


@pytest.mark.parametrize("name", WIDTHS)
def test_arrays_are_rounded_once(name: str) -> None:
    x, dtype = hard_numbers(name), getattr(fn, name)
    expected = nearest(x, name)
    if name == "float16":
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(bits(x.astype(np.float16)), bits(expected))
    given = fn.array(x, dtype=fn.float64)
    for way, convert in conversions(dtype).items():
        for function in (convert, fn.compile(convert)):
            np.testing.assert_array_equal(
                bits(np.asarray(function(given).astype(fn.float32))), bits(expected), err_msg=way
            )


@pytest.mark.parametrize("name", WIDTHS)
def test_numbers_of_python_are_rounded_once(name: str) -> None:
    dtype = getattr(fn, name)
    rng = np.random.default_rng(1)
    x = rng.permutation(hard_numbers(name))[:200]
    expected = bits(nearest(x, name))
    for make in (
        lambda v: fn.array(v, dtype=dtype),
        lambda v: fn.full((1,), v, dtype=dtype),
        lambda v: fn.zeros((1,), dtype) + v,
        lambda v: fn.array([v], dtype=dtype),
        lambda v: fn.array(np.float64(v), dtype=dtype),
        lambda v: fn.asarray(np.array([v]), dtype=dtype),
    ):
        got = np.stack([np.asarray(make(float(v)).astype(fn.float32)).reshape(()) for v in x])
        # A zero of either sign is what -0 + 0 may give.
        np.testing.assert_array_equal(bits(got + np.float32(0)), bits(expected.view(np.float32) + np.float32(0)))


@pytest.mark.parametrize("reverse", [False, True])
def test_every_float16_is_the_float32_it_stands_for(reverse: bool) -> None:
    x = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    given = fn.array(x)
    # A running sum over one element reads numbers one by one, where kernels have instructions for it.
    columns = fn.cumsum(given.reshape(-1, 1), axis=1, reverse=reverse).astype(fn.float32)
    ordinary = ~np.isnan(x)
    for got in (given.astype(fn.float32), columns.reshape(-1), given[::-1].astype(fn.float32)[::-1]):
        np.testing.assert_array_equal(bits(np.asarray(got))[ordinary], bits(x)[ordinary])
        assert np.isnan(np.asarray(got)[~ordinary]).all()
