"""What a call of the native core says whose arguments fit its signature in no way."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from . import _core
from ._hyper import plain
from ._signatures import overloads

P = ParamSpec("P")
R = TypeVar("R")

# Names that other libraries give to arguments.
_OTHER_NAMES: dict[str, str | tuple[str, ...]] = {
    "dim": "axis",
    "dims": "axis",
    "axes": "axis",
    "keepdim": "keepdims",
    "correction": "ddof",
    "size": "shape",
    "fill_value": "vals",
    "N": "n",
    "M": "m",
    "a": "x",
    "input": ("x", "predictions", "inputs", "logits"),
    "in_dims": "in_axes",
    "out_dims": "out_axes",
    "donate_argnums": "donate",
    "donate_argnames": "donate",
    "minval": "low",
    "maxval": "high",
    "rng": "key",
    "seed": "key",
    "reduce": "reduction",
    "weight": ("weights", "class_weights"),
    "filename": "path",
    "file": "path",
    "other": "b",
    "arr": "x",
    "in_features": "input_dims",
    "out_features": "output_dims",
    "features": "output_dims",
    "use_bias": "bias",
    "normalized_shape": "dims",
    "embedding_dim": "dims",
    "epsilon": "eps",
    "rate": "p",
    "lr": "learning_rate",
    "b1": "betas",
    "b2": "betas",
}


def explain(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Raise what is wrong with a refused call; if only NumPy's scalars were, call again with Python's."""
    converted = [plain(x) for x in args], {name: plain(x) for name, x in kwargs.items()}
    changed = any(x is not y for x, y in zip(args, converted[0], strict=True))
    if changed or any(kwargs[name] is not x for name, x in converted[1].items()):
        return function(*converted[0], **converted[1])
    signature = _signature(function, kwargs)
    name = _public_name(function, args)
    if signature is None:
        raise TypeError(f"{name}: got arguments of types {_types(args, kwargs)}")
    shown = f"{name}{signature}"
    if "self" in signature.parameters:
        shown = f"{name}{signature.replace(parameters=list(signature.parameters.values())[1:])}"
    for word in kwargs:
        if word not in signature.parameters:
            raise TypeError(
                f"{name}: got an unexpected keyword argument {word!r}{_other_name(signature, word)}; expected {shown}"
            )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; expected {shown}") from None
    # Whether a parameter for any object takes None the signature does not tell: others that are wrong come first.
    last = None
    for parameter, value in bound.arguments.items():
        annotation = signature.parameters[parameter].annotation
        if parameter != "self" and annotation is not inspect.Parameter.empty:
            wanted = _kinds(annotation)
            if value is None and "None" not in wanted:
                expected = " or ".join(_WORDS.get(kind, kind) for kind in wanted)
                refusal = TypeError(f"{name}: {parameter} must be {expected}, got None")
                if wanted != ["object"]:
                    raise refusal
                last = last or refusal
                continue
            if all(kind in _TESTS for kind in wanted) and not any(_is(value, kind) for kind in wanted):
                expected = " or ".join(_WORDS.get(kind, kind) for kind in wanted)
                too_large = wanted[0] == "int" and hasattr(type(value), "__index__") and not isinstance(value, bool)
                raise (ValueError if too_large else TypeError)(
                    f"{name}: {parameter} must be {expected}{' of 64 bits' if too_large else ''}, got {_show(value)}"
                )
    raise last or TypeError(f"{name}: got arguments of types {_types(args, kwargs)}; expected {shown}")


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function written in Python name the argument that a call of it has wrong, as those of the native core do."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if refusal := _refused(function.__name__, inspect.signature(function), args, kwargs):
                raise refusal from None
            raise

    return call


