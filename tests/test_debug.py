"""Finding the first NaN, and looking into functions that are only traced."""

import inspect
import math
import threading

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree
from funcnn.debug import check_finite, nan_origin

NAN, INF = math.nan, math.inf
X = fn.array([1.0, 0.0, 4.0])


def line_of(text, near):
    """The number of the first line at or after a function's that has a text."""
    lines, first = inspect.getsourcelines(near)
    return first + next(i for i, line in enumerate(lines) if text in line)


# ---- which operation

# Each: a function that has a bad value, its arguments, and kind, operation, derivative, first bad element, operands, and
# what made a NaN of an infinity. Every one of these is what NumPy gives for the operands.
CASES = {
    "plain": (lambda x: fn.sqrt(x - 2.0), (X,), ("NaN", "sqrt", "", (0,), (-1.0,), None)),
    "first of two": (lambda x: fn.log(x - 1.0) + fn.sqrt(x - 2.0), (X,), ("NaN", "log", "", (1,), (-1.0,), None)),
    "infinity": (lambda x: fn.exp(x * 100.0), (X,), ("infinity", "exp", "", (0,), (100.0,), None)),
    "infinity, then NaN": (lambda x: fn.log(x) * (x * 0.0), (X,), ("infinity", "log", "", (1,), (0.0,), "multiply")),
    "0 / 0": (lambda x: x / (x * 0.0), (X,), ("NaN", "divide", "", (1,), (0.0, 0.0), None)),
    "mask": (lambda x: fn.softmax(fn.where(x > 9.0, x, -INF)), (X,), ("NaN", "subtract", "", (0,), (), None)),
    "float16": (
        lambda x: x.astype(fn.float16) * 60000.0,
        (X,),
        ("infinity", "multiply", "", (2,), (4.0, 60000.0), None),
    ),
    "a cast": (lambda x: (x * 1e6).astype(fn.float16), (X,), ("infinity", "astype", "", (0,), (1e6,), None)),
    "complex": (lambda x: fn.log((x + 0j) * 0j), (X,), ("infinity", "log", "", (0,), (0j,), None)),
    "a reduction": (lambda x: fn.sum(x * 3e38), (fn.ones(2),), ("infinity", "sum", "", (), (), None)),
    "a product": (lambda x: x @ x, (fn.full((2, 2), 1e30),), ("infinity", "dot", "", (0, 0), (), None)),
    "grad": (fn.grad(lambda x: fn.sum(fn.sqrt(x))), (X,), ("infinity", "divide", "sqrt", (1,), (0.5, 0.0), None)),
    "a where that does not help": (
        fn.grad(lambda x: fn.sum(fn.where(x > 0.0, fn.log(x), 0.0))),
        (X,),
        ("NaN", "divide", "log", (1,), (0.0, 0.0), None),
    ),
    "jvp": (
        lambda x: fn.jvp(fn.sqrt, (x,), (x,))[1],
        (X,),
        ("infinity", "divide", "sqrt", (1,), (0.5, 0.0), "multiply"),
    ),
    "grad of grad": (
        fn.grad(lambda x: fn.sum(fn.grad(lambda x: fn.sum(fn.sqrt(x)))(x))),
        (X,),
        ("infinity", "divide", "sqrt", (1,), (0.5, 0.0), None),
    ),
    "vmap": (fn.vmap(lambda x: fn.log(x)), (X,), ("infinity", "log", "", (1,), (0.0,), None)),
    "vmap of grad": (fn.vmap(fn.grad(fn.sqrt)), (X,), ("infinity", "divide", "sqrt", (1,), (0.5, 0.0), None)),
    "compile": (fn.compile(lambda x: fn.log(x)), (X,), ("infinity", "log", "", (1,), (0.0,), None)),
    "compile of vmap of grad": (
        fn.compile(fn.vmap(fn.grad(fn.compile(fn.sqrt)))),
        (X,),
        ("infinity", "divide", "sqrt", (1,), (0.5, 0.0), None),
    ),
    "checkpoint": (
        fn.grad(fn.checkpoint(lambda x: fn.sum(fn.sqrt(x) + x))),
        (X,),
        ("infinity", "divide", "sqrt", (1,), (0.5, 0.0), None),
    ),
    "an argument": (lambda x: x + 1.0, (fn.array([1.0, NAN]),), ("NaN", "argument", "", (1,), (), None)),
    "a constant": (lambda x: x + fn.array([1.0, NAN, 1.0]), (X,), ("NaN", "constant", "", (1,), (), None)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_operation_is_found(name):
    f, args, expected = CASES[name]
    before = [x.tolist() for x in args]
    found = nan_origin(f)(*args)
    became = found.became and found.became.op
    assert (found.kind, found.op, found.derivative_of, found.index) == expected[:4], found
    assert found.operands == pytest.approx(expected[4]) and became == expected[5], found
    np.testing.assert_array_equal([x.tolist() for x in args], before)
    # What is found is really there, and the function is as it was.
    values = tree.leaves(f(*args))
    assert not all(np.isfinite(np.asarray(x)).all() for x in values)
    if found.operands and not found.derivative_of and found.op in ("log", "sqrt", "exp", "divide"):
        with np.errstate(all="ignore"):
            value = getattr(np, found.op)(
                *[np.asarray(x, np.complex64 if isinstance(x, complex) else "f") for x in found.operands]
            )
        assert np.isnan(value) if found.kind == "NaN" else np.isinf(value)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x,
        lambda x: fn.softmax(fn.where(x > 0.0, x, -INF)),  # an infinity that harms nothing
        lambda x: fn.where(x > 0.0, fn.log(x), 0.0),
        lambda x: (fn.log(x), x + 1.0)[1],
        lambda x: {"n": 3, "none": None, "i": fn.array([1])},
        lambda x: fn.zeros((0, 3)) / 0.0,
        fn.compile(fn.vmap(fn.grad(fn.sin))),
    ],
)
def test_where_all_is_well_nothing_is_found(f):
    assert nan_origin(f)(X) is None


