"""Where updates go: ties, repeated calls, scans over stacked layers; keys and paths that look alike."""

import collections

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree


class Two(nn.Layer):
    a: nn.Layer
    b: nn.Layer

    def __call__(self, params, x):
        return self.b(params["b"], self.a(params["a"], x))


class Again(nn.Layer):
    """Calls one layer several times."""

    part: nn.Layer
    how: str = "plain"
    times: int = 2

    def __call__(self, params, x):
        for _ in range(self.times):
            call = fn.checkpoint(self.part) if self.how == "checkpoint" else self.part
            x = call(params["part"], x)
        return x


class Stack(nn.Layer):
    """The same layer `size` times with stacked parameters."""

    block: nn.Layer
    size: int
    how: str = "alone"

    def init(self, key):
        return {"block": fn.vmap(self.block.init)(random.split(key, self.size))}

    def __call__(self, params, x):
        view = params["block"]
        if self.how == "alone":
            return fn.scan(lambda x, view: (self.block(view, x), None), x, view)[0]
        if self.how == "beside":
            y, seen = fn.scan(lambda x, vs: (self.block(vs[0], x), vs[1]["s"]), x, (view, {"s": fn.arange(self.size)}))
            assert seen.shape == (self.size,)
            return y
        if self.how == "backwards":
            return fn.scan(lambda x, view: (self.block(view, x), None), x, view, reverse=True)[0]
        if self.how == "loop":
            for i in range(self.size):
                x = self.block(tree.map(lambda p, i=i: p[i], view), x)
            return x
        raise AssertionError(self.how)


BLOCK = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3))


def momentum(running, batch, times):
    for _ in range(times):
        running = 0.9 * running + 0.1 * batch
    return running


@pytest.mark.parametrize("outside", ["eager", "grad", "compile", "checkpoint"])
@pytest.mark.parametrize("how", ["alone", "beside", "backwards"])
def test_updates_of_a_scan_over_stacked_layers_come_out_stacked(how, outside):
    model = Stack(BLOCK, 4, how)
    params = model.init(random.key(0))
    x = random.normal(random.key(1), (16, 3))

    def run(params, x):
        return model.apply(params, x, training=True)

    if outside == "grad":
        (_, (y, updates)), _ = fn.value_and_grad(
            lambda p, x: (lambda y, u: (fn.sum(y), (y, u)))(*run(p, x)), has_aux=True
        )(params, x)
    else:
        y, updates = {"eager": run, "compile": fn.compile(run), "checkpoint": fn.checkpoint(run)}[outside](params, x)
    expected, statistics = x, {}
    for i in range(4) if how != "backwards" else reversed(range(4)):
        expected, statistics[i] = BLOCK.apply(tree.map(lambda p, i=i: p[i], params["block"]), expected, training=True)
    assert tree.allclose(y, expected, rtol=1e-4, atol=1e-5)
    for name in ("running_mean", "running_var"):
        got = updates["block"]["layers"][1][name]
        wanted = np.stack([np.asarray(statistics[i]["layers"][1][name]) for i in range(4)])
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-4, atol=1e-5)
    assert tree.structure(tree.merge(params, updates)) == tree.structure(params)


def test_every_step_of_a_scan_drops_other_elements():
    model = Stack(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), 5)
    params = tree.map(fn.zeros_like, model.init(random.key(0)))
    params = tree.set(params, "block.layers.0.bias", fn.ones((5, 2)))

    class Masks(nn.Layer):
        drop: nn.Layer

        def __call__(self, params, x):
            return fn.scan(lambda c, vs: (c, self.drop(vs[0], vs[1])), fn.array(0.0), (params["drop"], x))[1]

    key = random.key(3)
    x = fn.ones((5, 64))
    masks, _ = Masks(nn.Dropout(0.5)).apply({"drop": {}}, x, training=True, key=key)
    assert len({tuple(row) for row in masks.tolist()}) == 5
    again, _ = Masks(nn.Dropout(0.5)).apply({"drop": {}}, x, training=True, key=key)
    assert masks.tolist() == again.tolist()
    assert 0.4 < (np.asarray(masks) == 0).mean() < 0.6
    assert model.apply(params, fn.ones((3, 2)), training=True, key=key)[0].shape == (3, 2)


