"""Metal's objects: what they answer, and misuse that ends the process as under Metal's validation layer."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest
from metal_host import LIBRARY, Id, Pool, Size, Text, Unsigned

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="`make metal` builds the software Metal device")


def test_the_device_says_what_it_is(host):
    send, device = host.runtime.send, host.device
    with Pool(host.runtime):
        assert host.runtime.text(send(device, "name")) == "Software Metal device"
    assert send(device, "hasUnifiedMemory", result=ctypes.c_bool)
    assert send(device, "maxThreadgroupMemoryLength", result=Unsigned) == 32768
    assert [send(device, "supportsFamily:", family, types=[ctypes.c_long], result=ctypes.c_bool)
            for family in (1007, 5001, 1010)] == [True, True, False]  # fmt: skip
    assert send(device, "respondsToSelector:", Id(host.runtime.library.sel_registerName(b"newFence")), types=[Id],
                result=ctypes.c_bool)  # fmt: skip


def test_structures_are_returned(host):
    """maxThreadsPerThreadgroup is an MTLSize."""
    library = host.runtime.library
    if hasattr(library, "objc_msgSend_stret"):
        address = ctypes.cast(library.objc_msgSend_stret, Id).value
    else:
        address = host.runtime.address
    function = ctypes.CFUNCTYPE(Size, Id, Id)(address)
    size = function(host.device, Id(library.sel_registerName(b"maxThreadsPerThreadgroup")))
    assert (size.width, size.height, size.depth) == (1024, 1024, 1024)


def test_completion_handlers_are_called_once(host):
    calls = []
    invoke = ctypes.CFUNCTYPE(None, Id, Id)(lambda block, buffer: calls.append(buffer))

    class Descriptor(ctypes.Structure):
        _fields_ = [("reserved", Unsigned), ("size", Unsigned)]

    class Block(ctypes.Structure):
        _fields_ = [("isa", Id), ("flags", ctypes.c_int), ("reserved", ctypes.c_int), ("invoke", Id),
                    ("descriptor", ctypes.POINTER(Descriptor))]  # fmt: skip

    descriptor = Descriptor(0, ctypes.sizeof(Block))
    block = Block(None, 0, 0, ctypes.cast(invoke, Id), ctypes.pointer(descriptor))
    send = host.runtime.send
    with Pool(host.runtime):
        commands = Id(send(host.queue, "commandBuffer"))
        send(commands, "addCompletedHandler:", ctypes.byref(block), types=[Id], result=None)
        ctypes.memset(ctypes.byref(block), 0, ctypes.sizeof(block))  # it was copied
        send(commands, "commit", result=None)
        send(commands, "waitUntilCompleted", result=None)
        assert calls == [commands.value]
        assert send(commands, "status", result=Unsigned) == 4


def test_events_order_two_queues(host):
    send = host.runtime.send
    kernel = host.kernel("kernel void k(device int* y) { y[0] = y[0] * 10 + 7; }")
    event, other = Id(send(host.device, "newSharedEvent")), Id(send(host.device, "newCommandQueue"))
    y = host.buffer(np.array([1, 0], "i"))
    with Pool(host.runtime):
        buffers = []
        for queue, waits in ((other, True), (host.queue, False)):  # the one that waits is committed first
            commands = Id(send(queue, "commandBuffer"))
            if waits:
                send(commands, "encodeWaitForEvent:value:", event, 3, types=[Id, ctypes.c_uint64], result=None)
                encoder = Id(send(commands, "blitCommandEncoder"))
                copy = "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:"
                send(encoder, copy, y, 0, y, 4, 4, types=[Id, Unsigned, Id, Unsigned, Unsigned], result=None)
            else:
                encoder = Id(send(commands, "computeCommandEncoder"))
                send(encoder, "setComputePipelineState:", kernel.pipeline, types=[Id], result=None)
                send(encoder, "setBuffer:offset:atIndex:", y, 0, 0, types=[Id, Unsigned, Unsigned], result=None)
                one = Size(1, 1, 1)
                send(encoder, "dispatchThreadgroups:threadsPerThreadgroup:", one, one, types=[Size, Size], result=None)
            send(encoder, "endEncoding", result=None)
            if not waits:
                send(commands, "encodeSignalEvent:value:", event, 3, types=[Id, ctypes.c_uint64], result=None)
            send(commands, "commit", result=None)
            buffers.append(commands)
        for commands in buffers:
            send(commands, "waitUntilCompleted", result=None)
    assert ctypes.cast(send(y, "contents"), ctypes.POINTER(ctypes.c_int))[:2] == [17, 17]
    for thing in (y, event, other):
        send(thing, "release", result=None)


def test_private_memory_is_reached_by_copies(host):
    send = host.runtime.send
    private = Id(send(host.device, "newBufferWithLength:options:", 64, 2 << 4, types=[Unsigned, Unsigned]))
    assert send(private, "contents") is None
    x, y = np.arange(16, dtype="i"), np.zeros(16, "i")
    a, b = host.buffer(x), host.buffer(y)
    with Pool(host.runtime):
        commands = Id(send(host.queue, "commandBuffer"))
        encoder = Id(send(commands, "blitCommandEncoder"))
        copy = "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:"
        types = [Id, Unsigned, Id, Unsigned, Unsigned]
        send(encoder, copy, a, 0, private, 0, 64, types=types, result=None)
        send(encoder, copy, private, 32, b, 0, 32, types=types, result=None)
        send(encoder, "endEncoding", result=None)
        send(commands, "commit", result=None)
        send(commands, "waitUntilCompleted", result=None)
    ctypes.memmove(y.ctypes.data, send(b, "contents"), 64)
    np.testing.assert_array_equal(y, [*x[8:], *[0] * 8])
    for buffer in (a, b, private):
        send(buffer, "release", result=None)


MISUSE = {
    "commit twice": (
        "send(commands, 'commit'); send(commands, 'commit')",
        "commit of a command buffer that was committed",
    ),
    "commit with an open encoder": (
        "send(commands, 'computeCommandEncoder'); send(commands, 'commit')",
        "commit of a command buffer while an encoder of it is open",
    ),
    "two encoders": (
        "send(commands, 'computeCommandEncoder'); send(commands, 'blitCommandEncoder')",
        "blitCommandEncoder while another encoder of the command buffer is open",
    ),
    "end twice": (
        "e = Id(send(commands, 'computeCommandEncoder')); send(e, 'endEncoding'); send(e, 'endEncoding')",
        "endEncoding of an encoder that has ended",
    ),
    "wait without a commit": ("send(commands, 'waitUntilCompleted')", "that was not committed"),
    "release too often": (
        "send(commands, 'release'); send(commands, 'status')",
        "message status to a released MTLCommandBuffer",
    ),
    "unknown message": ("send(commands, 'frobnicate')", "a MTLCommandBuffer does not know frobnicate"),
    "long setBytes": (
        "e = Id(send(commands, 'computeCommandEncoder'));"
        "send(e, 'setBytes:length:atIndex:', b'0' * 5000, 5000, 0, types=[Text, Unsigned, Unsigned])",
        "setBytes:length:atIndex: of 5000 bytes",
    ),
    "index": (
        "e = Id(send(commands, 'computeCommandEncoder'));"
        "send(e, 'setBytes:length:atIndex:', b'0', 1, 31, types=[Text, Unsigned, Unsigned])",
        "with the index 31; the last is 30",
    ),
    "offset": (
        "e = Id(send(commands, 'computeCommandEncoder')); b = host.buffer(np.zeros(4));"
        "send(e, 'setBuffer:offset:atIndex:', b, 32, 0, types=[Id, Unsigned, Unsigned])",
        "with the offset 32 in buffer",
    ),
    "no pool": ("pool.__exit__(); send(host.queue, 'commandBuffer')", "is autoreleased where there is no pool"),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_ends_the_process(case):
    code, message = MISUSE[case]
    assert Text and Id  # names that the code uses
    program = f"""
import numpy as np
from metal_host import *
host = Host()
pool = Pool(host.runtime)
pool.__enter__()
send = host.runtime.send
commands = Id(send(host.queue, "commandBuffer"))
{code}
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=LIBRARY.parents[2] / "tests/metal", capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode < 0
    assert message in done.stderr
