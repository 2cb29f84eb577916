"""Recurrent layers: a product of the whole sequence with the input weights, then a scan over its steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

import funcnn as fn
from funcnn import random
from funcnn._device import home
from funcnn._hyper import whole
from funcnn.tree import frozendict

from ._activations import tanh
from ._calling import call, function
from ._layer import Layer, Params, as_input, is_layer


def _check(x: fn.array, size: int) -> None:
    if x.ndim < 2 or x.shape[-1] != size:
        raise ValueError(f"expected a sequence (..., L, {size}), got {x.shape}")
    if not fn.isdtype(x.dtype, ("real floating", "integral")):
        raise TypeError(f"expected real numbers, got {x.dtype}")


def _state(name: str, state: Any, x: fn.array, size: int) -> fn.array | None:
    """The state that a layer is given, checked against the sequence."""
    if state is None:
        return None
    found = as_input(state)
    if not fn.isdtype(found.dtype, "real floating"):
        raise TypeError(f"{name}: expected real floating-point numbers, got {found.dtype}")
    shape = (*x.shape[:-2], size)
    if found.shape != shape:
        raise ValueError(f"{name}: a sequence of shape {x.shape} starts from a state {shape}, got {found.shape}")
    return found


def _steps_first(x: fn.array) -> fn.array:
    # Steps are fastest where each lies in one piece; the input has mostly fewer features to move than the gates.
    return fn.moveaxis(x, -2, 0)


def _over_time(
    step: Callable[..., Any],
    gates: fn.array,
    states: tuple[fn.array | None, ...],
    size: int,
    *weights: fn.array | None,
    unrolled: bool = False,
) -> Any:
    """Scan over the first axis; a state that is None is zero. Returns the states after every step, along axis -2.

    The states have one dtype throughout, that which everything promotes to. Unrolled, `step` is called with values, once for
    each element.
    """
    dtype = gates.dtype
    for other in (*states, *weights):
        dtype = dtype if other is None else fn.promote_types(dtype, other.dtype)
    gates = gates.astype(dtype)
    zero = fn.zeros((*gates.shape[1:-1], size), dtype, device=home(gates))
    carry = tuple(zero if state is None else state.astype(dtype) for state in states)

    def run(carry: Any, x: fn.array) -> tuple[Any, Any]:
        carry = tuple(new.astype(dtype) for new in step(carry, x))
        return carry, carry

    if unrolled and gates.shape[0]:
        after = []
        for i in range(gates.shape[0]):
            carry, _ = run(carry, gates[i])
            after.append(carry)
        made = tuple(fn.stack(states) for states in zip(*after, strict=True))
    else:
        _, made = fn.scan(run, carry, gates)
    return tuple(fn.moveaxis(states, 0, -2) for states in made)


def _gates(x: fn.array, weight: fn.array, bias: fn.array | None) -> fn.array:
    gates: fn.array = _steps_first(x) @ weight.T
    return gates if bias is None else gates + bias


def rnn(
    x: fn.array,
    weights: tuple[fn.array, fn.array],
    bias: fn.array | None,
    hidden: fn.array | None,
    nonlinearity: Callable[[fn.array], fn.array],
    *,
    unrolled: bool = False,
) -> fn.array:
    """The states of an Elman network with weights ``Wxh`` and ``Whh``."""
    weight = weights[1].T

    def step(carry: tuple[fn.array], gates: fn.array) -> tuple[fn.array]:
        return (nonlinearity(gates + carry[0] @ weight),)

    gates = _gates(x, weights[0], bias)
    found: fn.array = _over_time(step, gates, (hidden,), weights[1].shape[0], weight, unrolled=unrolled)[0]
    return found


def gru(
    x: fn.array,
    weights: tuple[fn.array, fn.array],
    bias: fn.array | None,
    hidden_bias: fn.array | None,
    hidden: fn.array | None,
) -> fn.array:
    """The states of a gated recurrent unit with weights ``Wx`` and ``Wh`` and biases ``b`` and ``bhn``."""
    weight, size = weights[1].T, weights[1].shape[0] // 3

    def step(carry: tuple[fn.array], gates: fn.array) -> tuple[fn.array]:
        (h,) = carry
        own = h @ weight
        r, z = fn.split(fn.sigmoid(gates[..., : 2 * size] + own[..., : 2 * size]), 2, axis=-1)
        candidate = own[..., 2 * size :]
        n = fn.tanh(gates[..., 2 * size :] + r * (candidate if hidden_bias is None else candidate + hidden_bias))
        return ((1 - z) * n + z * h,)

    found: fn.array = _over_time(step, _gates(x, weights[0], bias), (hidden,), size, weight, hidden_bias)[0]
    return found


def lstm(
    x: fn.array,
    weights: tuple[fn.array, fn.array],
    bias: fn.array | None,
    hidden: fn.array | None,
    cell: fn.array | None,
) -> tuple[fn.array, fn.array]:
    """The hidden and cell states of a long short-term memory with weights ``Wx`` and ``Wh``."""
    weight, size = weights[1].T, weights[1].shape[0] // 4

    def step(carry: tuple[fn.array, fn.array], gates: fn.array) -> tuple[fn.array, fn.array]:
        h, c = carry
        i, f, g, o = fn.split(gates + h @ weight, 4, axis=-1)
        c = fn.sigmoid(f) * c + fn.sigmoid(i) * fn.tanh(g)
        return fn.sigmoid(o) * fn.tanh(c), c

    found: tuple[fn.array, fn.array] = _over_time(step, _gates(x, weights[0], bias), (hidden, cell), size, weight)
    return found


class _Recurrent(Layer):
    """What recurrent layers share: sizes, and weights drawn from one distribution."""

    input_size: int = attrs.field(validator=whole(0))
    hidden_size: int = attrs.field(validator=whole(0))
    bias: bool = True

    def _draw(self, key: fn.array, shapes: dict[str, tuple[int, ...]]) -> frozendict[str, Any]:
        bound = 1.0 / math.sqrt(max(self.hidden_size, 1))
        keys = random.split(key, len(shapes))
        return frozendict(
            {
                name: random.uniform(keys[i], shape, low=-bound, high=bound)
                for i, (name, shape) in enumerate(shapes.items())
            }
        )


class RNN(_Recurrent):
    """Run an Elman network along a sequence: ``h = tanh(Wxh @ x + Whh @ h + bias)``.

    Parameters are ``Wxh`` of shape ``(hidden_size, input_size)``, ``Whh`` of shape ``(hidden_size, hidden_size)`` and ``bias``
    of shape ``(hidden_size,)``, all drawn uniformly from ``±1 / sqrt(hidden_size)``.

    Called as ``layer(params, x, hidden=None)`` with a sequence of shape ``(L, input_size)`` or a batch ``(N, L, input_size)``
    and the state before the first step, ``(hidden_size,)`` or ``(N, hidden_size)``, zeros if None. Returns the state after
    each step, of shape ``(L, hidden_size)`` or ``(N, L, hidden_size)``; the last of them starts the next part of a long
    sequence. The dtype is that which the input, the parameters and the state promote to.

    Args:
        input_size: Features of the input.
        hidden_size: Features of the state.
        bias: Whether to add a bias.
        nonlinearity: Applied at each step; ``nn.tanh`` if None. A function or a layer, whose parameters are then found under
            ``nonlinearity``.

    Raises:
        ValueError: The input or the state has another shape.

    Reference: J. L. Elman, "Finding structure in time", 1990.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.RNN(3, 5)
    >>> params = layer.init(random.key(0))
    >>> x = fn.ones((2, 7, 3))
    >>> h = layer(params, x)
    >>> h.shape
    (2, 7, 5)
    >>> rest = layer(params, x[:, 4:], layer(params, x[:, :4])[:, -1])
    >>> fn.allclose(rest, h[:, 4:], atol=1e-6).item()
    True
    """

    nonlinearity: Callable[[Any], Any] | Layer = attrs.field(
        default=tanh, converter=lambda f: tanh if f is None else f, validator=function
    )

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw ``Wxh``, ``Whh`` and ``bias``."""
        size = self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"Wxh": (size, self.input_size), "Whh": (size, size)}
        if self.bias:
            shapes["bias"] = (size,)
        return super().init(key) | self._draw(key, shapes)

    def __call__(self, params: Params, x: fn.array, hidden: fn.array | None = None) -> fn.array:
        x = as_input(x)
        _check(x, self.input_size)
        bias = params["bias"] if self.bias else None
        hidden = _state("hidden", hidden, x, self.hidden_size)
        weights = (params["Wxh"], params["Whh"])
        return rnn(x, weights, bias, hidden, lambda y: call(self.nonlinearity, params, "nonlinearity", y))


