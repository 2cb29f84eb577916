"""Modules of which the tests of Module are made, and what is seen of one."""

from tests.compat.library import mx, nn


class Affine(nn.Module):
    def __init__(self, value=1.0):
        super().__init__()
        self.weight = mx.full((2, 2), value)
        self.bias = mx.zeros((2,))

    def __call__(self, x):
        return x @ self.weight.T + self.bias

    def _extra_repr(self):
        return "2, 2"


class Nothing(nn.Module):
    pass


class Everything(nn.Module):
    """One of all that a module may hold."""

    def __init__(self):
        super().__init__()
        self.w = mx.zeros((2,))
        self.pair = (mx.zeros((1,)), Affine())
        self.parts = [mx.zeros((1,)), 3, None, Affine(), {"q": Nothing(), "r": mx.ones((1,)), "s": 4}]
        self.table = {}
        self.none = None
        self.number = 4
        self._private = mx.zeros((3,))
        self.inner = Affine()
        self._hidden = Affine()


def plain(tree):
    """Arrays as lists and modules as their names, to be compared."""
    if isinstance(tree, mx.array):
        return tree.tolist()
    if isinstance(tree, nn.Module):
        return type(tree).__name__
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(plain, tree))
    return tree
