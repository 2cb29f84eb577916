"""Adapters: what is learned beside the frozen weights of a layer."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import attrs

import funcnn as fn
from funcnn import random
from funcnn._hyper import number, whole
from funcnn.tree import frozendict

from ._dropout import Dropout
from ._embedding import Embedding
from ._keys import fold_text
from ._layer import Layer, Params, as_input
from ._linear import Linear
from ._quantized import QuantizedEmbedding, QuantizedLinear
from ._view import View


def dense_weight(layer: Layer, params: Any) -> fn.array:
    """The matrix of a linear layer or an embedding, unpacked and at least in float32; stacked ones keep their axes."""
    weight: fn.array = params["weight"]
    if isinstance(layer, (QuantizedLinear, QuantizedEmbedding)):
        packed: dict[str, Any] = {"group_size": layer.group_size, "bits": layer.bits, "mode": layer.mode}
        weight = fn.dequantize(weight, params["scales"], params.get("biases"), **packed)
    return weight.astype(fn.promote_types(weight.dtype, fn.float32))


def row_norms(weight: fn.array) -> fn.array:
    """The Euclidean lengths of the rows. Those of zeros count as 1 where they divide."""
    # Powers of two make the squares neither overflow nor vanish.
    largest = fn.max(fn.abs(weight), axis=-1, keepdims=True, initial=0.0)
    scale = fn.where(fn.isfinite(largest) & (largest > 0), largest, 1.0)
    return (fn.sqrt(fn.sum(fn.square(weight / scale), axis=-1, keepdims=True)) * scale)[..., 0]


def _inverse(norms: fn.array) -> fn.array:
    return fn.where(norms > 0, 1.0 / fn.where(norms > 0, norms, 1.0), 1.0)


def _adaptable(adapter: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, adapter._of):
        kinds = " or ".join(kind.__name__ for kind in adapter._of)
        raise TypeError(f"{type(adapter).__name__}: layer must be a {kinds}, got {value!r}")


class Adapter(Layer):
    """Base class of layers with an adapter."""

    _of: ClassVar[tuple[type[Layer], ...]] = ()

    _wraps = "layer"
    _adapters: ClassVar[tuple[str, ...]] = ("lora_a", "lora_b")

    layer: Any = attrs.field(validator=_adaptable)
    rank: int = attrs.field(default=8, validator=whole(1))
    scale: float = attrs.field(default=20.0, validator=number())
    dropout: float = attrs.field(default=0.0, validator=number(0.0, 1.0))

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters of the layer and ``lora_a``; ``lora_b`` is zero, so that the adapter changes nothing yet."""
        params = self.layer.init(key)
        inputs, outputs = self._sizes()
        bound = 1.0 / math.sqrt(max(inputs, 1))
        lora_a = random.uniform(fold_text(key, "lora_a"), (inputs, self.rank), low=-bound, high=bound)
        return frozendict({**params, "lora_a": lora_a, "lora_b": fn.zeros((self.rank, outputs)), **self._more(params)})

    def _sizes(self) -> tuple[int, int]:
        raise NotImplementedError

    def _more(self, params: Any) -> dict[str, fn.array]:
        """What there is beside the two factors, from the parameters of the layer."""
        return {}

    def _dropped(self, params: Params, x: fn.array) -> fn.array:
        dropped: fn.array = Dropout(self.dropout)(params, x) if self.dropout and params.training else x
        return dropped

    def _delta(self, params: Any) -> fn.array:
        """What is added to the matrix of the layer."""
        raise NotImplementedError

    def merged(self, params: Any) -> fn.array:
        """The matrix that does what layer and adapter do together."""
        return dense_weight(self.layer, params) + self._delta(params)

    def to_quantized(
        self, params: Any, group_size: int | None = None, bits: int | None = None, mode: str = "affine"
    ) -> tuple[Adapter, Any]:
        """Pack the matrix of the layer, for ``nn.quantize``; the adapter stays as it is."""
        if isinstance(self.layer, (QuantizedLinear, QuantizedEmbedding)):
            return self, params
        make: Any = QuantizedLinear.from_linear if isinstance(self.layer, Linear) else QuantizedEmbedding.from_embedding
        layer, packed = make(self.layer, params, group_size, bits, mode)
        adapter: Adapter = attrs.evolve(self, layer=layer)  # type: ignore[misc]
        return adapter, packed | {name: params[name] for name in self._adapters}


