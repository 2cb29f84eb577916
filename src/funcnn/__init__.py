"""A functional neural-network library: immutable parameter pytrees over a lazy, fusing native core."""

from . import tree
from .tree import frozendict

__all__ = ["frozendict", "tree"]
