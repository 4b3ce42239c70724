"""Locks on folders: two processes that write to one folder would spoil each other's files."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from lesiongan.files.errors import InputError
from lesiongan.files.writing import ensure_folder, remove_leftovers

LOCKS = {}  # folder -> descriptor of its lock file, open as long as the process: the system lets go of it however that ends


def lock_folder(folder):
    """Create `folder` and make it this process's own until it ends; InputError if another process works there.

    What a killed process left half-written there is removed. (POSIX record locks; without them, as on Windows or some
    network file systems, the folder is not protected.)
    """
    folder = ensure_folder(folder)
    name = folder.resolve()
    if name in LOCKS:
        return folder
    try:
        import fcntl

        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except ImportError:
        return folder
    except OSError as e:
        raise InputError(f"{folder}: cannot be written ({e.strerror})") from None
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno not in (errno.EACCES, errno.EAGAIN):
            return folder
        holder = os.read(lock, 100).decode(errors="replace").strip() or "another process"
        os.close(lock)
        raise InputError(f"{folder}: {holder} is writing here; wait for it, or name another folder") from None
    with contextlib.suppress(OSError):  # a full disk is reported by the first write that matters
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()} ({Path(sys.argv[0]).name})".encode())
    LOCKS[name] = lock
    for inside, subfolders, _ in os.walk(folder):
        subfolders[:] = [s for s in subfolders if not (Path(inside) / s / ".lock").exists()]  # those are others' own
        remove_leftovers(Path(inside))
    return folder
