"""What a user of another library meets in the first hour: errors that name the argument, and hints."""

import dataclasses
import importlib
import importlib.metadata
import inspect
import math
import operator
import re
import subprocess
import sys
import textwrap

import attrs
import numpy as np
import pytest

import funcnn as fn
from funcnn import _hints, nn, optim, random, tree


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: fn.eye("3"), TypeError, r"eye: n must be an integer, got '3' \(str\)"),
        (lambda x: fn.eye(2**70), ValueError, "eye: n must be an integer of 64 bits"),
        (lambda x: fn.eye(), TypeError, r"eye: missing a required argument: 'n'; expected eye\(n: int"),
        (lambda x: fn.sum(x, dim=0), TypeError, "unexpected keyword argument 'dim'; here it is called 'axis'"),
        (lambda x: x.sum(keepdim=True), TypeError, "here it is called 'keepdims'"),
        (lambda x: fn.sum(x, axs=0), TypeError, "did you mean 'axis'?"),
        (lambda x: fn.sum(x, keepdims=3), TypeError, r"keepdims must be True or False, got 3 \(int\)"),
        (lambda x: fn.add(x, None), TypeError, "add: b must be an array, a number or nested lists.*, got None"),
        (lambda x: fn.array(), TypeError, "array: missing a required argument: 'obj'"),
        (lambda x: fn.array([1], dtpe=3), TypeError, "did you mean 'dtype'?"),
        (lambda x: fn.zeros("ab"), TypeError, "zeros: expected an integer or a sequence of integers, got 'ab'"),
        (lambda x: fn.zeros((2, 2.5)), TypeError, r"zeros: expected an integer, got 2.5 \(float\)"),
        (lambda x: fn.zeros(2, "float33"), TypeError, "expected a dtype.*'float33'"),
        (
            lambda x: fn.array(i for i in range(3)),
            TypeError,
            "convert a generator to an array; make a list of it first",
        ),
        (lambda x: fn.array(np.array([1, None])), TypeError, r"dtype object; convert it first, as in x.astype\(numpy"),
        (lambda x: fn.array(np.ones(2, ">f4")), ValueError, "foreign byte order; convert it first, as in x.astype"),
        (lambda x: fn.array(np.ones(2, "f4,i4")), TypeError, r"take its fields one by one, as in x\['name'\]"),
        (lambda x: fn.ones(2, dtype=fn.bfloat16).__array__(copy=False), ValueError, "converting bfloat16 needs a copy"),
        (lambda x: fn.promote_types("float32", "f"), TypeError, "promote_types: b must be a dtype.*got 'f'"),
        (lambda x: random.key(fn.array(3)), TypeError, "random.key: .* got an array; fold_in"),
        (lambda x: random.key("a"), TypeError, "random.key: the seed must be an integer, got 'a'"),
        (lambda x: random.split(random.key(0), 2.5), TypeError, "random.split: num must be an integer"),
        (lambda x: random.uniform(random.key(0), (2,), "f99"), TypeError, "random.uniform: dtype must be a dtype"),
        (lambda x: random.randint(random.key(0), (3,), 0, 5), TypeError, r"randint\(key, low, high, shape\)"),
        (lambda x: random.randint(random.key(0), (), 0, 5), TypeError, r"randint\(key, low, high, shape\)"),
        (lambda x: random.normal((2,), random.key(0)), TypeError, r"the key comes first, as in random.normal\(key, "),
        (lambda x: random.bits((2,), random.key(0)), TypeError, r"the key comes first, as in random.bits\(key, "),
        (lambda x: fn.zeros(fn.ones(2)), TypeError, r"got an array of shape \(2,\) and dtype float32; use its tolist"),
        (lambda x: fn.concatenate(x, x), TypeError, r"one argument, as in concatenate\(\[a, b\]\)"),
        (lambda x: fn.while_loop(lambda c: c > 0, lambda c: c, fn.ones(2)), TypeError, r"got shape \(2,\); reduce it"),
        (lambda x: fn.while_loop(lambda c: (c, c), lambda c: c, 1.0), TypeError, "one 0-d bool, got a tree of 2"),
        (
            lambda x: fn.take(x, 1.0),
            ValueError,
            "^take: indices must be integers, got float32; convert them with astype",
        ),
        (lambda x: fn.take(x[None], x, axis=1), ValueError, "^take: indices must be integers"),
        (lambda x: fn.take_along_axis(x, x, 0), ValueError, "^take_along_axis: indices must be integers"),
        (lambda x: fn.put_along_axis(x, x, x, 0), ValueError, "^put_along_axis: indices must be integers"),
        (lambda x: x.at[0].apply(3), TypeError, r"x.at\[...\].apply: function must be a function, got int"),
        (
            lambda x: fn.scan(lambda c, x: (c, x), 0, length="a"),
            TypeError,
            "scan: length must be an integer or None, got 'a'",
        ),
        (lambda x: fn.fori_loop(0, 3, 3, 0), TypeError, r"fori_loop: body_fun must be a function, got 3 \(int\)"),
        (lambda x: fn.fori_loop(0, 3, max, 0, unroll=0), ValueError, "fori_loop: unroll must be a bool or a positive"),
        (lambda x: fn.switch(0, [3]), TypeError, r"switch: branch 0 must be a function, got 3 \(int\)"),
        (
            lambda x: fn.switch(0, max),
            TypeError,
            "switch: branches must be a list of functions, got a builtin_function",
        ),
        (lambda x: fn.map(3, x), TypeError, "map: f must be a function"),
        (lambda x: fn.explain(3), TypeError, "explain: f must be a function"),
        (lambda x: fn.to_dot(3), TypeError, "to_dot: f must be a function"),
        (lambda x: fn.ShapeDtypeStruct((2, -1), "float32"), ValueError, r"no negative lengths, got \(2, -1\)"),
        (
            lambda x: fn.ShapeDtypeStruct((2.5,), "float32"),
            TypeError,
            "ShapeDtypeStruct: shape must be an integer or a seq",
        ),
        (
            lambda x: fn.argmax(x, axis=x),
            TypeError,
            r"argmax: expected an integer, got an array of shape \(2,\) and dtype",
        ),
        (lambda x: fn.pad(x, 2.5), TypeError, "pad: pad_width must be a width, .* got float"),
        (lambda x: fn.tensordot(x, x, 2.5), TypeError, "tensordot: axes must be a number of axes or .* got float"),
        (
            lambda x: nn.init.he_normal(random.key(0), "ab"),
            TypeError,
            "he_normal: shape must be an integer or a sequence",
        ),
        (
            lambda x: nn.init.he_normal(random.key(0), (2, 2), mode="fan"),
            ValueError,
            "he_normal: mode must be 'fan_in' or",
        ),
        (lambda x: fn.testing.check_grads(fn.sin, x), TypeError, "check_grads: args must be a tuple of .* got a array"),
        (
            lambda x: fn.testing.check_vmap(fn.sin, (x,), in_axes="a"),
            TypeError,
            "check_vmap: in_axes must be an integer",
        ),
        (lambda x: fn.scan(3, x, x), TypeError, "scan: f must be a function, got int"),
        (lambda x: fn.cond(True, 3, lambda: 1), TypeError, "cond: true_fun must be a function"),
        (lambda x: fn.while_loop(3, 4, x), TypeError, "while_loop: cond_fun must be a function"),
        (lambda x: fn.vjp(3, x), TypeError, "vjp: expected a function, got int"),
        (lambda x: fn.grad(lambda x: x, argnums="x"), TypeError, "grad: argnums must be an integer or a sequence"),
        (lambda x: fn.grad(lambda x: x, argnames=3), TypeError, "grad: argnames must be a string"),
        (
            lambda x: fn.compile(lambda x: x, static_argnums=1.5),
            TypeError,
            "compile: static_argnums must be an integer",
        ),
        (lambda x: fn.compile(lambda x: x, cache_size=1.5), TypeError, "compile: cache_size must be an integer"),
        (lambda x: fn.vmap(lambda x: x, axis_size=1.5)(x), TypeError, "axis_size: expected an integer"),
        (
            lambda x: fn.grad(lambda x: x.sum().item())(x),
            TypeError,
            "got float, which has no derivative: return the arr",
        ),
        (
            lambda x: fn.grad(lambda x: np.sin(x).sum())(x),
            TypeError,
            "got float32, .* functions of funcnn, not of numpy",
        ),
        (
            lambda x: fn.compile(lambda x: np.sin(x))(x),
            fn.TracedValueError,
            r"compute with .* \(fn.sin for numpy.sin, ",
        ),
        (lambda x: fn.compile(lambda x: math.sin(x))(x[0]), fn.TracedValueError, r"\(fn.sin for math.sin\)"),
        (
            lambda x: fn.compile(lambda x, y: x)(x, object()),
            TypeError,
            "the leaf at 1 is an object, not an array; pass",
        ),
        (lambda x: fn.io.save("x.npz", nn.Linear(2, 3)), ValueError, "a Linear holds no arrays: give the parameters"),
        (lambda x: optim.adam(0.1).update(x, x, x), TypeError, r"the order is update\(grads, state, params\)"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call(fn.array([1.0, 2.0]))


def test_what_cannot_be_hashed_is_named():
    with pytest.raises(TypeError, match=r"the value of 'b' cannot be hashed: unhashable type: 'list'"):
        hash(fn.frozendict({"a": 1, "b": [1]}))
    with pytest.raises(TypeError, match=r"compile of f: static arguments must be hashable, got \(\[1\],\)"):
        f = lambda x, n: x  # noqa: E731
        f.__name__ = "f"
        fn.compile(f, static_argnames="n")(fn.ones(2), [1])


def test_errors_of_functions_called_back_stay_as_they_are():
    def refuse(x):
        raise TypeError("f(): incompatible stuff")

    with pytest.raises(TypeError, match=r"^f\(\): incompatible stuff$"):
        fn.vmap(refuse)(fn.ones(2))


class TestNumPy:
    """Its integers, scalars and dtypes stand wherever Python's do."""

    def test_integers(self):
        two = np.int64(2)
        assert fn.zeros(two).shape == (2,)
        assert fn.zeros((two, np.uint8(3))).shape == (2, 3)
        assert fn.zeros(np.array([2, 3])).shape == (2, 3)
        assert fn.zeros(np.array(2)).shape == (2,)
        assert fn.pad(fn.ones(2), two).shape == (6,)
        assert fn.pad(fn.ones(2), (np.int64(0), np.int8(1))).shape == (3,)
        assert len(fn.split(fn.ones(4), two)) == 2
        assert fn.random.permutation(fn.random.key(0), two).shape == (2,)
        assert fn.tensordot(fn.ones((2, 2)), fn.ones((2, 2)), two).item() == 4.0
        assert fn.scan(lambda c, _: (c + 1, None), fn.array(0), None, length=two)[0].item() == 2
        with pytest.raises(ValueError, match="does not fit uint8"):
            fn.random.randint(fn.random.key(0), np.int64(-1), 3, dtype=fn.uint8)
        x = fn.arange(6.0).reshape(two, np.int16(3))
        assert x.sum(axis=np.int32(1)).tolist() == [3.0, 12.0]
        assert x.sum(axis=(np.int32(0), np.int8(1))).item() == 15.0
        assert x[np.int64(1), np.uint8(2)].item() == 5.0
        assert x.sum(keepdims=np.True_).shape == (1, 1)
        assert fn.random.split(fn.random.key(np.uint32(0)), two).shape == (2, 2)
        assert (
            fn.random.fold_in(fn.random.key(0), np.int64(3)).tolist() == fn.random.fold_in(fn.random.key(0), 3).tolist()
        )

    def test_argnums(self):
        x, y = fn.array(2.0), fn.array(3.0)
        f = lambda x, y: x * y * y  # noqa: E731
        one = np.int64(1)
        assert fn.grad(f, argnums=one)(x, y).item() == 12.0
        assert [g.item() for g in fn.grad(f, argnums=(np.int8(0), one))(x, y)] == [9.0, 12.0]
        assert [g.item() for g in fn.grad(f, argnums=np.array([0, 1]))(x, y)] == [9.0, 12.0]
        assert fn.jacrev(f, argnums=one)(x, y).item() == fn.jacfwd(f, argnums=one)(x, y).item() == 12.0
        assert fn.vmap(f, in_axes=(np.int64(0), None))(fn.array([1.0, 2.0]), y).tolist() == [9.0, 18.0]
        assert fn.vmap(f, in_axes=(np.int64(-1), None), axis_size=np.int64(2))(fn.ones(2), y).shape == (2,)
        assert fn.compile(lambda x, n: x * n, static_argnums=one)(x, 3).item() == 6.0
        assert fn.compile(lambda x: x * 2, donate=np.int64(0))(fn.array(2.0)).item() == 4.0

    def test_scalars(self):
        x = fn.array([1.0, 2.0], dtype=fn.float16)
        for number in (np.float32(2), np.float64(2), np.int64(2), np.array(2.0, np.float16)):
            assert (x * number).dtype == fn.float16
            assert (number * x).dtype == fn.float16
            assert isinstance(number * x, fn.array)
        assert fn.allclose(x, x, rtol=np.float32(0.1)).item()
        layer = nn.Linear(np.int64(3), np.int32(4))
        assert layer == nn.Linear(3, 4) and repr(layer) == repr(nn.Linear(3, 4))
        assert nn.Dropout(np.float32(0.5)) == nn.Dropout(0.5)
        params = {"w": x.astype(fn.float32)}
        for opt in (optim.adam(np.float32(0.5)), optim.sgd(np.float64(0.5), momentum=np.float32(0.5))):
            delta, _ = opt.update(params, opt.init(params), params)
            assert delta["w"].dtype == fn.float32

    def test_numbers_are_weak_in_result_type(self):
        assert fn.result_type(fn.float16, 1.0) == fn.result_type(1.0, fn.float16) == fn.float16
        assert fn.result_type(fn.uint8, 1) == fn.uint8
        assert fn.result_type(fn.int32, 1.5) == fn.result_type(1, 1.5) == fn.float32
        assert fn.result_type(fn.bool_, 1) == fn.int32
        assert fn.result_type("float16", 1j) == fn.complex64

    @pytest.mark.parametrize("name", [str(d) for d in (fn.bool_, fn.int8, fn.uint16, fn.int64, fn.float16, fn.float64)])
    def test_dtypes(self, name):
        dtype, scalar = np.dtype(name), np.dtype(name).type
        for given in (name, dtype, scalar):
            made = fn.zeros(2, dtype=given).dtype
            assert made == given
            assert given == made
            assert (made != given) is False
            assert fn.ones(2).astype(given).dtype == made
            assert fn.isdtype(made, given)
            assert fn.result_type(given) == made
        assert fn.float32 != scalar
        assert fn.float32 != name
        assert np.zeros(2, dtype=made).dtype == dtype
        assert len({made, getattr(fn, name if name != "bool" else "bool_")}) == 1

    def test_what_is_no_dtype_differs_from_all(self):
        for other in (None, 3, "float33", [fn.float32], np.dtype(">f4"), np.dtype("f4,i4"), np.complex128, np.ones(2)):
            assert fn.float32 != other
            assert fn.complex64 != other
        assert fn.zeros(1, dtype=np.complex128).dtype == fn.complex64
        assert fn.zeros(1, dtype=np.longlong).dtype == np.longlong == fn.int64
        with pytest.raises(TypeError, match="bfloat16"):
            np.dtype(fn.bfloat16)

    def test_functions_of_numpy_give_arrays_of_numpy(self):
        x = fn.array([[1.0, 2.0], [3.0, 4.0]])
        a = np.asarray(x)
        for got, wanted in (
            (np.sum(x), np.sum(a)),
            (np.sum(x, axis=0, keepdims=True), np.sum(a, axis=0, keepdims=True)),
            (np.mean(x, dtype=np.float64), np.mean(a, dtype=np.float64)),
            (np.concatenate([x, a]), np.concatenate([a, a])),
            (np.where(x > 2, x, 0), np.where(a > 2, a, 0)),
            (np.linalg.norm(x), np.linalg.norm(a)),
            (np.add(a, x), a + a),
            (np.add(x, x), a + a),
            (np.sin(x), np.sin(a)),
            (np.maximum.reduce(x), np.maximum.reduce(a)),
            (np.einsum("ij,jk", x, a), np.einsum("ij,jk", a, a)),
            (np.einsum("ij->ji", x), a.T),
            (np.block([[x, a]]), np.block([[a, a]])),
        ):
            assert type(got) is type(wanted)
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
        assert isinstance(a + x, fn.array)
        assert isinstance(a @ x, fn.array)
        assert np.add(a, fn.ones((2, 2), dtype=fn.bfloat16)).dtype == np.float32
        with pytest.raises(TypeError, match="immutable"):
            np.cumsum(x, axis=0, out=x)
        with pytest.raises(TypeError):
            np.add(a, a, out=x)

    def test_traced_arrays_have_shapes_but_no_values(self):
        def shapes(x):
            assert np.shape(x) == (2,) and np.ndim(x) == 1 and np.size(x) == 2
            return x

        fn.compile(shapes)(fn.ones(2))
        for function, hint in (
            (np.sum, "numpy.sum.*use fn.sum"),
            (np.sin, "traced"),
            (lambda x: np.add(np.ones(2), x), "traced"),
        ):
            with pytest.raises(fn.TracedValueError, match=hint):
                fn.compile(function)(fn.ones(2))
            with pytest.raises(fn.TracedValueError, match=hint):
                fn.vmap(function)(fn.ones((3, 2)))


MODULES = [name for name in _hints._HINTS if name.startswith("funcnn")]
OTHER_MODULES = ["checkpoint_policies", "debug", "fast", "fft", "io", "linalg", "metal", "optim.schedules", "testing"]


class TestHints:
    @pytest.mark.parametrize("module", MODULES)
    def test_they_are_given(self, module):
        imported = importlib.import_module(module)
        for name, hint in _hints._HINTS[module].items():
            with pytest.raises(AttributeError, match=f"module '{module}' has no attribute '{name}': {re.escape(hint)}"):
                getattr(imported, name)
        with pytest.raises(AttributeError, match=f"^module '{module}' has no attribute 'zzz'$"):
            imported.zzz  # noqa: B018

    @pytest.mark.parametrize("module", MODULES)
    def test_import_statements_give_them(self, module):
        """Python drops the text of an AttributeError when it looks for a name to import."""
        for name, hint in _hints._HINTS[module].items():
            with pytest.raises(ImportError, match=f"cannot import name '{name}' from '{module}': {re.escape(hint)}"):
                exec(f"from {module} import {name}")
            assert not hasattr(importlib.import_module(module), name)
        with pytest.raises(ImportError, match="cannot import name 'zzz'"):
            exec(f"from {module} import zzz")

    @pytest.mark.parametrize("module", [*MODULES, *(f"funcnn.{name}" for name in OTHER_MODULES)])
    def test_modules_list_what_is_public(self, module):
        imported = importlib.import_module(module)
        listed = [name for name in dir(imported) if not name.startswith("__")]
        below = {name for name in listed if f"{module}.{name}" in sys.modules}
        public = {name for name in imported.__all__ if not name.startswith("__")}
        assert public | below == set(listed) and all(hasattr(imported, name) for name in listed)

    def test_arrays_have_some_too(self):
        x = fn.ones(2)
        for name, hint in _hints._HINTS["array"].items():
            assert not hasattr(x, name), name
            assert name not in dir(x)
            with pytest.raises(AttributeError, match=re.escape(hint)):
                getattr(x, name)
        with pytest.raises(AttributeError, match="zzz"):
            x.zzz  # noqa: B018

    def test_functions_that_are_no_methods_exist(self):
        for name in _hints._FUNCTIONS.split():
            assert name in fn.__all__ and not hasattr(fn.array, name)
            assert next(iter(inspect.signature(getattr(fn, name)).parameters)) in ("x", "a", "x1"), name

    @pytest.mark.parametrize("make", [optim.adam, optim.sgd, optim.muon, lambda rate: optim.chain(optim.adamw(rate))])
    def test_optimisers_have_some_too(self, make):
        opt = make(0.1)
        for name, hint in _hints._HINTS["Optimizer"].items():
            assert not hasattr(opt, name) and name not in dir(opt)
            with pytest.raises(AttributeError, match=re.escape(f"has no attribute {name!r}: {hint}")):
                getattr(opt, name)

    def test_parameters_are_read_by_key(self):
        model = nn.Sequential(nn.Linear(2, 3))
        params = model.init(random.key(0))
        with pytest.raises(AttributeError, match=r"no attribute 'layers': it is a key, as in params\['layers'\]"):
            params.layers  # noqa: B018
        with pytest.raises(AttributeError, match="no attribute 'zzz'$"):
            params.zzz  # noqa: B018

        class Own(nn.Layer):
            inner: nn.Layer

            def __call__(self, params, x):
                assert not hasattr(params, "zzz") and not hasattr(params, "__array__")
                return params.inner

        own = Own(nn.Linear(2, 3))
        with pytest.raises(AttributeError, match=r"no attribute 'inner': it is a key, as in params\['inner'\]"):
            own.apply(own.init(random.key(0)), fn.ones((1, 2)))

    @pytest.mark.parametrize(
        "module, name, hint",
        [
            (nn.init, "xavier_uniform_", "use fn.nn.init.glorot_uniform"),
            (nn.init, "normal_", "use fn.nn.init.normal"),
            (nn.losses, "CrossEntropyLoss", "use fn.nn.losses.cross_entropy"),
        ],
    )
    def test_names_of_functions_in_place(self, module, name, hint):
        with pytest.raises(AttributeError, match=re.escape(f"has no attribute '{name}': {hint}")):
            getattr(module, name)

    def test_places_of_arrays_have_some_too(self):
        at = fn.ones(2).at[0]
        for name, hint in _hints._HINTS["ArrayAt"].items():
            assert not hasattr(at, name) and name not in dir(at)
            with pytest.raises(AttributeError, match=re.escape(hint)):
                getattr(at, name)
            assert hasattr(at, hint.rpartition(".")[2])

    def test_layers_have_some_too(self):
        layer = nn.Linear(2, 3)
        for name, hint in _hints._HINTS["Layer"].items():
            assert not hasattr(layer, name) and name not in dir(layer)
            with pytest.raises(AttributeError, match=re.escape(f"'Linear' object has no attribute {name!r}: {hint}")):
                getattr(layer, name)

        class Own(nn.Layer):
            train: bool
            freeze: int = 3

            def update(self, x):
                return x

        assert Own(True).train and Own(False).freeze == 3 and "train" in dir(Own(True))
        assert repr(Own(True, 4)) == "Own(True, freeze=4)" and attrs.evolve(Own(True), train=False) == Own(False)

    def test_what_they_point_to_exists(self):
        for module, hints in _hints._HINTS.items():
            for name, hint in hints.items():
                for path in re.findall(r"\bfn((?:\.\w+)+)", hint):
                    assert operator.attrgetter(path[1:])(fn), (module, name)
                for attribute in re.findall(r"\bx\.(\w+)", hint):
                    assert hasattr(fn.array, attribute), (module, name)

    @pytest.mark.parametrize(
        "module, name, place",
        [
            ("funcnn", "softplus", "fn.nn.softplus"),
            ("funcnn", "load", "fn.io.load"),
            ("funcnn", "svd", "fn.linalg.svd"),
            ("funcnn", "cross_entropy", "fn.nn.losses.cross_entropy"),
            ("funcnn.nn", "value_and_grad", "fn.value_and_grad"),
            ("funcnn.nn", "adam", "fn.optim.adam"),
            ("funcnn.optim", "cosine_decay", "fn.optim.schedules.cosine_decay"),
        ],
    )
    def test_names_are_found_in_other_modules(self, module, name, place):
        assert operator.attrgetter(place[3:])(fn)
        with pytest.raises(
            AttributeError, match=f"^module '{module}' has no attribute '{name}': use {place}$"
        ) as caught:
            getattr(importlib.import_module(module), name)
        assert caught.type.__qualname__ == "AttributeError"
        with pytest.raises(ImportError, match=f"cannot import name '{name}' from '{module}': use {place}$"):
            exec(f"from {module} import {name}")

    def test_asking_for_a_name_imports_nothing(self):
        program = """
            import sys, funcnn
            from funcnn import compat
            assert not hasattr(funcnn, "softplus") and "funcnn.testing" not in sys.modules and "funcnn.optim" not in sys.modules
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)

    def test_shapes_and_devices_of_torch(self):
        with pytest.raises(
            TypeError, match=r"^zeros: the shape is one argument, as in zeros\(\(2, 3\)\); got 3 and 4$"
        ):
            fn.zeros(3, 4)
        with pytest.raises(TypeError, match=r"^ones: the shape is one argument"):
            fn.ones(3, 4)
        for name in ("cuda", "cuda:1", "mps"):
            with pytest.raises(ValueError, match=f'got "{name}"; every GPU is "gpu" here'):
                fn.Device(name)

    def test_arguments_of_compiled_functions(self):
        def step(params, x):
            return params

        with pytest.raises(ValueError, match=r"donate argument 'state' is not an argument of step\(params, x\)$"):
            fn.compile(step, donate="state")
        with pytest.raises(ValueError, match=r"static argument 2 is not a position of step\(params, x\)$"):
            fn.compile(step, static_argnums=2)

    def test_parameters_come_first(self):
        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        params, x = model.init(random.key(0)), fn.ones((1, 2))
        text = r"; parameters come first, as in layer\(params, x\), and here they are an array"
        with pytest.raises(TypeError, match=f"in Sequential: .*missing 1 required positional argument: 'x'{text}"):
            model(x)
        with pytest.raises(TypeError, match=f"in Sequential: [^;]*{text}$"):
            nn.tabulate(model, x)
        with pytest.raises(KeyError, match=f"in Sequential: expected parameters with 'layers', got an array{text}"):
            model(x, params)
        with pytest.raises(KeyError, match=f"in Sequential: expected parameters with 'layers', got an array{text}"):
            model.apply(x, params, training=True)
        with pytest.raises(TypeError, match=f"in Linear: expected an array, got a frozendict{text}"):
            model.layers[0](x, params["layers"][0])
        with pytest.raises(TypeError, match=r"unpack them, as in Sequential\(\*layers\)"):
            nn.Sequential([nn.Linear(2, 3)])
        with pytest.raises(TypeError, match=r"unpack them, as in chain\(\*optimisers\)"):
            optim.chain([optim.adam(1e-3)])

    @pytest.mark.parametrize("transform", [fn.grad, fn.compile])
    def test_dataclasses_are_containers_once_they_are_registered(self, transform):
        state = dataclasses.make_dataclass("State", ["w"])(fn.ones(2))
        with pytest.raises(TypeError, match="State.*; tree.register_attrs makes its class a container$"):
            transform(lambda state: state.w.sum())(state)
        with pytest.raises(TypeError, match="Linear(?!.*register)"):
            transform(lambda layer: 0.0)(nn.Linear(2, 2))
        tree.register_attrs(type(state))
        assert transform(lambda state: state.w.sum())(state) is not None

    @pytest.mark.parametrize("call", [{"training": True}, {"rngs": {}}])
    def test_mode_and_key_belong_to_apply(self, call):
        model = nn.Sequential(nn.Linear(2, 3))
        with pytest.raises(
            TypeError, match=r"argument '\w+'; the mode .* are arguments of apply: layer.apply\(params, x, tr"
        ):
            model(model.init(random.key(0)), fn.ones((1, 2)), **call)

    @pytest.mark.parametrize("name, use", [("jit", "fn.compile"), ("tree_map", "fn.tree.map"), ("lax", "fn.scan")])
    def test_of_jax(self, name, use):
        with pytest.raises(AttributeError, match=use):
            getattr(fn, name)


def test_modules_are_what_they_were():
    for module in (fn, nn, optim, random, tree):
        for name in module.__all__:
            assert hasattr(module, name)


def test_the_version_is_that_of_the_package():
    assert fn.__version__ == importlib.metadata.version("funcnn")


def test_a_layer_says_how_to_get_another():
    layer = nn.Linear(2, 3)
    with pytest.raises(
        attrs.exceptions.FrozenInstanceError, match=r"Linear: a layer does not change; attrs.evolve\(layer, bias="
    ):
        layer.bias = False
    with pytest.raises(AttributeError, match="no field 'biass'; fields are declared in the class, as in `biass: nn.L"):
        layer.biass = False
    assert attrs.evolve(layer, bias=False) == nn.Linear(2, 3, bias=False) and layer == nn.Linear(2, 3)


def test_the_class_of_an_error_for_a_missing_name_looks_like_what_it_is():
    with pytest.raises(AttributeError) as error:
        fn.jit  # noqa: B018
    assert type(error.value).__name__ == "AttributeError"


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: nn.Linear(in_features=2, output_dims=3),
            "Linear: .*'in_features'; here it is called 'input_dims'; expected L",
        ),
        (
            lambda: nn.Linear(2, 3, biass=True),
            r"did you mean 'bias'\?; expected Linear\(input_dims, output_dims, bias=True\)",
        ),
        (lambda: nn.Linear(2), "Linear: missing a required argument: 'output_dims'; expected Linear"),
        (lambda: nn.Linear(2, 3, True, 4), "Linear: too many positional arguments; expected Linear"),
        (lambda: nn.Dropout(rate=0.1), "'rate'; here it is called 'p'"),
        (lambda: optim.adam(lr=1e-3), "adam: .*'lr'; here it is called 'learning_rate'; expected adam"),
        (lambda: optim.adamw(1e-3, b1=0.9), "adamw: .*'b1'; here it is called 'betas'"),
        (lambda: optim.sgd(), "sgd: missing a required argument: 'learning_rate'"),
        (lambda: optim.schedules.cosine_decay(), "cosine_decay: missing a required argument: 'init'"),
        (lambda: nn.Linear(2.0, 3), "^Linear: input_dims must be an integer"),
        (lambda: optim.adam("a"), "^adam: learning_rate must be a number"),
    ],
)
def test_layers_and_optimisers_name_the_argument_that_they_do_not_take(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda f: fn.vmap(f, in_dims=0),
            r"vmap: .*'in_dims'; here it is called 'in_axes'; expected vmap\(fun, in_axes=0,",
        ),
        (lambda f: fn.grad(f, argnum=0), r"grad: .*'argnum'; did you mean 'argnums'\?; expected grad"),
        (lambda f: fn.compile(f, donate_argnums=0), "compile: .*'donate_argnums'; here it is called 'donate'"),
        (lambda f: fn.scan(f, 0.0, fn.ones(2), unrol=2), "scan: .* did you mean 'unroll'"),
        (lambda f: fn.while_loop(f), "while_loop: missing a required argument: 'body_fun'; expected while_loop"),
        (lambda f: random.uniform(random.key(0), minval=0), "uniform: .*'minval'; here it is called 'low'"),
        (lambda f: nn.losses.mse_loss(input=1, target=2), "mse_loss: .*'input'; here it is called 'predictions'"),
        (lambda f: fn.grad(f)(fn.array(1.0), argnum=0), r"^[\w.<>]+\(\) got an unexpected .* 'argnum'$"),
    ],
)
def test_functions_written_in_python_name_it_too(call, message):
    with pytest.raises(TypeError, match=message):
        call(lambda x: x)


def test_layers_of_ones_own_name_it_too():
    class Own(nn.Layer):
        width: int
        depth: int = 2

    class Raises(nn.Layer):
        def __attrs_post_init__(self):
            raise TypeError("of its own")

    with pytest.raises(TypeError, match=r"Own: .*'widht'; did you mean 'width'\?; expected Own\(width, depth=2\)"):
        Own(widht=3)
    with pytest.raises(TypeError, match="^of its own$"):
        Raises()

    class Bare(nn.Layer):
        def __call__(self, x):
            return x

    with pytest.raises(TypeError, match=r"in Bare: .* parameters come first, as in __call__\(self, params, x\)"):
        Bare()({}, fn.ones(2))
    assert attrs.evolve(Own(3), depth=4) == Own(3, 4) and repr(Own(3)) == "Own(3)"
    assert list(inspect.signature(Own).parameters) == ["width", "depth"]
