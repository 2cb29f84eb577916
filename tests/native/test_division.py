"""Quotients, remainders and complex products: vectors against the scalar functions and NumPy, bit by bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from program import binary, unary

import funcnn as fn
import instruction_sets

SPECIAL = np.array(
    [0, -0.0, 1, -1, 7, 0.1, -0.3, 2**24, 2**30, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan], np.float32
)


def pairs() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    n = 5000
    yield np.stack(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)
    yield rng.integers(0, 1 << 32, (2, n), dtype=np.uint64).astype(np.uint32).view(np.float32)
    yield (rng.normal(size=(2, n)) * 10.0 ** rng.integers(-6, 9, (2, n))).astype(np.float32)
    divisor = rng.integers(1, 2000, n).astype(np.float32) * np.float32(0.1)  # multiples: quotients next to integers
    yield np.stack([divisor * rng.integers(-3000, 3000, n).astype(np.float32), divisor])


def everywhere(run: Callable[[], np.ndarray]) -> list[np.ndarray]:
    """With every instruction set, the baseline first."""
    out = []
    for which in instruction_sets.SUPPORTED:
        with instruction_sets.using(which):
            out.append(run())
    return out


def results(name: str, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    return everywhere(lambda: binary(name, a, b))


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    words = [x.view(np.uint32) for x in (a, b)]
    return (words[0] == words[1]) | (np.isnan(a.view(np.float32)) & np.isnan(b.view(np.float32)))


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_float_division(name):
    for a, b in pairs():
        baseline, *others = results(name, a, b)
        for other in others:
            assert np.all(same(baseline, other))
        with np.errstate(all="ignore"):
            ordinary = np.isfinite(a) & np.isfinite(b) & (np.abs(a.astype(np.float64) / b) < 2**29)
            if name == "floor_divide":  # NumPy's float32 is off by one beside large quotients
                expected = np.floor_divide(a.astype(np.float64), b).astype(np.float32)
            else:
                expected = np.remainder(a, b)
        np.testing.assert_array_equal(baseline[ordinary], expected[ordinary])


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division_of_large_unsigned_integers(name):
    rng = np.random.default_rng(5)
    a = np.concatenate([rng.integers(2**31, 2**32, 2000), rng.integers(0, 2**32, 2000)]).astype(np.uint32)
    b = np.concatenate([rng.integers(0, 9, 1000), rng.integers(0, 2**32, 3000)]).astype(np.uint32)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(a, b)
    for got in results(name, a, b):
        np.testing.assert_array_equal(got, np.where(b == 0, 0, expected))


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_integer_division(name):
    rng = np.random.default_rng(1)
    edge = np.array([0, 1, -1, 2, -2, 7, 2**31 - 1, -(2**31), -(2**31) + 1, 65536, -3], np.int32)
    wide = rng.integers(-(2**31), 2**31, (2, 4000)).astype(np.int32)
    wide[1, ::2] >>= 20
    for a, b in (np.stack(np.meshgrid(edge, edge)).reshape(2, -1), wide):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(a.astype(np.int64), b.astype(np.int64)).astype(np.int32)
        for got in results(name, a, b):
            np.testing.assert_array_equal(got, np.where(b == 0, 0, expected))


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("form", ["elements", "divisor", "dividend"])
def test_long_division(name, dtype, form):
    """Also around 2^51, up to which numbers are divided as float64, and of chunks that hold larger ones."""
    rng = np.random.default_rng(7)
    info = np.iinfo(dtype)
    powers = [1 << k for k in (0, 1, 3, 31, 50, 51, 52, 53, 62)]
    edges = sorted(
        {e for p in powers for v in (p - 1, p, p + 1) for e in (v, -v) if info.min <= e} | {info.min, info.max}
    )
    table = np.array(edges, dtype)
    few = table[np.abs(table.astype(float)) <= 2**51] if dtype == "int64" else table[table <= 2**51]
    small = few[(few < (1 << 51)) & (few + few.dtype.type(1) > 0)] if dtype == "uint64" else few[1:-1]
    grids = [np.stack(np.meshgrid(t, t)).reshape(2, -1) for t in (table, small)]
    close = rng.integers(1, 1 << 25, (2, 1000)).astype(dtype)  # multiples, and one beside
    grids.append(np.stack([close[0] * close[1] + rng.integers(0, 2, 1000).astype(dtype), close[1]]))
    grids.append(rng.integers(0 if dtype == "uint64" else -(1 << 51), 1 << 51, (2, 2000)).astype(dtype))
    operation = {"floor_divide": int.__floordiv__, "remainder": int.__mod__}[name]
    wrap = (1 << 64) - 1
    for a, b in grids:
        if form == "elements":
            pairs_of = [(a, b)]
        elif form == "divisor":
            pairs_of = [(a[:700], b[i : i + 1]) for i in range(0, b.size, 97)]
        else:
            pairs_of = [(a[i : i + 1], b[:700]) for i in range(0, a.size, 97)]
        for x, y in pairs_of:
            wide = [np.broadcast_to(v, max(x.size, y.size)).tolist() for v in (x, y)]
            exact = [operation(p, q) & wrap if q else 0 for p, q in zip(*wide, strict=True)]
            expected = np.array(exact, np.uint64).astype(dtype)
            for got in everywhere(lambda x=x, y=y: np.asarray(getattr(fn, name)(fn.asarray(x), fn.asarray(y)))):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_narrow_division(name, dtype):
    """All pairs of 8 bits; of 16 bits multiples of the divisor and their neighbours, and any."""
    info = np.iinfo(dtype)
    if info.bits == 8:
        every = np.arange(info.min, info.max + 1).astype(dtype)
        a, b = np.stack(np.meshgrid(every, every)).reshape(2, -1)
    else:
        a, b = np.random.default_rng(9).integers(info.min, info.max, (2, 20_000), dtype=dtype, endpoint=True)
        b[::2] //= b.dtype.type(301)
        a[:9000] = (
            a[:9000].astype(int) // np.where(b[:9000] == 0, 1, b[:9000]) * b[:9000] + np.arange(9000) % 3 - 1
        ).astype(dtype)
        a[:4], b[:4] = [info.min, info.max, info.min, info.max], [info.max, info.min, -1 if info.min else 1, 1]
    with np.errstate(all="ignore"):
        expected = np.where(b == 0, 0, getattr(np, name)(a.astype(int), b.astype(int))).astype(dtype)
    for got in results(name, a, b):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_integer_powers(dtype):
    """Products wrap; a negative exponent gives 0."""
    rng = np.random.default_rng(8)
    info = np.iinfo(dtype)
    base = rng.integers(info.min, info.max, 1003, dtype=dtype, endpoint=True)
    base[:9] = [0, 1, 2, 3, info.max, info.min, 7, 0, 1]
    exponent = rng.integers(-3 if info.min else 0, 70, base.size).astype(dtype)
    exponent[500:700] %= 3
    exponent[:9] = [0, info.max, 5, 0, 2, 3, 9, 1, 0]
    wrap = (1 << info.bits) - 1

    def power(p: int, q: int) -> int:
        return pow(p, q, 1 << info.bits) & wrap if q >= 0 else 0

    some = [0, 1, 2, 5, 63] + ([-1] if info.min else [])
    forms = [
        (base, exponent),
        *((base, np.array([e], dtype)) for e in some),
        *((base[i : i + 1], exponent) for i in range(9)),
    ]
    for x, y in forms:
        wide = [np.broadcast_to(v, base.size).tolist() for v in (x, y)]
        expected = np.array([power(p, q) for p, q in zip(*wide, strict=True)], np.uint64).astype(dtype)
        for got in everywhere(lambda x=x, y=y: np.asarray(fn.power(fn.asarray(x), fn.asarray(y)))):
            np.testing.assert_array_equal(got, expected)


def special_complex():
    wild = np.empty(SPECIAL.size**2, np.complex64)
    wild.real, wild.imag = np.stack(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)
    return wild


def test_complex_products():
    rng = np.random.default_rng(2)
    wild = special_complex()
    tame = (rng.normal(size=999) + 1j * rng.normal(size=999)).astype(np.complex64)
    for a, b in ((wild, wild[::-1].copy()), (np.tile(wild, 4)[:999], tame), (tame, tame[::-1].copy())):
        baseline, *others = results("multiply", a, b)
        for other in others:
            assert np.all(same(baseline.view(np.float32), other.view(np.float32)))
        finite = np.isfinite(a) & np.isfinite(b)
        exact = a[finite].astype(np.complex128) * b[finite]
        with np.errstate(all="ignore"):
            fits = (np.abs(exact.real) < 3e38) & (np.abs(exact.imag) < 3e38)
        scale = np.abs(a[finite].astype(np.complex128)) * np.abs(b[finite].astype(np.complex128))
        assert np.all(np.abs(baseline[finite] - exact)[fits] <= 2**-22 * scale[fits] + 1e-44)
    infinite = np.asarray(fn.array([complex(np.inf, np.nan)] * 40) * fn.array([1 + 1j] * 40))
    assert np.all(np.isinf(infinite.real) | np.isinf(infinite.imag))


def wild_and_tame(n):
    """Complex numbers of every kind, and others of which few vectors have any of those."""
    rng = np.random.default_rng(7)
    wild = special_complex()
    tame = (rng.normal(size=n) + 1j * rng.normal(size=n)).astype(np.complex64) * 10.0 ** rng.integers(-18, 18, n)
    tame[5::97] = wild[: tame[5::97].size]
    return wild, tame.astype(np.complex64)


def test_complex_quotients():
    for a in wild_and_tame(999):
        for b in (np.random.default_rng(8).permutation(a), a[-3:-2], a[:1]):
            baseline, *others = everywhere(lambda a=a, b=b: np.asarray(fn.array(a) / fn.array(b)))
            for other in others:
                assert np.all(same(baseline.view(np.float32), other.view(np.float32)))
            with np.errstate(all="ignore"):
                wide = a.astype(np.complex128) / b.astype(np.complex128)
                usual = np.isfinite(a) & np.isfinite(b) & (b != 0) & (np.abs(wide) < 3e38)
            assert np.all(np.abs(baseline[usual] - wide[usual]) <= 2**-23 * np.abs(wide[usual]) + 2e-45)
    ends = np.array([complex(np.inf, np.nan), 1 + 1j, 1 + 1j, 0] * 20, np.complex64)
    by = np.array([1 + 1j, complex(np.inf, -np.inf), 0, 0] * 20, np.complex64)
    for found in everywhere(lambda: np.asarray(fn.array(ends) / fn.array(by))):
        infinite = np.isinf(found.real) | np.isinf(found.imag)
        np.testing.assert_array_equal(infinite, [True, False, True, False] * 20)
        np.testing.assert_array_equal(found[1::4], 0)
        assert np.all(np.isnan(found[3::4]))


def test_complex_magnitudes():
    for z in wild_and_tame(999):
        with np.errstate(all="ignore"):
            wanted = np.hypot(z.real.astype(np.float64), z.imag.astype(np.float64)).astype(np.float32)
        for found in everywhere(lambda z=z: np.asarray(fn.abs(fn.array(z)))):
            np.testing.assert_array_max_ulp(found[np.isfinite(wanted)], wanted[np.isfinite(wanted)], 1)
            np.testing.assert_array_equal(np.isinf(found), np.isinf(wanted))
            np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "int64", "bool"])
@pytest.mark.parametrize("n", [31, 32, 1024, 1025, 5000])
def test_the_place_of_the_best_is_the_first(dtype, n):
    rng = np.random.default_rng(n)
    x = rng.integers(0, 2 if dtype == "bool" else 100, (4, n)).astype(dtype)
    for name in ("argmax", "argmin"):
        np.testing.assert_array_equal(np.asarray(getattr(fn, name)(fn.array(x), axis=1)), getattr(np, name)(x, 1))
    if dtype.startswith("float"):
        x[0, n // 2 :] = np.nan
        x[1, -1] = np.nan
        x[2] = -np.inf
        x[3, : n // 2] = -0.0
        x[3, n // 2 :] = 0.0
        for name in ("argmax", "argmin"):
            np.testing.assert_array_equal(np.asarray(getattr(fn, name)(fn.array(x), axis=1)), getattr(np, name)(x, 1))


def test_exponentials_of_complex_numbers():
    rng = np.random.default_rng(3)
    x = rng.uniform(-104, 104, 4000).astype(np.float32)
    y = (rng.uniform(-1, 1, 4000) * 10.0 ** rng.uniform(-8, 6.5, 4000)).astype(np.float32)
    x[:700:7], y[:700:5] = 88.9, -0.0
    x[2000:2010], y[2005:2015] = np.inf, np.nan
    z = x + 1j * y
    z.real, z.imag = x, y
    with np.errstate(all="ignore"):
        wanted = np.exp(z.astype(np.complex128)).astype(np.complex64)
    for other in everywhere(lambda: unary("exp", z)):
        assert np.all(np.isnan(other.real) == np.isnan(wanted.real))
        finite = np.isfinite(wanted.real) & np.isfinite(wanted.imag)
        np.testing.assert_allclose(other.real[finite], wanted.real[finite], rtol=3e-7, atol=1e-44)
        np.testing.assert_allclose(other.imag[finite], wanted.imag[finite], rtol=3e-7, atol=1e-44)
        np.testing.assert_array_equal(np.signbit(other.imag[finite]), np.signbit(wanted.imag[finite]))
        np.testing.assert_array_equal(np.isinf(other.real), np.isinf(wanted.real))


def test_exponentials_of_complex_numbers_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(6)
    z = (rng.normal(size=640) * 3 + 1j * rng.normal(size=640) * 9).astype(np.complex64)
    beside = z.copy()
    beside[::7] = [complex(np.inf, 1), complex(-800, 2), complex(0, 1e7), complex(np.nan, 0)] * 23
    for alone, together in zip(
        everywhere(lambda: unary("exp", z)), everywhere(lambda: unary("exp", beside)), strict=True
    ):
        kept = np.arange(640) % 7 != 0
        np.testing.assert_array_equal(alone[kept].view(np.uint64), together[kept].view(np.uint64))


def test_quotients_beside_whole_numbers():
    """The floor of the exact quotient, where the rounded one has reached the next number."""
    rng = np.random.default_rng(4)
    b = rng.uniform(0.1, 10, 20000).astype(np.float32)
    n = rng.integers(-(1 << 21), 1 << 21, b.size)
    a = np.nextafter((n * b.astype(np.float64)).astype(np.float32), np.float32(-np.inf))
    a[:50], b[50:60] = -1e-40, 1e-42
    a[60:70] = np.float32(3e38)
    exact = np.array([math.floor(Fraction(float(p)) / Fraction(float(q))) for p, q in zip(a, b, strict=True)])
    for sign in (1, -1):
        for got in results("floor_divide", sign * a, sign * b):
            np.testing.assert_array_equal(got, exact.astype(np.float32))


def test_sums_of_complex_numbers():
    rng = np.random.default_rng(9)
    for n in (0, 1, 15, 16, 33, 1023, 1024, 1041, 5000):
        z = (rng.normal(size=(3, n)) + 1j * rng.normal(size=(3, n))).astype(np.complex64)
        baseline, *others = everywhere(lambda z=z: np.asarray(fn.sum(fn.array(z), axis=1)))
        for other in others:
            np.testing.assert_array_equal(baseline, other)
        exact = z.astype(np.complex128).sum(axis=1)
        assert np.all(np.abs(baseline - exact) <= 2e-7 * np.abs(z).sum(axis=1))