class GRU(_Recurrent):
    """Run a gated recurrent unit along a sequence.

    With the rows of ``Wx``, ``Wh`` and ``b`` in three parts for the reset gate, the update gate and the candidate::

        r = sigmoid(Wx_r @ x + Wh_r @ h + b_r)
        z = sigmoid(Wx_z @ x + Wh_z @ h + b_z)
        n = tanh(Wx_n @ x + b_n + r * (Wh_n @ h + bhn))
        h = (1 - z) * n + z * h

    Parameters are ``Wx`` of shape ``(3 * hidden_size, input_size)``, ``Wh`` of shape ``(3 * hidden_size, hidden_size)``, ``b`` of
    shape ``(3 * hidden_size,)`` and ``bhn`` of shape ``(hidden_size,)``, all drawn uniformly from ``±1 / sqrt(hidden_size)``.

    Called as ``layer(params, x, hidden=None)``; shapes and dtypes are those of ``nn.RNN``.

    Args:
        input_size: Features of the input.
        hidden_size: Features of the state.
        bias: Whether to add ``b`` and ``bhn``.

    Raises:
        ValueError: The input or the state has another shape.

    Reference: K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    2014, with the reset gate behind the product as in cuDNN.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.GRU(3, 5)
    >>> layer(layer.init(random.key(0)), fn.ones((7, 3)), hidden=fn.ones(5)).shape
    (7, 5)
    """

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw ``Wx``, ``Wh``, ``b`` and ``bhn``."""
        size = self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"Wx": (3 * size, self.input_size), "Wh": (3 * size, size)}
        if self.bias:
            shapes |= {"b": (3 * size,), "bhn": (size,)}
        return self._draw(key, shapes)

    def __call__(self, params: Params, x: fn.array, hidden: fn.array | None = None) -> fn.array:
        x = as_input(x)
        _check(x, self.input_size)
        bias, hidden_bias = (params["b"], params["bhn"]) if self.bias else (None, None)
        hidden = _state("hidden", hidden, x, self.hidden_size)
        return gru(x, (params["Wx"], params["Wh"]), bias, hidden_bias, hidden)


class LSTM(_Recurrent):
    """Run a long short-term memory along a sequence.

    With the rows of ``Wx``, ``Wh`` and ``bias`` in four parts for the input gate, the forget gate, the candidate and the output
    gate::

        i, f, o = sigmoid(Wx_i @ x + Wh_i @ h + bias_i), the same for f and o
        g = tanh(Wx_g @ x + Wh_g @ h + bias_g)
        c = f * c + i * g
        h = o * tanh(c)

    Parameters are ``Wx`` of shape ``(4 * hidden_size, input_size)``, ``Wh`` of shape ``(4 * hidden_size, hidden_size)`` and
    ``bias`` of shape ``(4 * hidden_size,)``, all drawn uniformly from ``±1 / sqrt(hidden_size)``.

    Called as ``layer(params, x, hidden=None, cell=None)``; shapes and dtypes are those of ``nn.RNN``. Returns the hidden and the
    cell states after each step.

    Args:
        input_size: Features of the input.
        hidden_size: Features of each state.
        bias: Whether to add a bias.

    Raises:
        ValueError: The input or a state has another shape.

    Reference: S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; F. A. Gers et al., "Learning to forget", 2000.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.LSTM(3, 5)
    >>> h, c = layer(layer.init(random.key(0)), fn.ones((2, 7, 3)))
    >>> h.shape, c.shape
    ((2, 7, 5), (2, 7, 5))
    """

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw ``Wx``, ``Wh`` and ``bias``."""
        size = self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"Wx": (4 * size, self.input_size), "Wh": (4 * size, size)}
        if self.bias:
            shapes["bias"] = (4 * size,)
        return self._draw(key, shapes)

    def __call__(
        self, params: Params, x: fn.array, hidden: fn.array | None = None, cell: fn.array | None = None
    ) -> tuple[fn.array, fn.array]:
        x = as_input(x)
        _check(x, self.input_size)
        hidden, cell = (_state(name, x_, x, self.hidden_size) for name, x_ in (("hidden", hidden), ("cell", cell)))
        return lstm(x, (params["Wx"], params["Wh"]), params["bias"] if self.bias else None, hidden, cell)


