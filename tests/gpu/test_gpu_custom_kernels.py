"""fn.fast.metal_kernel: what the body finds, and how the kernel behaves under transformations."""

import numpy as np
import pytest

import funcnn as fn

pytestmark = pytest.mark.skipif(not fn.metal.is_available(), reason="there is no Metal device")

X = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)


def on_gpu(x):
    return fn.device_put(fn.array(x), fn.gpu)


def run(kernel, inputs, shape, dtype=fn.float32, *, threads=None, group=32, **more):
    size = int(np.prod(shape)) if threads is None else threads
    return kernel(
        inputs=inputs,
        grid=(size, 1, 1) if isinstance(size, int) else size,
        threadgroup=(group, 1, 1) if isinstance(group, int) else group,
        output_shapes=[shape],
        output_dtypes=[dtype],
        **more,
    )[0]


def elementwise(expression, name="elementwise", **more):
    source = f"uint i = thread_position_in_grid.x; y[i] = {expression};"
    return fn.fast.metal_kernel(name, ["x"], ["y"], source, **more)


double = elementwise("x[i] + x[i]", "double_")
half = elementwise("x[i] * 0.5f", "half_")


class TestBody:
    def test_elements(self):
        np.testing.assert_array_equal(run(double, [on_gpu(X)], X.shape), X + X)

    @pytest.mark.parametrize("size", [1, 7, 31, 32, 33, 1000])
    def test_grids_need_not_fill_groups(self, size):
        x = np.arange(size, dtype=np.float32)
        np.testing.assert_array_equal(run(double, [on_gpu(x)], (size,), group=64), x + x)

    def test_the_grid_has_three_dimensions(self):
        source = """
            uint3 at = thread_position_in_grid;
            uint3 all = threads_per_grid;
            y[(at.z * all.y + at.y) * all.x + at.x] = at.x + 10 * at.y + 100 * at.z;
        """
        kernel = fn.fast.metal_kernel("places", [], ["y"], source)
        y = run(kernel, [], (2, 3, 5), fn.int32, threads=(5, 3, 2), group=(2, 2, 2))
        z, y_, x = np.indices((2, 3, 5))
        np.testing.assert_array_equal(y, x + 10 * y_ + 100 * z)

    def test_template(self):
        source = "uint i = thread_position_in_grid.x; if (B) { y[i] = T(x[i]) + N; } else { y[i] = -T(x[i]); }"
        kernel = fn.fast.metal_kernel("given", ["x"], ["y"], source)
        for dtype, number, flag in [(fn.float32, 3, True), (fn.int32, -2, True), (fn.int32, 0, False)]:
            template = [("T", dtype), ("N", number), ("B", flag)]
            y = run(kernel, [on_gpu(X)], X.shape, dtype, template=template)
            given = X.astype(np.int32) if dtype == fn.int32 else X
            np.testing.assert_array_equal(y, given + number if flag else -given)

    def test_header(self):
        kernel = elementwise("twice(x[i])", header="inline float twice(float v) { return 2 * v; }")
        np.testing.assert_array_equal(run(kernel, [on_gpu(X)], X.shape), 2 * X)

    def test_numbers_and_arrays_of_no_axes_are_references(self):
        source = "uint i = thread_position_in_grid.x; y[i] = x[i] * a + b + c;"
        kernel = fn.fast.metal_kernel("affine", ["x", "a", "b", "c"], ["y"], source)
        y = run(kernel, [on_gpu(X), 2.0, 3, on_gpu(np.float32(0.5))], X.shape)
        np.testing.assert_array_equal(y, X * 2 + 3.5)

    def test_small_inputs_are_constant(self):
        source = "constant const float* w = weights; y[thread_position_in_grid.x] = w[thread_position_in_grid.x];"
        kernel = fn.fast.metal_kernel("small", ["weights"], ["y"], source)
        np.testing.assert_array_equal(run(kernel, [on_gpu(X[0])], (4,)), X[0])

    def test_several_outputs(self):
        source = "uint i = thread_position_in_grid.x; y[i] = x[i] > 0; z[i] = int(x[i] * 10);"
        kernel = fn.fast.metal_kernel("two", ["x"], ["y", "z"], source)
        y, z = kernel(
            inputs=[on_gpu(X)],
            grid=(12, 1, 1),
            threadgroup=(4, 1, 1),
            output_shapes=[(12,), (3, 4)],
            output_dtypes=[fn.bool_, fn.int16],
        )
        assert (y.dtype, z.dtype) == (fn.bool_, fn.int16)
        np.testing.assert_array_equal(y, X.reshape(-1) > 0)
        np.testing.assert_array_equal(z, (X * 10).astype(np.int16))

    @pytest.mark.parametrize(
        "dtype",
        [
            fn.bool_,
            fn.uint8,
            fn.int8,
            fn.uint16,
            fn.int16,
            fn.uint32,
            fn.int32,
            fn.uint64,
            fn.int64,
            fn.float16,
            fn.bfloat16,
            fn.float32,
            fn.complex64,
        ],
        ids=str,
    )
    def test_dtypes(self, dtype):
        x = fn.array([0, 1, 2, 3, 100, 5, 6, 7, 8], dtype=dtype)
        y = run(elementwise("T(x[i])", "cast"), [fn.device_put(x, fn.gpu)], (9,), dtype, template=[("T", dtype)])
        assert y.dtype == dtype and y.tolist() == x.tolist()

    def test_complex_arithmetic(self):
        x = (X + 1j * X[::-1]).astype(np.complex64)
        kernel = elementwise("(x[i] * x[i] - x[i]) / (x[i] + complex64_t(9)) + complex64_t(0, 1)", "complexes")
        np.testing.assert_allclose(run(kernel, [on_gpu(x)], x.shape, fn.complex64), (x * x - x) / (x + 9) + 1j, 1e-6)

    def test_infinities_and_nan_survive(self):
        x = np.array([np.inf, -np.inf, np.nan, -0.0, 1], np.float32)
        y = run(elementwise("x[i] - x[i] == 0.0f ? x[i] : x[i] * 0.0f", "strict"), [on_gpu(x)], (5,))
        np.testing.assert_array_equal(y, [np.nan, np.nan, np.nan, -0.0, 1])
        assert np.signbit(np.asarray(y)[3])


