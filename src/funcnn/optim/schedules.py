"""Learning-rate schedules: frozen functions from the count of steps taken so far to a float32 array.

The count is an array, so a step compiled once serves all counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

import funcnn as fn
from funcnn import _hints
from funcnn._arguments import integers
from funcnn._hyper import number, plain, plain_fields

from . import _curves as curves

__all__ = [
    "constant",
    "cosine_decay",
    "exponential_decay",
    "join_schedules",
    "linear_schedule",
    "one_cycle",
    "step_decay",
    "warmup",
    "warmup_cosine",
]


@attrs.frozen(field_transformer=plain_fields)
class constant:
    """The same value at every step.

    >>> from funcnn.optim import schedules
    >>> schedules.constant(0.5)(10).item()
    0.5
    """

    value: float = attrs.field(validator=number())

    def __call__(self, count: Any) -> fn.array:
        return fn.array(self.value, dtype=fn.float32)


@attrs.frozen(field_transformer=plain_fields)
class linear_schedule:
    """A straight line from `init` to `end` over `steps` steps, and `end` after them.

    >>> from funcnn.optim import schedules
    >>> [schedules.linear_schedule(0.0, 1.0, 4)(i).item() for i in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    init: float = attrs.field(validator=number())
    end: float = attrs.field(validator=number())
    steps: int = attrs.field(validator=number(1))

    def __call__(self, count: Any) -> fn.array:
        return curves.line("linear_schedule", self.init, self.end, count, self.steps)


@attrs.frozen(field_transformer=plain_fields)
class cosine_decay:
    """Half a cosine wave from `init` to `end` over `decay_steps` steps, and `end` after them.

    Reference: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> from funcnn.optim import schedules
    >>> [round(schedules.cosine_decay(1.0, 4)(i).item(), 4) for i in (0, 2, 4, 9)]
    [1.0, 0.5, 0.0, 0.0]
    """

    init: float = attrs.field(validator=number())
    decay_steps: int = attrs.field(validator=number(1))
    end: float = attrs.field(default=0.0, validator=number())

    def __call__(self, count: Any) -> fn.array:
        return curves.wave("cosine_decay", self.init, self.end, count, self.decay_steps)


@attrs.frozen(field_transformer=plain_fields)
class exponential_decay:
    """``init * decay_rate ** count``.

    To decay by a factor over many steps, give its root: ``exponential_decay(1e-3, 0.1 ** (1 / 1000))`` divides by ten in a
    thousand steps.

    >>> from funcnn.optim import schedules
    >>> [schedules.exponential_decay(1.0, 0.5)(i).item() for i in (0, 1, 2)]
    [1.0, 0.5, 0.25]
    """

    init: float = attrs.field(validator=number())
    decay_rate: float = attrs.field(validator=number(0.0))

    def __call__(self, count: Any) -> fn.array:
        value: fn.array = curves.decay(self.init, self.decay_rate, curves.count_of("exponential_decay", count))
        return value


@attrs.frozen(field_transformer=plain_fields)
class step_decay:
    """``init``, multiplied by `decay_rate` after every `step_size` steps.

    >>> from funcnn.optim import schedules
    >>> [schedules.step_decay(1.0, 0.5, 10)(i).item() for i in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    init: float = attrs.field(validator=number())
    decay_rate: float = attrs.field(validator=number(0.0))
    step_size: int = attrs.field(validator=number(1))

    def __call__(self, count: Any) -> fn.array:
        count = curves.count_of("step_decay", count)
        value: fn.array = curves.stairs(self.init, self.decay_rate, count, self.step_size)
        return value


def _functions(schedules: Any) -> tuple[Any, ...]:
    if not isinstance(schedules, Iterable):
        raise TypeError(f"join_schedules: schedules must be a list of schedules, got {schedules!r}")
    made = tuple(map(plain, schedules))
    for schedule in made:
        if not callable(schedule) and (not isinstance(schedule, (int, float)) or isinstance(schedule, bool)):
            raise TypeError(
                f"join_schedules: schedules must be numbers or functions of the count of steps, got {schedule!r}"
            )
    return made


def _boundaries(counts: Any) -> tuple[int, ...]:
    found = integers(counts, "join_schedules: boundaries")
    if any(count < 0 for count in found):
        raise ValueError(f"join_schedules: boundaries must be at least 0, got {list(found)}")
    return found


def _function(schedule: Any) -> Callable[[Any], Any]:
    return schedule if callable(schedule) else lambda count: schedule


@attrs.frozen(field_transformer=plain_fields)
class join_schedules:
    """Several schedules in a row, each counting from the boundary where it begins.

    Args:
        schedules: Schedules or numbers.
        boundaries: The counts at which all but the first begin, in increasing order.

    Raises:
        ValueError: The boundaries are not in order, or not one fewer than the schedules.

    >>> from funcnn.optim import schedules
    >>> rate = schedules.join_schedules([schedules.linear_schedule(0.0, 1.0, 2), schedules.constant(0.5)], [2])
    >>> [rate(i).item() for i in (0, 1, 2, 3)]
    [0.0, 0.5, 0.5, 0.5]
    """

    schedules: Sequence[Callable[[Any], Any] | float] = attrs.field(converter=_functions)
    boundaries: Sequence[int] = attrs.field(converter=_boundaries)

    def __attrs_post_init__(self) -> None:
        if not self.schedules:
            raise ValueError("join_schedules: schedules must be a list of at least one")
        needed = len(self.schedules) - 1
        if len(self.boundaries) != needed or list(self.boundaries) != sorted(self.boundaries):
            raise ValueError(
                f"join_schedules: {needed + 1} schedules need {needed} boundaries in increasing order, got "
                f"{list(self.boundaries)}"
            )

    def __call__(self, count: Any) -> fn.array:
        count = curves.count_of("join_schedules", count)
        first, *rest = map(_function, self.schedules)
        value: fn.array = curves.joined(count, first(count), self.boundaries, rest)
        return value


@attrs.frozen(field_transformer=plain_fields)
class warmup:
    """A linear rise from `init` over `steps` steps to the start of another schedule, which then begins.

    Args:
        schedule: What follows: a schedule or a number.
        steps: How long the rise takes.
        init: Where it starts.

    >>> from funcnn.optim import schedules
    >>> rate = schedules.warmup(schedules.cosine_decay(1.0, 100), 4)
    >>> [round(rate(i).item(), 4) for i in (0, 1, 4, 54)]
    [0.0, 0.25, 1.0, 0.5]
    """

    schedule: Callable[[Any], Any] | float = attrs.field(validator=number(schedule=True))
    steps: int = attrs.field(validator=number(0))
    init: float = attrs.field(default=0.0, validator=number())

    def __call__(self, count: Any) -> fn.array:
        count = curves.count_of("warmup", count)
        after = self.schedule if callable(self.schedule) else constant(self.schedule)
        if self.steps == 0:
            return fn.asarray(after(count))
        part, left = curves.parts("warmup", count, self.steps)
        rise = self.init * left + after(fn.zeros_like(count)) * part
        return fn.where(count < self.steps, rise, after(count - self.steps))


def warmup_cosine(peak: float, warmup_steps: int, steps: int, end: float = 0.0) -> warmup:
    """A linear rise to `peak`, then half a cosine wave down to `end` at `steps` steps in all.

    >>> from funcnn.optim import schedules
    >>> rate = schedules.warmup_cosine(1.0, 10, 110)
    >>> [round(rate(i).item(), 4) for i in (0, 10, 60, 110)]
    [0.0, 1.0, 0.5, 0.0]
    """
    for what, value in (("warmup_steps", warmup_steps), ("steps", steps)):
        if not isinstance(plain(value), (int, float)) or isinstance(value, bool):
            raise TypeError(f"warmup_cosine: {what} must be a number, got {value!r}")
    if not 0 <= warmup_steps < steps:
        raise ValueError(
            f"warmup_cosine: steps counts those of the warmup too, so warmup_steps must be at least 0 and below it, got "
            f"warmup_steps={warmup_steps} and steps={steps}"
        )
    return warmup(cosine_decay(peak, steps - warmup_steps, end), warmup_steps)


@attrs.frozen(field_transformer=plain_fields)
class one_cycle:
    """A rise to `peak`, and a longer fall to almost nothing, each half a cosine wave.

    The rise starts from ``peak / div_factor`` and takes the first `pct_start` of all steps, rounded down; the fall ends at
    ``peak / (div_factor * final_div_factor)``, which is what comes after `steps` steps.

    Args:
        peak: The largest value.
        steps: How long the whole cycle takes.
        pct_start: Which part of it is the rise.
        div_factor: How much smaller than the peak the first value is.
        final_div_factor: How much smaller than the first value the last one is.

    Reference: L. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018.

    >>> from funcnn.optim import schedules
    >>> rate = schedules.one_cycle(1.0, 100)
    >>> [round(rate(i).item(), 4) for i in (0, 15, 30, 65, 100)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    peak: float = attrs.field(validator=number())
    steps: int = attrs.field(validator=number(1))
    pct_start: float = attrs.field(default=0.3, validator=number(0.0, 1.0))
    div_factor: float = attrs.field(default=25.0, validator=number(0.0, above=True))
    final_div_factor: float = attrs.field(default=1e4, validator=number(0.0, above=True))

    def __attrs_post_init__(self) -> None:
        for what in ("steps", "pct_start"):
            if isinstance(getattr(self, what), fn.array):
                raise TypeError(f"one_cycle: {what} must be a Python number, got an array")

    def __call__(self, count: Any) -> fn.array:
        first = self.peak / self.div_factor
        rise = int(self.pct_start * self.steps)
        fall = cosine_decay(self.peak, self.steps - rise, first / self.final_div_factor)
        if rise == 0:
            return fall(curves.count_of("one_cycle", count))
        return join_schedules([cosine_decay(first, rise, self.peak), fall], [rise])(curves.count_of("one_cycle", count))


_hints.close(globals())
