"""What MLX's guides say of optimisers, schedules, and their state in files."""

import math

import numpy as np
import pytest
from tests.compat.library import mx, nn, optim, utils


def quadratic():
    mx.random.seed(1)
    model = nn.Linear(3, 1)
    model.weight = mx.array([[1.0, -2.0, 0.5]])
    model.bias = mx.array([0.25])
    x = mx.array([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0], [2.0, 0.5, 1.0]])
    y = mx.array([[1.0], [2.0], [3.0]])
    return model, nn.value_and_grad(model, lambda: nn.losses.mse_loss(model(x), y))


OPTIMIZERS = {
    "SGD": lambda: optim.SGD(learning_rate=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    "RMSprop": lambda: optim.RMSprop(learning_rate=0.01),
    "Adagrad": lambda: optim.Adagrad(learning_rate=0.05),
    "AdaDelta": lambda: optim.AdaDelta(learning_rate=1.0),
    "Adam": lambda: optim.Adam(learning_rate=0.01),
    "AdamW": lambda: optim.AdamW(learning_rate=0.01, bias_correction=True),
    "Adamax": lambda: optim.Adamax(learning_rate=0.01),
    "Lion": lambda: optim.Lion(learning_rate=0.003),
    "Adafactor": lambda: optim.Adafactor(learning_rate=0.01, relative_step=False),
    "Muon": lambda: optim.Muon(learning_rate=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_goes_downhill(name):
    model, step = quadratic()
    optimizer = OPTIMIZERS[name]()
    losses = []
    for _ in range(5):
        loss, grads = step()
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True) and optimizer.state["step"].item() == optimizer.step.item() == 5
    assert np.allclose(losses[-1], LAST_LOSSES[name], rtol=1e-4), losses


# The losses of mlx 0.32.4.
LAST_LOSSES = {
    "SGD": 3.5204639,
    "RMSprop": 5.2698870,
    "Adagrad": 6.3924208,
    "AdaDelta": 8.0118027,
    "Adam": 5.9392562,
    "AdamW": 7.5818248,
    "Adamax": 8.0768290,
    "Lion": 8.0275383,
    "Adafactor": 7.6085806,
    "Muon": 7.8570380,
}


def test_saving_and_going_on(tmp_path):
    model, step = quadratic()
    optimizer = optim.Adam(learning_rate=1e-2)
    for _ in range(3):
        optimizer.update(model, step()[1])
    state = utils.tree_flatten(optimizer.state, destination={})
    assert {"step", "learning_rate", "weight.m", "weight.v", "bias.m", "bias.v"} == set(state)
    mx.save_safetensors(str(tmp_path / "optimizer"), state)
    model.save_weights(str(tmp_path / "model.safetensors"))
    for _ in range(3):
        optimizer.update(model, step()[1])

    other, other_step = quadratic()
    other.load_weights(str(tmp_path / "model.safetensors"))
    resumed = optim.Adam(learning_rate=1e-2)
    resumed.state = utils.tree_unflatten(list(mx.load(str(tmp_path / "optimizer.safetensors")).items()))
    assert resumed.step.item() == 3
    for _ in range(3):
        resumed.update(other, other_step()[1])
    assert mx.array_equal(model.weight, other.weight) and mx.array_equal(model.bias, other.bias)


def test_without_a_module():
    optimizer = optim.SGD(learning_rate=0.5)
    params = {"w": mx.array([1.0, 2.0]), "more": [mx.array(3.0)]}
    grads = {"w": mx.array([1.0, 1.0]), "more": [mx.array(2.0)]}
    new = optimizer.apply_gradients(grads, params)
    assert new["w"].tolist() == [0.5, 1.5] and new["more"][0].item() == 2.0 and params["w"].tolist() == [1.0, 2.0]
    optimizer = optim.Adam(learning_rate=0.1)
    optimizer.init(params)
    assert optimizer.state["more"][0]["m"].item() == 0.0


def test_learning_rates():
    optimizer = optim.SGD(learning_rate=0.1)
    assert math.isclose(optimizer.learning_rate.item(), 0.1, rel_tol=1e-6)
    optimizer.learning_rate = 0.2
    assert optimizer.learning_rate.dtype == mx.float32 and math.isclose(
        optimizer.state["learning_rate"].item(), 0.2, rel_tol=1e-6
    )
    scheduled = optim.SGD(learning_rate=optim.step_decay(0.1, 0.5, 2))
    model, step = quadratic()
    seen = []
    for _ in range(5):
        scheduled.update(model, step()[1])
        seen.append(scheduled.learning_rate.item())
    assert np.allclose(seen, [0.1, 0.1, 0.05, 0.05, 0.025])


def at(schedule, *steps):
    return [schedule(mx.array(step)).item() for step in steps]


def test_schedules():
    assert np.allclose(at(optim.exponential_decay(0.1, 0.9), 0, 1, 10), [0.1, 0.09, 0.1 * 0.9**10])
    assert np.allclose(at(optim.cosine_decay(0.1, 100), 0, 50, 100, 200), [0.1, 0.05, 0.0, 0.0], atol=1e-6)
    assert np.allclose(at(optim.cosine_decay(0.1, 100, end=0.02), 100), [0.02], atol=1e-6)
    warmup = optim.linear_schedule(0.0, 1e-1, steps=100)
    assert np.allclose(at(warmup, 0, 50, 100, 101), [0.0, 0.05, 0.1, 0.1])
    joined = optim.join_schedules([optim.linear_schedule(0.0, 1.0, steps=10), optim.cosine_decay(1.0, 10)], [10])
    assert np.allclose(at(joined, 0, 5, 10, 15, 20), [0.0, 0.5, 1.0, 0.5, 0.0], atol=1e-6)


def test_several_optimisers():
    mx.random.seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = optim.MultiOptimizer(
        [optim.SGD(learning_rate=0.1), optim.SGD(learning_rate=0.0)], [lambda name, value: name.endswith("weight")]
    )
    before = dict(utils.tree_flatten(utils.tree_map(lambda x: x * 1, model.parameters())))
    grads = utils.tree_map(mx.ones_like, model.parameters())
    optimizer.update(model, grads)
    for name, value in utils.tree_flatten(model.parameters()):
        expected = before[name] - (0.1 if name.endswith("weight") else 0.0)
        assert np.allclose(np.array(value), np.array(expected), atol=1e-6), name
    assert len(optimizer.state["states"]) == 2


def test_clipping():
    grads = {"w1": mx.array([2.0, 3.0]), "w2": mx.array([1.0])}
    clipped, norm = optim.clip_grad_norm(grads, max_norm=2.0)
    assert math.isclose(norm.item(), math.sqrt(14), rel_tol=1e-5)
    assert math.isclose(sum(g.square().sum().item() for _, g in utils.tree_flatten(clipped)), 4.0, rel_tol=1e-3)
    same, _ = optim.clip_grad_norm(grads, max_norm=10.0)
    assert mx.array_equal(same["w1"], grads["w1"])


def test_accumulating():
    model, step = quadratic()
    optimizer = optim.SGD(learning_rate=0.1)
    total = None
    for _ in range(2):
        _, grads = step()
        total = grads if total is None else utils.tree_map(lambda a, g: a + g, total, grads)
    total = utils.tree_map(lambda g: g * 0.5, total)
    optimizer.update(model, total)
    other, other_step = quadratic()
    optim.SGD(learning_rate=0.1).update(other, other_step()[1])
    assert np.allclose(np.array(model.weight), np.array(other.weight), atol=1e-6)


def test_trees():
    tree = {"a": [1, {"b": 2}], "c": (3,)}
    assert utils.tree_flatten(tree) == [("a.0", 1), ("a.1.b", 2), ("c.0", 3)]
    assert utils.tree_flatten(tree, prefix=".x")[0] == ("x.a.0", 1)
    assert utils.tree_unflatten([("a.0", 1), ("a.1.b", 2)]) == {"a": [1, {"b": 2}]}
    assert utils.tree_map(lambda x: x * 2, tree) == {"a": [2, {"b": 4}], "c": (6,)}
    assert utils.tree_map_with_path(lambda path, x: (path, x), [5]) == [("0", 5)]
    assert utils.tree_reduce(lambda total, x: total + x, tree, 0) == 6
    assert utils.tree_merge({"a": [1]}, {"b": 2}) == {"a": [1], "b": 2}
