"""Locks between processes that end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class LocksUnsupported(OSError):
    """The system or the file system has no locks."""


def lock_file(path: Path) -> int | None:
    """Makes a file, if it is not there, and locks it. Closing the descriptor that is returned frees it.

    Returns:
        The descriptor; None if another process holds the lock, or the file is a link.

    Raises:
        LocksUnsupported: There are no locks here.
        OSError: The file cannot be made.
    """
    if fcntl is None:
        raise LocksUnsupported("the system has no locks of files")
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError:
            if path.is_symlink():
                return None
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise LocksUnsupported(str(error)) from error
        # Whoever held it before may have renamed or removed it: then this is a lock of nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Holds the lock of a file for the block, and removes the file; false if another process holds it.

    Where there are no locks, nobody holds one.

    Raises:
        OSError: The file cannot be made.
    """
    try:
        descriptor = lock_file(path)
    except LocksUnsupported:
        yield True
        return
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            # Before the lock is free: afterwards the file may be another's.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)
