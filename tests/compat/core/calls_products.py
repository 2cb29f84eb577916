"""Calls of products, convolutions and quantised weights; see `table.py`."""

from __future__ import annotations

# fmt: off
PRODUCTS: dict[str, list[str]] = {
    "addmm": [
        "(mx.zeros((2, 2)), f, m)", "(1.0, f, m)", "(v[:2], f, m, 2.0, 0.5)", "(v[:2], f, m, alpha=2.0, beta=0.5)",
        "(c[:, :2], f, m)", "(i[:, :2], f, m)", "(f, f, m)", "(si, i, j.T)", "(mx.zeros((2, 2)), f, v)",
        "(v[:2], f, v)", "(s, v, m)", "(s, v, v)", "(h[:, :2], h, h.T)", "(c=s, a=f, b=m)",
    ],
    "block_masked_mm": [
        "(mx.ones((32, 32)), mx.ones((32, 32)), 32)[0, :2]",
        "(mx.ones((64, 32)), mx.ones((32, 64)), 32, mx.array([[True, False], [False, True]]))[::32, ::32]",
        "(mx.ones((64, 32)), mx.ones((32, 64)), 32, None, mx.array([[True], [False]]), mx.array([[True, False]]))[::32, ::32]",
        "(mx.ones((64, 64)), mx.ones((64, 64)), mask_out=mx.array([[2.0]]))[::32, ::32]",
        "(mx.ones((64, 64)), mx.ones((64, 64)), 16)", "(mx.ones((64, 64)), mx.ones((32, 64)), 32)",
        "(mx.ones((64, 64)), mx.ones((64, 64)), 32, mx.array([True]))",
    ],
    "conv1d": [
        "(x3, mx.ones((2, 2, 4)))", "(x3, mx.ones((2, 2, 4)), 2)", "(x3, mx.ones((2, 2, 4)), stride=1, padding=1)",
        "(x3, mx.ones((2, 2, 4)), 1, 1, 2)", "(x3, mx.ones((4, 2, 2)), groups=2)",
        "(x3, mx.ones((4, 2, 2)), groups=3)", "(x3, mx.ones((2, 2, 3)))", "(x3, mx.ones((2, 2, 4)), (2,))",
        "(x3, mx.ones((2, 2, 4)), padding=-1)", "(x3, mx.ones((2, 2, 4)), stride=0)",
        "(x3.astype(mx.int32), mx.ones((2, 2, 4)))", "(x3.astype(mx.float16), mx.ones((2, 2, 4)))",
        "(x3.astype(mx.int32), mx.ones((2, 2, 4), mx.int32))", "(f, mx.ones((2, 2, 4)))", "(x3, mx.ones((2, 9, 4)))",
        "(input=x3, weight=mx.ones((2, 2, 4)))",
    ],
    "conv2d": [
        "(x3[None], mx.ones((2, 2, 2, 4)))", "(x3[None], mx.ones((2, 2, 2, 4)), 2)",
        "(x3[None], mx.ones((2, 2, 2, 4)), (1, 2), (1, 0))",
        "(x3[None], mx.ones((2, 2, 2, 4)), stride=[1, 1], padding=1, dilation=(1, 2))",
        "(x3[None], mx.ones((4, 1, 1, 2)), groups=2)", "(x3[None], mx.ones((2, 2, 2, 4)), (1, 1, 1))",
        "(x3, mx.ones((2, 2, 2, 4)))",
    ],
    "conv3d": [
        "(x3[None, None], mx.ones((2, 1, 2, 2, 4)))", "(x3[None, None], mx.ones((2, 1, 2, 2, 4)), (1, 1, 2), 1)",
        "(x3[None, None], mx.ones((2, 1, 2, 2, 4)), dilation=(1, 1, 2))", "(x3[None], mx.ones((2, 1, 2, 2, 4)))",
    ],
    "conv_general": [
        "(x3, mx.ones((2, 2, 4)))", "(x3, mx.ones((2, 2, 4)), 2, 1)", "(x3, mx.ones((2, 2, 4)), [1], [2])",
        "(x3, mx.ones((2, 2, 4)), padding=([1], [0]))", "(x3, mx.arange(16).reshape(2, 2, 4), flip=True)",
        "(x3, mx.arange(16).reshape(2, 2, 4).astype(mx.float32), flip=True)", "(x3, mx.ones((2, 2, 4)), 1, 0, 2, 2)",
        "(x3, mx.ones((2, 2, 4)), kernel_dilation=[2], input_dilation=[2])", "(x3, mx.ones((4, 1, 2)), groups=2)",
    ],
    "conv_transpose1d": [
        "(x3, mx.ones((2, 2, 4)))", "(x3, mx.ones((2, 2, 4)), 2)", "(x3, mx.ones((2, 2, 4)), 2, 1, 1, 1)",
        "(x3, mx.ones((2, 2, 4)), stride=2, output_padding=1)", "(x3, mx.ones((4, 2, 2)), groups=2)",
        "(x3, mx.ones((2, 2, 4)), dilation=2)",
    ],
    "conv_transpose2d": [
        "(x3[None], mx.ones((2, 2, 2, 4)))", "(x3[None], mx.ones((2, 2, 2, 4)), (1, 2), 1, 1, (0, 1))",
        "(x3[None], mx.ones((2, 2, 2, 4)), stride=2, padding=(1, 0))",
    ],
    "conv_transpose3d": [
        "(x3[None, None], mx.ones((2, 1, 2, 2, 4)))",
        "(x3[None, None], mx.ones((2, 1, 2, 2, 4)), (1, 1, 2), 0, 1, (0, 0, 1))",
    ],
    "convolve": [
        "(v, w)", "(v, w, 'same')", "(v, w, mode='valid')", "(v, w, 'x')", "(v, w[:2], 'valid')", "(v[:2], w)",
        "(f, w)", "(vi, vi)", "(v, 2.0)", "(zv, v)", "(v, mx.array([1.0]))", "(h[0], w)",
    ],
    "dequantize": [
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float32), 64, 8))[:, ::16]",
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float32)))[:, ::16]",
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float16), 32, 4), 32, 4).dtype",
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='mxfp4'), mode='mxfp4')[:, ::16]",
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='nvfp4'), mode='nvfp4')[:, ::16]",
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='mxfp8'), mode='mxfp8')[:, ::16]",
        "(*mx.quantize(mx.arange(128).reshape(2, 64).astype(mx.float32), 64, 4), 64, 4, dtype=mx.float16)[:, ::16]",
        "(f, f)",
    ],
    "einsum": [
        "('ij,kj->ik', f, g)", "('ij->ji', f)", "('ij->', f)", "('ij,ij->i', f, i)", "('...j->...', x3)",
        "('ii->i', sq)", "('i,i', v, w)", "('ij,jk', f, m)", "('ij,jk->ik', f, f)", "('ij->k', f)", "('ij', v)",
        "('ij,kj->ik', f)", "('i j, k j -> i k', f, g)", "('bij,bjk->bik', x3, mx.swapaxes(x3, 1, 2))",
        "('ij,kj->ik', i, j)", "('ij,kj->ik', h, f)", "('', s)", "('i->ii', v)", "('ij,kj->ik', f, 2.0)",
        "('ij,kj->ik', [f, g])",
    ],
    "einsum_path": [
        "('ij,jk->ik', f, m)", "('ij,kj,kl->il', f, g, f)[0]", "('ij->ji', f)[0]", "('ij,jk->ik', f)",
        "('ij,jk->ik', f, f)",
    ],
    "gather_mm": [
        "(x3, mx.swapaxes(x3, 1, 2))",
        "(x3, mx.swapaxes(x3, 1, 2), mx.array([0, 0], dtype=mx.uint32), mx.array([1, 0], dtype=mx.uint32))",
        "(x3, mx.swapaxes(x3, 1, 2), rhs_indices=mx.array([1, 0], dtype=mx.uint32), sorted_indices=False)",
        "(x3, mx.swapaxes(x3, 1, 2), lhs_indices=ix)", "(x3, x3)",
    ],
    "gather_qmm": [
        "(x64, *mx.quantize(mx.ones((2, 8, 64))), rhs_indices=mx.array([1], dtype=mx.uint32))",
        "(x64, *mx.quantize(mx.ones((2, 8, 64))), None, mx.array([[1], [0]], dtype=mx.uint32)).shape",
        "(x64, *mx.quantize(mx.ones((2, 64, 64))), transpose=False, rhs_indices=mx.array([1], dtype=mx.uint32)).shape",
        "(x64, *mx.quantize(mx.ones((2, 8, 64)), 32, 8), None, mx.array([1], dtype=mx.uint32), True, 32, 8)",
    ],
    "gather_qqmm": ["(f, f)"],
    "hadamard_transform": [
        "(mx.arange(4.0))", "(mx.arange(4.0), 2.0)", "(x3)", "(f)", "(mx.arange(4))", "(x3, scale=1.0)",
        "(x3.astype(mx.float16))", "(mx.arange(5.0))", "(mx.arange(24.0))",
    ],
    "inner": ["(v, w)", "(f, v)", "(f, g)", "(s, v)", "(f, m)", "(vi, vi)", "(2, v)", "(x3, x3)"],
    "kron": ["(v, w)", "(f, v)", "(f, g)", "(s, v)", "(i, j)", "(2, v)", "(s, s)", "(x3, f).shape"],
    "matmul": [
        "(f, m)", "(f, v)", "(v, m)", "(v, w)", "(x3, mx.ones((4, 2)))", "(f, g)", "(s, v)", "(i, j.T)", "(i, m)",
        "(h, m)", "(h, bf.T)", "(c, m)", "(z, sq)", "(z.T, z)", "(f, 2.0)", "(t, m)", "(x3, mx.swapaxes(x3, 1, 2))",
        "(x3, x3)", "(a=f, b=m)", "(f, [[1.0], [2.0], [3.0]])",
    ],
    "outer": ["(v, w)", "(f, v)", "(vi, v)", "(s, v)", "(2, v)", "(f, g)"],
    "qqmm": ["(f, f)"],
    "quantize": [
        "(mx.arange(128).reshape(2, 64).astype(mx.float32))",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), 32, 8)",
        "(mx.arange(128).reshape(2, 64).astype(mx.float16), group_size=32, bits=2)",
        "(mx.arange(128).reshape(2, 64).astype(mx.bfloat16), group_size=64, bits=3)",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), 64, 6)",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), 64, 5)",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='mxfp4')",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='nvfp4')",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='mxfp8')",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), mode='x')",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), 64, 7)",
        "(mx.arange(128).reshape(2, 64).astype(mx.float32), 48)", "(mx.arange(128).reshape(2, 64))", "(f)",
        "(mx.ones((64,)))", "(mx.arange(128).reshape(2, 64).astype(mx.float32), 16, 4, mode='mxfp4')",
    ],
    "quantized_matmul": [
        "(x64, *mx.quantize(mx.ones((8, 64))))", "(x64, *mx.quantize(mx.ones((64, 64))), transpose=False)",
        "(x64, *mx.quantize(mx.ones((8, 64)), 32, 8), True, 32, 8)",
        "(x64, *mx.quantize(mx.ones((8, 64)), group_size=32, bits=2), group_size=32, bits=2)",
        "(x64.astype(mx.float16), *mx.quantize(mx.ones((8, 64), mx.float16))).dtype",
        "(x64.astype(mx.float16), *mx.quantize(mx.ones((8, 64)))).dtype",
        "(x64, *mx.quantize(mx.ones((8, 64)), mode='mxfp4'), mode='mxfp4')",
        "(x64, *mx.quantize(mx.ones((8, 64)), 32, 8))", "(f, *mx.quantize(mx.ones((8, 64))))",
    ],
    "segmented_mm": [
        "(f, m, mx.array([[0, 2], [1, 3]], dtype=mx.uint32))", "(f, m, mx.array([0, 2], dtype=mx.uint32))",
        "(f, m, mx.array([[0, 2]]))",
    ],
    "tensordot": [
        "(f, m, 1)", "(f, g)", "(f, g, 2)", "(f, g, axes=[[0], [0]])", "(f, g, [[1], [1]])", "(f, g, ([1], [1]))",
        "(f, g, 0)", "(f, g, 1)", "(x3, x3, [[0, 1], [0, 1]])", "(f, g, 3)", "(f, g, -1)", "(i, j)",
        "(f, g, [[0], [1]])", "(f, g, [0, 0])",
    ],
    "trace": [
        "(f)", "(f, 1)", "(sq, -1)", "(x3)", "(x3, 0, 1, 2)", "(x3, offset=1, axis1=1, axis2=2)", "(i)",
        "(f, dtype=mx.int32)", "(i8)", "(v)", "(t)", "(f, 0, 0, 0)", "(i8, dtype=mx.float16)",
    ],
    "vecdot": [
        "(v, w)", "(f, g)", "(f, v)", "(f, g, axis=0)", "(c, c)", "(f, i)", "(f, m)", "(f, g, axis=2)", "(s, s)",
        "(2, v)", "(x3, x3, axis=1)",
    ],
}
