"""Functions in files, and pictures of graphs.

A file has a list of operations for each trace of a function, and the arrays that it captured: it can be called without the
code that made it. Its format is funcnn's own, not MLX's.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

from ... import _core
from ...io._replace import replace
from ._compile import compile
from ._shapeless import Family, family
from ._transforms import check_function
from ._wrap import mutable

__all__ = ["FunctionExporter", "export_function", "export_to_dot", "exporter", "import_function"]

_native: Any = _core.compat
# Then the length of the header in 8 bytes, the header as JSON, and the constants, each at a multiple of 64 bytes.
_MAGIC = b"\x89fnfun\r\n"
_VERSION = 1
_ALIGNMENT = 64
# Functions for other sizes than the examples', of each trace.
_MOST_MEMBERS = 64


def _arrays(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[list[Any], dict[str, Any]]:
    """The positional and the named arrays of a call: given as such, or in a tuple or list, a dict, or both."""
    if not kwargs and 1 <= len(args) <= 2 and isinstance(args[-1], dict):
        *given, kwargs = args
        args = tuple(given[0]) if given and isinstance(given[0], (tuple, list)) else tuple(given)
    elif not kwargs and len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    strings = all(isinstance(key, str) for key in kwargs)
    if not strings or not all(isinstance(x, _core.array) for x in (*args, *kwargs.values())):
        raise ValueError(
            f"{name}: arguments must be arrays, by position and by name, or a single tuple or list and a dict of them"
        )
    return list(args), {key: kwargs[key] for key in sorted(kwargs)}


class _Trace:
    """What the function is for one kind of arguments."""

    def __init__(
        self, written: Any, positional: int, keywords: list[str], shapeless: bool, family: Family | None
    ) -> None:
        self.written, self.positional, self.keywords, self.family = written, positional, keywords, family
        self.contents = written.contents()
        self._members: dict[tuple[int, ...], Callable[..., Any]] = {}
        inputs, self.nodes, self.outputs, self.constants = self.contents
        self.inputs = [(tuple(shape), dtype) for shape, dtype in inputs]
        self.signature = (
            positional,
            tuple(keywords),
            tuple((len(shape) if shapeless else shape, dtype) for shape, dtype in self.inputs),
        )

    @functools.cached_property
    def function(self) -> Callable[..., Any]:
        """It for arguments like the examples."""
        function: Callable[..., Any] = compile(self.written)
        return function

    def function_for(self, shapes: tuple[tuple[int, ...], ...]) -> Callable[..., Any] | None:
        """It for arguments of these shapes, if there is one."""
        if shapes == tuple(shape for shape, _ in self.inputs):
            return self.function
        sizes = self.family.sizes(shapes) if self.family else None
        return None if sizes is None else self._member(sizes)

    def _member(self, sizes: tuple[int, ...]) -> Callable[..., Any]:
        assert self.family is not None
        if sizes not in self._members:
            try:
                function: Callable[..., Any] = compile(_native.read_function(_with_dtypes(self.family.member(sizes))))
            except ValueError as error:
                raise ValueError(
                    f"import_function: the function cannot be called with arrays of these shapes: {error}"
                ) from error
            if len(self._members) >= _MOST_MEMBERS:
                del self._members[next(iter(self._members))]
            self._members[sizes] = function
        return self._members[sizes]

    def bounds(self) -> str:
        """What arguments of other shapes have to keep."""
        free = self.family.axes if self.family else []
        names = [str(i) if i < self.positional else self.keywords[i - self.positional] for i in range(len(self.inputs))]

        def listed(axes: Iterable[tuple[int, int]]) -> str:
            return ", ".join(f"axis {k} of argument {names[i]}" for i, k in axes)

        every = {(i, k) for i, (shape, _) in enumerate(self.inputs) for k in range(len(shape))}
        fixed = sorted(every - {axis for group in free for axis in group})
        told = [f"of one size are {listed(group)}" for group in free if len(group) > 1]
        told += [f"{listed([(i, k)])} has size {self.inputs[i][0][k]}" for i, k in fixed]
        return "; ".join(told)

    def __str__(self) -> str:
        kinds = [f"{dtype}{shape}" for shape, dtype in self.inputs]
        named = [f"{key}={kind}" for key, kind in zip(self.keywords, kinds[self.positional :], strict=True)]
        return f"({', '.join([*kinds[: self.positional], *named])})"


def _traced(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], shapeless: bool) -> _Trace:
    positional, named = _arrays(args, kwargs, "export_function")

    def flat(arrays: list[Any]) -> Any:
        result = fun(*arrays[: len(positional)], **dict(zip(named, arrays[len(positional) :], strict=True)))
        results = [result] if isinstance(result, _core.array) else result
        if not isinstance(results, (tuple, list)) or not all(isinstance(x, _core.array) for x in results):
            raise ValueError("export_function: the function must return an array, or a tuple or list of arrays")
        return results

    keywords, examples = list(named), [*positional, *named.values()]

    def graph(shapes: tuple[tuple[int, ...], ...]) -> Any:
        arguments = [mutable(_core.zeros(shape, x.dtype)) for shape, x in zip(shapes, examples, strict=True)]
        return _native.write_function(flat, arguments, True).contents()

    written = _native.write_function(flat, examples, shapeless)
    found = family(written.contents(), graph) if shapeless else None
    if found is not None:
        written = _native.read_function(_with_dtypes(found.graph))
    return _Trace(written, len(positional), keywords, shapeless, found)


def _longer(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with two elements along axes with one."""
    positional, named = _arrays(args, kwargs, "export_function")

    def longer(x: Any) -> Any:
        return mutable(_core.broadcast_to(x, tuple(2 if n == 1 else n for n in x.shape)))

    return tuple(map(longer, positional)), {key: longer(x) for key, x in named.items()}


