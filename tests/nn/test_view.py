"""Views: paths, modes, keys and updates, inside and outside of transformations."""

import pytest

import funcnn as fn
from funcnn import nn, random, tree


class Record(nn.Layer):
    """Returns what it is told of its context."""

    def __call__(self, params, x):
        return params.path, params.training


class Named(nn.Layer):
    attn: nn.Layer
    others: dict

    def __call__(self, params, x):
        return [
            self.attn(params["attn"], x),
            *(layer(params["others"][name], x) for name, layer in self.others.items()),
            *(layer(view, x) for layer, view in zip(self.others.values(), params["others"].values(), strict=True)),
        ]


def test_paths_and_modes():
    model = Named(Record(), {"a": Record(), "b": nn.Sequential(Record())})
    params = model.init(random.key(0))
    outputs, updates = model.apply(params, None, training=True)
    expected = [("attn", True), ("others.a", True), ("others.b.layers.0", True)]
    assert outputs == [*expected, *expected[1:]]
    assert updates == {}
    assert model(params, None)[0] == ("attn", False)
    assert model.apply(params, None)[0][0] == ("attn", False)


def test_a_view_reads_like_what_it_shows():
    seen = {}

    class Look(nn.Layer):
        def __call__(self, params, x):
            seen["view"] = params

    values = {"a": fn.ones(1), "b": ({"c": fn.zeros(2)}, {})}
    Look().apply(values, None)
    view = seen["view"]
    assert isinstance(view, nn.View)
    assert set(view) == set(view.keys()) == {"a", "b"} and len(view) == 2
    assert "a" in view and "c" not in view and view.get("c") is None
    assert view["a"] is values["a"] and view.params is values
    assert [part.path for part in view["b"]] == ["b.0", "b.1"]
    assert view["b"][-2].path == "b.0"
    assert dict(view.items())["b"].path == "b"
    assert "View of the root" in repr(view) and "View of b" in repr(view["b"])
    assert tree.leaves(view) == tree.leaves(values)
    doubled = tree.map(lambda x: x * 2, view)
    assert isinstance(doubled, nn.View) and doubled["a"].item() == 2.0
    with pytest.raises(KeyError, match="no parameter 'x'; there are 'a', 'b'"):
        view["x"]
    with pytest.raises(KeyError, match="no parameter 5; there are 0, 1"):
        view["b"][5]


class Draw(nn.Layer):
    times: int = 1

    def __call__(self, params, x):
        return [random.uniform(params.next_key(), (4,)).tolist() for _ in range(self.times)]


def test_keys_differ_by_path_and_call_and_follow_from_the_key():
    model = Named(Draw(3), {"a": Draw(2), "b": Draw()})
    params = model.init(random.key(0))
    first, _ = model.apply(params, None, key=random.key(1))
    again, _ = model.apply(params, None, key=random.key(1))
    other, _ = model.apply(params, None, key=random.key(2))
    assert first == again
    draws = [tuple(draw) for output in (first, other) for part in output for draw in part]
    assert len(set(draws)) == len(draws)


def test_keys_of_one_path_do_not_depend_on_other_layers():
    def draws(**others):
        model = Named(Draw(), {"a": Draw(), **others})
        return model.apply(model.init(random.key(0)), None, key=random.key(3))[0][:2]

    assert draws() == draws(b=Draw(2), c=nn.Identity())


def test_a_missing_key_is_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    params = model.init(random.key(0))
    with pytest.raises(ValueError, match=r"in layers.1 \(Dropout\): random numbers are needed here: call apply"):
        model.apply(params, fn.ones((1, 2)), training=True)
    with pytest.raises(TypeError, match="expected a key"):
        model.apply(params, fn.ones((1, 2)), training=True, key=0)


class Count(nn.Layer):
    """Counts its calls in a buffer and adds the sum of its input to another."""

    buffers = ("calls", "total")

    def init(self, key):
        return {"calls": fn.array(0.0), "total": fn.array(0.0), "w": fn.array(2.0)}

    def __call__(self, params, x):
        params.update("calls", params["calls"] + 1.0)
        params.update("total", params["total"] + fn.sum(x))
        return x * params["w"]


