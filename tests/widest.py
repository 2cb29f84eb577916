"""The widest floats of the device that the tests run on, and float64 for what is expected of it, which the CPU has."""

import numpy as np

import funcnn as fn


def _widest():
    try:
        fn.array([1.0], dtype=fn.float64)
    except ValueError:  # the device has no float64
        return fn.float32
    return fn.float64


WIDEST = _widest()


def held(dtypes):
    """Those of these names of dtypes that the device has."""
    return [name for name in dtypes if name != "float64" or fn.float64 == WIDEST]


def reachable(tolerance):
    """This tolerance where results are float64, else one that float32 can hold."""
    return tolerance if fn.float64 == WIDEST else max(tolerance, 2e-4)


def doubled(x):
    """The array in float64, on the CPU, which has it."""
    return fn.device_put(x, fn.cpu).astype(fn.float64)


def float64_of(x):
    """The numbers of an array, in float64."""
    return np.asarray(doubled(x))
