"""Hyperparameters that live in the state."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree

from ._fields import check_optimizer
from ._protocol import Optimizer, part_of


def _is_number(value: Any) -> bool:
    if isinstance(value, fn.array):
        return bool(value.ndim == 0)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@attrs.frozen(init=False)
class inject:
    """Keep hyperparameters of an optimiser as arrays in its state, where they may change while it runs.

    Another value traces and plans nothing again, is saved with the state, and may differ among the members of an ensemble.
    ``set`` makes a state with other values. Values are float32, or float64 if there are parameters of that dtype.

    Args:
        optimizer: An optimiser that is an attrs class, as all of this module are.
        names: Its fields that change, numbers or pairs of numbers; ``learning_rate`` if none is named.

    Raises:
        TypeError: A field is no number: a schedule, for example, changes by itself, and counts of iterations shape the
            program.
        ValueError: There is no field of that name.

    Reference: Optax, ``inject_hyperparams``.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.inject(optim.sgd(0.5, momentum=0.9), "learning_rate", "momentum")
    >>> params = {"w": fn.array([1.0])}
    >>> state = opt.init(params)
    >>> state["hyperparams"]["learning_rate"].item()
    0.5
    >>> state = opt.set(state, learning_rate=0.25)
    >>> delta, state = opt.update({"w": fn.array([2.0])}, state, params)
    >>> delta["w"].item()
    -0.5
    """

    optimizer: Optimizer
    names: tuple[str, ...]

    def __init__(self, optimizer: Optimizer, *names: str) -> None:
        check_optimizer("inject", optimizer)
        names = names or ("learning_rate",)
        if not attrs.has(type(optimizer)):
            raise TypeError(f"inject: the optimiser must be an attrs class, got {optimizer!r}")
        fields = attrs.fields_dict(type(optimizer))  # type: ignore[arg-type]
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"inject: names of hyperparameters are strings, got {name!r}")
            if name not in fields:
                known = [key for key in fields if _changes(fields[key], getattr(optimizer, key))]
                raise ValueError(f"inject: {type(optimizer).__name__} has no {name}; what may change is {known}")
            value = getattr(optimizer, name)
            if not _changes(fields[name], value):
                what = (
                    "is a schedule, which changes by itself" if callable(value) else f"must be a number, got {value!r}"
                )
                if fields[name].type in ("int", int):
                    what = "shapes the program, so it is not a value to change"
                raise TypeError(f"inject: {name} of {type(optimizer).__name__} {what}")
        self.__attrs_init__(optimizer, tuple(names))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``hyperparams`` by name, and ``inner``, that of the optimiser."""
        wide = any(getattr(x, "dtype", None) == fn.float64 for x in tree.leaves(params))
        hyperparams = _arrays({name: getattr(self.optimizer, name) for name in self.names}, wide)
        return {"hyperparams": hyperparams, "inner": self._with(hyperparams).init(params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        hyperparams, inner = self._parts(state)
        delta, inner = self._with(hyperparams).update(grads, inner, params)
        return delta, {"hyperparams": hyperparams, "inner": inner}

    def set(self, state: dict[str, Any], **values: Any) -> dict[str, Any]:
        """Return the state with other hyperparameters; numbers are checked as the optimiser checks its own.

        In the state of an ensemble, made under ``fn.vmap``, a number holds for all members; an array has one for each.

        Raises:
            ValueError: A name was not injected, or a value is out of range.
            TypeError: A value is no number.
        """
        hyperparams, inner = self._parts(state)
        for name, value in values.items():
            if name not in self.names:
                raise ValueError(f"inject: {name} is not among the hyperparameters in the state, {list(self.names)}")
            if callable(value):
                raise TypeError(f"inject: {name} must be a number, got {value!r}")
        stacked = {name: x for name, x in values.items() if _stacked(x, hyperparams[name])}
        checked = attrs.evolve(self.optimizer, **{k: x for k, x in values.items() if k not in stacked})  # type: ignore[misc]
        wide = any(x.dtype == fn.float64 for x in tree.leaves(hyperparams))
        new = _arrays({name: stacked.get(name, getattr(checked, name)) for name in values}, wide)
        new = tree.map(lambda x, old: fn.broadcast_to(x, old.shape), new, {name: hyperparams[name] for name in values})
        return {"hyperparams": {**hyperparams, **new}, "inner": inner}

    def _parts(self, state: Any) -> tuple[dict[str, Any], Any]:
        hyperparams, inner = (part_of("inject", state, key) for key in ("hyperparams", "inner"))
        return {name: part_of("inject", hyperparams, name) for name in self.names}, inner

    def _with(self, hyperparams: dict[str, Any]) -> Any:
        return attrs.evolve(self.optimizer, **hyperparams)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"inject({', '.join([repr(self.optimizer), *map(repr, self.names)])})"


def _changes(field: Any, value: Any) -> bool:
    """Whether a field is a number, or a pair of them, that may change."""
    if field.type in ("int", int):
        return False
    return all(map(_is_number, value)) if isinstance(value, tuple) and value else _is_number(value)


def _stacked(value: Any, held: Any) -> bool:
    """Whether a value has one for each member of an ensemble, as what is held in its place."""
    given, there = tree.leaves(value), tree.leaves(held)
    shapes = [(getattr(x, "shape", ()), y.shape) for x, y in zip(given, there, strict=False)]
    return (
        len(given) == len(there)
        and all(isinstance(x, fn.array) for x in given)
        and all(a == b != () for a, b in shapes)
    )


def _arrays(values: dict[str, Any], wide: bool) -> dict[str, Any]:
    dtype = fn.float64 if wide else fn.float32
    return {
        name: tree.map(lambda x: x.astype(dtype) if isinstance(x, fn.array) else fn.array(x, dtype=dtype), value)
        for name, value in values.items()
    }
