"""Layers whose weights are packed in a few bits, and `quantize`, which puts them in the places of others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ... import core as mx
from ...utils import tree_map_with_path
from .base import Module

__all__ = ["QQLinear", "QuantizedEmbedding", "QuantizedLinear", "quantize"]

# group_size and bits by mode
DEFAULTS = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}


def _defaults_for_mode(mode: str, group_size: int | None, bits: int | None) -> tuple[int, int]:
    if mode not in DEFAULTS:
        raise ValueError(f"quantize: mode must be one of {', '.join(map(repr, DEFAULTS))}, got {mode!r}")
    usual = DEFAULTS[mode]
    return group_size or usual[0], bits or usual[1]


def quantize(
    model: Module,
    group_size: int | None = None,
    bits: int | None = None,
    *,
    mode: str = "affine",
    quantize_input: bool = False,
    class_predicate: Callable[[str, Module], bool | dict[str, Any]] | None = None,
) -> None:
    """Replace, in place, the modules below ``model`` that hold no others by their quantised forms.

    ``class_predicate(path, module)`` says which: True, or a dict of the arguments of the module's ``to_quantized``, or
    False. By default those that have that method, as `Linear` and `Embedding`. Raises ValueError for a mode that does not
    exist, a module without the method, an answer of another class, and sizes that ``group_size`` does not divide; the
    model is then as it was.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    >>> nn.quantize(model, bits=8)
    >>> model.layers[0]
    QuantizedLinear(input_dims=64, output_dims=64, bias=True, group_size=64, bits=8, mode=affine)
    """

    def chosen(path: str, module: Any) -> Any:
        answer: Any = hasattr(module, "to_quantized") if class_predicate is None else class_predicate(path, module)
        if not answer:
            return module
        if not hasattr(module, "to_quantized"):
            raise ValueError(
                f"quantize: {path} ({type(module).__name__}) has no method to_quantized, so it cannot be chosen"
            )
        if isinstance(answer, dict):
            return module.to_quantized(**answer)
        if not isinstance(answer, bool):
            raise ValueError(
                f"quantize: class_predicate must return a bool, or a dict of arguments of to_quantized, got {answer!r} for {path}"
            )
        options: dict[str, Any] = {"group_size": group_size, "bits": bits, "mode": mode}
        if quantize_input:
            options["quantize_input"] = True
        return module.to_quantized(**options)

    model.update_modules(tree_map_with_path(chosen, model.leaf_modules(), is_leaf=Module.is_module))


# What the layers with a packed matrix have in common: functions, since a name of the class could not become an entry.


def _set_format(layer: Module, mode: str, group_size: int | None, bits: int | None) -> None:
    layer.group_size, layer.bits = _defaults_for_mode(mode, group_size, bits)
    layer.mode = mode


def _format(layer: Module) -> dict[str, Any]:
    return {"group_size": layer.group_size, "bits": layer.bits, "mode": layer.mode}


def _pack(layer: Module, weight: mx.array) -> None:
    layer.weight, layer.scales, *biases = mx.quantize(weight, **_format(layer))
    layer.biases = biases[0] if biases else None


def _product(layer: Module, x: mx.array) -> mx.array:
    # By place, which is the quickest.
    biases = layer.get("biases")
    return mx.quantized_matmul(
        x, layer["weight"], layer["scales"], biases, True, layer.group_size, layer.bits, layer.mode
    )


def _described(layer: Module) -> str:
    return ", ".join(f"{name}={value}" for name, value in _format(layer).items())


def _dims(layer: Module) -> tuple[int, int]:
    """Rows and columns of the matrix that is packed."""
    rows, words = layer.weight.shape
    return rows, words * 32 // layer.bits


class QuantizedEmbedding(Module):
    """`Embedding` with a packed table, which is frozen.

    The parameters ``weight``, ``scales`` and, of mode ``affine``, ``biases`` are what ``mx.quantize`` returns for a table of
    ``(num_embeddings, dims)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.QuantizedEmbedding(10, 64)(mx.array([[1, 2, 3]])).shape
    (1, 3, 64)
    """

    def __init__(
        self,
        num_embeddings: int,
        dims: int,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> None:
        super().__init__()
        _set_format(self, mode, group_size, bits)
        _pack(self, mx.random.normal(shape=(num_embeddings, dims), scale=math.sqrt(1 / dims)))
        self.num_embeddings = num_embeddings
        self.dims = dims
        self.freeze()

    def __call__(self, x: mx.array) -> mx.array:
        biases = self.get("biases")
        return mx.dequantize(
            self["weight"][x],
            scales=self["scales"][x],
            biases=None if biases is None else biases[x],
            **_format(self),
        )

    def as_linear(self, x: mx.array) -> mx.array:
        """Return ``x @ table.T``, as for an output projection that shares the table."""
        return _product(self, x)

    def _extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.dims}, {_described(self)}"

    @classmethod
    def from_embedding(
        cls,
        embedding_layer: Module,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> QuantizedEmbedding:
        """Return the layer whose table is that of ``embedding_layer``, packed."""
        rows, columns = embedding_layer.weight.shape
        layer = cls(rows, columns, group_size, bits, mode)
        _pack(layer, embedding_layer.weight)
        return layer


class QuantizedLinear(Module):
    """`Linear` with a packed matrix. All its parameters are frozen when it is made.

    ``weight``, ``scales`` and, of mode ``affine``, ``biases`` are what ``mx.quantize`` returns for a matrix of
    ``(output_dims, input_dims)``; ``bias`` has the shape ``(output_dims,)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> layer = nn.QuantizedLinear.from_linear(nn.Linear(64, 8))
    >>> layer, layer(mx.ones((2, 64))).shape
    (QuantizedLinear(input_dims=64, output_dims=8, bias=True, group_size=64, bits=4, mode=affine), (2, 8))
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> None:
        super().__init__()
        _set_format(self, mode, group_size, bits)
        _pack(self, _uniform(input_dims, output_dims))
        if bias:
            self.bias = mx.zeros((output_dims,))
        self.freeze()

    def _extra_repr(self) -> str:
        rows, columns = _dims(self)
        return f"input_dims={columns}, output_dims={rows}, bias={'bias' in self}, {_described(self)}"

    def __call__(self, x: mx.array) -> mx.array:
        y = _product(self, x)
        return y + self["bias"] if "bias" in self else y

    @classmethod
    def from_linear(
        cls, linear_layer: Module, group_size: int | None = None, bits: int | None = None, mode: str = "affine"
    ) -> QuantizedLinear:
        """Return the layer whose matrix is that of ``linear_layer``, packed; a bias is taken over and is trainable."""
        rows, columns = linear_layer.weight.shape
        layer = cls(columns, rows, bias=False, group_size=group_size, bits=bits, mode=mode)
        _pack(layer, linear_layer.weight)
        if "bias" in linear_layer:
            layer.bias = linear_layer.bias
        return layer