def test_updates_of_part_of_an_array_are_refused():
    model = Stack(BLOCK, 3, "loop")
    with pytest.raises(ValueError, match=r"has shape \(3,\), the parameter \(3, 3\).*fn.vmap or fn.scan"):
        model.apply(model.init(random.key(0)), fn.ones((4, 3)), training=True)


def test_updates_leave_neither_closures_nor_carries():
    class Closure(nn.Layer):
        part: nn.Layer
        how: str

        def __call__(self, params, x):
            part = self.part
            if self.how == "scan":
                return fn.scan(lambda x, _: (part(params["part"], x), None), x, None, length=2)[0]
            if self.how == "cond":
                return fn.cond(True, lambda x: part(params["part"], x), lambda x: x, x)
            if self.how == "compile":
                return fn.compile(part)(params["part"], x)
            carry = (0, x, params["part"])
            return fn.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, part(c[2], c[1]), c[2]), carry)[1]

    for how in ("scan", "cond", "while_loop", "compile"):
        model = Closure(nn.BatchNorm(3), how)
        with pytest.raises(
            ValueError, match=r"fn.cond\(.*stacked parameters, fn.scan.*No update leaves the carry.*compiled by itself"
        ):
            model.apply(model.init(random.key(0)), fn.ones((4, 3)), training=True)
        assert model.apply(model.init(random.key(0)), fn.ones((4, 3)))[0].shape == (4, 3)


@pytest.mark.parametrize("run", [lambda f: f, fn.compile], ids=["eager", "compiled"])
def test_the_chosen_branch_decides_about_updates(run):
    class Choice(nn.Layer):
        first: nn.Layer
        second: nn.Layer

        def __call__(self, params, x):
            both = (lambda p, x: self.first(p["first"], x), lambda p, x: self.second(p["second"], x), lambda _, x: x)
            x = fn.cond(x.sum() > 0, both[0], both[1], params, x)
            return fn.switch(fn.where(x[0, 0] > -100, 2, 0), both, params, x) + fn.cond(
                True, both[1], both[2], params, x
            )

    model = Choice(nn.BatchNorm(2, affine=False), nn.Sequential(nn.BatchNorm(2, affine=False), nn.Dropout(0.5)))
    params = model.init(random.key(0))
    step = run(lambda x: model.apply(params, x, training=True, key=random.key(1))[1])
    x = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    for sign in (1, -1):
        updates = step(fn.array(sign * x))
        means = sign * x.mean(0)
        first = momentum(np.zeros(2), means, 1) if sign > 0 else np.zeros(2)
        np.testing.assert_allclose(updates["first"]["running_mean"], first, rtol=1e-5)
        # Normalised by the first, its mean is zero; else it comes from x, and from what dropout left of that.
        second = np.asarray(updates["second"]["layers"][0]["running_mean"])
        if sign > 0:
            np.testing.assert_allclose(second, 0, atol=1e-6)
        else:
            assert np.all(np.abs(second - 0.9 * momentum(np.zeros(2), means, 1)) <= 0.1 * 2 + 1e-6)


@pytest.mark.parametrize("how", ["plain", "checkpoint"])
def test_a_layer_called_again_continues_from_its_own_update(how):
    """As the layers of PyTorch, MLX and Flax do."""
    model = Again(nn.BatchNorm(1, affine=False), how, times=3)
    x = fn.array([[1.0], [3.0]])

    def run(params):
        return model.apply(params, x, training=True)[1]

    updates = run(model.init(random.key(0)))
    means = [2.0, 0.0, 0.0]  # of the input, then of what has been normalised
    expected = 0.0
    for mean in means:
        expected = momentum(expected, mean, 1)
    assert updates["part"]["running_mean"].item() == pytest.approx(expected, abs=1e-6)
    assert fn.compile(run)(model.init(random.key(0)))["part"]["running_mean"].item() == pytest.approx(
        expected, abs=1e-6
    )


TIES = {"b.running_mean": "a.running_mean", "b.running_var": "a.running_var"}


@pytest.mark.parametrize("compiled", [False, True])
def test_updates_follow_ties(compiled):
    norm = nn.BatchNorm(1, affine=False)
    model = nn.tie(Two(norm, norm), TIES)
    params = model.init(random.key(0))
    assert tree.paths(params) == ["a.running_mean", "a.running_var"]
    run = (
        fn.compile(lambda p, x: model.apply(p, x, training=True))
        if compiled
        else lambda p, x: model.apply(p, x, training=True)
    )
    x = fn.array([[1.0], [3.0]])
    _, updates = run(params, x)
    assert tree.paths(updates) == ["a.running_mean", "a.running_var"]
    assert updates["a"]["running_mean"].item() == pytest.approx(0.9 * (0.1 * 2.0))
    assert updates["a"]["running_var"].item() == pytest.approx(momentum(momentum(1.0, 2.0, 1), 2.0, 1), rel=1e-4)
    assert tree.structure(tree.merge(params, updates)) == tree.structure(params)


