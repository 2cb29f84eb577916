"""export_function, import_function, exporter and export_to_dot of mlx.core."""

import io
import json
import os
import pathlib
import subprocess
import sys

import pytest
from tests.compat.library import REAL, mx, nn, utils

import funcnn as fn

ours = pytest.mark.skipif(REAL, reason="the format, and what it holds, are funcnn's")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "function.mlxfn")


def vector():
    return mx.array([1.0, 2.0, 3.0])


def lists(arrays):
    assert type(arrays) is tuple
    assert all(type(x) is mx.array for x in arrays)
    return [x.tolist() for x in arrays]


def test_positional_arguments(path):
    v = vector()
    assert mx.export_function(path, lambda a, b: a * b, v, v) is None
    f = mx.import_function(path)
    for arguments in ((v, v), ([v, v],), ((v, v),)):
        assert lists(f(*arguments)) == [[1, 4, 9]]
    for wrong in ((v[:2], v[:2]), (v.astype(mx.int32), v), (v,), (v, v, v), (v, 2.0), (v, [v])):
        with pytest.raises(ValueError):
            f(*wrong)
    with pytest.raises(ValueError):
        f(v, v, c=v)


def test_named_arguments(path):
    v = vector()
    for arguments in ((v,), {"b": v}), (((v,), {"b": v}), {}), (([v], {"b": v}), {}):
        args, kwargs = arguments
        mx.export_function(path, lambda a, b: a - 2 * b, *args, **kwargs)
        f = mx.import_function(path)
        assert lists(f(v, b=v)) == [[-1, -2, -3]]
        assert lists(f((v,), {"b": v})) == [[-1, -2, -3]]
        for wrong in ((v, v), (v,)):
            with pytest.raises(ValueError):
                f(*wrong)
        with pytest.raises(ValueError):
            f(v, c=v)
    mx.export_function(path, lambda b, a: b * 2 - a, {"b": v, "a": v})
    assert lists(mx.import_function(path)(a=v, b=v)) == [[1, 2, 3]]
    assert lists(mx.import_function(path)({"a": v, "b": v})) == [[1, 2, 3]]


@pytest.mark.parametrize("arguments", [(vector(), 2.0), ({"x": {"y": vector()}},), ("s",)])
def test_other_arguments(path, arguments):
    with pytest.raises(ValueError):
        mx.export_function(path, lambda *args: args[0], *arguments)


def test_results(path):
    v = vector()
    for kind in (tuple, list):
        mx.export_function(path, lambda a, kind=kind: kind((a, a * 2)), v)
        assert lists(mx.import_function(path)(v)) == [[1, 2, 3], [2, 4, 6]]
    mx.export_function(path, lambda: v * 2)
    assert lists(mx.import_function(path)()) == [[2, 4, 6]]
    for wrong in ({"z": v}, None, 2.0, "s"):
        with pytest.raises(ValueError):
            mx.export_function(path, lambda a, wrong=wrong: wrong, v)
    with pytest.raises(ZeroDivisionError):
        mx.export_function(path, lambda a: 1 / 0, v)
    with pytest.raises(ValueError):
        mx.export_function(path, lambda a: a * a.sum().item(), v)


def test_metadata(path):
    v = vector()
    mx.export_function(path, lambda a: a, v, metadata="größe")
    assert mx.import_function(path, return_metadata=True)[1] == "größe"
    assert callable(mx.import_function(path))
    mx.export_function(path, lambda a: a, v)
    f, metadata = mx.import_function(path, True)
    assert metadata == ""
    assert lists(f(v)) == [[1, 2, 3]]
    with pytest.raises(ValueError):
        mx.export_function(lambda part: None, lambda a: a, v, metadata="x")


@ours
def test_an_error_between_traces_leaves_the_file_as_it_was(path):
    mx.export_function(path, mx.exp, vector())
    with pytest.raises(KeyError), mx.exporter(path, mx.sin) as export:
        export(vector())
        raise KeyError
    assert mx.import_function(path)(vector())[0].tolist() == mx.exp(vector()).tolist()


