import numpy as np
import pytest
from check import check, check_derivatives

import funcnn as fn
import instruction_sets
from widest import float64_of

rng = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((3, 4), (2, 4, 5)),
        ((4,), (2, 4, 5)),
        ((2, 3, 4), (4,)),
        ((3, 1), (1, 5)),
        ((1, 4), (4, 1)),
        ((1, 4), (4, 5)),
        ((3, 4), (4, 1)),
        ((3, 0), (0, 5)),
        ((0, 4), (4, 5)),
        ((2, 0, 4), (4, 5)),
    ],
)
def test_matmul(a, b):
    check(fn.matmul, np.matmul, normal(*a), normal(*b))


@pytest.mark.parametrize("swap_a", [False, True])
@pytest.mark.parametrize("swap_b", [False, True])
def test_matmul_of_transposed_operands(swap_a, swap_b):
    a, b = normal(2, 4, 3) if swap_a else normal(2, 3, 4), normal(2, 5, 4) if swap_b else normal(2, 4, 5)

    def product(xp, a, b):
        a = xp.swapaxes(a, -1, -2) if swap_a else a
        b = xp.swapaxes(b, -1, -2) if swap_b else b
        return xp.matmul(a, b)

    check(lambda a, b: product(fn, a, b), lambda a, b: product(np, a, b), a, b)


@pytest.mark.parametrize("m", [1, 5, 12, 13, 100, 500, 1100])
@pytest.mark.parametrize("n", [1, 7, 16, 33, 300, 1100])
@pytest.mark.parametrize("k", [2, 129, 257, 700])
def test_matmul_sizes(m, n, k):
    a, b = normal(m, k), normal(k, n)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(a) @ np.abs(b)
    for left, right in [
        (a, b),
        (np.asfortranarray(a), b),
        (a, np.asfortranarray(b)),
        (np.asfortranarray(a), np.asfortranarray(b)),
    ]:
        x = fn.array(np.ascontiguousarray(left.T)).T if left.flags.f_contiguous else fn.array(left)
        y = fn.array(np.ascontiguousarray(right.T)).T if right.flags.f_contiguous else fn.array(right)
        assert np.all(np.abs(np.asarray(x @ y) - exact) <= 4e-6 * scale + 1e-6)


