"""Products on the gpu against NumPy in float64: each way of computing them, at the sizes where ways change."""

import numpy as np
import pytest

import funcnn as fn

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")

TOLERANCE = {"float32": 2e-6, "float16": 4e-3, "bfloat16": 2e-2, "complex64": 2e-6}


def draw(seed, *shape, dtype="float32"):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if dtype == "complex64":
        x = x + 1j * rng.standard_normal(shape)
    x = fn.array(x.astype(np.complex64 if dtype == "complex64" else np.float32)).astype(getattr(fn, dtype))
    return fn.device_put(x, fn.gpu), wide(x)


def wide(x):
    x = fn.device_put(x, "cpu")
    if x.dtype == fn.complex64:
        return np.asarray(x).astype(np.complex128)
    return np.asarray(x.astype(fn.float32)).astype(np.float64)


def agree(compute, expected, dtype):
    """What `compute` gives is near, and the second time the same in every bit."""
    got, again = compute(), compute()
    assert got.dtype == getattr(fn, dtype) and got.shape == expected.shape
    assert got.device == fn.gpu or not expected.any()  # constants are anywhere
    np.testing.assert_array_equal(wide(got), wide(again))
    scale = np.abs(expected).max() if expected.size else 1.0
    np.testing.assert_allclose(wide(got), expected, rtol=0, atol=TOLERANCE[dtype] * max(scale, 1e-6))


# m, k, n: an element a thread, tiles around their sizes, a depth that is split, few rows and few columns.
SIZES = [
    (1, 1, 5),
    (7, 3, 9),
    (31, 33, 33),
    (64, 48, 65),
    (65, 17, 129),
    (20, 2049, 17),
    (1, 5000, 3),
    (3, 1030, 70),
    (130, 515, 2),
    (8, 700, 9),
    (1, 770, 2304),
    (2, 301, 520),
    (5, 90, 1028),
    (1, 16500, 8),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sizes(sizes, dtype):
    m, k, n = sizes
    (a, x), (b, y) = draw(0, m, k, dtype=dtype), draw(1, k, n, dtype=dtype)
    agree(lambda: a @ b, x @ y, dtype)


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("rows", [3, 40])
def test_operands_are_read_where_they_lie(rows, left, right, dtype):
    k, n = 300, 48
    a, x = draw(0, *((k, rows) if left else (rows, k)), dtype=dtype)
    b, y = draw(1, *((n, k) if right else (k, n)), dtype=dtype)
    if left:
        a, x = fn.swapaxes(a, 0, 1), x.T
    if right:
        b, y = fn.swapaxes(b, 0, 1), y.T
    agree(lambda: a @ b, x @ y, dtype)


def test_views_with_any_strides():
    (a, x), (b, y) = draw(0, 80, 90), draw(1, 90, 100)
    agree(lambda: a[::2, 1:83:2] @ b[1:83:2, 1::2], x[::2, 1:83:2] @ y[1:83:2, 1::2], "float32")
    # Rows that begin off the multiples of 16 bytes.
    agree(lambda: a[3:60, 1:70] @ b[1:70, 3:60], x[3:60, 1:70] @ y[1:70, 3:60], "float32")
    agree(lambda: a[5:6, 1:90] @ b[1:90, 1:], x[5:6, 1:90] @ y[1:90, 1:], "float32")


@pytest.mark.parametrize(
    "lead", [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((4,), ()), ((), (4,)), ((2, 0), (1,))], ids=str
)
@pytest.mark.parametrize("sizes", [(4, 5, 6), (20, 40, 50), (2, 90, 60)], ids=str)
def test_batches_broadcast(lead, sizes):
    m, k, n = sizes
    (a, x), (b, y) = draw(0, *lead[0], m, k), draw(1, *lead[1], k, n)
    agree(lambda: a @ b, x @ y, "float32")


@pytest.mark.parametrize(
    "shapes", [((0, 3), (3, 4)), ((3, 0), (0, 4)), ((3, 4), (4, 0)), ((2, 3, 0), (2, 0, 5))], ids=str
)
def test_empty(shapes):
    (a, x), (b, y) = draw(0, *shapes[0]), draw(1, *shapes[1])
    agree(lambda: a @ b, x @ y, "float32")


@pytest.mark.parametrize("rows", [2, 40])
@pytest.mark.parametrize("depth", [40, 3000])
def test_what_follows_a_product(rows, depth):
    (a, x), (b, y), (c, z) = draw(0, rows, depth), draw(1, depth, 48), draw(2, 48)
    agree(lambda: fn.tanh(a @ b * 0.01 + c), np.tanh(x @ y * 0.01 + z), "float32")
    both = x @ y

    def twice():
        product = a @ b
        return fn.concatenate([product, fn.maximum(product, 0) * c])

    agree(twice, np.concatenate([both, np.maximum(both, 0) * z]), "float32")


@pytest.mark.parametrize("rows", [1, 3, 64, 130])
@pytest.mark.parametrize(
    "dtype, to",
    [
        ("float32", "int32"),
        ("float32", "uint32"),
        ("float16", "int16"),
        ("float16", "bfloat16"),
        ("bfloat16", "uint16"),
        ("bfloat16", "float16"),
    ],
)
def test_what_follows_a_product_takes_its_place_with_another_dtype(dtype, to, rows):
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, 3, shape).astype(np.float32) for shape in ((rows, 40), (40, 64)))
    images, filters = rng.integers(0, 2, (1, rows, 5, 4)).astype(np.float32), np.ones((8, 1, 1, 4), np.float32)
    x, y, u, v = (fn.device_put(fn.array(z).astype(getattr(fn, dtype)), fn.gpu) for z in (a, b, images, filters))
    np.testing.assert_array_equal(wide((x @ y).astype(getattr(fn, to))), a @ b)
    np.testing.assert_array_equal(wide(((x @ y) > 40).astype(getattr(fn, to))), a @ b > 40)
    expected = np.repeat(images.sum(-1, keepdims=True), 8, -1)
    np.testing.assert_array_equal(wide(fn.conv2d(u, v).astype(getattr(fn, to))), expected)


