"""Checkpoints: what is kept, what comes back, and what survives."""

import collections
import contextlib
import json
import math
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import warnings

import numpy as np
import pytest
import safetensors

import funcnn as fn
from funcnn import nn, optim, random, tree

HERE = pathlib.Path(__file__).parent
Point = collections.namedtuple("Point", "x y")


def saved(manager, *steps, **metrics):
    for step in steps:
        manager.save(step, {"w": fn.full((2,), step)}, metric=metrics.get(f"m{step}"))


def names(folder):
    return sorted(os.listdir(folder))


# ---- what is kept


def test_an_empty_folder_and_none(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path / "new" / "run")
    assert (manager.all_steps(), manager.latest(), manager.best()) == ((), None, None)
    with pytest.raises(FileNotFoundError, match=r"there are no checkpoints in .*run"):
        manager.restore({})
    assert not (tmp_path / "new").exists()
    manager.save(0, {"w": fn.ones(1)})
    assert manager.latest() == 0 and manager.all_steps() == (0,) and manager.best() is None
    assert manager.restore({"w": fn.ones(1)}).step == 0
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 7 in .*; there are 0"):
        manager.restore({"w": fn.ones(1)}, 7)


def expected(saves, keep_last, keep_best, mode):
    """What a person would keep, by the whole history."""
    kept = []
    for order, (step, metric) in enumerate(saves):
        kept = [row for row in kept if row[1] != step] + [(order, step, metric)]
        ranked = [row for row in kept if row[2] is not None and not math.isnan(row[2])]
        ranked.sort(key=lambda row: (row[2] if mode == "min" else -row[2], row[0]))
        if keep_last is not None:
            wanted = {row[1] for row in [*sorted(kept)[-keep_last:], *ranked[:keep_best]]} | {step}
            kept = [row for row in kept if row[1] in wanted]
    ranked = [row for row in ranked if row in kept]
    return sorted(row[1] for row in kept), max(kept)[1], ranked[0][1] if ranked else None


@pytest.mark.parametrize("keep_last, keep_best, mode", [(1, 1, "min"), (2, 2, "max"), (3, 0, "min"), (None, 1, "max")])
def test_the_last_and_the_best_are_kept(tmp_path, keep_last, keep_best, mode):
    rng = np.random.default_rng(keep_best + 1)
    metrics = [None, math.nan, math.inf, -math.inf, 0.5, 0.5, 0.25, 0.25, -0.0, 0.0, 1e-300, 3]
    saves = []
    for step in [0, 9, 10, 100, 99, 1000, 11, 12, 13, 12, 14, 2, 15]:
        saves.append((step, metrics[rng.integers(len(metrics))]))
        # A manager of its own for each save: everything is in the files.
        manager = fn.io.CheckpointManager(tmp_path, keep_last=keep_last, keep_best=keep_best, mode=mode)
        manager.save(step, {"w": fn.full((2,), step)}, metric=saves[-1][1])
        steps, latest, best = expected(saves, keep_last, keep_best, mode)
        assert list(manager.all_steps()) == steps, saves
        assert (manager.latest(), manager.best()) == (latest, best), saves
        assert manager.restore({"w": fn.zeros((2,), fn.int32)}).tree["w"].tolist() == [step, step]


def test_steps_are_numbers_and_nan_is_never_best(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path, keep_last=1, keep_best=1)
    saved(manager, 9, 10, 2 * 10**8, m9=math.nan, m10=0.5)
    assert manager.all_steps() == (10, 2 * 10**8) and manager.best() == 10
    # It survives any number of worse ones, equal ones and NaN.
    for step in range(11, 20):
        manager.save(step, {"w": fn.ones(1)}, metric=[0.5, math.nan, 0.6][step % 3])
    assert manager.all_steps() == (10, 19) and (manager.best(), manager.latest()) == (10, 19)


def test_going_back_and_on(tmp_path):
    """After a return to an earlier step, what is saved from there is newer than what was."""
    manager = fn.io.CheckpointManager(tmp_path, keep_last=3, keep_best=0)
    saved(manager, 5, 10, 11)
    assert manager.restore({"w": fn.zeros((2,), fn.int32)}, 5).step == 5
    saved(manager, 6)
    assert manager.latest() == 6 and 6 in manager.all_steps()
    saved(manager, 7, 8)
    assert manager.all_steps() == (6, 7, 8)


def test_a_step_saved_again_is_replaced(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path)
    for value in (1.0, 2.0):
        manager.save(3, {"w": fn.array(value)}, metric=-value, metadata=value)
    found = manager.restore({"w": fn.array(0.0)})
    assert (found.tree["w"].item(), found.metric, found.metadata, manager.all_steps()) == (2.0, -2.0, 2.0, (3,))


