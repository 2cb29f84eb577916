"""Optimisers beside those of MLX itself: values and states step by step, and files in both directions."""

import numpy as np
import pytest
from tests.compat.optimizer_cases import CASES, leaves, made, optimizer_of, trained

import funcnn.compat.core as fx
from funcnn.compat import optimizers as ours
from funcnn.compat import utils

mx = pytest.importorskip("mlx.core")
theirs = pytest.importorskip("mlx.optimizers")

WARMUP = 3  # steps before the state changes hands


def compare(mine, other, tolerance=1e-6, order=list):
    (names, found), (expected_names, expected) = (
        zip(*order(utils.tree_flatten(tree)), strict=True) for tree in (mine, other)
    )
    assert names == expected_names
    for name, x, y in zip(names, found, expected, strict=True):
        assert (str(x.dtype).split(".")[-1], tuple(x.shape)) == (str(y.dtype).split(".")[-1], tuple(y.shape)), name
        np.testing.assert_allclose(np.array(x), np.array(y), rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_step_by_step(case):
    mine, other = optimizer_of(ours, case), optimizer_of(theirs, case)
    params, other_params = made(fx, 0), made(mx, 0)
    for step in range(3):
        params = trained(fx, mine, params, [step])
        other_params = trained(mx, other, other_params, [step])
        compare(params, other_params)
        compare(mine.state, other.state)


def save(library, path, tree):
    flat = dict(utils.tree_flatten(tree))
    library.savez(path, **flat) if path.endswith("npz") else library.save_safetensors(path, flat)


def load(library, path):
    return utils.tree_unflatten(list(library.load(path).items()))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["from MLX", "to MLX"])
def test_states_change_hands(case, way, tmp_path):
    (first, one), (second, two) = ((mx, theirs), (fx, ours)) if way == "from MLX" else ((fx, ours), (mx, theirs))
    before = optimizer_of(one, case)
    params = trained(first, before, made(first, 0), range(WARMUP))
    paths = [str(tmp_path / f"state.{'npz' if len(case) % 2 else 'safetensors'}"), str(tmp_path / "model.safetensors")]
    save(first, paths[0], before.state)
    save(first, paths[1], params)
    after = optimizer_of(two, case)
    after.state = load(second, paths[0])
    steps = range(WARMUP, WARMUP + 5)
    found = trained(second, after, load(second, paths[1]), steps)
    expected = trained(first, before, params, steps)
    compare(*((found, expected) if second is fx else (expected, found)))
    mine, other = (after, before) if second is fx else (before, after)
    compare(mine.state, other.state, order=sorted)  # files have an order of their own


def test_schedules():
    counts = np.arange(0, 40, dtype=np.uint64)
    made_of = [
        lambda o: o.exponential_decay(0.1, 0.95),
        lambda o: o.step_decay(0.1, 0.5, 7),
        lambda o: o.cosine_decay(0.1, 30, 0.01),
        lambda o: o.linear_schedule(1e-7, 0.1, 13),
        lambda o: o.join_schedules([o.linear_schedule(0.0, 0.1, 8), o.cosine_decay(0.1, 20), lambda s: 0.5], [8, 30]),
    ]
    for make in made_of:
        found, expected = make(ours)(fx.array(counts)), make(theirs)(mx.array(counts))
        np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-5, atol=1e-8)


def test_leaves_of_both_trees():
    assert [x.shape for x in leaves(made(fx, 0))] == [tuple(x.shape) for x in leaves(made(mx, 0))]
