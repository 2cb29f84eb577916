"""Every public function, called with what it cannot take: errors name the argument, and not the machinery."""

import contextlib
import io
import re
from typing import Any

import pytest

import funcnn as fn
from funcnn import debug, nn, optim, random, testing, tree
from funcnn.nn import init, losses
from funcnn.optim import schedules

# What Python and NumPy say by themselves, and names that nobody outside has heard of.
BARE = re.compile(
    r"incompatible function|Invoked with|nanobind|std::|an argument has the wrong type|index out of range|math domain"
    r"|unhashable|is not callable|cannot be interpreted|is not iterable|has no attribute|not subscriptable"
    r"|not supported between|unsupported operand|bad operand|has no len|not supported for|could not be|typing\."
    r"|collections\.abc|can't multiply|can only concatenate|int too large|cannot unpack|too many values|not enough values"
    r"|does not support|invalid literal|(?<!check_)tree_"
)
WRONG = [object(), "text", None, 2.5, {}, [1, "a"], 2**70, lambda: None, float("nan"), (2, 3), b"x", {1}, 1j, True, int]
SETTINGS = {"set_memory_limit", "set_cache_limit", "set_num_threads", "set_fusion", "set_default_device"}
SETTINGS |= {"clear_cache", "synchronize", "register_node", "set_printoptions", "set_wired_limit"}
X = fn.ones((2, 3))

FUNCTIONS = {
    f"{module.__name__}.{name}".removeprefix("funcnn."): getattr(module, name)
    for module in (fn, random, nn, losses, init, optim, schedules, tree, testing, debug, fn.io, fn.linalg, fn.fft)
    for name in getattr(module, "__all__", None) or ("norm",)
    if name not in SETTINGS and callable(getattr(module, name)) and getattr(module, name) is not Any
}
FUNCTIONS = {
    name: f
    for name, f in FUNCTIONS.items()
    if not isinstance(f, type) or name.startswith(("nn.", "optim.")) or f is fn.array
}


def calls(*firsts):
    yield ()
    for wrong in WRONG:
        yield (wrong,)
        yield (wrong, X)
        for first in firsts:
            yield (*first, wrong)


def refused(function, args):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            function(*args)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        return str(error)
    # What checks are for.
    except (MemoryError, AssertionError, FloatingPointError):
        pass
    return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_refusals_name_the_argument_and_not_the_machinery(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of the calls write files
    function, hands_on = FUNCTIONS[name], lambda *args: args[0]
    for args in calls((X,), (X, 1), (random.key(0),), (hands_on,)):
        text = refused(function, args)
        # Calls with too few arguments are refused by Python, those of the core by name.
        assert text is None or not BARE.search(text) or hands_on in args, (name, args, text)
    text = refused(function, (X,) * 9)
    assert text is None or not BARE.search(text), text


@pytest.mark.parametrize("name", [n for n in fn.__all__ if callable(getattr(fn, n)) and n not in SETTINGS])
def test_unknown_keywords_are_named(name):
    function = getattr(fn, name)
    if isinstance(function, type) or function in (fn.pure_callback, fn.eval_shape):  # the two hand all keywords on
        return
    with pytest.raises(TypeError, match="no_such_argument"):
        function(X, no_such_argument=1)


@pytest.mark.parametrize(
    "name", [n for n in dir(fn.array) if not n.startswith("__") and callable(getattr(fn.array, n, None))]
)
def test_methods_too(name):
    for args in calls((1,)):
        text = refused(getattr(X, name), args)
        assert text is None or not BARE.search(text), (name, args, text)


@pytest.mark.parametrize(
    "update",
    [
        lambda opt, x: opt.update({"w": x}, opt.init({"w": X}), {"w": X}),
        lambda opt, x: opt.update({"w": X}, x, {"w": X}),
        lambda opt, x: opt.update({"w": X}, opt.init({"w": X}), x),
        lambda opt, x: opt.update(x, opt.init({"w": X}), {"w": X}),
        lambda opt, x: opt.init({"w": x}),
    ],
    ids=["gradient", "state", "params", "gradients", "param"],
)
@pytest.mark.parametrize(
    "opt",
    [
        optim.adam(0.1),
        optim.adamw(schedules.constant(0.1)),
        optim.sgd(0.1, momentum=0.9, weight_decay=0.1),
        optim.sgd(schedules.constant(0.1)),
        optim.clip(1.0),
        optim.clip_by_global_norm(1.0),
        optim.scale(2.0),
        optim.scale_by_schedule(schedules.constant(0.1)),
        optim.add_decayed_weights(0.1),
        optim.chain(optim.clip(1.0), optim.sgd(0.1)),
    ],
    ids=repr,
)
def test_optimisers(opt, update):
    for wrong in WRONG:
        text = refused(lambda opt, wrong: update(opt, wrong), (opt, wrong))
        assert text is None or not BARE.search(text), (opt, wrong, text)
