"""Random draws: known bits, MLX as an oracle where it is installed, mapping over keys, distributions, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
from funcnn import random
from widest import float64_of, held

try:
    import mlx.core as mx
except ImportError:
    mx = None

needs_mlx = pytest.mark.skipif(mx is None, reason="MLX is not installed")

SHAPES = [(), (1,), (2,), (3,), (7, 5), (3, 0, 2), (513, 3), (20001,)]
SEEDS = [0, 42, 2**40 + 7, 2**64 - 1]


def same(ours, theirs):
    """Equal bits, shapes and dtypes."""
    if ours.dtype == fn.bfloat16:
        ours, theirs = ours.astype(fn.float32), theirs.astype(mx.float32)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


# ---- bits that must never change


def test_key_is_the_seed_in_two_words():
    assert random.key(2**40 + 5).tolist() == [256, 5]


def test_known_bits():
    k = random.key(42)
    assert random.split(k, 3).tolist() == [
        [3134548294, 3733159049],
        [3746501087, 894150801],
        [801545058, 2363201431],
    ]
    five = np.asarray(random.uniform(k, (5,))).view(np.uint32)
    assert five.tolist() == [1060820329, 1063158653, 1044981518, 1045769890, 1044322926]
    four = np.asarray(random.uniform(k, (4,))).view(np.uint32)
    assert four.tolist() == [1058208545, 1062947993, 1030983057, 1031760022]
    half = np.asarray(random.uniform(k, (3,), fn.float16, low=-0.37, high=2.9)).view(np.uint16)
    assert half.tolist() == [15879, 43384, 45472]
    assert random.randint(k, -5, 7, (8,)).tolist() == [3, 2, -2, -3, 4, -2, -5, -5]
    assert random.permutation(k, 7).tolist() == [6, 2, 5, 3, 1, 0, 4]
    assert np.flatnonzero(random.bernoulli(k, 0.3, (9,))).tolist() == [2, 5, 7]


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (random.normal, [0.1869356483221054, -1.28065025806427, -1.5593127012252808]),
        (random.gumbel, [0.5890136957168579, -0.8333455324172974, -1.037598729133606]),
        (random.laplace, [-0.1605079025030136, 1.6078563928604126, 2.129283905029297]),
        (
            lambda k, s: random.truncated_normal(k, -1, 2, s),
            [0.3282715678215027, -0.7042316198348999, -0.8157208561897278],
        ),
    ],
)
def test_known_values(draw, expected):
    np.testing.assert_allclose(draw(random.key(42), (3,)), expected, rtol=1e-5)


def threefry(key, counter):
    """The hash itself, in Python's own integers."""
    mask = 2**32 - 1
    k = [int(key[0]), int(key[1])]
    k.append(k[0] ^ k[1] ^ 0x1BD11BDA)
    x, y = (counter[0] + k[0]) & mask, (counter[1] + k[1]) & mask
    for i in range(5):
        for r in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
            x = (x + y) & mask
            y = ((y << r | y >> (32 - r)) & mask) ^ x
        x, y = (x + k[(i + 1) % 3]) & mask, (y + k[(i + 2) % 3] + i + 1) & mask
    return x, y


@given(st.integers(0, 2**64 - 1), st.integers(0, 70), st.sampled_from([1, 2, 4]))
def test_bits_are_threefry_of_counters(seed, count, width):
    k = random.key(seed)
    words = (count * width + 3) // 4
    half, odd = words // 2, words % 2
    first, second = [0] * (half + odd), [0] * half
    for i in range(half):
        first[i], second[i] = threefry(k.tolist(), (i, i + half + odd))
    if odd:
        first[half] = threefry(k.tolist(), (half, 0))[0]
    expected = np.array(first + second, dtype="<u4").view(f"<u{width}")[:count]
    got = random.bits(k, (count,), width)
    assert got.dtype == {1: fn.uint8, 2: fn.uint16, 4: fn.uint32}[width]
    np.testing.assert_array_equal(got, expected)


# ---- MLX


