"""Layers whose weights are packed in a few bits."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn._hyper import whole
from funcnn.tree import frozendict

from ._embedding import Embedding
from ._layer import Layer, Params, as_input
from ._linear import Linear

_DEFAULTS = {"affine": (64, 4), "mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}
_NAMES = ("weight", "scales", "biases")

_size = attrs.validators.optional(whole(1))


def _settle(layer: Any, what: str, dims: int) -> None:
    """Put the defaults of the mode in place of None, and refuse formats that do not exist or fit."""
    name = type(layer).__name__
    if layer.mode not in _DEFAULTS:
        raise ValueError(f"{name}: mode must be one of {', '.join(map(repr, _DEFAULTS))}, got {layer.mode!r}")
    for field, default in zip(("group_size", "bits"), _DEFAULTS[layer.mode], strict=True):
        if getattr(layer, field) is None:
            object.__setattr__(layer, field, default)
    try:
        fn.quantize(fn.zeros((1, layer.group_size)), layer.group_size, layer.bits, layer.mode)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if dims % layer.group_size:
        raise ValueError(f"{name}: group_size must divide {what}, got groups of {layer.group_size} and {dims} features")


def _format(layer: Any) -> dict[str, Any]:
    return {"group_size": layer.group_size, "bits": layer.bits, "mode": layer.mode}


def _packed(layer: Any, weight: fn.array) -> dict[str, fn.array]:
    return dict(zip(_NAMES, fn.quantize(weight, **_format(layer)), strict=False))


def _parts(layer: Any, params: Params, rows: int, columns: int) -> tuple[fn.array, fn.array, fn.array | None]:
    """Codes, scales and biases, checked: codes of another format would stand for a matrix of another shape."""
    weight = params["weight"]
    shape = (rows, columns * layer.bits // 32)
    if weight.dtype != fn.uint32 or weight.shape != shape:
        raise ValueError(
            f"expected weight of uint32 and shape {shape}, {columns} codes of {layer.bits} bits in a row, got "
            f"{weight.dtype} of shape {weight.shape}"
        )
    return weight, params["scales"], params.get("biases")


def _weight(params: Any, shape: tuple[int, int]) -> fn.array:
    """The weight of a layer that is to be packed; axes before the last two are those of stacked layers."""
    weight: fn.array = as_input(params["weight"])
    if weight.shape[-2:] != shape:
        raise ValueError(f"expected weight of shape {shape}, got {weight.shape}")
    return weight


def _rows(x: fn.array, dims: int) -> fn.array:
    """The input as floats with at least two axes."""
    x = as_input(x)
    if x.ndim == 0 or x.shape[-1] != dims:
        raise ValueError(f"expected (..., {dims}), got {x.shape}")
    if fn.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"expected real numbers, got {x.dtype}")
    x = x if fn.isdtype(x.dtype, "real floating") else x.astype(fn.float32)
    return x[None] if x.ndim == 1 else x


def _like(y: fn.array, x: Any) -> fn.array:
    return y[0] if fn.asarray(x).ndim == 1 else y


class QuantizedLinear(Layer):
    """Map the last axis affinely by a packed matrix: ``y = x @ dequantize(weight).T + bias``.

    Parameters are ``weight``, the codes of a matrix ``(output_dims, input_dims)``, its ``scales`` and, of mode ``affine``, its
    ``biases``, as ``fn.quantize`` returns them, and ``bias`` of shape ``(output_dims,)``. All but ``bias`` are buffers: ``nn.trainable``
    leaves them out. The matrix is drawn as that of ``nn.Linear``, the bias is zero. Where there is a trained ``nn.Linear``, use
    ``from_linear``, or ``nn.quantize`` for all of a model.

    Args:
        input_dims: Size of the last axis of the input, a multiple of `group_size`.
        output_dims: Size of the last axis of the output.
        bias: Whether to add a bias.
        group_size: How many neighbours share a scale. By default 64 (``affine``), 32 (``mxfp4``, ``mxfp8``) or 16 (``nvfp4``).
        bits: How many bits an element takes. By default 4, for ``mxfp8`` 8.
        mode: One of the modes of ``fn.quantize``.

    Raises:
        ValueError: There is no such format, or it does not fit the sizes; or the input's last axis has another size.

    >>> import funcnn as fn
    >>> from funcnn import nn, random, tree
    >>> linear = nn.Linear(128, 32)
    >>> params = linear.init(random.key(0))
    >>> layer, packed = nn.QuantizedLinear.from_linear(linear, params, bits=8)
    >>> layer
    QuantizedLinear(128, 32, group_size=64, bits=8)
    >>> tree.map(lambda p: p.shape, packed)
    frozendict({'bias': (32,), 'biases': (32, 2), 'scales': (32, 2), 'weight': (32, 32)})
    >>> x = fn.ones((5, 128))
    >>> fn.allclose(layer(packed, x), linear(params, x), atol=1e-2).item()
    True
    """

    buffers = _NAMES

    input_dims: int = attrs.field(validator=whole(1))
    output_dims: int = attrs.field(validator=whole(0))
    bias: bool = True
    group_size: int | None = attrs.field(default=None, validator=_size)
    bits: int | None = attrs.field(default=None, validator=_size)
    mode: str = "affine"

    def __attrs_post_init__(self) -> None:
        _settle(self, "input_dims", self.input_dims)

    @classmethod
    def from_linear(
        cls, linear: Linear, params: Any, group_size: int | None = None, bits: int | None = None, mode: str = "affine"
    ) -> tuple[QuantizedLinear, frozendict[str, fn.array]]:
        """Pack the weight of a linear layer.

        Args:
            linear: The layer.
            params: Its parameters; they may be stacked along further axes.
            group_size: As of this class.
            bits: As of this class.
            mode: As of this class.

        Returns:
            The layer and its parameters.
        """
        layer = cls(linear.input_dims, linear.output_dims, linear.bias, group_size, bits, mode)
        new = _packed(layer, _weight(params, (linear.output_dims, linear.input_dims)))
        return layer, frozendict({**new, "bias": params["bias"]} if linear.bias else new)

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw a matrix and pack it."""
        linear = Linear(self.input_dims, self.output_dims, bias=False)
        params = _packed(self, linear.init(key)["weight"])
        return frozendict({**params, "bias": fn.zeros((self.output_dims,))} if self.bias else params)

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        y = _like(fn.quantized_matmul(_rows(x, self.input_dims), *self._matrix(params), **_format(self)), x)
        return y + params["bias"] if self.bias else y

    def _matrix(self, params: Params) -> tuple[fn.array, fn.array, fn.array | None]:
        return _parts(self, params, self.output_dims, self.input_dims)


