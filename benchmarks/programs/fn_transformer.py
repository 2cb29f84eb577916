"""`mlx_transformer.py` with funcnn's layers."""

import funcnn as fn
from funcnn import nn, optim
from funcnn.optim import schedules

from . import draws, fn_training


class TransformerLM(nn.Layer):
    embedding: nn.Layer = nn.Embedding(1000, 256)
    pe: nn.Layer = nn.SinusoidalPositionalEncoding(256)
    transformer: nn.Layer = nn.TransformerEncoder(4, 256, 8)
    out_proj: nn.Layer = nn.Linear(256, 1000)

    def __call__(self, params, x):
        length = x.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(length)
        x = self.embedding(params["embedding"], x)
        x = x + self.pe(params["pe"], fn.arange(length))
        x = self.transformer(params["transformer"], x, mask)
        return self.out_proj(params["out_proj"], x)


def program():
    model = TransformerLM()

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    warmup = schedules.linear_schedule(1e-5, 1e-3, 5)
    opt = optim.adamw(warmup, weight_decay=0.01, bias_correction=False)
    return fn_training.drawn(model), opt, loss_fn, *draws.tokens(8, 128, 1000)
