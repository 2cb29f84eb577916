"""The class `array`: construction, attributes, reading values, printing, copying."""

from __future__ import annotations

import array as standard_array
import copy
import gc
import pickle
import reprlib
import threading
import weakref
from fractions import Fraction

import numpy as np
import pytest
from _pytest._io.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn


class TestConstruction:
    @pytest.mark.parametrize(
        ("value", "shape", "dtype"),
        [
            (True, (), fn.bool_),
            (3, (), fn.int32),
            (-(2**31), (), fn.int32),
            (2**31, (), fn.int64),
            (2.5, (), fn.float32),
            (1j, (), fn.complex64),
            ([], (0,), fn.float32),
            ([[], []], (2, 0), fn.float32),
            ([1, True], (2,), fn.int32),
            ([1, 2**40], (2,), fn.int64),
            ([1, 2.0], (2,), fn.float32),
            ([1.0, 1j], (2,), fn.complex64),
            (((1, 2), [3, 4]), (2, 2), fn.int32),
            (range(4), (4,), fn.int32),
            (np.float64(2), (), fn.float32),
            (np.int64(2), (), fn.int64),
            (np.arange(3.0), (3,), fn.float32),
            (np.arange(3), (3,), fn.int64),
            (np.float16([1]), (1,), fn.float16),
            ([np.float64(1), 2], (2,), fn.float32),
            ([np.int64(1), np.int64(2)], (2,), fn.int64),
            ([np.arange(3, dtype=np.int32), [1, 2, 3]], (2, 3), fn.int32),
        ],
    )
    def test_infers_shape_and_dtype(self, value: object, shape: tuple[int, ...], dtype: fn.Dtype) -> None:
        x = fn.array(value)
        assert (x.shape, x.dtype) == (shape, dtype)

    def test_takes_a_dtype(self) -> None:
        assert fn.array([1.7, -1.7], fn.int32).tolist() == [1, -1]
        assert fn.array([0, 2], fn.bool_).tolist() == [False, True]
        assert fn.array(2**63, fn.uint64).item() == 2**63
        assert fn.array(1, fn.float64).dtype == fn.float64
        assert fn.array(np.arange(3.0), fn.float64).dtype == fn.float64
        assert fn.array([1, 2], dtype=np.float32).dtype == fn.float32
        assert fn.array([1, 2], dtype=float).dtype == fn.float32

    def test_stacks_arrays(self) -> None:
        x = fn.array([1.0, 2.0])
        assert fn.array([x, x * 2]).tolist() == [[1, 2], [2, 4]]
        assert fn.array([[x[0], 3], [4, x[1]]]).tolist() == [[1, 3], [4, 2]]
        np.testing.assert_array_equal(
            fn.grad(lambda v: (fn.array([v[1], v[0]]) * fn.array([1.0, 10.0])).sum())(x), [10, 1]
        )

    def test_copies_what_it_is_given(self) -> None:
        source = np.arange(3, dtype=np.float32)
        x = fn.array(source)
        source[0] = 7
        assert x.tolist() == [0, 1, 2]

    @pytest.mark.parametrize(
        "value", ["text", b"bytes", ["text"], {}, None, object(), [object()], np.array(["a"]), len]
    )
    def test_refuses_what_holds_no_numbers(self, value: object) -> None:
        with pytest.raises(TypeError, match="array"):
            fn.array(value)

    @pytest.mark.parametrize(
        ("value", "depth"),
        [([[1, 2], [3]], 1), ([1, [2]], 1), ([[1], 2], 1), ([[[1], [2]], [[3], 4]], 2), ([[], 1], 1)],
    )
    def test_names_the_depth_of_ragged_lists(self, value: object, depth: int) -> None:
        with pytest.raises(ValueError, match=f"ragged at depth {depth}"):
            fn.array(value)

    @pytest.mark.parametrize(
        ("value", "dtype"), [(2**63, None), (300, fn.uint8), ([1, -1], fn.uint32), (2**64, fn.uint64), (-129, fn.int8)]
    )
    def test_refuses_integers_that_do_not_fit(self, value: object, dtype: fn.Dtype | None) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            fn.array(value, dtype)

    def test_refuses_complex_numbers_for_real_dtypes(self) -> None:
        for value in (1j, [1j, 2]):
            with pytest.raises(TypeError, match="complex"):
                fn.array(value, fn.float32)

    def test_refuses_other_text_as_a_dtype(self) -> None:
        with pytest.raises(TypeError, match="dtype"):
            fn.array(1, "float")

    @given(st.recursive(st.integers(-100, 100), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=20))
    def test_agrees_with_numpy_about_nested_lists(self, value: object) -> None:
        try:
            expected = np.array(value)
        except ValueError:
            with pytest.raises(ValueError, match="ragged"):
                fn.array(value)
        else:
            assert fn.array(value).tolist() == expected.tolist()


