"""Scenarios of fine-tuning: LoRA, DoRA, full, by function and by command; fusing; perplexity."""

import pathlib
import sys
import types
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import mlx_lm
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm import fuse, lora
from mlx_lm.perplexity import eval_ppl
from mlx_lm.tuner import datasets
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.trainer import TrainingArgs, evaluate, train
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters, remove_lora_layers
from tests.compat.client import tiny_model
from tests.compat.client.scenarios import PROMPT, load, scenario

LORA = {"rank": 4, "dropout": 0.1, "scale": 10.0}
ALL_KEYS = ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]


class Losses(TrainingCallback):
    """Keeps the losses that training reports."""

    def __init__(self) -> None:
        self.train: list[float] = []
        self.valid: list[float] = []

    def on_train_loss_report(self, train_info: dict) -> None:
        self.train.append(train_info["train_loss"])

    def on_val_loss_report(self, val_info: dict) -> None:
        self.valid.append(val_info["val_loss"])


def sentences(folder: pathlib.Path, tokenizer: Any) -> Any:
    if not (folder / "data").exists():
        tiny_model.save_data(folder / "data")
    args = types.SimpleNamespace(data=str(folder / "data"), train=True, test=True)
    return [datasets.CacheDataset(part) for part in datasets.load_dataset(args, tokenizer)]


def fit(folder: pathlib.Path, model: Any, tokenizer: Any, optimizer: Any, iters: int = 8, **options: Any) -> list[Any]:
    """Train and return the losses, and the sums of what was saved."""
    np.random.seed(3)
    training, valid, _ = sentences(folder, tokenizer)
    losses = Losses()
    file = folder / "adapters.safetensors"
    arguments = TrainingArgs(
        batch_size=4, iters=iters, steps_per_report=1, steps_per_eval=4, steps_per_save=100, val_batches=1,
        adapter_file=str(file), **options,
    )  # fmt: skip
    train(model, optimizer, training, valid, arguments, training_callback=losses)
    saved = mx.load(str(file))
    return [
        losses.train,
        losses.valid,
        {k: float(mx.abs(v.astype(mx.float32)).sum()) for k, v in sorted(saved.items())},
    ]


@scenario
def tuning(folder: pathlib.Path) -> Any:
    """LoRA, DoRA and full, with several optimisers, checkpoints and accumulation."""
    result = {}
    # Checkpointed without dropout: MLX recomputes a layer with another mask than the one it was computed with.
    for name, dropout, optimizer, options in (
        ("lora", 0.1, optim.Adam(1e-3), {}),
        ("dora", 0.1, optim.AdamW(1e-3), {}),
        ("lora, checkpointed", 0.0, optim.SGD(1e-2), {"grad_checkpoint": True}),
        ("lora, accumulated", 0.1, optim.Adafactor(1e-3), {"grad_accumulation_steps": 2}),
        ("lora, muon", 0.1, optim.Muon(1e-2), {}),
        ("lora, schedule", 0.1, optim.Adam(optim.cosine_decay(1e-3, 8)), {}),
    ):
        model, tokenizer = load(folder)
        model.freeze()
        mx.random.seed(5)
        linear_to_lora_layers(model, 2, {**LORA, "dropout": dropout, "keys": ALL_KEYS}, use_dora=name == "dora")
        call = type(model.layers[0]).__call__
        try:
            result[name] = fit(folder, model, tokenizer, optimizer, **options)
        finally:
            type(model.layers[0]).__call__ = call  # grad_checkpoint changes the class
    model, tokenizer = load(folder)
    model.freeze()
    model.layers[-1].unfreeze()
    result["full"] = fit(folder, model, tokenizer, optim.Adam(1e-3))
    model, tokenizer = load(folder)
    mx.random.seed(5)
    model.freeze()
    linear_to_lora_layers(model, 1, {**LORA, "keys": None}, use_dora=False)
    result["keys by default"] = sorted(k for k, _ in tree_flatten(model.trainable_parameters()))
    return result


@scenario
def tuning_by_command(folder: pathlib.Path) -> Any:
    """`mlx_lm.lora --train --test`, generation with the adapters, `mlx_lm.fuse`, and the fused model."""
    _, tokenizer = load(folder)
    sentences(folder, tokenizer)
    adapters, fused = folder / "adapters", folder / "fused"
    command(
        lora.main,
        f"--model {folder / 'model'} --train --test --data {folder / 'data'} --iters 6 --batch-size 2 --num-layers 2 "
        f"--adapter-path {adapters} --learning-rate 1e-3 --steps-per-report 2 --save-every 3 --test-batches 2 --seed 4",
    )
    model, tokenizer = load(folder, adapter_path=str(adapters))
    result = {
        "files": sorted(path.name for path in adapters.iterdir()),
        "sums": sums(mx.load(str(adapters / "adapters.safetensors"))),
        "adapted": mlx_lm.generate(model, tokenizer, PROMPT, max_tokens=10),
    }
    command(fuse.main, f"--model {folder / 'model'} --adapter-path {adapters} --save-path {fused}")
    whole, tokenizer = load(folder, "fused")
    result["fused"] = mlx_lm.generate(whole, tokenizer, PROMPT, max_tokens=10)
    result["fused weights"] = sums(dict(tree_flatten(whole.parameters())))
    plain, _ = load(folder)
    again = remove_lora_layers(load_adapters(load(folder)[0], str(adapters)))
    result["removed"] = sums(dict(tree_flatten(again.parameters()))) == sums(dict(tree_flatten(plain.parameters())))
    return result


@scenario
def evaluating(folder: pathlib.Path) -> Any:
    """Losses of a dataset, prompts masked, and perplexity."""
    model, tokenizer = load(folder)
    _, valid, test = sentences(folder, tokenizer)
    tokens = mx.array([test[i][0][:16] for i in range(4)])
    return {
        "loss": evaluate(model, valid, batch_size=2, num_batches=-1),
        "perplexity": list(eval_ppl(model, tokens, batch_size=2)),
    }


def sums(arrays: dict[str, Any]) -> dict[str, float]:
    """Return a digest of named arrays."""
    return {name: float(mx.abs(value.astype(mx.float32)).sum()) for name, value in sorted(arrays.items())}


def command(main: Any, arguments: str) -> None:
    """Call a command's main function with arguments."""
    before = sys.argv
    sys.argv = [main.__module__, *arguments.split()]
    try:
        main()
    finally:
        sys.argv = before
