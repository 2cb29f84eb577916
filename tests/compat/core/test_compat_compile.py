"""compile, disable_compile and enable_compile of mlx.core."""

import collections
import functools
import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from tests.compat.library import REAL, mx

ours = pytest.mark.skipif(REAL, reason="MLX does otherwise")

Pair = collections.namedtuple("Pair", "a b")


class Dict(dict):
    pass


def scalar(x=2.0):
    return mx.array(x)


def vector():
    return mx.array([1.0, 2.0, 3.0])


def counting(function):
    """A function that counts its calls."""

    def counted(*args, **kwargs):
        counted.count += 1
        return function(*args, **kwargs)

    counted.count = 0
    return counted


def traces(compiled, counted, *args, **kwargs):
    """How often the function is called in a call of the compiled one."""
    before = counted.count
    compiled(*args, **kwargs)
    return counted.count - before


def test_signatures():
    f = counting(lambda a, b=None: a * 2 if b is None else a * b)
    compiled = mx.compile(f)
    v = vector()
    assert traces(compiled, f, v) == 1
    compiled(v)  # MLX may trace once more.
    assert traces(compiled, f, mx.array([4.0, 5.0, 6.0])) == 0
    assert traces(compiled, f, v[:2]) == 1
    assert traces(compiled, f, v.astype(mx.int32)) == 1
    assert compiled(v).tolist() == [2, 4, 6]
    assert [traces(compiled, f, v, x) for x in (2.0, 3.0, 3.0, 2, 2.0)] == [1, 1, 0, 1, 0]
    assert compiled(v, 3.0).tolist() == [3, 6, 9]
    assert compiled(v.astype(mx.int32), 2).dtype == mx.int32
    assert compiled(v, b=v).tolist() == [1, 4, 9]
    assert compiled(a=v, b=2.0).tolist() == [2, 4, 6]
    # A container more or less is another structure. (MLX takes a list for a tuple.)
    g = counting(lambda tree: tree)
    compiled = mx.compile(g)
    trees = [v], (v,), {"a": v}, {"b": v}, [v, []], [v]
    assert [traces(compiled, g, tree) for tree in trees] == [1, int(not REAL), 1, 1, 1, 0]


def test_constants_are_python_objects():
    seen = []

    def f(x, n, text, nothing, flag, tree):
        seen.append((n, text, nothing, flag, tree["rate"]))
        return x * n * tree["rate"]

    compiled = mx.compile(f)
    assert compiled(vector(), 2, "abc", None, True, {"rate": 0.5}).tolist() == [1, 2, 3]
    assert seen == [(2, "abc", None, True, 0.5)]
    assert [type(x) for x in seen[0]] == [int, str, type(None), bool, float]


def test_constants_are_told_by_value():
    f = counting(lambda x, c: x * len(c) if isinstance(c, str) else x * c)
    compiled = mx.compile(f)
    v = vector()
    assert [traces(compiled, f, v, c) for c in ("abc", "abd", "abc", "abce")] == [1, 1, 0, 1]
    assert [traces(compiled, f, v, c) for c in (float("nan"), float("nan"), 0.0, -0.0, 0.0)] == [1, 0, 1, 1, 0]
    assert (1 / compiled(v, 0.0))[0].item() == float("inf")
    # MLX takes the two zeros for one.
    assert REAL or (1 / compiled(v, -0.0))[0].item() == float("-inf")
    assert compiled(v, np.float64(3)).tolist() == [3, 6, 9]


@pytest.mark.parametrize(
    "value",
    [object(), b"x", {1}, abs, mx.float16, slice(0, 2), 3j, np.ones(3, np.float32), np.float32(3)],
    ids=lambda v: type(v).__name__,
)
def test_other_arguments_are_refused(value):
    for tree in (value, [value], {"k": (value,)}):
        with pytest.raises(ValueError):
            mx.compile(lambda a, b: a)(vector(), tree)


