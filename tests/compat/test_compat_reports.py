"""What users of MLX reported as wrong over the years, as tests of what is right; mlx 0.32.4 passes them but for those marked."""

import copy
import math
import pickle
import threading
from functools import partial

import numpy as np
import pytest
from tests.compat.library import REAL, mx, nn, optim, utils

wrong_in_mlx = pytest.mark.skipif(REAL, reason="mlx 0.32.4 gets it wrong")
NAN, INF = float("nan"), float("inf")


def same(x, values, tolerance=1e-5):
    np.testing.assert_allclose(np.array(x), np.array(values), atol=tolerance, rtol=tolerance)


# Derivatives.


def test_in_place_with_broadcasting_under_vjp():
    def func(arr):
        arr += mx.ones((3, 3, 3))
        cond = arr < 1
        cond.tolist()
        return arr**2

    _, grad = mx.vjp(func, [mx.ones((3, 3))], [mx.ones((3, 3, 3))])
    same(grad[0], np.full((3, 3), 12.0))


def test_slices_that_hold_one_element():
    wa, wb = mx.array([[1.0, 2.0, 3.0]]), mx.array([[100.0, 101.0, 102.0]])
    x = mx.zeros((2, 3))
    same(mx.grad(lambda z: (z[0::2] * wa).sum() + (z[1::2] * wb).sum())(x), [[1, 2, 3], [100, 101, 102]])
    same(mx.grad(lambda z: (z[1:0:-2] * wa).sum())(x), [[0, 0, 0], [1, 2, 3]])
    batched = mx.vmap(lambda z: z[0::2])(mx.arange(4.0).reshape(2, 2))
    assert batched.tolist() == [[0.0], [2.0]]


def test_gradient_of_a_scatter_over_batches():
    x = mx.arange(24.0).reshape(2, 3, 4)

    def f(x):
        y = mx.zeros((2, 3, 4))
        for t in range(3):
            y = y.at[:, t].add(x[:, t] * (t + 1))
        return (y * y).sum()

    scale = np.arange(1, 4)[:, None]
    same(mx.grad(f)(x), 2 * np.array(x) * scale**2)


def test_indices_hold_no_gradient():
    x = mx.array([3.0, 1.0, 2.0])
    same(mx.grad(lambda x: mx.sort(x)[0] * 2)(x), [0, 2, 0])
    same(mx.grad(lambda x: x[mx.stop_gradient(mx.argsort(x))][0])(x), [0, 1, 0])
    same(mx.grad(lambda x: mx.take(x, mx.array([0, 0, 2])).sum())(x), [2, 0, 1])


def test_gradients_at_edges():
    zero = mx.array(0.0)
    assert mx.grad(mx.abs)(zero).item() == 0 and mx.grad(mx.sqrt)(zero).item() == INF
    same(mx.grad(lambda x: x.max())(mx.array([1.0, 2.0, 2.0])), [0, 0.5, 0.5])
    same(mx.grad(lambda x: mx.logsumexp(x))(mx.array([-INF, 0.0])), [0, 1])
    same(mx.grad(lambda x: mx.where(x > 0, x, 0).sum())(mx.array([-1.0, 0.0, 2.0])), [0, 0, 1])
    same(mx.grad(lambda x: mx.softmax(x)[0])(mx.array([1000.0, 0.0])), [0, 0])


def test_a_second_derivative_through_a_layer():
    layer = nn.LayerNorm(3)
    f = lambda x: (layer(x) ** 3).sum()  # noqa: E731
    x = mx.array([[0.5, -1.0, 2.0]])
    slope = mx.grad(lambda x: (mx.grad(f)(x) ** 2).sum())(x)
    step = 1e-2
    numeric = []
    for i in range(3):
        shift = mx.zeros((1, 3)).at[0, i].add(step)
        up, down = (float((mx.grad(f)(x + s * shift) ** 2).sum()) for s in (1, -1))
        numeric.append((up - down) / (2 * step))
    same(slope[0], numeric, 0.1)


def test_an_argument_that_is_changed_in_the_loss():
    def loss(params):
        params["w"] *= 2
        return (params["w"] ** 2).sum()

    params = {"w": mx.array([1.0, 2.0])}
    grads = mx.grad(loss)(params)
    same(grads["w"], [8, 16])


# Indices.


