"""Training, end to end: every way of running a step gives the same losses, and memory does not grow."""

import gc
import os
import resource

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim, random, tree

FEATURES, CLASSES, BATCH = 20, 5, 32

model = nn.Sequential(
    nn.Linear(FEATURES, 48),
    nn.BatchNorm(48),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(48, 32),
    nn.LayerNorm(32),
    nn.GELU(),
    nn.Linear(32, CLASSES),
)
opt = optim.chain(
    optim.clip_by_global_norm(1.0),
    optim.adamw(optim.schedules.warmup_cosine(1e-2, 10, 60), weight_decay=1e-2),
)


def loss_fn(params, x, y, key):
    logits, updates = model.apply(params, x, training=True, key=key)
    return nn.losses.cross_entropy(logits, y).mean(), updates


def step(params, opt_state, x, y, key):
    (loss, updates), grads = fn.value_and_grad(loss_fn, has_aux=True)(params, x, y, key)
    delta, opt_state = opt.update(grads, opt_state, params)
    return tree.merge(optim.apply_updates(params, delta), updates), opt_state, loss


def data(rng, size=BATCH):
    x = rng.normal(size=(size, FEATURES)).astype(np.float32)
    y = np.argmax(x[:, :CLASSES] + 0.1 * rng.normal(size=(size, CLASSES)), axis=1).astype(np.int32)
    return fn.array(x), fn.array(y)


def train(step, steps=50):
    rng = np.random.default_rng(0)
    params = model.init(random.key(0))
    opt_state = opt.init(params)
    losses = []
    for i in range(steps):
        x, y = data(rng)
        params, opt_state, loss = step(params, opt_state, x, y, random.fold_in(random.key(1), i))
        losses.append(loss.item())
    return np.array(losses), params


@pytest.fixture
def threads():
    before = fn.get_num_threads()
    yield
    fn.set_num_threads(before)


def test_eager_compiled_and_unfused_agree():
    eager, _ = train(step)
    compiled, _ = train(fn.compile(step))
    donating, _ = train(fn.compile(step, donate=("params", "opt_state")))
    before = fn.set_fusion(False)
    try:
        unfused, _ = train(step)
    finally:
        fn.set_fusion(before)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    np.testing.assert_allclose(donating, eager, rtol=1e-5)
    np.testing.assert_allclose(unfused, eager, rtol=1e-5)
    assert eager[-5:].mean() < 0.5 * eager[:5].mean()


@pytest.mark.parametrize("wrap", [lambda f: f, fn.compile], ids=["eager", "compiled"])
def test_results_do_not_depend_on_the_number_of_threads(threads, wrap):
    results = []
    for count in (1, 2):
        fn.set_num_threads(count)
        results.append(train(wrap(step), steps=20))
    (one, params_one), (two, params_two) = results
    assert one.tolist() == two.tolist()
    assert not tree.diff(params_one, params_two)


def test_more_threads_than_cores(threads):
    x = random.normal(random.key(0), (192, 160))
    w = random.normal(random.key(1), (160, 192))

    def run():
        y = fn.tanh(x @ w) * 2
        return fn.sum(y, axis=0), y @ x

    fn.set_num_threads(1)
    expected = [value.tolist() for value in run()]
    fn.set_num_threads(24)
    for _ in range(300):
        assert [value.tolist() for value in run()] == expected


def test_training_with_checkpoints_agrees():
    class Checkpointed(nn.Layer):
        body: nn.Layer

        def __call__(self, params, x):
            return fn.checkpoint(self.body)(params["body"], x)

    x, y = data(np.random.default_rng(0))

    def run(model, params):
        def loss(params):
            logits, updates = model.apply(params, x, training=True)
            return nn.losses.cross_entropy(logits, y).mean(), updates

        return fn.value_and_grad(loss, has_aux=True)(params)

    quiet = nn.Sequential(*(layer for layer in model.layers if not isinstance(layer, nn.Dropout)))
    plain, wrapped = nn.Sequential(quiet), nn.Sequential(Checkpointed(quiet))
    inner = quiet.init(random.key(0))
    (value, updates), grads = run(plain, {"layers": (inner,)})
    (again, same_updates), same_grads = run(wrapped, {"layers": ({"body": inner},)})
    assert value.item() == pytest.approx(again.item(), rel=1e-6)
    assert tree.allclose(same_grads["layers"][0]["body"], grads["layers"][0], rtol=1e-4, atol=1e-6)
    assert tree.allclose(same_updates["layers"][0]["body"], updates["layers"][0])


def resident_bytes():
    """The memory of this process now, or its peak where the system does not say."""
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("how", ["eager", "compiled", "donating"])
def test_a_thousand_steps_do_not_grow_memory(how):
    run = {
        "eager": lambda: step,
        "compiled": lambda: fn.compile(step),
        "donating": lambda: fn.compile(step, donate=("params", "opt_state")),
    }[how]()
    x, y = data(np.random.default_rng(0))
    params = model.init(random.key(0))
    opt_state = opt.init(params)
    used = []
    for i in range(1100):
        params, opt_state, loss = run(params, opt_state, x, y, random.fold_in(random.key(1), i))
        fn.eval(params, opt_state, loss)
        if i in (99, 1099):
            gc.collect()
            used.append((fn.get_active_memory(), resident_bytes(), len(gc.get_objects())))
    (active, resident, objects), (active_later, resident_later, objects_later) = used
    assert active_later <= active
    # A GPU's driver fills memory of the process with graphs of the work that it met, up to a bound.
    if str(fn.get_default_device()) == "cpu":
        assert resident_later - resident < 4e6
    assert objects_later - objects < 1000


def test_compiling_ever_new_shapes_stays_bounded():
    @fn.compile(cache_size=16)
    def normalised(x, w):
        return fn.softmax(x @ w, axis=-1)

    w = fn.ones((3, 4))
    used = []
    for n in range(1, 801):
        fn.eval(normalised(fn.ones((n % 400 + 1, 3)), w))
        fn.eval(fn.tanh(fn.ones((n, 3)) @ w) * 2)  # and eager plans
        if n in (400, 800):
            fn.synchronize()
            gc.collect()
            used.append((fn.get_active_memory(), resident_bytes()))
    assert normalised.cache_info()["entries"] <= 16
    assert fn.plan_cache_info()["entries"] <= fn.plan_cache_info()["capacity"]
    assert used[1][0] <= used[0][0] + 100_000
    assert used[1][1] - used[0][1] < 16e6
