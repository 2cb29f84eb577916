"""``python -m funcnn.compat``: run a program written for MLX."""

import sys

from ._run import main

main(sys.argv[1:])
