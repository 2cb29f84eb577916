"""Weights and batches that are the same in every framework."""

import zlib

import numpy as np


def weight(name, shape):
    """The weight of this name: normal for matrices, scaled to what they sum over; ones for norms; zeros for biases and adapters."""
    if len(shape) < 2 or name.endswith("lora_b"):
        return (np.zeros if name.endswith(("bias", "lora_b")) else np.ones)(shape, np.float32)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)


def examples(batch, shape, classes):
    """Inputs and classes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, *shape)).astype(np.float32), rng.integers(0, classes, batch).astype(np.int32)


def tokens(batch, length, vocabulary):
    """Inputs and targets, which are the inputs one place on."""
    drawn = np.random.default_rng(0).integers(0, vocabulary, (batch, length + 1)).astype(np.int32)
    return drawn[:, :-1], drawn[:, 1:]
