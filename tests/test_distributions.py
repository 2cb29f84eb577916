"""exponential, gamma, beta, poisson and choice: their distributions against SciPy's, with fixed keys, and their derivatives."""

import numpy as np
import pytest
from scipy import special, stats

import funcnn as fn
from funcnn import random
from funcnn._gamma import gamma_derivative

N = 20_000
LEAST = 1e-3  # p-values; keys are fixed, so a test that passes once passes always


def fits(draws, cdf):
    assert stats.kstest(np.asarray(draws, np.float64).ravel(), cdf).pvalue > LEAST


def counted(draws, pmf, low, high):
    """Chi-square of the numbers from `low` to `high`, tails together, none expected fewer than 5 times."""
    draws = np.asarray(draws).astype(np.int64)
    numbers = np.arange(low, high + 1)
    expected = pmf(numbers) * draws.size
    numbers, expected = numbers[expected >= 5], expected[expected >= 5]
    observed = np.array([(draws == n).sum() for n in numbers])
    rest = draws.size - observed.sum(), draws.size - expected.sum()
    if rest[1] >= 5:
        observed, expected = np.append(observed, rest[0]), np.append(expected, rest[1])
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > LEAST


# ---- exponential


@pytest.mark.parametrize("dtype", [fn.float32, fn.float64])
def test_exponential(dtype):
    x = random.exponential(random.key(1), (N,), dtype)
    assert x.dtype == dtype and x.min().item() >= 0
    fits(x, "expon")


def test_exponential_shapes_and_half_precision():
    assert random.exponential(random.key(0)).shape == ()
    assert random.exponential(random.key(0), 3).shape == (3,)
    assert random.gamma(random.key(0), 1.0, np.int64(3), "float16").dtype == fn.float16
    assert random.poisson(random.key(0), 1.0, [3], np.uint8).dtype == fn.uint8
    half = random.exponential(random.key(1), (N,), fn.bfloat16)
    assert half.dtype == fn.bfloat16
    np.testing.assert_allclose(np.asarray(half).mean(), 1, atol=0.03)


# ---- gamma


@pytest.mark.parametrize("a", [0.01, 0.1, 0.5, 0.99, 1.0, 1.3, 2.0, 7.5, 30.0, 1e3, 1e6, 1e10])
@pytest.mark.parametrize("dtype", [fn.float32, fn.float64])
def test_gamma(a, dtype):
    x = np.asarray(random.gamma(random.key(2), a, (N,), dtype), np.float64)
    assert (x >= 0).all()
    if dtype == fn.float32 and a == 0.01:
        x = x[x > 1e-30]  # below, numbers underflow
        low = stats.gamma.cdf(1e-30, a)
        fits(x, lambda t: (stats.gamma.cdf(t, a) - low) / (1 - low))
    elif a > 1e9:  # what rounding leaves of it
        assert abs((x / a).mean() - 1) < 1e-6 and abs(x.std() / np.sqrt(a) - 1) < (0.03 if dtype == fn.float64 else 0.1)
    else:
        fits(x, stats.gamma(a).cdf)


def test_gamma_of_many_parameters_at_once():
    a = np.array([[0.2], [1.0], [50.0]], np.float32)
    x = random.gamma(random.key(3), a, (3, N))
    for row, p in zip(x, a[:, 0], strict=True):
        fits(row, stats.gamma(p).cdf)
    assert abs(np.corrcoef(np.asarray(x))[np.triu_indices(3, 1)]).max() < 0.03


def test_gamma_of_invalid_parameters():
    x = np.asarray(random.gamma(random.key(0), [0.0, -1.0, np.nan, np.inf, -np.inf]))
    np.testing.assert_array_equal(x, [0, np.nan, np.nan, np.inf, np.nan])
    assert random.gamma(random.key(0), 2.0, (0, 3)).shape == (0, 3)


