"""The widest floats of the device that the tests run on, and what may be asked of their results."""

import funcnn as fn


def _widest():
    try:
        fn.array([1.0], dtype=fn.float64)
    except ValueError:  # the device has no float64
        return fn.float32
    return fn.float64


WIDEST = _widest()


def reachable(tolerance):
    """This tolerance where results are float64, else one that float32 can hold."""
    return tolerance if fn.float64 == WIDEST else max(tolerance, 2e-4)
