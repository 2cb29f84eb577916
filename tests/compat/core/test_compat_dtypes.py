"""Dtypes, their categories, their limits, and what they promote to."""

import copy

import pytest
from tests.compat.core.expressions import cases, check
from tests.compat.library import REAL, mx

NAMES = [
    *("bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
]

DTYPES = r"""
mx.float32 -> mlx.core.float32
str(mx.float32) -> 'mlx.core.float32'
f'{mx.bfloat16}' -> 'mlx.core.bfloat16'
mx.bool_ -> mlx.core.bool
x.dtype -> mlx.core.int32
f.dtype -> mlx.core.float32
(x > 1).dtype -> mlx.core.bool
mx.float32 == mx.float32 -> True
mx.float32 != mx.float16 -> True
mx.float32 == 1 -> False
mx.float32 is None -> False
x.dtype == mx.int32 -> True
{mx.float32: 1}[f.dtype] -> 1
type(mx.float32).__name__ -> 'Dtype'
isinstance(mx.float32, mx.Dtype) -> True
mx.float32.size -> 4
mx.complex64.size -> 8
mx.Dtype() -> ! TypeError
mx.float32(3) -> ! TypeError
mx.float32 < mx.float64 -> ! TypeError
[str(k) for k in mx.DtypeCategory.__members__] -> ['complexfloating', 'floating', 'inexact', 'signedinteger', 'unsignedinteger', 'integer', 'number', 'generic']
mx.floating -> DtypeCategory.floating
str(mx.floating) -> 'DtypeCategory.floating'
mx.floating == mx.float32 -> False
mx.issubdtype(mx.float32, mx.floating) -> True
mx.issubdtype(mx.float32, mx.float32) -> True
mx.issubdtype(mx.float32, mx.float64) -> False
mx.issubdtype(mx.bool_, mx.number) -> False
mx.issubdtype(mx.bool_, mx.generic) -> True
mx.issubdtype(mx.floating, mx.number) -> True
mx.issubdtype(mx.complex64, mx.floating) -> False
mx.issubdtype(mx.complex64, mx.inexact) -> True
mx.issubdtype(mx.uint8, mx.integer) -> True
mx.issubdtype(x.dtype, mx.signedinteger) -> True
mx.issubdtype(mx.integer, mx.uint8) -> False
mx.issubdtype(x, mx.integer) -> ! ValueError
mx.issubdtype('float32', mx.integer) -> ! ValueError
mx.finfo(mx.float32) -> finfo(min=-3.40282e+38, max=3.40282e+38, dtype=float32)
mx.finfo(mx.complex64) -> finfo(min=-3.40282e+38, max=3.40282e+38, dtype=float32)
mx.finfo(mx.float16).max -> 65504.0
mx.finfo(mx.float16).min -> -65504.0
mx.finfo(mx.float16).eps -> 0.0009765625
mx.finfo(mx.bfloat16).max -> 3.3895313892515355e+38
mx.finfo(mx.bfloat16).eps -> 0.0078125
mx.finfo(mx.bfloat16).dtype -> mlx.core.bfloat16
mx.finfo(mx.float64).max -> 1.7976931348623157e+308
mx.finfo(mx.float32).max -> 3.4028234663852886e+38
mx.finfo(mx.float32).eps -> 1.1920928955078125e-07
mx.finfo(mx.float32).smallest_normal -> 1.1754943508222875e-38
mx.finfo(mx.int32) -> ! ValueError
mx.finfo('float32') -> ! TypeError
mx.iinfo(mx.int32) -> iinfo(min=-2147483648, max=2147483647, dtype=int32)
mx.iinfo(mx.uint64).max -> 18446744073709551615
mx.iinfo(mx.int64).min -> -9223372036854775808
mx.iinfo(mx.bool_) -> ! ValueError
mx.iinfo(mx.float32) -> ! ValueError
mx.result_type(x, f) -> mlx.core.float32
mx.result_type(x) -> mlx.core.int32
mx.result_type(mx.float16, mx.bfloat16) -> mlx.core.float32
mx.result_type(x, 1.5) -> ! ValueError
mx.result_type() -> ! ValueError
"""

# Of two arrays: rows and columns in the order of NAMES, printed by
#   for a in NAMES: print(*(str(mx.result_type(getattr(mx, a), getattr(mx, b)))[9:] for b in NAMES))
PROMOTIONS = """
bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64
uint8 uint8 uint16 uint32 uint64 int16 int16 int32 int64 float16 bfloat16 float32 float64 complex64
uint16 uint16 uint16 uint32 uint64 int32 int32 int32 int64 float16 bfloat16 float32 float64 complex64
uint32 uint32 uint32 uint32 uint64 int64 int64 int64 int64 float16 bfloat16 float32 float64 complex64
uint64 uint64 uint64 uint64 uint64 float32 float32 float32 float32 float16 bfloat16 float32 float64 complex64
int8 int16 int32 int64 float32 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64
int16 int16 int32 int64 float32 int16 int16 int32 int64 float16 bfloat16 float32 float64 complex64
int32 int32 int32 int64 float32 int32 int32 int32 int64 float16 bfloat16 float32 float64 complex64
int64 int64 int64 int64 float32 int64 int64 int64 int64 float16 bfloat16 float32 float64 complex64
float16 float16 float16 float16 float16 float16 float16 float16 float16 float16 float32 float32 float64 complex64
bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 bfloat16 float32 bfloat16 float32 float64 complex64
float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float32 float64 complex64
float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 float64 complex64
complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex64
"""

# Beside True, 1, 1.5 and 1j.
NUMBERS = {
    "bool_": "bool int32 float32 complex64",
    "uint8": "uint8 uint8 float32 complex64",
    "uint16": "uint16 uint16 float32 complex64",
    "uint32": "uint32 uint32 float32 complex64",
    "uint64": "uint64 uint64 float32 complex64",
    "int8": "int8 int8 float32 complex64",
    "int16": "int16 int16 float32 complex64",
    "int32": "int32 int32 float32 complex64",
    "int64": "int64 int64 float32 complex64",
    "float16": "float16 float16 float16 complex64",
    "bfloat16": "bfloat16 bfloat16 bfloat16 complex64",
    "float32": "float32 float32 float32 complex64",
    "float64": "float64 float64 float64 complex64",
    "complex64": "complex64 complex64 complex64 complex64",
}


def name_of(dtype: object) -> str:
    return str(dtype).removeprefix("mlx.core.")


@pytest.mark.parametrize(("program", "expected"), cases(DTYPES))
def test_dtypes(program: str, expected: str) -> None:
    check(program, expected)


def test_sizes() -> None:
    assert [getattr(mx, name).size for name in NAMES] == [1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8]
    for name in NAMES:
        x = mx.zeros(3, getattr(mx, name))
        assert (x.itemsize, x.nbytes) == (getattr(mx, name).size, 3 * getattr(mx, name).size)


@pytest.mark.parametrize(("row", "expected"), list(zip(NAMES, PROMOTIONS.strip().splitlines(), strict=True)))
def test_promotions(row: str, expected: str) -> None:
    dtypes = [getattr(mx, name) for name in NAMES]
    assert [name_of(mx.result_type(getattr(mx, row), dtype)) for dtype in dtypes] == expected.split()
    x = mx.ones(1, getattr(mx, row))
    for dtype, promoted in zip(dtypes, expected.split(), strict=True):
        if mx.float64 not in (x.dtype, dtype):  # which MLX's GPUs lack
            assert name_of((x + mx.ones(1, dtype)).dtype) == promoted


@pytest.mark.parametrize(("name", "expected"), NUMBERS.items())
def test_numbers_are_weak(name: str, expected: str) -> None:
    x = mx.ones(1, getattr(mx, name))
    numbers = (True, 1, 1.5, 1j)
    assert [name_of((x + n).dtype) for n in numbers] == expected.split()
    assert [name_of((n * x).dtype) for n in numbers] == expected.split()
    assert [name_of(mx.add(x, n).dtype) for n in numbers] == expected.split()
    # Arrays without axes are not.
    assert name_of((x + mx.array(1.5)).dtype) == name_of(mx.result_type(x.dtype, mx.float32))
    for n, promoted in zip(numbers, expected.split(), strict=True):
        y = mx.ones(1, getattr(mx, name))
        y += n
        assert name_of(y.dtype) == promoted
        y[0] = 0
        assert name_of(y.dtype) == promoted


OPERATORS = {
    "/": "float32 float32 float32 float32 float32 float32 float32 float32 float32 float16 bfloat16 float32 float64",
    "//": "- uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64",
    "%": "- uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64",
    "**": "- uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64",
    "-": "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64",
    "==": " ".join(["bool"] * 13),
    "&": "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 ! ! ! !",
    "<<": "- uint8 uint16 uint32 uint64 int8 int16 int32 int64 ! ! ! !",
    "@": "! ! ! ! ! ! ! ! ! float16 bfloat16 float32 float64",
}


@pytest.mark.parametrize(("operator", "expected"), OPERATORS.items())
def test_dtypes_of_operators(operator: str, expected: str) -> None:
    for name, wanted in zip(NAMES, expected.split(), strict=False):
        x = mx.ones(1, getattr(mx, name))
        if wanted == "-":  # of bools, where funcnn refuses what MLX computes
            continue
        if wanted == "!":
            with pytest.raises(ValueError):
                eval(f"x {operator} x", {"x": x})
        else:
            assert name_of(eval(f"x {operator} x", {"x": x}).dtype) == wanted, name


@pytest.mark.skipif(REAL, reason="copies dtypes, which MLX does not")
def test_dtypes_are_copied() -> None:
    assert copy.deepcopy(mx.float32) is mx.float32
