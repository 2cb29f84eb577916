"""Functions of the native core pickle and copy by their names, as functions written in Python do."""

from __future__ import annotations

import copyreg
from typing import Any


def by_name(*functions: Any) -> None:
    """Pickle everything of the types of `functions` as the name that it has in its module."""
    for function in functions:
        copyreg.pickle(type(function), _name)


def _name(function: Any) -> str:
    name: str = function.__qualname__
    return name
