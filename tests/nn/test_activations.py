"""Activation functions: kinks, limits, tails, and derivatives up to the second, against formulas in float64."""

import math

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn
from widest import float64_of

special = pytest.importorskip("scipy.special")

ROOT_8_OVER_PI = math.sqrt(8 / math.pi)


def of(x):
    return fn.array(x, getattr(fn, x.dtype.name))


def derivative(f, x, order=1):
    for _ in range(order):
        f = fn.grad(lambda v, g=f: g(v).sum())
    return np.asarray(f(of(x)))


def ulps(got, want):
    got = np.asarray(got)
    unit = np.spacing(np.abs(want.astype(got.dtype))).astype(np.float64)
    return (np.abs(got.astype(np.float64) - want) / unit).max()


def density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def tail(a):
    """The tail of the normal distribution over its density."""
    return math.sqrt(math.pi / 2) * special.erfcx(a * math.sqrt(0.5))


def gelu(x):
    a = np.abs(x)
    return np.where(x < 0, -a * density(x) * tail(a), x - a * density(x) * tail(a))


def gelu_derivative(x):
    a = np.abs(x)
    return np.where(x < 0, density(x) * (tail(a) - a), 1 - density(x) * (tail(a) - a))


def gelu_second(x):
    # The float64 nearest to the square root of two is 1e-16 off, which counts beside it.
    root, rest = math.sqrt(2), -9.66729331345291345e-17
    return density(x) * ((root - x) + rest) * ((root + x) + rest)


EVERYWHERE = np.concatenate(
    [
        np.linspace(-14.5, 14.5, 40_001),
        np.linspace(-0.76, -0.74, 10_001),
        np.linspace(1.41, 1.42, 10_001),
        -np.geomspace(1e-30, 1, 1001),
        np.geomspace(1e-30, 1, 1001),
        [0.0, math.sqrt(2), -math.sqrt(2), -0.7517915246935645],
    ]
).astype(np.float32)


def test_gelu_and_its_derivatives_are_within_4_ulp_everywhere():
    x64 = EVERYWHERE.astype(np.float64)
    assert ulps(nn.gelu(fn.array(EVERYWHERE)), gelu(x64)) <= 4
    assert ulps(derivative(nn.gelu, EVERYWHERE), gelu_derivative(x64)) <= 4
    assert ulps(derivative(nn.gelu, EVERYWHERE, 2), gelu_second(x64)) <= 4