@needs_mlx
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_streams_equal_those_of_mlx(seed, shape):
    k, m = random.key(seed), mx.random.key(seed)
    same(k, m)
    same(random.uniform(k, shape), mx.random.uniform(shape=shape, key=m))
    for low, high in [(-1, 1), (0.3, 0.7), (-3.3, 1e9)]:
        same(random.uniform(k, shape, low=low, high=high), mx.random.uniform(low, high, shape=shape, key=m))
    for name in ("float16", "bfloat16"):
        ours, theirs = getattr(fn, name), getattr(mx, name)
        same(random.uniform(k, shape, ours), mx.random.uniform(shape=shape, dtype=theirs, key=m))
        same(random.uniform(k, shape, ours, -0.37, 2.9), mx.random.uniform(-0.37, 2.9, shape, theirs, key=m))
    for low, high in [(0, 10), (-5, 7), (3, 1 << 30)]:
        same(random.randint(k, low, high, shape), mx.random.randint(low, high, shape, key=m))
        same(random.randint(k, low, high, shape, fn.int64), mx.random.randint(low, high, shape, dtype=mx.int64, key=m))
    same(random.randint(k, 0, 200, shape, fn.uint8), mx.random.randint(0, 200, shape, dtype=mx.uint8, key=m))
    same(random.bernoulli(k, 0.3, shape), mx.random.bernoulli(0.3, shape, key=m))


@needs_mlx
@pytest.mark.parametrize("seed", SEEDS)
def test_split_and_permutation_equal_those_of_mlx(seed):
    k, m = random.key(seed), mx.random.key(seed)
    for n in (0, 1, 2, 3, 8, 33):
        same(random.split(k, n), mx.random.split(m, n))
        same(random.permutation(k, n), mx.random.permutation(n, key=m))
    x = np.arange(60).reshape(3, 4, 5)
    for axis in (0, 1, -1):
        same(random.permutation(k, fn.array(x), axis), mx.random.permutation(mx.array(x), axis=axis, key=m))


@needs_mlx
@pytest.mark.parametrize("shape", SHAPES)
def test_real_distributions_follow_mlx(shape):
    k, m = random.key(42), mx.random.key(42)

    def close(ours, theirs):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)

    close(random.normal(k, shape), mx.random.normal(shape, key=m))
    close(random.normal(k, shape, loc=1, scale=2), mx.random.normal(shape, loc=1, scale=2, key=m))
    close(random.truncated_normal(k, -1, 2, shape), mx.random.truncated_normal(-1, 2, shape, key=m))
    close(random.gumbel(k, shape), mx.random.gumbel(shape, key=m))
    close(random.laplace(k, shape), mx.random.laplace(shape, key=m))


@needs_mlx
def test_categorical_equals_that_of_mlx():
    values = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    k, m, ours, theirs = random.key(3), mx.random.key(3), fn.array(values), mx.array(values)
    for options in ({}, {"axis": 0}, {"num_samples": 3}, {"shape": (3, 2)}, {"axis": 0, "shape": (3, 5)}):
        same(random.categorical(k, ours, **options), mx.random.categorical(theirs, key=m, **options))


# ---- keys


def test_mapping_over_keys_equals_a_loop():
    keys = random.split(random.key(3), 4)
    draws = [
        lambda k: random.uniform(k, (3,)),
        lambda k: random.uniform(k, (5,), fn.float16, -0.3, 2),
        lambda k: random.uniform(k, (2,), fn.float64),
        lambda k: random.bits(k, (3,), 1),
        lambda k: random.split(k, 3),
        lambda k: random.randint(k, 0, 9, (2, 2)),
        lambda k: random.permutation(k, 5),
        lambda k: random.fold_in(k, 9),
    ]
    for draw in draws:
        np.testing.assert_array_equal(fn.vmap(draw)(keys), np.stack([draw(k) for k in keys]))
    grid = fn.vmap(fn.vmap(lambda k: random.uniform(k, (3,))))(keys.reshape(2, 2, 2))
    np.testing.assert_array_equal(grid.reshape(4, 3), fn.vmap(draws[0])(keys))


def test_mapping_over_parameters():
    k, lows = random.key(1), fn.array([0.0, 1.0, 2.0], dtype=fn.float16)
    mapped = fn.vmap(lambda low: random.uniform(k, (4,), fn.float16, low, 3))(lows)
    loop = np.stack([random.uniform(k, (4,), fn.float16, low, 3) for low in lows])
    np.testing.assert_allclose(mapped, loop, rtol=1e-3)


