"""Draws of the shim are those of MLX, from the key given or from the state of the thread. Runs on either library."""

import threading
import zlib

import numpy as np
import pytest
from tests.compat.library import mx


def checksum(x):
    """Of the bytes of an array, whatever its dtype."""
    return zlib.crc32(np.array(x if x.dtype != mx.bfloat16 else x.view(mx.uint16)).tobytes())


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


# What MLX gives; FUNCNN_COMPAT_LIBRARY=mlx .venv/bin/python -m pytest tests/compat/core/test_compat_random.py compares.
EXACT = {
    "uniform(0, 1, (1001,))": 1257869770,
    "uniform(-2.5, 3, (3, 5))": 2799891361,
    "uniform(0, 1, (64, 65), mx.float16)": 783316355,
    "uniform(-2.5, 3, (1001,), mx.bfloat16)": 485557617,
    "randint(0, 100, (7,))": 2942448354,
    "randint(-1000, 1000, (1001,), mx.int64)": 578721372,
    "randint(0, 256, (65,), mx.uint8)": 851970555,
    "randint(0.5, 9.5, (65,))": 3885163670,
    "bernoulli(0.3, (1001,))": 2432586483,
    "bernoulli(mx.array([0.1, 0.9]), (50, 2))": 3001856048,
    "permutation(1000)": 2277863458,
    "permutation(mx.arange(60).reshape(5, 4, 3), 1)": 548417585,
    "split(mx.random.key(5), 7)": 3836780689,
    "categorical(mx.arange(20.0).reshape(4, 5), num_samples=7)": 1438178651,
    "categorical(mx.zeros((8, 1000)))": 3787740880,
}


@pytest.mark.parametrize("call", EXACT)
def test_whole_numbers_and_uniform_ones_are_equal_bit_for_bit(call):
    mx.random.seed(11)
    first, second = (eval(f"mx.random.{call}") for _ in range(2))
    if first.size > 60:
        assert not mx.array_equal(first, second)
    assert checksum(first) == EXACT[call]


# The sums of draws and of their squares.
CLOSE = {
    "normal((1001,))": (-4.366036, 982.4765),
    "normal((3, 5), loc=1, scale=2)": (0.965734, 73.12894),
    "normal((33,), mx.complex64)": (6.540805, 33.47672),
    "normal((4,), mx.float64)": (0.3128195, 6.396138),
    "gumbel((1001,))": (567.3743, 1919.051),
    "laplace((1001,), loc=1.0, scale=0.5)": (1007.201, 1505.35),
    "truncated_normal(-1, 2, (1001,))": (227.1303, 556.0968),
    "multivariate_normal(mx.zeros(3), mx.eye(3) * 2 + 0.5, (5,))": (-13.12785, 60.62981),
}


@pytest.mark.parametrize("call", CLOSE)
def test_other_numbers_are_equal_up_to_rounding(call):
    mx.random.seed(11)
    x = eval(f"mx.random.{call}")
    x = np.array(x.view(mx.float32) if x.dtype == mx.complex64 else x).astype(np.float64)
    assert (x.sum(), (x * x).sum()) == pytest.approx(CLOSE[call], rel=1e-5, abs=1e-4)


def test_a_draw_without_a_key_splits_the_state():
    mx.random.seed(3)
    state, used = mx.random.split(mx.random.key(3))
    drawn = mx.random.uniform(shape=(4,))
    assert mx.array_equal(drawn, mx.random.uniform(shape=(4,), key=used))
    assert mx.array_equal(mx.random.state[0], state)


def test_a_draw_with_a_key_leaves_the_state():
    mx.random.seed(3)
    before = mx.random.state[0]
    for draw in ("uniform", "normal", "gumbel", "laplace"):
        getattr(mx.random, draw)(shape=(2,), key=mx.random.key(1))
    mx.random.permutation(4, key=mx.random.key(1))
    assert mx.array_equal(mx.random.state[0], before)
    assert mx.array_equal(before, mx.random.key(3))


def test_state_is_a_live_sequence_of_one_key():
    state = mx.random.state
    assert state is mx.random.state
    assert len(state) == 1
    mx.random.seed(9)
    assert [x.tolist() for x in state] == [[0, 9]]
    assert state[-1].dtype == mx.uint32
    for index in (1, -2):
        with pytest.raises(IndexError):
            state[index]
    with pytest.raises(TypeError):
        state[0:1]
    assert "state" not in dir(mx.random)
    with pytest.raises(AttributeError):
        mx.random.stat  # noqa: B018


def test_each_thread_has_a_state_of_its_own():
    mx.random.seed(5)
    first = mx.random.uniform(shape=(3,)).tolist()

    def work():
        mx.random.seed(5)
        here = mx.random.uniform(shape=(3,)).tolist()
        mx.random.seed(6)
        return here

    assert in_thread(work) == first
    mx.random.seed(5)
    in_thread(work)
    assert mx.random.uniform(shape=(3,)).tolist() == first


def test_all_threads_start_from_one_state():
    first, second = (in_thread(lambda: mx.random.state[0].tolist()) for _ in range(2))
    assert first == second


def test_seeds_are_64_bits():
    assert mx.random.key(2**64 - 1).tolist() == [2**32 - 1] * 2
    assert mx.random.key(2**33 + 7).tolist() == [2, 7]
    for seed in (-1, 2**64, 1.0, "a", None):
        with pytest.raises(TypeError):
            mx.random.seed(seed)
        with pytest.raises(TypeError):
            mx.random.key(seed)


def test_random_inside_of_compile_draws_what_the_state_says():
    def draw(n):
        return mx.random.uniform(shape=(n,))

    compiled = mx.compile(draw, inputs=mx.random.state, outputs=mx.random.state)
    mx.random.seed(2)
    expected = [draw(3).tolist() for _ in range(3)]
    mx.random.seed(2)
    assert [compiled(3).tolist() for _ in range(3)] == expected
