"""The scenario of quantisations that learn from data: GPTQ, AWQ, DWQ, and bits chosen by sensitivity."""

import copy
import pathlib
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import mlx_lm
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.quant import awq, dwq, dynamic_quant, gptq
from tests.compat.client import tiny_model
from tests.compat.client.scenarios import scenario


@scenario
def learning_to_quantise(folder: pathlib.Path) -> Any:
    """The losses of the quantised models, which see the same data."""
    tiny_model.save_model(folder / "model", layers=1, hidden=64)
    whole, _ = mlx_lm.load(str(folder / "model"))
    draw = np.random.default_rng(2)
    data = mx.array(draw.integers(0, 256, (8, 12)))
    result: dict[str, Any] = {"whole": dynamic_quant.eval_ppl(whole, data)}

    model, config = gptq.gptq_quantize(copy.deepcopy(whole), data, 4, 32, 8, 32, batch_size=4)
    result["gptq"] = [kinds(model), config, dynamic_quant.eval_ppl(model, data)]

    found = dict(dynamic_quant.estimate_sensitivities(whole, data, 2, 32, 8, 32, batch_size=4))
    result["sensitivities"] = found
    result["threshold"] = dynamic_quant.estimate_threshold(whole, found, 4.5, 2, 32, 8, 32)

    model = copy.deepcopy(whole)
    awq.awq_quantize(model, data, awq.AWQ_MODEL_CONFIGS["llama"], group_size=32, bits=4, embed_group_size=32, n_grid=4)
    result["awq"] = [kinds(model), dynamic_quant.eval_ppl(model, data)]

    model = copy.deepcopy(whole)
    nn.quantize(model, group_size=32, bits=4)
    model.freeze()
    examples = [(row.tolist(), 0) for row in np.array(data)]
    before = dynamic_quant.eval_ppl(model, data)
    dwq.dwq_quantize(
        model, lambda batch, index, split: whole(batch), optim.Adam(1e-3, bias_correction=True), examples, examples[:4],
        batch_size=2, max_seq_length=16, seed=1, dtype=mx.float32,
    )  # fmt: skip
    result["dwq"] = [before, dynamic_quant.eval_ppl(model, data)]
    return result


def kinds(model: Any) -> list[str]:
    """Return the shapes and dtypes of a model's parameters."""
    return [f"{k} {v.shape} {str(v.dtype).split('.')[-1]}" for k, v in sorted(tree_flatten(model.parameters()))]
