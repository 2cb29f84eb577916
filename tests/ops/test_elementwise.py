"""Elementwise functions and their derivatives where the usual formula breaks down."""

import math

import numpy as np
import pytest

import funcnn as fn
from widest import float64_of, held

inf, nan = np.inf, np.nan


def slopes(x, y, order):
    """The first or second derivative of x ** y by x, from the formula."""
    factors = y if order == 1 else y * (y - 1)
    with np.errstate(divide="ignore"):
        return 0.0 if factors == 0 else float(factors * np.float64(x) ** (y - order))


@pytest.mark.parametrize("x", [0.0, -0.0, 1e-40, -1e-40, 1.5, inf])
@pytest.mark.parametrize("y", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("transform", [lambda f: f, fn.compile])
def test_powers_with_whole_exponents(x, y, transform):
    for order in (1, 2):
        f = lambda x, y: x**y  # noqa: E731
        for _ in range(order):
            f = fn.grad(f)
        expected = np.float32(slopes(x, y, order))
        np.testing.assert_allclose(transform(f)(fn.array(x), fn.array(y)), expected, rtol=1e-5)
        np.testing.assert_allclose(transform(lambda x: f(x, y))(fn.array(x)), expected, rtol=1e-5)  # noqa: B023
        _, tangent = fn.jvp(lambda x: x ** fn.array(y), (fn.array(x),), (fn.array(1.0),))
        np.testing.assert_allclose(tangent, np.float32(slopes(x, y, 1)), rtol=1e-5)


def c_pow(x, y):
    """C's pow: NumPy takes the root of an array where the exponent is the number 0.5."""
    try:
        return math.pow(x, y)
    except ValueError:  # Python's exception for poles and for fractional powers of negative numbers
        pole = math.copysign(inf, x) if y % 2 == 1 else inf
        return pole if x == 0 else nan


@pytest.mark.parametrize("dtype", held(["float16", "bfloat16", "float32", "float64"]))
@pytest.mark.parametrize("y", [0.5, -0.5, 1.5, -1.5, 0.25, 1 / 3, 0, 1, -1, 2, -2, 3, -3, 4, 5])
def test_powers_with_constant_exponents_where_c_says_what_they_are(y, dtype):
    x = [-inf, -1.0, -0.0, 0.0, 1.0, inf, nan]
    expected = np.array([c_pow(v, y) for v in x])
    array = fn.array(x, getattr(fn, dtype))
    variable = fn.full(array.shape, y, array.dtype)
    for power in (array**y, fn.compile(lambda x: 1 * x**y)(array), fn.power(array, y), array**variable):
        got = float64_of(power)
        np.testing.assert_array_equal(got, expected)
        some = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[some]), np.signbit(expected)[some])


@pytest.mark.parametrize("y", [0.5, -0.5])
def test_slopes_of_roots_are_those_of_powers(y):
    x = fn.array([-inf, -1.0, -0.0, 0.0, 1.0, inf])
    slopes = [y * c_pow(v, y - 1) for v in x.tolist()]
    for f in (lambda x: x**y, lambda x: x ** fn.full(x.shape, y)):
        np.testing.assert_array_equal(fn.grad(lambda x, f=f: f(x).sum())(x), np.float32(slopes))


def test_derivatives_of_a_polynomial_at_zero_are_its_coefficients():
    f = lambda x: (fn.array([5.0, 4.0, 3.0, 2.0]) * x ** fn.arange(4)).sum()  # noqa: E731
    derivatives = []
    for _ in range(4):
        derivatives.append(f(fn.array(0.0)).item())
        f = fn.grad(f)
    assert derivatives == [5, 4, 6, 12]


def test_the_exponent_s_derivative_keeps_its_meaning():
    by_both = fn.grad(fn.grad(lambda x, y: x**y), 1)
    np.testing.assert_allclose(by_both(fn.array(2.0), fn.array(0.0)), 0.5)  # d/dy of y x^(y-1) at y = 0
    assert fn.grad(lambda y: fn.array(0.0) ** y)(fn.array(2.0)).item() == 0
    assert (fn.array([nan, inf, 0.0]) ** 0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (nan, 1.0, (nan, nan)),
        (1.0, nan, (nan, nan)),
        (inf, nan, (nan, nan)),
        (-inf, -inf, (0.0, 0.0)),
        (inf, inf, (1.0, 1.0)),
        (inf, 1.0, (1.0, 0.0)),
        (1.0, inf, (0.0, 1.0)),
        (inf, -inf, (1.0, 0.0)),
        (-inf, 1.0, (0.0, 1.0)),
        (0.0, 0.0, (0.5, 0.5)),
        (3e38, -3e38, (1.0, 0.0)),
    ],
)
def test_logaddexp_at_its_limits(x, y, expected):
    got = fn.grad(fn.logaddexp, (0, 1))(fn.array(x), fn.array(y))
    np.testing.assert_array_equal([g.item() for g in got], expected)