def test_several_traces(path):
    v, m = vector(), mx.ones((2, 2))

    def f(*args, **kwargs):
        total = args[0]
        for x in args[1:]:
            total = total + x
        for x in kwargs.values():
            total = total * x
        return total

    with mx.exporter(path, f, metadata="several") as export:
        assert type(export) is mx.FunctionExporter
        for args in ((v,), (v, v), (m,), (v.astype(mx.float16),)):
            export(*args)
        export(v, v, k=v)
        with pytest.raises(RuntimeError):
            export(v + 1)
    with pytest.raises(RuntimeError):
        export(v, v, v)
    export.close()
    g, metadata = mx.import_function(path, return_metadata=True)
    assert metadata == "several"
    assert lists(g(v)) == [[1, 2, 3]]
    assert lists(g(v, v)) == [[2, 4, 6]]
    assert lists(g(v, v, k=v)) == [[2, 8, 18]]
    assert lists(g(m)) == [[[1, 1], [1, 1]]]
    assert g(v.astype(mx.float16))[0].dtype == mx.float16
    with pytest.raises(ValueError):
        g(v, v, v)


def test_shapeless(path):
    v, m = vector(), mx.ones((2, 2))
    mx.export_function(path, lambda a: mx.exp(a) * 2 + mx.sigmoid(a), v, shapeless=True)
    f = mx.import_function(path)
    for x in (v, v[:2], mx.ones((7,))):
        assert f(x)[0].tolist() == pytest.approx((mx.exp(x) * 2 + mx.sigmoid(x)).tolist())
    with pytest.raises(ValueError):
        f(m)
    mx.export_function(path, lambda a: mx.softmax(a, axis=-1), m, shapeless=True)
    x = mx.arange(15, dtype=mx.float32).reshape(3, 5)
    assert mx.allclose(mx.import_function(path)(x)[0], mx.softmax(x, axis=-1)).item()
    mx.export_function(path, lambda a, b: a @ b, m, m, shapeless=True)
    assert mx.allclose(mx.import_function(path)(x, x.T)[0], x @ x.T).item()
    with pytest.raises(ValueError):
        mx.export_function(path, lambda a: a.reshape(3, 1), v, shapeless=True)
        mx.import_function(path)(mx.ones((7,)))
    export = mx.exporter(path, lambda a: a * 2, shapeless=True)
    export(v)
    with pytest.raises(RuntimeError):
        export(v[:2])
    export(m)
    export.close()
    f = mx.import_function(path)
    assert lists(f(v[:2])) == [[2, 4]]
    assert f(mx.ones((3, 4)))[0].shape == (3, 4)


def test_parameters(path):
    layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    v = vector()
    for f in (layers, lambda a: layers(a)):
        mx.export_function(path, f, v)
        assert mx.allclose(mx.import_function(path)(v)[0], layers(v)).item()
    f = mx.import_function(path)
    assert f(v)[0].shape == (2,)
    assert mx.allclose(mx.grad(lambda a: f(a)[0].sum())(v), mx.grad(lambda a: layers(a).sum())(v), atol=1e-6).item()
    assert mx.compile(f)(v)[0].shape == (2,)
    assert mx.vmap(lambda a: f(a)[0])(mx.ones((5, 3))).shape == (5, 2)


def test_transformed_functions(path):
    v = vector()
    for f in (
        mx.grad(lambda a: (a * a).sum()),
        mx.compile(lambda a: a * 2),
        mx.custom_function(lambda a: a * 2),
        mx.vmap(lambda a: a * 2),
    ):
        mx.export_function(path, f, v)
        assert lists(mx.import_function(path)(v)) == [[2, 4, 6]]


