"""What the extension module shows to the other modules of a process: its entry point alone."""

import shutil
import struct
import subprocess
import sys

import pytest

from funcnn import _core


def elf_exports(path: str) -> set[str]:
    """The defined names in the dynamic symbol table of a 64-bit ELF file."""
    with open(path, "rb") as file:
        content = file.read()
    order = "<" if content[5] == 1 else ">"
    (sections,) = struct.unpack_from(order + "Q", content, 0x28)
    size, count = struct.unpack_from(order + "HH", content, 0x3A)
    headers = [struct.unpack_from(order + "IIQQQQIIQQ", content, sections + size * i) for i in range(count)]
    (table,) = [h for h in headers if h[1] == 11]  # SHT_DYNSYM
    strings = headers[table[6]][4]
    names = set()
    for at in range(table[4], table[4] + table[5], table[9]):
        name, info, _, section = struct.unpack_from(order + "IBBH", content, at)
        if section != 0 and info >> 4 != 0:  # defined and not local
            end = content.index(b"\0", strings + name)
            names.add(content[strings + name : end].decode())
    return names


def macho_exports(path: str) -> set[str]:
    listing = subprocess.run(["nm", "-gUj", path], capture_output=True, text=True, check=True).stdout
    return {name.removeprefix("_") for name in listing.split()}


def test_the_entry_point_alone_is_exported() -> None:
    if sys.platform == "darwin" and shutil.which("nm"):
        exports = macho_exports(_core.__file__)
    elif sys.platform.startswith("linux") and sys.maxsize > 2**32:
        exports = elf_exports(_core.__file__)
    else:
        pytest.skip("no reader of this platform's symbol tables")
    assert exports == {"PyInit__core"}
