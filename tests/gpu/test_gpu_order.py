"""Sorting, searching, running reductions, random numbers and transforms on the gpu, at the sizes where forms change."""

import numpy as np
import pytest

import funcnn as fn

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")

NAN, INF = np.nan, np.inf


def both(function, *arguments, tolerance=0.0, oracle="cpu"):
    """function of arrays on the gpu and elsewhere gives the same; twice on the gpu, the same bits."""
    here = [fn.device_put(fn.array(a), oracle) for a in arguments]
    there = [fn.device_put(a, fn.gpu) for a in here]
    want, got, again = function(*here), function(*there), function(*there)
    assert got.device == fn.gpu and got.dtype == want.dtype and got.shape == want.shape
    if want.dtype == fn.bfloat16:
        want, got, again = (fn.device_put(x, "cpu").astype(fn.float32) for x in (want, got, again))
    want, got, again = (np.asarray(x) for x in (want, got, again))
    assert got.tobytes() == again.tobytes()
    if tolerance:
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(got, want)
        if got.dtype.kind == "f":  # NaN has the sign that the machine gives it
            np.testing.assert_array_equal(np.signbit(got) & ~np.isnan(got), np.signbit(want) & ~np.isnan(want))


def ties(*shape):
    """Few different numbers, both zeros, infinities and NaN."""
    x = np.random.default_rng(4).integers(-3, 4, shape).astype(np.float32)
    x.flat[::7] = -0.0
    x.flat[3::11] = NAN
    x.flat[5::13] = INF
    x.flat[6::17] = -INF
    return x


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "bool", "int8", "uint32", "int64", "complex64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_sort_is_stable(dtype, axis):
    x = fn.array(
        ties(7, 37) if dtype in ("float32", "float16", "bfloat16", "complex64") else np.nan_to_num(ties(7, 37)) % 5
    )
    x = np.asarray(x) if dtype == "bfloat16" else np.asarray(x.astype(getattr(fn, dtype)))
    cast = (lambda a: a.astype(fn.bfloat16)) if dtype == "bfloat16" else (lambda a: a)
    both(lambda a: fn.sort(cast(a), axis=axis), x, oracle="reference")
    both(lambda a: fn.argsort(cast(a), axis=axis), x, oracle="reference")
    both(lambda a: fn.topk(cast(a), 3, axis=axis), x, oracle="reference")