def test_bounds_of_slices_beside_arrays():
    a = np.arange(20).reshape(4, 5)
    for bounds in (slice(-100, 4), slice(2, 100), slice(100, None), slice(None, -100), slice(None, None, -1)):
        got = mx.array(a)[bounds, mx.array([0, 1], dtype=mx.uint32)]
        expected = a[bounds][:, [0, 1]]
        assert got.shape == expected.shape and got.tolist() == expected.tolist()


def test_negative_ends():
    a = np.arange(100).reshape(10, 10)
    assert mx.array(a)[0:-1, 0].tolist() == a[0:-1, 0].tolist()
    b = mx.zeros((6, 6))
    b[1:-1, 1:-1] = b[1:-1, 1:-1] + 1
    assert b.sum().item() == 16
    b[-1] = 5
    b[:, -2] = mx.arange(6.0)
    assert b[-1].tolist() == [5] * 6 and b[:, 4].tolist() == list(range(6))


def test_the_last_axis_is_set_to_a_number():
    a = mx.zeros((2, 3, 4, 5, 3))
    a[..., 0] = 1
    assert a.sum().item() == 120 and a[1, 2, 3, 4].tolist() == [1, 0, 0]


def test_a_new_axis_before_a_negative_index():
    a = mx.zeros((3, 4))
    a[None, -1] = 9
    assert a.tolist() == [[0] * 4, [0] * 4, [9] * 4]


def test_reversed_writes():
    def f(x):
        base = mx.zeros_like(x)
        base[::-1] += 2.0 * x[::-1]
        return base

    x = mx.arange(6.0)
    assert f(x).tolist() == mx.compile(f)(x).tolist() == [0, 2, 4, 6, 8, 10]


def test_writes_with_shapes_of_one():
    a = mx.zeros((3, 2))
    a[1:2] = mx.array([[1.0, 2.0]])
    a[0] = mx.array([[7.0, 8.0]])
    assert a.tolist() == [[7, 8], [1, 2], [0, 0]]
    a[mx.array([0, 2])] = mx.array([[3.0], [4.0]])
    assert a.tolist() == [[3, 3], [1, 2], [4, 4]]


def test_views_are_copies():
    a = mx.array([1, 2, 3])
    b = a[1:]
    c = a.reshape(3)
    b[0] = 0
    c[1] = 9
    assert a.tolist() == [1, 2, 3] and b.tolist() == [0, 3] and c.tolist() == [1, 9, 3]


def test_a_list_and_a_mask_as_index():
    a = mx.arange(6).reshape(3, 2)
    assert a[[2, 0]].tolist() == [[4, 5], [0, 1]]
    a[mx.array([True, False, True])] = 0
    assert a.tolist() == [[0, 0], [2, 3], [0, 0]]
    a[a > 2] = mx.array(-1)
    assert a.tolist() == [[0, 0], [2, -1], [0, 0]]


# Batching.


def test_batches_of_scatters_over_late_axes():
    a = mx.arange(24.0).reshape(2, 3, 4)
    for axis in range(3):
        got = mx.vmap(lambda x: x.at[mx.array([0])].add(1.0), in_axes=axis, out_axes=axis)(a)
        parts = [np.array(p.squeeze(axis)) for p in mx.split(a, a.shape[axis], axis=axis)]
        for part in parts:
            part[0] += 1
        same(got, np.stack(parts, axis))


def test_batches_of_gathers():
    a = mx.arange(60).reshape(4, 5, 3)
    idx = mx.zeros((2, 2, 1, 3), dtype=mx.int32)
    out = mx.vmap(lambda x, y: mx.take_along_axis(x, y, axis=0), in_axes=(None, 0))(a, idx)
    assert out.shape == (2, 2, 5, 3)
    rows = mx.vmap(lambda x, i: x[i])(mx.arange(6).reshape(2, 3), mx.array([2, 0]))
    assert rows.tolist() == [2, 3]