def test_what_else_is_in_the_folder_is_left_alone(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path, keep_last=1, keep_best=0)
    saved(manager, 1)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "step_5.safetensors").write_bytes(b"")
    (tmp_path / "step_000000005.safetensors").write_bytes(b"")
    (tmp_path / "step_00000006.safetensors").mkdir()
    (tmp_path / "step_00000007.safetensors").symlink_to("nowhere")
    (tmp_path / "best.safetensors").symlink_to("step_00000001.safetensors")
    assert manager.all_steps() == (1,) and manager.latest() == 1
    saved(manager, 2)
    assert manager.all_steps() == (2,)
    assert names(tmp_path) == sorted([
        "notes.txt", "step_5.safetensors", "step_000000005.safetensors", "step_00000006.safetensors",
        "step_00000007.safetensors", "best.safetensors", "step_00000002.safetensors",
    ])  # fmt: skip


def test_a_folder_that_is_a_link_and_another_working_directory(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    manager = fn.io.CheckpointManager("link")
    monkeypatch.chdir("/")
    saved(manager, 1)
    assert names(tmp_path / "real") == ["step_00000001.safetensors"]
    again = pickle.loads(pickle.dumps(manager))
    assert again == manager and again.latest() == 1


def test_a_damaged_file_is_named_and_left_out(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path, keep_last=1, keep_best=0)
    saved(manager, 1)
    whole = (tmp_path / "step_00000001.safetensors").read_bytes()
    damaged = {2: whole[:-3], 3: b"", 4: whole[:20], 5: whole, 6: None}
    for step, content in damaged.items():
        path = tmp_path / f"step_{step:08d}.safetensors"
        if content is None:
            fn.io.save(path, {"w": fn.ones(1)})
        else:
            path.write_bytes(content)
    with pytest.warns(UserWarning, match="left out") as seen:
        assert manager.latest() == 1
    texts = " ".join(str(w.message) for w in seen)
    assert len(seen) == 5 and all(f"step_{step:08d}" in texts for step in damaged)
    assert "is the checkpoint of step 1, renamed" in texts and "is no checkpoint: its metadata has no 'format'" in texts
    for step in damaged:
        with pytest.raises(ValueError, match=f"step_{step:08d}"):
            manager.restore({"w": fn.zeros((2,), fn.int32)}, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved(manager, 7)  # deletes what is old, not what cannot be read
        assert manager.all_steps() == (7,)
    assert len(names(tmp_path)) == 6


# ---- what comes back


class Kept:
    """A registered class."""

    def __init__(self, a, b):
        self.a, self.b = a, b


tree.register_node(Kept, lambda x: ((x.a, x.b), "kept"), lambda _, ab: Kept(*ab), ("a", "b"))


def bits(x):
    return bytes(memoryview(x.__reduce_ex__(5)[1][0]))


def everything():
    opened = collections.OrderedDict([("z", fn.array([1.5])), ("a", fn.array([2.5], fn.float16))])
    return {
        "a.b": {"c\\d": fn.array([1, 2], fn.bfloat16), "": fn.array(3, fn.int8), "ü": fn.array(True)},
        "ints": {3: fn.ones((2, 0)), -1: fn.array(7, fn.uint64)},
        "frozen": fn.frozendict(x=(fn.array([1 + 2j]), None, (), {})),
        "point": Point(fn.array([0.1], fn.float64), [fn.array(2**40, fn.int64)]),
        "ordered": opened,
        "class": Kept(fn.ones(1), None),
        "key": random.key(3),
        "special": fn.array([math.nan, math.inf, -math.inf, -0.0, 1e-45]),
        "numpy": (np.arange(3, dtype=np.int16), np.float64(0.1), np.array(5.0), np.array([True])),
        "values": (True, 3, 2**80, 0.1, -0.0, math.nan, math.inf, "text ü\x00", ""),
        "absent": tree.absent,
        "strided": fn.arange(12).reshape(3, 4).T[::2],
    }


def test_any_tree_comes_back_exactly(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path)
    original = everything()
    manager.save(1, original)
    template = tree.map(lambda x: fn.zeros(x.shape, x.dtype) if isinstance(x, fn.array) else x, everything())
    for like in (template, original):
        found = manager.restore(like).tree
        assert tree.structure(found) == tree.structure(original)
        for path, ours, theirs in zip(tree.paths(found), tree.leaves(found), tree.leaves(original), strict=True):
            assert type(ours) is type(theirs), path
            if hasattr(theirs, "dtype"):
                assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), path
                raw = [fn.asarray(x) if not isinstance(x, fn.array) else x for x in (ours, theirs)]
                assert bits(raw[0]) == bits(raw[1]), path
            else:
                assert json.dumps(ours) == json.dumps(theirs), path
        assert type(found["point"]) is Point and type(found["class"]) is Kept
    # Only shapes and dtypes are asked of the template.
    abstract = fn.eval_shape(lambda: {"w": fn.zeros((3, 2), fn.bfloat16), "k": random.key(0)})
    manager.save(2, {"w": fn.ones((3, 2), fn.bfloat16), "k": random.key(5)})
    assert manager.restore(abstract).tree["k"].tolist() == random.key(5).tolist()


def test_the_error_lists_every_path(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path)
    manager.save(4, {f"p{i}": fn.ones(2) for i in range(15)} | {"n": 3, "deep": {"a.b": fn.ones((2, 3), fn.float16)}})
    template = {f"q{i}": fn.ones(2) for i in range(15)} | {"n": 3.0, "deep": {"a.b": fn.ones((3, 2))}, "p0": fn.ones(2)}
    template |= {"p1": fn.ones(2, fn.bfloat16), "p2": fn.ones(3), "p3": 1.0}
    with pytest.raises(ValueError) as info:
        manager.restore(template)
    title, *lines = str(info.value).splitlines()
    assert title == f"checkpoint 4 in {tmp_path} does not fit the template:"
    wanted = [f"q{i}: missing, expected float32[2]" for i in range(15)]
    wanted += [f"p{i}: unexpected, got float32[2]" for i in range(4, 15)]
    wanted += [
        r"deep.a\.b: wrong shape and dtype: expected float32[3, 2], got float16[2, 3]",
        "n: expected float, got int",
        "p1: wrong dtype: expected bfloat16[2], got float32[2]",
        "p2: wrong shape: expected float32[3], got float32[2]",
        "p3: expected float, got float32[2]",
    ]
    assert sorted(line.strip() for line in lines) == sorted(wanted)
    with pytest.raises(TypeError, match="the template has a set at n"):
        manager.restore({"n": {1}})


def test_metadata_and_metric(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path)
    metadata = {
        "position": {"epoch": 3, "offset": 2**70, "shards": ["a", "ü", "\udc80"], "none": None, "done": False},
        "numbers": (0.1, math.nan, -math.inf, np.float32(0.5), np.int64(3), fn.array(2.5), np.array(True)),
        "frozen": fn.frozendict(a=1),
        "long": "x" * 100_000,
    }
    manager.save(1, {}, metadata=metadata, metric=np.float32(0.25))
    found = manager.restore({})
    wanted = metadata | {"numbers": [0.1, math.nan, -math.inf, 0.5, 3, 2.5, True], "frozen": {"a": 1}}
    assert json.dumps(found.metadata, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    assert (found.metric, found.tree) == (0.25, {})
    for bad, message in [
        ({"a": {1: 2}}, r"metadata.a has the key 1; JSON has strings"),
        ({"a": [{"b": {1, 2}}]}, r"metadata.a.0.b is a set, which JSON does not hold"),
        ({"a": fn.ones(2)}, "metadata.a is a array, which JSON does not hold; arrays go into the tree"),
    ]:
        with pytest.raises(TypeError, match=message):
            manager.save(2, {}, metadata=bad)
    for bad in ("0.5", True, fn.ones(2), 1j):
        with pytest.raises(TypeError, match="metric must be a number"):
            manager.save(2, {}, metric=bad)
    assert manager.all_steps() == (1,)


def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path / "run")
    for bad, error, message in [
        ({"a": {"b": object()}}, TypeError, "save: a.b is a object; expected arrays, bools, numbers and strings"),
        ({"a": np.array(["x"])}, TypeError, "save: a is of dtype <U1"),
        ({"a": np.ones(1, np.complex128)}, TypeError, "save: a is of dtype complex128"),
        ({"__metadata__": fn.ones(1)}, ValueError, "__metadata__"),
        (fn.ones(1), ValueError, "put it in a dict"),
        (
            collections.OrderedDict([(1, fn.ones(1)), ("1", fn.ones(1))]),
            ValueError,
            "two leaves of the tree have the path '1'",
        ),
    ]:
        with pytest.raises(error, match=message):
            manager.save(1, bad)
    for step, error in [(-1, ValueError), (2**63, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError)]:
        with pytest.raises(error, match="CheckpointManager: step"):
            manager.save(step, {})
    with pytest.raises(fn.TracedValueError, match="save: w"):
        fn.compile(lambda w: manager.save(1, {"w": w}))(fn.ones(1))
    assert not (tmp_path / "run").exists()
    manager.save(fn.array(3), {})
    manager.save(np.int64(4), {})
    assert manager.all_steps() == (3, 4)
    for name, value in [
        ("keep_last", 0),
        ("keep_best", -1),
        ("mode", "least"),
        ("keep_last", 1.5),
        ("keep_best", None),
    ]:
        with pytest.raises((ValueError, TypeError), match=f"CheckpointManager: {name}"):
            fn.io.CheckpointManager(tmp_path, **{name: value})
    with pytest.raises(TypeError, match="folder must be the name of a folder"):
        fn.io.CheckpointManager(3)


def test_a_person_can_open_the_files(tmp_path):
    manager = fn.io.CheckpointManager(tmp_path)
    manager.save(12, {"params": {"layers": ({"w": fn.ones((2, 3))},)}, "lr": 0.1}, metadata={"epoch": 1}, metric=0.5)
    path = tmp_path / "step_00000012.safetensors"
    assert list(fn.io.load(path)) == ["params.layers.0.w"]
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {
            "format": "funcnn checkpoint 1",
            "step": "12",
            "order": "1",
            "metric": "0.5",
            "metadata": '{"epoch": 1}',
            "values": '{"lr": 0.1}',
        }
        np.testing.assert_array_equal(file.get_tensor("params.layers.0.w"), np.ones((2, 3)))


# ---- going on


def trained(folder, stop):
    """Train for `stop` steps, from the last checkpoint if there is one."""
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm(8), nn.Dropout(0.2), nn.Linear(8, 1))
    opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(optim.schedules.cosine_decay(1e-2, 20)))
    data = np.random.default_rng(0).normal(size=(40, 3)).astype("f")

    @fn.compile(donate=("params", "opt_state"))
    def step(params, opt_state, x, key):
        def loss(params):
            y, updates = model.apply(params, x, training=True, key=key)
            return fn.mean(fn.square(y - x[:, :1])), updates

        (value, updates), grads = fn.value_and_grad(loss, has_aux=True)(params)
        delta, opt_state = opt.update(grads, opt_state, params)
        return tree.merge(optim.apply_updates(params, delta), updates), opt_state, value

    manager = fn.io.CheckpointManager(folder, keep_last=2)
    params = model.init(random.key(0))
    state = {"params": params, "opt": opt.init(params), "key": random.key(1)}
    first = position = 0
    if manager.latest() is not None:
        found = manager.restore(state)
        state, first, position = found.tree, found.step, found.metadata["position"]
    losses = []
    for i in range(first, stop):
        key, used = random.split(state["key"])
        batch = fn.array(data[position : position + 8])
        position = (position + 8) % 40
        params, opt_state, value = step(state["params"], state["opt"], batch, used)
        state = {"params": params, "opt": opt_state, "key": key}
        losses.append(value.item())
        if i % 3 == 2:
            manager.save(i + 1, state, metadata={"position": position}, metric=value)
    return state, losses


