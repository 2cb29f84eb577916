"""Saving and loading trees of arrays: safetensors and npz.

The names in a file are the paths of the tree, as in ``layers.0.weight``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import funcnn as fn
from funcnn import tree

__all__ = ["load", "load_metadata", "save"]

Path = str | os.PathLike[str]

_DTYPES = {
    "BOOL": fn.bool_,
    "U8": fn.uint8,
    "I8": fn.int8,
    "U16": fn.uint16,
    "I16": fn.int16,
    "F16": fn.float16,
    "BF16": fn.bfloat16,
    "U32": fn.uint32,
    "I32": fn.int32,
    "F32": fn.float32,
    "U64": fn.uint64,
    "I64": fn.int64,
    "F64": fn.float64,
    "C64": fn.complex64,
}
_NUMPY_NAMES = {str(dtype): dtype for dtype in _DTYPES.values() if dtype != fn.bfloat16}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
# The limit of the safetensors package: a longer header is an attack or an accident.
_LONGEST_HEADER = 100_000_000
_MOST_LISTED = 10


def save(path: Path, tree: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write the arrays of a tree to a file.

    The file is written under a temporary name beside `path` and then renamed: it is complete or unchanged.

    Args:
        path: Where to; the suffix ``.safetensors`` or ``.npz`` says in which format.
        tree: A tree of arrays, or of what ``fn.asarray`` takes.
        metadata: Texts to store beside the arrays (safetensors only).

    Raises:
        ValueError: The suffix is another, two leaves have one path, or npz is given metadata.
        TypeError: A leaf is no array, or the metadata is not made of strings.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> fn.io.save(path, {"layers": ({"weight": fn.ones((2, 3))},)})
    >>> fn.io.load(path)["layers.0.weight"].shape
    (2, 3)
    """
    arrays = _named_arrays(tree)
    suffix = _suffix(path)
    if suffix == ".npz" and metadata:
        raise ValueError(f"{os.fspath(path)}: an npz file holds no metadata; save as .safetensors")
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata maps strings to strings, got {key!r}: {value!r}")
    fn.eval(arrays)
    if suffix == ".npz":
        _replace(path, lambda file: _write_npz(file, arrays))
    else:
        _replace(path, lambda file: _write_safetensors(file, arrays, dict(metadata or {})))


def load(path: Path, like: Any = None) -> Any:
    """Read the arrays of a file.

    Args:
        path: A file with the suffix ``.safetensors`` or ``.npz``.
        like: A tree whose structure the result shall have, and whose leaves (arrays, or anything with a shape and a
            dtype) say what the file must hold.

    Returns:
        A dict from names to arrays, in the order of the file; with `like`, a tree like it.

    Raises:
        ValueError: The file is malformed, or it does not hold what `like` says; the message names the file, and the array
            or the differences by path.
        FileNotFoundError: There is no file.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> params = {"layers": ({"weight": fn.ones((2, 3))},)}
    >>> fn.io.save(path, params)
    >>> fn.tree.allclose(fn.io.load(path, like=params), params)
    True
    """
    arrays = _read_npz(path) if _suffix(path) == ".npz" else _read_safetensors(path)
    return arrays if like is None else _restored(os.fspath(path), arrays, like)


def load_metadata(path: Path) -> dict[str, str]:
    """Read the texts stored in a safetensors file.

    Raises:
        ValueError: The file is malformed or of another format.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> fn.io.save(path, {"w": fn.ones(2)}, metadata={"epoch": "3"})
    >>> fn.io.load_metadata(path)
    {'epoch': '3'}
    """
    if _suffix(path) != ".safetensors":
        raise ValueError(f"{os.fspath(path)}: only safetensors files hold metadata")
    with _opened(path) as (file, size):
        return _read_header(os.fspath(path), file, size)[1]


def _suffix(path: Path) -> str:
    suffix = os.path.splitext(os.fspath(path))[1]
    if suffix not in (".safetensors", ".npz"):
        raise ValueError(f"{os.fspath(path)}: expected a name that ends in .safetensors or .npz")
    return suffix


def _named_arrays(values: Any) -> dict[str, fn.array]:
    arrays: dict[str, fn.array] = {}
    for name, leaf in tree.leaves_with_path(values):
        if name in arrays:
            raise ValueError(f"two leaves of the tree have the path {name!r}")
        if not name:
            raise ValueError("an array alone has no name: put it in a dict")
        try:
            arrays[name] = leaf if isinstance(leaf, fn.array) else fn.asarray(leaf)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name}: expected an array, got {type(leaf).__name__}") from error
    return arrays


