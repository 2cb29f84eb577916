"""Operators and comparisons."""

import pytest
from tests.compat.core.expressions import cases, check
from tests.compat.library import mx

OPERATORS = r"""
x + 1 -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x + 1.5 -> float32 [2, 3] [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]
x + True -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x + 1j -> complex64 [2, 3] [[1j, (1+1j), (2+1j)], [(3+1j), (4+1j), (5+1j)]]
x + 2 ** 31 -> ! ValueError
x + 2 ** 40 -> ! ValueError
x + -2 ** 31 -> int32 [2, 3] [[-2147483648, -2147483647, -2147483646], [-2147483645, -2147483644, -2147483643]]
u + 255 -> uint8 [2] [0, 1]
u + 256 -> ! ValueError
u + -1 -> ! ValueError
u - 1 -> uint8 [2] [0, 1]
u * 300 -> ! ValueError
u + 1.5 -> float32 [2] [2.5, 3.5]
b + True -> bool [2] [True, True]
b + 1 -> int32 [2] [2, 1]
b + b -> bool [2] [True, False]
b * b -> bool [2] [True, False]
b ** b -> bool [2] [True, True]
False ** b -> bool [2] [False, True]
b << b -> uint8 [2] [2, 0]
b >> b -> uint8 [2] [0, 0]
True << b -> uint8 [2] [2, 1]
b - b -> bool [2] [False, False]
-b -> ! ValueError
~b -> bool [2] [False, True]
~x -> int32 [2, 3] [[-1, -2, -3], [-4, -5, -6]]
~f -> ! ValueError
b + 1.5 -> float32 [2] [2.5, 1.5]
-u -> uint8 [2] [255, 254]
abs(u) -> uint8 [2] [1, 2]
abs(x) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
+x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x / 2 -> float32 [2, 3] [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]
x // 2 -> int32 [2, 3] [[0, 0, 1], [1, 2, 2]]
x / 0 -> float32 [2, 3] [[nan, inf, inf], [inf, inf, inf]]
-x // 2 -> int32 [2, 3] [[0, -1, -1], [-2, -2, -3]]
-x % 2 -> int32 [2, 3] [[0, 1, 0], [1, 0, 1]]
x ** 2 -> int32 [2, 3] [[0, 1, 4], [9, 16, 25]]
x ** 2.0 -> float32 [2, 3] [[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]
x ** (-1) -> int32 [2, 3] [[0, 0, 0], [0, 0, 0]]
2 ** x -> int32 [2, 3] [[1, 2, 4], [8, 16, 32]]
2.0 ** x -> float32 [2, 3] [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]
x @ x.T -> ! ValueError
x.astype(mx.float32) @ x.T.astype(mx.float32) -> float32 [2, 2] [[5.0, 14.0], [14.0, 50.0]]
f @ f -> float32 [] 14.0
s @ s -> ! ValueError
f @ 2 -> ! TypeError
2 @ f -> ! TypeError
f @ 1.5 -> ! TypeError
f @ 1j -> ! TypeError
f @ True -> ! TypeError
import operator; operator.imatmul(f, 2) -> ! TypeError
mx.matmul(f, 2) -> ! TypeError
mx.matmul(2, f) -> ! TypeError
mx.addmm(s, 2, f) -> ! TypeError
mx.tensordot(f, 2) -> ! TypeError
pow(x, 2, 5) -> ! TypeError
x << 1 -> int32 [2, 3] [[0, 2, 4], [6, 8, 10]]
x >> 1 -> int32 [2, 3] [[0, 0, 1], [1, 2, 2]]
x & 1 -> int32 [2, 3] [[0, 1, 0], [1, 0, 1]]
x & 1.0 -> ! ValueError
f & f -> ! ValueError
f | 1 -> ! ValueError
b & b -> bool [2] [True, False]
b & 1 -> int32 [2] [1, 0]
b | True -> bool [2] [True, True]
b ^ True -> bool [2] [False, True]
x & f -> ! ValueError
x < 1 -> bool [2, 3] [[True, False, False], [False, False, False]]
1 < x -> bool [2, 3] [[False, False, True], [True, True, True]]
x == 1 -> bool [2, 3] [[False, True, False], [False, False, False]]
x == None -> ! TypeError
x != None -> ! TypeError
x == 'a' -> False
x != 'a' -> True
x < 'a' -> ! ValueError
x < None -> ! TypeError
x == [0, 1, 2] -> False
x == (0, 1, 2) -> False
x == np.array([0, 1, 2]) -> bool [2, 3] [[True, True, True], [False, False, False]]
x == {} -> False
None == x -> ! TypeError
x is None -> False
x in [x] -> True
3 in x -> ! ValueError
1.5 in x -> ! ValueError
x == x.T -> ! ValueError
x < c -> bool [2, 3] [[True, True, False], [False, False, False]]
c < c -> bool [1] [False]
c == c -> bool [1] [True]
c >= c -> bool [1] [True]
f == float('nan') -> bool [3] [False, False, False]
x + 'a' -> ! ValueError
'a' + x -> ! ValueError
x + None -> ! TypeError
None + x -> ! TypeError
x + [1, 2, 3] -> ! ValueError
[1, 2, 3] + x -> ! ValueError
(1, 2, 3) + x -> ! ValueError
x + np.array([1, 2, 3]) -> int32 [2, 3] [[1, 3, 5], [4, 6, 8]]
np.array([1, 2, 3]) + x -> array([[1, 3, 5],\n       [4, 6, 8]])
np.float64(2) + x -> array([[2., 3., 4.],\n       [5., 6., 7.]])
np.float64(2) * f -> array([2., 4., 6.])
np.float32(2) * h -> array([2., 4.], dtype=float32)
np.int64(2) + x -> array([[2, 3, 4],\n       [5, 6, 7]])
x + np.int64(2) -> int32 [2, 3] [[2, 3, 4], [5, 6, 7]]
x + np.float64(2) -> float32 [2, 3] [[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]]
h + np.float32(2) -> float16 [2] [3.0, 4.0]
h + np.float64(2) -> float16 [2] [3.0, 4.0]
h + 2 -> float16 [2] [3.0, 4.0]
h + mx.array(2) -> float16 [2] [3.0, 4.0]
h + mx.array(2.0) -> float32 [2] [3.0, 4.0]
u + mx.array(2) -> int32 [2] [3, 4]
u + mx.array(2.0) -> float32 [2] [3.0, 4.0]
u + np.int64(2) -> uint8 [2] [3, 4]
u + np.uint8(2) -> uint8 [2] [3, 4]
np.array(2.0) * f -> array([2., 4., 6.])
f * np.array(2.0) -> float32 [3] [2.0, 4.0, 6.0]
f * np.array([2.0]) -> float32 [3] [2.0, 4.0, 6.0]
x * {} -> ! ValueError
x + object() -> ! ValueError
1 - x -> int32 [2, 3] [[1, 0, -1], [-2, -3, -4]]
1.5 - x -> float32 [2, 3] [[1.5, 0.5, -0.5], [-1.5, -2.5, -3.5]]
1 // f -> float32 [3] [1.0, 0.0, 0.0]
1 % f -> float32 [3] [0.0, 1.0, 1.0]
[1] * x -> ! ValueError
x * [1] -> ! ValueError
x @ [1.0, 2.0, 3.0] -> ! TypeError
f @ [1.0, 2.0, 3.0] -> ! TypeError
f + (1,) -> ! ValueError
c + 1 -> complex64 [1] [(2+2j)]
c * 2.5 -> complex64 [1] [(2.5+5j)]
c % 2 -> ! ValueError
x and 1 -> ! ValueError
not x -> ! ValueError
bool(s) -> True
bool(mx.array([0])) -> False
bool(mx.array([])) -> ! ValueError
bool(x) -> ! ValueError
bool(mx.array([1.0])) -> True
bool(mx.array([[True]])) -> True
bool(mx.array(float('nan'))) -> True
bool(c) -> True
x + np.array([1.5, 2, 3]) -> int32 [2, 3] [[1, 3, 5], [4, 6, 8]]
x + np.array([1.5, 2, 3], np.float32) -> int32 [2, 3] [[1, 3, 5], [4, 6, 8]]
x * np.array([1, 2, 3], np.int8) -> int32 [2, 3] [[0, 2, 6], [3, 8, 15]]
h + np.array([1.5, 2]) -> float16 [2] [2.5, 4.0]
h + np.array([1.5, 2], np.float32) -> float16 [2] [2.5, 4.0]
u + np.array([300, -1]) -> uint8 [2] [45, 1]
u + np.array([1, 2], np.uint16) -> uint8 [2] [2, 4]
b + np.array([1, 2]) -> bool [2] [True, True]
f + np.array([1, 2, 3], np.float64) -> float32 [3] [2.0, 4.0, 6.0]
x + np.array(1.5) -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x + np.float32(2.5) -> int32 [2, 3] [[2, 3, 4], [5, 6, 7]]
x == np.float32(2.5) -> bool [2, 3] [[False, False, True], [False, False, False]]
x + np.array([True, False, True]) -> int32 [2, 3] [[1, 1, 3], [4, 4, 6]]
mx.add(x, np.array([1.5, 2, 3])) -> int32 [2, 3] [[1, 3, 5], [4, 6, 8]]
mx.add(np.array([1.5, 2, 3]), x) -> int32 [2, 3] [[1, 3, 5], [4, 6, 8]]
mx.add(np.array([1.5, 2, 3]), np.array([1, 2, 3])) -> float32 [3] [2.5, 4.0, 6.0]
mx.maximum(x, np.array([1, 2, 3])) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
mx.exp(np.array([0.0, 2]))[0] -> float32 [] 1.0
x + memoryview(b'abc') -> int32 [2, 3] [[97, 99, 101], [100, 102, 104]]
x + memoryview(np.array([1.5, 2, 3])) -> int32 [2, 3] [[1, 3, 5], [4, 6, 8]]
x == np.array([1.5, 2, 3]) -> bool [2, 3] [[False, False, False], [False, False, False]]
h += np.array([1.5, 2]); h -> float16 [2] [2.5, 4.0]
c < mx.array(2) -> bool [1] [True]
c < 1 + 3j -> bool [1] [True]
c <= 1 + 2j -> bool [1] [True]
c > mx.array([1 - 5j]) -> bool [1] [True]
c >= mx.array([1 + 5j]) -> bool [1] [False]
b // True -> bool [2] [True, False]
b % True -> bool [2] [False, False]
True // mx.array([True, True]) -> bool [2] [True, True]
b // np.uint8(7) -> bool [2] [True, False]
b % np.array([1.5, 2]) -> bool [2] [False, False]
b << np.uint8(2) -> uint8 [2] [2, 0]
b //= True; b -> bool [2] [True, False]
b %= True; b -> bool [2] [False, False]
b <<= True; b -> uint8 [2] [2, 0]
b **= True; b -> bool [2] [True, False]
b // f[:2] < 2 -> bool [2] [True, True]
c // 2 -> complex64 [1] [(0.5+1j)]
2 // c -> complex64 [1] [(0.4000000059604645-0.800000011920929j)]
c //= 1j; c -> complex64 [1] [(2-1j)]
mx.floor_divide(b, True) -> bool [2] [True, False]
mx.remainder(b, np.array(2)) -> bool [2] [False, False]
mx.divmod(b, True) -> [bool [2] [True, False], bool [2] [False, False]]
mx.left_shift(b, np.array(2)) -> uint8 [2] [2, 0]
mx.right_shift(np.int64(3), mx.array([True, True])) -> uint8 [2] [0, 0]
mx.power(b, np.array(0)) -> bool [2] [True, True]
mx.logical_xor(u, 300) -> bool [2] [False, False]
mx.logical_xor(0, u) -> bool [2] [True, True]
mx.clip(x, np.float32(1.5), None) -> int32 [2, 3] [[1, 1, 2], [3, 4, 5]]
mx.clip(x, np.array(1.5), np.array([2.5, 3.5, 4.5])) -> int32 [2, 3] [[1, 1, 2], [2, 3, 4]]
mx.clip(h, np.array(1.5), mx.array(1.75, mx.float16)) -> float16 [2] [1.5, 1.75]
mx.clip(x, np.float64(1.5), None) -> float32 [2, 3] [[1.5, 1.5, 2.0], [3.0, 4.0, 5.0]]
mx.clip(f, 2.0, mx.array([2 + 1j, 5j, 2 - 1j])) -> complex64 [3] [(2+0j), 5j, (2-1j)]
mx.clip(f, 1j, 2.0) -> complex64 [3] [(1+0j), (2+0j), (2+0j)]
"""


@pytest.mark.parametrize(("program", "expected"), cases(OPERATORS))
def test_operators(program: str, expected: str) -> None:
    check(program, expected)


@pytest.mark.parametrize("f", [mx.exp, mx.abs, mx.round, mx.bitwise_invert, mx.nan_to_num], ids=lambda f: f.__name__)
def test_one_operand_that_is_no_number(f):
    for wrong in ("a", {}, object(), [[1.0], "a"]):
        with pytest.raises(ValueError):
            f(wrong)
    with pytest.raises(TypeError):
        f(None)


@pytest.mark.parametrize(
    "f", [mx.add, mx.maximum, mx.left_shift, mx.power, mx.divmod, mx.less], ids=lambda f: f.__name__
)
def test_two_operands_of_which_one_is_no_number(f):
    x = mx.array([1, 2])
    for wrong in ("a", {}, object()):
        for operands in ((wrong, 1), (1, wrong), (x, wrong), (wrong, x)):
            with pytest.raises(ValueError):
                f(*operands)
    for operands in ((None, 1), (1, None), (x, None), (x,), ()):
        with pytest.raises(TypeError):
            f(*operands)