def test_containers_of_arguments():
    seen = []

    def f(tree):
        seen.append(type(tree))
        return tree

    assert mx.compile(f)(Pair(vector(), scalar())).b.item() == 2
    for tree in (Dict(x=vector()), collections.OrderedDict(x=vector())):
        assert type(mx.compile(f)(tree)) is dict
    assert seen == [Pair, dict, dict]
    assert type(mx.compile(lambda a: Dict(x=a))(scalar())) is dict


@pytest.mark.parametrize("value", [None, 3.0, "s", (), [], {}, (1, None, "s", [1.5, {"k": 2}])], ids=repr)
def test_results_that_are_no_arrays(value):
    compiled = mx.compile(lambda a: (value, a * 2))
    for _ in range(2):
        found, array = compiled(scalar())
        assert found == value
        assert array.item() == 4
    assert mx.compile(lambda a: value)(scalar()) == value
    marker = object()
    assert mx.compile(lambda a: (a, marker))(scalar())[1] is marker


def test_results_are_arrays_of_their_own():
    v = vector()
    for f in (lambda a: a, lambda a: a * 2):
        result = mx.compile(f)(v)
        assert type(result) is mx.array
        result[0] = 7.0
        result += 1
        assert result[0].item() == 8
        assert v.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "look",
    [
        lambda a: mx.eval(a),
        lambda a: a.sum().item(),
        lambda a: bool(a.sum() > 0),
        lambda a: a.tolist(),
        lambda a: mx.async_eval(a),
        lambda a: np.array(a),
    ],
)
def test_looking_at_values(look):
    with pytest.raises(ValueError):
        mx.compile(lambda a: (look(a), a)[1])(vector())


def test_looking_at_values_of_others():
    x = scalar()
    assert mx.compile(lambda a: a * x.item())(vector()).tolist() == [2, 4, 6]
    assert mx.compile(lambda a: a * (mx.array(3.0) + 1).item())(vector()).tolist() == [4, 8, 12]


def test_values_that_leak():
    leaked = []
    mx.compile(lambda a: (leaked.append(a * 2), a)[1])(vector())
    assert leaked[0].shape == (3,)
    with pytest.raises((RuntimeError, ValueError)):
        mx.eval(leaked[0] + 1)


def test_exceptions():
    with pytest.raises(ZeroDivisionError):
        mx.compile(lambda a: 1 / 0)(vector())
    compiled = mx.compile(lambda a, fail: a * 2 if not fail else {}["x"])
    with pytest.raises(KeyError):
        compiled(vector(), True)
    assert compiled(vector(), False).tolist() == [2, 4, 6]


def test_state():
    state = [mx.array(1.0)]
    before = state[0]

    def f(a):
        assert state[0] is not before
        state[0] = state[0] + a
        return state[0] * 2

    compiled = mx.compile(f, inputs=state, outputs=state)
    assert [compiled(scalar()).item() for _ in range(3)] == [6, 10, 14]
    assert state[0].item() == 7
    assert before.item() == 1


def test_state_changed_in_place():
    state = {"w": mx.array([1.0, 2.0])}
    before = state["w"]

    def f(a):
        state["w"] += a
        state["w"][0] = 0.0
        return state["w"].sum()

    compiled = mx.compile(f, inputs=state, outputs=state)
    assert [compiled(scalar()).item() for _ in range(2)] == [4, 6]
    assert state["w"].tolist() == [0, 6]
    assert before.tolist() == [1, 2]
    state["w"] += 1
    assert compiled(scalar()).item() == 9


def test_inputs_that_others_change():
    state = {"w": mx.array([1.0, 2.0])}
    f = counting(lambda a: state["w"] * a)
    compiled = mx.compile(f, inputs=state)
    weight = state["w"]
    assert compiled(scalar()).tolist() == [2, 4]
    assert state["w"].tolist() == [1, 2]
    assert state["w"] is weight or REAL
    state["w"] = mx.array([5.0, 5.0])
    assert compiled(scalar()).tolist() == [10, 10]
    assert f.count == 1
    state["w"] = mx.array([5.0, 5.0, 6.0])
    assert compiled(scalar()).tolist() == [10, 10, 12]
    assert f.count == 2
    state["w"] *= 2
    assert compiled(scalar()).tolist() == [20, 20, 24]


