"""Affine quantisation as packed types of GGUF files: what `_gguf_packed` reads, bit by bit."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn

from ._gguf_format import AFFINE_BLOCKS, GGUF_DTYPES, Q4_0, Q4_1, Q8_0
from ._trees import raw

_KINDS = {dtype: kind for kind, dtype in GGUF_DTYPES.items()}
_GROUP = 32


@attrs.frozen(eq=False)
class Plain:
    """A tensor whose elements are stored as they are."""

    x: fn.array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape

    @property
    def kind(self) -> int:
        return _KINDS[self.x.dtype]

    @property
    def nbytes(self) -> int:
        return self.x.nbytes

    def content(self) -> Any:
        return raw(self.x)


@attrs.frozen(eq=False)
class Packed:
    """A tensor in blocks of 32 elements."""

    words: fn.array
    scales: Any  # of NumPy, in float16, like the biases
    biases: Any
    kind: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.scales.shape[:-1], self.scales.shape[-1] * _GROUP)

    @property
    def nbytes(self) -> int:
        size: int = self.scales.size * AFFINE_BLOCKS[self.kind][1]
        return size

    def content(self) -> bytes:
        import numpy as np

        codes = (
            np.ascontiguousarray(self.words, "<u4")
            .view(np.uint8)
            .reshape(-1, _GROUP if self.kind == Q8_0 else _GROUP // 2)
        )
        if self.kind == Q8_0:
            codes = codes ^ np.uint8(0x80)
        else:
            halves = np.stack([codes & np.uint8(15), codes >> np.uint8(4)], axis=-1).reshape(-1, _GROUP)
            codes = halves[:, :16] | halves[:, 16:] << np.uint8(4)
        parts = [self.scales, self.biases] if self.kind == Q4_1 else [self.scales]
        numbers = [part.astype("<f2").reshape(-1, 1).view(np.uint8) for part in parts]
        return np.concatenate([*numbers, codes], axis=1).tobytes()


def quantised(arrays: dict[str, fn.array]) -> dict[str, tuple[str, str]]:
    """The names of quantised weights, with those of their scales and biases."""
    found: dict[str, tuple[str, str]] = {}
    for name, x in arrays.items():
        stem = name.removesuffix(".weight")
        parts = f"{stem}.scales", f"{stem}.biases"
        if x.dtype == fn.uint32 and all(part in arrays for part in parts) and parts not in found.values():
            found[name] = parts
    return found


def tensors(arrays: dict[str, fn.array], packed: dict[str, tuple[str, str]]) -> dict[str, Plain | Packed]:
    """What a file holds for these arrays: a quantised weight with its scales and biases is one tensor.

    Raises:
        ValueError: No packed type holds a quantised weight.
    """
    inside = {part for parts in packed.values() for part in parts}
    return {
        name: _packed(name, x, *(arrays[part] for part in packed[name])) if name in packed else Plain(x)
        for name, x in arrays.items()
        if name not in inside
    }


def _packed(name: str, words: fn.array, scales: fn.array, biases: fn.array) -> Packed:
    if words.ndim == 0 or scales.shape != biases.shape or scales.shape[:-1] != words.shape[:-1]:
        raise ValueError(
            f"{name}: a quantised weight has a scale and a bias for each group; got shapes {words.shape}, "
            f"{scales.shape} and {biases.shape}"
        )
    s, b = (_in_float16(name, what, x) for what, x in (("scales", scales), ("biases", biases)))
    # Words for each group: bits times elements over 32.
    size, groups = words.shape[-1], scales.shape[-1]
    if size == 4 * groups:
        return Packed(words, s, b, Q4_0 if _are_multiples(b, s, -8) else Q4_1)
    if size == 8 * groups and _are_multiples(b, s, -128):
        return Packed(words, s, b, Q8_0)
    raise ValueError(
        f"{name}: packed types of GGUF files have groups of {_GROUP}, of 4 bits, or of 8 bits with biases of -128 scales; "
        f"got {size} words for {groups} groups. Quantise with group_size={_GROUP} and bits=4, or dequantise"
    )


def _in_float16(name: str, what: str, x: fn.array) -> Any:
    import numpy as np

    narrow = np.asarray(x.astype(fn.float16))
    if x.dtype != fn.float16 and not np.array_equal(narrow.astype(np.float64), np.asarray(x), equal_nan=True):
        raise ValueError(f"{name}: {what} of packed weights are float16 in a GGUF file; convert them with astype")
    return narrow


def _are_multiples(biases: Any, scales: Any, factor: int) -> bool:
    import numpy as np

    with np.errstate(over="ignore"):
        return np.array_equal(biases, (scales.astype(np.float32) * factor).astype(np.float16))
