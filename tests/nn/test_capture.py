"""Intermediate activations: against the values of the parts called one by one, under every transformation."""

import pickle

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

KEY = random.key(3)
X = random.normal(random.key(1), (8, 3))


class Around(nn.Layer):
    """Calls its part under a transformation."""

    body: nn.Layer
    how: str = "plain"

    def __call__(self, params, x):
        view, body = params["body"], self.body
        if self.how == "plain":
            return body(view, x)
        if self.how == "checkpoint":
            return fn.checkpoint(body)(view, x)
        if self.how == "twice checkpoint":
            return fn.checkpoint(lambda p, x: fn.checkpoint(body)(p, x))(view, x)
        if self.how == "vjp":
            return fn.vjp(body, view, x)[0]
        if self.how == "grad":
            return x + fn.grad(lambda x, p: fn.sum(fn.square(body(p, x))))(x, view)
        if self.how == "rows":
            return fn.vmap(body, in_axes=(None, 0))(view, x)
        if self.how == "closure":
            return fn.vmap(lambda x: body(view, x))(x)
        if self.how == "mixed":
            return fn.vmap(lambda x: fn.checkpoint(body)(view, x))(x)
        if self.how == "scan":
            return fn.scan(lambda x, p: (body(p, x), None), x, view)[0]
        if self.how == "cond":
            return fn.cond(x[0, 0] > 0, body, lambda p, x: body(p, 2 * x), view, x)
        if self.how == "one branch":
            return fn.cond(x[0, 0] > 0, body, lambda p, x: x, view, x)
        raise AssertionError(self.how)


BODY = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 3)))
OUTSIDE = {
    "eager": lambda f: f,
    "compile": fn.compile,
    "checkpoint": fn.checkpoint,
    "grad": lambda f: lambda *args: fn.value_and_grad(lambda *a: (fn.sum(f(*a)[0]), f(*a)), has_aux=True)(*args)[0][1],
}


def close(a, b):
    return tree.allclose(a, b, rtol=1e-4, atol=1e-5)


def parts(params, x):
    first = nn.Linear(3, 3)(params["layers"][0], x)
    return first, fn.tanh(first), nn.Linear(3, 3)(params["layers"][2]["layers"][0], fn.tanh(first))


@pytest.mark.parametrize("outside", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("how", ["plain", "checkpoint", "twice checkpoint", "vjp", "rows", "cond", "grad"])
def test_activations_are_what_the_parts_return(how, outside):
    model = Around(BODY, how)
    params = model.init(KEY)
    wanted = parts(params["body"], X if how != "cond" else X * fn.where(X[0, 0] > 0, 1.0, 2.0))
    y, found = outside(lambda p, x: nn.capture(model, p, x, ["body.layers.*", "**.layers.2.**"]))(params, X)
    assert set(found) == {f"body.layers.{i}" for i in ("0", "1", "2", "2.layers.0")}
    for i in range(3):
        assert close(found[f"body.layers.{i}"], wanted[i])
    assert close(found["body.layers.2.layers.0"], wanted[2])
    assert close(y, model(params, X))


@pytest.mark.parametrize("outside", OUTSIDE.values(), ids=OUTSIDE)
def test_repeated_layers_give_theirs_stacked(outside):
    block = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    row = nn.Sequential(*[block] * 4)
    separate = row.init(KEY)
    _, wanted = nn.capture(row, separate, X, "layers.*")
    stacked = tree.stack(separate["layers"])
    for model in (nn.scan_layers(block, 4), nn.scan_layers(nn.checkpoint(block), 4)):
        y, found = outside(lambda p, x, model=model: nn.capture(model, p, x, ["", "layers.0"]))(stacked, X)
        assert close(found[""], fn.stack(list(wanted.values())))
        assert close(found[""][-1], y) and found["layers.0"].shape == (4, 8, 3)
    _, found = outside(lambda p, x: nn.capture(Around(block, "scan"), p, x, "body"))({"body": stacked}, X)
    assert close(found["body"], fn.stack(list(wanted.values())))
    ensemble = nn.vmap(nn.scan_layers(block, 4), 2, out_axes=1)
    both = tree.stack([stacked, stacked])
    _, found = outside(lambda p, x: nn.capture(ensemble, p, x, ["", "layers.0"]))(both, X)
    assert found[""].shape == (2, 4, 8, 3)
    for member in found[""]:
        assert close(member, fn.stack(list(wanted.values())))


def test_a_layer_called_several_times_gives_several_values():
    class Twice(nn.Layer):
        part: nn.Layer
        kept: bool

        def __call__(self, params, x):
            part = fn.checkpoint(self.part) if self.kept else self.part
            return part(params["part"], part(params["part"], x)), part(params["part"], 2 * x)

    part = nn.Linear(3, 3)
    params = Twice(part, False).init(KEY)
    first = part(params["part"], X)
    for kept in (False, True):
        _, found = nn.capture(Twice(part, kept), params, X, "part")
        assert isinstance(found["part"], tuple) and len(found["part"]) == 3
        assert close(found["part"], (first, part(params["part"], first), part(params["part"], 2 * X)))
    stacked = tree.map(lambda p: p[None], params)
    _, found = nn.capture(nn.vmap(Twice(part, True), 1), stacked, X, "part")
    assert [x.shape for x in found["part"]] == [(1, 8, 3)] * 3


def test_one_layer_around_another_at_a_place_counts_once():
    class Scaled(nn.Linear):
        def __call__(self, params, x):
            return 2 * super().__call__(params, x)

    scaled = nn.Sequential(nn.checkpoint(nn.tie(Scaled(3, 3), {})))
    params = scaled.init(KEY)
    y, found = nn.capture(scaled, params, X, "layers.0")
    assert close(found["layers.0"], y)
    half = nn.Sequential(nn.mixed_precision(nn.Linear(3, 3), output_dtype="float32"))
    _, found = nn.capture(half, params, X, "layers.0")
    assert found["layers.0"].dtype == fn.float32


def test_training_updates_draws_and_gradients_stay_as_they_are():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.checkpoint(nn.Dropout(0.5)))
    params = model.init(KEY)

    def loss(params, captured):
        if not captured:
            y, updates = model.apply(params, X, training=True, key=KEY)
            hidden = None
        else:
            (y, updates), hidden = nn.capture(model.apply, params, X, "layers.*", training=True, key=KEY)
        return fn.sum(y), (y, updates, hidden)

    with_, without = (fn.value_and_grad(loss, has_aux=True)(params, captured) for captured in (True, False))
    assert close((with_[0][1][:2], with_[1]), (without[0][1][:2], without[1]))
    assert close(with_[0][1][2]["layers.2"], with_[0][1][0])
    # Activations can be differentiated themselves.
    grads = fn.grad(lambda p: fn.sum(nn.capture(model, p, X, "layers.0")[1]["layers.0"]))(params)
    assert close(grads["layers"][0]["bias"], fn.full((3,), 8.0)) and not grads["layers"][1]["weight"].any().item()


