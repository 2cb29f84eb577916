"""A language model of 4 layers, width 256, 8 heads, 1000 tokens; 8 sequences of 128, AdamW with warm-up."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from . import draws, mlx_training


class TransformerLM(nn.Module):
    def __init__(self, vocab_size: int, num_layers: int, dims: int, num_heads: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dims)
        self.pe = nn.SinusoidalPositionalEncoding(dims)
        self.transformer = nn.TransformerEncoder(num_layers, dims, num_heads, norm_first=True)
        self.out_proj = nn.Linear(dims, vocab_size)

    def __call__(self, x):
        L = x.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(L)
        x = self.embedding(x)
        x = x + self.pe(mx.arange(L))
        x = self.transformer(x, mask)
        return self.out_proj(x)


def loss_fn(model, x, y, reduce=True):
    logits = model(x)
    losses = nn.losses.cross_entropy(logits, y)
    return mx.mean(losses) if reduce else mx.mean(losses, axis=(-1, -2))


def program():
    model = TransformerLM(1000, 4, 256, 8)
    mlx_training.draw(model)
    warmup = optim.linear_schedule(1e-5, 1e-3, 5)
    optimizer = optim.AdamW(learning_rate=warmup, weight_decay=0.01)
    return model, optimizer, loss_fn, *draws.tokens(8, 128, 1000)
