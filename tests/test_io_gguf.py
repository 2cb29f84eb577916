"""GGUF files against the package gguf and MLX, and damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import funcnn as fn

gguf = pytest.importorskip("gguf")
KIND = gguf.GGMLQuantizationType
DTYPES = ["float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64"]
METADATA = {
    "general.name": "a model, ä",
    "tokens": ["a", "", "ß"],
    "count": fn.array(3, fn.uint32),
    "rate": fn.array(2.5),
    "flag": fn.array(True),
    "wide": fn.array(-(2**40), fn.int64),
    "list": fn.array([1.0, 2.0, 3.0]),
    "bytes": fn.array([1, 2, 255], fn.uint8),
    "empty": fn.zeros(0, fn.int16),
}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, fn.array) and isinstance(b, fn.array):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (2, 3), (2, 1, 3, 2)], ids=str)
def test_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / "x.gguf"
    x = fn.arange(int(np.prod(shape))).reshape(shape).astype(getattr(fn, dtype))
    fn.io.save(path, {"a": x, "layers": ({"weight": x},)}, METADATA)
    loaded, metadata = fn.io.load(path, return_metadata=True)
    assert list(loaded) == ["a", "layers.0.weight"] and all(same(y, x) for y in loaded.values())
    assert list(metadata) == list(METADATA) and all(same(metadata[k], v) for k, v in METADATA.items())
    assert all(same(fn.io.load_metadata(path)[k], v) for k, v in METADATA.items())
    assert same(fn.io.load(path, like={"a": x, "layers": ({"weight": x},)})["layers"][0]["weight"], x)


def test_the_package_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    arrays = {d: fn.arange(30).reshape(5, 6).astype(getattr(fn, d)) for d in DTYPES}
    fn.io.save_gguf(path, arrays, {**METADATA, "general.alignment": 64})
    reader = gguf.GGUFReader(path)
    assert reader.alignment == 64
    for tensor in reader.tensors:
        assert tensor.data_offset % 64 == 0
        bits = np.asarray(tensor.data).reshape(-1).view(np.uint8).tobytes()
        assert bits == bytes(fn.io._trees.raw(arrays[tensor.name])) and tensor.shape.tolist() == [6, 5]
    contents = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF")}
    assert contents["general.name"] == "a model, ä" and contents["tokens"] == ["a", "", "ß"]
    assert contents["wide"] == -(2**40) and contents["list"] == [1, 2, 3] and contents["flag"] is True


def write_packed(path: Path, nested: bool = True, **tensors: tuple[np.ndarray, Any]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("n", 7)
    if nested:
        writer.add_array("nested", [[1, 2], [3]])
    for name, (x, kind) in tensors.items():
        writer.add_tensor(name.replace("_", "."), gguf.quants.quantize(x, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def unpacked(loaded: dict[str, fn.array], name: str, bits: int) -> np.ndarray:
    words = np.asarray(loaded[f"{name}.weight"])
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    codes = (words[..., None] >> shifts & np.uint32(2**bits - 1)).reshape(*words.shape[:-1], -1, 32)
    scales, biases = (np.asarray(loaded[f"{name}.{part}"]).astype(np.float32) for part in ("scales", "biases"))
    return (codes * scales[..., None] + biases[..., None]).reshape(*words.shape[:-1], -1)


@pytest.mark.parametrize(("kind", "bits"), [("Q4_0", 4), ("Q4_1", 4), ("Q8_0", 8)])
def test_packed_types_stay_packed(tmp_path: Path, kind: str, bits: int) -> None:
    path = tmp_path / "x.gguf"
    x = np.random.default_rng(0).normal(size=(3, 5, 128)).astype(np.float32)
    write_packed(path, a_weight=(x, KIND[kind]), other=(x[0], KIND[kind]))
    loaded, metadata = fn.io.load(path, return_metadata=True)
    assert set(loaded) == {"a.weight", "a.scales", "a.biases", "other", "other.scales", "other.biases"}
    assert (loaded["a.weight"].dtype, loaded["a.weight"].shape) == (fn.uint32, (3, 5, 128 * bits // 32))
    assert (loaded["a.scales"].dtype, loaded["a.scales"].shape) == (fn.float16, (3, 5, 4))
    exact = gguf.quants.dequantize(gguf.quants.quantize(x, KIND[kind]), KIND[kind])
    # Biases of Q8_0 are -128 scales, which float16 holds; those of Q4_1 are stored.
    np.testing.assert_allclose(unpacked(loaded, "a", bits), exact, atol=1e-6)
    assert metadata["n"].item() == 7 and [x.tolist() for x in metadata["nested"]] == [[1, 2], [3]]


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_mlx_agrees(tmp_path: Path, kind: str) -> None:
    mx = pytest.importorskip("mlx.core")
    path = tmp_path / "x.gguf"
    x = np.random.default_rng(0).normal(size=(6, 96)).astype(np.float32)
    write_packed(path, False, a_weight=(x, KIND[kind]), b=(x, KIND.F16))
    ours, theirs = fn.io.load(path), mx.load(str(path))
    assert set(ours) == set(theirs)
    for name, y in theirs.items():
        np.testing.assert_array_equal(np.asarray(ours[name]), np.array(y), err_msg=name)


@pytest.mark.parametrize(("kind", "bits"), [("Q4_0", 4), ("Q4_1", 4), ("Q8_0", 8)])
@pytest.mark.parametrize("shape", [(32,), (3, 64), (2, 3, 96), (0, 32)], ids=str)
def test_packed_types_are_written_again(tmp_path: Path, kind: str, bits: int, shape: tuple[int, ...]) -> None:
    path, again = tmp_path / "x.gguf", tmp_path / "y.gguf"
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    write_packed(path, a_weight=(x, KIND[kind]), other=(x, KIND[kind]))
    loaded = fn.io.load(path)
    fn.io.save_gguf(again, {"first": fn.ones(3), **loaded, "scales": fn.ones(2)}, {"general.alignment": 8})
    made = {tensor.name: tensor for tensor in gguf.GGUFReader(again).tensors}
    assert set(made) == {"first", "a.weight", "other", "scales"}
    for y in gguf.GGUFReader(path).tensors:
        z = made[y.name]
        assert y.shape.tolist() == z.shape.tolist() and (y.tensor_type == z.tensor_type or 0 in shape)
        assert np.asarray(y.data).tobytes() == np.asarray(z.data).tobytes()
    read = fn.io.load(again)
    assert {name: y for name, y in read.items() if name in loaded}.keys() == loaded.keys()
    assert all(same(read[name], y) for name, y in loaded.items()) and read["scales"].size == 2


def test_a_quantised_layer_is_written(tmp_path: Path) -> None:
    w = fn.array(np.random.default_rng(2).normal(size=(5, 64)), fn.float16)
    weight, scales, biases = fn.quantize(w, group_size=32, bits=4)
    layer = {"weight": weight, "scales": scales, "biases": biases}
    fn.io.save(tmp_path / "x.gguf", {"out": layer})
    (tensor,) = gguf.GGUFReader(tmp_path / "x.gguf").tensors
    assert (tensor.name, tensor.tensor_type) == ("out.weight", KIND.Q4_1)
    exact = np.asarray(fn.dequantize(*(x.astype(fn.float32) if x is not weight else x for x in layer.values()), 32, 4))
    np.testing.assert_array_equal(gguf.quants.dequantize(np.asarray(tensor.data), KIND.Q4_1), exact)
    read = fn.io.load(tmp_path / "x.gguf", like={"out": layer})
    assert all(same(read["out"][name], x) for name, x in layer.items())
    # Numbers that float16 holds may be of another dtype.
    fn.io.save(tmp_path / "y.gguf", {"out": {**layer, "scales": scales.astype(fn.float32)}})
    assert same(fn.io.load(tmp_path / "y.gguf")["out.scales"], scales)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (
            {"group_size": 64, "bits": 4},
            {},
            "w.weight: packed types of GGUF files have groups of 32.* 16 words for 2 gr",
        ),
        ({"group_size": 32, "bits": 8}, {}, "or of 8 bits with biases of -128 scales; got 32 words for 4 groups"),
        ({"group_size": 32, "bits": 2}, {}, "packed types of GGUF files have groups of 32"),
        ({"group_size": 32, "bits": 4}, {"scales": fn.full((3, 4), 0.1)}, "scales of packed weights are float16"),
        (
            {"group_size": 32, "bits": 4},
            {"biases": fn.ones((3, 2), fn.float16)},
            r"shapes \(3, 16\), \(3, 4\) and \(3, 2\)",
        ),
        (
            {"group_size": 32, "bits": 4},
            {"biases": fn.ones(())},
            "a quantised weight has a scale and a bias for each group",
        ),
    ],
)
def test_what_no_packed_type_holds(tmp_path: Path, options: Any, change: Any, message: str) -> None:
    w = fn.array(np.random.default_rng(2).normal(size=(3, 128)), fn.float16)
    parts = dict(zip(("weight", "scales", "biases"), fn.quantize(w, **options), strict=True))
    with pytest.raises(ValueError, match=message):
        fn.io.save_gguf(tmp_path / "x.gguf", {"w": {**parts, **change}})
    assert not (tmp_path / "x.gguf").exists()


@pytest.mark.parametrize("kind", ["Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "TQ1_0"])
def test_other_types_become_float16(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.gguf"
    elements, size = gguf.constants.GGML_QUANT_SIZES[KIND[kind]]
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (3, 2 * size), dtype=np.uint8)
    exact = gguf.quants.dequantize(packed, KIND[kind])
    while not np.isfinite(exact).all() or np.abs(exact).max() > 60000:
        packed = rng.integers(0, 60, (3, 2 * size), dtype=np.uint8)
        exact = gguf.quants.dequantize(packed, KIND[kind])
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("a.weight", packed, raw_dtype=KIND[kind])
    writer.add_tensor("b.weight", packed[:0], raw_dtype=KIND[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    x, empty = fn.io.load(path).values()
    assert empty.dtype == fn.float16 and empty.shape == (0, 2 * elements)
    assert x.dtype == fn.float16 and x.shape == (3, 2 * elements)
    np.testing.assert_array_equal(np.asarray(x), exact.astype(np.float16))


def test_a_bias_beyond_float16_is_not_infinite(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    for kind in ("Q8_0", "Q4_0"):
        x = np.linspace(-9e5, 9e5, 64, dtype=np.float32).reshape(2, 32)
        x = x if kind == "Q8_0" else x / 2
        write_packed(path, a_weight=(x, KIND[kind]))
        (loaded,) = fn.io.load(path).values()
        exact = gguf.quants.dequantize(gguf.quants.quantize(x, KIND[kind]), KIND[kind])
        assert loaded.dtype == fn.float32
        np.testing.assert_allclose(loaded, exact, rtol=1e-6)


def minimal(**changes: Any) -> bytes:
    """A file of one tensor, x, of two numbers, and one entry of metadata."""
    parts: dict[str, Any] = {
        "magic": b"GGUF", "version": struct.pack("<I", 3), "tensors": struct.pack("<Q", 1),
        "entries": struct.pack("<Q", 1), "key": struct.pack("<Q", 1) + b"k", "value": struct.pack("<II", 4, 7),
        "name": struct.pack("<Q", 1) + b"x", "axes": struct.pack("<IQ", 1, 2), "kind": struct.pack("<I", 0),
        "offset": struct.pack("<Q", 0), **changes,
    }  # fmt: skip
    header = b"".join(parts.values())
    return header + bytes(-len(header) % 32) + struct.pack("<2f", 1, 2) + bytes(24)


LONG = struct.pack("<Q", 2**63)
MALFORMED = {
    "magic": (minimal(magic=b"GGML"), "begins with b'GGML'"),
    "version 1": (minimal(version=struct.pack("<I", 1)), "version is 1"),
    "big-endian": (minimal(version=struct.pack(">I", 3)), "big-endian"),
    "many tensors": (minimal(tensors=LONG), "too short for"),
    "many entries": (minimal(entries=LONG), "too short for"),
    "long key": (minimal(key=LONG + b"k"), "ends within"),
    "no text": (minimal(key=struct.pack("<Q", 1) + b"\xff"), "no UTF-8"),
    "unknown value": (minimal(value=struct.pack("<II", 13, 7)), "type 13"),
    "long list": (minimal(value=struct.pack("<IIQ", 9, 4, 2**62)), "ends before"),
    "long texts": (minimal(value=struct.pack("<IIQ", 9, 8, 2**40)), "ends before"),
    "nested lists": (minimal(value=struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 60), "nested too deeply"),
    "many axes": (minimal(axes=struct.pack("<I", 2**31)), "axes"),
    "large axis": (minimal(axes=struct.pack("<IQ", 1, 2**62)), "beyond the end"),
    "overflow": (minimal(axes=struct.pack("<I4Q", 4, 2**32, 2**32, 2**32, 2**32)), "beyond the end"),
    "empty and huge": (minimal(axes=struct.pack("<I2Q", 2, 2**63, 0)), "'x'"),
    "unknown type": (minimal(kind=struct.pack("<I", 999)), "type 999, which is not known"),
    "part of a block": (minimal(kind=struct.pack("<I", 8)), "no multiple of 32"),
    "beyond": (minimal(offset=struct.pack("<Q", 64)), "beyond the end"),
    "overlap": (
        minimal(
            tensors=struct.pack("<Q", 2), more=struct.pack("<Q", 1) + b"y" + struct.pack("<IQIQ", 1, 1, 0, 4)
        ),
        "'x' and 'y' overlap",
    ),
    "far beyond": (minimal(offset=LONG), "beyond the end"),
    "alignment": (
        minimal(key=struct.pack("<Q", 17) + b"general.alignment", value=struct.pack("<II", 4, 24)), "no power of two"
    ),
    "text for alignment": (
        minimal(key=struct.pack("<Q", 17) + b"general.alignment", value=struct.pack("<IQ", 8, 1) + b"8"),
        "general.alignment",
    ),
}  # fmt: skip


def test_minimal(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(minimal())
    loaded, metadata = fn.io.load(path, return_metadata=True)
    assert loaded["x"].tolist() == [1, 2] and metadata["k"].item() == 7


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(tmp_path: Path, case: str) -> None:
    content, message = MALFORMED[case]
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        fn.io.load(path)
    assert str(path) in str(raised.value)


def test_two_tensors_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    entry = struct.pack("<Q", 1) + b"x" + struct.pack("<IQIQ", 1, 2, 0, 0)
    path.write_bytes(minimal(tensors=struct.pack("<Q", 2), name=entry + struct.pack("<Q", 1) + b"x"))
    with pytest.raises(ValueError, match="two tensors are called 'x'"):
        fn.io.load(path)
    write_packed(path, a_weight=(np.ones((1, 32), np.float32), KIND.Q8_0), a_scales=(np.ones(3, np.float32), KIND.F32))
    with pytest.raises(ValueError, match=r"two tensors are called 'a\.scales'"):
        fn.io.load(path)


@given(st.data())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_load_or_raise_value_errors(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.gguf"
    if not path.exists():
        rng = np.random.default_rng(0)
        kinds = (KIND.Q4_0, KIND.Q8_0, KIND.Q4_1, KIND.F32, KIND.Q5_0)
        write_packed(path, **{f"t{i}": (rng.normal(size=(2, 32)).astype(np.float32), k) for i, k in enumerate(kinds)})
        (tmp_path / "whole").write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "whole").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    try:
        loaded, _ = fn.io.load(path, return_metadata=True)
        fn.eval(loaded)
    except ValueError as error:
        assert "is not a valid GGUF file" in str(error)


@pytest.mark.parametrize(
    ("arrays", "metadata", "exception", "message"),
    [
        ({"x": fn.ones(2).astype(fn.uint32)}, {}, ValueError, "x: a GGUF file holds float32.*got uint32"),
        ({"x": fn.zeros(2, fn.complex64)}, {}, ValueError, "got complex64"),
        ({"x": fn.ones((1, 1, 1, 1, 1))}, {}, ValueError, "at most 4 axes"),
        ({"x" * 65: fn.ones(1)}, {}, ValueError, "64 bytes"),
        ({"x": fn.ones(1)}, {"k": fn.ones((2, 2))}, TypeError, r"metadata 'k' must be .* shape \(2, 2\)"),
        ({"x": fn.ones(1)}, {"k": fn.ones(2, fn.complex64)}, TypeError, "metadata 'k' must be"),
        ({"x": fn.ones(1)}, {"k": ["a", 1]}, TypeError, "metadata 'k'"),
        ({"x": fn.ones(1)}, {1: "a"}, TypeError, "names of metadata are strings"),
        ({"x": fn.ones(1)}, {"general.alignment": 24}, ValueError, "power of two"),
        ({"x": fn.ones(1)}, {"general.alignment": "8"}, ValueError, "power of two"),
        ({"x": fn.ones(1)}, {"k": "\ud800"}, ValueError, "no valid Unicode"),
    ],
)
def test_refused(tmp_path: Path, arrays: Any, metadata: Any, exception: type[BaseException], message: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"before")
    with pytest.raises(exception, match=message):
        fn.io.save_gguf(path, arrays, metadata)
    assert path.read_bytes() == b"before"


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = tmp_path / "x.gguf"
    write_packed(path, a_weight=(np.ones((1, 256), np.float32), KIND.TQ1_0))
    for name in [name for name in sys.modules if name.split(".")[0] == "gguf"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match="pip install gguf"):
        fn.io.load(path)