def _bytes(x: Any) -> bytes:
    if x.dtype == _core.bfloat16:
        x = _core.view(x, _core.uint16)
    import numpy as np

    return np.ascontiguousarray(np.asarray(x)).tobytes()


class _Constants:
    """The arrays of a file, each once."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.parts: list[bytes] = []
        self._places: dict[tuple[Any, ...], int] = {}
        self._end = 0

    def _place(self, x: Any) -> int:
        data, dtype = _bytes(x), x.dtype.name
        key = (dtype, x.shape, hashlib.sha256(data).digest())
        if key not in self._places:
            self._places[key] = len(self.entries)
            self.entries.append({"dtype": dtype, "shape": x.shape, "offset": self._end, "bytes": len(data)})
            padding = -len(data) % _ALIGNMENT
            self.parts += [data, bytes(padding)]
            self._end += len(data) + padding
        return self._places[key]

    def stored(self, contents: Any) -> list[Any]:
        """A graph with numbers in the place of its constants."""
        inputs, nodes, outputs, constants = contents
        nodes = [[*node[:4], [self.stored(graph) for graph in node[4]]] for node in nodes]
        return [inputs, nodes, outputs, [self._place(x) for x in constants]]


def _loaded(stored: Any, constants: list[Any]) -> tuple[Any, ...]:
    inputs, nodes, outputs, places = stored
    nodes = [
        (name, text, operands, _kinds(results), [_loaded(graph, constants) for graph in graphs])
        for name, text, operands, results, graphs in nodes
    ]
    return _kinds(inputs), nodes, outputs, [constants[i] for i in places]


class FunctionExporter:
    """What ``exporter`` returns: each call adds a trace, and closing it writes the file. A context manager, which writes
    nothing after an error."""

    def __init__(self, file: str, fun: Callable[..., Any], shapeless: bool, metadata: str | None) -> None:
        self._file, self._fun, self._shapeless, self._metadata = file, fun, shapeless, metadata
        self._traces: list[_Trace] = []
        self._closed = False

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Add the trace for arguments like these."""
        if self._closed:
            raise RuntimeError("export_function: the exporter is closed")
        trace = _traced(self._fun, args, kwargs, self._shapeless)
        if any(trace.signature == known.signature for known in self._traces):
            raise RuntimeError(f"export_function: there is a trace for {trace} already")
        self._traces.append(trace)
        if self._shapeless and not all(n != 1 for shape, _ in trace.inputs for n in shape):
            # Axes with one element are a matter of their own, since operations may leave them alone. So that examples with such
            # axes stand for longer ones too, there is another trace, if the function takes those.
            with contextlib.suppress(ValueError, TypeError, IndexError):
                self._traces.append(_traced(self._fun, *_longer(args, kwargs), self._shapeless))

    def close(self) -> None:
        """Write the file."""
        if self._closed:
            return
        self._closed = True
        store = _Constants()
        traces = [
            {"positional": t.positional, "keywords": t.keywords, "graph": store.stored(t.contents)}
            | ({"family": t.family.stored()} if t.family else {})
            for t in self._traces
        ]
        header = json.dumps(
            {
                "version": _VERSION,
                "metadata": self._metadata or "",
                "shapeless": self._shapeless,
                "constants": store.entries,
                "traces": traces,
            }
        ).encode()
        start = len(_MAGIC) + 8
        header += b" " * (-(start + len(header)) % _ALIGNMENT)

        def write(path: str) -> None:
            with open(path, "wb") as stream:
                stream.write(_MAGIC + len(header).to_bytes(8, "little") + header)
                for part in store.parts:
                    stream.write(part)

        replace(self._file, write)

    def __enter__(self) -> FunctionExporter:
        return self

    def __exit__(self, kind: Any, *exception: Any) -> None:
        # After an error there is no file, or the one there was: what is written has all traces.
        if kind is None:
            self.close()
        self._closed = True


