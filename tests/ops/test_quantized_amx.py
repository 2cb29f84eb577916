"""Products of bfloat16 with quantised matrices by tiles: those of the elements, each rounded once."""

import numpy as np
import pytest

import funcnn as fn
import instruction_sets
import quantized_oracle
import thread_counts
from widest import float64_of

pytestmark = pytest.mark.on_cpu
rng = np.random.default_rng(7)


amx = instruction_sets.amx_fixture(autouse=True)


def bfloat16(*shape):
    return fn.array(rng.standard_normal(shape).astype(np.float32)).astype(fn.bfloat16)


def elements(q, form):
    words, scales, *biases = (np.asarray(a.astype(fn.float32) if a.dtype == fn.bfloat16 else a) for a in q)
    dense = quantized_oracle.dequantize(words, scales, biases[0] if biases else None, form)
    return float64_of(fn.array(dense.astype(np.float32)).astype(fn.bfloat16))


@pytest.mark.parametrize("form", quantized_oracle.FORMATS, ids=str)
def test_every_format(form):
    arguments = quantized_oracle.arguments(form)
    for rows, columns, count in [(70, 4 * form[2], 16), (33, 9 * form[2], 45), (128, form[2], 33)]:
        w, x = bfloat16(rows, columns), bfloat16(count, columns)
        q = fn.quantize(w, **arguments)
        dense = elements(q, form)
        exact, scale = float64_of(x) @ dense.T, np.abs(float64_of(x)) @ np.abs(dense.T)
        got = float64_of(fn.quantized_matmul(x, *q, **arguments))
        assert np.all(np.abs(got - exact) <= 2.0**-8 * np.abs(exact) + 2.0**-19 * scale)


def test_large_ones_on_any_number_of_threads():
    # Rows that are copied because they lie a page apart, operands that are not dense.
    w, x = bfloat16(300, 2048), bfloat16(2, 40, 2048)
    q = fn.quantize(w)
    expected = float64_of(x) @ elements(q, ("affine", 4, 64)).T
    got = float64_of(fn.quantized_matmul(x, *q))
    np.testing.assert_allclose(got, expected, atol=2.0**-7 * np.abs(expected).max())
    thread_counts.assert_the_same(lambda: [fn.quantized_matmul(x, *q).astype(fn.float32)])
    turned = fn.swapaxes(fn.swapaxes(x, 0, 2).astype(fn.float32).astype(fn.bfloat16), 0, 2)
    np.testing.assert_array_equal(float64_of(fn.quantized_matmul(turned, *q)), got)


def test_subnormal_numbers_are_zeros():
    # Which also tells that tiles were used.
    x, q = fn.array(np.full((32, 64), 2.0**-127, np.float32)).astype(fn.bfloat16), fn.quantize(bfloat16(32, 64) * 2**30)
    assert np.all(float64_of(fn.quantized_matmul(x, *q)) == 0)
    with instruction_sets.using_amx("off"):
        assert np.any(float64_of(fn.quantized_matmul(x, *q)) != 0)


@pytest.mark.parametrize("name", instruction_sets.SUPPORTED)
@pytest.mark.parametrize("form", [("affine", 4, 64), ("affine", 6, 32), ("mxfp8", 8, 32)], ids=str)
def test_every_instruction_set(name, form):
    q = fn.quantize(bfloat16(50, 6 * form[2]), **quantized_oracle.arguments(form))
    x = bfloat16(20, 6 * form[2])
    dense = elements(q, form)
    with instruction_sets.using_amx("emulated"), instruction_sets.using(name):
        got = float64_of(fn.quantized_matmul(x, *q, **quantized_oracle.arguments(form)))
    # Where products are not joined with sums, a weight may be rounded the other way.
    error = 2.0**-8 * np.abs(float64_of(x) @ dense.T) + 2.0**-12 * np.abs(float64_of(x)) @ np.abs(dense.T)
    assert np.all(np.abs(got - float64_of(x) @ dense.T) <= error)