class TestAttributes:
    def test_sizes(self) -> None:
        x = fn.zeros((2, 3), fn.float16)
        assert (x.shape, x.ndim, x.size, x.itemsize, x.nbytes, len(x)) == ((2, 3), 2, 6, 2, 12, 2)
        assert x.device == fn.get_default_device()

    def test_parts_and_transposes(self) -> None:
        x = fn.array([[[1 + 2j, 3j]]])
        assert x.real.tolist() == [[[1, 0]]]
        assert x.imag.tolist() == [[[2, 3]]]
        assert x.T.shape == (2, 1, 1)
        assert x.mT.shape == (1, 2, 1)
        with pytest.raises(ValueError, match="two axes"):
            _ = fn.zeros(3).mT

    def test_cannot_be_assigned_or_added_to(self) -> None:
        x = fn.zeros(3)
        with pytest.raises(AttributeError):
            x.shape = (1, 3)
        with pytest.raises(AttributeError):
            x.extra = 1


class TestReadingValues:
    def test_numbers(self) -> None:
        x = fn.array([2.5])
        assert x.item() == 2.5
        assert (int(x), float(x), complex(x), bool(x)) == (2, 2.5, 2.5, True)
        assert f"{x:.3f}" == "2.500"
        assert round(fn.array(2.567), 1).item() == pytest.approx(2.6)
        assert [10, 20][fn.array(1)] == 20
        assert fn.array(1 + 2j).item() == 1 + 2j

    @pytest.mark.parametrize("read", [bool, int, float, complex, lambda x: x.item(), "{:.1f}".format])
    def test_several_elements_are_no_number(self, read: object) -> None:
        with pytest.raises((ValueError, TypeError), match=r"\(2,\)"):
            read(fn.zeros(2))

    @pytest.mark.parametrize("value", [fn.array(1.0), fn.array([1]), fn.array(True)])
    def test_only_integers_of_no_axes_are_an_index(self, value: fn.array) -> None:
        with pytest.raises(TypeError, match="index"):
            [1, 2][value]

    def test_scalars_have_no_length(self) -> None:
        with pytest.raises(TypeError, match="len"):
            len(fn.array(1))
        with pytest.raises(TypeError, match="iter"):
            iter(fn.array(1))

    @pytest.mark.parametrize("shape", [(6,), (2, 3), (0,), ()])
    @pytest.mark.parametrize("value", [2, 2.5, float("nan"), "a", None, np.arange(3)], ids=str)
    def test_contains_what_an_element_equals(self, shape: tuple[int, ...], value: object) -> None:
        x = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape) + 2
        if np.ndim(value) and shape in ((6,), (0,)):  # shapes that do not go together
            with pytest.raises(ValueError, match="equal"):
                assert value in fn.array(x)
        else:
            assert (value in fn.array(x)) is bool(np.any(x == value))

    def test_iterates_over_rows(self) -> None:
        assert [row.tolist() for row in fn.array([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
        a, b = fn.array([1, 2])
        assert (a.item(), b.item()) == (1, 2)

    @pytest.mark.parametrize(
        "dtype", ["bool_", "uint8", "int64", "float16", "bfloat16", "float32", "float64", "complex64"]
    )
    def test_tolist_gives_python_numbers(self, dtype: str) -> None:
        values = fn.array([[0, 1]], getattr(fn, dtype)).tolist()
        assert values == [[0, 1]]
        assert type(values[0][0]) in (bool, int, float, complex)

    def test_tolist_of_strided_and_empty_arrays(self) -> None:
        x = fn.array(np.arange(6).reshape(2, 3))
        assert x.T[::-1].tolist() == [[2, 5], [1, 4], [0, 3]]
        assert fn.zeros((2, 0)).tolist() == [[], []]


class TestPrinting:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ([1, 2, 3], "array([1, 2, 3], dtype=int32)"),
            ([[0.5], [1]], "array([[0.5],\n       [1. ]], dtype=float32)"),
            (True, "array(True, dtype=bool)"),
            (2.5, "array(2.5, dtype=float32)"),
            ([], "array([], dtype=float32)"),
            ([[], []], "array([], shape=(2, 0), dtype=float32)"),
        ],
    )
    def test_prints_the_call_that_makes_it(self, value: object, text: str) -> None:
        assert repr(fn.array(value)) == str(fn.array(value)) == f"{fn.array(value)}" == text

    def test_bfloat16(self) -> None:
        assert repr(fn.array([1.5], fn.bfloat16)) == "array([1.5], dtype=bfloat16)"

    def test_abridges_large_arrays(self) -> None:
        assert len(repr(fn.zeros(100_000))) < 100

    def test_describes_traced_values(self) -> None:
        seen = []

        def f(x: fn.array) -> fn.array:
            seen.append(repr(x * 2))
            return x

        fn.vmap(f)(fn.zeros((2, 3)))
        assert seen == ["traced array of shape (3,), float32 in vmap"]


class TestTracedValues:
    @pytest.mark.parametrize(
        "read",
        [bool, int, float, lambda x: x.item(), lambda x: x.tolist(), np.asarray, fn.eval, memoryview, pickle.dumps],
    )
    def test_have_no_value(self, read: object) -> None:
        def f(x: fn.array) -> fn.array:
            read(x)
            return x

        with pytest.raises(fn.TracedValueError, match="vmap"):
            fn.vmap(f)(fn.zeros(3))


class TestCopies:
    def test_copy_and_deepcopy(self) -> None:
        x = fn.array([1, 2])
        for y in (copy.copy(x), copy.deepcopy(x), copy.deepcopy({"a": [x]})["a"][0]):
            assert y.tolist() == [1, 2]

    @pytest.mark.parametrize(
        "dtype", ["bool_", "int8", "uint64", "float16", "bfloat16", "float32", "float64", "complex64"]
    )
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickles(self, dtype: str, protocol: int) -> None:
        for x in (
            fn.array([[0, 1, 2]], getattr(fn, dtype)),
            fn.array(1, getattr(fn, dtype)),
            fn.zeros((0, 2), getattr(fn, dtype)),
        ):
            for y in (pickle.loads(pickle.dumps(x, protocol)), pickle.loads(pickle.dumps(x.T, protocol)).T):
                assert (y.dtype, y.shape, y.tolist()) == (x.dtype, x.shape, x.tolist())

    def test_pickles_large_arrays_out_of_band(self) -> None:
        buffers: list[pickle.PickleBuffer] = []
        x = fn.array(np.arange(1000))
        data = pickle.dumps(x, protocol=5, buffer_callback=buffers.append)
        assert len(data) < 200
        assert pickle.loads(data, buffers=buffers).tolist() == x.tolist()

    def test_refuses_pickles_of_the_wrong_size(self) -> None:
        from funcnn._array import restore

        with pytest.raises(ValueError, match="size"):
            restore(b"123", (2,), fn.float32)


class TestIdentity:
    def test_hashes_by_identity(self) -> None:
        x, y = fn.array([1]), fn.array([1])
        assert len({x, x, y}) == 2

    def test_weak_references(self) -> None:
        x = fn.array([1])
        ref = weakref.ref(x)
        assert ref() is x
        del x
        gc.collect()
        assert ref() is None

    def test_is_final(self) -> None:
        with pytest.raises(TypeError):
            type("sub", (fn.array,), {})


class TestThreads:
    def test_many_threads_read_one_value(self) -> None:
        x = fn.array(np.random.default_rng(0).normal(size=(64, 64)))
        y = fn.tanh(x @ x).sum()
        seen: list[float] = []
        threads = [threading.Thread(target=lambda: seen.append(y.item())) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(set(seen)) == 1
        assert len(seen) == 8

    def test_async_eval(self) -> None:
        x = fn.array(np.ones((64, 64), np.float32))
        y = x @ x
        fn.async_eval({"y": [y]}, 3)
        assert y[0, 0].item() == 64
        fn.synchronize()


def test_memory_of_others_is_released_on_any_thread() -> None:
    for _ in range(50):
        y = fn.asarray(np.arange(10_000, dtype=np.float32)) * 2  # the evaluation drops the last reference
        fn.async_eval(y)
        fn.plan_cache_info()
        fn.grad(lambda v: (v * v).sum())(fn.ones(3))
    fn.synchronize()
    assert y[1].item() == 2


def test_numbers_by_protocol() -> None:
    with pytest.raises(TypeError, match="Fraction"):
        fn.array(Fraction(1, 2))


@pytest.mark.on_cpu
def test_memory_is_counted() -> None:
    gc.collect()
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    x = fn.array(np.zeros((1000, 1000), np.float32))
    assert fn.get_active_memory() - before >= 4_000_000
    assert fn.get_peak_memory() >= fn.get_active_memory()
    del x
    gc.collect()
    assert fn.get_active_memory() - before < 4_000_000
    fn.clear_cache()
    assert fn.get_cache_memory() == 0


def test_memory_limit_refuses_and_leaves_the_process_usable() -> None:
    limit = fn.set_memory_limit(fn.get_active_memory() + 1_000_000)
    try:
        with pytest.raises(MemoryError):
            fn.eval(fn.ones((4000, 4000)) + 1)
    finally:
        fn.set_memory_limit(limit)
    assert (fn.ones(3) + 1).tolist() == [2, 2, 2]


def test_threads_can_be_set() -> None:
    before = fn.get_num_threads()
    try:
        fn.set_num_threads(1)
        assert fn.get_num_threads() == 1
    finally:
        fn.set_num_threads(before)
    with pytest.raises(ValueError, match="at least 1"):
        fn.set_num_threads(0)


METHODS = [
    "abs",
    "all",
    "any",
    "argmax",
    "argmin",
    "astype",
    "conj",
    "cos",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "diag",
    "diagonal",
    "exp",
    "flatten",
    "item",
    "log",
    "log10",
    "log1p",
    "log2",
    "logcumsumexp",
    "logsumexp",
    "max",
    "mean",
    "min",
    "moveaxis",
    "prod",
    "reciprocal",
    "reshape",
    "round",
    "rsqrt",
    "sin",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "tolist",
    "transpose",
    "var",
]


@pytest.mark.parametrize("name", [m for m in METHODS if m not in ("conj", "item", "tolist")])
def test_methods_do_what_functions_do(name: str) -> None:
    x = fn.array([[0.5, 2.0], [1.5, 0.25]])
    arguments = {"astype": (fn.int32,), "moveaxis": (0, 1), "swapaxes": (0, 1), "reshape": ((4,),), "split": (2,)}.get(
        name, ()
    )
    got, expected = getattr(x, name)(*arguments), getattr(fn, name)(x, *arguments)
    for g, e in zip(got, expected, strict=True) if name == "split" else [(got, expected)]:
        assert g.dtype == e.dtype
        np.testing.assert_array_equal(g, e)


def test_every_method_has_a_docstring() -> None:
    missing = [m for m in METHODS if not (getattr(fn.array, m).__doc__ or "").strip()]
    assert not missing
    functions = [n for n in dir(fn._core) if not n.startswith("_") and callable(getattr(fn._core, n))]
    assert not [n for n in functions if n in fn.__all__ and not (getattr(fn._core, n).__doc__ or "").strip()]


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 40), (3, 6148914691236517206), (1 << 62,)])
def test_shapes_too_large_to_count_are_refused(shape):
    """Their products would wrap around, to 2 elements for instance."""
    for make in (fn.ones, lambda shape: fn.broadcast_to(fn.array(1.0), shape)):
        with pytest.raises(ValueError, match="too large"):
            make(shape)


