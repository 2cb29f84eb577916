"""Scenarios of converting: `mlx_lm.convert` with every mode, mixed bits, back again; LoRA on a quantised model; GGUF."""

import importlib
import pathlib
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import mlx_lm
from mlx.utils import tree_flatten
from mlx_lm import fuse, lora
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import compute_bits_per_weight, dequantize_model
from tests.compat.client.generation import steps
from tests.compat.client.scenarios import PROMPT, load, scenario
from tests.compat.client.tuning import LORA, command, fit, sentences, sums

converting = importlib.import_module("mlx_lm.convert")  # mlx_lm.convert is the function


@scenario
def converting_models(folder: pathlib.Path) -> Any:
    """The files that conversion writes, and what the converted models say."""
    model, tokenizer = load(folder)
    tokens = tokenizer.encode(PROMPT)
    whole = model(mx.array([tokens]))
    result: dict[str, Any] = {}
    for name, options in (
        ("q4", "-q --q-bits 4 --q-group-size 32"),
        ("q8", "-q --q-bits 8 --q-group-size 64"),
        ("q2", "-q --q-bits 2 --q-group-size 128"),
        ("q6", "-q --q-bits 6 --q-group-size 64"),
        ("mxfp4", "-q --q-mode mxfp4"),
        ("mxfp8", "-q --q-mode mxfp8"),
        ("nvfp4", "-q --q-mode nvfp4"),
        ("mixed", "-q --quant-predicate mixed_3_6"),
        ("half", "--dtype float16"),
        ("brain", "--dtype bfloat16"),
    ):
        command(converting.main, f"--hf-path {folder / 'model'} --mlx-path {folder / name} {options}")
        model, tokenizer = load(folder, name)
        weights = dict(tree_flatten(model.parameters()))
        kinds = sorted({f"{k.split('.')[-1]} {str(v.dtype).split('.')[-1]} {v.shape}" for k, v in weights.items()})
        logits = model(mx.array([tokens])).astype(mx.float32)
        result[name] = {"kinds": kinds, "bits": compute_bits_per_weight(model), "sums": sums(weights)}
        if name in ("half", "brain"):  # they round differently at every step
            result[name]["near"] = float(mx.abs(logits - whole).mean()) < (0.01 if name == "half" else 0.1)
        else:
            result[name]["logits"] = logits[0, -1, :8].tolist()
            result[name]["loss"] = float(mx.logsumexp(logits, axis=-1).mean())
    command(converting.main, f"--hf-path {folder / 'q4'} --mlx-path {folder / 'back'} -d")
    model, _ = load(folder, "back")
    result["back"] = [sums(dict(tree_flatten(model.parameters()))), [t for t, _ in steps(model, tokens, 8)]]
    model, _ = load(folder, "q8")
    result["dequantised"] = sums(dict(tree_flatten(dequantize_model(model).parameters())))
    return result


@scenario
def tuning_quantised(folder: pathlib.Path) -> Any:
    """LoRA and DoRA on a model of 4 bits, then fused, quantised still and not."""
    load(folder)
    command(converting.main, f"--hf-path {folder / 'model'} --mlx-path {folder / 'q4'} -q --q-bits 4 --q-group-size 32")
    result = {}
    for name, dora in (("lora", False), ("dora", True)):
        model, tokenizer = load(folder, "q4")
        model.freeze()
        mx.random.seed(5)
        linear_to_lora_layers(model, 2, {**LORA, "keys": ["self_attn.q_proj", "mlp.up_proj"]}, use_dora=dora)
        result[name] = fit(folder, model, tokenizer, optim.Adam(1e-3), iters=5)
        fused = [(n, m.fuse(dequantize=True)) for n, m in model.named_modules() if hasattr(m, "fuse")]
        result[f"{name} fused"] = [
            [n, type(m).__name__, float(mx.abs(m.weight).sum())] for n, m in sorted(fused, key=str)
        ]
    return result


@scenario
def exporting_gguf(folder: pathlib.Path) -> Any:
    """`mlx_lm.fuse --export-gguf`, read again."""
    model, tokenizer = load(folder)
    adapters = folder / "adapters"
    sentences(folder, tokenizer)
    command(
        lora.main,
        f"--model {folder / 'model'} --train --data {folder / 'data'} --iters 1 --batch-size 2 --num-layers 1 "
        f"--adapter-path {adapters} --learning-rate 1e-3",
    )
    command(
        fuse.main,
        f"--model {folder / 'model'} --adapter-path {adapters} --save-path {folder / 'out'} --export-gguf "
        f"--gguf-path {folder / 'm.gguf'}",
    )
    arrays, metadata = mx.load(str(folder / "m.gguf"), return_metadata=True)
    return {
        "sums": sums(arrays),
        "metadata": sorted(
            f"{k} {v if isinstance(v, str) else getattr(v, 'shape', v)}"[:60] for k, v in metadata.items()
        ),
        "text": mlx_lm.generate(model, tokenizer, PROMPT, max_tokens=4),
    }