def test_random_keys(path):
    v, key = vector(), mx.random.key(3)
    mx.export_function(path, lambda a, k: a + mx.random.uniform(shape=(3,), key=k), v, key)
    f = mx.import_function(path)
    assert mx.allclose(f(v, key)[0], v + mx.random.uniform(shape=(3,), key=key)).item()
    mx.export_function(path, lambda a: a + mx.random.uniform(), v)
    f = mx.import_function(path)
    assert lists(f(v)) == lists(f(v))


@pytest.mark.parametrize(
    "f",
    [
        lambda x, i: x[i] + x[1:2] + x[..., ::-1],
        lambda x, i: mx.concatenate([x, mx.pad(x, 1)[1:-1, 1:-1]], axis=1),
        lambda x, i: (mx.sort(x, axis=0), mx.argsort(x), mx.topk(x, 2), mx.argmax(x, axis=1), mx.cumsum(x, axis=1)),
        lambda x, i: (x.mean(axis=1), x.var(), mx.softmax(x), mx.logsumexp(x, axis=0), x.max(), x.any(axis=0)),
        lambda x, i: mx.take_along_axis(x, mx.argsort(x, axis=1), axis=1).at[0].add(1.0),
        lambda x, i: mx.where(x > 1, x.astype(mx.bfloat16).astype(mx.float32), -mx.inf),
        lambda x, i: (mx.conv1d(x[None], mx.ones((2, 2, 4)), padding=1), mx.fft.rfft(x).real, mx.tril(x), mx.eye(3) * i.sum()),
        lambda x, i: mx.fast.scaled_dot_product_attention(*[x.reshape(1, 1, 3, 4)] * 3, scale=1 / 3, mask="causal"),
        lambda x, i: (mx.fast.rms_norm(x, None, 1e-5), mx.fast.layer_norm(x, None, None, 1e-5), mx.fast.rope(x[None], 4, traditional=False, base=10.0, scale=1.0, offset=0)),
        lambda x, i: mx.grad(lambda y: (mx.conv1d(y[None], mx.ones((2, 2, 4))) ** 2).sum() + mx.sort(y).max())(x),
        lambda x, i: mx.quantized_matmul(mx.ones((2, 32)), *mx.quantize(mx.arange(64, dtype=mx.float32).reshape(2, 32), 32, 4), group_size=32, bits=4),
        lambda x, i: (x @ x.T, mx.einsum("ij,kj->ik", x, x), mx.broadcast_to(x[0], (2, 4)), mx.as_strided(x, (2, 2), (4, 1))),
        lambda x, i: mx.gather_mm(mx.ones((3, 1, 4)), mx.stack([x.T, x.T * 2]), rhs_indices=mx.minimum(i, 1)),
        lambda x, i: (nn.MaxPool1d(2)(x[None]), nn.AvgPool1d(2, 1)(x[None])),
        lambda x, i: (mx.logical_and(x > 0, x < 2), i & 3, i << 1, mx.floor_divide(x, 2), mx.power(x, 3), x.view(mx.int32)),
    ],
)  # fmt: skip
@ours
def test_operations(path, f):
    x, i = mx.array([[0.5, 3, -1, 2], [4, 1, 0, -2], [1, 1.5, 2.5, -3]]), mx.array([2, 0, 1])
    expected = f(x, i)
    mx.export_function(path, f, x, i)
    found = mx.import_function(path)(x, i)
    for a, b in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert (
            a.tolist() == pytest.approx(b.tolist(), rel=1e-6)
            if a.ndim < 2
            else mx.allclose(a, b, equal_nan=True).item()
        )


