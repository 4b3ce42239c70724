"""Locks on folders: two processes that write to one folder would spoil each other's files."""

import atexit
import contextlib
import os
import sys
from pathlib import Path, PurePosixPath

from lesiongan.files import claims
from lesiongan.files.errors import InputError
from lesiongan.files.opening import open_regular
from lesiongan.files.writing import ensure_folder, remove_leftovers, write_text

# Each folder's lock is held here as long as the process lives; the system releases it at the end.
LOCKS: dict[Path, object] = {}
LOCK, WRITER = ".lock", ".writer"


def lock_folder(folder: Path | str) -> Path:
    """Create `folder` and lock it for this process until it ends; return its path.

    Raises InputError if another process works there. What a killed process left half-written there
    is removed. (On a file system without locks the folder is not protected.)
    """
    from filelock import FileLock, Timeout

    folder = ensure_folder(folder)
    name = folder.resolve()
    if name in LOCKS:
        return folder
    lock, writer = FileLock(folder / LOCK), folder / WRITER
    for path in (folder / LOCK, writer):
        # Both are emptied and written where they lead to.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InputError(f"{path}: is a link or no file; remove it, or name another folder")
    if writer.exists() and not read_writer(writer).startswith("process "):
        raise InputError(f"{writer}: was not written by a run; remove it, or name another folder")
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
    # An older filelock releases it when Python has taken itself apart, and says so on the screen.
    atexit.register(lock.release)
    # An error is ignored here: the first write that matters reports a full disk.
    with contextlib.suppress(OSError, InputError):
        write_text(writer, f"process {os.getpid()} ({Path(sys.argv[0]).name})")
    own = {folder, *(folder / name for name in list_folders(folder))}
    for inside, subfolders, _ in os.walk(folder):
        # Subfolders with a lock are another process's own. In one without, and without files of
        # this folder's list, another process may be writing, so only old leftovers go.
        subfolders[:] = [s for s in subfolders if not (Path(inside) / s / LOCK).exists()]
        remove_leftovers(Path(inside), older_than=0 if Path(inside) in own else 3600)
    return folder


def list_folders(folder: Path) -> set[str]:
    """Return the subfolders, relative to `folder`, that its list of own files names, and above."""
    try:
        names = claims.read_claims(folder)
    except InputError:
        return set()
    return {str(parent) for name in names for parent in PurePosixPath(name).parents}


def read_writer(path: Path) -> str:
    """Return in words who holds a folder."""
    with contextlib.suppress(OSError, InputError):
        with open_regular(path) as f:
            words = f.read(400).decode("utf-8", "replace")[:100].strip()
        if words:
            return words
    return "another process"