@pytest.mark.parametrize("length", [0, 1, 2, 1024, 1025, 2048, 2049, 4097, 9001])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_sort_of_any_length(length, dtype):
    x = ties(2, length) if dtype == np.float32 else np.random.default_rng(0).integers(-500, 500, (2, length))
    both(lambda a: fn.argsort(a, axis=1), x, oracle="reference")
    both(lambda a: fn.sort(a, axis=0), x, oracle="reference")
    for k in {1, 9, length // 2, length} - {0}:
        if k <= length:
            both(lambda a, k=k: fn.topk(a, k, axis=1), x, oracle="reference")


def stably_sorted(x):
    """NumPy's order: -0 and 0 are equal, and so are all NaN, which come last."""
    return np.argsort(x, axis=0, kind="stable")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bool", "uint8", "int8", "uint16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("length", [3001, 8192, 8193, 40013])
def test_sort_by_digits_keeps_every_bit(dtype, length):
    rng = np.random.default_rng(length)
    if dtype.startswith("float"):
        x = np.where(rng.random(length) < 0.5, ties(length), 1e3 * rng.standard_normal(length)).astype(dtype)
        x[2::9], x[4::29] = -NAN, -np.finfo(dtype).smallest_subnormal
    else:
        high = np.iinfo(dtype).max if dtype != "bool" else 1
        low = np.iinfo(dtype).min if dtype != "bool" else 0
        x = rng.integers(low, high, length, "int8" if dtype == "bool" else dtype, endpoint=True)
        x = np.where(rng.random(length) < 0.5, x, x // 64).astype(dtype)
    order = stably_sorted(x)
    there = fn.device_put(fn.array(x), fn.gpu)
    np.testing.assert_array_equal(np.asarray(fn.argsort(there)), order)
    assert np.asarray(fn.sort(there)).tobytes() == x[order].tobytes()
    assert np.asarray(fn.topk(there, length - 5)).tobytes() == x[order][5:].tobytes()


def test_sort_by_digits_of_complex_numbers():
    x = np.stack([ties(3, 2500), ties(2500, 3).T], axis=-1).view(np.complex64)[..., 0]
    order = np.array([sorted(range(2500), key=lambda i: (True,) if np.isnan(r[i]) else (False, r[i].real, r[i].imag))
                      for r in x])  # fmt: skip
    there = fn.device_put(fn.array(x), fn.gpu)
    np.testing.assert_array_equal(np.asarray(fn.argsort(there, axis=1)), order)


def test_sort_of_many_short_lines_and_of_strided_ones():
    both(lambda a: fn.sort(a, axis=1), ties(3000, 5), oracle="reference")
    both(lambda a: fn.argsort(a.transpose(2, 0, 1), axis=1), ties(9, 4, 6), oracle="reference")
    both(lambda a: fn.sort(fn.broadcast_to(a[:, None], (6, 5)), axis=0), ties(6), oracle="reference")


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side):
    x = ties(500)
    both(lambda a, v: fn.searchsorted(a, v, side=side), np.sort(x[:99]), x)
    both(lambda a, v: fn.searchsorted(a, v, side=side), np.sort(x[:1]), x[:7].reshape(7, 1))
    both(lambda a, v: fn.vmap(lambda a, v: fn.searchsorted(a, v, side=side))(a, v), np.sort(ties(4, 30)), ties(4, 9))


SHAPES = [
    ((3, 0), 1),
    ((5, 1), 1),
    ((3, 40), 1),
    ((3, 40), 0),
    ((2, 9, 5), 1),
    ((1, 9001), 1),
    ((3, 8200), 1),
    ((7, 600), 1),
    ((700, 3), 1),
]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_running_reductions(shape, axis, reverse):
    x = np.random.default_rng(6).uniform(-1, 1, shape).astype(np.float32)
    both(lambda a: fn.cumsum(a, axis=axis, reverse=reverse), x, tolerance=1e-4)
    both(lambda a: fn.cumprod(a, axis=axis, reverse=reverse), 1 + x / 100, tolerance=1e-4)
    both(lambda a: fn.logcumsumexp(a, axis=axis, reverse=reverse), x, tolerance=1e-5)
    for function in (fn.cummax, fn.cummin):
        both(lambda a, f=function: f(a, axis=axis, reverse=reverse), x)
    both(lambda a: fn.cumsum(a, axis=axis, reverse=reverse), (100 * x).astype(np.int32))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool", "float16", "bfloat16", "complex64"])
def test_running_reductions_of_every_dtype(dtype):
    x = np.random.default_rng(6).uniform(-3, 3, (2, 130)).astype(np.float32)
    exact = dtype in ("int8", "uint16", "int64", "bool")
    tolerance = 0.0 if exact else 1e-5 if dtype == "complex64" else 3e-2
    ordered = () if dtype == "complex64" else (fn.cummax, fn.cummin)
    for function in (fn.cumsum, fn.cumprod, *ordered):
        # Converted on the CPU: what happens to negative numbers is another matter.
        y = fn.abs(fn.array(x)).astype(getattr(fn, dtype))
        there = fn.device_put(y, fn.gpu)
        want, got = function(y, axis=1), function(there, axis=1)
        assert want.dtype == got.dtype
        wide = fn.complex64 if dtype == "complex64" else fn.float32 if not exact else want.dtype
        want, got = (np.asarray(fn.device_put(a, "cpu").astype(wide)) for a in (want, got))
        if exact:
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_running_reductions_of_special_numbers():
    x = np.array([[-0.0, -0.0, 1, NAN, 2], [-0.0, INF, 1, -INF, 2], [-INF, -INF, 0, 1, 2]], np.float32)
    for function in (fn.cumsum, fn.cumprod, fn.cummax, fn.cummin, fn.logcumsumexp):
        both(lambda a, f=function: f(a, axis=1), x, tolerance=0.0 if function is not fn.logcumsumexp else 1e-6)


def test_a_sum_that_forgets():
    # The gradient of a gather with repeated positions runs on it, and so do segments.
    x = np.random.default_rng(8).standard_normal((40, 6)).astype(np.float32)
    at = np.random.default_rng(8).integers(0, 5, 40)
    both(lambda a, i: fn.grad(lambda a: (fn.take(a, i, axis=0) ** 2).sum())(a), x, at, tolerance=1e-5)


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (5, 33), (2, 513)])
def test_random_words_are_those_of_the_cpu(shape):
    key = np.asarray(fn.random.key(3))
    for width in (1, 2, 4):
        both(lambda k, w=width: fn.random.bits(k, shape, w), key)
    for dtype in (fn.float32, fn.float16, fn.bfloat16):
        both(lambda k, d=dtype: fn.random.uniform(k, shape=shape, dtype=d), key)
        both(lambda k, d=dtype: fn.random.uniform(k, low=-2.5, high=3.0, shape=shape, dtype=d), key)


