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

import instruction_sets

isa = instruction_sets.fixture(instruction_sets.SUPPORTED)

Wide = np.longdouble
needs_extended = pytest.mark.skipif(np.finfo(Wide).nmant < 63, reason="long double is no longer than double")


def each(f: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.array([f(float(v)) for v in x], np.float64)


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
}
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
    assert documented == {**{n: b for n, (_, b, _) in UNARY.items()}, "logaddexp": 2}
