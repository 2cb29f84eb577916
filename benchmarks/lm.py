"""The language model of lm_train, lm_infer and lm_decode: four pre-norm transformer layers, width 256, 8 heads, vocabulary 1000.

Each framework has its own `model` here: a function of parameters and tokens.
"""

from __future__ import annotations

import numpy as np

LAYERS, WIDTH, HEADS, HIDDEN, VOCABULARY, PLACES = 4, 256, 8, 1024, 1000, 128
HEAD = WIDTH // HEADS
EPS = 1e-5


def parameters():
    """Weights as NumPy arrays, (in, out): a list of layers, and what stands around them."""
    rng = np.random.default_rng(0)

    def matrix(i, o):
        return rng.normal(0, i**-0.5, (i, o)).astype(np.float32)

    def norm():
        return {"gain": np.ones(WIDTH, np.float32), "bias": np.zeros(WIDTH, np.float32)}

    layers = [
        {
            "norm1": norm(),
            "qkv": matrix(WIDTH, 3 * WIDTH),
            "out": matrix(WIDTH, WIDTH),
            "norm2": norm(),
            "up": matrix(WIDTH, HIDDEN),
            "down": matrix(HIDDEN, WIDTH),
        }
        for _ in range(LAYERS)
    ]
    return {
        "tokens": rng.normal(0, 1, (VOCABULARY, WIDTH)).astype(np.float32),
        "places": rng.normal(0, 0.1, (PLACES, WIDTH)).astype(np.float32),
        "layers": layers,
        "norm": norm(),
        "head": matrix(WIDTH, VOCABULARY),
    }


def batch(rows, length=None):
    rng = np.random.default_rng(1)
    length = length or PLACES
    return rng.integers(0, VOCABULARY, (rows, length + 1)).astype(np.int32)


def convert(tree, leaf):
    """The tree with `leaf` applied to every array."""
    if isinstance(tree, dict):
        return {k: convert(v, leaf) for k, v in tree.items()}
    if isinstance(tree, list):
        return [convert(v, leaf) for v in tree]
    return leaf(tree)


# ---- attention of a layer: q, k, v of shape (B, H, T, D) -> (B, H, T, D), a parameter of the models


def funcnn_model(params, tokens, attend, places):
    """Logits of `tokens`; `attend(i, q, k, v)` is the attention of layer i."""
    import funcnn as fn
    from funcnn import nn

    def norm(x, p):
        return fn.fast.layer_norm(x, p["gain"], p["bias"], EPS)

    x = params["tokens"][tokens] + places
    rows, length = tokens.shape
    for i, p in enumerate(params["layers"]):
        qkv = (norm(x, p["norm1"]) @ p["qkv"]).reshape(rows, length, 3, HEADS, HEAD)
        q, k, v = (fn.transpose(qkv[:, :, j], (0, 2, 1, 3)) for j in range(3))
        y = fn.transpose(attend(i, q, k, v), (0, 2, 1, 3)).reshape(rows, length, WIDTH)
        x = x + y @ p["out"]
        x = x + nn.gelu(norm(x, p["norm2"]) @ p["up"]) @ p["down"]
    return norm(x, params["norm"]) @ params["head"]


