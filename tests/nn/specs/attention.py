"""Attention, transformers and positions, in NumPy."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec

NEVER = -np.inf
CAUSAL = np.where(np.tri(4, dtype=bool), 0.0, NEVER)


def affine(p, x):
    return x @ p["weight"].T + p.get("bias", 0.0)


def attention(p, q, k, v, mask=0.0, heads=2):
    """The weights of each head as matrices; a query that sees nothing gathers zeros."""
    q, k, v = (
        np.swapaxes(affine(p[f"{name}_proj"], x).reshape(*x.shape[:2], heads, -1), 1, 2)
        for name, x in (("query", q), ("key", k), ("value", v))
    )
    scores = q @ np.swapaxes(k, 2, 3) / np.sqrt(q.shape[3]) + mask
    seen = scores > NEVER
    top = np.max(np.where(seen, scores, -1e300), -1, keepdims=True, initial=-1e300)
    weights = np.where(seen, np.exp(np.where(seen, scores - top, 0.0)), 0.0)
    y = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300) @ v
    return affine(p["out_proj"], np.swapaxes(y, 1, 2).reshape(*q.shape[:1], q.shape[2], -1))


def layer_norm(p, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p["weight"] + p["bias"]


def silu(x):
    return x / (1 + np.exp(-x))


def residual(p, norm, x, block, first):
    return x + block(layer_norm(p[norm], x)) if first else layer_norm(p[norm], x + block(x))


def encoder_layer(p, x, mask=0.0, first=True):
    x = residual(p, "ln1", x, lambda y: attention(p["attention"], y, y, y, mask), first)
    return residual(p, "ln2", x, lambda y: affine(p["linear2"], silu(affine(p["linear1"], y))), first)


def decoder_layer(p, x, memory, x_mask=0.0, memory_mask=0.0, first=True):
    x = residual(p, "ln1", x, lambda y: attention(p["self_attention"], y, y, y, x_mask), first)
    x = residual(p, "ln2", x, lambda y: attention(p["cross_attention"], y, memory, memory, memory_mask), first)
    return residual(p, "ln3", x, lambda y: affine(p["linear2"], silu(affine(p["linear1"], y))), first)


def encoder(p, x, mask=0.0, first=True):
    for layer in p["layers"]:
        x = encoder_layer(layer, x, mask, first)
    return layer_norm(p["ln"], x)


def decoder(p, x, memory, x_mask=0.0, first=True):
    for layer in p["layers"]:
        x = decoder_layer(layer, x, memory, x_mask, first=first)
    return layer_norm(p["ln"], x)


def with_masks(layer, *args, **keywords):
    """MLX has no default masks."""
    names = {
        "TransformerEncoderLayer": 2,
        "TransformerEncoder": 2,
        "TransformerDecoderLayer": 4,
        "TransformerDecoder": 4,
    }
    missing = names.get(type(layer).__name__, 5) - len(args) - len(keywords)
    return layer(*args, *keywords.values(), *[None] * missing)


def by_position(layer, *args, mask):
    return layer(*args, mask)


MLP = {"mlp_dims": 3, "activation": nn.silu}


def theirs(name, *args, **options):
    return lambda m: getattr(m, name)(*args, **{**options, "mlp_dims": 3, "activation": m.silu})


ROWS = [
    LayerSpec(
        name="MultiHeadAttention",
        layer=nn.MultiHeadAttention(4, 2, bias=True),
        inputs=((4, 4), (4, 4), (4, 4)),
        oracle=attention,
        mlx=lambda m: m.MultiHeadAttention(4, 2, bias=True),
    ),
    LayerSpec(
        name="MultiHeadAttention-sizes",
        layer=nn.MultiHeadAttention(4, 2, 3, 5, 2, 6, 1),
        inputs=((2, 3), (4, 5), (4, 2)),
        oracle=attention,
        mlx=lambda m: m.MultiHeadAttention(4, 2, 3, 5, 2, 6, 1),
    ),
    LayerSpec(
        name="MultiHeadAttention-scores-added",
        layer=nn.MultiHeadAttention(4, 2),
        inputs=((4, 4), (4, 4), (4, 4), (2, 4, 4)),
        oracle=attention,
        mlx=lambda m: m.MultiHeadAttention(4, 2),
    ),
    LayerSpec(
        name="MultiHeadAttention-causal",
        layer=nn.MultiHeadAttention(4, 2),
        inputs=((4, 4), (4, 4), (4, 4)),
        keywords={"mask": "causal"},
        oracle=lambda p, *x, mask: attention(p, *x, CAUSAL),
        mlx=lambda m: m.MultiHeadAttention(4, 2),
        mlx_call=by_position,
    ),
    LayerSpec(
        name="MultiHeadAttention-nothing-seen",
        layer=nn.MultiHeadAttention(4, 2, bias=True),
        inputs=((2, 4), (3, 4), (3, 4)),
        keywords={"mask": np.array([[False] * 3, [False, True, True]])},
        oracle=lambda p, *x, mask: attention(p, *x, np.where(mask, 0.0, NEVER)),
    ),
    LayerSpec(
        name="TransformerEncoderLayer",
        layer=nn.TransformerEncoderLayer(4, 2, **MLP),
        inputs=((3, 4), (1, 3, 3)),
        oracle=encoder_layer,
        mlx=theirs("TransformerEncoderLayer", 4, 2),
        mlx_call=with_masks,
    ),
    LayerSpec(
        name="TransformerDecoderLayer",
        layer=nn.TransformerDecoderLayer(4, 2, **MLP),
        inputs=((2, 4), (3, 4)),
        oracle=decoder_layer,
        mlx=theirs("TransformerDecoderLayer", 4, 2),
        mlx_call=with_masks,
    ),
    LayerSpec(
        name="TransformerDecoderLayer-norm-last",
        layer=nn.TransformerDecoderLayer(4, 2, **MLP, norm_first=False),
        inputs=((2, 4), (3, 4)),
        oracle=lambda p, x, memory: decoder_layer(p, x, memory, first=False),
        mlx=theirs("TransformerDecoderLayer", 4, 2, norm_first=False),
        mlx_call=with_masks,
    ),
    LayerSpec(
        name="TransformerEncoder",
        layer=nn.TransformerEncoder(2, 4, 2, **MLP, norm_first=False, checkpoint=True),
        inputs=((4, 4),),
        keywords={"mask": "causal"},
        oracle=lambda p, x, mask: encoder(p, x, CAUSAL, first=False),
        mlx=theirs("TransformerEncoder", 2, 4, 2, norm_first=False, checkpoint=True),
        mlx_call=with_masks,
        twice=False,
    ),
    LayerSpec(
        name="TransformerDecoder",
        layer=nn.TransformerDecoder(1, 4, 2, **MLP),
        inputs=((2, 4), (3, 4)),
        oracle=decoder,
        mlx=theirs("TransformerDecoder", 1, 4, 2),
        mlx_call=with_masks,
    ),
    LayerSpec(
        name="Transformer",
        layer=nn.Transformer(4, 2, 1, 1, **MLP),
        inputs=((3, 4), (2, 4)),
        oracle=lambda p, src, tgt: decoder(p["decoder"], tgt, encoder(p["encoder"], src)),
        mlx=theirs("Transformer", 4, 2, 1, 1),
        mlx_call=with_masks,
        twice=False,
    ),
    LayerSpec(
        name="Transformer-dropout",
        layer=nn.Transformer(4, 2, 1, 1, **MLP, dropout=0.3, checkpoint=True),
        inputs=((3, 4), (2, 4)),
        needs_key=True,
        twice=False,
        mlx=theirs("Transformer", 4, 2, 1, 1, dropout=0.3),
        mlx_call=with_masks,
    ),
]
