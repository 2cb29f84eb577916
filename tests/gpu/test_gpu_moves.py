"""Kernels that move elements, on the gpu against the CPU: each form of each, at the sizes where forms change."""

import numpy as np
import pytest

import funcnn as fn

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")


def both(function, *arguments, exact=True, rtol=1e-6):
    """function of arrays on the gpu and on the CPU gives the same; twice on the gpu, the same bits."""
    here = [fn.array(a) for a in arguments]
    there = [fn.device_put(a, fn.gpu) for a in here]
    expected, got, again = function(*here), function(*there), function(*there)
    assert got.device == fn.gpu and got.dtype == expected.dtype and got.shape == expected.shape
    widen = (lambda x: x.astype(fn.float32)) if expected.dtype == fn.bfloat16 else (lambda x: x)
    got, again, expected = (np.asarray(widen(x)) for x in (got, again, expected))
    np.testing.assert_array_equal(got, again)
    if exact:
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def rng():
    return np.random.default_rng(11)


def numbers(*shape, dtype=np.float32):
    return (rng().standard_normal(shape) * 10).astype(dtype)


DTYPES = [np.float32, np.float16, np.int8, np.uint16, np.int64, np.bool_, np.complex64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_concatenate(dtype):
    a, b, c = numbers(3, 5, dtype=dtype), numbers(3, 0, dtype=dtype), numbers(3, 7, dtype=dtype)
    both(lambda *xs: fn.concatenate(xs, axis=1), a, b, c)
    both(lambda x, y: fn.concatenate([x.T, y.T[::-1]], axis=0), a, c)
    both(lambda x: fn.stack([x, x[:, ::-1]], axis=-1), a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad(dtype):
    x = numbers(3, 4, 5, dtype=dtype)
    both(lambda x: fn.pad(x, [(1, 0), (0, 2), (3, 1)]), x)
    both(lambda x: fn.pad(x, [(0, 0), (0, 0), (2, 0)], constant_values=1), x)
    both(lambda x: fn.pad(x, [(2, 1), (0, 0), (0, 0)]), x)
    both(lambda x: fn.pad(x.transpose(2, 0, 1)[::2], 1), x)
    both(lambda x: fn.pad(x[:0], 1), x)


def test_interior_padding():
    x = numbers(3, 4, 5)
    both(fn.grad(lambda x: (x[::2, 1::3, ::-2] ** 2).sum()), x)


def test_pad_of_many_axes():
    both(lambda x: fn.pad(x, [(1, 2), (0, 1), (1, 0), (0, 0), (2, 2)]), numbers(2, 3, 1, 2, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_slice_update(dtype):
    x, v = numbers(7, 9, dtype=dtype), numbers(3, 4, dtype=dtype)
    both(lambda x, v: x.at[1:7:2, 5:1:-1].set(v), x, v)
    both(lambda x, v: x.at[2].set(v[0, 0]), x, v)
    both(lambda x, v: x.T.at[:4, :3].set(v.T), x, v)
    both(lambda x, v: x.at[:0].set(v[:0, :1]), x, v)


def test_a_slice_is_updated_in_place():
    def steps(x):
        for i in range(4):
            x = (x + 1).at[i].set(float(i))
        return x

    both(steps, numbers(5, 3))


def test_view():
    x = numbers(4, 6)
    both(lambda x: x.view(fn.int32), x)
    both(lambda x: x.view(fn.uint16), x)
    both(lambda x: x.T.view(fn.uint8), x)
    both(lambda x: x.view(fn.uint8).view(fn.bool_), np.array([[0.0, 1.5, -0.0]], np.float32))


# ---- gather


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 33])
def test_rows_of_an_embedding(dtype, width):
    table, places = numbers(11, width, dtype=dtype), rng().integers(-15, 15, (4, 6))
    both(lambda t, i: t[i], table, places.astype(np.int32))
    both(lambda t, i: t[i], table, places)
    both(lambda t, i: t[i.T], table, np.abs(places).astype(np.uint32))


def test_rows_that_begin_at_odd_places():
    x = numbers(40, dtype=np.float16)
    both(lambda x, i: x[1:37].reshape(9, 4)[i], x, np.array([3, -1, 8, 0]))
    both(lambda x, i: x[3:39].reshape(9, 4)[::-1][i], x, np.array([3, -1, 8, 0]))


def test_gather_forms():
    x = numbers(5, 6, 7)
    i, j = np.array([[0], [4], [-5], [9]]), np.array([1, 5, -2], np.int32)
    both(lambda x, i, j: x[i, j], x, i, j)
    both(lambda x, i, j: x[i, :, j], x, i, j)
    both(lambda x, i, j: x[:, i, j], x, i, j)
    both(lambda x, j: x.transpose(2, 1, 0)[j], x, j)
    both(lambda x, i: x[i[:, 0], 2, ::2], x, i)
    both(lambda x, i: fn.take(x, i, axis=1), x, i)
    both(lambda x, i: fn.take(x, i), x, i)
    both(lambda x, i: x[i[0]], x, i)
    both(lambda x, i: x[i[:0]], x, i)
    both(lambda x, j: x[:0][j], x, j)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_take_along_axis(axis):
    x = numbers(4, 5, 6)
    places = rng().integers(-4, 4, (4, 5, 6))
    both(lambda x, i: fn.take_along_axis(x, i, axis), x, places)
    both(lambda x, i: fn.take_along_axis(x, i[:1], axis), x, places.astype(np.int32))


def test_gather_of_batches():
    both(fn.vmap(lambda x, i: x[i]), numbers(3, 7, 2), rng().integers(-9, 9, (3, 4)))
    both(fn.vmap(lambda x, i: x[i], in_axes=(None, 0)), numbers(7, 2), rng().integers(-9, 9, (3, 4)))
    both(fn.vmap(fn.vmap(lambda x, i, j: x[i, j])), numbers(2, 3, 4, 5), *rng().integers(0, 4, (2, 2, 3, 6)))


# ---- scatter

MODES = ["set", "add", "multiply", "maximum", "minimum"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 300, 1100, 2500])
def test_updates_of_elements(mode, count):
    """Few updates look for each other; many are ordered, in one block and in several that are merged."""
    places = rng().integers(-12, 12, count)
    values = numbers(count, dtype=np.int32)
    both(lambda x, i, v: getattr(x.at[i], mode)(v), numbers(10, dtype=np.int32), places, values)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint64, np.bool_, np.complex64])
