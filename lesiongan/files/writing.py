"""Files that a run leaves: atomic writes of text, JSON and CSV, and of what other writers write.

Every writer writes beside its target and renames, so that a reader never meets half a file.
"""

import contextlib
import gzip
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.files.errors import InputError


def check_target(path: Path) -> None:
    """Raise InputError if no file can be written to `path`, before hours of work and not after."""
    if not path.name or path.is_dir():
        raise InputError(f"{path}: cannot be written (a folder, not a file)")
    if path.exists() and not path.is_file():
        # Renaming a file onto a device would remove it from the system.
        raise InputError(f"{path}: cannot be written (a pipe or a device, not a file)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"{path}: cannot be written ({e.strerror})") from None


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` on success and is removed on failure.

    It stands beside `path`. Raises InputError if it cannot be written.
    """
    path = Path(path)
    check_target(path)
    try:
        temporary = create_beside(path)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as e:
        raise InputError(f"{path}: cannot be written ({e.strerror or e})") from None


def create_beside(path: Path) -> Path:
    """Create an empty file beside `path` that nobody can have put there before; return its path.

    Its suffix is that of `path`: writers such as Keras and Matplotlib choose the format by it.
    """
    descriptor, name = tempfile.mkstemp(f"{MARK}{path.suffix}", f".{path.stem}.", path.parent)
    # tempfile's files are for the user alone; results are as readable as any other file.
    umask = os.umask(0)
    os.umask(umask)
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, 0o666 & ~umask)
    os.close(descriptor)
    return Path(name)


def ensure_folder(path: Path | str) -> Path:
    """Create a folder and its parents, and return its path."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"{path}: cannot be created ({e.strerror})") from None
    return Path(path)


# The names of the files that atomic() writes to.
MARK = ".lesiongan.tmp"
LEFTOVER = re.compile(r"\..+\.\w{8}\.lesiongan\.tmp(\.\w+)?")


def remove_leftovers(folder: Path, older_than: float = 0) -> None:
    """Remove what killed processes left half-written at least `older_than` seconds ago.

    Only files right in `folder` are removed, none in its subfolders.
    """
    for path in folder.iterdir():
        # Another process may have removed the file in the meantime.
        with contextlib.suppress(OSError):
            if (
                LEFTOVER.fullmatch(path.name)
                and path.is_file()
                and time.time() - path.stat().st_mtime >= older_than
            ):
                path.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic(path) as t:
        t.write_text(text, encoding="utf-8", newline="\n")


def write_gzip(path: Path | str, content: bytes) -> None:
    """Write bytes packed by gzip, the same file from the same content."""
    with atomic(path) as t:
        t.write_bytes(gzip.compress(content, mtime=0))


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically; a NaN or infinity is a programming error, not a value."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=json_default) + "\n")


def json_default(value: object) -> Any:
    """Return a NumPy scalar, an array or a path in a form that JSON has."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value)} has no JSON form")


def write_csv(path: Path | str, columns: Mapping[str, Any]) -> None:
    """Write a dict of equally long columns as CSV.

    Floats have nine significant digits, which is exact for float32.
    """
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns)]
    lines += [
        ",".join(f"{v:.9g}" if isinstance(v, float | np.floating) else str(v) for v in row)
        for row in rows
    ]
    write_text(path, "\n".join(lines) + "\n")