def test_batches_of_arrays_of_numbers():
    def scale(s):
        return mx.array([s[0], 0.0, 0.0, 0.0, s[1], 0.0, 0.0, 0.0, s[2]]).reshape(3, 3)

    out = mx.vmap(scale)(mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    same(out, [np.diag([1, 2, 3]), np.diag([4, 5, 6])])


def test_batches_that_split():
    parts = mx.vmap(lambda x: mx.split(x, 2))(mx.arange(8).reshape(2, 4))
    assert [p.tolist() for p in parts] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


# Compilation.


def test_outputs_that_depend_on_what_is_none():
    def foo(x, y):
        return (x + 1, x) if y is None else (x, None)

    compiled = mx.compile(foo)
    x = mx.array([1.0])
    assert compiled(x, 0)[1] is None and compiled(x, None)[1].item() == 1.0
    assert compiled(x, None)[0].item() == 2.0 and compiled(x, 0)[0].item() == 1.0


def test_constants_are_part_of_the_key():
    compiled = mx.compile(lambda x, n, kind: x * n if kind == "times" else x + n)
    x = mx.array(3.0)
    assert [compiled(x, n, k).item() for n, k in [(2, "times"), (3, "times"), (2, "plus"), (2, "times")]] == [
        6,
        9,
        5,
        6,
    ]


def test_infinite_constants_in_compiled_functions():
    compiled = mx.compile(lambda x: mx.where(x > 0, x, -INF) + 0.0)
    assert compiled(mx.array([1.0, -1.0])).tolist() == [1.0, -INF]


def test_a_shapeless_product_and_sum():
    w = mx.arange(12.0).reshape(4, 3)
    f = mx.compile(lambda x: mx.matmul(x, w), shapeless=True)
    for length in (4, 2, 7):
        x = mx.arange(length * 4.0).reshape(1, length, 4)
        assert f(x).shape == (1, length, 3) and mx.allclose(f(x), x @ w)


def test_shapeless_sums_of_gathers():
    total = mx.compile(lambda buf, idx: mx.take(buf, idx, axis=0).sum(), shapeless=True)
    buf = mx.array([10.0, 20.0, 30.0, 40.0])
    assert [total(buf, mx.arange(n)).item() for n in (1, 2, 3, 4)] == [10, 30, 60, 100]
    cumulative = mx.compile(lambda x: mx.cumsum(x, axis=0), shapeless=True)
    assert cumulative(mx.arange(4.0)).tolist() == [0, 1, 3, 6] and cumulative(mx.ones(2)).tolist() == [1, 2]


def test_shapeless_means():
    mean = mx.compile(lambda x: x.mean(axis=-1) + x.var(axis=-1), shapeless=True)
    for n in (2, 4, 5):
        x = mx.arange(n * 2.0).reshape(2, n)
        same(mean(x), np.array(x).mean(-1) + np.array(x).var(-1))


def test_a_learning_rate_that_changes_below_compilation():
    model = nn.Linear(1, 1, bias=False)
    model.weight = mx.array([[0.0]])
    optimizer = optim.SGD(learning_rate=optim.linear_schedule(1.0, 0.0, steps=4))
    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step():
        _, grads = nn.value_and_grad(model, lambda: -model.weight.sum())()
        optimizer.update(model, grads)

    seen = []
    for _ in range(4):
        step()
        mx.eval(state)
        seen.append(model.weight.item())
    same(seen, [1.0, 1.75, 2.25, 2.5])


def test_a_dropout_that_changes_below_compilation():
    layer = nn.Dropout(0.5)
    mx.random.seed(3)
    f = partial(mx.compile, inputs=mx.random.state, outputs=mx.random.state)(layer)
    x = mx.ones(64)
    assert not mx.array_equal(f(x), f(x))


def test_a_function_compiled_in_a_loop():
    a = mx.array(1.0)
    assert [mx.compile(lambda x, i=i: x * i)(a).item() for i in range(5)] == [0, 1, 2, 3, 4]


def test_a_compiled_method_of_several_objects():
    class Scale:
        def __init__(self, by):
            self.by = mx.array(by)

        @partial(mx.compile, shapeless=True)
        def static(x):
            return x * 2

        def call(self, x):
            return mx.compile(lambda x, by: x * by)(x, self.by)

    assert [Scale(float(i)).call(mx.array(2.0)).item() for i in range(3)] == [0, 2, 4]
    assert Scale.static(mx.array(3.0)).item() == 6


# Numbers.


def test_what_is_not_a_number():
    a = mx.array([3.0, NAN, 1.0, 5.0])
    assert math.isnan(mx.max(a).item()) and math.isnan(mx.min(a).item())
    ordered = mx.sort(mx.array([1.0, NAN, 2.0, 0.0])).tolist()
    assert ordered[:3] == [0, 1, 2] and math.isnan(ordered[3])
    assert mx.nan_to_num(mx.array([NAN, INF, 1.0]), nan=2.0, posinf=9.0).tolist() == [2, 9, 1]
    assert mx.array_equal(a, a, equal_nan=True) and not mx.array_equal(a, a)
    assert mx.isclose(mx.array([INF, -INF, INF]), mx.array([INF, INF, 1.0])).tolist() == [True, False, False]


def test_where_the_not_a_number_is():
    for values in ([3, NAN, 1, 5], [NAN, 1, 2], [1, 2, NAN], [INF, NAN, -INF]):
        a = mx.array(values)
        assert mx.argmax(a).item() == mx.argmin(a).item() == [math.isnan(v) for v in values].index(True)
    running = mx.cummax(mx.array([1.0, 3.0, NAN, 5.0])).tolist()
    assert running[:2] == [1, 3] and all(map(math.isnan, running[2:]))


def test_softmax_of_slices_and_of_large_numbers():
    gates = mx.random.uniform(shape=(4, 4))
    same(mx.softmax(gates[..., 0:2], axis=-1).sum(axis=-1), [1] * 4)
    same(mx.softmax(mx.array([1e4, 1e4 - 1, -INF])), [0.7310586, 0.26894143, 0])
    assert mx.softmax(mx.array([1e4, 0.0], mx.float16)).tolist() == [1, 0]


def test_remainders_and_quotients():
    assert (-mx.ones(1) % 5).tolist() == [4] and (mx.array([-7, 7]) % 3).tolist() == [2, 1]
    assert (mx.array([-7.0, 7.0]) // 2).tolist() == [-4, 3] and (mx.array([7, 9]) // 2).tolist() == [3, 4]
    assert (mx.array([2, 3]) ** 2).tolist() == [4, 9] and (mx.array([2, 3]) ** 2).dtype == mx.int32
    assert (mx.array([7], mx.uint8) - mx.array([8], mx.uint8)).tolist() == [255]


def test_numbers_are_weak():
    half = mx.ones(2, mx.float16)
    assert (half * 2.5).dtype == mx.float16 and (mx.ones(2, mx.int8) + 1).dtype == mx.int8
    assert (mx.ones(2, mx.int32) * 0.5).dtype == mx.float32 and (half * mx.array(2.0)).dtype == mx.float32
    assert mx.maximum(half, 0).dtype == mx.float16 and mx.where(half > 0, half, 0.0).dtype == mx.float16
    assert (mx.ones(1, mx.bfloat16) * half[:1]).dtype == mx.float32 and (
        True + mx.ones(1, mx.bfloat16)
    ).dtype == mx.bfloat16
    assert mx.array(np.float64(1.5)).dtype == mx.float32 and mx.tri(1, 1, dtype=mx.bfloat16).dtype == mx.bfloat16


def test_dtypes_of_reductions():
    small = mx.full((300,), 100, mx.int8)
    assert small.sum().item() == 30000 and small.sum().dtype == mx.int32
    assert mx.ones(3, mx.bool_).sum().item() == 3 and mx.mean(mx.array([1, 2])).item() == 1.5
    assert mx.argmax(mx.array([1, 3, 2])).dtype == mx.uint32 and mx.ones(3, mx.float16).sum().dtype == mx.float16


def test_ranges():
    assert mx.linspace(1, 10, 1).tolist() == [1] and mx.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    end = np.float32(0.96568555)
    assert np.float32(mx.linspace(0.21436651, 0.96568555, 6)[-1].item()) == end
    assert mx.arange(0, 1, 0.1).shape == (10,) and mx.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert mx.arange(3).dtype == mx.int32 and mx.arange(3.0).dtype == mx.float32 and mx.arange(1, 1).shape == (0,)


@wrong_in_mlx
def test_sums_that_are_large():
    assert mx.ones(1 << 20).sum().item() == 1 << 20
    assert mx.full((4096,), 0.1).mean().item() == pytest.approx(0.1, rel=1e-6)
    assert mx.full((70000,), 1, mx.float16).mean().item() == 1.0


# Conversions.


@wrong_in_mlx
def test_arrays_of_other_layouts():
    c = (np.arange(9) + 1j * np.arange(9)).astype(np.complex64).reshape(3, 3)
    assert mx.array(c.T).tolist() == c.T.tolist() and mx.array(c[::-1, ::2]).tolist() == c[::-1, ::2].tolist()
    f = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert mx.array(f).tolist() == f.tolist() and memoryview(mx.array(f)).c_contiguous


def test_bytes_of_views():
    x = mx.arange(10, dtype=mx.int32)
    assert bytes(x[::2]) == np.arange(0, 10, 2, dtype=np.int32).tobytes()
    m = x.reshape(2, 5)
    assert bytes(m.T) == np.arange(10, dtype=np.int32).reshape(2, 5).T.tobytes()


def test_numbers_from_arrays():
    assert int(mx.array(3.7)) == 3 and float(mx.array([2])) == 2.0 and bool(mx.array([0.0])) is False
    with pytest.raises((ValueError, TypeError)):
        int(mx.array([1, 2]))
    assert f"{mx.array(1.5).item():.3f}" == "1.500" and mx.array([[1, 2]]).tolist() == [[1, 2]]
    assert [1, 2, 3][mx.array(1).item()] == 2


def test_empty_arrays():
    empty = mx.zeros((0, 3))
    assert (
        empty.sum().item() == 0
        and empty.sum(axis=0).tolist() == [0, 0, 0]
        and (empty @ mx.ones((3, 2))).shape == (0, 2)
    )
    assert mx.concatenate([empty, mx.ones((1, 3))]).shape == (1, 3) and mx.array([]).shape == (0,)
    assert mx.ones((3, 0)).T.shape == (0, 3) and (mx.ones((2, 0)) @ mx.ones((0, 2))).tolist() == [[0, 0], [0, 0]]


# Attention, quantisation, layers.


def test_causal_masks_end_at_the_last_key():
    mx.random.seed(0)
    q, k, v = mx.random.normal((1, 2, 2, 8)), mx.random.normal((1, 2, 5, 8)), mx.random.normal((1, 2, 5, 8))
    got = mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask="causal")
    allowed = mx.array(np.tril(np.ones((2, 5), bool), 3))
    same(got, np.array(mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask=allowed)))
    one = mx.fast.scaled_dot_product_attention(q[:, :, :1], k, v, scale=0.5, mask="causal")
    same(one, np.array(mx.fast.scaled_dot_product_attention(q[:, :, :1], k, v, scale=0.5)))