@pytest.mark.parametrize(("m", "k", "n"), [(4, 7, 3), (100, 33_000, 2), (64, 1000, 16), (3, 50, 5), (500, 3, 4)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_thin_products(m, k, n, dtype):
    a, b = (fn.array(normal(*s)).astype(getattr(fn, dtype)) for s in ((m, k), (k, n)))
    wide_a, wide_b = (float64_of(x) for x in (a, b))
    scale = np.abs(wide_a) @ np.abs(wide_b)
    eps = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-19, "float64": 2**-48}[dtype]
    assert np.all(np.abs(float64_of(a @ b) - wide_a @ wide_b) <= eps * scale)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64"])
def test_matmul_dtypes(dtype):
    a, b = normal(70, 300), normal(300, 40)
    if dtype == "complex64":
        a, b = a + 1j * normal(70, 300), b + 1j * normal(300, 40)
    x, y = fn.array(a).astype(getattr(fn, dtype)), fn.array(b).astype(getattr(fn, dtype))
    result = fn.matmul(x, y)
    assert result.dtype == getattr(fn, dtype)
    wide = (
        (lambda v: np.asarray(v)) if dtype in ("complex64", "float64") else (lambda v: np.asarray(v.astype(fn.float32)))
    )
    expected = wide(x) @ wide(y)
    tolerance = {"float16": 2e-2, "bfloat16": 2e-1, "float64": 1e-10, "complex64": 1e-4}[dtype]
    np.testing.assert_allclose(wide(result), expected, atol=tolerance, rtol=1e-2 if "16" in dtype else 1e-5)


@pytest.mark.parametrize(
    ("m", "k", "n"), [(40, 2000, 40), (1, 100_000, 3), (9, 5001, 1), (31, 4099, 129), (1, 300_000, 1)]
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
def test_long_sums_are_added_in_parts(m, k, n, dtype):
    a, b = normal(2, k, m) / k**0.5, normal(k, n)
    if dtype == "complex64":
        a = a + 1j * normal(2, k, m) / k**0.5
    x, y = (fn.array(v).astype(getattr(fn, dtype)) for v in (a, b))
    exact = np.complex128 if dtype == "complex64" else np.float64
    wide = [np.asarray(v.astype(fn.float32 if "16" in dtype else v.dtype)).astype(exact) for v in (x, y)]
    left = np.swapaxes(wide[0], 1, 2)
    scale = np.abs(left) @ np.abs(wide[1])
    eps = {"float16": 2**-10, "bfloat16": 2**-7, "float64": 2**-45}.get(dtype, 2**-18)
    before, results = fn.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fn.set_num_threads(threads)
            product = fn.swapaxes(x, 1, 2) @ y
            results.append((np.asarray if dtype == "complex64" else float64_of)(product * 2 - 1))
    finally:
        fn.set_num_threads(before)
    assert np.all(np.abs(results[0] - (left @ wide[1] * 2 - 1)) <= 2 * eps * (scale + 1))
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("k", [1, 2, 3, 31, 32, 33, 515, 1027])
@pytest.mark.parametrize("layout", ["ab", "aB", "Ab", "AB"])
def test_bfloat16_products_of_small_integers_are_exact(k, layout):
    # Every partial sum is an integer below 2**24: however pairs are formed, nothing is rounded before the end.
    a, b = rng.integers(-3, 4, (29, k)).astype(np.float32), rng.integers(-3, 4, (k, 75)).astype(np.float32)
    x = fn.array(a.T.copy()).T if "A" in layout else fn.array(a)
    y = fn.array(b.T.copy()).T if "B" in layout else fn.array(b)
    product = x.astype(fn.bfloat16) @ y.astype(fn.bfloat16)
    assert fn.array_equal(product, fn.array(a @ b).astype(fn.bfloat16))


def test_bfloat16_products_of_what_is_not_finite():
    a = np.ones((16, 65), np.float32)
    a[0, 64], a[1, 3], a[2, 0], a[2, 1] = np.inf, np.nan, np.inf, -np.inf
    product = np.asarray((fn.array(a).astype(fn.bfloat16) @ fn.ones((65, 40), fn.bfloat16)).astype(fn.float32))
    assert np.all(np.isposinf(product[0])) and np.all(np.isnan(product[1:3])) and np.all(product[3:] == 65)


def operand(x, transposed, dtype):
    """An array that lies transposed in memory or not."""
    x = fn.array(np.ascontiguousarray(np.swapaxes(x, -1, -2)) if transposed else x).astype(dtype)
    return fn.swapaxes(x, -1, -2) if transposed else x


def operands(m, k, n, layout, dtype):
    kind = getattr(fn, dtype)
    return (operand(normal(*s), side == "t", kind) for s, side in zip(((m, k), (k, n)), layout, strict=True))


def by_any_number_of_threads(compute, counts=(1, 2, 3)):
    """The result as float64: the same bits on so many threads."""
    before, results = fn.get_num_threads(), []
    try:
        for threads in counts:
            fn.set_num_threads(threads)
            results.append(float64_of(compute()))
    finally:
        fn.set_num_threads(before)
    assert all(np.array_equal(results[0], other) for other in results[1:])
    return results[0]


def bound_of(dtype):
    """Of the error of a product: relative to its size where it is rounded, and to the sum of what is added up."""
    rounding = {"float16": 2**-11, "bfloat16": 2**-8}.get(dtype, 0)
    return rounding, 2**-48 if dtype == "float64" else 2**-19


# Just below and above what is multiplied along K, across it, in place, packed, packed for all tiles, and in parts.
EDGES = [
    *((8, 128, 128), (9, 128, 128), (8, 127, 40), (3, 700, 1000), (1, 2048, 300), (5, 300, 8200)),
    *((300, 64, 8), (300, 63, 8), (300, 64, 9), (40, 64, 17), (4, 64, 64), (128, 64, 65)),
    *((48, 64, 96), (49, 64, 96), (60, 128, 128), (60, 129, 128), (100, 20, 161), (12, 1030, 15), (13, 16, 160)),
    *((96, 1100, 290), (95, 1100, 290), (253, 513, 300), (250, 1025, 131), (61, 3000, 33)),
    # B larger than caches below few rows, rows of A a power of two apart, many blocks of rows.
    *((13, 700, 1100), (48, 521, 1031), (49, 521, 1031), (200, 1024, 20), (97, 512, 161), (2000, 64, 40)),
    # B packed with the first rows: by columns where A is small, by rows in falling blocks where it is not.
    *((96, 1040, 128), (131, 600, 253), (256, 256, 256), (210, 530, 1009), (600, 513, 70), (1300, 260, 97)),
    # Long sums of a small result, by parts of them; A in the second-level cache where few rows go across K.
    *((17, 8209, 31), (64, 9001, 48), (33, 4099, 129)),
]


@pytest.mark.parametrize(("m", "k", "n"), EDGES)
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_every_way_to_multiply(m, k, n, layout, dtype):
    x, y = operands(m, k, n, layout, dtype)
    exact, scale = float64_of(x) @ float64_of(y), np.abs(float64_of(x)) @ np.abs(float64_of(y))
    rounding, sums = bound_of(dtype)
    result = by_any_number_of_threads(lambda: x @ y)
    assert np.all(np.abs(result - exact) <= rounding * np.abs(exact) + sums * scale)


# Results of one tile, of tiles whose rows or columns are shared out, and of parts of sums that are added first.
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        *((1, 1, 1), (1, 67, 301), (53, 1, 47), (53, 67, 1), (2, 3001, 3), (7, 128, 131), (48, 521, 1031)),
        *((96, 1040, 128), (127, 331, 256), (131, 600, 253), (256, 256, 256), (1300, 260, 97), (64, 9001, 48)),
    ],
)
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_epilogues_of_every_way_to_multiply(m, k, n, layout, dtype):
    x, y = operands(m, k, n, layout, dtype)
    row, column = (fn.array(normal(*s)).astype(getattr(fn, dtype)) for s in ((1, n), (m, 1)))
    rounding, sums = bound_of(dtype)
    exact = float64_of(x) @ float64_of(y)
    scale = np.abs(float64_of(x)) @ np.abs(float64_of(y))
    r, c = float64_of(row), float64_of(column)
    # The product is rounded, then the sum and the product of the epilogue.
    error = rounding * (3 * np.abs(exact) + 2 * np.abs(r)) + sums * (scale + np.abs(r))
    result = by_any_number_of_threads(lambda: fn.maximum(x @ y + row, 0) * column)
    assert np.all(np.abs(result - np.maximum(exact + r, 0) * c) <= 1.01 * error * np.abs(c))


