"""Strategies for layers, their parameters, and optimisers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import funcnn as fn
from funcnn import nn, optim, random, tree
from funcnn._arguments import integer

from ._arrays import arrays

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

# Activations without a choice.
_ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Softplus, nn.Mish, nn.Softmax, nn.Hardswish)


def layers(input_dims: int = 4, output_dims: int | None = None, *, max_layers: int = 4) -> SearchStrategy[nn.Layer]:
    """Draw layers that map the last axis of an array of shape ``(N, input_dims)``.

    Affine maps, activations, normalisation and dropout, in sequences, residual connections, stacks that are scanned over
    and checkpoints; among them layers without parameters, with statistics that training changes, and that need a key in
    training.

    Args:
        input_dims: Size of the last axis of the input.
        output_dims: Size of the last axis of the output; any from 1 to 5 by default.
        max_layers: How many layers stand in a sequence at most.

    >>> import funcnn as fn
    >>> from funcnn import random, testing
    >>> from hypothesis import given
    >>> @given(testing.layers(3, 2))
    ... def test_shape(layer):
    ...     assert layer(layer.init(random.key(0)), fn.ones((5, 3))).shape == (5, 2)
    >>> test_shape()
    """
    from hypothesis import strategies as st

    for what, value, least in (("input_dims", input_dims, 1), ("max_layers", max_layers, 1)):
        if integer(value, f"layers: {what}") < least:
            raise ValueError(f"layers: {what} must be at least {least}, got {value}")
    if output_dims is not None and integer(output_dims, "layers: output_dims") < 1:
        raise ValueError(f"layers: output_dims must be at least 1, got {output_dims}")

    @st.composite
    def kept(draw: Any, dims: int, depth: int) -> nn.Layer:
        """A layer that keeps the size."""
        kind = draw(st.integers(0, 11 if depth < 2 else 7))
        if kind <= 1:
            return nn.Linear(dims, dims, draw(st.booleans()))
        if kind == 2:
            return draw(st.sampled_from(_ACTIVATIONS))()  # type: ignore[no-any-return]
        if kind == 3:
            return nn.LayerNorm(dims, affine=draw(st.booleans()), bias=draw(st.booleans()))
        if kind == 4:
            return nn.BatchNorm(dims, momentum=draw(st.sampled_from([0.1, 0.5])), affine=draw(st.booleans()))
        if kind == 5:
            return nn.Dropout(draw(st.sampled_from([0.0, 0.25, 0.5])))
        if kind == 6:
            groups = draw(st.sampled_from([n for n in (1, 2, dims) if dims % n == 0]))
            others = [nn.RMSNorm(dims), nn.PReLU(), nn.PReLU(dims), nn.LeakyReLU(0.2), nn.GroupNorm(groups, dims)]
            return draw(st.sampled_from(others))  # type: ignore[no-any-return]
        if kind == 7:
            return nn.Identity()
        inner = draw(sequence(dims, dims, depth + 1))
        wrapped: list[nn.Layer] = [inner, nn.Residual(inner), nn.checkpoint(inner), nn.scan_layers(inner, 2)]
        return wrapped[kind - 8]  # type: ignore[no-any-return]

    @st.composite
    def sequence(draw: Any, dims: int, out: int, depth: int) -> nn.Layer:
        count = draw(st.integers(0, max_layers - 1))
        before = [draw(kept(dims, depth)) for _ in range(count)]
        change = [nn.Linear(dims, out, draw(st.booleans()))] if out != dims or draw(st.booleans()) else []
        return nn.Sequential(*before, *change)

    @st.composite
    def draw_layer(draw: Any) -> nn.Layer:
        out = draw(st.integers(1, 5)) if output_dims is None else output_dims
        if out == input_dims and draw(st.booleans()):
            return draw(kept(input_dims, 0))  # type: ignore[no-any-return]
        if draw(st.booleans()):
            return draw(sequence(input_dims, out, 0))  # type: ignore[no-any-return]
        return nn.Linear(input_dims, out)

    return draw_layer()


def params_for(
    layer: nn.Layer,
    *,
    min_value: float | None = -2.0,
    max_value: float | None = 2.0,
    **options: Any,
) -> SearchStrategy[Any]:
    """Draw parameters for a layer: of the structure, shapes and dtypes that ``layer.init`` gives.

    Args:
        layer: A layer.
        min_value, max_value: The range of the elements, as ``testing.arrays`` takes it; None for no bound, which with
            neither gives NaNs and infinities too.
        options: Further arguments of ``testing.arrays``.

    Statistics, which are no parameters to be trained, are at least 0, for variances are among them.

    >>> from funcnn import nn, testing
    >>> params = testing.params_for(nn.Linear(3, 2))
    """
    from hypothesis import strategies as st

    if not isinstance(layer, nn.Layer):
        raise TypeError(f"params_for: layer must be a layer, got {layer!r}")
    trained = nn.trainable(layer)
    like = layer.init(random.key(0))

    def of(path: str, leaf: Any) -> SearchStrategy[Any]:
        if not isinstance(leaf, fn.array):
            return st.just(leaf)
        low, high = min_value, max_value
        if not fn.isdtype(leaf.dtype, ("real floating", "complex floating")):
            low = high = None
        elif not trained(path, leaf):
            low, high = 0.0 if low is None else max(low, 0.0), None if high is None else max(high, 0.0)
        return arrays(leaf.dtype, leaf.shape, min_value=low, max_value=high, **options)

    found, treedef = tree.flatten(like)
    return st.tuples(*map(of, treedef.paths(), found)).map(treedef.unflatten)


def _is_vector(path: str, p: fn.array) -> bool:
    return p.ndim < 2


def optimizers(*, max_rate: float = 0.1) -> SearchStrategy[optim.Optimizer]:
    """Draw optimisers: of one kind, with a rate or a schedule of it; chains with clipping and weight decay; wrapped ones.

    They are for trees of real arrays. Some do nothing at some steps, as ``optim.accumulate`` and a rate of 0.

    Args:
        max_rate: The largest learning rate.

    >>> import funcnn as fn
    >>> from funcnn import optim, testing
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=20)
    ... @given(testing.optimizers())
    ... def test_steps_are_finite(opt):
    ...     params = {"w": fn.array([1.0, 2.0])}
    ...     delta, state = opt.update({"w": fn.array([0.5, -0.5])}, opt.init(params), params)
    ...     assert fn.all(fn.isfinite(delta["w"]))
    >>> test_steps_are_finite()
    """
    from hypothesis import strategies as st

    if not isinstance(max_rate, (int, float)) or not max_rate > 0:
        raise ValueError(f"optimizers: max_rate must be a number above 0, got {max_rate!r}")
    rates = st.sampled_from([max_rate, max_rate / 10, 0.0])
    schedules = rates.map(lambda rate: optim.schedules.exponential_decay(rate, 0.9))
    rate = st.one_of(rates, schedules)
    kinds: list[SearchStrategy[Any]] = [
        st.builds(optim.sgd, rate, momentum=st.sampled_from([0.0, 0.9])),
        st.builds(optim.adam, rate),
        st.builds(optim.adamw, rate),
        *(
            st.builds(getattr(optim, name), rate)
            for name in ("adamax", "adagrad", "adadelta", "rmsprop", "lion", "lamb", "muon")
        ),
        st.builds(optim.adafactor, rate, relative_step=st.just(False)),
    ]
    before = st.sampled_from([optim.clip_by_global_norm(1.0), optim.clip(0.5), optim.add_decayed_weights(0.01)])
    plain = st.one_of(*kinds)
    wrapped: list[SearchStrategy[Any]] = [
        st.builds(optim.accumulate, plain, st.integers(1, 3)),
        st.builds(optim.lookahead, plain, st.integers(1, 3), st.sampled_from([0.5, 1.0])),
        st.builds(optim.apply_if_finite, plain, st.integers(0, 3)),
        st.builds(optim.chain, plain, st.builds(optim.ema, st.sampled_from([0.0, 0.9]))),
        st.builds(optim.masked, plain, st.sampled_from(["**", _is_vector])),
    ]
    return st.one_of(*kinds, st.builds(optim.chain, before, plain), *wrapped)
