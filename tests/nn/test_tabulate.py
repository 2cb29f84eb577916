"""Tables of layers: what they count, measured by hand, and that nothing is computed for them."""

import html.parser

import pytest

import funcnn as fn
from funcnn import nn, random, tree

KEY = random.key(0)


class Twice(nn.Layer):
    part: nn.Layer

    def __call__(self, params, x):
        return self.part(params["part"], self.part(params["part"], x))


class Branches(nn.Layer):
    part: nn.Layer

    def __call__(self, params, x):
        return fn.cond(x.sum() > 0, self.part, lambda p, x: x, params["part"], x)


def rows(table):
    return {row.path: row for row in table.rows}


def linear(batch, inputs, outputs):
    """Operations of a product and a bias."""
    return batch * outputs * (2 * inputs + 1)


def test_counts_are_those_of_hand():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2, bias=False))
    table = nn.tabulate(model, model.init(KEY), fn.ones((3, 4)))
    assert [row.path for row in table.rows] == ["", "layers.0", "layers.1", "layers.2"]
    first, relu, last = table.rows[1:]
    assert first.output == fn.ShapeDtypeStruct((3, 8), fn.float32)
    assert (first.parameters, first.bytes, first.flops) == (40, 160, linear(3, 4, 8))
    assert first.moved >= 4 * (3 * 4 + 40 + 3 * 8)
    assert (relu.parameters, relu.flops, relu.calls) == (0, 24, 1)
    assert (last.parameters, last.flops) == (16, 2 * 3 * 8 * 2)
    assert (table.total.parameters, table.total.bytes, table.trained) == (56, 224, 56)
    assert table.rows[0].flops == table.total.flops == first.flops + relu.flops + last.flops


def test_nothing_is_computed_or_drawn():
    ran = []

    class Loud(nn.Layer):
        def __call__(self, params, x):
            fn.debug.callback(lambda: ran.append(1))
            return x

    huge = nn.Sequential(nn.Linear(10**6, 10**6), Loud(), nn.Linear(10**6, 3))
    params = fn.eval_shape(huge.init, KEY)
    table = nn.tabulate(huge, params, fn.ShapeDtypeStruct((10**4, 10**6), fn.float32))
    assert rows(table)["layers.0"].flops == linear(10**4, 10**6, 10**6) and not ran
    assert table.total.parameters == nn.count(huge)
    assert "1e+12" not in str(table) and "20 Pflop" in str(table) and "4 TB" in str(table)
    assert "float32[1000000, 1000000]" in table._repr_html_()


@pytest.mark.parametrize("wrap", [lambda b: nn.scan_layers(b, 5), lambda b: nn.vmap(b, 5), nn.checkpoint])
def test_repeated_layers_count_every_step(wrap):
    block = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm(4), nn.Dropout(0.5))
    model = nn.Sequential(wrap(block))
    times = 1 if isinstance(model.layers[0], nn.Checkpointed) else 5
    table = nn.tabulate(model.apply, model.init(KEY), fn.ones((3, 4)), training=True, key=KEY)
    found = rows(table)
    assert list(found) == ["", "layers.0", "layers.0.layers.0", "layers.0.layers.1", "layers.0.layers.2"]
    inner = found["layers.0.layers.0"]
    assert (inner.calls, inner.flops, inner.parameters) == (times, times * linear(3, 4, 4), times * 20)
    assert inner.output == fn.ShapeDtypeStruct((3, 4), fn.float32)
    assert found["layers.0"].calls == 1 and found["layers.0"].parameters == times * 36
    assert table.total.parameters == nn.count(model) and table.trained == times * 28
    assert str(table).splitlines()[-1] == f"trained: {times * 28}"


