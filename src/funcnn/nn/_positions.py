"""Where in a sequence something stands, told to features or to scores of attention."""

from __future__ import annotations

import functools
import math
from typing import Any

import attrs

import funcnn as fn
from funcnn._arguments import integer
from funcnn._device import beside
from funcnn._hyper import number, whole

from ._layer import Layer, Params, as_input


def _even(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    whole(2)(instance, attribute, value)
    if value % 2:
        raise ValueError(f"{type(instance).__name__}: {attribute.name} must be even, got {value}")


class RoPE(Layer):
    """Rotate pairs of features by angles that grow with the place: rotary positional encoding.

    Called as ``layer(params, x, offset=0)`` with `x` of shape ``(B, ..., T, D)``, at least three axes; `offset` is the place of
    the first element along ``T``, an integer or an array of integers, one for all or one for each element of the batch, such
    as the ``offset`` of a ``KVCache``. Returns an array of the shape and dtype of `x`. See ``fn.fast.rope``.

    Args:
        dims: How many features to rotate, an even number; those after them stay as they are.
        traditional: Pair features ``2 * i`` and ``2 * i + 1``; otherwise ``i`` and ``i + dims / 2``.
        base: The base of the frequencies.
        scale: Factor of the places.

    Reference: J. Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> rotate = nn.RoPE(4)
    >>> x = fn.ones((1, 3, 4))
    >>> fn.array_equal(rotate({}, x, offset=1)[:, 0], rotate({}, x)[:, 1]).item()
    True
    """

    dims: int = attrs.field(validator=_even)
    traditional: bool = False
    base: float = attrs.field(default=10000, validator=number(0.0, above=True))
    scale: float = attrs.field(default=1.0, validator=number())

    def __call__(self, params: Params, x: fn.array, offset: int | fn.array = 0) -> fn.array:
        return fn.fast.rope(
            as_input(x), self.dims, traditional=self.traditional, base=self.base, scale=self.scale, offset=offset
        )


@functools.lru_cache(maxsize=64)
def frequencies_between(half: int, low: float, high: float, factor: float) -> tuple[float, ...]:
    """From the highest to the lowest, equal ratios apart."""
    ratio = math.log(low / high) / max(half - 1, 1)
    return tuple(factor * high * math.exp(ratio * i) for i in range(half))


def waves(x: fn.array, frequencies: fn.array, scale: Any, *, cos_first: bool) -> fn.array:
    """Sines and cosines of numbers times frequencies, side by side along a last axis."""
    angles = x[..., None] * frequencies
    parts = [fn.sin(angles), fn.cos(angles)]
    encoded: fn.array = fn.concatenate(parts[::-1] if cos_first else parts, axis=-1) * scale
    return encoded


class SinusoidalPositionalEncoding(Layer):
    """Encode numbers, such as places, by sines and cosines of several frequencies.

    Called as ``layer(params, x)`` with numbers of shape ``(...)``; returns ``scale * [sin(f_i * x), cos(f_i * x)]`` of shape ``(...,
    dims)``, in float32 (float64 if `x` is). The frequencies ``f_i`` fall from `max_freq` to `min_freq` in equal ratios.

    Args:
        dims: Features of the encoding, an even number.
        min_freq: The lowest frequency.
        max_freq: The highest frequency, and the only one if `dims` is 2.
        scale: Factor of the encoding; ``sqrt(2 / dims)`` if None, which makes the squares of an encoding add up to 1.
        cos_first: Whether the cosines come before the sines.
        full_turns: Whether frequencies count turns, and are multiplied by 2 pi.

    Reference: A. Vaswani et al., "Attention is all you need", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> encode = nn.SinusoidalPositionalEncoding(4)
    >>> [round(v, 4) for v in encode({}, fn.array(1)).tolist()]
    [0.595, 0.0001, 0.3821, 0.7071]
    """

    dims: int = attrs.field(validator=_even)
    min_freq: float = attrs.field(default=0.0001, validator=number(0.0, above=True))
    max_freq: float = attrs.field(default=1, validator=number(0.0, above=True))
    scale: float | None = attrs.field(default=None, validator=attrs.validators.optional(number()))
    cos_first: bool = False
    full_turns: bool = False

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if not fn.isdtype(x.dtype, ("real floating", "integral")):
            raise TypeError(f"expected real numbers, got {x.dtype}")
        dtype = fn.promote_types(x.dtype, fn.float32)
        factor = 2.0 * math.pi if self.full_turns else 1.0
        frequencies = beside(x, frequencies_between(self.dims // 2, self.min_freq, self.max_freq, factor), dtype)
        scale = math.sqrt(2.0 / self.dims) if self.scale is None else self.scale
        return waves(x.astype(dtype), frequencies, scale, cos_first=self.cos_first)


def _slopes(heads: int) -> list[float]:
    """A geometric sequence; for other numbers than powers of two, what lies between its terms is put behind it."""
    power = 1 << (heads.bit_length() - 1)
    found = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    return found + [2.0 ** (-4.0 * (2 * i + 1) / power) for i in range(heads - power)]


class ALiBi(Layer):
    """Add biases to scores of attention that fall linearly with the distance between query and key.

    Called as ``layer(params, attention_scores, offset=0, mask=None)`` with scores of shape ``(B, H, T, S)``, where the first query
    stands at place `offset`, an integer or a scalar array. The mask broadcasts to the scores: of bool, true where a query sees
    a key, or of numbers to be added. Returns an array like the scores, of the dtype that scores and mask promote to.

    For ``fn.fast.scaled_dot_product_attention``, which never holds the scores, give ``create_alibi_matrix`` as the mask.

    Reference: O. Press, N. A. Smith, M. Lewis, "Train short, test long: attention with linear biases enables input length
    extrapolation", 2021.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.ALiBi()({}, fn.zeros((1, 8, 3, 3)))[0, 0].tolist()
    [[0.0, -0.5, -1.0], [-0.5, 0.0, -0.5], [-1.0, -0.5, 0.0]]
    """

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: fn.Dtype = fn.float32) -> fn.array:
        """Make the slope of each head, an array of shape ``(num_heads, 1, 1)``.

        >>> from funcnn import nn
        >>> nn.ALiBi.create_alibi_slope(4).reshape(-1).tolist()
        [0.25, 0.0625, 0.015625, 0.00390625]
        """
        num_heads = integer(num_heads, "create_alibi_slope: num_heads")
        if num_heads < 1:
            raise ValueError(f"create_alibi_slope: num_heads must be at least 1, got {num_heads}")
        return fn.array(_slopes(num_heads), dtype)[:, None, None]

    @staticmethod
    def create_alibi_matrix(
        q_sequence_length: int, k_sequence_length: int, num_heads: int, offset: int = 0, dtype: fn.Dtype = fn.float32
    ) -> fn.array:
        """Make the biases of queries at places `offset` up to `q_sequence_length` and keys at 0 up to `k_sequence_length`.

        Returns:
            An array of shape ``(1, num_heads, q_sequence_length - offset, k_sequence_length)``, computed in float32 (float64 for
            that dtype) and rounded once.

        >>> from funcnn import nn
        >>> nn.ALiBi.create_alibi_matrix(5, 5, 8, offset=4)[0, 0].tolist()
        [[-2.0, -1.5, -1.0, -0.5, 0.0]]
        """
        given = {"q_sequence_length": q_sequence_length, "k_sequence_length": k_sequence_length, "offset": offset}
        last, keys, first = (integer(value, f"create_alibi_matrix: {name}") for name, value in given.items())
        if not 0 <= first <= last:
            raise ValueError(
                f"create_alibi_matrix: offset must lie between 0 and {last} (q_sequence_length), got {first}"
            )
        return alibi_biases(fn.arange(first, last), keys, num_heads, dtype)

    def __call__(
        self,
        params: Params,
        attention_scores: fn.array,
        offset: int | fn.array = 0,
        mask: fn.array | None = None,
    ) -> fn.array:
        scores = as_input(attention_scores)
        if scores.ndim != 4:
            raise ValueError(f"expected scores (batch, heads, queries, keys), got {scores.shape}")
        if not fn.isdtype(scores.dtype, "real floating"):
            raise TypeError(f"expected real floating-point numbers, got {scores.dtype}")
        if isinstance(offset, fn.array):
            if offset.ndim or not fn.isdtype(offset.dtype, "integral"):
                raise ValueError(f"offset must be an integer, got {offset.dtype} of shape {offset.shape}")
        else:
            offset = integer(offset, "offset")
        biases = alibi_biases(
            fn.arange(scores.shape[2]) + offset, scores.shape[3], scores.shape[1], scores.dtype, scores.device
        )
        if mask is None:
            return scores + biases
        mask = as_input(mask)
        if mask.dtype == fn.bool_:
            return fn.where(mask, scores + biases, -math.inf)
        return scores + (biases + mask)


def alibi_biases(places: fn.array, keys: int, heads: int, dtype: fn.Dtype, device: fn.Device | None = None) -> fn.array:
    wide = fn.promote_types(dtype, fn.float32)
    distances = fn.abs(places[:, None] - fn.arange(keys))
    slopes = fn.asarray(_slopes(heads), wide, device=device)[:, None, None]
    return (-distances * slopes).astype(dtype)[None]
