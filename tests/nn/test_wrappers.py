"""checkpoint, scan_layers and vmap of layers against loops over tuples of them: values, gradients, updates, keys."""

import pickle

import numpy as np
import pytest

import funcnn as fn
from funcnn import checkpoint_policies as policies
from funcnn import nn, random, tree


class Row(nn.Layer):
    """The loop that scan_layers is compared with."""

    body: tuple

    def __call__(self, params, x):
        for layer, view in zip(self.body, params["body"], strict=True):
            x = layer(view, x)
        return x


class Around(nn.Layer):
    body: nn.Layer

    def __call__(self, params, *args, **kwargs):
        return self.body(params["body"], *args, **kwargs)


BLOCK = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.Tanh())
DROPPING = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.Dropout(0.5))
KEY = random.key(3)
X = random.normal(random.key(1), (8, 3))


def train(model, params, x=X, key=KEY):
    """Loss, output, updates and gradients of one training call."""

    def loss(params):
        y, updates = model.apply(params, x, training=True, key=key)
        return fn.sum(fn.square(y)), (y, updates)

    (value, (y, updates)), grads = fn.value_and_grad(loss, has_aux=True)(params)
    return value, y, updates, grads


def close(a, b):
    return tree.allclose(a, b, rtol=1e-4, atol=1e-5)


RUN = {"eager": lambda f: f, "compiled": fn.compile, "checkpointed": fn.checkpoint}


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
def test_scanned_layers_are_the_loop_over_them(run):
    scanned, row = Around(nn.scan_layers(BLOCK, 4)), Row([BLOCK] * 4)
    params = row.init(KEY)
    stacked = scanned.init(KEY)
    assert tree.equal(nn.stack(scanned, params), stacked)
    assert tree.equal(nn.unstack(scanned, stacked), params)
    value, y, updates, grads = run(lambda p: train(scanned, p))(stacked)
    value_of_loop, y_of_loop, updates_of_loop, grads_of_loop = train(row, params)
    assert close((value, y), (value_of_loop, y_of_loop))
    assert close(nn.unstack(scanned, grads), grads_of_loop)
    after = tree.merge(stacked, updates)
    assert close(nn.unstack(scanned, after), tree.merge(params, updates_of_loop))
    assert close(scanned(stacked, X), row(params, X))


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
def test_a_checkpoint_changes_nothing_but_memory(run):
    plain, light = Around(DROPPING), Around(nn.checkpoint(DROPPING))
    params = plain.init(KEY)
    assert tree.equal(params, light.init(KEY))
    for a, b in zip(run(lambda p: train(light, p))(params), train(plain, params), strict=True):
        assert close(a, b)


@pytest.mark.immediate
def test_checkpoints_in_a_scan_keep_less():
    block = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(6)])
    x = random.normal(KEY, (256, 64))

    def peak(layer):
        model = nn.scan_layers(layer, 6)
        params = model.init(KEY)
        fn.eval(params, x)
        before = fn.get_active_memory()
        fn.reset_peak_memory()
        grads = fn.grad(lambda p: fn.sum(model(p, x)))(params)
        fn.eval(grads)
        return fn.get_peak_memory() - before

    assert peak(nn.checkpoint(block)) < 0.6 * peak(block)
    assert peak(nn.checkpoint(block, policies.everything_saveable)) > 0.9 * peak(block)


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
def test_members_of_an_ensemble_are_layers_of_their_own(run):
    ensemble = Around(nn.vmap(BLOCK, 4))
    row = Row([BLOCK] * 4)
    params = row.init(KEY)
    stacked = ensemble.init(KEY)
    assert close(tree.stack(params["body"]), stacked["body"])
    _, y, updates, grads = run(lambda p: train(ensemble, p))(stacked)
    for i, p in enumerate(params["body"]):
        _, own, statistics, own_grads = train(BLOCK, p)
        assert close(own, y[i])
        assert close(own_grads, tree.map(lambda g, i=i: g[i], grads["body"]))
        assert close(statistics, tree.map(lambda u, i=i: u[i], updates["body"]))


class Masks(nn.Layer):
    """What dropout keeps, whatever is given."""

    drop: nn.Layer = nn.Dropout(0.5)
    times: int = 1

    def __call__(self, params, x):
        for _ in range(self.times):
            x = self.drop(params["drop"], x)
        return x