def implicit(a, x):
    """Central difference of the quantile function, in double precision."""
    step = a * 1e-5
    if x < a:
        at = special.gammainc(a, x)
        return (special.gammaincinv(a + step, at) - special.gammaincinv(a - step, at)) / (2 * step)
    at = special.gammaincc(a, x)
    return (special.gammainccinv(a + step, at) - special.gammainccinv(a - step, at)) / (2 * step)


@pytest.mark.parametrize("a", [1.0, 1.5, 3.0, 7.9, 8.1, 20.0, 100.0, 1e4, 1e6])
def test_how_a_gamma_variate_moves(a):
    quantiles = np.array([1e-6, 1e-3, 0.1, 0.4, 0.5, 0.6, 0.9, 0.999, 1 - 1e-6])
    x = stats.gamma.ppf(quantiles, a)
    expected = [implicit(a, v) for v in x]
    for dtype, tolerance in ((fn.float64, 1e-7), (fn.float32, 1e-5)):
        got = gamma_derivative(fn.full(x.shape, a, dtype), fn.asarray(x).astype(dtype))
        np.testing.assert_allclose(got, expected, rtol=tolerance)


# From jax.lax.random_gamma_grad(a, x) in float64, jax 0.10.2.
KNOWN = [(1.0, 0.5, 0.806979116825318), (1.5, 0.2, 0.33919852941443146), (20.0, 40.0, 1.3977377310057537),
         (1e4, 9800.0, 0.9899491573748562), (5.0, 30.0, 2.216902162850281)]  # fmt: skip


def test_how_a_gamma_variate_moves_in_jax():
    a, x, expected = (fn.array(column, fn.float64) for column in zip(*KNOWN, strict=True))
    np.testing.assert_allclose(gamma_derivative(a, x), expected, rtol=1e-7)


@pytest.mark.parametrize("a", [0.3, 0.8, 1.0, 2.5, 40.0])
def test_gamma_gradient_is_that_of_the_expectation(a):
    """E[x] = a and E[log x] = digamma(a), so their slopes are 1 and trigamma(a)."""
    key = random.key(4)

    def mean(f):
        return lambda a: f(random.gamma(key, a, (N,), fn.float64)).mean()

    for run in (lambda f: f, fn.compile):
        np.testing.assert_allclose(run(fn.grad(mean(lambda x: x)))(fn.array(a, fn.float64)), 1, rtol=0.05)
    slope = fn.grad(mean(fn.log))(fn.array(a, fn.float64))
    np.testing.assert_allclose(slope, special.polygamma(1, a), rtol=0.05)
    tangent = fn.jvp(mean(fn.log), (fn.array(a, fn.float64),), (fn.array(1.0, fn.float64),))[1]
    np.testing.assert_allclose(tangent, slope, rtol=1e-9)


@pytest.mark.parametrize("a", [0.3, 2.5, 40.0])
def test_second_derivatives_of_gamma_are_those_of_the_expectation(a):
    key = random.key(4)
    for f, curvature in ((lambda x: x, 0.0), (fn.log, special.polygamma(2, a))):
        second = fn.grad(fn.grad(lambda a, f=f: f(random.gamma(key, a, (N,), fn.float64)).mean()))
        np.testing.assert_allclose(second(fn.array(a, fn.float64)), curvature, rtol=0.05, atol=0.05 / a)


# ---- beta


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1.0, 1.0), (2.0, 6.0), (0.1, 3.0), (30.0, 0.7), (500.0, 300.0)])
@pytest.mark.parametrize("dtype", [fn.float32, fn.float64])
def test_beta(a, b, dtype):
    x = np.asarray(random.beta(random.key(5), a, b, (N,), dtype), np.float64)
    assert (x >= 0).all() and (x <= 1).all()
    if dtype == fn.float32:  # numbers next to 1 have no neighbours
        x = x[x < 1 - 1e-5]
        high = stats.beta.cdf(1 - 1e-5, a, b)
        fits(x, lambda t: stats.beta.cdf(t, a, b) / high)
    else:
        fits(x, stats.beta(a, b).cdf)


