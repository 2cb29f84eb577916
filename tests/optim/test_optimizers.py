"""What every row of optimizer_specs.py owes: values, dtypes, odd trees, resuming, batching, purity."""

import copy
import pickle
import re

import numpy as np
import optimizer_specs
import pytest
from optimizer_specs import SPECS

import funcnn as fn
from funcnn import frozendict, optim, tree

STEPS = 20
SHAPES = frozendict(
    layers=(frozendict(weight=(4, 1, 3, 2), bias=(4,)), frozendict(weight=(2, 5)), frozendict(weight=(6, 3))), scale=()
)

every = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def draw(seed, dtype="float32", shapes=SHAPES, size=1.0):
    """A tree of arrays, of one shape each or of those given."""
    rng = np.random.default_rng(seed)
    flat, treedef = tree.flatten(shapes, is_leaf=lambda x: isinstance(x, tuple) and all(type(n) is int for n in x))
    values = [size * rng.normal(size=shape) for shape in flat]
    if dtype == "complex64":
        values = [x + 1j * size * rng.normal(size=x.shape) for x in values]
    return treedef.unflatten([fn.array(x, dtype=getattr(fn, dtype)) for x in values])


def flat(values, dtype=np.float64):
    """The arrays by path, in float64."""
    wide = np.complex128 if any(x.dtype == fn.complex64 for x in tree.leaves(values)) else dtype
    return {path: np.asarray(x.astype(fn.promote_types(x.dtype, fn.float32))).astype(wide)
            for path, x in tree.leaves_with_path(values)}  # fmt: skip


def stepper(opt):
    def step(params, state, grads):
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state

    return step


def run(opt, params, grads, step=None, state=None):
    step, state = step or stepper(opt), opt.init(params) if state is None else state
    for g in grads:
        params, state = step(params, state, g)
    return params, state


def same(a, b):
    """Whether two trees have one structure and equal bits."""
    leaves = zip(tree.leaves(a), tree.leaves(b), strict=True)
    return tree.structure(a) == tree.structure(b) and all(
        x.dtype == y.dtype and np.asarray(x.astype(fn.promote_types(x.dtype, fn.float32))).tobytes()
        == np.asarray(y.astype(fn.promote_types(y.dtype, fn.float32))).tobytes() for x, y in leaves
    )  # fmt: skip


def compare(got, expected, tolerance):
    assert got.keys() == expected.keys()
    for path, x in expected.items():
        np.testing.assert_allclose(got[path], x, rtol=tolerance, atol=tolerance, err_msg=path)


@every
def test_twenty_steps(spec):
    """Eager and compiled, against float64; the compiled step is traced once and may reuse its arguments."""
    params, grads = draw(0), [draw(seed) for seed in range(1, STEPS + 1)]
    expected = spec.oracle(flat(params), [flat(g) for g in grads])
    got, state = run(spec.optimizer, params, grads)
    compare(flat(got), expected, spec.tolerance)
    step = fn.compile(stepper(spec.optimizer), donate=("params", "state"))
    compiled, compiled_state = run(spec.optimizer, draw(0), grads, step)
    compare(flat(compiled), expected, spec.tolerance)
    assert tree.structure(compiled_state) == tree.structure(state)
    assert step.cache_info()["misses"] == 1


@every
def test_float64(spec):
    params, grads = draw(0, "float64"), [draw(seed, "float64") for seed in range(1, STEPS + 1)]
    got, _ = run(spec.optimizer, params, grads)
    compare(flat(got), spec.oracle(flat(params), [flat(g) for g in grads]), spec.float64)


@every
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(spec, dtype):
    """States and steps are float32 and as exact as that."""
    params, grads = draw(0, dtype), draw(1, dtype)
    first = spec.optimizer.init(params)
    delta, state = spec.optimizer.update(grads, first, params)
    before = flat(params)
    expected = {path: x - before[path] for path, x in spec.oracle(before, [flat(grads)]).items()}
    assert all((expected[path] == 0).all() for path in expected.keys() - flat(delta).keys())
    compare(flat(delta), {path: expected[path] for path in flat(delta)}, spec.tolerance)
    assert {x.dtype for x in tree.leaves(delta)} == {fn.float32}
    assert all(x.dtype in (fn.float32, fn.int32, fn.bool_) for x in tree.leaves(first))
    stepped = optim.apply_updates(params, delta)
    assert tree.structure(stepped) == tree.structure(params)
    assert all(x.dtype == getattr(fn, dtype) for x in tree.leaves(stepped))
    assert [x.dtype for x in tree.leaves(state)] == [x.dtype for x in tree.leaves(first)]
    # Gradients of zero, and those whose squares vanish.
    for size in (0.0, 1e-6):
        params, state = run(spec.optimizer, draw(0, dtype), [draw(2, dtype, size=size)] * 2)
        assert all(np.isfinite(x).all() for x in flat((params, state)).values())