def test_gelu_in_float64():
    x = np.linspace(-37, 37, 5001)
    np.testing.assert_allclose(np.asarray(nn.gelu(of(x))), gelu(x), rtol=2e-13)
    np.testing.assert_allclose(derivative(nn.gelu, x), gelu_derivative(x), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(derivative(nn.gelu, x, 2), gelu_second(x), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gelu_in_half_precision(dtype):
    dtype = getattr(fn, dtype)
    x = fn.array(np.linspace(-9, 9, 1001), dtype)
    fn.eval(x)
    x64 = np.asarray(x.astype(fn.float32)).astype(np.float64)
    for got, want in [(nn.gelu(x), gelu(x64)), (fn.grad(lambda v: nn.gelu(v).sum())(x), gelu_derivative(x64))]:
        assert got.dtype == dtype
        digits, least = (11, -14) if dtype == fn.float16 else (8, -126)
        unit = 2.0 ** (np.maximum(np.floor(np.log2(np.maximum(np.abs(want), 1e-300))), least) - (digits - 1))
        assert (np.abs(np.asarray(got.astype(fn.float32)) - want) <= 0.63 * unit).all()


def test_gelu_refuses_complex_and_takes_integers():
    with pytest.raises(ValueError, match="gelu: is not defined for complex64"):
        nn.gelu(fn.array([1j]))
    assert nn.gelu(fn.array([3])).dtype == fn.float32


# name: (the function, its limits at minus and plus infinity, the limits of its derivative)
LIMITS = {
    "gelu": (nn.gelu, 0.0, math.inf, 0.0, 1.0),
    "gelu_approx": (nn.gelu_approx, 0.0, math.inf, 0.0, 1.0),
    "gelu_fast_approx": (nn.gelu_fast_approx, 0.0, math.inf, 0.0, 1.0),
    "silu": (nn.silu, 0.0, math.inf, 0.0, 1.0),
    "mish": (nn.mish, 0.0, math.inf, 0.0, 1.0),
    "hardswish": (nn.hardswish, 0.0, math.inf, 0.0, 1.0),
    "relu": (nn.relu, 0.0, math.inf, 0.0, 1.0),
    "relu6": (nn.relu6, 0.0, 6.0, 0.0, 0.0),
    "leaky_relu": (nn.leaky_relu, -math.inf, math.inf, 0.01, 1.0),
    "elu": (nn.elu, -1.0, math.inf, 0.0, 1.0),
    "celu": (nn.celu, -1.0, math.inf, 0.0, 1.0),
    "selu": (nn.selu, -1.7580993, math.inf, 0.0, 1.0507010),
    "softplus": (nn.softplus, 0.0, math.inf, 0.0, 1.0),
    "softsign": (nn.softsign, -1.0, 1.0, 0.0, 0.0),
    "log_sigmoid": (nn.log_sigmoid, -math.inf, 0.0, 1.0, 0.0),
    "sigmoid": (nn.sigmoid, 0.0, 1.0, 0.0, 0.0),
    "tanh": (nn.tanh, -1.0, 1.0, 0.0, 0.0),
    "hard_tanh": (nn.hard_tanh, -1.0, 1.0, 0.0, 0.0),
    "prelu": (lambda x: nn.prelu(x, fn.array(0.25, x.dtype)), -math.inf, math.inf, 0.25, 1.0),
    "softshrink": (nn.softshrink, -math.inf, math.inf, 1.0, 1.0),
    "hard_shrink": (nn.hard_shrink, -math.inf, math.inf, 1.0, 1.0),
}
HALVES = ("float16", "bfloat16")


@pytest.mark.parametrize("dtype", ["float32", "float64", *HALVES])
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, dtype):
    f, low, high, slope_low, slope_high = LIMITS[name]
    dtype = getattr(fn, dtype)
    x = fn.array([-math.inf, -1e30, -1e4, 1e4, 1e30, math.inf], dtype)
    y = np.asarray(f(x).astype(fn.float32))
    g = np.asarray(fn.grad(lambda v: f(v).astype(fn.float32).sum())(x).astype(fn.float32))
    rtol = 1e-2 if str(dtype) in HALVES else 1e-6
    np.testing.assert_allclose(y[[0, -1]], [low, high], rtol=rtol)
    np.testing.assert_allclose(g, [slope_low] * 3 + [slope_high] * 3, rtol=rtol, atol=1e-7)
    if name in ("gelu", "gelu_approx", "gelu_fast_approx", "silu", "mish"):
        assert y[[0, -1]].tolist() == [0, math.inf]
        assert g.tolist() == [0, 0, 0, 1, 1, 1]
    tangents = fn.jvp(f, (x,), (fn.ones_like(x),))[1]
    np.testing.assert_array_equal(np.asarray(tangents.astype(fn.float32)), g)
    at_nan = np.asarray(f(fn.array([math.nan]).astype(dtype)).astype(fn.float32))
    assert np.isnan(at_nan).all()


@pytest.mark.parametrize("name", LIMITS)
def test_slopes_are_flat_at_infinity(name):
    x = np.array([-math.inf, math.inf])
    for order in (2, 3):
        assert derivative(LIMITS[name][0], x, order).tolist() == [0, 0]


@pytest.mark.parametrize("name", ["silu", "mish", "gelu_approx", "gelu_fast_approx"])
def test_nan_has_no_derivatives_of_any_order(name):
    for order in (1, 2, 3):
        assert np.isnan(derivative(LIMITS[name][0], np.array([math.nan]), order)).all()


def test_the_slope_of_softsign_does_not_cancel():
    x = np.array([1e16, -1e16, 3e7, -0.5, 0])
    np.testing.assert_allclose(derivative(nn.softsign, x), (1 + np.abs(x)) ** -2.0, rtol=3e-7)
    tangents = fn.jvp(nn.softsign, (of(x),), (of(np.ones(5)),))[1]
    np.testing.assert_allclose(np.asarray(tangents), (1 + np.abs(x)) ** -2.0, rtol=3e-7)
    np.testing.assert_allclose(derivative(nn.softsign, x, 2), -2 * np.sign(x) * (1 + np.abs(x)) ** -3.0, rtol=5e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64", *HALVES])
@pytest.mark.parametrize(
    ("name", "value", "slope"),
    [
        ("silu", lambda x: x * special.expit(x), lambda x: special.expit(x) * (1 + x * special.expit(-x))),
        (
            "gelu_fast_approx",
            lambda x: x * special.expit(1.702 * x),
            lambda x: special.expit(1.702 * x) * (1 + 1.702 * x * special.expit(-1.702 * x)),
        ),
        (
            "mish",
            lambda x: x * np.tanh(np.logaddexp(x, 0)),
            lambda x: np.tanh(np.logaddexp(x, 0)) + x * special.expit(x) / np.cosh(np.logaddexp(x, 0)) ** 2,
        ),
    ],
)
def test_gated_activations(name, value, slope, dtype):
    dtype = getattr(fn, dtype)
    f = getattr(nn, name)
    x = fn.array(np.linspace(-20, 20, 401), dtype)
    x64 = float64_of(x)
    tolerance = (
        3e-6 if dtype == fn.float32 else 1e-13 if dtype == fn.float64 else 1e-2 if dtype == fn.bfloat16 else 1e-3
    )
    got = float64_of(f(x)), float64_of(fn.grad(lambda v: f(v).sum())(x))
    np.testing.assert_allclose(got[0], value(x64), rtol=tolerance, atol=1e-7)
    np.testing.assert_allclose(got[1], slope(x64), rtol=tolerance, atol=max(tolerance / 10, 1e-15))


def test_relu2_grows_without_bound():
    x = np.array([-math.inf, -1e4, 1e4, math.inf])
    assert np.asarray(nn.relu2(of(x))).tolist() == [0, 0, 1e8, math.inf]
    assert derivative(nn.relu2, x).tolist() == [0, 0, 2e4, math.inf]


def test_gelu_approx_keeps_its_digits_in_the_tail():
    x = np.linspace(-6, 6, 2001).astype(np.float32)
    x64 = x.astype(np.float64)
    want = x64 * special.expit(ROOT_8_OVER_PI * (x64 + 0.044715 * x64**3))
    np.testing.assert_allclose(np.asarray(nn.gelu_approx(fn.array(x))), want, rtol=5e-6)


# name: (the function, its derivatives at 0 and -0)
KINKS = {
    "elu": (nn.elu, 1.0),
    "elu[2]": (lambda x: nn.elu(x, 2.0), 2.0),
    "celu": (nn.celu, 1.0),
    "celu[2]": (lambda x: nn.celu(x, 2.0), 1.0),
    "selu": (nn.selu, 1.7580993),
    "leaky_relu": (nn.leaky_relu, 1.0),
    "leaky_relu[1.5]": (lambda x: nn.leaky_relu(x, 1.5), 1.0),
    "prelu": (lambda x: nn.prelu(x, fn.array(0.25)), 1.0),
    "relu": (nn.relu, 0.0),
    "relu6": (nn.relu6, 0.0),
    "gelu": (nn.gelu, 0.5),
    "gelu_approx": (nn.gelu_approx, 0.5),
    "silu": (nn.silu, 0.5),
    "mish": (nn.mish, 0.6),
    "softsign": (nn.softsign, 1.0),
    "softplus": (nn.softplus, 0.5),
    "log_sigmoid": (nn.log_sigmoid, 0.5),
    "hardswish": (nn.hardswish, 0.5),
    "tanh": (nn.tanh, 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_derivatives_at_zero(name):
    f, slope = KINKS[name]
    x = np.array([0.0, -0.0], np.float32)
    np.testing.assert_allclose(derivative(f, x), [slope] * 2, rtol=1e-6)
    tangent = np.asarray(fn.jvp(f, (fn.array(x),), (fn.ones(2),))[1])
    np.testing.assert_allclose(tangent, [slope] * 2, rtol=1e-6)
    assert np.abs(np.asarray(f(fn.array(x)))).max() <= (0.7 if name in ("softplus", "log_sigmoid") else 0)


@pytest.mark.parametrize("name", ["elu", "celu", "gelu", "silu", "tanh", "softplus"])
def test_smooth_functions_have_continuous_derivatives(name):
    f = getattr(nn, name)
    below, at, above = derivative(f, np.array([-1e-4, 0, 1e-4], np.float32))
    assert abs(at - below) < 2e-4 and abs(at - above) < 2e-4


ELEMENTWISE = [
    *(
        "sigmoid",
        "tanh",
        "relu",
        "relu2",
        "relu6",
        "leaky_relu",
        "elu",
        "celu",
        "selu",
        "silu",
        "mish",
        "gelu",
        "gelu_approx",
    ),
    *("gelu_fast_approx", "softplus", "softsign", "softshrink", "hard_shrink", "hard_tanh", "hardswish", "log_sigmoid"),
]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_is_never_lost(name):
    f = getattr(nn, name)
    assert np.isnan(np.asarray(f(fn.array([math.nan, 0.0])))).tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["bool_", "int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("name", [*ELEMENTWISE, "step", "softmin", "softmax", "log_softmax", "glu"])
def test_integers_do_not_wrap_around(name, dtype):
    f, dtype = getattr(nn, name), getattr(fn, dtype)
    ends = (0, 1) if dtype == fn.bool_ else (fn.iinfo(dtype).min, fn.iinfo(dtype).max)
    x = fn.array([ends[0], ends[1], 1, 0], dtype)
    if name == "relu2":  # which stays within the dtype
        x = fn.array([0, 1, 1, 0], dtype)
    got, wanted = f(x).astype(fn.float32), f(x.astype(fn.float32)).astype(fn.float32)
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nn.celu(x, 0.0), ValueError, "celu: alpha must not be 0"),
        (lambda x: nn.CELU(0.0)({}, x), ValueError, "in CELU: celu: alpha must not be 0"),
        (lambda x: nn.hard_tanh(x, 1.0, -1.0), ValueError, "hard_tanh: min_val must be at most max_val"),
        (lambda x: nn.softshrink(x, -1.0), ValueError, "softshrink: lambd must be a number of at least 0"),
        (lambda x: nn.leaky_relu(x, "a"), TypeError, r"leaky_relu: negative_slope must be a number, got 'a' \(str\)"),
        (lambda x: nn.prelu(x, "a"), TypeError, "prelu: alpha must be an array"),
        (lambda x: nn.elu("a"), TypeError, "elu: x must be an array, a number or nested lists of numbers, got a str"),
        (lambda x: nn.relu(fn.array([1j])), ValueError, "relu: is not defined for complex64"),
        (lambda x: nn.glu(fn.ones(3)), ValueError, "glu: the length of axis -1 of shape .3,. is odd"),
        (lambda x: nn.glu(x, 5), fn.AxisError, r"glu: an array of shape \(2,\) has no axis 5"),
        (lambda x: nn.log_softmax(x, 1), fn.AxisError, r"log_softmax: an array of shape \(2,\) has no axis 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(fn.ones(2))


def test_what_stands_for_arrays():
    for name in ELEMENTWISE:
        f = getattr(nn, name)
        wanted = f(fn.array([1.5, -2.0])).tolist()
        assert f([1.5, -2.0]).tolist() == f(np.array([1.5, -2.0], np.float32)).tolist() == wanted
        assert f(1.5).item() == wanted[0]
    assert nn.leaky_relu([-1.0], np.float64(0.5)).dtype == fn.float32
    assert nn.leaky_relu(fn.array([-1.0]), fn.array(0.5)).tolist() == [-0.5]
    assert nn.relu([1, -1]).dtype == fn.int32


def test_log_softmax_of_several_axes_and_of_nothing():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    for axis in (0, -1, (0, 2), (0, 1, 2)):
        np.testing.assert_allclose(nn.log_softmax(of(x), axis), special.log_softmax(x, axis), rtol=1e-12)
    assert nn.log_softmax(fn.zeros((2, 0))).shape == (2, 0)
    assert nn.log_softmax(fn.zeros((0, 2))).shape == (0, 2)


def test_leaky_slopes_above_one():
    x = fn.array([-2.0, 3.0])
    assert nn.leaky_relu(x, 1.5).tolist() == [-3.0, 3.0]
    assert nn.prelu(x, fn.array(1.5)).tolist() == [-3.0, 3.0]


def test_infinite_inputs_leave_the_gradient_of_prelu_alone():
    g = fn.grad(lambda a: nn.prelu(fn.array([math.inf, -2.0]), a)[1])(fn.array(0.5))
    assert g.item() == -2.0


@pytest.mark.parametrize("name", ["relu6", "hard_tanh", "hardswish", "softshrink", "hard_shrink"])
def test_hard_functions_at_their_corners(name):
    values = {
        "relu6": (nn.relu6, [0, 6], [0, 6], [0, 0]),
        "hard_tanh": (nn.hard_tanh, [-1, 1], [-1, 1], [0, 0]),
        "hardswish": (nn.hardswish, [-3, 3], [0, 3], [0, 1]),
        "softshrink": (nn.softshrink, [-0.5, 0.5], [0, 0], [0, 0]),
        "hard_shrink": (nn.hard_shrink, [-0.5, 0.5], [0, 0], [0, 0]),
    }
    f, x, y, slopes = values[name]
    x = np.array(x, np.float32)
    assert np.asarray(f(fn.array(x))).tolist() == y
    assert derivative(f, x).tolist() == slopes


def test_erf_and_erfc_have_exact_derivatives_in_the_tails():
    x = np.linspace(-9, 9, 4001).astype(np.float32)
    want = 2 / math.sqrt(math.pi) * np.exp(-(x.astype(np.float64) ** 2))
    assert ulps(derivative(fn.erf, x), want) <= 3
    assert ulps(derivative(fn.erfc, x), -want) <= 3


@pytest.mark.parametrize(
    "f, scale", [(fn.expm1, 1.0), (nn.elu, 1.0), (nn.celu, 1.0), (nn.selu, 1.0507009873554805 * 1.6732632423543772)]
)
def test_derivatives_keep_their_digits_where_the_exponential_is_small(f, scale):
    x = np.array([-0.5, -9, -15, -17, -40, -80], np.float32)
    expected = scale * np.exp(x.astype(np.float64))
    derivative = fn.grad(lambda x: f(x).sum())
    second = fn.grad(lambda x: derivative(x).sum())
    for run in (derivative, fn.compile(derivative), fn.vmap(fn.grad(f)), second):
        np.testing.assert_allclose(run(fn.array(x)), expected, rtol=2e-6)
