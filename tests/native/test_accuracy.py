"""A sample of what tools/check_accuracy.py checks on every float32; the bounds of docs/accuracy.md."""

import math
import os
import pathlib
import re
import sys
from fractions import Fraction

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
pytest.importorskip("scipy.special")
from accuracy import BINARY, UNARY, order_violations, symmetry_violations, ulps
from program import binary, unary
from test_interpreter import isa  # noqa: F401

import instruction_sets

EDGES = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -2, 3, -3, 1e-40, -1e-40, 3e38, -3e38], np.float32)


def sweep(low, high, n=50_000):
    rng = np.random.default_rng(0)
    return np.concatenate([np.linspace(low, high, n), rng.uniform(low, high, n)]).astype(np.float32)


def neighbours(count=1500, run=128):
    """Runs of neighbouring magnitudes from zero to infinity, ascending."""
    starts = np.linspace(0, 0x7F800000 - run, count).astype(np.uint32)
    return (starts[:, None] + np.arange(run + 1, dtype=np.uint32)).ravel().view(np.float32)


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(isa, name):  # noqa: F811
    f = UNARY[name]
    bits = np.random.default_rng(1).integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    for x in [sweep(*r) for r in f.ranges] + [bits, EDGES]:
        x = x[np.isnan(x) | ((x >= f.domain[0]) & (x <= f.domain[1]) & np.isfinite(x))]
        with np.errstate(all="ignore"):
            want = f.reference(x.astype(np.float64))
        error, at, others = ulps(unary(name, x), want)
        assert error <= f.bound, x[at]
        assert others == 0


def near_quarter_turns():
    """float32 that come nearest to multiples of pi / 2, of every exponent: multiples of the denominators of convergents
    of their units over pi / 2."""

    def arctan_inverse(n, one):
        total, power, k = 0, one // n, 0
        while power:
            total += (-1) ** k * (power // (2 * k + 1))
            power //= n * n
            k += 1
        return total

    one = 1 << 400
    half_pi = Fraction(2 * (4 * arctan_inverse(5, one) - arctan_inverse(239, one)), one)
    found = []
    for exponent in range(-20, 105):
        x = Fraction(2) ** exponent / half_pi % 1
        before, denominator = 0, 1
        while x and (x := 1 / x):
            digit = int(x)
            before, denominator = denominator, digit * denominator + before
            if denominator >= 2**24:
                break
            x -= digit
            last = (2**24 - 1) // denominator * denominator
            found += [m * 2.0**exponent for m in (denominator, last)]
    return np.array(found, np.float32)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_near_quarter_turns(isa, name):  # noqa: F811
    x = near_quarter_turns()
    assert np.abs(np.cos(x.astype(np.float64))).min() < 2e-9  # known to be the hardest
    x = np.concatenate([x, np.nextafter(x, np.float32(np.inf)), -x])
    error, at, others = ulps(unary(name, x), UNARY[name].reference(x.astype(np.float64)))
    assert error < 0.51, x[at]
    assert others == 0


@pytest.mark.parametrize("name", UNARY)
def test_limits_order_and_symmetry(isa, name):  # noqa: F811
    f = UNARY[name]
    np.testing.assert_array_equal(unary(name, np.array([-np.inf, np.inf], np.float32)), np.array(f.limits, np.float32))
    x = neighbours()
    y, mirrored = unary(name, x), unary(name, -x)
    assert order_violations(f, x, y).size == 0
    assert order_violations(f, -x[::-1], mirrored[::-1]).size == 0
    assert symmetry_violations(f, x, y, mirrored).size == 0


@instruction_sets.needs_two_widths
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_instruction_sets_give_the_same_bits(name):
    x = np.concatenate([neighbours(), -neighbours(), *(sweep(-r, r) for r in (1, 20, 1e6))])
    arguments = (x,) if name in UNARY else (x, np.random.default_rng(3).permutation(x))
    results = []
    for which in instruction_sets.MACHINE_CODE:
        with instruction_sets.using(which):
            results.append((unary if name in UNARY else binary)(name, *arguments).view(np.uint32))
    differ = (results[0] != results[1]) & ~np.isnan(results[0].view(np.float32))
    assert arguments[0][differ].size == 0


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions(isa, name):  # noqa: F811
    f = BINARY[name]
    pairs = []
    for a, b in f.ranges:
        pairs.append((sweep(*a), np.random.default_rng(2).permutation(sweep(*b))))
    pairs.append(tuple(v.ravel() for v in np.meshgrid(EDGES, EDGES)))
    for x, y in pairs:
        with np.errstate(all="ignore"):
            want = f.reference(x.astype(np.float64), y.astype(np.float64))
        error, at, others = ulps(binary(name, x, y), want)
        assert error <= f.bound, (x[at], y[at])
        assert others == 0


@pytest.mark.parametrize(
    ("name", "first"), [("tanh", 9.02), ("erf", 3.93), ("sigmoid", 17.4), ("gelu_derivative", 6.0)]
)
def test_saturation_is_exact(isa, name, first):  # noqa: F811
    x = np.array([first, 20, 1e4, 1e20, 3.4e38, np.inf], np.float32)
    assert unary(name, x).tolist() == [1.0] * x.size


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "cos", "sigmoid"])
def test_values_stay_in_range(isa, name):  # noqa: F811
    y = unary(name, sweep(-20, 20))
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("name", ["log1p", "expm1", "gelu"])
def test_the_sign_of_zero_is_kept(isa, name):  # noqa: F811
    y = unary(name, np.array([0.0, -0.0], np.float32))
    assert np.signbit(y).tolist() == [False, True]
    assert (y == 0).all()