class TestLayouts:
    strided = fn.fast.metal_kernel(
        "strided",
        ["x"],
        ["y"],
        "uint i = thread_position_in_grid.x; y[i] = x[elem_to_loc(i, x_shape, x_strides, x_ndim)];",
        ensure_row_contiguous=False,
    )

    @pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[::2, 1:], lambda x: x[:, None, 2]])
    def test_strides(self, view):
        given = view(on_gpu(X))
        np.testing.assert_array_equal(run(self.strided, [given], given.shape), view(X))

    @pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[::2, 1:]])
    def test_inputs_are_made_dense(self, view):
        given = view(on_gpu(X))
        np.testing.assert_array_equal(run(double, [given], given.shape), 2 * view(X))

    def test_broadcast_numbers(self):
        for x in (fn.broadcast_to(fn.array(1.5), (3, 4)), fn.broadcast_to(on_gpu(np.float32(1.5)), (3, 4))):
            np.testing.assert_array_equal(run(double, [x], (3, 4)), np.full((3, 4), 3.0))
            np.testing.assert_array_equal(run(self.strided, [x], (3, 4)), np.full((3, 4), 1.5))

    def test_shape_without_strides(self):
        source = "y[thread_position_in_grid.x] = x_shape[thread_position_in_grid.x] * 100 + x_ndim;"
        kernel = fn.fast.metal_kernel("shapes", ["x"], ["y"], source)
        np.testing.assert_array_equal(run(kernel, [on_gpu(X)], (2,), fn.int32), [302, 402])

    def test_one_text_serves_all_shapes(self):
        for shape in [(2, 3), (4, 5), (1, 9)]:
            x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            np.testing.assert_array_equal(run(self.strided, [on_gpu(x).T], shape[::-1]), x.T)


