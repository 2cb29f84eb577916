"""Saving and loading."""

from __future__ import annotations

from typing import Any

from ... import io
from ._wrap import shim


def save(file: Any, arr: Any) -> None:
    """Write an array to a npy file."""
    io.save(file if str(file).endswith(".npy") else f"{file}.npy", arr)


def _load(file: Any, /, format: str | None = None, return_metadata: bool = False) -> Any:
    return io.load(file, format=format, return_metadata=return_metadata)


load = shim(_load, "load")
savez = io.savez
savez_compressed = io.savez_compressed
save_safetensors = io.save_safetensors
save_gguf = io.save_gguf

__all__ = ["load", "save", "save_gguf", "save_safetensors", "savez", "savez_compressed"]
