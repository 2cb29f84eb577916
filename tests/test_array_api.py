"""The array API standard (2024.12): names, signatures, namespaces, and what is documented to differ."""

import inspect
import pathlib
import re

import numpy as np
import pytest

import funcnn as fn
from array_api import signatures


def accepted(function):
    """The signatures that a function can be called with."""
    if inspect.isclass(function):
        function = function.__init__
    overloads = getattr(function, "__nb_signature__", None)
    if overloads is None:
        return [inspect.signature(function)]
    found = []
    for text, *_ in overloads:
        # Annotations are names of the stubs; defaults are literals.
        scope = {}
        exec(f"from __future__ import annotations\n{text}: ...", {}, scope)
        found.append(inspect.signature(scope.popitem()[1]))
    return found


def expected(text):
    scope = {}
    exec(f"from math import inf\ndef f{text}: ...", {}, scope)
    return inspect.signature(scope["f"])


def calls(signature):
    """Arguments to bind: every parameter by position where it may be, then by name where it may be."""
    kinds = inspect.Parameter
    parameters = signature.parameters.values()
    by_name = {p.name: p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY}
    either = [p.name for p in parameters if p.kind is kinds.POSITIONAL_OR_KEYWORD]
    first = [p.name for p in parameters if p.kind is kinds.POSITIONAL_ONLY]
    several = ["x", "y"] if any(p.kind is kinds.VAR_POSITIONAL for p in parameters) else []
    yield [*first, *either, *several], by_name
    if not several:
        yield first, by_name | {name: name for name in either}
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    yield [*needed, *several], {}


def binds(signature, args, kwargs):
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def check_signature(function, text, method=False):
    wanted, mine = expected(text), accepted(function)
    if method or inspect.isclass(function):
        mine = [s.replace(parameters=list(s.parameters.values())[1:]) for s in mine]
    for args, kwargs in calls(wanted):
        assert any(binds(s, args, kwargs) for s in mine), f"{mine} cannot be called with {args}, {kwargs}"
    for name, parameter in wanted.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY or (
            parameter.default is not parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            defaults = [s.parameters[name].default for s in mine if name in s.parameters]
            assert parameter.default in defaults or (name == "correction" and defaults == [None]), (name, defaults)


@pytest.mark.parametrize("name", signatures.FUNCTIONS)
def test_functions(name):
    check_signature(getattr(fn, name), signatures.FUNCTIONS[name])


@pytest.mark.parametrize("name", signatures.LINALG)
def test_linear_algebra(name):
    check_signature(getattr(fn.linalg, name), signatures.LINALG[name])


@pytest.mark.parametrize("name", signatures.FFT)
def test_fourier_transforms(name):
    check_signature(getattr(fn.fft, name), signatures.FFT[name])


@pytest.mark.parametrize("name", signatures.METHODS)
def test_methods(name):
    check_signature(getattr(fn.array, name), signatures.METHODS[name], method=True)


@pytest.mark.parametrize("name", signatures.INFO)
def test_inspection(name):
    check_signature(getattr(fn.__array_namespace_info__, name), signatures.INFO[name], method=True)


def test_names():
    for name in (*signatures.ATTRIBUTES, *signatures.OPERATORS):
        assert hasattr(fn.array, name), name
    for name in (*signatures.CONSTANTS, *signatures.DTYPES, *signatures.FUNCTIONS, "__array_namespace_info__"):
        assert hasattr(fn, name), name
    assert fn.__array_api_version__ == "2024.12"


def test_the_namespace_of_an_array():
    x = fn.ones(2)
    assert x.__array_namespace__() is fn
    for version in ("2021.12", "2022.12", "2023.12", "2024.12"):
        assert x.__array_namespace__(api_version=version) is fn
    with pytest.raises(ValueError, match="version '1999.12' of the array API is not known"):
        x.__array_namespace__(api_version="1999.12")


@pytest.mark.on_cpu
def test_what_the_namespace_says_of_itself():
    info = fn.__array_namespace_info__()
    assert info.default_device() == fn.Device("cpu")
    assert info.default_device() in info.devices()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}
    assert info.default_dtypes() == {
        "real floating": fn.array(1.0).dtype,
        "complex floating": fn.array(1j).dtype,
        "integral": fn.array(1).dtype,
        "indexing": fn.nonzero(fn.ones(1))[0].dtype,
    }
    assert set(info.dtypes()) == set(signatures.DTYPES)
    assert all(getattr(fn, name) == dtype for name, dtype in info.dtypes().items())
    assert list(info.dtypes(kind="unsigned integer")) == ["uint8", "uint16", "uint32", "uint64"]
    assert list(info.dtypes(kind=("bool", "complex floating"), device="cpu")) == ["bool", "complex64"]
    with pytest.raises(ValueError, match="unknown kind 'words'"):
        info.dtypes(kind="words")
    with pytest.raises(ValueError, match="dtypes: there is no device gpu:3 .* which has cpu"):
        info.dtypes(device="gpu:3")