def funcnn_layers(given):
    """The model written in layers, and its parameters from those of `parameters`."""
    import funcnn as fn
    from funcnn import nn

    up, down = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(HIDDEN, WIDTH, bias=False)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, activation=nn.gelu, linear1=up, linear2=down)

    class Model(nn.Layer):
        tokens: nn.Layer = nn.Embedding(VOCABULARY, WIDTH)
        body: nn.Layer = nn.TransformerEncoder(
            LAYERS, WIDTH, HEADS, HIDDEN, activation=nn.gelu, layers=(layer,) * LAYERS
        )
        head: nn.Layer = nn.Linear(WIDTH, VOCABULARY, bias=False)

        def __call__(self, params, tokens):
            x = self.tokens(params["tokens"], tokens) + params["places"][: tokens.shape[1]]
            return self.head(params["head"], self.body(params["body"], x, "causal"))

    def matrix(w):
        return {"weight": fn.transpose(w)}

    def norm(p):
        return {"weight": p["gain"], "bias": p["bias"]}

    def block(p):
        q, k, v = fn.split(p["qkv"], 3, axis=1)
        attention = {
            "query_proj": matrix(q),
            "key_proj": matrix(k),
            "value_proj": matrix(v),
            "out_proj": matrix(p["out"]),
        }
        maps = {"linear1": matrix(p["up"]), "linear2": matrix(p["down"])}
        norms = {"ln1": norm(p["norm1"]), "ln2": norm(p["norm2"])}
        return {"attention": attention, **maps, **norms, "dropout1": {}, "dropout2": {}}

    body = {"layers": tuple(block(p) for p in given["layers"]), "ln": norm(given["norm"])}
    params = {
        "tokens": {"weight": given["tokens"]},
        "places": given["places"],
        "body": body,
        "head": matrix(given["head"]),
    }
    return Model(), params


def jax_model(params, tokens, attend, places):
    import jax

    def norm(x, p):
        centred = x - x.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + EPS) * p["gain"] + p["bias"]

    x = params["tokens"][tokens] + places
    rows, length = tokens.shape
    for i, p in enumerate(params["layers"]):
        qkv = (norm(x, p["norm1"]) @ p["qkv"]).reshape(rows, length, 3, HEADS, HEAD)
        q, k, v = (qkv[:, :, j].transpose(0, 2, 1, 3) for j in range(3))
        y = attend(i, q, k, v).transpose(0, 2, 1, 3).reshape(rows, length, WIDTH)
        x = x + y @ p["out"]
        x = x + jax.nn.gelu(norm(x, p["norm2"]) @ p["up"], approximate=False) @ p["down"]
    return norm(x, params["norm"]) @ params["head"]


def jax_attend(q, k, v, mask):
    import jax
    import jax.numpy as jnp

    s = jnp.where(mask, q @ k.swapaxes(2, 3) * HEAD**-0.5, -jnp.inf)
    return jax.nn.softmax(s) @ v


def mlx_model(params, tokens, attend, places):
    import mlx.core as mx
    import mlx.nn as nn

    def norm(x, p):
        return mx.fast.layer_norm(x, p["gain"], p["bias"], EPS)

    x = params["tokens"][tokens] + places
    rows, length = tokens.shape
    for i, p in enumerate(params["layers"]):
        qkv = (norm(x, p["norm1"]) @ p["qkv"]).reshape(rows, length, 3, HEADS, HEAD)
        q, k, v = (qkv[:, :, j].transpose(0, 2, 1, 3) for j in range(3))
        y = attend(i, q, k, v).transpose(0, 2, 1, 3).reshape(rows, length, WIDTH)
        x = x + y @ p["out"]
        x = x + nn.gelu(norm(x, p["norm2"]) @ p["up"]) @ p["down"]
    return norm(x, params["norm"]) @ params["head"]


def torch_model(params, tokens, attend, places):
    import torch.nn.functional as F

    def norm(x, p):
        return F.layer_norm(x, (WIDTH,), p["gain"], p["bias"], EPS)

    x = F.embedding(tokens, params["tokens"]) + places
    rows, length = tokens.shape
    for i, p in enumerate(params["layers"]):
        qkv = (norm(x, p["norm1"]) @ p["qkv"]).view(rows, length, 3, HEADS, HEAD)
        q, k, v = (qkv[:, :, j].transpose(1, 2) for j in range(3))
        y = attend(i, q, k, v).transpose(1, 2).reshape(rows, length, WIDTH)
        x = x + y @ p["out"]
        x = x + F.gelu(norm(x, p["norm2"]) @ p["up"]) @ p["down"]
    return norm(x, params["norm"]) @ params["head"]