def test_arctan_of_one_is_a_quarter_of_pi(isa):  # noqa: F811
    one = np.array([1, -1, 1, -1], np.float32)
    np.testing.assert_array_equal(unary("arctan", one), np.arctan(one.astype(np.float64)).astype(np.float32))
    y, x = one, np.array([1, 1, -1, -1], np.float32)
    np.testing.assert_array_equal(binary("arctan2", y, x), np.arctan2(y.astype(np.float64), x).astype(np.float32))


def test_expm1_of_the_smallest_numbers(isa):  # noqa: F811
    x = np.array([1, 2, 3, 5, 0x7FFFFF, 0x800001, 0x30000000], np.uint32).view(np.float32)
    np.testing.assert_array_equal(unary("expm1", x), x)
    np.testing.assert_array_equal(unary("expm1", -x), -x)


def test_gelu_where_one_of_its_terms_is_nothing(isa):  # noqa: F811
    x = np.array([-14.65, -20, -1e20, -3.4e38, -np.inf, 7, 1e20, 3.4e38, np.inf], np.float32)
    y = unary("gelu", x)
    assert np.signbit(y).tolist() == [True] * 5 + [False] * 4
    np.testing.assert_array_equal(y, np.where(x < 0, 0, x))
    tiny = np.array([2, 6, 1 << 18, 12345678, 0x0DA24260], np.uint32).view(np.float32)  # their halves are numbers
    np.testing.assert_array_equal(unary("gelu", tiny), tiny / 2)
    np.testing.assert_array_equal(unary("gelu", -tiny), -tiny / 2)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7, 12, 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_polygamma(order, dtype):
    from scipy import special

    x = np.concatenate([np.geomspace(1e-3, 1e4, 2001), np.linspace(0.1, 60, 2001), -np.linspace(0.01, 30, 2001)])
    x = x.astype(dtype)
    x = x[x != np.rint(x)]
    with np.errstate(all="ignore"):
        want = special.polygamma(order, x.astype(np.float64))
        inside = (np.abs(want) < np.finfo(dtype).max) & (np.abs(want) > np.finfo(dtype).tiny)
    got = binary("polygamma", np.full_like(x, order), x)
    assert inside.sum() > 2000
    # Even orders have roots between the poles.
    np.testing.assert_allclose(got[inside], want[inside], rtol=1e-7 if dtype == np.float32 else 4e-13)


def test_polygamma_at_poles_and_infinities():
    inf, nan = np.inf, np.nan
    x = np.array([0.0, -0.0, -1.0, -7.0, inf, -inf, nan], np.float64)
    for order, want in [(0, [-inf, inf, nan, nan, inf, nan, nan]), (1, [inf, inf, inf, inf, 0, nan, nan]),
                        (2, [-inf, inf, nan, nan, -0.0, nan, nan]), (3, [inf, inf, inf, inf, 0, nan, nan])]:  # fmt: skip
        np.testing.assert_array_equal(binary("polygamma", np.full_like(x, order), x), want)
    wrong = np.array([-1, 0.5, inf, nan])
    assert np.isnan(binary("polygamma", wrong, np.ones(4))).all()
    # Far out and of high order, where powers leave the range of float64 and the values do not: the first terms of
    # (m - 1)! / x^m (1 + m / (2 x) + m (m + 1) / (12 x^2)).
    for m, x in [(1, 1e200), (100, 1e6), (120, 1e5)]:
        size = Fraction(math.factorial(m - 1)) / Fraction(x) ** m
        want = float((-1) ** (m + 1) * size * (1 + m / (2 * Fraction(x)) + m * (m + 1) / (12 * Fraction(x) ** 2)))
        np.testing.assert_allclose(binary("polygamma", np.array([float(m)]), np.array([x])), want, rtol=1e-12)


@pytest.mark.parametrize("name", UNARY)
def test_float64(name):
    f = UNARY[name]
    x = sweep(*f.ranges[0]).astype(np.float64)
    with np.errstate(all="ignore"):
        close_to_a_root = "gamma" in name or name == "gelu_derivative"
        np.testing.assert_allclose(unary(name, x), f.reference(x), rtol=2e-13, atol=1e-14 if close_to_a_root else 0)


def test_documented_bounds_are_these():
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "accuracy.md").read_text()
    documented = {n: float(b) for n, b in re.findall(r"^\| `(?:nn\.)?(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)}
    assert documented == {n: float(f.bound) for n, f in {**UNARY, **BINARY}.items()}


@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_complex_functions_keep_small_numbers(name):
    z = np.array([1e-12 + 2e-12j, -3e-20 + 1e-3j, 1e-3 - 1e-15j, 0.3 + 0.4j, 5 - 2j], np.complex64)
    w = z.astype(np.clongdouble)
    want = np.exp(w) - 1 if name == "expm1" else np.log(1 + w)
    # To second order for the smallest, where the formula cancels in extended precision as well.
    small = np.abs(w) < 1e-6
    want[small] = (w + w * w / 2 if name == "expm1" else w - w * w / 2)[small]
    got = unary(name, z)
    assert np.abs(got.astype(np.clongdouble) - want).max() < 1
    np.testing.assert_allclose(got, want.astype(np.complex64), rtol=3e-7)
    assert (np.abs(got.real[:2] / want.real[:2].astype(np.float64) - 1) < 1e-6).all()


def test_complex_sigmoid_has_its_limits():
    z = np.array([-200 + 1j, 200 - 2j, -90 + 3j], np.complex64)
    want = np.exp(z.astype(np.complex128)) / (1 + np.exp(z.astype(np.complex128)))
    np.testing.assert_allclose(unary("sigmoid", z), want, rtol=1e-6, atol=1e-45)
