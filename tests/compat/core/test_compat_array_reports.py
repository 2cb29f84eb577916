"""What users have reported of MLX's arrays."""

import pytest
from tests.compat.core.expressions import cases, check

REPORTS = r"""
z = mx.zeros((3, 4)); z[None, -1] = 9; z.sum() -> float32 [] 36.0
z = mx.zeros((3, 4)); z[-1, None] = 9; z.sum() -> float32 [] 36.0
z = mx.arange(20).reshape(4, 5); z[-100:4, mx.array([0, 1])] -> int32 [4, 2] [[0, 1], [5, 6], [10, 11], [15, 16]]
z = mx.arange(20).reshape(4, 5); z[1:100, mx.array([0, 1])] -> int32 [3, 2] [[5, 6], [10, 11], [15, 16]]
z = mx.arange(20).reshape(4, 5); z[3:0:-1, mx.array([0, 1])] -> int32 [3, 2] [[15, 16], [10, 11], [5, 6]]
z = mx.arange(20).reshape(4, 5); z[-100:2, mx.array([0, 1])] = 0; z.sum() -> int32 [] 178
z = mx.arange(3); z[...] = 42; z -> int32 [3] [42, 42, 42]
z = mx.arange(3); z[...,] = 42; z -> int32 [3] [42, 42, 42]
z = mx.array([0, 1, 2]); z[True] = 1; z -> int32 [3] [1, 1, 1]
z = mx.array([0, 1, 2]); z[[True, False, True]] = 7; z -> int32 [3] [7, 1, 7]
i = mx.array([2, 1]); z = mx.arange(540).reshape(3, 3, 4, 5, 3); z[i, ..., ::2, :] = 1; z.sum() -> int32 [] 68094
i = mx.array([2, 1]); z = mx.arange(540).reshape(3, 3, 4, 5, 3); z[i, ..., ::2, :].sum() -> int32 [] 77652
a = mx.ones([2, 6, 6, 6]); z = mx.zeros([3, 4, 4, 4]); z[0, 0:4, 3, 0:4] = a[0, 1:5, 5, 1:5]; z.sum() -> float32 [] 16.0
z = mx.array([[0.1, 0.2, 0.3]]); i = mx.array([0, 1]); z[:, i] = 0 * z[:, i]; z -> float32 [1, 3] [[0.0, 0.0, 0.30000001192092896]]
z = mx.zeros((4, 4)); z[1:-1, 1:-1] = z[1:-1, 1:-1] + 1; z.sum() -> float32 [] 4.0
z = mx.arange(18).reshape(3, 2, 3); z[..., 0] = 1; z.sum() -> int32 [] 114
memoryview(mx.array([1.5], mx.bfloat16)).format -> 'bfloat16'
memoryview(mx.array([1.5], mx.bfloat16)).nbytes -> 2
np.asarray(mx.array([1.5], mx.bfloat16)) -> ! ValueError
bytes(mx.array([1.5], mx.bfloat16)) -> b'\xc0?'
np.frombuffer(memoryview(mx.array([1.5], mx.bfloat16)), np.uint16) -> array([16320], dtype=uint16)
z = mx.zeros((2, 3)); z[:, mx.array([0, 1])] += mx.array([[1.0], [2.0]]); z -> float32 [2, 3] [[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]]
z = mx.zeros((3,)); z[mx.array([-1, -2])] = mx.array([5.0, 6.0]); z -> float32 [3] [0.0, 6.0, 5.0]
z = mx.zeros((3,)); z.at[mx.array([-1, -1])].add(1) -> float32 [3] [0.0, 0.0, 2.0]
z = mx.arange(10)[::-1]; z[mx.array([0, 2])] -> int32 [2] [9, 7]
z = mx.arange(10)[::-1]; z[::3] = 0; z -> int32 [10] [0, 8, 7, 0, 5, 4, 0, 2, 1, 0]
z = mx.broadcast_to(mx.array([1, 2]), (2, 2)); z[0, 0] = 9; z -> int32 [2, 2] [[9, 2], [1, 2]]
z = mx.zeros((2, 2)); z[0][0] = 5; z -> float32 [2, 2] [[0.0, 0.0], [0.0, 0.0]]
z = mx.zeros(3); z[0] = True; z -> float32 [3] [1.0, 0.0, 0.0]
z = mx.zeros((2, 1, 3)); z[:, 0] = mx.array([[1.0], [2.0]]); z -> float32 [2, 1, 3] [[[1.0, 1.0, 1.0]], [[2.0, 2.0, 2.0]]]
z = mx.zeros((2, 3)); z[mx.array(1)] = 5; z -> float32 [2, 3] [[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]]
z = mx.zeros((2, 3)); z[mx.array([[1]])] = 5; z -> float32 [2, 3] [[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]]
z = mx.zeros((2, 3)); z[mx.array([[0, 1]]), mx.array([[1, 2]])] = mx.array([[7.0, 8.0]]); z -> float32 [2, 3] [[0.0, 7.0, 0.0], [0.0, 0.0, 8.0]]
z = mx.zeros((2, 3), mx.bfloat16); z[0] = mx.array([1, 2, 3]); z -> bfloat16 [2, 3] [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
z = mx.array([1, 2, 3]); z[0:2] = z[1:3]; z -> int32 [3] [2, 3, 3]
z = mx.array([1, 2, 3]); z[1:] = z[:-1]; z -> int32 [3] [1, 1, 2]
z = mx.array([1, 2, 3]); z += z; z -> int32 [3] [2, 4, 6]
z = mx.array([1.0, 2, 3]); z -= z.mean(); z -> float32 [3] [-1.0, 0.0, 1.0]
z = mx.array([1, 2]); z *= mx.array([[1], [2]]); z -> int32 [2, 2] [[1, 2], [2, 4]]
z = mx.zeros((0,)); z += 1; z -> float32 [0] []
z = mx.array(5); z += mx.array([1, 2]); z -> int32 [2] [6, 7]
z = mx.ones((2, 2)); z @= z; z -> float32 [2, 2] [[2.0, 2.0], [2.0, 2.0]]
z = mx.array([3]); int(z) + z[0].item() -> 6
z = mx.arange(6); z[mx.array([0, 1, 2])][1] = 9; z -> int32 [6] [0, 1, 2, 3, 4, 5]
z = mx.arange(24).reshape(2, 3, 4); z[0, [0, 2]] = 0; z[0].sum() -> int32 [] 22
z = mx.arange(24).reshape(2, 3, 4); z[:, [0, 2], 1:3] = mx.zeros((2, 2, 2), mx.int32); z.sum() -> int32 [] 184
z = mx.arange(24).reshape(2, 3, 4); z[[0, 1], [0, 2], [1, 3]] = mx.array([5, 6]); z.sum() -> int32 [] 263
z = mx.arange(4); z[2:2] = 5; z -> int32 [4] [0, 1, 2, 3]
z = mx.arange(4); z[3:1:-1] = mx.array([8, 9]); z -> int32 [4] [0, 1, 9, 8]
z = mx.zeros((3, 3)); z[mx.arange(3), mx.arange(3)] = 1; z -> float32 [3, 3] [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
z = mx.zeros((3, 3)); z[mx.arange(3)[:, None], mx.array([0, 2])] = 1; z -> float32 [3, 3] [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
"""


@pytest.mark.parametrize(("program", "expected"), cases(REPORTS))
def test_reports(program: str, expected: str) -> None:
    check(program, expected)