def test_nothing_is_computed_twice():
    calls = []

    class Counted(nn.Layer):
        def __call__(self, params, x):
            fn.debug.callback(lambda: calls.append(1))
            return fn.sin(x)

    model = nn.Sequential(nn.checkpoint(Counted()), Counted())
    y, found = fn.compile(lambda x: nn.capture(model, {"layers": ({}, {})}, x, "layers.*"))(X)
    fn.eval(y, found)
    assert len(calls) == 2


def test_outputs_of_any_structure_and_arguments_of_any_kind():
    class Several(nn.Layer):
        def __call__(self, params, x, y, *, scale):
            return {"a": x * scale, "b": (y, None, "text"), "c": 3}

    model = nn.Sequential()
    assert nn.capture(model, model.init(KEY), X, "")[1][""] is X
    for layer in (Several(), nn.checkpoint(Several())):
        y, found = nn.capture(Around2(layer), {"body": {}}, X, "body", 2 * X, scale=3.0)
        assert tree.structure(found["body"]) == tree.structure(y)
        assert (
            found["body"]["b"][2] == "text" and close(found["body"]["a"], 3 * X) and close(found["body"]["b"][0], 2 * X)
        )


class Around2(nn.Layer):
    body: nn.Layer

    def __call__(self, params, *args, **kwargs):
        return self.body(params["body"], *args, **kwargs)


def test_within_a_layer_and_within_each_other():
    class Probe(nn.Layer):
        body: nn.Layer

        def __call__(self, params, x):
            y, found = nn.capture(self.body, params["body"], x, "body.layers.0")
            return y + found["body.layers.0"]

    model = Probe(BODY)
    params = model.init(KEY)
    first, _, last = parts(params["body"], X)
    y, found = nn.capture(model, params, X, ["body.layers.1", "body"])
    assert close(y, first + last)
    assert close(found["body"], last)


def test_what_cannot_leave_is_refused():
    for how, text in (
        ("closure", r"the output of the layer at 'body' belongs to a transformed function"),
        ("mixed", r"the output of the layer at 'body' belongs to a transformed function"),
        (
            "one branch",
            r"cond: the output of the layer at the view itself is wanted, but only one branch has such an output",
        ),
    ):
        model = Around(nn.Linear(3, 3), how)
        with pytest.raises(ValueError, match=text):
            nn.capture(model, model.init(KEY), X, "body")
        assert nn.capture(model, model.init(KEY), X, "")[0].shape == (8, 3)


def test_mistakes_are_named():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    params = model.init(KEY)
    with pytest.raises(
        ValueError, match=r"capture: 'layers\.7' is the path of no layer that is called; there are '', 'layers\.0'"
    ):
        nn.capture(model, params, X, ["layers.0", "layers.7"])
    with pytest.raises(TypeError, match="capture: paths must be a glob over paths or a list of globs, got 3"):
        nn.capture(model, params, X, 3)
    with pytest.raises(TypeError, match="capture: expected a layer or a function"):
        nn.capture(params, model, X, "")
    with pytest.raises(ValueError, match=r"in layers\.0 \(Linear\): expected"):
        nn.capture(model, params, fn.ones(4), "layers.0")
    # A failed call leaves nothing behind.
    assert list(nn.capture(model, params, X, "layers.0")[1]) == ["layers.0"]
    assert pickle.loads(pickle.dumps(model)) == model
    assert np.isfinite(np.asarray(model(params, X))).all()