def test_sums_of_nothing_in_logarithms_have_no_slope_and_spoil_none():
    x, y, z = (fn.array(value) for value in (-inf, -inf, 2.0))
    slopes = fn.grad(lambda x, y, z: fn.logaddexp(fn.logaddexp(x, y), z), (0, 1, 2))(x, y, z)
    assert [slope.item() for slope in slopes] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("top", [1e3, 1e7, -1e7, 1e8])
def test_logaddexp_shares_by_the_distance_of_its_operands(top):
    x = np.array([top, top, top + 8], np.float32)
    y = np.array([top, top + 8, top - 16], np.float32)  # multiples of float32's steps there
    x_share, y_share = fn.grad(lambda x, y: fn.logaddexp(x, y).sum(), (0, 1))(fn.array(x), fn.array(y))
    expected = 1 / (1 + np.exp(y.astype(np.float64) - x))
    np.testing.assert_allclose(x_share, expected, rtol=3e-7)
    np.testing.assert_allclose(y_share, 1 / (1 + np.exp(x.astype(np.float64) - y)), rtol=3e-7)


@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctanh"])
def test_slopes_near_one_keep_their_digits(name):
    x = np.concatenate([1 - np.geomspace(1e-6, 0.1, 200), np.geomspace(1e-9, 0.9, 200)]).astype(np.float32)
    wide = x.astype(np.float64)
    power, sign = 1 if name == "arctanh" else 0.5, -1 if name == "arccos" else 1
    left = (1 - wide) * (1 + wide)
    slope = fn.grad(lambda x: getattr(fn, name)(x).sum())
    np.testing.assert_allclose(slope(fn.array(x)), sign * left**-power, rtol=3e-7)
    second = sign * 2 * power * wide * left ** (-power - 1)
    np.testing.assert_allclose(fn.grad(lambda x: slope(x).sum())(fn.array(x)), second, rtol=1e-6)


