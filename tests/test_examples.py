"""Every example runs, draws its picture, and goes on bit for bit where it was interrupted."""

import importlib
import pathlib

import numpy as np
import pytest

import funcnn as fn

for needed in ("matplotlib", "sklearn", "tqdm"):
    pytest.importorskip(needed)

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
# What a run of a few seconds is told, and after how many turns of its loop it is interrupted.
RUNS = {
    "digits": (["--epochs", "2"], 30),
    "ensemble": (["--steps", "20", "--members", "3"], 11),
    "diffusion": (["--steps", "10"], 5),
    "influence": (["--steps", "4", "--examples", "60"], 2),
    "chars": (["--steps", "3"], 2),
    "lora": (["--steps", "3", "--start", "none"], 2),
}


class Interrupted:
    """A progress bar during which somebody presses Ctrl-C."""

    def __init__(self, turns, iterable=(), **kwargs):
        self.iterable, self.left = iterable, turns

    def update(self, turns=1):
        self.left -= turns
        if self.left < 0:
            raise KeyboardInterrupt

    def __iter__(self):
        for item in self.iterable:
            self.update()
            yield item

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def set_postfix(self, **values):
        pass


def last_checkpoint(folder):
    """The arrays of the latest file that a run left."""
    return fn.io.load(max(folder.glob("checkpoints-*/step_*.safetensors")))


def test_all_examples_are_run():
    assert set(RUNS) == {file.stem for file in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", RUNS)
def test_example(name, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    example = importlib.import_module(name)
    arguments, turns = RUNS[name]
    # A language model that a GPU in software can train.
    chars = importlib.import_module("chars")
    encode = chars.encode
    monkeypatch.setattr(chars, "encode", lambda text: encode(text[:20_000]))
    monkeypatch.setattr(chars, "BATCH", 4)
    monkeypatch.setattr(chars, "CONTEXT", 32)

    example.main([*arguments, "--out", "whole"])
    picture = (tmp_path / "whole" / f"{name}.png").read_bytes()
    assert picture[:4] == b"\x89PNG" and len(picture) > 10_000
    assert f"{name}.png" in capsys.readouterr().out

    monkeypatch.setattr(example, "draw", lambda *_: None)
    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(example, "tqdm", lambda *a, **k: Interrupted(turns, *a, **k))
        example.main([*arguments, "--out", "resumed"])
    so_far = last_checkpoint(tmp_path / "resumed")
    example.main([*arguments, "--out", "resumed"])
    whole, resumed = (last_checkpoint(tmp_path / run) for run in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    for path in whole:
        np.testing.assert_array_equal(np.asarray(resumed[path]), np.asarray(whole[path]), err_msg=path)
    assert any(not np.array_equal(np.asarray(so_far[path]), np.asarray(whole[path])) for path in whole)
