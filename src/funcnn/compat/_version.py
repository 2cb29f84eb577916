"""The release of MLX whose API the shim reproduces: what libraries that check MLX's version are told."""

MLX_VERSION = "0.32.4"