class _Linear(Adapter):
    _of = (Linear, QuantizedLinear)

    def _sizes(self) -> tuple[int, int]:
        return self.layer.input_dims, self.layer.output_dims

    def _delta(self, params: Any) -> fn.array:
        return fn.swapaxes(self.scale * (params["lora_a"] @ params["lora_b"]), -1, -2)

    def _low_rank(self, params: Params, x: fn.array) -> fn.array:
        product: fn.array = self.scale * ((self._dropped(params, x) @ params["lora_a"]) @ params["lora_b"])
        return product


class LoRALinear(_Linear):
    """A linear layer with a low-rank adapter: ``layer(x) + scale * (dropout(x) @ lora_a) @ lora_b``.

    Beside the parameters of the layer, under the same names, there are ``lora_a`` of shape ``(input_dims, rank)``, drawn
    uniformly from ``±1 / sqrt(input_dims)``, and ``lora_b`` of shape ``(rank, output_dims)``, zero. ``nn.lora`` puts it
    into models.

    Args:
        layer: An ``nn.Linear`` or ``nn.QuantizedLinear``.
        rank: The rank of what is learned.
        scale: What the product is multiplied by.
        dropout: Probability that an input of the adapter is dropped in training.

    Reference: E. J. Hu et al., "LoRA: low-rank adaptation of large language models", 2022.

    >>> import funcnn as fn
    >>> from funcnn import nn, random, tree
    >>> layer = nn.LoRALinear(nn.Linear(3, 4), rank=2)
    >>> params = layer.init(random.key(0))
    >>> tree.paths(params)
    ['bias', 'lora_a', 'lora_b', 'weight']
    >>> x = fn.ones((5, 3))
    >>> fn.array_equal(layer(params, x), nn.Linear(3, 4)(params, x)).item()
    True
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        y: fn.array = self.layer(params, x)
        return y + self._low_rank(params, as_input(x)).astype(y.dtype)


class _Embedding(Adapter):
    _of = (Embedding, QuantizedEmbedding)

    def _sizes(self) -> tuple[int, int]:
        return self.layer.num_embeddings, self.layer.dims

    def _delta(self, params: Any) -> fn.array:
        delta: fn.array = self.scale * (params["lora_a"] @ params["lora_b"])
        return delta

    def _low_rank_rows(self, params: Params, x: fn.array) -> fn.array:
        rows: fn.array = self.scale * (fn.take(params["lora_a"], x, axis=0) @ params["lora_b"])
        return rows

    def _low_rank_scores(self, params: Params, x: fn.array) -> fn.array:
        product: fn.array = self.scale * ((self._dropped(params, x) @ params["lora_b"].T) @ params["lora_a"].T)
        return product


class LoRAEmbedding(_Embedding):
    """An embedding with a low-rank adapter: ``layer(x) + scale * dropout(lora_a[x] @ lora_b)``.

    Beside the parameters of the layer, under the same names, there are ``lora_a`` of shape ``(num_embeddings, rank)``,
    drawn uniformly from ``±1 / sqrt(num_embeddings)``, and ``lora_b`` of shape ``(rank, dims)``, zero.

    Args:
        layer: An ``nn.Embedding`` or ``nn.QuantizedEmbedding``.
        rank: The rank of what is learned.
        scale: What the product is multiplied by.
        dropout: Probability that an element of the adapter's output is dropped in training.

    Reference: E. J. Hu et al., "LoRA: low-rank adaptation of large language models", 2022.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.LoRAEmbedding(nn.Embedding(10, 4), rank=2)
    >>> layer(layer.init(random.key(0)), fn.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        y: fn.array = self.layer(params, x)
        return y + self._dropped(params, self._low_rank_rows(params, as_input(x))).astype(y.dtype)

    def as_linear(self, params: Params, x: fn.array) -> fn.array:
        """Multiply by the adapted table: scores for every row."""
        view = params if type(params) is View else View(params)
        y: fn.array = self.layer.as_linear(view, x)
        return y + self._low_rank_scores(view, as_input(x)).astype(y.dtype)


class _DoRA(Adapter):
    """A matrix whose rows have lengths of their own, ``m``, and the directions of the rows of the adapted matrix."""

    _adapters = ("lora_a", "lora_b", "m")

    def _more(self, params: Any) -> dict[str, fn.array]:
        return {"m": row_norms(dense_weight(self.layer, params))}

    def _gain(self, params: Any) -> fn.array:
        """What rows of the adapted matrix are multiplied by. Their lengths are constants for the gradient."""
        adapted = fn.stop_gradient(super().merged(params))
        gain: fn.array = params["m"] * _inverse(row_norms(adapted))
        return gain

    def merged(self, params: Any) -> fn.array:
        """The matrix that does what layer and adapter do together."""
        return self._gain(params)[..., None] * super().merged(params)


class DoRALinear(_DoRA, _Linear):
    """A linear layer whose matrix is learned as lengths of rows times directions, the latter by a low-rank adapter.

    ``y = m / norm(w) * (x @ weight.T + scale * (dropout(x) @ lora_a) @ lora_b) + bias`` with ``w = weight + scale * (lora_a @ lora_b).T``
    and norms of rows, which are constants for the gradient, as the paper proposes. Beside the parameters of
    ``nn.LoRALinear`` there is ``m`` of shape ``(output_dims,)``, at first the norms of the rows of ``weight``. A row of zeros, which
    has no direction, stays zero.

    Args:
        layer: An ``nn.Linear`` or ``nn.QuantizedLinear``.
        rank: The rank of what is learned.
        scale: What the product is multiplied by.
        dropout: Probability that an input of the adapter is dropped in training.

    Reference: S.-Y. Liu et al., "DoRA: weight-decomposed low-rank adaptation", 2024.

    >>> from funcnn import nn, random, tree
    >>> layer = nn.DoRALinear(nn.Linear(3, 4), rank=2)
    >>> tree.paths(layer.init(random.key(0)))
    ['bias', 'lora_a', 'lora_b', 'm', 'weight']
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        y: fn.array = attrs.evolve(self.layer, bias=False)(params, x)
        y = y + self._low_rank(params, as_input(x)).astype(y.dtype)
        y = self._gain(params).astype(y.dtype) * y
        return y + params["bias"] if self.layer.bias else y


class DoRAEmbedding(_DoRA, _Embedding):
    """An embedding whose rows are learned as lengths times directions, the latter by a low-rank adapter.

    ``y = (m / norm(w))[x] * (weight[x] + scale * dropout(lora_a[x] @ lora_b))`` with ``w = weight + scale * lora_a @ lora_b`` and norms
    of rows, which are constants for the gradient. Beside the parameters of ``nn.LoRAEmbedding`` there is ``m`` of shape
    ``(num_embeddings,)``, at first the norms of the rows of ``weight``.

    Args:
        layer: An ``nn.Embedding`` or ``nn.QuantizedEmbedding``.
        rank: The rank of what is learned.
        scale: What the product is multiplied by.
        dropout: Probability that an element of the adapter's output is dropped in training.

    Reference: S.-Y. Liu et al., "DoRA: weight-decomposed low-rank adaptation", 2024.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.DoRAEmbedding(nn.Embedding(10, 4), rank=2)
    >>> layer(layer.init(random.key(0)), fn.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        y: fn.array = self.layer(params, x)
        x = as_input(x)
        low_rank = self._low_rank_rows(params, x)
        adapted = fn.stop_gradient(y.astype(low_rank.dtype) + low_rank)
        gain = fn.take(params["m"], x, axis=0) * _inverse(row_norms(adapted.astype(params["m"].dtype)))
        y = y + self._dropped(params, low_rank).astype(y.dtype)
        return gain[..., None].astype(y.dtype) * y

    def as_linear(self, params: Params, x: fn.array) -> fn.array:
        """Multiply by the adapted table: scores for every row."""
        view = params if type(params) is View else View(params)
        y: fn.array = self.layer.as_linear(view, x)
        y = y + self._low_rank_scores(view, as_input(x)).astype(y.dtype)
        return self._gain(view).astype(y.dtype) * y


LORA: dict[type[Layer], type[Adapter]] = {
    Linear: LoRALinear,
    QuantizedLinear: LoRALinear,
    Embedding: LoRAEmbedding,
    QuantizedEmbedding: LoRAEmbedding,
}
DORA: dict[type[Layer], type[Adapter]] = {
    Linear: DoRALinear,
    QuantizedLinear: DoRALinear,
    Embedding: DoRAEmbedding,
    QuantizedEmbedding: DoRAEmbedding,
}


def dense(layer: Layer) -> Layer:
    """The layer with a matrix that is not packed."""
    if isinstance(layer, QuantizedLinear):
        return Linear(layer.input_dims, layer.output_dims, layer.bias)
    if isinstance(layer, QuantizedEmbedding):
        return Embedding(layer.num_embeddings, layer.dims)
    return layer


def dense_dtype(layer: Layer, params: Any) -> fn.Dtype:
    """The dtype of a matrix once it is not packed: that of what it was packed of, where this is known."""
    if dense(layer) is layer:
        return params["weight"].dtype  # type: ignore[no-any-return]
    scales: fn.Dtype = params["scales"].dtype
    return scales if fn.isdtype(scales, "real floating") else getattr(layer, "dtype", None) or fn.float32
