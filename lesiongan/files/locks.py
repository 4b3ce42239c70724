"""Locks on folders: two processes that write to one folder would spoil each other's files."""

import contextlib
import os
import sys
from pathlib import Path

from lesiongan.files.errors import InputError
from lesiongan.files.writing import ensure_folder, remove_leftovers

# Each folder's lock is held here as long as the process lives; the system releases it at the end.
LOCKS = {}


def lock_folder(folder):
    """Create `folder` and lock it for this process until it ends; return its path.

    Raises InputError if another process works there. What a killed process left half-written there
    is removed. (On a file system without locks the folder is not protected.)
    """
    from filelock import FileLock, Timeout

    folder = ensure_folder(folder)
    name = folder.resolve()
    if name in LOCKS:
        return folder
    lock, writer = FileLock(folder / ".lock"), folder / ".writer"
    try:
        lock.acquire(blocking=False)
    except Timeout:
        holder = read_writer(writer)
        raise InputError(
            f"{folder}: {holder} is writing here; wait for it, or name another folder"
        ) from None
    except NotImplementedError:
        return folder
    except OSError as e:
        raise InputError(f"{folder}: cannot be written ({e.strerror})") from None
    LOCKS[name] = lock
    # An error is ignored here: the first write that matters reports a full disk.
    with contextlib.suppress(OSError):
        writer.write_text(f"process {os.getpid()} ({Path(sys.argv[0]).name})")
    for inside, subfolders, _ in os.walk(folder):
        # Subfolders with a lock are another process's own.
        subfolders[:] = [s for s in subfolders if not (Path(inside) / s / ".lock").exists()]
        remove_leftovers(Path(inside))
    return folder


def read_writer(path):
    """Return in words who holds a folder."""
    with contextlib.suppress(OSError):
        if words := path.read_text(errors="replace")[:100].strip():
            return words
    return "another process"