def test_quantised_products_of_odd_sizes():
    mx.random.seed(0)
    for rows in (4, 33):
        w = 0.1 * mx.random.normal((rows, 128))
        x = 0.1 * mx.random.normal((128,))
        packed = mx.quantize(w, group_size=32, bits=8)
        dense = mx.dequantize(*packed, group_size=32, bits=8)
        same(mx.quantized_matmul(x, *packed, transpose=True, group_size=32, bits=8), np.array(dense @ x), 1e-4)
    keys = mx.random.normal((1, 2, 3, 64))
    packed = [mx.expand_dims(p, -3) for p in mx.quantize(keys, group_size=32, bits=4)]
    queries = mx.random.normal((1, 2, 4, 2, 64))
    dense = mx.dequantize(*packed, group_size=32, bits=4)
    scores = mx.quantized_matmul(queries, *packed, transpose=True, group_size=32, bits=4)
    same(scores, np.array(queries @ dense.swapaxes(-1, -2)), 1e-4)
    with pytest.raises(ValueError):
        mx.quantize(mx.ones((2, 30)), group_size=32)


def test_a_rank_of_weights_that_is_wrong():
    with pytest.raises(ValueError):
        mx.fast.rms_norm(mx.ones((2, 8)), mx.ones(4), 1e-5)
    with pytest.raises(ValueError):
        nn.Linear(3, 2)(mx.ones((1, 4)))