def test_keys_on_the_gpu():
    keys = np.asarray(fn.random.split(fn.random.key(3), 6))
    both(lambda k: fn.random.split(k, 5), keys[0])
    both(lambda k: fn.random.fold_in(k, 17), keys[0])
    both(lambda k: fn.vmap(lambda k: fn.random.uniform(k, shape=(5,)))(k), keys)
    both(lambda k: fn.vmap(fn.random.fold_in)(k, fn.arange(6, dtype=fn.uint32)), keys)
    both(lambda k: fn.random.permutation(k, 300), keys[1])


@pytest.mark.parametrize("length", [1, 2, 12, 13, 97, 440, 1000, 1031, 2048, 4096, 4099, 30030])
def test_fourier_transforms(length):
    rng = np.random.default_rng(length)
    z = (rng.standard_normal((3, length)) + 1j * rng.standard_normal((3, length))).astype(np.complex64)
    tolerance = 3e-6 * np.sqrt(length)
    both(fn.fft.fft, z, tolerance=tolerance)
    both(fn.fft.ifft, z, tolerance=tolerance)
    both(lambda a: fn.fft.fft(a, axis=0), np.ascontiguousarray(z.T), tolerance=tolerance)
    both(fn.fft.rfft, z.real.copy(), tolerance=tolerance)
    both(lambda a: fn.fft.irfft(a, n=length), z[:, : length // 2 + 1].copy(), tolerance=tolerance)


@pytest.mark.parametrize("shape", [(700, 3), (700, 8), (300, 60), (3, 60, 5), (2, 128, 2), (7, 257, 3), (1, 8192, 7)])
@pytest.mark.parametrize("transposed", [False, True])
def test_fourier_transforms_of_many_lines(shape, transposed):
    rng = np.random.default_rng(sum(shape))
    z = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    order = tuple(reversed(range(z.ndim))) if transposed else tuple(range(z.ndim))
    z = z if z.size < 1 << 16 or not transposed else z[:, ::3]
    want = np.fft.fft(z.transpose(order).astype(np.complex128), axis=1)
    half = np.fft.rfft(z.real.transpose(order).astype(np.float64), axis=1)
    x = fn.transpose(fn.device_put(z, "gpu"), order)
    got = np.asarray(fn.fft.fft(x, axis=1))
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 2e-6 * np.abs(want).max()
    assert np.abs(np.asarray(fn.fft.rfft(fn.real(x), axis=1)) - half).max() <= 2e-6 * np.abs(half).max()
    back = np.asarray(fn.fft.irfft(fn.device_put(half.astype(np.complex64), "gpu"), n=want.shape[1], axis=1))
    assert np.abs(back - z.real.transpose(order)).max() <= 2e-5


def test_a_fourier_transform_of_a_million():
    z = np.exp(2j * np.pi * np.random.default_rng(0).random(1 << 20)).astype(np.complex64)
    want = np.fft.fft(z.astype(np.complex128))
    assert np.abs(np.asarray(fn.fft.fft(fn.device_put(z, "gpu"))) - want).max() <= 1e-6 * np.abs(want).max()


def test_fourier_transforms_cut_and_filled_up():
    z = np.random.default_rng(0).standard_normal((4, 20)).astype(np.float32)
    for length in (7, 20, 34, 64):
        both(lambda a, n=length: fn.fft.rfft(a, n=n), z, tolerance=3e-5)
        both(lambda a, n=length: fn.fft.fft(a, n=n, axis=0), z.astype(np.complex64), tolerance=3e-5)


@pytest.mark.parametrize("length", [1, 2, 12, 16, 20, 28, 56, 2048, 4096, 2048 * 16 * 2, 12 * 4096])
def test_hadamard_transforms(length):
    x = np.random.default_rng(0).standard_normal((3, length)).astype(np.float32)
    both(fn.hadamard_transform, x, tolerance=2e-5)
    both(lambda a: fn.grad(lambda a: (fn.hadamard_transform(a) ** 2).sum())(a), x, tolerance=1e-4)
