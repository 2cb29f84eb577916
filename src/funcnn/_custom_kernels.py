"""Kernels that users write in the language of the GPU; :mod:`funcnn.fast` has the functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from . import _core
from ._arguments import flag, integer, integers
from ._core import Device, Dtype, array
from ._device import device_put
from ._streams import Stream
from ._types import ArrayLike

_MATH_MODES = ("safe", "relaxed", "fast")
# Metal and CUDA count threads with 32 bits.
_MOST = 2**32 - 1


@attrs.frozen(eq=False)
class CustomKernel:
    """A kernel made by :func:`funcnn.fast.metal_kernel` or :func:`funcnn.fast.cuda_kernel`. Call it with keywords.

    Attributes:
        name: What errors call it.
        input_names: Its inputs.
        output_names: Its outputs.
    """

    name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    _function: str = attrs.field(repr=False)
    _shared_bytes: int = attrs.field(repr=False)
    _source: Any = attrs.field(repr=False)

    def __call__(
        self,
        *,
        inputs: Sequence[ArrayLike],
        output_shapes: Sequence[Sequence[int]],
        output_dtypes: Sequence[Dtype],
        grid: tuple[int, int, int],
        threadgroup: tuple[int, int, int],
        template: Sequence[tuple[str, Dtype | bool | int]] | Mapping[str, Dtype | bool | int] | None = None,
        init_value: float | None = None,
        verbose: bool = False,
        stream: Stream | Device | str | None = None,
    ) -> list[array]:
        """Run the kernel, as lazily as any operation.

        Args:
            inputs: Arrays on the GPU, or numbers, one for each of `input_names`.
            output_shapes: The shape of each output.
            output_dtypes: The dtype of each output.
            grid: The number of threads in all along each of three dimensions.
            threadgroup: The number of threads of a group along each. On CUDA groups are always whole, so that a body has to
                check whether its thread is within the grid.
            template: Names that the body uses, each with a dtype, a bool or an integer; it is compiled once for each choice.
            init_value: What every element of the outputs is before the kernel runs. Without it they are undefined, and the body
                has to write all of them.
            verbose: Print the whole text of the kernel.
            stream: A device to move the inputs to first; by default they have to be on a GPU.

        Returns:
            The outputs.

        Raises:
            ValueError: Lists of different lengths, inputs elsewhere than on a GPU of this language, more threads in a group
                than the GPU has, or a machine without a GPU. When computed: text that does not compile.
            TypeError: An argument of another kind.
        """
        what = f"{self._function} {self.name}"
        given = _sequence(inputs, f"{what}: inputs")
        shapes = _sequence(output_shapes, f"{what}: output_shapes")
        dtypes = _sequence(output_dtypes, f"{what}: output_dtypes")
        if len(given) != len(self.input_names):
            raise ValueError(f"{what}: expected {len(self.input_names)} inputs {self.input_names}, got {len(given)}")
        for name, items in (("output_shapes", shapes), ("output_dtypes", dtypes)):
            if len(items) != len(self.output_names):
                raise ValueError(
                    f"{what}: expected {name} for {len(self.output_names)} outputs {self.output_names}, got {len(items)}"
                )
        for dtype in dtypes:
            if not isinstance(dtype, _core.Dtype):
                raise TypeError(f"{what}: output_dtypes must be dtypes, got {dtype!r}")
        if stream is not None:
            device = stream.device if isinstance(stream, Stream) else _core.Device(stream)
            given = [device_put(x, device) for x in given]
        return _core._run_kernel(
            self._source,
            what,
            given,
            _arguments(template, {*self.input_names, *self.output_names}, what),
            _size(grid, 0, f"{what}: grid"),
            _size(threadgroup, 1, f"{what}: threadgroup"),
            shapes,
            dtypes,
            None if init_value is None else float(init_value),
            self._shared_bytes,
            flag(verbose, f"{what}: verbose"),
        )


def metal_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    atomic_outputs: bool = False,
    compile_options: Mapping[str, str] | None = None,
) -> CustomKernel:
    """Make a kernel from the body of a function in the Metal shading language.

    The signature around the body is generated. Each input ``x`` is there as a pointer to its elements (one of no axes as a
    reference), in the address space ``constant`` where it has fewer than 8 elements and ``device`` otherwise, each output as a
    ``device`` pointer. ``x_shape``, ``x_strides`` (in elements) and ``x_ndim`` are there if the body mentions them, and so are
    Metal's attributes, such as ``thread_position_in_grid``, under their own names. ``elem_to_loc(i, x_shape, x_strides, x_ndim)``
    is the place of the element number ``i``. Half precision is called ``float16_t`` and ``bfloat16_t``, complex numbers
    ``complex64_t``.

    The kernel works inside ``compile``, ``checkpoint`` and loops. ``vmap`` runs it once for each example, one launch
    after the other; where that is slow, write a kernel that takes the whole batch. It has no derivative of its own: give the
    function that calls it one with ``custom_vjp``.

    Args:
        name: What errors and profilers call it: an identifier.
        input_names: The names of the inputs in the body.
        output_names: The names of the outputs in the body; at least one.
        source: The body.
        header: Text before the function: helpers, includes.
        ensure_row_contiguous: Whether inputs that are transposed, strided or broadcast are copied first, so that the body finds
            elements side by side. Without it, the body uses ``x_strides``.
        atomic_outputs: Whether outputs are of type ``atomic<T>``; the body then uses atomic operations. Sums of floats then
            depend on the order in which threads come, from run to run.
        compile_options: ``{"math_mode": mode}``: ``"safe"`` (default) keeps infinities, NaN and signed zeros, ``"relaxed"`` may
            change the order of operations, ``"fast"`` takes for granted that there are none.

    Returns:
        The kernel, to be called with keywords: see :class:`CustomKernel`. It can be made on any machine.

    Raises:
        ValueError: Names that are no identifiers or occur twice, no output, an unknown option.
        TypeError: An argument of another kind.

    Example:
        >>> import funcnn as fn
        >>> kernel = fn.fast.metal_kernel(
        ...     name="scaled",
        ...     input_names=["x", "factor"],
        ...     output_names=["y"],
        ...     source="uint i = thread_position_in_grid.x; y[i] = T(x[i] * factor);",
        ... )
        >>> def scaled(x, factor):
        ...     return kernel(
        ...         inputs=[x, factor],
        ...         template=[("T", x.dtype)],
        ...         grid=(x.size, 1, 1),
        ...         threadgroup=(256, 1, 1),
        ...         output_shapes=[x.shape],
        ...         output_dtypes=[x.dtype],
        ...     )[0]
        >>> if fn.metal.is_available():
        ...     y = scaled(fn.device_put(fn.arange(4.0), fn.gpu), 2.0)
    """
    what = "metal_kernel"
    options = dict(compile_options or {})
    math = options.pop("math_mode", "safe")
    if options:
        raise ValueError(f"{what}: compile_options has only math_mode, got {next(iter(options))!r}")
    if math not in _MATH_MODES:
        raise ValueError(f"{what}: math_mode must be one of {_MATH_MODES}, got {math!r}")
    atomic = flag(atomic_outputs, f"{what}: atomic_outputs")
    return _made(what, name, input_names, output_names, source, header, ensure_row_contiguous, atomic, math, 0)


def cuda_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    shared_memory: int = 0,
) -> CustomKernel:
    """Make a kernel from the body of a function in CUDA C++.

    The signature around the body is generated: each input is there as a ``const`` pointer to its elements, each output as a
    pointer. ``x_shape``, ``x_strides`` (in elements) and ``x_ndim`` are there if the body mentions them;
    ``elem_to_loc(i, x_shape, x_strides, x_ndim)`` is the place of the element number ``i``. Positions are CUDA's own
    (``blockIdx``, ``threadIdx``, ``blockDim``). Everything else is as with :func:`metal_kernel`.

    Args:
        name: What errors and profilers call it: an identifier.
        input_names: The names of the inputs in the body.
        output_names: The names of the outputs in the body; at least one.
        source: The body.
        header: Text before the function: helpers, includes.
        ensure_row_contiguous: Whether inputs that are transposed, strided or broadcast are copied first, so that the body finds
            elements side by side. Without it, the body uses ``x_strides``.
        shared_memory: Bytes of dynamic shared memory, beyond what the body declares.

    Returns:
        The kernel, to be called with keywords: see :class:`CustomKernel`. It can be made on any machine.

    Raises:
        ValueError: Names that are no identifiers or occur twice, no output, a negative size.
        TypeError: An argument of another kind.

    Example:
        >>> import funcnn as fn
        >>> kernel = fn.fast.cuda_kernel(
        ...     name="doubled",
        ...     input_names=["x"],
        ...     output_names=["y"],
        ...     source="int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < N) y[i] = x[i] + x[i];",
        ... )
        >>> def doubled(x):
        ...     return kernel(
        ...         inputs=[x],
        ...         template=[("N", x.size)],
        ...         grid=(x.size, 1, 1),
        ...         threadgroup=(256, 1, 1),
        ...         output_shapes=[x.shape],
        ...         output_dtypes=[x.dtype],
        ...     )[0]
        >>> if fn.is_available(fn.gpu) and not fn.metal.is_available():
        ...     y = doubled(fn.device_put(fn.arange(4.0), fn.gpu))
    """
    what = "cuda_kernel"
    shared = integer(shared_memory, f"{what}: shared_memory")
    if not 0 <= shared <= _MOST:
        raise ValueError(f"{what}: shared_memory must be a number of bytes, got {shared}")
    return _made(what, name, input_names, output_names, source, header, ensure_row_contiguous, False, "safe", shared)


def _made(
    what: str,
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str,
    ensure_row_contiguous: bool,
    atomic_outputs: bool,
    math: str,
    shared_bytes: int,
) -> CustomKernel:
    for argument, text in (("name", name), ("source", source), ("header", header)):
        if not isinstance(text, str):
            raise TypeError(f"{what}: {argument} must be a text, got {type(text).__name__}")
    inputs = _sequence(input_names, f"{what}: input_names")
    outputs = _sequence(output_names, f"{what}: output_names")
    seen: set[str] = set()
    for argument in (name, *inputs, *outputs):
        _check_identifier(argument, what)
    for argument in (*inputs, *outputs):
        if argument in seen:
            raise ValueError(f"{what}: the name {argument!r} is there twice")
        seen.add(argument)
    if not outputs:
        raise ValueError(f"{what}: expected at least one name in output_names")
    dense = flag(ensure_row_contiguous, f"{what}: ensure_row_contiguous")
    made = _core._KernelSource(
        what == "cuda_kernel", name, inputs, outputs, source, header, dense, atomic_outputs, math
    )
    return CustomKernel(name, tuple(inputs), tuple(outputs), what, shared_bytes, made)


def _sequence(x: Any, what: str) -> list[Any]:
    if isinstance(x, (str, bytes, _core.array)) or not isinstance(x, Sequence):
        raise TypeError(f"{what} must be a list, got {type(x).__name__}")
    return list(x)


def _check_identifier(name: Any, what: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what}: names must be texts, got {type(name).__name__}")
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{what}: the name {name!r} is no identifier")


def _arguments(template: Any, taken: set[str], what: str) -> list[tuple[str, Any]]:
    """The arguments of the template, checked."""
    items = list(template.items()) if isinstance(template, Mapping) else _sequence(template or [], f"{what}: template")
    made: list[tuple[str, Any]] = []
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(f"{what}: template must have pairs of a name and a value, got {item!r}")
        name, value = item
        _check_identifier(name, what)
        if name in taken:
            raise ValueError(f"{what}: the name {name!r} is there twice")
        taken.add(name)
        if not isinstance(value, (bool, _core.Dtype)):
            value = integer(value, f"{what}: template argument {name}")
            if not -(2**31) <= value < 2**31:
                raise ValueError(f"{what}: template argument {name} must fit an int, got {value}")
        made.append((name, value))
    return made


def _size(x: Any, least: int, what: str) -> tuple[int, ...]:
    size = integers(x, what)
    if len(size) != 3 or not all(least <= n <= _MOST for n in size):
        raise ValueError(f"{what} must be three integers from {least} to {_MOST}, got {x}")
    return size
