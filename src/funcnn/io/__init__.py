"""Saving and loading arrays: npy, npz, safetensors and GGUF.

The names in a file are the paths of the tree, as in ``layers.0.weight``. A flat dict holds names itself, as ``load``
returns it: its keys are taken as they are, dots included.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import funcnn as fn
from funcnn import _hints
from funcnn._calls import explained
from funcnn._device import at_home

from ._checkpoints import Checkpoint, CheckpointManager
from ._gguf import read_gguf
from ._gguf_pack import quantised, tensors
from ._gguf_write import metadata_of, write_gguf
from ._numpy import read_npy, read_npz, write_npy, write_npz
from ._replace import replace
from ._safetensors import opened_safetensors, read_safetensors, write_safetensors
from ._trees import array_of, check_name, check_unicode, named_arrays, restored

_hints.close(globals())

__all__ = [
    "Checkpoint",
    "CheckpointManager",
    "load",
    "load_metadata",
    "save",
    "save_gguf",
    "save_safetensors",
    "savez",
    "savez_compressed",
]

Path = str | bytes | os.PathLike[str]

_SUFFIXES = (".safetensors", ".npz", ".npy", ".gguf")


@explained
def save(path: Path, tree: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the arrays of a tree to a file.

    The file is written in a temporary folder beside `path` and then moved: it is complete or unchanged. A file that is
    replaced hands down its permissions and, where that is allowed, its owners. Temporary folders of saves that were
    killed are removed by the next one.

    Args:
        path: Where to; the suffix ``.safetensors``, ``.npz``, ``.gguf`` or, for one array, ``.npy`` says in which format.
        tree: A tree of arrays, or of what ``fn.asarray`` takes; for ``.npy`` one array.
        metadata: What to store beside the arrays: texts in safetensors; also numbers, arrays of numbers with at most one
            axis and lists of texts in GGUF.

    Raises:
        ValueError: The suffix is another, two leaves have one path, the format cannot hold a name or a dtype, a number
            is beyond the range of its dtype, or npz or npy is given metadata.
        TypeError: A leaf is no array, or the metadata is not made of what the format holds.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> fn.io.save(path, {"layers": ({"weight": fn.ones((2, 3))},)})
    >>> fn.io.load(path)["layers.0.weight"].shape
    (2, 3)
    """
    name, suffix = _name_and_suffix("save", path)
    if suffix == ".npy":
        if metadata:
            raise ValueError(f"{name}: an npy file holds no metadata; save as .safetensors")
        x = fn._core._immutable(tree) if isinstance(tree, fn.array) else array_of("save", tree)
        _require_value("save", "the array", x)
        replace(name, lambda written: write_npy(written, x))
    else:
        _save("save", name, suffix, named_arrays(tree), metadata)


def savez(path: Path, *args: Any, **kwargs: Any) -> None:
    """Write arrays to an npz file: those without a name as ``arr_0``, ``arr_1``, ...

    Args:
        path: Where to; ``.npz`` is added where the name ends otherwise.
        *args: Arrays, or what ``fn.asarray`` takes.
        **kwargs: Arrays by their names.

    Raises:
        ValueError: Two arrays have one name, or the format cannot hold a name.
        TypeError: An argument is no array.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "arrays.npz")
    >>> fn.io.savez(path, fn.ones(2), weight=fn.ones((2, 3)))
    >>> sorted(fn.io.load(path))
    ['arr_0', 'weight']
    """
    _savez("savez", path, args, kwargs, False)


def savez_compressed(path: Path, *args: Any, **kwargs: Any) -> None:
    """Write arrays to a compressed npz file; see `savez`.

    Args:
        path: Where to; ``.npz`` is added where the name ends otherwise.
        *args: Arrays, or what ``fn.asarray`` takes.
        **kwargs: Arrays by their names.

    Raises:
        ValueError: Two arrays have one name, or the format cannot hold a name.
        TypeError: An argument is no array.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "arrays.npz")
    >>> fn.io.savez_compressed(path, zeros=fn.zeros(10000))
    >>> os.path.getsize(path) < 1000
    True
    """
    _savez("savez_compressed", path, args, kwargs, True)