# ---- where


def stepped(carry, x):
    carry = carry - x
    return carry, fn.log(carry)


def test_steps_of_loops():
    xs = fn.array([1.0, 1.0, 0.5, 3.0, 1.0])
    found = nan_origin(lambda xs: fn.scan(stepped, fn.array(4.0), xs))(xs)
    assert (found.kind, found.op, found.operands, found.steps) == ("NaN", "log", (-1.5,), ("step 3 of 5 of a scan",))
    assert found.place.name == "stepped" and found.place.line == line_of("fn.log(carry)", stepped)
    found = nan_origin(lambda xs: fn.scan(stepped, fn.array(4.0), xs, reverse=True))(xs)
    carries = 4.0 - np.cumsum(np.asarray(xs)[::-1])  # 3, 0, -0.5, ...
    assert found.steps == (f"step {4 - int(np.argmax(carries < 0.0))} of 5 of a scan",)
    # The backward pass of a loop is a loop of its own.
    loss = lambda xs: fn.scan(lambda c, x: (c * x, fn.sqrt(c - 1.0)), fn.array(2.0), xs)[1].sum()  # noqa: E731
    found = nan_origin(fn.compile(fn.grad(loss)))(fn.array([1.0, 0.5, 3.0]))
    assert (found.op, found.derivative_of, found.operands) == ("divide", "sqrt", (0.5, 0.0))
    assert found.steps == ("step 2 of 3 of a scan",)
    for unroll in (2, True):
        found = nan_origin(lambda xs: fn.scan(stepped, fn.array(4.0), xs, unroll=unroll))(xs)  # noqa: B023
        assert (found.op, found.operands) == ("log", (-1.5,)) and found.place.name == "stepped"
    mapped = nan_origin(fn.vmap(lambda c: fn.scan(stepped, c, xs)))(fn.array([100.0, 4.0]))
    assert (mapped.op, mapped.index, mapped.operands, mapped.steps) == (
        "log",
        (1,),
        (-1.5,),
        found.steps or mapped.steps,
    )
    assert mapped.steps == ("step 3 of 5 of a scan",)
    nested = nan_origin(lambda xs: fn.scan(lambda c, x: (c, fn.scan(stepped, x, xs)[1]), 0.0, xs + 5.6))(xs)
    assert nested.steps == ("step 2 of 5 of a scan", "step 4 of 5 of a scan")


