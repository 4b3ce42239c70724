"""SHA-256 of files."""

import hashlib
from pathlib import Path

from lesiongan.files.errors import InputError
from lesiongan.files.opening import open_regular


def file_sha256(path: Path | str) -> str:
    """Return the hex SHA-256 of a file's bytes; raise InputError if there is no such file."""
    try:
        with open_regular(path) as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror})") from None
