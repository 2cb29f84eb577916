"""funcnn against the peers that are installed, on the same work in one run: `python -m benchmarks`."""