class TestOutputs:
    @pytest.mark.parametrize("dtype", [fn.uint8, fn.float16, fn.float32, fn.int64], ids=str)
    def test_initial_value(self, dtype):
        kernel = fn.fast.metal_kernel("first", ["x"], ["y"], "y[0] = 1;")
        y = run(kernel, [on_gpu(X)], (5000,), dtype, threads=1, init_value=7)
        np.testing.assert_array_equal(np.asarray(y.astype(fn.float32)), [1] + [7] * 4999)

    def test_atomic_outputs(self):
        source = "atomic_fetch_add_explicit(&y[thread_position_in_grid.x % 3], 1, memory_order_relaxed);"
        kernel = fn.fast.metal_kernel("counted", [], ["y"], source, atomic_outputs=True)
        assert run(kernel, [], (3,), fn.int32, threads=100, init_value=0).tolist() == [34, 33, 33]

    def test_inputs_are_never_outputs(self):
        x = on_gpu(X)
        y = run(double, [x], X.shape)
        for _ in range(100):  # more than one command buffer takes
            y = run(half, [run(double, [y], X.shape)], X.shape)
        np.testing.assert_array_equal(y, 2 * X)
        np.testing.assert_array_equal(x, X)

    def test_empty(self):
        assert run(double, [on_gpu(X[:0])], (0, 4)).shape == (0, 4)
        assert run(double, [on_gpu(X)], (2,), threads=0, init_value=3).tolist() == [3, 3]


class TestTransformations:
    def test_compile(self):
        f = fn.compile(lambda x: run(double, [run(double, [x], (3, 4))], (3, 4)))
        for _ in range(3):
            np.testing.assert_array_equal(f(on_gpu(X)), 4 * X)

    def test_vmap(self):
        rows = fn.vmap(lambda x: run(double, [x], (4,)))(on_gpu(X))
        np.testing.assert_array_equal(rows, 2 * X)
        columns = fn.vmap(lambda x: run(double, [x], (3,)), in_axes=1, out_axes=1)(on_gpu(X))
        np.testing.assert_array_equal(columns, 2 * X)

    def test_vmap_of_some_inputs(self):
        kernel = fn.fast.metal_kernel(
            "sums", ["a", "b"], ["y"], "uint i = thread_position_in_grid.x; y[i] = a[i] + b[i];"
        )
        a, b = X, np.arange(4, dtype=np.float32)

        def f(a, b):
            return run(kernel, [a, b], (4,))

        np.testing.assert_array_equal(fn.vmap(f, in_axes=(0, None))(on_gpu(a), on_gpu(b)), a + b)
        outer = fn.vmap(fn.vmap(f, in_axes=(None, 0)), in_axes=(0, None))(on_gpu(a), on_gpu(2 * a))
        np.testing.assert_array_equal(outer, a[:, None] + 2 * a[None])

    def test_vmap_keeps_strides_and_initial_values(self):
        strided = fn.vmap(lambda x: run(TestLayouts.strided, [x], (4, 2)))(
            on_gpu(np.arange(24.0).reshape(3, 2, 4)).transpose(0, 2, 1)
        )
        np.testing.assert_array_equal(strided, np.arange(24.0).reshape(3, 2, 4).transpose(0, 2, 1))
        kernel = fn.fast.metal_kernel("one", ["x"], ["y"], "y[0] = x;")
        y = fn.vmap(lambda x: run(kernel, [x], (2,), threads=1, init_value=9))(on_gpu(X[:, 0]))
        np.testing.assert_array_equal(y, np.stack([X[:, 0], np.full(3, 9)], 1))

    def test_derivatives_are_refused_with_advice(self):
        with pytest.raises(ValueError, match="metal_kernel: has no derivative.*custom_vjp"):
            fn.grad(lambda x: run(double, [x], (3, 4)).sum())(on_gpu(X))

    def test_custom_vjp(self):
        square = elementwise("x[i] * x[i]", "square")
        slope = fn.fast.metal_kernel(
            "slope", ["x", "dy"], ["dx"], "uint i = thread_position_in_grid.x; dx[i] = 2 * x[i] * dy[i];"
        )

        @fn.custom_vjp
        def f(x):
            return run(square, [x], x.shape)

        f.defvjp(lambda x: (f(x), x), lambda x, dy: (run(slope, [x, dy], x.shape),))
        y, pull = fn.vjp(f, on_gpu(X))
        np.testing.assert_array_equal(y, X * X)
        np.testing.assert_array_equal(pull(on_gpu(3 * np.ones_like(X)))[0], 6 * X)

    def test_checkpoint(self):
        f = fn.checkpoint(lambda x: run(double, [x], x.shape))
        np.testing.assert_array_equal(f(on_gpu(X)), 2 * X)

    def test_equal_calls_are_merged_and_different_ones_are_not(self):
        x = on_gpu(X)
        f = fn.compile(lambda x: [run(elementwise(f"x[i] * {k}.0f", "factor"), [x], X.shape) for k in (1, 2, 1)])
        for y, k in zip(f(x), (1, 2, 1), strict=True):
            np.testing.assert_array_equal(y, k * X)


