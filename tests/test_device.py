"""Devices: where arrays are, how they move, and what a device with memory and a queue of its own shows."""

import gc
import os
import pickle
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim, random

# These tests say themselves where things are.
pytestmark = pytest.mark.usefixtures("cpu_by_default")

REFERENCE = fn.Device("reference")


def on_reference(values, **kwargs):
    return fn.device_put(fn.array(values, **kwargs), REFERENCE)


def test_devices_are_values():
    assert fn.Device("gpu:0") == fn.Device("gpu") != fn.Device("gpu:1")
    assert fn.Device("cpu") == "cpu" and fn.Device("cpu") == "cpu"
    assert {fn.Device("cpu"): 1}[fn.Device("cpu")] == 1
    assert repr(fn.Device("gpu:3")) == "Device('gpu:3')" and str(REFERENCE) == "reference"
    assert (fn.Device("gpu:3").kind, fn.Device("gpu:3").index) == ("gpu", 3)
    assert pickle.loads(pickle.dumps(fn.Device("gpu:2"))) == fn.Device("gpu:2")


@pytest.mark.parametrize("name", ["", "tpu", "gpu:", "gpu:-1", "gpu:99", "gpu:1x", "any", "cpu:0:1"])
def test_names_that_are_no_devices(name):
    with pytest.raises(ValueError, match="expected a name such as"):
        fn.Device(name)


def test_devices_that_are_not_there():
    with pytest.raises(ValueError, match="no device gpu:7"):
        fn.device_put(fn.ones(2), "gpu:7")
    with pytest.raises(TypeError, match="device_put: expected a device"):
        fn.device_put(fn.ones(2), 3)
    with pytest.raises(ValueError, match="no device"):
        fn.set_default_device("gpu:7")
    assert fn.get_default_device() == "cpu"


def test_values_go_there_and_back():
    for values in (np.arange(6.0).reshape(2, 3), np.zeros((0, 3)), np.array(2.5), np.array([True, False])):
        x = fn.array(values)
        there = fn.device_put(x, REFERENCE)
        assert there.device == REFERENCE and fn.device_put(there, REFERENCE) is not None
        back = fn.device_put(there, "cpu")
        assert back.device == "cpu"
        np.testing.assert_array_equal(np.asarray(there), np.asarray(x))
        np.testing.assert_array_equal(np.asarray(back), np.asarray(x))
        assert there.tolist() == values.tolist()
    moved = fn.device_put({"a": [fn.ones(2)], "b": 3}, REFERENCE)
    assert moved["a"][0].device == REFERENCE and moved["b"] == 3


def test_strided_views_go_there_and_back():
    x = fn.array(np.arange(24.0).reshape(2, 3, 4))
    for view in (x.T, x[:, ::-2], x[1, 1:], x.transpose(1, 0, 2)[::-1]):
        np.testing.assert_array_equal(np.asarray(fn.device_put(view, REFERENCE)), np.asarray(view))
        there = fn.device_put(x, REFERENCE)
        fn.eval(there)
    np.testing.assert_array_equal(np.asarray(there[:, ::-2].T), np.asarray(x)[:, ::-2].T)
    np.testing.assert_array_equal(np.asarray(fn.device_put(there.T[1:], "cpu")), np.asarray(x).T[1:])


def test_operations_run_where_their_inputs_are():
    x = on_reference([1.0, 2.0, 3.0])
    for y in (x * 2, x + fn.zeros(3), x + 1.0, fn.sum(x), x @ x, x[::-1], x.astype(fn.float16), x + np.ones(3)):
        assert y.device == REFERENCE
    computed = fn.zeros(3) + 1
    fn.eval(computed)  # made from numbers alone: follows what it meets, computed or not
    assert (x + computed).tolist() == [2, 3, 4] and (x + computed).device == REFERENCE
    noise = random.normal(random.key(0), (3,))
    assert (x + noise).device == REFERENCE
    np.testing.assert_allclose(np.asarray(x + noise), np.arange(1, 4) + np.asarray(noise), rtol=1e-6)


def test_a_mix_is_refused_at_the_call():
    x, y = on_reference([1.0, 2.0]), fn.array([1.0, 2.0])
    for f in (lambda: x + y, lambda: fn.concatenate([y, x]), lambda: x @ y, lambda: fn.where(y > 0, x, 0.0)):
        with pytest.raises(
            ValueError, match=r"arguments are on \w+ and on \w+; move them to one device with fn.device_put"
        ):
            f()
    assert (x + fn.device_put(y, REFERENCE)).tolist() == [2, 4]