@pytest.mark.parametrize("m", [16, 48])
def test_few_rows_go_across_sums_of_any_length(m):
    # Longer than what is gone over at a time; in batches, of which none is cut into parts.
    k = 2**17 // m + 11
    a, b = normal(16, m, k), normal(k, 130)
    result = by_any_number_of_threads(lambda: fn.array(a)[::2] @ fn.array(b)[:, :129], (1, 2))
    wide = a[::2].astype(np.float64)
    assert np.all(np.abs(result - wide @ b[:, :129]) <= 2**-19 * (np.abs(wide) @ np.abs(b[:, :129])))


instruction_set = instruction_sets.fixture(instruction_sets.SUPPORTED)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_products_by_every_instruction_set(dtype):
    rounding, sums = bound_of(dtype)
    for m, k, n in [
        (8, 128, 128),
        (13, 16, 45),
        (49, 64, 96),
        (300, 64, 7),
        (110, 1030, 290),
        (19, 700, 803),
        (90, 1024, 50),
    ]:
        for layout in ("nn", "nt", "tn", "tt"):
            sides = zip(((m, k), (k, n)), layout, strict=True)
            x, y = (operand(normal(*s), side == "t", getattr(fn, dtype)) for s, side in sides)
            exact, scale = float64_of(x) @ float64_of(y), np.abs(float64_of(x)) @ np.abs(float64_of(y))
            assert np.all(np.abs(float64_of(x @ y) - exact) <= rounding * np.abs(exact) + sums * scale)


@pytest.mark.parametrize(("m", "k", "n"), [(13, 5, 7), (30, 70, 37), (3, 200, 130), (200, 70, 3), (130, 520, 200)])
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_what_is_not_finite_stays_in_its_row_and_column(m, k, n, layout, dtype):
    # What pads a tile is multiplied too and must not show.
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    a[m - 1, k - 1], b[0, n - 1] = np.inf, np.nan
    x, y = (operand(v, side == "t", getattr(fn, dtype)) for v, side in zip((a, b), layout, strict=True))
    product = float64_of(x @ y)
    assert np.all(np.isnan(product[:, n - 1])) and np.all(np.isposinf(product[m - 1, : n - 1]))
    assert np.all(product[: m - 1, : n - 1] == float64_of(fn.array(float(k)).astype(getattr(fn, dtype))))


