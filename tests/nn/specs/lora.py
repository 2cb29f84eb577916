"""Layers with adapters."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec, integers


def matrix(params, transposed, scale):
    delta = scale * (params["lora_a"] @ params["lora_b"])
    w = params["weight"] + (delta.T if transposed else delta)
    return w / np.linalg.norm(w, axis=1, keepdims=True) * params["m"][:, None] if "m" in params else w


def linear(params, x):
    return x @ matrix(params, True, 2.0).T + params["bias"]


def embedding(params, x):
    return matrix(params, False, 2.0)[x]


ROWS = [
    LayerSpec(
        name="LoRALinear",
        layer=nn.LoRALinear(nn.Linear(3, 4), 2, 2.0, 0.25),
        inputs=((3,),),
        oracle=linear,
        needs_key=True,
    ),
    LayerSpec(
        name="LoRAEmbedding",
        layer=nn.LoRAEmbedding(nn.Embedding(5, 4), 2, 2.0),
        inputs=(integers(0, 5, 2),),
        oracle=embedding,
    ),
    # Norms are constants for the gradient, which is not the derivative then.
    LayerSpec(
        name="DoRALinear",
        layer=nn.DoRALinear(nn.Linear(3, 4), 2, 2.0, 0.25),
        inputs=((3,),),
        oracle=linear,
        needs_key=True,
        differentiable=False,
    ),
    LayerSpec(
        name="DoRAEmbedding",
        layer=nn.DoRAEmbedding(nn.Embedding(5, 4), 2, 2.0),
        inputs=(integers(0, 5, 2),),
        oracle=embedding,
        differentiable=False,
    ),
]
