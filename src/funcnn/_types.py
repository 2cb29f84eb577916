"""What functions take, for annotations: type checkers read it in the stubs of the native core, at run time it is anything."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import ArrayLike, DtypeLike, ShapeLike
else:
    ArrayLike = DtypeLike = ShapeLike = Any

__all__ = ["ArrayLike", "DtypeLike", "ShapeLike"]
