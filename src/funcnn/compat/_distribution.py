"""``mlx`` as a distribution: loaded when somebody asks ``importlib.metadata``, which takes a while to load itself."""

from __future__ import annotations

import pathlib
from importlib.metadata import Distribution
from typing import Any

from ._version import MLX_VERSION


class MlxDistribution(Distribution):
    """What ``importlib.metadata`` knows of ``mlx``."""

    def read_text(self, filename: str) -> str | None:
        return {
            "METADATA": f"Metadata-Version: 2.1\nName: mlx\nVersion: {MLX_VERSION}\nSummary: The shim of MLX in funcnn\n",
            "INSTALLER": "funcnn\n",
            "top_level.txt": "mlx\n",
        }.get(filename)

    def locate_file(self, path: Any) -> Any:
        return pathlib.Path(__file__).parent.parent / path
