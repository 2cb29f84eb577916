"""A step of decoding with mlx-lm: a small language model in 4 bits, under MLX's wheel, under the wheel with OpenBLAS, under the shim."""

from __future__ import annotations

import importlib.util

import numpy as np

from .case import Case

# Vocabulary, layers, width, inner width, heads, heads of keys: SmolLM2-135M, and what Qwen2 0.5B has.
MODELS = {
    "smollm2_135m": (49152, 30, 576, 1536, 9, 3),
    "qwen2_0.5b": (151936, 24, 896, 4864, 14, 2),
}
ROWS = dict.fromkeys(MODELS, "ms") if importlib.util.find_spec("mlx_lm") else {}
# A step: of a single token, some is computed while the one before is asked for.
TOKENS = 8
FRAMEWORKS = ("funcnn.compat", "mlx", "mlx+openblas")


def build(row: str, framework: str) -> Case:
    import mlx.core as mx
    import mlx.nn as nn
    from mlx_lm.generate import generate_step
    from mlx_lm.models import llama

    vocabulary, layers, width, inner, heads, keys = MODELS[row]
    mx.random.seed(0)
    model = llama.Model(
        llama.ModelArgs(
            model_type="llama", hidden_size=width, num_hidden_layers=layers, intermediate_size=inner,
            num_attention_heads=heads, num_key_value_heads=keys, rms_norm_eps=1e-5, vocab_size=vocabulary,
            tie_word_embeddings=True,
        )
    )  # fmt: skip
    nn.quantize(model, group_size=64 if width % 64 == 0 else 32, bits=4)
    mx.eval(model.parameters())
    prompt = mx.array(np.random.default_rng(0).integers(0, vocabulary, 32))
    tokens = generate_step(prompt, model, max_tokens=-1)
    next(tokens)  # the prompt

    def step() -> object:
        for _ in range(TOKENS):
            token = next(tokens)
        return token

    def result() -> list[np.ndarray]:
        return [np.array(logprobs)[:1000] for _, logprobs in generate_step(prompt, model, max_tokens=3)]

    return Case(step, result, per=TOKENS)
