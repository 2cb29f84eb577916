"""Saving and loading trees of arrays: safetensors and npz.

The names in a file are the paths of the tree, as in ``layers.0.weight``. A flat dict holds names itself, as ``load``
returns it: its keys are taken as they are, dots included.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import funcnn as fn
from funcnn import tree

__all__ = ["load", "load_metadata", "save"]

Path = str | bytes | os.PathLike[str]

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
# There is no dtype of 8-bit floats: their bytes are loaded.
_DTYPES |= dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), fn.uint8)
_NUMPY_NAMES = {str(dtype): dtype for dtype in _DTYPES.values() if dtype != fn.bfloat16}
_MOST_LISTED = 10
# What the members of an npz file may have in memory: so much, or so many times the size of the file.
_MOST_INFLATED = 1 << 30
_MOST_INFLATION = 100
_LONGEST_NPZ_NAME = 65535 - len(".npy")
_TEMPORARY = ".funcnn-save-"


def save(path: Path, tree: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write the arrays of a tree to a file.

    The file is written in a temporary folder beside `path` and then moved: it is complete or unchanged. A file that is
    replaced hands down its permissions and, where that is allowed, its owners. Temporary folders of saves that were
    killed are removed by the next one.

    Args:
        path: Where to; the suffix ``.safetensors`` or ``.npz`` says in which format.
        tree: A tree of arrays, or of what ``fn.asarray`` takes.
        metadata: Texts to store beside the arrays (safetensors only).

    Raises:
        ValueError: The suffix is another, two leaves have one path, the format cannot hold a name, a number is beyond
            the range of its dtype, or npz is given metadata.
        TypeError: A leaf is no array, or the metadata is not made of strings.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> fn.io.save(path, {"layers": ({"weight": fn.ones((2, 3))},)})
    >>> fn.io.load(path)["layers.0.weight"].shape
    (2, 3)
    """
    path, suffix = _name_and_suffix("save", path)
    if suffix == ".npz" and metadata:
        raise ValueError(f"{path}: an npz file holds no metadata; save as .safetensors")
    if metadata is not None and not isinstance(metadata, (Mapping, fn.frozendict)):
        raise TypeError(f"save: metadata maps strings to strings, got a {type(metadata).__name__}")
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"save: metadata maps strings to strings, got {key!r}: {value!r}")
        _check_unicode(f"metadata: {key!r}: {value!r}", key + value)
    arrays = _named_arrays(tree)
    for name, x in arrays.items():
        _check_name(name, suffix)
        fn._core._require_values(x, f"save: {name}", "return it from the function and save it outside")
    fn.eval(arrays)
    if suffix == ".npz":
        _replace(path, lambda written: _write_npz(written, arrays))
    else:
        _replace(path, lambda written: _write_safetensors(written, arrays, dict(metadata or {})))


def load(path: Path, like: Any = None) -> Any:
    """Read the arrays of a file.

    Args:
        path: A file with the suffix ``.safetensors`` or ``.npz``.
        like: A tree whose structure the result shall have, and whose leaves (arrays, or anything with a shape and a
            dtype) say what the file must hold.

    Returns:
        A dict from names to arrays, in the order of the file; with `like`, a tree like it. The bytes of 8-bit floats are
        loaded as uint8.

    Raises:
        ValueError: The file is malformed, or it does not hold what `like` says; the message names the file, and the array
            or the differences by path. Also an npz file that would take more than 1 GiB and 100 times its size: read it
            with ``numpy.load`` if it is to be trusted.
        FileNotFoundError: There is no file.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> params = {"layers": ({"weight": fn.ones((2, 3))},)}
    >>> fn.io.save(path, params)
    >>> fn.tree.allclose(fn.io.load(path, like=params), params)
    True
    """
    path, suffix = _name_and_suffix("load", path)
    arrays = _read_npz(path) if suffix == ".npz" else _read_safetensors(path)
    return arrays if like is None else _restored(path, arrays, like)


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
    path, suffix = _name_and_suffix("load_metadata", path)
    if suffix != ".safetensors":
        raise ValueError(f"{path}: only safetensors files hold metadata")
    with _opened_safetensors(path) as (_, handle, _):
        return dict(handle.metadata() or {})


def _name_and_suffix(function: str, path: Path) -> tuple[str, str]:
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise TypeError(
            f"{function}: path must be the name of a file, a string or os.PathLike, got a {type(path).__name__}"
        ) from None
    suffix = os.path.splitext(name)[1]
    if suffix not in (".safetensors", ".npz"):
        raise ValueError(f"{function}: expected a name that ends in .safetensors or .npz, got {name!r}")
    if "\0" in name:
        raise ValueError(f"{function}: the name {name!r} has a NUL character")
    return name, suffix


# ---- trees


def _named_leaves(values: Any) -> list[tuple[str, Any]]:
    named = tree.leaves_with_path(values)
    if named and not named[0][0]:
        raise ValueError("an array alone has no name: put it in a dict")
    keys = [tree.split_path(path) for path, _ in named]
    if all(len(key) == 1 for key in keys):
        return [(key, leaf) for (key,), (_, leaf) in zip(keys, named, strict=True)]
    return named


