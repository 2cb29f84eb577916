"""Windows, categories of dtypes, print options, and memory under MLX's names."""

import threading

import numpy as np
import pytest

import funcnn as fn


@pytest.mark.parametrize("name", ["hanning", "hamming", "blackman", "bartlett"])
def test_windows(name):
    window = getattr(fn, name)
    for count in (-1, 0, 1, 2, 3, 8, 101):
        got = window(count)
        assert got.dtype == fn.float32
        np.testing.assert_allclose(got, getattr(np, name)(count), rtol=2e-7, atol=3e-17)
        assert got.tolist() == got[::-1].tolist() or name != "bartlett"
    with pytest.raises(TypeError, match=f"{name}: M must be an integer"):
        window(2.5)


DTYPES = [
    getattr(fn, name)
    for name in ["bool_", "int8", "int64", "uint8", "uint64", "float16", "bfloat16", "float32", "float64", "complex64"]
]
NUMPY = {
    "generic": np.generic,
    "number": np.number,
    "integer": np.integer,
    "signedinteger": np.signedinteger,
    "unsignedinteger": np.unsignedinteger,
    "inexact": np.inexact,
    "floating": np.floating,
    "complexfloating": np.complexfloating,
}


def test_categories():
    for dtype in DTYPES:
        kind = np.float32 if dtype == fn.bfloat16 else np.dtype(dtype.name).type
        for name, category in NUMPY.items():
            assert fn.issubdtype(dtype, getattr(fn, name)) == np.issubdtype(kind, category), (dtype, name)
    for first in NUMPY:
        for second in NUMPY:
            wanted = issubclass(NUMPY[first], NUMPY[second])
            assert fn.issubdtype(getattr(fn, first), getattr(fn, second)) == wanted, (first, second)
        assert not fn.issubdtype(getattr(fn, first), fn.float32)
    assert fn.issubdtype("float32", fn.float32) and not fn.issubdtype(fn.float32, fn.float64)
    assert repr(fn.floating) == "DtypeCategory.floating"
    with pytest.raises(TypeError, match="expected dtypes or categories, got an array"):
        fn.issubdtype(fn.ones(1), fn.floating)
    with pytest.raises(TypeError, match="expected a dtype"):
        fn.issubdtype([], fn.floating)


def test_can_cast_is_promotion():
    for a in DTYPES:
        for b in DTYPES:
            assert fn.can_cast(a, b) == (fn.promote_types(a, b) == b)
    assert fn.can_cast(fn.ones(2, fn.int8), fn.int32) and not fn.can_cast(fn.ones(2), "int32")
    with pytest.raises(TypeError, match="expected a dtype"):
        fn.can_cast(fn.int8, 3)


def test_limits_of_arrays():
    assert fn.finfo(fn.ones(1, fn.float16)).max == 65504 and fn.finfo("float32").bits == 32
    assert fn.iinfo(fn.ones(1, fn.int8)).max == 127 and fn.iinfo(np.uint8).dtype == fn.uint8
    with pytest.raises(ValueError, match="finfo: int32 is not a floating-point dtype"):
        fn.finfo(fn.array([1]))


def test_print_options():
    x = fn.array([1.23456789, 100.0])
    plain = repr(x)
    with fn.printoptions(precision=2):
        assert repr(x) == "array([  1.23, 100.00], dtype=float32)"
        assert fn.get_printoptions() == fn.PrintOptions(2)
        with pytest.raises(KeyError), fn.printoptions(0):
            raise KeyError
        assert repr(fn.array(1 / 3)) == "array(0.33, dtype=float32)"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(repr(x)))
        thread.start()
        thread.join()
        assert seen == [repr(x)]
    assert repr(x) == plain
    fn.set_printoptions(precision=3)
    try:
        assert repr(x) == "array([  1.235, 100.000], dtype=float32)"
    finally:
        fn.set_printoptions()
    assert repr(x) == plain
    for wrong, error in ((-2, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="precision"):
            fn.set_printoptions(wrong)


@pytest.mark.on_cpu  # memory that NumPy shares
def test_memory():
    before = fn.set_memory_limit(2**40)
    assert fn.get_memory_limit() == 2**40
    fn.set_memory_limit(before)
    assert fn.get_memory_limit("cpu") == before
    x = fn.arange(1000.0) + 1
    with pytest.raises(ValueError, match="an array is not computed yet"):
        fn.get_array_buffer_size(x)
    fn.eval(x)
    alone = fn.get_array_buffer_size(x)
    assert x.nbytes <= alone < 2 * x.nbytes
    y = fn.ones(7) * 2
    fn.eval(y)
    assert fn.get_array_buffer_size({"a": x, "b": [x, y, 3]}) == alone + fn.get_array_buffer_size(y)
    view = x[10:]
    fn.eval(view)
    assert fn.get_array_buffer_size(x, view) == alone
    assert fn.get_array_buffer_size(fn.array(1.0)) == 0
    shared = np.zeros(100, np.float32)
    assert fn.get_array_buffer_size(fn.asarray(shared)) == 400
    assert fn.set_wired_limit(10) == 0 and fn.set_wired_limit(0) == 10
    with pytest.raises(ValueError, match="must not be negative"):
        fn.set_wired_limit(-1)


def test_empty():
    assert fn.empty((2, 3)).shape == (2, 3) and fn.empty(2).dtype == fn.float32
    assert fn.empty_like(fn.ones(3, fn.int8)).dtype == fn.int8 and fn.empty_like([1], fn.float16).dtype == fn.float16
