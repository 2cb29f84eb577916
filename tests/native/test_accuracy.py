"""Transcendental functions of float32 against float64, in units in the last place; the bounds of docs/accuracy.md."""

import os
import pathlib
import re
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from program import binary, unary
from test_interpreter import isa  # noqa: F401

special = pytest.importorskip("scipy.special")

# name: (reference, ranges swept, bound in ulp)
UNARY = {
    "exp": (np.exp, [(-104, 89), (-1, 1)], 2),
    "exp2": (np.exp2, [(-150, 128), (-1, 1)], 2),
    "expm1": (np.expm1, [(-20, 89), (-1, 1), (-1e-3, 1e-3)], 3),
    "log": (np.log, [(1e-3, 100), (0.5, 2)], 2),
    "log1p": (np.log1p, [(-0.999, 100), (-0.5, 1), (-1e-3, 1e-3)], 3),
    "log2": (np.log2, [(1e-3, 100), (0.5, 2)], 3),
    "log10": (np.log10, [(1e-3, 100), (0.5, 2)], 3),
    "sin": (np.sin, [(-10, 10), (-1e6, 1e6), (-1e30, 1e30)], 1),
    "cos": (np.cos, [(-10, 10), (-1e6, 1e6), (-1e30, 1e30)], 1),
    "tan": (np.tan, [(-10, 10), (-1e6, 1e6), (-1e30, 1e30)], 1),
    "arcsin": (np.arcsin, [(-1, 1)], 1),
    "arccos": (np.arccos, [(-1, 1)], 1),
    "arctan": (np.arctan, [(-10, 10)], 1),
    "sinh": (np.sinh, [(-89, 89), (-1, 1)], 1),
    "cosh": (np.cosh, [(-89, 89)], 1),
    "tanh": (np.tanh, [(-10, 10), (-1, 1)], 6),
    "arcsinh": (np.arcsinh, [(-10, 10), (-1e-2, 1e-2)], 1),
    "arccosh": (np.arccosh, [(1, 10), (1, 1.01)], 1),
    "arctanh": (np.arctanh, [(-1, 1), (-1e-2, 1e-2)], 1),
    "sigmoid": (special.expit, [(-104, 100), (-5, 5)], 3),
    "erf": (special.erf, [(-4.2, 4.2), (-1, 1)], 7),
    "erfinv": (special.erfinv, [(-1, 1)], 2),
    "lgamma": (special.gammaln, [(0.01, 50), (-5, 0)], 1),
    "digamma": (special.digamma, [(0.01, 50), (-5, 0)], 1),
    "sqrt": (np.sqrt, [(0, 10)], 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), [(1e-3, 10)], 2),
}
BINARY = {
    "power": (np.power, [((0, 10), (-10, 10)), ((0.9, 1.1), (-500, 500))], 1),
    "arctan2": (np.arctan2, [((-5, 5), (-5, 5))], 1),
    "logaddexp": (np.logaddexp, [((0, 50), (0, 50))], 3),
}
EDGES = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -2, 3, -3, 1e-40, -1e-40, 3e38, -3e38], np.float32)


def ulps(got, want):
    """The largest error of finite results, and where the others differ."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        finite = np.isfinite(rounded)
        unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)
        error = np.abs(got[finite].astype(np.float64) - want[finite]) / unit
    others = (got[~finite] != rounded[~finite]) & ~(np.isnan(got[~finite]) & np.isnan(rounded[~finite]))
    # Just above the largest number a rounding more or less decides between it and infinity.
    return (error.max() if error.size else 0.0), others.sum()


def sweep(low, high, n=50_000):
    rng = np.random.default_rng(0)
    return np.concatenate([np.linspace(low, high, n), rng.uniform(low, high, n)]).astype(np.float32)


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(isa, name):  # noqa: F811
    f, ranges, bound = UNARY[name]
    bits = np.random.default_rng(1).integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    for x in [sweep(*r) for r in ranges] + [bits, EDGES]:
        if name == "lgamma":
            x = x[x != -np.inf]  # +inf in C, -inf in SciPy
        with np.errstate(all="ignore"):
            want = f(x.astype(np.float64))
        if name in ("lgamma", "digamma"):
            x, want = x[x > -1e6], want[x > -1e6]
        error, others = ulps(unary(name, x), want)
        assert error <= bound
        assert others == 0


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions(isa, name):  # noqa: F811
    f, ranges, bound = BINARY[name]
    pairs = []
    for a, b in ranges:
        pairs.append((sweep(*a), np.random.default_rng(2).permutation(sweep(*b))))
    pairs.append(tuple(v.ravel() for v in np.meshgrid(EDGES, EDGES)))
    for x, y in pairs:
        with np.errstate(all="ignore"):
            want = f(x.astype(np.float64), y.astype(np.float64))
        error, others = ulps(binary(name, x, y), want)
        assert error <= bound
        assert others == 0


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "cos", "sigmoid"])
def test_values_stay_in_range(isa, name):  # noqa: F811
    y = unary(name, sweep(-20, 20))
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "arctan", "arcsinh", "sinh", "expm1", "log1p", "erfinv"])
def test_the_sign_of_zero_is_kept(isa, name):  # noqa: F811
    y = unary(name, np.array([0.0, -0.0], np.float32))
    assert np.signbit(y).tolist() == [False, True]
    assert (y == 0).all()


@pytest.mark.parametrize("name", UNARY)
def test_float64(name):
    f, ranges, _ = UNARY[name]
    x = sweep(*ranges[0]).astype(np.float64)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(unary(name, x), f(x), rtol=2e-13, atol=1e-14 if "gamma" in name else 0)


def test_documented_bounds_are_these():
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "accuracy.md").read_text()
    documented = {n: float(b) for n, b in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)}
    assert documented == {n: float(row[2]) for n, row in {**UNARY, **BINARY}.items()}
