"""Devices, streams, evaluation, memory and print options. Runs on either library; see `tests.compat.library`."""

import threading

import pytest
from tests.compat.library import REAL, mx

pytestmark = pytest.mark.on_cpu


def in_thread(function):
    found = []

    def run():
        try:
            found.append(function())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


class TestDevices:
    def test_kinds_and_devices_compare(self):
        assert mx.Device(mx.cpu) == mx.cpu
        assert mx.cpu == mx.Device(mx.cpu)
        assert mx.Device(mx.cpu, 1) != mx.cpu
        assert mx.cpu != mx.gpu
        assert mx.cpu == mx.DeviceType.cpu
        assert mx.cpu != "cpu"
        assert {mx.cpu: 1}[mx.cpu] == 1

    def test_repr(self):
        assert repr(mx.Device(mx.gpu, 2)) == "Device(gpu, 2)"
        assert repr(mx.cpu) == str(mx.cpu) == "DeviceType.cpu"
        assert repr(mx.default_stream(mx.cpu)).startswith("Stream(Device(cpu, 0), ")

    def test_default(self):
        assert mx.default_device() == mx.cpu
        mx.set_default_device(mx.cpu)
        assert mx.default_device().type is mx.cpu

    @pytest.mark.skipif(mx.is_available(mx.gpu), reason="this machine has a gpu")
    def test_a_device_that_is_not_there(self):
        with pytest.raises(ValueError):
            mx.set_default_device(mx.gpu)
        assert mx.default_device().type is mx.cpu
        assert mx.device_count(mx.gpu) == 0
        assert mx.device_info(mx.gpu) == {}
        for call in (mx.default_stream, mx.new_stream, mx.synchronize):
            with pytest.raises(ValueError):
                call(mx.gpu)
        with pytest.raises(ValueError):
            mx.zeros((2,), stream=mx.gpu)
        context = mx.stream(mx.gpu)
        with pytest.raises(ValueError):
            context.__enter__()


