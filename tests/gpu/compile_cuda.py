"""Compile the CUDA text of the kernels that the table of operations makes: `python tests/gpu/compile_cuda.py [NAMES...]`.

Needs NVRTC and no GPU: FUNCNN_CUDA=compile makes a gpu that compiles every kernel and runs none. Prints what does not
compile and how many calls were made; exits with 77 where there is no NVRTC.
"""

from __future__ import annotations

import os
import pathlib
import sys

os.environ["FUNCNN_CUDA"] = "compile"
os.environ.pop("FUNCNN_METAL", None)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np

import funcnn as fn

try:
    fn.set_default_device("gpu")
except ValueError as error:
    print(error)
    sys.exit(77)

from op_specs import OPS
from test_ops import arrays, draw, outputs, seeded


def calls(names: list[str], dtypes: tuple[str, ...]):
    for op in OPS:
        if names and op.name not in names:
            continue
        for dtype in (d for d in op.dtypes if d in dtypes):
            yield op, dtype


def main() -> int:
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    dtypes = tuple(a[2:] for a in sys.argv[1:] if a.startswith("--")) or ("float32",)
    count, failed = 0, []
    for op, dtype in calls(names, dtypes):
        for sample in op.samples:
            rng = seeded(op)
            with fn.default_device("cpu"):
                values = [draw(rng, s, dtype) for s in sample]
            count += 1
            try:
                given = arrays(op, sample, values, dtype)
                fn.eval(*(x for x in outputs(op.call(*given)) if isinstance(x, fn.array)))
            except RuntimeError as error:
                failed.append(f"{op.name} {dtype}: {error}")
                break
            except (ValueError, MemoryError, np.linalg.LinAlgError):  # nothing was computed: its zeros may be refused
                break
    for text in failed:
        print(text)
    print(f"{count} calls, {len(failed)} failed")
    return min(len(failed), 1)


if __name__ == "__main__":
    sys.exit(main())
