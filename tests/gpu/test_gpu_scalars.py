"""Scalar functions in kernels of the gpu: the promises of docs/accuracy.md, special values, integers, complex numbers."""

import pathlib
import sys

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn
from half_oracle import WIDTHS, bits, conversions, hard_numbers, nearest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "native"))
from accuracy import BINARY, UNARY, errors, order_violations, symmetry_violations

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")

FUNCTIONS = {
    **{name: getattr(fn, name) for name in UNARY if hasattr(fn, name)},
    "gelu": nn.gelu,
    "gelu_derivative": lambda x: fn.grad(lambda x: nn.gelu(x).sum())(x),
    "reciprocal": fn.reciprocal,
}
# Where float64 is missing, large terms cancel near the roots between the poles.
ABOVE = {"lgamma": 0.0, "digamma": 0.0}


def on_gpu(function, *arguments):
    return np.asarray(function(*(fn.device_put(fn.array(a), fn.gpu) for a in arguments)))


def sample(ranges):
    """Numbers of all sizes, of the ranges, and runs of neighbours in them."""
    rng = np.random.default_rng(5)
    parts = [rng.integers(0, 1 << 32, 6000, dtype=np.uint64).astype(np.uint32).view(np.float32)]
    for low, high in ranges:
        parts.append(rng.uniform(low, high, 6000).astype(np.float32))
        starts = rng.uniform(low, high, 8).astype(np.float32).view(np.int32)
        parts.append((starts[:, None] + np.arange(200, dtype=np.int32)).ravel().view(np.float32))
    parts.append(np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 1.2e-38], np.float32))
    x = np.concatenate(parts)
    return x[~((np.abs(x) < 2.0**-126) & (x != 0))]  # a gpu may take subnormal numbers for zero


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_keep_their_bounds(name):
    f = UNARY[name]
    x = np.sort(sample(f.ranges))
    both = on_gpu(FUNCTIONS[name], np.concatenate([x, -x]))
    y, mirrored = both[: x.size], both[x.size :]
    assert np.isnan(y[np.isnan(x)]).all()
    assert not symmetry_violations(f, x, y, mirrored).size
    numbers = ~np.isnan(x) & (x != 0)  # at a pole the signs of zero part
    assert not order_violations(f, x[numbers], y[numbers]).size
    inside = np.isfinite(x) & (x >= max(f.domain[0], ABOVE.get(name, -np.inf))) & (x <= f.domain[1])
    with np.errstate(all="ignore"):
        want = f.reference(x[inside].astype(np.float64))
    # What leaves the range of normal numbers may be zero.
    kept = ~(np.abs(want) < 2.0**-125)
    error, others = errors(y[inside], want)
    assert error[kept].max() <= f.bound and not others[kept].any()


HALVES = {
    "exp": ("exp", fn.exp),
    "exp2": ("exp2", fn.exp2),
    "tanh": ("tanh", fn.tanh),
    "sigmoid": ("sigmoid", fn.sigmoid),
    "gelu": ("gelu", nn.gelu),
    "gelu_derivative": ("gelu_derivative", lambda x: fn.grad(lambda x: nn.gelu(x).sum())(x)),
}


def every(dtype):
    """All numbers of a half precision, and what one unit in the last place of a result is."""
    words = np.arange(1 << 16, dtype=np.uint16)
    if dtype == fn.float16:
        x, digits, least = words.view(np.float16).astype(np.float32), 10, -14
    else:
        x, digits, least = (words.astype(np.uint32) << 16).view(np.float32), 7, -126
    order = np.argsort(x)  # NaN last
    x = x[order]

    def ulp(want):
        with np.errstate(all="ignore"):
            return np.exp2(np.clip(np.floor(np.log2(np.abs(want))), least, None) - digits)

    return x, ulp, 2.0**least


@pytest.mark.parametrize("dtype", [fn.float16, fn.bfloat16])
@pytest.mark.parametrize("name", HALVES)
def test_functions_of_half_precision_round_once(name, dtype):
    """To the nearest, but for what lies as good as between two numbers; for every argument."""
    known, function = HALVES[name]
    f = UNARY[known]
    x, ulp, normal = every(dtype)
    y = np.asarray(function(fn.device_put(fn.array(x).astype(dtype), fn.gpu)).astype(fn.float32))
    assert np.isnan(y[np.isnan(x)]).all()
    numbers = ~np.isnan(x)
    x, y = x[numbers], y[numbers]
    with np.errstate(all="ignore"):
        want = f.reference(x.astype(np.float64))
        largest = 65520.0 if dtype == fn.float16 else 3.3961e38
        finite = np.isfinite(x) & (np.abs(want) < largest)
        # A gpu may take subnormal numbers of float32 for zero.
        finite &= (np.abs(want) >= normal) if dtype == fn.bfloat16 else True
        error = np.abs(y.astype(np.float64) - want) / ulp(want)
    assert error[finite].max() <= 0.52
    if f.symmetry == -1:
        negative = function(fn.device_put(fn.array(-x).astype(dtype), fn.gpu)).astype(fn.float32)
        np.testing.assert_array_equal(np.asarray(negative).view(np.uint32), (-y).view(np.uint32))
    # The limits of float32, rounded.
    exact = np.asarray(function(fn.array(x)).astype(dtype).astype(fn.float32))
    ends = ~np.isfinite(x) | (x == 0)
    np.testing.assert_array_equal(y[ends].view(np.uint32), exact[ends].view(np.uint32))


