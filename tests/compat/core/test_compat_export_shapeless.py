"""Functions in files for arrays of other sizes than the examples: they give what the function itself gives."""

import json
import pathlib

import numpy as np
import pytest
from tests.compat.library import REAL, mx, nn

ours = pytest.mark.skipif(REAL, reason="MLX refuses these, or bakes sizes in")
W = mx.arange(12.0).reshape(4, 3) / 7
ROW = mx.array([1.0, -2.0, 0.5, 3.0])


def draw(*shapes):
    rng = np.random.default_rng(3)
    return [mx.array(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


@pytest.fixture
def path(tmp_path):
    mx.eval(W, ROW)
    return str(tmp_path / "function.mlxfn")


def check(path, f, examples, others):
    mx.export_function(path, f, *draw(*examples), shapeless=True)
    imported = mx.import_function(path)
    for shapes in (examples, *others):
        arrays = draw(*shapes)
        (found,), expected = imported(*arrays), f(*arrays)
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(np.array(found), np.array(expected), rtol=2e-5, atol=1e-6)


# What MLX has, too: the function, the shapes of its examples, and others.
ANYWHERE = {
    "mean": (lambda x: x.mean(), [(3, 4)], [[(5, 4)], [(2, 7)]]),
    "mean of rows": (lambda x: x - x.mean(axis=-1, keepdims=True), [(3, 4)], [[(5, 7)], [(1, 4)]]),
    "var": (lambda x: mx.var(x, axis=1, ddof=1), [(3, 4)], [[(5, 7)]]),
    "std": (lambda x: mx.std(x), [(3, 4)], [[(5, 7)]]),
    "matmul": (lambda x: x @ W, [(3, 4)], [[(5, 4)], [(1, 4)]]),
    "matmul of stacks": (lambda x: x @ W, [(2, 3, 4)], [[(3, 5, 4)], [(1, 1, 4)]]),
    "matmul of two": (lambda x, y: x @ y, [(2, 3, 4), (2, 4, 5)], [[(3, 6, 7), (3, 7, 2)]]),
    "matmul of squares": (lambda x, y: x @ y, [(4, 4), (4, 4)], [[(3, 5), (5, 2)]]),
    "attention": (
        lambda q, k, v: mx.softmax(q @ mx.swapaxes(k, 1, 2) / 2, axis=-1) @ v,
        [(2, 3, 4)] * 3,
        [[(5, 7, 4), (5, 6, 4), (5, 6, 4)]],
    ),
    "broadcasting": (lambda x: x + ROW, [(3, 4)], [[(7, 4)]]),
    "flatten": (lambda x: x.reshape(-1) * 2, [(3, 4)], [[(5, 7)]]),
    "reshape": (lambda x: x.reshape(-1, 2), [(3, 4)], [[(5, 4)]]),
    "gradient": (lambda x: mx.grad(lambda y: (mx.tanh(y @ W) ** 2).mean())(x), [(3, 4)], [[(5, 4)]]),
    "a gradient of constants": (lambda x: mx.grad(lambda y: (y @ W).sum())(x), [(3, 4)], [[(5, 4)]]),
    "cross entropy": (
        lambda x: nn.losses.cross_entropy(x, mx.argmax(x, axis=-1), reduction="mean"),
        [(3, 4)],
        [[(5, 7)]],
    ),
}


def of_attention(mask):
    def loss(q, k, v):
        return (mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask) ** 2).sum()

    return mx.grad(loss)


def of_a_positive_matrix(function):
    loss = lambda y: (function(y @ y.T + mx.eye(y.shape[0]) * 3, stream=mx.cpu) ** 2).sum()  # noqa: E731
    return mx.grad(loss), [(4, 4)], [[(6, 6)], [(3, 3)]]


HEADS = [(2, 4, 5, 8)] * 3
# Sizes in Python's numbers, and operations that MLX cannot carry over.
HERE = {
    "a size as a number": (lambda x: x / x.shape[0] + x.shape[1] ** -0.5, [(3, 4)], [[(5, 7)], [(2, 2)]]),
    "zeros of a shape": (lambda x: x + mx.zeros(x.shape) + mx.arange(x.shape[1]), [(3, 4)], [[(5, 7)]]),
    "an axis of one": (lambda x: x.mean(axis=0), [(1, 4)], [[(5, 4)], [(1, 6)]]),
    "slices": (lambda x: x[1:, :-1] - x[:-1, 1:], [(3, 4)], [[(5, 7)]]),
    "split": (lambda x: mx.split(x, 2, axis=1)[1], [(3, 4)], [[(5, 6)]]),
    "pad and tile": (lambda x: mx.tile(mx.pad(x, 1), (2, 1)), [(3, 4)], [[(5, 6)]]),
    "linear": (nn.Linear(4, 2), [(2, 3, 4)], [[(5, 6, 4)]]),
    "convolution": (nn.Conv1d(4, 5, 3, padding=1), [(2, 7, 4)], [[(3, 9, 4)]]),
    "gradient of attention": (of_attention(None), HEADS, [[(3, 2, 7, 6)] * 3, [(2, 4, 5, 8), *[(2, 4, 9, 8)] * 2]]),
    "gradient of causal attention": (of_attention("causal"), HEADS, [[(3, 4, 7, 8)] * 3]),
    "gradient of inv": of_a_positive_matrix(mx.linalg.inv),
    "gradient of cholesky": of_a_positive_matrix(mx.linalg.cholesky),
    "gradient of eigvalsh": of_a_positive_matrix(mx.linalg.eigvalsh),
    "quantize": (lambda x: mx.dequantize(*mx.quantize(x, 32, 4), 32, 4), [(3, 64)], [[(5, 96)]]),
    "two that go together": (lambda x, y: mx.concatenate([x * y, x], axis=1), [(3, 4), (3, 4)], [[(5, 6), (5, 6)]]),
}


@pytest.mark.parametrize("name", ANYWHERE)
def test_what_follows_sizes(path, name):
    check(path, *ANYWHERE[name])


@ours
@pytest.mark.parametrize("name", HERE)
def test_what_follows_sizes_here(path, name):
    check(path, *HERE[name])


@ours
@pytest.mark.parametrize(
    ("f", "examples", "others", "message"),
    [
        (
            lambda x: x.reshape(2, 6),
            [(3, 4)],
            [(6, 4)],
            "axis 0 of argument 0 has size 3; axis 1 of argument 0 has size 4",
        ),
        (lambda x: x @ W, [(3, 4)], [(3, 5)], "axis 1 of argument 0 has size 4"),
        (lambda x, y: x + y, [(3,), (3,)], [(4,), (5,)], "of one size are axis 0 of argument 0, axis 0 of argument 1"),
        (lambda x: x[::2], [(3,)], [(5,)], "axis 0 of argument 0 has size 3"),
        (lambda x: mx.concatenate([x] * x.shape[0]), [(3,)], [(5,)], "axis 0 of argument 0 has size 3"),
        (lambda x: x * min(x.shape[0], 5), [(3,)], [(4,)], "axis 0 of argument 0 has size 3"),
        (lambda x: x * (x.shape[0] % 7), [(8,)], [(9,)], "axis 0 of argument 0 has size 8"),
        (lambda x: mx.pad(x, (0, -x.shape[0] % 8)), [(8,)], [(5,)], "axis 0 of argument 0 has size 8"),
        (lambda x: x[:100] + 1, [(8,)], [(200,)], "axis 0 of argument 0 has size 8"),
        (lambda x: -x if x.shape[0] > 50 else x, [(8,)], [(60,)], "axis 0 of argument 0 has size 8"),
        (lambda x: x.reshape(-1, 2), [(4,)], [(5,)], "evenly"),
        (lambda x: x * (6 / x.shape[0]), [(3,)], [(0,)], "divides by a size that is 0"),
    ],
)
def test_what_keeps_its_size(path, f, examples, others, message):
    mx.export_function(path, f, *draw(*examples), shapeless=True)
    imported = mx.import_function(path)
    assert imported(*draw(*examples))[0].tolist() == f(*draw(*examples)).tolist()
    with pytest.raises(ValueError, match=message):
        imported(*draw(*others))


@ours
def test_a_function_is_made_once_for_each_shape(path):
    mx.export_function(path, lambda x: x * x.shape[0], *draw((3,)), shapeless=True)
    imported = mx.import_function(path)
    (trace,) = imported._traces
    assert trace.function_for(((7,),)) is trace.function_for(((7,),)) is not trace.function_for(((8,),))


@ours
@pytest.mark.parametrize(
    ("old", "new"),
    [('["*"', '["-"'), ('"axes": [[[0, 0]]]', '"axes": [[[0, 9]]]'), ('"axes": [[[0, 0]]]', '"axes": [[[7, 0]]]'),
     ('"axes": [[[0, 0]]]', '"axes": []'), ('["1"]', '["one"]'), ('"axes"', '"axis"')],
)  # fmt: skip
def test_damaged_files(path, old, new):
    mx.export_function(path, lambda x: x * x.shape[0], *draw((3,)), shapeless=True)
    data = pathlib.Path(path).read_bytes()
    start, length = 16, int.from_bytes(data[8:16], "little")
    header = data[start : start + length].decode()
    assert old in header and json.loads(header)
    changed = header.replace(old, new).ljust(length)
    pathlib.Path(path).write_bytes(data[:start] + changed[:length].encode() + data[start + length :])
    with pytest.raises(RuntimeError, match="damaged"):
        mx.import_function(path)
