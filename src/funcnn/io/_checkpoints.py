"""Checkpoints: files of a running training, one a step, of which the last and the best are kept."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._arguments import integer
from funcnn._hyper import plain

from ._replace import replace, sync_folder
from ._safetensors import opened_safetensors, read_safetensors, write_safetensors
from ._trees import check_name

_FORMAT = "funcnn checkpoint 1"
_NAME = re.compile(r"step_(\d{8,})\.safetensors")
_STEPS = 2**63


@attrs.frozen
class Checkpoint:
    """What ``CheckpointManager.restore`` gives.

    Attributes:
        step: The number of the step.
        tree: The tree that was saved, in the structure of the template.
        metadata: What was saved beside it.
        metric: The number by which checkpoints are compared; None if none was given.
    """

    step: int
    tree: Any
    metadata: Any
    metric: float | None


@attrs.frozen
class _Entry:
    """A checkpoint in the folder. `order` counts the saves."""

    step: int
    order: int
    metric: float | None


def _name_of(step: int) -> str:
    return f"step_{step:08d}.safetensors"


def _folder(value: Any) -> str:
    try:
        return os.path.abspath(os.fsdecode(value))
    except TypeError:
        raise TypeError(
            f"CheckpointManager: folder must be the name of a folder, got a {type(value).__name__}"
        ) from None


def _count(least: int, none: bool) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is None and none:
            return
        count = integer(value, f"CheckpointManager: {attribute.name}")
        if isinstance(value, bool) or count < least:
            raise ValueError(f"CheckpointManager: {attribute.name} must be at least {least}, got {value!r}")

    return check


def _mode(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("min", "max"):
        raise ValueError(f"CheckpointManager: mode must be 'min' or 'max', got {value!r}")


@attrs.frozen
class CheckpointManager:
    """Save a training now and then, and go on where it was.

    Each checkpoint is one safetensors file, ``step_00000100.safetensors``, which appears complete or not at all: it is
    written in a temporary folder, flushed to the disk and renamed. Only then are older files deleted. So the process may be
    killed at any moment, and the disk may be full: what was there before is still there. Any number of managers, also of
    different processes, may use one folder; nothing is kept in memory that is not in the files.

    Args:
        folder: Where the files are; made by the first save.
        keep_last: How many of the checkpoints saved last are kept; None keeps all.
        keep_best: How many of those with the best metric are kept beside them.
        mode: Whether the least (``"min"``, a loss) or the largest (``"max"``, an accuracy) metric is best.

    >>> import os, tempfile
    >>> import funcnn as fn
    >>> manager = fn.io.CheckpointManager(os.path.join(tempfile.mkdtemp(), "run"), keep_last=2)
    >>> for step, loss in [(0, 0.9), (10, 0.2), (20, 0.5), (30, 0.4)]:
    ...     manager.save(step, {"w": fn.full((2,), step)}, metadata={"epoch": step // 10}, metric=loss)
    >>> manager.all_steps(), manager.latest(), manager.best()
    ((10, 20, 30), 30, 10)
    >>> checkpoint = manager.restore({"w": fn.zeros((2,), fn.int32)})
    >>> checkpoint.step, checkpoint.tree["w"].tolist(), checkpoint.metadata
    (30, [30, 30], {'epoch': 3})
    """

    folder: str = attrs.field(converter=_folder)
    keep_last: int | None = attrs.field(default=3, validator=_count(1, True), kw_only=True)
    keep_best: int = attrs.field(default=1, validator=_count(0, False), kw_only=True)
    mode: str = attrs.field(default="min", validator=_mode, kw_only=True)
    # Headers that were read, by name, with what tells whether the file is still the same.
    _read: dict[str, tuple[Any, _Entry]] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    def save(self, step: int, tree: Any, *, metadata: Any = None, metric: Any = None) -> None:
        """Write a checkpoint, and delete those that are not to be kept.

        A checkpoint of the same step is replaced. The one just saved is always kept.

        Args:
            step: Its number, at least 0.
            tree: What to save: any tree of arrays, NumPy's too, and of Python's bools, numbers and strings. Parameters,
                the optimiser's state and keys go here.
            metadata: What JSON holds: None, bools, numbers, strings, lists, and dicts with string keys. Numbers in arrays
                become Python's; tuples become lists. The position in the data goes here, or into the tree.
            metric: A number to compare checkpoints by. NaN counts as none.

        Raises:
            TypeError: A leaf, or something in the metadata, is of another type; the message names the path.
            ValueError: The step is negative, two leaves have one path, or a number is traced.
            OSError: The file cannot be written. All other checkpoints are as before.
        """
        number = _step_of(step)
        arrays, values = _taken_apart(tree)
        header = {
            "format": _FORMAT,
            "step": str(number),
            "order": str(1 + max((entry.order for entry in self._entries()), default=0)),
            "values": json.dumps(values),
            "metadata": json.dumps(_as_json(metadata, "metadata")),
        }
        if metric is not None:
            header["metric"] = json.dumps(_metric_of(metric))
        fn.eval(arrays)
        if not os.path.isdir(self.folder):
            os.makedirs(self.folder, exist_ok=True)
            sync_folder(os.path.dirname(self.folder))
        replace(self._path(number), lambda written: write_safetensors(written, arrays, header))
        self._delete_others(number)

    def restore(self, template: Any, step: int | None = None) -> Checkpoint:
        """Read a checkpoint back.

        Args:
            template: A tree like the one that was saved: containers of the same keys, arrays (or anything with shape and
                dtype, such as ``fn.eval_shape`` gives) of the same shapes and dtypes, and values of the same types. The
                result has its containers: tuples, frozendicts, named tuples, None and registered classes.
            step: The number of the step; by default the one that was saved last.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            ValueError: The file and the template differ; the message lists the path of every leaf that is missing,
                unexpected, or of another shape, dtype or type. Or the file is damaged.
        """
        while True:
            number = self.latest() if step is None else _step_of(step)
            if number is None:
                raise FileNotFoundError(f"restore: there are no checkpoints in {self.folder}")
            try:
                arrays, header = read_safetensors(self._path(number))
            except FileNotFoundError:
                if step is None:  # another manager has just deleted it, and so saved a later one
                    continue
                there = ", ".join(map(str, self.all_steps())) or "none"
                raise FileNotFoundError(
                    f"restore: there is no checkpoint of step {number} in {self.folder}; there are {there}"
                ) from None
            break
        entry = _entry_of(header, self._path(number))
        values = json.loads(header["values"])
        made = _put_together(f"checkpoint {number} in {self.folder}", arrays, values, template)
        return Checkpoint(number, made, json.loads(header["metadata"]), entry.metric)

    def latest(self) -> int | None:
        """The step that was saved last; None if there is no checkpoint.

        It is the highest one, unless a training went back to an earlier step and on from there.
        """
        last = max(self._entries(), key=_by_order, default=None)
        return None if last is None else last.step

    def best(self) -> int | None:
        """The step with the best metric, the earlier saved one of equals; None if there is no metric but NaN."""
        ranked = self._ranked()
        return ranked[0].step if ranked else None

    def all_steps(self) -> tuple[int, ...]:
        """The steps there are, in order of their numbers."""
        return tuple(sorted(entry.step for entry in self._entries()))

    def _path(self, step: int) -> str:
        return os.path.join(self.folder, _name_of(step))

    def _ranked(self) -> list[_Entry]:
        """Those with a metric, the best first."""
        sign = 1.0 if self.mode == "min" else -1.0
        found = [
            (sign * entry.metric, _by_order(entry), entry)
            for entry in self._entries()
            if entry.metric is not None and not math.isnan(entry.metric)
        ]
        return [entry for *_, entry in sorted(found, key=lambda row: row[:2])]

    def _entries(self) -> list[_Entry]:
        found = []
        seen = {}
        for file in self._files():
            try:
                status = file.stat()
                same = (status.st_ino, status.st_size, status.st_mtime_ns)
                known = self._read.get(file.name)
                if known is None or known[0] != same:
                    with opened_safetensors(file.path) as (_, handle, _):
                        known = (same, _entry_of(dict(handle.metadata() or {}), file.path))
                seen[file.name] = known
                found.append(known[1])
            except FileNotFoundError:  # deleted meanwhile
                continue
            except ValueError as error:
                warnings.warn(f"a file among the checkpoints is left out: {error}", stacklevel=3)
        self._read.clear()
        self._read.update(seen)
        return found

    def _files(self) -> Iterator[os.DirEntry[str]]:
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return
        with entries:
            for file in entries:
                match = _NAME.fullmatch(file.name)
                # A number has one name here, and a folder or a broken link is none.
                if match and file.name == _name_of(int(match[1])) and file.is_file():
                    yield file

    def _delete_others(self, saved: int) -> None:
        if self.keep_last is None:
            return
        entries = self._entries()
        kept = {saved} | {entry.step for entry in sorted(entries, key=_by_order)[-self.keep_last :]}
        kept |= {entry.step for entry in self._ranked()[: self.keep_best]}
        for entry in entries:
            if entry.step not in kept:
                try:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path(entry.step))
                except OSError as error:
                    warnings.warn(f"a checkpoint that is no longer wanted cannot be deleted: {error}", stacklevel=3)


def _by_order(entry: _Entry) -> tuple[int, int]:
    return entry.order, entry.step


def _step_of(step: Any) -> int:
    if isinstance(step, fn.array) and step.ndim == 0 and fn.isdtype(step.dtype, "integral"):
        step = step.item()
    number = integer(step, "CheckpointManager: step")
    if isinstance(step, bool):
        raise TypeError(f"CheckpointManager: step must be an integer, got {step!r}")
    if not 0 <= number < _STEPS:
        raise ValueError(f"CheckpointManager: step must be at least 0 and below 2**63, got {number}")
    return number


def _metric_of(metric: Any) -> float:
    value = _number(metric)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"save: metric must be a number, got {metric!r}")
    return float(value)


def _number(value: Any) -> Any:
    """The Python number that a scalar is, ours or NumPy's; anything else as it is."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return plain(value)


def _as_json(value: Any, path: str) -> Any:
    """The value in the types of JSON."""
    value = _number(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_as_json(item, f"{path}.{i}") for i, item in enumerate(value)]
    if isinstance(value, (Mapping, fn.frozendict)):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"save: {path} has the key {key!r}; JSON has strings as keys only")
        return {key: _as_json(item, f"{path}.{key}") for key, item in value.items()}
    hint = "; arrays go into the tree" if hasattr(value, "shape") else ""
    raise TypeError(f"save: {path} is a {type(value).__name__}, which JSON does not hold{hint}")


def _entry_of(header: Mapping[str, str], path: str) -> _Entry:
    try:
        if header["format"] != _FORMAT:
            raise ValueError(f"{path}: the format {header['format']!r} is not known here")
        if os.path.basename(path) != _name_of(int(header["step"])):
            raise ValueError(f"{path} is the checkpoint of step {header['step']}, renamed")
        metric = header.get("metric")
        return _Entry(int(header["step"]), int(header["order"]), None if metric is None else float(json.loads(metric)))
    except KeyError as error:
        raise ValueError(f"{path} is no checkpoint: its metadata has no {error.args[0]!r}") from None


# ---- trees


def _is_value(leaf: Any) -> bool:
    return type(leaf) in (bool, int, float, str)


def _taken_apart(saved: Any) -> tuple[dict[str, fn.array], dict[str, Any]]:
    """The arrays and the other values of a tree, by path."""
    arrays: dict[str, fn.array] = {}
    values: dict[str, Any] = {}
    for path, leaf in tree.leaves_with_path(saved):
        if not path:
            raise ValueError("save: a leaf alone has no name: put it in a dict")
        if path in arrays or path in values:
            raise ValueError(f"save: two leaves of the tree have the path {path!r}")
        if _is_value(leaf):
            values[path] = leaf
            continue
        arrays[path] = _array_of(path, leaf)
        check_name(path, ".safetensors", arrays[path])
        fn._core._require_values(arrays[path], f"save: {path}", "return it from the function and save it outside")
    return arrays, values


def _array_of(path: str, leaf: Any) -> fn.array:
    if isinstance(leaf, fn.array):
        return leaf
    if hasattr(leaf, "__array_interface__"):
        name: Any = str(leaf.dtype)
        try:
            with fn.default_device(fn.cpu):  # whose dtypes are those of files
                return fn.array(leaf, dtype=name)
        except (TypeError, ValueError):
            raise TypeError(f"save: {path} is of dtype {leaf.dtype}, which there is none of here") from None
    raise TypeError(f"save: {path} is a {type(leaf).__name__}; expected arrays, bools, numbers and strings")


def _described(leaf: Any) -> str:
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return f"{leaf.dtype}{list(leaf.shape)}"
    return type(leaf).__name__


def _difference(wanted: Any, found: Any) -> str:
    """What is wrong with a leaf; empty if nothing is."""
    if _is_value(wanted) or _is_value(found):
        return "" if type(wanted) is type(found) else f"expected {_described(wanted)}, got {_described(found)}"
    wrong = [
        what
        for what, differs in (
            ("shape", tuple(wanted.shape) != tuple(found.shape)),
            ("dtype", wanted.dtype.name != found.dtype.name),
        )
        if differs
    ]
    return f"wrong {' and '.join(wrong)}: expected {_described(wanted)}, got {_described(found)}" if wrong else ""


def _put_together(name: str, arrays: Mapping[str, Any], values: Mapping[str, Any], template: Any) -> Any:
    there = {**arrays, **values}
    problems, leaves = [], []
    expected = tree.leaves_with_path(template)
    for path, wanted in expected:
        if not _is_value(wanted) and not (hasattr(wanted, "shape") and hasattr(wanted, "dtype")):
            raise TypeError(f"restore: the template has a {type(wanted).__name__} at {path or 'the root'}")
        if path not in there:
            problems.append(f"{path or 'the root'}: missing, expected {_described(wanted)}")
            continue
        if difference := _difference(wanted, there[path]):
            problems.append(f"{path}: {difference}")
        leaves.append(_like(there[path], wanted))
    names = {path for path, _ in expected}
    problems += [f"{path}: unexpected, got {_described(leaf)}" for path, leaf in there.items() if path not in names]
    if problems:
        raise ValueError(f"{name} does not fit the template:\n  " + "\n  ".join(problems))
    return tree.structure(template).unflatten(leaves)


def _like(found: Any, wanted: Any) -> Any:
    """An array of NumPy where the template has one."""
    if not isinstance(found, fn.array) or not hasattr(wanted, "__array_interface__") or isinstance(wanted, fn.array):
        return found
    import numpy as np

    copied = np.array(found)
    return copied if isinstance(wanted, np.ndarray) else copied[()]
