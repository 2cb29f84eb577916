"""Gradients of many slices of one array and of elements at computed places, against NumPy, and what they cost."""

import re

import numpy as np
import pytest

import funcnn as fn

N = 40
ORDERS = {
    "forward": list(range(N - 3)),
    "backward": list(range(N - 3))[::-1],
    "odd ones first": [*range(1, N - 3, 2), *range(0, N - 3, 2)],
    "some twice": [*range(N - 3), *range(0, N - 3, 5)],
}
SLICES = {
    "rows": lambda i: (i,),
    "windows": lambda i: slice(i, i + 3),
    "columns": lambda i: (slice(None), i % 6),
    "elements": lambda i: (i, i % 6),
    "windows with steps": lambda i: (slice(i, None, 7), slice(1, 4)),
    "backwards": lambda i: (slice(i, None, -3), slice(None, None, -2)),
    "empty ones among them": lambda i: slice(i, i + i % 3),
    "along either axis": lambda i: (i,) if i % 2 else (slice(None), i % 6),
    "rows by number": lambda i: np.array([i, 0, i]),
    "columns by number": lambda i: (slice(None), np.array([i % 6, 0])),
    "elements by number": lambda i: (np.array([i, 1]), np.array([i % 6, 1])),
    "by either": lambda i: np.array([i]) if i % 2 else slice(i, i + 2),
}


def total(terms):
    while len(terms) > 1:
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + terms[len(terms) // 2 * 2 :]
    return terms[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("key", SLICES)
def test_values(order, key):
    numbers, at = ORDERS[order], SLICES[key]
    x = np.random.default_rng(1).integers(-4, 5, (N, 6)).astype("float32")

    def f(x):
        return total([(i + 1) * (x[at(i)] ** 2).sum() for i in numbers]) + (x * 3).sum()

    want, twice = np.full_like(x, 3), np.zeros_like(x)
    for i in numbers:
        np.add.at(want, at(i), 2 * (i + 1) * x[at(i)])
        np.add.at(twice, at(i), 2 * (i + 1))
    gradient = fn.grad(f)
    assert np.array_equal(gradient(fn.array(x)), want)
    assert np.array_equal(fn.compile(gradient)(fn.array(x)), want)
    assert np.array_equal(fn.grad(lambda x: gradient(x).sum())(fn.array(x)), twice)
    both = fn.vmap(gradient)(fn.array(np.stack([x, -x])))
    assert np.array_equal(both, np.stack([want, 6 - want]))


def explained(key, n):
    def f(x):
        return total([(x[SLICES[key](i)] ** 2).sum() for i in [*range(1, n, 2), *range(0, n, 2)]])

    return fn.explain(fn.grad(f))(fn.ones((n + 3, 6)))


@pytest.mark.parametrize("key", ["rows", "windows"])
def test_memory_moved_is_linear_in_the_slices(key):
    def moved(n):
        number, prefix = re.search(r"([\d.]+) (k?)B moved", explained(key, n).plan.splitlines()[-1]).groups()
        return float(number) * (1000 if prefix else 1)

    assert moved(200) < 2.5 * moved(100)  # 4 where each is added to all


def test_elements_are_added_in_their_places():
    graph = explained("elements", 100).graph
    assert not re.findall(r"float32\(103, 6\) = add", graph)
    assert len(re.findall(r"float32\(103, 6\) = slice_update", graph)) == 99


def test_memory_of_lookups_is_that_of_one_gradient():
    table = fn.ones((4096, 64)) * 2
    rows = [fn.array([i, 5, 7 * i]) for i in range(12)]

    def f(table):
        h = fn.zeros((3, 64))
        for numbers in rows:
            h = fn.tanh(table[numbers] + h)
        return (h @ table.T).sum()

    # The sum of the lookups, the product and their sum; a table for each lookup where they are added one to another.
    assert fn.explain(fn.grad(f))(table).peak_bytes < 4 * table.nbytes