class TestErrors:
    def call(self, kernel=double, **changes):
        given = {
            "inputs": [on_gpu(X)],
            "grid": (12, 1, 1),
            "threadgroup": (12, 1, 1),
            "output_shapes": [(3, 4)],
            "output_dtypes": [fn.float32],
        }
        return kernel(**(given | changes))

    def test_the_compiler_is_heard(self):
        y = self.call(elementwise("x[i] + no_such_thing", "misspelt"))[0]
        with pytest.raises(RuntimeError, match=r"(?s)misspelt.*no_such_thing"):
            fn.eval(y)
        np.testing.assert_array_equal(self.call()[0], 2 * X)

    def test_verbose_prints_the_text(self, capsys):
        self.call(verbose=True)
        assert "kernel]] void custom_kernel_double_(" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"inputs": []}, "double_: expected 1 inputs"),
            ({"output_shapes": []}, "expected output_shapes for 1 outputs"),
            ({"output_dtypes": [fn.float32] * 2}, "expected output_dtypes for 1 outputs"),
            ({"output_dtypes": [fn.float64]}, "no float64"),
            ({"grid": (1, 1)}, "grid must be three integers"),
            ({"grid": (-1, 1, 1)}, "grid must be three integers"),
            ({"threadgroup": (0, 1, 1)}, "threadgroup must be three integers"),
            ({"grid": (2**20, 1, 1), "threadgroup": (2048, 1, 1)}, "at most 1024 threads"),
            ({"template": [("x", 1)]}, "'x' is there twice"),
            ({"template": [("1x", 1)]}, "no identifier"),
            ({"template": [("N", 2**31)]}, "must fit an int"),
        ],
    )
    def test_arguments(self, changes, message):
        with pytest.raises(ValueError, match=message):
            self.call(**changes)

    def test_inputs_have_to_be_there(self):
        with pytest.raises(ValueError, match="got x on cpu; move it with fn.device_put, or say stream=fn.gpu"):
            self.call(inputs=[fn.device_put(fn.array(X), "cpu")])
        np.testing.assert_array_equal(self.call(inputs=[fn.device_put(fn.array(X), "cpu")], stream=fn.gpu)[0], 2 * X)

    def test_the_other_language(self):
        kernel = fn.fast.cuda_kernel("k", ["x"], ["y"], "y[0] = x[0];")
        with pytest.raises(ValueError, match="speaks Metal's language; see fn.fast.metal_kernel"):
            self.call(kernel)


class TestShim:
    def test_metal_kernel(self):
        from funcnn.compat import core as mx

        kernel = mx.fast.metal_kernel(
            name="myexp",
            input_names=["inp"],
            output_names=["out"],
            source="uint elem = thread_position_in_grid.x; T tmp = inp[elem]; out[elem] = metal::exp(tmp);",
        )
        a = mx.array(X).astype(mx.float16)
        (b,) = kernel(
            inputs=[a],
            template=[("T", mx.float32)],
            grid=(a.size, 1, 1),
            threadgroup=(256, 1, 1),
            output_shapes=[a.shape],
            output_dtypes=[a.dtype],
        )
        np.testing.assert_allclose(np.array(b), np.exp(np.array(a)), 1e-2)
        b[0] = 7  # results are the shim's own arrays
        assert mx.metal.is_available() and mx.metal.device_info()["device_name"]
        assert not mx.cuda.is_available()
