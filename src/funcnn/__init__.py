"""A functional neural-network library: immutable parameter pytrees over a lazy, fusing native core."""
