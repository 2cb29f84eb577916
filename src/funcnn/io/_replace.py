"""Files that are replaced as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator

_TEMPORARY = ".funcnn-save-"


def replace(path: str, write: Callable[[str], None]) -> None:
    """Let `write` make a file in a folder of its own and move it to `path`."""
    target = os.path.realpath(path)
    with _temporary_folder(os.path.dirname(target)) as folder:
        written = os.path.join(folder, "data")
        # The permissions that a new file gets here.
        os.close(os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        access = os.stat(written)
        with contextlib.suppress(FileNotFoundError):
            access = os.stat(target)
        write(written)
        if hasattr(os, "chown"):
            for owner in (access.st_uid, -1):
                with contextlib.suppress(PermissionError):
                    os.chown(written, owner, access.st_gid)
                    break
        os.chmod(written, stat.S_IMODE(access.st_mode))
        with open(written, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(written, target)
        sync_folder(os.path.dirname(target))


def sync_folder(folder: str) -> None:
    """Bring the names in a folder to the disk, where that is a thing of its own."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary_folder(parent: str) -> Iterator[str]:
    """A folder that a later call removes if this process is killed: its lock ends with the process."""
    leftovers = []
    with contextlib.suppress(PermissionError), os.scandir(parent) as entries:
        leftovers = [entry.path for entry in entries if entry.name.startswith(_TEMPORARY)]
    for leftover in leftovers:
        with _locked(leftover) as free:
            if free:
                shutil.rmtree(leftover, ignore_errors=True)
    while True:
        folder = tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent)
        with _locked(folder) as free:
            # Another process may have taken it for a leftover before it was locked.
            if free is False or not os.path.isdir(folder):
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[bool | None]:
    """Whether this process alone holds the lock of the folder; None where folders have no locks."""
    if sys.platform == "win32":
        yield None
        return
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free: bool | None = True
        except BlockingIOError:
            free = False
        except OSError:  # a file system without
            free = None
        yield free
    finally:
        os.close(descriptor)