def test_lengths_that_add_up_to_too_many_are_refused():
    """Their sums would wrap around, to 0 elements for instance."""
    half = fn.broadcast_to(fn.array(1, dtype=fn.int8), (1 << 62,))
    widths = [(1 << 62, 1 << 62), ((1 << 63) - 1, (1 << 63) - 1), (0, (1 << 63) - 1)]
    for make in (lambda n=n: fn.concatenate([half] * n) for n in (2, 4, 5)):
        with pytest.raises(ValueError, match="too large"):
            make()
    for low_and_high in widths:
        with pytest.raises(ValueError, match="too large"):
            fn.pad(fn.ones(2), low_and_high)
    with pytest.raises(ValueError, match=r"\(9223372036854775807 elements\); the counts must agree"):
        fn.ones(1).reshape(1 << 32, 1 << 32)


def test_abbreviated_reprs():
    x = fn.array([1.0, 2.0])
    assert reprlib.repr(x) == "array([1., 2.], dtype=float32)"
    assert reprlib.repr(fn.arange(100)) == "array([ 0,  1..., dtype=int32)"
    assert reprlib.repr({"a": [fn.array(1)]}) == "{'a': [array(1, dtype=int32)]}"
    assert reprlib.repr(standard_array.array("i", range(9))) == "array('i', [0, 1, 2, 3, 4, ...])"
    seen = []
    fn.vmap(lambda r: seen.append(reprlib.repr(r)) or r)(x)
    assert seen[0].startswith("traced array")

    assert saferepr({"w": fn.ones(2)}) == "{'w': array([1., 1.], dtype=float32)}"  # as pytest shows it
