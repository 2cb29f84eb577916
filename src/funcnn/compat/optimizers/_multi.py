"""Several optimisers, each for its own part of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..utils import tree_flatten, tree_merge, tree_unflatten
from ._base import Optimizer, without_norm

Filter = Callable[[str, Any], bool]


def _rest(path: str, weight: Any) -> bool:
    """The filter of the last optimiser, which gets what no other does."""
    return True


class MultiOptimizer(Optimizer):
    """Give each group of parameters an optimiser of its own.

    Args:
        optimizers: A list of optimisers; or a dict from prefixes of parameters' paths to optimisers: ``"encoder"`` means
            ``encoder`` and everything below it, and the longest prefix decides.
        filters: With a list, one predicate on path and array fewer than there are optimisers: the first that holds decides,
            and the last optimiser gets the rest. With a dict, the model or a tree of its parameters, or nothing: each
            trainable parameter must have an optimiser, and each prefix a parameter.

    Raises:
        ValueError: There is not one filter fewer than optimisers; a parameter has no prefix, or a prefix no parameter.

    >>> import funcnn.compat.core as mx
    >>> import funcnn.compat.optimizers as optim
    >>> optimizer = optim.MultiOptimizer({"encoder": optim.SGD(1.0), "decoder": optim.SGD(0.5)})
    >>> params = {"encoder": {"w": mx.array([1.0])}, "decoder": {"w": mx.array([1.0])}}
    >>> new = optimizer.apply_gradients(params, params)
    >>> new["encoder"]["w"].tolist(), new["decoder"]["w"].tolist()
    ([0.0], [0.5])
    """

    def __init__(self, optimizers: Any, filters: Any = []) -> None:  # noqa: B006, a list as in MLX
        super().__init__()
        self._state = {}
        self.optimizers: list[Any]
        self.filters: list[Filter]
        if isinstance(optimizers, dict):
            self.optimizers, self.filters = _by_prefix(optimizers, filters)
            return
        self.optimizers, self.filters = optimizers, [*filters, _rest]
        if len(self.filters) != len(optimizers):
            raise ValueError(
                f"MultiOptimizer: {len(optimizers)} optimizers need {len(optimizers) - 1} filters, got {len(filters)}"
            )

    def _split_dictionary(self, gradients: Any) -> list[Any]:
        """The tree of each optimiser."""
        if self.filters[0] is _rest:
            return [gradients]
        parts: list[list[tuple[str, Any]]] = [[] for _ in self.optimizers]
        flat: Any = tree_flatten(gradients)
        for path, leaf in flat:
            chosen = next((part for part, means in zip(parts, self.filters, strict=True) if means(path, leaf)), None)
            if chosen is None:
                raise ValueError(f"MultiOptimizer: {path} has no optimizer: it begins with none of the prefixes given")
            chosen.append((path, leaf))
        return [tree_unflatten(part) if part else {} for part in parts]

    def init(self, parameters: Any) -> None:
        """Make the states of all optimisers."""
        for optimizer, part in zip(self.optimizers, self._split_dictionary(parameters), strict=True):
            optimizer.init(part)

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """Return the updated parameters as a tree like the gradients."""
        updated: Any = {}
        parts = self._split_dictionary(without_norm(gradients, parameters))
        for optimizer, part in zip(self.optimizers, parts, strict=True):
            updated = tree_merge(updated, optimizer.apply_gradients(part, parameters))
        return updated

    @property
    def state(self) -> Any:
        """The states of all, as ``{"states": [...]}``."""
        return {"states": [optimizer.state for optimizer in self.optimizers]}

    @state.setter
    def state(self, state: Any) -> None:
        states = dict(state).get("states")
        if states is None or len(states) != len(self.optimizers):
            raise ValueError(
                f'MultiOptimizer: the state must be {{"states": [...]}} with those of {len(self.optimizers)} optimizers'
            )
        for optimizer, own in zip(self.optimizers, states, strict=True):
            optimizer.state = own

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the first optimiser; setting it sets that of all."""
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        for optimizer in self.optimizers:
            optimizer.learning_rate = learning_rate


def _by_prefix(optimizers: dict[str, Any], model: Any) -> tuple[list[Any], list[Filter]]:
    """The optimisers, each once, and their filters."""
    if not optimizers:
        raise ValueError("MultiOptimizer: expected a dict of at least one optimizer, got {}")

    def prefix_of(path: str) -> str | None:
        found = [p for p in optimizers if p in ("", path) or path.startswith(f"{p}.")]
        return max(found, key=len, default=None)

    unique = list({id(optimizer): optimizer for optimizer in optimizers.values()}.values())

    def filter_of(optimizer: Any) -> Filter:
        return lambda path, weight: (prefix := prefix_of(path)) is not None and optimizers[prefix] is optimizer

    if model:
        trainable: Any = tree_flatten(getattr(model, "trainable_parameters", lambda: model)())
        everything: Any = tree_flatten(getattr(model, "parameters", lambda: model)())
        bare = [path for path, _ in trainable if prefix_of(path) is None]
        if bare:
            raise ValueError(f"MultiOptimizer: {bare[0]} has no optimizer: the prefixes are {list(optimizers)}")
        met = {prefix_of(path) for path, _ in everything}
        unmet = [prefix for prefix in optimizers if prefix not in met]
        if unmet:
            raise ValueError(f"MultiOptimizer: no parameter of the model begins with {unmet[0]!r}")
    return unique, [filter_of(optimizer) for optimizer in unique]