def test_arrays_of_any_rank():
    assert fn.ones((1,) * 80).sum().item() == 1


CREATED = {
    "arange": lambda **k: fn.arange(3, **k),
    "asarray": lambda **k: fn.asarray([1, 2], **k),
    "empty": lambda **k: fn.empty(3, **k),
    "empty_like": lambda **k: fn.empty_like(fn.ones(3), **k),
    "eye": lambda **k: fn.eye(3, **k),
    "full": lambda **k: fn.full(3, 2, **k),
    "full_like": lambda **k: fn.full_like(fn.ones(3), 2, **k),
    "linspace": lambda **k: fn.linspace(0, 1, 3, **k),
    "ones": lambda **k: fn.ones(3, **k),
    "ones_like": lambda **k: fn.ones_like(fn.ones(3), **k),
    "zeros": lambda **k: fn.zeros(3, **k),
    "zeros_like": lambda **k: fn.zeros_like(fn.ones(3), **k),
    "astype": lambda **k: fn.astype(fn.ones(3), fn.int32, **k),
    "array.astype": lambda **k: fn.ones(3).astype(fn.int32, **k),
    "from_dlpack": lambda **k: fn.from_dlpack(np.ones(3, np.float32), **k),
}


@pytest.mark.parametrize("name", CREATED)
def test_device_arguments(name):
    plain = CREATED[name]()
    for device in ("cpu", fn.cpu, fn.Device("cpu")):
        made = CREATED[name](device=device)
        assert made.device == fn.cpu
        assert made.dtype == plain.dtype
        np.testing.assert_array_equal(made, plain)
    with pytest.raises(ValueError, match="no device gpu:9"):
        CREATED[name](device="gpu:9")
    with pytest.raises(TypeError, match="expected a device"):
        CREATED[name](device=3)


def test_to_device():
    x = fn.ones(3) + 1
    assert x.to_device("cpu").device == fn.cpu
    np.testing.assert_array_equal(x.to_device(x.device), x)
    with pytest.raises(ValueError, match="stream must be None"):
        x.to_device("cpu", stream=1)
    assert fn.grad(lambda x: (x.to_device("cpu") ** 2).sum())(x).tolist() == [4.0] * 3


@pytest.mark.on_cpu  # NumPy shares memory of the host
def test_copies():
    numbers = np.zeros(3, np.float32)
    shared = fn.asarray(numbers)
    views = {
        "none": fn.asarray(shared),
        "reshape": fn.reshape(shared, (3, 1)),
        "astype": shared.astype(fn.float32, copy=False),
    }
    copies = {
        "asarray": fn.asarray(shared, copy=True),
        "reshape": fn.reshape(shared, (3, 1), copy=True),
        "astype": fn.astype(shared, fn.float32),
        "from_dlpack": fn.from_dlpack(numbers, copy=True),
    }
    fn.eval(*views.values(), *copies.values())
    numbers += 1
    for name, x in views.items():
        assert x.sum().item() == 3, name
    for name, x in copies.items():
        assert x.sum().item() == 0, name


