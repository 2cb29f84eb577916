"""Learning-rate schedules: frozen functions from the count of steps taken so far to a float32 array.

The count is an array, so a step compiled once serves all counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

import funcnn as fn
from funcnn._arguments import integers
from funcnn._hyper import number, plain, plain_fields

__all__ = ["constant", "cosine", "exponential", "join", "linear", "step", "warmup", "warmup_cosine"]


def _count(name: str, count: Any) -> fn.array:
    try:
        given = fn.asarray(count)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: the count of steps must be a number, got {count!r}") from None
    if not fn.isdtype(given.dtype, ("bool", "integral")):
        return given
    # Signed and wide enough for what steps and boundaries are compared with and subtracted.
    wide: fn.array = given.astype(fn.int64 if given.dtype.itemsize == 8 or given.dtype == fn.uint32 else fn.int32)
    return wide


def _done(name: str, count: Any, steps: Any) -> fn.array:
    """Which part of the steps has been taken, from 0 to 1."""
    return fn.clip(_count(name, count).astype(fn.float32) / steps, 0.0, 1.0)


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
class linear:
    """A straight line from `init_value` to `end_value` over `steps` steps, and `end_value` after them.

    >>> from funcnn.optim import schedules
    >>> [schedules.linear(0.0, 1.0, 4)(i).item() for i in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    init_value: float = attrs.field(validator=number())
    end_value: float = attrs.field(validator=number())
    steps: int = attrs.field(validator=number(1))

    def __call__(self, count: Any) -> fn.array:
        done = _done("linear", count, self.steps)
        line = self.init_value + (self.end_value - self.init_value) * done
        return fn.where(done < 1.0, line, self.end_value)


@attrs.frozen(field_transformer=plain_fields)
class cosine:
    """Half a cosine wave from `init_value` to `end_value` over `steps` steps, and `end_value` after them.

    Reference: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> from funcnn.optim import schedules
    >>> [round(schedules.cosine(1.0, 4)(i).item(), 4) for i in (0, 2, 4, 9)]
    [1.0, 0.5, 0.0, 0.0]
    """

    init_value: float = attrs.field(validator=number())
    steps: int = attrs.field(validator=number(1))
    end_value: float = attrs.field(default=0.0, validator=number())

    def __call__(self, count: Any) -> fn.array:
        done = _done("cosine", count, self.steps)
        fallen = fn.square(fn.sin(0.5 * math.pi * done))  # (1 - cos(pi * done)) / 2
        return fn.where(done < 1.0, self.init_value + (self.end_value - self.init_value) * fallen, self.end_value)


@attrs.frozen(field_transformer=plain_fields)
class exponential:
    """``init_value * rate ** (count / steps)``; with `staircase` the exponent is rounded down.

    >>> from funcnn.optim import schedules
    >>> [schedules.exponential(1.0, 0.5, 2)(i).item() for i in (0, 2, 4)]
    [1.0, 0.5, 0.25]
    """

    init_value: float = attrs.field(validator=number())
    rate: float = attrs.field(validator=number(0.0))
    steps: int = attrs.field(default=1, validator=number(1))
    staircase: bool = False

    def __call__(self, count: Any) -> fn.array:
        count = _count("exponential", count)
        if self.staircase and fn.isdtype(count.dtype, "integral") and isinstance(self.steps, int):
            done = (count // self.steps).astype(fn.float32)  # exact where float32 does not hold the count
        else:
            done = count.astype(fn.float32) / self.steps
            done = fn.floor(done) if self.staircase else done
        rate: Any = self.rate
        if isinstance(rate, (int, float)) and rate > 0.0:
            # float32 holds few digits of a rate near 1, which many steps multiply; its logarithm has them all.
            return self.init_value * fn.power(fn.array(2.0, dtype=fn.float32), done * math.log2(rate))
        return self.init_value * fn.power(fn.asarray(rate).astype(fn.float32), done)


@attrs.frozen(field_transformer=plain_fields)
class step:
    """``init_value``, multiplied by `rate` after every `steps` steps.

    >>> from funcnn.optim import schedules
    >>> [schedules.step(1.0, 0.5, 10)(i).item() for i in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    init_value: float = attrs.field(validator=number())
    rate: float = attrs.field(validator=number(0.0))
    steps: int = attrs.field(validator=number(1))

    def __call__(self, count: Any) -> fn.array:
        return exponential(self.init_value, self.rate, self.steps, staircase=True)(count)


def _functions(schedules: Any) -> tuple[Any, ...]:
    if not isinstance(schedules, Iterable):
        raise TypeError(f"join: schedules must be a list of schedules, got {schedules!r}")
    made = tuple(map(plain, schedules))
    for schedule in made:
        if not callable(schedule) and (not isinstance(schedule, (int, float)) or isinstance(schedule, bool)):
            raise TypeError(f"join: schedules must be numbers or functions of the count of steps, got {schedule!r}")
    return made


def _boundaries(counts: Any) -> tuple[int, ...]:
    found = integers(counts, "join: boundaries")
    if any(count < 0 for count in found):
        raise ValueError(f"join: boundaries must be at least 0, got {list(found)}")
    return found


def _value(schedule: Any, count: fn.array) -> Any:
    return schedule(count) if callable(schedule) else schedule


@attrs.frozen(field_transformer=plain_fields)
class join:
    """Several schedules in a row, each counting from the boundary where it begins.

    Args:
        schedules: Schedules or numbers.
        boundaries: The counts at which all but the first begin, in increasing order.

    Raises:
        ValueError: The boundaries are not in order, or not one fewer than the schedules.

    >>> from funcnn.optim import schedules
    >>> rate = schedules.join([schedules.linear(0.0, 1.0, 2), schedules.constant(0.5)], [2])
    >>> [rate(i).item() for i in (0, 1, 2, 3)]
    [0.0, 0.5, 0.5, 0.5]
    """

    schedules: Sequence[Callable[[Any], Any] | float] = attrs.field(converter=_functions)
    boundaries: Sequence[int] = attrs.field(converter=_boundaries)

    def __attrs_post_init__(self) -> None:
        if len(self.boundaries) != len(self.schedules) - 1 or list(self.boundaries) != sorted(self.boundaries):
            raise ValueError(
                f"join: {len(self.schedules)} schedules need {len(self.schedules) - 1} boundaries in increasing order, "
                f"got {list(self.boundaries)}"
            )

    def __call__(self, count: Any) -> fn.array:
        count = _count("join", count)
        value = fn.asarray(_value(self.schedules[0], count))
        for boundary, schedule in zip(self.boundaries, self.schedules[1:], strict=True):
            value = fn.where(count < boundary, value, _value(schedule, count - boundary))
        return value


@attrs.frozen(field_transformer=plain_fields)
class warmup:
    """A linear rise from `init_value` over `steps` steps to the start of another schedule, which then begins.

    Args:
        schedule: What follows: a schedule or a number.
        steps: How long the rise takes.
        init_value: Where it starts.

    >>> from funcnn.optim import schedules
    >>> rate = schedules.warmup(schedules.cosine(1.0, 100), 4)
    >>> [round(rate(i).item(), 4) for i in (0, 1, 4, 54)]
    [0.0, 0.25, 1.0, 0.5]
    """

    schedule: Callable[[Any], Any] | float = attrs.field(validator=number(schedule=True))
    steps: int = attrs.field(validator=number(0))
    init_value: float = attrs.field(default=0.0, validator=number())

    def __call__(self, count: Any) -> fn.array:
        count = _count("warmup", count)
        after = self.schedule if callable(self.schedule) else constant(self.schedule)
        if self.steps == 0:
            return fn.asarray(after(count))
        done = _done("warmup", count, self.steps)
        rise = self.init_value + (after(fn.zeros_like(count)) - self.init_value) * done
        return fn.where(count < self.steps, rise, after(count - self.steps))


def warmup_cosine(peak_value: float, warmup_steps: int, steps: int, end_value: float = 0.0) -> warmup:
    """A linear rise to `peak_value`, then half a cosine wave down to `end_value` at `steps` steps in all.

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
    return warmup(cosine(peak_value, steps - warmup_steps, end_value), warmup_steps)