def test_fold_in_gives_keys_apart():
    k = random.key(0)
    steps = fn.vmap(lambda i: random.fold_in(k, i))(fn.arange(1000))
    every = np.concatenate([steps, *(random.split(k, n) for n in range(1, 20)), np.asarray(k)[None]])
    seen = {tuple(row) for row in every.tolist()}
    # split(k, n) and split(k, m) may share keys with each other, but not with fold_in.
    assert len({tuple(row) for row in steps.tolist()}) == 1000
    assert not {tuple(row) for row in steps.tolist()} & {tuple(row) for row in every[1000:].tolist()}
    assert len(seen) > 1000


def test_results_do_not_depend_on_threads():
    before = fn.get_num_threads()
    try:
        fn.set_num_threads(1)
        alone = np.asarray(random.uniform(random.key(5), (300_001,)))
        fn.set_num_threads(3)
        together = np.asarray(random.uniform(random.key(5), (300_001,)))
    finally:
        fn.set_num_threads(before)
    np.testing.assert_array_equal(alone, together)


# ---- distributions


def test_moments():
    k, n = random.key(8), (200_000,)
    u = np.asarray(random.uniform(k, n, fn.float64))
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.003 and abs(u.var() - 1 / 12) < 0.001
    z = np.asarray(random.normal(k, n, loc=2, scale=3))
    assert abs(z.mean() - 2) < 0.03 and abs(z.std() - 3) < 0.03
    t = np.asarray(random.truncated_normal(k, -0.5, 1, n))
    assert t.min() >= -0.5 and t.max() <= 1
    share = np.bincount(random.categorical(k, fn.array([0.0, np.log(3.0)]), num_samples=n[0]))[1] / n[0]
    assert abs(share - 0.75) < 0.005
    for p in (0.0, 1.0):
        assert (np.asarray(random.bernoulli(k, p, n)) == bool(p)).all()
    for dtype in (fn.float16, fn.bfloat16, fn.float32):
        assert float(random.uniform(k, n, dtype).max()) < 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("low", "high"),
    [(2.9, 12), (3.1, 3.2), (4, 10), (6, 9), (8, np.inf), (5.0, 5.01), (-10, -5), (-np.inf, -12), (25, 26)],
)
def test_truncated_normal_in_the_tails(low, high, dtype):
    """Where erf is 1 in the dtype. The oracle is the distribution: its cumulative probabilities are uniform."""
    stats = pytest.importorskip("scipy.stats")
    x = np.asarray(random.truncated_normal(random.key(5), low, high, (20_000,), dtype)).astype(np.float64)
    assert np.array(low, dtype) <= x.min() and x.max() <= np.array(high, dtype) and np.isfinite(x).all()
    assert stats.kstest(x, stats.truncnorm(low, high).cdf).statistic < 0.0115  # one in a hundred exceeds it
    assert len(np.unique(x)) > 4_000


def test_bounds_of_truncated_normal_one_by_one():
    k, low, high = random.key(4), [-1.0, 4.0, -9.0, 6.0], [1.0, np.inf, -8.0, 9.0]
    x = random.truncated_normal(k, fn.array(low), fn.array(high), (3, 4))
    traced = fn.compile(lambda low, high: random.truncated_normal(k, low, high, (3, 4)))(fn.array(low), fn.array(high))
    np.testing.assert_allclose(np.asarray(traced), np.asarray(x), rtol=1e-6)
    assert ((np.asarray(x) >= low) & (np.asarray(x) <= high)).all()
    near = np.asarray(random.truncated_normal(k, -1, 1, (3, 4)))
    np.testing.assert_allclose(np.asarray(x)[:, 0], near[:, 0], rtol=1e-5)
    mapped = fn.vmap(lambda k, low: random.truncated_normal(k, low, low + 1))(random.split(k, 4), fn.array(low))
    assert ((np.asarray(mapped) >= low) & (np.asarray(mapped) <= np.add(low, 1))).all()
    # Moving a bound moves a draw, the less the nearer it is to the other one.
    slopes = fn.grad(lambda low: random.truncated_normal(k, low, 9.0, (50,)).sum())(fn.array(6.0)) / 50
    step = [random.truncated_normal(k, fn.array(6 + d), 9.0, (50,)).sum().item() / 50 for d in (0.0625, -0.0625)]
    assert abs(slopes.item() - (step[0] - step[1]) / 0.125) < 0.02


