"""The workloads at sizes that fill a GPU: `python -m benchmarks.gpu` on a machine with one."""