def test_branches_and_loops_of_unknown_length():
    for x, op in ((fn.array(0.0), "log"), (fn.array(-1.0), "sqrt")):
        found = nan_origin(fn.compile(lambda x: fn.cond(x < 0.0, fn.sqrt, fn.log, x)))(x)
        assert (found.op, found.steps) == (op, ("a branch of cond",))
    found = nan_origin(lambda x: fn.while_loop(lambda x: x < 1e30, lambda x: x * x * x, x))(fn.array(1e5))
    assert (found.kind, found.op, found.steps) == ("infinity", "multiply", ("step 1 of a while_loop",))
    found = nan_origin(lambda x: fn.switch(fn.array(1), [fn.sin, fn.log, fn.cos], x))(fn.array(-1.0))
    assert (found.kind, found.op, found.operands) == ("NaN", "log", (-1.0,))


class Block(nn.Layer):
    dense: nn.Layer = nn.Linear(3, 3)

    def __call__(self, params, x):
        h = self.dense(params["dense"], x)
        return h + fn.log(params["gain"].reshape(1, 3)) * h

    def init(self, key):
        return super().init(key) | {"gain": fn.ones(3)}


@pytest.mark.parametrize("transform", [lambda f: f, fn.compile, fn.checkpoint], ids=["plain", "compile", "checkpoint"])
def test_layers_and_parameters(transform):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), Block())
    params = tree.set(model.init(random.key(0)), "layers.2.gain", fn.array([1.0, -1.0, 2.0]))

    def loss(params, x):
        y, updates = model.apply(params, x, training=True)
        return fn.mean(y), updates

    for f in (transform(loss), transform(fn.grad(loss, has_aux=True))):
        found = nan_origin(f)(params, fn.ones((2, 3)))
        assert (found.kind, found.op, found.index) == ("NaN", "log", (0, 1))
        assert found.parameters == ("params.layers.2.gain",)
        assert found.place.layer == "layers.2 (Block)"
        assert found.place.file == __file__ and found.place.line == line_of("fn.log(params", Block.__call__.__wrapped__)
        text = str(found)
        for part in (
            "log made the first NaN",
            "float32[1, 3] params.layers.2.gain",
            "in layers.2 (Block)",
            f"{__file__}:",
        ):
            assert part in text, text
    broken = tree.set(params, "layers.0.bias", fn.array([0.0, NAN, 0.0]))
    found = nan_origin(transform(loss))(broken, fn.ones((2, 3)))
    assert (found.op, found.parameters, found.index) == ("argument", ("params.layers.0.bias",), (1,))
    assert str(found) == "the argument params.layers.0.bias holds NaN: float32[3] at (1,)"


def test_layers_of_the_library_are_named_with_their_paths():
    model = nn.mixed_precision(nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 2))), "float16")
    params = tree.set(model.init(random.key(0)), "layers.1.layers.0.weight", fn.full((2, 3), 1e9))
    found = nan_origin(fn.grad(lambda p: model(p, fn.ones((1, 3))).sum()))(params)
    assert (found.kind, found.op, found.parameters) == ("infinity", "astype", ("p.layers.1.layers.0.weight",))
    assert found.place.layer == "layers.1.layers.0 (Linear)"


def test_custom_rules_and_python_control_flow():
    @fn.custom_vjp
    def clipped(x):
        return fn.maximum(x, 0.0)

    clipped.defvjp(lambda x: (clipped(x), x), lambda x, ct: (ct / x,))
    found = nan_origin(fn.grad(lambda x: fn.sum(clipped(x))))(X)
    assert (found.kind, found.op, found.index) == ("infinity", "divide", (1,))

    def branches(x):
        if x.sum().item() > 0:  # reads a value in the middle
            x = fn.log(x)
        return x

    assert nan_origin(branches)(X).op == "log"
    donated = fn.compile(lambda x: fn.log(x), donate=("x",))
    given = fn.array([0.0])
    assert nan_origin(donated)(given).op == "log"
    assert given.tolist() == [0.0]


def test_what_is_refused_and_what_stays():
    with pytest.raises(TypeError, match="nan_origin: f must be a function"):
        nan_origin(3)
    with pytest.raises(fn.TracedValueError, match="nan_origin"):
        fn.compile(lambda x: (nan_origin(fn.log)(x), x)[1])(X)
    with pytest.raises(ZeroDivisionError):
        nan_origin(lambda x: 1 / 0)(X)
    # An error ends the recording; other threads are not recorded.
    f = fn.compile(lambda x: x + 1)
    f(X)
    assert f.cache_info()["misses"] == 1
    ran = []

    def slow(x):
        thread = threading.Thread(target=lambda: ran.append(f(X).tolist()))
        thread.start()
        thread.join()
        return fn.log(x)

    assert nan_origin(slow)(X).op == "log" and ran == [[2.0, 1.0, 5.0]]
    assert f.cache_info() | {"hits": 0} == f.cache_info() | {"hits": 0, "misses": 1}
    assert nan_origin(lambda x: nan_origin(fn.log)(x).op and fn.sqrt(-x))(X + 1.0 - 1.0).op == "sqrt"


