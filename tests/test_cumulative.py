"""Running reductions against NumPy, their derivatives against central differences."""

import numpy as np
import pytest

import funcnn as fn
import thread_counts
from widest import WIDEST, reachable

TOLERANCE = reachable(1e-12)
NAMES = ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
REFERENCE = {
    "cumsum": np.add.accumulate,
    "cumprod": np.multiply.accumulate,
    "cummax": np.maximum.accumulate,
    "cummin": np.minimum.accumulate,
    "logcumsumexp": np.logaddexp.accumulate,
}


def widest(x):
    return fn.array(x, dtype=WIDEST)


START = {"cumsum": 0, "cumprod": 1, "cummax": -np.inf, "cummin": np.inf, "logcumsumexp": -np.inf}


def reference(name, x, axis, reverse, inclusive):
    if reverse:
        x = np.flip(x, axis)
    y = REFERENCE[name](x, axis)
    if not inclusive:
        first = np.full_like(np.take(y, [0], axis), START[name])
        y = np.concatenate([first, np.take(y, range(y.shape[axis] - 1), axis)], axis)
    return np.flip(y, axis) if reverse else y


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("shape", [(1,), (9,), (3, 4, 5), (2, 7, 130), (300, 200)])
def test_values(name, reverse, inclusive, shape):
    x = np.random.default_rng(0).uniform(-1.5, 1.5, shape)
    f = getattr(fn, name)
    for axis in range(-1, len(shape)):
        got = f(widest(x), axis=axis, reverse=reverse, inclusive=inclusive)
        np.testing.assert_allclose(got, reference(name, x, axis, reverse, inclusive), rtol=TOLERANCE, atol=TOLERANCE)
    if len(shape) == 3:
        a, b = widest(x).transpose(1, 0, 2)[:, ::-1], x.transpose(1, 0, 2)[:, ::-1]
        got = f(a, axis=1, reverse=reverse, inclusive=inclusive)
        np.testing.assert_allclose(got, reference(name, b, 1, reverse, inclusive), rtol=TOLERANCE, atol=TOLERANCE)
        # Subnormal products have fewer digits.
        least = TOLERANCE * np.finfo(np.dtype(str(WIDEST))).tiny
        np.testing.assert_allclose(
            f(widest(x)), reference(name, x.reshape(-1), 0, False, True), rtol=TOLERANCE, atol=least
        )


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
def test_integers_keep_their_dtype_and_wrap(name):
    x = np.random.default_rng(0).integers(0, 100, (4, 50)).astype(name)
    for f in ("cumsum", "cumprod", "cummax", "cummin"):
        got = getattr(fn, f)(fn.array(x), axis=1)
        assert got.dtype == getattr(fn, name)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(got, REFERENCE[f](x, 1, dtype=name))
    assert fn.logcumsumexp(fn.array(x)).dtype == fn.float32
    limits = np.iinfo(name)
    first = lambda f: int(f(fn.array(x), axis=1, inclusive=False)[0, 0])  # noqa: E731
    assert first(fn.cummax) == limits.min and first(fn.cummin) == limits.max


def test_bools_count():
    x = fn.array([True, False, True])
    assert fn.cumsum(x).dtype == fn.int32 and fn.cumsum(x).tolist() == [1, 1, 2]
    assert fn.cumprod(x).tolist() == [True, False, False]
    assert fn.cummax(x[1:]).tolist() == [False, True]


def test_short_floats_accumulate_in_float32():
    x = fn.full((10_000,), 0.01, dtype=fn.float16)
    assert abs(float(fn.cumsum(x)[-1]) - 100) < 0.1


@pytest.fixture
def on_the_cpu():
    """Where sums of many numbers hold float64, which a GPU may not have."""
    with fn.default_device("cpu"):
        yield


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.parametrize("shape", [(1_000_000,), (300_000, 3), (5, 200_000)])
def test_sums_and_products_of_many_numbers_keep_the_digits_of_float32(shape):
    axis = int(np.argmax(shape))
    x = np.random.default_rng(3).uniform(0.05, 0.15, shape).astype(np.float32)
    np.testing.assert_allclose(fn.cumsum(fn.array(x), axis=axis), x.astype(np.float64).cumsum(axis), rtol=1.2e-7)
    y = 1 + (x - 0.1) * 1e-3
    np.testing.assert_allclose(fn.cumprod(fn.array(y), axis=axis), y.astype(np.float64).cumprod(axis), rtol=1.2e-7)


@pytest.mark.usefixtures("on_the_cpu")
def test_derivatives_of_many_numbers_keep_the_digits_of_float32():
    x = np.random.default_rng(4).normal(size=1_000_000).astype(np.float32)
    weights = np.exp(x.astype(np.float64))
    slopes = fn.grad(lambda x: fn.logcumsumexp(x)[-1])(fn.array(x))
    np.testing.assert_allclose(slopes, weights / weights.sum(), rtol=2e-6)


