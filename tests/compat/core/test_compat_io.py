"""Files: what is written on one library is read by the other. Runs on either; see `tests.compat.library`."""

import io
import os
import pathlib

import numpy as np
import pytest
from tests.compat.library import mx

DTYPES = [
    "bool_",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "complex64",
]


def arrays():
    return {
        "x": mx.arange(6).reshape(2, 3).astype(mx.float32),
        "nested.name": mx.array([1, 2, 3]),
        "h": mx.array([0.5, -1.0]).astype(mx.float16),
        "b": mx.array([0.5, -1.0]).astype(mx.bfloat16),
        "s": mx.array(1.5),
        "t": mx.arange(6).reshape(2, 3).T,
    }


def equal(a, b):
    return type(a) is mx.array and a.dtype == b.dtype and a.shape == b.shape and mx.array_equal(a, b).item()


def all_equal(a, b):
    return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)


class TestNpy:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_round_trip(self, tmp_path, dtype):
        x = mx.array([[0, 1, 2], [3, 4, 5]]).astype(getattr(mx, dtype))
        mx.save(str(tmp_path / "x"), x)
        assert equal(mx.load(str(tmp_path / "x.npy")), x)
        assert np.array_equal(np.load(tmp_path / "x.npy"), np.array(x))

    def test_from_numpy(self, tmp_path):
        np.save(tmp_path / "x.npy", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)))
        assert mx.load(tmp_path / "x.npy").tolist() == [[0, 1, 2], [3, 4, 5]]

    def test_bfloat16(self, tmp_path):
        mx.save(tmp_path / "x.npy", arrays()["b"])
        assert equal(mx.load(tmp_path / "x.npy"), arrays()["b"])

    def test_what_is_loaded_can_be_changed(self, tmp_path):
        mx.save(tmp_path / "x.npy", mx.array([1.0, 2.0]))
        x = mx.load(tmp_path / "x.npy")
        x[0] = 5
        assert x.tolist() == [5.0, 2.0]
        assert mx.load(tmp_path / "x.npy").tolist() == [1.0, 2.0]


class TestNpz:
    def test_names(self, tmp_path):
        mx.savez(str(tmp_path / "a"), mx.array([1]), mx.array([2]), path=mx.array([3]), function=mx.array([4]))
        loaded = mx.load(str(tmp_path / "a.npz"))
        assert {name: x.item() for name, x in loaded.items()} == {"arr_0": 1, "arr_1": 2, "path": 3, "function": 4}
        assert type(loaded) is dict

    @pytest.mark.parametrize("save", ["savez", "savez_compressed"])
    def test_round_trip(self, tmp_path, save):
        getattr(mx, save)(tmp_path / "a.npz", **arrays())
        assert all_equal(mx.load(tmp_path / "a.npz"), arrays())

    def test_a_name_given_twice(self, tmp_path):
        with pytest.raises(ValueError):
            mx.savez(tmp_path / "a.npz", mx.array([1]), arr_0=mx.array([2]))

    @pytest.mark.parametrize("value", [3, {"a": 1}, np.ones(2), [1, 2]])
    def test_what_is_no_array(self, tmp_path, value):
        with pytest.raises(RuntimeError):
            mx.savez(tmp_path / "a.npz", x=value)
        assert not (tmp_path / "a.npz").exists() or os.environ.get("FUNCNN_COMPAT_LIBRARY") == "mlx"


class TestSafetensors:
    def test_round_trip(self, tmp_path):
        mx.save_safetensors(str(tmp_path / "a"), arrays(), metadata={"format": "mlx"})
        loaded, metadata = mx.load(str(tmp_path / "a.safetensors"), return_metadata=True)
        assert {name: equal(loaded[name], x) for name, x in arrays().items()} == dict.fromkeys(arrays(), True)
        assert metadata == {"format": "mlx"}

    def test_without_metadata(self, tmp_path):
        mx.save_safetensors(tmp_path / "a.safetensors", {"x": mx.array([1])})
        assert mx.load(tmp_path / "a.safetensors", return_metadata=True)[1] == {}

    def test_no_arrays(self, tmp_path):
        mx.save_safetensors(tmp_path / "a.safetensors", {})
        assert mx.load(tmp_path / "a.safetensors") == {}

    def test_refusals(self, tmp_path):
        file = str(tmp_path / "a.safetensors")
        with pytest.raises(TypeError):
            mx.save_safetensors(file, [mx.array([1])])
        with pytest.raises(RuntimeError):
            mx.save_safetensors(file, {"x": {"y": mx.array([1])}})
        with pytest.raises(ValueError):
            mx.save_safetensors(file, {"x": mx.array([1])}, metadata={"epoch": 1})