class Block(nn.Layer):
    """Calls its part under a transformation of the view."""

    part: nn.Layer
    how: str

    def __call__(self, params, x):
        view, part = params["part"], self.part
        if self.how == "plain":
            return part(view, x)
        if self.how == "checkpoint":
            return fn.checkpoint(part)(view, x)
        if self.how == "keyword":
            return fn.checkpoint(lambda x, p: part(p, x))(x, p=view)
        if self.how == "vjp":
            return fn.vjp(part, view, x)[0]
        if self.how == "jvp":
            return fn.jvp(part, (view, x), (view.params, x))[0]
        if self.how == "linearize":
            return fn.linearize(part, view, x)[0]
        if self.how == "grad":
            _, grads = fn.value_and_grad(lambda p, x: fn.sum(part(p, x)))(view, x)
            return x * view["w"] + 0.0 * grads["w"]
        if self.how == "grad with aux":
            (_, aux), _ = fn.value_and_grad(lambda p, x: (fn.sum(part(p, x)), "aux"), has_aux=True)(view, x)
            assert aux == "aux"
            return x * view["w"]
        if self.how == "nested":
            return fn.checkpoint(lambda p, x: fn.checkpoint(part)(p, x))(view, x)
        if self.how == "map":
            return part(tree.map(lambda v: v * 1.0, view), x)
        raise AssertionError(self.how)


HOW = ["plain", "checkpoint", "keyword", "vjp", "jvp", "linearize", "grad", "grad with aux", "nested", "map"]


@pytest.mark.parametrize("outside", ["eager", "grad", "compile", "checkpoint"])
@pytest.mark.parametrize("how", HOW)
def test_updates_leave_transformations(how, outside):
    model = nn.Sequential(Block(Count(), how), Block(nn.Sequential(Count()), "checkpoint"))
    params = model.init(random.key(0))
    x = fn.array([1.0, 2.0])

    def loss(params, x):
        y, updates = model.apply(params, x, training=True)
        return fn.sum(y), updates

    if outside == "eager":
        value, updates = loss(params, x)
    elif outside == "grad":
        (value, updates), grads = fn.value_and_grad(loss, has_aux=True)(params, x)
        assert grads["layers"][0]["part"]["w"].item() == pytest.approx(6.0)
    elif outside == "compile":
        value, updates = fn.compile(loss)(params, x)
    else:
        value, updates = fn.checkpoint(loss)(params, x)
    assert value.item() == pytest.approx(12.0)
    merged = tree.merge(params, updates)
    assert merged["layers"][0]["part"]["calls"].item() == 1.0
    assert merged["layers"][0]["part"]["total"].item() == 3.0
    assert merged["layers"][1]["part"]["layers"][0]["total"].item() == 6.0
    assert merged["layers"][0]["part"]["w"] is params["layers"][0]["part"]["w"]


class Ensemble(nn.Layer):
    """The same layer with several parameters."""

    part: nn.Layer
    size: int

    def init(self, key):
        return {"part": fn.vmap(self.part.init)(random.split(key, self.size))}

    def __call__(self, params, x):
        return fn.vmap(self.part, in_axes=(0, None))(params["part"], x)


def test_vmap_over_parameters_maps_the_updates():
    model = Ensemble(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2)), 5)
    params = model.init(random.key(0))
    x = random.normal(random.key(1), (8, 3))
    y, updates = model.apply(params, x, training=True)
    assert y.shape == (5, 8, 2)
    assert updates["part"]["layers"][1]["running_mean"].shape == (5, 2)
    for i in range(5):
        alone, own = model.part.apply(tree.map(lambda p, i=i: p[i], params["part"]), x, training=True)
        assert tree.allclose(alone, y[i], rtol=1e-4, atol=1e-5)
        assert tree.allclose(own, tree.map(lambda p, i=i: p[i], updates["part"]), rtol=1e-4, atol=1e-5)


def test_vmap_over_samples_cannot_update_shared_statistics():
    class Mapped(nn.Layer):
        part: nn.Layer

        def __call__(self, params, x):
            return fn.vmap(self.part, in_axes=(None, 0))(params["part"], x)

    model = Mapped(nn.BatchNorm(2))
    params = model.init(random.key(0))
    with pytest.raises(ValueError, match="the update of 'running_mean' differs from one mapped call to the next"):
        model.apply(params, fn.ones((3, 4, 2)), training=True)
    assert model.apply(params, fn.ones((3, 4, 2)))[0].shape == (3, 4, 2)
    _, updates = Mapped(Constant()).apply(Mapped(Constant()).init(random.key(0)), fn.ones(3))
    assert updates["part"]["calls"].item() == 1.0


class Constant(nn.Layer):
    def init(self, key):
        return {"calls": fn.array(0.0)}

    def __call__(self, params, x):
        params.update("calls", params["calls"] + 1.0)
        return x


