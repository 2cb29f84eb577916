"""mx.array(...) of everything."""

import pytest
from tests.compat.core.expressions import cases, check

MAKING = r"""
mx.array(1) -> int32 [] 1
mx.concatenate([mx.array(1.5)]) -> float32 [] 1.5
mx.concatenate([mx.array([1, 2])], axis=5) -> int32 [2] [1, 2]
mx.concatenate([mx.array(1.5), mx.array([1.0])]) -> ! IndexError
mx.clip(mx.array([1, 2]), None, None) -> ! ValueError
mx.full((2,), 'a') -> ! ValueError
mx.full((2,), object()) -> ! ValueError
mx.array_equal(mx.array(1), {}) -> ! ValueError
mx.array(1.5) -> float32 [] 1.5
mx.array(True) -> bool [] True
mx.array(1j) -> complex64 [] 1j
mx.array(2 ** 31) -> int64 [] 2147483648
mx.array(-2 ** 31 - 1) -> int64 [] -2147483649
mx.array(2 ** 63 - 1) -> int64 [] 9223372036854775807
mx.array([2 ** 31]) -> int64 [1] [2147483648]
mx.array([1, 2 ** 40]) -> int64 [2] [1, 1099511627776]
mx.array(300, mx.uint8) -> uint8 [] 44
mx.array(-1, mx.uint8) -> uint8 [] 255
mx.array([300], mx.uint8) -> uint8 [1] [44]
mx.array([-1], mx.uint8) -> uint8 [1] [255]
mx.array(-1, mx.uint64) -> uint64 [] 18446744073709551615
mx.array(1.7, mx.int32) -> int32 [] 1
mx.array([1.7], mx.int32) -> int32 [1] [1]
mx.array([1, 2.5, True]) -> float32 [3] [1.0, 2.5, 1.0]
mx.array([True, False]) -> bool [2] [True, False]
mx.array([True, 2]) -> int32 [2] [1, 2]
mx.array([1, 1j]) -> complex64 [2] [(1+0j), 1j]
mx.array([]) -> float32 [0] []
mx.array(()) -> float32 [0] []
mx.array([[]]) -> float32 [1, 0] [[]]
mx.array([[], []]) -> float32 [2, 0] [[], []]
mx.array([[1, 2], [3, 4]]) -> int32 [2, 2] [[1, 2], [3, 4]]
mx.array(((1, 2), (3, 4))) -> int32 [2, 2] [[1, 2], [3, 4]]
mx.array([(1, 2), [3, 4]]) -> int32 [2, 2] [[1, 2], [3, 4]]
mx.array([[1, 2], [3]]) -> ! ValueError
mx.array([1, [2]]) -> ! ValueError
mx.array([[1], 2]) -> ! ValueError
mx.array([1, None]) -> ! ValueError
mx.array(None) -> ! TypeError
mx.array('a') -> ! ValueError
mx.array(['a']) -> ! ValueError
mx.array({}) -> ! ValueError
mx.array(range(3)) -> ! ValueError
mx.array(x) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
mx.array(x, mx.float32) -> float32 [2, 3] [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
mx.array(x, dtype=mx.float16) -> float16 [2, 3] [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
mx.array(val=3) -> int32 [] 3
mx.array(3, dtype=mx.float64) -> float64 [] 3.0
mx.array(obj=3) -> ! TypeError
mx.array() -> ! TypeError
mx.array(1, 2) -> ! TypeError
mx.array(1, 'float32') -> ! TypeError
mx.array(1, np.float32) -> ! TypeError
mx.array(1, float) -> ! TypeError
mx.array([x, x]) -> int32 [2, 2, 3] [[[0, 1, 2], [3, 4, 5]], [[0, 1, 2], [3, 4, 5]]]
mx.array([x[0], x[1]]) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
mx.array([f, x[0]]) -> float32 [2, 3] [[1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]
mx.array([f, [1, 2, 3]]) -> float32 [2, 3] [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
mx.array([s, s]) -> int32 [2] [3, 3]
mx.array([s, 1]) -> int32 [2] [3, 1]
mx.array([1, s]) -> int32 [2] [1, 3]
mx.array([s, 1.5]) -> float32 [2] [3.0, 1.5]
mx.array([[s], [1]]) -> int32 [2, 1] [[3], [1]]
mx.array((s, s)) -> int32 [2] [3, 3]
mx.array([f, mx.zeros(2)]) -> ! ValueError
mx.array([x, x], dtype=mx.float32) -> float32 [2, 2, 3] [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
mx.array(np.arange(3)) -> int64 [3] [0, 1, 2]
mx.array(np.arange(3.0)) -> float32 [3] [0.0, 1.0, 2.0]
mx.array(np.arange(3, dtype=np.float16)) -> float16 [3] [0.0, 1.0, 2.0]
mx.array(np.arange(3, dtype=np.uint8)) -> uint8 [3] [0, 1, 2]
mx.array(np.array(1.5)) -> float32 [] 1.5
mx.array(np.float64(1.5)) -> float32 [] 1.5
mx.array(np.float32(1.5)) -> float32 [] 1.5
mx.array(np.int64(1)) -> int64 [] 1
mx.array(np.int8(1)) -> int8 [] 1
mx.array(np.bool_(True)) -> bool [] True
mx.array(np.complex128(1j)) -> complex64 [] 1j
mx.array(np.array([1j])) -> complex64 [1] [1j]
mx.array(np.zeros((0, 3))) -> float32 [0, 3] []
mx.array(np.arange(6).reshape(2, 3).T) -> int64 [3, 2] [[0, 3], [1, 4], [2, 5]]
mx.array(np.arange(6)[::2]) -> int64 [3] [0, 2, 4]
mx.array([np.float64(1), 2]) -> float32 [2] [1.0, 2.0]
mx.array(np.arange(3.0), mx.int32) -> int32 [3] [0, 1, 2]
mx.array(np.arange(3), dtype=mx.float32) -> float32 [3] [0.0, 1.0, 2.0]
mx.array(np.arange(3.0), mx.float64) -> float64 [3] [0.0, 1.0, 2.0]
mx.array(memoryview(b'ab')) -> uint8 [2] [97, 98]
mx.array(bytearray(b'ab')) -> uint8 [2] [97, 98]
mx.array(b'ab') -> uint8 [2] [97, 98]
import array as A; mx.array(A.array('i', [1, 2])) -> int32 [2] [1, 2]
import array as A; mx.array(A.array('d', [1, 2])) -> float32 [2] [1.0, 2.0]
mx.array(float('nan')) -> float32 [] nan
mx.array(1e+40) -> float32 [] inf
mx.array([1e+40], mx.float16) -> float16 [1] [inf]
mx.array(np.array([2 ** 63], np.uint64)) -> uint64 [1] [9223372036854775808]
mx.asarray([1, 2]) -> int32 [2] [1, 2]
mx.asarray(x) is x -> False
mx.asarray(np.arange(3.0)) -> float32 [3] [0.0, 1.0, 2.0]
"""


@pytest.mark.parametrize(("program", "expected"), cases(MAKING))
def test_making(program: str, expected: str) -> None:
    check(program, expected)
