"""Files as memory: what loading costs, how long a mapping lives, and files that change meanwhile."""

from __future__ import annotations

import gc
import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import funcnn as fn

posix = pytest.mark.skipif(os.name != "posix", reason="files are mapped on POSIX")
SUFFIXES = [".safetensors", ".npy", ".gguf"]


def write(path: Path, x: fn.array) -> None:
    fn.io.save(path, x if path.suffix == ".npy" else {"x": x})


def read(path: Path) -> fn.array:
    loaded = fn.io.load(path)
    return loaded if path.suffix == ".npy" else loaded["x"]


def sparse(path: Path, size: int) -> None:
    """A file of two tensors, of zeros and ones at the end, that takes next to nothing on the disk."""
    header = {
        "large": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]},
        "small": {"dtype": "F32", "shape": [1024], "data_offsets": [size, size + 4096]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)
        file.seek(8 + len(text) + size)
        file.write(np.ones(1024, np.float32).tobytes())


@posix
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_five_gigabytes_cost_nothing_until_they_are_used(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    sparse(path, 5 << 30)
    program = """
        import sys, time
        import funcnn as fn
        def resident():
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) << 10
        fn.eval(fn.io.load(sys.argv[2])["x"] + 1)
        before, start = resident(), time.perf_counter()
        loaded = fn.io.load(sys.argv[1])
        seconds, after = time.perf_counter() - start, resident()
        assert loaded["small"].sum().item() == 1024
        assert loaded["large"][-5:].sum().item() == 0 and loaded["large"].shape == (5 * 2**28,)
        print(seconds, after - before, resident() - before)
    """
    tiny = tmp_path / "y.safetensors"
    fn.io.save(tiny, {"x": fn.ones(3)})
    arguments = [sys.executable, "-c", textwrap.dedent(program), str(path), str(tiny)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    seconds, loading, using = map(float, result.stdout.split())
    assert seconds < 1 and loading < 20 << 20 and using < 64 << 20


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mapping_outlives_the_name_of_its_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write(path, fn.arange(100000.0))
    x = read(path)
    view = x[5:10]
    write(path, fn.zeros(3))
    assert read(path).tolist() == [0, 0, 0]
    path.unlink()
    gc.collect()
    assert float(x.sum()) == pytest.approx(99999 * 50000, rel=1e-5)
    del x
    gc.collect()
    assert view.tolist() == [5, 6, 7, 8, 9]


@posix
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.on_cpu  # another device is given a copy, and the mapping ends
def test_a_mapping_ends_with_its_last_array(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"unusual{suffix}"
    write(path, fn.ones(5000))

    def is_mapped() -> bool:
        return path.name in Path("/proc/self/maps").read_text()

    x = read(path)
    y = fn.eval(x * 2.0)
    assert is_mapped()
    del x, y
    fn.clear_plan_cache()
    gc.collect()
    assert not is_mapped()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mapped_memory_is_not_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write(path, fn.ones(5000))
    content = path.read_bytes()
    step = fn.compile(lambda x: x * 2.0 + 1.0, donate=("x",))
    assert float(step(read(path)).sum()) == 15000
    x = read(path) * 3.0
    assert float((x + 1.0).sum()) == 20000
    assert not np.asarray(read(path)).flags.writeable
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files_raise(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write(path, fn.arange(50.0))
    content = path.read_bytes()
    used = len(content) - (24 if suffix == ".gguf" else 0)  # its data are padded
    for size in (0, 1, 4, 8, 9, 50, used // 2, used - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"is not a valid {suffix[1:].replace('gguf', 'GGUF')} file"):
            fn.io.load(path)


@pytest.mark.parametrize("dtype", ["bool_", "int8", "uint64", "float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (4, 5)], ids=str)
def test_npy(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / "x.npy"
    x = fn.arange(int(np.prod(shape))).reshape(shape).astype(getattr(fn, dtype))
    fn.io.save(path, x)
    y = fn.io.load(path)
    assert y.dtype == x.dtype and y.shape == x.shape and bool((x == y).all())
    if dtype != "bfloat16":
        np.testing.assert_array_equal(np.load(path), x)
        np.save(path, np.asfortranarray(np.asarray(x)))
        np.testing.assert_array_equal(fn.io.load(path), x)
        np.save(path, np.asarray(x).astype(np.asarray(x).dtype.newbyteorder(">")))
        np.testing.assert_array_equal(fn.io.load(path), x)


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_npy_load_as_numpy_does_or_raise(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.npy"
    fn.io.save(path, fn.arange(12.0).reshape(3, 4))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    try:
        x = fn.io.load(path)
    except ValueError as error:
        assert "is not a valid npy file" in str(error)
    else:
        np.testing.assert_array_equal(np.asarray(x), np.load(path))


def test_npy_holds_one_array(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    fn.io.save(path, [1.0, 2.0])
    assert fn.io.load(path).tolist() == [1, 2]
    for call, message in (
        (lambda: fn.io.save(path, fn.ones(2), {"a": "b"}), "npy file holds no metadata"),
        (lambda: fn.io.load(path, like={"x": fn.ones(2)}), "holds one array"),
        (lambda: fn.io.load(path, return_metadata=True), "holds no metadata"),
        (lambda: fn.io.load_metadata(path), "only safetensors and GGUF"),
        (lambda: fn.io.load(path, format="txt"), "format must be"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="save: expected an array"):
        fn.io.save(path, {"x": object()})


def test_formats_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    fn.io.save_safetensors(path, {"x": fn.ones(2)}, {"a": "b"})
    (tmp_path / "model.bin.safetensors").rename(path)
    loaded, metadata = fn.io.load(path, format="safetensors", return_metadata=True)
    assert loaded["x"].tolist() == [1, 1] and metadata == {"a": "b"}


@pytest.mark.parametrize("save", [fn.io.savez, fn.io.savez_compressed])
def test_savez(tmp_path: Path, save: object) -> None:
    assert callable(save)
    save(tmp_path / "x", fn.ones(1000), [1, 2], weight=fn.zeros((2, 3)))
    save(tmp_path / "y.npz", w=fn.ones(3).astype(fn.bfloat16))
    with np.load(tmp_path / "x.npz") as read:
        assert {name: read[name].shape for name in read} == {"arr_0": (1000,), "arr_1": (2,), "weight": (2, 3)}
    assert sorted(fn.io.load(tmp_path / "x.npz")) == ["arr_0", "arr_1", "weight"]
    assert fn.io.load(tmp_path / "y.npz")["w"].dtype == fn.bfloat16
    assert ((tmp_path / "x.npz").stat().st_size < 2000) == (save is fn.io.savez_compressed)
    with pytest.raises(ValueError, match="two arrays have the name 'arr_0'"):
        save(tmp_path / "z.npz", fn.ones(2), arr_0=fn.ones(2))
    with pytest.raises(TypeError, match="z.npz|savez"):
        save(tmp_path / "z.npz", object())
    assert not (tmp_path / "z.npz").exists()