def masks_of(model, shape, **kwargs):
    y, _ = model.apply(model.init(KEY), fn.ones(shape), training=True, **kwargs)
    return np.asarray(y) != 0


@pytest.mark.parametrize("run", [lambda f: f, fn.compile], ids=["eager", "compiled"])
def test_every_layer_and_member_draws_for_itself(run):
    class Seen(nn.Layer):
        def __call__(self, params, x):
            return x, random.uniform(params.next_key(), (4,))

    def draws(model):
        return np.asarray(run(lambda key: model.apply(model.init(KEY), fn.ones(2), key=key)[0][1])(KEY))

    assert len(np.unique(draws(nn.scan_layers(Seen(), 5, has_aux=True)))) == 20
    assert len(np.unique(draws(nn.vmap(Seen(), 5)))) == 20
    both = draws(nn.vmap(nn.scan_layers(nn.checkpoint(Seen()), 3, has_aux=True), 5))
    assert both.shape == (5, 3, 4) and len(np.unique(both)) == 60
    members = nn.vmap(nn.Dropout(0.5), 3)
    assert (masks_of(members, 64, key=KEY) == masks_of(members, 64, key=KEY)).all()
    assert (masks_of(members, 64, key=KEY) != masks_of(members, 64, key=random.key(4))).any()
    # Twice the same layer at one place drops twice.
    twice = masks_of(nn.scan_layers(Masks(times=2), 1), 4096, key=KEY)
    assert 0.2 < twice.mean() < 0.3


def test_a_missing_key_is_named_within_stacks():
    for model in (nn.scan_layers(DROPPING, 2), nn.vmap(DROPPING, 2), nn.checkpoint(DROPPING)):
        with pytest.raises(ValueError, match=r"in layers\.2 \(Dropout\): random numbers are needed here"):
            model.apply(model.init(KEY), X, training=True)


def test_nested_in_each_other():
    model = Around(nn.vmap(nn.scan_layers(nn.checkpoint(BLOCK), 3), 2))
    params = model.init(KEY)
    assert params["body"]["layers"][0]["weight"].shape == (2, 3, 3, 3)
    _, y, updates, grads = fn.compile(lambda p: train(model, p))(params)
    inner = nn.scan_layers(BLOCK, 3)
    for i in range(2):
        mine = tree.map(lambda p, i=i: p[i], params["body"])
        _, own, statistics, own_grads = train(inner, mine)
        assert close(own, y[i]) and close(own_grads, tree.map(lambda g, i=i: g[i], grads["body"]))
        assert close(statistics, tree.map(lambda u, i=i: u[i], updates["body"]))
    tuples = nn.unstack(model, params)
    assert [p["layers"][0]["weight"].shape for p in tuples["body"]] == [(2, 3, 3)] * 3
    assert tree.equal(nn.stack(model, tuples), params)
    # The other way round: every step is an ensemble whose members go on by themselves.
    other = nn.scan_layers(nn.vmap(BLOCK, 2, in_axes=0), 3)
    swapped = tree.map(lambda p: fn.swapaxes(p, 0, 1), params["body"])
    assert close(train(other, swapped, fn.stack([X, X]))[1], y)
    deep = nn.scan_layers(nn.scan_layers(BLOCK, 2), 3)
    parts = nn.unstack(deep, deep.init(KEY))
    assert len(parts) == 3 and len(parts[0]) == 2 and tree.equal(nn.stack(deep, parts), deep.init(KEY))
    loop = Row([Row([BLOCK] * 2)] * 3)
    as_rows = {"body": tuple({"body": p} for p in parts)}
    assert close(deep(deep.init(KEY), X), loop(as_rows, X))