class Checkpointed(nn.Layer):
    part: nn.Layer
    how: str

    def __call__(self, params, x):
        if self.how == "checkpoint":
            return fn.checkpoint(self.part)(params["part"], x)
        if self.how == "grad":
            return fn.value_and_grad(lambda p, x: fn.sum(self.part(p, x)))(params["part"], x)[0]
        return self.part(params["part"], x)


@pytest.mark.parametrize("how", ["plain", "checkpoint", "grad"])
def test_ties_inside_and_outside_of_transformations(how):
    norm = nn.BatchNorm(1, affine=False)
    x = fn.array([[1.0], [3.0]])
    # Both places below the transformation; and the source beside it.
    inside = nn.tie(
        Checkpointed(Two(norm, norm), how),
        {f"part.{path}": f"part.{source}" for path, source in TIES.items()},
    )
    _, updates = inside.apply(inside.init(random.key(0)), x, training=True)
    assert updates["part"]["a"]["running_mean"].item() == pytest.approx(0.18)
    outside = nn.tie(
        Two(norm, Checkpointed(Two(norm, norm), how)),
        {f"b.part.{part}.{name}": f"a.{name}" for part in "ab" for name in ("running_mean", "running_var")},
    )
    params = outside.init(random.key(0))
    _, updates = outside.apply(params, x, training=True)
    assert tree.paths(updates) == ["a.running_mean", "a.running_var"] == tree.paths(params)
    assert updates["a"]["running_mean"].item() == pytest.approx(0.162, rel=1e-4)


@pytest.mark.parametrize("keys", [(1, 2), ("1", "2"), ("a.b", ""), (1.5, 2.5), ((1, 2), (3, 4)), (True, False)])
def test_ties_between_layers_under_any_keys(keys):
    class Parts(nn.Layer):
        parts: dict

        def __call__(self, params, x):
            for key, part in self.parts.items():
                x = part(params["parts"][key], x)
            return x

    first, second = (tree.join_path(["parts", key, "running_mean"]) for key in keys)
    model = nn.tie(Parts({key: nn.BatchNorm(2) for key in keys}), {first: second})
    params = model.init(random.key(0))
    assert first not in tree.paths(params)
    x = fn.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    _, updates = model.apply(params, x, training=True)
    after = tree.merge(params, updates)
    assert tree.structure(after) == tree.structure(params)
    # The first moves the mean to 0.1 times that of x, the second on to 0.9 times as much: its input has mean 0.
    np.testing.assert_allclose(np.asarray(tree.get(after, second)), [0.27, 0.36], rtol=1e-5)


def test_ties_of_ties():
    norm = nn.BatchNorm(1, affine=False)
    inner = nn.tie(Two(norm, norm), TIES)
    outer = nn.tie(Two(norm, inner), {f"b.a.{name}": f"a.{name}" for name in ("running_mean", "running_var")})
    params = outer.init(random.key(0))
    assert tree.paths(params) == ["a.running_mean", "a.running_var"]
    _, updates = outer.apply(params, fn.array([[1.0], [3.0]]), training=True)
    assert updates["a"]["running_mean"].item() == pytest.approx(0.162, rel=1e-4)


def test_ties_in_sequences_and_gradients():
    model = nn.tie(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2), nn.Linear(2, 2), nn.BatchNorm(2)),
        {
            "layers.2.weight": "layers.0.weight",
            "layers.3.running_mean": "layers.1.running_mean",
            "layers.3.running_var": "layers.1.running_var",
        },
    )
    params = model.init(random.key(0))
    trained, buffers = tree.partition(params, nn.trainable(model))
    assert tree.paths(buffers) == ["layers.1.running_mean", "layers.1.running_var"]
    x = random.normal(random.key(1), (8, 2))

    def loss(trained):
        y, updates = model.apply(tree.merge(trained, buffers), x, training=True)
        return fn.sum(y * y), updates

    (_, updates), grads = fn.value_and_grad(loss, has_aux=True)(trained)
    assert tree.paths(updates) == tree.paths(buffers)
    assert tree.paths(grads) == tree.paths(trained)