def exporter(
    file: str, fun: Callable[..., Any], *, shapeless: bool = False, metadata: str | None = None
) -> FunctionExporter:
    """Return what writes several traces of a function to a file: call it with examples of the arguments.

    Args:
        file: The path.
        fun: A function of arrays, by position or name, that returns an array, or a tuple or list of them.
        shapeless: Let arguments of an imported function have other sizes than the examples, where the function does the same
            operations for them. The function is called several times more, to see what follows from the sizes: those of which
            it is a function for other sizes are free, in Python's numbers, too (``x.shape[0]``); an axis for which it does
            something else keeps its size. Sizes of about a thousand are the largest that are looked at.
        metadata: A text to keep with it.

    Raises:
        RuntimeError: There is a trace for such arguments, or the exporter is closed.
        ValueError: An argument or a result is no array; or the function has an operation that cannot be written. An imported
            function raises it for arguments of shapes for which it is none.

    >>> import os, tempfile
    >>> import funcnn.compat.core as mx
    >>> path = os.path.join(tempfile.mkdtemp(), "sum.mlxfn")
    >>> with mx.exporter(path, lambda *args: sum(args)) as export:
    ...     export(mx.array(1))
    ...     export(mx.array(1), mx.array(2))
    >>> [x.item() for x in mx.import_function(path)(mx.array(3), mx.array(4))]
    [7]
    """
    check_function("exporter", fun)
    return FunctionExporter(_path(file, "exporter"), fun, bool(shapeless), metadata)


def _path(file: Any, name: str) -> str:
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError(f"{name}: expected the path of a file, got {type(file).__name__}")
    return os.fspath(file)


def export_function(
    file_or_callback: str | Callable[[dict[str, Any]], Any],
    fun: Callable[..., Any],
    *args: Any,
    shapeless: bool = False,
    metadata: str | None = None,
    **kwargs: Any,
) -> None:
    """Write a function to a file, for arguments like those given; see ``exporter``.

    A callback gets dicts instead, which describe inputs, outputs, constants and then each operation; its arguments are a list
    with the text that ``fn.explain`` shows, if there is any.

    >>> import funcnn.compat.core as mx
    >>> mx.export_function(lambda part: print(part["type"], part.get("name", "")), lambda x: mx.exp(x), mx.array(1.0))
    inputs
    keyword_inputs
    outputs
    constants
    primitive exp
    """
    check_function("export_function", fun)
    if callable(file_or_callback):
        if metadata is not None:
            raise ValueError("export_function: metadata is for files, not for callbacks")
        _describe(_traced(fun, args, kwargs, bool(shapeless)), file_or_callback)
        return
    with_traces = FunctionExporter(_path(file_or_callback, "export_function"), fun, bool(shapeless), metadata)
    with_traces(*args, **kwargs)
    with_traces.close()


