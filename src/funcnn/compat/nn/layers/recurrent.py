"""Recurrent layers: they run along axis -2 of ``(..., L, input_size)`` and return the states after each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ... import core as mx
from .._functional import recurrent as _recurrent
from . import activations
from .base import Module
from .linear import _drawn


def _nonlinearity(given: Any) -> Callable[[Any], Any]:
    """A function, given as such or by the name of one of ``nn``'s."""
    found = given if given is not None else activations.tanh
    if isinstance(found, str):
        found = getattr(activations, found, None)
        found = found if found in activations.PURE and not isinstance(found, type) else None
    if not callable(found):
        raise ValueError(f"RNN: nonlinearity must be a function, or the name of one in nn, got {given!r}")
    return found


def _is_pure(function: Any) -> bool:
    return type(function) in activations.PURE or (
        getattr(function, "__hash__", None) is not None and function in activations.PURE
    )


def _joined(x: mx.array, *states: mx.array | None) -> tuple[Any, ...]:
    """Broadcast the leading axes of a sequence and its first states against each other."""
    if x.shape[-2] == 0:
        raise ValueError(f"expected a sequence (..., L, input_size) of at least one element, got {x.shape}")
    if all(state is None or state.shape[:-1] == x.shape[:-2] for state in states):
        return (x, *states)
    leading = mx.broadcast_shapes(x.shape[:-2], *(state.shape[:-1] for state in states if state is not None))
    return (
        mx.broadcast_to(x, (*leading, *x.shape[-2:])),
        *(None if state is None else mx.broadcast_to(state, (*leading, state.shape[-1])) for state in states),
    )


def _draw(layer: Module, hidden_size: int, **shapes: tuple[int, ...] | None) -> None:
    """Draw parameters uniformly from ``±1 / sqrt(hidden_size)``; those that have no shape are None."""
    layer.hidden_size = hidden_size
    bound = 1 / math.sqrt(hidden_size)
    for name, shape in shapes.items():
        setattr(layer, name, None if shape is None else _drawn(bound, *shape))


def _described(layer: Module, weight: str, bias: str, **more: Any) -> str:
    known = {"input_dims": layer[weight].shape[1], "hidden_size": layer.hidden_size, **more}
    known["bias"] = getattr(layer, bias) is not None
    return ", ".join(f"{name}={value}" for name, value in known.items())


class RNN(Module):
    """An Elman network: ``h = nonlinearity(Wxh @ x + Whh @ h + bias)``.

    ``Wxh`` of shape ``(hidden_size, input_size)``, ``Whh`` of ``(hidden_size, hidden_size)`` and ``bias`` are drawn uniformly from
    ``±1 / sqrt(hidden_size)``. The nonlinearity is a function, by default ``nn.tanh``; the name of one of ``nn``'s does as well.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.RNN(3, 5)(mx.ones((2, 7, 3))).shape
    (2, 7, 5)
    """

    bias: mx.array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Callable[[Any], Any] | str | None = None,
    ):
        super().__init__()
        self.nonlinearity = _nonlinearity(nonlinearity)
        n = hidden_size
        _draw(self, n, Wxh=(n, input_size), Whh=(n, n), bias=(n,) if bias else None)

    def _extra_repr(self) -> str:
        return _described(self, "Wxh", "bias", nonlinearity=self.nonlinearity)

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        x, hidden = _joined(x, hidden)
        # A function that is not known may look at values, or draw numbers: it is called once for each step.
        unrolled = not _is_pure(self.nonlinearity)
        return _recurrent.rnn(
            x, (self["Wxh"], self["Whh"]), self.get("bias"), hidden, self.nonlinearity, unrolled=unrolled
        )


class GRU(Module):
    """A gated recurrent unit, its rows of ``Wx``, ``Wh`` and ``b`` in three parts: reset gate, update gate, candidate.

    ``Wx`` of shape ``(3 * hidden_size, input_size)``, ``Wh`` of ``(3 * hidden_size, hidden_size)``, ``b`` of ``(3 * hidden_size,)`` and
    ``bhn``, added to the candidate's part of the product with the state, of ``(hidden_size,)`` are drawn uniformly from
    ``±1 / sqrt(hidden_size)``. Returns the states after each step.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.GRU(3, 5)(mx.ones((2, 7, 3))).shape
    (2, 7, 5)
    """

    b: mx.array | None
    bhn: mx.array | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        n = hidden_size
        biases = ((3 * n,), (n,)) if bias else (None, None)
        _draw(self, n, Wx=(3 * n, input_size), Wh=(3 * n, n), b=biases[0], bhn=biases[1])

    def _extra_repr(self) -> str:
        return _described(self, "Wx", "b")

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        x, hidden = _joined(x, hidden)
        return _recurrent.gru(x, (self["Wx"], self["Wh"]), self.get("b"), self.get("bhn"), hidden)


class LSTM(Module):
    """A long short-term memory, its rows in four parts: input gate, forget gate, candidate, output gate.

    ``Wx`` of shape ``(4 * hidden_size, input_size)``, ``Wh`` of ``(4 * hidden_size, hidden_size)`` and ``bias`` are drawn uniformly
    from ``±1 / sqrt(hidden_size)``. Returns hidden and cell states after each step.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> hidden, cell = nn.LSTM(3, 5)(mx.ones((2, 7, 3)))
    >>> hidden.shape, cell.shape
    ((2, 7, 5), (2, 7, 5))
    """

    bias: mx.array | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        n = hidden_size
        _draw(self, n, Wx=(4 * n, input_size), Wh=(4 * n, n), bias=(4 * n,) if bias else None)

    def _extra_repr(self) -> str:
        return _described(self, "Wx", "bias")

    def __call__(
        self, x: mx.array, hidden: mx.array | None = None, cell: mx.array | None = None
    ) -> tuple[mx.array, mx.array]:
        x, hidden, cell = _joined(x, hidden, cell)
        return _recurrent.lstm(x, (self["Wx"], self["Wh"]), self.get("bias"), hidden, cell)
