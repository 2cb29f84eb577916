"""Calls of the functions of the sub-modules; see `table.py`."""

from __future__ import annotations

# fmt: off
LINALG: dict[str, list[str]] = {
    "cholesky": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(sq, True)", "(sq, upper=True)", "(-sq)",
    ],
    "cholesky_inv": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(mx.linalg.cholesky(sq, stream=mx.cpu))",
        "(mx.tril(sq), False)", "(mx.triu(sq), upper=True)",
    ],
    "cross": [
        "(v, w)", "(f, g)", "(f, v)", "(v[:2], w[:2])", "(v[:2], w)", "(m, m, axis=0)", "(s, v)", "(vi, vi)",
        "(v, m)", "(f, f, 5)",
    ],
    "det": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(mx.zeros((2, 2)))", "(mx.ones((2, 2), mx.int32))",
    ],
    "slogdet": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(-sq)", "(mx.zeros((2, 2)))",
    ],
    "inv": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(mx.triu(sq))",
    ],
    "tri_inv": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(mx.tril(sq))", "(mx.triu(sq), True)",
        "(mx.triu(sq), upper=True)",
    ],
    "pinv": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(m)", "(mx.zeros((2, 3)))",
    ],
    "lu": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)",
    ],
    "lu_factor": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)",
    ],
    "qr": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(m)",
    ],
    "svd": [
        "(sq)", "(mx.stack([sq, sq + sq.T]))", "(f)", "(v)", "(s)", "(sq.astype(mx.float16))", "(i[:, :2])",
        "(sq[:0, :0])", "(2)", "(sq, stream=mx.cpu)", "(a=sq)", "(m)", "(sq, False)", "(m, compute_uv=False)",
    ],
    "eig": ["(sq)[0].dtype", "(f)", "(v)", "(sq.astype(mx.float16))", "(sq)[1].shape"],
    "eigvals": ["(sq).dtype", "(f)", "(v)", "(sq).shape"],
    "eigh": [
        "(sq)[0]", "(sq, 'U')[0]", "(sq, UPLO='L')[0]", "(sq, 'x')", "(f)", "(v)", "(sq.astype(mx.float16))",
        "(mx.stack([sq, sq]))[0]",
    ],
    "eigvalsh": ["(sq)", "(sq, 'U')", "(sq, UPLO='L')", "(sq, 'x')", "(f)", "(v)"],
    "norm": [
        "(c, 1)", "(c, 2)", "(c, 2, 0)", "(c, 3, [0])", "(c, 'fro')", "(c, inf, (0, 1))", "(c, 0, 1, True)",
        "(f)", "(v)", "(f, 2)", "(f, 1)", "(f, -1)", "(f, inf)", "(f, -inf)", "(f, 'fro')", "(f, 'nuc')", "(f, 'f')",
        "(f, 'x')", "(v, 3)", "(v, 0)", "(v, inf)", "(v, -2.5)", "(v, 'fro')", "(f, axis=1)", "(f, 2, 0)",
        "(f, 2, axis=1, keepdims=True)", "(x3, axis=(1, 2))", "(x3, 'fro', axis=(0, 2))", "(x3, 1, [0, 1])", "(x3)",
        "(x3, 2)", "(i)", "(c)", "(h)", "(f, ord=None, axis=[0])", "(f, axis=(0, 1, 2))", "(f, keepdims=True)", "(s)",
        "(f, axis=2)", "(2)", "(f, -2)", "(f, 3)", "(zv)",
    ],
    "solve": [
        "(sq, v)", "(sq, m)", "(sq, f.T)", "(mx.stack([sq, sq]), mx.stack([m, m]))", "(sq, mx.ones((2,)))", "(f, v)",
        "(sq.astype(mx.float16), v)", "(v, v)", "(a=sq, b=v)",
    ],
    "solve_triangular": [
        "(mx.tril(sq), v)", "(mx.tril(sq), m)", "(mx.triu(sq), v, upper=True)", "(mx.triu(sq), m, upper=True)",
        "(f, v)", "(sq, v, True)",
    ],
}
FFT: dict[str, list[str]] = {
    "fft": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(s)", "(f, 2)", "(f, 5)", "(f, n=4, axis=0)", "(f, None, 0)",
        "(f, axis=-1)", "(f, axis=2)", "(f, 0)", "(f, -1)", "(h)", "(z)", "(f, norm='ortho')", "(f, norm='forward')",
        "(f, norm='x')", "(f, None, -1, 'ortho')", "(2)", "(f, stream=mx.cpu)", "(a=f)",
    ],
    "ifft": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(s)", "(f, 2)", "(f, 5)", "(f, n=4, axis=0)", "(f, None, 0)",
        "(f, axis=-1)", "(f, axis=2)", "(f, 0)", "(f, -1)", "(h)", "(z)", "(f, norm='ortho')", "(f, norm='forward')",
        "(f, norm='x')", "(f, None, -1, 'ortho')", "(2)", "(f, stream=mx.cpu)", "(a=f)",
    ],
    "rfft": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(s)", "(f, 2)", "(f, 5)", "(f, n=4, axis=0)", "(f, None, 0)",
        "(f, axis=-1)", "(f, axis=2)", "(f, 0)", "(f, -1)", "(h)", "(z)", "(f, norm='ortho')", "(f, norm='forward')",
        "(f, norm='x')", "(f, None, -1, 'ortho')", "(2)", "(f, stream=mx.cpu)", "(a=f)",
    ],
    "fft2": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(f, (2, 2))", "(f, [4, 4])", "(x3, axes=(0, 1))", "(x3, (2, 2), (0, 2))",
        "(x3, s=(2, 2), axes=[1, 2])", "(x3, (2,), (0, 1))", "(x3, axes=(0, 0))", "(x3, axes=(0, 5))",
        "(f, norm='ortho')", "(f, norm='forward')", "(z)", "(f, (0, 2))", "(f, None, ())",
    ],
    "ifft2": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(f, (2, 2))", "(f, [4, 4])", "(x3, axes=(0, 1))", "(x3, (2, 2), (0, 2))",
        "(x3, s=(2, 2), axes=[1, 2])", "(x3, (2,), (0, 1))", "(x3, axes=(0, 0))", "(x3, axes=(0, 5))",
        "(f, norm='ortho')", "(f, norm='forward')", "(z)", "(f, (0, 2))", "(f, None, ())",
    ],
    "rfft2": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(f, (2, 2))", "(f, [4, 4])", "(x3, axes=(0, 1))", "(x3, (2, 2), (0, 2))",
        "(x3, s=(2, 2), axes=[1, 2])", "(x3, (2,), (0, 1))", "(x3, axes=(0, 0))", "(x3, axes=(0, 5))",
        "(f, norm='ortho')", "(f, norm='forward')", "(z)", "(f, (0, 2))", "(f, None, ())",
    ],
    "fftn": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(f, (2, 2))", "(f, [4, 4])", "(x3, axes=(0, 1))", "(x3, (2, 2), (0, 2))",
        "(x3, s=(2, 2), axes=[1, 2])", "(x3, (2,), (0, 1))", "(x3, axes=(0, 0))", "(x3, axes=(0, 5))",
        "(f, norm='ortho')", "(f, norm='forward')", "(z)", "(f, (0, 2))", "(f, None, ())",
    ],
    "ifftn": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(f, (2, 2))", "(f, [4, 4])", "(x3, axes=(0, 1))", "(x3, (2, 2), (0, 2))",
        "(x3, s=(2, 2), axes=[1, 2])", "(x3, (2,), (0, 1))", "(x3, axes=(0, 0))", "(x3, axes=(0, 5))",
        "(f, norm='ortho')", "(f, norm='forward')", "(z)", "(f, (0, 2))", "(f, None, ())",
    ],
    "rfftn": [
        "(f)", "(x3)", "(c)", "(i)", "(v)", "(f, (2, 2))", "(f, [4, 4])", "(x3, axes=(0, 1))", "(x3, (2, 2), (0, 2))",
        "(x3, s=(2, 2), axes=[1, 2])", "(x3, (2,), (0, 1))", "(x3, axes=(0, 0))", "(x3, axes=(0, 5))",
        "(f, norm='ortho')", "(f, norm='forward')", "(z)", "(f, (0, 2))", "(f, None, ())",
    ],
    "irfft": [
        "(c)", "(c, 3)", "(c, n=5, axis=0)", "(c, axis=0)", "(f)", "(c, norm='ortho')", "(c, 0)", "(c, axis=2)",
        "(s)",
    ],
    "irfft2": ["(c)", "(c, (2, 3))", "(c, s=[2, 4])", "(mx.stack([c, c]), axes=(0, 1))", "(c, norm='forward')", "(v)"],
    "irfftn": ["(c)", "(c, (2, 3))", "(c, s=[2, 4])", "(mx.stack([c, c]), axes=(0, 1))", "(c, norm='forward')", "(v)"],
    "fftfreq": ["(5)", "(4)", "(5, 2.0)", "(4, d=0.5)", "(0)", "(-1)", "(1)", "(2.0)", "(4, 0)"],
    "rfftfreq": ["(5)", "(4)", "(5, 2.0)", "(4, d=0.5)", "(0)", "(-1)", "(1)", "(2.0)", "(4, 0)"],
    "fftshift": [
        "(f)", "(v)", "(f, 0)", "(f, (0, 1))", "(f, axes=[1])", "(f, axes=-1)", "(f, 2)", "(s)", "(z)", "(vi)",
        "(f, ())", "(2)",
    ],
    "ifftshift": [
        "(f)", "(v)", "(f, 0)", "(f, (0, 1))", "(f, axes=[1])", "(f, axes=-1)", "(f, 2)", "(s)", "(z)", "(vi)",
        "(f, ())", "(2)",
    ],
    "stft": [
        "(mx.sin(mx.arange(32.0)), 8)", "(mx.sin(mx.arange(32.0)), n_fft=8, hop_length=4)",
        "(mx.sin(mx.arange(32.0)), 8, 4, 6)", "(mx.sin(mx.arange(32.0)), 8, 4, 8, mx.hanning(8))",
        "(mx.sin(mx.arange(32.0)), 8, center=False)", "(mx.sin(mx.arange(32.0)), 8, pad_mode='constant')",
        "(mx.sin(mx.arange(32.0)), 8, pad_mode='x')", "(mx.sin(mx.arange(32.0)), 8, norm='ortho')",
        "(mx.sin(mx.arange(32.0)), 8, onesided=False)", "(mx.sin(mx.arange(64.0)).reshape(2, 32), 8)",
        "(mx.sin(mx.arange(32.0)))", "(mx.sin(mx.arange(32.0)), 0)", "(mx.arange(32), 8)", "(v, 8)",
    ],
    "istft": [
        "(mx.fft.stft(mx.sin(mx.arange(32.0)), 8))", "(mx.fft.stft(mx.sin(mx.arange(32.0)), 8), 8, 2, length=30)",
        "(mx.fft.stft(mx.sin(mx.arange(32.0)), 8, 4, 8, mx.hanning(8)), n_fft=8, hop_length=4, window=mx.hanning(8))",
        "(mx.fft.stft(mx.sin(mx.arange(32.0)), 8, center=False), center=False)",
        "(mx.fft.stft(mx.sin(mx.arange(32.0)), 8, onesided=False), onesided=False)", "(f)",
    ],
}
FAST: dict[str, list[str]] = {
    "rms_norm": [
        "(f, v, 1e-5)", "(f, None, 1e-5)", "(f, v, eps=1e-3)", "(x3, mx.ones(4), 1e-5)",
        "(h, v.astype(mx.float16), 1e-5)", "(h, v, 1e-5)", "(f, m, 1e-5)", "(f, v[:2], 1e-5)", "(s, None, 1e-5)",
        "(f, v)", "(i, None, 1e-5)", "(bf, None, 1e-5)", "(x=f, weight=v, eps=1e-5)", "(f, h[0], 1e-5)",
        "(2, None, 1e-5)",
    ],
    "layer_norm": [
        "(f, v, w, 1e-5)", "(f, None, None, 1e-5)", "(f, v, None, 1e-5)", "(f, None, w, eps=1e-3)",
        "(h, v.astype(mx.float16), w.astype(mx.float16), 1e-5)", "(h, v, w, 1e-5)", "(f, v[:2], w, 1e-5)",
        "(s, None, None, 1e-5)", "(f, v, w)", "(i, None, None, 1e-5)", "(bf, None, None, 1e-5)", "(f, m, None, 1e-5)",
    ],
    "rope": [
        "(x3, 4, traditional=False, base=10000.0, scale=1.0, offset=0)",
        "(x3, 4, traditional=True, base=10000.0, scale=1.0, offset=0)",
        "(x3, 2, traditional=False, base=10000.0, scale=0.5, offset=3)",
        "(x3, 2, traditional=True, base=100, scale=2, offset=3)",
        "(x3, dims=4, traditional=False, base=None, scale=1.0, offset=0, freqs=mx.array([1.0, 10.0]))",
        "(x3, 4, traditional=False, base=10000.0, scale=1.0, offset=si)",
        "(x3, 4, traditional=False, base=10000.0, scale=1.0, offset=mx.array([1, 2]))",
        "(x3.astype(mx.float16), 4, traditional=False, base=10000.0, scale=1.0, offset=1)",
        "(x3.astype(mx.int32), 4, traditional=False, base=10000.0, scale=1.0, offset=1)",
        "(x3, 4, traditional=False, base=10000.0, scale=1.0, offset=0, freqs=mx.array([1.0, 10.0]))",
        "(x3, 4, traditional=False, base=None, scale=1.0, offset=0)",
        "(x3, 3, traditional=False, base=10000.0, scale=1.0, offset=0)",
        "(x3, 6, traditional=False, base=10000.0, scale=1.0, offset=0)",
        "(f, 2, traditional=False, base=10000.0, scale=1.0, offset=0)",
        "(v, 2, traditional=False, base=10000.0, scale=1.0, offset=0)", "(x3, 4, False, 10000.0, 1.0, 0)",
        "(q, 8, traditional=False, base=10000.0, scale=1.0, offset=2)",
        "(x3, 4, traditional=False, base=10000.0, scale=1.0, offset=0.5)",
        "(x3, 4, traditional=False, base=None, scale=1.0, offset=0, freqs=v)",
    ],
    "scaled_dot_product_attention": [
        "(q, kv, kv, scale=0.5)", "(q, kv, kv, scale=0.5, mask='causal')",
        "(q, kv, kv, scale=0.5, mask=mx.arange(5) < 3)",
        "(q, kv, kv, scale=0.5, mask=mx.arange(15.0).reshape(3, 5) / 10)",
        "(q, kv, kv, scale=0.5, mask=(mx.arange(15.0) / 10).astype(mx.float16).reshape(3, 5))",
        "(q, kv, kv, scale=1.0, sinks=mx.array([0.1, 0.2, 0.3, 0.4]))",
        "(q, kv, kv, scale=1.0, mask='causal', sinks=mx.array([0.1, 0.2, 0.3, 0.4]))",
        "(q, kv, kv, scale=1.0, sinks=v)", "(q, kv, kv, scale=0.5, mask='x')",
        "(q, kv, kv, scale=1.0, mask=mx.ones((2, 2)))",
        "(q.astype(mx.float16), kv.astype(mx.float16), kv.astype(mx.float16), scale=0.5)",
        "(q.astype(mx.float16), kv.astype(mx.float16), kv.astype(mx.float16), scale=0.5, mask=mx.zeros((3, 5)))",
        "(q, kv.astype(mx.float16), kv, scale=0.5)", "(q[:, :3], kv, kv, scale=0.5)",
        "(q, kv[..., :4], kv, scale=0.5)", "(q, kv, kv[..., :4], scale=0.5)", "(q, kv, kv[:, :, :4], scale=0.5)",
        "(q[0], kv[0], kv[0], scale=0.5)", "(q, kv, kv)", "(q, kv, kv, 0.5)", "(q, kv, kv, scale=1, mask=None)",
        "(q, kv, kv, scale=0.5, force_fused=False)", "(q=q, k=kv, v=kv, scale=0.5)", "(i, i, i, scale=1.0)",
    ],
    "cross_entropy": [
        "(f, ix)", "(f, mx.array([2, 0], dtype=mx.uint8))", "(h, ix)", "(f, f)", "(v, si)", "(f, vi)",
        "(x3, mx.array([[0, 1, 2], [3, 2, 1]]))", "(i, ix)",
    ],
    "gated_delta_update": [
        "(q, q, q, mx.ones((1, 4, 3)) * 0.5, mx.ones((1, 4, 3)))",
        "(q, q, q, mx.ones((1, 4, 3)) * 0.5, mx.ones((1, 4, 3)), mx.ones((1, 3, 8, 8)))",
        "(q, q, q, mx.ones((1, 4, 3)) * 0.5, mx.ones((1, 4, 3)), None, mx.array([[True, True, False, True]]))",
        "(q, q, q, v, v)",
    ],
    "metal_kernel": ["('a', ['x'], ['y'], '') is None"],
    "cuda_kernel": ["('a', ['x'], ['y'], '')"],
    "precompiled_cuda_kernel": [
        "(name='a', compiled_source=b'', inputs=[], output_shapes=[], output_dtypes=[], scalars=[], grid=(1, 1, 1), threadgroup=(1, 1, 1))",
    ],
}
RANDOM: dict[str, list[str]] = {
    "key": ["(0)", "(7)", "(2**63)", "(2**64 - 1)", "(2**64)", "(-1)", "(1.0)", "(True)", "(seed=3)", "(si)", "('a')"],
    "seed": ["(0)", "(2**64 - 1)", "(-1)", "(1.0)", "(seed=3)", "(None)"],
    "split": [
        "(k)", "(k, 3)", "(k, num=4)", "(k, 1)", "(k, 0)", "(k, -1)", "(key=k)", "(f)", "(5)", "(k, 2.0)", "(v)",
        "(k, 2, mx.cpu)",
    ],
    "uniform": [
        "()", "(key=k)", "(0, 1, (3,))", "(low=-1, high=2, shape=[2, 3])", "(-1.5, 1.5, (4,), mx.float16, k)",
        "(0, 1, (4,), mx.bfloat16, k)", "(v, v + 1, (2, 3), key=k)", "(v, 5, (3,), key=k)", "(shape=3)",
        "(0, 1, (3,), mx.int32)", "(0, 1, (3,), None, k)", "(shape=(0,))", "(shape=(), key=k)", "(v, 5, (2,), key=k)",
        "(shape=(-1,))", "(0, 1, (5,), mx.float32, f)", "(1, 0, (3,), key=k)", "(h[0], 1, (3,), key=k)",
        "(shape=(33,), key=k)[30:]", "(shape=(7,), key=k, stream=mx.cpu)", "(0, 1, (7,), mx.float64, k)",
    ],
    "normal": [
        "()", "(key=k)", "((3,))", "([2, 3], mx.float16, key=k)", "((2, 3), mx.bfloat16, key=k)",
        "((3,), loc=1, scale=2, key=k)", "((2, 3), mx.float32, v, 2.0, k)", "((2, 3), mx.float16, v, key=k)",
        "((3,), mx.int32)", "((3,), mx.complex64, key=k)", "(3)", "((3,), None, key=k)", "(shape=(0,))",
        "((2,), loc=v, key=k)", "((3,), scale=-1.0, key=k)", "((31,), key=k)[28:]", "((3,), mx.float16, 1, 2, k)",
        "((3,), loc=s, key=k)",
    ],
    "multivariate_normal": [
        "(v, sq, key=k)", "(v, sq, (4,), key=k).shape", "(v, sq, [2, 2], mx.float32, k).shape",
        "(f, sq, (2,), key=k).shape", "(v, m)", "(s, sq)", "(v, sq, (2,), mx.float16)",
        "(mean=v, cov=sq, key=k).dtype", "(v[:2], sq)",
    ],
    "randint": [
        "(0, 10)", "(0, 10, key=k)", "(0, 10, (5,), key=k)", "(-5, 5, [2, 3], mx.int8, k)",
        "(0, 10, (5,), dtype=mx.uint8, key=k)", "(vi, vi + 5, (3,), key=k)", "(0, vi, (2, 3), key=k)",
        "(0.5, 10.5, (4,), key=k)", "(0, 10, (3,), mx.float32)", "(10, 0, (3,), key=k)",
        "(0, 2**31 - 1, (4,), key=k)", "(0, 10, 5)", "(0, 10, (4,), None, k)", "(low=0, high=3, shape=(8,), key=k)",
        "(0)", "(0, 2**40, (3,), mx.int64, k)", "(-1, 300, (4,), mx.uint8, k)", "(v, 5, (3,), key=k)",
        "(True, 5, (3,), key=k)",
    ],
    "bernoulli": [
        "()", "(key=k)", "(0.3, (6,), key=k)", "(p, key=k)", "(p, (2, 3), k)", "(v / 4, (2, 3), key=k)",
        "(0, (3,), key=k)", "(1, (3,), key=k)", "(p=0.9, shape=[4], key=k)", "(p, (4,))", "(s, key=k)", "(0.5, 3)",
        "(si, (3,), key=k)", "(t, key=k)", "(2.5, (3,), key=k)",
    ],
    "truncated_normal": [
        "(-1, 1)", "(-1, 1, key=k)", "(-2.0, 2.0, (5,), key=k)", "(v - 3, v, key=k)",
        "(v - 3, v, (2, 3), mx.float16, k)", "(0, 1, [3], mx.bfloat16, k)", "(lower=-1, upper=0, shape=(4,), key=k)",
        "(-1, 1, (3,), mx.int32)", "(-1, 1, (4,), None, k)", "(v, 1, (2,))", "(1, -1, (3,), key=k)", "(-1, 1, 3)",
    ],
    "gumbel": [
        "()", "(key=k)", "((4,), key=k)", "([2, 3], mx.float16, k)", "((3,), mx.int32)", "(3)", "((2,), None, k)",
        "((3,), mx.bfloat16, k)",
    ],
    "laplace": [
        "()", "(key=k)", "((4,), key=k)", "((4,), mx.float32, 1.0, 2.0, k)", "((4,), loc=1, scale=0.5, key=k)",
        "((3,), mx.float16, key=k)", "((3,), mx.int32)", "(3)", "((2,), loc=v)", "((3,), loc=v, key=k)",
        "((3,), None, key=k)",
    ],
    "categorical": [
        "(f, key=k)", "(f, 0, key=k)", "(f, axis=1, key=k)", "(f, num_samples=4, key=k)", "(f, shape=(4, 2), key=k)",
        "(f, -1, (2,), key=k)", "(f, shape=(2,), num_samples=2)", "(v, key=k)", "(f, 2)", "(f, shape=(3,))",
        "(i, key=k)", "(h, key=k)", "(f, num_samples=0, key=k)", "(x3, num_samples=2, key=k)", "(x3, 1, key=k)",
        "(logits=f, key=k)", "(2)", "(f, -1, None, 3, k)", "(s)",
    ],
    "permutation": [
        "(5, key=k)", "(x=4, key=k)", "(v, key=k)", "(f, key=k)", "(f, 1, k)", "(f, axis=-1, key=k)", "(f, 2)",
        "(0, key=k)", "(-1)", "(1.5)", "(vi, key=k)", "(x3, 1, key=k)", "(s)", "(True, key=k)",
    ],
}
DISTRIBUTED: dict[str, list[str]] = {
    "all_sum": [
        "(f)", "(i, group=mx.distributed.init())", "(f, stream=mx.cpu)", "(2)", "(f, group=1)", "('a')", "(s)", "(t)",
    ],
    "all_gather": [
        "(f)", "(i, group=mx.distributed.init())", "(f, stream=mx.cpu)", "(2)", "(f, group=1)", "('a')", "(s)", "(t)",
    ],
    "all_max": [
        "(f)", "(i, group=mx.distributed.init())", "(f, stream=mx.cpu)", "(2)", "(f, group=1)", "('a')", "(s)", "(t)",
    ],
    "all_min": [
        "(f)", "(i, group=mx.distributed.init())", "(f, stream=mx.cpu)", "(2)", "(f, group=1)", "('a')", "(s)", "(t)",
    ],
    "sum_scatter": [
        "(f)", "(i, group=mx.distributed.init())", "(f, stream=mx.cpu)", "(2)", "(f, group=1)", "('a')", "(s)", "(t)",
    ],
    "send": ["(f, 0)", "(f, 1)", "(f, dst=0)", "(f)", "(f, 'a')"],
    "recv": ["((2,), mx.float32, 0)", "([2], mx.float32, src=1)", "((2,), mx.float32)", "(2, mx.float32, 0)"],
    "recv_like": ["(f, 0)", "(f, src=1)", "(f)"],
    "is_available": [
        "()", "('any')", "('mpi')", "('ring')", "('nccl')", "('jaccl')", "('x')", "(backend='ring')", "(1)",
    ],
    "init": [
        "().rank()", "().size()", "().split(0)", "().split(color=0, key=1)", "().split()", "(strict=True)", "(True)",
        "(False, 'ring').size()", "(backend='mpi').size()", "(backend='x')", "(True, 'ring')", "(True, 'mpi')", "(1)",
    ],
}
METAL: dict[str, list[str]] = {
    "is_available": ["()", "(1)"],
    "device_info": ["()"],
    "start_capture": ["('x')", "()", "(1)"],
    "stop_capture": ["()"],
}
CUDA: dict[str, list[str]] = {
    "is_available": ["()"],
}