def test_infinities_and_nan_stay_in_their_rows_and_columns():
    a, x = draw(0, 40, 50)
    b, y = draw(1, 50, 45)
    x[3, 7], y[9, 4] = np.inf, np.nan
    a, b = (fn.device_put(fn.array(v.astype(np.float32)), fn.gpu) for v in (x, y))
    with np.errstate(invalid="ignore"):
        expected = x @ y
    got = wide(a @ b)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(expected))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [48, 47])
def test_what_lies_last_is_met_once(n, turned):
    # Lanes that have nothing to read read the last again.
    a, x = draw(0, 2, 132)
    y = np.random.default_rng(1).standard_normal((132, n)).astype(np.float32)
    y[-1, 3], y[-1, -1], y[0, -2] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = x @ y
    b = fn.device_put(fn.array(y.T.copy()), fn.gpu).T if turned else fn.device_put(fn.array(y), fn.gpu)
    np.testing.assert_allclose(wide(a @ b), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "items, m, matrices", [(3, 2, 4), (60, 1, 3), (40, 3, 2), (5, 33, 3), (200, 1, 1)], ids=lambda v: str(v)
)
def test_chosen_matrices(items, m, matrices, dtype):
    k, n = 40, 48
    (a, x), (b, y) = draw(0, 4, m, k, dtype=dtype), draw(1, matrices, n, k, dtype=dtype)
    b, y = fn.swapaxes(b, 1, 2), y.swapaxes(1, 2)
    (c, z) = draw(2, items, m, n, dtype=dtype)
    rng = np.random.default_rng(3)
    left, right = rng.integers(-4, 4, items), rng.integers(0, matrices, items)
    numbers = {
        "lhs_indices": fn.device_put(fn.array(left), fn.gpu),
        "rhs_indices": fn.device_put(fn.array(right), fn.gpu),
    }
    agree(lambda: fn.gather_mm(a, b, **numbers), x[left] @ y[right], dtype)
    expected = np.zeros(y.shape)
    np.add.at(expected, right, x[left].swapaxes(1, 2) @ z)
    agree(lambda: fn.grad(lambda b: (fn.gather_mm(a, b, **numbers) * c).sum())(b), expected, dtype)


@pytest.mark.parametrize("items", [6, 80])
def test_numbers_out_of_range_give_zeros(items):
    (a, x), (b, y) = draw(0, 2, 1, 40), draw(1, 2, 40, 48)
    right = np.arange(items) % 3  # there are two
    expected = np.where((right < 2)[:, None, None], x[0] @ y[np.minimum(right, 1)], 0)
    numbers = {
        "lhs_indices": fn.device_put(fn.zeros((items,), dtype=fn.int32), fn.gpu),
        "rhs_indices": fn.device_put(fn.array(right), fn.gpu),
    }
    agree(lambda: fn.gather_mm(a, b, **numbers), expected, "float32")


