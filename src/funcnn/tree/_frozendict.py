"""The immutable dict: the native core's, or Python's own where it has one."""

from .._core import _frozendict as frozendict

__all__ = ["frozendict"]