@every
def test_complex(spec):
    params, grads = draw(0, "complex64"), [draw(seed, "complex64") for seed in range(1, 6)]
    if not spec.complex:
        with pytest.raises(TypeError, match="complex"):
            spec.optimizer.update(params, spec.optimizer.init(draw(0)), params)
        return
    got, _ = run(spec.optimizer, params, grads)
    compare(flat(got), spec.oracle(flat(params), [flat(g) for g in grads]), spec.tolerance)


ODD = {
    "nothing": {},
    "no leaves": {"a": (), "b": {}, "c": None},
    "None and absent": {"a": None, "b": (tree.absent, fn.ones(2)), "c": fn.ones((2, 2))},
    "one array": fn.ones((3, 2)),
    "no elements": {"a": fn.zeros((0,)), "b": fn.zeros((3, 0)), "c": fn.zeros((0, 4, 2)), "d": fn.ones(())},
    "one element": {"a": fn.ones((1,)), "b": fn.ones((1, 1)), "c": fn.ones((1, 1, 1, 1))},
}


@every
@pytest.mark.parametrize("odd", ODD)
def test_odd_trees(spec, odd):
    params = ODD[odd]
    state = spec.optimizer.init(params)
    got, after = run(spec.optimizer, params, [params, params])
    assert tree.structure(got) == tree.structure(params) and tree.structure(after) == tree.structure(state)
    assert [x.shape for x in tree.leaves(after)] == [x.shape for x in tree.leaves(state)]
    assert all(np.isfinite(x).all() for x in flat((got, after)).values())


@every
def test_it_resumes_to_the_bit(spec, tmp_path):
    """Saved and loaded in the middle; the state holds arrays in dicts and tuples only."""
    params, grads = draw(0), [draw(seed) for seed in range(1, 9)]
    step = fn.compile(stepper(spec.optimizer))
    whole = run(spec.optimizer, params, grads, step)
    half = run(spec.optimizer, params, grads[:4], step)
    assert all(isinstance(x, fn.array) for x in tree.leaves(half))
    for name in ("half.safetensors", "half.npz"):
        fn.io.save(tmp_path / name, half)
        again, state = fn.io.load(tmp_path / name, like=(params, spec.optimizer.init(params)))
        assert same((again, state), half)
        assert same(run(spec.optimizer, again, grads[4:], step, state), whole)


@every
def test_ensembles(spec):
    """Members under vmap take the steps that they take alone."""
    members = [draw(seed) for seed in (0, 1)]
    grads = [[draw(10 * member + i) for member in range(2)] for i in range(1, 5)]
    params = tree.stack(members)
    state = fn.vmap(spec.optimizer.init)(params)
    step = fn.compile(fn.vmap(stepper(spec.optimizer)))
    for pair in grads:
        params, state = step(params, state, tree.stack(pair))
    for i, member in enumerate(members):
        alone, _ = run(spec.optimizer, member, [pair[i] for pair in grads])
        compare(flat(tree.map(lambda x, i=i: x[i], params)), flat(alone), 2e-5)


@every
def test_steps_inside_scan(spec):
    """State and parameters are a carry: they keep structure, shapes and dtypes."""
    grads = [draw(seed) for seed in range(1, 5)]
    step = stepper(spec.optimizer)
    (got, _), _ = fn.scan(
        lambda carry, g: (step(*carry, g), None), (draw(0), spec.optimizer.init(draw(0))), tree.stack(grads)
    )
    compare(flat(got), flat(run(spec.optimizer, draw(0), grads)[0]), 2e-5)


@every
def test_derivatives_through_a_step(spec):
    """By the parameters, through gradient, first state and step: finite."""

    def after(params):
        grads = fn.grad(lambda p: sum(fn.sum(fn.square(x)) for x in tree.leaves(p)))(params)
        delta, _ = spec.optimizer.update(grads, spec.optimizer.init(params), params)
        return sum(fn.sum(x) for x in tree.leaves(optim.apply_updates(params, delta)))

    assert all(np.isfinite(x).all() for x in flat(fn.grad(after)(draw(0))).values())