def test_transfers_are_differentiable_and_batchable():
    x = fn.array([0.5, 1.5])

    def f(v):
        return fn.sum(fn.device_put(fn.sin(fn.device_put(v, REFERENCE)), "cpu") ** 2)

    slope = fn.grad(f)(x)
    assert slope.device == "cpu"
    np.testing.assert_allclose(np.asarray(slope), np.sin(2 * np.asarray(x)), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(fn.grad(fn.compile(f))(x)), np.sin(2 * np.asarray(x)), rtol=1e-6)
    _, tangent = fn.jvp(f, (x,), (fn.ones(2),))
    np.testing.assert_allclose(tangent.item(), np.sin(2 * np.asarray(x)).sum(), rtol=1e-6)
    rows = fn.array(np.arange(6.0).reshape(3, 2))
    mapped = fn.vmap(lambda r: fn.device_put(r, REFERENCE) * 2)(rows)
    assert mapped.device == REFERENCE and mapped.tolist() == (np.asarray(rows) * 2).tolist()


def test_default_device():
    with fn.default_device(REFERENCE):
        x = fn.array([1.0, 2.0])
        assert x.device == fn.zeros(2).device == fn.get_default_device() == REFERENCE
        assert fn.asarray(np.ones(2, np.float32)).device == REFERENCE
        with fn.default_device("cpu"):
            assert fn.array([1.0]).device == "cpu"
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(fn.get_default_device()))
        thread.start()
        thread.join()
        assert elsewhere == ["cpu"]
        with pytest.raises(RuntimeError), fn.default_device("cpu"):
            raise RuntimeError
        assert fn.get_default_device() == REFERENCE
    assert fn.get_default_device() == "cpu" and fn.array([1.0]).device == "cpu"
    assert x.tolist() == [1, 2]


def test_what_may_be_anywhere_is_computed_on_the_default_device():
    """Keys are made on the host; what is drawn by them is not tied to it."""
    key, layer = random.key(0), nn.Linear(4, 5)
    here = random.normal(key, (3, 4))
    fn.eval(here)
    with fn.default_device(REFERENCE), fn.profile() as p:
        params = layer.init(key)
        fn.eval(params, layer(params, here), random.normal(key, (8,)))
    assert {r.device for r in p.records} == {"reference"}
    # Also where numbers of the host are read with them.
    for x in (fn.array(np.ones((3, 4), np.float32)), [1.0, 2.0, 3.0, 4.0]):
        with fn.default_device(REFERENCE), fn.profile() as p:
            fn.eval(random.normal(key, (3, 4)) + fn.array(x))
        assert {r.device for r in p.records} == {"reference"}
    # Once there, they stay, and draw others: nothing moves back and forth.
    with fn.profile() as p:
        fn.eval(layer(params, here), params["weight"] + 1)
    assert {r.device for r in p.records} == {"reference"}


def test_where_a_result_goes_says_nothing_of_where_it_is_computed():
    with fn.default_device(REFERENCE), fn.profile() as p:
        x = fn.exp(random.normal(random.key(0), (3, 4)))
        fn.eval(fn.device_put(x, "cpu").astype(fn.float64))
    assert {r.device for r in p.records if "random_uniform" in r.name} == {"reference"}
    with fn.profile() as p:
        y = fn.device_put(fn.exp(random.normal(random.key(0), (3, 4))), REFERENCE)
        fn.eval(y)
    assert y.device == REFERENCE and {r.device for r in p.records if r.kind != "transfer"} == {"cpu"}


def test_what_is_loaded_is_moved_once(tmp_path):
    fn.io.save(tmp_path / "a.safetensors", {"w": fn.ones((3, 4)), "wide": fn.ones(2, dtype=fn.float64)})
    fn.io.save(tmp_path / "a.npy", fn.ones((3, 4)))
    with fn.default_device(REFERENCE):
        loaded = [*fn.io.load(tmp_path / "a.safetensors").values(), fn.io.load(tmp_path / "a.npy")]
        with fn.profile() as p:
            for x in loaded:
                fn.eval(x + 1)
    assert {x.device for x in loaded} == {REFERENCE}
    assert {r.kind for r in p.records} == {"program"}