def explain_construction(cls: type) -> None:
    """Let a class name the argument that a call of it has wrong, as the functions of the native core do."""
    made = cls.__dict__["__init__"]
    # attrs writes there what converters take, which is anything.
    if made.__code__.co_filename.startswith("<attrs"):
        fields: Any = getattr(cls, "__attrs_attrs__", ())
        types = {field.alias: field.type for field in fields if field.init and field.type is not None}
        made.__annotations__.update(types)

    @functools.wraps(made)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            made(self, *args, **kwargs)
        except TypeError:
            own = inspect.signature(made)
            own = own.replace(parameters=list(own.parameters.values())[1:])
            if refusal := _refused(type(self).__name__, own, args, kwargs):
                raise refusal from None
            raise

    cls.__init__ = __init__  # type: ignore[misc]


def _refused(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TypeError | None:
    """What is wrong with arguments that do not fit the signature; None if they do."""
    signature = inspect.Signature(
        [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    )
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = [word for word in kwargs if word not in signature.parameters]
        what = (
            f"got an unexpected keyword argument {unknown[0]!r}{_other_name(signature, unknown[0])}"
            if unknown
            else error
        )
        return TypeError(f"{name}: {what}; expected {name}{signature}")
    return None


def _signature(function: Any, kwargs: dict[str, Any]) -> inspect.Signature | None:
    """The signature that the function was defined with, of several the one that has most of the names given."""
    found = max(overloads(function), key=lambda s: sum(word in s.parameters for word in kwargs), default=None)
    return found and found.replace(
        parameters=[_by_name_too(p) for p in found.parameters.values()], return_annotation=inspect.Signature.empty
    )


def _by_name_too(parameter: inspect.Parameter) -> inspect.Parameter:
    """Names of positional-only arguments also are keywords in the core."""
    positional = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
    return parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) if positional else parameter


def _public_name(function: Any, args: tuple[Any, ...]) -> str:
    name: str = function.__name__
    if name == "__init__":
        return type(args[0]).__name__ if args else "__init__"
    if name.startswith("random_"):
        return f"random.{name.removeprefix('random_')}"
    return name if name.startswith("__") else name.lstrip("_")


def _kinds(annotation: str) -> list[str]:
    """The kinds of values an annotation allows."""

    def alternatives(node: ast.expr) -> list[ast.expr]:
        if isinstance(node, ast.BinOp):
            return [*alternatives(node.left), *alternatives(node.right)]
        return [node]

    kinds = []
    for node in alternatives(ast.parse(annotation, mode="eval").body):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            kinds.append("str")
        else:
            kinds.append(ast.unparse(node))
    return kinds


def _fits(test: Callable[[Any], Any], *errors: type[Exception]) -> Callable[[Any], bool]:
    def holds(x: Any) -> bool:
        try:
            return test(x) is not False
        except errors:
            return False

    return holds


_TESTS: dict[str, Callable[[Any], bool]] = {
    "None": lambda x: x is None,
    "int": _fits(lambda x: -(2**63) <= operator.index(x) < 2**64, TypeError),
    "float": _fits(lambda x: not isinstance(x, str) and float(x) is not None, TypeError, ValueError, OverflowError),
    "bool": lambda x: isinstance(x, bool),
    "str": lambda x: isinstance(x, str),
    "array": lambda x: isinstance(x, _core.array),
    "Dtype": _fits(lambda x: _core.zeros(0, x), TypeError),
}
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "True or False",
    "str": "a string",
    "array": "an array",
    "ArrayLike": "an array, a number or nested lists of numbers",
    "Sequence[int]": "a sequence of integers",
    "Sequence[ArrayLike]": "a sequence of arrays",
    "object": "a value",
    "Dtype": 'a dtype such as fn.float32 or "float32"',
}


def _is(value: Any, kind: str) -> bool:
    return _TESTS[kind](value)


def _show(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, _core.array):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"


def _types(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    shown = [type(x).__name__ for x in args]
    shown += [f"{name}={type(x).__name__}" for name, x in kwargs.items()]
    return f"({', '.join(shown)})"


def _other_name(signature: inspect.Signature, name: str) -> str:
    others = _OTHER_NAMES.get(name, ())
    for other in (others,) if isinstance(others, str) else others:
        if other in signature.parameters:
            return f"; here it is called {other!r}"
    close = difflib.get_close_matches(name, signature.parameters, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
