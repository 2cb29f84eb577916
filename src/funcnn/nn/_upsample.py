"""Resampling of spatial axes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

import attrs

import funcnn as fn
from funcnn._device import beside
from funcnn._hyper import flag

from .._core import _windows
from ._layer import Layer, Params, as_input


def _between(x: fn.array, axis: int, scale: int, mode: str) -> fn.array:
    """Resample where an even number of results lie between each two neighbours, and are alike for all of them.

    Half of what lies around an element is before it, half behind: seen through windows of two, whose elements are those before
    and those at which a result's first neighbour may be, there is nothing to look up.
    """
    from . import _upsample_taps

    found = _upsample_taps.between(scale, mode)
    reach = len(found) // 2
    size, shape = x.shape[axis], list(x.shape)
    lines = fn.reshape(x, (math.prod(shape[:axis]), size, math.prod(shape[axis + 1 :])))
    padded = fn.pad(lines, [(0, 0), (reach, reach), (0, 0)], mode="edge")
    pairs = fn.expand_dims(_windows(padded, [2], [1]), 3)
    dtype = fn.float64 if x.dtype == fn.float64 else fn.float32
    parts = [pairs[:, k : k + size] * beside(x, w, dtype) for k, w in enumerate(found)]
    shape[axis] *= scale
    return fn.reshape(functools.reduce(fn.add, parts), shape)


def _along(x: fn.array, axis: int, values: Any, dtype: fn.Dtype) -> fn.array:
    """Values for the places of one axis of `x`."""
    shape = [1] * x.ndim
    shape[axis] = -1
    return fn.reshape(beside(x, values, dtype), shape)


def _resampled(x: fn.array, axis: int, taps: Sequence[Any]) -> fn.array:
    total: Any = 0
    dtype = fn.float64 if x.dtype == fn.float64 else fn.float32
    for places, weights in taps:
        part = fn.take(x, beside(x, places), axis=axis)
        weighted = part * _along(x, axis, weights, dtype)
        # An infinite neighbour with no share counts for nothing.
        if not weights.all():
            weighted = fn.where(_along(x, axis, weights != 0, fn.bool_), weighted, 0.0)
        total = total + weighted
    resampled: fn.array = total
    return resampled


def _counts(x: fn.array, scales: Sequence[float]) -> list[int]:
    """How many elements the spatial axes get."""
    counts = []
    for size, scale in zip(x.shape[1:-1], scales, strict=True):
        count = int(scale * size)
        if size and not count:
            raise ValueError(f"nothing is left of an axis of size {size} scaled by {scale}")
        if count >= 1 << 31:
            raise ValueError(f"an axis of size {size} scaled by {scale} would have more than 2**31 - 1 elements")
        counts.append(count)
    return counts


def nearest(x: fn.array, scales: Sequence[float]) -> fn.array:
    """Resample spatial axes by taking elements."""
    from . import _upsample_taps

    counts = _counts(x, scales)
    if all(scale >= 1 and scale == int(scale) for scale in scales):
        times = [int(scale) for scale in scales]
        seen = fn.expand_dims(x, [2 * i + 2 for i in range(len(times))])
        wide = [x.shape[0], *(n for pair in zip(x.shape[1:-1], times, strict=True) for n in pair), x.shape[-1]]
        return fn.reshape(fn.broadcast_to(seen, wide), (x.shape[0], *counts, x.shape[-1]))
    for axis, (count, scale) in enumerate(zip(counts, scales, strict=True), 1):
        x = x if scale == 1 else fn.take(x, beside(x, _upsample_taps.nearest(x.shape[axis], count)), axis=axis)
    return x


def interpolated(x: fn.array, scales: Sequence[float], mode: str, *, align_corners: bool, antialias: bool) -> fn.array:
    """Resample spatial axes by weighing elements, in float32 at least."""
    from . import _upsample_taps

    y = x.astype(fn.promote_types(x.dtype, fn.float32))
    for axis, (size, count, scale) in enumerate(zip(x.shape[1:-1], _counts(x, scales), scales, strict=True), 1):
        if scale == 1:
            continue
        if y.size and scale % 2 == 0 and not align_corners and not antialias:
            y = _between(y, axis, int(scale), mode)
        else:
            y = _resampled(y, axis, _upsample_taps.taps(size, count, float(scale), mode, align_corners, antialias))
    return y


def _check_scale(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    scales = value if isinstance(value, tuple) else (value,)
    for scale in scales:
        if not isinstance(scale, (int, float)) or isinstance(scale, bool):
            raise TypeError(f"Upsample: scale_factor must be a number or one for each spatial axis, got {value!r}")
        if not 0 < scale < math.inf:
            raise ValueError(f"Upsample: scale_factor must be above 0 and finite, got {value!r}")
    if not scales:
        raise ValueError("Upsample: scale_factor must be a number or one for each spatial axis, got ()")


class Upsample(Layer):
    """Resample the spatial axes of ``(N, spatial..., C)`` to ``int(scale_factor * size)`` elements each.

    There may be any number of spatial axes. The modes are

    - ``"nearest"``: each element of the result is one of the input, of any dtype.
    - ``"linear"``: interpolate between the two neighbours along each axis (bilinear, trilinear).
    - ``"cubic"``: cubic convolution of four neighbours along each axis, with a = -0.75 as in OpenCV and PyTorch; it may
      overshoot.

    Elements beyond the ends are those at the ends. The grids of both are centred on each other; with `align_corners` the first
    and last elements of both lie on each other. (Where ``scale_factor * size`` is no whole number, PyTorch aligns the grids at
    their beginnings instead; results differ there.) Positions and weights are computed in float64. Linear and cubic results
    have the floating dtype of the input, float32 for integers; half precision is computed in float32.

    Args:
        scale_factor: By what the sizes are multiplied, above 0: a number for all spatial axes, or one for each.
        mode: ``"nearest"``, ``"linear"`` or ``"cubic"``.
        align_corners: Whether corners lie on corners, for linear and cubic.
        antialias: Whether to stretch the kernel where `scale_factor` is below 1, so that every element of the input counts;
            for linear and cubic without `align_corners`. Cubic then has a = -0.5, as in Pillow.

    Raises:
        ValueError: The input has no spatial axis or not as many as there are factors; nothing would be left of an axis; or
            the options do not go together.

    Reference: R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> x = fn.array([[[1.0], [2.0]]])
    >>> fn.flatten(nn.Upsample(2)({}, x)).tolist()
    [1.0, 1.0, 2.0, 2.0]
    >>> fn.flatten(nn.Upsample(2, "linear")({}, x)).tolist()
    [1.0, 1.25, 1.75, 2.0]
    """

    scale_factor: float | tuple[float, ...] = attrs.field(validator=_check_scale)
    mode: Literal["nearest", "linear", "cubic"] = attrs.field(default="nearest")
    align_corners: bool = attrs.field(default=False, validator=flag)
    antialias: bool = attrs.field(default=False, validator=flag)

    def __attrs_post_init__(self) -> None:
        if self.mode not in ("nearest", "linear", "cubic"):
            raise ValueError(f"Upsample: mode must be 'nearest', 'linear' or 'cubic', got {self.mode!r}")
        for option in ("align_corners", "antialias"):
            if getattr(self, option) and self.mode == "nearest":
                raise ValueError(f"Upsample: {option} is for the modes 'linear' and 'cubic'")
        if self.align_corners and self.antialias:
            raise ValueError("Upsample: antialias does not go with align_corners")

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        spatial = x.ndim - 2
        scales = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * max(spatial, 1)
        if spatial != len(scales):
            wanted = len(scales) if isinstance(self.scale_factor, tuple) else "one or more"
            raise ValueError(f"expected (N, spatial..., C) with {wanted} spatial axes, got {x.shape}")
        if self.mode == "nearest":
            return nearest(x, scales)
        dtype = x.dtype if fn.isdtype(x.dtype, ("real floating", "complex floating")) else fn.float32
        return interpolated(x, scales, self.mode, align_corners=self.align_corners, antialias=self.antialias).astype(
            dtype
        )
