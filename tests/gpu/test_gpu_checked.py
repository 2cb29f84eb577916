"""Every kernel at shapes around its tiles, against the CPU.

On the software Metal device with SOFTWARE_METAL_CHECK=1, which `make check-kernels` sets, every access is checked as well.
Without it these are tests of values.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from kernel_cases import CASES, KERNELS, Case

import funcnn as fn
from op_specs import OPS
from test_ops import EDGE_OPS, arrays, draw, outputs, seeded

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")

ROOT = pathlib.Path(__file__).parents[2]
SOFTWARE = os.environ.get("FUNCNN_METAL") == "software"


def wide(x: fn.array) -> np.ndarray:
    return np.asarray(x.astype(fn.float32) if x.dtype == fn.bfloat16 else x)


def agree(got: Any, wanted: Any, tolerance: float) -> None:
    for g, w in zip(outputs(got), outputs(wanted), strict=True):
        assert (g.dtype, g.shape) == (w.dtype, w.shape)
        g, w = wide(g), wide(w)
        if w.dtype.kind in "biu":
            np.testing.assert_array_equal(g, w)
            continue
        largest = np.abs(w[np.isfinite(w)]).max(initial=1e-3)
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * largest)


def params() -> Iterator[Any]:
    seen = set()
    for case in CASES:
        marks = () if case.family in seen else (pytest.mark.quick,)
        seen.add(case.family)
        yield pytest.param(case, id=f"{case.family}: {case.name}", marks=marks)


def inputs_of(case: Case) -> list[fn.array]:
    here = [fn.array(a) for a in case.arrays]
    if case.dtype:
        here = [a.astype(getattr(fn, case.dtype)) if fn.isdtype(a.dtype, "real floating") else a for a in here]
    return here


@pytest.mark.parametrize("case", list(params()))
def test_kernels(case: Case) -> None:
    """Twice, so that memory is used again."""
    here = inputs_of(case)
    there = [fn.device_put(a, fn.gpu) for a in here]
    wanted = case.call(*here)
    with fn.default_device(fn.gpu):
        got, again = case.call(*there), case.call(*there)
        fn.eval(got, again)
    agree(got, wanted, case.tolerance)
    made_of_nothing = any(a.size == 0 for a in here)  # constants, which may be anywhere
    for g, a in zip(outputs(got), outputs(again), strict=True):
        assert g.device == fn.gpu or made_of_nothing
        np.testing.assert_array_equal(wide(g), wide(a))


@pytest.mark.parametrize("case", list(params()))
def test_kernels_read_backwards(case: Case) -> None:
    here = inputs_of(case)
    there = [fn.flip(fn.device_put(fn.contiguous(fn.flip(a)), fn.gpu)) for a in here]
    fn.eval(there)
    wanted = case.call(*here)
    with fn.default_device(fn.gpu):
        agree(case.call(*there), wanted, case.tolerance)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS])
def test_operations(op: Any, dtype: str) -> None:
    """Those of the table, which compares values elsewhere."""
    if dtype not in op.dtypes:
        pytest.skip("not of this dtype")
    rng = seeded(op)
    with fn.default_device(fn.gpu):
        for sample in op.samples:
            fn.eval(op.call(*arrays(op, sample, [draw(rng, s, dtype) for s in sample], dtype)))


@pytest.mark.parametrize("op", EDGE_OPS)
def test_edge_values(op: Any) -> None:
    with fn.default_device(fn.gpu):
        for inputs in op.edges:
            fn.eval(op.call(*[fn.array(np.asarray(v, np.float32)) for v in inputs]))


def kernels_run() -> set[str]:
    """What the software device ran in this process."""
    library = ctypes.CDLL(str(ROOT / "build" / "metal" / "libsoftware_metal.so"))
    library.software_metal_kernels.restype = ctypes.c_char_p
    return set(library.software_metal_kernels().decode().split())


def stems(names: set[str]) -> set[str]:
    return {max((k for k in KERNELS if name.startswith(k)), key=len, default=name) for name in names}


@pytest.mark.skipif(not SOFTWARE, reason="the software device tells what it ran")
def test_every_kernel_is_reached(request: pytest.FixtureRequest) -> None:
    """Comes last: by the cases above, where all of them ran."""
    ran = {item.name for item in request.session.items}
    missing = [p.id for p in params() if f"test_kernels[{p.id}]" not in ran]
    if missing:
        pytest.skip(f"{len(missing)} cases did not run in this process")
    reached = stems(kernels_run())
    assert not (unreached := set(KERNELS) - reached), f"no case reaches {sorted(unreached)}"


def test_the_list_of_kernels_is_whole() -> None:
    """Every name that a text of a kernel is given in the shared back end begins like one of the list."""
    for source in sorted((ROOT / "native" / "backends" / "gpu").glob("*.cpp")):
        for call in re.findall(r"KernelText\w*\b[^;{]*?\((?:machine|traits|machine_)[^;]*?;", source.read_text()):
            if literals := re.findall(r'"([a-z_0-9]+)"', call):
                assert literals[0].startswith(KERNELS), f"{source.name}: {literals[0]} is not in KERNELS"
