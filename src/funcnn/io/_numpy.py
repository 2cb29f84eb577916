"""npy, and npz: a zip archive of .npy files."""

from __future__ import annotations

import math
import os
from typing import Any

import funcnn as fn

from ._mapping import mapped
from ._safetensors import DTYPES
from ._trees import raw, restore

# What the members of an npz file may have in memory: so much, or so many times the size of the file.
_MOST_INFLATED = 1 << 30
_MOST_INFLATION = 100
_NUMPY_NAMES = {str(dtype): dtype for dtype in DTYPES.values() if dtype != fn.bfloat16}


def write_npy(path: str, x: fn.array) -> None:
    with open(path, "wb") as file:
        _write(file, x)


def _write(file: Any, x: fn.array) -> None:
    import numpy as np

    # NumPy has no bfloat16; two bytes of raw data is what other libraries write too.
    half = x.dtype == fn.bfloat16
    content = np.frombuffer(raw(x), dtype="V2").reshape(x.shape) if half else np.asarray(x)
    np.lib.format.write_array(file, content, allow_pickle=False)


def write_npz(path: str, arrays: dict[str, fn.array], compressed: bool) -> None:
    import zipfile

    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method, allowZip64=True) as archive:
        for name, x in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write(member, x)


def read_npz(path: str) -> dict[str, fn.array]:
    import zipfile
    import zlib

    arrays: dict[str, fn.array] = {}
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        # zipfile finds an archive behind anything; NumPy wants it at the beginning.
        if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            raise ValueError(f"{path} is not a valid npz file: it does not begin as a zip archive")
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
                    arrays[key] = _read_member(path, key, archive, member)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise ValueError(f"{path} is not a valid npz file: {error}") from error
    return arrays


def _read_member(path: str, name: str, archive: Any, info: Any) -> fn.array:
    import zipfile

    def fail(message: object) -> ValueError:
        return ValueError(f"{path} is not a valid npz file: {name!r}: {message}")

    # The methods of numpy.savez and savez_compressed: others inflate without a limit to how much at once.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise fail(f"the compression method {info.compress_type} is not known")
    with archive.open(info) as member:
        try:
            shape, fortran, dtype = _header(member, info.file_size)
            here = info.file_size - member.tell()
            content = member.read(here)
            if len(content) != here or member.read(1):
                raise ValueError(f"it does not have the {info.file_size} bytes that the archive says")
            return _array(content, shape, fortran, dtype)
        except ValueError as error:
            raise fail(error) from error


def read_npy(path: str) -> fn.array:
    with open(path, "rb") as file:
        try:
            shape, fortran, dtype = _header(file, os.fstat(file.fileno()).st_size)
            return _array(mapped(file)[file.tell() :], shape, fortran, dtype)
        except ValueError as error:
            raise ValueError(f"{path} is not a valid npy file: {error}") from error


def _header(file: Any, size: int) -> tuple[tuple[int, ...], bool, Any]:
    """The shape, whether the first axis runs fastest, and the dtype, of data that fill the rest of `size` bytes."""
    import numpy as np

    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the npy format is not known")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # of the tokenizer and the decompressor too
        raise ValueError(str(error)) from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if any(length < 0 for length in shape):
        raise ValueError(f"the shape {shape} is negative")
    here = size - file.tell()
    # Compared before anything is read: a header may promise any size.
    if math.prod(shape) * dtype.itemsize != here:
        raise ValueError(
            f"an array of shape {shape} and dtype {dtype} has another size than the {here} bytes that are there"
        )
    return shape, fortran, dtype


def _array(content: Any, shape: tuple[int, ...], fortran: bool, dtype: Any) -> fn.array:
    import numpy as np

    wanted = fn.bfloat16 if dtype == np.dtype("V2") else _NUMPY_NAMES.get(dtype.name)
    if wanted is None:
        raise ValueError(f"the dtype {dtype} is not supported")
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError("it was cut off while reading")
    if not dtype.isnative or (fortran and len(shape) > 1):
        x = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")
        content = x.astype(dtype.newbyteorder("="), copy=False).tobytes()
    return restore(content, shape, wanted)