class TestStreams:
    @pytest.mark.parametrize("stream", [None, mx.cpu, mx.Device(mx.cpu)])
    def test_every_operation_takes_one(self, stream):
        x = mx.add(mx.ones((2,), stream=stream), 1, stream=stream)
        assert mx.sum(x, stream=stream).item() == 4
        assert mx.random.uniform(shape=(2,), stream=stream).shape == (2,)
        assert mx.linalg.norm(x, stream=stream).item() == pytest.approx(8**0.5)

    @pytest.mark.parametrize("stream", ["cpu", 0.5])
    def test_what_is_none(self, stream):
        with pytest.raises(TypeError):
            mx.ones((2,), stream=stream)
        with pytest.raises(TypeError):
            mx.stream(stream)

    def test_new_ones_differ(self):
        first, second = mx.new_stream(mx.cpu), mx.new_stream(mx.cpu)
        assert first != second
        assert first != mx.default_stream(mx.cpu)
        assert first.device == mx.cpu
        assert (mx.ones((2,), stream=first) + 1).tolist() == [2, 2]

    def test_context(self):
        before, inner = mx.default_stream(mx.cpu), mx.new_stream(mx.cpu)
        with mx.stream(inner) as bound:
            assert bound is None
            assert mx.default_stream(mx.cpu) == inner
            with mx.stream(mx.cpu):
                assert mx.default_stream(mx.cpu) == inner
                assert mx.ones((2,)).tolist() == [1, 1]
        assert mx.default_stream(mx.cpu) == before

    def test_context_after_an_error(self):
        before = mx.default_stream(mx.cpu)
        with pytest.raises(KeyError), mx.stream(mx.new_stream(mx.cpu)):
            raise KeyError
        assert mx.default_stream(mx.cpu) == before

    def test_set_default(self):
        before, other = mx.default_stream(mx.cpu), mx.new_stream(mx.cpu)
        try:
            mx.set_default_stream(other)
            assert mx.default_stream(mx.cpu) == other
        finally:
            mx.set_default_stream(before)
        with pytest.raises(TypeError):
            mx.set_default_stream(mx.cpu)

    def test_each_thread_has_a_default_of_its_own(self):
        main = mx.default_stream(mx.cpu)
        assert in_thread(lambda: mx.default_stream(mx.cpu)) != main

        def change():
            mx.set_default_stream(mx.new_stream(mx.cpu))
            return mx.sum(mx.ones((3,))).item()

        assert in_thread(change) == 3
        assert mx.default_stream(mx.cpu) == main

    def test_a_stream_of_every_thread(self):
        local = mx.new_thread_local_stream(mx.cpu)
        assert repr(local).startswith("ThreadLocalStream(Device(cpu, 0), ")
        assert local.device == mx.cpu

        def use():
            with mx.stream(local):
                return mx.default_stream(mx.cpu), mx.sum(mx.ones((3,)), stream=local).item()

        here, there = use(), in_thread(use)
        assert here[0] != there[0]
        assert here[1] == there[1] == 3
        assert use()[0] == here[0]

    def test_a_stream_for_any_thread(self):
        stream = mx.new_thread_unsafe_stream(mx.cpu)
        assert in_thread(lambda: mx.sum(mx.ones((3,)), stream=stream).item()) == 3

    def test_computed_arrays_cross_threads(self):
        x = mx.ones((3,)) * 2
        mx.eval(x)
        assert in_thread(lambda: (x + 1).tolist()) == [3, 3, 3]

    @pytest.mark.skipif(REAL, reason="MLX refuses what belongs to another thread")
    def test_everything_crosses_threads_here(self):
        x, stream = mx.ones((3,)) * 2, mx.new_stream(mx.cpu)
        assert in_thread(lambda: mx.add(x, 1, stream=stream).tolist()) == [3, 3, 3]

    def test_synchronize(self):
        x = mx.ones((3,)) + 1
        mx.async_eval(x)
        for stream in (None, mx.cpu, mx.default_stream(mx.cpu), mx.new_stream(mx.cpu)):
            assert mx.synchronize(stream) is None
        assert x.tolist() == [2, 2, 2]


class TestEvaluation:
    @pytest.mark.parametrize("function", [mx.eval, mx.async_eval])
    def test_trees_of_anything(self, function):
        x, y = mx.ones((2,)) + 1, mx.ones((2,)) * 3
        assert function([x, {"y": y, "n": 3}], "text", None, (x, [object()]), 2.5) is None
        assert function() is None
        assert x.tolist() == [2, 2]
        assert y.tolist() == [3, 3]

    def test_keywords_are_refused(self):
        with pytest.raises(TypeError):
            mx.eval(x=mx.ones((2,)))


class TestMemory:
    def test_counts(self):
        mx.reset_peak_memory()
        x = mx.ones((1000,)) + 1
        mx.eval(x)
        assert mx.get_active_memory() >= 4000
        assert mx.get_peak_memory() >= 4000
        assert mx.get_cache_memory() >= 0
        assert mx.get_array_buffer_size(x) >= 4000
        assert mx.get_array_buffer_size([x, {"x": x}]) == mx.get_array_buffer_size(x)
        with pytest.raises(ValueError):
            mx.get_array_buffer_size(x + 1)
        mx.clear_cache()
        assert mx.get_cache_memory() == 0

    @pytest.mark.parametrize("setter", [mx.set_memory_limit, mx.set_cache_limit])
    def test_limits_return_the_one_before(self, setter):
        before = setter(1 << 30)
        try:
            assert setter(1 << 29) == 1 << 30
        finally:
            setter(before)

    def test_the_limit_of_memory_is_a_guideline(self):
        before = mx.set_memory_limit(10)
        try:
            assert mx.get_memory_limit() == 10
            assert mx.sum(mx.ones((10000,)) + mx.arange(10000)).item() > 0
        finally:
            mx.set_memory_limit(before)

    @pytest.mark.parametrize("setter", [mx.set_memory_limit, mx.set_cache_limit, mx.set_wired_limit])
    @pytest.mark.parametrize("limit", [-1, 1.5, "1"])
    def test_limits_are_whole_numbers(self, setter, limit):
        with pytest.raises(TypeError):
            setter(limit)


