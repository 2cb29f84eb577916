"""Calls of functions that make, move, order or compare elements, and of evaluation; see `table.py`."""

from __future__ import annotations

# fmt: off
OTHERS: dict[str, list[str]] = {
    "allclose": [
        "(f, f)", "(f, g)", "(f, f + 1e-6)", "(f, f + 1e-3, 1e-2)", "(f, f + 1e-3, rtol=0, atol=1e-2)", "(n, n)",
        "(n, n, equal_nan=True)", "(f, 1.0)", "(2, 2)", "(i, i)", "(f, v)", "(f, m)", "(z, z)", "(c, c)", "(h, f)",
    ],
    "isclose": [
        "(f, f)", "(f, g)", "(f, f + 1e-3, 1e-2)", "(f, f + 1e-3, rtol=0, atol=1e-2)", "(n, n)",
        "(n, n, equal_nan=True)", "(f, 1.0)", "(2, 2)", "(i, i)", "(f, m)", "(c, c)", "(h, f)", "(t, t)",
    ],
    "array_equal": [
        "(f, f)", "(f, g)", "(f, i)", "(f, v)", "(n, n)", "(n, n, True)", "(n, n, equal_nan=True)", "(1, 1)",
        "(f, 1)", "(z, zv)", "(i, i8)", "(f, 'a')",
    ],
    "arange": [
        "(0.5, 7.5, 1, mx.int32)", "(-3, 5, 0.5, mx.int32)", "(0.5, 7.5, 1.5, mx.int32)", "(5, -4, -1.5, mx.int32)",
        "(0.5, 5, 0.3, mx.int32)", "(0.9, 5.1, 1.9, mx.int8)",
        "(5)", "(5.0)", "(1, 5)", "(1, 5, 2)", "(5, 1, -2)", "(0.0, 1.0, 0.25)", "(0, 1, 0.25)", "(1, 5, 0)", "(0)",
        "(-3)", "(5, 1)", "(3, dtype=mx.float16)", "(3, None, dtype=mx.int8)", "(1, 4, dtype=mx.float32)",
        "(1, 4, 1, mx.float32)", "(0, 3, 1, mx.int64)", "(stop=3)", "(start=1, stop=4, step=2)", "(1, stop=4)",
        "(3, step=2)", "(True)", "(1j)", "(nan)", "(0, inf)", "(0, 10, inf)", "(2**31)[:0]", "(0, 2**33, 2**32)",
        "(s)", "(si)", "()", "(3, 'a')", "(0, 0.3, 0.1)", "(1.5, 4)", "(4, dtype=mx.bool_)",
        "(4, dtype=mx.complex64)",
    ],
    "as_strided": [
        "(f)", "(f, (2, 2))", "(f, (2, 2), (3, 1))", "(f, (2, 2), (3, 1), 1)", "(f, (3,), (1,), offset=2)",
        "(f, shape=[2, 3], strides=[0, 1])", "(f.T, (3, 2), (2, 1))", "(x3[:, ::2], (2, 2), (1, 2))",
    ],
    "asarray": [
        "(1)", "(1.5)", "(True)", "(1j)", "([1, 2])", "([1.0, 2])", "([[1], [2]])", "([])", "((1, 2))", "(f)",
        "(f, mx.float16)", "(f, dtype=mx.int32)", "([1, 2], dtype=mx.float32)", "(f, copy=True)", "(f, copy=False)",
        "([1], copy=False)", "(f, mx.int8, copy=False)", "([f, g])", "('a')", "(None)", "(f, stream=mx.cpu)",
    ],
    "astype": [
        "(f, mx.int32)", "(f, mx.float32)", "(i, mx.bool_)", "(f, mx.complex64)", "(c, mx.float32)", "(2, mx.int8)",
        "(f)", "(f, dtype=mx.int8)", "(f, int)", "(f, 'int32')", "(u8, mx.int8)", "(f, mx.int8, stream=mx.cpu)",
    ],
    "broadcast_arrays": [
        "()", "(f)", "(f, v)", "(f, s, v)", "(f, m)", "(s, 1.0)", "([f, v])", "(f, v, stream=mx.cpu)",
    ],
    "broadcast_shapes": [
        "()", "((1, 2), (3, 1))", "((2,), (3,))", "([1, 2], [2])", "((), (2,))", "(2)", "((0,), (1,))",
        "((-1,), (1,))", "((2, 3))", "((1,), (2,), (3, 1))",
    ],
    "broadcast_to": [
        "(v, (2, 3))", "(s, (2,))", "(1, (2, 2))", "(1.5, [2])", "(f, (3, 2))", "(v, 3)", "(v, ())",
        "(f, shape=(1, 2, 3))", "(z, (2, 0, 3))", "(True, (2,))", "(v, (2, -1))", "(f, (2,))", "('a', (2,))",
    ],
    "can_cast": [
        "(mx.int32, mx.float32)", "(mx.float32, mx.int32)", "(f, mx.float16)", "(mx.int8, mx.uint8)",
        "(mx.uint8, mx.int16)", "(mx.bool_, mx.int8)", "(mx.float16, mx.bfloat16)", "(mx.complex64, mx.float32)",
        "(mx.int64, mx.float32)", "(mx.int32, mx.float16)", "(1, mx.int8)", "(from_=mx.int8, to=mx.int8)",
        "(mx.float32, mx.float64)",
    ],
    "clip": [
        "(f, -1, 1)", "(f, None, 1)", "(f, -1, None)", "(f, None, None)", "(f, g, None)", "(i, -1, 1)",
        "(i, -1.5, 1.5)", "(i, f, g)", "(f, a_min=0, a_max=1)", "(f, 0)", "(n, 0, 1)", "(f, nan, 1)", "(f, 1, -1)",
        "(2, 0, 1)", "(h, -1, 1)", "(f, v, 2)", "(c, 0, 1)", "(t, 0, 1)", "(u8, -1, 300)", "(f, m, 1)",
        "(f, mx.array(0, dtype=mx.int8), 1)",
    ],
    "stack": [
        "([f, g])", "((f, g))", "([f, g], 1)", "([f, g], axis=-1)", "([f, g], -3)", "([f, g], 3)", "([f, g], None)",
        "([f, i])", "([f])", "([])", "([f, v])", "(f)", "([s, s])", "([f, 1.0])", "(f, 1)", "([h, bf])",
        "(arrays=[v, w])",
    ],
    "contiguous": ["(f)", "(f.T)", "(f, True)", "(f, allow_col_major=True)", "(2)"],
    "count_nonzero": [
        "(f)", "(i)", "(t)", "(c)", "(z)", "(n)", "(2)", "(f, axis=0)", "(f, axis=(0, 1))",
        "(f, axis=[1], keepdims=True)", "(f, 0)", "(f, axis=2)", "(h, axis=1)",
    ],
    "depends": ["(f, g)", "([f, g], g)", "((f, g), [g])", "(f, [])", "(f, 1)", "(inputs=f, dependencies=g)"],
    "diag": ["(v)", "(v, 1)", "(v, k=-1)", "(f)", "(f, 1)", "(sq, -1)", "(s)", "(x3)", "(zv)", "(vi)", "(f, 5)"],
    "diagonal": [
        "(f)", "(f, 1)", "(f, -1)", "(x3)", "(x3, 1, 1, 2)", "(x3, offset=0, axis1=0, axis2=2)", "(f, 5)", "(v)",
        "(f, 0, 0, 0)", "(f, 0, 0, 2)", "(x3, axis1=-1, axis2=0)",
    ],
    "diff": [
        "(f)", "(f, 2)", "(f, 1, 0)", "(f, axis=0)", "(f, n=0)", "(f, 5)", "(f, -1)", "(t)", "(u8)", "(s)",
        "(x3, axis=1)",
    ],
    "expand_dims": [
        "(f, 0)", "(f, -1)", "(f, (0, 2))", "(f, [0, -1])", "(f, 3)", "(f, 2)", "(f, (0, 0))", "(s, 0)",
        "(f, axis=1)", "(2, 0)", "(f)", "(f, ())",
    ],
    "eye": [
        "(3)", "(2, 3)", "(3, 2, 1)", "(3, k=-1)", "(3, m=4, k=2, dtype=mx.int32)", "(0)", "(-1)", "(2, dtype=None)",
        "(2.0)", "(n=2)", "(3, None, 5)", "(2, 2, 0, mx.float16)",
    ],
    "identity": ["(3)", "(2, mx.int8)", "(2, dtype=mx.float16)", "(0)", "(-1)", "(n=2)", "(2.0)"],
    "tri": [
        "(3)", "(2, 3)", "(3, 2, 1)", "(3, k=-1)", "(3, m=4, k=1, dtype=mx.int32)", "(0)", "(n=2)",
        "(2, 2, 0, mx.bool_)",
    ],
    "tril": ["(f)", "(f, 1)", "(f, k=-1)", "(x3)", "(v)", "(t)", "(i8)", "(x=f)", "(f, 10)", "(z)"],
    "triu": ["(f)", "(f, 1)", "(f, k=-1)", "(x3)", "(v)", "(t)", "(i8)", "(x=f)", "(f, -10)", "(z)"],
    "flatten": [
        "(f)", "(x3)", "(x3, 1)", "(x3, 0, 1)", "(x3, start_axis=-2)", "(x3, end_axis=-2)", "(s)", "(x3, 2, 1)",
        "(x3, 5)", "(x3, -5)", "(2)", "(z)", "(x3, 0, 5)", "(s, 0, 0)",
    ],
    "flip": [
        "(f)", "(f, 0)", "(f, (0, 1))", "(f, [1])", "(f, axis=-1)", "(s)", "(f, 2)", "(f, ())", "(f, (0, 0))", "(i)",
        "(f, axis=None)",
    ],
    "from_dlpack": ["(f)", "(f, copy=True)", "(f, copy=False)", "([1])", "(2)"],
    "from_fp8": [
        "(mx.array([0, 56, 64, 200], dtype=mx.uint8))", "(mx.array([0, 56], dtype=mx.uint8), mx.float32)",
        "(mx.array([0, 56], dtype=mx.uint8), dtype=mx.float16)", "(f)",
        "(mx.array([127, 126, 254, 255, 1], dtype=mx.uint8), mx.float32)",
    ],
    "full": [
        "(3, 1)", "((2, 3), 1.5)", "((2,), True)", "((2, 3), v)", "((2,), 1, mx.float16)",
        "((2,), 1.5, dtype=mx.int32)", "((2, 2), v)", "((), 2)", "([2], 1j)", "((2,), i[0, 0])", "((2,), None)",
        "((2,), [1, 2])", "((-1,), 1)", "(shape=2, vals=1)", "((0,), 1)", "(2.0, 1)", "((2,), h[0, 0])",
        "((2,), 1, dtype=None)",
    ],
    "full_like": [
        "(f, 1)", "(i, 1.5)", "(f, v)", "(f, 1, mx.int8)", "(i8, 3)", "(f, m)", "(a=f, vals=2)", "(2, 1)",
        "(i, 1.5, dtype=mx.float32)", "(f, True)", "(i, f)",
    ],
    "isdtype": [
        "(mx.float32, 'real floating')", "(mx.int8, 'integral')", "(mx.int8, 'signed integer')",
        "(mx.uint8, mx.uint8)", "(mx.bool_, ('bool', 'integral'))", "(mx.bool_, 'bool')", "(mx.complex64, 'numeric')",
        "(mx.float32, 'x')", "(mx.complex64, 'complex floating')", "(mx.float16, mx.float32)",
        "(mx.float16, [mx.float16])", "(f, 'bool')", "(mx.int8, mx.integer)",
    ],
    "issubdtype": [
        "(mx.float32, mx.floating)", "(mx.float32, mx.inexact)", "(mx.int8, mx.signedinteger)",
        "(mx.int8, mx.unsignedinteger)", "(mx.bool_, mx.number)", "(mx.floating, mx.number)",
        "(mx.complex64, mx.inexact)", "(mx.float32, mx.float32)", "(mx.float32, mx.float16)",
        "(mx.floating, mx.float32)", "(mx.bool_, mx.generic)", "(f, mx.generic)",
    ],
    "linspace": [
        "(0, 1)[:3]", "(0, 1, 5)", "(0, 1, num=4)", "(1, 0, 3)", "(0, 10, 5, dtype=mx.int32)", "(0, 1, 1)",
        "(0, 1, 0)", "(0, 1, -1)", "(0.5, 2.5, 3)", "(s, 2, 3)", "(0, 1, 3, mx.float16)", "(0, 1, 3, True)",
        "(0, 1, 4, False)", "(0, 1, 4, endpoint=False)", "(start=0, stop=1, num=3)", "(0, 1, None)",
        "(0, 1, 3, True, None)", "(1j, 2, 3)",
    ],
    "matrix_transpose": ["(f)", "(x3)", "(v)", "(s)", "(2)"],
    "meshgrid": [
        "(v, w)", "(v, vi, indexing='ij')", "(v, w, sparse=True)", "(v)", "(v, f)", "(v, s)", "(v, w, indexing='x')",
        "()", "(v, w, v, sparse=True, indexing='ij')", "([v, w])", "(v, 2)",
    ],
    "moveaxis": [
        "(x3, 0, 2)", "(x3, -1, 0)", "(x3, source=1, destination=0)", "(x3, 3, 0)", "(x3, 0, -4)", "(f, 0, 0)",
        "(x3, (0, 1), (1, 0))", "(2, 0, 0)",
    ],
    "nan_to_num": [
        "(n)", "(n, 1.0)", "(n, 1.0, 2.0, 3.0)", "(n, nan=1, posinf=5)", "(n, neginf=-1.0)", "(i)", "(2)", "(nan)",
        "(n.astype(mx.float16))", "(c)", "(n.astype(mx.bfloat16))", "(t)",
    ],
    "pad": [
        "(f, 1)", "(f, (1, 2))", "(f, [(0, 1), (1, 0)])", "(f, ((0, 1), (1, 0)))", "(v, (1,))", "(f, (1,))",
        "(f, 1, constant_values=2.0)", "(f, 1, 'constant', 3)", "(v, 1, 'edge')", "(v, 2, mode='reflect')",
        "(v, 2, mode='symmetric')", "(f, ((1, 1), (0, 2)), 'edge')", "(f, 1, 'x')", "(f, -1)",
        "(i, 1, constant_values=1.5)", "(f, [(1, 1)])", "(f, ((1, 1), (1, 1), (1, 1)))", "(s, 1)",
        "(f, 1, constant_values=s)", "(f, 1, constant_values=v)", "(v, 5, mode='reflect')", "(f, [[1, 1], [0, 0]])",
        "(f, (1, 2, 3))", "(f, 1.0)", "(2, 1)", "(z, 1)", "(zv, 1, 'edge')", "(f, 0)",
    ],
    "permute_dims": [
        "(x3)", "(x3, (1, 0, 2))", "(x3, [2, 0, 1])", "(x3, axes=(-1, 0, 1))", "(x3, (0, 1))", "(x3, (0, 0, 1))",
        "(x3, (0, 1, 3))", "(s)", "(2)", "(x3, 1, 0, 2)",
    ],
    "transpose": [
        "(x3)", "(x3, (1, 0, 2))", "(x3, [2, 0, 1])", "(x3, axes=(-1, 0, 1))", "(x3, (0, 1))", "(x3, (0, 0, 1))",
        "(x3, (0, 1, 3))", "(s)", "(2)", "(x3, 1, 0, 2)", "(f, None)", "(f, ())",
    ],
    "put_along_axis": [
        "(f, mx.array([[0], [1]]), mx.array(9.0), 1)", "(f, mx.array([[0], [1]]), mx.array([[9.0], [8.0]]), axis=1)",
        "(f, mx.array([0, 4]), mx.array([9.0, 8.0]), None)", "(f, mx.array([0, 4]), mx.array([9.0, 8.0]))",
        "(f, mx.array([0, 4]), mx.array([9.0, 8.0]), 0)", "(i, mx.array([[0], [1]]), mx.array(2.5), 1)",
        "(f, mx.array([[0], [1]]), 9.0, 1)", "(f, mx.array([[-1], [-2]]), mx.array(9.0), 1)",
    ],
    "repeat": [
        "(f, 2)", "(f, 2, 0)", "(f, 2, axis=-1)", "(f, 0)", "(f, -1)", "(f, 2, 2)", "(s, 3)", "(2, 3)", "(f, vi, 1)",
        "(array=f, repeats=2)", "(f, 1, 1)",
    ],
    "reshape": [
        "(f, (3, 2))", "(f, [6])", "(f, -1)", "(f, (-1,))", "(f, (2, -1))", "(f, 6)", "(f, (4,))", "(f, (-1, -1))",
        "(f, ())", "(s, ())", "(s, (1, 1))", "(z, (3, 0))", "(z, (-1, 0))", "(z, (-1, 3))", "(f, shape=(6,))",
        "(f, 3, 2)", "(f, (3, 2.0))", "(2, (1,))", "(f, (-2, 3))",
    ],
    "result_type": [
        "(mx.int8, mx.float16)", "(f, i)", "(f, mx.float16)", "(i, 1.5)", "()", "(i8)", "(1, 2.0)",
        "(mx.uint64, mx.int64)", "(mx.float16, mx.bfloat16)", "(mx.bool_, mx.uint8)", "(i8, mx.uint8)", "([i8])",
    ],
    "roll": [
        "(f, 1)", "(f, -1)", "(f, 1, 0)", "(f, (1, 2), (0, 1))", "(f, 2, (0, 1))", "(f, (1, 2), 1)",
        "(f, [1, 2], [0, 1])", "(f, 7)", "(f, 1, 2)", "(f, (1, 2), (0,))", "(f, shift=1)", "(f, (1, 2))", "(s, 1)",
        "(z, 1)", "(2, 1)",
    ],
    "round": [
        "(f)", "(f, 1)", "(f * 1.234, decimals=2)", "(i)", "(i, -1)", "(f, -1)", "(h, 1)", "(c)", "(2.5)",
        "(mx.array([0.5, 1.5, 2.5, -0.5]))", "(t)", "(f, 1.0)", "(u8)",
    ],
    "searchsorted": [
        "(v, w)", "(v, w, 'right')", "(v, w, side='left')", "(v, w, side='x')", "(v, s)", "(v, 2.0)", "(v, f)",
        "(vi, vi)", "(f, f)", "(v, vi)", "(zv, v)",
    ],
    "slice": [
        "(x3, mx.array([0, 1]), (0, 1), (1, 2, 4))", "(x3, mx.array([1]), [2], [2, 3, 2])",
        "(x3, mx.array([1, 1]), (0,), (1, 1, 1))", "(x3, mx.array(1), (1,), (2, 2, 4))",
        "(x3, mx.array([0]), (1,), (2, 9, 4))", "(a=x3, start_indices=ix, axes=(0, 1), slice_size=(1, 1, 1))",
    ],
    "slice_update": [
        "(f, mx.ones((1, 1)), mx.array([0, 1]), (0, 1))", "(f, mx.ones((2, 1)), mx.array([1]), axes=(1,))",
        "(f, mx.ones((2, 1)), mx.array([1, 1]), (1,))", "(i, mx.ones((2, 1)) * 2.5, mx.array([1]), (1,))",
        "(f, v, mx.array([1]), (0,))",
    ],
    "split": [
        "(f, 2)", "(f, 3, 1)", "(f, [1], 1)", "(f, (1, 2), axis=1)", "(f, 2, -1)", "(f, 4, 1)", "(f, [], 1)",
        "(f, 0)", "(f, 2, 2)", "(s, 1)", "(f, indices_or_sections=2)", "(f, [2, 1], 1)", "(f, [-1], 1)",
        "(f, [5], 1)", "(2, 1)",
    ],
    "squeeze": [
        "(f)", "(f[None])", "(f[None], 0)", "(f[None, :, None], (0, 2))", "(f, 0)", "(f[None], axis=[0])",
        "(f[None], 5)", "(s)", "(2)", "(f[None], (0, 0))", "(f[None], ())",
    ],
    "unstack": ["(f)", "(f, axis=1)", "(f, axis=-1)", "(f, axis=2)", "(f, 1)", "(s)", "(z)"],
    "swapaxes": ["(x3, 0, 2)", "(x3, -1, 0)", "(x3, axis1=0, axis2=1)", "(x3, 0, 3)", "(f, 0, 0)", "(2, 0, 0)"],
    "take": [
        "(f, 1)", "(f, ix)", "(f, ix, 1)", "(f, ix, axis=0)", "(f, -1)", "(f, mx.array([-1]), 0)", "(f, 1, axis=1)",
        "(f, mx.array([[0, 1]]), 1)", "(f, indices=ix)", "(f, [0, 1])", "(f, v, 0)", "(f, t, 0)", "(f, ix, 2)",
        "(f, mx.zeros((0,), mx.int32), 0)", "(2, ix)", "(f, u8[0, :2] * 0, 0)",
    ],
    "take_along_axis": [
        "(f, mx.array([[0], [1]]), 1)", "(f, mx.array([[0], [1]]))", "(f, mx.array([0, 4]), None)",
        "(f, mx.array([[1, 0, 1]]), axis=0)", "(f, mx.array([[-1], [0]]), 1)", "(f, v, 1)",
        "(f, mx.array([0, 1]), 0)", "(f, mx.array([[0]]), 2)",
    ],
    "tile": [
        "(f, 2)", "(f, (2, 1))", "(f, [1, 2])", "(f, (2, 1, 1))", "(s, 3)", "(f, 0)", "(f, -1)", "(f, ())",
        "(f, reps=2)", "(v, (2, 2))", "(2, 2)", "(f, 2.0)",
    ],
    "unflatten": [
        "(x3, 2, (2, 2))", "(x3, -1, [4, 1])", "(v, 0, (3, -1))", "(x3, 2, (3, 2))", "(x3, 5, (2, 2))",
        "(x3, axis=1, shape=(3, 1))", "(x3, 2, ())", "(x3, 2, 4)", "(s, 0, (1,))",
    ],
    "unique": [
        "(vi, 3)", "(mx.array([3, 1, 3, 2, 1]), 3)", "(mx.array([3, 1, 3, 2, 1]), 5)",
        "(mx.array([3, 1, 3, 2, 1]), size=2)", "(mx.array([3, 1, 3, 2, 1]), 5, fill_value=0)",
        "(mx.array([3, 1, 3, 2, 1]), 3, True, True, True)", "(mx.array([3, 1, 3, 2, 1]), 3, return_inverse=True)",
        "(mx.array([3, 1, 3, 2, 1]), 3, return_counts=True)", "(f, 6)", "(f, 3, return_index=True)", "(n, 5)", "(vi)",
        "(vi, 0)", "(vi, -1)", "(mx.array([[3, 1], [3, 2]]), 3, return_inverse=True)",
        "(mx.array([3, 1, 3]), 4, True, True, True)",
    ],
    "view": [
        "(f, mx.int32)", "(f, mx.int8)", "(i8[:, :2], mx.int16)", "(f, mx.float32)", "(s, mx.int32)",
        "(2, mx.float32)", "(i8, mx.int16)", "(s, mx.int8)", "(f, dtype=mx.uint32)", "(1.0, mx.int32)",
        "(f, mx.int64)",
    ],
    "where": [
        "(t, f, g)", "(t, f, 0)", "(t, 1, 0)", "(t, 1.5, i)", "(True, f, g)", "(f, f, g)", "(i, 1, 2)", "(t, f, v)",
        "(t, i8, 300)", "(t, h, 1.5)", "(t, i, 1.5)", "(t, f, m)", "(t)", "(t, f)", "(1, 2, 3)", "(t, f, None)",
        "(t, f, nan)", "(t, c, 1)", "(t, True, False)", "(condition=t, x=f, y=g)", "(t, i, s)",
    ],
    "finfo": [
        "(mx.float32).max", "(mx.float16).min", "(mx.bfloat16).eps", "(mx.float32).smallest_normal",
        "(mx.float32).bits", "(mx.float32).dtype", "(mx.complex64).max", "(mx.int32)", "(mx.float64).max", "(1)",
        "(mx.float16)", "(mx.complex64).dtype",
    ],
    "iinfo": [
        "(mx.int32).max", "(mx.int8).min", "(mx.uint64).max", "(mx.int64).min", "(mx.int8).dtype", "(mx.float32)",
        "(mx.bool_)", "(1)", "(mx.int8)",
    ],
    "eval": [
        "(f)", "()", "(3)", "([f, {'a': g}], 'x', None, (v,))", "(*[f, g])", "({'a': [f, 2, {'b': g}]})",
        "(object())", "(x=f)",
    ],
    "async_eval": ["(f)", "()", "(3)", "([f, {'a': g}], 'x', None)"],
}