def _named_arrays(values: Any) -> dict[str, fn.array]:
    arrays: dict[str, fn.array] = {}
    for name, leaf in _named_leaves(values):
        if name in arrays:
            raise ValueError(f"two leaves of the tree have the path {name!r}")
        arrays[name] = leaf if isinstance(leaf, fn.array) else _array_of(name, leaf)
    return arrays


def _array_of(name: str, leaf: Any) -> fn.array:
    import numpy as np

    try:
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


def _check_name(name: str, suffix: str) -> None:
    _check_unicode(f"the path {name!r}", name)
    if suffix == ".safetensors" and name == "__metadata__":
        raise ValueError(f"the path {name!r} is where a safetensors file keeps its metadata: rename the array")
    if suffix == ".npz" and "\0" in name:
        raise ValueError(f"the path {name!r}: names in an npz file end at a NUL character")
    if suffix == ".npz" and len(name.encode()) > _LONGEST_NPZ_NAME:
        raise ValueError(f"the path {name[:50]!r}... is too long for an npz file")


def _check_unicode(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} is no valid Unicode text: {error.reason}") from None


def _restored(path: str, arrays: dict[str, fn.array], like: Any) -> Any:
    expected, treedef = _named_leaves(like), tree.structure(like)
    problems = []
    for name, leaf in expected:
        wanted = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else _array_of(f"load: like at {name}", leaf)
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


def _raw(x: fn.array) -> Any:
    """The elements in row-major order as bytes."""
    return x.__reduce_ex__(5)[1][0]


def _restore(content: bytes, shape: tuple[int, ...], dtype: fn.Dtype) -> fn.array:
    """The array with these elements."""
    return fn._core._restore(content, shape, dtype)


# ---- files that are replaced as a whole


