"""Parts of arrays, read."""

import pytest
from tests.compat.core.expressions import cases, check

READS = r"""
x[0] -> int32 [3] [0, 1, 2]
x[-1] -> int32 [3] [3, 4, 5]
x[np.int64(1)] -> int32 [3] [3, 4, 5]
x[np.array(1)] -> int32 [3] [3, 4, 5]
x[mx.array(1)] -> int32 [3] [3, 4, 5]
x[mx.array(-1)] -> int32 [3] [3, 4, 5]
x[None] -> int32 [1, 2, 3] [[[0, 1, 2], [3, 4, 5]]]
x[...] -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[()] -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[..., None] -> int32 [2, 3, 1] [[[0], [1], [2]], [[3], [4], [5]]]
x[..., 0] -> int32 [2] [0, 3]
x[0, ...] -> int32 [3] [0, 1, 2]
x[0, ..., 1] -> int32 [] 1
x[0, 0] -> int32 [] 0
x[0, np.int64(1)] -> int32 [] 1
x[0, 0, None] -> int32 [1] [0]
x[0, 1] -> int32 [] 1
x[mx.array(0), mx.array(1)] -> int32 [] 1
x[None, None, 0] -> int32 [1, 1, 3] [[[0, 1, 2]]]
x[None, 0, None] -> int32 [1, 1, 3] [[[0, 1, 2]]]
x[:, None, :] -> int32 [2, 1, 3] [[[0, 1, 2]], [[3, 4, 5]]]
x[np.newaxis, mx.newaxis] -> int32 [1, 1, 2, 3] [[[[0, 1, 2], [3, 4, 5]]]]
v[None, :, None] -> int32 [1, 5, 1] [[[0], [1], [2], [3], [4]]]
v[0:2] -> int32 [2] [0, 1]
v[::-1] -> int32 [5] [4, 3, 2, 1, 0]
v[::-2] -> int32 [3] [4, 2, 0]
v[3:0:-1] -> int32 [3] [3, 2, 1]
v[-1:-3:-1] -> int32 [2] [4, 3]
v[9:1:-1] -> int32 [3] [4, 3, 2]
v[9:] -> int32 [0] []
v[:9] -> int32 [5] [0, 1, 2, 3, 4]
v[-9:2] -> int32 [2] [0, 1]
v[2:1] -> int32 [0] []
v[1:1] -> int32 [0] []
v[1:4:2] -> int32 [2] [1, 3]
v[-2:] -> int32 [2] [3, 4]
v[np.int64(0):np.int64(2)] -> int32 [2] [0, 1]
x[::2, ::-1] -> int32 [1, 3] [[2, 1, 0]]
x[0:2][0:1] -> int32 [1, 3] [[0, 1, 2]]
x.T[1:, 0] -> int32 [2] [1, 2]
v[[0, 1]] -> int32 [2] [0, 1]
v[[0, -1]] -> int32 [2] [0, 4]
x[[[0, 1], [1, 0]]] -> int32 [2, 2, 3] [[[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]]
x[[0, 1], [1, 2]] -> int32 [2] [1, 5]
x[[0, 1], :] -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[:, [0, 1]] -> int32 [2, 2] [[0, 1], [3, 4]]
x[None, [0, 1]] -> int32 [1, 2, 3] [[[0, 1, 2], [3, 4, 5]]]
x[[0, 1], None] -> int32 [2, 1, 3] [[[0, 1, 2]], [[3, 4, 5]]]
x[[0, 1], ..., None] -> int32 [2, 3, 1] [[[0], [1], [2]], [[3], [4], [5]]]
x[[mx.array(0), mx.array(1)]] -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
v[mx.array([0, 1])] -> int32 [2] [0, 1]
v[mx.array([-1])] -> int32 [1] [4]
v[mx.array([0, 1], mx.uint8)] -> int32 [2] [0, 1]
v[mx.array([0, 1], mx.uint16)] -> int32 [2] [0, 1]
v[mx.array([0, 1], mx.uint32)] -> int32 [2] [0, 1]
v[mx.array([0, 1], mx.uint64)] -> int32 [2] [0, 1]
v[mx.array([0, -1], mx.int8)] -> int32 [2] [0, 4]
v[mx.array([0, -1], mx.int16)] -> int32 [2] [0, 4]
v[mx.array([0, -1], mx.int64)] -> int32 [2] [0, 4]
v[mx.array([], mx.int32)] -> int32 [0] []
x[mx.zeros((2, 0), mx.int32)] -> int32 [2, 0, 3] [[], []]
v[mx.array([[0, 1], [2, 3]])] -> int32 [2, 2] [[0, 1], [2, 3]]
x[mx.array([0, 1]), mx.array([1, 2])] -> int32 [2] [1, 5]
x[mx.array([[0], [1]]), mx.array([1, 2])] -> int32 [2, 2] [[1, 2], [4, 5]]
x[mx.array([0]), mx.array([0, 1])] -> int32 [2] [0, 1]
x[mx.array([0, 1]), 1] -> int32 [2] [1, 4]
x[1, mx.array([0, 1])] -> int32 [2] [3, 4]
x[mx.array([[0, 1]]),] -> int32 [1, 2, 3] [[[0, 1, 2], [3, 4, 5]]]
x[0:2, mx.array([0, 1])] -> int32 [2, 2] [[0, 1], [3, 4]]
x[mx.array([0, 1]), 0:2] -> int32 [2, 2] [[0, 1], [3, 4]]
x[None, mx.array([0, 1]), None, 0:2] -> int32 [1, 2, 1, 2] [[[[0, 1]], [[3, 4]]]]
x[mx.array([0, 1]), None, mx.array([0, 1])] -> int32 [2, 1] [[0], [4]]
y[mx.array([0, 1]), :, mx.array([0, 1])] -> int32 [2, 3] [[0, 4, 8], [13, 17, 21]]
y[:, mx.array([0, 1]), mx.array([0, 1])] -> int32 [2, 2] [[0, 5], [12, 17]]
y[0, :, mx.array([0, 1])] -> int32 [2, 3] [[0, 4, 8], [1, 5, 9]]
y[mx.array([0, 1]), :, 0] -> int32 [2, 3] [[0, 4, 8], [12, 16, 20]]
y[..., mx.array([0, 1])] -> int32 [2, 3, 2] [[[0, 1], [4, 5], [8, 9]], [[12, 13], [16, 17], [20, 21]]]
y[None, 0, mx.array([0, 1])] -> int32 [1, 2, 4] [[[0, 1, 2, 3], [4, 5, 6, 7]]]
y[0, None, mx.array([0, 1])] -> int32 [2, 1, 4] [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]
y[mx.array([0, 1]), None, :, mx.array([0, 1])] -> int32 [2, 1, 3] [[[0, 4, 8]], [[13, 17, 21]]]
y[mx.array([0, 1]), ::-1, mx.array([1])] -> int32 [2, 3] [[9, 5, 1], [21, 17, 13]]
y[:, 0, mx.array([0, 1])] -> int32 [2, 2] [[0, 1], [12, 13]]
y[0, mx.array([0, 1]), ::2] -> int32 [2, 2] [[0, 2], [4, 6]]
y[[0, 1], :, [0, 1]] -> int32 [2, 3] [[0, 4, 8], [13, 17, 21]]
y[0, ..., mx.array([[0], [1]])] -> int32 [2, 1, 3] [[[0, 4, 8]], [[1, 5, 9]]]
s[None] -> int32 [1] [3]
s[...] -> int32 [] 3
s[()] -> int32 [] 3
s[None, ...] -> int32 [1] [3]
e[:] -> float32 [0, 3] []
e[:, 0] -> float32 [0] []
e[None] -> float32 [1, 0, 3] [[]]
e[mx.array([], mx.int32)] -> float32 [0, 3] []
x[True] -> ! ValueError
x[np.bool_(True)] -> ! ValueError
x[np.array([0, 1])] -> ! ValueError
x[0, np.array([0])] -> ! ValueError
x[1.0] -> ! ValueError
x[0, 1.0] -> ! ValueError
x['a'] -> ! ValueError
x[b'a'] -> ! ValueError
x[1j] -> ! ValueError
x[{}] -> ! ValueError
x[range(2)] -> ! ValueError
x[0, True] -> ! ValueError
x[(0, 1),] -> ! ValueError
x[(0, 1), (1, 2)] -> ! ValueError
x[..., ...] -> ! ValueError
x[0, 0, 0] -> ! ValueError
x[:, :, :] -> ! ValueError
x[..., :, :, :] -> ! ValueError
x[[]] -> ! ValueError
x[[], 0] -> ! ValueError
x[[0.5]] -> ! ValueError
x[[None]] -> ! ValueError
x[[[0, 1], [0]]] -> ! ValueError
x[mx.array([0, 1], mx.float32)] -> ! ValueError
x[mx.array([0, 1], mx.float16)] -> ! ValueError
x[mx.array([0], mx.complex64)] -> ! ValueError
x[0, mx.array([0.0])] -> ! ValueError
x[mx.zeros((0,))] -> ! ValueError
x[mx.array([0, 1, 1]), mx.array([0, 1])] -> ! ValueError
x[mx.array([True, False])] -> ! ValueError
x[[True, False]] -> ! ValueError
x[x > 3] -> ! ValueError
x[mx.array(True)] -> ! ValueError
x[[0, 1], [True, False]] -> ! ValueError
x[0, 3] -> ! ValueError
x[:, 3] -> ! ValueError
x[2 ** 40] -> ! ValueError
s[0] -> ! ValueError
s[:] -> ! ValueError
s[[0]] -> ! ValueError
s[mx.array(0)] -> ! ValueError
e[0] -> ! ValueError
x[0.0:2] -> ! ValueError
x['a':] -> ! ValueError
"""


@pytest.mark.parametrize(("program", "expected"), cases(READS))
def test_reads(program: str, expected: str) -> None:
    check(program, expected)
