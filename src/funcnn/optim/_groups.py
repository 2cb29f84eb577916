"""Optimisers for parts of the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import plain_fields

from ._fields import check_optimizer, hashable, optimizer
from ._protocol import Optimizer, split


def _inner(params: Any, chosen: Any) -> Any:
    """The parameters of a part of the gradients, if there are parameters."""
    if params is None:
        return None
    paths = set(tree.paths(chosen))
    return tree.filter(params, lambda path, leaf: path in paths)


@attrs.frozen(field_transformer=plain_fields)
class masked:
    """Apply an optimiser to some parameters; what comes in for the others passes through.

    The state is the optimiser's own, with ``absent`` for the others.

    Args:
        optimizer: What is applied.
        where: Which parameters are meant: a glob over paths, a predicate on path and array, or a tree of bools (see
            ``tree.partition``).

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> clip = optim.masked(optim.clip(1.0), "**.weight")
    >>> grads = {"weight": fn.array([3.0]), "bias": fn.array([3.0])}
    >>> clipped, _ = clip.update(grads, clip.init(grads))
    >>> clipped["weight"].item(), clipped["bias"].item()
    (1.0, 3.0)
    """

    optimizer: Optimizer = attrs.field(validator=optimizer)
    where: Any = attrs.field(converter=hashable)

    def init(self, params: Any) -> Any:
        """Make the optimiser's state for the parameters that are meant."""
        return self.optimizer.init(split("masked", self.where, params, params)[0])

    def update(self, grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return what the optimiser makes of what is meant, with the rest, and its next state."""
        chosen, rest = split("masked", self.where, grads, params)
        delta, state = self.optimizer.update(chosen, state, _inner(params, chosen))
        return tree.merge(rest, delta), state


@attrs.frozen(field_transformer=plain_fields)
class skip_frozen:
    """Leave some parameters as they are: no step, no state, no decay, no share of a clipped norm.

    What comes in for them is dropped; steps and state hold ``absent`` in their place. To save their gradients too, take them out
    before differentiating: ``fn.grad(..., where=...)`` or ``tree.partition``.

    Args:
        optimizer: What steps the others.
        frozen: Which parameters stay: a glob over paths, a predicate on path and array, or a tree of bools (see
            ``tree.partition``).

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.skip_frozen(optim.adamw(0.1), "backbone.**")
    >>> params = {"backbone": {"weight": fn.ones(2)}, "head": {"weight": fn.ones(2)}}
    >>> state = opt.init(params)
    >>> delta, state = opt.update(params, state, params)
    >>> delta["backbone"], fn.tree.paths(state["mu"])
    ({'weight': absent}, ['head.weight'])
    """

    optimizer: Optimizer = attrs.field(validator=optimizer)
    frozen: Any = attrs.field(converter=hashable)

    def init(self, params: Any) -> Any:
        """Make the optimiser's state for the parameters that are not frozen."""
        return self.optimizer.init(split("skip_frozen", self.frozen, params, params)[1])

    def update(self, grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return the steps of the parameters that are not frozen, and the next state."""
        free = split("skip_frozen", self.frozen, grads, params)[1]
        return self.optimizer.update(free, state, _inner(params, free))


def _group(params: Any, labels: dict[str, Any], key: Any) -> Any:
    return tree.filter(params, lambda path, leaf: labels[path] == key)


def _optimizers(optimizers: Any) -> Any:
    if isinstance(optimizers, (dict, fn.frozendict)):
        return fn.frozendict(optimizers)
    if isinstance(optimizers, Iterable) and not isinstance(optimizers, (str, bytes)):
        return tuple(optimizers)
    raise TypeError(f"partitioned: optimizers must be a list or a dict of optimisers, got {optimizers!r}")


@attrs.frozen
class partitioned:
    """Give each group of parameters an optimiser of its own.

    With a list of optimisers, `where` is a list of one fewer: the first entry that means a parameter decides, and the last optimiser
    gets what none means. With a dict, `where` says the key for each parameter. ``None`` in the place of an optimiser freezes its
    group. Each optimiser sees its own group alone: a norm is clipped within it.

    Args:
        optimizers: A list, or a dict from labels to optimisers.
        where: With a list, globs over paths, predicates on path and array, or trees of bools (see ``tree.partition``). With a dict,
            a function of path and array that returns a label, or a tree of labels with the structure of the parameters or of
            its upper levels.

    Raises:
        ValueError: There is not one entry of `where` for each optimiser but the last, or a label has no optimiser.

    Reference: ``MultiOptimizer`` of MLX, ``partition`` of Optax.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.partitioned([optim.sgd(1.0), optim.sgd(0.1)], ["head.**"])
    >>> params = {"backbone": {"weight": fn.ones(1)}, "head": {"weight": fn.ones(1)}}
    >>> delta, state = opt.update(params, opt.init(params), params)
    >>> round(delta["backbone"]["weight"].item(), 4), delta["head"]["weight"].item()
    (-0.1, -1.0)
    >>> opt = optim.partitioned({"slow": optim.sgd(0.1), "none": None}, lambda path, x: "slow" if x.ndim > 1 else "none")
    """

    optimizers: Any = attrs.field(converter=_optimizers)
    where: Any = attrs.field(converter=hashable)

    def __attrs_post_init__(self) -> None:
        for inner in self._groups().values():
            if inner is not None:
                check_optimizer("partitioned", inner)
        if not isinstance(self.optimizers, tuple):
            try:
                sorted(self.optimizers)
            except TypeError:
                raise TypeError(
                    f"partitioned: labels are keys of the state and have to be of one kind, got {list(self.optimizers)}"
                ) from None
        else:
            needed = len(self.optimizers) - 1
            if not isinstance(self.where, tuple) or len(self.where) != needed:
                got = len(self.where) if isinstance(self.where, tuple) else repr(self.where)
                raise ValueError(
                    f"partitioned: where must be a list of {needed} for {needed + 1} optimisers, the last of which gets "
                    f"the rest, got {got}"
                )

    def _groups(self) -> dict[Any, Any]:
        found = self.optimizers
        return dict(enumerate(found)) if isinstance(found, tuple) else dict(found)

    def _labels(self, params: Any) -> dict[str, Any]:
        """The label of each parameter, by path."""
        if isinstance(self.optimizers, tuple):
            labels: dict[str, Any] = {}
            rest = params
            for place, where in enumerate(self.where):
                chosen, rest = split("partitioned", where, rest, None)
                labels.update(dict.fromkeys(tree.paths(chosen), place))
            labels.update(dict.fromkeys(tree.paths(rest), len(self.where)))
            return labels
        if callable(self.where):
            labels = {path: self.where(path, leaf) for path, leaf in tree.leaves_with_path(params)}
        else:
            found = tree.leaves(tree.broadcast_prefix(self.where, params))
            labels = dict(zip(tree.paths(params), found, strict=True))
        known = list(self.optimizers)
        for path, label in labels.items():
            if not any(label == key for key in known):
                raise ValueError(
                    f"partitioned: the label of {path or 'the root'} must be one of {known}, got {label!r}"
                )
        return labels

    def init(self, params: Any) -> Any:
        """Make the states of all optimisers: a tuple for a list, a dict for a dict, with () for ``None``."""
        labels = self._labels(params)
        states = {
            key: () if inner is None else inner.init(_group(params, labels, key))
            for key, inner in self._groups().items()
        }
        return tuple(states.values()) if isinstance(self.optimizers, tuple) else states

    def update(self, grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the next states."""
        groups = self._groups()
        states = self._states(state, groups)
        labels = self._labels(grads if params is None else params)
        unknown = [path for path in tree.paths(grads) if path not in labels]
        if unknown:
            raise ValueError(
                f"partitioned: gradients and parameters belong to different trees: {unknown[0] or 'the root'} is a "
                "gradient only"
            )
        delta = tree.filter(grads, lambda path, x: False)
        for key, inner in groups.items():
            if inner is None:
                continue
            chosen = _group(grads, labels, key)
            step, states[key] = inner.update(chosen, states[key], _inner(params, chosen))
            delta = tree.merge(delta, step)
        return delta, tuple(states.values()) if isinstance(self.optimizers, tuple) else states

    def _states(self, state: Any, groups: dict[Any, Any]) -> dict[Any, Any]:
        """The states by label."""
        if isinstance(self.optimizers, tuple):
            if not isinstance(state, (tuple, list)) or len(state) != len(groups):
                raise TypeError(f"partitioned: the state must be the tuple of {len(groups)} that init returned")
            return dict(enumerate(state))
        if not isinstance(state, (dict, fn.frozendict)) or set(state) != set(groups):
            raise TypeError(f"partitioned: the state must be the dict of {list(groups)} that init returned")
        return {key: state[key] for key in groups}