@ours
def test_loops(path):
    x = mx.arange(24, dtype=mx.float32).reshape(2, 3, 4) / 24
    for layer in (nn.LSTM(4, 5), nn.GRU(4, 5), nn.RNN(4, 5)):
        mx.export_function(path, layer, x)
        result = layer(x)
        for a, b in zip(mx.import_function(path)(x), result if isinstance(result, tuple) else (result,), strict=True):
            assert mx.allclose(a, b, atol=1e-6).item()
        total = mx.grad(lambda y, layer=layer: mx.sin(layer(y)[0]).sum())
        mx.export_function(path, total, x)
        assert mx.allclose(mx.import_function(path)(x)[0], total(x), atol=1e-6).item()

    def branch(a):
        return fn.cond(a.sum() > 0, lambda b: b * 2, lambda b: b - 1, a)

    def count(a):
        return fn.while_loop(lambda c: c.sum() < 90, lambda c: c * 2 + 1, a)

    for f in (branch, count):
        mx.export_function(path, f, vector())
        for v in (vector(), vector() - 2.5):
            assert lists(mx.import_function(path)(v)) == [f(v).tolist()]


@ours
def test_another_process(path):
    weights = mx.arange(12, dtype=mx.float32).reshape(3, 4)
    mx.export_function(
        path, lambda a, b: (a @ weights + b, mx.argmax(a)), vector(), b=mx.array([0.5]).astype(mx.bfloat16)
    )
    program = (
        "import funcnn.compat.core as mx\n"
        f"f = mx.import_function({path!r})\n"
        "y, i = f(mx.array([1.0, 2.0, 3.0]), b=mx.array([0.5]).astype(mx.bfloat16))\n"
        "print(y.tolist(), i.item())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[32.5, 38.5, 44.5, 50.5] 2", done.stderr


@ours
def test_a_training_step_in_another_process(path, tmp_path):
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    names, values = zip(*utils.tree_flatten(layer.parameters()), strict=True)

    def step(x, *weights):
        def loss(weights):
            layer.update(utils.tree_unflatten(list(zip(names, weights, strict=True))))
            return (layer(x, "causal") ** 2).mean()

        value, gradients = mx.value_and_grad(loss)(list(weights))
        return [value, *(w - 0.1 * g for w, g in zip(weights, gradients, strict=True))]

    x = mx.random.normal((3, 5, 8), key=mx.random.key(0))
    mx.export_function(path, step, x, *values, shapeless=True)
    x = mx.random.normal((2, 9, 8), key=mx.random.key(1))
    expected = step(x, *values)
    arguments, results = str(tmp_path / "arguments.npz"), str(tmp_path / "results.npz")
    mx.savez(arguments, x, *values)
    program = (
        "import sys\n"
        "import funcnn.compat.core as mx\n"
        "path, arguments, results = sys.argv[1:]\n"
        "given = mx.load(arguments)\n"
        "mx.savez(results, *mx.import_function(path)(*(given[f'arr_{i}'] for i in range(len(given)))))"
    )
    done = subprocess.run([sys.executable, "-c", program, path, arguments, results], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = mx.load(results)
    for i, y in enumerate(expected):
        assert mx.allclose(found[f"arr_{i}"], y, rtol=1e-5, atol=1e-6).item()


@ours
def test_rows_of_factors_that_a_file_invents_stay_within_matrices(path):
    mx.export_function(path, lambda a, b, i: (mx.linalg.solve(a, b, stream=mx.cpu), i + 1), *solvable())
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + length])
    (solution,) = (n for n in header["traces"][0]["graph"][1] if n[0] == "lu_solve")
    assert solution[3] == [[[3, 3], "float32"]]
    solution[2][3] = 2  # the third argument
    changed = json.dumps(header).encode().ljust(length)
    pathlib.Path(path).write_bytes(data[:16] + changed[:length] + data[16 + length :])
    assert mx.import_function(path)(*solvable())[0].shape == (3, 3)


def solvable():
    matrix = mx.eye(3) * 3 + 1
    return matrix, matrix, mx.array([2**31, 2**32 - 1, 3], mx.uint32)


@ours
def test_calls_of_python_are_refused(path):
    def f(x):
        return fn.pure_callback(lambda a: a, fn.ShapeDtypeStruct((3,), fn.float32), x)

    with pytest.raises(ValueError, match="callback"):
        mx.export_function(path, f, vector())
    assert not os.path.exists(path)


