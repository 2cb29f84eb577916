"""cuFFT on a GPU of NVIDIA against NumPy in float64: FUNCNN_CUDA=cufft gives it lines of any length. What holds of them
holds of our kernels, too, so the tests ask for nothing.
"""

import numpy as np
import pytest
from test_gpu_cuda import there_is_a_gpu

import funcnn as fn
from funcnn import fft

pytestmark = pytest.mark.skipif(not there_is_a_gpu(), reason="there is no GPU of NVIDIA")
# Powers of primes that the library has kernels for, products of them, primes beyond.
LENGTHS = [
    2,
    3,
    4,
    6,
    7,
    8,
    11,
    17,
    30,
    64,
    100,
    121,
    127,
    131,
    243,
    343,
    512,
    720,
    1009,
    1024,
    2187,
    4096,
    4099,
    10007,
    65536,
]


def draw(*shape):
    rng = np.random.default_rng(sum(shape))
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def put(x):
    return fn.device_put(fn.array(x), "gpu")


def near(got, expected):
    assert got.shape == expected.shape and got.device == fn.gpu
    size = np.sqrt(np.mean(np.abs(expected) ** 2))
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=2e-5 * size)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("layout", ["alone", "one after another", "side by side"])
def test_every_kind(length, layout):
    axis = -1 if layout != "side by side" else 0
    z = draw(*{"alone": (length,), "one after another": (3, length), "side by side": (length, 5)}[layout])
    a, x = put(z), put(z.real.copy())
    wide = z.astype(np.complex128)
    for norm in ("backward", "ortho", "forward"):
        near(fft.fft(a, axis=axis, norm=norm), np.fft.fft(wide, axis=axis, norm=norm))
        near(fft.ifft(a, axis=axis, norm=norm), np.fft.ifft(wide, axis=axis, norm=norm))
        near(fft.rfft(x, axis=axis, norm=norm), np.fft.rfft(wide.real, axis=axis, norm=norm))
        for n in (2 * length - 2, 2 * length - 1):  # the ends of half spectra are complex numbers here
            near(fft.irfft(a, n=n, axis=axis, norm=norm), np.fft.irfft(wide, n=n, axis=axis, norm=norm))
    assert (np.asarray(a) == z).all() and (np.asarray(x) == z.real).all()


def test_views():
    z = draw(6, 200)
    a, x = put(z), put(z.real.copy())
    views = [np.s_[:, ::2], np.s_[1:6:2], np.s_[:, 1:200], np.s_[:, ::-1], np.s_[0, 3:150], np.s_[::-1, 7::3]]
    for view in views:
        near(fft.fft(a[view]), np.fft.fft(z[view]))
        near(fft.rfft(x[view]), np.fft.rfft(z.real[view]))
        near(fft.irfft(a[view], n=100), np.fft.irfft(z[view], n=100))
    near(fft.fft(a.T, axis=0), np.fft.fft(z.T, axis=0))
    near(fft.rfft(fn.broadcast_to(x[0], (4, 200))), np.fft.rfft(np.broadcast_to(z.real[0], (4, 200))))
    near(fft.fftn(a.reshape(6, 10, 20)), np.fft.fftn(z.reshape(6, 10, 20)))
    near(fft.irfft2(a[:, :101]), np.fft.irfft2(z[:, :101]))


def test_where_a_real_line_lies_is_not_in_its_bits():
    x = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    expected = np.asarray(fft.rfft(put(x)))
    for before in range(4):
        held = put(np.concatenate([np.zeros(before, np.float32), x, x[:5]]))
        assert np.asarray(fft.rfft(held[before : before + 4096])).tobytes() == expected.tobytes()
    spectra = draw(5, 26)
    rows = fn.scan(lambda c, row: (c, fft.irfft(row, n=51)), fn.array(0.0), put(spectra))[1]
    near(rows, np.fft.irfft(spectra.astype(np.complex128), n=51))


@pytest.mark.parametrize("length", [8, 30, 64, 243, 1000, 1009, 4096, 16384, 65536])
def test_lines_know_nothing_of_each_other(length):
    x = np.random.default_rng(0).standard_normal((6, length)).astype(np.float32)
    x[2, length // 2] = np.nan
    x[3] *= 1e30
    for got in (fft.rfft(put(x)), fft.fft(put(x.astype(np.complex64)))):
        got = np.asarray(got)
        assert np.isnan(got[2]).all() and np.isfinite(np.delete(got, 2, 0)).all()
        near(
            put(got[4:]),
            np.fft.rfft(x[4:].astype(float)) if got.shape[1] != length else np.fft.fft(x[4:].astype(float)),
        )


def test_compiled_repeated_and_in_place():
    z = draw(6, 200)
    a = put(z)

    @fn.compile
    def step(a, i):
        before = fn.sort(fn.cumsum(fn.real(a), 1), 1)
        y = fft.ifft(fft.fft(fft.fft(a * i)))
        return before, y, fn.sort(fn.cumsum(fn.imag(a) + i, 1), 1), fft.rfft(fn.real(y))

    for i in range(1, 9):
        expected = np.fft.fft(z.astype(np.complex128)) * i
        got = step(a, fn.array(float(i)))
        near(got[1], expected)
        near(got[3], np.fft.rfft(expected.real))