def test_ties_inside_and_around_stacks():
    pair = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.BatchNorm(3), nn.BatchNorm(3))
    ties = {"layers.2.weight": "layers.0.weight", "layers.4.running_mean": "layers.3.running_mean"}
    inside = nn.scan_layers(nn.tie(pair, ties), 2)
    outside = nn.tie(nn.scan_layers(pair, 2), ties)
    params = inside.init(KEY)
    assert tree.structure(params) == tree.structure(outside.init(KEY))
    assert params["layers"][0]["weight"].shape == (2, 3, 3) and "weight" not in params["layers"][2]
    row = Row([nn.tie(pair, ties)] * 2)
    separate = nn.unstack(inside, params)
    _, y, updates, grads = train(row, {"body": separate})
    for model in (inside, outside, nn.scan_layers(nn.checkpoint(nn.tie(pair, ties)), 2)):
        _, y_of_model, updates_of_model, grads_of_model = train(model, params)
        assert close(y, y_of_model)
        assert close(nn.unstack(inside, grads_of_model), grads["body"])
        after = nn.unstack(inside, tree.merge(params, updates_of_model))
        assert close(after, tree.merge({"body": separate}, updates)["body"])
    # One norm in two stacks of an ensemble.
    shared = nn.vmap(nn.tie(pair, ties), 3)
    members = shared.init(KEY)
    for i in range(3):
        own = tree.map(lambda p, i=i: p[i], members)
        assert close(shared(members, X)[i], nn.tie(pair, ties)(own, X))


def test_statistics_of_a_small_momentum_are_not_too_small():
    """Of 1e-5 and the float32 of 0.99999, which do not add up to 1, they came out 0.1 % too small."""
    layer, steps = nn.BatchNorm(16, momentum=1e-5), 200_000

    def step(params, i):
        noise = 0.02 * random.uniform(random.fold_in(key, i), (2, 16), low=-1.0)
        return tree.merge(params, layer.apply(params, 1.0 + noise, training=True)[1]), None

    with fn.default_device("cpu"):  # many steps for a GPU in software
        key = random.key(0)
        params, _ = fn.compile(lambda: fn.scan(step, layer.init(key), fn.arange(steps)))()
        np.testing.assert_allclose(params["running_mean"].mean(), 1 - 0.99999**steps, rtol=3e-4)


def test_a_layer_used_twice_goes_on_from_its_own_statistics():
    class Twice(nn.Layer):
        part: nn.Layer

        def __call__(self, params, x):
            return self.part(params["part"], self.part(params["part"], x))

    plain = Twice(BLOCK)
    for wrapped in (nn.checkpoint(BLOCK), nn.scan_layers(BLOCK, 1), nn.vmap(BLOCK, 1, in_axes=0, out_axes=0)):
        params = plain.init(KEY)
        model = Twice(wrapped)
        lead = not isinstance(wrapped, nn.Checkpointed)
        own = tree.map(lambda p: p[None], params) if lead else params
        x = X[None] if isinstance(wrapped, nn.Mapped) else X
        _, updates = fn.compile(lambda p, x, model=model: model.apply(p, x, training=True))(own, x)
        _, wanted = plain.apply(params, X, training=True)
        assert close(tree.map(lambda u: u[0], updates) if lead else updates, wanted)


class Cached(nn.Layer):
    """Adds to a cache of its own, and to the input what all share."""

    scale: nn.Layer = nn.RMSNorm(3)

    def __call__(self, params, x, bias, cache, *, gain):
        cache = cache + fn.sum(x)
        return self.scale(params["scale"], x) * gain + bias, cache


def test_arguments_for_each_layer_and_results_of_each():
    model = nn.scan_layers(Cached(), 3, in_axes=(None, 0), has_aux=True)
    params = model.init(KEY)
    cache, bias = fn.array([1.0, 2.0, 3.0]), fn.array([0.5, 0.0, 0.0])
    y, caches = model(params, X, bias, cache, gain=2.0)
    x, wanted = X, []
    for p, c in zip(nn.unstack(model, params), cache, strict=True):
        x, c = Cached()(p, x, bias, c, gain=2.0)
        wanted.append(c)
    assert close(y, x) and close(caches, fn.stack(wanted))
    members = nn.vmap(Cached(), 3, in_axes=(0, None, 0), out_axes=(1, 0))
    y, caches = members(params, fn.stack([X, X, X]), bias, cache, gain=2.0)
    assert y.shape == (8, 3, 3) and caches.shape == (3,)
    with pytest.raises(ValueError, match="in_axes has 2 items for 1 arguments"):
        model(params, X, bias)
    with pytest.raises(TypeError, match=r"with has_aux the layer must return \(x, aux\), got array"):
        nn.scan_layers(nn.Linear(3, 3), 2, has_aux=True)(nn.scan_layers(nn.Linear(3, 3), 2).init(KEY), X)


