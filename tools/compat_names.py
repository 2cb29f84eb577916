"""Write `compat_names.json`: the public names of MLX, by module or class, from the MLX that is installed.

PYTHONPATH=...where mlx is... .venv/bin/python tools/compat_names.py
"""

from __future__ import annotations

import importlib
import json
import pathlib
import types
from typing import Any

PATH = pathlib.Path(__file__).with_name("compat_names.json")
MODULES = (
    *("core", "core.random", "core.linalg", "core.fft", "core.fast", "core.distributed", "core.metal", "core.cuda"),
    *("nn", "nn.losses", "nn.init", "nn.utils", "optimizers", "utils"),
)
CLASSES = ("core.array", "core.ArrayAt", "nn.Module", "optimizers.Optimizer")


def names() -> dict[str, list[str]]:
    """The public names of modules and classes, sorted."""
    found = {}
    for module in MODULES:
        of = importlib.import_module(f"mlx.{module}") if "core." not in module else _attribute(module)
        found[module] = sorted(name for name in dir(of) if _is_public(of, name))
    for cls in CLASSES:
        of = _attribute(cls)
        plain = {*dir(dict), *dir(object)} if issubclass(of, dict) else {*dir(object)}
        own = {name for name in dir(of) if name in vars(of) or name not in plain}
        found[cls] = sorted(name for name in own if name not in _OF_PYTHON and not _is_private(name))
    return found


# What every class has, and what the makers of classes leave there.
_OF_PYTHON = {
    "__module__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__new__",
    "__init_subclass__",
    "__subclasshook__",
    "__annotations__",
}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _attribute(path: str) -> Any:
    of: Any = importlib.import_module(f"mlx.{path.split('.')[0]}")
    for part in path.split(".")[1:]:
        of = getattr(of, part)
    return of


def _is_public(module: Any, name: str) -> bool:
    """Whether a name of a module is its own, not one that it imports from elsewhere."""
    if name in ("__version__", "__array_namespace_info__"):
        return True
    value = getattr(module, name)
    if name.startswith("_") or name == "mx":
        return False
    if isinstance(value, types.ModuleType):
        return value.__name__.startswith("mlx")
    home = getattr(value, "__module__", None)
    return home is None or home.startswith(module.__name__) or module.__name__.startswith("mlx.core")


def main() -> None:
    """Write the file."""
    import mlx.core

    PATH.write_text(json.dumps({"version": mlx.core.__version__, **names()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
