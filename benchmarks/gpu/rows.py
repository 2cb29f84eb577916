"""What is measured: rows of the workloads beside, with larger numbers in the places of theirs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..case import Case
from ..place import dtype as computing_in

# The language model has the size of the small GPT-2.
LARGER: Mapping[str, Mapping[str, Any]] = {
    "lm": {"LAYERS": 12, "WIDTH": 768, "HEADS": 12, "HEAD": 64, "HIDDEN": 3072, "VOCABULARY": 32768, "PLACES": 512},
    "lm_train": {"SEQUENCES": 16},
    "lm_decode": {"CACHE": (1, 12, 128, 64)},
    "cnn_train": {"BATCH": 64, "SIDE": 64},
    "adamw_update": {"LEAVES": 100, "SHAPE": (1240, 1000)},
    "elementwise": {"SHAPE": (65536, 1024)},
}


@dataclass(frozen=True)
class GpuRow:
    module: str
    row: str
    dtype: str = "float32"
    host: bool = False  # the time until a step returns, not until its work is done

    @property
    def name(self) -> str:
        return self.row + (", bfloat16" if self.dtype == "bfloat16" else "") + (", host" if self.host else "")

    @property
    def tolerance(self) -> float:
        return 1e-3 if self.dtype == "float32" else 3e-2

    def build(self, framework: str) -> Case | None:
        for module, constants in LARGER.items():
            vars(importlib.import_module(f"benchmarks.{module}")).update(constants)
        module = importlib.import_module(f"benchmarks.{self.module}")
        with computing_in(self.dtype):
            return module.build(self.row, framework)


BOTH = ("float32", "bfloat16")
# What compiles quickly comes first.
ROWS = [
    *(GpuRow("elementwise", row, dtype) for row in ("tanh(a*b+1)*a-b", "softmax", "layer_norm") for dtype in BOTH),
    *(GpuRow("elementwise", row) for row in ("gelu", "sum_axis0", "sum_axis1")),
    *(GpuRow("gemm", f"matmul_{n}", dtype) for n in (4096, 8192) for dtype in BOTH),
    GpuRow("adamw_update", "adamw_update"),
    GpuRow("mlp_train", "mlp_train"),
    GpuRow("mlp_train", "mlp_train", host=True),
    GpuRow("cnn_train", "cnn_train"),
    *(GpuRow("lm_train", "lm_train", dtype) for dtype in BOTH),
    GpuRow("lm_decode", "lm_decode"),
]