@pytest.mark.parametrize("bounds", [(3, np.inf), (-np.inf, -3), (2.5, np.inf)])
def test_truncated_normal_is_finite(bounds):
    assert bool(fn.isfinite(random.truncated_normal(random.key(0), *bounds, (1_000_000,))).all())


def test_draws_are_differentiable_in_their_parameters():
    k = random.key(0)
    u = np.asarray(random.uniform(k, (5,)))
    low, high = fn.grad(lambda a, b: random.uniform(k, (5,), low=a, high=b).sum(), argnums=(0, 1))(
        fn.array(0.5), fn.array(2.0)
    )
    np.testing.assert_allclose(low, (1 - u).sum(), rtol=1e-5)
    np.testing.assert_allclose(high, u.sum(), rtol=1e-5)
    half = fn.grad(lambda b: random.uniform(k, (5,), fn.float16, 0.5, b).sum())(fn.array(2.0, dtype=fn.float16))
    np.testing.assert_allclose(half, u.sum(), rtol=5e-3)
    np.testing.assert_allclose(
        fn.grad(lambda s: random.normal(k, (5,), scale=s).sum())(fn.array(2.0)), random.normal(k, (5,)).sum(), rtol=1e-5
    )


def test_parameters_give_the_shape():
    k = random.key(0)
    assert random.uniform(k).shape == ()
    assert random.uniform(k, low=fn.zeros((3, 1)), high=fn.ones(2)).shape == (3, 2)
    assert random.normal(k, loc=fn.zeros(3)).shape == (3,)
    assert random.bernoulli(k, fn.zeros((2, 2))).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: random.key(-1), "between 0 and"),
        (lambda k: random.uniform(random.split(k)), "vmap"),
        (lambda k: random.uniform(fn.zeros(2)), "expected a key"),
        (lambda k: random.uniform(k, (2,), fn.int32), "floating point"),
        (lambda k: random.uniform(k, (2,), low=fn.zeros(3)), "broadcast"),
        (lambda k: random.uniform(k, (-1,)), "negative"),
        (lambda k: random.randint(k, 0, 300, dtype=fn.uint8), "does not fit uint8"),
        (lambda k: random.randint(k, 0.5, 3), "integers"),
        (lambda k: random.randint(k, 0, 3, dtype=fn.float32), "integer type"),
        (lambda k: random.fold_in(k, -1), "between 0 and"),
        (lambda k: random.fold_in(k, 1.5), "integer"),
        (lambda k: random.split(k, -1), "negative"),
        (lambda k: random.bits(k, (2,), 3), "width"),
        (lambda k: random.permutation(k, -1), "negative"),
        (lambda k: random.categorical(k, fn.zeros(3), shape=(), num_samples=2), "not both"),
        (lambda k: random.categorical(k, fn.zeros((2, 3)), shape=(3,)), "does not fit"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(random.key(0))


FAR_APART = [("float16", 6e4), ("bfloat16", 3e38), ("float32", 3e38), ("float64", 1.7e308)]


@pytest.mark.parametrize(("dtype", "bound"), [row for row in FAR_APART if row[0] in held([row[0]])])
@pytest.mark.parametrize("run", [lambda f: f, fn.compile, fn.vmap], ids=["numbers", "compile", "vmap"])
def test_uniform_numbers_between_bounds_further_apart_than_the_largest_number(dtype, bound, run):
    dtype = getattr(fn, dtype)
    bound = fn.array(bound, dtype)
    key = random.key(1)
    if run is fn.vmap:
        draw = fn.vmap(lambda k, b: random.uniform(k, (500,), dtype, -b, b))
        x = draw(random.split(key, 8), fn.full((8,), bound.item(), dtype)).reshape(-1)
    elif run is fn.compile:
        x = fn.compile(lambda b: random.uniform(key, (4000,), dtype, -b, b))(bound)
    else:
        x = random.uniform(key, (4000,), dtype, -bound, bound)
        between = random.uniform(key, (4000, 2), dtype, fn.stack([-bound, fn.array(2, dtype)]), bound)
        assert fn.isfinite(between).all() and (between[:, 1] >= 2).all()
    x = float64_of(x) / bound.item()
    assert -1 <= x.min() < -0.98 and 0.98 < x.max() <= 1
    assert abs(x.mean()) < 5 / np.sqrt(3 * x.size)  # five standard deviations


@pytest.mark.parametrize(
    ("low", "high", "dtype", "expected"),
    [
        (2**24, 2**24 + 2, "int32", [16777216, 16777216, 16777216, 16777217, 16777217, 16777217]),
        (0, 2**31 - 1, "int32", [438596480, 807254848, 975063552, 1724208512, 1411764224, 1764512384]),
        (-(2**31), 2**31 - 1, "int32", [-1270290688, -532973952, -197356544, 1300933376, 676044800, 1381541120]),
        (0, 2**32 - 1, "uint32", [877192960, 1614509696, 1950127104, 3448417024, 2823528448, 3529024768]),
        (5, 3, "int32", [5] * 6),
        (-7, -2, "int64", [-6, -6, -5, -3, -4, -3]),
    ],
)
def test_integers_between_large_bounds_are_those_of_mlx(low, high, dtype, expected):
    # MLX 0.32.4
    assert random.randint(random.key(3), low, high, (6,), getattr(fn, dtype)).tolist() == expected


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (2**24, 2**24 + 2, "int32"),
        (2**30, 2**31 - 1, "int32"),
        (-(2**31), 1 - 2**31, "int32"),
        (0, 2**31, "int32"),
        (2**31, 2**32, "uint32"),
        (2**63 - 3, 2**63 - 1, "int64"),
        (-(2**63), 2**63 - 1, "int64"),
        (-(2**63), 2 - 2**63, "int64"),
        (2**62, 2**63 - 1, "uint64"),
        (2**63 + 1, 2**64 - 1, "uint64"),
        (-128, 128, "int8"),
        (0, 256, "uint8"),
    ],
)
def test_integers_stay_within_their_bounds(low, high, dtype):
    x = random.randint(random.key(1), low, high, (20000,), getattr(fn, dtype)).tolist()
    assert low <= min(x) and max(x) < high