@pytest.mark.parametrize("shape", [(7, 8, 8, 8), (3, 5, 17, 33), (40, 64, 64, 64), (2, 100, 600, 260)])
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
def test_batches_of_products(shape, layout):
    count, m, k, n = shape
    a, b, c = normal(count, m, k), normal(count, k, n), normal(n)
    x, y = (operand(v, side == "t", fn.float32) for v, side in zip((a, b), layout, strict=True))
    exact, scale = a.astype(np.float64) @ b, np.abs(a) @ np.abs(b)
    assert np.all(np.abs(float64_of(x @ y) - exact) <= 2**-19 * scale)
    assert np.all(
        np.abs(float64_of(fn.maximum(x @ y + fn.array(c), 0)) - np.maximum(exact + c, 0)) <= 2**-19 * (scale + 1)
    )


def test_rows_far_apart_and_repeated():
    x, y = normal(20, 4096 + 64), normal(40, 300)
    a, b = fn.array(x), fn.array(y)
    np.testing.assert_allclose(
        np.asarray(a[::3, 64:104] @ b), x[::3, 64:104].astype(np.float64) @ y, rtol=1e-5, atol=1e-5
    )
    wide = fn.broadcast_to(a[:1, :40], (150, 40))
    np.testing.assert_allclose(
        np.asarray(wide @ b), np.broadcast_to(x[:1, :40], (150, 40)).astype(np.float64) @ y, rtol=1e-5, atol=1e-5
    )


def test_views_that_overlap_or_run_backwards():
    x, y = normal(6, 8), normal(8, 5)
    a, b = fn.array(x), fn.array(y)
    np.testing.assert_allclose(
        np.asarray(a[::-1, ::2] @ b[::2, ::-1]), x[::-1, ::2] @ y[::2, ::-1], rtol=1e-5, atol=1e-5
    )
    wide = fn.broadcast_to(a[:, :1], (6, 8))
    np.testing.assert_allclose(np.asarray(wide @ b), np.broadcast_to(x[:, :1], (6, 8)) @ y, rtol=1e-5, atol=1e-5)


def test_results_do_not_depend_on_the_number_of_threads():
    a, b = fn.array(normal(300, 500)), fn.array(normal(500, 700))
    before = fn.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            fn.set_num_threads(threads)
            results.append(np.asarray(fn.tanh(a @ b + 1)))
    finally:
        fn.set_num_threads(before)
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_epilogues_of_large_and_batched_products():
    a, b, c = normal(600, 300), normal(300, 1500), normal(1500)
    result = np.asarray(fn.maximum(fn.array(a) @ fn.array(b) + fn.array(c), 0))
    np.testing.assert_allclose(result, np.maximum(a @ b + c, 0), rtol=1e-4, atol=1e-3)
    a, b, c = normal(40, 30, 20), normal(40, 20, 10), normal(30, 10)
    result = np.asarray(fn.array(a) @ fn.array(b) * 2 + fn.array(c))
    np.testing.assert_allclose(result, a @ b * 2 + c, rtol=1e-4, atol=1e-4)


def test_matmul_refuses_what_it_cannot_multiply():
    with pytest.raises(ValueError, match=r"size 784.*size 700.*\(128, 784\) and \(700, 10\)"):
        fn.matmul(fn.zeros((128, 784)), fn.zeros((700, 10)))
    with pytest.raises(ValueError, match="floating-point"):
        fn.matmul(fn.array([[1, 2]]), fn.array([[1], [2]]))
    with pytest.raises(ValueError, match="multiply"):
        fn.matmul(fn.array(1.0), fn.array([1.0]))


def test_addmm():
    a, b, c = normal(3, 4), normal(4, 5), normal(5)
    check(lambda c, a, b: fn.addmm(c, a, b, 2.0, 0.5), lambda c, a, b: 0.5 * c + 2 * (a @ b), c, a, b)
    with pytest.raises(ValueError, match="addmm"):
        fn.addmm(fn.zeros((2, 3, 5)), fn.array(a), fn.array(b))