def _letters(number: int) -> str:
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def _describe(trace: _Trace, callback: Callable[[dict[str, Any]], Any]) -> None:
    def value(number: int, kind: Any) -> tuple[str, tuple[int, ...], Any]:
        shape, dtype = kind
        return _letters(number), tuple(shape), _dtype(dtype)

    kinds = list(trace.inputs) + [(x.shape, x.dtype.name) for x in trace.constants]
    for node in trace.nodes:
        kinds += node[3]
    values = [value(i, kind) for i, kind in enumerate(kinds)]
    count, first = len(trace.inputs), len(trace.inputs) + len(trace.constants)
    callback({"type": "inputs", "inputs": values[:count]})
    names = [(key, values[trace.positional + i][0]) for i, key in enumerate(trace.keywords)]
    callback({"type": "keyword_inputs", "keywords": names})
    callback({"type": "outputs", "outputs": [values[i] for i in trace.outputs]})
    constants = [(_letters(count + i), mutable(x)) for i, x in enumerate(trace.constants)]
    callback({"type": "constants", "constants": constants})
    for name, parameters, inputs, outputs, _ in trace.nodes:
        callback(
            {
                "type": "primitive",
                "name": name,
                "inputs": [values[i] for i in inputs],
                "outputs": values[first : first + len(outputs)],
                "arguments": [parameters] if parameters else [],
            }
        )
        first += len(outputs)