@pytest.mark.parametrize(
    ("low", "dtype"),
    [
        (2**24, "int32"),
        (2**31 - 7, "int32"),
        (-(2**31), "int32"),
        (2**32 - 7, "uint32"),
        (2**40, "int64"),
        (2**63 - 7, "int64"),
        (-(2**63), "int64"),
        (2**64 - 7, "uint64"),
    ],
)
def test_integers_of_a_narrow_range_far_from_zero_are_equally_likely(low, dtype):
    dtype = getattr(fn, dtype)
    key = random.key(4)
    first, end = (fn.full((1,), n, dtype) for n in (low, low + 6))
    for x in (
        random.randint(key, low, low + 6, (6000,), dtype),
        fn.compile(lambda low, high: random.randint(key, low, high, (6000,), dtype))(first, end),
    ):
        # Six standard deviations of a count.
        assert (abs(np.bincount((x - first).tolist(), minlength=6) - 1000) < 6 * np.sqrt(6000 * 5 / 36)).all()


@pytest.mark.parametrize(("seed", "place"), [(532677739, 1), (644431437, 0)])
def test_gumbel_is_finite_where_all_bits_are_zero(seed, place):
    key = random.key(seed)
    assert random.bits(key, (2,)).tolist()[place] == 0
    assert abs(random.gumbel(key, (2,))[place].item() + np.log(33 * np.log(2))) < 1e-5
    logits = [-np.inf, -np.inf]
    logits[place] = 0.0
    assert random.categorical(key, fn.array(logits)).item() == place


def test_bounds_of_integers_may_be_arrays():
    low, high = np.array([0, 2**63, 2**64 - 3], np.uint64), np.array([2, 2**63 + 5, 2**64 - 1], np.uint64)
    x = np.asarray(random.randint(random.key(2), fn.array(low), fn.array(high), (500, 3), fn.uint64))
    assert (low <= x).all() and (x < high).all()
