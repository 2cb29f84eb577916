"""Saving and loading: `funcnn.io` with MLX's names, classes of errors, and file objects."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ... import io
from ..._core import array
from ...io._mapping import reading_up_to
from ._wrap import shim

__all__ = ["load", "save", "save_gguf", "save_safetensors", "savez", "savez_compressed"]

_FORMATS = ("npy", "npz", "safetensors", "gguf")
# Arrays of MLX are memory of their own, which programs count on where they write a file that they have loaded. Larger
# files, as of weights, are mapped.
_READ_UP_TO = 1 << 28


def _path(function: str, file: Any) -> str | None:
    """The name of a file, or None of what is none."""
    if file is None:
        raise TypeError(f"{function}: expected a file, got None")
    return os.fspath(file) if isinstance(file, (str, os.PathLike)) else None


def _load(file: Any, /, format: str | None = None, return_metadata: bool = False) -> Any:
    """Read the arrays of a file, given by its name or open in binary mode.

    Args:
        file: A file of format npy, npz, safetensors or gguf. A gguf file is given by its name.
        format: The format, if the end of the name does not tell it.
        return_metadata: Whether to return what is stored beside the arrays, too (safetensors and gguf).

    Returns:
        The array of an npy file; of others a dict from names to arrays, or a pair of it and the metadata.

    Raises:
        RuntimeError: There is no npy or safetensors file of the name, or what a file of another format than npz holds is malformed.
        ValueError: There is no npz or gguf file of the name, an npz file is malformed, or the format is unknown or holds no
            metadata.
    """
    path = _path("load", file)
    if path is None and not hasattr(file, "read"):
        raise ValueError(f"load: expected a name or a file open in binary mode, got {type(file).__name__}")
    if format is None:
        _name, dot, format = os.path.basename(file.name if path is None else path).rpartition(".")
        if not dot:
            raise ValueError(f"load: the name {format!r} does not end in a format; give the format")
    if format not in _FORMATS:
        raise ValueError(f"load: unknown format {format!r}; there are {', '.join(_FORMATS)}")
    if return_metadata and format in ("npy", "npz"):
        raise ValueError(f"load: the format {format} holds no metadata")
    if path is not None:
        try:
            return _read(path, format, return_metadata)
        except OSError as error:
            raise _error_of(format)(f"load: cannot open {path}: {error.strerror or error}") from None
    if format == "gguf":
        raise ValueError("load: a gguf file is given by its name")
    data = file.read()
    if not isinstance(data, bytes):
        raise ValueError("load: expected a file open in binary mode")
    with _temporary() as written:
        with open(written, "wb") as copy:
            copy.write(data)
        return _read(written, format, return_metadata)


def _read(path: str, format: str, return_metadata: bool) -> Any:
    try:
        with reading_up_to(_READ_UP_TO):
            return io.load(path, format=format, return_metadata=return_metadata)
    except ValueError as error:
        raise (ValueError if format == "npz" else RuntimeError)(str(error)) from None


def _error_of(format: str) -> type[Exception]:
    return RuntimeError if format in ("npy", "safetensors") else ValueError


@contextmanager
def _temporary(suffix: str = "") -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="funcnn-")
    written = os.path.join(folder, f"file{suffix}")
    try:
        yield written
    finally:
        if os.path.exists(written):
            os.remove(written)
        os.rmdir(folder)


def _write(function: str, file: Any, suffix: str, write: Callable[[str], None]) -> None:
    """Let `write` write to a file given by its name, to which the suffix is added, or to an open one."""
    path = _path(function, file)
    if path is not None:
        path = path if path.endswith(suffix) else path + suffix
        try:
            return write(path)
        except OSError as error:
            if suffix == ".npz":
                raise
            raise RuntimeError(f"{function}: cannot write {path}: {error.strerror or error}") from None
    if not hasattr(file, "write"):
        raise ValueError(f"{function}: expected a name or a file open for writing, got {type(file).__name__}")
    if suffix == ".gguf":
        raise ValueError(f"{function}: a gguf file is given by its name")
    with _temporary(suffix) as written:
        write(written)
        with open(written, "rb") as made:
            file.write(made.read())


def _arrays(function: str, arrays: Any) -> dict[str, array]:
    if not isinstance(arrays, dict):
        raise TypeError(f"{function}: expected a dict from names to arrays, got {type(arrays).__name__}")
    for name, x in arrays.items():
        if not isinstance(name, str) or not isinstance(x, array):
            raise RuntimeError(f"{function}: expected names and arrays, got {name!r}: {type(x).__name__}")
    return arrays


def save(file: Any, arr: array) -> None:
    """Write an array in format npy.

    Args:
        file: A name, to which ``.npy`` is added where it ends otherwise, or a file open for writing.
        arr: The array.
    """
    if not isinstance(arr, array):
        raise TypeError(f"save: expected an array, got {type(arr).__name__}")
    _write("save", file, ".npy", lambda path: io.save(path, arr))


def _savez(function: str, file: Any, args: tuple[Any, ...], kwargs: dict[str, Any], compressed: bool) -> None:
    named = dict(kwargs)
    for i, x in enumerate(args):
        if f"arr_{i}" in named:
            raise ValueError(f"{function}: the name arr_{i} is that of an array without a name")
        named[f"arr_{i}"] = x
    _arrays(function, named)
    _write(function, file, ".npz", lambda path: io._savez(function, path, (), named, compressed))


def savez(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays in format npz, those without a name as ``arr_0``, ``arr_1``, ...

    Args:
        file: A name, to which ``.npz`` is added where it ends otherwise, or a file open for writing.
        *args: Arrays.
        **kwargs: Arrays by their names.
    """
    _savez("savez", file, args, kwargs, False)


def savez_compressed(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays in format npz, compressed; see `savez`.

    Args:
        file: A name, to which ``.npz`` is added where it ends otherwise, or a file open for writing.
        *args: Arrays.
        **kwargs: Arrays by their names.
    """
    _savez("savez_compressed", file, args, kwargs, True)


def save_safetensors(file: Any, arrays: dict[str, array], metadata: dict[str, str] | None = None) -> None:
    """Write arrays in format safetensors.

    Args:
        file: A name, to which ``.safetensors`` is added where it ends otherwise, or a file open for writing.
        arrays: Arrays by their names.
        metadata: Texts to store beside the arrays.
    """
    _arrays("save_safetensors", arrays)
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"save_safetensors: metadata must be a dict, got {type(metadata).__name__}")
    if not all(isinstance(text, str) for entry in (metadata or {}).items() for text in entry):
        raise ValueError("save_safetensors: metadata must be a dict from texts to texts")
    _write("save_safetensors", file, ".safetensors", lambda path: io.save_safetensors(path, arrays, metadata))


def save_gguf(file: Any, arrays: dict[str, array], metadata: dict[str, Any] | None = None) -> None:
    """Write arrays in format gguf.

    Args:
        file: A name, to which ``.gguf`` is added where it ends otherwise.
        arrays: Arrays by their names.
        metadata: Texts, lists of texts and arrays to store beside them.
    """
    _arrays("save_gguf", arrays)
    _write("save_gguf", file, ".gguf", lambda path: io.save_gguf(path, arrays, metadata))


load = shim(_load, "load")
