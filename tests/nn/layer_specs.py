"""What every layer should do: one table that drives test_all_layers.py and test_all_layers_against_mlx.py.

To test a new layer, add a row to the file of its family in specs/, or a file that lists its rows as ``ROWS``. A row says
how to make and call the layer, what NumPy or MLX compute for the same parameters, and what is special; the tests do the
rest: initialisation compiled and mapped, gradients twice, checkpoint, compile, pickling, files, half precision, empty
batches, purity, and the comparison with MLX.
"""

from __future__ import annotations

import importlib
import pkgutil

from nn import specs
from nn.specs.rows import LayerSpec

SPECS: list[LayerSpec] = [
    spec
    for module in pkgutil.iter_modules(specs.__path__)
    for spec in getattr(importlib.import_module(f"nn.specs.{module.name}"), "ROWS", ())
]