class TestGguf:
    def test_round_trip(self, tmp_path):
        kept = {name: x for name, x in arrays().items() if name in ("x", "h", "nested.name")}
        metadata = {"text": "value", "number": mx.array(3), "many": mx.array([1.0, 2.0]), "list": ["a", "b"]}
        mx.save_gguf(str(tmp_path / "a"), kept, metadata)
        loaded, found = mx.load(str(tmp_path / "a.gguf"), return_metadata=True)
        assert {name: equal(loaded[name], x) for name, x in kept.items()} == dict.fromkeys(kept, True)
        assert found["text"] == "value"
        assert found["number"].item() == 3
        assert found["many"].tolist() == [1.0, 2.0]
        assert found["list"] == ["a", "b"]

    def test_open_files_are_refused(self, tmp_path):
        mx.save_gguf(tmp_path / "a.gguf", {"x": mx.ones((2,))})
        with open(tmp_path / "a.gguf", "rb") as file, pytest.raises(ValueError):
            mx.load(file)
        with pytest.raises(ValueError):
            mx.save_gguf(io.BytesIO(), {"x": mx.ones((2,))})


class TestOpenFiles:
    def test_in_memory(self):
        for save, given, format in (
            (mx.save, (mx.array([1.0, 2.0]),), "npy"),
            (mx.save_safetensors, ({"x": mx.array([1.0, 2.0])},), "safetensors"),
        ):
            file = io.BytesIO()
            save(file, *given)
            file.seek(0)
            loaded = mx.load(file, format)
            assert (loaded if format == "npy" else loaded["x"]).tolist() == [1.0, 2.0]
        file = io.BytesIO()
        mx.savez(file, x=mx.array([1]))
        file.seek(0)
        assert mx.load(file, format="npz")["x"].tolist() == [1]

    def test_the_name_tells_the_format(self, tmp_path):
        mx.save_safetensors(tmp_path / "a.safetensors", {"x": mx.array([1.0])})
        with open(tmp_path / "a.safetensors", "rb") as file:
            assert mx.load(file)["x"].tolist() == [1.0]
        with pytest.raises(AttributeError):
            mx.load(io.BytesIO(b""))


class TestRefusals:
    def test_no_such_file(self, tmp_path):
        for suffix, error in (
            ("npy", RuntimeError),
            ("safetensors", RuntimeError),
            ("npz", ValueError),
            ("gguf", ValueError),
        ):
            with pytest.raises(error):
                mx.load(str(tmp_path / f"none.{suffix}"))

    @pytest.mark.parametrize("contents", [b"", b"nonsense" * 4])
    def test_malformed(self, tmp_path, contents):
        for suffix, error in (("npy", RuntimeError), ("safetensors", RuntimeError), ("npz", ValueError)):
            (tmp_path / f"x.{suffix}").write_bytes(contents)
            with pytest.raises(error):
                mx.load(tmp_path / f"x.{suffix}")
            with open(tmp_path / f"x.{suffix}", "rb") as file, pytest.raises(error):
                mx.load(file)

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(RuntimeError):
            mx.save(str(tmp_path / "none" / "x.npy"), mx.array([1]))
        with pytest.raises(RuntimeError):
            mx.save_safetensors(str(tmp_path / "none" / "x.safetensors"), {"x": mx.array([1])})
        with pytest.raises(FileNotFoundError):
            mx.savez(str(tmp_path / "none" / "x.npz"), x=mx.array([1]))

    @pytest.mark.parametrize("file", ["x", "x.xyz", 3, b"x.npy"])
    def test_names(self, file):
        with pytest.raises(ValueError):
            mx.load(file)

    def test_nothing(self):
        with pytest.raises(TypeError):
            mx.load(None)
        with pytest.raises(TypeError):
            mx.save(None, mx.array([1]))

    @pytest.mark.parametrize("file", [3, b"x.npy"])
    def test_where_to_save(self, file):
        with pytest.raises(ValueError):
            mx.save(file, mx.array([1]))

    def test_format(self, tmp_path):
        mx.save_safetensors(tmp_path / "a.safetensors", {"x": mx.array([1.0])})
        assert mx.load(tmp_path / "a.safetensors", "safetensors")["x"].item() == 1
        for format in ("npz", "x"):
            with pytest.raises(ValueError):
                mx.load(tmp_path / "a.safetensors", format=format)

    def test_metadata_of_a_format_without(self, tmp_path):
        mx.savez(tmp_path / "a.npz", x=mx.array([1]))
        mx.save(tmp_path / "a.npy", mx.array([1]))
        for name in ("a.npz", "a.npy"):
            with pytest.raises(ValueError):
                mx.load(tmp_path / name, return_metadata=True)

    def test_what_is_no_array(self, tmp_path):
        for value in (3, [1, 2], np.ones(2)):
            with pytest.raises(TypeError):
                mx.save(tmp_path / "x.npy", value)


