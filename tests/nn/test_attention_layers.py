"""MultiHeadAttention, caches and transformers beside what the table of layers tests."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree
from nn.specs.attention import attention
from nn.specs.rows import wide

NEVER = np.float64(-np.inf)


def draw(i, *shape):
    return random.normal(random.key(i), shape)


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def double(x):
    return np.asarray(x, np.float64)


@pytest.mark.parametrize("kind", ["none", "causal", "bool", "numbers", "one head", "nothing seen"])
def test_formula(kind):
    layer = nn.MultiHeadAttention(8, 2, 3, 5, 7, 4, 6)
    params = layer.init(random.key(0))
    q, k, v = draw(1, 2, 3, 3), draw(2, 2, 4, 5), draw(3, 2, 4, 7)
    shape = (2, 2, 3, 4)
    seen = np.random.default_rng(0).random(shape) < 0.6
    seen[..., 0] = True
    masks = {
        "none": (None, np.zeros(shape)),
        "causal": ("causal", np.where(np.tri(3, 4, 1, dtype=bool), 0, NEVER) * np.ones(shape)),
        "bool": (fn.array(seen), np.where(seen, 0, NEVER)),
        "numbers": (draw(4, *shape), None),
        "one head": (fn.array(seen[:1, :1]), np.where(seen[:1, :1], 0, NEVER) * np.ones(shape)),
        "nothing seen": (fn.array([[True], [False], [True]]), np.array([[0], [NEVER], [0]]) + np.zeros(shape)),
    }
    mask, added = masks[kind]
    added = double(mask) if added is None else added
    y = layer(params, q, k, v, mask)
    assert y.shape == (2, 3, 6)
    close(y, attention(wide(params), double(q), double(k), double(v), added))
    grads = fn.grad(lambda p, *x: fn.sum(fn.square(layer(p, *x, mask))), argnums=(0, 1, 2, 3))(params, q, k, v)
    assert all(fn.all(fn.isfinite(g)).item() for g in tree.leaves(grads))


def test_biases_and_names():
    layer = nn.MultiHeadAttention(8, 2, bias=True)
    names = [f"{n}_proj.{leaf}" for n in ("key", "out", "query", "value") for leaf in ("bias", "weight")]
    params = layer.init(random.key(0))
    assert tree.paths(params) == names
    hidden = layer(params, draw(1, 1, 3, 8), draw(2, 1, 4, 8), draw(3, 1, 4, 8), fn.zeros((3, 4), fn.bool_))
    close(hidden, fn.broadcast_to(params["out_proj"]["bias"], (1, 3, 8)))


def test_parts_can_be_others():
    inner = nn.Sequential(nn.Linear(8, 3, bias=False), nn.Linear(3, 8, bias=False))
    layer = nn.MultiHeadAttention(8, 2, query_proj=inner)
    assert "query_proj=Sequential(" in repr(layer) and "key_proj" not in repr(layer)
    x = draw(1, 1, 4, 8)
    params = layer.init(random.key(0))
    a, b = (layer_params["weight"] for layer_params in params["query_proj"]["layers"])
    plain = nn.MultiHeadAttention(8, 2)
    close(layer(params, x, x, x), plain(tree.merge(params, {"query_proj": {"weight": b @ a}}), x, x, x))
    wrong = nn.MultiHeadAttention(8, 2, key_proj=nn.Linear(8, 4))
    with pytest.raises(ValueError, match=r"key_proj must map \(1, 4, 8\) to \(1, 4, 8\), got \(1, 4, 4\)"):
        wrong(wrong.init(random.key(0)), x, x, x)


def test_causal_mask_of_numbers_is_the_causal_mask():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 2, 5, 8)
    for dtype in (fn.float32, fn.float16, fn.bfloat16):
        narrow, y = tree.map(lambda p, dtype=dtype: p.astype(dtype), params), x.astype(dtype)
        mask = layer.create_additive_causal_mask(5, dtype)
        assert mask.dtype == dtype and mask.shape == (5, 5) and fn.all(fn.isfinite(mask)).item()
        assert fn.array_equal(layer(narrow, y, y, y, mask), layer(narrow, y, y, y, "causal")).item()
    assert layer.create_additive_causal_mask(0).shape == (0, 0)


# ---- caches


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("parts", [(1, 1, 1, 1, 1, 1), (4, 1, 1), (2, 3, 1), (6,), (0, 6)], ids=str)
def test_parts_of_a_sequence_are_the_whole(parts, compiled):
    model = nn.TransformerEncoder(2, 8, 2)
    params, x = model.init(random.key(0)), draw(1, 2, 6, 8)
    whole = model(params, x, "causal")
    cache, made = model.init_cache(2, 7), []
    step = (
        fn.compile(lambda p, x, c: model(p, x, "causal", c)) if compiled else lambda p, x, c: model(p, x, "causal", c)
    )
    for part in np.split(np.asarray(x), np.cumsum(parts)[:-1], axis=1):
        y, cache = step(params, fn.array(part), cache)
        made.append(y)
    close(fn.concatenate(made, axis=1), whole)
    assert cache[0].offset.item() == 6 and cache[1].keys.shape == (2, 2, 7, 4)


def test_decoder_token_by_token_within_a_scan():
    model = nn.TransformerDecoder(2, 8, 2, norm_first=False)
    params, x, memory = model.init(random.key(0)), draw(1, 2, 5, 8), draw(2, 2, 3, 8)
    whole = model(params, x, memory, "causal")

    def step(cache, token):
        y, cache = model(params, token[:, None], memory, "causal", None, cache)
        return cache, y[:, 0]

    _, made = fn.scan(step, model.init_cache(2, 5), fn.moveaxis(x, 1, 0))
    close(fn.moveaxis(made, 0, 1), whole)
    again = model.layers[0].init_cache(2, 5)
    y, _ = model.layers[0](params["layers"][0], x, memory, "causal", None, again)
    close(y, model.layers[0](params["layers"][0], x, memory, "causal"))


def test_a_cache_of_another_dtype_keeps_the_dtype_of_the_result():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 1, 4, 8)
    y, cache = layer(params, x, x, x, "causal", layer.init_cache(1, 6, fn.bfloat16))
    assert y.dtype == fn.float32 and cache.keys.dtype == fn.bfloat16
    close(y, layer(params, x, x, x, "causal"), 2e-2)
    narrow = tree.map(lambda p: p.astype(fn.bfloat16), params)
    y, cache = layer(narrow, *[x.astype(fn.bfloat16)] * 3, "causal", layer.init_cache(1, 6))
    assert y.dtype == fn.bfloat16 and cache.keys.dtype == fn.float32


@pytest.mark.parametrize("kind", ["none", "bool", "numbers"])
def test_masks_of_caches(kind):
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 1, 5, 8)
    _, cache = layer(params, x[:, :3], x[:, :3], x[:, :3], None, layer.init_cache(1, 8))
    mask = {
        "none": None,
        "bool": fn.array(np.random.default_rng(0).random((1, 2, 2, 8)) < 0.5),
        "numbers": draw(2, 2, 8),
    }[kind]
    y, after = layer(params, x[:, 3:], x[:, 3:], x[:, 3:], mask, cache)
    close(y, layer(params, x[:, 3:], x, x, None if mask is None else mask[..., :5]))
    assert cache.offset.item() == 3 and after.offset.item() == 5


def test_gradients_through_a_cache():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 2, 4, 8)

    def in_parts(params, x):
        first, cache = layer(params, x[:, :3], x[:, :3], x[:, :3], "causal", layer.init_cache(2, 6))
        rest, _ = layer(params, x[:, 3:], x[:, 3:], x[:, 3:], "causal", cache)
        return fn.sum(fn.square(fn.concatenate([first, rest], axis=1)))

    wanted = fn.grad(lambda p, x: fn.sum(fn.square(layer(p, x, x, x, "causal"))), (0, 1))(params, x)
    assert tree.allclose(fn.grad(in_parts, (0, 1))(params, x), wanted, atol=1e-4)


def test_caches_of_different_lengths_under_vmap():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 2, 1, 4, 8)
    caches = [layer(params, *[x[i, :, :n]] * 3, "causal", layer.init_cache(1, 6))[1] for i, n in enumerate((1, 3))]
    stacked = tree.map(lambda *c: fn.stack(c), *caches)
    token = draw(2, 2, 1, 1, 8)
    y, after = fn.vmap(lambda t, c: layer(params, t, t, t, "causal", c))(token, stacked)
    assert after.offset.tolist() == [2, 4]
    for i in range(2):
        close(y[i], layer(params, *[token[i]] * 3, "causal", caches[i])[0])


def test_a_full_cache_is_refused_or_gives_nan():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 1, 3, 8)
    _, cache = layer(params, x, x, x, "causal", layer.init_cache(1, 4))
    with pytest.raises(ValueError, match="room for 4 places, of which 3 are filled; 3 more do not fit"):
        layer(params, x, x, x, "causal", cache)
    with pytest.raises(ValueError, match="room for 2 places, got 3"):
        layer(params, x, x, x, "causal", layer.init_cache(1, 2))
    step = fn.compile(lambda x, cache: layer(params, x, x, x, "causal", cache))
    y, cache = step(x[:, :1], cache)
    assert fn.all(fn.isfinite(y)).item()
    y, cache = step(x[:, :1], cache)
    assert fn.all(fn.isnan(y)).item() and cache.offset.item() == 5


def test_refusals():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 2, 5, 8)
    with pytest.raises(ValueError, match="num_heads must divide dims, got 3 heads and 8 features"):
        nn.MultiHeadAttention(8, 3)
    with pytest.raises(ValueError, match="num_heads must divide value_dims"):
        nn.MultiHeadAttention(8, 2, value_dims=5)
    with pytest.raises(ValueError, match=r"keys: expected \(batch, places, features\), got \(5, 8\)"):
        layer(params, x, x[0], x)
    with pytest.raises(ValueError, match="there are 5 keys and 4 values"):
        layer(params, x, x, x[:, :4])
    with pytest.raises(ValueError, match=r"in query_proj \(Linear\): expected \(..., 8\), got \(2, 5, 7\)"):
        layer(params, x[..., :7], x, x)
    with pytest.raises(ValueError, match="mask must be None, 'causal' or an array, got 'full'"):
        layer(params, x, x, x, "full", layer.init_cache(2, 8))
    with pytest.raises(ValueError, match=r"for each of the 8 places of the cache whether it is seen, got \(5, 5\)"):
        layer(params, x, x, x, layer.create_additive_causal_mask(5), layer.init_cache(2, 8))
    with pytest.raises(TypeError, match="cache must be a KVCache, as init_cache makes it, got a tuple"):
        layer(params, x, x, x, None, (x, x))
    with pytest.raises(ValueError, match=r"cache: keys of shape \(3, 2, 8, 4\) are followed by \(3, 2, 5, 4\), got"):
        layer(params, x, x, x, None, layer.init_cache(3, 8))
    with pytest.raises(ValueError, match="dtype must be one of real floating-point numbers, got int32"):
        layer.init_cache(3, 8, fn.int32)
    with pytest.raises(ValueError, match="sizes must not be negative"):
        layer.init_cache(3, -1)
    model = nn.TransformerEncoder(2, 8, 2)
    with pytest.raises(ValueError, match="expected a cache for each of 2 layers, got 1"):
        model(model.init(random.key(0)), x, None, model.init_cache(2, 8)[:1])
    with pytest.raises(TypeError, match="custom_encoder must be a layer, got 'none'"):
        nn.Transformer(8, 2, custom_encoder="none")
    with pytest.raises(
        TypeError, match="TransformerEncoderLayer: activation must be a function or a layer, got 'relu'"
    ):
        nn.TransformerEncoder(1, 8, 2, activation="relu")


# ---- transformers


def test_encoder_layer_is_what_it_is_made_of():
    x = draw(1, 2, 5, 8)
    first, last = nn.TransformerEncoderLayer(8, 2, 6), nn.TransformerEncoderLayer(8, 2, 6, norm_first=False)
    p = first.init(random.key(0))

    def run(name, *args):
        return getattr(first, name)(p[name], *args)

    y = run("ln1", x)
    h = x + run("attention", y, y, y, "causal")
    close(first(p, x, "causal"), h + run("linear2", nn.relu(run("linear1", run("ln2", h)))))
    h = run("ln1", x + run("attention", x, x, x))
    close(last(p, x), run("ln2", h + run("linear2", nn.relu(run("linear1", h)))))
    assert p["linear1"]["weight"].shape == (6, 8)
    assert nn.TransformerEncoderLayer(8, 2).init(random.key(0))["linear1"]["weight"].shape == (32, 8)


def test_dropout_draws_at_every_place():
    layer = nn.TransformerDecoderLayer(8, 2, dropout=0.5)
    params, x = layer.init(random.key(0)), draw(1, 2, 5, 8)
    runs = [layer.apply(params, x, x, training=True, key=random.key(i))[0] for i in (0, 0, 1)]
    assert fn.array_equal(runs[0], runs[1]).item() and not fn.allclose(runs[0], runs[2]).item()
    close(layer(params, x, x), nn.TransformerDecoderLayer(8, 2)(params, x, x))


@pytest.mark.parametrize("mask", [None, "causal", "array"])
def test_checkpoint_changes_nothing_but_memory(mask):
    mask = draw(3, 5, 5) if mask == "array" else mask
    kept, computed = (nn.Transformer(8, 2, 1, 1, dropout=0.3, checkpoint=checkpoint) for checkpoint in (False, True))
    params, x = kept.init(random.key(0)), draw(1, 2, 5, 8)

    def loss(model):
        def f(params, x):
            y, _ = model.apply(params, x, x, mask, mask, mask, training=True, key=random.key(2))
            return fn.sum(fn.square(y))

        return fn.value_and_grad(f, argnums=(0, 1))(params, x)

    assert tree.allclose(loss(kept), loss(computed), atol=1e-4)


def test_stacks_of_nothing_and_activations_with_parameters():
    x = draw(1, 2, 5, 8)
    empty = nn.TransformerEncoder(0, 8, 2)
    close(empty(empty.init(random.key(0)), x), nn.LayerNorm(8)(nn.LayerNorm(8).init(random.key(0)), x))
    model = nn.Transformer(8, 2, 1, 1, activation=nn.PReLU())
    params = model.init(random.key(0))
    slopes = [path for path in tree.paths(params) if "activation" in path]
    assert slopes == ["decoder.layers.0.activation.weight", "encoder.layers.0.activation.weight"]
    grads = fn.grad(lambda p: fn.sum(fn.square(model(p, x, x))))(params)
    assert all(tree.get(grads, path).item() != 0 for path in slopes)


def test_custom_encoder():
    class Constant(nn.Layer):
        def __call__(self, params, x, mask):
            return fn.ones_like(x)

    model = nn.Transformer(8, 2, 1, 1, custom_encoder=Constant())
    assert "custom_encoder=" in repr(model) and "custom_decoder" not in repr(model)
    x = draw(1, 2, 5, 8)
    params = model.init(random.key(0))
    close(model(params, x, x), model.decoder(params["decoder"], x, fn.ones_like(x)))
    assert nn.Transformer(8, 2, 1, 1, custom_decoder=nn.TransformerDecoder(1, 8, 2)) == nn.Transformer(8, 2, 1, 1)
