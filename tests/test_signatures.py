"""What `inspect` and `help` are told of the functions of the native core."""

import inspect
import pydoc
import types
import typing

import pytest

import funcnn as fn


def functions():
    """Everything public that is called, with its name."""
    for module in (
        fn,
        fn.fast,
        fn.fft,
        fn.io,
        fn.linalg,
        fn.nn,
        fn.nn.init,
        fn.nn.losses,
        fn.optim,
        fn.random,
        fn.tree,
    ):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, (type, types.GenericAlias)) and type(value) is not fn.Dtype:
                yield f"{module.__name__}.{name}", value
    for cls in (fn.array, fn.ArrayAt, fn.Device):
        for name, value in vars(cls).items():
            if name[0] != "_" and callable(value):
                yield f"{cls.__name__}.{name}", value


def test_every_public_function_has_a_signature():
    without = []
    for name, function in functions():
        try:
            inspect.signature(function)
        except (TypeError, ValueError):
            without.append(name)
    assert without == []


def test_annotations_can_be_evaluated():
    """As libraries do that check types while a program runs."""
    wrong = []
    for name, function in functions():
        if inspect.isfunction(function):
            try:
                typing.get_type_hints(function)
            except NameError as error:
                wrong.append(f"{name}: {error}")
    assert wrong == []


def test_signatures_are_those_of_the_docs():
    assert str(inspect.signature(fn.tanh)) == "(x: ArrayLike, /) -> array"
    found = inspect.signature(fn.sum).parameters
    assert list(found) == ["x", "axis", "keepdims", "initial", "where", "dtype"]
    assert found["x"].kind is inspect.Parameter.POSITIONAL_ONLY
    assert found["keepdims"].default is False and found["axis"].default is None
    assert found["where"].kind is inspect.Parameter.KEYWORD_ONLY


def test_methods_lose_their_first_parameter_where_they_are_bound():
    assert next(iter(inspect.signature(fn.array.mean).parameters)) == "self"
    assert next(iter(inspect.signature(fn.ones(3).mean).parameters)) == "axis"


def test_constructors_show_the_types_of_fields():
    found = inspect.signature(fn.nn.Linear).parameters
    assert {name: p.annotation for name, p in found.items()} == {
        "input_dims": "int",
        "output_dims": "int",
        "bias": "bool",
    }
    assert inspect.signature(fn.nn.Sequential).parameters["layers"].annotation == "Any"
    assert inspect.signature(fn.optim.adam).parameters["eps"].annotation == "float"


@pytest.mark.parametrize("function", [fn.sum, fn.array.mean, fn.where, fn.ones(2).sum])
def test_help_shows_signature_and_text(function):
    shown = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert f"{function.__name__}(" in shown and inspect.cleandoc(function.__doc__).splitlines()[-1].strip() in shown
