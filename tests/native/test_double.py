"""Functions of float64 that are ours, against extended precision and the C library; docs/accuracy.md has the bounds."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from program import binary, unary
from scipy import special

import instruction_sets

isa = instruction_sets.fixture(instruction_sets.SUPPORTED)

Wide = np.longdouble
needs_extended = pytest.mark.skipif(np.finfo(Wide).nmant < 63, reason="long double is no longer than double")


def each(f: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.array([f(float(v)) for v in x], np.float64)


def _erfinv(x: np.ndarray) -> np.ndarray:
    """SciPy's, but for small numbers, of which it loses some bits: there by its series."""
    z = np.pi * x * x
    series = x * np.sqrt(Wide(np.pi) + Wide(1.2246467991473532e-16)) / 2 * (1 + z / 12 + 7 * z * z / 480)
    return np.where(np.abs(x) < 2e-3, series, special.erfinv(np.where(np.abs(x) > 1, np.nan, x).astype(np.float64)))


# The function in extended precision, the bound in ulp, and where the sample is dense.
UNARY: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, list[tuple[float, float]]]] = {
    "exp": (np.exp, 1, [(-746, 710), (-1, 1), (-746, -708)]),
    "expm1": (np.expm1, 2, [(-45, 710), (-1, 1), (-1e-3, 1e-3)]),
    "log": (np.log, 1, [(0, 100), (0.5, 2), (0, 1e-307)]),
    "log1p": (np.log1p, 2, [(-1, 100), (-0.6, 1.5), (-1e-3, 1e-3)]),
    "tanh": (np.tanh, 3, [(-25, 25), (-1, 1), (-1e-3, 1e-3)]),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2, [(-746, 40), (-5, 5), (-746, -708)]),
    "sin": (np.sin, 1, [(-10, 10), (-1e6, 1e6), (-1e-3, 1e-3), (-1e300, 1e300)]),
    "cos": (np.cos, 1, [(-10, 10), (-1e6, 1e6), (-1e-3, 1e-3), (-1e300, 1e300)]),
    "erf": (each(math.erf), 2, [(-6.5, 6.5), (-1, 1), (-1e-3, 1e-3)]),
    "exp2": (np.exp2, 1, [(-1076, 1025), (-1, 1), (-1076, -1021)]),
    "log2": (np.log2, 1, [(0, 100), (0.5, 2), (0, 1e-307)]),
    "log10": (np.log10, 1, [(0, 100), (0.5, 2), (0, 1e-307)]),
    "sinh": (np.sinh, 3, [(-711, 711), (-2, 2), (-1e-3, 1e-3)]),
    "cosh": (np.cosh, 2, [(-711, 711), (-2, 2)]),
    "tan": (np.tan, 3, [(-10, 10), (-1e6, 1e6), (-1e-3, 1e-3), (-1e300, 1e300)]),
    "arcsinh": (np.arcsinh, 2, [(-10, 10), (-1e-3, 1e-3), (-2e9, 2e9)]),
    "arccosh": (np.arccosh, 3, [(1, 10), (1, 1.001), (1, 2e9)]),
    "arctanh": (np.arctanh, 2, [(-1, 1), (-1e-3, 1e-3), (0.999, 1)]),
    "arcsin": (np.arcsin, 3, [(-1, 1), (-1e-3, 1e-3), (0.999, 1)]),
    "arccos": (np.arccos, 2, [(-1, 1), (-1e-3, 1e-3), (0.999, 1)]),
    "arctan": (np.arctan, 2, [(-10, 10), (-1e-3, 1e-3), (-1e3, 1e3)]),
    "erfc": (each(math.erfc), 4, [(-7, 27.5), (-1, 1), (25.5, 27.5)]),
    "erfinv": (_erfinv, 3, [(-1, 1), (-1e-3, 1e-3), (0.999, 1)]),
}  # fmt: skip
BINARY: dict[str, tuple[float, list[tuple[tuple[float, float], tuple[float, float]]]]] = {
    "power": (2, [((0, 10), (-10, 10)), ((0.9, 1.1), (-6000, 6000)), ((0, 1e-307), (-2, 2)), ((1e-9, 1e9), (-30, 30))]),
    "arctan2": (2, [((-5, 5), (-5, 5)), ((-1e-300, 1e-300), (-1e-300, 1e-300)), ((1e307, 1e308), (-8e307, 8e307))]),
}
SPECIAL = [0.0, 1.0, 2.0, 3.0, 0.5, 3.5, 10.0, 1023.0, 1075.0, 5e-324, 1e-310, 1e-300, 1e300, 1.79e308, 1 + 2.0**-52]
SPECIAL += [1 - 2.0**-53, 2.0**51 + 0.5, 2.0**52 + 1, 2.0**53 - 1, 2.0**53, math.inf]
SPECIAL = [*SPECIAL, *(-v for v in SPECIAL), math.nan]
EDGES = [
    0.0,
    5e-324,
    1e-310,
    2.3e-308,
    1e-300,
    1e-20,
    2.0**-54,
    0.5,
    1.0,
    708.3964185322641,
    709.78,
    709.79,
    745.13,
    745.14,
]
EDGES += [1e10, 1.7e308, math.inf, math.nan]


