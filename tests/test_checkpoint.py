"""checkpoint: the same values and derivatives from less memory."""

import gc
import warnings

import numpy as np
import pytest

import funcnn as fn
from funcnn import checkpoint_policies as policies
from funcnn import random

BLOCKS, BATCH, WIDTH = 12, 1024, 64
HIDDEN = BATCH * WIDTH * 4  # bytes of one activation


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Products use scratch memory while they run: how much at once depends on how many threads run them."""
    threads = fn.get_num_threads()
    fn.set_num_threads(1)
    yield
    fn.set_num_threads(threads)


def make_params():
    rng = np.random.default_rng(0)

    def weights():
        return fn.array((rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5).astype("f"))

    return [{"gain": fn.array(np.ones(WIDTH, "f")), "w1": weights(), "w2": weights()} for _ in range(BLOCKS)]


PARAMS = make_params()
X = fn.array(np.random.default_rng(1).normal(size=(BATCH, WIDTH)).astype("f"))
GRADIENTS = sum(leaf.nbytes for leaf in fn.tree.leaves(PARAMS))


def block(p, x):
    centered = x - x.mean(axis=-1, keepdims=True)
    normal = centered * fn.rsqrt((centered * centered).mean(axis=-1, keepdims=True) + 1e-5) * p["gain"]
    return x + fn.tanh(normal @ p["w1"]) @ p["w2"]


def chain(params, x, block=block):
    """Residual blocks one after the other."""
    for p in params:
        x = block(p, x)
    return (x * x).mean()


def hourglass(params, x, block=block):
    """The first half of the blocks is connected to the second half, last to first: no single value cuts it."""
    skipped = []
    for i, p in enumerate(params):
        x = block(p, x)
        if i < len(params) // 2:
            skipped.append(x)
        else:
            x = x + fn.tanh(skipped.pop())
    return (x * x).mean()


def step(loss):
    """Run a step; return its results and the bytes that it allocated at its peak."""
    gc.collect()
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    results = fn.value_and_grad(loss)(PARAMS, X)
    fn.eval(results)
    return results, fn.get_peak_memory() - before


def assert_same(got, expected):
    for a, b in zip(fn.tree.leaves(got), fn.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-6)


def blocks(policy=None):
    return lambda params, x: chain(params, x, fn.checkpoint(block, policy))


@pytest.mark.immediate
def test_memory_falls_and_gradients_stay():
    expected, plain = step(chain)
    for policy, most in ((None, 0.45), (policies.nothing_saveable, 0.45), (policies.dots_saveable, 0.7)):
        results, peak = step(blocks(policy))
        assert_same(results, expected)
        assert peak < most * plain
    results, peak = step(blocks(policies.everything_saveable))
    assert peak == plain
    assert_same(results, expected)


@pytest.mark.immediate
@pytest.mark.parametrize(("policy", "most"), [(None, 0.45), (policies.dots_saveable, 0.7)])
def test_what_is_made_of_outside_values_is_made_again(policy, most):
    expected, plain = step(chain)
    results, peak = step(lambda params, x: chain(params, x, lambda p, x: fn.checkpoint(lambda: block(p, x), policy)()))
    assert_same(results, expected)
    assert peak < most * plain


@pytest.mark.immediate
def test_recomputation_in_segments_grows_with_the_segments():
    """Peak of one checkpoint a block: the inputs of the blocks, the gradients, and what one block needs."""
    _, peak = step(blocks())
    assert peak < GRADIENTS + (BLOCKS + 8) * HIDDEN


@pytest.mark.immediate
def test_names_say_what_is_saved():
    def named(p, x):
        centered = x - x.mean(axis=-1, keepdims=True)
        return x + fn.checkpoint_name(fn.tanh((centered * p["gain"]) @ p["w1"]), "hidden") @ p["w2"]

    def net(policy):
        return lambda params, x: chain(params, x, fn.checkpoint(named, policy))

    expected, _ = step(lambda params, x: chain(params, x, named))
    nothing, least = step(net(None))
    hidden, more = step(net(policies.save_names("hidden")))
    other, same = step(net(policies.save_names("other")))
    for results in (nothing, hidden, other):
        assert_same(results, expected)
    assert same == least
    assert least + (BLOCKS - 3) * HIDDEN <= more <= least + (BLOCKS + 1) * HIDDEN


def test_nothing_changes_outside_of_transformations():
    calls = []
    f = fn.checkpoint(lambda x, flag, *, scale: calls.append(flag) or {"out": x * scale, "flag": flag})
    out = f(fn.array(2.0), "flag", scale=3.0)
    assert out["out"].item() == 6.0 and out["flag"] == "flag" and calls == ["flag"]


def _custom_vjp(f):
    made = fn.custom_vjp(f)
    made.defvjp(lambda d: (f(d), None), lambda _, ct: (None,))
    return made


def _custom_jvp(f):
    made = fn.custom_jvp(f)
    made.defjvp(lambda primals, tangents: (f(*primals), fn.zeros(())))
    return made


@pytest.mark.parametrize("wrap", [fn.checkpoint, _custom_vjp, _custom_jvp])
def test_what_the_function_changes_in_its_containers_stays_inside(wrap):
    def f(d):
        d["steps"].append(d.pop("w") * 2)
        return d["steps"][0]

    given = {"w": fn.array(3.0), "steps": [], "name": "text"}
    for call in (wrap(f), lambda d: fn.grad(lambda s: (s * wrap(f)(d)).sum())(1.0)):
        assert call(given).item() == 6
        assert list(given) == ["w", "steps", "name"] and given["steps"] == []


def test_trees_keywords_and_static_values():
    f = fn.checkpoint(lambda p, name, *, scale: {"out": fn.sin(p["x"]) * scale, "name": name})

    def loss(p, scale):
        return f(p, "static", scale=scale)["out"] * (f(p, "static", scale=2)["name"] == "static")

    dx, dscale = fn.grad(loss, argnums=(0, 1))({"x": fn.array(0.5)}, fn.array(3.0))
    assert dx["x"].item() == pytest.approx(3 * np.cos(0.5)) and dscale.item() == pytest.approx(np.sin(0.5))


def test_gradients_reach_values_from_outside():
    def loss(w, x):
        return fn.checkpoint(lambda x: fn.sin(x * w) + w)(x)

    dw, dx = fn.grad(loss, argnums=(0, 1))(fn.array(2.0), fn.array(0.25))
    assert dw.item() == pytest.approx(0.25 * np.cos(0.5) + 1) and dx.item() == pytest.approx(2 * np.cos(0.5))


def test_the_function_runs_once_a_step():
    calls = []
    f = fn.checkpoint(lambda x: calls.append(1) or fn.sin(x))
    fn.eval(fn.grad(lambda x: f(x).sum())(X))
    assert len(calls) == 1


def test_control_flow_on_values():
    f = fn.checkpoint(lambda x: fn.sin(x) if x.item() > 0 else fn.cos(x))
    assert fn.grad(f)(fn.array(0.5)).item() == pytest.approx(np.cos(0.5))
    assert fn.grad(f)(fn.array(-0.5)).item() == pytest.approx(np.sin(0.5))


@pytest.mark.parametrize("policy", [None, policies.dots_saveable, policies.save_names("a")])
def test_checkpoints_nest(policy):
    def inner(x):
        return fn.checkpoint_name(fn.sin(x) * x, "a") @ fn.array(np.eye(2, dtype="f"))

    once = fn.checkpoint(inner, policy)
    twice = fn.checkpoint(lambda x: once(once(x) + x), policy)

    def plain(x):
        return inner(inner(x) + x)

    x, t = fn.array([0.5, -1.5]), fn.array([1.0, 2.0])
    for transform in (
        lambda f: fn.grad(lambda x: f(x).sum())(x),
        lambda f: fn.jvp(f, (x,), (t,)),
        lambda f: fn.hessian(lambda x: f(x).sum())(x),
        lambda f: fn.vmap(fn.grad(lambda x: f(x).sum()))(fn.stack([x, t])),
        lambda f: fn.grad(lambda x: fn.vmap(f)(fn.stack([x, t])).sum())(x),
        lambda f: fn.grad(lambda x: (fn.jvp(f, (x,), (t,))[1] * x).sum())(x),
    ):
        assert_same(transform(twice), transform(plain))


def test_random_draws_are_repeated():
    def drop(x, key):
        return fn.where(fn.random.bernoulli(key, 0.5, x.shape), 2.0 * fn.sin(x), 0.0)

    x, key = fn.array(np.linspace(-1, 1, 100, dtype="f")), fn.random.key(3)
    plain = fn.grad(lambda x: drop(x, key).sum())(x)
    assert_same(fn.grad(lambda x: fn.checkpoint(drop)(x, key).sum())(x), plain)
    assert 20 < np.count_nonzero(np.asarray(plain)) < 80


def test_integer_arguments_and_results():
    f = fn.checkpoint(lambda x, n: (x[n] * x[n], n + 1))
    value, gradient = fn.value_and_grad(lambda x: f(x, fn.array(1))[0] * f(x, fn.array(1))[1])(fn.array([2.0, 3.0]))
    assert value.item() == 18.0 and gradient.tolist() == [0.0, 12.0]


@pytest.mark.parametrize("policy", [None, policies.dots_saveable, policies.budget(4 << 20)])
def test_compiled_steps_agree(policy):
    f = fn.checkpoint(chain, policy)
    assert_same(fn.compile(fn.value_and_grad(f))(PARAMS, X), fn.value_and_grad(chain)(PARAMS, X))


# ---- budget


def least_and_most(loss):
    _, most = step(loss)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, least = step(fn.checkpoint(loss, policies.budget(1)))
    assert len(caught) == 1 and "no choice keeps" in str(caught[0].message)
    needed = int(str(caught[0].message).split("needs ")[1].split()[0])
    assert least <= needed
    return needed, most


@pytest.mark.immediate
@pytest.mark.parametrize("loss", [chain, hourglass])
def test_budgets_are_kept(loss):
    expected, _ = step(loss)
    least, most = least_and_most(loss)
    assert least < 0.5 * most
    peaks = []
    for budget in np.linspace(least, 1.1 * most, 8).astype(int):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            results, peak = step(fn.checkpoint(loss, policies.budget(int(budget))))
        assert peak <= budget
        assert_same(results, expected)
        peaks.append(peak)
    # More room is used, and enough of it means that nothing is recomputed.
    assert peaks[-1] >= 0.95 * most
    assert len(set(peaks)) >= 4


def test_what_does_not_fit_is_said():
    with pytest.warns(RuntimeWarning, match="checkpoint: no choice keeps .* within 1000 bytes; the least found needs"):
        step(fn.checkpoint(chain, policies.budget(1000)))


def test_budget_under_other_transformations():
    f = fn.checkpoint(lambda x: (fn.sin(fn.tanh(x * x)) * x).sum(), policies.budget(1 << 20))

    def g(x):
        return (fn.sin(fn.tanh(x * x)) * x).sum()

    x = fn.array(np.linspace(-1, 1, 6, dtype="f").reshape(2, 3))
    assert_same(fn.vmap(fn.grad(f))(x), fn.vmap(fn.grad(g))(x))
    assert_same(fn.hessian(f)(x[0]), fn.hessian(g)(x[0]))


def attention(q, kv):
    return fn.fast.scaled_dot_product_attention(q, kv, kv, scale=0.3, mask="causal")


def singular(x, y):
    u, s, v = fn.linalg.svd(x @ y.T)
    return fn.sin(s).sum() + (u[:, :2] * v[:2].T).sum() ** 2


POLICIES = [
    policies.dots_saveable,
    policies.nothing_saveable,
    policies.save_names("kept"),
    policies.budget(1),
]


@pytest.mark.filterwarnings("ignore:checkpoint. no choice")
@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("f", [attention, singular], ids=lambda f: f.__name__)
def test_primitives_with_several_outputs(f, policy):
    keys = random.split(random.key(0), 2)
    shapes = ((2, 4, 6, 8), (2, 2, 6, 8)) if f is attention else ((3, 4), (3, 4))
    a, b = (random.normal(keys[i], shape) for i, shape in enumerate(shapes))

    def loss(function):
        return lambda a, b: fn.cos(fn.checkpoint_name(function(fn.tanh(a), b), "kept")).sum()

    kept, plain = fn.grad(loss(fn.checkpoint(f, policy=policy)), (0, 1)), fn.grad(loss(f), (0, 1))
    for got, expected in zip(kept(a, b), plain(a, b), strict=True):
        assert fn.allclose(got, expected, rtol=1e-4, atol=1e-5)
    stacked = fn.vmap(kept)(fn.stack([a, a * 0.5]), fn.stack([b, b + 0.1]))
    assert fn.allclose(stacked[0][1], plain(a * 0.5, b + 0.1)[0], rtol=1e-4, atol=1e-5)
    tangent = fn.jvp(lambda a: kept(a, b)[0], (a,), (fn.ones_like(a),))[1]
    assert fn.allclose(tangent, fn.jvp(lambda a: plain(a, b)[0], (a,), (fn.ones_like(a),))[1], rtol=1e-3, atol=1e-4)


def test_what_is_dear_and_has_several_outputs_is_kept():
    keys = random.split(random.key(0), 2)
    q, kv = random.normal(keys[0], (2, 4, 6, 8)), random.normal(keys[1], (2, 2, 6, 8))

    def kernels(policy):
        plan = str(
            fn.explain(fn.value_and_grad(lambda q: fn.checkpoint(attention, policy=policy)(fn.tanh(q), kv).sum()))(q)
        )
        return sum(line.startswith("[") and "] attention(" in line for line in plan.splitlines())

    assert kernels(policies.dots_saveable) == 1
    assert kernels(policies.nothing_saveable) == 2


@pytest.mark.parametrize("step", [fn.sin, fn.softmax, lambda x: x * x + 0.1])
def test_the_work_of_a_chain_is_linear_in_its_length(step):
    def operations(n):
        def f(x):
            for _ in range(n):
                x = fn.checkpoint(step)(x)
            return x.sum()

        return fn.explain(fn.grad(f))(fn.ones((1000,))).plan.count(" = ")

    assert operations(40) < 2.5 * operations(20)  # 4 where each step goes back to the first
