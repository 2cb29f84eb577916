"""Signs, neighbours and bits of numbers, and elements at strides of one's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import funcnn as fn

FLOATS = {"float16": np.uint16, "float32": np.uint32, "float64": np.uint64}


def floats(dtype):
    """All numbers, among them subnormal ones, infinities and NaNs of both signs."""
    return hnp.arrays(FLOATS[dtype], (7,)).map(lambda bits: bits.view(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_signs_and_neighbours(dtype, data):
    x, y = data.draw(floats(dtype)), data.draw(floats(dtype))
    a, b = fn.asarray(x), fn.asarray(y)
    bits = FLOATS[dtype]
    np.testing.assert_array_equal(fn.signbit(a), np.signbit(x))
    got, want = np.asarray(fn.copysign(a, b)), np.copysign(x, y)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
    got, want = np.asarray(fn.nextafter(a, b)), np.where(x == y, y, np.nextafter(x, y))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(got.view(bits)[~np.isnan(got)], want.view(bits)[~np.isnan(want)])


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_hypot(dtype, data):
    x, y = data.draw(floats(dtype)), data.draw(floats(dtype))
    got = np.asarray(fn.hypot(fn.asarray(x), fn.asarray(y)))
    with np.errstate(over="ignore", invalid="ignore"):
        want = np.hypot(x.astype(np.longdouble), y.astype(np.longdouble)).astype(dtype)
    eps, least = np.finfo(dtype).eps, np.finfo(dtype).smallest_subnormal
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    np.testing.assert_allclose(got, want, rtol=(1 if dtype == "float64" else 0.5) * 2 * eps, atol=2 * least)


@pytest.mark.parametrize("dtype", FLOATS)
def test_neighbours_at_the_edges(dtype):
    info = np.finfo(dtype)
    edges = np.array([0, info.smallest_subnormal, info.tiny, 1, info.max, np.inf], dtype)
    edges = np.concatenate([edges, -edges])
    x, y = (grid.ravel() for grid in np.meshgrid(edges, edges))
    got = np.asarray(fn.nextafter(fn.asarray(x), fn.asarray(y)))
    with np.errstate(over="ignore"):
        want = np.where(x == y, y, np.nextafter(x, y))  # of equal zeros NumPy returns either
    np.testing.assert_array_equal(got.view(FLOATS[dtype]), want.view(FLOATS[dtype]))


def test_neighbours_of_half_precision():
    one = fn.array([1.0, 0.0, -0.0, 3.0], fn.bfloat16)
    up = fn.nextafter(one, fn.array(float("inf"), fn.bfloat16))
    assert up.dtype == fn.bfloat16
    assert up.tolist() == [1 + 2**-7, 2.0**-133, 2.0**-133, 3 + 2**-6]


def test_slopes():
    x, y = fn.array([3.0, -3.0, 0.0]), fn.array([4.0, -4.0, 0.0])
    for name, along_x, along_y in (
        ("hypot", [0.6, -0.6, 0.0], [0.8, -0.8, 0.0]),
        ("copysign", [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
        ("nextafter", [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
    ):
        slopes = fn.vjp(getattr(fn, name), x, y)[1](fn.ones(3))
        np.testing.assert_allclose(slopes[0], along_x, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(slopes[1], along_y, rtol=1e-6, err_msg=name)
    assert fn.grad(lambda x: fn.copysign(x, -1.0).sum())(fn.array([2.0, -2.0])).tolist() == [-1.0, 1.0]


def test_operands_of_other_dtypes():
    assert fn.hypot(3, 4).item() == 5
    assert fn.copysign(fn.array([1, 2], fn.int8), -1).tolist() == [-1.0, -2.0]
    assert fn.signbit(fn.array([-1, 1], fn.int16)).tolist() == [True, False]
    assert fn.signbit(fn.array([3], fn.uint8)).tolist() == fn.signbit([True]).tolist() == [False]
    assert fn.hypot(fn.array([3.0], fn.float16), 4).dtype == fn.float16
    assert fn.hypot(fn.ones(2, fn.float16), fn.ones(2, fn.float64)).dtype == fn.float64
    for call in (fn.hypot, fn.copysign, fn.nextafter):
        with pytest.raises(ValueError, match=f"{call.__name__}: is not defined for complex64"):
            call(fn.array(1j), 1.0)
    with pytest.raises(ValueError, match="signbit: is not defined for complex64"):
        fn.signbit(1j)


WIDTHS = [np.uint8, np.int8, np.uint16, np.float16, np.int32, np.float32, np.complex64, np.float64, np.uint64]


@given(
    hnp.arrays(st.sampled_from(WIDTHS), hnp.array_shapes(min_dims=1, max_dims=3, max_side=8), elements=st.just(1)),
    st.sampled_from(WIDTHS),
    st.randoms(use_true_random=False),
)
def test_view_reads_the_same_bytes(x, dtype, random):
    x = np.frombuffer(random.randbytes(x.nbytes), x.dtype).reshape(x.shape)
    x = np.where(x == x, x, 0).astype(x.dtype)
    for array, plain in ((fn.asarray(x), x), (fn.asarray(x)[::-1], x[::-1])):
        plain = np.ascontiguousarray(plain)
        if plain.shape[-1] * plain.itemsize % np.dtype(dtype).itemsize:
            with pytest.raises(ValueError, match="view: the last axis"):
                array.view(dtype)
            continue
        got = array.view(dtype)
        assert got.shape == plain.view(dtype).shape
        assert got.dtype == np.dtype(dtype)
        assert np.asarray(got).tobytes() == plain.tobytes()


def test_view_at_the_edges():
    assert fn.array(1.0).view(fn.int32).item() == 0x3F800000
    assert fn.array([0, 1, 2, 255], fn.uint8).view(fn.bool_).tolist() == [False, True, True, True]
    assert fn.array([True, False]).view(fn.uint8).tolist() == [1, 0]
    assert fn.array([1.5], fn.bfloat16).view(fn.uint16).tolist() == [0x3FC0]
    assert fn.zeros((0, 4), fn.uint8).view(fn.float32).shape == (0, 1)
    assert fn.zeros((2, 0)).view(fn.uint8).shape == (2, 0)
    with pytest.raises(ValueError, match="view: an array of no axes keeps the size of its elements"):
        fn.array(1.0).view(fn.int16)
    with pytest.raises(ValueError, match=r"view: the last axis of an array of shape \(3,\) has 3 bytes of int8"):
        fn.zeros(3, fn.int8).view(fn.int32)
    assert fn.vmap(lambda x: x.view(fn.int16))(fn.ones((3, 2))).shape == (3, 4)
    with pytest.raises(ValueError, match="view: an array of no axes"):
        fn.vmap(lambda x: x.view(fn.int16))(fn.ones(3))
    assert fn.compile(lambda x: (x + 1).view(fn.int32))(fn.zeros(2)).tolist() == [0x3F800000] * 2


def test_slopes_of_view():
    x = fn.array([1.0, 2.0, 3.0, 4.0])
    # |a + bj|^2
    assert fn.grad(lambda x: (fn.abs(x.view(fn.complex64)) ** 2).sum())(x).tolist() == [2.0, 4.0, 6.0, 8.0]
    z = fn.array([1 + 2j])
    assert fn.grad(lambda z: (z.view(fn.float32) ** 2).sum())(z).tolist() == [2 + 4j]
    _, tangent = fn.jvp(lambda x: x.view(fn.complex64), (x,), (fn.ones(4),))
    assert tangent.tolist() == [1 + 1j, 1 + 1j]
    assert fn.grad(lambda x: (x * x.view(fn.int32).astype(fn.float32)).sum())(fn.zeros(2)).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="view: has no derivative"):
        fn.grad(lambda x: x.view(fn.float16).astype(fn.float32).sum())(x)


@given(st.data())
def test_as_strided(data):
    size = data.draw(st.integers(1, 30))
    x = np.arange(size, dtype=np.float32)
    rank = data.draw(st.integers(0, 3))
    shape = data.draw(st.lists(st.integers(0, 4), min_size=rank, max_size=rank))
    strides = data.draw(st.lists(st.integers(-6, 6), min_size=rank, max_size=rank))
    offset = data.draw(st.integers(-2, size + 1))
    places = np.full(shape, offset)
    for axis in range(rank):
        along = [1] * rank
        along[axis] = -1
        places = places + strides[axis] * np.arange(shape[axis]).reshape(along)
    if places.size and (places.min() < 0 or places.max() >= size):
        with pytest.raises(ValueError, match="as_strided: .* leave the"):
            fn.as_strided(fn.array(x), shape, strides, offset)
        return
    got = fn.as_strided(fn.array(x), shape, strides, offset)
    np.testing.assert_array_equal(got, x[places] if places.size else np.zeros(shape))
    slope = fn.grad(lambda x: (fn.as_strided(x, shape, strides, offset) * fn.arange(places.size).reshape(shape)).sum())
    want = np.zeros(size)
    np.add.at(want, places.ravel().astype(int), np.arange(places.size))
    np.testing.assert_array_equal(slope(fn.array(x)), want)


def test_as_strided_by_default():
    x = fn.arange(6).reshape(2, 3)
    assert fn.as_strided(x).tolist() == x.tolist()
    assert fn.as_strided(x.T).tolist() == x.T.tolist()
    assert fn.as_strided(x, (2, 2)).tolist() == [[0, 1], [2, 3]]
    assert fn.as_strided(x, (), (), 5).item() == 5
    assert fn.as_strided(fn.array(7), (3,), (0,)).tolist() == [7, 7, 7]
    assert fn.as_strided(x, 3, 2).tolist() == [0, 2, 4]


def test_overlapping_views_are_read_before_they_are_written():
    window = fn.compile(lambda x: fn.as_strided(x, (4, 3), (1, 1)) + x[:3], donate="x")
    assert window(fn.arange(6.0)).tolist() == [[i + 2 * j for j in range(3)] for i in range(4)]
    assert fn.compile(lambda x: (fn.as_strided(x, (5,), (1,), 1), x[:5] * 2), donate="x")(fn.arange(6.0))[0].tolist() == [
        1.0, 2.0, 3.0, 4.0, 5.0
    ]  # fmt: skip


def test_contiguous():
    x = fn.arange(6).reshape(2, 3)
    columns = fn.contiguous(x.T)
    assert memoryview(columns).c_contiguous and columns.tolist() == x.T.tolist()
    assert fn.grad(lambda x: (fn.contiguous(x.T) * 2).sum())(fn.ones((2, 3))).tolist() == [[2.0] * 3] * 2
    assert fn.compile(lambda x: fn.contiguous(x.T))(x).tolist() == x.T.tolist()


@pytest.mark.on_cpu  # what other devices hold comes to the host row by row
def test_contiguous_by_columns():
    x = fn.arange(6).reshape(2, 3)
    assert not memoryview(fn.contiguous(x.T, allow_col_major=True)).c_contiguous


def test_depends():
    x, y = fn.array([1.0]), fn.array([2.0])
    assert fn.depends(x, y).tolist() == [1.0]
    assert [a.tolist() for a in fn.depends([x, y], (x,))] == [[1.0], [2.0]]
    assert fn.grad(lambda x, y: fn.depends(x, y).sum(), argnums=(0, 1))(x, y)[1].tolist() == [0.0]
    with pytest.raises(TypeError, match="depends: expected a sequence of arrays"):
        fn.depends(x, 3)