class TestPrintOptions:
    def test_context(self):
        assert mx.get_printoptions().precision == -1
        with mx.printoptions(precision=3) as options:
            assert mx.get_printoptions().precision == 3
            with mx.printoptions(1):
                assert mx.get_printoptions().precision == 1
            assert mx.get_printoptions().precision == 3
            assert options is not None
        assert mx.get_printoptions().precision == -1

    def test_set(self):
        mx.set_printoptions(precision=5)
        assert mx.get_printoptions().precision == 5
        mx.set_printoptions()
        assert mx.get_printoptions().precision == -1
        assert mx.PrintOptions(precision=2).precision == 2


class TestWithoutOtherDevices:
    @pytest.mark.skipif(mx.metal.is_available(), reason="there is a Metal device")
    def test_metal(self):
        assert not mx.metal.is_available()
        assert mx.metal.device_info() == {}
        assert mx.metal.start_capture("trace.gputrace") is None
        assert mx.metal.stop_capture() is None
        kernel = mx.fast.metal_kernel("k", ["x"], ["y"], "y[0] = x[0];", header="", atomic_outputs=False)
        arguments = {
            "output_shapes": [(3,)],
            "output_dtypes": [mx.float32],
            "grid": (1, 1, 1),
            "threadgroup": (1, 1, 1),
        }
        with pytest.raises(RuntimeError):
            kernel(inputs=[mx.ones((3,))], **arguments)
        with pytest.raises(TypeError):
            kernel(mx.ones((3,)))
        with pytest.raises(TypeError):
            mx.fast.metal_kernel("k", ["x"], ["y"])

    @pytest.mark.skipif(mx.cuda.is_available(), reason="there is a CUDA device")
    def test_cuda(self):
        assert not mx.cuda.is_available()
        with pytest.raises(RuntimeError):
            mx.fast.cuda_kernel("k", ["x"], ["y"], "")


class TestDistributed:
    def test_a_group_of_one(self):
        group = mx.distributed.init()
        assert (group.rank(), group.size()) == (0, 1)
        assert mx.distributed.is_available()
        for backend in ("any", "ring", "mpi"):
            assert mx.distributed.init(backend=backend).size() == 1
        with pytest.raises(RuntimeError):
            group.split(0)
        with pytest.raises(TypeError):
            mx.distributed.Group()

    @pytest.mark.parametrize("name", ["all_sum", "all_gather", "all_max", "all_min", "sum_scatter"])
    def test_what_all_do_together_is_what_one_does(self, name):
        x = mx.array([[1.0, 2.0], [3.0, 4.0]])
        function = getattr(mx.distributed, name)
        for arguments in ({}, {"group": mx.distributed.init()}, {"stream": mx.cpu}, {"group": None}):
            y = function(x, **arguments)
            assert y.tolist() == x.tolist()
            assert y is not x
        y[0, 0] = 5
        assert x[0, 0].item() == 1
        assert mx.grad(lambda x: (function(x) * x).sum())(x).tolist() == (2 * x).tolist()

    def test_there_is_nobody_to_talk_to(self):
        x = mx.ones((2,))
        for call in (
            lambda: mx.distributed.send(x, 0),
            lambda: mx.distributed.recv((2,), mx.float32, 0),
            lambda: mx.distributed.recv_like(x, 0),
        ):
            with pytest.raises(ValueError):
                call()

    def test_refusals(self):
        with pytest.raises(ValueError):
            mx.distributed.init(backend="carrier pigeon")
        for backend in ("any", "ring", "mpi", "nccl"):
            with pytest.raises(RuntimeError):
                mx.distributed.init(strict=True, backend=backend)
        with pytest.raises(TypeError):
            mx.distributed.all_sum(mx.ones((2,)), group=1)
