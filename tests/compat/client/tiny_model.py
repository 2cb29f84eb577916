"""A small Llama on disk as mlx-lm loads it: configuration, weights, a tokenizer of bytes with a chat template. No network."""

import json
import pathlib
from typing import Any

import numpy as np
from safetensors.numpy import save_file

__all__ = ["save_data", "save_model"]

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_model(
    folder: pathlib.Path, seed: int = 0, layers: int = 2, hidden: int = 128, dtype: Any = np.float32
) -> None:
    """Write a Llama with random weights that are peaked enough for greedy decoding to be the same on any machine."""
    folder.mkdir(parents=True)
    config = {
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": 2 * hidden,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": hidden // 4,
        "rms_norm_eps": 1e-5,
        "vocab_size": 256 + len(SPECIAL),
        "rope_theta": 10000.0,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "eos_token_id": 256,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_weights(config, seed, dtype), folder / "model.safetensors", metadata={"format": "mlx"})
    _save_tokenizer(folder)


def _weights(config: dict[str, Any], seed: int, dtype: Any) -> dict[str, np.ndarray]:
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens": (vocab, hidden), "lm_head": (vocab, hidden)}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        shapes |= {
            f"{layer}.self_attn.q_proj": (hidden, hidden),
            f"{layer}.self_attn.k_proj": (keys, hidden),
            f"{layer}.self_attn.v_proj": (keys, hidden),
            f"{layer}.self_attn.o_proj": (hidden, hidden),
            f"{layer}.mlp.gate_proj": (inner, hidden),
            f"{layer}.mlp.up_proj": (inner, hidden),
            f"{layer}.mlp.down_proj": (hidden, inner),
            f"{layer}.input_layernorm": (hidden,),
            f"{layer}.post_attention_layernorm": (hidden,),
        }
    shapes["model.norm"] = (hidden,)
    draw = np.random.default_rng(seed)
    drawn = {name: draw.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return {
        f"{name}.weight": (1 + 0.1 * w if w.ndim == 1 else w * 2 / w.shape[1] ** 0.5).astype(dtype)
        for name, w in drawn.items()
    }


def _save_tokenizer(folder: pathlib.Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": SPECIAL[0],
                "pad_token": SPECIAL[0],
                "chat_template": TEMPLATE,
                "model_max_length": 512,
            }
        )
    )


def save_data(folder: pathlib.Path) -> None:
    """Write the sentences that fine-tuning learns, validates and is tested on."""
    folder.mkdir(parents=True)
    animals, foods = ["cat", "dog", "bird", "fox"], ["fish", "bread", "seeds", "grapes", "rice"]
    sentences = [f"the {animal} eats {food}." for animal in animals for food in foods]
    for name, part in (("train", sentences[:16]), ("valid", sentences[16:]), ("test", sentences[12:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in part))
