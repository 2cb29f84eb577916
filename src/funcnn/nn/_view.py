"""Views: parameters that know where they stand in the model and how it is being called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import funcnn as fn
from funcnn import tree
from funcnn._carriers import Carrier, Reports
from funcnn.tree import frozendict

from ._keys import fold_text

_CONTAINERS = (dict, frozendict, tuple, list)


class Context:
    """What all views of one call of ``apply`` share."""

    __slots__ = ("draws", "key", "level", "training", "updates")

    def __init__(self, training: bool, key: fn.array | None, updates: dict[tuple[Any, ...], Any] | None) -> None:
        self.training = training
        self.key = key
        self.updates = updates  # None: there is nobody to report them to
        self.draws: dict[tuple[Any, ...], int] = {}
        # Values from deeper traces are gone when that trace ends.
        self.level = fn._core.transforms.trace_depth()


INFERENCE = Context(False, None, None)


class View(Carrier):
    """Parameters as a layer gets them: read like the dict or tuple they are, with the context of the call.

    ``params["attn"]`` of a view is a view, unless it is an array. A view is a pytree of its parameters, so
    ``fn.checkpoint(self.block)(params["block"], x)``, ``fn.vmap`` and ``fn.grad`` take it as an argument.

    >>> from funcnn import nn
    >>> class Report(nn.Layer):
    ...     def __call__(self, params, x):
    ...         return params.path, params.training
    >>> model = nn.Sequential(Report())
    >>> model.apply({"layers": ({},)}, None, training=True)[0]
    ('layers.0', True)
    """

    __slots__ = ("_context", "_keys", "_params")

    def __init__(self, params: Any, keys: tuple[Any, ...] = (), context: Context = INFERENCE) -> None:
        self._params = params
        self._keys = keys
        self._context = context

    @property
    def path(self) -> str:
        """Where these parameters stand in those given to ``apply``, as in ``layers.0``."""
        return ".".join(map(str, self._keys))

    @property
    def training(self) -> bool:
        """Whether the model is called to train it."""
        return self._context.training

    @property
    def params(self) -> Any:
        """The parameters themselves, without context."""
        return self._params

    def next_key(self) -> fn.array:
        """Return a key for random draws: another one for every path and, at one path, for every call.

        Which key that is depends on the key given to ``apply``, the path, and how often this method was called at this
        path before.

        Raises:
            ValueError: ``apply`` was called without a key.
        """
        context = self._context
        if context.key is None:
            raise ValueError("random numbers are needed here: call apply(..., key=random.key(seed))")
        count = context.draws.get(self._keys, 0)
        context.draws[self._keys] = count + 1
        return fold_text(context.key, f"{self.path}:{count}")

    def with_key(self, key: fn.array) -> View:
        """Return the same view drawing its random numbers from another key."""
        context = Context(self._context.training, key, self._context.updates)
        context.level, context.draws = self._context.level, {}
        return View(self._params, self._keys, context)

    def update(self, name: str, value: Any) -> None:
        """Report a new value for the array ``name``, to be found in the updates that ``apply`` returns.

        The parameters themselves stay as they are, and the last report counts.

        Raises:
            ValueError: There is no such array, or it has another shape or dtype; the layer was called without ``apply``;
                or the value belongs to a transformation that the view was not given to as an argument.
        """
        context = self._context
        if context.updates is None:
            raise ValueError(f"an update of {name!r} has nowhere to go: call the model by apply, which returns updates")
        old = self[name]
        for what in ("shape", "dtype"):
            ours, theirs = getattr(value, what, None), getattr(old, what, None)
            if ours != theirs:
                raise ValueError(f"an update of {name!r} must keep its {what} {theirs}, got {ours}")
        self.report({(name,): value})

    def replace(self, params: Any) -> View:
        """Return a view of other parameters at the same place, in the same context."""
        return View(params, self._keys, self._context)

    def contents(self) -> Any:
        """The parameters, for a transformation that the view is given to."""
        return self._params

    def entered(self, contents: Any) -> View:
        """The view inside a transformation."""
        outer = self._context
        context = Context(outer.training, outer.key, None if outer.updates is None else {})
        context.draws = outer.draws
        return View(contents, self._keys, context)

    def reports(self) -> Reports:
        """The updates reported inside, by path below this view."""
        depth = len(self._keys)
        return {keys[depth:]: value for keys, value in (self._context.updates or {}).items()}

    def report(self, reports: Reports) -> None:
        """Add updates by path below this view."""
        context = self._context
        for below, value in reports.items():
            depth, level = fn._core.transforms.trace_depth(), fn._core.transforms.trace_level(value)
            if min(depth, level) > context.level:
                raise ValueError(
                    f"an update of {'.'.join(map(str, below))!r} was computed inside a transformed function (vmap, "
                    "checkpoint, grad, scan, ...) that the view was not an argument of; pass the view itself, as in "
                    'fn.checkpoint(self.block)(params["block"], x)'
                )
            if context.updates is not None:
                context.updates[self._keys + below] = value

    def __getitem__(self, name: Any) -> Any:
        try:
            child = self._params[name]
        except (LookupError, TypeError):
            raise KeyError(self._missing(name)) from None
        if isinstance(child, _CONTAINERS):
            if isinstance(name, int) and name < 0:
                name += len(self._params)
            return View(child, (*self._keys, name), self._context)
        return child

    def _missing(self, name: Any) -> str:
        there = list(self._params) if isinstance(self._params, (dict, frozendict)) else range(len(self._params))
        return f"no parameter {name!r}; there are {', '.join(map(repr, there)) or 'none'}"

    def get(self, name: Any, default: Any = None) -> Any:
        """Return the parameter or view of this name, or ``default``."""
        return self[name] if name in self.keys() else default

    def __contains__(self, name: Any) -> bool:
        return name in self.keys()

    def __len__(self) -> int:
        return len(self._params)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._params, (dict, frozendict)):
            return iter(self._params)
        return (self[i] for i in range(len(self._params)))

    def keys(self) -> Any:
        """The names, or the indices of a tuple."""
        return self._params.keys() if isinstance(self._params, (dict, frozendict)) else range(len(self._params))

    def values(self) -> list[Any]:
        """The parameters and views."""
        return [self[name] for name in self.keys()]

    def items(self) -> list[tuple[Any, Any]]:
        """The names with the parameters and views."""
        return [(name, self[name]) for name in self.keys()]

    def __repr__(self) -> str:
        mode = "training" if self.training else "inference"
        return f"<View of {self.path or 'the root'}, {mode}: {self._params!r}>"


tree.register_node(
    View,
    lambda view: ((view._params,), (view._keys, view._context)),
    lambda where, children: View(children[0], *where),
    ("params",),
)


def nested(updates: dict[tuple[Any, ...], Any]) -> frozendict[Any, Any]:
    """Make the sparse tree of updates from their paths."""
    root: dict[Any, Any] = {}
    for keys, value in updates.items():
        node = root
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value

    def freeze(node: Any) -> Any:
        return frozendict({key: freeze(child) for key, child in node.items()}) if isinstance(node, dict) else node

    frozen: frozendict[Any, Any] = freeze(root)
    return frozen