class QuantizedEmbedding(Layer):
    """Replace integers by rows of a packed table.

    Parameters are ``weight``, the codes of a matrix ``(num_embeddings, dims)``, its ``scales`` and, of mode ``affine``, its ``biases``,
    as ``fn.quantize`` returns them. All are buffers: ``nn.trainable`` leaves them out. The table is drawn as that of
    ``nn.Embedding``. Where there is a trained ``nn.Embedding``, use ``from_embedding``, or ``nn.quantize`` for all of a model.

    Args:
        num_embeddings: How many rows there are.
        dims: Size of a row, a multiple of `group_size`.
        group_size: As of ``nn.QuantizedLinear``.
        bits: As of ``nn.QuantizedLinear``.
        mode: One of the modes of ``fn.quantize``.
        dtype: Of the rows. By default that of ``scales`` and ``biases``, and bfloat16 in the other modes, which holds their
            values exactly.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.QuantizedEmbedding(10, 64)
    >>> layer(layer.init(random.key(0)), fn.array([[1, 2, 3]])).shape
    (1, 3, 64)
    """

    buffers = _NAMES

    num_embeddings: int = attrs.field(validator=whole(0))
    dims: int = attrs.field(validator=whole(1))
    group_size: int | None = attrs.field(default=None, validator=_size)
    bits: int | None = attrs.field(default=None, validator=_size)
    mode: str = "affine"
    dtype: fn.Dtype | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _settle(self, "dims", self.dims)

    @classmethod
    def from_embedding(
        cls,
        embedding: Embedding,
        params: Any,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> tuple[QuantizedEmbedding, frozendict[str, fn.array]]:
        """Pack the table of an embedding, whose dtype the rows keep.

        Args:
            embedding: The layer.
            params: Its parameters; they may be stacked along further axes.
            group_size: As of this class.
            bits: As of this class.
            mode: As of this class.

        Returns:
            The layer and its parameters.
        """
        weight = _weight(params, (embedding.num_embeddings, embedding.dims))
        dtype = None if mode == "affine" else weight.dtype
        layer = cls(embedding.num_embeddings, embedding.dims, group_size, bits, mode, dtype=dtype)
        return layer, frozendict(_packed(layer, weight))

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw a table and pack it."""
        return frozendict(_packed(self, Embedding(self.num_embeddings, self.dims).init(key)["weight"]))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if not fn.isdtype(x.dtype, "integral"):
            raise TypeError(f"expected integers, got {x.dtype}")
        chosen = x if x.ndim else x[None]
        weight, scales, biases = self._table(params)
        weight, scales = fn.take(weight, chosen, axis=0), fn.take(scales, chosen, axis=0)
        biases = None if biases is None else fn.take(biases, chosen, axis=0)
        y: fn.array = fn.dequantize(weight, scales, biases, **{**_format(self), "dtype": self.dtype})
        return y if x.ndim else y[0]

    def as_linear(self, params: Params, x: fn.array) -> fn.array:
        """Multiply by the table, ``x @ weight.T``: scores for every row, as for tied output projections."""
        return _like(fn.quantized_matmul(_rows(x, self.dims), *self._table(params), **_format(self)), x)

    def _table(self, params: Params) -> tuple[fn.array, fn.array, fn.array | None]:
        return _parts(self, params, self.num_embeddings, self.dims)


class QQLinear(Layer):
    """Map the last axis by a matrix, both rounded to a few bits: ``y = quantize(x) @ quantize(weight).T``.

    The parameter ``weight`` of shape ``(output_dims, input_dims)`` is drawn as that of ``nn.Linear`` and rounded in each call; its
    gradient is that of the product, as if there were no rounding. So a model learns to bear the rounding. ``quantize`` packs the
    weight when training is over; its codes and ``scales`` are then buffers, and results stay as they are.

    Args:
        input_dims: Size of the last axis of the input, a multiple of `group_size`.
        output_dims: Size of the last axis of the output.
        group_size: As of ``nn.QuantizedLinear``.
        bits: As of ``nn.QuantizedLinear``.
        mode: A mode of ``fn.quantize`` other than ``affine``.
        quantized: Whether ``weight`` is packed.

    >>> import funcnn as fn
    >>> from funcnn import nn, random, tree
    >>> layer = nn.QQLinear(32, 8)
    >>> params = layer.init(random.key(0))
    >>> x = random.normal(random.key(1), (5, 32))
    >>> fn.any(fn.grad(lambda p: fn.sum(layer(p, x)))(params)["weight"] != 0).item()
    True
    >>> packed_layer, packed = layer.quantize(params)
    >>> tree.map(lambda p: p.shape, packed)
    frozendict({'scales': (8, 2), 'weight': (8, 4)})
    >>> fn.array_equal(packed_layer(packed, x), layer(params, x)).item()
    True
    """

    input_dims: int = attrs.field(validator=whole(1))
    output_dims: int = attrs.field(validator=whole(0))
    group_size: int | None = attrs.field(default=None, validator=_size)
    bits: int | None = attrs.field(default=None, validator=_size)
    mode: str = "nvfp4"
    quantized: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.mode == "affine":
            raise ValueError("QQLinear: inputs are rounded to 'mxfp4', 'mxfp8' or 'nvfp4', not to 'affine'")
        _settle(self, "input_dims", self.input_dims)

    @property
    def buffers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of arrays that are not trained: those of the packed weight."""
        return ("weight", "scales") if self.quantized else ()

    @classmethod
    def from_linear(
        cls, linear: Linear, params: Any, group_size: int | None = None, bits: int | None = None, mode: str = "nvfp4"
    ) -> tuple[QQLinear, frozendict[str, fn.array]]:
        """Take over the weight of a linear layer without bias, not packed yet.

        Args:
            linear: The layer.
            params: Its parameters; they may be stacked along further axes.
            group_size: As of this class.
            bits: As of this class.
            mode: As of this class.

        Returns:
            The layer and its parameters.

        Raises:
            ValueError: The layer has a bias.
        """
        if linear.bias:
            raise ValueError("QQLinear has no bias, the linear layer has one")
        layer = cls(linear.input_dims, linear.output_dims, group_size, bits, mode)
        return layer, frozendict(weight=_weight(params, (linear.output_dims, linear.input_dims)))

    def quantize(self, params: Any) -> tuple[QQLinear, frozendict[str, fn.array]]:
        """Pack the weight: the layer and its parameters for inference. What is packed already stays as it is."""
        if self.quantized:
            return self, frozendict({name: params[name] for name in ("weight", "scales")})
        weight = _weight(params, (self.output_dims, self.input_dims))
        return self._like(True), frozendict(_packed(self, weight))

    def dequantize(self, params: Any, dtype: fn.Dtype = fn.float32) -> tuple[QQLinear, frozendict[str, fn.array]]:
        """Unpack the weight, to train it again. What is not packed stays as it is."""
        if not self.quantized:
            return self, frozendict(weight=params["weight"])
        weight = fn.dequantize(params["weight"], params["scales"], **{**_format(self), "dtype": dtype})
        return self._like(False), frozendict(weight=weight)

    def _like(self, quantized: bool) -> QQLinear:
        return QQLinear(self.input_dims, self.output_dims, **_format(self), quantized=quantized)

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw ``weight``; packed if `quantized`."""
        params = Linear(self.input_dims, self.output_dims, bias=False).init(key)
        return frozendict(_packed(self, params["weight"])) if self.quantized else params

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        scales = None
        if self.quantized:
            weight, scales, _ = _parts(self, params, self.output_dims, self.input_dims)
        else:
            weight = _weight(params, (self.output_dims, self.input_dims))
        return _like(fn.qqmm(_rows(x, self.input_dims), weight, scales, **_format(self)), x)
