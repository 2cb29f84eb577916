"""The scenario of the example that talks: a small GGUF file with a tokenizer, read, loaded into mlx-lm's Llama, asked."""

import contextlib
import importlib.util
import io
import pathlib
import re
import sys
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from tests.compat.client import tiny_model
from tests.compat.client.scenarios import load, scenario
from tokenizers import pre_tokenizers

EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "examples" / "mlx" / "chat.py"


def example() -> Any:
    """Import the example."""
    spec = importlib.util.spec_from_file_location("chat", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@scenario
def chatting(folder: pathlib.Path) -> Any:
    """Run examples/mlx/chat.py on the small model, saved as such a file."""
    chat = example()
    model, _ = load(folder)
    names = {name: path for path, name in chat.LAYER.items()} | {name: path for path, name in chat.TOP.items()}

    def name_in_gguf(path: str) -> str:
        path, kind = path.rsplit(".", 1)
        parts = path.split(".")
        if path in names:
            return f"{names[path]}.{kind}"
        return f"blk.{parts[2]}.{names['.'.join(parts[3:])]}.{kind}"

    weights = {name_in_gguf(path): value for path, value in tree_flatten(model.parameters())}
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [*letters, *tiny_model.SPECIAL],
        "tokenizer.ggml.token_type": mx.array([1] * len(letters) + [3] * len(tiny_model.SPECIAL)),
        "tokenizer.ggml.merges": ["t h", "th e"],
        "tokenizer.ggml.eos_token_id": mx.array(258, mx.uint32),
        "tokenizer.chat_template": tiny_model.TEMPLATE,
        "llama.rope.freq_base": mx.array(10000.0),
        "llama.attention.layer_norm_rms_epsilon": mx.array(1e-5),
    }
    args = model.args
    for key, value in {
        "embedding_length": args.hidden_size,
        "block_count": args.num_hidden_layers,
        "feed_forward_length": args.intermediate_size,
        "attention.head_count": args.num_attention_heads,
        "attention.head_count_kv": args.num_key_value_heads,
    }.items():
        metadata[f"llama.{key}"] = mx.array(value, mx.uint32)
    metadata["tokenizer.ggml.tokens"] += ["th", "the"]
    metadata["tokenizer.ggml.token_type"] = mx.array([1] * 256 + [3] * 3 + [1] * 2)
    # Rows for the two tokens that merges make.
    for name in ("token_embd.weight", "output.weight"):
        weights[name] = mx.concatenate([weights[name], weights[name][:2] * 0.5])
    mx.save_gguf(str(folder / "tiny.gguf"), weights, metadata)

    said = {}
    for options in (["--prompt", "the fox", "--max-tokens", "12"], ["--temp", "1", "--seed", "3", "--max-tokens", "9"]):
        before, sys.argv = sys.argv, ["chat", "--gguf", str(folder / "tiny.gguf"), *options]
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                chat.main()
        finally:
            sys.argv = before
        question, answer, speed = re.fullmatch(r"> (.*?)\n(.*)\n\n([^\n]*)\n", printed.getvalue(), re.DOTALL).groups()
        assert re.fullmatch(
            r"\w+: prompt of \d+ tokens at \d+ tokens a second; \d+ tokens at [\d.]+ tokens a second", speed
        )
        said[question] = [answer, re.findall(r"(\d+) tokens at", speed)]
    return said
