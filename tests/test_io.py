"""Files: round trips, what other libraries read and write, and everything that can be wrong with them."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest

import funcnn as fn
from funcnn import random, tree

DTYPES = [
    "bool_",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
]
SUFFIXES = [".safetensors", ".npz"]


def params():
    return {"layers": ({"weight": random.normal(random.key(0), (3, 4)), "bias": fn.zeros(3)}, {}), "steps": fn.array(5)}


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and bytes(fn.io._trees.raw(a)) == bytes(fn.io._trees.raw(b))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (2, 0, 3)], ids=str)
def test_round_trip(tmp_path, suffix, dtype, shape):
    x = (random.uniform(random.key(1), shape) * 100).astype(getattr(fn, dtype))
    path = tmp_path / f"x{suffix}"
    fn.io.save(path, {"x": x})
    assert same(fn.io.load(path)["x"], x)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_like_restores_the_structure(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    fn.io.save(path, params())
    restored = fn.io.load(path, like=params())
    assert tree.structure(restored) == tree.structure(params())
    assert all(same(a, b) for a, b in zip(tree.leaves(restored), tree.leaves(params()), strict=True))
    assert set(fn.io.load(path)) == {"layers.0.weight", "layers.0.bias", "steps"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_like_lists_the_differences(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    fn.io.save(path, {"a": fn.zeros(2), "b": fn.zeros(3), "c": fn.zeros(4), "extra": fn.zeros(1)})
    like = {"a": fn.zeros(5), "b": fn.zeros(3, dtype=fn.int32), "c": fn.zeros(4), "more": fn.zeros(1)}
    with pytest.raises(ValueError) as error:
        fn.io.load(path, like=like)
    text = str(error.value)
    assert str(path) in text
    assert "a: expected float32[5], the file has float32[2]" in text
    assert "b: expected int32[3], the file has float32[3]" in text
    assert "more: missing in the file" in text
    assert "extra: only in the file" in text
    assert "c:" not in text


def test_names_with_dots_survive(tmp_path):
    path = tmp_path / "x.safetensors"
    values = {"a.b": {"c": fn.ones(1)}, "a": {"b.c": fn.zeros(1)}}
    fn.io.save(path, values)
    assert fn.io.load(path, like=values)["a.b"]["c"].tolist() == [1.0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_loaded_is_saved_under_the_same_names(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    fn.io.save(path, {**params(), "b\\c.d": {"": fn.ones(2), "e.f": fn.zeros(1)}, "a": {"b": fn.ones(1)}})
    loaded = fn.io.load(path)
    fn.io.save(tmp_path / f"y{suffix}", loaded)
    again = fn.io.load(tmp_path / f"y{suffix}")
    assert set(again) == set(loaded) > {"layers.0.weight"}
    assert fn.io.load(path, like=loaded).keys() == loaded.keys()
    assert fn.io.load(path, like=tree.frozendict(loaded)).keys() == loaded.keys()


def test_views_and_foreign_arrays(tmp_path):
    path = tmp_path / "x.safetensors"
    x = fn.arange(12).reshape(3, 4)
    fn.io.save(path, {"t": x.T, "row": x[1], "numpy": np.arange(3.0), "number": 2.5})
    loaded = fn.io.load(path)
    assert loaded["t"].tolist() == x.T.tolist()
    assert loaded["row"].tolist() == [4, 5, 6, 7]
    assert loaded["numpy"].tolist() == [0.0, 1.0, 2.0]
    assert loaded["number"].item() == 2.5


def test_metadata(tmp_path):
    path = tmp_path / "x.safetensors"
    fn.io.save(path, {"x": fn.ones(1)}, metadata={"format": "funcnn", "ä": "ö"})
    assert fn.io.load_metadata(path) == {"format": "funcnn", "ä": "ö"}
    with pytest.raises(TypeError, match="strings"):
        fn.io.save(path, {"x": fn.ones(1)}, metadata={"epoch": 3})
    with pytest.raises(ValueError, match="metadata"):
        fn.io.save(tmp_path / "x.npz", {"x": fn.ones(1)}, metadata={"a": "b"})
    with pytest.raises(ValueError, match="metadata"):
        fn.io.load_metadata(tmp_path / "x.npz")


def test_other_libraries_read_what_we_write(tmp_path):
    st_numpy = pytest.importorskip("safetensors.numpy")
    x = random.normal(random.key(0), (3, 5))
    values = {"x": x, "flags": x > 0, "half": x.astype(fn.float16), "n": fn.array(7, dtype=fn.uint8)}
    fn.io.save(tmp_path / "x.safetensors", values, metadata={"k": "v"})
    fn.io.save(tmp_path / "x.npz", values)
    with np.load(tmp_path / "x.npz") as archive:
        for loaded in (st_numpy.load_file(tmp_path / "x.safetensors"), archive):
            for name, value in values.items():
                assert np.array_equal(loaded[name], np.asarray(value)), name


def test_mlx_and_torch_agree_about_bfloat16(tmp_path):
    x = random.normal(random.key(0), (3, 5)).astype(fn.bfloat16)
    path = tmp_path / "x.safetensors"
    fn.io.save(path, {"x": x})
    expected = np.asarray(x)
    torch = pytest.importorskip("safetensors.torch")
    assert np.array_equal(torch.load_file(path)["x"].float().numpy(), expected)
    torch.save_file(torch.load_file(path), tmp_path / "y.safetensors")
    assert same(fn.io.load(tmp_path / "y.safetensors")["x"], x)


def test_we_read_what_numpy_writes(tmp_path):
    x = np.arange(6.0).reshape(2, 3)
    np.savez_compressed(tmp_path / "x.npz", c=x, f=np.asfortranarray(x), big=x.astype(">f4"), empty=np.zeros((0, 3)))
    loaded = fn.io.load(tmp_path / "x.npz")
    assert loaded["c"].tolist() == loaded["f"].tolist() == loaded["big"].tolist() == x.tolist()
    assert loaded["empty"].shape == (0, 3)


# ---- what is refused


def safetensors_bytes(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


MALFORMED = {
    "empty": (b"", "header too small"),
    "short": (b"1234", "header too small"),
    "huge header": (struct.pack("<Q", 2**60) + b"{}", "header too large"),
    "header longer than the file": (safetensors_bytes({}, length=100), "invalid header length"),
    "no JSON": (safetensors_bytes(b"{not json"), "invalid JSON"),
    "no UTF-8": (safetensors_bytes(b'{"\xff": 1}'), "invalid UTF-8"),
    "deep JSON": (safetensors_bytes(b"[" * 100_000), "invalid JSON"),
    "no object": (safetensors_bytes([1, 2]), "invalid JSON"),
    "no entry": (safetensors_bytes({"x": 5}), "'x' is "),
    "missing key": (safetensors_bytes({"x": {"dtype": "F32", "shape": [1]}}), "'x' is "),
    "unknown dtype": (safetensors_bytes({"x": entry(dtype="F99")}, b"1234"), "unknown variant `F99`.*'x' is"),
    "negative shape": (safetensors_bytes({"x": entry(shape=(-1,))}, b"1234"), "'x' is "),
    "fractional shape": (safetensors_bytes({"x": entry(shape=(1.5,))}, b"1234"), "'x' is "),
    "boolean shape": (safetensors_bytes({"x": entry(shape=(True,))}, b"1234"), "'x' is "),
    "overflowing shape": (safetensors_bytes({"x": entry(shape=(2**40, 2**40))}, b"1234"), "'x' is "),
    "three offsets": (safetensors_bytes({"x": entry(offsets=(0, 4, 8))}, b"1234"), "'x' is "),
    "reversed offsets": (safetensors_bytes({"x": entry(offsets=(4, 0))}, b"1234"), "'x' is "),
    "wrong size": (safetensors_bytes({"x": entry(shape=(2,))}, b"1234"), "'x' is "),
    "overlap": (safetensors_bytes({"x": entry(), "y": entry()}, b"1234"), "invalid offset for tensor `[xy]`"),
    "hole": (
        safetensors_bytes({"x": entry(), "y": entry(offsets=(8, 12))}, b"1" * 12),
        "invalid offset for tensor `y`",
    ),
    "truncated": (safetensors_bytes({"x": entry()}, b"123"), "not fully covered"),
    "trailing bytes": (safetensors_bytes({"x": entry()}, b"12345"), "not fully covered"),
    "offsets beyond": (
        safetensors_bytes({"x": entry(offsets=(2**62, 2**62 + 4))}, b"1234"),
        "invalid offset for tensor `x`",
    ),
    "twice": (
        safetensors_bytes(b'{"x":%b,"x":%b}' % ((json.dumps(entry()).encode(),) * 2), b"1234"),
        "'x' twice",
    ),
    "metadata": (safetensors_bytes({"__metadata__": {"a": 1}}), "'__metadata__' is "),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_safetensors(tmp_path, case):
    content, message = MALFORMED[case]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        fn.io.load(path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == content


def npz_bytes(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def npy(x, **kwargs):
    out = io.BytesIO()
    np.save(out, x, **kwargs)
    return out.getvalue()


def huge_npy():
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)})
    return out.getvalue() + b"1234"


MALFORMED_NPZ = {
    "empty": (lambda: b"", "not a valid npz"),
    "no zip": (lambda: b"PK nonsense", "not a valid npz"),
    "truncated": (lambda: npz_bytes([("x.npy", npy(np.ones(100)))])[:-60], "not a valid npz"),
    "no npy": (lambda: npz_bytes([("x.npy", b"hello world")]), "'x'"),
    "cut npy": (lambda: npz_bytes([("x.npy", npy(np.ones(100))[:-8])]), "'x': an array of shape"),
    "huge shape": (lambda: npz_bytes([("x.npy", huge_npy())]), "'x': an array of shape"),
    "objects": (
        lambda: npz_bytes([("x.npy", npy(np.array([{}, 1]), allow_pickle=True))]),
        "'x': it holds Python objects",
    ),
    "strings": (lambda: npz_bytes([("x.npy", npy(np.array(["a"])))]), "'x': the dtype <U1 is not supported"),
    "dates": (lambda: npz_bytes([("x.npy", npy(np.zeros(1, "M8[s]")))]), "'x': the dtype"),
    "long doubles": (lambda: npz_bytes([("x.npy", npy(np.zeros(1, np.longdouble)))]), "'x': the dtype"),
}


@pytest.mark.parametrize("case", MALFORMED_NPZ)
def test_malformed_npz(tmp_path, case):
    make, message = MALFORMED_NPZ[case]
    path = tmp_path / "bad.npz"
    path.write_bytes(make())
    with pytest.raises(ValueError, match=message) as error:
        fn.io.load(path)
    assert str(path) in str(error.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz_with_a_name_twice(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(npz_bytes([("x.npy", npy(np.ones(1))), ("x.npy", npy(np.zeros(1)))]))
    with pytest.raises(ValueError, match="'x' twice"):
        fn.io.load(path)


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"\.safetensors, \.npz, \.npy or \.gguf"):
        fn.io.save(tmp_path / "x.bin", {"x": fn.ones(1)})
    with pytest.raises(TypeError, match=r"a\.b: expected an array, got str"):
        fn.io.save(tmp_path / "x.npz", {"a": {"b": "text"}})
    with pytest.raises(ValueError, match="no name"):
        fn.io.save(tmp_path / "x.npz", fn.ones(1))
    with pytest.raises(FileNotFoundError):
        fn.io.load(tmp_path / "missing.npz")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failing_save_changes_nothing(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x{suffix}"
    fn.io.save(path, {"x": fn.ones(3)})
    before = path.read_bytes()

    def fail(x):
        raise OSError("no space left on device")

    monkeypatch.setattr(fn.io._safetensors, "raw", fail)
    monkeypatch.setattr(fn.io._numpy, "raw", fail)
    with pytest.raises(OSError, match="no space"):
        fn.io.save(path, {"x": fn.zeros(5).astype(fn.bfloat16)})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_saving_over_a_file_that_is_in_use(tmp_path):
    path = tmp_path / "x.safetensors"
    fn.io.save(path, {"x": fn.ones(1000)})
    loaded = fn.io.load(path)["x"]
    fn.io.save(path, {"x": fn.zeros(10)})
    assert loaded.tolist() == [1.0] * 1000
