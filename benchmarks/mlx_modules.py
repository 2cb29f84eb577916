"""Modules in MLX's style, under MLX and under the shim: making them, listing, replacing and mapping their parameters."""

from __future__ import annotations

import importlib

import numpy as np

from .case import Case

ROWS = {
    "create_layers": "us",
    "module_parameters": "us",
    "module_update": "us",
    "module_tree_map": "us",
    "module_tree_flatten": "us",
    "module_value_and_grad": "us",
}
FRAMEWORKS = ("funcnn.compat", "mlx")


def build(row: str, framework: str) -> Case:
    mx, nn, utils = (importlib.import_module(f"{framework}.{name}") for name in ("core", "nn", "utils"))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.Linear(8, 8)
            self.mlp = nn.Linear(8, 8)
            self.norm = nn.RMSNorm(8)

    class Model(nn.Module):
        """Five arrays in each of its blocks."""

        def __init__(self, blocks: int):
            super().__init__()
            self.layers = [Block() for _ in range(blocks)]

    model, large = Model(40), Model(200)
    parameters, tree = model.parameters(), large.parameters()
    linear, x = nn.Linear(8, 8), mx.ones((4, 8))
    loss_and_grad = nn.value_and_grad(linear, lambda x: linear(x).square().sum())

    def gradients():
        value, grads = loss_and_grad(x)
        mx.eval(value, grads)
        return grads

    step = {
        "create_layers": lambda: [nn.Linear(8, 8) for _ in range(1000)],
        "module_parameters": model.parameters,
        "module_update": lambda: model.update(parameters),
        "module_tree_map": lambda: utils.tree_map(lambda leaf: leaf, tree),
        "module_tree_flatten": lambda: utils.tree_flatten(tree, destination={}),
        "module_value_and_grad": gradients,
    }[row]
    return Case(step, lambda: [np.array(sum(leaf.size for _, leaf in utils.tree_flatten(step())))])