def test_shared_and_tied_arrays_count_once():
    model = nn.Sequential(
        Twice(nn.Linear(4, 4)),
        nn.tie(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), {"layers.1.weight": "layers.0.weight"}),
    )
    params = model.init(KEY)
    table = nn.tabulate(model, params, fn.ones((3, 4)))
    found = rows(table)
    assert (found["layers.0.part"].calls, found["layers.0.part"].parameters) == (2, 20)
    assert found["layers.0.part"].flops == 2 * linear(3, 4, 4) == found["layers.0"].flops
    assert found["layers.1.layers.0"].parameters == 20 and found["layers.1.layers.1"].parameters == 4
    assert table.total.parameters == 20 + 24 == tree.count(params)
    assert table.total.flops == 4 * linear(3, 4, 4)
    # The same array twice in the tree.
    twice = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    one = nn.Linear(4, 4).init(KEY)
    table = nn.tabulate(twice, {"layers": (one, one)}, fn.ones((3, 4)))
    assert [row.parameters for row in table.rows] == [20, 20, 20] and table.total.parameters == 20


def test_branches_are_traced_once_for_the_table():
    model = Branches(nn.Linear(4, 4))
    table = nn.tabulate(model, model.init(KEY), fn.ones((3, 4)))
    assert (rows(table)["part"].calls, rows(table)["part"].flops) == (1, linear(3, 4, 4))


def test_adapters_wrappers_and_precision_have_one_row_a_place():
    base = nn.mixed_precision(nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    model, params = nn.lora(base, base.init(KEY), "**", 2)
    table = nn.tabulate(model, params, fn.ones((3, 4)))
    assert [row.path for row in table.rows] == ["", "layers.0", "layers.1"]
    assert table.rows[1].parameters == 36 and table.trained == 16
    assert table.rows[1].output.dtype == fn.bfloat16 and table.rows[0].output.dtype == fn.float32
    assert "LoRALinear(Linear(4, 4))" in str(table)


def test_the_text():
    model = nn.Sequential(nn.Embedding(10, 4), nn.BatchNorm(4))
    table = nn.tabulate(model, model.init(KEY), fn.zeros((3,), fn.int32))
    lines = str(table).splitlines()
    assert lines[0].split() == ["path", "layer", "output", "parameters", "bytes", "flops", "moved"]
    assert lines[3].startswith("layers.0  Embedding(10, 4)  float32[3, 4]          40  160 B")
    assert lines[-2].startswith("total") and lines[-1] == "trained: 48"
    assert repr(table) == str(table) and max(map(len, lines)) == len(lines[1])


def test_the_tree_is_well_formed_and_summarises_arrays():
    class Checker(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.text = [], []

        def handle_starttag(self, tag, attrs):
            self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            self.text.append(data)

    class Odd(nn.Layer):
        parts: dict

        def __call__(self, params, x):
            for name, part in self.parts.items():
                x = part(params["parts"][name], x)
            return x

    model = Odd({"<b>": nn.Linear(2, 2), "a.b": nn.Sequential(nn.Linear(2, 2))})
    params = model.init(KEY)
    params = tree.set(params, r"parts.<b>.bias", fn.array([1.0, float("nan")]))
    params = tree.set(params, r"parts.a\.b.layers.0.bias", fn.array([1.0, 3.0]))
    checker = Checker()
    checker.feed(nn.tabulate(model, params, fn.ones((3, 2)))._repr_html_())
    assert not checker.open
    assert "bias: float32[2], 1 not finite" in checker.text
    assert "bias: float32[2], 2 ± 1, 1 to 3" in checker.text
    assert any(text.startswith("<b> Linear(2, 2) → float32[3, 2]; 6 parameters (24 B)") for text in checker.text)


def test_mistakes_are_named():
    model = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="tabulate: expected a layer or a function of parameters first"):
        nn.tabulate({}, model, fn.ones(2))
    with pytest.raises(ValueError, match="in Linear: expected"):
        nn.tabulate(model, model.init(KEY), fn.ones(3))
    # What measuring has traced is gone; the layer works as before.
    assert model(model.init(KEY), fn.ones(2)).shape == (2,)
