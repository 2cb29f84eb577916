"""safetensors: the package writes and validates; the data are mapped at the places it has checked."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import funcnn as fn

from ._mapping import mapped
from ._trees import raw, restore

DTYPES = {
    "BOOL": fn.bool_,
    "U8": fn.uint8,
    "I8": fn.int8,
    "U16": fn.uint16,
    "I16": fn.int16,
    "F16": fn.float16,
    "BF16": fn.bfloat16,
    "U32": fn.uint32,
    "I32": fn.int32,
    "F32": fn.float32,
    "U64": fn.uint64,
    "I64": fn.int64,
    "F64": fn.float64,
    "C64": fn.complex64,
}
# There is no dtype of 8-bit floats: their bytes are loaded.
DTYPES |= dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), fn.uint8)
_MOST_LISTED = 10


def write_safetensors(path: str, arrays: dict[str, fn.array], metadata: dict[str, str]) -> None:
    import numpy as np
    import safetensors

    contents = {name: np.frombuffer(raw(x), np.uint8) for name, x in arrays.items()}
    tensors = {
        name: safetensors.TensorSpec(
            dtype=x.dtype.name, shape=x.shape, data_ptr=contents[name].ctypes.data, data_len=x.nbytes
        )
        for name, x in arrays.items()
    }
    try:
        safetensors.serialize_file(tensors, path, metadata or None)
    except safetensors.SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), path) from error
        raise OSError(f"{path}: {error}") from error


@contextlib.contextmanager
def opened_safetensors(path: str) -> Iterator[tuple[BinaryIO, Any, int]]:
    """The file, the package's view of it, and where the data begin."""
    import safetensors

    while True:
        with open(path, "rb") as file:
            try:
                handle = safetensors.safe_open(path, framework="numpy")
            except FileNotFoundError:  # deleted since it was opened
                raise
            except (safetensors.SafetensorError, OSError) as error:
                raise _malformed(path, f"{error}{_suspect(file)}") from error
            with handle:
                # The package opens files by name: a name may stand for another file by now.
                if not os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                    continue
                length = int.from_bytes(file.read(8), "little")
                try:
                    _header(file, length)
                except ValueError as error:
                    raise _malformed(path, str(error)) from None
                yield file, handle, 8 + length
                return


def _malformed(path: str, message: str) -> ValueError:
    return ValueError(f"{path} is not a valid safetensors file: {message}")


def _header(file: BinaryIO, length: int) -> Any:
    """The JSON text at the beginning. The package takes the last of two entries of one name; here that is an error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"the header has {next(n for n in names if names.count(n) > 1)!r} twice")
        return made

    file.seek(8)
    return json.loads(file.read(length), object_pairs_hook=unique)


def _suspect(file: BinaryIO) -> str:
    """Name the tensor that a refused file describes wrongly, if there is one: the package does not always."""
    with contextlib.suppress(ValueError, RecursionError):
        size = os.fstat(file.fileno()).st_size
        header = _header(file, min(int.from_bytes(file.read(8), "little"), size))
        for name, entry in header.items() if isinstance(header, dict) else ():
            if not _is_consistent(name, entry):
                return f"; {name!r} is {json.dumps(entry)[:200]}"
    return ""


def _is_consistent(name: str, entry: Any) -> bool:
    if name == "__metadata__":
        return entry is None or (isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()))
    try:
        if entry["dtype"] in ("F4", "F6_E2M3", "F6_E3M2"):
            return True
        begin, end = entry["data_offsets"]
        lengths = [*entry["shape"], begin, end]
        if any(type(length) is not int or length < 0 for length in lengths):
            return False
        return bool(math.prod(entry["shape"]) * DTYPES[entry["dtype"]].itemsize == end - begin)
    except (TypeError, KeyError, ValueError):
        return False


def read_safetensors(path: str) -> tuple[dict[str, fn.array], dict[str, str]]:
    """The arrays and the texts of a file."""
    arrays, narrow = {}, []
    with opened_safetensors(path) as (file, handle, begin):
        content = mapped(file)
        metadata = dict(handle.metadata() or {})
        # The package has checked that the tensors lie side by side in this order and fill the file.
        for key in handle.offset_keys():
            described = handle.get_slice(key)
            code, shape = described.get_dtype(), tuple(described.get_shape())
            if code not in DTYPES:
                raise ValueError(f"{path}: {key!r} has the dtype {code}, for which there is none here")
            if code.startswith("F8"):
                narrow.append(f"{key!r} ({code})")
            end = begin + math.prod(shape) * DTYPES[code].itemsize
            if end > len(content):
                raise _malformed(path, f"{key!r} was cut off while reading")
            try:
                arrays[key] = restore(content[begin:end], shape, DTYPES[code])
            except ValueError as error:
                raise ValueError(f"{path}: {key!r}: {error}") from error
            begin = end
    if narrow:
        listed = ", ".join(narrow[:_MOST_LISTED]) + (
            f" and {len(narrow) - _MOST_LISTED} more" if narrow[_MOST_LISTED:] else ""
        )
        warnings.warn(
            f"{path}: there is no dtype of 8-bit floats; their bytes are loaded as uint8: {listed}", stacklevel=3
        )
    return arrays, metadata
