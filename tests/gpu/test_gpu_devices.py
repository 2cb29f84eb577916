"""The gpu as a device: what it says of itself, what it lacks, and loops that stay on it."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)


def test_it_describes_itself():
    info = fn.device_info(fn.gpu)
    assert info["device_name"] and re.fullmatch(r"\w[\w.-]*", info["architecture"])
    assert info["memory_size"] > 0 and fn.device_count(fn.gpu) >= 1
    with fn.default_device(fn.gpu):
        assert fn.device_info() == info


def lacks_float64():
    try:
        fn.device_put(fn.array(1.0, dtype=fn.float64), fn.gpu)
    except ValueError:
        return True
    return False


CALLS = {
    "array": lambda: fn.array([1.0, 2.0], dtype=fn.float64),
    "array of a number": lambda: fn.array(1.0, dtype=fn.float64),
    "zeros": lambda: fn.zeros(3, dtype=fn.float64),
    "full": lambda: fn.full((2,), 1.5, dtype=fn.float64),
    "arange": lambda: fn.arange(3, dtype=fn.float64),
    "astype": lambda: fn.ones(3).astype(fn.float64),
    "astype of values": lambda: fn.device_put(fn.array([1, 2]), fn.gpu).astype(fn.float64),
    "device_put": lambda: fn.device_put(fn.array(np.ones(2), dtype=fn.float64), fn.gpu),
    "asarray": lambda: fn.asarray(np.ones(3), dtype=fn.float64),
}


BIG = 2**62

# What needs float64 inside, and does without it or on the CPU where there is none.
INSIDE = {
    "hanning": lambda: fn.hanning(33),
    "bartlett": lambda: fn.bartlett(8),
    "isclose of integers": lambda: fn.isclose(fn.array([BIG, 3, -5]), fn.array([BIG + 2**35, 4, -5]), rtol=1e-8),
    "isclose of integers, batched": lambda: fn.vmap(fn.isclose)(fn.arange(6).reshape(2, 3), fn.arange(6).reshape(2, 3)),
    "hypot": lambda: fn.hypot(fn.array([3e38, 3e-39, 0.0, -np.inf, 3.0]), fn.array([1e38, 4e-39, 0.0, np.nan, 4.0])),
    "hypot of half": lambda: fn.hypot(fn.array([3e4, 0.1], fn.float16), 4e4),
    "hypot, gradient": lambda: fn.grad(lambda x: fn.hypot(x, 4.0).sum())(fn.array([3.0, 0.0, 1e30])),
    "choice": lambda: fn.random.choice(fn.random.key(0), 5, (7,), p=fn.array([0.1, 0.0, 0.3, 0.2, 0.4])),
    "choice, p not computed": lambda: fn.random.choice(fn.random.key(1), 4, (2,), False, p=fn.ones(4) / 4),
    "choice, p of NumPy": lambda: fn.random.choice(fn.random.key(3), 3, (9,), p=np.array([0.0, 1.0, 0.0])),
    "gamma, NumPy's": lambda: fn.random.gamma(fn.random.key(0), np.array([2.0, 0.5])),
    "poisson, NumPy's": lambda: fn.random.poisson(fn.random.key(0), np.float64(0.0), (3,)),
    "pinv, NumPy's tolerance": lambda: fn.linalg.pinv(fn.eye(2), rtol=np.float64(1e-3)),
    "unique, NumPy's filling": lambda: fn.unique(fn.array([1.0, 2.0]), size=3, fill_value=np.float64(7)),
    "quantile": lambda: fn.quantile(fn.array([1.0, 4.0, 2.0]), [0.3, 0.5]),
    "median of integers": lambda: fn.median(fn.array([[1, 5, 2], [4, 3, 9]]), axis=1),
    "repeat, a number for each": lambda: fn.repeat(fn.array([1.0, 5.0, 2.0]), fn.array([2, 0, 3])),
    "choice, p of integers": lambda: fn.random.choice(fn.random.key(2), 3, (9,), p=fn.array([0, 2, 1])),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_computes_in_float64_inside(name):
    with fn.default_device("cpu"):
        expected = INSIDE[name]()
    with fn.default_device(fn.gpu):
        got = INSIDE[name]()
        fn.eval(got)
        assert got.dtype == expected.dtype and got.device == fn.gpu
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=3e-7)


def test_probabilities_are_checked_where_they_are_known():
    with fn.default_device(fn.gpu):
        p = fn.array([0.5, -0.5, 1.0])
        fn.eval(p)
        with pytest.raises(ValueError, match="not negative, got -0.5"):
            fn.random.choice(fn.random.key(0), 3, (2,), p=p)


@pytest.mark.parametrize("name", CALLS)
def test_float64_is_refused_at_the_call(name):
    if not lacks_float64():
        pytest.skip("this gpu has float64")
    with fn.default_device("cpu"):
        x = fn.array([1.0, 2.0], dtype=fn.float64)
    with (
        fn.default_device(fn.gpu),
        pytest.raises(ValueError, match="the device gpu has no float64; convert with astype"),
    ):
        CALLS[name]()
    # Arrays that are elsewhere go on, with what is made from numbers beside them.
    with fn.default_device(fn.gpu):
        assert fn.grad(lambda x: (x * fn.ones_like(x)).sum())(x).tolist() == [1, 1]


def matrix():
    return fn.asarray(np.arange(9.0).reshape(3, 3) / 7 + np.eye(3), device="cpu")


def updated(optimizer):
    params, grads = {"w": matrix()}, {"w": matrix() - 1}
    return optimizer.update(grads, optimizer.init(params), params)[0]


# What makes numbers of its own to go along with float64 that is elsewhere.
ALONG = {
    "ALiBi": lambda: nn.ALiBi()({}, matrix().reshape(1, 1, 3, 3)),
    "SinusoidalPositionalEncoding": lambda: nn.SinusoidalPositionalEncoding(8)({}, matrix()),
    "Upsample": lambda: nn.Upsample(1.5, "cubic")({}, matrix().reshape(1, 3, 3, 1)),
    "padded pooling": lambda: nn.max_pool1d(matrix()[None], 2, padding=1),
    "RNN": lambda: nn.RNN(3, 3)({"Wxh": matrix(), "Whh": matrix(), "bias": matrix()[0]}, matrix()),
    "hessian": lambda: fn.hessian(lambda x: (x**3).sum())(matrix()),
    "jacrev": lambda: fn.jacrev(lambda x: x[0] ** 2)(matrix()),
    "lu": lambda: fn.linalg.lu(matrix()),
    "matrix_power": lambda: fn.linalg.matrix_power(matrix(), 0),
    "global_norm": lambda: optim.global_norm(matrix() * 1e300),
    **{
        name: lambda make=make: updated(make(1e-2))
        for name, make in optim.__dict__.items()
        if name in ("adam", "adamw", "adamax", "lamb", "lion", "muon", "sgd")
    },
    "adafactor": lambda: updated(optim.adafactor()),
    "a schedule": lambda: updated(optim.adam(optim.schedules.cosine_decay(1e-2, 10))),
}


@pytest.mark.parametrize("name", ALONG)
def test_numbers_go_along_with_float64(name):
    with fn.default_device("cpu"):
        expected = ALONG[name]()
    with fn.default_device(fn.gpu):
        got = ALONG[name]()
    for x, y in zip(fn.tree.leaves(got), fn.tree.leaves(expected), strict=True):
        assert x.dtype == y.dtype and (x.device == "cpu" or x.dtype != fn.float64)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [fn.asarray, fn.from_dlpack])
def test_float64_of_others_may_go_elsewhere(make):
    with fn.default_device(fn.gpu):
        x = make(np.array([1.0, 2.0]), device="cpu")
        assert x.dtype == fn.float64 and x.device == "cpu" and x.tolist() == [1, 2]


WIDE = np.array([1.0, 2.0, 1e-3])


def saved(path, value):
    fn.io.save(path / "x.npy", value)
    return np.load(path / "x.npy")


def saved_in_checkpoint(path):
    manager = fn.io.CheckpointManager(path)
    manager.save(1, {"a": WIDE})
    with fn.default_device("cpu"):
        return manager.restore({"a": WIDE}).tree["a"]


# What takes NumPy's float64 and gives another dtype, or a file.
TAKING = {
    "cast": lambda path: nn.cast({"a": WIDE}, fn.float16)["a"],
    "mixed precision": lambda path: nn.mixed_precision(nn.Linear(3, 1), "float16")(
        {"weight": WIDE[None], "bias": WIDE[:1]}, fn.ones(3)
    ),
    "save": lambda path: saved(path, WIDE),
    "save of arrays": lambda path: saved(path, [fn.ones(2), fn.zeros(2)]),
    "checkpoint": saved_in_checkpoint,
}


@pytest.mark.parametrize("name", TAKING)
def test_float64_of_numpy_that_ends_as_something_else(name, tmp_path):
    results = []
    for device in ("cpu", fn.gpu):
        with fn.default_device(device):
            results.append(np.asarray(TAKING[name](tmp_path)))
    assert results[0].dtype == results[1].dtype
    np.testing.assert_array_equal(*results)


def test_an_array_of_float64_is_said_to_be_one():
    if not lacks_float64():
        pytest.skip("this gpu has float64")
    with fn.default_device(fn.gpu):
        for call in (nn.losses.mse_loss, lambda x, _: nn.gelu_approx(x)):
            with pytest.raises(ValueError, match="the device gpu has no float64"):
                call(WIDE, WIDE)


def on_gpu(*values):
    return [fn.device_put(fn.array(v), fn.gpu) for v in values]


def test_loops_stay_on_the_gpu():
    """The carry, of a megabyte, is not brought to the host: its memory there does not grow."""
    x, steps = on_gpu(np.zeros(1 << 18, np.float32), np.arange(5, dtype=np.float32))
    fn.eval(x, steps)
    fn.synchronize()
    fn.reset_peak_memory("cpu")
    before = fn.get_active_memory("cpu")
    total, sums = fn.scan(lambda c, s: (c + s, c.sum()), x, steps)
    doubled = fn.while_loop(lambda c: (c < 100).any(), lambda c: c + c, total + 1)
    chosen = fn.cond(doubled[0] > 100, lambda c: c - 1, lambda c: c + 1, doubled)
    fn.eval(total, sums, doubled, chosen)
    fn.synchronize()
    assert total.device == sums.device == doubled.device == chosen.device == fn.gpu
    assert fn.get_peak_memory("cpu") - before < 1 << 18
    assert total[:2].tolist() == [10, 10] and doubled[3].item() == 176 and chosen[-1].item() == 175
    np.testing.assert_array_equal(np.asarray(sums), np.array([0, 0, 1, 3, 6], np.float32) * (1 << 18))


def test_gradients_of_loops():
    x, rows = on_gpu(np.float32([1, 2]), np.random.default_rng(0).standard_normal((4, 2)).astype(np.float32))

    def loss(x, rows):
        last, all_of = fn.scan(lambda c, r: (fn.tanh(c * r + 1), c * c), x, rows)
        return (last * all_of).sum()

    there = fn.grad(loss, (0, 1))(x, rows)
    here = fn.grad(loss, (0, 1))(fn.device_put(x, "cpu"), fn.device_put(rows, "cpu"))
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


def test_streams_of_the_gpu():
    stream = fn.new_stream(fn.gpu)
    with fn.stream(stream):
        x = fn.array([1.0, 1.0, 1.0]) + 1
        assert fn.default_stream(fn.gpu) == stream
    assert x.device == fn.gpu and x.tolist() == [2, 2, 2]
    fn.synchronize(stream)


def test_what_goes_to_a_host_that_sees_it_stays_where_it_is():
    """On unified memory nothing is copied, and nothing that is computed later writes over it."""
    (x,) = on_gpu(np.arange(1 << 16, dtype=np.float32))
    x = x + 1
    fn.eval(x)
    fn.synchronize()
    fn.reset_peak_memory("cpu")
    before = fn.get_peak_memory("cpu")
    y = fn.device_put(x, "cpu")
    fn.eval(y)
    unified = fn.get_peak_memory("cpu") - before < 1 << 18
    step = fn.compile(lambda x: (x.at[0].set(7.0) * 2, x.sum()), donate=("x",))
    first, again = step(x), None
    del x
    z = fn.device_put(first[0], "cpu")
    again = step(first[0])
    w = (z + 1).at[1].set(0.0)  # the CPU may not write there either
    assert y[:3].tolist() == [1, 2, 3] and z[:3].tolist() == [14, 4, 6]
    assert w[:3].tolist() == [15, 0, 7] and again[0][:3].tolist() == [14, 8, 12]
    assert z[:3].tolist() == [14, 4, 6] and y.device == z.device == w.device == "cpu"
    if "Software" in fn.device_info(fn.gpu)["device_name"]:
        assert unified


def test_one_plan_sends_what_it_goes_on_with():
    (x,) = on_gpu(np.arange(6, dtype=np.float32))

    @fn.compile
    def f(x):
        y = x * 3
        here = fn.device_put(y, "cpu")
        return here + 1, fn.device_put(y.T[::2], "cpu") * 2, y.at[0].set(9.0), here

    a, b, c, d = f(x)
    assert a.tolist() == [1, 4, 7, 10, 13, 16] and b.tolist() == [0, 12, 24]
    assert c.tolist() == [9, 3, 6, 9, 12, 15] and d.tolist() == [0, 3, 6, 9, 12, 15]


def test_what_runs_on_the_cpu_is_told():
    code = """
import funcnn as fn, numpy as np
a = fn.array([[4.0, 1.0], [1.0, 3.0]])
print(fn.linalg.cholesky(a).tolist()[0][0], fn.pure_callback(np.negative, fn.ShapeDtypeStruct((), fn.float32), a.sum()))
"""
    environment = os.environ | {"FUNCNN_LOG": "gpu", "FUNCNN_DEVICE": "gpu"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split()[0] == "2.0" and "-9" in run.stdout
    assert "funcnn gpu: cholesky runs on the CPU" in run.stderr