def test_what_is_no_input_is_constant():
    state = {"w": mx.array([1.0, 2.0])}
    compiled = mx.compile(lambda a: state["w"] * a)
    assert compiled(scalar()).tolist() == [2, 4]
    state["w"] = mx.array([5.0, 5.0])
    assert compiled(scalar()).tolist() == [2, 4]


def test_outputs_alone():
    state = {"w": mx.array([1.0])}

    def f(a):
        state["w"], state["new"] = a * 2, a * 3
        return a

    compiled = mx.compile(f, outputs=state)
    for x in (1.0, 5.0):
        compiled(mx.array([x]))
        assert state["w"].tolist() == [2 * x]
        assert state["new"].tolist() == [3 * x]


def test_state_that_the_first_call_makes():
    state, v = {}, vector()

    def f(a):
        if "m" not in state:
            state["m"] = {"moment": mx.zeros_like(a), "steps": [mx.array(0)]}
        state["m"]["moment"] = state["m"]["moment"] * 0.5 + a
        state["m"]["steps"][0] = state["m"]["steps"][0] + 1
        return state["m"]["moment"]

    counted = counting(f)
    compiled = mx.compile(counted, inputs=state, outputs=state)
    assert [compiled(v).tolist()[0] for _ in range(3)] == [1, 1.5, 1.75]
    assert counted.count == 2
    assert state["m"]["steps"][0].item() == 3
    if not REAL:  # MLX fills in nothing
        state.clear()
        assert compiled(v).tolist()[0] == 1
        assert state["m"]["steps"][0].item() == 1


def test_lists_that_grow():
    state = []

    def f(a):
        state.append(a + len(state))
        return a

    compiled = mx.compile(f, inputs=state, outputs=state)
    for _ in range(3):
        compiled(scalar())
    assert [x.item() for x in state] == [2, 3, 4]


def test_state_in_tuples():
    state = [(scalar(),)]
    before = state[0]

    def f(a):
        state[0] = (a * state[0][0],)
        return a

    compiled = mx.compile(f, inputs=state, outputs=state)
    compiled(scalar())
    compiled(scalar())
    assert state[0][0].item() == 8
    assert before[0].item() == 2


def test_containers_in_tuples():
    state = {"w": scalar()}
    compiled = mx.compile(lambda a: a * state["w"], inputs=(state,))
    assert compiled(scalar()).item() == 4
    state["w"] = mx.array(7.0)
    assert compiled(scalar()).item() == 14


def test_containers_that_are_shared():
    state = {"w": scalar()}

    def f(a):
        state["w"] = state["w"] + a

    compiled = mx.compile(f, inputs=[state, state], outputs=[state, state])
    for expected in (4, 6, 8):
        compiled(scalar())
        assert state["w"].item() == expected


def test_arrays_that_are_shared():
    x = scalar()
    state = {"w": x, "u": x}

    def f(a):
        state["w"] = state["w"] + a
        return state["u"] * 1

    compiled = mx.compile(f, inputs=state, outputs=state)
    for expected in (4, 6, 8):
        assert compiled(scalar()).item() == 2
        assert (state["w"].item(), state["u"].item(), x.item()) == (expected, 2, 2)


def test_inputs_and_outputs_that_differ():
    source, target = {"w": scalar()}, {"w": scalar(0.0), "old": scalar(0.0)}

    def f(a):
        target["old"] = target["w"]
        target["w"] = source["w"] * a

    compiled = mx.compile(f, inputs=[source, target], outputs=target)
    compiled(scalar())
    compiled(scalar(3.0))
    assert (source["w"].item(), target["w"].item(), target["old"].item()) == (2, 6, 4)


def test_other_leaves_of_state():
    state = {"w": scalar(), "n": 3, "name": "s", "none": None}
    compiled = mx.compile(lambda a: a * state["w"] * state["n"], inputs=state, outputs=state)
    assert compiled(scalar()).item() == 12
    assert (state["n"], state["name"], state["none"]) == (3, "s", None)
    state["n"] = mx.array(4.0)
    assert compiled(scalar()).item() == 16