LONG = [8063, 8064, 8065, 12_096, 20_000, 40_321]  # around whole blocks of strands


@pytest.mark.parametrize("n", LONG)
@pytest.mark.parametrize("reverse", [False, True])
def test_long_lines(n, reverse):
    rng = np.random.default_rng(n)
    whole = rng.integers(-99, 99, n)
    x = rng.normal(size=n)
    for name in ("cumsum", "cumprod", "cummax", "cummin"):
        for dtype in ("int8", "int32", "uint32"):
            a = whole.astype(dtype)
            with np.errstate(over="ignore"):
                expected = (
                    np.flip(REFERENCE[name](np.flip(a), 0, dtype=dtype))
                    if reverse
                    else REFERENCE[name](a, 0, dtype=dtype)
                )
            np.testing.assert_array_equal(getattr(fn, name)(fn.array(a), reverse=reverse), expected)
    a = x.astype(np.float32)
    exact = reference("cumsum", a.astype(np.longdouble), 0, reverse, True)
    got = np.asarray(fn.cumsum(fn.array(a), reverse=reverse))
    assert np.abs(got - exact).max() <= 1e-5 * np.abs(exact).max()
    for name in ("cummax", "cummin"):
        np.testing.assert_array_equal(
            getattr(fn, name)(fn.array(a), reverse=reverse), reference(name, a, 0, reverse, True)
        )
    strided = fn.array(np.stack([a, a]).T)[:, 0]
    np.testing.assert_array_equal(fn.cumsum(strided, reverse=reverse), got)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummax", "logcumsumexp"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int32"])
def test_long_lines_do_not_depend_on_threads(name, dtype):
    x = fn.array(np.random.default_rng(0).normal(size=(2, 30_011)) * 3).astype(getattr(fn, dtype))
    several = fn.tile(x, (3, 1))
    thread_counts.assert_the_same(
        lambda: [getattr(fn, name)(x, axis=1), getattr(fn, name)(several, axis=1)[4:]], (1, 3, 5)
    )
    f = getattr(fn, name)
    np.testing.assert_array_equal(f(several, axis=1)[4:], f(x, axis=1))


def test_special_values():
    nan, inf = np.nan, np.inf
    x = fn.array([1.0, nan, 3.0])
    np.testing.assert_array_equal(fn.cummax(x), [1, nan, nan])
    np.testing.assert_array_equal(fn.cummin(x), [1, nan, nan])
    np.testing.assert_array_equal(fn.logcumsumexp(fn.array([-inf, -inf, 1.0])), [-inf, -inf, 1])
    np.testing.assert_array_equal(fn.logcumsumexp(fn.array([inf, 1.0, inf])), [inf, inf, inf])
    np.testing.assert_allclose(fn.logcumsumexp(fn.array([1000.0, 1000.0, -1000.0])), [1000, 1000.6931, 1000.6931])
    assert fn.cumsum(fn.zeros((0, 3)), axis=0).shape == (0, 3)


