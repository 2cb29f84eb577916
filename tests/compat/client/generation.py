"""Scenarios of generating: prompts, caches, samplers, processors, batches, drafts."""

import pathlib
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm.generate import BatchGenerator, batch_generate, generate_step, speculative_generate_step
from mlx_lm.models import cache as caches
from mlx_lm.sample_utils import make_logits_processors, make_sampler
from tests.compat.client.scenarios import PROMPT, load, scenario


def steps(model: Any, tokens: Any, count: int = 12, **options: Any) -> list[Any]:
    """Return each generated token with its log probability."""
    found = generate_step(mx.array(tokens), model, max_tokens=count, **options)
    return [[int(token), float(logprobs[int(token)])] for token, logprobs in found]


@scenario
def generating(folder: pathlib.Path) -> Any:
    """`generate` and `stream_generate`, plain and through the chat template."""
    model, tokenizer = load(folder)
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "who eats?"}], add_generation_prompt=True)
    parts = [
        [r.text, r.token, r.finish_reason, r.prompt_tokens, r.generation_tokens]
        for r in mlx_lm.stream_generate(model, tokenizer, PROMPT, max_tokens=10)
    ]
    return {
        "text": mlx_lm.generate(model, tokenizer, PROMPT, max_tokens=16),
        "chat": mlx_lm.generate(model, tokenizer, chat, max_tokens=8),
        "parts": parts,
        "chunks": steps(model, tokenizer.encode(PROMPT), prefill_step_size=7),
    }


@scenario
def prompt_caches(folder: pathlib.Path) -> Any:
    """Plain, rotating and quantised caches; continued, trimmed, saved and loaded."""
    model, tokenizer = load(folder)
    tokens = tokenizer.encode(PROMPT)
    result: dict[str, Any] = {}
    result["rotating"] = steps(model, tokens, 24, max_kv_size=16)
    for bits in (8, 4):
        result[f"quantised {bits}"] = steps(model, tokens, kv_bits=bits, kv_group_size=32, quantized_kv_start=0)
    result["quantised later"] = steps(model, tokens, kv_bits=8, kv_group_size=32, quantized_kv_start=40)

    cache = caches.make_prompt_cache(model)
    first = steps(model, tokens, 4, prompt_cache=cache)
    caches.save_prompt_cache(str(folder / "cache.safetensors"), cache, {"model": "tiny"})
    loaded, metadata = caches.load_prompt_cache(str(folder / "cache.safetensors"), return_metadata=True)
    result["continued"] = [first, steps(model, [first[-1][0]], 6, prompt_cache=loaded), metadata]
    result["offsets"] = [loaded[0].offset, caches.can_trim_prompt_cache(loaded), caches.trim_prompt_cache(loaded, 5)]
    result["after trimming"] = steps(model, tokens[:3], 4, prompt_cache=loaded)

    for name, made in (
        ("rotating", caches.make_prompt_cache(model, max_kv_size=16)),
        ("quantised", [c.to_quantized(group_size=32, bits=4) for c in cache]),
    ):
        steps(model, tokens, 20, prompt_cache=made)
        caches.save_prompt_cache(str(folder / f"{name}.safetensors"), made)
        again = caches.load_prompt_cache(str(folder / f"{name}.safetensors"))
        result[f"{name} loaded"] = [type(again[0]).__name__, steps(model, tokens[:2], 6, prompt_cache=again)]
    return result


@scenario
def sampling(folder: pathlib.Path) -> Any:
    """Every sampler and every logits processor, from one seed."""
    model, tokenizer = load(folder)
    tokens = tokenizer.encode(PROMPT)
    result = {}
    for options in (
        {"temp": 0.8},
        {"temp": 1.0, "top_p": 0.7},
        {"temp": 1.0, "min_p": 0.2},
        {"temp": 1.0, "top_k": 5},
        {"temp": 1.5, "top_p": 0.9, "min_p": 0.05, "top_k": 20},
        {"temp": 1.0, "xtc_probability": 0.8, "xtc_threshold": 0.05},
    ):
        mx.random.seed(7)
        result[str(options)] = [t for t, _ in steps(model, tokens, sampler=make_sampler(**options))]
    for options in (
        {"logit_bias": {5: 20.0, 9: 20.5}},
        {"repetition_penalty": 1.8, "repetition_context_size": 10},
        {"presence_penalty": 3.0},
        {"frequency_penalty": 2.0, "frequency_context_size": 8},
    ):
        result[str(options)] = steps(model, tokens, logits_processors=make_logits_processors(**options))
    return result


@scenario
def batches(folder: pathlib.Path) -> Any:
    """Prompts of different lengths at once, joining and leaving while others run."""
    model, tokenizer = load(folder)
    prompts = [tokenizer.encode(text) for text in (PROMPT, "a", "the bird", "who eats rice and who eats bread?")]
    answer = batch_generate(
        model, tokenizer, prompts, max_tokens=[9, 5, 12, 7], return_token_ids=True, return_logprobs=True,
        return_prompt_caches=True,
    )  # fmt: skip
    more = [p + ids + tokenizer.encode(" so") for p, ids in zip(prompts, answer.token_ids, strict=True)]
    again = batch_generate(
        model,
        tokenizer,
        [tokenizer.encode(" so")] * 4,
        prompt_caches=answer.caches,
        max_tokens=5,
        return_token_ids=True,
    )
    rotating = batch_generate(model, tokenizer, prompts, max_tokens=20, max_kv_size=16, return_token_ids=True)

    generator = BatchGenerator(model, max_tokens=8, prefill_batch_size=2, completion_batch_size=3, prefill_step_size=8)
    running = dict.fromkeys(generator.insert(prompts[:3]), 0)
    seen: dict[int, list[int]] = {uid: [] for uid in running}
    for step in range(60):
        if step == 3:
            for uid in generator.insert(prompts[3:]):
                seen[uid] = []
        if step == 5:
            generator.remove([next(iter(running))])
        for response in generator.next_generated():
            seen[response.uid].append(int(response.token))
    generator.close()
    return {
        "ids": answer.token_ids,
        "logprobs": answer.logprobs,
        "again": again.token_ids,
        "alone": [[t for t, _ in steps(model, p, 5)] for p in more],
        "rotating": rotating.token_ids,
        "joining": list(seen.values()),
    }


@scenario
def speculating(folder: pathlib.Path) -> Any:
    """A draft model proposes; the tokens are those of the model alone."""
    model, tokenizer = load(folder)
    draft, _ = load(folder, "draft")
    tokens = mx.array(tokenizer.encode(PROMPT))
    result = {}
    for name, proposer in (("other", draft), ("itself", model)):
        found = speculative_generate_step(tokens, model, proposer, num_draft_tokens=3, max_tokens=14)
        result[name] = [[int(token), float(p[int(token)]), bool(drafted)] for token, p, drafted in found]
    result["alone"] = [t for t, _ in steps(model, tokens, 14)]
    return result
