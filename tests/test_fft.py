"""Fourier transforms: every kind of length and layout against NumPy in double precision, derivatives, short-time transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcnn as fn
import instruction_sets

NORMS = ("backward", "ortho", "forward")
# Powers of two, products of small primes, primes below and above the largest radix, their products; around the lengths at
# which the way of computing changes.
LENGTHS = [
    *range(1, 40), 48, 61, 62, 63, 64, 65, 67, 77, 96, 121, 122, 127, 128, 143, 169, 180, 192, 193, 210, 243, 251, 255, 256,
    257, 343, 360, 384, 400, 486, 500, 509, 512, 625, 720, 750, 1000, 1001, 1009, 1024, 1155, 1200, 1331, 1536, 1717, 2027,
    2048, 2187, 2401, 3125, 3600, 3721, 4093, 4096, 4099, 4913, 6561, 8190, 8192, 8209, 10007, 16384, 20000, 65536, 65537,
    66000, 131072, 200000,
]  # fmt: skip


def error(got: fn.array, expected: np.ndarray) -> float:
    """The largest error of a line over its root mean square."""
    if expected.size == 0:
        return 0.0
    scale = np.sqrt(np.mean(np.abs(expected) ** 2, axis=-1, keepdims=True)) + 1e-300
    return float((np.abs(np.asarray(got) - expected) / scale).max())


def signal(shape: tuple[int, ...], real: bool = False, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32)
    return x if real else (x + 1j * rng.normal(size=shape)).astype(np.complex64)


def bound(n: int) -> float:
    return 3e-7 * (3 + np.log2(n))


@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(n: int) -> None:
    lines = (1, 3, 21) if n < 3000 else (1, 5)
    for count in lines:
        x, r = signal((count, n)), signal((count, n), real=True)
        wide, half = x.astype(np.complex128), signal((count, n // 2 + 1))
        assert error(fn.fft.fft(fn.array(x)), np.fft.fft(wide)) < bound(n)
        assert error(fn.fft.ifft(fn.array(x)), np.fft.ifft(wide)) < bound(n)
        assert error(fn.fft.rfft(fn.array(r)), np.fft.rfft(r.astype(float))) < bound(n)
        expected = np.fft.irfft(half.astype(np.complex128), n)
        assert error(fn.fft.irfft(fn.array(half), n), expected) < bound(n)
        # Along the first axis, where lines lie side by side.
        assert error(fn.fft.fft(fn.array(x.T), axis=0).T, np.fft.fft(wide)) < bound(n)
        assert error(fn.fft.rfft(fn.array(r.T), axis=0).T, np.fft.rfft(r.astype(float))) < bound(n)
        assert error(fn.fft.irfft(fn.array(half.T), n, axis=0).T, expected) < bound(n)


@st.composite
def transforms(draw: st.DrawFn) -> tuple[Any, ...]:
    rank = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 9)) for _ in range(rank))
    axis = draw(st.integers(-rank, rank - 1))
    length = draw(st.one_of(st.integers(1, 80), st.integers(1, 1200)))
    shape = tuple(length if i == axis % rank else n for i, n in enumerate(shape))
    n = draw(st.one_of(st.none(), st.integers(1, 2 * length + 2)))
    return shape, n, axis, draw(st.sampled_from(NORMS)), draw(st.integers(0, 99))


@given(transforms(), st.sampled_from(["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]), st.integers(0, 2))
@settings(max_examples=300)
def test_one_axis(arguments: tuple[Any, ...], name: str, layout: int) -> None:
    shape, n, axis, norm, seed = arguments
    if name in ("irfft", "hfft") and n is None and shape[axis] == 1:
        n = 1
    x = signal(shape, real=name in ("rfft", "ihfft"), seed=seed)
    a = fn.array(x)
    if layout == 1:  # the same elements, lying backwards in memory
        a = fn.flip(fn.array(np.flip(x).copy()), tuple(range(x.ndim)))
    elif layout == 2:  # transposed, every second element
        wide = np.repeat(x.T, 2, axis=0)
        a = fn.array(wide)[::2].T
    got = getattr(fn.fft, name)(a, n, axis, norm)
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.complex128)
    expected = getattr(np.fft, name)(wide, n, axis, norm)
    assert got.shape == expected.shape
    assert error(fn.moveaxis(got, axis, -1), np.moveaxis(expected, axis, -1)) < bound(max(shape[axis], n or 1))


@given(st.data())
@settings(max_examples=100)
def test_many_axes(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.integers(1, 12)) for _ in range(rank))
    axes = data.draw(st.one_of(st.none(), st.permutations(range(rank)).map(tuple)))
    if axes is not None:
        axes = tuple(a - rank * data.draw(st.booleans()) for a in axes[: data.draw(st.integers(1, rank))])
    count = rank if axes is None else len(axes)
    s = data.draw(st.one_of(st.none(), st.tuples(*[st.integers(1, 14)] * count)))
    norm, name = data.draw(st.sampled_from(NORMS)), data.draw(st.sampled_from(["fftn", "ifftn", "rfftn", "irfftn"]))
    last = -1 if axes is None else axes[-1]
    if name == "irfftn" and s is None and shape[last] == 1:
        return
    x = signal(shape, real=name == "rfftn", seed=data.draw(st.integers(0, 9)))
    got = getattr(fn.fft, name)(fn.array(x), s, axes, norm)
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.complex128)
    expected = getattr(np.fft, name)(wide, s, tuple(range(rank)) if axes is None else axes, norm)
    assert got.shape == expected.shape
    assert error(got.reshape(-1), expected.reshape(-1)) < 1e-5


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 61, 67, 100, 134, 256])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", NORMS)
def test_derivatives(name: str, n: int, norm: str) -> None:
    """The transforms are linear: the product with a tangent is the transform of it, and of cotangents the adjoint."""

    def f(x: fn.array) -> fn.array:
        return getattr(fn.fft, name)(x, n, -1, norm)

    real = name in ("rfft", "ihfft")
    width = n // 2 + 1 if name in ("irfft", "hfft") else n
    x, t = (fn.array(signal((2, width), real, seed)) for seed in (1, 2))
    y, pull = fn.vjp(f, x)
    ct = fn.array(signal(y.shape, y.dtype == fn.float32, 3))
    (back,) = pull(ct)
    assert back.dtype == x.dtype
    _, forward = fn.jvp(f, (x,), (t,))

    def dot(a: fn.array, b: fn.array) -> float:
        a, b = (np.asarray(v).astype(np.complex128) for v in (a, b))
        return float((a.real * b.real + a.imag * b.imag).sum())

    size = float(np.linalg.norm(np.asarray(ct)) * np.linalg.norm(np.asarray(forward)))
    assert dot(ct, forward) == pytest.approx(dot(back, t), abs=3e-6 * size)
    np.testing.assert_allclose(forward, f(t), atol=1e-6 * max(1.0, float(fn.abs(f(t)).max())))
    # The adjoint, element by element, for a step that need not be small.
    step = fn.array(signal(x.shape, real, 4))
    numeric = dot(ct, (f(x + step) - f(x - step)) * 0.5)
    assert dot(back, step) == pytest.approx(numeric, abs=1e-5 * (size + 1))

    # Second order: the gradient of a quartic of the spectrum, in the direction t, against central differences.
    def loss(x: fn.array) -> fn.array:
        return (fn.abs(f(x) * float(width) ** -0.5) ** 4).sum()

    _, second = fn.jvp(fn.grad(loss), (x,), (t,))
    h = 0.02
    ahead, behind = (fn.grad(loss)(x + h * sign * t) for sign in (1.0, -1.0))
    slope = (np.asarray(ahead) - np.asarray(behind)) / (2 * h)
    np.testing.assert_allclose(second, slope, atol=3e-3 * (1e-3 + np.abs(slope).max()))


def test_gradients_of_real_signals_agree_with_torch_and_jax() -> None:
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    for n in (7, 8):
        x = signal((3, n), real=True)
        w = signal((3, n // 2 + 1))

        def loss(x: fn.array, w: np.ndarray = w) -> fn.array:
            return (
                fn.abs(fn.fft.rfft(x) * fn.array(w) + 1.0).sum()
                + fn.square(fn.fft.irfft(fn.fft.rfft(x) ** 2, x.shape[1])).sum()
            )

        def jax_loss(x: Any, w: np.ndarray = w) -> Any:
            np_ = jax.numpy
            return (
                np_.abs(np_.fft.rfft(x) * w + 1.0).sum()
                + np_.square(np_.fft.irfft(np_.fft.rfft(x) ** 2, x.shape[1])).sum()
            )

        ours = np.asarray(fn.grad(loss)(fn.array(x)))
        np.testing.assert_allclose(ours, jax.grad(jax_loss)(x), rtol=2e-4, atol=2e-4)
        y = torch.tensor(x, requires_grad=True)
        value = torch.fft.rfft(y)
        (torch.abs(value * torch.tensor(w) + 1.0).sum() + torch.fft.irfft(value**2, n).square().sum()).backward()
        np.testing.assert_allclose(ours, y.grad, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("n", [5, 8, 64, 96, 67, 256])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_vmap_of_derivatives(name: str, n: int) -> None:
    x = fn.array(signal((3, n, 2), real=name == "rfft"))

    def gradient(x: fn.array) -> fn.array:
        return fn.grad(lambda x: (fn.abs(getattr(fn.fft, name)(x, axis=0)) ** 2).sum())(x)

    expected = np.stack([np.asarray(gradient(row)) for row in x])
    np.testing.assert_allclose(fn.vmap(gradient)(x), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    compiled = fn.compile(fn.vmap(gradient))(x)
    np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.on_cpu
@pytest.mark.parametrize("n", [64, 1000, 4096, 4099, 65536, 100003, 131072])
def test_results_do_not_depend_on_threads(n: int) -> None:
    lines = [fn.array(signal((count, n))) for count in (1, 5)]
    functions: list[Callable[[fn.array], fn.array]] = [
        fn.fft.fft, lambda x: fn.fft.rfft(x.real), fn.fft.irfft, lambda x: fn.fft.irfft(x, n),
        lambda x: fn.fft.fft(x.T, axis=0),
    ]  # fmt: skip
    before = fn.get_num_threads()
    results = []
    for threads in (1, 2, 5):
        fn.set_num_threads(threads)
        results.append([np.asarray(f(x)) for x in lines for f in functions])
    fn.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


instruction_set = instruction_sets.fixture(instruction_sets.SUPPORTED)


@pytest.mark.usefixtures("instruction_set")
def test_every_instruction_set_agrees_with_numpy() -> None:
    for n in (1, 6, 60, 64, 67, 100, 256, 1000, 1009, 4096, 70000):
        x = signal((5, n))
        assert error(fn.fft.fft(fn.array(x)), np.fft.fft(x.astype(np.complex128))) < bound(n), n
        assert error(fn.fft.ifft(fn.array(x.T), axis=0).T, np.fft.ifft(x.astype(np.complex128))) < bound(n)
        r = x.real
        assert error(fn.fft.rfft(fn.array(r)), np.fft.rfft(r.astype(float))) < bound(n), n
        if n > 1:
            assert error(fn.fft.irfft(fn.array(x)), np.fft.irfft(x.astype(np.complex128))) < bound(n)


def test_lines_do_not_touch_each_other() -> None:
    """A line of huge numbers, of infinities or of NaN leaves the others alone."""
    for n in (5, 6, 16, 67, 100, 256, 1009):
        x = signal((20, n), real=True)
        clean = np.asarray(fn.fft.rfft(fn.array(x)))
        for bad in (1e30, np.inf, np.nan):
            dirty = x.copy()
            dirty[3] = bad
            for got in (fn.fft.rfft(fn.array(dirty)), fn.fft.rfft(fn.array(dirty.T), axis=0).T):
                rest = np.arange(20) != 3
                np.testing.assert_allclose(np.asarray(got)[rest], clean[rest], rtol=1e-4, atol=1e-5 * np.sqrt(n))


def test_not_a_number_fills_its_line() -> None:
    for n in (4, 8, 100, 1024):
        x = np.ones(n, np.float32)
        x[n // 2] = np.nan
        assert np.isnan(np.asarray(fn.fft.fft(fn.array(x)))).all()
        assert np.isnan(np.asarray(fn.fft.rfft(fn.array(x)))).all()


def test_imaginary_parts_without_a_mirror_image_are_ignored() -> None:
    for n in (2, 3, 8, 9, 256, 1009, 1018):
        half = signal((3, n // 2 + 1))
        other = half.copy()
        other[:, 0] += 5j
        if n % 2 == 0:
            other[:, -1] += 7j
        np.testing.assert_array_equal(fn.fft.irfft(fn.array(half), n), fn.fft.irfft(fn.array(other), n))


def test_large_and_small_numbers() -> None:
    for scale in (1e-30, 1e30):
        x = signal((4, 1000)) * np.float32(scale)
        assert error(fn.fft.fft(fn.array(x)), np.fft.fft(x.astype(np.complex128))) < bound(1000)
        y = fn.fft.ifft(fn.fft.fft(fn.array(x)))
        assert error(y, x.astype(np.complex128)) < 2 * bound(1000)


def test_accuracy_is_that_of_scipy_in_single_precision() -> None:
    scipy_fft = pytest.importorskip("scipy.fft")
    for n in (64, 67, 1024, 1000, 1009, 2**16, 3**9, 2**20):
        x = signal((n,))
        exact = np.fft.fft(x.astype(np.complex128))

        def rms(y: Any, exact: np.ndarray = exact) -> float:
            return float(np.linalg.norm(np.asarray(y) - exact) / np.linalg.norm(exact))

        assert rms(fn.fft.fft(fn.array(x))) < 2 * rms(scipy_fft.fft(x)) + 2e-8, n


def test_the_memory_of_an_input_that_is_needed_no_more_may_be_taken_over() -> None:
    for n in (4, 64, 67, 256, 8192, 131072):
        x = signal((3, n))
        y = fn.fft.fft(fn.fft.ifft(fn.array(x) * 2.0)) + 0.0
        assert error(y, 2.0 * x.astype(np.complex128)) < 2 * bound(n)
        for axis in (0, 1):
            y = fn.fft.fft(fn.array(x) * 2.0, axis=axis)
            assert error(y, 2.0 * np.fft.fft(x.astype(np.complex128), axis=axis)) < bound(n) + 1e-6


def test_hessians_and_checkpoints() -> None:
    x = fn.array(signal((12,), real=True))

    def loss(x: fn.array) -> fn.array:
        return (fn.abs(fn.fft.rfft(x)) ** 4).sum() + fn.fft.ifftn(fn.fft.fftn(x.reshape(3, 4)) ** 2).real.sum()

    hessian = np.asarray(fn.hessian(loss)(x))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-4 * np.abs(hessian).max())
    np.testing.assert_allclose(fn.jacrev(fn.grad(loss))(x), hessian, atol=1e-4 * np.abs(hessian).max())
    np.testing.assert_allclose(fn.grad(fn.checkpoint(loss))(x), fn.grad(loss)(x), rtol=1e-5)


@pytest.mark.parametrize("n", [2, 3, 8, 64, 67, 134, 256, 1000, 8192])
def test_broadcast_elements(n: int) -> None:
    """Along the axis of the transform, and along others."""
    for shape in ((3, 1), (1, 1), (1, n)):
        x = signal(shape)
        whole, r = np.broadcast_to(x, (3, n)), np.broadcast_to(x.real, (3, n))
        a, b = fn.broadcast_to(fn.array(x), (3, n)), fn.broadcast_to(fn.array(x.real), (3, n))
        pairs = [
            (fn.fft.fft(a), np.fft.fft(whole.astype(np.complex128))),
            (fn.fft.ifft(a), np.fft.ifft(whole.astype(np.complex128))),
            (fn.fft.rfft(b), np.fft.rfft(r.astype(float))),
            (fn.fft.rfft(b.T, axis=0).T, np.fft.rfft(r.astype(float))),
            (fn.fft.irfft(a), np.fft.irfft(whole.astype(np.complex128))),
            (fn.fft.irfft(a, 2 * n - 1), np.fft.irfft(whole.astype(np.complex128), 2 * n - 1)),
        ]
        for got, expected in pairs:
            np.testing.assert_allclose(got, expected, atol=3e-6 * np.abs(expected).max() * np.log2(4 * n))


def test_dtypes() -> None:
    for dtype in (fn.float16, fn.bfloat16, fn.float64, fn.int8, fn.uint64, fn.bool_):
        x = fn.array([1, 0, 1, 1]).astype(dtype)
        np.testing.assert_allclose(fn.fft.fft(x), np.fft.fft([1, 0, 1, 1]), atol=1e-6)
        assert fn.fft.fft(x).dtype == fn.complex64
        assert fn.fft.irfft(x).dtype == fn.float32


def test_clearing_caches_forgets_tables() -> None:
    x = fn.array(signal((3, 1021)))
    first = np.asarray(fn.fft.fft(x))
    fn.clear_cache()
    np.testing.assert_array_equal(fn.fft.fft(x), first)
    fn.clear_plan_cache()
    np.testing.assert_array_equal(fn.fft.fft(x), first)


# A GPU compiles kernels for each length, and has no such tables.
@pytest.mark.on_cpu
def test_many_lengths_in_turn_stay_within_the_bound_of_tables() -> None:
    for n in range(1, 700):
        x = signal((n,))
        assert error(fn.fft.fft(fn.array(x)), np.fft.fft(x.astype(np.complex128))) < bound(n)


@pytest.mark.parametrize(
    ("call", "exception", "message"),
    [
        (lambda: fn.fft.fft(fn.array(1.0)), ValueError, "fft: .* scalar"),
        (lambda: fn.fft.fft(fn.zeros((3, 0))), ValueError, r"fft: .* at least 1, got 0 for axis 1 of shape \(3, 0\)"),
        (lambda: fn.fft.fft(fn.zeros(3), n=0), ValueError, "at least 1, got 0"),
        (lambda: fn.fft.ifft(fn.zeros(3), n=-2), ValueError, "ifft: .* got -2"),
        (lambda: fn.fft.fft(fn.zeros(3), axis=1), fn.AxisError, "fft: .*axis 1"),
        (lambda: fn.fft.fft(fn.zeros(3), n=2.5), TypeError, "fft: n must be an integer"),
        (lambda: fn.fft.fft(fn.zeros(3), norm=None), TypeError, "fft: norm must be"),
        (lambda: fn.fft.hfft(fn.zeros(3), norm="Ortho"), ValueError, "hfft: norm must be .* got 'Ortho'"),
        (lambda: fn.fft.rfft(fn.zeros(3, fn.complex64)), ValueError, "rfft: expected real numbers, got complex64"),
        (lambda: fn.fft.irfft(fn.zeros(1)), ValueError, "irfft: .* got 0"),
        (lambda: fn.fft.fftn(fn.zeros((3, 4)), axes=(0, -2)), ValueError, "fftn: axes has an axis twice"),
        (lambda: fn.fft.fftn(fn.zeros((3, 4)), s=(2,), axes=(0, 1)), ValueError, "fftn: s has 1 lengths for 2 axes"),
        (lambda: fn.fft.fftn(fn.zeros((3, 4)), s=(2, 2, 2)), ValueError, "fftn: s has 3 lengths"),
        (lambda: fn.fft.fft2(fn.zeros(3)), fn.AxisError, "fft2: .* no axis -2"),
        (lambda: fn.fft.rfftn(fn.zeros(3), axes=()), ValueError, "rfftn: expected at least one axis"),
        (lambda: fn.fft.fftfreq(0), ValueError, "fftfreq: n must be at least 1"),
        (lambda: fn.fft.rfftfreq(4, d=0), ValueError, "rfftfreq: d must not be zero"),
        (lambda: fn.fft.fftfreq(4, dtype=fn.int32), ValueError, "fftfreq: dtype"),
        (lambda: fn.fft.stft(fn.zeros(8), n_fft=16), ValueError, "stft: pad_mode 'reflect' mirrors 8"),
        (lambda: fn.fft.stft(fn.zeros(8), n_fft=9, center=False), ValueError, "stft: a signal of 8 samples"),
        (lambda: fn.fft.stft(fn.zeros(80), n_fft=8, hop_length=0), ValueError, "stft: hop_length"),
        (lambda: fn.fft.stft(fn.zeros(80), n_fft=8, win_length=9), ValueError, "stft: win_length"),
        (lambda: fn.fft.stft(fn.zeros(80), n_fft=8, window=fn.ones((2, 3))), ValueError, "stft: window"),
        (lambda: fn.fft.stft(fn.zeros(80), n_fft=8, pad_mode="wrap"), ValueError, "stft: pad_mode"),
        (lambda: fn.fft.stft(fn.zeros(80, fn.complex64), n_fft=8, onesided=True), ValueError, "two sides"),
        (lambda: fn.fft.istft(fn.zeros((5, 3), fn.complex64), n_fft=10), ValueError, "istft: 5 frequencies do not fit"),
        (lambda: fn.fft.istft(fn.zeros(5, fn.complex64)), ValueError, "istft: expected spectra"),
        (lambda: fn.fft.istft(fn.zeros((5, 3), fn.complex64), length=-1), ValueError, "istft: length"),
    ],
)
def test_refusals(call: Callable[[], Any], exception: type[BaseException], message: str) -> None:
    with pytest.raises(exception, match=message):
        call()


def test_frequencies() -> None:
    for n in (1, 2, 3, 8, 9, 1000):
        for d in (1.0, 0.1, 1 / 44100, -2.0):
            np.testing.assert_allclose(fn.fft.fftfreq(n, d), np.fft.fftfreq(n, d), rtol=3e-7)
            np.testing.assert_allclose(fn.fft.rfftfreq(n, d, dtype=fn.float64), np.fft.rfftfreq(n, d), rtol=1e-15)
    assert fn.fft.fftfreq(3).dtype == fn.float32


@given(st.data())
@settings(max_examples=60)
def test_short_time_transforms_agree_with_frames_by_hand(data: st.DataObject) -> None:
    n_fft = data.draw(st.integers(1, 40))
    hop = data.draw(st.integers(1, n_fft))
    width = data.draw(st.integers(1, n_fft))
    time = data.draw(st.integers(n_fft, 150))
    center, real = data.draw(st.booleans()), data.draw(st.booleans())
    mode, norm = data.draw(st.sampled_from(["reflect", "constant", "edge"])), data.draw(st.sampled_from(NORMS))
    x = signal((2, time), real=real)
    window = np.random.default_rng(1).uniform(0.5, 1.5, width).astype(np.float32)
    got = fn.fft.stft(fn.array(x), n_fft, hop, width, window, center, mode, norm)
    extended = np.pad(x, ((0, 0), (n_fft // 2, n_fft // 2)), mode) if center else x
    left = (n_fft - width) // 2
    full = np.pad(window, (left, n_fft - width - left)).astype(float)
    frames = np.stack(
        [extended[:, t : t + n_fft] * full for t in range(0, extended.shape[1] - n_fft + 1, hop)], axis=-2
    )
    expected = np.swapaxes((np.fft.rfft if real else np.fft.fft)(frames, norm=norm), -1, -2)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)

    # Back: every sample that the windows cover.
    back = fn.fft.istft(got, n_fft, hop, width, window, center, norm, onesided=real, length=time)
    count, first = got.shape[-1], n_fft // 2 if center else 0
    covered = np.zeros((count - 1) * hop + n_fft)
    for t in range(count):
        covered[t * hop : t * hop + n_fft] += full**2
    covered = np.pad(covered[first : first + time], (0, max(0, time - (len(covered) - first))))
    np.testing.assert_allclose(np.asarray(back)[:, covered > 0], x[:, covered > 0], rtol=1e-3, atol=1e-3)
    assert (np.asarray(back)[:, covered == 0] == 0).all()


def test_short_time_transforms_have_derivatives_and_batch() -> None:
    x = fn.array(signal((2, 60), real=True))
    window = fn.array(np.hanning(16).astype(np.float32))

    def loss(x: fn.array) -> fn.array:
        return fn.square(fn.abs(fn.fft.stft(x, 16, window=window))).sum()

    t = fn.array(signal((2, 60), real=True, seed=1))
    _, slope = fn.jvp(loss, (x,), (t,))
    np.testing.assert_allclose((fn.grad(loss)(x) * t).sum(), slope, rtol=1e-4)
    numeric = (loss(x + 0.5 * t) - loss(x - 0.5 * t)) / 1.0  # exact for a quadratic
    np.testing.assert_allclose(slope, numeric, rtol=1e-3)
    spectra = fn.fft.stft(x, 16, window=window)
    np.testing.assert_allclose(fn.vmap(lambda x: fn.fft.stft(x, 16, window=window))(x), spectra, atol=1e-5)
    back = fn.vmap(lambda s: fn.fft.istft(s, window=window, length=60))(spectra)
    np.testing.assert_allclose(back, x, atol=1e-4)


@pytest.mark.on_cpu
@pytest.mark.parametrize("name", instruction_sets.SUPPORTED)
def test_short_and_long_lines_by_all_instruction_sets(name: str) -> None:
    # Lines of half a vector, one and two of rows; even and odd numbers of them; columns, also one or two more than
    # vectors have room for; passes of each radix.
    shapes = [(n,) for n in (4, 8, 16, 31, 32, 64, 128, 256, 512, 1000, 2048, 32768)]
    shapes += [(lines, n) for lines in (1, 2, 3, 33) for n in (8, 16, 32, 64, 96, 128, 256, 1024)] + [
        (128, 48),
        (37, 128),
        (512, 257),
        (100, 18),
        (134, 33),
    ]
    rng = np.random.default_rng(0)
    with instruction_sets.using(name):
        for shape in shapes:
            x = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
            for call in ("fft", "ifft", "rfft", "irfft"):
                for axis in range(len(shape)):
                    if call == "irfft" and shape[axis] == 1:
                        continue
                    given = x.real.copy() if call == "rfft" else x
                    got = np.asarray(getattr(fn.fft, call)(fn.asarray(given), axis=axis))
                    exact = getattr(np.fft, call)(given.astype(np.complex128 if call != "rfft" else float), axis=axis)
                    assert np.linalg.norm(got - exact) <= 4e-7 * np.linalg.norm(exact), (shape, call, axis)
