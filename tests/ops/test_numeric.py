"""Rounding to decimals, and comparison within tolerances."""

import numpy as np
import pytest

import funcnn as fn

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_round_to_the_even_multiple(dtype):
    info = np.iinfo(dtype)
    values = [
        v
        for v in (0, 4, 5, 6, 15, 25, 49, 50, 51, 115, 125, 12345, 123456789, 2**53 + 1, 10**18 + 5)
        if v <= info.max // 2
    ]
    values += [-v for v in values if info.min < 0]
    x = fn.array(np.array(values, dtype))
    for digits in (1, 2, 3, 9, 18):
        scale = 10**digits
        expected = []
        for v in values:
            quotient, rest = divmod(v, scale)
            expected.append((quotient + (2 * rest > scale or (2 * rest == scale and quotient % 2))) * scale)
        fits = [info.min <= e <= info.max for e in expected]
        got = fn.round(x, -digits)
        assert got.dtype == x.dtype
        assert [g for g, f in zip(got.tolist(), fits, strict=True) if f] == [
            e for e in expected if info.min <= e <= info.max
        ]
    assert not fn.any(fn.round(x, -40)).item()
    assert fn.round(x, 3).tolist() == values


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_decimals_beyond_the_range_of_the_dtype(dtype):
    kind = getattr(fn, dtype)
    x = fn.array([1.2345678, -0.5, np.inf, -np.inf, np.nan], kind)
    for decimals in (5, 30, 40, 400):
        np.testing.assert_array_equal(fn.round(x, decimals)[1:], x[1:])
        np.testing.assert_allclose(fn.round(x, decimals)[0].item(), x[0].item(), atol=5e-6)
    for decimals in (-40, -400):
        np.testing.assert_array_equal(fn.round(x, decimals), [0, 0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(fn.grad(lambda x: fn.round(x, 40).sum())(x[:2]), [0, 0])


def test_round_agrees_with_numpy():
    x = np.random.default_rng(0).uniform(-1000, 1000, 200)
    for decimals in (-2, -1, 1, 3):
        np.testing.assert_allclose(fn.round(fn.array(x, fn.float64), decimals), np.round(x, decimals), rtol=1e-15)
    z = fn.array(np.complex64(1.256 - 2.344j))
    np.testing.assert_allclose(fn.round(z, 1).item(), 1.3 - 2.3j, rtol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "atol", "close"),
    [
        (("int32", 2**24 + 1), ("int32", 2**24), 0, False),
        (("int64", 2**53 + 1), ("int64", 2**53), 0, False),
        (("int64", 2**53 + 1), ("int64", 2**53), 1, True),
        (("int32", -1), ("uint32", 2**32 - 1), 0, False),
        (("int64", -1), ("uint64", 2**64 - 1), 0, False),
        (("int64", -1), ("uint64", 0), 1, True),
        (("int64", 2**63 - 1), ("uint64", 2**63 - 1), 0, True),
        (("int64", -(2**63)), ("int64", 2**63 - 1), 1e18, False),
        (("int64", -(2**63)), ("int64", 2**63 - 1), 2e19, True),
        (("int8", -128), ("int8", 127), 254, False),
        (("uint8", 0), ("uint8", 255), 255, True),
        (("bool_", True), ("int32", 1), 0, True),
    ],
)
def test_integers_are_compared_exactly(a, b, atol, close):
    x, y = (fn.array(value, getattr(fn, dtype)) for dtype, value in (a, b))
    assert fn.isclose(x, y, rtol=0, atol=atol).item() is close
    assert fn.allclose(y, x, rtol=0, atol=atol).item() is close


def test_tolerances_apply_to_integers():
    assert fn.isclose(fn.array([99, 98]), fn.array(100), rtol=0.01, atol=0).tolist() == [True, False]
    assert fn.isclose(fn.array([-99]), fn.array(-100), rtol=0.01, atol=0).tolist() == [True]
    assert fn.isclose(fn.array(1.0, fn.float16), fn.array(1.001, fn.float16), rtol=1e-2).item()