# ---- checking and printing inside traced code


def test_check_finite_lists_every_leaf():
    bad = {
        "a": (fn.ones(2), fn.array([[1.0, NAN], [INF, -INF]])),
        "half": fn.array([INF], fn.bfloat16),
        "numpy": np.array([NAN, NAN]),
        "number": INF,
        "complex": fn.array([complex(0, NAN)]),
        "fine": (3, fn.array([2**31 - 1]), None, "text", True, fn.zeros((0,)), fn.finfo(fn.float32).max),
    }
    with pytest.raises(FloatingPointError) as info:
        check_finite(bad, "grads")
    assert str(info.value).splitlines() == [
        "check_finite: grads is not finite:",
        "  a.1: float32[2, 2] has 1 NaN and 2 infinities, the first at (0, 1)",
        "  complex: complex64[1] has 1 NaN, the first at (0,)",
        "  half: bfloat16[1] has 1 infinity, the first at (0,)",
        "  number: float[] has 1 infinity, the first at ()",
        "  numpy: float64[2] has 2 NaN, the first at (0,)",
    ]
    assert check_finite(bad["fine"]) is None
    with pytest.raises(FloatingPointError, match=r"the tree is not finite:\n  it: float32\[\] has 1 NaN"):
        check_finite(fn.array(NAN))
    with pytest.raises(TypeError, match="name must be a string"):
        check_finite({}, 3)


def checked(x):
    y = fn.log(x)
    check_finite({"y": y}, "the logarithm")
    return fn.sum(y)


@pytest.mark.parametrize(
    "f",
    [
        checked,
        fn.compile(checked),
        fn.grad(checked),
        fn.compile(fn.grad(checked)),
        fn.vmap(checked),
        fn.compile(fn.vmap(checked)),
        lambda x: fn.scan(lambda c, x: (c, checked(x)), 0.0, x),
        fn.compile(fn.grad(lambda x: fn.scan(lambda c, x: (c + checked(x), None), 0.0, x)[0])),
        fn.compile(lambda x: fn.cond(x[0, 0] > 0.0, checked, fn.sum, x)),
        fn.checkpoint(checked),
        fn.grad(fn.checkpoint(checked)),
    ],
    ids=["plain", "compile", "grad", "compile-grad", "vmap", "compile-vmap", "scan", "grad-scan", "cond", "checkpoint",
         "grad-checkpoint"],
)  # fmt: skip
def test_check_finite_inside_transformed_functions(f):
    fn.eval(f(fn.ones((2, 3))))
    with pytest.raises(FloatingPointError, match="the logarithm is not finite:\n  y: float32"):
        fn.eval(f(fn.ones((2, 3)).at[1, 2].set(0.0)))
    fn.eval(f(fn.ones((2, 3))))  # and it still works


def test_printing_happens_once_a_run_in_order(capsys):
    def body(carry, x):
        fn.debug.print("step {} of {}", x, carry)
        return carry + x, carry

    def f(x):
        fn.debug.print("in {}", x)
        total, _ = fn.scan(body, fn.array(0), x)
        fn.debug.print("out {}", total)
        return total * 1.0

    expected = ["in [1 2]", "step 1 of 0", "step 2 of 1", "out 3"]
    x = fn.array([1, 2])
    for run in (f, fn.compile(f)):
        for _ in range(2):
            fn.eval(run(x))
            assert capsys.readouterr().out.splitlines() == expected
    fn.eval(fn.compile(fn.value_and_grad(lambda w: f(x) * w))(fn.array(1.0)))
    assert capsys.readouterr().out.splitlines() == expected
    fn.eval(fn.vmap(lambda x: fn.debug.print("row {}", x) or x)(x))
    assert capsys.readouterr().out.splitlines() == ["row 1", "row 2"]