@pytest.mark.parametrize("dtype", [fn.float16, fn.bfloat16])
def test_only_what_is_rounded_later_is_computed_roughly(dtype):
    """A difference of what half precision has not rounded yet keeps the digits of float32."""
    x = fn.device_put(fn.array(np.linspace(-1e-2, 1e-2, 1001, dtype=np.float32)), fn.gpu)

    def text(f):
        return fn.explain(f, device="gpu")(x).plan

    def close(f, exact, tolerance):
        got = np.asarray(f(x).astype(fn.float32)).astype(np.float64)
        want = exact(np.asarray(x).astype(np.float64))
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=1e-7)

    last = 2.0**-11 if dtype == fn.float16 else 2.0**-8
    rough = lambda x: (2 * fn.exp(x)).astype(dtype)  # noqa: E731
    fine = lambda x: (fn.exp(x) - 1).astype(dtype)  # noqa: E731
    assert "exp_half(" in text(rough) and "exp_f32(" not in text(rough)
    assert "exp_f32(" in text(fine) and "exp_half(" not in text(fine)
    assert "exp_half(" not in text(lambda x: (fn.exp(x), fn.exp(x).astype(dtype)))
    close(rough, lambda x: 2 * np.exp(x), 1.02 * last)
    close(fine, np.expm1, 1.02 * last)


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma_of_negative_numbers(name):
    x = np.random.default_rng(2).uniform(-5, 0, 20000).astype(np.float32)
    error, others = errors(on_gpu(getattr(fn, name), x), UNARY[name].reference(x.astype(np.float64)))
    assert np.quantile(error, 0.99) <= UNARY[name].bound and error.max() <= 128 and not others.any()


@pytest.mark.parametrize("name", [name for name in BINARY if hasattr(fn, name)])
def test_functions_of_two_numbers(name):
    f, function = BINARY[name], getattr(fn, name)
    rng = np.random.default_rng(7)
    for first, second in f.ranges:
        a, b = (rng.uniform(*bounds, 20000).astype(np.float32) for bounds in (first, second))
        with np.errstate(all="ignore"):
            want = f.reference(a.astype(np.float64), b.astype(np.float64))
        error, others = errors(on_gpu(function, a, b), want)
        kept = ~(np.abs(want) < 2.0**-125)
        assert error[kept].max() <= f.bound and not others[kept].any()


SPECIAL = np.array(
    [0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, np.inf, -np.inf, np.nan, 3e38, -3e38, 16777217, 1e10, 1e-30, 2.5, 2.0**31],
    np.float32,
)


def same(got, want):
    """Equal bit by bit but for NaN, or to a rounding."""
    both_nan = np.isnan(got) & np.isnan(want)
    with np.errstate(all="ignore"):
        close = np.abs(got - want) <= 3e-7 * np.abs(want)
    return both_nan | ((got == want) & (np.signbit(got) == np.signbit(want))) | close


@pytest.mark.parametrize(
    "name", ["power", "arctan2", "logaddexp", "floor_divide", "remainder", "maximum", "minimum", "divide", "multiply"]
)
def test_special_values_are_those_of_the_cpu(name):
    a, b = (g.ravel() for g in np.meshgrid(SPECIAL, SPECIAL))
    want = np.asarray(getattr(fn, name)(fn.array(a), fn.array(b)))
    got = on_gpu(getattr(fn, name), a, b)
    wrong = ~same(got, want)
    assert not wrong.any(), list(zip(a[wrong], b[wrong], got[wrong], want[wrong], strict=True))[:5]


def test_remainders_are_exact():
    rng = np.random.default_rng(9)
    words = rng.integers(0, 1 << 32, (2, 20000), dtype=np.uint64).astype(np.uint32).view(np.float32)
    normal = (np.abs(words) > 1e-30).all(0) & np.isfinite(words).all(0)
    a, b = words[:, normal]
    got = on_gpu(fn.remainder, a, b)
    with np.errstate(all="ignore"):
        want = np.fmod(a, b)
        want = np.where(want == 0, np.copysign(0, b), np.where((want < 0) != (b < 0), want + b, want)).astype(
            np.float32
        )
    tiny = (np.abs(want) < 2.0**-126) & (want != 0)
    np.testing.assert_array_equal(got[~tiny], want[~tiny])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_integers_are_those_of_the_cpu(dtype):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(3)
    edges = np.array([info.min, info.max, 0, 1, 2, 7, info.max - 1, info.min + 1], dtype)
    a, b = (g.ravel() for g in np.meshgrid(edges, edges))
    a = np.concatenate(
        [a, rng.integers(info.min, info.max, 300, dtype, endpoint=True), rng.integers(0, 20, 300).astype(dtype)]
    )
    b = np.concatenate(
        [b, rng.integers(info.min, info.max, 300, dtype, endpoint=True), rng.integers(0, 70, 300).astype(dtype)]
    )
    names = "add subtract multiply floor_divide remainder power left_shift right_shift bitwise_and bitwise_xor maximum"

    def all_of_them(a, b):
        # Evaluated together they are one kernel.
        results = [getattr(fn, name)(a, b) for name in names.split()]
        results += [f(a) for f in (fn.abs, fn.negative, fn.sign, fn.square, fn.bitwise_invert)]
        fn.eval(results)
        return [np.asarray(r) for r in results]

    there = [fn.device_put(fn.array(x), fn.gpu) for x in (a, b)]
    for got, want in zip(all_of_them(*there), all_of_them(fn.array(a), fn.array(b)), strict=True):
        np.testing.assert_array_equal(got, want)
    x = np.concatenate([SPECIAL, [127.5, 255.5, -0.5, 2.0**63, -(2.0**63), 2.0**64, 65535.0]]).astype(np.float32)
    target = fn.array(a).dtype
    np.testing.assert_array_equal(on_gpu(lambda x: x.astype(target), x), np.asarray(fn.array(x).astype(target)))


