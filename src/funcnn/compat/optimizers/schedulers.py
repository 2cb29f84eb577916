"""The schedules of MLX: functions from the count of steps to a value, with the mathematics of ``fn.optim.schedules``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...optim import _curves as curves
from .. import core as mx

__all__ = ["cosine_decay", "exponential_decay", "join_schedules", "linear_schedule", "step_decay"]

Schedule = Callable[[Any], Any]


def _array(step: Any) -> Any:
    return step if isinstance(step, mx.array) else mx.array(step)


def _check_steps(schedule: str, what: str, value: Any) -> None:
    if value < 1:
        raise ValueError(f"{schedule}: {what} must be at least 1, got {value}")


def exponential_decay(init: float, decay_rate: float, decay_steps: float = 1) -> Schedule:
    """``init * decay_rate ** (step / decay_steps)``. A Python number gives a Python number.

    >>> import funcnn.compat.optimizers as optim
    >>> optim.exponential_decay(1.0, 0.5)(2)
    0.25
    """
    if not decay_steps > 0:
        raise ValueError(f"exponential_decay: decay_steps must be above 0, got {decay_steps}")

    def schedule(step: Any) -> Any:
        return curves.decay(init, decay_rate, step if decay_steps == 1 else step / decay_steps)

    return schedule


def step_decay(init: float, decay_rate: float, step_size: int) -> Schedule:
    """``init``, multiplied by `decay_rate` after every `step_size` steps. A Python number gives a Python number.

    >>> import funcnn.compat.optimizers as optim
    >>> optim.step_decay(1.0, 0.5, 10)(25)
    0.25
    """
    _check_steps("step_decay", "step_size", step_size)

    def schedule(step: Any) -> Any:
        return curves.stairs(init, decay_rate, step, step_size)

    return schedule


def cosine_decay(init: float, decay_steps: int, end: float = 0.0) -> Schedule:
    """Half a cosine wave from `init` to `end` over `decay_steps` steps, and `end` after them.

    >>> import funcnn.compat.optimizers as optim
    >>> optim.cosine_decay(1.0, 4)(2)
    array(0.5, dtype=float32)
    """
    _check_steps("cosine_decay", "decay_steps", decay_steps)

    def schedule(step: Any) -> Any:
        return curves.wave("cosine_decay", init, end, _array(step), decay_steps)

    return schedule


def linear_schedule(init: float, end: float, steps: int) -> Schedule:
    """A straight line from `init` to `end` over `steps` steps, and `end` after them.

    >>> import funcnn.compat.optimizers as optim
    >>> optim.linear_schedule(0.0, 1.0, 4)(3)
    array(0.75, dtype=float32)
    """
    _check_steps("linear_schedule", "steps", steps)

    def schedule(step: Any) -> Any:
        return curves.line("linear_schedule", init, end, _array(step), steps)

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Several schedules in a row, each counting from the boundary where it begins.

    Raises:
        ValueError: There is no schedule, or not one boundary fewer than schedules.

    >>> import funcnn.compat.optimizers as optim
    >>> rate = optim.join_schedules([optim.linear_schedule(0.0, 1.0, 4), optim.cosine_decay(1.0, 4)], [4])
    >>> rate(3), rate(6)
    (array(0.75, dtype=float32), array(0.5, dtype=float32))
    """
    if len(schedules) - len(boundaries) != 1:
        raise ValueError(
            f"join_schedules: expected at least one schedule, and a boundary between each and the next, got {len(schedules)} "
            f"schedules and {len(boundaries)} boundaries"
        )
    first, *rest = schedules

    def schedule(step: Any) -> Any:
        value = first(step)
        return curves.joined(curves.count_of("join_schedules", step), value, boundaries, rest) if rest else value

    return schedule
