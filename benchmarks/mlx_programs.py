"""Training programs of MLX's users, step by step and compiled: under MLX's wheel, under the wheel with OpenBLAS, under the shim
from the same source, and the same work written for funcnn."""

from __future__ import annotations

import importlib

from .case import Case, losses

ROWS = {
    f"{name}_{way}": "ms" for name in ("tiny", "mlp", "cnn", "transformer", "lora") for way in ("eager", "compiled")
}
FRAMEWORKS = ("funcnn", "funcnn.compat", "mlx", "mlx+openblas")


def build(row: str, framework: str) -> Case:
    name, way = row.split("_")
    kind = "fn" if framework == "funcnn" else "mlx"
    program = importlib.import_module(f"benchmarks.programs.{kind}_{name}").program
    loop = getattr(importlib.import_module(f"benchmarks.programs.{kind}_training"), way)
    step = loop(*program())
    return Case(step, losses(step, 3))
