"""A small language model: causal mask, warm-up, clipping, then generation from a cache of keys and values."""

import math
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten


class TransformerLM(nn.Module):
    def __init__(self, vocab_size: int, num_layers: int, dims: int, num_heads: int, checkpoint: bool):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dims)
        self.pe = nn.SinusoidalPositionalEncoding(dims)
        self.transformer = nn.TransformerEncoder(num_layers, dims, num_heads, norm_first=True, checkpoint=checkpoint)
        self.out_proj = nn.Linear(dims, vocab_size)

    def __call__(self, x):
        L = x.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(L)
        x = self.embedding(x)
        x = x + self.pe(mx.arange(L))
        return self.out_proj(self.transformer(x, mask))


class Attention(nn.Module):
    def __init__(self, dims, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads, self.scale = heads, kv_heads, (dims // heads) ** -0.5
        self.q_proj = nn.Linear(dims, dims, bias=False)
        self.k_proj = nn.Linear(dims, dims // heads * kv_heads, bias=False)
        self.v_proj = nn.Linear(dims, dims // heads * kv_heads, bias=False)
        self.o_proj = nn.Linear(dims, dims, bias=False)
        self.rope = nn.RoPE(dims // heads)

    def __call__(self, x, cache=None):
        B, L, _ = x.shape
        q = self.q_proj(x).reshape(B, L, self.heads, -1).transpose(0, 2, 1, 3)
        k = self.k_proj(x).reshape(B, L, self.kv_heads, -1).transpose(0, 2, 1, 3)
        v = self.v_proj(x).reshape(B, L, self.kv_heads, -1).transpose(0, 2, 1, 3)
        offset = cache["offset"] if cache else 0
        q, k = self.rope(q, offset=offset), self.rope(k, offset=offset)
        if cache is not None:
            if "keys" not in cache:
                cache["keys"] = mx.zeros((B, self.kv_heads, 16, k.shape[-1]), k.dtype)
                cache["values"] = mx.zeros((B, self.kv_heads, 16, v.shape[-1]), v.dtype)
            cache["keys"][..., offset : offset + L, :] = k
            cache["values"][..., offset : offset + L, :] = v
            cache["offset"] = offset + L
            k, v = cache["keys"][..., : offset + L, :], cache["values"][..., : offset + L, :]
        mask = "causal" if L > 1 else None
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=self.scale, mask=mask)
        return self.o_proj(y.transpose(0, 2, 1, 3).reshape(B, L, -1))


def cached_generation():
    attention = Attention(16, 4, 2)
    x = mx.random.normal((1, 7, 16))
    whole = attention(x)
    cache = {"offset": 0}
    parts = [attention(x[:, :4], cache)] + [attention(x[:, i : i + 1], cache) for i in range(4, 7)]
    assert mx.allclose(mx.concatenate(parts, axis=1), whole, atol=1e-5)
    return whole.abs().sum().item()


def train(checkpoint):
    mx.random.seed(4)
    np.random.seed(4)
    text = np.tile(np.array([3, 1, 4, 1, 5, 9, 2, 6]), 20)
    model = TransformerLM(10, 2, 16, 4, checkpoint)
    mx.eval(model.parameters())
    nparams = sum(x.size for k, x in tree_flatten(model.parameters()) if "embedding" not in k)
    optimizer = optim.AdamW(learning_rate=0.0, weight_decay=1e-5)

    def loss_fn(model, x, y, reduce=True):
        losses = nn.losses.cross_entropy(model(x), y)
        return mx.mean(losses) if reduce else mx.mean(losses, axis=(-1, -2))

    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(inputs, targets):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, inputs, targets)
        grads, _ = optim.clip_grad_norm(grads, 1.0)
        optimizer.update(model, grads)
        return loss

    losses = []
    for it in range(24):
        starts = np.random.randint(0, len(text) - 9, 4)
        batch = mx.array(np.stack([text[s : s + 9] for s in starts]))
        optimizer.learning_rate = min(1, it / 5) * 1e-2
        loss = step(batch[:, :-1], batch[:, 1:])
        mx.eval(state)
        losses.append(loss.item())
    assert losses[-1] < 0.5 and losses[0] > math.log(10) - 0.5, losses
    return nparams, losses[-1]


def main():
    nparams, loss = train(False)
    again = train(True)
    # Rounding differs where values are computed again, and training makes more of it.
    assert again[0] == nparams and abs(again[1] - loss) < 2e-3
    return loss, cached_generation()
