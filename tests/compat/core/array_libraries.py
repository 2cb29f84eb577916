"""What the state machine of arrays does, on a library with MLX's arrays and on a model of them in NumPy."""

import operator
from typing import Any

import attrs
import numpy as np

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
IN_PLACE = {"+": operator.iadd, "-": operator.isub, "*": operator.imul}

# A part of an index: an integer, a slice, None, ..., or positions as a list.
Index = tuple[Any, ...]


class Library:
    """A library with MLX's arrays."""

    evaluates = True

    def __init__(self, mx: Any) -> None:
        self.mx = mx

    def key(self, index: Index) -> Any:
        items = tuple(self.mx.array(i) if isinstance(i, list) else i for i in index)
        return items[0] if len(items) == 1 else items

    def make(self, values: np.ndarray) -> Any:
        return self.mx.array(values)

    def copy(self, x: Any) -> Any:
        return self.mx.array(x)

    def read(self, x: Any) -> np.ndarray:
        return np.array(x.tolist(), dtype=str(x.dtype).rpartition(".")[2]).reshape(x.shape)

    def part(self, x: Any, index: Index) -> Any:
        return x[self.key(index)]

    def assign(self, x: Any, index: Index, value: Any) -> None:
        x[self.key(index)] = value

    def assign_above(self, x: Any, limit: float, value: Any) -> None:
        x[x > limit] = value

    def assign_rows(self, x: Any, mask: list[bool], value: Any) -> None:
        x[self.mx.array(mask)] = value

    def add_at(self, x: Any, index: Index, value: Any) -> Any:
        return x.at[self.key(index)].add(value)

    def add_to_part(self, x: Any, index: Index, value: Any) -> None:
        x[self.key(index)] += value

    def apply(self, x: Any, symbol: str, y: Any) -> Any:
        return OPERATORS[symbol](x, y)

    def apply_in_place(self, x: Any, symbol: str, y: Any) -> Any:
        made = IN_PLACE[symbol](x, y)
        assert made is x
        return made

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        return x.reshape(shape)

    def transpose(self, x: Any) -> Any:
        return x.T

    def broadcast(self, x: Any, shape: tuple[int, ...]) -> Any:
        return self.mx.broadcast_to(x, shape)

    def cast(self, x: Any, dtype: str) -> Any:
        return x.astype(getattr(self.mx, dtype))

    def rows(self, x: Any) -> list[Any]:
        return list(x)

    def evaluate(self, x: Any) -> None:
        self.mx.eval(x)


@attrs.define(eq=False)
class Handle:
    """What stands for a value, and may stand for another one later."""

    value: np.ndarray = attrs.field(converter=np.array)


class Model(Library):
    """The same with handles on NumPy arrays, which are never changed."""

    def __init__(self) -> None:
        super().__init__(None)

    def key(self, index: Index) -> Any:
        return tuple(np.array(i, dtype=int) if isinstance(i, list) else i for i in index)

    def make(self, values: np.ndarray) -> Handle:
        return Handle(values.copy())

    def copy(self, x: Handle) -> Handle:
        return Handle(x.value)

    def read(self, x: Handle) -> np.ndarray:
        return x.value

    def part(self, x: Handle, index: Index) -> Handle:
        return Handle(np.array(x.value[self.key(index)]))

    def _changed(self, x: Handle, key: Any, value: Any) -> None:
        changed = x.value.copy()
        value = _value(value)
        changed[key] = np.asarray(value).astype(changed.dtype)
        x.value = changed

    def assign(self, x: Handle, index: Index, value: Any) -> None:
        if index == (...,):  # MLX takes over the dtype of what is assigned
            made = np.asarray(_value(value))
            if not isinstance(value, Handle):
                made = made.astype("float32" if isinstance(value, float) else x.value.dtype)
            x.value = np.broadcast_to(made, x.value.shape)
            return
        self._changed(x, self.key(index), value)

    def assign_above(self, x: Handle, limit: float, value: Any) -> None:
        self._changed(x, x.value > limit, value)

    def assign_rows(self, x: Handle, mask: list[bool], value: Any) -> None:
        self._changed(x, np.array(mask), value)

    def add_at(self, x: Handle, index: Index, value: Any) -> Handle:
        if index == (...,):
            return Handle(_operate("+", x.value, _value(value)))
        changed = x.value.copy()
        np.add.at(changed, self.key(index), np.asarray(_value(value)).astype(changed.dtype))
        return Handle(changed)

    def add_to_part(self, x: Handle, index: Index, value: Any) -> None:
        self.assign(x, index, Handle(_operate("+", x.value[self.key(index)], _value(value))))

    def apply(self, x: Any, symbol: str, y: Any) -> Handle:
        return Handle(_operate(symbol, _value(x), _value(y)))

    def apply_in_place(self, x: Handle, symbol: str, y: Any) -> Handle:
        x.value = _operate(symbol, x.value, _value(y))
        return x

    def reshape(self, x: Handle, shape: tuple[int, ...]) -> Handle:
        return Handle(x.value.reshape(shape))

    def transpose(self, x: Handle) -> Handle:
        return Handle(x.value.T)

    def broadcast(self, x: Handle, shape: tuple[int, ...]) -> Handle:
        return Handle(np.broadcast_to(x.value, shape))

    def cast(self, x: Handle, dtype: str) -> Handle:
        return Handle(x.value.astype(dtype))

    def rows(self, x: Handle) -> list[Handle]:
        return [Handle(row) for row in x.value]

    def evaluate(self, x: Handle) -> None:
        pass


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Handle) else x


def _operate(symbol: str, x: Any, y: Any) -> np.ndarray:
    floating = any(np.asarray(v).dtype.kind == "f" for v in (x, y))
    return np.asarray(OPERATORS[symbol](x, y)).astype("float32" if floating else "int32")
