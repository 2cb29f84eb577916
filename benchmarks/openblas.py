"""OpenBLAS under the names of BLAS and LAPACK, for ``LD_PRELOAD``.

MLX's Linux wheel brings the reference BLAS. The package ``scipy-openblas32`` has OpenBLAS, whose functions are called
``scipy_dgemm_`` there; a library of jumps gives them the names that the wheel looks for.
"""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import shutil
import subprocess
import tempfile

_FOLDER = tempfile.TemporaryDirectory(prefix="benchmarks-openblas-")


@functools.cache
def library() -> str | None:
    """The path of the library, made once; None without the package, or without the tools that make it."""
    if importlib.util.find_spec("scipy_openblas32") is None or not (shutil.which("gcc") and shutil.which("nm")):
        return None
    import scipy_openblas32

    folder = scipy_openblas32.get_lib_dir()
    (openblas,) = pathlib.Path(folder).glob("lib*openblas*.so")
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", openblas], capture_output=True, text=True, check=True
    ).stdout
    names = [line.split()[-1] for line in symbols.splitlines() if " T scipy_" in line]
    jumps = [
        f".globl {n}\n.type {n}, @function\n{n}: jmp scipy_{n}@PLT\n" for n in (n.removeprefix("scipy_") for n in names)
    ]
    build = pathlib.Path(_FOLDER.name)
    source, made = build / "jumps.s", build / "libblas_jumps.so"
    source.write_text(".text\n" + "".join(jumps) + '.section .note.GNU-stack,"",@progbits\n')
    link = [f"-Wl,-rpath,{folder}", "-Wl,--no-as-needed", str(openblas)]
    subprocess.run(["gcc", "-shared", "-o", made, source, *link], check=True)
    return str(made)