def test_none_one_and_layers_without_parameters():
    for n in (0, 1):
        model = nn.scan_layers(BLOCK, n)
        params = model.init(KEY)
        assert params["layers"][0]["weight"].shape == (n, 3, 3)
        assert close(model(params, X), Row([BLOCK] * n)({"body": nn.unstack(model, params)}, X))
        assert nn.vmap(BLOCK, n)(params, X).shape == (n, 8, 3)
    for model in (nn.scan_layers(nn.Tanh(), 3), nn.vmap(nn.Tanh(), 3)):
        assert model.init(KEY) == {}
    assert close(nn.scan_layers(nn.Tanh(), 3)({}, X), fn.tanh(fn.tanh(fn.tanh(X))))
    assert close(nn.scan_layers(nn.Tanh(), 3)({}, X.tolist()), fn.tanh(fn.tanh(fn.tanh(X))))
    assert nn.vmap(nn.Tanh(), 3)({}, X).shape == (3, 8, 3)
    assert nn.unstack(nn.scan_layers(nn.Tanh(), 3), {}) == ({}, {}, {})


@pytest.mark.parametrize(
    "layer",
    [
        nn.checkpoint(BLOCK),
        nn.checkpoint(BLOCK, policies.dots_saveable),
        nn.scan_layers(BLOCK, 3),
        nn.scan_layers(BLOCK, 3, in_axes=(None, 0), has_aux=True, unroll=True),
        nn.vmap(BLOCK, 3),
        nn.vmap(BLOCK, 3, in_axes=(0, {"a": None}), out_axes=1),
    ],
    ids=repr,
)
def test_they_are_values(layer):
    names = {name: getattr(nn, name) for name in nn.__all__} | {"Policy": policies.Policy}
    again = eval(repr(layer), names)
    assert again == layer and hash(again) == hash(layer) and repr(again) == repr(layer)
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert (
        nn.replace(nn.Sequential(layer), "layers.0.layers.1", nn.Identity()).layers[0].layer.layers[1] == nn.Identity()
    )
    assert len(tree.paths(tree.partition(layer.init(KEY), nn.trainable(layer))[1])) == 2


def test_mistakes_are_named():
    for make in (nn.checkpoint, lambda layer: nn.scan_layers(layer, 2), lambda layer: nn.vmap(layer, 2)):
        with pytest.raises(TypeError, match=r"(checkpoint|scan_layers|vmap): layer must be a layer, got 3"):
            make(3)
    with pytest.raises(TypeError, match="checkpoint: policy must be one of funcnn.checkpoint_policies, got 'dots'"):
        nn.checkpoint(BLOCK, "dots")
    with pytest.raises(TypeError, match="n must be an integer of at least 0, got 2.0"):
        nn.scan_layers(BLOCK, 2.0)
    with pytest.raises(ValueError, match="scan_layers: in_axes must be None .* or 0 .* got 1"):
        nn.scan_layers(BLOCK, 2, in_axes=1)
    model = Around(nn.scan_layers(BLOCK, 2))
    with pytest.raises(
        ValueError, match=r"in body \(Scanned\): expected the parameters of 2 layers stacked along axis 0, got 0"
    ):
        model(Row([BLOCK] * 2).init(KEY), X)
    with pytest.raises(ValueError, match=r"got layers\.0\.bias of shape \(3, 3\)"):
        model(Around(nn.scan_layers(BLOCK, 3)).init(KEY), X)
    with pytest.raises(TypeError, match=r"the carry went in as float32\(8, 3\) and came back as float32\(8, 4\)"):
        nn.scan_layers(nn.Linear(3, 4), 2)(nn.scan_layers(nn.Linear(3, 4), 2).init(KEY), X)
    with pytest.raises(ValueError, match=r"stack: expected a tuple of 2 trees at 'body', got a frozendict"):
        nn.stack(model, model.init(KEY))
    with pytest.raises(ValueError, match="stack: expected a tuple of 2 trees at 'body', got 3 items"):
        nn.stack(model, Row([BLOCK] * 3).init(KEY))
    with pytest.raises(ValueError, match="stack: the layers at 'body' differ: .*shapes"):
        nn.stack(model, Row([BLOCK, nn.Sequential(nn.Linear(4, 4), nn.BatchNorm(3), nn.Tanh())]).init(KEY))
    with pytest.raises(ValueError, match="unstack: expected 2 layers at 'body', got 3"):
        nn.unstack(model, Around(nn.scan_layers(BLOCK, 3)).init(KEY))
    with pytest.raises(TypeError, match="stack: model must be a layer"):
        nn.stack({}, {})