def test_norms_of_far_means():
    x = mx.random.normal((4, 512), key=mx.random.key(0)) * 0.01 + 100
    y = nn.LayerNorm(512, affine=False)(x)
    expected = np.array(x, np.float64)
    expected = (expected - expected.mean(-1, keepdims=True)) / np.sqrt(expected.var(-1, keepdims=True) + 1e-5)
    same(y, expected, 5e-3)


def test_losses_along_other_axes():
    logits = mx.random.normal((2, 5, 3), key=mx.random.key(1))
    targets = mx.array([[0, 1, 4], [2, 2, 3]])
    by_axis = nn.losses.cross_entropy(logits, targets, axis=1)
    moved = nn.losses.cross_entropy(logits.swapaxes(1, 2), targets)
    same(by_axis, np.array(moved))
    weights = mx.array([[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]])
    same(nn.losses.cross_entropy(logits.swapaxes(1, 2), targets, weights=weights), np.array(moved * weights))
    smooth = nn.losses.cross_entropy(logits.swapaxes(1, 2), targets, label_smoothing=0.1)
    log_p = np.array(logits.swapaxes(1, 2) - mx.logsumexp(logits.swapaxes(1, 2), axis=-1, keepdims=True))
    one_hot = np.eye(5)[np.array(targets)] * 0.9 + 0.02
    same(smooth, -(one_hot * log_p).sum(-1))


