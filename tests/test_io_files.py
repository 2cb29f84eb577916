"""What saving does to files that are there, what it refuses, and damaged files against the reference implementations."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn

SUFFIXES = [".safetensors", ".npz"]
posix = pytest.mark.skipif(os.name != "posix", reason="permissions and locks of POSIX")


def write_safetensors(path: Path, header: object, data: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_npz(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)


def npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


# ---- files that are there


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_overwriting_keeps_the_mode(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    umask = os.umask(0o027)
    try:
        fn.io.save(path, {"x": fn.ones(1)})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o664, 0o444):
            path.chmod(mode)
            fn.io.save(path, {"x": fn.zeros(2)})
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(umask)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_overwriting_keeps_the_owners(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    fn.io.save(path, {"x": fn.ones(1)})
    os.chown(path, 12345, 23456)
    fn.io.save(path, {"x": fn.ones(1)})
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@posix
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.npz").symlink_to(tmp_path / "folder" / "y.npz")
    fn.io.save(tmp_path / "x.npz", {"x": fn.ones(1)})
    assert (tmp_path / "x.npz").is_symlink()
    assert os.listdir(tmp_path / "folder") == ["y.npz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("letter", ["a", "ä"])
def test_the_longest_names(tmp_path: Path, suffix: str, letter: str) -> None:
    path = tmp_path / (letter * ((255 - len(suffix)) // len(letter.encode())) + suffix)
    for _ in range(2):
        fn.io.save(path, {"x": fn.ones(1)})
    assert fn.io.load(path)["x"].tolist() == [1.0]
    assert os.listdir(tmp_path) == [path.name]


CHILD = """
import os, signal, sys, time
import funcnn as fn
def stop(*_):
    {what}
fn.io.os.replace, replace = stop, os.replace
fn.io.save(sys.argv[1], {{"x": fn.ones(3)}})
"""


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_leftovers_of_killed_saves_are_removed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    killed = CHILD.format(what="os.kill(os.getpid(), signal.SIGKILL)")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", killed, path], check=False)
    assert len(os.listdir(tmp_path)) == 1  # the second removed what the first left
    fn.io.save(tmp_path / "other.npz", {"x": fn.ones(1)})
    assert os.listdir(tmp_path) == ["other.npz"]


@posix
def test_a_save_under_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    slow = CHILD.format(what='print("here", flush=True); sys.stdin.readline(); replace(*_)')
    with subprocess.Popen(
        [sys.executable, "-c", slow, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "here\n"
        fn.io.save(path, {"x": fn.zeros(1)})
        child.communicate("\n")
    assert child.returncode == 0
    assert fn.io.load(path)["x"].tolist() == [1.0] * 3
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saving_and_loading_at_once(tmp_path: Path, suffix: str) -> None:
    """A file is one save's as a whole: never the header of one with the data of another."""
    path = tmp_path / f"x{suffix}"
    fn.io.save(path, {"x": fn.zeros(1)})
    wrong: list[object] = []

    def save(n: int) -> None:
        for _ in range(20):
            fn.io.save(path, {"x": fn.full(n, float(n)), "y": fn.zeros(n)})

    def load() -> None:
        for _ in range(60):
            x = fn.io.load(path)["x"].tolist()
            if x != [0.0] and x != [float(len(x))] * len(x):
                wrong.append(x)

    threads = [threading.Thread(target=save, args=(n,)) for n in (2, 3)] + [threading.Thread(target=load)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert os.listdir(tmp_path) == [path.name]


def test_a_save_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fn.io.save(tmp_path / "missing" / "x.npz", {"x": fn.ones(1)})
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError):
        fn.io.save(tmp_path / "folder.npz", {"x": fn.ones(1)})
    assert os.listdir(tmp_path) == ["folder.npz"]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".gguf"])