class TestBothLibraries:
    """Files of each are read by the other."""

    def test_interchange(self, tmp_path):
        mlx = pytest.importorskip("mlx.core")
        import funcnn.compat.core as ours

        for one, other in ((mlx, ours), (ours, mlx)):
            made = {
                name: one.array(value).astype(getattr(one, dtype))
                for name, value, dtype in (
                    ("x", [[1.5, -2.0], [0.25, 4.0]], "float32"),
                    ("h", [1.5, -2.0], "float16"),
                    ("b", [1.5, -2.0], "bfloat16"),
                    ("i", [1, -2], "int32"),
                    ("j", [1, -2], "int8"),
                )
            }
            folder = pathlib.Path(tmp_path) / one.__name__
            folder.mkdir()
            one.savez(str(folder / "a.npz"), **made)
            one.savez_compressed(str(folder / "c.npz"), **made)
            one.save_safetensors(str(folder / "a.safetensors"), made, {"k": "v"})
            kept = {name: x for name, x in made.items() if name != "b"}  # GGUF has it, MLX does not write it
            one.save_gguf(str(folder / "a.gguf"), kept, {"k": "v", "n": one.array([1, 2])})
            for name, x in made.items():
                one.save(str(folder / f"{name}.npy"), x)
            for file in ("a.npz", "c.npz", "a.safetensors", "a.gguf"):
                read, wanted = other.load(str(folder / file)), one.load(str(folder / file))
                assert read.keys() == wanted.keys(), file
                for name, x in wanted.items():
                    assert str(read[name].dtype).endswith(str(x.dtype).rpartition(".")[2]), (file, name)
                    assert read[name].tolist() == x.tolist(), (file, name)
            for name, x in made.items():
                assert other.load(str(folder / f"{name}.npy")).tolist() == x.tolist()
            for file in ("a.safetensors", "a.gguf"):
                assert other.load(str(folder / file), return_metadata=True)[1]["k"] == "v"
            assert other.load(str(folder / "a.gguf"), return_metadata=True)[1]["n"].tolist() == [1, 2]


@pytest.mark.parametrize("format", ["npy", "safetensors", "gguf"])
def test_what_is_loaded_outlives_what_is_written_into_its_file(tmp_path, format):
    path = str(tmp_path / f"x.{format}")
    values = np.arange(10_000, dtype=np.float32)
    save = {"npy": mx.save, "safetensors": mx.save_safetensors, "gguf": mx.save_gguf}[format]
    save(path, mx.array(values) if format == "npy" else {"x": mx.array(values)}, *[{}] * (format == "gguf"))
    x = mx.load(path) if format == "npy" else mx.load(path)["x"]
    mx.eval(x)
    os.truncate(path, 0)
    assert np.array_equal(np.array(x), values)
