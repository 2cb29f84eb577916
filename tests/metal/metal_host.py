"""A small Metal host program: what tests of the software device say to it, through objc_msgSend as any program does."""

import ctypes
import os
import pathlib

import numpy as np

LIBRARY = pathlib.Path(__file__).parents[2] / "build" / "metal" / "libsoftware_metal.so"

Id, Unsigned, Text = ctypes.c_void_p, ctypes.c_ulong, ctypes.c_char_p


DATA_TYPES = {"float32": 3, "int32": 29, "uint32": 33, "bool": 53}  # MTLDataType


class Size(ctypes.Structure):
    _fields_ = [("width", Unsigned), ("height", Unsigned), ("depth", Unsigned)]


class MetalError(Exception):
    """What an NSError says."""


class Runtime:
    def __init__(self, path):
        self.library = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL)
        for name in ("sel_registerName", "objc_getClass", "objc_autoreleasePoolPush", "MTLCreateSystemDefaultDevice"):
            getattr(self.library, name).restype = Id
        self.library.objc_autoreleasePoolPop.argtypes = [Id]
        for name in ("sel_registerName", "objc_getClass"):
            getattr(self.library, name).argtypes = [Text]
        self.address = ctypes.cast(self.library.objc_msgSend, Id).value

    def send(self, receiver, name, *arguments, types=(), result=Id):
        """Send a message; `types` are those of the arguments."""
        function = ctypes.CFUNCTYPE(result, Id, Id, *types)(self.address)
        return function(receiver, Id(self.library.sel_registerName(name.encode())), *arguments)

    def string(self, text):
        return self.send(self.library.objc_getClass(b"NSString"), "stringWithUTF8String:", text.encode(), types=[Text])

    def text(self, string):
        return self.send(string, "UTF8String", result=Text).decode()


class Pool:
    def __init__(self, runtime):
        self.library = runtime.library

    def __enter__(self):
        self.pool = Id(self.library.objc_autoreleasePoolPush())

    def __exit__(self, *_):
        self.library.objc_autoreleasePoolPop(self.pool)


class Kernel:
    """A compiled kernel. Calling it runs it once and waits."""

    def __init__(self, host, source, name, constants):
        self.host, runtime = host, host.runtime
        with Pool(runtime):
            error = Id()
            library = runtime.send(
                host.device,
                "newLibraryWithSource:options:error:",
                Id(runtime.string(source)),
                None,
                ctypes.byref(error),
                types=[Id, Id, Id],
            )
            if not library:
                raise MetalError(host.error_text(error))
            values = Id(host.new("MTLFunctionConstantValues"))
            for index, value in (constants or {}).items():
                data = value.tobytes()
                runtime.send(
                    values,
                    "setConstantValue:type:atIndex:",
                    data,
                    DATA_TYPES[value.dtype.name],
                    index,
                    types=[Text, Unsigned, Unsigned],
                )
            function = runtime.send(
                library,
                "newFunctionWithName:constantValues:error:",
                Id(runtime.string(name)),
                values,
                ctypes.byref(error),
                types=[Id, Id, Id],
            )
            runtime.send(values, "release", result=None)
            if not function:
                raise MetalError(host.error_text(error))
            self.pipeline = Id(
                runtime.send(
                    host.device,
                    "newComputePipelineStateWithFunction:error:",
                    Id(function),
                    ctypes.byref(error),
                    types=[Id, Id],
                )
            )

    def __call__(self, *arguments, groups=None, threads=None, grid=None, shared=()):
        self.host.run([(self, arguments, groups, threads, grid, shared)])


class Addresses:
    """An argument: the addresses of arrays. `usage` is what useResource is told, 1 to read and 2 to write; None: nothing."""

    def __init__(self, *arrays, usage=3):
        self.arrays, self.usage = arrays, usage


def three(size):
    size = (size,) if isinstance(size, int) else tuple(size)
    return Size(*size, *(1,) * (3 - len(size)))


