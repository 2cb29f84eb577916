"""Functions of float16 and bfloat16 on every number: they are computed in float32 as precisely as the result is rounded."""

import os
import sys

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn

sys.path.insert(0, os.path.dirname(__file__))
pytest.importorskip("scipy.special")
from accuracy import UNARY
from test_interpreter import isa  # noqa: F401

FUNCTIONS = {
    "exp": fn.exp,
    "sigmoid": fn.sigmoid,
    "tanh": fn.tanh,
    "erf": fn.erf,
    "gelu": nn.gelu,
    "gelu_derivative": fn.grad(lambda x: nn.gelu(x).sum()),
}
DTYPES = {"float16": (11, -14), "bfloat16": (8, -126)}  # digits, least exponent


def every_number(dtype):
    """Ascending, with infinities, then NaN."""
    bits = fn.array(np.arange(1 << 16, dtype=np.uint16))
    x = np.array(bits.view(getattr(fn, dtype)).astype(fn.float32))
    return np.sort(x)


@pytest.mark.on_cpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_number_of_half_precision(isa, name, dtype):  # noqa: F811
    f, x = UNARY[name], every_number(dtype)
    got = np.array(FUNCTIONS[name](fn.array(x).astype(getattr(fn, dtype))).astype(fn.float32)).astype(np.float64)
    digits, least = DTYPES[dtype]
    with np.errstate(all="ignore"):
        want = f.reference(x.astype(np.float64))
        want[np.isinf(x)] = np.where(x[np.isinf(x)] < 0, *f.limits)
        unit = 2.0 ** (np.maximum(np.floor(np.log2(np.abs(want))), least) - (digits - 1))
        largest = (2 - 2.0 ** (1 - digits)) * 2.0 ** (1 - least)
        inside = np.abs(want) <= largest
        assert (np.abs(got - want)[inside] <= 0.63 * np.where(want == 0, 2.0**-200, unit)[inside]).all()
        beyond = np.abs(want) >= largest + unit
    assert (got[beyond] == np.sign(want[beyond]) * np.inf).all()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    for low, high, sign in f.order:
        y = sign * got[(x >= low) & (x <= high)]
        assert (y[1:] >= y[:-1]).all()
    if f.symmetry:
        numbers = ~np.isnan(got)
        np.testing.assert_array_equal(got[numbers], f.symmetry * got[numbers][::-1])


@pytest.mark.on_cpu
@pytest.mark.parametrize("op", [fn.abs, fn.negative, lambda x: fn.where(x > 1, x, -x)])
def test_bfloat16_that_only_moves_keeps_its_bits(op):
    x = every_number("bfloat16")
    x = np.tile(x[~np.isnan(x)], 17)  # enough to be compiled
    given = fn.array(x).astype(fn.bfloat16)
    want = np.array(op(fn.array(x)))
    for _ in range(4):
        np.testing.assert_array_equal(np.array(op(given).astype(fn.float32)), want)
