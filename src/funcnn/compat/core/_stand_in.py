"""What is to have files of its own: arrays, transformations, compilation."""

from ... import _core, checkpoint, compile, grad, jvp, value_and_grad, vjp, vmap

array = _core.mutable_array
ArrayAt = _core.ArrayAt

__all__ = ["ArrayAt", "array", "checkpoint", "compile", "grad", "jvp", "value_and_grad", "vjp", "vmap"]
