"""Every function of ``mlx.core``, called in many ways, gives what it gives in MLX."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from tests.compat.core.differences import DIFFERENT, reason
from tests.compat.core.fixtures import fixtures
from tests.compat.core.freeze import PATH, kind
from tests.compat.core.keywords import keyword_calls
from tests.compat.core.outcome import outcome, outcomes, same
from tests.compat.core.table import TABLE

import funcnn as fn
import funcnn.compat.core as mx

FROZEN = json.loads(PATH.read_text())
ABOUT_DEVICES = re.compile(r"mx\.(default_device|metal\.|cuda\.|fast\.(cuda|metal)_kernel)")


def failed(answer):
    return isinstance(answer, dict) and "error" in answer


@pytest.fixture(scope="module")
def ours():
    return outcomes(mx, afterwards=lambda: fn._core._set_thread_device(None))


def test_answers_are_those_of_mlx(ours):
    wrong = {
        text: (answer, ours[text])
        for text, answer in FROZEN["answers"].items()
        if not same(answer, ours[text]) and reason(text) is None and text not in {*FROZEN["wider"], *FROZEN["error"]}
    }
    if mx.is_available(mx.gpu):  # the answers are those of a machine without one
        wrong = {text: both for text, both in wrong.items() if not ABOUT_DEVICES.search(text)}
    assert not wrong


def test_against_mlx(ours):
    """All calls; what is refused in one library only is listed, and every difference that is explained is there."""
    mlx = pytest.importorskip("mlx.core")
    if mlx.__version__ != FROZEN["mlx"]:
        pytest.skip(f"the answers are those of mlx {FROZEN['mlx']}")
    theirs = outcomes(mlx)
    found = {text: kind(theirs[text], ours[text]) for text in theirs}
    assert not [text for text in found if found[text] == "other" and reason(text) is None]
    for sort in ("wider", "error"):
        assert {text for text in found if found[text] == sort} <= {*FROZEN[sort]}
    used = {reason(text) for text in found if found[text] == "other"}
    assert used == {*DIFFERENT.values()}


def test_names_of_arguments():
    """What MLX takes by name may be given by the same name."""
    mlx = pytest.importorskip("mlx.core")
    theirs, ours = fixtures(mlx), fixtures(mx)
    refused = []
    for text in keyword_calls(mlx):
        if not failed(outcome(mlx, theirs, text)) and reason(text) is None and failed(outcome(mx, ours, text)):
            refused.append(text)
    mx.set_printoptions()
    assert not refused


# Classes, transformations and files have tests of their own; the others are old names, and modules.
ELSEWHERE = {
    *(
        "ArrayAt",
        "ArrayIterator",
        "ArrayLike",
        "Dtype",
        "FunctionExporter",
        "Stream",
        "StreamContext",
        "ThreadLocalStream",
    ),
    *("array", "distributed.Group", "checkpoint", "compile", "custom_function", "disable_compile", "enable_compile"),
    *(
        "export_function",
        "export_to_dot",
        "exporter",
        "import_function",
        "grad",
        "jvp",
        "value_and_grad",
        "vjp",
        "vmap",
    ),
    *("load", "save", "save_gguf", "save_safetensors", "savez", "savez_compressed", "clear_streams"),
    *("cuda", "distributed", "fast", "fft", "linalg", "metal", "random"),
}


def test_every_function_is_called():
    path = pathlib.Path(__file__).resolve().parents[3] / "tools" / "compat_names.json"
    if not path.exists():
        pytest.skip("the names are in the repository only")
    names = json.loads(path.read_text())
    found = {
        f"{group.removeprefix('core').removeprefix('.')}.{name}".removeprefix(".")
        for group, members in names.items()
        if group == "core" or (group.startswith("core.") and group.islower() and group != "core.array")
        for name in members
    }
    old = {f"metal.{name}" for name in names["core.metal"] if name in names["core"]} - {"metal.device_info"}
    assert found - {*TABLE} - ELSEWHERE - old == set()