@pytest.mark.parametrize("count", [5, 80])
def test_updates_of_rows(mode, dtype, count):
    if dtype in (np.bool_, np.complex64) and mode in ("maximum", "minimum"):
        pytest.skip("not ordered")
    x, values = numbers(6, 3, 2, dtype=dtype), numbers(count, 3, 2, dtype=dtype)
    if mode == "multiply":
        values = np.where(values > 0, 1, 2).astype(dtype)
    places = rng().integers(-7, 7, count).astype(np.int32)
    rtol = 1e-2 if dtype == np.float16 else 1e-5
    both(lambda x, i, v: getattr(x.at[i], mode)(v), x, places, values, exact=mode == "set", rtol=rtol)


@pytest.mark.parametrize("mode", MODES)
def test_all_updates_at_one_place(mode):
    values = rng().integers(0, 3, 1500).astype(np.int32)
    both(lambda x, v: getattr(x.at[fn.zeros(1500, dtype=fn.int32)], mode)(v), np.array([7, 8], np.int32), values)


def test_sums_of_a_class_go_over_chunks():
    both(
        lambda x, i: x.at[i].add(1),
        np.zeros(5, np.int32),
        np.repeat([4, 1, 0], [700, 900, 500]),
    )


def test_updates_of_several_axes():
    x, v = numbers(5, 6, 7), numbers(4, 3)
    i, j = np.array([[0], [4], [-5], [9]]), np.array([1, 5, -2])
    both(lambda x, i, j, v: x.at[i, :, j].set(v[:, :, None]), x, i, j, v)
    both(lambda x, i, j, v: x.at[:, i, j].add(v), x, i, j, v, exact=False)
    both(lambda x, i, v: x.T.at[i[:, 0]].add(v[0, 0]), x, i, v, exact=False)
    both(lambda x, i: x.at[i[:0]].set(1), x, i)


