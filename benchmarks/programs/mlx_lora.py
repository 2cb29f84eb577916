"""Low-rank adapters on the queries and values of a frozen language model; 4 sequences of 128, Adam."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from . import draws, mlx_training


class Adapted(nn.Module):
    """A linear layer and what is learned beside it."""

    def __init__(self, linear, rank=8, scale=20.0):
        super().__init__()
        outputs, inputs = linear.weight.shape
        self.linear = linear
        self.scale = scale
        self.lora_a = mx.random.normal((inputs, rank)) * inputs**-0.5
        self.lora_b = mx.zeros((rank, outputs))

    def __call__(self, x):
        return self.linear(x) + self.scale * ((x @ self.lora_a) @ self.lora_b)


class Attention(nn.Module):
    def __init__(self, dims, heads):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dims, dims, bias=False)
        self.k_proj = nn.Linear(dims, dims, bias=False)
        self.v_proj = nn.Linear(dims, dims, bias=False)
        self.o_proj = nn.Linear(dims, dims, bias=False)
        self.rope = nn.RoPE(dims // heads)

    def __call__(self, x, mask):
        batch, length, dims = x.shape

        def split(y):
            return y.reshape(batch, length, self.heads, -1).transpose(0, 2, 1, 3)

        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        q, k = self.rope(q), self.rope(k)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=(dims // self.heads) ** -0.5, mask=mask)
        return self.o_proj(y.transpose(0, 2, 1, 3).reshape(batch, length, dims))


class MLP(nn.Module):
    def __init__(self, dims, hidden):
        super().__init__()
        self.gate_proj = nn.Linear(dims, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dims, bias=False)
        self.up_proj = nn.Linear(dims, hidden, bias=False)

    def __call__(self, x):
        return self.down_proj(nn.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, dims, heads, hidden):
        super().__init__()
        self.self_attn = Attention(dims, heads)
        self.mlp = MLP(dims, hidden)
        self.input_layernorm = nn.RMSNorm(dims)
        self.post_attention_layernorm = nn.RMSNorm(dims)

    def __call__(self, x, mask):
        x = x + self.self_attn(self.input_layernorm(x), mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, vocabulary, layers, dims, heads, hidden):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, dims)
        self.layers = [Block(dims, heads, hidden) for _ in range(layers)]
        self.norm = nn.RMSNorm(dims)
        self.lm_head = nn.Linear(dims, vocabulary, bias=False)

    def __call__(self, tokens):
        x = self.embed_tokens(tokens)
        mask = nn.MultiHeadAttention.create_additive_causal_mask(tokens.shape[1])
        for layer in self.layers:
            x = layer(x, mask)
        return self.lm_head(self.norm(x))


def loss_fn(model, tokens, targets):
    losses = nn.losses.cross_entropy(model(tokens).astype(mx.float32), targets)
    return losses.sum() / targets.size


def program():
    model = Model(1000, 4, 256, 8, 704)
    model.freeze()
    for layer in model.layers:
        layer.self_attn.q_proj = Adapted(layer.self_attn.q_proj)
        layer.self_attn.v_proj = Adapted(layer.self_attn.v_proj)
    mlx_training.draw(model, lambda name: name.replace(".linear.", "."))
    return model, optim.Adam(learning_rate=1e-4), loss_fn, *draws.tokens(4, 128, 1000)