# Modules, optimisers, trees.


def test_weights_after_layers_without_any(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Dropout(0.5))
    file = str(tmp_path / "net.safetensors")
    net.save_weights(file)
    net.load_weights(file)
    assert isinstance(net.layers[3], nn.Dropout) and len(net.layers) == 4


def test_an_array_that_becomes_something_else():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.kept = None

        def __call__(self, x):
            self.kept = x
            return x * 2

    net = Net()
    net(mx.ones(2))
    assert "kept" in net and net.parameters()["kept"].tolist() == [1, 1]
    net.kept = None
    assert net.kept is None and "kept" not in net.parameters()
    net.kept = mx.zeros(1)
    assert net.kept.tolist() == [0]


def test_an_exception_in_the_loss_leaves_the_model():
    model = nn.Linear(2, 1)
    before = np.array(model.weight)

    def loss(x):
        model(x)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        nn.value_and_grad(model, loss)(mx.ones((1, 2)))
    assert np.array_equal(np.array(model.weight), before)
    _, grads = nn.value_and_grad(model, lambda x: model(x).sum())(mx.ones((1, 2)))
    assert grads["weight"].tolist() == [[1, 1]]


def test_shared_layers_and_copies():
    shared = nn.Linear(2, 2, bias=False)
    net = nn.Sequential(shared, shared)
    _, grads = nn.value_and_grad(net, lambda x: net(x).sum())(mx.ones((1, 2)))
    assert len(grads["layers"]) == 2
    other = copy.deepcopy(net)
    assert other.layers[0] is other.layers[1] and other.layers[0] is not shared
    x = copy.copy(shared.weight)
    x += 1
    assert not mx.array_equal(x, shared.weight)
    assert mx.array_equal(pickle.loads(pickle.dumps(shared.weight)), shared.weight)


def test_keys_that_look_alike():
    assert utils.tree_unflatten([("01", "a"), ("1", "b"), ("2", "c")]) == {"01": "a", "1": "b", "2": "c"}
    assert utils.tree_unflatten([("0", 1), ("2", 3)]) == [1, {}, 3]
    assert utils.tree_unflatten([("a.0", 1), ("a.10", 2)])["a"][10] == 2


def test_the_end_of_a_warm_up():
    joined = optim.join_schedules([optim.linear_schedule(0, 1e-5, 100), optim.cosine_decay(1e-5, 900, 1e-6)], [100])
    same([joined(mx.array(s)).item() * 1e5 for s in (0, 50, 100, 1000)], [0, 0.5, 1.0, 0.1])


def test_half_precision_parameters_stay_so():
    model = nn.Linear(2, 2)
    model.set_dtype(mx.bfloat16)
    for optimizer in (optim.Adam(1e-2), optim.SGD(0.1, momentum=0.9), optim.AdamW(1e-2), optim.Lion(1e-2)):
        _, grads = nn.value_and_grad(model, lambda x: model(x).sum())(mx.ones((1, 2), mx.bfloat16))
        optimizer.update(model, grads)
        assert model.weight.dtype == model.bias.dtype == mx.bfloat16


# Random draws and threads.


def test_draws_differ_and_repeat():
    first, second = mx.random.randint(0, 65535, (4,)), mx.random.randint(0, 65535, (4,))
    assert not mx.array_equal(first, second)
    key = mx.random.key(1337)
    for draw in (
        lambda: mx.random.gumbel((2, 2), key=key),
        lambda: mx.random.truncated_normal(-1.0, 1.0, (2, 2), key=key),
        lambda: mx.random.categorical(mx.zeros((2, 3)), key=key),
        lambda: mx.random.laplace((2,), key=key),
    ):
        assert mx.array_equal(draw(), draw())
    assert mx.random.categorical(mx.zeros((2, 3)), num_samples=5).shape == (2, 5)
    assert mx.random.bernoulli(mx.array([0.0, 1.0])).tolist() == [False, True]


@wrong_in_mlx
def test_evaluation_from_another_thread():
    x = mx.arange(10.0) * 2
    seen = []
    threads = [threading.Thread(target=lambda: seen.append((x + 1).sum().item())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [100.0] * 4


def test_a_deep_graph():
    x = mx.array(0.0)
    for _ in range(20000):
        x = x + 1
    assert x.item() == 20000