def test_updates_of_batches():
    places = rng().integers(-6, 6, (5, 70))
    values = numbers(5, 70, dtype=np.int32)
    x = numbers(5, 6, dtype=np.int32)
    for mode in MODES:
        both(fn.vmap(lambda x, i, v, mode=mode: getattr(x.at[i], mode)(v)), x, places, values)
        both(fn.vmap(lambda x, i, v, mode=mode: getattr(x.at[i], mode)(v)), x, places[:, :3], values[:, :3])
    both(lambda x, i, v: fn.put_along_axis(x, i, v, 1), x, places[:, :4] % 6, values[:, :4])


def test_nan_and_zeros_of_updates():
    x = np.array([np.nan, 1, -0.0, 2], np.float32)
    v = np.array([1, np.nan, 0.0, -np.inf], np.float32)
    i = np.array([0, 1, 2, 3])
    for mode in ("maximum", "minimum", "add"):
        both(lambda x, i, v, mode=mode: getattr(x.at[i], mode)(v), x, i, v)


def test_the_gradient_of_an_embedding():
    table, tokens = numbers(50, 8), np.minimum(rng().geometric(0.1, (6, 40)), 60)
    both(lambda t, i: fn.grad(lambda t: (t[i] ** 2).sum())(t), table, tokens, exact=False, rtol=1e-4)


# ---- argmax, argmin


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.int8, np.uint32, np.int64, np.uint64, np.bool_, np.complex64]
)
def test_largest_and_smallest(dtype):
    for shape, axis in [((3, 4, 5), 1), ((2, 300), 1), ((300, 3), 0), ((70, 70), 0), ((1, 1), 1), ((9,), 0)]:
        x = numbers(*shape, dtype=dtype)
        both(lambda x, a=axis: fn.argmax(x, axis=a), x)
        both(lambda x, a=axis: fn.argmin(x, axis=a), x)


@pytest.mark.parametrize("shape", [(1, 70001), (2, 40000), (40000, 2)])
def test_long_lines_are_reduced_in_pieces(shape):
    x = rng().integers(0, 1000, shape).astype(np.float32)  # many ties
    axis = int(np.argmax(shape))
    both(lambda x: fn.argmax(x, axis=axis), x)
    both(lambda x: fn.argmin(x[::-1, ::-1], axis=axis), x)
    x[5 % shape[0], 5 % shape[1]] = np.nan
    x[-1, -1] = np.nan
    both(lambda x: fn.argmax(x, axis=axis), x)
    both(lambda x: fn.argmin(x), x)


def test_special_values_of_argmax():
    x = np.array(
        [[0.0, -0.0, 0.0], [-0.0, 0.0, 0.0], [np.inf, np.nan, np.nan], [-np.inf, -np.inf, 1], [np.nan, 1, 2]],
        np.float32,
    )
    for flip in (1, -1):
        both(lambda x, f=flip: fn.argmax(x * f, axis=1), x)
        both(lambda x, f=flip: fn.argmin(x * f, axis=1), x)
        both(lambda x, f=flip: fn.argmax((x * f).astype(fn.bfloat16), axis=1), x)


# ---- masks


@pytest.mark.parametrize("length", [1, 7, 2047, 2048, 2049, 5000])
def test_rows_under_a_mask(length):
    mask = rng().integers(0, 2, length).astype(bool)
    values = numbers(int(mask.sum()))
    both(fn.compile(lambda x, m, v: x.at[m].set(v)), numbers(length), mask, values)
    backwards = fn.device_put(fn.array(mask[::-1].copy()), fn.gpu)[::-1]
    fn.eval(backwards)  # an array of its own, whose step is negative
    x, expected = numbers(length), numbers(length)
    expected[mask] = values
    x, values = (fn.device_put(fn.array(a), fn.gpu) for a in (x, values))
    np.testing.assert_array_equal(
        np.asarray(fn.compile(lambda x, m, v: x.at[m].set(v))(x, backwards, values)), expected
    )


def test_a_wrong_number_of_values_for_a_mask():
    update = fn.compile(lambda x, m, v: x.at[m].set(v))
    x, m, v = (
        fn.device_put(fn.array(a), fn.gpu) for a in (np.zeros(5, np.float32), [True] * 3 + [False] * 2, [1.0, 2.0])
    )
    with pytest.raises(ValueError, match="2"):
        fn.eval(update(x, m, v))
    assert update(x, m, fn.device_put(fn.array([1.0, 2.0, 3.0]), fn.gpu)).tolist() == [1, 2, 3, 0, 0]