class QQLinear(Module):
    """A `Linear` without bias that rounds its input and its matrix to a few bits.

    In training mode ``weight`` is the matrix itself, which is rounded in every call and has a gradient; in evaluation mode
    ``weight`` and ``scales`` are its packed form. `train` and `eval` go from one to the other.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> layer = nn.QQLinear(32, 16, mode="mxfp8")
    >>> layer.weight.shape, layer.eval().weight.shape
    ((16, 32), (16, 8))
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "nvfp4",
    ) -> None:
        super().__init__()
        _set_format(self, mode, group_size, bits)
        self.weight = _uniform(input_dims, output_dims)
        self._quantized = False

    def _extra_repr(self) -> str:
        rows, columns = _dims(self) if self._quantized else self.weight.shape
        return f"input_dims={columns}, output_dims={rows}, {_described(self)}"

    def quantize(self) -> None:
        """Pack the matrix, if it is not packed."""
        if not self._quantized:
            self.weight, self.scales = mx.quantize(self.weight, **_format(self))
            self._quantized = True

    def dequantize(self) -> None:
        """Unpack the matrix, if it is packed."""
        if self._quantized:
            self.weight = mx.dequantize(self.weight, scales=self.scales, **_format(self))
            del self.scales
            self._quantized = False

    def _set_training_mode(self, mode: bool) -> None:
        super()._set_training_mode(mode)
        change = self.dequantize if self._training else self.quantize
        change()

    def __call__(self, x: mx.array) -> mx.array:
        return mx.qqmm(x, self["weight"], scales=self.get("scales"), **_format(self))

    @classmethod
    def from_linear(
        cls, linear_layer: Module, group_size: int | None = None, bits: int | None = None, mode: str = "nvfp4"
    ) -> QQLinear:
        """Return the layer with the matrix and the mode of ``linear_layer``; one with a bias is a NotImplementedError."""
        if linear_layer.get("bias") is not None:
            raise NotImplementedError("QQLinear.from_linear: the layer has a bias, which its product cannot add")
        rows, columns = linear_layer.weight.shape
        made = cls(columns, rows, group_size=group_size, bits=bits, mode=mode)
        made.weight = linear_layer.weight
        made.train(linear_layer.training)
        return made


def _uniform(input_dims: int, output_dims: int) -> mx.array:
    scale = math.sqrt(1 / input_dims)
    weight: mx.array = mx.random.uniform(low=-scale, high=scale, shape=(output_dims, input_dims))
    return weight
