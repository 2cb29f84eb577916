"""The buffer protocol, DLPack and __array__, both ways; NumPy on either side."""

from __future__ import annotations

import array as arrays
import ctypes
import gc

import numpy as np
import pytest

import funcnn as fn

pytestmark = pytest.mark.on_cpu

BUFFERED = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
]


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


class Legacy:
    """Exports without a version, whose capsules cannot say that memory is read-only."""

    def __init__(self, x: fn.array) -> None:
        self.x = x

    def __dlpack__(self, **_: object) -> object:
        return self.x.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class Buffer(ctypes.Structure):
    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("rest", ctypes.c_byte * 72),
    )


def as_fortran(x: fn.array) -> np.ndarray:
    """What a reader of column-major memory sees."""
    view = Buffer()
    if ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(x), ctypes.byref(view), 0x58):  # PyBUF_F_CONTIGUOUS
        raise AssertionError("an error was not raised")
    content = ctypes.string_at(view.buf, view.len)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return np.frombuffer(content, str(x.dtype)).reshape(x.shape, order="F")


class TestOut:
    @pytest.mark.parametrize("dtype", BUFFERED)
    def test_numpy_sees_the_same_memory(self, dtype: str) -> None:
        x = fn.asarray(np.array([[0, 1, 2], [3, 4, 5]], dtype), copy=True)
        a = np.asarray(x)
        assert (a.dtype, a.shape) == (np.dtype(dtype), (2, 3))
        assert address(a) == address(np.asarray(x)) == address(np.from_dlpack(x))
        assert not a.flags.writeable
        assert not np.from_dlpack(x).flags.writeable
        np.testing.assert_array_equal(a, [[0, 1, 2], [3, 4, 5]] if dtype != "bool" else [[0, 1, 1], [1, 1, 1]])

    def test_views_keep_their_strides(self) -> None:
        x = fn.array(np.arange(6, dtype=np.int32).reshape(2, 3))
        assert np.asarray(x.T).strides == (4, 12)
        np.testing.assert_array_equal(np.from_dlpack(x.T), [[0, 3], [1, 4], [2, 5]])
        assert bytes(memoryview(x.T[0])) == np.array([0, 3], np.int32).tobytes()
        assert bytes(x.T) == np.array([0, 3, 1, 4, 2, 5], np.int32).tobytes()

    def test_memory_outlives_the_array(self) -> None:
        a, b = (f(fn.array([1.0, 2.0]) + 1) for f in (np.asarray, np.from_dlpack))
        gc.collect()
        assert a.tolist() == b.tolist() == [2, 3]

    def test_a_rebound_handle_leaves_views_alone(self) -> None:
        x = fn._core._mutable(fn.array([1, 2]))
        a = np.asarray(x)
        x += 1
        assert (a.tolist(), x.tolist()) == ([1, 2], [2, 3])

    def test_array_protocol(self) -> None:
        x = fn.array([1.5, 2.5])
        assert np.array(x).flags.writeable
        assert np.asarray(x, np.float64).dtype == np.float64
        assert np.asarray(x, np.int32).tolist() == [1, 2]
        assert x.__array__(copy=True).flags.writeable
        with pytest.raises(ValueError, match="copy"):
            x.__array__(np.int32, copy=False)

    def test_bfloat16_becomes_float32_in_numpy(self) -> None:
        x = fn.array([1.5, 2.5], fn.bfloat16)
        assert np.asarray(x).dtype == np.float32
        assert np.asarray(x).tolist() == [1.5, 2.5]
        with pytest.raises(BufferError, match="bfloat16"):
            memoryview(x)

    def test_memory_cannot_be_written(self) -> None:
        with pytest.raises(TypeError, match="not writable"):
            (ctypes.c_char * 4).from_buffer(fn.array([1]))

    def test_scalars_and_empty_arrays(self) -> None:
        assert np.asarray(fn.array(3)).shape == ()
        assert np.asarray(fn.zeros((2, 0))).shape == (2, 0)
        assert np.from_dlpack(fn.array(3.0)) == 3

    @pytest.mark.parametrize(
        "make", [lambda: fn.array(0.5), lambda: fn.zeros(()), lambda: fn.ones((3,)), lambda: fn.zeros((2, 2)).T]
    )
    @pytest.mark.parametrize("export", [np.asarray, np.from_dlpack, memoryview, Legacy], ids=lambda f: f.__name__)
    def test_constants_are_nobody_elses(self, make, export) -> None:
        """Whoever writes into what was exported, past its being read-only, changes no constant of the process."""
        x = make()
        exported = np.from_dlpack(export(x)) if export is Legacy else np.asarray(export(x))
        ctypes.memset(address(exported), 0x41, exported.nbytes)
        fresh = make()
        assert fn.array_equal(fresh, make() * 1).item()
        assert (fn.array(0.5).item(), fn.array(1.0).item()) == (0.5, 1.0)
        assert (fn.array([2.0]) * fn.array(0.5) + fn.zeros(1) + fn.ones(1)).item() == 2.0

    def test_requests_for_an_order(self) -> None:
        x = fn.array(np.arange(6, dtype=np.int32).reshape(2, 3))
        column = [x.T, fn.array([1, 2]), fn.array(3), fn.zeros((2, 0))]
        for y in column:
            assert as_fortran(y).tolist() == y.tolist()
        for y in (x, x[:, 1]):
            with pytest.raises(BufferError, match="column-major"):
                as_fortran(y)

    def test_numpy_functions_take_arrays(self) -> None:
        x = fn.array([3.0, 4.0])
        assert np.linalg.norm(x) == 5
        assert np.concatenate([x, np.ones(1, np.float32)]).tolist() == [3, 4, 1]
        target = np.zeros(2, np.float32)
        target += x
        assert target.tolist() == [3, 4]

    def test_dlpack_options(self) -> None:
        x = fn.array([1, 2])
        assert x.__dlpack_device__() == (1, 0)
        assert np.from_dlpack(x, copy=True).flags.writeable
        assert not np.from_dlpack(x, copy=False).flags.writeable
        assert address(np.from_dlpack(x, copy=True)) != address(np.asarray(x)) == address(np.from_dlpack(x))
        for device in ((2, 0), (1, 1)):
            with pytest.raises(BufferError, match="CPU"):
                x.__dlpack__(dl_device=device)
        for wrong in ({"dl_device": "cpu"}, {"max_version": "1.0"}, {"max_version": 1}):
            with pytest.raises(TypeError, match=next(iter(wrong))):
                x.__dlpack__(**wrong)
        backwards = fn.arange(6).reshape(2, 3)[::-1]
        copied = np.from_dlpack(backwards)  # a reader may not know of strides below zero
        assert copied.tolist() == [[3, 4, 5], [0, 1, 2]] and min(copied.strides) > 0
        with pytest.raises(BufferError, match="a copy is needed .copy=False.: elements lie backwards"):
            np.from_dlpack(backwards, copy=False)
        assert address(np.asarray(backwards)) == address(np.asarray(backwards)) != address(copied)
        for _ in range(100):  # capsules that nobody takes free what they hold
            x.__dlpack__()
            x.__dlpack__(max_version=(1, 0))