@pytest.mark.parametrize("inputs", [3, "s", [3, None, "s"], [object()]], ids=["int", "str", "mixed", "object"])
def test_inputs_without_arrays(inputs):
    assert mx.compile(lambda a: a * 2, inputs=inputs)(scalar()).item() == 4


@pytest.mark.skipif(REAL, reason="MLX leaves its tracers in the containers")
def test_state_after_exceptions():
    inner = {"w": vector()}
    state = [inner, Dict(u=scalar()), (scalar(),)]
    kept = [inner["w"], state[1], state[1]["u"], state[2]]

    def f(a):
        state[0]["w"] = state[0]["w"] * a
        state[0]["new"] = a
        state[1] = {"u": a}
        state.append(a)
        raise KeyError("inside")

    compiled = mx.compile(f, inputs=state, outputs=state)
    for _ in range(2):
        with pytest.raises(KeyError, match="inside"):
            compiled(scalar())
        assert len(state) == 3
        assert state[0] is inner
        assert list(inner) == ["w"]
        assert [inner["w"], state[1], state[1]["u"], state[2]] == kept or all(
            a is b for a, b in zip([inner["w"], state[1], state[1]["u"], state[2]], kept, strict=True)
        )
        assert inner["w"].tolist() == [1, 2, 3]


def test_old_arrays_are_kept_where_somebody_sees_them():
    state = {"w": mx.ones((64, 64)), "v": mx.ones((64, 64)), "u": mx.ones((64, 64))}
    old = state["w"]
    view = state["v"][0]
    lazy = state["u"] * 3

    def f(a):
        for k in state:
            state[k] = state[k] + a

    compiled = mx.compile(f, inputs=state, outputs=state)
    for _ in range(3):
        compiled(scalar())
    assert old[0, 0].item() == 1
    assert view[0].item() == 1
    assert lazy[0, 0].item() == 3
    assert [state[k][0, 0].item() for k in "wvu"] == [7, 7, 7]


@pytest.mark.skipif(REAL, reason="MLX has no address to look at")
@pytest.mark.immediate
def test_memory_that_nobody_sees_is_used_again():
    state = {"w": mx.ones((1000, 100))}

    def f(a):
        state["w"] = state["w"] * a + 1

    compiled = mx.compile(f, inputs=state, outputs=state)
    compiled(scalar())
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    for _ in range(3):
        compiled(scalar())
    assert mx.get_peak_memory() - before < state["w"].nbytes // 2
    old = state["w"]
    expected = old.tolist()
    compiled(scalar())
    assert old.tolist() == expected


def test_random_state():
    def draw(a):
        return a + mx.random.uniform()

    constant = mx.compile(draw)
    assert constant(scalar()).item() == constant(scalar()).item()
    for state in (mx.random.state, [mx.random.state], [{"r": mx.random.state}]):
        compiled = mx.compile(draw, inputs=state, outputs=state)
        mx.random.seed(7)
        drawn = [compiled(mx.array(0.0)).item() for _ in range(3)]
        mx.random.seed(7)
        assert drawn == [mx.random.uniform().item() for _ in range(3)]
        assert len(set(drawn)) == 3


def test_with_other_transformations():
    x, m = scalar(), mx.ones((2, 3))
    cube = lambda a: a * a * a  # noqa: E731
    assert mx.grad(mx.compile(cube))(x).item() == 12
    assert mx.compile(mx.grad(cube))(x).item() == 12
    assert mx.grad(mx.compile(mx.grad(cube)))(x).item() == 12
    assert mx.compile(lambda a: mx.compile(lambda b: b * 2)(a) + 1)(x).item() == 5
    assert mx.vmap(mx.compile(lambda a: a.sum()))(m).tolist() == [3, 3]
    assert mx.compile(mx.vmap(lambda a: a.sum()))(m).tolist() == [3, 3]
    assert mx.compile(mx.value_and_grad(lambda a: (cube(a), "aux")))(x)[0][1] == "aux"


