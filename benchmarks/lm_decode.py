"""64 tokens after a prompt of 64, each the likeliest under the language model of lm.py, with a cache of keys and values."""

from __future__ import annotations

from . import lm
from .case import Case, outputs
from .place import jax_waits, to_funcnn, to_jax, to_torch, torch_compile

ROWS = {"lm_decode": "ms"}
PROMPT, NEW = 64, 64
TOTAL = PROMPT + NEW
CACHE = (1, lm.HEADS, TOTAL, lm.HEAD)


def build(row: str, framework: str) -> Case:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step = make()
    return Case(step, outputs(step))


def prompt():
    return lm.batch(1)[:, :PROMPT]


def _funcnn():
    import funcnn as fn

    params = lm.convert(lm.parameters(), to_funcnn)
    tokens = to_funcnn(prompt())

    @fn.compile
    def generate(params, tokens):
        caches = [[fn.zeros(CACHE), fn.zeros(CACHE)] for _ in range(lm.LAYERS)]

        def forward(tokens, caches, place, mask):
            made = []

            def attend(i, q, k, v):
                k, v = (fn.dynamic_update_slice(c, x, (0, 0, place, 0)) for c, x in zip(caches[i], (k, v), strict=True))
                made.append([k, v])
                return fn.fast.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, mask=mask)

            places = fn.dynamic_slice(params["places"], (place, 0), (tokens.shape[1], lm.WIDTH))
            logits = lm.funcnn_model(params, tokens, attend, places)
            return fn.argmax(logits[:, -1], axis=-1).astype(fn.int32), made

        mask = fn.arange(TOTAL) <= fn.arange(PROMPT)[:, None]
        token, caches = forward(tokens, caches, 0, mask)

        def step(carry, place):
            token, caches = carry
            new, caches = forward(token[:, None], caches, place, fn.arange(TOTAL) <= place)
            return (new, caches), token

        (last, _), made = fn.scan(step, (token, caches), fn.arange(PROMPT, TOTAL - 1))
        return fn.concatenate([made[:, 0], last])

    def step():
        made = generate(params, tokens)
        fn.eval(made)
        return made

    return step


def _jax():
    import jax
    import jax.numpy as jnp

    params = lm.convert(lm.parameters(), to_jax)
    tokens = to_jax(prompt())

    @jax.jit
    def generate(params, tokens):
        caches = [[jnp.zeros(CACHE), jnp.zeros(CACHE)] for _ in range(lm.LAYERS)]

        def forward(tokens, caches, place, mask):
            made = []

            def attend(i, q, k, v):
                k, v = (
                    jax.lax.dynamic_update_slice(c, x, (0, 0, place, 0)) for c, x in zip(caches[i], (k, v), strict=True)
                )
                made.append([k, v])
                return lm.jax_attend(q, k, v, mask)

            places = jax.lax.dynamic_slice(params["places"], (place, 0), (tokens.shape[1], lm.WIDTH))
            logits = lm.jax_model(params, tokens, attend, places)
            return jnp.argmax(logits[:, -1], axis=-1).astype(jnp.int32), made

        mask = jnp.arange(TOTAL) <= jnp.arange(PROMPT)[:, None]
        token, caches = forward(tokens, caches, 0, mask)

        def step(carry, place):
            token, caches = carry
            new, caches = forward(token[:, None], caches, place, jnp.arange(TOTAL) <= place)
            return (new, caches), token

        (last, _), made = jax.lax.scan(step, (token, caches), jnp.arange(PROMPT, TOTAL - 1))
        return jnp.concatenate([made[:, 0], last])

    return lambda: jax_waits(generate(params, tokens))


def _mlx():
    import mlx.core as mx

    params = lm.convert(lm.parameters(), mx.array)
    tokens = mx.array(prompt())

    def step():
        caches = [[mx.zeros(CACHE), mx.zeros(CACHE)] for _ in range(lm.LAYERS)]

        def forward(tokens, place, mask):
            end = place + tokens.shape[1]

            def attend(i, q, k, v):
                caches[i][0][:, :, place:end] = k
                caches[i][1][:, :, place:end] = v
                k, v = (c[:, :, :end] for c in caches[i])
                return mx.fast.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, mask=mask)

            logits = lm.mlx_model(params, tokens, attend, params["places"][place:end])
            return mx.argmax(logits[:, -1], axis=-1).astype(mx.int32)

        made = [forward(tokens, 0, "causal")]
        mx.async_eval(made[-1])
        for place in range(PROMPT, TOTAL - 1):
            made.append(forward(made[-1][:, None], place, None))
            mx.async_eval(made[-1])
        y = mx.concatenate(made)
        mx.eval(y)
        return y

    return step


def _torch(compiled=False):
    import torch
    import torch.nn.functional as F

    params = lm.convert(lm.parameters(), to_torch)
    tokens = to_torch(prompt()).long()
    caches = [[torch.zeros(CACHE), torch.zeros(CACHE)] for _ in range(lm.LAYERS)]

    def eager(tokens, place):
        end = place + tokens.shape[1]

        def attend(i, q, k, v):
            caches[i][0][:, :, place:end] = k
            caches[i][1][:, :, place:end] = v
            k, v = (c[:, :, :end] for c in caches[i])
            return F.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, is_causal=tokens.shape[1] > 1)

        logits = lm.torch_model(params, tokens, attend, params["places"][place:end])
        return logits[:, -1].argmax(-1)

    # What is compiled has one shape for all places: the whole cache, and a mask.
    @torch_compile
    def fixed(params, caches, tokens, places, mask):
        def attend(i, q, k, v):
            caches[i][0].index_copy_(2, places, k)
            caches[i][1].index_copy_(2, places, v)
            return F.scaled_dot_product_attention(q, *caches[i], attn_mask=mask, scale=lm.HEAD**-0.5)

        return lm.torch_model(params, tokens, attend, params["places"][places])[:, -1].argmax(-1)

    def at(tokens, place):
        if not compiled:
            return eager(tokens, place)
        places = torch.arange(place, place + tokens.shape[1])
        return fixed(params, caches, tokens, places, torch.arange(TOTAL) <= places[:, None])

    @torch.inference_mode()
    def step():
        made = [at(tokens, 0)]
        for place in range(PROMPT, TOTAL - 1):
            made.append(at(made[-1][:, None], place))
        return torch.cat(made)

    return step


def _torch_compile():
    return _torch(compiled=True)