@every
def test_purity(spec):
    """No call changes its arguments, plain dicts among them, and equal arguments give equal results."""
    plain = {"a": [draw(0)["scale"], fn.ones((2, 2))], "b": {"c": fn.ones(3)}}
    params, grads = plain, tree.map(lambda x: x * 0.5, plain)
    state = spec.optimizer.init(params)
    for _ in range(2):
        before = [(tree.leaves(t), tree.structure(t), [np.asarray(x).tobytes() for x in tree.leaves(t)])
                  for t in (grads, state, params)]  # fmt: skip
        first = spec.optimizer.update(grads, state, params)
        again = spec.optimizer.update(grads, state, params)
        assert same(first, again)
        for old, t in zip(before, (grads, state, params), strict=True):
            assert all(x is y for x, y in zip(old[0], tree.leaves(t), strict=True)) and old[1] == tree.structure(t)
            assert old[2] == [np.asarray(x).tobytes() for x in tree.leaves(t)]
        state = first[1]


@every
def test_missing_gradients(spec):
    """A parameter without a gradient gets no step, and what is kept for it stays."""
    params = draw(0)
    got, state = run(spec.optimizer, params, [draw(1), draw(2)])
    part = tree.filter(draw(3), lambda path, x: path not in ("layers.1.weight", "layers.0.bias"))
    delta, after = spec.optimizer.update(part, state, got)
    assert set(tree.paths(delta)) <= set(tree.paths(part))
    assert tree.structure(after) == tree.structure(state)
    for (path, old), (_, new) in zip(tree.leaves_with_path(state), tree.leaves_with_path(after), strict=True):
        if path.endswith(("layers.1.weight", "layers.0.bias")):
            assert same(old, new), path
    full = run(spec.optimizer, optim.apply_updates(got, delta), [draw(4)], state=after)
    assert tree.structure(full) == tree.structure((got, state))


@every
def test_it_is_a_value(spec):
    names = {**vars(optimizer_specs), **vars(optim), **vars(optim.schedules), "frozendict": frozendict}
    text = re.sub(r"<function (\w+) at \w+>", r"\1", repr(spec.optimizer))
    again = eval(text, {name: value for name, value in names.items() if not name.startswith("__")})
    for other in (again, pickle.loads(pickle.dumps(spec.optimizer)), copy.deepcopy(spec.optimizer)):
        assert other == spec.optimizer and hash(other) == hash(spec.optimizer)
    assert isinstance(spec.optimizer, optim.Optimizer)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.mlx], ids=lambda spec: spec.name)
def test_against_mlx(spec):
    mx = pytest.importorskip("mlx.core")
    optimizers = pytest.importorskip("mlx.optimizers")
    utils = pytest.importorskip("mlx.utils")
    params, grads = draw(0), [draw(seed) for seed in range(1, STEPS + 1)]
    got, _ = run(spec.optimizer, params, grads)

    def nested(values):
        return utils.tree_unflatten([(path, mx.array(np.asarray(x))) for path, x in tree.leaves_with_path(values)])

    theirs, other = spec.mlx(optimizers), nested(params)
    theirs.init(other)
    for g in grads:
        other = theirs.apply_gradients(nested(g), other)
    compare(flat(got), {path: np.asarray(x) for path, x in utils.tree_flatten(other)}, spec.tolerance)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.optax], ids=lambda spec: spec.name)
def test_against_optax(spec):
    optax = pytest.importorskip("optax")
    jnp = pytest.importorskip("jax.numpy")
    params, grads = draw(0), [draw(seed) for seed in range(1, STEPS + 1)]
    got, _ = run(spec.optimizer, params, grads)

    def plain(values):
        return {path: jnp.asarray(np.asarray(x)) for path, x in tree.leaves_with_path(values)}

    theirs, other = spec.optax(optax), plain(params)
    state = theirs.init(other)
    for g in grads:
        delta, state = theirs.update(plain(g), state, other)
        other = optax.apply_updates(other, delta)
    # Optax computes 1 - b2**count as it is written, which loses four digits in the first steps.
    compare(flat(got), {path: np.asarray(x) for path, x in other.items()}, max(spec.tolerance, 2e-5))
