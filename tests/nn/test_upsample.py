"""Upsample beyond the table of layers: PyTorch's figures, dtypes, infinities, sizes of one and of nothing, refusals."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn
from funcnn.nn import _upsample_taps
from widest import WIDEST, reachable

INF = float("inf")


def line(*values, dtype=fn.float32):
    return fn.array(np.reshape(values, (1, -1, 1))).astype(dtype)


def resample(values, *args, **options):
    return fn.flatten(nn.Upsample(*args, **options)({}, line(*values))).tolist()


# torch 2.13: F.interpolate(x, scale_factor=(2, 1), mode="bicubic", align_corners=..., antialias=...) of columns that hold
# these numbers, "linear" of one.
@pytest.mark.parametrize(
    ("given", "arguments", "expected"),
    [
        ((1, 2, 4, 8, 5), (2, "linear"), [1.0, 1.25, 1.75, 2.5, 3.5, 5.0, 7.0, 7.25, 5.75, 5.0]),
        (
            (1, 2, 4, 8, 5),
            (2, "linear", True),
            [1.0, 1.444444, 1.888889, 2.666667, 3.555556, 4.888889, 6.666667, 7.666667, 6.333333, 5.0],
        ),
        (
            (1, 2, 4, 8, 5),
            (2, "cubic"),
            [0.894531, 1.15625, 1.5625, 2.417969, 3.160156, 5.222656, 7.480469, 7.742188, 5.820312, 4.683594],
        ),
        (
            (1, 2, 4, 8, 5),
            (2, "cubic", True),
            [1.0, 1.272976, 1.776406, 2.518517, 3.22908, 5.080935, 7.185185, 7.987656, 6.641975, 5.0],
        ),
        ((1, 2, 4, 8, 5, 3), (0.5, "linear", False, True), [1.857143, 5.375, 4.571429]),
        ((1, 2, 4, 8, 5, 3), (0.5, "cubic", False, True), [1.514644, 5.721374, 4.51046]),
    ],
)
def test_figures_of_pytorch(given, arguments, expected):
    np.testing.assert_allclose(resample(given, *arguments), expected, atol=2e-6)


def test_nearest_rounds_exactly():
    # In float32, 27 * (58 / 54) falls short of 29.
    assert resample(range(58), 54 / 58)[27] == 29.0
    for size, scale in [(7, 1.3), (64, 5.91), (33, 0.77), (1000, 1.5)]:
        count = int(scale * size)
        ends = [0, count - 1] if count > size else [0, (count - 1) * size // count]
        got = resample(range(size), scale)
        assert len(got) == count and got[0] == 0.0 and got[-1] == (size - 1 if count > size else ends[1])
        assert np.all(np.diff(got) >= 0)


def test_nearest_keeps_every_dtype():
    for dtype in (fn.bool_, fn.uint8, fn.int64, fn.float16, fn.complex64):
        y = nn.Upsample((2,))({}, line(0, 1, dtype=dtype))
        assert y.dtype == dtype and fn.flatten(y).astype(fn.int32).tolist() == [0, 0, 1, 1]


def test_dtypes_of_interpolation():
    for dtype, result in [(fn.int32, fn.float32), (fn.bool_, fn.float32), (fn.float64, fn.float64)]:
        assert nn.Upsample(2, "linear")({}, line(0, 1, dtype=dtype)).dtype == result
    y = nn.Upsample(2, "linear")({}, line(0, 4, dtype=fn.complex64) * 1j)
    assert fn.flatten(y).tolist() == [0, 1j, 3j, 4j]


def test_positions_are_exact_far_from_the_beginning():
    # float32 has no fractions left beyond 2**23.
    x = fn.arange(20_000, dtype=fn.float64).reshape(1, -1, 1)
    y = np.asarray(nn.Upsample(1.7, "linear")({}, x)).ravel()
    steps = np.diff(y[1:-1])
    np.testing.assert_allclose(steps, 1 / 1.7, atol=1e-7 * 2)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("shape", [(2, 1, 3), (1, 5, 2), (1, 4, 3, 2), (2, 3, 1, 2, 1)])
@pytest.mark.parametrize("scale", [2, 4, 10])
def test_whole_scales_agree_with_positions_and_weights(mode, shape, scale):
    x = np.random.default_rng(0).normal(size=shape)
    expected = x
    for axis, size in enumerate(shape[1:-1], 1):
        taps = _upsample_taps.taps(size, scale * size, float(scale), mode, False, False)
        along = [1] * len(shape)
        along[axis] = -1
        expected = sum(expected.take(places, axis) * weights.reshape(along) for places, weights in taps)
    layer = nn.Upsample(scale, mode)
    y, pull = fn.vjp(lambda x: layer({}, x), fn.array(x, WIDEST))
    np.testing.assert_allclose(np.asarray(y), expected, atol=reachable(1e-14))
    # The gradient is the transpose.
    ct = np.random.default_rng(1).normal(size=expected.shape)
    (gradient,) = pull(fn.array(ct, WIDEST))
    np.testing.assert_allclose(np.sum(np.asarray(gradient) * x), np.sum(ct * expected), rtol=reachable(1e-11))


def test_nearest_repeats_elements_by_whole_scales():
    x = np.arange(12).reshape(1, 2, 3, 2)
    for scales in [(2, 3), (1, 5), (4.0, 1)]:
        y = nn.Upsample(scales)({}, fn.array(x))
        assert y.tolist() == x.repeat(int(scales[0]), 1).repeat(int(scales[1]), 2).tolist()


def test_infinite_neighbours_without_a_share():
    assert resample((-INF, 1.0, 2.0), 2, "linear", align_corners=True) == pytest.approx([-INF, -INF, -INF, 1.2, 1.6, 2])
    assert resample((-INF, 1.0, 2.0), 3, "linear")[3:] == pytest.approx([-INF, 1.0, 4 / 3, 5 / 3, 2.0, 2.0])


def test_sizes_of_one():
    for mode in ("linear", "cubic"):
        for align in (False, True):
            assert resample((5.0,), 3, mode, align) == pytest.approx([5.0, 5.0, 5.0])
            wanted = 1.0 if align else 2.0  # the first corner, or the middle
            assert resample((1.0, 2.0, 3.0), 0.4, mode, align) == pytest.approx([wanted])
    assert resample((1.0, 2.0, 3.0), 1, "cubic") == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_nothing(mode):
    layer = nn.Upsample(1.5, mode)
    for shape, wanted in [((2, 0, 3), (2, 0, 3)), ((0, 4, 3), (0, 6, 3)), ((2, 4, 0), (2, 6, 0))]:
        x = fn.ones(shape)
        assert layer({}, x).shape == wanted and layer({}, x).tolist() == fn.ones(wanted).tolist()
        assert fn.grad(lambda x: fn.sum(layer({}, x)))(x).shape == shape


def test_gradients_add_up():
    for mode, options in [("nearest", {}), ("linear", {}), ("cubic", {}), ("linear", {"antialias": True})]:
        layer = nn.Upsample((1.6, 0.7), mode, **options)
        x = fn.ones((1, 5, 6, 1))
        g = fn.grad(lambda x, layer=layer: fn.sum(layer({}, x)))(x)
        np.testing.assert_allclose(fn.sum(g).item(), layer({}, x).size, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Upsample(0), ValueError, "Upsample: scale_factor must be above 0 and finite, got 0"),
        (lambda: nn.Upsample((2, INF)), ValueError, r"scale_factor must be above 0 and finite, got \(2, inf\)"),
        (lambda: nn.Upsample(True), TypeError, "scale_factor must be a number or one for each spatial axis, got True"),
        (lambda: nn.Upsample("2"), TypeError, "scale_factor must be a number"),
        (lambda: nn.Upsample([]), ValueError, "scale_factor must be a number or one for each"),
        (lambda: nn.Upsample(2, "bilinear"), ValueError, "mode must be 'nearest', 'linear' or 'cubic', got 'bilinear'"),
        (lambda: nn.Upsample(2, align_corners=True), ValueError, "align_corners is for the modes 'linear' and 'cubic'"),
        (lambda: nn.Upsample(2, antialias=True), ValueError, "antialias is for the modes"),
        (lambda: nn.Upsample(2, "linear", 1), TypeError, "align_corners must be True or False, got 1"),
        (lambda: nn.Upsample(2, "cubic", True, True), ValueError, "antialias does not go with align_corners"),
        (
            lambda: nn.Upsample(2)({}, fn.ones((3, 4))),
            ValueError,
            r"in Upsample: expected \(N, spatial..., C\) with one or more spatial axes, got \(3, 4\)",
        ),
        (lambda: nn.Upsample((2, 2))({}, fn.ones((1, 3, 4))), ValueError, r"with 2 spatial axes, got \(1, 3, 4\)"),
        (lambda: nn.Upsample(0.2)({}, fn.ones((1, 4, 1))), ValueError, "nothing is left of an axis of size 4 scaled"),
        (lambda: nn.Upsample(1e300)({}, fn.ones((1, 4, 1))), ValueError, r"would have more than 2\*\*31 - 1 elements"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