COMPLEX = [
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "arcsin",
    "arccos",
    "arctan",
    "arcsinh",
    "arccosh",
    "arctanh",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "square",
    "sign",
    "sigmoid",
]


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_functions(name):
    rng = np.random.default_rng(1)
    z = (rng.standard_normal(2000) + 1j * rng.standard_normal(2000)).astype(np.complex64)
    z = np.concatenate([z, 10 * z[:300], z[:300] / 1000, 1 + z[:300] / 1000, np.exp(3j * z[:300].real)]).astype(
        np.complex64
    )
    function = getattr(fn, name)
    got, want = on_gpu(function, z), np.asarray(function(fn.array(z)))
    np.testing.assert_array_less(np.abs(got - want), 2e-6 * np.abs(want) + 1e-37)
    grid = np.array([0, -0.0, 1, -2, 0.5, np.inf, -np.inf, 1e30], np.float32)
    x, y = (g.ravel() for g in np.meshgrid(grid, grid))
    z = np.empty(x.size, np.complex64)
    z.real, z.imag = x, y
    got, want = on_gpu(function, z), np.asarray(function(fn.array(z)))
    finite = np.isfinite(x) & np.isfinite(y) & (np.abs(x) < 100) & (np.abs(y) < 100)
    ok = same(got.real, want.real) & same(got.imag, want.imag)
    assert ok[finite].all(), list(zip(z[finite & ~ok], got[finite & ~ok], want[finite & ~ok], strict=True))[:5]
    # Infinities agree where the CPU has one; the signs of what lies beside NaN are anyone's.
    infinite = np.isinf(want.real) | np.isinf(want.imag)
    assert (np.isinf(got.real) | np.isinf(got.imag))[infinite].all()


def complex_of_every_size(seed, together):
    """Parts of one size (`together`) or each of its own."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((20000, 2)) * 2.0 ** rng.integers(-125, 126, (20000, 1 if together else 2))
    return parts.astype(np.float32).view(np.complex64)[:, 0]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_functions_of_every_size(name, together):
    z, function = complex_of_every_size(2, together), getattr(fn, name)
    got, want = on_gpu(function, z).astype(np.complex128), np.asarray(function(fn.array(z))).astype(np.complex128)
    held = np.isfinite(want) & (np.abs(want) > 1e-37)
    np.testing.assert_array_less(np.abs(got[held] - want[held]), 2**-21 * np.abs(want[held]))


@pytest.mark.parametrize("together", [False, True])
def test_complex_quotients_of_every_size(together):
    a, b = complex_of_every_size(3, together), complex_of_every_size(4, together)
    got, want = on_gpu(fn.divide, a, b), a.astype(np.complex128) / b
    held = (np.abs(want) > 1e-37) & (np.abs(want) < 3e38)
    assert held.sum() > 10000
    np.testing.assert_array_less(np.abs(got[held] - want[held]), 2**-23 * np.abs(want[held]))
    tame = np.exp2(np.log2(np.abs(a)) % 1) * np.exp(1j * np.angle(b)) + 1e-3
    a, b = tame.astype(np.complex64), tame[::-1].astype(np.complex64)
    got, want = on_gpu(fn.divide, a, b), a.astype(np.complex128) / b
    for part in ("real", "imag"):  # also where the terms of one cancel
        near = getattr(want, part)
        np.testing.assert_array_less(np.abs(getattr(got, part) - near), 2**-23 * np.abs(near) + 1e-38)


@pytest.mark.parametrize("name", WIDTHS)
def test_numbers_of_float64_are_rounded_once(name):
    x, dtype = hard_numbers(name), getattr(fn, name)
    expected = bits(nearest(x, name))
    for way, convert in conversions(dtype).items():
        y = convert(fn.device_put(fn.array(x, dtype=fn.float64), fn.gpu)).astype(fn.float32)
        np.testing.assert_array_equal(bits(np.asarray(y)), expected, err_msg=way)
