"""Reading GGUF files. Every length is compared with the bytes that are there before it is used."""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass
from typing import Any

import funcnn as fn

from ._gguf_format import AFFINE_BLOCKS, ALIGNMENT, DENSE_BLOCKS, GGUF_DTYPES, LIST, MAGIC, TEXT, VALUES, VERSIONS
from ._gguf_packed import dense, packed_parts
from ._mapping import mapped
from ._trees import restore

_DEEPEST_LIST = 8
_MOST_AXES = 8  # files of others have more than llama.cpp takes


class _Malformed(Exception):
    pass


@dataclass
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


class _Bytes:
    """A place in the bytes of a file that moves on."""

    def __init__(self, content: memoryview) -> None:
        self.content = content
        self.at = 0

    def take(self, count: int) -> memoryview:
        if count > len(self.content) - self.at:
            raise _Malformed(f"it ends within something of {count} bytes at byte {self.at}")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def count(self, least: int) -> int:
        """A number of things that take at least so many bytes each."""
        count: int = self.number("Q")
        if count * least > len(self.content) - self.at:
            raise _Malformed(f"it ends before {count} things that it promises at byte {self.at}")
        return count

    def text(self) -> str:
        return self.texts(1)[0]

    def texts(self, count: int) -> list[str]:
        try:
            found, self.at = fn._core._texts(self.content, self.at, count)
        except UnicodeDecodeError as error:
            raise _Malformed(f"a text after byte {self.at} is no UTF-8: {error.reason}") from error
        except ValueError as error:
            raise _Malformed(str(error)) from error
        return found

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            if depth == _DEEPEST_LIST:
                raise _Malformed("lists of metadata are nested too deeply")
            inner = self.number("I")
            if inner in VALUES:
                code, dtype = VALUES[inner]
                size = struct.calcsize(code)
                count = self.count(size)
                return restore(bytes(self.take(count * size)), (count,), dtype)
            if inner == TEXT:
                return self.texts(self.count(8))
            return [self.value(inner, depth + 1) for _ in range(self.count(8))]
        if kind not in VALUES:
            raise _Malformed(f"metadata has the type {kind}, which is not known")
        code, dtype = VALUES[kind]
        return restore(bytes(self.take(struct.calcsize(code))), (), dtype)


def read_gguf(path: str, only_metadata: bool = False) -> tuple[dict[str, fn.array], dict[str, Any]]:
    """The arrays and the metadata of a file."""
    with open(path, "rb") as file:
        content = mapped(file)
    try:
        metadata, tensors, begin = _header(content)
        return ({} if only_metadata else _arrays(path, content, tensors, begin)), metadata
    except _Malformed as error:
        raise ValueError(f"{path} is not a valid GGUF file: {error}") from None


def _header(content: memoryview) -> tuple[dict[str, Any], list[_Tensor], int]:
    """The metadata, the tensors, and where the data begin."""
    bytes_ = _Bytes(content)
    if bytes_.take(4) != MAGIC:
        raise _Malformed(f"it begins with {bytes(content[:4])!r} instead of {MAGIC!r}")
    version = bytes_.number("I")
    if version not in VERSIONS:
        swapped = version.bit_length() > 16
        raise _Malformed(
            f"its numbers are big-endian or its version, {version}, is not known"
            if swapped
            else f"its version is {version}, and 2 and 3 are known"
        )
    tensor_count, entry_count = bytes_.count(0), bytes_.count(0)
    # At least: a name, its type and a value; a name, no axes, its type and its place.
    if entry_count * 13 + tensor_count * 24 > len(content):
        raise _Malformed(f"it is too short for {tensor_count} tensors and {entry_count} entries of metadata")
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        key = bytes_.text()
        if key in metadata:
            raise _Malformed(f"the metadata has {key!r} twice")
        metadata[key] = bytes_.value(bytes_.number("I"))
    tensors = []
    for _ in range(tensor_count):
        name = bytes_.text()
        axes = bytes_.number("I")
        if axes > _MOST_AXES:
            raise _Malformed(f"{name!r} has {axes} axes")
        shape = tuple(bytes_.number("Q") for _ in range(axes))[::-1]
        tensors.append(_Tensor(name, shape, bytes_.number("I"), bytes_.number("Q")))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if isinstance(alignment, fn.array):
        if alignment.ndim or not fn.isdtype(alignment.dtype, "integral"):
            raise _Malformed("general.alignment is no whole number")
        alignment = alignment.item()
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 30:
        raise _Malformed(f"general.alignment is {alignment}, and no power of two")
    return metadata, tensors, -(-bytes_.at // alignment) * alignment


def _arrays(path: str, content: memoryview, tensors: list[_Tensor], begin: int) -> dict[str, fn.array]:
    arrays: dict[str, fn.array] = {}
    spans: list[tuple[int, int, str]] = []

    def add(name: str, x: fn.array) -> None:
        if name in arrays:
            raise _Malformed(f"two tensors are called {name!r}")
        arrays[name] = x

    for tensor in tensors:
        kind, shape, name = tensor.kind, tensor.shape, tensor.name
        count = math.prod(shape)
        if kind in GGUF_DTYPES:
            elements, size = 1, GGUF_DTYPES[kind].itemsize
        elif kind in AFFINE_BLOCKS:
            elements, size = AFFINE_BLOCKS[kind]
        elif kind in DENSE_BLOCKS:
            _, elements, size = DENSE_BLOCKS[kind]
        else:
            elements, size = _block(path, name, kind)
        if elements > 1 and (not shape or shape[-1] % elements):
            raise _Malformed(f"the last axis of {name!r}, of shape {shape}, is no multiple of {elements}")
        first, length = begin + tensor.offset, count // elements * size
        if length > len(content) - first:
            raise _Malformed(f"{name!r}, of shape {shape}, goes beyond the end of the file")
        if length:
            spans.append((first, first + length, name))
        data = content[first : first + length]
        try:
            if kind in GGUF_DTYPES:
                add(name, restore(data, shape, GGUF_DTYPES[kind]))
            elif kind in AFFINE_BLOCKS:
                for suffix, x in packed_parts(data, kind, shape).items():
                    stem = name.removesuffix(".weight")
                    add(name if suffix == "weight" else f"{stem}.{suffix}", x)
            else:
                add(name, dense(data, kind, shape))
        except (ValueError, OverflowError) as error:
            raise _Malformed(f"{name!r}: {error}") from error
    for (_, end, name), (begin, _, other) in itertools.pairwise(sorted(spans)):
        if begin < end:
            raise _Malformed(f"{name!r} and {other!r} overlap")
    return arrays


def _block(path: str, name: str, kind: int) -> tuple[int, int]:
    """Elements and bytes of a block of a packed type that the package knows."""
    try:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError as error:
        raise ImportError(
            f"{path}: {name!r} has the packed type {kind}, which the package gguf makes float16: pip install gguf"
        ) from error
    try:
        elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError):
        raise _Malformed(f"{name!r} has the type {kind}, which is not known") from None
    return int(elements), int(size)