class TestIn:
    @pytest.mark.parametrize("dtype", BUFFERED)
    def test_asarray_shares_memory_and_keeps_the_dtype(self, dtype: str) -> None:
        source = np.array([[0, 1], [1, 0]], dtype)
        for x in (fn.asarray(source), fn.from_dlpack(source), fn.asarray(memoryview(source))):
            assert np.asarray(x).dtype == source.dtype
            assert address(np.asarray(x)) == address(source)
            np.testing.assert_array_equal(x, source)

    def test_memory_outlives_its_owner(self) -> None:
        x = fn.asarray(np.arange(1000))
        gc.collect()
        assert x.sum().item() == 499500

    def test_results_are_never_written_into_shared_memory(self) -> None:
        source = np.arange(4, dtype=np.float32)
        source.flags.writeable = False
        x = fn.asarray(source)
        y = x + 1
        del x
        fn.eval(y)
        fn.compile(lambda a: a * 2, donate=0)(fn.asarray(source))
        assert source.tolist() == [0, 1, 2, 3]

    def test_copies_where_sharing_is_impossible(self) -> None:
        source = np.arange(6, dtype=np.float32).reshape(2, 3)
        np.testing.assert_array_equal(fn.asarray(source.T), source.T)
        np.testing.assert_array_equal(fn.asarray(source[:, ::-1]), source[:, ::-1])
        unaligned = np.frombuffer(b"\0" + source.tobytes(), np.uint8)[1:].view(np.float32)
        np.testing.assert_array_equal(fn.asarray(unaligned), source.ravel())
        for value in (source.T, unaligned, [1, 2], 3):
            with pytest.raises(ValueError, match="copy"):
                fn.asarray(value, copy=False)
        with pytest.raises(ValueError, match="copy"):
            fn.asarray(source, fn.int32, copy=False)
        shared = fn.asarray(source, copy=True)
        source[0, 0] = 9
        assert shared[0, 0].item() == 0

    def test_fields_of_records(self) -> None:
        records = np.zeros((2, 3), [("a", "i1"), ("b", "f4")])
        records["b"] = np.arange(6).reshape(2, 3)
        assert fn.array(records["b"]).tolist() == fn.asarray(records["b"].T).T.tolist() == [[0, 1, 2], [3, 4, 5]]

    def test_other_owners(self) -> None:
        assert fn.array(arrays.array("d", [1, 2])).dtype == fn.float32
        assert fn.asarray(arrays.array("d", [1, 2])).dtype == fn.float64
        assert fn.asarray(b"ab").tolist() == [97, 98]
        wide = np.arange(6).reshape(2, 3) * (1 + 2j)
        assert fn.array(wide.T[::-1]).tolist() == wide.T[::-1].tolist()

        class Speaks:
            def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
                return np.array([1, 2], np.int16)

        assert fn.array(Speaks()).dtype == fn.asarray(Speaks()).dtype == fn.int16

    def test_foreign_byte_order_is_refused(self) -> None:
        with pytest.raises(ValueError, match="byte order"):
            fn.array(np.arange(3, dtype=">i4"))

    def test_dlpack_capsules_are_checked(self) -> None:
        class Lies:
            def __dlpack__(self, **_: object) -> object:
                return 3

        with pytest.raises(TypeError, match="capsule"):
            fn.from_dlpack(Lies())

    def test_dlpack_of_another_major_version(self) -> None:
        class Later:
            def __init__(self) -> None:
                self.capsule = fn.array([1, 2]).__dlpack__(max_version=(1, 0))
                get = ctypes.pythonapi.PyCapsule_GetPointer
                get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
                ctypes.c_uint32.from_address(get(self.capsule, b"dltensor_versioned")).value = 2

            def __dlpack__(self, **_: object) -> object:
                return self.capsule

        with pytest.raises(BufferError, match="version 2"):
            fn.from_dlpack(Later())

    def test_dlpack_without_strides_and_with_an_offset(self) -> None:
        x = fn.array(np.arange(6, dtype=np.int32).reshape(2, 3))

        class Plain:
            def __dlpack__(self, **_: object) -> object:
                capsule = x.__dlpack__()
                get = ctypes.pythonapi.PyCapsule_GetPointer
                get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
                at = get(capsule, b"dltensor")
                ctypes.c_int64.from_address(ctypes.c_void_p.from_address(at + 24).value).value = 1  # one row
                ctypes.c_void_p.from_address(at + 32).value = None  # no strides
                ctypes.c_uint64.from_address(at + 40).value = 12  # the second
                return capsule

        assert fn.from_dlpack(Plain()).tolist() == [[3, 4, 5]]

    def test_bools_that_are_stored_otherwise(self) -> None:
        stored = np.frombuffer(b"\x02\x00\x01\xff" * 3, np.bool_).reshape(3, 4)
        for x in (
            fn.asarray(stored),
            fn.array(stored),
            fn.asarray(stored.T).T,
            fn.asarray(stored[0, 0]),
            fn.from_dlpack(stored),
        ):
            assert set(bytes(memoryview(x))) <= {0, 1}
            np.testing.assert_array_equal(x, stored[0, 0] if x.ndim == 0 else stored)
        assert fn.array(stored, fn.int32).sum().item() == 9
        assert (fn.asarray(stored) == fn.asarray(stored != 0)).all().item()
        with pytest.raises(ValueError, match="0 and 1"):
            fn.asarray(stored, copy=False)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint16", "bool"])
