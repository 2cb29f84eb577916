"""Writing GGUF files."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import funcnn as fn

from ._gguf_format import ALIGNMENT, LIST, MAGIC, TEXT, VALUE_CODES, VERSIONS
from ._gguf_pack import Packed, Plain
from ._trees import array_of, check_unicode, raw

_LONGEST_KEY = 65535


def metadata_of(function: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Texts, lists of texts, and arrays with values; raises TypeError or ValueError for anything else."""
    entries: dict[str, Any] = {}
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise TypeError(f"{function}: names of metadata are strings, got {key!r}")
        check_unicode(f"{function}: metadata {key!r}", key)
        if len(key.encode()) > _LONGEST_KEY:
            raise ValueError(f"{function}: the name {key[:50]!r}... of metadata is longer than {_LONGEST_KEY} bytes")
        if isinstance(value, str):
            check_unicode(f"{function}: metadata {key!r}", value)
            entries[key] = value
        elif isinstance(value, (list, tuple)) and value and all(isinstance(text, str) for text in value):
            for text in value:
                check_unicode(f"{function}: metadata {key!r}", text)
            entries[key] = list(value)
        else:
            entries[key] = _numbers(function, key, value)
    _alignment(function, entries)
    return entries


def _numbers(function: str, key: str, value: Any) -> fn.array:
    x = value if isinstance(value, fn.array) else array_of(f"{function}: metadata {key!r}", value)
    if x.dtype not in VALUE_CODES or x.ndim > 1:
        raise TypeError(
            f"{function}: metadata {key!r} must be a text, a list of texts, or numbers with at most one axis, "
            f"got {x.dtype} of shape {x.shape}"
        )
    fn._core._require_values(x, f"{function}: metadata {key!r}", "return it from the function and save it outside")
    fn.eval(x)
    return x


def _alignment(function: str, entries: dict[str, Any]) -> int:
    value = entries.get("general.alignment", ALIGNMENT)
    number = value.item() if isinstance(value, fn.array) and value.ndim == 0 else value
    if (
        isinstance(number, bool)
        or not isinstance(number, int)
        or number < 8
        or number & (number - 1)
        or number > 1 << 20
    ):
        raise ValueError(f"{function}: general.alignment must be a power of two from 8 to 2**20, got {number!r}")
    if isinstance(value, fn.array):
        entries["general.alignment"] = value.astype(fn.uint32)  # the format says so
    return number


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", TEXT) + _text(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", LIST, TEXT, len(value)) + b"".join(_text(text) for text in value)
    code = VALUE_CODES[value.dtype]
    kind = struct.pack("<I", code) if value.ndim == 0 else struct.pack("<IIQ", LIST, code, value.size)
    return kind + bytes(raw(value))


def write_gguf(path: str, held: Mapping[str, Plain | Packed], metadata: dict[str, Any]) -> None:
    """Write tensors whose names, shapes and dtypes have been checked."""
    alignment = _alignment("save", dict(metadata))
    header = [MAGIC, struct.pack("<IQQ", VERSIONS[-1], len(held), len(metadata))]
    header += [_text(key) + _value(value) for key, value in metadata.items()]
    offset = 0
    for name, tensor in held.items():
        shape = tensor.shape
        axes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        header.append(_text(name) + axes + struct.pack("<IQ", tensor.kind, offset))
        offset += -(-tensor.nbytes // alignment) * alignment
    with open(path, "wb") as file:
        file.write(b"".join(header))
        for tensor in held.values():
            file.write(bytes(-file.tell() % alignment))
            file.write(tensor.content())
        file.write(bytes(-file.tell() % alignment))
