"""Where a generator takes its decisions from: a seeded random number generator, or Hypothesis."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices:
    """Decisions; the first of several is the simplest, to which Hypothesis shrinks."""

    def integer(self, low: int, high: int) -> int:
        raise NotImplementedError

    def pick(self, items: Sequence[T]) -> T:
        return items[self.integer(0, len(items) - 1)]

    def chance(self, probability: float) -> bool:
        return self.integer(0, 99) >= 100 * (1 - probability)

    def some(self, items: Sequence[T], most: int) -> list[T]:
        """Between none and `most` of the items, in order."""
        count = min(self.integer(0, most), len(items))
        chosen: set[int] = set()
        for _ in range(count):
            chosen.add(self.integer(0, len(items) - 1))
        return [items[i] for i in sorted(chosen)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        rest, out = list(items), []
        while rest:
            out.append(rest.pop(self.integer(0, len(rest) - 1)))
        return out


class Seeded(Choices):
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return low if low == high else low + int(self._random.random() * (high - low + 1))


class Drawn(Choices):
    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return low if low == high else self._draw(st.integers(low, high))
