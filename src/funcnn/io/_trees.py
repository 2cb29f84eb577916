"""Trees of arrays and the names of their leaves, and arrays as bytes."""

from __future__ import annotations

from typing import Any

import funcnn as fn
from funcnn import tree

from ._gguf_format import GGUF_DTYPES, LONGEST_GGUF_NAME, MOST_GGUF_AXES

_MOST_LISTED = 10
_LONGEST_NPZ_NAME = 65535 - len(".npy")


def named_leaves(values: Any) -> list[tuple[str, Any]]:
    named = tree.leaves_with_path(values)
    if named and not named[0][0]:
        if hasattr(named[0][1], "init"):
            raise ValueError(f"a {type(named[0][1]).__name__} holds no arrays: give the parameters that its init drew")
        raise ValueError("an array alone has no name: put it in a dict")
    keys = [tree.split_path(path) for path, _ in named]
    if all(len(key) == 1 for key in keys):
        return [(key, leaf) for (key,), (_, leaf) in zip(keys, named, strict=True)]
    return named


def named_arrays(values: Any) -> dict[str, fn.array]:
    arrays: dict[str, fn.array] = {}
    for name, leaf in named_leaves(values):
        if name in arrays:
            raise ValueError(f"two leaves of the tree have the path {name!r}")
        arrays[name] = leaf if isinstance(leaf, fn.array) else array_of(name, leaf)
    return arrays


def array_of(name: str, leaf: Any) -> fn.array:
    import numpy as np

    try:
        with fn.default_device(fn.cpu):  # whose dtypes are those of files
            made = fn.asarray(leaf)
    except TypeError as error:
        raise TypeError(f"{name}: expected an array, got {type(leaf).__name__}: {error}") from error
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error
    if made.dtype in (fn.float32, fn.complex64):
        source = np.asarray(leaf)
        if source.itemsize > made.itemsize and not np.isfinite(np.asarray(made)[np.isfinite(source)]).all():
            raise ValueError(f"{name}: a number of {source.dtype} is beyond the range of {made.dtype}, which is saved")
    return made


def check_name(name: str, suffix: str, x: fn.array, *, packed: bool = False) -> None:
    """Raise ValueError where a format cannot hold an array of this name, which a packed type of its own may hold."""
    check_unicode(f"the path {name!r}", name)
    if suffix == ".safetensors" and name == "__metadata__":
        raise ValueError(f"the path {name!r} is where a safetensors file keeps its metadata: rename the array")
    if suffix == ".npz" and "\0" in name:
        raise ValueError(f"the path {name!r}: names in an npz file end at a NUL character")
    if suffix == ".npz" and len(name.encode()) > _LONGEST_NPZ_NAME:
        raise ValueError(f"the path {name[:50]!r}... is too long for an npz file")
    if suffix == ".gguf":
        if len(name.encode()) > LONGEST_GGUF_NAME:
            raise ValueError(f"the path {name!r} has more than the {LONGEST_GGUF_NAME} bytes of a name in a GGUF file")
        if x.ndim > MOST_GGUF_AXES:
            raise ValueError(f"{name}: a GGUF file holds arrays of at most {MOST_GGUF_AXES} axes, got shape {x.shape}")
        if not packed and x.dtype not in GGUF_DTYPES.values():
            held = ", ".join(str(dtype) for dtype in GGUF_DTYPES.values())
            raise ValueError(f"{name}: a GGUF file holds {held}, got {x.dtype}")


def check_unicode(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} is no valid Unicode text: {error.reason}") from None


def restored(path: str, arrays: dict[str, fn.array], like: Any) -> Any:
    expected, treedef = named_leaves(like), tree.structure(like)
    problems = []
    for name, leaf in expected:
        wanted = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else array_of(f"load: like at {name}", leaf)
        found = arrays.get(name)
        if found is None:
            problems.append(f"{name}: missing in the file")
        elif tuple(found.shape) != tuple(wanted.shape) or found.dtype.name != wanted.dtype.name:
            problems.append(
                f"{name}: expected {wanted.dtype}{list(wanted.shape)}, the file has {found.dtype}{list(found.shape)}"
            )
    names = {name for name, _ in expected}
    problems += [f"{name}: only in the file" for name in arrays if name not in names]
    if problems:
        more = len(problems) - _MOST_LISTED
        listed = problems[:_MOST_LISTED] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError(f"{path} does not fit:\n  " + "\n  ".join(listed))
    return treedef.unflatten([arrays[name] for name, _ in expected])


def raw(x: fn.array) -> Any:
    """The elements in row-major order as bytes."""
    return x.__reduce_ex__(5)[1][0]


def restore(content: bytes | memoryview, shape: tuple[int, ...], dtype: fn.Dtype) -> fn.array:
    """The array with these elements."""
    return fn._core._restore(content, shape, dtype)