def test_beta_of_tiny_and_invalid_parameters():
    """Near 0 the distribution is that of a coin."""
    x = np.asarray(random.beta(random.key(6), 1e-4, 3e-4, (N,)))
    assert np.isfinite(x).all()
    assert abs((x > 0.5).mean() - 0.25) < 0.02 and ((x < 1e-3) | (x > 0.999)).mean() > 0.99
    invalid = random.beta(random.key(0), [-1.0, np.nan, 1.0], [1.0, 1.0, -1.0])
    assert np.isnan(np.asarray(invalid)).all()


def test_beta_of_large_parameters():
    """The quantiles of a narrow normal distribution, on float32's steps of 3e-8 and 6e-8 rather than those of logarithms."""
    x = np.asarray(random.beta(random.key(6), 1e8, 1e8, (N,)), np.float64)
    fits((x - 0.5) * 2 * np.sqrt(2e8 + 1), "norm")
    assert np.unique(x).size > 2000


def test_beta_gradient_is_that_of_the_expectation():
    a, b = fn.array(0.6, fn.float64), fn.array(2.0, fn.float64)
    slopes = fn.grad(lambda a, b: random.beta(random.key(7), a, b, (N,), fn.float64).mean(), argnums=(0, 1))(a, b)
    np.testing.assert_allclose(slopes, [2.0 / 2.6**2, -0.6 / 2.6**2], rtol=0.05)


# ---- poisson


@pytest.mark.parametrize("rate", [0.01, 0.7, 3.0, 9.99, 10.0, 10.01, 25.0, 140.0, 1234.5])
def test_poisson(rate):
    x = random.poisson(random.key(8), rate, (N,))
    spread = 6 * np.sqrt(rate) + 5
    counted(x, stats.poisson(rate).pmf, max(int(rate - spread), 0), int(rate + spread))


@pytest.mark.parametrize("rate", [1e5, 16_777_217.0, 3e8, 1e12])
@pytest.mark.parametrize("dtype", [fn.float32, fn.float64])
def test_poisson_of_large_rates(rate, dtype):
    """Where rounding of the logarithms, or of the counts, would show: they spread rightly and every last digit appears."""
    lam = fn.array(rate, dtype)
    rate = lam.item()
    x = np.asarray(random.poisson(random.key(9), lam, (N,), fn.int64))
    if rate < 1e10 or dtype == fn.float64:
        fits((x - rate + np.random.default_rng(0).uniform(-0.5, 0.5, N)) / np.sqrt(rate), "norm")
    counted(x % 8, lambda k: np.full(k.shape, 1 / 8), 0, 7)


def test_poisson_of_many_rates_at_once():
    rates = np.array([[0.5], [8.0], [300.0], [0.0]], np.float32)
    x = random.poisson(random.key(10), rates, (4, N))
    for row, rate in zip(x, rates[:3, 0], strict=False):
        counted(row, stats.poisson(rate).pmf, 0, 500)
    assert (np.asarray(x[3]) == 0).all()


def test_poisson_of_invalid_rates_and_dtypes():
    x = random.poisson(random.key(0), [-1.0, np.nan, 0.0, np.inf, 1e12])
    assert x.dtype == fn.int32 and x.tolist() == [-1, -1, 0, 2**31 - 1, 2**31 - 1]
    assert random.poisson(random.key(0), 200.0, (50,), fn.int8).max().item() == 127
    for dtype in (fn.int64, fn.uint64):
        assert random.poisson(random.key(0), [np.inf, 1e20], dtype=dtype).tolist() == [fn.iinfo(dtype).max] * 2
    assert random.poisson(random.key(0), 3, dtype=fn.uint8).dtype == fn.uint8
    assert random.poisson(random.key(0), fn.array(3.0, fn.float16)).shape == ()
    assert random.poisson(random.key(0), 3.0, (0,)).shape == (0,)