@pytest.mark.skipif(REAL, reason="MLX refuses inputs that are not captured")
def test_values_of_a_transformation_around():
    x = scalar()
    assert mx.grad(lambda z: mx.compile(lambda a: a * z)(x))(x).item() == 2
    assert mx.compile(lambda z: mx.compile(lambda a: a * z)(x))(x).item() == 4
    v = vector()
    assert mx.compile(lambda a: v)(x).tolist() == [1, 2, 3]


def test_state_under_other_transformations():
    state = {"s": mx.array(1.0)}

    def f(a):
        state["s"] = state["s"] + a
        return a * state["s"]

    compiled = mx.compile(f, inputs=state, outputs=state)
    for expected in (5, 7):
        assert mx.grad(compiled)(scalar()).item() == expected
        assert state["s"].item() == expected - 2


def test_writing_to_arguments():
    v = vector()

    def f(a):
        a[0] = 7.0
        a += 1
        return a

    for _ in range(2):
        assert mx.compile(f)(v).tolist() == [8, 3, 4]
        assert v.tolist() == [1, 2, 3]


def test_decorators_and_callables():
    state = [scalar()]

    @functools.partial(mx.compile, inputs=state)
    def scaled(a):
        """Scale."""
        return a * state[0]

    assert scaled(vector()).tolist() == [2, 4, 6]
    assert (scaled.__name__, scaled.__doc__) == ("scaled", "Scale.")

    class Layer:
        def __init__(self):
            self.scale = 3.0
            self.compiled = mx.compile(self.forward)

        def forward(self, a):
            return a * self.scale

        @mx.compile
        def decorated(self, a):
            return a

    assert Layer().compiled(scalar()).item() == 6
    with pytest.raises(TypeError):
        Layer().decorated(scalar())
    assert mx.compile(functools.partial(lambda a, b: a * b, b=scalar()))(scalar()).item() == 4
    assert mx.compile(counting(lambda a: a))(scalar()).item() == 2
    assert mx.compile(mx.sin)(scalar()).item() == mx.sin(scalar()).item()
    for args in ((), (3,)):
        with pytest.raises(TypeError):
            mx.compile(*args)


def test_disable():
    f = counting(lambda a: a * a.sum().item())
    compiled = mx.compile(f)
    state = [scalar()]

    def step(a):
        state[0] = state[0] + a

    step = mx.compile(step, inputs=state, outputs=state)
    mx.disable_compile()
    try:
        for _ in range(2):
            assert compiled(vector()).tolist() == [6, 12, 18]
            step(scalar())
        assert f.count == 2
        assert state[0].item() == 6
    finally:
        mx.enable_compile()
    with pytest.raises(ValueError):
        compiled(vector())


def test_disabled_by_the_environment():
    program = (
        "from tests.compat.library import mx\n"
        "f = mx.compile(lambda a: a * a.item())\n"
        "print(f(mx.array(3.0)).item())\n"
        "mx.enable_compile()\n"
        "try: f(mx.array(3.0))\n"
        "except ValueError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "MLX_DISABLE_COMPILE": "1"}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["9.0", "refused"], done.stderr


def test_no_cycle_keeps_a_compiled_function():
    class Model:
        def __init__(self):
            self.state = {"w": scalar()}
            self.compiled = mx.compile(self.step, inputs=self.state, outputs=self.state)

        def step(self, a):
            self.state["w"] = self.state["w"] * a

    model = Model()
    model.compiled(scalar())
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@ours
def test_state_after_running_out_of_memory():
    state = {"w": mx.ones((10,)), "v": mx.ones((10,))}

    def grow(a):
        state["v"] = state["v"] + a
        state["w"] = state["w"] + mx.cumsum(mx.broadcast_to(a, (1 << 41,))).max()

    compiled = mx.compile(grow, inputs=state, outputs=state)
    for _ in range(2):
        with pytest.raises(MemoryError):
            compiled(mx.array(1.0))
        assert state["w"].tolist() == [1] * 10
    small = mx.compile(lambda a: state.update(w=state["w"] + a, v=state["v"] + a), inputs=state, outputs=state)
    for n in range(3):
        small(mx.array(1.0))
        assert (state["w"][0].item(), state["v"][0].item()) == (2 + n, 2 + n)