def test_a_training_goes_on_bit_by_bit(tmp_path):
    whole, losses = trained(tmp_path / "a", 12)
    for stop in (4, 8, 12):
        state, part = trained(tmp_path / "b", stop)
    assert part == losses[-len(part) :] and len(part) == 6
    assert tree.equal(state, whole)
    # The arrays of a restored tree are the file; steps that donate them do not write into it.
    again = fn.io.CheckpointManager(tmp_path / "b").restore(whole)
    assert again.step == 12 and tree.equal(again.tree, whole)


# ---- others, and the end of the process


def test_a_file_that_is_deleted_while_it_is_opened_is_not_there(tmp_path, monkeypatch):
    """Not damaged: another manager has deleted it."""
    manager = fn.io.CheckpointManager(tmp_path)
    manager.save(1, {"w": fn.ones(3)})
    opened = safetensors.safe_open

    def late(path, **options):
        os.unlink(path)
        return opened(path, **options)

    monkeypatch.setattr(safetensors, "safe_open", late)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint of step 1"):
        manager.restore({"w": fn.ones(3)}, 1)


def test_managers_of_several_threads_in_one_folder(tmp_path):
    problems = []
    template = {"w": fn.zeros((100,), fn.int32)}

    def work(offset):
        manager = fn.io.CheckpointManager(tmp_path, keep_last=2, keep_best=1)
        try:
            for step in range(offset, 30, 3):
                manager.save(step, {"w": fn.full((100,), step)}, metric=step)
                found = manager.restore(template)
                assert np.all(np.asarray(found.tree["w"]) == found.step)
                with contextlib.suppress(FileNotFoundError):
                    assert np.all(np.asarray(manager.restore(template, step).tree["w"]) == step)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems
    manager = fn.io.CheckpointManager(tmp_path)
    assert manager.best() == 0 and 2 <= len(manager.all_steps()) <= 9
    assert all(name.startswith("step_") for name in names(tmp_path))


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks and limits the size of files")
@pytest.mark.parametrize("mode", ["lines", "times", "full"])
def test_nothing_is_lost_when_the_process_is_killed_or_the_disk_is_full(mode, tmp_path):
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory or tmp_path) as folder:
        command = [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            HERE / "checkpoint_killer.py",
            mode,
            f"{folder}/run",
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.startswith("whole")