def numeric(f, x, step=1e-6):
    columns = []
    for p in np.ndindex(x.shape):
        d = np.zeros_like(x)
        d[p] = step
        columns.append((np.asarray(f(x + d)) - np.asarray(f(x - d))) / (2 * step))
    return np.stack(columns, -1).reshape(*columns[0].shape, *x.shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("zeros", [(), (2,), (1, 3), (0,)])
def test_derivatives(name, reverse, inclusive, zeros):
    x = np.random.default_rng(1).permutation(np.linspace(-1.4, 1.6, 10)).reshape(5, 2)
    for row in zeros:
        x[row, 1] = 0
    if zeros and name != "cumprod":
        x += np.linspace(0, 1e-2, 10).reshape(5, 2)  # no ties

    def f(x):
        y = getattr(fn, name)(
            widest(x) if isinstance(x, np.ndarray) else x, axis=0, reverse=reverse, inclusive=inclusive
        )
        return y[ends]  # the first of an exclusive result may be infinite

    ends = slice(None, -1) if reverse else slice(1, None)
    expected = numeric(lambda x: reference(name, x, 0, reverse, inclusive)[ends], x)
    np.testing.assert_allclose(fn.jacrev(f)(widest(x)), expected, atol=reachable(1e-7))
    np.testing.assert_allclose(fn.jacfwd(f)(widest(x)), expected, atol=reachable(1e-7))
    if fn.float64 == WIDEST:
        g = fn.grad(lambda x: (f(x) ** 2).sum())
        np.testing.assert_allclose(fn.jacrev(g)(widest(x)), numeric(lambda x: g(widest(x)), x), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_of_a_complex_or_wide_range(name):
    x = widest([-300.0, 200.0, 500.0, -1000.0])
    g = np.asarray(fn.grad(lambda x: getattr(fn, name)(x).sum())(x))
    assert np.isfinite(g).all()
    if name == "logcumsumexp":
        np.testing.assert_allclose(g, [1, 1, 2, 0], atol=reachable(1e-12))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_derivative_of_logcumsumexp_beside_large_numbers(dtype, reverse):
    # The results round to steps of 8 and 0.5; the distances of the elements do not.
    x = np.array([0, 8, 8, -8, 16, 16], np.float64) + 1e8 if dtype == "float32" else np.array([100.0, 101, 100.5, 99.5])
    weights = np.exp(x - x.max())
    order = slice(None, None, -1) if reverse else slice(None)
    shares = np.tril(np.ones((x.size, x.size))) * weights[order] / np.cumsum(weights[order])[:, None]
    got = fn.grad(lambda x: fn.logcumsumexp(x, reverse=reverse).sum())(fn.array(x, dtype=getattr(fn, dtype)))
    np.testing.assert_allclose(got.astype(fn.float32), shares.sum(0)[order], rtol=3e-7 if dtype == "float32" else 4e-3)
    tangent = fn.ones_like(got)
    moved = fn.jvp(lambda x: fn.logcumsumexp(x, reverse=reverse), (fn.array(x, dtype=got.dtype),), (tangent,))[1]
    np.testing.assert_allclose(moved.astype(fn.float32), 1, rtol=3e-7)


def test_ties_of_running_maxima_go_to_the_latest():
    x = fn.array([1.0, 1.0, 0.0])
    np.testing.assert_array_equal(fn.grad(lambda x: fn.cummax(x).sum())(x), [1, 2, 0])
    np.testing.assert_array_equal(fn.grad(lambda x: fn.cummin(x, reverse=True).sum())(x), [0, 0, 3])


@pytest.mark.parametrize("name", NAMES)
def test_mapping_equals_a_loop(name):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    f = lambda a: getattr(fn, name)(a, axis=0, reverse=True)  # noqa: E731
    np.testing.assert_array_equal(fn.vmap(f)(fn.array(x)), np.stack([f(fn.array(b)) for b in x]))
    g = fn.grad(lambda a: (f(a) ** 2).sum())
    np.testing.assert_allclose(fn.vmap(g)(fn.array(x)), np.stack([g(fn.array(b)) for b in x]), rtol=1e-5)


def test_results_do_not_depend_on_threads():
    x = fn.array(np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32))
    thread_counts.assert_the_same(lambda: [getattr(fn, n)(x, axis=a) for n in NAMES for a in (0, 1)])


def test_complex_numbers_are_not_ordered():
    x = fn.array([1 + 1j, 2])
    np.testing.assert_allclose(fn.cumsum(x), [1 + 1j, 3 + 1j])
    np.testing.assert_allclose(fn.cumprod(x), [1 + 1j, 2 + 2j])
    with pytest.raises(ValueError, match="complex"):
        fn.cummax(x)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_of_nothing(axis):
    assert fn.cumsum(fn.zeros((3, 0, 2)), axis=axis).tolist() == [[], [], []]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("zeros", [(1,), (0, 2), (1, 3), (0, 1, 2), (0, 1, 2, 3, 4)])
def test_second_derivatives_of_cumprod_at_zeros(zeros, reverse):
    x = np.array([2.0, -3.0, 5.0, 7.0, -11.0])
    x[list(zeros)] = 0
    weights = np.array([1.0, -2.0, 3.0, 0.5, 4.0])
    # The product of all but two, for each result that holds both.
    order = range(5)[::-1] if reverse else range(5)
    expected = np.zeros((5, 5))
    for place, j in enumerate(order):
        held = list(order)[: place + 1]
        for a in held:
            for b in held:
                if a != b:
                    expected[a, b] += weights[j] * np.prod([x[k] for k in held if k not in (a, b)])
    f = lambda x: (fn.cumprod(x, reverse=reverse) * widest(weights)).sum()  # noqa: E731
    np.testing.assert_allclose(fn.hessian(f)(widest(x)), expected)
    np.testing.assert_allclose(fn.jacrev(fn.grad(f))(widest(x)), expected)
    np.testing.assert_allclose(fn.jacfwd(fn.jacfwd(f))(widest(x)), expected)


def test_cumprod_forgets_what_overflows_behind_a_zero():
    g = fn.grad(lambda x: fn.cumprod(x).sum())(fn.array([3.0, 0.0] + [1e13] * 5))
    assert g.tolist() == [1, np.inf, 0, 0, 0, 0, 0]