def test_numpy_gets_its_own_classes(dtype: str) -> None:
    """Two of them have 64 bits, and libraries that look at the class know one."""
    assert np.asarray(fn.zeros(2, dtype=dtype)).dtype.char == np.dtype(dtype).char


def test_images_and_indices_of_other_libraries() -> None:
    Image = pytest.importorskip("PIL.Image")
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(fn.array(Image.fromarray(pixels)), pixels)

    class Places:
        """As a tensor of PyTorch: it has the method of integers, which raises."""

        def __array__(self, dtype=None, copy=None):
            return np.array([2, 0])

        def __index__(self) -> int:
            raise TypeError

    assert fn.arange(3)[Places()].tolist() == [2, 0]


def test_torch_both_ways() -> None:
    torch = pytest.importorskip("torch")
    t = torch.arange(4.0)
    x = fn.asarray(t)
    assert x.tolist() == [0, 1, 2, 3]
    t[0] = 5
    assert x[0].item() == 5
    assert torch.from_dlpack(fn.array([1.5], fn.bfloat16)).dtype == torch.bfloat16
    assert torch.from_dlpack(fn.arange(3)[::-1]).tolist() == [2, 1, 0]
    assert fn.array(torch.ones(2, dtype=torch.bfloat16)).dtype == fn.bfloat16