@ours
def test_constants_are_stored_once(path):
    weights = mx.random.normal((64, 64))
    with mx.exporter(path, lambda a: a @ weights) as export:
        for rows in (1, 2, 3):
            export(mx.ones((rows, 64)))
    assert os.path.getsize(path) < 2 * weights.nbytes


def test_missing_files(path):
    with pytest.raises(RuntimeError):
        mx.import_function(path)


@ours
def test_damaged_files(path):
    v = vector()
    weights = mx.ones((3,))
    mx.export_function(path, lambda a: mx.pad(mx.concatenate([a, weights]), 1)[mx.array([1, 2])], v, metadata="m")
    data = pathlib.Path(path).read_bytes()
    header = int.from_bytes(data[8:16], "little")
    broken = [b"", b"garbage" * 10, data[: len(data) // 2], data[:-64], data[:12]]
    for old, new in (
        (b'"version": 1', b'"version": 9'),
        (b'"concatenate"', b'"concatenat3"'),
        (b"axis=0", b"axis=7"),
        (b"axes=[0]", b"axes=[5]"),
        (b"low=(1,)", b"low=(9,)"),
        (b'"float32"', b'"float99"'),
        (b'"constants"', b'"constents"'),
        (b'"offset": 0', b'"offset":-9'),
        (b"[[3]", b"[[9]"),
    ):
        changed = data[:16] + data[16 : 16 + header].replace(old, new) + data[16 + header :]
        if changed != data:
            broken.append(changed)
    assert len(broken) > 9
    for content in broken:
        pathlib.Path(path).write_bytes(content)
        with pytest.raises(RuntimeError):
            mx.import_function(path)
    pathlib.Path(path).write_bytes(data)
    assert lists(mx.import_function(path)(v)) == [[1, 2]]


def test_callbacks():
    v, parts = vector(), []
    mx.export_function(parts.append, lambda a, b: mx.exp(a) * b + 1, v, b=v)
    assert [p["type"] for p in parts[:4]] == ["inputs", "keyword_inputs", "outputs", "constants"]
    assert parts[0]["inputs"] == [("A", (3,), mx.float32), ("B", (3,), mx.float32)]
    assert parts[1]["keywords"] == [("b", "B")]
    assert parts[2]["outputs"][0][1:] == ((3,), mx.float32)
    assert parts[3]["constants"][0][1].item() == 1
    operations = parts[4:]
    assert [p["name"].lower() for p in operations if p["name"] != "Broadcast"] == ["exp", "multiply", "add"]
    assert operations[0]["inputs"] == [("A", (3,), mx.float32)]
    assert operations[-1]["outputs"] == parts[2]["outputs"]
    assert all(set(p) == {"type", "name", "inputs", "outputs", "arguments"} for p in operations)


def test_dot(tmp_path):
    a, b = mx.array(1.0), mx.array(2.0)
    text = io.StringIO()
    mx.export_to_dot(text, (a + b) * a, a=a, b=b)
    lines = text.getvalue().splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    assert '{ rank=source; "a"; }' in lines
    assert '{ rank=source; "b"; }' in lines
    assert sum("rank=sink" in line for line in lines) == 1
    labels = [line.split('"')[1].lower() for line in lines if "label" in line]
    assert labels == ["add", "multiply"]
    file = tmp_path / "graph.dot"
    mx.export_to_dot(str(file), a + b, [mx.exp(a)])
    assert "exp" in file.read_text().lower()
    mx.export_to_dot(io.StringIO())
    for wrong in ((io.StringIO(), 3.0), (3, a + b)):
        with pytest.raises(ValueError):
            mx.export_to_dot(*wrong)
    with pytest.raises(ValueError):
        mx.export_to_dot(io.StringIO(), a + b, k=3.0)