def test_a_disk_that_is_full_is_told_by_its_number(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError) as error:
            fn.io.save(tmp_path / f"x{suffix}", {"x": fn.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.errno == errno.EFBIG and not os.listdir(tmp_path)


# ---- what is not saved

REFUSED = {
    "metadata as a name": (".safetensors", {"__metadata__": 1.0}, ValueError, "'__metadata__'.*keeps its metadata"),
    "NUL": (".npz", {"a\0b": 1.0}, ValueError, r"'a\\x00b'.*NUL"),
    "long name": (".npz", {"a" * 70_000: 1.0}, ValueError, "too long"),
    "surrogate": (".safetensors", {"a\ud800": 1.0}, ValueError, r"'a\\ud800'.*surrogates"),
    "surrogate in npz": (".npz", {"a\ud800": 1.0}, ValueError, r"'a\\ud800'.*surrogates"),
    "complex128": (
        ".npz",
        {"a": {"b": np.array([1e300 + 0j])}},
        ValueError,
        r"a\.b: a number of complex128.*complex64",
    ),
    "wide float": (".safetensors", {"a": {"b": 1e300}}, ValueError, r"a\.b: a number of float64.*float32"),
    "mask": (".npz", {"a": np.ma.array([1.0, 2.0], mask=[0, 1])}, TypeError, r"a: .*mask.*filled"),
    "large int": (".safetensors", {"a": 2**70}, ValueError, r"a: the integer 1180591620717411303424 does not fit"),
    "dates": (".npz", {"a": {"b": np.datetime64("2020-01-01")}}, TypeError, r"a\.b: expected an array, .*datetime64"),
    "objects": (".npz", {"a": np.array([{}, 1], object)}, TypeError, "a: expected an array, got ndarray.*object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    suffix, values, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        fn.io.save(tmp_path / f"x{suffix}", values)
    assert os.listdir(tmp_path) == []


def test_what_is_within_range_is_saved(tmp_path: Path) -> None:
    values = {"a": np.array([1e38 + 1j, np.inf, np.nan]), "b": np.inf, "c": np.array([1e300]), "__metadata__": 2**62}
    fn.io.save(tmp_path / "x.npz", values)
    loaded = fn.io.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(loaded["a"], values["a"].astype(np.complex64))
    assert (loaded["b"].item(), loaded["c"].item(), loaded["__metadata__"].item()) == (np.inf, 1e300, 2**62)


def test_names_of_files(tmp_path: Path) -> None:
    fn.io.save(os.fsencode(tmp_path / "x.npz"), {"x": fn.ones(1)})
    assert fn.io.load(os.fsencode(tmp_path / "x.npz"))["x"].tolist() == [1.0]
    for wrong in (None, 3, io.BytesIO()):
        for call in (lambda path: fn.io.save(path, {}), fn.io.load, fn.io.load_metadata):
            with pytest.raises(TypeError, match="path must be the name of a file, .* got a"):
                call(wrong)
    for wrong, message in (("x.txt", "ends in .safetensors, .npz, .npy or .gguf, got 'x.txt'"), ("\0.npz", "NUL")):
        with pytest.raises(ValueError, match=f"save: .*{message}"):
            fn.io.save(wrong, {})


def test_traced_arrays_are_not_saved(tmp_path: Path) -> None:
    save = fn.compile(lambda x: fn.io.save(tmp_path / "x.npz", {"a": x}))
    with pytest.raises(fn.TracedValueError, match="save: a: a traced array.*return it from the function"):
        save(fn.ones(1))
    fn.grad(lambda x: (fn.io.save(tmp_path / "x.npz", {"a": x}), x.sum())[1])(fn.ones(1))
    assert fn.io.load(tmp_path / "x.npz")["a"].tolist() == [1.0]


def test_likes_are_arrays(tmp_path: Path) -> None:
    fn.io.save(tmp_path / "x.npz", {"a": fn.ones(1)})
    with pytest.raises(TypeError, match="load: like at a: expected an array, got str"):
        fn.io.load(tmp_path / "x.npz", like={"a": "text"})


def test_metadata_is_text(tmp_path: Path) -> None:
    for wrong in ("text", ["a"], {"a": 1}):
        with pytest.raises(TypeError, match="save: metadata maps strings to strings"):
            fn.io.save(tmp_path / "x.safetensors", {"x": fn.ones(1)}, metadata=wrong)
    with pytest.raises(ValueError, match="surrogates"):
        fn.io.save(tmp_path / "x.safetensors", {"x": fn.ones(1)}, metadata={"a": "\ud800"})


def test_arrays_with_a_mask_are_refused_everywhere() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[0, 1])
    for make in (fn.array, fn.asarray, fn.ones(2).__add__):
        with pytest.raises(TypeError, match="mask"):
            make(masked)
    assert fn.array(masked.filled(0)).tolist() == [1.0, 0.0]


# ---- safetensors that others write


def entry(dtype: str = "F32", shape: tuple[int, ...] = (1,), offsets: tuple[int, int] = (0, 4), **more: object) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def test_entries_with_more_keys_and_no_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"__metadata__": None, "x": entry(note={"a": [1]})}, np.float32(2.5).tobytes())
    assert fn.io.load(path)["x"].tolist() == [2.5]
    assert fn.io.load_metadata(path) == {}


@pytest.mark.parametrize("code", ["F8_E4M3", "F8_E5M2", "F8_E8M0"])
def test_float8_is_loaded_as_bytes(tmp_path: Path, code: str) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"w": entry(code, (2, 2)), "s": entry(offsets=(4, 8))}, b"\x38\xb8\x00\x7e" + b"\0\0\x80?")
    with pytest.warns(UserWarning, match=rf"loaded as uint8: 'w' \({code}\)$") as warned:
        loaded = fn.io.load(path)
    assert warned[0].filename == __file__
    assert loaded["w"].dtype == fn.uint8
    assert loaded["w"].tolist() == [[0x38, 0xB8], [0, 0x7E]]
    assert loaded["s"].tolist() == [1.0]


