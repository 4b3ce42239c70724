"""Locks on folders: two processes that write to one folder would spoil each other's files."""

import contextlib
import os
import sys
from pathlib import Path

from lesiongan.files.errors import InputError
from lesiongan.files.writing import ensure_folder, remove_leftovers

# Folder -> its lock, held as long as the process lives: the system lets go of it then.
LOCKS = {}


def lock_folder(folder):
    """Create `folder` and make it this process's own until it ends; InputError if another works
    there.

    What a killed process left half-written there is removed. (On a file system without locks the
    folder is not protected.)
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
    # A full disk is reported by the first write that matters.
    with contextlib.suppress(OSError):
        writer.write_text(f"process {os.getpid()} ({Path(sys.argv[0]).name})")
    for inside, subfolders, _ in os.walk(folder):
        # Subfolders with a lock are another process's own.
        subfolders[:] = [s for s in subfolders if not (Path(inside) / s / ".lock").exists()]
        remove_leftovers(Path(inside))
    return folder


def read_writer(path):
    """Who holds a folder, in words."""
    with contextlib.suppress(OSError):
        if words := path.read_text(errors="replace")[:100].strip():
            return words
    return "another process"
