"""Adapters against the papers' formulas, and merging, tying, stacking, freezing and casting with them."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

KEY = random.key(5)
X = random.normal(random.key(1), (6, 4))
MODEL = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.Tanh(), nn.Sequential(nn.Linear(5, 3, bias=False)))
ADAPT = {"lora": nn.lora, "dora": nn.dora}
both = pytest.mark.parametrize("adapt", ADAPT.values(), ids=ADAPT)


def close(a, b, tolerance=1e-5):
    return tree.allclose(a, b, rtol=tolerance, atol=tolerance)


def moved(params, where="**", size=0.3):
    """Parameters some way into training."""
    chosen, rest = tree.partition(params, where)
    keys = iter(random.split(KEY, len(tree.leaves(chosen)) + 1))
    return tree.merge(tree.map(lambda p: p + size * random.normal(next(keys), p.shape), chosen), rest)


@both
def test_an_adapted_model_is_the_model_until_it_is_trained(adapt):
    params = MODEL.init(KEY)
    adapted, wider = adapt(MODEL, params, "**", 2)
    assert close(adapted(wider, X), MODEL(params, X), 1e-6)
    assert tree.structure(adapted.init(KEY)) == tree.structure(wider)
    # The weights are the same arrays under the same paths: files of the model serve.
    before = dict(zip(tree.paths(params), tree.leaves(params), strict=True))
    after = dict(zip(tree.paths(wider), tree.leaves(wider), strict=True))
    assert all(after[path] is leaf for path, leaf in before.items())
    assert tree.equal(tree.filter(adapted.init(KEY), "**.weight"), tree.filter(params | wider, "**.weight"))
    again = adapt(MODEL, params, "**", 2)
    assert again[0] == adapted and tree.equal(again[1], wider)
    other = adapt(MODEL, params, "**", 2, key=random.key(9))[1]
    assert not tree.equal(other, wider)


@both
def test_merging_is_exact_up_to_rounding(adapt):
    params = MODEL.init(KEY)
    adapted, wider = adapt(MODEL, params, "**", 2, scale=0.5)
    trained = moved(wider, nn.trainable(adapted))
    merged, weights = nn.merge_lora(adapted, trained)
    assert merged == MODEL and tree.structure(weights) == tree.structure(params)
    assert close(merged(weights, X), adapted(trained, X))
    assert not close(merged(weights, X), MODEL(params, X), 1e-2)
    # Against the formulas in float64.
    node = tree.map(lambda p: np.asarray(p, np.float64), trained)["layers"][0]
    w = node["weight"] + 0.5 * (node["lora_a"] @ node["lora_b"]).T
    if adapt is nn.dora:
        w = w / np.linalg.norm(w, axis=1, keepdims=True) * node["m"][:, None]
    np.testing.assert_allclose(weights["layers"][0]["weight"], w, rtol=1e-5, atol=1e-6)
    assert weights["layers"][1]["weight"] is params["layers"][1]["weight"]


@both
def test_only_adapters_are_trained(adapt):
    adapted, params = adapt(MODEL, MODEL.init(KEY), "**", 2)
    where = nn.trainable(adapted)
    names = ["lora_a", "lora_b"] + ["m"] * (adapt is nn.dora)
    wanted = [f"layers.{i}.{name}" for i in ("0", "3.layers.0") for name in names]
    params = moved(params, where)

    def loss(p):
        y, updates = adapted.apply(p, X, training=True)
        return fn.sum(fn.square(y)), updates

    (_, updates), grads = fn.value_and_grad(loss, has_aux=True, where=where)(params)
    assert tree.paths(grads) == wanted
    assert all(g.any().item() for g in tree.leaves(grads))
    assert tree.paths(updates) == ["layers.1.running_mean", "layers.1.running_var"]
    if adapt is nn.lora:
        assert tree.paths(tree.filter(params, "**.lora_*")) == wanted
    assert nn.count(params, where) == nn.count(adapted, where) == 2 * (4 + 5 + 5 + 3) + (5 + 3) * (adapt is nn.dora)


def test_gradients_of_dora_hold_the_norms_constant():
    layer = nn.DoRALinear(nn.Linear(4, 5), 2, 0.5)
    params = moved(layer.init(KEY))
    w = params["weight"] + 0.5 * (params["lora_a"] @ params["lora_b"]).T
    norms = np.sqrt(np.square(np.asarray(w)).sum(1))

    def formula(p):
        w = p["weight"] + 0.5 * (p["lora_a"] @ p["lora_b"]).T
        return fn.sum(fn.sin(X @ (w * (p["m"] / fn.array(norms))[:, None]).T + p["bias"]))

    ours, wanted = fn.grad(lambda p: fn.sum(fn.sin(layer(p, X))))(params), fn.grad(formula)(params)
    assert close(ours, wanted)


@pytest.mark.parametrize("dtype", [fn.float32, fn.float16, fn.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-4, 1e4, 1e30])
def test_rows_of_any_length(size, dtype):
    """A row of zeros has no direction, and squares of tiny and huge rows are no numbers."""
    layer = nn.DoRALinear(nn.Linear(4, 5), 2)
    base = nn.Linear(4, 5).init(KEY)
    weight = fn.concatenate([fn.array(size) * base["weight"][:1], base["weight"][1:]]).astype(dtype)
    if not fn.isfinite(weight).all().item():
        return
    model, params = nn.dora(nn.Linear(4, 5), frozen(base, weight, dtype), "", 2)
    y = model(params, X.astype(dtype))
    assert y.dtype == dtype and close(
        y, nn.Linear(4, 5)(frozen(base, weight, dtype), X.astype(dtype)), 1e-5 if dtype == fn.float32 else 0.05
    )
    grads = fn.grad(lambda p: fn.sum(model(p, X.astype(dtype)).astype(fn.float32)))(params)
    assert all(fn.isfinite(g).all().item() for g in tree.leaves(grads))
    assert fn.isfinite(nn.merge_lora(model, params)[1]["weight"]).all().item()
    table, rows = nn.dora(nn.Embedding(5, 4), {"weight": weight}, "", 2)
    assert close(table(rows, fn.arange(5)), weight, 0.05)
    assert layer == nn.DoRALinear(nn.Linear(4, 5), 2)


def frozen(base, weight, dtype):
    return fn.frozendict(weight=weight, bias=base["bias"].astype(dtype))


@both
@pytest.mark.parametrize("wrap", [nn.checkpoint, lambda b: nn.scan_layers(b, 3), lambda b: nn.vmap(b, 3)])
def test_layers_within_wrappers(adapt, wrap):
    model = nn.Sequential(wrap(nn.Sequential(nn.Linear(4, 4), nn.Tanh())), nn.Linear(4, 2))
    params = model.init(KEY)
    adapted, wider = adapt(model, params, "**.layers.0", 2)
    assert close(adapted(wider, X), model(params, X), 1e-6)
    lead = tree.get(params, "layers.0.layers.0.bias").shape[:-1]
    a = tree.get(wider, "layers.0.layers.0.lora_a")
    assert a.shape == (*lead, 4, 2) and len(np.unique(np.asarray(a))) == a.size
    trained = moved(wider, nn.trainable(adapted), 0.1)
    merged, weights = nn.merge_lora(adapted, trained)
    assert merged == model and close(merged(weights, X), adapted(trained, X), 1e-4)
    first = fn.compile(lambda p: adapted.apply(p, X, training=True)[0])(trained)
    assert close(first, adapted(trained, X))


@both
def test_tied_weights(adapt):
    class Language(nn.Layer):
        embed: nn.Layer = nn.Embedding(7, 4)
        head: nn.Layer = nn.Linear(4, 7)

        def __call__(self, params, x):
            return self.head(params["head"], self.embed(params["embed"], x))

    model = nn.tie(Language(), {"head.weight": "embed.weight"})
    params = model.init(KEY)
    x = fn.array([[1, 2, 6]])
    adapted, wider = adapt(model, params, "head", 2)
    assert "weight" not in wider["head"] and close(adapted(wider, x), model(params, x), 1e-6)
    with pytest.raises(ValueError, match=r"merge_lora: 'head\.weight' is tied.*model.untie"):
        nn.merge_lora(adapted, wider)
    with pytest.raises(ValueError, match=r"merge_lora: 'embed\.weight' is tied"):
        nn.merge_lora(*adapt(model, params, "embed", 2))
    trained = moved(wider, nn.trainable(adapted))
    merged, weights = nn.merge_lora(adapted.layer, adapted.untie(trained))
    assert merged == Language() and close(merged(weights, x), adapted(trained, x))


def test_embeddings_as_heads():
    table = nn.Embedding(7, 4)
    for adapt in ADAPT.values():
        adapted, params = adapt(table, table.init(KEY), "", 2, scale=0.5)
        trained = moved(params, nn.trainable(adapted))
        _, weights = nn.merge_lora(adapted, trained)
        assert close(adapted.as_linear(trained, X), table.as_linear(weights, X))
        assert close(adapted(trained, fn.arange(7)), weights["weight"])


@both
def test_dropout_acts_on_the_adapter_in_training_only(adapt):
    model = nn.Linear(4, 5)
    adapted, params = adapt(model, model.init(KEY), "", 2, dropout=0.5)
    y, _ = adapted.apply(params, X, training=True, key=KEY)
    assert close(y, model(params, X), 1e-6)  # lora_b is zero
    trained = moved(params, "lora_b")
    y, other = (adapted.apply(trained, X, training=True, key=random.key(i))[0] for i in (0, 1))
    assert not close(y, other) and not close(y, adapted(trained, X))
    with pytest.raises(ValueError, match="random numbers are needed here"):
        adapted.apply(trained, X, training=True)


@both
@pytest.mark.parametrize("mode", ["affine", "mxfp8"])
def test_quantized_weights(adapt, mode):
    model = nn.Sequential(nn.Embedding(7, 64), nn.scan_layers(nn.Linear(64, 64), 2), nn.Linear(64, 3))
    params, x = model.init(KEY), fn.array([[1, 2, 6]])
    small, packed = nn.quantize(model, params, bits=8, mode=mode)
    adapted, wider = adapt(small, packed, "**", 2, scale=0.5)
    assert close(adapted(wider, x), small(packed, x), 1e-3)
    assert not [path for path in tree.paths(tree.filter(wider, nn.trainable(adapted))) if "scales" in path]
    trained = moved(wider, nn.trainable(adapted), 0.1)
    merged, weights = nn.merge_lora(adapted, trained)
    assert merged == model and tree.structure(weights) == tree.structure(params)
    assert {leaf.dtype for leaf in tree.leaves(weights)} == {fn.float32}
    # Nothing of what was learned is lost in rounding.
    assert close(merged(weights, x), adapted(trained, x), 1e-3)
    # The other order packs the frozen weights of an adapted model.
    later, mixed = nn.quantize(*adapt(model, params, "**", 2, scale=0.5), bits=8, mode=mode)
    assert later == adapted and tree.structure(mixed) == tree.structure(wider)
    assert nn.quantize(later, mixed)[0] == later


def test_mixed_precision_and_capture():
    model = nn.mixed_precision(nn.Sequential(nn.Linear(4, 5), nn.Tanh()))
    adapted, params = nn.lora(model, model.init(KEY), "**", 2)
    trained = moved(params, "**.lora_b")
    y, hidden = nn.capture(adapted, trained, X, "layers.0")
    assert y.dtype == fn.float32 and close(fn.tanh(hidden["layers.0"].astype(fn.float32)), y, 1e-2)
    assert close(y, nn.merge_lora(adapted, trained)[0](nn.merge_lora(adapted, trained)[1], X), 3e-2)


def test_mistakes_are_named():
    params = MODEL.init(KEY)
    with pytest.raises(
        ValueError, match=r"lora: `where` means no layer that can be adapted; there are 'layers\.0' \(Linear\)"
    ):
        nn.lora(MODEL, params, "layers.1", 2)
    adapted, wider = nn.lora(MODEL, params, "layers.0", 2)
    with pytest.raises(ValueError, match=r"dora: the layer at 'layers\.0' has an adapter already"):
        nn.dora(adapted, wider, lambda path, layer: isinstance(layer, nn.Linear), 2)
    with pytest.raises(ValueError, match="merge_lora: the model has no adapters"):
        nn.merge_lora(MODEL, params)
    with pytest.raises(TypeError, match="LoRALinear: layer must be a Linear.*, got ReLU"):
        nn.LoRALinear(nn.ReLU())
    with pytest.raises(ValueError, match="rank must be an integer of at least 1, got 0"):
        nn.lora(MODEL, params, "**", 0)
    with pytest.raises(ValueError, match=r"lora: the parameters have no weight at 'layers\.0'"):
        nn.lora(MODEL, {"layers": ({}, {}, {}, {})}, "**", 2)


# ---- count and cast


def test_count():
    model = nn.tie(
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm(4)), {"layers.1.weight": "layers.0.weight"}
    )
    params = model.init(KEY)
    assert nn.count(model) == nn.count(params) == 16 + 8 + 16
    assert nn.count(model, nn.trainable(model)) == 32 and nn.count(params, "**.bias") == 12
    shared = {"a": params, "b": params}
    assert nn.count(shared) == nn.count(params) and tree.count(shared) == 2 * nn.count(params)
    assert nn.count(nn.scan_layers(nn.Linear(4, 4), 5)) == 100
    assert nn.count(nn.Linear(10**6, 10**6)) == 10**12 + 10**6  # nothing is drawn
    assert nn.count(nn.Tanh()) == 0
    with pytest.raises(ValueError, match=r"count: '\*\*\.gain' matches no path; there are"):
        nn.count(model, "**.gain")


def test_cast():
    params = {"a": {"weight": fn.ones((2, 2)), "ids": fn.array([1, 2]), "z": fn.array([1j])}, "b": np.ones(3)}
    half = nn.cast(params, "float16")
    assert {path: x.dtype for path, x in zip(tree.paths(half), tree.leaves(half), strict=True)} == {
        "a.ids": fn.int32,
        "a.weight": fn.float16,
        "a.z": fn.complex64,
        "b": fn.float16,
    }
    some = nn.cast(params, fn.bfloat16, "a.**")
    assert some["a"]["weight"].dtype == fn.bfloat16 and some["b"] is params["b"]
    assert nn.cast(params, fn.bfloat16, lambda path, x: x.ndim == 1)["a"]["weight"] is params["a"]["weight"]
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm(2))
    trained = nn.cast(model.init(KEY), fn.float16, nn.trainable(model))
    assert trained["layers"][1]["running_var"].dtype == fn.float32 and trained["layers"][1]["bias"].dtype == fn.float16
    shapes = fn.eval_shape(lambda: nn.cast(model.init(KEY), fn.float16))
    assert nn.cast(shapes, fn.float64)["layers"][0]["bias"] == fn.ShapeDtypeStruct((2,), fn.float64)
    with pytest.raises(TypeError, match="cast: expected a floating-point dtype, got int32"):
        nn.cast(params, fn.int32)
    with pytest.raises(TypeError, match="cast: expected a floating-point dtype, got 'wide'"):
        nn.cast(params, "wide")
    with pytest.raises(ValueError, match=r"cast: 'c\.\*' matches no path"):
        nn.cast(params, fn.float16, "c.*")