@pytest.mark.parametrize("scale", [2.0**-100, 1.0, 2.0**100])
def test_slopes_of_arctan2_where_squares_are_out_of_range(scale):
    slopes = fn.grad(fn.arctan2, (0, 1))(fn.array(3.0 * scale), fn.array(4.0 * scale))
    np.testing.assert_allclose([s.item() * scale for s in slopes], [4 / 25, -3 / 25], rtol=3e-7)


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_integers_of_both_kinds_compare_exactly(name, dtype):
    info = np.iinfo(dtype)
    signed = [
        v for v in (-(2**63), -129, -1, 0, 1, 127, 2**24, 2**24 + 1, 2**53 + 1, 2**63 - 1) if info.min <= v <= info.max
    ]
    unsigned = [0, 1, 127, 2**24, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
    a, b = np.array(signed, dtype)[:, None], np.array(unsigned, np.uint64)
    compare = {"equal": "__eq__", "not_equal": "__ne__", "less": "__lt__", "less_equal": "__le__", "greater": "__gt__"}
    method = compare.get(name, "__ge__")
    expected = [[getattr(x, method)(y) for y in unsigned] for x in signed]
    assert getattr(fn, name)(fn.array(a), fn.array(b)).tolist() == expected
    swapped = [[getattr(y, method)(x) for y in unsigned] for x in signed]
    assert getattr(fn, name)(fn.array(b), fn.array(a)).tolist() == swapped


@pytest.mark.parametrize(("function", "moves"), [(fn.maximum, 1), (fn.minimum, 0)])
def test_neither_operand_of_an_extremum_moves_it_beside_nan(function, moves):
    nan = np.nan
    x, y = fn.array([nan, 0.0, nan, 1.0, 1.0]), fn.array([0.0, nan, nan, 1.0, 2.0])
    got = fn.grad(lambda x, y: function(x, y).sum(), argnums=(0, 1))(x, y)
    # At equality the second takes it all. MLX and JAX agree about NaN.
    assert got[0].tolist() == [0, 0, 0, 0, 1 - moves]
    assert got[1].tolist() == [0, 0, 0, 1, moves]
    assert fn.grad(lambda x: function(x, 0.5).sum())(fn.array([nan, 0.5])).tolist() == [0, 0]


@pytest.mark.parametrize("target", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64", "complex64"])
def test_integers_from_numbers_out_of_range(source, target):
    """The nearest integer that there is, and 0 for NaN, however the conversion is reached."""
    to, bounds = getattr(fn, target), np.iinfo(target)
    values = [300.0, -300.0, 0.75, -0.75, 60000.0, -60000.0, inf, -inf, nan]
    if source != "float16":
        values += [2.0**31, -(2.0**31), 2.0**33, -(2.0**33), 2.0**63, -(2.0**63), 2.0**64, 1e30, -1e30]
    x = fn.array(values).astype(getattr(fn, source))
    held = float64_of(fn.real(x)).tolist()  # bfloat16 rounds
    want = [
        0
        if np.isnan(v)
        else (bounds.max if v > 0 else bounds.min)
        if np.isinf(v)
        else min(max(int(v), bounds.min), bounds.max)
        for v in held
    ]
    assert x.astype(to).tolist() == want
    assert fn.compile(lambda x: x.astype(to))(x).tolist() == want
    assert fn.compile(lambda x: (x + 0).astype(to))(x).tolist() == want
    assert [x[i].astype(to).item() for i in range(x.size)] == want
    if source == "float64":
        assert fn.array(values, to).tolist() == want
        assert [fn.array(v, to).item() for v in values] == want
        assert fn.array(np.array(values), to).tolist() == want
        assert fn.array(np.float64(values[0]), to).item() == want[0]
        assert [fn.compile(lambda v=v: fn.array(v).astype(to))().item() for v in (300.0, -300.0, inf, nan)] == [
            want[0],
            want[1],
            want[6],
            0,
        ]


def test_derivatives_of_lgamma_of_every_order():
    special = pytest.importorskip("scipy.special")
    x = np.array([0.3, 1.5, 7.0, -2.3])
    f = fn.lgamma
    for order in range(1, 7):
        f = fn.grad(lambda v, g=f: g(v).sum())
        want = special.polygamma(order - 1, x)
        np.testing.assert_allclose(f(fn.array(x, fn.float64)), want, rtol=1e-12)
        np.testing.assert_allclose(f(fn.array(x, fn.float32)), want, rtol=1e-5)
    orders = np.arange(4)[:, None]
    np.testing.assert_allclose(
        fn.polygamma(fn.array(orders), fn.array(x, fn.float64)), special.polygamma(orders, x), rtol=1e-12
    )
    with pytest.raises(ValueError, match="polygamma: has no derivative; its order is an integer"):
        fn.grad(lambda n: fn.polygamma(n, 2.0))(fn.array(1.0))


@pytest.mark.parametrize("dtype", [fn.float16, fn.bfloat16, fn.float32])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_first_of_equal_operands_is_chosen(name, dtype):
    """Zeros of both signs, eager, compiled, beside other work and as one number."""
    f = getattr(fn, name)
    a = np.tile(np.array([0.0, -0.0, 0.0, -0.0, 1.0], np.float32), 70)
    b = np.tile(np.array([-0.0, 0.0, 0.0, -0.0, 1.0], np.float32), 70)
    x, y = fn.array(a, dtype), fn.array(b, dtype)

    def zeros(result):
        return np.signbit(np.asarray(fn.astype(result, fn.float32)))

    for run in (f, fn.compile(f), lambda x, y: f(x * 1, y * 1)):
        for _ in range(3):
            np.testing.assert_array_equal(zeros(run(x, y)), np.signbit(a))
            np.testing.assert_array_equal(zeros(run(y, x)), np.signbit(b))
    np.testing.assert_array_equal(zeros(f(x, 0.0))[:4], np.signbit(a)[:4])
    assert zeros(f(fn.array(0.0, dtype), y))[:4].tolist() == [False] * 4


def test_signs_of_complex_infinities_are_units():
    x = np.array([3 + 4j, complex(np.inf, -2), complex(0, -np.inf), complex(np.inf, np.inf), 0], np.complex64)
    np.testing.assert_allclose(fn.sign(fn.array(x)), np.sign(x), rtol=1e-6)
    assert fn.isnan(fn.sign(fn.array([complex(np.inf, np.nan)]))).all().item()  # where NumPy drops the NaN


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("op", [fn.arctan, fn.erf, fn.erfc])
def test_second_derivatives_are_zero_at_infinity(op, dtype):
    x = fn.array([-inf, -3e38, 3e38, inf, nan]).astype(getattr(fn, dtype))
    first = fn.grad(lambda v: op(v).astype(fn.float32).sum())
    second = fn.grad(lambda v: first(v).astype(fn.float32).sum())
    for derivative in (first, second):
        got = np.array(derivative(x).astype(fn.float32))
        np.testing.assert_allclose(got, [0, 0, 0, 0, nan], atol=1e-30)