def test_other_products():
    check(lambda a, b: fn.tensordot(a, b, 2), lambda a, b: np.tensordot(a, b, 2), normal(2, 3, 4), normal(3, 4, 5))
    check(
        lambda a, b: fn.tensordot(a, b, [[1, 0], [0, 2]]),
        lambda a, b: np.tensordot(a, b, [[1, 0], [0, 2]]),
        normal(2, 3, 4),
        normal(3, 5, 2),
    )
    check(fn.inner, np.inner, normal(2, 4), normal(3, 4))
    check(fn.outer, np.outer, normal(3), normal(4))
    check(fn.kron, np.kron, normal(2, 3), normal(3, 2))
    check(fn.vecdot, lambda a, b: np.sum(a * b, -1), normal(3, 4), normal(3, 4))
    assert np.array_equal(np.asarray(fn.outer(fn.array([1, 2]), fn.array([3, 4]))), [[3, 4], [6, 8]])


def test_second_derivatives():
    def f(a, b):
        return fn.grad(lambda a: fn.sum(fn.matmul(a, b) ** 3))(a)

    check_derivatives(f, lambda a, b: 3 * (a @ b) ** 2 @ b.T, normal(3, 4), normal(4, 2))


EINSUM = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ij->ji", (3, 4)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("ij->", (3, 4)),
    ("i,i->", (5,), (5,)),
    ("i,j->ji", (3,), (4,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bqhd,bkhd->bhqk", (2, 4, 3, 5), (2, 6, 3, 5)),
    ("bhqk,bkhd->bqhd", (2, 3, 4, 6), (2, 6, 3, 5)),
    ("...ij,...jk->...ik", (7, 1, 3, 4), (2, 4, 5)),
    ("ij,jk,kl,lm->mi", (3, 4), (4, 5), (5, 6), (6, 2)),
    ("ijk,kj->i", (3, 4, 5), (5, 4)),
    ("iij,jk->ik", (3, 3, 4), (4, 5)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("abc,cd,ab->d", (2, 3, 4), (4, 5), (2, 3)),
    ("ij,kl->kilj", (2, 3), (4, 5)),
    ("ij,j->ij", (3, 4), (1,)),
    ("i...->...i", (2, 3, 4)),
    (",->", (), ()),
    ("ab,ac,bd->cd", (1, 3), (2, 4), (3, 5)),
]


@pytest.mark.parametrize("case", EINSUM, ids=lambda case: case[0])
def test_einsum(case):
    subscripts, *shapes = case
    arrays = [normal(*shape) for shape in shapes]
    check(lambda *x: fn.einsum(subscripts, *x), lambda *x: np.einsum(subscripts, *x), *arrays, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(3, 4), (5, 6)], "'j' has length 4 and 5"),
        ("ij", [(3,)], "operand 0"),
        ("ij,j", [(3, 4)], "expected 2 operands"),
        ("i$", [(3, 4)], "found"),
        ("i->j", [(3,)], "in no operand"),
        ("i->ii", [(3,)], "named twice"),
    ],
)
def test_einsum_errors(subscripts, shapes, message):
    with pytest.raises(ValueError, match=message):
        fn.einsum(subscripts, *[fn.zeros(s) for s in shapes])


def test_einsum_path():
    operands = [fn.ones(s) for s in [(100, 2), (2, 300), (300, 2)]]
    assert fn.einsum_path("ij,jk,kl->il", *operands) == [(1, 2), (0, 1)]


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (3, 1), (0, 1)])
@pytest.mark.parametrize("subscripts", ["ii", "ii->i", "ii,i->", "...ii", "iji"])
def test_einsum_names_a_diagonal_of_unequal_sizes(subscripts, shape):
    operands = [fn.ones((shape[0], 4, shape[1]) if subscripts == "iji" else shape)]
    if "," in subscripts:
        operands.append(fn.ones(3))
    with pytest.raises(
        ValueError, match=rf"einsum: the diagonal 'i' of operand 0 has lengths {shape[0]} and {shape[1]}"
    ):
        fn.einsum(subscripts, *operands)


@pytest.mark.parametrize(("subscripts", "found"), [("é", "é"), ("ij->iβ", "β"), ("i;j", ";"), ("i.j", ".")])
def test_einsum_names_what_is_no_letter(subscripts, found):
    with pytest.raises(ValueError, match=f"einsum: expected letters .* found '{found}' in '{subscripts}'"):
        fn.einsum(subscripts, fn.ones((2, 2)))