def _replace(path: str, write: Callable[[str], None]) -> None:
    """Let `write` make a file in a folder of its own and move it to `path`."""
    target = os.path.realpath(path)
    with _temporary_folder(os.path.dirname(target)) as folder:
        written = os.path.join(folder, "data")
        # The permissions that a new file gets here.
        os.close(os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        access = os.stat(written)
        with contextlib.suppress(FileNotFoundError):
            access = os.stat(target)
        write(written)
        if hasattr(os, "chown"):
            for owner in (access.st_uid, -1):
                with contextlib.suppress(PermissionError):
                    os.chown(written, owner, access.st_gid)
                    break
        os.chmod(written, stat.S_IMODE(access.st_mode))
        with open(written, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(written, target)


@contextlib.contextmanager
def _temporary_folder(parent: str) -> Iterator[str]:
    """A folder that a later call removes if this process is killed: its lock ends with the process."""
    leftovers = []
    with contextlib.suppress(PermissionError), os.scandir(parent) as entries:
        leftovers = [entry.path for entry in entries if entry.name.startswith(_TEMPORARY)]
    for leftover in leftovers:
        with _locked(leftover) as free:
            if free:
                shutil.rmtree(leftover, ignore_errors=True)
    while True:
        folder = tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent)
        with _locked(folder) as free:
            # Another process may have taken it for a leftover before it was locked.
            if free is False or not os.path.isdir(folder):
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[bool | None]:
    """Whether this process alone holds the lock of the folder; None where folders have no locks."""
    if sys.platform == "win32":
        yield None
        return
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free: bool | None = True
        except BlockingIOError:
            free = False
        except OSError:  # a file system without
            free = None
        yield free
    finally:
        os.close(descriptor)


# ---- safetensors: the package writes and validates; the data are read at the places it has checked


def _write_safetensors(path: str, arrays: dict[str, fn.array], metadata: dict[str, str]) -> None:
    import numpy as np
    import safetensors

    contents = {name: np.frombuffer(_raw(x), np.uint8) for name, x in arrays.items()}
    tensors = {
        name: safetensors.TensorSpec(
            dtype=str(x.dtype), shape=x.shape, data_ptr=contents[name].ctypes.data, data_len=x.nbytes
        )
        for name, x in arrays.items()
    }
    try:
        safetensors.serialize_file(tensors, path, metadata or None)
    except safetensors.SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


@contextlib.contextmanager
def _opened_safetensors(path: str) -> Iterator[tuple[BinaryIO, Any, int]]:
    """The file, the package's view of it, and where the data begin."""
    import safetensors

    while True:
        with open(path, "rb") as file:
            try:
                handle = safetensors.safe_open(path, framework="numpy")
            except (safetensors.SafetensorError, OSError) as error:
                raise _malformed(path, f"{error}{_suspect(file)}") from error
            with handle:
                # The package opens files by name: a name may stand for another file by now.
                if not os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                    continue
                length = int.from_bytes(file.read(8), "little")
                try:
                    _header(file, length)
                except ValueError as error:
                    raise _malformed(path, str(error)) from None
                yield file, handle, 8 + length
                return


def _malformed(path: str, message: str) -> ValueError:
    return ValueError(f"{path} is not a valid safetensors file: {message}")


def _header(file: BinaryIO, length: int) -> Any:
    """The JSON text at the beginning. The package takes the last of two entries of one name; here that is an error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"the header has {next(n for n in names if names.count(n) > 1)!r} twice")
        return made

    file.seek(8)
    return json.loads(file.read(length), object_pairs_hook=unique)


def _suspect(file: BinaryIO) -> str:
    """Name the tensor that a refused file describes wrongly, if there is one: the package does not always."""
    with contextlib.suppress(ValueError, RecursionError):
        size = os.fstat(file.fileno()).st_size
        header = _header(file, min(int.from_bytes(file.read(8), "little"), size))
        for name, entry in header.items() if isinstance(header, dict) else ():
            if not _is_consistent(name, entry):
                return f"; {name!r} is {json.dumps(entry)[:200]}"
    return ""


def _is_consistent(name: str, entry: Any) -> bool:
    if name == "__metadata__":
        return entry is None or (isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()))
    try:
        if entry["dtype"] in ("F4", "F6_E2M3", "F6_E3M2"):
            return True
        begin, end = entry["data_offsets"]
        lengths = [*entry["shape"], begin, end]
        if any(type(length) is not int or length < 0 for length in lengths):
            return False
        return bool(math.prod(entry["shape"]) * _DTYPES[entry["dtype"]].itemsize == end - begin)
    except (TypeError, KeyError, ValueError):
        return False


def _read_safetensors(path: str) -> dict[str, fn.array]:
    arrays = {}
    with _opened_safetensors(path) as (file, handle, begin):
        # The package has checked that the tensors lie side by side in this order and fill the file.
        for key in handle.offset_keys():
            described = handle.get_slice(key)
            code, shape = described.get_dtype(), tuple(described.get_shape())
            if code not in _DTYPES:
                raise ValueError(f"{path}: {key!r} has the dtype {code}, for which there is none here")
            size = math.prod(shape) * _DTYPES[code].itemsize
            file.seek(begin)
            content = file.read(size)
            if len(content) != size:
                raise _malformed(path, f"{key!r} was cut off while reading")
            begin += size
            try:
                arrays[key] = _restore(content, shape, _DTYPES[code])
            except ValueError as error:
                raise ValueError(f"{path}: {key!r}: {error}") from error
    return arrays


# ---- npz: a zip archive of .npy files


def _write_npz(path: str, arrays: dict[str, fn.array]) -> None:
    import zipfile

    import numpy as np

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, x in arrays.items():
            # NumPy has no bfloat16; two bytes of raw data is what other libraries write too.
            half = x.dtype == fn.bfloat16
            content = np.frombuffer(_raw(x), dtype="V2").reshape(x.shape) if half else np.asarray(x)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, content, allow_pickle=False)


def _read_npz(path: str) -> dict[str, fn.array]:
    import zipfile
    import zlib

    arrays: dict[str, fn.array] = {}
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                inflated = sum(member.file_size for member in members)
                if inflated > max(_MOST_INFLATED, _MOST_INFLATION * size):
                    raise ValueError(
                        f"{path}: {size} bytes would become {inflated}, more than {_MOST_INFLATION} times as many; "
                        "read it with numpy.load if you trust it"
                    )
                for member in members:
                    key = member.filename.removesuffix(".npy")
                    if key in arrays:
                        raise ValueError(f"{path} is not a valid npz file: it has {key!r} twice")
                    arrays[key] = _read_npy(path, key, archive, member)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise ValueError(f"{path} is not a valid npz file: {error}") from error
    return arrays


def _read_npy(path: str, name: str, archive: Any, info: Any) -> fn.array:
    import zipfile

    import numpy as np

    def fail(message: object) -> ValueError:
        return ValueError(f"{path} is not a valid npz file: {name!r}: {message}")

    # The methods of numpy.savez and savez_compressed: others inflate without a limit to how much at once.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise fail(f"the compression method {info.compress_type} is not known")
    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version} of the npy format is not known")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(member)
        except Exception as error:  # of the tokenizer and the decompressor too
            raise fail(error) from error
        if dtype.hasobject:
            raise fail("it holds Python objects")
        if any(length < 0 for length in shape):
            raise fail(f"the shape {shape} is negative")
        here = info.file_size - member.tell()
        # Compared before anything is read: a header may promise any size.
        if math.prod(shape) * dtype.itemsize != here:
            raise fail(
                f"an array of shape {shape} and dtype {dtype} has another size than the {here} bytes that are there"
            )
        content = member.read(here)
        if len(content) != here or member.read(1):
            raise fail(f"it does not have the {info.file_size} bytes that the archive says")
    wanted = fn.bfloat16 if dtype == np.dtype("V2") else _NUMPY_NAMES.get(dtype.name)
    if wanted is None:
        raise fail(f"the dtype {dtype} is not supported")
    try:
        x = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")
        return _restore(x.astype(dtype.newbyteorder("="), copy=False).tobytes(), shape, wanted)
    except ValueError as error:
        raise fail(error) from error