class Nest(nn.Layer):
    """Layers under names with dots."""

    layers: dict

    def __call__(self, params, x):
        def run(layers, view):
            if isinstance(layers, nn.Layer):
                return [layers(view, x)]
            return [y for name, layer in layers.items() for y in run(layer, view[name])]

        return run(self.layers, params["layers"])


class Draw(nn.Layer):
    def __call__(self, params, x):
        return params.path, random.uniform(params.next_key(), (4,)).tolist()


def test_names_with_dots_and_empty_names_are_told_apart():
    model = Nest({"a.b": Draw(), "a": {"b": Draw(), "": Draw()}, "": Draw(), "a\\": {"b": Draw()}})
    outputs, _ = model.apply(model.init(random.key(0)), None, key=random.key(1))
    paths = [path for path, _ in outputs]
    assert sorted(paths) == sorted([r"layers.a\.b", "layers.a.b", r"layers.a.\e", r"layers.\e", r"layers.a\\.b"])
    assert len({tuple(draw) for _, draw in outputs}) == len(outputs)


def test_buffers_with_dots_are_no_others():
    model = Nest({"a.b": nn.BatchNorm(1), "a": {"b": nn.BatchNorm(1)}})
    params = model.init(random.key(0))
    _, buffers = tree.partition(params, nn.trainable(model))
    names = ["running_mean", "running_var"]
    assert tree.paths(buffers) == [f"layers.{key}.{name}" for key in ("a.b", r"a\.b") for name in names]
    # A parameter beside a buffer of a similar path is trained.
    assert nn.trainable(model)(r"layers.a\\.b.running_mean", None)


def test_ties_with_dots():
    model = nn.tie(
        Nest({"a.b": nn.Linear(2, 2), "a": {"b": nn.Linear(2, 2)}}), {"layers.a.b.weight": r"layers.a\.b.weight"}
    )
    params = model.init(random.key(0))
    assert tree.paths(params) == ["layers.a.b.bias", r"layers.a\.b.bias", r"layers.a\.b.weight"]
    y = model(params, fn.ones(2))
    expected = params["layers"]["a.b"]["weight"].sum(axis=1)
    assert tree.allclose(y[0] - params["layers"]["a.b"]["bias"], expected, rtol=1e-5)
    assert tree.allclose(y[1] - params["layers"]["a"]["b"]["bias"], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="stands in a tuple"):
        nn.tie(Tuples(), {"pair.0": "pair.1"}).init(random.key(0))
    with pytest.raises(ValueError, match="dict of other keys"):
        nn.tie(Numbered(), {"1": "2"}).init(random.key(0))
    with pytest.raises(ValueError, match="empty key"):
        nn.tie(nn.Linear(2, 2), {"weight.": "bias"}).init(random.key(0))


class Tuples(nn.Layer):
    def init(self, key):
        return {"pair": (fn.ones(1), fn.ones(1))}

    def __call__(self, params, x):
        return x


class Numbered(nn.Layer):
    def init(self, key):
        return {1: fn.ones(1), 2: fn.ones(1)}

    def __call__(self, params, x):
        return x


Pair = collections.namedtuple("Pair", ["x", "y"])


def test_views_of_named_tuples_and_of_leaves():
    class Special(dict):
        pass

    class Look(nn.Layer):
        def __call__(self, params, x):
            params["pair"][0].update("n", fn.array(5.0))
            return params["pair"][1].path, params["special"]

    special = Special(a=1)
    params = {"pair": Pair({"n": fn.array(0.0)}, {}), "special": special}
    (path, got), updates = Look().apply(params, None)
    assert path == "pair.y" and got is special
    merged = tree.merge(params, updates)
    assert merged["pair"].x["n"].item() == 5.0 and type(merged["pair"]) is Pair


def test_reading_after_an_update():
    class Read(nn.Layer):
        def __call__(self, params, x):
            params.update("n", params["n"] + 1.0)
            seen = [params["n"], params.params["n"], tree.leaves(params)[0], fn.checkpoint(lambda p: p["n"])(params)]
            halved = tree.map(lambda n: n / 2, params)
            return [*seen, halved["n"]]

    seen, updates = Read().apply({"n": fn.array(1.0)}, None)
    assert [x.item() for x in seen] == [2.0] * 4 + [1.0]
    assert updates["n"].item() == 2.0
