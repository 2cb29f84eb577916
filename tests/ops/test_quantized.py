"""Quantisation beside what MLX computes, and products of quantised matrices of all sizes."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
import instruction_sets
import quantized_oracle as oracle
from funcnn import _core
from widest import float64_of, held

DTYPES = {"float32": fn.float32, "float16": fn.float16, "bfloat16": fn.bfloat16}


def numbers(rows: int, columns: int) -> np.ndarray:
    """Numbers that all dtypes round to, from whole numbers: signs, magnitudes, zeros and ties of all kinds."""
    i = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    x = ((i * 7919 + i * i % 613) % 20011 - 10005) / 4096 * 2.0 ** (np.arange(rows) % 13 - 8)[:, None]
    x[0], x[1], x[2], x[3], x[4] = 0, 3, -np.abs(x[2]), np.round(x[3] * 8) / 4, np.abs(x[4])
    return x.astype(np.float32)


def stored(array: fn.array) -> np.ndarray:
    return np.asarray(array.astype(fn.float32) if array.dtype == fn.bfloat16 else array)


def digest(arrays) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:8]


# What mlx 0.32.4 makes of numbers(16, 256): for each format and dtype digests of codes, scales and biases, and of the
# values they stand for (both as float32 where they are bfloat16).
MLX_TABLE = """
affine 1 32 b6df28ee adcf9f96 879faa3e 99691a21 14a77d5e 5f681f47
affine 1 64 b6d74bdd a7887bc7 04ca00a4 4f0fa27f 12697f8b db21ec25
affine 1 128 7b636dc1 d97a8280 d831a492 6addb554 370fb3e9 9a94534d
affine 2 32 26f03df6 a35e39ce aabc267d ab3b2e36 921e24f7 89b693e3
affine 2 64 e0006808 b908be22 cfc4c67c 97d6830b 06a87825 bc67cece
affine 2 128 d7a87ffc 2ca5e275 893a1aa8 f7f98163 d46f9b78 b088bf3c
affine 3 32 2c9cce8b 3701fcc1 4fe11c33 324f2305 68fe649c 7f816aaa
affine 3 64 07dabfdd 25985ccf cbc7df39 bc5facc1 cfa9d9de e4100ac7
affine 3 128 bf7ca2fe f08d9ad7 48c37834 9bfe1ad8 b9ebbf5f 01859365
affine 4 32 2ceda926 fc176091 f117394a e9e44925 da58542b 55d1697a
affine 4 64 85a61e36 554e54ee fefcdd0b 7d5810ab fbb10e89 a645ff5f
affine 4 128 59e3e615 0023d112 d1722521 557fa2bf 6c99aa7d bbaffeda
affine 5 32 000d8274 3786ca32 01deea88 a47778b1 18abb93f ae35b186
affine 5 64 446dc5b6 d269ce54 d43f212c 009b3214 23130851 6be25aef
affine 5 128 38d8cbe5 1203dee9 5a8d58b6 b2ad3b4a 033c78c5 0d9453c7
affine 6 32 0e5ec6bf 5a827e04 af81fc34 28991c6b e54446fa 855ec736
affine 6 64 34192f72 f0c46b09 e311d9ea 1eba2cde c4395bab ad2e764e
affine 6 128 381b6292 41193ca8 765dd198 a661af58 5f73781a 57763386
affine 8 32 e6331a0e d378ba60 a6ef21bc cb99a8d7 19c7cc06 dcd0b137
affine 8 64 ab513900 7524811e 92524cd9 b33ec992 3e069819 d3f0e126
affine 8 128 57a7aa42 f6d9e066 c9942afd e867685d 2f2c888d d8343717
mxfp4 4 32 4e125d08 d35c1a9a 2abae8cc 7c26ea44 cce02faf 2d7ca68f
mxfp8 8 32 0388752c 6f5744fe b823eeef 27890f1f a591f4c5 f713529d
nvfp4 4 16 2ff6be21 852fe166 bf66a476 e7397624 53df2714 4b6ca7ee
"""
MLX = {
    (dtype, mode, int(bits), int(group)): digests[2 * i : 2 * i + 2]
    for mode, bits, group, *digests in map(str.split, MLX_TABLE.strip().splitlines())
    for i, dtype in enumerate(DTYPES)
}


@pytest.mark.parametrize("form", oracle.FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_codes_and_scales_are_those_of_mlx(form, dtype):
    w = fn.array(numbers(16, 256)).astype(DTYPES[dtype])
    assert digest(stored(a) for a in fn.quantize(w, **oracle.arguments(form))) == MLX[(dtype, *form)][0]


@pytest.mark.parametrize("form", oracle.FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dequantised_values_are_those_of_mlx(form, dtype):
    w = fn.array(numbers(16, 256)).astype(DTYPES[dtype])
    q = fn.quantize(w, **oracle.arguments(form))
    assert digest([stored(fn.dequantize(*q, **oracle.arguments(form), dtype=w.dtype))]) == MLX[(dtype, *form)][1]


@pytest.mark.parametrize("form", oracle.FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_quantize_agrees_with_mlx_where_it_is_installed(form, dtype):
    mx = pytest.importorskip("mlx.core")
    x = (
        np.random.default_rng(1).normal(size=(50, 256)).astype(np.float32)
        * np.float32(4) ** np.arange(-9, 9).repeat(3)[:50, None]
    )
    w, v = fn.array(x).astype(DTYPES[dtype]), mx.array(x).astype(getattr(mx, dtype))
    ours, theirs = fn.quantize(w, **oracle.arguments(form)), mx.quantize(v, **oracle.arguments(form))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(stored(a), np.array(b.astype(mx.float32) if b.dtype == mx.bfloat16 else b))
    x = np.random.default_rng(2).normal(size=(3, 256)).astype(np.float32)
    y = mx.quantized_matmul(mx.array(x).astype(v.dtype), *theirs, **oracle.arguments(form))
    y = np.array(y.astype(mx.float32))
    z = stored(fn.quantized_matmul(fn.array(x).astype(w.dtype), *ours, **oracle.arguments(form)).astype(fn.float32))
    np.testing.assert_allclose(z, y, atol=np.abs(y).max() * {"float32": 1e-5}.get(dtype, 0.02))


@pytest.mark.parametrize("form", oracle.FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [None, 3.7, 0.02])
def test_quantize_agrees_with_numpy(form, dtype, scale):
    if scale is not None and form[0] != "nvfp4":
        pytest.skip("no global scale")
    w = fn.array(np.random.default_rng(3).normal(size=(4, 5, 256)).astype(np.float32)).astype(DTYPES[dtype])
    options = {} if scale is None else {"global_scale": fn.array(scale)}
    got = fn.quantize(w, **oracle.arguments(form), **options)
    expected = oracle.quantize(np.asarray(w.astype(fn.float32)), form, DTYPES[dtype], scale)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(stored(a), b)
    if scale is not None:
        values = oracle.dequantize(np.asarray(got[0]), np.asarray(got[1]), None, form) * (scale / 2688)
        dense = fn.dequantize(*got, **oracle.arguments(form), **options)
        assert dense.dtype == fn.float32
        np.testing.assert_allclose(np.asarray(dense), values, rtol=1e-6)


def test_every_code_of_float8_goes_round():
    codes = fn.arange(256, dtype=fn.uint8)
    for dtype in (fn.float32, fn.float16, fn.bfloat16, fn.float64):
        values = fn.from_fp8(codes, dtype)
        np.testing.assert_array_equal(np.asarray(values.astype(fn.float32)), oracle.E4M3.astype(np.float32))
        back = np.asarray(fn.to_fp8(values))
        keep = ~np.isnan(oracle.E4M3)
        np.testing.assert_array_equal(back[keep], np.arange(256)[keep])
        assert set(back[~keep] & 127) == {126}


def test_to_fp8_rounds_to_the_nearest():
    middle = (oracle.E4M3[:126] + oracle.E4M3[1:127]) / 2
    x = np.concatenate([middle, np.nextafter(middle, 1e9), np.nextafter(middle, 0), [448, 464, 465, 1e9, np.inf]])
    x = np.concatenate([x, -x])
    for dtype in held(("float32", "float64")):
        given = x.astype(dtype)
        np.testing.assert_array_equal(np.asarray(fn.to_fp8(fn.asarray(given))), oracle.to_fp8(given))


@pytest.mark.parametrize("form", oracle.FORMATS, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_group_with_a_number_that_is_not_finite_is_nan(form, bad):
    w = np.ones((2, 256), np.float32)
    w[0, 5] = bad
    q = fn.quantize(fn.array(w), **oracle.arguments(form))
    values = np.asarray(fn.dequantize(*q, **oracle.arguments(form), dtype=fn.float32))
    group = form[2]
    assert np.isnan(values[0, :group]).all()
    assert np.isfinite(values[0, group:]).all() and np.isfinite(values[1]).all()
    for rows in (1, 6):
        product = np.asarray(fn.quantized_matmul(fn.ones((rows, 256)), *q, **oracle.arguments(form)))
        assert np.isnan(product[:, 0]).all() and np.isfinite(product[:, 1]).all()
        product = fn.quantized_matmul(fn.ones((rows, 2)), *q, transpose=False, **oracle.arguments(form))
        np.testing.assert_array_equal(np.isnan(np.asarray(product)), np.tile(np.arange(256) < group, (rows, 1)))


def test_float8_codes_of_nan_are_nan_in_products():
    words = np.full((3, 16), 0x38383838, np.uint32)
    words[1, 3] = 0x387F3838
    scales = fn.full((3, 2), 127, dtype=fn.uint8)
    options = {"mode": "mxfp8"}
    for rows in (1, 2, 9):
        y = np.asarray(fn.quantized_matmul(fn.ones((rows, 64)), fn.array(words), scales, **options))
        np.testing.assert_array_equal(y, np.tile(np.array([64, np.nan, 64], np.float32), (rows, 1)))
        y = np.asarray(fn.quantized_matmul(fn.ones((rows, 3)), fn.array(words), scales, transpose=False, **options))
        expected = np.full((rows, 64), 3, np.float32)
        expected[:, 14] = np.nan
        np.testing.assert_array_equal(y, expected)


def test_large_numbers_stay_in_the_largest_codes():
    w = fn.array([[1e20, -1e20, 1.0] + [0.0] * 29], fn.float32)
    q = fn.quantize(w, mode="nvfp4")
    np.testing.assert_array_equal(
        np.asarray(fn.dequantize(*q, mode="nvfp4", dtype=fn.float32))[0, :3], [2688, -2688, 0]
    )


@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("transpose", [True, False])
def test_infinite_and_huge_operands_of_products(rows, transpose):
    """The sums over groups leave the range of numbers before the result does."""
    w = fn.full((64, 64), 0.5)
    q = fn.quantize(w)
    for value in (np.inf, -np.inf, 1e38):
        x = np.zeros((rows, 64), np.float32)
        x[:, 3] = value
        y = np.asarray(fn.quantized_matmul(fn.array(x), *q, transpose=transpose))
        np.testing.assert_allclose(y, np.full((rows, 64), value * 0.5, np.float32), rtol=1e-6)
    x[:, 4] = np.nan
    assert np.isnan(np.asarray(fn.quantized_matmul(fn.array(x), *q, transpose=transpose))).all()


def dense_product(x, q, form, transpose, of_matrix=np.asarray):
    w = oracle.dequantize(*[float64_of(a) if a.dtype != fn.uint32 else np.asarray(a) for a in q[:2]],
                          float64_of(q[2]) if len(q) > 2 else None, form)  # fmt: skip
    w = of_matrix(w)
    return x @ (np.swapaxes(w, -1, -2) if transpose else w)


@given(
    st.sampled_from(oracle.FORMATS),
    st.integers(1, 5),
    st.integers(1, 70),
    st.sampled_from([1, 2, 3, 4, 5, 12, 13, 50]),
    st.booleans(),
    st.sampled_from(list(DTYPES)),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_products_agree_with_numpy(form, groups, rows, count, transpose, dtype, view, seed):
    rng = np.random.default_rng(seed)
    columns = groups * form[2]
    w = fn.array(rng.normal(size=(rows, columns)).astype(np.float32)).astype(DTYPES[dtype])
    q = fn.quantize(w, **oracle.arguments(form))
    x = fn.array(rng.normal(size=(count, columns if transpose else rows)).astype(np.float32)).astype(DTYPES[dtype])
    if view:  # operands that are not dense
        x = x.T.astype(DTYPES[dtype]).T
        q = tuple(fn.concatenate([a, a], axis=1)[:, : a.shape[1]] for a in q)
    y = fn.quantized_matmul(x, *q, transpose=transpose, **oracle.arguments(form))
    assert y.dtype == DTYPES[dtype]
    exact = dense_product(float64_of(x), q, form, transpose)
    bound = 1e-5 * max(1.0, np.abs(exact).max()) * columns**0.5
    rounding = {"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    if y.device == fn.gpu or _core._amx() != "off":  # the elements of the matrix are rounded on their way into tiles
        bound = bound + rounding * dense_product(np.abs(float64_of(x)), q, form, transpose, np.abs)
    error = np.abs(float64_of(y) - exact)
    np.testing.assert_array_less(error, bound + rounding * np.abs(exact))


@given(
    st.integers(1, 5), st.lists(st.integers(-6, 6), min_size=1, max_size=40), st.sampled_from([1, 3, 40]), st.booleans()
)
def test_chosen_products_agree_with_numpy(experts, chosen, rows, transpose):
    rng = np.random.default_rng(len(chosen))
    form = ("affine", 4, 32)
    w = fn.array(rng.normal(size=(experts, 33, 64)).astype(np.float32))
    q = fn.quantize(w, group_size=32)
    x = rng.normal(size=(len(chosen), rows, 64 if transpose else 33)).astype(np.float32)
    y = np.asarray(fn.gather_qmm(fn.array(x), *q, rhs_indices=chosen, transpose=transpose, group_size=32))
    dense = oracle.dequantize(*[np.asarray(a) for a in q], form)
    dense = np.swapaxes(dense, -1, -2) if transpose else dense
    for i, e in enumerate(chosen):
        expected = x[i] @ dense[e] if -experts <= e < experts else np.zeros(y.shape[1:])
        np.testing.assert_allclose(y[i], expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["nvfp4", "mxfp4", "mxfp8"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_qqmm_multiplies_rounded_operands(mode, dtype):
    rng = np.random.default_rng(0)
    x = fn.array(rng.normal(size=(2, 3, 64)).astype(np.float32)).astype(DTYPES[dtype])
    w = fn.array(rng.normal(size=(5, 64)).astype(np.float32)).astype(DTYPES[dtype])

    def rounded(a, **options):
        q = fn.quantize(a, mode=mode, **options)
        return float64_of(fn.dequantize(*q, mode=mode, dtype=a.dtype, **options))

    exact = rounded(x) @ rounded(w).T
    tolerance = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    for given_w in ((w,), fn.quantize(w, mode=mode)):
        y = fn.qqmm(x, *given_w, mode=mode)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(float64_of(y), exact, atol=tolerance * np.abs(exact).max())
        stacked = (given_w[0][None], *(s[None] for s in given_w[1:]))
        y = fn.gather_qqmm(x, *stacked, lhs_indices=[1, 0], rhs_indices=[0, 0], mode=mode)
        np.testing.assert_allclose(float64_of(y), exact[::-1], atol=tolerance * np.abs(exact).max())
    if mode == "nvfp4":
        sx, sw = fn.array(3.0), fn.array(2.5)
        exact = rounded(x, global_scale=sx) @ rounded(w, global_scale=sw).T
        for given_w in ((w,), fn.quantize(w, mode=mode, global_scale=sw)):
            y = fn.qqmm(x, *given_w, global_scale_x=sx, global_scale_w=sw)
            np.testing.assert_allclose(float64_of(y), exact, atol=tolerance * np.abs(exact).max())
            stacked = (given_w[0][None], *(s[None] for s in given_w[1:]))
            y = fn.gather_qqmm(x, *stacked, rhs_indices=[0, 0], global_scale_x=sx, global_scale_w=sw[None])
            np.testing.assert_allclose(float64_of(y), exact, atol=tolerance * np.abs(exact).max())


def test_gradients_of_qqmm_pass_through_the_rounding():
    rng = np.random.default_rng(0)
    x = fn.array(rng.normal(size=(3, 64)).astype(np.float32))
    w = fn.array(rng.normal(size=(5, 64)).astype(np.float32))
    ct = fn.array(rng.normal(size=(3, 5)).astype(np.float32))
    dx, dw = fn.grad(lambda x, w: (fn.qqmm(x, w, mode="mxfp8") * ct).sum(), argnums=(0, 1))(x, w)

    def rounded(a):
        return fn.dequantize(*fn.quantize(a, mode="mxfp8"), mode="mxfp8", dtype=fn.float32)

    np.testing.assert_allclose(np.asarray(dx), np.asarray(ct @ rounded(w)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(dw), np.asarray(ct.T @ rounded(x)), rtol=1e-5, atol=1e-5)
    q = fn.quantize(w, mode="mxfp8")
    np.testing.assert_allclose(
        np.asarray(fn.grad(lambda x: (fn.qqmm(x, *q, mode="mxfp8") * ct).sum())(x)), np.asarray(dx), atol=1e-5
    )
    _, tangent = fn.jvp(lambda x: fn.qqmm(x, *q, mode="mxfp8"), (x,), (x,))
    np.testing.assert_allclose(np.asarray(tangent), np.asarray(x @ rounded(w).T), atol=1e-4)


instruction_set = instruction_sets.fixture(instruction_sets.SUPPORTED)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("form", oracle.FORMATS, ids=str)
def test_all_instruction_sets_agree(form):
    rng = np.random.default_rng(5)
    w = rng.normal(size=(37, 384)).astype(np.float32)
    x, y = rng.normal(size=(7, 384)).astype(np.float32), rng.normal(size=(7, 37)).astype(np.float32)
    codes, *scales = oracle.quantize(w, form)
    dense = oracle.dequantize(codes, *scales[:1], scales[1] if len(scales) > 1 else None, form)

    q = fn.quantize(fn.array(w), **oracle.arguments(form))
    for a, b in zip(q, (codes, *scales), strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)
    values = fn.dequantize(*q, **oracle.arguments(form), dtype=fn.float32)
    np.testing.assert_allclose(np.asarray(values), dense, rtol=1e-6, atol=1e-6)
    for rows in (1, 2, 3, 7):
        z = np.asarray(fn.quantized_matmul(fn.array(x[:rows]), *q, **oracle.arguments(form)))
        np.testing.assert_allclose(z, x[:rows] @ dense.T, atol=1e-4)
        z = np.asarray(fn.quantized_matmul(fn.array(y[:rows]), *q, transpose=False, **oracle.arguments(form)))
        np.testing.assert_allclose(z, y[:rows] @ dense, atol=1e-4)


@pytest.mark.parametrize(
    "form", [("affine", 4, 32), ("affine", 3, 64), ("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]
)
@pytest.mark.parametrize("inner", [528, 544, 1040, 1152])
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_lengths_between_the_multiples_of_tiles(form, inner, rows):
    if inner % form[2]:
        pytest.skip("no whole number of groups")
    rng = np.random.default_rng(6)
    for outer in (1, 5, 33, 96):
        q = fn.quantize(fn.array(rng.normal(size=(outer, inner)).astype(np.float32)), **oracle.arguments(form))
        for transpose in (True, False):
            x = rng.normal(size=(rows, inner if transpose else outer)).astype(np.float32)
            y = np.asarray(fn.quantized_matmul(fn.array(x), *q, transpose=transpose, **oracle.arguments(form)))
            np.testing.assert_allclose(y, dense_product(x, q, form, transpose), atol=1e-3)


@pytest.mark.parametrize("rows", [1, 3, 9])
def test_matrices_that_leading_axes_broadcast(rows):
    """Keys of grouped heads: one matrix for several heads of queries."""
    rng = np.random.default_rng(7)
    q = fn.quantize(fn.array(rng.normal(size=(2, 3, 1, 10, 64)).astype(np.float32)), group_size=32)
    x = rng.normal(size=(2, 3, 4, rows, 64)).astype(np.float32)
    y = np.asarray(fn.quantized_matmul(fn.array(x), *q, group_size=32))
    np.testing.assert_allclose(y, dense_product(x, q, ("affine", 4, 32), True), atol=1e-4)


def test_views_of_quantised_matrices():
    rng = np.random.default_rng(8)
    q = fn.quantize(fn.array(rng.normal(size=(4, 12, 64)).astype(np.float32)))
    x = fn.array(rng.normal(size=(9, 64)).astype(np.float32))[:, None, :]
    chosen = fn.array(np.sort(rng.integers(0, 4, 9)))
    half = tuple(a[:, 6:] for a in q)
    y = np.asarray(fn.gather_qmm(x, *half, rhs_indices=chosen, sorted_indices=True))
    whole = np.asarray(fn.gather_qmm(x, *q, rhs_indices=chosen))
    np.testing.assert_allclose(y, whole[..., 6:], atol=1e-5)
    w = fn.array(rng.normal(size=(4, 64, 6)).astype(np.float32))
    y = np.asarray(fn.gather_mm(x, w, rhs_indices=chosen, sorted_indices=True))
    np.testing.assert_allclose(y, np.asarray(x) @ np.asarray(w)[np.asarray(chosen)], atol=1e-4)


def test_tiny_numbers():
    for mode in ("mxfp4", "mxfp8", "nvfp4"):
        for dtype in DTYPES.values():
            tiny = fn.array(np.geomspace(1e-40, 1e-35, 64).reshape(2, 32).astype(np.float32)).astype(dtype)
            values = np.asarray(fn.dequantize(*fn.quantize(tiny, mode=mode), mode=mode, dtype=fn.float32))
            assert np.isfinite(values).all()
            assert (np.abs(values) <= 2 * np.asarray(tiny.astype(fn.float32)).max()).all()


@pytest.mark.parametrize("rows", [1, 4, 40])
@pytest.mark.parametrize("transpose", [True, False])
def test_products_are_the_same_on_any_number_of_threads(rows, transpose):
    rng = np.random.default_rng(0)
    q = fn.quantize(fn.array(rng.normal(size=(512, 512)).astype(np.float32)), bits=3)
    x = fn.array(rng.normal(size=(rows, 512)).astype(np.float32))
    before = fn.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fn.set_num_threads(threads)
            results.append(np.asarray(fn.quantized_matmul(x, *q, bits=3, transpose=transpose)))
    finally:
        fn.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_vmap_of_quantize_with_a_global_scale_for_each():
    w = fn.array(np.random.default_rng(0).normal(size=(3, 4, 32)).astype(np.float32))
    scales = fn.array([1.0, 2.0, 4.0])
    mapped = fn.vmap(lambda w, s: fn.quantize(w, mode="nvfp4", global_scale=s))(w, scales)
    values = fn.vmap(lambda q, t, s: fn.dequantize(q, t, mode="nvfp4", global_scale=s))(*mapped, scales)
    for i in range(3):
        q = fn.quantize(w[i], mode="nvfp4", global_scale=scales[i])
        for a, b in zip(q, mapped, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b[i]))
        dense = fn.dequantize(*q, mode="nvfp4", global_scale=scales[i])
        np.testing.assert_array_equal(np.asarray(dense), np.asarray(values[i]))


def test_second_dimension_mixing_of_dtypes():
    q = fn.quantize(fn.ones((4, 64), fn.float16))
    assert fn.quantized_matmul(fn.ones((1, 64), fn.float32), *q).dtype == fn.float32
    assert fn.quantized_matmul(fn.ones((1, 64), fn.bfloat16), *q).dtype == fn.float32
    assert fn.quantized_matmul(fn.ones((1, 64), fn.int32), *q).dtype == fn.float16
    assert fn.dequantize(q[0], q[1], q[2].astype(fn.float32)).dtype == fn.float32


@pytest.mark.parametrize("m, n", [*itertools.product([1, 2, 4], [12, 20, 28])])
def test_hadamard_matrices_are_orthogonal(m, n):
    size = n << m
    h = np.asarray(fn.hadamard_transform(fn.eye(size), scale=1.0))
    assert set(np.unique(h)) == {-1.0, 1.0}
    np.testing.assert_array_equal(h @ h.T, size * np.eye(size))