@pytest.mark.parametrize("transform", [fn.checkpoint, fn.vmap, fn.grad], ids=["checkpoint", "vmap", "grad"])
def test_updates_cannot_escape_a_closure(transform):
    class Closure(nn.Layer):
        part: nn.Layer

        def __call__(self, params, x):
            return transform(lambda x: fn.sum(self.part(params["part"], x)))(x)

    model = Closure(Count())
    params = model.init(random.key(0))
    x = fn.array([1.0, 2.0]) if transform is not fn.grad else fn.array(1.0)
    with pytest.raises(ValueError, match=r"in part \(Count\): an update of 'total' was computed inside"):
        # A checkpoint is a trace only where something is differentiated.
        fn.grad(lambda x: fn.sum(model.apply(params, x, training=True)[0]))(x)


def test_wrong_updates():
    class Wrong(nn.Layer):
        name: str
        shape: tuple
        dtype: str = "float32"

        def init(self, key):
            return {"a": fn.zeros(3)}

        def __call__(self, params, x):
            params.update(self.name, fn.zeros(self.shape, dtype=getattr(fn, self.dtype)))

    def call(*args, **kwargs):
        layer = Wrong(*args)
        return layer.apply(layer.init(random.key(0)), None, **kwargs)

    assert call("a", (3,))[1]["a"].shape == (3,)
    with pytest.raises(KeyError, match="no parameter 'b'"):
        call("b", (3,))
    with pytest.raises(ValueError, match=r"must keep its shape \(3,\), got \(2,\)"):
        call("a", (2,))
    with pytest.raises(ValueError, match="must keep its dtype float32, got int32"):
        call("a", (3,), "int32")
    with pytest.raises(ValueError, match="nowhere to go: call the model by apply"):
        Wrong("a", (3,))({"a": fn.zeros(3)}, None)


def test_random_draws_inside_transformations():
    class Twice(nn.Layer):
        part: nn.Layer
        how: str

        def __call__(self, params, x):
            f = fn.checkpoint(self.part) if self.how == "checkpoint" else self.part
            return f(params["part"], x), f(params["part"], x)

    key = random.key(5)
    x = fn.ones(64)
    plain, checkpointed = (
        Twice(nn.Dropout(0.5), how).apply({"part": {}}, x, training=True, key=key)[0] for how in ("", "checkpoint")
    )
    assert tree.allclose(plain, checkpointed)
    assert plain[0].tolist() != plain[1].tolist()

    def loss(x, how):
        return fn.sum(Twice(nn.Dropout(0.5), how).apply({"part": {}}, x, training=True, key=key)[0][1] * fn.arange(64))

    assert fn.grad(lambda x: loss(x, ""))(x).tolist() == fn.grad(lambda x: loss(x, "checkpoint"))(x).tolist()


def test_keys_of_ones_own():
    class PerSample(nn.Layer):
        drop: nn.Layer

        def __call__(self, params, x):
            keys = random.split(params.next_key(), x.shape[0])
            return fn.vmap(lambda x, key: self.drop(params["drop"].with_key(key), x))(x, keys)

    y, _ = PerSample(nn.Dropout(0.5)).apply({"drop": {}}, fn.ones((2, 64)), training=True, key=random.key(0))
    assert y[0].tolist() != y[1].tolist()


def test_errors_say_where():
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Sequential(nn.Linear(128, 2)))
    params = model.init(random.key(0))
    with pytest.raises(
        ValueError, match=r"^in layers\.0 \(Linear\): expected \(\.\.\., 784\), got \(128, 700\)$"
    ) as caught:
        model(params, fn.ones((128, 700)))
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(ValueError, match=r"^in layers\.2\.layers\.0 \(Linear\): expected"):
        model.apply(params, fn.ones((128, 784)))
    with pytest.raises(ValueError, match=r"^in Linear: expected"):
        nn.Linear(3, 2)(nn.Linear(3, 2).init(random.key(0)), fn.ones(4))

    class Odd(nn.Layer):
        error: object

        def __call__(self, params, x):
            raise self.error

    for error in (
        ZeroDivisionError("no"),
        KeyError("k"),
        OSError(2, "no file"),
        UnicodeDecodeError("utf8", b"", 0, 1, ""),
    ):
        with pytest.raises(type(error)):
            nn.Sequential(Odd(error))({"layers": ({},)}, None)
    with pytest.raises(ZeroDivisionError, match=r"in layers\.0 \(Odd\): no"):
        nn.Sequential(Odd(ZeroDivisionError("no")))({"layers": ({},)}, None)
