"""The class that every optimiser of MLX derives from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import core as mx
from ..nn.layers.base import Module
from ..utils import tree_map


class Optimizer:
    """Update the parameters of a model, one array at a time, with a state beside them.

    ``state`` is a dict: ``step`` (uint64), what may be scheduled (``learning_rate``), and a tree like the parameters with a dict
    for each array. A class of one's own fills those dicts in ``init_single(parameter, state)`` and returns the new parameter from
    ``apply_single(gradient, parameter, state)``.

    >>> import funcnn.compat.core as mx
    >>> import funcnn.compat.optimizers as optim
    >>> class Signs(optim.Optimizer):
    ...     def init_single(self, parameter, state):
    ...         state["last"] = mx.zeros_like(parameter)
    ...     def apply_single(self, gradient, parameter, state):
    ...         state["last"] = mx.sign(gradient)
    ...         return parameter - 0.5 * state["last"]
    >>> optimizer = Signs()
    >>> new = optimizer.apply_gradients({"w": mx.array([3.0, -4.0])}, {"w": mx.array([1.0, 1.0])})
    >>> new["w"].tolist(), optimizer.step.item(), optimizer.state["w"]["last"].tolist()
    ([0.5, 1.5], 1, [1.0, -1.0])
    """

    def __init__(self, schedulers: dict[str, Callable[[Any], Any]] | None = None) -> None:
        self._initialized = False
        self._state: Any = {"step": mx.array(0, mx.uint64)}
        self._schedulers = dict(schedulers or {})

    def update(self, model: Module, gradients: Any) -> None:
        """Update a model by the gradients of its parameters, or of some of them."""
        model.update(self.apply_gradients(gradients, model))

    def init(self, parameters: Any) -> None:
        """Make the state of all parameters that have none yet. The first update does it where this was not called."""
        _grow(parameters, self._state)

        def fill(parameter: Any, state: Any) -> None:
            if not state:
                self.init_single(parameter, state)

        tree_map(fill, parameters, self._state)
        self._initialized = True

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Fill the state of one parameter; for derived classes."""
        raise NotImplementedError

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """Return the updated parameters as a tree like the gradients, which may be those of some parameters only.

        What ``clip_grad_norm`` returns, gradients and their norm, stands for the gradients.
        """
        tree = without_norm(gradients, parameters)
        if not self._initialized:
            self.init(tree)
        scheduled = {name: _scheduled(schedule, self.step) for name, schedule in self._schedulers.items()}
        self.state.update(scheduled, step=self.step + 1)
        return tree_map(self.apply_single, tree, parameters, self.state)

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter and leave its new state in `state`; for derived classes."""
        raise NotImplementedError

    @property
    def state(self) -> Any:
        """The state: what to save, and what to name among the ``inputs`` and ``outputs`` of ``mx.compile``."""
        return self._state

    @state.setter
    def state(self, state: Any) -> None:
        self._initialized = False  # parameters that it does not have get theirs
        self._state = state

    @property
    def step(self) -> Any:
        """How many updates there have been."""
        return self.state["step"]

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the last update, an array; set it to a number or an array."""
        return self.state["learning_rate"]

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.state["learning_rate"] = mx.array(learning_rate)

    def _maybe_schedule(self, name: str, param: Any) -> None:
        """Keep a hyperparameter in the state: a number, or a function from the count of steps to one."""
        if callable(param):
            self._schedulers[name] = param
        self.state[name] = _scheduled(param, self.step) if callable(param) else mx.array(param)


def without_norm(gradients: Any, parameters: Any) -> Any:
    """The gradients, also where they came with their norm."""
    if type(gradients) is tuple and len(gradients) == 2 and isinstance(parameters, dict):
        tree, norm = gradients
        if isinstance(tree, dict) and isinstance(norm, mx.array) and norm.ndim == 0:
            return tree
    return gradients


def _scheduled(schedule: Callable[[Any], Any], step: Any) -> Any:
    """The value of a schedule; a Python number becomes an array, which is what the state holds."""
    value = schedule(step)
    return value if isinstance(value, mx.array) else mx.array(value)


def _grow(parameters: Any, state: Any) -> Any:
    """The state with an empty dict for each parameter that it does not have; dicts grow in place."""
    if isinstance(parameters, dict):
        for name, value in parameters.items():
            state[name] = _grow(value, state[name]) if name in state else _empty(value)
        return state
    if isinstance(parameters, (list, tuple)):
        known = [_grow(value, part) for value, part in zip(parameters, state, strict=False)]
        known += [*list(state)[len(known) :], *map(_empty, parameters[len(known) :])]
        return type(parameters)(known)
    return state


def _empty(parameters: Any) -> Any:
    return tree_map(lambda _: {}, parameters)