def test_what_has_no_dtype_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"w": entry("F4", (8,))}, b"1234")
    with pytest.raises(ValueError, match=r"x\.safetensors: 'w' has the dtype F4"):
        fn.io.load(path)


def test_unaligned_and_empty_tensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    x = np.arange(3, dtype=np.float64)
    header = {"b": entry("U8", (1,), (0, 1)), "e": entry("F32", (0, 2), (1, 1)), "x": entry("F64", (3,), (1, 25))}
    write_safetensors(path, json.dumps(header).encode() + b" ", b"\7" + x.tobytes())
    loaded = fn.io.load(path)
    assert (loaded["b"].tolist(), loaded["e"].shape, loaded["x"].tolist()) == ([7], (0, 2), [0, 1, 2])
    assert (loaded["x"] * 2).tolist() == [0, 2, 4]
    write_safetensors(path, {"x": entry("F32", (2**62, 0), (0, 0))})
    with pytest.raises(ValueError, match="'x'.*too large"):
        fn.io.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bools_are_normalised(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    stored = np.frombuffer(b"\x02\x01\x00\xff", np.bool_)
    if suffix == ".npz":
        write_npz(path, ("x.npy", npy(stored)), ("y.npy", npy(stored[0])))
    else:
        header = {"x": entry("BOOL", (4,)), "y": entry("BOOL", (), (4, 5))}
        write_safetensors(path, header, stored.tobytes() + b"\x02")
    loaded = fn.io.load(path)
    assert bytes(memoryview(loaded["x"]).cast("B")) == b"\1\1\0\1"
    assert (loaded["x"] == fn.array([True, True, False, True])).all().item()
    assert (loaded["y"] == fn.array(True)).item()
    assert loaded["x"].sum().item() == 3


# ---- damage

CODES = {"BOOL": 1, "U8": 1, "I16": 2, "BF16": 2, "F32": 4, "I64": 8, "C64": 8, "F8_E4M3": 1, "F4": 0.5, "F99": 4}


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A header and its data, mostly consistent."""
    entries: list[tuple[str, object]] = []
    end = 0
    odd = st.sampled_from([None, -1, 1.5, True, 2**63, 2**70, "1", [], {}])
    for name in draw(st.lists(st.sampled_from(["a", "b", "c", "", "é", "a.b"]), max_size=4)):
        code = draw(st.sampled_from(sorted(CODES)))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        begin, end = end, end + int(CODES[code] * np.prod(shape, dtype=np.int64))
        made: dict[str, object] = {"dtype": code, "shape": shape, "data_offsets": [begin, end]}
        if draw(st.integers(0, 5)) == 0:
            key = draw(st.sampled_from([*made, "extra"]))
            made[key] = draw(st.one_of(odd, st.lists(st.integers(-1, 9), max_size=3)))
        if draw(st.integers(0, 9)) == 0:
            del made[draw(st.sampled_from(sorted(made)))]
        entries.append((name, made))
    if draw(st.integers(0, 3)) == 0:
        entries.append(("__metadata__", draw(st.sampled_from([None, {}, {"k": "v"}, {"k": 1}, [], 3]))))
    entries = draw(st.permutations(entries))
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in entries) + "}"
    data = bytes(draw(st.lists(st.integers(0, 255), min_size=end, max_size=end)))
    data += b"\0" * draw(st.sampled_from([0, 0, 0, 0, 1]))
    return text.encode() + b" " * draw(st.integers(0, 3)), data


def damage(data: st.DataObject, content: bytearray) -> None:
    if data.draw(st.integers(0, 3)) == 0:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 3]))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))


def twice(content: bytes) -> bool:
    """Whether an object in the header has a key twice."""
    found = []
    length = int.from_bytes(content[:8], "little")
    json.loads(content[8 : 8 + length], object_pairs_hook=lambda pairs: found.append(len(dict(pairs)) < len(pairs)))
    return any(found)


@given(headers(), st.data())
def test_safetensors_are_accepted_as_the_package_does(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[bytes, bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    header, body = made
    content = bytearray(struct.pack("<Q", len(header)) + header + body)
    damage(data, content)
    path.write_bytes(content)
    try:
        loaded = fn.io.load(path)
    except ValueError as error:
        loaded = None
        assert str(path) in str(error)
    try:
        reference = dict(safetensors.deserialize(bytes(content)))
    except safetensors.SafetensorError:
        reference = None
    if loaded is not None:
        assert reference is not None and set(loaded) == set(reference)
        for name, x in loaded.items():
            assert x.shape == tuple(reference[name]["shape"])
            if x.dtype != fn.bool_:
                assert bytes(fn.io._trees.raw(x)) == bytes(reference[name]["data"])
    elif reference is not None:  # stricter in two points
        assert twice(bytes(content)) or any(tensor["dtype"] == "F4" for tensor in reference.values())


@given(st.data())
def test_damaged_npz_load_as_numpy_does_or_raise_value_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    save = np.savez_compressed if data.draw(st.booleans()) else np.savez
    save(path, a=np.arange(6.0).reshape(2, 3), b=np.asfortranarray(np.eye(3, dtype=">i2")), c=np.zeros((0, 2)))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):  # where the headers of npy stand
        at = content.find(b"{'descr'")
        if at >= 0:
            content[at + data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    damage(data, content)
    path.write_bytes(content)
    try:
        loaded = fn.io.load(path)
    except ValueError as error:
        assert str(path) in str(error)
        return
    with np.load(path) as reference:
        assert set(loaded) == set(reference.files)
        for name in loaded:
            np.testing.assert_array_equal(loaded[name], reference[name])


# ---- npz that others write


def header_only(header: str, content: bytes = b"") -> bytes:
    text = header.encode()
    text += b" " * (64 - (10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


BAD_MEMBERS = {
    "negative shape": (header_only("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}", b"1234"), "negative"),
    "records": (npy(np.zeros(2, [("a", "u1"), ("b", "u1")])), "not supported"),
    "nested dtype": (
        header_only("{'descr': [('a', '<f4', (2,))], 'fortran_order': False, 'shape': (1,)}", b"12345678"),
        "not supported",
    ),
    "complex128": (npy(np.zeros(2, complex)), "complex128 is not supported"),
    "version 3": (b"\x93NUMPY\x03\x00" + npy(np.zeros(1))[8:], "version"),
    "deep header": (header_only("(" * 9000), "'x'"),
    "huge empty": (header_only(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**62}, 0)}}"), "'x'"),
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_bad_members(tmp_path: Path, case: str) -> None:
    content, message = BAD_MEMBERS[case]
    write_npz(tmp_path / "x.npz", ("x.npy", content))
    with pytest.raises(ValueError, match=rf"x\.npz.*{message}"):
        fn.io.load(tmp_path / "x.npz")


def test_an_archive_behind_something_else_is_refused_as_numpy_does(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(3))
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with pytest.raises(ValueError, match=r"x\.npz.*does not begin"):
        fn.io.load(path)
    with pytest.raises(ValueError, match="pickled"):
        np.load(path)
    np.savez(path)
    assert fn.io.load(path) == {}


def test_other_compression_methods_are_refused(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        write_npz(tmp_path / "x.npz", ("x.npy", npy(np.zeros(100))), method=method)
        with pytest.raises(ValueError, match="'x': the compression method"):
            fn.io.load(tmp_path / "x.npz")


def test_inflation_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros(1 << 20))
    assert fn.io.load(path)["x"].size == 1 << 20
    monkeypatch.setattr(fn.io._numpy, "_MOST_INFLATED", 1 << 20)
    with pytest.raises(ValueError, match=r"x\.npz.*more than 100 times.*numpy\.load"):
        fn.io.load(path)


def test_a_member_does_not_inflate_beyond_what_it_says(tmp_path: Path) -> None:
    """A member that claims to be small is not inflated as a whole to find out."""
    path = tmp_path / "x.npz"
    bomb = header_only("{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}", bytes(1 << 26))
    write_npz(path, ("x.npy", bomb), method=zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 128 + 4)))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"x\.npz"):
        fn.io.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 22
