"""Copies of arrays whose memory is not the library's own are arrays of the shim as well."""

import copy

import numpy as np
from tests.compat.library import REAL, mx


def test_converting_to_the_dtype_at_hand_gives_an_array(tmp_path):
    mx.save_safetensors(str(tmp_path / "w.safetensors"), {"w": mx.array([1.0, 2.0])})
    loaded = mx.load(str(tmp_path / "w.safetensors"))["w"]
    for made in (loaded.astype(mx.float32), copy.copy(loaded), copy.deepcopy(loaded)):
        assert type(made) is mx.array
        made[0] = 5
        assert made.tolist() == [5, 2]
    assert loaded.tolist() == [1, 2]


def test_converting_what_numpy_holds_gives_an_array():
    given = np.ones(3, np.float32)
    made = mx.array(given).astype(mx.float32)
    assert type(made) is mx.array
    made += 1
    assert given.tolist() == [1, 1, 1] and made.tolist() == [2, 2, 2]


def test_methods_that_copy_give_an_array():
    x = mx.array([1.0, 2.0])
    if not REAL:  # a method of funcnn
        assert type(x.copy()) is mx.array
    assert type(copy.copy(x)) is mx.array
