"""Parts of arrays, assigned, and who sees it."""

import pytest
from tests.compat.core.expressions import cases, check

WRITES = r"""
x[0] = 9; x -> int32 [2, 3] [[9, 9, 9], [3, 4, 5]]
x[-1] = 9; x -> int32 [2, 3] [[0, 1, 2], [9, 9, 9]]
x[5] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[-3] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[0, 7] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[True] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[False] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[True] = mx.zeros((2, 3)); x -> int32 [2, 3] [[0, 0, 0], [0, 0, 0]]
x[np.bool_(True)] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[None] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[...] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[()] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[:] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[:] = mx.array([7, 8, 9]); x -> int32 [2, 3] [[7, 8, 9], [7, 8, 9]]
x[:] = mx.array([[7], [8]]); x -> int32 [2, 3] [[7, 7, 7], [8, 8, 8]]
x[:] = mx.zeros((1, 1, 2, 3)); x -> int32 [2, 3] [[0, 0, 0], [0, 0, 0]]
x[:] = mx.zeros((2, 2, 3)); x -> ! ValueError
x[0] = mx.zeros((1, 1, 3)); x -> int32 [2, 3] [[0, 0, 0], [3, 4, 5]]
x[0] = mx.zeros((2,)); x -> ! ValueError
x[0] = 2.7; x -> int32 [2, 3] [[2, 2, 2], [3, 4, 5]]
x[0] = -2.7; x -> int32 [2, 3] [[-2, -2, -2], [3, 4, 5]]
x[0] = mx.array(2.7); x -> int32 [2, 3] [[2, 2, 2], [3, 4, 5]]
x[0] = [1, 2, 3]; x -> ! ValueError
x[0] = (1, 2, 3); x -> ! ValueError
x[0] = np.array([1, 2, 3]); x -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x[0] = np.array([1.5, 2, 3]); x -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x[0] = np.float64(2.5); x -> int32 [2, 3] [[2, 2, 2], [3, 4, 5]]
x[0] = np.int64(2); x -> int32 [2, 3] [[2, 2, 2], [3, 4, 5]]
x[0] = True; x -> int32 [2, 3] [[1, 1, 1], [3, 4, 5]]
x[0] = 1j; x -> int32 [2, 3] [[0, 0, 0], [3, 4, 5]]
x[0] = 2 ** 40; x -> ! ValueError
x[0] = 'a'; x -> ! ValueError
x[0] = None; x -> ! TypeError
x[0] = []; x -> ! ValueError
x[0] = range(3); x -> ! ValueError
x[0] = [[1], [2]]; x -> ! ValueError
x[0] = x[1]; x -> int32 [2, 3] [[3, 4, 5], [3, 4, 5]]
x[::-1] = x; x -> int32 [2, 3] [[3, 4, 5], [0, 1, 2]]
x[0] = {}; x -> ! ValueError
x = mx.zeros((2, 3)); x[0] = 1j; x -> float32 [2, 3] [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
x = mx.zeros((2, 3)); x[0] = mx.array(1j); x -> float32 [2, 3] [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
x = mx.zeros((2, 3), mx.bool_); x[0] = 2; x -> bool [2, 3] [[True, True, True], [False, False, False]]
x = mx.zeros((2, 3), mx.bool_); x[0] = 0.5; x -> bool [2, 3] [[True, True, True], [False, False, False]]
x = mx.zeros((2, 3), mx.uint8); x[0] = -1; x -> ! ValueError
x = mx.zeros((2, 3), mx.uint8); x[0] = 300; x -> ! ValueError
x = mx.zeros((2, 3), mx.uint8); x[0] = mx.array(300); x -> uint8 [2, 3] [[44, 44, 44], [0, 0, 0]]
x = mx.zeros((2, 3), mx.float16); x[0] = 1000000.0; x -> float16 [2, 3] [[inf, inf, inf], [0.0, 0.0, 0.0]]
x = mx.zeros((2, 3), mx.bfloat16); x[0] = mx.array(1.00390625); x -> bfloat16 [2, 3] [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
x = mx.zeros((2, 3), mx.int64); x[0] = 2 ** 40; x -> int64 [2, 3] [[1099511627776, 1099511627776, 1099511627776], [0, 0, 0]]
x[[0, 1]] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[[0, 0]] = mx.array([[1, 2, 3], [4, 5, 6]]); x -> int32 [2, 3] [[4, 5, 6], [3, 4, 5]]
x[[-1]] = 9; x -> int32 [2, 3] [[0, 1, 2], [9, 9, 9]]
x[[]] = 9; x -> ! ValueError
x[[True, False]] = 9; x -> int32 [2, 3] [[9, 9, 9], [3, 4, 5]]
x[[0.5]] = 9; x -> ! ValueError
x[mx.array([True, False])] = 9; x -> int32 [2, 3] [[9, 9, 9], [3, 4, 5]]
x[mx.array([True, False])] = mx.array([7, 8, 9]); x -> int32 [2, 3] [[7, 8, 9], [3, 4, 5]]
x[mx.array([True, False])] = mx.array([[7, 8, 9]]); x -> int32 [2, 3] [[7, 8, 9], [3, 4, 5]]
x[mx.array([True, True])] = mx.array([[7, 8, 9], [1, 2, 3]]); x -> int32 [2, 3] [[7, 8, 9], [1, 2, 3]]
x[x > 2] = 0; x -> int32 [2, 3] [[0, 1, 2], [0, 0, 0]]
x[x > 2] = mx.array([7, 8, 9]); x -> int32 [2, 3] [[0, 1, 2], [7, 8, 9]]
x[x > 2] = mx.array([7, 8]); x -> ! RuntimeError
x[x > 2] = mx.array([7]); x -> ! RuntimeError
x[x > 2] = [7, 8, 9]; x -> ! ValueError
x[x > 2] = mx.array([[7], [8], [9]]); x -> ! ValueError
x[x > 9] = mx.array([7, 8, 9]); x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[x > 9] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[x > 2] = mx.array(7.9); x -> int32 [2, 3] [[0, 1, 2], [7, 7, 7]]
x[x > 2] = 2.5; x -> int32 [2, 3] [[0, 1, 2], [2, 2, 2]]
x[mx.array(True)] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[mx.array(False)] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[mx.array(True)] = mx.array([1, 2, 3]); x -> int32 [2, 3] [[1, 2, 3], [1, 2, 3]]
x[mx.array([True, False, True])] = 9; x -> ! ValueError
x[mx.array([True])] = 9; x -> ! ValueError
x[mx.array([[True, False, True]])] = 9; x -> ! ValueError
x[mx.array([[True], [False]])] = 9; x -> ! ValueError
x[mx.zeros((2, 3, 1), mx.bool_)] = 9; x -> ! ValueError
x[np.array([True, False])] = 9; x -> int32 [2, 3] [[9, 9, 9], [3, 4, 5]]
x[np.array([0])] = 9; x -> ! ValueError
x[np.array(1)] = 9; x -> int32 [2, 3] [[0, 1, 2], [9, 9, 9]]
x[np.int64(1)] = 9; x -> int32 [2, 3] [[0, 1, 2], [9, 9, 9]]
x[1.0] = 9; x -> ! ValueError
x['a'] = 9; x -> ! ValueError
x[0:9] = 9; x -> int32 [2, 3] [[9, 9, 9], [9, 9, 9]]
x[5:] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[1:0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[1:0] = mx.zeros((2, 3)); x -> ! ValueError
x[1:0] = mx.zeros((0, 3)); x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[1:0] = mx.zeros((1, 3)); x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[0, 0] = 9; x -> int32 [2, 3] [[9, 1, 2], [3, 4, 5]]
x[0, 0] = mx.array([9, 8]); x -> ! ValueError
x[0, 0, 0] = 9; x -> ! ValueError
x[0, None] = 9; x -> int32 [2, 3] [[9, 9, 9], [3, 4, 5]]
x[..., 0] = 9; x -> int32 [2, 3] [[9, 1, 2], [9, 4, 5]]
x[..., 0] = mx.array([8, 9]); x -> int32 [2, 3] [[8, 1, 2], [9, 4, 5]]
x[..., ...] = 9; x -> ! ValueError
x[:, ::2] = mx.array([[7, 8], [9, 10]]); x -> int32 [2, 3] [[7, 1, 8], [9, 4, 10]]
x[::-1, ::-1] = mx.array([[7, 8, 9], [1, 2, 3]]); x -> int32 [2, 3] [[3, 2, 1], [9, 8, 7]]
x[:, ::-2] = mx.array([7, 8]); x -> int32 [2, 3] [[8, 1, 7], [8, 4, 7]]
x[1:0:-1] = 9; x -> int32 [2, 3] [[0, 1, 2], [9, 9, 9]]
x[mx.array([0, 1]), mx.array([1, 2])] = mx.array([8, 9]); x -> int32 [2, 3] [[0, 8, 2], [3, 4, 9]]
x[mx.array([0, 1]), 1:] = mx.array([8, 9]); x -> int32 [2, 3] [[0, 8, 9], [3, 8, 9]]
x[mx.array([0, 1]), 1:] = mx.array([[8, 9], [10, 11]]); x -> int32 [2, 3] [[0, 8, 9], [3, 10, 11]]
x[:, mx.array([0, 1])] = mx.array([8, 9]); x -> int32 [2, 3] [[8, 9, 2], [8, 9, 5]]
x[0, mx.array([0, 1])] = mx.array([8, 9]); x -> int32 [2, 3] [[8, 9, 2], [3, 4, 5]]
x[mx.array([0, 1]), 0] = mx.array([8, 9]); x -> int32 [2, 3] [[8, 1, 2], [9, 4, 5]]
x[mx.array(0), mx.array(1)] = 8; x -> int32 [2, 3] [[0, 8, 2], [3, 4, 5]]
x[mx.array([0]), mx.array([0, 1])] = 8; x -> int32 [2, 3] [[8, 8, 2], [3, 4, 5]]
x[mx.array([0, 1]), mx.array([0, 1, 2])] = 8; x -> ! ValueError
x[mx.array([0, 0])] += 1; x -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x[mx.array([0.0])] = 1; x -> ! ValueError
x[mx.array([0], mx.uint8)] = 1; x -> int32 [2, 3] [[1, 1, 1], [3, 4, 5]]
x[(0, 1),] = 1; x -> ! ValueError
x[[0, 1], [1, 2]] = 1; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 1]]
x[:, [0, 2]] = 1; x -> int32 [2, 3] [[1, 1, 1], [1, 4, 1]]
x[[0], :] = mx.array([4, 5, 6]); x -> int32 [2, 3] [[4, 5, 6], [3, 4, 5]]
x[None, 0] = 7; x -> int32 [2, 3] [[7, 7, 7], [3, 4, 5]]
x[:, None, 0] = 7; x -> int32 [2, 3] [[7, 1, 2], [7, 4, 5]]
x[None, :, 0] = mx.array([[7, 8]]); x -> int32 [2, 3] [[7, 1, 2], [8, 4, 5]]
x = mx.array(3); x[...] = 7; x -> int32 [] 7
x = mx.array(3); x[()] = 7; x -> int32 [] 7
x = mx.array(3); x[None] = 7; x -> int32 [] 7
x = mx.array(3); x[0] = 7; x -> ! ValueError
x = mx.array(3); x[:] = 7; x -> ! ValueError
x = mx.array(3); x[mx.array(True)] = 7; x -> int32 [] 7
x = mx.array(3); x[[0]] = 7; x -> ! ValueError
x = mx.array(3); x[...] = mx.array([7]); x -> int32 [] 7
x = mx.array(3); x[...] = mx.array([7, 8]); x -> ! ValueError
x = mx.array(3); x[mx.array(0)] = 7; x -> ! ValueError
x = mx.zeros((0, 3)); x[:] = 1; x -> float32 [0, 3] []
x = mx.zeros((0, 3)); x[x > 0] = 1; x -> float32 [0, 3] []
x = mx.zeros((0, 3)); x[:] = mx.zeros((3,)); x -> float32 [0, 3] []
x = mx.zeros(4); x[mx.array([-1])] = 1; x -> float32 [4] [0.0, 0.0, 0.0, 1.0]
x = mx.zeros(4); x[mx.array([0, 0, 0])] = mx.array([1.0, 2.0, 3.0]); x -> float32 [4] [3.0, 0.0, 0.0, 0.0]
x = mx.zeros(4); x[1:3] += 5; x -> float32 [4] [0.0, 5.0, 5.0, 0.0]
x = mx.zeros(4); x[1:3] *= mx.array([1, 2]); x -> float32 [4] [0.0, 0.0, 0.0, 0.0]
x = mx.zeros(4); x[0] = mx.array([], mx.float32); x -> ! ValueError
x = mx.zeros(4); x[:2] = mx.array([1, 2, 3]); x -> ! ValueError
x = mx.zeros(4); x[0:4:2] = mx.array([[1, 2]]); x -> float32 [4] [1.0, 0.0, 2.0, 0.0]
x = mx.zeros(4); x[0] = np.array(3); x -> float32 [4] [3.0, 0.0, 0.0, 0.0]
x = mx.zeros(4); x[0] = np.array([3]); x -> float32 [4] [3.0, 0.0, 0.0, 0.0]
x = mx.zeros(4); x[0:2] = [mx.array(1), mx.array(2)]; x -> ! ValueError
x = mx.zeros(4); x[0:2] = (mx.array(1), 2); x -> ! ValueError
x = mx.zeros(4); x[0:2] = [[1, 2]]; x -> ! ValueError
x = mx.zeros(4); x[0:2] = [1, [2]]; x -> ! ValueError
x = mx.zeros(4); x[0:2] = ['a', 'b']; x -> ! ValueError
x = mx.zeros(4); x[0:2] = [None, 1]; x -> ! ValueError
x = mx.zeros(4); x[0:2] = [1, 2j]; x -> ! ValueError
x[[0, 1], [1, 1]] = mx.array([7, 8]); x -> int32 [2, 3] [[0, 7, 2], [3, 8, 5]]
y[mx.array([0, 1]), :, mx.array([0, 1])] = 0; y -> int32 [2, 3, 4] [[[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]], [[12, 0, 14, 15], [16, 0, 18, 19], [20, 0, 22, 23]]]
y[:, mx.array([0, 1]), mx.array([0, 1])] = mx.array([[1, 2], [3, 4]]); y -> int32 [2, 3, 4] [[[1, 1, 2, 3], [4, 2, 6, 7], [8, 9, 10, 11]], [[3, 13, 14, 15], [16, 4, 18, 19], [20, 21, 22, 23]]]
y[0, :, mx.array([0, 1])] = mx.array([[1], [2]]); y -> ! ValueError
y[..., mx.array([0, 3])] = 0; y -> int32 [2, 3, 4] [[[0, 1, 2, 0], [0, 5, 6, 0], [0, 9, 10, 0]], [[0, 13, 14, 0], [0, 17, 18, 0], [0, 21, 22, 0]]]
y[0, mx.array([0, 1]), ::2] = mx.array([[1, 2], [3, 4]]); y -> int32 [2, 3, 4] [[[1, 1, 2, 3], [3, 5, 4, 7], [8, 9, 10, 11]], [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]]
y[:, 0, mx.array([0, 1])] = mx.array([[1, 2], [3, 4]]); y -> int32 [2, 3, 4] [[[1, 2, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], [[3, 4, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]]
y[1, ..., -1] = mx.array([1, 2, 3]); y -> int32 [2, 3, 4] [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], [[12, 13, 14, 1], [16, 17, 18, 2], [20, 21, 22, 3]]]
y[:, ::2, 1:-1] = 0; y -> int32 [2, 3, 4] [[[0, 0, 0, 3], [4, 5, 6, 7], [8, 0, 0, 11]], [[12, 0, 0, 15], [16, 17, 18, 19], [20, 0, 0, 23]]]
y[mx.array([[0], [1]]), mx.array([0, 1])] = 0; y -> int32 [2, 3, 4] [[[0, 0, 0, 0], [0, 0, 0, 0], [8, 9, 10, 11]], [[0, 0, 0, 0], [0, 0, 0, 0], [20, 21, 22, 23]]]
y[y > 20] = mx.array([7, 8, 9]); y -> int32 [2, 3, 4] [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], [[12, 13, 14, 15], [16, 17, 18, 19], [20, 7, 8, 9]]]
y[mx.array([True, False])] = mx.zeros((3, 4)); y -> int32 [2, 3, 4] [[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]]
y[mx.array([[True, False, True], [False, True, False]])] = mx.array([1, 2, 3, 4]); y -> int32 [2, 3, 4] [[[1, 2, 3, 4], [4, 5, 6, 7], [1, 2, 3, 4]], [[12, 13, 14, 15], [1, 2, 3, 4], [20, 21, 22, 23]]]
y[mx.array([[True, False, True], [False, True, False]])] = mx.arange(12).reshape(3, 4); y -> int32 [2, 3, 4] [[[0, 1, 2, 3], [4, 5, 6, 7], [4, 5, 6, 7]], [[12, 13, 14, 15], [8, 9, 10, 11], [20, 21, 22, 23]]]
y[mx.array([[True, False, True], [False, True, False]])] = -1; y -> int32 [2, 3, 4] [[[-1, -1, -1, -1], [4, 5, 6, 7], [-1, -1, -1, -1]], [[12, 13, 14, 15], [-1, -1, -1, -1], [20, 21, 22, 23]]]
x.T[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[0][0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x[0:1][:] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x[0]; z[0] = 9; (x, z) -> (int32 [2, 3] [[0, 1, 2], [3, 4, 5]], int32 [3] [9, 1, 2],)
z = x; z[0] = 9; x -> int32 [2, 3] [[9, 9, 9], [3, 4, 5]]
z = x[:]; z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x[...]; z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.T; z[0] = 9; (x, z) -> (int32 [2, 3] [[0, 1, 2], [3, 4, 5]], int32 [3, 2] [[9, 9], [1, 4], [2, 5]],)
z = x.reshape(6); z[0] = 9; (x, z) -> (int32 [2, 3] [[0, 1, 2], [3, 4, 5]], int32 [6] [9, 1, 2, 3, 4, 5],)
z = x.reshape(2, 3); z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.broadcast_to(s, (2, 2)); z[0] = 9; (s, z) -> (int32 [] 3, int32 [2, 2] [[9, 9], [3, 3]],)
z = mx.array(x); z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = +x; z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.flatten(); z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.stop_gradient(x); z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.astype(mx.int32); z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.contiguous(x); z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.split(x, 1)[0]; z[0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.broadcast_arrays(x); z[0][0] = 9; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x * 2; x[0] = 9; (x, z) -> (int32 [2, 3] [[9, 9, 9], [3, 4, 5]], int32 [2, 3] [[0, 2, 4], [6, 8, 10]],)
z = x[0]; x[0] = 9; (x, z) -> (int32 [2, 3] [[9, 9, 9], [3, 4, 5]], int32 [3] [0, 1, 2],)
x[0] = x[1]; x[1] = 7; x -> int32 [2, 3] [[3, 4, 5], [7, 7, 7]]
x[:, ::-1] = x; x -> int32 [2, 3] [[2, 1, 0], [5, 4, 3]]
x[x > 2] = x; x -> ! ValueError
x[0], x[1] = (x[1], x[0]); x -> int32 [2, 3] [[3, 4, 5], [0, 1, 2]]
v[0], v[4] = (v[4], v[0]); v -> int32 [5] [4, 1, 2, 3, 0]
x[0] += x[1]; x -> int32 [2, 3] [[3, 5, 7], [3, 4, 5]]
x[:, 0] *= 10; x -> int32 [2, 3] [[0, 1, 2], [30, 4, 5]]
x[0, 0] -= 5; x -> int32 [2, 3] [[-5, 1, 2], [3, 4, 5]]
h[0] = 1.1; h -> float16 [2] [1.099609375, 2.0]
x[0] = mx.array(5, mx.uint8); x -> int32 [2, 3] [[5, 5, 5], [3, 4, 5]]
f[0] = mx.array(5); f -> float32 [3] [5.0, 2.0, 3.0]
f[mx.array([0, 1])] = mx.array([5, 6]); f -> float32 [3] [5.0, 6.0, 3.0]
f[f > 1] = mx.array(5); f -> float32 [3] [1.0, 5.0, 5.0]
c[0] = 2.5; c -> complex64 [1] [(2.5+0j)]
b[0] = False; b -> bool [2] [False, False]
u[0] = mx.array(-1); u -> uint8 [2] [255, 2]
x[...] = mx.array(1.5); x -> float32 [2, 3] [[1.5, 1.5, 1.5], [1.5, 1.5, 1.5]]
x[...] = 1.5; x -> float32 [2, 3] [[1.5, 1.5, 1.5], [1.5, 1.5, 1.5]]
x[...] = True; x -> int32 [2, 3] [[1, 1, 1], [1, 1, 1]]
x[...] += 0.5; x -> float32 [2, 3] [[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]]
x[()] = mx.array(1.5); x -> int32 [2, 3] [[1, 1, 1], [1, 1, 1]]
x[None] = mx.array(1.5); x -> float32 [2, 3] [[1.5, 1.5, 1.5], [1.5, 1.5, 1.5]]
x[:] = mx.array(1.5); x -> int32 [2, 3] [[1, 1, 1], [1, 1, 1]]
x[..., None] = mx.array(1.5); x -> int32 [2, 3] [[1, 1, 1], [1, 1, 1]]
x[...] = mx.array([1.5, 2, 3]); x -> float32 [2, 3] [[1.5, 2.0, 3.0], [1.5, 2.0, 3.0]]
x[...] = mx.zeros((2, 2, 3)); x -> ! ValueError
x[...] = mx.zeros((1, 2, 3)); x -> float32 [2, 3] [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
x[...] = np.array([1.5, 2, 3]); x -> int32 [2, 3] [[1, 2, 3], [1, 2, 3]]
f[...] = mx.array([1, 2, 3]); f -> int32 [3] [1, 2, 3]
f[...] = 1; f -> float32 [3] [1.0, 1.0, 1.0]
h[...] = mx.array([1.5, 2]); h -> float32 [2] [1.5, 2.0]
s[None] = mx.array(1.5); s -> float32 [] 1.5
s[()] = 1.5; s -> float32 [] 1.5
s[True] = 1.5; s -> int32 [] 1
s[None, None] = 1.5; s -> float32 [] 1.5
z = mx.array([0, 1]); y[0, :, z] = mx.array([[1, 2], [3, 4], [5, 6]]); y[0] -> int32 [3, 4] [[1, 2, 2, 3], [3, 4, 6, 7], [5, 6, 10, 11]]
z = mx.array([0, 1]); y[0, :, z] = mx.array([[1, 2, 3], [4, 5, 6]]); y[0] -> ! ValueError
z = mx.array([0, 1]); y[0, :, z] = mx.array([7, 8]); y[0] -> int32 [3, 4] [[7, 8, 2, 3], [7, 8, 6, 7], [7, 8, 10, 11]]
z = mx.array([0, 1]); y[0, 1:, z] = mx.array([[1, 2], [3, 4]]); y[0] -> int32 [3, 4] [[0, 1, 2, 3], [1, 2, 6, 7], [3, 4, 10, 11]]
z = mx.array([0, 1]); y[0, ..., z] = mx.array([[1, 2], [3, 4], [5, 6]]); y[0] -> int32 [3, 4] [[1, 2, 2, 3], [3, 4, 6, 7], [5, 6, 10, 11]]
z = mx.array([0, 1]); y[z, :, 0] = mx.array([[1, 2, 3], [4, 5, 6]]); y[..., 0] -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
z = mx.array([0, 1]); y[z, :, z] = mx.array([[1, 2, 3], [4, 5, 6]]); y[..., :2] -> int32 [2, 3, 2] [[[1, 1], [2, 5], [3, 9]], [[12, 4], [16, 5], [20, 6]]]
z = mx.array([0, 1]); y[0, None, z] = mx.arange(8).reshape(1, 2, 4); y[0] -> int32 [3, 4] [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
z = mx.array([0, 1]); y[:, z, ..., z] = mx.array([[1, 2], [3, 4]]); y[..., :2] -> int32 [2, 3, 2] [[[1, 1], [4, 2], [8, 9]], [[3, 13], [16, 4], [20, 21]]]
z = mx.array([[0], [1]]); y[0, :, z] = mx.array([[[1], [2]], [[3], [4]], [[5], [6]]]); y[0] -> int32 [3, 4] [[1, 2, 2, 3], [3, 4, 6, 7], [5, 6, 10, 11]]
y[1, 1:, [0]] = mx.array([[1], [2]]); y[1] -> int32 [3, 4] [[12, 13, 14, 15], [1, 17, 18, 19], [2, 21, 22, 23]]
z = mx.arange(120).reshape(5, 2, 3, 4); i = mx.array([0, 1]); z[:, i, :, 0] = mx.zeros((5, 2, 3), mx.int32); z.sum() -> int32 [] 5400
z = mx.arange(120).reshape(5, 2, 3, 4); i = mx.array([0, 1]); z[:, 0, :, i] = mx.zeros((5, 3, 2), mx.int32); z.sum() -> int32 [] 5565
z = mx.arange(120).reshape(5, 2, 3, 4); i = mx.array([0, 1]); z[:, i, 0, i] = mx.zeros((5, 2), mx.int32); z.sum() -> int32 [] 6595
x[x > 3] = mx.array([7, 8, 9]); x -> int32 [2, 3] [[0, 1, 2], [3, 7, 8]]
x[x > 2] = mx.array([[7, 8, 9]]); x -> ! ValueError
x[x > 4] = mx.array([7]); x -> int32 [2, 3] [[0, 1, 2], [3, 4, 7]]
x[mx.array([True, True])] = mx.array([[7, 8, 9]]); x -> ! RuntimeError
x[mx.array([True, True])] = mx.array([7]); x -> int32 [2, 3] [[7, 7, 7], [7, 7, 7]]
x[mx.array([True, True])] = mx.array([[7], [8]]); x -> int32 [2, 3] [[7, 7, 7], [8, 8, 8]]
x[mx.array([True, True])] = mx.array([7, 8]); x -> ! ValueError
x[mx.array([True, False])] = mx.array([[7, 8, 9], [1, 2, 3], [4, 5, 6]]); x -> int32 [2, 3] [[7, 8, 9], [3, 4, 5]]
x[mx.array([True, True])] = mx.zeros((1, 2, 3), mx.int32); x -> ! ValueError
x[mx.array(True)] = mx.array([[7], [8]]); x -> int32 [2, 3] [[7, 7, 7], [8, 8, 8]]
x[mx.array(True)] = mx.zeros((1, 2, 3), mx.int32); x -> int32 [2, 3] [[0, 0, 0], [0, 0, 0]]
x[True] = mx.zeros((3,), mx.int32); x -> int32 [2, 3] [[0, 0, 0], [0, 0, 0]]
x[False] = mx.zeros((7,), mx.int32); x -> ! ValueError
y[mx.array([True, False])] = mx.zeros((3, 1), mx.int32); y[0] -> int32 [3, 4] [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
y[mx.array([True, True])] = mx.zeros((1, 3, 4), mx.int32); y[0] -> ! RuntimeError
y[mx.array([True, True])] = mx.zeros((2, 1, 1), mx.int32); y[0] -> int32 [3, 4] [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
s[True] = mx.array([9]); s -> int32 [] 9
s[mx.array([True])] = 9; s -> ! ValueError
x[[[True, False, True], [False, False, True]]] = mx.array([7, 8, 9]); x -> int32 [2, 3] [[7, 1, 8], [3, 4, 9]]
e[mx.zeros((0,), mx.bool_)] = 1; e -> float32 [0, 3] []
z = x; x[x > 2] = mx.array([7, 8]); z -> ! RuntimeError
"""


@pytest.mark.parametrize(("program", "expected"), cases(WRITES))
def test_writes(program: str, expected: str) -> None:
    check(program, expected)
