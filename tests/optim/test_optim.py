"""What optimisers promise besides their formulas."""

import attrs
import pytest

import funcnn as fn
from funcnn import nn, optim, random, tree

ALL = [
    optim.sgd(0.1),
    optim.sgd(0.1, momentum=0.9),
    optim.adam(0.1),
    optim.adamw(0.1),
    optim.chain(optim.clip_by_global_norm(1.0), optim.adam(optim.schedules.cosine_decay(0.1, 200))),
]


@pytest.mark.parametrize("opt", ALL, ids=repr)
def test_they_find_the_minimum(opt):
    target = {"a": fn.array([1.0, -2.0]), "b": (fn.array(0.5),)}
    params = tree.map(fn.zeros_like, target)
    state = opt.init(params)
    assert isinstance(opt, optim.Optimizer)

    def loss(p):
        return sum(tree.leaves(tree.map(lambda x, t: fn.sum(fn.square(x - t)), p, target)))

    @fn.compile
    def step(params, state):
        delta, state = opt.update(fn.grad(loss)(params), state, params)
        return optim.apply_updates(params, delta), state

    for _ in range(200):
        params, state = step(params, state)
    assert tree.allclose(params, target, atol=2e-2)


@pytest.mark.parametrize("opt", ALL, ids=repr)
def test_they_are_values(opt):
    assert opt == attrs.evolve(opt) if not isinstance(opt, optim.chain) else opt == optim.chain(*opt.transforms)
    assert hash(opt) == hash(opt)
    names = {**vars(optim), **vars(optim.schedules)}
    assert repr(eval(repr(opt), names)) == repr(opt)


def test_frozen_parameters_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    params = model.init(random.key(0))
    opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(0.1, weight_decay=0.5))
    trained, frozen = tree.partition(params, "layers.1.**")
    state = opt.init(trained)
    x = random.normal(random.key(1), (8, 2))
    grads = fn.grad(lambda p: fn.sum(model(tree.merge(p, frozen), x) ** 2))(trained)
    delta, state = opt.update(grads, state, trained)
    after = tree.merge(optim.apply_updates(trained, delta), frozen)
    assert after["layers"][0]["weight"] is params["layers"][0]["weight"]
    assert not tree.allclose(after["layers"][1], params["layers"][1])
    assert tree.paths(state[1]["mu"]) == ["layers.1.bias", "layers.1.weight"]


def test_global_norm_of_nothing():
    assert optim.global_norm({}).item() == 0.0
    clip = optim.clip_by_global_norm(1.0)
    zero = {"w": fn.zeros(3)}
    assert clip.update(zero, clip.init(zero))[0]["w"].tolist() == [0.0] * 3


def test_wrong_arguments():
    params = {"w": fn.ones(2)}
    for opt in (optim.adamw(0.1), optim.sgd(0.1, weight_decay=0.1), optim.add_decayed_weights(0.1)):
        with pytest.raises(ValueError, match="weight decay needs the parameters"):
            opt.update(params, opt.init(params))
    chain = optim.chain(optim.sgd(0.1), optim.sgd(0.1))
    with pytest.raises(ValueError, match="states of 2 optimisers, got 1"):
        chain.update(params, ({},), params)
    with pytest.raises(ValueError, match="boundaries"):
        optim.schedules.join_schedules([optim.schedules.constant(1.0)], [3])
    with pytest.raises(ValueError):
        optim.schedules.cosine_decay(1.0, 0)
    adam = optim.adam(0.1)
    with pytest.raises(ValueError, match="b"):
        adam.update({"a": fn.ones(1)}, adam.init({"b": fn.ones(1)}))
