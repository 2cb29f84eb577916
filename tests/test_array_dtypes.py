"""Dtypes: objects, promotion against MLX's table, weak Python numbers, limits."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import funcnn as fn

NAMES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "complex64",
]

# What mlx.core gives for an operation on two arrays: rows and columns in the order of NAMES.
PROMOTION = """
bool      uint8     uint16    uint32    uint64    int8      int16     int32     int64     float16   bfloat16  float32   complex64
uint8     uint8     uint16    uint32    uint64    int16     int16     int32     int64     float16   bfloat16  float32   complex64
uint16    uint16    uint16    uint32    uint64    int32     int32     int32     int64     float16   bfloat16  float32   complex64
uint32    uint32    uint32    uint32    uint64    int64     int64     int64     int64     float16   bfloat16  float32   complex64
uint64    uint64    uint64    uint64    uint64    float32   float32   float32   float32   float16   bfloat16  float32   complex64
int8      int16     int32     int64     float32   int8      int16     int32     int64     float16   bfloat16  float32   complex64
int16     int16     int32     int64     float32   int16     int16     int32     int64     float16   bfloat16  float32   complex64
int32     int32     int32     int64     float32   int32     int32     int32     int64     float16   bfloat16  float32   complex64
int64     int64     int64     int64     float32   int64     int64     int64     int64     float16   bfloat16  float32   complex64
float16   float16   float16   float16   float16   float16   float16   float16   float16   float16   float32   float32   complex64
bfloat16  bfloat16  bfloat16  bfloat16  bfloat16  bfloat16  bfloat16  bfloat16  bfloat16  float32   bfloat16  float32   complex64
float32   float32   float32   float32   float32   float32   float32   float32   float32   float32   float32   float32   complex64
complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64
"""

# And for a Python number beside an array.
WEAK = {
    True: "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 complex64",
    2: "int32 uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 complex64",
    1.5: "float32 float32 float32 float32 float32 float32 float32 float32 float32 float16 bfloat16 float32 complex64",
    1j: " ".join(["complex64"] * 13),
}


def dtype(name: str) -> fn.Dtype:
    return fn.bool_ if name == "bool" else getattr(fn, name)


@pytest.mark.parametrize(("a", "row"), list(zip(NAMES, PROMOTION.split("\n")[1:-1], strict=True)))
def test_promotion_is_mlx_s(a: str, row: str) -> None:
    for b, expected in zip(NAMES, row.split(), strict=True):
        assert fn.promote_types(dtype(a), dtype(b)) == dtype(expected)
        assert (fn.ones(1, dtype(a)) + fn.ones(1, dtype(b))).dtype == dtype(expected)
        assert fn.result_type(fn.ones(1, dtype(a)), dtype(b)) == dtype(expected)


@pytest.mark.parametrize("number", WEAK)
def test_python_numbers_are_weak(number: complex) -> None:
    for name, expected in zip(NAMES, WEAK[number].split(), strict=True):
        x = fn.ones(2, dtype(name))
        assert (x * number).dtype == (number * x).dtype == fn.multiply(x, number).dtype == dtype(expected)
        assert fn.add(number, x).dtype == dtype(expected)


def test_arrays_of_no_axes_are_not_weak() -> None:
    assert (fn.ones(2, fn.float16) * fn.array(2.0)).dtype == fn.float32


def test_numpy_scalars_are_as_weak_as_python_numbers() -> None:
    x = fn.ones(2, fn.float16)
    for scalar in (np.float64(2), np.float32(2), np.int64(2)):
        assert (x * scalar).dtype == (scalar * x).dtype == fn.float16
        assert isinstance(scalar * x, fn.array)


def test_float64_is_the_widest_float() -> None:
    for name in NAMES[:-1]:
        assert fn.promote_types(dtype(name), fn.float64) == fn.float64
    x = fn.array(1.0, fn.float64)
    assert (x * 2.5).dtype == fn.float64
    assert (x * np.array([0.1])).tolist() == (np.array([0.1]) * x).tolist() == fn.multiply(x, [0.1]).tolist() == [0.1]
    assert x.at[()].set(np.array(0.1)).item() == 0.1


def test_integers_that_do_not_fit_beside_an_array_are_refused() -> None:
    x = fn.ones(2, fn.uint8)
    for operation in (lambda: x + 300, lambda: x * -1, lambda: 256 - x, lambda: fn.maximum(x, 1000)):
        with pytest.raises(ValueError, match="does not fit uint8"):
            operation()


@pytest.mark.parametrize("name", [*NAMES, "float64"])
def test_objects(name: str) -> None:
    d = dtype(name)
    assert repr(d) == d.name == name
    assert d.itemsize == d.size == fn.ones(1, d).nbytes
    assert {d: 1}[dtype(name)] == 1
    for same in (pickle.loads(pickle.dumps(d)), copy.copy(d), copy.deepcopy(d), fn.ones(1, d).dtype):
        assert same is d
    assert d != fn.int8 or name == "int8"


def test_numpy_dtypes_and_python_types_name_dtypes() -> None:
    x = fn.ones(1)
    assert x.astype(np.int64).dtype == fn.int64
    assert x.astype(np.dtype("uint8")).dtype == fn.uint8
    assert [x.astype(t).dtype for t in (bool, int, float, complex)] == [fn.bool_, fn.int32, fn.float32, fn.complex64]
    for wrong in ("float", 3, str, list, np.dtype("U1"), None):
        with pytest.raises(TypeError, match="dtype"):
            x.astype(wrong)


def test_limits() -> None:
    assert (fn.iinfo(fn.int8).min, fn.iinfo(fn.int8).max, fn.iinfo(fn.int8).bits) == (-128, 127, 8)
    assert fn.iinfo(fn.uint64).max == 2**64 - 1
    assert fn.iinfo(fn.int64).min == -(2**63)
    for name in ("float16", "float32", "float64"):
        ours, numpys = fn.finfo(dtype(name)), np.finfo(name)
        assert (ours.min, ours.max, ours.eps) == (numpys.min, numpys.max, numpys.eps)
        assert ours.smallest_normal == numpys.smallest_normal
    assert fn.finfo(fn.bfloat16).eps == 2.0**-7
    with pytest.raises(ValueError, match="iinfo"):
        fn.finfo(fn.int32)
    with pytest.raises(ValueError, match="finfo"):
        fn.iinfo(fn.float32)


def test_kinds() -> None:
    assert fn.isdtype(fn.int8, ("real floating", "signed integer"))
    assert not fn.isdtype(fn.bool_, "numeric")
    assert fn.isdtype(fn.bfloat16, fn.bfloat16)
    with pytest.raises(ValueError, match="unknown kind"):
        fn.isdtype(fn.int8, "float")


@pytest.mark.parametrize(("source", "values"), [("float32", [0.0, 1.5, -2.5, 100.0]), ("int32", [0, 1, -3, 100])])
@pytest.mark.parametrize("target", [n for n in NAMES if n[0] != "u"])
def test_astype(source: str, values: list[float], target: str) -> None:
    x = fn.array(values, dtype(source)).astype(dtype(target))
    expected = np.array(values).astype({"bfloat16": "float32"}.get(target, target))
    np.testing.assert_array_equal(np.asarray(x), expected)
