"""Random indices and masks, read and written on funcnn.compat and on MLX: where MLX gives a value, it is the same."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcnn.compat.core as own

real = pytest.importorskip("mlx.core")

SHAPE = (2, 3, 4, 5)
BASE = np.arange(120, dtype=np.int32).reshape(SHAPE)


def item(draw: random.Random, n: int) -> Any:
    """An integer, a slice, a list or an array of positions for an axis of this length."""
    end = [None, *range(-n - 1, n + 2)]
    kind = draw.randrange(6)
    if kind == 0:
        return draw.randrange(-n, n)
    if kind == 1:
        return slice(draw.choice(end), draw.choice(end), draw.choice([None, 1, 2, -1]))
    if kind == 2:
        return [draw.randrange(-n, n) for _ in range(2)]
    if kind == 3:
        shape = draw.choice([(), (2,), (1,), (2, 1), (3,)])
        return np.array([draw.randrange(-n, n) for _ in range(int(np.prod(shape)))], dtype=np.int32).reshape(shape)
    return slice(draw.choice([None, *range(n)]), None)


def index(draw: random.Random) -> list[Any]:
    items: list[Any] = []
    axis = 0
    while axis < len(SHAPE) and draw.random() < 0.85:
        chance = draw.random()
        if chance < 0.12:
            items.append(None)
        elif Ellipsis in [i for i in items if not isinstance(i, np.ndarray)]:
            items.append(draw.choice([0, slice(None), slice(0, 2), -1]))
            axis += 1
        elif chance < 0.2:
            items.append(...)
            axis += draw.randrange(3)
        else:
            items.append(item(draw, SHAPE[axis]))
            axis += 1
    return items


def key(mx: Any, items: list[Any]) -> Any:
    made = tuple(mx.array(i) if isinstance(i, np.ndarray) else i for i in items)
    return made[0] if len(made) == 1 else made


def both(f: Callable[[Any], Any]) -> Any:
    """What f gives with MLX, None where it raises; checked."""
    try:
        wanted = f(real)
    except (ValueError, RuntimeError):
        return None
    assert f(own) == wanted
    return wanted


@pytest.mark.parametrize("seed", range(150))
def test_indices(seed: int) -> None:
    draw = random.Random(seed)
    items = index(draw)
    part = both(lambda mx: (mx.array(BASE)[key(mx, items)].shape, mx.array(BASE)[key(mx, items)].tolist()))
    if part is None or 0 in part[0]:
        return
    shape = draw.choice([(), part[0], part[0][1:], part[0][-1:]])
    values = (1000 + np.arange(int(np.prod(shape)), dtype=np.int32)).reshape(shape)

    def assigned(mx: Any) -> Any:
        x = mx.array(BASE)
        x[key(mx, items)] = mx.array(values)
        return x.tolist()

    both(assigned)
    both(lambda mx: mx.array(BASE).at[key(mx, items)].add(mx.array(values)).tolist())


@pytest.mark.parametrize("seed", range(150))
def test_masks(seed: int) -> None:
    draw = random.Random(seed)
    shape = tuple(draw.randrange(1, 4) for _ in range(draw.randrange(1, 4)))
    covered = draw.randrange(len(shape) + 1)
    base = np.arange(int(np.prod(shape))).reshape(shape).astype(draw.choice(["int32", "float32", "int8", "float16"]))
    mask = np.array([draw.random() < 0.5 for _ in range(int(np.prod(shape[:covered])))]).reshape(shape[:covered])
    trail, count = shape[covered:], int(mask.sum())
    given = draw.choice([(), trail, (1,) * len(trail), (count, *trail), (count + 2, *trail), (count,), (1, *trail)])
    if 0 in given:  # which ends MLX's process
        return
    values = (50 + np.arange(int(np.prod(given)), dtype=np.float32)).reshape(given)
    nested = draw.random() < 0.3 and mask.ndim

    def assigned(mx: Any) -> Any:
        x = mx.array(base)
        x[mask.tolist() if nested else mx.array(mask)] = mx.array(values)
        return str(x.dtype), x.tolist()

    both(assigned)