class _Imported:
    """A function from a file."""

    def __init__(self, traces: list[_Trace], shapeless: bool) -> None:
        self._shapeless = shapeless
        self._traces = traces
        self._functions: dict[Any, list[_Trace]] = {}
        for trace in traces:
            self._functions.setdefault(trace.signature, []).append(trace)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call the trace for such arguments."""
        positional, named = _arrays(args, kwargs, "import_function")
        arrays = [*positional, *named.values()]
        kinds = tuple((x.ndim if self._shapeless else x.shape, x.dtype.name) for x in arrays)
        known = self._functions.get((len(positional), tuple(named), kinds))
        if known is None:
            raise ValueError(
                f"import_function: the function was not exported for {len(positional)} positional and {len(named)} named "
                f"arguments like ({', '.join(f'{dtype}{shape}' for shape, dtype in kinds)}); there is "
                + ", ".join(map(str, self._traces))
            )
        shapes = tuple(x.shape for x in arrays)
        function = next(filter(None, (trace.function_for(shapes) for trace in known)), None)
        if function is None:
            raise ValueError(
                "import_function: the function cannot be called with arrays of these shapes, "
                f"{', '.join(map(str, shapes))}: " + " or ".join(trace.bounds() for trace in known)
            )
        result: tuple[Any, ...] = function(*arrays)
        return result


def import_function(file: str, return_metadata: bool = False) -> Any:
    """Read a function from a file that ``export_function`` or ``exporter`` has written; and its metadata if asked for.

    It takes arrays by position and name, or a tuple or list and a dict of them, and returns a tuple of arrays.

    Raises:
        RuntimeError: The file cannot be opened, or is none of funcnn's.
    """
    path = _path(file, "import_function")
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise RuntimeError(f"import_function: cannot open {path}: {error.strerror}") from error
    try:
        traces, shapeless, metadata = _read(data)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise RuntimeError(f"import_function: {path} is damaged or no function of funcnn's: {error}") from error
    function = _Imported(traces, shapeless)
    return (function, metadata) if return_metadata else function


def _read(data: bytes) -> tuple[list[_Trace], bool, str]:
    start = len(_MAGIC) + 8
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it does not begin as one")
    length = int.from_bytes(data[len(_MAGIC) : start], "little")
    if length > len(data) - start:
        raise ValueError("it ends early")
    header = json.loads(data[start : start + length].decode())
    if header["version"] != _VERSION:
        raise ValueError(f"it has version {header['version']!r}, and this funcnn reads {_VERSION}")
    body = memoryview(data)[start + length :]
    constants = [_constant(entry, body) for entry in header["constants"]]
    shapeless, metadata = header["shapeless"], header["metadata"]
    if not isinstance(shapeless, bool) or not isinstance(metadata, str):
        raise ValueError("it has a malformed header")
    traces = []
    for trace in header["traces"]:
        written = _native.read_function(_loaded(trace["graph"], constants))
        positional, keywords = trace["positional"], trace["keywords"]
        if positional + len(keywords) != len(trace["graph"][0]):
            raise ValueError("it has a malformed header")
        of = Family.read(written.contents(), trace["family"]) if "family" in trace else None
        traces.append(_Trace(written, positional, keywords, shapeless, of))
    return traces, shapeless, metadata


_NUMPY = {"bfloat16": "uint16", "bool": "bool_"}


def _dtype(name: str) -> Any:
    if name not in _DTYPES:
        raise ValueError(f"there is no dtype {name!r}")
    return getattr(_core, "bool_" if name == "bool" else name)


_DTYPES = frozenset(
    ["bool", "bfloat16", "float16", "float32", "float64", "complex64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def _with_dtypes(graph: Any) -> Any:
    """A graph with dtypes in the place of their names."""
    inputs, nodes, outputs, constants = graph
    nodes = [(*node[:3], _kinds(node[3]), [_with_dtypes(g) for g in node[4]]) for node in nodes]
    return _kinds(inputs), nodes, outputs, constants


def _kinds(pairs: list[Any]) -> list[tuple[Any, Any]]:
    return [(tuple(shape), _dtype(dtype)) for shape, dtype in pairs]


def _constant(entry: dict[str, Any], body: memoryview) -> Any:
    dtype, shape, offset, count = entry["dtype"], entry["shape"], entry["offset"], entry["bytes"]
    if not all(isinstance(n, int) and n >= 0 for n in (*shape, offset, count)):
        raise ValueError("it has a malformed constant")
    import numpy as np

    kind = np.dtype(_NUMPY.get(_dtype(dtype).name, dtype))
    if offset + count > len(body) or math.prod(shape) * kind.itemsize != count:
        raise ValueError("it ends early")
    elements = np.frombuffer(body[offset : offset + count], kind).reshape(shape)
    made = _core.array(elements, _dtype("uint16" if dtype == "bfloat16" else dtype))
    return _core.view(made, _core.bfloat16) if dtype == "bfloat16" else made


def export_to_dot(file: Any, *args: Any, **kwargs: Any) -> None:
    """Draw what arrays that are not computed yet depend on, in the DOT language of Graphviz.

    Args:
        file: The path of a file, or what has a ``write`` method.
        args: The arrays, or trees of them.
        kwargs: Names for arrays in the graph.

    >>> import sys
    >>> import funcnn.compat.core as mx
    >>> a, b = mx.array(1.0), mx.array(2.0)
    >>> mx.export_to_dot(sys.stdout, a + b, a=a, b=b)
    digraph {
    { rank=source; "a"; }
    { rank=source; "b"; }
    { 1 [label ="add", shape=rectangle]; }
    "a" -> 1
    "b" -> 1
    { rank=sink; "A"; }
    1 -> "A"
    }
    """
    arrays, _ = _native.take_apart(args, "export_to_dot", "refuse")
    for name, x in kwargs.items():
        if not isinstance(x, _core.array):
            raise ValueError(f"export_to_dot: {name} must be an array, got {type(x).__name__}")
    text = _native.dot(arrays, kwargs)
    if isinstance(file, (str, os.PathLike)):
        with open(file, "w") as stream:
            stream.write(text)
    elif hasattr(file, "write"):
        file.write(text)
    else:
        raise ValueError(f"export_to_dot: expected a path or a file to write to, got {type(file).__name__}")
