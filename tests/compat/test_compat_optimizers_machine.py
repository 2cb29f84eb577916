"""Random sequences of what one does with an optimiser, in the shim and in MLX; parameters and states are compared after each."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.compat.optimizer_cases import CASES

import funcnn.compat.core as fx
from funcnn.compat import optimizers as ours
from funcnn.compat import utils

mx = pytest.importorskip("mlx.core")
theirs = pytest.importorskip("mlx.optimizers")

SHAPES = {"w": (2, 3), "b": (3,), "layers.0.w": (3, 2), "layers.2.w": (2, 2, 2), "layers.2.b": (), "pair.1": (1,)}
DTYPES = ("float32", "float16", "bfloat16")
TOLERANCE = 2e-5


def tree(library, arrays):
    made = {"layers": [{}, {}, {}], "pair": (0, 0)}
    for path, (value, dtype) in arrays.items():
        x = library.array(value).astype(getattr(library, dtype))
        match path.split("."):
            case ["layers", place, name]:
                made["layers"][int(place)][name] = x
            case ["pair", _]:
                made["pair"] = ({}, x)
            case [name]:
                made[name] = x
    if made["pair"] == (0, 0):
        del made["pair"]
    return made


class Optimizers(RuleBasedStateMachine):
    @initialize(
        case=st.sampled_from(sorted(CASES)),
        dtypes=st.fixed_dictionaries({path: st.sampled_from(DTYPES) for path in SHAPES}),
        schedule=st.sampled_from([None, "cosine_decay", "exponential_decay"]),
    )
    def start(self, case, dtypes, schedule):
        name, arguments = CASES[case]
        self.dtypes, self.draws, self.known = dtypes, np.random.default_rng(0), set()
        self.optimizers = []
        for optim in (ours, theirs):
            rate = arguments.get("learning_rate")
            if rate and schedule:
                rate = getattr(optim, schedule)(rate, 20 if schedule == "cosine_decay" else 0.9)
            given = {**arguments, **({"learning_rate": rate} if rate else {})}
            self.optimizers.append(getattr(optim, name)(**given))
        self.params = self.drawn(SHAPES)

    def drawn(self, paths):
        values = {path: self.draws.normal(size=SHAPES[path]).astype(np.float32) for path in paths}
        return [tree(library, {p: (v, self.dtypes[p]) for p, v in values.items()}) for library in (fx, mx)]

    def both(self, act):
        """Do it in both libraries; what raises in one raises in the other."""
        results, errors = [], []
        for place in range(2):
            try:
                results.append(act(place))
                errors.append(None)
            except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
                errors.append(type(error))
        assert errors[0] == errors[1] or (errors[0] and errors[1])
        return results if errors == [None, None] else None

    @rule(paths=st.sets(st.sampled_from(sorted(SHAPES)), min_size=1))
    def apply(self, paths):
        grads = self.drawn(sorted(paths))
        new = self.both(lambda i: self.optimizers[i].apply_gradients(grads[i], self.params[i]))
        if new:
            self.compare(*new)

    @rule()
    def apply_to_all(self):
        grads = self.drawn(SHAPES)
        new = self.both(lambda i: self.optimizers[i].apply_gradients(grads[i], self.params[i]))
        if new:
            self.compare(*new)
            self.params = new

    @rule(paths=st.sets(st.sampled_from(sorted(SHAPES))))
    def init(self, paths):
        some = self.drawn(sorted(paths))
        self.both(lambda i: self.optimizers[i].init(some[i]))

    @rule(rate=st.sampled_from([0.25, 0.001, 1, 0]))
    def set_rate(self, rate):
        for optimizer in self.optimizers:
            optimizer.learning_rate = rate

    @rule()
    def through_a_file(self):
        for optimizer in self.optimizers:
            optimizer.state = utils.tree_unflatten(utils.tree_flatten(optimizer.state))

    @rule(names=st.sets(st.sampled_from(["w", "b", "layers", "pair"])))
    def forget(self, names):
        for optimizer in self.optimizers:
            optimizer.state = {name: part for name, part in optimizer.state.items() if name not in names}

    @rule(limit=st.sampled_from([0.0, 0.5, 100.0]))
    def clip(self, limit):
        # MLX sums squares of bfloat16 in bfloat16.
        grads = self.drawn([path for path in SHAPES if self.dtypes[path] != "bfloat16"])
        results = [optim.clip_grad_norm(g, limit) for optim, g in zip((ours, theirs), grads, strict=True)]
        self.compare(results[0][0], results[1][0])
        assert str(results[0][1].dtype).split(".")[-1] == str(results[1][1].dtype).split(".")[-1]

    @invariant()
    def states_agree(self):
        if hasattr(self, "optimizers"):
            self.compare(*(optimizer.state for optimizer in self.optimizers))

    def compare(self, mine, other):
        assert structure(mine) == structure(other)
        flat, expected = utils.tree_flatten(mine), utils.tree_flatten(other)
        for (path, x), (_, y) in zip(flat, expected, strict=True):
            dtype = str(y.dtype).split(".")[-1]
            assert (str(x.dtype).split(".")[-1], tuple(x.shape)) == (dtype, tuple(y.shape)), path
            if dtype not in DTYPES[1:]:  # which are rounded in other places: what underflows in MLX need not here
                np.testing.assert_allclose(np.array(x), np.array(y), rtol=TOLERANCE, atol=TOLERANCE, err_msg=path)


def structure(tree):
    if isinstance(tree, dict):
        return {name: structure(part) for name, part in tree.items()}, list(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(structure(part) for part in tree)
    return None


TestOptimizers = Optimizers.TestCase
TestOptimizers.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
