"""Property tests: Hypothesis strategies, and checks of derivatives, batching and trees.

The strategies and ``check_tree_laws`` need the package ``hypothesis`` (``pip install 'funcnn[test]'``), the other checks do
not.
"""

from .. import _hints
from ._arrays import arrays, dtypes, mutually_broadcastable_shapes, shapes
from ._batching import check_vmap
from ._closeness import assert_trees_close, assert_trees_equal
from ._derivatives import check_grads
from ._laws import check_tree_laws
from ._models import layers, optimizers, params_for
from ._trees import keys, treedefs, trees, trees_like

__all__ = [
    "arrays",
    "assert_trees_close",
    "assert_trees_equal",
    "check_grads",
    "check_tree_laws",
    "check_vmap",
    "dtypes",
    "keys",
    "layers",
    "mutually_broadcastable_shapes",
    "optimizers",
    "params_for",
    "shapes",
    "treedefs",
    "trees",
    "trees_like",
]

_hints.close(globals())