# ---- choice


def test_choice_with_replacement():
    x = random.choice(random.key(11), 5, (N,))
    assert x.dtype == fn.int32
    counted(x, lambda k: np.full(k.shape, 0.2), 0, 4)
    p = np.array([0.0, 0.1, 0.0, 0.4, 0.5, 0.0])
    for scale in (1.0, 7.0):
        x = np.asarray(random.choice(random.key(12), 6, (N,), p=fn.array(scale * p)))
        assert set(x) <= {1, 3, 4}
        observed = np.bincount(x, minlength=6)[[1, 3, 4]]
        assert stats.chisquare(observed, N * p[[1, 3, 4]]).pvalue > LEAST


def test_choice_of_what_is_rare_beside_the_rest():
    """A thousandth of the draws goes to numbers that are nothing beside the first in float32."""
    p = fn.concatenate([fn.ones(1), fn.full(100_000, 1e-8)])
    x = np.asarray(random.choice(random.key(12), p.size, (400_000,), p=p))
    rare = x[x > 0]
    assert stats.binomtest(rare.size, x.size, 1e-3 / 1.001).pvalue > LEAST
    fits(rare / 100_000, "uniform")


def test_choice_without_replacement():
    keys = random.split(random.key(13), N)
    pairs = np.asarray(fn.vmap(lambda k: random.choice(k, 4, (2,), replace=False))(keys))
    counted(4 * pairs[:, 0] + pairs[:, 1], lambda k: np.where(k // 4 == k % 4, 0, 1 / 12), 0, 15)
    p = np.array([0.1, 0.2, 0.3, 0.4])
    pairs = np.asarray(fn.vmap(lambda k: random.choice(k, 4, (2,), replace=False, p=fn.array(p)))(keys))
    probability = p[:, None] * p / (1 - p[:, None]) * (1 - np.eye(4))  # one after another, the first taken away
    counted(4 * pairs[:, 0] + pairs[:, 1], lambda k: probability.ravel()[k], 0, 15)
    everything = random.choice(random.key(14), 100, (10, 10), replace=False)
    assert sorted(everything.flatten().tolist()) == list(range(100))
    rare = random.choice(random.key(14), 4, (3,), replace=False, p=[0.5, 0.0, 0.2, 0.3])
    assert sorted(rare.tolist()) == [0, 2, 3]


def test_choice_of_slices():
    x = fn.arange(12).reshape(3, 4)
    rows = random.choice(random.key(15), x, (2, 5))
    assert rows.shape == (2, 5, 4) and {tuple(r) for r in rows.reshape(-1, 4).tolist()} <= {
        tuple(r) for r in x.tolist()
    }
    columns = random.choice(random.key(15), x, (6,), axis=1)
    picked = random.choice(random.key(15), 4, (6,))
    np.testing.assert_array_equal(columns, x[:, picked])
    np.testing.assert_array_equal(random.choice(random.key(15), x, (6,), axis=-1), columns)
    assert random.choice(random.key(0), [1.5, 2.5]).shape == ()
    assert random.choice(random.key(0), x, (0,)).shape == (0, 4)
    assert random.choice(random.key(0), np.int64(3)).shape == ()


# ---- all of them

DRAWS = [
    lambda k: random.exponential(k, (3,)),
    lambda k: random.gamma(k, fn.array([0.3, 2.0, 90.0])),
    lambda k: random.beta(k, fn.array([0.3, 2.0, 90.0]), 2.0),
    lambda k: random.poisson(k, fn.array([0.3, 8.0, 90.0])),
    lambda k: random.choice(k, 9, (4,)),
    lambda k: random.choice(k, 9, (4,), replace=False),
    lambda k: random.choice(k, 5, (4,), p=fn.array([0.1, 0.2, 0.3, 0.3, 0.1])),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_draw_is_a_function_of_its_key(draw):
    """The same alone, mapped, compiled and in a loop, however often the others are rejected."""
    keys = random.split(random.key(16), 20)
    rows = np.stack([draw(k) for k in keys])
    np.testing.assert_allclose(fn.vmap(draw)(keys), rows, rtol=1e-6)
    np.testing.assert_allclose(fn.compile(fn.vmap(draw))(keys), rows, rtol=1e-6)
    np.testing.assert_allclose(fn.scan(lambda c, k: (c, draw(k)), 0, keys)[1], rows, rtol=1e-6)
    assert len({tuple(r) for r in rows.tolist()}) > 15


def test_mapping_over_parameters():
    key, a = random.key(17), fn.array([0.2, 1.0, 30.0])
    for draw in (random.gamma, lambda k, a, s: random.beta(k, a, 2.0, s), random.poisson):
        mapped = fn.vmap(lambda a: draw(key, a, (4,)))(a)  # noqa: B023
        np.testing.assert_allclose(mapped, np.stack([draw(key, x, (4,)) for x in a]), rtol=1e-6)
    slopes = fn.vmap(fn.grad(lambda a: random.gamma(key, a, (4,)).sum()))(a)
    each = [fn.grad(lambda a: random.gamma(key, a, (4,)).sum())(x) for x in a]
    np.testing.assert_allclose(slopes, each, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda k: random.exponential(k, (2,), fn.int32), ValueError, "exponential: dtype must be a real floating"),
        (lambda k: random.gamma(k, 1.0, (2,), fn.complex64), ValueError, "gamma: dtype"),
        (lambda k: random.gamma(k, fn.ones(3), (2,)), ValueError, r"gamma: parameters of common shape \(3,\).*\(2,\)"),
        (lambda k: random.beta(k, fn.ones(3), fn.ones(2)), ValueError, "broadcast"),
        (lambda k: random.poisson(k, 1.0, (2,), fn.float32), ValueError, "poisson: dtype must be an integer type"),
        (lambda k: random.exponential(k, (-1,)), ValueError, "negative"),
        (lambda k: random.gamma(k, 1.0, (2, -1)), ValueError, "negative"),
        (lambda k: random.choice(k, 3, 1.5), TypeError, "choice: shape must be an integer"),
        (lambda k: random.choice(k, 3, (4,), replace=False), ValueError, "cannot choose 4 of 3 without replacement"),
        (lambda k: random.choice(k, 0, (1,)), ValueError, "cannot choose 1 of 0"),
        (lambda k: random.choice(k, 3, (4,), p=fn.ones(2)), ValueError, r"p must have shape \(3,\), got \(2,\)"),
        (lambda k: random.choice(k, fn.zeros(3), axis=1), fn.AxisError, "no axis 1"),
        (lambda k: random.gamma(random.split(k), 1.0), ValueError, "key"),
        (lambda k: random.poisson(fn.zeros(2), 1.0), ValueError, "key"),
        (lambda k: random.exponential(fn.zeros(2)), ValueError, "key"),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call(random.key(0))


def test_what_is_no_probability():
    key = random.key(0)
    for p, message in (
        ([-0.5, 0.5, 1.0], "finite numbers that are not negative, got -0.5"),
        ([float("nan"), 0.5, 1.0], "finite numbers that are not negative, got nan"),
        ([0.0, 0.0, 0.0], "p is above 0 for 0, fewer than the 1"),
    ):
        for replace in (True, False):
            with pytest.raises(ValueError, match=f"random.choice: .*{message}"):
                random.choice(key, 3, (1,), replace, p)
    with pytest.raises(ValueError, match="p is above 0 for 1, fewer than the 2 to choose from"):
        random.choice(key, 3, (2,), False, [0, 0, 1])
    assert random.choice(key, 3, (2,), True, [0, 0, 1]).tolist() == [2, 2]
    with pytest.raises(TypeError, match="a must be an integer or an array with axes, got 2.5"):
        random.choice(key, 2.5)