def _like_forward(layer: Layer | None, self: Any) -> Layer:
    found: Layer = self.forward if layer is None else layer
    return found


class Bidirectional(Layer):
    """Run one recurrent layer forwards and another backwards along a sequence, and join their states.

    Called as the layers are: ``layer(params, x, *states)``. The features of the forward layer come first and those of the
    backward one after them, in what is returned and in the initial states; at each place stands the state of the backward
    layer that has read this place and all after it.

    Args:
        forward: The layer that reads from the first step on: one that takes ``(..., L, D)`` and states of ``hidden_size``
            features, and returns an array or a tuple of arrays, such as ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM``.
        backward: The layer that reads from the last step on; one like `forward`, with parameters of its own, if None.

    Raises:
        ValueError: A state does not have the features of both layers.

    Reference: M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", 1997.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Bidirectional(nn.GRU(3, 5))
    >>> layer(layer.init(random.key(0)), fn.ones((2, 7, 3))).shape
    (2, 7, 10)
    >>> layer = nn.Bidirectional(nn.LSTM(3, 5))
    >>> h, c = layer(layer.init(random.key(0)), fn.ones((7, 3)), hidden=fn.ones(10))
    >>> c.shape
    (7, 10)
    """

    forward: Layer = attrs.field(validator=is_layer)
    backward: Layer = attrs.field(
        default=None, converter=attrs.Converter(_like_forward, takes_self=True), validator=is_layer
    )

    def __call__(self, params: Params, x: fn.array, *states: Any, **named: Any) -> Any:
        x = as_input(x)
        if x.ndim < 2:
            raise ValueError(f"expected a sequence (..., L, D), got {x.shape}")
        halves = [self._halves(f"state {i}", state) for i, state in enumerate(states)]
        named_halves = {name: self._halves(name, state) for name, state in named.items()}
        there, back = (
            layer(
                params[name], x, *(half[i] for half in halves), **{key: half[i] for key, half in named_halves.items()}
            )
            for i, (name, layer, x) in enumerate(
                [("forward", self.forward, x), ("backward", self.backward, fn.flip(x, -2))]
            )
        )
        if isinstance(there, tuple):
            return tuple(self._joined(a, b) for a, b in zip(there, back, strict=True))
        return self._joined(there, back)

    def _joined(self, there: fn.array, back: fn.array) -> fn.array:
        return fn.concatenate([there, fn.flip(back, -2)], axis=-1)

    def _halves(self, name: str, state: Any) -> tuple[Any, Any]:
        if state is None:
            return None, None
        state = as_input(state)
        first, second = (self._size(layer) for layer in (self.forward, self.backward))
        if state.ndim == 0 or state.shape[-1] != first + second:
            raise ValueError(
                f"{name}: expected (..., {first} + {second}), the states of both layers, got {state.shape}"
            )
        return state[..., :first], state[..., first:]

    @staticmethod
    def _size(layer: Layer) -> int:
        size: int | None = getattr(layer, "hidden_size", None)
        if size is None:
            raise ValueError(f"initial states need layers with a hidden_size, got {layer!r}")
        return size

    def _arguments(self) -> list[tuple[str | None, Any]]:
        same = self.backward == self.forward
        return [(None, self.forward)] if same else [(None, self.forward), (None, self.backward)]
