"""Every function of ``mlx.core``, called in many ways, gives what it gives in MLX."""

from __future__ import annotations

import json

import pytest
from tests.compat.core.differences import DIFFERENT, reason
from tests.compat.core.fixtures import fixtures
from tests.compat.core.freeze import PATH, kind
from tests.compat.core.keywords import keyword_calls
from tests.compat.core.outcome import outcome, outcomes, same

import funcnn.compat.core as mx

FROZEN = json.loads(PATH.read_text())


def failed(answer):
    return isinstance(answer, dict) and "error" in answer


@pytest.fixture(scope="module")
def ours():
    return outcomes(mx)


def test_answers_are_those_of_mlx(ours):
    wrong = {
        text: (answer, ours[text])
        for text, answer in FROZEN["answers"].items()
        if not same(answer, ours[text]) and reason(text) is None and text not in {*FROZEN["wider"], *FROZEN["error"]}
    }
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
