"""`mlx_lora.py` with funcnn's layers."""

import funcnn as fn
from funcnn import nn, optim

from . import draws, fn_training

DIMS, HEADS, HIDDEN = 256, 8, 704


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Layer):
    q_proj: nn.Layer = nn.LoRALinear(linear(DIMS, DIMS), rank=8, scale=20.0)
    k_proj: nn.Layer = linear(DIMS, DIMS)
    v_proj: nn.Layer = nn.LoRALinear(linear(DIMS, DIMS), rank=8, scale=20.0)
    o_proj: nn.Layer = linear(DIMS, DIMS)
    rope: nn.Layer = nn.RoPE(DIMS // HEADS)

    def __call__(self, params, x, mask):
        batch, length, _ = x.shape

        def heads(name):
            y = getattr(self, name)(params[name], x)
            return fn.transpose(y.reshape(batch, length, HEADS, -1), (0, 2, 1, 3))

        q, k, v = map(heads, ("q_proj", "k_proj", "v_proj"))
        q, k = self.rope(params["rope"], q), self.rope(params["rope"], k)
        y = fn.fast.scaled_dot_product_attention(q, k, v, scale=(DIMS // HEADS) ** -0.5, mask=mask)
        return self.o_proj(params["o_proj"], fn.transpose(y, (0, 2, 1, 3)).reshape(batch, length, -1))


class MLP(nn.Layer):
    gate_proj: nn.Layer = linear(DIMS, HIDDEN)
    down_proj: nn.Layer = linear(HIDDEN, DIMS)
    up_proj: nn.Layer = linear(DIMS, HIDDEN)

    def __call__(self, params, x):
        gate = nn.silu(self.gate_proj(params["gate_proj"], x))
        return self.down_proj(params["down_proj"], gate * self.up_proj(params["up_proj"], x))


class Block(nn.Layer):
    self_attn: nn.Layer = Attention()
    mlp: nn.Layer = MLP()
    input_layernorm: nn.Layer = nn.RMSNorm(DIMS)
    post_attention_layernorm: nn.Layer = nn.RMSNorm(DIMS)

    def __call__(self, params, x, mask):
        h = x + self.self_attn(params["self_attn"], self.input_layernorm(params["input_layernorm"], x), mask)
        normed = self.post_attention_layernorm(params["post_attention_layernorm"], h)
        return h + self.mlp(params["mlp"], normed)


class Model(nn.Layer):
    embed_tokens: nn.Layer = nn.Embedding(1000, DIMS)
    layers: tuple[nn.Layer, ...] = (Block(),) * 4
    norm: nn.Layer = nn.RMSNorm(DIMS)
    lm_head: nn.Layer = linear(DIMS, 1000)

    def __call__(self, params, tokens):
        h = self.embed_tokens(params["embed_tokens"], tokens)
        mask = nn.MultiHeadAttention.create_additive_causal_mask(h.shape[1])
        for layer, p in zip(self.layers, params["layers"], strict=True):
            h = layer(p, h, mask)
        return self.lm_head(params["lm_head"], self.norm(params["norm"], h))


def program():
    model = Model()

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    opt = optim.adam(1e-4, bias_correction=False)
    return fn_training.drawn(model), opt, loss_fn, *draws.tokens(4, 128, 1000), "**.lora_*"
