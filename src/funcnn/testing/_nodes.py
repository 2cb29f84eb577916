"""Containers of one's own that drawn trees are made of, beside those of Python."""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs

from funcnn import tree


class Point(NamedTuple):
    """A named tuple."""

    x: Any
    y: Any


@tree.register_attrs(static=["name"])
@attrs.frozen
class Block:
    """A registered class whose fields are children, but for its name."""

    left: Any
    right: Any
    name: str = "block"


class Bag:
    """A class registered by functions: any number of children, and a label as metadata."""

    def __init__(self, items: Any, label: str) -> None:
        self.items, self.label = tuple(items), label

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bag) and (self.items, self.label) == (other.items, other.label)

    def __hash__(self) -> int:
        return hash((self.items, self.label))

    def __repr__(self) -> str:
        return f"Bag({self.items!r}, {self.label!r})"


tree.register_node(Bag, lambda bag: (bag.items, bag.label), lambda label, items: Bag(items, label))