@pytest.mark.parametrize("sizes", [(3, 40, 5), (40, 100, 36)], ids=str)
def test_segments(sizes):
    m, k, n = sizes
    (a, x), (b, y), (c, z) = draw(0, m, k), draw(1, k, n), draw(2, 5, m, n)
    bounds = np.array([[0, k], [3, 3], [7, 2], [1, 34], [k - 9, k + 5]])
    segments = fn.device_put(fn.array(bounds), fn.gpu)
    expected = np.stack([x[:, s:e] @ y[s : max(s, e)] for s, e in bounds])
    agree(lambda: fn.segmented_mm(a, b, segments), expected, "float32")
    gradient = np.zeros(x.shape)
    for (s, e), part in zip(bounds, z, strict=True):
        gradient[:, s:e] += part @ y[s : max(s, e)].T
    agree(lambda: fn.grad(lambda a: (fn.segmented_mm(a, b, segments) * c).sum())(a), gradient, "float32")


FORMATS = [
    ("affine", 4, 64),
    ("affine", 3, 32),
    ("affine", 8, 128),
    ("mxfp4", 4, 32),
    ("mxfp8", 8, 32),
    ("nvfp4", 4, 16),
]


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 36])
def test_quantized_products(rows, transpose, form):
    mode, bits, group = form
    dtype = "float16" if bits == 4 else "float32"
    how = {"mode": mode, "bits": bits, "group_size": group}
    k, n = (256, 41) if transpose else (41, 256)
    w, _ = draw(1, *((n, k) if transpose else (k, n)), dtype=dtype)
    x, y = draw(0, rows, k, dtype=dtype)
    packed = fn.quantize(w, **how)
    matrix = wide(fn.dequantize(*packed, **how))
    if transpose:
        matrix = matrix.T
    scales, biases = packed[1], packed[2] if len(packed) > 2 else None
    agree(lambda: fn.quantized_matmul(x, packed[0], scales, biases, transpose=transpose, **how), y @ matrix, dtype)


@pytest.mark.parametrize("items", [4, 60])
def test_chosen_quantized_matrices(items):
    how = {"bits": 4, "group_size": 32}
    w, _ = draw(1, 3, 40, 64)
    x, y = draw(0, items, 1, 64)
    packed = fn.quantize(w, **how)
    right = np.random.default_rng(2).integers(0, 3, items)
    expected = y @ wide(fn.dequantize(*packed, **how))[right].swapaxes(1, 2)
    numbers = fn.device_put(fn.array(right), fn.gpu)
    agree(lambda: fn.gather_qmm(x, *packed, rhs_indices=numbers, transpose=True, **how), expected, "float32")


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_quantising_gives_the_bits_of_the_cpu(form, dtype):
    mode, bits, group = form
    how = {"mode": mode, "bits": bits, "group_size": group}
    rng = np.random.default_rng(0)
    # Groups of all magnitudes, of zeros, with a NaN, with an infinity, of one sign, just above powers of two.
    x = rng.standard_normal((24, 128)) * np.exp2(rng.integers(-30, 30, (24, 1)))
    x[3] = 0
    x[4, 5], x[5, 6] = np.nan, np.inf
    x[6] = np.abs(x[6])
    x[7:23] = np.exp2(rng.integers(-40, 40, (16, 1))) * (1 + rng.integers(0, 30, (16, 128)) * 2.0**-23)
    here = fn.array(x.astype(np.float32)).astype(getattr(fn, dtype))
    there = fn.device_put(here, fn.gpu)
    expected, got = fn.quantize(here, **how), fn.quantize(there, **how)
    for e, g in zip(expected, got, strict=True):
        np.testing.assert_array_equal(wide(g), wide(e))
    np.testing.assert_array_equal(wide(fn.dequantize(*got, **how)), wide(fn.dequantize(*expected, **how)))


def test_float8_gives_the_bits_of_the_cpu():
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.standard_normal(200) * np.exp2(rng.integers(-12, 11, 200)), [0.0, -0.0, np.inf, -np.inf, np.nan]]
    )
    here = fn.array(x.astype(np.float32))
    there = fn.device_put(here, fn.gpu)
    np.testing.assert_array_equal(np.asarray(fn.to_fp8(there)), np.asarray(fn.to_fp8(here)))
    codes = fn.arange(256).astype(fn.uint8)
    for dtype in (fn.float32, fn.float16, fn.bfloat16):
        np.testing.assert_array_equal(
            wide(fn.from_fp8(fn.device_put(codes, fn.gpu), dtype=dtype)), wide(fn.from_fp8(codes, dtype=dtype))
        )