def samples(ranges: list[tuple[float, float]]) -> np.ndarray:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, 4000, dtype=np.uint64).view(np.float64)
    edges = np.array(EDGES)
    near = [np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)]
    return np.concatenate([*(rng.uniform(*r, 8000) for r in ranges), bits, edges, -edges, *near, *(-n for n in near)])


def errors(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """In ulp of the nearest float64; infinite where one is finite, or NaN, and the other not."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float64)
        error = (np.abs(got.astype(Wide) - want) / np.spacing(np.abs(rounded)).astype(Wide)).astype(np.float64)
    finite = np.isfinite(got) & np.isfinite(rounded)
    edge = (got == rounded) | (np.isnan(got) & np.isnan(rounded)) | (np.abs(rounded) >= np.finfo(np.float64).max)
    return np.where(finite, error, np.where(edge, 0, np.inf))


@needs_extended
@pytest.mark.parametrize("name", UNARY)
def test_functions(isa, name):
    reference, bound, ranges = UNARY[name]
    x = samples(ranges)
    with np.errstate(all="ignore"):
        want = reference(x.astype(Wide)).astype(Wide)
    error = errors(unary(name, x), want)
    worst = int(np.argmax(error))
    # Without a fused instruction there are two roundings.
    assert error[worst] <= bound + (isa == "baseline"), (x[worst], error[worst])


@needs_extended
def test_logaddexp(isa):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 20000)) * 30
    a[:6], b[:6] = [np.inf, -np.inf, -np.inf, 0, np.nan, 0], [1, -np.inf, 5, -800, 0, -740]
    with np.errstate(all="ignore"):
        want = np.logaddexp(a.astype(Wide), b.astype(Wide))
        got = binary("logaddexp", a, b)
        large = np.isnan(want) | np.isinf(want) | (np.abs(want) > 0.1)  # its roots cancel
        assert errors(got, want)[large].max() <= 2 + (isa == "baseline")
        np.testing.assert_allclose(got, want.astype(np.float64), rtol=1e-13, atol=1e-16)


@needs_extended
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two(isa, name):
    bound, ranges = BINARY[name]
    rng = np.random.default_rng(2)
    a, b = np.concatenate([[rng.uniform(*x, 8000), rng.uniform(*y, 8000)] for x, y in ranges], axis=1)
    with np.errstate(all="ignore"):
        want = getattr(np, name)(a.astype(Wide), b.astype(Wide))
        got = binary(name, a, b)
    error = errors(got, want)
    worst = int(np.argmax(error))
    assert error[worst] <= bound + (isa == "baseline"), (a[worst], b[worst], error[worst])


@pytest.mark.parametrize("name", BINARY)
def test_special_numbers_of_two(isa, name):
    a, b = (v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
    with np.errstate(all="ignore"):
        want, got = getattr(np, name)(a, b), binary(name, a, b)
    np.testing.assert_allclose(got, want, rtol=1e-15, atol=5e-324)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


def test_what_is_exact(isa):
    rng = np.random.default_rng(3)
    a, b = rng.integers(-15, 16, 2000).astype(float), rng.integers(0, 13, 2000).astype(float)
    np.testing.assert_array_equal(binary("power", a, b), a**b)
    exponents = np.arange(-1074.0, 1024.0)
    np.testing.assert_array_equal(unary("exp2", exponents), 2.0**exponents)
    np.testing.assert_array_equal(unary("log2", 2.0**exponents), exponents)
    np.testing.assert_array_equal(unary("log10", np.array([10.0**k for k in range(23)])), np.arange(23.0))


def _gelu(x: float) -> float:
    return x * math.erfc(-x * math.sqrt(0.5)) / 2


def test_gelu(isa):
    x = np.concatenate([np.random.default_rng(4).uniform(-5, 5, 4000), [0.0, -0.0, 40.0, -50.0, np.inf, -np.inf]])
    got = unary("gelu", x)
    np.testing.assert_allclose(got[:-1], each(_gelu)(x[:-1]), rtol=1e-14)
    assert got[-1] == 0 and (np.signbit(got) == np.signbit(x)).all()
    # In the tails, from tables of 30 digits.
    far = np.array([-10.0, -20.0, -30.0, -37.5, -38.0, -38.4])
    want = [
        -7.619853024160526e-23,
        -5.507248237212467e-88,
        -1.47201420159e-196,
        -1.7255e-306,
        -1.0947e-314,
        -2.495e-321,
    ]
    np.testing.assert_allclose(unary("gelu", far)[:2], want[:2], rtol=2e-15)
    with np.errstate(all="ignore"):
        reference = far.astype(Wide) * np.exp(-(far.astype(Wide) ** 2) / 2) * (special.erfcx(-far / math.sqrt(2)) / 2)
    assert errors(unary("gelu", far), reference).max() <= 5 + (isa == "baseline")


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division(isa, name):
    rng = np.random.default_rng(6)
    a, b = (v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
    divisor = rng.integers(1, 2000, 5000) * 0.1  # multiples: quotients next to integers
    a = np.concatenate(
        [a, divisor * rng.integers(-3000, 3000, 5000), rng.normal(size=5000) * 1e6, -rng.random(500) * 1e-20]
    )
    b = np.concatenate([b, divisor, rng.normal(size=5500)])
    with np.errstate(all="ignore"):
        got, quotient = binary(name, a, b), a / b
    for x, y, z, q in zip(a.tolist(), b.tolist(), got.tolist(), quotient.tolist(), strict=True):
        if math.isfinite(x) and math.isfinite(y) and y != 0:
            r = math.fmod(x, y)
            whole = (Fraction(x) - Fraction(r)) / Fraction(y) - (r != 0 and (r < 0) != (y < 0))
            if name == "floor_divide":
                assert z == q if math.isinf(q) else abs(z - float(whole)) <= math.ulp(z) * (abs(z) >= 2.0**53), (
                    x,
                    y,
                    z,
                )
            else:
                want = r + y if r != 0 and (r < 0) != (y < 0) else r
                assert z == want and (z != 0 or math.copysign(1, z) == math.copysign(1, y)), (x, y, z, want)
        elif name == "remainder" and math.isnan(x + y):
            assert math.isnan(z)


@pytest.mark.parametrize("name", ["tanh", "erf", "expm1", "log1p"])
def test_small_numbers_and_signs(isa, name):
    x = np.array([0.0, 5e-324, 2e-310, 1e-300, 1e-200, 1e-18])
    want = x * (2 / math.sqrt(math.pi)) if name == "erf" else x
    for sign in (1, -1):
        got = unary(name, sign * x)
        np.testing.assert_allclose(got, sign * want, rtol=3e-16, atol=5e-324)
        assert (np.signbit(got) == (sign < 0)).all()


@needs_extended
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_near_quarter_turns(isa, name):
    half_pi = Fraction("1.5707963267948966192313216916397514420985846996875529104874722961539082")
    turns = range(1, 600_000, 97)
    x = np.array([float(n * half_pi) for n in turns])
    rest = np.array([float(Fraction(v) - n * half_pi) for v, n in zip(x.tolist(), turns, strict=True)]).astype(Wide)
    small = [np.sin(rest), np.cos(rest), -np.sin(rest), -np.cos(rest)]
    want = np.choose((np.array(turns) + (name == "cos")) % 4, small)
    assert errors(unary(name, x), want).max() <= 1


@pytest.mark.parametrize("name", ["tanh", "erf", "sigmoid"])
def test_limits(isa, name):
    x = np.array([40.0, 800.0, 1e300, np.inf])
    assert unary(name, x).tolist() == [1.0] * 4
    assert unary(name, -x)[1:].tolist() == ([0.0] * 3 if name == "sigmoid" else [-1.0] * 3)


@instruction_sets.needs_two_widths
@pytest.mark.parametrize("name", UNARY)
def test_instruction_sets_give_the_same_bits(name):
    x = samples(UNARY[name][2])
    results = []
    for which in instruction_sets.MACHINE_CODE:
        with instruction_sets.using(which):
            results.append(unary(name, x))
    np.testing.assert_array_equal(
        results[0].view(np.uint64)[~np.isnan(results[0])], results[1].view(np.uint64)[~np.isnan(results[0])]
    )


def test_documented_bounds_are_these():
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "accuracy.md").read_text()
    section = page[page.index("## float64") : page.index("## Integers")]
    documented = {n: float(b) for n, b in re.findall(r"`(\w+)` (\d)[,;]", section)}
    assert documented == {
        **{n: b for n, (_, b, _) in UNARY.items()},
        **{n: b for n, (b, _) in BINARY.items()},
        "logaddexp": 2,
    }
