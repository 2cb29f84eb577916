"""Where arrays live: moving them, and the device that new ones go to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, overload

from . import _core
from . import tree as _tree


def device_put(tree: Any, device: _core.Device | str) -> Any:
    """Move the arrays of a pytree to a device.

    Differentiable and batchable: cotangents move back to where the arrays came from. An operation whose arguments are on
    several devices is refused; this is how they come together.

    Args:
        tree: A pytree. Leaves that are no arrays stay as they are.
        device: A device or its name.

    Returns:
        The same tree with arrays on `device`; those that are there already are the same objects.

    Raises:
        ValueError: for a device that this build or machine does not have.

    Example:
        >>> fn.device_put({"w": fn.ones(2)}, "cpu")["w"].device
        Device('cpu')
    """
    return _tree.map(lambda x: _core._device_put(x, device) if isinstance(x, _core.array) else x, tree)


@overload
def default_device() -> _core.Device: ...
@overload
def default_device(device: _core.Device | str) -> AbstractContextManager[None]: ...
def default_device(device: Any = None) -> Any:
    """Return the device that new arrays go to, or make them on another within a `with` block, on this thread.

    Args:
        device: A device or its name. Without it, the default device is returned.

    Raises:
        ValueError: for a device that this build or machine does not have.

    Example:
        >>> with fn.default_device("cpu"):
        ...     x = fn.array([1.0, 2.0])
        >>> x.device, fn.default_device()
        (Device('cpu'), Device('cpu'))
    """
    return _core.get_default_device() if device is None else _on_device(device)


@contextmanager
def _on_device(device: _core.Device | str) -> Iterator[None]:
    before = _core._set_thread_device(device)
    try:
        yield
    finally:
        _core._set_thread_device(before)


def at_home(tree: Any) -> Any:
    """A tree whose arrays are on the default device, moved once and now; those of a dtype that it lacks stay.

    Arrays that share memory of the host would be moved anew whenever something there reads them.
    """
    home = _core.get_default_device()
    if home == _core.Device("cpu"):
        return tree

    def move(x: _core.array) -> _core.array:
        try:
            return _core._device_put(x, home)
        except ValueError:
            return x

    moved = _tree.map(move, tree)
    _core.eval(moved)
    return moved


def doubled(x: _core.array) -> _core.array:
    """The array in float64, on the CPU: a GPU may not have it."""
    return _core._device_put(x, "cpu").astype(_core.float64)


def parameter(x: Any) -> _core.array:
    """The array that a number or numbers stand for which results do not take their dtype from: NumPy's float64 becomes
    float32 on a device that has no float64."""
    try:
        return _core.asarray(x)
    except ValueError:
        if getattr(x, "dtype", None) != "float64" or isinstance(x, _core.array):
            raise
        return _core.asarray(x, _core.float32)


def beside(x: _core.array, numbers: Any, dtype: _core.Dtype | None = None) -> _core.array:
    """An array of numbers where `x` is, which need not be the default device."""
    return _core.asarray(numbers, dtype, device=x.device)


def home(x: _core.array) -> _core.Device | None:
    """The device to name for what is made to go along with `x`: numbers go along by themselves, but float64 has to be told
    where the default device has none."""
    if x.dtype != _core.float64:
        return None
    device: _core.Device = x.device
    return None if device == _core.get_default_device() else device
