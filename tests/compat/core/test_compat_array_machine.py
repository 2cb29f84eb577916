"""Random sequences of what MLX's programs do with arrays, on funcnn.compat, on MLX where there is one, and on a model."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.compat.core.array_libraries import Library, Model

import funcnn.compat.core as own

try:
    import mlx.core as real
except ImportError:
    real = None

MOST_HANDLES = 5
SHAPES = [(), (1,), (3,), (2, 3), (3, 1), (2, 2, 3), (0, 3)]
NUMBERS = st.sampled_from([0, 1, -2, 3, 0.5, -1.5])


def value_lists(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(-4, 4), min_size=size, max_size=size)


def slices(length: int) -> st.SearchStrategy[slice]:
    end = st.none() | st.integers(-length - 1, length + 1)
    return st.builds(slice, end, end, st.sampled_from([None, 1, 2, -1, -2]))


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...], fresh: bool = True) -> tuple[Any, ...]:
    """An index into an array of this shape; arrays do not mix with integers and None, where MLX assigns in ways of its own."""
    items: list[Any] = []
    arrays = draw(st.booleans())
    for length in shape[: draw(st.integers(0, len(shape)))]:
        if arrays and length and not any(isinstance(i, list) for i in items) and draw(st.booleans()):
            items.append(draw(st.lists(st.integers(-length, length - 1), min_size=1, max_size=3)))
        elif not arrays and length and draw(st.booleans()):
            items.append(draw(st.integers(-length, length - 1)))
        else:
            items.append(draw(slices(length)))
        if fresh and not arrays and draw(st.integers(0, 5)) == 0:
            items.append(None)
    if len(items) < len(shape) and draw(st.booleans()):
        items.append(...)
    return tuple(items) or (...,)


class Arrays(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.libraries: list[Library] = [Library(own), Model(), *([Library(real)] if real else [])]
        self.handles: list[list[Any]] = []  # each in all libraries; some stand there twice

    # ---- the state

    def pick(self, data: st.DataObject) -> list[Any]:
        return data.draw(st.sampled_from(self.handles))

    def shape(self, handle: list[Any]) -> tuple[int, ...]:
        return self.libraries[1].read(handle[1]).shape

    def dtype(self, handle: list[Any]) -> np.dtype:
        return self.libraries[1].read(handle[1]).dtype

    def add(self, handle: list[Any]) -> None:
        if real and 0 in self.shape(handle):  # which end MLX's process with a division by zero
            return
        if len(self.handles) == MOST_HANDLES:
            self.handles.pop(0)
        self.handles.append(handle)

    def each(self, method: str, handle: list[Any], *args: Any) -> list[Any]:
        return [
            getattr(library, method)(handle[i], *(a[i] if isinstance(a, Each) else a for a in args))
            for i, library in enumerate(self.libraries)
        ]

    def operand(self, data: st.DataObject, shapes: list[tuple[int, ...]]) -> Any:
        """A number, a new array of one of these shapes, or what a handle of such a shape stands for."""
        number = data.draw(NUMBERS)
        fitting = [h for h in self.handles if self.shape(h) in shapes]
        kind = data.draw(st.integers(0, 2))
        if kind == 0 or not shapes:
            return number
        if kind == 1 and fitting:
            return Each(data.draw(st.sampled_from(fitting)))
        return Each(self.new(data, data.draw(st.sampled_from(shapes))))

    def new(self, data: st.DataObject, shape: tuple[int, ...]) -> list[Any]:
        values = np.array(data.draw(value_lists(int(np.prod(shape)))), dtype="int32").reshape(shape)
        if data.draw(st.booleans()):
            values = (values / 2).astype("float32")
        return [library.make(values) for library in self.libraries]

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.add(self.new(data, (2, 3)))

    @invariant()
    def same(self) -> None:
        for handle in self.handles:
            first, *others = [library.read(x) for library, x in zip(self.libraries, handle, strict=True)]
            for other in others:
                assert first.dtype == other.dtype and first.shape == other.shape
                np.testing.assert_allclose(first, other, rtol=1e-6)

    # ---- what programs do

    @rule(data=st.data())
    def make(self, data: st.DataObject) -> None:
        self.add(self.new(data, data.draw(st.sampled_from(SHAPES))))

    @rule(data=st.data())
    def alias(self, data: st.DataObject) -> None:
        self.add(self.pick(data))

    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        self.add(self.each("copy", self.pick(data)))

    @rule(data=st.data())
    def read_part(self, data: st.DataObject) -> None:
        x = self.pick(data)
        self.add(self.each("part", x, data.draw(indices(self.shape(x)))))

    @rule(data=st.data())
    def assign(self, data: st.DataObject) -> None:
        x = self.pick(data)
        index = data.draw(indices(self.shape(x)))
        part = self.libraries[1].part(x[1], index).value.shape
        if not real or 0 not in part:
            self.each("assign", x, index, self.operand(data, [part[n:] for n in range(len(part))]))

    @rule(data=st.data())
    def assign_above(self, data: st.DataObject) -> None:
        x = self.pick(data)
        self.each("assign_above", x, data.draw(st.integers(-2, 2)), data.draw(NUMBERS))

    @rule(data=st.data())
    def assign_rows(self, data: st.DataObject) -> None:
        x = self.pick(data)
        if shape := self.shape(x):
            mask = data.draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0]))
            rows = [shape[n:] for n in range(1, len(shape))] + [(sum(mask), *shape[1:])]
            if sum(mask) and 0 not in shape:
                self.each("assign_rows", x, mask, self.operand(data, rows))

    @rule(data=st.data())
    def add_at(self, data: st.DataObject) -> None:
        x = self.pick(data)
        index = data.draw(indices(self.shape(x), fresh=False))
        part = self.libraries[1].part(x[1], index).value.shape
        value = self.operand(data, [part[n:] for n in range(len(part))])
        if real and 0 in part:
            return
        if not isinstance(value, Each) or self.dtype(value) == self.dtype(x):  # MLX does not always convert
            self.add(self.each("add_at", x, index, value))

    @rule(data=st.data())
    def add_to_part(self, data: st.DataObject) -> None:
        x = self.pick(data)
        index = data.draw(indices(self.shape(x)))
        if not real or self.libraries[1].part(x[1], index).value.size:
            self.each("add_to_part", x, index, data.draw(NUMBERS))

    @rule(data=st.data(), symbol=st.sampled_from("+-"))
    def operate(self, data: st.DataObject, symbol: str) -> None:
        x = self.pick(data)
        shape = self.shape(x)
        self.add(self.each("apply", x, symbol, self.operand(data, [shape, shape[1:], ()])))

    @rule(data=st.data(), symbol=st.sampled_from("+-"))
    def operate_in_place(self, data: st.DataObject, symbol: str) -> None:
        x = self.pick(data)
        shape = self.shape(x)
        grown = [(2, *shape)] if len(shape) < 3 else []
        self.each("apply_in_place", x, symbol, self.operand(data, [shape, shape[1:], (), *grown]))

    @rule(data=st.data(), number=st.sampled_from([0, 1, -1, 2, 0.5, True]))
    def scale_in_place(self, data: st.DataObject, number: float) -> None:
        self.each("apply_in_place", self.pick(data), "*", number)

    @rule(data=st.data())
    def reshape(self, data: st.DataObject) -> None:
        x = self.pick(data)
        shape = self.shape(x)
        size = int(np.prod(shape))
        shapes = [shape, (size,), (1, *shape), (*shape, 1)]
        self.add(self.each("reshape", x, data.draw(st.sampled_from([s for s in shapes if len(s) <= 3] or [shape]))))

    @rule(data=st.data())
    def transpose(self, data: st.DataObject) -> None:
        self.add(self.each("transpose", self.pick(data)))

    @rule(data=st.data())
    def broadcast(self, data: st.DataObject) -> None:
        x = self.pick(data)
        if len(self.shape(x)) < 3:
            self.add(self.each("broadcast", x, (2, *self.shape(x))))

    @rule(data=st.data(), dtype=st.sampled_from(["int32", "float32"]))
    def cast(self, data: st.DataObject, dtype: str) -> None:
        self.add(self.each("cast", self.pick(data), dtype))

    @rule(data=st.data())
    def rows(self, data: st.DataObject) -> None:
        x = self.pick(data)
        if self.shape(x) and self.shape(x)[0]:
            rows = self.each("rows", x)
            self.add([row[-1] for row in rows])

    @rule(data=st.data())
    def evaluate(self, data: st.DataObject) -> None:
        self.each("evaluate", self.pick(data))


class Each(list[Any]):
    """One object for each library."""


TestArrays = Arrays.TestCase
TestArrays.settings = settings(
    max_examples=30, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