def test_jax_both_ways() -> None:
    jnp = pytest.importorskip("jax.numpy")
    assert fn.asarray(jnp.arange(3)).tolist() == [0, 1, 2]
    assert fn.array(jnp.ones(2, jnp.bfloat16)).dtype == fn.bfloat16
    assert jnp.from_dlpack(fn.array([1.0, 2.0])).tolist() == [1, 2]


def test_mlx_both_ways() -> None:
    mx = pytest.importorskip("mlx.core")
    assert fn.array(mx.ones(2, mx.bfloat16)).dtype == fn.bfloat16
    assert mx.array(fn.array([1.0, 2.0])).tolist() == [1, 2]


def test_ctypes_arrays():
    """Their buffers name no strides."""
    for wanted, given in (
        ([1.0, 2.0, 3.0], (ctypes.c_float * 3)(1, 2, 3)),
        ([[1, 2], [3, 4], [5, 6]], (ctypes.c_int * 2 * 3)((1, 2), (3, 4), (5, 6))),
        ([], (ctypes.c_double * 0)()),
        (3.0, ctypes.c_double(3)),
    ):
        assert fn.array(given).tolist() == fn.asarray(given).tolist() == wanted
    given = (ctypes.c_int64 * 2)(1, 2)
    shared = fn.asarray(given)
    given[0] = 7
    assert shared.tolist() == [7, 2]
    del given
    assert (shared + 1).tolist() == [8, 3]


@pytest.mark.parametrize("scalar", [np.datetime64("2020-01-01"), np.timedelta64(3, "D")])
def test_dates_are_no_numbers(scalar):
    for given in (scalar, np.array(scalar), np.array([scalar]), [scalar]):
        for make in (fn.array, fn.asarray):
            with pytest.raises(
                TypeError, match="cannot make an array of NumPy elements of dtype (datetime|timedelta)64"
            ):
                make(given)
    with pytest.raises(TypeError, match="64"):
        fn.ones(2) + scalar