def _restored(path: str, arrays: dict[str, fn.array], like: Any) -> Any:
    expected, treedef = tree.flatten_with_path(like)
    problems = []
    for name, leaf in expected:
        wanted = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else fn.asarray(leaf)
        found = arrays.get(name)
        if found is None:
            problems.append(f"{name}: missing in the file")
        elif tuple(found.shape) != tuple(wanted.shape) or str(found.dtype) != str(wanted.dtype):
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


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under another name and rename it."""
    target = os.path.realpath(os.fspath(path))
    temporary = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    with open(path, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size


def _raw(x: fn.array) -> Any:
    """The elements in row-major order as bytes."""
    return x.__reduce_ex__(5)[1][0]


def _restore(content: bytes, shape: tuple[int, ...], dtype: fn.Dtype) -> fn.array:
    """The array with these elements."""
    return fn._core._restore(content, shape, dtype)


# ---- safetensors: the length of the header (8 bytes), the header (JSON), the data


def _write_safetensors(file: BinaryIO, arrays: dict[str, fn.array], metadata: dict[str, str]) -> None:
    # Larger elements first, so that all are aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name in names:
        x = arrays[name]
        begin, end = end, end + x.nbytes
        header[name] = {"dtype": _CODES[x.dtype], "shape": list(x.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for name in names:
        file.write(_raw(arrays[name]))


def _read_header(path: str, file: BinaryIO, size: int) -> tuple[dict[str, Any], dict[str, str], int]:
    """The entries, the metadata, and where the data begin; everything is checked against the size of the file."""

    def fail(message: str) -> ValueError:
        return ValueError(f"{path} is not a valid safetensors file: {message}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            names = [name for name, _ in pairs]
            raise fail(f"the header has {next(n for n in names if names.count(n) > 1)!r} twice")
        return seen

    start = file.read(8)
    if len(start) < 8:
        raise fail(f"it has {size} bytes, too few for a header")
    (length,) = struct.unpack("<Q", start)
    if length > min(size - 8, _LONGEST_HEADER):
        raise fail(f"the header would have {length} bytes, the file has {size}")
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise fail(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise fail("the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise fail("__metadata__ does not map strings to strings")
    for name, entry in header.items():
        _check_entry(name, entry, fail)
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        if begin != end:
            what = "overlaps what stands before it" if begin < end else f"leaves {begin - end} bytes unused before it"
            raise fail(f"{name!r} begins at byte {begin} of the data and {what}")
        end = stop
    if 8 + length + end != size:
        raise fail(f"the header describes {end} bytes of data, the file has {size - 8 - length}")
    return header, metadata, 8 + length


def _check_entry(name: str, entry: Any, fail: Callable[[str], ValueError]) -> None:
    def whole(values: Any) -> bool:
        return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise fail(f"{name!r} is not described by dtype, shape and data_offsets")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise fail(f"{name!r} has the dtype {entry['dtype']!r}; known are {', '.join(_DTYPES)}")
    if not whole(entry["shape"]) or not whole(entry["data_offsets"]) or len(entry["data_offsets"]) != 2:
        raise fail(f"{name!r} has the shape {entry['shape']!r} and the offsets {entry['data_offsets']!r}")
    begin, end = entry["data_offsets"]
    nbytes = math.prod(entry["shape"]) * dtype.itemsize
    if end - begin != nbytes:
        raise fail(
            f"{name!r} of shape {tuple(entry['shape'])} and dtype {entry['dtype']} has {nbytes} bytes, "
            f"but its offsets are {begin} and {end}"
        )


def _read_safetensors(path: Path) -> dict[str, fn.array]:
    name = os.fspath(path)
    arrays = {}
    with _opened(path) as (file, size):
        header, _, data = _read_header(name, file, size)
        for key, entry in header.items():
            begin, end = entry["data_offsets"]
            file.seek(data + begin)
            content = file.read(end - begin)
            if len(content) != end - begin:
                raise ValueError(f"{name} is not a valid safetensors file: {key!r} was cut off while reading")
            arrays[key] = _restore(content, tuple(entry["shape"]), _DTYPES[entry["dtype"]])
    return arrays


# ---- npz: a zip archive of .npy files


def _write_npz(file: BinaryIO, arrays: dict[str, fn.array]) -> None:
    import zipfile

    import numpy as np

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, x in arrays.items():
            # NumPy has no bfloat16; two bytes of raw data is what other libraries write too.
            half = x.dtype == fn.bfloat16
            content = np.frombuffer(_raw(x), dtype="V2").reshape(x.shape) if half else np.asarray(x)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, content, allow_pickle=False)


def _read_npz(path: Path) -> dict[str, fn.array]:
    import zipfile
    import zlib

    name = os.fspath(path)
    with _opened(path) as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                names = [member.filename.removesuffix(".npy") for member in members]
                for key in names:
                    if names.count(key) > 1:
                        raise ValueError(f"{name} is not a valid npz file: it has {key!r} twice")
                return {key: _read_npy(name, key, archive, member) for key, member in zip(names, members, strict=True)}
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise ValueError(f"{name} is not a valid npz file: {error}") from error


def _read_npy(path: str, name: str, archive: Any, info: Any) -> fn.array:
    import numpy as np

    def fail(message: object) -> ValueError:
        return ValueError(f"{path} is not a valid npz file: {name!r}: {message}")

    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            if version not in ((1, 0), (2, 0)):
                raise fail(f"version {version} of the npy format is not known")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(member)
        except ValueError as error:
            if error.args and str(error.args[0]).startswith(path):
                raise
            raise fail(error) from error
        if dtype.hasobject:
            raise fail("it holds Python objects")
        here = info.file_size - member.tell()
        # Compared before anything is read: a header may promise any size.
        if math.prod(shape) * dtype.itemsize != here:
            raise fail(
                f"an array of shape {shape} and dtype {dtype} has another size than the {here} bytes that are there"
            )
        content = member.read()
    wanted = fn.bfloat16 if dtype == np.dtype("V2") else _NUMPY_NAMES.get(dtype.name)
    if wanted is None:
        raise fail(f"the dtype {dtype} is not supported")
    x = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return _restore(x.astype(dtype.newbyteorder("="), copy=False).tobytes(), shape, wanted)
