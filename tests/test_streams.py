"""Kinds of devices and streams, as MLX has them."""

import pickle
import threading

import pytest

import funcnn as fn

pytestmark = pytest.mark.on_cpu


def test_kinds_stand_for_devices():
    assert fn.Device(fn.cpu) == fn.cpu == fn.Device("cpu") == "cpu"
    assert fn.Device(fn.gpu, 2) == fn.Device("gpu:2") != fn.gpu
    assert fn.Device("gpu", 2).type is fn.gpu and fn.Device("cpu").type is fn.cpu
    assert fn.Device("reference").type == "reference"
    assert [repr(kind) for kind in fn.DeviceType] == ["DeviceType.cpu", "DeviceType.gpu"]
    assert {fn.cpu: 1}[fn.DeviceType.cpu] == 1
    assert pickle.loads(pickle.dumps(fn.gpu)) is fn.gpu
    with pytest.raises(ValueError, match="expected an index from 0 to 15, got -1"):
        fn.Device("cpu", -1)
    with pytest.raises(ValueError, match="gpu:1 has an index already, got 2 too"):
        fn.Device("gpu:1", 2)


MISSING = {
    "default_stream": lambda d: fn.default_stream(d),
    "new_stream": lambda d: fn.new_stream(d),
    "device_info": lambda d: fn.device_info(d),
    "synchronize": lambda d: fn.synchronize(d),
    "stream": lambda d: fn.stream(d).__enter__(),
    "set_default_device": lambda d: fn.set_default_device(d),
    "default_device": lambda d: fn.default_device(d).__enter__(),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_device_that_is_not_there(name):
    with pytest.raises(ValueError, match="there is no device gpu:9 in this build or on this machine, which has cpu"):
        MISSING[name](fn.Device(fn.gpu, 9))
    with pytest.raises(TypeError, match=f"{name}: expected a device"):
        MISSING[name](3)


def test_what_is_there():
    assert fn.is_available(fn.cpu) and fn.is_available("cpu") and not fn.is_available("gpu:9")
    assert fn.device_count(fn.cpu) == 1
    assert fn.device_count(fn.gpu) == sum(fn.is_available(fn.Device(fn.gpu, i)) for i in range(16))
    info = fn.device_info()
    assert info == fn.device_info(fn.cpu) == fn.device_info(fn.default_device())
    assert isinstance(info["device_name"], str) and info["architecture"]
    with pytest.raises(TypeError, match="is_available: expected a device"):
        fn.is_available(3)


def test_streams():
    own = fn.default_stream(fn.cpu)
    assert own == fn.default_stream("cpu") == fn.Stream(fn.Device("cpu"), 0)
    first, second = fn.new_stream(fn.cpu), fn.new_stream("cpu")
    assert len({own, first, second}) == 3 and first.device == fn.cpu
    with fn.stream(first):
        assert fn.default_stream(fn.cpu) == first
        with fn.stream(fn.cpu):
            assert fn.default_stream(fn.cpu) == first
        with pytest.raises(KeyError), fn.stream(second):
            raise KeyError
        assert fn.default_stream(fn.cpu) == first
        other = []
        thread = threading.Thread(target=lambda: other.append(fn.default_stream(fn.cpu)))
        thread.start()
        thread.join()
        assert other == [own]
        fn.synchronize(first)
    assert fn.default_stream(fn.cpu) == own
    fn.set_default_stream(second)
    assert fn.default_stream(fn.cpu) == second
    fn.clear_streams()
    assert fn.default_stream(fn.cpu) == own
    with pytest.raises(TypeError, match="expected a Stream, got str"):
        fn.set_default_stream("cpu")


def test_new_arrays_go_to_the_device_of_the_stream():
    with fn.stream(fn.new_stream("reference")):
        x = fn.array([1.0, 2.0])
        assert fn.default_device() == x.device == "reference"
        assert (x * 2).tolist() == [2.0, 4.0]
        fn.synchronize("reference")
    assert fn.default_device() == fn.get_default_device()
    assert x.device == "reference"