def test_what_cannot_be_without_a_copy():
    columns = fn.array([[1, 2], [3, 4]]).T
    assert fn.reshape(columns, (2, 1, 2), copy=False).tolist() == [[[1, 3]], [[2, 4]]]
    with pytest.raises(ValueError, match=r"reshape: an array of shape \(2, 2\) as it lies in memory has to be copied"):
        fn.reshape(columns, (4,), copy=False)
    with pytest.raises(fn.TracedValueError):
        fn.compile(lambda x: fn.reshape(x, (4,), copy=False))(columns)
    with pytest.raises(ValueError, match="asarray: numbers and lists have to be copied"):
        fn.asarray([1], copy=False)
    with pytest.raises(TypeError, match="from_dlpack: expected an object with __dlpack__, got list"):
        fn.from_dlpack([1])


DEVIATIONS = pathlib.Path(__file__).parents[1] / "docs" / "array_api.md"


def rows():
    text = DEVIATIONS.read_text(encoding="utf-8")
    table = text[text.index("## What differs") :]
    return re.findall(r"^\| (?!---|What)(.+?) \| (.+?) \|$", table, re.MULTILINE)


def raises(exception, call):
    with pytest.raises(exception):
        call()
    return True


X = fn.array([3.0, 1.0, 2.0])
INTEGERS = fn.array([1, 2], dtype=fn.uint8)

# What is documented to differ, each with the proof that it does.
DIFFERS = {
    "`x[i] = v`": lambda: raises(TypeError, lambda: X.__setitem__(0, 1.0)),
    "Shapes that depend on values, under `fn.compile` and `fn.vmap`": lambda: raises(
        fn.TracedValueError, lambda: fn.compile(fn.unique_values)(X)
    ),
    "`complex128`": lambda: not hasattr(fn, "complex128"),
    "Positions": lambda: [f(X).dtype for f in (fn.argmax, fn.argmin, fn.argsort)] == [fn.uint32] * 3,
    "Integers in `matmul` and `tensordot`": lambda: (
        all(raises(ValueError, lambda f=f: f(INTEGERS, INTEGERS)) for f in (fn.matmul, fn.linalg.matmul))
        and all(
            raises(ValueError, lambda f=f: f(INTEGERS, INTEGERS, axes=1)) for f in (fn.tensordot, fn.linalg.tensordot)
        )
        and fn.vecdot(INTEGERS, INTEGERS).dtype == fn.uint32
    ),
    "`meshgrid`": lambda: type(fn.meshgrid(X)) is tuple,
    '`capabilities()["max dimensions"]`': lambda: (
        fn.__array_namespace_info__().capabilities()["max dimensions"] is None
    ),
    "Masks of length 0": lambda: raises(IndexError, lambda: fn.ones(1)[fn.zeros(0, dtype=fn.bool_)]),
    "Promotion": lambda: (
        fn.promote_types(fn.uint64, fn.int8) == fn.float32 and (fn.array([1]) + fn.array([1.0])).dtype == fn.float32
    ),
    "Integers in functions of real numbers": lambda: fn.sin(fn.array([1])).dtype == fn.float32,
    "`sqrt` of infinite complex numbers": lambda: (
        fn.sqrt(fn.array([complex(np.inf, 1)])).tolist() == [complex(np.inf, 0)]
    ),
    "Bools in arithmetic": lambda: fn.add(fn.array([True]), fn.array([True])).tolist() == [True],
    "Functions and methods take more": lambda: fn.sum(X, 0).item() == 6,
}


def test_deviations_are_documented():
    assert [what for what, _ in rows()] == list(DIFFERS)
    assert all(len(reason) > 20 for _, reason in rows())


@pytest.mark.parametrize("what", DIFFERS)
def test_deviations_are_true(what):
    assert DIFFERS[what]()