def test_numbers_that_come_of_arrays_of_a_device_go_elsewhere():
    """They are made for the array, and have no memory on its device."""

    @fn.custom_vjp
    def two(x):
        return fn.array(2.0)

    two.defvjp(lambda x: (fn.array(2.0), None), lambda _, ct: (ct,))
    value, _ = fn.value_and_grad(two)(on_reference(1.0))
    sign, log = fn.linalg.slogdet(on_reference(np.zeros((0, 0), "f")))
    for number, expected in ((value, 2), (sign, 1), (log, 0)):
        fn.eval(number)
        assert (number + on_reference(1.0)).item() == expected + 1
        for device in ("cpu", REFERENCE):
            there = fn.device_put(number, device)
            assert there.item() == (there * 1).item() == expected


def test_control_flow_stays_on_the_device():
    init, xs = on_reference([1.0, 2.0]), on_reference(np.arange(6.0).reshape(3, 2))
    carry, ys = fn.scan(lambda c, x: (c + x, c * x), init, xs)
    c, expected = np.array([1.0, 2.0]), []
    for x in np.asarray(xs):
        expected.append(c * x)
        c = c + x
    assert carry.device == ys.device == REFERENCE
    np.testing.assert_allclose(np.asarray(carry), c)
    np.testing.assert_allclose(np.asarray(ys), expected)
    x, n = fn.while_loop(lambda s: fn.sum(s[0]) < 100, lambda s: (s[0] * 2, s[1] + 1), (init, fn.array(0)))
    assert x.tolist() == [64, 128] and n.item() == 6 and x.device == REFERENCE
    y = fn.cond(init[0] > 0, lambda v: v + 1, lambda v: v - 1, init)
    assert y.tolist() == [2, 3] and y.device == REFERENCE


def test_compiled_functions_by_device():
    f = fn.compile(lambda a, b: fn.tanh(a @ b) + 1)
    a = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    for device in ("cpu", REFERENCE, "cpu"):
        x = fn.device_put(fn.array(a), device)
        y = f(x, x)
        assert y.device == device
        np.testing.assert_allclose(np.asarray(y), np.tanh(a @ a) + 1, rtol=1e-5)
    both = fn.compile(lambda v: (v * 2, fn.device_put(v, "cpu") + 1))
    there, here = both(on_reference([1.0, 2.0]))
    assert (there.device, here.device) == (REFERENCE, "cpu") and (there.tolist(), here.tolist()) == ([2, 4], [2, 3])


def test_kernels_keep_to_the_limits_of_a_device():
    """The reference device takes 16 operands, rows of 48 elements, and no mixture of reductions."""
    xs = [on_reference(np.random.default_rng(i).normal(size=(6, 100))) for i in range(24)]

    def f(*xs):
        total = sum(x * (i + 1) for i, x in enumerate(xs))
        soft = fn.exp(total - total.max(axis=1, keepdims=True))
        soft = soft / soft.sum(axis=1, keepdims=True)
        return soft, soft.sum(axis=0), [x + 1 for x in xs]

    with fn.default_device(REFERENCE):
        kernels = re.split(r"^\[", fn.explain(f)(*xs).plan, flags=re.M)
    assert len(kernels) > 4
    for kernel in kernels[1:]:
        assert max(map(int, re.findall(r"%(\d+):", kernel)), default=0) < 16
        assert not ("row_" in kernel and "col_" in kernel)
    here = fn.compile(f)(*[fn.device_put(x, "cpu") for x in xs])
    for a, b in zip(fn.tree.leaves(fn.compile(f)(*xs)), fn.tree.leaves(here), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-6)


def test_donation_on_a_device():
    step = fn.compile(lambda s, g: s - 0.1 * g, donate="s")
    s, g = on_reference(np.ones(4096)), on_reference(np.ones(4096))
    fn.eval(s, g)
    before = fn.get_active_memory(REFERENCE)
    t = step(s, g)
    assert fn.get_active_memory(REFERENCE) == before
    np.testing.assert_allclose(np.asarray(t), 0.9, rtol=1e-6)
    with pytest.raises(ValueError, match="donated"):
        print(s)