class Host:
    """A device and a queue. NumPy arrays are copied into buffers and back; bytes go by setBytes."""

    def __init__(self, path=LIBRARY):
        self.runtime = Runtime(path)
        self.device = Id(self.runtime.library.MTLCreateSystemDefaultDevice())
        self.queue = Id(self.runtime.send(self.device, "newCommandQueue"))

    def kernel(self, source, name="k", constants=None):
        return Kernel(self, "#include <metal_stdlib>\nusing namespace metal;\n" + source, name, constants)

    def new(self, name):
        """[[name alloc] init]"""
        return self.runtime.send(self.runtime.send(self.runtime.library.objc_getClass(name.encode()), "alloc"), "init")

    def error_text(self, error):
        return self.runtime.text(self.runtime.send(error, "localizedDescription"))

    def buffer(self, array):
        send = self.runtime.send
        buffer = Id(send(self.device, "newBufferWithLength:options:", array.nbytes, 0, types=[Unsigned, Unsigned]))
        ctypes.memmove(send(buffer, "contents"), array.ctypes.data, array.nbytes)
        return buffer

    def run(self, dispatches, barriers=(), concurrent=True):
        """Encode (kernel, arguments, groups, threads, grid, shared) one after another, with barriers before those whose
        numbers are given, run them, and bring the arrays back."""
        send = self.runtime.send
        buffers, arrays = {}, {}

        def buffer_of(array):
            if id(array) not in buffers:
                buffers[id(array)], arrays[id(array)] = self.buffer(array), array
            return buffers[id(array)]

        with Pool(self.runtime):
            commands = Id(send(self.queue, "commandBuffer"))
            encoder = Id(send(commands, "computeCommandEncoderWithDispatchType:", int(concurrent), types=[Unsigned]))
            for number, (kernel, arguments, groups, threads, grid, shared) in enumerate(dispatches):
                if number in barriers:
                    send(encoder, "memoryBarrierWithScope:", 1, types=[Unsigned])
                send(encoder, "setComputePipelineState:", kernel.pipeline, types=[Id])
                for index, argument in enumerate(arguments):
                    if isinstance(argument, Addresses):
                        for array in argument.arrays if argument.usage else ():
                            use = (buffer_of(array), argument.usage)
                            send(encoder, "useResource:usage:", *use, types=[Id, Unsigned], result=None)
                        made = [send(buffer_of(array), "gpuAddress", result=Unsigned) for array in argument.arrays]
                        argument = np.array(made, np.uint64).tobytes()
                    if isinstance(argument, np.ndarray):
                        send(
                            encoder,
                            "setBuffer:offset:atIndex:",
                            buffer_of(argument),
                            0,
                            index,
                            types=[Id, Unsigned, Unsigned],
                        )
                    elif argument is not None:
                        data = bytes(argument)
                        send(
                            encoder,
                            "setBytes:length:atIndex:",
                            data,
                            len(data),
                            index,
                            types=[Text, Unsigned, Unsigned],
                        )
                for index, length in enumerate(shared):
                    send(
                        encoder,
                        "setThreadgroupMemoryLength:atIndex:",
                        length,
                        index,
                        types=[Unsigned, Unsigned],
                    )
                message = "dispatchThreads" if grid else "dispatchThreadgroups"
                send(
                    encoder,
                    message + ":threadsPerThreadgroup:",
                    three(grid or groups or 1),
                    three(threads or 1),
                    types=[Size, Size],
                    result=None,
                )
            send(encoder, "endEncoding", result=None)
            send(commands, "commit", result=None)
            send(commands, "waitUntilCompleted", result=None)
            error = send(commands, "error")
            message = self.error_text(error) if error else None
            for key, buffer in buffers.items():
                array = arrays[key]
                if array.flags.writeable:
                    ctypes.memmove(array.ctypes.data, send(buffer, "contents"), array.nbytes)
                send(buffer, "release", result=None)
        if message:
            raise MetalError(message)
