"""A language model of 4 layers, width 256, 8 heads, 1000 tokens; 8 sequences of 128, AdamW with warm-up."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from . import draws, mlx_training


class LanguageModel(nn.Module):
    def __init__(self, vocabulary, layers, dims, heads):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dims)
        self.pe = nn.SinusoidalPositionalEncoding(dims)
        self.transformer = nn.TransformerEncoder(layers, dims, heads)
        self.out_proj = nn.Linear(dims, vocabulary)

    def __call__(self, tokens):
        length = tokens.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(length)
        x = self.embedding(tokens) + self.pe(mx.arange(length))
        return self.out_proj(self.transformer(x, mask))


def loss_fn(model, tokens, targets):
    return nn.losses.cross_entropy(model(tokens), targets).mean()


def program():
    model = LanguageModel(1000, 4, 256, 8)
    mlx_training.draw(model)
    optimizer = optim.AdamW(learning_rate=optim.linear_schedule(1e-5, 1e-3, 5), weight_decay=0.01)
    return model, optimizer, loss_fn, *draws.tokens(8, 128, 1000)