def test_memory_by_device():
    fn.synchronize()
    gc.collect()
    start, here = fn.get_active_memory(REFERENCE), fn.get_active_memory("cpu")
    x = on_reference(np.ones(1 << 16))
    fn.eval(x)
    gc.collect()
    assert fn.get_active_memory(REFERENCE) - start == 4 << 16
    assert fn.get_active_memory("cpu") - here < 1 << 16
    fn.reset_peak_memory(REFERENCE)
    fn.eval((x + 1).sum())
    assert fn.get_peak_memory(REFERENCE) < start + (9 << 16)
    limit = fn.set_memory_limit(fn.get_active_memory(REFERENCE) + 1000, REFERENCE)
    try:
        with pytest.raises(MemoryError, match="largest arrays"):
            fn.eval(fn.concatenate([x, x]))
    finally:
        fn.set_memory_limit(limit, REFERENCE)
    del x
    fn.synchronize()  # work that still waits holds what it reads
    gc.collect()
    assert fn.get_active_memory(REFERENCE) == start
    fn.clear_cache(REFERENCE)
    assert fn.get_cache_memory(REFERENCE) == 0


def test_interchange_copies_what_the_host_cannot_see():
    x = on_reference(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(np.asarray(memoryview(x.T)), np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(np.from_dlpack(x), np.arange(6.0).reshape(2, 3))
    assert pickle.loads(pickle.dumps(x)).tolist() == x.tolist()
    assert x.at[x > 2].set(0.0).tolist() == [[0, 1, 2], [0, 0, 0]]
    assert x[x > 2].tolist() == [3, 4, 5] and repr(x[0]) == "array([0., 1., 2.], dtype=float32)"


def test_training_gives_the_same_on_both():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
    opt = optim.adamw(1e-2)
    params = model.init(random.key(0))
    x, y = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32), np.arange(16) % 3

    def train(device):
        p = fn.device_put(params, device)
        state = fn.device_put(opt.init(p), device)
        inputs, labels = fn.device_put((fn.array(x), fn.array(y)), device)

        @fn.compile(donate=("p", "state"))
        def step(p, state):
            loss, grads = fn.value_and_grad(lambda q: nn.losses.cross_entropy(model(q, inputs), labels).mean())(p)
            delta, state = opt.update(grads, state, p)
            return optim.apply_updates(p, delta), state, loss

        # The first call must not give away the parameters that both runs begin with.
        p = fn.tree.map(lambda v: v + 0, p)
        for _ in range(5):
            p, state, loss = step(p, state)
        return loss.item(), p

    (a, here), (b, there) = train("cpu"), train(REFERENCE)
    np.testing.assert_allclose(a, b, rtol=1e-5)
    assert all(v.device == REFERENCE for v in fn.tree.leaves(there))
    for u, v in zip(fn.tree.leaves(here), fn.tree.leaves(there), strict=True):
        np.testing.assert_allclose(np.asarray(u), np.asarray(v), rtol=2e-4, atol=2e-5)


def test_errors_surface_where_they_are_waited_for():
    @fn.compile
    def spread(x, n):
        return x.at[x > 0].set(fn.ones(3) * n)

    x = on_reference([1.0, -1.0, 2.0])
    wrong = spread(x, 1.0)  # three values for two places, found out when it runs
    after = wrong * 2
    fn.eval(after)
    other = x * 3
    fn.eval(other)
    assert other.tolist() == [3, -3, 6]
    for broken in (after, wrong, after + 1):
        with pytest.raises(ValueError, match="3 values for the 2 true elements"):
            broken.tolist()
    assert spread(on_reference([1.0, 3.0, 2.0]), 2.0).tolist() == [2, 2, 2]


def test_from_several_threads():
    x = on_reference(np.arange(64.0))
    found = [None] * 4

    def work(k):
        found[k] = [fn.sum(x * (k + i)).item() for i in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [[2016.0 * (k + i) for i in range(20)] for k in range(4)]


def default_of_process(**environment):
    code = "import funcnn as fn; print(fn.ones(2).device, fn.array([1, 2]).device, fn.get_default_device())"
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_environment_names_the_default_device():
    assert default_of_process(FUNCNN_DEVICE="reference").stdout.split() == ["reference"] * 3
    assert default_of_process(FUNCNN_DEVICE="").stdout.split() == ["cpu"] * 3
    wrong = default_of_process(FUNCNN_DEVICE="gpu:9")
    assert wrong.returncode and "FUNCNN_DEVICE=gpu:9: there is no device gpu:9" in wrong.stderr
    assert "expected a name such as" in default_of_process(FUNCNN_DEVICE="tpu").stderr
