"""Second moments of matrices kept as one row and one column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._device import home
from funcnn._hyper import number, plain, plain_fields

from . import _rules as rules
from ._fields import flag, pair, plain_pair, rate
from ._protocol import (
    Schedule,
    combine,
    decay_like,
    each,
    first_count,
    like,
    needs_params,
    next_count,
    part_of,
    refuse_complex,
    value_at,
    wide,
    wide_zeros,
)

Steps = Callable[[fn.array], Any]
_WHY = "factored moments of complex numbers are not defined; optimise real and imaginary parts"


def _is_matrix(path: str, x: Any) -> bool:
    return getattr(x, "ndim", 0) >= 2


@attrs.frozen(field_transformer=plain_fields)
class adafactor:
    """Divide gradients by the root of a running average of their squares, kept as one row and one column of each matrix.

    Arrays of two and more axes count as matrices over their last two. With ``b2 = 1 - count**decay_rate`` the averages of
    ``grad**2 + eps[0]`` over rows and over columns are ``row`` and ``col``, and the direction is
    ``grad / sqrt(row * col / mean(row))``; vectors and scalars keep the whole average, ``full``. Directions whose root mean square
    exceeds `clip_threshold` are scaled down to it. The step is the direction times the learning rate, times
    ``max(eps[1], rms(param))`` with `scale_parameter`.

    Averages and steps of float16 and bfloat16 parameters are float32. Arrays without elements stay as they are.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one. It goes with
            ``relative_step=False``.
        eps: What is added to the squares, and the least size of a parameter for `scale_parameter`.
        clip_threshold: The largest root mean square of a direction.
        decay_rate: The exponent that makes the decay of the averages; below 0.
        beta_1: The decay of a running average of the steps, which are taken as they are without one.
        weight_decay: The factor of the parameters that a step takes away, times its learning rate.
        scale_parameter: Whether steps are in proportion to the parameters.
        relative_step: Whether the learning rate is ``min(1e-2, 1 / sqrt(count))``.
        warmup_init: Whether it is ``min(1e-6 * count, 1 / sqrt(count))`` instead.

    Raises:
        ValueError: There is a learning rate beside `relative_step`, or neither; `warmup_init` without `relative_step`;
            ``update`` gets no parameters for `scale_parameter` or `weight_decay`.
        TypeError: Parameters or gradients are complex.

    Reference: N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.adafactor(1e-2, relative_step=False)
    >>> params = {"w": fn.ones((400, 300))}
    >>> state = opt.init(params)
    >>> state["row"]["w"].shape, state["col"]["w"].shape
    ((400,), (300,))
    >>> delta, state = opt.update({"w": fn.ones((400, 300))}, state, params)
    >>> round(delta["w"][0, 0].item(), 4)
    -0.01
    """

    learning_rate: float | Schedule | None = attrs.field(default=None, validator=attrs.validators.optional(rate))
    eps: tuple[float, float] = attrs.field(default=(1e-30, 1e-3), converter=plain_pair, validator=pair())
    clip_threshold: float = attrs.field(default=1.0, validator=number(0.0, above=True))
    decay_rate: float = attrs.field(default=-0.8, validator=number(below=0.0))
    beta_1: float | None = attrs.field(
        default=None, converter=plain, validator=attrs.validators.optional(number(0.0, 1.0))
    )
    weight_decay: float = attrs.field(default=0.0, validator=number())
    scale_parameter: bool = attrs.field(default=True, validator=flag)
    relative_step: bool = attrs.field(default=True, validator=flag)
    warmup_init: bool = attrs.field(default=False, validator=flag)

    def __attrs_post_init__(self) -> None:
        if self.relative_step and self.learning_rate is not None:
            raise ValueError(
                "adafactor: relative_step makes a learning rate of its own, so the one given would not be used; say "
                "relative_step=False"
            )
        if not self.relative_step and self.learning_rate is None:
            raise ValueError("adafactor: without relative_step there must be a learning_rate")
        if self.warmup_init and not self.relative_step:
            raise ValueError("adafactor: warmup_init is about the rate of relative_step, which is off")

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of steps; ``row`` and ``col`` of matrices, ``full`` of the rest, ``mu`` with `beta_1`."""
        refuse_complex("adafactor", params, _WHY)
        zeros = each("adafactor", wide_zeros, params)
        matrices, rest = tree.partition(zeros, _is_matrix)
        state = {
            "count": first_count(),
            "row": tree.map(lambda x: fn.zeros_like(fn.sum(x, axis=-1)), matrices),
            "col": tree.map(lambda x: fn.zeros_like(fn.sum(x, axis=-2)), matrices),
            "full": rest,
        }
        return state if self.beta_1 is None else {**state, "mu": zeros}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        refuse_complex("adafactor", grads, _WHY)
        if self.scale_parameter:
            needs_params("adafactor", params, "scale_parameter needs")
        elif not rules.off(self.weight_decay):
            needs_params("adafactor", params)
        before, row, col, full = (part_of("adafactor", state, key) for key in ("count", "row", "col", "full"))
        new: dict[str, Any] = {"count": next_count(before)}
        steps = _beside(lambda x: new["count"].astype(x.dtype, device=home(x)))
        matrices, rest = tree.partition(each("adafactor", wide, grads), _is_matrix)

        squares = tree.map(lambda g: fn.square(g) + like(self.eps[0], g), matrices)
        new_row, new_col = (
            _combine(lambda s, a, axis=axis: self._average(steps, a, s, axis), squares, factor, axis)
            for factor, axis in ((row, -1), (col, -2))
        )
        directions = tree.map(rules.over_factors, matrices, new_row, new_col)
        squares = tree.map(lambda g: fn.square(g) + like(self.eps[0], g), rest)
        new_full = combine("adafactor", lambda s, v: self._average(steps, v, s), squares, full)
        directions = tree.merge(directions, tree.map(rules.over_full, rest, new_full))
        new |= {"row": tree.merge(row, new_row), "col": tree.merge(col, new_col), "full": tree.merge(full, new_full)}

        rate = self._rate(before, steps)
        if params is None:
            moves = tree.map(lambda d: self._move(rate, d, None), directions)
        else:
            moves = combine("adafactor", lambda d, p: self._move(rate, d, p), directions, params)
        if self.beta_1 is not None:
            mu, b1 = part_of("adafactor", state, "mu"), self.beta_1
            moves = combine("adafactor", lambda d, m: rules.averaged(m, d, decay_like(b1, m)), moves, mu)
            new["mu"] = tree.merge(mu, moves)
        if rules.off(self.weight_decay):
            return tree.map(fn.negative, moves), new

        def decayed(d: fn.array, p: fn.array) -> fn.array:
            p = p.astype(d.dtype)
            sum_: fn.array = d + like(self.weight_decay, d) * self._size(rate, p) * p if p.size else d
            return sum_

        return tree.map(fn.negative, combine("adafactor", decayed, moves, params)), new

    def _average(self, steps: Steps, average: fn.array, square: fn.array, axis: int | None = None) -> fn.array:
        forget = fn.power(steps(square), like(self.decay_rate, square))
        return rules.forgetting(average, square, forget, axis)

    def _rate(self, before: fn.array, steps: Steps) -> Steps:
        """The learning rate beside any array."""
        if self.learning_rate is not None:
            rate = value_at("adafactor", self.learning_rate, before)
            return lambda x: like(rate, x)

        return _beside(lambda x: rules.relative_rate(steps(x), self.warmup_init))

    def _size(self, rate: Steps, p: fn.array) -> Any:
        """The learning rate for a parameter, which is in the dtype of updates."""
        if not self.scale_parameter:
            return rate(p)
        return rules.sized(rate(p), p, like(self.eps[1], p))

    def _move(self, rate: Steps, d: fn.array, p: fn.array | None) -> fn.array:
        """The direction, clipped and scaled."""
        if d.size == 0:
            return d
        d = rules.limited(d, like(self.clip_threshold, d))
        size = self._size(rate, p.astype(d.dtype)) if p is not None else rate(d)
        move: fn.array = size * d
        return move


def _beside(f: Steps) -> Steps:
    """Compute a scalar of a step once for each dtype and place of arrays, and share it."""
    made: dict[Any, Any] = {}

    def of(x: fn.array) -> Any:
        key = x.dtype, home(x)
        if key not in made:
            made[key] = f(x)
        return made[key]

    return of


def _combine(f: Any, squares: Any, factors: Any, axis: int) -> Any:
    """Map over matrices and their averages along an axis, whose shapes must fit."""

    def checked(path: str, s: fn.array, factor: fn.array) -> fn.array:
        shape = s.shape[:-1] if axis == -1 else (*s.shape[:-2], s.shape[-1])
        if factor.shape != shape:
            raise ValueError(
                f"adafactor: at {path or 'the root'} there are shapes {s.shape} and, in the state, {factor.shape}, "
                f"which must be {shape}"
            )
        averaged: fn.array = f(s, factor)
        return averaged

    try:
        return tree.map_with_path(checked, squares, factors)
    except ValueError as error:
        if str(error).startswith("adafactor"):
            raise
        text = str(error).partition(": ")[2]
        raise ValueError(f"adafactor: gradients, state and parameters belong to different trees: {text}") from None