@explained
def save_safetensors(path: Path, arrays: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays to a safetensors file: `save`, whatever the name of the file ends in.

    Args:
        path: Where to; ``.safetensors`` is added where the name ends otherwise.
        arrays: A dict from names to arrays, or a tree of arrays.
        metadata: Texts to store beside the arrays.

    Raises:
        ValueError: See `save`.
        TypeError: See `save`.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> fn.io.save_safetensors(path, {"w": fn.ones(2)}, {"epoch": "3"})
    >>> fn.io.load(path, return_metadata=True)
    ({'w': array([1., 1.], dtype=float32)}, {'epoch': '3'})
    """
    name = _ending("save_safetensors", path, ".safetensors")
    _save("save_safetensors", name, ".safetensors", named_arrays(arrays), metadata)


@explained
def save_gguf(path: Path, arrays: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write arrays to a GGUF file.

    Args:
        path: Where to; ``.gguf`` is added where the name ends otherwise.
        arrays: A dict from names to arrays, or a tree of arrays: floats, or signed integers; at most four axes. A quantised
            weight (uint32) beside ``scales`` and ``biases`` becomes one tensor in Q4_0 or Q4_1, if it has 4 bits in groups of
            32, or Q8_0, if that is what it was loaded from; ``load`` makes the same three arrays of it.
        metadata: Texts, lists of texts, numbers, and arrays of numbers with at most one axis, by their names.

    Raises:
        ValueError: The format cannot hold a dtype, a shape or a name.
        TypeError: A leaf is no array, or the metadata is not made of what the format holds.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.gguf")
    >>> fn.io.save_gguf(path, {"w": fn.ones(2)}, {"general.name": "two"})
    >>> fn.io.load(path, return_metadata=True)
    ({'w': array([1., 1.], dtype=float32)}, {'general.name': 'two'})
    """
    _save("save_gguf", _ending("save_gguf", path, ".gguf"), ".gguf", named_arrays(arrays), metadata)


def load(path: Path, like: Any = None, *, format: str | None = None, return_metadata: bool = False) -> Any:
    """Read the arrays of a file.

    The arrays of npy, safetensors and GGUF files are the file itself, mapped into memory: loading takes no time, and only
    what is used is read. The mapping lasts as long as any of the arrays, also if the file is replaced or removed; but do not
    write into a file that is in use. (On Windows, and where elements are not aligned, they are read at once.) Where the
    default device is another than the CPU, they are put there.

    Args:
        path: A file with the suffix ``.npy``, ``.npz``, ``.safetensors`` or ``.gguf``.
        like: A tree whose structure the result shall have, and whose leaves (arrays, or anything with a shape and a
            dtype) say what the file must hold.
        format: The suffix that the name would have, without its dot, if it has another.
        return_metadata: Whether to return what is stored beside the arrays, too (safetensors and GGUF).

    Returns:
        A dict from names to arrays, in the order of the file; with `like`, a tree like it; of npy the one array. With
        `return_metadata` a pair of that and a dict: texts of safetensors; texts, lists of texts, and arrays of GGUF.

        The bytes of 8-bit floats are loaded as uint8, with a warning. Weights that GGUF holds in Q4_0, Q4_1 or Q8_0 stay
        packed, as ``quantize`` makes them in groups of 32: ``NAME.weight`` (uint32) with ``NAME.scales`` and ``NAME.biases``
        (float16). Other packed types become float16, those with tables (IQ and the like) through the package ``gguf``.

    Raises:
        ValueError: The file is malformed, or it does not hold what `like` says; the message names the file, and the array
            or the differences by path. Also an npz file that would take more than 1 GiB and 100 times its size: read it
            with ``numpy.load`` if it is to be trusted. Or metadata is asked of a format that holds none.
        FileNotFoundError: There is no file.
        ImportError: A GGUF file has packed types for which the package ``gguf`` is needed, and it is not there.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> params = {"layers": ({"weight": fn.ones((2, 3))},)}
    >>> fn.io.save(path, params)
    >>> fn.tree.allclose(fn.io.load(path, like=params), params)
    True
    """
    name, suffix = _name_and_suffix("load", path, format)
    if return_metadata and suffix in (".npy", ".npz"):
        raise ValueError(f"{name}: an {suffix[1:]} file holds no metadata")
    if suffix == ".npy":
        if like is not None:
            raise ValueError(f"{name}: an npy file holds one array, and no tree that `like` could describe")
        return at_home(read_npy(name))
    metadata: dict[str, Any] = {}
    if suffix == ".npz":
        arrays = read_npz(name)
    elif suffix == ".gguf":
        arrays, metadata = read_gguf(name)
    else:
        arrays, metadata = read_safetensors(name)
    arrays = at_home(arrays)
    found = arrays if like is None else restored(name, arrays, like)
    return (found, metadata) if return_metadata else found


def load_metadata(path: Path) -> dict[str, Any]:
    """Read what is stored beside the arrays in a safetensors or GGUF file.

    Args:
        path: A file with the suffix ``.safetensors`` or ``.gguf``.

    Returns:
        The texts of a safetensors file; the texts, lists of texts and arrays of a GGUF file.

    Raises:
        ValueError: The file is malformed or of another format.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> fn.io.save(path, {"w": fn.ones(2)}, metadata={"epoch": "3"})
    >>> fn.io.load_metadata(path)
    {'epoch': '3'}
    """
    name, suffix = _name_and_suffix("load_metadata", path)
    if suffix == ".gguf":
        return read_gguf(name, only_metadata=True)[1]
    if suffix != ".safetensors":
        raise ValueError(f"{name}: only safetensors and GGUF files hold metadata")
    with opened_safetensors(name) as (_, handle, _):
        return dict(handle.metadata() or {})


# ---- names


def _name(function: str, path: Path) -> str:
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise TypeError(
            f"{function}: path must be the name of a file, a string or os.PathLike, got a {type(path).__name__}"
        ) from None
    if "\0" in name:
        raise ValueError(f"{function}: the name {name!r} has a NUL character")
    return name


def _name_and_suffix(function: str, path: Path, format: str | None = None) -> tuple[str, str]:
    name = _name(function, path)
    if format is not None:
        if f".{format}" not in _SUFFIXES:
            raise ValueError(f"{function}: format must be 'npy', 'npz', 'safetensors' or 'gguf', got {format!r}")
        return name, f".{format}"
    suffix = os.path.splitext(name)[1]
    if suffix not in _SUFFIXES:
        raise ValueError(f"{function}: expected a name that ends in .safetensors, .npz, .npy or .gguf, got {name!r}")
    return name, suffix


def _ending(function: str, path: Path, suffix: str) -> str:
    name = _name(function, path)
    return name if name.endswith(suffix) else name + suffix


# ---- saving


def _require_value(function: str, name: str, x: fn.array) -> None:
    fn._core._require_values(x, f"{function}: {name}", "return it from the function and save it outside")
    fn.eval(x)


def _savez(function: str, path: Path, args: tuple[Any, ...], kwargs: dict[str, Any], compressed: bool) -> None:
    values = {f"arr_{i}": value for i, value in enumerate(args)}
    for name, value in kwargs.items():
        if name in values:
            raise ValueError(f"{function}: two arrays have the name {name!r}")
        values[name] = value
    arrays = {k: v if isinstance(v, fn.array) else array_of(f"{function}: {k}", v) for k, v in values.items()}
    _save(function, _ending(function, path, ".npz"), ".npz", arrays, None, compressed)


def _save(
    function: str,
    path: str,
    suffix: str,
    arrays: dict[str, fn.array],
    metadata: Mapping[str, Any] | None,
    compressed: bool = False,
) -> None:
    if suffix == ".npz" and metadata:
        raise ValueError(f"{path}: an npz file holds no metadata; save as .safetensors")
    if metadata is not None and not isinstance(metadata, (Mapping, fn.frozendict)):
        raise TypeError(f"{function}: metadata maps strings to strings, got a {type(metadata).__name__}")
    write: Callable[[str], None]
    if suffix == ".gguf":
        entries = metadata_of(function, metadata or {})
        write = lambda written: write_gguf(written, held, entries)  # noqa: E731
    elif suffix == ".npz":
        write = lambda written: write_npz(written, arrays, compressed)  # noqa: E731
    else:
        texts = _texts(function, metadata or {})
        write = lambda written: write_safetensors(written, arrays, texts)  # noqa: E731
    given = list(arrays.values())
    # Mutable arrays print and share their memory as MLX's do.
    arrays = {name: fn._core._immutable(x) for name, x in arrays.items()}
    packed = quantised(arrays) if suffix == ".gguf" else {}
    for name, x in arrays.items():
        check_name(name, suffix, x, packed=name in packed)
        fn._core._require_values(x, f"{function}: {name}", "return it from the function and save it outside")
    fn.eval(given, arrays)
    held = tensors(arrays, packed) if suffix == ".gguf" else {}
    replace(path, write)


def _texts(function: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"{function}: metadata maps strings to strings, got {key!r}: {value!r}")
        check_unicode(f"metadata: {key!r}: {value!r}", key + value)
    return dict(metadata)
