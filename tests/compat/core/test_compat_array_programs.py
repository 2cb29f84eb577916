"""Random programs of assignments, views and in-place operators: their gradients, compiled and mapped.

The programs are affine in their argument, so that differences of their values are their derivatives.
"""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compat.core.array_libraries import Library, Model

import funcnn.compat.core as own

try:
    import mlx.core as real
except ImportError:
    real = None

LENGTH = 4
NUMBERS = st.sampled_from([0, 1.5, -1, 2])
# Of what an index with so many elements can be assigned: a number, the variable's first elements, or all of them.
PLACES = st.one_of(
    st.integers(-LENGTH, LENGTH - 1),
    st.builds(slice, st.integers(0, 2), st.integers(2, 4), st.sampled_from([None, 2])),
    st.builds(slice, st.just(None), st.just(None), st.sampled_from([None, -1])),
    st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=3, unique=True),
)
VARIABLES = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("assign"), VARIABLES, PLACES, NUMBERS | st.tuples(VARIABLES)),
    st.tuples(st.just("add"), VARIABLES, st.sampled_from("+-"), NUMBERS | st.tuples(VARIABLES)),
    st.tuples(st.just("scale"), VARIABLES, NUMBERS),
    st.tuples(st.just("alias"), VARIABLES, VARIABLES),
    st.tuples(st.just("copy"), VARIABLES, VARIABLES),
    st.tuples(st.just("reverse"), VARIABLES, VARIABLES),
    st.tuples(st.just("add_at"), VARIABLES, PLACES, NUMBERS | st.tuples(VARIABLES)),
    st.tuples(st.just("mask"), VARIABLES, st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH), NUMBERS),
    st.tuples(st.just("evaluate"), VARIABLES),
)


def outcome(library: Library, steps: list[tuple[Any, ...]], x: Any) -> Any:
    """Run the program; the variables are x, another array made of it, and one that does not depend on it."""
    one = np.ones(LENGTH, np.float32)
    variables = [x, library.apply(x, "*", 2), library.make(one)]

    def value(source: Any, place: Any = None) -> Any:
        if not isinstance(source, tuple):
            return source
        found = variables[source[0]]
        return found if place is None else library.part(found, (place,))

    for step in steps:
        name, target = step[0], step[1]
        if name == "assign":
            library.assign(variables[target], (step[2],), value(step[3], step[2]))
        elif name == "add":
            variables[target] = library.apply_in_place(variables[target], step[2], value(step[3]))
        elif name == "scale":
            variables[target] = library.apply_in_place(variables[target], "*", step[2])
        elif name == "alias":
            variables[target] = variables[step[2]]
        elif name == "copy":
            variables[target] = library.copy(variables[step[2]])
        elif name == "reverse":
            variables[target] = library.part(variables[step[2]], (slice(None, None, -1),))
        elif name == "add_at":
            variables[target] = library.add_at(variables[target], (step[2],), value(step[3], step[2]))
        elif name == "mask":
            library.assign_rows(variables[target], step[2], step[3])
        elif name == "evaluate" and library.evaluates:
            library.evaluate(variables[target])
    made = library.apply(library.apply(variables[0], "*", 1.0), "+", library.apply(variables[1], "*", 3.0))
    return library.apply(made, "+", library.apply(variables[2], "*", 5.0))


POINT = np.array([1, -2, 3, 0.5], dtype=np.float32)


def derivatives(steps: list[tuple[Any, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """The value at the point, and the matrix of derivatives."""
    model = Model()
    at = outcome(model, steps, model.make(POINT)).value
    moved = [outcome(model, steps, model.make(POINT + e)).value for e in np.eye(LENGTH, dtype=np.float32)]
    return at, np.stack([m - at for m in moved], axis=1)


def holds(mx: Any, steps: list[tuple[Any, ...]]) -> None:
    library = Library(mx)
    library.evaluates = False  # what is traced has no value
    weights = np.array([1, 2, -1, 0.5], dtype=np.float32)
    at, matrix = derivatives(steps)

    def loss(x: Any) -> Any:
        y = outcome(library, steps, x)
        assert type(y) is mx.array
        return (y * mx.array(weights)).sum()

    def check(found: Any, expected: np.ndarray) -> None:
        assert type(found) is mx.array
        np.testing.assert_allclose(np.array(found.tolist()), expected, rtol=1e-5, atol=1e-5)

    check(outcome(Library(mx), steps, mx.array(POINT)), at)
    gradient = weights @ matrix
    for transformed in (
        mx.grad(loss),
        mx.compile(mx.grad(loss)),
        mx.grad(mx.checkpoint(loss)),
        mx.grad(mx.compile(loss)),
    ):
        x = mx.array(POINT)
        check(transformed(x), gradient)
        assert x.tolist() == POINT.tolist()
    if mx is own:  # MLX assigns numbers to the first part of the batch only
        batch = mx.array(np.stack([POINT, POINT]))
        check(mx.vmap(mx.grad(loss))(batch), np.stack([gradient, gradient]))
        check(mx.vmap(lambda x: outcome(library, steps, x))(batch), np.stack([at, at]))
        _, (tangent,) = mx.jvp(loss, [mx.array(POINT)], [mx.array(np.ones(LENGTH, np.float32))])
        check(tangent, gradient.sum())


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=2, max_size=7))
def test_programs(steps: list[tuple[Any, ...]]) -> None:
    holds(own, steps)
    if real:
        holds(real, steps)
